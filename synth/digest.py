"""What makes two things the same: digests of recipes, labels and pixels. numpy and the standard library only.

`label_digest` and `pixel_digest` compare samples, `digest_of` compares frozen dataclass trees such as a Recipe.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synth.errors import ConfigError
from synth.types import Camera, Category, Instance, Sample, SampleInfo


class Labelled(Protocol):
    """What has labels: a Sample, or a Record whose pixels are still encoded."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def instances(self) -> tuple[Instance, ...]: ...
    @property
    def categories(self) -> tuple[Category, ...]: ...
    @property
    def camera(self) -> Camera | None: ...
    @property
    def info(self) -> SampleInfo: ...


def label_digest(sample: Labelled) -> str:
    """sha256 over everything that a sample says about its picture: size, instances, categories, camera, classes, bit for bit.

    Not in it: pixels, and where the sample comes from (key, origin, dataset, ...). Numbers count as float64, so a whole number that was
    stored as a float is still the same label; an absent label is left out, so a label added to the types later leaves older digests alone.
    """
    h = hashlib.sha256()
    for value in (sample.size, sample.instances, sample.categories, sample.camera):
        _feed(h, value)
    if sample.info.classes is not None:
        _feed(h, sample.info.classes)
    return h.hexdigest()


def instance_digest(instance: Instance) -> str:
    """sha256 over all labels of one instance, bit for bit."""
    h = hashlib.sha256()
    _feed(h, instance)
    return h.hexdigest()


def pixel_digest(sample: Sample) -> str:
    """sha256 over picture, depth and normals: shape, type and bytes of each, and which of them are absent."""
    h = hashlib.sha256()
    for array in (sample.image, sample.depth_m, sample.normals):
        h.update(b"absent" if array is None else f"{array.dtype.str}{array.shape}".encode())
        if array is not None:
            h.update(np.ascontiguousarray(array).data)
    return h.hexdigest()


def _feed(h: Any, value: Any) -> None:
    # Every value is written as a tag with its length before its bytes, so no two different trees write the same bytes.
    if value is None:
        h.update(b"none;")
    elif isinstance(value, (str, bytes)):
        data = value.encode() if isinstance(value, str) else value
        h.update(f"text {len(data)};".encode() + data)
    elif isinstance(value, Mapping):
        _feed(h, json.dumps(value, sort_keys=True, allow_nan=False))
    elif is_dataclass(value):
        given = [f.name for f in fields(value) if getattr(value, f.name) is not None]
        h.update(f"{type(value).__name__} {len(given)};".encode())
        for name in given:
            h.update(f"{name}=".encode())
            _feed(h, getattr(value, name))
    elif isinstance(value, (tuple, list)) and not all(isinstance(v, (int, float, np.number)) for v in value):
        h.update(f"list {len(value)};".encode())
        for item in value:
            _feed(h, item)
    else:
        array = np.ascontiguousarray(value, dtype="<f8")
        h.update(f"numbers {array.shape};".encode() + array.tobytes())


def digest_of(value: Any) -> str:
    """sha256 of the canonical JSON of `describe(value)`."""
    text = json.dumps(describe(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def describe(value: Any, where: str = "value") -> Any:
    """`value` as JSON that names all it depends on: dataclasses by `_target_` and their fields, arrays and files by their content.

    Raises ConfigError, naming the place, for a value that has no such description (a function, an open file, ...).

    >>> from synth.rand import Uniform
    >>> describe({"height_m": Uniform(0.2, 0.4)})
    {'height_m': {'_target_': 'synth.rand.Uniform', 'low': 0.2, 'high': 0.4}}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"_float_": repr(value)}
    if isinstance(value, bytes):
        return {"_bytes_": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Path):
        return {"_path_": value.name, "sha256": _file_digest(value, where)}
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ConfigError(f"{where}: an array of objects has no digest")
        # Little-endian, so that a digest does not depend on the machine.
        array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"_array_": array.dtype.str, "shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        described = {f.name: describe(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value) if f.init}
        return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **described}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"{where}: keys must be text to have a digest, got {key!r}")
        return {key: describe(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [describe(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise ConfigError(
        f"{where}: a {type(value).__module__}.{type(value).__qualname__} has no digest; use numbers, text, tuples, arrays, paths and "
        "frozen dataclasses"
    )


def _file_digest(path: Path, where: str) -> str:
    """sha256 of a file's bytes, or of a folder's files by name."""
    try:
        if path.is_dir():
            inside = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
            return digest_of([[name, _file_digest(path / name, where)] for name in inside])
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {path}: {error.strerror}") from error
