"""A mixture half real, half synthetic, trained from: samples a second with decoding, against the mixtures of others and a bare folder.

python -m benchmarks mix

All give batches of 32 from two workers: uint8 images (32, 3, 480, 640) and of each its boxes and labels as tensors; all decode the same
JPEGs with cv2. synth leaves the channels last in memory, which saves it a third of the decoding; a folder that does the same is measured
too. Each runs in processes of its own, one epoch to warm up and two that count, in turn; the most samples a second count, since a busy
machine only takes away. MosaicML and litdata are measured where they can be imported (`pip install mosaicml-streaming litdata`, with
--no-deps beside a CPU torch).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_peers import CATEGORIES, Folder, Item, Mds, arrays, decoded, make_items
from benchmarks.measure import Row
from synth.mix import Mix, Plan, mixture, plan_of
from synth.mix.order import Order, Strata
from synth.mix.quotas import Knot
from synth.mix.rows import Rows
from synth.mix.targets import stacked
from synth.record import Record
from synth.store import Store
from synth.types import Instance, Origin, SampleInfo

BATCH, WORKERS, EPOCHS = 32, 2, 2
PARTS = ("real", "synthetic")


# --- what each writes ---------------------------------------------------------------------------------------------------


def _record(item: Item, source: Any) -> Record:
    key, jpeg, labels = item
    boxes, numbers = arrays(labels)
    instances = tuple(Instance(CATEGORIES[n].name, box_xyxy=tuple(box)) for box, n in zip(boxes.tolist(), numbers, strict=True))
    origin = Origin("0" * 64, "bench", 0, 0, "none") if source == "synthetic" else None
    return Record(f"{source}/{key}", source, 640, 480, jpeg, "jpeg", instances, CATEGORIES, origin=origin, info=SampleInfo("bench"))


def write_synth(folder: Path, halves: list[list[Item]]) -> None:
    store = Store.open(folder / "store", create=True)
    for source, items in zip(PARTS, halves, strict=True):
        store.put([_record(item, source) for item in items], message=source)
    parts = {source: {"ref": "main", "where": f"source = '{source}'", "weight": 1} for source in PARTS}
    plan = plan_of(Mix.from_config({"parts": parts, "batch_size": BATCH}), store)
    (folder / "half.plan.json").write_text(plan.to_json())


def write_folder(folder: Path, halves: list[list[Item]]) -> None:
    for source, items in zip(PARTS, halves, strict=True):
        Folder.write(folder / source, items)


def write_mosaic(folder: Path, halves: list[list[Item]]) -> None:
    for source, items in zip(PARTS, halves, strict=True):
        Mds.write(folder / source, items)


def write_litdata(folder: Path, halves: list[list[Item]]) -> None:
    from litdata.streaming.writer import BinaryWriter

    for source, items in zip(PARTS, halves, strict=True):
        writer = BinaryWriter(str(folder / source), chunk_bytes="64MB")
        for i, (key, jpeg, labels) in enumerate(items):
            writer[i] = {"key": key, "image": jpeg, "labels": json.dumps(labels).encode()}
        writer.done()
        writer.merge()


# --- and reads --------------------------------------------------------------------------------------------------------


def _item(jpeg: bytes, labels: Any, channels_last: bool = False) -> Any:
    """As a user of these libraries would; channels_last: as synth does."""
    import torch

    boxes, numbers = arrays(labels)
    image = torch.from_numpy(decoded(jpeg)).permute(2, 0, 1)
    return image if channels_last else image.contiguous(), {
        "boxes": torch.from_numpy(boxes.astype(np.float32)),
        "labels": torch.tensor(numbers) + 1,
    }


def collate(items: Any) -> Any:
    from torch.utils.data import default_collate

    images, targets = zip(*items, strict=True)
    return default_collate(images), list(targets)


def collate_last(items: Any) -> Any:
    images, targets = zip(*items, strict=True)
    return stacked(images), list(targets)


def _litdata_item(sample: Any) -> Any:
    return _item(sample["image"], json.loads(sample["labels"]))


class _Folders:
    """Two folders, a random half of each batch from each: a shuffled list that is as long as an epoch."""

    def __init__(self, folder: Path, channels_last: bool) -> None:
        self._last = channels_last
        self._folders = [Folder(folder / source) for source in PARTS]
        self._each = len(self._folders[0]._files)

    def __len__(self) -> int:
        return self._each * len(PARTS)

    def __getitem__(self, index: int) -> Any:
        part, i = divmod(index, self._each)
        folder = self._folders[part]
        return _item(Path(folder._files[i]).read_bytes(), folder._labels[i], self._last)


def read_synth(folder: Path) -> Any:
    return mixture(folder / "half.plan.json", size=(640, 480)).loader(workers=WORKERS)


def read_folder(folder: Path, channels_last: bool = False) -> Any:
    from torch.utils.data import DataLoader

    data: Any = _Folders(folder, channels_last)
    how = collate_last if channels_last else collate
    return DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True, collate_fn=how)


def read_mosaic(folder: Path) -> Any:
    from streaming import Stream, StreamingDataset
    from torch.utils.data import DataLoader

    class Decoded(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Any:
            sample = super().__getitem__(index)
            return _item(sample["image"], sample["labels"])

    streams = [Stream(local=str(folder / source), proportion=0.5) for source in PARTS]
    data = Decoded(streams=streams, shuffle=True, batch_size=BATCH)
    return DataLoader(data, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True, collate_fn=collate)


def read_litdata(folder: Path) -> Any:
    from litdata import CombinedStreamingDataset, StreamingDataLoader, StreamingDataset

    parts = [StreamingDataset(str(folder / source), shuffle=True, transform=_litdata_item) for source in PARTS]
    data = CombinedStreamingDataset(parts, weights=[0.5, 0.5], iterate_over_all=False)
    return StreamingDataLoader(data, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True, collate_fn=collate)


KINDS: dict[str, tuple[Callable[..., None], Callable[[Path], Any]]] = {
    "synth": (write_synth, read_synth),
    "MosaicML StreamingDataset, two streams": (write_mosaic, read_mosaic),
    "litdata CombinedStreamingDataset": (write_litdata, read_litdata),
    "bare folder of JPEGs": (write_folder, read_folder),
    "channels-last folder of JPEGs": (write_folder, partial(read_folder, channels_last=True)),
}


def measured(name: str, folder: Path) -> None:
    """In a process of its own: print the samples a second of the epochs after the first."""
    warnings.simplefilter("ignore")
    loader = KINDS[name][1](folder)
    best = 0.0
    for epoch in range(EPOCHS + 1):
        start, samples = time.perf_counter(), 0
        for images, _targets in loader:
            assert images.shape[1:] == (3, 480, 640)
            samples += len(images)
        if epoch:
            best = max(best, samples / (time.perf_counter() - start))
    print(f"rate {best}", flush=True)
    os._exit(0)  # some leave threads behind that never end


def _rate(name: str, folder: Path) -> float:
    code = f"from pathlib import Path; from benchmarks.bench_mix import measured; measured({name!r}, Path({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    rates = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("rate ")]
    if not rates:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    return float(rates[0])


def _speed(root: Path, each: int, rounds: int) -> Iterator[Row]:
    items = make_items(2 * each)
    halves = [items[:each], items[each:]]
    rates: dict[str, list[float]] = {}
    for name, (write, _) in KINDS.items():
        folder = root / name.split()[0]
        folder.mkdir()
        try:
            write(folder, halves)
            rates[name] = []
        except ImportError as error:
            yield Row(name, f"skipped: {error}")
    for turn in range(rounds):
        names = list(rates)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            rates[name].append(_rate(name, root / name.split()[0]))
    ours = max(rates["synth"])
    others = {name: max(found) for name, found in rates.items() if name != "synth"}
    for name, rate in others.items():
        yield Row(name, f"{rate:.0f} samples/s")
    yield Row("synth / the fastest of them", f"{ours:.0f} samples/s", ours / max(others.values()), at_least=1.0)


# --- size -------------------------------------------------------------------------------------------------------------


def _order(entries: int) -> Order:
    """Of a plan of `entries` places over as many samples, in two parts; the numbers that a worker holds."""
    plan = Plan(dict.fromkeys(PARTS, None), {}, {}, (), 0, BATCH, entries, 1, "batch", "steps", (Knot(Fraction(0), (entries // 2,) * 2),))  # type: ignore[arg-type]
    rows = np.arange(entries // 2)
    return Order(plan, [Strata((Rows.of(rows),), (1,)), Strata((Rows.of(rows + entries // 2),), (1,))], 0)


def _start(root: Path, entries: int) -> tuple[float, int, int]:
    """Of an epoch of `entries` places: seconds to its first batch in mid-training, decoded; bytes that a worker is sent; bytes of an order
    over as many samples."""
    import pickle

    plan = Plan.load(root / "synth" / "half.plan.json")
    long = Plan(**{**vars(plan), "epoch": entries, "knots": (Knot(Fraction(0), (entries // 2,) * 2),)})
    data = mixture(long, size=(640, 480))
    data.arrays(range(4))
    start = time.perf_counter()
    data.arrays(next(iter(data.batches(epoch=7, start=entries // BATCH // 2))))
    seconds = time.perf_counter() - start
    return seconds, len(pickle.dumps(data)), len(pickle.dumps(_order(entries)))


def _cached(root: Path, size: tuple[int, int], places: int = 256) -> Row:
    plan = root / "synth" / "half.plan.json"
    rates = []
    for cache in (None, root / "cache"):
        data = mixture(plan, size=size, cache=cache)
        data.arrays(range(places))
        start = time.perf_counter()
        for first in range(0, places, BATCH):
            data.arrays(range(first, first + BATCH))
        rates.append(places / (time.perf_counter() - start))
    return Row(
        f"pictures of 640x480 as {size[0]}x{size[1]}, from the cache / decoded, one process",
        f"{rates[1]:.0f} / {rates[0]:.0f} samples/s",
        rates[1] / rates[0],
    )


def bench(each: int = 256, rounds: int = 2) -> tuple[str, str, list[Row]]:
    """Two parts of `each` samples."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rows = list(_speed(root, each, rounds))
        small, large = _start(root, 1000), _start(root, 1_000_000)
        rows.append(Row("first batch of an epoch over 1,000,000 / 1,000 places", f"{large[0] * 1e3:.0f} / {small[0] * 1e3:.0f} ms"))
        rows.append(Row("the same, in seconds", f"{large[0]:.2f} s", large[0], at_most=1.0))
        rows.append(
            Row("what a worker is sent, 1,000,000 / 1,000 places", f"{large[1]} / {small[1]} bytes", large[1] / small[1], at_most=1.1)
        )
        rows.append(
            Row("what the order holds, 1,000,000 / 1,000 samples", f"{large[2]} / {small[2]} bytes", large[2] / small[2], at_most=1.5)
        )
        rows += [_cached(root, size) for size in ((640, 480), (320, 240))]
    return (
        "Mix",
        f"Two parts of {each} JPEGs of 640x480, 58 KB and 5 boxes each, half and half in batches of {BATCH}, {WORKERS} workers; warm page "
        f"cache, the best of {rounds * EPOCHS} epochs.",
        rows,
    )
