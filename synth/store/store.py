"""Store: what a user opens. Reading, branches and tags, commits; each part of the work has its module beside this one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import synth
from synth.errors import ConfigError, LabelError, StoreCallError, StoreError
from synth.record import Map, Output, Record
from synth.store import mark, writing
from synth.store.changes import Change, Changes
from synth.store.files import files_at, probe
from synth.store.held import held
from synth.store.history import MAIN, PIN, Commit, Entry, History
from synth.store.objects import Objects
from synth.store.samples import Samples
from synth.store.table import Table
from synth.store.writing import Existing
from synth.types import Sample

if TYPE_CHECKING:
    from synth.store.compare import Diff, Merged, Prefer
    from synth.store.pins import Pin
    from synth.store.upkeep import Freed

Ref = str | int


class Store:
    """A versioned dataset in a folder or a bucket. Cheap to make, picklable, safe to use from many processes (spawned, not forked)."""

    def __init__(self, place: str | Path, schema: int = mark.SCHEMA_VERSION) -> None:
        """Use `Store.open`, which checks that the place is a store."""
        self._files = files_at(place)
        self._schema = schema
        self._table = Table(self._files)
        self._objects = Objects(self._files)
        self._history = History(self._files, self._table, self._objects, schema == 1)
        self._changes = Changes(self._table, self._history)

    def __reduce__(self) -> Any:
        return Store, (self._files.place, self._schema)

    def __repr__(self) -> str:
        return f"Store({self.place!r})"

    @classmethod
    def open(cls, place: str | Path, *, create: bool = False) -> Store:
        """The store at `place`, a folder or `s3://bucket/prefix`, made there if `create` and nothing else is there. Raises StoreError."""
        if not str(place):
            raise StoreCallError("a store needs the name of a folder, got ''")
        files = files_at(place)
        if create:
            probe(files)
            mark.make(files, lambda: cls(files.place)._make())
        return cls(files.place, mark.check(files))

    def _make(self) -> None:
        self._table.create({**self._history.properties(Entry("empty store"), MAIN, {}, 0), "synth": "1"})

    @property
    def place(self) -> str:
        """The folder, or `s3://bucket/prefix`."""
        return self._files.place

    @property
    def folder(self) -> Path:
        """The folder of a local store. Raises StoreCallError for one that is elsewhere."""
        if self._files.local is None:
            raise StoreCallError(f"store {self.place} is no local folder; `synth pull` makes a local copy of a version")
        return self._files.local

    def journal_folder(self, run: str) -> Path:
        """Where this machine keeps what it has of a run before its commit: in a local store, else in the user's state folder."""
        if self._files.local is not None:
            return self._files.local / "runs" / run
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return state / "synth" / sha256(self.place.encode()).hexdigest()[:16] / "runs" / run

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, ref: Ref = MAIN, where: str | None = None, maps: Sequence[Map] = ("depth", "normals")) -> Samples:
        """The samples of `ref` for which the SQL condition `where` over the columns holds, in the order of their commits.

        maps: which of the kept maps to read; training on pictures alone is faster without.
        """
        version = self.resolve(ref)
        data = self._table.at(version)
        rows = None if where is None else self._rows_where(data, where, "_rowoffset").astype(np.int64)
        with self._table.errors("be read"):
            return Samples(self._table, self._objects, version, data.count_rows(), rows, tuple(maps))

    def get(self, key: str, ref: Ref = MAIN) -> Sample:
        """The sample `key`. Raises StoreError if `ref` has none."""
        found = self.read(ref, f"key = {_quoted(key)}")
        if not found:
            raise StoreCallError(f"store {self.place}: {ref} has no sample '{key}'")
        return found[0]

    def indices(self, run: str, ref: Ref = MAIN) -> npt.NDArray[np.int64]:
        """The sample indices of `run` that are there (by their keys, `{run}-{index:08d}`), sorted."""
        data = self._table.at(self.resolve(ref))
        with self._table.errors("be read"):
            found = data.to_table(columns=["origin.index"], filter=f"starts_with(key, {_quoted(run + '-')}) and origin is not null")
        return np.sort(found.column(0).to_numpy().astype(np.int64))

    def sql(self, query: str, ref: Ref = MAIN) -> Any:
        """The arrow table that DuckDB answers; `samples` and `instances` are views of `ref`. Raises StoreCallError for a wrong query."""
        from synth.store.query import run

        return run(self._table, self.resolve(ref), query)

    def _rows_where(self, data: Any, where: str, column: str) -> npt.NDArray[Any]:
        with self._table.errors("be read"):
            try:
                rows: npt.NDArray[Any] = data.to_table(columns=[column], filter=where)[column].to_numpy()
            except ValueError as error:
                text = re.sub(r",? ?/\S*\.rs:\d+:\d+|Invalid user input: ", "", str(error))
                if "External error" in text and "Query Execution error" not in text:
                    raise  # not the filter: a file that it reads
                cause = text.split(" Valid fields are")[0].rstrip(". ")
                known = ", ".join(data.schema.names)
                raise StoreCallError(f'the filter "{where}" cannot be used: {cause}; known columns: {known}') from error
        return rows

    # --- history ------------------------------------------------------------------------------------------------------

    def resolve(self, ref: Ref) -> int:
        """The version of `ref`: a branch, a tag, or a version number. Raises StoreError with the known ones."""
        return self._history.resolve(ref)

    def branches(self) -> dict[str, int]:
        """Each branch and its newest version."""
        return dict(sorted(self._history.heads().items()))

    def branch(self, name: str, ref: Ref = MAIN) -> None:
        """Begin a branch at `ref`. Raises StoreCallError if the name is taken."""
        self._history.check_name(name, "branch")
        self._writable()
        version = self.resolve(ref)
        if name in self.tags():
            raise StoreCallError(f"store {self.place}: '{name}' is a tag; choose another name")

        def add(heads: dict[str, int]) -> Mapping[str, int] | None:
            if heads.get(name, version) != version:
                raise StoreCallError(f"store {self.place}: branch '{name}' is there, at version {heads[name]}; choose another name")
            return None if name in heads else {**heads, name: version}

        with held(self._table, version):
            self._changes.move(add)

    def delete_branch(self, name: str) -> None:
        """End a branch; gc frees what only it had. Raises StoreCallError if there is none, or for main."""
        if name == MAIN:
            raise ConfigError("main cannot be deleted")
        if name not in self.branches():
            self._history.resolve(name)  # says what is known
            raise StoreCallError(f"store {self.place}: '{name}' is no branch")
        self._changes.move(lambda heads: {other: version for other, version in heads.items() if other != name} if name in heads else None)

    def tag(self, name: str, ref: Ref = MAIN) -> None:
        """Name the version of `ref` for good; gc spares it."""
        self._history.check_name(name, "tag")
        version, known = self.resolve(ref), self._history.tags()
        if name in self.branches():
            raise StoreCallError(f"store {self.place}: '{name}' is a branch; choose another name")
        if known.get(name, version) != version:
            raise StoreCallError(f"store {self.place}: tag '{name}' is there and names version {known[name]}; choose another name")
        if name not in known:
            with held(self._table, version):
                self._name(name, version)

    def _name(self, tag: str, version: int) -> None:
        if not self._table.tag(tag, version) and (there := self._history.tags().get(tag)) != version:
            raise StoreCallError(f"store {self.place}: tag '{tag}' is there and names version {there}; choose another name")

    def delete_tag(self, name: str) -> None:
        """Take a name away; gc may then free what it named. Raises StoreCallError if there is none."""
        if name not in self._history.tags():
            raise StoreCallError(f"store {self.place}: no tag '{name}'; known: {', '.join(self.tags()) or 'none'}")
        self._table.untag(name)

    def tags(self) -> dict[str, int]:
        """Each tag and its version, without those that pins leave."""
        return {name: version for name, version in self._history.tags().items() if not name.startswith(PIN)}

    def log(self, ref: Ref = MAIN) -> list[Commit]:
        """The commits that `ref` was made from, newest first."""
        return self._history.log(self.resolve(ref))

    def meta_of(self, run: str, ref: Ref = MAIN) -> Mapping[str, Any] | None:
        """What the run `run`, which made samples of `ref`, kept with its commit, here or in the store that this one was pulled from."""
        for commit in self.log(ref):
            found = commit.meta if commit.run == run else commit.meta.get("runs", {}).get(run)
            if found is not None:
                return found
        return None

    def provenance(self, ref: Ref = MAIN) -> dict[str, Any]:
        """Where the samples of `ref` come from, as JSON for exports: this store, the version, its date, its commits, and the licences
        in their meta (`{"licences": {what: licence}}`)."""
        commits = [commit for commit in self.log(ref) if commit.samples_added or commit.samples_replaced]
        return {
            "store": self.place,
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
                    "samples": c.samples_added + c.samples_replaced,
                }
                for c in commits
            ],
        }

    # --- writing ------------------------------------------------------------------------------------------------------

    def write_fragment(
        self,
        samples: Iterable[Sample | Record],
        output: Output,
        run: str,
        refused: Callable[[Any, LabelError], None] | None = None,
    ) -> str:
        """Write samples where no version shows them yet, and return the JSON that `commit` takes. For workers.

        `samples` is walked in the calling thread and may be long: a few tens of encoded samples are in memory at a time. A Record is kept
        as it is; a Sample is encoded as `output` says and, without a key, gets `{run}-{index:08d}`. One that contradicts itself goes to
        `refused` and is left out; without `refused` its LabelError is raised. Raises StoreError if the disk is full; nothing that was
        committed changes.
        """
        self._writable()
        return writing.write_fragment(self._table, self._objects, samples, output, run, refused)

    def has_fragment(self, fragment: str) -> bool:
        """Whether what `write_fragment` wrote is still there to be committed."""
        return not self._table.missing(writing.pieces(fragment))

    def discard(self, fragment: str) -> None:
        """Delete what `write_fragment` wrote and nobody will commit."""
        self._table.discard(writing.pieces(fragment))

    def commit(
        self,
        fragments: Sequence[str],
        *,
        message: str,
        run: str,
        meta: Mapping[str, Any],
        branch: str = MAIN,
        existing: Existing = "refuse",
    ) -> Commit:
        """Make written fragments one new version of `branch`, in the order given. For the one coordinator of `run`.

        existing: what happens to samples whose keys the branch has: `refuse` raises StoreError with nothing committed, `replace` puts the
        new ones in their place. The same fragments committed again, or samples that are all there already, add nothing; then the
        commit that has them is returned.
        """
        self._writable()
        version = writing.commit(self._changes, self._history, self._table, fragments, branch, existing, message, run, meta)
        return self._commit_of(version)

    def put(
        self,
        samples: Iterable[Sample | Record],
        *,
        message: str,
        branch: str = MAIN,
        output: Output = Output(),
        existing: Existing = "replace",
    ) -> Commit:
        """Write and commit samples at once: new ones, or those of `read` with other labels. Each needs a key."""
        fragment = self.write_fragment(samples, output, "put")
        return self.commit([fragment], message=message, run="put", meta={}, branch=branch, existing=existing)

    def delete(self, where: str, *, branch: str = MAIN, message: str = "") -> Commit:
        """A new version of `branch` without the samples for which the SQL condition `where` holds; older versions keep them."""
        self._writable()

        def make(data: Any, head: int) -> Change | int:
            gone = self._rows_where(data, where, "_rowaddr").astype(np.uint64)
            return Change(Entry(message or f"delete {where}", removed=len(gone)), gone=gone) if len(gone) else head

        return self._commit_of(self._changes.apply(branch, make))

    def restore(self, ref: Ref, *, branch: str = MAIN, message: str = "") -> Commit:
        """A new version of `branch` with the content of `ref`."""
        from synth.store.upkeep import restore

        self._writable()
        return self._commit_of(restore(self, ref, branch, message))

    def diff(self, a: Ref, b: Ref, where: str | None = None) -> Diff:
        """What changed from `a` to `b`; `where`: only samples for which the SQL condition holds count as being there."""
        from synth.store.compare import diff

        return diff(self, a, b, where)

    def merge(self, source: Ref, into: str = MAIN, *, prefer: Prefer | None = None, message: str = "") -> Merged:
        """Bring what changed in `source` since it left `into` into `into`, by key. Where both changed the same sample differently, nothing
        is merged and the conflicts are listed, unless `prefer` says whose counts."""
        from synth.store.compare import merge

        self._writable()
        return merge(self, source, into, prefer, message)

    def gc(self, keep: timedelta = timedelta(days=30)) -> Freed:
        """Join small fragments, and free versions that no branch, tag or pin names, nor was the newest of a branch for `keep`. Safe beside
        readers of named versions and beside writers."""
        from synth.store.upkeep import collect

        self._writable()
        return collect(self, keep)

    def pin(self, ref: Ref = MAIN, where: str | None = None) -> Pin:
        """A pin of the samples of `ref` for which `where` holds; gc spares them from now on. `synth.store.open_pin` reads it."""
        from synth.store.pins import make

        return make(self, ref, where)

    def _commit_of(self, version: int) -> Commit:
        return self._history.commit(version, self._history.record(version), self._history.tags())

    def _writable(self) -> None:
        if self._schema < mark.SCHEMA_VERSION:
            raise StoreError(
                f"store {self.place} has schema version {self._schema} and can only be read; `synth pull main NEW --store {self.place}` "
                "makes a store of it that can be added to"
            )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
