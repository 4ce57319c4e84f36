"""Pins: small JSON files for git that name exactly the samples an experiment used, and local copies of them.

A pin's digest is the sha256 over the key and content digest of each sample, sorted by key; the content digest covers labels, info and the
sha256 of every picture and map. Opening a pin compares it; reading a sample compares its pictures with theirs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.errors import ConfigError, StoreCallError, StoreError
from synth.record import Output
from synth.store.held import held
from synth.store.history import PIN

if TYPE_CHECKING:
    from synth.store.samples import Samples
    from synth.store.store import Ref, Store

_VERSION = 1
_PULL_BLOCK = 2000  # samples of a commit while a copy is made: what a killed pull has to fetch again
_PULLING = "pulling"


@dataclass(frozen=True, slots=True)
class Pin:
    """What names the samples: those of `version` for which `where` holds. store: as it was named when the pin was made; ref: what was
    pinned then, for people. sources: samples by source."""

    store: str
    ref: str
    version: int
    where: str | None
    digest: str
    samples: int
    sources: Mapping[str, int]

    @property
    def tag(self) -> str:
        """Begins the tags that spare the versions from gc, and find them in a copy, where versions have other numbers."""
        return f"{PIN}{self.digest[:16]}"

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"synth_pin": _VERSION, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, what: str = "the pin") -> Pin:
        """The pin of a file's text. Raises ConfigError if it is none."""
        try:
            value = json.loads(text)
            version = value.pop("synth_pin")
            if version != _VERSION:
                raise ConfigError(f"{what} has version {version}, this synth reads {_VERSION}; install a newer synth")
            pin = cls(**value)
            if not (isinstance(pin.version, int) and isinstance(pin.digest, str) and len(pin.digest) == 64 and isinstance(pin.store, str)):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(f"{what} is no pin; `synth pin REF > FILE` writes one") from error
        return pin

    @classmethod
    def load(cls, path: str | Path) -> Pin:
        """The pin in a file. Raises ConfigError if it is none."""
        try:
            return cls.from_json(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise ConfigError(f"cannot read pin {path}: {error.strerror}") from error


def make(store: Store, ref: Ref, where: str | None) -> Pin:
    """See Store.pin."""
    version = store.resolve(ref)
    digest, sources = _sums(store, version, where)
    if not sources:
        raise StoreCallError(f"store {store.place}: {ref} has no sample" + (f" where {where}" if where else "") + "; nothing to pin")
    pin = Pin(store.place, str(ref), version, where, digest, sum(sources.values()), dict(sorted(sources.items())))
    _spare(store, pin, version)
    return pin


def _spare(store: Store, pin: Pin, version: int) -> None:
    name = f"{pin.tag}.{version}"  # of each version: equal samples may be pinned in several, by other filters
    if name not in store._history.tags():
        with held(store._table, version):
            store._table.tag(name, version)


def open_pin(pin: Pin | str | Path, store: Store | str | Path | None = None) -> Samples:
    """The samples that a pin (or its file) names, after comparing its digest. store: where they are, if not where the pin says; a relative
    place is looked up from the pin's file, then from here. Raises StoreError if they are not there or not the same."""
    from synth.store.store import Store

    folder = Path(".") if isinstance(pin, Pin) else Path(pin).parent
    pin = pin if isinstance(pin, Pin) else Pin.load(pin)
    if not isinstance(store, Store):
        store = Store.open(_place(pin, folder) if store is None else store)
    told = None
    for version, where in _candidates(store, pin):
        digest, sources = _sums(store, version, where)
        if digest == pin.digest:
            return store.read(version, where)
        told = told or (version, sum(sources.values()), digest[:12])
    assert told is not None  # there is always a candidate, or none could be resolved
    raise StoreError(
        f"store {store.place}: version {told[0]} is not what was pinned: it has {told[1]} samples with digest {told[2]}, "
        f"the pin {pin.samples} with {pin.digest[:12]}; is it another store?"
    )


def _place(pin: Pin, folder: Path) -> str:
    beside = folder / pin.store
    return pin.store if pin.store.startswith("s3://") or not (beside / "synth.json").exists() else str(beside)


def _candidates(store: Store, pin: Pin) -> Iterator[tuple[int, str | None]]:
    """Where the samples may be: the version that was pinned, and in a copy, where versions have other numbers, all that its tag names."""
    tagged = [version for name, version in store._history.tags().items() if name == pin.tag or name.startswith(f"{pin.tag}.")]
    try:
        yield store.resolve(pin.version), pin.where
    except StoreCallError:
        if not tagged:
            raise
    yield from ((version, None) for version in tagged)


def _sums(store: Store, version: int, where: str | None) -> tuple[str, Counter[str]]:
    """The digest of samples, and how many there are of each source."""
    if where is not None:
        store.read(version, where)  # says what is wrong with the filter
    data = store._table.at(version)
    with store._table.errors("be read"):
        if "content_sha256" not in data.schema.names:
            raise StoreError(f"store {store.place} has schema version 1, which cannot be pinned; `synth pull` makes a newer store of it")
        rows = data.to_table(columns=["key", "content_sha256", "source"], filter=where)
    whole = sha256()
    pairs = sorted(zip(rows["key"].to_pylist(), rows["content_sha256"].to_pylist(), strict=True))
    for key, content in pairs:
        whole.update(f"{len(key.encode())} {key}".encode() + content)
    return whole.hexdigest(), Counter(rows["source"].to_pylist())


def pull(samples: Samples, folder: str | Path, pin: Pin | None = None, tell: Callable[[int], None] = lambda _: None) -> Store:
    """A store in a local folder with exactly `samples`, every byte compared on the way; `pin`, if given, opens there too.

    Called again after it was stopped, it goes on; called again after it was done, it adds nothing. tell: called with how many samples
    are there. Raises StoreError if something is damaged or other samples are there.
    """
    from synth.store.store import Store

    store = Store.open(folder, create=True)
    if store._files.local is None:
        raise StoreCallError(f"a copy is made in a local folder, got {folder}")
    name = f"pull {sha256(repr(samples).encode()).hexdigest()[:12] if pin is None else pin.digest[:12]}"
    if _copied(store, name) is None:
        _fetch(store, samples, name, tell, _meta(Store.open(samples.place), samples.version))
        store.restore(_PULLING, message=name)
    if _PULLING in store.branches():  # here, because one that was killed may have come so far
        store.delete_branch(_PULLING)
    if pin is not None and (version := _copied(store, name)) is not None:
        _spare(store, pin, version)
        open_pin(pin, store)
    return store


def _meta(source: Store, version: int) -> dict[str, Any]:
    """What a copy keeps of where it comes from: the commits, their licences, and all that samples are made again from."""
    commits = source.log(version)
    runs = {run: meta for commit in reversed(commits) for run, meta in commit.meta.get("runs", {}).items()}
    runs |= {commit.run: dict(commit.meta) for commit in reversed(commits) if commit.run and "config" in commit.meta}
    licences = {what: licence for commit in commits for what, licence in commit.meta.get("licences", {}).items()}
    return {"pulled": source.provenance(version), "runs": runs, "licences": licences}


def _copied(store: Store, name: str) -> int | None:
    """The version that ended the copy `name`."""
    return next((commit.version for commit in store.log() if commit.run == name), None)


def _fetch(store: Store, samples: Samples, name: str, tell: Callable[[int], None], meta: Mapping[str, Any]) -> None:
    if _PULLING not in store.branches():
        if len(store.read()):
            raise StoreCallError(f"store {store.place} holds other samples; name a new folder for the copy")
        store.branch(_PULLING)
    there: dict[str, bytes | None] = store.read(_PULLING).contents()
    keys = samples.keys()
    if strangers := there.keys() - set(keys):
        raise StoreCallError(f"store {store.place} holds part of another copy ({min(strangers)}); name a new folder")
    tell(len(there))
    wanted = samples.contents()
    missing = samples.at([place for place, key in enumerate(keys) if key not in there])
    records = missing.records()
    while block := list(islice(records, _PULL_BLOCK)):
        fragment = store.write_fragment(block, Output(), name)
        got = json.loads(fragment)
        for key, content in zip(got["keys"], got["contents"], strict=True):
            if (sum_ := wanted[key]) is not None and sum_.hex() != content:
                raise StoreError(f"sample {key}: what was read is not what was committed: the store it comes from is damaged")
        store.commit([fragment], message=name, run=name, meta=meta, branch=_PULLING)
        there |= dict.fromkeys(got["keys"], b"")
        tell(len(there))
