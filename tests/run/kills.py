"""Storms for runs: kill -9 at random moments, then the same call until it is done. Short in the tests, long in benchmarks/soak.py.

`python kills.py STORE N WORKERS` is the coordinator that gets killed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from run_scenes import Bricks

from synth.digest import label_digest, pixel_digest
from synth.errors import SynthError
from synth.recipe import Generator, Recipe
from synth.record import Output
from synth.render.flat import FlatSpec
from synth.run import LocalExecutor, Report, Stopped, progress_for_terminal
from synth.store import Store

PAUSE_S = 0.02  # that a sample takes at least, so that kills come in the middle


def recipe() -> Recipe:
    """Bricks, kept without loss so that pixels can be compared."""
    return Recipe(Bricks(), FlatSpec(), output=Output(image="png", maps=("depth",)), name="bricks")


def start(store: Path, n: int, workers: int = 2, pause_s: float = PAUSE_S) -> subprocess.Popen[str]:
    """A coordinator in a session of its own, as a terminal would start it."""
    command = [sys.executable, __file__, str(store), str(n), str(workers)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "BRICKS_PAUSE_S": str(pause_s)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def workers_of(pid: int | None = None) -> list[psutil.Process]:
    """The spawned workers of a process, or of this one."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):  # it ends while one looks
            found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def main(arguments: list[str]) -> int:
    folder, n, workers = arguments
    store = Store.open(folder, create=True)
    try:
        report = LocalExecutor(int(workers), block=5).generate(recipe(), int(n), store, progress=progress_for_terminal())
    except (Stopped, SynthError) as error:
        print(error)
        return error.exit_code
    print(report.summary())
    return report.exit_code


def kill_coordinators(folder: Path, n: int, kills: int, seed: int = 0) -> int:
    """Start the same run again and again and kill it -9 after a random time; returns how many kills came before it was done."""
    dice, landed = random.Random(seed), 0
    for _ in range(kills):
        process = start(folder, n)
        # From before the first sample to after the commit: start-up takes about half of it.
        time.sleep(dice.uniform(0.2, 1.5))
        landed += process.poll() is None
        process.kill()
        process.communicate()
    process = start(folder, n)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, said + errors
    return landed


def kill_workers(folder: Path, n: int, kills: int, seed: int = 0) -> tuple[int, Report]:
    """One run, while a thread kills -9 a random worker of it now and then; returns how many kills landed, and the report."""
    dice, done, killed = random.Random(seed), threading.Event(), 0

    def storm() -> None:
        nonlocal killed
        while killed < kills and not done.wait(dice.uniform(0.4, 1.4)):
            if workers := workers_of():
                with suppress(psutil.Error):
                    dice.choice(workers).kill()
                    killed += 1

    thread = threading.Thread(target=storm)
    os.environ["BRICKS_PAUSE_S"] = str(PAUSE_S)
    thread.start()
    try:
        report = LocalExecutor(2, block=5).generate(recipe(), n, Store.open(folder, create=True))
    finally:
        done.set()
        thread.join()
        del os.environ["BRICKS_PAUSE_S"]
    return killed, report


def check_whole(folder: Path, n: int, commits: int = 1) -> None:
    """The store holds each of the n samples once, equal to the bit to a fresh one, in so many commits, and no journal."""
    store, wanted = Store.open(folder), recipe()
    assert store.indices(wanted.run).tolist() == list(range(n))
    assert not (folder / "runs").exists()
    assert len([commit for commit in store.log() if commit.run == wanted.run]) == commits
    with Generator(wanted) as generator:
        for stored in store.read():
            assert stored.origin is not None
            fresh = generator[stored.origin.index]
            assert label_digest(stored) == label_digest(fresh)
            assert pixel_digest(stored) == pixel_digest(fresh)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
