"""Pictures in the size of training, kept on a local disk so that an epoch decodes nothing.

One file for each version of a store and size, with a slot for each row of the table; the file is sparse, so only what was used takes
room. A slot ends with the sha256 of the picture it was made of and a checksum of some of its bytes: one that is of another picture, half
written or lost by a crash is made again. Processes may share a cache: what two of them write into a slot is the same.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from synth.errors import StoreError
from synth.mix.fit import Fit, fit_image, fit_labels
from synth.record import Record
from synth.store import Samples
from synth.types import U8, Sample

_CHECKED = 512  # every so many bytes are in the checksum: some of each page
_NOTHING = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Cache:
    """Pictures of `size` (width, height) in files below `folder`, which is made when it is first used."""

    folder: Path
    size: tuple[int, int]
    fit: Fit

    def read(self, samples: Samples, rows: Sequence[int]) -> list[Sample]:
        """The samples at `rows` in the cache's size."""
        described = samples.described(rows)
        with _Slots(self._file(samples), self.size) as slots:
            images = [slots.get(row, image) for row, (_, image) in zip(rows, described, strict=True)]
            missing = [i for i, image in enumerate(images) if image is None]
            for i, sample in zip(missing, samples[[rows[i] for i in missing]] if missing else (), strict=True):
                images[i] = fit_image(sample.image, self.size, self.fit)
                slots.put(rows[i], described[i][1], images[i])
        return [self._sample(record, image) for (record, _), image in zip(described, images, strict=True)]

    def _file(self, samples: Samples) -> Path:
        name = sha256(f"{samples.place} {samples.version}".encode()).hexdigest()[:16]
        return self.folder / f"{name}-{self.size[0]}x{self.size[1]}-{self.fit}.u8"

    def _sample(self, record: Record, image: U8 | None) -> Sample:
        assert image is not None
        blank = np.broadcast_to(_NOTHING, (record.height, record.width, 3))  # of the labelled size, without memory
        bare = Sample(blank, record.instances, record.categories, origin=record.origin, key=record.key, info=record.info)
        return fit_labels(bare, image, self.fit)


class _Slots:
    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path, self._shape = path, (size[1], size[0], 3)
        self._pixels = size[0] * size[1] * 3
        self._slot = self._pixels + 36

    def __enter__(self) -> _Slots:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"cache {self._path.parent} cannot be used: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def get(self, row: int, image: bytes | None) -> U8 | None:
        data = np.empty(self._slot, np.uint8)
        if image is None or os.preadv(self._file, [data.data], row * self._slot) != self._slot:
            return None
        pixels, end = data[: self._pixels], data[self._pixels :].tobytes()
        return pixels.reshape(self._shape) if end == image + _checksum(pixels) else None

    def put(self, row: int, image: bytes | None, made: U8 | None) -> None:
        if image is None or made is None:
            return
        pixels = np.ascontiguousarray(made).reshape(-1)
        try:
            os.pwritev(self._file, [pixels.data, image + _checksum(pixels)], row * self._slot)
        except OSError as error:
            raise StoreError(f"cache {self._path.parent} cannot be written: {error.strerror}; free some room or leave cache out") from error


def _checksum(pixels: U8) -> bytes:
    return zlib.crc32(pixels[::_CHECKED].tobytes()).to_bytes(4, "little")
