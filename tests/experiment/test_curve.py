"""A learning curve finds the law that made its points, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from synth.errors import ConfigError
from synth.experiment.curve import Point, fit

REAL, SYNTHETIC = (0, 20, 50, 100, 200, 400), (0, 100, 300, 1000)


def ladder(law: tuple[float, float, float, float], noise: float, seeds: int = 3, synthetic: tuple[int, ...] = SYNTHETIC) -> list[Point]:
    plateau, scale, slope, worth = law
    rng = np.random.default_rng(1)
    return [
        Point(real, made, plateau + scale * (real + worth * made) ** -slope + noise * rng.standard_normal())
        for real in REAL
        for made in synthetic
        for _ in range(seeds)
        if real + made
    ]


@pytest.mark.parametrize("law", [(0.1, 2.0, 0.5, 0.2), (0.02, 1.0, 0.3, 0.05), (0.3, 5.0, 0.9, 1.0)])
def test_the_law_is_found_again(law: tuple[float, float, float, float]) -> None:
    curve = fit(ladder(law, 0.0))
    assert curve.parameters == pytest.approx(law, rel=0.03, abs=1e-3)
    expected = curve.expect(1500, 2000)
    assert expected.error == pytest.approx(law[0] + law[1] * (1500 + law[3] * 2000) ** -law[2], rel=0.02)
    assert not expected.far
    assert curve.expect(100_000).far


def test_the_interval_holds_the_truth_and_grows_with_noise() -> None:
    law = (0.1, 2.0, 0.5, 0.2)
    truth = law[0] + law[1] * 800 ** -law[2]
    widths = []
    for noise in (0.002, 0.01):
        expected = fit(ladder(law, noise)).expect(800)
        assert expected.low <= truth <= expected.high
        widths.append(expected.high - expected.low)
    assert widths[0] < widths[1]


def test_real_samples_alone() -> None:
    curve = fit(ladder((0.1, 2.0, 0.5, 0.0), 0.0, synthetic=(0,)))
    assert curve.parameters[:3] == pytest.approx((0.1, 2.0, 0.5), rel=0.02)
    assert "n_synthetic" in str(curve)


def test_more_never_hurts_in_the_law() -> None:
    curve = fit(ladder((0.2, 1.0, 0.4, 0.1), 0.02))
    errors = [curve.expect(n, 100).error for n in (10, 100, 1000)]
    assert sorted(errors, reverse=True) == errors


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"at least 4 cells of 3 different sizes, got \[\(10, 0\), \(20, 0\)\]"):
        fit([Point(10, 0, 0.5), Point(20, 0, 0.4), Point(20, 0, 0.41)])
    with pytest.raises(ConfigError, match="at least one sample"):
        fit(ladder((0.1, 2.0, 0.5, 0.2), 0.0)).expect(0, 0)
