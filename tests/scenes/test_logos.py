"""The scene of logos: prints with four corners, near misses that are other logos and carry no label, wrong keys one message."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import yaml
from PIL import Image
from synth_scenes.logos import CORNERS, Logos, Print

from synth.config.build import build
from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError
from synth.layout import Blending, Layout
from synth.protocols import Scene
from synth.rand import Choice, rng_for
from synth.recipe import Generator, Recipe
from synth.render.flat import FlatSpec
from synth.types import Collage

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/logos.yaml"


@cache
def scene() -> Logos:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text()) | {"width": 320, "height": 240}
    built = build(values)
    assert isinstance(built, Logos)
    return built


@cache
def composed(index: int) -> Collage:
    return scene().compose(rng_for(0, index, "scene"))


def test_the_defaults_in_code_are_those_of_the_option() -> None:
    assert replace(scene(), width=640, height=480) == Logos()
    values = yaml.safe_load(OPTION.read_text())
    for key, kind in (("layout", Layout), ("blending", Blending), ("printed", Print)):
        assert set(values[key]) - {"_target_"} == {f.name for f in fields(kind)}


def test_samples_repeat_to_the_bit_and_have_four_corners() -> None:
    assert isinstance(scene(), Scene)
    with Generator(Recipe(scene(), FlatSpec(), name="logos")) as generator:
        samples = [generator[index] for index in range(8)]
        assert pixel_digest(generator[2]) == pixel_digest(samples[2])
        assert label_digest(generator[2]) == label_digest(samples[2])
    assert all(category.keypoints == CORNERS and category.mirror == () for category in scene().categories)
    seen: Counter[int] = Counter()
    for sample in samples:
        for instance in sample.instances:
            assert instance.keypoints is not None
            assert instance.box_full_xyxy is not None
            x0, y0, x1, y1 = instance.box_full_xyxy
            there = instance.keypoints.v > 0
            assert (instance.keypoints.xy[there] > np.array([x0, y0]) - 0.25 * (x1 - x0 + y1 - y0)).all()
            if there.all():  # in the order in which one reads, clockwise on the screen
                (ax, ay), (bx, by), (cx, cy), _ = instance.keypoints.xy
                assert (bx - ax) * (cy - by) - (by - ay) * (cx - bx) > 0
            seen.update(instance.keypoints.v.tolist())
    assert seen[2] > 10, "the corners of cards are seen"
    assert seen[1] > 10, "those of a round logo are not on it"


def test_near_misses_are_there_without_label_and_are_other_logos() -> None:
    many = replace(scene(), near_misses=4, objects=0)
    names = [layer.cutout.name for index in range(12) for layer in many.compose(rng_for(0, index)).layers]
    kinds = Counter(name.split()[1] for name in names)
    assert set(kinds) == {"mirrored", "recoloured"}
    assert all(layer.category is None for index in range(3) for layer in many.compose(rng_for(0, index)).layers)
    mirrored = {name.split()[0] for name in names if name.endswith("mirrored")}
    assert mirrored
    assert not mirrored & {"kubernetes", "rust", "github", "python"}, "their mirror images look the same"
    recoloured = {name.split()[0] for name in names if name.endswith("recoloured")}
    assert not recoloured & {"python", "rust", "github", "wikipedia"}, "of one colour, which a print may change"


def test_only_chosen_brands_are_labelled() -> None:
    few = replace(scene(), brands=["docker", "firefox"], objects=3, others=3, near_misses=0)
    assert [c.name for c in few.categories] == ["docker", "firefox"]
    for index in range(4):
        layers = few.compose(rng_for(0, index)).layers
        labelled = [layer for layer in layers if layer.category is not None]
        assert len(labelled) == 3
        assert {layer.cutout.name for layer in labelled} <= {"docker", "firefox"}
        strangers = [layer.cutout.name for layer in layers if layer.category is None]
        assert len(strangers) == 3
        assert not set(strangers) & {"docker", "firefox"}


def test_prints_are_flat_curved_and_folded() -> None:
    logo = composed(0).layers[0].cutout
    shapes = {}
    for surface in ("flat", "curved", "folded"):
        made = Print(surface=surface, plate=1.0, ink=0.0).draw(logo, "card", rng_for(0, 3))
        shapes[surface] = made
        assert set(made.keypoints_xy) == set(CORNERS)
        xy = np.array([made.keypoints_xy[name] for name in CORNERS])
        rows, columns = made.rgba.shape[:2]
        assert (xy > -0.01).all()
        assert (xy < (columns + 0.01, rows + 0.01)).all()
        for x, y in xy:  # the corner of a card is a corner of what is opaque
            r, c = int(np.clip(y, 2, rows - 3)), int(np.clip(x, 2, columns - 3))
            around = made.rgba[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4, 3] > 127
            assert around.any()
    assert shapes["flat"].rgba.shape != shapes["curved"].rgba.shape
    assert (shapes["flat"].rgba[..., 3] == 255).all()


def test_logos_of_ones_own(tmp_path: Path) -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[5:35, 5:12] = rgba[5:12, 5:35] = (200, 0, 0, 255)
    for brand in ("acme", "umbrella"):
        (tmp_path / brand).mkdir()
        Image.fromarray(rgba).save(tmp_path / brand / "logo.png")
    own = replace(scene(), logos=str(tmp_path), brands=["acme"])
    assert [c.name for c in own.categories] == ["acme"]
    layers = own.compose(rng_for(0, 1)).layers
    assert {layer.category.name for layer in layers if layer.category} == {"acme"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Logos(brands=["dockr"]), "brands: no logo 'dockr'; did you mean 'docker'"),
        (lambda: Logos(logos="logo"), "no folder of cut-outs 'logo'; did you mean 'logos'"),
        (lambda: Logos(objects=2.5), "objects must be whole"),
        (lambda: Print(surface="round"), "no surface 'round'; known: curved, flat, folded"),
        (lambda: Print(surface=Choice(["flat", "curvd"])), "no surface 'curvd'; did you mean 'curved'"),
        (lambda: Print(curve_rad=2.0), r"print.curve_rad must be in \[-1.2, 1.2\], got 2.0"),
    ],
)
def test_a_wrong_parameter_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
