"""Runs that are stopped, killed, starved of disk or started twice: real processes, real signals."""

import os
import resource
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import kills
import psutil
import pytest

from synth.errors import StoreError
from synth.run import LocalExecutor
from synth.store import Store


@pytest.fixture
def start():
    """kills.start, whose processes end with the test."""
    with ExitStack() as stack:

        def started(*arguments):
            process = stack.enter_context(kills.start(*arguments))
            stack.callback(process.kill)
            return process

        yield started


def test_workers_killed_at_random(tmp_path):
    landed, report = kills.kill_workers(tmp_path / "store", 60, kills=3)
    assert landed > 0
    assert report.made == 60
    assert len(report.deaths) <= landed  # the last may have hit an idle worker at the end
    kills.check_whole(tmp_path / "store", 60)


def test_coordinators_killed_at_random(tmp_path):
    kills.kill_coordinators(tmp_path / "store", 60, kills=3)
    kills.check_whole(tmp_path / "store", 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_finished(tmp_path, start, number):
    folder = tmp_path / "store"
    process = start(folder, 60)
    wait_for(lambda: list(folder.glob("runs/*/*.json")))
    os.killpg(process.pid, number)  # a terminal sends it to all, workers too
    said, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    done = int(said.split()[2])
    assert said == f"stopped at {done} of 60; the same command goes on from there\n"
    assert 5 <= done < 60
    assert not store_has_samples(folder)
    report = LocalExecutor(1).generate(kills.recipe(), 60, Store.open(folder))
    assert (report.resumed, report.made) == (done, 60 - done)
    kills.check_whole(folder, 60)


def test_a_second_ctrl_c_does_not_wait(tmp_path, start):
    process = start(tmp_path / "store", 4, 2, 30.0)
    wait_for(lambda: kills.workers_of(process.pid))
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=5)
    assert process.returncode == 130, errors
    assert said.startswith("stopped at 0 of 4")


def test_after_a_kill_workers_end_and_blocks_whose_data_is_gone_are_made_again(tmp_path, start):
    folder = tmp_path / "store"
    process = start(folder, 40)
    wait_for(lambda: len(list(folder.glob("runs/*/*.json"))) >= 2)
    workers = kills.workers_of(process.pid)
    process.kill()
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    for file in (folder / "samples.lance" / "data").iterdir():
        file.unlink()
    report = LocalExecutor(1).generate(kills.recipe(), 40, Store.open(folder))
    assert (report.resumed, report.made) == (0, 40)
    kills.check_whole(folder, 40)


def test_a_full_disk_ends_the_run_with_one_message_and_it_goes_on_later(tmp_path, start):
    folder = tmp_path / "store"
    LocalExecutor(1).generate(kills.recipe(), 2, Store.open(folder, create=True))
    process = start(folder, 60)
    wait_for(lambda: list(folder.glob("runs/*/*.json")))
    full = (4096, 4096)  # bytes a file may have, for the process and the workers that it starts from now on
    for each in [psutil.Process(process.pid), *kills.workers_of(process.pid)]:
        resource.prlimit(each.pid, resource.RLIMIT_FSIZE, full)
    said, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (1, "")
    assert "the disk is full; what was committed before is whole" in said
    assert said.count("\n") == 1
    assert len(Store.open(folder).read()) == 2
    report = LocalExecutor(1).generate(kills.recipe(), 60, Store.open(folder))
    assert report.resumed > 0
    kills.check_whole(folder, 60, commits=2)


def test_the_same_run_twice_at_once_is_refused(tmp_path, start):
    process = start(tmp_path / "store", 40, 1)
    wait_for(lambda: list((tmp_path / "store").glob("runs/*/*.json")))
    with pytest.raises(StoreError, match=f"is being made by another process .id {process.pid}.; wait for it"):
        LocalExecutor(1).generate(kills.recipe(), 40, Store.open(tmp_path / "store"))
    assert process.wait(timeout=30) == 0
    process.communicate()
    kills.check_whole(tmp_path / "store", 40)


def store_has_samples(folder: Path) -> bool:
    return len(Store.open(folder).read()) > 0


def wait_for(condition, timeout_s: float = 20.0):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError
