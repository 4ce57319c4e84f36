"""Maps of the picture plane that are known as functions, both ways: the lens and the rolling shutter.

A function that costs much (the inverse of a lens takes Newton's method) is computed on nodes some px apart and interpolated by cubic
splines; for the smooth maps of a camera that errs by less than a hundredth of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from synth.augment.sensor.light import Points
from synth.augment.warp import LINEAR, REPLICATE, Field, grid
from synth.errors import ConfigError
from synth.geometry import checked_rays
from synth.types import F32, F64, Bool, Camera, Draft


def step_px(width: int, height: int) -> float:
    """Between nodes: 16 px, less in small pictures, where so many px are a large part of the field of view."""
    return min(16.0, max(width, height) / 8)


@dataclass(frozen=True, eq=False)
class SmoothField(Field):
    """A field that is known outside of the frame, too, and backwards.

    forward: where a point of the source is in the new frame. around (rows, columns, 2): offsets at nodes `step` px apart, the first at
    `corner` (x, y), over the frame and all that silhouettes reach.
    """

    around: F32
    corner: tuple[float, float]
    step: float
    forward: Points

    @cached_property
    def reach(self) -> tuple[F32, F32]:
        return self.around.min(axis=(0, 1)), self.around.max(axis=(0, 1))

    def centres(self, x0: int, y0: int, x1: int, y1: int) -> F32:
        if min(x0, y0) >= 0 and x1 <= self.width and y1 <= self.height:
            return super().centres(x0, y0, x1, y1)
        return self.sources(grid(x0, y0, x1 - x0, y1 - y0))

    def sources(self, xy: F32) -> F32:
        import cv2

        inside = np.asarray(((xy >= 0) & (xy <= (self.width, self.height))).all(axis=-1))
        if inside.all():
            return super().sources(xy)
        node = (xy - np.array(self.corner, dtype=np.float32)) / np.float32(self.step)
        outer = xy + cv2.remap(self.around, node, None, LINEAR, borderMode=REPLICATE)
        return np.where(inside[..., None], super().sources(xy), outer)

    def points(self, xy: F64) -> tuple[F64, Bool]:
        return self.forward(xy), np.ones(len(xy), dtype=np.bool_)


def smooth_field(draft: Draft, backward: Points, forward: Points) -> SmoothField:
    """The map of a draft's frame to one of the same size: `backward` says where points of the new frame come from."""
    width, height = draft.size
    windows = [item.silhouette for item in draft.instances if item.silhouette.bits.size]
    boxes = [(w.x0, w.y0, w.x0 + w.bits.shape[1], w.y0 + w.bits.shape[0]) for w in windows]
    edges = [_edge(*box) for box in boxes if min(box[:2]) < 0 or box[2] > width or box[3] > height]
    reached = np.concatenate([np.array([[0.0, 0.0], [width, height]]), *(forward(edge) for edge in edges)])
    step = step_px(width, height)
    low = np.maximum(reached.min(axis=0), (-width, -height))  # the window that silhouettes are kept in
    high = np.minimum(reached.max(axis=0), (2 * width, 2 * height))
    x, y = (np.arange(a - step, b + 2 * step, step) for a, b in zip(low, high, strict=True))
    nodes = np.stack(np.meshgrid(x, y), axis=-1)
    offset = backward(nodes.reshape(-1, 2)).reshape(nodes.shape) - nodes
    dense = _interpolated(x, y, offset, width, height)
    return SmoothField(dense, width, height, offset.astype(np.float32), (float(x[0]), float(y[0])), step, forward)


def _edge(x0: float, y0: float, x1: float, y1: float, points: int = 17) -> F64:
    """Points along the edges of a box."""
    share = np.linspace(0, 1, points)
    x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
    ends = np.ones(points)
    return np.stack([np.concatenate([x, x, x0 * ends, x1 * ends]), np.concatenate([y0 * ends, y1 * ends, y, y])], axis=1)


def _interpolated(x: F64, y: F64, values: F64, width: int, height: int) -> F32:
    """(height, width, 2) at the pixel centres, from values (rows, columns, 2) at nodes."""
    across, down = _spline(tuple(x), width), _spline(tuple(y), height)
    return np.stack([(down @ values[..., i] @ across.T).astype(np.float32) for i in range(2)], axis=-1)


@lru_cache(maxsize=8)
def _spline(nodes: tuple[float, ...], length: int) -> F64:
    """(length, nodes): the weights by which a cubic spline through nodes gives the values at 0.5, 1.5, ..."""
    from scipy.interpolate import CubicSpline

    return np.asarray(CubicSpline(nodes, np.eye(len(nodes)))(np.arange(length) + 0.5), dtype=np.float64)


def zoom_that_fills(backward: Points, width: int, height: int) -> float:
    """By how much the new picture must be enlarged about its middle so that nothing in it comes from outside the source."""
    middle = np.array([width, height]) / 2
    border, zoom = _edge(0.0, 0.0, width, height, 33) - middle, 1.0
    for _ in range(40):
        overshoot = float((np.abs(backward(middle + border / zoom) - middle) / middle).max())
        if overshoot <= 1 + 1e-9:
            return zoom
        zoom *= overshoot + 1e-6
    raise ConfigError("the picture cannot be enlarged so far that no edge shows; weaken the distortion or the motion")


def directions(camera: Camera) -> F32:
    """(h, w, 2) x/z and y/z of the ray of each pixel centre, lens undone; shared, not to be changed. Raises ConfigError where the lens
    folds the picture."""
    return _directions(tuple(camera.image_from_camera.ravel().tolist()), camera.width, camera.height, camera.distortion)


@lru_cache(maxsize=2)  # several steps of one sample ask for the same camera
def _directions(k: tuple[float, ...], width: int, height: int, distortion: tuple[float, float, float, float, float]) -> F32:
    camera = Camera(np.reshape(k, (3, 3)), width, height, np.eye(4), distortion)
    step = step_px(width, height)
    x, y = (np.linspace(0, length, max(2, math.ceil(length / step) + 1)) for length in (width, height))
    nodes = np.stack(np.meshgrid(x, y), axis=-1)
    return _interpolated(x, y, checked_rays(camera, nodes)[..., :2], width, height)
