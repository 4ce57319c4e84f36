"""A learning curve: what more real or synthetic samples are expected to bring.

The error of a network falls with its training set as a power law towards a plateau (Hestness et al. 2017; Rosenfeld et al. 2020):

    error(n_real, n_synthetic) = plateau + scale (n_real + worth n_synthetic)^-slope

`worth` is the exchange rate: how many real samples one synthetic sample replaces. One law for the whole ladder, so that few seeds
suffice; what synthetic samples cannot teach at any number is in the plateau, which both share. Cells without any sample are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.errors import ConfigError
from synth.types import F64

_FEWEST_CELLS = 4
_DRAWS = 200
_FAR = 4.0


@dataclass(frozen=True, slots=True)
class Point:
    """One training: how many real and synthetic samples, and its error (lower is better)."""

    real: int
    synthetic: int
    error: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """Of the error at a size of training set: the best guess, and the interval that holds 90 % of the refits. far: it lies more than four
    times beyond the largest set that was trained on, where a fitted law is a guess."""

    error: float
    low: float
    high: float
    far: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted law. parameters: plateau, scale, slope, worth; refits: (k, 4) the same of each resampled ladder. residual: root mean square
    of the error left, in the error's unit. largest: the most real-equivalent samples that were trained on."""

    parameters: tuple[float, float, float, float]
    refits: F64
    residual: float
    largest: float

    def expect(self, real: int, synthetic: int = 0) -> Expectation:
        """The error to expect of training on so many."""
        if real + synthetic < 1 or min(real, synthetic) < 0:
            raise ConfigError(f"a training set needs at least one sample, got {real} real and {synthetic} synthetic")
        values = _law(np.array([real, synthetic], float)[None], self.refits.T[..., None])[:, 0]
        low, high = np.percentile(values, [5, 95])
        size = real + self.parameters[3] * synthetic
        error = float(_law(np.array([[real, synthetic]], float), np.array(self.parameters)[:, None])[0])
        return Expectation(error, min(float(low), error), max(float(high), error), size > _FAR * self.largest)

    def interval(self, name: str) -> tuple[float, float]:
        """5 and 95 % of `plateau`, `scale`, `slope` or `worth` over the refits."""
        low, high = np.percentile(self.refits[:, ("plateau", "scale", "slope", "worth").index(name)], [5, 95])
        return float(low), float(high)

    def __str__(self) -> str:
        plateau, scale, slope, worth = self.parameters
        lines = [f"error = {plateau:.4g} + {scale:.4g} (n_real + {worth:.3g} n_synthetic)^-{slope:.3g}, residual {self.residual:.3g}"]
        for name, value in zip(("plateau", "slope", "worth"), (plateau, slope, worth), strict=True):
            low, high = self.interval(name)
            lines.append(f"  {name:8} {value:.4g}   90 % of the refits: {low:.4g} to {high:.4g}")
        return "\n".join(lines)


def fit(points: Sequence[Point], seed: int = 0) -> Curve:
    """The law through a ladder's points, each cell (real, synthetic) with all its seeds. Uncertainty: refits of ladders whose cells are
    drawn again from their own points, and moved by the law's own residual where a cell has one seed. Raises ConfigError with fewer than
    four cells, or fewer than three sizes."""
    used = [p for p in points if p.real + p.synthetic > 0 and np.isfinite(p.error)]
    cells: dict[tuple[int, int], list[float]] = {}
    for point in used:
        cells.setdefault((point.real, point.synthetic), []).append(point.error)
    if len(cells) < _FEWEST_CELLS or len({real + synthetic for real, synthetic in cells}) < 3:
        raise ConfigError(f"a learning curve needs at least {_FEWEST_CELLS} cells of 3 different sizes, got {sorted(cells)}")
    sizes = np.array(list(cells), float)
    means = np.array([np.mean(errors) for errors in cells.values()])
    mixed = bool((sizes[:, 1] > 0).any())
    best = _fit(sizes, means, mixed, None)
    left = means - _law(sizes, best[:, None])
    rng = np.random.default_rng(seed)
    refits = []
    for _ in range(_DRAWS):
        drawn = np.array([rng.choice(errors, len(errors)).mean() for errors in cells.values()])
        refits.append(_fit(sizes, drawn + rng.choice(left, len(left)), mixed, best))
    return Curve(tuple(best.tolist()), np.array(refits), float(np.sqrt(np.mean(left**2))), float((sizes @ [1, best[3]]).max()))


def _law(sizes: F64, parameters: Any) -> Any:
    plateau, scale, slope, worth = parameters
    return plateau + scale * np.maximum(sizes[:, 0] + worth * sizes[:, 1], 1e-3) ** -slope


def _fit(sizes: F64, errors: F64, mixed: bool, start: F64 | None) -> F64:
    """plateau, scale, slope, worth by least squares; the first two are linear given the others, so only those are searched."""
    from scipy.optimize import least_squares, nnls

    def solved(q: F64) -> tuple[F64, F64]:
        slope, worth = np.exp(q[0]), np.exp(q[1]) if mixed else 0.0
        base = np.maximum(sizes[:, 0] + worth * sizes[:, 1], 1e-3) ** -slope
        design = np.stack([np.ones(len(base)), base], 1)
        linear, _ = nnls(design, errors)
        return np.array([linear[0], linear[1], slope, worth]), design @ linear - errors

    starts = [(np.log(slope), np.log(worth)) for slope in (0.2, 0.5, 1.0) for worth in ((0.02, 0.2, 1.0) if mixed else (1.0,))]
    if start is not None:
        starts = [(np.log(start[2]), np.log(max(start[3], 1e-3)))]
    bounds = ([np.log(0.02), np.log(1e-3)], [np.log(3.0), np.log(10.0)])
    tries = [least_squares(lambda q: solved(q)[1], np.clip(s, *bounds), bounds=bounds, diff_step=1e-3) for s in starts]
    return solved(min(tries, key=lambda found: found.cost).x)[0]
