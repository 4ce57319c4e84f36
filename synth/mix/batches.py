"""Places of batches: which of them a rank gets, from any batch on. No list is kept."""

from __future__ import annotations

from collections.abc import Iterator

from synth.errors import ConfigError


class Batches:
    """The batches of one epoch as lists of places. Each is divided among the ranks in runs, so that each rank has the quota, as near as
    whole numbers allow."""

    def __init__(self, length: int, batch_size: int, epoch: int = 0, start: int = 0, rank: int = 0, ranks: int = 1) -> None:
        """length: places of an epoch. start: the first batch."""
        if not 0 <= rank < ranks:
            raise ConfigError(f"rank must be in [0, {ranks}), got {rank}")
        if batch_size % ranks:
            raise ConfigError(f"a batch of {batch_size} cannot be divided among {ranks} ranks; plan it with another batch_size")
        if epoch < 0 or start < 0:
            raise ConfigError(f"epoch and start are counted from 0, got {epoch} and {start}")
        self._length, self._size, self._epoch, self._start, self._rank, self._ranks = length, batch_size, epoch, start, rank, ranks

    def __len__(self) -> int:
        """Batches that are left."""
        return max(0, -(-self._length // self._size) - self._start)

    def __getitem__(self, number: int) -> list[int]:
        """The places of the `number`-th batch from `start` on."""
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} batches, got {number}")
        begin = (self._start + number) * self._size
        count = min(self._size, self._length - begin)  # the last one may be short
        first, last = count * self._rank // self._ranks, count * (self._rank + 1) // self._ranks
        return [self._epoch * self._length + place for place in range(begin + first, begin + last)]

    def __iter__(self) -> Iterator[list[int]]:
        return (self[number] for number in range(len(self)))
