"""Plain shapes made here: the table, and simple props."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from synth.assets import smooth_normals
from synth.types import F64, Asset, Mesh

_BEVEL_M = 0.003
_LEG_M = 0.05
PROPS = ("ball", "disc", "cone", "ring")


@lru_cache(maxsize=128)
def table(width_m: float, depth_m: float, thickness_m: float, height_m: float, round_top: bool, tile_m: float) -> Asset:
    """A table whose top is the plane z = 0 around the origin: mesh 0 the slab, with texture coordinates that repeat every tile_m along
    x and y, mesh 1 its legs down to -height_m."""
    outline = _outline(width_m, depth_m, round_top)
    inner = outline * (1 - 2 * _BEVEL_M / np.array([width_m, depth_m]))
    rings = [(inner, 0.0), (outline, -_BEVEL_M), (outline, -thickness_m)]
    parts = [_cap(inner, 0.0, True, tile_m), _cap(outline, -thickness_m, False, tile_m)]
    parts += [_band(upper, lower, tile_m) for upper, lower in pairwise(rings)]
    inset = 0.33 if round_top else 0.5
    dx, dy = (inset * size - _LEG_M * (0 if round_top else 1.5) for size in (width_m, depth_m))
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * _LEG_M / 2
    legs = [
        _band((square + (sx * dx, sy * dy), -thickness_m), (square + (sx * dx, sy * dy), -height_m), tile_m)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return Asset("table", (_mesh(parts), _mesh(legs)))


def _outline(width_m: float, depth_m: float, round_top: bool) -> F64:
    """The rim (n, 2), counter-clockwise; a rectangle has corners of 2 cm radius."""
    if round_top:
        angles = np.linspace(0, 2 * math.pi, 96, endpoint=False)
        return np.stack([np.cos(angles) * width_m / 2, np.sin(angles) * depth_m / 2], 1)
    radius = min(0.02, width_m / 4, depth_m / 4)
    quarter = np.linspace(0, math.pi / 2, 7)
    corners = []
    for i, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        centre = (sx * (width_m / 2 - radius), sy * (depth_m / 2 - radius))
        angles = quarter + i * math.pi / 2
        corners.append(np.stack([np.cos(angles), np.sin(angles)], 1) * radius + centre)
    return np.concatenate(corners)


def _cap(rim: F64, z: float, up: bool, tile_m: float) -> tuple[Any, ...]:
    n = len(rim)
    vertices = np.column_stack([np.vstack([[0, 0], rim]), np.full(n + 1, z)])
    around = np.arange(n)
    faces = np.column_stack([np.zeros(n, int), 1 + around, 1 + (around + 1) % n])
    return vertices, faces if up else faces[:, ::-1], np.tile([0, 0, 1.0 if up else -1.0], (n + 1, 1)), vertices[:, :2] / tile_m


def _band(upper: tuple[F64, float], lower: tuple[F64, float], tile_m: float) -> tuple[Any, ...]:
    """The strip between two rims at two heights; each segment is flat."""
    (top, z_top), (bottom, z_bottom) = upper, lower
    n = len(top)
    a, b = np.column_stack([top, np.full(n, z_top)]), np.column_stack([bottom, np.full(n, z_bottom)])
    quads = np.stack([b, np.roll(b, -1, 0), np.roll(a, -1, 0), a], 1)  # (n, 4, 3)
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1))])
    u = np.stack([along[:-1], along[1:], along[1:], along[:-1]], 1)
    height = np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1)
    v = np.stack([0 * height, 0 * height, height, height], 1)
    faces = (np.arange(n)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return quads.reshape(-1, 3), faces, np.repeat(normals, 4, axis=0), np.stack([u, v], 2).reshape(-1, 2) / tile_m


def _mesh(parts: Sequence[tuple[Any, ...]]) -> Mesh:
    start, faces = 0, []
    for vertices, part_faces, _, _ in parts:
        faces.append(part_faces + start)
        start += len(vertices)
    joined = [np.concatenate([part[i] for part in parts]).astype(np.float32) for i in (0, 2, 3)]
    return Mesh(joined[0], np.concatenate(faces).astype(np.int32), joined[1], joined[2])


@lru_cache(maxsize=256)
def prop(kind: str, size_mm: int) -> Asset:
    """A simple solid, size_mm across: one of PROPS."""
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    if kind == "ring":
        tube = np.linspace(0, 2 * math.pi, 20, endpoint=False)
        profile = np.stack([0.36 + 0.14 * np.cos(tube), 0.14 * np.sin(tube)], 1)
    elif kind == "ball":
        polar = np.linspace(-math.pi / 2, math.pi / 2, 25)
        profile = np.stack([0.5 * np.cos(polar), 0.5 * np.sin(polar)], 1)
    elif kind == "disc":
        profile = np.array([[0, -0.12], [0.485, -0.12], [0.5, -0.105], [0.5, 0.105], [0.485, 0.12], [0, 0.12]])
    else:  # a cone with a blunt tip
        profile = np.array([[0, -0.5], [0.385, -0.5], [0.4, -0.485], [0.03, 0.49], [0, 0.5]])
    k, n = len(profile), len(angles)
    grid = np.stack([profile[:, :1] * np.cos(angles), profile[:, :1] * np.sin(angles), np.repeat(profile[:, 1:], n, 1)], 2)
    rows = np.arange(k if kind == "ring" else k - 1)
    i, j = np.meshgrid(rows, np.arange(n), indexing="ij")
    a, b, c, d = i * n + j, i * n + (j + 1) % n, (i + 1) % k * n + (j + 1) % n, (i + 1) % k * n + j
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    vertices = grid.reshape(-1, 3) * size_mm / 1000
    corners = vertices[faces]
    faces = faces[np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) > 1e-12]  # at the poles
    source, faces, normals = smooth_normals(vertices, faces)
    return Asset(kind, (Mesh(vertices[source].astype(np.float32), faces.astype(np.int32), normals.astype(np.float32)),))
