"""Textures are pure in their stream, of the size asked for, seamless, and their lengths are metres."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from synth.compose import textures
from synth.errors import ConfigError
from synth.rand import rng_for

MAKERS = ("noise", "wood", "fabric", "marble", "speckle", "gravel", "soil", "brushed_metal", "cardboard", "label")


@pytest.mark.parametrize("name", MAKERS)
def test_equal_streams_give_equal_pictures_and_other_ones_other_pictures(name: str) -> None:
    make = getattr(textures, name)
    stream, twin = rng_for(1, 2), rng_for(1, 2)
    first = make((160, 96), stream)
    assert (first.shape, first.dtype) == ((96, 160, 3), np.uint8)
    assert np.array_equal(first, make((160, 96), twin))
    assert np.array_equal(first, make((160, 96), stream)), "the stream itself is not moved"
    other = make((160, 96), rng_for(1, 3))
    assert (first != other).mean() > 0.1
    assert first.std() > 2


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "label"])
@pytest.mark.parametrize("size", [(256, 256), (300, 200)], ids=str)
def test_no_seam_shows(name: str, size: tuple[int, int]) -> None:
    picture = getattr(textures, name)(size, rng_for(0, 0)).astype(float)
    for axis in (0, 1):
        # between neighbouring lines, the first and the last among them; ends of rings in wood are sharp lines
        steps = np.abs(picture - np.roll(picture, 1, axis)).mean(axis=(1 - axis, 2))
        assert steps[0] <= np.quantile(steps[1:], 0.99) * 1.2 + 0.5


def test_seams_would_be_seen() -> None:
    """The measure of the test above finds the seam of a texture that has one."""
    picture = textures.wood(256, rng_for(0, 0), tile_m=1.0)[:, :150].astype(float)
    steps = np.abs(picture - np.roll(picture, 1, 1)).mean(axis=(0, 2))
    assert steps[0] > np.quantile(steps[1:], 0.99) * 1.2 + 0.5


def spectrum(picture: Any, axis: int) -> Any:
    """Power along an axis by cycles in the picture."""
    grey = picture.astype(float).mean(axis=2)
    return (np.abs(np.fft.rfft(grey - grey.mean(), axis=axis)) ** 2).mean(axis=1 - axis)


def test_lengths_are_metres() -> None:
    threads = textures.fabric(512, rng_for(0, 0), tile_m=0.1, thread_m=0.001)  # 100 threads: over and under 50 times
    assert np.argmax(spectrum(threads, 1)[40:]) + 40 in (50, 100)
    flutes = textures.cardboard(512, rng_for(0, 0), tile_m=0.35, flute_m=0.007)
    assert spectrum(flutes, 1)[50] > 5 * np.median(spectrum(flutes, 1)[40:60])
    number, away = textures.cells((400, 200), rng_for(0, 0), tile_m=0.4, cell_m=0.02)
    assert number.max() + 1 == 20 * 10
    assert np.bincount(number.ravel()).mean() == 400
    assert 0.3 < away.max() < 1.2
    for feature in (0.05, 0.1):
        field = textures.fractal(512, rng_for(0, 0), tile_m=1.0, feature_m=feature, octaves=1)
        power = (np.abs(np.fft.rfft2(field)) ** 2).sum(axis=0)
        assert power[: round(0.6 / feature)].sum() > 0.9 * power.sum(), "its largest lumps are no smaller than feature_m"
        assert power[: round(0.1 / feature)].sum() < 0.5 * power.sum(), "nor much larger"


def test_noise_has_unit_deviation_and_wraps() -> None:
    field = textures.fractal((320, 200), rng_for(0, 5), tile_m=0.5, feature_m=(0.2, 0.05))
    assert (field.mean(), field.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert np.abs(field[:, 0] - field[:, -1]).max() < 2 * np.abs(np.diff(field, axis=1)).max()
    assert field.dtype == np.float32


def test_cells_wrap() -> None:
    number, _ = textures.cells(200, rng_for(0, 0), tile_m=0.2, cell_m=0.02)
    assert (number[:, 0] == number[:, -1]).mean() > 0.7
    assert (number[0] == number[-1]).mean() > 0.7


def test_speckles_take_their_shares() -> None:
    colors = ((0, 0, 0), (1, 0, 0), (0, 0, 1))
    picture = textures.speckle(512, rng_for(0, 0), tile_m=0.5, grain_m=0.006, colors=colors, shares=(0.6, 0.3, 0.1))
    found = [float((picture[..., 0] > 128).mean()), float((picture[..., 2] > 128).mean())]
    assert found == pytest.approx([0.3, 0.1], abs=0.03)


def test_wet_soil_is_darker() -> None:
    means = [textures.soil(128, rng_for(0, 0), moisture=moisture).mean() for moisture in (0.0, 0.5, 1.0)]
    assert means == sorted(means, reverse=True)
    assert means[2] < 0.75 * means[0]


def test_a_normal_map_is_that_of_its_relief() -> None:
    x, y = np.meshgrid((np.arange(256) + 0.5) / 256, (np.arange(128) + 0.5) / 256)
    height = 0.01 * np.sin(2 * np.pi * x) + 0.02 * np.sin(2 * np.pi * 2 * y)  # metres over a tile of 1 m by 0.5 m; y runs down
    found = textures.normal_map(height, 1.0).astype(float) / 127.5 - 1
    slope = np.stack([-0.02 * np.pi * np.cos(2 * np.pi * x), 0.08 * np.pi * np.cos(4 * np.pi * y), np.ones_like(x)], 2)
    assert np.abs(found - slope / np.linalg.norm(slope, axis=2, keepdims=True)).max() < 0.015


def test_a_ramp_runs_from_the_first_colour_to_the_last() -> None:
    picture = textures.ramp(np.array([[0.0, 0.5, 1.0, 7.0]]), ((0, 0, 0), (1, 0, 0), (1, 1, 1)))
    assert np.abs(picture[0].astype(int) - [(0, 0, 0), (255, 0, 0), (255, 255, 255), (255, 255, 255)]).max() <= 1


def test_planks_have_joints() -> None:
    picture = textures.wood(512, rng_for(0, 0), tile_m=1.0, plank_m=0.125).mean(axis=(1, 2))
    dark = np.flatnonzero(picture < np.median(picture) * 0.75)
    assert set(np.round(dark / 64).astype(int) % 8) == set(range(8))
    assert len(dark) <= 4 * 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: textures.noise(0, r), r"textures: size_px must be in \[1, 8192\]"),
        (lambda r: textures.noise(8, r, tile_m=0), "tile_m above 0"),
        (lambda r: textures.noise(8, r, feature_m=0), "textures: feature_m must be above 0"),
        (lambda r: textures.speckle(8, r, shares=(1.0,)), "speckle: needs one share >= 0 a color"),
        (lambda r: textures.soil(8, r, moisture=2), r"soil: moisture must be in \[0, 1\], got 2"),
        (lambda r: textures.wood(8, r, ring_m=0), "wood: ring_m must be above 0"),
        (lambda r: textures.cells(8, r, tile_m=1, cell_m=math.nan), "cells: cell_m must be above 0"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(rng_for(0, 0))
