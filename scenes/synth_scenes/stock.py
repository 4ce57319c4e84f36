"""What stands on a board of a shop: products in facings, side by side and one behind another, with empty, wrong, turned and fallen ones.

A row is filled from left to right. Each product takes the box around it in the pose that it has, so no two of them touch, whatever their
yaw; each column of products has its own stretch of the board, and an empty place is a stretch like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from synth.compose.materials import Variation
from synth.errors import ConfigError, known_names
from synth.rand import Choice, Integers, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import F64, Material
from synth_scenes.packages import KINDS
from synth_scenes.skus import Size, Sku, lying, mesh_kind, mesh_sku, package_sku, standing, turned

POSES = ("upright", "turned", "fallen")
_FLAT_TOPS = ("box", "can")  # on which another one can stand
_HEADROOM_M = 0.02
_TRIES = 12
_MOST_BLOCKS = 60
_TURNS = (math.pi / 2, math.pi, -math.pi / 2, 0.5, -0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One product on a board. board_from_object (4, 4): x along the board, y into it, z up from it. behind: how many places behind the
    first of its column; level: how many stand below it."""

    sku: Sku
    board_from_object: F64
    materials: tuple[Material, ...]
    pose: str = "upright"
    misplaced: bool = False
    behind: int = 0
    level: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Facing:
    """A column of products, the first in front, on its stretch of the board; empty where none is there."""

    x_m: tuple[float, float]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The facings of one product; levels: how many of it stand on one another."""

    sku: Sku
    facings: tuple[Facing, ...]
    levels: int = 1

    @property
    def x_m(self) -> tuple[float, float]:
        """Its stretch of the board."""
        return self.facings[0].x_m[0], self.facings[-1].x_m[1]

    @property
    def gaps(self) -> tuple[tuple[tuple[float, float], int], ...]:
        """Stretches where nothing stands, empty facings side by side as one, each with how many they are."""
        found: list[tuple[tuple[float, float], int]] = []
        for before, facing in zip((None, *self.facings), self.facings, strict=False):
            if facing.items:
                continue
            if before is not None and not before.items:
                (x0, _), count = found.pop()
                found.append(((x0, facing.x_m[1]), count + 1))
            else:
                found.append((facing.x_m, 1))
        return tuple(found)


@dataclass(frozen=True)
class Stock:
    """packages: kinds of package made here, `variants` of each; meshes: names that ship, or paths; mesh_share: how likely a product is one
    of them. facings: of one product, side by side; deep: one behind another, at most; stacked: how likely boxes and cans of a product
    stand on one another, where there is room.
    empty: how likely a facing is empty; sold_out: how likely all of a product are. misplaced, fallen, turned: how likely the first of a
    facing is a foreign product, lies, or shows another side. yaw_rad: how far each is turned; setback_m: how far behind the edge the
    first stands; clearance_m: around each. tint: red, green and blue of a product are each darkened by up to this share.
    """

    packages: Sequence[str] = KINDS
    variants: int = 10
    meshes: Sequence[str] = ("cracker_box", "sugar_box", "tomato_soup_can", "mustard_bottle", "potted_meat_can", "soda_can")
    mesh_share: Random[float] = 0.1
    facings: Random[int] = Integers(2, 6)
    deep: Random[int] = Integers(1, 3)
    stacked: Random[float] = 0.7
    empty: Random[float] = 0.06
    sold_out: Random[float] = 0.06
    misplaced: Random[float] = 0.03
    fallen: Random[float] = 0.015
    turned: Random[float] = 0.05
    yaw_rad: Random[float] = Normal(0.0, 0.05)
    setback_m: Random[float] = Uniform(0.003, 0.03)
    clearance_m: Random[float] = Uniform(0.002, 0.012)
    tint: Random[float] = Uniform(0.0, 0.12)

    def __post_init__(self) -> None:
        for name in ("packages", "meshes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for kind in self.packages:
            if kind not in KINDS:
                raise ConfigError(f"stock.packages: {known_names('kind of package', str(kind), KINDS)}")
        if not self.packages and not self.meshes:
            raise ConfigError("stock.packages and stock.meshes are both empty: name at least one kind of package, or a mesh")
        check_range("stock.variants", self.variants, 1, 500, whole=True)
        for name in ("mesh_share", "stacked", "empty", "sold_out", "misplaced", "fallen", "turned", "tint"):
            check_range(f"stock.{name}", getattr(self, name), 0, 1)
        for name, most in (("facings", 50), ("deep", 20)):
            check_range(f"stock.{name}", getattr(self, name), 1, most, whole=True)
        check_range("stock.yaw_rad", self.yaw_rad)
        check_range("stock.setback_m", self.setback_m, 0, 0.5)
        check_range("stock.clearance_m", self.clearance_m, 0.0005, 0.2)
        _ = self.kinds

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Of the packages, then of the meshes: the category of each, or its name."""
        return tuple(dict.fromkeys((*self.packages, *(mesh_kind(name) for name in self.meshes))))

    def row(self, rng: Stream, x0_m: float, x1_m: float, depth_m: float, free_m: float) -> tuple[Block, ...]:
        """What stands on a board between x0_m and x1_m, depth_m deep, with free_m above it; nothing where no product fits."""
        at, width_m, blocks = 0.0, x1_m - x0_m, []
        for number in range(_MOST_BLOCKS):
            own = rng.child("block", number)
            sku = self._that_fits(own.child("sku"), width_m - at, depth_m, free_m)
            if sku is None:
                break
            facings: list[Facing] = []
            look = Variation(self.tint).draw([mesh.material for mesh in sku.asset.meshes], own.child("look"))
            sold_out = own.child("is_sold_out").uniform() < draw(self.sold_out, own, "sold_out")
            deep, levels = int(draw(self.deep, own, "deep")), self._levels(sku, own, free_m)
            for i in range(int(draw(self.facings, own, "facings"))):
                one = own.child("facing", i)
                empty = sold_out or one.child("is_empty").uniform() < draw(self.empty, one, "empty")
                wide, items = self._column(sku, look, 0 if empty else deep, levels, depth_m, free_m, one)
                if at + wide > width_m:
                    break
                facings.append(Facing((at, at + wide), items))
                at += wide
            if facings:
                blocks.append(Block(sku, tuple(facings), levels))
        return _spread(blocks, x0_m, width_m - at)

    def _levels(self, sku: Sku, rng: Stream, free_m: float) -> int:
        room = int((free_m - _HEADROOM_M) / sku.size_m[2])
        if (
            sku.kind not in _FLAT_TOPS
            or sku.asset.name in self.meshes
            or rng.child("is_stacked").uniform() >= draw(self.stacked, rng, "stacked")
        ):
            return 1
        return max(1, min(room, 3))

    def _that_fits(self, rng: Stream, width_m: float, depth_m: float, free_m: float) -> Sku | None:
        """A product that has room, rather one that fills the height."""
        least = 0.62 * free_m
        for attempt in range(_TRIES):
            sku = self._any(rng.child(attempt))
            width, depth, height = sku.size_m
            if height < least * (1 - attempt / _TRIES) and sku.kind not in _FLAT_TOPS:
                continue
            if width + 0.02 <= width_m and depth + 0.035 <= depth_m and height + _HEADROOM_M <= free_m:
                return sku
        return None

    def _any(self, rng: Stream) -> Sku:
        if self.meshes and (not self.packages or rng.child("is_mesh").uniform() < draw(self.mesh_share, rng, "mesh_share")):
            return mesh_sku(draw(Choice(self.meshes), rng, "mesh"))
        return package_sku(draw(Choice(self.packages), rng, "package"), int(rng.child("variant").integers(self.variants)))

    def _column(
        self, sku: Sku, look: tuple[Material, ...], deep: int, levels: int, depth_m: float, free_m: float, rng: Stream
    ) -> tuple[float, tuple[Item, ...]]:
        """How wide a column of products is, and they, about x = 0; none where deep is 0."""
        clear = float(draw(self.clearance_m, rng, "clearance_m"))
        y, wide, items = float(draw(self.setback_m, rng, "setback_m")), sku.size_m[0], []
        for behind in range(deep):
            own = rng.child("behind", behind)
            item, size = self._first(sku, look, own, depth_m, free_m) if behind == 0 else self._upright(sku, look, own)
            y = min(y, depth_m - size[1]) if behind == 0 else y
            if behind and y + size[1] > depth_m:
                break
            stack = levels if item.pose == "upright" and not item.misplaced else 1
            stack -= int(stack > 1 and behind == 0 and own.child("is_lower").uniform() < 0.25)
            for level in range(stack):
                pose = item.board_from_object.copy()
                pose[1:3, 3] += y + size[1] / 2, level * size[2]
                items.append(replace(item, board_from_object=pose, behind=behind, level=level))
            wide, y = max(wide, size[0]), y + size[1] + clear
        return wide + clear, tuple(items)

    def _upright(self, sku: Sku, look: tuple[Material, ...], rng: Stream) -> tuple[Item, Size]:
        pose, size = standing(sku.asset, turned(draw(self.yaw_rad, rng, "yaw_rad")) @ sku.front_from_object)
        return Item(sku, pose, look), size

    def _first(self, sku: Sku, look: tuple[Material, ...], rng: Stream, depth_m: float, free_m: float) -> tuple[Item, Size]:
        """The product that one sees: at times a foreign one, turned, or lying, if it has room so."""
        foreign = False
        if rng.child("is_misplaced").uniform() < draw(self.misplaced, rng, "misplaced"):
            other = self._that_fits(rng.child("other"), 0.3, depth_m, free_m)
            if other is not None and other.name != sku.name:
                sku, foreign, look = other, True, tuple(mesh.material for mesh in other.asset.meshes)
        lot = rng.child("pose").uniform()
        fallen, aside = draw(self.fallen, rng, "fallen"), draw(self.turned, rng, "turned")
        rests = lying(sku.asset) if lot < fallen else ()
        if rests:
            rotation = turned(rng.child("yaw").uniform(-math.pi, math.pi)) @ rests[int(rng.child("rest").integers(len(rests)))]
            pose, size = standing(sku.asset, rotation)
            if size[1] <= depth_m and size[2] + _HEADROOM_M <= free_m:
                return Item(sku, pose, look, "fallen", foreign), size
        elif fallen <= lot < fallen + aside:
            yaw = float(rng.child("turn").choice(_TURNS)) + draw(self.yaw_rad, rng, "yaw_rad")
            pose, size = standing(sku.asset, turned(yaw) @ sku.front_from_object)
            if size[1] <= depth_m:
                return Item(sku, pose, look, "turned", foreign), size
        item, size = self._upright(sku, look, rng)
        if size[1] > depth_m:
            pose, size = standing(sku.asset, sku.front_from_object)
            item = Item(sku, pose, look)
        return replace(item, misplaced=foreign), size


def _spread(blocks: Sequence[Block], x0_m: float, left_m: float) -> tuple[Block, ...]:
    """The columns from x0_m on, with what is left of the board shared among them, each in the middle of its stretch."""
    more = left_m / max(1, sum(len(block.facings) for block in blocks))
    at, spread = x0_m, []
    for block in blocks:
        facings = []
        for facing in block.facings:
            end = at + facing.x_m[1] - facing.x_m[0] + more
            items = []
            for item in facing.items:
                pose = item.board_from_object.copy()
                pose[0, 3] += (at + end) / 2
                items.append(replace(item, board_from_object=pose))
            facings.append(Facing((at, end), tuple(items)))
            at = end
        spread.append(replace(block, facings=tuple(facings)))
    return tuple(spread)
