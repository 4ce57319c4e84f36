"""What all readers share: a part, the limits, the folder of a mesh, polygons and colours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synth.errors import AssetError
from synth.images import decode_image, read_capped
from synth.types import F32, F64, U8, Material

I64 = npt.NDArray[np.int64]


class AssetWarning(UserWarning):
    """A file lacks something that changes its looks, not its shape."""


@dataclass(frozen=True)
class Limits:
    """What a mesh file may cost. max_bytes: each file; max_pixels: all textures of the mesh together."""

    max_bytes: int = 256 << 20
    max_faces: int = 2_000_000
    max_pixels: int = 8192 * 8192
    max_parts: int = 4096


@dataclass(frozen=True, eq=False)
class Part:
    """One triangle mesh as the file has it: vertices (n, 3), faces (m, 3), uv from the lower left, colors (n, 4) linear."""

    vertices: F64
    faces: I64
    normals: F64 | None = None
    uv: F64 | None = None
    colors: F32 | None = None
    material: Material = field(default_factory=Material)


class Folder:
    """The files beside a mesh, for the readers; trimesh asks it for materials and textures. Counts pixels against the cap."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits, self.pixels = path, limits, 0
        self.refused: AssetError | None = None  # trimesh swallows what its resolver raises
        self.texts: dict[str, bytes] = {}
        self.files: dict[Path, None] = {}  # asked for, there or not, in order

    def get(self, name: str) -> bytes:
        name = name.strip().replace("\\", "/")
        file = (self.path.parent / name).resolve()
        if "://" in name or Path(name).is_absolute() or re.match("[A-Za-z]:", name) or not file.is_relative_to(self.path.parent):
            self.refused = AssetError(
                f"{self.path}: names '{name}', which is outside its folder; put it beside the mesh, with a relative name"
            )
            raise self.refused
        self.files[file] = None
        data = self.texts[name] = read_capped(file, self.limits.max_bytes)
        return data

    __getitem__ = get

    def picture(self, data: Callable[[], bytes], name: str, channels: Literal["rgb", "rgba?"] = "rgb") -> U8 | None:
        """The texture, or None with a warning where it is missing or damaged."""
        try:
            texture = decode_image(data(), f"{self.path}: texture '{name}'", channels, self.limits.max_pixels - self.pixels)
        except AssetError as error:
            if self.refused or "over the cap" in str(error):
                raise
            warn(f"{self.path}: texture '{name}' is missing or damaged; a plain colour stands in for it ({error})")
            return None
        self.pixels += texture.shape[0] * texture.shape[1]
        return texture

    def capped(self, faces: int) -> None:
        """Raise if there are more faces than allowed."""
        if faces > self.limits.max_faces:
            raise AssetError(f"{self.path}: {faces} faces are over the cap of {self.limits.max_faces}; simplify it")

    def counted(self, what: str, found: int, expected: int) -> None:
        """Raise if the reader found another number than the file holds."""
        if found != expected:
            raise AssetError(f"{self.path}: holds {expected} {what}, but {found} could be read; is it truncated or damaged?")


def warn(message: str) -> None:
    """Say that looks are lost."""
    warnings.warn(message, AssetWarning, stacklevel=2)


def fan(polygons: Any) -> I64:
    """Polygons of k corners (n, k) as triangles (n * (k - 2), 3), fans from the first corner."""
    polygons = np.asarray(polygons, dtype=np.int64)
    if polygons.ndim != 2 or polygons.shape[1] < 3:
        raise ValueError("faces are no triangles or polygons")
    return np.stack([polygons[:, [0, i, i + 1]] for i in range(1, polygons.shape[1] - 1)], 1).reshape(-1, 3)


def check_fans(polygons: Sequence[Any], vertices: Any, folder: Folder) -> None:
    """Raise where the fan of a polygon (k corners, indices into vertices (n, 3)) would leave it: where it is concave, seen from its
    first corner. A thousandth of its area is let pass, for coordinates that were rounded to a few digits."""
    alike: dict[int, list[int]] = {}
    for i, polygon in enumerate(polygons):
        if len(polygon) > 3:
            alike.setdefault(len(polygon), []).append(i)
    for corners, numbers in alike.items():
        points = np.asarray(vertices, np.float64)[np.array([polygons[i] for i in numbers])]
        spokes = points[:, 1:] - points[:, :1]
        areas = np.cross(spokes[:, :-1], spokes[:, 1:])  # (p, k - 2, 3) of the triangles, times two and their normals
        whole = areas.sum(axis=1)
        along = (areas * whole[:, None]).sum(axis=2)
        concave = (along < -1e-3 * (whole * whole).sum(axis=1)[:, None]).any(axis=1)
        if concave.any():
            raise AssetError(
                f"{folder.path}: face {numbers[int(concave.argmax())] + 1} has {corners} corners and is concave, which "
                f"can be cut into triangles in many ways ({int(concave.sum())} such faces); triangulate it before the export"
            )


def srgb_to_linear(srgb: Any) -> F32:
    """Linear values in [0, 1] of sRGB ones (IEC 61966-2-1); alpha, a fourth column, passes."""
    rgba: F32 = np.array(srgb, dtype=np.float32)
    rgb = rgba[..., :3]
    rgba[..., :3] = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return rgba


def vertex_colors(values: Any, count: int) -> F32 | None:
    """(n, 3 or 4) sRGB bytes or fractions -> (n, 4) linear."""
    if values is None or np.ndim(values) != 2 or len(values) != count or np.shape(values)[1] not in (3, 4):
        return None
    values = np.asarray(values)
    colors = values.astype(np.float64) / (np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1)
    if values.dtype.kind == "f" and colors.size and colors.max() > 1:
        colors = colors / 255
    if not np.isfinite(colors).all() or colors.min(initial=0) < 0:
        return None
    return srgb_to_linear(np.hstack([colors, np.ones((count, 4 - colors.shape[1]))]))
