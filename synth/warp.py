"""Cut-outs resampled into a frame: premultiplied, in linear light, each pixel the mean over its own area.

A pixel's colour and coverage are the means over a grid of 2 x 2 or 4 x 4 samples in it, each taken bilinearly from a copy of the cut-out
that was shrunk by area to about the samples' distance. So nothing flickers or fringes, however far a cut-out is shrunk, and half coverage
lies on the edge to a few hundredths of a pixel. A silhouette is where more than half of a pixel is covered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from synth.channels import alpha_of, colour_of, joined, repeated
from synth.types import F32, F64, U8, Bool, Cutout, Index, Window

NEAR = 1e-3
"""What is nearer to the viewer than this share of a plane's farthest part is cut off, as by the near plane of a camera."""

_CODES = 65535  # steps of linear light that have an sRGB byte each: fine enough that every byte comes back
_COARSE_PX = 1024  # what lies beyond the kept window is counted on a canvas of this size
_MOSTLY_IN = 1.6  # of a cut-out so little beyond what is drawn, its colour is drawn there, too: one pass is quicker than two
_SMALL_PX = 64 * 64  # up to this many pixels, 4 x 4 samples a pixel; beyond, 2 x 2


# --- linear light -----------------------------------------------------------------------------------------------------


@cache
def _linear_of_byte() -> F32:
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@cache
def _byte_of_linear() -> U8:
    value = np.arange(_CODES + 1) / _CODES
    encoded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(encoded * 255), dtype=np.uint8)


def to_linear(image: U8) -> F32:
    """sRGB bytes to linear light in [0, 1] (IEC 61966-2-1)."""
    import cv2

    if not image.size:
        return np.zeros(image.shape, np.float32)
    linear: F32 = cv2.LUT(np.ascontiguousarray(image).reshape(1, -1), _linear_of_byte())
    return linear.reshape(image.shape)


def to_srgb(linear: F32) -> U8:
    """Linear light to sRGB bytes, clipped. Bytes that came through `to_linear` come back as they were."""
    import cv2

    if not linear.size:
        return np.zeros(linear.shape, np.uint8)
    codes = cv2.multiply(np.ascontiguousarray(linear).reshape(1, -1), float(_CODES), dtype=cv2.CV_16U)  # rounded and clipped
    bytes_: U8 = np.take(_byte_of_linear(), codes).reshape(linear.shape)
    return bytes_


def premultiplied(rgba: U8) -> F32:
    """(h, w, 4) in linear light, colours times alpha."""
    alpha = alpha_of(rgba) / np.float32(255)
    linear: F32 = joined(to_linear(colour_of(rgba)) * repeated(alpha), alpha)
    return linear


# --- a cut-out, made ready once ---------------------------------------------------------------------------------------


class _Ready:
    """What is computed once for a cut-out: shrunk copies of it, premultiplied and linear, and its edge."""

    def __init__(self, cutout: Cutout) -> None:
        alpha = alpha_of(cutout.rgba)
        rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
        # Bilinear samples reach half a pixel beyond the outermost ones.
        self.low = np.array([columns[0], rows[0]]) - 0.5
        self.high = np.array([columns[-1], rows[-1]]) + 1.5
        self.hull = _hull(_edge_points(alpha))
        self.levels = tuple(math.ceil(math.log2(side)) for side in self.high - self.low)  # the last one is a single pixel
        (x0, y0), (x1, y1) = self.low, self.high
        self.corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])  # of the rectangle that holds all of it, in order around it
        self._shrunk: dict[tuple[int, int], F32] = {(0, 0): premultiplied(cutout.rgba)}
        self._alpha: dict[tuple[int, int], F32] = {}
        across, down = (np.linspace(a, b, 9) for a, b in zip(self.low, self.high, strict=True))
        self.grid = np.stack([np.tile(across, 9), np.repeat(down, 9)], axis=1)  # (81, 2) points all over it

    def alpha(self, level_x: int, level_y: int) -> F32:
        """The last channel of `shrunk`, on its own."""
        if (level_x, level_y) not in self._alpha:
            self._alpha[level_x, level_y] = alpha_of(self.shrunk(level_x, level_y))
        return self._alpha[level_x, level_y]

    def shrunk(self, level_x: int, level_y: int) -> F32:
        """The cut-out (h, w, 4), each side divided by 2**level and rounded up."""
        import cv2

        if (level_x, level_y) not in self._shrunk:
            full = self._shrunk[0, 0]
            size = math.ceil(full.shape[1] / 2**level_x), math.ceil(full.shape[0] / 2**level_y)
            self._shrunk[level_x, level_y] = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        return self._shrunk[level_x, level_y]


_ready: WeakKeyDictionary[Cutout, _Ready] = WeakKeyDictionary()


def _of(cutout: Cutout) -> _Ready:
    if cutout not in _ready:
        _ready[cutout] = _Ready(cutout)
    return _ready[cutout]


def _edge_points(alpha: U8) -> F64:
    """(n, 2) where alpha, interpolated between pixel centres, first and last passes a half, along every row and every column."""
    points = []
    for turned in (False, True):
        lines = np.ascontiguousarray(alpha.T) if turned else alpha
        inside = lines >= 128
        line = np.flatnonzero(inside.any(axis=1))
        lines, inside = lines[line], inside[line]
        for flip in (False, True):
            lines, inside = (lines[:, ::-1], inside[:, ::-1]) if flip else (lines, inside)
            first, number = inside.argmax(axis=1), np.arange(len(line))
            before = np.where(first > 0, lines[number, np.maximum(first, 1) - 1], 0)
            outer, inner = (values / 255 - 0.5 for values in (before, lines[number, first]))
            at = first - 0.5 + outer / (outer - inner)
            at = lines.shape[1] - at if flip else at
            points.append(np.stack([line + 0.5, at] if turned else [at, line + 0.5], axis=1))
    return np.concatenate(points)


def _hull(points: F64) -> F64:
    """Corners (m, 2) of the convex hull, in order around it. By OpenCV, which is quick where many points lie on straight edges."""
    import cv2

    return np.asarray(cv2.convexHull(points.astype(np.float32)).reshape(-1, 2), dtype=np.float64)


# --- planes -----------------------------------------------------------------------------------------------------------


def through(image_from_layer: F64, xy: Any) -> tuple[F64, F64]:
    """Points (n, 2) of a layer in px of the image, (n, 2), and their w (n,); where w <= 0 they are behind the viewer, and at (0, 0)."""
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2) @ image_from_layer[:, :2].T + image_from_layer[:, 2]
    w = points[:, 2]
    front = w > 0
    moved = np.zeros((len(points), 2))
    moved[front] = points[front, :2] / w[front, None]
    return moved, w


def _clipped(image_from_layer: F64, polygon: F64) -> F64:
    """Corners (n, 2) of a convex polygon of the layer, cut to what is in front of the viewer."""
    w = polygon @ image_from_layer[2, :2] + image_from_layer[2, 2]
    if not len(w) or w.max() <= 0:
        return np.zeros((0, 2))
    depth = w - NEAR * w.max()
    if depth.min() >= 0:
        return polygon
    after, depth_after = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
    cut = np.flatnonzero((depth >= 0) != (depth_after >= 0))
    share = (depth[cut] / (depth[cut] - depth_after[cut]))[:, None]
    return np.concatenate([polygon[depth >= 0], polygon[cut] + share * (after[cut] - polygon[cut])])


def extent(cutout: Cutout) -> tuple[F64, F64]:
    """The low and high corner (2,) of what is opaque of a cut-out, px of it."""
    hull = _of(cutout).hull
    return hull.min(axis=0), hull.max(axis=0)


def outline(cutout: Cutout, image_from_layer: F64) -> F64:
    """(n, 2) px of the image: corners of the hull of all that the cut-out covers, in or out of the frame; (0, 2) if it is behind."""
    return through(image_from_layer, _clipped(image_from_layer, _of(cutout).hull))[0]


# --- into the frame ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A cut-out in a frame. rgba (h, w, 4): premultiplied, linear, of its part within the frame grown by a margin; its corner is pixel
    (x0, y0) of the frame. silhouette: all it covers by more than half."""

    rgba: F32
    x0: int
    y0: int
    silhouette: Window


_NOTHING = Window(np.zeros((0, 0), dtype=np.bool_), 0, 0)


def place(cutout: Cutout, image_from_layer: F64, width: int, height: int, margin: int = 0) -> Placed:
    """The cut-out through a homography. margin: px around the frame that are drawn, too."""
    span = _span(cutout, image_from_layer, width, height)
    if span is None:
        return Placed(np.zeros((0, 0, 4), np.float32), 0, 0, _NOTHING)
    low, high = np.maximum(span.low, -margin), np.minimum(span.high, (width + margin, height + margin))
    high = np.maximum(high, low)
    sampler = _Sampler(_of(cutout), image_from_layer, low, high)
    if np.prod(span.high - span.low) <= _MOSTLY_IN * np.prod(high - low):
        whole = sampler.window(span.low, span.high)
        rgba, alpha = _cut(whole, span.low, low, high), whole[..., 3].copy()
    else:
        rgba, alpha = sampler.window(low, high), sampler.window(span.low, span.high, alpha_only=True)
        # What is drawn and what is labelled are one, to the last bit.
        _cut(alpha, span.low, low, high)[:] = rgba[..., 3]
    return Placed(rgba, int(low[0]), int(low[1]), _silhouette(cutout, image_from_layer, span, alpha))


def silhouette(cutout: Cutout, image_from_layer: F64, width: int, height: int) -> Window:
    """That of `place`, to within rounding, and nothing drawn."""
    span = _span(cutout, image_from_layer, width, height)
    if span is None:
        return _NOTHING
    low = np.maximum(span.low, 0)
    sampler = _Sampler(_of(cutout), image_from_layer, low, np.maximum(np.minimum(span.high, (width, height)), low))
    return _silhouette(cutout, image_from_layer, span, sampler.window(span.low, span.high, alpha_only=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """Low and high corner (2,), px of the image: of all that a cut-out may cover, and of what of that is kept."""

    low_all: F64
    high_all: F64
    low: Index
    high: Index


def _span(cutout: Cutout, image_from_layer: F64, width: int, height: int) -> _Span | None:
    """None: it is behind the viewer."""
    corners = through(image_from_layer, _clipped(image_from_layer, _of(cutout).corners))[0]
    if not len(corners):
        return None
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    frame = np.array([width, height])
    held = np.minimum(np.maximum((low, high), -frame), 2 * frame).astype(np.intp)
    return _Span(low, high, held[0], held[1])


def _cut(pixels: F32, corner: Index, low: Index, high: Index) -> F32:
    """The view of px low..high of the image, of pixels whose corner is px `corner`; empty where low is high."""
    (left, top), (right, bottom) = low - corner, high - corner
    return pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]


def _silhouette(cutout: Cutout, image_from_layer: F64, span: _Span, alpha: F32) -> Window:
    bits = _mostly(alpha)
    beyond_px = 0.0
    if (span.low_all < span.low).any() or (span.high_all > span.high).any():
        low, size = span.low_all, span.high_all - span.low_all
        cell = max(1.0, float(size.max()) / _COARSE_PX)
        coarse_from_image = np.array([[1 / cell, 0, -low[0] / cell], [0, 1 / cell, -low[1] / cell], [0, 0, 1]])
        cells, zero = np.ceil(size / cell).astype(np.intp), np.zeros(2, dtype=np.intp)
        whole = _mostly(_Sampler(_of(cutout), coarse_from_image @ image_from_layer, zero, cells).window(zero, cells, alpha_only=True))
        beyond_px = max(0.0, float(whole.sum()) * cell**2 - float(bits.sum()))
    return Window(bits, int(span.low[0]), int(span.low[1]), beyond_px)


def _mostly(alpha: F32) -> Bool:
    """(h, w) where more than half is covered. Of two opposite edges that cover exactly half of a pixel the left or top one gets it."""
    bits: Bool = alpha > 0.5
    even = (alpha > 0.5 - 1e-5) & (alpha < 0.5 + 1e-5)
    if even.any():
        row, column = np.nonzero(even)
        around = np.pad(alpha, 1)
        rightward = around[row + 1, column + 2] - around[row + 1, column]
        downward = around[row + 2, column + 1] - around[row, column + 1]
        bits[row, column] = np.where(np.abs(rightward) > 1e-3, rightward, downward) > 0
    return bits


_INDEX_FROM_PX = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])


class _Sampler:
    """Reads windows of the image from a cut-out, at a fineness that is chosen once, for the part within low..high (px of the image)."""

    def __init__(self, ready: _Ready, image_from_layer: F64, low: Any, high: Any) -> None:
        self.layer_from_image = np.linalg.inv(image_from_layer)
        self.front = ready.corners @ image_from_layer[2, :2] + image_from_layer[2, 2]
        step_x, step_y = _steps(image_from_layer, ready, low, high)
        self.samples = 1 if min(step_x, step_y) >= 1 else 4 if np.prod(high - low) <= _SMALL_PX else 2
        level_x, level_y = (
            min(max(math.ceil(-math.log2(max(self.samples * step, 1e-9))), 0), limit)
            for step, limit in zip((step_x, step_y), ready.levels, strict=True)
        )
        self.ready, self.level = ready, (level_x, level_y)
        (rows, columns), (full_rows, full_columns) = ready.alpha(level_x, level_y).shape, ready.shrunk(0, 0).shape[:2]
        self.source_from_layer = np.array([[columns / full_columns, 0, 0], [0, rows / full_rows, 0], [0, 0, 1.0]])

    def window(self, low: Any, high: Any, alpha_only: bool = False) -> F32:
        """(h, w, 4) rgba, or (h, w) alpha, of pixels low..high of the image."""
        import cv2

        width, height = (int(v) for v in high - low)
        k = self.samples
        if width <= 0 or height <= 0:
            return np.zeros((max(height, 0), max(width, 0)) if alpha_only else (max(height, 0), max(width, 0), 4), np.float32)
        # OpenCV counts from pixel centres, on both sides.
        image_from_sample = np.array([[1 / k, 0, low[0] + 0.5 / k], [0, 1 / k, low[1] + 0.5 / k], [0, 0, 1]])
        matrix = _INDEX_FROM_PX @ self.source_from_layer @ self.layer_from_image @ image_from_sample
        source = self.ready.alpha(*self.level) if alpha_only else self.ready.shrunk(*self.level)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        if self.front.min() == self.front.max():
            fine = cv2.warpAffine(source, (matrix / matrix[2, 2])[:2], (k * width, k * height), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        else:
            fine = cv2.warpPerspective(source, matrix, (k * width, k * height), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        near = NEAR * self.front.max()
        if self.front.min() < near:  # the plane passes the viewer: what is behind would show upside down
            a, b, c = self.layer_from_image[2] @ image_from_sample
            inverse_w = a * np.arange(k * width) + (b * np.arange(k * height) + c)[:, None]
            fine[(inverse_w <= 0) | (inverse_w > 1 / near)] = 0
        drawn: F32 = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) if k > 1 else fine
        return drawn


def _steps(image_from_layer: F64, ready: _Ready, low: Any, high: Any) -> tuple[float, float]:
    """How long one px of the layer is in the image along its x and its y, where it is shortest among what is in the window."""
    if not image_from_layer[2, :2].any():
        step_x, step_y = np.linalg.norm(image_from_layer[:2, :2], axis=0) / image_from_layer[2, 2]
        return float(step_x), float(step_y)
    xy, w = through(image_from_layer, ready.grid)
    x, y = xy.T
    front = w > NEAR * w.max()
    inside = front & (x >= low[0]) & (y >= low[1]) & (x <= high[0]) & (y <= high[1])
    some = inside if inside.any() else front
    x, y, w = x[some], y[some], w[some]
    (a, b, _), (c, d, _), (e, f, _) = image_from_layer.tolist()
    # (n,) how far a px of the layer along x and along y reaches in the image
    across, down = np.hypot(a - x * e, c - y * e) / w, np.hypot(b - x * f, d - y * f) / w
    # Where the plane is strongly foreshortened, its far part may be a little too sharp, lest its near part be too soft.
    return max(float(across.min()), float(across.max()) / 8), max(float(down.min()), float(down.max()) / 8)


# --- photos -----------------------------------------------------------------------------------------------------------


def cover(photo: U8, width: int, height: int, zoom: float = 1.0, at: tuple[float, float] = (0.5, 0.5), mirror: bool = False) -> U8:
    """A part of a photo (h, w, 3) of the frame's proportions, resized to (height, width): the largest there is, over zoom; `at`: where
    it lies in what is left, (0, 0) top left, (1, 1) bottom right; `mirror`: left and right change places."""
    import cv2

    rows, columns = photo.shape[:2]
    scale = min(columns / width, rows / height) / zoom
    part = max(1, min(columns, round(width * scale))), max(1, min(rows, round(height * scale)))
    x0, y0 = round((columns - part[0]) * at[0]), round((rows - part[1]) * at[1])
    cut = photo[y0 : y0 + part[1], x0 : x0 + part[0]]
    shrinks = scale > 1
    sized: U8 = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(cv2.flip(sized, 1) if mirror else sized, dtype=np.uint8)
