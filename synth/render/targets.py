"""Framebuffers: sets of textures that a pass draws into and a later pass reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from OpenGL import GL as gl

from synth.errors import RenderError
from synth.render.programs import Program

BYTES = {gl.GL_R32UI: 4, gl.GL_R32F: 4, gl.GL_RGBA8: 4, gl.GL_RGBA16: 8, gl.GL_RGBA16F: 8, gl.GL_RGBA32F: 16, gl.GL_DEPTH_COMPONENT32F: 4}


class Targets:
    """Textures of one size, drawn into together. colors: internal format by name, in the order of the shader's outputs."""

    def __init__(self, width: int, height: int, colors: dict[str, Any], depth: bool) -> None:
        largest = int(gl.glGetIntegerv(gl.GL_MAX_TEXTURE_SIZE))
        if max(width, height) > largest:
            raise RenderError(
                f"renderer pyrender: this driver draws at most {largest} samples a side, the frame needs {width} x {height}; make it "
                "smaller, or render with antialias=false, which needs half as many"
            )
        self.width, self.height = width, height
        self.textures = {name: self._texture(internal) for name, internal in colors.items()}
        self._framebuffer = int(gl.glGenFramebuffers(1))
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._framebuffer)
        for index, name in enumerate(colors):
            gl.glFramebufferTexture2D(gl.GL_FRAMEBUFFER, gl.GL_COLOR_ATTACHMENT0 + index, gl.GL_TEXTURE_2D, self.textures[name], 0)
        gl.glDrawBuffers(len(colors), [gl.GL_COLOR_ATTACHMENT0 + index for index in range(len(colors))])
        if depth:
            self.textures["depth"] = self._texture(gl.GL_DEPTH_COMPONENT32F)
            gl.glFramebufferTexture2D(gl.GL_FRAMEBUFFER, gl.GL_DEPTH_ATTACHMENT, gl.GL_TEXTURE_2D, self.textures["depth"], 0)
        self.nbytes = width * height * sum(BYTES[internal] for internal in [*colors.values(), *([gl.GL_DEPTH_COMPONENT32F] * depth)])
        status = gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER)
        if status != gl.GL_FRAMEBUFFER_COMPLETE:
            raise RenderError(f"renderer pyrender: the driver refuses a {width} x {height} framebuffer of {list(colors)} ({status})")

    def _texture(self, internal: Any) -> int:
        texture = int(gl.glGenTextures(1))
        gl.glBindTexture(gl.GL_TEXTURE_2D, texture)
        gl.glTexStorage2D(gl.GL_TEXTURE_2D, 1, internal, self.width, self.height)
        for key in (gl.GL_TEXTURE_MIN_FILTER, gl.GL_TEXTURE_MAG_FILTER):
            gl.glTexParameteri(gl.GL_TEXTURE_2D, key, gl.GL_NEAREST)
        for key in (gl.GL_TEXTURE_WRAP_S, gl.GL_TEXTURE_WRAP_T):
            gl.glTexParameteri(gl.GL_TEXTURE_2D, key, gl.GL_CLAMP_TO_EDGE)
        return texture

    def bind(self) -> None:
        """Draw into it, and read from it, from now on."""
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._framebuffer)
        gl.glViewport(0, 0, self.width, self.height)

    def read(self, index: int, layout: Any, kind: Any, into: Any) -> Any:
        """Fill the array `into` from colour attachment `index` (-1: depth) of the bound set; rows are image rows, top first."""
        if index >= 0:
            gl.glReadBuffer(gl.GL_COLOR_ATTACHMENT0 + index)
        gl.glReadPixels(0, 0, self.width, self.height, layout, kind, into)
        return into

    def delete(self) -> None:
        """Free it."""
        gl.glDeleteFramebuffers(1, [self._framebuffer])
        gl.glDeleteTextures(list(self.textures.values()))


class ShadowMaps:
    """Depth maps of the lights that cast shadows, layers of one texture that grows to the largest number seen."""

    def __init__(self, side_px: int) -> None:
        self._side_px = side_px
        self._layers = 0
        self._texture = 0
        self._framebuffer = int(gl.glGenFramebuffers(1))
        self._compared, self._plain = (int(sampler) for sampler in gl.glGenSamplers(2))
        for sampler, interpolation in ((self._compared, gl.GL_LINEAR), (self._plain, gl.GL_NEAREST)):
            for key in (gl.GL_TEXTURE_MIN_FILTER, gl.GL_TEXTURE_MAG_FILTER):
                gl.glSamplerParameteri(sampler, key, interpolation)
            for key in (gl.GL_TEXTURE_WRAP_S, gl.GL_TEXTURE_WRAP_T):
                gl.glSamplerParameteri(sampler, key, gl.GL_CLAMP_TO_EDGE)
        gl.glSamplerParameteri(self._compared, gl.GL_TEXTURE_COMPARE_MODE, gl.GL_COMPARE_REF_TO_TEXTURE)
        gl.glSamplerParameteri(self._compared, gl.GL_TEXTURE_COMPARE_FUNC, gl.GL_LEQUAL)
        self._allocate(1)

    def _allocate(self, layers: int) -> None:
        if layers <= self._layers:
            return
        if self._layers:
            gl.glDeleteTextures([self._texture])
        self._layers = layers
        self._texture = int(gl.glGenTextures(1))
        gl.glBindTexture(gl.GL_TEXTURE_2D_ARRAY, self._texture)
        gl.glTexStorage3D(gl.GL_TEXTURE_2D_ARRAY, 1, gl.GL_DEPTH_COMPONENT32F, self._side_px, self._side_px, layers)

    def begin(self, layers: int) -> None:
        """Draw into the maps from now on, a layer at a time."""
        self._allocate(layers)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._framebuffer)
        gl.glDrawBuffer(gl.GL_NONE)
        gl.glReadBuffer(gl.GL_NONE)
        gl.glViewport(0, 0, self._side_px, self._side_px)
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glDepthFunc(gl.GL_LESS)

    def bind_layer(self, layer: int) -> None:
        """Draw into this layer, cleared."""
        gl.glFramebufferTextureLayer(gl.GL_FRAMEBUFFER, gl.GL_DEPTH_ATTACHMENT, self._texture, 0, layer)
        gl.glClearBufferfv(gl.GL_DEPTH, 0, np.ones(1, dtype=np.float32))

    def end(self) -> None:
        """Back to drawing without depth."""
        gl.glDisable(gl.GL_CULL_FACE)
        gl.glDisable(gl.GL_DEPTH_TEST)

    def bind_textures(self, program: Program) -> None:
        """Let the bound program read them: shadow_map compares, shadow_depth_map gives the depth."""
        program.set_texture("shadow_map", self._texture, gl.GL_TEXTURE_2D_ARRAY, self._compared)
        program.set_texture("shadow_depth_map", self._texture, gl.GL_TEXTURE_2D_ARRAY, self._plain)

    def delete(self) -> None:
        """Free them."""
        gl.glDeleteFramebuffers(1, [self._framebuffer])
        gl.glDeleteTextures([self._texture])
        gl.glDeleteSamplers(2, [self._compared, self._plain])
