"""The soil of a field: a height map with clods and sown rows, stones and straw that lie on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from synth.compose.fields import cells, fractal, normal_map
from synth.compose.shapes import from_triangles, join, revolve, sheet
from synth.compose.textures import noise, soil
from synth.rand import Stream, rng_for
from synth.types import F64, U8, Asset, Body, Bool, Material, Mesh
from synth_scenes.foliage import leaf_mesh

_CELL_M = 0.006  # of the height map
_TILE_M = 0.55
_TEXTURE_PX = 1024
TEXTURES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Soil:
    """Heights (rows, columns) in metres over a rectangle x0 y0 x1 y1 of the plane, linear between."""

    rectangle_m: tuple[float, float, float, float]
    heights_m: F64

    def at(self, xy_m: F64) -> F64:
        """(n,) heights at points (n, 2), as the surface's triangles have them; outside as at the edge."""
        x0, y0, x1, y1 = self.rectangle_m
        rows, columns = self.heights_m.shape
        u = np.clip((xy_m[:, 0] - x0) / (x1 - x0) * (columns - 1), 0, columns - 1)
        v = np.clip((xy_m[:, 1] - y0) / (y1 - y0) * (rows - 1), 0, rows - 1)
        i, j = np.minimum(v.astype(int), rows - 2), np.minimum(u.astype(int), columns - 2)
        s, t = u - j, v - i
        a, b, c, d = self.heights_m[i, j], self.heights_m[i, j + 1], self.heights_m[i + 1, j + 1], self.heights_m[i + 1, j]
        # cells are cut from (0, 0) to (1, 1), as shapes.sheet cuts them
        return np.asarray(np.where(s >= t, a + s * (b - a) + t * (c - b), a + t * (d - a) + s * (c - d)))

    def body(self, rng: Stream, moisture: float) -> Body:
        """The surface, its colour by a texture and wet patches."""
        x0, y0, x1, y1 = self.rectangle_m
        rows, columns = self.heights_m.shape
        flat = sheet(x1 - x0, y1 - y0, columns - 1, rows - 1)
        vertices = flat.vertices_m + np.array([(x0 + x1) / 2, (y0 + y1) / 2, 0])
        vertices[:, 2] = self.heights_m.ravel()
        slope_y, slope_x = np.gradient(self.heights_m, (y1 - y0) / (rows - 1), (x1 - x0) / (columns - 1))
        normals = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], -1).reshape(-1, 3)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        turn, shift = rng.child("turn").uniform(0, 2 * math.pi), rng.child("shift").uniform(size=2)
        uv = vertices[:, :2] @ np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / _TILE_M + shift
        patches = fractal((columns, rows), rng.child("patches"), tile_m=x1 - x0, feature_m=0.25, octaves=4).astype(np.float64)
        hollow = -(self.heights_m - self.heights_m.mean()) / max(float(self.heights_m.std()), 1e-6)
        wet = np.clip(1.6 * moisture - 0.3 + 0.22 * patches + 0.1 * hollow, 0, 1)
        dark = 1 - 0.62 * wet
        hue = rng.child("hue").uniform(-0.1, 0.1)
        colors = np.stack([dark * (1 + hue), dark, dark * (1 - 1.5 * hue), np.ones_like(dark)], -1).reshape(-1, 4)
        texture, relief = _texture(int(rng.child("texture").integers(TEXTURES)))
        paint = Material(base_color_texture=texture, normal_texture=relief, roughness=0.95 - 0.3 * moisture)
        arrays = (a.astype(np.float32) for a in (vertices, normals, uv, np.clip(colors, 0, 1)))
        points, unit, coordinates, tints = arrays
        return Body(Asset("soil", (Mesh(points, flat.faces, unit, coordinates, tints, paint),)), np.eye(4))


def soil_under(rectangle_m: tuple[float, float, float, float], rows_x_m: F64, rng: Stream, clod_m: float, roughness_m: float) -> Soil:
    """Soil with clods of about clod_m that stand up to a few roughness_m high, and shallow furrows along the rows at x = rows_x_m."""
    x0, y0, x1, y1 = rectangle_m
    columns, rows = (max(8, math.ceil(side / _CELL_M)) + 1 for side in (x1 - x0, y1 - y0))
    size, wide = (columns, rows), x1 - x0
    rough = fractal(size, rng.child("rough"), tile_m=wide, feature_m=2 * clod_m, octaves=5, persistence=0.6).astype(np.float64)
    long = fractal(size, rng.child("long"), tile_m=wide, feature_m=0.4, octaves=2).astype(np.float64)
    number, away = cells(size, rng.child("clods"), tile_m=wide, cell_m=1.6 * clod_m, jitter=1.0)
    tall = np.clip(rng.child("tall").normal(-0.2, 1.0, int(number.max()) + 1), 0, 2)  # more than half of the cells have no clod
    clods = tall[number] * np.sqrt(np.clip(away - 0.05, 0, 0.3))
    x = np.linspace(x0, x1, columns)
    furrow = np.exp(-0.5 * (np.abs(x[:, None] - rows_x_m).min(axis=1) / 0.03) ** 2) if len(rows_x_m) else np.zeros(columns)
    heights = roughness_m * (rough * (0.5 - 0.2 * furrow) + 2.6 * clods * (1 - 0.7 * furrow) + 0.6 * long - 0.9 * furrow)
    return Soil(rectangle_m, heights)


@lru_cache(maxsize=TEXTURES)
def _texture(variant: int) -> tuple[U8, U8]:
    """Colours and relief of fine soil."""
    rng = rng_for(0, variant, "soil")
    base = np.array([(0.33, 0.25, 0.18), (0.5, 0.4, 0.3), (0.64, 0.54, 0.43)]) * rng.child("tone").uniform(0.8, 1.1)
    picture = soil(_TEXTURE_PX, rng, tile_m=_TILE_M, clod_m=0.02, moisture=0.0, colors=[tuple(c) for c in base.tolist()])
    crumbs = fractal(_TEXTURE_PX, rng.child("crumbs"), tile_m=_TILE_M, feature_m=0.012, octaves=5, persistence=0.62)
    return picture, normal_map(np.float32(0.0006) * crumbs, _TILE_M)


# --- what lies on it --------------------------------------------------------------------------------------------------


_APART_M = 0.012  # from the points of leaves, which lie closer together than twice that


def _free(points_m: F64, leaves_m: F64, apart_m: F64 | float) -> Bool:
    """(n,) whether no leaf is near any of points (n, k, 2)."""
    from scipy.spatial import cKDTree

    if not len(leaves_m) or not len(points_m):
        return np.ones(len(points_m), dtype=np.bool_)
    distance, _ = cKDTree(leaves_m).query(points_m.reshape(-1, 2))
    return np.asarray(distance.reshape(len(points_m), -1).min(axis=1) > apart_m)


def stones(count: int, size_m: tuple[float, float], on: Soil, leaves_m: F64, rng: Stream) -> Body | None:
    """Round and broken stones, sunk by a third, as one body. Those that would lie at points of leaves (n, 2) are left out."""
    draws = rng.child("draws").uniform(size=(count, 8))
    x0, y0, x1, y1 = on.rectangle_m
    xy = np.array([x0, y0]) + draws[:, :2] * (x1 - x0, y1 - y0)
    sizes = size_m[0] * (size_m[1] / size_m[0]) ** (draws[:, 3] ** 1.5)
    made = []
    for i in np.flatnonzero(_free(xy[:, None], leaves_m, _APART_M + sizes / 2)).tolist():
        unit, size, (x, y) = _stone(int(draws[i, 2] * _STONES)), sizes[i], xy[i].tolist()
        turn = draws[i, 4] * 2 * math.pi
        rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1.0]])
        points = (unit.vertices_m.astype(np.float64) * size) @ rotation.T
        points += (x, y, float(on.at(np.array([[x, y]]))[0]) + size * 0.1)
        grey = 0.25 + 0.4 * draws[i, 5]
        color = np.array([grey, grey * (0.9 + 0.1 * draws[i, 6]), grey * (0.75 + 0.2 * draws[i, 6]), 1])
        colors = np.tile(color, (len(points), 1)).astype(np.float32)
        made.append(Mesh(points.astype(np.float32), unit.faces, (unit.normals @ rotation.T).astype(np.float32), unit.uv, colors))
    if not made:
        return None
    return Body(Asset("stones", (join(made, Material(base_color_texture=_stone_texture(), roughness=0.85)),)), np.eye(4))


_STONES = 16


@lru_cache(maxsize=_STONES)
def _stone(variant: int) -> Mesh:
    """About 1 across, flattened, lumpy: a ball whose points are cut by some planes and moved by some waves."""
    rng = rng_for(0, variant, "stone")
    polar = np.linspace(-math.pi / 2, math.pi / 2, 10)
    profile = np.stack([0.5 * np.cos(polar), 0.5 * np.sin(polar)], 1)
    profile[[0, -1], 0] = 0.0
    ball = revolve(profile, 14)
    points = ball.vertices_m.astype(np.float64)
    for way in rng.standard_normal((7, 3)):
        normal = way / np.linalg.norm(way)
        beyond = points @ normal - rng.uniform(0.3, 0.5)
        points -= np.maximum(beyond, 0)[:, None] * normal
    points *= rng.uniform((0.8, 0.6, 0.4), (1.1, 0.9, 0.65))
    return from_triangles(np.round(points, 6), ball.faces, ball.uv)


@lru_cache(maxsize=1)
def _stone_texture() -> U8:
    return noise(128, rng_for(0, 0, "stone"), tile_m=1.0, feature_m=0.3, colors=((0.55, 0.54, 0.52), (0.95, 0.94, 0.92)), persistence=0.8)


def straw(count: int, on: Soil, leaves_m: F64, rng: Stream) -> Body | None:
    """Residue of the last crop: bleached blades 2 to 10 cm long that follow the ground, as one body. Those that would lie at points of
    leaves (n, 2) are left out."""
    low, high = (0, 0, 0, 0.02, 0.0015, -9), (1, 1, 2 * math.pi, 0.1, 0.004, 9)
    x, y, turn, length, width, bend = rng.child("draws").uniform(low, high, (count, 6)).T
    x0, y0, x1, y1 = on.rectangle_m
    s, t = np.linspace(-0.5, 0.5, 9), np.array([-0.5, 0, 0.5])
    along = s * length[:, None]  # (n, 9)
    aside = (bend[:, None] * along**2)[..., None] + t * width[:, None, None]
    px = (x0 + x * (x1 - x0))[:, None, None] + along[..., None] * np.cos(turn)[:, None, None] - aside * np.sin(turn)[:, None, None]
    py = (y0 + y * (y1 - y0))[:, None, None] + along[..., None] * np.sin(turn)[:, None, None] + aside * np.cos(turn)[:, None, None]
    free = _free(np.stack([px, py], -1).reshape(count, len(s) * len(t), 2), leaves_m, _APART_M)
    if not free.any():
        return None
    px, py = px[free], py[free]
    floor = on.at(np.stack([px.ravel(), py.ravel()], 1)).reshape(px.shape)
    # a blade is stiff: it lies on what is highest near by
    z = np.maximum(floor, np.maximum(np.roll(floor, 1, 1), np.roll(floor, -1, 1))) + 0.0015 + 0.0012 * (1 - np.abs(2 * t))
    mesh = leaf_mesh(np.stack([px, py, z], -1))
    shade = rng.child("tone").uniform(size=(count, 1))[free]
    tone = (np.array((0.4, 0.33, 0.22)) + shade * (0.48, 0.43, 0.32)) ** 2.2
    colors = np.column_stack([np.repeat(tone, len(s) * len(t), axis=0), np.ones(len(mesh.vertices_m))]).astype(np.float32)
    return Body(Asset("straw", (replace(mesh, colors=colors, material=Material(roughness=0.7, double_sided=True)),)), np.eye(4))
