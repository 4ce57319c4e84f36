"""How the store grows: each call on 100,000 samples against the same call on 10,000, and commits on many small fragments.

python -m benchmarks scale
"""

from __future__ import annotations

import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, timed
from synth.record import Output, Record, encode_image
from synth.store import Store
from synth.store.changes import rows_of
from synth.types import Category, Instance, SampleInfo

WIDTH, HEIGHT, BOXES, BATCH, COMMITS = 160, 120, 5, 64, 10
CATEGORIES = (Category("thing"), Category("other"))
TARGETS = {"open, resolve, count": 2.0, "commit 1,000 samples": 2.0, "a random batch of 64": 1.2}


def picture() -> bytes:
    """A JPEG of about 3 KB."""
    import cv2

    coarse = np.random.default_rng(0).integers(0, 255, (10, 14, 3), np.uint8)
    return encode_image(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), Output("jpeg", 75))


def records(jpeg: bytes, first: int, count: int, name: str = "s") -> Iterator[Record]:
    """Samples with human boxes; a comment of twelve bytes makes each picture another."""
    for index in range(first, first + count):
        rng = np.random.default_rng([1, index])
        xy, size = rng.uniform(0, [120, 80], (BOXES, 2)), rng.uniform(5, 40, (BOXES, 2))
        boxes = np.hstack([xy, xy + size]).tolist()
        image = jpeg[:2] + b"\xff\xfe\x00\x0e%012d" % index + jpeg[2:]
        instances = tuple(Instance(CATEGORIES[i % 2].name, box_xyxy=tuple(box)) for i, box in enumerate(boxes))
        info = SampleInfo(dataset="bench", split="val" if index % 10 == 0 else "train")
        yield Record(f"{name}/{index:09d}", "real", WIDTH, HEIGHT, image, "jpeg", instances, CATEGORIES, info=info)


def build(place: Path, jpeg: bytes, count: int) -> None:
    """A store of `count` samples in COMMITS commits."""
    store = Store.open(place, create=True)
    step = count // COMMITS
    for first in range(0, count, step):
        _commit(store, _write(store, records(jpeg, first, step)))


def _write(store: Store, samples: Iterator[Record]) -> str:
    return store.write_fragment(samples, Output(), "bench")


def _commit(store: Store, fragment: str) -> None:
    store.commit([fragment], message="bench", run="bench", meta={})


def clone(source: Path, place: Path) -> Store:
    """A copy by hard links: Lance never changes a file."""
    shutil.copytree(source, place, copy_function=os.link)
    return Store.open(place)


def _in(rng: np.random.Generator, count: int) -> str:
    return "key in (" + ", ".join(f"'s/{index:09d}'" for index in rng.permutation(count)[:100]) + ")"


def one_round(source: Path, place: Path, jpeg: bytes, count: int, turn: int) -> dict[str, float]:
    """Wall seconds of each call, on a copy of the store that ends with the round."""
    store, rng, seconds = clone(source, place), np.random.default_rng([3, turn]), {}

    def measure(what: str, work: Callable[[], Any]) -> Any:
        answer: list[Any] = []
        seconds[what] = timed(lambda: answer.append(work()))[0]
        return answer[0]

    measure("open, resolve, count", lambda: len(Store.open(place).read("main")))
    samples = store.read()
    batches = [rng.permutation(count)[:BATCH] for _ in range(6)]
    measure("the first batch after opening", lambda: samples[batches[0]])
    seconds["a random batch of 64"] = min(timed(lambda: samples[batch])[0] for batch in batches[1:])  # noqa: B023, called at once
    measure("filter, 10 % match", lambda: len(store.read(where="split = 'val'")))
    measure("sql: count by category and source", lambda: store.sql("select category, source, count(*) from instances group by all"))
    fragment = _write(store, records(jpeg, 0, 1000, "new"))
    measure("commit 1,000 samples", lambda: _commit(store, fragment))
    measure("log", store.log)
    measure("delete 100 keys", lambda: store.delete(_in(rng, count)))
    chosen = store.read(where=_in(rng, count))
    relabelled = [replace(record, instances=record.instances[:3]) for record in chosen.records()]
    commit = measure("relabel 100 keys", lambda: store.put(relabelled, message="relabel"))
    assert commit.samples_replaced == len(relabelled)
    diff = measure("diff of that", lambda: store.diff(commit.version - 1, commit.version))
    assert len(diff.changed_labels) == len(relabelled)
    measure("a batch where 200 rows are deleted", lambda: store.read()[batches[0] % (count - 100)])
    shutil.rmtree(place)
    return seconds


def growth(root: Path, jpeg: bytes, small: int, large: int, rounds: int) -> list[Row]:
    for count in (small, large):
        build(root / f"{count}", jpeg, count)
    runs: dict[int, list[dict[str, float]]] = {small: [], large: []}
    for turn in range(rounds):
        for count, told in runs.items():
            told.append(one_round(root / f"{count}", root / "round", jpeg, count, turn))
    least = {count: {what: min(run[what] for run in told) for what in told[0]} for count, told in runs.items()}
    rows = []
    for what, few_s in least[small].items():
        many_s = least[large][what]
        rows.append(Row(what, f"{few_s * 1e3:.1f} ms, {many_s * 1e3:.1f} ms", many_s / few_s, at_most=TARGETS.get(what)))
    rows += [_reads_row(root / f"{count}", count) for count in runs]
    store = Store.open(root / f"{large}")
    tracemalloc.start()
    store.read().contents()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rows.append(Row("all keys and digests in memory, as import, pull and pin hold them", f"{peak / large:.0f} bytes a sample"))
    bytes_, files = _size(root / f"{large}")
    rows.append(Row(f"{large} samples on disk", f"{bytes_ / large:.0f} bytes a sample, pictures of {len(jpeg) + 16} bytes; {files} files"))
    return rows


def _reads_row(place: Path, count: int) -> Row:
    """What object storage would be asked for: Lance counts the ranges of files that it reads."""
    store, rng = Store.open(place), np.random.default_rng(4)
    data, samples = store._table.at(), store.read()

    def reads(work: Callable[[], object]) -> tuple[int, int]:
        work()  # so that what is kept in memory is there
        data.io_stats_incremental()
        work()
        stats = data.io_stats_incremental()
        return stats.read_iops, stats.read_bytes

    keys, key_bytes = reads(lambda: rows_of(data, ["absent"]))
    batch, batch_bytes = reads(lambda: samples[rng.permutation(count)[:BATCH]])
    told = (
        f"a commit's look-up of keys {keys} reads, {key_bytes / count:.1f} bytes a key; a random batch {batch}, {batch_bytes / 1e6:.1f} MB"
    )
    return Row(f"reads of files with {count} samples", told)


def fragments(root: Path, jpeg: bytes, counts: tuple[int, ...], size: int = 10) -> list[Row]:
    """Commits of `size` samples, one after another, and gc at the end."""
    store, taken, rows = Store.open(root / "many", create=True), [], []
    for number in range(1, max(counts) + 1):
        fragment = _write(store, records(jpeg, size * number, size))
        taken.append(timed(lambda: _commit(store, fragment))[0])  # noqa: B023, called at once
        if number in counts:
            rows.append(_fragments_row(root / "many", f"{number} commits of {size} samples", min(taken[-5:])))
    gc_s = timed(lambda: store.gc(timedelta(0)))[0]
    new = [_write(store, records(jpeg, 0, size, f"new{turn}")) for turn in range(3)]
    after_s = min(timed(partial(_commit, store, fragment))[0] for fragment in new)
    rows.append(_fragments_row(root / "many", f"the same after gc, which took {gc_s:.1f} s", after_s))
    return rows


def _fragments_row(place: Path, what: str, commit_s: float) -> Row:
    opened_s = min(timed(lambda: len(Store.open(place).read()))[0] for _ in range(3))
    log_s = min(timed(lambda: Store.open(place).log())[0] for _ in range(3))
    samples, rng = Store.open(place).read(), np.random.default_rng(5)
    batch_s = min(timed(lambda: samples[rng.integers(0, len(samples), BATCH)])[0] for _ in range(5))
    manifest = max((place / "samples.lance" / "_versions").glob("*.manifest"), key=lambda path: path.stat().st_mtime_ns).stat().st_size
    told = f"commit {commit_s * 1e3:.1f} ms, open {opened_s * 1e3:.1f} ms, log {log_s * 1e3:.1f} ms, batch {batch_s * 1e3:.1f} ms"
    return Row(what, f"{told}, newest manifest {manifest / 1e3:.1f} kB, {_size(place)[1]} files")


def _size(place: Path) -> tuple[int, int]:
    files = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
    return sum(files), len(files)


def bench(
    small: int = 10_000, large: int = 100_000, rounds: int = 5, counts: tuple[int, ...] = (10, 100, 1000)
) -> tuple[str, str, list[Row]]:
    """Both sizes in turn; the least of each time, since a busy machine only adds."""
    jpeg = picture()
    with tempfile.TemporaryDirectory() as name:
        rows = growth(Path(name), jpeg, small, large, rounds)
        rows += fragments(Path(name), jpeg, counts)
    note = (
        f"{small} and {large} samples, each in {COMMITS} commits, {WIDTH}x{HEIGHT} JPEGs of {len(jpeg) + 16} bytes with {BOXES} human "
        f"boxes; the least of {rounds} interleaved rounds, each on a fresh copy."
    )
    return "Scale", note, rows
