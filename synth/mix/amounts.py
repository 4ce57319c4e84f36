"""From weights, counts and repeats to whole numbers of samples in an epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from synth.errors import ConfigError
from synth.mix.quotas import Kind, Knot, capped, ideal, nearest
from synth.mix.wanted import Mix, Part, exact

_FINE = 10**6  # places of an epoch that is only there to see the shares


def knots_of(mix: Mix, samples: Sequence[int]) -> tuple[int, Kind, list[Knot]]:
    """The length of an epoch and the places of each part in it, at each moment that the schedule names. samples: how many each part has.

    Raises ConfigError where they cannot be: more places than max_repeats lets be filled, a part without a place.
    """
    if mix.schedule is None:
        fixed = [_fixed(part, n) for part, n in zip(mix.parts.values(), samples, strict=True)]
        weights = [[Fraction(0) if f is not None else exact(part.weight or 0) for part, f in zip(mix.parts.values(), fixed, strict=True)]]
        at = [Fraction(0)]
        kind: Kind = "steps"
    else:
        fixed = [None] * len(samples)
        weights = [_weights(mix, i) for i in range(len(mix.schedule.points))]
        at = [exact(point["at"]) for point in mix.schedule.points]
        kind = mix.schedule.kind
    caps = [_cap(part, n) for part, n in zip(mix.parts.values(), samples, strict=True)]
    for name, count, cap in zip(mix.parts, fixed, caps, strict=True):
        if count is not None and cap is not None and count > cap:
            raise ConfigError(f"mix.parts.{name}: {count} places in an epoch, but max_repeats lets it have {cap}")
    absolute = sum(count or 0 for count in fixed)
    length = mix.epoch if mix.epoch is not None else _natural(mix, kind, at, weights, samples, absolute)
    if not any(map(any, weights)) and length != absolute:
        raise ConfigError(
            f"mix.epoch is {length}, counts and repeats add up to {absolute}; leave epoch out, or give a part a weight instead"
        )
    if length < absolute:
        raise ConfigError(f"mix.epoch is {length}, counts and repeats alone take {absolute}")
    shared = [_shared(each, caps, length - absolute) for each in weights]
    fits = min(math.floor(sum(shares)) for shares in shared) + absolute
    if fits < length:
        if mix.epoch is not None:
            raise ConfigError(f"mix.epoch: {length} places, but max_repeats lets only {fits} be filled; a shorter epoch or more repeats")
        length = fits
        shared = [_shared(each, caps, length - absolute) for each in weights]
    knots = []
    for moment, shares in zip(at, shared, strict=True):
        whole = [Fraction(count) if count is not None else share for count, share in zip(fixed, shares, strict=True)]
        knots.append(Knot(moment, nearest(whole, length)))
    for i, name in enumerate(mix.parts):
        if not any(knot.counts[i] for knot in knots):
            raise ConfigError(
                f"mix.parts.{name}: its share of an epoch of {length} is less than one place; a longer epoch or a larger weight"
            )
    return length, kind, knots


def _fixed(part: Part, samples: int) -> int | None:
    """Its places in an epoch, None where they follow from a weight."""
    if part.weight is not None:
        return None
    return part.count if part.count is not None else round(exact(1 if part.repeat is None else part.repeat) * samples)


def _cap(part: Part, samples: int) -> int | None:
    return None if part.max_repeats is None else math.floor(exact(part.max_repeats) * samples)


def _weights(mix: Mix, i: int) -> list[Fraction]:
    assert mix.schedule is not None
    found = []
    for name, part in mix.parts.items():
        weight = mix.schedule.points[i].get(name, part.weight)
        if weight is None:
            raise ConfigError(f"mix.schedule.points[{i}] gives '{name}' no weight, and mix.parts.{name} has none")
        found.append(exact(weight))
    if not any(found):
        raise ConfigError(f"mix.schedule.points[{i}]: every weight is 0")
    return found


def _shared(weights: Sequence[Fraction], caps: Sequence[int | None], places: int) -> list[Fraction]:
    return capped(weights, caps, places) if any(weights) else [Fraction(0)] * len(weights)


def _natural(
    mix: Mix, kind: Kind, at: Sequence[Fraction], weights: Sequence[Sequence[Fraction]], samples: Sequence[int], absolute: int
) -> int:
    """The length at which each sample of the parts with a weight stands in an epoch at least once, on average over the training; in whole
    batches."""
    if not any(map(any, weights)):
        return absolute
    knots = [Knot(moment, nearest(each, _FINE)) for moment, each in zip(at, weights, strict=True)]
    if len(knots) == 1:
        shares = [weight / sum(weights[0]) for weight in weights[0]]
    else:
        shares = [value / _FINE for value in ideal(knots, "linear" if kind == "cosine" else kind, _FINE, _FINE, _FINE)]
    needed = max(math.ceil(n / share) for n, share in zip(samples, shares, strict=True) if share)
    return -(-(absolute + needed) // mix.batch_size) * mix.batch_size
