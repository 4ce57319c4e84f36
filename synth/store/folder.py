"""A store's folder: how it is made, and how one knows that it is one."""

from __future__ import annotations

import json
from pathlib import Path

from synth.errors import StoreCallError, StoreError
from synth.store.objects import Objects, write_whole
from synth.store.table import Table

SCHEMA_VERSION = 1
_MARK = "synth.json"
_OURS = ("samples.lance", "objects", "commit.lock")


def make(folder: Path, table: Table, objects: Objects) -> None:
    """Make an empty store, unless there is one. Many processes may do so at once, and may die while they do."""
    try:
        if (folder / _MARK).exists():
            return
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        foreign = [name for name in there if name not in _OURS and not name.startswith(f".{_MARK}")]
        if foreign:
            shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
            raise StoreCallError(f"{folder} is no store and holds other things ({shown}); name a new or empty folder")
        objects.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreCallError(f"no store can be made at {folder}: {error.strerror}; choose another folder") from error
    table.create()
    # The mark is last: a folder without it is not yet a store, and the same call completes it.
    write_whole(folder / _MARK, json.dumps({"synth_store": SCHEMA_VERSION}).encode() + b"\n")


def check(folder: Path) -> None:
    """Raise StoreError unless this synth can read the store there."""
    mark = folder / _MARK
    try:
        version = json.loads(mark.read_bytes())["synth_store"]
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "is a file" if folder.is_file() else "does not exist" if not folder.exists() else f"has no {_MARK}"
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        remedy = f"`synth generate store={folder}` makes one, or name another" if free else "name another"
        raise StoreCallError(f"no store at {folder}: it {what}; {remedy} with --store") from error
    except OSError as error:
        raise StoreError(f"store {folder} cannot be opened: {mark.name}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f'{mark} is damaged: it must be {{"synth_store": {SCHEMA_VERSION}}}') from error
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise StoreError(f'{mark} is damaged: it must be {{"synth_store": {SCHEMA_VERSION}}}')
    if version > SCHEMA_VERSION:
        raise StoreError(f"{folder} has schema version {version}, this synth reads up to {SCHEMA_VERSION}; install a newer synth")
