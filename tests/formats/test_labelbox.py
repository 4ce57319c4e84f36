"""Labelbox: rows by hand in the documented shape; round trips of all that it holds; whatever is broken is a fault with its line."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, FormatError
from synth.formats import reader, writer
from synth.formats.labelbox import Reader, Writer
from synth.record import Record
from synth.types import Category, Instance, Rle
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
)

BOX = {
    "feature_id": "f1", "name": "cup", "annotation_kind": "ImageBoundingBox", "classifications": [],
    "bounding_box": {"top": 2.0, "left": 3.5, "height": 10.0, "width": 20.25},
}  # fmt: skip
POLYGON = {
    "feature_id": "f2",
    "name": "leaf",
    "polygon": [{"x": 4, "y": 2}, {"x": 10, "y": 2}, {"x": 10, "y": 8}, {"x": 4, "y": 8}, {"x": 4, "y": 2}],
}
POINT = {"feature_id": "f3", "name": "rim", "annotation_kind": "ImagePoint", "point": {"x": 20.5, "y": 11.0}}
MASK = {"feature_id": "f4", "name": "leaf", "mask": {"url": "https://api.labelbox.com/masks/f4-uuid.png?token=1"}}
TIE = {"name": "part", "unidirectional_relationship": {"source": "f1", "target": "f3"}}


def label(*objects: dict[str, Any], day: int = 1, ties: Any = (), answers: Any = (), **more: Any) -> dict[str, Any]:
    details = {"created_by": "ann@example.com", "created_at": f"2024-01-0{day}T00:00:00.000+00:00"}
    annotations = {"objects": list(objects), "classifications": list(answers), "relationships": list(ties)}
    return {"label_kind": "Default", "id": f"l{day}", "label_details": details, "annotations": annotations, **more}


def row(*labels: dict[str, Any], name: str = "a.png", **more: Any) -> dict[str, Any]:
    return {
        "data_row": {"id": f"id-{name}", "external_id": name, "row_data": f"https://storage.example.com/x/{name}"},
        "media_attributes": {"height": HEIGHT, "width": WIDTH, "mime_type": "image/png"},
        "projects": {"p1": {"name": "shop", "labels": list(labels)}},
        **more,
    }


def export(folder: Path, *rows: Any, pictures: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for name in pictures:
        (folder / name).write_bytes(png())
    (folder / "export.ndjson").write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in rows))
    return folder / "export.ndjson"


def one(folder: Path, *labels: dict[str, Any], **options: Any) -> Record:
    (found,), faults = read(Reader(export(folder, row(*labels)), **options))
    assert not faults.total, str(faults)
    return found


def test_a_row(tmp_path: Path) -> None:
    found = one(tmp_path, label(BOX, POLYGON, POINT, ties=[TIE]))
    cup, leaf = found.instances
    assert (found.key, found.size, found.info.annotator) == ("a.png", (WIDTH, HEIGHT), "ann@example.com")
    assert (cup.category, cup.box_xyxy, cup.mask, cup.area_px) == ("cup", (3.5, 2.0, 23.75, 12.0), None, None)
    assert cup.keypoints is not None
    assert (cup.keypoints.xy.tolist(), cup.keypoints.v.tolist()) == ([[20.5, 11.0]], [2])
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[2:8, 4:10] = True
    assert leaf.mask is not None
    np.testing.assert_array_equal(leaf.mask.decode(), wanted)
    assert (leaf.box_xyxy, leaf.area_px) == ((4, 2, 10, 8), 36)
    assert found.categories == (Category("cup", ("rim",)), Category("leaf"))


def test_a_point_that_is_tied_to_nothing(tmp_path: Path) -> None:
    found = one(tmp_path, label(BOX, POINT))
    assert [instance.category for instance in found.instances] == ["cup", "rim"]
    assert found.instances[0].keypoints is None
    assert found.instances[1].keypoints is not None
    assert found.categories == (Category("cup"), Category("rim", ("rim",)))


@pytest.mark.parametrize("name", ["f4.png", "f4-uuid.png"])
def test_a_mask_from_a_file(tmp_path: Path, name: str) -> None:
    mask = np.random.default_rng(3).random((HEIGHT, WIDTH)) < 0.3
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / name).write_bytes(bytes(cv2.imencode(".png", mask * np.uint8(255))[1]))
    (leaf,) = one(tmp_path, label(MASK)).instances
    assert leaf.mask is not None
    np.testing.assert_array_equal(leaf.mask.decode(), mask)


def test_answers(tmp_path: Path) -> None:
    nested = {"name": "kind", "radio_answer": {"name": "tea", "classifications": [{"name": "sugar", "radio_answer": {"name": "no"}}]}}
    parts = {"name": "parts", "checklist_answers": [{"name": "lid"}, {"name": "ear"}]}
    note = {"name": "note", "text_answer": {"content": "hm"}}
    found = one(tmp_path, label({**BOX, "classifications": [nested, parts, note]}, answers=[nested, parts, note]))
    assert found.instances[0].attributes == {"kind": "tea", "sugar": "no", "parts": ["lid", "ear"], "note": "hm"}
    assert found.info.classes == ("tea", "no", "lid", "ear")
    assert found.info.attributes == {"note": "hm"}


def test_which_label_counts(tmp_path: Path) -> None:
    skipped = label(day=9, performance_details={"skipped": True})
    found = one(tmp_path, label(POLYGON, day=1), label(BOX, day=3), label(day=2), skipped)
    assert [instance.category for instance in found.instances] == ["cup"]
    assert found.info.attributes == {"other_labels": 2}


def test_several_projects(tmp_path: Path) -> None:
    given = row(label(BOX))
    given["projects"]["p2"] = {"name": "leaves", "labels": [label(POLYGON)]}
    path = export(tmp_path, given)
    assert "it is labelled in 2 projects (p1, p2); choose one by project" in str(read(Reader(path))[1])
    for project, category in (("p1", "cup"), ("leaves", "leaf")):
        (found,), _ = read(Reader(path, project=project))
        assert found.instances[0].category == category
    assert "it has no label in project p3" in str(read(Reader(path, project="p3"))[1])


def test_a_list_of_rows(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "e.json").write_text(json.dumps([row(label(BOX)), row(label(BOX), name="gone.png")], indent=1))
    found, faults = read(Reader(tmp_path / "e.json"))
    assert [record.key for record in found] == ["a.png"]
    assert str(faults).startswith("  e.json: row 2, data row id-gone.png: its picture 'gone.png' is not below")


# --- faults -------------------------------------------------------------------------------------------------------------


def changed(item: dict[str, Any], **by: Any) -> dict[str, Any]:
    return {**copy.deepcopy(item), **by}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "it is no JSON"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\ud800"}', "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("3", "a row must be an object"),
        (row(), "it has no label; label it or leave it out"),
        (row(label(BOX), media_attributes={"width": 41, "height": HEIGHT}), "the picture is 40x24, its annotation says 41x24"),
        (row(label(BOX), media_attributes={"width": 41}), "height must be a whole number"),
        (row(label(BOX, BOX)), "the feature_id 'f1' stands twice"),
        (row(label(changed(BOX, bounding_box={"top": 1, "left": 1, "width": 0, "height": 3}))), "box has no area"),
        (row(label(changed(BOX, bounding_box={"top": 1, "left": 1, "width": 40, "height": 30}))), "leaves the 40x24 picture"),
        (row(label(changed(BOX, bounding_box={"top": 1, "left": 1, "width": 40}))), "height must be a finite number, got None"),
        (row(label(changed(POLYGON, polygon=[{"x": 1, "y": 1}]))), "a polygon has at least 3"),
        (row(label(changed(POLYGON, polygon=[{"x": 1, "y": 1}, {"x": 90, "y": 1}, {"x": 1, "y": 9}]))), "its points leave"),
        (row(label({"feature_id": "x", "name": "road", "annotation_kind": "ImagePolyline", "line": []})), "'road' (x) is no bounding_box"),
        (row(label(MASK)), "which is not fetched; save it as"),
        (row(label(BOX, {**MASK, "feature_id": "../../x"})), "leaves the folder"),
        (row(label(BOX, POLYGON, POINT, ties=[TIE, {"data": {"source": "f3", "target": "f2"}}])), "it is tied to several objects (f1, f2)"),
        (row(label(BOX, ties=[TIE])), "a relationship leads to 'f3', which is no object of the row"),
        (row(label(BOX, changed(BOX, feature_id="g"))), "bounding_box 'cup' (g): it is bounding_box 'cup' (f1) once more"),
        (row(label(changed(BOX, synth={"obb": [9, 9, 1e9, 2, 0]}))), "synth.obb of 1e+09 by 2 is far larger than the 40x24 picture"),
        ('{"data_row": {}, "data_row": {}}', "the key 'data_row' stands twice in one object"),
        (row(label(changed(BOX, name=""))), "name must be text"),
        (row(label(changed(BOX, classifications=[{"name": "q"}]))), "the classification 'q' has no"),
    ],
)
def test_faults(tmp_path: Path, line: Any, message: str) -> None:
    (tmp_path / "masks").mkdir()
    found, faults = read(Reader(export(tmp_path, row(label(BOX), name="b.png"), "", line)))
    assert [record.key for record in found] == ["b.png"]
    assert (faults.samples, faults.first[0].split(",")[0]) == (1, "export.ndjson")
    assert ", line 3" in faults.first[0]
    assert message in str(faults)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{}", "no row has a data_row"),
        ("{", r"no row has a data_row \(.*line 1: it is no JSON"),
        ("[{", "is no JSON"),
        ('{"Labeled Data": "x", "Label": {}}', "export v1"),
    ],
)
def test_other_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "e.ndjson").write_text(text)
    with pytest.raises(FormatError, match=message):
        read(Reader(tmp_path / "e.ndjson"))


@pytest.mark.skipif(not (SHARED / "labelbox_ndjson").is_dir(), reason="the samples of ../shared/data are not here")
@pytest.mark.parametrize("name", ["image_import", "polyline_import", "rectangle_import"])
def test_samples_are_no_exports(name: str) -> None:
    """They are what is sent to Labelbox: neither sizes nor, of some, names."""
    with pytest.raises(FormatError, match=r"labels are sent to Labelbox in.*export the project as NDJSON"):
        read(Reader(SHARED / "labelbox_ndjson" / f"{name}.json"))


def test_of_two_rows_of_one_id_none_is_read(tmp_path: Path) -> None:
    other = row(label(POLYGON), name="b.png")
    other["data_row"]["id"] = "id-a.png"
    found, faults = read(Reader(export(tmp_path, row(label(BOX)), other)))
    assert found == []
    assert faults.samples == 2
    assert "its id 'id-a.png' is that of export.ndjson, line 2, data row id-a.png too" in faults.first[0]


def test_wrong_options(tmp_path: Path) -> None:
    path = export(tmp_path, row(label(BOX)))
    for options in ({"project": 3}, {"masks": 3}, {"ontology": [1]}):
        with pytest.raises(ConfigError, match=r"labelbox: .* must be"):
            Reader(path, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"gone does not exist; name the folder of the masks"):
        Reader(path, masks=tmp_path / "gone")
    (tmp_path / "o.json").write_text('{"tools": [{"tool": "rectangle", "name": 3}]}')
    with pytest.raises(FormatError, match=r"o.json: a tool's name must be text"):
        read(Reader(path, ontology=tmp_path / "o.json"))


# --- round trips --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_records=records(empty_masks=False))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_records: list[Any]) -> None:
    out = tmp_path_factory.mktemp("lb") / "out"
    report = writer("labelbox", out=out).write(Listed(given_records))
    assume("equal objects" not in report.lost)
    assert report.lost == {}
    found, faults = read(reader("labelbox", source=out / "export.ndjson", ontology=out / "ontology.json"))
    assert not faults.total, str(faults)
    assert_same(found, given_records)


def test_what_is_written(tmp_path: Path) -> None:
    """The documented shape; a mask of two parts and a hole is one polygon; what cannot be said is counted."""
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[2:12, 2:12] = pixels[15:20, 30:] = True
    pixels[5:8, 5:8] = False
    name = CATEGORIES[2].name
    boxed = Instance(name, box_xyxy=(10.0, 6.0, 30.0, 18.5), attributes={"state": "full", "parts": ["lid"], "count": 3})
    given = (boxed, Instance(name, Rle.encode(pixels)), Instance(name, Rle.encode(pixels & False)), Instance(name))
    report = Writer(tmp_path / "out").write(Listed([Record("a/b", "real", WIDTH, HEIGHT, png(), "png", given, CATEGORIES)]))
    assert report.lost == {"instances without a box or mask": 1}
    assert (report.annotations, report.left_out_empty) == (2, 1)
    (written,) = map(json.loads, (tmp_path / "out" / "export.ndjson").read_text().splitlines())
    assert written["data_row"]["external_id"] == "a__b.png"
    assert written["media_attributes"] == {"height": HEIGHT, "width": WIDTH}
    (project,) = written["projects"].values()
    box, polygon = project["labels"][0]["annotations"]["objects"]
    assert box["bounding_box"] == {"top": 6.0, "left": 10.0, "height": 12.5, "width": 20.0}
    assert [answer["name"] for answer in box["classifications"]] == ["state", "parts"]
    assert box["synth"] == {"attributes": {"count": 3}}
    assert set(polygon) == {"feature_id", "name", "annotation_kind", "polygon", "classifications"}
    (found,), faults = read(Reader(tmp_path / "out" / "export.ndjson"))
    assert not faults.total
    assert found.instances[0].attributes == boxed.attributes
    assert found.instances[1].mask == Rle.encode(pixels)


# --- fuzzing ------------------------------------------------------------------------------------------------------------

QUESTION = {"name": "q", "checklist_answers": [{"name": "a", "classifications": [{"name": "s", "text_answer": {"content": "t"}}]}]}
RICH = row(
    label(
        changed(BOX, classifications=[QUESTION], synth={"obb": [9, 9, 2, 2, 0.1], "crowd": True, "attributes": {"a": 1}}),
        POLYGON, changed(POINT, synth={"v": 1}), MASK, ties=[TIE], answers=[QUESTION], performance_details={"skipped": False},
    ),
    synth={"key": "k", "split": "train", "attributes": {"a": 1}},
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(places(RICH), key=repr)), by=st.sampled_from(BROKEN))
def test_whatever_is_broken_is_a_fault(tmp_path: Path, path: tuple[Any, ...], by: Any) -> None:
    read(Reader(export(tmp_path, broken(RICH, path, by), row(label(BOX), name="b.png"))))
