"""Record batches into uncommitted fragments, by a thread."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

STORAGE_VERSION = "2.2"


class Stream:
    """A thread that writes the record batches it is given as uncommitted fragments."""

    def __init__(self, data: Any, options: Mapping[str, Any]) -> None:
        self._data, self._options = data, options
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
            written = write_fragments(
                reader,
                self._data,
                mode="append",
                data_storage_version=STORAGE_VERSION,
                enable_stable_row_ids=True,
                **self._options,
            )
            self._fragments = [json.dumps(fragment.to_json()) for fragment in written]
        except BaseException as error:
            self._failed = error


class _Aborted(Exception):
    """The samples ended early."""
