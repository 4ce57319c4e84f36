"""2D layers against shapes whose labels are known on paper: areas, boxes, fractions, keypoints, colours at edges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.annotate import finish
from synth.collage import CollageRenderer, lay
from synth.errors import ConfigError
from synth.types import F64, U8, Blend, Bool, Category, Collage, Cutout, Draft, Instance, Layer
from synth.warp import cover, to_linear, to_srgb
from tests.flat_shapes import GREY, THING, collage, disc, only, rectangle, similarity, triangle

MODES = [
    Blend(),
    Blend("feather", 3),
    Blend("gaussian", 1.5),
    Blend("motion", 7.5, 0.4),
    Blend("poisson"),
    Blend(match=0.8, shadow=0.6, shadow_blur_px=4, shadow_offset_px=(5, 7)),
]


def centres(width: int, height: int) -> tuple[F64, F64]:
    y, x = np.mgrid[:height, :width] + 0.5
    return x, y


# --- areas ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [16, 90, 400], ids=["1:1", "shrunk 7x", "shrunk 33x"])
def test_small_disc_has_the_area_of_a_disc(pixels: int) -> None:
    """12 px across: the mean over sub-pixel shifts is within 1 % of the disc's area, and each mask is, but for pixels whose centres lie
    within 0.15 px of the edge, the set of centres that lie in the disc."""
    rng = np.random.default_rng(0)
    shape, radius = disc(pixels)
    x, y = centres(40, 40)
    areas = []
    for _ in range(60):
        cx, cy = 20 + rng.uniform(-0.5, 0.5, 2)
        draft = CollageRenderer().draw(collage(Layer(shape, similarity(shape, 6 / radius, cx, cy), THING), size=(40, 40)))
        mask, beyond = draft.instance == 1, np.hypot(x - cx, y - cy) - 6
        assert (mask == (beyond < 0))[np.abs(beyond) > 0.15].all()
        areas.append(int(mask.sum()))
    assert np.mean(areas) == pytest.approx(math.pi * 36, rel=0.01)


@pytest.mark.parametrize("turn_rad", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("pixels", [20, 200])
def test_small_square_has_the_area_of_a_square(pixels: int, turn_rad: float) -> None:
    """12 px wide, at any shift, also such that its edges run through pixel centres: the mean within 1 %; and upright never off by more
    than the corners."""
    rng = np.random.default_rng(1)
    shape = rectangle(pixels, pixels)
    areas = []
    for i in range(60):
        shift = rng.integers(0, 4, 2) / 4 if i % 2 else rng.uniform(size=2)
        draft = CollageRenderer().draw(collage(Layer(shape, similarity(shape, 12 / pixels, *(20 + shift), turn_rad), THING), size=(40, 40)))
        areas.append(int((draft.instance == 1).sum()))
    assert np.mean(areas) == pytest.approx(144, rel=0.01)
    assert np.abs(np.subtract(areas, 144)).max() <= (2 if turn_rad == 0 else 6)


@settings(max_examples=40, deadline=None)
@given(st.floats(12, 90), st.floats(-math.pi, math.pi), st.floats(0, 1), st.floats(0, 1), st.sampled_from([24, 96, 333]))
def test_a_triangle_is_where_its_corners_say(side_px: float, turn_rad: float, dx: float, dy: float, pixels: int) -> None:
    shape = triangle(pixels)
    matrix = similarity(shape, side_px / pixels, 80 + dx, 80 + dy, turn_rad)
    instance = only(collage(Layer(shape, matrix, THING), size=(160, 160)))
    corners = np.array([shape.keypoints_xy[name] for name in THING.keypoints]) @ matrix[:2, :2].T + matrix[:2, 2]
    x, y = centres(160, 160)
    edges = np.roll(corners, -1, axis=0) - corners
    sides = [(ex * (y - cy) - ey * (x - cx)) / math.hypot(ex, ey) for (cx, cy), (ex, ey) in zip(corners, edges, strict=True)]
    inside = np.max(sides, axis=0) < 0
    assert instance.mask is not None
    wrong = instance.mask.decode() != inside
    texel_px = side_px / pixels  # a corner is as sharp as the cut-out
    assert np.min(np.abs(sides), axis=0)[wrong].max(initial=0) < 0.3 * max(1, texel_px)
    assert instance.visible_fraction == 1
    assert instance.truncated_fraction == 0
    assert instance.box_full_xyxy is not None
    assert np.abs(np.subtract(instance.box_full_xyxy, (*corners.min(0), *corners.max(0)))).max() < max(0.5, 1.2 * side_px / pixels)
    assert instance.keypoints is not None
    assert np.allclose(instance.keypoints.xy, corners, atol=1e-9)


@pytest.mark.parametrize("factor", [0.21, 1.0, 5.3])
def test_box_of_a_rectangle(factor: float) -> None:
    shape = rectangle(40, 20)
    instance = only(collage(Layer(shape, similarity(shape, factor, 150.3, 100.8), THING), size=(320, 240)))
    truth = np.array([150.3 - 20 * factor, 100.8 - 10 * factor, 150.3 + 20 * factor, 100.8 + 10 * factor])
    assert instance.box_full_xyxy == pytest.approx(truth, abs=1e-3)
    assert instance.box_xyxy == pytest.approx(np.round(truth))
    assert instance.obb is not None
    assert (instance.obb.width, instance.obb.height) == pytest.approx((40 * factor, 20 * factor), abs=1)


# --- occlusion and the frame ------------------------------------------------------------------------------------------


def test_what_is_in_front_hides_what_is_behind_to_the_pixel() -> None:
    back, middle, front = rectangle(60, 40), rectangle(30, 40), rectangle(10, 10)
    other = Category("other")
    made = collage(
        Layer(back, similarity(back, 1, 50, 50), THING),
        Layer(middle, similarity(middle, 1, 65, 50), other),
        Layer(front, similarity(front, 1, 35, 50)),
        size=(120, 100),
    )
    draft = CollageRenderer().draw(made)
    sample = finish(draft, (THING, other))
    hidden, whole = sample.instances
    assert [i.category for i in sample.instances] == ["thing", "other"]
    assert hidden.area_px == 60 * 40 - 30 * 40 - 100
    assert hidden.visible_fraction == hidden.area_px / 2400
    assert hidden.box_xyxy == (20, 30, 50, 70)
    assert hidden.box_full_xyxy == pytest.approx((20, 30, 80, 70))
    assert hidden.mask_full is not None
    assert hidden.mask_full.decode().sum() == 2400
    assert (whole.area_px, whole.visible_fraction) == (1200, 1)
    assert (draft.instance[45:55, 30:40] == 0).all(), "a distractor hides and has no label"
    assert hidden.keypoints is not None
    assert hidden.keypoints.v.tolist() == [2, 1, 1], "the corners at the left are seen, the one at the right is hidden"


@pytest.mark.parametrize(("x", "inside"), [(0, 0.5), (-10, 0.25), (-19, 0.025), (-500, 0.0), (110, 0.25)])
def test_truncation(x: float, inside: float) -> None:
    shape = rectangle(40, 20)
    instance = only(collage(Layer(shape, similarity(shape, 1, x, 50), THING), size=(100, 100)))
    assert instance.truncated_fraction == pytest.approx(1 - inside, abs=1e-6)
    assert instance.visible_fraction == pytest.approx(inside, abs=1e-6)
    assert instance.box_full_xyxy == pytest.approx((x - 20, 40, x + 20, 60))
    assert (instance.box_xyxy is None) == (inside == 0)


def test_a_layer_many_times_the_frame_keeps_its_fractions() -> None:
    shape = rectangle(50, 50)
    instance = only(collage(Layer(shape, similarity(shape, 40, 50, 50), THING), size=(100, 80)))
    assert instance.area_px == 8000
    assert instance.visible_fraction == pytest.approx(8000 / 2000**2, rel=0.02)
    assert instance.box_full_xyxy == pytest.approx((-950, -950, 1050, 1050))


def test_keypoints_without_place_and_hidden_by_the_object_itself() -> None:
    shape = rectangle(40, 20)
    shape = Cutout("card", shape.rgba, {"a": (5.0, 5.0), "b": (20.0, 10.0)}, frozenset({"b"}))
    instance = only(collage(Layer(shape, similarity(shape, 1, 50, 50), THING), size=(100, 100)))
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist() == [2, 1, 0]
    assert instance.keypoints.xy.tolist() == [[35, 45], [50, 50], [0, 0]]


def test_a_mirrored_layer_swaps_left_and_right() -> None:
    pair = Category("pair", ("left", "right"), (("left", "right"),))
    shape = Cutout("pair", rectangle(40, 20).rgba, {"left": (2.0, 10.0), "right": (38.0, 10.0)})
    flip = similarity(shape, 1, 50, 50) @ np.array([[-1.0, 0, 40], [0, 1, 0], [0, 0, 1]])
    for matrix in (flip, -2.0 * flip):  # a homography has no sign of its own, but its w has
        draft = CollageRenderer().draw(collage(Layer(shape, matrix, pair), size=(100, 100)))
        if matrix is flip:
            assert draft.instances[0].keypoint_xy.tolist() == [[32, 50], [68, 50]]
        else:
            assert not draft.instances[0].keypoint_front.any()


# --- perspective ------------------------------------------------------------------------------------------------------


def brute_force(shape: Cutout, matrix: F64, width: int, height: int, margin: int) -> Bool:
    """Centres of the grown frame whose preimage is opaque and in front; alpha is binary here."""
    x, y = centres(width + 2 * margin, height + 2 * margin)
    back = np.linalg.inv(matrix) @ np.stack([(x - margin).ravel(), (y - margin).ravel(), np.ones(x.size)])
    u, v = back[:2] / back[2]
    rows, columns = shape.rgba.shape[:2]
    inside = (back[2] > 0) & (u >= 0) & (u < columns) & (v >= 0) & (v < rows)
    inside[inside] = shape.rgba[v[inside].astype(int), u[inside].astype(int), 3] > 127
    return np.asarray(inside.reshape(x.shape))


@settings(max_examples=20, deadline=None)
@given(st.floats(-1.2, 1.2), st.floats(-math.pi, math.pi), st.floats(0.2, 3), st.integers(0, 2**20))
def test_homographies_agree_with_brute_force(tilt_rad: float, axis_rad: float, factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, _ = disc(90)
    shape = Cutout("disc", np.where(shape.rgba[..., 3:] > 127, np.uint8([200, 30, 30, 255]), np.uint8(0)), {"a": (20.0, 30.0)})
    axis = np.array([[math.cos(axis_rad), -math.sin(axis_rad), 0], [math.sin(axis_rad), math.cos(axis_rad), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, math.cos(tilt_rad), 0], [0, math.sin(tilt_rad) / 300, 1]])
    to_place = np.array([[1, 0, rng.uniform(0, 160)], [0, 1, rng.uniform(0, 120)], [0, 0, 1]])
    matrix = to_place @ axis @ tilt @ axis.T @ similarity(shape, factor, 0, 0)
    instance = only(collage(Layer(shape, matrix, THING), size=(160, 120)))
    truth = brute_force(shape, matrix, 160, 120, 400)
    inside = truth[400:520, 400:560]
    assert instance.mask is not None
    if inside.sum() > 200:
        mask = instance.mask.decode()
        assert (mask & inside).sum() / (mask | inside).sum() > 0.93
    if truth.sum() > 200:
        assert instance.truncated_fraction == pytest.approx(1 - inside.sum() / truth.sum(), abs=0.02)
    assert instance.keypoints is not None
    u, v, w = matrix @ [20, 30, 1]
    if instance.keypoints.v[0]:
        assert np.allclose(instance.keypoints.xy[0], (u / w, v / w))


@pytest.mark.parametrize("roll_rad", [0.0, 0.6, 2.5])
def test_what_is_behind_the_viewer_is_not_seen(roll_rad: float) -> None:
    """A floor that passes under the viewer: nothing beyond the horizon, though its part behind the viewer maps there, into the frame."""
    shape = Cutout("floor", rectangle(100, 100).rgba, {"a": (50.0, 10.0), "b": (50.0, 90.0)})
    floor = np.array([[1.5, 0, -75], [0, 0, 5], [0, 0.01, -0.3]])  # w = 0 at v = 30; seen at y = 5 / w
    c, s = math.cos(roll_rad), math.sin(roll_rad)
    matrix = np.array([[c, -s, 80], [s, c, 60], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, 1, 10], [0, 0, 1]]) @ floor
    instance = only(collage(Layer(shape, matrix, THING), size=(160, 120)))
    truth = brute_force(shape, matrix, 160, 120, 0)
    assert brute_force(shape, -matrix, 160, 120, 0).sum() > 300, "the part behind would show"
    assert instance.mask is not None
    mask = instance.mask.decode()
    assert truth.sum() > 1000
    assert (mask & truth).sum() / (mask | truth).sum() > 0.97
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist()[0] == 0
    behind = only(collage(Layer(shape, -np.eye(3), THING), size=(160, 120)))
    assert (behind.area_px, behind.box_full_xyxy, behind.truncated_fraction) == (0, None, 1)


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (20, 200, 90), (90, 90, 250)], ids=str)
@pytest.mark.parametrize("factor", [0.125, 0.117, 0.6, 1.0, 3.0])
def test_no_halo(background: tuple[int, int, int], factor: float) -> None:
    """Each pixel of a red square with a transparent, garish rim lies between red and the background, in linear light."""
    rgba = np.zeros((120, 120, 4), np.uint8)
    rgba[..., :3] = (0, 255, 255)  # what is transparent has no colour to give
    rgba[20:-20, 20:-20] = (220, 30, 30, 255)
    shape = Cutout("square", rgba)
    for turn in (0.0, 0.4):
        canvas = np.full((150, 150, 3), background, np.uint8)
        made = Collage(canvas, (Layer(shape, similarity(shape, factor, 75.3, 75.6, turn), THING),))
        image = CollageRenderer().draw(made).image
        low, high = np.minimum(background, (220, 30, 30)), np.maximum(background, (220, 30, 30))
        assert (image >= low).all()
        assert (image <= high).all()
        red, behind = to_linear(np.uint8([220, 30, 30])), to_linear(np.uint8(background))
        axis = red - behind
        light = to_linear(image) - behind
        share = light @ axis / (axis @ axis)
        off = np.abs(light - share[..., None] * axis).max(axis=2)
        assert off.max() < 0.006, "one step of a byte"
        assert (image[60:90, 60:90] == (220, 30, 30)).all() or factor < 0.4


def test_a_shrunk_checkerboard_is_grey_in_linear_light() -> None:
    y, x = np.mgrid[:256, :256]
    board = ((x + y) % 2 * 255).astype(np.uint8)
    shape = Cutout("board", np.dstack([board, board, board, np.full_like(board, 255)]))
    image = CollageRenderer().draw(collage(Layer(shape, similarity(shape, 1 / 8, 32, 32), THING), size=(64, 64))).image
    inner = image[20:44, 20:44]
    assert np.ptp(inner) <= 1, "no moire"
    assert inner.mean() == pytest.approx(188, abs=1)  # half the light of white


def test_bytes_come_back_from_linear_light_and_untouched_pixels_stay() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_srgb(to_linear(values)), values)
    background = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    shape = rectangle(20, 10)
    draft = CollageRenderer().draw(Collage(background, (Layer(shape, similarity(shape, 1, 40, 30), THING),)))
    assert np.array_equal(draft.image[draft.instance == 0], background[draft.instance == 0])
    assert (draft.image[draft.instance == 1] == shape.rgba[5, 5, :3]).all()


# --- blending ---------------------------------------------------------------------------------------------------------


def photo(seed: int = 0, width: int = 160, height: int = 120) -> U8:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(40, 220, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


@pytest.mark.parametrize("how", MODES, ids=lambda b: b.mode + ("+light" if b.match else ""))
def test_labels_do_not_depend_on_the_blend(how: Blend) -> None:
    shape, _ = disc(60)
    tiny = rectangle(3, 60)
    places = [(80, 60), (2, 50), (158, 118), (-300, 0)]
    layers = [Layer(shape, similarity(shape, 0.7, *xy), THING) for xy in places]
    layers.append(Layer(tiny, similarity(tiny, 1, 30, 60), THING))
    plain = CollageRenderer().draw(Collage(photo(), tuple(layers)))
    blended = CollageRenderer().draw(Collage(photo(), tuple(replace(layer, blend=how) for layer in layers)))
    assert np.array_equal(plain.instance, blended.instance)
    for a, b in zip(finish(plain, (THING,)).instances, finish(blended, (THING,)).instances, strict=True):
        assert repr(a) == repr(b)
        assert a.mask == b.mask
    changed = (plain.image != blended.image).any()
    assert changed == (how != Blend())
    again = CollageRenderer().draw(Collage(photo(), tuple(replace(layer, blend=how) for layer in layers)))
    assert np.array_equal(again.image, blended.image)


def drawn(how: Blend, background: U8 | None = None) -> tuple[Any, Draft]:
    shape, _ = disc(60)
    made = Collage(photo() if background is None else background, (Layer(shape, similarity(shape, 0.7, 80, 60), THING, how),))
    draft = CollageRenderer().draw(made)
    return to_linear(draft.image).astype(np.float64), draft


def test_feather_fades_within_the_edge_and_gaussian_on_both_sides() -> None:
    background = np.full((120, 160, 3), 30, np.uint8)
    plain, _ = drawn(Blend(), background)
    feather, _ = drawn(Blend("feather", 5), background)
    gauss, _ = drawn(Blend("gaussian", 3), background)
    behind = to_linear(background)[0, 0, 0]
    x, y = centres(160, 120)
    beyond = np.hypot(x - 80, y - 60) - 19.6
    assert np.allclose(feather[beyond > 1.0], behind)
    assert np.allclose(feather[beyond < -6.5], plain[beyond < -6.5])
    ramp = (feather[60, 80:101, 0] - behind) / (plain[60, 80, 0] - behind)
    assert (np.diff(ramp) <= 1e-6).all()
    assert ramp[-2] < 0.2
    outside = (beyond > 1) & (beyond < 3)
    assert (gauss[outside][:, 0] > behind + 0.01).all()
    edge = np.abs(beyond) < 0.25
    assert ((gauss[edge][:, 0] - behind) / (plain[60, 80, 0] - behind)).mean() == pytest.approx(0.5, abs=0.05)


def test_motion_keeps_the_light_and_has_its_length_and_angle() -> None:
    background = np.zeros((120, 160, 3), np.uint8)
    plain, _ = drawn(Blend(), background)
    for angle in (0.0, 0.7, math.pi / 2):
        moved, _ = drawn(Blend("motion", 12.0, angle), background)
        assert moved.sum() == pytest.approx(plain.sum(), rel=0.01)
        x, y = centres(160, 120)

        def spread(light: Any, angle: float = angle, x: F64 = x, y: F64 = y) -> tuple[float, float]:
            weight = light[..., 0] / light[..., 0].sum()
            along = (x - 80) * math.cos(angle) + (y - 60) * math.sin(angle)
            mean = float((weight * along).sum())
            return mean, float((weight * (along - mean) ** 2).sum())

        mean, variance = spread(moved)
        mean_plain, variance_plain = spread(plain)
        assert mean == pytest.approx(mean_plain, abs=0.1)
        assert variance - variance_plain == pytest.approx(12.0**2 / 12, rel=0.1)


def test_poisson_takes_the_light_of_what_is_around_and_works_at_the_edge_and_on_thin_things() -> None:
    shape = rectangle(40, 40)
    stripes = shape.rgba.copy()
    stripes[::4, :, :3] = 250
    striped = Cutout("striped", stripes)
    for xy in ((80, 60), (0, 0), (160, 60), (80, 119)):
        layer = Layer(striped, similarity(striped, 1, *xy), THING, Blend("poisson"))
        dark, light = (CollageRenderer().draw(Collage(np.full((120, 160, 3), value, np.uint8), (layer,))) for value in (60, 180))
        mask = dark.instance == 1
        assert light.image[mask].mean() - dark.image[mask].mean() > 60
        assert dark.image[mask].std() > 10, "its own texture stays"
    thin = Cutout("thin", stripes[:3].copy())
    draft = CollageRenderer().draw(collage(Layer(thin, similarity(thin, 1, 50, 50), THING, Blend("poisson")), size=(100, 100)))
    assert (draft.image[draft.instance == 1] != GREY).any()


def test_match_moves_the_mean_towards_the_surroundings() -> None:
    background = photo(3)
    _, draft = drawn(Blend(), background)
    around = to_linear(background[30:90, 50:110]).mean(axis=(0, 1))
    mask = draft.instance == 1
    distance = [np.abs(drawn(Blend(match=strength), background)[0][mask].mean(axis=0) - around).max() for strength in (0.0, 0.5, 1.0)]
    assert distance[0] > distance[1] > distance[2]
    assert distance[2] < 0.4 * distance[0]


def test_shadow_falls_where_it_is_said_and_only_darkens() -> None:
    background = np.full((120, 160, 3), 200, np.uint8)
    light = to_linear(background)
    shaded, _ = drawn(Blend(shadow=0.5, shadow_blur_px=0.0, shadow_offset_px=(12, 0)), background)
    x, y = centres(160, 120)
    outside = np.hypot(x - 80, y - 60) > 21
    assert (shaded[outside] <= light[outside] + 1e-6).all()
    shadow = (np.hypot(x - 92, y - 60) < 18) & (np.hypot(x - 80, y - 60) > 22)
    assert shaded[shadow] == pytest.approx(0.5 * light[0, 0, 0], abs=0.01)


# --- over a draft, and bad calls --------------------------------------------------------------------------------------


def test_layers_over_a_draft_hide_its_instances_and_its_depth() -> None:
    back = rectangle(40, 40)
    base = CollageRenderer().draw(collage(Layer(back, similarity(back, 1, 50, 50), THING), size=(100, 100)))
    base = replace(base, depth_m=np.full((100, 100), 2.0, np.float32), normals=np.ones((100, 100, 3), np.float32))
    front = rectangle(20, 40)
    draft = lay(base, [Layer(front, similarity(front, 1, 60, 50)), Layer(front, similarity(front, 1, 90, 50), THING)])
    hidden, added = finish(draft, (THING,)).instances
    assert (hidden.area_px, hidden.visible_fraction) == (800, 0.5)
    assert added.area_px == 800
    assert draft.depth_m is not None
    assert draft.normals is not None
    assert np.isinf(draft.depth_m).sum() == 1600
    assert (draft.normals == 0).all(axis=2).sum() == 1600
    assert np.isfinite(base.depth_m).all()
    assert base.instance.max() == 1


def test_a_photo_covers_the_frame() -> None:
    x = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None], (50, 100, 3))
    assert cover(x, 50, 50)[0, :, 0].tolist() == list(range(25, 75))
    assert cover(x, 50, 50, at=(0, 0))[0, 0, 0] == 0
    assert cover(x, 50, 50, mirror=True)[0, 0, 0] == 74
    assert cover(x, 50, 50, zoom=2).shape == (50, 50, 3)
    assert cover(x, 640, 480, zoom=20).shape == (480, 640, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cutout("a", np.zeros((4, 4, 3), np.uint8)), r"cut-out 'a': rgba must have shape \(n, n, 4\), got \(4, 4, 3\)"),
        (lambda: Cutout("a", np.zeros((4, 4, 4), np.uint8)), "cut-out 'a': nothing of it is opaque"),
        (lambda: Cutout("a", np.full((4, 4, 4), 255, np.uint8), {"x": (math.nan, 0)}), "keypoint 'x' must be two finite numbers"),
        (lambda: Cutout("a", np.full((4, 4, 4), 255, np.uint8), {}, frozenset({"x"})), r"hidden names keypoints that it lacks: \['x'\]"),
        (lambda: Layer(rectangle(4, 4), np.zeros((3, 3))), "layer 'rectangle': image_from_layer must be finite and invertible"),
        (lambda: Layer(rectangle(4, 4), np.eye(4)), r"image_from_layer must have shape \(3, 3\)"),
        (lambda: Blend("blur"), "Blend: mode must be one of none, feather, gaussian, poisson, motion, got 'blur'"),  # type: ignore[arg-type]
        (lambda: Blend("feather", -1), r"Blend: width_px must be in \[0, 256\], got -1"),
        (lambda: Blend(match=2), r"Blend: match must be in \[0, 1\]"),
        (lambda: Collage(np.zeros((4, 4), np.uint8), ()), r"Collage: background must have shape \(n, n, 3\)"),
        (lambda: Collage(np.zeros((0, 4, 3), np.uint8), ()), "Collage: the background must have pixels"),
    ],
)
def test_wrong_values_are_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_nothing_on_a_photo_is_the_photo() -> None:
    draft = CollageRenderer().draw(Collage(photo(), ()))
    assert np.array_equal(draft.image, photo())
    assert draft.instances == ()
    assert (draft.depth_m, draft.camera) == (None, None)
    instance: tuple[Instance, ...] = finish(draft, ()).instances
    assert instance == ()
