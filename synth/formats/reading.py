"""What all readers share: faults that are collected instead of raised, files that stay in their folder, pictures read header first.

Annotation files are untrusted input. A reader yields only samples that are right in every label; one with a fault is left out whole,
because a picture with a missing label teaches that an object is background. What is wrong with the file as a whole raises FormatError.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
import stat
import struct
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import ConfigError, FormatError
from synth.record import ImageFormat, Output, Record, encode_image, open_picture
from synth.types import U8

SHOWN = 20
MAX_PIXELS = 1 << 28  # of a picture: a gigapixel bomb is refused by its header
MAX_PICTURE_BYTES = 1 << 30
MAX_FILE_BYTES = 4 << 30  # of an annotation file
_FORMATS: dict[str, ImageFormat] = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp"}
_ORIENTATION = 0x0112
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(slots=True)
class Faults:
    """What is wrong with a source: every fault is counted, the first `SHOWN` are kept with their place.

    samples: left out because of a fault.
    """

    total: int = 0
    samples: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str, faults: Sequence[str], samples: int = 1) -> None:
        """Count the faults of one sample at `where` (file, line, id)."""
        for fault in faults:
            self.total += 1
            if len(self.first) < SHOWN:
                self.first.append(printable(f"{where}: {fault}"))
        self.samples += samples

    def __str__(self) -> str:
        more = f"\n  ... and {self.total - len(self.first)} more" if self.total > len(self.first) else ""
        return "".join(f"\n  {fault}" for fault in self.first).lstrip("\n") + more


@dataclass(frozen=True, slots=True)
class Reader:
    """A source in some format. A format module has a subclass with this name.

    source: the annotation file or the folder. images: folder of the pictures, where the format does not say or says it wrongly.
    """

    source: Path
    images: Path | None = None

    def __post_init__(self) -> None:
        for name in ("source", "images"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value))
                if not Path(value).exists():
                    raise ConfigError(f"{value} does not exist; name the file or folder to read")

    def records(self, faults: Faults) -> Iterator[Record]:
        """Each right sample once, in the order of the source; what is wrong with the others goes to `faults`.

        key: unique within the source, the same at every reading (the picture's path as the source names it). source: `real`. Labels
        that the source does not have stay None. Raises FormatError if the source as a whole cannot be read.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file: its bytes as they will be kept. turned: it was mirrored or turned upright by its EXIF orientation."""

    data: bytes
    width: int
    height: int
    format: ImageFormat
    turned: bool = False


def inside(folder: Path, name: Any) -> Path:
    """The file `name` of an annotation below `folder`. Raises FormatError if it is no name or leaves the folder, by `..` or by a link."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise FormatError(f"a file name must be text, got {brief(name)}")
    path = Path(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise FormatError(f"the file name {brief(name)} leaves the folder {folder}")
    whole = folder / path
    try:
        if not whole.resolve().is_relative_to(folder.resolve()):
            raise FormatError(f"the file {brief(name)} is a link that leaves the folder {folder}")
    except (OSError, RuntimeError, ValueError) as error:  # too long, a ring of links, half a character
        raise FormatError(f"the file name {brief(name)} cannot be used") from error
    return whole


def read_picture(path: Path, size: tuple[int, int] | None = None) -> Picture:
    """The picture at `path`. size: width and height by its annotation, if that says so.

    JPEG, PNG and WebP are kept byte for byte; others, and those that a camera marked as lying on their side, are written anew as PNG
    without loss. A marked one is turned as programs show it, unless the annotation's size is that of the pixels as they lie.
    Raises FormatError if it is missing, empty, cut short, no picture, too large, animated, or of another size.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    data = read_file(path, MAX_PICTURE_BYTES)
    if not data:
        raise FormatError(f"{path} is empty")
    try:
        with open_picture(data) as image:
            width, height = image.size
            kind, frames = image.format or "?", getattr(image, "n_frames", 1)
            if width * height > MAX_PIXELS:
                raise FormatError(f"{path}: {width}x{height} is more than {MAX_PIXELS} pixels")
            if frames > 1 and kind != "MPO":
                raise FormatError(f"{path}: it has {frames} frames; only still pictures can be read")
            mark = int(image.getexif().get(_ORIENTATION, 1) or 1)
            turned = 2 <= mark <= 8
            lying = mark >= 5 and kind != "TIFF"  # Pillow gives a TIFF upright, size and all
            sizes = {(width, height), (height, width)} if lying and turned else {(width, height)}
            if size is not None and size not in sizes:
                raise FormatError(f"{path}: the picture is {width}x{height}, its annotation says {size[0]}x{size[1]}")
            if size == (width, height) != (height, width) and lying:
                turned = False  # the labels are for the pixels as they lie
            if kind in _FORMATS and not turned:
                if not _whole(data, kind):
                    raise FormatError(f"{path}: the file is cut short")
                return Picture(data, width, height, _FORMATS[kind])
            pixels = _rgb(ImageOps.exif_transpose(image) if turned else image, path)
    except FormatError:
        raise
    except UnidentifiedImageError as error:
        raise FormatError(f"{path}: it is no picture that can be read") from error
    except (OSError, ValueError, TypeError, SyntaxError, EOFError, struct.error, Warning, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: it is no picture that can be read: {error}") from error
    return Picture(encode_image(pixels, Output("png")), pixels.shape[1], pixels.shape[0], "png", turned)


def _rgb(image: Any, path: Path) -> U8:
    """The pixels (h, w, 3) of a Pillow image, 16-bit grey by its upper bytes as OpenCV does."""
    if image.mode.startswith("I;16"):
        upper = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(upper[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise FormatError(f"{path}: its pixels have 32 bits, of which nobody knows what is white; save it with 8 or 16")
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _whole(data: bytes, kind: str) -> bool:
    """Whether the file has its end, without decoding it."""
    if kind in ("JPEG", "MPO"):
        return data.rfind(b"\xff\xd9") >= _jpeg_pixels(data)  # some cameras append bytes of their own
    if kind == "PNG":
        return b"IEND" in data[-(1 << 12) :]
    return len(data) >= int.from_bytes(data[4:8], "little") + 8  # WebP: a RIFF file says how long it is


def _jpeg_pixels(data: bytes) -> int:
    """Where a JPEG's pixels begin, behind its segments, one of which may hold a small JPEG with an end of its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def read_file(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file. Raises FormatError if it is none, is too large or cannot be read."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise FormatError(f"{path} is a folder; name the file to read")
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{path} is no file")
        if status.st_size > limit:
            raise FormatError(f"{path} has {status.st_size} bytes, more than the {limit} that are read")
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error


def read_json(path: Path, keep_nan: bool = False) -> Any:
    """The JSON value of a file. keep_nan: NaN and Infinity, which are no JSON, are for the caller to find (`number` does).

    Raises FormatError with line and column, or with a key that stands twice in one object.
    """
    data = read_file(path)
    try:
        return parse_json(data.decode(json.detect_encoding(data)), keep_nan)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON: {error}") from error


def parse_json(text: str, keep_nan: bool = False) -> Any:
    """The JSON value of `text`. Raises ValueError or RecursionError, and FormatError with a key that stands twice in one object."""
    value = json.loads(text, parse_constant=None if keep_nan else _no_constant, object_pairs_hook=_once)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half a character can be written so, and kept nowhere
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs; of two values for one key nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise FormatError(f"the key {brief(key)} stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number")


def pictures_in(folder: Path) -> list[Path]:
    """The picture files below `folder`, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def printable(text: str) -> str:
    """`text` with bytes of a file name that are no UTF-8 as \\udcXX, so that it can be printed and kept."""
    return text.encode("utf-8", "backslashreplace").decode()


def brief(value: Any) -> str:
    """`value` as a message shows it, however large it is."""
    return _shorten.repr(value)


_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _shorten.maxlong = 80
_shorten.maxlevel = 3


def number(value: Any, what: str) -> float:
    """`value` as a finite number. Raises FormatError."""
    if not isinstance(value, bool) and isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
        return float(value)
    raise FormatError(f"{what} must be a finite number, got {brief(value)}")


def numbers(values: Any, count: int | None, what: str) -> list[float]:
    """`values` as a list of `count` finite numbers, or of any. Raises FormatError."""
    if not isinstance(values, list) or (count is not None and len(values) != count):
        raise FormatError(f"{what} must be a list of {f'{count} ' if count is not None else ''}numbers, got {brief(values)}")
    if set(map(type, values)) <= {int, float} and all(
        abs(value) <= sys.float_info.max for value in values
    ):  # the usual case, in little time
        return list(map(float, values))
    return [number(value, what) for value in values]


def whole(value: Any, what: str, least: int = 0) -> int:
    """`value` as a whole number from `least` up; neither 1.0 nor "1" nor true is one. Raises FormatError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise FormatError(f"{what} must be a whole number from {least} up, got {brief(value)}")
    return value


def text(value: Any, what: str, empty: bool = False) -> str:
    """`value` as text, which may be `empty` or not. Raises FormatError."""
    if not isinstance(value, str) or not (value or empty):
        raise FormatError(f"{what} must be text, got {brief(value)}")
    return value


def check_box(box: tuple[float, float, float, float], size: tuple[int, int], what: str = "box", slack_px: float = 1.0) -> None:
    """Raise FormatError unless x0 < x1 and y0 < y1 and the box lies in the picture, give or take `slack_px`, which tools overshoot by."""
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, box)):
        raise FormatError(f"{what} must be finite, got {list(box)}")
    if not (x0 < x1 and y0 < y1):
        raise FormatError(f"{what} has no area: x {x0:g} to {x1:g}, y {y0:g} to {y1:g}")
    if x0 < -slack_px or y0 < -slack_px or x1 > size[0] + slack_px or y1 > size[1] + slack_px:
        raise FormatError(f"{what} x {x0:g} to {x1:g}, y {y0:g} to {y1:g} leaves the {size[0]}x{size[1]} picture")


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """The area that two boxes x0 y0 x1 y1 share, by the area that either covers."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def check_visibility(v: Any, what: str) -> int:
    """`v` if it is COCO's 0, 1 or 2. Raises FormatError."""
    if isinstance(v, bool) or not isinstance(v, (int, float)) or v not in (0, 1, 2):
        raise FormatError(f"{what}: v must be 0, 1 or 2, got {brief(v)}")
    return int(v)


def unique(names: Collection[str], what: str) -> None:
    """Raise FormatError naming the first of `names` that stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FormatError(f"{what} '{name}' stands twice")
        seen.add(name)
