"""What a plugin implements: a scene, a renderer, a stage. Nothing else is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from synth.rand import Stream
from synth.types import Category, Collage, Draft, Frame, World


@runtime_checkable
class Scene(Protocol):
    """A frozen dataclass that composes worlds, or collages. Pure: equal streams give equal ones; it holds no state and draws only from
    `rng`.

    A scene that reads files also has `sources: Mapping[Path, str]`, each file with its licence ("" if not known): their bytes belong to
    the recipe, so that a changed mesh makes another run, and the licences travel with every commit and export. Of a mesh, these are
    all of `synth.assets.asset_files`. A scene that composes collages says so by `composes: ClassVar = Collage`; they are drawn by
    `synth.collage`, whatever renderer a recipe names.

    A scene over time has `frames: int`, how many pictures a clip has, and may have `frame_s: float`, the seconds between two of them. Its
    `compose` returns all worlds of a clip, in order: a tuple, or a sequence that makes each when it is asked for. In every one of them each
    body with a category carries `track_id` in its attributes, a text or a whole number that no other body of the picture has and the same
    thing keeps. Sample i is frame i % frames of clip i // frames; `rng` is the stream of the clip.
    """

    @property
    def categories(self) -> Sequence[Category]:
        """All categories that its bodies may carry, always in the same order."""

    def compose(self, rng: Stream) -> World | Collage | Sequence[World | Collage]:
        """One world, or one collage; of a scene over time, those of one clip. Raises SceneError if it finds none."""


@runtime_checkable
class Renderer(Protocol):
    """An open renderer. One a process, used from the thread that opened it."""

    @property
    def name(self) -> str:
        """What pixels depend on: renderer, its version, driver and device, in one line."""

    def render(self, world: World, *, normals: bool = False) -> Frame:
        """The world as its camera sees it, `normals` only when asked for. Raises RenderError."""

    def close(self) -> None:
        """Give back what it holds. It cannot render afterwards."""


@runtime_checkable
class RendererSpec(Protocol):
    """A frozen dataclass of a renderer's options; picklable, part of the recipe."""

    def open(self) -> Renderer:
        """An open renderer. Raises MissingPartError if a library or driver is not there."""


@runtime_checkable
class Stage(Protocol):
    """A frozen dataclass that moves a draft: pixels, maps, silhouettes and points together. It computes no label."""

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        """The moved draft; the given one is left alone."""
