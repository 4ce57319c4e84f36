"""What the readers of annotation tools' exports share: fields that are checked, pictures found by address, keypoints put to their objects.

An export is first read into drafts, because only all of them together tell which keypoints a category has; then picture by picture into
records. Points are labels of their own in these tools. One that is tied to an object (each reader says how) is that object's keypoint,
named by its label. One that is tied to nothing is an object of its own: its label is the category, with a single keypoint of that name.

What a tool has no field for is kept under the name `synth` where it keeps foreign fields, so that an export of ours comes back whole.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats.reading import Faults, brief, check_box, check_visibility, inside, number, numbers, pictures_in, read_picture, text
from synth.formats.writing import Box, Shown, box_and_area, count_unsaid
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Obb, SampleInfo

_UPLOAD_MARK = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts eight hex digits before the name of an uploaded file
_REACH = 4.0  # diagonals of the picture that a side of a rotated box may be long
_INFO_TEXTS = ("dataset", "split", "group", "licence")


@dataclass(frozen=True, slots=True)
class Shape:
    """One object of an export. value: its geometry as the tool writes it. own: what an export of ours keeps beside it."""

    id: str
    category: str
    kind: str
    value: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} '{self.category}' ({self.id})"


@dataclass(frozen=True, slots=True)
class Point:
    """One labelled point. parent: id of its shape, None if it is tied to nothing. attributes: of a tied one, they go to its object's
    attributes under its name."""

    id: str
    name: str
    value: Mapping[str, Any]
    parent: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"point '{self.name}' ({self.id})"


@dataclass(slots=True)
class Draft:
    """One picture as an export describes it. id: the tool's. addresses: where the tool had it, by preference. size: width and height by the
    export."""

    where: str
    id: str | None = None
    addresses: Sequence[str] = ()
    size: tuple[int, int] | None = None
    shapes: Sequence[Shape] = ()
    points: Sequence[Point] = ()
    info: SampleInfo = SampleInfo()
    key: str | None = None
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a labelling configuration says. categories: in its order, those of ours with all they have. points: names, in its order."""

    categories: Sequence[Category] = ()
    points: Sequence[str] = ()


Geometry = Callable[[Shape, tuple[int, int]], dict[str, Any]]  # a shape in a picture of this size -> fields of its Instance
Place = Callable[[Point, tuple[int, int]], tuple[float, float]]  # a point -> x, y in px


# --- fields of JSON -----------------------------------------------------------------------------------------------------


def mapping(value: Any, what: str) -> dict[str, Any]:
    """`value` as a JSON object, None as an empty one. Raises FormatError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"{what} must be an object, got {brief(value)}")
    return value


def listed(value: Any, what: str) -> list[Any]:
    """`value` as a JSON list, None as an empty one. Raises FormatError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise FormatError(f"{what} must be a list, got {brief(value)}")
    return value


# --- ours ---------------------------------------------------------------------------------------------------------------


def own_info(record: Record) -> dict[str, Any]:
    """What to keep of a sample that the tools have no field for."""
    values = {name: getattr(record.info, name) for name in _INFO_TEXTS}
    found = {"key": record.key, **{name: value for name, value in values.items() if value is not None}}
    return found if record.info.attributes is None else {**found, "attributes": dict(record.info.attributes)}


def read_own_info(own: Mapping[str, Any], info: SampleInfo) -> tuple[str | None, SampleInfo]:
    """The key and `info` with what `own_info` kept. Raises FormatError."""
    texts: dict[str, Any] = {name: text(own[name], f"synth.{name}") for name in _INFO_TEXTS if own.get(name) is not None}
    attributes = info.attributes
    if own.get("attributes") is not None:
        attributes = {**mapping(own["attributes"], "synth.attributes"), **(attributes or {})}
    key = None if own.get("key") is None else text(own["key"], "synth.key")
    return key, replace(info, **texts, attributes=attributes)


Drawn = Literal["mask", "obb", "box_xyxy"]


def own_labels(instance: Instance, drawn: Drawn | None, measured: bool) -> dict[str, Any]:
    """What to keep of an instance as JSON beside the shape that the tool draws of it: `drawn`, or None if that only ties its points.

    A box and a rotated box that follow from a mask are not kept, so that they do not stay behind when someone changes the mask. measured:
    whether a rotated box does.
    """
    obb = None if measured and instance.mask is not None else instance.obb
    box = instance.box_xyxy
    if instance.mask is not None and box == box_and_area(Instance(instance.category, instance.mask))[0]:
        box = None
    values = {
        "box_xyxy": None if box is None or drawn == "box_xyxy" else list(box),
        "obb": None if obb is None or drawn == "obb" else [obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad],
        "crowd": instance.crowd,
        "attributes": None if instance.attributes is None else dict(instance.attributes),
        "keypoints": None if instance.keypoints is None or instance.keypoints.v.any() else False,  # False: all of them v = 0
        "shape": None if drawn else False,
    }
    return {name: value for name, value in values.items() if value is not None}


def drawn_box(instance: Instance, size: tuple[int, int]) -> Box:
    """The box to draw for an instance without a mask: its own, that of its rotated box, else one of some area around its points."""
    if instance.box_xyxy is not None:
        return instance.box_xyxy
    corners = None if instance.obb is None else instance.obb.corners_xy
    if corners is None:
        assert instance.keypoints is not None  # `can_say` has told
        xy = instance.keypoints.xy[instance.keypoints.v > 0]
        corners = np.concatenate([xy - 1, xy + 1])
    low, high = np.clip(corners.min(axis=0), 0, size).tolist(), np.clip(corners.max(axis=0), 0, size).tolist()
    return low[0], low[1], high[0], high[1]


def is_lone_point(instance: Instance, category: Category) -> bool:
    """Whether it is what a point that is tied to nothing becomes."""
    return not _has_shape(instance) and instance.keypoints is not None and category.keypoints == (category.name,)


def can_say(instance: Instance) -> bool:
    """Whether it has anything that lies in the picture."""
    return _has_shape(instance) or (instance.keypoints is not None and bool(instance.keypoints.v.any()))


def _has_shape(instance: Instance) -> bool:
    return instance.mask is not None or instance.box_xyxy is not None or instance.obb is not None


def read_own_labels(own: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """The labels that `own_labels` kept. Raises FormatError."""
    found: dict[str, Any] = {}
    if own.get("box_xyxy") is not None:
        x0, y0, x1, y1 = numbers(own["box_xyxy"], 4, "synth.box_xyxy")
        check_box((x0, y0, x1, y1), size, "synth.box_xyxy")
        found["box_xyxy"] = (x0, y0, x1, y1)
    if own.get("obb") is not None:
        found["obb"] = Obb(*numbers(own["obb"], 5, "synth.obb"))
        check_obb(found["obb"], size, "synth.obb")
    if own.get("crowd") is not None:
        if not isinstance(own["crowd"], bool):
            raise FormatError(f"synth.crowd must be true or false, got {brief(own['crowd'])}")
        found["crowd"] = own["crowd"]
    if own.get("attributes") is not None:
        found["attributes"] = mapping(own["attributes"], "synth.attributes")
    return found


def check_obb(obb: Obb, size: tuple[int, int], what: str = "the rotated box") -> None:
    """Raise FormatError unless a rotated box has an area, its centre in the picture, and no side far longer than that."""
    if not (obb.width > 0 and obb.height > 0):
        raise FormatError(f"{what} has no area: {obb.width:g} by {obb.height:g}")
    if not (-1 <= obb.center_x <= size[0] + 1 and -1 <= obb.center_y <= size[1] + 1):
        raise FormatError(f"the centre of {what}, {obb.center_x:g}, {obb.center_y:g}, is outside the {size[0]}x{size[1]} picture")
    if max(obb.width, obb.height) > _REACH * math.hypot(*size):
        raise FormatError(f"{what} of {obb.width:g} by {obb.height:g} is far larger than the {size[0]}x{size[1]} picture")


def content(instance: Instance) -> str:
    """All that these tools hold of an instance: equal for equal ones, to 1e-9 px."""
    box, obb, points = instance.box_xyxy, instance.obb, instance.keypoints
    numbers = [
        [] if box is None else box,
        [] if obb is None else (obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad),
        [] if points is None else [*points.xy.ravel().tolist(), *points.v.tolist()],
    ]
    rounded = [[round(number, 9) for number in part] for part in numbers]
    return repr((instance.category, instance.mask, rounded, instance.crowd, instance.attributes))


def unlike(shown: Sequence[Shown], lost: Counter[str]) -> list[Shown]:
    """Each of several equal ones once, for no reader can tell them from a mistake; the others are counted as lost."""
    once: dict[str, Shown] = {}
    for one in shown:
        once.setdefault(content(one.instance), one)
    lost["equal objects"] += len(shown) - len(once)
    return list(once.values())


def sayable(shown: Iterable[Shown], can: Callable[[Shown], bool], count: Counter[str]) -> Iterator[Shown]:
    """Those that a tool can say; the others are counted, as what does not show or as lost."""
    for one in shown:
        if can(one):
            yield one
        else:
            count_unsaid(one.instance, count)


# --- pictures -----------------------------------------------------------------------------------------------------------


class Pictures:
    """The picture files below `folder`, found by the base name of the address that a tool had them under. Nothing is ever fetched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named: dict[str, list[PurePosixPath]] = {}
        for path in pictures_in(folder):
            name = PurePosixPath(path.relative_to(folder).as_posix())
            for known in {name.name, name.stem}:
                self._named.setdefault(known, []).append(name)

    def find(self, addresses: Sequence[str]) -> PurePosixPath:
        """The one file, relative to the folder, that one of `addresses` names: a path, a URL, or Label Studio's `?d=` of local files.

        The base name counts whole, then without the mark of an upload; each as the file's name, then as that without its ending. Of
        several files of one name, the one that shares most folders with the address. Raises FormatError if there is none, or no single one.
        """
        for address in addresses:
            for parts in _readings(address):
                for name in (parts[-1], _UPLOAD_MARK.sub("", parts[-1])):
                    if found := self._named.get(name):
                        return self._nearest([one for one in found if one.name == name] or found, parts)
        if not addresses:
            raise FormatError("it does not say where its picture was")
        raise FormatError(
            f"its picture {brief(addresses[0])} is not below {self.folder}; put it there (addresses are not fetched) or set images"
        )

    def _nearest(self, found: Sequence[PurePosixPath], parts: Sequence[str]) -> PurePosixPath:
        def shared(path: PurePosixPath) -> int:
            pairs = zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False)
            return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(path.parts), len(parts)) - 1)

        most = max(map(shared, found))
        nearest = [path for path in found if shared(path) == most]
        if len(nearest) > 1:
            both = "' and '".join(map(str, nearest[:2]))
            raise FormatError(f"its picture could be '{both}' below {self.folder}; keep one of them there")
        return nearest[0]


def _readings(address: str) -> list[list[str]]:
    """The folders and the base name of an address, as a URL and as it stands, for a file may have any character in its name."""
    if address.startswith("data:"):
        raise FormatError("its picture is inside the file as base64; save it as a picture file")
    plain = address.replace("\\", "/")
    try:
        url = urlsplit(plain)
        local = (parse_qs(url.query).get("d") or [""])[0].replace("\\", "/")
        paths = [local or unquote(url.path), plain] if local or url.netloc else [plain, unquote(url.path)]
    except ValueError:
        paths = [plain]
    readings = [[part for part in path.split("/") if part not in ("", ".", "..")] for path in paths]
    return [parts for parts in readings if parts]


# --- records ------------------------------------------------------------------------------------------------------------


def categories_of(drafts: Sequence[Draft], layout: Layout) -> tuple[Category, ...]:
    """The categories of all drafts: those of the layout first, in its order, then others by name.

    The keypoints of a category that the layout does not list them for: those that its objects have anywhere, in the layout's order, then
    by name; if only one category can have any, all of the layout's.
    """
    order = {name: i for i, name in enumerate(layout.points)}
    met: dict[str, set[str]] = {}
    for draft in drafts:
        names = {shape.id: shape.category for shape in draft.shapes}
        for shape in draft.shapes:
            met.setdefault(shape.category, set())
        for point in draft.points:
            met.setdefault(point.name if point.parent is None else names[point.parent], set()).add(point.name)
    lone = {point.name for draft in drafts for point in draft.points if point.parent is None}
    able = [name for name in met if met[name] and name not in lone] or [one.name for one in layout.categories]
    if len(able) == 1:
        met.setdefault(able[0], set()).update(name for name in layout.points if name not in lone)
    known = {category.name: category for category in layout.categories}
    made = []
    for name in [*known, *sorted(met.keys() - known.keys())]:
        points = sorted(met.get(name, ()), key=lambda point: (order.get(point, len(order)), point))
        category = known.get(name, Category(name))
        made.append(category if category.keypoints else replace(category, keypoints=tuple(points)))
    return tuple(made)


def records_of(
    drafts: Sequence[Draft], pictures: Pictures, layout: Layout, geometry: Geometry, place_of: Place, faults: Faults
) -> Iterator[Record]:
    """The right drafts as records, each with its picture."""
    categories = categories_of(drafts, layout)
    known = {category.name: category for category in categories}
    tied = {point.name for draft in drafts for point in draft.points if point.parent is not None}
    uses = _Uses(drafts, pictures)
    for place, draft in enumerate(drafts):
        found = [*draft.faults, *uses.faults(place)]
        try:
            name = pictures.find(draft.addresses)
            picture = read_picture(inside(pictures.folder, str(name)), draft.size)
        except FormatError as error:
            faults.add(draft.where, [*found, str(error)])
            continue
        size = (picture.width, picture.height)
        made: list[tuple[Shape | Point, Instance]] = [
            *_objects(draft, size, known, geometry, place_of, found),
            *_lone_points(draft, size, known, tied, place_of, found),
        ]
        first: dict[str, Shape | Point] = {}
        for one, instance in made:
            other = first.setdefault(content(instance), one)
            if other is not one:
                found.append(f"{one}: it is {other} once more; keep one of them")
        if found:
            faults.add(draft.where, found)
            continue
        yield Record(
            key=draft.key or str(name),
            source="real",
            width=picture.width,
            height=picture.height,
            image=picture.data,
            image_format=picture.format,
            instances=tuple(instance for _, instance in made),
            categories=categories,
            info=draft.info,
        )


class _Uses:
    """Which drafts share an id, a key or a picture file: of those nobody knows which is right."""

    def __init__(self, drafts: Sequence[Draft], pictures: Pictures) -> None:
        self._drafts = drafts
        self._of = [dict(_used(draft, pictures)) for draft in drafts]
        self._by: dict[tuple[str, str], list[int]] = {}
        for place, used in enumerate(self._of):
            for use in used.items():
                self._by.setdefault(use, []).append(place)

    def faults(self, place: int) -> list[str]:
        """What a draft shares with another."""
        for what, name in self._of[place].items():
            others = [other for other in self._by[what, name] if other != place]
            if others:
                return [f"its {what} {brief(name)} is that of {self._drafts[others[0]].where} too; keep one of them"]
        return []


def _used(draft: Draft, pictures: Pictures) -> Iterator[tuple[str, str]]:
    if draft.id is not None:
        yield "id", draft.id
    try:
        name = pictures.find(draft.addresses)
    except FormatError:
        return  # said when it is read
    yield "picture", str(name)
    yield "key", draft.key or str(name)


def _objects(
    draft: Draft, size: tuple[int, int], known: Mapping[str, Category], geometry: Geometry, place: Place, found: list[str]
) -> Iterator[tuple[Shape, Instance]]:
    points: dict[str | None, list[Point]] = {}
    for point in draft.points:
        points.setdefault(point.parent, []).append(point)
    for shape in draft.shapes:
        try:
            drawn = {} if shape.own.get("shape") is False else geometry(shape, size)
            if (mask := drawn.get("mask")) is not None:
                drawn["box_xyxy"], area = box_and_area(Instance(shape.category, mask))
                drawn["area_px"] = int(area)
                if not area and shape.kind != "brush":
                    raise FormatError("it covers the centre of no pixel")
            labels = {**drawn, **read_own_labels(shape.own, size)}
            of_points = {point.name: dict(point.attributes) for point in points.get(shape.id, ()) if point.attributes}
            labels |= _with_attributes(labels, {**of_points, **shape.attributes})
            if shape.id in points or shape.own.get("keypoints") is False:
                labels["keypoints"] = _keypoints(points.get(shape.id, []), known[shape.category], size, place)
            yield shape, Instance(shape.category, **labels)
        except (FormatError, LabelError) as error:
            found.append(f"{shape}: {error}")


def _lone_points(
    draft: Draft, size: tuple[int, int], known: Mapping[str, Category], tied: set[str], place: Place, found: list[str]
) -> Iterator[tuple[Point, Instance]]:
    for point in draft.points:
        try:
            if point.parent is None and point.name in tied and point.own.get("lone") is not True:
                raise FormatError("it is tied to no object, as others of its name are; tie it to one")
            if point.parent is None:
                keypoints = _keypoints([point], known[point.name], size, place)
                labels = read_own_labels(point.own, size)
                yield point, Instance(point.name, keypoints=keypoints, **{**labels, **_with_attributes(labels, point.attributes)})
        except FormatError as error:
            found.append(f"{point}: {error}")


def _with_attributes(labels: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"attributes": {**labels.get("attributes", {}), **attributes}} if attributes else {}


def _keypoints(points: Sequence[Point], category: Category, size: tuple[int, int], place: Place) -> Keypoints:
    twice = [name for name, count in Counter(point.name for point in points).items() if count > 1]
    if twice:
        raise FormatError(f"it has the keypoint '{twice[0]}' twice")
    xy, v = np.zeros((len(category.keypoints), 2)), np.zeros(len(category.keypoints), np.int32)
    for point in points:
        if point.name not in category.keypoints:
            raise FormatError(f"'{point.name}' is no keypoint of '{category.name}': {', '.join(category.keypoints)}")
        x, y = place(point, size)
        if not (-1 <= x <= size[0] + 1 and -1 <= y <= size[1] + 1):
            raise FormatError(f"keypoint '{point.name}' at {x:g}, {y:g} is outside the {size[0]}x{size[1]} picture")
        index = category.keypoints.index(point.name)
        # A point that someone has set is labelled; only exports of ours say that it is hidden.
        xy[index], v[index] = (x, y), check_visibility(point.own.get("v", 2), f"keypoint '{point.name}'")
    return Keypoints(xy, v)


def category_to_json(category: Category) -> dict[str, Any]:
    """The layout of a category beside its name, as JSON; empty if there is none."""
    values = {name: getattr(category, name) for name in ("keypoints", "mirror", "skeleton", "sigmas")}
    return {name: [list(one) if isinstance(one, tuple) else one for one in value] for name, value in values.items() if value}


def category_from_json(name: str, own: Mapping[str, Any]) -> Category:
    """The category that `category_to_json` wrote. Raises FormatError."""
    lists = {part: listed(own.get(part), part) for part in ("keypoints", "mirror", "skeleton", "sigmas")}
    for part, value in lists.items():
        for one in value:
            if part == "sigmas":
                number(one, part)
            elif part == "keypoints":
                text(one, part)
            elif not isinstance(one, list) or len(one) != 2:
                raise FormatError(f"{part} of '{name}' must be pairs of names, got {brief(one)}")
    pairs = {part: tuple((text(a, part), text(b, part)) for a, b in lists[part]) for part in ("mirror", "skeleton")}
    try:
        return Category(name, tuple(lists["keypoints"]), pairs["mirror"], pairs["skeleton"], tuple(lists["sigmas"]))
    except ConfigError as error:
        raise FormatError(str(error)) from error
