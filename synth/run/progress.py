"""How a run shows where it stands: a bar on a terminal, a plain line now and then anywhere else. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from synth.run.report import Tally, Tell

_LINE_EVERY_S = 5.0
_BAR_EVERY_S = 0.1


def progress_for_terminal(stream: IO[str] | None = None) -> AbstractContextManager[Tell]:
    """What `Executor.generate` takes as `progress`: shows the run on `stream` (default: stderr) as fits what it is."""
    stream = stream or sys.stderr
    return _bar(stream) if stream.isatty() else _lines(stream)


@contextmanager
def _bar(stream: IO[str]) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=Console(file=stream), auto_refresh=False) as bar:
        task = bar.add_task("samples", total=None, state="starting")
        shown_s = 0.0

        def tell(tally: Tally) -> None:
            nonlocal shown_s
            if (now_s := time.monotonic()) - shown_s >= _BAR_EVERY_S or tally.done == tally.asked:
                shown_s = now_s
                bar.update(task, total=tally.asked, completed=tally.done, state=_state(tally), refresh=True)

        yield tell


@contextmanager
def _lines(stream: IO[str]) -> Iterator[Tell]:
    shown_s = time.monotonic()

    def tell(tally: Tally) -> None:
        nonlocal shown_s
        if (now_s := time.monotonic()) - shown_s >= _LINE_EVERY_S:
            shown_s = now_s
            print(f"{tally.done} of {tally.asked} samples, {_state(tally)}", file=stream, flush=True)

    yield tell


def _state(tally: Tally) -> str:
    """Rate, time left, failures.

    >>> _state(Tally(asked=10))
    'starting'
    """
    if tally.stopping:
        return "stopping once the samples in hand are finished; Ctrl-C again to stop at once"
    if not tally.made:
        return "starting"
    left_s = round((tally.asked - tally.done) / tally.rate)
    left = f"{left_s // 3600}:{left_s // 60 % 60:02}:{left_s % 60:02}" if left_s >= 3600 else f"{left_s // 60}:{left_s % 60:02}"
    failed = f", {tally.failed} failed" if tally.failed else ""
    return f"{tally.rate:.1f}/s, {left} left{failed}"
