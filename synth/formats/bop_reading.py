"""Reads a BOP dataset; what its files mean is in synth.formats.bop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synth.errors import ConfigError, FormatError, SynthError
from synth.formats import reading
from synth.formats.bop_laws import MM, box_entry, box_of, camera_of, depth_of, is_id, mask_box, rigid_of
from synth.formats.reading import (
    MAX_PICTURE_BYTES,
    SUFFIXES,
    Faults,
    Picture,
    brief,
    check_box,
    inside,
    iou,
    number,
    read_file,
    read_json,
    read_picture,
)
from synth.formats.writing import Box
from synth.record import Output, Record, encode, open_picture
from synth.types import F64, Bool, Category, Instance, Rle, Sample, SampleInfo

_SPLITS = ("train", "val", "test")
_MOST_MM_A_STEP = 1e6
_SLACK_COUNT, _SLACK_COUNT_PX, _LEAST_IOU = 0.1, 10, 0.5


class _Object(NamedTuple):
    category: str
    asset: str | None
    box3d_object_m: tuple[F64, F64] | None = None


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """A BOP dataset, one of its splits, or one scene.

    names: category by object id; else as `objects.json` beside the splits says, else `obj_000005`. The key is split/scene/image, the
    split `train` also for `train_pbr`, the group the scene. box3d_object_m comes from models_info.json.
    """

    names: Mapping[Any, str] | None = None

    def __post_init__(self) -> None:
        reading.Reader.__post_init__(self)
        if self.images is not None:
            raise ConfigError("bop: the pictures lie in the scenes; name the dataset's folder alone")
        names = self.names
        if names is not None and not isinstance(names, Mapping):
            raise ConfigError(f"bop: names must be by object id, got {brief(names)}")
        for given, name in (names or {}).items():
            if not is_id(given) and not (isinstance(given, str) and _id(given) is not None):
                raise ConfigError(f"bop: names must be by object id, got {brief(given)}")
            if not isinstance(name, str) or not name:
                raise ConfigError(f"bop: the name of object {given} must be text, got {brief(name)}")

    def records(self, faults: Faults) -> Iterator[Record]:
        root, scenes = _scenes(self.source.resolve())
        objects, named = _objects(root, self.names or {})
        for scene in scenes:
            try:
                inside(root, str(scene.relative_to(root)))
                images = _scene_images(scene)
                files = {name: _listing(scene, name) for name in ("rgb", "gray", "depth", "mask", "mask_visib")}
            except FormatError as error:
                faults.add(_place(scene), [str(error)], samples=_pictures(scene))
                continue
            ids = {*objects, *(set() if named is not None else _object_ids(images))}
            known = {obj_id: objects.get(obj_id, _unnamed(obj_id)) for obj_id in sorted(ids if named is None else named)}
            strays = _strays(images, files)
            for im_id, entries in sorted(images.items()):
                problems = [f"{name} belongs to no object" for name in strays.pop(f"{im_id:06d}", ())]
                record = _record(scene, im_id, entries, known, files, problems)
                if record is None:
                    faults.add(f"{_place(scene)} image {im_id}", problems)
                else:
                    yield record
            for stem, paths in sorted(strays.items()):
                told = [f"{name} is named by no file of the scene: add its labels or remove it" for name in paths]
                faults.add(_place(scene), told, samples=int(stem in files["rgb"] or stem in files["gray"]))


def _strays(images: Mapping[int, _Entries], files: Mapping[str, Mapping[str, Path]]) -> dict[str, list[str]]:
    """Pictures and masks that belong to nothing the scene names, by the name of their image."""
    stems = {f"{im_id:06d}" for im_id in images}
    masks = {f"{im_id:06d}_{i:06d}" for im_id, entries in images.items() for i in range(len(entries.truth or ()))}
    found: dict[str, list[str]] = {}
    for name, known in (("rgb", stems), ("gray", stems), ("mask", masks), ("mask_visib", masks)):
        for stem, path in files[name].items():
            named = images.get(int(stem[:6])) if name in ("mask", "mask_visib") and stem[:6].isdecimal() else None
            if stem not in known and (named is None or named.truth is not None):  # else it is told that nobody labelled it
                found.setdefault(stem.rpartition("_")[0] or stem, []).append(f"{name}/{path.name}")
    return found


def _scenes(source: Path) -> tuple[Path, list[Path]]:
    """The dataset's folder and its scenes, which `source` is, or holds, or holds in splits."""

    def below(folder: Path) -> list[Path]:
        return sorted(p for p in folder.iterdir() if p.is_dir())

    def are_scenes(folders: list[Path]) -> list[Path]:
        names = ("scene_gt.json", "scene_camera.json")
        return [p for p in folders if p.name.isascii() and p.name.isdigit() and any((p / name).exists() for name in names)]

    if not source.is_dir():
        raise FormatError(f"{source} is no folder; name the folder of a BOP dataset")
    for root, scenes in (
        (source.parents[min(1, len(source.parents) - 1)], are_scenes([source])),
        (source.parent, are_scenes(below(source))),
        (source, [scene for split in below(source) for scene in are_scenes(below(split))]),
    ):
        if scenes:
            return root, scenes
    raise FormatError(f"{source} holds no scene of a BOP dataset, such as train/000001 with scene_gt.json")


def _place(scene: Path) -> str:
    return f"{scene.parent.name}/{scene.name}"


def _objects(root: Path, names: Mapping[Any, str]) -> tuple[dict[int, _Object], set[int] | None]:
    """What is known of each object id before any picture is read, and the ids that may stand in a scene, if objects.json lists them."""
    objects: dict[int, _Object] = {}
    named: set[int] | None = None
    for path in sorted(root.glob("models*/models_info.json"))[:1]:
        for obj_id, model in _by_number(inside(root, str(path.relative_to(root))), dict).items():
            objects[obj_id] = _unnamed(obj_id)._replace(box3d_object_m=_model_box(model, f"{path}: object {obj_id}"))
    if (root / "objects.json").exists():
        listed = _by_number(inside(root, "objects.json"), dict)
        named = {*listed, *map(int, names)}
        for obj_id, said in listed.items():
            category, asset = said.get("category"), said.get("asset")
            if not isinstance(category, str) or not category or not isinstance(asset, (str, type(None))):
                raise FormatError(f"{root / 'objects.json'}: object {obj_id}: it needs a category and an asset or null, got {brief(said)}")
            objects[obj_id] = objects.get(obj_id, _unnamed(obj_id))._replace(category=category, asset=asset)
    for given, name in names.items():
        obj_id = int(given)
        objects[obj_id] = objects.get(obj_id, _unnamed(obj_id))._replace(category=name)
    return objects, named


def _id(name: str) -> int | None:
    """The id that a file writes so; None if it is none."""
    return int(name) if name.isascii() and name.isdigit() and len(name) <= 10 and is_id(int(name)) else None


def _unnamed(obj_id: int) -> _Object:
    return _Object(f"obj_{obj_id:06d}", f"obj_{obj_id:06d}")


def _model_box(model: Mapping[str, Any], where: str) -> tuple[F64, F64] | None:
    """Centre and size (3,) of the model's box in the object frame, metres; None if it is not said."""
    if not all(f"{what}_{axis}" in model for what in ("min", "size") for axis in "xyz"):
        return None
    low, size = (np.array([number(model[f"{what}_{axis}"], f"{where}: {what}_{axis}") for axis in "xyz"]) for what in ("min", "size"))
    return (low + size / 2) / MM, size / MM


def _by_number(path: Path, kind: type) -> dict[int, Any]:
    """A file's object with numbers as names and values of `kind`. Raises FormatError."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise FormatError(f"{path} must hold an object by id, got {type(values).__name__}")
    found: dict[int, Any] = {}
    for name, value in values.items():
        number = _id(name)
        if number is None:
            raise FormatError(f"{path}: an id must be a whole number, got {brief(name)}")
        if number in found:
            raise FormatError(f"{path}: id {number} stands twice")
        if not isinstance(value, kind):
            raise FormatError(f"{path}: id {name} must hold {'a list' if kind is list else 'an object'}, got {type(value).__name__}")
        found[number] = value
    return found


class _Entries(NamedTuple):
    """What the three files say of one image; None where they do not name it."""

    camera: Mapping[str, Any] | None
    truth: Sequence[Any] | None
    info: Sequence[Any] | None


def _scene_images(scene: Path) -> dict[int, _Entries]:
    truth = _by_number(inside(scene, "scene_gt.json"), list)
    camera = _by_number(inside(scene, "scene_camera.json"), dict)
    path = inside(scene, "scene_gt_info.json")
    info = _by_number(path, list) if path.exists() else {}
    return {im_id: _Entries(camera.get(im_id), truth.get(im_id), info.get(im_id)) for im_id in {*camera, *truth, *info}}


def _object_ids(images: Mapping[int, _Entries]) -> set[int]:
    found = (entry.get("obj_id") for image in images.values() for entry in image.truth or () if isinstance(entry, dict))
    return {obj_id for obj_id in found if is_id(obj_id)}


def _listing(scene: Path, name: str) -> dict[str, Path]:
    """The pictures in a scene's folder by their names without ending."""
    folder = inside(scene, name)
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES} if folder.is_dir() else {}


def _pictures(scene: Path) -> int:
    """How many pictures a scene has that cannot be read."""
    try:
        return len(_listing(scene, "rgb") or _listing(scene, "gray"))
    except FormatError:
        return 1


def _record(
    scene: Path,
    im_id: int,
    entries: _Entries,
    objects: Mapping[int, _Object],
    files: Mapping[str, Mapping[str, Path]],
    problems: list[str],
) -> Record | None:
    """One sample; None if anything is wrong with it, and then `problems` says what."""
    stem = f"{im_id:06d}"
    try:
        if entries.truth is None:
            raise FormatError("scene_gt.json does not name it: nobody labelled it")
        if entries.camera is None:
            raise FormatError("scene_camera.json does not name it")
        path = files["rgb"].get(stem) or files["gray"].get(stem)
        if path is None:
            raise FormatError(f"there is no picture rgb/{stem}.png (nor .jpg, nor in gray/)")
        picture = read_picture(inside(scene, f"{path.parent.name}/{path.name}"))
        if picture.turned:
            raise FormatError(f"{path}: its orientation mark says that it lies on its side, which BOP has not")
        infos = entries.info if entries.info is not None else [{}] * len(entries.truth)
        if len(infos) != len(entries.truth):
            raise FormatError(f"scene_gt_info.json has {len(infos)} objects, scene_gt.json {len(entries.truth)}")
    except FormatError as error:
        problems.append(str(error))
        return None
    size = (picture.width, picture.height)
    instances: list[Instance] = []
    for i, (truth, info) in enumerate(zip(entries.truth, infos, strict=True)):
        try:
            masks = [_mask(scene, files[name], f"{stem}_{i:06d}", size) for name in ("mask_visib", "mask")]
            for name, mask in zip(("mask_visib", "mask"), masks, strict=True):
                if mask is None and files[name] and _must_have(name, info, entries.camera):
                    raise FormatError(f"{name}/{stem}_{i:06d}.png is missing")
            instances.append(_instance(truth, info, masks[0], masks[1], objects, size))
        except SynthError as error:
            problems.append(f"object {i}: {error}")
    try:
        sample = _sample(scene, stem, entries.camera, picture, files["depth"].get(stem))
    except SynthError as error:
        problems.append(str(error))
    if problems:
        return None
    sample = replace(
        sample, instances=tuple(instances), categories=tuple({o.category: Category(o.category) for o in objects.values()}.values())
    )
    # encoded with an empty picture, which the file's own bytes then replace
    record = encode(sample, Output("png", maps=() if sample.depth_m is None else ("depth",)))
    return replace(record, source="real", image=picture.data, image_format=picture.format)


def _must_have(name: str, info: Any, camera: Mapping[str, Any]) -> bool:
    """Whether an object needs a mask in a scene that has some: in exports of ours, which have a `key`, some have none."""
    return "key" not in camera or (name == "mask_visib" and isinstance(info, dict) and "px_count_visib" in info)


def _sample(scene: Path, stem: str, camera: Mapping[str, Any], picture: Picture, depth: Path | None) -> Sample:
    """The sample without its labels and with an empty picture."""
    split = scene.parent.name
    split = next((name for name in _SPLITS if split.split("_")[0] == name), split)
    depth_m = None
    if depth is not None:
        scale = number(camera.get("depth_scale"), "depth_scale")
        if not 0 < scale <= _MOST_MM_A_STEP:
            raise FormatError(f"depth_scale must be above 0 and at most {_MOST_MM_A_STEP:g}, got {scale:g}")
        values = _plane(scene, depth, (picture.width, picture.height))
        if values.dtype.kind not in "ui" or values.itemsize < 2:
            raise FormatError(f"{depth}: depth must be 16-bit grey, got {values.dtype}")
        depth_m = depth_of(values, scale)
    return Sample(
        image=np.zeros((picture.height, picture.width, 3), np.uint8),
        instances=(),
        categories=(),
        depth_m=depth_m,
        camera=camera_of(camera, picture.width, picture.height) if "cam_K" in camera else None,
        key=f"{scene.parent.name}/{scene.name}/{stem}",
        info=SampleInfo(split=split, group=f"{split}/{scene.name}"),
    )


def _plane(scene: Path, path: Path, size: tuple[int, int]) -> npt.NDArray[Any]:
    """The grey picture (h, w) of a scene, header first."""
    from PIL import Image, UnidentifiedImageError

    data = read_file(inside(scene, f"{path.parent.name}/{path.name}"), MAX_PICTURE_BYTES)
    try:
        with open_picture(data) as image:
            if image.size != size:
                raise FormatError(f"{path} is {image.size[0]}x{image.size[1]}, the picture {size[0]}x{size[1]}")
            values = np.asarray(image)
    except UnidentifiedImageError as error:
        raise FormatError(f"{path}: it is no picture that can be read") from error
    except (OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: it is no picture that can be read: {error}") from error
    if values.ndim != 2:
        raise FormatError(f"{path} must be grey, it has {values.shape[2]} channels")
    return values


def _mask(scene: Path, files: Mapping[str, Path], stem: str, size: tuple[int, int]) -> Bool | None:
    path = files.get(stem)
    return None if path is None else _plane(scene, path, size) > 0


def _instance(
    truth: Any, info: Any, mask: Bool | None, full: Bool | None, objects: Mapping[int, _Object], size: tuple[int, int]
) -> Instance:
    if not isinstance(truth, dict) or not isinstance(info, dict):
        raise FormatError("its entry must be an object")
    obj_id = truth.get("obj_id")
    if not is_id(obj_id):
        raise FormatError(f"obj_id must be a whole number from 0, got {brief(obj_id)}")
    if obj_id not in objects:
        raise FormatError(f"obj_id {obj_id} is not in objects.json; known: {brief(list(objects))}")
    model = objects[obj_id]
    counts = {name: _count(info, name) for name in ("px_count_all", "px_count_visib")}
    box, box_full = box_of(info, "bbox_visib"), box_of(info, "bbox_obj")
    if mask is not None:
        _check_info(info, box, counts["px_count_visib"], mask)
        box = mask_box(mask)
    elif box is not None:
        check_box(box, size, "bbox_visib")
    return Instance(
        category=model.category,
        mask=None if mask is None else Rle.encode(mask),
        mask_full=None if full is None else Rle.encode(full),
        area_px=counts["px_count_visib"] if mask is None else int(mask.sum()),
        box_xyxy=box,
        box_full_xyxy=box_full,
        visible_fraction=_fraction(info, "visib_fract"),
        truncated_fraction=_truncated(info, full, counts["px_count_all"]),
        camera_from_object=rigid_of(truth, "cam_R_m2c", "cam_t_m2c"),
        box3d_object_m=model.box3d_object_m,
        asset=model.asset,
    )


def _check_info(info: Mapping[str, Any], box: Box | None, count: int | None, mask: Bool) -> None:
    """Raise FormatError if scene_gt_info.json tells of another mask: datasets differ by some pixels, not by a tenth or half the box."""
    pixels, tight = int(mask.sum()), mask_box(mask)
    if count is not None and abs(count - pixels) > max(_SLACK_COUNT_PX, _SLACK_COUNT * max(count, pixels)):
        raise FormatError(f"px_count_visib is {count}, its mask has {pixels} pixels")
    told = "bbox_visib" in info and max(pixels, count or 0) > _SLACK_COUNT_PX
    if told and (box is None) != (tight is None):
        raise FormatError(f"bbox_visib is {brief(info['bbox_visib'])}, its mask {'is empty' if tight is None else 'is not'}")
    if told and box is not None and tight is not None and iou(box, tight) < _LEAST_IOU:
        raise FormatError(f"bbox_visib {brief(info['bbox_visib'])} lies elsewhere than its mask, at {brief(box_entry(tight))}")


def _count(info: Mapping[str, Any], name: str) -> int | None:
    value = info.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise FormatError(f"{name} must be a whole number from 0, got {brief(value)}")
    return value


def _fraction(info: Mapping[str, Any], name: str) -> float | None:
    if name not in info:
        return None
    value = number(info[name], name)
    if not 0 <= value <= 1:
        raise FormatError(f"{name} must be in [0, 1], got {value:g}")
    return value


def _truncated(info: Mapping[str, Any], full: Bool | None, whole_px: int | None) -> float | None:
    if "truncated_fraction" in info or full is None or not whole_px:
        return _fraction(info, "truncated_fraction")
    return max(0.0, 1 - int(full.sum()) / whole_px)  # BOP counts both by a renderer of its own: a pixel may be missing
