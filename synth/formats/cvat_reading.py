"""The reader of CVAT for images; what its parts mean is in `cvat`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats import reading, xml
from synth.formats.cvat_labels import Labels, scan
from synth.formats.cvat_shapes import grouped, read_shape, whole
from synth.formats.reading import Faults
from synth.record import Record
from synth.types import Category, SampleInfo


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """An XML file of CVAT, or the folder that holds it. images: folder of the pictures, where they do not lie beside the file."""

    def records(self, faults: Faults) -> Iterator[Record]:
        path = self._file()
        labels = scan(path)
        categories = tuple(labels.categories.values())
        roots = [self.images] if self.images is not None else [path.parent / "images", path.parent]
        uses = _Uses(roots, labels.images)
        for element in xml.stream(path, "annotations"):
            if element.tag != "image":
                continue
            where = f"{path.name}, line {element.line}: image '{element.attributes.get('name', '?')[:80]}'"
            found = uses.faults(element.attributes)
            record = None
            try:
                record = _record(element, roots, labels, categories, found)
            except FormatError as error:
                found.append(str(error))
            if found:
                faults.add(where, found)
            elif record is not None:
                yield record
        if self.images is None and len(list(path.parent.glob("*.xml"))) == 1:  # else others of its pictures may be another file's
            for picture in reading.pictures_in(path.parent / "images"):
                if os.path.realpath(picture) not in uses.pictures:
                    faults.add(picture.relative_to(path.parent).as_posix(), ["no <image> says what is in it"])

    def _file(self) -> Path:
        if not self.source.is_dir():
            return self.source
        files = sorted(self.source.glob("*.xml"))
        named = [file for file in files if file.name == "annotations.xml"]
        if len(named or files) != 1:
            there = ", ".join(file.name for file in files[:5]) or "no XML"
            raise ConfigError(f"{self.source} holds {there}; name the one XML file of 'CVAT for images' to read")
        return reading.inside(self.source, (named or files)[0].name)


class _Uses:
    """Which keys, picture files and numbers several <image> have: of those nobody knows which is right."""

    def __init__(self, roots: Sequence[Path], images: Sequence[Mapping[str, str]]) -> None:
        self.roots = roots
        self.keys = Counter(_key(image) for image in images)
        self.pictures = Counter(path for image in images if (path := self._picture(image)))
        self.ids = Counter(_id(image) for image in images)

    def _picture(self, image: Mapping[str, str]) -> str | None:
        try:
            return os.path.realpath(_find(self.roots, _name(image), image.get("subset", "")))
        except FormatError:
            return None  # said when it is read

    def faults(self, image: Mapping[str, str]) -> list[str]:
        """What an <image> shares with another."""
        if self.keys[_key(image)] > 1:
            return ["it stands twice; keep one of them"]
        picture = self._picture(image)
        if picture is not None and self.pictures[picture] > 1:
            return [f"its picture {Path(picture).name} is that of another <image> too; keep one of them"]
        if "id" in image and self.ids[_id(image)] > 1:
            return [f"its id {image['id'][:40]} is that of another <image> too"]
        return []


def _name(image: Mapping[str, str]) -> str:
    """The path of its picture, of several ways to write one the plain one."""
    name = image.get("name", "").replace("\\", "/")
    return str(PurePosixPath(name)) if name else ""


def _key(image: Mapping[str, str]) -> str:
    subset, name = image.get("subset", ""), _name(image)
    return name if subset in ("", "default") else f"{subset}/{name}"


def _id(image: Mapping[str, str]) -> tuple[str | None, ...]:
    return image.get("task_id"), image.get("subset"), image.get("id")


def _record(element: xml.Element, roots: Sequence[Path], labels: Labels, categories: tuple[Category, ...], found: list[str]) -> Record:
    """The sample of an <image>. Faults of its shapes go to `found`. Raises FormatError."""
    size = (whole(element, "width"), whole(element, "height"))
    element.attribute("name")
    subset = element.attributes.get("subset", "")
    picture = reading.read_picture(_find(roots, _name(element.attributes), subset), size)
    shapes, classes = [], []
    first: dict[Any, int] = {}
    for place, shape in enumerate(element.children):
        label = shape.attributes.get("label", "")
        try:
            if shape.tag == "tag":
                classes.append(_known(label, [*labels.categories, *labels.tags], labels.declared))
            else:
                if (other := first.setdefault(shape.content, place)) != place:
                    raise FormatError(f"it is that of line {element.children[other].line} once more; keep one of them")
                shapes.append(read_shape(shape, _known(label, labels.categories, labels.declared), labels, (picture.width, picture.height)))
        except (FormatError, LabelError) as error:
            found.append(f"line {shape.line}: {shape.tag} '{label[:40]}': {error}")
    return Record(
        key=_key(element.attributes),
        source="real",
        width=picture.width,
        height=picture.height,
        image=picture.data,
        image_format=picture.format,
        instances=tuple(grouped(shapes)),
        categories=categories,
        info=SampleInfo(
            split=None if subset in ("", "default") else subset,
            annotator=labels.annotators.get(element.attributes.get("task_id"), labels.annotators.get(None)),
            classes=tuple(classes) or None,
        ),
    )


def _find(roots: Sequence[Path], name: str, subset: str) -> Path:
    names = [f"{subset}/{name}", f"{quote(subset, safe=' ')}/{name}", name] if subset else [name]
    for root in roots:
        for below in names:
            try:
                path = reading.inside(root, below)
            except FormatError:
                continue  # a subset may be called as no folder can be
            if os.path.isfile(path):  # unlike Path's, it takes a name that is too long for one that is not there
                return path
    reading.inside(roots[-1], name)
    raise FormatError(f"its picture is missing; looked in {', '.join(map(str, roots))}")


def _known(label: str, known: Collection[str], declared: bool) -> str:
    if not label:
        raise FormatError("it has no label")
    if declared and label not in known:
        raise FormatError(f"its label is none of <meta>'s: {', '.join(known)[:200]}")
    return label
