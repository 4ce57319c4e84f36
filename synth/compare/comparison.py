"""Two sets of samples, side by side: A is what is judged (synthetic), B what it should be like (real).

Every figure stands beside the same figure of B against itself: halves of B, no group divided, so that what small numbers of pictures differ
by anyway is not taken for a gap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.compare.domains import Mmd, mmd, proxy_distance
from synth.compare.statistics import LABELS, PICTURES, STATISTICS, FeatureExtractor, Values, labels_of, picture_of, plain_features
from synth.errors import ConfigError
from synth.types import F64, Sample

Halves = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # places in B
_SPLITS = 5
_CHUNK = 64  # pictures that are held at once
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one statistic. ks: the largest difference of the two cumulative distributions (Kolmogorov-Smirnov, 0..1); ks_within: the same
    between halves of B, mean over splits. quartiles: 25, 50 and 75 % of A and of B."""

    name: str
    ks: float
    ks_within: float
    quartiles_a: tuple[float, float, float]
    quartiles_b: tuple[float, float, float]

    @property
    def excess(self) -> float:
        """How much more A differs from B than B from itself."""
        return max(0.0, self.ks - self.ks_within)

    @property
    def advice(self) -> str:
        """What to change in A, in words."""
        statistic, more = STATISTICS[self.name], np.sum(self.quartiles_a) > np.sum(self.quartiles_b)
        if np.allclose(self.quartiles_a, self.quartiles_b, rtol=0.02, atol=1e-6):
            return "the middle half agrees; the tails differ"
        wide_a, wide_b = (q[2] - q[0] for q in (self.quartiles_a, self.quartiles_b))
        (low_a, middle_a, high_a), (low_b, middle_b, high_b) = self.quartiles_a, self.quartiles_b
        if low_b <= middle_a <= high_b and low_a <= middle_b <= high_a and not 0.67 <= (wide_a + 1e-9) / (wide_b + 1e-9) <= 1.5:
            return "A varies more than B: narrow its distributions" if wide_a > wide_b else "A varies less than B: widen its distributions"
        return statistic.more if more else statistic.less

    def __str__(self) -> str:
        a, b = (f"{q[1]:.3g} ({q[0]:.3g} to {q[2]:.3g})" for q in (self.quartiles_a, self.quartiles_b))
        return f"{self.name:20}{a:28}{b:28}{self.ks:6.2f}{self.ks_within:9.2f}   {self.advice if self.excess > 0.1 else ''}".rstrip()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found. distances, distances_within: proxy A-distance of A against halves of B, and of the halves against one another,
    one a split. likeness: of each sample of A and of B how much it looks like B's to the classifier (held out, log-odds)."""

    count_a: int
    count_b: int
    differences: tuple[Difference, ...]
    shares_a: Mapping[str, float]
    shares_b: Mapping[str, float]
    distances: tuple[float, ...]
    distances_within: tuple[float, ...]
    mmd: Mmd
    mmd_within: Mmd
    likeness_a: F64
    likeness_b: F64
    values: Mapping[str, tuple[F64, F64]]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"A: {self.count_a} samples, B: {self.count_b} samples",
            "",
            f"{'':20}{'A: median (quartiles)':28}{'B: median (quartiles)':28}{'KS':>6}{'B vs B':>9}   what to change in A",
            *map(str, self.differences),
        ]
        if self.shares_a or self.shares_b:
            lines += ["", "share of objects     A       B"]
            names = sorted({*self.shares_a, *self.shares_b}, key=lambda name: -self.shares_b.get(name, 0))
            lines += [f"  {name:17}{self.shares_a.get(name, 0):6.1%}  {self.shares_b.get(name, 0):6.1%}" for name in names]
        lines += [
            "",
            f"proxy A-distance   {_range(self.distances)}   (B against itself {_range(self.distances_within)}; 0: alike, 2: told apart)",
            f"MMD squared        {self.mmd.squared:.4f}, p = {self.mmd.p_value:.3f}   "
            f"(B against itself {self.mmd_within.squared:.4f}, p = {self.mmd_within.p_value:.3f})",
        ]
        if worst := [d for d in self.differences if d.excess > 0.1][:3]:
            lines += ["", "What differs most:"]
            lines += [
                f"  {i}. {d.name}: {d.quartiles_a[1]:.3g} in A, {d.quartiles_b[1]:.3g} in B; {d.advice}" for i, d in enumerate(worst, 1)
            ]
        else:
            lines += ["", "No statistic differs more than 0.1 (KS) beyond what B differs from itself."]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_json(self) -> str:
        """All figures, without the values of each sample."""
        return json.dumps(
            {
                "count": {"a": self.count_a, "b": self.count_b},
                "differences": [
                    {
                        "name": d.name,
                        "ks": d.ks,
                        "ks_within_b": d.ks_within,
                        "quartiles_a": d.quartiles_a,
                        "quartiles_b": d.quartiles_b,
                        "advice": d.advice,
                    }
                    for d in self.differences
                ],
                "category_shares": {"a": dict(self.shares_a), "b": dict(self.shares_b)},
                "proxy_a_distance": {"a_b": self.distances, "within_b": self.distances_within},
                "mmd_squared": {
                    "a_b": [self.mmd.squared, self.mmd.p_value],
                    "within_b": [self.mmd_within.squared, self.mmd_within.p_value],
                },
                "notes": self.notes,
            },
            indent=1,
        )


def _range(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


@dataclass(slots=True)
class _Side:
    """What was measured of one set: values[name][i] of sample i."""

    values: dict[str, list[Values]] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    features: list[F64] = field(default_factory=list)

    def shares(self) -> dict[str, float]:
        names, counts = np.unique(self.categories, return_counts=True)
        return {str(name): float(count / counts.sum()) for name, count in zip(names, counts, strict=True)}

    def of(self, name: str, places: npt.NDArray[np.int64] | None = None) -> F64:
        """All values of a statistic, of the samples at `places`."""
        each = self.values[name]
        chosen = each if places is None else [each[i] for i in places]
        return np.array([v for values in chosen for v in values], np.float64)


def compare(
    a: Sequence[Sample],
    b: Sequence[Sample],
    *,
    extract: FeatureExtractor = plain_features,
    seed: int = 0,
    tell: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """A beside B: labels, pictures, and how well a classifier and a kernel tell them apart. `extract` may be any function from pictures to
    vectors, such as a network's. Raises ConfigError if a side has fewer than 8 samples."""
    for name, side in (("A", a), ("B", b)):
        if len(side) < _FEWEST:
            raise ConfigError(f"{name} has {len(side)} samples; a comparison needs at least {_FEWEST} on each side")
    measured_a = _measure(a, extract, tell)
    measured_b = _measure(b, extract, lambda done: tell(len(a) + done))
    notes = []
    groups_b = np.array(measured_b.groups)
    if len(set(groups_b)) < 4:
        notes.append(
            f"B has {len(set(groups_b))} groups, too few to keep whole: its halves divide them, so they are more alike than they should be"
        )
        groups_b = np.arange(len(b)).astype(str)
    rng = np.random.default_rng(seed)
    halves = [_halves(groups_b, rng) for _ in range(_SPLITS)]
    differences = sorted(_differences(measured_a, measured_b, halves, notes), key=lambda d: -d.excess)
    told = _told_apart(measured_a, measured_b, groups_b, halves, seed)
    return Comparison(
        count_a=len(a),
        count_b=len(b),
        differences=tuple(differences),
        shares_a=measured_a.shares(),
        shares_b=measured_b.shares(),
        values={d.name: (measured_a.of(d.name), measured_b.of(d.name)) for d in differences},
        notes=tuple(notes),
        **told,
    )


def _told_apart(a: _Side, b: _Side, groups_b: npt.NDArray[Any], halves: Sequence[Halves], seed: int) -> dict[str, Any]:
    """What classifier and kernel say: A against a half of B, and that half against the other, with as many samples on each side of both
    questions, since an error depends on it."""
    features_a, features_b = np.vstack(a.features), np.vstack(b.features)
    rng = np.random.default_rng(seed)
    distances, within = [], []
    likeness_a, likeness_b = (np.full((len(halves), len(each)), np.nan) for each in (features_a, features_b))
    chosen = []
    for split, (first, second) in enumerate(halves):
        n = min(len(features_a), len(first), len(second))
        mine, theirs, others = (np.sort(rng.permutation(places)[:n]) for places in (np.arange(len(features_a)), first, second))
        chosen.append((mine, theirs, others))
        groups = [*(f"a/{a.groups[i]}" for i in mine), *(f"b/{groups_b[i]}" for i in theirs)]
        found = proxy_distance(features_a[mine], features_b[theirs], groups, seed + split)
        distances.append(found.distance)
        likeness_a[split, mine], likeness_b[split, theirs] = found.scores[:n], found.scores[n:]
        groups = [groups_b[i] for i in (*theirs, *others)]
        within.append(proxy_distance(features_b[theirs], features_b[others], groups, seed + split).distance)
    mine, theirs, others = chosen[0]
    return {
        "distances": tuple(distances),
        "distances_within": tuple(within),
        "mmd": mmd(features_a[mine], features_b[theirs], seed),
        "mmd_within": mmd(features_b[theirs], features_b[others], seed),
        "likeness_a": _mean(likeness_a),
        "likeness_b": _mean(likeness_b),
    }


def _mean(scores: F64) -> F64:
    """Over the splits in which a sample was asked; 0 where it never was."""
    asked = ~np.isnan(scores)
    return np.asarray(np.nansum(scores, axis=0) / np.maximum(asked.sum(axis=0), 1))


def _measure(samples: Sequence[Sample], extract: FeatureExtractor, tell: Callable[[int], None]) -> _Side:
    side = _Side({statistic.name: [] for statistic in (*LABELS, *PICTURES)})
    for start, chunk in _chunks(samples):
        for sample in chunk:
            for name, values in (labels_of(sample) | picture_of(sample.image)).items():
                side.values[name].append(values)
            side.categories += [instance.category for instance in sample.instances]
            side.groups.append(sample.info.group or sample.key or str(len(side.groups)))
        features = np.asarray(extract([sample.image for sample in chunk]), np.float64)
        if features.ndim != 2 or len(features) != len(chunk) or not np.isfinite(features).all():
            raise ConfigError(f"the feature extractor must give finite ({len(chunk)}, d), got {features.shape}")
        side.features.append(features)
        tell(start + len(chunk))
    return side


def _chunks(samples: Sequence[Sample]) -> Iterator[tuple[int, list[Sample]]]:
    for start in range(0, len(samples), _CHUNK):
        yield start, list(samples[start : start + _CHUNK])


def _halves(groups: npt.NDArray[Any], rng: np.random.Generator) -> Halves:
    """Places of two halves as equal as whole groups allow."""
    names, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    side, filled = np.zeros(len(names), np.int64), [0, 0]
    for group in sorted(rng.permutation(len(names)), key=lambda g: -counts[g]):
        side[group] = int(filled[1] < filled[0])
        filled[side[group]] += counts[group]
    return np.flatnonzero(side[numbers] == 0), np.flatnonzero(side[numbers] == 1)


def _differences(a: _Side, b: _Side, halves: Sequence[Halves], notes: list[str]) -> Iterator[Difference]:
    for statistic in (*LABELS, *PICTURES):
        mine, theirs = a.of(statistic.name), b.of(statistic.name)
        if not len(mine) or not len(theirs):
            if len(mine) or len(theirs):
                notes.append(f"'{statistic.name}' is not compared: {'B' if len(mine) else 'A'} does not say it")
            continue
        within = [_ks(b.of(statistic.name, first), b.of(statistic.name, second)) for first, second in halves]
        quartiles = [tuple(np.percentile(values, [25, 50, 75]).tolist()) for values in (mine, theirs)]
        yield Difference(statistic.name, _ks(mine, theirs), float(np.mean(within)), quartiles[0], quartiles[1])


def _ks(a: F64, b: F64) -> float:
    if not len(a) or not len(b):
        return 0.0
    both = np.sort(np.concatenate([a, b]))
    shares = [np.searchsorted(np.sort(side), both, side="right") / len(side) for side in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())
