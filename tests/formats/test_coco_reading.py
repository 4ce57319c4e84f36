"""COCO files of others and our own: what they say comes back, what is wrong with them is named, and nothing makes a traceback."""

from __future__ import annotations

import copy
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

import synth
from synth.digest import label_digest
from synth.errors import FormatError
from synth.formats import coco
from synth.record import Record
from synth.types import Instance
from tests.formats.listed import Listed, assert_same, read, record, records, with_measures

SHARED = Path(synth.__file__).parent.parent.parent / "shared" / "data"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
W, H = 20, 12


def valid() -> dict[str, Any]:
    """Two pictures with an annotation of each kind."""
    runs = coco_mask.encode(np.asfortranarray(np.tri(H, W, dtype=np.uint8)))["counts"].decode()
    return {
        "licenses": [{"id": 3, "name": "MIT", "url": ""}],
        "images": [
            {"id": 7, "file_name": "a.png", "width": W, "height": H, "license": 3},
            {"id": 5, "file_name": "deep/b.png", "width": W, "height": H},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [2, 3, 4.5, 5], "area": 22.5, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 8], [12, 2, 15, 2, 15, 6, 12, 6]], "iscrowd": 0},
            {"id": 3, "image_id": 5, "category_id": 4, "segmentation": {"size": [H, W], "counts": runs}, "iscrowd": 1},
            {"id": 4, "image_id": 5, "category_id": 4, "segmentation": {"size": [H, W], "counts": [13, 4, 223]}, "bbox": [1, 1, 1, 4]},
            {"id": 5, "image_id": 5, "category_id": 1, "keypoints": [3, 4, 2, 9, 9, 0, 0.25, 11.5, 1], "attributes": {"pose": "up"}},
        ],
        "categories": [
            {"id": 1, "name": "man", "supercategory": "x", "keypoints": ["a", "b", "c"], "skeleton": [[1, 3], [3, 2]]},
            {"id": 4, "name": "dog"},
            {"id": 9, "name": "never seen"},
        ],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures for `valid`, and others that are wrong."""
    path = tmp_path_factory.mktemp("pictures")
    (path / "deep").mkdir()
    data = bytes(cv2.imencode(".png", np.zeros((H, W, 3), np.uint8))[1])
    for name in ("a.png", "deep/b.png"):
        (path / name).write_bytes(data)
    (path / "short.png").write_bytes(data[:-20])
    (path / "empty.png").write_bytes(b"")
    return path


def load(folder: Path, value: Any) -> tuple[list[Record], list[str]]:
    """What is read of a JSON value, and the faults, without the folder's name."""
    path = folder / "some.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    found, faults = read(coco.Reader(path))
    assert faults.total == len(faults.first) or faults.total > 20
    return found, [fault.removeprefix(f"{path}: ").replace(f"{folder}/", "") for fault in faults.first]


def test_every_kind_of_label(folder: Path) -> None:
    (a, b), faults = load(folder, valid())
    assert faults == []
    assert (a.key, b.key, a.source, a.size, a.info.licence, b.info.licence) == ("a.png", "deep/b.png", "real", (W, H), "MIT", None)
    assert [category.name for category in a.categories] == ["man", "dog", "never seen"]
    assert a.categories is b.categories
    assert a.categories[0].skeleton == (("a", "c"), ("c", "b"))
    assert_same(a.instances[0], Instance("man", box_xyxy=(2.0, 3.0, 6.5, 8.0), crowd=False))
    polygon, dense, sparse, points = a.instances[1], b.instances[0], b.instances[1], b.instances[2]
    truth = COCO(folder / "some.json")
    for number, instance in ((2, polygon), (3, dense), (4, sparse)):
        assert instance.mask is not None
        np.testing.assert_array_equal(instance.mask.decode(), truth.annToMask(truth.anns[number]).astype(bool))
        assert instance.area_px == instance.mask.decode().sum()
    x, y, width, height = coco_mask.toBbox(truth.annToRLE(truth.anns[2])).tolist()
    assert polygon.box_xyxy == (x, y, x + width, y + height)
    assert (dense.crowd, sparse.crowd) == (True, None)
    assert (sparse.box_xyxy, sparse.area_px) == ((1.0, 1.0, 2.0, 5.0), 4)
    assert points.keypoints is not None
    assert points.keypoints.v.tolist() == [2, 0, 1]
    assert points.keypoints.xy.tolist() == [[3.5, 4.5], [0, 0], [0.75, 12.0]]
    assert (points.box_xyxy, points.mask, points.attributes) == (None, None, {"pose": "up"})


def test_runs_of_nothing_are_the_same_mask(folder: Path) -> None:
    value = valid()
    (a,) = [one for one in value["annotations"] if one["id"] == 4]
    plain = load(folder, value)[0][1].instances[1].mask
    a["segmentation"]["counts"] = [13, 2, 0, 2, 223, 0]
    assert load(folder, value)[0][1].instances[1].mask == plain


@QUICK
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_compressed_runs_are_those_of_pycocotools(width: int, height: int, seed: int) -> None:
    from synth.formats.coco_masks import read_mask

    pixels = np.random.default_rng(seed).random((height, width)) < (seed + 1) / 100
    pixels[0, 0] = True
    encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    text = {"size": [height, width], "counts": encoded["counts"].decode()}
    changes = np.flatnonzero(np.diff(pixels.T.ravel().astype(int), prepend=0)).tolist()
    runs = np.diff([0, *changes, width * height]).tolist()
    assert read_mask(text, (width, height)) == read_mask({**text, "counts": runs}, (width, height))
    assert read_mask(text, (width, height)).counts == encoded["counts"]


WRONG: list[tuple[str, Any, str]] = [
    # place in `valid`, what is put there (... deletes it), the fault
    ("images.0.id", "7", "image '7' ('a.png'): id must be a whole number from 0 up, got '7'"),
    ("images.0.id", True, "image True ('a.png'): id must be a whole number from 0 up, got True"),
    ("images.0.id", 5, "image 5 ('a.png'): id 5 stands 2 times; each image has its own"),
    ("images.0.width", 21, "image 7 ('a.png'): a.png: the picture is 20x12, its annotation says 21x12"),
    ("images.0.width", -20, "image 7 ('a.png'): width must be a whole number from 1 up, got -20"),
    ("images.0.width", 10**30, "image 7 ('a.png'): width 1000000000000000000000000000000 and height 12 make more than 268435456 pixels"),
    ("images.0.height", ..., "image 7 ('a.png'): height must be a whole number from 1 up, got None"),
    ("images.0.file_name", "../a.png", "leaves the folder"),
    ("images.0.file_name", "/etc/passwd", "leaves the folder"),
    ("images.0.file_name", "deep/b.png", "file_name 'deep/b.png' stands 2 times"),
    ("images.0.file_name", "./deep//b.png", "file_name 'deep/b.png' stands 2 times"),
    ("images.0.file_name", 3, "file_name must be text, got 3"),
    ("images.0.file_name", "gone.png", "image 7 ('gone.png'): cannot read gone.png: No such file or directory"),
    ("images.0.file_name", "deep", "deep is a folder; name the file to read"),
    ("images.0.file_name", "short.png", "short.png: the file is cut short"),
    ("images.0.file_name", "empty.png", "empty.png is empty"),
    ("images.0.file_name", "x" * 400, "cannot"),
    ("images.0.license", 4, "license 4 is the id of no licence; known: 3"),
    ("images.0", [1], "images[0]: it must be an object, got [1]"),
    ("annotations.0.id", 2, "annotation 2: its id stands more than once"),
    ("annotations.0.id", "1", "annotation '1': id must be a whole number from 0 up, got '1'"),
    ("annotations.0.id", ..., "annotations[0]: id must be a whole number from 0 up, got None"),
    ("annotations.0.image_id", 8, "annotation 1: image_id 8 is the id of no image"),
    ("annotations.0.image_id", 7.0, "annotation 1: image_id must be a whole number from 0 up, got 7.0"),
    ("annotations.0.category_id", 2, "annotation 1: category_id 2 is the id of no category; known: 1, 4, 9"),
    ("annotations.0", [1], "annotations[0]: it must be an object, got [1]"),
    ("annotations.0.bbox", [2, 3, 4], "annotation 1: bbox must be a list of 4 numbers, got [2, 3, 4]"),
    ("annotations.0.bbox", [2, 3, "4", 1], "bbox must be a finite number, got '4'"),
    ("annotations.0.bbox", [2, 3, 4, True], "bbox must be a finite number, got True"),
    ("annotations.0.bbox", [2, 3, float("nan"), 1], "image 7 ('a.png'): annotation 1: bbox must be a finite number, got nan"),
    ("annotations.0.bbox", [2, 3, 10**400, 1], "bbox must be a finite number, got 1000"),
    ("annotations.0.bbox", [2, 3, -4, 1], "bbox has no area: x 2 to -2"),
    ("annotations.0.bbox", [0, 0, 0, 0], "bbox has no area"),
    ("annotations.0.bbox", [2, 3, 40, 1], "bbox x 2 to 42, y 3 to 4 leaves the 20x12 picture"),
    ("annotations.0.bbox", ..., "annotation 1: it has neither bbox nor segmentation nor keypoints"),
    ("annotations.0.iscrowd", 2, "iscrowd must be 0 or 1, got 2"),
    ("annotations.0.iscrowd", [], "iscrowd must be 0 or 1, got []"),
    ("annotations.0.attributes", [1], "attributes must be an object, got [1]"),
    ("annotations.0.attributes", {"a": float("inf")}, "attributes must be JSON values"),
    ("annotations.1.segmentation", [[1, 1, 9, 1]], "polygon 0 needs x and y of three or more points, got 4 numbers"),
    ("annotations.1.segmentation", [[1, 1, 9, 1, 5, 5, 1]], "polygon 0 needs x and y of three or more points, got 7 numbers"),
    ("annotations.1.segmentation", [[1, 1, 90, 1, 5, 5]], "segmentation: polygon 0, x 1 to 90, y 1 to 5, leaves the 20x12 picture"),
    ("annotations.1.segmentation", [1, 1, 9, 1, 9, 8], "polygon 0 must be a list of numbers, got 1"),
    ("annotations.1.segmentation", [[1, 1, 1, 1, 1, 1]], "segmentation covers no pixel"),
    ("annotations.1.segmentation", "abc", "segmentation must be a list of polygons or run lengths, got 'abc'"),
    ("annotations.2.segmentation.size", [W, H], "its size must be [height, width] of the picture, [12, 20], got [20, 12]"),
    ("annotations.2.segmentation.counts", "0", "counts add up to 0 pixels"),
    ("annotations.2.segmentation.counts", "PPPP", "counts are no run lengths, or cut short: 'PPPP'"),
    ("annotations.2.segmentation.counts", "oooooooooo1", "counts are no run lengths"),
    ("annotations.2.segmentation.counts", "é", "counts are no run lengths"),
    ("annotations.2.segmentation.counts", "", "counts are no run lengths"),
    ("annotations.3.segmentation.counts", [13, -4, 231], "counts must be a whole number from 0 up, got -4"),
    ("annotations.3.segmentation.counts", [13, 4], "counts add up to 17 pixels, the 20x12 picture has 240"),
    ("annotations.3.segmentation.counts", [240], "segmentation covers no pixel"),
    ("annotations.3.segmentation.counts", [10**50, 1], "counts add up to"),
    ("annotations.4.keypoints", [3, 4, 2], "keypoints must be x, y and v of the 3 keypoints that category 'man' names, got 3 numbers"),
    ("annotations.4.keypoints.2", 3, "keypoint 'a': v must be 0, 1 or 2, got 3"),
    ("annotations.4.keypoints.2", [], "keypoint 'a': v must be 0, 1 or 2, got []"),
    ("annotations.4.keypoints.0", 25, "keypoint 'a' at 25, 4 leaves the 20x12 picture"),
    ("annotations.4.keypoints.0", None, "keypoint 'a' must be a finite number, got None"),
    ("annotations.4.category_id", 4, "keypoints must be x, y and v of the 0 keypoints that category 'dog' names, got 9 numbers"),
]


def put(value: Any, place: str, new: Any) -> Any:
    *above, last = (int(step) if step.isdigit() else step for step in place.split("."))
    for step in above:
        value = value[step]
    if new is ...:
        del value[last]
    else:
        value[last] = new
    return value


@pytest.mark.parametrize(("place", "new", "fault"), WRONG, ids=[f"{i}-{place}" for i, (place, _, _) in enumerate(WRONG)])
def test_faults_are_named(folder: Path, place: str, new: Any, fault: str) -> None:
    value = valid()
    put(value, place, new)
    found, faults = load(folder, value)
    assert any(fault in one for one in faults), faults
    assert len(found) < 2 or "image_id" in fault or "annotations[0]" in faults[0]
    if "7 ('a.png'): a" in fault:
        assert [one.key for one in found] == ["deep/b.png"]


@pytest.mark.parametrize(
    ("place", "new", "message"),
    [
        ("categories.0.id", 4, "categories[1]: id 4 or name 'dog' stands twice"),
        ("categories.0.name", "dog", "stands twice"),
        ("categories.0.name", "", "categories[0]: name must be text, got ''"),
        ("categories.0", 3, "categories[0]: it must be an object, got 3"),
        ("categories.0.keypoints", ["a", "a", "b"], "categories[0]: category 'man': keypoint names must differ"),
        ("categories.0.skeleton", [[0, 1]], "skeleton holds [0, 1], which is no pair of its 3 keypoints; they count from 1"),
        ("categories.0.skeleton", [[1, True, 2]], "which is no pair"),
        ("categories", {}, "'categories' must be a list, got {}"),
        ("annotations", ..., "'annotations' must be a list, got None; is it a COCO file of instances or keypoints?"),
        ("images", [{"id": 1, "file_name": "gone.png"}], "none of its 1 pictures is in"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(folder: Path, place: str, new: Any, message: str) -> None:
    value = valid()
    put(value, place, new)
    with pytest.raises(FormatError) as caught:
        load(folder, value)
    assert str(caught.value).startswith(f"{folder / 'some.json'}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON: Expecting value: line 1 column 1"),
        ('{"images": [', "is no JSON: Expecting value: line 1 column 13"),
        ("[]", "a COCO file holds one object with images, annotations and categories, this one []"),
        ("[" * 100_000, "is no JSON: maximum recursion"),
        ('{"images": ["\\ud800"]}', "is no JSON: .*surrogates not allowed"),
    ],
    ids=["empty", "cut", "list", "deep", "half a character"],
)
def test_a_file_that_is_no_coco(folder: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        load(folder, text)
    assert message.split(".*")[-1] in str(caught.value)
    assert str(folder / "some.json") in str(caught.value)


def test_where_pictures_are_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "instances_train.json"
    path.write_text(json.dumps(valid()))
    assert len(read(coco.Reader(path, folder))[0]) == 2
    for place in ("annotations", "annotations/images", "train", "images/train", "images"):
        (tmp_path / place / "deep").mkdir(parents=True, exist_ok=True)
        for name in ("a.png", "deep/b.png"):
            (tmp_path / place / name).write_bytes((folder / name).read_bytes())
        assert [one.key for one in read(coco.Reader(path))[0]] == ["a.png", "deep/b.png"], place
        assert len(read(coco.Reader(tmp_path))[0]) == 2  # the folder has one JSON file
        for name in ("a.png", "deep/b.png"):
            (tmp_path / place / name).unlink()
    (tmp_path / "annotations" / "instances_val.json").write_text("{}")
    with pytest.raises(FormatError, match=r"2 JSON files \(instances_train.json, instances_val.json\); name the one to read"):
        read(coco.Reader(tmp_path))


def test_names_of_ours_mean_nothing_in_files_of_others(folder: Path) -> None:
    value = valid()
    value["annotations"][0] |= {"attributes": {"visible_fraction": "most", "crowd": 3}, "ignore": 1}
    value["images"][0] |= {"key": "k", "info": {"split": 3}}
    found, faults = load(folder, value)
    assert faults == []
    assert found[0].key == "a.png"
    assert found[0].instances[0].attributes == {"visible_fraction": "most", "crowd": 3, "ignore": True}
    value["info"] = {"synth": 1}
    assert load(folder, value)[1] == [
        "image 7 ('a.png'): info: split must be text, got 3",
        load(folder, value)[1][1],
    ]


# --- round trips ------------------------------------------------------------------------------------------------------


@QUICK
@given(st.data())
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    given_records = [data.draw(records(key)) for key in ("a/b.png", "ü 1")]
    out = tmp_path_factory.mktemp("round") / "out"
    report = coco.Writer(out).write(Listed(given_records))
    assert report.lost.keys() <= {"instances without a box or mask"}
    found, faults = read(coco.Reader(out))
    assert faults.total == 0, str(faults)
    assert [one.key for one in found] == ["a/b.png", "ü 1"]
    for got, wanted in zip(found, given_records, strict=True):
        assert (got.image, got.size, got.info, got.categories) == (wanted.image, wanted.size, wanted.info, wanted.categories)
        shown = [one for one in map(with_measures, wanted.instances) if one.box_xyxy is not None]
        assert_same(got.instances, tuple(shown))
    assert report.annotations == sum(len(one.instances) for one in found)


def test_reading_again_is_the_same(folder: Path) -> None:
    first, second = load(folder, valid())[0], load(folder, valid())[0]
    assert [label_digest(one) for one in first] == [label_digest(one) for one in second]


# --- whatever a file holds --------------------------------------------------------------------------------------------

WEIRD = [
    *(None, True, 0, -1, 1, 2, 5, 7, 1.5, 1e308, -1e308, float("nan"), float("inf"), 10**30, "", "a", "../x", "\0", "9" * 50),
    *([], {}, [[]], [1, 2], {"id": 1}),
]


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [place for step, below in steps for place in places(below, (*way, step))]


def mutate(value: Any, rng: random.Random) -> None:
    *above, last = rng.choice(places(value))
    for step in above:
        value = value[step]
    kind = rng.randrange(4)
    if kind == 0:
        del value[last]
    elif kind == 1 and isinstance(value, list):
        value.append(copy.deepcopy(value[last]))
    elif kind == 2 and isinstance(value[last], str) and value[last]:
        at = rng.randrange(len(value[last]))
        value[last] = value[last][:at] + chr(rng.randrange(32, 200)) + value[last][at + rng.randrange(2) :]
    else:
        value[last] = copy.deepcopy(rng.choice(WEIRD))


@pytest.mark.parametrize("ours", [False, True], ids=["of others", "of ours"])
def test_a_damaged_file_makes_no_traceback(folder: Path, tmp_path: Path, ours: bool) -> None:
    """What is still read can be written again."""
    root = folder
    good = valid()
    if ours:
        coco.Writer(tmp_path / "out").write(Listed([record(2, key="a"), record(4, key="b")]))
        root, good = tmp_path / "out", json.loads((tmp_path / "out" / "annotations.json").read_text())
        good["info"] = {"synth": 1}
    good_count, refused, with_faults = 0, 0, 0
    for seed in range(600):
        rng = random.Random(seed)
        value = copy.deepcopy(good)
        for _ in range(rng.choice([1, 1, 2, 5])):
            mutate(value, rng)
        try:
            found, faults = load(root, value)
        except FormatError:
            refused += 1
            continue
        with_faults += bool(faults)
        good_count += not faults
        assert len(found) == len({one.key for one in found})
        for one in found:
            label_digest(one)
        if seed % 20 == 0 and found:
            coco.Writer(tmp_path / str(seed)).write(Listed(found))
    assert min(good_count, refused, with_faults) > 20


@QUICK
@given(st.integers(0, 3000), st.binary(max_size=3))
def test_damaged_bytes_make_no_traceback(folder: Path, at: int, new: bytes) -> None:
    data = json.dumps(valid()).encode()
    path = folder / "bytes.json"
    path.write_bytes(data[: at % len(data)] + new + data[at % len(data) + 1 :])
    with suppress(FormatError):
        read(coco.Reader(path))


# --- real files -------------------------------------------------------------------------------------------------------


def shared(part: str) -> Path:
    if not (SHARED / part).exists():
        pytest.skip(f"{part} is not there: this test reads real files that do not come with the project")
    return SHARED / part


def test_files_of_another_tool() -> None:
    root = shared("formats/datumaro/coco_dataset_coco_instances")
    (a,), faults = read(coco.Reader(root / "annotations" / "instances_train.json"))
    (b,), more = read(coco.Reader(root / "annotations" / "instances_val.json"))
    assert faults.total == more.total == 0
    assert (a.key, a.size, [one.name for one in a.categories]) == ("a.jpg", (10, 5), ["a", "b", "c"])
    assert_same(a.instances, (Instance("b", box_xyxy=(2.0, 2.0, 5.0, 3.0), crowd=False),))
    assert b.size == (5, 10)
    polygon, crowd = b.instances
    assert polygon.mask is not None
    assert np.argwhere(polygon.mask.decode()).tolist() == [[0, 0], [1, 0]]
    assert (polygon.attributes, polygon.area_px, polygon.box_xyxy) == ({"x": 1, "y": "hello"}, 2, (0.0, 0.0, 1.0, 2.0))
    assert (crowd.crowd, crowd.area_px, crowd.category) == (True, 20, "b")


def test_a_file_without_keypoint_names() -> None:
    """Its categories name no keypoints, its annotations have three: nobody can tell which is which."""
    root = shared("formats/datumaro/coco_dataset_coco_person_keypoints")
    with pytest.raises(FormatError, match=r"categories\[0\]: skeleton holds \[0, 1\], which is no pair of its 0 keypoints"):
        read(coco.Reader(root / "annotations" / "person_keypoints_train.json"))


def keypoint_file(out: Path, name: str, keypoints: list[str], images: dict[str, tuple[tuple[int, int], Any]]) -> Path:
    """A COCO file of one object a picture, from points (k, 2) by file, their pixel centres at whole numbers as COCO has them.

    Points outside the picture get v 0, the others 2; the box is that of the points.
    """
    entries, annotations = [], []
    for number, (file_name, ((width, height), points)) in enumerate(images.items(), 1):
        xy = np.asarray(points)
        seen = ((xy >= -0.5) & (xy <= np.array([width, height]) - 0.5)).all(axis=1)
        flat = [value for (x, y), v in zip(xy.tolist(), seen, strict=True) for value in ((x, y, 2) if v else (0, 0, 0))]
        low, high = np.clip(xy.min(0) + 0.5, 0, [width, height]), np.clip(xy.max(0) + 0.5, 0, [width, height])
        entries.append({"id": number, "file_name": file_name, "width": width, "height": height})
        annotations.append({
            "id": number, "image_id": number, "category_id": 1, "keypoints": flat, "num_keypoints": int(seen.sum()),
            "bbox": [*low.tolist(), *(high - low).tolist()], "area": float(np.prod(high - low)), "iscrowd": 0,
        })  # fmt: skip
    categories = [{"id": 1, "name": name, "keypoints": keypoints, "skeleton": []}]
    out.write_text(json.dumps({"images": entries, "annotations": annotations, "categories": categories}))
    return out


def assert_points(found: list[Record], images: dict[str, tuple[tuple[int, int], Any]]) -> None:
    """OpenCV's centres are at whole numbers, ours half a pixel on."""
    assert [one.key for one in found] == list(images)
    for one in found:
        (width, height), points = images[one.key]
        assert one.size == (width, height)
        (instance,) = one.instances
        assert instance.keypoints is not None
        expected = np.asarray(points) + 0.5
        inside = ((expected >= 0) & (expected <= [width, height])).all(axis=1)
        assert instance.keypoints.v.tolist() == (inside * 2).tolist()
        np.testing.assert_allclose(instance.keypoints.xy[inside], expected[inside], atol=1e-9)
        assert (instance.keypoints.xy[~inside] == 0).all()


def test_chessboard_photos(tmp_path: Path) -> None:
    folder = shared("real/chessboard_left")
    truth = json.loads((folder / "corners_gt.json").read_text())["images"]
    images = {name: (tuple(one["size"]), one["corners"]) for name, one in truth.items()}
    names = [f"{row}-{column}" for row in range(6) for column in range(9)]
    found, faults = read(coco.Reader(keypoint_file(tmp_path / "board.json", "board", names, images), folder))
    assert faults.total == 0
    assert len(found) == 13
    assert sum(int((one.instances[0].keypoints.v == 2).sum()) for one in found if one.instances[0].keypoints) == 13 * 54
    assert_points(found, images)


def test_cookie_box_photos(tmp_path: Path) -> None:
    folder = shared("real/cookie_box")
    photo = json.loads((folder / "pose_gt.json").read_text())
    frames = json.loads((folder / "frames_gt.json").read_text())["frames"]
    points = {photo["image"]: photo["keypoints_px_projected"]} | {f"frames/{name}": one["keypoints_8_px"] for name, one in frames.items()}
    images = {name: (cv2.imread(str(folder / name)).shape[1::-1], xy) for name, xy in points.items() if (folder / name).exists()}
    found, faults = read(coco.Reader(keypoint_file(tmp_path / "box.json", "box", list("abcdefgh"), images), folder))
    assert faults.total == 0, str(faults)
    assert len(found) == 17
    assert_points(found, images)


# --- what contradicts itself ------------------------------------------------------------------------------------------


def refused(folder: Path, change: Any, message: str, good: dict[str, Any] | None = None) -> None:
    """A valid file in which `change` spoils one annotation."""
    value = valid() if good is None else copy.deepcopy(good)
    change(value["annotations"])
    found, faults = load(folder, value)
    assert len(found) == len(value["images"]) - 1
    assert message in str(faults)


@pytest.mark.parametrize(
    ("place", "labels", "message"),
    [
        (0, {"area": float("nan")}, "area must be a finite number, got nan"),
        (0, {"area": -1}, "area must not be negative, got -1"),
        (0, {"area": "22"}, "area must be a finite number"),
        (4, {"num_keypoints": 3}, "num_keypoints is 3, of its keypoints 2 have v above 0"),
        (0, {"num_keypoints": 1}, "num_keypoints is 1, of its keypoints 0 have v above 0"),
        (4, {"num_keypoints": 2.0}, "num_keypoints must be a whole number"),
        (3, {"bbox": [10, 2, 8, 8]}, "bbox [10, 2, 8, 8] lies elsewhere than its segmentation, at x 1 to 2, y 1 to 5"),
    ],
    ids=range(7),
)
def test_annotations_that_contradict_themselves(folder: Path, place: int, labels: dict[str, Any], message: str) -> None:
    refused(folder, lambda annotations: annotations[place].update(labels), message)


def test_what_agrees_well_enough(folder: Path) -> None:
    """Boxes drawn by hand are some pixels off, areas are whatever a tool counts."""
    value = valid()
    value["annotations"][3]["bbox"] = [0, 0, 4, 6]
    value["annotations"][0]["area"] = 3
    value["annotations"][4]["num_keypoints"] = 2
    assert load(folder, value)[1] == []


def test_the_same_annotation_twice(folder: Path) -> None:
    refused(folder, lambda annotations: annotations.append({**annotations[0], "id": 99}), "annotation 99: it is annotation 1 once more")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("obb_cxcywha", [10, 6, 1e6, 2, 0], "obb_cxcywha is far larger than the picture"),
        ("obb_cxcywha", [1e4, 6, 3, 2, 0], "obb_cxcywha is far larger than the picture, or outside it"),
        ("box_full_xyxy", [5, 5, 3, 9], "box_full_xyxy has no area"),
        ("area_px", 10**6, "area_px is 1000000, the picture has"),
        ("camera_from_object", [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "camera_from_object is no rigid transform"),
        ("camera_from_object", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]], "camera_from_object is no rigid transform"),
        ("camera_from_object", [[1e300] * 4] * 4, "camera_from_object is no rigid transform"),
        ("box3d_object_m", [[0, 0, 0], [1, -1, 1]], "box3d_object_m has a negative side"),
    ],
    ids=range(8),
)
def test_our_own_labels_are_checked_too(tmp_path: Path, name: str, value: Any, message: str) -> None:
    coco.Writer(tmp_path / "out").write(Listed([record(2, key="a"), record(4, key="b")]))
    good = json.loads((tmp_path / "out" / "annotations.json").read_text())
    refused(tmp_path / "out", lambda annotations: annotations[0]["attributes"].update({name: value}), message, good)


def test_one_picture_under_two_names(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((folder / "a.png").read_bytes())
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.png").symlink_to("../a.png")
    found, faults = load(tmp_path, valid())
    assert (found, len(faults)) == ([], 2)
    assert "is the picture of another image, through a link" in str(faults)


def test_a_file_that_is_a_link_out_of_its_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "away.json").write_text(json.dumps(valid()))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "annotations.json").symlink_to("../away.json")
    with pytest.raises(FormatError, match="is a link that leaves the folder"):
        read(coco.Reader(tmp_path / "in", images=folder))
