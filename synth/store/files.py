"""The small files of a store (its mark, its objects, its journal), in a local folder or at `s3://bucket/prefix`.

A name has parts joined by '/'; no part begins with '.'.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from synth.errors import StoreCallError, StoreError


class Files(Protocol):
    """Whole small files by name. Cheap, picklable without secrets, safe to use from many threads; not to be used over a fork.

    Every method raises StoreError, in one message, when the place cannot be reached or does not let it.
    place: the folder's absolute path or `s3://bucket/prefix`. local: the folder, None if remote. lance_options: what Lance needs to
    open `lance_uri`, with secrets; None for a folder.
    """

    @property
    def place(self) -> str: ...

    @property
    def local(self) -> Path | None: ...

    @property
    def lance_options(self) -> dict[str, str] | None: ...

    def lance_uri(self, name: str) -> str:
        """Where Lance finds the table `name`."""

    def read(self, name: str) -> bytes | None:
        """All bytes of `name`, None if it is absent."""

    def write(self, name: str, data: bytes) -> None:
        """Put `data` at `name`, in place of what was there; whole or not at all, whatever ends the process."""

    def create(self, name: str, data: bytes) -> bool:
        """Put `data` at `name` unless something is there, and say whether it was put. Of many at once, one gets True.

        If a service's answer is lost, the one that did put it may get False: where that matters, put data of one's own and read it.
        """

    def exists(self, name: str) -> bool:
        """Whether there is a file `name`."""

    def list(self, prefix: str) -> list[str]:
        """The names below the folder `prefix` ('' for all), sorted; without half-written files."""

    def delete(self, name: str) -> None:
        """Remove `name`; absent is fine."""


def files_at(place: str | Path) -> Files:
    """The files at a folder's path or at `s3://bucket/prefix`; nothing is read or made yet.

    Raises StoreCallError if there can be no such place or its credentials are not set, MissingPartError if S3 support is not installed.
    """
    text = str(place)
    if not text:
        raise StoreCallError("a store needs the name of a folder or s3://bucket/prefix, got ''")
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/", text):
        if scheme[1] == "s3" and text.startswith("s3://"):
            from synth.store.s3 import S3Files

            return S3Files(text)
        raise StoreCallError(f"no store can be at '{text}'; name a folder or s3://bucket/prefix")
    return LocalFiles(Path(place).absolute())


class LocalFiles:
    """Files in a folder, which the first write makes."""

    lance_options = None

    def __init__(self, folder: Path) -> None:
        self.local = folder
        self.place = str(folder)

    def __repr__(self) -> str:
        return f"LocalFiles({self.place!r})"

    def lance_uri(self, name: str) -> str:
        return str(self.local / name)

    def read(self, name: str) -> bytes | None:
        with self._errors("read", name):
            try:
                return (self.local / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, data: bytes) -> None:
        with self._errors("write", name), self._half(name, data) as half:
            half.replace(self.local / name)

    def create(self, name: str, data: bytes) -> bool:
        with self._errors("write", name), self._half(name, data) as half:
            try:
                os.link(half, self.local / name)  # exclusive as O_EXCL is, and whole at once
            except FileExistsError:
                return False
        return True

    def exists(self, name: str) -> bool:
        with self._errors("read", name):
            return (self.local / name).is_file()

    def list(self, prefix: str) -> list[str]:
        with self._errors("list", prefix):
            walk = os.walk(self.local / prefix, onerror=_raise_unless_absent)
            paths = [Path(folder, name) for folder, _, names in walk for name in names if not name.startswith(".")]
        return sorted(path.relative_to(self.local).as_posix() for path in paths)

    def delete(self, name: str) -> None:
        with self._errors("remove", name), suppress(NotADirectoryError):
            (self.local / name).unlink(missing_ok=True)

    @contextmanager
    def _half(self, name: str, data: bytes) -> Iterator[Path]:
        """A hidden file beside `name` that holds all of `data`; gone at the end."""
        path = self.local / name
        half = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            half.write_bytes(data)
            yield half
        finally:
            half.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = "; what was committed before is whole" if verb == "write" else ""
            raise StoreError(f"cannot {verb} {self.local / name}: {error.strerror}{kept}") from error


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def probe(files: Files) -> None:
    """Raise StoreError unless the service honours put-if-absent (`If-None-Match: *`), without which commits would be lost silently.

    Tried with one create after another and with two at once, four times at once; what it writes it removes. A folder needs no probe.
    """
    if files.local is not None:
        return
    names = [f"probe/{uuid.uuid4().hex}" for _ in range(5)]
    made = [files.create(names[0], data) for data in (b"first", b"second")]
    honoured = made == [True, False] and files.read(names[0]) == b"first"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(files.create, [name for name in names[1:] for _ in range(2)], [b"0", b"1"] * 4))
    for name, pair in zip(names[1:], zip(made[::2], made[1::2], strict=True), strict=True):
        honoured = honoured and pair.count(True) == 1 and files.read(name) == b"%d" % pair.index(True)
    with suppress(StoreError):  # what cannot be removed does no harm
        for name in names:
            files.delete(name)
    if not honoured:
        raise StoreError(
            f"store {files.place}: this service does not honour put-if-absent (If-None-Match: *), so that of two commits at once one would "
            "be lost; use a service or a release of it that does"
        )
