"""The table of samples: its columns, and the way of a Record into them and back.

One schema for real and synthetic. A label that was not given is null, never zero. All label numbers are float64, so they come back
equal to the bit. Pixels are top-level blob columns (nested ones cannot be compacted). Numbers that belong together are one
fixed-length list, named with their order: SQL reads `box_xyxy[1]` as x0, and one list is read faster than four columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from synth.errors import LabelError
from synth.record import Record
from synth.types import Camera, Category, Instance, Keypoints, Obb, Origin, Rle

_F8 = pa.float64()
# Name -> arrow type, for each label of Instance; masks are as large as the picture, so only their run lengths are kept.
_INSTANCE: dict[str, Any] = {
    "category": pa.string(),
    "mask_rle": pa.binary(),
    "mask_full_rle": pa.binary(),
    "area_px": pa.int64(),
    "box_xyxy": pa.list_(_F8, 4),
    "box_full_xyxy": pa.list_(_F8, 4),
    "obb_cxcywha": pa.list_(_F8, 5),  # centre, size in px, angle in radians
    "visible_fraction": _F8,
    "truncated_fraction": _F8,
    "keypoints_xy": pa.list_(_F8),  # x0 y0 x1 y1 ..., in the order of the category's keypoints
    "keypoints_v": pa.list_(pa.int8()),
    "keypoints_xyz_m": pa.list_(_F8),
    "camera_from_object": pa.list_(_F8, 16),
    "box3d_object_m": pa.list_(_F8, 6),  # centre, size
    "asset": pa.string(),
}
_CAMERA: dict[str, Any] = {
    "image_from_camera": pa.list_(_F8, 9),
    "world_from_camera": pa.list_(_F8, 16),
    "distortion_k1k2p1p2k3": pa.list_(_F8, 5),
    "near_m": _F8,
}
_ORIGIN: dict[str, Any] = {
    "recipe": pa.string(),
    "scene": pa.string(),
    "seed": pa.int64(),
    "index": pa.int64(),
    "renderer": pa.string(),
    "versions": pa.string(),  # digest of an object
}
_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False, metadata=_KEY),
        pa.field("source", pa.string(), nullable=False),
        pa.field("run", pa.string()),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        lance.blob_field("image"),
        pa.field("image_format", pa.string()),
        lance.blob_field("depth"),
        lance.blob_field("normals"),
        pa.field("categories", pa.string(), nullable=False),  # digest of an object
        pa.field("instances", pa.list_(pa.struct(list(_INSTANCE.items())))),
        pa.field("camera", pa.struct(list(_CAMERA.items()))),
        pa.field("origin", pa.struct(list(_ORIGIN.items()))),
        # Summaries of instances, so that filters read one small column.
        pa.field("instance_count", pa.int32(), nullable=False),
        pa.field("instance_categories", pa.list_(pa.string())),  # each once, sorted
        pa.field("visible_fraction_min", _F8),
        pa.field("visible_fraction_max", _F8),
    ]
)
BLOBS = ("image", "depth", "normals")
LABELS = tuple(
    name for name in SCHEMA.names if name not in BLOBS and not name.startswith(("instance_", "visible_")) and name != "run"
)  # what a Record is made of

Put = Callable[[Any], str]  # keeps a JSON value and returns its digest
Get = Callable[[str], Any]


# --- into the table ---------------------------------------------------------------------------------------------------


def row_from(record: Record, run: str, put: Put) -> dict[str, Any]:
    """One row of SCHEMA. Raises LabelError for a label that contradicts another or that no reader could understand."""
    visible = [i.visible_fraction for i in record.instances if i.visible_fraction is not None]
    return {
        "key": record.key,
        "source": record.source,
        "run": run,
        "width": record.width,
        "height": record.height,
        "image": record.image,
        "image_format": record.image_format,
        "depth": record.depth,
        "normals": record.normals,
        "instances": [_instance_row(record, index) for index in range(len(record.instances))],
        "camera": _camera_row(record),
        "origin": _origin_row(record, put),
        "categories": put([asdict(category) for category in record.categories]),
        "instance_count": len(record.instances),
        "instance_categories": sorted({instance.category for instance in record.instances}),
        "visible_fraction_min": min(visible, default=None),
        "visible_fraction_max": max(visible, default=None),
    }


def batch_from(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A record batch of rows."""
    columns = ([row[name] for row in rows] for name in SCHEMA.names)
    arrays = [
        lance.blob_array(values) if field.name in BLOBS else pa.array(values, field.type)
        for field, values in zip(SCHEMA, columns, strict=True)
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def _origin_row(record: Record, put: Put) -> dict[str, Any] | None:
    origin = record.origin
    if origin is None:
        return None
    if not 0 <= origin.seed < 2**63:
        raise LabelError(f"sample {record.key}: seed must be in [0, 2^63) to be kept, got {origin.seed}")
    return {**{name: getattr(origin, name) for name in _ORIGIN}, "versions": put(dict(origin.versions))}


def _camera_row(record: Record) -> dict[str, Any] | None:
    camera = record.camera
    if camera is None:
        return None
    if (camera.width, camera.height) != (record.width, record.height):
        raise LabelError(f"sample {record.key}: its camera is {camera.width}x{camera.height}, its picture {record.width}x{record.height}")
    return {
        "image_from_camera": camera.image_from_camera.ravel(),
        "world_from_camera": camera.world_from_camera.ravel(),
        "distortion_k1k2p1p2k3": camera.distortion,
        "near_m": camera.near_m,
    }


def _instance_row(record: Record, index: int) -> dict[str, Any]:
    it = record.instances[index]
    where = f"sample {record.key}: instance {index} ({it.category})"
    category = next((c for c in record.categories if c.name == it.category), None)
    if category is None:
        raise LabelError(f"{where}: its category is none of the sample's: {', '.join(c.name for c in record.categories) or 'none'}")
    for name, mask in (("mask", it.mask), ("mask_full", it.mask_full)):
        if mask is not None and (mask.width, mask.height) != (record.width, record.height):
            raise LabelError(f"{where}: {name} is {mask.width}x{mask.height}, its picture {record.width}x{record.height}")
    points = it.keypoints
    if points is not None and len(points.v) != len(category.keypoints):
        raise LabelError(f"{where}: it has {len(points.v)} keypoints, its category {len(category.keypoints)}")
    if points is not None and not np.isin(points.v, (0, 1, 2)).all():
        raise LabelError(f"{where}: keypoint v must be 0, 1 or 2, got {points.v.tolist()}")
    obb, box3d = it.obb, it.box3d_object_m
    row: dict[str, Any] = {
        "category": it.category,
        "mask_rle": None if it.mask is None else it.mask.counts,
        "mask_full_rle": None if it.mask_full is None else it.mask_full.counts,
        "area_px": it.area_px,
        "box_xyxy": it.box_xyxy,
        "box_full_xyxy": it.box_full_xyxy,
        "obb_cxcywha": None if obb is None else (obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad),
        "visible_fraction": it.visible_fraction,
        "truncated_fraction": it.truncated_fraction,
        "keypoints_xy": None if points is None else points.xy.ravel(),
        "keypoints_v": None if points is None else points.v,
        "keypoints_xyz_m": None if points is None or points.xyz_m is None else points.xyz_m.ravel(),
        "camera_from_object": None if it.camera_from_object is None else np.ravel(it.camera_from_object),
        "box3d_object_m": None if box3d is None else np.ravel(box3d),
        "asset": it.asset,
    }
    for name, value in row.items():
        if value is not None and not isinstance(value, (str, bytes)) and not np.isfinite(value).all():
            raise LabelError(f"{where}: {name} must be finite, got {np.asarray(value).tolist()}")
    return row


# --- and back ---------------------------------------------------------------------------------------------------------


def records_from(table: Any, blobs: Mapping[str, Sequence[bytes | None]], get: Get) -> list[Record]:
    """The records of a table of LABELS, whose pixels are in `blobs`."""
    table = table.combine_chunks()
    column: dict[str, list[Any]] = {
        name: table[name].to_pylist() for name in ("key", "source", "width", "height", "image_format", "categories", "origin")
    }
    sizes = list(zip(column["width"], column["height"], strict=True))
    instances = _instances(table["instances"], sizes)
    cameras = _cameras(table["camera"], sizes)
    categories = {d: tuple(Category(**c) for c in get(d)) for d in set(column["categories"])}
    versions = {o["versions"]: get(o["versions"]) for o in column["origin"] if o}
    return [
        Record(
            key=column["key"][i],
            source=column["source"][i],
            width=sizes[i][0],
            height=sizes[i][1],
            image=blobs["image"][i] or b"",
            image_format=column["image_format"][i],
            instances=instances[i],
            categories=categories[column["categories"][i]],
            depth=blobs["depth"][i],
            normals=blobs["normals"][i],
            camera=cameras[i],
            origin=Origin(**{**origin, "versions": versions[origin["versions"]]}) if (origin := column["origin"][i]) else None,
        )
        for i in range(len(sizes))
    ]


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _numbers(lists: Any) -> Iterator[Any]:
    """Each list of numbers as a numpy array, None for null; all of them are views of one buffer."""
    if pa.types.is_fixed_size_list(lists.type):
        width = lists.type.list_size
        values = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        rows = iter(values)
        return (next(rows) if valid else None for valid in lists.is_valid().to_pylist())
    values = lists.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum(lists.value_lengths().fill_null(0).to_numpy()).tolist()
    pieces = zip([0, *ends], ends, lists.is_valid().to_pylist(), strict=False)
    return (values[start:end] if valid else None for start, end, valid in pieces)


def _instances(column: Any, sizes: Sequence[tuple[int, int]]) -> list[tuple[Instance, ...]]:
    lists = _one(column)
    counts = lists.value_lengths().fill_null(0).to_pylist()
    flat = lists.flatten()
    field = {name: flat.field(i) for i, name in enumerate(_INSTANCE)}
    size = chain.from_iterable([s] * n for s, n in zip(sizes, counts, strict=True))
    made = (
        _instance(*values)
        for values in zip(
            size,
            *(_numbers(array) if pa.types.is_nested(array.type) else array.to_pylist() for array in field.values()),
            strict=True,
        )
    )
    return [tuple(next(made) for _ in range(n)) for n in counts]


def _instance(
    size: tuple[int, int],
    category: str,
    mask: bytes | None,
    mask_full: bytes | None,
    area_px: int | None,
    box: Any,
    box_full: Any,
    obb: Any,
    visible: float | None,
    truncated: float | None,
    xy: Any,
    v: Any,
    xyz: Any,
    pose: Any,
    box3d: Any,
    asset: str | None,
) -> Instance:
    width, height = size
    return Instance(
        category,
        None if mask is None else Rle(height, width, mask),
        None if mask_full is None else Rle(height, width, mask_full),
        area_px,
        None if box is None else tuple(box.tolist()),
        None if box_full is None else tuple(box_full.tolist()),
        None if obb is None else Obb(*obb.tolist()),
        visible,
        truncated,
        None if v is None else Keypoints(xy.reshape(-1, 2), v, None if xyz is None else xyz.reshape(-1, 3)),
        None if pose is None else pose.reshape(4, 4),
        None if box3d is None else (box3d[:3], box3d[3:]),
        asset,
    )


def _cameras(column: Any, sizes: Sequence[tuple[int, int]]) -> list[Camera | None]:
    array = _one(column)
    valid = array.is_valid().to_pylist()
    parts = [array.field(i) for i in range(len(_CAMERA))]
    rows = zip(_numbers(parts[0]), _numbers(parts[1]), _numbers(parts[2]), parts[3].to_pylist(), strict=True)
    return [
        Camera(k.reshape(3, 3), width, height, world.reshape(4, 4), tuple(distortion.tolist()), near_m) if ok else None
        for ok, (k, world, distortion, near_m), (width, height) in zip(valid, rows, sizes, strict=True)
    ]
