"""Small things that someone may hide under clothes: simple shapes of about their size, lying on the plane z = 0, middle at the origin."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from synth.compose.shapes import box, cylinder, extrude, join, moved, revolve
from synth.rand import Stream
from synth.types import F64, Asset, Mesh


def _pistol(rng: Stream) -> Mesh:
    """An L: barrel and grip, with a guard between them."""
    length, height, barrel, grip = rng.uniform((0.15, 0.10, 0.028, 0.030), (0.21, 0.14, 0.036, 0.040))
    lean = rng.child("lean").uniform(0.005, 0.025)
    corners = [
        (0, 0),
        (length, 0),
        (length, barrel),
        (grip + 0.045, barrel),
        (grip + 0.040, barrel + 0.022),
        (grip + 0.006, barrel + 0.026),
        (grip - lean, height),
        (-lean, height),
    ]
    outline = np.array([(x, -y) for x, y in corners])
    return extrude(outline[::-1], float(rng.child("thick").uniform(0.022, 0.034)), 0.003)


def _knife(rng: Stream) -> Mesh:
    blade, handle, wide = rng.uniform((0.09, 0.09, 0.018), (0.18, 0.12, 0.032))
    edge = np.array([(0, -wide / 2), (blade * 0.7, -wide / 2), (blade, wide * 0.35), (blade * 0.98, wide / 2), (0, wide / 2)])
    grip = box((float(handle), float(wide * 0.95), 0.018), 0.004)
    back = np.eye(4)
    back[0, 3] = -handle / 2
    lift = np.eye(4)
    lift[2, 3] = -0.0015
    low = grip.vertices_m[:, 2].min() + 0.009
    back[2, 3] = -low
    return join([moved(extrude(edge, 0.003), lift), moved(grip, back)])


def _bottle(rng: Stream) -> Mesh:
    radius, height, neck = rng.uniform((0.022, 0.12, 0.010), (0.034, 0.19, 0.014))
    profile = [
        (0.0, 0.0),
        (radius - 0.004, 0.0),
        (radius, 0.004),
        (radius, height * 0.68),
        (radius * 0.8, height * 0.78),
        (neck, height * 0.86),
        (neck, height - 0.002),
        (0.0, height),
    ]
    lying = np.eye(4)
    lying[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    return moved(revolve(np.array(profile), 32), lying)


def _phone(rng: Stream) -> Mesh:
    long, wide, thick = rng.uniform((0.135, 0.064, 0.0075), (0.165, 0.078, 0.0095)).tolist()
    return box((long, wide, thick), 0.003)


def _coin(rng: Stream) -> Mesh:
    return cylinder(float(rng.uniform(0.0095, 0.0155)), float(rng.child("thick").uniform(0.0017, 0.0024)))


def _block(rng: Stream) -> Mesh:
    return box(tuple(rng.uniform((0.05, 0.035, 0.015), (0.12, 0.08, 0.035)).tolist()), 0.003)


SHAPES: dict[str, Callable[[Stream], Mesh]] = {
    "pistol": _pistol,
    "knife": _knife,
    "bottle": _bottle,
    "phone": _phone,
    "coin": _coin,
    "block": _block,
}


def contraband(kind: str, rng: Stream) -> Asset:
    """One thing of a kind, of random size."""
    mesh = SHAPES[kind](rng)
    low, high = mesh.vertices_m.min(0), mesh.vertices_m.max(0)
    shift = np.eye(4)
    shift[:3, 3] = [*(-(low + high) / 2)[:2], -low[2]]
    return Asset(kind, (moved(mesh, shift),))


def laid(point_m: F64, normal: F64, turn_rad: float) -> F64:
    """(4, 4) a thing's pose when it lies on a surface at a point (3,) whose normal (3,) is unit."""
    first = np.cross(normal, (0.0, 0.0, 1.0) if abs(normal[2]) < 0.9 else (1.0, 0.0, 0.0))
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([c * first + s * second, c * second - s * first, normal], axis=1)
    pose[:3, 3] = point_m
    return pose
