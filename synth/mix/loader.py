"""torch's loaders over a mixture. Imported only where torch is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from synth.errors import ConfigError, MissingPartError

try:
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info
except ImportError as error:
    raise MissingPartError("this needs torch: pip install 'synth[torch]'") from error

if TYPE_CHECKING:
    from synth.mix.data import Mixture


class _Sampler:
    """The batches of the epoch that its loader is at. A DataLoader that keeps its workers asks it anew for each epoch."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._loader.epoch_batches())

    def __len__(self) -> int:
        return len(self._loader.epoch_batches())


class Loader:
    """Batches of a mixture. Each walk through it is one epoch, and the next walk the next epoch.

    The order is the same for any number of workers. `state_dict()` says how far the training has come, by the batches that were handed
    out and not by those that workers are ahead; a loader with `load_state_dict` goes on with the next batch, of which the number is all
    that is needed. Ranks of a distributed training share each batch: the state is the same for all of them.
    """

    def __init__(self, data: Mixture, workers: int, rank: int, ranks: int, **options: Any) -> None:
        self.data, self.epoch, self.batch = data, 0, 0
        self._rank, self._ranks = rank, ranks
        self.epoch_batches()  # says what is wrong
        if workers:
            options = {"multiprocessing_context": "spawn", "persistent_workers": True, **options}  # Lance does not survive a fork
        options = {"collate_fn": data.collate, **options}
        self._torch = DataLoader(data, batch_sampler=_Sampler(self), num_workers=workers, **options)

    def epoch_batches(self) -> Any:
        """The places of the batches of the epoch that are not handed out yet."""
        return self.data.batches(self.epoch, self.batch, self._rank, self._ranks)

    def __len__(self) -> int:
        """Batches that are left of the epoch."""
        return len(self.epoch_batches())

    def __iter__(self) -> Iterator[Any]:
        for batch in self._torch:
            self.batch += 1
            if self.batch == len(self.data.batches()):
                self.epoch, self.batch = self.epoch + 1, 0
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where the training is, for a checkpoint: a few numbers."""
        return {"plan": self.data.plan.digest, "seed": self.data.seed, "epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises ConfigError if it is the state of another plan or seed."""
        mine = self.state_dict()
        for what in ("plan", "seed"):
            if state.get(what) != mine[what]:
                raise ConfigError(f"the state is of another {what}: {state.get(what)}, here {mine[what]}")
        self.epoch, self.batch = int(state["epoch"]), int(state["batch"])


class IterableMixture(IterableDataset):  # type: ignore[misc]
    """An epoch as an iterable dataset of collated batches, for DataLoader(IterableMixture(data), batch_size=None, num_workers=n,
    multiprocessing_context="spawn"). Worker w makes batches w, w + n, ..., which torch hands out in turn: the order is that of the
    map-style dataset."""

    def __init__(self, data: Mixture, epoch: int = 0, start: int = 0, rank: int = 0, ranks: int = 1) -> None:
        self.data, self.epoch, self.start = data, epoch, start
        self._rank, self._ranks = rank, ranks

    def __len__(self) -> int:
        return len(self.data.batches(self.epoch, self.start))

    def __iter__(self) -> Iterator[Any]:
        batches = self.data.batches(self.epoch, self.start, self._rank, self._ranks)
        worker = get_worker_info()
        numbers = range(len(batches)) if worker is None else range(worker.id, len(batches), worker.num_workers)
        return (self.data.collate(self.data.__getitems__(batches[number])) for number in numbers)
