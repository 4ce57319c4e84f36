"""Samples of a store as a value that a config holds, for stages that read them: part of a recipe, whose digest says which they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

from synth.errors import ConfigError, StoreCallError
from synth.store.history import MAIN
from synth.store.pins import open_pin
from synth.store.samples import Samples
from synth.store.store import Store
from synth.types import Sample


@dataclass(frozen=True)
class Stored(Sequence[Sample]):
    """The samples of `ref` in `store` for which the SQL condition `where` holds; or those that `pin`, a file, names. Read when asked.

    digest: sha256 over key and content of each, worked out when this is made. So a branch that has moved since makes another recipe; a
    pin, a tag or a version number stays what it is. One that is given is compared.
    Raises StoreError if they are not there, or not those of the digest.
    """

    store: str = ""
    ref: str | int = MAIN
    where: str | None = None
    pin: str | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        if bool(self.store) == bool(self.pin) or (self.pin and (self.where, self.ref) != (None, MAIN)):
            raise ConfigError("Stored: name a store, with ref and where, or else a pin, which says all that; got both or neither")
        contents = sorted(self.samples.contents().items())
        if not contents:
            raise StoreCallError(f"store {self.samples.place}: {self.ref} has no sample" + (f" where {self.where}" if self.where else ""))
        whole = sha256()
        for key, content in contents:
            whole.update(f"{len(key.encode())} {key}".encode() + (content or b""))
        found = whole.hexdigest()
        if self.digest not in ("", found):
            raise StoreCallError(
                f"store {self.samples.place}: {self.pin or self.ref} has {len(contents)} samples with digest {found[:12]}, the config "
                f"names {self.digest[:12]}; a branch moves: name the version or the pin of that time"
            )
        object.__setattr__(self, "digest", found)

    @cached_property
    def samples(self) -> Samples:
        """They as the store reads them; a worker process gets them with this, at the version that was found when this was made."""
        return open_pin(self.pin) if self.pin else Store.open(self.store).read(self.ref, self.where, maps=())

    @property
    def sources(self) -> Mapping[Path, str]:
        """The file that names them, a pin or a local store's mark, with the licences of their pictures."""
        local = not self.samples.place.startswith("s3://")
        file = Path(self.pin) if self.pin else Path(self.samples.place, "synth.json") if local else None
        return {} if file is None else {file: ", ".join(self.samples.licences())}

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: Any) -> Any:
        return self.samples[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)
