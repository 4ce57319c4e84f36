"""A hand that holds something at its edge, with the forearm it belongs to. Simple, but of a hand's size, colour and way to hide things."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from synth.compose import shapes
from synth.compose.materials import Paint
from synth.rand import Stream, Uniform
from synth.types import F64, Asset, Body, Material, Mesh

_SKIN = Paint(hue=Uniform(0.03, 0.075), saturation=Uniform(0.25, 0.6), value=Uniform(0.3, 0.95), roughness=Uniform(0.45, 0.7))
_SLEEVE = Paint(saturation=Uniform(0.0, 0.6), value=Uniform(0.08, 0.9), roughness=0.95)
_VARIANTS = 12


def holding(grip_world_m: F64, outward_world: F64, toward_world: F64, rng: Stream, person: Stream) -> Body:
    """A hand at a point of an edge: the thumb in front, fingers behind, the arm along outward_world (3,), the front where toward_world (3,)
    points. Both unit and across each other. person: the stream of skin and sleeves, which both hands have in common."""
    asset = _hand(int(rng.child("variant").integers(_VARIANTS)))
    world_from_hand = np.eye(4)
    world_from_hand[:3, :3] = np.stack([outward_world, np.cross(toward_world, outward_world), toward_world], axis=1)
    world_from_hand[:3, 3] = grip_world_m
    skin = _SKIN.draw(person.child("skin"))
    sleeve: Material = _SLEEVE.draw(person.child("sleeve")) if person.child("has_sleeve").uniform() < 0.5 else skin
    return Body(asset, world_from_hand, materials=(skin, sleeve))


@lru_cache(maxsize=_VARIANTS)
def _hand(variant: int) -> Asset:
    """In metres around the grip: x away along the arm, z towards the viewer. Mesh 0 the skin, mesh 1 what may be in a sleeve."""
    rng = Stream(0, variant, ("hand",))
    size, spread, bent = rng.uniform((0.9, 0.8, -0.3), (1.1, 1.3, 0.3)).tolist()
    thumb_first = 1 if rng.uniform() < 0.5 else -1
    parts = []
    for i in range(4):  # fingers lie flat behind, seen only past the edge
        y = (i - 1.5) * 0.019 * spread
        reach = (0.058, 0.07, 0.066, 0.05)[i]
        parts.append(_limb([(-reach, y * 1.15, -0.02), (-reach * 0.4, y * 1.1, -0.026), (0.03, y, -0.02), (0.06, y, -0.012)], 0.0088))
    thumb_y = 0.04 * thumb_first
    parts.append(
        _limb(
            [(-0.024, thumb_y * 0.55, 0.011), (0.004, thumb_y * 0.8, 0.017), (0.035, thumb_y, 0.009), (0.07, thumb_y * 0.6, -0.008)],
            np.array([0.0095, 0.0105, 0.012, 0.017]),
        )
    )
    palm = _limb([(0.03, 0, 0), (0.05, 0, 0), (0.085, 0, 0), (0.115, 0, 0)], np.array([0.03, 0.04, 0.038, 0.028]))
    parts.append(_flattened(palm, 0.42, -0.012))
    wrist, elbow = 0.125, 0.42
    path = [(wrist - 0.03, 0, -0.012), (wrist, 0.0, -0.013), (0.2, 0.02 * bent, -0.02), (elbow, 0.25 * bent, -0.07)]
    fore = _limb(path, np.array([0.026, 0.026, 0.031, 0.043]))
    sleeve = _limb([path[2], path[3], (0.8, 0.45 * bent, -0.15), (1.8, 1.0 * bent, -0.4)], np.array([0.043, 0.052, 0.062, 0.075]))
    hand = shapes.join([*parts, fore])
    return Asset("hand", tuple(_scaled(mesh, size) for mesh in (hand, sleeve)))


def _limb(path: list[tuple[float, float, float]], radius: float | F64) -> Mesh:
    """A smooth tube with round ends through points of which the first is the tip."""
    at = np.array(path)
    radii = np.broadcast_to(np.asarray(radius, np.float64), len(at))
    t = np.linspace(0, len(at) - 1, 4 * len(at))
    knots = np.arange(len(at), dtype=np.float64)
    line = np.stack([_smooth(t, knots, at[:, i]) for i in range(3)], 1)
    thick = _smooth(t, knots, radii)
    turns = np.linspace(0, math.pi / 2, 5)[:-1]
    first, last = line[0] - line[1], line[-1] - line[-2]
    first, last = first / np.linalg.norm(first), last / np.linalg.norm(last)
    head = line[0] + first * thick[0] * np.cos(turns)[:, None]
    tail = line[-1] + last * thick[-1] * np.cos(turns)[::-1, None]
    return shapes.sweep(
        np.concatenate([head, line, tail]), np.concatenate([thick[0] * np.sin(turns), thick, thick[-1] * np.sin(turns)[::-1]]), 14
    )


def _smooth(t: F64, knots: F64, values: F64) -> F64:
    """Catmull-Rom through values at knots 0, 1, 2, ..."""
    i = np.clip(np.floor(t).astype(int), 0, len(knots) - 2)
    padded = np.concatenate([[2 * values[0] - values[1]], values, [2 * values[-1] - values[-2]]])
    a, b, c, d = (padded[i + k] for k in range(4))
    u = t - i
    return np.asarray(b + u / 2 * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a))))


def _flattened(mesh: Mesh, share: float, z_m: float) -> Mesh:
    flat = mesh.vertices_m * np.array([1, 1, share], np.float32) + np.array([0, 0, z_m], np.float32)
    return shapes.from_triangles(flat, mesh.faces, mesh.uv)


def _scaled(mesh: Mesh, size: float) -> Mesh:
    return Mesh(mesh.vertices_m * np.float32(size), mesh.faces, mesh.normals, mesh.uv)
