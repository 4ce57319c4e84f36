"""Commands that are killed -9 anywhere and run again: the store is whole in between, and the end is that of an undisturbed run.

`python -m tests.store.deaths COMMAND FOLDER` runs one on a `prepared` folder when a line comes in, so that its start is not what is killed.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from synth.formats.coco import Reader
from synth.ingest import Naming, ingest
from synth.record import encode_image
from synth.store import Pin, Store, pins, pull
from synth.store.files import LocalFiles
from synth.store.stream import Stream
from synth.store.table import Table
from tests.store.storm import PNG, ROOT, labelled

SAMPLES = 40
State = Mapping[str, Mapping[str, Any]]  # of each store in a folder: what its branches and tags hold


def prepare(folder: Path) -> None:
    """A store whose branches main and dev have parted, with small fragments; a pin of it; a COCO file with pictures."""
    store = Store.open(folder / "store", create=True)
    keys = [f"k{number:02}" for number in range(SAMPLES)]
    store.put([labelled(key, "first") for key in keys], message="first", output=PNG)
    store.branch("dev")
    store.put([labelled(key, "dev") for key in [*keys[:8], "d1", "d2"]], message="dev", branch="dev", output=PNG)
    for number in range(3):
        store.put([labelled(keys[10 + number], f"main{number}")], message="main", output=PNG)
    store.delete("key = 'k30'")
    store.tag("old", 2)
    (folder / "pin.json").write_text(store.pin("main").to_json())
    (folder / "pictures").mkdir()
    names = [f"{number:03}.png" for number in range(SAMPLES)]
    for number, name in enumerate(names):
        (folder / "pictures" / name).write_bytes(encode_image(labelled("", str(number)).image, PNG))
    box = {"category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    listed = {
        "images": [{"id": number, "file_name": name, "width": 8, "height": 8} for number, name in enumerate(names)],
        "annotations": [{"id": number + 1, "image_id": number, **box} for number in range(SAMPLES)],
        "categories": [{"id": 1, "name": "box"}],
    }
    (folder / "pictures" / "labels.json").write_text(json.dumps(listed))


def _import(folder: Path, store: Store) -> None:
    ingest(Reader(folder / "pictures" / "labels.json", folder / "pictures"), store, Naming("shop"))


def _pull(folder: Path, store: Store) -> None:
    pins._PULL_BLOCK = 15
    pin = Pin.load(folder / "pin.json")
    pull(store.read(pin.version), folder / "copy", pin)


COMMANDS: dict[str, Callable[[Path, Store], object]] = {
    "import": _import,
    "merge": lambda _, store: store.merge("dev", prefer="source"),
    "gc": lambda _, store: store.gc(timedelta(0)),
    "pull": _pull,
    "delete": lambda _, store: store.delete("key < 'k05'", branch="dev"),
    "branch": lambda _, store: store.branch("new", "old"),
    "tag": lambda _, store: store.tag("new", "dev"),
    "restore": lambda _, store: store.restore("old"),
}


def run(command: str, folder: Path) -> None:
    COMMANDS[command](folder, Store.open(folder / "store"))


def state(folder: Path) -> State:
    """What the stores in `folder` hold; every sample is read to the last byte, every log told."""
    found = {}
    for place in ("store", "copy"):
        if (folder / place / "synth.json").exists():
            store = Store.open(folder / place)
            found[place] = {f"branch {name}": _contents(store, name) for name in store.branches()}
            found[place] |= {f"tag {name}": _contents(store, name) for name in store.tags()}
            assert all(store.log(branch)[0].kept for branch in store.branches())
    return found


def _contents(store: Store, ref: str) -> frozenset[tuple[str, bytes | None]]:
    samples = store.read(ref)
    assert len({sample.key for sample in samples}) == len(samples), "a key is there twice"
    return frozenset(samples.contents().items())


def whole(seen: State, before: State, after: State) -> bool:
    """Whether each branch and tag is as it was or as it is to be. The branch that a pull fills is its own affair."""
    empty = {"branch main": frozenset[Any]()}
    for place, found in seen.items():
        old, new = before.get(place, empty), after.get(place, empty)
        for name in {*found, *old} - {"branch pulling"}:
            if found.get(name) not in (old.get(name), new.get(name)):
                return False
    return True


def finish(command: str, folder: Path, before: State, after: State) -> None:
    """What must hold after a death: whole at once, and as if undisturbed once the same command has run again."""
    assert whole(state(folder), before, after), f"{command}: half done"
    run(command, folder)
    assert state(folder) == after, f"{command}: not completed"


def outcome(command: str, prepared: Path, folder: Path) -> State:
    """What an undisturbed run makes of the prepared folder; must not be what it was, but for gc."""
    shutil.copytree(prepared, folder)
    before = state(folder)
    run(command, folder)
    assert (state(folder) == before) == (command == "gc")
    return state(folder)


# --- at every step ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a run as kill -9 does: what would change a file after it raises it again."""


@contextmanager
def dying(at: int) -> Iterator[list[int]]:
    """Die before or after the change of a file or a version that has the number `at` // 2; gives how many there were so far."""
    from lance import LanceDataset
    from lance.optimize import Compaction

    steps = [0]

    def step() -> None:
        steps[0] += 1
        if steps[0] > at:
            raise Killed

    def deadly(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            step()
            result = change(*arguments, **options)
            step()
            return result

        return changed

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            *((LocalFiles, name) for name in ("write", "create", "delete")),
            *((Table, name) for name in ("_commit", "tag", "untag", "discard")),
            (Stream, "end"),
            (LanceDataset, "cleanup_old_versions"),
        ):
            patch.setattr(owner, name, deadly(getattr(owner, name)))
        patch.setattr(Compaction, "commit", staticmethod(deadly(Compaction.commit)))
        yield steps


def die_everywhere(command: str, prepared: Path, folder: Path, every: int = 1) -> int:
    """Kill the command at each step (or every so many of them), in this process; returns how often."""
    before, after = state(prepared), outcome(command, prepared, folder / "undisturbed")
    for deaths, at in enumerate(range(0, 1000, every)):
        shutil.copytree(prepared, folder / "killed")
        try:
            with dying(at):
                run(command, folder / "killed")
            died = False
        except Killed:
            died = True
        finish(command, folder / "killed", before, after)
        shutil.rmtree(folder / "killed")
        if not died:
            return deaths
    raise AssertionError(f"{command} never ends")


# --- at random moments ------------------------------------------------------------------------------------------------


def started(command: str, folder: Path) -> subprocess.Popen[str]:
    """A process that is ready to run the command."""
    call = [sys.executable, "-m", "tests.store.deaths", command, str(folder)]
    process = subprocess.Popen(call, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return time.monotonic()


def kill_rounds(command: str, prepared: Path, folder: Path, rounds: int, seed: int = 0) -> int:
    """Kill the command -9 at a random moment of its time, so many times; returns how many kills came before it was done."""
    dice, landed = random.Random(f"{seed} {command}"), 0
    before, after = state(prepared), outcome(command, prepared, folder / "undisturbed")
    shutil.copytree(prepared, folder / "timed")
    process = started(command, folder / "timed")
    since = begin(process)
    _, errors = process.communicate(timeout=60)
    takes_s = time.monotonic() - since
    assert process.returncode == 0, errors
    for _ in range(rounds):
        shutil.copytree(prepared, folder / "killed")
        process = started(command, folder / "killed")
        begin(process)
        time.sleep(dice.uniform(0, takes_s))
        landed += process.poll() is None
        process.kill()
        process.communicate()
        finish(command, folder / "killed", before, after)
        shutil.rmtree(folder / "killed")
    return landed


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    run(sys.argv[1], Path(sys.argv[2]))
