"""What the commands share: options, refs, progress, numbers."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth.store import Samples, Store

Arguments = Sequence[str]
STORE = "./data/store"
WHERE = 'SQL condition over the columns, such as "source = \'real\'" or "visible_fraction_max < 0.1"'
REF = "branch, tag or version number"


def parser(name: str, command: Callable[..., Any]) -> argparse.ArgumentParser:
    """A parser with what every command takes; its text is the command's docstring."""
    made = argparse.ArgumentParser(prog=f"synth {name}", description=command.__doc__)
    made.add_argument("--store", default=STORE, help=f"folder or s3://bucket/prefix (default {STORE}); store=PLACE works too")
    return made


def parse(made: argparse.ArgumentParser, arguments: Arguments) -> argparse.Namespace:
    """The options; `store=PLACE` is taken as well as `--store PLACE`, as in Hydra commands."""
    return made.parse_intermixed_args([f"--{argument}" if argument.startswith("store=") else argument for argument in arguments])


def open_store(options: argparse.Namespace, create: bool = False) -> Store:
    """The store that the options name."""
    from synth.store import Store

    return Store.open(options.store, create=create)


def selected(options: argparse.Namespace, maps: Sequence[Any] = ("depth", "normals")) -> tuple[Store, Samples]:
    """The store and the samples of `options.ref` (a ref, or the file of a pin) for which `options.where` holds."""
    from synth.errors import ConfigError
    from synth.store import Store, open_pin

    ref: str = options.ref
    if not ref.endswith(".json"):
        store = open_store(options)
        return store, store.read(ref, options.where, maps)
    if options.where is not None:
        raise ConfigError("a pin says which samples it names; --where goes with a branch, tag or version")
    samples = open_pin(ref, None if options.store == STORE else options.store)
    return Store.open(samples.place), samples


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Tell how many are done: a line that is written over on a terminal, one now and then anywhere else; on stderr."""
    every_s, told_s, live = (0.2 if sys.stderr.isatty() else 5.0), time.monotonic(), sys.stderr.isatty()
    of = "" if total is None else f" of {total}"

    def tell(done: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= every_s:
            told_s = time.monotonic()
            print(f"\r{done}{of} {what}" if live else f"{done}{of} {what}", end="" if live else "\n", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def numbers(value: Any) -> str:
    """A number, or all of an array, with four digits after the point where it is not whole."""
    import numpy as np

    return ", ".join(f"{v:.4f}".rstrip("0").rstrip(".") for v in np.ravel(value).tolist())


def printable(text: str) -> str:
    """Text of a store or file without what a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def picture_path(path: Path | None) -> Path | None:
    """`path` if a picture can be written there; raises before anything is done if its ending is wrong."""
    if path is not None:
        from synth import view

        view.check_ending(path)
    return path
