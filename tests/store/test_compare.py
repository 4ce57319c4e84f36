"""Branches, diffs, merges, deletes, restores and gc: what they keep, what they refuse, what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, StoreCallError, StoreError
from synth.record import Output, Record
from synth.store import Store
from synth.types import Instance
from tests.samples import sample

PNG = Output("png")


def keyed(indices: Iterable[int], shift: float = 0.0) -> list[Record]:
    """Samples `s0`, `s1`, ...; with `shift` their first label's whole box is wider."""
    from synth.record import encode

    records = []
    for index in indices:
        record = encode(sample(index), PNG, f"s{index}")
        first, rest = record.instances[0], record.instances[1:]
        assert first.box_full_xyxy is not None
        x0, y0, x1, y1 = first.box_full_xyxy
        records.append(replace(record, instances=(replace(first, box_full_xyxy=(x0, y0, x1 + shift, y1)), *rest)))
    return records


def filled(place: object, count: int = 6) -> Store:
    store = Store.open(str(place), create=True)
    store.put(keyed(range(count)), message="begin")
    return store


def keys(store: Store, ref: str | int) -> list[str]:
    return sorted(store.read(ref).keys())


def test_a_branch_leaves_main_alone(place: str) -> None:
    store = filled(place)
    store.branch("curated", "main")
    assert store.branches() == {"curated": 2, "main": 2}
    store.delete("origin.index >= 3", branch="curated", message="few")
    store.put(keyed([9]), message="one more")
    assert keys(store, "curated") == ["s0", "s1", "s2"]
    assert keys(store, "main") == [*(f"s{i}" for i in range(6)), "s9"]
    again = Store.open(place)
    assert [len(again.read(ref)) for ref in ("main", "curated", 2)] == [7, 3, 6]
    assert [(c.branch, c.message, c.samples_total) for c in again.log("curated")] == [
        ("curated", "few", 3),
        ("main", "begin", 6),
        ("main", "empty store", 0),
    ]
    again.delete_branch("curated")
    with pytest.raises(StoreCallError, match="no ref 'curated'"):
        again.read("curated")


def test_names_are_checked(place: str) -> None:
    store = filled(place, 1)
    store.branch("b")
    store.branch("b")  # again, the same: nothing to do
    store.tag("t")
    store.put(keyed([1]), message="m")
    for call, message in (
        (lambda: store.branch("b"), "branch 'b' is there, at version 2"),
        (lambda: store.branch("t"), "'t' is a tag"),
        (lambda: store.tag("b"), "'b' is a branch"),
        (lambda: store.delete("true", branch="bb"), "no branch 'bb'; did you mean 'b'"),
        (lambda: store.delete("true", branch="t"), "no branch 't'"),
        (lambda: store.delete_branch("t"), "'t' is no branch"),
        (lambda: store.delete_tag("b"), "no tag 'b'; known: t"),
        (lambda: store.read(3), "version 3 is a step of a commit"),
        (lambda: store.read(99), "no version 99"),
    ):
        with pytest.raises(StoreCallError, match=message):
            call()
    for name in ("main", "", "a b", "7", "../x"):
        with pytest.raises(ConfigError, match="a branch begins with a letter"):
            store.branch(name)
    with pytest.raises(ConfigError, match="main cannot be deleted"):
        store.delete_branch("main")


def test_relabelling_is_a_new_version_and_the_old_one_stays(place: str) -> None:
    store = filled(place)
    commit = store.put(keyed([2, 4], shift=1.5), message="wider")
    assert (commit.samples_added, commit.samples_replaced, commit.samples_total) == (0, 2, 6)
    before, after = (store.get("s4", ref).instances[0].box_full_xyxy for ref in (2, "main"))
    assert before is not None
    assert after == (before[0], before[1], before[2] + 1.5, before[3])
    assert store.put(keyed([2, 4], shift=1.5), message="again").version == commit.version


def test_diff_counts_labels_by_source_and_category(place: str) -> None:
    store = filled(place)
    store.delete("key = 's0'")
    edited = keyed([1], shift=2.0)[0]
    dropped = replace(edited, instances=edited.instances[:1])  # its 'box' goes, its 'mug' changes
    grown = replace(keyed([2])[0], instances=(*keyed([2])[0].instances, Instance("box")))
    moved = replace(keyed([3])[0], info=replace(keyed([3])[0].info, split="test"))
    other = replace(keyed([4])[0], image=keyed([5])[0].image)
    store.put([dropped, grown, moved, other, *keyed([7])], message="edits")
    found = store.diff(2, "main")
    assert (found.added, found.removed, found.changed) == (("s7",), ("s0",), ("s1", "s2", "s3", "s4"))
    assert (found.changed_labels, found.changed_pixels, found.changed_info) == (("s1", "s2"), ("s4",), ("s3",))
    mug, box = found.labels["synthetic", "mug"], found.labels["synthetic", "box"]
    assert (mug.added, mug.removed, mug.changed) == (1, 1, 1)  # s7's, s0's, s1's
    assert (box.added, box.removed, box.changed) == (2, 1, 0)  # s7's and s2's, s1's
    assert "1 samples added, 1 removed, 4 changed (2 in labels, 1 in pixels, 1 in info)" in str(found)
    back = store.diff("main", 2)
    assert (back.added, back.removed, back.changed) == (found.removed, found.added, found.changed)
    assert store.diff(2, 2).labels == {}
    some = store.diff(2, "main", "split = 'train' and key != 's7'")  # s3 has left this choice
    assert (some.added, some.removed, some.changed) == ((), ("s0", "s3"), ("s1", "s2", "s4"))


def test_a_merge_brings_adds_changes_and_deletes(place: str) -> None:
    store = filled(place)
    store.branch("work")
    store.put([*keyed([1], 1.0), *keyed([10])], message="w", branch="work")
    store.delete("key = 's2'", branch="work")
    store.put([*keyed([3], 2.0), *keyed([11])], message="m")
    done = store.merge("work")
    assert (done.added, done.replaced, done.removed, done.conflicts) == (1, 1, 1, ())
    assert done.commit is not None
    assert len(done.commit.parents) == 2
    assert keys(store, "main") == ["s0", "s1", "s10", "s11", "s3", "s4", "s5"]
    assert store.diff("work", "main").changed == ("s3",)
    assert store.merge("work").commit is None  # it is all there
    ahead = store.merge("main", "work")  # nothing happened on work since: it takes main as it is
    assert (ahead.added, ahead.replaced) == (1, 1)
    assert store.diff("work", "main").changed == ()
    assert keys(store, "work") == keys(store, "main")


def test_conflicts_are_listed_and_nothing_is_merged(place: str) -> None:
    store = filled(place)
    store.branch("work")
    store.put(keyed([1, 2], 1.0), message="w", branch="work")
    store.delete("key = 's3'", branch="work")
    store.put(keyed([1, 3, 2], 2.0), message="m")
    store.put(keyed([2], 1.0), message="the same as work")
    version = store.resolve("main")
    with pytest.raises(StoreError, match="both changed 2 of the same samples; nothing was merged") as caught:
        store.merge("work")
    assert "s1: changed in main, changed in work" in str(caught.value)
    assert "s3: changed in main, deleted in work" in str(caught.value)
    assert store.resolve("main") == version
    kept = store.merge("work", prefer="target")
    assert kept.conflicts == ("s1", "s3")
    assert store.diff(version, "main").changed == ()
    store.restore(version)
    store.branch("second", "work")
    store.put(keyed([1], 3.0), message="m2")
    store.put(keyed([1], 4.0), message="w2", branch="second")
    store.merge("second", prefer="source")
    found = store.diff("second", "main")
    assert (found.added, found.removed, found.changed) == (("s3",), (), ())
    wide, base = (store.get("s1", ref).instances[0].box_full_xyxy for ref in ("main", 2))
    assert wide is not None
    assert base is not None
    assert wide[2] == base[2] + 4.0


def test_restore_brings_back_an_old_version(place: str) -> None:
    store = filled(place)
    store.tag("good")
    store.delete("origin.index < 4")
    commit = store.restore("good")
    assert (commit.samples_added, commit.samples_removed, commit.samples_total) == (4, 0, 6)
    assert store.diff("good", "main").changed == ()
    assert keys(store, "main") == keys(store, "good")
    assert store.restore("main").version == commit.version


def test_gc_frees_what_nothing_names(place: str) -> None:
    store = filled(place)
    store.tag("named", 2)
    store.delete("key = 's1'")
    store.branch("old")
    store.put(keyed([8]), message="m")
    store.put(keyed([8], 1.0), message="m")
    pin = store.pin("main", "key = 's8'")
    store.put(keyed([8], 2.0), message="m")
    store.put(keyed([8], 3.0), message="m")
    contents = {ref: store.read(ref).contents() for ref in ("main", "named", "old", pin.version)}
    assert store.gc(timedelta(days=1)).versions == 0
    freed = store.gc(timedelta(0))
    assert freed.versions > 0
    assert freed.bytes > 0
    again = Store.open(place)
    assert {ref: again.read(ref).contents() for ref in contents} == contents
    assert len(list(again.read("named"))) == 6  # every byte is there
    gone = [commit for commit in again.log() if not commit.kept]
    assert gone
    with pytest.raises(StoreCallError, match=f"no version {gone[0].version}: gc has removed it"):
        again.read(gone[0].version)
    assert store.gc(timedelta(0)).versions == 0
    again.put(keyed([20]), message="after")
    assert again.merge("old").commit is None


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "delete", "merge", "restore", "gc"]), st.sampled_from(["main", "b"]), st.integers(0, 7)),
        max_size=8,
    )
)
def test_any_history_is_what_a_dictionary_would_be(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]) -> None:
    """Branches as plain dictionaries, beside the store."""
    store = Store.open(tmp_path_factory.mktemp("model") / "s", create=True)
    store.put(keyed(range(4)), message="begin")
    store.branch("b")
    shifts = dict.fromkeys((f"s{i}" for i in range(4)), 0.0)
    model: dict[str, dict[str, float]] = {"main": dict(shifts), "b": dict(shifts)}
    old: list[tuple[int, dict[str, float]]] = [(store.resolve("main"), dict(shifts))]
    for number, (what, branch, value) in enumerate(steps):
        other = "b" if branch == "main" else "main"
        if what == "put":
            store.put(keyed([value], shift=float(number + 1)), message="m", branch=branch)
            model[branch][f"s{value}"] = float(number + 1)
        elif what == "delete":
            store.delete(f"key = 's{value}'", branch=branch)
            model[branch].pop(f"s{value}", None)
        elif what == "merge":
            before = Counter(model[branch]), Counter(model[other])
            store.merge(other, branch, prefer="source")
            merged = shifts_of(store, branch)
            for key in merged.keys() & model[other].keys() & model[branch].keys():
                assert merged[key] in (model[other][key], model[branch][key])
            assert (Counter(model[branch]), shifts_of(store, other)) == (before[0], dict(before[1]))
            model[branch] = merged
        elif what == "restore":
            version, content = old[value % len(old)]
            store.tag(f"t{version}", version)
            store.restore(version, branch=branch)
            model[branch] = dict(content)
        else:
            for version, _ in old:
                store.tag(f"t{version}", version)
            store.gc(timedelta(0))
        old.append((store.resolve(branch), dict(model[branch])))
        store.tag(f"t{old[-1][0]}", old[-1][0])
        assert {name: shifts_of(store, name) for name in model} == model
    for version, content in old:
        assert shifts_of(store, version) == content


def shifts_of(store: Store, ref: str | int) -> dict[str, float]:
    found = {}
    for record in store.read(ref).labels():
        box, plain = record.instances[0].box_full_xyxy, keyed([int(record.key[1:])])[0].instances[0].box_full_xyxy
        assert box is not None
        assert plain is not None
        found[record.key] = round(box[2] - plain[2], 6)
    return found
