"""A sample at rest: labels as objects, pixels as the bytes of a file. What a store keeps and the formats read and write.

This is the one place that turns pixels into bytes and back.

image: a JPEG, PNG or WebP file. depth: float32 metres, exact to the bit. normals: each component as round(n * 32767) in int16, so
within 1.6e-5 of what was rendered; zero (no surface) stays zero. Both maps are written as the difference of each pixel's bits to those
of its left neighbour, split into byte planes, through zstd: about a quarter of the raw size and faster than PNG or zlib.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from synth.errors import ConfigError, LabelError, StoreError
from synth.types import F32, U8, Camera, Category, Instance, Origin, Sample, SampleInfo

if TYPE_CHECKING:
    import PIL.Image

ImageFormat = Literal["jpeg", "png", "webp"]
Map = Literal["depth", "normals"]
Source = Literal["synthetic", "real"]
_LIMIT = threading.Lock()  # Pillow has one limit for all threads
_NORMAL_SCALE = np.float32(32767)


@dataclass(frozen=True, slots=True)
class Output:
    """How samples are kept.

    image: `jpeg`, `png` (lossless) or `webp`. quality: 1 to 100, for jpeg and webp. chroma: of a jpeg; `4:2:0` halves the colour's
    resolution as cameras do, `4:4:4` keeps it. maps: which of `depth` and `normals` are kept beside the picture.
    """

    image: ImageFormat = "jpeg"
    quality: int = 95
    chroma: Literal["4:2:0", "4:4:4"] = "4:2:0"
    maps: tuple[Map, ...] = ()

    def __post_init__(self) -> None:
        if self.image not in get_args(ImageFormat):
            raise ConfigError(f"Output: image must be one of {', '.join(get_args(ImageFormat))}, got '{self.image}'")
        if isinstance(self.quality, bool) or not isinstance(self.quality, int) or not 1 <= self.quality <= 100:
            raise ConfigError(f"Output: quality must be a whole number in [1, 100], got {self.quality}")
        if self.chroma not in ("4:2:0", "4:4:4"):
            raise ConfigError(f"Output: chroma must be '4:2:0' or '4:4:4', got '{self.chroma}'")
        if isinstance(self.maps, str) or any(name not in get_args(Map) for name in self.maps):
            raise ConfigError(f"Output: maps may hold {' and '.join(get_args(Map))}, got {self.maps!r}")
        object.__setattr__(self, "maps", tuple(name for name in get_args(Map) if name in self.maps))


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One sample with its pixels still encoded; None is absent."""

    key: str
    source: Source
    width: int
    height: int
    image: bytes
    image_format: ImageFormat
    instances: tuple[Instance, ...]
    categories: tuple[Category, ...]
    depth: bytes | None = None
    normals: bytes | None = None
    camera: Camera | None = None
    origin: Origin | None = None
    info: SampleInfo = SampleInfo()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.width, self.height


class Records(Protocol):
    """Samples that can be walked through without decoding their pictures, as `synth.store.Samples` can."""

    def __len__(self) -> int: ...

    def records(self) -> Iterator[Record]:
        """Each in order."""


def encode(sample: Sample, output: Output, key: str = "") -> Record:
    """`sample` with its pixels encoded as `output` says. `key` stands in where the sample has none.

    Raises LabelError if a map that `output` wants is not there, or has another size than the picture.
    """
    width, height = sample.size
    key = sample.key or key
    if not key:
        raise LabelError("a sample without a key cannot be kept")
    for name, wanted, array in (("depth", "depth" in output.maps, sample.depth_m), ("normals", "normals" in output.maps, sample.normals)):
        if wanted and array is None:
            raise LabelError(f"sample {key}: the output wants {name}, the sample has none")
        if array is not None and array.shape[:2] != (height, width):
            raise LabelError(f"sample {key}: {name} is {array.shape[1]}x{array.shape[0]}, its picture {width}x{height}")
    return Record(
        key=key,
        source="real" if sample.origin is None else "synthetic",
        width=width,
        height=height,
        image=encode_image(sample.image, output),
        image_format=output.image,
        instances=sample.instances,
        categories=sample.categories,
        depth=None if sample.depth_m is None or "depth" not in output.maps else _pack(sample.depth_m.astype(np.float32, copy=False)),
        normals=None if sample.normals is None or "normals" not in output.maps else _pack_normals(sample.normals),
        camera=sample.camera,
        origin=sample.origin,
        info=sample.info,
    )


def decode(record: Record) -> Sample:
    """The sample, pixels and all. Raises StoreError naming the key if bytes are damaged."""
    shape = (record.height, record.width)
    try:
        return Sample(
            image=decode_image(record.image, shape),
            instances=record.instances,
            categories=record.categories,
            depth_m=None if record.depth is None else _unpack(record.depth, "<f4", shape),
            normals=None if record.normals is None else _unpack(record.normals, "<i2", (*shape, 3)).astype(np.float32) / _NORMAL_SCALE,
            camera=record.camera,
            origin=record.origin,
            key=record.key,
            info=record.info,
        )
    except (ValueError, OSError) as error:
        raise StoreError(f"sample {record.key}: its bytes are damaged: {error}") from error


def encode_image(rgb: U8, output: Output) -> bytes:
    """The picture as a file's bytes."""
    import cv2

    options = {
        "jpeg": [
            *(cv2.IMWRITE_JPEG_QUALITY, output.quality),
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if output.chroma == "4:4:4" else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        ],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],  # level 1: a fifth of the time of level 6 for a tenth more bytes
        "webp": [cv2.IMWRITE_WEBP_QUALITY, output.quality],
    }[output.image]
    ok, data = cv2.imencode(f".{output.image}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise LabelError(f"the picture of shape {rgb.shape} cannot be written as {output.image}")
    return bytes(data)


def decode_image(data: bytes, shape: tuple[int, int]) -> U8:
    """The picture (h, w, 3) of a file's bytes. Raises ValueError if it is none or not of `shape` (height, width).

    The header is read first, so that no file can make more pixels than its labels say. Pixels are taken as they lie in the file: an
    orientation mark of a camera does not turn them (importers write such pictures upright).
    """
    import cv2
    from PIL import Image

    size = _jpeg_size(data)
    if size is None:
        try:
            with open_picture(data) as image:
                size = image.size
        except (OSError, ValueError, EOFError, Warning, Image.DecompressionBombError) as error:
            raise ValueError(f"the {len(data)} bytes of the picture are no image") from error
    width, height = size
    if (height, width) != shape:
        raise ValueError(f"the picture is {width}x{height}, its labels are for {shape[1]}x{shape[0]}")
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None or bgr.shape[:2] != shape:
        raise ValueError(f"the {len(data)} bytes of the picture cannot be decoded")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def open_picture(data: bytes) -> PIL.Image.Image:
    """A picture of which the header has been read. Pillow's own limit of pixels is off: callers check the size before they decode."""
    from PIL import Image

    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the frame header of a plain JPEG, None for all that Pillow should judge, which takes 6 % of a decoder's time."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):  # baseline, extended, progressive
            height, width = (int.from_bytes(data[at + offset : at + offset + 2], "big") for offset in (5, 7))
            return width, height
        if not (marker in (0xC4, 0xDB, 0xDD, 0xFE) or 0xE0 <= marker <= 0xEF):  # tables, comment, application data
            return None
        at += 2 + length
    return None


def _pack_normals(normals: F32) -> bytes:
    return _pack(np.rint(normals * _NORMAL_SCALE).astype("<i2"))


def _pack(array: npt.NDArray[Any]) -> bytes:
    import pyarrow as pa

    bits = np.ascontiguousarray(array).view(f"<u{array.itemsize}")
    steps = np.diff(bits, axis=1, prepend=bits.dtype.type(0))  # unsigned, so it wraps, and summing wraps back
    planes = np.ascontiguousarray(steps.reshape(-1, 1).view(np.uint8).T)
    packed: bytes = pa.Codec("zstd", 1).compress(planes, asbytes=True)
    return packed


def _unpack(data: bytes, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    import pyarrow as pa

    itemsize = np.dtype(dtype).itemsize
    size = itemsize * int(np.prod(shape))
    planes = np.frombuffer(pa.Codec("zstd").decompress(data, size), np.uint8).reshape(itemsize, -1)
    bits = np.ascontiguousarray(planes.T).view(f"<u{itemsize}").reshape(shape)
    return np.cumsum(bits, axis=1, dtype=bits.dtype).view(dtype)
