"""From resolved config to objects: what is taken, what is refused, and what the messages say."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.config.build import build, build_recipe, locate, parse_distribution
from synth.errors import ConfigError, SynthError
from synth.rand import Choice, Integers, Normal, Sobol, Uniform
from synth.render.flat import FlatSpec
from synth.types import Category


def test_targets_become_objects() -> None:
    assert build({"_target_": "synth.render.flat.FlatSpec"}) == FlatSpec()
    built = build({"a": [1, "Uniform(0, 2*pi)", {"_target_": "synth.types.Category", "name": "mug", "keypoints": ["rim"]}], "b": None})
    assert built == {"a": [1, Uniform(0, 2 * math.pi), Category("mug", ("rim",))], "b": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Uniform(0.2, 0.4)", Uniform(0.2, 0.4)),
        (" Uniform( low=-1, high=1/2 ) ", Uniform(-1, 0.5)),
        ("Choice([0.1, Uniform(5, 6)], weights=[1, 3])", Choice([0.1, Uniform(5, 6)], [1, 3])),
        ("Sobol([Integers(1, 3), Uniform(0, 1)])", Sobol([Integers(1, 3), Uniform(0, 1)])),
        ("Choice(['oak', 'tin'])", Choice(["oak", "tin"])),
        ("Normal(0, 0.3 - 0.1)", Normal(0, 0.3 - 0.1)),
    ],
)
def test_distributions_are_read(text: str, value: Any) -> None:
    assert parse_distribution(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Unifrom(0, 1)", "scene.x: no distribution 'Unifrom'; did you mean 'Uniform'\\? known: Choice"),
        ("Uniform(0)", "scene.x: high missing; Uniform needs low, high"),
        ("Uniform(0, 1, 2)", r"Uniform takes \(low, high\)"),
        ("Uniform(0, top=1)", "no key 'top'"),
        ("Uniform(2, 1)", r"scene.x: Uniform: needs finite low <= high, got 2 and 1"),
        ("Uniform('a', 1)", "Uniform cannot take"),
        ("Uniform(0, 1/0)", "divides by zero"),
        ("Uniform(0, __import__('os').system('true'))", "cannot read '__import__"),
        ("Uniform(0, open)", "cannot read 'open'"),
        ("Uniform(0, (lambda: 1)())", "cannot read"),
        ("Uniform(0, 1", "cannot read"),
        ("Uniform(*[0, 1])", r"cannot read '\*\[0, 1\]'"),
    ],
)
def test_wrong_distributions_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_distribution(text, "scene.x")


@given(st.text(st.sampled_from("Uniform()Choce[],.*-+/ 012ea_lambd:'\""), max_size=40))
def test_no_text_does_more_than_fail(text: str) -> None:
    with contextlib.suppress(SynthError):
        parse_distribution(text)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("pathlib.Path.write_text", "neither in synth nor in an installed plugin"),
        ("os.system", "neither in synth"),
        ("synthetic.Evil", "neither in synth"),
        ("synth.compose.cameras.math.sqrt", "cannot import 'synth.compose.cameras.math'"),
        ("synth.errors.difflib", "no dataclass of synth"),
        ("synth.doctor.shutil", "no dataclass"),
        ("synth.record.get_args", "no dataclass"),
        ("synth.cli.main", "no dataclass"),
        ("synth.view.save", "no dataclass"),
        ("synth.store.Store", "no dataclass"),
        ("synth.errors.SynthError", "no dataclass"),
        ("synth_scenes.__main__.x", "must be"),
        ("synth.render.flat.FlatSpek", "did you mean 'FlatSpec'"),
        ("synth.nowhere.Thing", "cannot import 'synth.nowhere'"),
        ("FlatSpec", r"must be 'package.module.Name'"),
        (7, "must be"),
        ("synth..x", "must be"),
    ],
)
def test_targets_that_are_refused(target: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        locate(target, "scene")


def test_wrong_keys_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"scene.lid: no key 'keypionts'; did you mean 'keypoints'\? known: name, keypoints"):
        build({"lid": {"_target_": "synth.types.Category", "name": "lid", "keypionts": []}}, "scene")
    with pytest.raises(ConfigError, match="name missing; Category needs name"):
        build({"_target_": "synth.types.Category"}, "scene")
    with pytest.raises(ConfigError, match=r"scene: category 'lid': keypoint names must differ"):
        build({"_target_": "synth.types.Category", "name": "lid", "keypoints": ["a", "a"]}, "scene")


@pytest.mark.parametrize(
    "text",
    [
        "Uniform(" + "-" * 5000 + "1, 2)",
        "A(" * 5000 + ")" * 5000,
        "Uniform(" + "9" * 400 + "/2, 3)",
        "Uniform(" + "9" * 5000 + ", 3)",
        "A(\0)",
    ],
    ids=["minus", "calls", "quotient", "digits", "zero byte"],
)
def test_a_text_made_to_break_the_reader_is_one_short_message(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read") as caught:
        parse_distribution(text)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image", None, "image must be keys with values, got None"),
        ("image", {"a": 1}, "image, outputs: no key 'a'"),
        ("outputs", "depth", "outputs must be a list"),
        ("stages", [1], "stages must be keys with values"),
        ("keypoint_tolerance", "x", "config: Recipe cannot take"),
        ("seed", ..., "'seed' is not in the config"),
        ("scene", ..., "'scene' is not in the config"),
    ],
    ids=str,
)
def test_a_stored_config_of_wrong_types_is_named(key: str, value: Any, message: str) -> None:
    config: dict[str, Any] = {
        "n": 1, "seed": 0, "store": "s", "message": "", "workers": 1, "outputs": [], "keypoint_tolerance": 0.01,
        "image": {"format": "png", "quality": 90, "chroma": "4:2:0"}, "stages": {},
        "scene": {"_target_": "synth_scenes.tabletop.Tabletop"}, "renderer": {"_target_": "synth.render.flat.FlatSpec"},
    }  # fmt: skip
    build_recipe(config, "scene")
    config[key] = value
    if value is ...:
        del config[key]
    with pytest.raises(ConfigError, match=message):
        build_recipe(config, "scene")
