"""glTF 2.0, binary and not. trimesh decodes the accessors; nodes, materials and pictures are read here, by the specification."""

from __future__ import annotations

import base64
import io
import json
import struct
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import AssetError
from synth.meshes.common import Folder, Part, fan, warn
from synth.types import F32, F64, U8, Material

_TRIANGLES, _STRIP = 4, 5
_HARMLESS = ("KHR_materials_", "KHR_lights_punctual", "KHR_xmp", "KHR_texture_transform")  # they change looks, not shape
_MAX_DEPTH = 64


def read_glb(data: bytes, folder: Folder) -> list[Part]:
    """Header, JSON chunk, and a binary chunk if there is one."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise AssetError(f"{folder.path}: is no GLB file, or truncated: {len(data)} bytes")
    version, length, json_length, json_type = struct.unpack_from("<IIII", data, 4)
    if version != 2 or json_type != 0x4E4F534A:
        raise AssetError(f"{folder.path}: is no binary glTF 2.0 file (version {version})")
    if length > len(data) or 20 + json_length > len(data):
        raise AssetError(f"{folder.path}: is truncated: {len(data)} bytes, its header promises {length}")
    binary, start = None, 20 + json_length
    if start + 8 <= len(data):
        size, kind = struct.unpack_from("<II", data, start)
        if kind == 0x004E4942:
            binary = data[start + 8 : start + 8 + size]
            if len(binary) < size:
                raise AssetError(f"{folder.path}: is truncated: its binary chunk has {len(binary)} of {size} bytes")
    return _read(json.loads(data[20:start]), binary, folder)


def names_no_file(path: Path) -> bool:
    """Whether the JSON of a GLB file says that all its data is in it; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            magic, *_, json_length, _ = struct.unpack("<4sIIII", file.read(20))
            document = json.loads(file.read(json_length))
        uris = [item.get("uri", "data:") for kind in ("buffers", "images") for item in document.get(kind, [])]
        return magic == b"glTF" and all(uri.startswith("data:") for uri in uris)
    except Exception:  # whatever it is, loading it tells
        return False


def read_gltf(data: bytes, folder: Folder) -> list[Part]:
    """JSON, with buffers as data URIs or files beside it."""
    return _read(json.loads(data), None, folder)


def _read(document: dict[str, Any], binary: bytes | None, folder: Folder) -> list[Part]:
    _check(document, folder)
    buffers = [_bytes_of(buffer, folder) if "uri" in buffer else binary or b"" for buffer in document.get("buffers", [])]
    for i, (buffer, content) in enumerate(zip(document.get("buffers", []), buffers, strict=True)):
        if len(content) < buffer["byteLength"]:
            raise AssetError(f"{folder.path}: is truncated: buffer {i} has {len(content)} of {buffer['byteLength']} bytes")
    primitives = [p for mesh in document.get("meshes", []) for p in mesh["primitives"]]
    first = np.cumsum([0, *(len(mesh["primitives"]) for mesh in document.get("meshes", []))])
    shapes = _decode(document, buffers, primitives, folder)
    materials = _Materials(document, buffers, folder)
    parts: list[Part] = []
    faces = 0
    for mesh, asset_from_mesh in _instances(document, folder):
        for i in range(int(first[mesh]), int(first[mesh + 1])):
            parts.append(_placed(_part(shapes[i], primitives[i], materials, folder), asset_from_mesh))
            faces += len(parts[-1].faces)
            folder.capped(faces)  # a small file can place one mesh many times
            if len(parts) > folder.limits.max_parts:
                raise AssetError(f"{folder.path}: has more than {folder.limits.max_parts} parts")
    return parts


def _check(document: dict[str, Any], folder: Folder) -> None:
    """Raise on what trimesh would skip or fill with zeros."""
    if str(document["asset"]["version"]).split(".")[0] != "2":
        raise AssetError(f"{folder.path}: is glTF {document['asset']['version']}; 2.0 is read")
    required = [e for e in document.get("extensionsRequired", []) if not e.startswith(_HARMLESS)]
    if required:
        raise AssetError(
            f"{folder.path}: needs the glTF extensions {', '.join(required)}, which are not read; export it without (no compression)"
        )
    used = {i for m in document.get("meshes", []) for p in m["primitives"] for i in (p.get("indices"), *p["attributes"].values())}
    for i in used - {None}:
        accessor = document["accessors"][i]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise AssetError(f"{folder.path}: accessor {i} is sparse or has no data of its own, which is not read; export it without")
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            mode = primitive.get("mode", _TRIANGLES)
            if mode not in (_TRIANGLES, _STRIP):
                kind = {0: "points", 1: "lines", 2: "lines", 3: "lines", 6: "a triangle fan"}.get(mode, f"mode {mode}")
                cloud = "is a point cloud: " if mode == 0 else ""
                raise AssetError(
                    f"{folder.path}: {cloud}mesh '{mesh.get('name', '')}' is made of {kind}; only triangles and strips are read"
                )
            if "targets" in primitive and any(mesh.get("weights", [])):
                raise AssetError(f"{folder.path}: mesh '{mesh.get('name', '')}' is morphed by weights; apply them before the export")
    if any("skin" in node for node in document.get("nodes", [])):
        raise AssetError(f"{folder.path}: has a skinned mesh; apply its pose before the export")


def _bytes_of(holder: dict[str, Any], folder: Folder) -> bytes:
    uri = holder["uri"]
    if uri.startswith("data:"):
        return base64.b64decode(uri.split(",", 1)[1], validate=True)
    return folder.get(urllib.parse.unquote(uri))


def _view(document: dict[str, Any], buffers: list[bytes], index: int) -> bytes:
    view = document["bufferViews"][index]
    start = view.get("byteOffset", 0)
    content: bytes = buffers[view["buffer"]][start : start + view["byteLength"]]
    if start < 0 or len(content) != view["byteLength"]:
        raise ValueError(f"buffer view {index} leaves its buffer")
    return content


def _decode(document: dict[str, Any], buffers: list[bytes], primitives: list[dict[str, Any]], folder: Folder) -> list[dict[str, Any]]:
    """trimesh's arrays of each primitive, in order. It is given the geometry alone: one buffer, blank materials, no nodes."""
    from trimesh.exchange.gltf import load_glb

    counts = [document["accessors"][p["indices"] if "indices" in p else p["attributes"]["POSITION"]]["count"] for p in primitives]
    folder.capped(sum(count if p.get("mode") == _STRIP else count // 3 for count, p in zip(counts, primitives, strict=True)))
    starts = np.cumsum([0, *map(len, buffers)])
    geometry = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": int(starts[-1])}],
        "bufferViews": [
            {**view, "buffer": 0, "byteOffset": view.get("byteOffset", 0) + int(starts[view["buffer"]])}
            for i, view in enumerate(document.get("bufferViews", []))
            if _view(document, buffers, i) is not None
        ],
        "accessors": [_slim(a) for a in document.get("accessors", [])],
        "materials": [{}] * max(1, len(document.get("materials", []))),
        "meshes": [{"primitives": [{k: p[k] for k in ("attributes", "indices", "mode") if k in p} | {"material": 0}]} for p in primitives],
    }
    text = json.dumps(geometry).encode()
    text += b" " * (-len(text) % 4)
    content = b"".join(buffers)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(content), 0x004E4942) + content
    loaded = load_glb(io.BytesIO(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks))
    shapes = list(loaded["geometry"].values())
    folder.counted("primitives", len(shapes), len(primitives))
    for shape, primitive, count in zip(shapes, primitives, counts, strict=True):
        vertices = document["accessors"][primitive["attributes"]["POSITION"]]["count"]
        folder.counted("vertices", len(shape["vertices"]), vertices)
        if primitive.get("mode", _TRIANGLES) == _TRIANGLES:
            folder.counted("indices", 3 * len(shape["faces"]), count)
    return shapes


def _slim(accessor: dict[str, Any]) -> dict[str, Any]:
    """An accessor that no primitive uses (an animation's) may be empty; it must not make trimesh fill memory with zeros."""
    return accessor if "bufferView" in accessor else {**accessor, "count": 0}


def _instances(document: dict[str, Any], folder: Folder) -> Iterator[tuple[int, F64]]:
    """Each (mesh, asset_from_mesh (4, 4)) of the scene; every mesh once where the file has no scene."""
    if "scenes" not in document:
        yield from ((i, np.eye(4)) for i in range(len(document.get("meshes", []))))
        return
    nodes = document.get("nodes", [])
    stack = [(i, np.eye(4), 0) for i in reversed(document["scenes"][document.get("scene", 0)].get("nodes", []))]
    seen: set[int] = set()
    while stack:
        index, asset_from_parent, depth = stack.pop()
        if index in seen or depth > _MAX_DEPTH:
            raise AssetError(f"{folder.path}: node {index} has two parents, or its tree is deeper than {_MAX_DEPTH}")
        seen.add(index)
        node = nodes[index]
        asset_from_node = asset_from_parent @ _node_matrix(node)
        if "mesh" in node:
            yield node["mesh"], asset_from_node
        stack += [(child, asset_from_node, depth + 1) for child in reversed(node.get("children", []))]


def _node_matrix(node: dict[str, Any]) -> F64:
    if "matrix" in node:
        return np.asarray(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = np.asarray(node.get("rotation", (0, 0, 0, 1)), np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.asarray(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _part(shape: dict[str, Any], primitive: dict[str, Any], materials: _Materials, folder: Folder) -> Part:
    normals, uv = shape.get("vertex_normals"), shape["visual"].uv
    material = materials[primitive.get("material")]
    if uv is None and material.base_color_texture is not None:
        warn(f"{folder.path}: a part has a texture and no texture coordinates; a plain colour stands in for it")
        material = replace(material, base_color_texture=None, metallic_roughness_texture=None, normal_texture=None, emissive_texture=None)
    return Part(
        np.asarray(shape["vertices"], np.float64),
        fan(shape["faces"]),
        None if normals is None else np.asarray(normals, np.float64),
        None if uv is None else np.asarray(uv, np.float64),
        _linear_colors(shape["visual"].vertex_attributes.get("color"), len(shape["vertices"])),
        material,
    )


def _linear_colors(values: Any, count: int) -> F32 | None:
    """COLOR_0 is linear, as floats or normalised unsigned integers."""
    if values is None or np.ndim(values) != 2 or len(values) != count or np.shape(values)[1] not in (3, 4):
        return None
    values = np.asarray(values)
    colors = values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1)
    if not np.isfinite(colors).all():
        return None
    return np.hstack([colors.clip(0, 1), np.ones((count, 4 - colors.shape[1]), np.float32)])


def _placed(part: Part, asset_from_mesh: F64) -> Part:
    """The part moved into the asset's frame; a mirroring transform turns its faces round, so that they stay outward."""
    if np.array_equal(asset_from_mesh, np.eye(4)):
        return part
    linear = asset_from_mesh[:3, :3]
    normals = part.normals
    if normals is not None:
        normals = normals @ np.linalg.inv(linear)  # the inverse transpose, applied to rows
    faces = part.faces[:, ::-1] if np.linalg.det(linear) < 0 else part.faces
    return replace(part, vertices=part.vertices @ linear.T + asset_from_mesh[:3, 3], faces=faces, normals=normals)


class _Materials:
    """The file's materials by index, each read when first asked for; None is the default material."""

    def __init__(self, document: dict[str, Any], buffers: list[bytes], folder: Folder) -> None:
        self.document, self.buffers, self.folder = document, buffers, folder
        self.made: dict[int | None, Material] = {}
        self.pictures: dict[tuple[int, bool], U8 | None] = {}

    def __getitem__(self, index: int | None) -> Material:
        if index not in self.made:
            self.made[index] = self._make({} if index is None else self.document["materials"][index])
        return self.made[index]

    def _make(self, source: dict[str, Any]) -> Material:
        pbr = source.get("pbrMetallicRoughness", {})
        extensions = source.get("extensions", {})
        strength = float(extensions.get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1.0))
        if "KHR_materials_pbrSpecularGlossiness" in extensions and not pbr:
            warn(f"{self.folder.path}: material '{source.get('name', '')}' is specular-glossiness only; a plain colour stands in for it")
        red, green, blue, alpha = (float(v) for v in pbr.get("baseColorFactor", (1, 1, 1, 1)))
        emissive = [float(v) * strength for v in source.get("emissiveFactor", (0, 0, 0))]
        mode = source.get("alphaMode", "OPAQUE")
        return Material(
            base_color=(red, green, blue, alpha),
            base_color_texture=self._texture(pbr.get("baseColorTexture"), alpha=True),
            metallic=float(pbr.get("metallicFactor", 1.0)),
            roughness=float(pbr.get("roughnessFactor", 1.0)),
            metallic_roughness_texture=self._texture(pbr.get("metallicRoughnessTexture")),
            normal_texture=self._texture(source.get("normalTexture")),
            emissive=(emissive[0], emissive[1], emissive[2]),
            emissive_texture=self._texture(source.get("emissiveTexture")),
            alpha_mode="opaque" if mode == "OPAQUE" else "mask",
            alpha_cutoff=float(source.get("alphaCutoff", 0.5)) if mode == "MASK" else 0.5,
            double_sided=bool(source.get("doubleSided", False)),
        )

    def _texture(self, reference: dict[str, Any] | None, alpha: bool = False) -> U8 | None:
        if reference is None:
            return None
        transform = reference.get("extensions", {}).get("KHR_texture_transform")
        if reference.get("texCoord", 0) or transform:
            warn(f"{self.folder.path}: a texture transform or second set of coordinates is not read; the first, untransformed, stands in")
        texture = self.document["textures"][reference["index"]]
        source = texture.get("source", texture.get("extensions", {}).get("EXT_texture_webp", {}).get("source"))
        if source is None:
            warn(f"{self.folder.path}: a texture is in a format that is not read (KTX2?); a plain colour stands in for it")
            return None
        if (source, alpha) not in self.pictures:
            image = self.document["images"][source]
            name = image.get("name") or (image.get("uri", "")[:60] if "bufferView" not in image else f"image {source}")
            self.pictures[source, alpha] = self.folder.picture(
                lambda: _view(self.document, self.buffers, image["bufferView"]) if "bufferView" in image else _bytes_of(image, self.folder),
                name,
                "rgba?" if alpha else "rgb",
            )
        return self.pictures[source, alpha]
