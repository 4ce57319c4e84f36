"""kill -9 and Ctrl-C against runs, many times over: each run must end whole, every sample once and equal to a fresh one.

python -m benchmarks.soak [ROUNDS [KILLS]]
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "run"))

import kills  # the storms that the tests run once, short

from benchmarks.measure import keep

SAMPLES = 400  # enough for ten kills to land before a run is done


def soak(rounds: int = 4, kills_a_round: int = 10) -> dict[str, int]:
    """How many runs, kills and interrupts were survived; raises AssertionError with what was found otherwise."""
    counts = {"runs": 0, "coordinators killed": 0, "workers killed": 0, "interrupts": 0}
    for seed in range(rounds):
        for storm in ("coordinators killed", "workers killed", "interrupts"):
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent) / "store"
                if storm == "coordinators killed":
                    counts[storm] += kills.kill_coordinators(folder, SAMPLES, kills_a_round, seed)
                elif storm == "workers killed":
                    counts[storm] += kills.kill_workers(folder, SAMPLES, kills_a_round, seed)[0]
                else:
                    counts[storm] += interrupts(folder, kills_a_round, seed)
                kills.check_whole(folder, SAMPLES)
                counts["runs"] += 1
                print(f"round {seed + 1} of {rounds}, {storm}: whole; so far {counts}", file=sys.stderr, flush=True)
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


if __name__ == "__main__":
    survived = ", ".join(f"{count} {what}" for what, count in soak(*map(int, sys.argv[1:3])).items())
    print(survived)
    keep("Soak", f"{survived}: every run ended whole, each sample once and equal to a fresh one.")
