"""What all writers share: a folder that is whole or absent, which labels are written, and what the format could not hold.

A writer declares in `holds` which labels its format can keep. What a sample has beyond that is counted and reported, or refused with
`strict`: no label is lost in silence.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, ClassVar, Literal
from urllib.parse import quote

from synth.errors import ConfigError, FormatError, LabelError
from synth.record import Record, Records
from synth.types import Category, Instance, Rle, SampleInfo

EXTENSION = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_LONGEST_NAME = 200  # bytes; file systems stop at 255, and writers append endings
_BY_MASK = ("area_px", "box_xyxy", "obb")  # follow from the mask, so who holds that loses nothing with these
_BOXLESS = "instances with keypoints alone"
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
    holds: ClassVar[frozenset[str]]  # names of fields of Instance, `keypoints.v`, `keypoints.xyz_m`; of Record; `info.*`
    can_ignore: ClassVar[bool] = False
    keeps_empty: ClassVar[bool] = False  # whether it can say an instance of which nothing shows

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        if self.below not in ("ignore", "leave_out"):
            raise ConfigError(f"{self.name}: below must be 'ignore' or 'leave_out', got '{self.below}'")
        if not 0 <= self.min_visible_fraction <= 1:
            raise ConfigError(f"{self.name}: min_visible_fraction must be in [0, 1], got {self.min_visible_fraction}")

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        """Begin to write into `folder`."""
        raise NotImplementedError

    def write(self, samples: Records) -> Report:
        """Write `samples`: whole, or not at all. Pictures are copied as they are, byte for byte.

        Raises ConfigError if `out` holds something, FormatError if it cannot be written or, when strict, if a label would be lost.
        """
        categories: dict[str, Category] = {}
        count: Counter[str] = Counter()
        with new_folder(self.out) as folder:
            session = self.session(folder, categories)
            lost = session.lost
            with session.files:
                for record in samples.records():
                    _collect(categories, record)
                    shown = list(self._shown(record, count))
                    if count[_BOXLESS]:
                        lost[_BOXLESS] = count[_BOXLESS]
                    session.add(record, shown)
                    count["images"] += 1
                    count["annotations"] += len(shown)
                    _count_lost(record, shown, self.holds, lost)
                    if self.strict and lost:
                        raise FormatError(
                            f"{self.name} cannot hold {', '.join(sorted(lost))} (sample {record.key}); nothing was written: export "
                            "without --strict, or to another format"
                        )
                session.close()
        return Report(count["images"], count["annotations"], count["ignored"], count["hidden"], count["empty"], dict(lost))

    def _shown(self, record: Record, count: Counter[str]) -> Iterator[Shown]:
        for instance in record.instances:
            box, area = box_and_area(instance, record.size)
            if box is None and not self.keeps_empty:
                points = instance.keypoints
                told = instance.area_px is None and instance.mask is None and points is not None and bool((points.v > 0).any())
                count[_BOXLESS if told else "empty"] += 1
                continue
            hidden = instance.visible_fraction is not None and instance.visible_fraction < self.min_visible_fraction
            if hidden and (self.below == "leave_out" or not self.can_ignore):
                count["hidden"] += 1
                continue
            count["ignored"] += hidden
            yield Shown(instance, box, area, hidden)


def _collect(categories: dict[str, Category], record: Record) -> None:
    for category in record.categories:
        known = categories.setdefault(category.name, category)
        if known != category:
            raise LabelError(f"sample {record.key}: category '{category.name}' was {known} before and is {category} here")


def _count_lost(record: Record, shown: Sequence[Shown], holds: frozenset[str], lost: Counter[str]) -> None:
    for name in _SAMPLE_LABELS:
        if name not in holds and getattr(record, name) is not None:
            lost[name] += 1
    for info in fields(SampleInfo):
        if f"info.{info.name}" not in holds and getattr(record.info, info.name) is not None:
            lost[f"info.{info.name}"] += 1
    for instance in (one.instance for one in shown):
        for label in fields(Instance):
            value = getattr(instance, label.name)
            held = label.name in holds or (label.name in _BY_MASK and instance.mask is not None and "mask" in holds)
            held = held or (label.name == "area_px" and instance.mask is None)  # then it is the box's
            if value is None or value is False or label.name == "category" or held:
                continue
            lost[label.name] += 1
        points = instance.keypoints
        if points is not None and "keypoints" in holds:
            lost["keypoints.v"] += int("keypoints.v" not in holds and bool((points.v == 1).any()))
            lost["keypoints.xyz_m"] += int("keypoints.xyz_m" not in holds and points.xyz_m is not None)
    for name in [name for name, number in lost.items() if not number]:
        del lost[name]


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
