"""The Lance table behind a store: opened once a process, written in two phases, its errors made ours.

The rules kept here were measured with pylance 14: storage version 2.2 with stable row ids; blobs read with `preserve_order`; a process
that was forked after lance was used hangs or crashes, so it is refused.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from synth.errors import StoreError

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
def lance_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn what Lance raises into one StoreError."""
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
        raise StoreError(f"store {path.parent}: cannot {doing}: {cause}") from error


def create(path: Path) -> None:
    """Make the empty table, unless it is there."""
    refuse_fork()
    import lance
    import pyarrow as pa

    from synth.store.columns import SCHEMA

    with lance_errors("be made", path):
        try:
            lance.write_dataset(
                pa.Table.from_batches([], SCHEMA),
                str(path),
                mode="create",
                data_storage_version="2.2",
                enable_stable_row_ids=True,
                transaction_properties={"message": "empty store"},
            )
        except (OSError, ValueError):
            lance.dataset(str(path))  # another process made it in between; else this raises what is wrong


@lru_cache(maxsize=8)
def _open(path: Path) -> Any:
    import lance

    return lance.dataset(str(path))


@lru_cache(maxsize=32)
def _checkout(path: Path, version: int) -> Any:
    return _open(path).checkout_version(version)


def dataset(path: Path, version: int | None = None) -> Any:
    """The table at `version`, or as it is now. Checkouts share one cache."""
    refuse_fork()
    with lance_errors("be opened", path):
        return _checkout(path, _open(path).latest_version if version is None else version)


def write_stream(path: Path, batches: Iterable[Any]) -> list[Any]:
    """Write record batches as new fragments that no version has yet; returns their metadata.

    `batches` is walked in the calling thread, because Lance would pull it in a thread of its own, where a renderer cannot work. At most
    two batches wait for the disk.
    """
    import pyarrow as pa
    from lance.fragment import write_fragments

    from synth.store.columns import SCHEMA

    waiting: queue.Queue[Any] = queue.Queue(maxsize=1)
    table = dataset(path)
    fragments: list[Any] = []
    failed: list[BaseException] = []

    def pull() -> Iterator[Any]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def write() -> None:
        try:
            reader = pa.RecordBatchReader.from_batches(SCHEMA, pull())
            fragments.extend(write_fragments(reader, table, mode="append", data_storage_version="2.2", enable_stable_row_ids=True))
        except BaseException as error:
            failed.append(error)

    def put(item: Any) -> None:
        while writer.is_alive():
            try:
                return waiting.put(item, timeout=0.2)
            except queue.Full:
                continue
        return None  # it failed; said below

    writer = threading.Thread(target=write, name="synth-store-writer", daemon=True)
    writer.start()
    try:
        for batch in batches:
            put(batch)
            if failed:
                break
        put(None)
    except BaseException as error:
        put(RuntimeError(f"the samples ended early: {error}"))
        writer.join()
        raise
    writer.join()
    with lance_errors("take samples", path):
        if failed:
            raise failed[0]
    return fragments


def append(path: Path, fragments: Iterable[str], properties: dict[str, str]) -> int:
    """Commit fragments as one new version, whose number is returned. Appends of others at the same time land beside it."""
    import lance

    table = dataset(path)
    with lance_errors("commit", path):
        operation = lance.LanceOperation.Append([lance.FragmentMetadata.from_json(text) for text in fragments])
        transaction = lance.Transaction(read_version=table.version, operation=operation, transaction_properties=properties)
        return int(lance.LanceDataset.commit(table, transaction, max_retries=50).version)
