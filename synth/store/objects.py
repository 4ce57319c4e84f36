"""JSON values named by the sha256 of their bytes: kept once, never changed, safe to write from many processes at once."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from synth.errors import StoreError


def put(folder: Path, value: Any) -> str:
    """Keep `value` and return its digest. It is on disk, whole, when this returns."""
    try:
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise StoreError(f"only JSON values can be kept with a commit: {error}") from error
    digest = hashlib.sha256(data).hexdigest()
    _write(folder, digest, data)
    return digest


@lru_cache(maxsize=256)
def _write(folder: Path, digest: str, data: bytes) -> None:
    path = folder / f"{digest}.json"
    if not path.exists():
        write_whole(path, data)


@lru_cache(maxsize=256)
def get(folder: Path, digest: str) -> Any:
    """The value of `digest`; do not change it. Raises StoreError if it is missing or its bytes are not what was put."""
    path = folder / f"{digest}.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"the store is damaged: object {path} cannot be read: {error.strerror}; restore it from a copy") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise StoreError(f"the store is damaged: the bytes of object {path} are not those of its name; restore it from a copy")
    return json.loads(data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there with all of `data` or not at all, whatever ends the process. Raises StoreError."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_bytes(data)
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
