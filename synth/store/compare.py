"""What changed between two versions, and bringing the changes of one branch into another. By key; no picture is read to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from synth.digest import instance_digest
from synth.errors import ConfigError, StoreError
from synth.record import Output, Record
from synth.store.changes import Change, rows_of
from synth.store.held import held
from synth.store.history import Commit, Entry

if TYPE_CHECKING:
    from synth.store.samples import Samples
    from synth.store.store import Ref, Store

Prefer = Literal["source", "target"]
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class LabelChanges:
    """Instances of one category and source: in one version only, or in both with other labels."""

    added: int = 0
    removed: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from version `a` to version `b`: keys, sorted. labels: by (source, category).

    changed_labels, changed_pixels, changed_info: keys that are in both, by what differs.
    """

    a: int
    b: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed_labels: tuple[str, ...]
    changed_pixels: tuple[str, ...]
    changed_info: tuple[str, ...]
    labels: Mapping[tuple[str, str], LabelChanges]

    @property
    def changed(self) -> tuple[str, ...]:
        """The keys that are in both and differ."""
        return tuple(sorted({*self.changed_labels, *self.changed_pixels, *self.changed_info}))

    def __str__(self) -> str:
        kinds = {"labels": self.changed_labels, "pixels": self.changed_pixels, "info": self.changed_info}
        told = ", ".join(f"{len(keys)} in {kind}" for kind, keys in kinds.items() if keys)
        lines = [f"v{self.a} -> v{self.b}: {len(self.added)} samples added, {len(self.removed)} removed, {len(self.changed)} changed"]
        lines[0] += f" ({told})" if told else ""
        for (source, category), change in sorted(self.labels.items()):
            lines.append(f"  {source:10} {category}: {change.added} labels added, {change.removed} removed, {change.changed} changed")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did. commit: None if there was nothing to bring. conflicts: keys that both had changed, decided by `prefer`."""

    commit: Commit | None
    added: int
    replaced: int
    removed: int
    conflicts: tuple[str, ...]


def diff(store: Store, a: Ref, b: Ref) -> Diff:
    """See Store.diff."""
    versions = store.resolve(a), store.resolve(b)
    before, after = (_sums(store, version) for version in versions)
    added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    differing = [key for key in sorted(before.keys() & after.keys()) if before[key] != after[key]]
    kinds: dict[str, list[str]] = {"labels": [], "pixels": [], "info": []}
    for key in differing:
        old, new = before[key], after[key]
        labels, pixels = old[0] != new[0], old[1:4] != new[1:4]
        kinds["labels"] += [key] * labels
        kinds["pixels"] += [key] * pixels
        kinds["info"] += [key] * (not labels and not pixels)
    return Diff(
        *versions,
        tuple(added),
        tuple(removed),
        tuple(kinds["labels"]),
        tuple(kinds["pixels"]),
        tuple(kinds["info"]),
        _label_changes(
            *(
                _instances(store.read(version), [*alone, *kinds["labels"]])
                for version, alone in zip(versions, (removed, added), strict=True)
            )
        ),
    )


_Of = dict[str, Counter[tuple[str, str, str]]]


def _label_changes(before: _Of, after: _Of) -> dict[tuple[str, str], LabelChanges]:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key, Counter()), after.get(key, Counter())
        gone, come = (Counter[tuple[str, str]]() for _ in range(2))
        for left, into in ((old - new, gone), (new - old, come)):
            for (source, category, _), number in left.items():
                into[source, category] += number
        for what in gone.keys() | come.keys():
            # In a sample that is in both, one label less and one more of a category are one that changed.
            changed = min(gone[what], come[what])
            counts.setdefault(what, Counter()).update(added=come[what] - changed, removed=gone[what] - changed, changed=changed)
    return {what: LabelChanges(**count) for what, count in counts.items()}


def _sums(store: Store, version: int) -> dict[str, tuple[bytes, ...]]:
    names = ["labels_sha256", "image_sha256", "depth_sha256", "normals_sha256", "content_sha256"]
    data = store._table.at(version)
    with store._table.errors("be read"):
        if "content_sha256" not in data.schema.names:
            raise StoreError(f"store {store.place}: version {version} was written by schema version 1, which cannot be compared")
        rows = data.to_table(columns=["key", *names])
    return dict(zip(rows["key"].to_pylist(), zip(*(rows[name].to_pylist() for name in names), strict=True), strict=True))


def _instances(samples: Samples, keys: Iterable[str]) -> _Of:
    """Of each sample: its instances as (source, category, digest of all labels)."""
    return {
        record.key: Counter((record.source, instance.category, instance_digest(instance)) for instance in record.instances)
        for record in of_keys(samples, keys).labels()
    }


def of_keys(samples: Samples, keys: Iterable[str]) -> Samples:
    """Those of `samples` that have one of `keys`, in the order of `samples`."""
    wanted = set(keys)
    return samples.at([place for place, key in enumerate(samples.keys()) if key in wanted]) if wanted else samples[:0]


def merge(store: Store, source: Ref, into: str, prefer: Prefer | None, message: str) -> Merged:
    """See Store.merge."""
    if prefer not in (None, "source", "target"):
        raise ConfigError(f"merge: prefer must be 'source' or 'target', got '{prefer}'")
    theirs_version = store.resolve(source)
    written: dict[tuple[str, ...], list[str]] = {}
    outcome = nothing = Merged(None, 0, 0, 0, ())

    def make(data: Any, head: int) -> Change | int:
        nonlocal outcome
        outcome = nothing  # again: another may have merged meanwhile
        base_version = store._history.common(head, theirs_version)
        if base_version == theirs_version:
            return head  # it has all of it already
        base = {} if base_version is None else _contents(store, base_version)
        theirs, ours = _contents(store, theirs_version), _contents(store, head)
        if theirs == base:
            return head  # it has moved, as by a compaction, but nothing in it has changed
        moved = [key for key in base.keys() | theirs.keys() if base.get(key) != theirs.get(key) and ours.get(key) != theirs.get(key)]
        conflicts = sorted(key for key in moved if ours.get(key) != base.get(key))
        if conflicts and prefer is None:
            raise StoreError(_conflict_message(store, source, into, conflicts, theirs, ours))
        take = sorted(set(moved) - (set(conflicts) if prefer == "target" else set()))
        come, go = [key for key in take if key in theirs], [key for key in take if key in ours]
        replaced = len(set(come) & set(go))
        entry = Entry(
            message or f"merge {source} into {into}",
            added=len(come) - replaced,
            replaced=replaced,
            removed=len(go) - replaced,
            other_parents=(theirs_version,),
        )
        outcome = Merged(None, entry.added, entry.replaced, entry.removed, tuple(conflicts))
        if base_version == head:
            return Change(entry, content=theirs_version)  # nothing happened here since: no picture is copied
        if come and tuple(come) not in written:
            records: Iterator[Record] = of_keys(store.read(theirs_version), come).records()
            written[tuple(come)] = [store.write_fragment(records, Output(), "merge")]
        new = [piece for text in written.get(tuple(come), []) for piece in _pieces(text)]
        gone = rows_of(data, go)["_rowaddr"].to_numpy().astype(np.uint64)
        return Change(entry, new, gone)

    with held(store._table, theirs_version):
        version = store._changes.apply(into, make)
    if outcome is nothing:
        return nothing
    return Merged(store._commit_of(version), outcome.added, outcome.replaced, outcome.removed, outcome.conflicts)


def _contents(store: Store, version: int) -> dict[str, bytes]:
    return {key: sums[-1] for key, sums in _sums(store, version).items()}


def _pieces(text: str) -> Sequence[str]:
    from synth.store.writing import pieces

    return pieces(text)


def _conflict_message(
    store: Store, source: Ref, into: str, conflicts: Sequence[str], theirs: Mapping[str, bytes], ours: Mapping[str, bytes]
) -> str:
    def state(contents: Mapping[str, bytes], key: str) -> str:
        return "changed" if key in contents else "deleted"

    lines = [f"\n  {key}: {state(ours, key)} in {into}, {state(theirs, key)} in {source}" for key in conflicts[:_SHOWN]]
    more = f"\n  ... and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    return (
        f"store {store.place}: {source} cannot be merged into {into}: both changed {len(conflicts)} of the same samples; nothing was "
        f"merged; say whose count with --prefer source or --prefer target:{''.join(lines)}{more}"
    )
