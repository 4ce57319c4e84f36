"""A rig stands and looks where it says, and a wrong one is one message."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from synth.compose.cameras import CameraRig
from synth.errors import ConfigError
from synth.geometry import project, transform
from synth.rand import Uniform, rng_for


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CameraRig(width=0), r"camera.width must be in \[1, 16384\], got 0"),
        (lambda: CameraRig(fov_rad=60), r"camera.fov_rad must be in \[0.01, 3.1\], got 60"),
        (lambda: CameraRig(distortion=(0, 0)), "camera.distortion must be the five numbers"),
        (lambda: CameraRig(image_from_camera=[[1, 0, 0], [0, -1, 0], [0, 0, 1]]), "image_from_camera must be"),
        (lambda: CameraRig(distortion=(Uniform(0, 1), "x", 0, 0, 0)), "camera.distortion k2 must be a number or a distribution, got 'x'"),
        (lambda: CameraRig(elevation_rad=Uniform(0, 2)), r"camera.elevation_rad must be in"),
        (lambda: CameraRig(distance_m=0), r"camera.distance_m must be in \[0.01, 1000\], got 0"),
    ],
)
def test_a_wrong_rig_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
