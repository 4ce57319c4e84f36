"""Label Studio's labelling configuration: which labels a project has, in which order.

The format: https://labelstud.io/guide/setup. `model_index` of keypoint labels is their order, as in Label Studio's own YOLO and COCO
exports; one without it stands where the file has it. A rectangle label of ours has `keypoints`, `skeleton`, `mirror` and `sigmas` as JSON
in attributes of these names, which Label Studio passes over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synth.errors import FormatError
from synth.formats import xml
from synth.formats.exports import Layout, category_from_json, category_to_json
from synth.types import Category

_OBJECTS = ("RectangleLabels", "PolygonLabels", "BrushLabels", "EllipseLabels", "Labels")
_LAYOUT = ("keypoints", "skeleton", "mirror", "sigmas")


@dataclass(frozen=True, slots=True)
class Config:
    """layout: categories and keypoints. image: which of a task's data is the picture."""

    layout: Layout = field(default_factory=Layout)
    image: str | None = None


def read(path: Path) -> Config:
    """The configuration in the file `path`. Raises FormatError if it is none."""
    tags = list(_all(xml.read(path, "View")))
    categories: dict[str, Category] = {}
    points: dict[str, int] = {}
    for tag in tags:
        for label in tag.all("Label"):
            name = label.attributes.get("alias") or label.attributes.get("value", "")
            if tag.tag in _OBJECTS and name and name not in categories:
                try:
                    own = {part: json.loads(label.attributes.get(part) or "[]") for part in _LAYOUT}
                    categories[name] = category_from_json(name, own)
                except (FormatError, ValueError, RecursionError) as error:
                    raise FormatError(f"{path}, line {label.line}: the keypoints of '{name}': {error}") from error
            if tag.tag == "KeyPointLabels" and name:
                index = label.attributes.get("model_index", "")
                points.setdefault(name, int(index) if index.isascii() and index.isdigit() and len(index) < 10 else len(points))
    images = [tag.attributes.get("value", "") for tag in tags if tag.tag == "Image"]
    image = images[0][1:] if len(images) == 1 and images[0].startswith("$") else None
    return Config(Layout(list(categories.values()), sorted(points, key=lambda name: points[name])), image or None)


def _all(element: xml.Element) -> Iterator[xml.Element]:
    yield element
    for child in element.children:
        yield from _all(child)


def write(categories: Sequence[Category], classes: Sequence[str]) -> str:
    """The XML of a project that can hold these. Raises LabelError if a name cannot stand in XML."""
    boxes = [
        xml.element("Label", value=one.name, **{part: json.dumps(value) for part, value in category_to_json(one).items()})
        for one in categories
    ]
    masks = [xml.element("Label", value=one.name) for one in categories]
    names = dict.fromkeys(name for category in categories for name in category.keypoints)
    points = [xml.element("Label", value=name, model_index=place) for place, name in enumerate(names)]
    controls = [xml.element("Image", name="image", value="$image")]
    for tag, name, labels in (
        ("RectangleLabels", "rectangle", boxes),
        ("BrushLabels", "brush", masks),
        ("KeyPointLabels", "keypoint", points),
    ):
        if labels:
            controls.append(xml.element(tag, labels, name=name, toName="image"))
    if classes:
        choices = [xml.element("Choice", value=name) for name in classes]
        controls.append(xml.element("Choices", choices, name="classes", toName="image", choice="multiple"))
    return xml.element("View", controls) + "\n"
