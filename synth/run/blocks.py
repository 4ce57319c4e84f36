"""Blocks: the unit that a worker makes, a journal keeps and a commit takes. The same for every executor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from synth.errors import LabelError, SceneError
from synth.recipe import Generator
from synth.run.report import Failure
from synth.store import Store
from synth.types import Sample

Block: TypeAlias = tuple[int, ...]
"""Indices of the samples to make together."""

_SMALLEST, _LARGEST = 8, 256  # samples; smaller costs the store more than it gains, larger loses more work to a dead worker
_MOST_FRAGMENTS = 4096  # of one run: a store's commits slow down with the number of its fragments


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a block, or of a part of it. fragment: what Store.commit takes, None if no sample was made; made: the indices in
    it; deaths: how workers died on the way, each in a few words."""

    fragment: str | None
    made: Block
    failures: tuple[Failure, ...]
    renderer: str
    deaths: tuple[str, ...] = ()


def plan(indices: Sequence[int], workers: int, block: int | None = None) -> list[Block]:
    """`indices` cut into blocks of `block` samples; by default large ones first and small ones last (guided self-scheduling,
    Polychronopoulos and Kuck 1987), so that fragments are few and all workers end at about the same time."""
    largest = max(_LARGEST, math.ceil(len(indices) / _MOST_FRAGMENTS))
    blocks, at = [], 0
    while at < len(indices):
        left = len(indices) - at
        size = block or min(math.ceil(left / workers), max(_SMALLEST, min(largest, math.ceil(left / (4 * workers)))))
        blocks.append(tuple(indices[at : at + size]))
        at += size
    return blocks


def make_block(generator: Generator, store: Store, block: Block, begin: Callable[[int | None], bool]) -> Finished:
    """Make the samples of `block` and write them into one fragment.

    `begin` is told each index before its sample is made, then None before the end of the fragment is written; when it returns False the
    block ends there. A sample without a world, or with a label that cannot be kept, becomes a Failure.
    """
    recipe = generator.recipe
    made: list[int] = []
    failures: list[Failure] = []

    def samples() -> Iterator[Sample]:
        for index in block:
            if not begin(index):
                break
            try:
                sample = generator[index]
            except SceneError as error:
                failures.append(Failure(index, str(error)))
            else:
                made.append(index)
                yield sample
        begin(None)

    def refused(sample: Sample, error: LabelError) -> None:
        index = made.pop()
        failures.append(Failure(index, f"sample {index} (scene {recipe.name}, seed {recipe.seed}): {error}"))

    fragment = store.write_fragment(samples(), recipe.output, recipe.run, refused)
    return Finished(fragment if made else None, tuple(made), tuple(failures), generator.renderer.name)
