"""The long storms: kill -9 and Ctrl-C against runs and commands, and many writers at once, many times over.

Each run must end whole, every sample once and equal to a fresh one; each command that was killed must leave a whole version and complete
when it is run again; four processes at one store, in a folder and on a real S3 server, must lose and double nothing.

python -m benchmarks.soak [ROUNDS [KILLS [STORMS [COMMAND_KILLS]]]]
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "run"))

import kills  # the storms that the tests run once, short

from benchmarks.measure import keep
from tests.store import deaths, s3_server, storm

STEPS = 20  # that each writer takes in a storm
SAMPLES = 400  # enough for ten kills to land before a run is done


def soak(rounds: int = 4, kills_a_round: int = 10) -> dict[str, int]:
    """How many runs, kills and interrupts were survived; raises AssertionError with what was found otherwise."""
    counts = {"runs": 0, "coordinators killed": 0, "workers killed": 0, "interrupts": 0}
    for seed in range(rounds):
        for ending in ("coordinators killed", "workers killed", "interrupts"):
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent) / "store"
                if ending == "coordinators killed":
                    counts[ending] += kills.kill_coordinators(folder, SAMPLES, kills_a_round, seed)
                elif ending == "workers killed":
                    counts[ending] += kills.kill_workers(folder, SAMPLES, kills_a_round, seed)[0]
                else:
                    counts[ending] += interrupts(folder, kills_a_round, seed)
                kills.check_whole(folder, SAMPLES)
                counts["runs"] += 1
                print(f"round {seed + 1} of {rounds}, {ending}: whole; so far {counts}", file=sys.stderr, flush=True)
    return counts


def interrupts(folder: Path, count: int, seed: int) -> int:
    """The same run again and again, each stopped by Ctrl-C or SIGTERM to all of its processes; then to its end."""
    landed = 0
    for turn in range(count):
        process = kills.start(folder, SAMPLES)
        time.sleep(0.3 + ((seed * count + turn) * 0.37) % 1.2)
        if process.poll() is None:
            os.killpg(process.pid, (signal.SIGINT, signal.SIGTERM)[turn % 2])
        said, errors = process.communicate(timeout=60)
        # Before the run has begun a signal ends Python in its own way; after it is done there is nothing to stop.
        landed += process.returncode == 130 and said.startswith("stopped at")
        assert process.returncode in (0, 130, 1, -signal.SIGINT, -signal.SIGTERM), said + errors
    process = kills.start(folder, SAMPLES)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, said + errors
    return landed


def writers(rounds: int = 20) -> dict[str, dict[str, int]]:
    """What came of storms of four processes at one store, in a folder and on S3."""
    counts = {}
    with tempfile.TemporaryDirectory() as parent, s3_server.server() as url:
        os.environ.update(s3_server.environment(url))
        places: dict[str, Callable[[], str]] = {
            "folder": lambda: f"{parent}/{uuid.uuid4().hex}",
            "S3": lambda: f"s3://{s3_server.BUCKET}/{uuid.uuid4().hex}",
        }
        for kind, place in places.items():
            told, since = storm.Told(), time.monotonic()
            for seed in range(rounds):
                storm.storm(place(), seed, STEPS, storm.BRANCHES[seed % len(storm.BRANCHES)], told)
                took = f"{time.monotonic() - since:.0f} s"
                print(
                    f"round {seed + 1} of {rounds}, four writers, {kind}: nothing lost or doubled; {took}; so far {told}", file=sys.stderr
                )
            counts[kind] = asdict(told)
    return counts


def commands(rounds: int = 30) -> dict[str, int]:
    """How many kills of commands were survived: at each of their steps, and so many at random moments."""
    counts = {"deaths at a step": 0, "rounds": 0, "commands killed": 0}
    with tempfile.TemporaryDirectory() as parent:
        prepared, names = Path(parent) / "prepared", list(deaths.COMMANDS)
        deaths.prepare(prepared)
        for number, command in enumerate(names):
            for kind in ("steps", "moments"):
                (Path(parent) / command / kind).mkdir(parents=True)
            share = len(range(number, rounds, len(names)))
            counts["deaths at a step"] += deaths.die_everywhere(command, prepared, Path(parent) / command / "steps")
            counts["commands killed"] += deaths.kill_rounds(command, prepared, Path(parent) / command / "moments", share)
            counts["rounds"] += share
            print(f"{command}: whole after each kill, and completed; so far {counts}", file=sys.stderr)
    return counts


def main(rounds: int = 4, kills_a_round: int = 10, storms: int = 20, command_kills: int = 30) -> None:
    survived = ", ".join(f"{count} {what}" for what, count in soak(rounds, kills_a_round).items())
    lines = [f"{survived}: every run ended whole, each sample once and equal to a fresh one."]
    survived = ", ".join(f"{count} {what}" for what, count in commands(command_kills).items())
    lines.append(f"{survived}: each store whole, each command completed by running it again.")
    for kind, told in writers(storms).items():
        survived = ", ".join(f"{count} {what}" for what, count in told.items())
        lines.append(f"Four writers, {kind}: {survived}: nothing lost, nothing doubled, every version as the commits say.")
    print("\n".join(lines))
    keep("Soak", "\n\n".join(lines))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
