"""What a trainer is and what it gives back: the interface of `synth experiment` to any network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from synth.types import F64, U8, Category, Instance, Sample


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network sees in a picture: instances with their scores (n,), higher is surer. Pixels of the picture as it was given.
    categories: of the instances."""

    instances: tuple[Instance, ...]
    scores: F64
    categories: tuple[Category, ...]


class Predictor(Protocol):
    """A trained network."""

    def __call__(self, image: U8) -> Prediction:
        """What it sees in an sRGB picture (h, w, 3) of any size."""


class TrainSet(Protocol):
    """What a trainer learns from: a mixture."""

    @property
    def categories(self) -> Sequence[Category]:
        """All that may be labelled, in the order of their numbers."""

    def batches(self, epoch: int) -> Iterator[list[Sample]]:
        """The batches of an epoch, augmented, in an order that is a pure function of the plan, its seed and `epoch`."""


@runtime_checkable
class Trainer(Protocol):
    """A frozen dataclass: a network's options. Equal trainers, sets and seeds give equal networks, on one machine."""

    def train(self, train_set: TrainSet, val_set: Sequence[Sample], seed: int) -> Predictor:
        """A network that has learnt `train_set`; `val_set` may steer it, and may be empty."""


@runtime_checkable
class Metric(Protocol):
    """A frozen dataclass: how good predictions are."""

    @property
    def main(self) -> str:
        """The figure that tables and curves show; one of those that `measure` gives."""

    @property
    def higher_is_better(self) -> bool:
        """Of the main figure."""

    def measure(self, predictions: Sequence[Prediction], truths: Sequence[Sample]) -> Mapping[str, float]:
        """All figures, by name."""

    def rank(self, prediction: Prediction, truth: Sample) -> float:
        """How good one prediction is, higher is better: for the sheet of best and worst."""


def drawn(sample: Sample, prediction: Prediction, threshold: float) -> Sample:
    """The picture of `sample` with what was predicted with at least `threshold`, for synth.view."""
    kept = tuple(instance for instance, score in zip(prediction.instances, prediction.scores, strict=True) if score >= threshold)
    return Sample(sample.image, kept, prediction.categories, key=sample.key)
