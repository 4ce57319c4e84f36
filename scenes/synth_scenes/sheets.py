"""A printed sheet, flat or bent, on a stiff plate or alone; its keypoints are corners of its mesh, so they lie on the bent surface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from synth.compose import shapes
from synth.rand import Stream
from synth.types import F64, I32, U8, Asset, Keypoint, Material, Mesh
from synth_scenes.patterns import Pattern

_GAP_M = 2e-4  # between the sheet and what is behind it
_STEPS = 4001  # of the table of a bent profile


@dataclass(frozen=True)
class Bend:
    """How a sheet is bent. curvature_per_m: 1 over the radius of the cylinder it lies on, positive towards the viewer at its ends;
    wave_per_m: added to that, as a cosine once along its length_m, from phase_rad; the sheet is never stretched by either. angle_rad: from
    x to the direction along which it is bent. wrinkles (n, 4): waves x, y (rad/m), phase, height (m)."""

    curvature_per_m: float = 0.0
    wave_per_m: float = 0.0
    phase_rad: float = 0.0
    length_m: float = 1.0
    angle_rad: float = 0.0
    wrinkles: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def flat(self) -> bool:
        """Whether nothing is bent."""
        return not (self.curvature_per_m or self.wave_per_m or self.wrinkles)

    def points(self, xy_m: F64, middle_m: F64) -> F64:
        """Where points (n, 2) of the flat sheet go, (n, 3) in a board's frame; the middle (2,) stays."""
        along = np.array([math.cos(self.angle_rad), math.sin(self.angle_rad)])
        across = np.array([-along[1], along[0]])
        s, t = (xy_m - middle_m) @ along, (xy_m - middle_m) @ across
        # the direction of the profile is the integral of its curvature, its place that of its direction
        reach = max(1e-6, float(np.abs(s).max(initial=0)))
        table = np.linspace(-reach, reach, _STEPS)
        rate = 2 * math.pi / self.length_m
        turn = self.curvature_per_m * table + self.wave_per_m / rate * (np.sin(rate * table + self.phase_rad) - math.sin(self.phase_rad))
        step = table[1] - table[0]
        profile = []
        for slope in (np.cos(turn), -np.sin(turn)):
            total = np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2 * step)])
            profile.append(np.interp(s, table, total - total[_STEPS // 2]))
        z = profile[1]
        for x_rate, y_rate, phase, height in self.wrinkles:
            z = z + height * np.sin(xy_m @ (x_rate, y_rate) + phase)
        return np.column_stack([middle_m + profile[0][:, None] * along + t[:, None] * across, z])

    def normals(self, xy_m: F64, middle_m: F64) -> F64:
        """(n, 3) unit, towards the viewer."""
        step = 1e-5
        x, y = (self.points(xy_m + d, middle_m) - self.points(xy_m - d, middle_m) for d in np.eye(2) * step)
        normal = np.cross(y, x)
        return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def wrinkles(rng: Stream, height_m: float, size_m: float) -> tuple[tuple[float, float, float, float], ...]:
    """Random waves of a root mean square of height_m together, lengths from a fifth of the size to all of it."""
    if not height_m:
        return ()
    length, way = rng.child("length").uniform(0.2, 1.0, 6) * size_m, rng.child("way").uniform(0, 2 * math.pi, 6)
    phase, each = rng.child("phase").uniform(0, 2 * math.pi, 6), height_m * math.sqrt(2 / 6)
    rates = 2 * math.pi / length
    return tuple(zip((rates * np.cos(way)).tolist(), (rates * np.sin(way)).tolist(), phase.tolist(), [each] * 6, strict=True))


def board(
    pattern: Pattern,
    texture: U8,
    at_m: tuple[float, float],
    texels_m: float,
    margin_m: tuple[float, float, float, float],
    paper: Material,
    plate: tuple[Material, float, float] | None = None,
    bend: Bend | None = None,
) -> Asset:
    """The board as an asset: a sheet that ends margin_m (left, top, right, bottom) beyond the pattern, negative inside of it, with the
    texture whose upper left corner is at at_m; behind it a plate (material, how far it stands out, thickness) or the sheet's back."""
    bend = bend or Bend()
    (width, height), (left, top, right, bottom) = pattern.size_m, margin_m
    x0, y0, x1, y1 = -left, -top, width + right, height + bottom
    middle = np.array([width / 2, height / 2])
    flat = np.array([keypoint.xyz_object_m[:2] for keypoint in pattern.keypoints])
    lines = [_lines(low, high, pattern.square_m, flat[:, i], bend.flat) for i, (low, high) in enumerate(((x0, x1), (y0, y1)))]
    grid = np.stack(np.meshgrid(*lines), -1).reshape(-1, 2)
    uv = (grid - at_m) * texels_m / (texture.shape[1], texture.shape[0])
    uv[:, 1] = 1 - uv[:, 1]
    points, normals, faces = bend.points(grid, middle), bend.normals(grid, middle), _faces(len(lines[1]), len(lines[0]))
    front = Mesh(points.astype(np.float32), faces, normals.astype(np.float32), uv.astype(np.float32), material=paper)
    if plate is None:
        behind = (points - normals * _GAP_M).astype(np.float32)
        white = Material(paper.base_color if paper.base_color_texture is None else (0.6, 0.6, 0.58, 1.0), roughness=0.9)
        back = Mesh(behind, faces[:, ::-1], -normals.astype(np.float32), material=white)
    else:
        material, out, thickness = plate
        back = _plate((x0 - out, y0 - out, x1 + out, y1 + out), thickness, bend, middle, material)
    where = bend.points(flat, middle)
    keypoints = tuple(Keypoint(k.name, tuple(xyz)) for k, xyz in zip(pattern.keypoints, where.tolist(), strict=True))
    return Asset(pattern.kind, (front, back), keypoints)


def _lines(low: float, high: float, square_m: float, through: F64, flat: bool) -> F64:
    """Where the grid has lines: at both ends; where it is bent, also through all keypoints and a quarter of a square apart."""
    if flat:
        return np.array([low, high])
    stops = np.unique([low, *(value for value in np.round(through, 9) if low < value < high), high])
    between = [np.linspace(a, b, max(2, math.ceil((b - a) / square_m * 4) + 1)) for a, b in pairwise(stops)]
    return np.unique(np.concatenate(between))


def _faces(rows: int, columns: int) -> I32:
    """Of a grid of points, row by row; counter-clockwise for one who sees x to the right and y down."""
    i, j = (a.ravel() for a in np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij"))
    a = i * columns + j
    b, c, d = a + 1, a + columns + 1, a + columns
    return np.concatenate([np.stack([a, d, c], 1), np.stack([a, c, b], 1)]).astype(np.int32)


def _plate(rim: tuple[float, float, float, float], thickness_m: float, bend: Bend, middle: F64, material: Material) -> Mesh:
    """A slab with round corners behind the sheet, bent as it is: two grids of points and a rim between them."""
    x0, y0, x1, y1 = rim
    radius = min(0.02, (x1 - x0) / 8, (y1 - y0) / 8)
    arc = radius * (1 - np.cos(np.linspace(0, math.pi / 2, 7)))
    steps = 2 if bend.flat else 25
    y = np.concatenate([y0 + arc, np.linspace(y0 + radius, y1 - radius, steps)[1:-1], (y1 - arc)[::-1]])
    into = np.maximum(0, radius - np.minimum(y - y0, y1 - y))
    inset = radius - np.sqrt(np.maximum(0, radius**2 - into**2))
    u = np.linspace(0, 1, steps)
    xy = np.stack([x0 + inset[:, None] + u * (x1 - x0 - 2 * inset[:, None]), np.repeat(y[:, None], steps, 1)], -1)
    rows = len(y)
    number = np.arange(rows * steps).reshape(rows, steps)
    loop = np.concatenate([number[:, 0], number[-1, 1:], number[-2::-1, -1], number[0, -2:0:-1]])  # counter-clockwise for the viewer
    flat = xy.reshape(-1, 2)
    place, normal = bend.points(flat, middle), bend.normals(flat, middle)
    front, back = (place - normal * depth for depth in (_GAP_M, _GAP_M + thickness_m))
    n, after, faces = len(flat), np.roll(loop, -1), _faces(rows, steps)
    sides = np.concatenate([np.stack([loop, after + n, after], 1), np.stack([loop, loop + n, after + n], 1)])
    mesh = shapes.from_triangles(
        np.concatenate([front, back]), np.concatenate([faces, faces[:, ::-1] + n, sides]), np.tile(flat / 0.3, (2, 1))
    )
    return Mesh(mesh.vertices_m, mesh.faces, mesh.normals, mesh.uv, material=material)
