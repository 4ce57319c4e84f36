"""What changed between two versions, and bringing the changes of one branch into another. By key; no picture is read to compare."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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


def diff(store: Store, a: Ref, b: Ref, where: str | None = None) -> Diff:
    """See Store.diff."""
    versions = store.resolve(a), store.resolve(b)
    delta = _delta(store, *versions)
    if where is not None:
        before, after = (set(store.read(version, where).keys()) for version in versions)
        there = {key: (old if key in before else None, new if key in after else None) for key, (old, new) in delta.items()}
        delta = {key: states for key, states in there.items() if states != (None, None)}
    added = sorted(key for key, (old, _) in delta.items() if old is None)
    removed = sorted(key for key, (_, new) in delta.items() if new is None)
    differing = sorted(delta.keys() - {*added, *removed})
    kinds: dict[str, list[str]] = {"labels": [], "pixels": [], "info": []}
    olds, news = (_sums(store, version, differing) for version in versions)
    for key in differing:
        old, new = olds[key], news[key]
        labels, pixels = old[0] != new[0], old[1:] != new[1:]
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
            *(_instances(store, version, [*alone, *kinds["labels"]]) for version, alone in zip(versions, (removed, added), strict=True))
        ),
    )


_Delta = dict[str, tuple[bytes | None, bytes | None]]


def _delta(store: Store, a: int | None, b: int) -> _Delta:
    """The keys whose samples differ: their content in `a` and in `b`, None where there is none. `a` None: of nothing.

    Fragments that both versions have alike are not read, so a small change of a large store is found fast.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    fragments = [_fragments(store, version) for version in (a, b)]
    alike = fragments[0].keys() & fragments[1].keys()
    rows = [_keys_and(store, [own[name] for name in own.keys() - alike], "content_sha256") for own in fragments]
    # Both columns joined are looked for at once; a content has always 32 bytes, so no two pairs join to the same bytes.
    wide, nothing = pa.large_binary(), pa.scalar(b"", pa.large_binary())
    marks = [pc.binary_join_element_wise(*(column.cast(wide) for column in t.columns), nothing).combine_chunks() for t in rows]
    alone = [t.filter(pc.invert(pc.is_in(mine, value_set=other))) for t, mine, other in zip(rows, marks, marks[::-1], strict=True)]
    old, new = (dict(zip(*(column.to_pylist() for column in t.columns), strict=True)) for t in alone)
    return {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys()}


def _fragments(store: Store, version: int | None) -> dict[str, Any]:
    """The Lance fragments of a version, by the files that they are: equal names, equal rows."""
    if version is None:
        return {}
    data = store._table.at(version)
    if "content_sha256" not in data.schema.names:
        raise StoreError(f"store {store.place}: version {version} was written by schema version 1, which cannot be compared")
    told = ((fragment, fragment.metadata.to_json()) for fragment in data.get_fragments())
    return {json.dumps([f.fragment_id, text["files"], text["deletion_file"]]): f for f, text in told}


def _keys_and(store: Store, fragments: Sequence[Any], column: str) -> Any:
    import pyarrow as pa

    from synth.store.schema import SCHEMA

    with store._table.errors("be read"):
        tables = [fragment.to_table(columns=["key", column]) for fragment in fragments]
    return pa.concat_tables([pa.schema([SCHEMA.field("key"), SCHEMA.field(column)]).empty_table(), *tables])


def _sums(store: Store, version: int, keys: Sequence[str]) -> dict[str, tuple[bytes, ...]]:
    """The digests of labels, image and maps of samples of `version`."""
    names = ["labels_sha256", "image_sha256", "depth_sha256", "normals_sha256"]
    data = store._table.at(version)
    with store._table.errors("be read"):
        rows = rows_of(data, keys, names)
    return dict(zip(rows["key"].to_pylist(), zip(*(rows[name].to_pylist() for name in names), strict=True), strict=True))


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


def _instances(store: Store, version: int, keys: Sequence[str]) -> _Of:
    """Of each sample: its instances as (source, category, digest of all labels)."""
    return {
        record.key: Counter((record.source, instance.category, instance_digest(instance)) for instance in record.instances)
        for record in _of_keys(store, version, keys).labels()
    }


def _of_keys(store: Store, version: int, keys: Sequence[str]) -> Samples:
    """The samples of `version` that have one of `keys`, in its order."""
    samples = store.read(version)
    with store._table.errors("be read"):
        return samples.at(rows_of(store._table.at(version), keys)["_rowoffset"].to_numpy().astype(np.int64) if keys else [])


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
        theirs = _delta(store, base_version, theirs_version)
        if not theirs:
            return head  # it has moved, as by a compaction, but nothing in it has changed
        ours = _delta(store, base_version, head)
        here = {key: ours[key][1] if key in ours else old for key, (old, _) in theirs.items()}
        moved = [key for key, (_, new) in theirs.items() if here[key] != new]
        conflicts = sorted(key for key in moved if key in ours)
        if conflicts and prefer is None:
            raise StoreError(_conflict_message(store, source, into, conflicts, theirs, ours))
        take = sorted(set(moved) - (set(conflicts) if prefer == "target" else set()))
        come, go = [key for key in take if theirs[key][1] is not None], [key for key in take if here[key] is not None]
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
            records: Iterator[Record] = _of_keys(store, theirs_version, come).records()
            written[tuple(come)] = [store.write_fragment(records, Output(), "merge")]
        new = [piece for text in written.get(tuple(come), []) for piece in _pieces(text)]
        gone = rows_of(data, go)["_rowaddr"].to_numpy().astype(np.uint64)
        return Change(entry, new, gone)

    with held(store._table, theirs_version):
        version = store._changes.apply(into, make)
    if outcome is nothing:
        return nothing
    return Merged(store._commit_of(version), outcome.added, outcome.replaced, outcome.removed, outcome.conflicts)


def _pieces(text: str) -> Sequence[str]:
    from synth.store.writing import pieces

    return pieces(text)


def _conflict_message(store: Store, source: Ref, into: str, conflicts: Sequence[str], theirs: _Delta, ours: _Delta) -> str:
    def state(delta: _Delta, key: str) -> str:
        return "deleted" if delta[key][1] is None else "changed"

    lines = [f"\n  {key}: {state(ours, key)} in {into}, {state(theirs, key)} in {source}" for key in conflicts[:_SHOWN]]
    more = f"\n  ... and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    return (
        f"store {store.place}: {source} cannot be merged into {into}: both changed {len(conflicts)} of the same samples; nothing was "
        f"merged; say whose count with --prefer source or --prefer target:{''.join(lines)}{more}"
    )
