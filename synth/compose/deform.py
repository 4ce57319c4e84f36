"""Deformations: functions of points (n, 3) -> (n, 3), applied to the vertices of an asset and to its keypoints alike.

They say where each point of space goes, so parts that touch still touch and what lay inside still does. A keypoint on a triangle
moves with that triangle, and stays on the faceted surface exactly, whatever the function does between the corners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from synth.errors import ConfigError
from synth.rand import Stream
from synth.types import F64, I32, Asset, Keypoint, Mesh

Deformation: TypeAlias = Callable[[F64], F64]

_STEP = 1e-5  # of the asset's size: for the derivative of a deformation
_ON_SURFACE = 1e-5  # of the asset's size: a keypoint so near to a triangle lies on it (vertices are float32)
_MOST_FACES = 2_000_000


def deformed(asset: Asset, deformation: Deformation, edge_m: float | None = None) -> Asset:
    """`asset` with every point moved. edge_m: triangles are split until no edge is longer, so that they can follow; normals follow the
    derivative of the deformation, so smooth parts stay smooth and edges sharp."""
    meshes = asset.meshes if edge_m is None else tuple(refined(mesh, edge_m) for mesh in asset.meshes)
    size_m = float(np.linalg.norm(asset.box_object_m[1]))
    moved = tuple(_moved(mesh, deformation, size_m * _STEP) for mesh in meshes)
    old, new = (np.concatenate([m.vertices_m[m.faces] for m in which]).astype(np.float64) for which in (meshes, moved))
    keypoints = tuple(_moved_point(point, deformation, old, new, size_m * _ON_SURFACE) for point in asset.keypoints)
    return replace(asset, meshes=moved, keypoints=keypoints)


def chained(*deformations: Deformation) -> Deformation:
    """One after the other, the first first."""

    def chain(points: F64) -> F64:
        for deformation in deformations:
            points = deformation(points)
        return points

    return chain


# --- deformations -----------------------------------------------------------------------------------------------------


def bend(angle_rad: float, length_m: float, along: str = "z", toward: str = "x") -> Deformation:
    """What lies along an axis from 0 to length_m becomes an arc of angle_rad that turns toward another axis; what is beyond goes straight
    on, and what is before 0 stays. Lengths along the axis itself are kept (Barr 1984)."""
    a, t = _axis(along), _axis(toward)
    if a == t or length_m <= 0:
        raise ConfigError(f"bend: needs two different axes and a length above 0, got '{along}', '{toward}' and {length_m}")
    curvature = angle_rad / length_m

    def bent(points: F64) -> F64:
        if curvature == 0:
            return points
        out = np.array(points, dtype=np.float64)
        angle = np.clip(points[:, a], 0, length_m) * curvature
        straight = points[:, a] - np.clip(points[:, a], 0, length_m)
        radius = 1 / curvature - points[:, t]
        out[:, t] = 1 / curvature - radius * np.cos(angle) + straight * np.sin(angle)
        out[:, a] = radius * np.sin(angle) + straight * np.cos(angle)
        return out

    return bent


def twist(rate_rad_per_m: float, along: str = "z") -> Deformation:
    """Turned about an axis by the more, the farther along it."""
    a = _axis(along)
    u, v = (a + 1) % 3, (a + 2) % 3

    def twisted(points: F64) -> F64:
        out = np.array(points, dtype=np.float64)
        c, s = np.cos(rate_rad_per_m * points[:, a]), np.sin(rate_rad_per_m * points[:, a])
        out[:, u], out[:, v] = c * points[:, u] - s * points[:, v], s * points[:, u] + c * points[:, v]
        return out

    return twisted


def taper(start: float, end: float, length_m: float, along: str = "z") -> Deformation:
    """Scaled across an axis: by `start` at 0 and before, by `end` at length_m and beyond, in proportion between."""
    a = _axis(along)
    if length_m <= 0 or start <= 0 or end <= 0:
        raise ConfigError(f"taper: start, end and length_m must be above 0, got {start}, {end} and {length_m}")

    def tapered(points: F64) -> F64:
        factor = start + (end - start) * np.clip(points[:, a] / length_m, 0, 1)
        out = points * factor[:, None]
        out[:, a] = points[:, a]
        return np.asarray(out)

    return tapered


def noise(rng: Stream, amplitude_m: float, wavelength_m: float, waves: int = 24) -> Deformation:
    """Moved by a smooth random field: a sum of waves of random direction, whose lengths scatter around wavelength_m. amplitude_m: root
    mean square of the shift."""
    if wavelength_m <= 0 or waves < 1:
        raise ConfigError(f"noise: wavelength_m and waves must be above 0, got {wavelength_m} and {waves}")
    wave = rng.child("waves").standard_normal((waves, 3))
    wave *= 2 * np.pi / wavelength_m * rng.child("lengths").uniform(0.6, 1.6, (waves, 1)) / np.linalg.norm(wave, axis=1, keepdims=True)
    phase = rng.child("phases").uniform(0, 2 * np.pi, waves)
    shift = rng.child("shifts").standard_normal((waves, 3))
    shift *= amplitude_m * np.sqrt(2 / waves) / np.linalg.norm(shift, axis=1, keepdims=True)

    def shaken(points: F64) -> F64:
        return np.asarray(points + np.sin(points @ wave.T + phase) @ shift)

    return shaken


def linear_blend(weights: Callable[[F64], F64], moved_from_rest: F64) -> Deformation:
    """Linear blend skinning (Magnenat-Thalmann et al. 1988): each point goes to the mean of where the bones would take it.

    weights: of points (n, 3), (n, k) not negative, rows with sum 1. moved_from_rest (k, 4, 4): affine, one a bone.
    """

    def skinned(points: F64) -> F64:
        return blended(points, weights(points), moved_from_rest)

    return skinned


def blended(points: F64, weights: F64, moved_from_rest: F64) -> F64:
    """Points (n, 3) by linear blend skinning, where their weights (n, k) are known."""
    matrices = (weights @ moved_from_rest[:, :3].reshape(-1, 12)).reshape(-1, 3, 4)
    return np.asarray(np.einsum("nij,nj->ni", matrices[:, :, :3], points) + matrices[:, :, 3])


def segment_weights(start_m: F64, end_m: F64, width_m: float) -> Callable[[F64], F64]:
    """Weights of bones that are segments, start_m and end_m (k, 3): all of the nearest one, shared with others that are at most width_m
    farther away."""

    def weights(points: F64) -> F64:
        along = end_m - start_m
        length = np.maximum(np.einsum("kj,kj->k", along, along), 1e-18)
        t = np.clip(np.einsum("nkj,kj->nk", points[:, None] - start_m, along) / length, 0, 1)
        distance = np.linalg.norm(points[:, None] - (start_m + t[..., None] * along), axis=2)
        near = np.maximum(0, 1 - (distance - distance.min(axis=1, keepdims=True)) / width_m) ** 2
        return np.asarray(near / near.sum(axis=1, keepdims=True))

    return weights


# --- meshes -----------------------------------------------------------------------------------------------------------


def refined(mesh: Mesh, edge_m: float) -> Mesh:
    """`mesh` with each triangle split into four until no edge is longer than edge_m. Raises ConfigError beyond two million triangles."""
    if edge_m <= 0:
        raise ConfigError(f"refined: edge_m must be above 0, got {edge_m}")
    while True:
        corners = mesh.vertices_m[mesh.faces]
        if np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max() <= edge_m:
            return mesh
        if 4 * len(mesh.faces) > _MOST_FACES:
            raise ConfigError(f"refined: edges of {edge_m:g} m need more than {_MOST_FACES} triangles; ask for longer edges")
        mesh = _split(mesh)


def _split(mesh: Mesh) -> Mesh:
    n = len(mesh.vertices_m)
    sides = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    ends, which = np.unique(sides, axis=0, return_inverse=True)
    ab, bc, ca = n + which.reshape(3, -1)
    a, b, c = mesh.faces.T
    faces = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    normals = np.concatenate([mesh.normals, mesh.normals[ends].mean(axis=1)])
    return replace(
        mesh,
        vertices_m=np.concatenate([mesh.vertices_m, mesh.vertices_m[ends].mean(axis=1)]),
        faces=faces.astype(np.int32),
        normals=(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32),
        uv=None if mesh.uv is None else np.concatenate([mesh.uv, mesh.uv[ends].mean(axis=1)]),
        colors=None if mesh.colors is None else np.concatenate([mesh.colors, mesh.colors[ends].mean(axis=1)]),
    )


def _moved(mesh: Mesh, deformation: Deformation, step_m: float) -> Mesh:
    points = mesh.vertices_m.astype(np.float64)
    columns = [(deformation(points + step) - deformation(points - step)) / (2 * step_m) for step in np.eye(3) * step_m]
    # The normal is the product of two moved tangents: n' = cof(J) n, whose columns are cross products of those of J.
    x, y, z = columns
    cofactor = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], axis=2)
    normals = np.einsum("nij,nj->ni", cofactor, mesh.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    return replace(mesh, vertices_m=deformation(points).astype(np.float32), normals=normals.astype(np.float32))


def _moved_point(point: Keypoint, deformation: Deformation, old: F64, new: F64, near_m: float) -> Keypoint:
    at = np.array(point.xyz_object_m)
    triangle, weights, distance_m = nearest(at, old)
    moved = weights @ new[triangle] if distance_m <= near_m else deformation(at[None])[0]
    return replace(point, xyz_object_m=tuple(moved.tolist()))


def nearest(point: F64, corners: F64) -> tuple[int, F64, float]:
    """Of triangles (t, 3, 3): the one nearest to a point (3,), the weights (3,) of its corners there, and the distance."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    ap = point - a
    d1, d2 = (np.einsum("ij,ij->i", side, ap) for side in (ab, ac))
    bb, bc, cc = (np.einsum("ij,ij->i", u, v) for u, v in ((ab, ab), (ab, ac), (ac, ac)))
    area = np.maximum(bb * cc - bc * bc, 1e-300)
    v, w = (cc * d1 - bc * d2) / area, (bb * d2 - bc * d1) / area
    found = [np.stack([1 - v - w, v, w], axis=1)]
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    for i, j in ((0, 1), (1, 2), (2, 0)):  # else the nearest point lies on a side
        side = corners[:, j] - corners[:, i]
        t = np.clip(np.einsum("ij,ij->i", point - corners[:, i], side) / np.maximum(np.einsum("ij,ij->i", side, side), 1e-300), 0, 1)
        on = np.zeros((len(corners), 3))
        on[:, i], on[:, j] = 1 - t, t
        found.append(on)
    distances = np.stack([np.linalg.norm(np.einsum("ti,tij->tj", weights, corners) - point, axis=1) for weights in found])
    distances[0, ~inside] = np.inf
    way, triangle = np.unravel_index(int(distances.argmin()), distances.shape)
    return int(triangle), found[way][triangle], float(distances[way, triangle])


def surface_normals(vertices_m: F64, faces: I32) -> F64:
    """(n, 3) unit: of each vertex the mean normal of its triangles, weighted by area."""
    corners = vertices_m[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack([np.bincount(faces.ravel(), np.repeat(across[:, i], 3), len(vertices_m)) for i in range(3)], axis=1)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300))


def _axis(name: str) -> int:
    if name not in ("x", "y", "z"):
        raise ConfigError(f"an axis must be x, y or z, got '{name}'")
    return "xyz".index(name)
