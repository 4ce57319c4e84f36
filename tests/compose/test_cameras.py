"""A rig stands and looks where it says, and a wrong one is one message."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synth.annotate import annotate, finish
from synth.compose import shapes
from synth.compose.cameras import CameraRig, is_outside, share_in_frame, visible_fraction
from synth.errors import ConfigError, SceneError
from synth.geometry import look_at, project, transform
from synth.rand import Uniform, rng_for
from synth.render.flat import FlatSpec
from synth.types import Asset, Body, Camera, Category, World


def test_a_rig_stands_where_it_says() -> None:
    rig = CameraRig(200, 100, fov_rad=1.0, distance_m=2.0, azimuth_rad=0.3, elevation_rad=0.5, roll_rad=0.2, aim_error_m=0.0)
    camera = rig.draw(rng_for(0, 0), (0.1, 0.2, 0.3))
    eye = camera.world_from_camera[:3, 3] - (0.1, 0.2, 0.3)
    assert eye == pytest.approx(2 * np.array([math.cos(0.5) * math.cos(0.3), math.cos(0.5) * math.sin(0.3), math.sin(0.5)]))
    at = lambda *xyz: project(camera, transform(camera.camera_from_world, np.array(xyz)))  # noqa: E731
    assert at(0.1, 0.2, 0.3) == pytest.approx((100, 50))
    up = at(0.1, 0.2, 0.31) - (100, 50)
    # a camera turned clockwise shows the world turned counter-clockwise: what was above lies to the left of above
    assert math.atan2(up[0], -up[1]) == pytest.approx(-0.2)


def test_a_calibrated_rig_keeps_its_lens() -> None:
    k = [[300.0, 0, 161.5], [0, 301.0, 119.5], [0, 0, 1]]
    rig = CameraRig(320, 240, image_from_camera=k, distortion=[Uniform(-0.1, 0.1), 0.01, 0, 0, 0])
    cameras = [rig.draw(rng_for(0, i), (0, 0, 0)) for i in range(3)]
    assert all(np.array_equal(camera.image_from_camera, k) for camera in cameras)
    assert len({camera.distortion[0] for camera in cameras}) == 3
    assert all(camera.distortion[1:] == (0.01, 0, 0, 0) and abs(camera.distortion[0]) < 0.1 for camera in cameras)


def test_each_number_has_a_stream_of_its_own() -> None:
    still = CameraRig(aim_error_m=0.0), CameraRig(aim_error_m=0.0, distance_m=0.9, distortion=(Uniform(0, 0.1), 0, 0, 0, 0))
    a, b = (rig.draw(rng_for(0, 0), (0, 0, 0)) for rig in still)
    assert np.allclose(a.world_from_camera[:3, :3], b.world_from_camera[:3, :3], atol=1e-12)
    assert np.array_equal(a.image_from_camera, b.image_from_camera)


# --- sizes and places in the picture ----------------------------------------------------------------------------------

BOX = np.array([(x, y, z) for x in (-0.1, 0.1) for y in (-0.05, 0.05) for z in (0.0, 0.3)])


def seen(camera: Camera, points: Any) -> Any:
    return project(camera, transform(camera.camera_from_world, points))


@pytest.mark.parametrize("lens", [(0, 0, 0, 0, 0), (-0.28, 0.05, 0.001, 0, 0)], ids=["pinhole", "barrel"])
def test_a_target_is_as_large_and_where_it_is_asked_to_be(lens: Any) -> None:
    rig = CameraRig(320, 240, distortion=lens, aim_error_m=0.0, roll_rad=Uniform(-3, 3))
    for index in range(10):
        px = replace(rig, size_px=90.0).draw(rng_for(0, index), BOX)
        assert np.ptp(seen(px, BOX), axis=0).max() == pytest.approx(90, rel=1e-6)
        share = replace(rig, size_share=0.6, offset=Uniform(-0.8, 0.8)).draw(rng_for(0, index), BOX)
        assert (np.ptp(seen(share, BOX), axis=0) / (320, 240)).max() == pytest.approx(0.6, rel=1e-6)
        assert np.array_equal(share.world_from_camera[:3, :3], px.world_from_camera[:3, :3])
    shifted = replace(rig, offset=0.5, distance_m=2.0).draw(rng_for(0, 0), (0.1, 0.2, 0.3))
    assert seen(shifted, np.array([(0.1, 0.2, 0.3)]))[0] == pytest.approx((240, 180))
    assert np.linalg.norm(shifted.world_from_camera[:3, 3] - (0.1, 0.2, 0.3)) == pytest.approx(2)


def test_the_larger_the_nearer_and_never_in_it() -> None:
    rig = CameraRig(320, 240, aim_error_m=0.0)
    away = []
    for share in (0.1, 0.5, 1.0, 3.0, 9.0):
        camera = replace(rig, size_share=share).draw(rng_for(0, 1), BOX)
        depth = transform(camera.camera_from_world, BOX)[:, 2]
        assert depth.min() > camera.near_m
        away.append(depth.mean())
    assert away == sorted(away, reverse=True)


def crate(x: float, size: float = 0.1) -> Body:
    pose = np.eye(4)
    pose[0, 3] = x
    return Body(Asset("crate", (shapes.box((size, size, size)),)), pose)


def test_a_camera_that_sees_enough_is_found_outside_of_all() -> None:
    bodies = [crate(x) for x in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    targets = [transform(body.world_from_object, body.asset.vertices_m) for body in bodies]
    rig = CameraRig(320, 240, distance_m=Uniform(0.01, 2.0))
    for index in range(10):
        camera = rig.draw_seeing(rng_for(0, index), targets, bodies, in_view=0.6, share=0.9, above_m=0.1)
        assert sum(share_in_frame(camera, target) >= 0.9 for target in targets) >= 3
        assert is_outside(camera, bodies)
        assert camera.world_from_camera[2, 3] >= 0.1
        half = rig.draw_seeing(
            rng_for(0, index), targets[:1], bodies, accept=lambda camera: visible_fraction(camera, bodies[0], bodies[1:]) < 0.9
        )
        assert visible_fraction(half, bodies[0], bodies[1:]) < 0.9
    with pytest.raises(SceneError, match="no camera in 100 tries sees 100% of 5 objects"):
        replace(rig, fov_rad=0.02).draw_seeing(rng_for(0, 0), targets, bodies)


def test_shares_in_the_frame() -> None:
    camera = Camera.from_fov(200, 100, 1.0, look_at((0, -1, 0), (0, 0, 0)))
    half_m = math.tan(0.5)  # half the width at 1 m
    assert share_in_frame(camera, np.array([(0.0, 0, 0)])) == 1
    assert share_in_frame(camera, np.array([(1.1 * half_m, 0, 0)])) == 0
    assert share_in_frame(camera, np.array([(0.5 * half_m, 0, -0.01), (1.5 * half_m, 0, 0.01)])) == pytest.approx(0.5)
    assert share_in_frame(camera, np.array([(0.0, 0, 0), (0.0, -2, 0)])) == 0, "one is behind"


def test_the_visible_fraction_is_that_of_the_label() -> None:
    spec = FlatSpec().open()
    for index in range(6):
        bodies = [replace(crate(0.0, 0.2), category=Category("crate")), crate(0.12), crate(-0.15, 0.12)]
        camera = CameraRig(640, 480, size_share=Uniform(0.4, 1.4), offset=Uniform(-0.7, 0.7), elevation_rad=0.1).draw(
            rng_for(3, index), transform(bodies[0].world_from_object, bodies[0].asset.vertices_m)
        )
        world = World(camera, tuple(bodies))
        (label,) = finish(annotate(world, spec.render(world)), (Category("crate"),)).instances
        assert label.visible_fraction == pytest.approx(visible_fraction(camera, bodies[0], bodies[1:]), abs=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CameraRig(width=0), r"camera.width must be in \[1, 16384\], got 0"),
        (lambda: CameraRig(fov_rad=60), r"camera.fov_rad must be in \[0.01, 3.1\], got 60"),
        (lambda: CameraRig(distortion=(0, 0)), "camera.distortion must be the five numbers"),
        (lambda: CameraRig(image_from_camera=[[1, 0, 0], [0, -1, 0], [0, 0, 1]]), "image_from_camera must be"),
        (lambda: CameraRig(distortion=(Uniform(0, 1), "x", 0, 0, 0)), "camera.distortion k2 must be a number or a distribution, got 'x'"),
        (lambda: CameraRig(elevation_rad=Uniform(0, 2)), r"camera.elevation_rad must be in"),
        (lambda: CameraRig(size_px=0), r"camera.size_px must be in \[1, 100000\], got 0"),
        (lambda: CameraRig(size_px=100, size_share=0.5), "camera.size_px and camera.size_share both say how large"),
        (lambda: CameraRig(distance_m=0), r"camera.distance_m must be in \[0.01, 1000\], got 0"),
    ],
)
def test_a_wrong_rig_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_point_has_no_size() -> None:
    with pytest.raises(SceneError, match=r"camera.size_px makes a target so large, but it is one point; use camera.distance_m"):
        CameraRig(size_px=50).draw(rng_for(0, 0), (0, 0, 0))
