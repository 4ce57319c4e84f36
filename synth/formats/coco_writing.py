"""Writes COCO; synth/formats/coco.py says what the fields mean."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth.formats import writing
from synth.formats.coco_entries import MARK, annotation_entry, category_entry, info_entry
from synth.formats.writing import Session, Shown
from synth.record import Record
from synth.types import Category, Origin

_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: `annotations.json` and `images/`."""

    name = "coco"
    holds = frozenset({
        "mask", "mask_full", "area_px", "box_xyxy", "box_full_xyxy", "obb", "visible_fraction", "truncated_fraction", "keypoints",
        "keypoints.v", "keypoints.xyz_m", "camera_from_object", "box3d_object_m", "asset", "crowd", "attributes", "info.dataset",
        "info.split", "info.group", "info.licence", "info.annotator", "info.classes", "info.attributes",
        "category.mirror", "category.skeleton", "category.sigmas",
    })  # fmt: skip
    can_ignore = True

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(self, folder, categories)


class _Session(writing.Session):
    """Turns records into COCO entries, one at a time."""

    def __init__(self, options: Writer, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.options = options
        self._licences = {name: i for i, name in enumerate(dict.fromkeys(options.licences), 1)}
        self._shared_licence = 1 if len(self._licences) == 1 else None  # of pictures that do not say
        self._origins: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        (folder / "images").mkdir()
        self._parts = {name: self.open(f"{name}.part") for name in ("images", "annotations")}

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        name = self.names.picture(record)
        (self.folder / "images" / name).write_bytes(record.image)
        image = {"file_name": name, "width": record.width, "height": record.height, "key": record.key}
        licence = record.info.licence
        number = self._shared_licence if licence is None else self._licences.setdefault(licence, len(self._licences) + 1)
        if number is not None:
            image["license"] = number
        info = info_entry(record.info)
        image_id = self._append("images", image | ({"info": info} if info else {}))
        if record.origin is not None:
            self._origins[_origin(record.origin)] += 1
        ids = {name: i for i, name in enumerate(self.categories, 1)}
        for one in shown:
            self._append("annotations", {"image_id": image_id, "category_id": ids[one.instance.category]} | annotation_entry(one))

    def close(self) -> None:
        head = {
            "info": {"description": "made with synth", **(self.options.provenance or {}), "origins": self._all_origins(), MARK: 1},
            "licenses": [{"id": i, "name": name, "url": ""} for name, i in self._licences.items()],
            "categories": [category_entry(i, c) for i, c in enumerate(self.categories.values(), 1)],
        }
        with (self.folder / "annotations.json").open("w", encoding="utf-8") as file:
            file.write(_to_json(head)[:-1])
            for name, part in self._parts.items():
                part.close()
                file.write(f',\n"{name}": [\n')
                with Path(part.name).open(encoding="utf-8") as written:
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


def _origin(origin: Origin) -> str:
    values = {"recipe": origin.recipe, "scene": origin.scene, "seed": origin.seed, "renderer": origin.renderer}
    return json.dumps({**values, "versions": dict(origin.versions)}, sort_keys=True)
