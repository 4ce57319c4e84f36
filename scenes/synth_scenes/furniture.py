"""Plain shapes made here: the table, and simple props."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np

from synth.compose.shapes import band, cap, join, revolve
from synth.types import F64, Asset

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
    parts = [cap(inner, 0.0, True, tile_m), cap(outline, -thickness_m, False, tile_m)]
    parts += [band(upper, lower, tile_m) for upper, lower in pairwise(rings)]
    inset = 0.33 if round_top else 0.5
    dx, dy = (inset * size - _LEG_M * (0 if round_top else 1.5) for size in (width_m, depth_m))
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * _LEG_M / 2
    legs = [
        band((square + (sx * dx, sy * dy), -thickness_m), (square + (sx * dx, sy * dy), -height_m), tile_m)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return Asset("table", (join(parts), join(legs)))


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


@lru_cache(maxsize=256)
def prop(kind: str, size_mm: int) -> Asset:
    """A simple solid, size_mm across: one of PROPS."""
    if kind == "ring":
        tube = np.linspace(0, 2 * math.pi, 19, endpoint=False)
        profile = np.stack([0.36 + 0.14 * np.cos(tube), 0.14 * np.sin(tube)], 1)[np.arange(20) % 19]
    elif kind == "ball":
        polar = np.linspace(-math.pi / 2, math.pi / 2, 25)
        profile = np.stack([0.5 * np.cos(polar), 0.5 * np.sin(polar)], 1)
        profile[[0, -1], 0] = 0.0
    elif kind == "disc":
        profile = np.array([[0, -0.12], [0.485, -0.12], [0.5, -0.105], [0.5, 0.105], [0.485, 0.12], [0, 0.12]])
    else:  # a cone with a blunt tip
        profile = np.array([[0, -0.5], [0.385, -0.5], [0.4, -0.485], [0.03, 0.49], [0, 0.5]])
    return Asset(kind, (revolve(profile * size_mm / 1000),))
