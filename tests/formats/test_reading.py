"""What all readers share: paths stay in their folder, pictures are judged before they are decoded, values are checked."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from synth.errors import ConfigError, FormatError
from synth.formats import reading
from synth.formats.reading import (
    Faults,
    Reader,
    brief,
    check_box,
    check_visibility,
    inside,
    number,
    numbers,
    read_json,
    read_picture,
    text,
    whole,
)
from synth.record import decode_image

# Red, green, blue and white corners, so that every turn and mirror image differs.
CORNERS = np.zeros((16, 24, 3), np.uint8)
CORNERS[:8, :12], CORNERS[:8, 12:], CORNERS[8:, :12], CORNERS[8:, 12:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
UPRIGHT = {  # EXIF 2.32, tag 0x0112: what to do with the pixels as they lie
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


def saved(pixels: Any, kind: str, mark: int | None = None, **options: Any) -> bytes:
    """A file's bytes, with an orientation if one is given."""
    buffer = io.BytesIO()
    if mark is not None:
        exif = Image.Exif()
        exif[0x0112] = mark
        options["exif"] = exif
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def put(folder: Path, data: bytes, name: str = "a.jpg") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_kept_byte_for_byte(tmp_path: Path, kind: str) -> None:
    data = saved(CORNERS, kind)
    picture = read_picture(put(tmp_path, data), (24, 16))
    assert (picture.data, picture.width, picture.height, picture.format, picture.turned) == (data, 24, 16, kind.lower(), False)


@pytest.mark.parametrize("mark", UPRIGHT)
@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_a_lying_picture_is_turned_upright(tmp_path: Path, kind: str, options: dict[str, Any], mark: int) -> None:
    upright = UPRIGHT[mark](CORNERS)
    path = put(tmp_path, saved(CORNERS, kind, mark, **options))
    for size in (None, (upright.shape[1], upright.shape[0])):
        picture = read_picture(path, size)
        assert (picture.width, picture.height) == (upright.shape[1], upright.shape[0])
        shown = decode_image(picture.data, upright.shape[:2])
        assert np.abs(shown.astype(int) - upright).max() <= 3
    assert picture.turned == (mark > 1)
    assert picture.format == ("png" if mark > 1 or kind == "TIFF" else kind.lower())


@pytest.mark.parametrize("mark", [5, 6, 7, 8])
def test_labels_of_pixels_as_they_lie(tmp_path: Path, mark: int) -> None:
    """Tools that ignore the mark write the size as it lies: then the pixels stay as they are."""
    data = saved(CORNERS, "JPEG", mark)
    picture = read_picture(put(tmp_path, data), (24, 16))
    assert (picture.data, picture.width, picture.height, picture.turned) == (data, 24, 16, False)
    with pytest.raises(FormatError, match="the picture is 24x16, its annotation says 24x17"):
        read_picture(tmp_path / "a.jpg", (24, 17))
    with pytest.raises(FormatError, match="the picture is 16x24, its annotation says 24x16"):
        read_picture(put(tmp_path, saved(CORNERS, "TIFF", mark), "a.tif"), (24, 16))  # read upright only


def test_a_picture_that_is_turned_round_has_one_size(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="the picture is 24x16, its annotation says 16x24"):
        read_picture(put(tmp_path, saved(CORNERS, "JPEG", 3)), (16, 24))


GREY = CORNERS[..., 0]
DEEP = (np.arange(16 * 24).reshape(16, 24) * 150).astype(np.uint16)


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (GREY, "PNG", np.repeat(GREY[..., None], 3, 2)),
        (GREY, "JPEG", np.repeat(GREY[..., None], 3, 2)),
        (DEEP, "PNG", np.repeat((DEEP >> 8)[..., None], 3, 2)),
        (DEEP, "TIFF", np.repeat((DEEP >> 8)[..., None], 3, 2)),
        (CORNERS, "BMP", CORNERS),
        (CORNERS, "TIFF", CORNERS),
        (Image.fromarray(CORNERS).convert("CMYK"), "JPEG", CORNERS),
        (Image.fromarray(CORNERS).convert("CMYK"), "TIFF", CORNERS),
        (Image.fromarray(CORNERS).convert("P"), "PNG", CORNERS),
        (Image.fromarray(CORNERS).convert("RGBA"), "PNG", CORNERS),
        (Image.fromarray(GREY > 0), "PNG", np.repeat(GREY[..., None], 3, 2)),
    ],
    ids=["grey png", "grey jpeg", "16-bit png", "16-bit tiff", "bmp", "tiff", "cmyk jpeg", "cmyk tiff", "palette", "alpha", "1-bit"],
)
def test_kinds_of_pixels(tmp_path: Path, image: Any, kind: str, expected: Any) -> None:
    picture = read_picture(put(tmp_path, saved(image, kind)), (24, 16))
    shown = decode_image(picture.data, (16, 24)).astype(int)
    inner = np.zeros((16, 24), bool)
    inner[2:6, 2:10] = inner[2:6, 14:22] = inner[10:14, 2:10] = inner[10:14, 14:22] = True  # JPEG blurs where colours meet
    assert np.abs(shown - expected)[inner].max() <= (8 if kind == "JPEG" else 1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def empty_png(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [16_385, 20_000, 60_000, 2**31 - 1])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    with pytest.raises(FormatError, match=rf"bomb\.png: {side}x{side} is more than 268435456 pixels"):
        read_picture(put(tmp_path, empty_png(side, side), "bomb.png"))


def test_the_limit_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would warn at its own limit and refuse at twice that; it is as it was for others."""
    for limit in (200, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        picture = read_picture(put(tmp_path, saved(CORNERS, "PNG")))
        assert decode_image(picture.data, CORNERS.shape[:2]).shape == CORNERS.shape
        assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_file_that_is_cut_short(tmp_path: Path, kind: str, share: float) -> None:
    rng = np.random.default_rng(1)
    data = saved(rng.integers(0, 255, (40, 60, 3), np.uint8), kind)
    with pytest.raises(FormatError, match=r"cut\.jpg(:| is) (the file is cut short|it is no picture that can be read|empty)"):
        read_picture(put(tmp_path, data[: int(len(data) * share)], "cut.jpg"))


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_picture(tmp_path: Path) -> None:
    data = saved(CORNERS, "JPEG")
    small = saved(CORNERS[::2, ::2], "JPEG")
    whole_file = data[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + data[2:]
    assert read_picture(put(tmp_path, whole_file)).data == whole_file
    assert read_picture(put(tmp_path, whole_file + b"of the camera's own")).width == 24
    with pytest.raises(FormatError, match="cut short"):
        read_picture(put(tmp_path, whole_file[:-20]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<html>", "it is no picture that can be read$"),
        (saved(CORNERS.astype(np.float32)[..., 0], "TIFF"), "its pixels have 32 bits"),
        (saved(CORNERS, "PNG", save_all=True, append_images=[Image.fromarray(255 - CORNERS)]), "it has 2 frames; only still pictures"),
        (saved(CORNERS, "WEBP", save_all=True, append_images=[Image.fromarray(255 - CORNERS)]), "it has 2 frames"),
        (saved(CORNERS, "TIFF", save_all=True, append_images=[Image.fromarray(CORNERS)]), "it has 2 frames"),
    ],
    ids=["empty", "text", "float", "png", "webp", "tiff"],
)
def test_what_is_no_still_picture(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_picture(put(tmp_path, data))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for name, message in (
        ("gone.jpg", "cannot read .*gone.jpg: No such file"),
        ("pipe", "is no file"),
        (".", "is a folder; name the file"),
    ):
        with pytest.raises(FormatError, match=message):
            read_picture(tmp_path / name)
    with pytest.raises(FormatError, match=r"a\.jpg has 10 bytes, more than the 9 that are read"):
        reading.read_file(put(tmp_path, bytes(10)), limit=9)


def test_damaged_pictures_make_no_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF"):
        good = saved(CORNERS, kind, 6) if kind != "BMP" else saved(CORNERS, kind)
        for _ in range(60):
            data = bytearray(good)
            for at in rng.integers(0, len(data), 3):
                data[at] = rng.integers(256)
            try:
                picture = read_picture(put(tmp_path, bytes(data)))
            except FormatError:
                continue
            assert picture.width * picture.height <= reading.MAX_PIXELS


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "deep/a.jpg", "deep\\a.jpg", "./a.jpg", "a..b.jpg", "ü.jpg"])
def test_names_below_the_folder(tmp_path: Path, name: str) -> None:
    assert inside(tmp_path, name) == tmp_path / name.replace("\\", "/")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../a.jpg", "leaves the folder"),
        ("deep/../../a.jpg", "leaves the folder"),
        ("..\\a.jpg", "leaves the folder"),
        ("/etc/passwd", "leaves the folder"),
        ("out/passwd", "is a link that leaves the folder"),
        ("", "must be text, got ''"),
        ("a\0b", "must be text"),
        (None, "must be text, got None"),
        (["a"], "must be text"),
        ("\ud800.jpg", "cannot be used"),
    ],
    ids=range(10),
)
def test_names_that_leave_it(tmp_path: Path, name: Any, message: str) -> None:
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(FormatError, match=message):
        inside(tmp_path, name)


def test_links(tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(FormatError):
        read_picture(inside(tmp_path, "ring"))
    put(tmp_path, saved(CORNERS, "PNG"), "a.png")
    (tmp_path / "same.png").symlink_to("a.png")
    assert read_picture(inside(tmp_path, "same.png")).width == 24
    (tmp_path.parent / "linked").symlink_to(tmp_path)
    assert read_picture(inside(tmp_path.parent / "linked", "a.png")).width == 24  # the folder itself may be a link


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, None, "1", float("nan"), float("inf"), 10**400, [1]], ids=lambda value: type(value).__name__)
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(FormatError, match="x must be a finite number, got "):
        number(value, "x")
    with pytest.raises(FormatError, match="x must be a finite number, got "):
        numbers([1, value], 2, "x")
    with (
        pytest.raises(FormatError, match="x must be a whole number from 0 up, got ") if value != 10**400 else pytest.raises(AssertionError)
    ):
        assert whole(value, "x") < 0
    with pytest.raises(FormatError, match="x: v must be 0, 1 or 2, got "):
        check_visibility(value, "x")


def test_values() -> None:
    assert number(3, "x") == 3.0
    assert numbers([1, 2.5], None, "x") == [1.0, 2.5]
    assert (whole(0, "x"), text("a", "x"), text("", "x", empty=True), check_visibility(2, "x")) == (0, "a", "", 2)
    for call, message in (
        (lambda: whole(0, "x", 1), "x must be a whole number from 1 up, got 0"),
        (lambda: whole(1.0, "x"), "got 1.0"),
        (lambda: text("", "x"), "x must be text, got ''"),
        (lambda: numbers([1], 2, "x"), r"x must be a list of 2 numbers, got \[1\]"),
        (lambda: numbers({}, None, "x"), "x must be a list of numbers, got {}"),
        (lambda: reading.unique(["a", "b", "a"], "id"), "id 'a' stands twice"),
    ):
        with pytest.raises(FormatError, match=message):
            call()
    assert len(brief(["x" * 10_000] * 100)) < 1000


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, 10, 8), None),
        ((-1, -1, 11, 9), None),
        ((-1.1, 0, 10, 8), "leaves the 10x8 picture"),
        ((0, 0, 10, 9.1), "leaves the 10x8 picture"),
        ((3, 0, 3, 8), "has no area: x 3 to 3, y 0 to 8"),
        ((5, 0, 3, 8), "has no area"),
        ((float("nan"), 0, 3, 8), "must be finite"),
        ((0, 0, float("inf"), 8), "must be finite"),
    ],
    ids=range(8),
)
def test_boxes(box: Any, message: str | None) -> None:
    if message is None:
        check_box(box, (10, 8))
    else:
        with pytest.raises(FormatError, match=message):
            check_box(box, (10, 8))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_json_in_any_of_its_encodings(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path, json.dumps({"ü": "😀"}, ensure_ascii=False).encode(encoding), "a.json")
    assert read_json(path) == {"ü": "😀"}


def test_json_that_is_none(tmp_path: Path) -> None:
    for data in (b'{"a": NaN}', b'{"a": -Infinity}'):
        with pytest.raises(FormatError, match=r"is no JSON: it holds -?(NaN|Infinity), which is no number"):
            read_json(put(tmp_path, data))
    assert read_json(put(tmp_path, b"[Infinity]"), keep_nan=True) == [float("inf")]
    assert read_json(put(tmp_path, b'["\\ud83d\\ude00"]')) == ["😀"]
    for data in (b"\xff\xfe\xff", b'"\\ud800"', b'"\xed\xa0\x80"', b"[" * 99_999, b"1" * 9999, b"{'a': 1}"):
        with pytest.raises(FormatError, match=r"a\.jpg is no JSON: "):
            read_json(put(tmp_path, data))


@pytest.mark.parametrize("data", ['{"a": 1, "b": 2, "a": 1}', '[{"x": {"a": 1, "a": 2}}]', '{"a": 1, "\\u0061": 2}'], ids=range(3))
def test_a_key_that_stands_twice(tmp_path: Path, data: str) -> None:
    for keep_nan in (False, True):
        with pytest.raises(FormatError, match=r"a\.jpg: the key 'a' stands twice in one object$"):
            read_json(put(tmp_path, data.encode()), keep_nan)
    assert read_json(put(tmp_path, b'[{"a": 1}, {"a": 2, "A": {"a": 3}}]')) == [{"a": 1}, {"a": 2, "A": {"a": 3}}]


def test_a_fault_can_be_printed_whatever_the_name_of_its_file() -> None:
    faults = Faults()
    faults.add("caf\udce9.jpg", ["is empty"])
    assert faults.first == ["caf\\udce9.jpg: is empty"]
    str(faults).encode()


def test_faults_are_counted_and_the_first_kept() -> None:
    faults = Faults()
    for i in range(30):
        faults.add(f"f:{i}", ["one", "two"])
    faults.add("f:30", ["three"], samples=0)
    assert (faults.total, faults.samples, len(faults.first)) == (61, 30, 20)
    assert str(faults).splitlines()[0] == "  f:0: one"
    assert str(faults).endswith("\n  ... and 41 more")


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone does not exist; name the file or folder to read"):
        Reader(tmp_path / "gone")
    with pytest.raises(ConfigError, match="gone does not exist"):
        Reader(tmp_path, tmp_path / "gone")


def test_pictures_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.JPG", "b/a.png", "note.txt", "b/z.tiff"):
        put(tmp_path, b"", name)
    assert [str(path.relative_to(tmp_path)) for path in reading.pictures_in(tmp_path)] == ["b/a.png", "b/z.tiff", "c.JPG"]


def test_opencv_agrees_on_what_lies(tmp_path: Path) -> None:
    """The judge of orientation is a second program."""
    for mark in UPRIGHT:
        data = saved(CORNERS, "JPEG", mark, quality=100, subsampling=0)
        judge = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        picture = read_picture(put(tmp_path, data))
        np.testing.assert_allclose(decode_image(picture.data, judge.shape[:2]), judge, atol=2)
