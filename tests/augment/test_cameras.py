"""Cameras of moved pictures: the world rendered again by the new camera must show what the moved draft says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from synth.annotate import annotate, finish
from synth.rand import rng_for
from synth.render.flat import FlatSpec
from synth.types import Body, Draft, World
from tests.augment.cases import stage
from tests.shapes import LENS, NO_LENS, random_world

RIGID: list[tuple[str, dict[str, Any]]] = [
    ("RandomCropFromBorders", {"crop_left": 0.3, "crop_top": 0.3, "crop_right": 0.3, "crop_bottom": 0.3}),
    ("Resize", {"height": 200, "width": 350}),
    ("Pad", {"padding": [10, 20, 30, 5]}),
    ("RandomRotate90", {}),
    ("Affine", {"scale": {"x": [0.8, 1.3], "y": [0.8, 1.3]}, "rotate": [-180, 180], "shear": [-15, 15]}),
    ("Perspective", {"scale": [0.03, 0.08]}),
]
MIRRORS: list[tuple[str, dict[str, Any]]] = [("HorizontalFlip", {}), ("VerticalFlip", {}), ("Transpose", {})]


def ids(cases: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in cases]


@cache  # several transforms start from the same picture
def drawn(seed: int, lens: tuple[float, ...] = NO_LENS) -> tuple[World, Draft]:
    """A world and its draft."""
    world = random_world(seed, lens, bodies=3)
    return world, annotate(world, FlatSpec().open().render(world, normals=True))


def seen_again(world: World, moved: Draft) -> Draft:
    """The same bodies, drawn by the new camera."""
    assert moved.camera is not None
    again = World(moved.camera, world.bodies, world.lights, world.environment)
    return annotate(again, FlatSpec().open().render(again, normals=True))


def compare(moved: Draft, truth: Draft) -> None:
    # Where the old picture did not reach there is nothing in the moved one, so only what it shows is compared.
    shown = moved.depth_m < np.inf  # type: ignore[operator]
    same = (moved.instance == truth.instance)[shown]
    assert same.mean() > 0.97  # edges differ by the old pixels' size
    both = shown & (truth.depth_m < np.inf)  # type: ignore[operator]
    assert moved.depth_m is not None
    assert truth.depth_m is not None
    error = np.abs(moved.depth_m[both] - truth.depth_m[both]) / truth.depth_m[both]
    assert np.median(error) < 0.002
    assert moved.normals is not None
    assert truth.normals is not None
    angle = (moved.normals[both] * truth.normals[both]).sum(axis=-1)
    assert np.median(angle) > 0.999
    for item, other in zip(moved.instances, truth.instances, strict=True):
        assert np.abs(item.keypoint_xy - other.keypoint_xy)[item.keypoint_front].max() < 1e-6
        assert item.keypoint_xyz_m is not None
        assert np.allclose(item.keypoint_xyz_m, other.keypoint_xyz_m, atol=1e-9)
        if len(item.outline_xy) and item.silhouette.beyond_px == other.silhouette.beyond_px == 0:
            for low_or_high in (np.min, np.max):
                assert np.abs(low_or_high(item.outline_xy, 0) - low_or_high(other.outline_xy, 0)).max() < 0.05
            assert item.silhouette.bits.sum() == pytest.approx(other.silhouette.bits.sum(), rel=0.03, abs=8)


@pytest.mark.parametrize("lens", [NO_LENS, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize(("name", "params"), RIGID, ids=ids(RIGID))
def test_the_new_camera_sees_the_new_picture(name: str, params: dict[str, Any], lens: tuple[float, ...]) -> None:
    seed = 2 if any(lens) else 1
    world, base = drawn(seed, lens)
    moved = stage(name, params).apply(base, rng_for(seed, 0, "s"))
    if any(lens) and name == "Perspective":
        assert moved.camera is None  # a lens turned to the side has no such coefficients
        return
    truth = seen_again(world, moved)
    compare(moved, truth)
    for item, other in zip(moved.instances, truth.instances, strict=True):
        assert item.camera_from_object is not None
        assert np.allclose(item.camera_from_object, other.camera_from_object, atol=1e-9)


def mirror_world(world: World) -> World:
    """All bodies as their own mirror images in x: another mesh, at the mirrored place."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    bodies = []
    for body in world.bodies:
        meshes = tuple(
            replace(mesh, vertices_m=mesh.vertices_m * [-1, 1, 1], normals=mesh.normals * [-1, 1, 1], faces=mesh.faces[:, ::-1])
            for mesh in body.asset.meshes
        )
        points = tuple(replace(k, xyz_object_m=(-k.xyz_object_m[0], *k.xyz_object_m[1:])) for k in body.asset.keypoints)
        bodies.append(Body(type(body.asset)(body.asset.name, meshes, points), flip @ body.world_from_object @ flip, body.category))
    return World(world.camera, tuple(bodies), world.lights, world.environment)


@pytest.mark.parametrize("lens", [NO_LENS, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize(("name", "params"), MIRRORS, ids=ids(MIRRORS))
def test_the_new_camera_of_a_mirrored_picture_sees_the_mirrored_world(name: str, params: dict[str, Any], lens: tuple[float, ...]) -> None:
    world, base = drawn(3, lens)
    moved = stage(name, params).apply(base, rng_for(0, 0, "s"))
    compare(moved, seen_again(mirror_world(world), moved))
    assert all(item.camera_from_object is None and item.box3d_object_m is not None for item in moved.instances)


def test_a_bent_picture_has_no_camera_and_keeps_what_was_measured() -> None:
    _, base = drawn(1)
    moved = stage("ElasticTransform", {"alpha": 100, "sigma": 12}).apply(base, rng_for(0, 0, "s"))
    assert moved.camera is None
    for old, new in zip(base.instances, moved.instances, strict=True):
        assert new.keypoint_xyz_m is old.keypoint_xyz_m
        assert new.camera_from_object is old.camera_from_object


def test_without_a_camera_a_mirror_leaves_no_pose() -> None:
    base = replace(drawn(1)[1], camera=None)
    cropped = stage("RandomCropFromBorders", RIGID[0][1]).apply(base, rng_for(0, 0, "s"))
    assert all(item.camera_from_object is not None for item in cropped.instances)
    mirrored = stage("HorizontalFlip").apply(base, rng_for(0, 0, "s"))
    assert mirrored.normals is None
    assert mirrored.depth_m is not None
    assert all(item.camera_from_object is None and item.keypoint_xyz_m is None for item in mirrored.instances)


def test_fractions_and_full_boxes_follow_through_a_crop_and_back() -> None:
    """What a crop leaves outside is still counted: a pad that brings the frame back shows it as hidden, not as gone."""
    world = random_world(2, bodies=4)
    base = annotate(world, FlatSpec().open().render(world))
    before = finish(base, ())
    cropped = stage("Crop", {"x_min": 90, "y_min": 60, "x_max": 230, "y_max": 200}).apply(base, rng_for(0, 0, "s"))
    back = stage("Pad", {"padding": [90, 60, 90, 40]}).apply(cropped, rng_for(0, 0, "s"))
    after = finish(back, ())
    inside = np.zeros((240, 320), dtype=bool)
    inside[60:200, 90:230] = True
    assert (back.instance == np.where(inside, base.instance, 0)).all()
    for old, new, cut in zip(before.instances, after.instances, finish(cropped, ()).instances, strict=True):
        assert new.truncated_fraction == pytest.approx(old.truncated_fraction, abs=1e-9)
        assert old.box_full_xyxy is not None
        assert np.allclose(new.box_full_xyxy, old.box_full_xyxy)
        assert np.allclose(np.add(cut.box_full_xyxy, (90, 60, 90, 60)), old.box_full_xyxy)
        assert old.mask is not None
        whole = old.mask.decode()
        if whole.any() and old.visible_fraction:
            assert cut.visible_fraction == pytest.approx((whole & inside).sum() / whole.sum() * old.visible_fraction)
