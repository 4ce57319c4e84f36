"""Random places and looks of cut-outs, and sheets that bend: within their limits, exact where they are exact, one message where not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.annotate import finish
from synth.collage import CollageRenderer
from synth.errors import ConfigError, SceneError
from synth.layout import Blending, Layout
from synth.rand import Choice, Uniform, rng_for
from synth.surfaces import curve, fold
from synth.types import F64, Blend, Category, Cutout, Layer
from synth.warp import through
from tests.flat_shapes import THING, collage, disc, rectangle

CARD = rectangle(60, 30)


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_limits_hold(seed: int) -> None:
    """No labelled cut-out is hidden or outside by more than it may be, as the labels themselves say."""
    layout = Layout(scale=Uniform(0.15, 0.5), turn_rad=Uniform(-3, 3), tilt_rad=Uniform(-0.8, 0.8), truncated=0.3, hidden=0.4)
    cutouts = [CARD, disc(50)[0]] * 5
    labelled = [i % 3 != 1 for i in range(10)]
    places = layout.draw(cutouts, labelled, 320, 240, rng_for(seed, 0))
    layers = [Layer(c, p, THING if has else None) for c, p, has in zip(cutouts, places, labelled, strict=True)]
    sample = finish(CollageRenderer().draw(collage(*layers, size=(320, 240))), (THING,))
    assert len(sample.instances) == sum(labelled)
    for instance in sample.instances:
        assert instance.truncated_fraction is not None
        assert instance.visible_fraction is not None
        assert instance.truncated_fraction <= 0.3 + 0.03
        assert instance.visible_fraction >= (1 - 0.4) * (1 - instance.truncated_fraction) - 0.04


def test_places_are_a_function_of_the_stream_and_later_cutouts_move_no_earlier_ones() -> None:
    layout = Layout(turn_rad=Uniform(-3, 3), hidden=1.0)
    few = layout.draw([CARD] * 3, [True] * 3, 320, 240, rng_for(1, 2))
    more = layout.draw([CARD] * 5, [True] * 5, 320, 240, rng_for(1, 2))
    assert [p.tobytes() for p in few] == [p.tobytes() for p in more[:3]]
    assert few[0].tobytes() != layout.draw([CARD], [True], 320, 240, rng_for(1, 3))[0].tobytes()


def test_what_is_drawn_is_what_was_asked() -> None:
    for index in range(20):
        rng = rng_for(0, index)
        (matrix,) = Layout(scale=0.5, turn_rad=0.4, stretch=1.5, truncated=1.0).draw([CARD], [True], 320, 240, rng)
        u, v = matrix[:2, 0], matrix[:2, 1]
        assert np.linalg.norm(u) * 60 == pytest.approx(120 * math.sqrt(1.5))
        assert np.linalg.norm(u) / np.linalg.norm(v) == pytest.approx(1.5)
        assert math.atan2(u[1], u[0]) == pytest.approx(0.4)
        middle = through(matrix, [30, 15])[0][0]
        assert (middle >= 0).all()
        assert (middle <= (320, 240)).all()
    flipped = Layout(mirror=1.0, turn_rad=0.0).draw([CARD], [True], 320, 240, rng_for(0, 0))[0]
    assert np.linalg.det(flipped) < 0
    tilted = Layout(tilt_rad=1.0).draw([CARD], [True], 320, 240, rng_for(0, 0))[0]
    assert np.abs(tilted[2, :2]).max() > 0
    assert (through(tilted, [[0, 0], [60, 0], [60, 30], [0, 30]])[1] > 0).all()


def test_tilt_is_what_a_camera_sees() -> None:
    """Foreshortened by the cosine across the axis, within what perspective changes over its size."""
    layout = Layout(scale=0.05, turn_rad=0.0, tilt_rad=1.0)
    for index in range(10):
        (matrix,) = layout.draw([CARD], [True], 320, 240, rng_for(0, index))
        flat = replace(layout, tilt_rad=0.0).draw([CARD], [True], 320, 240, rng_for(0, index))[0]
        middle = np.array([30.0, 15.0])
        jacobian = np.stack([(through(matrix, middle + d)[0][0] - through(matrix, middle - d)[0][0]) / 2 for d in np.eye(2)], axis=1)
        ratio = np.linalg.svd(jacobian @ np.linalg.inv(flat[:2, :2]), compute_uv=False)
        assert ratio == pytest.approx([1, math.cos(1.0)], rel=0.02)


def test_over_an_instance_map_its_instances_may_not_be_hidden() -> None:
    below = np.zeros((240, 320), np.int32)
    below[:, :160] = 1
    layout = Layout(scale=0.3, turn_rad=0.0, hidden=0.0, truncated=0.0)
    for index in range(5):
        for matrix in layout.draw([CARD] * 2, [False] * 2, 320, 240, rng_for(0, index), below):
            assert through(matrix, [[0, 0], [0, 30]])[0][:, 0].min() > 157


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Layout(scale=0.9, hidden=0.0, truncated=0.0, tries=20).draw([CARD] * 9, [True] * 9, 320, 240, rng_for(0, 0)),
            r"no place for cut-out 'rectangle' \(\d of 9\) in 20 tries on 320 x 240 px with at most 0% of it outside and 0% of another",
        ),
        (lambda: Layout(scale=0), r"layout.scale must be in \[0.005, 4\], got 0"),
        (lambda: Layout(hidden=Uniform(0.5, 1.5)), r"layout.hidden must be in \[0, 1\]"),
        (lambda: Layout(tries=0), r"layout.tries must be in"),
        (lambda: Blending(mode="blur"), "no blending mode 'blur'; known: feather, gaussian, motion, none, poisson"),
        (lambda: Blending(mode=Choice(["none", "fether"])), "no blending mode 'fether'; did you mean 'feather'"),
        (lambda: Blending(match=2), r"blending.match must be in \[0, 1\], got 2"),
        (lambda: curve(CARD, 2.0), r"curve: angle_rad must be in \[-1.4, 1.4\] and not 0, got 2.0"),
        (lambda: fold(CARD, 0.0), "fold: angle_rad must be"),
        (lambda: fold(CARD, 0.5, at=2), "at in"),
    ],
)
def test_impossible_or_wrong_is_one_message(make: Any, message: str) -> None:
    with pytest.raises((ConfigError, SceneError), match=message):
        make()


# --- looks ------------------------------------------------------------------------------------------------------------


def test_blending_is_a_distribution_over_modes() -> None:
    looks = [Blending().draw(640, 480, rng_for(0, index), number) for index in range(60) for number in range(3)]
    assert {look.mode for look in looks} == {"none", "feather", "gaussian", "motion", "poisson"}
    assert Blending().draw(640, 480, rng_for(0, 5), 1) == looks[16]
    directions = {round(math.atan2(*look.shadow_offset_px[::-1]), 6) for look in looks[:3]}
    assert len(directions) == 1, "one light a picture"
    plain = Blending(mode="none", match=0.0, shadow=0.0).draw(640, 480, rng_for(0, 0), 0)
    assert (plain.mode, plain.width_px, plain.match, plain.shadow) == ("none", 0, 0, 0)
    assert Blending(mode="motion", motion_px=5.0, motion_rad=1.0).draw(64, 48, rng_for(0, 0), 0).width_px == 5
    assert isinstance(plain, Blend)


# --- surfaces ---------------------------------------------------------------------------------------------------------


def dotted(points: list[tuple[float, float]]) -> Cutout:
    """A card with dots, their middles as keypoints."""
    y, x = np.mgrid[:120, :180] + 0.5
    ink = np.zeros((120, 180))
    for px, py in points:
        ink = np.maximum(ink, np.clip(4.5 - np.hypot(x - px, y - py), 0, 1))
    shade = np.round(255 * (1 - ink)).astype(np.uint8)
    return Cutout("card", np.dstack([shade, shade, shade, np.full_like(shade, 255)]), {f"p{i}": p for i, p in enumerate(points)})


def found_dot(sheet: Cutout, near: tuple[float, float]) -> F64:
    rows, columns = sheet.rgba.shape[:2]
    y, x = np.mgrid[:rows, :columns] + 0.5
    white = sheet.rgba[..., 0].astype(np.float64)
    around = np.hypot(x - near[0], y - near[1]) < 7.5
    weight = np.where(around & (sheet.rgba[..., 3] > 250), np.clip(0.75 - white / white[around].max(), 0, None), 0)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([curve, fold]),
    st.floats(0.2, 1.0),
    st.sampled_from([1, -1]),
    st.floats(0, math.pi),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_dots_stay_on_their_keypoints(bend: Any, angle: float, sign: int, axis: float, places: list[float]) -> None:
    points = [(20 + 140 * u, 20 + 80 * v) for u, v in zip(places[::2], places[1::2], strict=False)]
    for point in points:
        bent = bend(dotted([point]), sign * angle, axis_rad=axis, shade=0.0)
        middle = (np.array(point) - (90, 60)) @ (math.sin(axis), -math.cos(axis))
        if bend is fold and abs(middle) < 12:
            continue  # a dot across the fold has its centroid elsewhere
        found = found_dot(bent, bent.keypoints_xy["p0"])
        assert np.hypot(*(found - bent.keypoints_xy["p0"])) < 0.35


def test_a_cylinder_is_as_wide_as_its_sine_and_shaded_away_from_the_light() -> None:
    bent = curve(rectangle(200, 100), 1.0, shade=0.5)
    alpha = bent.rgba[..., 3] > 127
    middle = alpha[alpha.shape[0] // 2]
    depth = (1 - math.cos(1.0)) * 100 / 400
    assert middle.sum() == pytest.approx(200 * math.sin(1.0) / (1 + depth), abs=1.5)
    ink = bent.rgba[alpha.shape[0] // 2, middle, 0].astype(int)
    assert ink[5] > ink[-5] + 40
    assert set(bent.keypoints_xy) == {"a", "b", "c"}


def test_a_fold_is_two_homographies() -> None:
    card = Cutout("card", rectangle(200, 100).rgba, {f"{i}{j}": (50.0 * i, 50.0 * j) for i in range(5) for j in range(3)})
    bent = fold(card, 1.2)
    for side in ((0, 1, 2), (2, 3, 4)):
        flat, seen = (np.array([source[f"{i}{j}"] for i in side for j in range(3)]) for source in (card.keypoints_xy, bent.keypoints_xy))
        rows = []
        for (u, v), (x, y) in zip(flat, seen, strict=True):
            rows += [[u, v, 1, 0, 0, 0, -x * u, -x * v, -x], [0, 0, 0, u, v, 1, -y * u, -y * v, -y]]
        scale = np.linalg.norm(rows, axis=1, keepdims=True)
        assert np.linalg.svd(np.array(rows) / scale)[1][-1] < 1e-5
    assert bent.keypoints_xy["20"][1] < bent.keypoints_xy["00"][1], "the fold points at the viewer"


def test_a_bent_sheet_is_a_layer_like_any_other() -> None:
    kind = Category("card", ("p0",))
    bent = curve(dotted([(40, 30)]), 0.8)
    draft = CollageRenderer().draw(collage(Layer(bent, np.diag([0.5, 0.5, 1]), kind), size=(100, 80)))
    (instance,) = finish(draft, (kind,)).instances
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist() == [2]
    assert instance.keypoints.xy[0] == pytest.approx(np.array(bent.keypoints_xy["p0"]) / 2)


def test_own_size_keeps_proportions_of_cutouts() -> None:
    small, large = (Cutout("c", np.full((side, side, 4), 255, np.uint8)) for side in (20, 60))
    layout = Layout(own_size=1.5, turn_rad=0.0)
    for cutout, side in ((small, 20), (large, 60)):
        shape = layout.shape(cutout, 640, 480, rng_for(1, 0, "layout"))
        assert shape[:2, :2] == pytest.approx(1.5 * np.eye(2))
        corners = shape @ [[0, side], [0, side], [1, 1]]
        assert np.ptp(corners[0] / corners[2]) == pytest.approx(1.5 * side)
    with pytest.raises(ConfigError, match=r"layout\.own_size"):
        Layout(own_size=0.0)
