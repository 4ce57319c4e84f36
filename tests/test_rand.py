"""Streams are functions of their key; distributions draw what they say and print as their recipe."""

from __future__ import annotations

import hashlib
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synth.config.build import parse_distribution
from synth.errors import ConfigError
from synth.rand import (
    DISTRIBUTIONS,
    Choice,
    Clip,
    Disk,
    Distribution,
    Halton,
    Integers,
    LogUniform,
    Normal,
    Product,
    Sobol,
    SphereShell,
    Stream,
    Sum,
    TruncatedNormal,
    Uniform,
    UniformRotation,
    Vector,
    check_range,
    draw,
    rng_for,
    support,
)

EVERY: list[Distribution[Any]] = [
    Uniform(-1, 2.5),
    LogUniform(0.1, 10),
    Normal(3, 0.5),
    TruncatedNormal(0, 1, -0.5, 2),
    Integers(2, 5),
    Choice(["a", "b", Uniform(0, 1)], [1, 2, 0.5]),
    Sum([1.0, Uniform(0, 1)]),
    Product([Uniform(1, 2), Uniform(-1, 1)]),
    Clip(Normal(0, 1), -0.1, 0.1),
    Vector([Uniform(0, 1), 2.0]),
    UniformRotation(),
    SphereShell(0.5, 2, 0.1, 1.0),
    Disk(3, 1),
    Sobol([Uniform(0, 1), Integers(0, 9)]),
    Halton(Uniform(0, 1)),
]


def many(distribution: Distribution[Any], n: int = 4000, seed: int = 5) -> Any:
    return np.array([draw(distribution, rng_for(seed, i), "x") for i in range(n)])


def test_every_distribution_is_tested() -> None:
    assert {type(d).__name__ for d in EVERY} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("distribution", EVERY, ids=repr)
def test_twins_draw_equal_and_leave_equal_states(distribution: Distribution[Any]) -> None:
    one, two = rng_for(3, 8, "scene"), rng_for(3, 8, "scene")
    assert np.array_equal(draw(distribution, one, "x"), draw(distribution, two, "x"))
    assert one.bit_generator.state == two.bit_generator.state


@pytest.mark.parametrize("distribution", EVERY, ids=repr)
def test_prints_as_its_recipe(distribution: Distribution[Any]) -> None:
    again = parse_distribution(repr(distribution))
    assert again == distribution
    assert repr(again) == repr(distribution)
    assert pickle.loads(pickle.dumps(distribution)) == distribution


@pytest.mark.parametrize("distribution", [d for d in EVERY if support(d)], ids=repr)
def test_draws_stay_in_the_support(distribution: Distribution[Any]) -> None:
    found = support(distribution)
    assert found is not None
    drawn = np.concatenate([np.ravel(v) for v in many(distribution, 500)])
    assert found[0] <= drawn.min()
    assert drawn.max() <= found[1]


# A stream's numbers are a promise to every stored dataset: if this fails, samples made before cannot be made again.
def test_golden_stream() -> None:
    assert rng_for(0, 0, "scene").integers(2**32) == 2754474723
    assert rng_for(7, 41, "scene").child("lights", 2).integers(2**32) == 3648890977


@pytest.mark.parametrize(("seed", "index"), [(0, 0), (7, 41), (2**32 - 1, 2**32 - 1), (2**32, 3), (5, 2**40), (2**70, 0)])
def test_a_stream_is_seeded_by_numpys_own_sequence_of_its_key(seed: int, index: int) -> None:
    words = np.frombuffer(hashlib.sha256(b"scene\0light").digest()[:16], dtype="<u4").tolist()
    expected = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index, *words)))
    assert rng_for(seed, index, "scene", "light").bit_generator.state == expected.state


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.text(max_size=8), st.text(max_size=8))
def test_child_depends_on_the_key_only(seed: int, index: int, a: str, b: str) -> None:
    used = Stream(seed, index, (a,))
    used.normal(size=3)
    assert used.child(b).integers(2**60) == Stream(seed, index, (a, b)).integers(2**60)


def test_keys_differ() -> None:
    keys = [(0, 0, ("a",)), (1, 0, ("a",)), (0, 1, ("a",)), (0, 0, ("b",)), (0, 0, ("a", "b")), (0, 0, ("ab",)), (0, 0, ())]
    assert len({int(Stream(*key).integers(2**62)) for key in keys}) == len(keys)


def test_seed_zero_is_a_seed_and_negative_ones_are_none() -> None:
    assert rng_for(0, 0, "x").integers(2**60) == rng_for(0, 0, "x").integers(2**60)
    with pytest.raises(ConfigError, match="from 0, got seed=-1"):
        rng_for(-1, 0)


def test_a_new_parameter_moves_no_other() -> None:
    rng = rng_for(1, 2, "light")
    before = draw(Uniform(0, 1), rng, "irradiance")
    draw(Uniform(0, 1), rng, "a_new_parameter")
    assert draw(Uniform(0, 1), rng, "irradiance") == before


@pytest.mark.parametrize(
    ("distribution", "reference"),
    [
        (Uniform(-1, 2), stats.uniform(-1, 3)),
        (LogUniform(0.1, 10), stats.loguniform(0.1, 10)),
        (Normal(1, 2), stats.norm(1, 2)),
        (TruncatedNormal(0, 1, -0.5, 2), stats.truncnorm(-0.5, 2)),
        (Sum([Uniform(0, 1), Uniform(0, 1)]), stats.triang(0.5, 0, 2)),
        (Product([2.0, Uniform(0, 1)]), stats.uniform(0, 2)),
        (Sobol(Uniform(0, 1)), stats.uniform(0, 1)),
    ],
    ids=lambda v: repr(v) if isinstance(v, Distribution) else "",
)
def test_shape(distribution: Distribution[float], reference: Any) -> None:
    assert stats.kstest(many(distribution), reference.cdf).pvalue > 1e-3


def test_integers_and_choice_meet_their_weights() -> None:
    assert stats.chisquare(np.bincount(many(Integers(0, 4)), minlength=5)).pvalue > 1e-3
    drawn = many(Choice(["a", "b", "c"], [1, 2, 5]), 8000)
    counts = [int((drawn == name).sum()) for name in "abc"]
    assert stats.chisquare(counts, [1000, 2000, 5000]).pvalue > 1e-3


def test_places_are_even() -> None:
    shell = many(SphereShell(1, 2))
    radius = np.linalg.norm(shell, axis=1)
    assert stats.kstest(radius**3, stats.uniform(1, 7).cdf).pvalue > 1e-3
    assert stats.kstest(shell[:, 2] / radius, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    cap = many(SphereShell(1, 1, math.radians(30), math.radians(60)))
    assert np.allclose(np.linalg.norm(cap, axis=1), 1)
    assert cap[:, 2].min() >= 0.5 - 1e-12
    assert cap[:, 2].max() <= math.sqrt(0.75) + 1e-12
    disk = many(Disk(2, 1))
    assert stats.kstest((disk**2).sum(axis=1), stats.uniform(1, 3).cdf).pvalue > 1e-3


def test_rotations_are_rotations_and_uniform() -> None:
    rotations = many(UniformRotation(), 3000)
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(rotations), 1)
    for row in range(3):  # a uniform rotation moves each axis to a uniform point of the sphere
        assert stats.kstest(rotations[:, row, 0], stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_sobol_goes_on_and_differs_by_parameter_and_seed() -> None:
    """2,048 points, more than are made at once, meet each of 2,048 bins once; equal parameters of other names or seeds are independent."""
    even = Sobol(Uniform(0, 1))

    def points(seed: int, name: str) -> list[float]:
        return [draw(even, rng_for(seed, index, "scene"), name) for index in range(2048)]

    one = points(3, "height_m")
    assert np.array_equal(np.sort(np.floor(np.multiply(one, 2048))), np.arange(2048))
    for other in (points(3, "width_m"), points(4, "height_m")):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


@pytest.mark.parametrize("kind", [Sobol, Halton])
def test_parameters_that_are_even_each_meet_in_all_combinations(kind: type[Sobol]) -> None:
    even = kind(Uniform(0, 4))
    pairs = np.array([[draw(even, rng_for(1, i, "scene"), name) for name in ("azimuth_rad", "elevation_rad")] for i in range(512)])
    cells = np.bincount(pairs.astype(int) @ [4, 1], minlength=16)
    assert cells.min() > 16, "32 on average"


@pytest.mark.parametrize("kind", [Sobol, Halton])
def test_even_coverage(kind: type[Sobol]) -> None:
    pairs = many(kind([Uniform(0, 1), Uniform(0, 1)]), 256)
    cells = np.bincount((pairs[:, 0] * 8).astype(int) * 8 + (pairs[:, 1] * 8).astype(int), minlength=64)
    independent = many(Vector([Uniform(0, 1), Uniform(0, 1)]), 256)
    loose = np.bincount((independent[:, 0] * 8).astype(int) * 8 + (independent[:, 1] * 8).astype(int), minlength=64)
    assert cells.std() < 0.5 * loose.std()
    # Blocks of the sequence join without a seam, and any index can be asked for alone.
    rng = rng_for(5, 1024)
    assert 0 <= draw(kind(Uniform(0, 1)), rng, "x") <= 1
    assert draw(kind(Uniform(0, 1)), rng_for(5, 1024), "x") != draw(kind(Uniform(0, 1)), rng_for(6, 1024), "x")


def test_sobol_balances_exactly_over_a_power_of_two() -> None:
    drawn = many(Sobol(Uniform(0, 1)), 64)
    assert np.array_equal(np.sort((drawn * 64).astype(int)), np.arange(64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(2, 1), r"Uniform: needs finite low <= high, got 2 and 1"),
        (lambda: Uniform(0, math.nan), r"finite low <= high"),
        (lambda: LogUniform(0, 1), r"low > 0, got 0 and 1"),
        (lambda: Normal(0, -1), r"std >= 0"),
        (lambda: TruncatedNormal(0, 0, 0, 1), r"std > 0"),
        (lambda: Integers(3, 2), r"whole numbers low <= high"),
        (lambda: Integers(0, 1.5), r"whole numbers"),  # type: ignore[arg-type]
        (lambda: Choice([]), r"at least one option"),
        (lambda: Choice(["a"], [1, 2]), r"one weight >= 0 an option"),
        (lambda: Choice(["a", "b"], [0, 0]), r"not all 0"),
        (lambda: SphereShell(2, 1), r"0 <= inner <= outer"),
        (lambda: SphereShell(1, 2, -4), r"-pi/2"),
        (lambda: Disk(1, 2), r"0 <= inner <= radius"),
        (lambda: Sobol([Normal(0, 1)]), r"a part must be Uniform"),
    ],
)
def test_wrong_parameters_are_named(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.1, r"shelf.height_m must be in \[0, 2\], got -0.1"),
        (Uniform(1, 3), r"got Uniform\(1, 3\)"),
        ("tall", "must be a number or a distribution, got 'tall'"),
        (math.nan, "must be finite"),
        (True, "must be a number"),
        (Normal(1, 0.1), r"must be in \[0, 2\]"),
    ],
)
def test_check_range(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_range("shelf.height_m", value, 0, 2)
    check_range("shelf.height_m", Clip(Normal(1, 0.1), 0, 2), 0, 2)


@pytest.mark.parametrize("value", [1.5, Uniform(1, 3), Choice([1, Uniform(1, 2)]), Sum([1, Integers(1, 2)])])
def test_counts_are_whole(value: Any) -> None:
    with pytest.raises(ConfigError, match="objects must be whole: a whole number or Integers"):
        check_range("objects", value, 0, 9, whole=True)
    for fine in (3, 3.0, Integers(1, 2), Choice([1, Integers(3, 4)]), Sobol(Integers(0, 5))):
        check_range("objects", fine, 0, 9, whole=True)
