"""The table back into records: a batch of rows at once, numbers as views of a few arrow buffers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain, repeat
from typing import Any

import numpy as np
import pyarrow as pa

from synth.errors import StoreError
from synth.record import Record
from synth.store.schema import CAMERA, INFO, INSTANCE, Get
from synth.types import Camera, Category, Instance, Keypoints, Obb, Origin, Rle, SampleInfo

_NO_INFO = SampleInfo()


def check(record: Record, sums: Mapping[str, bytes | None]) -> None:
    """Raise StoreError, naming the key, if pixels are not those whose sha256 was kept."""
    for name, wanted in sums.items():
        data = getattr(record, name)
        if data is not None and sha256(data).digest() != wanted:
            raise StoreError(f"sample {record.key}: the bytes of its {name} are damaged; restore the store from a copy")


def records_from(table: Any, get: Get) -> list[Record]:
    """The records of a table of LABELS, without pixels: `image` is empty."""
    table = table.combine_chunks()
    column: dict[str, list[Any]] = {
        name: table[name].to_pylist() for name in ("key", "source", "width", "height", "image_format", "categories", "origin", *INFO)
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
            image=b"",
            image_format=column["image_format"][i],
            instances=instances[i],
            categories=categories[column["categories"][i]],
            camera=cameras[i],
            origin=Origin(**{**origin, "versions": versions[origin["versions"]]}) if (origin := column["origin"][i]) else None,
            info=_info({name: column[name][i] for name in INFO}),
        )
        for i in range(len(sizes))
    ]


def _info(values: dict[str, Any]) -> SampleInfo:
    classes, attributes = values["classes"], values["attributes"]
    if all(value is None for value in values.values()):
        return _NO_INFO
    return SampleInfo(
        **{
            **values,
            "classes": None if classes is None else tuple(classes),
            "attributes": None if attributes is None else json.loads(attributes),
        }
    )


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _numbers(lists: Any) -> Iterator[Any]:
    """Each list of numbers as a numpy array, None for null; all of them are views of one buffer."""
    if lists.null_count == len(lists):
        return repeat(None, len(lists))
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
    there = {flat.type.field(i).name: flat.field(i) for i in range(flat.type.num_fields)}
    field = {name: there[name] if name in there else pa.nulls(len(flat), kind) for name, kind in INSTANCE.items()}  # an older schema
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
    crowd: bool | None,
    attributes: str | None,
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
        crowd,
        None if attributes is None else json.loads(attributes),
    )


def _cameras(column: Any, sizes: Sequence[tuple[int, int]]) -> list[Camera | None]:
    array = _one(column)
    valid = array.is_valid().to_pylist()
    parts = [array.field(i) for i in range(len(CAMERA))]
    rows = zip(_numbers(parts[0]), _numbers(parts[1]), _numbers(parts[2]), parts[3].to_pylist(), strict=True)
    return [
        Camera(k.reshape(3, 3), width, height, world.reshape(4, 4), tuple(distortion.tolist()), near_m) if ok else None
        for ok, (k, world, distortion, near_m), (width, height) in zip(valid, rows, sizes, strict=True)
    ]
