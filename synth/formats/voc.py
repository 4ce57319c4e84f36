"""Pascal VOC: `Annotations/*.xml`, `JPEGImages/`, `ImageSets/*/*.txt`, and masks as palette PNGs in `SegmentationObject/`.

The format: the VOC2012 development kit, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc. What it means here:

- bndbox names pixels, the first being (1, 1) and the last one included: x0 = xmin - 1, x1 = xmax. Tools that draw boxes by their edges
  write x0 and x1 themselves. A source in which any xmin or ymin is 0 comes from one of those and is read so; `zero_based` overrides it.
- A box with xmin = xmax or ymin = ymax is a click or a stroke in such tools and one pixel wide in VOC. It is a fault unless the object's
  mask says that it is there, or `zero_based=False` says that the numbers are VOC's own.
- SegmentationObject: palette index i is object i of the XML, 255 belongs to nobody. At least half of a mask must lie in its object's box,
  and in SegmentationClass, where it is there, an object must have one class. Classes without objects are not read.
- truncated, occluded, difficult: attributes where they are 1 (tools write 0 when nobody said anything); pose, actions and parts (`part`,
  boxes in our law) are attributes too, and what `<attributes>` holds, which CVAT and others add. In an export `difficult` is also what is
  seen too little, because VOC's evaluation passes over it, and `truncated` also what leaves the frame. Boxes are cut at the frame.
- Lists: those of ImageSets/Main, else of ImageSets/Segmentation, else train, val, trainval and test.txt at the top. Lists of one class
  (`cat_train.txt`) are passed over, and `trainval` for pictures of `train` or `val`; `default` is CVAT's name for no split. Without
  lists a first folder named like a split (`train/a.xml`) is the split.
- Any folder of pictures with XML beside them is read too. A picture without XML is a fault: nobody said that nothing is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from synth.errors import FormatError
from synth.formats import reading, xml
from synth.formats.folder import is_split, split_name
from synth.formats.reading import Faults
from synth.formats.voc_masks import object_masks, read_indices
from synth.formats.voc_writing import Writer as Writer
from synth.formats.writing import Box
from synth.record import Record
from synth.types import Category, Instance, Rle, SampleInfo

_FLAGS = ("truncated", "difficult", "occluded")
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_OF_ONE_CLASS = re.compile(r".*\S\s+(-1|0|1)$")
_PERHAPS_ZERO = re.compile(rb"<[xy]min(?:\s[^<>]*)?>\s*(?:[^1-9\s]|[1-9][^<]*[eE])")  # without it, no xmin is below 1: far faster to see
_FOLDERS = ("JPEGImages/", "images/")  # where pictures lie, seen from the top


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """A VOC folder, or any folder of pictures with XML beside them. key: the picture's path below its folder.

    zero_based: whether boxes are edges counted from 0 (True) or VOC's pixels counted from 1 (False); None: as the source looks.
    """

    zero_based: bool | None = None

    def records(self, faults: Faults) -> Iterator[Record]:
        top = self.source.parent if self.source.name.lower() == "annotations" else self.source
        folder = next((path for path in (top / "Annotations", top / "annotations") if path.is_dir()), top)
        files = sorted(folder.rglob("*.xml"))
        if not files:
            raise FormatError(
                f"{self.source}: no XML lies in it; name the folder that holds Annotations/, or pictures with XML beside them"
            )
        zero_based = any(map(_touches_zero, files)) if self.zero_based is None else self.zero_based
        source = _Source(top, zero_based, self.zero_based is not False, _Pictures(top, self.images), _lists(top))
        for file in files:
            where = file.relative_to(top).as_posix()
            try:
                record = source.record(file, file.relative_to(folder).with_suffix("").as_posix())
            except _Faulty as faulty:
                faults.add(where, faulty.faults)
            except FormatError as error:
                faults.add(where, [str(error)])
            else:
                yield record
        for picture in source.pictures.left():
            faults.add(picture, ["no XML says what is in it; the XML of an empty picture is an <annotation> without <object>"])
        for name in sorted(set(source.lists) - source.met):
            faults.add(f"list {', '.join(source.lists[name])}", [f"it names '{name[:80]}', of which there is no XML"], samples=0)


class _Faulty(Exception):
    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(slots=True)
class _Source:
    """What the samples of one reading share. flat_is_fault: whether a box one pixel wide needs a mask to be believed.

    lists: names of the lists that name a picture. met: pictures that have an XML.
    """

    top: Path
    zero_based: bool
    flat_is_fault: bool
    pictures: _Pictures
    lists: Mapping[str, Sequence[str]]
    met: set[str] = field(default_factory=set)

    def record(self, file: Path, name: str) -> Record:
        """The sample of the XML `file`, whose picture has this name without its ending. Raises FormatError or _Faulty."""
        self.met.add(name)
        root = xml.read(file, "annotation")
        key, path = self.pictures.take(name, root.said("filename"))
        picture = reading.read_picture(path, _size(root))
        size = picture.width, picture.height
        objects = root.all("object")
        names = [one.said("name") for one in objects]
        masks = self._masks(name, size, names)
        faults, instances = [], []
        for number, one in enumerate(objects, 1):
            try:
                instances.append(self._instance(one, size, masks.get(number - 1)))
            except FormatError as error:
                faults.append(f"line {one.line}: object {number} ({one.said('name')[:40]}): {error}")
        try:
            split = self._split(name)
        except FormatError as error:
            faults.append(str(error))
        if faults:
            raise _Faulty(faults)
        return Record(
            key=key,
            source="real",
            width=picture.width,
            height=picture.height,
            image=picture.data,
            image_format=picture.format,
            instances=tuple(instances),
            categories=tuple(map(Category, dict.fromkeys(names))),
            info=SampleInfo(split=split),
        )

    def _instance(self, one: xml.Element, size: tuple[int, int], mask: Rle | None) -> Instance:
        name = one.said("name")
        if not name:
            raise FormatError("it has no name")
        box = self._box(one, mask is not None)
        reading.check_box(box, size)
        if mask is not None and not _mostly_inside(mask, box):
            raise FormatError(f"most of its mask lies outside of its box {[round(v, 2) for v in box]}: are the masks in another order?")
        return Instance(
            category=name,
            mask=mask,
            area_px=None if mask is None else int(mask.decode().sum()),
            box_xyxy=box,
            attributes=self._attributes(one) or None,
        )

    def _box(self, one: xml.Element, has_mask: bool) -> Box:
        xmin, ymin, xmax, ymax = (xml.number(one.said("bndbox", edge), edge) for edge in _EDGES)
        flat = [f"{low} {a:g} = {high} {a:g}" for low, high, a, b in (("xmin", "xmax", xmin, xmax), ("ymin", "ymax", ymin, ymax)) if a == b]
        if flat and self.flat_is_fault and not has_mask:
            raise FormatError(f"the box has no area: {', '.join(flat)}; where one pixel is meant, read with zero_based=False")
        return (xmin, ymin, xmax, ymax) if self.zero_based else (xmin - 1, ymin - 1, xmax, ymax)

    def _attributes(self, one: xml.Element) -> dict[str, Any]:
        values: dict[str, Any] = {name: True for name in _FLAGS if xml.flag(one.said(name), name)}
        pose = one.said("pose")
        if pose and pose.lower() != "unspecified":
            values["pose"] = pose
        actions = one.find("actions")
        if actions is not None:
            values["actions"] = {action.tag: xml.flag(action.text, action.tag) for action in actions.children}
        parts = [{"name": part.said("name"), "box_xyxy": list(self._box(part, False))} for part in one.all("part")]
        if parts:
            values["parts"] = parts
        others = one.find("attributes")
        for other in [] if others is None else others.all("attribute"):
            values[other.said("name")] = xml.value_of(other.said("value"))
        return values

    def _masks(self, name: str, size: tuple[int, int], names: Sequence[str]) -> dict[int, Rle]:
        paths = [self.top / folder / f"{name}.png" for folder in ("SegmentationObject", "SegmentationClass")]
        if not paths[0].is_file():
            return {}
        classes = read_indices(paths[1], size) if paths[1].is_file() else None
        return object_masks(read_indices(paths[0], size), classes, names)

    def _split(self, name: str) -> str | None:
        lists = [one for one in self.lists.get(name, ()) if one != "default"]
        if {"train", "val"} & set(lists):
            lists = [one for one in lists if one != "trainval"]
        if len(lists) > 1:
            raise FormatError(f"it stands in the lists of {' and '.join(lists)}; a picture belongs to one split")
        if lists:
            return split_name(lists[0])
        first = name.split("/")[0]
        return split_name(first) if not self.lists and "/" in name and is_split(first) else None


class _Pictures:
    """The pictures of a source by name, each taken by the XML that describes it."""

    def __init__(self, top: Path, images: Path | None) -> None:
        self.top = top if images is None else images
        self.names = [path.relative_to(self.top).as_posix() for path in reading.pictures_in(self.top)]
        below = [folder for folder in _FOLDERS if images is None and any(name.startswith(folder) for name in self.names)]
        self.folders = (*below, "")
        self.by_stem: dict[str, list[str]] = {}
        for name in self.names:
            self.by_stem.setdefault(name.rpartition(".")[0], []).append(name)
        self.taken: set[str] = set()

    def take(self, name: str, filename: str) -> tuple[str, Path]:
        """Key and path of the picture `name`. filename: what the XML calls it, which counts where there is none or more than one of that
        name. Raises FormatError if there is none."""
        filename = filename.replace("\\", "/").rpartition("/")[2]
        for folder in self.folders:
            found = self.by_stem.get(folder + name, [])
            if len(found) > 1:
                found = [one for one in found if one.rpartition("/")[2] == filename] or found
            if found:
                return self._taken(found, folder)
        beside = f"{name.rpartition('/')[0]}/{filename}".lstrip("/")
        for folder in self.folders:
            found = [one for one in self.by_stem.get((folder + beside).rpartition(".")[0], []) if one == folder + beside]
            if found:
                return self._taken(found, folder)
        raise FormatError(f"its picture is missing: there is neither {name}.jpg (or another picture) nor '{filename[:80]}'")

    def _taken(self, found: Sequence[str], folder: str) -> tuple[str, Path]:
        if len(found) > 1:
            raise FormatError(f"several pictures could be meant: {', '.join(found)}; keep one")
        if found[0] in self.taken:
            raise FormatError(f"the picture {found[0]} belongs to another XML already")
        self.taken.add(found[0])
        return found[0].removeprefix(folder), reading.inside(self.top, found[0])

    def left(self) -> list[str]:
        """Pictures that no XML took, where pictures are looked for."""
        folders = self.folders[:-1] or self.folders
        return [name for name in self.names if name not in self.taken and name.startswith(folders)]


def _touches_zero(file: Path) -> bool:
    """Whether a box begins at 0. A file that cannot be read says nothing."""
    try:
        data = reading.read_file(file)
        if b"\0" not in data and not _PERHAPS_ZERO.search(data):
            return False
        objects = xml.read(file, "annotation").all("object")
        return any(0 <= xml.number(one.said("bndbox", edge), edge) < 1 for one in objects for edge in _EDGES[:2])
    except FormatError:
        return False


def _size(root: xml.Element) -> tuple[int, int] | None:
    """Width and height by the XML; None if it does not say, or says 0 as some tools do."""
    width, height = (xml.number(root.said("size", name) or "0", name) for name in ("width", "height"))
    if width % 1 or height % 1:
        raise FormatError(f"its size must be whole numbers, got {width:g}x{height:g}")
    return (int(width), int(height)) if width and height else None


def _lists(top: Path) -> dict[str, list[str]]:
    """The lists that name each picture, from the first folder that has any."""
    for folder in (top / "ImageSets" / "Main", top / "ImageSets" / "Segmentation", top):
        names: dict[str, list[str]] = {}
        files = {path.stem: path for path in sorted(folder.glob("*.txt"))}
        for stem, path in files.items():
            if folder == top and not (is_split(stem) or stem == "trainval"):
                continue  # a README
            text = reading.read_file(path).decode("utf-8", errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if "_" in stem and stem.rpartition("_")[2] in files and all(map(_OF_ONE_CLASS.match, lines)):
                continue
            for line in lines:
                named = line.rpartition(".")[0] if line.lower().endswith(reading.SUFFIXES) else line
                names.setdefault(named, []).append(unquote(stem))
        if names:
            return names
    return {}


def _mostly_inside(mask: Rle, box: Box) -> bool:
    pixels = mask.decode()
    x0, y0, x1, y1 = (max(round(edge), 0) for edge in box)
    return 2 * int(pixels[y0:y1, x0:x1].sum()) >= int(pixels.sum())
