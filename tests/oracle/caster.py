"""What rays say of a world: an oracle that shares no geometry code with synth.

Rays and projections come from OpenCV, hits from embree through trimesh. Embree only says which triangle a ray meets first, in float32;
depth is taken in float64 from that triangle's plane. Triangles that face away are left out unless the material is double-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from synth.types import F64, I32, Body, Bool, Camera, World

STEP = 1e-4
"""Two neighbouring pixels see one surface if their tangent planes meet between them to this share of the depth: the tolerance in which
depths are compared, so a smaller step cannot be mistaken for an error."""


def camera_from_object(camera: Camera, body: Body) -> F64:
    """(4, 4), by a general inverse."""
    return np.asarray(np.linalg.inv(camera.world_from_camera) @ body.world_from_object)


def moved(dst_from_src: F64, xyz_m: Any) -> F64:
    """Points (n, 3) through a (4, 4)."""
    points = np.asarray(xyz_m, dtype=np.float64).reshape(-1, 3)
    return np.asarray((dst_from_src @ np.c_[points, np.ones(len(points))].T).T[:, :3])


def image_points(camera: Camera, xyz_camera_m: F64) -> F64:
    """Points (n, 3) in front of the camera as (n, 2) px. OpenCV's formula holds in any pixel law, as K is given in it."""
    zero = np.zeros(3)
    xy, _ = cv2.projectPoints(xyz_camera_m.reshape(-1, 1, 3), zero, zero, camera.image_from_camera, np.array(camera.distortion))
    return np.asarray(xy.reshape(-1, 2))


def directions(camera: Camera, xy_px: F64) -> F64:
    """Rays (n, 3), z = 1, camera frame, of image points (n, 2)."""
    k = camera.image_from_camera
    assert k[0, 1] == 0, "OpenCV knows no skew"
    if not any(camera.distortion):
        return np.asarray(np.c_[(xy_px - k[:2, 2]) / k.diagonal()[:2], np.ones(len(xy_px))])
    many_steps = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-13)
    points = np.ascontiguousarray(xy_px, dtype=np.float64).reshape(-1, 1, 2)
    xy = cv2.undistortPointsIter(points, k, np.array(camera.distortion), None, None, many_steps).reshape(-1, 2)
    ray = np.asarray(np.c_[xy, np.ones(len(xy))])
    assert np.abs(image_points(camera, ray) - xy_px).max(initial=0) < 1e-6, "OpenCV's inverse did not find its way back"
    return ray


def centers(x0: int, y0: int, width: int, height: int) -> F64:
    """(height * width, 2) the centres of the pixels of a window, row by row."""
    row, column = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    return np.stack([column.ravel() + 0.5, row.ravel() + 0.5], axis=1)


def front_triangles(camera: Camera, body: Body) -> F64:
    """(t, 3, 3) what of a body faces the camera, camera frame."""
    pose, found = camera_from_object(camera, body), []
    for mesh, material in body.parts:
        assert material.alpha_mode == "opaque", "this oracle cuts no alpha"
        corners = moved(pose, mesh.vertices_m)[mesh.faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        found.append(corners[material.double_sided | (np.einsum("ij,ij->i", normal, corners[:, 0]) < 0)])
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class Hits:
    """What rays (n, 3) met first: body number, from 1, or 0 (n,); inverse depth in 1/m, 0 for nothing (n,); the plane (n, 3) of the
    triangle there, as inverse depth = plane . ray."""

    number: I32
    inverse: F64
    plane: F64


class Caster:
    """The bodies of a world, or one of them alone, seen from its camera."""

    def __init__(self, world: World, number: int | None = None) -> None:
        self.camera = world.camera
        chosen = [(n, body) for n, body in enumerate(world.bodies, start=1) if number in (n, None)]
        parts = [front_triangles(self.camera, body) for _, body in chosen]
        self.triangles = np.concatenate(parts)
        self._number = np.repeat([n for n, _ in chosen], [len(part) for part in parts])
        faces = np.arange(3 * len(self.triangles)).reshape(-1, 3)
        self._embree = RayMeshIntersector(trimesh.Trimesh(self.triangles.reshape(-1, 3), faces, process=False))

    def cast(self, ray: F64) -> Hits:
        """Rays (n, 3) with z = 1 from the near plane on."""
        hit = self._embree.intersects_first(ray * self.camera.near_m, ray)
        some = hit >= 0
        corners = self.triangles[hit]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        plane = normal / np.where(some, np.einsum("ij,ij->i", normal, corners[:, 0]), 1.0)[:, None] * some[:, None]
        return Hits(np.where(some, self._number[hit], 0).astype(np.int32), np.einsum("ij,ij->i", plane, ray), plane)


@dataclass(frozen=True, eq=False)
class Truth:
    """A world's picture by rays through the pixel centres: instance (h, w) as Frame has it, depth_m (h, w) float64, inf where nothing
    is; step (h, w): a depth step of the visible surface within one pixel."""

    world: World
    caster: Caster
    instance: I32
    depth_m: F64
    step: Bool

    @classmethod
    def of(cls, world: World) -> Truth:
        camera, caster = world.camera, Caster(world)
        shape = camera.height, camera.width
        ray = directions(camera, centers(0, 0, camera.width, camera.height))
        hits = caster.cast(ray)
        instance, inverse = hits.number.reshape(shape), hits.inverse.reshape(shape)
        with np.errstate(divide="ignore"):
            depth_m = 1 / inverse
        step = _steps(inverse, hits.plane.reshape(*shape, 3), ray.reshape(*shape, 3))
        return cls(world, caster, instance, depth_m, step)

    @cached_property
    def edge(self) -> Bool:
        """(h, w): another instance, or a depth step, within one pixel."""
        return self.step | edges(self.instance)


def neighbours(dx: int, dy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Two views of a picture, the second moved by (dx, dy) from the first; dy is 0 or 1, dx -1, 0 or 1."""
    here = slice(None, -dy or None), slice(max(0, -dx), -dx if dx > 0 else None)
    there = slice(dy, None), slice(max(0, dx), dx if dx < 0 else None)
    return here, there


AROUND = ((1, 0), (0, 1), (1, 1), (-1, 1))
"""The offsets that name each pair of touching pixels once."""


def edges(instance: Any) -> Bool:
    """(h, w) True where one of the 8 pixels around shows another instance."""
    found = np.zeros(instance.shape, dtype=np.bool_)
    for dx, dy in AROUND:
        here, there = neighbours(dx, dy)
        differs = instance[here] != instance[there]
        found[here] |= differs
        found[there] |= differs
    return found


def _steps(inverse: F64, plane: F64, ray: F64) -> Bool:
    """(h, w) True where the surface of a pixel and of one of the 8 around it do not meet.

    Inverse depth is linear in the picture on a plane. Going from one pixel to the next, the first one's plane is left for the second's
    where the two cross: if the first minus the second has one sign at both pixels they do not cross between them, and there is a gap of
    at least its smaller value.
    """
    found = np.zeros(inverse.shape, dtype=np.bool_)
    for dx, dy in AROUND:
        here, there = neighbours(dx, dy)
        at_here = inverse[here] - (plane[there] * ray[here]).sum(axis=-1)
        at_there = (plane[here] * ray[there]).sum(axis=-1) - inverse[there]
        gap = np.where(at_here * at_there > 0, np.minimum(np.abs(at_here), np.abs(at_there)), 0.0)
        apart = gap > STEP * np.minimum(inverse[here], inverse[there])
        found[here] |= apart
        found[there] |= apart
    return found
