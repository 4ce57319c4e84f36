"""The size of a JPEG by its frame header: Pillow is the oracle, also for damaged headers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from synth.record import _jpeg_size, decode_image

SIZES = [(1, 1), (37, 53), (640, 48)]
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "exif": {"exif": b"Exif\0\0" + b"x" * 100},
    "comment": {"comment": b"hi"},
    "long profile": {"icc_profile": b"z" * 70000},
}


def jpeg(size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_read(size: tuple[int, int], mode: str, kind: str) -> None:
    data = jpeg(size, mode, **KINDS[kind])
    assert _jpeg_size(data) == size
    assert decode_image(data, size[::-1]).shape == (size[1], size[0], 3)


def test_a_damaged_header_is_read_as_pillow_does_or_left_to_it() -> None:
    whole, rng, read = jpeg((37, 53)), np.random.default_rng(1), 0
    for _ in range(3000):
        data = bytearray(whole)
        for place in rng.integers(0, 700, 3):
            data[place] = rng.integers(256)
        mine = _jpeg_size(bytes(data[: rng.integers(1, len(data))]))
        try:
            with Image.open(io.BytesIO(data)) as image:
                theirs = image.size
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError, Warning):
            continue
        if mine is not None:
            read += 1
            assert mine == theirs
    assert read > 100


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xc0\x00", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_jpeg_is_left_to_pillow(data: bytes) -> None:
    assert _jpeg_size(data) is None
