"""Trackers: each is told the config, figures, the outcome and the pins, read back by its own library; without them nothing is imported."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from synth.errors import ConfigError, MissingPartError
from synth.experiment import tracking
from synth.experiment.ladder import Cell
from synth.experiment.tracking import following
from synth.mix.plan import Chosen, Plan
from synth.mix.quotas import Knot
from synth.store import Pin
from synth.types import Category

CONFIG = {"trainer": {"_target_": "some.Trainer", "steps": 20}, "seeds": [1, 2]}
CELL = Cell(5, 20, 1)


def pin(letter: str, samples: int) -> Pin:
    return Pin("./data/store", "main", 7, f"split = '{letter}'", letter * 64, samples, {"real": samples})


def plan() -> Plan:
    return Plan(
        {"real": Chosen(pin("a", 5)), "synthetic": Chosen(pin("b", 20))}, {}, {"photos": Chosen(pin("c", 3))},
        (Category("dot"),), 1, 4, 10, 1, "batch", "linear", (Knot(0, (5, 5)),),  # type: ignore[arg-type]
    )  # fmt: skip


def followed(name: str, folder: Path, fails: bool = False) -> None:
    """One training that is told to a tracker."""
    with following([name], "dots", CONFIG, folder)(CELL, plan()) as tell:
        tell(10, {"loss": 0.5})
        tell(20, {"loss": 0.25})
        if fails:
            raise RuntimeError("out of memory")
        tell(None, {"photos/pck": 0.75, "photos/threshold": math.inf})


def test_tensorboard_reads_what_it_was_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    pytest.importorskip("torch", reason="torch is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    followed("tensorboard", tmp_path)
    seen = EventAccumulator(str(tmp_path / "tensorboard" / CELL.name))
    seen.Reload()
    assert [(event.step, event.value) for event in seen.Scalars("loss")] == [(10, 0.5), (20, 0.25)]
    assert [event.value for event in seen.Scalars("photos/pck")] == [0.75]
    assert "photos/threshold" not in seen.Tags()["scalars"]
    texts = {tag: seen.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in seen.Tags()["tensors"] if "text_summary" in tag}
    assert json.loads(texts["config/text_summary"]) == CONFIG
    pins = json.loads(texts["pins/text_summary"])
    assert {name: each["digest"] for name, each in pins.items()} == {
        "train-real": "a" * 64, "train-synthetic": "b" * 64, "test-photos": "c" * 64,
    }  # fmt: skip


def test_mlflow_reads_what_it_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from mlflow.tracking import MlflowClient

    followed("mlflow", tmp_path)
    with pytest.raises(RuntimeError, match="out of memory"):
        followed("mlflow", tmp_path, fails=True)
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dots")
    runs = {run.info.status: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"FINISHED", "FAILED"}
    run = runs["FINISHED"]
    assert run.info.run_name == CELL.name
    assert run.data.params == {
        "trainer._target_": "some.Trainer",
        "trainer.steps": "20",
        "seeds": "[1, 2]",
        "real": "5",
        "synthetic": "20",
        "seed": "1",
    }
    assert run.data.metrics == {"loss": 0.25, "photos/pck": 0.75}
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [(10, 0.5), (20, 0.25)]
    inputs = {each.dataset.name: each for each in run.inputs.dataset_inputs}
    assert set(inputs) == {"train-real", "train-synthetic", "test-photos"}
    assert json.loads(inputs["train-synthetic"].dataset.source)["digest"] == "b" * 64
    assert [tag.value for tag in inputs["test-photos"].tags] == ["test"]


def test_wandb_keeps_what_it_was_told_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    code = "import sys; from pathlib import Path; from tests.experiment.test_tracking import followed; followed('wandb', Path(sys.argv[1]))"
    environment: Mapping[str, str] = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True, cwd=Path(__file__).parents[2])
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    records = list(wandb_records(next(folder.glob("*.wandb"))))
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.run_group, run.display_name) == ("dots", tmp_path.name, CELL.name)
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["trainer"] == CONFIG["trainer"]
    assert (config["real"], config["synthetic"], config["seed"]) == (5, 20, 1)
    assert config["pins"]["train-real"]["digest"] == "a" * 64
    history = [rows(record.history.item) for record in records if record.WhichOneof("record_type") == "history"]
    assert [(row["_step"], row["loss"]) for row in history] == [(10, 0.5), (20, 0.25)]
    summary: dict[str, Any] = {}
    for record in records:
        if record.WhichOneof("record_type") == "summary":
            summary |= rows(record.summary.update)
    assert summary["photos/pck"] == 0.75
    artifacts = {
        record.request.log_artifact.artifact.name or record.artifact.name
        for record in records
        if "artifact" in str(record.WhichOneof("record_type"))
    }
    assert artifacts == {"dots-train-real", "dots-train-synthetic", "dots-test-photos"}


def rows(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def wandb_records(path: Path) -> Any:
    """The records of a run's file: after seven bytes a log of LevelDB, blocks of 32 KiB that hold parts of records, each behind its
    checksum (4 bytes), length (2) and kind (1: whole, 2: first, 3: middle, 4: last)."""
    from wandb.proto import wandb_internal_pb2

    data, at, held = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        held += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(held)
            yield record
            held = b""


def test_each_training_is_told_to_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from contextlib import contextmanager

    told: list[tuple[str, Any]] = []

    def tracker(name: str) -> Any:
        @contextmanager
        def track(run: tracking.Run) -> Any:
            told.append((name, sorted(run.pins)))
            yield lambda step, figures: told.append((name, (step, figures)))
            told.append((name, "end"))

        return track

    monkeypatch.setattr(tracking, "TRACKERS", {"json": tracker("json"), "csv": tracker("csv")})
    with following(["json", "csv", "json"], "dots", CONFIG, tmp_path)(CELL, plan()) as tell:
        tell(1, {"loss": math.nan, "rate": 2})
        tell(None, {"pck": 1.0})
    for name in ("json", "csv"):
        mine = [what for who, what in told if who == name]
        assert mine == [["test-photos", "train-real", "train-synthetic"], (1, {"rate": 2.0}), (None, {"pck": 1.0}), "end"]


def test_a_tracker_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trackers: no tracker 'tensorbord'; did you mean 'tensorboard'"):
        following(["tensorbord"], "dots", CONFIG, tmp_path)
    monkeypatch.setattr(tracking, "TRACKERS", {"not_installed": tracking.mlflow})
    with pytest.raises(MissingPartError, match=r"tracker not_installed is not installed: pip install 'synth\[not_installed\]'"):
        following(["not_installed"], "dots", CONFIG, tmp_path)


def test_no_tracker_is_imported_before_a_training() -> None:
    code = (
        "import sys, synth.experiment.report, synth.experiment.tracking as t; t.following([], 'a', {}, None)\n"
        "print(sorted({'torch', 'tensorboard', 'mlflow', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
