"""CVAT's labels: what <meta> says of categories, their skeletons and attributes, and what the shapes of a file add to that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.errors import ConfigError, FormatError
from synth.formats import xml
from synth.types import Category

_TEXTS = ("text", "radio", "select")
SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "skeleton")


@dataclass(slots=True)
class Labels:
    """categories by name. tags: labels for whole pictures only. types: input_type of an attribute by label and name. annotators: by task
    id, None for all others. images: the attributes of each <image>.

    declared: whether <meta> lists labels, so that no others may be used.
    """

    categories: dict[str, Category] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    annotators: dict[str | None, str] = field(default_factory=dict)
    declared: bool = False
    images: list[Mapping[str, str]] = field(default_factory=list)

    def value(self, label: str, name: str, text: str) -> Any:
        """What an attribute's text says."""
        kind = self.types.get((label, name))
        return text if kind in _TEXTS else xml.value_of(text.lower() if kind == "checkbox" else text)


def scan(path: Path) -> Labels:
    """The labels of the file, from <meta> and from its shapes. Raises FormatError if it is no export "for images"."""
    labels = Labels()
    points: dict[str, list[str]] = {}
    edges: dict[str, tuple[tuple[str, str], ...]] = {}
    skeletons: set[str] = set()
    for element in xml.stream(path, "annotations"):
        if element.tag == "track":
            raise FormatError(f"{path}, line {element.line}: a <track>: this is 'CVAT for video'; export the task as 'CVAT for images 1.1'")
        if element.tag == "meta":
            for job in (child for child in element.children if child.tag in ("task", "project", "job")):
                _read_people(job, labels.annotators)
                skeletons |= _read_labels(path, job.find("labels"), labels, points, edges)
        if element.tag == "image":
            labels.images.append(element.attributes)
            for shape in (child for child in element.children if child.tag in SHAPES):
                label = shape.attributes.get("label", "")
                names = points.setdefault(label, [])
                if shape.tag == "skeleton" and (label not in skeletons):
                    names += [one.attributes.get("label", "") for one in shape.all("points")]
                    points[label] = list(dict.fromkeys(names))
                elif shape.tag == "points" and not names:
                    count = shape.attributes.get("points", "").count(";") + 1
                    names += [label] if count == 1 else [str(number) for number in range(1, count + 1)]
    points.pop("", None)
    for name, keypoints in points.items():
        try:
            if name in labels.categories or not labels.declared:
                labels.categories[name] = Category(name, tuple(keypoints), skeleton=edges.get(name, ()))
        except ConfigError as error:
            raise FormatError(f"{path}: {error}") from error
    return labels


def _read_people(job: xml.Element, annotators: dict[str | None, str]) -> None:
    tasks = job.find("tasks")
    for task in [] if tasks is None else tasks.all("task"):
        annotator = task.said("assignee", "username") or task.said("owner", "username")
        if annotator:
            annotators[task.said("id")] = annotator
    annotator = job.said("assignee", "username") or job.said("owner", "username")
    if annotator and tasks is None:
        annotators[None] = annotator


def _read_labels(
    path: Path, listed: xml.Element | None, labels: Labels, points: dict[str, list[str]], edges: dict[str, tuple[tuple[str, str], ...]]
) -> set[str]:
    """Add what <labels> lists; returns the labels whose points it names."""
    drawn: dict[str, xml.Element] = {}
    parents: set[str] = set()
    for label in [] if listed is None else listed.all("label"):
        name, parent = label.said("name"), label.said("parent")
        if not name:
            raise FormatError(f"{path}, line {label.line}: a label has no name")
        for attribute in [] if (attributes := label.find("attributes")) is None else attributes.all("attribute"):
            labels.types[parent or name, attribute.said("name")] = attribute.said("input_type")
        if parent:
            parents.add(parent)
            points.setdefault(parent, []).append(name)
            continue
        labels.declared = True
        if label.said("type") == "tag":
            labels.tags.append(name)
            continue
        labels.categories[name] = Category(name)
        points.setdefault(name, [])
        if (svg := label.find("svg")) is not None and svg.text:
            drawn[name] = svg
    for name, svg in drawn.items():
        edges[name] = _edges(xml.parse(f"<svg>{svg.text}</svg>", "svg", f"{path}, line {svg.line}: svg of '{name}'"), points[name])
    return parents


def _edges(svg: xml.Element, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The lines of a skeleton's drawing, by the names of its points."""
    name_of: dict[str, str] = {}
    for circle in svg.all("circle"):
        place = circle.attributes.get("data-element-id", "")
        nth = names[int(place) - 1] if place.isascii() and place.isdigit() and 0 < int(place[:9]) <= len(names) else ""
        name_of[circle.attributes.get("data-node-id", "")] = circle.attributes.get("data-label-name", nth)
    ends = ([name_of.get(line.attributes.get(f"data-node-{end}", "")) for end in ("from", "to")] for line in svg.all("line"))
    return tuple((a, b) for a, b in ends if a in names and b in names and a is not None and b is not None)


def write_meta(categories: Sequence[Category], tags: Sequence[str], types: Mapping[tuple[str, str], str], annotators: Sequence[str]) -> str:
    """<meta> of a project with a task for each annotator, numbered from 1, or of a task where there is none."""
    own = [xml.element("label", [xml.element("name", name), xml.element("type", "tag"), xml.element("attributes")]) for name in tags]
    labels = xml.element("labels", [text for category in categories for text in _label(category, types)] + own)
    if not annotators:
        return xml.element("meta", [xml.element("task", [xml.element("name", "synth"), xml.element("mode", "annotation"), labels])])
    tasks = [
        xml.element("task", [xml.element("id", str(number)), xml.element("assignee", [xml.element("username", name)])])
        for number, name in enumerate(annotators, 1)
    ]
    return xml.element("meta", [xml.element("project", [xml.element("name", "synth"), xml.element("tasks", tasks), labels])])


def _label(category: Category, types: Mapping[tuple[str, str], str]) -> list[str]:
    """The label and those of its keypoints."""
    attributes = [
        xml.element("attribute", [
            xml.element("name", name), xml.element("mutable", "False"), xml.element("input_type", kind),
            xml.element("default_value", "false" if kind == "checkbox" else ""), xml.element("values", ""),
        ])
        for (label, name), kind in types.items() if label == category.name
    ]  # fmt: skip
    kind = "skeleton" if category.keypoints else "any"
    parts = [xml.element("name", category.name), xml.element("type", kind), xml.element("attributes", attributes)]
    if not category.keypoints:
        return [xml.element("label", parts)]
    below = [
        xml.element("label", [xml.element("name", name), xml.element("type", "points"), xml.element("parent", category.name)])
        for name in category.keypoints
    ]
    return [xml.element("label", [*parts, xml.element("svg", _drawing(category))]), *below]


def _drawing(category: Category) -> str:
    """The skeleton on a circle, in percent of the drawing area, as CVAT's editor draws it."""
    number = {name: place for place, name in enumerate(category.keypoints, 1)}
    at = {name: [50 + 40 * turn(2 * math.pi * place / len(number)) for turn in (math.cos, math.sin)] for name, place in number.items()}
    lines = [
        f'<line x1="{at[a][0]:.2f}" y1="{at[a][1]:.2f}" x2="{at[b][0]:.2f}" y2="{at[b][1]:.2f}" data-type="edge" '
        f'data-node-from="{number[a]}" data-node-to="{number[b]}"/>'
        for a, b in category.skeleton
    ]
    circles = [
        f'<circle r="1.5" cx="{at[name][0]:.2f}" cy="{at[name][1]:.2f}" data-type="element node" data-element-id="{place}" '
        f'data-node-id="{place}" data-label-name="{xml.escape(name)}"/>'
        for name, place in number.items()
    ]
    return "".join([*lines, *circles])
