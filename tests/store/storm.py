"""Four processes at one store at once: add, replace the same keys, delete, join, collect. Short in the tests, long in benchmarks/soak.py.

`python -m tests.store.storm PLACE WORKER SEED STEPS BRANCHES` is one of them. It prints a JSON line for each commit of its own. Played
again in the order of the versions, the lines of all must give exactly what the store holds, at every version that is left.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.errors import StoreError
from synth.record import Output
from synth.store import Store
from synth.store.failures import Conflict
from synth.store.table import Table
from synth.types import Instance, Sample, SampleInfo
from tests.samples import BOX

ROOT = Path(__file__).parents[2]
SHARED = [f"shared/{number:02}" for number in range(12)]
PNG = Output("png")
WORKERS = 4
BRANCHES = (("main", "dev"), ("main",), ("main",), ("main", "dev"))  # of a round, in turn; gc is in every other round


def labelled(key: str, token: str) -> Sample:
    """A sample whose picture and labels both tell `token`."""
    image = np.zeros((8, 8, 3), np.uint8)
    image.reshape(-1)[: len(token)] = list(token.encode())
    return Sample(image, (Instance("box", attributes={"token": token}),), (BOX,), key=key, info=SampleInfo(attributes={"token": token}))


def told(sample: Sample) -> str:
    """The token of a sample, which all of it must agree on."""
    token = str(sample.info.attributes["token"])
    assert bytes(sample.image.reshape(-1)[: len(token)]) == token.encode()
    assert sample.instances[0].attributes["token"] == token
    return token


def contents(store: Store, ref: str | int) -> dict[str, str]:
    """Token by key; every sample is read to the last byte, and no key is there twice."""
    samples = list(store.read(ref))
    found = {str(sample.key): told(sample) for sample in samples}
    assert len(found) == len(samples), f"version {ref} has a key twice"
    return found


# --- one process ------------------------------------------------------------------------------------------------------


def work(place: str, worker: str, seed: int, steps: int, branches: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What a process commits, as it commits it."""
    store, dice, own = Store.open(place), random.Random(f"{seed} {worker}"), 0
    for step in range(steps):
        branch, token = dice.choice(branches), f"{worker}.{step}"
        action = dice.choice(["append", "append", "upsert", "upsert", "upsert", "delete", "compact", "gc"])
        if action in ("append", "upsert"):
            keys = dice.sample(SHARED, 3)
            if action == "append":
                keys, own = [f"{branch}/{worker}/{number:03}" for number in range(own, own + 2)], own + 2
            fragment = store.write_fragment([labelled(key, token) for key in keys], PNG, worker)
            put = partial(store.commit, [fragment], message=token, run=worker, meta={"step": step}, branch=branch)
            commit = put(existing="replace" if action == "upsert" else "refuse")
            assert put(existing="refuse").version == commit.version, "a commit landed twice"
            yield {"version": commit.version, "branch": branch, "put": keys, "token": token}
        elif action == "delete":
            first, last = sorted(dice.sample(SHARED, 2))
            commit = store.delete(f"key >= '{first}' and key < '{last}'", branch=branch, message=token)
            if commit.message == token:  # else there was nothing to delete
                yield {"version": commit.version, "branch": branch, "deleted": [first, last]}
        elif action == "compact":
            store._changes.compact(branch, 1000)
        elif seed % 2:  # in the other rounds all versions stay, so that each can be compared
            store.gc(timedelta(0))


def main(place: str, worker: str, seed: str, steps: str, branches: str) -> None:
    conflicts = 0
    commit = Table.commit

    def counted(*arguments: Any) -> Any:
        nonlocal conflicts
        try:
            return commit(*arguments)
        except Conflict:
            conflicts += 1
            raise

    Table.commit = counted  # type: ignore[method-assign]
    for line in work(place, worker, int(seed), int(steps), branches.split(",")):
        print(json.dumps(line), flush=True)
    print(json.dumps({"conflicts": conflicts}), flush=True)


# --- all of them ------------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What came of storms."""

    rounds: int = 0
    commits: int = 0
    conflicts: int = 0
    versions: int = 0  # compared, sample by sample
    removed: int = 0  # by gc
    joined: int = 0  # versions that a compaction made


def storm(place: str, seed: int, steps: int, branches: Sequence[str], counts: Told) -> None:
    """One round in a new store; raises AssertionError with what is wrong."""
    store = Store.open(place, create=True)
    store.put([labelled(key, "first") for key in SHARED[::2]], message="first", output=PNG)
    lines = [{"version": store.resolve("main"), "branch": "main", "put": SHARED[::2], "token": "first"}]
    for branch in branches[1:]:
        store.branch(branch)
    begun = store.branches()
    command = [sys.executable, "-m", "tests.store.storm", place]
    started = [
        subprocess.Popen(
            [*command, f"w{worker}", str(seed), str(steps), ",".join(branches)],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for worker in range(WORKERS)
    ]
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * WORKERS, "\n".join(errors[-2000:] for _, errors in said)
    own = [json.loads(line) for out, _ in said for line in out.splitlines()]
    lines += [line for line in own if "version" in line]
    counts.conflicts += sum(line.get("conflicts", 0) for line in own)
    counts.commits += len(lines)
    counts.rounds += 1
    for branch in branches:
        check(store, branch, begun[branch], [line for line in lines if line["branch"] in (branch, "main")], counts)


def check(store: Store, branch: str, begun: int, lines: Sequence[dict[str, Any]], counts: Told) -> None:
    """Play `lines` (of main up to version `begun`, of `branch` from there) again beside the log of `branch`."""
    by_version = {line["version"]: line for line in lines if line["branch"] == branch or line["version"] <= begun}
    assert len(by_version) == len([line for line in lines if line["version"] in by_version]), "two commits claim one version"
    log = store.log(branch)[::-1]
    assert log[-1].version == store.branches()[branch]
    assert by_version.keys() <= {commit.version for commit in log}, "a commit is lost"
    there: dict[str, str] = {}
    for before, commit in zip([None, *log], log, strict=False):
        assert commit.parents == (() if before is None else (before.version,))
        line = by_version.get(commit.version)
        assert line is not None or commit.message in ("empty store", "compact"), f"nobody made {commit}"
        if line is not None and "put" in line:
            there |= dict.fromkeys(line["put"], line["token"])
        elif line is not None:
            first, last = line["deleted"]
            there = {key: token for key, token in there.items() if not first <= key < last}
        assert commit.samples_total == len(there), commit
        counts.joined += commit.message == "compact"
        if commit.kept:
            assert contents(store, commit.version) == there, commit
            counts.versions += 1
        else:
            counts.removed += 1
            with pytest.raises(StoreError, match="gc has removed it"):
                store.read(commit.version)
    assert log[-1].kept


if __name__ == "__main__":
    main(*sys.argv[1:])
