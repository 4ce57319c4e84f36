"""Each rig's lights stand and shine as it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from synth.compose.lights import Lights, Mixed, Ring, Studio, Window
from synth.errors import ConfigError
from synth.geometry import look_at
from synth.rand import Integers, rng_for
from synth.types import Camera, DirectionalLight, PointLight

CAMERA = Camera.from_fov(64, 48, 1.0, look_at((0.0, -1.0, 0.5), (0, 0, 0)))


def azimuth(light: DirectionalLight) -> float:
    return math.atan2(-light.direction_world[1], -light.direction_world[0])


def test_a_studio_lights_from_beside_the_camera_and_from_behind() -> None:
    sides = set()
    for index in range(8):
        rig = Studio(irradiance=2.0, fill=0.5, rim=0.25, key_rad=0.6, elevation_rad=0.7, angle_rad=0.4)
        key, fill, rim = (light for light in rig.draw(rng_for(0, index), 0.0, CAMERA) if isinstance(light, DirectionalLight))
        assert [light.irradiance for light in (key, fill, rim)] == [2.0, 1.0, 0.5]
        aside = math.remainder(azimuth(key) + math.pi / 2, 2 * math.pi)  # the camera stands at -y
        assert abs(aside) == pytest.approx(0.6)
        assert math.remainder(azimuth(fill) + math.pi / 2, 2 * math.pi) == pytest.approx(-aside)
        assert abs(math.remainder(azimuth(rim) - math.pi / 2, 2 * math.pi)) < 0.4
        assert -key.direction_world[2] == pytest.approx(math.sin(0.7))
        assert key.angle_rad == 0.4
        sides.add(math.copysign(1, aside))
    assert sides == {-1, 1}


def test_a_window_lights_from_one_side_where_it_is_brightest() -> None:
    (light,) = Window(azimuth_rad=0.1, elevation_rad=0.3).draw(rng_for(0, 0), 1.0)
    assert isinstance(light, DirectionalLight)
    assert azimuth(light) == pytest.approx(1.1)
    assert -light.direction_world[2] == pytest.approx(math.sin(0.3))


def test_a_ring_is_around_the_lens_and_its_lamps_sum_up() -> None:
    lamps = Ring(intensity=1.6, radius_m=0.1, lamps=8).draw(rng_for(0, 0), 0.0, CAMERA)
    at = np.array([lamp.position_world_m for lamp in lamps if isinstance(lamp, PointLight)])
    assert sum(lamp.intensity for lamp in lamps if isinstance(lamp, PointLight)) == pytest.approx(1.6)
    assert np.linalg.norm(at - CAMERA.world_from_camera[:3, 3], axis=1) == pytest.approx(np.full(8, 0.1))
    assert np.abs((at - CAMERA.world_from_camera[:3, 3]) @ CAMERA.world_from_camera[:3, 2]).max() < 1e-12
    assert at.mean(axis=0) == pytest.approx(CAMERA.world_from_camera[:3, 3])


def test_a_ring_may_have_a_random_number_of_lamps() -> None:
    counts = {len(Ring(lamps=Integers(2, 4)).draw(rng_for(0, index), 0.0, CAMERA)) for index in range(20)}
    assert counts == {2, 3, 4}


def test_mixed_takes_each_as_often_as_its_weight_says() -> None:
    mixed = Mixed((Ring(lamps=5), Window(), Lights(lamps=2)), (1, 2, 0))
    counts = [len(mixed.draw(rng_for(0, index), 0.0, CAMERA)) for index in range(90)]
    assert set(counts) == {1, 5}
    assert 45 <= counts.count(1) <= 75


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Studio(key_rad=4.0), r"lights.key_rad must be in \[0, 3.14159\], got 4"),
        (lambda: Window(angle_rad=2.0), r"lights.angle_rad must be in \[0, 1\], got 2"),
        (lambda: Ring(lamps=0), r"lights.lamps must be in \[1, 16\], got 0"),
        (lambda: Mixed(rigs=()), "Choice: needs at least one option"),
        (lambda: Mixed(rigs=("sun",)), r"lights.rigs\[0\] must be a light rig such as Lights, Studio, Window or Ring, got 'sun'"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_rig_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
