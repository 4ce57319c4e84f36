"""The samples of a plan, ready to train on: a map-style dataset (torch or numpy) whose index is the place in the training.

`data[k]` is place k of the first epoch, `data[len(data) + k]` of the second: an item is a pure function of (plan, seed, place), so no
worker holds a state, and any number of workers or ranks sees the same. It pickles as handles; each process opens the stores when it first
reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from synth.augment.samples import augment
from synth.config.build import build
from synth.errors import ConfigError, known_names
from synth.mix.batches import Batches
from synth.mix.cache import Cache
from synth.mix.fit import Fit, fit_image, fit_labels
from synth.mix.labels import Relabel, relabel
from synth.mix.order import Order, Strata, strata
from synth.mix.plan import HELD_OUT, Chosen, Plan
from synth.mix.rows import Rows
from synth.mix.targets import Array, Task, stacked, target_of, tensors
from synth.protocols import Stage
from synth.rand import Stream
from synth.record import Record
from synth.store import Pin, Samples, Store, open_pin
from synth.types import Category, Sample

Split = Literal["train", "val", "test"]
Item = tuple[Array, dict[str, Array]]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class _Opened:
    """A part of the plan at hand. whole: all samples of its version; relabel: to the mixture's categories."""

    whole: Samples
    rows: Strata
    relabel: Relabel
    stages: Mapping[str, Stage]


class Mixture:
    """See `mixture`, which makes one. Items are (image, target): a uint8 tensor (3, h, w) and a dict of tensors (synth.mix.targets)."""

    def __init__(
        self,
        plan: Plan,
        parts: Sequence[_Opened],
        stages: Mapping[str, Stage],
        split: Split,
        seed: int,
        task: Task,
        size: tuple[int, int] | None,
        fit: Fit,
        min_visible: float,
        cache: Cache | None,
    ) -> None:
        self.plan, self.split, self.seed, self.task, self.size = plan, split, seed, task, size
        self._parts, self._stages, self._fit, self._min_visible, self._cache = parts, stages, fit, min_visible, cache
        self._order = Order(plan, [part.rows for part in parts], seed) if split == "train" else None
        self._held = [len(part.rows.rows[0]) for part in parts]

    @property
    def categories(self) -> tuple[Category, ...]:
        """Of the mixture: label i + 1 is categories[i]."""
        return self.plan.categories

    def __len__(self) -> int:
        """Places of an epoch."""
        return self.plan.epoch if self._order is not None else sum(self._held)

    def __repr__(self) -> str:
        return f"Mixture({self.split}: {len(self)} samples of {len(self._parts)} parts, seed {self.seed})"

    # --- items --------------------------------------------------------------------------------------------------------

    def __getitem__(self, place: int) -> Any:
        return self.__getitems__([place])[0]

    def __getitems__(self, places: Sequence[int]) -> list[Any]:
        """The items at these places, read at once: what a DataLoader asks for."""
        return [tensors(image, target) for image, target in self.arrays(places)]

    def __iter__(self) -> Iterator[Any]:
        """One epoch, the first."""
        return (item for batch in self.batches() for item in self.__getitems__(batch))

    def arrays(self, places: Sequence[int]) -> list[Item]:
        """The items as numpy arrays; the image (h, w, 3). Needs no torch."""
        items = []
        for place, sample in zip(places, self.samples(places), strict=True):
            target = target_of(sample, self.categories, self.task, self._min_visible)
            items.append((sample.image, {**target, "image_id": np.array([place], np.int64)}))
        return items

    def samples(self, places: Sequence[int]) -> list[Sample]:
        """The samples at these places, relabelled, in size and augmented."""
        read = self._by_version(places, self._read)
        return [self._made(sample, part, int(place)) for place, (part, sample) in zip(places, read, strict=True)]

    def records(self, places: Sequence[int]) -> list[Record]:
        """The samples at these places as they are stored, relabelled; neither resized nor augmented."""
        read = self._by_version(places, lambda samples, rows: samples.at(rows).records())
        return [part.relabel.apply(record) for part, record in read]

    def versions(self) -> list[tuple[str, int]]:
        """Store and version of each part."""
        return [(part.whole.place, part.whole.version) for part in self._parts]

    def _by_version(self, places: Sequence[int], read: Callable[[Samples, list[int]], Iterable[_T]]) -> list[tuple[_Opened, _T]]:
        """Of each place its part and what `read` gives; what is of one version is read at once, whatever its part."""
        found = [self.locate(int(place)) for place in places]
        versions = self.versions()
        members: dict[tuple[str, int], list[int]] = {}
        for i, (part, _) in enumerate(found):
            members.setdefault(versions[part], []).append(i)
        made: dict[int, _T] = {}
        for each in members.values():
            samples = self._parts[found[each[0]][0]].whole
            made.update(zip(each, read(samples, [found[i][1] for i in each]), strict=True))
        return [(self._parts[part], made[i]) for i, (part, _) in enumerate(found)]

    def locate(self, place: int) -> tuple[int, int]:
        """The part of a place (its number in the plan), and the row of its table."""
        if place < 0:
            raise IndexError(f"places are counted from 0, got {place}")
        if self._order is not None:
            return self._order[place]
        for part, count in enumerate(self._held):
            if place < count:
                return part, self._parts[part].rows.rows[0][place]
            place -= count
        raise IndexError(f"{self.split} has {len(self)} samples")

    def _read(self, samples: Samples, rows: Sequence[int]) -> list[Sample]:
        if self.size is None:
            return samples[rows]
        to, fit = self.size, self._fit
        if self._cache is not None:
            return self._cache.read(samples, rows)
        return [fit_labels(sample, fit_image(sample.image, to, fit), fit) for sample in samples[rows]]

    def _made(self, sample: Sample, part: _Opened, place: int) -> Sample:
        sample = part.relabel.apply(sample)
        if part.stages or self._stages:
            rng = Stream(self.seed, place, ("mix",))  # the place says the epoch too
            sample = augment(sample, part.stages, rng.child("part")) if part.stages else sample
            sample = augment(sample, self._stages, rng.child("all")) if self._stages else sample
            if self.size is not None and sample.size != self.size:
                sample = fit_labels(sample, fit_image(sample.image, self.size, self._fit), self._fit)
        return sample

    # --- batches ------------------------------------------------------------------------------------------------------

    def batches(self, epoch: int = 0, start: int = 0, rank: int = 0, ranks: int = 1) -> Batches:
        """The places of each batch of an epoch from batch `start`, for one of `ranks`; a batch sampler for a DataLoader."""
        return Batches(len(self), self.plan.batch_size, epoch if self.split == "train" else 0, start, rank, ranks)

    def numpy_batches(self, epoch: int = 0, start: int = 0, rank: int = 0, ranks: int = 1) -> Iterator[tuple[Any, list[dict[str, Array]]]]:
        """An epoch without torch: images (b, h, w, 3) uint8 where all have one size (`size`), else a list; and a target for each."""
        for places in self.batches(epoch, start, rank, ranks):
            items = self.arrays(places)
            images = [image for image, _ in items]
            yield (np.stack(images) if self.size is not None else images), [target for _, target in items]

    def collate(self, items: Iterable[tuple[Any, dict[str, Any]]]) -> tuple[Any, Any]:
        """A batch: images (b, 3, h, w) where all have one size (`size`), channels last in memory, else a list, as torchvision's detectors
        take them; a list of targets. For classification the targets are one tensor of labels (b,)."""
        import torch

        images, targets = zip(*items, strict=True)
        together = stacked(images) if self.size is not None else list(images)
        return together, torch.stack([target["label"] for target in targets]) if self.task == "classification" else list(targets)

    def loader(self, workers: int = 0, rank: int = 0, ranks: int = 1, **options: Any) -> Any:
        """A `synth.mix.loader.Loader`: batches of one epoch after another, collated, with a state to go on from in the middle of an epoch.
        Other options go to torch's DataLoader. Raises MissingPartError without torch."""
        from synth.mix.loader import Loader

        return Loader(self, workers, rank, ranks, **options)


def mixture(
    plan: str | Path | Plan,
    split: Split = "train",
    *,
    task: Task = "detection",
    seed: int | None = None,
    size: tuple[int, int] | None = None,
    fit: Fit = "letterbox",
    min_visible: float = 0.1,
    cache: str | Path | None = None,
    store: str | Path | None = None,
    augmented: bool | None = None,
    verify: bool = True,
) -> Mixture:
    """The samples of a plan (or of its file) as a dataset: `train`, or what is held out (`val`, `test`: each sample once, in order).

    task: which labels (synth.mix.targets). seed: of order and augmentation (default: the plan's). size: width and height of every picture,
    made by `fit`: letterbox keeps its shape, stretch does not. cache: a folder for pictures in that size, read instead of decoding.
    store: where the samples are, if not where the plan says (a relative place is looked up from its file first). augmented: apply the
    plan's stages (default: to train only). verify: compare the digests of the pins; without, a store that changed is not noticed.
    Raises ConfigError for a wrong call and StoreError where samples are not there or not the same.
    """
    folder = Path(".") if isinstance(plan, Plan) else Path(plan).parent
    plan = plan if isinstance(plan, Plan) else Plan.load(plan)
    _check(split, task, fit, size, cache)
    chosen: Mapping[str, Chosen] = plan.parts if split == "train" else getattr(plan, split)
    if not chosen:
        raise ConfigError(f"the plan has no {split} samples; add mix.{split} and plan it again")
    augmented = split == "train" if augmented is None else augmented
    most = [max(counts) for counts in zip(*(knot.counts for knot in plan.knots), strict=True)] if split == "train" else [0] * len(chosen)
    parts = [
        _open(each, plan, f"{split} {name}", folder, store, draws, augmented, verify)
        for (name, each), draws in zip(chosen.items(), most, strict=True)
    ]
    stages = {name: _stage(node, f"stages.{name}") for name, node in plan.stages.items()} if augmented else {}
    kept = Cache(Path(cache), size, fit) if cache is not None and size is not None else None
    return Mixture(plan, parts, stages, split, plan.seed if seed is None else seed, task, size, fit, min_visible, kept)


def _check(split: str, task: str, fit: str, size: Any, cache: Any) -> None:
    for what, value, known in (("split", split, ("train", *HELD_OUT)), ("task", task, get_args(Task)), ("fit", fit, get_args(Fit))):
        if value not in known:
            raise ConfigError(known_names(what, value, known))
    if size is not None and (len(size) != 2 or not all(isinstance(v, int) and v > 0 for v in size)):
        raise ConfigError(f"size must be width and height in px, got {size!r}")
    if cache is not None and size is None:
        raise ConfigError("a cache holds pictures of one size; give size too")


def _open(
    chosen: Chosen, plan: Plan, what: str, folder: Path, place: str | Path | None, draws: int, augmented: bool, verify: bool
) -> _Opened:
    store = Store.open(_place(chosen.pin, folder) if place is None else place)
    pin = chosen.pin
    samples = open_pin(pin, store) if verify else store.read(pin.version, pin.where)
    whole = store.read(samples.version, maps=())
    declared = [category for each in samples.categories() for category in each]
    rows = strata(samples, chosen, draws) if draws else Strata((Rows.of(samples.rows),), (1,))
    stages = {name: _stage(node, f"{what}: stages.{name}") for name, node in chosen.stages.items()} if augmented else {}
    return _Opened(whole, rows, relabel(plan.categories, declared, chosen), stages)


def _stage(node: Any, where: str) -> Stage:
    made = build(node, where)
    if not isinstance(made, Stage):
        raise ConfigError(f"{where} must be a stage (with a _target_), got {node!r}")
    return made


def _place(pin: Pin, folder: Path) -> str:
    beside = folder / pin.store
    return pin.store if pin.store.startswith("s3://") or not (beside / "synth.json").exists() else str(beside)
