"""Objects that lie and stand on a table, apart from one another, among props that carry no label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from synth.assets import load_asset, load_photo, read_info
from synth.compose.cameras import CameraRig
from synth.compose.lights import LightRig, Lights
from synth.compose.materials import Paint, Variation, tinted
from synth.compose.placement import Area, Rest, scatter, stable_poses
from synth.errors import ConfigError
from synth.geometry import transform
from synth.rand import Choice, Integers, Random, Stream, Uniform, check_range, draw, support
from synth.types import Asset, Body, Category, Material, World
from synth_scenes import furniture
from synth_scenes.library import find, sources
from synth_scenes.surroundings import Surroundings


@dataclass(frozen=True)
class Table:
    """Its top is z = 0, the middle at the origin. round: how likely its top is an ellipse instead of a rectangle. textures: names or
    paths; one tile of them is tile_m wide. tint: how much red, green and blue are each darkened at most."""

    width_m: Random[float] = Uniform(0.95, 1.6)
    depth_m: Random[float] = Uniform(0.8, 1.1)
    thickness_m: Random[float] = Uniform(0.02, 0.04)
    height_m: Random[float] = Uniform(0.6, 0.8)
    round: Random[float] = 0.25
    textures: Sequence[str] = ("dark_wood", "gray_felt", "light_gray_floor_tile", "light_wood")
    tile_m: Random[float] = Uniform(0.5, 0.9)
    roughness: Random[float] = Uniform(0.35, 0.9)
    tint: Random[float] = Uniform(0.0, 0.15)

    def __post_init__(self) -> None:
        object.__setattr__(self, "textures", tuple(self.textures))
        for name, low, high in (
            ("width_m", 0.1, 10),
            ("depth_m", 0.1, 10),
            ("thickness_m", 0.005, 0.3),
            ("height_m", 0.31, 3),
            ("round", 0, 1),
            ("tile_m", 0.01, 10),
            ("roughness", 0, 1),
            ("tint", 0, 1),
        ):
            check_range(f"table.{name}", getattr(self, name), low, high)
        if not self.textures:
            raise ConfigError("table.textures must name at least one texture")
        for name in self.textures:
            find("texture", name)

    def draw(self, rng: Stream) -> tuple[Body, bool]:
        """The table, and whether its top is round."""
        is_round = bool(rng.child("is_round").uniform() < draw(self.round, rng, "round"))
        sizes = [float(draw(getattr(self, name), rng, name)) for name in ("width_m", "depth_m", "thickness_m", "height_m")]
        asset = furniture.table(*sizes, is_round, float(draw(self.tile_m, rng, "tile_m")))
        texture = load_photo(find("texture", draw(Choice(self.textures), rng, "texture")))
        roughness = float(draw(self.roughness, rng, "roughness"))
        top = tinted(Material(base_color_texture=texture, roughness=roughness), draw(self.tint, rng, "tint"), rng)
        legs = replace(top, base_color=(*(0.6 * c for c in top.base_color[:3]), 1.0))  # type: ignore[arg-type]
        return Body(asset, np.eye(4), materials=(top, legs)), is_round


@dataclass(frozen=True, slots=True, eq=False)
class _Thing:
    """What will be a body once it has a place."""

    asset: Asset
    rest: Rest
    category: Category | None = None
    materials: tuple[Material, ...] | None = None


@dataclass(frozen=True)
class Tabletop:
    """objects: how many, each of a random kind of `kinds` (names that ship, or paths of meshes whose description gives a category), in a
    resting pose. upright: how likely each stands as its mesh does, if it can. distractors: how many props, of `distractor_kinds` (as
    kinds, without label, or ball, disc, cone, ring of prop_size_m). They lie within area_width_m by area_depth_m around the middle of
    the table, at least clearance_m apart. in_view: share of the objects whose middle the camera must see. tint and roughness_change vary
    the objects' materials. exposure: of the camera.
    """

    camera: CameraRig = field(default_factory=CameraRig)
    objects: Random[int] = Integers(3, 6)
    kinds: Sequence[str] = (
        "cracker_box",
        "sugar_box",
        "gelatin_box",
        "rubiks_cube",
        "potted_meat_can",
        "tomato_soup_can",
        "soda_can",
        "mug",
        "mustard_bottle",
        "banana",
    )
    upright: Random[float] = 0.6
    distractors: Random[int] = Integers(0, 3)
    distractor_kinds: Sequence[str] = ("milk_carton", "lemon", "bread", "ball", "disc", "cone", "ring")
    prop_size_m: Random[float] = Uniform(0.03, 0.08)
    area_width_m: Random[float] = 0.75
    area_depth_m: Random[float] = 0.6
    clearance_m: Random[float] = Uniform(0.005, 0.03)
    in_view: Random[float] = 0.75
    tint: Random[float] = Uniform(0.0, 0.1)
    roughness_change: Random[float] = Uniform(-0.15, 0.15)
    exposure: Random[float] = Uniform(0.8, 1.2)
    table: Table = field(default_factory=Table)
    surroundings: Surroundings = field(default_factory=Surroundings)
    lights: LightRig = field(default_factory=Lights)

    def __post_init__(self) -> None:
        for name in ("kinds", "distractor_kinds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_range("objects", self.objects, 0, 500, whole=True)
        check_range("distractors", self.distractors, 0, 500, whole=True)
        for name, low, high in (
            ("upright", 0.0, 1.0),
            ("prop_size_m", 0.005, 1.0),
            ("area_width_m", 0.05, 10.0),
            ("area_depth_m", 0.05, 10.0),
            ("clearance_m", 0.0, 1.0),
            ("in_view", 0.0, 1.0),
            ("tint", 0.0, 1.0),
            ("roughness_change", -1.0, 1.0),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)
        if not self.kinds:
            raise ConfigError("kinds must name at least one object")
        for side in ("width_m", "depth_m"):
            table, area = support(getattr(self.table, side)), support(getattr(self, f"area_{side}"))
            if table and area and table[0] < area[1]:
                raise ConfigError(f"area_{side} reaches {area[1]:g}, but table.{side} can be {table[0]:g}: bodies would hang over the edge")
        for kind in self.distractor_kinds:
            if kind not in furniture.PROPS:
                try:
                    find("object", kind)
                except ConfigError as error:
                    raise ConfigError(f"distractor_kinds: {error}; simple props: {', '.join(furniture.PROPS)}") from error
        _ = self.categories

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """Of the kinds, in their order."""
        found: dict[str, Category] = {}
        for kind in self.kinds:
            category = read_info(find("object", kind)).category
            if category is None:
                raise ConfigError(f"kinds: '{kind}' has no category; give one in its .asset.yaml, or make it a distractor")
            if found.setdefault(category.name, category) != category:
                raise ConfigError(f"kinds: '{kind}' and another kind are both '{category.name}', with other keypoints")
        return tuple(found.values())

    @property
    def sources(self) -> dict[Path, str]:
        """The meshes, textures, panoramas and photos it may show, each with its licence."""
        meshes = [*self.kinds, *(kind for kind in self.distractor_kinds if kind not in furniture.PROPS)]
        return {
            **sources("object", meshes),
            **sources("texture", self.table.textures),
            **sources("HDRI", self.surroundings.hdris),
            **sources("photo", self.surroundings.photos),
        }

    def compose(self, rng: Stream) -> World:
        """A table with bodies on it, the labelled ones first."""
        table, is_round = self.table.draw(rng.child("table"))
        objects = [self._object(rng.child("object", i)) for i in range(int(draw(self.objects, rng, "objects")))]
        count = int(draw(self.distractors, rng, "distractors")) if self.distractor_kinds else 0
        things = objects + [self._distractor(rng.child("distractor", i)) for i in range(count)]
        area = Area(draw(self.area_width_m, rng, "area_width_m"), draw(self.area_depth_m, rng, "area_depth_m"), is_round)
        rests, names = [thing.rest for thing in things], [thing.asset.name for thing in things]
        poses = scatter(rests, names, area, rng.child("places"), clearance_m=self.clearance_m)
        bodies = [Body(thing.asset, pose, thing.category, thing.materials) for thing, pose in zip(things, poses, strict=True)]
        middles = [transform(body.world_from_object, body.asset.box_object_m[:1]) for body in bodies[: len(objects)]]
        in_view = draw(self.in_view, rng.child("camera"), "in_view")
        camera = self.camera.draw_seeing(rng.child("camera"), middles, bodies, in_view=in_view, above_m=0.02)
        environment, brightest_rad = self.surroundings.draw(rng.child("surroundings"))
        return World(
            camera,
            (*bodies, table),
            self.lights.draw(rng.child("lights"), brightest_rad, camera),
            environment,
            float(draw(self.exposure, rng, "exposure")),
        )

    def _object(self, rng: Stream) -> _Thing:
        asset, category = _load(draw(Choice(self.kinds), rng, "kind"))
        variation = Variation(self.tint, roughness_change=self.roughness_change)
        materials = variation.draw([mesh.material for mesh in asset.meshes], rng)
        return _Thing(asset, self._rest(asset, rng), category, materials)

    def _distractor(self, rng: Stream) -> _Thing:
        kind = draw(Choice(self.distractor_kinds), rng, "kind")
        if kind not in furniture.PROPS:
            asset = _load(kind)[0]
            return _Thing(asset, self._rest(asset, rng))
        asset = furniture.prop(kind, max(1, round(draw(self.prop_size_m, rng, "prop_size_m") * 200)) * 5)
        return _Thing(asset, self._rest(asset, rng), materials=(Paint().draw(rng.child("material")),))

    def _rest(self, asset: Asset, rng: Stream) -> Rest:
        rests = stable_poses(asset)
        stands = max(rests, key=lambda rest: float(rest.up_object[2]))
        if stands.up_object[2] > math.cos(0.2) and rng.child("stands").uniform() < draw(self.upright, rng, "upright"):
            return stands
        return rests[int(rng.child("rest").choice(len(rests), p=[rest.probability for rest in rests]))]


@lru_cache(maxsize=128)
def _load(kind: str) -> tuple[Asset, Category | None]:
    path = find("object", kind)
    return load_asset(path), read_info(path).category
