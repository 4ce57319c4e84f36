"""Meshes from files that nobody vouches for: GLB, GLTF, OBJ, PLY, STL through trimesh's format readers.

The readers' raw arrays are taken, before `trimesh.Trimesh` would merge, drop or triangulate anything. Around each reader stand the
checks for what it skips silently (measured on trimesh 5.2): a face it cannot parse, polygons and indices it misreads, primitives,
accessors and nodes it leaves out. A file that would lose shape is an AssetError; one that loses only looks gives an AssetWarning.
Nothing is read from outside the mesh's own folder, and pictures are decoded here, under the cap, not by trimesh.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from synth.errors import AssetError
from synth.images import read_capped
from synth.meshes.common import AssetWarning, Folder, Limits, Part, warn
from synth.meshes.gltf import names_no_file, read_glb, read_gltf
from synth.meshes.obj import read_obj
from synth.meshes.stl_ply import read_ply, read_stl

__all__ = ["AssetWarning", "Limits", "Part", "read_parts", "stands_alone"]

_READERS: dict[str, Callable[[bytes, Folder], list[Part]]] = {
    ".glb": read_glb,
    ".gltf": read_gltf,
    ".obj": read_obj,
    ".ply": read_ply,
    ".stl": read_stl,
}
_ARCHIVES = (b"PK", b"\x1f\x8b", b"BZh", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\x00", b"Rar!")


def read_parts(path: Path, limits: Limits) -> tuple[list[Part], tuple[Path, ...]]:
    """The parts of a mesh file, in the file's own units and axes, and the files beside it that were looked for, found or not. Raises
    AssetError naming the file and the cause."""
    suffix = path.suffix.lower()
    name = suffix[1:].upper()
    if suffix not in _READERS:
        raise AssetError(f"{path}: '{suffix}' is no mesh format that is read; known: {', '.join(sorted(_READERS))}")
    data = read_capped(path, limits.max_bytes)
    if not data.strip():
        raise AssetError(f"{path}: is empty")
    if data.startswith(_ARCHIVES):
        raise AssetError(f"{path}: is an archive, no {name} file; unpack it first")
    folder = Folder(path, limits)
    log = logging.getLogger("trimesh.util")
    silent, log.disabled = log.disabled, True  # what it would say there is checked here
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # numpy's text reader stops at the first word that is no number, says so by this warning, and trimesh goes on without the rest
            warnings.filterwarnings("error", category=DeprecationWarning, message=".*string or file could not be read")
            parts = _READERS[suffix](data, folder)
    except AssetError:
        raise
    except Exception as error:  # the readers trust their files; whatever they trip over means that this one is not as it should be
        if folder.refused:
            raise folder.refused from error
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise AssetError(f"{path}: is no valid {name} file, truncated or damaged ({cause[:200]})") from error
    finally:
        log.disabled = silent
    if folder.refused:
        raise folder.refused
    if not parts:
        raise AssetError(f"{path}: has no faces")
    folder.capped(sum(len(part.faces) for part in parts))
    for part in parts:
        alpha, cutoff = part.material.base_color[3], part.material.alpha_cutoff
        if part.material.alpha_mode == "mask" and alpha < cutoff:
            warn(
                f"{path}: a part has alpha {alpha:g}, under the {cutoff:g} where surfaces are cut: nothing of it shows, in no label either"
            )
    return parts, tuple(folder.files)


def stands_alone(path: Path) -> bool:
    """Whether a mesh file surely names no other, told without loading it."""
    return path.suffix.lower() == ".stl" or (path.suffix.lower() == ".glb" and names_no_file(path))
