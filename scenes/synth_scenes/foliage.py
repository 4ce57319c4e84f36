"""Leaves: bent, folded, lobed sheets along a midrib, and the pictures on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from synth.compose.fields import fractal, ramp, shaded
from synth.rand import Stream, rng_for
from synth.types import F64, U8, Mesh, Rgb

_ACROSS = 7  # vertices across a leaf
TEXTURES = 4  # pictures of each kind of leaf

BLADES: dict[str, Callable[[F64], F64]] = {
    "strap": lambda u: np.minimum(1, 0.55 + 2.2 * u) * (1 - u**2.2) ** 0.8,
    "ovate": lambda u: np.sin(math.pi * np.clip(u, 0, 1) ** 0.72) ** 0.85,
    "obovate": lambda u: np.sin(math.pi * np.clip(u, 0, 1) ** 1.45) ** 0.6 + 0.12 * (1 - u),
    "lance": lambda u: np.sin(math.pi * np.clip(u, 0, 1) ** 0.95) ** 0.9,
}
"""Half width of a blade over its length u in [0, 1], its widest 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """n leaves of one plant; each field (n,) but the names. base_m (n, 3): where a leaf begins, object frame; azimuth_rad: the way it goes;
    length_m with stalk; stalk: share of it that is stalk; width_m: of the blade; rise_rad: slope at the base, upwards; droop_rad: how far
    it turns down until its tip; fold_rad: of each half, up from the midrib; wave: height of its margin's waves as a share of the width.
    lobes: how many each side, lobe_depth [0, 1]: how far they are cut."""

    blade: str
    base_m: F64
    azimuth_rad: F64
    length_m: F64
    width_m: F64
    rise_rad: F64
    droop_rad: F64
    fold_rad: F64
    wave: F64
    phase_rad: F64
    stalk: float
    stalk_m: float
    lobes: int = 0
    lobe_depth: float = 0.0

    def grid(self) -> F64:
        """(n, rows, across, 3) points: rows from base to tip, columns from right to left."""
        rows = 12 if not self.lobes else 4 * self.lobes + 5
        s, t = np.linspace(0, 1, rows), np.linspace(-1, 1, _ACROSS)
        slope = self.rise_rad[:, None] - self.droop_rad[:, None] * s**1.4
        step = self.length_m[:, None] / (rows - 1)
        out, up = (np.cumsum(f(slope) * step, axis=1) - f(slope[:, :1]) * step for f in (np.cos, np.sin))  # along the ground, and up
        u = np.clip((s - self.stalk) / (1 - self.stalk), 0, 1)
        cut = 1 - self.lobe_depth * np.abs(2 * ((u * self.lobes) % 1) - 1) * (u > 0) if self.lobes else np.ones(rows)
        half = np.maximum(self.width_m[:, None] / 2 * BLADES[self.blade](u) * cut * (u > 0), self.stalk_m / 2 * (1 - u) + 2e-4)
        across = t * half[..., None]  # (n, rows, across)
        wave = (
            self.wave[:, None, None]
            * self.width_m[:, None, None]
            * np.sin(5 * math.pi * s[:, None] + self.phase_rad[:, None, None] * np.sign(t))
        )
        lifted = np.abs(across) * np.sin(self.fold_rad)[:, None, None] + wave * t**2 * (u > 0)[:, None]
        flat = across * np.cos(self.fold_rad)[:, None, None]
        # in the plane of the midrib: the normal of the leaf leans back as it drops
        radial = out[..., None] - np.sin(slope)[..., None] * lifted
        height = up[..., None] + np.cos(slope)[..., None] * lifted
        c, sn = np.cos(self.azimuth_rad)[:, None, None], np.sin(self.azimuth_rad)[:, None, None]
        grid = np.stack([radial * c - flat * sn, radial * sn + flat * c, height], axis=-1)
        return np.asarray(grid + self.base_m[:, None, None])


def grid_normals(grid: F64) -> F64:
    """Unit normals of surfaces (n, rows, columns, 3), to the side from which columns run clockwise of rows."""
    normals = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=2))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-300))


def leaf_mesh(grid: F64) -> Mesh:
    """Leaves (n, rows, across, 3) as one mesh; v runs from base to tip, u across."""
    n, rows, columns = grid.shape[:3]
    normals = grid_normals(grid)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij"))
    a = i * columns + j
    one = np.concatenate([np.stack([a, a + columns + 1, a + 1], 1), np.stack([a, a + columns, a + columns + 1], 1)])
    faces = (np.arange(n)[:, None, None] * rows * columns + one).reshape(-1, 3)
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    uv = np.tile(np.stack([u, v], -1).reshape(-1, 2), (n, 1))
    flat = (grid.reshape(-1, 3), normals.reshape(-1, 3), uv)
    points, unit, coordinates = (array.astype(np.float32) for array in flat)
    return Mesh(points, faces.astype(np.int32), unit, coordinates)


@lru_cache(maxsize=64)
def leaf_texture(veins: str, dark: Rgb, light: Rgb, rib: Rgb, variant: int) -> U8:
    """(256, 128, 3) a leaf, its tip at the top: `parallel` veins as of grass or `net` veins that branch off the midrib."""
    rng: Stream = rng_for(0, variant, "leaf", veins)
    height, width = 256, 128
    s = 1 - (np.arange(height)[:, None] + 0.5) / height
    t = ((np.arange(width)[None] + 0.5) / width - 0.5) * 2
    cloud = fractal((width, height), rng.child("cloud"), tile_m=1.0, feature_m=0.4, octaves=5, persistence=0.6)
    grain = fractal((width, height), rng.child("grain"), tile_m=1.0, feature_m=0.06, octaves=3, persistence=0.8)
    tone = 0.45 + 0.14 * cloud + 0.06 * grain + 0.12 * np.abs(t) - 0.1 * s
    if veins == "parallel":
        lines = 0.5 + 0.5 * np.cos(t * math.pi * 22)
        pale = 0.22 * lines**4 + np.exp(-np.abs(t) / 0.05)
    else:
        along = (s * 9 - np.abs(t) * 2.2) % 1
        side = np.exp(-np.minimum(along, 1 - along) / 0.055) * (1 - np.abs(t)) ** 0.5
        pale = 0.5 * side + np.exp(-np.abs(t) / (0.02 + 0.05 * (1 - s)))
        tone = tone - 0.1 * np.sin(np.pi * along)  # bulges between veins
    green = ramp(tone, (dark, light)).astype(np.float32)
    share = np.clip(pale, 0, 1)[..., None].astype(np.float32) * np.float32(0.75)
    picture: Any = green * (1 - share) + np.array(rib, np.float32) * 255 * share
    age = np.clip((np.abs(t) - 0.9) * 8 + np.clip(s - 0.93, 0, 1) * 10 + 0.3 * grain, 0, 1)[..., None] * 0.35
    picture = picture * (1 - age) + np.array((0.62, 0.58, 0.28), np.float32) * 255 * age
    return shaded(picture.astype(np.uint8), 1 + 0.04 * grain)
