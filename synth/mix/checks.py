"""What makes an experiment say more than it knows: samples that training and test share, and synthetic ones that are tested on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from synth.mix.labels import Declares
from synth.mix.wanted import Source
from synth.store import Pin, Samples

COLUMNS = ("key", "source", "dataset", "group", "image_sha256")
_NAMED = 5  # keys in a message, at most


@dataclass(frozen=True, eq=False)
class Found:
    """A source of the mixture and what its store says of it. role: `parts`, `val` or `test`; table: COLUMNS of its samples."""

    role: str
    name: str
    source: Source
    pin: Pin
    samples: Samples
    table: Any

    @property
    def where(self) -> str:
        """Its key in the config."""
        return f"mix.{self.role}.{self.name}"

    def declares(self) -> Declares:
        """Its categories, each once."""
        own = dict.fromkeys(category for each in self.samples.categories() for category in each)
        return Declares(self.where, self.source, tuple(own))


def faults(found: Sequence[Found], synthetic_heldout: bool) -> list[str]:
    """What is wrong with the choice of samples, one message each."""
    told = [] if synthetic_heldout else [*_synthetic(found)]
    for a, b in combinations(found, 2):
        if a.role != b.role:
            told += [*_shared_groups(a, b), *_shared_images(a, b)]
    return told


def _synthetic(found: Iterable[Found]) -> Iterator[str]:
    for one in found:
        keys = one.table["key"].to_pylist()
        made = [key for key, source in zip(keys, one.table["source"].to_pylist(), strict=True) if source == "synthetic"]
        if made and one.role != "parts":
            yield (
                f"{one.where}: {len(made)} of {len(keys)} samples are synthetic ({_few(made)}), and a score on them says nothing of real "
                "photos; filter them with where: \"source = 'real'\", or set mix.synthetic_heldout=true"
            )


def _shared_groups(a: Found, b: Found) -> Iterator[str]:
    """A group is one of its dataset: video 1 of two datasets are two."""
    first, second = _by(a, "dataset", "group"), _by(b, "dataset", "group")
    shared = [group for group in first if group in second and group[1] is not None]
    if shared:
        names = [f"{group[1]}" + (f" of {group[0]}" if group[0] else "") for group in shared]
        yield (
            f"{a.where} and {b.where} share {len(shared)} group{'s' * (len(shared) > 1)}: {_few(names)} (such as {first[shared[0]][0]} and "
            f"{second[shared[0]][0]}); what belongs together must be in one of them, so filter by the column `group` or by split"
        )


def _shared_images(a: Found, b: Found) -> Iterator[str]:
    first, second = _by(a, "image_sha256"), _by(b, "image_sha256")
    shared = [image for image in first if image in second and image[0] is not None]
    if shared:
        pairs = [x if (x := first[image][0]) == (y := second[image][0]) else f"{x} = {y}" for image in shared]
        yield f"{a.where} and {b.where} have {len(shared)} image{'s' * (len(shared) > 1)} in common, byte for byte: {_few(pairs)}"


def _by(one: Found, *columns: str) -> Mapping[tuple[Any, ...], list[str]]:
    """Keys by the values of columns."""
    made: dict[tuple[Any, ...], list[str]] = {}
    values = zip(*(one.table[name].to_pylist() for name in columns), strict=True)
    for key, value in zip(one.table["key"].to_pylist(), values, strict=True):
        made.setdefault(value, []).append(key)
    return made


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
