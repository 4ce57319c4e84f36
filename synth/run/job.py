"""Executor: samples 0 to n - 1 of a recipe into a store, as one commit, whatever happened before or happens on the way."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

from synth.errors import ConfigError
from synth.recipe import Recipe, versions
from synth.run.blocks import Finished
from synth.run.journal import Journal
from synth.run.report import Failure, Report, Stopped, Tally, Tell
from synth.store import Store

_MOST = 10**8  # samples of a run: an index has eight digits in a key


def check_n(n: int) -> None:
    """Raise ConfigError unless a run can have `n` samples."""
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MOST:
        raise ConfigError(f"n must be a whole number from 0, at most {_MOST:,}, got {n!r}")


class Executor(ABC):
    """Something that makes samples: here `generate`, the same for all, around `make`, which each implements."""

    @abstractmethod
    def make(
        self, recipe: Recipe, store: Store, indices: Sequence[int], in_hand: Callable[[int], None], stop: Callable[[], bool]
    ) -> Generator[Finished, None, None]:
        """Work on all `indices`, each in one Finished, in any order.

        `in_hand` is told how many samples are made but not yet in a Finished. Once `stop()` is true the samples begun are finished, and
        no others. Closing the iterator ends all that it started.
        """

    def generate(
        self,
        recipe: Recipe,
        n: int,
        store: Store,
        *,
        message: str = "",
        config: Mapping[str, Any] | None = None,
        progress: AbstractContextManager[Tell] | None = None,
    ) -> Report:
        """Make the samples 0 to n - 1 of `recipe` that `store` does not have and commit them as one version.

        Called again after it was stopped or killed, it goes on from there; called again after it was done, it adds nothing; with a
        larger `n`, the rest. A sample that fails is in the report and is tried again by the next call. config (JSON values) is kept with
        the commit. progress: entered for the time of the run, then told the Tally whenever it changes (synth.run.progress).

        Raises Stopped on Ctrl-C or SIGTERM (a second one does not wait for the samples in hand), ConfigError or MissingPartError if no
        worker can start, StoreError if another process makes the same run or the disk is full. Nothing is committed then; the finished
        blocks wait in `runs/` of the store.
        """
        check_n(n)
        with (
            Journal(store.journal_folder(recipe.run)) as journal,
            progress or nullcontext(_quiet) as tell,
            _stop_on_signals() as stop,
        ):
            run = _Run(recipe, n, store, journal, tell, stop)
            if run.missing:
                run.make(self)
            version = run.commit(message, config or {}, repr(self)) if run.blocks else None
            return run.report(version)


class _Run:
    """One call of generate."""

    def __init__(self, recipe: Recipe, n: int, store: Store, journal: Journal, tell: Tell, stop: Callable[[], bool]) -> None:
        self.recipe, self.n, self.store, self.journal, self.tell, self.stop = recipe, n, store, journal, tell, stop
        there = set(store.indices(recipe.run).tolist())
        self.blocks = _usable(journal, store, there, n)
        resumed = {index for block in self.blocks for index in block.made}
        self.missing = [index for index in range(n) if index not in there and index not in resumed]
        self.failures: list[Failure] = []
        self.deaths: list[str] = []
        self.tally = Tally(asked=n, there=sum(index < n for index in there), resumed=len(resumed))
        self.tell(self.tally)

    def make(self, executor: Executor) -> None:
        """Make what is missing, block by block into the journal."""
        tally, kept = self.tally, 0

        def in_hand(count: int) -> None:
            tally.made, tally.stopping = kept + count, self.stop()
            self.tell(tally)

        try:
            with closing(executor.make(self.recipe, self.store, self.missing, in_hand, self.stop)) as finished:
                for block in finished:
                    self.failures += block.failures
                    self.deaths += block.deaths
                    if block.fragment is not None:
                        self.journal.add(block)
                        self.blocks.append(block)
                        kept += len(block.made)
                    tally.failed = len(self.failures)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        tally.made = kept
        if interrupted or kept + len(self.failures) < len(self.missing):
            raise Stopped(tally.there + tally.resumed + kept, self.n)

    def commit(self, message: str, config: Mapping[str, Any], executor: str) -> int:
        """All blocks as one version, in the order of their samples."""
        recipe, tally = self.recipe, self.tally
        self.blocks.sort(key=lambda block: block.made)
        meta = {
            "scene": recipe.name,
            "seed": recipe.seed,
            "recipe": recipe.digest,
            "config": dict(config),
            "n": self.n,
            "added": tally.resumed + tally.made,
            "failures": [asdict(failure) for failure in self.failures],
            "worker_deaths": self.deaths,
            "renderers": sorted({block.renderer for block in self.blocks}),
            "versions": versions(),
            "licences": {"/".join(path.parts[-2:]): licence for path, licence in recipe.sources.items() if licence},
            "executor": executor,
            "seconds": round(tally.seconds, 3),
            "rate": round(tally.rate, 3),
        }
        text = message or f"{recipe.name} n={self.n} seed={recipe.seed}"
        fragments = [block.fragment for block in self.blocks if block.fragment]
        version = self.store.commit(fragments, message=text, run=recipe.run, meta=meta).version
        for block in self.blocks:
            self.journal.drop(block)
        return version

    def report(self, version: int | None) -> Report:
        """How it ended."""
        tally = self.tally
        self.tell(tally)
        failures = tuple(sorted(self.failures, key=lambda failure: failure.index))
        return Report(
            scene=self.recipe.name,
            run=self.recipe.run,
            version=version,
            asked=self.n,
            there=tally.there,
            resumed=tally.resumed,
            made=tally.made,
            failures=failures,
            deaths=tuple(self.deaths),
            seconds=tally.seconds,
        )


def _usable(journal: Journal, store: Store, there: set[int], n: int) -> list[Finished]:
    """The blocks of the journal that this call can commit. Those of a larger n wait, others are dropped: already committed (the last
    call was killed right after its commit), cut by n, or without their data."""
    usable = []
    for block in journal.blocks():
        if min(block.made) >= n:
            continue
        if max(block.made) < n and not there.intersection(block.made) and block.fragment and store.has_fragment(block.fragment):
            usable.append(block)
        else:
            journal.drop(block)
    return usable


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came. A second one interrupts at once. Signals reach the main thread only; elsewhere nothing changes."""
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked
        return
    # What the caller ignores (nohup, a background job of a shell) stays ignored.
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _quiet(_: Tally) -> None:
    pass
