import threading
from contextlib import nullcontext
from dataclasses import replace

import kills
import pytest
from run_scenes import AbsentSpec, BadLabels, Bricks, CrashingSpec, FailOnce, Noise

from synth.digest import label_digest
from synth.errors import ConfigError, MissingPartError, SynthError
from synth.recipe import Generator, Recipe
from synth.render.flat import FlatSpec
from synth.run import LocalExecutor, Report
from synth.store import Store


def recipe(scene=None, **options) -> Recipe:
    return Recipe(scene or Bricks(), FlatSpec(), name="bricks", **options)


def labels(store: Store) -> dict[int, str]:
    """Label digest of each stored sample by its index."""
    return {sample.origin.index: label_digest(sample) for sample in store.read()}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(tmp_path / "store", create=True)


# --- the same sample again --------------------------------------------------------------------------------------------


def test_the_same_samples_from_one_worker_three_workers_backwards_and_alone(tmp_path):
    r = recipe(stages={"noise": Noise()}, seed=3)
    made = []
    for workers in (1, 3):
        store = Store.open(tmp_path / str(workers), create=True)
        assert LocalExecutor(workers, block=4).generate(r, 12, store).made == 12
        made.append(labels(store))
    with Generator(r) as generator:
        backwards = {index: label_digest(generator[index]) for index in reversed(range(12))}
    with Generator(r) as generator:
        alone = label_digest(generator[7])
    assert made[0] == made[1] == backwards
    assert alone == backwards[7]
    assert len(set(backwards.values())) == 12


def test_rows_follow_the_index_whoever_made_them(store):
    LocalExecutor(2, block=3).generate(recipe(), 12, store)
    assert [sample.origin.index for sample in store.read()] == list(range(12))


def test_another_stage_moves_no_number_of_scene_or_stage():
    plain, one, two = (recipe(stages=stages) for stages in ({}, {"b": Noise()}, {"a": Noise(), "b": Noise(), "c": Noise()}))
    with Generator(plain) as p, Generator(one) as o, Generator(two) as t:
        assert label_digest(p[5]) == label_digest(o[5]) == label_digest(t[5])
        # Stage b draws the same noise with and without its neighbours: what a adds is the same under both.
        only_a = Generator(recipe(stages={"a": Noise()}))[5]
        assert (only_a.image != o[5].image).any()
    with Generator(recipe(stages={"b": Noise(), "zero": Noise(0.0)})) as extended, Generator(one) as o:
        assert (extended[5].image == o[5].image).all()
    with Generator(recipe(stages={"zero": Noise(0.0), "b": Noise()})) as extended, Generator(one) as o:
        assert (extended[5].image == o[5].image).all()


# --- what is there is not made again ----------------------------------------------------------------------------------


def test_again_adds_nothing_and_more_adds_the_rest(store):
    executor = LocalExecutor(1)
    assert "version 2: 6 samples added" in executor.generate(recipe(), 6, store).summary()
    version = store.resolve("main")
    again = executor.generate(recipe(), 6, store)
    assert (again.version, again.made, again.there, again.exit_code) == (None, 0, 6, 0)
    assert "nothing to add: all 6 samples" in again.summary()
    assert store.resolve("main") == version
    more = executor.generate(recipe(), 10, store)
    assert (more.made, more.there) == (4, 6)
    assert store.indices(recipe().run).tolist() == list(range(10))
    assert not (store.folder / "runs").exists()


def test_a_commit_tells_how_it_was_made(store):
    report = LocalExecutor(1).generate(recipe(Bricks(fails=(1,))), 3, store, message="first", config={"n": 3})
    commit = store.log()[0]
    assert (commit.version, commit.message, commit.run) == (report.version, "first", report.run)
    meta = commit.meta
    assert (meta["config"], meta["n"], meta["added"], meta["licences"]) == ({"n": 3}, 3, 2, {"run/run_scenes.py": "CC0-1.0"})
    assert [failure["index"] for failure in meta["failures"]] == [1]
    assert meta["renderers"][0].startswith("flat")
    assert meta["versions"]["synth"]


# --- failures ---------------------------------------------------------------------------------------------------------


def test_failing_samples_are_named_and_counted_and_the_run_goes_on(store):
    report = LocalExecutor(1, block=1).generate(recipe(Bricks(fails=(1, 4)), seed=9), 6, store)
    assert (report.made, report.exit_code) == (4, 3)
    assert [failure.index for failure in report.failures] == [1, 4]
    summary = report.summary()
    assert "4 of 6 samples are there, 2 failed" in summary
    assert "sample 4 (scene bricks, seed 9): no free place" in summary


def test_failed_samples_are_tried_again(store, tmp_path):
    flag = tmp_path / "fail"
    flag.touch()
    r = recipe(FailOnce(str(flag)))
    assert [f.index for f in LocalExecutor(1).generate(r, 5, store).failures] == [3]
    flag.unlink()
    second = LocalExecutor(1).generate(r, 5, store)
    assert (second.made, second.there, second.exit_code) == (1, 4, 0)


def test_when_all_samples_fail_nothing_is_committed(store):
    before = store.resolve("main")
    report = LocalExecutor(1).generate(recipe(Bricks(fails=(0, 1))), 2, store)
    assert (report.version, report.exit_code) == (None, 3)
    assert store.resolve("main") == before
    assert not (store.folder / "runs").exists()


def test_a_bad_label_fails_its_sample_only(store):
    r = recipe(stages={"bad": BadLabels(2)}, output=kills.recipe().output)
    report = LocalExecutor(1).generate(r, 5, store)
    assert [failure.index for failure in report.failures] == [2]
    assert "sample 2 (scene bricks, seed 0)" in report.failures[0].message
    assert store.indices(r.run).tolist() == [0, 1, 3, 4]


def test_a_sample_that_kills_its_workers_fails_and_takes_no_other_with_it(store):
    report = LocalExecutor(1, block=4).generate(recipe(Bricks(kills=(2,))), 8, store)
    assert (report.made, report.exit_code) == (7, 3)
    assert "sample 2 (scene bricks, seed 0): 3 workers died while making it, the last by SIGKILL" in report.summary()
    assert "3 dead workers were replaced (3 by SIGKILL)" in report.summary()


def test_a_renderer_that_is_not_there_is_said_once_and_nothing_is_written(store, capfd):
    before, others = store.resolve("main"), set(kills.workers_of())  # those of a loader that an earlier test left to the collector
    with pytest.raises(MissingPartError, match="apt-get install libegl1"):
        LocalExecutor(2).generate(replace(recipe(), renderer=AbsentSpec()), 4, store)
    assert capfd.readouterr() == ("", "")
    assert store.resolve("main") == before
    assert not (store.folder / "runs").exists()
    assert not set(kills.workers_of()) - others


def test_a_renderer_that_crashes_ends_the_run(store):
    with pytest.raises(SynthError, match=r"5 workers in a row died with no sample in hand, the last while starting .SIGSEGV"):
        LocalExecutor(1).generate(replace(recipe(), renderer=CrashingSpec()), 4, store)


def test_a_scene_that_workers_cannot_import_is_one_message(store):
    class Local(Bricks):
        pass

    with pytest.raises(ConfigError, match="cannot be sent to a worker"):
        LocalExecutor(1).generate(recipe(Local()), 2, store)


@pytest.mark.parametrize("n", [-1, 2.0, True])
def test_a_wrong_n_is_refused(store, n):
    with pytest.raises(ConfigError, match="n must be a whole number from 0"):
        LocalExecutor(1).generate(recipe(), n, store)


@pytest.mark.parametrize("options", [{"workers": -1}, {"workers": 1.5}, {"block": 0}, {"threads": True}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"LocalExecutor: {next(iter(options))} must be a whole number from"):
        LocalExecutor(**options)


# --- beside each other ------------------------------------------------------------------------------------------------


def test_two_runs_into_one_store_both_land(store):
    reports: list[Report] = []
    recipes = [recipe(seed=seed) for seed in (1, 2)]
    threads = [threading.Thread(target=lambda r=r: reports.append(LocalExecutor(1, block=2).generate(r, 6, store))) for r in recipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.version for report in reports) == [2, 3]
    assert [store.indices(r.run).tolist() for r in recipes] == [list(range(6))] * 2


def test_progress_is_told_from_start_to_end_and_a_library_call_is_silent(store, capfd):
    told: list[tuple[int, int]] = []
    LocalExecutor(1, block=2).generate(recipe(), 6, store, progress=nullcontext(lambda t: told.append((t.done, t.asked))))
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
    assert told == sorted(told)
    assert capfd.readouterr() == ("", "")
