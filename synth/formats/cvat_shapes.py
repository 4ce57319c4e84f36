"""CVAT's shapes: what each says of an instance, and which of them are one instance; the laws are in `cvat`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from synth.errors import FormatError
from synth.formats import reading, xml
from synth.formats.cvat_labels import SHAPES, Labels
from synth.formats.exports import check_obb
from synth.formats.writing import box_and_area
from synth.polygons import rasterise
from synth.types import F64, Category, Instance, Keypoints, Obb, Rle

_CORNERS = 256  # of the polygon that stands for an ellipse: off by less than 1e-4 of its radius
_MERGED = [one.name for one in fields(Instance) if one.name not in ("category", "attributes")]


def whole(element: xml.Element, name: str) -> int:
    """An attribute that must be a whole number. Raises FormatError."""
    value = element.number(name)
    if not value.is_integer():
        raise FormatError(f"{name} must be a whole number, got {value:g}")
    return int(value)


@dataclass(frozen=True, slots=True)
class Shape:
    """An instance of one shape. kind: what it says, so that shapes of different kinds may be one instance."""

    instance: Instance
    kind: str
    group: int


def read_shape(shape: xml.Element, label: str, labels: Labels, size: tuple[int, int]) -> Shape:
    """What the shape of a picture of `size` (width, height) says. Raises FormatError or LabelError."""
    if shape.tag not in SHAPES:
        raise FormatError(f"such a shape cannot be read; known: {', '.join(SHAPES)}, tag")
    attributes: dict[str, Any] = {}
    kind, said = _geometry(shape, label, labels, size)
    attributes |= said.pop("attributes", {})
    if xml.flag(shape.attributes.get("occluded", ""), "occluded"):
        attributes["occluded"] = True
    if (z_order := _number(shape, "z_order")) != 0:
        attributes["z_order"] = z_order
    if (source := shape.attributes.get("source", "manual")) != "manual":
        attributes["source"] = source
    for owner, prefix in [(shape, ""), *((point, f"{point.attributes.get('label', '')}.") for point in shape.all("points"))]:
        for one in owner.all("attribute"):
            name = one.attribute("name")
            attributes[prefix + name] = labels.value(label, name, "".join(one.parts))
    return Shape(Instance(label, attributes=attributes or None, **said), kind, _number(shape, "group_id"))


def _number(shape: xml.Element, name: str) -> int:
    value = xml.number(shape.attributes.get(name, "0"), name)
    if not value.is_integer():
        raise FormatError(f"{name} must be a whole number, got {value:g}")
    return int(value)


def _geometry(shape: xml.Element, label: str, labels: Labels, size: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    """What a shape says of its instance, and its kind."""
    if shape.tag == "box":
        return _box(shape, size)
    if shape.tag == "mask":
        return "mask", _region(_mask(shape, size))
    if shape.tag == "ellipse":
        rx, ry = shape.number("rx"), shape.number("ry")
        if not (rx > 0 and ry > 0):
            raise FormatError(f"the radii of an ellipse must be above 0, got {rx:g} and {ry:g}")
        turn = np.arange(_CORNERS) * 2 * math.pi / _CORNERS
        round_ = np.column_stack([rx * np.cos(turn), ry * np.sin(turn)])
        return "mask", _region(rasterise([_turned(shape, round_) + (shape.number("cx"), shape.number("cy"))], *size))
    if shape.tag == "skeleton":
        return "keypoints", {"keypoints": _skeleton(shape, labels.categories[label], size)}
    xy = _points(shape, size)
    if shape.tag == "polygon":
        if len(xy) < 3:
            raise FormatError(f"a polygon needs at least 3 points, got {len(xy)}")
        return "mask", _region(rasterise([xy], *size))
    if shape.tag == "polyline":
        return "polyline", {"attributes": {"polyline_xy": xy.tolist()}}
    names = labels.categories[label].keypoints
    if len(xy) != len(names):
        raise FormatError(
            f"{len(xy)} points, but the label has {len(names)}: {', '.join(names)[:200]}; all of a label must have the same number"
        )
    v = 1 if xml.flag(shape.attributes.get("occluded", ""), "occluded") else 2
    return "keypoints", {"keypoints": Keypoints(xy, np.full(len(xy), v, np.int32))}


def _region(mask: Rle) -> dict[str, Any]:
    box, area = box_and_area(Instance("", mask))
    if box is None:
        raise FormatError("it covers no pixel's centre")
    return {"mask": mask, "box_xyxy": box, "area_px": int(area)}


def _box(shape: xml.Element, size: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    x0, y0, x1, y1 = box = (shape.number("xtl"), shape.number("ytl"), shape.number("xbr"), shape.number("ybr"))
    if "rotation" not in shape.attributes:
        reading.check_box(box, size)
        return "box", {"box_xyxy": box}
    obb = Obb((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, math.radians(shape.number("rotation") % 180) % math.pi)
    check_obb(obb, size)
    return "obb", {"obb": obb}


def _turned(shape: xml.Element, xy: F64) -> F64:
    """Points around (0, 0), turned clockwise on the screen by the shape's rotation."""
    angle = math.radians(xml.number(shape.attributes.get("rotation", "0"), "rotation"))
    cos, sin = math.cos(angle), math.sin(angle)
    turned: F64 = xy @ np.array([[cos, sin], [-sin, cos]])
    return turned


def _points(shape: xml.Element, size: tuple[int, int]) -> F64:
    """(n, 2) px of `x,y;x,y`, all in the picture."""
    pairs = [pair.split(",") for pair in shape.attribute("points").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise FormatError("points must be x,y;x,y;...")
    xy = np.array([[xml.number(value, "a coordinate") for value in pair] for pair in pairs])
    _check_inside(xy, size, "a point")
    return xy


def _check_inside(xy: F64, size: tuple[int, int], what: str, slack_px: float = 1.0) -> None:
    outside = ((xy < -slack_px) | (xy > np.array(size) + slack_px)).any(axis=1)
    if outside.any():
        x, y = xy[outside][0].tolist()
        raise FormatError(f"{what} ({x:g}, {y:g}) leaves the {size[0]}x{size[1]} picture")


def _mask(shape: xml.Element, size: tuple[int, int]) -> Rle:
    left, top, width, height = (whole(shape, name) for name in ("left", "top", "width", "height"))
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[0] or top + height > size[1]:
        raise FormatError(f"its {width}x{height} pixels from column {left}, row {top} leave the {size[0]}x{size[1]} picture")
    runs = np.array([xml.number(run, "a run length") for run in shape.attribute("rle").split(",")])
    if (runs < 0).any() or (runs % 1 != 0).any() or runs.sum() != width * height:
        raise FormatError(f"its run lengths must be whole numbers that sum up to {width} x {height} = {width * height}, got {runs.sum():g}")
    pixels = np.zeros((size[1], size[0]), np.bool_)
    pixels[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(np.intp)).reshape(height, width)
    return Rle.encode(pixels)


def _skeleton(shape: xml.Element, category: Category, size: tuple[int, int]) -> Keypoints:
    xy, v = np.zeros((len(category.keypoints), 2)), np.zeros(len(category.keypoints), np.int32)
    points = shape.all("points")
    names = [point.attributes.get("label", "") for point in points]
    reading.unique(names, "point")
    for point, name in zip(points, names, strict=True):
        if name not in category.keypoints:
            raise FormatError(f"line {point.line}: its point '{name[:40]}' is none of {', '.join(category.keypoints)[:200]}")
        if xml.flag(point.attributes.get("outside", ""), "outside"):
            continue
        at = _points(point, size)
        if len(at) != 1:
            raise FormatError(f"line {point.line}: point '{name}' must be one point, got {len(at)}")
        place = category.keypoints.index(name)
        xy[place], v[place] = at[0], 1 if xml.flag(point.attributes.get("occluded", ""), "occluded") else 2
    return Keypoints(xy, v)


def grouped(shapes: Sequence[Shape]) -> Iterator[Instance]:
    """The instances: shapes of one label and group as one where they can be, in the order of their first shapes."""
    groups: dict[Any, list[Shape]] = {}
    for place, shape in enumerate(shapes):
        groups.setdefault((shape.group, shape.instance.category) if shape.group else place, []).append(shape)
    in_group = [shape.group for shape in shapes]
    for together in groups.values():
        merged = _merged(together)
        if merged is not None and in_group.count(together[0].group) == len(together):
            yield merged
            continue
        for one in [together[0]] if merged is not None else together:
            instance = one.instance if merged is None else merged
            attributes = {"group_id": one.group} if one.group else {}
            yield replace(instance, attributes={**attributes, **(instance.attributes or {})} or None)


def _merged(shapes: Sequence[Shape]) -> Instance | None:
    """One instance of several shapes; None if it is only one or they say the same thing twice."""
    if len(shapes) < 2 or len({shape.kind for shape in shapes}) < len(shapes):
        return None
    labels: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for shape in sorted(shapes, key=lambda shape: shape.kind == "box"):  # a box that was drawn goes before that of a mask
        values: Mapping[str, Any] = shape.instance.attributes or {}
        if any(attributes.setdefault(name, value) != value for name, value in values.items()):
            return None
        labels |= {name: value for name in _MERGED if (value := getattr(shape.instance, name)) is not None}
    return Instance(shapes[0].instance.category, attributes=attributes or None, **labels)
