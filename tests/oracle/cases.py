"""Samples of the built-in tabletop, each rendered, labelled and held against rays once."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from synth_scenes.tabletop import Tabletop

from synth.annotate import annotate, finish
from synth.compose.cameras import CameraRig
from synth.protocols import Renderer, RendererSpec
from synth.rand import Integers, Uniform, rng_for
from synth.render.pyrender import PyrenderSpec
from synth.types import Frame, Sample, World
from tests.oracle.caster import Truth
from tests.oracle.checks import Report, check_frame, check_labels, check_visibility
from tests.shapes import LENS

WIDTH, HEIGHT = 480, 360
PLAIN = Tabletop(camera=CameraRig(WIDTH, HEIGHT))
CROWDED = Tabletop(
    camera=CameraRig(WIDTH, HEIGHT, distance_m=Uniform(0.45, 0.6), elevation_rad=Uniform(0.15, 0.8)),
    objects=Integers(6, 7),
    distractors=1,
    area_width_m=0.5,
    area_depth_m=0.5,
    clearance_m=0.003,
    in_view=0.5,
)
"""Close and low: objects hide one another and leave the frame."""
BENT = Tabletop(camera=CameraRig(WIDTH, HEIGHT, distortion=LENS))


@dataclass(frozen=True, eq=False)
class Compared:
    """What rays say of a sample: of its maps and labels, and of the v of its keypoints."""

    labels: Report
    visibility: Report


def labelled_sample(scene: Tabletop, world: World, frame: Frame) -> Sample:
    """As a Generator without stages ends."""
    return finish(annotate(world, frame), scene.categories)


class Cases:
    """`cases[i]`: sample i of a scene, compared once however often it is asked for."""

    def __init__(self, scene: Tabletop, seed: int, renderer: RendererSpec | None = None) -> None:
        self.scene, self.seed = scene, seed
        self.renderer: Renderer = (renderer or PyrenderSpec()).open()
        self._done: dict[int, Compared] = {}

    def world(self, index: int) -> World:
        return self.scene.compose(rng_for(self.seed, index, "scene"))

    def __getitem__(self, index: int) -> Compared:
        if index not in self._done:
            world = self.world(index)
            frame, truth = self.renderer.render(world), Truth.of(world)
            sample = labelled_sample(self.scene, world, frame)
            self._done[index] = Compared(check_frame(truth, frame) + check_labels(truth, sample), check_visibility(truth, sample))
        return self._done[index]

    def total(self, count: int) -> Report:
        """All figures of the first samples."""
        return sum((self[i].labels + self[i].visibility for i in range(count)), Report())

    def __enter__(self) -> Cases:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.renderer.close()
