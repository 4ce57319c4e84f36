"""Lights as the shader reads them, and where a directional light's shadow map lies: fitted to what the camera sees, deep enough for all
that may cast a shadow on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth.errors import RenderError
from synth.types import F32, F64, Camera, DirectionalLight, SpotLight, World

MAX_LIGHTS = 32
MAX_SHADOWS = 8


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


def shadow_lights(world: World) -> list[tuple[int, DirectionalLight]]:
    """The lights that cast shadows, with their places in world.lights. Raises RenderError if there are too many."""
    lights = [(i, light) for i, light in enumerate(world.lights) if isinstance(light, DirectionalLight) and light.shadow]
    if len(lights) > MAX_SHADOWS:
        raise RenderError(f"renderer pyrender draws at most {MAX_SHADOWS} lights with shadow, the world has {len(lights)}")
    return lights


def light_rows(world: World, camera: Camera, shadowed: list[int]) -> F64:
    """(3 * MAX_LIGHTS, 4) as shade.frag reads them. shadowed: the lights with a shadow map, by their place in world.lights."""
    if len(world.lights) > MAX_LIGHTS:
        raise RenderError(f"renderer pyrender draws at most {MAX_LIGHTS} lights, the world has {len(world.lights)}")
    rows = np.zeros((MAX_LIGHTS, 3, 4))
    camera_from_world = camera.camera_from_world
    order = [*shadowed, *(i for i in range(len(world.lights)) if i not in shadowed)]
    for row, light in zip(rows, (world.lights[i] for i in order), strict=False):
        row[1, 3], row[2, 3] = -2, -1  # cosines below all others: no cone
        if isinstance(light, DirectionalLight):
            towards = -camera_from_world[:3, :3] @ light.direction_world
            row[0] = [*(np.asarray(light.color) * light.irradiance), 1]
            row[1, :3] = towards / np.linalg.norm(towards)
            continue
        row[0, :3] = np.asarray(light.color) * light.intensity
        row[1, :3] = (camera_from_world @ [*light.position_world_m, 1])[:3]
        if isinstance(light, SpotLight):
            axis = camera_from_world[:3, :3] @ light.direction_world
            row[1, 3] = math.cos(light.outer_rad)
            row[2] = [*(axis / np.linalg.norm(axis)), math.cos(light.inner_rad)]
    return rows.reshape(-1, 4)
