"""Shader programs: compiled once per set of defines, uniforms checked by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from OpenGL import GL as gl

from synth.errors import RenderError

SHADERS = Path(__file__).parent / "shaders"


@cache
def _source(name: str) -> str:
    return (SHADERS / name).read_text(encoding="utf-8")


def _compile(name: str, kind: Any, defines: tuple[str, ...]) -> int:
    text = "#version 410 core\n" + "".join(f"#define {define}\n" for define in defines) + "#line 1\n" + _source(name)
    shader = int(gl.glCreateShader(kind))
    gl.glShaderSource(shader, text)
    gl.glCompileShader(shader)
    if not gl.glGetShaderiv(shader, gl.GL_COMPILE_STATUS):
        raise RenderError(f"shader {name} with {list(defines)} does not compile: {gl.glGetShaderInfoLog(shader).decode()}")
    return shader


class Program:
    """A linked program. `set` takes a float, an int, or an array: (n,) a vector, (n, n) a matrix, (k, 4) k vectors, (k, 4, 4) matrices.

    A uniform that the driver optimised away is ignored; one that the source does not name is a mistake of ours and raises KeyError.
    """

    def __init__(self, vertex: str, fragment: str, defines: tuple[str, ...] = ()) -> None:
        shaders = [_compile(vertex, gl.GL_VERTEX_SHADER, defines), _compile(fragment, gl.GL_FRAGMENT_SHADER, defines)]
        self._id = int(gl.glCreateProgram())
        for shader in shaders:
            gl.glAttachShader(self._id, shader)
        gl.glLinkProgram(self._id)
        if not gl.glGetProgramiv(self._id, gl.GL_LINK_STATUS):
            raise RenderError(f"shaders {vertex}, {fragment} do not link: {gl.glGetProgramInfoLog(self._id).decode()}")
        for shader in shaders:
            gl.glDeleteShader(shader)
        self._text = _source(vertex) + _source(fragment)
        self._locations: dict[str, int] = {}
        self._units: dict[str, int] = {}

    def bind(self) -> None:
        """Draw with it from now on."""
        gl.glUseProgram(self._id)

    def _location(self, name: str) -> int:
        location = self._locations.get(name)
        if location is None:
            if name not in self._text:
                raise KeyError(name)
            location = self._locations[name] = int(gl.glGetUniformLocation(self._id, name))
        return location

    def set(self, name: str, value: Any) -> None:
        """Set a uniform of the bound program."""
        location = self._location(name)
        if location < 0:
            return
        if isinstance(value, (bool, int)):
            gl.glUniform1i(location, int(value))
        elif isinstance(value, float):
            gl.glUniform1f(location, value)
        else:
            array = np.ascontiguousarray(value, dtype=np.float32)
            if array.ndim == 1:
                {2: gl.glUniform2fv, 3: gl.glUniform3fv, 4: gl.glUniform4fv}[array.size](location, 1, array)
            elif array.shape[-2:] == (4, 4):
                gl.glUniformMatrix4fv(location, array.size // 16, gl.GL_TRUE, array)
            elif array.shape == (3, 3):
                gl.glUniformMatrix3fv(location, 1, gl.GL_TRUE, array)
            elif array.shape[1] == 4:
                gl.glUniform4fv(location, len(array), array)
            else:
                raise TypeError(f"uniform {name}: shape {array.shape}")

    def set_uint(self, name: str, value: int) -> None:
        """Set an unsigned uniform of the bound program."""
        gl.glUniform1ui(self._location(name), value)

    def set_texture(self, name: str, texture: int, target: int = gl.GL_TEXTURE_2D, sampler: int = 0) -> None:
        """Bind a texture to the sampler `name` of the bound program, on a unit of its own; 0: no sampler object."""
        location = self._location(name)
        if location < 0:
            return
        unit = self._units.setdefault(name, len(self._units))
        gl.glActiveTexture(gl.GL_TEXTURE0 + unit)
        gl.glBindTexture(target, texture)
        gl.glBindSampler(unit, sampler)
        gl.glUniform1i(location, unit)

    def delete(self) -> None:
        """Free it."""
        gl.glDeleteProgram(self._id)
