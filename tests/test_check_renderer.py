"""check_renderer takes both renderers that ship, and finds each fault that it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from synth.errors import MissingPartError
from synth.render.flat import FlatRenderer, FlatSpec
from synth.render.pyrender import PyrenderSpec
from synth.testing import check_renderer, wrong
from synth.types import Camera, Frame, World


@dataclass(frozen=True)
class Spoilt:
    """The flat renderer with a fault: what it does to the world before, and to the frame after."""

    before: Callable[[World], World] = lambda world: world
    after: Callable[[Frame], Frame] = lambda frame: frame
    name: str = "spoilt 1"

    def open(self) -> Any:
        return _SpoiltRenderer(self)


class _SpoiltRenderer(FlatRenderer):
    def __init__(self, spec: Spoilt) -> None:
        self.spec, self.name = spec, spec.name

    def render(self, world: World, *, normals: bool = False) -> Frame:
        return self.spec.after(super().render(self.spec.before(world), normals=normals))


def moved(pixels: float) -> Callable[[World], World]:
    def change(world: World) -> World:
        k = world.camera.image_from_camera.copy()
        k[0, 2] += pixels
        return replace(world, camera=replace(world.camera, image_from_camera=k))

    return change


def along_the_ray(frame: Frame) -> Frame:
    camera = Camera.from_fov(160, 120, 0.9, np.eye(4))
    column, row = np.meshgrid(np.arange(160) + 0.5, np.arange(120) + 0.5)
    ray = np.stack([column, row, np.ones_like(row)], -1) @ np.linalg.inv(camera.image_from_camera).T
    return replace(frame, depth_m=(frame.depth_m * np.linalg.norm(ray, axis=-1)).astype(np.float32))


_calls = iter(range(10_000))

FAULTS: list[tuple[Spoilt, str]] = [
    (Spoilt(before=moved(1.5)), "covers the pixels of its twin by an IoU of"),
    (Spoilt(before=lambda w: replace(w, camera=replace(w.camera, distortion=(0.0,) * 5))), "world 1, body"),
    (Spoilt(after=along_the_ray), "off in depth; depth is metres along the camera's z"),
    (Spoilt(after=lambda f: replace(f, normals=None if f.normals is None else f.normals * np.float32([1, -1, -1]))), "normals"),
    (Spoilt(after=lambda f: replace(f, instance=np.maximum(f.instance - 1, 0))), "covers the pixels of its twin"),
    (Spoilt(after=lambda f: replace(f, depth_m=np.nan_to_num(f.depth_m, posinf=0.0))), "depth is finite where no body shows"),
    (Spoilt(after=lambda f: replace(f, depth_m=f.depth_m.astype(np.float64))), "depth_m is float64 (120, 160), not float32"),
    (Spoilt(after=lambda f: replace(f, normals=np.zeros((120, 160, 3), np.float32))), "gives normals that nobody asked for"),
    (Spoilt(after=lambda f: replace(f, rgb=f.rgb * 0)), "in one colour"),
    (Spoilt(after=lambda f: replace(f, rgb=f.rgb // 2)), "shows an environment of 0.2 as 62..62, not 124"),
    (Spoilt(after=lambda f: replace(f, rgb=f.rgb ^ np.uint8(next(_calls) % 2))), "draws the same world otherwise"),
    (Spoilt(name="two\nlines"), "Spoilt.name: its name is"),
]


@pytest.mark.parametrize("spec", [FlatSpec(), PyrenderSpec()], ids=["flat", "pyrender"])
def test_the_renderers_that_ship_have_no_fault(spec: Any) -> None:
    assert check_renderer(spec) == []


@pytest.mark.parametrize(("spec", "told"), FAULTS, ids=[told[:30] for _, told in FAULTS])
def test_each_fault_is_found(spec: Any, told: str) -> None:
    found = wrong(check_renderer(spec, worlds=2))
    assert any(told in text for text in found), found


def test_a_renderer_that_does_not_open_is_a_finding() -> None:
    class Absent:
        def open(self) -> Any:
            raise MissingPartError("this needs blender: apt-get install blender")

    assert wrong(check_renderer(Absent())) == ["Absent.open: this needs blender: apt-get install blender"]
