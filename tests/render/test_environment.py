"""Light from panoramas against sums over all their pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synth.render.environment import MIRROR_LEVELS, directions, harmonics, irradiance_harmonics, mirror_levels
from synth.types import F32, F64


def panorama() -> F32:
    """Smooth, different in all directions and channels."""
    x, y, z = np.moveaxis(directions(128, 64), -1, 0)
    return np.stack([1 + 0.6 * x + 0.3 * y * z, 0.8 + 0.5 * y, 1.2 - 0.7 * z + 0.3 * x * z], -1).astype(np.float32)


def solid_angle(toward: F64) -> F64:
    weight = np.sqrt(1 - toward[..., 2] ** 2)
    return np.asarray(weight * 4 * math.pi / weight.sum())


def test_directions_follow_the_panorama_law() -> None:
    toward = directions(8, 4)
    for row, column in ((0, 0), (1, 3), (3, 7)):
        x, y, z = toward[row, column]
        assert 0.5 - math.atan2(y, x) / (2 * math.pi) == pytest.approx((column + 0.5) / 8)
        assert math.acos(z) / math.pi == pytest.approx((row + 0.5) / 4)


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 0, 0), (0, -1, 0), (0.6, 0.48, -0.64)])
def test_irradiance_is_the_cosine_weighted_sum(normal: tuple[float, float, float]) -> None:
    light, toward = panorama(), directions(128, 64)
    cosine = np.maximum(toward @ np.asarray(normal), 0)
    expected = (light * (cosine * solid_angle(toward))[..., None]).sum(axis=(0, 1)) / math.pi
    assert harmonics(np.asarray(normal, dtype=np.float64)) @ irradiance_harmonics(light) == pytest.approx(expected, rel=0.01)


def test_mirrors_of_every_roughness_show_their_lobe() -> None:
    light, toward = panorama(), directions(128, 64)
    levels = mirror_levels(light)
    assert len(levels) == MIRROR_LEVELS
    for level, image in enumerate(levels[1:], start=1):
        width = image.shape[1]
        alpha2 = (level / (MIRROR_LEVELS - 1)) ** 4
        for row, column in ((width // 8, width // 3), (width // 4, 0), (width // 2 - 2, width - 1)):
            out = directions(width, width // 2)[row, column]
            cosine = toward @ out
            lobe = np.maximum(cosine, 0) / ((1 + cosine) / 2 * (alpha2 - 1) + 1) ** 2 * solid_angle(toward)
            expected = (light * lobe[..., None]).sum(axis=(0, 1)) / lobe.sum()
            assert image[row, column] == pytest.approx(expected, rel=0.03)


def test_a_constant_panorama_stays_constant() -> None:
    for image in mirror_levels(np.full((16, 32, 3), 2.5, dtype=np.float32)):
        assert np.allclose(image, 2.5, rtol=1e-3)
