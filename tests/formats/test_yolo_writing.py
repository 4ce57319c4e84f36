"""YOLO datasets as they are written: each task comes back as it was, files by hand-computed values, what cannot be held is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from synth.errors import FormatError
from synth.formats.yolo import Reader, Task, Writer
from synth.record import Output, Record, encode_image
from synth.types import Category, Instance, Keypoints, Obb, Rle, SampleInfo
from tests.formats.exported import Listed, read
from tests.formats.test_yolo import HEIGHT, PICTURE, WIDTH, few

PERSON = Category("person", ("nose", "left", "right"), (("left", "right"),))
DOG = Category("dog", ("snout", "ear 1", "ear 2"), (("ear 1", "ear 2"),))
STONE = Category("stone")
CATEGORIES = (PERSON, DOG, STONE)
_shares = st.floats(0, 1)


def _numbered(number: int, size: tuple[int, int]) -> bytes:
    """A picture that no other number has."""
    return encode_image(np.full((size[1], size[0], 3), number, np.uint8), Output("png"))


_sizes = st.tuples(st.integers(1, 300), st.integers(1, 300)) | st.just((16384, 3))


@st.composite
def _boxes(draw: st.DrawFn, size: tuple[int, int]) -> tuple[float, float, float, float]:
    ends = []
    for length in size:
        low = draw(st.floats(0, length - 0.5))
        ends.append((low, draw(st.floats(low + 0.25, length))))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


@st.composite
def _masks(draw: st.DrawFn, size: tuple[int, int]) -> Rle:
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    mask = np.zeros((size[1], size[0]), bool)
    for _ in range(draw(st.integers(1, 4))):  # rectangles that are set and cut out: parts, holes, corners that touch
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] ^= True
    if not mask.any():
        mask[0, 0] = True
    return Rle.encode(mask)


@st.composite
def _keypoints(draw: st.DrawFn, size: tuple[int, int]) -> Keypoints:
    v = draw(st.lists(st.integers(0, 2), min_size=3, max_size=3))
    xy = [(draw(_shares) * size[0], draw(_shares) * size[1]) if one else (0.0, 0.0) for one in v]
    return Keypoints(np.array(xy), np.array(v))


@st.composite
def _records(draw: st.DrawFn, task: Task) -> list[Record]:
    made = []
    split = st.none() | st.sampled_from(["train", "val", "test", "Train", "hold out/1", "..", "é"])
    keys = draw(st.lists(st.text("ab./é %", min_size=1, max_size=5), min_size=1, max_size=3, unique=True))
    for number, key in enumerate(keys):
        size = draw(_sizes if task != "segment" else st.tuples(st.integers(1, 60), st.integers(1, 60)) | st.just((16384, 3)))
        instances = []
        for _ in range(draw(st.integers(0, 3))):
            category = draw(st.sampled_from([PERSON, DOG, STONE]))
            labels: dict[str, Any] = {}
            if task in ("detect", "pose"):
                labels["box_xyxy"] = draw(_boxes(size))
            if task == "pose" and category.keypoints:
                labels["keypoints"] = draw(_keypoints(size))
            if task == "segment":
                labels["mask"] = draw(_masks(size))
            if task == "obb":
                side = st.floats(0.5, min(size))
                labels["obb"] = Obb(draw(_shares) * size[0], draw(_shares) * size[1], draw(side), draw(side), draw(st.floats(0, 3.1415)))
            instances.append(Instance(category.name, **labels))
        info = SampleInfo(split=draw(split))
        made.append(Record(key, "real", *size, _numbered(number, size), "png", tuple(instances), CATEGORIES, info=info))
    return made


def _close(found: Instance, wanted: Instance) -> None:
    assert found.category == wanted.category
    if wanted.mask is not None:
        assert found.mask == wanted.mask
        assert found.area_px == wanted.mask.decode().sum()
    else:
        assert (found.box_xyxy is None) == (wanted.box_xyxy is None)
    if wanted.box_xyxy is not None:
        np.testing.assert_allclose(found.box_xyxy, wanted.box_xyxy, rtol=0, atol=1e-4)  # type: ignore[arg-type]
    assert (found.keypoints is None) == (wanted.keypoints is None)
    if found.keypoints is not None and wanted.keypoints is not None:
        np.testing.assert_array_equal(found.keypoints.v, wanted.keypoints.v)
        np.testing.assert_allclose(found.keypoints.xy, wanted.keypoints.xy, rtol=0, atol=1e-4)
    assert (found.obb is None) == (wanted.obb is None)
    if found.obb is not None and wanted.obb is not None:
        assert 0 <= found.obb.angle_rad < math.pi
        a, b = _corners(found.obb), _corners(wanted.obb)
        assert min(np.abs(a - b).max(), np.abs(a - b[::-1]).max()) < 1e-4  # by where the angle wraps


def _corners(obb: Obb) -> np.ndarray[Any, Any]:
    c, s = math.cos(obb.angle_rad), math.sin(obb.angle_rad)
    points = [
        (obb.center_x + (a * c * obb.width - b * s * obb.height) / 2, obb.center_y + (a * s * obb.width + b * c * obb.height) / 2)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    return np.array(points)


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_what_a_task_holds_comes_back(tmp_path_factory: pytest.TempPathFactory, task: Task) -> None:
    @given(_records(task))
    @few
    def check(given: list[Record]) -> None:
        out = tmp_path_factory.mktemp("yolo") / "out"
        report = Writer(out, task=task).write(Listed(given))
        assume("equal rows" not in report.lost)
        assert set(report.lost) <= (set() if task == "pose" else {"category.mirror"})
        got, faults = read(Reader(out.rename(out.with_name("moved")), task=task))
        assert not faults.total, str(faults)
        found = {record.image: record for record in got}
        assert len(found) == len(got) == report.images == len(given)
        assert report.annotations == sum(len(record.instances) for record in given)
        for wanted in given:
            record = found[wanted.image]
            assert record.size == wanted.size
            assert record.info == SampleInfo(split=wanted.info.split or "train")
            assert record.categories == (CATEGORIES if task == "pose" else tuple(Category(c.name) for c in CATEGORIES))
            assert len(record.instances) == len(wanted.instances)
            for one, other in zip(record.instances, wanted.instances, strict=True):
                _close(one, other)

    check()


def made(key: str = "a", *instances: Instance, categories: tuple[Category, ...] = CATEGORIES, **info: Any) -> Record:
    return Record(key, "real", WIDTH, HEIGHT, PICTURE, "png", instances, categories, info=SampleInfo(**info))


BOX = Instance("stone", box_xyxy=(10, 5, 20, 15))
SQUARE = Rle.encode(np.pad(np.ones((4, 4), bool), ((2, HEIGHT - 6), (8, WIDTH - 12))))  # x 8 to 12, y 2 to 6


def test_the_files_by_hand(tmp_path: Path) -> None:
    out = tmp_path / "out"
    points = Keypoints(np.array([[20, 5], [0, 0], [10, 20]]), np.array([2, 0, 1]))
    person = Instance("person", box_xyxy=(0, 0, 40, 20), keypoints=points)
    options: dict[str, Any] = {"licences": ["CC0-1.0"], "provenance": {"ref": "v1", "also": [["v1"], ["v1"]]}}
    report = Writer(out, task="pose", **options).write(Listed([made("x/1.png", BOX, person, split="val"), made("é: 2")]))
    assert str(report) == "2 images, 2 annotations"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "data.yaml", "images/train/%C3%A9%3A%202.png".replace("%20", " "), "images/val/x__1.png",
        "labels/train/%C3%A9%3A 2.txt", "labels/val/x__1.txt",
    ]  # fmt: skip
    assert (out / "labels/val/x__1.txt").read_text() == (
        "2 0.375 0.5 0.25 0.5 0 0 0 0 0 0 0 0 0\n0 0.5 0.5 1 1 0.5 0.25 2 0 0 0 0.25 1 1\n"
    )
    assert (out / "labels/train/%C3%A9%3A 2.txt").read_text() == ""
    assert yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8")) == {
        "train": "images/train",
        "val": "images/val",
        "nc": 3,
        "names": {0: "person", 1: "dog", 2: "stone"},
        "kpt_shape": [3, 3],
        "flip_idx": [0, 2, 1],
        "kpt_names": {0: ["nose", "left", "right"], 1: ["snout", "ear 1", "ear 2"], 2: []},
        "licences": ["CC0-1.0"],
        "provenance": {"ref": "v1", "also": [["v1"], ["v1"]]},
    }


def test_polygons_and_rotated_boxes_by_hand(tmp_path: Path) -> None:
    Writer(tmp_path / "s", task="segment").write(Listed([made("a", Instance("stone", mask=SQUARE))]))
    number, *shares = (tmp_path / "s/labels/train/a.txt").read_text().split()
    corners = {(float(x) * WIDTH, float(y) * HEIGHT) for x, y in zip(shares[::2], shares[1::2], strict=True)}
    assert (number, corners) == ("2", {(8, 2), (12, 2), (12, 6), (8, 6)})
    upright = Instance("stone", obb=Obb(20, 10, 8, 4, math.pi / 2))
    Writer(tmp_path / "o", task="obb").write(Listed([made("a", upright, Instance("dog", mask=SQUARE))]))
    rows = np.loadtxt(tmp_path / "o/labels/train/a.txt")
    np.testing.assert_allclose(rows[0, 1:].reshape(4, 2) * (WIDTH, HEIGHT), [[22, 6], [22, 14], [18, 14], [18, 6]], atol=1e-5)
    np.testing.assert_allclose(rows[1, 1:].reshape(4, 2) * (WIDTH, HEIGHT), [[8, 2], [12, 2], [12, 6], [8, 6]], atol=1e-5)


def test_names_that_yaml_would_misread(tmp_path: Path) -> None:
    names = ("no", "1", "a: b", "# x", "é", " y", "null", "-", "'", '"', "{", "2020-01-01", "*a", "a\tb", "\U0001f600")
    Writer(tmp_path / "out").write(Listed([made(categories=tuple(map(Category, names)))]))
    (record,), _ = read(Reader(tmp_path / "out"))
    assert tuple(category.name for category in record.categories) == names


def test_what_the_format_cannot_hold_is_counted_or_refused(tmp_path: Path) -> None:
    crowd = replace(BOX, crowd=True, asset="x", visible_fraction=0.5, attributes={"a": 1})
    hidden = replace(BOX, box_xyxy=(0, 0, 9, 9), visible_fraction=0.05)
    empty = Instance("stone", mask=Rle.encode(np.zeros((HEIGHT, WIDTH), bool)), area_px=0, visible_fraction=0.0)
    records = Listed([made("a", crowd, hidden, empty, replace(crowd, visible_fraction=None), group="g")])
    report = Writer(tmp_path / "out").write(records)
    assert (report.annotations, report.left_out_hidden, report.left_out_empty, report.ignored) == (2, 1, 1, 0)
    assert report.lost == {
        "crowd": 2,
        "asset": 2,
        "visible_fraction": 1,
        "attributes": 2,
        "info.group": 1,
        "equal rows": 1,
        "category.mirror": 2,
    }
    assert (tmp_path / "out/labels/train/a.txt").read_text().count("\n") == 1
    with pytest.raises(FormatError, match="cannot hold"):
        Writer(tmp_path / "strict", min_visible_fraction=0, strict=True).write(records)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("segment", [made("a", BOX)], "sample a: a 'stone' has no mask, which yolo-segment needs"),
        ("obb", [made("a", BOX)], "sample a: a 'stone' has no rotated box or mask, which yolo-obb needs"),
        ("pose", [made("a", BOX, categories=(STONE,))], "none of the categories has keypoints: stone"),
        ("pose", [made("a", categories=(PERSON, Category("cat", ("tail",))))], "'person' and 'cat' differ in their keypoints (3 and 1)"),
        ("pose", [made("a"), made("b", categories=(Category("cat", PERSON.keypoints),))], "'person' and 'cat' differ"),
        ("detect", [made("a", split="names")], "the split 'names' means something else"),
        ("detect", [made("a", replace(BOX, box_xyxy=(41, 0, 50, 5)))], "outside the picture"),
    ],
)
def test_what_cannot_be_said_at_all(tmp_path: Path, task: Task, given: list[Record], said: str) -> None:
    with pytest.raises(FormatError) as error:
        Writer(tmp_path / "out", task=task).write(Listed(given))
    assert said in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_rows_before_the_first_keypoints_are_made_as_long(tmp_path: Path) -> None:
    Writer(tmp_path / "out", task="pose").write(Listed([made("a", BOX, categories=(STONE,)), made("b", categories=(STONE, PERSON))]))
    assert (tmp_path / "out/labels/train/a.txt").read_text() == "0 0.375 0.5 0.25 0.5" + " 0" * 9 + "\n"


def test_what_overshoots_is_cut_to_the_picture(tmp_path: Path) -> None:
    points = Keypoints(np.array([[40.2, 3], [-1, 3], [5, 5]]), np.array([2, 1, 1]))
    person = Instance("person", box_xyxy=(-0.5, 5, 40.5, 15), keypoints=points)
    report = Writer(tmp_path / "out", task="pose").write(Listed([made("a", person)]))
    assert report.lost == {"box_xyxy": 1}
    values = np.loadtxt(tmp_path / "out/labels/train/a.txt")
    assert values[1:5].tolist() == [0.5, 0.5, 1, 0.5]
    assert values[5:11].tolist() == [1, 0.15, 2, 0, 0.15, 1]
