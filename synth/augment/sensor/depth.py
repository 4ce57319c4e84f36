"""What a stereo depth camera makes of true depth. Everything happens in disparity, as it does in the device.

What it does not see has no depth: inf, as in a depth map where nothing is (synth.types); the devices themselves write 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from synth.augment.sensor.fields import directions
from synth.augment.sensor.light import camera_of, check
from synth.errors import ConfigError
from synth.rand import Random, Stream, draw
from synth.types import F32, Bool, Camera, Draft
from synth.warp import to_linear

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # of linear sRGB (IEC 61966-2-1)


@dataclass(frozen=True)
class StereoDepth:
    """Depth as two imagers see it that stand baseline_m apart, or an imager and a pattern projector: the picture's camera, and the second
    one on its right (negative: on its left). A point at depth z has disparity d = f B / z, with f = focal_px or the camera's.

    In this order; all but holes are off by default:
    holes     where the second imager does not see the point: another one hides it there, or it lies outside its frame. Beside an edge
              the hole is as wide as the jump in disparity.
    dropouts  where the surface is tilted away by more than max_tilt_rad, and where less than min_return comes back: luminance times
              cos(tilt) over (z / 1 m)^2, with a random factor of exp(N(0, 0.5)).
    noise     d + N(0, noise_px): in depth a deviation of z^2 / (f B) noise_px, growing with z^2 (Khoshelham and Elberink 2012).
              Matching works on windows, so noise is alike over window_px.
    quantised to steps of subpixel px of disparity (1/8 for the first Kinect, 1/32 for current devices): z^2 / (f B) subpixel in depth.
    range     what is then not within [min_m, max_m] is dropped.
    The picture and all labels stay. Raises ConfigError for a picture without depth, and where no focal length is known.
    """

    baseline_m: Random[float] = 0.05
    noise_px: Random[float] = 0.0
    window_px: Random[float] = 1.0
    subpixel: Random[float] = 0.0
    max_tilt_rad: Random[float] = math.pi / 2
    min_return: Random[float] = 0.0
    min_m: Random[float] = 0.0
    max_m: Random[float] = 1e6
    holes: bool = True
    focal_px: Random[float] | None = None

    def __post_init__(self) -> None:
        check(self, baseline_m=(-10, 10), noise_px=(0, 100), window_px=(1, 100), subpixel=(0, 16), max_tilt_rad=(0, math.pi / 2))
        check(self, min_return=(0, 1e6), min_m=(0, 1e6), max_m=(0, 1e9), focal_px=(1, 1e6))

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        if draft.depth_m is None:
            raise ConfigError("StereoDepth: this picture has no depth map (a collage or a photo)")
        if self.focal_px is None and draft.camera is None:
            raise ConfigError(
                "StereoDepth: no camera is known after a warp or a rolling shutter; put this stage before it, or give focal_px"
            )
        focal = float(draw(self.focal_px, rng, "focal_px")) if self.focal_px is not None else _focal(draft.camera)
        px_m = focal * float(draw(self.baseline_m, rng, "baseline_m"))
        if not px_m:
            raise ConfigError("StereoDepth: baseline_m must not be 0")
        true = draft.depth_m
        disparity: F32 = np.asarray(np.float32(abs(px_m)) / np.maximum(true, 1e-6), dtype=np.float32)  # 0 where nothing is
        lost = ~np.isfinite(true)
        if self.holes:
            lost |= ~_seen_by_second(disparity if px_m > 0 else disparity[:, ::-1], px_m > 0)
        lost |= self._faint(draft, focal, rng)
        disparity = self._measured(disparity, rng)
        near, far = float(draw(self.min_m, rng, "min_m")), float(draw(self.max_m, rng, "max_m"))
        lost |= disparity <= 0
        found = np.float32(abs(px_m)) / np.where(lost, np.float32(1), disparity)
        lost |= (found < near) | (found > far)
        return replace(draft, depth_m=np.where(lost, np.float32(np.inf), found))

    def _measured(self, disparity: F32, rng: Stream) -> F32:
        import cv2

        noise, window, step = (float(draw(getattr(self, name), rng, name)) for name in ("noise_px", "window_px", "subpixel"))
        if noise:
            wild = rng.child("noise").standard_normal(disparity.shape, dtype=np.float32)
            if window > 1:
                sigma = window / math.sqrt(12)  # as wide as a box of that width
                kernel = cv2.getGaussianKernel(2 * math.ceil(4 * sigma) + 1, sigma)
                wild = cv2.sepFilter2D(wild, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
                wild /= np.float32((kernel**2).sum())  # the deviation that the filter leaves of white noise
            disparity = disparity + np.float32(noise) * wild
        if step:
            disparity = np.rint(disparity / np.float32(step)) * np.float32(step)
        return disparity

    def _faint(self, draft: Draft, focal: float, rng: Stream) -> Bool:
        """(h, w) what sends too little back, or lies too flat to be matched."""
        tilt, least = float(draw(self.max_tilt_rad, rng, "max_tilt_rad")), float(draw(self.min_return, rng, "min_return"))
        lost = np.zeros(draft.instance.shape, dtype=np.bool_)
        if tilt >= math.pi / 2 and not least:
            return lost
        depth = draft.depth_m
        assert depth is not None
        cosine = _cosine(draft, focal)
        if tilt < math.pi / 2:
            lost |= cosine < math.cos(tilt)
        if least:
            returned = (to_linear(draft.image) @ _LUMINANCE) * cosine / np.maximum(depth, np.float32(1e-3)) ** 2
            lost |= returned * np.exp(np.float32(0.5) * rng.child("return").standard_normal(lost.shape, dtype=np.float32)) < least
        return lost


def _focal(camera: Camera | None) -> float:
    assert camera is not None
    return float(camera.image_from_camera[0, 0])


def _seen_by_second(disparity: F32, unturned: bool) -> Bool:
    """(h, w) what an imager on the right sees of a picture's points: the nearest at each of its pixels, within its frame. For one on the
    left, the disparity comes mirrored and goes back so."""
    height, width = disparity.shape
    at = np.arange(width, dtype=np.float32) + np.float32(0.5) - disparity  # where it sees them
    column = np.floor(at).astype(np.intp)
    row = np.arange(height)[:, None]
    nearest = np.zeros((height, width + 2), dtype=np.float32)
    for side in (0, 1):  # a surface that faces it more is stretched there, so each point covers two pixels
        np.maximum.at(nearest, (np.broadcast_to(row, column.shape), np.clip(column + side, -1, width) + 1), disparity)
    here = nearest[row, np.clip(column, -1, width) + 1]
    seen = (at >= 0) & (disparity >= here - np.float32(1))
    return np.asarray(seen if unturned else seen[:, ::-1])


def _cosine(draft: Draft, focal: float) -> F32:
    """(h, w) cosine between each pixel's ray and its surface's normal; of the depth map's own slope where there are no normals."""
    camera, depth = draft.camera, draft.depth_m
    assert depth is not None
    if camera is None:
        camera = camera_of(draft, 2 * math.atan(draft.size[0] / 2 / focal), "StereoDepth")
    xy = directions(camera)
    ray = np.dstack([xy, np.ones(depth.shape, dtype=np.float32)])
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    normals = draft.normals
    if normals is None:
        normals = _slopes(depth, ray)
    return np.asarray(np.abs((normals * ray).sum(axis=-1)), dtype=np.float32)


def _slopes(depth_m: F32, ray: F32) -> F32:
    """Normals (h, w, 3) of a depth map: of the plane through each pixel and its nearer neighbours, so that edges do not tilt them."""
    points = np.where(np.isfinite(depth_m), depth_m, np.float32(1e6))[..., None] * (ray / ray[..., 2:])
    steps = []
    for axis in (1, 0):
        if depth_m.shape[axis] < 2:
            return np.broadcast_to(-ray, points.shape).astype(np.float32)
        ahead = np.diff(points, axis=axis)
        first, last = np.take(ahead, [0], axis=axis), np.take(ahead, [-1], axis=axis)
        after, before = np.concatenate([ahead, last], axis=axis), np.concatenate([first, ahead], axis=axis)
        nearer = np.abs(after[..., 2:]) < np.abs(before[..., 2:])
        steps.append(np.where(nearer, after, before))
    normal = np.cross(steps[0], steps[1])
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-20), dtype=np.float32)
