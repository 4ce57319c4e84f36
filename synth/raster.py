"""Which pixel centres a mesh covers: the one rasteriser behind silhouettes and the `flat` renderer.

A pixel belongs to a triangle if its centre lies within it; on a shared edge exactly one of two neighbours gets it (left and top
edges count as inside). All arithmetic is float64 and vectorised over triangles, so a body of 16k faces takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.geometry import clip_near, project, subdivide, transform
from synth.types import F64, U8, Bool, Camera, Index, Material, Mesh

_BENT_EDGE_PX = 8.0  # under a lens, edges are split to this length; a bend of 400 px radius then errs by 0.02 px


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Runs of covered pixels, one a triangle and row: triangle (s,), row (s,), columns [start, stop) (s,)."""

    triangle: Index
    row: Index
    start: Index
    stop: Index


def spans(triangles_px: F64, x0: int, y0: int, width: int, height: int) -> Spans:
    """The pixels of window [x0, x0 + width) x [y0, y0 + height) whose centres lie in triangles (t, 3, 2); rows and columns are
    counted from the window's corner."""
    # Pixel centres at whole numbers, window at the origin; (3, t) each, since numpy is slow over an axis of two or three.
    x, y = np.ascontiguousarray(triangles_px.T) - np.array([x0 + 0.5, y0 + 0.5])[:, None, None]
    x_low, x_high = np.minimum(np.minimum(x[0], x[1]), x[2]), np.maximum(np.maximum(x[0], x[1]), x[2])
    y_low, y_high = np.minimum(np.minimum(y[0], y[1]), y[2]), np.maximum(np.maximum(y[0], y[1]), y[2])
    top, bottom = (np.clip(np.ceil(level), 0, height).astype(np.intp) for level in (y_low, y_high))
    keep = np.flatnonzero((bottom > top) & (np.ceil(x_low) < np.ceil(x_high)) & (x_high >= 0) & (x_low < width))
    x, y, rows = x[:, keep], y[:, keep], bottom[keep] - top[keep]
    triangle = np.repeat(keep, rows)
    row = np.arange(len(triangle)) - np.repeat(np.cumsum(rows) - rows - top[keep], rows)
    left, right = np.full(len(triangle), np.inf), np.full(len(triangle), -np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        # Edges run from their upper to their lower end, so neighbours compute the same crossing to the last bit.
        swap = (y[i] > y[j]) | ((y[i] == y[j]) & (x[i] > x[j]))
        ax, ay, bx, by = np.where(swap, x[j], x[i]), np.where(swap, y[j], y[i]), np.where(swap, x[i], x[j]), np.where(swap, y[i], y[j])
        slope = (bx - ax) / np.where(ay == by, 1, by - ay)
        ax, ay, by, slope = (np.repeat(value, rows) for value in (ax, ay, by, slope))
        crosses = (ay <= row) & (row < by)  # never for a level edge
        at_row = ax + (row - ay) * slope
        left = np.where(crosses, np.minimum(left, at_row), left)
        right = np.where(crosses, np.maximum(right, at_row), right)
    found = left <= right
    start = np.ceil(np.clip(np.where(found, left, 0), 0, width)).astype(np.intp)
    stop = np.ceil(np.clip(np.where(found, right, 0), 0, width)).astype(np.intp)
    some = np.flatnonzero(stop > start)
    return Spans(triangle[some], row[some], start[some], stop[some])


def coverage(triangles_px: F64, x0: int, y0: int, width: int, height: int) -> Bool:
    """(height, width) True where a pixel centre of the window lies in any of the triangles (t, 3, 2)."""
    found = spans(triangles_px, x0, y0, width, height)
    cells = height * (width + 1)
    change = np.bincount(found.row * (width + 1) + found.start, minlength=cells)
    change -= np.bincount(found.row * (width + 1) + found.stop, minlength=cells)
    return np.asarray(np.cumsum(change.reshape(height, width + 1), axis=1)[:, :width] > 0)


def fragments(triangles_px: F64, x0: int, y0: int, width: int, height: int) -> tuple[Index, Index, Index]:
    """All (triangle, row, column) of the window that `spans` finds, each (f,)."""
    found = spans(triangles_px, x0, y0, width, height)
    length = found.stop - found.start
    triangle, row = np.repeat(found.triangle, length), np.repeat(found.row, length)
    column = np.arange(len(triangle)) - np.repeat(np.cumsum(length) - length, length) + np.repeat(found.start, length)
    return triangle, row, column


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The part of a mesh that a renderer draws: in front of the near plane, and front faces only unless the material is double-sided.

    vertices_m (n, 3): the mesh's, in the camera frame. corners_px (t, 3, 2): triangles in the picture, cut and bent; face (t,): the
    mesh's face each is a piece of. points_px (p, 2): all its corners, most of them once.
    """

    mesh: Mesh
    material: Material
    vertices_m: F64
    corners_px: F64
    face: Index
    points_px: F64

    def surface(self, face: Index, ray: F64) -> tuple[F64, F64]:
        """Where rays (f, 3) from the camera meet the planes of faces (f,): barycentric weights (f, 3) and depth (f,) along z."""
        corners = self.vertices_m[self.mesh.faces[face]]
        a, b, c = np.moveaxis(corners, 1, 0)
        weights = np.stack([(ray * np.cross(u, v)).sum(axis=1) for u, v in ((b, c), (c, a), (a, b))], axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights, np.asarray((weights * corners[..., 2]).sum(axis=1))

    def kept_by_alpha(self, face: Index, weights: F64) -> Bool:
        """(f,) False where the material's alpha cuts the surface away."""
        alpha = np.full(len(face), self.material.base_color[3])
        if self.material.alpha_mode == "opaque":
            return np.ones(len(face), dtype=np.bool_)
        if self.mesh.colors is not None:
            alpha *= (self.mesh.colors[self.mesh.faces[face], 3] * weights).sum(axis=1)
        texture = self.material.base_color_texture
        if texture is not None and texture.shape[2] == 4 and self.mesh.uv is not None:
            alpha *= nearest_texels(texture, self.uv(face, weights))[:, 3] / 255.0
        return np.asarray(alpha >= self.material.alpha_cutoff)

    def uv(self, face: Index, weights: F64) -> F64:
        """Texture coordinates (f, 2)."""
        assert self.mesh.uv is not None
        return np.asarray((self.mesh.uv[self.mesh.faces[face]] * weights[..., None]).sum(axis=1))


def shown(camera: Camera, mesh: Mesh, material: Material, camera_from_object: F64) -> Shown:
    """What of a mesh, shown with a material, the camera draws."""
    vertices = transform(camera_from_object, mesh.vertices_m)
    bent = any(camera.distortion)
    if not bent and (vertices[:, 2] >= camera.near_m).all():
        points = project(camera, vertices)
        face = np.arange(len(mesh.faces))
        if not material.double_sided:
            (ax, bx, cx), (ay, by, cy) = (axis[mesh.faces.T] for axis in np.ascontiguousarray(points.T))
            # Counter-clockwise seen from outside is clockwise in numbers, since y runs down.
            face = np.flatnonzero((bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0)
        used = np.zeros(len(points), dtype=np.bool_)
        used[mesh.faces[face]] = True
        return Shown(mesh, material, vertices, points[mesh.faces[face]], face, points[used])
    triangles, face = clip_near(vertices[mesh.faces], camera.near_m)
    if not material.double_sided:
        a, b, c = np.moveaxis(triangles, 1, 0)
        front = (a * np.cross(b - a, c - a)).sum(axis=1) < 0
        triangles, face = triangles[front], face[front]
    if bent:
        triangles, piece = subdivide(triangles, camera, _BENT_EDGE_PX)
        face = face[piece]
    corners = project(camera, triangles)
    return Shown(mesh, material, vertices, corners, face, corners.reshape(-1, 2))


def nearest_texels(texture: U8, uv: F64) -> F64:
    """The texels (f, channels) of a texture (h, w, channels) at uv (f, 2); the texture repeats, v = 0 is its lower edge."""
    height, width = texture.shape[:2]
    column = np.floor(uv[:, 0] * width).astype(np.intp) % width
    row = np.floor((1 - uv[:, 1]) * height).astype(np.intp) % height
    return np.asarray(texture[row, column], dtype=np.float64)
