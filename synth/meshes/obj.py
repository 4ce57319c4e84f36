"""Wavefront OBJ with MTL."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import numpy as np

from synth.errors import AssetError
from synth.meshes.common import Folder, Part, check_fans, fan, vertex_colors, warn
from synth.types import Material


class _Libraries:
    """What trimesh may read beside an OBJ file: its MTL files; pictures are decoded here."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def get(self, name: str) -> bytes:
        """The file's bytes."""
        if not name.lower().endswith(".mtl"):
            raise KeyError(name)
        return self.folder.get(name)

    __getitem__ = get


def read_obj(data: bytes, folder: Folder) -> list[Part]:
    """One part a material."""
    from trimesh.exchange.obj import load_obj

    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", "")
    if found := re.search("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", text):  # some end a line for Python and not in the format
        raise AssetError(f"{folder.path}: is no text file: it has the character {found[0]!r}")
    triangles = _check_obj(text, folder)
    # trimesh knows keywords at the start of a line and before a single space only
    text = re.sub(r"(?m)^[ \t]*(v|vt|vn|f|usemtl|mtllib|o|g|s)[ \t]+", r"\1 ", text)
    loaded = load_obj(io.BytesIO(text.encode()), resolver=_Libraries(folder))
    geometry = loaded.get("geometry", {})
    folder.counted("triangles", sum(len(fan(mesh["faces"])) for mesh in geometry.values()), triangles)
    for library in re.findall(r"(?m)^mtllib (.+?)[ \t]*$", text):
        if library not in folder.texts and not folder.refused:
            warn(f"{folder.path}: material file '{library}' is missing; a plain colour stands in for it")
    made = {name.strip() for mtl in folder.texts.values() for name in re.findall(r"(?m)^\s*newmtl\s+(.+)$", mtl.decode("utf-8", "replace"))}
    if unknown := sorted(set(re.findall(r"(?m)^usemtl (.+?)[ \t]*$", text)) - made) if made else []:
        warn(f"{folder.path}: no material file has {', '.join(map(repr, unknown))}; a plain colour stands in")
    materials: dict[int, Material] = {}
    parts = []
    for mesh in geometry.values():
        vertices = np.asarray(mesh["vertices"], np.float64)
        folder.counted("coordinates a vertex", vertices.shape[1], 3)
        visual, normals = mesh.get("visual"), mesh.get("vertex_normals")
        uv = None if visual is None or visual.uv is None else np.asarray(visual.uv, np.float64)
        source = getattr(visual, "material", None)
        if id(source) not in materials:
            materials[id(source)] = _mtl_material(source, folder)
        material = materials[id(source)]
        if uv is None and material.base_color_texture is not None:
            warn(f"{folder.path}: some faces have no texture coordinates; a plain colour stands in for their texture")
            material = replace(material, base_color_texture=None)
        parts.append(
            Part(
                vertices,
                fan(mesh["faces"]),
                None if normals is None else np.asarray(normals, np.float64),
                uv,
                vertex_colors(mesh.get("vertex_colors"), len(vertices)),
                material,
            )
        )
    return parts


def _check_obj(text: str, folder: Folder) -> int:
    """How many triangles the faces make. Raises where trimesh would misread an index."""
    counts = {k: len(re.findall(rf"(?m)^[ \t]*{k}[ \t]", text)) for k in ("v", "vt", "vn")}
    lines = re.findall(r"(?m)^[ \t]*f[ \t]+(.*)$", text)
    if not lines:
        if counts["v"]:
            raise AssetError(f"{folder.path}: is a point cloud: it has {counts['v']} vertices and no faces")
        raise AssetError(f"{folder.path}: has no faces and no vertices; is it an OBJ file?")
    folder.capped(len(lines))
    vertices = [line.split("#", 1)[0].split() for line in re.findall(r"(?m)^[ \t]*v[ \t]+(.*)$", text)]
    widths = [len(numbers) for numbers in vertices]
    if min(widths, default=3) < 3 or (len(set(widths)) > 1 and sum(widths) == widths[0] * len(widths)):
        # trimesh cuts all vertices to the shortest, or spreads their numbers evenly where the sum fits
        raise AssetError(
            f"{folder.path}: vertices have {min(widths)} to {max(widths)} numbers; each needs three (and a colour, or not, all alike)"
        )
    triangles, relative = 0, False
    polygons: list[list[int]] = []
    for number, line in enumerate(lines, 1):
        corners = line.split("#", 1)[0].split()
        if len(corners) < 3:
            raise AssetError(f"{folder.path}: face {number} has {len(corners)} corners: '{line[:60]}'")
        triangles += len(corners) - 2
        for corner in corners:
            for k, index in zip(("v", "vt", "vn"), corner.split("/"), strict=False):
                if index and not 1 <= abs(int(index)) <= counts[k]:
                    raise AssetError(f"{folder.path}: face {number} names {k} {index}, there are {counts[k]}")
                relative = relative or index.startswith("-")
        polygons.append([int(corner.split("/", 1)[0]) for corner in corners] if len(corners) > 3 else [])
    first = re.search(r"(?m)^[ \t]*f[ \t]", text)
    if relative and first and re.search(r"(?m)^[ \t]*v[tn]?[ \t]", text[first.end() :]):
        raise AssetError(f"{folder.path}: relative (negative) indices between its vertices are not read; save it with absolute ones")
    folder.capped(triangles)
    if any(polygons):  # the first vertex is 1 and the last -1
        check_fans(polygons, np.array([[np.nan] * 3, *(numbers[:3] for numbers in vertices)], np.float64), folder)
    return triangles


def _mtl_material(source: Any, folder: Folder) -> Material:
    """Of trimesh's SimpleMaterial, whose kwargs keep the file's values. As in Blender's importer, a texture replaces Kd."""
    if getattr(source, "name", None) is None:  # trimesh's stand-in for no material
        return Material()
    values = source.kwargs

    def number(key: str, default: float) -> float:
        try:
            value = values.get(key, default)
            return min(1.0, max(0.0, float(value[0] if isinstance(value, (list, tuple)) else value)))
        except (TypeError, ValueError):
            return default

    kd = np.resize(np.nan_to_num(np.atleast_1d(np.asarray(values.get("kd", 0.8), np.float64))), 3).clip(0, 1)
    alpha = 1 - number("tr", 0.0) if "tr" in values else number("d", 1.0)
    shine, specular = source.glossiness, np.max(values.get("ks", 0.0))
    # Blinn-Phong exponent to GGX: alpha^2 = 2 / (n + 2), roughness = sqrt(alpha)
    roughness = float((2 / (max(0.0, shine) + 2)) ** 0.25) if isinstance(shine, float) and specular > 0 else 0.8
    names = [name for data in folder.texts.values() for name in _map_kd(data, str(source.name))]
    texture = folder.picture(lambda: folder.get(names[-1]), names[-1], "rgba?") if names else None
    if "map_d" in values and str(np.atleast_1d(values["map_d"])[-1]) not in names:
        warn(f"{folder.path}: map_d of material '{source.name}' is not read, so it cuts no holes; save it as the alpha of map_Kd")
    base = (1.0, 1.0, 1.0, alpha) if texture is not None else (float(kd[0]), float(kd[1]), float(kd[2]), alpha)
    return Material(
        base_color=base,
        base_color_texture=texture,
        metallic=number("pm", 0.0),
        roughness=number("pr", roughness),
        alpha_mode="mask" if alpha < 1 or "map_d" in values else "opaque",
    )


def _map_kd(library: bytes, material: str) -> list[str]:
    """The texture names of one material of an MTL file, without options such as -s 1 1 1."""
    names, current = [], None
    for line in library.decode("utf-8", "replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.lower() == "newmtl":
            current = " ".join(rest.split())
        elif word.lower() == "map_kd" and current == material:
            names.append(rest.split()[-1] if rest.startswith("-") else rest.strip())
    return names
