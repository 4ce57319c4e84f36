"""Records into the table: what one sample says, checked, as a row; rows as record batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from synth.digest import label_digest
from synth.errors import LabelError
from synth.record import Record
from synth.store.schema import BLOBS, INFO, ORIGIN, SCHEMA, Put

_BATCH_ROWS, _BATCH_BYTES = 64, 32 << 20  # a batch on its way to the disk ends at either


def row_from(record: Record, run: str, put: Put) -> dict[str, Any]:
    """One row of SCHEMA. Raises LabelError for a label that contradicts another or that no reader could understand."""
    visible = [i.visible_fraction for i in record.instances if i.visible_fraction is not None]
    if not record.key:
        raise LabelError("a sample without a key cannot be kept")
    instances = [_instance_row(record, index) for index in range(len(record.instances))]
    return {
        "key": record.key,
        "source": record.source,
        "run": run,
        **sums_of(record),
        "width": record.width,
        "height": record.height,
        "image_format": record.image_format,
        **{name: getattr(record, name) for name in BLOBS},
        "instances": instances,
        "camera": _camera_row(record),
        "origin": _origin_row(record, put),
        "categories": put([asdict(category) for category in record.categories]),
        "instance_count": len(record.instances),
        "instance_categories": sorted({instance.category for instance in record.instances}),
        "visible_fraction_min": min(visible, default=None),
        "visible_fraction_max": max(visible, default=None),
    }


def sums_of(record: Record) -> dict[str, Any]:
    """The row's columns of info and of digests.

    content_sha256 covers all that a sample is but where it was made: by it two versions of a sample are compared.
    """
    info = _info_row(record)
    labels = bytes.fromhex(label_digest(record))
    sums = {name: None if (data := getattr(record, name)) is None else sha256(data).digest() for name in BLOBS}
    told = {name: value for name, value in info.items() if value is not None}  # an info added later leaves older digests alone
    parts = [record.source, labels.hex(), *(None if data is None else data.hex() for data in sums.values()), told]
    content = sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return {
        **info,
        **{f"{name}_sha256": data for name, data in sums.items()},
        "labels_sha256": labels,
        "content_sha256": content,
    }


def batches_from(rows: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """Record batches of rows, each small enough to wait in memory."""
    batch: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(row[name] or b"") for name in BLOBS)
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield _batch(batch)
            batch, size = [], 0
    if batch:
        yield _batch(batch)


def _batch(rows: Sequence[Mapping[str, Any]]) -> Any:
    columns = ([row[name] for row in rows] for name in SCHEMA.names)
    arrays = [
        lance.blob_array(values) if field.name in BLOBS else pa.array(values, field.type)
        for field, values in zip(SCHEMA, columns, strict=True)
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def _info_row(record: Record) -> dict[str, Any]:
    info = record.info
    row = {name: getattr(info, name) for name in INFO}
    return {**row, "classes": None if info.classes is None else list(info.classes), "attributes": _json(record, "", info.attributes)}


def _json(record: Record, where: str, value: Any) -> str | None:
    try:
        return None if value is None else json.dumps(dict(value), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LabelError(f"sample {record.key}:{where} attributes must be JSON values by name: {error}") from error


def _origin_row(record: Record, put: Put) -> dict[str, Any] | None:
    origin = record.origin
    if origin is None:
        return None
    if not 0 <= origin.seed < 2**63:
        raise LabelError(f"sample {record.key}: seed must be in [0, 2^63) to be kept, got {origin.seed}")
    return {**{name: getattr(origin, name) for name in ORIGIN}, "versions": put(dict(origin.versions))}


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
        "crowd": it.crowd,
        "attributes": _json(record, f" instance {index}:", it.attributes),
    }
    for name, value in row.items():
        if value is not None and not isinstance(value, (str, bytes)) and not np.isfinite(value).all():
            raise LabelError(f"{where}: {name} must be finite, got {np.asarray(value).tolist()}")
    return row
