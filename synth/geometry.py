"""Cameras, projection, clipping and rotated boxes, in the pixel and frame laws of synth.types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from synth.errors import ConfigError
from synth.types import F64, Bool, Camera, Index, Obb


def look_at(eye: Sequence[float], target: Sequence[float], up: Sequence[float] = (0.0, 0.0, 1.0)) -> F64:
    """world_from_camera (4, 4) of a camera at `eye` (m, world) that looks at `target`, with `up` upwards in the picture.

    Looking straight along `up`, the picture's top is the world's +y (or +x if `up` is y).
    """
    forward = np.subtract(target, eye).astype(np.float64)
    length = float(np.linalg.norm(forward))
    if not length > 0:
        raise ConfigError(f"look_at: eye and target must differ, both are {list(map(float, eye))}")
    forward /= length
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-9:
        right = np.cross(forward, (0.0, 1.0, 0.0) if abs(forward[1]) < 0.9 else (1.0, 0.0, 0.0))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def transform(dst_from_src: F64, xyz_src: Any) -> F64:
    """Points (..., 3) through a (4, 4) transform."""
    points = np.asarray(xyz_src, dtype=np.float64)
    return np.asarray(points @ dst_from_src[:3, :3].T + dst_from_src[:3, 3])


# --- the lens ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _fold_radius(distortion: tuple[float, ...]) -> float:
    """Radius (in units of z) up to which the radial polynomial is used: 98 % of the way to where it would turn back."""
    k1, k2, _, _, k3 = distortion
    roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0]) if (k1, k2, k3) != (0, 0, 0) else np.array([])
    turning = [float(r.real) for r in roots if abs(r.imag) < 1e-12 and r.real > 0]
    return 0.98 * math.sqrt(min(turning)) if turning else math.inf


def distort(camera: Camera, xy_pinhole: F64) -> F64:
    """Normalised image points (..., 2), x/z and y/z, moved by the lens (OpenCV's k1 k2 p1 p2 k3).

    Beyond the radius where the polynomial would fold the image back, it is continued along its tangent. OpenCV folds there, which
    would put what is far outside the view into the picture.
    """
    if not any(camera.distortion):
        return xy_pinhole
    k1, k2, p1, p2, k3 = camera.distortion
    limit = _fold_radius(camera.distortion)
    r = np.linalg.norm(xy_pinhole, axis=-1, keepdims=True)
    held = np.minimum(r, limit)
    u = held**2
    scale = 1 + u * (k1 + u * (k2 + u * k3))
    inside = xy_pinhole * (held / np.maximum(r, 1e-300))
    if math.isfinite(limit):
        slope = 1 + u * (3 * k1 + u * (5 * k2 + u * 7 * k3))
        scale = np.where(r > limit, (scale * held + slope * (r - held)) / np.maximum(r, 1e-300), scale)
    x, y = inside[..., :1], inside[..., 1:]
    tangential = np.concatenate([2 * p1 * x * y + p2 * (u + 2 * x * x), p1 * (u + 2 * y * y) + 2 * p2 * x * y], axis=-1)
    return np.asarray(xy_pinhole * scale + tangential)


def undistort(camera: Camera, xy_lens: F64) -> F64:
    """The inverse of `distort`, by Newton's method to 1e-12."""
    if not any(camera.distortion):
        return xy_lens
    xy = np.array(xy_lens, dtype=np.float64)
    step = 1e-6
    for _ in range(50):
        error = distort(camera, xy) - xy_lens
        if np.abs(error).max(initial=0) < 1e-12:
            break
        dx = (distort(camera, xy + [step, 0]) - distort(camera, xy - [step, 0])) / (2 * step)
        dy = (distort(camera, xy + [0, step]) - distort(camera, xy - [0, step])) / (2 * step)
        determinant = dx[..., 0] * dy[..., 1] - dy[..., 0] * dx[..., 1]
        move = np.stack(
            [dy[..., 1] * error[..., 0] - dy[..., 0] * error[..., 1], dx[..., 0] * error[..., 1] - dx[..., 1] * error[..., 0]], axis=-1
        )
        xy -= np.clip(move / determinant[..., None], -0.5, 0.5)
    return xy


def project(camera: Camera, xyz_camera_m: Any) -> F64:
    """Image points (..., 2) in px of points (..., 3) in the camera frame with z > 0, lens included, in or out of the frame."""
    xyz = np.asarray(xyz_camera_m, dtype=np.float64)
    xy = distort(camera, xyz[..., :2] / xyz[..., 2:])
    k = camera.image_from_camera
    return np.asarray(xy @ k[:2, :2].T + k[:2, 2])


def rays(camera: Camera, xy_px: Any) -> F64:
    """Directions (..., 3) in the camera frame, with z = 1, of image points (..., 2) in px: the inverse of `project`."""
    k = camera.image_from_camera
    lens = np.subtract(xy_px, k[:2, 2]) @ np.linalg.inv(k[:2, :2]).T
    xy = undistort(camera, lens)
    return np.concatenate([xy, np.ones((*xy.shape[:-1], 1))], axis=-1)


def checked_rays(camera: Camera, xy_px: F64) -> F64:
    """`rays` of points in the frame. Raises ConfigError where the lens has none: strong tangential distortion folds the picture, and what
    is bent from beyond 87 degrees is not found."""
    found = rays(camera, xy_px)
    if any(camera.distortion):
        lost = ~(np.abs(project(camera, found) - xy_px).max(axis=-1) < 1e-6)
        if lost.any():
            raise ConfigError(
                f"Camera: distortion {list(camera.distortion)} (k1 k2 p1 p2 k3) folds the picture: {lost.mean():.1%} of it has no ray; "
                "use a smaller field of view or less distortion"
            )
    return found


def pixel_centers(width: int, height: int) -> F64:
    """(height, width, 2) the image points of all pixel centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


# --- triangles --------------------------------------------------------------------------------------------------------


def clip_near(triangles_m: F64, near_m: float) -> tuple[F64, Index]:
    """Triangles (t, 3, 3) in the camera frame, cut at z = near_m: the kept pieces (s, 3, 3), winding as before, and the index (s,)
    of the triangle each comes from."""
    inside = triangles_m[..., 2] >= near_m
    count = inside.sum(axis=1)
    whole = np.flatnonzero(count == 3)
    pieces, sources = [triangles_m[whole]], [whole]
    for kept in (1, 2):
        index = np.flatnonzero(count == kept)
        # Turn each triangle so that its odd corner (the one alone on its side) comes first.
        odd = np.argmax(inside[index] == (kept == 1), axis=1)
        a, b, c = (triangles_m[index, (odd + i) % 3] for i in range(3))
        ab = a + ((near_m - a[:, 2]) / (b[:, 2] - a[:, 2]))[:, None] * (b - a)
        ac = a + ((near_m - a[:, 2]) / (c[:, 2] - a[:, 2]))[:, None] * (c - a)
        for piece in [(a, ab, ac)] if kept == 1 else [(ab, b, c), (ab, c, ac)]:
            pieces.append(np.stack(piece, axis=1))
            sources.append(index)
    return np.concatenate(pieces), np.concatenate(sources)


def subdivide(triangles_m: F64, camera: Camera, edge_px: float) -> tuple[F64, Index]:
    """Triangles (t, 3, 3) in front of the camera, split at mid-edges until none looks longer than `edge_px`, so that a lens may bend
    them, and the index (s,) of the triangle each comes from. Those far outside the frame are left as they are.

    Whether an edge is split depends on the edge alone, so neighbours split a shared one alike and no gap opens between them.
    """
    done, sources, source = [], [], np.arange(len(triangles_m))
    margin = max(camera.width, camera.height)
    frame = np.array([camera.width, camera.height])
    for _ in range(12):
        xy = project(camera, triangles_m)
        far = (xy.max(axis=1) < -margin).any(axis=1) | (xy.min(axis=1) > frame + margin).any(axis=1)
        long = (np.linalg.norm(np.roll(xy, -1, axis=1) - xy, axis=-1) > edge_px) & ~far[:, None]  # edge i: from corner i to i + 1
        count = long.sum(axis=1)
        done.append(triangles_m[count == 0])
        sources.append(source[count == 0])
        pieces, pieces_of = [], []
        for splits in (1, 2, 3):
            index = np.flatnonzero(count == splits)
            # Turn each so that edge ab is long, and where two are, ca is not.
            first = np.argmax(long[index] & (np.roll(~long[index], 1, axis=1) | (splits != 2)), axis=1)
            a, b, c = (triangles_m[index, (first + i) % 3] for i in range(3))
            ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
            split = {
                1: [(a, ab, c), (ab, b, c)],
                2: [(a, ab, bc), (ab, b, bc), (a, bc, c)],
                3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
            }[splits]
            pieces += [np.stack(piece, axis=1) for piece in split]
            pieces_of += [source[index]] * len(split)
        triangles_m, source = np.concatenate(pieces), np.concatenate(pieces_of)
        if not len(source):
            break
    return np.concatenate([*done, triangles_m]), np.concatenate([*sources, source])


# --- hulls and rotated boxes ------------------------------------------------------------------------------------------


def convex_hull(points_xy: F64) -> F64:
    """Corners (m, 2) of the convex hull of points (n, 2), in order around it; fewer than three for points on a line.

    Andrew's monotone chain (1979), after dropping what lies within polygons of extreme points (Akl and Toussaint 1978).
    """
    points = points_xy
    for sides in (8, 32):
        if len(points) > 64:
            points = points[~_within_extremes(points, sides)]
    rows: list[tuple[float, float]] = sorted(set(map(tuple, points.tolist())))
    if len(rows) < 3:
        return np.array(rows).reshape(-1, 2)
    hull: list[tuple[float, float]] = []
    for chain in (rows, rows[::-1]):
        start = len(hull)
        for p in chain:
            while len(hull) >= start + 2:
                (ax, ay), (bx, by) = hull[-2], hull[-1]
                if (bx - ax) * (p[1] - ay) - (by - ay) * (p[0] - ax) > 0:
                    break
                hull.pop()
            hull.append(p)
        hull.pop()
    return np.array(hull)


def _within_extremes(points_xy: F64, sides: int) -> Bool:
    """(n,) whether a point is strictly within the polygon of the points that are farthest in `sides` directions."""
    angle = np.arange(sides) * (2 * math.pi / sides)
    x, y = np.ascontiguousarray(points_xy.T)
    farthest = np.array([int((c * x + s * y).argmax()) for c, s in zip(np.cos(angle), np.sin(angle), strict=True)])
    polygon = points_xy[farthest]
    within = np.ones(len(x), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
        if ax != bx or ay != by:
            within &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0
    within[farthest] = False
    return within


def least_area_rectangle(points_xy: F64) -> Obb:
    """The rotated rectangle of least area around points (n, 2); one of its sides lies on an edge of their hull (Freeman and Shapira
    1975). Of equal areas the smallest angle is taken."""
    hull = convex_hull(points_xy)
    edges = np.roll(hull, -1, axis=0) - hull
    angles = np.unique(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), math.pi / 2)) if len(hull) > 1 else np.zeros(1)
    axes = np.stack([np.cos(angles), np.sin(angles), -np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)
    along = axes @ hull.T
    low, high = along.min(axis=2), along.max(axis=2)
    area = (high - low).prod(axis=1)
    best = int(np.flatnonzero(area <= area.min() * (1 + 1e-12))[0])
    center = (low[best] + high[best]) / 2 @ axes[best]
    width, height = high[best] - low[best]
    angle = float(angles[best])
    if height > width:  # the long side names the angle
        width, height, angle = height, width, angle + math.pi / 2
    return Obb(float(center[0]), float(center[1]), float(width), float(height), angle % math.pi)
