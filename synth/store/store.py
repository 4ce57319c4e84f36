"""Store: open, read, commit, tag, log."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import synth
from synth.errors import ConfigError, LabelError, StoreCallError, StoreError, known_names
from synth.record import Map, Output, encode
from synth.store import folder
from synth.store.objects import Objects
from synth.store.samples import Samples
from synth.store.table import Table
from synth.types import Sample


@dataclass(frozen=True, slots=True)
class Commit:
    """One version. time is UTC; run: id of the generate or import run that made it; meta: what that run kept with it."""

    version: int
    time: datetime
    message: str
    run: str | None
    tags: tuple[str, ...]
    samples_added: int
    samples_total: int
    meta: Mapping[str, Any]


class Store:
    """A versioned dataset in a folder. Cheap to make, picklable, safe to use from many processes (spawned, not forked) at once."""

    def __init__(self, folder: Path) -> None:
        """Use `Store.open`, which checks that the folder is a store."""
        self.folder = folder
        self._table = Table(folder / "samples.lance")
        self._objects = Objects(folder / "objects")

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False) -> Store:
        """The store at `path`, made there if `create` and nothing else is there. Raises StoreError."""
        if not str(path):
            raise StoreCallError("a store needs the name of a folder, got ''")
        store = cls(Path(path).absolute())
        if create:
            folder.make(store.folder, store._table, store._objects)
        folder.check(store.folder)
        return store

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, ref: str | int = "main", where: str | None = None, maps: Sequence[Map] = ("depth", "normals")) -> Samples:
        """The samples of `ref` for which the SQL condition `where` over the columns holds, in the order of their commits.

        maps: which of the kept maps to read; training on pictures alone is faster without.
        """
        version = self.resolve(ref)
        data = self._table.at(version)
        rows = None if where is None else self._rows_where(data, where)
        with self._table.errors("be read"):
            return Samples(self._table, self._objects, version, data.count_rows(), rows, tuple(maps))

    def get(self, key: str, ref: str | int = "main") -> Sample:
        """The sample `key`. Raises StoreError if `ref` has none."""
        escaped = key.replace("'", "''")
        found = self.read(ref, f"key = '{escaped}'")
        if not found:
            raise StoreCallError(f"store {self.folder}: {ref} has no sample '{key}'")
        return found[0]

    def indices(self, run: str, ref: str | int = "main") -> npt.NDArray[np.int64]:
        """The sample indices that `run` has committed, sorted."""
        data = self._table.at(self.resolve(ref))
        escaped = run.replace("'", "''")
        with self._table.errors("be read"):
            found = data.to_table(columns=["origin.index"], filter=f"run = '{escaped}' and origin is not null")
        return np.sort(found.column(0).to_numpy().astype(np.int64))

    def _rows_where(self, data: Any, where: str) -> npt.NDArray[np.int64]:
        from synth.store.schema import SCHEMA

        with self._table.errors("be read"):
            try:
                rows = data.to_table(columns=["_rowoffset"], filter=where)["_rowoffset"]
            except ValueError as error:
                text = re.sub(r",? ?/\S*\.rs:\d+:\d+|Invalid user input: ", "", str(error))
                if "External error" in text and "Query Execution error" not in text:
                    raise  # not the filter: a file that it reads
                cause = text.split(" Valid fields are")[0].rstrip(". ")
                raise StoreCallError(f'the filter "{where}" cannot be used: {cause}; known columns: {", ".join(SCHEMA.names)}') from error
        places: npt.NDArray[np.int64] = rows.to_numpy().astype(np.int64)
        return places

    # --- refs ---------------------------------------------------------------------------------------------------------

    def resolve(self, ref: str | int) -> int:
        """The version number of `ref`: 'main', a tag, or a version number. Raises StoreError with the known ones."""
        latest = int(self._table.at().version)
        if ref == "main":
            return latest
        tags = self.tags()
        if isinstance(ref, str) and ref in tags:
            return tags[ref]
        if isinstance(ref, int) or re.fullmatch(r"[0-9]+", ref):
            if 1 <= int(ref) <= latest:
                self._table.at(int(ref))
                return int(ref)
            raise StoreCallError(f"store {self.folder}: no version {ref}; there are 1 to {latest}")
        raise StoreCallError(f"store {self.folder}: {known_names('ref', ref, ['main', *tags])}, and versions 1 to {latest}")

    def tag(self, name: str, ref: str | int = "main") -> None:
        """Name the version of `ref` for good."""
        if name == "main" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", name) or ".." in name or name.endswith((".lock", ".")):
            raise ConfigError(f"a tag begins with a letter and has letters, digits, '.', '_', '-', and is not main; got '{name}'")
        version, known = self.resolve(ref), self.tags()
        if known.get(name, version) != version:
            raise StoreCallError(f"store {self.folder}: tag '{name}' is there and names version {known[name]}; choose another name")
        if name not in known:
            with self._table.errors(f"be tagged '{name}'"):
                self._table.at().tags.create(name, version)

    def tags(self) -> dict[str, int]:
        """Each tag and its version."""
        with self._table.errors("list its tags"):
            return {name: int(tag["version"]) for name, tag in sorted(self._table.at().tags.list().items())}

    def log(self, ref: str | int = "main") -> list[Commit]:
        """The commits up to `ref`, newest first."""
        data = self._table.at(self.resolve(ref))
        tags = self.tags()
        with self._table.errors("list its versions"):
            versions = sorted((v for v in data.versions() if v["version"] <= data.version), key=lambda v: -int(v["version"]))
            return [self._commit_of(version, tags) for version in versions]

    def provenance(self, ref: str | int = "main") -> dict[str, Any]:
        """Where the samples of `ref` come from, as JSON for exports: this store, the version, its date, its commits, and the licences
        in their meta (`{"licences": {what: licence}}`)."""
        commits = [commit for commit in self.log(ref) if commit.samples_added]
        return {
            "store": str(self.folder),
            "ref": str(ref),
            "version": self.resolve(ref),
            "date_created": max((c.time for c in commits), default=datetime.now(UTC)).isoformat(timespec="seconds"),
            "synth": synth.__version__,
            "licences": sorted({licence for commit in commits for licence in commit.meta.get("licences", {}).values()}),
            "commits": [
                {
                    "version": c.version,
                    "date": c.time.isoformat(timespec="seconds"),
                    "run": c.run,
                    "message": c.message,
                    "samples": c.samples_added,
                }
                for c in commits
            ],
        }

    def _commit_of(self, version: Mapping[str, Any], tags: Mapping[str, int]) -> Commit:
        number = int(version["version"])
        properties = self._table.properties(number)
        return Commit(
            version=number,
            time=version["timestamp"].astimezone(UTC),  # Lance gives local time without saying so
            message=properties.get("message", ""),
            run=properties.get("run"),
            tags=tuple(name for name, tagged in tags.items() if tagged == number),
            samples_added=int(properties.get("samples", 0)),
            samples_total=int(version["metadata"]["total_rows"]),
            meta=self._objects.get(properties["meta"]) if "meta" in properties else {},
        )

    # --- writing ------------------------------------------------------------------------------------------------------

    def write_fragment(
        self, samples: Iterable[Sample], output: Output, run: str, refused: Callable[[Sample, LabelError], None] | None = None
    ) -> str:
        """Write samples where no version shows them yet, and return the JSON that `commit` takes. For workers.

        `samples` is walked in the calling thread and may be long: a few tens of encoded samples are in memory at a time. A sample
        without a key gets `{run}-{index:08d}`. One that contradicts itself goes to `refused` and is left out; without `refused` its
        LabelError is raised. Raises StoreError if the disk is full; nothing that was committed changes.
        """
        from synth.store.rows import batches_from, row_from

        base = int(self._table.at().version)
        indices: list[int | None] = []

        def rows() -> Iterator[dict[str, Any]]:
            for sample in samples:
                index = None if sample.origin is None else sample.origin.index
                try:
                    row = row_from(encode(sample, output, "" if index is None else f"{run}-{index:08d}"), run, self._objects.put)
                except LabelError as error:
                    if refused is None:
                        raise
                    refused(sample, error)
                    continue
                indices.append(index)
                yield row

        fragments = self._table.write_stream(batches_from(rows()))
        known = [index for index in indices if index is not None]
        return json.dumps({"run": run, "base": base, "samples": len(indices), "indices": _ranges(known), "fragments": fragments})

    def has_fragment(self, fragment: str) -> bool:
        """Whether what `write_fragment` wrote is still there to be committed."""
        return not self._table.missing(json.loads(fragment)["fragments"])

    def commit(self, fragments: Sequence[str], *, message: str, run: str, meta: Mapping[str, Any]) -> Commit:
        """Make written fragments one new version, in the order given. For the one coordinator of `run`.

        The same fragments committed again add nothing and return the commit that has them. Raises StoreError, with nothing
        committed, if another commit of `run` has one of their samples.
        """
        parts = [json.loads(text) for text in fragments]
        count = sum(part["samples"] for part in parts)
        if not count:
            raise StoreError(f"store {self.folder}: there are no samples to commit")
        pieces = [piece for part in parts for piece in part["fragments"]]
        identity = hashlib.sha256("\n".join(sorted(pieces)).encode()).hexdigest()
        with self._locked():
            version = self._find(identity, since=min(part["base"] for part in parts))
            if version is None:
                self._refuse_again(run, parts)
                properties = {
                    "message": message,
                    "run": run,
                    "commit": identity,
                    "samples": str(count),
                    "meta": self._objects.put(dict(meta)),
                }
                version = self._table.append(pieces, properties)
        return self._commit_of(self._table.at(version).get_version(), self.tags())

    def _find(self, identity: str, since: int) -> int | None:
        """The version above `since` that committed `identity`: none before it can have, since its fragments were not there."""
        data = self._table.at()
        for version in range(int(data.version), since, -1):
            if self._table.properties(version).get("commit") == identity:
                return version
        return None

    def _refuse_again(self, run: str, parts: Sequence[Mapping[str, Any]]) -> None:
        new = np.concatenate([np.arange(a, b) for part in parts for a, b in part["indices"]] or [np.zeros(0, np.int64)])
        once, times = np.unique(new, return_counts=True)
        doubled = np.union1d(once[times > 1], np.intersect1d(once, self.indices(run)))
        if doubled.size:
            raise StoreError(
                f"store {self.folder}: run {run} has {doubled.size} of these samples already (first: index {doubled[0]}); was the same "
                "command started twice? Nothing was committed; run it once more, alone, to complete what is missing"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Lance lets every append land, so "look, then append" needs a lock of its own. The system drops it when its holder dies.
        try:
            with (self.folder / "commit.lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StoreError(f"store {self.folder}: cannot commit: {error.strerror}") from error


def _ranges(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open ranges that hold exactly `indices`, a doubled one twice."""
    ranges: list[tuple[int, int]] = []
    for index in sorted(indices):
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges
