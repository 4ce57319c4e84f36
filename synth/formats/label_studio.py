"""Label Studio: the JSON export of picture tasks (not JSON-MIN).

The format: https://labelstud.io/guide/task_format and the pages of the labels, https://labelstud.io/tags/. What it means here:

- x, y, width and height are percents of the picture's sides. A rectangle with a rotation, in degrees clockwise about the corner x, y,
  gives an `obb` and no box; without one, a box. A polygon, a brushed region (`synth.formats.brush`) and an ellipse (x, y its centre)
  give a mask. A region has one label; `Labels` beside unlabelled shapes are read too.
- A keypoint belongs to the region that it lies under in the region tree (`parentID`), else to the one that it has a relation with. It is
  labelled, so v is 2: Label Studio cannot say hidden. Those of no region are objects of their own (`synth.formats.exports`).
- Choices about the picture are `info.classes`; texts, numbers, ratings and taxonomies are `info.attributes`, by the control's name. Those
  about one region are the attributes of its instance.
- Of several annotations of a task, cancelled ones do not count; then the one marked as ground truth is read, else the one updated last,
  and `info.attributes["other_annotations"]` says how many there were beside it. A task with none is a fault: an unlabelled picture would
  teach that it shows nothing. Predictions and drafts are not read. `completed_by` is `info.annotator`: the e-mail address, else the id.
- Pictures are looked up below `images` (default: the folder of the JSON) by the base name of their address; nothing is fetched. A task
  whose picture was turned in Label Studio (`image_rotation`) is a fault.
- Of tasks of one id, picture or key none is read; a region that says all that another says, and a relation to no region, are faults.

The writer makes `tasks.json`, `label_config.xml` and `images/`. The addresses work in Label Studio when the new folder is its root for
local files. A mask is a brushed region, else the rectangle is turned or plain; what such a region does not say itself (the box beside a
mask, attributes, crowd, v = 1) is in its `meta.synth`, and what a task has no field for in `data.synth`. Read it with
`config=label_config.xml` to get the categories whole: order, keypoints, skeleton, mirror pairs and sigmas.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from synth.errors import ConfigError, FormatError
from synth.formats import brush, exports, label_config, reading, writing
from synth.formats.exports import Draft, Pictures, Point, Shape, listed, mapping
from synth.formats.reading import Faults, brief, check_box, number, numbers, read_json, text, whole
from synth.formats.writing import Session, Shown
from synth.polygons import rasterise
from synth.record import Record
from synth.types import Category, Instance, Obb, Rle, SampleInfo

_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_SHAPES = ("rectangle", "polygon", "brush", "ellipse")
_CONTROLS = {
    "choices": "choices",
    "textarea": "text",
    "number": "number",
    "rating": "rating",
    "taxonomy": "taxonomy",
    "datetime": "datetime",
}
_MIN = "this is Label Studio's JSON-MIN, which leaves sizes and relations out; export the project as JSON"


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """A JSON export. config: the project's labelling configuration (XML), for the order of categories and keypoints and for categories
    that no task has; without it keypoints are ordered by name."""

    config: Path | None = None

    def __post_init__(self) -> None:
        reading.Reader.__post_init__(self)
        if self.config is not None:
            if not isinstance(self.config, (str, Path)):
                raise ConfigError(f"label-studio: config must be a path, got {brief(self.config)}")
            object.__setattr__(self, "config", Path(self.config))
            if not Path(self.config).is_file():
                raise ConfigError(f"{self.config} is no file; name the labelling configuration of the project")

    def records(self, faults: Faults) -> Iterator[Record]:
        config = label_config.Config() if self.config is None else label_config.read(self.config)
        drafts = [
            _draft(task, f"{self.source.name}: {_name(task, place)}", config.image) for place, task in enumerate(_tasks(self.source), 1)
        ]
        pictures = Pictures(self.images or self.source.parent)
        yield from exports.records_of(drafts, pictures, config.layout, _geometry, _place, faults)


def _tasks(path: Path) -> list[dict[str, Any]]:
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise FormatError(f"{path} is no Label Studio export: it must be a list of tasks; export the project as JSON")
    if tasks and not any("data" in task for task in tasks):
        raise FormatError(f"{path}: {_MIN}")
    return tasks


def _name(task: Mapping[str, Any], place: int) -> str:
    number = task.get("id")
    return f"task {number}" if isinstance(number, int) else f"the {place}. task"


# --- reading a task -----------------------------------------------------------------------------------------------------


def _draft(task: Mapping[str, Any], where: str, image: str | None) -> Draft:
    id = task.get("id")
    draft = Draft(where, str(id) if isinstance(id, (int, str)) else None)
    try:
        data = mapping(task.get("data"), "data")
        draft.addresses = _addresses(task, data, image)
        annotation, others = _annotation(task)
        result = [mapping(item, "an item of result") for item in listed(annotation.get("result"), "result")]
        draft.size = _size(result)
        draft.shapes, draft.points = _regions(result, draft.faults)
        classes, attributes = _about_picture(result, {shape.id for shape in draft.shapes} | {point.id for point in draft.points})
        if others:
            attributes["other_annotations"] = others
        info = SampleInfo(annotator=_annotator(annotation.get("completed_by")), classes=classes, attributes=attributes or None)
        draft.key, draft.info = exports.read_own_info(mapping(data.get("synth"), "data.synth"), info)
    except FormatError as error:
        draft.faults.append(str(error))
        draft.shapes, draft.points = (), ()
    return draft


def _addresses(task: Mapping[str, Any], data: Mapping[str, Any], image: str | None) -> list[str]:
    """The picture's address and the name of the uploaded file."""
    texts = {name: value for name, value in data.items() if isinstance(value, str) and value}
    name = image or ("image" if "image" in data else None)
    if name is None:
        pictures = [one for one, value in texts.items() if value.lower().endswith(reading.SUFFIXES)]
        if len(pictures) != 1:
            raise FormatError(f"which of its data ({', '.join(data) or 'none'}) is the picture? name the configuration by config")
        name = pictures[0]
    upload = task.get("file_upload")
    return [text(data.get(name), f"data.{name}"), *([upload] if isinstance(upload, str) and upload else [])]


def _annotation(task: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The annotation that counts, and how many others were not cancelled."""
    given = [mapping(one, "an annotation") for one in listed(task.get("annotations"), "annotations")]
    done = [one for one in given if not one.get("was_cancelled")]
    if not done:
        raise FormatError(f"it has no annotation ({len(given)} cancelled); label it or leave it out")

    def rank(one: Mapping[str, Any]) -> tuple[bool, str]:
        return bool(one.get("ground_truth")), str(one.get("updated_at") or one.get("created_at") or "")

    return max(reversed(done), key=rank), len(done) - 1


def _annotator(who: Any) -> str | None:
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    return str(who) if isinstance(who, int) and not isinstance(who, bool) else text(who, "completed_by") if who else None


def _size(result: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    sizes = set()
    for item in result:
        if item.get("image_rotation") not in (None, 0):
            raise FormatError(f"its picture was turned by {brief(item['image_rotation'])} degrees; turn the file and label it again")
        if item.get("item_index") not in (None, 0):
            raise FormatError("it has several pictures; only tasks with one are read")
        if "original_width" in item or "original_height" in item:
            sizes.add((whole(item.get("original_width"), "original_width", 1), whole(item.get("original_height"), "original_height", 1)))
    if len(sizes) > 1:
        raise FormatError(f"its picture has several sizes: {sorted(sizes)}")
    return next(iter(sizes), None)


def _regions(result: Sequence[Mapping[str, Any]], faults: list[str]) -> tuple[list[Shape], list[Point]]:
    """The objects and points of an annotation; what is wrong with one of them goes to `faults`."""
    labels = {item.get("id"): _labels(item) for item in result if item.get("type") == "labels" and isinstance(item.get("id"), str)}
    about = _about_regions(result)
    shapes: dict[str, Shape] = {}
    points: list[tuple[Mapping[str, Any], Point]] = []
    for place, item in enumerate(result, 1):
        kind = str(item.get("type")).removesuffix("labels") or "labels"
        if kind in ("labels", "relation", *_CONTROLS):
            continue
        try:
            id = text(item.get("id", f"{place}. of the result"), "id")
            if kind not in (*_SHAPES, "keypoint"):
                raise FormatError(f"a label of type {brief(item.get('type'))} cannot be kept")
            if id in shapes or any(point.id == id for _, point in points):
                raise FormatError(f"the id '{id}' stands twice")
            found = _labels(item) or labels.get(id, [])
            if len(found) != 1:
                raise FormatError(f"{kind} {id} has {len(found)} labels; each object must have one")
            value, own = mapping(item.get("value"), "value"), mapping(mapping(item.get("meta"), "meta").get("synth"), "meta.synth")
            if kind == "keypoint":
                points.append((item, Point(id, found[0], value, None, about.get(id, {}), own)))
            else:
                shapes[id] = Shape(id, found[0], kind, value, about.get(id, {}), own)
        except FormatError as error:
            faults.append(str(error))
    ids = {item["id"] for item in result if isinstance(item.get("id"), str)}
    for end in (item.get(end) for item in result if item.get("type") == "relation" for end in ("from_id", "to_id")):
        if not isinstance(end, str) or end not in ids:
            faults.append(f"a relation leads to {brief(end)}, which is no region of the task")
    related = _related(result)
    tied = []
    for item, point in points:
        try:
            tied.append(replace(point, parent=_parent(item, point, shapes, related)))
        except FormatError as error:
            faults.append(str(error))
    return list(shapes.values()), tied


def _labels(item: Mapping[str, Any]) -> list[str]:
    value = item.get("value")
    found = value.get(str(item.get("type"))) if isinstance(value, dict) else None
    return [text(one, "a label") for one in listed(found if str(item.get("type")).endswith("labels") else None, "labels")]


def _related(result: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """For each region those that it has a relation with, whichever way it points."""
    found: dict[str, set[str]] = {}
    for item in result:
        ends = item.get("from_id"), item.get("to_id")
        if item.get("type") == "relation" and all(isinstance(end, str) for end in ends):
            for one, other in (ends, ends[::-1]):
                found.setdefault(str(one), set()).add(str(other))
    return found


def _parent(item: Mapping[str, Any], point: Point, shapes: Mapping[str, Shape], related: Mapping[str, set[str]]) -> str | None:
    parent = item.get("parentID")
    if parent:
        if not isinstance(parent, str) or parent not in shapes:
            raise FormatError(f"{point}: its parent {brief(parent)} is no rectangle, polygon, brush or ellipse of the task")
        return parent
    near = sorted(related.get(point.id, set()) & shapes.keys())
    if len(near) > 1:
        raise FormatError(f"{point}: it has relations with {len(near)} objects ({', '.join(near)}); it must belong to one")
    return near[0] if near else None


def _control(item: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The name and value of what a control says; None if the item is none."""
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _CONTROLS:
        return None
    said = mapping(item.get("value"), "value").get(_CONTROLS[kind])
    if kind == "choices":
        said = [text(one, "a choice") for one in listed(said, "choices")]
    return text(item.get("from_name"), "from_name"), said


def _about_regions(result: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What controls say, by the id of the region that they may be about; one choice is that choice, several are a list."""
    found: dict[str, dict[str, Any]] = {}
    for item in result:
        control = _control(item)
        if control is not None and isinstance(item.get("id"), str):
            name, said = control
            found.setdefault(item["id"], {})[name] = said[0] if isinstance(said, list) and len(said) == 1 else said
    return found


def _about_picture(result: Sequence[Mapping[str, Any]], regions: set[str]) -> tuple[tuple[str, ...] | None, dict[str, Any]]:
    """The classes and attributes that controls give to the picture."""
    classes: tuple[str, ...] | None = None
    attributes: dict[str, Any] = {}
    for item in result:
        control = _control(item)
        if control is None or (isinstance(item.get("id"), str) and item["id"] in regions):
            continue
        name, said = control
        if item["type"] == "choices":
            classes = (*(classes or ()), *said)
        else:
            attributes[name] = said
    return classes, attributes


# --- geometry -----------------------------------------------------------------------------------------------------------


def _pixels(value: Mapping[str, Any], name: str, side_px: int) -> float:
    return number(value.get(name), name) / 100 * side_px


def _place(point: Point, size: tuple[int, int]) -> tuple[float, float]:
    return _pixels(point.value, "x", size[0]), _pixels(point.value, "y", size[1])


def _geometry(shape: Shape, size: tuple[int, int]) -> dict[str, Any]:
    """The labels of a region in a picture of this size."""
    width, height = size
    value = shape.value
    if shape.kind == "brush":
        if value.get("format") != "rle":
            raise FormatError(f"its format is {brief(value.get('format'))}; only 'rle' can be read")
        mask = brush.decode(listed(value.get("rle"), "rle"), width, height)
    elif shape.kind == "polygon":
        ring = np.array([numbers(point, 2, "a point") for point in listed(value.get("points"), "points")]).reshape(-1, 2) / 100 * size
        if len(ring) < 3:
            raise FormatError(f"it has {len(ring)} points; a polygon has at least 3")
        if (ring < -1).any() or (ring > np.array(size) + 1).any():
            raise FormatError(f"its points leave the {width}x{height} picture")
        mask = rasterise([ring], width, height)
    elif shape.kind == "ellipse":
        mask = _ellipse(value, width, height)
    else:
        return _rectangle(value, size)
    return {"mask": mask}


def _rectangle(value: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    x, y = _pixels(value, "x", size[0]), _pixels(value, "y", size[1])
    width, height = _pixels(value, "width", size[0]), _pixels(value, "height", size[1])
    degrees = number(value.get("rotation") or 0, "rotation")
    if not degrees % 360:
        box = (x, y, x + width, y + height)
        check_box(box, size)
        return {"box_xyxy": box}
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    center_x, center_y = x + (width * cos - height * sin) / 2, y + (width * sin + height * cos) / 2
    obb = Obb(center_x, center_y, width, height, angle % math.pi)
    exports.check_obb(obb, size)
    return {"obb": obb}


def _ellipse(value: Mapping[str, Any], width: int, height: int) -> Rle:
    """The pixels whose centres lie in the ellipse."""
    x, y = _pixels(value, "x", width), _pixels(value, "y", height)
    radius_x, radius_y = _pixels(value, "radiusX", width), _pixels(value, "radiusY", height)
    check_box((x - radius_x, y - radius_y, x + radius_x, y + radius_y), (width, height), "ellipse", max(width, height))
    angle = math.radians(number(value.get("rotation") or 0, "rotation"))
    across, down = np.arange(width) + 0.5 - x, (np.arange(height) + 0.5 - y)[:, None]
    along, aside = across * math.cos(angle) + down * math.sin(angle), down * math.cos(angle) - across * math.sin(angle)
    return Rle.encode((along / radius_x) ** 2 + (aside / radius_y) ** 2 <= 1)


# --- writing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: `tasks.json`, `label_config.xml` and `images/`."""

    name = "label-studio"
    holds = frozenset({
        "mask", "box_xyxy", "obb", "keypoints", "keypoints.v", "crowd", "attributes", "info.dataset", "info.split", "info.group",
        "info.licence", "info.annotator", "info.classes", "info.attributes", "category.mirror", "category.skeleton", "category.sigmas",
    })  # fmt: skip
    keeps_empty = True  # an empty mask is a region with nothing brushed

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(folder, categories)

    def _shown(self, record: Record, count: Counter[str]) -> Iterator[Shown]:
        return exports.sayable(super()._shown(record, count), lambda one: exports.can_say(one.instance), count)


class _Session(writing.Session):
    """Turns records into tasks, one at a time."""

    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self._classes: dict[str, None] = {}
        self._count = 0
        (folder / "images").mkdir()
        self._tasks = self.open("tasks.json")

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        name = self.names.picture(record)
        (self.folder / "images" / name).write_bytes(record.image)
        regions: list[dict[str, Any]] = []
        for place, one in enumerate(exports.unlike(shown, self.lost), 1):
            regions += _write_instance(one.instance, f"object{place}", self.categories[one.instance.category], record)
        if record.info.classes is not None:
            self._classes.update(dict.fromkeys(record.info.classes))
            value = {"choices": list(record.info.classes)}
            regions.append({"id": "classes", "type": "choices", "from_name": "classes", "to_name": "image", "value": value})
        size = {"original_width": record.width, "original_height": record.height, "image_rotation": 0}
        annotation: dict[str, Any] = {"result": [{**size, **region} for region in regions], "was_cancelled": False}
        if record.info.annotator is not None:
            annotation["completed_by"] = {"email": record.info.annotator}
        data = {"image": f"/data/local-files/?d={quote(f'images/{name}')}", "synth": exports.own_info(record)}
        self._count += 1
        task = {"id": self._count, "data": data, "annotations": [annotation]}
        self._tasks.write(("[\n" if self._count == 1 else ",\n") + _to_json(task))

    def close(self) -> None:
        self._tasks.write("\n]\n")
        (self.folder / "label_config.xml").write_text(label_config.write(list(self.categories.values()), list(self._classes)), "utf-8")


def _write_instance(instance: Instance, id: str, category: Category, record: Record) -> Iterator[dict[str, Any]]:
    size, measured = record.size, record.source == "synthetic"
    points, lone = instance.keypoints, exports.is_lone_point(instance, category)
    if instance.mask is not None:
        value = {"format": "rle", "rle": brush.encode(instance.mask)}
        yield _region(id, "brush", instance.category, value, exports.own_labels(instance, "mask", measured))
    elif instance.obb is not None:
        yield _region(id, "rectangle", instance.category, _write_obb(instance.obb, size), exports.own_labels(instance, "obb", measured))
    elif not lone:
        own = exports.own_labels(instance, None if instance.box_xyxy is None else "box_xyxy", measured)
        yield _region(id, "rectangle", instance.category, _write_box(exports.drawn_box(instance, size), size), own)
    if points is None:
        return
    for name, (x, y), v in zip(category.keypoints, points.xy.tolist(), points.v.tolist(), strict=True):
        if v:
            kept = {**({} if v == 2 else {"v": v}), **({**exports.own_labels(instance, None, measured), "lone": True} if lone else {})}
            item = _region(f"{id}.{name}", "keypoint", name, {**_percents({"x": x, "y": y}, size), "width": 0.5}, kept)
            yield item if lone else {**item, "parentID": id}


def _region(id: str, kind: str, label: str, value: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    type = f"{kind}labels"
    item = {"id": id, "type": type, "from_name": kind, "to_name": "image", "value": {**value, type: [label]}}
    return {**item, "meta": {"synth": own}} if own else item


def _write_box(box: writing.Box, size: tuple[int, int]) -> dict[str, float]:
    x0, y0, x1, y1 = box
    return _percents({"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0.0}, size)


def _write_obb(obb: Obb, size: tuple[int, int]) -> dict[str, float]:
    # Half a turn is the same box, and tells one that lies straight from a plain one.
    angle = obb.angle_rad % math.pi or math.pi
    cos, sin = math.cos(angle), math.sin(angle)
    x = obb.center_x - (obb.width * cos - obb.height * sin) / 2
    y = obb.center_y - (obb.width * sin + obb.height * cos) / 2
    return _percents({"x": x, "y": y, "width": obb.width, "height": obb.height, "rotation": math.degrees(angle)}, size)


def _percents(values: Mapping[str, float], size: tuple[int, int]) -> dict[str, float]:
    sides = {"x": size[0], "width": size[0], "y": size[1], "height": size[1]}
    return {name: value / sides[name] * 100 if name in sides else value for name, value in values.items()}
