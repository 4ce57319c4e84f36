"""Image folder: the class of a picture is the folder it lies in, `class/a.jpg` or `split/class/a.jpg`; there are no objects.

- A split's folder is `train`, `val` (or `valid`, `validation`) or `test`, in any case. Whether a folder is a split or a class is seen from
  how deep its pictures lie, so a class named `train` is one as long as no classes lie below it.
- A picture without a class lies in `unlabelled/`. The first class is the folder's; the others are lost, and counted.
- A class's name is written with %XX for what a folder's name cannot hold, and read back so. Hidden files and folders are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from synth.errors import ConfigError, FormatError
from synth.formats import reading, writing
from synth.formats.reading import Faults
from synth.formats.writing import Session, Shown
from synth.record import Record
from synth.types import Category, SampleInfo

UNLABELLED = "unlabelled"
_OTHER_PICTURES = (".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".jfif", ".ppm", ".pgm", ".svg", ".dng", ".cr2", ".nef")
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def split_name(text: str) -> str:
    """A split's name as the store knows it: `train`, `val`, `test` whatever the case and spelling, other names as they are."""
    return _SPLITS.get(text.lower(), text)


def is_split(text: str) -> bool:
    """Whether a folder of this name is taken for a split."""
    return text.lower() in _SPLITS


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """Pictures below the folder `source`; `images` has no meaning here. key: path below the folder."""

    def __post_init__(self) -> None:
        reading.Reader.__post_init__(self)
        if self.images is not None or not self.source.is_dir():
            raise ConfigError(f"folder: name the one folder that holds a folder for each class, not {self.images or self.source}")

    def records(self, faults: Faults) -> Iterator[Record]:
        names = []
        for name in _files(self.source, faults):
            if name.suffix.lower() in reading.SUFFIXES:
                names.append(name)
            elif name.suffix.lower() in _OTHER_PICTURES:
                faults.add(str(name), [f"pictures of this kind are not read; save it as one of {', '.join(reading.SUFFIXES)}"])
        if not names and not faults.total:
            raise FormatError(f"{self.source}: no picture lies in it; expected class/a.jpg or split/class/a.jpg")
        splits = {name.parts[0] for name in names if len(name.parts) == 3 and is_split(name.parts[0])}
        tops = {name.parts[0] for name in names if len(name.parts) > 1}
        only_splits = len(tops) > 1 and all(map(is_split, tops))
        for name in names:
            try:
                info = _info(name, splits | tops if only_splits else splits)
                picture = reading.read_picture(reading.inside(self.source, str(name)))
            except FormatError as error:
                faults.add(str(name), [str(error)])
                continue
            yield Record(
                key=str(name),
                source="real",
                width=picture.width,
                height=picture.height,
                image=picture.data,
                image_format=picture.format,
                instances=(),
                categories=(),
                info=info,
            )


def _files(source: Path, faults: Faults) -> list[PurePosixPath]:
    """All that lies below the folder but hidden ones, through links that stay in it, sorted. Links that do not go to `faults`."""
    found: list[PurePosixPath] = []

    def walk(folder: PurePosixPath, above: tuple[Path, ...]) -> None:
        for path in sorted((source / folder).iterdir()):
            name = folder / path.name
            if path.name.startswith((".", "__MACOSX")):
                continue
            try:
                real = reading.inside(source, str(name)).resolve()
                if path.is_symlink() and not path.exists():
                    raise FormatError("it is a link to nothing")
                if real in above:
                    raise FormatError("it is a link to a folder that it lies in")
            except FormatError as error:
                faults.add(str(name), [str(error)])
                continue
            if path.is_dir():
                walk(name, (*above, real))
            else:
                found.append(name)

    walk(PurePosixPath(), (source.resolve(),))
    return found


def _info(name: PurePosixPath, splits: set[str]) -> SampleInfo:
    """What the path says. splits: top folders that are splits."""
    folders = name.parts[:-1]
    split = split_name(folders[0]) if folders and folders[0] in splits else None
    classes = folders[1:] if split is not None else folders
    if len(classes) != 1:
        deep = "no class's folder" if not classes else "more folders than a split's and a class's"
        raise FormatError(f"the picture lies in {deep}; expected class/a.jpg or split/class/a.jpg, split one of {', '.join(_SPLITS)}")
    return SampleInfo(split=split, classes=None if classes[0] == UNLABELLED else (unquote(classes[0]),))


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: a folder for each class, in a folder for each split where a sample has one of the three."""

    name = "folder"
    holds = frozenset({"info.split", "info.classes"})
    keeps_unused = False

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(folder, categories)


class _Session(writing.Session):
    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        split, classes = record.info.split, record.info.classes or ()
        parts = [split] if split in ("train", "val", "test") else []
        self.lost["info.split"] += int(split is not None and not parts)
        self.lost["info.classes"] += int(len(classes) > 1)
        parts.append(_folder_name(classes[0], top=not parts) if classes else UNLABELLED)
        folder = self.folder.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.names.picture(record)).write_bytes(record.image)


def _folder_name(name: str, top: bool) -> str:
    """A class's name as a folder's. top: it lies where splits do, so it must not look like one."""
    text = quote(name, safe=" ")
    if text.startswith(".") or text == UNLABELLED or not text.strip() or text.startswith("__MACOSX") or (top and is_split(text)):
        text = f"%{ord(text[:1] or ' '):02X}{text[1:]}"
    return text
