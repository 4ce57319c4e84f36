"""Rows of a young crop seen from above, among weeds: what the camera of a weeding robot sees.

Plants are grown, not scanned: each is one body with its own leaves, stalks and veins, of three crops (beet, maize, lettuce) and four weeds
(grass, broadleaf, thistle, dandelion), from the first leaves on. Its keypoint `stem` is where the stem enters the soil, on the ground: what
a hoe or laser has to spare or hit. From above the plant's own leaves often hide it (v = 1); then it is known all the same. Its attributes
say `species`, `growth` and `leaves`. A plant of which nothing is in the frame is a prop without label: it still casts its shadow.
Rows run along the world's y axis, upwards in the picture but for the robot's heading error, on soil with clods, furrows, stones and straw,
dry to wet, under a sky and a sun, at times half in the robot's own shadow.

Leaves of neighbours may reach through one another where they are crowded; stems and soil do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.compose.cameras import CameraRig
from synth.compose.lights import Lights
from synth.compose.shapes import box
from synth.errors import ConfigError, SceneError, known_names
from synth.geometry import project, transform
from synth.rand import Choice, Clip, Normal, Random, Stream, Sum, TruncatedNormal, Uniform, check_range, draw
from synth.types import F64, Asset, Body, Camera, Category, DirectionalLight, Light, Material, World
from synth_scenes.ground import Soil, soil_under, stones, straw
from synth_scenes.library import sources
from synth_scenes.overhead import Rectangle, seen_ground, wider
from synth_scenes.plants import SPECIES, categories, plant
from synth_scenes.surroundings import Surroundings

LABELS = ("group", "species")
_MARGIN_M = 0.12  # around what the camera sees: plants there reach in, or cast a shadow
_SMALLEST_STONE_M = 0.005
_TRIES = 200


@dataclass(frozen=True)
class Rows:
    """How the crop was sown: rows spacing_m apart, plants step_m apart in them; across_m and along_m: how far each is off its place.
    missing: how likely a place is empty."""

    spacing_m: Random[float] = Uniform(0.36, 0.5)
    step_m: Random[float] = Uniform(0.15, 0.25)
    across_m: Random[float] = Normal(0, 0.006)
    along_m: Random[float] = Normal(0, 0.015)
    missing: Random[float] = Uniform(0.0, 0.25)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("spacing_m", 0.05, 5),
            ("step_m", 0.02, 5),
            ("across_m", -math.inf, math.inf),
            ("along_m", -math.inf, math.inf),
        ):
            check_range(f"rows.{name}", getattr(self, name), low, high)
        check_range("rows.missing", self.missing, 0, 1)

    def draw(self, rng: Stream, area: Rectangle) -> tuple[F64, F64]:
        """x of the rows, and where plants stand (n, 2), in the rectangle x0 y0 x1 y1. A row goes through about x = 0."""
        x0, y0, x1, y1 = area
        spacing, step, missing = (float(draw(getattr(self, name), rng, name)) for name in ("spacing_m", "step_m", "missing"))
        rows = range(math.ceil(x0 / spacing), math.floor(x1 / spacing) + 1)
        places = []
        for row in rows:
            phase = rng.child("phase", row).uniform()
            for j in range(math.ceil(y0 / step - phase), math.floor(y1 / step - phase) + 1):
                one = rng.child("place", row, j)
                if one.child("missing").uniform() >= missing:
                    x = row * spacing + draw(self.across_m, one, "across_m")
                    places.append((x, (j + phase) * step + draw(self.along_m, one, "along_m")))
        return np.array(rows, np.float64) * spacing, np.array(places, dtype=np.float64).reshape(-1, 2)


@dataclass(frozen=True)
class Earth:
    """clod_m: size of clods; roughness_m: how high they stand, about; moisture in [0, 1] darkens it, in patches. stones and straws: on a
    square metre. stone_m: the largest stone."""

    clod_m: Random[float] = Uniform(0.015, 0.04)
    roughness_m: Random[float] = Uniform(0.002, 0.008)
    moisture: Random[float] = Uniform(0.0, 0.8)
    stones: Random[float] = Choice([Uniform(0, 10), Uniform(10, 120)])
    stone_m: Random[float] = Uniform(0.015, 0.04)
    straws: Random[float] = Choice([0, Uniform(5, 150)], [2, 1])

    def __post_init__(self) -> None:
        for name, low, high in (
            ("clod_m", 0.005, 0.2),
            ("roughness_m", 0, 0.03),
            ("moisture", 0, 1),
            ("stones", 0, 1000),
            ("stone_m", 0.006, 0.2),
            ("straws", 0, 3000),
        ):
            check_range(f"earth.{name}", getattr(self, name), low, high)

    def draw(self, rng: Stream, area: Rectangle, rows_x_m: F64) -> Soil:
        """Its surface."""
        clod, rough = float(draw(self.clod_m, rng, "clod_m")), float(draw(self.roughness_m, rng, "roughness_m"))
        return soil_under(area, rows_x_m, rng.child("heights"), clod, rough)

    def bodies(self, rng: Stream, on: Soil, plants: Sequence[Body]) -> tuple[Body, ...]:
        """What is seen of it: soil, stones and straw where no leaf lies."""
        x0, y0, x1, y1 = on.rectangle_m
        size_m2 = (x1 - x0) * (y1 - y0)
        many, straws = (round(draw(value, rng, name) * size_m2) for value, name in ((self.stones, "stones"), (self.straws, "straws")))
        largest = float(draw(self.stone_m, rng, "stone_m"))
        low = np.concatenate([np.zeros((0, 3)), *(transform(body.world_from_object, body.asset.vertices_m) for body in plants)])
        leaves = low[low[:, 2] < on.heights_m.max() + largest, :2]
        lying = (
            stones(many, (_SMALLEST_STONE_M, largest), on, leaves, rng.child("stones")),
            straw(straws, on, leaves, rng.child("straws")),
        )
        return (on.body(rng.child("soil"), float(draw(self.moisture, rng, "moisture"))), *(body for body in lying if body))


@dataclass(frozen=True)
class Field:
    """crops: of which one is in a picture; weed_kinds: of which each weed is one. labels: categories by `group` (crop, weed) or by
    `species`. crop_growth and weed_growth in [0, 1]: how far grown, from two leaves to when rows close; growth_spread: of each crop plant
    around its field's. weeds: on a square metre; near_crop: share of them within 8 cm of a crop plant; clearance_m: least distance of
    a weed's stem from any other. robot_shadow: how likely the robot's own shadow lies over a part of the picture, where the sun shines.
    """

    camera: CameraRig = field(
        default_factory=lambda: CameraRig(
            fov_rad=Uniform(0.75, 1.0),
            distance_m=Uniform(0.65, 1.0),
            azimuth_rad=Normal(-math.pi / 2, 0.1),
            elevation_rad=Uniform(1.4, 1.57),
            roll_rad=Normal(0, 0.08),
            aim_error_m=Normal(0, 0.06),
        )
    )
    crops: Sequence[str] = ("beet", "maize", "lettuce")
    weed_kinds: Sequence[str] = ("grass", "broadleaf", "thistle", "dandelion")
    labels: str = "group"
    crop_growth: Random[float] = TruncatedNormal(0.45, 0.25, 0.05, 1.0)
    growth_spread: Random[float] = Normal(0, 0.07)
    weed_growth: Random[float] = TruncatedNormal(0.3, 0.25, 0.0, 1.0)
    weeds: Random[float] = Choice([Uniform(0, 15), Uniform(10, 45)])
    near_crop: Random[float] = 0.3
    clearance_m: Random[float] = 0.015
    robot_shadow: Random[float] = 0.3
    exposure: Random[float] = Uniform(0.75, 1.15)
    rows: Rows = field(default_factory=Rows)
    earth: Earth = field(default_factory=Earth)
    surroundings: Surroundings = field(
        default_factory=lambda: Surroundings(
            kind=Choice(["hdri", "color"], [4, 1]),
            hdris=("courtyard", "forest", "sunrise", "sunset", "city"),
            photos=("gravel",),
            brightness=Uniform(0.4, 0.9),
        )
    )
    lights: Lights = field(
        default_factory=lambda: Lights(
            irradiance=Choice([Uniform(0.0, 0.6), Uniform(1.5, 3.6)], [1, 2]),
            azimuth_rad=Uniform(-math.pi, math.pi),
            elevation_rad=Uniform(0.5, 1.35),
            angle_rad=0.0093,
            temperature_k=Uniform(4800, 6800),
            lamps=0,
        )
    )

    def __post_init__(self) -> None:
        for name, group in (("crops", "crop"), ("weed_kinds", "weed")):
            kinds = tuple(getattr(self, name))
            object.__setattr__(self, name, kinds)
            for kind in kinds:
                if kind not in SPECIES:
                    raise ConfigError(f"{name}: {known_names('kind of plant', kind, SPECIES)}")
            if not kinds:
                raise ConfigError(
                    f"{name} must name at least one kind of plant, as {', '.join(k for k, s in SPECIES.items() if s.group == group)}"
                )
        both = sorted(set(self.crops) & set(self.weed_kinds))
        if both and self.labels == "species":
            raise ConfigError(f"crops and weed_kinds both name {', '.join(both)}: by species they would be one category")
        if self.labels not in LABELS:
            raise ConfigError(f"labels: {known_names('way to label', str(self.labels), LABELS)}")
        for name, low, high in (
            ("crop_growth", 0, 1),
            ("growth_spread", -math.inf, math.inf),
            ("weed_growth", 0, 1),
            ("weeds", 0, 500),
            ("near_crop", 0, 1),
            ("clearance_m", 0, 1),
            ("robot_shadow", 0, 1),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """crop and weed, or each kind."""
        return tuple({category.name: category for category in (*self._crop.values(), *self._weed.values())}.values())

    @cached_property
    def _crop(self) -> dict[str, Category]:
        return categories(self.labels == "species", "crop", self.crops)

    @cached_property
    def _weed(self) -> dict[str, Category]:
        return categories(self.labels == "species", "weed", self.weed_kinds)

    @property
    def sources(self) -> dict[Path, str]:
        """The panoramas whose light it may be in."""
        return {**sources("HDRI", self.surroundings.hdris), **sources("photo", self.surroundings.photos)}

    def compose(self, rng: Stream) -> World:
        """Crop, weeds, soil and what lies on it, the robot where it casts a shadow."""
        camera = self.camera.draw(rng.child("camera"), (0.0, 0.0, 0.0))
        seen = seen_ground(camera, _MARGIN_M)
        rows_x, crop_xy = self.rows.draw(rng.child("rows"), seen)
        on = self.earth.draw(rng.child("earth"), wider(seen, 0.1), rows_x)
        plants = self._crop_plants(rng.child("crop"), crop_xy, on, camera)
        plants += self._weed_plants(rng.child("weeds"), seen, crop_xy, on, camera)
        ground = self.earth.bodies(rng.child("earth"), on, plants)
        environment, brightest_rad = self.surroundings.draw(rng.child("surroundings"))
        lights = self.lights.draw(rng.child("lights"), brightest_rad)
        robot = self._robot(rng.child("robot"), camera, lights)
        return World(camera, (*plants, *ground, *robot), lights, environment, float(draw(self.exposure, rng, "exposure")))

    def _crop_plants(self, rng: Stream, places: F64, on: Soil, camera: Camera) -> list[Body]:
        kind = draw(Choice(self.crops), rng, "kind")
        growth = draw(self.crop_growth, rng, "crop_growth")
        made = []
        for i, xy in enumerate(places):
            one = rng.child(i)
            age = draw(Clip(Sum([growth, self.growth_spread]), 0.0, 1.0), one, "growth")
            made.append(_planted(kind, age, self._crop[kind], xy, on, camera, one))
        return made

    def _weed_plants(self, rng: Stream, area: Rectangle, crop_xy: F64, on: Soil, camera: Camera) -> list[Body]:
        x0, y0, x1, y1 = area
        count = round(draw(self.weeds, rng, "weeds") * (x1 - x0) * (y1 - y0))
        clearance = float(draw(self.clearance_m, rng, "clearance_m"))
        stems, made = list(crop_xy), []
        for i in range(count):
            one = rng.child(i)
            near = len(crop_xy) > 0 and one.child("near").uniform() < draw(self.near_crop, one, "near_crop")
            xy = _free_place(one.child("place"), area, crop_xy if near else None, np.array(stems).reshape(-1, 2), clearance)
            if xy is None:
                raise SceneError(
                    f"no free place for weed {i} of {count} in {_TRIES} tries; lower weeds, or clearance_m, which is {clearance:g}"
                )
            stems.append(xy)
            kind = draw(Choice(self.weed_kinds), one, "kind")
            made.append(_planted(kind, draw(self.weed_growth, one, "weed_growth"), self._weed[kind], xy, on, camera, one))
        return made

    def _robot(self, rng: Stream, camera: Camera, lights: Sequence[Light]) -> tuple[Body, ...]:
        """A plate above the camera, out of its sight, whose shadow's edge crosses the picture; or nothing."""
        sun = next((light for light in lights if isinstance(light, DirectionalLight)), None)
        if sun is None or rng.child("is_there").uniform() >= draw(self.robot_shadow, rng, "robot_shadow"):
            return ()
        eye = camera.world_from_camera[:3, 3]
        toward = -np.array(sun.direction_world)
        height, edge, side = rng.child("where").uniform((0.1, -0.25, 0), (0.3, 0.25, 2 * math.pi))
        z = float(eye[2]) + height
        middle = toward[:2] / toward[2] * z + np.array([math.cos(side), math.sin(side)]) * (0.6 + edge)
        c, s = math.cos(side), math.sin(side)
        pose = np.array([[c, -s, 0, middle[0]], [s, c, 0, middle[1]], [0, 0, 1, z], [0, 0, 0, 1.0]])
        return (Body(Asset("robot", (box((1.2, 2.0, 0.04)),)), pose, materials=(Material((0.2, 0.2, 0.2, 1.0)),)),)


def _planted(kind: str, growth: float, category: Category, xy: F64, on: Soil, camera: Camera, rng: Stream) -> Body:
    """A plant at xy (2,). It has a label if any of it is in the frame."""
    height = float(on.at(xy[None])[0])
    asset, leaves = plant(kind, growth, rng.child("plant"), lambda points: on.at(points + xy) - height)
    pose = np.eye(4)
    pose[:3, 3] = *xy, height
    points = transform(camera.camera_from_world @ pose, asset.vertices_m)
    pixels = project(camera, points[points[:, 2] > camera.near_m])
    seen = bool(((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=1).any())
    said = {"species": kind, "growth": round(float(growth), 3), "leaves": leaves}
    return Body(asset, pose, category if seen else None, attributes=said if seen else None)


def _free_place(rng: Stream, area: Rectangle, crop_xy: F64 | None, stems: F64, clearance_m: float) -> F64 | None:
    """A place (2,) at least clearance_m from all stems, around a crop plant where crop_xy is given."""
    x0, y0, x1, y1 = area
    for u, v, w in rng.uniform(size=(_TRIES, 3)):
        xy = np.array([x0 + u * (x1 - x0), y0 + v * (y1 - y0)])
        if crop_xy is not None:
            turn, away = 2 * math.pi * v, clearance_m + w * (0.08 - min(clearance_m, 0.08))
            xy = crop_xy[int(u * len(crop_xy))] + (away * math.cos(turn), away * math.sin(turn))
        if not len(stems) or np.linalg.norm(stems - xy, axis=1).min() >= clearance_m:
            return xy
    return None
