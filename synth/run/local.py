"""The `local` executor: spawned workers on this machine, one open renderer in each.

Each worker has a pipe of its own and at most one block in hand; there is no queue and no lock that a killed worker could keep. A worker
that dies is replaced: the sample it had in hand is tried again alone, the others of its block together.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from synth.errors import ConfigError, SynthError
from synth.recipe import Recipe
from synth.run.blocks import Block, Finished, plan
from synth.run.job import Executor
from synth.run.report import Failure
from synth.run.worker import Begin, Broken, Message, Ready, threads_limited, work
from synth.store import Store

_DEATHS_OF_A_SAMPLE = 3
_DEATHS_IN_A_ROW = 5  # of workers with no sample in hand, and nothing finished in between
_POLL_S = 0.2  # how late a stop may be noticed
_GRACE_S = 5.0  # for an idle worker to close its renderer


@dataclass(frozen=True)
class LocalExecutor(Executor):
    """Spawned processes on this machine.

    workers: how many, 0 for one a core. block: samples that a worker makes at a time, None for a choice by their number. threads: that
    each library may use in each worker, 0 for the cores divided by the workers.
    """

    workers: int = 0
    block: int | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        for name, low in (("workers", 0), ("block", 1), ("threads", 0)):
            value = getattr(self, name)
            if name == "block" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(f"LocalExecutor: {name} must be a whole number from {low}, got {value!r}")

    def make(
        self, recipe: Recipe, store: Store, indices: Sequence[int], in_hand: Callable[[int], None], stop: Callable[[], bool]
    ) -> Generator[Finished, None, None]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = self.workers or cores
        pool = _Pool(recipe, store, deque(plan(indices, workers, self.block)), workers, self.threads or max(1, cores // workers))
        try:
            yield from pool.run(in_hand, stop)
        finally:
            pool.close()


@dataclass(eq=False)
class _Worker:
    """A worker as the coordinator sees it. index: the sample in hand; begun: samples of the block that were begun."""

    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    block: Block = ()
    index: int | None = None
    begun: int = 0


@dataclass(eq=False)
class _Pool:
    """The workers of one run and what they have left to do."""

    recipe: Recipe
    store: Store
    blocks: deque[Block]
    size: int
    threads: int
    workers: list[_Worker] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    deaths: Counter[int] = field(default_factory=Counter)  # of workers that had this sample in hand
    idle_deaths: int = 0  # of workers that had none, since a block was last finished

    def run(self, in_hand: Callable[[int], None], stop: Callable[[], bool]) -> Iterator[Finished]:
        stopping = False
        while True:
            if stop():
                self.blocks.clear()
                for worker in self.workers if not stopping else ():
                    _send(worker, None)
                stopping = True
            self._assign()
            # Only now, since whoever takes them may wait for a disk.
            ended, self.finished = self.finished, []
            yield from ended
            busy = [worker for worker in self.workers if worker.block]
            if not self.blocks and not busy:
                return
            wait([handle for worker in self.workers for handle in (worker.pipe, worker.process.sentinel)], _POLL_S)
            for worker in list(self.workers):
                self._hear(worker)
            made = sum(worker.begun - (worker.index is not None) for worker in self.workers)
            in_hand(made + sum(len(block.made) + len(block.failures) for block in self.finished))

    def _assign(self) -> None:
        while len(self.workers) < self.size and sum(not worker.block for worker in self.workers) < len(self.blocks):
            self.workers.append(self._start())
        for worker in self.workers:
            if worker.ready and not worker.block and self.blocks:
                worker.block = self.blocks.popleft()
                _send(worker, worker.block)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        try:
            job = pickle.dumps((self.recipe, self.store))
        except Exception as error:
            raise ConfigError(f"the recipe cannot be sent to a worker: {type(error).__name__}: {error}") from error
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, job), name="synth-worker", daemon=True)
        # Ctrl-C and a shutdown reach every process of the group; only the coordinator acts on them. A blocked signal stays blocked over
        # exec, so a worker is never without this. (The tracker must run before: starting it would lift the mask.)
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            with threads_limited(self.threads):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()  # so that the worker's end closes when it dies
        return _Worker(process, ours)

    def _hear(self, worker: _Worker) -> None:
        dead = not worker.process.is_alive()  # asked first: what it has sent before is still heard
        try:
            while worker.pipe.poll():
                self._take(worker, worker.pipe.recv())
        except (EOFError, OSError):
            dead = True
        if dead:
            self._bury(worker)

    def _take(self, worker: _Worker, message: Message) -> None:
        if isinstance(message, Ready):
            worker.ready = True
        elif isinstance(message, Begin):
            worker.index = message.index
            worker.begun += message.index is not None
        elif isinstance(message, Broken):
            raise message.error
        else:
            self.finished.append(message)
            self.idle_deaths = 0
            worker.block, worker.index, worker.begun = (), None, 0

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.process.join()
        worker.pipe.close()
        code, index = worker.process.exitcode or 0, worker.index
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        doing = f"at sample {index}" if index is not None else "writing" if worker.block else "idle" if worker.ready else "starting"
        failures: list[Failure] = []
        if index is not None:
            self.deaths[index] += 1
            if rest := tuple(i for i in worker.block if i != index):
                self.blocks.appendleft(rest)
            if self.deaths[index] < _DEATHS_OF_A_SAMPLE:
                self.blocks.append((index,))  # alone, so that it takes no other sample with it
            else:
                where = f"sample {index} (scene {self.recipe.name}, seed {self.recipe.seed})"
                failures = [Failure(index, f"{where}: {_DEATHS_OF_A_SAMPLE} workers died while making it, the last by {cause}")]
        else:
            self.idle_deaths += 1
            if self.idle_deaths == _DEATHS_IN_A_ROW or (code >= 0 and not worker.ready):
                raise SynthError(
                    f"{self.idle_deaths} workers in a row died with no sample in hand, the last while {doing} ({cause}); what it said is "
                    "above. Finished blocks are kept. Try fewer workers if memory is short, `synth doctor`, or renderer=flat; a script "
                    "that starts a run needs `if __name__ == '__main__':`"
                )
            if worker.block:
                self.blocks.append(worker.block)
        self.finished.append(Finished(None, (), tuple(failures), "", (f"{cause} {doing}",)))

    def close(self) -> None:
        """End all workers: idle ones by themselves, others at once."""
        for worker in self.workers:
            worker.pipe.close()
            if worker.block or not worker.ready:
                worker.process.kill()
        for worker in self.workers:
            worker.process.join(_GRACE_S)
            worker.process.kill()
            worker.process.join()


def _send(worker: _Worker, block: Block | None) -> None:
    with suppress(OSError):  # a dead worker is noticed when it is heard
        worker.pipe.send(block)
