"""What must hold of any renderer: the frame's types and laws, and the geometry of its cheap twin, the flat renderer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synth.compose.shapes import box, cylinder, revolve
from synth.content import Contents
from synth.errors import SynthError
from synth.geometry import look_at
from synth.protocols import Renderer, RendererSpec
from synth.rand import Stream, UniformRotation, rng_for
from synth.render.flat import FlatSpec, to_srgb
from synth.testing.findings import Finding
from synth.types import Asset, Body, Bool, Camera, DirectionalLight, Environment, Frame, Material, World

_ALIKE = 0.97  # intersection over union of what a body covers in both pictures; an edge may fall on either side of a pixel's centre
_DEPTH = 2e-3  # relative, in the median; a pixel's depth is that of its centre
_TURN_RAD = 0.05  # of normals, in the median
_GREY, _GREY_OFF = 0.2, 3  # linear; how far its sRGB value may be off: highlights may roll off, not this
_MANY_PX = 100  # bodies that cover fewer pixels say little
_LENS = (-0.2, 0.06, 0.001, -0.001, 0.0)
_SHAPES = tuple(
    Asset(name, (mesh,))
    for name, mesh in (
        ("box", box((0.2, 0.15, 0.1))),
        ("cylinder", cylinder(0.06, 0.2)),
        ("spindle", revolve([(0, -0.12), (0.08, 0), (0, 0.12)])),
    )
)


def check_renderer(spec: RendererSpec, *, worlds: int = 4, seed: int = 0) -> list[Finding]:
    """What is wrong with a renderer: `worlds` random worlds of simple bodies, every other one through a lens, against the flat renderer."""
    where = type(spec).__name__
    try:
        renderer = spec.open()
    except SynthError as error:
        return [Finding(str(error), f"{where}.open")]
    try:
        findings = list(_named(renderer, where))
        for index in range(worlds):
            world = _world(rng_for(seed, index, "renderer"), _LENS if index % 2 else (0.0,) * 5)
            findings += _looked_at(renderer, world, f"{where}, world {index}")
        return findings + list(_empty(renderer, where))
    except SynthError as error:
        return [Finding(str(error), where, "it must draw every world of convex bodies before the camera")]
    finally:
        renderer.close()


def _world(rng: Stream, lens: tuple[float, ...]) -> World:
    bodies = []
    for i in range(5):
        stream = rng.child("body", i)
        pose = np.eye(4)
        pose[:3, :3] = UniformRotation().draw(stream.child("turn"))
        pose[:3, 3] = stream.child("place").uniform((-0.3, -0.2, -0.2), (0.3, 0.2, 0.2))
        color = stream.child("color").uniform(0.2, 0.9, 3)
        bodies.append(Body(_SHAPES[i % 3], pose, materials=(Material((*map(float, color), 1.0)),)))  # type: ignore[arg-type]
    camera = Camera.from_fov(160, 120, 0.9, look_at((0.2, -1.1, 0.5), (0.0, 0.0, 0.0)), lens)
    return World(camera, tuple(bodies), (DirectionalLight((0.3, 0.5, -1.0)),), Environment(color=(0.3, 0.3, 0.3)))


def _named(renderer: Renderer, where: str) -> Iterator[Finding]:
    if not renderer.name.strip() or "\n" in renderer.name:
        mend = "say in one line what pixels depend on: renderer, its version, driver, device"
        yield Finding(f"its name is {renderer.name!r}", f"{where}.name", mend)


def _looked_at(renderer: Renderer, world: World, where: str) -> Iterator[Finding]:
    frame, again = renderer.render(world, normals=True), renderer.render(world, normals=True)
    faults = list(_shape_faults(frame, world, where))
    yield from faults
    if faults:
        return
    if Contents().digest(frame) != Contents().digest(again):
        mend = "fix its seeds, and leave nothing of one world to the next"
        yield Finding("draws the same world otherwise when it is asked again", where, mend)
    if renderer.render(world).normals is not None:
        yield Finding("gives normals that nobody asked for", where, "return None without normals=True: they take time")
    if np.ptp(frame.rgb) < 10:
        yield Finding("shows lit bodies of many colours in one colour", where, "draw them lit by world.lights and world.environment")
    yield from _against(frame, FlatSpec().open().render(world, normals=True), where)


def _shape_faults(frame: Frame, world: World, where: str) -> Iterator[Finding]:
    height, width = world.camera.height, world.camera.width
    for name, dtype, shape in (
        ("rgb", np.uint8, (height, width, 3)),
        ("depth_m", np.float32, (height, width)),
        ("instance", np.int32, (height, width)),
        ("normals", np.float32, (height, width, 3)),
    ):
        array = getattr(frame, name)
        if array is None or array.dtype != dtype or array.shape != shape:
            found = "None" if array is None else f"{array.dtype} {array.shape}"
            yield Finding(f"{name} is {found}, not {np.dtype(dtype)} {shape}", where, "see synth.types.Frame")


def _against(frame: Frame, twin: Frame, where: str) -> Iterator[Finding]:
    """Its geometry beside that of the twin, body by body."""
    if not np.array_equal(np.isfinite(frame.depth_m), frame.instance > 0):
        yield Finding("depth is finite where no body shows, or the other way", where, "inf where nothing is; instance is i + 1 for body i")
    for number in range(1, int(twin.instance.max()) + 1):
        there, body = twin.instance == number, f"{where}, body {number - 1}"
        if there.sum() < _MANY_PX:
            continue
        both, either = there & (frame.instance == number), there | (frame.instance == number)
        if both.sum() < _ALIKE * either.sum():
            mend = "pixel (column, row) shows what is at its centre (column + 0.5, row + 0.5), through the lens of Camera.distortion"
            yield Finding(f"covers the pixels of its twin by an IoU of {both.sum() / either.sum():.3f}", body, mend)
            continue
        inner = _inner(both)
        error = float(np.median(np.abs(frame.depth_m[inner] / twin.depth_m[inner] - 1)))
        if not error <= _DEPTH:
            yield Finding(f"is {error:.1%} off in depth", body, "depth is metres along the camera's z, not along the ray")
        if frame.normals is not None and twin.normals is not None:
            cosine = (frame.normals[inner] * twin.normals[inner]).sum(axis=1)
            turn = float(np.median(np.arccos(np.clip(cosine, -1, 1))))
            if not turn <= _TURN_RAD:
                yield Finding(
                    f"has normals {turn:.2f} rad off", body, "normals are unit, in the camera's frame: x right, y down, z forward"
                )


def _inner(mask: Bool) -> Bool:
    """Without the pixels at its rim."""
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    return inner


def _empty(renderer: Renderer, where: str) -> Iterator[Finding]:
    world = _world(rng_for(0, 0, "empty"), (0.0,) * 5)
    frame = renderer.render(World(world.camera, (), (), Environment(color=(_GREY,) * 3)))
    if frame.instance.any() or np.isfinite(frame.depth_m).any():
        yield Finding("shows a body in a world without bodies", where, "clear every target before each world")
    wanted = int(to_srgb(np.array(_GREY)))
    if np.abs(frame.rgb.astype(int) - wanted).max() > _GREY_OFF:
        mend = "the environment is what stands behind all bodies; linear radiance times exposure is encoded as sRGB"
        yield Finding(f"shows an environment of {_GREY} as {frame.rgb.min()}..{frame.rgb.max()}, not {wanted}", where, mend)
