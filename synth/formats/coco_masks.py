"""COCO's three ways to write a mask: polygons, run lengths and compressed run lengths.

They come from outside and pycocotools checks none of it: a compressed text that ends in the middle of a number makes it read beyond.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from synth.errors import FormatError
from synth.formats.reading import brief, numbers, whole
from synth.types import Index, Rle

_SLACK_PX = 1.0  # tools overshoot the picture by that much
_LONGEST_OUTLINE_PX = 1 << 22  # pycocotools walks an outline in steps of a fifth of a pixel and keeps them all
_RUN_LENGTHS = re.compile("(?:[P-o]{0,6}[0-O])+")  # numbers of up to 7 characters, 35 bits; what follows `O` says that more follows


def read_mask(value: Any, size: tuple[int, int], what: str = "segmentation", empty: bool = False) -> Rle:
    """The mask of a picture of `size` (width, height) that a COCO segmentation describes; it may be `empty` or not. Raises FormatError.

    Polygons are filled as pycocotools fills them, which is how the format defines them; several are put together.
    """
    if isinstance(value, dict):
        mask, area = _from_runs(value, size, what)
    elif isinstance(value, list):
        mask, area = _from_polygons(value, size, what)
    else:
        raise FormatError(f"{what} must be a list of polygons or run lengths, got {brief(value)}")
    if not area and not empty:
        raise FormatError(f"{what} covers no pixel; mend or remove it")
    return mask


def _from_polygons(polygons: list[Any], size: tuple[int, int], what: str) -> tuple[Rle, int]:
    """The mask and its pixels."""
    from pycocotools import mask as coco

    width, height = size
    if not polygons:
        raise FormatError(f"{what} has no polygon; mend or remove it")
    for number, polygon in enumerate(polygons):
        where = f"{what}: polygon {number}"
        flat = numbers(polygon, None, where)
        if len(flat) < 6 or len(flat) % 2:
            raise FormatError(f"{where} needs x and y of three or more points, got {len(flat)} numbers")
        points = np.reshape(flat, (-1, 2))
        low, high = points.min(axis=0), points.max(axis=0)
        if (low < -_SLACK_PX).any() or (high > np.add(size, _SLACK_PX)).any():
            raise FormatError(
                f"{where}, x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}, leaves the {width}x{height} picture; cut it there"
            )
        if np.abs(np.diff(points, axis=0)).max(axis=1).sum() > _LONGEST_OUTLINE_PX:
            raise FormatError(f"{where}: its outline is longer than {_LONGEST_OUTLINE_PX} px")
    merged = coco.merge(coco.frPyObjects(polygons, height, width))
    return Rle(height, width, bytes(merged["counts"])), int(coco.area(merged))


def _from_runs(value: dict[str, Any], size: tuple[int, int], what: str) -> tuple[Rle, int]:
    """The mask and its pixels."""
    from pycocotools import mask as coco

    width, height = size
    counts = value.get("counts")
    if value.get("size") != [height, width]:
        raise FormatError(f"{what}: its size must be [height, width] of the picture, [{height}, {width}], got {brief(value.get('size'))}")
    if isinstance(counts, str):
        runs = _uncompressed(counts, what)
    elif isinstance(counts, list):
        runs = np.array([min(whole(run, f"{what}: counts"), 1 << 40) for run in counts], dtype=np.intp)
    else:
        raise FormatError(f"{what}: counts must be text or a list of whole numbers, got {brief(counts)}")
    if runs.size == 0 or runs.min() < 0 or runs.sum() != width * height:
        raise FormatError(f"{what}: counts add up to {runs.sum()} pixels, the {width}x{height} picture has {width * height}")
    area = int(runs[1::2].sum())
    if not runs[1:].all():  # a run of nothing: the same mask is written without
        ends = np.cumsum(runs)[:-1]
        places, times = np.unique(ends[ends < width * height], return_counts=True)
        runs = np.diff(places[times % 2 == 1], prepend=0, append=width * height)
    elif isinstance(counts, str):
        return Rle(height, width, counts.encode("ascii")), area
    encoded = coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return Rle(height, width, bytes(encoded["counts"])), area


def _uncompressed(counts: str, what: str) -> Index:
    """The run lengths of COCO's text: base 32, lowest digit first, the character of a digit is 48 more; 32 more means that another follows.
    A number is signed by the highest bit of its last digit; from the fourth on it is the difference to the last but one."""
    if not _RUN_LENGTHS.fullmatch(counts):
        raise FormatError(f"{what}: counts are no run lengths, or cut short: {brief(counts)}")
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.intp) - 48
    last = np.flatnonzero(digits & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    runs = np.add.reduceat((digits & 31) << (5 * place), first)
    runs -= np.where(digits[last] & 16, np.intp(1) << (5 * (place[last] + 1)), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
