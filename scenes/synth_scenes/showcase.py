"""One thing shown in a picture: lying on a surface among others, held over a table, or before a photo. What scenes of one object share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.assets import load_asset
from synth.compose import shapes
from synth.compose.cameras import CameraRig, share_in_frame, visible_fraction
from synth.compose.lights import LightRig, Lights, Mixed, Studio, Window
from synth.compose.materials import Paint
from synth.compose.placement import Area, Rest, scatter, stable_poses
from synth.errors import ConfigError, SceneError
from synth.geometry import transform
from synth.rand import Choice, Integers, Normal, Random, Stream, Uniform, UniformRotation, check_range, draw
from synth.types import F64, Asset, Body, Camera, Category, Light, Material, World
from synth_scenes import furniture, hands, library
from synth_scenes.backdrops import Backdrop
from synth_scenes.finishes import finish
from synth_scenes.surroundings import Surroundings

_TRIES = 30
_SOME_POINTS = np.array([[-0.1] * 3, [0.1] * 3])
_MOST_POINTS = 600
THINGS = (
    "sugar_box", "gelatin_box", "rubiks_cube", "potted_meat_can", "tomato_soup_can", "soda_can", "mug", "mustard_bottle", "banana",
    "milk_carton", "lemon", "bread",
)  # fmt: skip


def rig(size_share: Random[float], offset: Random[float]) -> CameraRig:
    """A camera that looks down at a thing, which is so large in the picture and so far off its middle."""
    return CameraRig(
        fov_rad=Uniform(0.6, 1.2),
        elevation_rad=Uniform(0.1, 1.35),
        roll_rad=Normal(0, 0.1),
        aim_error_m=0.0,
        size_share=size_share,
        offset=offset,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """What is shown, before it has a place."""

    asset: Asset
    category: Category
    materials: tuple[Material, ...] | None = None


@dataclass(frozen=True)
class Showcase:
    """All but the thing itself.

    camera: it looks at the thing; its size_share, size_px or distance_m say how large that is. contact: how likely the thing lies on a
    surface, among distractors; else it is held in the air, and `room` is how likely there is a table below with distractors on it.
    hands: how many hold it. occluders: how many things are before it, where it is held. distractor_kinds: names or paths of meshes; boxes
    and cylinders are among them always. visible: least share of the thing that shows, out of the frame counted as hidden; in_view: least
    share of its box in the picture that is in the frame.
    background: `photo`, of the folder `backgrounds` (or `photos`, which ships), with an HDRI for the light; `hdri`, seen and giving light;
    or `color`. brightness: what it lights a white surface to. wall: how likely one is behind, where there is a room.
    """

    camera: CameraRig = field(default_factory=lambda: rig(Uniform(0.25, 0.85), Uniform(-0.6, 0.6)))
    contact: Random[float] = 0.4
    room: Random[float] = 0.5
    wall: Random[float] = 0.4
    backgrounds: str = "photos"
    background: Random[str] = field(default_factory=lambda: Choice(["photo", "hdri", "color"], [6, 3, 1]))
    hdris: Sequence[str] = Surroundings.hdris
    brightness: Random[float] = Uniform(0.25, 0.6)
    hands: Random[int] = field(default_factory=lambda: Choice([0, 1, 2], [5, 4, 1]))
    occluders: Random[int] = field(default_factory=lambda: Choice([0, 1, 2], [6, 3, 1]))
    distractors: Random[int] = Integers(0, 6)
    distractor_kinds: Sequence[str] = THINGS
    visible: Random[float] = 0.4
    in_view: Random[float] = 0.6
    lights: LightRig = field(
        default_factory=lambda: Mixed((Lights(irradiance=Uniform(0.6, 2.4), lamps=Integers(0, 2)), Studio(), Window()), (3, 1, 1))
    )
    exposure: Random[float] = Uniform(0.7, 1.3)

    def __post_init__(self) -> None:
        for name in ("hdris", "distractor_kinds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("contact", "room", "wall", "visible", "in_view"):
            check_range(name, getattr(self, name), 0, 1)
        for name, most in (("hands", 2), ("occluders", 20), ("distractors", 40)):
            check_range(name, getattr(self, name), 0, most, whole=True)
        check_range("exposure", self.exposure, 1e-3, 1e3)
        for kind in self.distractor_kinds:
            try:
                library.find("object", kind)
            except ConfigError as error:
                raise ConfigError(f"distractor_kinds: {error}") from error
        _ = self._backdrop.files, self._surroundings

    # --- what a scene says of its thing -------------------------------------------------------------------------------

    def _thing(self, rng: Stream) -> Thing:
        raise NotImplementedError

    def _camera_from_thing(self, rng: Stream) -> F64:
        """(3, 3) how it is turned before the camera when it is held."""
        raise NotImplementedError

    def _rest(self, asset: Asset, rng: Stream) -> Rest:
        """How it lies on a surface."""
        raise NotImplementedError

    def _grip(self, body: Body, camera: Camera, rng: Stream) -> tuple[F64, F64, F64]:
        """Where a hand holds it: a point of its edge, the way out from there and the way towards the viewer, world; by default an edge
        that the camera sees."""
        way = float(rng.uniform(-math.pi, math.pi))
        across = camera.world_from_camera[:3, :3] @ [math.cos(way), math.sin(way), 0.25]
        across /= np.linalg.norm(across)
        points = transform(body.world_from_object, body.asset.vertices_m)
        point = points[int(np.argmax(points @ across))] - across * 0.012
        towards = np.cross(across, np.cross(-camera.world_from_camera[:3, 2], across))
        return point, across, towards / np.linalg.norm(towards)

    def _more_lights(self, body: Body, camera: Camera, rng: Stream) -> tuple[Light, ...]:
        return ()

    # --- the world ----------------------------------------------------------------------------------------------------

    @cached_property
    def _backdrop(self) -> Backdrop:
        return Backdrop(self.backgrounds, zoom=Uniform(1.0, 2.0))

    @cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(kind=self.background, hdris=self.hdris, brightness=self.brightness)

    @property
    def sources(self) -> dict[Path, str]:
        """The files it may show, each with its licence."""
        return {
            **library.sources("object", self.distractor_kinds),
            **library.sources("HDRI", self.hdris),
            **self._backdrop.sources,
        }

    def compose(self, rng: Stream) -> World:
        """The thing, first of the bodies, and what is around it."""
        for attempt in range(_TRIES):
            world = self._try(rng.child(attempt))
            if world is not None:
                return world
        raise SceneError(
            f"in {_TRIES} tries the thing was never seen well enough: visible {self.visible!r}, in_view {self.in_view!r}; lower them, "
            "camera.size_share, camera.offset, or what hides it (hands, occluders, distractors)"
        )

    def _try(self, rng: Stream) -> World | None:
        thing = self._thing(rng.child("thing"))
        axes = self.camera.draw(rng.child("camera"), _SOME_POINTS).world_from_camera
        lies = bool(rng.child("lies").uniform() < draw(self.contact, rng, "contact"))
        body, others = self._lying(thing, rng) if lies else (self._held(thing, axes, rng), [])
        points = transform(body.world_from_object, thing.asset.vertices_m)
        camera = self.camera.draw(rng.child("camera"), points[:: max(1, len(points) // _MOST_POINTS)])
        if not lies:
            others = [*self._around(body, points, camera, rng), *self._before(points, camera, rng)]
            for i in range(int(draw(self.hands, rng, "hands"))):
                hand = rng.child("hand", i)
                others.append(hands.holding(*self._grip(body, camera, hand), hand, rng.child("person")))
        if not self._is_good(camera, body, points, others, rng):
            return None
        environment, brightest_rad = self._surroundings.draw(rng.child("surroundings"))
        if environment.photo is not None:
            environment = replace(environment, photo=self._backdrop.draw(camera.width, camera.height, rng.child("backdrop")))
        lights = (*self.lights.draw(rng.child("lights"), brightest_rad, camera), *self._more_lights(body, camera, rng))
        return World(camera, (body, *others), lights, environment, float(draw(self.exposure, rng, "exposure")))

    def _is_good(self, camera: Camera, body: Body, points: F64, others: Sequence[Body], rng: Stream) -> bool:
        eye = camera.world_from_camera[:3, 3]
        for other in others:  # in no box that stands as its mesh does: a table's ball would hold the camera
            local = transform(np.asarray(np.linalg.inv(other.world_from_object), np.float64), eye) - other.asset.box_object_m[0]
            if (np.abs(local) < other.asset.box_object_m[1] / 2 + 0.03).all():
                return False
        if share_in_frame(camera, points) < draw(self.in_view, rng, "in_view"):
            return False
        visible = draw(self.visible, rng, "visible")
        return visible == 0 or visible_fraction(camera, body, others) >= visible

    def _held(self, thing: Thing, world_from_camera: F64, rng: Stream) -> Body:
        pose = np.eye(4)
        pose[:3, :3] = world_from_camera[:3, :3] @ self._camera_from_thing(rng.child("turn"))
        pose[:3, 3] = -pose[:3, :3] @ thing.asset.box_object_m[0]
        return Body(thing.asset, pose, thing.category, thing.materials)

    def _lying(self, thing: Thing, rng: Stream) -> tuple[Body, list[Body]]:
        """On a table at z = 0, with distractors around."""
        size = max(float(thing.asset.diameter_m), 0.1)
        props = [self._prop(rng.child("distractor", i), size) for i in range(int(draw(self.distractors, rng, "distractors")))]
        rests = [self._rest(thing.asset, rng.child("rest")), *(rest for _, rest, _ in props)]
        names = [thing.asset.name, *(asset.name for asset, _, _ in props)]
        side = 2.2 * size + 0.12 * len(props) ** 0.5
        poses = scatter(rests, names, Area(1.4 * side, side), rng.child("places"), clearance_m=Uniform(0.003, 0.05))
        table = self._table(rng.child("table"), 1.6 * side, 0.0, np.zeros(2))
        bodies = [Body(asset, pose, materials=materials) for (asset, _, materials), pose in zip(props, poses[1:], strict=True)]
        return Body(thing.asset, poses[0], thing.category, thing.materials), [*bodies, table]

    def _around(self, body: Body, points: F64, camera: Camera, rng: Stream) -> list[Body]:
        """A table below what is held, things on it, a wall: or nothing."""
        if rng.child("has_room").uniform() >= draw(self.room, rng, "room"):
            return []
        radius, low = float(np.linalg.norm(np.ptp(points, axis=0))) / 2, float(points[:, 2].min())
        top = low - float(rng.child("drop").uniform(0.01, 0.3))
        forward = camera.world_from_camera[:2, 2] / max(1e-6, float(np.linalg.norm(camera.world_from_camera[:2, 2])))
        found: list[Body] = []
        if camera.world_from_camera[2, 3] > top + 0.05:
            middle = forward * float(rng.child("away").uniform(0.2, 0.7))
            props = [self._prop(rng.child("distractor", i), 0.25) for i in range(int(draw(self.distractors, rng, "distractors")))]
            props = [prop for prop in props if prop[1].height_m < low - top or prop[1].height_m < 0.25]
            rests, names = [rest for _, rest, _ in props], [asset.name for asset, _, _ in props]
            poses = scatter(rests, names, Area(1.3, 1.0), rng.child("places"), clearance_m=0.005)
            for (asset, rest, materials), pose in zip(props, poses, strict=True):
                placed = pose.copy()
                placed[:3, 3] += (*middle, top)
                away = float(np.linalg.norm(placed[:2, 3])) - radius - float(np.ptp(rest.footprint_m, axis=0).max())
                if away > 0 or rest.height_m < low - top:
                    found.append(Body(asset, placed, materials=materials))
            found.append(self._table(rng.child("table"), float(rng.child("side").uniform(1.4, 2.2)), top, middle))
        if rng.child("has_wall").uniform() < draw(self.wall, rng, "wall"):
            found.append(_wall(forward, radius + float(rng.child("wall").uniform(0.9, 2.5)), rng.child("wall")))
        return found

    def _before(self, points: F64, camera: Camera, rng: Stream) -> list[Body]:
        """Things between the camera and a random part of what is held."""
        eye, found = camera.world_from_camera[:3, 3], []
        size = float(np.linalg.norm(np.ptp(points, axis=0)))
        for i in range(int(draw(self.occluders, rng, "occluders"))):
            own = rng.child("occluder", i)
            near = float(own.child("near").uniform(0.45, 0.8))
            asset, materials = _shape(own, size * near * float(own.child("size").uniform(0.2, 0.5)))
            at = points[int(own.child("at").integers(len(points)))] + own.child("off").normal(0, 0.15 * size, 3)
            pose = np.eye(4)
            pose[:3, :3] = UniformRotation().draw(own.child("turn"))
            pose[:3, 3] = eye + near * (at - eye) - pose[:3, :3] @ asset.box_object_m[0]
            found.append(Body(asset, pose, materials=materials))
        return found

    def _prop(self, rng: Stream, size_m: float) -> tuple[Asset, Rest, tuple[Material, ...] | None]:
        """A thing without label and how it lies: a mesh of distractor_kinds, or a shape of about size_m."""
        if self.distractor_kinds and rng.child("is_mesh").uniform() < 0.5:
            kind = self.distractor_kinds[int(rng.child("kind").integers(len(self.distractor_kinds)))]
            asset, materials = load_asset(library.find("object", kind)), None
        else:
            asset, materials = _shape(rng, size_m)
        rests = stable_poses(asset)
        return asset, rests[int(rng.child("rest").choice(len(rests), p=[rest.probability for rest in rests]))], materials

    def _table(self, rng: Stream, side_m: float, top_m: float, middle_m: F64) -> Body:
        width, depth = (rng.child("size").uniform(1.0, 1.8, 2) * side_m).tolist()
        is_round = bool(rng.child("is_round").uniform() < 0.2)
        asset = furniture.table(width, depth, 0.03, 0.7, is_round, float(rng.child("tile").uniform(0.2, 0.6)))
        top = Paint(saturation=Uniform(0, 0.4)).draw(rng.child("paint")) if rng.child("is_plain").uniform() < 0.25 else finish(rng)
        turn = float(rng.child("yaw").uniform(-math.pi, math.pi))
        pose = np.eye(4)
        pose[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        pose[:3, 3] = (*middle_m, top_m)
        return Body(asset, pose, materials=(top, Material((0.15, 0.14, 0.13, 1.0), roughness=0.7)))


def _shape(rng: Stream, size_m: float) -> tuple[Asset, tuple[Material, ...]]:
    """A box or a cylinder with some finish, its longest side at most size_m."""
    sides = np.sort(rng.child("sides").uniform(0.25, 1.0, 3))[::-1] * size_m
    if rng.child("is_box").uniform() < 0.65:
        mesh = shapes.box(sides.tolist(), bevel_m=0.03 * float(sides.min()))
    else:
        mesh = shapes.cylinder(sides[1] / 2, sides[0], bevel_m=0.03 * sides[1])
    plain = rng.child("is_plain").uniform() < 0.35
    return Asset("prop", (mesh,)), (Paint().draw(rng.child("paint")) if plain else finish(rng.child("finish")),)


def _wall(forward: F64, away_m: float, rng: Stream) -> Body:
    """An upright sheet across the way the camera looks."""
    mesh = shapes.sheet(8.0, 5.0)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = (forward[1], -forward[0], 0), (0, 0, 1), (-forward[0], -forward[1], 0)
    pose[:3, 3] = (forward[0] * away_m, forward[1] * away_m, 0)
    tile = float(rng.child("tile").uniform(0.4, 1.5))
    assert mesh.uv is not None
    asset = Asset("wall", (replace(mesh, uv=mesh.uv * np.array([8.0, 5.0], np.float32) / np.float32(tile)),))
    plain = rng.child("is_plain").uniform() < 0.5
    paint = Paint(saturation=Uniform(0, 0.35), value=Uniform(0.3, 0.95), roughness=0.95)
    return Body(asset, pose, materials=(paint.draw(rng.child("paint")) if plain else finish(rng.child("finish")),))
