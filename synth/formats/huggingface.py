"""A Hugging Face `datasets` folder: parquet shards with the pictures in them, and a dataset card.

The format: https://huggingface.co/docs/datasets/repository_structure, and the features that `datasets` keeps in a parquet file's metadata
under `huggingface`. `datasets.load_dataset(FOLDER)` gives pictures, boxes and named classes. What it means here:

- `data/train-00000-of-00002.parquet`, ... for each split; samples without one are `train`, as `datasets` itself names them.
- image: the picture's own bytes. objects: a list for each label, one entry an object. bbox is [x, y, width, height] in px, as this
  format's users expect, the rest as in synth.formats.plain: (0, 0) is the outer corner of the top-left pixel. mask, mask_full: COCO's
  compressed run lengths of (height, width). An absent label is null; attributes and origin are JSON. The camera's near plane, which only
  drawing needs, is not kept.
- `README.md`: the card, with licence, features, splits and counts.
- There is no mark for objects to ignore, so those seen too little are left out; so is what does not show at all. An
  object of which nobody gave box or mask has a null bbox and area.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.errors import ConfigError, FormatError
from synth.formats import writing
from synth.formats.huggingface_card import SplitCount, card
from synth.formats.plain import instance_json, origin_json
from synth.formats.reading import brief
from synth.formats.writing import Shown
from synth.record import Record
from synth.types import Category

_ROW_GROUP = 100  # rows; few, since a reader of one row reads its group
_ROW_GROUP_BYTES = 32 << 20


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _list(of: Any) -> dict[str, Any]:
    return {"feature": of, "_type": "Sequence"}  # `List` to datasets 4 and later, which read this too


_TEXT, _FLOATS = _value("string"), _list(_value("float64"))
_MATRIX = _list(_FLOATS)


def _features(names: Sequence[str]) -> dict[str, Any]:
    """The columns, as `datasets` writes its features in JSON. names: of the classes."""
    return {
        "image": {"_type": "Image"},
        "key": _TEXT,
        "source": _TEXT,
        "width": _value("int32"),
        "height": _value("int32"),
        "objects": {
            "bbox": _MATRIX,
            "category": _list({"names": list(names), "_type": "ClassLabel"}),
            "area": _FLOATS,
            "mask": _list(_TEXT),
            "mask_full": _list(_TEXT),
            "box_full_xyxy": _MATRIX,
            "obb_cxcywha": _MATRIX,
            "visible_fraction": _FLOATS,
            "truncated_fraction": _FLOATS,
            "keypoints_xyv": _list(_MATRIX),
            "keypoints_xyz_m": _list(_MATRIX),
            "camera_from_object": _list(_MATRIX),
            "box3d_object_m": _list(_MATRIX),
            "asset": _list(_TEXT),
            "crowd": _list(_value("bool")),
            "attributes": _list(_TEXT),
        },
        "image_from_camera": _MATRIX,
        "distortion": _FLOATS,
        "world_from_camera": _MATRIX,
        "dataset": _TEXT,
        "group": _TEXT,
        "licence": _TEXT,
        "annotator": _TEXT,
        "classes": _list(_TEXT),
        "attributes": _TEXT,
        "origin": _TEXT,
    }


_OBJECT_LABELS = tuple(_features(())["objects"])


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`. shard_bytes: of pictures in one parquet file, about."""

    shard_bytes: int = 500_000_000

    name = "huggingface"
    holds = frozenset({
        "mask", "mask_full", "area_px", "box_xyxy", "box_full_xyxy", "obb", "visible_fraction", "truncated_fraction", "keypoints",
        "keypoints.v", "keypoints.xyz_m", "camera_from_object", "box3d_object_m", "asset", "crowd", "attributes", "camera",
        "info.dataset", "info.split", "info.group", "info.licence", "info.annotator", "info.classes", "info.attributes",
    })  # fmt: skip
    keeps_boxless = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.shard_bytes, bool) or not isinstance(self.shard_bytes, int) or self.shard_bytes < 1:
            raise ConfigError(f"huggingface: shard_bytes must be a whole number above 0, got {brief(self.shard_bytes)}")

    def session(self, folder: Path, categories: Mapping[str, Category]) -> writing.Session:
        return _Session(self, folder, categories)


@dataclass
class _Split:
    """A split while it is written: its shards, the last of which may be open, and the rows that wait to be written."""

    writer: Any = None
    shards: list[tuple[Path, int]] = field(default_factory=list)  # path, and how many classes its file names
    rows: list[dict[str, Any]] = field(default_factory=list)
    waiting_bytes: int = 0
    shard_bytes: int = 0
    examples: int = 0
    table_bytes: int = 0
    objects: Counter[str] = field(default_factory=Counter)

    def count(self, files: Iterable[Path]) -> SplitCount:
        """What the card says of it."""
        return SplitCount(self.examples, self.table_bytes, sum(path.stat().st_size for path in files), self.objects)


class _Session(writing.Session):
    """Writes each split's rows in groups. Class names go into a file when it is closed, since they are known only then."""

    def __init__(self, options: Writer, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.options = options
        self._splits: dict[str, _Split] = {}
        (folder / "data").mkdir()

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        name = record.info.split or "train"
        if not re.fullmatch(r"\w+", name, re.ASCII):
            raise FormatError(f"sample {record.key}: the split '{name}' must be letters, digits and _ in a Hugging Face folder; rename it")
        split = self._splits.setdefault(name, _Split())
        ids = {category: i for i, category in enumerate(self.categories)}
        split.rows.append(_row(record, self.names.picture(record), shown, ids))
        split.objects.update(one.instance.category for one in shown)
        split.examples += 1
        split.waiting_bytes += len(record.image)
        if len(split.rows) == _ROW_GROUP or split.waiting_bytes >= min(_ROW_GROUP_BYTES, self.options.shard_bytes):
            self._flush(name, split)

    def close(self) -> None:
        names = list(self.categories)
        for name, split in self._splits.items():
            self._flush(name, split)
            self._close_shard(split)
            for i, (path, known) in enumerate(split.shards):
                if known < len(names):  # a class came later
                    _rename_classes(path, names)
                path.rename(self.folder / "data" / f"{name}-{i:05d}-of-{len(split.shards):05d}.parquet")
        counts = {name: split.count((self.folder / "data").glob(f"{name}-?????-of-*")) for name, split in self._splits.items()}
        text = card(_features(names), counts, self.categories, self.options.licences, self.options.provenance)
        (self.folder / "README.md").write_text(text, encoding="utf-8")

    def _flush(self, name: str, split: _Split) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not split.rows:
            return
        table = pa.Table.from_pylist(split.rows, schema=_schema())
        if split.writer is None:
            path = self.folder / "data" / f"{name}-{len(split.shards):05d}.part"
            # a stored schema would hide the metadata added at the end
            split.writer = self.files.enter_context(pq.ParquetWriter(path, table.schema, store_schema=False))
            split.shards.append((path, 0))
        split.writer.write_table(table)
        split.table_bytes += table.nbytes
        split.shard_bytes += split.waiting_bytes
        split.waiting_bytes = 0
        split.rows.clear()
        if split.shard_bytes >= self.options.shard_bytes:
            self._close_shard(split)

    def _close_shard(self, split: _Split) -> None:
        if split.writer is not None:
            names = list(self.categories)
            split.writer.add_key_value_metadata(_metadata(names))
            split.writer.close()
            split.shards[-1] = (split.shards[-1][0], len(names))
            split.writer, split.shard_bytes = None, 0


def _row(record: Record, name: str, shown: Sequence[Shown], ids: Mapping[str, int]) -> dict[str, Any]:
    camera, info, origin = record.camera, record.info, record.origin
    objects = [_object(one, ids) for one in shown]
    return {
        "image": {"bytes": record.image, "path": name},
        "key": record.key,
        "source": record.source,
        "width": record.width,
        "height": record.height,
        "objects": {label: [one.get(label) for one in objects] for label in _OBJECT_LABELS},
        "image_from_camera": None if camera is None else camera.image_from_camera.tolist(),
        "distortion": None if camera is None else list(camera.distortion),
        "world_from_camera": None if camera is None else camera.world_from_camera.tolist(),
        "dataset": info.dataset,
        "group": info.group,
        "licence": info.licence,
        "annotator": info.annotator,
        "classes": None if info.classes is None else list(info.classes),
        "attributes": None if info.attributes is None else json.dumps(dict(info.attributes), allow_nan=False),
        "origin": None if origin is None else json.dumps(origin_json(origin)),
    }


def _object(one: Shown, ids: Mapping[str, int]) -> dict[str, Any]:
    labels = instance_json(one) | {"category": ids[one.instance.category]}
    if one.box_xyxy is not None:
        x0, y0, x1, y1 = one.box_xyxy
        labels["bbox"] = [x0, y0, x1 - x0, y1 - y0]
    if one.box_xyxy is not None or one.instance.mask is not None or one.instance.area_px is not None:
        labels["area"] = one.area_px
    for name in ("mask", "mask_full"):
        if name in labels:
            labels[name] = labels[name]["counts"]
    if "attributes" in labels:
        labels["attributes"] = json.dumps(labels["attributes"], allow_nan=False)
    return labels


def _metadata(names: Sequence[str]) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": _features(names)}})}


def _schema() -> Any:
    import pyarrow as pa

    def arrow(feature: Any) -> Any:
        kind = feature.get("_type")
        if kind == "Sequence":
            return pa.list_(arrow(feature["feature"]))
        if kind == "Image":
            return pa.struct({"bytes": pa.binary(), "path": pa.string()})
        if kind == "ClassLabel":
            return pa.int64()
        if kind == "Value":
            return {"string": pa.string(), "int32": pa.int32(), "float64": pa.float64(), "bool": pa.bool_()}[feature["dtype"]]
        return pa.struct({name: arrow(inner) for name, inner in feature.items()})

    return pa.schema({name: arrow(feature) for name, feature in _features(()).items()})


def _rename_classes(path: Path, names: Sequence[str]) -> None:
    """Write a closed shard anew with these class names in its metadata."""
    import pyarrow.parquet as pq

    new = path.with_suffix(".new")
    with pq.ParquetFile(path) as old, pq.ParquetWriter(new, _schema(), store_schema=False) as writer:
        for group in range(old.num_row_groups):
            writer.write_table(old.read_row_group(group))
        writer.add_key_value_metadata(_metadata(names))
    new.replace(path)
