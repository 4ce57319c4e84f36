"""The Lance table behind a store: opened once a thread, written in two phases, its errors made ours.

The rules kept here were measured with pylance 14: storage version 2.2 with stable row ids; blobs read with `preserve_order`; a process
that was forked after lance was used hangs or crashes, so it is refused.

Every version is made by `commit`, and only on top of the newest one. Lance lets most changes land beside each other, which would let two
writers add one key twice. So each change also names the lowest fragment as changed (an empty table is changed by a `Merge`, which
conflicts with everything): of several changes that started from one version, one lands and the others get a `Conflict` and look again.
That works alike in a folder and on object storage, without a lock.
"""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.errors import StoreError
from synth.store.failures import Gone, lance_errors
from synth.store.files import Files
from synth.store.stream import STORAGE_VERSION, Stream

MAKING = "pin.making."  # begins tags that are there for a moment, while another is made
_NAME = "samples.lance"
_TRIES = 10
_used = False
_forked = False


def _after_fork() -> None:
    global _forked
    _forked = _used


os.register_at_fork(after_in_child=_after_fork)


def refuse_fork() -> None:
    """Raise StoreError in a process that was forked from one that had used a store."""
    global _used
    if _forked:
        raise StoreError(
            "this process was forked from one that had opened a store, where Lance hangs or crashes; start workers with spawn "
            "(torch: DataLoader(..., multiprocessing_context='spawn'))"
        )
    _used = True


class _Handles(threading.local):
    """A thread's own: Lance's objects raise "Already borrowed" when one thread asks for history while another commits."""

    opened: Any = None
    checkout: Any = None  # the version used last


class Table:
    """The table of a store. Opened when first used in a thread; pickles as its place."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._own = _Handles()

    def __reduce__(self) -> Any:
        return Table, (self.files,)

    def errors(self, doing: str) -> AbstractContextManager[None]:
        """Turn what Lance raises into one StoreError: this store cannot `doing`."""
        return lance_errors(f"store {self.files.place} cannot {doing}")

    @property
    def _where(self) -> dict[str, Any]:
        return {"storage_options": self.files.lance_options}

    def create(self, properties: Mapping[str, str]) -> None:
        """Make the empty table, unless it is there."""
        refuse_fork()
        import lance
        import pyarrow as pa

        from synth.store.schema import SCHEMA

        with self.errors("be made"):
            try:
                lance.write_dataset(
                    pa.Table.from_batches([], SCHEMA),
                    self.files.lance_uri(_NAME),
                    mode="create",
                    data_storage_version=STORAGE_VERSION,
                    enable_stable_row_ids=True,
                    transaction_properties=dict(properties),
                    **self._where,
                )
            except (OSError, ValueError):
                if not self.files.list(f"{_NAME}/_versions"):
                    raise  # else another process made it in between

    # --- versions -----------------------------------------------------------------------------------------------------

    def latest(self) -> int:
        """The number of the newest version."""
        with self.errors("be opened"):
            return int(self._opened().latest_version)

    def versions(self) -> list[int]:
        """The numbers of all versions that are there, ascending. By the names of their manifests: to read thousands of them takes long."""
        found = (re.fullmatch(r"(\d{20})\.manifest", name.rpartition("/")[2]) for name in self.files.list(f"{_NAME}/_versions"))
        return sorted(2**64 - 1 - int(match[1]) for match in found if match)  # Lance counts down, so that the newest is listed first

    def times(self) -> dict[int, datetime]:
        """The versions that are there, and when each was made, UTC."""
        listed = self._listed("versions", lambda: self._opened().versions())
        return {int(v["version"]): v["timestamp"].astimezone(UTC) for v in listed}  # Lance gives local time without saying so

    def _listed(self, what: str, look: Callable[[], Any]) -> Any:
        for _ in range(_TRIES):
            with suppress(Gone), self.errors(f"list its {what}"):
                return look()  # Gone: one was deleted between its listing and its reading
        raise StoreError(f"store {self.files.place}: its {what} change too fast to be listed; try again")

    def at(self, version: int | None = None) -> Any:
        """The Lance dataset at `version`, or as it is now. Raises Gone if there is no such version."""
        while version is None:
            latest = self.latest()
            try:
                return self.at(latest)
            except Gone:
                if self.latest() == latest:  # else a newer one came and gc took this one, in between
                    raise
        with self.errors("be opened"):
            opened, own = self._opened(), self._own
            if own.checkout is None or own.checkout.version != version:
                try:
                    own.checkout = opened.checkout_version(version)
                except (ValueError, OSError) as error:
                    if "not found" in str(error).lower():
                        raise Gone(f"store {self.files.place}: version {version} is not there; see synth log") from error
                    raise
            return own.checkout

    def _opened(self) -> Any:
        refuse_fork()
        if self._own.opened is None:
            import lance

            self._own.opened = lance.dataset(self.files.lance_uri(_NAME), **self._where)
        return self._own.opened

    def properties(self, version: int) -> dict[str, str] | None:
        """What its writer said about a version, None if the version is not there."""
        with self.errors("tell its history"):
            try:
                transaction = self._opened().read_transaction(version)
            except TypeError:  # pylance 14 cannot show a compaction of an indexed table
                return {}
            except (ValueError, OSError) as error:
                if "not found" in str(error).lower():
                    return None
                raise
        return dict(transaction.transaction_properties or {}) if transaction is not None else {}

    # --- tags ---------------------------------------------------------------------------------------------------------

    def tags(self) -> dict[str, int]:
        """Each tag and its version."""
        listed = self._listed("tags", self._opened().tags.list)
        return {name: int(tag["version"]) for name, tag in sorted(listed.items())}

    def tag(self, name: str, version: int) -> bool:
        """Name a version, and say whether `name` was free. Of many at once, one gets True, which Lance alone does not see to."""
        made = f"{MAKING}{uuid.uuid4().hex}"
        with self.errors(f"be tagged '{name}'"):
            tags = self._opened().tags
            tags.create(made, version)
            try:
                return self.files.create(_tag(name), self.files.read(_tag(made)) or b"")
            finally:
                tags.delete(made)

    def untag(self, name: str) -> None:
        """Take a name away."""
        with self.errors(f"lose its tag '{name}'"):
            self._opened().tags.delete(name)

    # --- writing ------------------------------------------------------------------------------------------------------

    def commit(self, data: Any, properties: Mapping[str, str], new: Sequence[str] = (), gone: Mapping[int, str | None] = {}) -> Any:
        """A new version on top of `data`, which must be the newest: with fragments `new` (JSON of write_stream) and without the rows that
        `gone` names: fragment id -> SQL condition, None for all its rows. Returns it. Raises Conflict if `data` is not the newest."""
        import lance
        from lance import LanceOperation as Operation

        with self.errors("commit"):
            if missing := self.missing(new):
                raise StoreError(f"store {self.files.place} cannot commit: written samples are gone ({missing[0]}); write them again")
            added = [lance.FragmentMetadata.from_json(text) for text in new]
            there = {fragment.fragment_id: fragment for fragment in data.get_fragments()}
            if not there:
                operation: Any = Operation.Merge(added, data.schema)
            else:
                removed, changed = [], {}
                for number, where in gone.items():
                    left = None if where is None else there[number].delete(where)
                    if left is None:
                        removed.append(number)
                    else:
                        changed[number] = left
                if (lowest := min(there)) not in removed:
                    changed.setdefault(lowest, there[lowest].metadata)
                operation = Operation.Update(
                    removed_fragment_ids=removed,
                    updated_fragments=list(changed.values()),
                    new_fragments=added,
                    update_mode="rewrite_rows",
                )
            return self._commit(data, operation, properties)

    def restore(self, version: int, properties: Mapping[str, str]) -> Any:
        """A new version with the content of `version`, whatever is the newest now. Returns it."""
        from lance import LanceOperation as Operation

        data = self.at(version)
        with self.errors("commit"):
            return self._commit(data, Operation.Restore(version), properties)

    def _commit(self, data: Any, operation: Any, properties: Mapping[str, str]) -> Any:
        import lance

        transaction = lance.Transaction(
            read_version=int(data.version), operation=operation, transaction_properties={**properties, "synth": "1"}
        )
        return lance.LanceDataset.commit(data, transaction, max_retries=20, **self._where)

    def missing(self, fragments: Iterable[str]) -> list[str]:
        """The data files of written fragments that are not there."""
        names = [f"{_NAME}/data/{file['path']}" for text in fragments for file in json.loads(text)["files"]]
        if self.files.local is not None:
            return [name for name in names if not self.files.exists(name)]
        there = set(self.files.list(f"{_NAME}/data")) if names else set()  # to ask for one is to read all of it
        return [name for name in names if name not in there]

    def discard(self, fragments: Iterable[str]) -> None:
        """Delete the data files of written fragments that no version will have."""
        for text in fragments:
            for file in json.loads(text)["files"]:
                self.files.delete(f"{_NAME}/data/{file['path']}")

    def write_stream(self, batches: Iterable[Any]) -> list[str]:
        """Write record batches as new fragments that no version has yet; returns the JSON of each.

        `batches` is walked in the calling thread: Lance would pull it in a thread of its own, where no renderer works. One batch
        waits while another is written.
        """
        stream = Stream(self.at(), self._where)
        try:
            for batch in batches:
                if not stream.put(batch):
                    break
            with self.errors("take samples"):
                return stream.end()
        finally:
            stream.abort()


def _tag(name: str) -> str:
    return f"{_NAME}/_refs/tags/{name}.json"


def fragments_of(rows: npt.NDArray[np.uint64], sizes: Mapping[int, int]) -> dict[int, str | None]:
    """Row addresses as what `Table.commit` takes as gone. sizes: live rows of each fragment.

    >>> fragments_of(np.array([0, 1, 2, 4, (1 << 32) + 0], np.uint64), {0: 9, 1: 1})
    {0: '(_rowaddr between 0 and 2) or (_rowaddr between 4 and 4)', 1: None}
    """
    gone: dict[int, str | None] = {}
    rows = np.sort(rows)
    for number in np.unique(rows >> np.uint64(32)).tolist():
        mine = rows[rows >> np.uint64(32) == number]
        if len(mine) == sizes[number]:
            gone[number] = None
            continue
        ends = np.flatnonzero(np.diff(mine) != 1)
        runs = zip(mine[np.r_[0, ends + 1]].tolist(), mine[np.r_[ends, -1]].tolist(), strict=True)
        gone[number] = " or ".join(f"(_rowaddr between {first} and {last})" for first, last in runs)
    return gone
