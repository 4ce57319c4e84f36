"""Convex parts of a body, for physics: hulls that together fill it and little else.

What the surface shuts in is solid (found on a grid, so a scan may have pin-holes). A part is cut by a plane while its hull holds a void:
a place outside the body and farther than a tolerance from it. Parts whose common hull holds none are made one again. So what touches a
part floats by little more than the tolerance over the surface that is seen.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from synth.errors import AssetError
from synth.geometry import clip_near
from synth.types import F64, Asset, Bool, Index

_TOLERANCE_M = 0.0015
_CELLS = 96  # of the grid along the longest side, at most
_BEYOND = 1.3  # by how much the tolerance is stretched for parts that are joined: fewer parts, and none is cut again
_MOST_PARTS = 96
_TRIED = 1500  # of the voids, by which cuts are compared
_CORNER_M = 0.0003  # how far a part may stand out of the hull of the corners that are kept
_MOST_CORNERS = 256

_parts: WeakKeyDictionary[Asset, tuple[F64, ...]] = WeakKeyDictionary()


def convex_parts(asset: Asset) -> tuple[F64, ...]:
    """Corners (k, 3), m, object frame, of each part of `asset`. Raises AssetError if it has no volume.

    Computed once for each shape, which takes some seconds where it is far from convex, and kept in the user's cache folder.
    """
    if asset not in _parts:
        triangles = np.concatenate([mesh.vertices_m[mesh.faces] for mesh in asset.meshes]).astype(np.float64)
        file = _cache_file(triangles)
        parts = _read(file)
        if parts is None:
            parts = _decompose(triangles)
            if not parts:
                size = asset.box_object_m[1]
                raise AssetError(f"asset '{asset.name}' is flat or a line, it has no volume that could fall: its size is {size} m")
            _keep(file, parts)
        _parts[asset] = parts
    return _parts[asset]


def _cache_file(triangles: F64) -> Path:
    rules = (1, _TOLERANCE_M, _CELLS, _BEYOND, _MOST_PARTS, _TRIED, _CORNER_M, _MOST_CORNERS)
    digest = hashlib.sha256(repr(rules).encode() + np.ascontiguousarray(triangles).tobytes()).hexdigest()[:32]
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "synth" / "convex" / f"{digest}.npz"


def _read(file: Path) -> tuple[F64, ...] | None:
    """What is not whole is as if it were not there."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            parts = tuple(np.asarray(arrays[f"part_{i:03}"], np.float64) for i in range(len(arrays.files)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return parts if parts and all(part.ndim == 2 and part.shape[1] == 3 for part in parts) else None


def _keep(file: Path, parts: tuple[F64, ...]) -> None:
    """Whole or not at all. A folder that cannot be written costs only the time of computing them again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as new:
            np.savez(new, **{f"part_{i:03}": part for i, part in enumerate(parts)})  # type: ignore[arg-type]
        os.replace(new.name, file)
    except OSError:
        return


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """points (n, 3): of the surface, about a cell apart; voids (m, 3): points outside, with their depth_m (m,) from it."""

    cell_m: float
    points: F64
    voids: F64
    depth_m: F64


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A part of a body within boxes (b, 2, 3), low and high corners. points (n, 3): its own, of the surface; planes (k, 4): of their
    hull; voids (m,): which are in the hull."""

    boxes: F64
    points: F64
    planes: F64
    voids: Index


def _decompose(triangles: F64) -> tuple[F64, ...]:
    """Corners of each part; none where triangles (t, 3, 3) have no volume."""
    planes = _planes(_extremes(triangles.reshape(-1, 3)))
    if planes is None:
        return ()
    body = _body(triangles, max(float(np.ptp(triangles.reshape(-1, 3), axis=0).max()) / _CELLS, _TOLERANCE_M / 2))
    space = np.array([[[-np.inf] * 3, [np.inf] * 3]])
    parts, done = [_Part(space, body.points, planes, np.flatnonzero(_within(planes, body.voids)))], list[_Part]()
    while parts and len(parts) + len(done) < _MOST_PARTS:
        part = parts.pop(max(range(len(parts)), key=lambda i: len(parts[i].voids)))
        halves = _cut(part, body) if len(part.voids) else None
        if halves is None:
            done.append(part)
        else:
            parts += halves
    exact = [np.concatenate([_clipped(triangles, box) for box in part.boxes]) for part in _joined(done + parts, body)]
    return tuple(hull for points in exact if (hull := _corners(points)) is not None)


# --- what is outside --------------------------------------------------------------------------------------------------


def _body(triangles: F64, cell_m: float) -> _Body:
    """The body on a grid: what the surface's cells keep from the grid's corner is inside."""
    from scipy import ndimage

    low, high = triangles.min((0, 1)) - 2 * cell_m, triangles.max((0, 1)) + 2 * cell_m
    surface = np.zeros(np.ceil((high - low) / cell_m).astype(int) + 1, dtype=bool)
    points = np.zeros((*surface.shape, 3))
    for some in _on_surface(triangles, cell_m / 2):
        cells = tuple(np.floor((some - low) / cell_m).astype(int).T)
        surface[cells] = True
        points[cells] = some
    regions, _ = ndimage.label(~surface)
    outside = regions == regions[0, 0, 0]
    depth = ndimage.distance_transform_edt(outside) * cell_m - cell_m / 2
    every = max(1, round(_TOLERANCE_M / cell_m))
    found = np.argwhere((depth > _TOLERANCE_M)[::every, ::every, ::every]) * every
    return _Body(cell_m, points[surface], low + (found + 0.5) * cell_m, depth[tuple(found.T)])


def _on_surface(triangles: F64, step_m: float) -> Iterator[F64]:
    """Points (n, 3) of triangles, about step_m apart."""
    edges = np.linalg.norm(np.roll(triangles, -1, axis=1) - triangles, axis=2).max(axis=1)
    counts = 2 ** np.ceil(np.log2(np.maximum(1, edges / step_m))).astype(int)
    for count in np.unique(counts):
        i, j = np.divmod(np.arange((count + 1) ** 2), count + 1)
        weights = np.stack([i, j, count - i - j], 1)[i + j <= count] / count
        chosen = triangles[counts == count]
        for start in range(0, len(chosen), max(1, 2**20 // len(weights))):
            yield np.einsum("wc,tcx->twx", weights, chosen[start : start + max(1, 2**20 // len(weights))]).reshape(-1, 3)


# --- cutting and joining ----------------------------------------------------------------------------------------------


def _cut(part: _Part, body: _Body) -> list[_Part] | None:
    """The halves that hold the least void, cut across an axis; of equal cuts the one nearest to the middle. None if it is too thin."""
    voids = part.voids[:: 1 + len(part.voids) // _TRIED]
    xyz = body.voids[voids]
    low, high = part.points.min(0), part.points.max(0)
    best: tuple[float, int, float] | None = None
    for axis in range(3):
        places = {float(xyz[:, axis].min()), float(xyz[:, axis].max()), *np.linspace(low[axis], high[axis], 9)[1:-1].tolist()}
        for place in sorted(places):
            if min(place - low[axis], high[axis] - place) < 2 * body.cell_m:
                continue
            halves = _halves(part, voids, body, axis, place)
            off_middle = abs(2 * place - low[axis] - high[axis]) / float((high - low).max())
            cost = sum(len(half.voids) for half in halves) + 0.05 * len(voids) * off_middle
            if len(halves) == 2 and (best is None or cost < best[0]):
                best = cost, axis, place
    return None if best is None else _halves(part, part.voids, body, best[1], best[2])


def _halves(part: _Part, voids: Index, body: _Body, axis: int, place: float) -> list[_Part]:
    """What is below and above a plane across an axis, with which of voids it holds; none that has no volume."""
    found = []
    for above in (False, True):
        box = part.boxes.copy()
        box[:, 0 if above else 1, axis] = place
        # The points are a cell apart, and both halves reach the plane.
        mine = part.points[part.points[:, axis] > place - body.cell_m if above else part.points[:, axis] < place + body.cell_m]
        planes = _planes(_extremes(mine)) if len(mine) else None
        if planes is not None:
            found.append(_Part(box, mine, planes, voids[_within(planes, body.voids[voids])]))
    return found


def _joined(parts: Sequence[_Part], body: _Body) -> list[_Part]:
    """Neighbours made one where their common hull holds no deep void, those of the smallest hull first."""
    deep = body.voids[body.depth_m > _BEYOND * _TOLERANCE_M]
    known = {i: replace(part, points=_extremes(part.points)) for i, part in enumerate(parts)}
    numbers = itertools.count(len(parts))
    fits: dict[tuple[int, int], tuple[float, _Part]] = {}
    new = list(itertools.combinations(known, 2))
    while True:
        for pair in new:
            both = _both(known[pair[0]], known[pair[1]], deep)
            if both is not None:
                fits[pair] = float(np.prod(np.ptp(both.points, axis=0))), both
        if not fits:
            return list(known.values())
        chosen = min(fits, key=lambda pair: fits[pair][0])
        number, part = next(numbers), fits[chosen][1]
        known = {i: other for i, other in known.items() if i not in chosen}
        fits = {pair: fit for pair, fit in fits.items() if not {*pair} & {*chosen}}
        new = [(i, number) for i in known]
        known[number] = part


def _both(a: _Part, b: _Part, deep: F64) -> _Part | None:
    if np.maximum(a.points.min(0) - b.points.max(0), b.points.min(0) - a.points.max(0)).max() > 0:
        return None
    points = _extremes(np.concatenate([a.points, b.points]))
    planes = _planes(points)
    if planes is None or _within(planes, deep[:: 1 + len(deep) // _TRIED]).any() or _within(planes, deep).any():
        return None
    return _Part(np.concatenate([a.boxes, b.boxes]), points, planes, a.voids[:0])


# --- hulls ------------------------------------------------------------------------------------------------------------


@cache
def _directions() -> F64:
    """(134, 3) unit: the axes, then spread evenly (Fibonacci's spiral)."""
    i = np.arange(128) + 0.5
    z, angle = 1 - 2 * i / 128, i * math.pi * (1 + math.sqrt(5))
    across = np.sqrt(1 - z * z)
    return np.concatenate([np.eye(3), -np.eye(3), np.stack([across * np.cos(angle), across * np.sin(angle), z], 1)])


def _extremes(points: F64) -> F64:
    """Those farthest in some direction."""
    return np.asarray(points[np.unique((_directions() @ points.T).argmax(axis=1))])


def _planes(points: F64) -> F64 | None:
    """Of the hull: outward normal and offset (k, 4). None if it is flat."""
    from scipy.spatial import ConvexHull, QhullError

    if len(points) < 4 or np.linalg.svd(points - points.mean(0), compute_uv=False)[-1] < 1e-5:
        return None
    try:
        return np.asarray(ConvexHull(points).equations)
    except QhullError:
        return None


def _within(planes: F64, points: F64) -> Bool:
    inside = np.zeros(len(points), dtype=bool)
    left = np.arange(len(points))
    for some in np.array_split(planes, math.ceil(len(planes) / 16)):  # most are found outside by the first few
        left = left[(some[:, :3] @ points[left].T + some[:, 3:]).max(axis=0) < 0] if len(left) else left
    inside[left] = True
    return inside


def _clipped(triangles: F64, box: F64) -> F64:
    """Corners (n, 3) of what of triangles (t, 3, 3) is in a box (2, 3)."""
    for axis in range(3):
        turned = np.roll(triangles, 2 - axis, axis=2)  # the axis is z now
        for sign, place in ((1, box[0, axis]), (-1, -box[1, axis])):
            turned = clip_near(turned * [1, 1, sign], place)[0] * [1, 1, sign] if np.isfinite(place) else turned
        triangles = np.roll(turned, axis - 2, axis=2)
    return triangles.reshape(-1, 3)


def _corners(points: F64) -> F64 | None:
    """Corners of a hull that holds points (n, 3) to _CORNER_M: the farthest out is added until none is farther. None if it is flat."""
    kept = _extremes(points) if len(points) else points
    while (planes := _planes(kept)) is not None:
        out = (points @ planes[:, :3].T + planes[:, 3]).max(axis=1)
        if out.max() <= _CORNER_M or len(kept) >= _MOST_CORNERS:
            return kept
        kept = np.concatenate([kept, points[[out.argmax()]]])
    return None
