"""Reference trainers: where their crops and targets lie, what a perfect network would predict, and that a small one learns at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from synth.errors import ConfigError
from synth.experiment.metrics import AveragePrecision, KeypointError, PointRecall
from synth.experiment.prediction import Predictor, Training
from synth.experiment.trainers import BoxTrainer, KeypointTrainer, PointTrainer, _fitted
from synth.types import F32, F64, U8, Category, Instance, Keypoints, Sample

DOTS = Category("dots", ("a", "b", "c"))
FLAG = Category("flag", ("red", "green", "blue"))
DISC, BOX = Category("disc"), Category("box")
COLOURS = ((255, 60, 60), (60, 255, 60), (60, 60, 255))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are slower with more, the more so on a busy machine."""
    try:
        import torch
    except ModuleNotFoundError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Toy:
    """A training set that draws nothing: its samples again and again, each epoch in an order of its own."""

    all_samples: Sequence[Sample]
    categories: tuple[Category, ...]
    size: int = 8

    def batches(self, epoch: int = 0) -> Iterator[list[int]]:
        order = np.random.default_rng(epoch).permutation(len(self.all_samples))
        return (order[i : i + self.size].tolist() for i in range(0, len(order), self.size))

    def samples(self, places: Sequence[int]) -> list[Sample]:
        return [self.all_samples[place] for place in places]


def with_points(image: U8, xy: F64, v: Sequence[int], category: Category = DOTS) -> Sample:
    return Sample(image, (Instance(category.name, keypoints=Keypoints(xy, np.array(v, np.int32))),), (category,))


def marker(xy: F64, size: tuple[int, int]) -> U8:
    """Black, with a Gaussian spot at each point (pixel centres at +0.5), in red, green and blue in turn."""
    rows, columns = np.mgrid[: size[1], : size[0]] + 0.5
    image = np.zeros((size[1], size[0], 3))
    for i, (x, y) in enumerate(xy):
        image[..., i % 3] += 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.5**2))
    return image.clip(0, 255).round().astype(np.uint8)


def centroids(image: U8) -> dict[int, F64]:
    """Of each colour that shows a whole spot, its middle."""
    found = {}
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    for k in range(3):
        weight = image[..., k] * (image[..., k] > 3.0)
        edge = np.concatenate([weight[0], weight[-1], weight[:, 0], weight[:, -1]])
        if weight.max() > 100 and not edge.any():
            found[k] = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    return found


# --- crops --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crop", [(96, 96), (112, 64)], ids=["square", "wide"])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.6, 1.7)], ids=["unscaled", "scaled"])
def test_points_stay_on_what_they_mark_in_every_crop_turn_and_mirror(crop: tuple[int, int], scale: tuple[float, float]) -> None:
    xy = np.array([[40.3, 50.8], [90.0, 61.25], [71.6, 100.9]])
    sample = with_points(marker(xy, (150, 140)), xy, (2, 2, 2))
    trainer = PointTrainer(crop=crop, scale=scale)
    seen, ways = 0, set()
    for seed in range(60):
        image, points, hidden = trainer._cropped(sample, np.random.default_rng(seed))
        assert image.shape == (crop[1], crop[0], 3)
        assert (len(points), len(hidden)) == (3, 0)
        for k, middle in centroids(image).items():
            assert points[k] == pytest.approx(middle, abs=0.1), (seed, k)
            seen += 1
        a, b = points[1] - points[0], points[2] - points[0]
        ways.add((bool(a[0] * b[1] - a[1] * b[0] > 0), int(np.round(np.arctan2(a[1], a[0]) / (np.pi / 2))) % 4))
    assert seen > 60
    assert len(ways) == (8 if crop[0] == crop[1] else 4)  # all turns that keep the shape, mirrored and not


def test_a_picture_smaller_than_the_crop_shows_no_point_twice() -> None:
    xy = np.array([[6.0, 30.0], [30.0, 6.5], [50.0, 52.0]])
    sample = with_points(marker(xy, (60, 60)), xy, (2, 2, 2))
    for seed in range(10):
        image, points, _ = PointTrainer(crop=(128, 128))._cropped(sample, np.random.default_rng(seed))
        for k in range(3):
            spots, _ = cv2.connectedComponents((image[..., k] > 100).astype(np.uint8))
            assert spots - 1 == 1
            assert image[int(points[k, 1]), int(points[k, 0]), k] > 200


def test_hidden_points_are_no_targets_and_nothing_is_learnt_there() -> None:
    xy = np.array([[30.0, 30.0], [60.0, 60.0], [0.0, 0.0]])
    sample = with_points(np.zeros((96, 96, 3), np.uint8), xy, (2, 1, 0))
    trainer = PointTrainer(crop=(96, 96))
    _, targets, weights = trainer._batch([sample], np.random.default_rng(3))
    assert (targets > 0.7).sum() >= 1  # one spot, and not three
    heights = np.sort(targets[0, 0].max(axis=0))
    assert heights[-1] > 0.7
    assert cv2.connectedComponents((targets[0, 0] > 0.3).astype(np.uint8))[0] == 2
    low = np.argwhere(weights[0, 0] < 0.5)
    assert len(low)
    assert np.linalg.norm(low.mean(0) - np.argwhere(targets[0, 0] > 0.3).mean(0)) == pytest.approx(np.hypot(15, 15), abs=1.0)


def test_grey_pictures_have_three_equal_channels() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    xy = np.array([[20.0, 20.0], [30.0, 40.0], [50.0, 10.0]])
    cropped, _, _ = PointTrainer(crop=(32, 32), grey=True)._cropped(with_points(image, xy, (2, 2, 2)), np.random.default_rng(0))
    assert np.ptp(cropped, axis=2).max() == 0


@pytest.mark.parametrize("size", [(150, 140), (37, 90), (333, 61), (64, 48)], ids=str)
def test_a_fitted_picture_is_scaled_as_its_points_are(size: tuple[int, int]) -> None:
    width, height = size
    xy = np.array([[width * 0.3, height * 0.4], [width * 0.5, height * 0.5], [width * 0.75, height * 0.6]])
    big = marker(xy * 6, (width * 6, height * 6))  # spots that are still some pixels after
    small, factor = _fitted(big, (160, 128))
    assert small.shape == (128, 160, 3)
    assert factor == pytest.approx(min(160 / (6 * width), 128 / (6 * height)), rel=0.02)
    rows, columns = np.mgrid[:128, :160] + 0.5
    inside = (columns < factor[0] * 6 * width) & (rows < factor[1] * 6 * height)
    for k in range(3):
        weight = small[..., k] * inside
        middle = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert middle == pytest.approx(xy[k] * 6 * factor, abs=0.1)


# --- a network that gives its targets -------------------------------------------------------------------------------------


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Toy], tuple[Predictor, Any]]:
    """The predictor that a trainer makes of a network which gives the targets of the first sample, and the batch that it learnt."""
    kept: list[Any] = []

    def fit(self: Any, train_set: Any, config: Training, heats: int, made: Any, loss: Any, others: int = 0) -> Any:
        images, targets, weights = made(train_set.samples([0]), np.random.default_rng(5))
        assert targets.shape[:2] == (1, heats + others)
        kept.append((images, targets, weights))
        logits: F32 = np.log(np.maximum(targets[0], 1e-9))
        if not isinstance(self, KeypointTrainer):
            logits -= np.log(np.clip(1 - targets[0], 1e-9, 1))
        logits[heats:] = targets[0, heats:]
        return lambda image: logits

    for trainer in (PointTrainer, KeypointTrainer, BoxTrainer):
        monkeypatch.setattr(trainer, "_fit", fit)
    return lambda trainer, toy: (trainer(toy, None, Training(0, Path("unused"))), kept[-1])


def test_points_come_back_from_their_targets(perfect: Any) -> None:
    xy = np.array([[20.3, 30.8], [70.0, 41.25], [51.6, 80.9]])
    sample = with_points(marker(xy, (96, 96)), xy, (2, 2, 2))
    predictor, (images, _, _) = perfect(PointTrainer(crop=(96, 96)), Toy([sample], (DOTS,)))
    found = predictor(images[0])
    there = np.array([instance.keypoints.xy[0] for instance in found.instances])
    marked = np.array(list(centroids(images[0]).values()))
    assert there[np.lexsort(there.T)] == pytest.approx(marked[np.lexsort(marked.T)], abs=0.1)
    assert (found.scores > 0.7).all()
    assert {instance.category for instance in found.instances} == {"corner"}


@pytest.mark.parametrize("size", [(160, 128), (331, 97), (60, 200)], ids=str)
def test_keypoints_come_back_from_their_targets(perfect: Any, size: tuple[int, int]) -> None:
    xy = np.array([[0.2, 0.3], [0.7, 0.4], [0.5, 0.9]]) * size
    image = np.zeros((size[1], size[0], 3), np.uint8)
    other = Instance("flag", keypoints=None, box_xyxy=(0.0, 0.0, 5.0, 5.0))
    sample = with_points(image, xy, (2, 1, 2), FLAG)
    sample = replace(sample, instances=(other, *sample.instances))
    predictor, (_, _, weights) = perfect(KeypointTrainer(size=(160, 128)), Toy([sample], (FLAG, DISC)))
    (found,) = predictor(image).instances
    assert found.category == "flag"
    assert found.keypoints is not None
    assert found.keypoints.xy == pytest.approx(xy, abs=0.1 * max(1.0, size[0] / 160, size[1] / 128))
    assert found.keypoints.v.tolist() == [2, 2, 2]
    assert weights.ravel().tolist() == [1, 1, 1]  # a hidden point has a place
    _, (_, targets, weights) = perfect(KeypointTrainer(), Toy([with_points(image, xy * 0, (0, 0, 0), FLAG)], (FLAG,)))
    assert not targets.any()
    assert not weights.any()


def boxes(sample_size: tuple[int, int], *each: tuple[str, tuple[float, float, float, float], bool | None]) -> Sample:
    image = np.zeros((sample_size[1], sample_size[0], 3), np.uint8)
    return Sample(image, tuple(Instance(name, box_xyxy=box, crowd=crowd) for name, box, crowd in each), (DISC, BOX))


def test_boxes_come_back_from_their_targets(perfect: Any) -> None:
    told: list[tuple[str, tuple[float, float, float, float], bool | None]] = [
        ("disc", (20.0, 30.0, 80.5, 90.0), None),
        ("box", (200.0, 40.0, 260.0, 150.0), None),
        ("disc", (120.0, 150.0, 190.0, 200.0), False),
        ("box", (290.0, 180.0, 320.0, 230.0), None),
    ]
    sample = boxes((331, 251), *told)
    predictor, _ = perfect(BoxTrainer(size=(160, 120)), Toy([sample], (DISC, BOX)))
    found = predictor(sample.image)
    sure = [i for i, score in zip(found.instances, found.scores, strict=True) if score > 0.5]
    assert sorted((i.category, i.box_xyxy) for i in sure) == [
        (name, pytest.approx(box, abs=0.25)) for name, box, _ in sorted(told, key=lambda each: each[:2])
    ]
    assert AveragePrecision().measure([found], [sample])["ap"] == pytest.approx(1.0)
    few, _ = perfect(BoxTrainer(size=(160, 120), most=2), Toy([sample], (DISC, BOX)))
    assert len(few(sample.image).instances) == 2


def test_nothing_is_learnt_in_a_crowd_and_its_middle_is_no_target(perfect: Any) -> None:
    sample = boxes(
        (160, 120),
        ("disc", (20.0, 20.0, 60.0, 50.0), True),
        ("box", (100.0, 60.0, 140.0, 100.0), None),
        ("tree", (0.0, 0.0, 9.0, 9.0), None),
    )
    _, (_, targets, weights) = perfect(BoxTrainer(size=(160, 120)), Toy([sample], (DISC, BOX)))
    assert not targets[0, 0].any()  # the disc; and a tree, which is no category here, is background
    assert targets[0, 1].max() > 0.9
    expected = np.ones((60, 80), np.float32)
    expected[10:25, 10:30] = 0
    assert np.array_equal(weights[0, 0], expected)
    assert (weights[0, 1] == 1).all()  # boxes may lie among the crowd of discs
    assert not weights[0, 2:, 10:25, 10:30].any()


def test_where_two_boxes_meet_the_nearer_middle_says_the_size(perfect: Any) -> None:
    sample = boxes((160, 120), ("disc", (20.0, 20.0, 60.0, 60.0), None), ("disc", (36.0, 30.0, 68.0, 50.0), None))
    _, (_, targets, _) = perfect(BoxTrainer(size=(160, 120)), Toy([sample], (DISC, BOX)))
    assert 32 * np.exp(targets[0, 2:, 20, 20]) == pytest.approx((40, 40))
    assert 32 * np.exp(targets[0, 2:, 20, 25]) == pytest.approx((32, 20))


# --- learning -----------------------------------------------------------------------------------------------------------


def noise(rng: np.random.Generator, width: int, height: int) -> U8:
    return np.asarray(rng.integers(20, 90, (height, width, 3)), np.uint8)


def dots(seed: int) -> Sample:
    """Three white discs anywhere."""
    rng = np.random.default_rng(seed)
    image = noise(rng, 64, 64)
    xy = np.array([[14.0, 14], [44, 20], [24, 46]]) + rng.uniform(-6, 6, (3, 2))
    for x, y in xy:
        cv2.circle(image, (round((x - 0.5) * 16), round((y - 0.5) * 16)), 3 * 16, (250, 250, 250), -1, cv2.LINE_AA, 4)
    return with_points(image, xy, (2, 2, 2))


def flag(seed: int) -> Sample:
    """A grey triangle with a disc of its own colour at each corner, turned and moved."""
    rng = np.random.default_rng(seed)
    image = noise(rng, 80, 64)
    at = rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2])
    xy = np.column_stack([np.cos(at), np.sin(at)]) * 18 + (40, 32) + rng.uniform(-8, 8, 2)
    cv2.fillPoly(image, [xy.round().astype(np.int32)], (130, 130, 130))
    for (x, y), colour in zip(xy, COLOURS, strict=True):
        cv2.circle(image, (round((x - 0.5) * 16), round((y - 0.5) * 16)), 4 * 16, colour, -1, cv2.LINE_AA, 4)
    return with_points(image, xy, (2, 2, 2), FLAG)


def shapes(seed: int) -> Sample:
    """Some discs, and boxes of another colour, which do not touch."""
    rng = np.random.default_rng(seed)
    image = noise(rng, 96, 72)
    found = []
    for number in range(4):
        x, y = 24 + 48 * (number % 2) + rng.uniform(-6, 6), 18 + 36 * (number // 2) + rng.uniform(-3, 3)
        half = rng.uniform(7, 13)
        box = (round(x - half), round(y - half), round(x + half), round(y + half))
        category = DISC if rng.uniform() < 0.5 else BOX
        if category is DISC:
            cv2.circle(image, ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2), (box[2] - box[0]) // 2, COLOURS[0], -1)
        else:
            image[box[1] : box[3], box[0] : box[2]] = COLOURS[2]
        found.append(Instance(category.name, box_xyxy=tuple(float(v) for v in box)))  # type: ignore[arg-type]
    return Sample(image, tuple(found), (DISC, BOX))


CASES = [
    pytest.param(PointTrainer(channels=6, levels=1, crop=(48, 48), rate=0.01), dots, (DOTS,), PointRecall(2.0, 0.9), 50, 0.8, id="points"),
    pytest.param(
        KeypointTrainer(channels=6, levels=3, size=(80, 64), rate=0.01), flag, (FLAG,), KeypointError(0.1), 80, 0.8, id="keypoints"
    ),
    pytest.param(BoxTrainer(channels=6, levels=2, size=(96, 72), rate=0.01), shapes, (DISC, BOX), AveragePrecision(), 100, 0.8, id="boxes"),
]


@pytest.mark.parametrize(("trainer", "draw", "categories", "metric", "steps", "aim"), CASES)
def test_a_small_training_beats_chance(
    trainer: Any, draw: Any, categories: Any, metric: Any, steps: int, aim: float, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    toy, test = Toy([draw(i) for i in range(32)], categories), [draw(i) for i in range(1000, 1012)]
    told: dict[int, float] = {}
    score = {}
    for count in (1, steps):
        config = Training(1, tmp_path, lambda step, figures: told.update({step: figures["loss"]}))
        predictor = replace(trainer, steps=count)(toy, None, config)
        score[count] = metric.measure([predictor(sample.image) for sample in test], test)[metric.main]
    assert max(told) == steps
    assert score[1] < 0.4
    assert score[steps] > aim
    assert score[steps] > score[1] + 0.4


@pytest.mark.parametrize(("trainer", "draw", "categories", "metric", "steps", "aim"), CASES)
def test_equal_seeds_give_equal_networks(
    trainer: Any, draw: Any, categories: Any, metric: Any, steps: int, aim: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from synth.experiment import network

    nets: list[Any] = []
    fit = network.fit

    def kept(*arguments: Any) -> Any:
        nets.append(fit(*arguments))
        return nets[-1]

    monkeypatch.setattr(network, "fit", kept)
    toy = Toy([draw(i) for i in range(10)], categories, size=4)
    torch.manual_seed(99)
    before = torch.get_rng_state().clone()
    for seed in (7, 7, 8):
        replace(trainer, steps=5)(toy, None, Training(seed, tmp_path))
        torch.rand(1)  # what others draw changes nothing
    torch.manual_seed(99)
    assert torch.equal(before, torch.get_rng_state())
    first, again, other = (net.state_dict() for net in nets)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11])
def test_any_number_of_steps_is_trained(steps: int, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    told: list[int] = []
    config = Training(0, tmp_path, lambda step, figures: told.append(step))
    PointTrainer(steps=steps, channels=2, levels=1, crop=(16, 16))(Toy([dots(0)], (DOTS,)), None, config)
    assert told[-1] == steps


def test_the_random_state_of_torch_is_left_as_it_was(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    before = torch.get_rng_state().clone()
    PointTrainer(steps=1, channels=2, levels=1, crop=(16, 16))(Toy([dots(0)], (DOTS,)), None, Training(0, tmp_path))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("shape", [(33, 47), (16, 16), (50, 31)], ids=str)
def test_outputs_cover_pictures_of_any_size(shape: tuple[int, int]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from synth.experiment.network import HeatNet, outputs_of

    net = HeatNet(2, 4, 2).eval()
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert outputs_of(net, image).shape == (2, -(-shape[0] // 2), -(-shape[1] // 2))


# --- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PointTrainer(steps=0), "PointTrainer: steps must be a whole number above 0, got 0"),
        (lambda: BoxTrainer(channels=True), "BoxTrainer: channels must be a whole number above 0, got True"),
        (lambda: KeypointTrainer(levels=1.5), "KeypointTrainer: levels must be a whole number above 0, got 1.5"),  # type: ignore[arg-type]
        (lambda: PointTrainer(rate=0.0), "PointTrainer: rate must be above 0, got 0.0"),
        (lambda: PointTrainer(sigma_cells=-1.0), "sigma_cells must be above 0, got -1.0"),
        (lambda: PointTrainer(crop=(8, 64)), r"crop must be width and height of at least 16 px, got \[8, 64\]"),
        (lambda: PointTrainer(crop=(64,)), r"crop must be width and height"),  # type: ignore[arg-type]
        (lambda: PointTrainer(scale=(1.0, 0.5)), r"scale must be two factors from 0.1 to 10, got \[1.0, 0.5\]"),
        (
            lambda: KeypointTrainer(size=(161, 128)),
            r"KeypointTrainer: size must be width and height, even and at least 16 px, got \[161, 128\]",
        ),
        (lambda: BoxTrainer(size=(160, 8)), r"BoxTrainer: size must be width and height"),
        (lambda: BoxTrainer(size=(160.0, 120.0)), r"BoxTrainer: size must be width and height"),  # type: ignore[arg-type]
        (lambda: PointTrainer(crop=(64.0, 64.0)), r"PointTrainer: crop must be width and height"),  # type: ignore[arg-type]
        (lambda: BoxTrainer(most=0), "BoxTrainer: most must be a whole number above 0, got 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_options_are_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_keypoints_of_two_categories_are_refused() -> None:
    pytest.importorskip("torch", reason="training needs torch")
    with pytest.raises(ConfigError, match=r"KeypointTrainer: needs one category with keypoints, got \['dots', 'flag'\]"):
        KeypointTrainer()(Toy([], (DOTS, FLAG)), None, Training(0, Path("unused")))


def test_a_training_set_without_batches_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    with pytest.raises(ConfigError, match="the training set gives no batches"):
        PointTrainer()(Toy([], (DOTS,)), None, Training(0, tmp_path))


@pytest.mark.parametrize("trainer", ["PointTrainer", "KeypointTrainer", "BoxTrainer"])
def test_without_torch_the_command_that_installs_it_is_named(trainer: str) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
from synth.errors import MissingPartError
from synth.experiment.prediction import Training
from synth.experiment.trainers import {trainer}
from synth.types import Category
class Toy:
    categories = (Category("a", ("b",)),)
try:
    {trainer}()(Toy(), None, Training(0, None))
except MissingPartError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "training needs torch: pip install 'synth[torch]'\n"
