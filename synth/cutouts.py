"""Cut-outs from files. `synth.cutting` makes them from labelled samples and from meshes.

A file is a picture with alpha, or a photo with a mask beside it: `mug.jpg` and `mug.mask.png` (128 and more is the object). What they
cannot say stands in a small YAML file, `mug.cutout.yaml`; every key of it is optional:

    name: mug                      # default: the picture's file name without its ending
    category: mug                  # what it is labelled as; default: the name of the folder
    mask: masks/mug.png            # where the mask lies, if not in mug.mask.png
    keypoints:                     # px of the picture, as it stands upright; (0, 0) is the outer corner of its top-left pixel
      handle: [10.5, 20]
      bottom: {at: [30, 40], hidden: true}    # hidden by the object itself
      rim_left: [2, 3.5]
      rim_right: null              # the category has it, here it is not known
    mirror: [[rim_left, rim_right]]    # pairs that a mirror image swaps
    skeleton: [[handle, bottom]]   # edges to draw
    sigmas: [0.05, 0.05, 0.1, 0.1]     # COCO's constants, one a keypoint
    licence: CC0-1.0
    source: where it comes from

`cutouts.yaml` in the folder, or else in the one above it, holds keys for all files (no name, mask or keypoints); a file's own come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import AssetError, ConfigError, known_names
from synth.images import MAX_BYTES, cached_by_file, decode_image, read_capped
from synth.types import U8, Category, Cutout

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tga", ".tif", ".tiff")
FOLDER_INFO = "cutouts.yaml"
MAX_SIDE_PX = 2048
"""Of a cut-out in memory: a larger one is shrunk when it is loaded, its keypoints with it."""

_KEYS = ("name", "category", "mask", "keypoints", "mirror", "skeleton", "sigmas", "licence", "source")
_FOLDER_KEYS = ("category", "mirror", "skeleton", "sigmas", "licence", "source")
LEAST_PX = 4
"""Each side of what is opaque of a cut-out, at least."""


@dataclass(frozen=True, slots=True)
class CutoutInfo:
    """What the files beside a picture say. keypoints_xy: px of the upright picture. mask: its file, if there is one. files: all of them,
    the picture first."""

    name: str
    category: Category
    keypoints_xy: Mapping[str, tuple[float, float]]
    hidden: frozenset[str]
    mask: Path | None
    licence: str
    source: str
    files: tuple[Path, ...]


# --- files ------------------------------------------------------------------------------------------------------------


def cutout_files(folder: str | Path) -> tuple[Path, ...]:
    """The pictures of cut-outs in a folder and its subfolders, by name; masks are none. Raises ConfigError if there is none."""
    top = Path(folder).expanduser().resolve()
    if not top.is_dir():
        raise ConfigError(f"cut-outs '{folder}': there is no such folder ({top})")
    pictures = [path for path in sorted(top.rglob("*")) if path.suffix.lower() in PICTURES and path.is_file()]
    masks = {mask for path in pictures if (mask := read_cutout_info(path).mask)}
    found = tuple(path for path in pictures if path not in masks)
    if not found:
        raise ConfigError(f"cut-outs '{folder}': no picture lies in {top}; known endings: {', '.join(PICTURES)}")
    return found


def photo_files(folder: str | Path) -> tuple[Path, ...]:
    """The pictures in a folder and its subfolders, by name. Raises ConfigError if there is none."""
    top = Path(folder).expanduser().resolve()
    if not top.is_dir():
        raise ConfigError(f"photos '{folder}': there is no such folder ({top})")
    found = tuple(path for path in sorted(top.rglob("*")) if path.suffix.lower() in PICTURES and path.is_file())
    if not found:
        raise ConfigError(f"photos '{folder}': no picture lies in {top}; known endings: {', '.join(PICTURES)}")
    return found


def cutout_sources(files: Iterable[Path]) -> dict[Path, str]:
    """All files behind cut-outs, each with its licence, "" where it is not known; for a scene's `sources`."""
    infos = [read_cutout_info(path) for path in files]
    return {file: info.licence for info in infos for file in info.files}


def categories_of(files: Iterable[Path]) -> tuple[Category, ...]:
    """The categories of cut-outs, each once, by name. Raises ConfigError where two files say different things of one."""
    found: dict[str, tuple[Category, Path]] = {}
    for path in files:
        category = read_cutout_info(path).category
        other, elsewhere = found.setdefault(category.name, (category, path))
        if other != category:
            raise ConfigError(
                f"{path}: category '{category.name}' has keypoints {list(category.keypoints)} with their pairs, edges and sigmas, "
                f"and others in {elsewhere} ({list(other.keypoints)}); name the same, in one order"
            )
    return tuple(found[name][0] for name in sorted(found))


def read_cutout_info(path: str | Path) -> CutoutInfo:
    """What the files beside a picture say. Raises AssetError naming file and key."""
    picture = _resolved(path)
    files = _beside(picture)
    return cached_by_file(("cutout info", picture), files, lambda: _read_info(picture, *files), lambda _: 1024)


def _resolved(path: str | Path) -> Path:
    path = path if isinstance(path, Path) else Path(path)
    return path if path.is_absolute() else path.expanduser().resolve()


@lru_cache(maxsize=1 << 16)
def _beside(picture: Path) -> tuple[Path, ...]:
    """Where a picture's description, its folder's, the one above, and its mask may lie."""
    names = (f"{picture.stem}.cutout.yaml", FOLDER_INFO, f"../{FOLDER_INFO}", f"{picture.stem}.mask.png")
    return tuple(picture.parent / name for name in names)


def _read_info(picture: Path, own: Path, shared: Path, above: Path, beside: Path) -> CutoutInfo:
    shared = shared if shared.exists() else above.resolve()
    values = _read_yaml(shared, _FOLDER_KEYS) | _read_yaml(own, _KEYS)
    try:
        points: dict[str, tuple[float, float]] = {}
        hidden = set()
        keypoints = dict(values.get("keypoints") or {})
        for name, value in keypoints.items():
            if value is None:
                continue
            x, y = value["at"] if isinstance(value, dict) else value
            points[str(name)] = (float(x), float(y))
            if isinstance(value, dict) and value.get("hidden"):
                hidden.add(str(name))
        category = Category(
            str(values.get("category") or picture.parent.name),
            tuple(map(str, keypoints)),
            tuple(values.get("mirror") or ()),
            tuple(values.get("skeleton") or ()),
            tuple(values.get("sigmas") or ()),
        )
    except (ConfigError, TypeError, ValueError, KeyError) as error:
        what = error if isinstance(error, ConfigError) else f"keypoints, mirror, skeleton or sigmas cannot be read ({error})"
        raise AssetError(f"{own if own.exists() else shared}: {what}") from error
    named = own.parent / str(values["mask"]) if values.get("mask") else None
    mask = named.resolve() if named else beside if beside.is_file() and beside != picture else None
    files = (picture, *(file for file in (own, shared, mask) if file is not None and file.is_file()))
    return CutoutInfo(
        name=str(values.get("name") or picture.stem),
        category=category,
        keypoints_xy=points,
        hidden=frozenset(hidden),
        mask=mask,
        licence=str(values.get("licence") or ""),
        source=str(values.get("source") or ""),
        files=files,
    )


def _read_yaml(file: Path, keys: Sequence[str]) -> dict[str, Any]:
    if not file.exists():
        return {}
    import yaml

    try:
        values = yaml.safe_load(read_capped(file, 1 << 20)) or {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise AssetError(f"{file}: is no valid YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise AssetError(f"{file}: must hold keys and values, got {type(values).__name__}")
    for key in values:
        if key not in keys:
            raise AssetError(f"{file}: {known_names('key', str(key), keys)}")
    return values


def load_cutout(path: str | Path, mask: str | Path | None = None) -> Cutout:
    """The cut-out of a picture with alpha, or of a photo with a mask (given, or as the files beside it say), turned upright by its EXIF
    orientation and cropped to what is opaque, its keypoints with it. Once a process. Raises AssetError."""
    picture = _resolved(path)
    info = read_cutout_info(picture)
    mask_file = _resolved(mask) if mask is not None else info.mask
    files = (*info.files, *((mask_file,) if mask_file else ()))
    # What a cut-out needs in memory is mostly its copy in linear light (synth.warp).
    return cached_by_file(
        ("cutout", picture, mask_file), files, lambda: _load(picture, mask_file, info), lambda found: 6 * found.rgba.nbytes
    )


def _load(picture: Path, mask_file: Path | None, info: CutoutInfo) -> Cutout:
    image = decode_image(read_capped(picture, MAX_BYTES), str(picture), "rgba?", turn=True)
    height, width = image.shape[:2]
    if mask_file is None and image.shape[2] == 3:
        raise AssetError(
            f"{picture}: has no alpha, and no mask lies beside it; save it as RGBA, or its mask (128 and more is the object) as "
            f"{picture.stem}.mask.png"
        )
    alpha = image[..., 3] if image.shape[2] == 4 else np.full((height, width), 255, np.uint8)
    if mask_file is not None:
        values = decode_image(read_capped(mask_file, MAX_BYTES), str(mask_file), turn=True).max(axis=2)
        if values.shape != alpha.shape:
            raise AssetError(
                f"{mask_file}: the mask is {values.shape[1]} x {values.shape[0]} px, its picture {width} x {height} ({picture})"
            )
        if values.max() < 128:
            raise AssetError(f"{mask_file}: the mask is empty: no pixel is 128 or more, the largest is {values.max()}; the object is 255")
        alpha = np.minimum(alpha, values)
    try:
        return cropped(info.name, np.dstack([image[..., :3], alpha]), info.keypoints_xy, info.hidden, info.licence)
    except ConfigError as error:
        raise AssetError(f"{picture}: {error}") from error


def cropped(name: str, rgba: U8, keypoints_xy: Mapping[str, tuple[float, float]], hidden: Iterable[str] = (), licence: str = "") -> Cutout:
    """A cut-out of the part of rgba (h, w, 4) that is not transparent, no side longer than MAX_SIDE_PX. keypoints_xy: px of rgba.
    Raises ConfigError if nothing, or next to nothing, is opaque."""
    opaque = rgba[..., 3] >= 128
    if not opaque.any():
        raise ConfigError("nothing of it is opaque (alpha 128 or more)")
    rows, columns = np.flatnonzero(opaque.any(axis=1)), np.flatnonzero(opaque.any(axis=0))
    width, height = int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
    if min(width, height) < LEAST_PX:
        raise ConfigError(f"what is opaque of it is {width} x {height} px; a cut-out needs {LEAST_PX} x {LEAST_PX}")
    rows, columns = np.flatnonzero(rgba[..., 3].any(axis=1)), np.flatnonzero(rgba[..., 3].any(axis=0))
    x0, y0 = int(columns[0]), int(rows[0])
    part: Any = np.ascontiguousarray(rgba[y0 : rows[-1] + 1, x0 : columns[-1] + 1])
    scale_x = scale_y = 1.0
    if max(part.shape[:2]) > MAX_SIDE_PX:
        import cv2

        share = MAX_SIDE_PX / max(part.shape[:2])
        size = max(1, round(part.shape[1] * share)), max(1, round(part.shape[0] * share))
        scale_x, scale_y = size[0] / part.shape[1], size[1] / part.shape[0]
        weight = part[..., 3:].astype(np.float32)  # what is transparent has no colour to give
        shrunk = cv2.resize(np.dstack([part[..., :3] * weight, weight]), size, interpolation=cv2.INTER_AREA)
        part = np.round(np.dstack([shrunk[..., :3] / np.maximum(shrunk[..., 3:], 1e-6), shrunk[..., 3]])).clip(0, 255).astype(np.uint8)
    part.flags.writeable = False
    points = {point: ((x - x0) * scale_x, (y - y0) * scale_y) for point, (x, y) in keypoints_xy.items()}
    return Cutout(name, part, points, frozenset(hidden), licence)
