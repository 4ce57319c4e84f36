"""The writer of CVAT for images; what its parts mean is in `cvat`."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np

from synth.formats import writing, xml
from synth.formats.cvat_labels import write_meta
from synth.formats.exports import sayable
from synth.formats.writing import Box, Session, Shown, box_and_area
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Obb, Rle

_Drawn: TypeAlias = tuple[str, dict[str, Any], list[str]]
_SOURCES = ("auto", "semi-auto", "file", "consensus")


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: `annotations.xml` and `images/`."""

    name = "cvat"
    holds = frozenset({
        "mask", "box_xyxy", "obb", "keypoints", "keypoints.v", "category.skeleton", "attributes",
        "info.split", "info.classes", "info.annotator",
    })  # fmt: skip
    keeps_empty = True  # of which only a rotated box, points or a line are known

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(folder, categories)

    def _shown(self, record: Record, count: Counter[str]) -> Iterator[Shown]:
        return sayable(super()._shown(record, count), _has_shape, count)


class _Session(writing.Session):
    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self._part = self.open("images.part")
        self._count = 0
        self._types: dict[tuple[str, str], str] = {}  # input_type by label and attribute
        self._annotators: dict[str, int] = {}
        self._classes: dict[str, None] = {}

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        info = record.info
        split = info.split or None
        self.lost["info.split"] += int(info.split in ("", "default"))
        picture = self.names.picture(record)
        folder = self.folder / "images" / _folder_name(split)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / picture).write_bytes(record.image)
        task = self._annotators.setdefault(info.annotator, len(self._annotators) + 1) if info.annotator else None
        taken = [value for one in shown if isinstance(value := (one.instance.attributes or {}).get("group_id"), int)]
        next_group = max(taken, default=0) + 1
        self._classes |= dict.fromkeys(info.classes or ())
        shapes = [xml.element("tag", label=name, source="manual") for name in info.classes or ()]
        written: set[str] = set()
        for one in shown:
            parts = self._shapes(one.instance, next_group, record.source == "synthetic")
            next_group += len(parts) > 1
            equal = len(parts) == 1 and parts[0] in written
            self.lost["equal objects"] += equal
            written.update(parts)
            shapes += [] if equal else parts
        image = xml.element(
            "image", shapes, id=self._count, name=picture, subset=split, task_id=task, width=record.width, height=record.height
        )
        self._part.write(image + "\n")
        self._count += 1

    def close(self) -> None:
        self._part.close()
        tags = [name for name in self._classes if name not in self.categories]
        meta = write_meta(list(self.categories.values()), tags, self._types, list(self._annotators))
        with (self.folder / "annotations.xml").open("w", encoding="utf-8") as file:
            file.write(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{meta}\n')
            with Path(self._part.name).open(encoding="utf-8") as part:
                shutil.copyfileobj(part, file)
            file.write("</annotations>\n")
        Path(self._part.name).unlink()

    def _shapes(self, instance: Instance, group: int, measured: bool) -> list[str]:
        """The shapes of an instance, in `group` if there are several. What is said of all of it stands at the first. measured: whether a
        rotated box beside a mask was measured from that."""
        attributes = dict(instance.attributes or {})
        drawn = self._drawn(instance, attributes, measured)
        first = _known(attributes, alone=len(drawn) < 2)
        other = {"source": "manual", "occluded": 0, "z_order": first["z_order"]}
        own = [xml.element("attribute", self._value(instance.category, *item), name=item[0]) for item in attributes.items()]
        shapes = []
        for place, (tag, geometry, inner) in enumerate(drawn):
            said = {**(other if place else first), **({"group_id": group} if len(drawn) > 1 else {}), **geometry}
            shapes.append(xml.element(tag, [*inner, *([] if place else own)], label=instance.category, **said))
        return shapes

    def _drawn(self, instance: Instance, attributes: dict[str, Any], measured: bool) -> list[_Drawn]:
        """Each shape's tag, geometry and inner elements; a line is taken from `attributes`."""
        drawn: list[_Drawn] = []
        box_of_mask = None if instance.mask is None else box_and_area(Instance(instance.category, instance.mask))[0]
        if instance.mask is not None and box_of_mask is not None:
            drawn.append(("mask", _runs(instance.mask, box_of_mask), []))
        self.lost["mask"] += int(instance.mask is not None and box_of_mask is None)
        if instance.obb is not None and not (measured and instance.mask is not None):
            drawn.append(("box", _rotated(instance.obb), []))
        if instance.box_xyxy is not None and instance.box_xyxy != box_of_mask:
            drawn.append(("box", _edges(instance.box_xyxy), []))
        if instance.keypoints is not None:
            drawn.append(("skeleton", {}, _points(instance.keypoints, self.categories[instance.category])))
        if _is_line(attributes.get("polyline_xy")):
            drawn.append(("polyline", {"points": _pairs(attributes.pop("polyline_xy"))}, []))
        return drawn

    def _value(self, label: str, name: str, value: Any) -> str:
        """An attribute's text; its type goes to <meta>."""
        kind = "checkbox" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "text"
        if self._types.setdefault((label, name), kind) != kind:
            self._types[label, name] = "text"
        return value if isinstance(value, str) else xml.text_of(value)


def _has_shape(one: Shown) -> bool:
    """Whether there is anything to draw."""
    instance = one.instance
    drawn = instance.box_xyxy is not None or instance.obb is not None or instance.keypoints is not None
    masked = instance.mask is not None and box_and_area(Instance(instance.category, instance.mask))[0] is not None
    return drawn or masked or _is_line((instance.attributes or {}).get("polyline_xy"))


def _known(attributes: dict[str, Any], alone: bool) -> dict[str, Any]:
    """What CVAT has a place for, taken from `attributes`. alone: the instance is one shape, so it may be in a group of others."""
    said: dict[str, Any] = {"source": "manual", "occluded": 0, "z_order": 0}
    if attributes.get("occluded") is True:
        said["occluded"] = int(attributes.pop("occluded"))
    if attributes.get("source") in _SOURCES:
        said["source"] = attributes.pop("source")
    for name in ("z_order", *(["group_id"] if alone else [])):
        value = attributes.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and (value > 0 or (value and name == "z_order")) and abs(value) < 1 << 31:
            said[name] = attributes.pop(name)
    return said


def _folder_name(split: str | None) -> str:
    """Where the pictures of a split lie; '' for those of a split that is no good name of a folder."""
    name = quote(split or "", safe=" ")
    return "" if name.startswith(".") or len(name) > 200 else name


def _edges(box: Box) -> dict[str, Any]:
    return dict(zip(("xtl", "ytl", "xbr", "ybr"), map(repr, map(float, box)), strict=True))


def _rotated(obb: Obb) -> dict[str, Any]:
    half_width, half_height = obb.width / 2, obb.height / 2
    box = (obb.center_x - half_width, obb.center_y - half_height, obb.center_x + half_width, obb.center_y + half_height)
    return {**_edges(box), "rotation": repr(math.degrees(obb.angle_rad))}


def _runs(mask: Rle, box: Box) -> dict[str, Any]:
    """The pixels of the mask's box as run lengths along its rows."""
    x0, y0, x1, y1 = map(int, box)
    pixels = mask.decode()[y0:y1, x0:x1].ravel()
    ends = np.flatnonzero(np.diff(pixels, prepend=False)).tolist()
    runs = np.diff([0, *ends, pixels.size]).tolist()
    return {"rle": ", ".join(map(str, runs)), "left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0}


def _points(keypoints: Keypoints, category: Category) -> list[str]:
    return [
        xml.element("points", label=name, source="manual", outside=int(v == 0), occluded=int(v == 1), points=_pairs([xy]))
        for name, xy, v in zip(category.keypoints, keypoints.xy.tolist(), keypoints.v.tolist(), strict=True)
    ]


def _is_line(value: Any) -> bool:
    """Whether it is [[x, y], ...] in px."""
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(
            isinstance(xy, (list, tuple)) and len(xy) == 2 and all(isinstance(v, (int, float)) and math.isfinite(v) for v in xy)
            for xy in value
        )
    )


def _pairs(xy: Sequence[Sequence[float]]) -> str:
    return ";".join(f"{float(x)!r},{float(y)!r}" for x, y in xy)
