"""What Lance raises, as one StoreError: a lost race, something that is gone, or a message of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from synth.errors import StoreError


class Conflict(StoreError):
    """Another writer was first: look at the newest version and try again."""


class Gone(StoreError):
    """A version or its files are not there: there never was one, or gc has removed it."""


@contextmanager
def lance_errors(what: str) -> Iterator[None]:
    """Turn what Lance raises into one StoreError that begins with `what`."""
    try:
        yield
    except StoreError:
        raise
    except BaseException as error:
        # A panic of its Rust code is a BaseException of a private class.
        if not isinstance(error, (OSError, ValueError, RuntimeError)) and type(error).__name__ not in (
            "PanicException",
            "CommitConflictError",
        ):
            raise
        text = str(error)
        if re.search(r"[Cc]ommit conflict|incompatible with concurrent|preempted by concurrent", text):
            raise Conflict(f"{what}: other writers were faster, again and again; run the same command once more") from error
        if re.match(r"(External error: )?Not found|Ref not found|Version not found|Dataset at path .* was not found", text):
            raise Gone(f"{what}: {_plain(text)}") from error
        if re.search(r"No space left|os error 28|File too large|os error 27|Disk quota", text):
            cause = "the disk is full; what was committed before is whole; free some space and run the same command again"
        elif re.search(r"Permission denied|os error 13|Read-only file system|os error 30", text):
            cause = "it is not writable for this user; choose another store or change its permissions"
        else:
            cause = _plain(text)
        raise StoreError(f"{what}: {cause}") from error


def _plain(text: str) -> str:
    return re.sub(r", (/\S*?\.rs:\d+:\d+)|\s+", " ", text).strip()
