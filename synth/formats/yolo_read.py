"""Samples of a YOLO dataset: the rows of its label files, checked. The format's laws stand in synth/formats/yolo.py."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from synth import polygons
from synth.errors import ConfigError, FormatError
from synth.formats import reading
from synth.formats.reading import Faults, check_box, check_visibility, inside, read_picture
from synth.formats.writing import box_and_area
from synth.formats.yolo_layout import Entry, Layout, read_layout
from synth.formats.yolo_told import decoded
from synth.geometry import least_area_rectangle
from synth.record import Record
from synth.types import F64, Category, Instance, Keypoints, Obb, SampleInfo

Task = Literal["detect", "segment", "pose", "obb"]
_MAX_LABEL_BYTES = 1 << 26
_SLACK_PX = 1.0  # tools overshoot the picture by as much
_REACH = 2.0  # widths and heights of the picture by which a corner of a rotated box may lie outside


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """A YOLO dataset. source: data.yaml, obj.data, or the folder with one of them or with classes.txt.

    task: what the rows are; None: found out. With kpt_shape they are poses; else what most rows are, 5 numbers boxes and an odd number
    from 7 polygons. Rows of 9 numbers alone are polygons of four points or rotated boxes, so they must be named. images: the folder
    that the paths of data.yaml begin in, or that holds the pictures of a dataset without it.
    """

    task: Task | None = None

    def __post_init__(self) -> None:
        reading.Reader.__post_init__(self)
        if self.task is not None and self.task not in get_args(Task):
            raise ConfigError(f"yolo: task must be one of {', '.join(get_args(Task))}, got '{self.task}'")

    def records(self, faults: Faults) -> Iterator[Record]:
        layout = read_layout(self.source, self.images, faults)
        task = self.task or _task_of(layout)
        if task == "pose" and layout.kpt_shape is None:
            raise FormatError(f"{self.source}: keypoints need kpt_shape in data.yaml, such as kpt_shape: [17, 3]")
        for split in layout.splits:
            info = SampleInfo(split=split.name)
            for entry in split.entries:
                record = _record(layout, entry, task, info, faults)
                if record is not None:
                    yield record


def _record(layout: Layout, entry: Entry, task: Task, info: SampleInfo, faults: Faults) -> Record | None:
    try:
        picture = read_picture(inside(layout.root, entry.picture))
        text = _labels(layout, entry)
    except FormatError as error:
        faults.add(entry.picture, [str(error)])
        return None
    instances, wrong = _instances(text, task, layout, (picture.width, picture.height))
    if wrong:
        faults.add(entry.labels, wrong)
        return None
    return Record(
        key=entry.picture,
        source="real",
        width=picture.width,
        height=picture.height,
        image=picture.data,
        image_format=picture.format,
        instances=instances,
        categories=layout.categories,
        info=info,
    )


def _labels(layout: Layout, entry: Entry) -> str:
    """The text of the label file; none is like an empty one."""
    path = inside(layout.root, entry.labels)
    return decoded(path, _MAX_LABEL_BYTES) if path.exists() or path.is_symlink() else ""


def _task_of(layout: Layout) -> Task:
    if layout.kpt_shape is not None:
        return "pose"
    lengths: Counter[int] = Counter()
    for entry in (entry for split in layout.splits for entry in split.entries):
        try:
            lengths.update(len(line.split()) for line in _labels(layout, entry).split("\n"))
        except FormatError:
            continue  # said when the sample is read
    polygon = {length: rows for length, rows in lengths.items() if length >= 7 and length % 2}
    if sum(polygon.values()) <= lengths[5]:
        return "detect"
    if set(polygon) == {9}:
        raise FormatError(
            f"{layout.root}: all rows have 9 numbers: polygons of four points or rotated boxes? Name the format: yolo-segment or yolo-obb"
        )
    return "segment"


# --- rows -------------------------------------------------------------------------------------------------------------


def _instances(text: str, task: Task, layout: Layout, size: tuple[int, int]) -> tuple[tuple[Instance, ...], list[str]]:
    """The instances of a label file, and what is wrong with it by line."""
    made, wrong = [], []
    seen: dict[tuple[float, ...], int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        tokens = line.split()
        if not tokens:
            continue
        try:
            _check_columns(len(tokens), task, layout.kpt_shape)
            values = _numbers(tokens)
            first = seen.setdefault(tuple(values), number)
            if first != number:
                raise FormatError(f"the row repeats line {first}")
            made.append(_instance(_category(values[0], layout.categories), values[1:], task, layout.kpt_shape, size))
        except FormatError as error:
            wrong.append(f"line {number}: {error}")
    return tuple(made), wrong


def _check_columns(count: int, task: Task, kpt_shape: tuple[int, int] | None) -> None:
    points, dims = kpt_shape or (0, 0)
    wanted = {"detect": 5, "obb": 9, "pose": 5 + points * dims}
    if task == "segment":
        right, extra, what = count >= 7 and count % 2 == 1, count >= 8, "a class and at least three points"
    else:
        right, extra, what = count == wanted[task], count == wanted[task] + 1, f"{wanted[task]} numbers"
    if right:
        return
    hint = ""
    if extra:
        hint = "; if the last is a confidence, these are predictions and no labels"
    elif task == "detect" and count >= 7 and count % 2:
        hint = "; polygons are read by yolo-segment, rotated boxes by yolo-obb"
    raise FormatError(f"the row has {count} numbers, {task} wants {what}{hint}")


def _numbers(tokens: Sequence[str]) -> list[float]:
    try:
        values = list(map(float, tokens))
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)) or any("_" in token for token in tokens):
        wrong = next(token for token in tokens if not _is_number(token))
        raise FormatError(f"'{wrong[:40]}' is no finite number")
    return values


def _is_number(token: str) -> bool:
    try:
        return math.isfinite(float(token)) and "_" not in token
    except ValueError:
        return False


def _category(number: float, categories: Sequence[Category]) -> Category:
    if not number.is_integer() or not 0 <= number < len(categories):
        raise FormatError(f"the class must be a whole number from 0 to {len(categories) - 1}, got {number:g}")
    return categories[int(number)]


def _instance(
    category: Category, values: Sequence[float], task: Task, kpt_shape: tuple[int, int] | None, size: tuple[int, int]
) -> Instance:
    if task == "segment":
        mask = polygons.rasterise([_points(values, size, _slack(size), "the polygon")], *size)
        box, area = box_and_area(Instance(category.name, mask=mask))
        if box is None:
            raise FormatError("the polygon covers no pixel's centre")
        return Instance(category.name, mask=mask, area_px=int(area), box_xyxy=box)
    if task == "obb":
        return Instance(category.name, obb=_obb(_points(values, size, (_REACH, _REACH), "the rotated box"), size))
    box = _box(values[:4], size)
    if kpt_shape is None or task == "detect":
        return Instance(category.name, box_xyxy=box)
    return Instance(category.name, box_xyxy=box, keypoints=_keypoints(category, values[4:], kpt_shape[1], size))


def _slack(size: tuple[int, int]) -> tuple[float, float]:
    return _SLACK_PX / size[0], _SLACK_PX / size[1]


def _points(values: Sequence[float], size: tuple[int, int], slack: tuple[float, float], what: str) -> F64:
    """(n, 2) px of x y x y ..., which are shares of the picture's size and may overshoot it by the shares `slack`."""
    for name, axis in (("x", 0), ("y", 1)):
        low, high = min(values[axis::2]), max(values[axis::2])
        if low < -slack[axis] or high > 1 + slack[axis]:
            raise FormatError(
                f"{what} leaves the picture: {name} goes from {low:g} to {high:g}; coordinates are shares of its size, 0 to 1"
            )
    return np.reshape(np.asarray(values, np.float64), (-1, 2)) * size


def _box(values: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    cx, cy, width, height = values
    box = (
        (cx - width / 2) * size[0],
        (cy - height / 2) * size[1],
        (cx + width / 2) * size[0],
        (cy + height / 2) * size[1],
    )
    check_box(box, size, "the box", _SLACK_PX)
    return box


def _keypoints(category: Category, values: Sequence[float], dims: int, size: tuple[int, int]) -> Keypoints | None:
    rows = [values[i : i + dims] for i in range(0, len(values), dims)]
    if not category.keypoints:
        if any(values):
            raise FormatError(f"'{category.name}' has no keypoints in kpt_names, so all of the row's must be 0")
        return None
    xy, v = np.zeros((len(rows), 2)), np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows):
        what = f"keypoint '{category.keypoints[i]}'"
        if dims == 2:
            v[i] = 2 if row[0] or row[1] else 0
        else:
            if not row[2].is_integer():
                raise FormatError(f"{what}: v must be 0, 1 or 2, got {row[2]:g}")
            v[i] = check_visibility(int(row[2]), what)
        if v[i]:
            xy[i] = _points(row[:2], size, _slack(size), what)[0]
    return Keypoints(xy, v)


def _obb(corners: F64, size: tuple[int, int]) -> Obb:
    """The rotated box with these corners (4, 2) px, the first side its width. If they miss a rectangle by more than 1 px and by more than
    1 % of its longer side, the rectangle of least area around them."""
    along, across = (corners[1] - corners[0] + corners[2] - corners[3]) / 2, (corners[3] - corners[0] + corners[2] - corners[1]) / 2
    centre = corners.mean(axis=0)
    width, height = float(np.hypot(*along)), float(np.hypot(*across))
    obb = Obb(float(centre[0]), float(centre[1]), width, height, _angle(along))
    axis = np.array([math.cos(obb.angle_rad), math.sin(obb.angle_rad)])
    offset = np.abs((corners - centre) @ np.stack([axis, [-axis[1], axis[0]]], axis=1))
    miss = float(np.abs(offset - [width / 2, height / 2]).max())
    if miss > max(1.0, 0.01 * max(width, height)) or not min(width, height) > 0:  # corners out of order have no sides
        obb = least_area_rectangle(corners)
    if not min(obb.width, obb.height) > 1e-6:
        raise FormatError("the rotated box has no area")
    x, y = obb.center_x, obb.center_y
    if not (-_SLACK_PX <= x <= size[0] + _SLACK_PX and -_SLACK_PX <= y <= size[1] + _SLACK_PX):
        raise FormatError(f"the rotated box has its centre at x {x:g}, y {y:g}, outside the {size[0]}x{size[1]} picture")
    return obb


def _angle(along: F64) -> float:
    angle = math.atan2(along[1], along[0]) % math.pi
    return 0.0 if angle >= math.pi else angle  # -1e-17 % pi is pi
