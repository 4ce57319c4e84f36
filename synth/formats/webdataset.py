"""WebDataset: tar shards with the files of each sample side by side.

The format: https://github.com/webdataset/webdataset, "The WebDataset Format". What it means here:

- `train-000000.tar`, `train-000001.tar`, ... for each split, `shard-000000.tar` for samples without one; samples as they come.
- Of each sample: NAME.jpg (or png, webp) as it is; NAME.json, all labels (synth.formats.plain says which and in what units); where there
  is depth, NAME.depth.npy: float32 (height, width) metres, inf where nothing is; where there are normals, NAME.normals.npy: float32
  (height, width, 3), camera frame. NAME is the key without dots, at the first of which WebDataset cuts a name.
- `dataset.json` beside the shards: categories with their keypoints, licences, how many samples each shard has.
- The same samples make the same bytes: no times, no owners.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from synth.errors import ConfigError
from synth.formats import writing
from synth.formats.plain import category_json, instance_json, sample_json
from synth.formats.reading import brief
from synth.formats.writing import EXTENSION, Shown
from synth.record import Record, decode
from synth.types import Category

_BLOCK = tarfile.BLOCKSIZE
_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`. shard_bytes: the largest that a shard grows to, unless one sample is larger."""

    shard_bytes: int = 1 << 30

    name = "webdataset"
    holds = frozenset({
        "mask", "mask_full", "area_px", "box_xyxy", "box_full_xyxy", "obb", "visible_fraction", "truncated_fraction", "keypoints",
        "keypoints.v", "keypoints.xyz_m", "camera_from_object", "box3d_object_m", "asset", "crowd", "attributes", "depth", "normals",
        "camera", "info.dataset", "info.split", "info.group", "info.licence", "info.annotator", "info.classes", "info.attributes",
        "category.mirror", "category.skeleton", "category.sigmas",
    })  # fmt: skip
    can_ignore = True
    keeps_empty = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.shard_bytes, bool) or not isinstance(self.shard_bytes, int) or self.shard_bytes < 1:
            raise ConfigError(f"webdataset: shard_bytes must be a whole number above 0, got {brief(self.shard_bytes)}")

    def session(self, folder: Path, categories: Mapping[str, Category]) -> writing.Session:
        return _Session(self, folder, categories)


@dataclass
class _Shard:
    name: str
    tar: tarfile.TarFile
    size: int = 0


class _Session(writing.Session):
    """Fills one shard of each split at a time."""

    def __init__(self, options: Writer, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.options = options
        self._open: dict[str, _Shard] = {}
        self._count: dict[str, int] = {}  # samples by shard

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        labels = sample_json(record) | {"instances": [instance_json(one) for one in shown]}
        parts = {EXTENSION[record.image_format]: record.image, "json": _to_json(labels).encode()}
        if record.depth is not None or record.normals is not None:
            sample = decode(record)
            maps = {"depth.npy": sample.depth_m, "normals.npy": sample.normals}
            parts |= {ending: _npy(values) for ending, values in maps.items() if values is not None}
        size = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for data in parts.values())
        shard = self._shard(record.info.split, size)
        name = self.names.stem(record).replace(".", "%2E")
        for ending, data in sorted(parts.items()):
            entry = tarfile.TarInfo(f"{name}.{ending}")
            entry.size = len(data)
            shard.tar.addfile(entry, io.BytesIO(data))
        shard.tar.members.clear()  # type: ignore[attr-defined]  # else each shard remembers all its names
        shard.size += size
        self._count[shard.name] = self._count.get(shard.name, 0) + 1

    def close(self) -> None:
        for shard in self._open.values():
            shard.tar.close()
        about = {
            "categories": [category_json(category) for category in self.categories.values()],
            "licences": list(self.options.licences),
            "provenance": dict(self.options.provenance or {}),
            "shards": self._count,
        }
        (self.folder / "dataset.json").write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def _shard(self, split: str | None, size: int) -> _Shard:
        """The split's shard that has room for `size` bytes."""
        prefix = quote(split or "shard", safe="").replace(".", "%2E")
        shard = self._open.get(prefix)
        if shard is None or (shard.size and shard.size + size > self.options.shard_bytes):
            if shard is not None:
                shard.tar.close()
            number = sum(name.rpartition("-")[0] == prefix for name in self._count)
            name = f"{prefix}-{number:06d}.tar"
            tar = tarfile.open(self.folder / name, "w")  # noqa: SIM115 closed when full, or with the session
            shard = self._open[prefix] = _Shard(name, self.files.enter_context(tar))
        return shard


def _npy(values: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()
