"""Versions that somebody is about to name, and versions that a gc is about to remove: small files that let each see the other.

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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from synth.errors import StoreError
from synth.store.files import Files
from synth.store.table import Gone, Table

BEAT_S = 5.0
_DEAD_S = 30.0  # without a beat; by the watcher's own clock
_FORGOTTEN_S = 24 * 3600.0  # after which a gc removes the file of a process that was killed
_PATIENCE_S = 120.0
_HELD, _GC = "held", "gc"


@contextmanager
def held(table: Table, version: int) -> Iterator[None]:
    """Within this no gc removes `version`. Raises Gone if one has removed it, StoreError if one that may do so goes on for long."""
    with _said(table.files, _HELD, [version]):
        _outlast(table, version)
        if table.properties(version) is None:
            raise Gone(f"store {table.files.place}: version {version} was removed by gc meanwhile; see synth log")
        yield


@contextmanager
def condemned(files: Files, versions: Iterable[int]) -> Iterator[set[int]]:
    """Say that a gc removes `versions`, then give those that somebody holds, which must be spared."""
    for kind in (_HELD, _GC):
        for name, told in _all(files, kind):
            if time.time() - told["at"] > _FORGOTTEN_S:
                files.delete(name)
    with _said(files, _GC, versions):
        yield {version for _, told in _all(files, _HELD) for version in told["versions"]}


@contextmanager
def _said(files: Files, kind: str, versions: Iterable[int]) -> Iterator[None]:
    name, ended, wanted = f"{kind}/{uuid.uuid4().hex}.json", threading.Event(), sorted(versions)

    def say() -> None:
        files.write(name, json.dumps({"versions": wanted, "at": time.time()}).encode())

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
        gcs = {name: told["at"] for name, told in _all(table.files, _GC) if version in told["versions"]}
        heard = {name: heard[name] if name in heard and heard[name][0] == at else (at, now) for name, at in gcs.items()}
        if all(now - since > _DEAD_S for _, since in heard.values()):
            return
        if now > end:
            raise StoreError(f"store {table.files.place}: a gc that may remove version {version} is at work; try again when it has ended")
        time.sleep(0.1)


def _all(files: Files, kind: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name in files.list(kind):
        with suppress(ValueError, KeyError, TypeError):  # what is no such file holds nothing
            told = json.loads(files.read(name) or b"")  # b"": it has ended since
            found.append((name, {"versions": set(map(int, told["versions"])), "at": float(told["at"])}))
    return found
