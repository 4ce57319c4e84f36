"""A body scanner's view: a grey figure with raised arms, from the front or the back, with things hidden under its clothes.

It borrows the look of a millimetre-wave picture and nothing of its physics: no wave is traced, there is no phase, no reflection between
surfaces, no law of materials; brightness is that of a lamp at the camera, speckle is drawn by chance, clothes are not there at all.
It serves to try out a pipeline (boxes, masks, zones, front and back of one body), not to build or to judge a detector that people's safety
depends on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from synth.errors import ConfigError, SceneError, known_names
from synth.geometry import look_at
from synth.rand import Choice, Integers, Random, Stream, Uniform, check_range, draw
from synth.types import F64, I32, U8, Asset, Body, Bool, Camera, Category, DirectionalLight, Environment, Material, World
from synth_scenes.contraband import SHAPES, contraband, laid
from synth_scenes.figure import Build, Posed, figure, pose
from synth_scenes.figure_parts import BONES, shape
from synth_scenes.person import People, check_names

VIEWS = ("front", "back")
ZONES = (
    "right_bicep",
    "right_forearm",
    "left_bicep",
    "left_forearm",
    "upper_chest",
    "right_abdomen",
    "left_abdomen",
    "right_hip",
    "groin",
    "left_hip",
    "right_thigh",
    "left_thigh",
    "right_calf",
    "left_calf",
    "right_ankle",
    "left_ankle",
    "upper_back",
)
"""The 17 body zones of the Passenger Screening Algorithm Challenge (US Department of Homeland Security, TSA, on Kaggle, 2017), in its
order.
Its zones are a drawing: where exactly one ends is our reading of it. Left and right are those of the person."""

_TRIES = 40
_SUNK_M = 0.003
_NOISE_PX = 512
_MOST_TURN_RAD = 0.45  # a thing lies where the skin is within 63 degrees of the view: turned farther, some would look away


@dataclass(frozen=True)
class Scanner:
    """view: front or back, told in the sample's attributes. objects: how many things of random kinds are hidden, each with its body zone in
    its attributes. facing: how likely one is on the side that is seen; else of it shows only what stands out beside the body, often nothing
    (an empty mask), on a limb much. skin: brightness of the body; contrast:
    how much brighter (or darker, below 0) than the body a thing is. speckle: how strong, as a share of the brightness. background:
    brightness. distance_m: of the camera, far, so that the picture is nearly parallel; fill: the height of the frame that a person of
    2.2 m with raised arms would take. turn_rad: how the person stands askew. people: who; their clothes do not show."""

    width: int = 640
    height: int = 480
    view: Random[str] = field(default_factory=lambda: Choice(VIEWS))
    objects: Random[int] = Integers(0, 3)
    kinds: Sequence[str] = tuple(SHAPES)
    zones: Sequence[str] = ZONES
    facing: Random[float] = 0.9
    skin: Random[float] = Uniform(0.38, 0.55)
    contrast: Random[float] = field(default_factory=lambda: Choice[float]([Uniform(0.35, 0.9), Uniform(-0.6, -0.3)], [2, 1]))
    speckle: Random[float] = Uniform(0.08, 0.22)
    background: Random[float] = Uniform(0.03, 0.10)
    distance_m: Random[float] = Uniform(14.0, 20.0)
    fill: Random[float] = Uniform(0.9, 0.96)
    turn_rad: Random[float] = Uniform(-0.08, 0.08)
    exposure: Random[float] = Uniform(0.9, 1.1)
    people: People = field(default_factory=lambda: People(hair="bald"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        object.__setattr__(self, "zones", tuple(self.zones))
        for name in ("width", "height"):
            check_range(name, getattr(self, name), 1, 16384, whole=True)
        check_range("objects", self.objects, 0, 50, whole=True)
        for name, low, high in (
            ("facing", 0, 1),
            ("skin", 0.01, 1),
            ("contrast", -1, 2),
            ("speckle", 0, 1),
            ("background", 0, 1),
            ("distance_m", 3, 1000),
            ("fill", 0.1, 1.5),
            ("turn_rad", -_MOST_TURN_RAD, _MOST_TURN_RAD),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)
        check_names("view", self.view, VIEWS)
        for what, chosen, known in (("kinds", self.kinds, tuple(SHAPES)), ("zones", self.zones, ZONES)):
            if not chosen:
                raise ConfigError(f"{what} must name at least one; known: {', '.join(known)}")
            for name in chosen:
                if name not in known:
                    raise ConfigError(f"{what}: {known_names(what[:-1], name, known)}")

    @property
    def categories(self) -> tuple[Category, ...]:
        """Of the kinds, in their order."""
        return tuple(Category(kind) for kind in self.kinds)

    @property
    def sources(self) -> Mapping[Path, str]:
        """It reads no file."""
        return {}

    def compose(self, rng: Stream) -> World:
        """The things, then the person."""
        view = draw(self.view, rng, "view")
        posed = self._posed(rng.child("person"))
        turn = float(draw(self.turn_rad, rng, "turn_rad"))
        toward = 1.0 if view == "front" else -1.0
        skin = float(draw(self.skin, rng, "skin"))
        count = int(draw(self.objects, rng, "objects"))
        things = self._hidden(posed, toward, skin, rng.child("hidden"), count)
        azimuth = turn + (0.0 if view == "front" else math.pi)
        lamps, sky = _lamps(azimuth), float(draw(self.background, rng, "background"))
        return World(
            self._camera(azimuth, rng.child("camera")),
            (*things, Body(self._figure(posed, skin, rng.child("speckle")), np.eye(4))),
            lamps,
            Environment(color=(0.12, 0.12, 0.12), photo=_backdrop(self.width, self.height, sky, rng.child("backdrop"))),
            float(draw(self.exposure, rng, "exposure")),
            attributes={"view": view},
        )

    def _posed(self, rng: Stream) -> Posed:
        """Feet apart, hands above the head: as the footprints on a scanner's floor ask."""
        whole = self.people.build(rng)
        build = Build(whole.feminine, whole.hair, "", "", whole.proportions)
        angles: dict[str, tuple[float, ...]] = {}
        for which in ("left", "right"):
            arm = rng.child(which)
            raised, elbow, out = (math.radians(float(v)) for v in arm.uniform((58, 70, 70), (82, 105, 88)))
            angles |= {
                f"{which}_clavicle": (math.radians(14), 0.0, 0.0),
                f"{which}_upper_arm": (0.0, raised, out),
                f"{which}_forearm": (elbow,),
                f"{which}_wrist": (float(arm.child("palm").uniform(-0.5, 0.9)),),
                f"{which}_thigh": (0.0, float(arm.child("stance").uniform(0.14, 0.24)), float(arm.child("toe").uniform(0.05, 0.25))),
            }
            angles[f"{which}_foot"] = (0.0, -min(0.3, angles[f"{which}_thigh"][1]), 0.0)
        return pose(build, angles)

    def _figure(self, posed: Posed, skin: float, rng: Stream) -> Asset:
        grey = np.full(3, skin)
        speckled = Material(base_color_texture=_speckle(float(draw(self.speckle, rng, "speckle")), rng), roughness=0.75)
        materials = dict.fromkeys(("skin", "eyes", "hair"), speckled)
        return figure(posed, materials, grey, grey, grey, tile_m=0.9, plain=True)

    def _hidden(self, posed: Posed, toward: float, skin: float, rng: Stream, count: int) -> list[Body]:
        taken: list[tuple[F64, float]] = []
        found = []
        for i in range(count):
            thing = rng.child(i)
            kind = draw(Choice(self.kinds), thing, "kind")
            asset = contraband(kind, thing.child("shape"))
            seen = thing.child("facing").uniform() < draw(self.facing, thing, "facing")
            place, zone = self._place(posed, asset, toward if seen else -toward, taken, thing.child("place"))
            taken.append((place[:3, 3], asset.diameter_m / 2))
            level = max(0.01, skin * (1 + float(draw(self.contrast, thing, "contrast"))))
            paint = Material((level, level, level, 1.0), roughness=0.6)
            category = self.categories[self.kinds.index(kind)]
            found.append(Body(asset, place, category, (paint,) * len(asset.meshes), {"zone": zone}))
        return found

    def _place(self, posed: Posed, asset: Asset, toward: float, taken: Sequence[tuple[F64, float]], rng: Stream) -> tuple[F64, str]:
        """Flat on the skin, on one side, apart from other things."""
        points, normals = posed.vertices_m["bare"], posed.normals["bare"]
        zone_of = zones(posed.build.feminine)
        for attempt in range(_TRIES):
            at = rng.child(attempt)
            zone = draw(Choice(self.zones), at, "zone")
            open_to = np.flatnonzero((zone_of == ZONES.index(zone)) & (normals[:, 0] * toward > 0.45))
            if not len(open_to):
                continue
            chosen = int(open_to[int(at.child("vertex").integers(len(open_to)))])
            radius = asset.diameter_m / 2
            if all(np.linalg.norm(points[chosen] - other) > radius + reach + 0.01 for other, reach in taken):
                sunk = min(_SUNK_M, 0.2 * float(asset.box_object_m[1][2]))
                return _lying(posed, zone, points[chosen] - normals[chosen] * sunk, normals[chosen], at.child("turn")), zone
        raise SceneError(f"no place for a {asset.name} on the body in {_TRIES} tries; lower objects, or allow more of the zones")

    def _camera(self, azimuth: float, rng: Stream) -> Camera:
        distance = float(draw(self.distance_m, rng, "distance_m"))
        shown_m = 2.2 / float(draw(self.fill, rng, "fill"))
        middle = np.array([0.0, 0.0, 1.04])
        eye = middle + distance * np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
        fov_rad = 2 * math.atan(shown_m * self.width / self.height / 2 / distance)
        return Camera.from_fov(self.width, self.height, fov_rad, look_at(eye.tolist(), middle.tolist()))


def _lamps(azimuth: float) -> tuple[DirectionalLight, ...]:
    """From where the camera is, so that what faces it is bright; no shadow."""
    x, y = -math.cos(azimuth), -math.sin(azimuth)
    return (DirectionalLight((x, y, 0.0), 2.6, shadow=False), DirectionalLight((x, y, -0.7), 0.5, shadow=False))


def _speckle(strength: float, rng: Stream) -> U8:
    """(h, w, 3) grey: grains of two sizes around one level (log-normal, as fully developed speckle is skewed)."""
    fine = rng.child("fine").standard_normal((_NOISE_PX // 2, _NOISE_PX // 2)).repeat(2, 0).repeat(2, 1)
    coarse = rng.child("coarse").standard_normal((_NOISE_PX // 8, _NOISE_PX // 8)).repeat(8, 0).repeat(8, 1)
    level = 0.72 * np.exp(strength * (0.8 * fine + 0.6 * coarse) - strength**2 / 2)
    return np.asarray(np.clip(level, 0, 1)[..., None] * np.full(3, 255), dtype=np.uint8)


def _backdrop(width: int, height: int, level: float, rng: Stream) -> U8:
    noise = rng.standard_normal((height, width))
    return np.asarray(np.clip(level + 0.25 * level * noise, 0, 1)[..., None] * np.full(3, 255), dtype=np.uint8)


_LIMBS = {"bicep": ("upper_arm", "forearm"), "forearm": ("forearm", "hand"), "thigh": ("thigh", "shin"), "calf": ("shin", "foot")}


def _lying(posed: Posed, zone: str, origin: F64, normal: F64, rng: Stream) -> F64:
    """A thing's pose on the skin: any way round on the trunk, about along a limb, where it would stick out otherwise."""
    which, _, part = zone.partition("_")
    if part not in (*_LIMBS, "ankle"):
        return laid(origin, normal, float(rng.uniform(-math.pi, math.pi)))
    upper, lower = (f"{which}_{bone}" for bone in _LIMBS.get(part, _LIMBS["calf"]))
    along = posed.joints[lower][:3, 3] - posed.joints[upper][:3, 3]
    flat = laid(origin, normal, 0.0)[:3, :3]
    askew = float(rng.normal(0, 0.2)) + (math.pi if rng.child("way").uniform() < 0.5 else 0.0)
    return laid(origin, normal, math.atan2(float(flat[:, 1] @ along), float(flat[:, 0] @ along)) + askew)


@cache
def zones(feminine: float) -> I32:
    """(n,) of the mannequin's vertices: the number of its zone in ZONES, or -1 (neck, shoulder, foot)."""
    part = shape("bare", feminine)
    x, y, z = part.vertices_m.T
    bone = np.array(BONES)[part.weights.argmax(axis=1)]
    found = np.full(len(x), -1, dtype=np.int32)

    def mark(zone: str, where: Bool) -> None:
        found[where] = ZONES.index(zone)

    trunk = np.isin(bone, ("pelvis", "spine", "chest"))
    forward = part.normals[:, 0]
    mark("upper_chest", trunk & (z > 1.24) & (z < 1.40) & (forward > 0.2))
    mark("upper_back", trunk & (z > 1.16) & (z < 1.42) & (forward < -0.2))
    for which, s in (("left", 1), ("right", -1)):
        side = s * y > 0
        mark(f"{which}_abdomen", trunk & side & (z > 1.02) & (z <= np.where(x > 0, 1.24, 1.16)))
        thigh, shin = bone == f"{which}_thigh", bone == f"{which}_shin"
        mark(f"{which}_hip", ((trunk & side & (z <= 1.02)) | (thigh & (z > 0.72))))
        mark(f"{which}_thigh", thigh & (z <= 0.72))
        mark(f"{which}_calf", shin & (z > 0.20))
        mark(f"{which}_ankle", shin & (z <= 0.20) & (z > 0.07))
        mark(f"{which}_bicep", bone == f"{which}_upper_arm")
        mark(f"{which}_forearm", np.isin(bone, (f"{which}_forearm", f"{which}_wrist")))
    mark("groin", (np.abs(y) < 0.055) & (z < 0.98) & (z > 0.80) & (np.isin(bone, ("pelvis", "left_thigh", "right_thigh"))))
    return found
