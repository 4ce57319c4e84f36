"""The stereo depth camera on walls, steps and slopes whose disparity is known on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synth.annotate import finish
from synth.augment.sensor import StereoDepth
from synth.digest import label_digest
from synth.errors import ConfigError
from synth.rand import rng_for
from synth.types import F32, Camera, Draft
from tests.augment.sensor_cases import DOT, dots, flat, spread

WIDTH, HEIGHT, B = 200, 120, 0.06
CAMERA = Camera(np.array([[300.0, 0, 100], [0, 300, 60], [0, 0, 1]]), WIDTH, HEIGHT, np.eye(4))
FB = 300 * B
RNG = rng_for(0, 0, "depth")
Z = np.full((HEIGHT, WIDTH), 2.0, np.float32)


def seen(depth_m: F32, stage: StereoDepth, level: int = 255, seed: int = 0) -> F32:
    out = stage.apply(flat(level, WIDTH, HEIGHT, CAMERA, depth_m), rng_for(seed, 0, "depth"))
    assert out.depth_m is not None
    assert out.depth_m.dtype == np.float32
    return out.depth_m


def step() -> F32:
    """A box at 1 m before a wall at 3 m: disparities 18 and 6 px."""
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    depth[30:90, 80:130] = 1.0
    return depth


@pytest.mark.parametrize("z", [0.7, 1.5, 3.0])
@pytest.mark.parametrize("window", [1.0, 6.0])
def test_noise_grows_with_the_square_of_depth(z: float, window: float) -> None:
    stage = StereoDepth(B, noise_px=0.02, window_px=window, holes=False)
    errors = np.array([seen(z * Z / 2, stage, seed=seed) - z for seed in range(8)])
    assert errors.std() == pytest.approx(z * z / FB * 0.02, rel=0.06 if window > 1 else 0.02)
    assert abs(errors.mean()) < 0.1 * errors.std()
    alike = np.corrcoef(errors[..., :-1].ravel(), errors[..., 1:].ravel())[0, 1]
    assert alike > 0.8 if window > 1 else abs(alike) < 0.02


def test_quantised_depth_lies_on_steps_of_disparity() -> None:
    ramp = np.linspace(0.8, 4, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, 0)
    found = seen(ramp, StereoDepth(B, subpixel=0.25, holes=False))
    steps = FB / found / 0.25
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert (np.abs(found - ramp) <= 0.51 * ramp * found / FB * 0.25).all()
    assert len(np.unique(found)) < 100


@pytest.mark.parametrize("baseline", [B, -B])
def test_holes_are_as_wide_as_the_jump_in_disparity(baseline: float) -> None:
    lost = np.isinf(seen(step(), StereoDepth(baseline)))
    row = lost[60] if baseline > 0 else lost[60, ::-1]
    left = 80 if baseline > 0 else WIDTH - 130
    assert row[:6].all()  # the wall's disparity: out of the second imager's frame
    assert not row[7 : left - 13].any()
    hidden = np.flatnonzero(row[7:left]) + 7
    assert abs(len(hidden) - 12) <= 1
    assert hidden[-1] == left - 1
    assert not row[left:].any()
    above = lost[10] if baseline > 0 else lost[10, ::-1]
    assert not above[7:].any()


@pytest.mark.parametrize("jump", [2, 4, 7])
def test_small_jumps_make_small_holes(jump: int) -> None:
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    depth[:, 100:150] = FB / (6 + jump)
    assert abs(int(np.isinf(seen(depth, StereoDepth(B)))[50, 20:100].sum()) - jump) <= 1


def test_behind_a_pole_the_second_imager_sees_the_wall_again() -> None:
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    depth[:, 120:124] = 0.6  # disparity 30, the wall's 6: hides 4 px of it, 24 px to the left
    lost = np.isinf(seen(depth, StereoDepth(B)))[50]
    hidden = np.flatnonzero(lost[10:]) + 10
    assert 96 - 1 <= hidden.min() <= 96 + 1
    assert hidden.max() <= 101
    assert not lost[102:].any()


def test_a_smooth_slope_has_no_holes() -> None:
    for ramp in (np.linspace(0.8, 3, WIDTH), np.linspace(3, 0.8, WIDTH)):
        depth = ramp.astype(np.float32)[None].repeat(HEIGHT, 0)
        assert not np.isinf(seen(depth, StereoDepth(B)))[:, 24:].any()


@pytest.mark.parametrize("with_normals", [False, True])
@pytest.mark.parametrize(("slope", "kept"), [(0.5, True), (2.0, True), (6.0, False)])
def test_surfaces_tilted_away_drop_out(with_normals: bool, slope: float, kept: bool) -> None:
    # The plane z = 2 + slope * x: along the ray (u, v, 1) at z = 2 / (1 - slope u)
    u = (np.arange(WIDTH) + 0.5 - 100) / 300 / 8  # a narrow view, so that it stays before the camera
    camera = Camera(np.array([[2400.0, 0, 100], [0, 2400, 60], [0, 0, 1]]), WIDTH, HEIGHT, np.eye(4))
    depth = (2 / (1 - slope * u)).astype(np.float32)[None].repeat(HEIGHT, 0)
    normal = np.array([slope, 0, -1]) / np.hypot(slope, 1)
    normals = np.broadcast_to(normal.astype(np.float32), (HEIGHT, WIDTH, 3)) if with_normals else None
    draft = replace(flat(255, WIDTH, HEIGHT, camera, depth), normals=normals)
    out = StereoDepth(0.001, max_tilt_rad=np.arctan(4.0), holes=False).apply(draft, RNG)
    assert out.depth_m is not None
    assert np.isfinite(out.depth_m).mean() == (1.0 if kept else 0.0)


def test_dark_and_distant_surfaces_drop_out() -> None:
    half = StereoDepth(B, min_return=0.25, holes=False)  # of a white wall at 2 m
    assert np.isinf(seen(Z, half)).mean() == pytest.approx(0.5, abs=0.03)
    assert np.isinf(seen(Z / 2, half)).mean() < 0.01
    assert np.isinf(seen(2 * Z, half)).mean() > 0.99
    assert np.isinf(seen(Z, half, level=60)).mean() > 0.99


def test_range() -> None:
    ramp = np.linspace(0.5, 5, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, 0)
    found = seen(ramp, StereoDepth(B, min_m=1.0, max_m=3.0, holes=False))
    assert (np.isfinite(found) == ((ramp >= 1) & (ramp <= 3))).mean() > 0.99
    assert np.nanmax(np.where(np.isfinite(found), found, np.nan)) <= 3.0


def test_off_it_changes_nothing_and_nothing_stays_nothing() -> None:
    depth = step()
    depth[:10] = np.inf
    found = seen(depth, StereoDepth(B, holes=False))
    assert np.isinf(found[:10]).all()
    assert np.allclose(found[10:], depth[10:], rtol=1e-6)
    assert np.isinf(seen(np.full_like(Z, np.inf), StereoDepth(B, noise_px=1.0, subpixel=0.5, min_return=0.1, max_tilt_rad=1.0))).all()


def test_picture_and_labels_stay() -> None:
    draft = dots(spread())
    stage = StereoDepth(B, 0.1, 5.0, 0.125, 1.4, 0.001, 0.3, 4.0)
    out, again = (stage.apply(draft, RNG) for _ in range(2))
    assert out.image is draft.image
    assert label_digest(finish(out, (DOT,))) == label_digest(finish(draft, (DOT,)))
    assert (out.depth_m == again.depth_m).all()
    assert (out.depth_m != stage.apply(draft, rng_for(1, 0, "depth")).depth_m).any()


def test_what_is_not_known_is_asked_for() -> None:
    draft = dots(spread())
    with pytest.raises(ConfigError, match="StereoDepth: this picture has no depth map"):
        StereoDepth().apply(replace(draft, depth_m=None), RNG)
    with pytest.raises(ConfigError, match="or give focal_px"):
        StereoDepth().apply(replace(draft, camera=None), RNG)
    with pytest.raises(ConfigError, match="baseline_m must not be 0"):
        StereoDepth(0.0).apply(draft, RNG)
    given: Draft = StereoDepth(focal_px=300.0, max_tilt_rad=1.4).apply(replace(draft, camera=None), RNG)
    assert given.depth_m is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    camera = Camera.from_fov(width, height, 1.0, np.eye(4))
    stage = StereoDepth(B, 0.1, 5.0, 0.125, 1.4, 0.001)
    for z in (0.0, 1e-3, 1.0, np.inf):
        out = stage.apply(flat(0, width, height, camera, np.full((height, width), z, np.float32)), RNG)
        assert out.depth_m is not None
        assert not np.isnan(out.depth_m).any()
