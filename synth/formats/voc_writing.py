"""The writer of Pascal VOC; what its parts mean is in `voc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np

from synth.formats import writing, xml
from synth.formats.voc_masks import VOID, palette, write_indices
from synth.formats.writing import Box, Session, Shown
from synth.record import Record
from synth.types import Category, Instance

_FLAGS = ("truncated", "difficult", "occluded")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`, with lists of the splits, and masks where there are any.

    labelmap.txt, which CVAT reads: name and colour of each class in SegmentationClass.
    """

    name = "voc"
    holds = frozenset({"mask", "box_xyxy", "attributes", "info.split"})
    can_ignore = True
    keeps_unused = False

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(folder, categories)


class _Session(writing.Session):
    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        self._lists: dict[str, IO[str]] = {}
        self._masks = False

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        picture = self.names.picture(record)
        stem = picture.rpartition(".")[0]
        (self.folder / "JPEGImages" / picture).write_bytes(record.image)
        boxed: list[tuple[Shown, Box]] = []
        written: set[tuple[str, Any]] = set()
        for one in shown:
            box = _cut(one, record.size)
            self.lost["box_xyxy"] += box is None or _is_cut(one, box)
            if box is None:
                continue
            said = (_object(one, box), one.instance.mask)
            self.lost["equal objects"] += said in written
            if said not in written:
                boxed.append((one, box))
                written.add(said)
        self.lost["info.split"] += record.info.split == ""
        segmented = self._write_masks(stem, record, [one.instance for one, _ in boxed])
        size = [xml.element(name, str(value)) for name, value in (("width", record.width), ("height", record.height), ("depth", 3))]
        parts = [xml.element("folder", "JPEGImages"), xml.element("filename", picture), xml.element("size", size)]
        parts += [xml.element("segmented", str(int(segmented))), *(_object(one, box) for one, box in boxed)]
        (self.folder / "Annotations" / f"{stem}.xml").write_text(xml.element("annotation", parts) + "\n", encoding="utf-8")
        self._list("Main", record.info.split, stem)
        if segmented:
            self._list("Segmentation", record.info.split, stem)

    def close(self) -> None:
        if self._masks:
            colours = palette().tolist()
            names = ["background", *(name.replace("\n", " ") for name in self.categories)][:VOID]
            lines = [f"{name}:{','.join(map(str, colours[index]))}::\n" for index, name in enumerate(names)]
            (self.folder / "labelmap.txt").write_text("".join(["# label:color_rgb:parts:actions\n", *lines]), encoding="utf-8")

    def _list(self, kind: str, split: str | None, stem: str) -> None:
        stem_of_list = "%64efault" if split == "default" else quote(split or "default", safe=" ")  # `default` is of those without a split
        name = f"ImageSets/{kind}/{stem_of_list}.txt"
        if name not in self._lists:
            (self.folder / name).parent.mkdir(exist_ok=True)
            self._lists[name] = self.open(name)
        self._lists[name].write(f"{stem}\n")

    def _write_masks(self, stem: str, record: Record, instances: Sequence[Instance]) -> bool:
        """Write the masks, each pixel to the first instance that has it. Returns whether there are any."""
        if all(instance.mask is None for instance in instances):
            return False
        objects, classes = np.zeros((2, record.height, record.width), np.uint8)
        class_of = {name: index for index, name in enumerate(self.categories, 1)}
        for index, instance in enumerate(instances, 1):
            if instance.mask is None:
                continue
            mask = instance.mask.decode()
            if max(index, class_of[instance.category]) >= VOID or (objects[mask] != 0).any():
                self.lost["mask"] += 1
            if max(index, class_of[instance.category]) < VOID:
                mask &= objects == 0
                objects[mask], classes[mask] = index, class_of[instance.category]
        for kind, indices in (("SegmentationObject", objects), ("SegmentationClass", classes)):
            (self.folder / kind).mkdir(exist_ok=True)
            write_indices(self.folder / kind / f"{stem}.png", indices)
        self._masks = True
        return True


def _cut(one: Shown, size: tuple[int, int]) -> Box | None:
    """Its box within the picture."""
    assert one.box_xyxy is not None  # this writer keeps no empty ones
    x0, y0, x1, y1 = one.box_xyxy
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _is_cut(one: Shown, box: Box) -> bool:
    return one.box_xyxy is not None and max(abs(a - b) for a, b in zip(one.box_xyxy, box, strict=True)) > 1e-6


def _object(one: Shown, box: Box) -> str:
    others = dict(one.instance.attributes or {})
    flags = {name: others.get(name) is True for name in _FLAGS}
    pose = others.get("pose")
    pose = pose if isinstance(pose, str) and pose == pose.strip() and pose.lower() not in ("", "unspecified") else "Unspecified"
    for name in [name for name, value in others.items() if flags.get(name) or (name, value) == ("pose", pose)]:
        del others[name]
    flags["difficult"] |= one.ignored
    flags["truncated"] |= "truncated" not in others and (one.instance.truncated_fraction or 0) > 0
    edges = (box[0] + 1, box[1] + 1, box[2], box[3])
    return xml.element("object", [
        xml.element("name", one.instance.category),
        xml.element("pose", pose),
        *(xml.element(name, str(int(value))) for name, value in flags.items()),
        xml.element("bndbox", [xml.element(name, _digits(value)) for name, value in zip(_EDGES, edges, strict=True)]),
        *([xml.element("attributes", list(map(_attribute, others.items())))] if others else []),
    ])  # fmt: skip


def _attribute(item: tuple[str, Any]) -> str:
    return xml.element("attribute", [xml.element("name", item[0]), xml.element("value", xml.text_of(item[1]))])


def _digits(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
