"""The one OpenGL context of a process, headless by EGL.

Mesa's contexts do not share a process well: a second one disturbs the first, a second thread is refused and a fork hangs. So the
context is opened once, by the first renderer, and stays until the process ends; renderers own objects in it, never the context.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from synth.errors import MissingPartError, RenderError

INSTALL = "apt-get install --no-install-recommends libegl1 libgl1"


class GlContext:
    """An open context, bound to the process and thread that opened it."""

    def __init__(self) -> None:
        os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
        os.environ.setdefault("PYGLET_HEADLESS", "1")  # else pyglet, which pyrender imports, asks for an X library
        if os.environ["PYOPENGL_PLATFORM"] != "egl":
            raise MissingPartError(
                f"renderer pyrender draws by EGL only, but PYOPENGL_PLATFORM is '{os.environ['PYOPENGL_PLATFORM']}': unset it"
            )
        try:
            from OpenGL import GL as gl
            from pyrender.platforms import egl

            device = egl.get_device_by_index(int(os.environ.get("EGL_DEVICE_ID", "0")))
            self._platform: Any = egl.EGLPlatform(1, 1, device=device)
            self._platform.init_context()
            version = gl.glGetString(gl.GL_VERSION).decode()
            device_name = gl.glGetString(gl.GL_RENDERER).decode()
            clip_control = bool(gl.glClipControl)
        except Exception as error:  # a missing library shows as ImportError, AttributeError, GLError or an assert, by version
            raise MissingPartError(
                f"renderer pyrender finds no usable OpenGL by EGL ({type(error).__name__}: {error}): {INSTALL}, or use renderer=flat"
            ) from error
        if not clip_control:
            raise MissingPartError(
                f"renderer pyrender needs OpenGL 4.5 or ARB_clip_control, this driver has {version} ({device_name}): {INSTALL}"
                " for Mesa's software renderer, or use renderer=flat"
            )
        self.errors: tuple[type[Exception], ...] = (gl.GLError, MemoryError)
        self.device = f"{device_name} OpenGL {version}"
        self._owner = (os.getpid(), threading.get_ident())

    def make_current(self) -> None:
        """Bind it to this thread. Raises RenderError in a process or thread that did not open it."""
        pid, thread = self._owner
        if os.getpid() != pid:
            raise RenderError("renderer pyrender was opened before this process was forked; start workers with 'spawn' and open it there")
        if threading.get_ident() != thread:
            raise RenderError("renderer pyrender was opened in another thread; OpenGL serves one thread a process, render there")
        self._platform.make_current()


_context: GlContext | None = None


def process_context() -> GlContext:
    """The context of this process, opened at the first call. Raises MissingPartError, or RenderError from a second thread."""
    global _context
    if _context is None:
        _context = GlContext()
    _context.make_current()
    return _context
