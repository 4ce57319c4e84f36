"""Outlines of skin lesions, and what is measured of them.

All is read from the outline, a polygon in metres, not from pixels:

asymmetry: the outline is folded over each of its two principal axes (of its area's second moments, through its centroid); the area that the
two halves do not share, over the outline's area, halved so that it lies in [0, 1), and the mean of both axes. 0: it mirrors itself in both.
The axes and the folding are those of A in the ABCD rule of dermatoscopy (Stolz et al. 1994, Nachbar et al. 1994), where a person scores
each axis 0 or 1; the area is Stoecker et al.'s (1992).
border_irregularity: perimeter^2 / (4 pi area), the compactness of Golston et al. (1992): 1 for a circle, more for all else, long ones too.
diameter_mm: the largest distance between two points of the outline, as D of the clinical ABCD (Friedman et al. 1985: more than 6 mm).
area_mm2: of the outline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth.errors import ConfigError
from synth.rand import Stream
from synth.types import F64

POINTS = 360
_FOLDS = 4096  # directions in which an outline is compared with its mirror image
_WAVES = {"asymmetry": (1, 2, 3, 4), "irregularity": tuple(range(6, 28))}


@dataclass(frozen=True)
class Measures:
    """Of one outline; see above."""

    asymmetry: float
    border_irregularity: float
    diameter_mm: float
    area_mm2: float


def outline(rng: Stream, *, diameter_m: float, elongation: float, asymmetry: float, irregularity: float) -> F64:
    """A closed outline (POINTS, 2) in metres around its centroid, counter-clockwise: an ellipse whose axes have the ratio `elongation` in
    (0, 1], with slow waves of strength `asymmetry` and fast ones of strength `irregularity`. Its diameter is diameter_m. From its
    centroid all of it is in sight: where waves are too strong for that, they are weakened."""
    angles = np.linspace(0, 2 * math.pi, POINTS, endpoint=False)
    waves = {name: _wave(angles, orders, rng.child(name)) for name, orders in _WAVES.items()}
    turn = rng.child("turn").uniform(0, 2 * math.pi)
    across = angles - turn
    ellipse = elongation / np.sqrt((elongation * np.cos(across)) ** 2 + np.sin(across) ** 2)
    strength = 1.0
    while True:
        radius = ellipse * np.exp(strength * (asymmetry * waves["asymmetry"] + irregularity * waves["irregularity"]))
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
        points -= _centroid(points)
        if _in_sight(points):
            return np.asarray(points * (diameter_m / _farthest(points)))
        strength *= 0.8


def _wave(angles: F64, orders: tuple[int, ...], rng: Stream) -> F64:
    """Of unit deviation, on the whole: low orders stronger."""
    k = np.array(orders)
    size, phase = rng.normal(size=len(k)) / np.sqrt(k), rng.uniform(0, 2 * math.pi, len(k))
    size *= math.sqrt(2) / np.linalg.norm(size)
    return np.asarray((size[:, None] * np.cos(k[:, None] * angles + phase[:, None])).sum(axis=0))


def measured(points: F64) -> Measures:
    """The measures of an outline (n, 2) in metres, either way around. Raises ConfigError where some of it is out of sight from its
    centroid, or it crosses itself."""
    points = np.asarray(points, np.float64)
    points = points if _cross(points).sum() > 0 else points[::-1]
    points = points - _centroid(points)
    if not _in_sight(points):
        raise ConfigError("an outline must be in sight of its centroid, all of it, and must not cross itself")
    area = float(_cross(points).sum() / 2)
    around = float(np.linalg.norm(np.roll(points, -1, 0) - points, axis=1).sum())
    _, axes = np.linalg.eigh(_second_moments(points))
    return Measures(
        asymmetry=float(np.mean([_unshared(points, axis) for axis in axes.T]) / (2 * area)),
        border_irregularity=around**2 / (4 * math.pi * area),
        diameter_mm=_farthest(points) * 1000,
        area_mm2=area * 1e6,
    )


def _cross(points: F64) -> F64:
    after = np.roll(points, -1, axis=0)
    return np.asarray(points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1])


def _centroid(points: F64) -> F64:
    weight = _cross(points)
    return np.asarray(((points + np.roll(points, -1, axis=0)) * weight[:, None]).sum(axis=0) / (3 * weight.sum()))


def _second_moments(points: F64) -> F64:
    """(2, 2), about the origin, as the sum over the triangles from it."""
    a, b = points, np.roll(points, -1, axis=0)
    total = np.einsum("n,ni,nj->ij", _cross(points), a, a) + np.einsum("n,ni,nj->ij", _cross(points), b, b)
    both = np.einsum("n,ni,nj->ij", _cross(points), a + b, a + b)
    return np.asarray((total + both) / 24)


def _in_sight(points: F64) -> bool:
    """Whether directions from the origin to the points turn one way only, once around."""
    angle = np.arctan2(points[:, 1], points[:, 0])
    steps = (np.diff(angle, append=angle[:1]) + math.pi) % (2 * math.pi) - math.pi
    return bool(steps.min() > 0 and math.isclose(steps.sum(), 2 * math.pi, rel_tol=1e-9))


def _unshared(points: F64, axis: F64) -> float:
    """Area that the outline and its mirror image across `axis` do not share."""
    away = np.linspace(0, math.pi, _FOLDS // 2, endpoint=False) + math.pi / _FOLDS
    start = math.atan2(axis[1], axis[0])
    one, other = (radii_at(points, start + side * away) for side in (1, -1))
    return float(np.abs(one**2 - other**2).sum() * math.pi / (_FOLDS // 2))


def radii_at(points: F64, angles_rad: F64) -> F64:
    """How far the outline is from the origin in each direction."""
    angle = np.arctan2(points[:, 1], points[:, 0])
    order = np.argsort(angle)
    sorted_angles = angle[order]
    at = (np.searchsorted(sorted_angles, (angles_rad + math.pi) % (2 * math.pi) - math.pi) - 1) % len(points)
    a, b = points[order[at]], points[order[(at + 1) % len(points)]]
    ways = np.stack([np.cos(angles_rad), np.sin(angles_rad)], 1)
    edge = b - a
    return np.asarray((a[:, 0] * edge[:, 1] - a[:, 1] * edge[:, 0]) / (ways[:, 0] * edge[:, 1] - ways[:, 1] * edge[:, 0]))


def _farthest(points: F64) -> float:
    from scipy.spatial import ConvexHull

    hull = points[ConvexHull(points).vertices]
    return float(np.linalg.norm(hull[:, None] - hull[None], axis=-1).max())
