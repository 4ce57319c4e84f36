"""Cameras and hulls against OpenCV, scipy and paper."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import ConvexHull

from synth.errors import ConfigError
from synth.geometry import (
    clip_near,
    convex_hull,
    distort,
    least_area_rectangle,
    look_at,
    pixel_centers,
    project,
    rays,
    subdivide,
    undistort,
)
from synth.types import Camera
from tests.shapes import LENS, NO_LENS, camera


def test_look_at_axes() -> None:
    pose = look_at((3, 0, 1), (0, 0, 1))
    assert np.allclose(pose[:3, 2], [-1, 0, 0])  # forward
    assert np.allclose(pose[:3, 0], [0, 1, 0])  # right, seen from +x towards the origin with z up
    assert np.allclose(pose[:3, 1], [0, 0, -1])  # down
    assert np.isclose(np.linalg.det(pose[:3, :3]), 1)
    straight_down = look_at((0, 0, 2), (0, 0, 0))
    assert np.allclose(straight_down[:3, 1], [0, -1, 0])  # the picture's top is +y
    with pytest.raises(ConfigError, match="eye and target must differ"):
        look_at((1, 2, 3), (1, 2, 3))


def test_pixel_law() -> None:
    seen = Camera.from_fov(640, 480, math.pi / 2, np.eye(4))
    assert np.allclose(project(seen, [[0, 0, 1]]), [[320, 240]])  # the optical axis meets the picture between four pixels
    assert np.allclose(project(seen, [[-1, 0, 1], [1, 0, 1]])[:, 0], [0, 640])  # the field of view ends at the outer edges
    assert np.allclose(pixel_centers(3, 2)[0, 0], [0.5, 0.5])
    assert np.allclose(rays(seen, pixel_centers(640, 480)[240, 320]), [0.5 / 320, 0.5 / 320, 1])


@pytest.mark.parametrize("distortion", [NO_LENS, LENS, (0.1, -0.05, 0, 0, 0.01)], ids=str)
def test_projection_is_opencv_half_a_pixel_on(distortion: Any) -> None:
    seen = camera(distortion=distortion)
    xyz = np.random.default_rng(0).uniform((-0.3, -0.2, 0.9), (0.3, 0.2, 2), (200, 3))
    k_opencv = seen.image_from_camera.copy()
    k_opencv[:2, 2] -= 0.5  # OpenCV puts pixel centres at whole numbers
    centre_law, _ = cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), k_opencv, np.array(distortion))
    assert np.abs(project(seen, xyz) - (centre_law[:, 0] + 0.5)).max() < 1e-9


@given(arrays(np.float64, (6, 2), elements=st.floats(-1.2, 1.2)))
def test_rays_invert_project(xy: Any) -> None:
    seen = camera(distortion=LENS)
    assert np.abs(undistort(seen, distort(seen, xy)) - xy).max() < 1e-9


def test_lens_does_not_fold_back() -> None:
    seen = camera(distortion=(-0.3, 0, 0, 0, 0))
    radius = np.linspace(0, 5, 500)
    bent = distort(seen, np.stack([radius, np.zeros(500)], axis=1))[:, 0]
    assert (np.diff(bent) > 0).all()  # OpenCV's polynomial turns back at 1.05
    inside = radius < 1
    assert np.allclose(bent[inside], radius[inside] * (1 - 0.3 * radius[inside] ** 2))


def area_of(triangles: Any) -> float:
    return float(np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1).sum() / 2)


def test_clip_near_keeps_exactly_what_is_in_front() -> None:
    rng = np.random.default_rng(1)
    triangles = rng.uniform(-1, 1, (500, 3, 3))
    front, source = clip_near(triangles, 0.1)
    back, _ = clip_near(triangles * [1, 1, -1], -0.1)
    assert front[..., 2].min() >= 0.1 - 1e-12
    assert np.isclose(area_of(front) + area_of(back), area_of(triangles))
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    piece = np.cross(front[:, 1] - front[:, 0], front[:, 2] - front[:, 0])
    assert ((piece * normal[source]).sum(axis=1) >= -1e-15).all()  # winding is kept


def test_subdivide_covers_the_same_and_looks_short() -> None:
    seen = camera(distortion=LENS)
    triangles = np.array([[[-0.3, -0.2, 1.5], [0.3, -0.2, 1.5], [0, 0.3, 1.2]]])
    pieces, source = subdivide(triangles, seen, 8)
    assert np.isclose(area_of(pieces), area_of(triangles))
    assert set(source) == {0}
    xy = project(seen, pieces)
    assert np.linalg.norm(xy - np.roll(xy, 1, axis=1), axis=-1).max() <= 8


def test_subdivide_opens_no_gap_between_neighbours() -> None:
    """Three triangles of unlike shapes around a corner: each edge of a piece is another's too, or lies on the outer rim."""
    corners = np.array([[0.02, 0.01, 1.4], [-0.3, -0.2, 1.5], [0.33, -0.21, 1.6], [0.0, 0.3, 1.2]])
    pieces, _ = subdivide(corners[[[0, 1, 2], [0, 2, 3], [0, 3, 1]]], camera(distortion=LENS), 8)
    edges = Counter(tuple(sorted((tuple(p), tuple(q)))) for piece in pieces for p, q in zip(piece, np.roll(piece, 1, axis=0), strict=True))
    assert set(edges.values()) == {1, 2}
    for p, q in (edge for edge, times in edges.items() if times == 1):
        rim = [
            np.linalg.norm(np.cross(b - a, [np.subtract(p, a), np.subtract(q, a)]))
            for a, b in zip(corners[1:], corners[[2, 3, 1]], strict=True)
        ]
        assert min(rim) < 1e-12


@given(arrays(np.float64, st.tuples(st.integers(3, 200), st.just(2)), elements=st.integers(-20, 20).map(float)))
def test_hull_is_scipys(points: Any) -> None:
    ours = convex_hull(points)
    if len(ours) < 3 or np.linalg.matrix_rank(points - points[0]) < 2:
        return
    reference = ConvexHull(points)
    x, y = ours.T
    assert np.isclose(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2, reference.volume)
    assert {tuple(p) for p in ours} == {tuple(p) for p in points[reference.vertices]}


@given(
    st.floats(-50, 50), st.floats(-50, 50), st.floats(2, 40), st.floats(2, 40), st.floats(0, math.pi - 1e-3)
)  # fmt: skip
def test_least_area_rectangle_finds_a_rotated_box(cx: float, cy: float, width: float, height: float, angle: float) -> None:
    axes = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = np.array([cx, cy]) + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2] @ axes
    found = least_area_rectangle(np.concatenate([corners, corners[:2] * 0.25 + corners[2:] * 0.75]))
    assert np.isclose(found.center_x, cx, atol=1e-6)
    assert np.isclose(found.center_y, cy, atol=1e-6)
    assert np.allclose([found.width, found.height], sorted([width, height], reverse=True))
    assert 0 <= found.angle_rad < math.pi
    if abs(width - height) > 0.1:
        want = angle if width > height else angle + math.pi / 2
        assert abs(math.remainder(found.angle_rad - want, math.pi)) < 1e-6


@given(arrays(np.float64, st.tuples(st.integers(3, 60), st.just(2)), elements=st.integers(0, 60).map(float)))
def test_least_area_rectangle_is_no_larger_than_opencvs(points: Any) -> None:
    found = least_area_rectangle(points)
    _, (width, height), _ = cv2.minAreaRect(points.astype(np.float32))
    assert found.width * found.height <= width * height + 1e-2
    turn = np.array([[math.cos(found.angle_rad), -math.sin(found.angle_rad)], [math.sin(found.angle_rad), math.cos(found.angle_rad)]])
    inside = np.abs((points - [found.center_x, found.center_y]) @ turn)
    assert (inside <= np.array([found.width, found.height]) / 2 + 1e-6).all()
