"""A retail shelf: boards one over the other before a back panel, with uprights, price rails, a floor and a wall behind.

It runs along x with its front edges at y = 0, its back panel at y = depth_m and the floor at z = 0; a shopper stands at -y. Textures are
laid by world coordinates, so that a patch of a board or of the panel shows exactly what the whole shows there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from synth.compose import shapes
from synth.compose.materials import Paint, linear
from synth.errors import ConfigError, known_names
from synth.rand import Choice, Integers, Random, Stream, Uniform, check_range, draw
from synth.types import F64, U8, Asset, Body, Material, Mesh
from synth_scenes.finishes import finish

FINISHES = ("steel", "wood")
RAIL_DEPTH_M = 0.012  # of the price rail, before the front edge
_UPRIGHT_M = (0.03, 0.018)  # width along x and depth along y
_FREE_M = 0.4  # above the highest board
_ABOVE_M = 0.0004  # how far a patch lies before what it is a patch of
_STEEL = ((0.93, 0.93, 0.92), (0.85, 0.86, 0.86), (0.7, 0.71, 0.72), (0.9, 0.88, 0.82), (0.24, 0.25, 0.27), (0.12, 0.12, 0.13))


@dataclass(frozen=True, slots=True, eq=False)
class Rack:
    """A shelf as it was drawn. bays_m: x of the bays' ends, one more than bays; tops_m: height of each board's upper side, free_m: what is
    free above it. board, panel, frame, rail: materials; tile_m: of board and panel."""

    bays_m: tuple[float, ...]
    tops_m: tuple[float, ...]
    free_m: tuple[float, ...]
    depth_m: float
    thickness_m: float
    rail_m: float
    tile_m: float
    board: Material
    panel: Material
    frame: Material
    rail: Material

    @property
    def usable_m(self) -> float:
        """Depth of a board before the uprights."""
        return self.depth_m - _UPRIGHT_M[1] - 0.004

    def between(self, bay: int) -> tuple[float, float]:
        """x between the uprights of a bay."""
        reach = _UPRIGHT_M[0] / 2 + 0.004
        return self.bays_m[bay] + reach, self.bays_m[bay + 1] - reach

    def body(self) -> Body:
        """All that stands, without what is on it."""
        x0, x1, top = self.bays_m[0], self.bays_m[-1], self.tops_m[-1] + _FREE_M
        boards = [slab((a + 0.0006, b - 0.0006), (0, self.depth_m), (z - self.thickness_m, z), self.tile_m)
                  for z in self.tops_m for a, b in zip(self.bays_m[:-1], self.bays_m[1:], strict=True)]  # fmt: skip
        boards.append(slab((x0, x1), (0.02, self.depth_m), (0, self.tops_m[0] - self.thickness_m), self.tile_m))
        panel = upright_sheet((x0, x1), self.depth_m, (self.tops_m[0] - 0.01, top), self.tile_m)
        back = slab((x0, x1), (self.depth_m + 0.001, self.depth_m + 0.02), (0, top), self.tile_m)
        half, deep = _UPRIGHT_M[0] / 2, _UPRIGHT_M[1]
        frame = [slab((x - half, x + half), (self.depth_m - deep, self.depth_m + 0.022), (0, top), 0.05) for x in self.bays_m]
        frame += [slab((x, x + 0.018), (-0.004, self.depth_m), (0, self.tops_m[-1] + 0.06), 1.0) for x in (x0 - 0.018, x1)]
        rails = [slab((x0, x1), (-RAIL_DEPTH_M, -0.0004), (z - self.rail_m, z), 1.0) for z in self.tops_m]
        meshes = tuple(shapes.join(parts) for parts in ([*boards, back], [panel], frame, rails))
        return Body(Asset("gondola", meshes), np.eye(4), materials=(self.board, self.panel, self.frame, self.rail))

    def seen_through(self, x_m: tuple[float, float], board: int, height_m: float, eye_m: F64) -> tuple[Mesh, ...]:
        """What an eye (3,) before the shelf sees through an opening over the front edge of a board, height_m high, as far as nothing
        stands in it: parts of the board, of the panel and of the underside of the board above, in their materials, world frame."""
        (x0, x1), z, depth = x_m, self.tops_m[board], self.depth_m
        left, right, low, high = self.bays_m[0], self.bays_m[-1], z + _ABOVE_M, z + self.free_m[board] - _ABOVE_M
        opening = np.array([(x0, 0, z), (x1, 0, z), (x1, 0, z + height_m), (x0, 0, z + height_m)])
        back = depth - _ABOVE_M
        sides = [([(left, back, z), (right, back, z), (right, back, high), (left, back, high)], 2, self.panel)]
        if eye_m[2] > low:
            sides.append(([(left, 0, low), (right, 0, low), (right, depth, low), (left, depth, low)], 1, self.board))
        elif board + 1 < len(self.tops_m):
            sides.append(([(left, depth, high), (right, depth, high), (right, 0, high), (left, 0, high)], 1, self.board))
        found = []
        for corners, up, material in sides:
            polygon = _through(np.array(corners), opening, eye_m)
            if len(polygon) > 2:
                found.append(replace(_flat(polygon, self.tile_m, up), material=material))
        return tuple(found)


@dataclass(frozen=True)
class Gondola:
    """bays: side by side, each bay_m wide; boards: one over the other, spacing_m apart, the lowest at base_m. rail_m: height of the price
    rail at their edges. finish: of boards, `steel` (painted) or `wood`. perforated: how likely the panel has holes."""

    bays: Random[int] = Integers(3, 4)
    bay_m: Random[float] = Uniform(0.85, 1.33)
    boards: Random[int] = Integers(4, 6)
    spacing_m: Random[float] = Uniform(0.23, 0.37)
    depth_m: Random[float] = Uniform(0.3, 0.47)
    thickness_m: Random[float] = Uniform(0.018, 0.03)
    base_m: Random[float] = Uniform(0.12, 0.22)
    rail_m: Random[float] = Uniform(0.036, 0.05)
    finish: Random[str] = field(default_factory=lambda: Choice(FINISHES, [3, 1]))
    perforated: Random[float] = 0.4

    def __post_init__(self) -> None:
        for name, low, high in (
            ("bay_m", 0.4, 3),
            ("spacing_m", 0.15, 1.5),
            ("depth_m", 0.2, 1.2),
            ("thickness_m", 0.01, 0.08),
            ("base_m", 0.1, 1.0),
            ("rail_m", 0.02, 0.1),
            ("perforated", 0, 1),
        ):
            check_range(f"gondola.{name}", getattr(self, name), low, high)
        check_range("gondola.bays", self.bays, 1, 12, whole=True)
        check_range("gondola.boards", self.boards, 1, 12, whole=True)
        for kind in self.finish.options if isinstance(self.finish, Choice) else [self.finish]:
            if kind not in FINISHES:
                raise ConfigError(known_names("finish of a gondola", str(kind), FINISHES))

    def draw(self, rng: Stream) -> Rack:
        """A shelf whose middle is at x = 0."""
        bays, boards = int(draw(self.bays, rng, "bays")), int(draw(self.boards, rng, "boards"))
        wide = float(draw(self.bay_m, rng, "bay_m"))
        spacings = [float(draw(self.spacing_m, rng.child("board", i), "spacing_m")) for i in range(boards - 1)]
        thick, base = float(draw(self.thickness_m, rng, "thickness_m")), float(draw(self.base_m, rng, "base_m"))
        tops = tuple((base + np.cumsum([0.0, *spacings])).tolist())
        board, panel, frame, rail = self._materials(rng)
        return Rack(
            bays_m=tuple(((np.arange(bays + 1) - bays / 2) * wide).tolist()),
            tops_m=tops,
            free_m=(*(spacing - thick for spacing in spacings), _FREE_M),
            depth_m=float(draw(self.depth_m, rng, "depth_m")),
            thickness_m=thick,
            rail_m=float(draw(self.rail_m, rng, "rail_m")),
            tile_m=0.6,
            board=board,
            panel=panel,
            frame=frame,
            rail=rail,
        )

    def _materials(self, rng: Stream) -> tuple[Material, Material, Material, Material]:
        tone = _STEEL[int(rng.child("tone").integers(len(_STEEL)))]
        paint = linear(np.clip(np.array(tone) + rng.child("hue").normal(0, 0.02, 3), 0, 1).tolist())
        rough = float(rng.child("roughness").uniform(0.35, 0.7))
        steel = Material((*paint, 1.0), roughness=rough)
        is_wood = draw(self.finish, rng, "finish") == "wood"
        board = finish(rng.child("wood"), ("wood",)) if is_wood else steel
        same = rng.child("same").uniform() < 0.5
        panel = board if is_wood and same else steel
        if rng.child("perforated").uniform() < draw(self.perforated, rng, "perforated"):
            panel = replace(steel, base_color_texture=_holes(int(rng.child("holes").integers(3))))
        frame = replace(steel, base_color_texture=_slots())
        hue = Uniform(0.0, 0.05) if rng.child("is_plain").uniform() < 0.75 else Uniform(0.5, 0.95)
        rail = Paint(saturation=hue, value=Uniform(0.35, 0.95), roughness=Uniform(0.25, 0.6)).draw(rng.child("rail"))
        return board, panel, frame, rail


def slab(x_m: tuple[float, float], y_m: tuple[float, float], z_m: tuple[float, float], tile_m: float) -> Mesh:
    """A box between x, y and z; texture coordinates are those of the world, in metres over tile_m."""
    ends = np.array([x_m, y_m, z_m])
    corners, normals, uv = [], [], []
    for axis, (right, up) in enumerate(((1, 2), (0, 2), (0, 1))):
        for side in (0, 1):
            quad_m = np.empty((4, 3))
            quad_m[:, axis] = ends[axis, side]
            quad_m[:, right], quad_m[:, up] = ends[right][[0, 1, 1, 0]], ends[up][[0, 0, 1, 1]]
            normal = np.zeros((4, 3))
            normal[:, axis] = 2 * side - 1
            outward = (side == 1) != (axis == 1)  # x to y and y to z turn around the third axis, x to z around minus y
            corners.append(quad_m if outward else quad_m[::-1])
            normals.append(normal)
            uv.append(corners[-1][:, (right, up)] / tile_m)
    faces = (np.arange(6)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    arrays = (np.concatenate(values).astype(np.float32) for values in (corners, normals, uv))
    vertices, normal_of, uv_of = arrays
    return Mesh(vertices, faces.astype(np.int32), normal_of, uv_of)


def upright_sheet(x_m: tuple[float, float], y_m: float, z_m: tuple[float, float], tile_m: float) -> Mesh:
    """A rectangle across y that faces -y; texture coordinates are x and z in metres over tile_m."""
    (x0, x1), (z0, z1) = x_m, z_m
    return _flat(np.array([(x0, y_m, z0), (x1, y_m, z0), (x1, y_m, z1), (x0, y_m, z1)]), tile_m, 2)


def _flat(corners_m: F64, tile_m: float, up: int) -> Mesh:
    """A flat convex polygon (n, 3), counter-clockwise; u is x and v the axis `up`, in metres over tile_m."""
    n = len(corners_m)
    normal = np.cross(corners_m, np.roll(corners_m, -1, axis=0)).sum(axis=0)  # Newell's
    normals = np.tile(normal / np.linalg.norm(normal), (n, 1)).astype(np.float32)
    faces = np.array([(0, i, i + 1) for i in range(1, n - 1)], np.int32)
    return Mesh(corners_m.astype(np.float32), faces, normals, (corners_m[:, (0, up)] / tile_m).astype(np.float32))


def _through(polygon: F64, opening: F64, eye: F64) -> F64:
    """The part (k, 3) of a convex polygon (n, 3) that an eye (3,) sees through a convex opening (m, 3) (Sutherland and Hodgman 1974)."""
    middle = opening.mean(axis=0) - eye
    for a, b in zip(opening - eye, np.roll(opening, -1, axis=0) - eye, strict=True):
        normal = np.cross(a, b)
        side = (polygon - eye) @ (normal * np.sign(normal @ middle))
        kept = []
        for i in range(len(polygon)):
            j = (i + 1) % len(polygon)
            if side[i] >= 0:
                kept.append(polygon[i])
            if (side[i] >= 0) != (side[j] >= 0):
                kept.append(polygon[i] + (polygon[j] - polygon[i]) * (side[i] / (side[i] - side[j])))
        polygon = np.array(kept).reshape(-1, 3)
    step = np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1)
    return np.asarray(polygon[step > 1e-6])


@lru_cache(maxsize=4)
def _holes(variant: int) -> U8:
    """A panel with holes, 0.6 m wide: round ones, or upright slots."""
    pitch_m, size = ((0.025, 0.3), (0.04, 0.22), (0.05, 0.3))[variant]
    count = round(0.6 / pitch_m)
    pixels = 16 * count
    at = (np.arange(pixels) + 0.5) / 16 % 1 - 0.5
    long = 2.6 if variant == 2 else 1.0
    away = np.hypot(at[None], np.sign(at[:, None]) * np.maximum(0, np.abs(at[:, None]) - size / 2 * (long - 1)))
    shade = 255 * (0.25 + 0.75 * np.clip((away - size / 2) * 16 + 0.5, 0, 1))
    return np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2)


@lru_cache(maxsize=1)
def _slots() -> U8:
    """An upright's slots, one every 5 cm."""
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[16:48, 15:24] = 40
    return picture
