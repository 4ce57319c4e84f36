"""Colours after harmonisation have the statistics asked for; statistics of a set are those of its pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import synth
from synth.annotate import finish
from synth.augment.harmonize import ColourStatistics, Harmonize, from_lab, statistics_of, to_lab
from synth.config.build import build
from synth.digest import digest_of, label_digest
from synth.errors import ConfigError
from synth.rand import rng_for
from synth.types import U8, Draft, Sample
from tests.augment.sensor_cases import DOT, dots, flat, spread

PHOTOS = Path(synth.__file__).parent.parent / "scenes" / "synth_scenes" / "assets" / "photos"


def picture(seed: int, mean: float = 0.35, side: int = 96) -> U8:
    """Soft colours of middling light, so that hardly any pixel is clipped."""
    import cv2

    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(rng.normal(0, 1, (side, side, 3)), (0, 0), 4)
    mix = np.array([[1.0, 0.3, 0.1], [0.8, 0.5, 0.2], [0.9, -0.3, 0.6]])
    return np.clip(255 * (mean + 0.4 * soft @ mix.T), 20, 235).astype(np.uint8)


def sample(image: U8) -> Sample:
    return Sample(image, (), ())


def draft(image: U8) -> Draft:
    return Draft(image, np.zeros(image.shape[:2], np.int32), ())


def measured(image: U8) -> ColourStatistics:
    return statistics_of([sample(image)])


def test_every_colour_comes_back() -> None:
    image = np.random.default_rng(0).integers(40, 256, (64, 64, 3), np.uint8)
    assert np.abs(from_lab(to_lab(image), image.shape).astype(int) - image).max() <= 1


def test_the_axes_are_lightness_blue_yellow_and_red_green() -> None:
    grey = to_lab(np.repeat(np.array([[[60], [120], [240]]], np.uint8), 3, axis=2))
    assert np.ptp(grey[:, 1:], axis=0).max() < 1e-3
    assert (np.diff(grey[:, 0]) > 0).all()
    yellow, blue, red, green = to_lab(np.array([[[200, 200, 60], [60, 60, 200], [200, 60, 60], [60, 200, 60]]], np.uint8))
    assert yellow[1] > blue[1]
    assert red[2] > green[2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.25, 0.45), st.floats(0.25, 0.45))
def test_mean_and_covariance_become_those_asked_for(source: int, target: int, dark: float, light: float) -> None:
    wanted = measured(picture(target + 5000, light))
    found = measured(Harmonize(wanted).apply(draft(picture(source, dark)), rng_for(0, 0)).image)
    assert found.mean == pytest.approx(wanted.mean, abs=0.01)
    assert np.abs(np.subtract(found.within, wanted.within)).max() < 0.06 * np.trace(wanted.within)


def test_its_own_statistics_change_nothing() -> None:
    image = picture(1)
    own = ColourStatistics(measured(image).mean, measured(image).within)
    assert np.abs(Harmonize(own).apply(draft(image), rng_for(0, 0)).image.astype(int) - image).max() <= 3


def test_strength() -> None:
    image, wanted = picture(1, 0.25), measured(picture(2, 0.45))
    ends = [np.array(measured(Harmonize(wanted, s).apply(draft(image), rng_for(0, 0)).image).mean) for s in (0.0, 0.5, 1.0)]
    assert ends[1] == pytest.approx((ends[0] + ends[2]) / 2, abs=0.01)
    assert (Harmonize(wanted, 0.0).apply(draft(image), rng_for(0, 0)).image == image).all()


def test_a_set_varies_as_the_real_set_does() -> None:
    rng = np.random.default_rng(3)
    real = statistics_of(sample(picture(seed, rng.uniform(0.2, 0.45))) for seed in range(60))
    drawn = [measured(Harmonize(real).apply(draft(picture(900)), rng_for(7, i, "h")).image).mean for i in range(120)]
    assert np.mean(drawn, axis=0) == pytest.approx(real.mean, abs=0.04)
    assert np.trace(np.cov(np.array(drawn).T)) == pytest.approx(np.trace(real.between), rel=0.35)


def test_plain_and_extreme_pictures() -> None:
    wanted = measured(picture(4))
    for level in (0, 128, 255):
        out = Harmonize(wanted).apply(flat(level), rng_for(0, 0)).image
        assert np.ptp(out.reshape(-1, 3), axis=0).max() == 0  # one colour stays one colour
    assert Harmonize(wanted).apply(draft(np.zeros((0, 4, 3), np.uint8)), rng_for(0, 0)).image.shape == (0, 4, 3)
    plain = measured(np.full((9, 9, 3), 77, np.uint8))
    assert np.ptp(Harmonize(plain).apply(draft(picture(5)), rng_for(0, 0)).image.reshape(-1, 3), axis=0).max() <= 1


def test_labels_stay_and_draws_repeat() -> None:
    stage = Harmonize(replace(measured(picture(4)), between=np.eye(3) * 0.01))  # type: ignore[arg-type]
    base = dots(spread())
    first, again, other = (stage.apply(base, rng_for(seed, 0)) for seed in (0, 0, 1))
    assert (first.image == again.image).all()
    assert (first.image != other.image).any()
    assert label_digest(finish(first, (DOT,))) == label_digest(finish(base, (DOT,)))


def test_statistics_print_as_config() -> None:
    real = statistics_of([sample(picture(1)), sample(picture(2, 0.5))])
    read = build(yaml.safe_load(str(real)))
    assert isinstance(read, ColourStatistics)
    assert read.mean == pytest.approx(real.mean, rel=1e-5)
    assert np.allclose(read.within, real.within, rtol=1e-4, atol=1e-7)
    assert np.allclose(read.between, real.between, rtol=1e-4, atol=1e-7)
    assert digest_of(Harmonize(read)) == digest_of(Harmonize(build(yaml.safe_load(str(read)))))


def test_photos_can_be_measured() -> None:
    from synth.images import load_photo

    found = statistics_of(sample(load_photo(path)) for path in sorted(PHOTOS.glob("*.jpg"))[:3])
    axes = np.sqrt(np.diag(found.within))
    assert axes[0] > axes[1] > 0  # lightness varies most in photos


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: statistics_of([]), "no samples to measure"),
        (lambda: ColourStatistics((0, 0), np.eye(3)), "mean must have shape"),  # type: ignore[arg-type]
        (lambda: ColourStatistics((0, 0, float("nan")), np.eye(3)), "mean must be finite"),  # type: ignore[arg-type]
        (lambda: ColourStatistics((0, 0, 0), -np.eye(3)), "within must be a covariance"),
        (lambda: Harmonize({"mean": 1}), "statistics must be ColourStatistics"),  # type: ignore[arg-type]
        (lambda: Harmonize(ColourStatistics((0, 0, 0), np.eye(3)), 2.0), "strength must be in"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_value_is_named(make: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()  # type: ignore[operator]
