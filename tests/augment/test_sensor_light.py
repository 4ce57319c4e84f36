"""Exposure, noise, colour, curve and file, against the formulas of their docstrings and against OpenCV."""

from __future__ import annotations

import pickle
from typing import Any

import cv2
import numpy as np
import pytest

from synth.annotate import finish
from synth.augment.sensor import (
    Bayer,
    ChromaticAberration,
    Defocus,
    Exposure,
    Gamma,
    Jpeg,
    LensDistortion,
    LinearBlur,
    MotionBlur,
    Noise,
    Quantisation,
    RollingShutter,
    Sensor,
    Sharpening,
    Shot,
    StereoDepth,
    Vignetting,
    WhiteBalance,
)
from synth.augment.sensor.light import decode_srgb, encode_srgb
from synth.blackbody import blackbody
from synth.digest import digest_of, label_digest
from synth.errors import ConfigError
from synth.protocols import Stage
from synth.rand import Choice, Uniform, rng_for
from synth.types import Draft
from tests.augment.sensor_cases import CAMERA, DOT, decoded, dots, encoded, flat, spread

PHOTOMETRIC: list[Any] = [
    Vignetting(1.0, -0.3, 0.1, fov_rad=1.0),
    ChromaticAberration(1.5, -1.0),
    Defocus(focal_length_mm=12.0, f_number=1.4, focus_distance_m=1.0, blur_px=4.0),
    LinearBlur(9.0, 0.4),
    MotionBlur(0.03, (0.1, 0.3, 0.2), (0.2, 0.0, 0.1), distance_m=2.0, fov_rad=1.0),
    Exposure(0.7),
    Noise(3000.0, 3.0, 8.0),
    Quantisation(6),
    Quantisation(4, encoded=True),
    WhiteBalance(4000.0),
    Bayer(),
    Bayer("GBRG", "edge_aware"),
    Gamma(1.8),
    Sharpening(),
    Jpeg(40),
]
GEOMETRIC: list[Any] = [LensDistortion(-0.2, 0.05, fov_rad=1.0), RollingShutter(0.03, (0.1, 1.0, 0.3), fov_rad=1.0)]
WHOLE = Sensor(
    lens=LensDistortion(Uniform(-0.1, 0.1)),
    vignetting=Vignetting(),
    chromatic=ChromaticAberration(0.4, -0.3),
    defocus=Defocus(),
    motion=MotionBlur(0.01, (0.1, 0.2, 0.0)),
    shutter=RollingShutter(0.02, (0.0, 0.3, 0.0)),
    exposure=Exposure(Uniform(-0.5, 0.5)),
    noise=Noise(gain=Choice([1.0, 4.0])),
    adc=Quantisation(10),
    white_balance=WhiteBalance(Uniform(5000.0, 8000.0)),
    bayer=Bayer(),
    gamma=Gamma(),
    sharpening=Sharpening(),
    jpeg=Jpeg(80),
)


def names(stages: list[Any]) -> list[str]:
    return [f"{type(stage).__name__}-{i}" for i, stage in enumerate(stages)]


def light_after(stage: Any, level: float, seed: int = 0, side: int = 200) -> Any:
    """Linear light (side, side, 3) after a step on light of one level, not rounded to a picture."""
    draft = flat(0.5, side, side)
    return stage.expose(Shot(draft, np.full((side, side, 3), level, np.float32)), rng_for(seed, 0, "s")).pixels


# --- what all of them hold to -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [*PHOTOMETRIC, *GEOMETRIC, WHOLE], ids=names([*PHOTOMETRIC, *GEOMETRIC, WHOLE]))
def test_a_stage_is_a_value(stage: Any) -> None:
    draft = dots(spread())
    assert isinstance(stage, Stage)
    before = draft.image.copy()
    first, again = (stage.apply(draft, rng_for(3, 1, "stage")) for _ in range(2))
    assert (first.image == again.image).all()
    assert (draft.image == before).all()
    assert (first.image != before).any()
    assert digest_of(stage) == digest_of(pickle.loads(pickle.dumps(stage)))


@pytest.mark.parametrize("stage", PHOTOMETRIC, ids=names(PHOTOMETRIC))
def test_photometric_stages_leave_every_label(stage: Any) -> None:
    draft = dots(spread())
    before, after = (label_digest(finish(d, (DOT,))) for d in (draft, stage.apply(draft, rng_for(0, 0, "s"))))
    assert before == after


@pytest.mark.parametrize("stage", [*PHOTOMETRIC, *GEOMETRIC], ids=names([*PHOTOMETRIC, *GEOMETRIC]))
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (31, 17)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("level", [0, 255])
def test_any_size_and_extreme_light(stage: Any, size: tuple[int, int], level: int) -> None:
    width, height = size
    for depth in (None, np.full((height, width), np.inf, np.float32), np.full((height, width), 0.02, np.float32)):
        camera = None if depth is None else CAMERA.from_fov(width, height, 1.0, np.eye(4))
        out = stage.apply(flat(level, width, height, camera, depth), rng_for(0, 0, "s"))
        assert out.image.shape == (height, width, 3)
        assert out.image.dtype == np.uint8
        if level == 0 and not isinstance(stage, Noise):
            assert out.image.max() <= 2  # JPEG rounds


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Noise(full_well_e=0), "Noise: full_well_e must be in"),
        (lambda: Noise(sensitivity=(1, 1)), "Noise: sensitivity must be a list of 3"),
        (lambda: Exposure("bright"), "Exposure: ev must be a number"),
        (lambda: Bayer("RGB"), "Bayer: pattern must be one of RGGB"),
        (lambda: Bayer(demosaic="none"), "Bayer: demosaic must be"),
        (lambda: Jpeg(0), "Jpeg: quality must be in"),
        (lambda: Jpeg(90, "4:1:1"), "chroma must be"),
        (lambda: MotionBlur(rotation_rad_s=1.0), "rotation_rad_s must be a list of 3"),
        (lambda: Defocus(f_number=True), "f_number must be a number"),
        (lambda: Sensor(noise=Jpeg()), "Sensor: noise must be a Noise"),
        (lambda: Sensor(adc=Quantisation(8, encoded=True)), "adc works on linear light"),
        (lambda: StereoDepth(noise_px=-1), "StereoDepth: noise_px must be in"),
        (lambda: Quantisation(Uniform(8, 10)), "bits must be whole"),
        (lambda: MotionBlur(rotation_rad_s=(1, 0, 0)).apply(flat(), rng_for(0, 0)), "has no camera"),
        (lambda: Vignetting().apply(flat(), rng_for(0, 0)), "give fov_rad"),
    ],
)
def test_a_wrong_value_is_named(make: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()


def test_parts_of_a_sensor_draw_from_their_own_streams() -> None:
    draft = flat(0.3, 100, 100)
    alone = Sensor(noise=Noise()).apply(draft, rng_for(0, 0, "sensor"))
    beside = Sensor(noise=Noise(), exposure=Exposure(Choice([0.0]))).apply(draft, rng_for(0, 0, "sensor"))
    assert (alone.image == beside.image).all()
    assert (alone.image != Sensor(noise=Noise()).apply(draft, rng_for(0, 0, "other")).image).any()


def test_a_sensor_rounds_once() -> None:
    dark = flat(np.arange(256, dtype=np.uint8)[None, :, None], 256, 4)
    there_and_back = Sensor(exposure=Exposure(-4.0), white_balance=WhiteBalance(gains=(16.0, 16.0, 16.0)))
    assert (there_and_back.apply(dark, rng_for(0, 0)).image == dark.image).all()
    step_by_step = Exposure(4.0).apply(Exposure(-4.0).apply(dark, rng_for(0, 0)), rng_for(0, 0))
    assert (step_by_step.image != dark.image).any()


# --- light ------------------------------------------------------------------------------------------------------------


def test_srgb_is_the_standard() -> None:
    every = np.arange(256, dtype=np.uint8)
    light = decode_srgb((every / 255).astype(np.float32))
    assert np.abs(light - decoded(every)).max() < 1e-6
    assert np.abs(encode_srgb(light) * 255 - every).max() < 1e-3


def test_exposure_doubles_light() -> None:
    assert np.allclose(light_after(Exposure(1.0), 0.2), 0.4)
    image = Exposure(1.0).apply(flat(0.2), rng_for(0, 0)).image
    assert np.abs(image.astype(int) - encoded(np.array(2 * decoded(flat(0.2).image[0, 0, 0])))).max() <= 1


@pytest.mark.parametrize("level", [0.0, 0.002, 0.02, 0.2, 0.7])
@pytest.mark.parametrize(("full", "read", "gain"), [(6000.0, 2.5, 1.0), (4000.0, 3.0, 16.0), (20000.0, 0.0, 1.0), (300.0, 5.0, 4.0)])
def test_noise_has_the_mean_and_variance_of_its_formula(level: float, full: float, read: float, gain: float) -> None:
    if level == 0.7 and full == 300.0:
        pytest.skip("noise reaches saturation, which the formula leaves out")
    found = light_after(Noise(full, read, gain), level)
    n, variance = found.size, level * gain / full + (read * gain / full) ** 2
    assert abs(found.mean() - level) < 5 * np.sqrt(variance / n) + 1e-7
    if variance:
        excess = 1 / max(level * full / gain, 1e-3) if level else 0.0  # of a Poisson number, shared with the Gaussian
        assert abs(found.astype(np.float64).var() / variance - 1) < 5 * np.sqrt((2 + excess) / n) + 1e-4


def test_noise_of_red_and_blue_grows_with_their_lower_sensitivity() -> None:
    found = light_after(Noise(5000.0, 2.0, 2.0, (0.5, 1.0, 0.25)), 0.3).astype(np.float64)
    for channel, share in enumerate((0.5, 1.0, 0.25)):
        white = 5000.0 * share / 2
        assert abs(found[..., channel].mean() - 0.3) < 5 * np.sqrt(0.3 / white / 40000)
        assert found[..., channel].var() == pytest.approx(0.3 / white + (2 / white) ** 2, rel=0.04)


def test_few_electrons_are_counted_whole() -> None:
    electrons = light_after(Noise(1000.0, 0.0), 0.003) * 1000
    assert np.abs(electrons - np.rint(electrons)).max() < 1e-3
    share = [(np.rint(electrons) == k).mean() for k in range(4)]
    assert share == pytest.approx([np.exp(-3), 3 * np.exp(-3), 4.5 * np.exp(-3), 4.5 * np.exp(-3)], abs=0.006)


def test_noise_saturates() -> None:
    assert light_after(Noise(1000.0, 5.0), 5.0).max() == 1.0


@pytest.mark.parametrize("bits", [1, 4, 10])
def test_quantisation_has_its_steps(bits: int) -> None:
    draft = flat()
    ramp = np.linspace(0, 1, 64 * 48 * 3, dtype=np.float32).reshape(48, 64, 3)
    found = Quantisation(bits).expose(Shot(draft, ramp), rng_for(0, 0)).pixels
    assert len(np.unique(found)) == min(2**bits, ramp.size)
    assert np.abs(found - ramp).max() <= 0.5 / (2**bits - 1) + 1e-6
    if bits == 4:
        assert (found - ramp).var() == pytest.approx((1 / 15) ** 2 / 12, rel=0.1)


# --- colour -----------------------------------------------------------------------------------------------------------


def test_white_balance() -> None:
    assert np.allclose(light_after(WhiteBalance(gains=(0.5, 1.0, 1.5)), 0.4)[0, 0], [0.2, 0.4, 0.6])
    assert np.allclose(light_after(WhiteBalance(6504.0), 0.4), 0.4, atol=1e-6)
    cold, warm = light_after(WhiteBalance(3200.0), 0.4)[0, 0], light_after(WhiteBalance(12000.0), 0.4)[0, 0]
    assert cold[0] < cold[1] < cold[2]
    assert warm[0] > warm[1] > warm[2]


@pytest.mark.parametrize("kelvin", [2000, 3000, 4000, 5000, 6500, 9000, 14000])
def test_a_blackbody_is_planck_through_the_standard_observer(kelvin: int) -> None:
    nm = np.arange(380.0, 781.0)

    def lobe(middle: float, low: float, high: float) -> Any:
        return np.exp(-0.5 * ((nm - middle) * np.where(nm < middle, low, high)) ** 2)

    # The CIE 1931 observer as lobes (Wyman, Sloan and Shirley 2013)
    x = 1.056 * lobe(599.8, 0.0264, 0.0323) + 0.362 * lobe(442.0, 0.0624, 0.0374) - 0.065 * lobe(501.1, 0.0490, 0.0382)
    y = 0.821 * lobe(568.8, 0.0213, 0.0247) + 0.286 * lobe(530.9, 0.0613, 0.0322)
    z = 1.217 * lobe(437.0, 0.0845, 0.0278) + 0.681 * lobe(459.0, 0.0385, 0.0725)
    planck = nm**-5 / np.expm1(1.438777e7 / (nm * kelvin))
    xyz = np.array([(planck * curve).sum() for curve in (x, y, z)])
    rgb = np.linalg.inv([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ xyz
    assert blackbody(kelvin) / blackbody(kelvin)[1] == pytest.approx(rgb / rgb[1], rel=0.05, abs=0.02)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
@pytest.mark.parametrize("demosaic", ["bilinear", "edge_aware"])
@pytest.mark.parametrize("size", [(64, 48), (17, 23)], ids=["even", "odd"])
def test_bayer_leaves_one_colour_alone(pattern: Any, demosaic: Any, size: tuple[int, int]) -> None:
    draft = flat(np.array([201, 90, 33], np.uint8), *size)
    assert (Bayer(pattern, demosaic).apply(draft, rng_for(0, 0)).image == draft.image).all()


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
@pytest.mark.parametrize("demosaic", ["bilinear", "edge_aware"])
def test_bayer_is_opencvs(pattern: Any, demosaic: Any) -> None:
    rng = np.random.default_rng(0)
    light = cv2.GaussianBlur(rng.uniform(0, 1, (60, 80, 3)), (0, 0), 1.5).astype(np.float32)
    found = Bayer(pattern, demosaic).expose(Shot(flat(0.5, 80, 60), light), rng_for(0, 0)).pixels
    mosaic = np.zeros((60, 80), np.uint16)
    for i, color in enumerate(pattern):
        mosaic[i // 2 :: 2, i % 2 :: 2] = np.rint(light[i // 2 :: 2, i % 2 :: 2, "RGB".index(color)] * 65535)
    name = {"RGGB": "BG", "BGGR": "RG", "GRBG": "GB", "GBRG": "GR"}[pattern]  # the second row's second and third pixel
    code = getattr(cv2, f"COLOR_Bayer{name}2RGB" + ("_EA" if demosaic == "edge_aware" else ""))
    expected = cv2.cvtColor(mosaic, code)[3:-3, 3:-3] / 65535
    assert np.abs(found[3:-3, 3:-3] - expected).max() < 1e-4
    own = np.zeros((60, 80, 3), bool)
    for i, color in enumerate(pattern):
        own[i // 2 :: 2, i % 2 :: 2, "RGB".index(color)] = True
    assert np.abs(found - light)[own].max() < 1e-4  # what was measured stays


# --- the file ---------------------------------------------------------------------------------------------------------


def test_gamma() -> None:
    draft = flat(np.arange(256, dtype=np.uint8)[None, :, None], 256, 2)
    image = Gamma(1.8).apply(draft, rng_for(0, 0)).image
    assert np.abs(image.astype(int) - np.rint(255 * decoded(draft.image) ** (1 / 1.8))).max() <= 1
    assert np.abs(Gamma(1.0).apply(draft, rng_for(0, 0)).image / 255 - decoded(draft.image)).max() < 0.003


@pytest.mark.parametrize("quality", [10, 60, 95])
@pytest.mark.parametrize(
    ("chroma", "factor"), [("4:2:0", cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420), ("4:4:4", cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)]
)
def test_jpeg_is_opencvs(quality: int, chroma: Any, factor: int) -> None:
    image = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    draft = Draft(image, np.zeros((48, 64), np.int32), ())
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    data = cv2.imencode(".jpg", image[..., ::-1], options)[1]
    assert (Jpeg(quality, chroma).apply(draft, rng_for(0, 0)).image == cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]).all()


def test_sharpening_overshoots_at_an_edge() -> None:
    image = np.full((20, 40, 3), 80, np.uint8)
    image[:, 20:] = 160
    out = Sharpening(1.0, 1.0).apply(Draft(image, np.zeros((20, 40), np.int32), ()), rng_for(0, 0)).image[10, :, 0].astype(int)
    soft = cv2.GaussianBlur(image[10:11].astype(np.float32), (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)[0, :, 0]
    assert np.abs(out - (2.0 * image[10, :, 0] - soft)).max() <= 0.51
    assert out.min() < 75
    assert out.max() > 165
