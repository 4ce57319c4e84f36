"""Pascal VOC's masks: PNGs whose palette index is the object (SegmentationObject) or the class (SegmentationClass) of each pixel.

Index 0 is background and 255 (void) the border between objects, which belongs to nobody. Some tools write the palette's colours instead
of its indices; they are read as well. The palette gives bit k of an index to the highest bits of red, green and blue in turn (VOCcode's
VOClabelcolormap).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from synth.errors import FormatError
from synth.formats.reading import MAX_PICTURE_BYTES, MAX_PIXELS, read_file
from synth.types import I32, U8, Bool, Rle

VOID = 255


def palette() -> U8:
    """(256, 3) sRGB colour of each index."""
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= ((index >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return colours


def read_indices(path: Path, size: tuple[int, int]) -> U8:
    """(h, w) palette index of each pixel. Raises FormatError if it is no such picture or not of `size` (width, height)."""
    from PIL import Image

    data = read_file(path, MAX_PICTURE_BYTES)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.size != size or size[0] * size[1] > MAX_PIXELS:
                raise FormatError(f"{path}: the masks are {image.size[0]}x{image.size[1]}, the picture {size[0]}x{size[1]}")
            if image.mode in ("P", "L"):
                return np.array(image, dtype=np.uint8)
            colours = np.array(image.convert("RGB"), dtype=np.int64)
    except FormatError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: it is no picture that can be read: {error}") from error
    number = np.full(1 << 24, -1, np.int32)
    number[palette().astype(np.int64) @ (1 << 16, 1 << 8, 1)] = np.arange(256)
    indices: I32 = number[colours @ (1 << 16, 1 << 8, 1)]
    if (indices < 0).any():
        row, column = np.argwhere(indices < 0)[0].tolist()
        raise FormatError(f"{path}: the colour {colours[row, column].tolist()} at column {column}, row {row} is none of VOC's palette")
    return indices.astype(np.uint8)


def write_indices(path: Path, indices: U8) -> None:
    """Write (h, w) indices as a PNG with VOC's palette."""
    from PIL import Image

    image = Image.fromarray(indices)
    image.putpalette(palette().tobytes())
    image.save(path, format="PNG", compress_level=1)


def object_masks(objects: U8, classes: U8 | None, names: Sequence[str]) -> dict[int, Rle]:
    """The mask of each object that has pixels, by its place in `names`, the objects' classes. Raises FormatError if they contradict."""
    there = [int(index) for index in np.unique(objects) if index not in (0, VOID)]
    if there and there[-1] > len(names):
        raise FormatError(f"SegmentationObject shows object {there[-1]}, the XML has {len(names)}")
    masks = {index - 1: objects == index for index in there}
    if classes is not None:
        _check_classes(classes, masks, names)
    return {place: Rle.encode(mask) for place, mask in masks.items()}


def _check_classes(classes: U8, masks: Mapping[int, Bool], names: Sequence[str]) -> None:
    index_of: dict[str, int] = {}
    for place, mask in masks.items():
        name, indices = names[place], [int(index) for index in np.unique(classes[mask])]
        if len(indices) != 1 or indices[0] in (0, VOID) or index_of.setdefault(name, indices[0]) != indices[0]:
            raise FormatError(f"SegmentationClass has index {indices} where SegmentationObject shows object {place + 1} ('{name}')")
    if len(set(index_of.values())) < len(index_of):
        raise FormatError(f"SegmentationClass has one index for two classes: {index_of}")
