"""docs/experiments.md and the experiments that ship: commands, code and options run, the tables name every key."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import synth
from synth.assets import box_category
from synth.cli import experiment as command
from synth.cli import main
from synth.config.searchpath import options
from synth.experiment.ladder import Experiment, Ladder
from synth.experiment.prediction import Trainer, Training
from synth.experiment.tracking import TRACKERS
from synth.mix import mixture
from synth.store import Store
from synth.types import Category, Instance, Keypoints, Origin, Sample, SampleInfo

ROOT = Path(synth.__file__).parent.parent
TEXT = (ROOT / "docs" / "experiments.md").read_text()
SHIPPED = sorted(options("experiment", None))
BOARD = Category("chessboard", ("a", "b"))
COOKIES = box_category("cookie_box")
CELLS = tuple(map(Category, ("RBC", "WBC", "Platelets")))


def toy(dataset: str, split: str | None, number: int) -> Sample:
    """A picture of 64x64 px with the labels of one of the three tasks; synthetic if it is of no split."""
    rng = np.random.default_rng([number, *map(ord, dataset + (split or ""))])
    image = rng.integers(0, 80, (64, 64, 3), dtype=np.uint8)
    categories, count = {"chessboard": ((BOARD,), 2), "cookie_box": ((COOKIES,), 8), "bccd": (CELLS, 0)}[dataset]
    instances = []
    for category in categories:
        xy = rng.uniform(16, 48, (count or 1, 2))
        for x, y in xy.astype(int):
            cv2.circle(image, (int(x), int(y)), 3, (250, 250, 250), -1)
        points = Keypoints(xy, np.full(count, 2, np.int32)) if count else None
        box = (float(xy[:, 0].min() - 4), float(xy[:, 1].min() - 4), float(xy[:, 0].max() + 4), float(xy[:, 1].max() + 4))
        instances.append(Instance(category.name, box_xyxy=box, keypoints=points))
    scene = {"chessboard": "board", "cookie_box": "product", "bccd": "cutpaste"}[dataset]
    origin = None if split else Origin("0" * 64, scene, 0, number, "none")
    info = SampleInfo(dataset if split else None, split, f"{split}{number}" if split else None)
    return Sample(image, tuple(instances), categories, origin=origin, key=f"{dataset}/{split}/{number}", info=info)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of toys for all three."""
    folder = tmp_path_factory.mktemp("experiments")
    kinds = [(dataset, split) for dataset in ("chessboard", "cookie_box", "bccd") for split in ("train", "val", "test", None)]
    samples = [toy(dataset, split, i) for dataset, split in (*kinds, ("cookie_box", "photo")) for i in range(2 if split == "test" else 4)]
    Store.open(folder / "data" / "store", create=True).put(samples, message="toys")
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def shell(page: str) -> list[list[str]]:
    """The arguments of each `synth ...` line."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    lines = [line for language, block in fenced if not language for line in block.splitlines()]
    assert all(line.startswith("synth ") for line in lines)
    return [shlex.split(line, comments=True)[1:] for line in lines]


EXPERIMENTS = [line for line in shell(TEXT) if line[0] == "experiment"]


def test_all_three_ship() -> None:
    assert SHIPPED == ["bccd_ratio", "board_ratio", "cookie_ratio"]
    assert all(f"| `{name}` |" in TEXT and f"### {name}" in TEXT for name in SHIPPED)


@pytest.mark.parametrize("arguments", EXPERIMENTS, ids=lambda arguments: " ".join(arguments)[:70])
def test_commands_of_the_page_compose(arguments: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be trained, without training it."""
    asked: list[str] = []

    def prepare(config: dict[str, Any], choices: Any) -> Any:
        Experiment.from_config(choices.groups["experiment"], config["experiment"])
        asked.append(config["out"])
        assert set(config["trackers"]) <= set(TRACKERS)
        return lambda: 0

    monkeypatch.setattr(command, "_prepare", prepare)
    assert main(arguments) == 0
    assert len(asked) == len(set(asked)) == (3 if "-m" in arguments else 1)  # no folder twice


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_experiment_plans_reads_and_trains(name: str, here: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    node = yaml.safe_load((ROOT / "configs" / "experiment" / f"{name}.yaml").read_text())
    node |= {"real_amounts": [0, "100%"], "synthetic_amounts": [0, 2], "seeds": [1]}
    small = {"crop": [32, 32]} if "crop" in node["trainer"] else {"size": [32, 32]}
    node["trainer"] |= {"steps": 1, "channels": 2, "levels": 1, **small}
    asked = Experiment.from_config(name, node)
    ladder = Ladder(asked, "data/store", here / "unused")
    assert {(cell.real, cell.synthetic) for cell in ladder.cells} == {(0, 2), (4, 0), (4, 2)}
    plan = ladder.plan(ladder.cells[-1])
    data = mixture(plan, store="data/store", augmented=True)
    for places in data.batches(0):
        assert len({data.locate(place)[0] for place in places}) == 2  # both kinds in every batch
    predictor = asked.trainer(data, None, Training(1, here))
    for test, samples in ladder.test_samples(plan):
        figures = asked.metric.measure([predictor(sample.image) for sample in samples], samples)
        assert asked.metric.main in figures, test


def test_the_command_trains_writes_and_does_nothing_twice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    tiny = ["real_amounts=[0,100%]", "synthetic_amounts=[0,2]", "trainer.steps=1", "trainer.channels=2", "trainer.crop=[32,32]"]
    more = [f"experiment.{each}" for each in (*tiny, "seeds=[1]")]
    assert main([*EXPERIMENTS[0], *more]) == 0
    first = capsys.readouterr().out
    assert "3 trainings in runs/board_ratio" in first
    assert "[3/3] 4 real, 2 synthetic, seed 1" in first
    run = here / "runs" / "board_ratio"
    told = re.findall(r"`([a-z]+\.(?:md|csv|json|png|txt))`", TEXT.split("## What a run leaves")[1].split("##")[0])
    assert {"results.csv", "results.json", "plot.png", "sheet.png", "curve.txt", "experiment.json"} == set(told)
    assert all((run / name).is_file() for name in (*told, "table.md"))
    assert json.loads((run / "experiment.json").read_text())["experiment"]["trainer"]["steps"] == 1
    assert main([*EXPERIMENTS[0], *more]) == 0
    again = capsys.readouterr().out
    assert "[1/3]" not in again
    assert "| 4 | 2 |" in again


def test_a_tracker_on_the_command_line_is_told(here: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    tiny = ["real_amounts=[100%]", "synthetic_amounts=[0]", "seeds=[1]", "trainer.steps=1", "trainer.channels=2", "trainer.crop=[32,32]"]
    tracked = next(line for line in EXPERIMENTS if "trackers=[tensorboard]" in line)
    assert main([*tracked, *(f"experiment.{each}" for each in tiny), "out=runs/tracked"]) == 0
    assert list((here / "runs" / "tracked" / "tensorboard" / "real4-synthetic0-seed1").glob("events.*"))


def test_a_wrong_tracker_is_refused_before_anything_is_trained(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "experiment=board_ratio", "trackers=[wandbb]", "out=runs/none"]) == 2
    assert "trackers: no tracker 'wandbb'; did you mean 'wandb'?" in capsys.readouterr().err
    assert not (here / "runs" / "none").exists()


def test_the_trainer_of_the_page_is_one(here: Path) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "class MiddleOfAll" in block)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "experiments.md", "exec"), space)
    trainer = space["MiddleOfAll"]()
    assert isinstance(trainer, Trainer)
    node = yaml.safe_load((ROOT / "configs" / "experiment" / "bccd_ratio.yaml").read_text())
    node |= {"real_amounts": ["100%"], "synthetic_amounts": [0], "seeds": [1]}
    ladder = Ladder(replace(Experiment.from_config("middle", node), trainer=trainer), "data/store", here / "middle")
    (outcome,) = ladder.run(lambda line: None)
    assert 0 <= outcome.figures["photos"]["ap50"] <= 1


def test_the_way_of_ultralytics_and_mmpose(here: Path) -> None:
    where = "dataset = 'cookie_box' and split = "
    parts = [f"mix.{role}.real.where=\"{where}'{split}'\"" for role, split in (("parts", "train"), ("val", "val"), ("test", "test"))]
    scene = "mix.parts.synth.where=\"source = 'synthetic' and origin.scene = 'product'\""
    for arguments in shell(TEXT):
        if arguments[0] != "experiment":
            assert main([*arguments, *([*parts, scene, "out=half_real.plan.json"] if arguments[0] == "mix" else [])]) == 0
    assert {"train", "val", "test", "kpt_shape"} <= set(yaml.safe_load((here / "data" / "yolo" / "data.yaml").read_text()))
    code = next(block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "metainfo" in block)
    space: dict[str, Any] = {}
    exec(compile(code, "experiments.md", "exec"), space)
    files = {split: json.loads((here / "data" / "coco" / f"{split}.json").read_text()) for split in ("train", "val", "test")}
    assert (len(files["val"]["images"]), len(files["test"]["images"])) == (4, 2)
    for split, file in files.items():
        assert {each["image_id"] for each in file["annotations"]} == {each["id"] for each in file["images"]}, split
        assert all((here / "data" / "coco" / "images" / each["file_name"]).is_file() for each in file["images"])
    points = space["metainfo"]["keypoint_info"]
    assert [point["name"] for point in points.values()] == list(COOKIES.keypoints)
    assert {(point["name"], point["swap"]) for point in points.values()} == {pair for a, b in COOKIES.mirror for pair in ((a, b), (b, a))}
    assert space["metainfo"]["skeleton_info"][0]["link"] == COOKIES.skeleton[0]


def test_the_tables_name_every_key_and_tracker() -> None:
    keys = [each.name for each in fields(Experiment) if each.name != "name"]
    table = TEXT.split("| key | meaning |")[1].split("\n\n")[0]
    assert [key for key in keys if f"`{key}`" not in table] == []
    assert [name for name in TRACKERS if f"| `{name}` | `pip install 'synth[{name}]'` |" not in TEXT] == []
