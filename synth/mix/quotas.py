"""How many of each part, and which part a place belongs to: arithmetic on whole numbers, nothing drawn.

A `Split` shares n places among parts in given whole numbers, as evenly as can be: halves of halves. Each fork gives its left side the whole
number next to its share of what has come so far, so the part of any place, and how many of that part came before, are found in as many
steps as the tree is deep. Of two parts, no run of places from the begin is more than half a place off its share; of four, less than a
whole one; and where the share of a batch is a whole number for each part, every batch has exactly that.

A schedule is cut into segments of whole batches in each of which the numbers are fixed; at their ends no part is off its share by one.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Literal

Kind = Literal["linear", "cosine", "steps"]
_SEGMENTS = 256  # of a schedule, at most about so many
_BENDS = 32  # straight pieces that stand for one bow of a cosine


def nearest(shares: Sequence[Fraction], total: int) -> tuple[int, ...]:
    """Whole numbers of sum `total` in proportion to `shares`, each the share rounded down or up (largest remainders first).

    >>> nearest([Fraction(1), Fraction(1), Fraction(1)], 64)
    (22, 21, 21)
    """
    whole = sum(shares)
    ideal = [Fraction(share) * total / whole for share in shares]
    counts = [math.floor(value) for value in ideal]
    order = sorted(range(len(ideal)), key=lambda i: (counts[i] - ideal[i], i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def capped(weights: Sequence[Fraction], caps: Sequence[int | None], total: int) -> list[Fraction]:
    """`total` shared by weight, none above its cap: what one cannot take goes to the others by their weights. The sum is less than `total`
    where all are full."""
    shares = [Fraction(0)] * len(weights)
    free = [i for i, weight in enumerate(weights) if weight > 0]
    left = Fraction(total)
    while free:
        unit = left / sum(weights[i] for i in free)
        full = [i for i in free if (cap := caps[i]) is not None and weights[i] * unit > cap]
        for i in full or free:
            shares[i] = Fraction(caps[i] or 0) if full else weights[i] * unit
        if not full:
            return shares
        left -= sum(shares[i] for i in full)
        free = [i for i in free if i not in full]
    return shares


@dataclass(frozen=True, slots=True)
class Split:
    """Places shared among parts. parts: their numbers in the tree below; size: places of all of them; left_size: of the left side."""

    parts: tuple[int, ...]
    size: int
    left_size: int = 0
    left: Split | None = None
    right: Split | None = None

    @classmethod
    def of(cls, counts: Sequence[int]) -> Split:
        """The tree that gives part i `counts[i]` of `sum(counts)` places. Both sides of a fork are about as large."""
        return _tree(tuple(counts))

    def locate(self, place: int) -> tuple[int, int]:
        """The part of a place, and how many places before it are of that part."""
        if self.left is None or self.right is None:
            return self.parts[0], place
        before = _share(place, self.left_size, self.size)
        if _share(place + 1, self.left_size, self.size) > before:
            return self.left.locate(before)
        return self.right.locate(place - before)

    def before(self, place: int) -> dict[int, int]:
        """How many of the places before `place` are of each part."""
        if self.left is None or self.right is None:
            return {self.parts[0]: place}
        first = _share(place, self.left_size, self.size)
        return self.left.before(first) | self.right.before(place - first)


def _share(place: int, left: int, size: int) -> int:
    return (2 * place * left + size) // (2 * size)  # rounded, halves up


@cache
def _tree(counts: tuple[int, ...]) -> Split:
    def grow(members: list[int]) -> Split:
        size = sum(counts[i] for i in members)
        if len(members) == 1:
            return Split(tuple(members), size)
        sides: tuple[list[int], list[int]] = ([], [])
        sizes = [0, 0]
        half = (len(members) + 1) // 2  # members of a side, so that the tree is no deeper than it must be
        for i in sorted(members, key=lambda i: (-counts[i], i)):
            side = 0 if len(sides[1]) >= half or (len(sides[0]) < half and sizes[0] <= sizes[1]) else 1
            sides[side].append(i)
            sizes[side] += counts[i]
        return Split(tuple(members), size, sizes[0], grow(sides[0]), grow(sides[1]))

    return grow([i for i, count in enumerate(counts) if count] or [0])


@dataclass(frozen=True, slots=True)
class Knot:
    """What a schedule says at one moment. at: share of the training that is over; counts: places of each part in an epoch like this."""

    at: Fraction
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of places with fixed numbers. start: its first place; counts: places of each part in it; before: and before it."""

    start: int
    counts: tuple[int, ...]
    before: tuple[int, ...]


class Quotas:
    """Which part each place of a training belongs to: epochs of `length` places, one after another, without an end."""

    def __init__(self, knots: Sequence[Knot], kind: Kind, length: int, batch: int, epochs: int) -> None:
        """One knot: the same in every epoch. Several: a schedule over `epochs` epochs, after which its last knot goes on."""
        self.length = length
        self._head = _segments(knots, kind, length, batch, epochs) if len(knots) > 1 else []
        self._starts = [segment.start for segment in self._head]
        end = epochs * length if self._head else 0
        before = tuple(map(sum, zip(*(segment.counts for segment in self._head), strict=True))) or (0,) * len(knots[0].counts)
        self._tail = Segment(end, knots[-1].counts, before)

    def segment(self, place: int) -> Segment:
        """The segment that `place` lies in."""
        if place < self._tail.start:
            return self._head[bisect_right(self._starts, place) - 1]
        epoch = (place - self._tail.start) // self.length
        before = tuple(b + epoch * c for b, c in zip(self._tail.before, self._tail.counts, strict=True))
        return Segment(self._tail.start + epoch * self.length, self._tail.counts, before)

    def locate(self, place: int) -> tuple[int, int]:
        """The part of a place of the training, and how many places before it, from the begin of the training, are of that part."""
        segment = self.segment(place)
        part, rank = Split.of(segment.counts).locate(place - segment.start)
        return part, segment.before[part] + rank

    def before(self, place: int) -> tuple[int, ...]:
        """How many of the places before `place` are of each part."""
        segment = self.segment(place)
        found = Split.of(segment.counts).before(place - segment.start)
        return tuple(b + found.get(part, 0) for part, b in enumerate(segment.before))


# --- schedules --------------------------------------------------------------------------------------------------------


def ideal(knots: Sequence[Knot], kind: Kind, length: int, total: int, place: int) -> list[Fraction]:
    """The exact number of places of each part that the schedule wants before `place` of `total`."""
    found = [Fraction(0)] * len(knots[0].counts)
    x = Fraction(place)
    for a, b in zip(knots, (*knots[1:], None), strict=True):
        start, end = a.at * total, Fraction(max(total, place)) if b is None else b.at * total
        run = min(x, end) - start
        if run <= 0:
            break
        part = run / (end - start)
        for i, count in enumerate(a.counts):
            change = Fraction(0) if b is None or kind == "steps" else Fraction(b.counts[i] - count)
            found[i] += run / length * (count + change * (part / 2 if kind == "linear" else 0))
    return found


def straightened(knots: Sequence[Knot], kind: Kind) -> tuple[list[Knot], Kind]:
    """Knots that say the same in straight lines: each bow of a cosine is cut into pieces."""
    if kind != "cosine":
        return list(knots), kind
    made: list[Knot] = []
    for a, b in pairwise(knots):
        for i in range(_BENDS):
            rise = Fraction(round((1 - math.cos(math.pi * i / _BENDS)) / 2 * 10**6), 10**6)
            shares = [c + (d - c) * rise for c, d in zip(a.counts, b.counts, strict=True)]
            made.append(Knot(a.at + (b.at - a.at) * Fraction(i, _BENDS), nearest(shares, sum(a.counts))))
    return [*made, knots[-1]], "linear"


def _segments(knots: Sequence[Knot], kind: Kind, length: int, batch: int, epochs: int) -> list[Segment]:
    knots, kind = straightened(knots, kind)
    total = epochs * length
    ends = _ends(knots, length, batch, epochs)
    wanted = [ideal(knots, kind, length, total, place) for place in ends]
    by_part = list(zip(*wanted, strict=True))
    done = [0] * len(by_part)
    segments = []
    for number, (start, end) in enumerate(pairwise(ends), 1):
        # What must have come by now, and then what must come soonest: so none is ever one too few or one too many.
        now = [max(have, math.floor(value)) for have, value in zip(done, wanted[number], strict=True)]
        may = [i for i, value in enumerate(wanted[number]) if now[i] < math.ceil(value)]
        may.sort(key=lambda i: (bisect_left(by_part[i], now[i] + 1), -wanted[number][i] + now[i], i))
        for i in may[: end - sum(now)]:
            now[i] += 1
        segments.append(Segment(start, tuple(n - have for n, have in zip(now, done, strict=True)), tuple(done)))
        done = now
    return segments


def _ends(knots: Sequence[Knot], length: int, batch: int, epochs: int) -> list[int]:
    """Where segments begin and end: at epochs, at knots, and at batches in between."""
    batches = -(-length // batch)
    step = batch * max(1, batches * epochs // _SEGMENTS)
    at_knots = {round(knot.at * epochs * length) for knot in knots}
    inside = [range(epoch * length, (epoch + 1) * length, step) for epoch in range(epochs)]
    return sorted({place for run in inside for place in run} | at_knots | {0, epochs * length})


def shares_at(knots: Sequence[Knot], kind: Kind, progress: Fraction) -> list[Fraction]:
    """The share of each part at a moment of the training."""
    knots, kind = straightened(knots, kind)
    place = bisect_right([knot.at for knot in knots], progress) - 1
    a, b = knots[place], knots[min(place + 1, len(knots) - 1)]
    part = (progress - a.at) / (b.at - a.at) if kind == "linear" and b.at > a.at else Fraction(0)
    return [(c + (d - c) * part) / sum(a.counts) for c, d in zip(a.counts, b.counts, strict=True)]
