"""How a branch moves: look at its newest version, make a change to it, commit that on top, or look again if another was first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from synth.errors import StoreCallError, StoreError, known_names
from synth.store.failures import Conflict, Gone
from synth.store.held import changing
from synth.store.history import Entry, History
from synth.store.table import Table, fragments_of

_T = TypeVar("_T")
_PATIENCE_S = 120.0  # with which a writer tries again while others are first
_KEYS_AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does to the content it is made on: fragments that come (JSON of Table.write_stream), rows that go (addresses)."""

    entry: Entry
    new: Sequence[str] = ()
    gone: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    content: int | None = None  # the version whose content is taken instead of the branch's own, before new and gone


# (the Lance dataset of a branch's newest version, that version) -> the change, or the version that has it already
Make = Callable[[Any, int], "Change | int"]


class Changes:
    """Moves branches of a table."""

    def __init__(self, table: Table, history: History) -> None:
        self._table, self._history = table, history

    def apply(self, branch: str, make: Make) -> int:
        """Commit what `make` makes of the newest version of `branch`; returns the new version, or the one that `make` found.

        `make` is called again whenever another writer was first, so it must only look and calculate. Who gives `content` must hold that
        version (held.py). Raises StoreError.
        """

        def once() -> int:
            heads, newest = self._history.look()
            if branch not in heads:
                raise StoreCallError(f"store {self._table.files.place}: {known_names('branch', branch, heads)}")
            head = heads[branch]
            change = make(self._table.at(head), head)
            if isinstance(change, int):
                return change
            data = self._stand_on(head if change.content is None else change.content, heads, newest)
            sizes = {f.fragment_id: f.count_rows() for f in data.get_fragments()} if len(change.gone) else {}
            gone = fragments_of(change.gone, sizes)
            come = change.entry.added + change.entry.replaced if change.content is None else 0
            total = data.count_rows() - len(change.gone) + come
            properties = self._history.properties(change.entry, branch, heads, total)
            return int(self._table.commit(data, properties, change.new, gone).version)

        return self._patiently(once)

    def move(self, change: Callable[[dict[str, int]], Mapping[str, int] | None]) -> None:
        """Set the branches to what `change` makes of them; None for no change."""

        def once() -> int:
            heads, newest = self._history.look()
            changed = change(heads)
            if changed is None:
                return newest
            return int(self._table.commit(self._table.at(newest), self._history.moved(changed)).version)

        self._patiently(once)

    def compact(self, branch: str, rows: int) -> int | None:
        """Join the small fragments of `branch` into ones of `rows` rows, deleted rows left out; None if there is nothing to join."""

        def once() -> int | None:
            from lance.optimize import Compaction

            heads, newest = self._history.look()
            if branch not in heads:
                return None  # it was deleted meanwhile
            data = self._table.at(heads[branch])
            with self._table.errors("be compacted"):
                if not Compaction.plan(data, {"target_rows_per_fragment": rows}).num_tasks():
                    return None
                data = self._stand_on(heads[branch], heads, newest)
                plan = Compaction.plan(data, {"target_rows_per_fragment": rows})
                Compaction.commit(data, [task.execute(data) for task in plan.tasks])  # `data` is the new version then
            self._expect(heads)  # a compaction lands beside other changes
            properties = self._history.properties(Entry("compact"), branch, heads, data.count_rows())
            return int(self._table.commit(data, properties).version)

        return self._patiently(once)

    def _stand_on(self, version: int, heads: Mapping[str, int], newest: int) -> Any:
        """The newest version, with the content of `version`: itself, or restored. Raises Conflict if `heads` are no longer true there."""
        if version == newest:
            return self._table.at(version)  # if another came since, the commit on this one will say so
        data = self._table.restore(version, {"step": str(version)})
        self._expect(heads)  # it landed on top of whatever came since, which a commit on it would take back
        return data

    def _expect(self, heads: Mapping[str, int]) -> None:
        if self._history.heads() != heads:
            raise Conflict(f"store {self._table.files.place} cannot commit: other writers were faster; run the same command once more")

    def _patiently(self, once: Callable[[], _T]) -> _T:
        with changing(self._table):
            return self._again(once)

    def _again(self, once: Callable[[], _T]) -> _T:
        end, wait_s, seen = time.monotonic() + _PATIENCE_S, 0.01, -1
        while True:
            try:
                return once()
            except (Conflict, Gone) as error:
                if time.monotonic() > end:
                    raise StoreError(str(error)) from error
                if isinstance(error, Gone):
                    # Others committed and gc took away what this was looking at; unless nobody did, then it is lost.
                    latest = self._table.latest()
                    if latest == seen:
                        raise
                    seen = latest
            time.sleep(wait_s * random.uniform(0.5, 1.5))  # not a sample's number: it only spreads writers out
            wait_s = min(wait_s * 2, 1.0)


def rows_of(data: Any, keys: Sequence[str], columns: Sequence[str] = ()) -> Any:
    """An arrow table of the rows of `data` that have one of `keys`: key, _rowaddr, _rowoffset and `columns`.

    All keys are looked through, a batch at a time, so memory does not grow with the table; `columns` are read of the found rows only.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    scanner = data.scanner(columns=["key", "_rowaddr", "_rowoffset"], batch_size=_KEYS_AT_ONCE)
    wanted = pa.array(keys, pa.string())
    batches = (batch.filter(pc.is_in(batch["key"], value_set=wanted)) for batch in scanner.to_batches())
    found = pa.Table.from_batches(batches, scanner.projected_schema)
    if columns:
        more = data.take(found["_rowoffset"].to_numpy(), columns=list(columns))
        for name in columns:
            found = found.append_column(name, more[name])
    return found
