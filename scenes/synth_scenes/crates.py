"""Open boxes to put things in: of plastic, cardboard or wire. The inside is width by depth by height, its floor at floor_m above z = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth.compose.materials import linear
from synth.compose.physics import Block
from synth.compose.shapes import band, box, cap, join, moved, sweep
from synth.compose.textures import cardboard
from synth.rand import Stream, rng_for
from synth.types import F64, Asset, Body, Material, Mesh

KINDS = ("plastic", "cardboard", "wire")
_WALL_M = {"plastic": 0.004, "cardboard": 0.005, "wire": 0.004}
_RIM_M = 0.012  # how far a plastic crate's rim stands out
_CORNER_M = 0.004  # radius of its inner corners: a box's corner stands out of it by a millimetre
_PITCH_M = 0.028  # of wires
_GUIDE_M = 3.0
_COLORS = (  # sRGB of plastics
    (0.10, 0.24, 0.55),
    (0.42, 0.44, 0.46),
    (0.12, 0.12, 0.13),
    (0.66, 0.10, 0.09),
    (0.08, 0.38, 0.20),
    (0.85, 0.60, 0.08),
    (0.82, 0.82, 0.80),
)


@dataclass(frozen=True)
class Crate:
    """One, its middle at the origin. Sizes of the inside, m."""

    kind: str
    width_m: float
    depth_m: float
    height_m: float

    @cached_property
    def wall_m(self) -> float:
        """Thickness of walls and floor."""
        return _WALL_M[self.kind]

    @property
    def rim_m(self) -> float:
        """Height of its upper edge."""
        return self.wall_m + self.height_m

    def body(self, rng: Stream) -> Body:
        """What is seen of it: without category."""
        mesh = {"plastic": self._plastic, "cardboard": self._cardboard, "wire": self._wire}[self.kind](rng.child("shape"))
        return Body(Asset(f"{self.kind}_crate", (mesh,)), np.eye(4), materials=(_material(self.kind, rng.child("material")),))

    def blocks(self, guided: bool) -> tuple[Block, ...]:
        """What things collide with. guided: its walls go on upwards, so that all that falls falls in."""
        w, d, t = self.width_m, self.depth_m, self.wall_m
        h = self.rim_m + (_GUIDE_M if guided else 0.0)
        return (
            Block((w + 2 * t, d + 2 * t, 0.2), _at(0, 0, t - 0.1)),  # as thick as it likes, below
            *(Block((t, d + 2 * t, h), _at(side * (w + t) / 2, 0, h / 2)) for side in (-1, 1)),
            *(Block((w, t, h), _at(0, side * (d + t) / 2, h / 2)) for side in (-1, 1)),
        )

    def _plastic(self, rng: Stream) -> Mesh:
        """Of one piece with a rim around its edge and ribs under it."""
        t, top = self.wall_m, self.rim_m
        inner = _rounded(self.width_m, self.depth_m, _CORNER_M)
        outer = _rounded(self.width_m + 2 * t, self.depth_m + 2 * t, _CORNER_M + t)
        rim = _rounded(self.width_m + 2 * _RIM_M, self.depth_m + 2 * _RIM_M, _CORNER_M + _RIM_M)
        shoulder = top - float(rng.uniform(0.015, 0.03))
        parts = [cap(inner, t, True), band((inner, t), (inner, top))]  # inwards
        parts += [
            band((inner, top), (rim, top - 0.001)),
            band((rim, top - 0.001), (rim, shoulder)),
            band((rim, shoulder), (outer, shoulder)),
        ]
        parts += [band((outer, shoulder), (outer, 0.0)), cap(outer, 0.0, False)]
        count = int(rng.integers(3, 7))
        for axis, long, across in ((0, self.width_m, self.depth_m), (1, self.depth_m, self.width_m)):
            for place in np.linspace(-0.42, 0.42, count) * long:
                for side in (-1, 1):
                    xy = (place, side * (across / 2 + t + 0.003))
                    size = (0.004, 0.008) if axis == 0 else (0.008, 0.004)
                    x, y = xy if axis == 0 else xy[::-1]
                    parts.append(moved(box((*size, shoulder - 0.004)), _at(x, y, (shoulder + 0.004) / 2)))
        return join(parts)

    def _cardboard(self, rng: Stream) -> Mesh:
        """Five boards, and flaps that hang open."""
        w, d, t, top = self.width_m, self.depth_m, self.wall_m, self.rim_m
        parts = [_board((w + 2 * t, d + 2 * t, t), _at(0, 0, t / 2))]
        for side in (-1, 1):
            parts.append(_board((t, d + 2 * t, top), _at(side * (w + t) / 2, 0, top / 2)))
            parts.append(_board((w, t, top), _at(0, side * (d + t) / 2, top / 2)))
        for i, turn in enumerate(np.arange(4) * math.pi / 2):
            away, long = ((w, d), (d, w))[i % 2]
            flap = float(min(0.42 * d, 0.18) * rng.uniform(0.8, 1.0))
            drop = float(rng.uniform(0.15, 1.2))  # below the horizontal
            hang = np.array([[math.cos(drop), 0, math.sin(drop), 0], [0, 1, 0, 0], [-math.sin(drop), 0, math.cos(drop), 0], [0, 0, 0, 1]])
            hinge = _at(float(away) / 2 + t, 0, top - t) @ hang @ _at(flap / 2, 0, 0)
            parts.append(_board((flap, long - 0.01, t * 0.8), _turn(float(turn)) @ hinge))
        return join(parts)

    def _wire(self, rng: Stream) -> Mesh:
        """Rods around the walls, each bent through under the floor, and a thicker frame."""
        t, top = self.wall_m, self.rim_m
        w, d = self.width_m + t, self.depth_m + t  # between middles of opposite walls' wires
        thin, z = 0.0014, t - 0.0014
        parts = []
        for axis, long, across in ((0, w, d), (1, d, w)):
            for place in np.linspace(-long / 2, long / 2, max(3, round(long / _PITCH_M)) + 1)[1:-1]:
                path = np.array([[place, -across / 2, top], [place, -across / 2, z], [place, across / 2, z], [place, across / 2, top]])
                path[1:3, 2] -= axis * 2 * thin  # one layer under the other
                parts.append(sweep(path if axis == 0 else path[:, [1, 0, 2]], thin, 6))
        for height in (*np.linspace(z, top, max(3, round(self.height_m / (1.6 * _PITCH_M))) + 1)[:-1], top):
            thick = 0.003 if height == top else thin
            rim = _rounded(w + 2 * thick, d + 2 * thick, 0.012)
            parts.append(sweep(np.column_stack([np.vstack([rim, rim[:1]]), np.full(len(rim) + 1, height)]), thick, 8))
        return join(parts)


def _material(kind: str, rng: Stream) -> Material:
    shade = float(rng.uniform(0.85, 1.1))
    if kind == "plastic":
        red, green, blue = (min(1.0, c * shade) for c in linear(_COLORS[int(rng.integers(len(_COLORS)))]))
        return Material((red, green, blue, 1.0), roughness=float(rng.uniform(0.35, 0.7)), double_sided=True)
    if kind == "wire":
        grey = float(rng.uniform(0.35, 0.7))
        return Material((grey, grey, grey, 1.0), metallic=0.8, roughness=float(rng.uniform(0.3, 0.5)))
    picture = cardboard((512, 512), rng_for(0, int(rng.integers(4)), "cardboard"), tile_m=0.3)
    return Material((shade * 0.9, shade * 0.9, shade * 0.9, 1.0), picture, roughness=0.95)


def _board(size_m: tuple[float, float, float], world_from_board: F64) -> Mesh:
    """A box whose sides show the texture at its own scale: a tile is 0.3 m."""
    mesh = box(size_m, 0.0008)
    lengthwise = np.abs(mesh.normals).argmax(axis=1)
    uv = np.stack([np.delete(point, axis) for point, axis in zip(mesh.vertices_m, lengthwise, strict=True)]) / 0.3
    return moved(Mesh(mesh.vertices_m, mesh.faces, mesh.normals, uv.astype(np.float32)), world_from_board)


def _rounded(width_m: float, depth_m: float, radius_m: float) -> F64:
    """A rectangle (32, 2) around the origin with rounded corners, counter-clockwise."""
    quarter = np.linspace(0, math.pi / 2, 8)
    corners = []
    for i, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angles = quarter + i * math.pi / 2
        corners.append(
            np.stack([np.cos(angles), np.sin(angles)], 1) * radius_m + (x * (width_m / 2 - radius_m), y * (depth_m / 2 - radius_m))
        )
    return np.concatenate(corners)


def _at(x: float, y: float, z: float) -> F64:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


def _turn(yaw_rad: float) -> F64:
    pose = np.eye(4)
    pose[:2, :2] = [[math.cos(yaw_rad), -math.sin(yaw_rad)], [math.sin(yaw_rad), math.cos(yaw_rad)]]
    return pose
