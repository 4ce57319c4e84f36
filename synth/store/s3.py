"""The small files of a store on an S3-compatible service.

Credentials and endpoint come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (or
AWS_DEFAULT_REGION), AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL). Lance is told the same ones, so both always speak to the same service as
the same user.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

from synth.errors import MissingPartError, StoreCallError, StoreError


class S3Files:
    """Files on an S3-compatible service; `place` is `s3://bucket/prefix`. Pickles as its place: the environment is read anew."""

    local = None
    lance_options: dict[str, str]

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
        from obstore.exceptions import NotFoundError

        with self._errors("read", name):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except (FileNotFoundError, NotFoundError) as error:
                if "<Code>NoSuchKey<" not in str(error):  # a bucket that is not there, or a server that knows no S3
                    raise
                return None

    def write(self, name: str, data: bytes) -> None:
        import obstore

        with self._errors("write", name):
            obstore.put(self._store, name, data)

    def create(self, name: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._errors("write", name):
            try:
                obstore.put(self._store, name, data, mode="create")
            except (FileExistsError, AlreadyExistsError):
                return False
        return True

    def exists(self, name: str) -> bool:
        return self.read(name) is not None  # the answer to HEAD does not say what is wrong

    def list(self, prefix: str) -> list[str]:
        import obstore

        with self._errors("list", prefix):
            names = [str(found["path"]) for chunk in obstore.list(self._store, prefix or None) for found in chunk]
        return sorted(name for name in names if not name.rpartition("/")[2].startswith("."))

    def delete(self, name: str) -> None:
        import obstore

        with self._errors("remove", name):
            obstore.delete(self._store, name)  # of an absent one, S3 says that it is gone

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
        if found in ("PermanentRedirect", "AuthorizationHeaderMalformed") or "incorrectly configured region" in text:
            region = self.lance_options["aws_region"]
            return StoreCallError(f"{at}: bucket '{self._bucket}' is not in region {region}; set AWS_REGION to the one it is in")
        if found in ("NotImplemented", "status 501"):
            return StoreError(f"{at}: {what}: {self._service} cannot do it ({found}); use a service or a release of it that can")
        if status and status[1] in ("401", "403"):
            return StoreCallError(
                f"{at}: {what}: {self._service} forbids it to this user ({found}); allow it there, or use other credentials"
            )
        if status and status[1].startswith("5"):
            return StoreError(f"{at}: {what}: {self._service} fails ({found}); try again later")
        if "HTTP error" in text:
            return StoreError(f"{at}: {what}: {self._service} does not answer; is it up, and AWS_ENDPOINT_URL right?")
        answer = f" ({found})" if found else ""
        return StoreError(f"{at}: {what}: {self._service} does not answer as S3 does{answer}; is AWS_ENDPOINT_URL right?")


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
        parts = re.fullmatch(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[A-Za-z0-9._/-]*)?", endpoint)
        if parts is None:
            raise StoreCallError(f"store {place}: AWS_ENDPOINT_URL must be http(s)://host or http(s)://host:port")
        if parts[1] == "http":
            options["allow_http"] = "true"
    return {key: value for key, value in options.items() if value}
