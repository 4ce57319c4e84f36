"""Smooth solids from simple ones: tubes and ellipsoids that melt into one another, and the mesh of what comes out.

A solid is a function of points (n, 3) that is negative inside and about a distance near its surface, in metres. Blends are the
polynomial smooth minimum (Quilez 2013), meshes are surface nets (Gibson 1998) whose vertices are then moved onto the surface.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from synth.types import F64, I32

Solid: TypeAlias = Callable[[F64], F64]


@dataclass(frozen=True, eq=False)
class Part:
    """A solid and the box that holds it: low and high (3,)."""

    solid: Solid
    low: F64
    high: F64

    def grown(self, by_m: float | Callable[[F64], F64]) -> Part:
        """Larger by so much on all sides, or by what a function of points says."""
        solid, most = self.solid, by_m if isinstance(by_m, (int, float)) else 0.06

        def larger(points: F64) -> F64:
            return np.asarray(solid(points) - (by_m(points) if callable(by_m) else by_m))

        return Part(larger, self.low - most, self.high + most)

    def moved(self, world_from_part: F64) -> Part:
        """Somewhere else: (4, 4), rigid."""
        rotation, origin, solid = world_from_part[:3, :3], world_from_part[:3, 3], self.solid
        corners = np.array(
            [[(self.low, self.high)[i][0], (self.low, self.high)[j][1], (self.low, self.high)[k][2]] for i, j, k in _CORNERS]
        )
        corners = corners @ rotation.T + origin
        return Part(lambda points: solid((points - origin) @ rotation), corners.min(0), corners.max(0))


_CORNERS = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]


def ellipsoid(centre_m: Sequence[float], radii_m: Sequence[float], power: float = 2.0, turn: F64 | None = None) -> Part:
    """power above 2: boxier. turn (3, 3): of its axes."""
    centre, radii = np.asarray(centre_m, np.float64), np.asarray(radii_m, np.float64)

    def solid(points: F64) -> F64:
        local = (points - centre) if turn is None else (points - centre) @ turn
        scaled = np.abs(local / radii)
        if power == 2:
            near = np.linalg.norm(scaled, axis=1)
            slope = np.linalg.norm(scaled / radii, axis=1)
            return np.asarray(near * (near - 1) / np.maximum(slope, 1e-9))
        return np.asarray(((scaled**power).sum(1) ** (1 / power) - 1) * radii.min())

    reach = radii if turn is None else np.full(3, radii.max())
    return Part(solid, centre - reach, centre + reach)


def tube(start_m: Sequence[float], end_m: Sequence[float], profile: Sequence[Sequence[float]], power: float = 2.0) -> Part:
    """A limb from start to end. profile: rows (t in [0, 1], radius along x, along y[, middle moved by x, y]), smooth between; x and y as
    near to the axes of that name as the limb allows. Its ends are round."""
    from scipy.interpolate import PchipInterpolator

    start, end = np.asarray(start_m, np.float64), np.asarray(end_m, np.float64)
    rows = np.array([[*row, *(0.0, 0.0)][:5] for row in profile], dtype=np.float64)
    steps = np.linspace(0, 1, 65)
    table = PchipInterpolator(rows[:, 0], rows[:, 1:])(steps)
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    reference = np.array([1.0, 0, 0]) if abs(along[0]) < 0.9 else np.array([0, 0, 1.0])
    x = reference - along * (reference @ along)
    x /= np.linalg.norm(x)
    y = np.cross(along, x) * (-1 if along[2] < 0 else 1)

    def solid(points: F64) -> F64:
        local = points - start
        t = local @ along
        inner = np.clip(t, 0, length)
        rx, ry, ox, oy = (np.interp(inner / length, steps, column) for column in table.T)
        least = np.minimum(rx, ry)
        scaled = np.stack([(local @ x - ox) / rx, (local @ y - oy) / ry, (t - inner) / least], axis=1)
        return np.asarray(((np.abs(scaled) ** power).sum(1) ** (1 / power) - 1) * least)

    reach = float(table[:, :2].max() + np.abs(table[:, 2:]).max())
    return Part(solid, np.minimum(start, end) - reach, np.maximum(start, end) + reach)


def chain(points_m: Sequence[Sequence[float]], radii_m: Sequence[float]) -> list[Part]:
    """Round tubes from point to point, as a finger."""
    return [tube(a, b, [(0, r, r), (1, s, s)]) for a, b, r, s in zip(points_m[:-1], points_m[1:], radii_m[:-1], radii_m[1:], strict=True)]


def smooth_min(a: F64, b: F64, width_m: float) -> F64:
    """The smaller one, rounded where they are nearer than width_m to each other."""
    near = np.maximum(width_m - np.abs(a - b), 0) / max(width_m, 1e-9)
    return np.asarray(np.minimum(a, b) - near * near * (width_m / 4))


def united(parts: Sequence[Part], width_m: float) -> Part:
    """Parts that melt into one another over width_m."""
    low, high = np.min([p.low for p in parts], axis=0), np.max([p.high for p in parts], axis=0)
    far = 0.25 + 2 * width_m

    def solid(points: F64) -> F64:
        found = np.full(len(points), far)
        for part in parts:
            near = ((points > part.low - far / 2) & (points < part.high + far / 2)).all(axis=1)
            if near.any():
                found[near] = smooth_min(found[near], part.solid(points[near]), width_m)
        return found

    return Part(solid, low - width_m / 4, high + width_m / 4)


def cut(part: Part, away: Solid, width_m: float = 0.004) -> Part:
    """What is left of a part where another solid is taken away, its edge rounded."""
    return Part(lambda points: -smooth_min(-part.solid(points), away(points), width_m), part.low, part.high)


def half_space(point_m: Sequence[float], normal: Sequence[float]) -> Solid:
    """Solid on the side that its normal points away from."""
    point, unit = np.asarray(point_m, np.float64), np.asarray(normal, np.float64) / math.sqrt(float(np.dot(normal, normal)))
    return lambda points: np.asarray((points - point) @ unit)


# --- meshes -----------------------------------------------------------------------------------------------------------


def mesh_of(part: Part, step_m: float) -> tuple[F64, I32]:
    """Vertices (n, 3) on the surface of a part and faces (m, 3), counter-clockwise from outside, of about step_m."""
    low = part.low - 2 * step_m
    shape = np.ceil((part.high + 2 * step_m - low) / step_m).astype(int) + 1
    coarse = _narrow(part.solid, low, shape, step_m)
    vertices, faces = _surface_net(coarse)
    vertices = low + vertices * step_m
    for _ in range(3):  # onto the surface, along its slope
        value = part.solid(vertices)
        h = step_m / 20
        slope = np.stack([(part.solid(vertices + h * axis) - value) / h for axis in np.eye(3)], axis=1)
        steep = np.maximum((slope**2).sum(1), 0.04)
        step = -(value / steep)[:, None] * slope
        length = np.linalg.norm(step, axis=1, keepdims=True)
        vertices = vertices + step * np.minimum(1, step_m / 2 / np.maximum(length, 1e-12))
    return vertices, faces


def _narrow(solid: Solid, low: F64, shape: F64, step_m: float) -> F64:
    """Values on a grid: exact near the surface, coarse elsewhere (of every fourth point, which is all that its sign needs)."""
    four = 4
    sizes = [math.ceil((n - 1) / four) + 1 for n in shape]
    axes = [low[i] + np.arange(sizes[i]) * four * step_m for i in range(3)]
    coarse = solid(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)).reshape(sizes)
    values = coarse.repeat(four, 0).repeat(four, 1).repeat(four, 2)[: shape[0], : shape[1], : shape[2]]
    # a block is looked into where the surface may pass it
    close = np.abs(coarse) < four * step_m * 2.2
    wide = close.copy()
    for axis in range(3):
        wide |= np.roll(close, 1, axis)
    blocks = np.argwhere(wide)
    offsets = np.stack(np.meshgrid(*[np.arange(four)] * 3, indexing="ij"), -1).reshape(-1, 3)
    index = (blocks[:, None] * four + offsets).reshape(-1, 3)
    index = index[(index < shape).all(axis=1)]
    values = np.ascontiguousarray(values)
    values[tuple(index.T)] = solid(low + index * step_m)
    return values


def _surface_net(values: F64) -> tuple[F64, I32]:
    """In units of the grid: one vertex in each cell that the surface passes, at the mean of where it cuts the cell's edges."""
    inside = values < 0
    shape = np.array(values.shape) - 1
    corner = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    stack = [inside[i : i + shape[0], j : j + shape[1], k : k + shape[2]] for i, j, k in corner]
    count = np.sum(stack, axis=0, dtype=np.int8)
    cells = np.argwhere((count > 0) & (count < 8))
    number = np.full(shape, -1, dtype=np.int64)
    number[tuple(cells.T)] = np.arange(len(cells))
    at: F64 = np.stack([values[tuple((cells + c).T)] for c in corner], axis=1)
    total, hits = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for a, start in enumerate(corner):
        for axis in range(3):
            if start[axis] == 0:
                end = tuple(c + (i == axis) for i, c in enumerate(start))
                va, vb = at[:, a], at[:, corner.index((end[0], end[1], end[2]))]
                crosses = (va < 0) != (vb < 0)
                t = np.where(crosses, va / np.where(crosses, va - vb, 1), 0)
                point = np.array(start, float) + t[:, None] * np.eye(3)[axis]
                total += point * crosses[:, None]
                hits += crosses
    vertices = cells + total / hits[:, None]
    faces = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        behind[axis], ahead[axis] = slice(0, -1), slice(1, None)
        change = inside[tuple(behind)].astype(np.int8) - inside[tuple(ahead)].astype(np.int8)
        edge = np.argwhere(change != 0)
        edge = edge[(edge[:, u] > 0) & (edge[:, v] > 0) & (edge[:, u] < shape[u]) & (edge[:, v] < shape[v])]
        sign = change[tuple(edge.T)]
        unit = np.eye(3, dtype=int)
        quad = np.stack([number[tuple((edge - du * unit[u] - dv * unit[v]).T)] for du, dv in ((1, 1), (0, 1), (0, 0), (1, 0))], axis=1)
        quad[sign < 0] = quad[sign < 0][:, ::-1]
        faces += [quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]
    return vertices, np.concatenate(faces).astype(np.int32)
