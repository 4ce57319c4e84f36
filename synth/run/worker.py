"""A worker of the local executor: a spawned process with one open renderer that makes one block at a time.

It hears a Block, or None to end the block in hand early. It says Ready, then Begin before each sample, Finished at the end of a block,
Broken when it cannot go on. When the pipe closes, it ends: a worker never outlives its coordinator by more than one sample, and nothing
it leaves behind is in any version of the store.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

from synth.errors import ConfigError, SynthError
from synth.recipe import Generator
from synth.run.blocks import Block, Finished, make_block
from synth.store import Store

# Read by OpenMP, OpenBLAS, MKL, OpenCV, Mesa's llvmpipe, Lance and its runtimes when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "LP_NUM_THREADS",
    "LANCE_CPU_THREADS",
    "RAYON_NUM_THREADS",
)
_environment = threading.Lock()  # one a process; two runs may start workers at once


@dataclass(frozen=True, slots=True)
class Ready:
    """The renderer is open."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The sample that is now in hand; None while the end of a fragment is written."""

    index: int | None


@dataclass(frozen=True, slots=True)
class Broken:
    """This worker cannot go on, and another one could not either."""

    error: SynthError


Message: TypeAlias = Ready | Begin | Finished | Broken


@contextmanager
def threads_limited(threads: int) -> Iterator[None]:
    """An environment in which a started process uses `threads` threads in each library; what the user has set is left alone."""
    with _environment:
        added = [name for name in _THREAD_VARIABLES if name not in os.environ]
        os.environ.update(dict.fromkeys(added, str(threads)))
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def work(pipe: Connection, job: bytes) -> None:
    """The worker's life. job: pickled (Recipe, Store)."""

    def begin(index: int | None) -> bool:
        if pipe.poll() and pipe.recv() is None:  # raises EOFError when the coordinator is gone
            return False
        pipe.send(Begin(index))
        return True

    try:
        generator, store = _open(job)
        pipe.send(Ready())
        with generator:
            while True:
                block: Block | None = pipe.recv()
                if block is not None:
                    pipe.send(make_block(generator, store, block, begin))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the coordinator is gone
    except Exception as error:
        with suppress(OSError):
            pipe.send(Broken(error if isinstance(error, SynthError) else SynthError(f"a worker ended by {type(error).__name__}: {error}")))
        if not isinstance(error, SynthError):
            raise


def _open(job: bytes) -> tuple[Generator, Store]:
    try:
        recipe, store = pickle.loads(job)
    except Exception as error:
        raise ConfigError(
            f"a worker cannot load the recipe: {type(error).__name__}: {error}; scenes and stages must stand in a module "
            "that can be imported"
        ) from error
    generator = Generator(recipe)
    _ = generator.renderer  # opens it
    return generator, store
