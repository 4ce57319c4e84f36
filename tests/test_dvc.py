"""docs/store.md: an export under DVC, with the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synth.formats import writer
from synth.record import Output
from synth.store import Store, open_pin
from tests.samples import sample


def test_an_export_lives_under_dvc(tmp_path: Path) -> None:
    pytest.importorskip("dvc", reason="dvc is not installed: pip install dvc")
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1"}
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def dvc(*arguments: str) -> str:
        return run(sys.executable, "-m", "dvc", *arguments)

    store = Store.open(tmp_path / "store", create=True)
    fragment = store.write_fragment(map(sample, range(4)), Output("png"), "run")
    store.commit([fragment], message="m", run="run", meta={})
    pin = store.pin("main", "split = 'train'")
    (work / "train.pin.json").write_text(pin.to_json())

    run("git", "init", "--quiet")
    dvc("init", "--quiet")
    writer("yolo", out=work / "data" / "train").write(open_pin(work / "train.pin.json"))
    dvc("add", "--quiet", "data/train")
    assert "up to date" in dvc("status")
    before = (work / "data" / "train.dvc").read_text()

    import shutil

    shutil.rmtree(work / "data" / "train")
    writer("yolo", out=work / "data" / "train").write(open_pin(work / "train.pin.json"))
    dvc("add", "--quiet", "data/train")
    assert (work / "data" / "train.dvc").read_text() == before  # the same pin, the same export

    next((work / "data" / "train").rglob("*.txt")).write_text("0 0.5 0.5 0.1 0.1\n")
    assert "modified" in dvc("status")
