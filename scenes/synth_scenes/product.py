"""One product, from any mesh, in any pose, before any background: for detection, keypoints and 6D pose."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.assets import box_category, box_keypoints, load_asset, read_info
from synth.compose.materials import Variation
from synth.compose.placement import Rest, stable_poses
from synth.geometry import look_at
from synth.rand import Random, Stream, Uniform, check_range, draw
from synth.types import F64, Asset, Category
from synth_scenes import library
from synth_scenes.showcase import Showcase, Thing


@dataclass(frozen=True)
class Product(Showcase):
    """mesh: the name of an object that ships, or the path of a mesh. Its category and keypoints are those of its .asset.yaml; without a
    category it is named after the asset, without keypoints it gets the eight corners of its box.

    Held in the air it is seen from azimuth_rad around it (0: from its +x) and elevation_rad above its horizon (null: even over the sphere,
    so that with the others' defaults all rotations are alike), and turned by in_plane_rad in the picture, clockwise. upright: how likely
    it stands as its mesh does where it lies on a surface, if it can; else as if it had been dropped. tint, brightness_factor,
    roughness_change: how it may differ from its own materials.
    """

    mesh: str = "cracker_box"
    azimuth_rad: Random[float] = Uniform(-math.pi, math.pi)
    elevation_rad: Random[float] | None = None
    in_plane_rad: Random[float] = Uniform(-math.pi, math.pi)
    upright: Random[float] = 0.4
    tint: Random[float] = Uniform(0.0, 0.15)
    brightness_factor: Random[float] = Uniform(0.8, 1.0)
    roughness_change: Random[float] = Uniform(-0.4, 0.2)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("azimuth_rad", self.azimuth_rad)
        check_range("in_plane_rad", self.in_plane_rad)
        if self.elevation_rad is not None:
            check_range("elevation_rad", self.elevation_rad, -math.pi / 2, math.pi / 2)
        check_range("upright", self.upright, 0, 1)
        _ = self._variation, self._category

    @property
    def categories(self) -> tuple[Category, ...]:
        """The product's."""
        return (self._category,)

    @cached_property
    def _path(self) -> Path:
        return library.find("object", self.mesh)

    @cached_property
    def _category(self) -> Category:
        info = read_info(self._path)
        name = info.category.name if info.category else info.name
        if info.keypoints is None or not info.keypoints:
            return box_category(name)
        return info.category or Category(name, tuple(keypoint.name for keypoint in info.keypoints))

    @cached_property
    def _variation(self) -> Variation:
        return Variation(self.tint, self.brightness_factor, self.roughness_change)

    @property
    def sources(self) -> dict[Path, str]:
        """The mesh with all that it reads, and what is around it."""
        return {**super().sources, **library.sources("object", [self.mesh])}

    def _thing(self, rng: Stream) -> Thing:
        asset = product_asset(self._path)
        return Thing(asset, self._category, self._variation.draw([mesh.material for mesh in asset.meshes], rng))

    def _camera_from_thing(self, rng: Stream) -> F64:
        azimuth = float(draw(self.azimuth_rad, rng, "azimuth_rad"))
        if self.elevation_rad is None:
            elevation = math.asin(float(rng.child("elevation_rad").uniform(-1, 1)))
        else:
            elevation = float(draw(self.elevation_rad, rng, "elevation_rad"))
        across = math.cos(elevation)
        outward = (across * math.cos(azimuth), across * math.sin(azimuth), math.sin(elevation))
        camera_from_thing = look_at(outward, (0.0, 0.0, 0.0))[:3, :3].T
        c, s = math.cos(turn := float(draw(self.in_plane_rad, rng, "in_plane_rad"))), math.sin(turn)
        return np.asarray(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ camera_from_thing)

    def _rest(self, asset: Asset, rng: Stream) -> Rest:
        rests = stable_poses(asset)
        stands = max(rests, key=lambda rest: float(rest.up_object[2]))
        if stands.up_object[2] > math.cos(0.2) and rng.child("stands").uniform() < draw(self.upright, rng, "upright"):
            return stands
        return rests[int(rng.child("rest").choice(len(rests), p=[rest.probability for rest in rests]))]


def product_asset(path: Path) -> Asset:
    """The asset of a mesh, with the corners of its box where it names no keypoints. One object a file, so that uploads are found again."""
    asset = load_asset(path)
    if asset.keypoints:
        return asset
    known = _boxed.get(path)
    if known is None or known[0] is not asset:
        known = _boxed[path] = (asset, replace(asset, keypoints=box_keypoints(*asset.box_object_m)))
    return known[1]


_boxed: dict[Path, tuple[Asset, Asset]] = {}
