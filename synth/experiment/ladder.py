"""A ladder of mixtures: how good a network gets with so many real and so many synthetic samples, each cell trained with several seeds.

Every cell leaves a folder with its plan, its predictions and its result; a ladder that is started again takes those as they are, so nothing
is trained twice, and a longer ladder trains only what is new.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from synth.config.build import build
from synth.digest import digest_of
from synth.errors import ConfigError
from synth.experiment.prediction import Metric, Trainer, Training, to_json
from synth.mix import Mix, Mixture, Part, Plan, Source, mixture, plan_of
from synth.mix.plan import Chosen
from synth.mix.wanted import from_node
from synth.store import Store
from synth.types import Sample

Protocol = Literal["compute", "size"]
Tell = Callable[[int | None, Mapping[str, float]], None]  # figures at a step of a training; None: the final ones


@dataclass(frozen=True)
class Experiment:
    """What is trained on what, and measured by what.

    real, synthetic: all that may be trained on; val: what a trainer may watch; test: sets by name, the first the one that tables and curves
    show. real_amounts: of the real samples, as counts (40) or shares ("10%"). synthetic_amounts: of the synthetic ones, as counts or as
    multiples of all real ones ("3x"). Each seed draws samples of its own; a smaller amount is part of a larger one.

    protocol `compute`: every real amount with every synthetic one, all trained for the trainer's steps. protocol `size`: every training
    set has `size` samples; what the real amount lacks of it is synthetic. real_share: of the places of a batch where both kinds are there;
    null: as many as their numbers say.
    """

    name: str
    trainer: Trainer
    metric: Metric
    real: Part
    synthetic: Part
    test: Mapping[str, Source]
    val: Mapping[str, Source] = field(default_factory=dict)
    real_amounts: Sequence[int | str] = (0, "10%", "50%", "100%")
    synthetic_amounts: Sequence[int | str] = (0, "1x", "3x", "10x")
    protocol: Protocol = "compute"
    size: int | None = None
    real_share: float | None = 0.5
    seeds: Sequence[int] = (1, 2, 3)
    batch_size: int = 8
    categories: Sequence[str] | None = None
    stages: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value, wanted in (("trainer", self.trainer, Trainer), ("metric", self.metric, Metric)):
            if not isinstance(value, wanted):
                raise ConfigError(f"{what} must be a {wanted.__name__} (synth.experiment), got {type(value).__name__}")
        for name in ("real_amounts", "synthetic_amounts", "seeds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name):
                raise ConfigError(f"{name} must name at least one")
        if not self.test:
            raise ConfigError("experiment.test must name at least one set to measure on")
        if self.protocol not in ("compute", "size"):
            raise ConfigError(f"protocol must be compute or size, got {self.protocol!r}")
        if (self.protocol == "size") != (self.size is not None):
            raise ConfigError("experiment.size goes with protocol: size, where it says how many samples a training set has")
        if self.real_share is not None and not 0 < self.real_share < 1:
            raise ConfigError(f"real_share must be between 0 and 1, got {self.real_share}")
        for amount in self.real_amounts:
            _count(amount, 100, "real_amounts", "%")
        for amount in self.synthetic_amounts:
            _count(amount, 100, "synthetic_amounts", "x")
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise ConfigError(f"seeds must be whole numbers from 0, got {seed!r}")

    @classmethod
    def from_config(cls, name: str, node: Mapping[str, Any], where: str = "experiment") -> Experiment:
        """From plain data, as YAML gives it. Raises ConfigError naming the key."""
        values: dict[str, Any] = {"name": name, **node}
        for key in ("trainer", "metric", "real", "synthetic", "test"):
            if values.get(key) is None:
                raise ConfigError(f"{where}.{key} has no value")
        for key in ("trainer", "metric"):
            values[key] = build(values[key], f"{where}.{key}")
        for key in ("real", "synthetic"):
            values[key] = from_node(Part, values[key], f"{where}.{key}")
        for key in ("test", "val"):
            inner = values.get(key) or {}
            values[key] = {str(k): from_node(Source, v, f"{where}.{key}.{k}") for k, v in inner.items() if v is not None}
        made: Experiment = from_node(cls, values, where)
        return made


def _count(amount: int | str, real: int, key: str, unit: str) -> int:
    """How many samples an amount is, where there are `real` real ones."""
    found = re.fullmatch(rf"(\d+(?:\.\d+)?)({re.escape(unit)})?", str(amount).strip())
    share = float(found[1]) if found else -1.0
    if isinstance(amount, bool) or not found or (unit == "%" and found[2] and share > 100) or (not found[2] and share != int(share)):
        raise ConfigError(f"{key} must be counts (40) or {'shares (10%)' if unit == '%' else 'multiples (3x)'}, got {amount!r}")
    return int(share) if not found[2] else max(1, round(real * share / (100 if unit == "%" else 1))) if share else 0


@dataclass(frozen=True, order=True, slots=True)
class Cell:
    """One training: so many real and synthetic samples, one seed."""

    real: int
    synthetic: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"real{self.real}-synthetic{self.synthetic}-seed{self.seed}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a cell. figures: of each test set, by name; seconds: of the training."""

    cell: Cell
    figures: Mapping[str, Mapping[str, float]]
    seconds: float


def cells_of(experiment: Experiment, real: int, synthetic: int) -> list[Cell]:
    """The trainings of a ladder where there are so many samples. Raises ConfigError if an amount needs more than there are."""
    wanted = []
    for amount in experiment.real_amounts:
        of_real = _count(amount, real, "real_amounts", "%")
        made = [_count(each, real, "synthetic_amounts", "x") for each in experiment.synthetic_amounts]
        if experiment.size is not None:
            made = [experiment.size - of_real]
        for of_synthetic in made:
            for what, asked, there in (("real", of_real, real), ("synthetic", of_synthetic, synthetic)):
                if not 0 <= asked <= there:
                    raise ConfigError(f"experiment: a cell needs {asked} {what} samples, there are {there}; make more or lower the amounts")
            if of_real + of_synthetic:
                wanted += [Cell(of_real, of_synthetic, seed) for seed in experiment.seeds]
    return sorted(set(wanted))


Follow = Callable[[Cell, Plan], AbstractContextManager[Tell]]  # what a training is told to, while it goes on


class Ladder:
    """An experiment in a folder of its own, `folder`. `run` trains what is not there yet."""

    def __init__(self, experiment: Experiment, store: str | Path | Store, folder: Path) -> None:
        """Opens the store and counts; nothing is trained. Raises ConfigError or StoreError."""
        self.experiment, self.folder = experiment, folder
        self._store = store if isinstance(store, Store) else Store.open(store)
        self._version: dict[str | int, int] = {}
        self._keys = {kind: self._sorted(kind) for kind in ("real", "synthetic")}
        self.cells = cells_of(experiment, *(len(keys) for keys in self._keys.values()))

    def run(self, say: Callable[[str], None] = print, follow: Follow = lambda cell, plan: nullcontext(_unheard)) -> list[Outcome]:
        """The outcomes of all cells, in order; each is kept as soon as it is known. follow: where a training tells its figures (see
        synth.experiment.tracking)."""
        outcomes = []
        for number, cell in enumerate(self.cells, 1):
            plan = self.plan(cell)
            known = self._known(cell, plan)
            if known is None:
                say(f"[{number}/{len(self.cells)}] {cell.real} real, {cell.synthetic} synthetic, seed {cell.seed}")
                with follow(cell, plan) as tell:
                    known = self._train(cell, plan, tell)
                    tell(None, {f"{test}/{name}": value for test, found in known.figures.items() for name, value in found.items()})
                figures = "; ".join(f"{name}: {_told(of_test)}" for name, of_test in known.figures.items())
                say(f"    {figures} ({known.seconds:.0f} s)")
            outcomes.append(known)
        return outcomes

    def plan(self, cell: Cell) -> Plan:
        """The mixture of a cell, pinned."""
        parts = {}
        share = self.experiment.real_share
        for kind, count, weight in (("real", cell.real, share), ("synthetic", cell.synthetic, None if share is None else 1 - share)):
            if not count:
                continue
            part: Part = getattr(self.experiment, kind)
            both = cell.real > 0 and cell.synthetic > 0
            amount = {"repeat": 1} if weight is None or not both else {"weight": weight}
            parts[kind] = replace(part, where=self._first(kind, count, cell.seed), weight=None, count=None, repeat=None)
            parts[kind] = replace(parts[kind], **amount)
        experiment = self.experiment
        mix = Mix(
            parts,
            dict(experiment.val),
            dict(experiment.test),
            batch_size=min(experiment.batch_size, max(1, cell.real + cell.synthetic)),
            epoch=None,
            categories=experiment.categories,
            stages=experiment.stages,
        )
        return plan_of(mix, self._store, cell.seed)

    def test_samples(self, plan: Plan) -> Iterator[tuple[str, list[Sample]]]:
        """The test sets of a plan, by name."""
        for name in self.experiment.test:
            data = mixture(replace(plan, test={name: plan.test[name]}), "test", store=self._store.place)
            yield name, data.samples(range(len(data)))

    def _sorted(self, kind: str) -> list[str]:
        part: Part = getattr(self.experiment, kind)
        if part.ref is None:
            raise ConfigError(f"{kind} must name a ref; each cell pins what it takes of it")
        return self._store.read(part.ref, part.where, maps=()).keys()

    def _first(self, kind: str, count: int, seed: int) -> str | None:
        """The condition for `count` samples of a kind: those whose digest of seed and key is least, so that less is part of more."""
        from hashlib import md5

        part: Part = getattr(self.experiment, kind)
        keys = self._keys[kind]
        if count == len(keys):
            return part.where
        digests = sorted(md5(f"{seed}:{key}".encode(), usedforsecurity=False).hexdigest() for key in keys)
        drawn = f"md5(concat('{seed}:', key)) < '{digests[count]}'"
        return f"({part.where}) and {drawn}" if part.where else drawn

    def _digest(self, plan: Plan) -> str:
        """Of what a result depends on: the samples themselves, not the version of the store, which grows by other samples too."""

        def named(chosen: Mapping[str, Chosen]) -> dict[str, Chosen]:
            return {name: replace(one, pin=replace(one.pin, version=0, where=None)) for name, one in chosen.items()}

        experiment = self.experiment
        plan = replace(plan, parts=named(plan.parts), val=named(plan.val), test=named(plan.test))
        told = f"{plan.digest} {digest_of(experiment.trainer)} {digest_of(experiment.metric)}"
        return sha256(told.encode()).hexdigest()

    def _place(self, cell: Cell) -> Path:
        return self.folder / "cells" / cell.name

    def _known(self, cell: Cell, plan: Plan) -> Outcome | None:
        """What an earlier run found, if it asked the same."""
        try:
            value = json.loads((self._place(cell) / "result.json").read_bytes())
            if value["digest"] == self._digest(plan):
                return Outcome(cell, value["figures"], float(value["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def _train(self, cell: Cell, plan: Plan, tell: Tell) -> Outcome:
        place, experiment = self._place(cell), self.experiment
        place.mkdir(parents=True, exist_ok=True)
        (place / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        train_set = mixture(plan, store=self._store.place, verify=False)  # pinned a moment ago
        val_set: Mixture | None = mixture(plan, "val", store=self._store.place, verify=False) if plan.val else None
        started = time.monotonic()
        predictor = experiment.trainer(train_set, val_set, Training(cell.seed, place, tell))
        seconds = time.monotonic() - started
        figures = {}
        for name, samples in self.test_samples(plan):
            predictions = [predictor(sample.image) for sample in samples]
            figures[name] = {key: float(value) for key, value in experiment.metric.measure(predictions, samples).items()}
            (place / f"predictions-{name}.json").write_text(to_json(predictions), encoding="utf-8")
        result = {"cell": {"real": cell.real, "synthetic": cell.synthetic, "seed": cell.seed}, "figures": figures, "seconds": seconds}
        temporary = place / "result.json.new"
        temporary.write_text(json.dumps({**result, "digest": self._digest(plan)}, indent=1), encoding="utf-8")
        os.replace(temporary, place / "result.json")  # last, and whole: a cell is done or not begun
        return Outcome(cell, figures, seconds)


def _unheard(step: int | None, figures: Mapping[str, float]) -> None:
    """What nobody follows."""


def _told(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
