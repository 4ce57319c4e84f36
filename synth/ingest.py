"""Samples of a foreign format into a store: all checked, new and changed ones as one commit, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats.reading import Faults, Reader, brief, printable
from synth.record import Output, Record
from synth.store import Store
from synth.types import SampleInfo


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an import did. version: of its commit, None if there was nothing new. skipped: samples left out because of `faults`."""

    version: int | None
    added: int
    replaced: int
    unchanged: int
    faults: Faults

    @property
    def skipped(self) -> int:
        """Samples left out because of a fault."""
        return self.faults.samples

    def __str__(self) -> str:
        text = f"{self.added} samples added, {self.replaced} replaced, {self.unchanged} were there already"
        text += f", {self.skipped} skipped" if self.skipped else ""
        return text + (f": version {self.version}" if self.version is not None else "; nothing to commit")


@dataclass(frozen=True, slots=True)
class Naming:
    """How samples are filed. dataset: begins every key, `dataset/key`; split, licence, annotator: for all of them, instead of what the
    source says. group: a regular expression; what its first group (or all of it) matches in a sample's key is the sample's group."""

    dataset: str
    split: str | None = None
    licence: str | None = None
    annotator: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.dataset):
            raise ConfigError(
                f"a dataset's name begins with a letter or digit and has letters, digits, '.', '_', '-', got '{self.dataset}'"
            )
        for name in ("split", "licence", "annotator", "group"):
            value = getattr(self, name)
            if value is not None:
                check_text(value, name)
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise ConfigError(f"group must be a regular expression, got '{self.group}': {error}") from error

    def apply(self, record: Record) -> Record:
        """The record with its key and info as they are kept."""
        given: dict[str, Any] = {"dataset": self.dataset, "split": self.split, "licence": self.licence, "annotator": self.annotator}
        if self.group is not None and (found := re.search(self.group, record.key)):
            given["group"] = found[1] if found.re.groups else found[0]
        info: SampleInfo = replace(record.info, **{name: value for name, value in given.items() if value is not None})
        return replace(record, key=f"{self.dataset}/{record.key}", info=info)


def check_text(value: Any, what: str, empty: bool = False) -> None:
    """Raise ConfigError unless `value` is text that can be kept, which a byte that is no UTF-8 cannot."""
    if not isinstance(value, str) or not (value or empty):
        raise ConfigError(f"{what} must be text, got {brief(value)}; leave it out where it is not known")
    if printable(value) != value:
        raise ConfigError(f"{what} has bytes that are no UTF-8: {printable(value)}")


def ingest(
    reader: Reader,
    store: Store,
    naming: Naming,
    *,
    branch: str = "main",
    skip_bad: bool = False,
    message: str = "",
    meta: Mapping[str, Any] | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Ingested:
    """Import what `reader` reads as one commit of `branch`.

    Samples that are there already, equal in labels, picture and info, are not written again; those that differ are replaced. With a fault
    anywhere nothing is imported and FormatError lists the first of them; with `skip_bad` the samples without one are imported. meta:
    JSON values kept with the commit. tell: called with the number of samples read.
    """
    from synth.store.rows import sums_of
    from synth.store.writing import keys_of

    check_text(message, "message", empty=True)
    faults = Faults()
    there = store.read(branch).contents()
    count = {"read": 0, "unchanged": 0, "refused": 0}
    seen: set[str] = set()

    def refuse(fault: str) -> None:
        count["refused"] += 1
        faults.add(str(reader.source), [fault])

    def refused(sample: Record, error: LabelError) -> None:
        refuse(str(error))

    def records() -> Iterator[Record]:
        for read in reader.records(faults):
            record = naming.apply(read)
            count["read"] += 1
            tell(count["read"])
            if printable(record.key) != record.key:
                refuse(f"the name '{read.key}' has bytes that are no UTF-8; rename the file")
                continue
            if record.key in seen:
                refuse(f"there are two samples '{read.key}'")
                continue
            seen.add(record.key)
            try:
                same = there.get(record.key) == sums_of(record)["content_sha256"]
            except LabelError as error:
                refused(record, error)
                continue
            if same:
                count["unchanged"] += 1
                continue
            yield record

    run = f"import-{naming.dataset}"
    fragment = store.write_fragment(records(), Output(), run, refused)
    if faults.total and not skip_bad:
        store.discard(fragment)
        raise FormatError(
            f"{reader.source}: {faults.total} faults in {faults.samples} samples; nothing was imported; mend them, or import the others "
            f"({count['read'] - count['refused']}) with --skip-bad:\n{faults}"
        )
    keys = keys_of(fragment)
    if not keys:
        store.discard(fragment)
        if not count["read"]:
            raise FormatError(f"{reader.source}: there is no sample to import" + (f":\n{faults}" if faults.total else ""))
        return Ingested(None, 0, 0, count["unchanged"], faults)
    replaced = sum(key in there for key in keys)
    told = {
        "import": {
            **(meta or {}),
            "source": printable(str(reader.source)),
            "dataset": naming.dataset,
            "skipped": faults.samples,
            "faults": faults.first,
        },
        "licences": {naming.dataset: naming.licence} if naming.licence else {},
    }
    text = message or f"import {naming.dataset}: {len(keys) - replaced} new, {replaced} replaced"
    commit = store.commit([fragment], message=text, run=run, meta=told, branch=branch, existing="replace")
    return Ingested(commit.version, len(keys) - replaced, replaced, count["unchanged"], faults)
