"""What a trainer is and what it gives back: the interface of `synth experiment` to any network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from synth.types import F64, U8, Category, Instance, Keypoints, Sample


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
    """What a trainer learns from, and is watched on: a `synth.mix.Mixture`, of which these are the parts that the trainers here use."""

    @property
    def categories(self) -> Sequence[Category]:
        """All that may be labelled, in the order of their numbers."""

    def batches(self, epoch: int = 0) -> Iterable[Sequence[int]]:
        """The places of each batch of an epoch; a pure function of the plan, its seed and `epoch`."""

    def samples(self, places: Sequence[int]) -> list[Sample]:
        """The samples at these places, augmented."""


@dataclass(frozen=True, slots=True)
class Training:
    """What one training is told: its seed, a folder for what it wants to keep, and where to tell figures while it goes on."""

    seed: int
    folder: Path
    tell: Callable[[int, Mapping[str, float]], None] = lambda step, figures: None


@runtime_checkable
class Trainer(Protocol):
    """A frozen dataclass: a network's options. Equal calls give equal networks, on one machine."""

    def __call__(self, train_set: TrainSet, val_set: TrainSet | None, config: Training) -> Predictor:
        """A network that has learnt `train_set`; `val_set` may steer it."""


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


def to_json(predictions: Sequence[Prediction]) -> str:
    """Boxes, keypoints and scores of predictions, one list a picture; masks are left out."""
    categories = predictions[0].categories if predictions else ()
    value = {
        "categories": [{"name": c.name, "keypoints": c.keypoints, "skeleton": c.skeleton} for c in categories],
        "pictures": [[_told(instance, score) for instance, score in zip(each.instances, each.scores, strict=True)] for each in predictions],
    }
    return json.dumps(value)


def _told(instance: Instance, score: float) -> dict[str, Any]:
    points = instance.keypoints
    return {
        "category": instance.category,
        "score": round(float(score), 6),
        "box_xyxy": instance.box_xyxy,
        "keypoints": None if points is None else np.round(points.xy, 3).tolist(),
        "v": None if points is None else points.v.tolist(),
    }


def from_json(text: str) -> list[Prediction]:
    """What `to_json` wrote."""
    value = json.loads(text)
    categories = tuple(
        Category(each["name"], tuple(each["keypoints"]), skeleton=tuple((a, b) for a, b in each["skeleton"]))
        for each in value["categories"]
    )

    def instance(told: Mapping[str, Any]) -> Instance:
        points = None if told["keypoints"] is None else Keypoints(np.array(told["keypoints"], float), np.array(told["v"], np.int32))
        return Instance(told["category"], box_xyxy=told["box_xyxy"] and tuple(told["box_xyxy"]), keypoints=points)

    return [
        Prediction(tuple(map(instance, picture)), np.array([each["score"] for each in picture], float), categories)
        for picture in value["pictures"]
    ]
