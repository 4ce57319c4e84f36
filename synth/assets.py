"""Assets from files: a mesh (synth.meshes), and beside it what a mesh cannot say, in a small YAML file.

`mug.glb` is described by `mug.asset.yaml`; every key of it is optional:

    name: mug                    # of the asset; default: the mesh's file name without its ending
    category: mug                # what it is labelled as; without one it can only be a prop
    unit: mm                     # m (default), cm, mm or in: the unit of the mesh file
    scale: 1.0                   # and a factor on top of it
    up: y                        # the axis of the file that becomes +z of the object frame: x, y or z (default: the frame is the file's)
    keypoints:                   # metres, object frame (after unit, scale and up), in the order of the category
      handle_top: [0.05, 0.0, 0.07]
      centre: {at: [0, 0, 0.04], inside: true}      # in the body, as a joint is: depth does not decide whether it is seen
    mirror: [[rim_left, rim_right]]                 # pairs that a mirror image swaps
    skeleton: [[handle_top, handle_bottom]]         # edges to draw
    sigmas: [0.05, ...]                             # COCO's constants, one a keypoint
    material: {roughness: 0.5, metallic: 0.0, double_sided: true}    # instead of the file's
    licence: CC-BY-4.0
    source: where it comes from

`keypoints: box` names the eight corners of the mesh's axis-aligned box in the order of BOX_CORNERS. Wherever the keypoints are those
names, mirror and skeleton are the box's by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import AssetError, ConfigError, known_names
from synth.images import cached_by_file, load_hdri, load_photo, read_capped
from synth.meshes import AssetWarning, Limits, Part, read_parts, stands_alone
from synth.meshes.normals import smooth_normals
from synth.types import F64, Asset, Category, Keypoint, Material, Mesh

__all__ = [
    "BOX_CORNERS",
    "AssetInfo",
    "AssetWarning",
    "Limits",
    "asset_files",
    "box_category",
    "box_keypoints",
    "info_path",
    "load_asset",
    "load_hdri",
    "load_photo",
    "read_info",
    "smooth_normals",
]

BOX_CORNERS = tuple(
    f"{depth}_{corner}" for depth in ("front", "back") for corner in ("left_bottom", "right_bottom", "right_top", "left_top")
)
"""Corners of a box as someone sees them who stands at -y and looks along +y: left is -x, bottom -z, front -y."""
_UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
_KEYS = ("name", "category", "unit", "scale", "up", "keypoints", "mirror", "skeleton", "sigmas", "material", "licence", "source")
# rows: axes of the object frame in axes of the file; each turns the named axis up and keeps the frame right-handed
_OBJECT_FROM_FILE = {
    "z": np.eye(3),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "x": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
}


def box_category(name: str) -> Category:
    """A category whose keypoints are the eight corners of a box."""
    return _category(name, BOX_CORNERS, {})


def _category(name: str, keypoints: tuple[str, ...], info: Mapping[str, Any]) -> Category:
    mirror: Any = info.get("mirror", ())
    skeleton: Any = info.get("skeleton", ())
    if set(keypoints) == set(BOX_CORNERS):
        mirror = mirror or [(k, k.replace("_left_", "_right_")) for k in BOX_CORNERS if "_left_" in k]
        rings = [(BOX_CORNERS[a + i], BOX_CORNERS[a + (i + 1) % 4]) for a in (0, 4) for i in range(4)]
        skeleton = skeleton or [*rings, *zip(BOX_CORNERS[:4], BOX_CORNERS[4:], strict=True)]
    return Category(name, keypoints, tuple(mirror), tuple(skeleton), tuple(info.get("sigmas", ())))


# --- the file beside the mesh -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AssetInfo:
    """What `<stem>.asset.yaml` says. keypoints None: the corners of the mesh's box. scale: metres a unit of the file; declared: given."""

    name: str
    category: Category | None = None
    keypoints: tuple[Keypoint, ...] | None = ()
    scale_m: float = 1.0
    scale_declared: bool = False
    up: str = "z"
    roughness: float | None = None
    metallic: float | None = None
    double_sided: bool | None = None
    licence: str = ""
    source: str = ""


def info_path(path: str | Path) -> Path:
    """Where the description of a mesh lies."""
    path = Path(path)
    return path.with_name(f"{path.stem}.asset.yaml")


def read_info(path: str | Path) -> AssetInfo:
    """The description of the mesh at `path`, or the defaults if it has none. Raises AssetError naming file and key."""
    mesh = Path(path).expanduser().resolve()
    file = info_path(mesh)
    return cached_by_file(("info", mesh), (file,), lambda: _read_info(mesh, file), lambda info: 1024)


def _read_info(mesh: Path, file: Path) -> AssetInfo:
    if not file.exists():
        return AssetInfo(mesh.stem)
    import yaml

    try:
        values = yaml.safe_load(read_capped(file, 1 << 20)) or {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise AssetError(f"{file}: is no valid YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise AssetError(f"{file}: must hold keys and values, got {type(values).__name__}")
    try:
        return _parse_info(mesh.stem, values)
    except AssetError:
        raise
    except (ConfigError, TypeError, ValueError, KeyError) as error:
        raise AssetError(f"{file}: {error}") from error


def _parse_info(stem: str, values: dict[Any, Any]) -> AssetInfo:
    for key in values:
        if key not in _KEYS:
            raise ConfigError(known_names("key", str(key), _KEYS))
    unit, up, scale = values.get("unit", "m"), values.get("up", "z"), _number(values, "scale", 1.0, 1e-9, 1e9)
    if unit not in _UNITS_M:
        raise ConfigError(known_names("unit", str(unit), _UNITS_M))
    if up not in _OBJECT_FROM_FILE:
        raise ConfigError(f"up must be x, y or z, got {up!r}")
    keypoints = None if values.get("keypoints") == "box" else _keypoints(values.get("keypoints") or {})
    names = BOX_CORNERS if keypoints is None else tuple(k.name for k in keypoints)
    material = values.get("material") or {}
    for key in material:
        if key not in ("roughness", "metallic", "double_sided"):
            raise ConfigError(known_names("key of material", str(key), ("roughness", "metallic", "double_sided")))
    return AssetInfo(
        name=str(values.get("name", stem)),
        category=_category(str(values["category"]), names, values) if values.get("category") else None,
        keypoints=keypoints,
        scale_m=_UNITS_M[unit] * scale,
        scale_declared="unit" in values or "scale" in values,
        up=up,
        roughness=_number(material, "roughness", None, 0, 1),
        metallic=_number(material, "metallic", None, 0, 1),
        double_sided=None if "double_sided" not in material else bool(material["double_sided"]),
        licence=str(values.get("licence", "")),
        source=str(values.get("source", "")),
    )


def _number(values: Mapping[Any, Any], key: str, default: Any, low: float, high: float) -> Any:
    value = values.get(key, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high):
        raise ConfigError(f"{key} must be a number in [{low:g}, {high:g}], got {value!r}")
    return value if value is None else float(value)


def _keypoints(values: Any) -> tuple[Keypoint, ...]:
    if not isinstance(values, dict):
        raise ConfigError(f"keypoints must be `box` or names with [x, y, z] in metres, got {values!r}")
    points = []
    for name, value in values.items():
        at, inside = (value.get("at"), value.get("inside", False)) if isinstance(value, dict) else (value, False)
        if not isinstance(at, list) or len(at) != 3 or not all(isinstance(v, (int, float)) for v in at) or not isinstance(inside, bool):
            raise ConfigError(f"keypoint '{name}' must be [x, y, z] in metres or {{at: [x, y, z], inside: true}}, got {value!r}")
        points.append(Keypoint(str(name), (at[0], at[1], at[2]), inside))
    return tuple(points)


# --- the asset --------------------------------------------------------------------------------------------------------


def load_asset(path: str | Path, *, limits: Limits | None = None) -> Asset:
    """The asset at `path`: GLB, GLTF, OBJ, PLY or STL, with what `<stem>.asset.yaml` says of it.

    Read once a process, and again when one of `asset_files` was written since; shared, so equal calls give the same object. Every face
    of the file is there, at its place; vertices that no face uses are not. Raises AssetError naming the file and the cause; gives an
    AssetWarning where only looks are lost.
    """
    return _loaded(Path(path).expanduser().resolve(), limits or Limits()).asset


def asset_files(path: str | Path) -> tuple[Path, ...]:
    """The files that `load_asset` reads: the mesh and, where they are there, its description and the material files, textures and buffers
    that the mesh names. What a scene's `sources` must hold."""
    mesh = Path(path).expanduser().resolve()
    beside = () if stands_alone(mesh) else _loaded(mesh, Limits()).beside
    return (mesh, *(file for file in (info_path(mesh), *beside) if file.is_file()))


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An asset, and the files beside the mesh that were looked for, found or not."""

    asset: Asset
    beside: tuple[Path, ...]


def _loaded(mesh: Path, limits: Limits) -> _Loaded:
    files = (mesh, info_path(mesh))
    return cached_by_file(("asset", mesh, limits), files, lambda: _load(mesh, limits), _nbytes, lambda loaded: loaded.beside)


def _nbytes(loaded: _Loaded) -> int:
    arrays = [
        array
        for mesh in loaded.asset.meshes
        for part in (mesh, mesh.material)
        for name in part.__slots__
        if (array := getattr(part, name)) is not None
    ]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _load(path: Path, limits: Limits) -> _Loaded:
    info = read_info(path)
    parts, beside = read_parts(path, limits)
    _check_shape(path, parts, info)
    try:
        with np.errstate(all="ignore"):
            meshes = tuple(_mesh(part, info) for part in parts)
            asset = Asset(info.name, meshes, info.keypoints or (), info.licence)
        if info.keypoints is None:
            centre, size = asset.box_object_m
            asset = replace(asset, keypoints=box_keypoints(centre, size))
    except ConfigError as error:
        raise AssetError(f"{path}: {error}") from error
    return _Loaded(asset, beside)


def box_keypoints(centre: F64, size: F64) -> tuple[Keypoint, ...]:
    """The corners of a box, by centre and size (3,), in the order of BOX_CORNERS."""
    signs = {"left": -1, "right": 1, "front": -1, "back": 1, "bottom": -1, "top": 1}
    corners = []
    for name in BOX_CORNERS:
        y, x, z = (signs[word] for word in name.split("_"))
        corners.append(Keypoint(name, tuple(centre + size / 2 * (x, y, z))))
    return tuple(corners)


def _check_shape(path: Path, parts: list[Part], info: AssetInfo) -> None:
    for part in parts:
        bad = np.flatnonzero(~np.isfinite(part.vertices).all(1))
        if len(bad):
            raise AssetError(f"{path}: {len(bad)} vertices are not finite, the first is number {bad[0]}: {part.vertices[bad[0]].tolist()}")
        if not len(part.faces):
            raise AssetError(f"{path}: a part has no faces")
        for name in ("normals", "uv", "colors"):
            values = getattr(part, name)
            if values is not None and len(values) != len(part.vertices):
                raise AssetError(f"{path}: has {len(values)} {name} for {len(part.vertices)} vertices")
        if part.faces.min() < 0 or part.faces.max() >= len(part.vertices):
            raise AssetError(f"{path}: faces name vertices {part.faces.min()}..{part.faces.max()}, there are {len(part.vertices)}")
    used = [part.vertices[np.unique(part.faces)] for part in parts]
    low, high = np.min([v.min(0) for v in used], 0), np.max([v.max(0) for v in used], 0)
    with np.errstate(over="ignore"):
        size_m = float((high - low).max() * info.scale_m)
    if not info.scale_declared and not 1e-3 <= size_m <= 100:
        raise AssetError(
            f"{path}: is {size_m:.3g} m large if its unit is the metre; if not, declare `unit: mm` or `scale:` in {info_path(path).name}"
        )
    if not 0 < size_m < 1e6:
        raise AssetError(f"{path}: is {size_m:.3g} m large with the declared unit and scale")
    moved_m = max(float(np.abs(v * info.scale_m - (v * info.scale_m).astype(np.float32)).max()) for v in used)
    if moved_m > 1e-4 * size_m:
        far_m = float(np.abs([low, high]).max() * info.scale_m)
        raise AssetError(
            f"{path}: lies up to {far_m:.4g} m from its origin, so far that float32 moves its vertices by {moved_m:.2g} m; it is "
            f"{size_m:.3g} m large: centre it"
        )


def _mesh(part: Part, info: AssetInfo) -> Mesh:
    object_from_file = _OBJECT_FROM_FILE[info.up]
    used, faces = np.unique(part.faces, return_inverse=True)  # a vertex that no face uses is no shape, and would stretch the box
    faces = faces.reshape(part.faces.shape)
    vertices = (part.vertices[used] @ object_from_file.T * info.scale_m).astype(np.float32)
    normals, uv, colors = (None if a is None else a[used] for a in (part.normals, part.uv, part.colors))
    lengths = np.zeros(1) if normals is None else np.linalg.norm(normals, axis=1)
    if normals is not None and np.isfinite(lengths).all() and lengths.min() > 0:
        normals = normals / lengths[:, None] @ object_from_file.T
    else:
        source, faces, normals = smooth_normals(vertices, faces)
        vertices, uv, colors = vertices[source], None if uv is None else uv[source], None if colors is None else colors[source]
    if uv is not None and not np.isfinite(uv).all():
        raise ConfigError("texture coordinates must be finite")
    material = _material(part.material, info)
    single = [None if a is None else a.astype(np.float32) for a in (normals, uv, colors)]
    return Mesh(vertices, faces.astype(np.int32), single[0], single[1], single[2], material)  # type: ignore[arg-type]


def _material(material: Material, info: AssetInfo) -> Material:
    given = {k: v for k in ("roughness", "metallic", "double_sided") if (v := getattr(info, k)) is not None}
    if {"roughness", "metallic"} & set(given):
        given["metallic_roughness_texture"] = None
    return replace(material, **given) if given else material
