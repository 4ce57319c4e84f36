"""Reference trainers: small networks for a processor, which show what a mixture brings within minutes. No rival to a real detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.errors import ConfigError, MissingPartError
from synth.experiment.heatmaps import gaussians, peaks
from synth.experiment.prediction import Prediction, Predictor, Training, TrainSet
from synth.types import F32, F64, U8, Category, Instance, Keypoints, Sample

_STRIDE = 2  # of HeatNet
_CORNER = Category("corner", ("corner",))
Made = Callable[[list[Sample], np.random.Generator], tuple[list[U8], F32, F32]]


@dataclass(frozen=True)
class _Heat:
    """What all have. steps: batches of training. rate: of learning. channels: of the first level. sigma_cells: of a target, in cells of
    2 px."""

    steps: int = 400
    rate: float = 3e-3
    channels: int = 16
    levels: int = 3
    sigma_cells: float = 1.0

    def __post_init__(self) -> None:
        for name in ("steps", "channels", "levels", "most"):
            value = getattr(self, name, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{type(self).__name__}: {name} must be a whole number above 0, got {value!r}")
        for name in ("rate", "sigma_cells"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{type(self).__name__}: {name} must be above 0, got {getattr(self, name)!r}")

    def _fit(
        self, train_set: TrainSet, config: Training, heats: int, made: Made, loss: Callable[..., Any], others: int = 0
    ) -> Callable[[U8], F32]:
        """A function from a picture to its (heats + others, h / 2, w / 2) logits; `made` makes a batch of samples."""
        network = _network()

        def batches(epoch: int) -> Iterator[Any]:
            for step, places in enumerate(train_set.batches(epoch)):
                yield made(train_set.samples(places), np.random.default_rng((config.seed, epoch, step)))

        def make() -> Any:
            return network.HeatNet(heats + others, self.channels, self.levels, heats)

        net = network.fit(make, batches, loss, self.steps, self.rate, config)
        return lambda image: network.outputs_of(net, image)


def _network() -> Any:
    try:
        from synth.experiment import network
    except ModuleNotFoundError as error:
        raise MissingPartError("training needs torch: pip install 'synth[torch]'") from error
    return network


@dataclass(frozen=True)
class PointTrainer(_Heat):
    """Unordered points: every keypoint of every instance, as one heat map. Learns from random crops of `crop` (w, h) px, turned by any
    multiple of a right angle and mirrored, since points have no name; pictures are first scaled by `scale`, a range."""

    crop: tuple[int, int] = (192, 192)
    scale: tuple[float, float] = (1.0, 1.0)
    grey: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "crop", tuple(self.crop))
        object.__setattr__(self, "scale", tuple(self.scale))
        if not _is_size(self.crop, 1):
            raise ConfigError(f"PointTrainer: crop must be width and height of at least 16 px, got {list(self.crop)}")
        if len(self.scale) != 2 or not 0.1 <= self.scale[0] <= self.scale[1] <= 10:
            raise ConfigError(f"PointTrainer: scale must be two factors from 0.1 to 10, got {list(self.scale)}")

    def __call__(self, train_set: TrainSet, val_set: TrainSet | None, config: Training) -> Predictor:
        """A predictor of instances of category `corner`, one a point."""
        outputs_of = self._fit(train_set, config, 1, self._batch, _network().cross_entropy)

        def predict(image: U8) -> Prediction:
            heat = _sigmoid(outputs_of(self._seen(image)))[0]
            xy, scores = peaks(heat, _STRIDE, 0.05)
            inside = (xy < (image.shape[1], image.shape[0])).all(axis=1)
            xy, scores = xy[inside], scores[inside]
            found = tuple(Instance("corner", keypoints=Keypoints(point[None], np.array([2], np.int32))) for point in xy)
            return Prediction(found, scores, (_CORNER,))

        return predict

    def _seen(self, image: U8) -> U8:
        if not self.grey:
            return image
        import cv2

        return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))

    def _batch(self, samples: list[Sample], rng: np.random.Generator) -> tuple[list[U8], F32, F32]:
        images, targets, weights = [], [], []
        for sample in samples:
            image, seen, hidden = self._cropped(sample, rng)
            images.append(image)
            targets.append(gaussians(seen, _STRIDE, self.crop, self.sigma_cells)[None])
            weights.append(1 - gaussians(hidden, _STRIDE, self.crop, 2 * self.sigma_cells)[None])  # nobody says whether it is to be found
        return images, np.stack(targets), np.stack(weights)

    def _cropped(self, sample: Sample, rng: np.random.Generator) -> tuple[U8, F64, F64]:
        import cv2

        from synth.experiment.metrics import points_of

        width, height = self.crop
        factor = rng.uniform(*self.scale)
        every = points_of(sample, 1)
        room = np.array(sample.size) - np.array(self.crop) / factor
        corner = rng.uniform(np.minimum(room, 0), np.maximum(room, 0))
        if len(every) and rng.uniform() < 0.75:  # most crops show some points
            corner = every[rng.integers(len(every))] - rng.uniform(0.1, 0.9, 2) * np.array(self.crop) / factor
        corner = np.clip(corner, np.minimum(room, 0), np.maximum(room, 0))
        # pixel law: x' = factor (x - corner); OpenCV's centres are whole numbers
        matrix = np.array([[factor, 0, 0.0], [0, factor, 0.0]])
        matrix[:, 2] = -factor * corner + 0.5 * factor - 0.5
        how = cv2.INTER_LINEAR
        image: Any = cv2.warpAffine(sample.image, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
        points = [factor * (points_of(sample, v) - corner) for v in (2, 1)]
        seen, both = points
        hidden = both[~(both[:, None] == seen[None]).all(2).any(1)] if len(seen) else both
        turns = int(rng.integers(4)) if width == height else 2 * int(rng.integers(2))
        image = np.rot90(image, turns)
        moved = [_turned(xy, turns, width, height) for xy in (seen, hidden)]
        if rng.uniform() < 0.5:
            image = image[:, ::-1]
            moved = [np.column_stack([width - xy[:, 0], xy[:, 1]]) for xy in moved]
        return self._seen(np.ascontiguousarray(image)), moved[0], moved[1]


def _turned(xy: F64, turns: int, width: int, height: int) -> F64:
    """Points as np.rot90 moves their pixels: counter-clockwise by quarter turns."""
    for _ in range(turns):
        xy = np.column_stack([xy[:, 1], width - xy[:, 0]])
        width, height = height, width
    return xy


@dataclass(frozen=True)
class KeypointTrainer(_Heat):
    """The keypoints of one object a picture, one heat map each; pictures are scaled to fit `size` (w, h) px. Hidden keypoints (v = 1) are
    learnt too: the corner behind a box has a place."""

    size: tuple[int, int] = (160, 128)
    levels: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_size(self)

    def __call__(self, train_set: TrainSet, val_set: TrainSet | None, config: Training) -> Predictor:
        """A predictor of one instance of the one category."""
        named = [category for category in train_set.categories if category.keypoints]
        if len(named) != 1:
            raise ConfigError(f"KeypointTrainer: needs one category with keypoints, got {[category.name for category in named]}")
        category = named[0]
        points = len(category.keypoints)

        def made(samples: list[Sample], rng: np.random.Generator) -> tuple[list[U8], F32, F32]:
            fitted = [_fitted(sample.image, self.size) for sample in samples]
            targets = np.zeros((len(samples), points, self.size[1] // _STRIDE, self.size[0] // _STRIDE), np.float32)
            weights = np.zeros((len(samples), points, 1, 1), np.float32)
            for i, sample in enumerate(samples):
                keypoints = next(
                    (it.keypoints for it in sample.instances if it.category == category.name and it.keypoints is not None), None
                )
                for k in np.flatnonzero(keypoints.v > 0) if keypoints is not None else ():
                    targets[i, k] = gaussians(keypoints.xy[k : k + 1] * fitted[i][1], _STRIDE, self.size, self.sigma_cells)  # type: ignore[union-attr]
                    weights[i, k] = targets[i, k].any()
            return [image for image, _ in fitted], targets, weights

        outputs_of = self._fit(train_set, config, points, made, _network().softmax_entropy)

        def predict(image: U8) -> Prediction:
            small, factor = _fitted(image, self.size)
            heat = _softmax(outputs_of(small))
            best = [peaks(each, _STRIDE, float(each.max())) for each in heat]
            xy = np.array([each[0][0] for each in best]) / factor
            inside = np.asarray(np.all((xy >= 0) & (xy < (image.shape[1], image.shape[0])), axis=1))
            score = float(np.mean([each[1][0] for each in best]))
            instance = Instance(
                category.name, keypoints=Keypoints(xy * np.asarray(inside)[:, None], np.where(inside, 2, 0).astype(np.int32))
            )
            return Prediction((instance,), np.array([score]), (category,))

        return predict


@dataclass(frozen=True)
class BoxTrainer(_Heat):
    """Boxes, without anchors, as points with a size (CenterNet: Zhou et al. 2019): a heat map a category and the logarithm of width and
    height; pictures are scaled to fit `size` (w, h) px. most: boxes a picture."""

    size: tuple[int, int] = (320, 240)
    sigma_cells: float = 2.0
    most: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_size(self)

    def __call__(self, train_set: TrainSet, val_set: TrainSet | None, config: Training) -> Predictor:
        """A predictor of boxes."""
        network = _network()
        categories = tuple(train_set.categories)
        number = {category.name: i for i, category in enumerate(categories)}
        shape = (self.size[1] // _STRIDE, self.size[0] // _STRIDE)

        def made(samples: list[Sample], rng: np.random.Generator) -> tuple[list[U8], F32, F32]:
            images, targets = [], np.zeros((len(samples), len(categories) + 2, *shape), np.float32)
            weights = np.zeros_like(targets)
            weights[:, : len(categories)] = 1
            for i, sample in enumerate(samples):
                image, factor = _fitted(sample.image, self.size)
                images.append(image)
                for instance in sample.instances:
                    if instance.box_xyxy is None or instance.category not in number:
                        continue
                    box = np.array(instance.box_xyxy) * np.tile(factor, 2)
                    middle, sides = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 0.5)
                    own = gaussians(middle[None], _STRIDE, self.size, self.sigma_cells)
                    if instance.crowd:  # many objects, told apart by nobody: nothing is learnt there
                        x0, y0, x1, y1 = (box / _STRIDE).round().astype(int)
                        weights[i, number[instance.category], max(0, y0) : y1, max(0, x0) : x1] = 0
                        continue
                    heat = targets[i, number[instance.category]]
                    np.maximum(heat, own, out=heat)
                    near = own > weights[i, -1]  # where boxes meet, the nearest middle says the size
                    targets[i, -2:, near] = np.log(sides / 32)
                    weights[i, -2:, near] = own[near][:, None]
            return images, targets, weights

        def loss(logits: Any, wanted: Any, weights: Any) -> Any:
            heat = network.cross_entropy(logits[:, :-2], wanted[:, :-2], weights[:, :-2])
            near = weights[:, -2:] * (weights[:, -2:] > 0.3)
            return heat + 2 * ((logits[:, -2:] - wanted[:, -2:]).abs() * near).sum() / near.sum().clamp(min=1)

        outputs_of = self._fit(train_set, config, len(categories), made, loss, others=2)

        def predict(image: U8) -> Prediction:
            small, factor = _fitted(image, self.size)
            outputs = outputs_of(small)
            found = []
            for category, heat in zip(categories, _sigmoid(outputs[:-2]), strict=True):
                xy, scores = peaks(heat, _STRIDE, 0.02, radius_cells=2)
                cells = np.minimum((xy / _STRIDE).astype(int), (shape[1] - 1, shape[0] - 1))
                sides = 32 * np.exp(np.clip(outputs[-2:, cells[:, 1], cells[:, 0]].T, -5, 4))
                boxes = np.clip(
                    np.hstack([xy - sides / 2, xy + sides / 2]) / np.tile(factor, 2), 0, (*image.shape[1::-1], *image.shape[1::-1])
                )
                found += [(s, category.name, box) for s, box in zip(scores, boxes, strict=True) if (box[2:] > box[:2]).all()]
            found = sorted(found, key=lambda each: -each[0])[: self.most]
            instances = tuple(Instance(name, box_xyxy=tuple(box.tolist())) for _, name, box in found)
            return Prediction(instances, np.array([score for score, _, _ in found], np.float64), categories)

        return predict


def _check_size(trainer: Any) -> None:
    object.__setattr__(trainer, "size", tuple(trainer.size))
    if not _is_size(trainer.size, _STRIDE):
        raise ConfigError(f"{type(trainer).__name__}: size must be width and height, even and at least 16 px, got {list(trainer.size)}")


def _is_size(size: tuple[Any, ...], multiple: int) -> bool:
    return len(size) == 2 and all(isinstance(side, int) and side >= 16 and side % multiple == 0 for side in size)


def _fitted(image: U8, size: tuple[int, int]) -> tuple[U8, F64]:
    """The picture in its own shape at the upper left of `size` (w, h), and how much wider and higher it got (2,)."""
    from synth.mix.fit import fit_image, scales

    return fit_image(image, size, "letterbox"), np.array(scales((image.shape[1], image.shape[0]), size, "letterbox"))


def _sigmoid(logits: F32) -> F32:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


def _softmax(logits: F32) -> F32:
    raised = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
    return np.asarray(raised / raised.sum(axis=(1, 2), keepdims=True), np.float32)
