"""YOLO datasets: rows by hand-computed values, every fault with its place, nothing read outside the folder."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synth.errors import ConfigError, FormatError
from synth.formats import reader, writer
from synth.formats.reading import Faults
from synth.formats.yolo import Reader, Task, Writer
from synth.formats.yolo_layout import label_of
from synth.record import Record
from synth.types import Category, Instance, SampleInfo
from tests.formats.exported import SHARED, png, read

WIDTH, HEIGHT = 40, 20
DETECT = "train: images\nnames: [mug, box]\n"
POSE = "train: images\nnames: [person]\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\n"
PICTURE = png(WIDTH, HEIGHT)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dataset(folder: Path, files: Mapping[str, str | bytes], data: str | None = DETECT) -> Path:
    """Files below `folder`; a name that ends with .png is a picture of WIDTH x HEIGHT."""
    for name, content in ({**files} if data is None else {**files, "data.yaml": data}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def one(folder: Path, row: str, data: str = DETECT, task: Task | None = None) -> tuple[list[Record], Faults]:
    dataset(folder, {"images/a.png": PICTURE, "labels/a.txt": row}, data)
    return read(Reader(folder / "data.yaml", task=task))


def only(folder: Path, row: str, data: str = DETECT, task: Task | None = None) -> Instance:
    (record,), faults = one(folder, row, data, task)
    assert not faults.total
    (instance,) = record.instances
    return instance


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_box_is_shares_of_the_picture(tmp_path: Path) -> None:
    (record,), faults = one(tmp_path, "1 0.5 0.25 0.25 0.5\r\n\n0 0.1 0.5 0.2 1\n")
    assert not faults.total
    assert (record.key, record.source, record.size, record.image) == ("images/a.png", "real", (WIDTH, HEIGHT), PICTURE)
    assert (record.info, record.categories) == (SampleInfo(split="train"), (Category("mug"), Category("box")))
    assert [(i.category, i.box_xyxy) for i in record.instances] == [("box", (15, 0, 25, 10)), ("mug", (0, 0, 8, 20))]
    assert all(i.mask is None and i.obb is None and i.area_px is None and i.keypoints is None for i in record.instances)


def test_keypoints_are_shares_too_and_absent_ones_are_zero(tmp_path: Path) -> None:
    instance = only(tmp_path, "0 0.5 0.5 1 1  0.5 0.25 2  0.1 0.2 0  0.75 1 1", POSE)
    assert instance.box_xyxy == (0, 0, 40, 20)
    assert instance.keypoints is not None
    np.testing.assert_array_equal(instance.keypoints.xy, [[20, 5], [0, 0], [30, 20]])
    np.testing.assert_array_equal(instance.keypoints.v, [2, 0, 1])


def test_keypoints_without_v_are_seen_unless_they_are_zero(tmp_path: Path) -> None:
    instance = only(tmp_path, "0 0.5 0.5 1 1  0.5 0.25  0 0  0 0.5", POSE.replace("3, 3", "3, 2"))
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist() == [2, 0, 2]
    np.testing.assert_array_equal(instance.keypoints.xy, [[20, 5], [0, 0], [0, 10]])


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ("", ("0", "1", "2")),
        ("kpt_names: [a, b, c]\n", ("a", "b", "c")),
        ("kpt_names: {0: [a, b, c]}\n", ("a", "b", "c")),
        ("kpt_names: [[a, b, c]]\n", ("a", "b", "c")),
    ],
)
def test_flip_idx_is_the_mirror(tmp_path: Path, told: str, names: tuple[str, ...]) -> None:
    (record,), _ = one(tmp_path, "", POSE + told)
    assert record.categories == (Category("person", names, ((names[1], names[2]),)),)


def inside(x: float, y: float, polygon: list[tuple[float, float]]) -> bool:
    """Whether a ray to the left crosses an odd number of edges."""
    odd = False
    for (ax, ay), (bx, by) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (ay > y) != (by > y) and x > ax + (y - ay) * (bx - ax) / (by - ay):
            odd = not odd
    return odd


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8))
@few
def test_a_polygon_holds_the_pixels_whose_centres_are_in_it(tmp_path: Path, shares: list[tuple[float, float]]) -> None:
    polygon = [(x * WIDTH, y * HEIGHT) for x, y in shares]
    wanted = np.array([[inside(c + 0.5, r + 0.5, polygon) for c in range(WIDTH)] for r in range(HEIGHT)])
    records, faults = one(tmp_path, "1 " + " ".join(f"{v!r}" for point in shares for v in point), task="segment")
    if not wanted.any():
        assert "covers no pixel's centre" in str(faults)
        return
    (instance,) = records[0].instances
    assert instance.mask is not None
    assert int((instance.mask.decode() != wanted).sum()) <= 1  # a centre on an edge, by rounding
    rows, columns = np.nonzero(instance.mask.decode())
    assert instance.area_px == len(rows)
    assert instance.box_xyxy == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_four_corners_are_a_rotated_box(tmp_path: Path) -> None:
    # Centre 20, 10; half sides 8 along 30 degrees and 3 across, in px of a picture that is not square.
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    corners = [(20 + a * 8 * cos - b * 3 * sin, 10 + a * 8 * sin + b * 3 * cos) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    for start in range(4):
        turned = corners[start:] + corners[:start]
        instance = only(tmp_path, "0 " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in turned), task="obb")
        assert instance.obb is not None
        assert instance.box_xyxy is None
        obb = instance.obb
        width, height, angle = (16, 6, math.pi / 6) if start % 2 == 0 else (6, 16, math.pi * 2 / 3)
        got = (obb.center_x, obb.center_y, obb.width, obb.height, obb.angle_rad)
        np.testing.assert_allclose(got, (20, 10, width, height, angle), atol=1e-9)


def test_corners_of_no_rectangle_get_the_least_one_around_them(tmp_path: Path) -> None:
    instance = only(tmp_path, "0 0.1 0.2 0.9 0.2 0.9 0.8 0.2 0.8", task="obb")  # a corner of x 4 to 36, y 4 to 16 is 4 px off
    assert instance.obb is not None
    np.testing.assert_allclose(
        (instance.obb.center_x, instance.obb.center_y, instance.obb.width, instance.obb.height, instance.obb.angle_rad),
        (20, 10, 32, 12, 0),
        atol=1e-9,
    )
    crossed = only(tmp_path, "0 0.1 0.2 0.9 0.8 0.9 0.2 0.1 0.8", task="obb")  # corners out of order
    assert crossed.obb is not None
    np.testing.assert_allclose((crossed.obb.width, crossed.obb.height, crossed.obb.angle_rad), (32, 12, 0), atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        ("", "box"),
        ("0 .5 .5 .2 .2\n1 .5 .5 .2 .2", "box"),
        ("0 .1 .1 .9 .1 .5 .9", "mask"),
        ("0 .1 .1 .9 .1 .9 .9 .1 .9\n0 .1 .1 .9 .1 .5 .9", "mask"),
    ],
)
def test_the_task_is_found_out(tmp_path: Path, rows: str, task: str) -> None:
    (record,), faults = one(tmp_path, rows)
    assert not faults.total
    assert all((instance.mask is not None) == (task == "mask") for instance in record.instances)


def test_rows_of_nine_numbers_must_be_named(tmp_path: Path) -> None:
    row = "0 .1 .1 .9 .1 .9 .9 .1 .9\n"
    with pytest.raises(FormatError, match=r"yolo-segment or yolo-obb"):
        one(tmp_path, row)
    assert only(tmp_path, row, task="obb").obb
    assert only(tmp_path, row, task="segment").mask
    with pytest.raises(FormatError, match="kpt_shape"):
        one(tmp_path, row, task="pose")


def test_a_wrong_row_does_not_change_the_task(tmp_path: Path) -> None:
    _, faults = one(tmp_path, "0 .5 .5 .2 .2\n0 .5 .5 .3 .3\n0 .5 .5 .2 .2 .1 .1\n")
    assert "line 3: the row has 7 numbers, detect wants 5 numbers; polygons are read by yolo-segment" in str(faults)


@pytest.mark.parametrize(
    ("row", "task", "said"),
    [
        ("0 .5 .5 .2", "detect", "the row has 4 numbers, detect wants 5"),
        ("0 .5 .5 .2 .2 .93", "detect", "predictions and no labels"),
        ("0 .1 .1 .9 .1 .5 .9 .93", "segment", "predictions and no labels"),
        ("0 .1 .1 .9 .1 .9 .9 .1 .9 .93", "obb", "predictions and no labels"),
        ("0 .5 .5 .2 .2", "segment", "a class and at least three points"),
        ("2 .5 .5 .2 .2", "detect", "from 0 to 1, got 2"),
        ("-1 .5 .5 .2 .2", "detect", "from 0 to 1, got -1"),
        ("0.5 .5 .5 .2 .2", "detect", "whole number"),
        ("mug .5 .5 .2 .2", "detect", "'mug' is no finite number"),
        ("0 nan .5 .2 .2", "detect", "'nan' is no finite number"),
        ("0 .5 inf .2 .2", "detect", "'inf' is no finite number"),
        ("0 .5 1e999 .2 .2", "detect", "'1e999' is no finite number"),
        ("0 .5 .5 0_1 .2", "detect", "'0_1' is no finite number"),
        ("0 .5 .5 0 .2", "detect", "no area"),
        ("0 .5 .5 -.2 .2", "detect", "no area"),
        ("0 20 10 8 4", "detect", "leaves the 40x20 picture"),
        ("0 .5 .5 1e308 1e308", "detect", "the box"),
        ("0 .95 .5 .2 .2", "detect", "leaves the 40x20 picture"),
        ("0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n0 0.50 .5 .2 .2", "detect", "line 3: the row repeats line 1"),
        ("0 .1 .1 .9 .1 .5 1.2", "segment", "the polygon leaves the picture: y goes from 0.1 to 1.2"),
        ("0 .1 .1 .9 .1 .5 -1e308", "segment", "the polygon leaves the picture"),
        ("0 .1 .1 .1 .1 .1 .1", "segment", "covers no pixel's centre"),
        ("0 .1 .1 .9 .1 .9 .1 .1 .1", "obb", "no area"),
        ("0 4 2 36 2 36 16 4 16", "obb", "the rotated box leaves the picture"),
        ("0 1.1 .1 1.9 .1 1.9 .9 1.1 .9", "obb", "its centre at x 60, y 10, outside the 40x20 picture"),
    ],
)
def test_a_wrong_row_is_a_fault_with_its_line(tmp_path: Path, row: str, task: Task, said: str) -> None:
    records, faults = one(tmp_path, row, task=task)
    assert records == []
    assert (faults.total, faults.samples) == (1, 1)
    assert faults.first[0].startswith("labels/a.txt: line ")
    assert said in faults.first[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0 .5 .5 1 1 .5 .5 3 0 0 0 0 0 0", "keypoint '0': v must be 0, 1 or 2, got 3"),
        ("0 .5 .5 1 1 .5 .5 .5 0 0 0 0 0 0", "keypoint '0': v must be 0, 1 or 2, got 0.5"),
        ("0 .5 .5 1 1 .5 1.3 2 0 0 0 0 0 0", "keypoint '0' leaves the picture: y goes from 1.3"),
        ("0 .5 .5 1 1 .5 .5 2", "the row has 8 numbers, pose wants 14"),
    ],
)
def test_a_wrong_keypoint_is_a_fault(tmp_path: Path, row: str, said: str) -> None:
    records, faults = one(tmp_path, row, POSE)
    assert records == []
    assert said in str(faults)


def test_a_box_may_overshoot_by_a_pixel(tmp_path: Path) -> None:
    box = only(tmp_path, "0 .5 .5 1.04 1").box_xyxy
    assert box == pytest.approx((-0.8, 0, 40.8, 20))


def test_shares_are_of_the_upright_picture(tmp_path: Path) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    image.save(data, "JPEG", exif=exif)
    dataset(tmp_path, {"images/a.jpg": data.getvalue(), "labels/a.txt": "0 .5 .5 1 .5"})
    (record,), _ = read(Reader(tmp_path))
    assert record.size == (HEIGHT, WIDTH)
    assert record.instances[0].box_xyxy == (0, 10, 20, 30)


# --- folders ----------------------------------------------------------------------------------------------------------


def test_labels_lie_in_the_last_folder_named_images() -> None:
    assert label_of("images/a/images/b.c.jpg") == "images/a/labels/b.c.txt"
    assert label_of("train/images/a.JPG") == "train/labels/a.txt"
    assert label_of("my_images/a.png") == "my_images/a.txt"


BOTH = {
    "images/train/a.png": PICTURE,
    "labels/train/a.txt": b"0 .5 .5 1 1",
    "images/val/b.png": PICTURE,
    "labels/val/b.txt": b"0 .5 .5 1 1",
}


@pytest.mark.parametrize(
    "data",
    [
        "train: images/train\nval: images/val",
        "path: .\ntrain: images/train\nval: images/val\ntest:",
        "path: ../datasets/mugs\ntrain: ./images/train/\nval: [images/val]\ntest: ''",
        "path: /somewhere/else\ntrain: ../images/train\nval: images/val",
        "path: images\ntrain: train\nval: val",
        "train: train.txt\nval: images/val",
        "train: images/train.txt\nval: images/val",
        "path: HERE\ntrain: HERE/images/train\nval: val.txt",
    ],
)
def test_splits_are_folders_lists_or_lists_of_them(tmp_path: Path, data: str) -> None:
    files = {"train.txt": "images/train/a.png\n", "images/train.txt": "\n./train/a.png\r\n", "val.txt": f"{tmp_path}/images/val/b.png"}
    dataset(tmp_path, BOTH | files, data.replace("HERE", str(tmp_path)) + "\nnames: {0: mug, 1: 'no'}\nnc: 2\n")
    for source in (tmp_path, tmp_path / "data.yaml"):
        records, faults = read(Reader(source))
        assert not faults.total
        assert [(r.key, r.info.split, len(r.instances)) for r in records] == [
            ("images/train/a.png", "train", 1),
            ("images/val/b.png", "val", 1),
        ]
        assert [category.name for category in records[0].categories] == ["mug", "no"]


def test_images_names_the_folder_that_the_paths_begin_in(tmp_path: Path) -> None:
    dataset(tmp_path / "there", BOTH, None)
    dataset(tmp_path / "here", {}, "path: gone\ntrain: images/train\nval: images/val\nnames: [mug]")
    with pytest.raises(FormatError, match="no such folder"):
        read(Reader(tmp_path / "here"))
    records, _ = read(Reader(tmp_path / "here", images=tmp_path / "there"))
    assert len(records) == 2


def test_a_plain_folder_needs_classes_txt(tmp_path: Path) -> None:
    files = {"images/a.png": PICTURE, "labels/a.txt": "1 .5 .5 1 1"}
    dataset(tmp_path, files, None)
    with pytest.raises(FormatError, match=r"classes\.txt"):
        read(Reader(tmp_path))
    dataset(tmp_path, {"labels/classes.txt": "mug\nred box\n"}, None)
    (record,), faults = read(Reader(tmp_path))
    assert not faults.total
    assert (record.instances[0].category, record.info.split) == ("red box", None)


def test_labels_may_lie_beside_the_pictures(tmp_path: Path) -> None:
    dataset(tmp_path, {"a.png": PICTURE, "a.txt": "0 .5 .5 1 1", "classes.txt": "mug"}, None)
    (record,), faults = read(Reader(tmp_path))
    assert not faults.total
    assert len(record.instances) == 1


def test_a_picture_without_labels_is_background(tmp_path: Path) -> None:
    pictures = {f"images/{name}.png": PICTURE for name in "abc"}
    dataset(tmp_path, {**pictures, "labels/a.txt": "0 .5 .5 1 1", "labels/c.txt": "\n"})
    records, faults = read(Reader(tmp_path))
    assert not faults.total
    assert [len(record.instances) for record in records] == [1, 0, 0]


def test_a_split_without_any_labels_is_not_background(tmp_path: Path) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE, "images/b.png": PICTURE})
    records, faults = read(Reader(tmp_path))
    assert records == []
    assert (faults.total, faults.samples) == (1, 2)
    assert "none of the 2 pictures has a label file" in str(faults)


def test_what_does_not_fit_together_is_a_fault(tmp_path: Path) -> None:
    files = {f"images/{name}.png": PICTURE for name in "abc"} | {f"labels/{name}.txt": "" for name in "abd"}
    dataset(tmp_path, {**files, "images/b.jpg": PICTURE, "images/e.png": b"", "labels/classes.txt": "x", "images/f.png": PICTURE[:50]})
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["images/a.png", "images/c.png"]
    assert faults.samples == 5
    said = str(faults)
    assert "labels/d.txt: there is no picture" in said
    assert "images/b.png: it shares the label file labels/b.txt" in said
    assert "images/b.jpg: it shares the label file labels/b.txt" in said
    assert "e.png is empty" in said
    assert "f.png: it" in said or "f.png: the" in said


def test_a_picture_of_two_splits_is_read_once_and_told(tmp_path: Path) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE, "labels/a.txt": ""}, DETECT + "val: images\n")
    records, faults = read(Reader(tmp_path))
    assert [record.info.split for record in records] == ["train"]
    assert (faults.total, faults.samples) == (1, 0)
    assert "1 pictures of 'val' stand in 'train' already" in str(faults)


def test_a_listed_picture_must_be_there_and_inside(tmp_path: Path) -> None:
    listing = f"images/a.png\ngone.png\n../a.png\n/etc/passwd\n{'x' * 5000}\n"
    dataset(tmp_path, {"images/a.png": PICTURE, "labels/a.txt": "", "t.txt": listing}, DETECT.replace("images", "t.txt"))
    records, faults = read(Reader(tmp_path))
    assert len(records) == 1
    assert (faults.total, faults.samples) == (4, 4)
    said = str(faults)
    assert "gone.png: cannot read" in said
    assert "t.txt:3: the file name '../a.png' leaves the folder" in said
    assert "t.txt:4: the path '/etc/passwd' leads out of" in said
    assert "t.txt:5" in said


@pytest.mark.parametrize("place", ["../../other", "/etc", "images/../../other", "link"])
def test_splits_stay_in_the_folder(tmp_path: Path, place: str) -> None:
    dataset(tmp_path / "other", {"a.png": PICTURE, "a.txt": ""}, None)
    dataset(tmp_path / "set" / "here", {}, f"train: {place}\nnames: [mug]\n")
    (tmp_path / "set" / "here" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(FormatError, match="lea"):
        read(Reader(tmp_path / "set" / "here"))


def test_links_to_pictures_and_labels_stay_in_the_folder(tmp_path: Path) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE, "images/c.png": PICTURE, "labels/c.txt": ""})
    dataset(tmp_path / "set", {"images/b.png": PICTURE, "labels/b.txt": ""})
    os.symlink(tmp_path / "images/a.png", tmp_path / "set/images/a.png")
    os.symlink(tmp_path / "data.yaml", tmp_path / "set/labels/b2.txt")
    dataset(tmp_path / "set", {"images/b2.png": PICTURE})
    records, faults = read(Reader(tmp_path / "set"))
    assert [record.key for record in records] == ["images/b.png"]
    assert str(faults).count("is a link that leaves the folder") == 2


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE, "labels/a.txt": b"0 .5 .5 1 1\n\xff\xfe"})
    records, faults = read(Reader(tmp_path))
    assert records == []
    assert "is no UTF-8 text: byte 12 is 0xff" in str(faults)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nnames: *b\ntrain: images\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOMB, "line 2: it holds an alias"),
        ("names: !!python/object/apply:os.system ['touch OWNED']\ntrain: images\n", "it holds the tag"),
        ("names: !mine [a]\ntrain: images\n", "it holds the tag !mine"),
        ("names: [a]\nnames: [b]\ntrain: images\n", "line 2: the key 'names' stands twice"),
        ("? [a]\n: b\n", "a key must be plain text"),
        ("names: [a\n", "cannot be read as YAML"),
        ("[" * 5000, "cannot be read as YAML"),
        ("a: \x01", "cannot be read as YAML"),
        ("", "must be a mapping"),
        ("- a", "must be a mapping"),
        ("train: images\n", "names"),
        ("train: images\nnames: []\n", "names must list the classes"),
        ("train: images\nnames: a\n", "names must be a list"),
        ("train: images\nnames: [[a]]\n", "names must be a list"),
        ("train: images\nnames: [a, a]\n", "the class 'a' stands twice"),
        ("train: images\nnames: ['']\n", "class 0 has no name"),
        ("train: images\nnames: {0: a, 2: b}\n", "without a gap"),
        ("train: images\nnames: {a: 0}\n", "must be a whole number, got 'a'"),
        ("train: images\nnames: [a]\nnc: 2\n", "nc is 2, names has 1"),
        ("names: [a]\n", "it needs train, val or test"),
        ("names: [a]\ntrain: gone\n", "there is no such folder or list"),
        ("names: [a]\ntrain: {a: b}\n", "train must be a folder"),
        ("names: [a]\ntrain: [[images]]\n", "train must be a folder"),
        (f"names: [a]\ntrain: {'x' * 5000}\n", "cannot be used"),
        (POSE.replace("[3, 3]", "[3, 4]"), "kpt_shape must be"),
        (POSE.replace("[3, 3]", "[0, 3]"), "kpt_shape must be"),
        (POSE.replace("[3, 3]", "[3]"), "kpt_shape must be"),
        (POSE.replace("[3, 3]", "3"), "kpt_shape must be"),
        (POSE.replace("[3, 3]", "[1000000000000, 3]"), "kpt_shape must be"),
        (POSE.replace("[0, 2, 1]", "[1, 2, 0]"), "flip_idx must swap pairs"),
        (POSE.replace("[0, 2, 1]", "[0, 2]"), "flip_idx must swap pairs"),
        (POSE.replace("[0, 2, 1]", "[0, 9, 1]"), "flip_idx must swap pairs"),
        (POSE.replace("[0, 2, 1]", "x"), "flip_idx must swap pairs"),
        (POSE + "kpt_names: [a, b]\n", "kpt_names of class 0 must be 3 names"),
        (POSE + "kpt_names: {0: [a, a, b]}\n", "the keypoint 'a' stands twice"),
    ],
)
def test_a_wrong_data_yaml(tmp_path: Path, data: str, said: str) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE, "labels/a.txt": ""}, data)
    with pytest.raises(FormatError) as error:
        read(Reader(tmp_path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("OWNED").exists()


def test_a_huge_data_yaml_is_not_read(tmp_path: Path) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE}, "names: [a]\ntrain: images\n#" + "x" * (1 << 20))
    with pytest.raises(FormatError, match="more than the"):
        read(Reader(tmp_path))


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Reader(tmp_path / "gone")
    with pytest.raises(ConfigError, match="task must be one of"):
        Reader(tmp_path, task="boxes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="task must be one of"):
        Writer(tmp_path / "out", task="boxes")  # type: ignore[arg-type]
    dataset(tmp_path, {"a.yaml": "", "b.yaml": "", "c.json": ""}, None)
    with pytest.raises(FormatError, match=r"several YAML files \(a\.yaml, b\.yaml\)"):
        read(Reader(tmp_path))
    with pytest.raises(FormatError, match="is no YOLO dataset"):
        read(Reader(tmp_path / "c.json"))


def test_names_of_the_command_line() -> None:
    for name in ("yolo", "yolo-segment", "yolo-pose", "yolo-obb"):
        assert writer(name, out=Path("out")).name == name
        assert isinstance(reader(name, source=Path(".")), Reader)


@pytest.mark.skipif(not (SHARED / "datumaro").is_dir(), reason="the samples of ../shared/data are not here")
@pytest.mark.parametrize("source", [".", "obj.data"])
def test_darknet_files_of_datumaro(source: str) -> None:
    (record,), faults = read(Reader(SHARED / "datumaro" / "yolo_dataset_strict" / source))
    assert not faults.total
    assert (record.key, record.info.split) == ("obj_train_data/1.jpg", "train")
    assert [category.name for category in record.categories] == [f"label_{i}" for i in range(10)]
    width, height = record.size
    assert [instance.category for instance in record.instances] == ["label_2", "label_4"]
    wanted = np.array([[0, 0.2, 0.266667, 0.4], [0.2, 0.3, 0.333333, 0.6]]) * [width, height, width, height]
    np.testing.assert_allclose([instance.box_xyxy for instance in record.instances], wanted, atol=1e-4)


# --- fuzzing ----------------------------------------------------------------------------------------------------------

VALID: dict[Task, str] = {
    "detect": "0 0.5 0.5 0.25 0.5\n1 0.25 0.5 0.5 1\n",
    "segment": "0 0.1 0.1 0.9 0.1 0.5 0.9\n1 0 0 1 0 1 1 0 1\n",
    "pose": "0 0.5 0.5 1 1 0.5 0.25 2 0 0 0 0.75 1 1\n",
    "obb": "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n",
}


PIECES = [b"nan", b"-1", b"1e400", b" ", b"\n", b"9" * 400, b"\x00", b"0x1", b"1e9", b".", b"&a", b"*a"]


@st.composite
def _damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with a few places replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(whole)))
        stop = draw(st.integers(start, min(len(whole), start + 6)))
        piece = draw(st.binary(max_size=4) | st.sampled_from(PIECES))
        whole = whole[:start] + piece + whole[stop:]
    return whole


@given(st.data(), st.sampled_from(list(VALID)), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_labels_are_faults(tmp_path: Path, data: st.DataObject, task: Task, named: bool) -> None:
    files = {"images/a.png": PICTURE, "labels/a.txt": data.draw(_damaged(VALID[task].encode()))}
    dataset(tmp_path, files, POSE if task == "pose" else DETECT)
    try:
        records, faults = read(Reader(tmp_path, task=task if named else None))
    except FormatError as error:
        assert "yolo-segment or yolo-obb" in str(error)  # noqa: PT017
        return
    assert len(records) + faults.samples == 1
    for instance in (instance for record in records for instance in record.instances):
        assert instance.box_xyxy is None or np.isfinite(instance.box_xyxy).all()


@given(_damaged((POSE + "val: [images]\nkpt_names: {0: [a, b, c]}\nnc: 1\npath: .\n").encode()))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_data_yaml_is_one_message(tmp_path: Path, text: bytes) -> None:
    dataset(tmp_path, {"images/a.png": PICTURE, "labels/a.txt": VALID["pose"], "data.yaml": text}, None)
    try:
        read(Reader(tmp_path))
    except FormatError as error:
        assert "\n" not in str(error)  # noqa: PT017
