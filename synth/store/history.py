"""Commits, branches and tags: what the versions of the table mean.

The table's versions are one line. Each belongs to a branch, or is a step towards one: to add to a branch whose content is not the newest,
that content is first restored as a version of its own. What a commit says is an object (objects.py) that names its parents, as in git,
so history stays when gc removes old versions. A version's transaction holds three properties: `branch`, `record` (the digest of that
object) and `heads`, the version of every other branch; since each commit is made on top of the newest version, its heads are right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from synth.errors import ConfigError, StoreCallError, known_names
from synth.store.failures import Gone
from synth.store.files import Files
from synth.store.objects import Objects
from synth.store.table import MAKING, Table

MAIN = "main"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")
PIN = "pin."  # begins the tags that pins leave, so that gc spares their versions


@dataclass(frozen=True, slots=True)
class Commit:
    """One version. time is UTC; parents: the versions it was made from; run: id of the generate or import run that made it; meta: what that
    run kept with it. kept: False when gc has removed the version, so that only this remains of it."""

    version: int
    time: datetime
    message: str
    run: str | None
    branch: str
    parents: tuple[int, ...]
    tags: tuple[str, ...]
    samples_added: int
    samples_replaced: int
    samples_removed: int
    samples_total: int
    meta: Mapping[str, Any]
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """What a commit says of itself, before it has a version. identity: of what was committed, to find it again."""

    message: str
    run: str | None = None
    added: int = 0
    replaced: int = 0
    removed: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    other_parents: tuple[int, ...] = ()


class History:
    """The meaning of a table's versions."""

    def __init__(self, files: Files, table: Table, objects: Objects, first_schema: bool = False) -> None:
        """first_schema: the store is of schema version 1, where every version is a commit of main."""
        self._files, self._table, self._objects, self._first = files, table, objects, first_schema

    # --- branches and tags --------------------------------------------------------------------------------------------

    def heads(self) -> dict[str, int]:
        """Each branch and its newest version."""
        return self.look()[0]

    def look(self) -> tuple[dict[str, int], int]:
        """Each branch and its newest version, and the newest version of all, as they were at one moment."""
        heads, _, latest = self._told()
        return heads, latest

    def teller(self) -> int:
        """The version that tells the branches: the newest that is no step."""
        return self._told()[1]

    def _told(self) -> tuple[dict[str, int], int, int]:
        while True:
            latest = self._table.latest()
            try:
                return *self._told_by(latest), latest
            except Gone:
                if self._table.latest() == latest:
                    raise

    def _told_by(self, latest: int) -> tuple[dict[str, int], int]:
        for version in range(latest, 0, -1):  # not by listing them, which on object storage is to read each
            properties = self._table.properties(version)
            if properties is None:
                # gc leaves what tells and what is newer, so others have come since. Older ones tell what is no longer true.
                raise Gone(f"store {self._files.place}: version {version} is not there; restore it from a copy")
            if "heads" in properties:
                own = {properties["branch"]: version} if "branch" in properties else {}
                return {**json.loads(properties["heads"]), **own}, version
            if self._first:
                return {MAIN: version}, version
        raise Gone(f"store {self._files.place} has no commit; restore it from a copy")

    def tags(self) -> dict[str, int]:
        """Each tag and its version."""
        return {name: version for name, version in self._table.tags().items() if not name.startswith(MAKING)}

    def resolve(self, ref: str | int) -> int:
        """The version of `ref`: a branch, a tag, or the number of a commit. Raises StoreCallError with the known ones."""
        if isinstance(ref, str) and not ref.isdecimal():
            if ref == MAIN or _NAME.fullmatch(ref):
                heads = self.heads()
                if ref in heads:
                    return heads[ref]
                tags = self.tags()
                if ref in tags:
                    return tags[ref]
            else:
                heads, tags = self.heads(), self.tags()
            known = [*heads, *(tag for tag in tags if not tag.startswith(PIN))]
            raise StoreCallError(f"store {self._files.place}: {known_names('ref', ref, known)}, and version numbers")
        version = int(ref)
        try:
            properties = self._table.properties(version) if version > 0 else None
        except OverflowError:
            properties = None
        if properties is None:
            latest = self._table.latest()
            why = "gc has removed it, or it never was" if 0 < version <= latest else f"there are 1 to {latest}"
            raise StoreCallError(f"store {self._files.place}: no version {ref}: {why}; see synth log")
        if "branch" not in properties and not self._first:
            raise StoreCallError(f"store {self._files.place}: version {ref} is a step of a commit, not a commit; see synth log")
        return version

    def check_name(self, name: str, what: str) -> None:
        """Raise ConfigError unless `name` can name a new branch or tag."""
        if name == MAIN or not _NAME.fullmatch(name) or ".." in name or name.endswith((".lock", ".")):
            raise ConfigError(f"a {what} begins with a letter and has letters, digits, '.', '_', '-', and is not main; got '{name}'")

    # --- commits ------------------------------------------------------------------------------------------------------

    def properties(self, entry: Entry, branch: str, heads: Mapping[str, int], total: int) -> dict[str, str]:
        """The transaction's properties of a commit on `branch`, whose entry is kept by this."""
        parent = heads.get(branch)
        parents = [*([] if parent is None else [parent]), *entry.other_parents]
        record = {
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "message": entry.message,
            "run": entry.run,
            "branch": branch,
            "parents": [[version, self._record_name(version)] for version in parents],
            "added": entry.added,
            "replaced": entry.replaced,
            "removed": entry.removed,
            "total": total,
            "meta": self._objects.put(dict(entry.meta)),
            "identity": entry.identity,
        }
        return {"branch": branch, "record": self._objects.put(record), "heads": _heads(heads, branch)}

    def moved(self, heads: Mapping[str, int]) -> dict[str, str]:
        """The properties of a version that only sets the branches."""
        return {"heads": _heads(heads, "")}

    def _record_name(self, version: int) -> str | None:
        properties = self._table.properties(version)
        if properties is None:  # a commit that did not know its parent's record would have no history
            raise Gone(f"store {self._files.place}: version {version} is not there")
        return properties.get("record")

    def record(self, version: int, digest: str | None = None) -> dict[str, Any]:
        """What the commit `version` says; digest: of its record, where a child has told it."""
        if digest is None:
            properties = self._table.properties(version)
            if properties is None:
                return self._removed(version)
            digest = properties.get("record")
            if digest is None:
                return self._first_schema(version, properties)
        record: dict[str, Any] = self._objects.get(digest)
        return record

    def _removed(self, version: int) -> dict[str, Any]:
        """The record of a commit that gc has removed: a later one knows it."""
        for head in self.heads().values():
            if head > version:
                for number, record in self.walk(head):
                    if number == version:
                        return record
        raise Gone(f"store {self._files.place}: version {version} is not there")

    def _first_schema(self, version: int, properties: Mapping[str, str]) -> dict[str, Any]:
        """The record of a commit by schema version 1, which wrote everything into the properties."""
        data = self._table.at(version)
        with self._table.errors("tell its history"):
            time, total = data.get_version()["timestamp"], data.count_rows()  # Lance gives local time without saying so
        parents = [[parent, None] for parent in (version - 1,) if parent and self._table.properties(parent) is not None]
        return {
            "time": time.astimezone(UTC).isoformat(),
            "message": properties.get("message", ""),
            "run": properties.get("run"),
            "branch": MAIN,
            "parents": parents,
            "added": int(properties.get("samples", 0)),
            "replaced": 0,
            "removed": 0,
            "total": total,
            "meta": properties.get("meta"),
            "identity": properties.get("commit", ""),
        }

    def walk(self, version: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """`version` and all it was made from, newest first, each once, also what gc has removed."""
        waiting: dict[int, str | None] = {version: None}
        while waiting:
            number = max(waiting)  # a parent is always older than its child
            digest = waiting.pop(number)
            record = self.record(number, digest)
            yield number, record
            waiting |= {parent: name for parent, name in record["parents"] if waiting.get(parent) is None}

    def log(self, version: int) -> list[Commit]:
        """The commits that `version` was made from, newest first."""
        tags, kept = self.tags(), set(self._table.versions())
        return [self.commit(number, record, tags, number in kept) for number, record in self.walk(version)]

    def commit(self, version: int, record: Mapping[str, Any], tags: Mapping[str, int], kept: bool = True) -> Commit:
        """A record as a Commit."""
        return Commit(
            version=version,
            time=datetime.fromisoformat(record["time"]),
            message=record["message"],
            run=record["run"],
            branch=record["branch"],
            parents=tuple(parent for parent, _ in record["parents"]),
            tags=tuple(name for name, tagged in tags.items() if tagged == version),
            samples_added=record["added"],
            samples_replaced=record["replaced"],
            samples_removed=record["removed"],
            samples_total=record["total"],
            meta=self._objects.get(record["meta"]) if record["meta"] else {},
            kept=kept,
        )

    def common(self, a: int, b: int) -> int | None:
        """The newest version that both were made from."""
        of_a = {number for number, _ in self.walk(a)}
        return next((number for number, _ in self.walk(b) if number in of_a), None)


def _heads(heads: Mapping[str, int], branch: str) -> str:
    return json.dumps({name: version for name, version in heads.items() if name != branch}, sort_keys=True)
