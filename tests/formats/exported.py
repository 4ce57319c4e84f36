"""What the tests of annotation tools' exports share: pictures, records with the labels that these formats hold, broken values."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

import synth
from synth.formats.reading import Faults, Reader
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Obb, Rle, SampleInfo

SHARED = Path(synth.__file__).parent.parent.parent / "shared" / "data" / "formats"
WIDTH, HEIGHT = 40, 24
PERSON = Category("person", ("nose", "eye l", "eye r"), (("eye l", "eye r"),), (("nose", "eye l"), ("nose", "eye r")), (0.1, 0.2, 0.3))
CELL = Category("cell", ("cell",))
BOX = Category("a & <b>")
CATEGORIES = (PERSON, CELL, BOX)


@dataclass
class Listed:
    """Records without a store."""

    given: Sequence[Record]

    def __len__(self) -> int:
        return len(self.given)

    def records(self) -> Iterator[Record]:
        yield from self.given


def png(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A black picture."""
    return bytes(cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1])


def read(reader: Reader) -> tuple[list[Record], Faults]:
    """All that a reader yields."""
    faults = Faults()
    return list(reader.records(faults)), faults


def rectangle_mask(x0: int, y0: int, x1: int, y1: int) -> Rle:
    """A mask of WIDTH x HEIGHT."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return Rle.encode(mask)


_names = st.text("ab é\"<&/%25.'#?", min_size=1, max_size=6)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1e6, 1e6) | _names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=4,
)
_attributes = st.none() | st.dictionaries(_names, _json | _names | st.lists(_names, max_size=3), min_size=1, max_size=3)


def _side(length: int) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(st.floats(0, length - 1.0), st.floats(0.5, length)).map(lambda v: (v[0], min(float(length), v[0] + v[1])))


@st.composite
def instances(draw: st.DrawFn, empty_masks: bool) -> Instance:
    """One with a mask, a rotated box, a box or only points, and what may be beside it."""
    category = draw(st.sampled_from(CATEGORIES))
    kind = draw(st.sampled_from(["mask", "obb", "box", *(["points"] if category.keypoints else [])]))
    labels: dict[str, Any] = {"crowd": draw(st.sampled_from([None, False, True])), "attributes": draw(_attributes)}
    (x0, x1), (y0, y1) = draw(_side(WIDTH)), draw(_side(HEIGHT))
    if kind == "mask":
        pixels = np.array(draw(st.lists(st.integers(0, 2**8 - 1), min_size=HEIGHT, max_size=HEIGHT)), np.uint8)
        mask = np.repeat(np.unpackbits(pixels[:, None], axis=1), WIDTH // 8, axis=1).astype(bool)
        if not empty_masks or draw(st.booleans()):
            mask[3, 5] = True
        rows, columns = np.nonzero(mask)
        labels |= {"mask": Rle.encode(mask), "area_px": int(mask.sum())}
        tight = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)) if mask.any() else None
        labels["box_xyxy"] = draw(st.sampled_from([tight, (x0, y0, x1, y1)])) if tight else None
    if kind == "obb":
        size = st.floats(0.5, 30)
        labels["obb"] = Obb((x0 + x1) / 2, (y0 + y1) / 2, draw(size), draw(size), draw(st.just(0.0) | st.floats(0.001, 3.14)))
        labels["box_xyxy"] = draw(st.sampled_from([None, (x0, y0, x1, y1)]))
    if kind == "box":
        labels["box_xyxy"] = (x0, y0, x1, y1)
    if category.keypoints and (kind == "points" or draw(st.booleans())):
        v = draw(st.lists(st.integers(0, 2), min_size=len(category.keypoints), max_size=len(category.keypoints)))
        v[0] = max(v[0], int(kind == "points"))
        xy = [(draw(st.floats(0, WIDTH)), draw(st.floats(0, HEIGHT))) if one else (0.0, 0.0) for one in v]
        labels["keypoints"] = Keypoints(np.array(xy), np.array(v))
    return Instance(category.name, **labels)


@st.composite
def records(draw: st.DrawFn, empty_masks: bool) -> list[Record]:
    """Two samples with all that these formats hold."""
    text = st.none() | _names
    made = []
    for key in draw(st.lists(_names, min_size=2, max_size=2, unique=True)):
        classes = draw(st.none() | st.lists(_names, max_size=2).map(tuple))
        info = SampleInfo(*(draw(text) for _ in range(5)), classes, draw(_attributes))
        found = tuple(draw(st.lists(instances(empty_masks), max_size=3)))
        made.append(Record(key, "real", WIDTH, HEIGHT, png(), "png", found, CATEGORIES, info=info))
    return made


def assert_same(read: Sequence[Record], written: Sequence[Record]) -> None:
    """What was read is what was written: masks to the pixel, places to a millionth of one."""
    assert [record.key for record in read] == [record.key for record in written]
    for one, other in zip(read, written, strict=True):
        assert (one.size, one.image, one.categories, one.info) == (other.size, other.image, other.categories, other.info)
        found, wanted = (sorted(record.instances, key=_order) for record in (one, other))
        assert len(found) == len(wanted)
        for instance, like in zip(found, wanted, strict=True):
            _assert_same_instance(instance, like)


def _order(instance: Instance) -> tuple[Any, ...]:
    """Lone points come last from a reader, whatever their place was."""
    return instance.box_xyxy is None and instance.mask is None and instance.obb is None and instance.category == "cell"


def _assert_same_instance(found: Instance, wanted: Instance) -> None:
    for label in fields(Instance):
        a, b = getattr(found, label.name), getattr(wanted, label.name)
        assert (a is None) == (b is None), label.name
        if a is None:
            continue
        if isinstance(a, Keypoints):
            np.testing.assert_array_equal(a.v, b.v)
            np.testing.assert_allclose(a.xy, b.xy, rtol=0, atol=1e-6)
        elif isinstance(a, Obb):
            np.testing.assert_allclose(
                (a.center_x, a.center_y, a.width, a.height), (b.center_x, b.center_y, b.width, b.height), rtol=0, atol=1e-6
            )
            assert abs(np.sin(a.angle_rad - b.angle_rad)) < 1e-9
        elif label.name == "box_xyxy":
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
        else:
            assert a == b, label.name


BROKEN = [
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    10**400,
    101,
    "",
    "x",
    "\x00",
    "../../etc/passwd",
    [],
    [[]],
    {},
    {"a": 1},
    [1, "a"],
    "labels",
    "point",
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def broken(value: Any, path: Sequence[Any], by: Any) -> Any:
    """A copy of `value` with another value at `path`."""
    made = copy.deepcopy(value)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    return made
