"""Arrangements: never overlapping, apart by what was asked, inside, and one message where there is no room."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, cKDTree

from synth.compose.arrange import above, place_on, poisson_disk, row, stack, top_of
from synth.compose.placement import Area, stable_poses
from synth.errors import SceneError
from synth.rand import rng_for
from synth.types import Asset
from tests.compose.test_placement import box, holds, outline, random_solid

seeds = st.integers(0, 2**32 - 1)


def stood(asset: Asset, pose: np.ndarray) -> np.ndarray:
    return asset.vertices_m @ pose[:3, :3].T + pose[:3, 3]


@settings(max_examples=20, deadline=None)
@given(seeds, st.booleans(), st.floats(0.1, 0.3))
def test_poisson_disk_is_apart_inside_and_leaves_no_large_hole(seed: int, is_round: bool, spacing: float) -> None:
    points = poisson_disk(Area(2.0, 1.0, is_round), spacing, rng_for(seed, 0))
    assert np.array_equal(points, poisson_disk(Area(2.0, 1.0, is_round), spacing, rng_for(seed, 0)))
    if len(points) > 1:
        assert cKDTree(points).query(points, 2)[0][:, 1].min() >= spacing
    scaled = np.abs(points) / (1.0, 0.5)
    assert ((scaled**2).sum(1) if is_round else scaled.max(1)).max() <= 1
    probe = np.stack(np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-0.5, 0.5, 30)), -1).reshape(-1, 2)
    probe = probe[((probe / (1.0, 0.5)) ** 2).sum(1) <= 1] if is_round else probe
    hole = cKDTree(points).query(probe)[0]
    assert np.mean(hole > spacing) < 0.05, "hardly a place is left for one more"


def test_too_few_points_are_one_message() -> None:
    with pytest.raises(SceneError, match=r"only \d of 50 points are 0.5 m apart on 1.00 x 1.00 m; widen"):
        poisson_disk(Area(1, 1), 0.5, rng_for(0, 0), least=50)


@settings(max_examples=80, deadline=None)
@given(seeds, st.lists(st.floats(0.02, 0.2), max_size=12), st.floats(0, 0.02), st.floats(0, 1))
def test_rows_are_in_order_apart_and_on_the_line(seed: int, widths: list[float], gap: float, spread: float) -> None:
    length = 0.1 + sum(widths) + gap * len(widths)
    middles = row(widths, length, rng_for(seed, 0), gap_m=gap, spread=spread)
    assert len(middles) == len(widths)
    if widths:
        low, high = middles - np.array(widths) / 2, middles + np.array(widths) / 2
        assert (low[1:] - high[:-1] >= gap - 1e-12).all()
        assert low[0] >= -length / 2 - 1e-12
        assert high[-1] <= length / 2 + 1e-12


def test_a_full_row_is_one_message() -> None:
    assert row([0.5, 0.5], 1.0, rng_for(0, 0)) == pytest.approx([-0.25, 0.25])
    with pytest.raises(SceneError, match=r"3 things of 0.300 m in all, 10 mm apart, are 0.120 m too long for a row of 0.200 m"):
        row([0.1] * 3, 0.2, rng_for(0, 0), gap_m=0.01)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_what_is_placed_on_a_top_stays_on_it_and_clear_of_what_is_there(seed: int) -> None:
    table = box(1.0, 0.8, 0.05)
    pose = np.eye(4)
    pose[:3, 3] = -0.5, -0.4, 0.7
    polygon, z = top_of(table, pose)
    assert z == pytest.approx(0.75)
    lamp = np.array([[0.1, 0.1], [0.2, 0.1], [0.2, 0.2], [0.1, 0.2]])
    assets = [box(0.08, 0.05, 0.1)] * 6
    rests = [stable_poses(asset)[0] for asset in assets]
    poses = place_on(rests, ["box"] * 6, polygon, rng_for(seed, 0), z_m=z, taken=[lamp], clearance_m=0.015)
    rims = [outline(lamp, 0.003)]
    for asset, made in zip(assets, poses, strict=True):
        vertices = stood(asset, made)
        assert vertices[:, 2].min() == pytest.approx(z)
        assert (np.abs(vertices[:, :2]) <= (0.5 + 1e-9, 0.4 + 1e-9)).all()
        rims.append(outline(vertices[ConvexHull(vertices[:, :2]).vertices, :2], 0.003))
    for i in range(len(rims)):
        for j in range(i):
            assert cKDTree(rims[i]).query(rims[j])[0].min() >= 0.015 - 1e-9
            assert not holds(rims[i], rims[j]).any()


def test_no_room_on_a_top_names_who_found_none() -> None:
    rests = [stable_poses(box(0.1, 0.1, 0.1))[0]] * 9
    polygon, _ = top_of(box(0.25, 0.25, 0.1), np.eye(4))
    with pytest.raises(SceneError, match=r"no free place for 'box' \(the \d. of 9\) in 400 tries on a top of 0.25 x 0.25 m, 10 mm from"):
        place_on(rests, ["box"] * 9, polygon, rng_for(0, 0))
    with pytest.raises(SceneError, match="'solid' has no flat top in this pose"):
        top_of(random_solid(3), np.eye(4))


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6))
def test_stacks_touch_and_do_not_tip(seed: int, count: int) -> None:
    asset = box(0.12, 0.08, 0.05)
    rest = stable_poses(asset)[0]
    poses = stack([(asset, rest)] * count, rng_for(seed, 0), shift_m=0.03, turn_rad=0.6)
    bodies = [stood(asset, pose) for pose in poses]
    for level, vertices in enumerate(bodies):
        assert vertices[:, 2].min() == pytest.approx(0.05 * level)
        if level:
            mass = np.mean([b[:, :2].mean(0) for b in bodies[level:]], axis=0)  # all weigh the same
            for support in (bodies[level - 1], vertices):
                assert holds(support[ConvexHull(support[:, :2]).vertices, :2], mass[None])[0]


def test_a_stack_that_cannot_stand_is_one_message() -> None:
    slim, wide = box(0.02, 0.02, 0.2), box(0.3, 0.3, 0.02)
    upright = next(r for r in stable_poses(slim) if r.height_m > 0.19) if any(r.height_m > 0.19 for r in stable_poses(slim)) else None
    assert upright is not None
    with pytest.raises(SceneError, match=r"no stable stack of box, box in 200 tries; lower shift_m \(0.5\)"):
        stack([(slim, upright), (wide, stable_poses(wide)[0])], rng_for(2, 0), shift_m=0.5)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 12))
def test_what_starts_above_a_place_is_over_it_and_apart(seed: int, count: int) -> None:
    assets = [box(*np.random.default_rng(seed + i).uniform(0.02, 0.2, 3)) for i in range(count)]
    poses = above(assets, 0.5, 0.4, rng_for(seed, 0), gap_m=0.005, z_m=0.1)
    boxes = [(v.min(0), v.max(0)) for v in (stood(a, p) for a, p in zip(assets, poses, strict=True))]
    for low, high in boxes:
        assert low[2] >= 0.105 - 1e-9
        assert (np.maximum(-low[:2], high[:2]) <= (0.25, 0.2)).all()
    for i, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:i]:
            assert max((low - other_high).max(), (other_low - high).max()) >= 0.005 - 1e-9
    rotations = [p[:3, :3] for p in poses]
    assert all(math.isclose(np.linalg.det(r), 1, rel_tol=1e-9) for r in rotations)


def test_what_is_too_large_to_fall_in_says_so() -> None:
    with pytest.raises(SceneError, match=r"'box' is too large for 0.19 x 0.19 m"):
        above([box(0.4, 0.4, 0.4)], 0.2, 0.2, rng_for(0, 0))
