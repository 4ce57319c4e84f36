"""Packages of goods that do not exist: boxes, cartons, cans, bottles, jars, bags and tubes with printed faces.

`package(kind, variant)` is one product: made once a process, shared, so that a shelf full of it costs one mesh and one texture. Its origin
is the middle of the base, z up, its face towards -y. All of it is one mesh with one texture: the face, where there is one the side, and a
strip of plain colours for lids, caps and rims.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from synth.compose import shapes
from synth.rand import Stream
from synth.types import F64, U8, Asset, Material, Mesh
from synth_scenes import prints
from synth_scenes.artwork import Color

KINDS = ("box", "carton", "can", "bottle", "jar", "bag", "tube")
_STRIP_PX = 24  # width of the plain colours at the right end of a texture
_PX_PER_M = 1800
_MOST_PX = 384
_SEGMENTS = 28
_METALS = ((196, 198, 200), (205, 175, 95), (60, 62, 66))
_PLASTICS = ((245, 245, 242), (30, 30, 34), (200, 30, 35), (25, 70, 160), (250, 200, 30), (40, 130, 70))
_CONTENTS = {"Jam": (120, 15, 25), "Honey": (205, 130, 25), "Pickles": (105, 120, 50), "Olives": (70, 75, 30), "Pesto": (60, 90, 30)}


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A product: its asset, and the brand on it."""

    asset: Asset
    brand: prints.Brand


@lru_cache(maxsize=512)
def package(kind: str, variant: int) -> Package:
    """The product number `variant` of one of KINDS."""
    rng = Stream(0, variant, ("package", kind))
    brand = prints.brand(kind, rng)
    mesh = _MAKERS[kind](brand, rng.child("shape"))
    return Package(Asset(f"{kind}_{variant:02d}", (mesh,), licence="MIT"), brand)


# --- textures: pictures side by side, plain colours at the right end --------------------------------------------------


class _Atlas:
    """Where on one texture a face, a side and plain colours are."""

    def __init__(self, pictures: Sequence[U8], plain: Sequence[Color]) -> None:
        height = pictures[0].shape[0]
        strip = np.repeat(np.array(plain, np.uint8), -(-height // len(plain)), axis=0)[:height]
        self.texture = np.concatenate([*pictures, np.repeat(strip[:, None], _STRIP_PX, axis=1)], axis=1)
        width = self.texture.shape[1]
        ends = np.cumsum([0, *(picture.shape[1] for picture in pictures)]) / width
        # half a texel within each picture, so that no neighbour shines in
        self._spans = [(a + 0.5 / width, b - 0.5 / width) for a, b in pairwise(ends)]
        self._plain = [(1 - _STRIP_PX / width / 2, 1 - (i + 0.5) / len(plain)) for i in range(len(plain))]

    def on(self, mesh: Mesh, picture: int, low: float = 0.0, high: float = 1.0) -> Mesh:
        """The mesh with its own texture coordinates [0, 1] on a picture, v between low and high of it."""
        left, right = self._spans[picture]
        uv = np.asarray(mesh.uv, np.float64)
        return replace(mesh, uv=np.stack([left + uv[:, 0] * (right - left), low + uv[:, 1] * (high - low)], 1).astype(np.float32))

    def plain(self, mesh: Mesh, color: int) -> Mesh:
        """The mesh in a plain colour."""
        return replace(mesh, uv=np.tile(np.array(self._plain[color], np.float32), (len(mesh.vertices_m), 1)))

    def joined(self, meshes: Sequence[Mesh], roughness: float) -> Mesh:
        return shapes.join(meshes, Material(base_color_texture=self.texture, roughness=roughness))


def _pixels(width_m: float, height_m: float) -> tuple[int, int]:
    scale = min(_PX_PER_M, _MOST_PX / max(width_m, height_m))
    return max(32, round(width_m * scale)), max(32, round(height_m * scale))


def _around(brand: prints.Brand, around_m: float, height_m: float, rng: Stream) -> U8:
    """A label for something round: face, small print, face, small print."""
    face = _pixels(around_m * 0.34, height_m)
    small = max(24, round(face[0] * 0.47))
    pictures = [prints.front(brand, *face, rng.child("front")), prints.side(brand, small, face[1], rng.child("side"))]
    return np.concatenate([*pictures, *pictures], axis=1)


def _faced(mesh: Mesh) -> Mesh:
    """A turned body, so that the middle of its first face looks to -y: it lies at 0.17 of the way around."""
    turn = -math.pi / 2 - 0.17 * 2 * math.pi
    c, s = math.cos(turn), math.sin(turn)
    return shapes.moved(mesh, np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))


# --- kinds ------------------------------------------------------------------------------------------------------------


def _box(brand: prints.Brand, rng: Stream) -> Mesh:
    shape = int(rng.integers(4))
    low, high = (((0.15, 0.05, 0.22), (0.21, 0.08, 0.31)), ((0.1, 0.05, 0.12), (0.16, 0.08, 0.19)),
                 ((0.13, 0.06, 0.06), (0.2, 0.1, 0.1)), ((0.06, 0.04, 0.13), (0.1, 0.06, 0.2)))[shape]  # fmt: skip
    width, depth, height = rng.uniform(low, high).tolist()
    size, small = _pixels(width, height), _pixels(depth, height)
    faces = [prints.front(brand, *size, rng.child("front")), prints.side(brand, small[0], size[1], rng.child("side"))]
    return _walls(_Atlas(faces, brand.colors[:2]), (width, depth, height))


def _walls(atlas: _Atlas, size_m: tuple[float, float, float]) -> Mesh:
    """A folded box on z = 0: face and back, two sides, top and bottom."""
    mesh = shapes.box(size_m, bevel_m=0.0012)
    mesh = shapes.moved(mesh, _lifted(size_m[2] / 2))
    axis = np.abs(mesh.normals).round(3).argmax(axis=1)
    uv = np.empty((len(axis), 2), np.float32)
    for at, (picture, low, high) in enumerate(((1, 0.0, 1.0), (0, 0.0, 1.0), (0, 0.7, 1.0))):
        uv[axis == at] = np.asarray(atlas.on(mesh, picture, low, high).uv)[axis == at]
    return atlas.joined([replace(mesh, uv=uv)], roughness=0.55)


def _carton(brand: prints.Brand, rng: Stream) -> Mesh:
    """With a gable, or a brick with a cap."""
    width, depth, height = rng.uniform((0.062, 0.06, 0.17), (0.095, 0.085, 0.24)).tolist()
    size, small = _pixels(width, height), _pixels(depth, height)
    pictures = [prints.front(brand, *size, rng.child("front")), prints.side(brand, small[0], size[1], rng.child("side"))]
    cap = _PLASTICS[int(rng.child("cap").integers(len(_PLASTICS)))]
    atlas = _Atlas(pictures, (brand.colors[0], brand.colors[1], cap))
    if rng.child("is_brick").uniform() < 0.4:
        lid = shapes.moved(shapes.cylinder(0.013, 0.014, 0.0015, _SEGMENTS), _lifted(height + 0.006, 0.15 * width))
        brick = _walls(atlas, (width, depth, height))
        return atlas.joined([brick, atlas.plain(lid, 2)], roughness=0.45)
    wall, ridge = height * 0.8, height * 0.95
    x, y = width / 2, depth / 2
    front = _quad((-x, -y, 0), (x, -y, 0), (x, -y, wall), (-x, -y, wall))
    roof = _quad((-x, -y, wall), (x, -y, wall), (x, -0.0015, ridge), (-x, -0.0015, ridge))
    fin = _quad((-x, -0.0015, ridge), (x, -0.0015, ridge), (x, -0.0015, height), (-x, -0.0015, height))
    half = [atlas.on(front, 0, 0, 0.8), atlas.on(roof, 0, 0.8, 0.95), atlas.on(fin, 0, 0.95, 1.0)]
    sides = [atlas.on(_quad((x, -y, 0), (x, y, 0), (x, y, wall), (x, -y, wall)), 1, 0, 0.8)]
    gable = shapes.from_triangles(
        [(x, -y, wall), (x, y, wall), (x, 0.0015, ridge), (x, -0.0015, ridge)], [(0, 1, 2), (0, 2, 3)], np.zeros((4, 2))
    )
    end = _quad((x, -0.0015, ridge), (x, 0.0015, ridge), (x, 0.0015, height), (x, -0.0015, height))
    sides += [atlas.plain(gable, 1), atlas.plain(end, 0)]
    around = np.diag([-1.0, -1.0, 1.0, 1.0])
    turned = [shapes.moved(mesh, around) for mesh in (*half, *sides)]
    top = _quad((-x, -0.0015, height), (x, -0.0015, height), (x, 0.0015, height), (-x, 0.0015, height))
    bottom = _quad((-x, y, 0), (x, y, 0), (x, -y, 0), (-x, -y, 0))
    return atlas.joined([*half, *sides, *turned, atlas.plain(top, 0), atlas.plain(bottom, 0)], roughness=0.45)


def _can(brand: prints.Brand, rng: Stream) -> Mesh:
    shape = int(rng.integers(4))
    radius, height = rng.uniform(*(((0.035, 0.1), (0.04, 0.12)), ((0.04, 0.035), (0.045, 0.06)), ((0.031, 0.115), (0.034, 0.17)),
                                   ((0.047, 0.11), (0.053, 0.13)))[shape]).tolist()  # fmt: skip
    drink = shape == 2
    metal = _METALS[0] if rng.child("metal").uniform() < 0.8 else _METALS[1]
    atlas = _Atlas([_around(brand, 2 * math.pi * radius, height, rng)], (metal, metal))
    rim, neck = 0.003, radius * (0.78 if drink else 1.0)
    low = [(0.0, 0.002), (neck - 0.004, 0.002), (neck - 0.003, 0.0), (neck, 0.0)]
    if drink:
        wall = [(radius, 0.012), (radius, height - 0.016)]
        high = [
            (neck, height - 0.003),
            (neck + 0.001, height),
            (neck - 0.002, height),
            (neck - 0.004, height - 0.005),
            (0.0, height - 0.005),
        ]
        foot = [*low, (radius, 0.012)]
        top = [wall[1], *high]
    else:
        wall = [(radius - 0.001, rim), (radius - 0.001, height - rim)]
        foot = [*low[:2], (radius - 0.003, 0.0), (radius, 0.0), (radius, rim), wall[0]]
        top = [
            wall[1],
            (radius, height - rim),
            (radius, height),
            (radius - 0.003, height),
            (radius - 0.004, height - 0.003),
            (0.0, height - 0.003),
        ]
    return _turned(atlas, wall, foot, top, roughness=0.35)


def _turned(
    atlas: _Atlas,
    wall: Sequence[tuple[float, float]],
    foot: Sequence[tuple[float, float]],
    top: Sequence[tuple[float, float]],
    roughness: float,
) -> Mesh:
    """A label around a wall, below and above it plain colours 0 and 1."""
    parts = [atlas.on(shapes.revolve(wall, _SEGMENTS), 0)]
    parts += [atlas.plain(shapes.revolve(profile, _SEGMENTS), color) for color, profile in enumerate((foot, top))]
    return _faced(atlas.joined(parts, roughness))


def _bottle(brand: prints.Brand, rng: Stream) -> Mesh:
    radius, height = rng.uniform((0.03, 0.18), (0.045, 0.29)).tolist()
    body = brand.colors[int(rng.child("body").integers(2))]
    if rng.child("is_glass").uniform() < 0.35:
        body = ((40, 62, 35), (70, 38, 18), (190, 205, 205))[int(rng.child("glass").integers(3))]
    cap = _PLASTICS[int(rng.child("cap").integers(len(_PLASTICS)))]
    low, high = height * 0.12, height * rng.uniform(0.5, 0.6)
    atlas = _Atlas([_around(brand, 2 * math.pi * radius, high - low, rng)], (body, body, cap))
    wide = rng.child("wide").uniform() < 0.4  # a wide cap, as on shampoo
    neck = radius * (0.55 if wide else 0.36)
    shoulder = height * rng.uniform(0.64, 0.72)
    foot = [(0.0, 0.0), (radius * 0.88, 0.0), (radius * 0.97, 0.004), (radius, 0.012), (radius, low)]
    s = np.linspace(0, 1, 7)
    bow = np.stack([neck + (radius - neck) * np.cos(s * math.pi / 2) ** 0.8, shoulder + (height * 0.86 - shoulder) * s], 1)
    top = [(radius, high), *map(tuple, bow.tolist()), (neck, height * 0.9), (0.0, height * 0.9)]
    body_mesh = _turned(atlas, [(radius, low), (radius, high)], foot, top, roughness=0.3)
    lid = neck + (0.004 if wide else 0.003)
    rise = shapes.revolve([(0, height * 0.88), (lid, height * 0.88), (lid, height - 0.002), (lid - 0.002, height), (0, height)], _SEGMENTS)
    return atlas.joined([body_mesh, atlas.plain(rise, 2)], roughness=0.3)


def _jar(brand: prints.Brand, rng: Stream) -> Mesh:
    radius, height = rng.uniform((0.03, 0.08), (0.045, 0.14)).tolist()
    content = _CONTENTS.get(brand.goods, (150, 60, 25))
    lid = (*_METALS, *_PLASTICS)[int(rng.child("lid").integers(9))]
    low, high = height * 0.14, height * 0.64
    atlas = _Atlas([_around(brand, 2 * math.pi * radius, high - low, rng)], (content, content, lid))
    neck, shoulder = radius * 0.9, height * 0.74
    foot = [(0.0, 0.0), (radius * 0.85, 0.0), (radius * 0.96, 0.004), (radius, 0.012), (radius, low)]
    top = [(radius, high), (radius, shoulder), (radius * 0.97, shoulder + 0.006), (neck, height * 0.85), (0.0, height * 0.85)]
    glass = _turned(atlas, [(radius, low), (radius, high)], foot, top, roughness=0.2)
    out = neck + 0.003
    cover = shapes.revolve([(0, height * 0.83), (out, height * 0.83), (out, height - 0.003), (out - 0.003, height), (0, height)], _SEGMENTS)
    return atlas.joined([glass, atlas.plain(cover, 2)], roughness=0.25)


def _bag(brand: prints.Brand, rng: Stream) -> Mesh:
    """A stand-up pouch: a round base, bulging, flat at its seal."""
    width, depth, height = rng.uniform((0.1, 0.05, 0.15), (0.19, 0.085, 0.28)).tolist()
    picture = prints.front(brand, *_pixels(width, height), rng.child("front"))
    atlas = _Atlas([picture], (brand.colors[0], brand.colors[1]))
    s = np.array([0, 0.02, 0.08, 0.2, 0.35, 0.5, 0.65, 0.78, 0.88, 0.94, 0.95, 1.0])
    bulge = np.array([0.8, 0.92, 1.0, 1.0, 0.96, 0.9, 0.8, 0.62, 0.36, 0.04, 0.03, 0.03])
    narrow = np.array([0.94, 0.96, 0.955, 0.95, 0.945, 0.945, 0.955, 0.97, 0.985, 1.0, 1.0, 1.0])
    dents = 1 + 0.04 * rng.child("dents").normal(0, 1, (len(s), 13)) * np.sin(s * math.pi)[:, None]
    return _pouch(atlas, s * height, narrow * width / 2, bulge * depth / 2, dents, 2.6, roughness=float(rng.uniform(0.25, 0.6)))


def _tube(brand: prints.Brand, rng: Stream) -> Mesh:
    """It stands on its cap, flat at its upper end."""
    radius, height = rng.uniform((0.018, 0.13), (0.028, 0.19)).tolist()
    base = 0.03
    picture = prints.front(brand, *_pixels(2.4 * radius, height - base), rng.child("front"))
    cap = _PLASTICS[int(rng.child("cap").integers(len(_PLASTICS)))]
    atlas = _Atlas([picture], (brand.colors[0], cap))
    s = np.linspace(0, 1, 9)
    flat = np.clip(1 - s**1.3, 0.04, 1)
    wide = 1 + 0.35 * s
    body = _pouch(atlas, base + s * (height - base), wide * radius, flat * radius, np.ones((9, 13)), 2.0, roughness=0.35)
    foot = shapes.revolve([(0, 0), (radius * 0.9, 0), (radius * 0.95, 0.003), (radius * 0.9, base), (0, base)], _SEGMENTS)
    return atlas.joined([atlas.plain(foot, 1), body], roughness=0.35)


def _pouch(atlas: _Atlas, z_m: F64, x_m: F64, y_m: F64, dents: F64, power: float, roughness: float) -> Mesh:
    """Rings of half widths x_m and half depths y_m (k,) at z_m, closed below and above; its face on both sides. dents (k, 13): factors
    on the depth across."""
    t = np.linspace(-math.pi, 0, 13)
    across = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
    out = np.abs(np.sin(t)) ** (2 / power)
    out[[0, -1]] = 0.0
    k = len(z_m)
    grid = np.stack([x_m[:, None] * across, -y_m[:, None] * out * dents, np.repeat(z_m[:, None], 13, 1)], 2)
    u = np.broadcast_to((across + 1) / 2, (k, 13))
    v = np.broadcast_to(((z_m - z_m[0]) / (z_m[-1] - z_m[0]))[:, None], (k, 13))
    i, j = (a.ravel() for a in np.meshgrid(np.arange(k - 1), np.arange(12), indexing="ij"))
    a = i * 13 + j
    faces = np.concatenate([np.stack([a, a + 1, a + 14], 1), np.stack([a, a + 14, a + 13], 1)])
    both = np.concatenate([grid.reshape(-1, 3), grid.reshape(-1, 3) * (-1, -1, 1)])
    uv = np.stack([u.ravel(), v.ravel()], 1)
    hull = shapes.from_triangles(both, np.concatenate([faces, faces + k * 13]), np.tile(uv, (2, 1)))
    ends = []
    for ring, up in ((0, False), (k - 1, True)):
        rim = np.concatenate([grid[ring, :-1, :2], -grid[ring, :-1, :2]])
        ends.append(atlas.plain(shapes.cap(rim, float(z_m[ring]), up), 0))
    return atlas.joined([atlas.on(hull, 0), *ends], roughness)


def _quad(*corners_m: tuple[float, float, float]) -> Mesh:
    return shapes.from_triangles(corners_m, [(0, 1, 2), (0, 2, 3)], [(0, 0), (1, 0), (1, 1), (0, 1)])


def _lifted(z_m: float, x_m: float = 0.0) -> F64:
    pose = np.eye(4)
    pose[:3, 3] = x_m, 0.0, z_m
    return pose


_MAKERS = {"box": _box, "carton": _carton, "can": _can, "bottle": _bottle, "jar": _jar, "bag": _bag, "tube": _tube}
