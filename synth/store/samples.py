"""Typed, lazy reading of one version of a store."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from synth.errors import ConfigError, StoreError
from synth.record import Map, Record, decode
from synth.store.objects import Objects
from synth.store.table import Table
from synth.types import Category, Sample

_T = TypeVar("_T")
_BATCH = 128  # pictures and maps that are read at once
_LABEL_BATCH = 512  # labels that are read at once
_THREADS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)  # check and decode pictures
_AHEAD = 5 << 19  # pixels that are decoded while one picture is used; with more, memory is fresh for each, which costs more than waiting


class Samples(Sequence[Sample]):
    """The samples of one version, as a sequence that reads when asked.

    `samples[3]` is a Sample, `samples[[5, 2, 9]]` a list of them read at once (many times faster than one by one, and what a torch
    DataLoader uses), `samples[10:20]` another lazy sequence. It pickles as a handle of a few bytes, or a few a row when filtered; start
    workers with spawn, never with fork.
    """

    def __init__(
        self,
        table: Table,
        objects: Objects,
        version: int,
        length: int,
        rows: npt.NDArray[np.int64] | None = None,
        maps: tuple[Map, ...] = ("depth", "normals"),
    ) -> None:
        """`length`: of the whole table; `rows`: the places in it that these are, or None for all. Made by Store.read."""
        self._table, self._objects, self.version, self._length, self._rows, self._maps = table, objects, version, length, rows, maps

    @property
    def place(self) -> str:
        """The store they are in: a folder or `s3://bucket/prefix`."""
        return self._table.files.place

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Their places in the whole version, ascending unless they were chosen otherwise."""
        return np.arange(self._length) if self._rows is None else self._rows

    def __len__(self) -> int:
        return self._length if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"Samples({len(self)} of version {self.version} of {self._table.files.place})"

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    @overload
    def __getitem__(self, index: Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[Sample]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.at(index)
        if isinstance(index, (int, np.integer)):
            return self.__getitems__([int(index)])[0]
        return self.__getitems__(index)

    def at(self, places: slice | Sequence[int] | npt.NDArray[np.integer[Any]]) -> Samples:
        """Those at `places`, as another lazy sequence."""
        chosen = self.rows[places if isinstance(places, slice) else np.asarray(places, np.int64)]
        return Samples(self._table, self._objects, self.version, self._length, chosen, self._maps)

    def __getitems__(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[Sample]:
        """The samples at `indices`, in that order, read at once."""
        return list(self._worked(indices, decode, math.inf))

    def __iter__(self) -> Iterator[Sample]:
        return self._worked(range(len(self)), decode)

    def records(self) -> Iterator[Record]:
        """Each sample with its pixels still encoded, in order."""
        return self._worked(range(len(self)), lambda record: record)

    def labels(self) -> Iterator[Record]:
        """Each sample without its pixels (`image` is empty), in order: many times faster where only labels count."""
        for start in range(0, len(self), _LABEL_BATCH):
            yield from self._labels(range(start, min(start + _LABEL_BATCH, len(self))))[0]

    def described(self, indices: Sequence[int]) -> list[tuple[Record, bytes | None]]:
        """Of each at `indices` the labels without its pixels, and the sha256 of its picture."""
        records, _, sums = self._labels(indices)
        return [(record, each["image"]) for record, each in zip(records, sums, strict=True)]

    def keys(self) -> list[str]:
        """The key of each, in order."""
        data = self._table.at(self.version)
        with self._table.errors("be read"):
            keys = data.to_table(columns=["key"])["key"].to_pylist()
        return keys if self._rows is None else [keys[row] for row in self._rows]

    def columns(self, *names: str) -> Any:
        """An arrow table of these columns (docs/store.md), in order; what an older schema lacks is null."""
        import pyarrow as pa

        from synth.store.schema import SCHEMA

        data = self._table.at(self.version)
        with self._table.errors("be read"):
            table = data.to_table(columns=[name for name in names if name in data.schema.names])
        for name in set(names) - set(table.column_names):
            table = table.append_column(name, pa.nulls(len(table), SCHEMA.field(name).type))
        return table if self._rows is None else table.take(self._rows)

    def categories(self) -> list[tuple[Category, ...]]:
        """What the samples declare, each list of categories once, in the order in which they come first."""
        digests = dict.fromkeys(self.columns("categories")["categories"].to_pylist())
        return [tuple(Category(**category) for category in self._objects.get(digest)) for digest in digests]

    def contents(self) -> dict[str, bytes | None]:
        """The sha256 of all that each is, by key; None where an older schema has kept none."""
        data = self._table.at(self.version)
        columns = [name for name in ("key", "content_sha256") if name in data.schema.names]
        with self._table.errors("be read"):
            table = data.to_table(columns=columns)
        keys = table["key"].to_pylist()
        sums = table["content_sha256"].to_pylist() if len(columns) == 2 else [None] * len(keys)
        rows = range(len(keys)) if self._rows is None else self._rows.tolist()
        return {keys[row]: sums[row] for row in rows}

    def licences(self) -> list[str]:
        """The licences of their pictures, each once, as far as they are known."""
        data = self._table.at(self.version)
        if "licence" not in data.schema.names:
            return []
        with self._table.errors("be read"):
            column = data.to_table(columns=["licence"])["licence"]
        return sorted({licence for licence in (column if self._rows is None else column.take(self._rows)).to_pylist() if licence})

    def _worked(self, indices: Any, work: Callable[[Record], _T], ahead: float = _AHEAD) -> Iterator[_T]:
        """`work` of each sample, its pixels checked, in order: a few threads are at up to `ahead` pixels while the next are read."""
        from synth.store.read import check

        def checked(record: Record, sums: Mapping[str, bytes | None]) -> _T:
            check(record, sums)
            return work(record)

        pending: deque[tuple[Future[_T], int]] = deque()
        waiting = 0
        with ThreadPoolExecutor(max(1, min(_THREADS, len(indices)))) as pool:  # digests and picture decoders let other threads run
            for record, sums in self._with_pixels(indices):
                pixels = record.width * record.height
                pending.append((pool.submit(checked, record, sums), pixels))
                waiting += pixels
                while waiting > ahead and len(pending) > _THREADS:
                    future, pixels = pending.popleft()
                    waiting -= pixels
                    yield future.result()
            for future, _ in pending:
                yield future.result()

    def _with_pixels(self, indices: Any) -> Iterator[tuple[Record, dict[str, bytes | None]]]:
        """Each sample with its pixels, and the sha256 that each of them should have."""
        for start in range(0, len(indices), _LABEL_BATCH):
            records, addresses, sums = self._labels(indices[start : start + _LABEL_BATCH])
            there = [name for name in ("image", *self._maps) if any(each[name] for each in sums)]
            step = _BATCH // max(1, len(there))
            for first in range(0, len(records), step):
                part = slice(first, first + step)
                data = self._table.at(self.version)
                with self._table.errors("be read"):
                    blobs = [data.read_blobs(name, addresses=addresses[part], preserve_order=True) for name in there]
                for record, wanted, *pixels in zip(records[part], sums[part], *blobs, strict=True):
                    given = {name: blob for name, (_, blob) in zip(there, pixels, strict=True)}
                    yield replace(record, **{**given, "image": given.get("image") or b""}), wanted

    def _labels(self, indices: Any) -> tuple[list[Record], list[int], list[dict[str, bytes | None]]]:
        """Samples without their pixels, and of each its row's address and the sha256 of its pixels."""
        from synth.store.read import records_from
        from synth.store.schema import BLOBS, LABELS

        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.size == 0:
            return [], [], []
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        if wanted.min() < 0 or wanted.max() >= len(self):
            raise IndexError(f"there are {len(self)} samples, got index {np.asarray(indices).tolist()}")
        rows = (wanted if self._rows is None else self._rows[wanted]).tolist()
        data = self._table.at(self.version)
        known = set(data.schema.names)  # asked once: it is slow
        with self._table.errors("be read"):
            # Finding rows by their place is slow where rows were deleted: so it is done once, and the pictures are found by address.
            taken = data.take(rows, columns=[*(name for name in LABELS if name in known), "_rowaddr"])
            labels = _with_all(taken)
        sums = (labels[f"{name}_sha256"].to_pylist() for name in BLOBS)
        try:
            records = records_from(labels, self._objects.get)
        except (ConfigError, ValueError, TypeError) as error:
            raise StoreError(f"store {self._table.files.place} cannot be read: a label is damaged: {error}") from error
        return records, taken["_rowaddr"].to_pylist(), [dict(zip(BLOBS, each, strict=True)) for each in zip(*sums, strict=True)]


def _with_all(labels: Any) -> Any:
    """`labels` with those columns that an older schema lacks, as null."""
    import pyarrow as pa

    from synth.store.schema import LABELS, SCHEMA

    for name in LABELS:
        if name not in labels.column_names:
            labels = labels.append_column(name, pa.nulls(len(labels), SCHEMA.field(name).type))
    return labels
