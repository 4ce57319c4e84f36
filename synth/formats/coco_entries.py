"""COCO's entries from and to our labels: categories, annotations, and what COCO has no field for.

That is kept in an annotation's `attributes` under the names of `OURS`, beside the instance's own attributes; if one of these has such a
name, all are kept one level deeper, under `attributes`. Only a file that carries our mark is read so: elsewhere the names are anybody's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from synth.errors import ConfigError, FormatError
from synth.formats.coco_masks import read_mask
from synth.formats.reading import brief, check_box, check_visibility, iou, number, numbers, text, whole
from synth.formats.writing import Box, Shown, box_and_area
from synth.types import F64, Category, Instance, Keypoints, Obb, Rle, SampleInfo

MARK = "synth"  # in `info`: the version of what is kept beside COCO's own fields
OURS = frozenset({
    "visible_fraction", "truncated_fraction", "box_full_xyxy", "obb_cxcywha", "mask_full", "area_px", "camera_from_object",
    "box3d_object_m", "keypoints_xyz_m", "asset", "crowd", "attributes",
})  # fmt: skip
_SLACK_PX = 1.0
_LEAST_IOU, _ROUNDING_PX = 0.5, 2.0  # of a box and the one of its mask


# --- categories -------------------------------------------------------------------------------------------------------


def category_entry(number: int, category: Category) -> dict[str, Any]:
    """A category as COCO writes it; mirror pairs, as the skeleton, by place from 1."""
    entry: dict[str, Any] = {"id": number, "name": category.name, "supercategory": ""}
    place = {name: i for i, name in enumerate(category.keypoints, 1)}
    if category.keypoints:
        entry["keypoints"] = list(category.keypoints)
        entry["skeleton"] = [[place[a], place[b]] for a, b in category.skeleton]
    if category.mirror:
        entry["mirror"] = [[place[a], place[b]] for a, b in category.mirror]
    if category.sigmas:
        entry["sigmas"] = list(category.sigmas)
    return entry


def read_category(entry: Mapping[str, Any], ours: bool) -> Category:
    """The category of an entry. Raises FormatError."""
    name = text(entry.get("name"), "name")
    points = _listed(entry.get("keypoints"), "keypoints")
    names = tuple(text(point, "the name of a keypoint") for point in points)
    skeleton = _pairs(entry.get("skeleton"), names, "skeleton")
    mirror = _pairs(entry.get("mirror"), names, "mirror") if ours else ()
    sigmas = numbers(entry.get("sigmas", []), None, "sigmas") if ours else []
    try:
        return Category(name, names, mirror, skeleton, tuple(sigmas))
    except ConfigError as error:
        raise FormatError(str(error)) from error


def _pairs(value: Any, names: Sequence[str], what: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in _listed(value, what):
        ends = [end for end in _listed(pair, what) if isinstance(end, int) and 1 <= end <= len(names)]
        if len(ends) != 2 or len(pair) != 2:
            raise FormatError(f"{what} holds {brief(pair)}, which is no pair of its {len(names)} keypoints; they count from 1")
        pairs.append((names[ends[0] - 1], names[ends[1] - 1]))
    return tuple(pairs)


def _listed(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise FormatError(f"{what} must be a list, got {brief(value)}")
    return value


# --- annotations ------------------------------------------------------------------------------------------------------


def annotation_entry(one: Shown) -> dict[str, Any]:
    """An instance that shows, as COCO writes it."""
    assert one.box_xyxy is not None
    instance, (x0, y0, x1, y1) = one.instance, one.box_xyxy
    crowd = int(one.ignored or bool(instance.crowd))
    entry: dict[str, Any] = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": one.area_px, "iscrowd": crowd, "ignore": int(one.ignored)}
    if instance.mask is not None:
        entry["segmentation"] = _rle(instance.mask)
    points = instance.keypoints
    if points is not None:
        entry["keypoints"] = _keypoints(points)
        entry["num_keypoints"] = int((points.v > 0).sum())
    obb, box3d = instance.obb, instance.box3d_object_m
    values = {
        "visible_fraction": instance.visible_fraction,
        "truncated_fraction": instance.truncated_fraction,
        "box_full_xyxy": instance.box_full_xyxy,
        "obb_cxcywha": None if obb is None else (obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad),
        "mask_full": None if instance.mask_full is None else _rle(instance.mask_full),
        "area_px": instance.area_px if instance.mask is None else None,  # else it is the mask's
        "camera_from_object": None if instance.camera_from_object is None else np.asarray(instance.camera_from_object).tolist(),
        "box3d_object_m": None if box3d is None else np.asarray(box3d).tolist(),
        "keypoints_xyz_m": None if points is None or points.xyz_m is None else points.xyz_m.tolist(),
        "asset": instance.asset,
        "crowd": instance.crowd if one.ignored or instance.crowd is False else None,  # what iscrowd cannot say
    }
    attributes = {name: value for name, value in values.items() if value is not None}
    own = dict(instance.attributes or {})
    attributes |= {"attributes": own} if OURS & set(own) else own
    return entry | ({"attributes": attributes} if attributes else {})


def read_annotation(entry: Mapping[str, Any], category: Category, size: tuple[int, int], ours: bool) -> Instance:
    """The instance of an entry in a picture of `size` (width, height). Raises FormatError.

    The box is the entry's, or else the mask's; the area is the mask's, whatever the entry says.
    """
    labels: dict[str, Any] = {}
    crowd, ignored = _flag(entry.get("iscrowd"), "iscrowd"), _flag(entry.get("ignore"), "ignore")
    attributes = entry.get("attributes")
    if attributes is not None:
        own = json_object(attributes, "attributes")
        if ours:
            labels |= {_FIELD.get(name, name): _READ[name](own.pop(name), name, size) for name in OURS & set(own) - {"attributes"}}
            own = json_object(own.pop("attributes"), "attributes") if "attributes" in own else own
        labels["attributes"] = own or None
    said = labels.pop("said_crowd", None)
    labels["crowd"] = said if ours and (ignored or not crowd) else crowd
    if ignored and not ours:
        labels["attributes"] = {"ignore": True} | (labels.get("attributes") or {})
    if entry.get("segmentation") not in (None, []):
        labels["mask"] = read_mask(entry["segmentation"], size)
    xyz_m = labels.pop("xyz_m", None)
    if entry.get("keypoints") not in (None, []):
        labels["keypoints"] = _read_keypoints(entry["keypoints"], xyz_m, category, size)
    if entry.get("bbox") not in (None, []):
        x, y, width, height = numbers(entry["bbox"], 4, "bbox")
        labels["box_xyxy"] = (x, y, x + width, y + height)
        check_box(labels["box_xyxy"], size, "bbox", _SLACK_PX)
    _check_numbers(entry, labels.get("keypoints"))
    if "mask" in labels:
        box, area = box_and_area(Instance(category.name, labels["mask"]))
        if not ours and box is not None and "box_xyxy" in labels:
            _check_agree(labels["box_xyxy"], box, entry["bbox"])
        labels |= {"area_px": int(area), "box_xyxy": labels.get("box_xyxy", box)}
    elif "box_xyxy" not in labels and "keypoints" not in labels:
        raise FormatError("it has neither bbox nor segmentation nor keypoints; say where the object is, or remove it")
    return Instance(category.name, **labels)


def _check_numbers(entry: Mapping[str, Any], points: Keypoints | None) -> None:
    """Raise FormatError if the area is none or num_keypoints counts others."""
    if entry.get("area") is not None and number(entry["area"], "area") < 0:
        raise FormatError(f"area must not be negative, got {brief(entry['area'])}")
    said, there = entry.get("num_keypoints"), 0 if points is None else int((points.v > 0).sum())
    if said is not None and whole(said, "num_keypoints") != there:
        raise FormatError(f"num_keypoints is {brief(said)}, of its keypoints {there} have v above 0")


def _check_agree(box: Box, tight: Box, said: Any) -> None:
    """Raise FormatError if the box is of another object than the mask: they share less than half, by more than rounding."""
    if iou(box, tight) < _LEAST_IOU and max(abs(a - b) for a, b in zip(box, tight, strict=True)) > _ROUNDING_PX:
        x0, y0, x1, y1 = tight
        raise FormatError(f"bbox {brief(said)} lies elsewhere than its segmentation, at x {x0:g} to {x1:g}, y {y0:g} to {y1:g}")


def _rle(mask: Rle) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.counts.decode("ascii")}


def _keypoints(keypoints: Keypoints) -> list[float]:
    flat: list[float] = []
    for (x, y), v in zip(keypoints.xy.tolist(), keypoints.v.tolist(), strict=True):
        flat += (x - 0.5, y - 0.5, v) if v else (0, 0, 0)
    return flat


def _read_keypoints(value: Any, xyz_m: F64 | None, category: Category, size: tuple[int, int]) -> Keypoints:
    names = category.keypoints
    if not isinstance(value, list) or len(value) != 3 * len(names):
        got = f"{len(value)} numbers" if isinstance(value, list) else brief(value)
        raise FormatError(f"keypoints must be x, y and v of the {len(names)} keypoints that category '{category.name}' names, got {got}")
    xy, seen = [], []
    for i, name in enumerate(names):
        where = f"keypoint '{name}'"
        x, y, v = number(value[3 * i], where) + 0.5, number(value[3 * i + 1], where) + 0.5, check_visibility(value[3 * i + 2], where)
        if v and not (-_SLACK_PX <= x <= size[0] + _SLACK_PX and -_SLACK_PX <= y <= size[1] + _SLACK_PX):
            raise FormatError(f"{where} at {x - 0.5:g}, {y - 0.5:g} leaves the {size[0]}x{size[1]} picture; mend it or give it v 0")
        xy.append((x, y) if v else (0.0, 0.0))
        seen.append(v)
    if xyz_m is not None and len(xyz_m) != len(names):
        raise FormatError(f"keypoints_xyz_m has {len(xyz_m)} points, category '{category.name}' {len(names)}")
    return Keypoints(np.reshape(xy, (-1, 2)), np.array(seen, dtype=np.int32), xyz_m)


def _flag(value: Any, what: str) -> bool | None:
    if value is not None and not (isinstance(value, (bool, int)) and value in (0, 1)):
        raise FormatError(f"{what} must be 0 or 1, got {brief(value)}")
    return None if value is None else bool(value)


# --- what COCO has no field for ---------------------------------------------------------------------------------------


def json_object(value: Any, what: str) -> dict[str, Any]:
    """`value` as an object that JSON can say (NaN it cannot), a copy. Raises FormatError."""
    if not isinstance(value, dict):
        raise FormatError(f"{what} must be an object, got {brief(value)}")
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} must be JSON values: {error}") from error
    return dict(value)


def info_entry(info: SampleInfo) -> dict[str, Any]:
    """What is known of a sample, less its licence, which COCO has a field for."""
    values = {field.name: getattr(info, field.name) for field in fields(info) if field.name != "licence"}
    return {name: dict(value) if name == "attributes" else value for name, value in values.items() if value is not None}


def read_info(entry: Any, licence: str | None) -> SampleInfo:
    """What `info_entry` wrote. Raises FormatError."""
    values = json_object(entry, "info")
    for name, value in values.items():
        if name == "classes":
            values[name] = tuple(text(one, "info: classes", empty=True) for one in _listed(value, "info: classes"))
        elif name == "attributes":
            values[name] = json_object(value, "info: attributes")
        elif name in ("dataset", "split", "group", "annotator"):
            values[name] = text(value, f"info: {name}", empty=True)
        else:
            raise FormatError(f"info holds {brief(name)}, which is not known")
    return SampleInfo(licence=licence, **values)


def _rows(value: Any, width: int, what: str, count: int | None = None) -> F64:
    rows = _listed(value, what)
    if count is not None and len(rows) != count:
        raise FormatError(f"{what} must have {count} rows, got {len(rows)}")
    return np.reshape([numbers(row, width, what) for row in rows], (-1, width)).astype(np.float64)


def _fraction(value: Any, what: str, _: object) -> float:
    if not 0 <= number(value, what) <= 1:
        raise FormatError(f"{what} must be in [0, 1], got {brief(value)}")
    return float(value)


def _truth(value: Any, what: str, _: object) -> bool:
    if not isinstance(value, bool):
        raise FormatError(f"{what} must be true or false, got {brief(value)}")
    return value


def _obb(value: Any, what: str, size: tuple[int, int]) -> Obb:
    x, y, width, height, angle = numbers(value, 5, what)
    reach = 2 * (size[0] + size[1])
    if not (0 <= width <= reach and 0 <= height <= reach and -reach <= x <= reach and -reach <= y <= reach):
        raise FormatError(f"{what} is far larger than the picture, or outside it: {brief(value)}")
    return Obb(x, y, width, height, angle)


def _area(value: Any, what: str, size: tuple[int, int]) -> int:
    if whole(value, what) > size[0] * size[1]:
        raise FormatError(f"{what} is {brief(value)}, the picture has {size[0] * size[1]} pixels")
    return int(value)


def _full_box(value: Any, what: str, _: object) -> Box:
    x0, y0, x1, y1 = numbers(value, 4, what)
    if not (x0 < x1 and y0 < y1):
        raise FormatError(f"{what} has no area: x {x0:g} to {x1:g}, y {y0:g} to {y1:g}")
    return x0, y0, x1, y1


def _rigid(value: Any, what: str, _: object) -> F64:
    matrix = _rows(value, 4, what, 4)
    turn = matrix[:3, :3]
    small = np.abs(turn).max() <= 2  # larger ones overflow
    if not (small and np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) and np.linalg.det(turn) > 0 and matrix[3].tolist() == [0, 0, 0, 1]):
        raise FormatError(f"{what} is no rigid transform: {brief(value)}")
    return matrix


def _box3d(value: Any, what: str, _: object) -> tuple[F64, ...]:
    centre, size = _rows(value, 3, what, 2)
    if (size < 0).any():
        raise FormatError(f"{what} has a negative side: {brief(value)}")
    return centre, size


_FIELD = {"obb_cxcywha": "obb", "keypoints_xyz_m": "xyz_m", "crowd": "said_crowd"}
_READ: Mapping[str, Callable[[Any, str, tuple[int, int]], Any]] = {
    "visible_fraction": _fraction,
    "truncated_fraction": _fraction,
    "box_full_xyxy": _full_box,
    "obb_cxcywha": _obb,
    "mask_full": lambda value, what, size: read_mask(value, size, what, empty=True),
    "area_px": _area,
    "camera_from_object": _rigid,
    "box3d_object_m": _box3d,
    "keypoints_xyz_m": lambda value, what, _: _rows(value, 3, what),
    "asset": lambda value, what, _: text(value, what, empty=True),
    "crowd": _truth,
}
