"""Pasting over finished pictures, recipes that draw collages, and what they refuse."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from synth.annotate import annotate, finish
from synth.collage import CollageRenderer, CollageSpec
from synth.collage.paste import Paste, copy_paste
from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError, SceneError
from synth.layout import Blending, Layout
from synth.protocols import Renderer, RendererSpec, Scene, Stage
from synth.rand import Stream, Uniform, rng_for
from synth.recipe import Generator, Recipe
from synth.record import Output
from synth.render.flat import FlatSpec
from synth.types import Blend, Body, Category, Collage, Cutout, Draft, Layer, World
from tests import shapes
from tests.flat_shapes import GREY, THING, collage, rectangle, similarity

PLAIN = Blending(mode="none", match=0.0, shadow=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("sticker", (250, 250, 0)), ("stamp", (0, 250, 250))):
        (tmp_path / name).mkdir()
        rgba = np.empty((30, 40, 4), np.uint8)
        rgba[:] = (*colour, 255)
        Image.fromarray(rgba).save(tmp_path / name / "a.png")
    (tmp_path / "cutouts.yaml").write_text("licence: CC0-1.0")
    return tmp_path


def box_draft() -> Draft:
    world = World(shapes.camera(), (Body(shapes.box(0.3, 0.3, 0.3), shapes.at(0, 0, 0), shapes.BOX),))
    return annotate(world, FlatSpec().open().render(world, normals=True))


# --- the stage --------------------------------------------------------------------------------------------------------


def test_distractors_over_a_render_hide_what_they_cover(folder: Path) -> None:
    draft = box_draft()
    before = finish(draft, (shapes.BOX,)).instances[0]
    stage = Paste(str(folder), count=3, layout=Layout(scale=0.3, hidden=1.0), blending=PLAIN)
    assert isinstance(stage, Stage)
    hidden = 0
    for index in range(5):
        after_draft = stage.apply(draft, rng_for(0, index, "paste"))
        changed = (after_draft.image != draft.image).any(axis=2)
        solid = np.isin(after_draft.image.reshape(-1, 3), [(250, 250, 0), (0, 250, 250)]).all(axis=1).reshape(changed.shape)
        after = finish(after_draft, (shapes.BOX,)).instances[0]
        assert len(after_draft.instances) == 1
        assert (after_draft.instance[solid] == 0).all()
        assert (after_draft.instance[~changed] == draft.instance[~changed]).all()
        assert after_draft.depth_m is not None
        assert np.isinf(after_draft.depth_m[solid]).all()
        for label in ("mask_full", "box_full_xyxy", "truncated_fraction"):
            assert getattr(after, label) == getattr(before, label)
        assert before.area_px is not None
        assert before.visible_fraction is not None
        assert after.visible_fraction == pytest.approx(before.visible_fraction * (after.area_px or 0) / before.area_px)
        assert before.keypoints is not None
        assert after.keypoints is not None
        assert (after.keypoints.v <= before.keypoints.v).all()
        hidden += int((after.keypoints.v < before.keypoints.v).sum())
    assert hidden > 0
    assert finish(draft, (shapes.BOX,)).instances[0].area_px == before.area_px, "the given draft is left alone"


def test_labelled_pastes_become_instances_and_respect_the_limit(folder: Path) -> None:
    draft = box_draft()
    stage = Paste(str(folder), count=2, labelled=True, layout=Layout(scale=0.3, hidden=0.2, truncated=0.0), blending=PLAIN)
    for index in range(5):
        sample = finish(stage.apply(draft, rng_for(0, index, "paste")), (shapes.BOX, Category("sticker"), Category("stamp")))
        box, *added = sample.instances
        assert {i.category for i in added} <= {"sticker", "stamp"}
        assert len(added) == 2
        assert box.visible_fraction is not None
        assert box.visible_fraction > 0.75
        assert added[-1].visible_fraction == pytest.approx(1, abs=0.01), "the frame's edge is held to a pixel of a coarse map"


@dataclass(frozen=True)
class Box:
    """A 3D scene of one box."""

    @property
    def categories(self) -> Sequence[Category]:
        return (shapes.BOX,)

    def compose(self, rng: Stream) -> World:
        return World(shapes.camera(), (Body(shapes.box(), shapes.at(0, 0, 0, rng.uniform()), shapes.BOX),))


def test_a_recipe_with_the_stage_reads_its_files_and_is_pure(folder: Path) -> None:
    stage = Paste(str(folder), blending=PLAIN)
    recipe = Recipe(Box(), FlatSpec(), {"paste": stage})
    assert {path.name: licence for path, licence in recipe.sources.items()} == {"a.png": "CC0-1.0", "cutouts.yaml": "CC0-1.0"}
    first, again = Generator(recipe)[3], Generator(pickle.loads(pickle.dumps(recipe)))[3]
    assert label_digest(first) == label_digest(again)
    assert pixel_digest(first) == pixel_digest(again)
    digest = recipe.digest
    Image.fromarray(np.full((9, 9, 4), 255, np.uint8)).save(folder / "stamp" / "a.png")
    assert Recipe(Box(), FlatSpec(), {"paste": Paste(str(folder), blending=PLAIN)}).digest != digest
    with pytest.raises(SceneError, match=r"sample 0 .* a stage added 'a' of category '(sticker|stamp)', which the scene does not declare"):
        _ = Generator(Recipe(Box(), FlatSpec(), {"paste": replace(stage, labelled=True)}))[0]


def test_wrong_stages_are_one_message(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        Paste(str(folder / "gone"))
    with pytest.raises(ConfigError, match="count must be whole"):
        Paste(str(folder), count=Uniform(0, 3))  # type: ignore[arg-type]


# --- copy and paste ---------------------------------------------------------------------------------------------------


def two_cards() -> Draft:
    pair = Category("pair", ("left", "right"), (("left", "right"),))
    shape = Cutout("pair", rectangle(40, 20).rgba, {"left": (2.0, 10.0), "right": (38.0, 10.0)})
    cover = rectangle(20, 20)
    made = collage(Layer(shape, similarity(shape, 1, 60, 40), pair), Layer(cover, similarity(cover, 1, 70, 40)), size=(120, 80))
    return CollageRenderer().draw(made)


def test_copied_objects_keep_their_labels() -> None:
    target = CollageRenderer().draw(collage(Layer(rectangle(100, 60), similarity(rectangle(100, 60), 1, 60, 40), THING), size=(120, 80)))
    made = copy_paste(target, two_cards(), rng_for(0, 0), share=1.0, mirror=0.0)
    sample = finish(made, (THING, two_cards().instances[0].category))
    under, copied = sample.instances
    assert (copied.area_px, copied.visible_fraction) == (400, 0.5), "the half that was hidden is missing, and counts"
    assert copied.box_full_xyxy == pytest.approx((40, 30, 80, 50))
    assert copied.keypoints is not None
    assert copied.keypoints.xy.tolist() == [[42, 40], [78, 40]]
    assert copied.keypoints.v.tolist() == [2, 1]
    assert (under.area_px, under.visible_fraction) == (5600, pytest.approx(5600 / 6000))

    flipped = copy_paste(target, two_cards(), rng_for(0, 0), share=1.0, mirror=1.0)
    twice = finish(flipped, (THING, two_cards().instances[0].category)).instances[1]
    assert twice.keypoints is not None
    assert twice.keypoints.xy.tolist() == [[42, 40], [78, 40]], "left and right changed places"
    assert twice.keypoints.v.tolist() == [1, 2], "and what was seen of the right is the left now"

    half = finish(copy_paste(target, two_cards(), rng_for(0, 1), share=1.0, scale=0.5, blend=Blend("gaussian", 1)), ()).instances[1]
    assert half.area_px == pytest.approx(100, abs=12)
    assert half.visible_fraction == pytest.approx(0.5, abs=0.04)
    assert copy_paste(target, two_cards(), rng_for(0, 0), share=0.0).instances == target.instances


def test_a_rendered_object_loses_its_pose_where_it_is_pasted() -> None:
    made = copy_paste(two_cards(), box_draft(), rng_for(0, 0), share=1.0, scale=Uniform(0.4, 0.6))
    item = finish(made, ()).instances[1]
    assert (item.camera_from_object, item.box3d_object_m) == (None, None)
    assert item.keypoints is not None
    assert item.keypoints.xyz_m is None
    assert item.visible_fraction == pytest.approx(1, abs=0.02)


# --- recipes of collages ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cards:
    """A 2D scene; `wrong` says what it does instead."""

    composes: ClassVar = Collage
    wrong: str = ""

    @property
    def categories(self) -> Sequence[Category]:
        return (THING,)

    def compose(self, rng: Stream) -> World | Collage:
        if self.wrong == "world":
            return World(shapes.camera(), ())
        shape = rectangle(20, 10)
        kind = Category("other") if self.wrong == "category" else THING
        return collage(Layer(shape, similarity(shape, 1, *rng.uniform(10, 50, 2)), kind), size=(64, 48))


@dataclass(frozen=True)
class Undeclared(Cards):
    """Composes collages without saying so."""

    composes: ClassVar = World


class ClosedSpec:
    """A renderer that is not there."""

    def open(self) -> Renderer:
        raise AssertionError("a collage needs no renderer")


def test_a_scene_of_collages_brings_its_own_renderer() -> None:
    recipe = Recipe(Cards(), ClosedSpec(), seed=3)
    assert isinstance(Cards(), Scene)
    assert isinstance(CollageSpec(), RendererSpec)
    assert isinstance(CollageRenderer(), Renderer)
    assert recipe.renderer == CollageSpec()
    assert recipe.digest == Recipe(Cards(), FlatSpec(), seed=3).digest, "what is not used decides nothing"
    with Generator(recipe) as generator:
        samples = [generator[i] for i in (0, 1)]
        assert label_digest(generator[0]) == label_digest(samples[0])
    assert samples[0].origin is not None
    assert samples[0].origin.renderer.startswith("collage 1 opencv ")
    assert label_digest(samples[0]) != label_digest(samples[1])
    assert samples[0].instances[0].area_px == 200
    assert (samples[0].image[samples[0].image[..., 0] == GREY] == GREY).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Generator(Recipe(Cards("world"), FlatSpec()))[0],
            "it composes collages, but composed a World; let it say composes = World",
        ),
        (
            lambda: Generator(Recipe(Undeclared(), FlatSpec()))[0],
            "composed a Collage, but does not say that it does; .* composes = Collage",
        ),
        (
            lambda: Generator(Recipe(Cards("category"), FlatSpec()))[0],
            r"layer 0 \('rectangle'\) has category 'other', which the scene does not declare",
        ),
    ],
)
def test_wrong_scenes_are_one_message(make: Any, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        make()


def test_a_collage_has_no_depth_to_keep() -> None:
    with pytest.raises(ConfigError, match="a collage has no depth and no normals; keep no maps of it"):
        Recipe(Cards(), FlatSpec(), output=Output(maps=("depth", "normals")))
