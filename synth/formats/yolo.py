"""YOLO as Ultralytics reads it: `data.yaml`, pictures in `images/`, for each a text file of the same name in `labels/`, one row an object.

The format: https://docs.ultralytics.com/datasets/. What it means here:

- Coordinates are shares of the (upright) picture's width and height: x px = x * width, for keypoints as for corners, in this project's
  law, where pixel centres are at +0.5. YOLO itself does not say; datasets that were made from COCO without a shift are half a pixel off.
- detect: class, then centre and size of the box. pose: the same, then x y v (or x y, where 0 0 is absent and all else seen) of each
  keypoint; v = 0 is read and written as 0 0 0. segment: class, then a polygon. obb: class, then four corners.
- A polygon becomes the pixels whose centres it holds (even-odd); box and area are the mask's. A mask is written as one ring along its
  pixels' edges, parts and holes joined by bridges without area; reading it gives the same mask.
- Corners that are no rectangle become the rectangle of least area around them (yolo_read._obb). Corners may lie outside the picture.
- A picture without a label file, or with an empty one, has no objects; a split without any label file is a fault, not background.
- flip_idx is Category.mirror; kpt_names holds keypoint names by class, none for a class without keypoints, whose rows then have zeros.
  Classes must agree in the number of keypoints and in flip_idx. An object of a class with keypoints but without labels for them has
  zeros too, and comes back with v = 0. Skeleton and sigmas are not kept.
- Crowds and ignored regions cannot be said: a crowd is written as one object, and counted as lost.

Ultralytics leaves out a picture when a box leaves it, so boxes and keypoints that overshoot are cut to the picture; it also leaves one out
when the upright box around a rotated one is larger than the picture, which is not changed here. It keeps one of several equal rows: these
are written once and counted as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import numpy as np
import yaml

from synth import polygons
from synth.annotate import mask_corners
from synth.errors import ConfigError, FormatError
from synth.formats import writing
from synth.formats.writing import Session, Shown
from synth.formats.yolo_read import Reader, Task
from synth.formats.yolo_told import WORDS
from synth.geometry import least_area_rectangle
from synth.record import Record
from synth.types import Category, Instance, Rle

__all__ = ["Reader", "Task", "Writer"]

_HOLDS: dict[Task, frozenset[str]] = {
    "detect": frozenset({"box_xyxy", "info.split"}),
    "segment": frozenset({"mask", "info.split"}),
    "pose": frozenset({"box_xyxy", "keypoints", "keypoints.v", "category.mirror", "info.split"}),
    "obb": frozenset({"obb", "info.split"}),
}
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: data.yaml, images/SPLIT and labels/SPLIT by the samples' split (`train` where they have none).
    All paths in it are relative, so it can be moved. task: what is written of each object."""

    task: Task = "detect"

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ConfigError(f"yolo: task must be one of {', '.join(get_args(Task))}, got '{self.task}'")
        super().__post_init__()

    @property
    def name(self) -> str:  # type: ignore[override]
        """As on the command line."""
        return "yolo" if self.task == "detect" else f"yolo-{self.task}"

    @property
    def holds(self) -> frozenset[str]:  # type: ignore[override]
        """By task."""
        return _HOLDS[self.task]

    @property
    def keeps_empty(self) -> bool:  # type: ignore[override]
        """A rotated box needs no upright one."""
        return self.task == "obb"

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(self, folder, categories)

    def _shown(self, record: Record, count: Any) -> Iterator[Shown]:
        for one in super()._shown(record, count):
            if one.box_xyxy is None and one.instance.obb is None:
                writing.count_unsaid(one.instance, count)
            else:
                yield one


class _Session(writing.Session):
    def __init__(self, options: Writer, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.options = options
        self._folders: dict[str, str] = {}
        self._layout: Category | None = None  # the first category with keypoints: all have as many, mirrored alike
        self._short: list[Path] = []  # label files written before that was met

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        folder = self._split_folder(record)
        name = self.names.picture(record)
        self._layout = _common_layout(self._layout, record.categories) if self.options.task == "pose" else None
        ids = {name: i for i, name in enumerate(self.categories)}
        rows: dict[str, None] = {}  # in order
        for one in shown:
            row = f"{ids[one.instance.category]} {self._row(one, record)}\n"
            self.lost["equal rows"] += row in rows
            rows[row] = None
        (self.folder / "images" / folder / name).write_bytes(record.image)
        labels = self.folder / "labels" / folder / f"{Path(name).stem}.txt"
        labels.write_text("".join(rows), encoding="utf-8")
        if self.options.task == "pose" and self._layout is None and rows:
            self._short.append(labels)

    def close(self) -> None:
        names = sorted(self._folders, key=lambda split: _SPLITS.index(split) if split in _SPLITS else len(_SPLITS))
        told: dict[str, Any] = {split: f"images/{self._folders[split]}" for split in names}
        told |= {"nc": len(self.categories), "names": dict(enumerate(self.categories))}
        if self.options.task == "pose":
            told |= self._pose()
        if self.options.licences:
            told["licences"] = list(self.options.licences)
        if self.options.provenance:
            told["provenance"] = dict(self.options.provenance)
        missing = " and ".join(split for split in ("train", "val") if split not in self._folders)
        with (self.folder / "data.yaml").open("w", encoding="utf-8") as file:
            file.write("# made with synth; paths are relative to this file\n")
            file.write(f"# Ultralytics needs train and val; no sample was of {missing}\n" if missing else "")
            yaml.dump(told, file, _Dumper, sort_keys=False, allow_unicode=True, width=140)

    def _split_folder(self, record: Record) -> str:
        split = record.info.split or "train"
        if split not in self._folders:
            if split in WORDS:
                raise FormatError(f"sample {record.key}: the split '{split}' means something else in data.yaml; name it otherwise")
            folder = quote(split, safe=" ")
            folder = f"%2E{folder[1:]}" if folder.startswith(".") else folder
            for part in ("images", "labels"):
                (self.folder / part / folder).mkdir(parents=True, exist_ok=True)  # there already where cases are not told apart
            self._folders[split] = folder
        return self._folders[split]

    def _row(self, one: Shown, record: Record) -> str:
        instance, task, size = one.instance, self.options.task, record.size
        if task == "segment":
            if instance.mask is None:
                raise FormatError(_without("mask", record, instance, self.options.name))
            return _ring(instance.mask)
        if task == "obb":
            return _text((_corners(record, instance, self.options.name) / size).ravel().tolist())
        box = _box(one, record)
        self.lost["box_xyxy"] += _is_cut(one, record)
        return _text(box + (_keypoints(instance, self._layout, record) if task == "pose" else []))

    def _pose(self) -> dict[str, Any]:
        if self._layout is None:
            raise FormatError(
                f"{self.options.name}: none of the categories has keypoints: {', '.join(self.categories) or 'there are none'}"
            )
        count = len(self._layout.keypoints)
        for path in self._short:
            zeros = " 0" * (3 * count)
            path.write_text("".join(f"{row}{zeros}\n" for row in path.read_text(encoding="utf-8").splitlines()), encoding="utf-8")
        names = {i: list(category.keypoints) for i, category in enumerate(self.categories.values())}
        return {"kpt_shape": [count, 3], "flip_idx": _flip_idx(self._layout), "kpt_names": names}


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(values: Iterable[float], digits: int = 9) -> str:
    """Numbers of a row. Nine digits are 1e-5 px in the largest picture."""
    return " ".join(f"{round(value, digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".") for value in values)  # + 0.0: no -0


@lru_cache(maxsize=16)
def _edges(length: int) -> list[str]:
    """The edges between pixels along a side of the picture, as shares of it. Six digits are within 0.01 px: centres keep their side."""
    return [_text([i / length], 6) for i in range(length + 1)]


def _ring(mask: Rle) -> str:
    xs, ys = _edges(mask.width), _edges(mask.height)
    return " ".join(f"{xs[x]} {ys[y]}" for x, y in polygons.one_ring(mask).astype(np.intp).tolist())


def _box(one: Shown, record: Record) -> list[float]:
    assert one.box_xyxy is not None  # only obb keeps instances without
    (width, height), (x0, y0, x1, y1) = record.size, one.box_xyxy
    x0, x1 = (min(max(x, 0.0), width) / width for x in (x0, x1))
    y0, y1 = (min(max(y, 0.0), height) / height for y in (y0, y1))
    if not (x0 < x1 and y0 < y1):
        raise FormatError(f"sample {record.key}: the box of a '{one.instance.category}' is {list(one.box_xyxy)}, outside the picture")
    return [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]


def _is_cut(one: Shown, record: Record) -> bool:
    assert one.box_xyxy is not None
    x0, y0, x1, y1 = one.box_xyxy
    return min(x0, y0, record.width - x1, record.height - y1) < -1e-6


def _keypoints(instance: Instance, layout: Category | None, record: Record) -> list[float]:
    points = instance.keypoints
    if layout is None or points is None:
        return [0.0] * (3 * len(layout.keypoints) if layout else 0)
    if len(points.v) != len(layout.keypoints):
        raise FormatError(f"sample {record.key}: a '{instance.category}' has {len(points.v)} keypoints, not {len(layout.keypoints)}")
    xy = np.clip(points.xy / record.size, 0, 1).tolist()
    return [value for (x, y), v in zip(xy, points.v.tolist(), strict=True) for value in ((x, y, v) if v else (0, 0, 0))]


def _common_layout(known: Category | None, categories: Iterable[Category]) -> Category | None:
    """The first category with keypoints. Raises FormatError unless all others with keypoints have as many, mirrored alike."""
    for category in categories:
        if not category.keypoints:
            continue
        known = known or category
        if len(known.keypoints) != len(category.keypoints) or _flip_idx(known) != _flip_idx(category):
            raise FormatError(
                f"yolo-pose: '{known.name}' and '{category.name}' differ in their keypoints ({len(known.keypoints)} and "
                f"{len(category.keypoints)}) or in which of them a mirror swaps; a YOLO dataset has one layout: export them apart"
            )
    return known


def _flip_idx(category: Category) -> list[int]:
    place = {name: i for i, name in enumerate(category.keypoints)}
    other = {a: b for pair in category.mirror for a, b in (pair, pair[::-1])}
    return [place[other.get(name, name)] for name in category.keypoints]


def _corners(record: Record, instance: Instance, name: str) -> Any:
    if instance.obb is None:
        if instance.mask is None:
            raise FormatError(_without("rotated box or mask", record, instance, name))
        return least_area_rectangle(mask_corners(instance.mask.decode())).corners_xy
    return instance.obb.corners_xy


def _without(what: str, record: Record, instance: Instance, name: str) -> str:
    return f"sample {record.key}: a '{instance.category}' has no {what}, which {name} needs; leave such samples out or export as yolo"
