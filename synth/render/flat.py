"""The `flat` renderer: triangles painted in numpy, no GL. The cheap twin that label tests run on, and for machines without GL.

Its labels are exact, lens included. Its colours are plain: nearest texels, Lambert's law, no shadows, no reflections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth.geometry import checked_rays, pixel_centers, transform
from synth.raster import Shown, fragments, nearest_texels, shown
from synth.types import F64, U8, DirectionalLight, Environment, Frame, Index, SpotLight, World


@dataclass(frozen=True)
class FlatSpec:
    """Options of the flat renderer: none."""

    def open(self) -> FlatRenderer:
        """A renderer; it holds nothing."""
        return FlatRenderer()


class FlatRenderer:
    """Paints a world triangle by triangle."""

    name = f"flat 1 numpy {np.__version__}"

    def close(self) -> None:
        """Nothing to give back."""

    def render(self, world: World, *, normals: bool = False) -> Frame:
        """The world as its camera sees it."""
        camera = world.camera
        width, height = camera.width, camera.height
        ray = checked_rays(camera, pixel_centers(width, height)).reshape(-1, 3)
        depth = np.full(width * height, np.inf)
        instance = np.zeros(width * height, dtype=np.int32)
        normal = np.zeros((width * height, 3))
        rgb = _background(world, ray)
        for number, body in enumerate(world.bodies, start=1):
            for mesh, material in body.parts:
                part = shown(camera, mesh, material, camera.camera_from_world @ body.world_from_object)
                triangle, row, column = fragments(part.corners_px, 0, 0, width, height)
                face, pixel = part.face[triangle], row * width + column
                weights, z_m = part.surface(face, ray[pixel])
                keep = part.kept_by_alpha(face, weights) & (z_m >= camera.near_m) & (z_m < depth[pixel])
                np.minimum.at(depth, pixel[keep], z_m[keep])
                # Of fragments at the same depth the first wins, whatever the order in which they are stored: the last write is its.
                won = np.flatnonzero(keep & (z_m == depth[pixel]))[::-1]
                face, pixel, weights = face[won], pixel[won], weights[won]
                instance[pixel] = number
                normal[pixel] = _normals(part, face, weights, body.world_from_object, camera.camera_from_world, ray[pixel])
                rgb[pixel] = _shade(world, part, face, weights, normal[pixel], ray[pixel] * depth[pixel, None])
        return Frame(
            rgb=to_srgb(rgb * world.exposure).reshape(height, width, 3),
            depth_m=depth.astype(np.float32).reshape(height, width),
            instance=instance.reshape(height, width),
            normals=normal.astype(np.float32).reshape(height, width, 3) if normals else None,
        )


def _normals(part: Shown, face: Index, weights: F64, world_from_object: F64, camera_from_world: F64, ray: F64) -> F64:
    normal = (part.mesh.normals[part.mesh.faces[face]] * weights[..., None]).sum(axis=1)
    normal = normal @ (camera_from_world[:3, :3] @ world_from_object[:3, :3]).T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    if not part.material.double_sided:
        return np.asarray(normal, dtype=np.float64)
    a, b, c = np.moveaxis(part.vertices_m[part.mesh.faces[face]], 1, 0)
    back = (np.cross(b - a, c - a) * ray).sum(axis=1) > 0
    return np.asarray(np.where(back[:, None], -normal, normal))


def _shade(world: World, part: Shown, face: Index, weights: F64, normal: F64, xyz_m: F64) -> F64:
    """Linear radiance (f, 3) by Lambert's law at points (f, 3) of the camera frame."""
    material = part.material
    albedo = np.tile(np.asarray(material.base_color[:3], dtype=np.float64), (len(face), 1))
    if material.base_color_texture is not None and part.mesh.uv is not None:
        albedo *= from_srgb(nearest_texels(material.base_color_texture, part.uv(face, weights))[:, :3])
    if part.mesh.colors is not None:
        albedo *= (part.mesh.colors[part.mesh.faces[face], :3] * weights[..., None]).sum(axis=1)
    irradiance = np.full((len(face), 3), math.pi) * _ambient(world.environment)
    rotation = world.camera.camera_from_world[:3, :3]
    for light in world.lights:
        if isinstance(light, DirectionalLight):
            towards = -rotation @ np.asarray(light.direction_world)
            strength = np.full(len(face), light.irradiance)
            towards = np.broadcast_to(towards / np.linalg.norm(towards), normal.shape)
        else:
            offset = transform(world.camera.camera_from_world, light.position_world_m) - xyz_m
            distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-6)
            towards, strength = offset / distance[:, None], light.intensity / distance**2
            if isinstance(light, SpotLight):
                axis = rotation @ np.asarray(light.direction_world)
                cosine = -(towards @ (axis / np.linalg.norm(axis)))
                inner, outer = math.cos(light.inner_rad), math.cos(light.outer_rad)
                strength = strength * np.clip((cosine - outer) / (inner - outer), 0, 1)
        irradiance += np.asarray(light.color) * (strength * np.clip((normal * towards).sum(axis=1), 0, None))[:, None]
    return np.asarray(albedo * irradiance / math.pi + np.asarray(material.emissive))


def _ambient(environment: Environment) -> F64:
    """Mean radiance (3,) from all around."""
    if environment.hdri is None:
        return np.asarray(environment.color) * environment.intensity
    elevation = (0.5 - (np.arange(len(environment.hdri)) + 0.5) / len(environment.hdri)) * math.pi
    mean = np.average(environment.hdri.mean(axis=1), axis=0, weights=np.cos(elevation))
    return np.asarray(mean * environment.intensity, dtype=np.float64)


def _background(world: World, ray: F64) -> F64:
    """Linear radiance (h * w, 3) behind all bodies."""
    environment, camera = world.environment, world.camera
    if environment.photo is not None:
        rows, columns = environment.photo.shape[:2]
        scale = min(columns / camera.width, rows / camera.height)
        offset = np.array([columns - camera.width * scale, rows - camera.height * scale]) / 2
        column, row = (pixel_centers(camera.width, camera.height) * scale + offset).astype(np.intp).reshape(-1, 2).T
        return from_srgb(environment.photo[row, column].astype(np.float64)) / world.exposure
    if environment.hdri is None:
        return np.tile(np.asarray(environment.color) * environment.intensity, (len(ray), 1))
    direction = ray @ camera.world_from_camera[:3, :3].T
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    azimuth = np.arctan2(direction[:, 1], direction[:, 0]) - environment.yaw_rad
    rows, columns = environment.hdri.shape[:2]
    column = ((0.5 - azimuth / (2 * math.pi)) * columns).astype(np.intp) % columns
    row = np.minimum((np.arccos(np.clip(direction[:, 2], -1, 1)) / math.pi * rows).astype(np.intp), rows - 1)
    return np.asarray(environment.hdri[row, column] * environment.intensity, dtype=np.float64)


def to_srgb(linear: F64) -> U8:
    """Linear [0, 1] to sRGB bytes (IEC 61966-2-1), clipped."""
    value = np.clip(linear, 0, 1)
    encoded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(encoded * 255), dtype=np.uint8)


def from_srgb(value: F64) -> F64:
    """sRGB in [0, 255] to linear [0, 1]."""
    value = value / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
