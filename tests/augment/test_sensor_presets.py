"""The presets that ship, on pictures with and without camera and depth, and what docs/sensors.md shows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import synth
from synth.annotate import finish
from synth.augment.harmonize import Harmonize
from synth.augment.samples import augment
from synth.augment.sensor import Sensor, StereoDepth
from synth.config.build import build
from synth.errors import ConfigError
from synth.rand import rng_for
from tests.augment.sensor_cases import DOT, centroid, dots, inside, spread

ROOT = Path(synth.__file__).parent.parent
CAMERAS = ["phone", "webcam", "industrial"]


def preset(name: str) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "configs" / "augment" / f"{name}.yaml").read_text())
    return {key: build(stage, f"stages.{key}") for key, stage in config["stages"].items()}


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("known", [True, False], ids=["camera", "no camera"])
def test_dots_stay_on_their_keypoints_through_a_whole_camera(name: str, known: bool) -> None:
    for index in range(3):
        draft = dots(spread(index))
        draft = draft if known else replace(draft, camera=None, depth_m=None)
        for key, stage in preset(name).items():
            draft = stage.apply(draft, rng_for(0, index, key))
        for item in draft.instances:
            if inside(item.keypoint_xy[0], 20.0):
                green = draft.image[..., 1:2].repeat(3, axis=2)  # labels are green's
                light = np.maximum(green.astype(int) - 70, 0).astype(np.uint8)  # without the ground's noise
                assert np.linalg.norm(centroid(light, item.keypoint_xy[0]) - item.keypoint_xy[0]) < 0.35


@pytest.mark.parametrize("name", CAMERAS)
def test_a_preset_works_on_labelled_samples(name: str) -> None:
    sample = finish(dots(spread()), (DOT,))
    out = augment(replace(sample, camera=None, depth_m=None), preset(name), rng_for(0, 0, "train"))
    assert len(out.instances) == len(sample.instances)
    assert (out.image != sample.image).any()


def test_depth_camera() -> None:
    stages = preset("depth_camera")
    assert isinstance(stages["depth"], StereoDepth)
    assert isinstance(stages["sensor"], Sensor)
    draft = replace(dots(spread()), image=np.full((240, 320, 3), 120, np.uint8))
    out = stages["depth"].apply(draft, rng_for(0, 0, "depth"))
    found = out.depth_m[np.isfinite(out.depth_m)]
    assert len(found) > 0.9 * out.depth_m.size
    assert 0 < np.abs(found - 2.0).max() < 0.5
    with pytest.raises(ConfigError, match="has no depth map"):
        stages["depth"].apply(replace(draft, depth_m=None), rng_for(0, 0, "depth"))


def test_the_documented_config_builds() -> None:
    text = (ROOT / "docs" / "sensors.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    assert isinstance(build(yaml.safe_load(blocks[0])["stages"])["harmonize"], Harmonize)


def test_every_part_is_documented() -> None:
    from synth.augment import sensor

    text = (ROOT / "docs" / "sensors.md").read_text()
    for name in set(sensor.__all__) - {"Shot", "Step", "Sensor"}:
        assert f"| `{name}` |" in text
