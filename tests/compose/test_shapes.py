"""Shapes are closed, face outward, have the volume of the solid they stand for, unit normals and texture coordinates in range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.compose import shapes
from synth.errors import ConfigError
from synth.types import Material, Mesh

L_SHAPE = [(0, 0), (0.3, 0), (0.3, 0.1), (0.1, 0.1), (0.1, 0.2), (0, 0.2)]
STAR = [(r * math.cos(a), r * math.sin(a)) for i in range(10) for r, a in [((0.1, 0.04)[i % 2], i * math.pi / 5)]]
STAR_AREA = 10 * 0.5 * 0.1 * 0.04 * math.sin(math.pi / 5)
POLYGON_48 = 24 * math.sin(2 * math.pi / 48)  # area of a 48-gon in the unit circle
CAPSULE = [(0.05 * math.cos(a), 0.05 * math.sin(a) + (0.1 if a > 0 else -0.1)) for a in np.linspace(-math.pi / 2, math.pi / 2, 60)]
CAPSULE[0], CAPSULE[-1] = (0.0, -0.15), (0.0, 0.15)
TUBE = np.linspace(0, 2 * math.pi, 60, endpoint=False)
RING = np.stack([0.1 + 0.03 * np.cos(TUBE), 0.03 * np.sin(TUBE)], 1)[np.arange(61) % 60]


def bevel(area: float, around: float, by: float) -> float:
    """Volume under a bevel at 45 degrees of a right-angled outline: moved inwards by t, its area is area - around t + 4 t2."""
    return area * by - around * by**2 / 2 + 4 * by**3 / 3


SOLIDS: dict[str, tuple[Callable[[], Mesh], float, float]] = {  # made, volume in m3, relative error of its facets
    "box": (lambda: shapes.box((0.1, 0.2, 0.3)), 0.006, 1e-6),
    # twelve prisms along the edges are cut off, and 5/6 of the cube at each corner
    "bevelled box": (lambda: shapes.box((1, 1, 1), 0.1), 1 - 12 * 0.8 * 0.1**2 / 2 - 8 * 5 / 6 * 0.1**3, 1e-5),
    "cylinder": (lambda: shapes.cylinder(0.1, 0.4), POLYGON_48 * 0.01 * 0.4, 1e-5),
    "bevelled cylinder": (
        lambda: shapes.cylinder(0.1, 0.4, 0.02),
        POLYGON_48 * (0.01 * 0.36 + 2 * 0.02 * (0.01 + 0.1 * 0.08 + 0.0064) / 3),
        1e-5,
    ),
    "capsule": (lambda: shapes.revolve(CAPSULE, 96), math.pi * 0.05**2 * 0.2 + 4 / 3 * math.pi * 0.05**3, 5e-3),
    "ring": (lambda: shapes.revolve(RING, 96), 2 * math.pi**2 * 0.1 * 0.03**2, 5e-3),
    "straight sweep": (lambda: shapes.sweep([(0, 0, 0), (0.1, 0.2, 0.2)], 0.05, 48), POLYGON_48 * 0.05**2 * 0.3, 1e-5),
    "tapered sweep": (lambda: shapes.sweep([(0, 0, 0), (0, 0, 0.3)], [0.05, 0], 48), POLYGON_48 * 0.05**2 * 0.1, 1e-5),
    "helix": (
        lambda: shapes.sweep([(0.2 * math.cos(t), 0.2 * math.sin(t), 0.02 * t) for t in np.linspace(0, 9, 300)], 0.01, 48),
        math.pi * 0.01**2 * math.hypot(0.2, 0.02) * 9,
        5e-3,
    ),
    "L": (lambda: shapes.extrude(L_SHAPE, 0.5), 0.04 * 0.5, 1e-5),
    "clockwise L": (lambda: shapes.extrude(L_SHAPE[::-1], 0.5), 0.04 * 0.5, 1e-5),
    "star": (lambda: shapes.extrude(STAR, 0.2), STAR_AREA * 0.2, 1e-5),
    "bevelled L": (lambda: shapes.extrude(L_SHAPE, 0.5, 0.01), 0.04 * 0.48 + 2 * bevel(0.04, 1.0, 0.01), 1e-4),
}


def closed(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices_m.astype(np.float64), mesh.faces)  # points at one place become one


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_outward_and_of_their_volume(name: str) -> None:
    make, volume, error = SOLIDS[name]
    mesh = make()
    solid = closed(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume == pytest.approx(volume, rel=error)
    check_surface(mesh)


def check_surface(mesh: Mesh) -> None:
    """Normals are unit and on the outer side of their faces, uv are in range, the texture is not mirrored."""
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    corners = mesh.vertices_m[mesh.faces].astype(np.float64)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.linalg.norm(faces, axis=1) > 0).all(), "no face without area"
    assert (np.einsum("ij,ikj->ik", faces, mesh.normals[mesh.faces]) > 0).all()
    assert mesh.uv is not None
    assert np.isfinite(mesh.uv).all()


@pytest.mark.parametrize("name", ["box", "bevelled box", "cylinder", "bevelled cylinder", "capsule", "ring", "tapered sweep", "helix"])
def test_texture_coordinates_fill_the_texture_once_and_are_not_mirrored(name: str) -> None:
    mesh = SOLIDS[name][0]()
    assert mesh.uv is not None
    assert mesh.uv.min() == pytest.approx(0, abs=1e-6)
    assert mesh.uv.max() == pytest.approx(1, abs=1e-6)
    uv = mesh.uv[mesh.faces]
    turn = np.cross(uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0])
    downward = mesh.normals[mesh.faces].mean(1)[:, 2] < -0.99
    assert (turn[~downward | (name not in ("cylinder", "bevelled cylinder"))] > -1e-6).all(), "a mirrored texture would read backwards"


def test_a_wall_shows_u_to_the_right_and_v_up() -> None:
    mesh = shapes.box((0.2, 0.4, 0.6))
    assert mesh.uv is not None
    for normal, right in (((1, 0, 0), (0, 1, 0)), ((-1, 0, 0), (0, -1, 0)), ((0, -1, 0), (1, 0, 0)), ((0, 1, 0), (-1, 0, 0))):
        side = mesh.normals @ normal > 0.99
        assert side.sum() == 4
        across, up = mesh.vertices_m[side] @ right, mesh.vertices_m[side][:, 2]
        assert np.allclose(mesh.uv[side], np.stack([across / np.ptp(across) + 0.5, up / 0.6 + 0.5], 1), atol=1e-6)
    top = mesh.normals[:, 2] > 0.99
    assert np.allclose(mesh.uv[top], mesh.vertices_m[top][:, :2] / (0.2, 0.4) + 0.5, atol=1e-6)


def test_extruded_texture_coordinates_are_metres_over_a_tile() -> None:
    mesh = shapes.extrude(L_SHAPE, 0.5, tile_m=0.25)
    assert mesh.uv is not None
    top = mesh.normals[:, 2] > 0.99
    assert np.allclose(mesh.uv[top], mesh.vertices_m[top][:, :2] / 0.25, atol=1e-6)
    assert mesh.uv[np.abs(mesh.normals[:, 2]) < 0.1].max(0) == pytest.approx((1.0 / 0.25, 0.5 / 0.25), abs=1e-5)


def test_round_things_are_smooth_and_edges_are_edges() -> None:
    ball = shapes.revolve(
        [(0.1 * math.cos(a) * (abs(a) < 1.57), 0.1 * math.sin(a)) for a in np.linspace(-math.pi / 2, math.pi / 2, 40)], 64
    )
    assert (np.einsum("ij,ij->i", ball.normals, ball.vertices_m / np.linalg.norm(ball.vertices_m, axis=1, keepdims=True)) > 0.999).all()
    assert len(np.unique(np.round(shapes.box((1, 1, 1)).normals, 3), axis=0)) == 6


def test_a_sheet() -> None:
    mesh = shapes.sheet(0.4, 0.2, 4, 2)
    assert (len(mesh.vertices_m), len(mesh.faces)) == (15, 16)
    assert mesh.uv is not None
    assert np.allclose(mesh.vertices_m, np.column_stack([(mesh.uv - 0.5) * (0.4, 0.2), np.zeros(15)]), atol=1e-7)
    check_surface(mesh)
    assert closed(mesh).area == pytest.approx(0.08, rel=1e-5)


def test_joined_and_moved() -> None:
    steel = Material(metallic=1.0)
    pose = trimesh.transformations.rotation_matrix(0.7, (1, 2, 3))
    pose[:3, 3] = 0.5, 0, 0
    pair = shapes.join([shapes.box((0.1, 0.1, 0.1)), shapes.moved(shapes.cylinder(0.05, 0.1), pose)], steel)
    solid = closed(pair)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(0.001 + POLYGON_48 * 0.05**2 * 0.1, rel=1e-4)
    assert pair.material is steel
    check_surface(pair)
    bare = shapes.join([shapes.box((1, 1, 1)), Mesh([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)], [(0, 0, 1)] * 3)])  # type: ignore[arg-type]
    assert bare.uv is None


@settings(deadline=None)
@given(
    st.lists(st.floats(0.02, 0.2), min_size=4, max_size=24),
    st.floats(0.01, 1),
)
def test_any_star_shaped_outline_is_closed(radii: list[float], height: float) -> None:
    angles = np.linspace(0, 2 * math.pi, len(radii), endpoint=False)
    outline = np.stack([np.cos(angles), np.sin(angles)], 1) * np.array(radii)[:, None]
    x, y = outline.T
    area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
    before, after = outline - np.roll(outline, 1, 0), np.roll(outline, -1, 0) - outline
    if (np.abs(np.cross(before, after)) < 1e-5).any():
        return  # three corners on a line are refused
    solid = closed(shapes.extrude(outline, height))
    assert solid.is_watertight
    assert solid.volume == pytest.approx(area * height, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shapes.box((0.1, 0, 0.1)), "box: its sizes must be above 0, got 0.1, 0, 0.1"),
        (lambda: shapes.box((0.1, 0.2, 0.1), 0.06), r"box: bevel_m must be in \[0, 0.05\)"),
        (lambda: shapes.cylinder(0.1, 0.1, 0.05), r"cylinder: bevel_m must be in \[0, 0.05\)"),
        (lambda: shapes.revolve([(-0.1, 0), (0.1, 1)]), "revolve: .* with r >= 0"),
        (lambda: shapes.sweep([(0, 0, 0), (0, 0, 0)], 0.1), "sweep: path_m must be"),
        (lambda: shapes.extrude([(0, 0), (1, 1), (1, 0), (0, 1)], 1), "extrude: outline_xy_m must not cross itself"),
        (lambda: shapes.extrude(L_SHAPE, 0.5, 0.06), "extrude: bevel_m is too large"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
