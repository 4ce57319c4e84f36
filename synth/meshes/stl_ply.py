"""STL and PLY."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from synth.errors import AssetError
from synth.meshes.common import Folder, Part, check_fans, fan, vertex_colors, warn
from synth.types import Material


def read_stl(data: bytes, folder: Folder) -> list[Part]:
    """One part a solid; every face has vertices of its own."""
    from trimesh.exchange.stl import load_stl

    binary = len(data) >= 84 and len(data) == 84 + 50 * struct.unpack_from("<I", data, 80)[0]
    if binary:
        folder.capped((len(data) - 84) // 50)
    elif not re.match(rb"\s*solid\b", data, re.IGNORECASE):
        expected = f", its header promises {struct.unpack_from('<I', data, 80)[0]} faces" if len(data) >= 84 else ""
        raise AssetError(f"{folder.path}: is no STL file, or truncated: {len(data)} bytes{expected}")
    loaded = load_stl(io.BytesIO(data))
    solids = list(loaded["geometry"].values()) if "geometry" in loaded else [loaded]
    if not binary:
        folder.counted("vertices", sum(len(s["vertices"]) for s in solids), len(re.findall(rb"\bvertex\b", data, re.IGNORECASE)))
        folder.counted("faces", sum(len(s["faces"]) for s in solids), len(re.findall(rb"\bendfacet\b", data, re.IGNORECASE)))
    return [Part(np.asarray(s["vertices"], np.float64), np.asarray(s["faces"], np.int64)) for s in solids]


def read_ply(data: bytes, folder: Folder) -> list[Part]:
    """One part, binary or ASCII, with vertex colours or a texture."""
    from trimesh.exchange.ply import load_ply

    header = data[: data.find(b"end_header")].decode("latin-1")
    declared = {name: int(count) for name, count in re.findall(r"(?m)^element\s+(\w+)\s+(\d+)\s*$", header)}
    if not header or "vertex" not in declared:
        raise AssetError(f"{folder.path}: is no PLY file: its header is incomplete")
    if any(count > len(data) for count in declared.values()):
        raise AssetError(f"{folder.path}: its header promises more elements than its {len(data)} bytes can hold: {declared}")
    if not declared.get("face"):
        raise AssetError(f"{folder.path}: is a point cloud: it has {declared['vertex']} vertices and no faces")
    folder.capped(declared["face"])
    texture = re.search(r"(?mi)^comment\s+TextureFile\s+(.+?)\s*$", header)
    loaded = load_ply(io.BytesIO(data), resolver=None, skip_materials=True)
    raw = loaded["metadata"]["_ply_raw"]
    polygons = _ply_polygons(raw["face"]["data"])
    folder.counted("vertices", len(next(iter(_columns(raw["vertex"]["data"])))), declared["vertex"])
    folder.counted("faces", len(polygons), declared["face"])
    corners = np.array([len(polygon) for polygon in polygons])
    check_fans(polygons, np.stack([np.ravel(raw["vertex"]["data"][axis]) for axis in "xyz"], axis=1), folder)
    faces = fan(loaded["faces"])
    folder.counted("triangles", len(faces), int((corners - 2).sum()))
    visual = loaded.get("visual")
    vertices = np.asarray(loaded["vertices"], np.float64)
    same = len(vertices) == declared["vertex"]  # else vertices were split at texture seams, and other columns no longer fit
    if loaded.get("face_colors") is not None:
        warn(f"{folder.path}: colours of faces are not read; give them to vertices")
    material = Material()
    if texture and visual is not None:
        picture = folder.picture(lambda: folder.get(texture[1]), texture[1], "rgba?")
        material = Material(base_color_texture=picture)
    normals = loaded.get("vertex_normals")
    return [
        Part(
            vertices,
            faces,
            np.asarray(normals, np.float64) if same and normals is not None else None,
            None if visual is None else np.asarray(visual.uv, np.float64),
            vertex_colors(loaded.get("vertex_colors"), len(vertices)) if same else None,
            material,
        )
    ]


def _columns(data: Any) -> Iterator[Any]:
    yield from (data.values() if isinstance(data, dict) else (data[name] for name in data.dtype.names))


def _ply_polygons(data: Any) -> Any:
    """The corners of each face, and proof that trimesh read binary lists at their true length: it takes the first face's."""
    for name in ("vertex_index", "vertex_indices"):
        if isinstance(data, dict) and name in data:
            return data[name]
        if not isinstance(data, dict) and name in (data.dtype.names or ()):
            if (data[name]["f0"] != data[name]["f1"].shape[1]).any():
                raise ValueError("binary faces of several lengths; triangulate it")
            return data[name]["f1"]
    raise ValueError("faces have no vertex_indices")
