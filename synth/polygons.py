"""Masks from polygons and polygons from masks, in this project's pixel law.

A pixel belongs to a polygon if its centre lies inside by the even-odd rule over all its rings, so holes and several parts need no marks
of their own. On an edge, the pixel right of it or below it wins: of two polygons that share an edge exactly one gets a centre on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from synth.errors import LabelError
from synth.types import F64, Bool, Index, Rle

_FAR_PX = 1e12  # nobody means a coordinate beyond; it only keeps products finite
_CROSSINGS = 1 << 22  # of edges and columns that are in memory at once
_STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # right, down, left, up: each is the right turn of the one before


def rasterise(rings: Sequence[F64], width: int, height: int) -> Rle:
    """The mask of a picture of `width` and `height` whose pixel centres lie inside `rings`, each (n, 2) px, closed by itself.

    What leaves the frame is cut. A ring of less than three points covers nothing. Raises LabelError if a coordinate is not finite.
    """
    toggles = np.empty(0, np.intp)  # places in column-major order from where on a column's pixels change sides
    for crossed in _crossings(rings, width, height):
        place, times = np.unique(np.concatenate([toggles, crossed]), return_counts=True)
        toggles = place[times % 2 == 1]
    return _from_toggles(toggles, width, height)


def trace(mask: Rle) -> list[list[F64]]:
    """The rings (n, 2) px of each part of `mask`: first its outline, then its holes, along the pixels' edges.

    A part is a set of pixels that touch by their sides. Corners are whole numbers, only those where the ring turns, clockwise on the
    screen for an outline and counter-clockwise for a hole. `rasterise` makes the same mask of all rings together.
    """
    import cv2

    pixels, offset = _cropped(mask)
    if not pixels.size:
        return []
    count, part = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=4)
    parts: list[list[F64]] = [[] for _ in range(count - 1)]
    for corners, (row, column) in _loops(pixels):
        rings = parts[part[row, column] - 1]
        # The first loop that is met in a part, from the top, is its outline.
        rings.append((corners + offset).astype(np.float64))
    return parts


def one_ring(mask: Rle) -> F64:
    """One ring (n, 2) px that draws `mask` under the even-odd rule, for formats that know no holes and no parts; (0, 2) if it is empty.

    Each ring hangs on the one before by a bridge that is walked there and back, so it covers nothing.
    """
    rings = [ring for part in trace(mask) for ring in part]
    if not rings:
        return np.empty((0, 2))
    there, back = [], [np.concatenate([rings[-1], rings[-1][:1]])]
    for ring, hanging in pairwise(rings):
        near = int(((ring - hanging[0]) ** 2).sum(axis=1).argmin())
        there.append(ring[: near + 1])
        back.append(np.concatenate([ring[near:], ring[:1]]))
    return np.concatenate(there + back[:1] + back[:0:-1])[:-1]


def _crossings(rings: Sequence[F64], width: int, height: int) -> Iterator[Index]:
    """Where edges cross the lines through the columns' centres: the first pixel below, in column-major order."""
    points = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    points = [ring for ring in points if len(ring) > 2]
    if not points:
        return
    start = np.concatenate(points)
    stop = np.concatenate([np.roll(ring, -1, axis=0) for ring in points])
    if not np.isfinite(start).all():
        raise LabelError(f"a polygon's coordinates must be finite, got {start[~np.isfinite(start).all(axis=1)][0].tolist()}")
    # Pixel centres at whole numbers. Edges run from their left to their right end, so neighbours compute the same crossing to the last bit.
    swap = (start[:, 0] > stop[:, 0]) | ((start[:, 0] == stop[:, 0]) & (start[:, 1] > stop[:, 1]))
    left, right = np.where(swap[:, None], stop, start), np.where(swap[:, None], start, stop)
    (ax, ay), (bx, by) = (np.clip(end - 0.5, -_FAR_PX, _FAR_PX).T for end in (left, right))
    first, last = (np.clip(np.ceil(x), 0, width).astype(np.intp) for x in (ax, bx))
    slope = (by - ay) / np.where(ax == bx, 1, bx - ax)
    columns = last - first  # none for an upright edge
    chunk = np.cumsum(columns) // _CROSSINGS
    for edges in np.split(np.arange(len(columns)), np.flatnonzero(np.diff(chunk)) + 1):
        edge = np.repeat(edges, columns[edges])
        begin = np.cumsum(columns[edges]) - columns[edges]
        column = np.arange(len(edge)) - np.repeat(begin - first[edges], columns[edges])
        row = np.clip(np.ceil(ay[edge] + (column - ax[edge]) * slope[edge]), 0, height).astype(np.intp)
        yield column * height + row


def _from_toggles(toggles: Index, width: int, height: int) -> Rle:
    from pycocotools import mask as coco

    runs = np.diff(toggles, prepend=0, append=width * height)
    if len(runs) > 1 and runs[-1] == 0:
        runs = runs[:-1]
    encoded = coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return Rle(height, width, bytes(encoded["counts"]))


def _cropped(mask: Rle) -> tuple[Bool, Index]:
    """The pixels of the mask's box and the box's corner (2,) as x, y; (0, 0) pixels if nothing is set."""
    from pycocotools import mask as coco

    rle = {"size": [mask.height, mask.width], "counts": mask.counts}
    x, y, width, height = (int(v) for v in coco.toBbox(rle))
    if not coco.area(rle):
        return np.zeros((0, 0), np.bool_), np.zeros(2, np.intp)
    return mask.decode()[y : y + height, x : x + width], np.array([x, y])


def _loops(pixels: Bool) -> Iterator[tuple[Index, tuple[int, int]]]:
    """Each loop of pixel edges with the pixels on its right: its corners (n, 2) as x, y, and the row and column of one of the pixels.

    In the order of their uppermost edges, from the left.
    """
    height, width = pixels.shape
    padded = np.pad(pixels, 1)
    inner = padded[1:-1, 1:-1]
    # An edge is named by the vertex where it starts and its direction: the top side of a pixel runs right, its right side down, ...
    outside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    corner = ((0, 0), (0, 1), (1, 1), (1, 0))
    leaves = np.zeros((4, height + 1, width + 1), np.bool_)
    for side, (beyond, (dy, dx)) in enumerate(zip(outside, corner, strict=True)):
        leaves[side, dy : dy + height, dx : dx + width] = inner & ~beyond
    y, x, direction = np.nonzero(leaves.transpose(1, 2, 0))
    number = np.zeros(leaves.shape, np.intp)
    number[direction, y, x] = np.arange(len(y))
    end_x, end_y = x + _STEPS[direction, 0], y + _STEPS[direction, 1]
    # Where two pixels touch by a corner only, turning right stays with the same pixel.
    turn = np.select([leaves[(direction + 1) % 4, end_y, end_x], leaves[direction, end_y, end_x]], [1, 0], -1)
    following = number[(direction + turn) % 4, end_y, end_x].tolist()
    met = bytearray(len(following))
    for first in range(len(following)):
        if met[first]:
            continue
        loop, edge = [], first
        while not met[edge]:
            met[edge] = 1
            loop.append(edge)
            edge = following[edge]
        edges = np.array(loop)
        turned = direction[edges] != direction[np.roll(edges, 1)]
        dy, dx = corner[direction[first]]
        yield np.column_stack([x[edges], y[edges]])[turned], (int(y[first]) - dy, int(x[first]) - dx)
