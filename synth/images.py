"""Pictures from files: textures, photos and HDRI maps. The header is read first, so a picture over the cap is never decoded.

What comes back is shared by all who ask for the same file, and read-only.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from synth.errors import AssetError
from synth.types import F32, U8

MAX_PIXELS = 8192 * 8192
MAX_BYTES = 256 << 20

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "TIFF")
_T = TypeVar("_T")
CACHE_BYTES = 2 << 30
_cache: OrderedDict[Hashable, tuple[Hashable, Any, int]] = OrderedDict()  # the longest unused first


def cached_by_file(
    key: Hashable,
    files: tuple[Path, ...],
    load: Callable[[], _T],
    nbytes: Callable[[_T], int],
    named: Callable[[_T], tuple[Path, ...]] = lambda _: (),
) -> _T:
    """`load()` once a process for each `key`, and again when one of `files`, or of those `named` by what was loaded, was written since (by
    time and size), or when more than CACHE_BYTES were loaded since it was last asked for."""
    found, stamp = _cache.get(key), _stamp(files)
    if found is None or found[0] != stamp + _stamp(named(found[1])):
        value = load()
        found = _cache[key] = (stamp + _stamp(named(value)), value, nbytes(value))
        total = sum(size for _, _, size in _cache.values())
        while total > CACHE_BYTES and len(_cache) > 1:
            total -= _cache.pop(next(iter(_cache)))[2]
    _cache.move_to_end(key)
    shared: _T = found[1]
    return shared


def _stamp(files: tuple[Path, ...]) -> tuple[Any, ...]:
    return tuple((stat.st_mtime_ns, stat.st_size) if (stat := _stat(file)) else None for file in files)


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return None


def _nbytes(array: U8 | F32) -> int:
    return array.nbytes


def read_capped(path: Path, max_bytes: int) -> bytes:
    """The file's bytes. Raises AssetError if it is missing, no file, or larger than max_bytes."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise AssetError(f"{path}: is no file")
        if size > max_bytes:
            raise AssetError(f"{path}: {size / 2**20:.0f} MiB are over the cap of {max_bytes / 2**20:.0f} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def decode_image(
    data: bytes, where: str, channels: Literal["rgb", "rgba?"] = "rgb", max_pixels: int = MAX_PIXELS, turn: bool = False
) -> U8:
    """An (h, w, 3) picture from a file's bytes; `rgba?`: (h, w, 4) where it has alpha. Grey becomes rgb, 16 bits become 8.

    turn: by the EXIF orientation. Raises AssetError naming `where`.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, higher, cap warns; ours refuses
            image: Any = Image.open(io.BytesIO(data), formats=_FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise AssetError(f"{where}: {width} x {height} pixels are over the cap of {max_pixels / 1e6:.1f} megapixels")
        if turn:
            image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F"):
            raise AssetError(f"{where}: has 32 bits a channel; save it with 8 or 16")
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image).astype(np.uint16) // 257).astype(np.uint8))
        alpha = "A" in image.getbands() or "transparency" in image.info
        array: U8 = np.array(image.convert("RGBA" if alpha and channels == "rgba?" else "RGB"), dtype=np.uint8)
    except AssetError:
        raise
    except Image.DecompressionBombError as error:
        raise AssetError(f"{where}: is over the cap of {max_pixels / 1e6:.1f} megapixels") from error
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise AssetError(f"{where}: cannot be read as a picture (PNG, JPEG, WebP, BMP, TGA or TIFF): {error or 'damaged'}") from error
    array.flags.writeable = False
    return array


def load_photo(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> U8:
    """An (h, w, 3) sRGB photo, turned upright by its EXIF orientation. Raises AssetError, also where it is transparent."""
    path = Path(path).expanduser().resolve()

    def load() -> U8:
        array = decode_image(read_capped(path, MAX_BYTES), str(path), "rgba?", max_pixels, turn=True)
        if array.shape[2] == 4:
            if array[..., 3].min() < 255:
                raise AssetError(f"{path}: has transparent pixels; a photo needs none: save it flattened")
            array = np.ascontiguousarray(array[..., :3])
            array.flags.writeable = False
        return array

    return cached_by_file(("photo", path, max_pixels), (path,), load, _nbytes)


def load_hdri(path: str | Path, *, max_pixels: int = MAX_PIXELS // 4) -> F32:
    """An (h, w, 3) equirectangular map of linear radiance from a Radiance .hdr file, w = 2 h. Raises AssetError."""
    path = Path(path).expanduser().resolve()
    if path.suffix.lower() == ".exr":
        raise AssetError(f"{path}: EXR is not read; convert it to Radiance .hdr, say with: oiiotool in.exr -d float -o out.hdr")
    return cached_by_file(("hdri", path, max_pixels), (path,), lambda: _read_hdr(path, max_pixels), _nbytes)


def _read_hdr(path: Path, max_pixels: int) -> F32:
    import cv2

    data = read_capped(path, MAX_BYTES)
    # as OpenCV reads it: the size stands after the first FORMAT line and an empty one, so no other place can promise less than it reads
    size = re.match(rb"#\?[^\n]*\n(?:(?!FORMAT=)[^\n]+\n)*FORMAT=32-bit_rle_rgbe\n\n-Y (\d{1,6}) \+X (\d{1,6})\n", data[:4096])
    if not size:
        raise AssetError(f"{path}: is no Radiance .hdr file with rows from the top (-Y h +X w)")
    height, width = int(size[1]), int(size[2])
    if width != 2 * height or not height:
        raise AssetError(f"{path}: an equirectangular map is twice as wide as high, got {width} x {height}")
    if width * height > max_pixels:
        raise AssetError(f"{path}: {width} x {height} pixels are over the cap of {max_pixels / 1e6:.1f} megapixels")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the message below is the only one
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise AssetError(f"{path}: is damaged: {error.err}") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if bgr is None or bgr.shape != (height, width, 3) or bgr.dtype != np.float32:
        raise AssetError(f"{path}: is damaged or truncated")
    if not np.isfinite(bgr).all() or bgr.min() < 0:
        raise AssetError(f"{path}: has radiance that is negative or not finite")
    rgb: F32 = np.ascontiguousarray(bgr[..., ::-1])
    rgb.flags.writeable = False
    return rgb
