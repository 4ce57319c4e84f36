"""Geometric maps of the picture plane: everything that a geometric stage moves follows from one of these.

Both maps work in synth's pixel law (corner of the top-left pixel at (0, 0), centres at +0.5) and go from a source frame to a frame of
`width` x `height`. cv2 puts centres at whole numbers: it is converted where it is called, here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from synth.types import F32, F64, U8, Bool, Index, frozen_array

NEAREST, LINEAR = 0, 1  # cv2's numbers
CONSTANT, REPLICATE = 0, 1

_Array = TypeVar("_Array", bound=npt.NDArray[Any])
Nearest: TypeAlias = npt.NDArray[np.int16]
_C128: TypeAlias = npt.NDArray[np.complex128]
_NEAR_HORIZON = 1e-3
"""Points are followed to where a homography magnifies lengths 1000 times as much as in the middle of the frame; beyond lies its
horizon, where a straight line leaves the plane."""
_RESIZES = (LINEAR, 2)  # of cv2's interpolations, the ones that a resize does as a map does
_FLAT = 0.02  # a cell that keeps no more of its area has no inside left
_FOUND_PX = 1e-8  # points are followed through a bent map to this
_SHRINKS = 0.75  # below this many px of the new picture per old one, pixels are averaged before they are sampled


def shift(x: float, y: float) -> F64:
    """A (3, 3) translation."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> F64:
    """A (3, 3) scaling about (0, 0)."""
    return np.array([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], dtype=np.float64)


def from_centre_law(matrix: Any) -> F64:
    """A matrix (2, 3) or (3, 3) of cv2's law, pixel centres at whole numbers, in synth's."""
    full = np.eye(3)
    full[: len(matrix)] = matrix
    return shift(0.5, 0.5) @ full @ shift(-0.5, -0.5)


@dataclass(frozen=True, eq=False)
class Homography:
    """dst_from_src (3, 3), scaled so that points in the middle of the source have a positive third coordinate."""

    dst_from_src: F64
    width: int
    height: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "dst_from_src", frozen_array(self.dst_from_src, np.float64, (3, 3), "Homography: dst_from_src"))

    @classmethod
    def on(cls, source: tuple[int, int], dst_from_src: F64, width: int, height: int) -> Homography:
        """From a matrix of any scale, for a source of `source` (width, height) px."""
        middle = dst_from_src[2] @ (source[0] / 2, source[1] / 2, 1)
        return cls(dst_from_src / middle, width, height)

    @cached_property
    def src_from_dst(self) -> F64:
        """The inverse (3, 3)."""
        return np.asarray(np.linalg.inv(self.dst_from_src), dtype=np.float64)

    @cached_property
    def horizon(self) -> float:
        """The third coordinate up to which points have a place."""
        return _NEAR_HORIZON / abs(float(self.src_from_dst[2] @ (self.width / 2, self.height / 2, 1)))

    @cached_property
    def affine(self) -> bool:
        """No perspective: parallel lines stay so."""
        return not self.dst_from_src[2, :2].any()

    @cached_property
    def mirrors(self) -> bool:
        """It turns left hands into right hands."""
        (a, b, c), (d, e, f), (g, h, i) = self.dst_from_src.tolist()
        return bool(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) < 0)

    @cached_property
    def lattice(self) -> bool:
        """It takes pixels to pixels: turns by right angles, mirrors and whole shifts, so that nothing is resampled."""
        (a, b, x), (c, d, y), last = self.dst_from_src.tolist()
        whole = all(value.is_integer() for value in (a, b, c, d, x, y))
        return whole and last == [0, 0, 1] and abs(a) + abs(b) == 1 and abs(c) + abs(d) == 1

    @cached_property
    def steps(self) -> list[list[int]]:
        """The first two rows of a lattice."""
        return [[int(value) for value in row] for row in self.dst_from_src[:2].tolist()]

    @cached_property
    def zoom(self) -> Zoom | None:
        """The cut-out that it makes as large as the new frame, if it is no more than that."""
        m = self.src_from_dst
        (sx, b, x0), (c, sy, y0) = m[:2].tolist()
        if b or c or not (m[2] == (0, 0, 1)).all() or min(sx, sy) <= 0:
            return None
        found = np.array([x0, y0, sx * self.width, sy * self.height])
        whole = np.round(found)
        if np.abs(found - whole).max() > 1e-9 * (1 + np.abs(whole).max()) or whole[2:].min() < 1:
            return None
        left, top, width, height = whole.astype(int).tolist()
        return Zoom(left, top, width, height, self.width, self.height)

    def points(self, xy: F64) -> tuple[F64, Bool]:
        """Points (n, 2) moved, and (n,) which of them have a place: those behind the horizon have none and become (0, 0)."""
        moved = xy @ self.dst_from_src[:, :2].T + self.dst_from_src[:, 2]
        if self.affine:
            return moved[:, :2] / moved[:, 2:], np.ones(len(xy), dtype=np.bool_)
        there = np.asarray(moved[:, 2] > self.horizon)
        return np.where(there[:, None], moved[:, :2] / np.where(there, moved[:, 2], 1)[:, None], 0.0), there

    def centres(self, x0: int, y0: int, x1: int, y1: int) -> F32:
        """Where in the source the pixel centres (h, w, 2) of a window come from, in the frame or out of it."""
        return self.sources(grid(x0, y0, x1 - x0, y1 - y0))

    def sources(self, xy: F32) -> F32:
        """Where in the source the points (h, w, 2) of the new frame come from; far outside what has no source."""
        m = self.src_from_dst
        x, y = xy[..., 0].astype(np.float64), xy[..., 1].astype(np.float64)
        w = m[2, 0] * x + m[2, 1] * y + m[2, 2]
        found = np.stack([m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]], axis=-1)
        behind = w <= 0
        return np.asarray(np.where(behind[..., None], -1e6, found / np.where(behind, 1.0, w)[..., None]), dtype=np.float32)

    def magnification(self, xy: F64) -> F64:
        """(n,) by how much it enlarges areas at points (n, 2) of the source (the determinant of its derivative)."""
        w = xy @ self.dst_from_src[2, :2] + self.dst_from_src[2, 2]
        return np.asarray(abs(np.linalg.det(self.dst_from_src)) / np.maximum(np.abs(w), 1e-12) ** 3)


@dataclass(frozen=True, slots=True)
class Zoom:
    """Whole pixels (x0, y0) + (width, height) of the source that become a frame of new_width x new_height."""

    x0: int
    y0: int
    width: int
    height: int
    new_width: int
    new_height: int

    def within(self, width: int, height: int) -> bool:
        """All of it is in a source of that size."""
        return self.x0 >= 0 and self.y0 >= 0 and self.x0 + self.width <= width and self.y0 + self.height <= height

    def take(self, array: _Array, at: tuple[int, int], window: tuple[int, int, int, int]) -> tuple[_Array, int, int]:
        """What an array (h, w, ...) whose corner lies at pixel `at` of the source shows in a window (x0, y0, x1, y1) of the new frame,
        each pixel as its centre has it, and where the corner of that comes to lie."""
        columns, left = _picked(window[0], window[2], self.x0 - at[0], self.width, self.new_width, array.shape[1])
        rows, top = _picked(window[1], window[3], self.y0 - at[1], self.height, self.new_height, array.shape[0])
        if len(rows) < len(array):  # whole rows are quick to take; columns are taken from as few as there are
            return cast(_Array, array.take(rows, axis=0).take(columns, axis=1)), left, top
        return cast(_Array, array.take(columns, axis=1).take(rows, axis=0)), left, top


def _picked(start: int, stop: int, first: int, size: int, new: int, length: int) -> tuple[Index, int]:
    """Which of an array's `length` pixels those from `start` to `stop` take, where `size` of its pixels, from `first` on, become `new`; and
    the first one that takes any."""
    pixels = first + (2 * np.arange(start, stop) + 1) * size // (2 * new)
    low, high = pixels.searchsorted((0, length)).tolist()
    return pixels[low:high], start + low


@dataclass(frozen=True, eq=False)
class Field:
    """A dense map: the picture at pixel centre p comes from p + offset[row, column], offset (height, width, 2) px, bilinear between
    centres. Outside the frame it goes on with the offset of the nearest edge, so that what lies there has a place too."""

    offset: F32
    width: int
    height: int

    mirrors = False
    lattice = False

    @classmethod
    def of(cls, right: npt.NDArray[Any], down: npt.NDArray[Any]) -> Field:
        """From offsets along x and along y, each (h, w); where all rows are equal (1, w), or all columns (h, 1). A map that folds the
        picture over would give a point two places: it is weakened by halves until it does not fold."""
        import cv2

        planes = [np.asarray(plane, dtype=np.float32) for plane in (right, down)]
        while _folds(*planes):
            planes = [np.asarray(plane / 2, dtype=np.float32) for plane in planes]
        whole = cv2.merge([np.ascontiguousarray(plane) for plane in np.broadcast_arrays(*planes)])
        return cls(cast(F32, whole), whole.shape[1], whole.shape[0])

    @cached_property
    def reach(self) -> tuple[F32, F32]:
        """Smallest and largest offset (2,)."""
        return _ends(self.offset)

    def reached(self, boxes: F64) -> F64:
        """Boxes (n, 2, 2), low and high corner, that hold all that comes from such boxes of the source."""
        least, most = self.reach
        reached = np.stack([boxes[:, 0] - most - 1, boxes[:, 1] - least + 1], axis=1)
        for i, ((x0, y0), (x1, y1)) in enumerate(np.stack([np.floor(reached[:, 0]), np.ceil(reached[:, 1])], axis=1).astype(int).tolist()):
            if 0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height:  # closer, by the offsets there
                least, most = _ends(self.offset[y0:y1, x0:x1])
                reached[i] = boxes[i, 0] - most - 1, boxes[i, 1] - least + 1
        return reached

    @cached_property
    def dense_cv(self) -> F32:
        """`dense` in cv2's law."""
        return _grid_cv(self.width, self.height) + self.offset

    def centres(self, x0: int, y0: int, x1: int, y1: int) -> F32:
        """Where in the source the pixel centres (h, w, 2) of a window come from, in the frame or out of it."""
        import cv2

        (left, right), (top, bottom) = (
            (min(max(low, 0), size - 1), max(min(high, size), 1)) for low, high, size in ((x0, x1, self.width), (y0, y1, self.height))
        )
        above, before = min(max(-y0, 0), y1 - y0 - bottom + top), min(max(-x0, 0), x1 - x0 - right + left)
        sides = above, y1 - y0 - bottom + top - above, before, x1 - x0 - right + left - before
        offset = cv2.copyMakeBorder(self.offset[top:bottom, left:right], *sides, REPLICATE)
        return cast(F32, cv2.add(grid(x0, y0, x1 - x0, y1 - y0), offset))

    def sources(self, xy: F32) -> F32:
        """Where in the source the points (h, w, 2) of the new frame come from."""
        import cv2

        there = xy - np.float32(0.5)
        moved = cv2.remap(self.offset, there, None, LINEAR, borderMode=REPLICATE)
        return cast(F32, xy + moved)

    def points(self, xy: F64) -> tuple[F64, Bool]:
        """Points (n, 2) moved, by Newton's method on the bilinear map; the second (n,) is True throughout."""
        moved, error = self._newton(xy, xy - _planar(self._offset(*xy.T)[0]))
        lost = np.flatnonzero(error > 1e-6)
        if len(lost):  # start from the nearest of a coarse grid of samples
            step = 4
            rows, columns = np.mgrid[0 : self.height : step, 0 : self.width : step]
            grid = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
            source = grid + self.offset[::step, ::step].reshape(-1, 2)
            for i in lost:
                start = grid[np.argmin(((source - xy[i]) ** 2).sum(axis=1))]
                again, left = self._newton(xy[i : i + 1], start[None])
                if left[0] < error[i]:
                    moved[i] = again[0]
        return moved, np.ones(len(xy), dtype=np.bool_)

    def _newton(self, xy: F64, start: F64) -> tuple[F64, F64]:
        """Newton's method from `start`, with steps halved until they help, since the map has kinks between pixels. Gives points and (n,)
        by how much they miss. Points are complex numbers here, x + iy: numpy is slow over an axis of two."""
        goal, at = (np.ascontiguousarray(points, dtype=np.float64).view(np.complex128)[:, 0] for points in (xy, start))
        offset, along_x, along_y = self._offset(at.real, at.imag)
        miss, share = at + offset - goal, np.ones(len(at))
        error = np.abs(miss)
        for _ in range(60):
            if not (error > _FOUND_PX).any():
                break
            a, b, c, d = 1 + along_x.real, along_y.real, along_x.imag, 1 + along_y.imag
            step = ((d * miss.real - b * miss.imag) + 1j * (a * miss.imag - c * miss.real)) / np.maximum(a * d - b * c, 1e-3)
            there = at - step * (share * np.minimum(1, 16 / np.maximum(np.abs(step), 1e-300)))
            offset, new_x, new_y = self._offset(there.real, there.imag)
            new_miss = there + offset - goal
            new_error = np.abs(new_miss)
            better = new_error < error
            if better.all():
                at, miss, error, along_x, along_y = there, new_miss, new_error, new_x, new_y
                share = np.minimum(1.0, 2 * share)
                continue
            for old, new in ((at, there), (miss, new_miss), (error, new_error), (along_x, new_x), (along_y, new_y)):
                np.copyto(old, new, where=better)
            share = np.where(better, np.minimum(1.0, 2 * share), share / 2)
        return _planar(at), error

    def _offset(self, x: F64, y: F64) -> tuple[_C128, _C128, _C128]:
        """Offsets (n,) at points, as complex numbers x + iy, and their derivatives along x and along y; those are zero outside."""
        u, v = np.clip(x - 0.5, 0, self.width - 1), np.clip(y - 0.5, 0, self.height - 1)
        column = np.minimum(u.astype(np.intp), max(self.width - 2, 0))
        row = np.minimum(v.astype(np.intp), max(self.height - 2, 0))
        right, down = int(self.width > 1), self.width * (self.height > 1)
        flat, first = self.offset.view(np.complex64).ravel(), row * self.width + column
        a, b, c, d = (flat[first + step].astype(np.complex128) for step in (0, right, down, down + right))
        u, v = u - column, v - row
        upper, lower = b - a, d - c
        along_x = (upper + (lower - upper) * v) * ((x >= 0.5) & (x <= self.width - 0.5))
        left, slope = a + (c - a) * v, upper + (lower - upper) * v
        along_y = ((c - a) + (lower - upper) * u) * ((y >= 0.5) & (y <= self.height - 0.5))
        return left + slope * u, along_x, along_y


def _planar(points: _C128) -> F64:
    """Complex numbers (n,) x + iy as (n, 2)."""
    return np.ascontiguousarray(points).view(np.float64).reshape(-1, 2)


Warp: TypeAlias = Homography | Field


def _ends(offset: F32) -> tuple[F32, F32]:
    """Smallest and largest (2,) of offsets (h, w, 2)."""
    import cv2

    least, most = (cv2.reduce(offset, 0, how) for how in (cv2.REDUCE_MIN, cv2.REDUCE_MAX))
    return least[0].min(axis=0), most[0].max(axis=0)


def _folds(right: F32, down: F32) -> bool:
    """Whether the map turns any cell of the pixel grid over or flat, by offsets that broadcast to (h, w)."""
    (ux, uy), (vx, vy) = ((_steepest(plane, 1), _steepest(plane, 0)) for plane in (right, down))
    # No cell can do so if the steepest slopes, taken together, could not.
    if max(ux, vy) < 1 and (1 - ux) * (1 - vy) - vx * uy > _FLAT:
        return False
    u, v = np.broadcast_arrays(right, down)
    if min(u.shape) < 2:
        return False
    dux, dvx, duy, dvy = u[:, 1:] - u[:, :-1] + 1, v[:, 1:] - v[:, :-1], u[1:] - u[:-1], v[1:] - v[:-1] + 1
    halves = slice(None, -1), slice(1, None)  # of a cell: the triangles at its upper left and at its lower right corner
    return any(not float((dux[half] * dvy[:, half] - dvx[half] * duy[:, half]).min()) > _FLAT for half in halves)


def _steepest(plane: F32, axis: int) -> float:
    """Largest difference between neighbours (h, w) along an axis."""
    import cv2

    ahead, back = (plane[:, 1:], plane[:, :-1]) if axis else (plane[1:], plane[:-1])
    return float(cv2.norm(ahead, back, cv2.NORM_INF)) if ahead.size else 0.0


# --- sampling ---------------------------------------------------------------------------------------------------------


def grid(x0: int, y0: int, width: int, height: int) -> F32:
    """(height, width, 2) the pixel centres of a window."""
    out = np.empty((height, width, 2), dtype=np.float32)
    out[..., 0] = np.arange(x0, x0 + width, dtype=np.float32) + np.float32(0.5)
    out[..., 1] = (np.arange(y0, y0 + height, dtype=np.float32) + np.float32(0.5))[:, None]
    return out


@lru_cache(maxsize=4)
def _grid_cv(width: int, height: int) -> F32:
    """(height, width, 2) the pixel centres of a frame in cv2's law; shared, not to be changed."""
    out = grid(0, 0, width, height) - np.float32(0.5)
    out.flags.writeable = False
    return out


def relocate(array: _Array, lattice: Homography, at: tuple[int, int] = (0, 0)) -> tuple[_Array, int, int]:
    """An array (h, w, ...) whose corner lies at pixel `at`, turned and mirrored by a map that takes pixels to pixels, and the pixel x, y
    where its corner comes to lie."""
    import cv2

    (a, b, x), (c, d, y) = lattice.steps
    (height, width), (left, top) = array.shape[:2], at
    right, bottom = left + width, top + height
    x0 = x + (min(a * left, a * right) if a else min(b * top, b * bottom))
    y0 = y + (min(d * top, d * bottom) if a else min(c * left, c * right))
    turned: Any = array if a else cv2.transpose(array)
    flip_x, flip_y = a + b < 0, c + d < 0
    if flip_x or flip_y:
        turned = cv2.flip(turned, -1 if flip_x and flip_y else int(flip_x))
    return turned, x0, y0


def sample_nearest(array: _Array, warp: Homography, outside: float = 0) -> _Array:
    """An array (h, w, ...) of labels or numbers through a homography: each new pixel takes what its centre came from, and `outside` where
    that is no pixel. The array itself if nothing moves."""
    if warp.lattice:
        turned, x0, y0 = relocate(array, warp)
        return _place(turned, x0, y0, warp.width, warp.height, outside)
    if warp.zoom:
        taken, x0, y0 = warp.zoom.take(array, (0, 0), (0, 0, warp.width, warp.height))
        return _place(taken, x0, y0, warp.width, warp.height, outside)
    return sample_window(array, warp, (0, 0), (0, 0, warp.width, warp.height), outside)


def sample_window(array: _Array, warp: Homography, at: tuple[int, int], window: tuple[int, int, int, int], outside: float = 0) -> _Array:
    """`sample_nearest` for an array whose corner lies at pixel `at` of the source, in a window (x0, y0, x1, y1) of the new frame."""
    import cv2

    x0, y0, x1, y1 = window
    inverse = _moved_origin(warp.src_from_dst, x0 + 0.5, y0 + 0.5, at[0] + 0.5, at[1] + 0.5)
    flags, size, border = NEAREST | cv2.WARP_INVERSE_MAP, (x1 - x0, y1 - y0), (outside,) * 4
    # Nearest pixels are copied bit by bit, whatever they mean, and cv2 copies floats in a third of the time.
    bits = array.view(np.float32) if array.dtype == np.int32 and outside == 0 else array
    if warp.affine:
        found = cv2.warpAffine(bits, inverse[:2], size, flags=flags, borderMode=CONSTANT, borderValue=border)
    else:
        found = cv2.warpPerspective(bits, inverse, size, flags=flags, borderMode=CONSTANT, borderValue=border)
    return cast(_Array, found.view(array.dtype))


def _moved_origin(src_from_dst: F64, x_dst: float, y_dst: float, x_src: float, y_src: float) -> F64:
    """The matrix for points counted from (x_dst, y_dst) in the new frame and from (x_src, y_src) in the source."""
    (a, b, c), (d, e, f), (g, h, i) = src_from_dst.tolist()
    i += g * x_dst + h * y_dst
    return np.array(
        [
            [a - g * x_src, b - h * x_src, c + a * x_dst + b * y_dst - i * x_src],
            [d - g * y_src, e - h * y_src, f + d * x_dst + e * y_dst - i * y_src],
            [g, h, i],
        ]
    )


def nearest(xy_cv: F32) -> Nearest:
    """The pixel that each point (rows, columns, 2) of cv2's law lies in."""
    import cv2

    return cast(Nearest, cv2.convertMaps(xy_cv, None, cv2.CV_16SC2, nninterpolation=True)[0])


def pick(array: _Array, pixels: Nearest, outside: float = 0) -> _Array:
    """An array (h, w, ...) at pixels (rows, columns, 2), column and row; `outside` where that is none."""
    import cv2

    return cast(_Array, cv2.remap(array, pixels, None, NEAREST, borderMode=CONSTANT, borderValue=(outside,) * 4))


def sample_image(image: U8, warp: Warp, interpolation: int = LINEAR, border: int = CONSTANT, fill: tuple[float, ...] = (0, 0, 0)) -> U8:
    """The picture (h, w, 3) through a map; `fill` outside it, or its edge pixels (border REPLICATE).

    Where it shrinks, pixels are averaged over the area that a new one covers (unless interpolation is NEAREST)."""
    import cv2

    if isinstance(warp, Field):
        return cast(U8, cv2.remap(image, warp.dense_cv, None, interpolation, borderMode=border, borderValue=fill))
    if warp.lattice and border == CONSTANT:
        turned, x0, y0 = relocate(image, warp)
        return _place(turned, x0, y0, warp.width, warp.height, fill)
    if interpolation == NEAREST and warp.zoom and warp.zoom.within(image.shape[1], image.shape[0]):
        return sample_nearest(image, warp)
    image, warp = _shrunk(image, warp) if interpolation != NEAREST else (image, warp)
    if warp.lattice and border == CONSTANT:
        return sample_image(image, warp, interpolation, border, fill)
    if interpolation in _RESIZES and warp.zoom and warp.zoom.within(image.shape[1], image.shape[0]):
        cut = image[warp.zoom.y0 : warp.zoom.y0 + warp.zoom.height, warp.zoom.x0 : warp.zoom.x0 + warp.zoom.width]
        return cast(U8, cv2.resize(cut, (warp.width, warp.height), interpolation=interpolation))
    inverse = _moved_origin(warp.src_from_dst, 0.5, 0.5, 0.5, 0.5)
    if _covers(image.shape[1], image.shape[0], warp):
        border = REPLICATE  # a pixel whose centre is in the picture mixes with no fill
    flags = interpolation | cv2.WARP_INVERSE_MAP
    if warp.affine:
        return cast(U8, cv2.warpAffine(image, inverse[:2], (warp.width, warp.height), flags=flags, borderMode=border, borderValue=fill))
    return cast(U8, cv2.warpPerspective(image, inverse, (warp.width, warp.height), flags=flags, borderMode=border, borderValue=fill))


def _shrunk(image: U8, warp: Homography) -> tuple[U8, Homography]:
    """The picture averaged down to about the size at which the map leaves it, and the map from there."""
    import cv2

    height, width = image.shape[:2]
    m = warp.dst_from_src
    x, y = width / 2, height / 2
    w = m[2] @ (x, y, 1)
    at = m[:2] @ (x, y, 1) / w
    along = (m[:2, :2] - np.outer(at, m[2, :2])) / w  # its derivative in the middle
    small_w, small_h = (
        max(1, min(size, round(size * s))) if (s := float(np.linalg.norm(along[:, i]))) < _SHRINKS else size
        for i, size in enumerate((width, height))
    )
    if (small_w, small_h) == (width, height):
        return image, warp
    small = cv2.resize(image, (small_w, small_h), interpolation=cv2.INTER_AREA)
    rest = warp.dst_from_src @ scaling(width / small_w, height / small_h)
    if np.abs(rest - np.round(rest)).max() < 1e-9:
        rest = np.round(rest)
    return cast(U8, small), Homography(rest, warp.width, warp.height)


def _covers(width: int, height: int, warp: Homography) -> bool:
    """Whether the source (width, height) fills the whole new frame."""
    corners = np.array([[0, 0, 1], [warp.width, 0, 1], [0, warp.height, 1], [warp.width, warp.height, 1]]) @ warp.src_from_dst.T
    if not (corners[:, 2] > 0).all():
        return False
    xy = corners[:, :2] / corners[:, 2:]
    return bool((xy >= -1e-6).all() and (xy <= np.array([width, height]) + 1e-6).all())


def _place(array: _Array, x0: int, y0: int, width: int, height: int, outside: Any) -> _Array:
    """A frame of `outside` with the array's corner at (x0, y0); the array itself if it is that already."""
    import cv2

    rows, columns = array.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x0 + columns, width), min(y0 + rows, height)
    if (left, top, right, bottom) == (0, 0, width, height):
        return cast(_Array, np.ascontiguousarray(array[-y0 : height - y0, -x0 : width - x0]))
    if left < right and top < bottom and array.dtype != np.bool_:
        inner = array[top - y0 : bottom - y0, left - x0 : right - x0]
        sides = top, height - bottom, left, width - right
        return cast(_Array, cv2.copyMakeBorder(inner, *sides, CONSTANT, value=outside if isinstance(outside, tuple) else (outside,) * 4))
    out = np.empty((height, width, *array.shape[2:]), dtype=array.dtype)
    out[...] = outside
    if left < right and top < bottom:
        out[top:bottom, left:right] = array[top - y0 : bottom - y0, left - x0 : right - x0]
    return cast(_Array, out)
