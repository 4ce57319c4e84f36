"""Label Studio: its own samples, by hand; round trips of all that it holds; whatever is broken is a fault with its place."""

from __future__ import annotations

import cmath
import contextlib
import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, FormatError
from synth.formats import brush, reader, writer
from synth.formats.label_studio import Reader, Writer
from synth.types import Category, Instance, Obb, Rle
from tests.formats.exported import (
    BROKEN,
    CATEGORIES,
    HEIGHT,
    SHARED,
    WIDTH,
    Listed,
    assert_same,
    broken,
    places,
    png,
    read,
    records,
    rectangle_mask,
)

SAMPLES = SHARED / "label_studio"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples of ../shared/data are not here")


def region(kind: str, id: str = "r", label: str = "cup", **value: Any) -> dict[str, Any]:
    type = f"{kind}labels"
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": id, "type": type, "from_name": kind, "to_name": "image", **size, "value": {**value, type: [label]}}


BOX = region("rectangle", x=25, y=50, width=50, height=25, rotation=0)


def task(*result: dict[str, Any], id: int = 7, image: str = "/data/upload/1/a.png", **more: Any) -> dict[str, Any]:
    annotation = {"id": 1, "completed_by": 3, "result": list(result), "was_cancelled": False, "updated_at": "2024-01-01T00:00:00Z"}
    return {"id": id, "data": {"image": image}, "annotations": [annotation], **more}


def export(folder: Path, tasks: Any, *pictures: str) -> Path:
    for name in pictures or ("a.png",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png())
    (folder / "tasks.json").write_text(json.dumps(tasks))
    return folder / "tasks.json"


def one(folder: Path, *result: dict[str, Any], **options: Any) -> tuple[Instance, ...]:
    found, faults = read(Reader(export(folder, [task(*result)]), **options))
    assert not faults.total, str(faults)
    return found[0].instances


# --- the samples --------------------------------------------------------------------------------------------------------


def sample(tmp_path: Path, name: str, pictures: dict[str, tuple[int, int]]) -> tuple[list[Any], Any]:
    for picture, size in pictures.items():
        (tmp_path / picture).write_bytes(png(*size))
    found, faults = read(Reader(SAMPLES / f"{name}.json", images=tmp_path))
    assert not faults.total, str(faults)
    return found, json.loads((SAMPLES / f"{name}.json").read_text())


@needs_samples
def test_sample_boxes(tmp_path: Path) -> None:
    found, given = sample(tmp_path, "data", {"image1.png": (2800, 2800), "image2.png": (2800, 2800)})
    assert [record.key for record in found] == ["image1.png", "image2.png"]
    assert [len(record.instances) for record in found] == [2, 2]
    assert [record.info.annotator for record in found] == ["1", "1"]  # of the first, the second annotation was updated last
    assert [record.info.attributes for record in found] == [{"other_annotations": 1}, None]
    assert [instance.category for instance in found[0].instances] == ["parasites", "white"]
    assert found[0].instances[0].box_xyxy == pytest.approx(
        (
            37.88706739526412 * 28,
            71.76684881602914 * 28,
            (37.88706739526412 + 3.8251366120218573) * 28,
            (71.76684881602914 + 4.553734061930784) * 28,
        )
    )
    assert found[0].instances[0].obb is found[0].instances[0].mask is found[0].instances[0].keypoints is None
    assert given[0]["annotations"][1]["result"][0]["id"] == "ipBS_GBGZp"


@needs_samples
def test_sample_rotated_boxes(tmp_path: Path) -> None:
    given = json.loads((SAMPLES / "data_obb.json").read_text())
    items = [task["annotations"][0]["result"] for task in given]
    sizes = {f"image{i}.png": (result[0]["original_width"], result[0]["original_height"]) for i, result in enumerate(items, 1)}
    found, _ = sample(tmp_path, "data_obb", sizes)
    assert [len(record.instances) for record in found] == [23, 1, 1]
    for record, result in zip(found, items, strict=True):
        for instance, item in zip(record.instances, result, strict=True):
            value, scale = item["value"], np.array(record.size) / 100
            x, y = np.array([value["x"], value["y"]]) * scale
            width, height = np.array([value["width"], value["height"]]) * scale
            turn = cmath.exp(1j * math.radians(value["rotation"]))  # y is down, so this turns clockwise on the screen
            wanted = [complex(x, y) + turn * corner for corner in (0, width, width + 1j * height, 1j * height)]
            corners = [complex(*corner) for corner in instance.obb.corners_xy]
            assert max(min(abs(a - b) for b in wanted) for a in corners) < 1e-9
            assert instance.box_xyxy is None
            assert 0 <= instance.obb.angle_rad < math.pi


@needs_samples
@pytest.mark.parametrize("config", [None, "label_config_keypoints.xml"])
def test_sample_keypoints(tmp_path: Path, config: str | None) -> None:
    (tmp_path / "image1.jpg").write_bytes(png(216, 174))
    reader = Reader(SAMPLES / "data_keypoints.json", images=tmp_path, config=None if config is None else SAMPLES / config)
    (record,), faults = read(reader)
    assert not faults.total, str(faults)
    (person,), (category,) = record.instances, record.categories
    assert person.box_xyxy == pytest.approx(
        (0.38849487785658 * 216, 0.0765957446808511 * 174, 0.86154452324665 * 216, 0.58581560283688 * 174)
    )
    names = category.keypoints
    if config is None:
        assert names == ("left_eye", "nose", "right_eye")
    else:
        assert len(names) == 17
        assert names[:3] == ("nose", "left_eye", "right_eye")
    at = names.index("nose")
    assert person.keypoints is not None
    np.testing.assert_allclose(person.keypoints.xy[at], [0.6444444444444444 * 216, 0.39290780141843975 * 174])
    assert person.keypoints.v.sum() == 6
    assert (person.keypoints.xy[person.keypoints.v == 0] == 0).all()
    assert record.info.annotator == "sergei@heartex.test"


@needs_samples
def test_sample_polygon(tmp_path: Path) -> None:
    """Found by the name of the upload, which the address lacks; the area is the polygon's by the shoelace formula."""
    found, given = sample(tmp_path, "data_polygons", {"000000000025.jpg": (640, 426), "other.png": (640, 426)})
    (plane,) = found[0].instances
    x, y = (np.array(given[0]["annotations"][0]["result"][0]["value"]["points"]) * [6.4, 4.26]).T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert plane.mask is not None
    assert plane.mask.decode().sum() == plane.area_px == pytest.approx(area, rel=0.01)
    assert plane.box_xyxy == pytest.approx((x.min(), y.min(), x.max(), y.max()), abs=1)


# --- shapes -------------------------------------------------------------------------------------------------------------


def test_a_quarter_turn(tmp_path: Path) -> None:
    """Clockwise about its corner, a rectangle that lies to the right comes to hang to the left and below."""
    (box,) = one(tmp_path, region("rectangle", x=50, y=25, width=25, height=25, rotation=90))
    assert box.obb is not None
    corners = box.obb.corners_xy
    np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [[20 - 6, 6], [20, 16]], atol=1e-9)


def test_an_ellipse_is_its_pixels(tmp_path: Path) -> None:
    (disc, turned) = one(
        tmp_path,
        region("ellipse", "a", x=50, y=50, radiusX=25, radiusY=100 * 5 / HEIGHT, rotation=0),
        region("ellipse", "b", x=50, y=50, radiusX=25, radiusY=100 * 5 / HEIGHT, rotation=90),
    )
    assert disc.mask is not None
    assert turned.mask is not None
    assert disc.area_px == pytest.approx(math.pi * 10 * 5, rel=0.03)
    assert disc.box_xyxy == (10, 7, 30, 17)
    assert turned.box_xyxy == (15, 2, 25, 22)


def test_labels_beside_plain_shapes(tmp_path: Path) -> None:
    """With `Labels` and `Rectangle` in the configuration, the label is an item of its own with the same id."""
    shape = {**BOX, "type": "rectangle", "value": {name: BOX["value"][name] for name in ("x", "y", "width", "height", "rotation")}}
    label = {**BOX, "type": "labels", "value": {**shape["value"], "labels": ["mug"]}}
    (box,) = one(tmp_path, shape, label)
    assert (box.category, box.box_xyxy) == ("mug", (10, 12, 30, 18))


def test_points_by_relation_and_alone(tmp_path: Path) -> None:
    point = {"width": 0.5}
    related = {"type": "relation", "from_id": "r", "to_id": "p", "direction": "right"}
    cup, cell = one(
        tmp_path, BOX, region("keypoint", "p", "rim", x=50, y=50, **point), related, region("keypoint", "q", "cell", x=10, y=25, **point)
    )
    assert cup.keypoints is not None
    assert cell.keypoints is not None
    assert (cup.keypoints.xy.tolist(), cup.keypoints.v.tolist()) == ([[20, 12]], [2])
    assert (cell.category, cell.keypoints.xy.tolist(), cell.box_xyxy) == ("cell", [[4, 6]], None)


def test_what_controls_say(tmp_path: Path) -> None:
    def control(type: str, id: str, name: str, said: Any) -> dict[str, Any]:
        key = {"textarea": "text"}.get(type, type)
        return {"id": id, "type": type, "from_name": name, "to_name": "image", "value": {key: said}}

    items = [
        control("choices", "x", "weather", ["rain", "fog"]), control("textarea", "y", "note", ["hm"]), control("number", "z", "count", 3),
        control("choices", "r", "state", ["full"]), control("choices", "r", "of", ["tea", "milk"]),
        {**POINT, "parentID": "r"}, control("choices", "p", "sight", ["hidden"]),
    ]  # fmt: skip
    (record,), faults = read(Reader(export(tmp_path, [task(BOX, *items)])))
    assert not faults.total
    assert record.info.classes == ("rain", "fog")
    assert record.info.attributes == {"note": ["hm"], "count": 3}
    assert record.instances[0].attributes == {"state": "full", "of": ["tea", "milk"], "rim": {"sight": "hidden"}}


def test_which_annotation_counts(tmp_path: Path) -> None:
    def made(day: int, label: str, **more: Any) -> dict[str, Any]:
        result = [region("rectangle", label=label, x=0, y=0, width=50, height=50)]
        return {"result": result, "updated_at": f"2024-01-0{day}T00:00:00Z", **more}

    given = [
        [made(1, "old"), made(3, "new"), made(2, "between"), made(4, "cancelled", was_cancelled=True)],
        [made(1, "truth", ground_truth=True), made(2, "newer")],
    ]
    tasks = [{"id": i, "data": {"image": f"{i}.png"}, "annotations": annotations} for i, annotations in enumerate(given)]
    found, faults = read(Reader(export(tmp_path, tasks, "0.png", "1.png")))
    assert not faults.total
    assert [(record.instances[0].category, record.info.attributes) for record in found] == [
        ("new", {"other_annotations": 2}),
        ("truth", {"other_annotations": 1}),
    ]


def test_nothing_there_is_not_unlabelled(tmp_path: Path) -> None:
    assert one(tmp_path) == ()


# --- pictures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("a.png", "a.png"),
        ("/home/ann/photos/a.png", "sub/a.png"),
        ("C:\\photos\\a.png", "a.png"),
        ("/data/upload/1/0123abcd-a.png", "a.png"),
        ("/data/upload/1/0123abcd-a.png", "0123abcd-a.png"),
        ("/data/local-files/?d=photos/a%20b%25.png", "photos/a b%.png"),
        ("https://example.com/x/a%20b.png?sig=1", "a b.png"),
        ("s3://bucket/x/a.png", "x/a.png"),
        ("/image1", "image1.png"),
        ("a%20b.png", "a%20b.png"),
        ("a#1.png", "a#1.png"),
        ("../../a.png", "a.png"),
    ],
)
def test_addresses(tmp_path: Path, address: str, name: str) -> None:
    path = export(tmp_path, [task(BOX, image=address)], name, "other.png")
    (record,), faults = read(Reader(path))
    assert not faults.total
    assert record.key == name


def test_of_several_the_one_that_shares_folders(tmp_path: Path) -> None:
    tasks = [task(BOX, id=1, image="/data/local-files/?d=all/day2/a.png"), task(BOX, id=2, image="a.png")]
    found, faults = read(Reader(export(tmp_path, tasks, "day1/a.png", "day2/a.png")))
    assert [record.key for record in found] == ["day2/a.png"]
    assert "task 2: its picture could be 'day1/a.png' and 'day2/a.png'" in str(faults).replace("' or '", "' and '")


def test_a_link_that_leaves_is_not_followed(tmp_path: Path) -> None:
    path = export(tmp_path / "in", [task(BOX)], "other.png")
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "a.png")
    found, faults = read(Reader(path))
    assert found == []
    assert "leaves the folder" in str(faults)


# --- faults -------------------------------------------------------------------------------------------------------------

POINT = region("keypoint", "p", "rim", x=50, y=50, width=1)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([{**BOX, "original_width": 41}], "the picture is 40x24, its annotation says 41x24"),
        ([{**BOX, "image_rotation": 90}], "turned by 90 degrees"),
        ([{**BOX, "item_index": 1}], "several pictures"),
        ([BOX, BOX], "the id 'r' stands twice"),
        ([region("rectangle", x=25, y=50, width=0, height=25)], "rectangle 'cup' (r): box has no area"),
        ([region("rectangle", x=25, y=50, width=80, height=25)], "leaves the 40x24 picture"),
        ([region("rectangle", x=25, y=50, width=-8, height=25, rotation=10)], "the rotated box has no area"),
        ([region("rectangle", x="25", y=50, width=8, height=25)], "x must be a finite number, got '25'"),
        ([{**BOX, "value": {**BOX["value"], "rectanglelabels": ["a", "b"]}}], "has 2 labels"),
        ([{**BOX, "value": {**BOX["value"], "rectanglelabels": []}}], "has 0 labels"),
        ([region("polygon", points=[[0, 0], [1, 1]])], "a polygon has at least 3"),
        ([region("polygon", points=[[0, 0], [1, 1], [2, 2]])], "it covers the centre of no pixel"),
        ([region("polygon", points=[[0, 0], [150, 1], [2, 50]])], "its points leave"),
        ([region("brush", format="rle", rle=[0, 1, 1, 2, 3])], "cut short"),
        ([region("brush", format="png", rle=[])], "only 'rle' can be read"),
        ([region("vector", x=1)], "'vectorlabels' cannot be kept"),
        ([BOX, {"type": "relation", "from_id": "r", "to_id": "gone"}], "a relation leads to 'gone', which is no region of the task"),
        ([BOX, {**BOX, "id": "other"}], "rectangle 'cup' (other): it is rectangle 'cup' (r) once more; keep one of them"),
        ([region("rectangle", x=50, y=50, width=900, height=1, rotation=270.5)], "the centre of the rotated box"),
        ([region("rectangle", x=-400, y=50, width=900, height=1, rotation=0.5)], "is far larger than the 40x24 picture"),
        ([{**BOX, "meta": {"synth": {"obb": [9, 9, 1e9, 2, 0.1]}}}], "synth.obb of 1e+09 by 2 is far larger than"),
        ([{**POINT, "parentID": "gone"}], "its parent 'gone' is no rectangle"),
        ([BOX, {**POINT, "parentID": "r"}, {**POINT, "id": "p2", "parentID": "r"}], "it has the keypoint 'rim' twice"),
        ([BOX, {**POINT, "parentID": "r"}, {**POINT, "id": "p2"}], "it is tied to no object, as others of its name are"),
        ([BOX, region("keypoint", "p", "rim", x=120, y=5)], "keypoint 'rim' at 48, 1.2 is outside"),
    ],
)
def test_faults(tmp_path: Path, result: list[dict[str, Any]], message: str) -> None:
    path = export(tmp_path, [task(*result), task(BOX, id=8, image="b.png")], "a.png", "b.png")
    found, faults = read(Reader(path))
    assert [record.key for record in found] == ["b.png"]
    assert faults.samples == 1
    assert "tasks.json: task 7: " in str(faults)
    assert message in str(faults)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": []}, "it has no annotation (0 cancelled)"),
        ({"annotations": [{"was_cancelled": True, "result": []}]}, "it has no annotation (1 cancelled)"),
        ({"data": {"image": "gone.png"}}, "its picture 'gone.png' is not below"),
        ({"data": {"image": "data:image/png;base64,xx"}}, "inside the file as base64"),
        ({"data": {"a": "a.png", "b": "b.png"}}, "which of its data (a, b) is the picture?"),
    ],
)
def test_faults_of_a_task(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = export(tmp_path, [task(BOX, id=8, image="b.png"), {**task(BOX), **change}], "a.png", "b.png")
    found, faults = read(Reader(path))
    assert [record.key for record in found] == ["b.png"]
    assert message in str(faults)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({}, {"id": 8}, "its picture 'a.png' is that of tasks.json: task"),
        ({}, {"image": "b.png"}, "its id '7' is that of tasks.json: task 7 too; keep one of them"),
    ],
)
def test_of_two_tasks_of_one_picture_or_id_none_is_read(tmp_path: Path, first: Any, second: Any, said: str) -> None:
    path = export(tmp_path, [task(BOX, **first), task(BOX, **second), task(BOX, id=9, image="c.png")], "a.png", "b.png", "c.png")
    found, faults = read(Reader(path))
    assert [record.key for record in found] == ["c.png"]
    assert (faults.samples, str(faults).count(said)) == (2, 2)


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label-studio: config must be a path, got 3"):
        Reader(export(tmp_path, [task(BOX)]), config=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("[{", "is no JSON"),
        ('{"a": 1}', "must be a list of tasks"),
        ("[1]", "must be a list of tasks"),
        ('[{"image": "a.png", "id": 1, "label": [{"x": 1}]}]', "JSON-MIN"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_other_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tasks.json").write_text(text)
    with pytest.raises(FormatError, match=message):
        read(Reader(tmp_path / "tasks.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<View>", "no XML"),
        ("<List/>", "<View>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "DOCTYPE"),
        ('<View>\n<RectangleLabels>\n<Label value="a" keypoints="[1]"/></RectangleLabels></View>', "line 3: the keypoints of 'a'"),
    ],
)
def test_broken_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.xml").write_text(text)
    with pytest.raises(FormatError, match=message):
        read(Reader(export(tmp_path, [task(BOX)]), config=tmp_path / "c.xml"))
    with pytest.raises(ConfigError, match=r"gone.xml is no file"):
        Reader(tmp_path / "tasks.json", config=tmp_path / "gone.xml")


def test_configuration_orders_keypoints_and_names_the_picture(tmp_path: Path) -> None:
    (tmp_path / "c.xml").write_text(
        '<View><Image name="i" value="$photo"/><Header value="x"/><KeyPointLabels name="k" toName="i">'
        '<Label value="z" model_index="1"/><Label value="rim" model_index="0"/><Label value="a" model_index="2"/></KeyPointLabels>'
        '<RectangleLabels name="r" toName="i"><Label value="cup"/><Label value="plate"/></RectangleLabels></View>'
    )
    given = task(BOX, {**POINT, "parentID": "r"})
    given["data"] = {"image": "no.png", "photo": "a.png"}
    (record,), faults = read(Reader(export(tmp_path, [given]), config=tmp_path / "c.xml"))
    assert not faults.total, str(faults)
    assert record.categories == (Category("cup", ("rim", "z", "a")), Category("plate"))


# --- brushed regions ----------------------------------------------------------------------------------------------------


def unfolded(data: list[int]) -> list[int]:
    """The values of a stream by its description, bit by bit: the oracle."""
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    total, word, sizes = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < total:
        repeated = take(1)
        count = take(sizes[take(2)]) + 1
        out += [take(word)] * count if repeated else [take(word) for _ in range(count)]
    return out


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32), st.floats(0, 1))
def test_brushes_round_trip(width: int, height: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    data = brush.encode(Rle.encode(mask))
    values = np.reshape(unfolded(data), (height, width, 4))
    np.testing.assert_array_equal(values, np.repeat(mask[..., None] * 255, 4, axis=2))
    np.testing.assert_array_equal(brush.decode(data, width, height).decode(), mask)


def test_long_runs_of_a_brush() -> None:
    mask = np.zeros((300, 400), bool)
    mask[10:290] = True
    data = brush.encode(Rle.encode(mask))
    assert len(data) < 60
    np.testing.assert_array_equal(brush.decode(data, 400, 300).decode(), mask)


def test_a_brush_of_single_values() -> None:
    """Two pixels, by hand: a block of 5 values one by one, then one of 3 equal ones; only alpha counts."""
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    bits += f"0{0:02b}{4:03b}" + "".join(f"{value:08b}" for value in (9, 8, 7, 0, 255))
    bits += f"1{1:02b}{2:04b}{1:08b}"
    data = [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]
    assert unfolded(data) == [9, 8, 7, 0, 255, 1, 1, 1]
    assert brush.decode(data, 2, 1).decode().tolist() == [[False, True]]
    for wrong, message in ((data[:-1], "cut short"), (data[:-3], "cut short"), ([*data[:2], 256], "0 to 255"), ([0.5], "0 to 255")):
        with pytest.raises(FormatError, match=message):
            brush.decode(wrong, 2, 1)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="of 8 values, a picture of 3x1 has 12"):
        brush.decode(data, 3, 1)


@given(st.lists(st.integers(0, 255), max_size=60))
def test_any_bytes_of_a_brush(data: list[int]) -> None:
    head = [0, 0, 0, 4 * 6, 0b00111_000, *data]
    with contextlib.suppress(FormatError):
        brush.decode(head, 3, 2)


# --- round trips --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_records=records(empty_masks=True))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_records: list[Any]) -> None:
    out = tmp_path_factory.mktemp("ls") / "out"
    report = writer("label-studio", out=out).write(Listed(given_records))
    assume("equal objects" not in report.lost)
    assert report.lost == {}
    found, faults = read(reader("label-studio", source=out / "tasks.json", config=out / "label_config.xml"))
    assert not faults.total, str(faults)
    assert_same(found, given_records)


def test_what_is_written(tmp_path: Path) -> None:
    """Percents, a rectangle, a brush; Label Studio finds the pictures by its local files."""
    from synth.record import Record

    boxed = Instance(CATEGORIES[2].name, box_xyxy=(10.0, 6.0, 30.0, 18.0))
    masked = Instance(CATEGORIES[2].name, mask=rectangle_mask(1, 2, 3, 4), box_xyxy=(1.0, 2.0, 3.0, 4.0))
    nothing = Instance(CATEGORIES[2].name)
    record = Record("shop/a b%", "real", WIDTH, HEIGHT, png(), "png", (boxed, masked, nothing, boxed), CATEGORIES)
    report = Writer(tmp_path / "out").write(Listed([record]))
    assert report.lost == {"instances without a box or mask": 1, "equal objects": 1}
    assert report.annotations == 3
    (written,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert written["data"]["image"] == "/data/local-files/?d=images/shop__a%20b%2525.png"
    first, second = written["annotations"][0]["result"]
    assert {name: first["value"][name] for name in ("x", "y", "width", "height", "rotation")} == {
        "x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0,
    }  # fmt: skip
    assert "meta" not in first
    assert "meta" not in second  # its box follows from the mask
    assert second["value"]["brushlabels"] == [CATEGORIES[2].name]
    (read_back,), faults = read(Reader(tmp_path / "out" / "tasks.json"))
    assert not faults.total
    assert read_back.instances[1].box_xyxy == (1, 2, 3, 4)


@pytest.mark.parametrize(("source", "kept"), [("real", True), ("synthetic", False)])
def test_a_rotated_box_beside_a_mask(tmp_path: Path, source: Any, kept: bool) -> None:
    """One that somebody gave is kept; one that was measured follows from the mask."""
    from synth.record import Record

    given = Instance("cup", mask=rectangle_mask(2, 3, 6, 5), obb=Obb(5, 5, 8, 4, 0.5))
    Writer(tmp_path / "out").write(Listed([Record("a", source, WIDTH, HEIGHT, png(), "png", (given,), (Category("cup"),))]))
    (record,), faults = read(Reader(tmp_path / "out" / "tasks.json"))
    assert not faults.total
    assert record.instances[0].obb == (given.obb if kept else None)


# --- fuzzing ------------------------------------------------------------------------------------------------------------

RICH = task(
    copy.deepcopy(BOX),
    {**POINT, "parentID": "r", "meta": {"synth": {"v": 1}}},
    region("polygon", "s", points=[[10, 10], [60, 10], [30, 80]]),
    region("brush", "b", format="rle", rle=brush.encode(rectangle_mask(1, 2, 9, 9))[:20]),
    region("ellipse", "e", x=50, y=50, radiusX=10, radiusY=10, rotation=3),
    {"id": "r", "type": "choices", "from_name": "state", "value": {"choices": ["full"]}},
    {"type": "relation", "from_id": "r", "to_id": "p"},
)
RICH["data"]["synth"] = {"key": "k", "split": "train", "attributes": {"a": 1}}
RICH["annotations"][0]["result"][0]["meta"] = {
    "synth": {"box_xyxy": [1, 2, 3, 4], "obb": [9, 9, 2, 2, 0.1], "crowd": True, "attributes": {}}
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(places(RICH), key=repr)), by=st.sampled_from(BROKEN))
def test_whatever_is_broken_is_a_fault(tmp_path: Path, path: tuple[Any, ...], by: Any) -> None:
    read(Reader(export(tmp_path, [broken(RICH, path, by)])))
