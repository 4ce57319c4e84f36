"""What must hold of any scene."""

from __future__ import annotations

import pickle
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from synth.content import Contents
from synth.digest import label_digest
from synth.errors import SynthError
from synth.protocols import RendererSpec, Scene
from synth.recipe import Generator, Recipe, told
from synth.render.flat import FlatSpec
from synth.testing.effects import composed, effects
from synth.testing.findings import Finding, wrong
from synth.types import Category, Instance, Sample

_IN_FRAME = 0.5  # share of the labelled bodies of which something should be in the frame
_SPECK = 5e-5  # share of the frame
_SHOWING = 0.5  # share of the pictures that should show something labelled
_MAKEABLE = "every sample must be makeable: widen what it draws from, or try more places"
_TOLD_KEYPOINTS = 8  # instances well in view after which a keypoint that was never seen is told


def check_scene(
    scene: Scene,
    *,
    renderer: RendererSpec | None = None,
    samples: int = 8,
    worlds: int = 32,
    seed: int = 0,
    name: str = "scene",
    must_act: Sequence[str] | None = None,
) -> list[Finding]:
    """What is wrong with a scene, and what its author should know.

    samples: how many pictures are made, by `renderer` (the flat one by default), to look at labels. worlds: in how many worlds at most an
    effect of each parameter is looked for. must_act: the parameters that must have one, such as those that the scene's YAML names
    (`synth.config.composed.compose(...).parameters`); without, all that it has, those of its parts too.
    """
    spec = renderer or FlatSpec()
    findings = list(_as_a_part(scene))
    if wrong(findings):
        return findings
    contents = Contents()
    try:
        findings += _pure(scene, seed)
        findings += _pictures(scene, spec, samples, seed, name)
        findings += effects(scene, worlds, seed, contents, must_act)
    except Exception as error:  # a plugin may raise anything
        findings.append(Finding(told(error, scene), f"scene {name}", _MAKEABLE))
    return findings


# --- as a part of a recipe --------------------------------------------------------------------------------------------


def _as_a_part(scene: Any) -> Iterator[Finding]:
    """A scene travels to workers and into a digest."""
    kind = type(scene).__name__
    if not isinstance(scene, Scene):
        yield Finding("is no Scene", kind, "it needs a property `categories` and a method `compose(rng)` (synth.protocols)")
        return
    if not getattr(getattr(scene, "__dataclass_params__", None), "frozen", False):
        yield Finding("is no frozen dataclass", kind, "write @dataclass(frozen=True) above it: a recipe is a value")
        return
    try:
        digest, copy = Recipe(scene, FlatSpec()).digest, pickle.loads(pickle.dumps(scene))
        if Recipe(copy, FlatSpec()).digest != digest:
            yield Finding("a pickled copy is another recipe", kind, "keep in its fields nothing that a copy changes")
    except SynthError as error:
        yield Finding(str(error), kind, "fields may hold numbers, texts, tuples, arrays, paths, distributions and frozen dataclasses")
    except Exception as error:
        mend = "workers get it by pickle: define the class at the top of a module, and keep no function or open file in a field"
        yield Finding(f"cannot be pickled: {told(error, scene)}", kind, mend)
    missing = [str(path) for path in getattr(scene, "sources", {}) if not path.is_file()]
    if missing:
        yield Finding(f"names files that are not there: {', '.join(missing)}", f"{kind}.sources", "ship them, or take them out")


# --- purity -----------------------------------------------------------------------------------------------------------


def _pure(scene: Scene, seed: int) -> Iterator[Finding]:
    """Equal streams give equal worlds, in any order, from any copy, and nothing global is touched."""
    where = f"{type(scene).__name__}.compose"
    fresh: Scene = pickle.loads(pickle.dumps(scene))  # before anything was composed
    before = _global_state()
    # Without memory of what an array held: a world that changes a shared one would go unseen.
    first = {index: Contents(memory_bytes=0).digest(composed(scene, seed, index)) for index in (0, 1, 2)}
    if _global_state() != before:
        mend = "draw from rng.child('name') only, or hand a seed drawn from it to the library that needs one"
        yield Finding("draws from the global generators of random or numpy", where, mend)
    for how, again in (("in another order", scene), ("by a copy of the scene", fresh)):
        for index in (2, 0, 1):
            if Contents(memory_bytes=0).digest(composed(again, seed, index)) != first[index]:
                mend = (
                    "draw from rng.child('name') only; keep nothing between calls, change no shared array or asset, and walk through no set"
                )
                yield Finding(f"sample {index} is another world when it is composed again {how}", where, mend)
                return
    if len(set(first.values())) == 1:
        yield Finding("all samples are the same world", where, "draw its parameters: draw(self.height_m, rng, 'height_m')")


def _global_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002  # to see that nobody used it
    return random.getstate(), kind, np.asarray(keys).tobytes(), *rest


# --- labels -----------------------------------------------------------------------------------------------------------


def _pictures(scene: Scene, spec: RendererSpec, samples: int, seed: int, name: str) -> Iterator[Finding]:
    where = f"scene {name}"
    made: list[Sample] = []
    with Generator(Recipe(scene, spec, seed=seed, name=name)) as generator:
        _ = generator.renderer
        begin, failed = time.perf_counter(), []
        step = (generator.recipe.frames or 1) // 2 + 1  # of a scene over time: two pictures of each clip
        for index in range(0, samples * step, step):
            try:
                made.append(generator[index])
            except SynthError as error:
                failed.append(str(error))
        seconds = (time.perf_counter() - begin) / max(samples, 1)
        if failed:
            yield Finding(f"{len(failed)} of {samples} samples failed: {failed[0]}", where, _MAKEABLE)
        if made and label_digest(generator[0]) != label_digest(made[0]):
            yield Finding("sample 0 has other labels when it is made again", where, "compose must be pure: see above")
        yield Finding(f"{seconds:.2f} s a sample of {_size(made)} with {generator.renderer.name.split()[0]}", where, wrong=False)
    for i, sample in enumerate(made):
        for j, instance in enumerate(sample.instances):
            if fault := next(_faults(sample, instance), None):
                yield Finding(
                    fault, f"sample {i}, instance {j} ('{instance.category}')", "report it: synth derives labels from the geometry"
                )
    instances = [instance for sample in made for instance in sample.instances]
    yield from _seen_enough(made, instances, where)
    yield from _keypoints_seen(scene.categories, instances)


def _size(made: Sequence[Sample]) -> str:
    return "x".join(map(str, made[0].size)) if made else "no size"


def _seen_enough(made: Sequence[Sample], instances: Sequence[Instance], where: str) -> Iterator[Finding]:
    if not made:
        return
    if not instances:
        yield Finding("no picture has a label", where, "give bodies that are to be found a category: Body(asset, pose, category)")
        return
    showing = sum(any(instance.area_px for instance in sample.instances) for sample in made)
    if showing < _SHOWING * len(made):
        mend = "aim the camera at what is labelled, and let less stand before it"
        yield Finding(f"only {showing} of {len(made)} pictures show something labelled", where, mend)
    inside = sum((instance.truncated_fraction or 0.0) < 1 for instance in instances)
    if inside < _IN_FRAME * len(instances):
        mend = "aim the camera at the bodies, take it farther away, or place them closer together"
        yield Finding(f"only {inside} of {len(instances)} labelled bodies are in the frame at all", where, mend)
    width, height = made[0].size
    specks = sum(0 < (instance.area_px or 0) < _SPECK * width * height for instance in instances)
    if 2 * specks > len(instances):
        mend = "lengths are metres; take the camera nearer"
        yield Finding(
            f"{specks} of {len(instances)} labelled bodies show less than {_SPECK * 640 * 480:.0f} of 640 x 480 pixels", where, mend
        )


def _faults(sample: Sample, instance: Instance) -> Iterator[str]:
    """What contradicts the definitions of docs/labels.md."""
    width, height = sample.size
    known = {category.name: category for category in sample.categories}
    area = 0 if instance.mask is None else int(instance.mask.decode().sum())
    if instance.area_px != area:
        yield f"area_px is {instance.area_px}, its mask has {area} pixels"
    if (instance.box_xyxy is None) != (area == 0):
        yield f"has {area} pixels and box {instance.box_xyxy}"
    if instance.box_xyxy is not None:
        x0, y0, x1, y1 = instance.box_xyxy
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            yield f"box {instance.box_xyxy} is not within the frame of {width}x{height}"
    for what in ("visible_fraction", "truncated_fraction"):
        value = getattr(instance, what)
        if value is None or not 0 <= value <= 1:
            yield f"{what} is {value}, not in [0, 1]"
    if instance.camera_from_object is not None:
        rotation = instance.camera_from_object[:3, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-5):
            yield "its pose is not rigid"
    points = instance.keypoints
    names = known[instance.category].keypoints if instance.category in known else ()
    if len(names) != (0 if points is None else len(points.v)):
        yield f"its category has {len(names)} keypoints, it has {0 if points is None else len(points.v)}"
    if points is not None:
        inside = np.asarray((points.xy >= 0) & (points.xy < (width, height))).all(axis=1)
        if not (np.isin(points.v, (0, 1, 2)).all() and bool(np.all(inside | (points.v == 0))) and (points.xy[points.v == 0] == 0).all()):
            yield f"keypoints {points.xy.tolist()} with v {points.v.tolist()}: v > 0 must lie in the frame, v = 0 at (0, 0)"
        if (points.v == 2).any() and not area:
            yield "keypoints are seen where no pixel shows it"


def _keypoints_seen(categories: Sequence[Category], instances: Sequence[Instance]) -> Iterator[Finding]:
    for category in categories:
        shown = [i for i in instances if i.category == category.name and (i.visible_fraction or 0) > 0.5 and i.keypoints is not None]
        if not any(i.category == category.name for i in instances):
            yield Finding("was in no picture", f"category '{category.name}'", wrong=False)
        if len(shown) < _TOLD_KEYPOINTS:
            continue
        seen = Counter(name for i in shown if i.keypoints for name, v in zip(category.keypoints, i.keypoints.v, strict=True) if v == 2)
        for name in category.keypoints:
            if not seen[name]:
                mend = "put it on the surface, or say how deep it lies: below_m, or inside"
                where = f"category '{category.name}', keypoint '{name}'"
                yield Finding(f"was never seen on {len(shown)} bodies in plain view", where, mend, wrong=False)
