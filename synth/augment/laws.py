"""The map of each geometric transform of albumentations, from the parameters that it draws.

albumentations moves pictures, boxes and points by several laws (its points are up to 1.5 px off after a 4x resize). So it is asked only
for what it draws, a matrix, a crop, a displacement, and the map is made here, in synth's pixel law. The pictures are the same as its own,
up to the mixing at the border and to pixels being averaged where they shrink.

A law takes (transform, drawn parameters, width, height of the source) and gives the map. Matrices and displacements of albumentations
take pixel centres at whole numbers; crops, pads and sizes take edges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from synth.augment.warp import Field, Homography, Warp, from_centre_law, scaling, shift
from synth.errors import SceneError
from synth.types import F64, U8

Law: TypeAlias = Callable[[Any, Mapping[str, Any], int, int], Warp]
Repaint: TypeAlias = Callable[[Any, Mapping[str, Any], U8], U8]

_MIRROR_X = np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
_MIRROR_Y = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
_TRANSPOSE = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
_QUARTER = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # counter-clockwise on the screen


def _lattice(linear: F64, width: int, height: int) -> Homography:
    """A turn by right angles or a mirror, shifted back into the positive quadrant."""
    corners = np.array([[0, 0], [width, height]]) @ linear[:2, :2].T
    low, high = corners.min(axis=0), corners.max(axis=0)
    return Homography(shift(*-low) @ linear, int(high[0] - low[0]), int(high[1] - low[1]))


def flip_x(_: Any, __: Mapping[str, Any], width: int, height: int) -> Warp:
    """HorizontalFlip."""
    return _lattice(_MIRROR_X, width, height)


def flip_y(_: Any, __: Mapping[str, Any], width: int, height: int) -> Warp:
    """VerticalFlip."""
    return _lattice(_MIRROR_Y, width, height)


def transpose(_: Any, __: Mapping[str, Any], width: int, height: int) -> Warp:
    """Transpose: rows become columns."""
    return _lattice(_TRANSPOSE, width, height)


def quarter_turns(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """RandomRotate90: `factor` quarter turns, counter-clockwise."""
    return _lattice(np.linalg.matrix_power(_QUARTER, int(drawn["factor"])), width, height)


def square_symmetry(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """D4, SquareSymmetry: one of the eight symmetries of a square."""
    group = {
        "e": np.eye(3),
        **{f"r{90 * k}": np.linalg.matrix_power(_QUARTER, k) for k in (1, 2, 3)},
        **{"h": _MIRROR_X, "v": _MIRROR_Y, "t": _TRANSPOSE, "hvt": _TRANSPOSE @ _MIRROR_X @ _MIRROR_Y},
    }
    return _lattice(group[str(drawn["group_element"])], width, height)


def _resized(before: F64, old: tuple[float, float], new: tuple[int, int]) -> Homography:
    """What `before` leaves in (width, height) `old`, made `new`."""
    return Homography(scaling(new[0] / old[0], new[1] / old[1]) @ before, *new)


def resize(transform: Any, _: Mapping[str, Any], width: int, height: int) -> Warp:
    """Resize."""
    return _resized(np.eye(3), (width, height), (int(transform.width), int(transform.height)))


def max_size(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """LongestMaxSize, SmallestMaxSize."""
    new = max(1, round(width * drawn["scale"])), max(1, round(height * drawn["scale"]))
    return _resized(np.eye(3), (width, height), new)


def scale(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """RandomScale: sides are rounded down, as albumentations does."""
    return _resized(np.eye(3), (width, height), (max(1, int(width * drawn["scale"])), max(1, int(height * drawn["scale"]))))


def _cut(drawn: Mapping[str, Any], width: int, height: int) -> tuple[F64, int, int]:
    """Of a crop with padding before it: the shift, and the size that is left."""
    pads = drawn.get("pad_params") or {}
    left, top = pads.get("pad_left", 0), pads.get("pad_top", 0)
    width, height = width + left + pads.get("pad_right", 0), height + top + pads.get("pad_bottom", 0)
    x0, y0, x1, y1 = (int(v) for v in drawn["crop_coords"])
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        raise SceneError(f"the crop {drawn['crop_coords']} (x0, y0, x1, y1) leaves nothing of a picture of {width} x {height} px")
    return shift(left - x0, top - y0), x1 - x0, y1 - y0


def crop(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """Every crop that keeps the scale."""
    return Homography(*_cut(drawn, width, height))


def crop_resize(transform: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """RandomResizedCrop, RandomSizedCrop (`size`: height, width), RandomSizedBBoxSafeCrop."""
    matrix, cut_width, cut_height = _cut(drawn, width, height)
    new = transform.size if hasattr(transform, "size") else (transform.height, transform.width)
    return _resized(matrix, (cut_width, cut_height), (int(new[1]), int(new[0])))


def pad(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """Pad, PadIfNeeded."""
    left, top, right, bottom = (int(drawn[f"pad_{side}"]) for side in ("left", "top", "right", "bottom"))
    return Homography(shift(left, top), width + left + right, height + top + bottom)


def crop_and_pad(transform: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """CropAndPad; with keep_size the result is brought back to the old size."""
    x0, y0, x1, y1 = drawn["crop_params"] or (0, 0, width, height)
    top, bottom, left, right = drawn["pad_params"] or (0, 0, 0, 0)
    new = int(x1 - x0 + left + right), int(y1 - y0 + top + bottom)
    matrix = shift(left - x0, top - y0)
    return _resized(matrix, new, (width, height)) if transform.keep_size else Homography(matrix, *new)


def affine(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """Affine, ShiftScaleRotate, SafeRotate."""
    rows, columns = (round(float(v)) for v in drawn["output_shape"][:2])
    return Homography.on((width, height), from_centre_law(drawn["matrix"]), columns, rows)


def rotate(transform: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """Rotate; with crop_border, what is left without corners."""
    matrix = from_centre_law(drawn["matrix"])
    if not transform.crop_border:
        return Homography.on((width, height), matrix, width, height)
    x0, y0, x1, y1 = (int(drawn[name]) for name in ("x_min", "y_min", "x_max", "y_max"))
    return Homography.on((width, height), shift(-x0, -y0) @ matrix, x1 - x0, y1 - y0)


def perspective(transform: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """Perspective."""
    matrix, new = drawn["matrix"], (int(drawn["max_width"]), int(drawn["max_height"]))
    if transform.keep_size:
        matrix, new = scaling(width / new[0], height / new[1]) @ matrix, (width, height)
    return Homography.on((width, height), from_centre_law(matrix), *new)


def displacement(_: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """ElasticTransform, OpticalDistortion, ThinPlateSpline: where each pixel comes from, smooth over the pixels."""
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    return Field.of(drawn["map_x"] - columns, drawn["map_y"] - rows)


def grid_distortion(transform: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """GridDistortion: the source of each grid line as it was drawn, linear between lines. albumentations shows the pixel at every line
    twice, and squeezes what is left over of a side that is no multiple of the steps; both would move points off the picture."""
    offsets = []
    for values, size in ((drawn["map_x"][0], width), (drawn["map_y"][:, 0], height)):
        step = size // transform.num_steps
        lines = np.arange(transform.num_steps + 1) * step
        source = np.concatenate([[0.0], values[lines[1:] - 1]])
        # Beyond the last line the picture goes on undistorted.
        lines, source = np.append(lines, lines[-1] + size), np.append(source, source[-1] + size)
        middle = np.arange(size) + 0.5
        offsets.append(np.interp(middle, lines, source) - middle)
    return Field.of(offsets[0][None], offsets[1][:, None])


def grid_elastic(transform: Any, drawn: Mapping[str, Any], width: int, height: int) -> Warp:
    """GridElasticDeform: the corners of a grid displaced, bilinear between them. (albumentations warps every cell by a perspective of its
    own, which tears the picture along the edges.)"""
    columns, rows = transform.num_grid_xy
    mesh = np.asarray(drawn["generated_mesh"], dtype=np.float64).reshape(rows, columns, 12)
    moved = np.zeros((rows + 1, columns + 1, 2))
    moved[:-1, :-1] = mesh[..., 4:6] - mesh[..., 0:2]  # of the cells' upper left corners; the border stays
    moved[0], moved[:, 0] = 0, 0
    x = np.append(mesh[0, :, 0], mesh[0, -1, 2])
    y = np.append(mesh[:, 0, 1], mesh[-1, 0, 3])
    u = np.interp(np.arange(width) + 0.5, x, np.arange(columns + 1))
    v = np.interp(np.arange(height) + 0.5, y, np.arange(rows + 1))
    i, j = np.minimum(u.astype(int), columns - 1), np.minimum(v.astype(int), rows - 1)
    s, t = (u - i)[None, :, None], (v - j)[:, None, None]
    a, b, c, d = (moved[np.ix_(j + dj, i + di)] for dj, di in ((0, 0), (0, 1), (1, 0), (1, 1)))
    left, right = a + (c - a) * t, b + (d - b) * t
    return Field.of(*np.moveaxis(-(left + (right - left) * s), -1, 0))


def downscale(transform: Any, drawn: Mapping[str, Any], image: U8) -> U8:
    """Downscale: to a share of the size and back. albumentations scales up by another factor than down where a side is no multiple, which
    moves the picture by up to 2 px."""
    import cv2

    height, width = image.shape[:2]
    pair = transform.interpolation_pair
    small = max(1, round(width * drawn["scale"])), max(1, round(height * drawn["scale"]))
    shrunk = cv2.resize(image, small, interpolation=pair["downscale"])
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=pair["upscale"]), dtype=np.uint8)
