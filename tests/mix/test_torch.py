"""torch's loaders: the same batches for any number of workers and ranks, from any batch on, and a network that learns from them."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.errors import ConfigError
from synth.mix import Mixture, Plan, mixture, plan_of
from synth.store import Store
from tests.mix.stores import half, usual

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    store: Store = usual(tmp_path_factory.mktemp("mix") / "store")
    return plan_of(half(epoch=52), store)  # seven batches, the last of 4


@pytest.fixture(scope="module")
def data(plan: Plan) -> Mixture:
    return mixture(plan, size=(32, 24), task="keypoints")


def places(batch: Any) -> list[int]:
    """Places say what a batch holds; pictures are compared where it matters."""
    return [int(target["image_id"]) for target in batch[1]]


def same(a: Any, b: Any) -> bool:
    return bool(torch.equal(a[0], b[0])) and all(torch.equal(x[name], y[name]) for x, y in zip(a[1], b[1], strict=True) for name in x)


@pytest.fixture(scope="module")
def alone(data: Mixture) -> list[Any]:
    """Two epochs without workers."""
    loader = data.loader()
    return [*loader, *loader]


def test_two_epochs_in_order(data: Mixture, alone: list[Any]) -> None:
    assert len(alone) == 14
    assert [place for batch in alone for place in places(batch)] == list(range(104))
    assert alone[0][0].shape == (8, 3, 24, 32)
    images = [image for image, _ in data.arrays(range(8))]
    assert (alone[0][0].permute(0, 2, 3, 1).numpy() == np.stack(images)).all()


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize("workers", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_spawned_workers_give_the_same(data: Mixture, alone: list[Any], workers: int) -> None:
    """Two epochs, kept workers; then a new loader from the middle of the second."""
    loader = data.loader(workers=workers)
    found = [*loader]
    state = None
    for number, batch in enumerate(loader):
        found.append(batch)
        if number == 3:
            state = json.loads(json.dumps(loader.state_dict()))
    assert all(same(a, b) for a, b in zip(found, alone, strict=True))
    assert state == {"plan": data.plan.digest, "seed": 0, "epoch": 1, "batch": 4}


@pytest.mark.slow
def test_ordinary_loaders_of_torch(data: Mixture, alone: list[Any]) -> None:
    from torch.utils.data import DataLoader

    from synth.mix.loader import IterableMixture

    options: dict[str, Any] = {"num_workers": 1, "multiprocessing_context": "spawn"}
    mapped = DataLoader(data, batch_size=8, collate_fn=data.collate, **options)
    iterated = DataLoader(IterableMixture(data), batch_size=None, **options)
    for loader in (mapped, iterated):
        assert all(same(a, b) for a, b in zip(loader, alone[:7], strict=True))
    assert (len(mapped), len(iterated)) == (7, 7)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_iterable_is_divided_among_any_number_of_workers(
    data: Mixture, alone: list[Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch hands out the first batch of each worker in turn, then the second, ..."""
    from synth.mix import loader

    def of(number: int) -> list[Any]:
        info = type("Info", (), {"id": number, "num_workers": workers})
        monkeypatch.setattr(loader, "get_worker_info", lambda: info)
        return list(loader.IterableMixture(data, epoch=1, start=1))

    parts = [of(number) for number in range(workers)]
    found = [part[turn] for turn in range(6) for part in parts if turn < len(part)]
    assert [places(batch) for batch in found] == [places(batch) for batch in alone[8:]]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_together_have_the_same_batches(data: Mixture, alone: list[Any], ranks: int) -> None:
    loaders = [data.loader(rank=rank, ranks=ranks) for rank in range(ranks)]
    for whole, *parts in zip(alone, *loaders, strict=False):
        assert list(chain.from_iterable(places(part) for part in parts)) == places(whole)
    assert [loader.state_dict()["batch"] for loader in loaders] == [0] * ranks  # of the next epoch


@pytest.mark.parametrize("stop", range(9))
def test_resumed_at_any_batch_the_rest_is_the_same(data: Mixture, alone: list[Any], stop: int) -> None:
    first = data.loader()
    batches = chain.from_iterable(first for _ in range(2))
    for _ in range(stop):
        next(batches)
    state = json.loads(json.dumps(first.state_dict()))
    assert len(json.dumps(state)) < 200
    again = data.loader()
    again.load_state_dict(state)
    assert len(again) == 7 - stop % 7
    rest = [*again, *again][: len(alone) - stop]
    assert all(same(a, b) for a, b in zip(rest, alone[stop:], strict=False))


def test_the_state_of_another_plan_is_refused(data: Mixture, plan: Plan) -> None:
    state = data.loader().state_dict()
    other = mixture(plan, seed=9).loader()
    with pytest.raises(ConfigError, match="the state is of another seed: 0, here 9"):
        other.load_state_dict(state)
    with pytest.raises(ConfigError, match="the state is of another plan: abc, here"):
        data.loader().load_state_dict({**state, "plan": "abc"})


def test_classes_and_lists(plan: Plan) -> None:
    one = mixture(plan, size=(32, 24), task="classification").loader()
    images, labels = next(iter(one))
    assert images.shape == (8, 3, 24, 32)
    assert labels.shape == (8,)
    assert labels.dtype == torch.int64
    images, targets = next(iter(mixture(plan, task="masks").loader()))
    assert [type(images), type(targets), len(images)] == [list, list, 8]
    assert targets[0]["masks"].shape == (len(targets[0]["boxes"]), 32, 48)


def test_a_network_learns_from_a_mixture(data: Mixture) -> None:
    """A step changes the weights, and some epochs halve the loss: where the box is, from the picture."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 16 * 12, 4)
    )
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    loader = data.loader()
    losses = []
    for _ in range(5):
        total = 0.0
        for images, targets in loader:
            boxes = torch.stack([target["boxes"][0] if len(target["boxes"]) else torch.zeros(4) for target in targets])
            loss = torch.nn.functional.mse_loss(net(images.float() / 255), boxes / 32)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total)
    assert losses[-1] < losses[0] / 2
    assert loader.state_dict()["epoch"] == 5


def test_what_is_held_out_has_a_loader_too(plan: Plan, tmp_path: Path) -> None:
    data = mixture(plan, "val", size=(32, 24), cache=tmp_path)
    loader = data.loader()
    for _ in range(2):
        assert [place for batch in loader for place in places(batch)] == [0, 1, 2]
