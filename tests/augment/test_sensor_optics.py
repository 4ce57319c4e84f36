"""The lens: where it puts points, how dark it makes corners, and how wide its discs are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.annotate import annotate, finish
from synth.augment.sensor import ChromaticAberration, Defocus, LensDistortion, Shot, Vignetting
from synth.augment.sensor.defocus import blurred, disc_kernel
from synth.augment.sensor.fields import directions
from synth.errors import ConfigError
from synth.geometry import pixel_centers, rays
from synth.rand import Uniform, rng_for
from synth.render.flat import FlatRenderer
from synth.types import F64, Camera, Draft
from tests.augment.sensor_cases import CAMERA, DOT, HEIGHT, WIDTH, centroid, decoded, disc, dots, encoded, flat, inside, spread
from tests.shapes import BOX, LENS, SPHERE, random_world

RNG = rng_for(0, 0, "lens")
CURVES = [(-0.3, 0.1, 0.0, 0.0, 0.0), (0.25, 0.0, 0.0, 0.0, 0.0), (-0.1, 0.05, 0.004, -0.006, 0.02), LENS]


def lens(curve: tuple[float, ...], fill: bool = False) -> LensDistortion:
    return LensDistortion(*curve, fill=fill)


def opencv(camera: Camera, xyz_m: F64, curve: tuple[float, ...]) -> F64:
    """Where cv2 puts points, in synth's pixel law."""
    k = camera.image_from_camera.copy()
    k[:2, 2] -= 0.5
    return np.asarray(cv2.projectPoints(xyz_m, np.zeros(3), np.zeros(3), k, np.array(curve))[0].reshape(-1, 2) + 0.5)


# --- distortion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("fill", [False, True])
def test_points_and_dots_lie_where_opencv_projects_them(curve: tuple[float, ...], fill: bool) -> None:
    xyz = spread(1)
    out = lens(curve, fill).apply(dots(xyz), RNG)
    assert out.camera is not None
    assert out.camera.distortion == curve
    if not fill:
        assert (out.camera.image_from_camera == CAMERA.image_from_camera).all()
    expected = opencv(out.camera, xyz, curve)
    seen = 0
    for item, xy in zip(out.instances, expected, strict=True):
        assert np.abs(item.keypoint_xy[0] - xy).max() < 1e-6
        if inside(xy):
            seen += 1
            assert np.linalg.norm(centroid(out.image, xy) - xy) < 0.2
            row, column = np.floor(xy[::-1]).astype(int)
            assert out.instance[row, column] == out.instances.index(item) + 1
    assert seen >= 8


@pytest.mark.parametrize("curve", CURVES)
def test_opencv_undoes_it(curve: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    image = encoded(cv2.GaussianBlur(rng.uniform(0, 1, (HEIGHT, WIDTH, 3)), (0, 0), 6) * 4 - 1.5)
    draft = Draft(image, np.zeros((HEIGHT, WIDTH), np.int32), (), None, None, CAMERA)
    bent = lens(curve).apply(draft, RNG)
    k = CAMERA.image_from_camera.copy()
    k[:2, 2] -= 0.5
    maps = cv2.initUndistortRectifyMap(k, np.array(curve), np.eye(3), k, (WIDTH, HEIGHT), cv2.CV_32FC1)
    again = cv2.remap(bent.image, *maps, cv2.INTER_LINEAR).astype(int)
    shown = cv2.remap(cv2.erode((bent.image.sum(axis=-1) > 0).astype(np.uint8), np.ones((7, 7))), *maps, cv2.INTER_NEAREST) > 0
    error = np.abs(again - image).max(axis=-1)[shown]
    assert shown.mean() > 0.6
    assert np.percentile(error, 99) <= 12
    assert error.mean() < 2.5


@pytest.mark.parametrize("curve", CURVES)
def test_masks_are_what_opencv_s_lens_shows_of_the_picture(curve: tuple[float, ...]) -> None:
    compared = 0
    for seed in range(3):
        world = random_world(seed)
        draft = annotate(world, FlatRenderer().render(world))
        out = lens(curve).apply(draft, RNG)
        k = world.camera.image_from_camera.copy()
        k[:2, 2] -= 0.5
        centres = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 1, 2).astype(np.float64)
        precise = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-10)
        source = cv2.undistortPointsIter(centres, k, np.array(curve), np.eye(3), k, precise).reshape(HEIGHT, WIDTH, 2)
        column, row = (np.rint(source[..., i]).astype(int) for i in range(2))
        there = (column >= 0) & (row >= 0) & (column < WIDTH) & (row < HEIGHT)
        expected = np.where(there, draft.instance[np.clip(row, 0, HEIGHT - 1), np.clip(column, 0, WIDTH - 1)], 0)
        for number, instance in enumerate(finish(out, (BOX, SPHERE)).instances, start=1):
            truth = expected == number
            if truth.sum() >= 400:
                assert instance.mask is not None
                mask = instance.mask.decode()
                assert (mask & truth).sum() / (mask | truth).sum() >= 0.98
                compared += 1
    assert compared >= 8


@pytest.mark.parametrize("seed", [1, 3])
def test_labels_are_those_of_a_picture_taken_through_the_lens(seed: int) -> None:
    world = random_world(seed)
    draft = annotate(world, FlatRenderer().render(world))
    out = LensDistortion(*LENS).apply(draft, RNG)
    assert out.camera is not None
    assert out.camera.image_from_camera[0, 0] > world.camera.image_from_camera[0, 0]
    bent = replace(world, camera=out.camera)
    truth = finish(annotate(bent, FlatRenderer().render(bent)), (BOX, SPHERE))
    for got, want in zip(finish(out, (BOX, SPHERE)).instances, truth.instances, strict=True):
        assert got.mask is not None
        assert want.mask is not None
        assert got.keypoints is not None
        assert want.keypoints is not None
        a, b = got.mask.decode(), want.mask.decode()
        # An edge drawn twice, on the pixels of two pictures, errs by a third of a pixel: of a small object more than 2 % of its area.
        edge = b.sum() - cv2.erode(b.astype(np.uint8), np.ones((3, 3))).sum()
        assert (a ^ b).sum() <= 0.4 * edge
        assert (got.keypoints.v > 0).tolist() == (want.keypoints.v > 0).tolist()
        assert np.abs(got.keypoints.xy - want.keypoints.xy).max() < 1e-6
        assert got.visible_fraction == pytest.approx(want.visible_fraction, abs=0.03)
        assert got.truncated_fraction == pytest.approx(want.truncated_fraction, abs=0.03)
        assert np.abs(np.subtract(got.box_full_xyxy, want.box_full_xyxy)).max() < 1.0  # type: ignore[arg-type]
        assert (got.camera_from_object == want.camera_from_object).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("fill", [False, True])
def test_silhouettes_outside_the_frame_follow(fill: bool) -> None:
    base = dots(spread(0, 1))
    item = disc(np.array([-160.0, 20.0]), 90.0)
    out = lens(LENS, fill).apply(replace(base, instances=(item,), instance=np.zeros_like(base.instance)), RNG)
    assert out.camera is not None
    k = CAMERA.image_from_camera
    xyz = np.column_stack([(item.outline_xy - k[:2, 2]) / k[0, 0], np.ones(len(item.outline_xy))])
    outline = opencv(out.camera, xyz, LENS)
    moved = out.instances[0]
    assert np.abs(moved.outline_xy[: len(outline)] - outline).max() < 1e-6
    area = cv2.contourArea(outline.astype(np.float32)[:, None])
    assert moved.silhouette.bits.sum() + moved.silhouette.beyond_px == pytest.approx(area, rel=0.01)


@settings(max_examples=20, deadline=None)
@given(k1=st.integers(-25, 40), k2=st.integers(-2, 5), p1=st.integers(-10, 10), seed=st.integers(0, 1000))
def test_dots_stay_on_their_keypoints(k1: int, k2: int, p1: int, seed: int) -> None:
    out = LensDistortion(k1 / 100, k2 / 100, p1 / 1000).apply(dots(spread(seed, 8)), RNG)
    for item in out.instances:
        if inside(item.keypoint_xy[0]):
            assert np.linalg.norm(centroid(out.image, item.keypoint_xy[0]) - item.keypoint_xy[0]) < 0.2


@pytest.mark.parametrize("curve", CURVES)
def test_a_filled_picture_has_no_edge(curve: tuple[float, ...]) -> None:
    white = flat(255, WIDTH, HEIGHT, CAMERA)
    assert (lens(curve, True).apply(white, RNG).image == 255).all()
    if curve[0] < 0:
        assert not lens(curve).apply(white, RNG).image[0, 0].any()


def test_a_lens_on_a_lens_and_a_lens_on_nothing_are_refused() -> None:
    once = LensDistortion(-0.1).apply(dots(spread()), RNG)
    with pytest.raises(ConfigError, match=r"has distortion .* already"):
        LensDistortion(-0.1).apply(once, RNG)
    with pytest.raises(ConfigError, match="give fov_rad"):
        LensDistortion(-0.1).apply(replace(once, camera=None), RNG)
    assumed = LensDistortion(-0.1, fov_rad=1.0).apply(replace(dots(spread()), camera=None), RNG)
    assert assumed.camera is None
    assert (assumed.image == once.image).all()
    with pytest.raises(ConfigError, match="folds the picture"):
        LensDistortion(p1=1.0, fill=False).apply(dots(spread()), RNG)


def test_a_lens_of_zeros_changes_nothing() -> None:
    draft = dots(spread())
    out = LensDistortion().apply(draft, RNG)
    assert (out.image == draft.image).all()
    assert out.camera is draft.camera


def test_depth_moves_with_the_picture() -> None:
    draft = dots(spread())
    ramp = np.linspace(1, 2, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, 0)
    out = lens(CURVES[0], True).apply(replace(draft, depth_m=ramp), RNG)
    assert out.camera is not None
    assert out.depth_m is not None
    xy = rays(out.camera, pixel_centers(WIDTH, HEIGHT))[..., 0] * CAMERA.image_from_camera[0, 0] + WIDTH / 2
    assert np.abs(out.depth_m - (1 + (xy - 0.5) / (WIDTH - 1))).max() < 0.6 / WIDTH


@pytest.mark.parametrize("curve", CURVES)
def test_directions_are_rays(curve: tuple[float, ...]) -> None:
    camera = replace(CAMERA, distortion=curve)
    assert np.abs(directions(camera) - rays(camera, pixel_centers(WIDTH, HEIGHT))[..., :2]).max() * CAMERA.image_from_camera[0, 0] < 1e-2


# --- vignetting and colours -------------------------------------------------------------------------------------------


def test_natural_vignetting_is_the_fourth_power_of_the_cosine() -> None:
    out = Vignetting().expose(Shot.of(flat(255, WIDTH, HEIGHT, CAMERA)), RNG).pixels[..., 1]
    for row, column in ((0, 0), (120, 160), (30, 280), (239, 5)):
        ray = np.array([*(np.array([column + 0.5, row + 0.5]) - (WIDTH / 2, HEIGHT / 2)) / CAMERA.image_from_camera[0, 0], 1])
        cosine = 1 / np.linalg.norm(ray)
        assert out[row, column] == pytest.approx(cosine**4, rel=1e-5)
    half = Vignetting(0.5).expose(Shot.of(flat(255, WIDTH, HEIGHT, CAMERA)), RNG).pixels[..., 1]
    assert np.allclose(half, np.sqrt(out), rtol=1e-4)


def test_vignetting_by_polynomial_reaches_its_sum_in_the_corner() -> None:
    out = Vignetting(0.0, -0.2, -0.1, -0.05).expose(Shot.of(flat(255, 301, 201)), RNG).pixels
    assert out[100, 150, 0] == pytest.approx(1.0, abs=1e-4)
    u = ((150.0**2 + 100.0**2) / (150.5**2 + 100.5**2)) ** np.arange(1, 4)
    assert out[0, 0, 0] == pytest.approx(1 - u @ (0.2, 0.1, 0.05), abs=1e-5)


def test_chromatic_aberration_moves_dots_of_red_and_blue() -> None:
    draft = dots(spread(3))
    out = ChromaticAberration(2.0, -1.5).apply(draft, RNG).image
    middle, corner = np.array([WIDTH / 2, HEIGHT / 2]), np.hypot(WIDTH, HEIGHT) / 2
    for item in draft.instances:
        xy = item.keypoint_xy[0]
        if not inside(xy):
            continue
        for channel, shift in ((0, 2.0), (1, 0.0), (2, -1.5)):
            expected = middle + (xy - middle) * (1 + shift / corner)
            assert np.linalg.norm(centroid(out[..., [channel] * 3], xy) - expected) < 0.1


# --- defocus ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("diameter", [1.5, 3.0, 6.4, 11.0, 25.3])
def test_a_disc_has_the_moments_of_a_disc(diameter: float) -> None:
    kernel = disc_kernel(diameter).astype(np.float64)
    at = np.arange(len(kernel)) - len(kernel) // 2
    variance = (kernel.sum(axis=0) * at**2).sum()
    assert variance == pytest.approx(diameter**2 / 16 + 1 / 12, rel=0.12 if diameter < 5 else 0.03)
    assert kernel.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("depth_m", "focus_m"), [(4.0, 1.0), (0.5, 2.0), (np.inf, 1.5), (1.0, 1.0)])
def test_the_disc_of_a_point_is_the_thin_lens_one(depth_m: float, focus_m: float) -> None:
    f_mm, number, pitch_um = 16.0, 2.0, 10.0
    light = np.zeros((81, 81, 3), np.float32)
    light[40, 40] = 1.0
    draft = flat(0, 81, 81, depth_m=np.full((81, 81), depth_m, np.float32))
    out = Defocus(f_mm, number, focus_m, pitch_um).expose(Shot(draft, light), RNG).pixels[..., 0].astype(np.float64)
    # The image of depth z stands at 1 / (1/f - 1/z) behind the lens, the sensor at that of the focus: it cuts the aperture's cone.
    f = f_mm / 1e3
    sensor, image = 1 / (1 / f - 1 / focus_m), 1 / (1 / f - 1 / depth_m)
    diameter = f / number * abs(sensor - image) / image / (pitch_um / 1e6)
    at = np.arange(81) - 40
    spread_px = (out.sum(axis=0) * at**2).sum() / out.sum()
    assert out.sum() == pytest.approx(1.0, rel=1e-4)
    if diameter < 0.5:
        assert spread_px == pytest.approx(0.0, abs=1e-6)
    else:
        assert spread_px == pytest.approx(diameter**2 / 16 + 1 / 12, rel=0.05)
    assert Defocus(f_mm, number, focus_m, pitch_um).discs(draft, RNG)[0][0, 0] == pytest.approx(diameter, rel=1e-4, abs=1e-4)


def test_without_a_pitch_the_camera_gives_it() -> None:
    draft = flat(128, WIDTH, HEIGHT, CAMERA, np.full((HEIGHT, WIDTH), 3.0, np.float32))
    f_px = CAMERA.image_from_camera[0, 0]
    disc, _ = Defocus(4.0, 2.0, 1.0).discs(draft, RNG)
    assert disc[0, 0] == pytest.approx(0.004**2 / (2 * (1 - 0.004)) * (2 / 3) * f_px / 0.004, rel=1e-5)
    with pytest.raises(ConfigError, match="pixel_pitch_um must be given"):
        Defocus(4.0, 2.0, 1.0).apply(replace(draft, camera=None), RNG)
    with pytest.raises(ConfigError, match="cannot focus"):
        Defocus(50.0, 2.0, 0.04).apply(draft, RNG)


def test_autofocus_is_sharp_in_the_middle() -> None:
    depth = np.full((HEIGHT, WIDTH), 5.0, np.float32)
    depth[100:140, 140:180] = 0.7
    disc, sign = Defocus(25.0, 1.4).discs(flat(0, WIDTH, HEIGHT, CAMERA, depth), RNG)
    assert disc[120, 160] < 1e-3
    assert disc[0, 0] > 3
    assert sign[0, 0] == -1


def test_without_depth_all_is_blurred_alike() -> None:
    draft = dots(spread())
    out = Defocus(blur_px=7.0).apply(replace(draft, depth_m=None), RNG)
    expected = cv2.filter2D(decoded(draft.image), -1, disc_kernel(7.0).astype(np.float64), borderType=cv2.BORDER_REPLICATE)
    assert np.abs(out.image.astype(int) - encoded(expected)).max() <= 1


@pytest.mark.parametrize("focus_m", [1.0, 5.0], ids=["near", "far"])
def test_no_dark_and_no_light_of_the_other_at_edges(focus_m: float) -> None:
    depth = np.full((120, 160), 5.0, np.float32)
    depth[:, 60:100] = 1.0
    grey = flat(0.4, 160, 120, depth_m=depth)
    defocus = Defocus(16.0, 1.4, focus_m, 12.0)
    assert np.abs(defocus.apply(grey, RNG).image.astype(int) - grey.image).max() <= 1  # grey on grey stays grey
    light = np.full((120, 160, 3), 0.1, np.float32)
    light[:, 60:100] = 0.8
    out = defocus.expose(Shot(grey, light), RNG).pixels[60, :, 0]
    assert out.min() > 0.0999
    assert out.max() < 0.8001
    if focus_m == 1.0:  # a sharp object before a blurred ground: its light does not leak
        assert np.abs(out[:58] - 0.1).max() < 0.01
        assert np.abs(out[62:98] - 0.8).max() < 0.01
    else:  # a blurred object before a sharp ground: half of it at its edge
        assert out[60] == pytest.approx(0.45, abs=0.12)
        assert np.all(np.diff(out[40:80]) > -1e-4)


def test_a_slope_has_no_seams() -> None:
    depth = np.linspace(0.6, 4, 160, dtype=np.float32)[None].repeat(120, 0)
    grey = flat(0.5, 160, 120, depth_m=depth)
    out = Defocus(25.0, 1.4, 1.0, 10.0).apply(grey, RNG).image
    assert np.abs(out.astype(int) - grey.image).max() <= 1


def test_blur_by_distribution_is_drawn_per_sample() -> None:
    draft = replace(dots(spread()), depth_m=None)
    stage = Defocus(blur_px=Uniform(3, 9))
    assert (stage.apply(draft, rng_for(0, 0)).image != stage.apply(draft, rng_for(0, 1)).image).any()
    assert blurred(np.zeros((0, 4, 3), np.float32), 5.0).shape == (0, 4, 3)
    assert DOT.name == "dot"
