"""Stages on labelled samples, real or stored: Sample -> Draft -> the same stages -> Sample.

A real sample is no draft: its masks may overlap, many objects have only a box or a rotated box, and labels that nobody gave must stay
absent. So the draft's instance 1 is the picture itself, which shows everywhere, and every mask is a silhouette on it: what a stage hides
or leaves outside the frame, it hides of instance 1, and a mask afterwards is its silhouette where the picture still shows.

Boxes without a mask move as polygons: their edges as points. Where the result is no upright box any more, is cut by the frame, or is
partly hidden, nobody knows how much of the new box the object fills: it is then the box of the polygon, and the instance says so in
`attributes["approximate"]`, a list of the labels that are not tight. What has a mask is derived from it and is tight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synth.annotate import APPROXIMATE, box_of, finish, mask_corners
from synth.augment.objects import PICTURE
from synth.errors import LabelError
from synth.geometry import convex_hull, least_area_rectangle
from synth.protocols import Stage
from synth.rand import Stream
from synth.types import F64, Bool, Category, Draft, DraftInstance, Instance, Keypoints, Obb, Rle, Sample, Window

_EDGE_POINTS = 16  # a straight edge under a bent map: this many points
_NOTHING = np.zeros((0, 2))


def augment(sample: Sample, stages: Mapping[str, Stage], rng: Stream) -> Sample:
    """The sample after all stages, in order; each draws from the child stream of its name.

    Labels that were absent stay absent, and every instance stays, even if nothing of it is seen any more. Instances that a stage has
    added come after them. origin is dropped: it says how to make the sample before.
    """
    categories = {category.name: category for category in sample.categories}
    draft = _draft(sample, categories)
    before, kept = draft.instances[1:], len(draft.instances) - 1
    for name, stage in stages.items():
        draft = stage.apply(draft, rng.child(name))
    shows = draft.instance == 1
    still = bool(shows.all()) and all(a is b for a, b in zip(draft.instances[1:], before, strict=False))
    items = iter(draft.instances[1:])
    instances = [old if still else _instance(old, next(items), next(items), shows) for old in sample.instances]
    added = draft.instances[1 + kept :]
    if added:
        number = np.where(draft.instance > 1 + kept, draft.instance - 1 - kept, 0).astype(np.int32)
        instances += finish(replace(draft, instance=number, instances=added), ()).instances
        for item in added:
            categories[item.category.name] = _same(categories.get(item.category.name), item.category)
    return replace(
        sample,
        image=draft.image,
        instances=tuple(instances),
        categories=tuple(categories.values()),
        depth_m=draft.depth_m,
        normals=draft.normals,
        camera=draft.camera,
        origin=None,
    )


def _same(known: Category | None, added: Category) -> Category:
    """The category that a sample has for an instance that was added. Raises LabelError if its keypoints are others."""
    if known is not None and added.keypoints and added.keypoints != known.keypoints:
        raise LabelError(
            f"a stage added a '{added.name}' with keypoints {list(added.keypoints)}, where this sample's have {list(known.keypoints)}; "
            "rename one of the categories, or leave it out"
        )
    return known or added


# --- to a draft -------------------------------------------------------------------------------------------------------


def _draft(sample: Sample, categories: Mapping[str, Category]) -> Draft:
    """The draft of a sample. Two instances stand for each labelled one: one has its mask and keypoints, one its whole mask and polygons."""
    width, height = sample.size
    frame = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
    picture = _bare(PICTURE, "", Window(np.ones((height, width), dtype=np.bool_), 0, 0), frame)
    items = [picture]
    for instance in sample.instances:
        category = categories.get(instance.category, Category(instance.category))
        items += _items(instance, category)
    return Draft(
        image=sample.image,
        instance=np.ones((height, width), dtype=np.int32),
        instances=tuple(items),
        depth_m=sample.depth_m,
        normals=sample.normals,
        camera=sample.camera,
    )


def _items(instance: Instance, category: Category) -> tuple[DraftInstance, DraftInstance]:
    points = instance.keypoints
    mask = _window(instance.mask)
    outline = mask_corners(mask.bits) + (mask.x0, mask.y0) if mask.bits.any() else _edges(instance.box_xyxy, 1)
    shown = _bare(category, instance.asset or "", mask, outline)
    if points is not None:
        shown = replace(
            shown,
            keypoint_xy=points.xy,
            keypoint_front=points.v > 0,
            keypoint_surface=points.v == 2,
            keypoint_xyz_m=points.xyz_m,
        )
    shown = replace(shown, camera_from_object=instance.camera_from_object, box3d_object_m=instance.box3d_object_m)
    whole = _window(instance.mask_full)
    full_px = _full_px(instance)
    if full_px is not None:
        whole = replace(whole, beyond_px=max(0.0, full_px - float(whole.bits.sum())))
    polygons = np.concatenate([_edges(instance.box_xyxy), _edges(instance.box_full_xyxy), _obb_edges(instance.obb)])
    hull = replace(_bare(Category(category.name), "", whole, outline), keypoint_xy=polygons)
    there = np.ones(len(polygons), dtype=np.bool_)
    return shown, replace(hull, keypoint_front=there, keypoint_surface=there)


def _bare(category: Category, asset: str, silhouette: Window, outline_xy: F64) -> DraftInstance:
    nobody = np.zeros(0, dtype=np.bool_)
    return DraftInstance(category, asset, silhouette, outline_xy, _NOTHING, nobody, nobody)


def _window(mask: Rle | None) -> Window:
    """The mask cut to its box."""
    whole = mask.decode() if mask is not None else np.zeros((0, 0), dtype=np.bool_)
    if not whole.any():
        return Window(np.zeros((0, 0), dtype=np.bool_), 0, 0)
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    bits = whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Window(np.ascontiguousarray(bits), int(columns[0]), int(rows[0]))


def _full_px(instance: Instance) -> float | None:
    """Pixels of the whole silhouette, in and out of the frame, where the sample's fractions tell."""
    if instance.visible_fraction and instance.mask is not None:
        return float(instance.mask.decode().sum()) / instance.visible_fraction
    if instance.mask_full is not None and instance.truncated_fraction is not None and instance.truncated_fraction < 1:
        return float(instance.mask_full.decode().sum()) / (1 - instance.truncated_fraction)
    return None


def _edges(box: tuple[float, float, float, float] | None, points: int = _EDGE_POINTS) -> F64:
    """Points along the edges of a box, starting with its upper left corner."""
    if box is None:
        return _NOTHING
    x0, y0, x1, y1 = box
    return _along(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), points)


def _obb_edges(obb: Obb | None) -> F64:
    if obb is None:
        return _NOTHING
    c, s = np.cos(obb.angle_rad), np.sin(obb.angle_rad)
    across, down = np.array([c, s]) * obb.width / 2, np.array([-s, c]) * obb.height / 2
    center = np.array([obb.center_x, obb.center_y])
    return _along(np.array([center - across - down, center + across - down, center + across + down, center - across + down]), _EDGE_POINTS)


def _along(corners: F64, points: int) -> F64:
    share = np.arange(points)[None, :, None] / points
    return np.asarray((corners[:, None] * (1 - share) + np.roll(corners, -1, axis=0)[:, None] * share).reshape(-1, 2))


# --- and back ---------------------------------------------------------------------------------------------------------


@dataclass
class _Polygon:
    """What became of a box. exact: it is a box still, upright (for an obb: a rectangle still), all seen and within the frame."""

    box: tuple[float, float, float, float] | None = None
    obb: Obb | None = None
    exact: bool = True


def _instance(old: Instance, shown: DraftInstance, hull: DraftInstance, shows: Bool) -> Instance:
    height, width = shows.shape
    given: dict[str, Any] = {}
    loose = set((old.attributes or {}).get(APPROXIMATE, ()))
    counts = [4 * _EDGE_POINTS * (label is not None) for label in (old.box_xyxy, old.box_full_xyxy, old.obb)]
    box, box_full, obb = np.split(hull.keypoint_xy, np.cumsum(counts)[:2])
    lost = not hull.keypoint_front.all()  # a part of a polygon has gone behind a horizon
    full = _upright(box_full) if len(box_full) else _Polygon()
    if full.box is not None and (lost or not full.exact):
        loose.add("box_full_xyxy")
    given["box_full_xyxy"] = full.box
    if old.mask is not None:
        mask = shown.silhouette.cut(width, height) & shows
        area = int(mask.sum())
        corners = mask_corners(mask)
        loose -= {"box_xyxy", "obb"}
        given |= {
            "mask": Rle.encode(mask),
            "area_px": area if old.area_px is not None else None,
            "box_xyxy": box_of(corners) if area and old.box_xyxy is not None else None,
            "obb": least_area_rectangle(corners) if area and old.obb is not None else None,
        }
    else:
        seen = _seen_box(_upright(box), shows) if len(box) else _Polygon()
        turned = _rectangle(obb, shows) if len(obb) else _Polygon()
        given |= {"area_px": None, "box_xyxy": seen.box, "obb": turned.obb}
        for name, polygon, there in (("box_xyxy", seen, seen.box), ("obb", turned, turned.obb)):
            if there is not None and (lost or not polygon.exact):
                loose.add(name)
    given |= _fractions(old, given, hull, width, height)
    if old.keypoints is not None:
        given["keypoints"] = _keypoints(shown, shows)
    given |= {"camera_from_object": shown.camera_from_object, "box3d_object_m": shown.box3d_object_m}
    attributes = {key: value for key, value in (old.attributes or {}).items() if key != APPROXIMATE}
    if loose:
        attributes[APPROXIMATE] = sorted(loose)
    return replace(old, **given, attributes=attributes or (None if old.attributes is None else {}))


def _fractions(old: Instance, given: Mapping[str, Any], hull: DraftInstance, width: int, height: int) -> dict[str, Any]:
    """mask_full and the two fractions, each only where it was given."""
    found: dict[str, Any] = {}
    if old.mask_full is None:
        # Without the whole silhouette nobody can tell what share of it the new frame shows.
        return {"visible_fraction": None, "truncated_fraction": None}
    in_frame = hull.silhouette.cut(width, height)
    if "mask" in given:
        in_frame |= given["mask"].decode()
    found["mask_full"] = Rle.encode(in_frame)
    outside = float(hull.silhouette.bits.sum()) - float(hull.silhouette.cut(width, height).sum()) + hull.silhouette.beyond_px
    full_px = float(in_frame.sum()) + outside
    if full_px:
        if old.visible_fraction is not None:
            found["visible_fraction"] = float(given["mask"].decode().sum()) / full_px if "mask" in given else None
        if old.truncated_fraction is not None:
            found["truncated_fraction"] = outside / full_px
    return found


def _keypoints(item: DraftInstance, shows: Bool) -> Keypoints:
    """v: 0 for what had none or has left the frame, 1 for what was hidden or is hidden now, else 2."""
    height, width = shows.shape
    xy = item.keypoint_xy
    inside = item.keypoint_front & (xy >= 0).all(axis=1) & (xy < (width, height)).all(axis=1)
    corner = np.floor(np.where(inside[:, None], xy, 0)).astype(np.intp)
    around = np.zeros(len(xy), dtype=np.bool_)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            around |= shows[np.clip(corner[:, 1] + dy, 0, height - 1), np.clip(corner[:, 0] + dx, 0, width - 1)]
    v = inside.astype(np.int32) + (inside & item.keypoint_surface & around)
    return Keypoints(np.where(inside[:, None], xy, 0.0), v, item.keypoint_xyz_m)


def _upright(points: F64) -> _Polygon:
    """The box of a moved polygon, exact if the polygon still is that box."""
    x0, y0, x1, y1 = box = box_of(points)
    slack = 1e-6 * (1 + max(x1 - x0, y1 - y0))
    x, y = points.T
    off = np.minimum(np.minimum(abs(x - x0), abs(x - x1)), np.minimum(abs(y - y0), abs(y - y1)))
    return _Polygon(box, exact=bool((off < slack).all()))


def _seen_box(polygon: _Polygon, shows: Bool) -> _Polygon:
    """The part of a box in the frame; None if none is. Cut or partly hidden, it is not tight."""
    assert polygon.box is not None
    height, width = shows.shape
    x0, y0, x1, y1 = polygon.box
    cut = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        return _Polygon()
    return _Polygon(cut, exact=polygon.exact and cut == polygon.box and _all_shown(polygon.box, shows))


def _rectangle(points: F64, shows: Bool) -> _Polygon:
    """The least rectangle around a moved rotated box, exact if that still is a rectangle and all of it is seen."""
    height, width = shows.shape
    x0, y0, x1, y1 = box = box_of(points)
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        return _Polygon()
    obb = least_area_rectangle(points)
    hull = convex_hull(points)
    x, y = hull.T
    area = 0.5 * abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()))
    whole = x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height and _all_shown(box, shows)
    return _Polygon(obb=obb, exact=whole and abs(area - obb.width * obb.height) <= 1e-6 * (1 + area))


def _all_shown(box: tuple[float, float, float, float], shows: Bool) -> bool:
    x0, y0, x1, y1 = box
    return bool(shows[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))].all())
