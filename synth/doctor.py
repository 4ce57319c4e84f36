"""What synth needs of this machine, what was found, and the command that installs what is missing."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import synth
from synth.config.searchpath import options, plugins

_PACKAGES = (
    "numpy", "scipy", "opencv-python-headless", "albumentations", "trimesh", "pyrender-maintained", "PyOpenGL", "pyglet", "pillow",
    "hydra-core", "omegaconf", "pylance", "pyarrow", "pycocotools", "rich",
)  # fmt: skip
_GL_LIBRARIES = {"EGL": "libegl1", "GL": "libgl1"}
_PROBE_S = 120
_PROBE = "from synth.render.pyrender import PyrenderSpec; renderer = PyrenderSpec().open(); print(renderer.name); renderer.close()"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. remedy: what to do about it, empty if it is fine."""

    what: str
    found: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """All findings, cheap ones first."""
    yield Finding("synth", f"{synth.__version__} at {Path(synth.__file__).parent}")
    too_old = sys.version_info < (3, 11)
    yield Finding("python", platform.python_version(), "install Python 3.11 or later" if too_old else "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", f"{cores} ({platform.machine()}, {platform.system()})")
    free = shutil.disk_usage(".").free / 2**30
    yield Finding("disk", f"{free:.1f} GiB free here", "free some space: a run of 1,000 pictures takes about 0.1 GiB" if free < 1 else "")
    for name in _PACKAGES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "missing", f"pip install {name}")
    for library, package in _GL_LIBRARIES.items():
        found = ctypes.util.find_library(library)
        yield Finding(f"lib{library}", found or "missing", "" if found else f"apt-get install --no-install-recommends {package}")
    yield _renderer()
    for name, folder in sorted(plugins().items()):
        yield Finding(f"plugin {name}", str(folder or "no config folder"), "" if folder else f"reinstall the package that ships '{name}'")
    yield Finding("scenes", ", ".join(options("scene")))


def _renderer() -> Finding:
    """Opens a renderer in a process of its own: a broken driver may end the process that tries it."""
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        reason = f"no answer in {_PROBE_S} s"
    else:
        if probe.returncode == 0:
            return Finding("renderer", probe.stdout.strip().splitlines()[-1])
        reason = (probe.stderr.strip().splitlines() or [f"ended with code {probe.returncode}"])[-1]
    remedy = "apt-get install --no-install-recommends libegl1 libgl1; without GL: renderer=flat"
    return Finding("renderer", f"cannot open: {reason}", remedy)
