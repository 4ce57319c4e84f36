"""A recipe and the generator it makes: sample i is a function of (recipe, i), whoever asks, whenever, in whatever order."""

from __future__ import annotations

import operator
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synth.annotate import KEYPOINT_TOLERANCE, annotate, finish
from synth.collage import CollageRenderer, CollageSpec
from synth.digest import digest_of
from synth.errors import ConfigError, LabelError, SceneError, SynthError, raised_at
from synth.protocols import Renderer, RendererSpec, Scene, Stage
from synth.rand import rng_for
from synth.record import Output
from synth.types import Category, Collage, Draft, Origin, Sample, World

_SCENE = "scene"  # the name of the scene's random stream; no stage may have it


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that decides what a sample is. Picklable; its digest names the run.

    name: what the scene is called in messages and logs. renderer: where the scene composes collages, it becomes CollageSpec. stages:
    applied in order; the key names the stage's random stream.
    output: how pictures are encoded and which maps are kept. keypoint_tolerance: docs/labels.md, "seen".
    """

    scene: Scene
    renderer: RendererSpec
    stages: Mapping[str, Stage] = field(default_factory=dict)
    seed: int = 0
    output: Output = field(default_factory=Output)
    keypoint_tolerance: float = KEYPOINT_TOLERANCE
    name: str = "scene"

    def __post_init__(self) -> None:
        try:
            names = [category.name for category in getattr(self.scene, "categories", ())]
        except Exception as error:  # a plugin may raise anything
            raise ConfigError(f"Recipe: the scene's categories: {told(error, self.scene)}") from error
        if getattr(self.scene, "composes", World) is Collage:
            object.__setattr__(self, "renderer", CollageSpec())
            if self.output.maps:
                raise ConfigError(f"Recipe: a collage has no {' and no '.join(self.output.maps)}; keep no maps of it (outputs=[])")
        for what, value, wanted in (("scene", self.scene, Scene), ("renderer", self.renderer, RendererSpec)):
            if not isinstance(value, wanted):
                raise ConfigError(f"Recipe: {what} must be a {wanted.__name__} (synth.protocols), got {type(value).__name__}")
        for key, stage in self.stages.items():
            if not isinstance(stage, Stage) or key == _SCENE:
                raise ConfigError(f"Recipe: stage '{key}' must be a Stage (synth.protocols) not named 'scene', got {type(stage).__name__}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise ConfigError(f"Recipe: seed must be a whole number from 0, below 2^63, got {self.seed!r}")
        if not self.keypoint_tolerance > 0:
            raise ConfigError(f"Recipe: keypoint_tolerance must be above 0, got {self.keypoint_tolerance}")
        if self.frames is not None and (isinstance(self.frames, bool) or not isinstance(self.frames, int) or self.frames < 1):
            raise ConfigError(f"Recipe: a scene's frames must be a whole number from 1, got {self.frames!r}")
        if len(set(names)) != len(names):
            raise ConfigError(f"Recipe: the scene's categories must have different names, got {names}")

    @cached_property
    def digest(self) -> str:
        """sha256 in hex of everything above but the name, and of the bytes of the files that scene and stages read."""
        files = sorted(digest_of(path) for path in self.sources)  # in an order that does not depend on where they lie
        return digest_of((self.scene, files, self.renderer, list(self.stages.items()), self.seed, self.output, self.keypoint_tolerance))

    @property
    def sources(self) -> Mapping[Path, str]:
        """The files that the scene and the stages read and the licence of each."""
        found: dict[Path, str] = {}
        for part in (self.scene, *self.stages.values()):
            found |= getattr(part, "sources", {})
        return found

    @property
    def frames(self) -> int | None:
        """Pictures in a clip of a scene over time; None of any other."""
        frames: int | None = getattr(self.scene, "frames", None)
        return frames

    @property
    def run(self) -> str:
        """Short name of all samples of this recipe: 12 digits of its digest."""
        return self.digest[:12]

    def key(self, index: int) -> str:
        """The key of sample `index` in a store."""
        return f"{self.run}-{index:08d}"


class Generator:
    """`generator[i]` is sample i of a recipe. The renderer opens at the first sample and stays open: one generator a process.

    Raises SceneError naming scene, seed and index when a sample cannot be made.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._renderer: Renderer | None = None
        self._clip: tuple[int, Sequence[World | Collage]] = (-1, ())  # the last one: its frames are mostly asked for in a row

    @property
    def renderer(self) -> Renderer:
        """The open renderer. Raises MissingPartError if it cannot be opened."""
        if self._renderer is None:
            self._renderer = self.recipe.renderer.open()
        return self._renderer

    def of(self, recipe: Recipe) -> Generator:
        """A generator of another recipe that draws with this one's open renderer, since a process has one; this one closes it."""
        made = Generator(recipe)
        made._renderer = self.renderer
        return made

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, from 0; there is no last one."""
        recipe, renderer, index = self.recipe, self.renderer, operator.index(index)
        if index < 0:
            raise ConfigError(f"a sample's index must be a whole number from 0, got {index}")
        try:
            draft = self._draft(index)
            sample = finish(draft, recipe.scene.categories, self._origin(renderer, index), recipe.key(index))
            return sample if recipe.frames is None else _in_clip(sample, recipe, *divmod(index, recipe.frames))
        except Exception as error:  # a plugin may raise anything; whatever it is, the user needs its coordinates
            what = told(error, recipe.scene)
            raise SceneError(f"sample {index} (scene {recipe.name}, seed {recipe.seed}): {what}") from error

    def __iter__(self) -> Iterator[Sample]:
        """Samples 0, 1, 2, ... without end."""
        index = 0
        while True:
            yield self[index]
            index += 1

    def _draft(self, index: int) -> Draft:
        recipe = self.recipe
        made = self._composed(index)
        known = {category.name: category for category in recipe.scene.categories}
        for what, name, category in _things(made):
            if category is not None and known.get(category.name) != category:
                raise LabelError(f"{what} ('{name}') has category '{category.name}', which the scene does not declare")
        if isinstance(made, World):
            frame = self.renderer.render(made, normals="normals" in recipe.output.maps)
            draft = annotate(made, frame, recipe.keypoint_tolerance)
        elif isinstance(self.renderer, CollageRenderer):
            draft = self.renderer.draw(made)
        else:
            raise SceneError("the scene composed a Collage, but does not say that it does; let it say composes = Collage")
        for name, stage in recipe.stages.items():
            draft = stage.apply(draft, rng_for(recipe.seed, index, name))
            if draft.instance.shape != draft.image.shape[:2]:
                raise LabelError(f"stage '{name}' left a {draft.image.shape[:2]} picture with a {draft.instance.shape} instance map")
        for item in draft.instances:
            declared, added = known.get(item.category.name), item.category
            # An object cut from a photo may have no keypoints where the scene's have some: absent is no contradiction.
            if declared is None or (added.keypoints and added != declared):
                raise LabelError(f"a stage added '{item.asset}' of category '{added.name}', which the scene does not declare")
        return draft

    def _composed(self, index: int) -> World | Collage:
        """What sample `index` shows: a world of its own, or its frame of a clip."""
        recipe = self.recipe
        clip, frame = divmod(index, recipe.frames or 1)
        if recipe.frames is None or self._clip[0] != clip:
            made = recipe.scene.compose(rng_for(recipe.seed, clip, _SCENE))
            if recipe.frames is None:
                if not isinstance(made, (World, Collage)):
                    raise SceneError(f"compose must return a World or a Collage, got {type(made).__name__}; a scene over time has `frames`")
                return made
            if not isinstance(made, Sequence) or len(made) != recipe.frames:
                got = len(made) if isinstance(made, Sequence) else type(made).__name__
                raise SceneError(f"the scene has frames = {recipe.frames}, so compose must return so many worlds, got {got}")
            self._clip = clip, made
        shown = self._clip[1][frame]
        if isinstance(shown, World):
            _check_tracks(shown)
        return shown

    def _origin(self, renderer: Renderer, index: int) -> Origin:
        return Origin(self.recipe.digest, self.recipe.name, self.recipe.seed, index, renderer.name, versions())

    def close(self) -> None:
        """Close the renderer, if it was opened."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def told(error: Exception, scene: object) -> str:
    """What an error says; of one that is not ours, where in the scene's package it arose too."""
    if isinstance(error, SynthError):
        return str(error)
    place = raised_at(error, type(scene).__module__.partition(".")[0])
    return f"{type(error).__name__}: {error}" + (f" ({place})" if place else "")


def _check_tracks(world: World) -> None:
    seen: set[Any] = set()
    for body in world.bodies:
        if body.category is None:
            continue
        track = (body.attributes or {}).get("track_id")
        known = isinstance(track, (int, str)) and not isinstance(track, bool)
        if not known or track in seen:
            what = "of two bodies" if known else "of a labelled body must be a text or a whole number"
            raise LabelError(f"body '{body.asset.name}' of a scene over time: attributes['track_id'] {what}, got {track!r}")
        seen.add(track)


def _in_clip(sample: Sample, recipe: Recipe, clip: int, frame: int) -> Sample:
    """The sample with its place in a clip; the clip is its group, so that no split divides it."""
    frame_s = getattr(recipe.scene, "frame_s", None)
    time_s = {} if frame_s is None else {"time_s": round(frame * float(frame_s), 9)}
    attributes = {**(sample.info.attributes or {}), "frame": frame, **time_s}
    return replace(sample, info=replace(sample.info, group=f"{recipe.run}-clip-{clip:08d}", attributes=attributes))


def _things(made: World | Collage) -> Iterator[tuple[str, str, Category | None]]:
    """What it shows: which, its name, its category."""
    if isinstance(made, World):
        yield from ((f"body {i}", body.asset.name, body.category) for i, body in enumerate(made.bodies))
    else:
        yield from ((f"layer {i}", layer.cutout.name, layer.category) for i, layer in enumerate(made.layers))


@cache
def versions() -> dict[str, str]:
    """Versions of all that pixels and labels depend on, by package name, and the processor: matrix products may differ in their last bit
    between processors with other vector instructions."""
    names = ("synth", "numpy", "scipy", "opencv-python-headless", "pillow", "trimesh", "pyrender-maintained", "albumentations")

    def found(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "absent"

    return {**{name: found(name) for name in names}, "processor": _processor()}


def _processor() -> str:
    try:
        model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        model = None
    return f"{platform.machine()} {model[1] if model else platform.processor()}".strip()
