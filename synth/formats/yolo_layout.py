"""Which pictures and label files a YOLO dataset has, and which do not fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from synth.errors import FormatError
from synth.formats.reading import Faults, pictures_in
from synth.formats.yolo_told import Description, below, decoded, describe
from synth.types import Category

_MAX_LIST_BYTES = 1 << 28
_NOT_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture and its label file, both relative to the root, with `/`."""

    picture: str
    labels: str


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures in order. name: as data.yaml says, None for a plain folder."""

    name: str | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A dataset. kpt_shape: keypoints of an object, and 2 (x y) or 3 (x y v) numbers for each; None without keypoints."""

    root: Path
    categories: tuple[Category, ...]
    kpt_shape: tuple[int, int] | None
    splits: tuple[Split, ...]


def read_layout(source: Path, images: Path | None, faults: Faults) -> Layout:
    """The dataset at `source`: data.yaml, obj.data, or the folder with one of them or with classes.txt.

    Faults: pictures that stand twice or share a label file, label files without a picture, splits without any label file. Raises
    FormatError if the description is wrong or names what is not there.
    """
    told = describe(source, images)
    found: dict[str | None, list[str]] = {}
    seen: dict[str, str] = {}
    folders = []
    for name, places in told.splits.items():
        again, fresh = [], found.setdefault(name, [])
        for text in places:
            place = _place(told, text, f"{name or 'images'}: {text}")
            if place.is_dir():
                folders.append(_relative(told.root, place))
                pictures: Iterator[str] = (_relative(told.root, path) for path in pictures_in(place))
            else:
                pictures = _listed(told, place, faults)
            for picture in pictures:
                if picture in seen:
                    again.append(picture)
                else:
                    seen[picture] = str(name)
                    fresh.append(picture)
        if again:
            what = f"{len(again)} pictures of '{name}' stand in '{seen[again[0]]}' already, the first is {again[0]}; each is read once"
            faults.add(str(source), [what], samples=0)
    splits = _split_entries(told.root, found, faults)
    _check_orphans(told.root, folders, {label_of(picture) for picture in seen}, faults)
    return Layout(told.root, told.categories, told.kpt_shape, splits)


def label_of(picture: str) -> str:
    """The label file of a picture: the last folder `images` of its path is `labels`, the ending `.txt`; beside it without such a folder.

    >>> label_of("images/train/a.jpg"), label_of("a.b.png")
    ('labels/train/a.txt', 'a.b.txt')
    """
    return str(_labels_folder(PurePosixPath(picture).parent) / f"{PurePosixPath(picture).stem}.txt")


def _labels_folder(folder: PurePosixPath) -> PurePosixPath:
    parts = list(folder.parts)
    if "images" not in parts:
        return folder
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return PurePosixPath(*parts)


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _split_entries(root: Path, found: Mapping[str | None, Sequence[str]], faults: Faults) -> tuple[Split, ...]:
    users = Counter(label_of(picture) for pictures in found.values() for picture in pictures)
    splits = []
    for name, pictures in found.items():
        entries = []
        for picture in pictures:
            entry = Entry(picture, label_of(picture))
            if users[entry.labels] > 1:
                faults.add(picture, [f"it shares the label file {entry.labels} with another picture"])
            else:
                entries.append(entry)
        if entries and not any((root / entry.labels).exists() for entry in entries):
            # A picture without labels is background, but a split without any has not been labelled (COCO's test pictures are such).
            what = f"none of the {len(entries)} pictures has a label file, such as {entries[0].labels}; an empty file says: no object"
            faults.add(f"split '{name}'" if name else str(root), [what], samples=len(entries))
            entries = []
        splits.append(Split(name, tuple(entries)))
    return tuple(splits)


def _check_orphans(root: Path, folders: Sequence[str], labels: set[str], faults: Faults) -> None:
    """Every label file in the folders that belong to `folders` has a picture."""
    checked: set[str] = set()
    for folder in folders:
        for path in sorted((root / _labels_folder(PurePosixPath(folder))).rglob("*.txt")):
            name = _relative(root, path)
            if name not in labels | checked and path.name not in _NOT_LABELS and not path.name.lower().startswith("readme"):
                checked.add(name)
                faults.add(name, ["there is no picture for these labels"])


def _listed(told: Description, path: Path, faults: Faults) -> Iterator[str]:
    """The pictures that a list names, one a line: relative to the dataset, to the list (always if the line begins with `./`), or
    Darknet's `data/`, which is the dataset."""
    listing = _relative(told.root, path)
    for number, line in enumerate(decoded(path, _MAX_LIST_BYTES).split("\n"), 1):
        name = line.strip()
        if not name:
            continue
        near, far = path.parent, told.base
        tries = (
            [(near, name), (far, name)] if name.startswith("./") else [(far, name), (near, name), (told.root, name.removeprefix("data/"))]
        )
        try:
            paths = [below(told.root, folder, text) for folder, text in tries]
        except FormatError as error:
            faults.add(f"{listing}:{number}", [str(error)])
            continue
        yield _relative(told.root, next((p for p in paths if p.is_file()), paths[0]))


def _place(told: Description, text: str, what: str) -> Path:
    """A folder or a list of pictures."""
    path = below(told.root, told.base, text.removeprefix("../"))
    if path.is_dir() or path.is_file():
        return path
    raise FormatError(f"{what}: there is no such folder or list in {told.base}; give the dataset's folder as images")
