"""Arrangements: points apart from one another, rows, stacks, places on a top, and poses to fall from. Each is pure in its stream.

What has no room raises SceneError. Footprints and rests are those of synth.compose.placement; tops and polygons are convex, (k, 2) m,
counter-clockwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synth.compose.placement import Area, Rest, distance_m, turned
from synth.errors import SceneError
from synth.geometry import convex_hull, transform
from synth.rand import Stream, UniformRotation
from synth.types import F64, Asset

_FLAT_M = 0.001  # a top or a base is what lies within this of the highest or the lowest point


# --- points and rows --------------------------------------------------------------------------------------------------


def poisson_disk(area: Area, spacing_m: float, rng: Stream, *, least: int = 0, tries: int = 30) -> F64:
    """Points (n, 2) all over `area`, each at least spacing_m from every other and with no room left for one more (nearly: `tries` draws
    around each found none). Bridson, "Fast Poisson disk sampling in arbitrary dimensions", 2007. Raises SceneError if fewer than `least`.
    """
    cell = spacing_m / math.sqrt(2)
    half = np.array([area.width_m, area.depth_m]) / 2
    grid: dict[tuple[int, int], F64] = {}
    first = (rng.uniform(size=2) - 0.5) * (half * (math.sqrt(2) if area.round else 2))
    points, active = [first], [first]
    grid[_cell(first, cell)] = first
    while active:
        chosen = int(rng.integers(len(active)))
        draws = rng.uniform(size=(tries, 2))
        radius, angle = spacing_m * np.sqrt(1 + 3 * draws[:, 0]), 2 * math.pi * draws[:, 1]
        around = active[chosen] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        for point in around[((around / half) ** 2).sum(axis=1) <= 1 if area.round else (np.abs(around) <= half).all(axis=1)]:
            if _far_from(point, grid, cell, spacing_m):
                grid[_cell(point, cell)] = point
                points.append(point)
                active.append(point)
                break
        else:
            active.pop(chosen)
    if len(points) < least:
        raise SceneError(
            f"only {len(points)} of {least} points are {spacing_m:g} m apart on {area.width_m:.2f} x {area.depth_m:.2f} m; "
            "widen the area or lower the spacing"
        )
    return np.array(points)


def _cell(point: F64, cell_m: float) -> tuple[int, int]:
    return math.floor(point[0] / cell_m), math.floor(point[1] / cell_m)


def _far_from(point: F64, grid: dict[tuple[int, int], F64], cell_m: float, spacing_m: float) -> bool:
    column, row = _cell(point, cell_m)
    near = (grid.get((column + i, row + j)) for i in range(-2, 3) for j in range(-2, 3))
    return all(other is None or math.dist(point, other) >= spacing_m for other in near)


def row(widths_m: Sequence[float], length_m: float, rng: Stream, *, gap_m: float = 0.0, spread: float = 1.0) -> F64:
    """Middles (n,) m of things side by side along a line of length_m around 0, in their order, at least gap_m apart.

    spread: the share of the room left over that is dealt out at random before, between and after them; the rest stays at the end.
    Raises SceneError if they are longer than the line.
    """
    free = length_m - sum(widths_m) - gap_m * max(0, len(widths_m) - 1)
    if free < 0:
        raise SceneError(
            f"{len(widths_m)} things of {sum(widths_m):.3f} m in all, {gap_m * 1000:.0f} mm apart, are {-free:.3f} m too long for a row of "
            f"{length_m:.3f} m; take fewer or a longer row"
        )
    shares = rng.exponential(size=len(widths_m) + 1)  # even over all ways to deal it out
    before = np.cumsum(shares[:-1]) / shares.sum() * free * spread
    starts = np.concatenate([[0.0], np.cumsum(np.asarray(widths_m, dtype=np.float64)[:-1] + gap_m)])[: len(widths_m)]
    return np.asarray(starts + before + np.divide(widths_m, 2) - length_m / 2)


# --- on a top ---------------------------------------------------------------------------------------------------------


def top_of(asset: Asset, world_from_object: F64) -> tuple[F64, float]:
    """The flat top of a body: its polygon and its height, m. Raises SceneError if it has none to put a thing on."""
    return _flat(asset, world_from_object, 1.0)


def _flat(asset: Asset, world_from_object: F64, sign: float) -> tuple[F64, float]:
    vertices = transform(world_from_object, asset.vertices_m)
    height = float((sign * vertices[:, 2]).max()) * sign
    polygon = convex_hull(vertices[np.abs(vertices[:, 2] - height) <= _FLAT_M, :2])
    if len(polygon) < 3 or _area(polygon) < 1e-6:
        raise SceneError(f"'{asset.name}' has no flat {'top' if sign > 0 else 'base'} in this pose; choose another one of its rests")
    return polygon, height


def place_on(
    rests: Sequence[Rest],
    names: Sequence[str],
    polygon: F64,
    rng: Stream,
    *,
    z_m: float = 0.0,
    taken: Sequence[F64] = (),
    clearance_m: float = 0.01,
    tries: int = 400,
) -> tuple[F64, ...]:
    """world_from_object (4, 4) of each rest at height z_m, its footprint in `polygon` and clearance_m from every other and from the
    polygons that are taken. Raises SceneError when one finds no place in `tries`."""
    low, size = polygon.min(axis=0), np.ptp(polygon, axis=0)
    others, poses = list(taken), list[F64]()
    for i, rest in enumerate(rests):
        for u, v, w in rng.child(i).uniform(size=(tries, 3)):
            pose = turned(rest, 2 * math.pi * w, low + size * (u, v))
            footprint = _footprint(rest, 2 * math.pi * w, low + size * (u, v))
            if _holds(polygon, footprint) and all(distance_m(footprint, other) >= max(clearance_m, 1e-9) for other in others):
                pose[2, 3] += z_m
                others.append(footprint)
                poses.append(pose)
                break
        else:
            raise SceneError(
                f"no free place for '{names[i]}' (the {i + 1}. of {len(rests)}) in {tries} tries "
                f"on a top of {size[0]:.2f} x {size[1]:.2f} m, {clearance_m * 1000:.0f} mm from {len(others)} others; "
                "place fewer or lower the clearance"
            )
    return tuple(poses)


def _footprint(rest: Rest, yaw_rad: float, xy_m: F64) -> F64:
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.asarray(rest.footprint_m @ np.array([[c, s], [-s, c]]) + xy_m)


def stack(
    things: Sequence[tuple[Asset, Rest]], rng: Stream, *, shift_m: float = 0.02, turn_rad: float = 0.3, tries: int = 200
) -> tuple[F64, ...]:
    """world_from_object (4, 4) of things one on top of the other, the first on z = 0 at the origin.

    Each is shifted by up to shift_m on both axes and turned by up to turn_rad against the one below, so that nothing tips: the centre of
    mass of all above lies over what touches (the density is taken as even over hulls). Raises SceneError where a top or a base is not
    flat, or no such pose is found in `tries`.
    """
    for attempt in range(tries):
        draws = rng.child(attempt).uniform(-1, 1, size=(len(things), 3)) * (shift_m, shift_m, turn_rad)
        draws[:1, :2] = 0
        middles, yaws = np.cumsum(draws[:, :2], axis=0), np.cumsum(draws[:, 2])
        poses, height = [], 0.0
        for (_, rest), xy, yaw in zip(things, middles, yaws, strict=True):
            poses.append(turned(rest, float(yaw), xy))
            poses[-1][2, 3] += height
            height += rest.height_m
        if _stands([asset for asset, _ in things], poses, middles):
            return tuple(poses)
    raise SceneError(
        f"no stable stack of {', '.join(asset.name for asset, _ in things)} in {tries} tries; "
        f"lower shift_m ({shift_m:g}), put larger ones below"
    )


def _stands(assets: Sequence[Asset], poses: Sequence[F64], middles: F64) -> bool:
    from scipy.spatial import ConvexHull

    masses = np.array([ConvexHull(asset.vertices_m).volume for asset in assets])
    for i in range(1, len(assets)):
        contact = _common(top_of(assets[i - 1], poses[i - 1])[0], _flat(assets[i], poses[i], -1.0)[0])
        above = masses[i:] @ middles[i:] / masses[i:].sum()
        if contact is None or not _holds(contact, above[None], 0.1 * math.sqrt(_area(contact))):
            return False
    return True


# --- convex polygons --------------------------------------------------------------------------------------------------


def _area(polygon: F64) -> float:
    x, y = polygon.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _holds(polygon: F64, points: F64, margin_m: float = 0.0) -> bool:
    """Whether all points (n, 2) lie in polygon, margin_m from its rim."""
    edge = np.roll(polygon, -1, axis=0) - polygon
    left = edge[:, :1] * (points[None, :, 1] - polygon[:, 1:]) - edge[:, 1:] * (points[None, :, 0] - polygon[:, :1])
    return bool((left >= margin_m * np.linalg.norm(edge, axis=1)[:, None]).all())


def _common(a: F64, b: F64) -> F64 | None:
    """What two polygons share (Sutherland and Hodgman 1974); None if that is next to nothing."""
    found = list(a)
    for start, end in zip(b, np.roll(b, -1, axis=0), strict=True):
        edge = end - start
        side = [float(edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0])) for p in found]
        kept = []
        for i, point in enumerate(found):
            if (side[i - 1] < 0) != (side[i] < 0):
                kept.append(found[i - 1] + (point - found[i - 1]) * (side[i - 1] / (side[i - 1] - side[i])))
            if side[i] >= 0:
                kept.append(point)
        found = kept
        if not found:
            return None
    common = convex_hull(np.array(found))
    return common if len(common) >= 3 and _area(common) > 1e-6 else None


# --- above a place ----------------------------------------------------------------------------------------------------


def above(
    assets: Sequence[Asset], width_m: float, depth_m: float, rng: Stream, *, gap_m: float = 0.006, z_m: float = 0.0
) -> tuple[F64, ...]:
    """world_from_object (4, 4) of assets to be dropped within width_m by depth_m around the origin, above z_m: at random places, all
    rotations alike that fit, each with its box as low as those before it let it be, gap_m apart. Raises SceneError if one is too large."""
    boxes: list[tuple[F64, F64]] = []
    poses = []
    for i, asset in enumerate(assets):
        own = rng.child(i)
        pose = np.eye(4)
        pose[:3, :3] = _turned_to_fit(asset, width_m - 2 * gap_m, depth_m - 2 * gap_m, own)
        turned_m = asset.vertices_m @ pose[:3, :3].T
        low, high = turned_m.min(axis=0), turned_m.max(axis=0)
        size = high - low
        room = np.array([width_m, depth_m]) - 2 * gap_m - size[:2]
        corner = np.array([*((own.child("place").uniform(size=2) - 0.5) * room - size[:2] / 2), z_m + gap_m])
        for other_low, other_high in boxes:
            if (corner[:2] < other_high[:2] + gap_m).all() and (other_low[:2] - gap_m < corner[:2] + size[:2]).all():
                corner[2] = max(corner[2], other_high[2] + gap_m)
        pose[:3, 3] = corner - low
        boxes.append((corner, corner + size))
        poses.append(pose)
    return tuple(poses)


def _turned_to_fit(asset: Asset, width_m: float, depth_m: float, rng: Stream) -> F64:
    for attempt in range(50):
        rotation = UniformRotation().draw(rng.child("turn", attempt))
        if (np.ptp(asset.vertices_m @ rotation.T, axis=0)[:2] <= (width_m, depth_m)).all():
            return rotation
    raise SceneError(f"'{asset.name}' is too large for {width_m:.2f} x {depth_m:.2f} m: its size is {asset.box_object_m[1].round(3)} m")
