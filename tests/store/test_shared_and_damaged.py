"""Many writers at once, writers that die, full disks, and folders that were damaged: what is committed is whole, or the error says why."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from synth.errors import StoreError
from synth.record import Output
from synth.store import Store
from tests.samples import sample

ROOT = Path(__file__).parents[2]
EXACT = Output("png", maps=("depth",))


def writer(store: str | Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.writer", str(store), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def whole(store: Store) -> list[int]:
    """Every committed index, each sample read to the last byte."""
    return sorted(s.origin.index for s in store.read() if s.origin is not None)


def test_processes_that_make_fill_and_commit_at_once_all_land(place: str) -> None:
    writers = [writer(place, f"run{i}", 20 * i, 20) for i in range(4)]
    done = [w.communicate(timeout=60) for w in writers]
    assert [w.returncode for w in writers] == [0] * 4, done
    store = Store.open(place)
    assert whole(store) == list(range(80))
    assert sorted(str(commit.run) for commit in store.log()[:-1]) == ["run0", "run1", "run2", "run3"]


def test_the_same_run_started_twice_is_not_doubled(place: str) -> None:
    writers = [writer(place, "run", 0, 20) for _ in range(2)]
    errors = [w.communicate(timeout=60)[1] for w in writers]
    assert sorted(w.returncode for w in writers) == [0, 1]
    assert "main has 20 of these samples already (first: run-00000000, run run)" in "".join(errors)
    assert whole(Store.open(place)) == list(range(20))


@pytest.mark.parametrize("killed_after", ["writing", "written"])
def test_a_killed_writer_leaves_no_trace_in_any_version(place: str, killed_after: str) -> None:
    store = Store.open(place, create=True)
    store.commit([store.write_fragment([sample(0)], EXACT, "run")], message="m", run="run", meta={})
    victim = writer(store.place, "run", 1, 70, 0.01)
    assert victim.stdout is not None
    while victim.stdout.readline().strip() != killed_after:
        assert victim.poll() is None
    time.sleep(0.3 if killed_after == "writing" else 0)
    victim.kill()
    victim.communicate()
    assert whole(Store.open(store.place)) == [0]
    store.commit([store.write_fragment([sample(1)], EXACT, "run")], message="m", run="run", meta={})
    assert whole(store) == [0, 1]


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", create=True)
    store.commit([store.write_fragment([sample(0)], EXACT, "run")], message="m", run="run", meta={})
    victim = writer(store.folder, "run", 1, 300, 0, 200_000)
    _, error = victim.communicate(timeout=60)
    assert victim.returncode == 1
    assert "cannot take samples: the disk is full; what was committed before is whole; free some space" in error
    assert len(error.strip().splitlines()) == 1
    assert whole(store) == [0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", disk], capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a small disk needs root")
    return disk


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"0" * 1000):
                pass
        except OSError:
            return


def test_a_really_full_disk(small_disk: Path) -> None:
    try:
        store = Store.open(small_disk / "s", create=True)
        store.commit([store.write_fragment([sample(0)], EXACT, "run")], message="m", run="run", meta={})
        with pytest.raises(StoreError, match="cannot take samples: the disk is full"):
            store.write_fragment(map(sample, range(1, 300)), EXACT, "run")
        fill(small_disk / "filler")
        assert whole(store) == [0]
        with pytest.raises(StoreError, match=r"No space left|disk is full"):
            store.commit([store.write_fragment([sample(1)], EXACT, "run")], message="m", run="run", meta={"new": 1})
        (small_disk / "filler").unlink()
        assert whole(Store.open(store.folder)) == [0]
    finally:
        subprocess.run(["umount", small_disk], check=True)


AS_NOBODY = """
import os, sys
import lance.fragment, pyarrow, cv2  # before the rights to read them may be lost
from synth.errors import StoreError
from synth.store import Output, Store
import synth.store.rows
shown = Store.open(sys.argv[1] + "/s").read()[0]
if os.geteuid() == 0:
    os.setuid(65534)
place = sys.argv[1]
store = Store.open(place + "/s")
print(len([s.key for s in store.read()]))
for attempt in (
    lambda: Store.open(place + "/new", create=True),
    lambda: store.write_fragment([shown], Output(), "new"),
    lambda: store.tag("x"),
):
    try:
        attempt()
    except StoreError as error:
        print(error)
"""


def test_no_right_to_write() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        place = Path(name)
        store = Store.open(place / "s", create=True)
        store.commit([store.write_fragment([sample(0)], EXACT, "run")], message="m", run="run", meta={})
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run([sys.executable, "-c", AS_NOBODY, name], cwd=ROOT, capture_output=True, text=True, check=False)
        for path in (place, *place.rglob("*")):
            path.chmod(0o755)
        assert done.returncode == 0, done.stdout + done.stderr
        count, made, written, tagged = done.stdout.splitlines()
        assert count == "1"
        assert made.startswith(f"no store can be made at {place}/new: cannot write")
        assert "Permission denied" in made
        assert written.startswith(f"store {place}/s cannot take samples: it is not writable for this user")
        assert tagged.startswith(f"cannot write {place}/s/held/")
        assert "Permission denied" in tagged


def damaged(tmp_path: Path) -> tuple[Store, Path]:
    store = Store.open(tmp_path / "s", create=True)
    store.commit([store.write_fragment(map(sample, range(4)), EXACT, "run")], message="m", run="run", meta={"a": 1})
    (data,) = (store.folder / "samples.lance" / "data").glob("*.lance")
    return Store.open(store.folder), data


def test_damaged_pixels_name_the_sample(tmp_path: Path) -> None:
    store, data = damaged(tmp_path)
    from synth.record import encode

    image = encode(sample(2), EXACT, "k").image
    raw = data.read_bytes()
    at = raw.index(image) + len(image) // 2
    data.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    with pytest.raises(StoreError, match="sample run-00000002: the bytes of its image are damaged"):
        store.read()[2]
    assert store.read()[1].key == "run-00000001"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda store, data: data.unlink(), "cannot be read: Not found"),
        (lambda store, data: data.write_bytes(data.read_bytes()[:3000]), "cannot be read: "),
        (lambda store, data: [p.unlink() for p in (store.folder / "objects").iterdir()], "damaged: object .*No such file"),
        (lambda store, data: [p.write_text("[]") for p in (store.folder / "objects").iterdir()], "damaged: the bytes of object"),
        (lambda store, data: [p.write_bytes(b"x" * 40) for p in data.parent.parent.glob("_versions/*.manifest")], "cannot be opened: "),
    ],
)
def test_other_damage_is_one_message(tmp_path: Path, harm: Callable[[Store, Path], object], message: str) -> None:
    store, data = damaged(tmp_path)
    harm(store, data)
    with pytest.raises(StoreError, match=message) as caught:
        store.read()[0]
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError):
        [s.key for s in store.read(where="width > 3")]
