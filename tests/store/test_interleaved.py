"""What storms hit rarely, by construction: another process comes in between two steps of a writer, of a gc, or of who names a version."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lance
import pytest
from lance import LanceOperation
from lance.optimize import Compaction

from synth.errors import StoreCallError, StoreError
from synth.store import Commit, Store
from synth.store import held as holding
from synth.store.failures import Conflict, Gone
from synth.store.files import LocalFiles
from synth.store.table import Table
from tests.store.storm import PNG, contents, labelled

Action = Callable[[Store], object]


def put(store: Store, keys: str, token: str, branch: str = "main") -> Commit:
    return store.put([labelled(key, token) for key in keys.split()], message=token, branch=branch, output=PNG)


@contextmanager
def between(owner: Any, name: str, call: int, come: Callable[[], object]) -> Iterator[list[int]]:
    """Before call number `call` of `owner.name`, once, `come` happens. Gives how many calls there were."""
    original, calls, inside = getattr(owner, name), [0], False

    def called(*arguments: Any, **options: Any) -> Any:
        nonlocal inside
        if not inside:
            calls[0] += 1
            if calls[0] == call:
                inside = True
                come()
                inside = False
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, called)
        yield calls


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main: a b c d in four fragments; dev: a with another label, b, e; old: a b. The newest version is one of main."""
    store = Store.open(tmp_path_factory.mktemp("interleaved") / "s", create=True)
    put(store, "a", "first")
    put(store, "b", "first")
    store.tag("old")
    store.branch("dev")
    put(store, "a e", "dev", "dev")
    store.tag("theirs", "dev")
    put(store, "c", "first")
    put(store, "d", "first")
    return store.folder


@pytest.fixture
def store(prepared: Path, tmp_path: Path) -> Store:
    return Store.open(shutil.copytree(prepared, tmp_path / "s"))


ACTIONS: dict[str, Action] = {
    "put": lambda store: put(store, "x", "put"),
    "replace": lambda store: put(store, "a d", "replaced"),
    "replace on dev": lambda store: put(store, "a b", "replaced", "dev"),
    "delete": lambda store: store.delete("key < 'c'"),
    "delete all": lambda store: store.delete("true"),
    "delete on dev": lambda store: store.delete("key = 'a'", branch="dev"),
    "merge": lambda store: store.merge("theirs", prefer="source"),
    "restore": lambda store: store.restore("old"),
    "branch": lambda store: store.branch("new", "old"),
    "compact": lambda store: store._changes.compact("main", 100),
    "compact dev": lambda store: store._changes.compact("dev", 100),
    "gc": lambda store: store.gc(timedelta(0)),
}


OTHERS = ("put", "replace on dev", "delete all", "restore", "compact dev", "gc")


def state(store: Store) -> dict[str, dict[str, str]]:
    return {branch: contents(store, branch) for branch in store.branches()}


def rightly(store: Store) -> dict[str, dict[str, str]]:
    """The state, after looking that history and content agree."""
    for branch, found in (told := state(store)).items():
        log = store.log(branch)
        assert log[0].samples_total == len(found)
        assert len({commit.version for commit in log}) == len(log)
    return told


@pytest.mark.parametrize("action", ACTIONS)
def test_whatever_comes_before_a_commit_is_kept(prepared: Path, tmp_path: Path, action: str) -> None:
    """The same as if both had come one after the other, before whichever step of the writer the other came."""
    copies = (tmp_path / str(number) for number in itertools.count())
    steps = [(Table, "_commit", 1), (Table, "_commit", 2), (Compaction, "commit", 1)]
    for owner, name, call in tuple(steps):
        with between(owner, name, call, lambda: None) as calls:
            ACTIONS[action](Store.open(shutil.copytree(prepared, next(copies))))
        if calls[0] < call:
            steps.remove((owner, name, call))
    assert steps
    for other in OTHERS:
        expected = Store.open(shutil.copytree(prepared, next(copies)))
        ACTIONS[other](expected)
        ACTIONS[action](expected)
        for owner, name, call in steps:
            store = Store.open(shutil.copytree(prepared, next(copies)))
            with between(owner, name, call, partial(ACTIONS[other], Store.open(store.folder))):
                ACTIONS[action](store)
            assert rightly(Store.open(store.folder)) == state(expected), f"{other} before {name} {call} of {action}"


# --- the law under it -------------------------------------------------------------------------------------------------


def changes(store: Store, version: int) -> dict[str, Callable[[], Any]]:
    """All that is ever done to the table, each based on `version`."""
    table = store._table
    data = partial(lance.dataset, table.files.lance_uri("samples.lance"), version=version)
    piece = json.loads(store.write_fragment([labelled("z", "z")], PNG, "z"))["fragments"]
    every = [fragment.fragment_id for fragment in data().get_fragments()]

    def compact() -> None:
        opened = data()
        Compaction.commit(opened, [task.execute(opened) for task in Compaction.plan(opened, {"target_rows_per_fragment": 100}).tasks])

    found: dict[str, Callable[[], Any]] = {
        "add": lambda: table.commit(data(), {}, piece),
        "set branches": lambda: table.commit(data(), {}),
        "restore": lambda: table._commit(data(), LanceOperation.Restore(1), {}),
    }
    if every:
        found |= {
            "lose the lowest fragment": lambda: table.commit(data(), {}, gone={every[0]: None}),
            "lose the highest fragment": lambda: table.commit(data(), {}, gone={every[-1]: None}),
            "lose all": lambda: table.commit(data(), {}, gone=dict.fromkeys(every)),
            "replace": lambda: table.commit(data(), {}, piece, {every[1]: None}),
            "compact": compact,
        }
    return found


@pytest.mark.parametrize("empty", [False, True])
def test_of_several_changes_of_one_version_one_lands(prepared: Path, tmp_path: Path, empty: bool) -> None:
    """But a restore lands always, which is why its writer looks again after it."""
    start = Store.open(shutil.copytree(prepared, tmp_path / "start"))
    if empty:
        start.delete("true")
    version = start._table.latest()
    names = list(changes(start, version))
    for number, (first, second) in enumerate(itertools.product(names, names)):
        store = Store.open(shutil.copytree(start.folder, tmp_path / str(number)))
        all_of = changes(store, version)
        all_of[first]()
        if second == "restore":
            all_of[second]()
        else:
            with pytest.raises((Conflict, OSError), match=r"other writers|commit conflict|incompatible with concurrent"):
                all_of[second]()


def test_a_change_lands_over_a_compaction_of_other_fragments(tmp_path: Path) -> None:
    """Both are wanted then; the commit that tells of the compaction does not land over the change."""
    store = Store.open(tmp_path / "s", create=True)
    store.put([labelled(f"{number:02}", "large") for number in range(9)], message="large", output=PNG)
    for key in "abc":
        put(store, key, "small")
    with between(Table, "_commit", 1, lambda: Store.open(store.folder)._changes.compact("main", 5)):
        put(store, "d", "late")
    assert sorted(rightly(store)["main"]) == sorted([*(f"{number:02}" for number in range(9)), *"abcd"])
    assert [commit.message for commit in store.log()][:2] == ["late", "compact"]
    assert len(store._table.at().get_fragments()) == 3


# --- naming beside gc -------------------------------------------------------------------------------------------------


NAMERS: dict[str, Callable[[Store, int], object]] = {
    "tag": lambda store, version: store.tag("named", version),
    "branch": lambda store, version: store.branch("named", version),
    "restore": lambda store, version: store.restore(version),
    "pin": lambda store, version: store.pin(version),
    "merge": lambda store, version: store.merge(version, "dev"),
}


@pytest.fixture
def passed(store: Store) -> int:
    """A version that nothing names."""
    version = put(store, "p", "passed").version
    put(store, "p", "newer")
    return version


@pytest.mark.parametrize("namer", NAMERS)
def test_a_gc_spares_a_version_that_is_being_named(store: Store, passed: int, namer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    properties, come = Table.properties, [lambda: Store.open(store.folder).gc(timedelta(0))]

    def looked(table: Table, version: int) -> Any:
        if version == passed and list((store.folder / "held").glob("[!.]*")) and come:
            come.pop()()
        return properties(table, version)

    monkeypatch.setattr(Table, "properties", looked)
    NAMERS[namer](store, passed)
    assert not come
    assert contents(store, passed)["p"] == "passed"
    rightly(store)
    for branch in {"tag": "named", "branch": "named", "restore": "main", "merge": "dev"}.get(namer, passed), passed:
        assert contents(store, branch)["p"] == "passed"
    assert list((store.folder / "held").iterdir()) == []


@pytest.mark.parametrize("namer", NAMERS)
def test_who_names_a_version_that_a_gc_is_removing_waits_and_is_told(store: Store, passed: int, namer: str) -> None:
    told: list[str] = []
    before = state(store)

    def name() -> None:
        try:
            NAMERS[namer](Store.open(store.folder), passed)
        except StoreError as error:
            told.append(str(error))

    thread = threading.Thread(target=name)

    def come() -> None:
        thread.start()
        until(lambda: list((store.folder / "held").glob("[!.]*")))
        time.sleep(0.3)
        assert thread.is_alive()

    with between(lance.LanceDataset, "cleanup_old_versions", 1, come):
        store.gc(timedelta(0))
    thread.join()
    assert told == [f"store {store.place}: version {passed} was removed by gc meanwhile; see synth log"]
    assert rightly(store) == before
    assert set(store._history.tags()) == {"old", "theirs"}


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_gc_that_was_killed_is_not_waited_for_long(store: Store, passed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.folder / "gc").mkdir(exist_ok=True)
    (store.folder / "gc" / "dead.json").write_text(json.dumps({"versions": [passed], "at": time.time()}))
    monkeypatch.setattr(holding, "_DEAD_S", 0.2)
    store.tag("named", passed)
    assert store.tags()["named"] == passed


def test_a_gc_that_lives_is_waited_for_only_so_long(store: Store, passed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "BEAT_S", 0.02)
    monkeypatch.setattr(holding, "_DEAD_S", 0.5)
    monkeypatch.setattr(holding, "_PATIENCE_S", 1.0)
    with (
        holding.condemned(store._files, [passed]),
        pytest.raises(StoreError, match=f"a gc that may remove version {passed} is at work; try again when it has ended"),
    ):
        store.restore(passed)
    store.restore(passed)


def test_what_killed_processes_left_is_forgotten_after_a_day(store: Store, passed: int) -> None:
    for kind, age_s in itertools.product(("held", "gc"), (3600, 100_000)):
        (store.folder / kind).mkdir(exist_ok=True)
        (store.folder / kind / f"{age_s}.json").write_text(json.dumps({"versions": [passed], "at": time.time() - age_s}))
    store.gc(timedelta(0))
    assert contents(store, passed)
    assert sorted(path.name for kind in ("held", "gc") for path in (store.folder / kind).iterdir()) == ["3600.json"] * 2
    (store.folder / "held" / "3600.json").unlink()
    store.gc(timedelta(0))
    with pytest.raises(StoreError, match="gc has removed it"):
        store.read(passed)


def test_two_gcs_at_once(store: Store, passed: int) -> None:
    with between(lance.LanceDataset, "cleanup_old_versions", 1, lambda: Store.open(store.folder).gc(timedelta(0))):
        store.gc(timedelta(0))
    with pytest.raises(StoreError, match="gc has removed it"):
        store.read(passed)
    assert set(rightly(store)) == {"main", "dev"}


def test_age_counts_from_when_a_branch_left_the_version(store: Store) -> None:
    """Or a training run on the newest one would lose it to the first commit and gc after a quiet month."""
    time.sleep(0.3)
    left = store.resolve("main")
    put(store, "y", "newer")
    store.gc(timedelta(seconds=0.2))
    assert contents(store, left)
    time.sleep(0.3)
    store.gc(timedelta(seconds=0.2))
    with pytest.raises(StoreError, match="gc has removed it"):
        store.read(left)


def test_where_a_tag_parted_from_main_is_kept_for_a_merge(store: Store) -> None:
    store.delete_branch("dev")
    put(store, "n", "newer")
    store.delete_tag("old")
    store.gc(timedelta(0))
    merged = store.merge("theirs")
    assert (merged.added, merged.replaced) == (1, 1)
    assert rightly(store)["main"] == {"a": "dev", "e": "dev"} | dict.fromkeys("bcd", "first") | {"n": "newer"}


# --- names ------------------------------------------------------------------------------------------------------------


def test_of_two_that_give_one_tag_one_is_told(place: str) -> None:
    store = Store.open(place, create=True)
    put(store, "a", "a")
    put(store, "b", "b")
    with (
        between(type(store._files), "create", 1, lambda: Store.open(place).tag("t", 2)),
        pytest.raises(StoreCallError, match="tag 't' is there and names version 2; choose another name"),
    ):
        store.tag("t", 3)
    with between(LocalFiles, "create", 1, lambda: Store.open(place).tag("u", 3)):
        store.tag("u", 3)
    assert store.tags() == {"t": 2, "u": 3}
    assert store._history.tags() == store._table.tags() == store.tags()
    assert len(store.read("t")) == 1


def test_of_two_that_begin_one_branch_one_is_told(store: Store) -> None:
    with (
        between(Table, "_commit", 1, lambda: Store.open(store.folder).branch("new", "old")),
        pytest.raises(StoreCallError, match="branch 'new' is there, at version 3; choose another name"),
    ):
        store.branch("new", "dev")
    with between(Table, "_commit", 1, lambda: Store.open(store.folder).branch("same", "old")):
        store.branch("same", "old")
    assert (store.branches()["new"], store.branches()["same"]) == (3, 3)


def test_a_branch_that_is_deleted_during_gc_is_left_out(store: Store) -> None:
    with between(Table, "_commit", 1, lambda: Store.open(store.folder).delete_branch("dev")):
        assert store.gc(timedelta(0)).compacted == ("main",)


def test_two_merges_at_once_bring_it_once(store: Store) -> None:
    with between(Table, "_commit", 1, lambda: Store.open(store.folder).merge("dev", prefer="source")):
        merged = store.merge("dev", prefer="source")
    assert (merged.commit, merged.added, merged.replaced, merged.removed) == (None, 0, 0, 0)
    assert [commit.message for commit in store.log()][:2] == ["merge dev into main", "first"]


# --- what others have removed -----------------------------------------------------------------------------------------


def test_heads_are_not_those_of_an_older_version_while_gc_runs(store: Store) -> None:
    """A step is newest, and what tells the branches goes while one walks back to it."""
    store._table.restore(store.resolve("dev"), {"step": "1"})
    other = Store.open(store.folder)

    def come() -> None:
        put(other, "new", "new")
        put(other, "newer", "new")
        other.gc(timedelta(0))

    with between(Table, "properties", 2, come):
        heads = store.branches()
    assert heads == Store.open(store.folder).branches()
    assert {"new", "newer"} <= contents(store, "main").keys()


def test_a_writer_whose_base_was_removed_looks_again(store: Store) -> None:
    other = Store.open(store.folder)

    def come() -> None:
        other.delete("true")
        put(other, "new", "new")
        other.gc(timedelta(0))

    for owner, name in ((Table, "at"), (Table, "commit")):
        with between(owner, name, 1, come):
            put(store, "late", name)
        assert rightly(store)["main"] == {"new": "new", "late": name}


def test_a_loss_is_told_at_once(store: Store) -> None:
    for path in (store.folder / "samples.lance" / "data").iterdir():
        path.unlink()
    since = time.monotonic()
    with pytest.raises(Gone, match=r"cannot be read: .*Not found"):
        put(store, "a", "again")
    assert time.monotonic() - since < 60  # writers are patient for two minutes


def test_a_commit_that_gc_has_removed_already_is_told(store: Store) -> None:
    other = Store.open(store.folder)

    def come() -> None:
        put(other, "newer", "newer")
        other.gc(timedelta(0))

    with between(Store, "_commit_of", 1, come):
        commit = put(store, "x", "x")
    assert (commit.message, commit.samples_added) == ("x", 1)
    assert [(logged.message, logged.kept) for logged in store.log()][:3] == [("compact", True), ("newer", False), ("x", False)]


def test_a_repeated_commit_is_found_after_compaction_and_gc_and_lands_on_another_branch_once(place: str) -> None:
    store = Store.open(place, create=True)
    store.branch("dev")
    fragments = [store.write_fragment([labelled(key, "t")], PNG, "run") for key in "ab"]
    commit = partial(store.commit, fragments, message="m", run="run", meta={})
    first = commit()
    put(store, "c", "c")
    assert commit().version == first.version
    other = commit(branch="dev")
    assert other.version > first.version
    store.gc(timedelta(0))
    assert (commit().version, commit(branch="dev").version) == (first.version, other.version)
    store.delete("key = 'a'")
    assert commit().version == first.version  # deleted on purpose: not brought back by who repeats himself
    assert rightly(store) == {"main": {"b": "t", "c": "c"}, "dev": {"a": "t", "b": "t"}}
    assert store.merge("dev").commit is not None
