"""What a comparison says, against sets whose difference is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import ks_2samp, norm

from synth.cli import main
from synth.compare import compare
from synth.compare.comparison import _halves, _ks
from synth.compare.domains import _folds, mmd, proxy_distance
from synth.compare.pictures import sheet
from synth.compare.statistics import labels_of, noise, picture_of, plain_features, sharpness
from synth.errors import ConfigError
from synth.store import Store
from synth.types import U8, Category, Instance, Keypoints, Sample, SampleInfo
from tests.samples import sample as stored_sample


def photo(seed: int, blur_px: float = 1.0, level: float = 110.0, noise_255: float = 2.0) -> U8:
    """A blurred random texture of known brightness and noise."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.standard_normal((96, 128, 3)), (0, 0), blur_px)
    picture = level + 25 * texture / texture.std() + noise_255 * rng.standard_normal(texture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def samples(count: int, first: int = 0, side_px: float = 20.0, **how: float) -> list[Sample]:
    made = []
    for i in range(first, first + count):
        rng = np.random.default_rng(i)
        x, y = rng.uniform(0, 128 - side_px), rng.uniform(0, 96 - side_px)
        box = (x, y, x + side_px * rng.uniform(0.8, 1.0), y + side_px * rng.uniform(0.8, 1.0))
        made.append(
            Sample(
                photo(i, **how), (Instance("cell", box_xyxy=box),), (Category("cell"),), key=f"s{i}", info=SampleInfo(group=f"g{i // 3}")
            )
        )
    return made


def test_equal_sets_are_no_further_than_their_halves() -> None:
    found = compare(samples(60), samples(60, first=1000))
    assert all(difference.excess < 0.2 for difference in found.differences)
    assert np.mean(found.distances) < np.mean(found.distances_within) + 0.35
    assert found.mmd.p_value > 0.01
    assert "what to change" in str(found)


@pytest.mark.parametrize(
    ("how", "name", "advice"),
    [
        ({"level": 180.0}, "brightness", "lower exposure"),
        ({"blur_px": 3.0}, "sharpness", "lower blur"),
        ({"noise_255": 12.0}, "noise", "lower the sensor's noise"),
        ({"side_px": 40.0}, "object size", "move the camera away"),
    ],
)
def test_the_one_difference_is_named_with_what_to_do(how: dict[str, float], name: str, advice: str) -> None:
    found = compare(samples(60, **how), samples(60, first=1000))
    difference = next(d for d in found.differences if d.name == name)
    assert difference.ks > 0.9
    assert difference.ks_within < 0.35
    assert difference in found.differences[:4]
    assert difference.advice.startswith(advice)
    if name != "object size":
        assert min(found.distances) > max(found.distances_within)
        assert found.mmd.p_value < 0.01


def test_what_is_not_said_is_noted_and_not_taken_for_zero() -> None:
    told = [replace(s, instances=(replace(s.instances[0], visible_fraction=0.5),)) for s in samples(20)]
    found = compare(told, samples(20, first=1000))
    assert "visible share" not in [difference.name for difference in found.differences]
    assert "'visible share' is not compared: B does not say it" in found.notes


def test_labels_of_a_sample_by_hand() -> None:
    keypoints = Keypoints(np.array([[30.0, 30], [35, 35], [0, 0], [0, 0]]), np.array([2, 1, 0, 0], np.int32))
    instances = (
        Instance("a", box_xyxy=(25.0, 24.0, 75.0, 48.0), keypoints=keypoints, visible_fraction=0.5),
        Instance("a", box_xyxy=(0.0, 0.0, 10.0, 10.0), visible_fraction=0.0),  # not seen: not counted
    )
    values = labels_of(Sample(np.zeros((96, 100, 3), np.uint8), instances, (Category("a", ("w", "x", "y", "z")),)))
    assert values["objects a picture"] == (1.0,)
    assert values["object size"] == pytest.approx((np.sqrt(50 * 24 / 9600),))
    assert values["width over height"] == pytest.approx((np.log2(50 / 24),))
    assert (values["place, x"], values["place, y"]) == ((0.5,), (0.375,))
    assert (values["cut by the frame"], values["visible share"]) == ((0.0,), (0.5,))
    assert (values["keypoints seen"], values["keypoints hidden"]) == ((0.25,), (0.25,))


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_noise_is_found(sigma: float) -> None:
    gray = 0.5 + sigma / 255 * np.random.default_rng(1).standard_normal((256, 256)).astype(np.float32)
    assert noise(gray) == pytest.approx(sigma, rel=0.1)


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    gray = cv2.cvtColor(photo(3), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    blurred = [sharpness(cv2.GaussianBlur(gray, (0, 0), sigma)) for sigma in (0.5, 1.0, 2.0, 4.0)]
    assert sorted(blurred, reverse=True) == blurred
    assert sharpness(0.5 * gray) == pytest.approx(sharpness(gray), abs=0.01)


def test_values_of_plain_pictures() -> None:
    white, black = (picture_of(np.full((40, 50, 3), level, np.uint8)) for level in (255, 0))
    assert (white["brightness"][0], black["brightness"][0]) == pytest.approx((1.0, 0.0), abs=1e-3)
    assert (white["white pixels"], white["black pixels"], black["black pixels"]) == ((1.0,), (0.0,), (1.0,))


def test_features_are_the_same_for_equal_pictures_and_finite_for_small_ones() -> None:
    pictures = [photo(1), np.zeros((1, 1, 3), np.uint8), photo(2)[:7, :90]]
    first, again = plain_features(pictures), plain_features([p.copy() for p in pictures])
    assert first.shape == (3, 204)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)


@pytest.mark.parametrize("apart", [0.0, 1.0, 2.0, 4.0])
def test_proxy_distance_of_two_gaussians_is_that_of_bayes(apart: float) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((600, 1)), rng.standard_normal((600, 1)) + apart
    best = norm.cdf(-apart / 2)  # the least error there can be
    found = proxy_distance(a, b, np.arange(1200))
    assert found.error == pytest.approx(best, abs=0.045)
    assert found.distance == pytest.approx(max(0, 2 * (1 - 2 * found.error)))


def test_a_group_is_held_out_as_a_whole() -> None:
    groups = np.random.default_rng(0).integers(0, 12, 100)
    folds = _folds(groups, np.zeros(100), seed=3)
    assert all(len(set(folds[groups == group])) == 1 for group in range(12))
    assert len(set(folds)) == 5
    first, second = _halves(groups.astype(str), np.random.default_rng(1))
    assert not set(groups[first]) & set(groups[second])
    assert sorted([*first, *second]) == list(range(100))


def test_what_only_tells_groups_apart_does_not_tell_domains_apart() -> None:
    """Twins in a group would give a classifier the answer if they were divided between folds."""
    rng = np.random.default_rng(2)
    centres = 5 * rng.standard_normal((40, 30))
    features = np.repeat(centres, 5, axis=0) + 0.01 * rng.standard_normal((200, 30))
    groups = np.repeat(np.arange(40), 5)
    whole = proxy_distance(features[:100], features[100:], groups)
    divided = proxy_distance(features[:100], features[100:], np.arange(200))
    assert whole.error > 0.3
    assert divided.error < 0.1


def test_p_values_of_equal_sets_are_spread_evenly_and_small_for_others() -> None:
    rng = np.random.default_rng(4)
    values = [mmd(rng.standard_normal((20, 3)), rng.standard_normal((20, 3)), seed, 200).p_value for seed in range(120)]
    assert ks_2samp(values, np.linspace(0, 1, 1000)).pvalue > 0.001
    assert mmd(rng.standard_normal((40, 3)), rng.standard_normal((40, 3)) + 1.5).p_value < 0.01


def test_ks_is_that_of_scipy() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 9, 50).astype(float), rng.integers(2, 12, 70).astype(float)
    assert _ks(a, b) == pytest.approx(ks_2samp(a, b).statistic)


def test_too_few_are_refused_and_few_groups_are_noted() -> None:
    with pytest.raises(ConfigError, match="B has 7 samples; a comparison needs at least 8"):
        compare(samples(20), samples(7))
    one = [replace(s, info=SampleInfo(group="video")) for s in samples(12, first=50)]
    assert any("1 groups, too few" in note for note in compare(samples(12), one).notes)


def test_an_extractor_of_ones_own() -> None:
    found = compare(samples(20), samples(20, first=100), extract=lambda pictures: np.array([[p.mean()] for p in pictures]))
    assert len(found.likeness_a) == 20
    with pytest.raises(ConfigError, match=r"must give finite \(20, d\), got \(3,\)"):
        compare(samples(20), samples(20, first=100), extract=lambda pictures: np.zeros(3))


def test_the_sheet_shows_both() -> None:
    a, b = samples(10), samples(10, first=100)
    assert sheet(compare(a, b), a, b, each=5).shape[1] == 5 * 204 + 4


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, out = f"store={tmp_path}/store", tmp_path / "out"
    Store.open(tmp_path / "store", create=True).put([replace(stored_sample(i), key=f"k{i:02}") for i in range(24)], message="samples")
    assert main(["compare", place, "main", "main", "--limit", "12", "--out", str(out)]) == 0
    assert "proxy A-distance" in capsys.readouterr().out
    assert json.loads((out / "compare.json").read_text())["count"] == {"a": 12, "b": 12}
    assert {path.name for path in out.iterdir()} == {"compare.json", "compare.png", "sheet.png"}
    assert main(["compare", place, "main", "main", "--where-b", "key = 'none'"]) == 2
    assert "main where key = 'none' has no samples" in capsys.readouterr().err
    assert main(["compare", place, "main", "main", "--features", "nowhere:f"]) == 2
    assert "cannot import 'nowhere'" in capsys.readouterr().err
