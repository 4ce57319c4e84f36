"""Objects dropped into an open box, seen from above: piles that hide most of what is in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from synth.assets import load_asset, read_info
from synth.compose.arrange import above
from synth.compose.cameras import CameraRig
from synth.compose.lights import LightRig, Lights
from synth.compose.materials import Variation
from synth.compose.physics import settle
from synth.errors import ConfigError, SceneError, known_names
from synth.geometry import transform
from synth.rand import Choice, Integers, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import F64, Asset, Body, Category, World
from synth_scenes.crates import KINDS, Crate
from synth_scenes.library import find, sources
from synth_scenes.surroundings import Surroundings
from synth_scenes.tabletop import Table

_DROPS = 6
_Loaded: TypeAlias = tuple[Asset, Category | None]


@dataclass(frozen=True)
class Bin:
    """objects: how many are dropped, each of a random kind of `kinds` (names that ship, or paths of meshes whose description gives a
    category), but no more than fill the share `fill` of the bin (by the volumes of their hulls; a heap of packs is half air). one_kind:
    how likely all in a bin are of one kind, as in bin picking. crate: what the box is made of; width_m, depth_m,
    height_m: its inside. friction: Coulomb's, of all surfaces. tint and roughness_change vary the objects' materials. exposure: of the
    camera, which looks at the middle of the pile.
    """

    camera: CameraRig = field(
        default_factory=lambda: CameraRig(
            distance_m=Uniform(0.75, 1.1), elevation_rad=Uniform(1.0, math.pi / 2), roll_rad=Normal(0, 0.05), aim_error_m=Normal(0, 0.03)
        )
    )
    objects: Random[int] = Integers(8, 20)
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
    fill: Random[float] = 0.5
    one_kind: Random[float] = 0.2
    crate: Random[str] = field(default_factory=lambda: Choice(KINDS, [3, 2, 1]))
    width_m: Random[float] = Uniform(0.4, 0.58)
    depth_m: Random[float] = Uniform(0.3, 0.42)
    height_m: Random[float] = Uniform(0.16, 0.28)
    friction: Random[float] = Uniform(0.4, 0.7)
    tint: Random[float] = Uniform(0.0, 0.1)
    roughness_change: Random[float] = Uniform(-0.15, 0.15)
    exposure: Random[float] = Uniform(0.8, 1.2)
    table: Table = field(default_factory=Table)
    surroundings: Surroundings = field(default_factory=Surroundings)
    lights: LightRig = field(default_factory=Lights)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        check_range("objects", self.objects, 0, 200, whole=True)
        for name, low, high in (
            ("fill", 0.0, 10.0),
            ("one_kind", 0.0, 1.0),
            ("width_m", 0.05, 2.0),
            ("depth_m", 0.05, 2.0),
            ("height_m", 0.05, 1.0),
            ("friction", 0.05, 2.0),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)
        for crate in self.crate.options if isinstance(self.crate, Choice) else [self.crate]:
            if crate not in KINDS:
                raise ConfigError(known_names("kind of crate", str(crate), KINDS))
        if not self.kinds:
            raise ConfigError("kinds must name at least one object")
        _ = self.categories, self._variation

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """Of the kinds, in their order."""
        found: dict[str, Category] = {}
        for kind in self.kinds:
            category = read_info(find("object", kind)).category
            if category is None:
                raise ConfigError(f"kinds: '{kind}' has no category; give one in its .asset.yaml")
            if found.setdefault(category.name, category) != category:
                raise ConfigError(f"kinds: '{kind}' and another kind are both '{category.name}', with other keypoints")
        return tuple(found.values())

    @cached_property
    def _variation(self) -> Variation:
        return Variation(self.tint, 1.0, self.roughness_change)

    @property
    def sources(self) -> dict[Path, str]:
        """The meshes, textures, panoramas and photos it may show, each with its licence."""
        return {
            **sources("object", self.kinds),
            **sources("texture", self.table.textures),
            **sources("HDRI", self.surroundings.hdris),
            **sources("photo", self.surroundings.photos),
        }

    def compose(self, rng: Stream) -> World:
        """The objects, then the crate and the table it stands on."""
        sizes = [float(draw(getattr(self, name), rng, name)) for name in ("width_m", "depth_m", "height_m")]
        crate = Crate(draw(self.crate, rng, "crate"), *sizes)
        loaded = _that_fit([_load(kind) for kind in self._drawn_kinds(rng)], math.prod(sizes) * float(draw(self.fill, rng, "fill")))
        poses = self._pile([asset for asset, _ in loaded], crate, rng.child("pile"), float(draw(self.friction, rng, "friction")))
        bodies = [
            Body(asset, pose, category, self._variation.draw([mesh.material for mesh in asset.meshes], rng.child("look", i)))
            for i, ((asset, category), pose) in enumerate(zip(loaded, poses, strict=True))
        ]
        table, _ = self.table.draw(rng.child("table"))
        environment, brightest_rad = self.surroundings.draw(rng.child("surroundings"))
        middles = [transform(body.world_from_object, body.asset.box_object_m[0]) for body in bodies]
        target = np.mean(middles, axis=0) * (0.5, 0.5, 1.0) if middles else np.array([0.0, 0.0, crate.wall_m])
        camera = self.camera.draw(rng.child("camera"), target)
        return World(
            camera,
            (*bodies, crate.body(rng.child("crate")), table),
            self.lights.draw(rng.child("lights"), brightest_rad, camera),
            environment,
            float(draw(self.exposure, rng, "exposure")),
        )

    def _drawn_kinds(self, rng: Stream) -> list[str]:
        count, all_of = int(draw(self.objects, rng, "objects")), draw(Choice(self.kinds), rng, "kind")
        if rng.child("is_one_kind").uniform() < draw(self.one_kind, rng, "one_kind"):
            return [all_of] * count
        return [draw(Choice(self.kinds), rng.child("object", i), "kind") for i in range(count)]

    def _pile(self, assets: Sequence[Asset], crate: Crate, rng: Stream, friction: float) -> tuple[F64, ...]:
        """Where they come to rest, all in the crate. What falls out, or does not come to rest, is dropped anew."""
        cause = ""
        for attempt in range(_DROPS):
            start = above(assets, crate.width_m, crate.depth_m, rng.child(attempt), z_m=crate.wall_m)
            try:
                poses = settle(list(zip(assets, start, strict=True)), crate.blocks(guided=True), friction=friction)
                if any(_leans(crate, asset, pose) for asset, pose in zip(assets, poses, strict=True)):
                    poses = settle(list(zip(assets, poses, strict=True)), crate.blocks(guided=False), friction=friction)
            except SceneError as error:
                cause = str(error)
                continue
            out = [asset.name for asset, pose in zip(assets, poses, strict=True) if not _is_in(crate, asset, pose)]
            if not out:
                return poses
            cause = f"{', '.join(out)} fell over the rim"
        raise SceneError(
            f"{len(assets)} objects found no rest in a bin of {crate.width_m:.2f} x {crate.depth_m:.2f} x {crate.height_m:.2f} m, "
            f"dropped {_DROPS} times; the last time: {cause}. Lower objects or fill, or make the bin larger"
        )


@lru_cache(maxsize=128)
def _load(kind: str) -> _Loaded:
    path = find("object", kind)
    return load_asset(path), read_info(path).category


def _that_fit(things: list[_Loaded], volume_m3: float) -> list[_Loaded]:
    """The first of them, as long as the hulls of all fill no more."""
    filled = np.cumsum([_hull_volume_m3(asset) for asset, _ in things])
    return things[: int(np.searchsorted(filled, volume_m3, side="right"))]


@lru_cache(maxsize=128)
def _hull_volume_m3(asset: Asset) -> float:
    from scipy.spatial import ConvexHull

    return float(ConvexHull(asset.vertices_m).volume)


def _leans(crate: Crate, asset: Asset, pose: F64) -> bool:
    """Whether it may lean on what is only there while bodies fall: the walls beyond the rim."""
    vertices = transform(pose, asset.vertices_m)
    outer = np.abs(vertices[vertices[:, 2] > crate.rim_m - 0.005, :2]) > np.array([crate.width_m, crate.depth_m]) / 2 - 0.005
    return bool(outer.any())


def _is_in(crate: Crate, asset: Asset, pose: F64) -> bool:
    """Its middle is in the bin or over it, and what of it is below the rim between the walls."""
    vertices = transform(pose, asset.vertices_m)
    half = np.array([crate.width_m, crate.depth_m]) / 2
    below = vertices[vertices[:, 2] < crate.rim_m]
    middle = transform(pose, asset.box_object_m[0])
    return bool((np.abs(middle[:2]) < half).all() and (np.abs(below[:, :2]) < half + 0.003).all())
