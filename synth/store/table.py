"""The Lance table behind a store: opened once a process, written in two phases, its errors made ours.

The rules kept here were measured with pylance 14: storage version 2.2 with stable row ids; blobs read with `preserve_order`; a process
that was forked after lance was used hangs or crashes, so it is refused.
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from synth.errors import StoreError

STORAGE_VERSION = "2.2"
_used = False
_forked = False


def _after_fork() -> None:
    global _forked
    _forked = _used


os.register_at_fork(after_in_child=_after_fork)


def refuse_fork() -> None:
    """Raise StoreError in a process that was forked from one that had used a store."""
    global _used
    if _forked:
        raise StoreError(
            "this process was forked from one that had opened a store, where Lance hangs or crashes; start workers with spawn "
            "(torch: DataLoader(..., multiprocessing_context='spawn'))"
        )
    _used = True


@contextmanager
def lance_errors(what: str) -> Iterator[None]:
    """Turn what Lance raises into one StoreError that begins with `what`."""
    try:
        yield
    except StoreError:
        raise
    except BaseException as error:
        # A panic of its Rust code is a BaseException of a private class.
        if not isinstance(error, (OSError, ValueError, RuntimeError)) and type(error).__name__ != "PanicException":
            raise
        text = str(error)
        if re.search(r"No space left|os error 28|File too large|os error 27|Disk quota", text):
            cause = "the disk is full; what was committed before is whole; free some space and run the same command again"
        elif re.search(r"Permission denied|os error 13|Read-only file system|os error 30", text):
            cause = "it is not writable for this user; choose another store or change its permissions"
        else:
            cause = re.sub(r", (/\S*?\.rs:\d+:\d+)|\s+", " ", text).strip()
        raise StoreError(f"{what}: {cause}") from error


class _Handles(threading.local):
    """A thread's own: Lance's objects raise "Already borrowed" when one thread asks for history while another commits."""

    opened: Any = None
    checkout: Any = None  # the version used last


class Table:
    """The table in a folder. Opened when first used in a thread; pickles as its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = _Handles()

    def __reduce__(self) -> Any:
        return Table, (self.path,)

    def errors(self, doing: str) -> AbstractContextManager[None]:
        """Turn what Lance raises into one StoreError: this store cannot `doing`."""
        return lance_errors(f"store {self.path.parent} cannot {doing}")

    def create(self) -> None:
        """Make the empty table, unless it is there."""
        refuse_fork()
        import lance
        import pyarrow as pa

        from synth.store.schema import SCHEMA

        with self.errors("be made"):
            try:
                lance.write_dataset(
                    pa.Table.from_batches([], SCHEMA),
                    str(self.path),
                    mode="create",
                    data_storage_version=STORAGE_VERSION,
                    enable_stable_row_ids=True,
                    transaction_properties={"message": "empty store"},
                )
            except (OSError, ValueError):
                if not (self.path / "_versions").exists():
                    raise  # else another process made it in between

    def at(self, version: int | None = None) -> Any:
        """The Lance dataset at `version`, or as it is now. Raises StoreError if there is no such version."""
        refuse_fork()
        with self.errors("be opened"):
            own = self._own
            if own.opened is None:
                import lance

                own.opened = lance.dataset(str(self.path))
            version = int(own.opened.latest_version) if version is None else version
            if own.checkout is None or own.checkout.version != version:
                own.checkout = own.opened.checkout_version(version)
            return own.checkout

    def properties(self, version: int) -> dict[str, str]:
        """What its commit said about a version; nothing where it was no commit of ours."""
        with self.errors("tell its history"):
            try:
                transaction = self.at().read_transaction(version)
            except TypeError:  # pylance 14 cannot show a compaction of an indexed table
                return {}
        return dict(transaction.transaction_properties or {}) if transaction is not None else {}

    def append(self, fragments: Sequence[str], properties: dict[str, str]) -> int:
        """Commit fragments as one new version, whose number is returned. Appends of others at the same time land beside it."""
        data = self.at()
        with self.errors("commit"):
            import lance

            written = [lance.FragmentMetadata.from_json(text) for text in fragments]
            if gone := self.missing(fragments):
                raise StoreError(f"store {self.path.parent} cannot commit: written samples are gone ({gone[0]}); write them again")
            operation = lance.LanceOperation.Append(written)
            transaction = lance.Transaction(read_version=data.version, operation=operation, transaction_properties=properties)
            return int(lance.LanceDataset.commit(data, transaction, max_retries=50).version)

    def missing(self, fragments: Iterable[str]) -> list[Path]:
        """The data files of written fragments that are not there."""
        files = [self.path / "data" / file["path"] for text in fragments for file in json.loads(text)["files"]]
        return [file for file in files if not file.exists()]

    def write_stream(self, batches: Iterable[Any]) -> list[str]:
        """Write record batches as new fragments that no version has yet; returns the JSON of each.

        `batches` is walked in the calling thread: Lance would pull it in a thread of its own, where no renderer works. One batch
        waits while another is written.
        """
        data = self.at()
        stream = _Stream(data)
        try:
            for batch in batches:
                if not stream.put(batch):
                    break
            with self.errors("take samples"):
                return stream.end()
        finally:
            stream.abort()


class _Stream:
    """A thread that writes the record batches it is given as uncommitted fragments."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._waiting: queue.Queue[Any] = queue.Queue(maxsize=1)
        self._fragments: list[str] = []
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="synth-store-writer", daemon=True)
        self._thread.start()

    def put(self, item: Any) -> bool:
        """Hand over a batch; False if the thread has ended."""
        while self._thread.is_alive():
            try:
                self._waiting.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def end(self) -> list[str]:
        """Wait for the rest, and return the fragments or raise what went wrong."""
        self.put(None)
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return self._fragments

    def abort(self) -> None:
        """End the thread if it still waits for batches; what it wrote stays behind unused."""
        self.put(_Aborted())
        self._thread.join()

    def _batches(self) -> Iterator[Any]:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, _Aborted):
                raise item
            yield item

    def _write(self) -> None:
        try:
            import pyarrow as pa
            from lance.fragment import write_fragments

            from synth.store.schema import SCHEMA

            reader = pa.RecordBatchReader.from_batches(SCHEMA, self._batches())
            written = write_fragments(reader, self._data, mode="append", data_storage_version=STORAGE_VERSION, enable_stable_row_ids=True)
            self._fragments = [json.dumps(fragment.to_json()) for fragment in written]
        except BaseException as error:
            self._failed = error


class _Aborted(Exception):
    """The samples ended early."""
