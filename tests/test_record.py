"""Pixels into bytes and back: exact where it is promised, within the stated error elsewhere, damage named."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError, LabelError, StoreError
from synth.record import Output, decode, encode
from synth.types import F32, U8
from tests.samples import HEIGHT, WIDTH, sample

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
MAPS = Output("png", maps=("depth", "normals"))


@given(SHAPES.flatmap(lambda shape: arrays(np.uint32, shape)))
@settings(max_examples=60, deadline=None)
def test_depth_is_exact_to_the_bit(bits: Any) -> None:
    depth: F32 = bits.view(np.float32)  # any bits: infinities, not-a-numbers, negative zeros
    given_depth = depth.copy()
    shown = replace(sample(0), image=np.zeros((*depth.shape, 3), np.uint8), depth_m=depth, normals=None, instances=(), camera=None)
    back = decode(encode(shown, Output(maps=("depth",)), "k"))
    assert back.depth_m is not None
    assert back.depth_m.dtype == np.float32
    np.testing.assert_array_equal(back.depth_m.view(np.uint32), bits)
    np.testing.assert_array_equal(depth.view(np.uint32), given_depth.view(np.uint32), "encode changed its input")


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, (*shape, 3))))
@settings(max_examples=30, deadline=None)
def test_png_is_exact(image: U8) -> None:
    shown = replace(sample(0), image=image, instances=(), camera=None, depth_m=None, normals=None)
    np.testing.assert_array_equal(decode(encode(shown, Output("png"), "k")).image, image)


def test_normals_keep_their_promise() -> None:
    shown = sample(1)
    back = decode(encode(shown, MAPS, "k"))
    assert shown.normals is not None
    assert back.normals is not None
    assert back.normals.dtype == np.float32
    assert np.abs(back.normals - shown.normals).max() < 1.6e-5
    np.testing.assert_array_equal(back.normals[:4], 0)
    again = decode(encode(back, MAPS))
    assert pixel_digest(again) == pixel_digest(back)


@pytest.mark.parametrize("image", ["jpeg", "webp"])
def test_lossy_formats_are_close_and_follow_quality(image: Any) -> None:
    ramp = np.linspace(0, 255, WIDTH).astype(np.uint8)
    shown = replace(
        sample(0),
        image=np.stack([np.tile(ramp, (HEIGHT, 1)), np.tile(ramp[::-1], (HEIGHT, 1)), np.full((HEIGHT, WIDTH), 90, np.uint8)], -1),
    )
    good, poor = (encode(shown, Output(image, quality), "k") for quality in (98, 20))
    assert len(good.image) > len(poor.image)
    # Red and blue differ by far more than that: a swap of channels cannot pass.
    assert np.abs(decode(good).image.astype(int) - shown.image).mean() < 3


def test_chroma_444_keeps_colour_edges() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2, 0] = 255
    image[:, 1::2, 2] = 255
    shown = replace(sample(0), image=image, instances=(), camera=None, depth_m=None, normals=None)
    error = {c: np.abs(decode(encode(shown, Output("jpeg", 95, c), "k")).image.astype(int) - image).mean() for c in ("4:2:0", "4:4:4")}  # type: ignore[arg-type]
    assert error["4:4:4"] < 10 < 50 < error["4:2:0"]


def test_labels_pass_through_and_key_and_source_are_set() -> None:
    shown = sample(4)
    record = encode(shown, Output(), "run-4")
    assert (record.key, record.source, record.width, record.height) == ("run-4", "synthetic", WIDTH, HEIGHT)
    assert record.depth is None is record.normals
    assert label_digest(decode(record)) == label_digest(shown)
    assert encode(replace(shown, origin=None, key="mine"), Output()).source == "real"
    assert encode(replace(shown, key="mine"), Output(), "run-4").key == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth_m": None}, "sample k: the output wants depth, the sample has none"),
        ({"depth_m": np.zeros((3, 4), np.float32)}, "sample k: depth is 4x3, its picture 48x32"),
        ({"key": ""}, "without a key"),
    ],
)
def test_what_cannot_be_kept_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        encode(replace(sample(0), key="k", **{k: v for k, v in change.items() if k != "key"}) if "key" not in change else sample(0), MAPS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": "gif"}, "image must be one of jpeg, png, webp, got 'gif'"),
        ({"quality": 0}, r"quality must be a whole number in \[1, 100\], got 0"),
        ({"quality": 95.0}, "whole number"),
        ({"chroma": "4:2:2"}, "chroma must be '4:2:0' or '4:4:4'"),
        ({"maps": ("dept",)}, "maps may hold depth and normals"),
        ({"maps": "depth"}, "maps may hold depth and normals, got 'depth'"),
    ],
)
def test_output_checks_itself(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Output(**arguments)


def test_output_orders_its_maps() -> None:
    assert Output(maps=["normals", "depth"]) == Output(maps=("depth", "normals"))  # type: ignore[arg-type]


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and has none."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_a_giant_is_refused_by_its_header() -> None:
    with pytest.raises(StoreError, match="the picture is 60000x10, its labels are for 48x32"):
        decode(replace(encode(sample(0), Output("png"), "k"), image=png_header(60000, 10)))
    with pytest.raises(StoreError, match="sample k: its bytes are damaged"):
        decode(replace(encode(sample(0), Output("png"), "k"), image=png_header(60000, 60000)))


@pytest.mark.parametrize(
    "change",
    [
        {"image": b""},
        {"image": b"\xff\xd8no"},
        {"image": png_header(WIDTH, HEIGHT)},
        {"depth": b"no zstd"},
        {"width": WIDTH + 1},
        {"normals": b""},
    ],
)
def test_damaged_bytes_name_the_sample(change: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="sample run-9: its bytes are damaged"):
        decode(replace(encode(sample(9), MAPS, "run-9"), **change))
