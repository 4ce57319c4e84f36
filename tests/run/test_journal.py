import os

import pytest

from synth.errors import StoreError
from synth.run.blocks import Finished
from synth.run.journal import Journal

BLOCK = Finished('{"a": 1}', (4, 5, 7), (), "flat")


def test_what_is_added_is_there_after_the_process_and_gone_after_a_drop(tmp_path):
    folder = tmp_path / "runs" / "abc"
    with Journal(folder) as journal:
        journal.add(BLOCK)
        journal.add(Finished("{}", (0, 1), (), "flat"))
    with Journal(folder) as journal:
        found = journal.blocks()
        assert [block.made for block in found] == [(0, 1), (4, 5, 7)]
        assert found[1] == BLOCK
        for block in found:
            journal.drop(block)
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_or_damaged_block_is_forgotten(tmp_path):
    folder = tmp_path / "abc"
    with Journal(folder) as journal:
        journal.add(BLOCK)
    (folder / "0000000009.half").write_text('{"made": [9')
    (folder / "0000000009.json").write_text('{"made": [9')
    with Journal(folder) as journal:
        assert journal.blocks() == [BLOCK]
        assert sorted(path.name for path in folder.iterdir()) == ["0000000004.json", "lock"]


def test_a_second_holder_is_refused_by_name(tmp_path):
    with (
        Journal(tmp_path / "abc"),
        pytest.raises(StoreError, match=rf"run abc is being made by another process \(id {os.getpid()}\); wait"),
        Journal(tmp_path / "abc"),
    ):
        pass
    with Journal(tmp_path / "abc"):  # free again
        pass


def test_the_journals_of_two_runs_leave_each_other_alone(tmp_path):
    with Journal(tmp_path / "runs" / "a") as a:
        a.add(BLOCK)
        with Journal(tmp_path / "runs" / "b"):
            pass
        assert a.blocks() == [BLOCK]
        assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_a_full_disk_is_one_message_and_leaves_no_half(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path / "runs" / "abc") as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="the journal cannot be written: No space left on device; the same command goes on"):
            journal.add(BLOCK)
        monkeypatch.undo()
        assert journal.blocks() == []
    assert list(tmp_path.iterdir()) == []
