"""The reader of CVAT for images; what its parts mean is in `cvat`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats import reading, xml
from synth.formats.cvat_labels import Labels, scan
from synth.formats.cvat_shapes import grouped, read_shape, whole
from synth.formats.folder import split_name
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
        met: set[str] = set()
        for element in xml.stream(path, "annotations"):
            if element.tag != "image":
                continue
            where = f"{path.name}, line {element.line}: image '{element.attributes.get('name', '?')[:80]}'"
            found: list[str] = []
            record = None
            try:
                record = _record(element, roots, labels, categories, found)
                if record.key in met:
                    raise FormatError("it stands twice")
                met.add(record.key)
            except FormatError as error:
                found.append(str(error))
            if found:
                faults.add(where, found)
            elif record is not None:
                yield record

    def _file(self) -> Path:
        if not self.source.is_dir():
            return self.source
        files = sorted(self.source.glob("*.xml"))
        named = [file for file in files if file.name == "annotations.xml"]
        if len(named or files) != 1:
            there = ", ".join(file.name for file in files[:5]) or "no XML"
            raise ConfigError(f"{self.source} holds {there}; name the one XML file of 'CVAT for images' to read")
        return (named or files)[0]


def _record(element: xml.Element, roots: Sequence[Path], labels: Labels, categories: tuple[Category, ...], found: list[str]) -> Record:
    """The sample of an <image>. Faults of its shapes go to `found`. Raises FormatError."""
    size = (whole(element, "width"), whole(element, "height"))
    name = element.attribute("name").replace("\\", "/")
    subset = element.attributes.get("subset", "")
    subset = "" if subset == "default" else subset
    picture = reading.read_picture(_find(roots, name, subset), size)
    shapes, classes = [], []
    for shape in element.children:
        label = shape.attributes.get("label", "")
        try:
            if shape.tag == "tag":
                classes.append(_known(label, [*labels.categories, *labels.tags], labels.declared))
            else:
                shapes.append(read_shape(shape, _known(label, labels.categories, labels.declared), labels, (picture.width, picture.height)))
        except (FormatError, LabelError) as error:
            found.append(f"line {shape.line}: {shape.tag} '{label[:40]}': {error}")
    return Record(
        key=f"{subset}/{name}" if subset else name,
        source="real",
        width=picture.width,
        height=picture.height,
        image=picture.data,
        image_format=picture.format,
        instances=tuple(grouped(shapes)),
        categories=categories,
        info=SampleInfo(
            split=split_name(subset) if subset else None,
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
