"""A store's mark: how a store is made at a place, and how one knows that it is one."""

from __future__ import annotations

import json
from collections.abc import Callable

from synth.errors import StoreCallError, StoreError
from synth.store.files import Files

SCHEMA_VERSION = 2
_MARK = "synth.json"
_OURS = ("samples.lance", "objects", "commit.lock", "probe")


def make(files: Files, create: Callable[[], None]) -> None:
    """Make an empty store, its table by `create`, unless there is one. Many processes may do so at once, and may die while they do."""
    if files.exists(_MARK):
        return
    foreign = sorted({name.split("/")[0] for name in files.list("")} - {*_OURS, _MARK})
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise StoreCallError(f"{files.place} is no store and holds other things ({shown}); name a new or empty folder")
    try:
        create()
        # The mark is last: a place without it is not yet a store, and the same call completes it.
        files.write(_MARK, json.dumps({"synth_store": SCHEMA_VERSION}).encode() + b"\n")
    except StoreError as error:
        raise StoreCallError(f"no store can be made at {files.place}: {error}; or choose another place") from error


def check(files: Files) -> int:
    """The schema version of the store there. Raises StoreError unless this synth can read it."""
    data = files.read(_MARK)
    if data is None:
        there, is_file = files.list(""), files.local is not None and files.local.is_file()
        remedy = "name another" if there or is_file else f"`synth generate store={files.place}` makes one, or name another"
        what = "it is a file" if is_file else f"it has no {_MARK}" if there else "nothing is there"
        raise StoreCallError(f"no store at {files.place}: {what}; {remedy} with --store")
    damaged = f'{files.place}/{_MARK} is damaged: it must be {{"synth_store": {SCHEMA_VERSION}}}'
    try:
        version = json.loads(data)["synth_store"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(damaged) from error
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise StoreError(damaged)
    if version > SCHEMA_VERSION:
        raise StoreError(f"{files.place} has schema version {version}, this synth reads up to {SCHEMA_VERSION}; install a newer synth")
    return version
