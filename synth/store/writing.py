"""Samples into a branch: fragments that workers write, committed once, keyed by the samples' keys."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from synth.errors import LabelError, StoreError
from synth.record import Output, Record, encode
from synth.store.changes import Change, Changes, rows_of
from synth.store.history import Entry, History
from synth.store.objects import Objects
from synth.store.table import Table
from synth.types import Sample

Existing = Literal["refuse", "replace"]


def write_fragment(
    table: Table,
    objects: Objects,
    samples: Iterable[Sample | Record],
    output: Output,
    run: str,
    refused: Callable[[Any, LabelError], None] | None,
) -> str:
    """See Store.write_fragment."""
    from synth.store.rows import batches_from, row_from

    base = table.latest()
    told: list[tuple[str, int | None, str]] = []  # key, index, content

    def rows() -> Iterator[dict[str, Any]]:
        for sample in samples:
            index = None if sample.origin is None else sample.origin.index
            try:
                record = sample
                if isinstance(record, Sample):
                    record = encode(record, output, "" if index is None else f"{run}-{index:08d}")
                row = row_from(record, run, objects.put)
            except LabelError as error:
                if refused is None:
                    raise
                refused(sample, error)
                continue
            told.append((record.key, index, row["content_sha256"].hex()))
            yield row

    fragments = table.write_stream(batches_from(rows()))
    return json.dumps(
        {
            "run": run,
            "base": base,
            "samples": len(told),
            "keys": [key for key, _, _ in told],
            "indices": [index for _, index, _ in told],
            "contents": [content for _, _, content in told],
            "fragments": fragments,
        }
    )


def commit(
    changes: Changes,
    history: History,
    table: Table,
    fragments: Sequence[str],
    branch: str,
    existing: Existing,
    message: str,
    run: str,
    meta: Mapping[str, Any],
) -> int:
    """See Store.commit."""
    parts = [json.loads(text) for text in fragments]
    keys = [key for part in parts for key in part["keys"]]
    contents = dict(zip(keys, (content for part in parts for content in part["contents"]), strict=True))
    if not keys:
        raise StoreError(f"store {table.files.place}: there are no samples to commit")
    new = [piece for part in parts for piece in part["fragments"]]
    identity = hashlib.sha256("\n".join(sorted(new)).encode()).hexdigest()
    since = min(part["base"] for part in parts)
    if len(contents) < len(keys):
        key, times = Counter(keys).most_common(1)[0]
        raise StoreError(f"store {table.files.place}: sample {key} is there {times} times in what is to be committed; {_ONCE}")

    def make(data: Any, head: int) -> Change | int:
        if (version := _done(history, head, since, identity)) is not None:
            return version
        with table.errors("be read"):
            there = rows_of(data, keys, ["content_sha256"])
        if existing == "refuse" and len(there):
            raise StoreError(
                f"store {table.files.place}: {branch} has {len(there)} of these samples already "
                f"(first: {there['key'][0]}, run {run}); {_ONCE}"
            )
        same = [
            contents[key] == content.hex()
            for key, content in zip(there["key"].to_pylist(), there["content_sha256"].to_pylist(), strict=True)
        ]
        if len(there) == len(keys) and all(same):
            return head
        entry = Entry(message, run, len(keys) - len(there), len(there), 0, meta, identity)
        return Change(entry, new, there["_rowaddr"].to_numpy().astype(np.uint64))

    return changes.apply(branch, make)


def pieces(fragment: str) -> list[str]:
    """The table's fragments within what `write_fragment` returned."""
    found: list[str] = json.loads(fragment)["fragments"]
    return found


def keys_of(fragment: str) -> list[str]:
    """The keys of the samples within what `write_fragment` returned."""
    found: list[str] = json.loads(fragment)["keys"]
    return found


_ONCE = "was the same command started twice? Nothing was committed; run it once more, alone, to complete what is missing"


def _done(history: History, head: int, since: int, identity: str) -> int | None:
    """The commit after the version `since` that committed `identity`; none before it can have: its fragments were not there."""
    for version, record in history.walk(head):
        if version <= since:
            return None
        if record["identity"] == identity:
            return version
    return None
