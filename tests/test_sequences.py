"""A scene over time: frames of one clip share its numbers, things keep their ids, each sample is still its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth import formats
from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError, SceneError
from synth.rand import Random, Stream, Uniform, draw
from synth.recipe import Generator, Recipe
from synth.render.flat import FlatSpec
from synth.run import LocalExecutor
from synth.store import Store
from synth.testing import check_scene, wrong
from synth.types import Body, Category, World
from tests.shapes import BOX, at, box, camera

CUBE = box(0.05, 0.05, 0.05)
composed: list[str] = []


@dataclass(frozen=True)
class Passing:
    """Boxes that pass each other on straight ways, the first to the right and the second to the left."""

    frames: int = 5
    frame_s: float = 0.04
    speed_mps: Random[float] = Uniform(0.2, 0.5)

    @property
    def categories(self) -> tuple[Category, ...]:
        return (BOX,)

    def compose(self, rng: Stream) -> Sequence[World]:
        composed.append(f"{rng.index}")
        speeds = [float(draw(self.speed_mps, rng.child(i), "speed_mps")) for i in range(2)]
        begin_s = float(rng.child("begin").uniform(0, 0.01))
        return tuple(self._at(begin_s + frame * self.frame_s, speeds) for frame in range(self.frames))

    def _at(self, time_s: float, speeds: Sequence[float]) -> World:
        right = Body(CUBE, at(-0.02 + speeds[0] * time_s, -0.1, 0), BOX, attributes={"track_id": 0})
        left = Body(CUBE, at(0.02 - speeds[1] * time_s, 0.1, 0), BOX, attributes={"track_id": "left", "zone": 2})
        bodies = (right, left, Body(CUBE, at(0, 0, -0.2)))  # the last is a prop, without a track
        return World(camera(), bodies if time_s < 0.1 else bodies[::-1], attributes={"night": False})


@dataclass(frozen=True)
class Short(Passing):
    def compose(self, rng: Stream) -> Sequence[World]:
        return super().compose(rng)[:-1]


@dataclass(frozen=True)
class Single(Passing):
    def compose(self, rng: Stream) -> Any:
        return super().compose(rng)[0]


@dataclass(frozen=True)
class Tracked(Passing):
    """All tracks are the same."""

    track: Any = 1

    def compose(self, rng: Stream) -> Sequence[World]:
        told = None if self.track is None else {"track_id": self.track}
        worlds = super().compose(rng)
        return tuple(replace(world, bodies=tuple(replace(body, attributes=told) for body in world.bodies)) for world in worlds)


def recipe(scene: Any = None, **options: Any) -> Recipe:
    return Recipe(scene or Passing(), FlatSpec(), **options)


def test_frames_of_a_clip_share_its_numbers_and_clips_differ() -> None:
    samples = [Generator(recipe())[i] for i in range(10)]
    ways = []
    for clip in (samples[:5], samples[5:]):
        poses = [i.camera_from_object for s in clip for i in s.instances if i.attributes and i.attributes["track_id"] == 0]
        steps = [b[:3, 3] - a[:3, 3] for a, b in pairwise(poses) if a is not None and b is not None]
        assert all(abs(step - steps[0]).max() < 1e-12 for step in steps)  # at one speed, the one of the clip
        ways.append(float(np.linalg.norm(steps[0])))
    assert 0.2 * 0.04 <= min(ways) < max(ways) <= 0.5 * 0.04


def test_things_keep_their_ids_whatever_their_order() -> None:
    with Generator(recipe()) as generator:
        for sample in (generator[i] for i in range(5)):
            told = [instance.attributes for instance in sample.instances]
            assert sorted(told, key=str) == [{"track_id": "left", "zone": 2}, {"track_id": 0}]


def test_a_sample_is_the_same_in_any_order_and_alone() -> None:
    with Generator(recipe()) as generator:
        forwards = [label_digest(generator[i]) for i in range(12)]
        backwards = [label_digest(generator[i]) for i in reversed(range(12))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 12
    alone = Generator(recipe())[7]
    assert label_digest(alone) == forwards[7]
    assert pixel_digest(alone) == pixel_digest(Generator(recipe())[7])


def test_a_clip_is_composed_once_for_frames_in_a_row() -> None:
    composed.clear()
    with Generator(recipe()) as generator:
        for i in range(12):
            _ = generator[i]
    assert composed == ["0", "1", "2"]


def test_a_sample_tells_its_place_and_its_group() -> None:
    with Generator(recipe(seed=4)) as generator:
        infos = [generator[i].info for i in range(6)]
    assert [info.attributes and info.attributes["frame"] for info in infos] == [0, 1, 2, 3, 4, 0]
    assert [info.attributes and info.attributes["time_s"] for info in infos] == [0.0, 0.04, 0.08, 0.12, 0.16, 0.0]
    assert infos[0].attributes == {"night": False, "frame": 0, "time_s": 0.0}
    groups = [info.group for info in infos]
    assert len(set(groups)) == 2
    assert len(set(groups[:5])) == 1
    assert Generator(recipe(seed=5))[0].info.group != groups[0]  # another run, another clip


def test_a_store_keeps_clips_together_and_exports_carry_the_ids(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    LocalExecutor(workers=1, block=4).generate(recipe(), 10, store)  # blocks that divide the clips
    table = store.sql('select "group", count(*) as n from samples group by all order by 1')
    assert [row["n"] for row in table.to_pylist()] == [5, 5]
    first = table.to_pylist()[0]["group"]
    half = store.read("main", f"group = '{first}'")
    assert sorted(sample.origin.index for sample in half if sample.origin) == [0, 1, 2, 3, 4]
    formats.writer("coco", out=tmp_path / "coco").write(half)
    content = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert {annotation["attributes"]["track_id"] for annotation in content["annotations"]} == {0, "left"}


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (Short(), "the scene has frames = 5, so compose must return so many worlds, got 4"),
        (Single(), "so compose must return so many worlds, got World"),
        (Tracked(), r"body 'box' of a scene over time: attributes\['track_id'\] of two bodies, got 1"),
        (Tracked(track=None), r"attributes\['track_id'\] of a labelled body must be a text or a whole number, got None"),
        (Tracked(track=True), "must be a text or a whole number, got True"),
        (Tracked(track=[1]), r"must be a text or a whole number, got \[1\]"),
    ],
    ids=["short", "single", "twice", "none", "bool", "list"],
)
def test_what_is_no_clip_is_named(scene: Any, told: str) -> None:
    with pytest.raises(SceneError, match=told):
        _ = Generator(recipe(scene))[0]


def test_frames_must_be_a_number() -> None:
    for frames in (0, 2.5, True, "many"):
        with pytest.raises(ConfigError, match="frames must be a whole number from 1"):
            recipe(Passing(frames=frames))  # type: ignore[arg-type]


def test_a_clip_of_a_scene_that_says_nothing_of_time_is_refused() -> None:
    @dataclass(frozen=True)
    class Timeless:
        categories: tuple[Category, ...] = (BOX,)

        def compose(self, rng: Stream) -> Any:
            return Passing().compose(rng)

    with pytest.raises(SceneError, match="compose must return a World or a Collage, got tuple; a scene over time has `frames`"):
        _ = Generator(recipe(Timeless()))[0]


def test_a_scene_over_time_is_checked_like_any_other() -> None:
    assert wrong(check_scene(Passing())) == []
    assert any("track_id" in text for text in wrong(check_scene(Tracked())))
