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
  (`cat_train.txt`) are passed over, and `trainval` for pictures of `train` or `val`; `default` is CVAT's name for no split. A list in
  ImageSets is a split of that name, to the letter. Without lists a first folder named like a split (`train/a.xml`) is the split.
- Faults too: an object that stands twice with all its fields equal, a <filename> that is another picture's, a mask without XML, and
  <segmented> without a mask where SegmentationObject has those of others (alone, boxes are read without masks).
- Any folder of pictures with XML beside them is read too. A picture without XML is a fault: nobody said that nothing is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.errors import ConfigError, FormatError
from synth.formats import reading, xml
from synth.formats.folder import is_split, split_name
from synth.formats.reading import Faults
from synth.formats.voc_masks import object_masks, read_indices
from synth.formats.voc_pictures import Pictures, read_lists, read_xml
from synth.formats.voc_writing import Writer as Writer
from synth.formats.writing import Box
from synth.record import Record
from synth.types import Category, Instance, Rle, SampleInfo

_FLAGS = ("truncated", "difficult", "occluded")
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_PERHAPS_ZERO = re.compile(rb"<[xy]min(?:\s[^<>]*)?>\s*(?:[^1-9\s]|[1-9][^<]*[eE])")  # without it, no xmin is below 1: far faster to see
_MASKS = ("SegmentationObject", "SegmentationClass")


@dataclass(frozen=True, slots=True)
class Reader(reading.Reader):
    """A VOC folder, or any folder of pictures with XML beside them. key: the picture's path below its folder.

    zero_based: whether boxes are edges counted from 0 (True) or VOC's pixels counted from 1 (False); None: as the source looks.
    """

    zero_based: bool | None = None

    def __post_init__(self) -> None:
        reading.Reader.__post_init__(self)
        if self.zero_based is not None and not isinstance(self.zero_based, bool):
            raise ConfigError(f"voc: zero_based must be true or false, got {reading.brief(self.zero_based)}")

    def records(self, faults: Faults) -> Iterator[Record]:
        top = self.source.parent if self.source.name.lower() == "annotations" else self.source
        folder = next((path for path in (top / "Annotations", top / "annotations") if path.is_dir()), top)
        files = sorted(folder.rglob("*.xml"))
        if not files:
            raise FormatError(
                f"{self.source}: no XML lies in it; name the folder that holds Annotations/, or pictures with XML beside them"
            )
        zero_based = any(_touches_zero(top, file) for file in files) if self.zero_based is None else self.zero_based
        names = {file: file.relative_to(folder).with_suffix("").as_posix() for file in files}
        source = _Source(top, zero_based, self.zero_based is not False, Pictures(top, self.images, names), read_lists(top))
        for file, name in names.items():
            where = file.relative_to(top).as_posix()
            try:
                record = source.record(file, name)
            except (_Faulty, FormatError) as error:
                faults.add(where, error.faults if isinstance(error, _Faulty) else [str(error)])
                source.pictures.settle(name)
            else:
                yield record
        for picture in source.pictures.left():
            faults.add(picture, ["no XML says what is in it; the XML of an empty picture is an <annotation> without <object>"])
        for name in sorted(set(source.lists) - source.met):
            lists = ", ".join(split or "default" for split in source.lists[name])
            faults.add(f"list {lists}", [f"it names '{name[:80]}', of which there is no XML"], samples=0)
        for mask in (mask for kind in _MASKS for mask in sorted((top / kind).rglob("*.png"))):
            if mask.relative_to(top / mask.relative_to(top).parts[0]).with_suffix("").as_posix() not in source.met:
                faults.add(mask.relative_to(top).as_posix(), ["no XML says whose mask it is"], samples=0)


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
    pictures: Pictures
    lists: Mapping[str, Sequence[str | None]]
    met: set[str] = field(default_factory=set)

    def record(self, file: Path, name: str) -> Record:
        """The sample of the XML `file`, whose picture has this name without its ending. Raises FormatError or _Faulty."""
        self.met.add(name)
        root = read_xml(self.top, file)
        key, path = self.pictures.take(name, root.said("filename"))
        picture = reading.read_picture(path, _size(root))
        size = picture.width, picture.height
        objects = root.all("object")
        names = [one.said("name") for one in objects]
        masks = self._masks(name, size, names, root.said("segmented") in ("1", "true"))
        faults, instances = [], []
        first: dict[Any, int] = {}
        for number, one in enumerate(objects, 1):
            try:
                mask = masks.get(number - 1)
                other = first.setdefault((one.content, None if mask is None else mask.counts), number)
                if other < number:
                    raise FormatError(f"it is object {other} once more; keep one of them")
                instances.append(self._instance(one, size, mask))
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
        if len(one.all("bndbox")) > 1:
            raise FormatError(f"it has {len(one.all('bndbox'))} <bndbox>; an object has one box")
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

    def _masks(self, name: str, size: tuple[int, int], names: Sequence[str], told: bool) -> dict[int, Rle]:
        """The masks of the objects. told: the XML says that there are some."""
        paths = [reading.inside(self.top, f"{folder}/{name}.png") for folder in _MASKS]
        if not paths[0].is_file():
            if told and paths[0].parent.is_dir():
                raise FormatError(f"it is <segmented>, but its masks {_MASKS[0]}/{name}.png are missing")
            return {}
        classes = read_indices(paths[1], size) if paths[1].is_file() else None
        return object_masks(read_indices(paths[0], size), classes, names)

    def _split(self, name: str) -> str | None:
        lists = [one for one in self.lists.get(name, ()) if one is not None]
        if {"train", "val"} & set(lists):
            lists = [one for one in lists if one != "trainval"]
        if len(lists) > 1:
            raise FormatError(f"it stands in the lists of {' and '.join(lists)}; a picture belongs to one split")
        if lists:
            return lists[0]
        first = name.split("/")[0]
        return split_name(first) if not self.lists and "/" in name and is_split(first) else None


def _touches_zero(top: Path, file: Path) -> bool:
    """Whether a box begins at 0. A file that cannot be read says nothing."""
    try:
        data = reading.read_file(reading.inside(top, file.relative_to(top).as_posix()))
        if b"\0" not in data and not _PERHAPS_ZERO.search(data):
            return False
        objects = read_xml(top, file).all("object")
        return any(0 <= xml.number(one.said("bndbox", edge), edge) < 1 for one in objects for edge in _EDGES[:2])
    except FormatError:
        return False


def _size(root: xml.Element) -> tuple[int, int] | None:
    """Width and height by the XML; None if it does not say, or says 0 as some tools do."""
    width, height = (xml.number(root.said("size", name) or "0", name) for name in ("width", "height"))
    if width % 1 or height % 1:
        raise FormatError(f"its size must be whole numbers, got {width:g}x{height:g}")
    if bool(width) != bool(height):
        raise FormatError(f"its size is {width:g}x{height:g}; say both, or 0x0 where nobody knows")
    return (int(width), int(height)) if width else None


def _mostly_inside(mask: Rle, box: Box) -> bool:
    pixels = mask.decode()
    x0, y0, x1, y1 = (max(round(edge), 0) for edge in box)
    return 2 * int(pixels[y0:y1, x0:x1].sum()) >= int(pixels.sum())
