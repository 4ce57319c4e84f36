"""People: human figures that stand, walk, sit and reach among boxes, with COCO's 17 keypoints, exact in space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from synth.assets import load_photo
from synth.compose.cameras import CameraRig
from synth.compose.deform import noise
from synth.compose.lights import Lights
from synth.compose.placement import Area, Rest, scatter
from synth.compose.shapes import box
from synth.compose.textures import cardboard
from synth.errors import ConfigError, SceneError, known_names
from synth.geometry import convex_hull, project, transform
from synth.rand import Choice, Integers, Random, Stream, TruncatedNormal, Uniform, check_range, draw, support
from synth.types import F64, U8, Asset, Body, Camera, Category, Material, Mesh, World
from synth_scenes.figure import PERSON, Build, Posed, figure, planted, pose, sunk_m
from synth_scenes.figure_poses import GROUNDED, KINDS, draw_pose
from synth_scenes.figure_shapes import BOTTOMS, HAIR, TOPS
from synth_scenes.library import find, sources
from synth_scenes.skeleton import STATURE_M, Proportions
from synth_scenes.surroundings import Surroundings
from synth_scenes.wardrobe import PATTERNS, TILE_M, hair_color, iris_color, outfit, skin, strands

_CAMERA_TRIES, _POSE_TRIES = 100, 12
_SUNK_M = 0.012
_FEMININE = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class People:
    """Who they are. feminine: form of the body, from 0 to 1; the nearest of 0, 0.5 and 1 is taken, as each is modelled once. stature_m: in
    shoes. legs, arms, trunk: their length against what stature alone gives; girth, shoulders, hips: breadths and depths likewise.
    skin_tone: 1 to 10 of the Monk scale. fold_m: how deep cloth is creased."""

    feminine: Random[float] = Uniform(0.0, 1.0)
    stature_m: Random[float] = TruncatedNormal(1.70, 0.10, 1.45, 2.0)
    legs: Random[float] = TruncatedNormal(1.0, 0.025, 0.94, 1.06)
    arms: Random[float] = TruncatedNormal(1.0, 0.025, 0.94, 1.06)
    trunk: Random[float] = TruncatedNormal(1.0, 0.02, 0.95, 1.05)
    girth: Random[float] = TruncatedNormal(1.02, 0.10, 0.84, 1.35)
    shoulders: Random[float] = TruncatedNormal(1.0, 0.035, 0.92, 1.08)
    hips: Random[float] = TruncatedNormal(1.0, 0.035, 0.92, 1.10)
    skin_tone: Random[float] = Uniform(1.0, 10.0)
    hair: Random[str] = field(default_factory=lambda: Choice(HAIR))
    top: Random[str] = field(default_factory=lambda: Choice(TOPS, [4, 3, 2, 1]))
    bottom: Random[str] = field(default_factory=lambda: Choice(BOTTOMS))
    pattern: Random[str] = field(default_factory=lambda: Choice(PATTERNS, [4, 2, 1, 1, 2]))
    fold_m: Random[float] = Uniform(0.002, 0.006)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("feminine", 0, 1),
            ("stature_m", 1.2, 2.2),
            ("legs", 0.8, 1.2),
            ("arms", 0.8, 1.2),
            ("trunk", 0.8, 1.2),
            ("girth", 0.7, 1.6),
            ("shoulders", 0.8, 1.25),
            ("hips", 0.8, 1.25),
            ("skin_tone", 1, 10),
            ("fold_m", 0, 0.02),
        ):
            check_range(f"people.{name}", getattr(self, name), low, high)
        for name, known in (("hair", HAIR), ("top", TOPS), ("bottom", BOTTOMS), ("pattern", PATTERNS)):
            check_names(f"people.{name}", getattr(self, name), known)

    def build(self, rng: Stream) -> Build:
        """One person's form and clothes."""
        feminine = min(_FEMININE, key=lambda known: abs(known - float(draw(self.feminine, rng, "feminine"))))
        lengths = {name: float(draw(getattr(self, name), rng, name)) for name in ("legs", "arms", "trunk", "girth", "shoulders", "hips")}
        stature = float(draw(self.stature_m, rng, "stature_m")) / STATURE_M
        proportions = Proportions(stature / (0.52 * lengths["legs"] + 0.33 * lengths["trunk"] + 0.15), **lengths)
        hair, top, bottom = (draw(getattr(self, name), rng, name) for name in ("hair", "top", "bottom"))
        return Build(feminine, hair, top, bottom, proportions)

    def dressed(self, posed: Posed, rng: Stream) -> Asset:
        """The person in clothes."""
        tone = float(draw(self.skin_tone, rng, "skin_tone"))
        hair_rgb = hair_color(rng.child("hair_color"), tone)
        patterns = {part: draw(self.pattern, rng, f"{part}_pattern") for part in ("top", "bottom")}
        if rng.child("calm").uniform() < 0.6:
            patterns["bottom"] = "plain"
        materials = outfit(rng.child("outfit"), patterns, posed.build.bottom == "jeans") | {"hair": strands(rng.child("strands"), hair_rgb)}
        return figure(posed, materials, skin(tone), hair_rgb, iris_color(rng.child("iris"), tone), TILE_M)

    def posed(self, build: Build, kind: str, rng: Stream) -> Posed:
        """A pose of a kind in which no arm goes into the body. After some tries: as little as was found."""
        folds = noise(rng.child("folds"), float(draw(self.fold_m, rng, "fold_m")) * math.sqrt(3), 0.11)
        found: list[tuple[float, Posed]] = []
        for attempt in range(_POSE_TRIES):
            angles = draw_pose(kind, rng.child("pose", attempt))
            made = pose(build, planted(build, angles) if kind in GROUNDED else angles, folds)
            found.append((sunk_m(made), made))
            if found[-1][0] <= _SUNK_M:
                break
        return min(found, key=lambda one: one[0])[1]


def check_names(where: str, value: Random[str], known: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of the known names or a Choice of them."""
    for name in value.options if isinstance(value, Choice) else [value]:
        if name not in known:
            raise ConfigError(f"{where}: {known_names('kind', str(name), known)}")


@dataclass(frozen=True)
class Person:
    """persons: how many, each a random one of `people` in a pose of a random kind. boxes: how many stand around and hide what is behind
    them, box_size_m wide. They stand within area_width_m by area_depth_m, clearance_m apart. in_view: share of all persons' joints that
    the camera must have in its frame. ground: textures, one tile of them tile_m wide, ground_m across. exposure: of the camera."""

    camera: CameraRig = field(
        default_factory=lambda: CameraRig(
            fov_rad=Uniform(0.7, 1.1),
            distance_m=Uniform(2.6, 5.5),
            elevation_rad=Uniform(-0.04, 0.3),
            roll_rad=Uniform(-0.04, 0.04),
            aim_error_m=Uniform(-0.2, 0.2),
        )
    )
    persons: Random[int] = field(default_factory=lambda: Choice([1, 2, 3], [3, 2, 1]))
    pose: Random[str] = field(default_factory=lambda: Choice(KINDS, [4, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 4, 1, 2]))
    people: People = field(default_factory=People)
    boxes: Random[int] = Integers(0, 3)
    box_size_m: Random[float] = Uniform(0.25, 0.6)
    area_width_m: Random[float] = 3.0
    area_depth_m: Random[float] = 3.0
    clearance_m: Random[float] = Uniform(0.05, 0.3)
    in_view: Random[float] = 0.8
    ground: Sequence[str] = ("light_gray_floor_tile", "dark_wood", "light_wood", "gray_felt", "gravel")
    tile_m: Random[float] = Uniform(1.2, 2.4)
    ground_m: Random[float] = Uniform(40, 80)
    exposure: Random[float] = Uniform(0.8, 1.15)
    surroundings: Surroundings = field(
        default_factory=lambda: Surroundings(Choice(("hdri", "photo", "color"), [8, 1, 1]), photos=("brick", "white_bricks"))
    )
    lights: Lights = field(
        default_factory=lambda: Lights(elevation_rad=Uniform(0.5, 1.2), lamp_distance_m=Uniform(2.0, 4.0), lamp_intensity=Uniform(0.5, 2.5))
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "ground", tuple(self.ground))
        check_range("persons", self.persons, 0, 20, whole=True)
        check_range("boxes", self.boxes, 0, 50, whole=True)
        for name, low, high in (
            ("box_size_m", 0.05, 2.0),
            ("area_width_m", 0.5, 50.0),
            ("area_depth_m", 0.5, 50.0),
            ("clearance_m", 0.0, 5.0),
            ("in_view", 0.0, 1.0),
            ("tile_m", 0.05, 20.0),
            ("ground_m", 2.0, 200.0),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)
        check_names("pose", self.pose, KINDS)
        ground, sides = support(self.ground_m), [support(side) for side in (self.area_width_m, self.area_depth_m)]
        across = math.hypot(*(side[1] for side in sides if side))
        if ground and ground[0] < across:
            raise ConfigError(f"ground_m can be {ground[0]:g}, but the area is {across:.2f} across: people would stand beside the ground")
        if not self.ground:
            raise ConfigError("ground must name at least one texture")
        for name in self.ground:
            find("photo", name)

    @property
    def categories(self) -> tuple[Category, ...]:
        """COCO's person."""
        return (PERSON,)

    @property
    def sources(self) -> Mapping[Path, str]:
        """The textures, panoramas and photos it may show, each with its licence."""
        return {
            **sources("photo", self.ground),
            **sources("HDRI", self.surroundings.hdris),
            **sources("photo", self.surroundings.photos),
        }

    def compose(self, rng: Stream) -> World:
        """People on the ground, then their seats, then boxes, then the ground."""
        made = [self._one(rng.child("person", i)) for i in range(int(draw(self.persons, rng, "persons")))]
        boxes = [_crate(rng.child("box", i), self.box_size_m) for i in range(int(draw(self.boxes, rng, "boxes")))]
        footprints = [_footprint(*[asset for asset in (one, seat) if asset]) for one, seat, _ in made] + [
            _footprint(asset) for asset in boxes
        ]
        area = Area(float(draw(self.area_width_m, rng, "area_width_m")), float(draw(self.area_depth_m, rng, "area_depth_m")))
        names = ["person"] * len(made) + ["box"] * len(boxes)
        poses = scatter(footprints, names, area, rng.child("places"), clearance_m=self.clearance_m)
        persons = [Body(one, at, PERSON, attributes={"pose": kind}) for (one, _, kind), at in zip(made, poses, strict=False)]
        seats = [Body(seat, at) for (_, seat, _), at in zip(made, poses, strict=False) if seat]
        crates = [Body(asset, at) for asset, at in zip(boxes, poses[len(made) :], strict=True)]
        environment, brightest_rad = self.surroundings.draw(rng.child("surroundings"))
        return World(
            self._camera(persons, (*persons, *seats, *crates), rng.child("camera")),
            (*persons, *seats, *crates, self._ground(rng.child("ground"))),
            self.lights.draw(rng.child("lights"), brightest_rad),
            environment,
            float(draw(self.exposure, rng, "exposure")),
        )

    def _one(self, rng: Stream) -> tuple[Asset, Asset | None, str]:
        kind = draw(self.pose, rng, "kind")
        posed = self.people.posed(self.people.build(rng.child("build")), kind, rng.child("posed"))
        return self.people.dressed(posed, rng.child("dressed")), _seat(posed, rng.child("seat")) if kind == "sit" else None, kind

    def _ground(self, rng: Stream) -> Body:
        size, tile = float(draw(self.ground_m, rng, "ground_m")), float(draw(self.tile_m, rng, "tile_m"))
        angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
        rim = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1) * size / 2
        vertices = np.vstack([[0, 0, 0], rim])
        faces = np.array([(0, 1 + i, 1 + (i + 1) % 64) for i in range(64)], dtype=np.int32)
        texture = load_photo(find("photo", draw(Choice(self.ground), rng, "texture")))
        shade = rng.child("shade").uniform(0.6, 1.0)
        material = Material((shade, shade, shade, 1.0), texture, roughness=float(rng.child("roughness").uniform(0.5, 0.95)))
        normals = np.tile(np.array([0, 0, 1], np.float32), (65, 1))
        mesh = Mesh(vertices.astype(np.float32), faces, normals, (vertices[:, :2] / tile).astype(np.float32), material=material)
        return Body(Asset("ground", (mesh,)), np.eye(4))

    def _camera(self, persons: Sequence[Body], bodies: Sequence[Body], rng: Stream) -> Camera:
        """One that has enough of the joints in its frame and stands in nothing."""
        joints = [transform(b.world_from_object, np.array([k.xyz_object_m for k in b.asset.keypoints])) for b in persons]
        points = np.concatenate([*joints, np.zeros((0, 3))])
        target = (points.min(0) + points.max(0)) / 2 if len(points) else np.array([0.0, 0.0, 0.9])
        in_view = draw(self.in_view, rng, "in_view")
        centres = np.array([transform(b.world_from_object, b.asset.box_object_m[0]) for b in bodies]).reshape(-1, 3)
        reach = np.array([b.asset.box_object_m[1].max() / 2 for b in bodies])
        for attempt in range(_CAMERA_TRIES):
            camera = self.camera.draw(rng.child(attempt), target)
            eye = camera.world_from_camera[:3, 3]
            if eye[2] < 0.1 or (np.linalg.norm(eye - centres, axis=1) < reach + 0.2).any():
                continue
            if not len(points) or seen_share(camera, points) >= in_view:
                return camera
        raise SceneError(
            f"no camera in {_CAMERA_TRIES} tries has {in_view:.0%} of the joints of {len(persons)} persons in its frame; widen "
            "camera.fov_rad or camera.distance_m, or lower in_view or persons"
        )


def seen_share(camera: Camera, points_world_m: F64) -> float:
    """Of points (n, 3): which share is in the camera's frame."""
    points = transform(camera.camera_from_world, points_world_m)
    front = points[points[:, 2] > camera.near_m]
    xy = project(camera, front)
    return float(((xy >= 0) & (xy < (camera.width, camera.height))).all(axis=1).sum() / len(points))


def _footprint(*assets: Asset) -> Rest:
    """Of assets in one frame, standing as they are."""
    vertices = np.concatenate([asset.vertices_m for asset in assets])
    return Rest(np.eye(4), convex_hull(vertices[:, :2]), float(vertices[:, 2].max()), 1.0)


# --- props ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _carton(variant: int) -> U8:
    return cardboard((256, 256), Stream(variant, 0, ("carton",)), tile_m=0.5)


def _block(name: str, size_m: Sequence[float], middle_m: Sequence[float], material: Material) -> Asset:
    mesh = box(size_m, 0.006)
    vertices = mesh.vertices_m - mesh.vertices_m.min(0)  # standing on z = 0
    vertices = vertices - np.array([size_m[0] / 2, size_m[1] / 2, 0]) + np.array([*middle_m, 0.0])
    return Asset(name, (Mesh(vertices.astype(np.float32), mesh.faces, mesh.normals, mesh.uv, material=material),))


def _crate(rng: Stream, size_m: Random[float]) -> Asset:
    size = float(draw(size_m, rng, "size_m"))
    sides = size * rng.child("sides").uniform(0.7, 1.3, 3)
    sides[2] = min(sides[2] * rng.child("tall").uniform(0.8, 1.8), 1.2)
    if rng.child("paper").uniform() < 0.6:
        return _block("box", sides.tolist(), (0, 0), Material((1, 1, 1, 1), _carton(int(rng.child("variant").integers(4))), roughness=0.9))
    red, green, blue = rng.child("paint").uniform(0.02, 0.6, 3).tolist()
    return _block("box", sides.tolist(), (0, 0), Material((red, green, blue, 1.0), roughness=float(rng.child("rough").uniform(0.3, 0.9))))


def _seat(posed: Posed, rng: Stream) -> Asset:
    """A block that the figure sits on: its top is where the cloth below the pelvis ends."""
    cloth = posed.vertices_m[f"bottom_{posed.build.bottom}"]
    x, y, _ = posed.joints["pelvis"][:3, 3].tolist()
    below = cloth[(np.abs(cloth[:, 0] - x - 0.02) < 0.16) & (np.abs(cloth[:, 1] - y) < 0.2)]
    height = float(below[:, 2].min()) + 0.004
    width, depth = rng.child("sides").uniform((0.38, 0.36), (0.6, 0.42)).tolist()
    red, green, blue = rng.child("paint").uniform(0.03, 0.5, 3).tolist()
    return _block("seat", (depth, width, height), (x - depth / 2 + 0.15, y), Material((red, green, blue, 1.0), roughness=0.7))
