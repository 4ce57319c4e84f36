"""The `pyrender` renderer, the default: OpenGL by EGL through pyrender (the maintained fork), on a GPU or on Mesa's software driver.

Colour, instance, depth and normals come from one pass over the geometry, at pixel centres (synth/render/passes.py). With `antialias`
colour is filtered from four times the samples; labels are the same samples at pixel centres, never mixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from synth.errors import ConfigError, RenderError
from synth.render.lens import through_lens
from synth.types import Camera, Frame, World

if TYPE_CHECKING:
    from synth.render.gl_context import GlContext
    from synth.render.passes import WorldRenderer


@dataclass(frozen=True)
class PyrenderSpec:
    """Options of the pyrender renderer.

    antialias: filter colour from 4 samples a pixel. shadow_map_px: side of the square shadow map of each directional light.
    cache_mib: meshes, textures and surroundings kept on the device between frames.
    """

    antialias: bool = True
    shadow_map_px: int = 1024
    cache_mib: int = 512

    def __post_init__(self) -> None:
        if not isinstance(self.antialias, bool):
            raise ConfigError(f"PyrenderSpec: antialias must be true or false, got {self.antialias!r}")
        for name, low, high in (("shadow_map_px", 64, 8192), ("cache_mib", 16, 1 << 20)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"PyrenderSpec: {name} must be a whole number in [{low}, {high}], got {value!r}")

    def open(self) -> PyrenderRenderer:
        """An open renderer, bound to this process and thread."""
        from synth.render.gl_context import process_context  # sets what OpenGL and pyrender read when imported

        context = process_context()

        from synth.render.passes import WorldRenderer

        return PyrenderRenderer(self, context, WorldRenderer(self.cache_mib << 20, self.shadow_map_px))


class PyrenderRenderer:
    """Draws worlds. Made by PyrenderSpec.open."""

    def __init__(self, spec: PyrenderSpec, context: GlContext, passes: WorldRenderer) -> None:
        self._spec = spec
        self._context = context
        self._passes: WorldRenderer | None = passes
        self.name = (
            f"pyrender {version('pyrender-maintained')} {context.device} antialias={spec.antialias} shadow_map_px={spec.shadow_map_px}"
        )

    def render(self, world: World, *, normals: bool = False) -> Frame:
        """The world as its camera sees it."""
        if any(world.camera.distortion):
            # Drawn at twice the resolution and averaged there, so antialiased either way.
            return through_lens(world, lambda w: self.render_pinhole(w, w.camera, normals=False, antialias=False).rgb, normals)
        return self.render_pinhole(world, world.camera, normals=normals, antialias=self._spec.antialias)

    def render_pinhole(self, world: World, camera: Camera, *, normals: bool, antialias: bool) -> Frame:
        """The world through `camera` instead of its own, as if it had no distortion."""
        if self._passes is None:
            raise RenderError("renderer pyrender is closed; open a new one with PyrenderSpec().open()")
        self._context.make_current()
        try:
            return self._passes.render(world, camera, 2 if antialias else 1, normals)
        except self._context.errors as error:
            raise RenderError(
                f"renderer pyrender: the driver failed on a {camera.width} x {camera.height} frame of {len(world.bodies)} bodies "
                f"({self._context.device}): {error}"
            ) from error

    def close(self) -> None:
        """Free what it holds on the device."""
        if self._passes is not None:
            self._context.make_current()
            self._passes.delete()
            self._passes = None
