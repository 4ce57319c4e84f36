"""Pictures through a distorting lens, for renderers that draw pinhole pictures only.

Labels are painted by the `flat` renderer, which follows every pixel's own ray, so they stay exact. Colour is drawn by a pinhole camera
that sees at least as much, at twice the resolution, and moved to where the lens puts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from synth.errors import RenderError
from synth.geometry import checked_rays, pixel_centers
from synth.render.flat import FlatRenderer
from synth.types import F32, F64, U8, Camera, Frame, World

_OVERSAMPLE = 2
_WIDEST = 4.0  # tangent of the half angle that a pinhole picture can still hold: 76 degrees


def through_lens(world: World, draw_rgb: Callable[[World], U8], normals: bool) -> Frame:
    """The frame of a world whose camera has distortion; `draw_rgb` draws a pinhole world's colours."""
    import cv2

    pinhole, maps = _lens(_key(world.camera))
    rgb = draw_rgb(replace(world, camera=replace(pinhole, world_from_camera=world.camera.world_from_camera)))
    samples = [cv2.remap(rgb, map_xy, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for map_xy in maps]
    labels = FlatRenderer().render(world, normals=normals)
    return replace(labels, rgb=np.mean(samples, axis=0).round().astype(np.uint8))


def _key(camera: Camera) -> tuple[float, ...]:
    """What the lens depends on: all of a camera but where it stands."""
    return (*camera.image_from_camera.ravel().tolist(), camera.width, camera.height, camera.near_m, *camera.distortion)


@lru_cache(maxsize=8)
def _lens(key: tuple[float, ...]) -> tuple[Camera, list[F32]]:
    """A pinhole camera that sees all the lens does, and for each of 2 x 2 points of every pixel where in its picture to look, in
    cv2.remap's law (pixel centres at whole numbers)."""
    k, (width, height, near_m) = np.reshape(key[:9], (3, 3)), key[9:12]
    camera = Camera(k, int(width), int(height), np.eye(4), tuple(key[12:]), near_m)  # type: ignore[arg-type]
    centers = pixel_centers(camera.width, camera.height)
    points = [checked_rays(camera, centers + offset)[..., :2] for offset in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))]
    low, high = np.min(points, axis=(0, 1, 2)), np.max(points, axis=(0, 1, 2))
    widest = float(np.abs([low, high]).max())
    if widest > _WIDEST:
        raise RenderError(
            f"distortion {list(camera.distortion)} bends rays at the picture's edge to {np.degrees(np.arctan(widest)):.0f} degrees from "
            "the axis; at most 76 can be drawn: use a smaller field of view or less distortion"
        )
    fx, fy = k[0, 0] * _OVERSAMPLE, k[1, 1] * _OVERSAMPLE
    margin = 2.0
    wide, tall = (int(np.ceil(f * (b - a) + 2 * margin)) for f, a, b in zip((fx, fy), low, high, strict=True))
    k_pinhole = np.array([[fx, 0, margin - fx * low[0]], [0, fy, margin - fy * low[1]], [0, 0, 1]])
    pinhole = Camera(k_pinhole, wide, tall, np.eye(4), near_m=near_m)
    return pinhole, [_to_centre_law(xy * [fx, fy] + k_pinhole[:2, 2]) for xy in points]


def _to_centre_law(xy_px: F64) -> F32:
    return np.asarray(xy_px - 0.5, dtype=np.float32)
