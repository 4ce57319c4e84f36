"""What keeps a store fast and small: compaction, gc, and restoring what is old."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

from synth.errors import StoreError
from synth.store.changes import Change
from synth.store.history import Entry

if TYPE_CHECKING:
    from synth.store.store import Ref, Store

ROWS_PER_FRAGMENT = 20_000  # many rows in few fragments commit fast; measured at 100,000 samples
_LEASE = "gc.json"
_LEASE_S = 24 * 3600  # after which a gc that was killed is forgotten
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Freed:
    """What gc did. compacted: branches whose fragments were joined."""

    versions: int
    bytes: int
    compacted: tuple[str, ...]

    def __str__(self) -> str:
        joined = f"; joined the fragments of {', '.join(self.compacted)}" if self.compacted else ""
        return f"removed {self.versions} versions, freed {self.bytes / 1e6:.1f} MB{joined}"


def collect(store: Store, keep: timedelta) -> Freed:
    """See Store.gc."""
    if keep < timedelta(0):
        raise StoreError(f"gc: keep must not be negative, got {keep}")
    compacted = tuple(branch for branch in store.branches() if store._changes.compact(branch, ROWS_PER_FRAGMENT) is not None)
    table = store._table
    with _lease(store):
        data = table.at()
        with table.errors("be cleaned"):
            times = {int(v["version"]): v["timestamp"].astimezone(UTC) for v in data.versions()}  # Lance gives local time unsaid
            oldest = datetime.now(UTC) - keep
            teller = store._history.teller()  # what is newer is a step of a writer at work
            spared = _spared(store)
            going = [version for version, when in times.items() if version < teller and version not in spared and when <= oldest]
            if not going:
                return Freed(0, 0, compacted)
            stats = data.cleanup_old_versions(versions=going, error_if_tagged_old_versions=False)
    return Freed(int(stats.old_versions), int(stats.bytes_removed), compacted)


def _spared(store: Store) -> set[int]:
    """The versions that something names: branches, tags and pins, and where branches parted."""
    history = store._history
    heads = history.heads()
    parted = {history.common(a, b) for a, b in combinations(heads.values(), 2)}
    return {*heads.values(), *history.tags().values(), *(version for version in parted if version is not None)}


@contextmanager
def _lease(store: Store) -> Iterator[None]:
    """Say that a gc is at work. One that was killed is forgotten after a day, or when the next one begins."""
    files = store._files
    mine = json.dumps({"since": time.time()}).encode()
    if not files.create(_LEASE, mine):
        since = _lease_since(store)
        if since is not None and time.time() - since < _WAIT_S:
            raise StoreError(
                f"store {store.place}: another gc began {time.time() - since:.0f} s ago; wait for it, or try again in a minute"
            )
        files.write(_LEASE, mine)
    try:
        yield
    finally:
        if files.read(_LEASE) == mine:
            files.delete(_LEASE)


def _lease_since(store: Store) -> float | None:
    data = store._files.read(_LEASE)
    try:
        return None if data is None else float(json.loads(data)["since"])
    except (ValueError, KeyError, TypeError):
        return 0.0


def restore(store: Store, ref: Ref, branch: str, message: str) -> int:
    """See Store.restore.

    A gc that began before the restored version was made does not know that it needs the old one's files: so look for a gc afterwards,
    wait for it to end, and make sure that the old version is still there.
    """
    version = store.resolve(ref)

    def make(data: Any, head: int) -> Change | int:
        if head == version:
            return head
        there, wanted = set(store.read(head).keys()), set(store.read(version).keys())
        entry = Entry(message or f"restore {ref}", added=len(wanted - there), removed=len(there - wanted), other_parents=(version,))
        return Change(entry, content=version)

    return store._changes.apply(branch, make, lambda: _outlasts_gc(store, version))


def _outlasts_gc(store: Store, version: int) -> None:
    end = time.monotonic() + _WAIT_S
    while (since := _lease_since(store)) is not None and time.time() - since < _LEASE_S:
        if time.monotonic() > end:
            raise StoreError(f"store {store.place}: a gc is at work; try again when it has ended, or run synth gc if it was killed")
        time.sleep(0.1)
    if store._table.properties(version) is None:
        raise StoreError(f"store {store.place}: version {version} was removed by gc meanwhile; see synth log")
