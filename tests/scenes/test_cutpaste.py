"""The scene of cut-outs on photos: a pure function of its stream, any folder by one override, wrong keys one message."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import yaml
from PIL import Image
from synth_scenes.backdrops import Backdrop
from synth_scenes.cutpaste import Cutpaste

from synth.config.build import build
from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError, SceneError
from synth.layout import Blending, Layout
from synth.protocols import Scene
from synth.rand import Integers, Uniform, rng_for
from synth.recipe import Generator, Recipe
from synth.render.flat import FlatSpec
from synth.types import Collage

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/cutpaste.yaml"


@cache
def scene() -> Cutpaste:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text()) | {"width": 320, "height": 240}
    built = build(values)
    assert isinstance(built, Cutpaste)
    return built


@cache
def composed(index: int) -> Collage:
    return scene().compose(rng_for(0, index, "scene"))


def facts(made: Collage) -> list[Any]:
    return [
        made.background.tobytes(),
        [(x.cutout.name, x.category and x.category.name, x.image_from_layer.tobytes()) for x in made.layers],
        [x.blend for x in made.layers],
    ]


def test_equal_streams_give_equal_collages_and_other_indices_other_ones() -> None:
    assert isinstance(scene(), Scene)
    fresh = pickle.loads(pickle.dumps(scene()))
    for index in range(4):
        assert facts(fresh.compose(rng_for(0, index, "scene"))) == facts(composed(index))
    assert len({made.background.tobytes() for made in map(composed, range(4))}) == 4


def test_the_default_layout_of_the_option_is_written_out_in_full() -> None:
    values = yaml.safe_load(OPTION.read_text())
    assert set(values["layout"]) - {"_target_"} == {f.name for f in fields(Layout)}
    assert set(values["blending"]) - {"_target_"} == {f.name for f in fields(Blending)}
    assert set(values) - {"_target_"} == {f.name for f in fields(Cutpaste)}
    assert replace(scene(), layout=Layout(), blending=Blending(), width=640, height=480) == replace(
        Cutpaste(), layout=Layout(), blending=Blending()
    )


def test_samples_are_labelled_and_repeat_to_the_bit() -> None:
    with Generator(Recipe(scene(), FlatSpec(), name="cutpaste")) as generator:
        samples = [generator[index] for index in range(8)]
        assert pixel_digest(generator[2]) == pixel_digest(samples[2])
        assert label_digest(generator[2]) == label_digest(samples[2])
    assert {i.category for s in samples for i in s.instances} == {c.name for c in scene().categories}
    for index, sample in enumerate(samples):
        assert sample.size == (320, 240)
        assert sample.image.std() > 5
        assert len(sample.instances) == sum(layer.category is not None for layer in composed(index).layers)
        for instance in sample.instances:
            assert instance.visible_fraction is not None
            assert instance.visible_fraction > 0.2
    assert any(i.keypoints is not None and (i.keypoints.v == 2).any() for s in samples for i in s.instances)
    assert any(layer.category is None for made in map(composed, range(8)) for layer in made.layers)


def test_a_parameter_of_looks_moves_no_place_and_the_other_way_round() -> None:
    base = facts(composed(1))
    other = facts(replace(scene(), blending=Blending(mode="feather", match=0.0)).compose(rng_for(0, 1, "scene")))
    assert [a == b for a, b in zip(base, other, strict=True)] == [True, True, False]
    moved = facts(replace(scene(), layout=Layout(scale=0.2)).compose(rng_for(0, 1, "scene")))
    assert moved[0] == base[0]
    assert moved[2] == base[2]
    zoomed = facts(replace(scene(), zoom=1.9).compose(rng_for(0, 1, "scene")))
    assert zoomed[1:] == base[1:]


def test_folders_of_ones_own(tmp_path: Path) -> None:
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[2:-2, 2:-2] = (255, 0, 255, 255)
    for name in ("cups/red.png", "cups/blue.png", "plates/a.png"):
        (tmp_path / "cut" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgba).save(tmp_path / "cut" / name)
    (tmp_path / "cut/cutouts.yaml").write_text("licence: CC-BY-4.0")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (50, 40), (10, 200, 30)).save(tmp_path / "photos/green.png")
    own = replace(scene(), cutouts=str(tmp_path / "cut"), backgrounds=str(tmp_path / "photos"), distractors=0, objects=3)
    assert [c.name for c in own.categories] == ["cups", "plates"]
    made = own.compose(rng_for(0, 0))
    assert (made.background == (10, 200, 30)).all()
    licences = {path.name: licence for path, licence in own.sources.items()}
    assert licences["red.png"] == "CC-BY-4.0"
    assert licences["green.png"] == ""
    digest = Recipe(own, FlatSpec()).digest
    Image.new("RGB", (50, 40), (10, 200, 31)).save(tmp_path / "photos/green.png")
    assert Recipe(own, FlatSpec()).digest != digest


def test_shipped_files_name_their_licences() -> None:
    licences = scene().sources
    assert {licences[path] for path in licences} == {"MIT", "MPL-2.0", "CC0-1.0"}
    assert all(path.is_file() for path in licences)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cutpaste(cutouts="grocery"), "no folder of cut-outs 'grocery'; did you mean 'groceries'.*or the path of a folder"),
        (lambda: Cutpaste(cutouts="./gone"), "cut-outs 'gone': there is no such folder"),
        (lambda: Cutpaste(backgrounds="foto"), "no folder of photos 'foto'.*or the path of a folder"),
        (lambda: Cutpaste(backgrounds="./gone"), "photos './gone': there is no such folder"),
        (lambda: Cutpaste(objects=-1), r"objects must be in \[0, 500\], got -1"),
        (lambda: Cutpaste(distractors=Uniform(0, 1)), "distractors must be whole"),
        (lambda: Cutpaste(width=0), r"width must be in \[1, 16384\], got 0"),
        (lambda: Backdrop(zoom=0.5), r"backdrop.zoom must be in \[1, 20\], got 0.5"),
    ],
)
def test_a_wrong_parameter_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_too_many_are_one_message() -> None:
    full = replace(scene(), objects=60, distractors=0, layout=Layout(scale=0.6, hidden=0.0, tries=10))
    with pytest.raises(SceneError, match=r"no place for cut-out '.*' \(\d+ of 60\) in 10 tries on 320 x 240 px"):
        full.compose(rng_for(0, 0))
    assert replace(scene(), objects=0, distractors=0).compose(rng_for(0, 0)).layers == ()
    assert len(replace(scene(), objects=Integers(4, 4), distractors=0).compose(rng_for(0, 0)).layers) == 4


def test_shares_say_how_often_a_category_is_drawn() -> None:
    scene = Cutpaste(objects=4, distractors=0, shares={"can": 3, "lemon": 1})
    drawn = [layer.category.name for i in range(60) for layer in scene.compose(rng_for(3, i, "scene")).layers if layer.category]
    assert set(drawn) == {"can", "lemon"}
    assert 0.65 < drawn.count("can") / len(drawn) < 0.85  # three quarters; four deviations of 240 draws
    with pytest.raises(ConfigError, match=r"shares: no category 'cann'; did you mean 'can'"):
        Cutpaste(shares={"cann": 1})
    with pytest.raises(ConfigError, match="more than 0"):
        Cutpaste(shares={"can": 0})
