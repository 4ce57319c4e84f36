"""How well two sets of features can be told apart: by a classifier, and by a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.types import F64

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class ProxyDistance:
    """Proxy A-distance (Ben-David et al. 2007): 2 (1 - 2 error) of a classifier of the two domains; 0: by chance, 2: always right.

    error: of the held-out samples, cross-validated. scores: (n_a + n_b,) each held-out sample's log-odds of being of the second.
    """

    distance: float
    error: float
    scores: F64


def proxy_distance(a: F64, b: F64, groups: npt.ArrayLike, seed: int = 0) -> ProxyDistance:
    """Of features a (n, d) and b (m, d); samples with equal `groups` (n + m,) are held out together. Logistic regression, L2, five folds,
    both domains with the same weight."""
    features, labels = np.vstack([a, b]), np.repeat([0.0, 1.0], [len(a), len(b)])
    folds = _folds(np.asarray(groups), labels, seed)
    scores = np.zeros(len(features))
    for fold in range(_FOLDS):
        held = folds == fold
        if not held.any() or len(set(labels[~held])) < 2:
            continue
        scores[held] = _fit_and_score(features[~held], labels[~held], features[held])
    wrong = np.where(scores == 0, 0.5, (scores > 0) != (labels == 1))
    error = float(np.mean([wrong[labels == side].mean() for side in (0, 1)]))
    return ProxyDistance(max(0.0, 2 * (1 - 2 * error)), error, scores)


def _folds(groups: npt.NDArray[Any], labels: F64, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each: whole groups, each domain spread evenly over the folds."""
    rng = np.random.default_rng(seed)
    folds = np.zeros(len(groups), np.int64)
    for side in (0, 1):
        places = np.flatnonzero(labels == side)
        names, numbers, counts = np.unique(groups[places], return_inverse=True, return_counts=True)
        filled, fold_of = np.zeros(_FOLDS), np.zeros(len(names), np.int64)
        for group in sorted(rng.permutation(len(names)), key=lambda g: -counts[g]):  # the largest first, each to the emptiest fold
            fold_of[group] = int(filled.argmin())
            filled[fold_of[group]] += counts[group]
        folds[places] = fold_of[numbers]
    return folds


def _fit_and_score(x: F64, y: F64, asked: F64) -> F64:
    from scipy.optimize import minimize

    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread < 1e-9] = 1.0
    x, asked = (x - mean) / spread, (asked - mean) / spread
    sign, weight = 2 * y - 1, np.where(y == 1, 0.5 / max(1, (y == 1).sum()), 0.5 / max(1, (y == 0).sum()))

    def loss(w: F64) -> tuple[float, F64]:
        margin = sign * (x @ w[:-1] + w[-1])
        value = float(weight @ np.logaddexp(0, -margin) + 0.005 * w[:-1] @ w[:-1])
        pull = -weight * sign / (1 + np.exp(np.clip(margin, -500, 500)))
        return value, np.append(x.T @ pull + 0.01 * w[:-1], pull.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return np.asarray(asked @ found[:-1] + found[-1])


@dataclass(frozen=True, slots=True)
class Mmd:
    """squared: maximum mean discrepancy (Gretton et al. 2012), the biased estimate, which is never negative. p_value: share of random
    relabellings with at least as much; small where the sets differ."""

    squared: float
    p_value: float


def mmd(a: F64, b: F64, seed: int = 0, permutations: int = 1000) -> Mmd:
    """Of features a (n, d), b (m, d), each feature scaled to the deviation of both together; Gaussian kernel, its width the median
    distance."""
    from scipy.spatial.distance import cdist

    both = np.vstack([a, b])
    spread = both.std(axis=0)
    both = both / np.where(spread < 1e-9, 1.0, spread)
    squared = cdist(both, both, "sqeuclidean")
    median = float(np.median(squared[np.triu_indices(len(both), 1)]))
    kernel = np.exp(-squared / max(median, 1e-12))
    sides = np.repeat([1.0 / len(a), -1.0 / len(b)], [len(a), len(b)])
    found = float(sides @ kernel @ sides)
    rng = np.random.default_rng(seed)
    shuffled = np.array([rng.permutation(sides) for _ in range(permutations)])
    others = np.einsum("pi,pi->p", shuffled @ kernel, shuffled)
    return Mmd(max(0.0, found), float((1 + (others >= found - 1e-15).sum()) / (1 + permutations)))
