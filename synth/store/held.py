"""What processes need of the versions at this moment, and what a gc is about to remove: small files that let each see the other.

Lance looks for conflicts in the versions since the one that a change is based on, and skips those that are gone. So a change whose writer
began before others committed and gc removed some of their versions would land, and take back what they did. Therefore whoever changes the
table first writes `held/ID.json` with the version that is newest, and only then looks what to base the change on; a gc first decides what
is old and then looks what is held, and spares all from there on.

Whoever gives an old version a name (a branch, a tag, a pin) or a new commit its content first writes `held/ID.json`, and then looks for a
gc that has said it removes that version. A gc writes `gc/ID.json` with what it would remove, and then looks what is held or named. So of
two at once at least one sees the other: a gc spares what it sees held; who sees a gc waits for its end, and looks whether the version is
still there. Each file is written anew every few seconds: one that no longer changes is of a process that was killed.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from synth.errors import StoreError
from synth.store.failures import Gone
from synth.store.files import Files
from synth.store.table import Table

BEAT_S = 5.0
_DEAD_S = 30.0  # without a beat; by the watcher's own clock
_FORGOTTEN_S = 24 * 3600.0  # after which a gc removes the file of a process that was killed
_PATIENCE_S = 120.0
_HELD, _GC = "held", "gc"


@contextmanager
def held(table: Table, version: int) -> Iterator[None]:
    """Within this no gc removes `version`. Raises Gone if one has removed it, StoreError if one that may do so goes on for long."""
    with _said(table.files, _HELD, {"versions": [version]}):
        _outlast(table, version)
        if table.properties(version) is None:
            raise Gone(f"store {table.files.place}: version {version} was removed by gc meanwhile; see synth log")
        yield


@contextmanager
def changing(table: Table) -> Iterator[None]:
    """Within this no gc removes what is newest when it begins or comes later."""
    with _said(table.files, _HELD, {"since": table.latest()}):
        yield


@contextmanager
def condemned(files: Files, versions: Collection[int]) -> Iterator[set[int]]:
    """Say that a gc removes `versions`, then give those of them that nobody holds."""
    for kind in (_HELD, _GC):
        for name, told in _all(files, kind):
            if time.time() - told["at"] > _FORGOTTEN_S:
                files.delete(name)
    with _said(files, _GC, {"versions": sorted(versions)}):
        held = [told for _, told in _all(files, _HELD)]
        since = min((told["since"] for told in held if "since" in told), default=max(versions, default=0) + 1)
        yield {version for version in versions if version < since and not any(version in told.get("versions", ()) for told in held)}


@contextmanager
def _said(files: Files, kind: str, what: Mapping[str, Any]) -> Iterator[None]:
    name, ended = f"{kind}/{uuid.uuid4().hex}.json", threading.Event()

    def say() -> None:
        files.write(name, json.dumps({**what, "at": time.time()}).encode())

    def beat() -> None:
        while not ended.wait(BEAT_S):
            with suppress(StoreError):  # the next one may be heard
                say()

    say()
    thread = threading.Thread(target=beat, name="synth-store-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        files.delete(name)


def _outlast(table: Table, version: int) -> None:
    """Wait until every gc that has said it removes `version` has ended or is dead."""
    end = time.monotonic() + _PATIENCE_S
    heard: dict[str, tuple[float, float]] = {}  # what each said last, and since when by our clock
    while True:
        now = time.monotonic()
        gcs = {name: told["at"] for name, told in _all(table.files, _GC) if version in told.get("versions", ())}
        heard = {name: heard[name] if name in heard and heard[name][0] == at else (at, now) for name, at in gcs.items()}
        if all(now - since > _DEAD_S for _, since in heard.values()):
            return
        if now > end:
            raise StoreError(f"store {table.files.place}: a gc that may remove version {version} is at work; try again when it has ended")
        time.sleep(0.1)


def _all(files: Files, kind: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name in files.list(kind):
        if data := files.read(name):  # else it has ended since
            found.append((name, json.loads(data)))
    return found
