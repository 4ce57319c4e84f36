"""Writes a BOP dataset; what its files mean is in synth.formats.bop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.errors import ConfigError, FormatError, known_names
from synth.formats import writing
from synth.formats.bop_laws import NO_BOX, box_entry, camera_entry, depth_steps, is_id, mask_box, rigid_entry
from synth.formats.reading import brief
from synth.formats.writing import EXTENSION, Box, Shown
from synth.record import Output, Record, decode, decode_image, encode_image
from synth.types import F32, Bool, Category, Instance

_FILES = ("scene_camera", "scene_gt", "scene_gt_info")
_to_json = json.JSONEncoder(allow_nan=False, separators=(", ", ": ")).encode


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: a folder for each split, scenes in it, `objects.json` beside them.

    object_ids: BOP's id by asset, or by category where there is no asset; else they are numbered as they come, from 1. default_split:
    the folder of samples without a split. scene_images: of a scene made of samples without a group.
    """

    object_ids: Mapping[str, int] | None = None
    default_split: str = "train"
    scene_images: int = 1000

    name = "bop"
    holds = frozenset({
        "mask", "mask_full", "box_xyxy", "visible_fraction", "truncated_fraction", "camera_from_object", "asset", "camera", "depth",
        "info.split", "info.group",
    })  # fmt: skip
    can_ignore = True
    keeps_empty = True
    keeps_unused = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ids, images = self.object_ids, self.scene_images
        if ids is not None and not (isinstance(ids, Mapping) and all(isinstance(n, str) and is_id(i) for n, i in ids.items())):
            raise ConfigError(f"bop: object_ids must be whole numbers from 0 by name, got {brief(ids)}")
        if not isinstance(self.default_split, str) or not _is_folder(self.default_split):
            raise ConfigError(f"bop: default_split must be a folder's name and no number, got {brief(self.default_split)}")
        if isinstance(images, bool) or not isinstance(images, int) or images < 1:
            raise ConfigError(f"bop: scene_images must be a whole number from 1, got {brief(images)}")

    def session(self, folder: Path, categories: Mapping[str, Category]) -> writing.Session:
        return _Session(self, folder, categories)


class _Session(writing.Session):
    """Appends each sample to its scene's three files, so that nothing is kept in memory but the scenes' lengths."""

    def __init__(self, options: Writer, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.options = options
        self._ids: dict[tuple[str, str | None], int] = {}
        self._groups: dict[tuple[str, str | None], Path] = {}
        self._lengths: dict[Path, int] = {}
        self._scenes_of: dict[str, int] = {}

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        scene = self._scene(record)
        im_id = self._lengths[scene]
        self._lengths[scene] += 1
        stem = f"{im_id:06d}"
        data, ending = record.image, EXTENSION[record.image_format]
        if ending == "webp":  # BOP's readers know PNG and JPEG
            data, ending = encode_image(decode_image(data, (record.height, record.width)), Output("png")), "png"
        (scene / "rgb" / f"{stem}.{ending}").write_bytes(data)
        camera: dict[str, Any] = {"key": record.key} | ({} if record.camera is None else camera_entry(record.camera))
        depth_m = None if record.depth is None else decode(replace(record, normals=None)).depth_m
        if depth_m is not None:
            camera["depth_scale"], steps = depth_steps(depth_m, record.key)
            _write_png(scene / "depth" / f"{stem}.png", steps)
        truths, infos = [], []
        for i, one in enumerate(shown):
            instance = one.instance
            masks = [None if rle is None else rle.decode() for rle in (instance.mask, instance.mask_full)]
            for name, mask in zip(("mask_visib", "mask"), masks, strict=True):
                if mask is not None:
                    _write_png(scene / name / f"{stem}_{i:06d}.png", mask.astype(np.uint8) * 255)
            pose = {} if instance.camera_from_object is None else rigid_entry(instance.camera_from_object, "cam_R_m2c", "cam_t_m2c")
            truths.append({"obj_id": self._object_id(instance, record.key)} | pose)
            infos.append(_info(one, masks[0], masks[1], depth_m))
        for name, entry in zip(_FILES, (camera, truths, infos), strict=True):
            with (scene / f"{name}.json").open("a") as file:
                file.write(f'{"," if im_id else "{"}\n  "{im_id}": {_to_json(entry)}')

    def close(self) -> None:
        for scene in self._lengths:
            for name in _FILES:
                with (scene / f"{name}.json").open("a") as file:
                    file.write("\n}\n")
        objects = {str(i): {"category": category, "asset": asset} for (category, asset), i in self._ids.items()}
        (self.folder / "objects.json").write_text(json.dumps(objects, indent=1) + "\n")

    def _scene(self, record: Record) -> Path:
        """The folder of the sample's scene: its group's, or one that is not full yet."""
        split = record.info.split or self.options.default_split
        if not _is_folder(split):
            raise FormatError(f"sample {record.key}: the split '{split}' cannot be a folder of BOP; rename it")
        group = (split, record.info.group)
        scene = self._groups.get(group)
        if scene is None or (record.info.group is None and self._lengths[scene] >= self.options.scene_images):
            self._scenes_of[split] = self._scenes_of.get(split, 0) + 1
            scene = self._groups[group] = self.folder / split / f"{self._scenes_of[split]:06d}"
            for name in ("rgb", "depth", "mask", "mask_visib"):
                (scene / name).mkdir(parents=True)
            self._lengths[scene] = 0
        return scene

    def _object_id(self, instance: Instance, key: str) -> int:
        pair = (instance.category, instance.asset)
        if pair not in self._ids:
            given, name = self.options.object_ids, instance.asset or instance.category
            if given is not None and name not in given:
                raise FormatError(f"sample {key}: object_ids: {known_names('object', name, given)}")
            obj_id = len(self._ids) + 1 if given is None else given[name]
            if obj_id in self._ids.values():
                raise FormatError(f"sample {key}: object_ids gives {obj_id} to '{name}' of category '{instance.category}' and to another")
            self._ids[pair] = obj_id
        return self._ids[pair]


def _is_folder(split: str) -> bool:
    """Whether a split can be a folder beside the scenes' numbers."""
    return bool(split) and not split.startswith(".") and not set(split) & {"/", "\0"} and not split.isdigit()


def _write_png(path: Path, values: npt.NDArray[Any]) -> None:
    import cv2

    _, data = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    path.write_bytes(bytes(data))


def _info(one: Shown, mask: Bool | None, full: Bool | None, depth_m: F32 | None) -> dict[str, Any]:
    """BOP's counts and boxes, those that are known."""
    instance = one.instance
    hidden = mask is not None and not mask.any()
    box = one.box_xyxy if mask is None else mask_box(mask)
    whole = _whole_box(instance, full)
    values = {
        "px_count_all": _whole_px(instance, full),
        "px_count_valid": None if full is None or depth_m is None else int((full & np.isfinite(depth_m)).sum()),
        "px_count_visib": None if mask is None else int(mask.sum()),
        "visib_fract": instance.visible_fraction,
        "truncated_fraction": instance.truncated_fraction,
        "bbox_visib": NO_BOX if hidden else None if box is None else box_entry(box),
        "bbox_obj": NO_BOX if hidden else None if whole is None else box_entry(whole),
    }
    return {name: value for name, value in values.items() if value is not None}


def _whole_px(instance: Instance, full: Bool | None) -> int | None:
    """Pixels of the whole silhouette, from the fractions: its part in the frame, or what shows, is a known share of it."""
    if full is not None and instance.truncated_fraction is not None and instance.truncated_fraction < 1:
        return round(int(full.sum()) / (1 - instance.truncated_fraction))
    if instance.area_px and instance.visible_fraction:
        return round(instance.area_px / instance.visible_fraction)
    return None


def _whole_box(instance: Instance, full: Bool | None) -> Box | None:
    """The box of the pixels of the whole silhouette: of those whose centre lies in box_full_xyxy where it leaves the frame."""
    if full is not None and instance.truncated_fraction == 0:
        return mask_box(full)
    if instance.box_full_xyxy is None:
        return None
    x0, y0, x1, y1 = np.ceil(np.array(instance.box_full_xyxy) - 0.5).tolist()
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
