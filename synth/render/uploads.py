"""Meshes and textures on the device: uploaded once, found again by the memory they came from, freed when that is gone or space runs out.

An upload's key is the memory block and its layout, not the object that names it, so a material copied with another roughness still
finds its textures. Arrays of synth's types are never written to; one that is rewritten in place would be drawn as it was.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from OpenGL import GL as gl
from pyrender.primitive import Primitive

from synth.errors import RenderError
from synth.render.environment import irradiance_harmonics, mirror_levels
from synth.types import F32, U8, Mesh


class Upload(Protocol):
    """Something on the device."""

    nbytes: int

    def delete(self) -> None:
        """Free it."""


class MeshUpload(Primitive):  # type: ignore[misc]  # pyrender is untyped
    """A mesh's vertices and faces, as pyrender lays them out. uv, color: their attribute locations, None if there are none."""

    def __init__(self, mesh: Mesh) -> None:
        if len(mesh.vertices_m) > 1 << 24:  # pyrender passes indices through float32
            raise RenderError(f"a mesh of {len(mesh.vertices_m)} vertices is too large to draw, 16777216 is the most; split or simplify it")
        super().__init__(mesh.vertices_m, normals=mesh.normals, texcoord_0=mesh.uv, color_0=mesh.colors, indices=mesh.faces)
        self._add_to_context()
        # The device has them now; held here, they would never be seen to go.
        self._positions = self._normals = self._texcoord_0 = self._color_0 = self._indices = None
        self.uv = None if mesh.uv is None else 2
        self.color = None if mesh.colors is None else 2 + (mesh.uv is not None)
        self._index_count = int(mesh.faces.size)
        arrays = [mesh.vertices_m, mesh.normals, mesh.uv, mesh.colors, mesh.faces]
        self.nbytes = sum(array.nbytes for array in arrays if array is not None)

    def draw(self) -> None:
        """Draw its triangles with the bound program."""
        self._bind()
        gl.glDrawElements(gl.GL_TRIANGLES, self._index_count, gl.GL_UNSIGNED_INT, None)

    def delete(self) -> None:
        self._remove_from_context()


def _check_size(what: str, image: npt.NDArray[Any]) -> None:
    largest = int(gl.glGetIntegerv(gl.GL_MAX_TEXTURE_SIZE))
    if not 1 <= min(image.shape[:2]) <= max(image.shape[:2]) <= largest:
        raise RenderError(f"a {what} of {image.shape[1]} x {image.shape[0]} px: this driver takes 1 to {largest} px a side; resize it")


class TextureUpload:
    """A repeating, mipmapped texture (h, w, channels) u8, top row first; grey is spread to rgba."""

    def __init__(self, texture: U8, srgb: bool) -> None:
        import cv2

        _check_size("texture", texture)
        texture = np.ascontiguousarray(texture)
        channels = texture.shape[2]
        if channels == 3:
            rgba = cv2.cvtColor(texture, cv2.COLOR_RGB2RGBA)
        elif channels == 4:
            rgba = texture
        else:
            rgba = cv2.cvtColor(texture, cv2.COLOR_GRAY2RGBA)
        height, width = texture.shape[:2]
        self.nbytes = rgba.nbytes * 4 // 3
        self.id = int(gl.glGenTextures(1))
        gl.glBindTexture(gl.GL_TEXTURE_2D, self.id)
        internal = gl.GL_SRGB8_ALPHA8 if srgb else gl.GL_RGBA8
        gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, internal, width, height, 0, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, rgba)
        gl.glGenerateMipmap(gl.GL_TEXTURE_2D)
        gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MIN_FILTER, gl.GL_LINEAR_MIPMAP_LINEAR)
        gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MAG_FILTER, gl.GL_LINEAR)

    def delete(self) -> None:
        """Free it."""
        gl.glDeleteTextures([self.id])


class PhotoUpload:
    """A photo as it lies behind a frame of width x height: covering it, centred, cropped; sRGB."""

    def __init__(self, photo: U8, width: int, height: int) -> None:
        import cv2

        rows, columns = photo.shape[:2]
        scale = min(columns / width, rows / height)
        x0, y0 = (columns - width * scale) / 2, (rows - height * scale) / 2
        if scale > 1:  # by area: first cut to whole pixels, at most half a pixel of the photo off
            cut = photo[
                round(y0) : max(round(y0 + height * scale), round(y0) + 1), round(x0) : max(round(x0 + width * scale), round(x0) + 1)
            ]
            shown = cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=cv2.INTER_AREA)
        else:  # cv2 names pixel centres by whole numbers
            shift = np.array([[scale, 0, x0 + (scale - 1) / 2], [0, scale, y0 + (scale - 1) / 2]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            shown = cv2.warpAffine(np.ascontiguousarray(photo), shift, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        self.nbytes = width * height * 4
        self.id = int(gl.glGenTextures(1))
        gl.glBindTexture(gl.GL_TEXTURE_2D, self.id)
        gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, gl.GL_SRGB8, width, height, 0, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, np.ascontiguousarray(shown))
        gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MIN_FILTER, gl.GL_NEAREST)
        gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MAG_FILTER, gl.GL_NEAREST)

    def delete(self) -> None:
        """Free it."""
        gl.glDeleteTextures([self.id])


class PanoramaUpload:
    """A panorama as a background, as what rough mirrors show, and as irradiance (9, 3)."""

    def __init__(self, panorama: F32) -> None:
        _check_size("environment hdri", panorama)
        if np.isnan(panorama).any():
            raise RenderError(f"the environment's hdri {panorama.shape} has NaN among its radiances; mend or replace the file")
        panorama = np.clip(panorama, 0, 65504)  # the largest half float: a sun without bound would outshine all sums
        self.irradiance_sh = irradiance_harmonics(panorama)
        self.background = _panorama_texture([panorama])
        self.mirror = _panorama_texture(mirror_levels(panorama))
        self.width = panorama.shape[1]
        self.nbytes = panorama.nbytes + 512 * 256 * 6

    def delete(self) -> None:
        """Free it."""
        gl.glDeleteTextures([self.background, self.mirror])


def _panorama_texture(levels: list[F32]) -> int:
    """One level is filled up by halving, several are taken as they are."""
    texture = int(gl.glGenTextures(1))
    gl.glBindTexture(gl.GL_TEXTURE_2D, texture)
    for level, image in enumerate(levels):
        height, width = image.shape[:2]
        half = np.ascontiguousarray(image.astype(np.float16))
        gl.glTexImage2D(gl.GL_TEXTURE_2D, level, gl.GL_RGB16F, width, height, 0, gl.GL_RGB, gl.GL_HALF_FLOAT, half)
    if len(levels) == 1:
        gl.glGenerateMipmap(gl.GL_TEXTURE_2D)
    else:
        gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MAX_LEVEL, len(levels) - 1)
    gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MIN_FILTER, gl.GL_LINEAR_MIPMAP_LINEAR)
    gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MAG_FILTER, gl.GL_LINEAR)
    gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_WRAP_T, gl.GL_CLAMP_TO_EDGE)
    return texture


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.base if isinstance(array.base, np.ndarray) else array


def _place(array: npt.NDArray[Any] | None) -> Hashable:
    return None if array is None else (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)


def _note(gone: deque[Hashable], key: Hashable) -> Callable[[object], None]:
    return lambda _: gone.append(key)


@dataclass(slots=True)
class _Entry:
    upload: Upload
    guards: list[weakref.ref[Any]]

    @property
    def stale(self) -> bool:
        return any(guard() is None for guard in self.guards)


class UploadCache:
    """Uploads by the memory they were made from, the least recently used freed above `limit_bytes`; what the present frame uses stays."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._gone: deque[Hashable] = deque()  # written by the garbage collector, in whatever thread it runs
        self.nbytes = 0

    def begin_frame(self) -> None:
        """Free what lost its arrays, then what is over the limit."""
        while self._gone:
            key = self._gone.popleft()
            if key in self._entries and self._entries[key].stale:
                self._free(key)
        while self.nbytes > self._limit_bytes and self._entries:
            self._free(next(iter(self._entries)))

    def get(self, kind: str, arrays: tuple[npt.NDArray[Any] | None, ...], upload: Callable[[], Any]) -> Any:
        """The upload made from these arrays, made now if it is not there."""
        key = (kind, *map(_place, arrays))
        entry = self._entries.get(key)
        if entry is None or entry.stale:
            if entry is not None:
                self._free(key)
            made = upload()
            owners = {id(owner): owner for owner in (_owner(a) for a in arrays if a is not None)}.values()
            entry = _Entry(made, [weakref.ref(owner, _note(self._gone, key)) for owner in owners])
            self._entries[key] = entry
            self.nbytes += made.nbytes
        self._entries.move_to_end(key)
        return entry.upload

    def mesh(self, mesh: Mesh) -> MeshUpload:
        """The mesh on the device."""
        arrays = (mesh.vertices_m, mesh.faces, mesh.normals, mesh.uv, mesh.colors)
        found: MeshUpload = self.get("mesh", arrays, lambda: MeshUpload(mesh))
        return found

    def texture(self, texture: U8, srgb: bool) -> int:
        """The texture's name on the device."""
        found: TextureUpload = self.get(f"texture {srgb}", (texture,), lambda: TextureUpload(texture, srgb))
        return found.id

    def photo(self, photo: U8, width: int, height: int) -> int:
        """The photo behind a frame of this size, its name on the device."""
        found: PhotoUpload = self.get(f"photo {width} {height}", (photo,), lambda: PhotoUpload(photo, width, height))
        return found.id

    def panorama(self, panorama: F32) -> PanoramaUpload:
        """The panorama on the device."""
        found: PanoramaUpload = self.get("panorama", (panorama,), lambda: PanoramaUpload(panorama))
        return found

    def _free(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry.upload.nbytes
            entry.upload.delete()

    def clear(self) -> None:
        """Free all."""
        for key in list(self._entries):
            self._free(key)
