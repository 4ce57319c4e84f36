"""Simple solids and sheets, made here: each function returns one Mesh in metres, with normals and texture coordinates.

All are closed and counter-clockwise seen from outside, but `sheet`, `band`, and a `revolve` or `sweep` that is said to be open. Normals are
smooth within a crease of 40 degrees (synth.meshes.normals), so round things are round and edges stay edges. In texture coordinates u runs
to the right and v up, seen from outside; where they are in metres, they are divided by tile_m, the width of one repetition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from synth.errors import ConfigError
from synth.geometry import transform
from synth.meshes.normals import smooth_normals
from synth.types import F64, I32, Material, Mesh

__all__ = ["band", "box", "cap", "cylinder", "extrude", "from_triangles", "join", "moved", "revolve", "sheet", "sweep"]


def from_triangles(vertices_m: Any, faces: Any, uv: Any = None) -> Mesh:
    """Triangles (m, 3) over vertices (n, 3) as a Mesh with smooth normals; faces without area are left out. Vertices at exactly one place
    count as one point, so a seam of the texture coordinates (n, 2) does not show."""
    vertices, faces = np.asarray(vertices_m, np.float64) + 0.0, np.asarray(faces)  # -0 becomes 0
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    source, faces, normals = smooth_normals(vertices, faces[area > 1e-14])
    picked = None if uv is None else np.asarray(uv)[source].astype(np.float32)
    return Mesh(vertices[source].astype(np.float32), faces.astype(np.int32), normals.astype(np.float32), picked)


def join(meshes: Sequence[Mesh], material: Material | None = None) -> Mesh:
    """All as one mesh, with `material` or that of the first. Texture coordinates and colours stay if all have them."""
    starts = np.cumsum([0, *(len(mesh.vertices_m) for mesh in meshes)])

    def kept(name: str) -> Any:
        parts = [getattr(mesh, name) for mesh in meshes]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    return Mesh(
        np.concatenate([mesh.vertices_m for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)]).astype(np.int32),
        np.concatenate([mesh.normals for mesh in meshes]),
        kept("uv"),
        kept("colors"),
        material or meshes[0].material,
    )


def moved(mesh: Mesh, dst_from_src: F64) -> Mesh:
    """The mesh through a rigid transform (4, 4)."""
    vertices = transform(dst_from_src, mesh.vertices_m.astype(np.float64))
    return replace(
        mesh,
        vertices_m=vertices.astype(np.float32),
        normals=(mesh.normals @ np.asarray(dst_from_src)[:3, :3].T).astype(np.float32),
    )


# --- solids -----------------------------------------------------------------------------------------------------------


def box(size_m: Sequence[float], bevel_m: float = 0.0) -> Mesh:
    """A box of size x, y, z around the origin, its edges cut at 45 degrees by bevel_m. Each side shows the whole texture, bevels
    included: upright on the four walls, on the top as seen by someone at -y."""
    half = np.asarray(size_m, np.float64) / 2
    _positive("box", *half * 2)
    if not 0 <= bevel_m < half.min():
        raise ConfigError(f"box: bevel_m must be in [0, {half.min():g}), half of its shortest side, got {bevel_m}")
    signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
    # of each corner, its point on the side across each axis: (8, 3, 3)
    points = signs[:, None] * (half - bevel_m * (1 - np.eye(3)))
    polygons: list[list[tuple[int, int]]] = []  # of (corner, axis)
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1, 1):
            ring = [_corner(signs, {axis: sign, b: i, c: j}) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            polygons.append([(corner, axis) for corner in ring])
        for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            first, second = (_corner(signs, {axis: end, b: i, c: j}) for end in (-1, 1))
            polygons.append([(first, b), (second, b), (second, c), (first, c)])
    polygons += [[(corner, axis) for axis in range(3)] for corner in range(8)]
    parts: list[_Raw] = []
    for polygon in polygons:
        corners = np.array([points[entry] for entry in polygon])
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        if normal @ corners.mean(0) < 0:
            corners = corners[::-1]
        faces = np.array([(0, i, i + 1) for i in range(1, len(corners) - 1)], dtype=np.int32)
        corner, axis = polygon[0]
        parts.append((corners, faces, _on_side(corners / half, axis, signs[corner, axis])))
    return from_triangles(*_stacked(parts))


def _corner(signs: F64, wanted: dict[int, int]) -> int:
    return int(np.flatnonzero((signs[:, list(wanted)] == list(wanted.values())).all(axis=1))[0])


def _on_side(unit: F64, axis: int, sign: float) -> F64:
    """Texture coordinates of points of the cube [-1, 1]^3 on its side across `axis`."""
    x, y, z = unit.T
    u, v = ((sign * y, z), (-sign * x, z), (x, sign * y))[axis]
    return np.asarray(np.clip(np.stack([u, v], 1) / 2 + 0.5, 0, 1))


def cylinder(radius_m: float, height_m: float, bevel_m: float = 0.0, segments: int = 48) -> Mesh:
    """Around the z axis, its middle at the origin. The wall, bevels included, shows the texture once around, its left end at +x;
    top and bottom show the disc in the middle of the texture."""
    _positive("cylinder", radius_m, height_m)
    if not 0 <= bevel_m < min(radius_m, height_m / 2):
        raise ConfigError(f"cylinder: bevel_m must be in [0, {min(radius_m, height_m / 2):g}), got {bevel_m}")
    r, h, b = radius_m, height_m / 2, bevel_m
    wall = np.array([(r - b, -h), (r, b - h), (r, h - b), (r - b, h)])[slice(None) if b else slice(1, 3)]
    side = _around(wall, segments)
    rim = side[0][:segments, :2]
    ends = [_fan(rim, z, up, 1 / (2 * r), 0.5) for z, up in ((-h, False), (h, True))]
    return from_triangles(*_stacked([side, *ends]))


def revolve(profile_rz_m: Any, segments: int = 48) -> Mesh:
    """A profile (k, 2) of radius and height, turned around z. It runs upwards along the outside, counter-clockwise with r to the right
    and z up. It is closed where it begins and ends on the axis, or where its last point is its first, as of a ring; else it is open.
    u runs once around from +x, v from 0 to 1 along the profile."""
    profile = np.asarray(profile_rz_m, np.float64)
    if profile.ndim != 2 or profile.shape[1] != 2 or len(profile) < 2 or (profile[:, 0] < 0).any():
        raise ConfigError(f"revolve: profile_rz_m must be two or more points (r, z) with r >= 0, got {profile.tolist()}")
    return from_triangles(*_around(profile, segments))


def sweep(path_m: Any, radius_m: Any, segments: int = 12, closed: bool = True) -> Mesh:
    """A tube along a path (n, 3), of one radius or one at each point (n,); a radius of 0 makes a tip. closed: with flat ends. Its ring does
    not twist (frames by the double reflection of Wang et al. 2008). u runs once around, v from 0 to 1 along the path."""
    path = np.asarray(path_m, np.float64)
    radius = np.broadcast_to(np.asarray(radius_m, np.float64), len(path))
    steps = np.diff(path, axis=0)
    if len(path) < 2 or (np.linalg.norm(steps, axis=1) == 0).any() or (radius < 0).any():
        raise ConfigError("sweep: path_m must be two or more points (x, y, z), each away from the last, and radius_m not negative")
    tangents = np.vstack([steps[:1], steps[:-1] / _norm(steps[:-1]) + steps[1:] / _norm(steps[1:]), steps[-1:]])
    tangents /= _norm(tangents)
    across = np.cross(tangents[0], np.eye(3)[np.argmin(np.abs(tangents[0]))])
    normals = [across / np.linalg.norm(across)]
    for i, step in enumerate(steps):
        normal, tangent = (v - 2 * (step @ v) / (step @ step) * step for v in (normals[-1], tangents[i]))
        second = tangents[i + 1] - tangent
        normals.append(normal - 2 * (second @ normal) / (second @ second) * second if second @ second > 1e-24 else normal)
    normal = np.array(normals)
    angles = np.linspace(0, 2 * math.pi, segments, endpoint=False)
    ring = np.cos(angles)[:, None, None] * normal + np.sin(angles)[:, None, None] * np.cross(tangents, normal)
    grid = np.swapaxes(path + ring * radius[:, None], 0, 1)  # (n, segments, 3), counter-clockwise seen against the path
    rings = [grid[i] for i in range(len(path))]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(steps, axis=1))])
    v = along / along[-1]
    if closed:
        rings, v = [np.tile(path[:1], (segments, 1)), *rings, np.tile(path[-1:], (segments, 1))], np.concatenate([[0], v, [1]])
    return from_triangles(*_tube(np.array(rings), v))


def extrude(outline_xy_m: Any, height_m: float, bevel_m: float = 0.0, tile_m: float = 1.0) -> Mesh:
    """A simple polygon (n, 2), whichever way around, from z = 0 to height_m, its upper and lower rims cut at 45 degrees by bevel_m. Texture
    coordinates are in metres over tile_m: x and y on top and bottom, along the rim and up on the walls."""
    outline = np.asarray(outline_xy_m, np.float64)
    _positive("extrude", height_m)
    if len(outline) < 3:
        raise ConfigError(f"extrude: outline_xy_m needs three or more corners, got {len(outline)}")
    if _area(outline) < 0:
        outline = outline[::-1]
    inner = _inset(outline, bevel_m) if bevel_m else outline
    if bevel_m and (2 * bevel_m >= height_m or (((np.roll(inner, -1, 0) - inner) * (np.roll(outline, -1, 0) - outline)).sum(1) <= 0).any()):
        raise ConfigError(f"extrude: bevel_m is too large for this outline and height_m {height_m:g}, got {bevel_m}")
    rims = (
        [(inner, height_m), (outline, height_m - bevel_m), (outline, bevel_m), (inner, 0.0)]
        if bevel_m
        else [(inner, height_m), (inner, 0.0)]
    )
    parts = [_polygon(inner, height_m, True, tile_m), _polygon(inner, 0.0, False, tile_m)]
    parts += [_strip(upper, lower, tile_m) for upper, lower in pairwise(rims)]
    return from_triangles(*_stacked(parts))


# --- sheets -----------------------------------------------------------------------------------------------------------


def sheet(width_m: float, depth_m: float, columns: int = 1, rows: int = 1) -> Mesh:
    """A rectangle in the plane z = 0 around the origin, seen from above, of columns x rows cells; uv from 0 to 1 along x and y."""
    _positive("sheet", width_m, depth_m, columns, rows)
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    uv = np.stack([u.ravel(), v.ravel()], 1)
    vertices = np.column_stack([(uv - 0.5) * (width_m, depth_m), np.zeros(len(uv))])
    return Mesh(
        vertices.astype(np.float32), _grid_faces(rows, columns), np.tile([0, 0, 1], (len(uv), 1)).astype(np.float32), uv.astype(np.float32)
    )


def cap(rim_m: F64, z_m: float, up: bool, tile_m: float = 1.0) -> Mesh:
    """A flat, convex top (or bottom) with rim (n, 2), counter-clockwise, as a fan about its middle; uv is x and y over tile_m."""
    vertices, faces, uv = _fan(rim_m, z_m, up, 1 / tile_m, 0.0)
    normals = np.tile([0, 0, 1.0 if up else -1.0], (len(vertices), 1))
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), normals.astype(np.float32), uv.astype(np.float32))


def band(upper: tuple[F64, float], lower: tuple[F64, float], tile_m: float = 1.0) -> Mesh:
    """The strip between two rims (n, 2), counter-clockwise, each with its height; each segment is flat. uv: along the rim and up, metres
    over tile_m."""
    vertices, faces, uv = _strip(upper, lower, tile_m)
    quads = vertices.reshape(-1, 4, 3)
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0])
    normals = np.repeat(normals / _norm(normals), 4, axis=0)
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), normals.astype(np.float32), uv.astype(np.float32))


# --- how they are made: vertices (n, 3), faces (m, 3), uv (n, 2) ------------------------------------------------------

_Raw = tuple[F64, I32, F64]


def _stacked(parts: Sequence[_Raw]) -> _Raw:
    starts = np.cumsum([0, *(len(part[0]) for part in parts)])
    faces = [part[1] + start for part, start in zip(parts, starts[:-1], strict=True)]
    return np.concatenate([part[0] for part in parts]), np.concatenate(faces), np.concatenate([part[2] for part in parts])


def _grid_faces(rows: int, columns: int) -> I32:
    """Of a grid of rows x columns cells whose vertices are numbered row by row."""
    i, j = (a.ravel() for a in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    a = i * (columns + 1) + j
    b, c, d = a + 1, a + columns + 2, a + columns + 1
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


def _around(profile: F64, segments: int) -> _Raw:
    angles = np.linspace(0, 2 * math.pi, segments, endpoint=False)
    r, z = profile[:, :1], np.repeat(profile[:, 1:], segments, 1)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    return _tube(np.stack([r * np.cos(angles), r * np.sin(angles), z], 2), along / along[-1])


def _tube(rings: F64, v: F64) -> _Raw:
    """Rings (k, segments, 3), each counter-clockwise seen against the way to the next; a seam where the last segment meets the first."""
    k, segments = rings.shape[:2]
    grid = np.concatenate([rings, rings[:, :1]], axis=1)
    u = np.broadcast_to(np.linspace(0, 1, segments + 1), grid.shape[:2])
    uv = np.stack([u, np.broadcast_to(v[:, None], grid.shape[:2])], 2)
    return grid.reshape(-1, 3), _grid_faces(k - 1, segments), uv.reshape(-1, 2)


def _fan(rim: F64, z: float, up: bool, scale: float, offset: float) -> _Raw:
    n, around = len(rim), np.arange(len(rim))
    middle = np.round(rim.mean(0, keepdims=True), 9) + 0.0
    vertices = np.column_stack([np.vstack([middle, rim]), np.full(n + 1, z)])
    faces = np.column_stack([np.zeros(n, int), 1 + around, 1 + (around + 1) % n])
    return vertices, faces if up else faces[:, ::-1], vertices[:, :2] * scale + offset


def _strip(upper: tuple[F64, float], lower: tuple[F64, float], tile_m: float) -> _Raw:
    (top, z_top), (bottom, z_bottom) = upper, lower
    n = len(top)
    a, b = np.column_stack([top, np.full(n, z_top)]), np.column_stack([bottom, np.full(n, z_bottom)])
    quads = np.stack([b, np.roll(b, -1, 0), np.roll(a, -1, 0), a], 1)  # (n, 4, 3)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1))])
    u = np.stack([along[:-1], along[1:], along[1:], along[:-1]], 1)
    height = np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1)
    v = np.stack([0 * height, 0 * height, height, height], 1)
    faces = (np.arange(n)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return quads.reshape(-1, 3), faces.astype(np.int32), np.stack([u, v], 2).reshape(-1, 2) / tile_m


def _polygon(outline: F64, z: float, up: bool, tile_m: float) -> _Raw:
    vertices = np.column_stack([outline, np.full(len(outline), z)])
    faces = _ears(outline)
    return vertices, faces if up else faces[:, ::-1], outline / tile_m


def _ears(outline: F64) -> I32:
    """Triangles of a simple, counter-clockwise polygon by cutting off ears (Meisters 1975)."""
    left, faces_found = list(range(len(outline))), []
    while len(left) > 3:
        for i, corner in enumerate(left):
            before, after = left[i - 1], left[(i + 1) % len(left)]
            a, b, c = outline[[before, corner, after]]
            others = outline[[k for k in left if k not in (before, corner, after)]]
            sides = np.stack([_side(p, q, others) for p, q in ((a, b), (b, c), (c, a))])
            if _side(a, b, c[None])[0] > 0 and not (sides >= 0).all(axis=0).any():
                faces_found.append((before, corner, after))
                del left[i]
                break
        else:
            break
    faces = np.array([*faces_found, left[:3]], dtype=np.int32)
    areas = [_area(outline[face]) for face in faces]
    if len(left) > 3 or min(areas) <= 0 or not math.isclose(sum(areas), _area(outline), rel_tol=1e-6):
        raise ConfigError(f"extrude: outline_xy_m must not cross itself, nor stay on one line: {outline.tolist()}")
    return faces


def _side(p: F64, q: F64, points: F64) -> F64:
    """Positive left of the line from p to q."""
    return np.asarray((q[0] - p[0]) * (points[:, 1] - p[1]) - (q[1] - p[1]) * (points[:, 0] - p[0]))


def _area(outline: F64) -> float:
    x, y = outline.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _inset(outline: F64, by_m: float) -> F64:
    """The outline moved inwards: each corner to where its two moved edges meet."""
    after = np.roll(outline, -1, 0) - outline
    inward = np.stack([-after[:, 1], after[:, 0]], 1) / _norm(after)
    before = np.roll(inward, 1, 0)
    return np.asarray(outline + by_m * (inward + before) / (1 + (inward * before).sum(1, keepdims=True)))


def _norm(vectors: F64) -> F64:
    return np.asarray(np.linalg.norm(vectors, axis=-1, keepdims=True))


def _positive(what: str, *sizes: float) -> None:
    if not all(size > 0 for size in sizes):
        raise ConfigError(f"{what}: its sizes must be above 0, got {', '.join(f'{size:g}' for size in sizes)}")
