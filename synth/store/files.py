"""The small files of a store (its mark, its objects, its journal), in a local folder or at `s3://bucket/prefix`.

A name has parts joined by '/'; no part begins with '.'. Credentials and endpoint of S3 come from the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (or AWS_DEFAULT_REGION), AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL). Lance is told the
same ones, so both always speak to the same service as the same user.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from synth.errors import MissingPartError, StoreCallError, StoreError


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
        with self._errors("remove", name):
            with suppress(NotADirectoryError):
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


class S3Files:
    """Files on an S3-compatible service; `place` is `s3://bucket/prefix`. Pickles as its place: the environment is read anew."""

    local = None

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        # Characters that no client, URL or shell has a second spelling for: Lance and obstore escape the others differently.
        parts = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)", self.place)
        if parts is None:
            raise StoreCallError(
                f"no store can be at '{place}'; s3://bucket/prefix takes a bucket of 3 to 63 lower-case letters, digits, '.' and '-', and "
                "in the prefix letters, digits, '.', '_', '=', '-' and '/', no part beginning with '.'"
            )
        self._bucket, self._prefix = parts[1], parts[2].strip("/")
        self.lance_options = _options_from_environment(self.place)
        self._service = self.lance_options.get("aws_endpoint", "AWS")
        try:
            import obstore  # noqa: F401
        except ImportError as error:
            raise MissingPartError(f"store {self.place} needs obstore: pip install 'synth[s3]'") from error

    def __reduce__(self) -> Any:
        return S3Files, (self.place,)

    def __repr__(self) -> str:
        return f"S3Files({self.place!r})"

    @cached_property
    def _store(self) -> Any:
        from obstore.store import S3Store

        options = self.lance_options
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            config={key: value for key, value in options.items() if key.startswith("aws_")},
            # The files are small: whoever waits longer than this for one waits for nothing.
            client_options={"allow_http": "allow_http" in options, "connect_timeout": "3s", "timeout": "20s"},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=15)},
        )

    def lance_uri(self, name: str) -> str:
        return f"{self.place}/{name}"

    def read(self, name: str) -> bytes | None:
        import obstore

        with self._errors("read", name):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def write(self, name: str, data: bytes) -> None:
        import obstore

        with self._errors("write", name):
            obstore.put(self._store, name, data)

    def create(self, name: str, data: bytes) -> bool:
        import obstore

        with self._errors("write", name):
            try:
                obstore.put(self._store, name, data, mode="create")
            except FileExistsError:
                return False
        return True

    def exists(self, name: str) -> bool:
        import obstore

        with self._errors("read", name):
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                return False
        return True

    def list(self, prefix: str) -> list[str]:
        import obstore

        with self._errors("list", prefix):
            names = [str(found["path"]) for chunk in obstore.list(self._store, prefix or None) for found in chunk]
        return sorted(name for name in names if not name.rpartition("/")[2].startswith("."))

    def delete(self, name: str) -> None:
        import obstore

        with self._errors("remove", name):
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise

    @contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise self._error(str(error), f"cannot {verb} {name or 'its files'}") from error

    def _error(self, text: str, what: str) -> StoreError:
        """What a failure means. Of the answer only its code is quoted: the rest may hold signatures and keys."""
        code = re.search(r"<Code>(\w+)</Code>", text)
        status = re.search(r"status code: (\d+)", text)
        found = code[1] if code else f"status {status[1]}" if status else ""
        at = f"store {self.place}"
        if found in ("NoSuchBucket", "InvalidBucketName"):
            return StoreCallError(f"{at}: {self._service} has no bucket '{self._bucket}'; make it, or name another")
        if found in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "UnrecognizedClientException"):
            return StoreCallError(
                f"{at}: {self._service} refuses the credentials ({found}); set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where one was "
                "given, AWS_SESSION_TOKEN of a user of it"
            )
        if found in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "status 301"):
            region = (self.lance_options or {}).get("aws_region")
            return StoreCallError(f"{at}: bucket '{self._bucket}' is not in region {region} ({found}); set AWS_REGION to the one it is in")
        if status and status[1] in ("401", "403"):
            return StoreCallError(
                f"{at}: {what}: {self._service} forbids it to this user ({found}); allow it there, or use other credentials"
            )
        if found:
            return StoreError(f"{at}: {what}: {self._service} answers {found}; what was committed before is whole")
        return StoreError(f"{at}: {what}: {self._service} does not answer; is it up, and AWS_ENDPOINT_URL right?")


def _options_from_environment(place: str) -> dict[str, str]:
    """The storage options of Lance for the S3 service that the environment names. Raises StoreCallError if it names no user."""

    def first(*names: str) -> str:
        return next((os.environ[name] for name in names if os.environ.get(name)), "")

    options = {
        "aws_access_key_id": first("AWS_ACCESS_KEY_ID"),
        "aws_secret_access_key": first("AWS_SECRET_ACCESS_KEY"),
        "aws_session_token": first("AWS_SESSION_TOKEN"),
        "aws_region": first("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        "aws_endpoint": first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT").rstrip("/"),
    }
    for key in ("aws_access_key_id", "aws_secret_access_key"):
        if not options[key]:
            raise StoreCallError(
                f"store {place}: {key.upper()} is not set; set it and its pair (those of a profile or role: "
                '`eval "$(aws configure export-credentials --format env)"`)'
            )
    if endpoint := options["aws_endpoint"]:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise StoreCallError(f"store {place}: AWS_ENDPOINT_URL must be http(s)://host or http(s)://host:port, without a user")
        if parts.scheme == "http":
            options["allow_http"] = "true"
    return {key: value for key, value in options.items() if value}


def probe(files: Files) -> None:
    """Raise StoreError unless the service honours put-if-absent (`If-None-Match: *`), without which commits would be lost silently.

    Tried with two creates in a row and with eight at once; what it writes it removes. A folder needs no probe.
    """
    if files.local is not None:
        return
    row, race = f"probe/{uuid.uuid4().hex}", f"probe/{uuid.uuid4().hex}"
    try:
        made = [files.create(row, data) for data in (b"first", b"second")]
        with ThreadPoolExecutor(8) as pool:
            racers = list(pool.map(lambda n: files.create(race, b"%d" % n), range(8)))
        honoured = made == [True, False] and files.read(row) == b"first"
        honoured = honoured and racers.count(True) == 1 and files.read(race) == b"%d" % racers.index(True)
    finally:
        for name in (row, race):
            files.delete(name)
    if not honoured:
        raise StoreError(
            f"store {files.place}: this service does not honour put-if-absent (If-None-Match: *), so that of two commits at once one would "
            "be lost; use a service or a release of it that does"
        )
