"""Labelbox: the NDJSON export of picture data rows (export v2, one row a line).

The format: https://docs.labelbox.com/reference/export-image-annotations. What it means here:

- Coordinates are pixels from the picture's outer corner. `bounding_box` is a box, `polygon` a mask, `point` a keypoint. A `mask` is only
  named by an address, which is not fetched: it is read from `masks` (default: the folder `masks` beside the export), as
  `<feature_id>.png` or by the base name of its address; a pixel that is not black belongs to it. Lines are faults: there is no such label.
- A point that a relationship ties to an object is its keypoint; others are objects of their own (`synth.formats.exports`). It is
  labelled, so v is 2: Labelbox cannot say hidden.
- Answers to radio and checklist questions about the picture are `info.classes`, texts are `info.attributes`, by the question's name.
  Those about an object are its attributes; questions inside an answer count like any other.
- Of several labels of a row, skipped ones do not count; then the one updated last is read, and `info.attributes["other_labels"]` says how
  many there were beside it. A row with none is a fault: an unlabelled picture would teach that it shows nothing. A row that is labelled
  in several projects needs `project`, an id or a name. `label_details.created_by` is `info.annotator`.
- Pictures are looked up below `images` (default: the folder of the export) by the base name of external id, global key and address.
- Of rows of one data row, picture or key none is read; an object that says all that another says, and a relationship to no object, are
  faults.

The writer makes `export.ndjson`, `ontology.json` and `images/`, in the shape of an export (Labelbox takes labels in by another). A mask is
one polygon that draws it to the pixel, its parts and holes joined by bridges that cover nothing. What Labelbox has no field for is in
`synth` beside it. Read it with `ontology=ontology.json` to get the categories whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import ConfigError, FormatError
from synth.formats import exports, reading, writing
from synth.formats.exports import Draft, Layout, Pictures, Point, Shape, listed, mapping
from synth.formats.reading import Faults, brief, check_box, inside, number, read_json, read_picture, text, whole
from synth.formats.writing import Session, Shown
from synth.polygons import one_ring, rasterise
from synth.record import Record, decode_image
from synth.types import Category, Instance, Rle, SampleInfo

_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_KINDS = ("bounding_box", "polygon", "mask")
_OTHERS = {
    "dataRow": "is in the shape that labels are sent to Labelbox in, without sizes and names",
    "Labeled Data": "is in the shape of Labelbox's export v1",
    "Label": "is in the shape of Labelbox's export v1",
}


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """An NDJSON export. masks: folder of the masks' files. project: id or name, where rows are labelled in several.

    ontology: the `ontology.json` of an export of ours, for the order of categories and keypoints; without it they are ordered by name.
    """

    masks: Path | None = None
    project: str | None = None
    ontology: Path | None = None

    def __post_init__(self) -> None:
        reading.Reader.__post_init__(self)
        if self.project is not None and (not isinstance(self.project, str) or not self.project):
            raise ConfigError(f"labelbox: project must be an id or a name, got {brief(self.project)}")
        for name in ("masks", "ontology"):
            value = getattr(self, name)
            if value is not None:
                if not isinstance(value, (str, Path)):
                    raise ConfigError(f"labelbox: {name} must be a path, got {brief(value)}")
                object.__setattr__(self, name, Path(value))
                if not Path(value).exists():
                    raise ConfigError(f"{value} does not exist; name the {'folder of the masks' if name == 'masks' else 'file'}")

    def records(self, faults: Faults) -> Iterator[Record]:
        layout = Layout() if self.ontology is None else _read_ontology(self.ontology)
        drafts = []
        for where, row in _rows(self.source):
            if isinstance(row, str):
                faults.add(where, [row])
            else:
                drafts.append(_draft(row, where, self.project))
        folder = self.masks or self.source.parent / "masks"

        def geometry(shape: Shape, size: tuple[int, int]) -> dict[str, Any]:
            return _geometry(shape, size, folder)

        yield from exports.records_of(drafts, Pictures(self.images or self.source.parent), layout, geometry, _place, faults)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Each row with its place, or what is wrong with it. A JSON list of rows is read too. Raises FormatError if it is another format."""
    data = reading.read_file(path)
    if not data.strip():
        raise FormatError(f"{path} is empty")
    if data.lstrip()[:1] == b"[":
        rows: list[tuple[str, Any]] = [(f"{path.name}: row {place}", row) for place, row in enumerate(read_json(path), 1)]
    else:
        lines = data.split(b"\n")
        rows = [(f"{path.name}, line {place}", _parsed(line)) for place, line in enumerate(lines, 1) if line.strip()]
    found = [row for _, row in rows if isinstance(row, dict)]
    for name, what in _OTHERS.items():
        if found and all(name in row and "data_row" not in row for row in found):
            raise FormatError(f"{path} {what}; export the project as NDJSON (export v2)")
    if not any("data_row" in row for row in found):
        wrong = next((f" ({where}: {row})" for where, row in rows if isinstance(row, str)), "")
        raise FormatError(f"{path} is no Labelbox export: no row has a data_row{wrong}")
    for where, row in rows:
        yield where, row if isinstance(row, (dict, str)) else f"a row must be an object, got {type(row).__name__}"


def _parsed(line: bytes) -> Any:
    """The value of a line, or what is wrong with it."""
    try:
        value = reading.parse_json(line.decode())
    except FormatError as error:
        return str(error)
    except (ValueError, RecursionError) as error:
        return f"it is no JSON: {error}"
    return value if isinstance(value, dict) else f"a row must be an object, got {type(value).__name__}"


# --- reading a row ------------------------------------------------------------------------------------------------------


def _draft(row: Mapping[str, Any], where: str, project: str | None) -> Draft:
    draft = Draft(where)
    try:
        data = mapping(row.get("data_row"), "data_row")
        if isinstance(data.get("id"), str) and data["id"]:
            draft.id, draft.where = data["id"], f"{where}, data row {data['id']}"
        names = (data.get("external_id"), data.get("global_key"), data.get("row_data"))
        draft.addresses = [name for name in names if isinstance(name, str) and name]
        media = mapping(row.get("media_attributes"), "media_attributes")
        if media.get("width") is not None or media.get("height") is not None:
            draft.size = (whole(media.get("width"), "width", 1), whole(media.get("height"), "height", 1))
        label, others = _label(row, project)
        annotations = mapping(label.get("annotations"), "annotations")
        draft.shapes, draft.points = _objects(annotations, draft.faults)
        classes, attributes = _about_picture(annotations)
        if others:
            attributes["other_labels"] = others
        who = mapping(label.get("label_details"), "label_details").get("created_by")
        info = SampleInfo(annotator=None if who is None else text(who, "created_by"), classes=classes, attributes=attributes or None)
        draft.key, draft.info = exports.read_own_info(mapping(row.get("synth"), "synth"), info)
    except FormatError as error:
        draft.faults.append(str(error))
        draft.shapes, draft.points = (), ()
    return draft


def _label(row: Mapping[str, Any], project: str | None) -> tuple[dict[str, Any], int]:
    """The label that counts, and how many others were not skipped."""
    given: dict[str, list[dict[str, Any]]] = {}
    for id, one in mapping(row.get("projects"), "projects").items():
        content = mapping(one, "a project")
        labels = [mapping(label, "a label") for label in listed(content.get("labels"), "labels")]
        done = [label for label in labels if not mapping(label.get("performance_details"), "performance_details").get("skipped")]
        if done and project in (None, id, content.get("name")):
            given[id] = done
    if len(given) > 1:
        raise FormatError(f"it is labelled in {len(given)} projects ({', '.join(sorted(given))}); choose one by project")
    if not given:
        raise FormatError(f"it has no label{'' if project is None else f' in project {project}'}; label it or leave it out")
    (done,) = given.values()

    def updated(label: Mapping[str, Any]) -> str:
        details = mapping(label.get("label_details"), "label_details")
        return str(details.get("updated_at") or details.get("created_at") or "")

    return max(reversed(done), key=updated), len(done) - 1


def _objects(annotations: Mapping[str, Any], faults: list[str]) -> tuple[list[Shape], list[Point]]:
    """The objects and points of a label; what is wrong with one of them goes to `faults`."""
    shapes: dict[str, Shape] = {}
    points: dict[str, Point] = {}
    for place, item in enumerate(listed(annotations.get("objects"), "objects"), 1):
        try:
            one = mapping(item, f"{place}. object")
            id, name = text(one.get("feature_id", f"object {place}"), "feature_id"), text(one.get("name"), "name")
            if id in shapes or id in points:
                raise FormatError(f"the feature_id '{id}' stands twice")
            own = mapping(one.get("synth"), "synth")
            if "point" in one:
                points[id] = Point(id, name, mapping(one["point"], "point"), None, _answers(one.get("classifications")), own)
                continue
            kind = next((kind for kind in _KINDS if kind in one), None)
            if kind is None:
                what = one.get("annotation_kind") or ", ".join(sorted(one))
                raise FormatError(f"'{name}' ({id}) is no bounding_box, polygon, mask or point and cannot be kept: {str(what)[:80]}")
            shapes[id] = Shape(id, name, kind, one, _answers(one.get("classifications")), own)
        except FormatError as error:
            faults.append(str(error))
    parents = _parents(annotations, shapes, points, faults)
    return list(shapes.values()), [replace(point, parent=parents.get(point.id)) for point in points.values()]


def _parents(annotations: Mapping[str, Any], shapes: Mapping[str, Shape], points: Mapping[str, Point], faults: list[str]) -> dict[str, str]:
    """The object of each point that a relationship ties to one, whichever way it points."""
    found: dict[str, str] = {}
    objects = [one for one in listed(annotations.get("objects"), "objects") if isinstance(one, dict)]
    known = {*shapes, *points, *(str(one.get("feature_id")) for one in objects)}
    for item in listed(annotations.get("relationships"), "relationships"):
        one = mapping(item, "a relationship")
        given = mapping(one.get("unidirectional_relationship") or one.get("bidirectional_relationship") or one.get("data"), "relationship")
        ends = [str(given.get("source")), str(given.get("target"))]
        faults += [f"a relationship leads to {brief(end)}, which is no object of the row" for end in ends if end not in known]
        for point, shape in (ends, ends[::-1]):
            if point in points and shape in shapes and found.setdefault(point, shape) != shape:
                faults.append(f"{points[point]}: it is tied to several objects ({found[point]}, {shape}); it must belong to one")
    return found


def _answers(classifications: Any) -> dict[str, Any]:
    """The answers to questions by name: a name (radio), a list of names (checklist) or a text."""
    found: dict[str, Any] = {}
    for item in listed(classifications, "classifications"):
        one = mapping(item, "a classification")
        name = text(one.get("name"), "a classification's name")
        if "radio_answer" in one:
            answer = mapping(one["radio_answer"], "radio_answer")
            found[name] = text(answer.get("name"), "an answer")
            found |= _answers(answer.get("classifications"))
        elif "checklist_answers" in one:
            answers = [mapping(answer, "an answer") for answer in listed(one["checklist_answers"], "checklist_answers")]
            found[name] = [text(answer.get("name"), "an answer") for answer in answers]
            for answer in answers:
                found |= _answers(answer.get("classifications"))
        elif "text_answer" in one:
            content = mapping(one["text_answer"], "text_answer").get("content")
            found[name] = text(content, "a text") if content else ""
        else:
            raise FormatError(f"the classification '{name}' has no radio, checklist or text answer")
    return found


def _about_picture(annotations: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, dict[str, Any]]:
    """The classes and attributes of the picture."""
    questions = listed(annotations.get("classifications"), "classifications")
    classes: tuple[str, ...] | None = None
    attributes: dict[str, Any] = {}
    for item in questions:
        for name, said in _answers([item]).items():
            if isinstance(item, dict) and "text_answer" in item:
                attributes[name] = said
            else:
                classes = (*(classes or ()), *([said] if isinstance(said, str) else said))
    return classes, attributes


# --- geometry -----------------------------------------------------------------------------------------------------------


def _xy(value: Any) -> tuple[float, float]:
    point = mapping(value, "a point")
    return number(point.get("x"), "x"), number(point.get("y"), "y")


def _place(point: Point, size: tuple[int, int]) -> tuple[float, float]:
    return _xy(point.value)


def _geometry(shape: Shape, size: tuple[int, int], masks: Path) -> dict[str, Any]:
    """The labels of an object in a picture of this size."""
    given = shape.value[shape.kind]
    if shape.kind == "mask":
        return {"mask": _read_mask(shape.id, mapping(given, "mask"), size, masks)}
    if shape.kind == "polygon":
        ring = np.array([_xy(point) for point in listed(given, "polygon")]).reshape(-1, 2)
        if len(ring) < 3:
            raise FormatError(f"it has {len(ring)} points; a polygon has at least 3")
        if (ring < -1).any() or (ring > np.array(size) + 1).any():
            raise FormatError(f"its points leave the {size[0]}x{size[1]} picture")
        return {"mask": rasterise([ring], *size)}
    box = mapping(given, "bounding_box")
    left, top, width, height = (number(box.get(name), name) for name in ("left", "top", "width", "height"))
    check_box((left, top, left + width, top + height), size)
    return {"box_xyxy": (left, top, left + width, top + height)}


def _read_mask(id: str, mask: Mapping[str, Any], size: tuple[int, int], folder: Path) -> Rle:
    url = mask.get("url")
    names = [f"{id}.png", *([url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]] if isinstance(url, str) and url else [])]
    for name in names:
        if name and folder.is_dir() and (path := inside(folder, name)).is_file():
            picture = read_picture(path, size)
            try:
                return Rle.encode((decode_image(picture.data, (size[1], size[0])) > 0).max(axis=2))
            except ValueError as error:
                raise FormatError(f"{path}: {error}") from error
    raise FormatError(f"its mask is kept at an address, which is not fetched; save it as {folder / names[0]}")


# --- writing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: `export.ndjson`, `ontology.json` and `images/`."""

    name = "labelbox"
    holds = frozenset({
        "mask", "box_xyxy", "obb", "keypoints", "keypoints.v", "crowd", "attributes", "info.dataset", "info.split", "info.group",
        "info.licence", "info.annotator", "info.classes", "info.attributes", "category.mirror", "category.skeleton", "category.sigmas",
    })  # fmt: skip
    keeps_empty = True  # of which only a rotated box or points are known

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(folder, categories)

    def _shown(self, record: Record, count: Counter[str]) -> Iterator[Shown]:
        return exports.sayable(super()._shown(record, count), _can_say, count)


class _Session(writing.Session):
    """Turns records into rows, one at a time."""

    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        (folder / "images").mkdir()
        self._rows = self.open("export.ndjson")

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        name = self.names.picture(record)
        (self.folder / "images" / name).write_bytes(record.image)
        annotations: dict[str, list[Any]] = {"objects": [], "classifications": [], "relationships": []}
        for place, one in enumerate(exports.unlike(shown, self.lost), 1):
            _write_instance(one.instance, f"object{place}", self.categories[one.instance.category], record, annotations)
        if record.info.classes is not None:
            annotations["classifications"].append(_write_answer("classes", list(record.info.classes)))
        who = record.info.annotator
        label = {"label_kind": "Default", "label_details": {} if who is None else {"created_by": who}, "annotations": annotations}
        row = {
            "data_row": {"id": record.key, "external_id": name, "row_data": f"images/{name}"},
            "media_attributes": {"height": record.height, "width": record.width},
            "projects": {"synth": {"name": "synth", "labels": [label]}},
            "synth": exports.own_info(record),
        }
        self._rows.write(_to_json(row) + "\n")

    def close(self) -> None:
        points = dict.fromkeys(name for category in self.categories.values() for name in category.keypoints)
        tools: list[dict[str, Any]] = [
            {"tool": tool, "name": one.name, **({"synth": exports.category_to_json(one)} if tool == "rectangle" else {})}
            for one in self.categories.values()
            for tool in ("rectangle", "polygon")
        ]
        tools += [{"tool": "point", "name": name} for name in points]
        (self.folder / "ontology.json").write_text(_to_json({"tools": tools, "classifications": []}) + "\n", encoding="utf-8")


def _can_say(one: Shown) -> bool:
    """Whether there is anything to draw; a mask without pixels is no polygon."""
    return exports.can_say(one.instance) and not (one.instance.mask is not None and one.box_xyxy is None)


def _write_instance(instance: Instance, id: str, category: Category, record: Record, annotations: Mapping[str, list[Any]]) -> None:
    """Add the objects and relationships of an instance."""
    size, measured = record.size, record.source == "synthetic"
    points, lone = instance.keypoints, exports.is_lone_point(instance, category)
    if instance.mask is not None:
        shape: dict[str, Any] = {
            "annotation_kind": "ImagePolygon",
            "polygon": [{"x": x, "y": y} for x, y in one_ring(instance.mask).tolist()],
        }
        own = exports.own_labels(instance, "mask", measured)
    else:
        x0, y0, x1, y1 = exports.drawn_box(instance, size)
        shape = {"annotation_kind": "ImageBoundingBox", "bounding_box": {"top": y0, "left": x0, "height": y1 - y0, "width": x1 - x0}}
        own = exports.own_labels(instance, None if instance.box_xyxy is None else "box_xyxy", measured)
    if not lone:
        annotations["objects"].append(_object(id, instance.category, shape, own))
    if points is None:
        return
    for name, (x, y), v in zip(category.keypoints, points.xy.tolist(), points.v.tolist(), strict=True):
        if v:
            kept = {**({} if v == 2 else {"v": v}), **({**own, "lone": True} if lone else {})}
            shape = {"annotation_kind": "ImagePoint", "point": {"x": x, "y": y}}
            annotations["objects"].append(_object(f"{id}.{name}", name, shape, kept))
            if not lone:
                ends = {"source": id, "target": f"{id}.{name}"}
                annotations["relationships"].append({"name": "keypoint", "unidirectional_relationship": ends})


def _object(id: str, name: str, shape: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """An object; attributes that an answer can be are answers."""
    attributes = own.get("attributes", {})
    answers = {key: value for key, value in attributes.items() if key and _is_answer(value)}
    kept = {**own, "attributes": {key: value for key, value in attributes.items() if key not in answers}} if answers else own
    kept = {key: value for key, value in kept.items() if not (answers and key == "attributes" and not value)}
    item = {"feature_id": id, "name": name, **shape, "classifications": [_write_answer(*answer) for answer in answers.items()]}
    return {**item, "synth": kept} if kept else item


def _is_answer(value: Any) -> bool:
    return bool(value) and (isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) and one for one in value)))


def _write_answer(name: str, value: str | Sequence[str]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"name": name, "radio_answer": {"name": value}}
    return {"name": name, "checklist_answers": [{"name": one} for one in value]}


def _read_ontology(path: Path) -> Layout:
    """The layout of an ontology. Raises FormatError if it is none."""
    categories: dict[str, Category] = {}
    points: list[str] = []
    try:
        for item in listed(mapping(read_json(path), "an ontology").get("tools"), "tools"):
            tool = mapping(item, "a tool")
            name = text(tool.get("name"), "a tool's name")
            if tool.get("tool") == "point":
                points.append(name)
            elif name not in categories:
                categories[name] = exports.category_from_json(name, mapping(tool.get("synth"), "synth"))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    return Layout(list(categories.values()), points)
