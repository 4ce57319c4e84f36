"""Pictures take on the colours of a real set: mean and covariance, in a colour space whose axes hardly depend on each other.

The space is l alpha beta of Ruderman, Cronin and Chiao (1998), made for statistics of natural pictures: logarithms of the responses of the
eye's three cones, turned so that one axis is lightness, one blue against yellow, one red against green. Reinhard, Ashikhmin, Gooch and
Shirley (2001) match mean and deviation of each axis there; what is left of covariance between axes is matched too, by the linear map
that moves colours least (Pitie and Kokaram 2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synth.errors import ConfigError
from synth.rand import Random, Stream, check_range, draw
from synth.types import F64, U8, Draft, Sample, frozen_array
from synth.warp import to_linear, to_srgb

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])  # from linear RGB, Reinhard 2001
_LAB = np.diag(1 / np.sqrt([3.0, 6.0, 2.0])) @ np.array([[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]])
_DARKEST = 1e-3  # of white: what is darker is as dark, or the logarithm of a few dark pixels would be all of a variance
_STRETCH = 4.0  # no axis is stretched more: a plain picture stays plain
_PIXELS = 20_000  # of one picture are measured


def to_lab(image: U8) -> F64:
    """(n, 3) l alpha beta of the pixels of an sRGB picture."""
    lms = to_linear(image).reshape(-1, 3).astype(np.float64) @ _LMS.T
    return np.asarray(np.log10(np.maximum(lms, _DARKEST)) @ _LAB.T)


def from_lab(lab: F64, shape: tuple[int, ...]) -> U8:
    """The picture of colours (n, 3), clipped."""
    lms = 10.0 ** (lab @ np.linalg.inv(_LAB).T)
    return to_srgb((lms @ np.linalg.inv(_LMS).T).astype(np.float32)).reshape(shape)


@dataclass(frozen=True)
class ColourStatistics:
    """Colours of a set of pictures, in l alpha beta. mean: of the pictures' means. within: covariance of the pixels in a picture, the
    mean over pictures. between: covariance of the pictures' means. `str` is YAML that a config can hold."""

    mean: Triple
    within: Matrix
    between: Matrix = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))

    def __post_init__(self) -> None:
        mean = frozen_array(self.mean, np.float64, (3,), "ColourStatistics: mean")
        if not np.isfinite(mean).all():
            raise ConfigError(f"ColourStatistics: mean must be finite, got {list(self.mean)}")
        object.__setattr__(self, "mean", tuple(mean.tolist()))
        for name in ("within", "between"):
            matrix = frozen_array(getattr(self, name), np.float64, (3, 3), f"ColourStatistics: {name}")
            if not (np.isfinite(matrix).all() and np.allclose(matrix, matrix.T, atol=1e-9) and np.linalg.eigvalsh(matrix)[0] > -1e-9):
                raise ConfigError(f"ColourStatistics: {name} must be a covariance, got {matrix.tolist()}")
            object.__setattr__(self, name, tuple(tuple(row) for row in matrix.tolist()))

    def __str__(self) -> str:
        def row(values: Sequence[float]) -> str:
            return f"[{', '.join(f'{v:.6g}' for v in values)}]"

        lines = [f"_target_: {type(self).__module__}.{type(self).__qualname__}", f"mean: {row(self.mean)}"]
        for name in ("within", "between"):
            lines += [f"{name}:", *(f"  - {row(values)}" for values in getattr(self, name))]
        return "\n".join(lines)


def statistics_of(samples: Iterable[Sample]) -> ColourStatistics:
    """Colours of the pictures of samples, as `Store.open(place).read(ref, maps=())` gives them. Raises ConfigError if there are none."""
    means, covariances = [], []
    for sample in samples:
        step = max(1, int(np.sqrt(sample.image.shape[0] * sample.image.shape[1] / _PIXELS)))
        mean, covariance = _moments(to_lab(sample.image[step // 2 :: step, step // 2 :: step]))
        means.append(mean)
        covariances.append(covariance)
    if not means:
        raise ConfigError("statistics_of: there are no samples to measure")
    between = np.cov(np.array(means).T) if len(means) > 1 else np.zeros((3, 3))
    return ColourStatistics(np.mean(means, axis=0), np.mean(covariances, axis=0), between)  # type: ignore[arg-type]


def _moments(lab: F64) -> tuple[F64, F64]:
    centred = lab - lab.mean(axis=0)
    return lab.mean(axis=0), centred.T @ centred / len(lab)


@dataclass(frozen=True)
class Harmonize:
    """The picture's colours are moved so that their mean and covariance in l alpha beta are those of a real set (`statistics_of`).

    x' = m + A (x - mean of the picture), A the symmetric matrix that makes the covariance `within`. m is drawn for each picture from
    N(mean, between), so that pictures differ as much as those of the real set do. strength: 0 leaves the picture, 1 is all the way.
    No label changes.
    """

    statistics: ColourStatistics
    strength: Random[float] = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.statistics, ColourStatistics):
            raise ConfigError(f"Harmonize: statistics must be ColourStatistics (print statistics_of(samples)), got {self.statistics!r}")
        check_range("Harmonize: strength", self.strength, 0, 1)

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        strength = float(draw(self.strength, rng, "strength"))
        if not strength or not draft.image.size:
            return draft
        target = self.statistics
        mean = np.asarray(target.mean) + _root(np.asarray(target.between)) @ rng.child("mean").standard_normal(3)
        lab = to_lab(draft.image)
        own_mean, own = _moments(lab)
        matrix = np.eye(3) + strength * (_map(own, np.asarray(target.within)) - np.eye(3))
        moved = (lab - own_mean) @ matrix.T + own_mean + strength * (mean - own_mean)
        return replace(draft, image=from_lab(moved, draft.image.shape))


def _map(own: F64, wanted: F64) -> F64:
    """The symmetric (3, 3) A with A own A = wanted, but no axis stretched more than _STRETCH times."""
    root = _root(own + 1e-9 * np.eye(3))
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ _root(root @ wanted @ root) @ inverse)
    return np.asarray(vectors * np.clip(values, 0, _STRETCH) @ vectors.T)


def _root(covariance: Any) -> F64:
    """The symmetric square root of a covariance (3, 3)."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)
