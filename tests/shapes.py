"""Bodies and cameras whose truth is known on paper, shared by the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import trimesh

from synth.geometry import look_at
from synth.types import F64, Asset, Body, Camera, Category, DirectionalLight, Environment, Keypoint, Material, Mesh, World

CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
LENS = (-0.28, 0.09, 0.001, -0.0015, 0.0)
NO_LENS = (0.0, 0.0, 0.0, 0.0, 0.0)


def at(x: float, y: float, z: float, turn_rad: float = 0.0) -> F64:
    """world_from_object: turned about z, then moved."""
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(turn_rad), -np.sin(turn_rad)], [np.sin(turn_rad), np.cos(turn_rad)]]
    pose[:3, 3] = x, y, z
    return pose


def asset(shape: Any, name: str, keypoints: Sequence[Keypoint] = (), **material: Any) -> Asset:
    """A trimesh shape as an asset, flat-shaded."""
    vertices = shape.vertices[shape.faces].reshape(-1, 3)
    normals = np.repeat(shape.face_normals, 3, axis=0)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    uv = vertices[:, :2] / np.abs(vertices[:, :2]).max() / 2 + 0.5
    return Asset(name, (Mesh(vertices, faces, normals, uv, material=Material(**material)),), tuple(keypoints))


def sphere(radius_m: float = 0.1, **material: Any) -> Asset:
    """Fine enough that its silhouette is the sphere's to 1e-4 of the radius."""
    return asset(
        trimesh.creation.icosphere(subdivisions=5, radius=radius_m), "sphere", [Keypoint("middle", (0, 0, 0), inside=True)], **material
    )


def box(x_m: float = 0.2, y_m: float = 0.2, z_m: float = 0.2, **material: Any) -> Asset:
    """A box around the origin, its corners as keypoints c0..c7 in the order of CORNERS."""
    points = [Keypoint(f"c{i}", (x * x_m / 2, y * y_m / 2, z * z_m / 2)) for i, (x, y, z) in enumerate(CORNERS)]
    return asset(trimesh.creation.box((x_m, y_m, z_m)), "box", points, **material)


SPHERE = Category("sphere", ("middle",))
BOX = Category("box", tuple(f"c{i}" for i in range(8)))


def camera(
    eye: Sequence[float] = (1.2, -1.0, 0.9),
    target: Sequence[float] = (0, 0, 0),
    width: int = 320,
    height: int = 240,
    fov_rad: float = 0.6,
    distortion: Sequence[float] = NO_LENS,
) -> Camera:
    return Camera.from_fov(width, height, fov_rad, look_at(eye, target), distortion)


def random_world(seed: int, distortion: Sequence[float] = NO_LENS, bodies: int = 5) -> World:
    """A heap of turned boxes and spheres above a slab, seen from a random side; some have no label."""
    rng = np.random.default_rng(seed)
    shapes = [(sphere(0.08), SPHERE), (box(0.2, 0.15, 0.1), BOX), (box(0.1, 0.1, 0.25), BOX)]
    placed = [Body(box(1.2, 1.2, 0.02, base_color=(0.6, 0.5, 0.4, 1)), at(0, 0, -0.01))]
    for _ in range(bodies):
        shape, category = shapes[rng.integers(len(shapes))]
        pose = at(*rng.uniform(-0.35, 0.35, 2), rng.uniform(0.1, 0.3), rng.uniform(0, 6))
        placed.append(Body(shape, pose, category if rng.uniform() < 0.8 else None))
    eye = np.array([np.cos(angle := rng.uniform(0, 6.3)), np.sin(angle), rng.uniform(0.3, 1.2)]) * rng.uniform(0.9, 1.4)
    seen = camera(tuple(eye), tuple(rng.uniform(-0.1, 0.1, 3)), fov_rad=rng.uniform(0.5, 1.0), distortion=distortion)
    return World(seen, tuple(placed), (DirectionalLight((0.3, 0.5, -1)),), Environment(color=(0.4, 0.45, 0.5)))
