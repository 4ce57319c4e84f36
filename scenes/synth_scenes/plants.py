"""Young plants as one sees them from above: crops and weeds, grown from a few numbers.

A plant's origin is where its stem enters the soil, which is its one keypoint, `stem`; z is up. Leaves lie on the ground where they would
sink in. growth in [0, 1] is its age: more leaves, longer ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from synth.compose.shapes import join, sweep
from synth.rand import Stream
from synth.types import F64, Asset, Category, Keypoint, Material, Mesh, Rgb
from synth_scenes.foliage import TEXTURES, Leaves, leaf_mesh, leaf_texture

STEM = "stem"
_ABOVE_SOIL_M = 0.0025
_CROWN_M = 0.012  # what stands above the point where the stem enters the soil and still counts as the stem
_GOLDEN_RAD = math.pi * (3 - math.sqrt(5))

Range = tuple[float, float]


@dataclass(frozen=True)
class Species:
    """How a kind grows. Pairs are at growth 0 and 1 unless said otherwise. arrangement: `rosette` (leaves around the crown, each a golden
    angle from the last), `ranks` (by turns on two sides of a stem) or `pairs` (opposite, each pair across the last). rise_rad: of the
    oldest and of the youngest leaf."""

    name: str
    group: str
    arrangement: str
    blade: str
    veins: str
    leaves: Range
    length_m: Range
    width: Range  # of the blade, as a share of the length, least and most
    rise_rad: Range
    droop_rad: Range  # least and most
    stalk: float = 0.0
    stalk_m: Range = (0.001, 0.003)
    stem_m: Range = (0.0, 0.0)  # height
    stem_radius_m: Range = (0.001, 0.003)
    fold_rad: Range = (0.05, 0.3)  # least and most
    wave: float = 0.0
    lobes: int = 0
    lobe_depth: float = 0.0
    dark: Rgb = (0.13, 0.27, 0.08)
    light: Rgb = (0.36, 0.52, 0.18)
    rib: Rgb = (0.62, 0.7, 0.42)
    roughness: float = 0.55


SPECIES = {
    kind.name: kind
    for kind in (
        Species(
            "beet", "crop", "rosette", "ovate", "net", (4, 13), (0.05, 0.17), (0.34, 0.46), (0.25, 1.2), (0.5, 1.1),
            stalk=0.36, stalk_m=(0.002, 0.006), stem_radius_m=(0.002, 0.008), wave=0.09,
            dark=(0.1, 0.28, 0.07), light=(0.32, 0.55, 0.16), rib=(0.66, 0.76, 0.46), roughness=0.42,
        ),
        Species(
            "maize", "crop", "ranks", "strap", "parallel", (3, 7), (0.1, 0.36), (0.09, 0.13), (0.5, 1.15), (1.0, 2.0),
            stem_m=(0.015, 0.07), stem_radius_m=(0.002, 0.006), fold_rad=(0.2, 0.5), wave=0.05,
            dark=(0.16, 0.34, 0.09), light=(0.4, 0.6, 0.2), rib=(0.66, 0.76, 0.45),
        ),
        Species(
            "lettuce", "crop", "rosette", "obovate", "net", (6, 19), (0.04, 0.14), (0.6, 0.85), (0.15, 1.3), (-0.3, 0.5),
            stalk_m=(0.003, 0.008), stem_radius_m=(0.002, 0.008), fold_rad=(0.0, 0.2), wave=0.12,
            dark=(0.28, 0.46, 0.11), light=(0.58, 0.75, 0.28), rib=(0.8, 0.86, 0.6), roughness=0.5,
        ),
        Species(
            "grass", "weed", "rosette", "strap", "parallel", (3, 16), (0.03, 0.16), (0.035, 0.07), (0.5, 1.35), (0.5, 1.6),
            stem_m=(0.0, 0.01), fold_rad=(0.2, 0.6), dark=(0.2, 0.38, 0.12), light=(0.45, 0.62, 0.25), rib=(0.6, 0.72, 0.42),
        ),
        Species(
            "broadleaf", "weed", "pairs", "ovate", "net", (2, 10), (0.02, 0.06), (0.42, 0.64), (-0.05, 0.5), (0.0, 0.5),
            stalk=0.25, stalk_m=(0.0007, 0.0016), stem_m=(0.004, 0.06), stem_radius_m=(0.0007, 0.002), wave=0.04, lobes=4, lobe_depth=0.16,
            dark=(0.2, 0.36, 0.16), light=(0.46, 0.6, 0.32), rib=(0.62, 0.7, 0.5),
        ),
        Species(
            "thistle", "weed", "rosette", "lance", "net", (4, 12), (0.03, 0.15), (0.26, 0.36), (0.05, 0.8), (0.1, 0.5),
            stalk_m=(0.001, 0.003), wave=0.16, lobes=6, lobe_depth=0.62,
            dark=(0.14, 0.3, 0.14), light=(0.36, 0.5, 0.28), rib=(0.75, 0.8, 0.66),
        ),
        Species(
            "dandelion", "weed", "rosette", "obovate", "net", (4, 12), (0.025, 0.13), (0.2, 0.3), (0.02, 0.5), (0.0, 0.35),
            stalk=0.12, stalk_m=(0.001, 0.002), lobes=5, lobe_depth=0.5,
            dark=(0.17, 0.35, 0.09), light=(0.42, 0.6, 0.2), rib=(0.66, 0.66, 0.45),
        ),
    )
}  # fmt: skip


def categories(by_species: bool, group: str, kinds: Sequence[str]) -> dict[str, Category]:
    """The category of each kind: its own, or its group's."""
    return {kind: Category(kind if by_species else group, (STEM,)) for kind in kinds}


def plant(kind: str, growth: float, rng: Stream, ground_m: Callable[[F64], F64]) -> tuple[Asset, int]:
    """A plant of a kind, and how many leaves it has. ground_m: height of the soil at points (n, 2) of the object frame, 0 at its origin."""
    species = SPECIES[kind]
    shape, color = rng.child("shape"), rng.child("color")
    size = species.length_m[0] + growth * (species.length_m[1] - species.length_m[0])
    count = max(2, round(_between(species.leaves, growth) + shape.normal(0, 0.6)))
    if species.arrangement == "pairs":
        count += count % 2
    radius = _between(species.stem_radius_m, growth) * shape.uniform(0.8, 1.2)
    stem = _between(species.stem_m, growth) * shape.uniform(0.7, 1.2)
    lean = shape.normal(0, 0.12, 2) * stem
    youth = np.arange(count) / max(count - 1, 1)  # 0: the oldest leaf
    level = youth if species.arrangement != "pairs" else np.arange(count) // 2 * 2 / max(count - 2, 1)
    base = np.column_stack([level[:, None] * lean, 0.85 * level * stem])
    azimuth = shape.uniform(0, 2 * math.pi) + _azimuths(species.arrangement, count) + shape.normal(0, 0.22, count)
    if stem < 0.004:  # leaves of a rosette begin beside one another, under the soil's crust
        base = np.column_stack([0.6 * radius * np.cos(azimuth), 0.6 * radius * np.sin(azimuth), np.full(count, -0.002) + 0.004 * youth])
    age = np.clip(1.15 - 0.75 * youth**1.5, 0.2, 1) * np.where(youth > 0.0, 1, 0.8)  # the youngest are not yet long
    leaves = Leaves(
        species.blade,
        base,
        azimuth,
        length_m=size * age * shape.uniform(0.82, 1.15, count),
        width_m=size * age * shape.uniform(*species.width, count),
        rise_rad=_between(species.rise_rad, youth) + shape.normal(0, 0.12, count),
        droop_rad=shape.uniform(*species.droop_rad, count),
        fold_rad=shape.uniform(*species.fold_rad, count),
        wave=species.wave * shape.uniform(0.5, 1.3, count),
        phase_rad=shape.uniform(0, 2 * math.pi, count),
        stalk=species.stalk,
        stalk_m=_between(species.stalk_m, growth),
        lobes=species.lobes,
        lobe_depth=species.lobe_depth * (0.5 + 0.5 * growth),
    )
    grid = leaves.grid()
    floor = ground_m(grid[..., :2].reshape(-1, 2)).reshape(grid.shape[:3]) + _ABOVE_SOIL_M
    away = np.linalg.norm(grid[..., :2], axis=-1) > 1.5 * radius + 0.004
    grid[..., 2] = np.where(away, np.maximum(grid[..., 2], floor), grid[..., 2])
    mesh = join([leaf_mesh(grid), _stem(radius, max(stem, 0.004), lean)], _leaf_paint(species, color))
    return Asset(kind, (mesh,), (Keypoint(STEM, (0.0, 0.0, 0.0), below_m=_CROWN_M),)), count


def _between(pair: Range, t: Any) -> Any:
    return pair[0] + t * (pair[1] - pair[0])


def _azimuths(arrangement: str, count: int) -> F64:
    k = np.arange(count)
    if arrangement == "pairs":
        return np.asarray((k % 2) * math.pi + (k // 2 % 2) * math.pi / 2, np.float64)
    return np.asarray(k * (math.pi if arrangement == "ranks" else _GOLDEN_RAD))


def _stem(radius_m: float, height_m: float, lean_m: F64) -> Mesh:
    """From 1 cm below the soil up, tapering; painted as a rib."""
    tube = _unit_stem()
    points = tube.vertices_m.astype(np.float64)
    level = np.maximum(points[:, 2], 0)
    z = np.where(points[:, 2] < 0, points[:, 2] * 0.01, points[:, 2] * height_m)
    vertices = np.column_stack([points[:, :2] * radius_m + level[:, None] * lean_m, z])
    return Mesh(vertices.astype(np.float32), tube.faces, tube.normals, tube.uv)


@cache
def _unit_stem() -> Mesh:
    """Of radius 1 where it meets the soil, from z = -1 to 1."""
    tube = sweep([(0, 0, -1), (0, 0, 0), (0, 0, 0.5), (0, 0, 1)], [1.1, 1.0, 0.85, 0.5], 8)
    assert tube.uv is not None
    uv = np.column_stack([np.full(len(tube.uv), 0.5), 0.1 + 0.3 * tube.uv[:, 1]])
    return replace(tube, uv=uv.astype(np.float32))


def _leaf_paint(species: Species, rng: Stream) -> Material:
    texture = leaf_texture(species.veins, species.dark, species.light, species.rib, int(rng.integers(TEXTURES)))
    bright, yellow = rng.uniform(0.75, 1.0), rng.uniform(-0.12, 0.12)
    tint = (min(1.0, bright * (1 + yellow)), bright, bright * float(rng.uniform(0.75, 1.0)), 1.0)
    return Material(tint, texture, roughness=species.roughness, double_sided=True)
