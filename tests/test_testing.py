"""check_scene finds each fault that it is there for, and says where; it finds none in a scene without."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.compose.cameras import CameraRig
from synth.content import Contents
from synth.errors import SceneError
from synth.parameters import parameters, replaced, sweep, variants
from synth.rand import (
    Choice,
    Clip,
    Integers,
    LogUniform,
    Normal,
    Random,
    Sobol,
    Stream,
    TruncatedNormal,
    Uniform,
    UniformRotation,
    Vector,
    draw,
    rng_for,
)
from synth.testing import Finding, check_scene, wrong
from synth.types import Asset, Body, Category, Environment, World
from tests.shapes import BOX, at, box, camera

CUBE = box(0.1, 0.1, 0.1)


@dataclass(frozen=True)
class Part:
    turn: Random[float] = Uniform(0, 1)


@dataclass(frozen=True)
class Sound:
    """A box somewhere before a camera."""

    x_m: Random[float] = Uniform(-0.1, 0.1)
    count: Random[int] = Integers(1, 2)
    part: Part = Part()
    brightness: float = 0.5

    @property
    def categories(self) -> tuple[Category, ...]:
        return (BOX,)

    def bodies(self, rng: Stream) -> list[Body]:
        count, x = int(draw(self.count, rng, "count")), float(draw(self.x_m, rng, "x_m"))
        turn = float(draw(self.part.turn, rng.child("part"), "turn"))
        return [Body(CUBE, at(x, 0.3 * i + 0.1 * turn, 0), BOX) for i in range(count)]

    def compose(self, rng: Stream) -> World:
        return World(camera(), tuple(self.bodies(rng)), environment=Environment(color=(self.brightness,) * 3))


@dataclass(frozen=True)
class Forgetful(Sound):
    unused: Random[float] = Uniform(0, 1)


@dataclass(frozen=True)
class Switched(Sound):
    """One parameter acts only where another one switches it on."""

    glow: float = 0.0
    glow_blue: Random[float] = Uniform(0, 1)

    def compose(self, rng: Stream) -> World:
        world = super().compose(rng)
        blue = 0.1 * float(draw(self.glow_blue, rng, "glow_blue")) if self.glow else 0.0
        return replace(world, environment=Environment(color=(0.5 * self.brightness, self.glow, blue)))


@dataclass(frozen=True)
class Global(Sound):
    def compose(self, rng: Stream) -> World:
        return World(camera(), (Body(CUBE, at(random.random() / 10, 0, 0), BOX),))


@dataclass(frozen=True)
class Remembering(Sound):
    seen: list[int] = field(default_factory=list)

    def compose(self, rng: Stream) -> World:
        self.seen.append(1)
        return World(camera(), (Body(CUBE, at(len(self.seen) / 1000, 0, 0), BOX),))


_paint = np.zeros((4, 4, 3), np.uint8)


@dataclass(frozen=True)
class Repainting(Sound):
    """It writes into a picture that all worlds share."""

    def compose(self, rng: Stream) -> World:
        _paint[:] = (_paint[0, 0, 0] + 1) % 251
        return World(camera(), tuple(self.bodies(rng)), environment=Environment(photo=_paint))


@dataclass(frozen=True)
class Constant(Sound):
    def compose(self, rng: Stream) -> World:
        return World(camera(), (Body(CUBE, at(0, 0, 0), BOX),))


@dataclass(frozen=True)
class Away(Sound):
    def compose(self, rng: Stream) -> World:
        return World(camera(), tuple(Body(CUBE, at(-30, 0, float(rng.uniform(40, 50))), BOX) for _ in range(2)))


@dataclass(frozen=True)
class Unlabelled(Sound):
    def compose(self, rng: Stream) -> World:
        return World(camera(), tuple(replace(body, category=None) for body in self.bodies(rng)))


@dataclass(frozen=True)
class Undeclared(Sound):
    @property
    def categories(self) -> tuple[Category, ...]:
        return (Category("lid"),)


@dataclass(frozen=True)
class Scaled(Sound):
    def compose(self, rng: Stream) -> World:
        return World(camera(), (Body(CUBE, np.diag([2.0, 2, 2, 1]), BOX),))


@dataclass(frozen=True)
class Raising(Sound):
    def compose(self, rng: Stream) -> World:
        return World(camera(), ({}["lid"],))


@dataclass(frozen=True)
class Sometimes(Sound):
    def compose(self, rng: Stream) -> World:
        if rng.index == 4:
            raise SceneError("no free place for 'box'")
        return super().compose(rng)


@dataclass(frozen=True)
class Holding(Sound):
    callback: Any = field(default_factory=lambda: lambda: None)


@dataclass(frozen=True)
class Missing(Sound):
    @property
    def sources(self) -> dict[Path, str]:
        return {Path("nowhere/lid.glb"): ""}


@dataclass
class Thawed:
    categories: tuple[Category, ...] = (BOX,)

    def compose(self, rng: Stream) -> World:
        return World(camera(), ())


FAULTS = [
    (Forgetful(), "parameter unused: has no effect"),
    (Global(), "Global.compose: draws from the global generators"),
    (Remembering(), "Remembering.compose: sample 2 is another world when it is composed again in another order"),
    (Repainting(), "Repainting.compose: sample 2 is another world"),
    (Constant(), "Constant.compose: all samples are the same world"),
    (Away(), "labelled bodies are in the frame at all"),
    (Away(), "pictures show something labelled"),
    (Unlabelled(), "no picture has a label; give bodies"),
    (Undeclared(), "category 'box', which the scene does not declare"),
    (Scaled(), "must be rigid"),
    (Raising(), "KeyError: 'lid' ("),
    (Sometimes(), "1 of 8 samples failed: sample 4 (scene scene, seed 0): no free place for 'box'"),
    (Holding(), "has no digest"),
    (Missing(), "Missing.sources: names files that are not there: nowhere"),
    (Thawed(), "Thawed: is no frozen dataclass"),
    (3, "int: is no Scene"),
]


def test_a_sound_scene_has_no_fault_and_its_speed_is_told() -> None:
    findings = check_scene(Sound())
    assert wrong(findings) == []
    assert any("s a sample of" in str(finding) for finding in findings)


@pytest.mark.parametrize(("scene", "told"), FAULTS, ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__)
def test_each_fault_is_found_where_it_is(scene: Any, told: str) -> None:
    found = wrong(check_scene(scene))
    assert any(told in text for text in found), found
    assert all("; " in text for text in found)  # each says how to mend it


def test_the_line_of_a_plugin_that_raises_is_named() -> None:
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if '{}["lid"]' in text)
    assert any(f"test_testing.py, line {line}" in text for text in wrong(check_scene(Raising())))


def test_a_parameter_that_another_one_switches_on_acts() -> None:
    assert wrong(check_scene(Switched())) == []


def test_only_what_must_act_is_asked_for() -> None:
    assert wrong(check_scene(Forgetful(), must_act=("x_m", "part.turn"))) == []
    assert wrong(check_scene(Forgetful(), must_act=("x_n",))) == [
        "must_act: no parameter 'x_n'; did you mean 'x_m'? known: brightness, count, part.turn, unused, x_m; take it out"
    ]


def test_a_keypoint_that_nobody_can_see_is_told() -> None:
    category = Category("box", ("heart",))
    hidden = Asset("box", CUBE.meshes, (replace(CUBE.keypoints[0], name="heart", xyz_object_m=(0, 0, 0)),))

    @dataclass(frozen=True)
    class Hearts:
        categories: tuple[Category, ...] = (category,)

        def compose(self, rng: Stream) -> World:
            return World(camera(), (Body(hidden, at(float(rng.uniform(0, 0.1)), 0, 0), category),))

    globals()["Hearts"] = Hearts
    Hearts.__qualname__ = "Hearts"
    told = [str(finding) for finding in check_scene(Hearts(), must_act=()) if not finding.wrong]
    assert any("keypoint 'heart': was never seen on 8 bodies in plain view" in text for text in told)


def test_a_finding_reads_as_where_what_and_how() -> None:
    assert str(Finding("is flat", "scene lid", "raise it")) == "scene lid: is flat; raise it"
    assert wrong([Finding("is flat", "scene lid", wrong=False)]) == []


# --- parameters -------------------------------------------------------------------------------------------------------


def test_parameters_are_named_as_overrides_name_them() -> None:
    rig = CameraRig()
    found = {p.path: p.value for p in parameters(Sound())}
    assert found == {"x_m": Uniform(-0.1, 0.1), "count": Integers(1, 2), "part.turn": Uniform(0, 1), "brightness": 0.5}
    assert replaced(Sound(), "part.turn", 3.0).part == Part(3.0)
    assert replaced(rig, "fov_rad", 1.0).fov_rad == 1.0
    nested = (Sound(), Sound())
    assert [p.path for p in parameters({"a": nested})][:2] == ["a.0.x_m", "a.0.count"]
    assert replaced({"a": nested}, "a.1.part.turn", 2)["a"][1].part.turn == 2


@pytest.mark.parametrize(
    ("value", "swept"),
    [
        (Uniform(0, 2), [0, 1, 2]),
        (LogUniform(1, 100), [1, 10, 100]),
        (Normal(1, 0.5), [0, 1, 2]),
        (Integers(3, 4), [3, 4]),
        (Choice(["a", "b", "c", "d"]), ["a", "c", "d"]),
        (Choice(["a", Uniform(0, 1)]), ["a", Uniform(0, 1)]),
        (Clip(Normal(0, 9), -1, 1), [-1, 0, 1]),
        (Sobol(Uniform(0, 2)), [0, 1, 2]),  # type: ignore[arg-type]
        ([Uniform(0, 2), 5], [(0, 5), (1, 5), (2, 5)]),
        (Vector([Uniform(0, 2)]), [(0,), (1,), (2,)]),
        (UniformRotation(), []),
        (0.3, []),
        ("text", []),
        ((1, 2), []),
        (None, []),
    ],
    ids=repr,
)
def test_a_sweep_goes_from_end_to_end(value: Any, swept: list[Any]) -> None:
    found = sweep(value, 3)
    assert found == pytest.approx(swept) if swept and isinstance(swept[0], (int, float)) else found == swept


def test_a_truncated_normal_is_swept_within_its_ends() -> None:
    assert sweep(TruncatedNormal(0, 1, -1, 1), 3) == pytest.approx([-1, 0, 1])


@pytest.mark.parametrize("value", [True, 3, 0, 0.0, 0.4, ("a", "b"), (0.0, 1.0), Uniform(0, 1), Choice([1, 2])], ids=repr)
def test_variants_are_other_values(value: Any) -> None:
    found = list(variants(value))
    assert found
    assert all(other != value for other in found)


@pytest.mark.parametrize("value", [None, "text", ("a",)], ids=repr)
def test_texts_have_no_variants(value: Any) -> None:
    assert list(variants(value)) == []


# --- content ----------------------------------------------------------------------------------------------------------


def worlds() -> Iterator[World]:
    """Worlds that differ in one thing each."""
    plain = Sound().compose(rng_for(0, 0, "scene"))
    body = plain.bodies[0]
    yield plain
    yield replace(plain, exposure=2.0)
    yield replace(plain, bodies=())
    yield replace(plain, bodies=(body, body))
    yield replace(plain, bodies=(replace(body, category=None),))
    yield replace(plain, bodies=(replace(body, attributes={"zone": "left"}),))
    yield replace(plain, environment=Environment(photo=np.zeros((50, 50, 3), np.uint8)))
    yield replace(plain, environment=Environment(photo=np.ones((50, 50, 3), np.uint8)))
    yield replace(plain, environment=Environment(photo=np.ones((50, 51, 3), np.uint8)))


def test_content_is_equal_for_equal_worlds_only() -> None:
    memory, none = Contents(), Contents(0)
    assert memory.digest(Sound().compose(rng_for(0, 0, "scene"))) == none.digest(Sound().compose(rng_for(0, 0, "scene")))
    digests = [memory.digest(world) for world in worlds()]
    assert len(set(digests)) == len(digests)
    assert digests == [none.digest(world) for world in worlds()]


def test_little_memory_is_enough() -> None:
    small = Contents(100_000)
    arrays = [np.full(5000, i, np.float64) for i in range(20)]  # 40 kB each
    assert [small.digest(array) for array in arrays] == [Contents().digest(array) for array in arrays]
    assert small._held <= 100_000
