"""Where a directional light's shadow map lies: fitted to what the camera sees, deep enough for all that may cast a shadow on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.types import F32, F64, Camera, DirectionalLight


@dataclass(frozen=True)
class ShadowView:
    """map_from_camera (4, 4): camera frame to the map's [0, 1]^3, z growing with the way of the light. extent_m (3,): what [0, 1] spans.
    softness: half width of the penumbra for each metre between what casts a shadow and where it falls."""

    map_from_camera: F64
    extent_m: F64
    softness: float


def fit_shadow(
    light: DirectionalLight, camera: Camera, depth_code: F32, camera_from_sample: F64, casters_camera_m: F64
) -> ShadowView | None:
    """The view of one light's map, None where the camera sees nothing.

    depth_code (h, w): near / z of the samples, 0 for nothing. camera_from_sample (3, 3): (column, row, 1) to a ray with z = 1.
    casters_camera_m (..., 3): corners of the boxes of everything that may cast.
    """
    seen = depth_code > 0
    if not seen.any():
        return None
    light_from_camera = _light_axes(light, camera)
    z_m = np.divide(np.float32(camera.near_m), depth_code, out=np.zeros_like(depth_code), where=seen)
    low, high = np.empty(3), np.empty(3)
    columns, rows = np.arange(depth_code.shape[1]), np.arange(depth_code.shape[0])
    for axis, (across, down, along) in enumerate(light_from_camera @ camera_from_sample):
        along_rows = (across * columns + along).astype(np.float32)
        value = z_m * (along_rows[None, :] + (down * rows).astype(np.float32)[:, None])
        low[axis] = value.min(where=seen, initial=np.inf)
        high[axis] = value.max(where=seen, initial=-np.inf)
    low[2] = min(low[2], float((casters_camera_m @ light_from_camera[2]).min()))
    softness = float(np.tan(light.angle_rad / 2))
    margin = np.maximum(0.02 * (high - low), 1e-4)
    margin[:2] = np.minimum(np.maximum(margin[:2], softness * (high[2] - low[2])), 0.1 * (high[:2] - low[:2]) + 1e-3)
    low, high = low - margin, high + margin
    map_from_camera = np.eye(4)
    map_from_camera[:3, :3] = light_from_camera / (high - low)[:, None]
    map_from_camera[:3, 3] = -low / (high - low)
    return ShadowView(map_from_camera, high - low, softness)


def _light_axes(light: DirectionalLight, camera: Camera) -> F64:
    """(3, 3) rows x, y, z of the light's frame in the camera's: z the way of the light, y towards where the camera looks, as the ground
    that it sees is longest that way."""
    z = camera.camera_from_world[:3, :3] @ light.direction_world
    z /= np.linalg.norm(z)
    forward = np.array([0.0, 0.0, 1.0]) if abs(z[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    x = np.cross(forward, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])
