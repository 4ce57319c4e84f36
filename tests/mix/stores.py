"""Small stores of real and synthetic samples to mix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from synth.mix import Mix
from synth.record import Output
from synth.store import Store
from synth.types import Category, Sample, SampleInfo
from tests.samples import sample

PNG = Output("png")


def real(i: int, split: str | None = "train", group: str | None = None, **info: Any) -> Sample:
    """A photo with human labels."""
    told = SampleInfo("shop", split, group, licence="MIT", **info)
    return replace(sample(i, seed=1), key=f"shop/{i}", origin=None, info=told)


def synthetic(i: int) -> Sample:
    return replace(sample(i, seed=2), key=f"run-{i:08d}", info=SampleInfo())


def made(place: Path, *samples: Iterable[Sample]) -> Store:
    """A store with one commit of each."""
    store = Store.open(place, create=True)
    for each in samples:
        store.put(list(each), message="m", output=PNG)
    return store


def usual(place: Path) -> Store:
    """24 synthetic samples; of the real ones 9 in train, 3 in val, 4 in test, in groups of their own."""
    photos = [real(i, "train", f"train{i // 3}") for i in range(9)]
    photos += [real(i, "val", "val") for i in range(9, 12)] + [real(i, "test", "test") for i in range(12, 16)]
    return made(place, map(synthetic, range(24)), photos)


def half(**more: Any) -> Mix:
    """Real and synthetic, half and half, as a config says it."""
    node: dict[str, Any] = {
        "parts": {
            "real": {"ref": "main", "where": "source = 'real' and split = 'train'", "weight": 1},
            "synth": {"ref": "main", "where": "source = 'synthetic'", "weight": 1},
        },
        "val": {"real": {"ref": "main", "where": "split = 'val'"}},
        "test": {"real": {"ref": "main", "where": "split = 'test'"}},
        "batch_size": 8,
    }
    return Mix.from_config(_merged(node, more))


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in more.items():
        out[key] = _merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def relabelled(samples: Iterable[Sample], change: Callable[[Category], Category]) -> list[Sample]:
    """The samples with other categories, in their instances too."""
    out = []
    for one in samples:
        names = {c.name: change(c) for c in one.categories}
        instances = tuple(replace(i, category=names[i.category].name) for i in one.instances)
        out.append(replace(one, categories=tuple(names.values()), instances=instances))
    return out
