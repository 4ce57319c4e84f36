"""The journal of a run: the blocks that are written but not yet committed, in a folder of the store.

One file a block, put in place by a rename, so whatever ends the process leaves whole entries only. Only the process that holds the lock
writes. The folder is there only between the first block of a run and its commit.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from synth.errors import StoreError
from synth.run.blocks import Finished


class Journal:
    """`with Journal(folder) as journal`: the lock on a run, and its blocks. Raises StoreError if another process has the lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None

    def __enter__(self) -> Journal:
        while self._lock is None:
            self._lock = self._locked()
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        for half in self._folder.glob("*.half"):
            half.unlink()
        return self

    def _locked(self) -> IO[str] | None:
        """The lock; None to try again, when its last holder has removed the folder in between."""
        path = self._folder / "lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._folder}: the run's journal cannot be kept there: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read() or "unknown"
            lock.close()
            raise StoreError(
                f"run {self._folder.name} is being made by another process (id {holder}); wait for it, or stop it and "
                "start the same command again"
            ) from error
        lock.close()
        return None

    def __exit__(self, *_: object) -> None:
        assert self._lock is not None
        if not any(self._folder.glob("*.json")):
            with suppress(OSError):  # an empty folder does no harm
                (self._folder / "lock").unlink()
                self._folder.rmdir()
                self._folder.parent.rmdir()  # stays if another run is in it
        self._lock.close()

    def blocks(self) -> list[Finished]:
        """All blocks, by their first index. What cannot be read is forgotten: its samples are made again."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                value = json.loads(path.read_text())
                found.append(Finished(value["fragment"], tuple(value["made"]), (), value["renderer"]))
            except (ValueError, KeyError, TypeError, RecursionError):
                path.unlink()
        return found

    def add(self, block: Finished) -> None:
        """Keep `block`, on the disk when this returns. Raises StoreError if the disk is full."""
        path = self._path(block)
        half = path.with_suffix(".half")
        try:
            with half.open("w") as file:
                json.dump({"made": block.made, "renderer": block.renderer, "fragment": block.fragment}, file)
                file.flush()
                os.fsync(file.fileno())
            half.rename(path)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with suppress(OSError):
                half.unlink()
            raise StoreError(
                f"{path}: the journal cannot be written: {error.strerror}; the same command goes on from the last block"
            ) from error

    def drop(self, block: Finished) -> None:
        """Forget `block`."""
        self._path(block).unlink(missing_ok=True)

    def _path(self, block: Finished) -> Path:
        return self._folder / f"{block.made[0]:010d}.json"
