"""World + Frame -> Draft -> Sample: the only place that defines a label. docs/labels.md draws each one.

`annotate` takes from the world what stages will move: silhouettes, outlines and keypoints in px; `annotate_layers` takes it from the layers
of a collage. `finish` derives every label from
the moved draft: boxes, areas, fractions, visibility. Definitions follow COCO (box, mask, v; Lin et al. 2014) and BOP (fractions;
Hodan et al. 2018), in synth's pixel law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synth.geometry import convex_hull, least_area_rectangle, project, rays, transform
from synth.raster import Shown, coverage, fragments, shown
from synth.types import (
    F64,
    I32,
    U8,
    Body,
    Bool,
    Camera,
    Category,
    Draft,
    DraftInstance,
    Frame,
    Index,
    Instance,
    Keypoints,
    Layer,
    Origin,
    Rle,
    Sample,
    SampleInfo,
    Window,
    World,
)
from synth.warp import outline, through

KEYPOINT_TOLERANCE = 0.015
"""A keypoint is hidden by its own object if a surface of it lies more than this share of the object's diameter in front, along z."""

APPROXIMATE = "approximate"
"""The attribute that lists an instance's labels that are not tight."""

_COARSE_PX = 2048  # silhouettes wider than the kept window are counted on a canvas of this size


def annotate(world: World, frame: Frame, keypoint_tolerance: float = KEYPOINT_TOLERANCE) -> Draft:
    """The draft of a rendered world: one instance for each body with a category, in the order of the bodies."""
    labelled = [(i, body, body.category) for i, body in enumerate(world.bodies) if body.category is not None]
    renumber = np.zeros(len(world.bodies) + 1, dtype=np.int32)
    renumber[[i + 1 for i, _, _ in labelled]] = np.arange(1, len(labelled) + 1)
    return Draft(
        image=frame.rgb,
        instance=renumber[frame.instance],
        instances=tuple(_draft_instance(world.camera, body, category, keypoint_tolerance) for _, body, category in labelled),
        depth_m=frame.depth_m,
        normals=frame.normals,
        camera=world.camera,
        attributes=world.attributes,
    )


def _draft_instance(camera: Camera, body: Body, category: Category, tolerance: float) -> DraftInstance:
    camera_from_object = camera.camera_from_world @ body.world_from_object
    parts = [shown(camera, mesh, material, camera_from_object) for mesh, material in body.parts]
    silhouette, outline_xy = _silhouette(camera, parts)
    by_name = {keypoint.name: keypoint for keypoint in body.asset.keypoints}
    keypoints = [by_name[name] for name in category.keypoints]
    xyz = transform(camera_from_object, np.array([k.xyz_object_m for k in keypoints], dtype=np.float64).reshape(-1, 3))
    front = xyz[:, 2] > 0
    xy = np.zeros((len(keypoints), 2))
    xy[front] = project(camera, xyz[front])
    limit_m = tolerance * body.asset.diameter_m + np.array([k.below_m for k in keypoints], dtype=np.float64)
    before = _before_surface(camera, parts, xy, xyz[:, 2], limit_m)
    return DraftInstance(
        category=category,
        asset=body.asset.name,
        silhouette=silhouette,
        outline_xy=outline_xy,
        keypoint_xy=xy,
        keypoint_front=front,
        keypoint_surface=before | np.array([k.inside for k in keypoints], dtype=np.bool_),
        keypoint_xyz_m=xyz,
        camera_from_object=camera_from_object,
        box3d_object_m=body.asset.box_object_m,
        attributes=body.attributes,
    )


def annotate_layers(draft: Draft, image: U8, layers: Sequence[Layer], silhouettes: Sequence[Window]) -> Draft:
    """The draft after layers were drawn over it, back to front, which gave `image` and the silhouette of each layer. They hide what they
    cover; those with a category become its last instances. Depth and normals of what is covered are not known: as where nothing is."""
    instance, instances = draft.instance.copy(), list(draft.instances)
    for layer, silhouette in zip(layers, silhouettes, strict=True):
        if layer.category is not None:
            instances.append(_layer_instance(layer, layer.category, silhouette))
        _stamp(instance, silhouette, len(instances) if layer.category is not None else 0)
    depth_m, normals = draft.depth_m, draft.normals
    if depth_m is not None or normals is not None:
        covered = np.zeros(instance.shape, dtype=np.int32)
        for silhouette in silhouettes:
            _stamp(covered, silhouette, 1)
        depth_m = None if depth_m is None else np.where(covered > 0, np.float32(np.inf), depth_m)
        normals = None if normals is None else np.where(covered[..., None] > 0, np.float32(0), normals)
    return replace(draft, image=image, instance=instance, instances=tuple(instances), depth_m=depth_m, normals=normals)


def _stamp(instance: I32, silhouette: Window, value: int) -> None:
    """Write `value` where a silhouette covers the frame."""
    height, width = instance.shape
    rows, columns = silhouette.bits.shape
    top, left = max(silhouette.y0, 0), max(silhouette.x0, 0)
    bottom, right = min(silhouette.y0 + rows, height), min(silhouette.x0 + columns, width)
    if top < bottom and left < right:
        bits = silhouette.bits[top - silhouette.y0 : bottom - silhouette.y0, left - silhouette.x0 : right - silhouette.x0]
        instance[top:bottom, left:right][bits] = value


def _layer_instance(layer: Layer, category: Category, silhouette: Window) -> DraftInstance:
    cutout = layer.cutout
    names = category.keypoints
    centre = np.array(cutout.rgba.shape[1::-1]) / 2
    if np.linalg.det(layer.image_from_layer) * through(layer.image_from_layer, centre)[1][0] < 0:
        swap = {a: b for pair in category.mirror for a, b in (pair, pair[::-1])}
        names = tuple(swap.get(name, name) for name in names)
    known = np.array([name in cutout.keypoints_xy for name in names], dtype=np.bool_)
    xy, w = through(layer.image_from_layer, [cutout.keypoints_xy.get(name, (0.0, 0.0)) for name in names])
    return DraftInstance(
        category=category,
        asset=cutout.name,
        silhouette=silhouette,
        outline_xy=outline(cutout, layer.image_from_layer),
        keypoint_xy=xy,
        keypoint_front=known & (w > 0),
        keypoint_surface=np.array([name not in cutout.hidden for name in names], dtype=np.bool_),
    )


# --- silhouettes ------------------------------------------------------------------------------------------------------


def _silhouette(camera: Camera, parts: Sequence[Shown]) -> tuple[Window, F64]:
    """All the body would cover alone, and the corners of its hull in px."""
    points = np.concatenate([part.points_px for part in parts])
    if not len(points):
        return Window(np.zeros((0, 0), dtype=np.bool_), 0, 0), np.zeros((0, 2))
    x, y = points.T
    low, high = np.floor([x.min(), y.min()]), np.ceil([x.max(), y.max()])
    frame = np.array([camera.width, camera.height])
    (x0, y0), (x1, y1) = (np.clip(v, -frame, 2 * frame).astype(int).tolist() for v in (low, high))
    window = (x0, y0, x1 - x0, y1 - y0)
    solid = [part for part in parts if part.material.alpha_mode == "opaque"]
    bits = coverage(_corners(solid), *window)
    outline = [part.points_px for part in solid]
    for part in parts:
        if part.material.alpha_mode != "opaque":
            row, column = _cut_pixels(camera, part, window)
            bits[row, column] = True
            outline += [np.stack([column + x, row + y], axis=1) for x in (x0, x0 + 1) for y in (y0, y0 + 1)]
    beyond_px = 0.0
    if (low < (x0, y0)).any() or (high > (x1, y1)).any():
        outline = [points]
        cell = max(1.0, float((high - low).max()) / _COARSE_PX)
        width, height = (int(v) + 1 for v in (high - low) / cell)
        beyond_px = max(0.0, float(coverage((_corners(parts) - low) / cell, 0, 0, width, height).sum()) * cell**2 - float(bits.sum()))
    return Window(bits, x0, y0, beyond_px), convex_hull(np.concatenate(outline))


def _corners(parts: Sequence[Shown]) -> F64:
    return np.concatenate([np.zeros((0, 3, 2)), *(part.corners_px for part in parts)])


def _cut_pixels(camera: Camera, part: Shown, window: tuple[int, int, int, int]) -> tuple[Index, Index]:
    """Rows and columns of the window whose centres show what alpha leaves of a part."""
    triangle, row, column = fragments(part.corners_px, *window)
    face = part.face[triangle]
    weights, _ = part.surface(face, rays(camera, np.stack([column + window[0] + 0.5, row + window[1] + 0.5], axis=1)))
    keep = part.kept_by_alpha(face, weights)
    return row[keep], column[keep]


# --- keypoints --------------------------------------------------------------------------------------------------------


def _around(xy: F64, mask: Bool, reach: int) -> tuple[Index, Index, Bool]:
    """Rows and columns (k, 1 or n, n) of the n x n pixels around points (k, 2), n = 2 reach + 1, and which of them are in the frame
    and hold the object. A point outside the frame has none."""
    height, width = mask.shape
    step = np.arange(-reach, reach + 1)
    inside = np.asarray((xy >= 0).all(axis=1) & (xy < (width, height)).all(axis=1))
    corner = np.floor(np.where(inside[:, None], xy, 0)).astype(np.intp)
    row, column = corner[:, 1, None, None] + step[:, None], corner[:, 0, None, None] + step
    there = inside[:, None, None] & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    return row, column, there & mask[row, column]


def _before_surface(camera: Camera, parts: Sequence[Shown], xy: F64, z_m: F64, limit_m: F64) -> Bool:
    """(k,) whether no surface of the body itself lies more than limit_m (k,) in front of points at xy (k, 2) px and depth z_m (k,).

    Taken from the triangles at the very point, not from the depth of pixels around it: at a grazing angle or beside a step that depth
    is another one. Whether another body hides the point is for the mask to say, which stages may still change.
    """
    before = np.ones(len(xy), dtype=np.bool_)
    for part in parts:
        a, b, c = (np.ascontiguousarray(part.corners_px[:, i].T) for i in range(3))
        low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
        x, y = xy[:, :1], xy[:, 1:]
        point, triangle = np.nonzero((low[0] <= x) & (x <= high[0]) & (low[1] <= y) & (y <= high[1]))
        a, b, c = (corner[:, triangle] - xy[point].T for corner in (a, b, c))
        ab, bc, ca = (u[0] * v[1] - u[1] * v[0] for u, v in ((a, b), (b, c), (c, a)))
        covers = (((ab >= 0) & (bc >= 0) & (ca >= 0)) | ((ab <= 0) & (bc <= 0) & (ca <= 0))) & (ab + bc + ca != 0)
        point, face = point[covers], part.face[triangle[covers]]
        weights, there_m = part.surface(face, rays(camera, xy[point]))
        before[point[part.kept_by_alpha(face, weights) & (there_m < z_m[point] - limit_m[point])]] = False
    return before


def _keypoints(item: DraftInstance, mask: Bool) -> Keypoints:
    height, width = mask.shape
    in_frame = item.keypoint_front & (item.keypoint_xy >= 0).all(axis=1) & (item.keypoint_xy < (width, height)).all(axis=1)
    seen = in_frame & item.keypoint_surface & _around(item.keypoint_xy, mask, 1)[2].any(axis=(1, 2))
    v = in_frame.astype(np.int32) + seen
    return Keypoints(np.where(in_frame[:, None], item.keypoint_xy, 0.0), v, item.keypoint_xyz_m)


# --- the end of a draft -----------------------------------------------------------------------------------------------


def finish(draft: Draft, categories: Sequence[Category], origin: Origin | None = None, key: str = "") -> Sample:
    """Every label of the draft, in one place, after the last stage. An instance of which nothing is seen stays, with its fractions."""
    return Sample(
        image=draft.image,
        instances=tuple(_instance(draft, item, number) for number, item in enumerate(draft.instances, start=1)),
        categories=tuple(categories),
        depth_m=draft.depth_m,
        normals=draft.normals,
        camera=draft.camera,
        origin=origin,
        key=key,
        info=SampleInfo(attributes=draft.attributes),
    )


def _instance(draft: Draft, item: DraftInstance, number: int) -> Instance:
    width, height = draft.size
    mask = draft.instance == number
    seen = _hull_corners(mask)
    # All that follows is within the part of the frame that mask and silhouette share: most objects are small.
    x0, y0, x1, y1 = _part(item.silhouette, seen, width, height)
    part, silhouette = mask[y0:y1, x0:x1], replace(item.silhouette, x0=item.silhouette.x0 - x0, y0=item.silhouette.y0 - y0)
    area = int(part.sum())
    # A renderer snaps vertices to a fraction of a pixel, so a few edge pixels of the mask can lie outside the exact silhouette.
    in_frame = silhouette.cut(x1 - x0, y1 - y0)
    strays = int((part & ~in_frame).sum())
    full_px = float(silhouette.bits.sum()) + silhouette.beyond_px + strays
    in_frame |= part
    inside_px = int(in_frame.sum())
    rle = _encoded(part, x0, y0, width, height)
    outline = item.outline_xy
    instance = Instance(
        category=item.category.name,
        mask=rle,
        mask_full=rle if inside_px == area else _encoded(in_frame, x0, y0, width, height),
        area_px=area,
        box_xyxy=box_of(seen) if area else None,
        box_full_xyxy=box_of(outline) if len(outline) else None,
        obb=least_area_rectangle(seen) if area else None,
        visible_fraction=area / full_px if full_px else 0.0,
        truncated_fraction=1 - inside_px / full_px if full_px else float(_misses_frame(outline, width, height)),
        keypoints=_keypoints(item, mask) if item.category.keypoints else None,
        camera_from_object=item.camera_from_object,
        box3d_object_m=item.box3d_object_m,
        asset=item.asset,
        attributes=item.attributes,
    )
    unknown: dict[str, Any] = dict.fromkeys(item.absent)
    return replace(instance, **unknown) if unknown else instance


def _part(silhouette: Window, mask_xy: F64, width: int, height: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of what holds a mask, by its corners (n, 2), and the part of a silhouette within the frame; zeros if there is none."""
    rows, columns = silhouette.bits.shape
    x0, y0 = max(silhouette.x0, 0), max(silhouette.y0, 0)
    x1, y1 = min(silhouette.x0 + columns, width), min(silhouette.y0 + rows, height)
    points = np.concatenate([mask_xy, np.array([[x0, y0], [x1, y1]] if x0 < x1 and y0 < y1 else np.zeros((0, 2)))])
    if not len(points):
        return 0, 0, 0, 0
    left, top, right, bottom = box_of(points)
    return int(left), int(top), int(right), int(bottom)


def _encoded(part: Bool, x0: int, y0: int, width: int, height: int) -> Rle:
    """A mask of which only a part, with its corner at (x0, y0), holds something: `Rle.encode` without a frame of nothing around it."""
    from pycocotools import mask as coco

    rows, columns = part.shape
    framed = np.zeros((columns, rows + 2), dtype=np.bool_)
    framed[:, 1:-1] = part.T
    column, row = np.divmod(np.flatnonzero(framed[:, 1:] != framed[:, :-1]), rows + 1)
    turns = (column + x0) * height + row + y0  # pixels, column by column, where a run of ones or of zeros starts
    if rows == height:  # a run that goes on at the head of the next column
        ends, starts = turns[1:-1:2], turns[2::2]
        turns = np.delete(turns, np.flatnonzero(np.repeat(ends == starts, 2)) + 1)
    turns = turns[turns < width * height]
    counts = np.diff(turns, prepend=0, append=width * height)
    return Rle(height, width, bytes(coco.frPyObjects({"size": (height, width), "counts": counts}, height, width)["counts"]))


def _misses_frame(outline_xy: F64, width: int, height: int) -> bool:
    """Of an object too small to cover a pixel's centre, or behind the camera: whether it is outside the frame."""
    if not len(outline_xy):
        return True
    x, y = outline_xy.mean(axis=0)
    return not (0 <= x < width and 0 <= y < height)


def box_of(points_xy: F64) -> tuple[float, float, float, float]:
    """x0 y0 x1 y1 of points (n, 2)."""
    (x0, y0), (x1, y1) = points_xy.min(axis=0), points_xy.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def mask_corners(mask: Bool) -> F64:
    """(n, 2) the outer corners of the first and last pixel of each row of a mask: enough for its box and its hull."""
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1)
    right = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    return np.array([np.concatenate([left, left, right, right]), np.concatenate([rows, rows + 1, rows, rows + 1])], dtype=np.float64).T


def _hull_corners(mask: Bool) -> F64:
    """(n, 2) those of `mask_corners` that may be corners of the hull: few, so that what follows is quick; (0, 2) if the mask is empty."""
    import cv2

    corners = mask_corners(mask).astype(np.int32)  # of whole numbers OpenCV's hull is exact
    return np.asarray(cv2.convexHull(corners).reshape(-1, 2), dtype=np.float64) if len(corners) else np.zeros((0, 2))
