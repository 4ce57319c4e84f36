"""The digest of what a scene composed: equal for equal worlds, whatever objects hold them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

_LARGE_BYTES = 1 << 15  # arrays from this size are worth remembering


class Contents:
    """Digests of worlds and collages. Large arrays that many worlds share, as textures, are read once: up to memory_bytes of them are
    held, so that their memory is not given to others."""

    def __init__(self, memory_bytes: int = 1 << 28) -> None:
        self._limit, self._held = memory_bytes, 0
        self._known: OrderedDict[tuple[Any, ...], tuple[np.ndarray[Any, Any], bytes]] = OrderedDict()

    def digest(self, made: Any) -> str:
        """sha256 in hex of all that it holds."""
        h = hashlib.sha256()
        self._feed(h, made)
        return h.hexdigest()

    def _feed(self, h: Any, value: Any) -> None:
        # Each value has a tag and its length before its bytes, so that no two different trees write the same bytes.
        if is_dataclass(value) and not isinstance(value, type):
            h.update(f"{type(value).__name__} {len(fields(value))};".encode())
            for f in fields(value):
                self._feed(h, getattr(value, f.name))
        elif isinstance(value, np.ndarray):
            h.update(self._array(value))
        elif isinstance(value, Mapping):
            h.update(f"keys {len(value)};".encode())
            for key, item in sorted(value.items()):
                self._feed(h, key)
                self._feed(h, item)
        elif isinstance(value, frozenset):
            self._feed(h, sorted(value))
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            h.update(f"list {len(value)};".encode())
            for item in value:
                self._feed(h, item)
        else:
            text = repr(value.item() if isinstance(value, np.generic) else value).encode()
            h.update(f"{len(text)};".encode() + text)

    def _array(self, array: np.ndarray[Any, Any]) -> bytes:
        key = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key][1]
        found = f"{array.dtype.str}{array.shape}".encode() + hashlib.sha256(np.ascontiguousarray(array).data).digest()
        if _LARGE_BYTES <= array.nbytes <= self._limit:
            self._known[key], self._held = (array, found), self._held + array.nbytes
            while self._held > self._limit:
                self._held -= self._known.popitem(last=False)[1][0].nbytes
        return found
