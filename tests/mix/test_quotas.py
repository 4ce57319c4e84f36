"""Numbers of each part: exact in every batch, over any stretch from the begin, and at the ends of a schedule."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.mix.quotas import Knot, Quotas, Split, capped, ideal, nearest, shares_at
from synth.mix.rows import Rows
from synth.mix.shuffle import shuffle

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any)


@given(COUNTS)
def test_each_place_has_one_part_and_ranks_count_up(counts: list[int]) -> None:
    split = Split.of(counts)
    seen: Counter[int] = Counter()
    for place in range(sum(counts)):
        found = {part: number for part, number in split.before(place).items() if number}
        assert found == {part: number for part, number in seen.items() if number}
        part, rank = split.locate(place)
        assert rank == seen[part]
        seen[part] += 1
    assert [seen[i] for i in range(len(counts))] == counts


@given(st.lists(st.integers(1, 400), min_size=2, max_size=4), st.integers(1, 64))
def test_up_to_four_parts_are_never_a_whole_place_off(counts: list[int], batch: int) -> None:
    """At any place, so at the end of any batch; of two parts never more than half a place, so a batch has its share rounded down or up."""
    split, total = Split.of(counts), sum(counts)
    last = dict.fromkeys(range(len(counts)), 0)
    for place in range(0, total + 1, batch):
        now = split.before(place)
        for part, count in enumerate(counts):
            off = abs(now[part] - Fraction(count * place, total))
            assert off < 1
            if len(counts) == 2:
                assert off <= Fraction(1, 2)
                share = Fraction(count * batch, total)
                assert place == 0 or now[part] - last[part] in (math.floor(share), math.ceil(share))
        last = now


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 30))
def test_where_shares_are_whole_every_batch_is_exact(in_a_batch: list[int], batches: int) -> None:
    """Any number of parts, any stretch as long as a batch, wherever it begins."""
    batch = sum(in_a_batch)
    split = Split.of([count * batches for count in in_a_batch])
    for start in {0, batch // 3, batch * (batches - 1)}:
        if start + batch <= batch * batches:
            found = Counter(split.locate(place)[0] for place in range(start, start + batch))
            assert [found[i] for i in range(len(in_a_batch))] == in_a_batch


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any), st.integers(0, 10_000))
def test_nearest_is_the_share_rounded(weights: list[int], total: int) -> None:
    found = nearest([Fraction(weight) for weight in weights], total)
    assert sum(found) == total
    for weight, count in zip(weights, found, strict=True):
        share = Fraction(weight * total, sum(weights))
        assert math.floor(share) <= count <= math.ceil(share)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 200)), min_size=1, max_size=6).filter(lambda x: any(w for w, _ in x)),
    st.integers(0, 500),
)
def test_caps_hold_and_the_others_take_the_rest(parts: list[tuple[int, int | None]], total: int) -> None:
    shares = capped([Fraction(weight) for weight, _ in parts], [cap for _, cap in parts], total)
    free = []
    for share, (weight, cap) in zip(shares, parts, strict=True):
        assert cap is None or share <= cap
        assert weight or not share
        if weight and (cap is None or share < cap):
            free.append(share / weight)
    assert len(set(free)) <= 1  # those below their cap stay in proportion
    assert sum(shares) == total if free else sum(shares) <= total


SCHEDULES = st.integers(2, 6).flatmap(
    lambda parts: st.tuples(
        st.lists(st.lists(st.integers(0, 9), min_size=parts, max_size=parts).filter(any), min_size=2, max_size=4),
        st.sampled_from(["linear", "cosine", "steps"]),
        st.integers(1, 40),  # batches of an epoch
        st.integers(1, 16),  # places of a batch
        st.integers(1, 5),  # epochs
        st.integers(0, 3),  # places of a short last batch
    )
)


@settings(max_examples=60, deadline=None)
@given(SCHEDULES)
def test_a_schedule_is_exact_at_its_ends_and_at_every_segment(case: tuple[list[list[int]], str, int, int, int, int]) -> None:
    weights, kind, batches, batch, epochs, more = case
    length = batches * batch + min(more, batch - 1)
    knots = [Knot(Fraction(i, len(weights) - 1), nearest([Fraction(w) for w in each], length)) for i, each in enumerate(weights)]
    quotas = Quotas(knots, kind, length, batch, epochs)  # type: ignore[arg-type]
    total = length * epochs
    if kind == "cosine":  # its law, straight from the cosine; pieces of straight lines stand for it
        wanted = [sum(np.array([k.counts for k in knots[:-1]]) + np.array([k.counts for k in knots[1:]])) / 2 / (len(knots) - 1) * epochs]
        assert np.abs(np.array(quotas.before(total)) - wanted[0]).max() < 1 + total * 1e-2
    else:
        wanted_exact = ideal(knots, kind, length, total, total)  # type: ignore[arg-type]
        assert all(abs(n - w) < 1 for n, w in zip(quotas.before(total), wanted_exact, strict=True))
        for place in range(0, total + 1, batch if batches * epochs <= 256 else total):
            if place % length % batch == 0:
                exact = ideal(knots, kind, length, total, place)  # type: ignore[arg-type]
                assert all(abs(n - w) < 1 for n, w in zip(quotas.before(place), exact, strict=True))
    seen: Counter[int] = Counter()
    for place in range(min(total, 500)):
        part, rank = quotas.locate(place)
        assert rank == seen[part]
        seen[part] += 1
    # After the end the last entry goes on.
    after = np.subtract(quotas.before(total + length), quotas.before(total))
    assert tuple(after) == knots[-1].counts


@pytest.mark.parametrize("kind", ["linear", "cosine", "steps"])
def test_synthetic_first_begins_and_ends_pure(kind: str) -> None:
    """The integrals are known: each line and each cosine between two values has their mean."""
    knots = [Knot(Fraction(at), counts) for at, counts in ((0, (0, 6400)), (Fraction(1, 5), (0, 6400)), (Fraction(4, 5), (6400, 0)))]
    quotas = Quotas(knots, kind, 6400, 64, 10)  # type: ignore[arg-type]
    for epoch, real in ((0, 0), (1, 0), (8, 6400), (9, 6400)):
        found = np.subtract(quotas.before((epoch + 1) * 6400), quotas.before(epoch * 6400))
        assert tuple(found) == (real, 6400 - real)
    assert quotas.before(64_000)[0] == (12_800 if kind == "steps" else 32_000)
    first = [quotas.before(b * 64)[0] for b in (199, 200, 201)]
    assert first[:2] == [0, 0]
    assert [float(s) for s in shares_at(knots, kind, Fraction(1, 2))] == pytest.approx([0, 1] if kind == "steps" else [0.5, 0.5])  # type: ignore[arg-type]


def test_what_must_come_soon_comes_first() -> None:
    """50 slow parts and 50 fast ones: after 24 batches all want 0.48 of a place more, but the fast ones need it in the next."""
    counts = (2,) * 50 + (52,) * 50
    knots = [Knot(Fraction(0), counts), Knot(Fraction(1), counts)]
    quotas = Quotas(knots, "linear", 2700, 27, 1)
    for batch in range(101):
        wanted = [Fraction(count * batch, 100) for count in counts]
        assert all(abs(n - w) < 1 for n, w in zip(quotas.before(27 * batch), wanted, strict=True))


@given(st.lists(st.integers(1, 200), min_size=5, max_size=8))
def test_up_to_eight_parts_are_less_than_one_and_a_half_off(counts: list[int]) -> None:
    split, total = Split.of(counts), sum(counts)
    for place in range(total):
        now = split.before(place)
        assert all(abs(now[part] - Fraction(count * place, total)) < Fraction(3, 2) for part, count in enumerate(counts))


def test_a_cosine_rises_as_a_cosine() -> None:
    knots = [Knot(Fraction(0), (0, 1000)), Knot(Fraction(1), (1000, 0))]
    for progress in np.linspace(0, 1, 41):
        share = float(shares_at(knots, "cosine", Fraction(float(progress)))[0])
        assert share == pytest.approx((1 - math.cos(math.pi * progress)) / 2, abs=3e-3)


def test_the_same_in_every_epoch() -> None:
    quotas = Quotas([Knot(Fraction(0), (3, 4))], "steps", 7, 4, 1)
    assert [quotas.before(7 * epoch) for epoch in range(4)] == [(3 * e, 4 * e) for e in range(4)]
    assert [quotas.locate(7 + k)[0] for k in range(7)] == [quotas.locate(k)[0] for k in range(7)]
    assert quotas.locate(7 * 10**12)[1] >= 3 * 10**12  # any place at once


# --- order ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.integers(1, 3000), st.integers(0, 2**64))
def test_a_shuffle_has_each_once(n: int, seed: int) -> None:
    order = shuffle(n, seed, "part", 0)
    assert sorted(order[i] for i in range(n)) == list(range(n))


def test_shuffles_are_shuffled() -> None:
    """Places and numbers are independent, and so are orders of other keys: correlations stay within four standard deviations."""
    n = 4000
    orders = [[shuffle(n, *key)[i] for i in range(n)] for key in ((1, "a", 0), (1, "a", 1), (1, "b", 0), (2, "a", 0))]
    for i, a in enumerate(orders):
        for b in [list(range(n)), *orders[:i]]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(n)
        steps = np.abs(np.diff(a)) / n
        assert np.mean(steps) == pytest.approx(1 / 3, abs=0.02)  # of two random numbers in [0, 1]
    small = Counter(tuple(shuffle(3, seed)[i] for i in range(3)) for seed in range(6000))
    assert len(small) == 6
    assert max(abs(count - 1000) for count in small.values()) < 150


def test_the_order_of_a_key_never_changes() -> None:
    """A plan in git names its order for good."""
    assert [shuffle(10, 7, "real", 0, 0)[i] for i in range(10)] == GOLDEN
    with pytest.raises(IndexError, match="there are 10 places, got 10"):
        shuffle(10, 7)[10]


GOLDEN = [2, 1, 9, 3, 7, 4, 6, 8, 5, 0]


@given(st.lists(st.integers(0, 50), unique=True).map(sorted))
def test_rows_are_kept_as_runs(numbers: list[int]) -> None:
    rows = Rows.of(np.array(numbers, np.int64))
    assert [rows[i] for i in range(len(rows))] == numbers
    assert len(Rows.of(np.arange(10**6)).starts) == 1
