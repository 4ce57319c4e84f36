"""What a camera that looks down sees of the ground."""

from __future__ import annotations

import numpy as np

from synth.errors import SceneError
from synth.geometry import rays
from synth.types import Camera

Rectangle = tuple[float, float, float, float]
"""x0 y0 x1 y1 of a part of the plane z = 0, metres."""


def seen_ground(camera: Camera, margin_m: float = 0.0, limit_m: float = 10.0) -> Rectangle:
    """The rectangle that holds all the camera sees of the plane z = 0, with a margin. Raises SceneError where that is the horizon, or
    farther away than limit_m along the camera's axis."""
    w, h = camera.width, camera.height
    rim = np.array([(x, y) for x in np.linspace(0, w, 9) for y in (0, h)] + [(x, y) for y in np.linspace(0, h, 9) for x in (0, w)])
    ways = rays(camera, rim) @ camera.world_from_camera[:3, :3].T
    eye = camera.world_from_camera[:3, 3]
    if eye[2] <= 0 or ways[:, 2].max() >= 0:
        raise SceneError("the camera sees the horizon: raise camera.elevation_rad towards pi/2, or lower camera.fov_rad")
    if (farthest := float((eye[2] / -ways[:, 2]).max())) > limit_m:
        raise SceneError(
            f"the camera sees ground {farthest:.2f} m away, more than {limit_m:g} m: lower camera.distance_m or camera.fov_rad, or raise "
            "camera.elevation_rad towards pi/2"
        )
    points = eye[:2] - eye[2] / ways[:, 2:] * ways[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    return wider((float(low[0]), float(low[1]), float(high[0]), float(high[1])), margin_m)


def wider(area: Rectangle, by_m: float) -> Rectangle:
    """The rectangle with by_m more on each side."""
    return area[0] - by_m, area[1] - by_m, area[2] + by_m, area[3] + by_m
