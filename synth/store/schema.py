"""The table of samples: its columns.

One schema for real and synthetic, version 2. A store of version 1, which lacks some columns, can be read. A label that was not given is
null, never zero. All label numbers are float64, so they come back equal to the bit. Pixels are top-level blob columns (nested ones
cannot be compacted). Numbers that belong together are one fixed-length list, named with their order: SQL reads `box_xyxy[1]` as x0, and
one list is read faster than four columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lance
import pyarrow as pa

_F8 = pa.float64()
# Name -> arrow type, for each label of Instance; masks are as large as the picture, so only their run lengths are kept.
INSTANCE: dict[str, Any] = {
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
    "crowd": pa.bool_(),
    "attributes": pa.string(),  # JSON
}
CAMERA: dict[str, Any] = {
    "image_from_camera": pa.list_(_F8, 9),
    "world_from_camera": pa.list_(_F8, 16),
    "distortion_k1k2p1p2k3": pa.list_(_F8, 5),
    "near_m": _F8,
}
ORIGIN: dict[str, Any] = {
    "recipe": pa.string(),
    "scene": pa.string(),
    "seed": pa.int64(),
    "index": pa.int64(),
    "renderer": pa.string(),
    "versions": pa.string(),  # digest of an object
}
INFO: dict[str, Any] = {
    "dataset": pa.string(),
    "split": pa.string(),
    "group": pa.string(),
    "licence": pa.string(),
    "annotator": pa.string(),
    "classes": pa.list_(pa.string()),
    "attributes": pa.string(),  # JSON
}
_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False, metadata=_KEY),
        pa.field("source", pa.string(), nullable=False),
        *(pa.field(name, kind) for name, kind in INFO.items()),
        pa.field("run", pa.string()),  # that wrote the row
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        lance.blob_field("image"),
        lance.blob_field("depth"),
        lance.blob_field("normals"),
        # Lance has no checksums, and a JPEG with wrong bytes still decodes; these also say which pictures differ without reading them.
        pa.field("image_sha256", pa.binary(32)),
        pa.field("depth_sha256", pa.binary(32)),
        pa.field("normals_sha256", pa.binary(32)),
        # What synth.digest says of the labels, and of all that a sample is but its origin: versions are compared and verified by these.
        pa.field("labels_sha256", pa.binary(32)),
        pa.field("content_sha256", pa.binary(32)),
        pa.field("image_format", pa.string()),
        pa.field("categories", pa.string(), nullable=False),  # digest of an object
        pa.field("instances", pa.list_(pa.struct(list(INSTANCE.items())))),
        pa.field("camera", pa.struct(list(CAMERA.items()))),
        pa.field("origin", pa.struct(list(ORIGIN.items()))),
        # Summaries of instances, so that filters read one small column.
        pa.field("instance_count", pa.int32(), nullable=False),
        pa.field("instance_categories", pa.list_(pa.string())),  # each once, sorted
        pa.field("visible_fraction_min", _F8),
        pa.field("visible_fraction_max", _F8),
    ]
)
BLOBS = ("image", "depth", "normals")
_NOT_A_LABEL = {*BLOBS, "run", "content_sha256", *(n for n in SCHEMA.names if n.startswith(("instance_", "visible_")))}
LABELS = tuple(name for name in SCHEMA.names if name not in _NOT_A_LABEL)  # what a Record is made of
ADDED = {2: (*INFO, "labels_sha256", "content_sha256")}  # columns by the schema version that brought them

Put = Callable[[Any], str]  # keeps a JSON value and returns its digest
Get = Callable[[str], Any]
