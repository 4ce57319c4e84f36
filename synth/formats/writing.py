"""What all writers share: a folder that is whole or absent, which labels are written, and what the format could not hold.

A writer declares in `holds` which labels its format can keep. What a sample has beyond that is counted and reported, or refused with
`strict`: no label is lost in silence.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, ClassVar, Literal
from urllib.parse import quote

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats.reading import brief
from synth.record import Record, Records
from synth.types import Category, Instance, Rle, SampleInfo

EXTENSION = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_LONGEST_NAME = 200  # bytes; file systems stop at 255, and writers append endings
_BOXLESS = "instances without a box or mask"
_UNUSED = "categories without an instance"
_LAYOUT = ("mirror", "skeleton", "sigmas")  # of a category's keypoints
_SLACK_PX = 1e-6
_SAMPLE_LABELS = ("depth", "normals", "camera")
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An instance to write. box_xyxy and area_px: of what shows of it, from the mask where the instance does not say; None if nothing
    shows (only for writers that keep such). ignored: seen too little to be scored."""

    instance: Instance
    box_xyxy: Box | None
    area_px: float
    ignored: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What was written and what was not. ignored: written as regions to ignore; lost: labels that the format cannot hold, by name."""

    images: int
    annotations: int
    ignored: int = 0
    left_out_hidden: int = 0
    left_out_empty: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.images} images, {self.annotations} annotations"
        for count, what in (
            (self.ignored, "of them marked ignore: seen too little"),
            (self.left_out_hidden, "labels left out: seen too little"),
            (self.left_out_empty, "labels left out: nothing of them shows"),
        ):
            text += f"; {count} {what}" if count else ""
        if self.lost:
            text += "; the format cannot hold: " + ", ".join(f"{name} ({count})" for name, count in sorted(self.lost.items()))
        return text


class Session:
    """One export while it is written into `folder`. categories: those met so far, in order; it grows before each `add`.

    lost: labels that `holds` names and that could not be said all the same, by name; `add` counts them.
    """

    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        self.folder, self.categories = folder, categories
        self.lost: Counter[str] = Counter()
        self.names = FileNames()
        self.files = ExitStack()  # closed however the export ends

    def open(self, name: str) -> IO[str]:
        """A new text file below the folder, closed at the end."""
        return self.files.enter_context((self.folder / name).open("w", encoding="utf-8"))

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        """Write one sample with these of its instances."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what comes at the end. Not called when something went wrong."""


@dataclass(frozen=True)
class Writer:
    """An export to the new folder `out`. A format module has a subclass with this name.

    min_visible_fraction: instances seen less are marked `ignore` where the format has a mark for that, else left out; below="leave_out"
    leaves them out in any case. strict: refuse rather than lose a label. licences: names (SPDX where there is one) of what the pictures
    show. provenance: JSON values such as store, ref, version; kept where the format has a place.
    """

    out: Path
    min_visible_fraction: float = 0.1
    below: Literal["ignore", "leave_out"] = "ignore"
    strict: bool = False
    licences: Sequence[str] = ()
    provenance: Mapping[str, Any] | None = None

    name: ClassVar[str]  # of the format, for messages
    # Names of fields of Instance, `keypoints.v`, `keypoints.xyz_m`; of Record; `info.*`; `category.mirror`, `.skeleton`, `.sigmas`.
    holds: ClassVar[frozenset[str]]
    can_ignore: ClassVar[bool] = False
    keeps_unused: ClassVar[bool] = True  # whether it lists categories of which there is no instance
    keeps_boxless: ClassVar[bool] = False  # whether it can say an instance whose extent nobody gave
    keeps_empty: ClassVar[bool] = False  # whether it can say an instance of which nothing shows, too

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        if self.below not in ("ignore", "leave_out"):
            raise ConfigError(f"{self.name}: below must be 'ignore' or 'leave_out', got '{self.below}'")
        least = self.min_visible_fraction
        if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least <= 1:
            raise ConfigError(f"{self.name}: min_visible_fraction must be in [0, 1], got {least}")
        if not isinstance(self.strict, bool):
            raise ConfigError(f"{self.name}: strict must be true or false, got {brief(self.strict)}")

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        """Begin to write into `folder`."""
        raise NotImplementedError

    def write(self, samples: Records) -> Report:
        """Write `samples`: whole, or not at all. Pictures are copied as they are, byte for byte.

        Categories of one name are one, with all that any sample says of its keypoints.

        Raises ConfigError if there are none or `out` holds something, LabelError if two samples give a category different keypoints,
        FormatError if it cannot be written or, when strict, if a label would be lost.
        """
        if not len(samples):
            raise ConfigError(f"{self.name}: there is no sample to export; nothing was written")
        categories: dict[str, Category] = {}
        used: set[str] = set()
        differs: dict[str, set[str]] = {name: set() for name in _LAYOUT}
        count: Counter[str] = Counter()
        with new_folder(self.out) as folder:
            session = self.session(folder, categories)
            lost = session.lost
            with session.files:
                for record in samples.records():
                    self._collect(categories, record, differs)
                    before = count["hidden"]
                    shown = list(self._shown(record, count))
                    if count[_BOXLESS]:
                        lost[_BOXLESS] = count[_BOXLESS]
                    session.add(record, shown)
                    used |= {one.instance.category for one in shown}
                    count["images"] += 1
                    count["annotations"] += len(shown)
                    _count_lost(record, shown, self.holds, lost)
                    if self.strict and count["hidden"] > before and self.below == "ignore":
                        raise FormatError(
                            f"{self.name} has no mark for instances seen too little, and --strict leaves none out (sample {record.key}); "
                            "nothing was written: export with --min-visible 0 or without --strict"
                        )
                    self._check_strict(lost, f" (sample {record.key})")
                _count_lost_categories(categories.values(), self.holds, differs, lost)
                if not self.keeps_unused and len(used) < len(categories):
                    lost[_UNUSED] = len(categories) - len(used)
                self._check_strict(lost)
                session.close()
        return Report(count["images"], count["annotations"], count["ignored"], count["hidden"], count["empty"], dict(lost))

    def _check_strict(self, lost: Mapping[str, int], where: str = "") -> None:
        if self.strict and lost:
            raise FormatError(
                f"{self.name} cannot hold {', '.join(sorted(lost))}{where}; nothing was written: export without --strict, or to another "
                "format"
            )

    def _shown(self, record: Record, count: Counter[str]) -> Iterator[Shown]:
        for instance in record.instances:
            box, area = box_and_area(instance, record.size)
            if box is None and not self.keeps_empty and (not self.keeps_boxless or _shows_nothing(instance)):
                count_unsaid(instance, count)
                continue
            hidden = instance.visible_fraction is not None and instance.visible_fraction < self.min_visible_fraction
            if hidden and (self.below == "leave_out" or not self.can_ignore):
                count["hidden"] += 1
                continue
            count["ignored"] += hidden
            yield Shown(instance, box, area, hidden)

    def _collect(self, categories: dict[str, Category], record: Record, differs: Mapping[str, set[str]]) -> None:
        """Add what a sample says of its categories to what is known; what contradicts that goes to `differs`, by part."""
        for category in record.categories:
            known = categories.setdefault(category.name, category)
            if known == category or not category.keypoints:
                continue
            if not known.keypoints:
                categories[category.name] = category
            elif known.keypoints == category.keypoints:
                for part in _LAYOUT:
                    if _differ(getattr(known, part), getattr(category, part)):
                        differs[part].add(category.name)
                absent = {part: getattr(category, part) for part in _LAYOUT if not getattr(known, part)}
                categories[category.name] = replace(known, **absent)
            elif "keypoints" in self.holds:
                pairs = zip_longest(known.keypoints, category.keypoints)
                place, (one, other) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
                raise LabelError(
                    f"sample {record.key}: keypoint {place} of '{category.name}' is {_quoted(other)}, {_quoted(one)} in samples before; "
                    "export them apart"
                )


def _differ(known: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether both are given and say different things; the two names of a pair, and the pairs, may stand in any order."""
    if not known or not other or known == other:
        return False
    return isinstance(known[0], float) or {frozenset(pair) for pair in known} != {frozenset(pair) for pair in other}


def _quoted(name: str | None) -> str:
    return "missing" if name is None else f"'{name}'"


def count_unsaid(instance: Instance, count: Counter[str]) -> None:
    """Count an instance that is not written: left out because nothing of it shows, or lost."""
    count["empty" if _shows_nothing(instance) else _BOXLESS] += 1


def _shows_nothing(instance: Instance) -> bool:
    """Whether it is known that nothing of it shows."""
    return instance.area_px == 0 or instance.visible_fraction == 0 or (instance.mask is not None and not _measured(instance.mask)[1])


def _count_lost_categories(
    categories: Iterable[Category], holds: frozenset[str], differs: Mapping[str, set[str]], lost: Counter[str]
) -> None:
    for category in categories:
        for part in _LAYOUT:
            if category.name in differs[part] or (getattr(category, part) and f"category.{part}" not in holds):
                lost[f"category.{part}"] += 1


def _count_lost(record: Record, shown: Sequence[Shown], holds: frozenset[str], lost: Counter[str]) -> None:
    for name in _SAMPLE_LABELS:
        if name not in holds and getattr(record, name) is not None:
            lost[name] += 1
    for info in fields(SampleInfo):
        name = f"info.{info.name}"
        if name not in holds and name != "info.dataset" and getattr(record.info, info.name) is not None:  # the dataset is but a filing
            lost[name] += 1
    for instance in (one.instance for one in shown):
        given = [label.name for label in fields(Instance) if label.name not in holds and label.name != "category"]
        given = [name for name in given if getattr(instance, name) is not None and getattr(instance, name) is not False]
        follows = _follows(instance, record, "mask" in holds) if {"area_px", "box_xyxy", "obb"} & set(given) else frozenset()
        for name in given:
            lost[name] += name not in follows
        points = instance.keypoints
        if points is not None and "keypoints" in holds:
            lost["keypoints.v"] += int("keypoints.v" not in holds and bool((points.v == 1).any()))
            lost["keypoints.xyz_m"] += int("keypoints.xyz_m" not in holds and points.xyz_m is not None)
    for name in [name for name, number in lost.items() if not number]:
        del lost[name]


def _follows(instance: Instance, record: Record, with_mask: bool) -> frozenset[str]:
    """The labels that follow from the others of an instance, so that who writes those loses nothing without these."""
    if instance.mask is not None and not with_mask:
        return frozenset()
    found: set[str] = set()
    bare = Instance(instance.category, instance.mask, box_xyxy=None if instance.mask else instance.box_xyxy, obb=instance.obb)
    box, area = box_and_area(bare, record.size)
    if instance.area_px is not None and abs(instance.area_px - area) <= (0 if instance.mask else 0.5):
        found.add("area_px")
    if instance.mask is not None:
        given = instance.box_xyxy
        if given is not None and box is not None and all(abs(a - b) <= _SLACK_PX for a, b in zip(given, box, strict=True)):
            found.add("box_xyxy")
        if record.source == "synthetic":
            found.add("obb")  # measured from the mask when it was made
    return frozenset(found)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes it at the end, or is gone if anything goes wrong."""
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there and not an empty folder; name a new one")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(out)
    except OSError as error:
        raise FormatError(f"cannot write {out}: {error.strerror or error} ({error.filename}); nothing is left there") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


class FileNames:
    """A file name for each key: no folders, nothing that a file system could take for a path, short enough, never twice."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def stem(self, record: Record) -> str:
        """The name without an ending: the key, `/` as `__`, without the picture's own ending, other odd characters as %XX."""
        key = record.key
        for ending in (f".{EXTENSION[record.image_format]}", f".{record.image_format}"):
            if key.lower().endswith(ending) and len(key) > len(ending):
                key = key[: -len(ending)]
                break
        name = quote(key.replace("/", "__"), safe=" ")
        name = f"%2E{name[1:]}" if name.startswith(".") else name
        mark = hashlib.sha256(record.key.encode()).hexdigest()[:8]
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 9]}-{mark}"
        wanted, times = name, 1
        while name.lower() in self._used:  # some file systems do not tell cases apart
            name = f"{wanted}-{mark}" if times == 1 else f"{wanted}-{mark}-{times}"
            times += 1
        self._used.add(name.lower())
        return name

    def picture(self, record: Record) -> str:
        """The name of the picture's file."""
        return f"{self.stem(record)}.{EXTENSION[record.image_format]}"


def box_and_area(instance: Instance, size: tuple[int, int] | None = None) -> tuple[Box | None, float]:
    """The box and area of what shows, from the mask where they are not given; with the picture's `size`, where there is no mask either, of
    the part of the rotated box that lies in it. None if nothing of it shows or nobody gave an extent."""
    box, mask = instance.box_xyxy, instance.mask
    area: float | None = instance.area_px
    if mask is not None and (box is None or area is None):
        measured, area = _measured(mask)
        box = measured if box is None else box
    elif box is None and instance.obb is not None and size is not None:
        corners = instance.obb.corners_xy.clip(0, size)
        (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        box = (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
        area = instance.obb.width * instance.obb.height if area is None else area
    if box is None or area == 0:
        return None, 0
    return box, float((box[2] - box[0]) * (box[3] - box[1])) if area is None else area


def _measured(mask: Rle) -> tuple[Box | None, int]:
    from pycocotools import mask as coco

    rle = {"size": [mask.height, mask.width], "counts": mask.counts}
    area = int(coco.area(rle))
    x, y, width, height = coco.toBbox(rle).tolist()
    return ((x, y, x + width, y + height) if area else None), area
