"""A store gives back what was put in, at every version, by every way of asking."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError, LabelError, StoreError
from synth.record import Output
from synth.store import Samples, Store
from synth.store.table import Table
from synth.types import Sample
from tests.samples import sample

ROOT = Path(__file__).parents[2]
EXACT = Output("png", maps=("depth",))


def add(store: Store, indices: range, run: str = "run", message: str = "more", **meta: object) -> int:
    fragments = [store.write_fragment(map(sample, part), EXACT, run) for part in (indices[::2], indices[1::2]) if part]
    return store.commit(fragments, message=message, run=run, meta=meta).version


@pytest.fixture(scope="module")
def store(module_place: str) -> Store:
    """Read only: v2 has samples 0 to 9, v3 has 10 to 14 as well, of another run."""
    made = Store.open(module_place, create=True)
    add(made, range(10), "first", "ten", config={"seed": 7}, licences={"mug": "CC0-1.0", "box": "MIT"})
    add(made, range(10, 15), "second", "five", licences={"box": "MIT"})
    made.tag("ten", 2)
    return made


def same(got: Sample, index: int) -> bool:
    wanted = sample(index)
    assert got.depth_m is not None
    assert wanted.depth_m is not None
    return label_digest(got) == label_digest(wanted) and bool((got.image == wanted.image).all() and (got.depth_m == wanted.depth_m).all())


def test_samples_come_back_equal(store: Store) -> None:
    for got in store.read("main"):
        assert got.origin is not None
        assert same(got, got.origin.index)
        assert got.origin == sample(got.origin.index).origin
        assert got.key == f"{'first' if got.origin.index < 10 else 'second'}-{got.origin.index:08d}"
        assert got.normals is None


def test_order_is_that_of_the_commit(store: Store) -> None:
    assert [int(key[-8:]) for key in store.read().keys()] == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9, 10, 12, 14, 11, 13]  # noqa: SIM118


def test_every_way_of_reading_gives_the_same(store: Store) -> None:
    samples = store.read()
    one_by_one = [pixel_digest(samples[i]) + label_digest(samples[i]) for i in range(len(samples))]
    picked = [7, 2, 2, -1, 0]
    assert [pixel_digest(s) + label_digest(s) for s in samples[picked]] == [one_by_one[i] for i in picked]
    assert [pixel_digest(s) + label_digest(s) for s in samples[np.array(picked)]] == [one_by_one[i] for i in picked]
    assert [s.key for s in samples.__getitems__([3, 1])] == [samples[3].key, samples[1].key]
    assert [pixel_digest(s) + label_digest(s) for s in samples] == one_by_one
    part = samples[3:12:2]
    assert isinstance(part, Samples)
    assert part.keys() == samples.keys()[3:12:2]
    assert part[1:][0].key == samples[5].key
    assert samples[-1].key == samples[14].key
    assert samples[[]] == []
    for outside in (15, -16, [0, 15]):
        with pytest.raises(IndexError, match="there are 15 samples"):
            samples[outside]


def test_maps_are_read_only_when_wanted(store: Store) -> None:
    assert store.read(maps=())[0].depth_m is None
    assert store.read()[0].depth_m is not None


def test_filters(store: Store) -> None:
    keys = lambda where, ref="main": sorted(int(k[-8:]) for k in store.read(ref, where).keys())  # noqa: E731, SIM118
    assert keys("visible_fraction_max < 0.1") == [0, 10]
    assert keys("source = 'synthetic' and origin.index between 3 and 5") == [3, 4, 5]
    assert keys("array_has(instance_categories, 'box')") == [1, 3, 5, 7, 9, 11, 13]
    assert keys("instance_count = 2 and run = 'second'") == [11, 13]
    assert keys("depth is null") == []
    assert keys("camera is not null", "ten") == list(range(10))
    assert len(store.read(where="width > 1000")) == 0
    chosen = store.read(where="origin.index > 11")
    assert sorted(int(s.key[-8:]) for s in chosen) == [12, 13, 14]
    assert same(chosen[[-1]][0], int(chosen[-1].key[-8:]))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("visible_fraction > 1", "No field named visible_fraction"),
        ("key > ", "Expected: an expression"),
        ("key = 3", "could not convert"),
        ("origin.nope = 1", "Field nope not found"),
        ("width", "does not return a boolean"),
    ],
)
def test_a_bad_filter_is_one_message(store: Store, where: str, message: str) -> None:
    with pytest.raises(
        StoreError, match=rf'the filter "{where}" cannot be used: .*{message}.*; known columns: key, source, dataset, split'
    ) as caught:
        store.read(where=where)
    assert ".rs:" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_get_by_key(store: Store) -> None:
    assert same(store.get("first-00000004"), 4)
    with pytest.raises(StoreError, match="ten has no sample 'second-00000012'"):
        store.get("second-00000012", "ten")
    with pytest.raises(StoreError, match="main has no sample 'it's'"):
        store.get("it's")


def test_refs_and_time_travel(store: Store) -> None:
    assert [len(store.read(ref)) for ref in (1, "2", "ten", 3, "main")] == [0, 10, 10, 15, 15]
    assert (store.resolve("main"), store.resolve("ten"), store.resolve(1)) == (3, 2, 1)
    with pytest.raises(StoreError, match="no ref 'tenn'; did you mean 'ten'\\? known: main, ten, and version numbers"):
        store.resolve("tenn")
    for missing in (0, 4, "17", -1):
        with pytest.raises(StoreError, match=f"{missing}"):
            store.resolve(missing)


def test_log(store: Store) -> None:
    newest, ten, empty = store.log()
    assert (newest.version, newest.message, newest.run, newest.samples_added, newest.samples_total) == (3, "five", "second", 5, 15)
    assert (ten.version, ten.tags, ten.samples_added, ten.samples_total) == (2, ("ten",), 10, 10)
    assert ten.meta == {"config": {"seed": 7}, "licences": {"mug": "CC0-1.0", "box": "MIT"}}
    assert (empty.version, empty.run, empty.samples_total, empty.meta) == (1, None, 0, {})
    assert timedelta(0) <= datetime.now(UTC) - newest.time < timedelta(minutes=5)
    assert newest.time >= ten.time >= empty.time
    assert [commit.version for commit in store.log("ten")] == [2, 1]


def test_times_are_utc_in_any_zone(store: Store) -> None:
    code = f"from synth.store import Store; print(Store.open({store.place!r}).log()[0].time.isoformat())"
    env = {**os.environ, "TZ": "Asia/Kolkata"}
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.strip()
    assert shown == store.log()[0].time.isoformat()


def test_indices(store: Store) -> None:
    assert store.indices("first").tolist() == list(range(10))
    assert store.indices("second").tolist() == list(range(10, 15))
    assert store.indices("second", "ten").tolist() == []
    assert store.indices("it's").tolist() == []


def test_provenance(store: Store) -> None:
    told = store.provenance("ten")
    assert json.loads(json.dumps(told)) == told
    assert (told["ref"], told["version"], told["licences"]) == ("ten", 2, ["CC0-1.0", "MIT"])
    assert [c["run"] for c in store.provenance()["commits"]] == ["second", "first"]


def test_handles_pickle_small_and_read_in_a_spawned_process(store: Store) -> None:
    samples = store.read("ten", "instance_count = 1")
    samples[0]  # opened here: what is pickled must not carry that
    data = pickle.dumps((store, samples))
    assert len(data) < 2000
    code = "import pickle, sys; s, r = pickle.load(sys.stdin.buffer); print(len(s.read()), [x.key for x in r[[1, 0]]])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=data, capture_output=True, check=True).stdout.decode().strip()
    assert shown == f"15 {[samples[1].key, samples[0].key]}"


def test_a_forked_process_is_refused(store: Store) -> None:
    code = f"""
import os
from synth.store import Store
samples = Store.open({store.place!r}).read()
samples[0]
if os.fork() == 0:
    try:
        samples[0]
    except Exception as error:
        print(type(error).__name__, error, flush=True)  # _exit flushes nothing
    os._exit(0)
os.wait()
"""
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert shown.startswith("StoreError this process was forked")
    assert "start workers with spawn" in shown


def test_tags(place: str) -> None:
    store = Store.open(place, create=True)
    add(store, range(2))
    store.tag("v1.0", "main")
    store.tag("v1.0", 2)  # again, the same: nothing to do
    add(store, range(2, 4))
    assert store.tags() == {"v1.0": 2}
    assert len(store.read("v1.0")) == 2
    with pytest.raises(StoreError, match=r"tag 'v1\.0' is there and names version 2"):
        store.tag("v1.0", "main")
    for name in ("main", "3", "", "a/b", "../x", "a b", "x.lock"):
        with pytest.raises(ConfigError, match="a tag begins with a letter"):
            store.tag(name)
    with pytest.raises(StoreError, match="no ref 'nope'"):
        store.tag("v2", "nope")


def test_a_commit_lands_once(place: str) -> None:
    store = Store.open(place, create=True)
    parts = [store.write_fragment(map(sample, part), EXACT, "run") for part in (range(3), range(3, 5))]
    first = store.commit(parts, message="m", run="run", meta={"a": 1})
    add(store, range(3), "other")
    again = Store.open(place).commit(parts[::-1], message="m", run="run", meta={"a": 1})
    assert again == first
    assert len(store.read()) == 8
    with pytest.raises(StoreError, match=r"main has 2 of these samples already \(first: run-00000003, run run\)"):
        store.commit([store.write_fragment(map(sample, range(3, 6)), EXACT, "run")], message="m", run="run", meta={})
    with pytest.raises(StoreError, match="sample run-00000007 is there 2 times in what is to be committed"):
        store.commit([store.write_fragment(map(sample, [7, 7]), EXACT, "run")], message="m", run="run", meta={})
    assert store.resolve("main") == 3


def test_what_was_written_but_not_committed_is_not_seen(place: str) -> None:
    store = Store.open(place, create=True)
    store.write_fragment(map(sample, range(3)), EXACT, "run")
    assert len(store.read()) == 0
    assert store.indices("run").tolist() == []


def test_nothing_and_lost_fragments_are_refused(place: str) -> None:
    store = Store.open(place, create=True)
    empty = store.write_fragment([], EXACT, "run")
    with pytest.raises(StoreError, match="no samples to commit"):
        store.commit([empty], message="m", run="run", meta={})
    fragment = store.write_fragment([sample(0)], EXACT, "run")
    assert store.commit([empty, fragment], message="m", run="run", meta={}).samples_added == 1
    fragment = store.write_fragment([sample(1)], EXACT, "run")
    store.discard(fragment)
    with pytest.raises(StoreError, match="written samples are gone"):
        store.commit([fragment], message="m", run="run", meta={})
    assert [s.key for s in store.read()] == ["run-00000000"]


def test_written_samples_are_looked_for_without_reading_them(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask an S3 service for a file is to read it, and these are large."""
    store = Store.open(place, create=True)
    fragment = store.write_fragment([sample(0)], EXACT, "run")
    monkeypatch.setattr(type(store._files), "read", None)
    assert store.has_fragment(fragment)
    store.discard(fragment)
    assert not store.has_fragment(fragment)


def test_branches_are_found_without_listing_the_versions(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To list them is to read every manifest, also where a step of a writer is newest."""
    store = Store.open(place, create=True)
    add(store, range(2))
    store._table.restore(1, {"step": "1"})
    monkeypatch.setattr(Table, "times", None)
    assert store.branches() == {"main": 2}


def test_meta_must_be_json(place: str) -> None:
    store = Store.open(place, create=True)
    fragment = store.write_fragment([sample(0)], EXACT, "run")
    with pytest.raises(StoreError, match="only JSON values"):
        store.commit([fragment], message="m", run="run", meta={"bad": object()})
    assert len(store.read()) == 0
    assert store.commit([fragment], message="m", run="run", meta={"fine": None}).meta == {"fine": None}


def test_samples_are_walked_in_the_calling_thread_and_their_errors_pass(place: str) -> None:
    store = Store.open(place, create=True)
    threads = set()

    def failing() -> Iterator[Sample]:
        for index in range(100):
            threads.add(threading.get_ident())
            yield sample(index)
        raise KeyError("the renderer broke")

    with pytest.raises(KeyError, match="the renderer broke"):
        store.write_fragment(failing(), EXACT, "run")
    assert threads == {threading.get_ident()}
    assert add(store, range(2)) == 2
    assert not [t for t in threading.enumerate() if t.name == "synth-store-writer"]


def test_a_sample_that_contradicts_itself(place: str) -> None:
    store = Store.open(place, create=True)
    good, base = sample(0), sample(1)
    first = base.instances[0]
    assert first.keypoints is not None
    cases = {
        "its category is none of the sample's: mug, box": replace(first, category="cup"),
        "visible_fraction must be finite, got nan": replace(first, visible_fraction=float("nan")),
        "mask is 48x32, its picture 24x32": None,
        "keypoint v must be 0, 1 or 2": replace(first, keypoints=replace(first.keypoints, v=np.array([0, 3]))),
        "it has 2 keypoints, its category 0": replace(first, category="box"),
    }
    for message, instance in cases.items():
        bad = (
            replace(base, instances=(instance,))
            if instance
            else replace(base, image=base.image[:, :24], depth_m=base.depth_m[:, :24], normals=None, camera=None)
        )  # type: ignore[index]
        with pytest.raises(LabelError, match=rf"sample run-00000001: instance 0 \(\w+\): {message}"):
            store.write_fragment([good, bad], EXACT, "run")
    refused: list[tuple[str, str]] = []
    fragment = store.write_fragment([good, bad, sample(2)], EXACT, "run", lambda s, e: refused.append((s.key, str(e))))
    assert len(refused) == 1
    store.commit([fragment], message="m", run="run", meta={})
    assert store.indices("run").tolist() == [0, 2]


def test_shared_values_are_kept_once(store: Store) -> None:
    objects = store._files.list("objects")
    assert len(objects) == 8  # categories, versions, three metas, three records
    assert all(json.loads(store._files.read(name) or b"") is not None for name in objects)


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*/no: nothing is there; `synth generate store=.*/no` makes one, or name another"):
        Store.open(tmp_path / "no")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"it has no synth\.json"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="it is a file"):
        Store.open(tmp_path / "notes.txt")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(StoreError, match=r"holds other things \(notes.txt\); name a new|no store can be made at .*Not a directory"):
            Store.open(path, create=True)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_newer_or_broken_mark(place: str) -> None:
    store = Store.open(place, create=True)
    store._files.write("synth.json", b'{"synth_store": 99}')
    with pytest.raises(StoreError, match="has schema version 99, this synth reads up to 2; install a newer synth"):
        Store.open(place)
    store._files.write("synth.json", b"{")
    with pytest.raises(StoreError, match=r"synth\.json is damaged"):
        Store.open(place, create=True)


def test_making_is_completed_after_a_death(place: str) -> None:
    store = Store.open(place, create=True)
    store._files.delete("synth.json")  # as if killed before the mark was set
    store._files.write(".synth.json.123", b"{")
    assert len(Store.open(place, create=True).read()) == 0
    assert Store.open(place, create=True).resolve("main") == 1


def test_odd_paths(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "we ird#%20:é?" / "deep", create=True)
    add(store, range(2))
    assert len(Store.open(store.folder).read()) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["we ird#%20:é?"]


def test_rows_are_found_after_deletes_and_compaction(place: str) -> None:
    """Places of rows shift, fragments merge."""
    store = Store.open(place, create=True)
    add(store, range(20), "a")
    add(store, range(20, 40), "b")
    assert store.delete("origin.index % 3 = 0").samples_removed == 14
    for compacted in (False, True):
        if compacted:
            store.gc(timedelta(days=1))
        left = store.read("main", "origin.index > 10")
        assert sorted(int(key[-8:]) for key in left.keys()) == [i for i in range(11, 40) if i % 3]  # noqa: SIM118
        picked = [5, 0, -1, 11]
        assert [s.key for s in left[picked]] == [left.keys()[i] for i in picked]
        assert all(same(s, s.origin.index) for s in left if s.origin)
        assert store.log()[0].samples_total == 26
        assert (store.log()[0].message == "compact") == compacted
    assert len(store.read(3)) == 40
    assert [commit.run for commit in store.log()][-3:] == ["b", "a", None]


def test_a_store_made_again_at_the_same_path(tmp_path: Path) -> None:
    import shutil

    for count in (3, 2):
        store = Store.open(tmp_path / "s", create=True)
        add(store, range(count))
        assert [int(key[-8:]) for key in sorted(store.read().keys())] == list(range(count))
        shutil.rmtree(store.folder)
