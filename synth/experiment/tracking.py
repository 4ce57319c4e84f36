"""Trackers: services and files of others that are told what the trainings of a ladder do, besides its own folder.

A tracker is a function from a `Run` to a context in which figures are told. It gets the resolved config, the figures while a network
trains, the final ones (at step None), and as lineage the pins of what the cell trained on and is tested on. Only this module knows any of
them, and none is imported before a training begins.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synth.errors import ConfigError, MissingPartError, known_names
from synth.experiment.ladder import Cell, Follow, Tell
from synth.mix import Plan
from synth.store import Pin


@dataclass(frozen=True, slots=True)
class Run:
    """One training, as trackers see it. experiment: its name; config: resolved, as plain data; pins: of parts, val and test, by role and
    name; folder: of the ladder."""

    experiment: str
    cell: Cell
    config: Mapping[str, Any]
    pins: Mapping[str, Pin]
    folder: Path

    @property
    def amounts(self) -> dict[str, int]:
        """What tells it from the others of its ladder."""
        return {"real": self.cell.real, "synthetic": self.cell.synthetic, "seed": self.cell.seed}


Tracker = Callable[[Run], AbstractContextManager[Tell]]


def following(names: Sequence[str], experiment: str, config: Mapping[str, Any], folder: Path) -> Follow:
    """What `Ladder.run` is to tell to: all trackers of these names. Raises ConfigError for an unknown one and MissingPartError for one that
    is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"trackers: {known_names('tracker', str(name), TRACKERS)}")
        if not all(map(find_spec, _NEEDS.get(name, (name,)))):
            raise MissingPartError(f"tracker {name} is not installed: pip install 'synth[{name}]'")

    @contextmanager
    def follow(cell: Cell, plan: Plan) -> Iterator[Tell]:
        roles = {"train": plan.parts, "val": plan.val, "test": plan.test}
        pins = {f"{role}-{name}": chosen.pin for role, sources in roles.items() for name, chosen in sources.items()}
        run = Run(experiment, cell, config, pins, folder)
        with ExitStack() as stack:
            tells = [stack.enter_context(TRACKERS[name](run)) for name in dict.fromkeys(names)]

            def tell(step: int | None, figures: Mapping[str, float]) -> None:
                finite = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
                for each in tells:
                    each(step, finite)

            yield tell

    return follow


@contextmanager
def tensorboard(run: Run) -> Iterator[Tell]:
    """Event files in `tensorboard` of the ladder's folder: tensorboard --logdir runs."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(run.folder / "tensorboard" / run.cell.name) as writer:
        for what, value in (("config", run.config), ("pins", {name: asdict(pin) for name, pin in run.pins.items()})):
            writer.add_text(what, "    " + json.dumps(value, indent=1).replace("\n", "\n    "))  # Markdown shows what is indented as it is

        def tell(step: int | None, figures: Mapping[str, float]) -> None:
            if step is None:
                writer.add_hparams(run.amounts, dict(figures), run_name=".")
                return
            for name, value in figures.items():
                writer.add_scalar(name, value, step)

        yield tell


@contextmanager
def mlflow(run: Run) -> Iterator[Tell]:
    """A run at MLFLOW_TRACKING_URI, else in `mlflow.db` of the ladder's folder; the pins are its inputs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(run.folder / 'mlflow.db').absolute()}")
        known = client.get_experiment_by_name(run.experiment)
        made = client.create_run(known.experiment_id if known else client.create_experiment(run.experiment), run_name=run.cell.name)
    except MlflowException as error:
        raise ConfigError(f"MLflow: {error}") from error
    number = made.info.run_id
    params = {**_flat(run.config), **run.amounts}
    client.log_batch(number, params=[Param(name, str(value)[:6000]) for name, value in params.items()])
    inputs = [
        DatasetInput(
            Dataset(name, pin.digest[:36], "synth", json.dumps(asdict(pin))), [InputTag("mlflow.data.context", name.split("-")[0])]
        )
        for name, pin in run.pins.items()
    ]
    client.log_inputs(number, inputs)
    last, status = 0, "FAILED"

    def tell(step: int | None, figures: Mapping[str, float]) -> None:
        nonlocal last
        last = last if step is None else step
        now = made.info.start_time
        client.log_batch(number, metrics=[Metric(name, value, now, last) for name, value in figures.items()])

    try:
        yield tell
        status = "FINISHED"
    finally:
        client.set_terminated(number, status)


@contextmanager
def wandb(run: Run) -> Iterator[Tell]:
    """A run of the project that is called as the experiment, in a group for the ladder; where it goes is for W&B's own variables to say
    (WANDB_MODE=offline keeps it in `wandb` of the ladder's folder). The pins are artifacts that the run uses; W&B cannot say so offline,
    where they are artifacts of the run. They stand in its config too."""
    import wandb as service

    pins = {name: asdict(pin) for name, pin in run.pins.items()}
    try:
        made = service.init(
            project=run.experiment,
            group=run.folder.name,
            name=run.cell.name,
            dir=run.folder,
            config={**run.config, **run.amounts, "pins": pins},
            reinit="create_new",
        )
    except service.Error as error:
        raise ConfigError(f"Weights & Biases: {error}; log in by `wandb login`, or set WANDB_MODE=offline") from error
    for name, pin in run.pins.items():
        artifact = service.Artifact(f"{run.experiment}-{name}", "dataset", metadata=pins[name])
        with artifact.new_file("pin.json", encoding="utf-8") as file:
            file.write(pin.to_json())
        if made.offline:
            made.log_artifact(artifact)
        else:
            made.use_artifact(artifact)

    def tell(step: int | None, figures: Mapping[str, float]) -> None:
        if step is None:
            made.summary.update(dict(figures))
        else:
            made.log(dict(figures), step=step)

    code = 1
    try:
        yield tell
        code = 0
    finally:
        made.finish(exit_code=code)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested keys as one, with dots."""
    if not isinstance(value, Mapping):
        return {name: value}
    return {key: each for inner, held in value.items() for key, each in _flat(held, f"{name}.{inner}" if name else str(inner)).items()}


_NEEDS = {"tensorboard": ("tensorboard", "torch"), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
TRACKERS: Mapping[str, Tracker] = {"tensorboard": tensorboard, "mlflow": mlflow, "wandb": wandb}
