"""COCO: `annotations.json` with instances and keypoints, pictures in `images/`.

The format: https://cocodataset.org/#format-data. What it means here:

- segmentation: compressed RLE of the visible mask; bbox: [x, y, width, height] of it; area: its pixels.
- keypoints: COCO names pixel centres by whole numbers, so x and y are ours - 0.5; v = 0 is written 0, 0, 0; skeleton counts from 1.
- An instance seen less than `min_visible_fraction` is an `ignore` region: `"iscrowd": 1, "ignore": 1`. pycocotools scores neither hits nor
  misses there (it looks at iscrowd alone), and trainers skip crowds. `below="leave_out"` drops it instead.
- An instance of which nothing shows (an empty mask, or neither mask nor box) cannot be said in COCO and is left out.
- What COCO has no field for (fractions, whole box, rotated box, pose) is in each annotation's `attributes`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import quote

import numpy as np

from synth.errors import ConfigError, FormatError, LabelError
from synth.record import Record, Records
from synth.types import Category, Instance, Keypoints, Origin, Rle

_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_EXTENSION = {"jpeg": "jpg", "png": "png", "webp": "webp"}


@dataclass(frozen=True, slots=True)
class Report:
    """What an export wrote, and what it did not. ignored: written as ignore regions; the others are not in the file."""

    images: int
    annotations: int
    ignored: int
    left_out_hidden: int
    left_out_empty: int

    def __str__(self) -> str:
        text = f"{self.images} images, {self.annotations} annotations"
        for count, what in (
            (self.ignored, "of them marked ignore: seen too little"),
            (self.left_out_hidden, "labels left out: seen too little"),
            (self.left_out_empty, "labels left out: nothing of them shows"),
        ):
            text += f"; {count} {what}" if count else ""
        return text


def export(
    samples: Records,
    out: str | Path,
    *,
    min_visible_fraction: float = 0.1,
    below: Literal["ignore", "leave_out"] = "ignore",
    licences: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Report:
    """Write `samples` to the new folder `out`: whole, or not at all. Pictures are copied as they are, byte for byte.

    licences: names (SPDX where there is one) of what the pictures show. provenance: JSON values for `info`, such as store, ref, version
    and `date_created`; recipes, seeds, renderers and library versions are added from the samples themselves.
    Raises ConfigError if `out` holds something, FormatError if it cannot be written.
    """
    if below not in ("ignore", "leave_out"):
        raise ConfigError(f"coco: below must be 'ignore' or 'leave_out', got '{below}'")
    if not 0 <= min_visible_fraction <= 1:
        raise ConfigError(f"coco: min_visible_fraction must be in [0, 1], got {min_visible_fraction}")
    with _new_folder(Path(out)) as folder:
        writer = _Writer(folder, min_visible_fraction, below, len(licences) == 1)
        with (folder / "images.part").open("w") as images, (folder / "annotations.part").open("w") as annotations:
            for record in samples.records():
                writer.add(record, images, annotations)
        head = {
            "info": {"description": "made with synth", **(provenance or {}), "origins": writer.origins()},
            "licenses": [{"id": i, "name": name, "url": ""} for i, name in enumerate(licences, 1)],
            "categories": [_category(i, c) for i, c in enumerate(writer.categories.values(), 1)],
        }
        with (folder / "annotations.json").open("w") as file:
            file.write(_to_json(head)[:-1])
            for name in ("images", "annotations"):
                file.write(f',\n"{name}": [\n')
                with (folder / f"{name}.part").open() as part:
                    shutil.copyfileobj(part, file)
                (folder / f"{name}.part").unlink()
                file.write("\n]")
            file.write("}\n")
    count = writer.count
    return Report(count["images"], count["annotations"], count["ignored"], count["hidden"], count["empty"])


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes it at the end, or is gone if anything goes wrong."""
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there and not an empty folder; name a new one")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        (part / "images").mkdir(parents=True)
        yield part
        part.replace(out)
    except OSError as error:
        raise FormatError(f"cannot write {out}: {error.strerror or error} ({error.filename}); nothing is left there") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Writer:
    """Turns records into COCO entries, one at a time, and counts."""

    def __init__(self, folder: Path, min_visible_fraction: float, below: str, one_licence: bool) -> None:
        self.folder, self.min_visible_fraction, self.below, self.one_licence = folder, min_visible_fraction, below, one_licence
        self.categories: dict[str, Category] = {}  # in the order they were met; the id is the place, from 1
        self.count: Counter[str] = Counter()
        self._origins: Counter[str] = Counter()

    def add(self, record: Record, images: IO[str], annotations: IO[str]) -> None:
        for category in record.categories:
            known = self.categories.setdefault(category.name, category)
            if known != category:
                raise LabelError(f"sample {record.key}: category '{category.name}' was {known} before and is {category} here")
        name = _file_name(record)
        with (self.folder / "images" / name).open("xb") as file:
            file.write(record.image)
        self.count["images"] += 1
        image = {"id": self.count["images"], "file_name": name, "width": record.width, "height": record.height, "key": record.key}
        if self.one_licence:
            image["license"] = 1
        _append(images, image, first=self.count["images"] == 1)
        if record.origin is not None:
            self._origins[_origin(record.origin)] += 1
        ids = {name: i for i, name in enumerate(self.categories, 1)}
        for instance in record.instances:
            entry = self._annotation(instance)
            if entry is not None:
                self.count["annotations"] += 1
                place = {"id": self.count["annotations"], "image_id": image["id"], "category_id": ids[instance.category]}
                _append(annotations, place | entry, first=self.count["annotations"] == 1)

    def origins(self) -> list[dict[str, Any]]:
        """Each recipe, seed, renderer and set of versions that the pictures come from."""
        return [{**json.loads(text), "images": count} for text, count in self._origins.items()]

    def _annotation(self, instance: Instance) -> dict[str, Any] | None:
        box, area = _box_and_area(instance)
        if box is None:
            self.count["empty"] += 1
            return None
        hidden = instance.visible_fraction is not None and instance.visible_fraction < self.min_visible_fraction
        if hidden and self.below == "leave_out":
            self.count["hidden"] += 1
            return None
        self.count["ignored"] += hidden
        x0, y0, x1, y1 = box
        entry: dict[str, Any] = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": area, "iscrowd": int(hidden), "ignore": int(hidden)}
        if instance.mask is not None:
            entry["segmentation"] = {"size": [instance.mask.height, instance.mask.width], "counts": instance.mask.counts.decode("ascii")}
        if instance.keypoints is not None:
            entry["keypoints"] = _keypoints(instance.keypoints)
            entry["num_keypoints"] = sum(map(bool, entry["keypoints"][2::3]))
        attributes = _attributes(instance)
        return entry | ({"attributes": attributes} if attributes else {})


def _append(file: IO[str], entry: Mapping[str, Any], first: bool) -> None:
    file.write(("" if first else ",\n") + _to_json(entry))


def _file_name(record: Record) -> str:
    """The key as a file name; what a file system could take for a path is written %XX."""
    name = quote(record.key, safe="")
    return f"{'%2E' + name[1:] if name.startswith('.') else name}.{_EXTENSION[record.image_format]}"


def _origin(origin: Origin) -> str:
    values = {"recipe": origin.recipe, "scene": origin.scene, "seed": origin.seed, "renderer": origin.renderer}
    return json.dumps({**values, "versions": dict(origin.versions)}, sort_keys=True)


def _category(number: int, category: Category) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "name": category.name, "supercategory": ""}
    if category.keypoints:
        place = {name: i for i, name in enumerate(category.keypoints, 1)}
        entry["keypoints"] = list(category.keypoints)
        entry["skeleton"] = [[place[a], place[b]] for a, b in category.skeleton]
    return entry


def _box_and_area(instance: Instance) -> tuple[tuple[float, float, float, float] | None, float]:
    """The visible box and area, from the mask where they are not given; None if nothing of it shows."""
    box, area, mask = instance.box_xyxy, instance.area_px, instance.mask
    if mask is not None and (box is None or area is None):
        measured, area = _measured(mask)
        box = measured if box is None else box
    if box is None or area == 0:
        return None, 0
    return box, float((box[2] - box[0]) * (box[3] - box[1])) if area is None else area


def _measured(mask: Rle) -> tuple[tuple[float, float, float, float] | None, int]:
    from pycocotools import mask as coco

    rle = {"size": [mask.height, mask.width], "counts": mask.counts}
    area = int(coco.area(rle))
    x, y, width, height = coco.toBbox(rle).tolist()
    return ((x, y, x + width, y + height) if area else None), area


def _keypoints(keypoints: Keypoints) -> list[float]:
    flat: list[float] = []
    for (x, y), v in zip(keypoints.xy.tolist(), keypoints.v.tolist(), strict=True):
        flat += (x - 0.5, y - 0.5, v) if v else (0, 0, 0)
    return flat


def _attributes(instance: Instance) -> dict[str, Any]:
    obb, box3d, points = instance.obb, instance.box3d_object_m, instance.keypoints
    values = {
        "visible_fraction": instance.visible_fraction,
        "truncated_fraction": instance.truncated_fraction,
        "box_full_xyxy": instance.box_full_xyxy,
        "obb_cxcywha": None if obb is None else (obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad),
        "camera_from_object": None if instance.camera_from_object is None else np.asarray(instance.camera_from_object).tolist(),
        "box3d_object_m": None if box3d is None else np.asarray(box3d).tolist(),
        "keypoints_xyz_m": None if points is None or points.xyz_m is None else points.xyz_m.tolist(),
        "asset": instance.asset,
    }
    return {name: value for name, value in values.items() if value is not None}
