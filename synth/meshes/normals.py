"""Normals for meshes whose files have none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from synth.meshes.common import I64
from synth.types import F64

_CREASE_RAD = math.radians(40)


def smooth_normals(vertices: Any, faces: Any) -> tuple[I64, I64, F64]:
    """Normals for a mesh without: (source (k,), faces (m, 3), normals (k, 3)); the new vertex i is the old vertex source[i].

    Each face corner gets the mean, weighted by angle, of the normals of the faces around its point (also across texture seams, where
    vertices are doubled) that lie within 40 degrees of its own, so a ball is round and a box has flat sides. A vertex is doubled where
    its corners differ; none moves.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    _, point = np.unique(vertices, axis=0, return_inverse=True)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    to_next, to_last = np.roll(corners, -1, 1) - corners, np.roll(corners, 1, 1) - corners
    angles = np.arctan2(np.linalg.norm(np.cross(to_next, to_last), axis=2), (to_next * to_last).sum(2)).reshape(-1)
    unit = np.repeat(normals, 3, axis=0)  # (3 m, 3), one a corner
    weighted = unit * angles[:, None]
    order = np.argsort(point.reshape(-1)[faces.reshape(-1)], kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(point.reshape(-1)[faces.reshape(-1)][order]) > 0])
    sizes = np.diff(np.r_[starts, len(order)])
    mean = np.empty_like(unit)
    for size in np.unique(sizes):
        for block in np.array_split(starts[sizes == size], max(1, (sizes == size).sum() * int(size) ** 2 // 4_000_000)):
            group = order[block[:, None] + np.arange(size)]  # (g, size) corners that share a point
            if size > 2048:  # the hub of a fan: no crease is worth a table of its pairs
                mean[group] = weighted[group].sum(1, keepdims=True)
                continue
            near = np.einsum("gic,gjc->gij", unit[group], unit[group]) >= math.cos(_CREASE_RAD)
            mean[group] = np.einsum("gij,gjc->gic", near, weighted[group])
    lengths = np.linalg.norm(mean, axis=1, keepdims=True)
    mean = np.divide(mean, lengths, out=np.where(np.arange(3) == 2, 1.0, 0.0) * np.ones_like(mean), where=lengths > 1e-12)
    keys = np.concatenate([faces.reshape(-1, 1).astype(np.float64), np.round(mean, 6)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return faces.reshape(-1)[first], inverse.reshape(-1, 3), mean[first]
