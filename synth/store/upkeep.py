"""What keeps a store fast and small: compaction, gc, and restoring what is old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from synth.errors import StoreError
from synth.store.changes import Change
from synth.store.held import condemned, held
from synth.store.history import Entry

if TYPE_CHECKING:
    from synth.store.store import Ref, Store

ROWS_PER_FRAGMENT = 20_000  # many rows in few fragments commit fast; measured at 100,000 samples


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
    oldest, used = datetime.now(UTC) - keep, _used(store)
    teller = store._history.teller()  # what is newer is a step of a writer at work
    old = {version for version, when in used.items() if version < teller and when <= oldest}
    with condemned(store._files, old) as free:
        going = sorted(free - _named(store))
        if not going:
            return Freed(0, 0, compacted)
        with table.errors("be cleaned"):
            stats = table.at().cleanup_old_versions(versions=going, error_if_tagged_old_versions=False)
    return Freed(int(stats.old_versions), int(stats.bytes_removed), compacted)


def _used(store: Store) -> dict[int, datetime]:
    """The versions, and when each was last the newest of a branch: until a commit was made from it."""
    used = store._table.times()
    for head in store._history.heads().values():
        for _, record in store._history.walk(head):
            for parent, _ in record["parents"]:
                if parent in used:
                    used[parent] = max(used[parent], datetime.fromisoformat(record["time"]))
    return used


def _named(store: Store) -> set[int]:
    """The versions that something names, branches, tags and pins, and where these parted from the branches, which a merge asks for."""
    history = store._history
    heads = set(history.heads().values())
    named = heads | set(history.tags().values())
    parted = {history.common(head, other) for head in heads for other in named - {head}}
    return named | {version for version in parted if version is not None}


def restore(store: Store, ref: Ref, branch: str, message: str) -> int:
    """See Store.restore."""
    version = store.resolve(ref)

    def make(data: Any, head: int) -> Change | int:
        if head == version:
            return head
        there, wanted = set(store.read(head).keys()), set(store.read(version).keys())
        entry = Entry(message or f"restore {ref}", added=len(wanted - there), removed=len(there - wanted), other_parents=(version,))
        return Change(entry, content=version)

    with held(store._table, version):
        return store._changes.apply(branch, make)
