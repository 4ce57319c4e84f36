"""A retail shelf for robots that check shelves: facings of products, price tags, wrong and fallen ones, and places that are empty.

Products are packages made here and scanned ones. `product` says in its attributes which it is (`sku`, `kind`), whether it stands among the
facings of another one (`misplaced`), its `pose` (upright, turned, fallen), and how many stand before it and below it (`behind`, `level`).
`price_tag` has its four corners as keypoints, and the `sku` it is for. `gap` is a place where all of a facing is missing, or of several
side by side (`facings`), as high as the product that is missing (`sku`). Its mask is what the camera sees of board and panel through the
opening over the board's edge: all of the opening but the products around it. Its box_full is that of the whole opening. `size_m` is
width, depth and height of the empty place; its pose has the middle of the lower front edge as origin.
What is wholly out of the frame is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.compose.cameras import CameraRig
from synth.compose.lights import LightRig
from synth.compose.shapes import moved
from synth.errors import ConfigError, SceneError, known_names
from synth.geometry import project, transform
from synth.rand import LogUniform, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import F64, Asset, Body, Camera, Category, Keypoint, Material, Mesh, World
from synth_scenes import library, prints
from synth_scenes.aisle import Tubes, around
from synth_scenes.gondola import RAIL_DEPTH_M, Gondola, Rack
from synth_scenes.stock import Block, Item, Stock
from synth_scenes.surroundings import Surroundings

LABELS = ("group", "kind")
CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")
PRICE_TAG = Category(
    "price_tag",
    CORNERS,
    (("top_left", "top_right"), ("bottom_left", "bottom_right")),
    tuple(zip(CORNERS, (*CORNERS[1:], CORNERS[0]), strict=True)),
)
GAP = Category("gap")
_PRODUCT = Category("product")
_PRICES = 3
_AWAY_M = 0.3  # from the shelf, at least
_PROMOTIONS = 24
_SIGNS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass(frozen=True)
class Shelf:
    """labels: `group` (product, price_tag, gap) or `kind` (each kind of package instead of product). tags: how likely a product has a price
    tag at the edge of the board; tag_width_m, tag_roll_rad: how wide and how crooked it is. promotions: how likely a product has a card
    before it. eye_m: how high above the floor the camera is at least.
    """

    camera: CameraRig = field(
        default_factory=lambda: CameraRig(
            fov_rad=Uniform(0.75, 1.1),
            distance_m=LogUniform(0.75, 2.2),
            azimuth_rad=Normal(-math.pi / 2, 0.35),
            elevation_rad=Uniform(-0.1, 0.4),
            roll_rad=Normal(0, 0.03),
            aim_error_m=Normal(0, 0.05),
        )
    )
    labels: str = "group"
    tags: Random[float] = 0.93
    tag_width_m: Random[float] = Uniform(0.055, 0.08)
    tag_roll_rad: Random[float] = Normal(0.0, 0.015)
    promotions: Random[float] = 0.06
    eye_m: Random[float] = 0.25
    exposure: Random[float] = Uniform(0.75, 1.2)
    gondola: Gondola = field(default_factory=Gondola)
    stock: Stock = field(default_factory=Stock)
    surroundings: Surroundings = field(
        default_factory=lambda: Surroundings(kind="hdri", hdris=("interior", "lobby", "studio", "city"), brightness=Uniform(0.2, 0.36))
    )
    lights: LightRig = field(default_factory=Tubes)

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise ConfigError(f"labels: {known_names('way to label', str(self.labels), LABELS)}")
        for name, low, high in (
            ("tags", 0, 1),
            ("tag_width_m", 0.01, 0.3),
            ("tag_roll_rad", -math.inf, math.inf),
            ("promotions", 0, 1),
            ("eye_m", 0.05, 10),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """Of products, then price_tag and gap."""
        products = (_PRODUCT,) if self.labels == "group" else tuple(Category(kind) for kind in self.stock.kinds)
        return (*products, PRICE_TAG, GAP)

    @property
    def sources(self) -> dict[Path, str]:
        """The meshes and panoramas it may show, each with its licence."""
        return {
            **library.sources("object", self.stock.meshes),
            **library.sources("HDRI", self.surroundings.hdris),
            **library.sources("photo", self.surroundings.photos),
        }

    def compose(self, rng: Stream) -> World:
        """The labelled bodies, board by board; then cards, the shelf, floor and wall."""
        rack = self.gondola.draw(rng.child("gondola"))
        camera = self._camera(rack, rng.child("camera"))
        eye = camera.world_from_camera[:3, 3]
        labelled: list[Body] = []
        props: list[Body] = []
        for bay in range(len(rack.bays_m) - 1):
            x0, x1 = rack.between(bay)
            for board, free_m in enumerate(rack.free_m):
                if not _reaches(camera, _corners(rack, (x0, x1), board)):
                    continue
                own = rng.child("row", bay, board)
                for number, block in enumerate(self.stock.row(own.child("stock"), x0, x1, rack.usable_m, free_m)):
                    if _reaches(camera, _corners(rack, block.x_m, board)):
                        labelled += [*self._products(block, rack, board), *_gaps(block, rack, board, eye)]
                        labelled += self._tag(block, rack, board, own.child("tag", number))
                        props += self._card(block, rack, board, own.child("card", number))
        labelled, props = ([body for body in bodies if _reaches(camera, _box(body))] for bodies in (labelled, props))
        environment, brightest_rad = self.surroundings.draw(rng.child("surroundings"))
        lights = self.lights.draw(rng.child("lights"), brightest_rad, camera)
        bodies = (*labelled, *props, rack.body(), *around(rack, rng.child("around")))
        return World(camera, bodies, lights, environment, float(draw(self.exposure, rng, "exposure")))

    def _camera(self, rack: Rack, rng: Stream) -> Camera:
        """It looks at a point of the shelf's front, from the aisle."""
        inner = max(0.0, (rack.bays_m[-1] - rack.bays_m[0]) / 2 - 0.35)
        target = np.array(
            [rng.child("x").uniform(-inner, inner), 0.0, rng.child("z").uniform(rack.tops_m[0] + 0.1, rack.tops_m[-1] + 0.15)]
        )
        eye = float(draw(self.eye_m, rng, "eye_m"))
        try:
            return self.camera.draw_seeing(
                rng, [target[None]], in_view=0.0, above_m=eye, accept=lambda camera: float(camera.world_from_camera[1, 3]) < -_AWAY_M
            )
        except SceneError:
            raise SceneError(
                f"no camera in 100 tries is in the aisle, {_AWAY_M} m before the shelf and {eye:g} m above the floor; lower eye_m, raise "
                "camera.distance_m or camera.elevation_rad, or take camera.azimuth_rad nearer to -pi/2"
            ) from None

    def _products(self, block: Block, rack: Rack, board: int) -> Iterator[Body]:
        by_kind = {category.name: category for category in self.categories}
        for facing in block.facings:
            for item in facing.items:
                pose = item.board_from_object.copy()
                pose[2, 3] += rack.tops_m[board]
                category = _PRODUCT if self.labels == "group" else by_kind[item.sku.kind]
                yield Body(item.sku.asset, pose, category, item.materials, _said(item))

    def _tag(self, block: Block, rack: Rack, board: int, rng: Stream) -> Iterator[Body]:
        """At the left end of its facings, or in their middle, flat on the rail."""
        if rng.child("has_tag").uniform() >= draw(self.tags, rng, "tags"):
            return
        left, right = block.x_m
        width = min(float(draw(self.tag_width_m, rng, "tag_width_m")), 2 * (rack.rail_m - 0.003), right - left)
        height = width / 2
        at = left + width / 2 + float(rng.child("at").choice((0.0, 0.5))) * (right - left - width)
        variant = int(rng.child("price").integers(_PRICES))
        picture = prints.price_tag(*block.sku.brand, variant)
        pose = _turned(float(draw(self.tag_roll_rad, rng, "tag_roll_rad")))
        pose[:3, 3] = at, -RAIL_DEPTH_M - 0.001, rack.tops_m[board] - rack.rail_m / 2
        yield Body(
            _card(width, height, True), pose, PRICE_TAG, (Material(base_color_texture=picture, roughness=0.5),), {"sku": block.sku.name}
        )

    def _card(self, block: Block, rack: Rack, board: int, rng: Stream) -> Iterator[Body]:
        """It hangs from the rail, or stands up from it."""
        if rng.child("has_card").uniform() >= draw(self.promotions, rng, "promotions"):
            return
        left, right = block.x_m
        stands = rng.child("stands").uniform() < 0.35
        width = float(rng.child("width").uniform(0.07, 0.1) if stands else rng.child("width").uniform(0.09, 0.15))
        height = 0.75 * width
        picture = prints.promotion(int(rng.child("variant").integers(_PROMOTIONS)))
        pose = _turned(float(rng.child("roll").normal(0, 0.02)))
        up = rack.tops_m[board] - (0.01 if stands else rack.rail_m * 0.2 + height)
        pose[:3, 3] = rng.child("at").uniform(left, right), -RAIL_DEPTH_M - 0.006, up + height / 2
        yield Body(_card(width, height, False), pose, materials=(Material(base_color_texture=picture, roughness=0.4),))


def _said(item: Item) -> dict[str, object]:
    return {
        "sku": item.sku.name,
        "kind": item.sku.kind,
        "misplaced": item.misplaced,
        "pose": item.pose,
        "behind": item.behind,
        "level": item.level,
    }


def _gaps(block: Block, rack: Rack, board: int, eye_m: F64) -> Iterator[Body]:
    """Parts of the board and the panel, seen through the openings where products are missing; the origin is the middle of the edge."""
    height = block.levels * block.sku.size_m[2]
    for (left, right), count in block.gaps:
        parts = rack.seen_through((left, right), board, height, eye_m)
        if not parts:  # a look over the upper end of the panel
            continue
        pose, gap_from_world = np.eye(4), np.eye(4)
        pose[:3, 3] = (left + right) / 2, 0.0, rack.tops_m[board]
        gap_from_world[:3, 3] = -pose[:3, 3]
        size = [round(v, 6) for v in (right - left, rack.depth_m, height)]
        asset = Asset("gap", tuple(moved(part, gap_from_world) for part in parts))
        yield Body(asset, pose, GAP, attributes={"sku": block.sku.name, "facings": count, "size_m": size})


def _turned(roll_rad: float) -> F64:
    """A pose whose x is to the right, y up and z towards the aisle, rolled counter-clockwise."""
    c, s = math.cos(roll_rad), math.sin(roll_rad)
    return np.array([[c, -s, 0, 0], [0, 0, -1, 0], [s, c, 0, 0], [0, 0, 0, 1.0]])


def _card(width_m: float, height_m: float, is_tag: bool) -> Asset:
    """A sheet with its picture on the side of +z, and its corners as keypoints where it is a tag."""
    x, y = width_m / 2, height_m / 2
    corners = [(-x, y, 0.0), (x, y, 0.0), (x, -y, 0.0), (-x, -y, 0.0)]
    mesh = Mesh(
        np.array(corners, np.float32),
        np.array([(0, 2, 1), (0, 3, 2)], np.int32),
        np.tile(np.array([0, 0, 1], np.float32), (4, 1)),
        np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32),
    )
    keypoints = tuple(Keypoint(name, xyz) for name, xyz in zip(CORNERS, corners, strict=True)) if is_tag else ()
    return Asset("price_tag" if is_tag else "promotion", (mesh,), keypoints)


def _corners(rack: Rack, x_m: tuple[float, float], board: int) -> F64:
    """(8, 3) of what stands on a stretch of a board, with what hangs before it."""
    z = rack.tops_m[board]
    ends = np.array([x_m, (-0.03, rack.depth_m), (z - 0.2, z + rack.free_m[board])])
    return np.asarray(ends.mean(axis=1) + _SIGNS * np.ptp(ends, axis=1))


def _box(body: Body) -> F64:
    """(8, 3) corners of the box around a body."""
    middle, size = body.asset.box_object_m
    return transform(body.world_from_object, middle + _SIGNS * size)


def _reaches(camera: Camera, corners_world_m: F64) -> bool:
    """Whether something between corners (8, 3), as far as they are before the camera, may be in the frame."""
    points = transform(camera.camera_from_world, corners_world_m)
    if points[:, 2].min() <= camera.near_m:
        return bool(points[:, 2].max() > camera.near_m)
    xy = project(camera, points)
    return bool((xy.max(axis=0) > 0).all() and (xy.min(axis=0) < (camera.width, camera.height)).all())
