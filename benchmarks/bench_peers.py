"""The store against a folder with COCO JSON, WebDataset and MDS: the same pictures and boxes, in one run, all from the page cache.

python -m benchmarks peers

All give a picture and its boxes as arrays, use one process and THREADS threads, and decode with cv2. Each is asked in its best way: the
store for lists of samples; the folder and MDS sample by sample; WebDataset, which has no index, by reading all for a random choice, and
in its shards' order with a shuffle buffer for an epoch, which the others read in a full permutation. The store alone compares each
picture's sha256. WebDataset and MDS are measured where they are installed: `pip install webdataset`, and `pip install
mosaicml-streaming` (which brings torch and an older numpy, so best in an environment of its own).
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, timed
from synth.record import Output, Record, decode_image, encode_image
from synth.store import Store
from synth.types import Category, Instance, Sample, SampleInfo

WIDTH, HEIGHT, BOXES, AHEAD, SHARD = 640, 480, 5, 8, 1000
THREADS = min(4, len(os.sched_getaffinity(0)))  # as many as the store takes
QUALITY = 78  # of this noise: about 60 KB
CATEGORIES = (Category("thing"), Category("other"))

Item = tuple[str, bytes, list[dict[str, Any]]]  # key, JPEG, COCO annotations
Read = tuple[Any, Any, list[int]]  # JPEG bytes or RGB array, boxes x0 y0 x1 y1 of shape (n, 4), category ids


def make_items(count: int) -> list[Item]:
    """Pictures of about 60 KB, each other than the rest, with five boxes."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 255, (30, 40, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = rng.normal(0, 6, coarse.shape)
    return [_item(index, coarse, grain) for index in range(count)]


def _item(index: int, coarse: Any, grain: Any) -> Item:
    rng = np.random.default_rng([1, index])
    image = np.clip(np.roll(coarse, (7 * index, 13 * index), (0, 1)) + np.roll(grain, index, 1), 0, 255).astype(np.uint8)
    xy, size = rng.uniform(0, [WIDTH - 200, HEIGHT - 200], (BOXES, 2)), rng.uniform(20, 200, (BOXES, 2))
    boxes = np.hstack([xy, size]).tolist()
    labels = [{"category_id": i % 2, "bbox": box, "iscrowd": 0, "area": box[2] * box[3]} for i, box in enumerate(boxes)]
    return f"{index:06d}", encode_image(image, Output("jpeg", QUALITY)), labels


def decoded(jpeg: bytes) -> Any:
    """As a user of these formats would."""
    import cv2

    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def arrays(labels: Sequence[dict[str, Any]]) -> tuple[Any, list[int]]:
    """What a detector learns from, of COCO annotations."""
    boxes = np.array([label["bbox"] for label in labels])
    boxes[:, 2:] += boxes[:, :2]
    return boxes, [label["category_id"] for label in labels]


def through(pool: Executor, work: Callable[[Any], Read], items: Iterable[Any]) -> Iterator[Read]:
    """`work` of each item in order, AHEAD of them under way: threads never wait for a batch to end."""
    pending: deque[Future[Read]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) > AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


class OneByOne:
    """A format that is asked for single samples."""

    def __getitem__(self, index: int) -> Read:
        raise NotImplementedError

    def encoded(self, indices: Sequence[int]) -> list[Read]:
        return [self[index] for index in indices]

    def decoded(self, indices: Sequence[int], pool: Executor) -> Iterator[Read]:
        def one(index: int) -> Read:
            jpeg, *labels = self[index]
            return decoded(jpeg), *labels

        return through(pool, one, indices)

    def epoch(self, order: Sequence[int], pool: Executor) -> Iterator[Read]:
        return self.decoded(order, pool)


class Folder(OneByOne):
    """JPEG files, and one COCO JSON that is in memory."""

    def __init__(self, folder: Path) -> None:
        coco = json.loads((folder / "annotations.json").read_text())
        self._files = [str(folder / image["file_name"]) for image in coco["images"]]
        self._labels: list[list[Any]] = [[] for _ in self._files]
        for annotation in coco["annotations"]:
            self._labels[annotation["image_id"]].append(annotation)

    @staticmethod
    def write(folder: Path, items: Sequence[Item]) -> None:
        folder.mkdir()
        images: list[Any] = []
        annotations: list[Any] = []
        for number, (key, jpeg, labels) in enumerate(items):
            (folder / f"{key}.jpg").write_bytes(jpeg)
            images.append({"id": number, "file_name": f"{key}.jpg", "width": WIDTH, "height": HEIGHT})
            annotations += [{"id": len(annotations) + i, "image_id": number, **label} for i, label in enumerate(labels)]
        (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))

    def __getitem__(self, index: int) -> Read:
        with open(self._files[index], "rb") as file:
            return file.read(), *arrays(self._labels[index])


class WebDataset(OneByOne):
    """Tars of a thousand samples: JPEG and JSON of each."""

    def __init__(self, folder: Path) -> None:
        self._shards = sorted(map(str, folder.glob("*.tar")))

    @staticmethod
    def write(folder: Path, items: Sequence[Item]) -> None:
        import webdataset

        folder.mkdir()
        with webdataset.ShardWriter(f"{folder}/%04d.tar", maxcount=SHARD, verbose=0) as writer:
            for key, jpeg, labels in items:
                writer.write({"__key__": key, "jpg": jpeg, "json": json.dumps(labels)})

    def _samples(self) -> Any:
        import webdataset

        return webdataset.WebDataset(self._shards, shardshuffle=False, empty_check=False)

    def encoded(self, indices: Sequence[int]) -> list[Read]:
        wanted = {f"{index:06d}": place for place, index in enumerate(indices)}
        found: list[Any] = [None] * len(indices)
        for files in self._samples():
            if (place := wanted.get(files["__key__"])) is not None:
                found[place] = files["jpg"], *arrays(json.loads(files["json"]))
        return found

    def decoded(self, indices: Sequence[int], pool: Executor) -> Iterator[Read]:
        return through(pool, lambda it: (decoded(it[0]), *it[1:]), self.encoded(indices))

    def epoch(self, order: Sequence[int], pool: Executor) -> Iterator[Read]:
        import webdataset

        def one(files: dict[str, bytes]) -> Read:
            return decoded(files["jpg"]), *arrays(json.loads(files["json"]))

        shuffled = webdataset.WebDataset(self._shards, shardshuffle=len(self._shards), empty_check=False).shuffle(SHARD)
        return through(pool, one, shuffled)


class Mds(OneByOne):
    """Shards of 64 MB: JPEG and JSON of each sample."""

    def __init__(self, folder: Path) -> None:
        from streaming import LocalDataset

        self._data = LocalDataset(str(folder))

    @staticmethod
    def write(folder: Path, items: Sequence[Item]) -> None:
        from streaming import MDSWriter

        with MDSWriter(out=str(folder), columns={"key": "str", "image": "bytes", "labels": "json"}, size_limit=1 << 26) as writer:
            for key, jpeg, labels in items:
                writer.write({"key": key, "image": jpeg, "labels": labels})

    def __getitem__(self, index: int) -> Read:
        sample = self._data[index]
        return sample["image"], *arrays(sample["labels"])


class Ours:
    """The store, whose labels come as objects."""

    def __init__(self, folder: Path) -> None:
        self._samples = Store.open(folder).read()

    @staticmethod
    def write(folder: Path, items: Sequence[Item]) -> None:
        store = Store.open(folder, create=True)
        store.commit([store.write_fragment(map(_record, items), Output(), "bench")], message="bench", run="bench", meta={})

    def encoded(self, indices: Sequence[int]) -> list[Read]:
        return [(record.image, *_arrays(record)) for record in self._samples.at(indices).records()]

    def decoded(self, indices: Sequence[int], pool: Executor) -> Iterator[Read]:
        return ((sample.image, *_arrays(sample)) for sample in self._samples.at(indices))

    epoch = decoded


_IDS = {category.name: number for number, category in enumerate(CATEGORIES)}


def _arrays(sample: Sample | Record) -> tuple[Any, list[int]]:
    return np.array([it.box_xyxy for it in sample.instances]), [_IDS[it.category] for it in sample.instances]


def _record(item: Item) -> Record:
    key, jpeg, labels = item
    instances = []
    for label in labels:
        x, y, width, height = label["bbox"]
        instances.append(Instance(CATEGORIES[label["category_id"]].name, box_xyxy=(x, y, x + width, y + height)))
    return Record(key, "real", WIDTH, HEIGHT, jpeg, "jpeg", tuple(instances), CATEGORIES, info=SampleInfo(dataset="bench"))


KINDS: dict[str, Any] = {"store": Ours, "folder": Folder, "WebDataset": WebDataset, "MDS": Mds}


def bench(count: int = 5000, picks: int = 1000, rounds: int = 5) -> tuple[str, str, list[Row]]:
    """Rounds of all formats in turn; the least of each one's times, since a busy machine only adds."""
    items = make_items(count)
    missing: dict[str, str] = {}
    seconds: dict[str, dict[str, list[float]]] = {}

    def measure(what: str, name: str, work: Callable[[], object]) -> None:
        seconds.setdefault(what, {}).setdefault(name, []).append(timed(work)[0])

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the other formats' own
        root, rng = Path(place), np.random.default_rng(2)
        for name, kind in KINDS.items():
            try:
                kind.write(root / f"warm-{name}", items[:64])
            except ImportError as error:
                missing[name] = str(error)
        there = {name: kind for name, kind in KINDS.items() if name not in missing}
        for turn in range(min(rounds, 3)):
            for name, kind in there.items():
                measure("write", name, partial(kind.write, root / f"{name}{turn}", items))
        opened = {name: kind(root / f"{name}0") for name, kind in there.items()}
        _compare(items, opened, pool)
        for turn in range(rounds):
            chosen, order = rng.permutation(count)[:picks].tolist(), rng.permutation(count).tolist()
            for name in sorted(opened, key=lambda name: (list(opened).index(name) + turn) % len(opened)):
                measure("encoded", name, partial(opened[name].encoded, chosen))
                measure("decoded", name, lambda: _count(opened[name].decoded(chosen, pool)))  # noqa: B023, called at once
                measure("epoch", name, lambda: _count(opened[name].epoch(order, pool)))  # noqa: B023
        sizes = {name: sum(path.stat().st_size for path in (root / f"{name}0").rglob("*") if path.is_file()) for name in opened}
    least = {what: {name: min(all_) for name, all_ in times.items()} for what, times in seconds.items()}
    rows = [
        _row(f"write {count}", least["write"], lambda s: f"{s:.2f} s", None),
        _row(f"{picks} at random, decoded", least["decoded"], lambda s: f"{s * 1e3:.0f} ms", 1.0),
        _row(f"{picks} at random, pictures as bytes", least["encoded"], lambda s: f"{s * 1e3:.0f} ms", None),
        _row(f"shuffled epoch of {count}, decoded", least["epoch"], lambda s: f"{s:.2f} s", 1.1),
        _row("bytes on disk", sizes, lambda size: f"{size / 1e6:.1f} MB", None),
        *(Row(f"{name}: not measured", f"{why}; benchmarks/bench_peers.py says how to install it") for name, why in missing.items()),
    ]
    mean = sum(len(jpeg) for _, jpeg, _ in items) / count / 1e3
    note = (
        f"{WIDTH}x{HEIGHT} JPEGs of {mean:.0f} KB with {BOXES} boxes each, labels included; warm page cache, one process, {THREADS} "
        f"threads, {AHEAD} pictures ahead; the least of {rounds} interleaved rounds. Ratio: the store, which alone compares each "
        "picture's sha256, over the best of the others."
    )
    return "Peers", note, rows


def _count(samples: Iterable[Any]) -> int:
    return sum(1 for _ in samples)


def _row(what: str, figures: dict[str, Any], told: Callable[[Any], str], at_most: float | None) -> Row:
    best = min(value for name, value in figures.items() if name != "store")
    return Row(what, ", ".join(f"{name} {told(value)}" for name, value in figures.items()), figures["store"] / best, at_most=at_most)


def _compare(items: Sequence[Item], opened: dict[str, Any], pool: Executor) -> None:
    """All give the same pictures and boxes; one epoch warms every cache."""
    for name, reader in opened.items():
        read = zip((7, 3), reader.encoded([7, 3]), reader.decoded([7, 3], pool), strict=True)
        for index, (jpeg, boxes, ids), (image, same_boxes, _) in read:
            wanted, wanted_ids = arrays(items[index][2])
            assert jpeg == items[index][1], name
            assert (boxes == wanted).all(), name
            assert (same_boxes == wanted).all(), name
            assert ids == wanted_ids, name
            assert (image == decode_image(jpeg, (HEIGHT, WIDTH))).all(), name
        assert _count(reader.epoch(list(range(len(items))), pool)) == len(items), name
