"""Geometric maps of the picture plane: everything that a geometric stage moves follows from one of these.

Both maps work in synth's pixel law (corner of the top-left pixel at (0, 0), centres at +0.5) and go from a source frame to a frame of
`width` x `height`. cv2 puts centres at whole numbers: it is converted where it is called, here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from synth.types import F32, F64, U8, Bool, frozen_array

NEAREST, LINEAR = 0, 1  # cv2's numbers
CONSTANT, REPLICATE = 0, 1

_Array = TypeVar("_Array", bound=npt.NDArray[Any])
_NEAR_HORIZON = 1e-3
"""Points are followed to where a homography magnifies lengths 1000 times as much as in the middle of the frame; beyond lies its
horizon, where a straight line leaves the plane."""
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
        return bool(np.linalg.det(self.dst_from_src) < 0)

    @cached_property
    def lattice(self) -> bool:
        """It takes pixels to pixels: turns by right angles, mirrors and whole shifts, so that nothing is resampled."""
        m = self.dst_from_src
        return bool(self.affine and m[2, 2] == 1 and (m == np.round(m)).all() and (np.abs(m[:2, :2]).sum(axis=1) == 1).all())

    def points(self, xy: F64) -> tuple[F64, Bool]:
        """Points (n, 2) moved, and (n,) which of them have a place: those behind the horizon have none and become (0, 0)."""
        moved = xy @ self.dst_from_src[:, :2].T + self.dst_from_src[:, 2]
        there = np.asarray(moved[:, 2] > self.horizon)
        return np.where(there[:, None], moved[:, :2] / np.where(there, moved[:, 2], 1)[:, None], 0.0), there

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
    def of(cls, offset: npt.NDArray[Any]) -> Field:
        """From offsets (h, w, 2). A map that folds the picture over would give a point two places: it is weakened by halves until it
        does not fold."""
        whole: F32 = np.ascontiguousarray(offset, dtype=np.float32)
        while _folds(whole):
            whole = np.asarray(whole / 2, dtype=np.float32)
        return cls(whole, whole.shape[1], whole.shape[0])

    @cached_property
    def reach(self) -> tuple[F32, F32]:
        """Smallest and largest offset (2,)."""
        planes = self.offset[..., 0], self.offset[..., 1]
        return np.array([p.min() for p in planes]), np.array([p.max() for p in planes])

    @cached_property
    def dense(self) -> F32:
        """(height, width, 2) where every pixel centre comes from."""
        return grid(0, 0, self.width, self.height) + self.offset

    def sources(self, xy: F32) -> F32:
        """Where in the source the points (h, w, 2) of the new frame come from."""
        import cv2

        there = xy - np.float32(0.5)
        moved = cv2.remap(self.offset, there, None, LINEAR, borderMode=REPLICATE)
        return cast(F32, xy + moved)

    def points(self, xy: F64) -> tuple[F64, Bool]:
        """Points (n, 2) moved, by Newton's method on the bilinear map; the second (n,) is True throughout."""
        moved, error = self._newton(xy, xy - self._offset(xy)[0])
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
        """Newton's method from `start`, with steps halved until they help, since the map has kinks between pixels."""
        at, share = start.copy(), np.ones(len(start))
        offset, slope = self._offset(at)
        miss = at + offset - xy
        for _ in range(60):
            error = np.abs(miss).max(axis=1, initial=0.0)
            if not (error > 1e-9).any():
                break
            a, b, c, d = 1 + slope[:, 0, 0], slope[:, 0, 1], slope[:, 1, 0], 1 + slope[:, 1, 1]
            det = np.maximum(a * d - b * c, 1e-3)
            step = np.stack([d * miss[:, 0] - b * miss[:, 1], a * miss[:, 1] - c * miss[:, 0]], axis=1) / det[:, None]
            there = at - np.clip(step, -16, 16) * share[:, None]
            offset, new_slope = self._offset(there)
            new_miss = there + offset - xy
            better = np.abs(new_miss).max(axis=1, initial=0.0) < error
            at[better], miss[better], slope[better] = there[better], new_miss[better], new_slope[better]
            share = np.where(better, np.minimum(1.0, 2 * share), share / 2)
        return at, np.abs(miss).max(axis=1, initial=0.0)

    def _offset(self, xy: F64) -> tuple[F64, F64]:
        """Offsets (n, 2) at points (n, 2) and their derivative (n, 2, 2), d offset_i / d xy_j; zero outside the frame."""
        size = np.array([self.width, self.height])
        grid = xy - 0.5
        held = np.clip(grid, 0, size - 1)
        corner = np.minimum(held.astype(np.intp), np.maximum(size - 2, 0))
        u, v = (held - corner).T[..., None]
        (x0, y0), (x1, y1) = corner.T, np.minimum(corner + 1, size - 1).T
        a, b, c, d = (self.offset[y, x].astype(np.float64) for y, x in ((y0, x0), (y0, x1), (y1, x0), (y1, x1)))
        value = (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v
        slope = np.stack([(b - a) * (1 - v) + (d - c) * v, (c - a) * (1 - u) + (d - b) * u], axis=-1)
        slope[(grid != held)[:, 0], :, 0] = 0
        slope[(grid != held)[:, 1], :, 1] = 0
        return value, slope


Warp: TypeAlias = Homography | Field


def _folds(offset: F32) -> bool:
    """Whether the map turns any cell of the pixel grid over or flat."""
    if min(offset.shape[:2]) < 2:
        return False
    u, v = np.ascontiguousarray(offset[..., 0]), np.ascontiguousarray(offset[..., 1])
    ux, vx, uy, vy = u[:, 1:] - u[:, :-1] + 1, v[:, 1:] - v[:, :-1], u[1:] - u[:-1], v[1:] - v[:-1] + 1
    halves = slice(None, -1), slice(1, None)  # of a cell: the triangles at its upper left and at its lower right corner
    return any(not float((ux[half] * vy[:, half] - vx[half] * uy[:, half]).min()) > 0.02 for half in halves)


# --- sampling ---------------------------------------------------------------------------------------------------------


def grid(x0: int, y0: int, width: int, height: int) -> F32:
    """(height, width, 2) the pixel centres of a window."""
    out = np.empty((height, width, 2), dtype=np.float32)
    out[..., 0] = np.arange(x0, x0 + width, dtype=np.float32) + np.float32(0.5)
    out[..., 1] = (np.arange(y0, y0 + height, dtype=np.float32) + np.float32(0.5))[:, None]
    return out


def relocate(array: _Array, lattice: Homography, at: tuple[int, int] = (0, 0)) -> tuple[_Array, int, int]:
    """An array (h, w, ...) whose corner lies at pixel `at`, turned and mirrored by a map that takes pixels to pixels, and the pixel x, y
    where its corner comes to lie."""
    import cv2

    m = lattice.dst_from_src.astype(int)
    height, width = array.shape[:2]
    corners = (np.array([[0, 0], [width, height]]) + at) @ m[:2, :2].T + m[:2, 2]
    x0, y0 = corners.min(axis=0)
    turned: Any = array if m[0, 0] else cv2.transpose(array)
    flip_x, flip_y = m[0, 0] + m[0, 1] < 0, m[1, 0] + m[1, 1] < 0
    if flip_x or flip_y:
        turned = cv2.flip(turned, -1 if flip_x and flip_y else int(flip_x))
    return turned, int(x0), int(y0)


def sample_nearest(array: _Array, warp: Homography, outside: float = 0) -> _Array:
    """An array (h, w, ...) of labels or numbers through a homography: each new pixel takes what its centre came from, and `outside` where
    that is no pixel. The array itself if nothing moves."""
    if warp.lattice:
        turned, x0, y0 = relocate(array, warp)
        return _place(turned, x0, y0, warp.width, warp.height, outside)
    return sample_window(array, warp, (0, 0), (0, 0, warp.width, warp.height), outside)


def sample_window(array: _Array, warp: Homography, at: tuple[int, int], window: tuple[int, int, int, int], outside: float = 0) -> _Array:
    """`sample_nearest` for an array whose corner lies at pixel `at` of the source, in a window (x0, y0, x1, y1) of the new frame."""
    import cv2

    x0, y0, x1, y1 = window
    inverse = _moved_origin(warp.src_from_dst, x0 + 0.5, y0 + 0.5, at[0] + 0.5, at[1] + 0.5)
    flags, size, border = NEAREST | cv2.WARP_INVERSE_MAP, (x1 - x0, y1 - y0), (outside,) * 4
    if warp.affine:
        return cast(_Array, cv2.warpAffine(array, inverse[:2], size, flags=flags, borderMode=CONSTANT, borderValue=border))
    return cast(_Array, cv2.warpPerspective(array, inverse, size, flags=flags, borderMode=CONSTANT, borderValue=border))


def _moved_origin(src_from_dst: F64, x_dst: float, y_dst: float, x_src: float, y_src: float) -> F64:
    """The matrix for points counted from (x_dst, y_dst) in the new frame and from (x_src, y_src) in the source."""
    m = src_from_dst.copy()
    m[:, 2] += m[:, 0] * x_dst + m[:, 1] * y_dst
    m[0] -= m[2] * x_src
    m[1] -= m[2] * y_src
    return m


def pick_nearest(array: _Array, xy: F32, outside: float = 0, at: tuple[int, int] = (0, 0)) -> _Array:
    """An array (h, w, ...) whose corner lies at pixel `at`, at points (rows, columns, 2): the pixel each lies in, and `outside` where that
    is none."""
    import cv2

    # As complex numbers, since numpy is slow over an axis of two.
    there = (xy.view(np.complex64) - np.complex64(complex(at[0] + 0.5, at[1] + 0.5))).view(np.float32)
    return cast(_Array, cv2.remap(array, there, None, NEAREST, borderMode=CONSTANT, borderValue=(outside,) * 4))


def sample_image(image: U8, warp: Warp, interpolation: int = LINEAR, border: int = CONSTANT, fill: tuple[float, ...] = (0, 0, 0)) -> U8:
    """The picture (h, w, 3) through a map; `fill` outside it, or its edge pixels (border REPLICATE).

    Where it shrinks, pixels are averaged over the area that a new one covers (unless interpolation is NEAREST)."""
    import cv2

    if isinstance(warp, Field):
        xy = warp.dense - np.float32(0.5)
        return cast(U8, cv2.remap(image, xy, None, interpolation, borderMode=border, borderValue=fill))
    if warp.lattice and border == CONSTANT:
        turned, x0, y0 = relocate(image, warp)
        return _place(turned, x0, y0, warp.width, warp.height, fill)
    image, warp = _shrunk(image, warp) if interpolation != NEAREST else (image, warp)
    if warp.lattice and border == CONSTANT:
        return sample_image(image, warp, interpolation, border, fill)
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
    rows, columns = array.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x0 + columns, width), min(y0 + rows, height)
    if (left, top, right, bottom) == (0, 0, width, height):
        return cast(_Array, np.ascontiguousarray(array[-y0 : height - y0, -x0 : width - x0]))
    out = np.empty((height, width, *array.shape[2:]), dtype=array.dtype)
    out[...] = outside
    if left < right and top < bottom:
        out[top:bottom, left:right] = array[top - y0 : bottom - y0, left - x0 : right - x0]
    return cast(_Array, out)
