"""Every label as JSON, in synth's own laws, for formats that take any JSON. What each means: docs/labels.md.

A sample::

    key, source ("synthetic", "real"), width, height     px
    dataset, split, group, licence, annotator, classes, attributes        of SampleInfo
    camera: image_from_camera (3, 3), distortion [k1 k2 p1 p2 k3], world_from_camera (4, 4), near_m
    origin: recipe, scene, seed, index, renderer, versions        of a synthetic one: enough to make it again
    instances: a list of

        category: a name
        ignore: true where it is seen too little to be scored
        box_xyxy [x0, y0, x1, y1], box_full_xyxy     px; (0, 0) is the outer corner of the top-left pixel, x1 and y1 are outside
        area_px
        obb_cxcywha: centre, width, height px, angle in radians, clockwise on the screen
        mask, mask_full: {"size": [height, width], "counts": COCO's compressed run lengths}
        visible_fraction, truncated_fraction
        keypoints_xyv: [x, y, v] for each of the category's keypoints, v as in COCO; the centre of the top-left pixel is (0.5, 0.5)
        keypoints_xyz_m: metres, camera frame
        camera_from_object (4, 4), box3d_object_m: [centre, size] in metres, object frame
        asset, crowd, attributes

What is absent in a sample is absent in the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from synth.formats.writing import Shown
from synth.record import Record
from synth.types import Camera, Category, Origin, Rle


def sample_json(record: Record) -> dict[str, Any]:
    """All of a sample but its instances and maps."""
    return {
        "key": record.key,
        "source": record.source,
        "width": record.width,
        "height": record.height,
        **_present({name: getattr(record.info, name) for name in record.info.__slots__}),
        **({} if record.camera is None else {"camera": _camera(record.camera)}),
        **({} if record.origin is None else {"origin": origin_json(record.origin)}),
    }


def instance_json(one: Shown) -> dict[str, Any]:
    """All labels of an instance."""
    instance, obb, points = one.instance, one.instance.obb, one.instance.keypoints
    box3d = instance.box3d_object_m
    area = instance.area_px if instance.mask is None or instance.area_px is not None else int(one.area_px)
    return {"category": instance.category, "ignore": one.ignored} | _present({
        "box_xyxy": one.box_xyxy,
        "box_full_xyxy": instance.box_full_xyxy,
        "area_px": area,
        "obb_cxcywha": None if obb is None else (obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad),
        "mask": _rle(instance.mask),
        "mask_full": _rle(instance.mask_full),
        "visible_fraction": instance.visible_fraction,
        "truncated_fraction": instance.truncated_fraction,
        "keypoints_xyv": None if points is None else [[x, y, v] for (x, y), v in zip(points.xy.tolist(), points.v.tolist(), strict=True)],
        "keypoints_xyz_m": None if points is None or points.xyz_m is None else points.xyz_m.tolist(),
        "camera_from_object": None if instance.camera_from_object is None else np.asarray(instance.camera_from_object).tolist(),
        "box3d_object_m": None if box3d is None else np.asarray(box3d).tolist(),
        "asset": instance.asset,
        "crowd": instance.crowd,
        "attributes": None if instance.attributes is None else dict(instance.attributes),
    })  # fmt: skip


def origin_json(origin: Origin) -> dict[str, Any]:
    """Where a synthetic sample comes from."""
    return {name: getattr(origin, name) for name in origin.__slots__} | {"versions": dict(origin.versions)}


def category_json(category: Category) -> dict[str, Any]:
    """A category with its keypoints by name."""
    return asdict(category)


def _camera(camera: Camera) -> dict[str, Any]:
    return {
        "image_from_camera": camera.image_from_camera.tolist(),
        "distortion": list(camera.distortion),
        "world_from_camera": camera.world_from_camera.tolist(),
        "near_m": camera.near_m,
    }


def _rle(mask: Rle | None) -> dict[str, Any] | None:
    return None if mask is None else {"size": [mask.height, mask.width], "counts": mask.counts.decode("ascii")}


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
