"""Reads COCO; synth/formats/coco.py says what the fields mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from synth.errors import FormatError
from synth.formats import reading
from synth.formats.coco_entries import MARK, read_annotation, read_category, read_info
from synth.formats.reading import MAX_PIXELS, Faults, brief, inside, read_json, read_picture, text, whole
from synth.record import Record
from synth.types import Category, Instance, SampleInfo


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """A COCO file, or a folder that has one.

    Without `images`, the pictures are looked for beside the file, in `images/`, and where COCO itself has them: a folder above, named as
    the end of the file's name is (`instances_train2017.json`: `../train2017`, `../images/train2017`).
    """

    def records(self, faults: Faults) -> Iterator[Record]:
        path = _file(self.source)
        with _place(path):
            file = _File(read_json(path, keep_nan=True))
            root = self.images or _pictures(path, [image.get("file_name") for image in file.images if isinstance(image, dict)])
            file.find_links(root)
        file.sort_annotations(str(path), faults)
        for number, image in enumerate(file.images):
            found: list[str] = []
            record = file.record(image, root, found)
            if found:
                faults.add(f"{path}: {_named(image, number)}", found)
            elif record is not None:
                yield record


class _File:
    """What a COCO file says, its parts sorted by id. Raises FormatError if no picture of it could be understood."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"a COCO file holds one object with images, annotations and categories, this one {brief(value)}")
        for part in ("images", "annotations", "categories"):
            if not isinstance(value.get(part), list):
                raise FormatError(f"'{part}' must be a list, got {brief(value.get(part))}; is it a COCO file of instances or keypoints?")
        info = value.get("info")
        self.ours = isinstance(info, dict) and info.get(MARK) == 1
        self.images: list[Any] = value["images"]
        self._annotations: list[Any] = value["annotations"]
        self._by_image: dict[int, list[tuple[str, Any]]] = {}
        self._categories = self._all_categories(value["categories"])
        self._all = tuple(self._categories.values())
        self._licences = _licences(value.get("licenses"))
        entries = [image for image in self.images if isinstance(image, dict)]
        self._ids = Counter(image["id"] for image in entries if type(image.get("id")) is int)
        self._files = Counter(_path(image["file_name"]) for image in entries if isinstance(image.get("file_name"), str))
        self._keys = Counter(image["key"] for image in entries if isinstance(image.get("key"), str)) if self.ours else Counter()
        self._repeated: set[int] = set()
        self._real: Counter[Path] = Counter()

    def _all_categories(self, entries: list[Any]) -> dict[int, Category]:
        found: dict[int, Category] = {}
        for i, entry in enumerate(entries):
            with _place(f"categories[{i}]"):
                if not isinstance(entry, dict):
                    raise FormatError(f"it must be an object, got {brief(entry)}")
                number, category = whole(entry.get("id"), "id"), read_category(entry, self.ours)
                if number in found or category.name in {other.name for other in found.values()}:
                    raise FormatError(f"id {number} or name '{category.name}' stands twice; each category has its own")
                found[number] = category
        return found

    def sort_annotations(self, where: str, faults: Faults) -> None:
        """Give each annotation to its picture. What belongs to no picture goes to `faults`."""
        ids = Counter(one["id"] for one in self._annotations if isinstance(one, dict) and type(one.get("id")) is int)
        self._repeated = {number for number, times in ids.items() if times > 1}
        for i, one in enumerate(self._annotations):
            try:
                if not isinstance(one, dict):
                    raise FormatError(f"it must be an object, got {brief(one)}")
                image_id = whole(one.get("image_id"), "image_id")
                if image_id not in self._ids:
                    raise FormatError(f"image_id {image_id} is the id of no image; add the image or remove the annotation")
                self._by_image.setdefault(image_id, []).append((_named(one, i, "annotation"), one))
            except FormatError as error:
                faults.add(f"{where}: {_named(one, i, 'annotation')}", [str(error)], samples=0)

    def find_links(self, root: Path) -> None:
        """See which names are of one file."""
        for name in self._files:
            with suppress(FormatError, OSError):
                self._real[inside(root, name).resolve()] += 1

    def record(self, image: Any, root: Path, faults: list[str]) -> Record | None:
        """The sample of an image entry; what is wrong with it goes to `faults`, and then it is not to be used."""
        size: tuple[int, int] | None = None
        picture, number, licence, name, info = None, None, None, "", SampleInfo()
        with _collected(faults):
            if not isinstance(image, dict):
                raise FormatError(f"it must be an object, got {brief(image)}")
            number = whole(image.get("id"), "id")
            if self._ids[number] > 1:
                raise FormatError(f"id {number} stands {self._ids[number]} times; each image has its own")
            if "width" in image or "height" in image:
                width, height = whole(image.get("width"), "width", 1), whole(image.get("height"), "height", 1)
                if width * height > MAX_PIXELS:
                    raise FormatError(f"width {brief(width)} and height {brief(height)} make more than {MAX_PIXELS} pixels")
                size = width, height
            licence = self._licence(image.get("license"))
            name = _path(text(image.get("file_name"), "file_name"))
            if self._files[name] > 1:
                raise FormatError(f"file_name {brief(name)} stands {self._files[name]} times; put all its annotations on one image")
            if self._real[inside(root, name).resolve()] > 1:
                raise FormatError(f"file_name {brief(name)} is the picture of another image, through a link; remove one")
            if self.ours and "key" in image:
                name = text(image["key"], "key")
                if self._keys[name] > 1:
                    raise FormatError(f"key {brief(name)} stands {self._keys[name]} times")
            info = read_info(image["info"], licence) if self.ours and "info" in image else SampleInfo(licence=licence)
            picture = read_picture(inside(root, image["file_name"]), size)
            size = picture.width, picture.height
        instances = [] if number is None or size is None else self._instances(number, size, faults)
        if picture is None or faults:
            return None
        return Record(
            key=name, source="real", width=picture.width, height=picture.height, image=picture.data, image_format=picture.format,
            instances=tuple(instances), categories=self._all, info=info,
        )  # fmt: skip

    def _instances(self, image: int, size: tuple[int, int], faults: list[str]) -> list[Instance]:
        found: list[Instance] = []
        seen: dict[str, str] = {}
        for name, entry in self._by_image.get(image, ()):
            with _collected(faults, f"{name}: "):
                number = whole(entry.get("id"), "id")
                if number in self._repeated:
                    raise FormatError("its id stands more than once; each annotation has its own")
                first = seen.setdefault(json.dumps({**entry, "id": 0}, sort_keys=True), name)
                if first != name and not self.ours:  # of ours, two may be equal in all that is known of them
                    raise FormatError(f"it is {first} once more; remove one")
                category_id = whole(entry.get("category_id"), "category_id")
                if category_id not in self._categories:
                    raise FormatError(f"category_id {category_id} is the id of no category; known: {_few(self._categories)}")
                found.append(read_annotation(entry, self._categories[category_id], size, self.ours))
        return found

    def _licence(self, number: Any) -> str | None:
        if number is None or not self._licences:  # many tools number licences that they do not list
            return None
        if whole(number, "license") not in self._licences:
            raise FormatError(f"license {number} is the id of no licence; known: {_few(self._licences)}")
        return self._licences[number]


def _licences(value: Any) -> dict[int, str | None]:
    """Names by id; None where a licence has no name."""
    entries = value if isinstance(value, list) else []
    return {
        entry["id"]: entry["name"] if isinstance(entry.get("name"), str) and entry["name"] else None
        for entry in entries
        if isinstance(entry, dict) and type(entry.get("id")) is int
    }


def _file(source: Path) -> Path:
    """The JSON file that is meant by a folder."""
    if not source.is_dir():
        return source
    whole_export = source / "annotations.json"
    found = [whole_export] if whole_export.exists() else sorted([*source.glob("*.json"), *source.glob("annotations/*.json")])
    if len(found) != 1:
        raise FormatError(f"{source} has {len(found)} JSON files ({_few(path.name for path in found) or 'none'}); name the one to read")
    return inside(source, str(found[0].relative_to(source)))


def _pictures(path: Path, names: Sequence[Any]) -> Path:
    """The folder below which one of the named pictures is."""
    above, split = path.absolute().parent.parent, path.stem.rpartition("_")[2]
    folders = [path.parent, path.parent / "images", above / split, above / "images" / split, above / "images"]
    for folder in folders:
        for name in names:
            try:
                if inside(folder, name).is_file():
                    return folder
            except (FormatError, OSError):
                continue
    if names:
        raise FormatError(f"none of its {len(names)} pictures is in {_few(folders, 5)}; name their folder with --images")
    return path.parent


def _path(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _named(entry: Any, number: int, what: str = "image") -> str:
    """An entry as a message names it."""
    if not isinstance(entry, dict):
        return f"{what}s[{number}]"
    name = f" ({brief(entry['file_name'])})" if what == "image" and "file_name" in entry else ""
    return f"{what} {brief(entry['id'])}{name}" if "id" in entry else f"{what}s[{number}]{name}"


def _few(names: Any, most: int = 10) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


@contextmanager
def _collected(faults: list[str], where: str = "") -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        faults.append(f"{where}{error}")


@contextmanager
def _place(where: object) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        message = str(error)
        raise FormatError(message if message.startswith((str(where), "cannot read")) else f"{where}: {message}") from error
