"""The products that a shop has: packages made here and scanned ones, how they stand with their face to the front and how they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from synth.assets import load_asset, read_info
from synth.compose.placement import stable_poses
from synth.types import F64, Asset
from synth_scenes import library
from synth_scenes.packages import package

Size: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Sku:
    """A product that a shop has. front_from_object (3, 3): turns its face to -y; size_m: of the box around it then."""

    name: str
    kind: str
    brand: tuple[str, str]
    asset: Asset
    front_from_object: F64
    size_m: Size


def turned(yaw_rad: float) -> F64:
    """A turn (3, 3) about the vertical, counter-clockwise from above."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def standing(asset: Asset, rotation: F64) -> tuple[F64, Size]:
    """The pose that stands on z = 0, the middle of its box at x = y = 0, and the size of that box."""
    points = _extremes(asset) @ rotation.T
    low, high = points.min(axis=0), points.max(axis=0)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -(low + high) / 2
    pose[2, 3] = -low[2]
    width, depth, height = (high - low).tolist()
    return pose, (width, depth, height)


@lru_cache(maxsize=1024)
def _extremes(asset: Asset) -> F64:
    """(n, 3) those of its vertices that may be outermost."""
    from scipy.spatial import ConvexHull

    return np.asarray(asset.vertices_m[ConvexHull(asset.vertices_m).vertices])


@lru_cache(maxsize=1024)
def lying(asset: Asset) -> tuple[F64, ...]:
    """Rotations in which it rests on one of its sides."""
    return tuple(rest.plane_from_object[:3, :3] for rest in stable_poses(asset) if abs(rest.up_object[2]) < 0.4)


@lru_cache(maxsize=1024)
def package_sku(kind: str, variant: int) -> Sku:
    """A package of synth_scenes.packages."""
    made = package(kind, variant)
    return Sku(made.asset.name, kind, (made.brand.name, made.brand.goods), made.asset, np.eye(3), standing(made.asset, np.eye(3))[1])


@lru_cache(maxsize=1024)
def mesh_sku(name: str) -> Sku:
    """A mesh that ships, or the path of one."""
    asset = load_asset(library.find("object", name))
    way = _front(asset)
    turn = -math.pi / 2 - math.atan2(way[1], way[0])
    rotation = turned(turn)
    first, *others = asset.name.replace("_", " ").title().split(" ")
    return Sku(asset.name, mesh_kind(name), (first, " ".join(others)), asset, rotation, standing(asset, rotation)[1])


def _front(asset: Asset) -> F64:
    """The way (2,) that the face of an asset looks: by its keypoints named front and back or left and right; else its wider side."""
    at = {
        side: np.mean([k.xyz_object_m[:2] for k in asset.keypoints if side in k.name.split("_")] or [(np.nan,) * 2], axis=0)
        for side in ("front", "back", "left", "right")
    }
    across = at["right"] - at["left"]
    for way in (at["front"] - at["back"], np.array([across[1], -across[0]])):
        if np.linalg.norm(way) > 0.01:  # never of what has no such keypoints, which is nan
            return np.asarray(way)
    size = asset.box_object_m[1]
    return np.array([0.0, -1.0]) if size[0] >= size[1] else np.array([1.0, 0.0])


def mesh_kind(name: str) -> str:
    """Its category, or its name."""
    info = read_info(library.find("object", name))
    return info.category.name if info.category else info.name
