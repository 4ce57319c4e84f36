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
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth.formats import writing
from synth.formats.writing import Session, Shown
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Origin

_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: `annotations.json` and `images/`."""

    name = "coco"
    holds = frozenset({
        "mask", "area_px", "box_xyxy", "box_full_xyxy", "obb", "visible_fraction", "truncated_fraction", "keypoints", "keypoints.v",
        "keypoints.xyz_m", "camera_from_object", "box3d_object_m", "asset", "crowd", "attributes",
    })  # fmt: skip
    can_ignore = True

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(self, folder, categories)


class _Session(writing.Session):
    """Turns records into COCO entries, one at a time."""

    def __init__(self, options: Writer, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.options = options
        self._origins: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        (folder / "images").mkdir()
        self._parts = {name: self.open(f"{name}.part") for name in ("images", "annotations")}

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        name = self.names.picture(record)
        (self.folder / "images" / name).write_bytes(record.image)
        image = {"file_name": name, "width": record.width, "height": record.height, "key": record.key}
        if len(self.options.licences) == 1:
            image["license"] = 1
        image_id = self._append("images", image)
        if record.origin is not None:
            self._origins[_origin(record.origin)] += 1
        ids = {name: i for i, name in enumerate(self.categories, 1)}
        for one in shown:
            self._append("annotations", {"image_id": image_id, "category_id": ids[one.instance.category]} | _annotation(one))

    def close(self) -> None:
        head = {
            "info": {"description": "made with synth", **(self.options.provenance or {}), "origins": self._all_origins()},
            "licenses": [{"id": i, "name": name, "url": ""} for i, name in enumerate(self.options.licences, 1)],
            "categories": [_category(i, c) for i, c in enumerate(self.categories.values(), 1)],
        }
        with (self.folder / "annotations.json").open("w") as file:
            file.write(_to_json(head)[:-1])
            for name, part in self._parts.items():
                part.close()
                file.write(f',\n"{name}": [\n')
                with Path(part.name).open() as written:
                    shutil.copyfileobj(written, file)
                Path(part.name).unlink()
                file.write("\n]")
            file.write("}\n")

    def _append(self, part: str, entry: Mapping[str, Any]) -> int:
        """Write one entry and return its id."""
        self._count[part] += 1
        self._parts[part].write(("" if self._count[part] == 1 else ",\n") + _to_json({"id": self._count[part], **entry}))
        return self._count[part]

    def _all_origins(self) -> list[dict[str, Any]]:
        """Each recipe, seed, renderer and set of versions that the pictures come from."""
        return [{**json.loads(text), "images": count} for text, count in self._origins.items()]


def _annotation(one: Shown) -> dict[str, Any]:
    assert one.box_xyxy is not None  # this writer keeps no empty ones
    instance, (x0, y0, x1, y1) = one.instance, one.box_xyxy
    crowd = int(one.ignored or bool(instance.crowd))
    entry: dict[str, Any] = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": one.area_px, "iscrowd": crowd, "ignore": int(one.ignored)}
    if instance.mask is not None:
        entry["segmentation"] = {"size": [instance.mask.height, instance.mask.width], "counts": instance.mask.counts.decode("ascii")}
    if instance.keypoints is not None:
        entry["keypoints"] = _keypoints(instance.keypoints)
        entry["num_keypoints"] = sum(map(bool, entry["keypoints"][2::3]))
    attributes = _attributes(instance)
    return entry | ({"attributes": attributes} if attributes else {})


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
    return {name: value for name, value in values.items() if value is not None} | dict(instance.attributes or {})
