"""Deformations do what is known on paper, and keypoints stay on the surface they were on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import trimesh
from trimesh.triangles import closest_point

from synth.compose.deform import (
    Deformation,
    bend,
    blended,
    chained,
    deformed,
    linear_blend,
    noise,
    refined,
    segment_weights,
    surface_normals,
    taper,
    twist,
)
from synth.errors import ConfigError
from synth.rand import rng_for
from synth.types import F64, Asset, Keypoint
from tests.shapes import asset, box, sphere

START: F64 = np.array([[0, 0, -0.5], [0, 0, 0.1]])
END: F64 = np.array([[0, 0, 0.1], [0, 0, 0.5]])


def elbow(angle_rad: float) -> Deformation:
    """Two bones along z that meet at z = 0.1; the upper one turns about y there."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turned = np.eye(4)
    turned[:3] = [[c, 0, s, -s * 0.1], [0, 1, 0, 0], [-s, 0, c, 0.1 - c * 0.1]]
    return linear_blend(segment_weights(START, END, 0.1), np.stack([np.eye(4), turned]))


ALL = {
    "bend": bend(1.3, 0.6),
    "bend_back": bend(-0.8, 0.5, "x", "y"),
    "twist": twist(3.0),
    "taper": taper(1.0, 0.3, 0.4),
    "noise": noise(rng_for(0, 0), 0.01, 0.2),
    "elbow": elbow(1.2),
    "chain": chained(twist(2.0, "y"), bend(1.0, 0.5), noise(rng_for(0, 1), 0.005, 0.1)),
}


def marked(shape: Asset, count: int = 20) -> Asset:
    """A shape with keypoints spread over its triangles."""
    mesh = shape.meshes[0]
    found = trimesh.Trimesh(mesh.vertices_m.astype(float), mesh.faces, process=False)
    points = trimesh.sample.sample_surface(found, count, seed=1)[0]
    return Asset(shape.name, shape.meshes, tuple(Keypoint(f"k{i}", tuple(p)) for i, p in enumerate(points)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("edge_m", [None, 0.1])
def test_keypoints_stay_on_the_deformed_surface(name: str, edge_m: float | None) -> None:
    for shape in (box(0.2, 0.3, 0.8), asset(trimesh.creation.cylinder(0.1, 0.9, sections=24), "cylinder")):
        before = marked(shape)
        after = deformed(before, ALL[name], edge_m)
        corners = after.meshes[0].vertices_m.astype(float)[after.meshes[0].faces]
        points = np.array([k.xyz_object_m for k in after.keypoints])
        for point in points:
            near = closest_point(corners, np.tile(point, (len(corners), 1)))
            assert np.linalg.norm(near - point, axis=1).min() < 1e-6
        moved = np.linalg.norm(points - [k.xyz_object_m for k in before.keypoints], axis=1)
        assert moved.max() > 0.004, "the test's deformation does something"


def test_keypoints_off_the_surface_go_where_their_point_of_space_goes() -> None:
    shape = Asset("box", box(0.2, 0.2, 0.8).meshes, (Keypoint("middle", (0, 0, 0.2), below_m=0.1), Keypoint("far", (0.5, 0, 0))))
    after = deformed(shape, ALL["bend"])
    for old, new in zip(shape.keypoints, after.keypoints, strict=True):
        assert np.allclose(new.xyz_object_m, ALL["bend"](np.array([old.xyz_object_m]))[0])
        assert (new.name, new.below_m) == (old.name, old.below_m)


@pytest.mark.parametrize("name", ALL)
def test_normals_are_those_of_the_deformed_surface(name: str) -> None:
    ball = refined(sphere(0.3).meshes[0], 0.02)
    # A sphere's own normals, since the shape of the tests is flat-shaded.
    smooth = Asset("ball", (type(ball)(ball.vertices_m, ball.faces, ball.vertices_m / np.float32(0.3)),))
    after = deformed(smooth, ALL[name]).meshes[0]
    welded, inverse = np.unique(smooth.meshes[0].vertices_m, axis=0, return_index=False, return_inverse=True)
    vertices = np.zeros((len(welded), 3))
    vertices[inverse.ravel()] = after.vertices_m
    expected = surface_normals(vertices, inverse.ravel()[after.faces].astype(np.int32))[inverse.ravel()]
    assert np.degrees(np.arccos(np.clip((expected * after.normals).sum(1), -1, 1))).mean() < 1.5


def test_shapes_worked_out_on_paper() -> None:
    quarter = bend(math.pi / 2, 1.0)
    radius = 2 / math.pi
    points = np.array([[0, 0, 0.0], [0, 0, 1.0], [0, 0, 1.5], [0.1, 0.2, 1.0], [0.1, 0, -1.0]])
    expected = [[0, 0, 0], [radius, 0, radius], [radius + 0.5, 0, radius], [radius, 0.2, radius - 0.1], [0.1, 0, -1]]
    assert np.allclose(quarter(points), expected)
    assert np.array_equal(bend(0.0, 1.0)(points), points)
    assert np.allclose(twist(math.pi / 2)(np.array([[0.3, 0, 1.0]])), [[0, 0.3, 1.0]])
    assert np.allclose(taper(1.0, 0.5, 2.0)(np.array([[0.4, 0.2, 1.0], [0.4, 0.2, 9.0]])), [[0.3, 0.15, 1], [0.2, 0.1, 9]])
    spread = noise(rng_for(0, 0), 0.01, 0.1)(np.zeros((1, 3)) + np.random.default_rng(0).uniform(-5, 5, (20000, 3)))
    assert spread.shape == (20000, 3)
    shift = ALL["noise"](points) - points
    assert 0 < np.linalg.norm(shift, axis=1).max() < 0.05


def test_rms_of_noise_is_its_amplitude() -> None:
    points = np.random.default_rng(0).uniform(-5, 5, (20000, 3))
    rms = [math.sqrt(float(((noise(rng_for(0, i), 0.02, 0.3)(points) - points) ** 2).sum(1).mean())) for i in range(20)]
    assert np.mean(rms) == pytest.approx(0.02, rel=0.1)


def test_skinning_moves_each_bone_rigidly_and_blends_at_the_joint() -> None:
    bent = elbow(math.pi / 2)
    points: F64 = np.array([[0.05, 0, -0.3], [0.05, 0, 0.4], [0, 0, 0.1]])
    assert np.allclose(bent(points), [[0.05, 0, -0.3], [0.3, 0, 0.05], [0, 0, 0.1]])
    weights = segment_weights(START, END, 0.1)(np.random.default_rng(0).uniform(-1, 1, (100, 3)))
    assert np.allclose(weights.sum(1), 1)
    assert (weights >= 0).all()
    assert np.allclose(blended(points, np.eye(2)[[0, 1, 0]], np.stack([np.eye(4)] * 2)), points)


def test_refined_keeps_the_surface() -> None:
    whole = box(0.2, 0.3, 0.4).meshes[0]
    fine = refined(whole, 0.05)
    corners = fine.vertices_m[fine.faces]
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max() <= 0.05
    before, after = (trimesh.Trimesh(m.vertices_m, m.faces) for m in (whole, fine))
    assert after.area == pytest.approx(before.area, rel=1e-6)
    assert after.volume == pytest.approx(before.volume, rel=1e-6)
    assert fine.uv is not None
    assert refined(whole, 1.0) is whole


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bend(1.0, 1.0, "z", "z"), "bend: needs two different axes"),
        (lambda: bend(1.0, 0.0), "length above 0"),
        (lambda: twist(1.0, "up"), "an axis must be x, y or z, got 'up'"),
        (lambda: taper(0.0, 1.0, 1.0), "taper: start, end and length_m must be above 0"),
        (lambda: noise(rng_for(0, 0), 0.1, 0.0), "noise: wavelength_m and waves must be above 0"),
        (lambda: refined(box().meshes[0], 0.0), "edge_m must be above 0"),
        (lambda: refined(box().meshes[0], 1e-5), "need more than 2000000 triangles"),
    ],
)
def test_a_wrong_call_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
