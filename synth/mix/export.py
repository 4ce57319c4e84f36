"""A mixture as files of another tool, for trainers that read folders: what one epoch draws, and what is held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from synth.mix.data import Mixture, Split, mixture
from synth.mix.plan import Plan
from synth.record import Record
from synth.store import Store

_BLOCK = 128  # records that are read at once


class Mixed:
    """The samples of a plan as records for synth.formats' writers: the draws of the first epoch, then what is held out, with their splits.

    Pictures are copied byte for byte: augmentations of the plan are not applied. What is drawn again has `~2`, `~3`, ... after its key.
    """

    def __init__(self, plan: str | Path | Plan, store: str | Path | None = None, splits: Sequence[Split] = get_args(Split)) -> None:
        """splits: those that the plan has among these."""
        loaded = plan if isinstance(plan, Plan) else Plan.load(plan)
        there = [split for split in splits if split == "train" or getattr(loaded, split)]
        self._data = [mixture(plan, split, store=store, augmented=False) for split in there]

    def __len__(self) -> int:
        return sum(len(data) for data in self._data)

    def records(self) -> Iterator[Record]:
        """Each in order, with the mixture's categories."""
        times: Counter[str] = Counter()
        for data in self._data:
            for record in _records(data):
                times[record.key] += 1
                key = record.key if times[record.key] == 1 else f"{record.key}~{times[record.key]}"
                yield replace(record, key=key, info=replace(record.info, split=data.split))

    def provenance(self) -> dict[str, Any]:
        """Where they come from, as JSON for exports; `licences` of all of them."""
        plan = self._data[0].plan
        told = [Store.open(place).provenance(version) for place, version in self.versions()]
        licences = sorted({licence for each in told for licence in each.pop("licences")})
        return {"plan": plan.digest, "seed": plan.seed, "licences": licences, "from": told}

    def versions(self) -> list[tuple[str, int]]:
        """Store and version of all parts, each once."""
        return list(dict.fromkeys(version for data in self._data for version in data.versions()))


def _records(data: Mixture) -> Iterator[Record]:
    for start in range(0, len(data), _BLOCK):
        yield from data.records(range(start, min(start + _BLOCK, len(data))))
