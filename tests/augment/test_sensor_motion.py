"""What moves during the exposure and between rows, against the paths of points computed one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from synth.augment.sensor import LensDistortion, LinearBlur, MotionBlur, RollingShutter, Shot
from synth.augment.sensor.motion import line_kernel
from synth.errors import ConfigError
from synth.geometry import project
from synth.rand import Uniform, rng_for
from synth.types import F64, U8, Camera
from tests.augment.sensor_cases import CAMERA, HEIGHT, WIDTH, centroid, decoded, dots, flat, inside, spread

RNG = rng_for(0, 0, "motion")
NONE = (0.0, 0.0, 0.0)


def covariance(image: U8, near: F64, reach: int = 22) -> F64:
    """(2, 2) of the light around a point."""
    height, width = image.shape[:2]
    column, row = np.floor(near).astype(int)
    rows = np.arange(max(0, row - reach), min(height, row + reach + 1))
    columns = np.arange(max(0, column - reach), min(width, column + reach + 1))
    light = decoded(image)[np.ix_(rows, columns)].mean(axis=-1)
    xy = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), axis=-1).reshape(-1, 2)
    return np.asarray(np.cov(xy.T, aweights=light.ravel(), ddof=0))


def moved(xyz_m: F64, w: Any, v: Any, seconds: float) -> F64:
    """A point as the camera sees it that has turned and moved since."""
    return np.asarray(Rotation.from_rotvec(-np.asarray(w) * seconds).apply(xyz_m - np.asarray(v) * seconds))


# --- blur -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.0, 1.0, 4.0, 13.7])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_a_line_has_the_moments_of_a_line(length: float, angle: float) -> None:
    kernel = line_kernel(length, angle).astype(np.float64)
    at = np.arange(len(kernel)) - len(kernel) // 2
    x, y = kernel.sum(axis=0), kernel.sum(axis=1)
    assert kernel.sum() == pytest.approx(1.0)
    assert abs((x * at).sum()) < 1e-6
    along = (x * at**2).sum() + (y * at**2).sum()
    assert 0 <= along - length**2 / 12 < 0.5 + 1e-6  # bilinear interpolation adds up to a quarter on each axis


def test_linear_blur_is_the_mean_of_shifted_pictures() -> None:
    draft = dots(spread())
    out = LinearBlur(9.0, 0.5).apply(draft, RNG).image
    light, total = decoded(draft.image).astype(np.float32), np.zeros((HEIGHT, WIDTH, 3))
    for share in (np.arange(200) + 0.5) / 200 - 0.5:
        shift = np.array([[1, 0, 9 * share * np.cos(0.5)], [0, 1, 9 * share * np.sin(0.5)]])
        total += cv2.warpAffine(light, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE) / 200
    assert np.abs(decoded(out) - total).max() < 0.02
    assert (LinearBlur(0.0).apply(draft, RNG).image == draft.image).all()


@pytest.mark.parametrize(
    ("w", "v"),
    [
        ((0, 0, 3.0), NONE),
        ((0, 0.9, 0), NONE),
        ((-0.7, 0.2, 1.0), NONE),
        (NONE, (1.8, -0.8, 0)),
        (NONE, (0, 0, 4.0)),
        ((0, 0.4, 0), (1.0, 0, 0)),
    ],
)
@pytest.mark.parametrize("distortion", [(0.0,) * 5, (-0.2, 0.05, 0.0, 0.0, 0.0)], ids=["pinhole", "lens"])
def test_dots_smear_along_the_ways_of_their_points(w: Any, v: Any, distortion: Any) -> None:
    exposure, camera, xyz = 1 / 25, replace(CAMERA, distortion=distortion), spread(2)
    draft = dots(xyz, camera)
    out = MotionBlur(exposure, w, v).apply(draft, RNG)
    seen = 0
    for point, item in zip(xyz, draft.instances, strict=True):
        ends = [project(camera, moved(point, w, v, s)) for s in (-exposure / 2, exposure / 2)]
        if not all(inside(end, 22.0) for end in ends):
            continue
        seen += 1
        way = ends[1] - ends[0]
        added = covariance(out.image, item.keypoint_xy[0]) - covariance(draft.image, item.keypoint_xy[0])
        assert np.abs(added - np.outer(way, way) / 12).max() < 0.05 * (way @ way) / 12 + 0.5
        assert np.linalg.norm(centroid(out.image, item.keypoint_xy[0], 22) - item.keypoint_xy[0]) < 0.2
    assert seen >= 4


def test_an_object_moves_before_a_ground_that_does_not() -> None:
    draft = dots(np.array([[-0.4, 0, 2.0], [0.4, 0, 2.0]]), radius=12.0)
    striped = draft.image.copy()
    striped[:, ::8] = 90
    draft = replace(draft, image=striped, depth_m=np.where(draft.instance > 0, np.float32(1), np.float32(3)))
    out = MotionBlur(0.05, object_m_s=(Uniform(-1, 1), Uniform(-1, 1), 0.0)).apply(draft, RNG)
    changed = (out.image != draft.image).any(axis=-1)
    reach = cv2.dilate((draft.instance > 0).astype(np.uint8), np.ones((25, 25))) > 0
    assert changed[draft.instance == 1].any()
    assert changed[draft.instance == 2].any()
    assert not changed[~reach].any()
    smears = [covariance(out.image, item.keypoint_xy[0]) for item in draft.instances]
    assert np.abs(smears[0] - smears[1]).max() > 0.5  # each has a velocity of its own


def test_moving_over_one_another_makes_nothing_darker() -> None:
    depth = np.full((120, 160), 4.0, np.float32)
    depth[:, 60:100] = 0.8
    grey = flat(0.4, 160, 120, Camera.from_fov(160, 120, 1.0, np.eye(4)), depth)
    stage = MotionBlur(0.05, translation_m_s=(1.0, 0.3, 0.5))
    assert np.abs(stage.apply(grey, RNG).image.astype(int) - grey.image).max() <= 1
    light = np.full((120, 160, 3), 0.1, np.float32)
    light[:, 60:100] = 0.8
    out = MotionBlur(0.05, translation_m_s=(1.0, 0, 0)).expose(Shot(grey, light), RNG).pixels[60, :, 0]
    near_px = 0.05 / 0.8 * grey.camera.image_from_camera[0, 0]  # type: ignore[union-attr]
    expected = 0.1 + 0.7 * np.clip(np.minimum(np.arange(160) + 0.5 - 60, 100 - np.arange(160) - 0.5) / near_px + 0.5, 0, 1)
    assert np.abs(out - expected)[1:-1].max() < 0.12
    assert np.abs(out - expected).mean() < 0.01


def test_what_is_not_known_is_asked_for() -> None:
    draft = dots(spread())
    with pytest.raises(ConfigError, match="MotionBlur: translation_m_s and object_m_s need depth"):
        MotionBlur(translation_m_s=(1, 0, 0)).apply(replace(draft, depth_m=None), RNG)
    flat_world = MotionBlur(translation_m_s=(1, 0, 0), distance_m=2.0).apply(replace(draft, depth_m=None), RNG)
    assert np.abs(flat_world.image.astype(int) - MotionBlur(translation_m_s=(1, 0, 0)).apply(draft, RNG).image).max() <= 2
    with pytest.raises(ConfigError, match="RollingShutter: translation_m_s needs depth"):
        RollingShutter(translation_m_s=(1, 0, 0)).apply(replace(draft, depth_m=None), RNG)
    with pytest.raises(ConfigError, match="RollingShutter: this picture has no camera"):
        RollingShutter(rotation_rad_s=(0, 1, 0)).apply(replace(draft, camera=None), RNG)
    with pytest.raises(ConfigError, match=r"moves faster than the rows are read|no edge shows"):
        RollingShutter(1.0, (3.0, 0, 0)).apply(draft, RNG)


# --- rolling shutter --------------------------------------------------------------------------------------------------

MOTIONS: list[Any] = [
    ((0, 1.5, 0), NONE),
    ((1.0, 0, 0), NONE),
    ((0, 0, 4.0), NONE),
    ((-0.8, 1.0, 2.0), NONE),
    (NONE, (2.0, 0, 0)),
    (NONE, (0, 0, 5.0)),
    ((0.5, -0.5, 1.0), (1.0, -1.0, 2.0)),
]


def seen_by_rows(camera: Camera, xyz_m: F64, w: Any, v: Any, readout: float) -> F64:
    """Where the row that sees a point sees it: the crossing of the point's path and the row's, by bisection."""

    def miss(y: float) -> float:
        return float(project(camera, moved(xyz_m, w, v, readout * (y / camera.height - 0.5)))[1] - y)

    y = brentq(miss, -camera.height, 2 * camera.height, xtol=1e-12)
    return project(camera, moved(xyz_m, w, v, readout * (y / camera.height - 0.5)))


@pytest.mark.parametrize(("w", "v"), MOTIONS)
@pytest.mark.parametrize("distortion", [(0.0,) * 5, (-0.2, 0.05, 0.0, 0.0, 0.0)], ids=["pinhole", "lens"])
def test_dots_and_labels_are_where_their_rows_see_them(w: Any, v: Any, distortion: Any) -> None:
    camera, xyz = replace(CAMERA, distortion=distortion), spread(5)
    draft = dots(xyz, camera)
    out = RollingShutter(0.03, w, v, fill=False).apply(draft, RNG)
    filled = RollingShutter(0.03, w, v).apply(draft, RNG)
    assert out.camera is None
    seen = 0
    for number, point in enumerate(xyz):
        expected = seen_by_rows(camera, point, w, v, 0.03)
        item = out.instances[number]
        assert np.abs(item.keypoint_xy[0] - expected).max() < 1e-6
        if inside(expected) and inside(draft.instances[number].keypoint_xy[0]):
            seen += 1
            assert np.linalg.norm(centroid(out.image, expected) - expected) < 0.2
            row, column = np.floor(expected[::-1]).astype(int)
            assert out.instance[row, column] == number + 1
        there = filled.instances[number].keypoint_xy[0]
        if inside(there):
            assert np.linalg.norm(centroid(filled.image, there) - there) < 0.2
    assert seen >= 6
    shift = max(np.linalg.norm(a.keypoint_xy - b.keypoint_xy) for a, b in zip(draft.instances, out.instances, strict=True))
    assert shift > 1.0


def test_a_pan_leans_what_is_upright() -> None:
    line = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    line[:, 158:162] = 255
    out = RollingShutter(0.02, (0, 1.0, 0), fill=False).apply(replace(dots(spread()), image=line), RNG)
    light = decoded(out.image)[..., 0]
    x = (light * (np.arange(WIDTH) + 0.5)).sum(axis=1) / light.sum(axis=1)
    f = CAMERA.image_from_camera[0, 0]
    assert x[-1] - x[0] == pytest.approx(-f * 0.02 * (HEIGHT - 1) / HEIGHT, rel=0.01)
    assert x[HEIGHT // 2] == pytest.approx(WIDTH / 2, abs=0.05)


def test_a_filled_picture_has_no_edge_and_standing_still_changes_nothing() -> None:
    draft = dots(spread())
    assert (RollingShutter(0.03).apply(draft, RNG).image == draft.image).all()
    ones = replace(draft, instance=np.ones_like(draft.instance))
    out = RollingShutter(0.03, (0.5, 1.5, 1.0)).apply(ones, RNG)
    assert (out.instance == 1).all()


def test_after_a_lens_the_camera_with_its_lens_counts() -> None:
    xyz = spread(4)
    bent = LensDistortion(-0.2, fill=False).apply(dots(xyz), RNG)
    out = RollingShutter(0.03, (0, 1.5, 0), fill=False).apply(bent, RNG)
    assert bent.camera is not None
    for point, item in zip(xyz, out.instances, strict=True):
        assert np.abs(item.keypoint_xy[0] - seen_by_rows(bent.camera, point, (0, 1.5, 0), NONE, 0.03)).max() < 1e-6
