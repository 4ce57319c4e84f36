"""Resting and placing: nothing floats, sinks, topples or touches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, cKDTree

from synth.compose.placement import Area, Rest, distance_m, scatter, stable_poses
from synth.errors import AssetError, SceneError
from synth.rand import Uniform, rng_for
from synth.types import Asset, Mesh

seeds = st.integers(0, 2**32 - 1)


def solid(points: np.ndarray, name: str = "solid") -> Asset:
    """The convex hull of points (n, 3) as an asset."""
    hull = ConvexHull(points)
    vertices = np.asarray(points, np.float32)
    return Asset(name, (Mesh(vertices, hull.simplices.astype(np.int32), np.tile(np.float32([0, 0, 1]), (len(points), 1))),))


def box(*size: float) -> Asset:
    return solid(np.array([[x, y, z] for x in (0, size[0]) for y in (0, size[1]) for z in (0, size[2])]), "box")


def random_solid(seed: int) -> Asset:
    rng = np.random.default_rng(seed)
    return solid(rng.normal(size=(rng.integers(4, 40), 3)) * rng.uniform(0.01, 0.2, 3))


def check_rest(asset: Asset, rest: Rest) -> None:
    rotation = rest.plane_from_object[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), rtol=0, atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    stood = asset.vertices_m @ rotation.T + rest.plane_from_object[:3, 3]
    assert abs(stood[:, 2].min()) < 1e-9
    assert stood[:, 2].max() == pytest.approx(rest.height_m)
    # an independent centre of mass, above what touches the plane
    centre = trimesh.Trimesh(stood, asset.meshes[0].faces, process=False).convex_hull.center_mass
    touching = stood[stood[:, 2] < 1e-7 * asset.diameter_m, :2]
    assert len(touching) >= 3
    equations = ConvexHull(touching).equations
    assert (equations[:, :2] @ centre[:2] + equations[:, 2]).max() < 1e-6 * asset.diameter_m
    assert (ConvexHull(rest.footprint_m).equations @ [*centre[:2], 1]).max() <= 1e-9
    outside = ConvexHull(rest.footprint_m).equations @ np.vstack([stood[:, :2].T, np.ones(len(stood))])
    assert outside.max() < 1e-9, "the footprint holds all of the body"


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_random_solid_rests_where_physics_says(seed: int) -> None:
    asset = random_solid(seed)
    rests = stable_poses(asset)
    assert sum(rest.probability for rest in rests) == pytest.approx(1)
    assert [rest.probability for rest in rests] == sorted((rest.probability for rest in rests), reverse=True)
    for rest in rests:
        check_rest(asset, rest)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_an_independent_implementation_finds_the_same_rests(seed: int) -> None:
    asset = solid(np.random.default_rng(seed).normal(size=(14, 3)))
    mesh = trimesh.Trimesh(asset.vertices_m, asset.meshes[0].faces, process=False).convex_hull
    transforms, probabilities = trimesh.poses.compute_stable_poses(mesh, sigma=0, threshold=1e-9)
    ups = np.array([rest.up_object for rest in stable_poses(asset)])
    near = ups @ transforms[:, 2, :3].T
    assert (near.max(axis=0) > math.cos(math.radians(4.1))).all(), "none is missing, but those that look alike are one"
    assert (near.max(axis=1) > 1 - 1e-9).all(), "none is made up"
    # over which of two edges a solid tips is a choice: theirs goes by sectors, ours by the farther edge
    expected = np.bincount(near.argmax(axis=0), probabilities, len(ups))
    assert np.abs(expected - [rest.probability for rest in stable_poses(asset)]).sum() / 2 < 0.15


def test_boxes_rest_on_their_faces() -> None:
    assert [rest.probability for rest in stable_poses(box(0.1, 0.1, 0.1))] == pytest.approx([1 / 6] * 6)
    rests = stable_poses(box(0.3, 0.2, 0.1))
    assert sorted(round(rest.height_m, 6) for rest in rests) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert [round(rest.height_m, 6) for rest in rests[:2]] == [0.1, 0.1], "flat is likeliest"


def test_a_leaning_tower_does_not_stand() -> None:
    lean = np.array([[x + 0.4 * z, y, z] for x in (0, 0.1) for y in (0, 0.1) for z in (0.0, 0.4)])
    lean[:, 0] += lean[:, 2]
    rests = stable_poses(solid(lean))
    assert all(abs(rest.up_object[2]) < 0.99 for rest in rests)
    for rest in rests:
        check_rest(solid(lean), rest)


def test_a_ball_rests_anywhere_and_a_sheet_nowhere() -> None:
    ball = trimesh.creation.icosphere(3, 0.05)
    rests = stable_poses(solid(ball.vertices))
    assert len(rests) > 20
    assert all(0.099 < rest.height_m < 0.101 for rest in rests)
    sheet = Asset("sheet", (Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[0, 1, 2]]), np.float32([[0, 0, 1]] * 3)),))
    with pytest.raises(AssetError, match="asset 'sheet' is flat or a line"):
        stable_poses(sheet)


def test_stable_poses_are_computed_once_and_equal_for_equal_shapes() -> None:
    asset = random_solid(3)
    assert stable_poses(asset) is stable_poses(asset)
    for a, b in zip(stable_poses(asset), stable_poses(random_solid(3)), strict=True):
        assert np.array_equal(a.plane_from_object, b.plane_from_object)


# --- places -----------------------------------------------------------------------------------------------------------


def outline(polygon: np.ndarray, step: float) -> np.ndarray:
    """Points of the rim, at most step apart."""
    ends = np.roll(polygon, -1, axis=0)
    return np.concatenate(
        [
            a + (b - a) * np.linspace(0, 1, max(2, math.ceil(np.linalg.norm(b - a) / step) + 1))[:, None]
            for a, b in zip(polygon, ends, strict=True)
        ]
    )


def holds(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (ConvexHull(polygon).equations @ np.vstack([points.T, np.ones(len(points))])).max(axis=0) < 0


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_distance_of_polygons_against_dense_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (points[ConvexHull(points).vertices] for points in (rng.normal(size=(rng.integers(3, 12), 2)) for _ in range(2)))
    b = b + rng.normal(size=2) * rng.uniform(0, 5)
    found = distance_m(a, b)
    assert found == pytest.approx(distance_m(b, a), abs=1e-12)
    rim_a, rim_b = outline(a, 0.01), outline(b, 0.01)
    if holds(a, rim_b).any() or holds(b, rim_a).any():
        assert found == 0
    else:
        sampled = cKDTree(rim_a).query(rim_b)[0].min()
        assert sampled - 0.02 <= found <= sampled + 1e-12


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_scattered_bodies_stand_apart_on_the_plane(seed: int, is_round: bool) -> None:
    assets = [random_solid(seed + i) for i in range(4)]
    rng = rng_for(seed, 0)
    rests = [stable_poses(asset)[-1] for asset in assets]
    area = Area(4.0, 3.0, is_round)
    poses = scatter(rests, ["solid"] * 4, area, rng, clearance_m=0.02)
    bodies = [asset.vertices_m @ pose[:3, :3].T + pose[:3, 3] for asset, pose in zip(assets, poses, strict=True)]
    for pose, vertices in zip(poses, bodies, strict=True):
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), rtol=0, atol=1e-12)
        assert abs(vertices[:, 2].min()) < 1e-9
        inside = np.abs(vertices[:, :2]) / (2.0, 1.5)
        assert ((inside**2).sum(1).max() if is_round else inside.max()) <= 1 + 1e-9
    rims = [outline(vertices[ConvexHull(vertices[:, :2]).vertices, :2], 0.005) for vertices in bodies]
    for i in range(4):
        for j in range(i):
            assert cKDTree(rims[i]).query(rims[j])[0].min() >= 0.02 - 1e-9
            assert not holds(rims[i], rims[j]).any()
    again = scatter(rests, ["solid"] * 4, area, rng_for(seed, 0), clearance_m=0.02)
    assert all(np.array_equal(a, b) for a, b in zip(poses, again, strict=True))


def test_no_room_is_one_message_with_the_tries() -> None:
    rests = [stable_poses(box(0.1, 0.1, 0.1))[0]] * 9
    with pytest.raises(SceneError, match=r"no free place for 'box' in 100 tries, with 9 bodies on 0\.30 x 0\.30 m, 10 mm apart; widen"):
        scatter(rests, ["box"] * 9, Area(0.3, 0.3), rng_for(0, 0), tries=20)


def test_clearance_may_be_random_and_nothing_touches_at_zero() -> None:
    rests = [stable_poses(box(0.1, 0.1, 0.1))[0]] * 4
    for clearance in (0.0, Uniform(0.0, 0.05)):
        for index in range(20):
            poses = scatter(rests, ["box"] * 4, Area(0.5, 0.5), rng_for(0, index), clearance_m=clearance)
            centers = np.array([(pose @ [0.05, 0.05, 0.05, 1])[:2] for pose in poses])
            assert min(np.linalg.norm(a - b) for i, a in enumerate(centers) for b in centers[:i]) > 0.1
