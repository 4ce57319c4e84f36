"""COCO as pycocotools reads it: masks, boxes, keypoints and categories come back equal; what is not written is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats import coco
from synth.formats.writing import Report
from synth.record import Output, Record, decode_image
from synth.store import Store
from synth.types import Category, Instance, Keypoints, Rle, SampleInfo
from tests.formats.listed import Listed, record
from tests.samples import HEIGHT, WIDTH, sample

COUNT = 12


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path, Report]:
    folder = tmp_path_factory.mktemp("coco")
    store = Store.open(folder / "store", create=True)
    fragment = store.write_fragment(map(sample, range(COUNT)), Output("jpeg"), "run")
    store.commit([fragment], message="m", run="run", meta={"licences": {"mug": "CC0-1.0"}})
    told = store.provenance("main")
    report = coco.Writer(folder / "out", provenance=told, licences=told["licences"]).write(store.read(maps=()))
    return store, folder / "out", report


def test_pycocotools_reads_the_same(exported: tuple[Store, Path, Report]) -> None:
    store, out, _ = exported
    read = COCO(out / "annotations.json")
    assert sorted(read.imgs) == list(range(1, COUNT + 1))
    for image_id, (image, shown) in enumerate(zip(read.loadImgs(sorted(read.imgs)), store.read().records(), strict=True), 1):
        assert (image["width"], image["height"], image["key"], image["license"]) == (WIDTH, HEIGHT, shown.key, 1)
        assert (out / "images" / image["file_name"]).read_bytes() == shown.image
        written = read.loadAnns(read.getAnnIds(image_id))
        assert len(written) == 1  # instance 1 of odd samples has neither mask nor box
        (entry,), instance = written, shown.instances[0]
        assert instance.mask is not None
        assert instance.box_xyxy is not None
        assert instance.keypoints is not None
        np.testing.assert_array_equal(read.annToMask(entry).astype(bool), instance.mask.decode())
        x0, y0, x1, y1 = instance.box_xyxy
        assert entry["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert entry["area"] == instance.area_px
        xyv = np.reshape(entry["keypoints"], (-1, 3))
        np.testing.assert_array_equal(xyv[:, 2], instance.keypoints.v)
        np.testing.assert_array_equal(xyv[0, :2], instance.keypoints.xy[0] - 0.5)
        np.testing.assert_array_equal(xyv[1], 0)
        assert entry["num_keypoints"] == 1
        assert read.cats[entry["category_id"]]["name"] == "mug"
        assert entry["attributes"]["visible_fraction"] == instance.visible_fraction
        np.testing.assert_array_equal(entry["attributes"]["camera_from_object"], instance.camera_from_object)


def test_pycocotools_scores_the_truth_as_perfect(exported: tuple[Store, Path, Report]) -> None:
    """Detections made from our own labels, in COCO's law, match every annotation that counts, and ignored ones count for nothing."""
    store, out, report = exported
    truth = COCO(out / "annotations.json")
    assert report.ignored == 2  # samples 0 and 10 are seen to 0.0
    for kind in ("bbox", "segm", "keypoints"):
        found = []
        for image_id, shown in enumerate(store.read(), 1):
            instance = shown.instances[0]
            if image_id in (1, 11):
                continue  # not found: must cost nothing
            assert instance.mask is not None
            assert instance.box_xyxy is not None
            assert instance.keypoints is not None
            x0, y0, x1, y1 = instance.box_xyxy
            points = np.column_stack([instance.keypoints.xy - 0.5, [1, 1]]).ravel().tolist()
            mask = {"size": [HEIGHT, WIDTH], "counts": instance.mask.counts}
            part = {"bbox": {"bbox": [x0, y0, x1 - x0, y1 - y0]}, "segm": {"segmentation": mask}, "keypoints": {"keypoints": points}}[kind]
            found.append({"image_id": image_id, "category_id": 1, "score": 0.9, **part})
        score = COCOeval(truth, truth.loadRes(found), kind)
        if kind == "keypoints":
            score.params.kpt_oks_sigmas = np.array([0.05, 0.1])
        score.evaluate()
        score.accumulate()
        precision = score.eval["precision"][:, :, 0, 0, -1]  # mug, all areas
        assert precision.min() == 1.0, kind


def test_header(exported: tuple[Store, Path, Report]) -> None:
    store, out, report = exported
    written = json.loads((out / "annotations.json").read_text())
    assert written["categories"] == [
        {
            "id": 1,
            "name": "mug",
            "supercategory": "",
            "keypoints": ["handle", "rim"],
            "skeleton": [[1, 2]],
            "mirror": [[1, 2]],
            "sigmas": [0.05, 0.1],
        },
        {"id": 2, "name": "box", "supercategory": ""},
    ]
    assert written["licenses"] == [{"id": 1, "name": "CC0-1.0", "url": ""}]
    info = written["info"]
    assert (info["store"], info["ref"], info["version"]) == (str(store.folder), "main", 2)
    assert info["date_created"] == store.log()[0].time.isoformat(timespec="seconds")
    (origin,) = info["origins"]
    assert (origin["seed"], origin["scene"], origin["renderer"], origin["images"]) == (7, "shelf", "flat 1", COUNT)
    assert origin["recipe"] == "5eed" * 16
    assert origin["versions"] == {"numpy": "2.4", "synth": "0.1"}
    assert sorted(p.name for p in out.iterdir()) == ["annotations.json", "images"]
    assert (report.images, report.annotations, report.left_out_empty) == (COUNT, COUNT, 0)
    assert str(report) == (
        "12 images, 12 annotations; 2 of them marked ignore: seen too little; "
        "the format cannot hold: camera (12), instances without a box or mask (6)"
    )


def annotations(tmp_path: Path, *records: Record, **options: Any) -> tuple[list[dict[str, Any]], Report]:
    report = coco.Writer(tmp_path / "out", **options).write(Listed(records))
    return json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"], report


def test_the_pixel_law_is_converted(tmp_path: Path) -> None:
    """The centre of the top-left pixel is (0.5, 0.5) here and (0, 0) in COCO."""
    (shown,) = record().instances
    moved = replace(shown, keypoints=Keypoints(np.array([[0.5, 0.5], [10.0, 7.25]]), np.array([2, 1])))
    (entry,), _ = annotations(tmp_path, record(instances=(moved,)))
    assert entry["keypoints"] == [0.0, 0.0, 2, 9.5, 6.75, 1]


@pytest.mark.parametrize(("below", "crowd"), [("ignore", [1, 0]), ("leave_out", [0])])
def test_hidden_instances(tmp_path: Path, below: Any, crowd: list[int]) -> None:
    first = record().instances[0]
    pair = (replace(first, visible_fraction=0.29), replace(first, visible_fraction=0.3))
    entries, report = annotations(tmp_path, record(instances=pair), below=below, min_visible_fraction=0.3)
    assert [entry["iscrowd"] for entry in entries] == [entry["ignore"] for entry in entries] == crowd
    assert (report.ignored, report.left_out_hidden) == ((1, 0) if below == "ignore" else (0, 1))


def test_absent_labels_stay_absent(tmp_path: Path) -> None:
    """Human labels: a box alone, a mask alone; a fraction that nobody gave hides nothing."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:5, 10:20] = True
    given = (Instance("box", box_xyxy=(1.0, 2.0, 4.5, 6.0)), Instance("box", Rle.encode(mask)), Instance("box", Rle.encode(mask & False)))
    (box, masked), report = annotations(tmp_path, record(instances=given, origin=None))
    assert {"segmentation", "keypoints", "attributes"}.isdisjoint(box)
    assert (box["bbox"], box["area"]) == ([1.0, 2.0, 3.5, 4.0], 14.0)
    assert (masked["bbox"], masked["area"]) == ([10.0, 3.0, 10.0, 2.0], 20)
    assert report.left_out_empty == 1


@pytest.mark.parametrize("key", ["shop/a b", "../../x", ".hidden", "ü#%", "k" * 300, ".png"], ids=lambda key: key[:20])
def test_keys_stay_in_the_folder(tmp_path: Path, key: str) -> None:
    coco.Writer(tmp_path / "out").write(Listed([record(key=key)]))
    (written,) = (tmp_path / "out" / "images").iterdir()
    (image,) = json.loads((tmp_path / "out" / "annotations.json").read_text())["images"]
    assert image["file_name"] == written.name
    assert image["key"] == key
    assert not written.name.startswith(".")
    assert decode_image(written.read_bytes(), (HEIGHT, WIDTH)).shape == (HEIGHT, WIDTH, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    coco.Writer(tmp_path / "out").write(Listed([record()]))  # an empty one is filled
    before = (tmp_path / "out" / "annotations.json").read_bytes()
    with pytest.raises(ConfigError, match="out is there and not an empty folder"):
        coco.Writer(tmp_path / "out").write(Listed([record(3)]))
    assert (tmp_path / "out" / "annotations.json").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([record(2), KeyError("broken")], KeyError, "broken"),
        (
            [record(2), record(3, categories=(Category("mug", ("rim", "handle")), Category("box")))],
            LabelError,
            "sample run-00000003: keypoint 0 of 'mug' is 'rim', 'handle' in samples before",
        ),
        ([record(2), record(3, image=None)], TypeError, "bytes-like"),
    ],
)
def test_a_failed_export_leaves_nothing(tmp_path: Path, given: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        coco.Writer(tmp_path / "out").write(Listed(given))
    assert list(tmp_path.iterdir()) == []


def test_strict_refuses_what_would_be_lost(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"coco cannot hold camera \(sample run-00000002\); nothing was written"):
        coco.Writer(tmp_path / "out", strict=True).write(Listed([record()]))
    assert list(tmp_path.iterdir()) == []
    coco.Writer(tmp_path / "out", strict=True).write(Listed([record(camera=None)]))


def test_licences_of_pictures(tmp_path: Path) -> None:
    """Each picture's own where it has one; the one that is given for all where not."""
    given = [record(2, key=name, info=SampleInfo(licence=licence)) for name, licence in (("a", "MIT"), ("b", None), ("c", "CC0-1.0"))]
    coco.Writer(tmp_path / "out", licences=["CC0-1.0"]).write(Listed(given))
    written = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [entry["name"] for entry in written["licenses"]] == ["CC0-1.0", "MIT"]
    assert [image["license"] for image in written["images"]] == [2, 1, 1]


@pytest.mark.parametrize(("options", "message"), [({"below": "drop"}, "below must be"), ({"min_visible_fraction": 10}, "must be in")])
def test_wrong_options(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        coco.Writer(tmp_path / "out", **options).write(Listed([]))
    assert list(tmp_path.iterdir()) == []
