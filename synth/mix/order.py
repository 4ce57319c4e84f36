"""Which sample stands at which place of a training: a pure function of the plan and a seed, found at once for any place.

Places are counted from the begin of the training: place k of epoch e is e * plan.epoch + k. A part's draws, counted through all epochs, go
through all its samples before any comes again, each time in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from synth.mix.plan import Chosen, Plan
from synth.mix.quotas import Split, capped, nearest
from synth.mix.rows import Rows
from synth.mix.shuffle import shuffle
from synth.mix.wanted import exact
from synth.store import Samples

_FINE = 64  # draws of each stratum, on average, in a cycle of a part whose strata have unequal shares


@dataclass(frozen=True, eq=False)
class Strata:
    """The samples of a part, apart by what is balanced. rows: of each stratum; counts: draws of each stratum in a cycle of draws."""

    rows: tuple[Rows, ...]
    counts: tuple[int, ...]

    def locate(self, rank: int) -> tuple[int, int]:
        """The stratum of a draw, and how many draws before it are of that one."""
        if len(self.rows) == 1:
            return 0, rank
        split = Split.of(self.counts)
        cycle, place = divmod(rank, split.size)
        stratum, before = split.locate(place)
        return stratum, cycle * self.counts[stratum] + before


def strata(samples: Samples, chosen: Chosen, draws: int) -> Strata:
    """The strata of a part. draws: of an epoch. With balance="category" a sample is in the stratum of its rarest category."""
    rows = samples.rows
    if chosen.balance is None:
        return Strata((Rows.of(rows),), (1,))
    table = samples.columns("instance_categories", "classes")
    named = [
        _names(chosen.categories, instances or classes or ())
        for instances, classes in zip(table["instance_categories"].to_pylist(), table["classes"].to_pylist(), strict=True)
    ]
    often = Counter(name for names in named for name in names)
    rarest = [min(names, key=lambda name: (often[name], name)) if names else "" for names in named]
    groups = sorted(set(rarest))
    numbers = {name: i for i, name in enumerate(groups)}
    number = np.array([numbers[name] for name in rarest])
    members = tuple(Rows.of(rows[number == i]) for i in range(len(groups)))
    if chosen.max_repeats is None:
        return Strata(members, (1,) * len(groups))
    caps = [int(exact(chosen.max_repeats) * len(each)) for each in members]
    shares = capped([Fraction(1)] * len(groups), caps, draws)
    return Strata(members, nearest(shares, _FINE * len(groups)))


def _names(mapping: Mapping[str, str | None], names: Sequence[str]) -> set[str]:
    return {new for name in names if (new := mapping.get(name, name)) is not None}


class Order:
    """The order of a training. parts: the strata of each part of the plan."""

    def __init__(self, plan: Plan, parts: Sequence[Strata], seed: int) -> None:
        self._plan, self._parts, self._seed = plan, parts, seed
        self._names = list(plan.parts)
        self._quotas = plan.quotas()

    def __getitem__(self, place: int) -> tuple[int, int]:
        """The part of a place, and the row of its table."""
        if self._plan.quota == "epoch":
            epoch, inside = divmod(place, self._plan.epoch)
            place = epoch * self._plan.epoch + shuffle(self._plan.epoch, self._seed, "epoch", epoch)[inside]
        part, rank = self._quotas.locate(place)
        stratum, rank = self._parts[part].locate(rank)
        rows = self._parts[part].rows[stratum]
        times, inside = divmod(rank, len(rows))
        return part, rows[shuffle(len(rows), self._seed, self._names[part], stratum, times)[inside]]
