"""Where bodies rest: the poses an asset can rest in, and places on a plane where bodies do not touch.

A body that rests touches the plane z = 0 with its lowest point and stays there: its centre of mass lies above a face of its convex hull
that lies on the plane (the density is taken as even over the hull). Footprints are the convex hulls of what stands above the plane, so
bodies whose footprints are apart are apart at every height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from synth.errors import AssetError, SceneError
from synth.geometry import convex_hull
from synth.rand import Random, Stream, draw
from synth.types import F64, Asset, Index

_MERGED_RAD = math.radians(4)  # poses nearer than this look alike: a scan's base is made of several almost coplanar facets
_MOST_POSES = 48  # a ball rests on every facet


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """A way to rest on z = 0. plane_from_object (4, 4): its centre of mass at x = y = 0; footprint_m (k, 2) counter-clockwise, metres in
    the plane; probability: how often an asset dropped at random ends so (quasi-static, without bouncing)."""

    plane_from_object: F64
    footprint_m: F64
    height_m: float
    probability: float

    @property
    def up_object(self) -> F64:
        """The plane's normal in the object frame, unit (3,)."""
        return self.plane_from_object[2, :3]


# --- resting ----------------------------------------------------------------------------------------------------------

_rests: WeakKeyDictionary[Asset, tuple[Rest, ...]] = WeakKeyDictionary()


def stable_poses(asset: Asset) -> tuple[Rest, ...]:
    """The ways `asset` rests on a plane, likeliest first. Computed once for each asset. Raises AssetError if it has no volume."""
    if asset not in _rests:
        _rests[asset] = _stable_poses(asset)
    return _rests[asset]


def _stable_poses(asset: Asset) -> tuple[Rest, ...]:
    from scipy.spatial import ConvexHull, QhullError

    vertices = asset.vertices_m
    try:
        hull = ConvexHull(vertices)
    except (QhullError, ValueError) as error:
        raise AssetError(
            f"asset '{asset.name}' is flat or a line, it has no face to rest on: its size is {asset.box_object_m[1]} m"
        ) from error
    corners = vertices[hull.simplices]  # (f, 3, 3)
    mass = np.abs(
        np.einsum("ij,ij->i", corners[:, 0] - corners[0, 0], np.cross(corners[:, 1] - corners[0, 0], corners[:, 2] - corners[0, 0]))
    )
    centre = ((corners.sum(1) + corners[0, 0]) / 4 * mass[:, None]).sum(0) / mass.sum()
    # a facet of more than three corners comes as several simplices with one equation
    planes, facet = np.unique(hull.equations, axis=0, return_inverse=True)
    facet = facet.reshape(-1)
    landing = np.bincount(facet, _solid_angles(corners - centre))
    normals = planes[:, :3]  # outward
    probability = np.bincount(_ends(corners, planes, facet, hull.neighbors, centre), landing, len(planes))
    kept: list[int] = []
    shares: list[float] = []
    for face in np.argsort(-probability, kind="stable"):
        if probability[face] <= 0:
            break
        near = np.flatnonzero(normals[kept] @ normals[face] > math.cos(_MERGED_RAD)) if kept else np.array([], int)
        if len(near):
            shares[int(near[0])] += float(probability[face])
        elif len(kept) < _MOST_POSES:
            kept.append(int(face))
            shares.append(float(probability[face]))
    order = np.argsort(np.negative(shares), kind="stable")
    return tuple(_rest(vertices[hull.vertices], normals[kept[i]], centre, shares[i] / sum(shares)) for i in order)


def _ends(corners: F64, planes: F64, facet: Index, neighbors: Index, centre: F64) -> Index:
    """For each facet of the hull, the one on which the body comes to rest when it lands there: it rolls over the edge beyond which its
    centre of mass lies, to a lower facet, until there is no such edge. corners (s, 3, 3), facet (s,), neighbors (s, 3): of simplices."""
    first = np.roll(corners, -1, axis=1)  # edge i runs from corner i + 1 to corner i + 2, opposite to corner i, as qhull counts neighbours
    outward = np.cross(np.roll(corners, -2, axis=1) - first, planes[facet, None, :3])
    # qhull does not orient its simplices: the opposite corner tells which side is in
    outward *= -np.sign(np.einsum("sij,sij->si", corners - first, outward))[..., None]
    outward /= np.maximum(np.linalg.norm(outward, axis=2, keepdims=True), 1e-300)
    beyond = np.einsum("sij,sij->si", centre - first, outward)
    beyond[facet[neighbors] == facet[:, None]] = -np.inf  # inside a facet
    size = float(np.linalg.norm(np.ptp(corners.reshape(-1, 3), axis=0)))
    height = -(planes[:, :3] @ centre + planes[:, 3])
    end = np.arange(len(planes))
    worst = np.argsort(-beyond, axis=None, kind="stable")
    rolls: dict[int, int] = {}
    for simplex, edge in zip(*np.unravel_index(worst, beyond.shape), strict=True):
        if beyond[simplex, edge] <= 1e-9 * size:
            break
        lower = int(facet[neighbors[simplex, edge]])
        if height[lower] < height[facet[simplex]]:
            rolls.setdefault(int(facet[simplex]), lower)
    for plane in np.argsort(height, kind="stable"):  # the lowest first: where a facet rolls to, the end is known by then
        if int(plane) in rolls:
            end[plane] = end[rolls[int(plane)]]
    return end


def _solid_angles(corners: F64) -> F64:
    """Of triangles (f, 3, 3) seen from the origin (Van Oosterom and Strackee 1983)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    volume = np.abs(np.einsum("ij,ij->i", a, np.cross(b, c)))
    dots = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return np.asarray(2 * np.arctan2(volume, dots))


def _rest(vertices: F64, normal: F64, centre: F64, probability: float) -> Rest:
    """The pose with `normal` (object frame) straight down. vertices: those of the hull."""
    rotation = _turn_down(normal)
    turned = (vertices - centre) @ rotation.T
    plane_from_object = np.eye(4)
    plane_from_object[:3, :3] = rotation
    plane_from_object[:3, 3] = -rotation @ centre
    plane_from_object[2, 3] -= turned[:, 2].min()
    return Rest(plane_from_object, convex_hull(turned[:, :2]), float(np.ptp(turned[:, 2])), probability)


def _turn_down(normal: F64) -> F64:
    """A rotation (3, 3) that takes the unit vector `normal` to -z: the smallest where it points down; else half a turn about x first,
    as the smallest is ill-conditioned near straight up."""
    x, y, z = normal / np.linalg.norm(normal)
    if z > 0:
        return _turn_down(np.array([x, -y, -z])) @ np.diag([1.0, -1.0, -1.0])
    k = 1 / (1 - z)
    return np.array([[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, -z]])


# --- places -----------------------------------------------------------------------------------------------------------


def turned(rest: Rest, yaw_rad: float, xy_m: Sequence[float] = (0.0, 0.0)) -> F64:
    """world_from_object (4, 4) of a rest turned by yaw_rad about its centre of mass and put at xy_m."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    world_from_plane = np.array([[c, -s, 0, xy_m[0]], [s, c, 0, xy_m[1]], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    return np.asarray(world_from_plane @ rest.plane_from_object)


def distance_m(a: F64, b: F64) -> float:
    """Between two convex polygons (k, 2) and (l, 2), corners counter-clockwise; 0 where they overlap or touch."""
    if _overlap(a, b) and _overlap(b, a):
        return 0.0
    return min(_to_edges(a, b), _to_edges(b, a))


def _overlap(a: F64, b: F64) -> bool:
    """False if an edge of `a` has all of `b` on its outer side (separating axis theorem)."""
    edge = np.roll(a, -1, axis=0) - a
    side = edge[:, :1] * (b[None, :, 1] - a[:, 1:]) - edge[:, 1:] * (b[None, :, 0] - a[:, :1])
    return not bool((side.max(axis=1) < 0).any())


def _to_edges(points: F64, polygon: F64) -> float:
    edge = np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None] - polygon
    along = np.einsum("pec,ec->pe", offset, edge) / np.maximum((edge * edge).sum(axis=1), 1e-300)
    gap = offset - np.clip(along, 0, 1)[..., None] * edge
    return float(np.sqrt((gap * gap).sum(axis=2).min()))


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the plane around the origin: width_m along x and depth_m along y, or the ellipse in it where `round`."""

    width_m: float
    depth_m: float
    round: bool = False

    def holds(self, polygon: F64) -> bool:
        """Whether all of polygon (k, 2) lies in it."""
        scaled = np.abs(polygon) / (self.width_m / 2, self.depth_m / 2)
        return bool(((scaled**2).sum(1) if self.round else scaled.max(1)).max() <= 1)


def scatter(
    rests: Sequence[Rest], names: Sequence[str], area: Area, rng: Stream, *, clearance_m: Random[float] = 0.01, tries: int = 200
) -> tuple[F64, ...]:
    """world_from_object (4, 4) of each rest, at random places and yaws in `area`, footprints at least clearance_m apart.

    The largest is placed first; each draws from a stream of its own. When one finds no place in `tries`, all are placed anew, four
    times; then SceneError.
    """
    clearance = float(draw(clearance_m, rng, "clearance_m"))
    order = sorted(range(len(rests)), key=lambda i: -float(np.ptp(rests[i].footprint_m, axis=0).max()))
    stuck = 0
    for attempt in range(5):
        placed: dict[int, tuple[F64, F64]] = {}
        for i in order:
            found = _place(rests[i], area, [polygon for polygon, _ in placed.values()], clearance, rng.child(i, attempt), tries)
            if found is None:
                stuck = i
                break
            placed[i] = found
        else:
            return tuple(placed[i][1] for i in range(len(rests)))
    raise SceneError(
        f"no free place for '{names[stuck]}' in {5 * tries} tries, with {len(rests)} bodies on {area.width_m:.2f} x {area.depth_m:.2f} m, "
        f"{clearance * 1000:.0f} mm apart; widen the area or place fewer"
    )


def _place(rest: Rest, area: Area, others: Sequence[F64], clearance_m: float, rng: Stream, tries: int) -> tuple[F64, F64] | None:
    draws = rng.uniform(size=(tries, 3))
    for u, v, w in draws:
        yaw, xy = 2 * math.pi * w, ((u - 0.5) * area.width_m, (v - 0.5) * area.depth_m)
        c, s = math.cos(yaw), math.sin(yaw)
        polygon = rest.footprint_m @ np.array([[c, s], [-s, c]]) + xy
        if area.holds(polygon) and all(_apart(polygon, other, clearance_m) for other in others):
            return polygon, turned(rest, yaw, xy)
    return None


def _apart(a: F64, b: F64, clearance_m: float) -> bool:
    gap = np.maximum(a.min(0) - b.max(0), b.min(0) - a.max(0)).max()  # of their boxes, never more than theirs
    return bool(gap >= clearance_m) or distance_m(a, b) >= clearance_m > 0 or (clearance_m == 0 and distance_m(a, b) > 0)
