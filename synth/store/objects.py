"""JSON values named by the sha256 of their bytes: kept once, never changed, safe to write from many processes at once."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from synth.errors import StoreError


class Objects:
    """The folder of a store's objects. Pickles as its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Any] = {}

    def __reduce__(self) -> Any:
        return Objects, (self.folder,)

    def put(self, value: Any) -> str:
        """Keep `value` and return its digest. It is in the folder, whole, when this returns."""
        try:
            data = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise StoreError(f"only JSON values can be kept in a store: {error}") from error
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / f"{digest}.json"
        if not path.exists():
            write_whole(path, data)
        return digest

    def get(self, digest: str) -> Any:
        """The value of `digest`, read once; do not change it. Raises StoreError if it is missing or is not what was put."""
        if digest not in self._read:
            path = self.folder / f"{digest}.json"
            try:
                data = path.read_bytes()
            except OSError as error:
                raise StoreError(f"the store is damaged: object {path}: {error.strerror}; restore it from a copy") from error
            if hashlib.sha256(data).hexdigest() != digest:
                raise StoreError(f"the store is damaged: the bytes of object {path} are not those of its name; restore it from a copy")
            try:
                self._read[digest] = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise StoreError(f"the store is damaged: object {path} is no JSON: {error}; restore it from a copy") from error
        return self._read[digest]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there with all of `data` or not at all, whatever ends the process. Raises StoreError."""
    half = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        half.write_bytes(data)
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; what was committed before is whole") from error
