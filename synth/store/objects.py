"""JSON values named by the sha256 of their bytes: kept once, never changed, safe to write from many processes at once."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from synth.errors import StoreError
from synth.store.files import Files


class Objects:
    """The objects of a store. Pickles as its place."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._read: dict[str, Any] = {}
        self._put: set[str] = set()

    def __reduce__(self) -> Any:
        return Objects, (self._files,)

    def put(self, value: Any) -> str:
        """Keep `value` and return its digest. It is there, whole, when this returns."""
        try:
            data = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise StoreError(f"only JSON values can be kept in a store: {error}") from error
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._put:
            if not self._files.exists(_name(digest)):
                self._files.write(_name(digest), data)
            self._put.add(digest)
        return digest

    def get(self, digest: str) -> Any:
        """The value of `digest`, read once; do not change it. Raises StoreError if it is missing or is not what was put."""
        if digest not in self._read:
            where = f"{self._files.place}/{_name(digest)}"
            data = self._files.read(_name(digest))
            if data is None:
                raise StoreError(f"the store is damaged: object {where}: No such file; restore it from a copy")
            if hashlib.sha256(data).hexdigest() != digest:
                raise StoreError(f"the store is damaged: the bytes of object {where} are not those of its name; restore it from a copy")
            try:
                self._read[digest] = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise StoreError(f"the store is damaged: object {where} is no JSON: {error}; restore it from a copy") from error
        return self._read[digest]


def _name(digest: str) -> str:
    return f"objects/{digest}.json"
