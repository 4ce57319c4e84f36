"""Scenes and stages for the tests of runs, in a module that spawned workers can import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth.errors import MissingPartError, SceneError
from synth.protocols import Renderer
from synth.rand import Stream
from synth.render.flat import FlatSpec
from synth.types import Asset, Body, Camera, Category, Draft, Keypoint, Mesh, World

BRICK = Category("brick", keypoints=("corner",))


def _brick() -> Asset:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32) * 0.1
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return Asset("brick", (Mesh(corners, np.array(faces), corners / 0.1 / np.sqrt(3)),), (Keypoint("corner", (0.1, 0.1, 0.1)),))


_ASSET = _brick()


@dataclass(frozen=True)
class Bricks:
    """A few bricks in front of the camera. fails, kills: sample indices that raise, or kill their worker. The environment variable
    BRICKS_PAUSE_S makes each take longer, without being part of the recipe."""

    count: int = 2
    fails: tuple[int, ...] = ()
    kills: tuple[int, ...] = ()

    @property
    def categories(self) -> tuple[Category, ...]:
        return (BRICK,)

    @property
    def sources(self) -> dict[Path, str]:
        return {Path(__file__): "CC0-1.0"}

    def compose(self, rng: Stream) -> World:
        time.sleep(float(os.environ.get("BRICKS_PAUSE_S", "0")))
        if rng.index in self.fails:
            raise SceneError(f"no free place for brick {self.count}")
        if rng.index in self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        bodies = []
        for i in range(self.count):
            pose = np.eye(4)
            pose[:3, 3] = rng.child("brick", i).uniform((-0.4, -0.3, 1.0), (0.4, 0.3, 2.0))
            bodies.append(Body(_ASSET, pose, BRICK))
        return World(Camera.from_fov(48, 36, 1.0, np.eye(4)), tuple(bodies))


@dataclass(frozen=True)
class FailOnce:
    """Bricks whose sample `index` fails while the file `path` is there."""

    path: str
    index: int = 3

    @property
    def categories(self) -> tuple[Category, ...]:
        return (BRICK,)

    def compose(self, rng: Stream) -> World:
        if rng.index == self.index and Path(self.path).exists():
            raise SceneError("the file is there")
        return Bricks().compose(rng)


@dataclass(frozen=True)
class Noise:
    """A stage that draws numbers and moves pixels only."""

    strength: float = 10.0

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        noise = rng.normal(0, self.strength, draft.image.shape)
        image = np.clip(draft.image + noise, 0, 255).astype(np.uint8)
        return Draft(image, draft.instance, draft.instances, draft.depth_m, draft.normals, draft.camera)


@dataclass(frozen=True)
class BadLabels:
    """A stage after which sample `index` has a label that no store keeps."""

    index: int

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        if rng.index != self.index:
            return draft
        return Draft(draft.image, draft.instance, draft.instances, draft.depth_m[:-1], draft.normals, draft.camera)  # type: ignore[index]


@dataclass(frozen=True)
class AbsentSpec:
    """A renderer that is not installed."""

    def open(self) -> Renderer:
        raise MissingPartError("no GL here: apt-get install libegl1")


@dataclass(frozen=True)
class CrashingSpec:
    """A renderer whose driver crashes when it opens."""

    def open(self) -> Renderer:
        os.kill(os.getpid(), signal.SIGSEGV)
        return FlatSpec().open()
