"""A ladder: its cells, what each trains on, what a second run does, and what it writes. The trainer here learns one mean."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from synth.errors import ConfigError
from synth.experiment.ladder import Cell, Experiment, Ladder, Tell, cells_of
from synth.experiment.metrics import KeypointError
from synth.experiment.prediction import Prediction, Predictor, Training, TrainSet, from_json, to_json
from synth.experiment.report import Row, table, write
from synth.mix import Part, Plan, Source
from synth.store import Store
from synth.types import U8, Category, Instance, Keypoints, Origin, Sample, SampleInfo

DOT = Category("dot", ("middle",))
PLACE = np.array([[16.0, 12.0]])


def sample(kind: str, i: int) -> Sample:
    """A dot somewhere around its place; synthetic ones are a pixel off."""
    xy = PLACE + np.random.default_rng((hash_of(kind), i)).normal(0, 2, (1, 2)) + (1.0 if kind == "synthetic" else 0.0)
    image = np.random.default_rng((i, hash_of(kind))).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    instance = Instance("dot", box_xyxy=(8.0, 6.0, 28.0, 20.0), keypoints=Keypoints(xy, np.array([2], np.int32)))
    origin = Origin("0" * 64, "dots", 0, i, "none") if kind == "synthetic" else None
    split = None if kind == "synthetic" else "test" if kind == "test" else "train"
    return Sample(image, (instance,), (DOT,), origin=origin, key=f"{kind}-{i:03}", info=SampleInfo("dots", split, f"{kind}{i}"))


def hash_of(kind: str) -> int:
    return sum(map(ord, kind))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store.open(tmp_path_factory.mktemp("ladder") / "store", create=True)
    samples = [sample(kind, i) for kind, count in (("real", 10), ("test", 5), ("synthetic", 40)) for i in range(count)]
    made.put(samples, message="dots")
    return made


CALLS: list[tuple[int, list[str]]] = []


@dataclass(frozen=True)
class MeanTrainer:
    """Predicts the mean of what it saw in an epoch."""

    shift: float = 0.0

    def __call__(self, train_set: TrainSet, val_set: TrainSet | None, config: Training) -> Predictor:
        seen = [s for places in train_set.batches(0) for s in train_set.samples(places)]
        CALLS.append((config.seed, sorted({s.key for s in seen})))
        config.tell(1, {"loss": 0.5})
        mean = np.mean([s.instances[0].keypoints.xy for s in seen if s.instances[0].keypoints is not None], axis=0) + self.shift

        def predict(image: U8) -> Prediction:
            return Prediction((Instance("dot", keypoints=Keypoints(mean, np.array([2], np.int32))),), np.ones(1), (DOT,))

        return predict


def experiment(**changed: Any) -> Experiment:
    values: dict[str, Any] = {
        "trainer": MeanTrainer(),
        "metric": KeypointError(alpha=0.1),
        "real": Part("main", where="source = 'real' and split = 'train'"),
        "synthetic": Part("main", where="source = 'synthetic'"),
        "test": {"photos": Source("main", where="split = 'test'")},
        "real_amounts": (0, "50%", "100%"),
        "synthetic_amounts": (0, "2x"),
        "seeds": (1, 2),
        "batch_size": 4,
    }
    return Experiment("dots", **(values | changed))


def test_cells_are_every_amount_with_every_other_but_nothing_at_all() -> None:
    cells = cells_of(experiment(), 10, 40)
    assert {(cell.real, cell.synthetic) for cell in cells} == {(0, 20), (5, 0), (5, 20), (10, 0), (10, 20)}
    assert len(cells) == 10
    sizes = cells_of(experiment(protocol="size", size=12), 10, 40)
    assert {(cell.real, cell.synthetic) for cell in sizes} == {(0, 12), (5, 7), (10, 2)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"real_amounts": (0, "110%")}, r"real_amounts must be counts \(40\) or shares \(10%\), got '110%'"),
        ({"synthetic_amounts": ("2.5",)}, r"synthetic_amounts must be counts \(40\) or multiples \(3x\), got '2.5'"),
        ({"protocol": "size"}, "size goes with protocol: size"),
        ({"size": 5}, "size goes with protocol: size"),
        ({"test": {}}, "test must name at least one"),
        ({"seeds": (True,)}, "seeds must be whole numbers"),
        ({"real_share": 1.0}, "real_share must be between 0 and 1"),
        ({"trainer": object()}, "trainer must be a Trainer"),
    ],
)
def test_a_wrong_experiment_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        experiment(**changed)


def test_a_cell_that_needs_more_than_there_is_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs 50 synthetic samples, there are 40"):
        cells_of(experiment(synthetic_amounts=("5x",)), 10, 40)
    with pytest.raises(ConfigError, match="needs -2 synthetic"):
        cells_of(experiment(protocol="size", size=8), 10, 40)


def test_a_ladder_trains_each_cell_on_its_samples_once(store: Store, tmp_path: Path) -> None:
    CALLS.clear()
    ladder = Ladder(experiment(), store, tmp_path / "run")
    told: list[tuple[Cell, int, float]] = []
    said: list[str] = []
    ended: list[tuple[Cell, dict[str, float]]] = []

    @contextmanager
    def follow(cell: Cell, plan: Plan) -> Iterator[Tell]:
        assert sum(chosen.pin.samples for chosen in plan.parts.values()) == cell.real + cell.synthetic
        yield lambda step, figures: ended.append((cell, dict(figures))) if step is None else told.append((cell, step, figures["loss"]))

    outcomes = ladder.run(said.append, follow)
    assert len(CALLS) == len(outcomes) == len(told) == 10
    assert ended == [(o.cell, {f"photos/{name}": value for name, value in o.figures["photos"].items()}) for o in outcomes]
    by_cell = {(cell.real, cell.synthetic, cell.seed): keys for cell, (_, keys) in zip(ladder.cells, CALLS, strict=True)}
    for (real, synthetic, _), keys in by_cell.items():
        assert sum(key.startswith("real") for key in keys) <= real
        assert sum(key.startswith("synthetic") for key in keys) == synthetic
        assert not [key for key in keys if key.startswith("test")]
    for seed in (1, 2):  # less is part of more
        assert set(by_cell[5, 0, seed]) < set(by_cell[10, 0, seed])
    assert set(by_cell[5, 0, 1]) != set(by_cell[5, 0, 2])

    ladder.run(said.append)
    assert len(CALLS) == 10  # nothing is trained twice
    longer = Ladder(experiment(seeds=(1, 2, 3)), store, tmp_path / "run")
    longer.run(said.append)
    assert [seed for seed, _ in CALLS[10:]] == [3] * 5
    Ladder(experiment(trainer=MeanTrainer(0.5)), store, tmp_path / "run").run(said.append)
    assert len(CALLS) == 25  # another trainer is another result


def test_an_interrupted_cell_is_done_again_and_a_broken_result_too(store: Store, tmp_path: Path) -> None:
    ladder = Ladder(experiment(real_amounts=("100%",), synthetic_amounts=(0,)), store, tmp_path / "run")
    first = ladder.run(lambda line: None)
    CALLS.clear()
    place = tmp_path / "run" / "cells" / ladder.cells[0].name
    (place / "result.json").unlink()
    (tmp_path / "run" / "cells" / ladder.cells[1].name / "result.json").write_text("{")
    again = ladder.run(lambda line: None)
    assert len(CALLS) == 2
    assert [o.figures for o in again] == [o.figures for o in first]


def test_other_samples_in_the_store_change_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    store.put([sample(kind, i) for kind, count in (("real", 4), ("test", 2)) for i in range(count)], message="dots")
    asked = experiment(
        real_amounts=(2, "100%"), synthetic_amounts=(0,), synthetic=Part("main", where="source = 'real' and split = 'train'")
    )
    first = Ladder(asked, store, tmp_path / "run").run(lambda line: None)
    CALLS.clear()
    other = replace(sample("real", 9), info=SampleInfo("elsewhere", "other"))
    store.put([other], message="of another task")
    assert Ladder(asked, store, tmp_path / "run").run(lambda line: None) == first
    assert not CALLS
    changed = replace(sample("real", 8), key="real-000")
    store.put([changed], message="relabelled")
    Ladder(asked, store, tmp_path / "run").run(lambda line: None)
    assert len(CALLS) >= 2  # all that trained on it


def test_what_it_writes(store: Store, tmp_path: Path) -> None:
    ladder = Ladder(experiment(), store, tmp_path / "run")
    outcomes = ladder.run(lambda line: None)
    files = {path.name for path in write(ladder, outcomes)}
    assert files == {"results.csv", "results.json", "table.md", "curve.txt", "plot.png", "sheet.png"}
    assert all((tmp_path / "run" / name).stat().st_size for name in files)
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").read_text().splitlines()))
    row = next(r for r in rows if (r["real"], r["synthetic"], r["figure"]) == ("5", "20", "mean_error_px"))
    values = [float(row["seed_1"]), float(row["seed_2"])]
    assert float(row["mean"]) == pytest.approx(np.mean(values))
    assert float(row["ci95_half_width"]) == pytest.approx(student.ppf(0.975, 1) * np.std(values, ddof=1) / np.sqrt(2))
    assert json.loads((tmp_path / "run" / "results.json").read_text())["experiment"] == "dots"
    assert "| 5 | 20 |" in table(ladder.experiment, outcomes)
    plan = json.loads((tmp_path / "run" / "cells" / "real5-synthetic20-seed1" / "plan.json").read_text())
    assert plan["parts"]["real"]["pin"]["samples"] == 5


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(Row(1, 0, "t", "f", (0.5,)).half_width)


def test_predictions_come_back_from_json() -> None:
    instances = (
        Instance("dot", keypoints=Keypoints(np.array([[1.25, 2.5]]), np.array([2], np.int32))),
        Instance("dot", box_xyxy=(1.0, 2.0, 3.0, 4.0)),
    )
    found: Sequence[Prediction] = [Prediction(instances, np.array([0.5, 0.25]), (DOT,)), Prediction((), np.zeros(0), (DOT,))]
    again = from_json(to_json(found))
    assert [len(each.instances) for each in again] == [2, 0]
    assert again[0].categories == (DOT,)
    assert again[0].instances[1].box_xyxy == (1.0, 2.0, 3.0, 4.0)
    assert again[0].scores.tolist() == [0.5, 0.25]
    assert again[0].instances[0].keypoints is not None
    assert again[0].instances[0].keypoints.xy.tolist() == [[1.25, 2.5]]


def test_stages_of_a_part_reach_its_plan(store: Store, tmp_path: Path) -> None:
    flip = {"flip": {"_target_": "synth.augment.albumentations.Albumentations", "name": "HorizontalFlip", "p": 1.0}}
    part = replace(experiment().real, stages=flip)
    ladder = Ladder(experiment(real=part), store, tmp_path)
    assert ladder.plan(Cell(5, 20, 1)).parts["real"].stages == flip
    assert not ladder.plan(Cell(5, 20, 1)).parts["synthetic"].stages
