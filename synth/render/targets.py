"""Framebuffers: sets of textures that a pass draws into and a later pass reads."""

from __future__ import annotations

from typing import Any

from OpenGL import GL as gl

from synth.errors import RenderError


class Targets:
    """Textures of one size, drawn into together. colors: internal format by name, in the order of the shader's outputs."""

    def __init__(self, width: int, height: int, colors: dict[str, Any], depth: bool) -> None:
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
