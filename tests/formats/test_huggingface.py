"""Hugging Face: parquet that plain pyarrow reads, with what `datasets` needs beside it, and a card that is true.

That `datasets` itself opens such a folder was tried with versions 2.21.0 and 5.2.0; it is too large to be installed for the tests, so
they hold to the metadata and the card that it reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pycocotools import mask as coco

from synth.errors import ConfigError, FormatError
from synth.formats import huggingface, writer
from synth.record import Output, Record, decode_image, encode
from synth.types import Category, Instance, Rle, SampleInfo
from tests.samples import BOX, HEIGHT, MUG, WIDTH, sample


@dataclass
class Listed:
    """Records without a store."""

    given: Sequence[Record | Exception]

    def __len__(self) -> int:
        return len(self.given)

    def records(self) -> Iterator[Record]:
        for record in self.given:
            if isinstance(record, Exception):
                raise record
            yield record


def record(index: int, **changes: Any) -> Record:
    return replace(encode(sample(index), Output("jpeg"), f"run-{index:08d}"), **changes)


def export(out: Path, *records: Record | Exception, **options: Any) -> Any:
    return huggingface.Writer(out, **options).write(Listed(records))


def rows(out: Path, split: str = "train") -> list[dict[str, Any]]:
    return [row for path in sorted((out / "data").glob(f"{split}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def features(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
    return told


def card(out: Path) -> tuple[dict[str, Any], str]:
    _, header, text = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(header), text


LAYOUT = dict.fromkeys(("category.mirror", "category.skeleton", "category.sigmas"), 1)


def test_every_label_is_there(tmp_path: Path) -> None:
    given = record(3)
    report = export(tmp_path / "out", given)
    (row,) = rows(tmp_path / "out")
    assert (report.lost, report.left_out_empty) == (LAYOUT, 0)
    assert row["image"] == {"bytes": given.image, "path": "run-00000003.jpg"}
    assert decode_image(row["image"]["bytes"], (row["height"], row["width"])).shape == (HEIGHT, WIDTH, 3)
    assert (row["key"], row["source"]) == (given.key, "synthetic")
    assert given.camera is not None
    np.testing.assert_array_equal(row["image_from_camera"], given.camera.image_from_camera)
    np.testing.assert_array_equal(row["world_from_camera"], given.camera.world_from_camera)
    assert tuple(row["distortion"]) == given.camera.distortion
    info = {name: row[name] for name in ("dataset", "group", "licence", "annotator")}
    assert replace(given.info, split=None, **info) == replace(given.info, split=None)
    assert (row["classes"], json.loads(row["attributes"])) == (["indoor"], {"camera_id": 4})
    assert json.loads(row["origin"])["seed"] == 7

    objects, want = row["objects"], given.instances[0]
    assert {len(column) for column in objects.values()} == {2}
    assert {name for name, column in objects.items() if column[1] is not None} == {"category"}  # of a box nobody knows more
    one = {name: column[0] for name, column in objects.items()}
    assert want.box_xyxy is not None
    assert want.box_full_xyxy is not None
    x0, y0, x1, y1 = want.box_xyxy
    assert one["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    assert (one["category"], one["area"], one["asset"], one["crowd"]) == (0, want.area_px, "mug_1", False)
    assert (one["visible_fraction"], one["truncated_fraction"]) == (want.visible_fraction, want.truncated_fraction)
    assert tuple(one["box_full_xyxy"]) == want.box_full_xyxy
    for name in ("mask", "mask_full"):
        decoded = coco.decode({"size": [row["height"], row["width"]], "counts": one[name]})
        np.testing.assert_array_equal(decoded.astype(bool), getattr(want, name).decode())
    assert want.obb is not None
    assert one["obb_cxcywha"] == [want.obb.center_x, want.obb.center_y, want.obb.width, want.obb.height, want.obb.angle_rad]
    assert want.keypoints is not None
    np.testing.assert_array_equal(one["keypoints_xyv"], np.column_stack([want.keypoints.xy, want.keypoints.v]))
    np.testing.assert_array_equal(one["keypoints_xyz_m"], want.keypoints.xyz_m)
    np.testing.assert_array_equal(one["camera_from_object"], np.eye(4))
    np.testing.assert_array_equal(one["box3d_object_m"], want.box3d_object_m)
    assert json.loads(one["attributes"]) == want.attributes


def test_absent_labels_are_null(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:5, 10:20] = True
    given = (Instance("box", box_xyxy=(1.0, 2.0, 4.5, 6.0)), Instance("mug", Rle.encode(mask)))
    export(tmp_path / "out", record(2, instances=given, origin=None, camera=None, info=SampleInfo(), source="real"))
    (row,) = rows(tmp_path / "out")
    objects = row.pop("objects")
    assert {name for name, value in row.items() if value is not None} == {"image", "key", "source", "width", "height"}
    assert (objects["bbox"], objects["category"], objects["area"]) == ([[1, 2, 3.5, 4], [10, 3, 10, 2]], [1, 0], [14.0, 20.0])
    assert objects["mask"][0] is None
    for name in set(objects) - {"bbox", "category", "area", "mask"}:
        assert objects[name] == [None, None], name


def test_a_picture_without_objects_is_a_row(tmp_path: Path) -> None:
    export(tmp_path / "out", record(2, instances=()))
    (row,) = rows(tmp_path / "out")
    assert all(column == [] for column in row["objects"].values())


def arrow_of(feature: Any) -> str:
    """The arrow type that `datasets` wants for a feature, by its documentation."""
    kind = feature.get("_type")
    if kind == "Sequence":
        return f"list<{arrow_of(feature['feature'])}>"
    if kind == "Value":
        return {"float64": "double"}.get(feature["dtype"], feature["dtype"])
    if kind in ("Image", "ClassLabel"):
        return {"Image": "struct<bytes: binary, path: string>", "ClassLabel": "int64"}[kind]
    return f"struct<{', '.join(f'{name}: {arrow_of(inner)}' for name, inner in feature.items())}>"


def test_the_metadata_names_features_and_classes(tmp_path: Path) -> None:
    export(tmp_path / "out", record(2))
    path = tmp_path / "out/data/train-00000-of-00001.parquet"
    told = features(path)
    assert told["image"] == {"_type": "Image"}
    assert told["objects"]["category"]["feature"] == {"names": ["mug", "box"], "_type": "ClassLabel"}
    schema = pq.read_schema(path)
    assert list(told) == schema.names
    for name, feature in told.items():
        assert str(schema.field(name).type).replace("element: ", "") == arrow_of(feature), name


def test_shards_and_splits(tmp_path: Path) -> None:
    splits = ["train", "test", None, "train"]
    given = [record(i, info=SampleInfo(split=splits[i % 4])) for i in range(16)]
    size = max(len(one.image) for one in given)
    export(tmp_path / "out", *given, shard_bytes=4 * size)
    names = sorted(path.name for path in (tmp_path / "out/data").iterdir())
    train = [name for name in names if name.startswith("train-")]
    assert len(train) > 2
    assert train == [f"train-{i:05d}-of-{len(train):05d}.parquet" for i in range(len(train))]
    assert set(names) - set(train) == {"test-00000-of-00001.parquet"}
    assert [row["key"] for row in rows(tmp_path / "out")] == [one.key for one in given if one.info.split != "test"]
    assert [row["key"] for row in rows(tmp_path / "out", "test")] == [one.key for one in given if one.info.split == "test"]
    header, _ = card(tmp_path / "out")
    assert header["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*"},
        {"split": "test", "path": "data/test-*"},
    ]
    assert [(one["name"], one["num_examples"]) for one in header["dataset_info"]["splits"]] == [("train", 12), ("test", 4)]
    assert header["dataset_info"]["download_size"] == sum(path.stat().st_size for path in (tmp_path / "out/data").iterdir())


def test_classes_that_come_late_are_named_in_every_shard(tmp_path: Path) -> None:
    given = [
        record(0, categories=(MUG,)),
        record(2, categories=(MUG,)),
        record(4, categories=(BOX, MUG)),
        record(6, categories=(Category("z"),)),
    ]
    given[2] = replace(given[2], instances=(replace(given[2].instances[0], category="box"),))
    export(tmp_path / "out", *given, shard_bytes=1, min_visible_fraction=0)
    paths = sorted((tmp_path / "out/data").iterdir())
    assert len(paths) == 4
    for path in paths:
        assert features(path)["objects"]["category"]["feature"]["names"] == ["mug", "box", "z"]
    assert [row["objects"]["category"] for row in rows(tmp_path / "out")] == [[0], [0], [1], [0]]
    assert [row["image"]["bytes"] for row in rows(tmp_path / "out")] == [one.image for one in given]


def test_the_card(tmp_path: Path) -> None:
    given = [record(i, categories=(Category("ma\"ß: 'x' 😀"), MUG, BOX)) for i in range(1, 8)]
    export(tmp_path / "out", *given, licences=["CC0-1.0"], provenance={"store": "s ü", "version": 3})
    header, text = card(tmp_path / "out")
    assert header["license"] == "cc0-1.0"
    told = {one.pop("name"): one for one in header["dataset_info"]["features"]}
    assert list(told) == list(features(tmp_path / "out/data/train-00000-of-00001.parquet"))
    assert told["image"] == {"dtype": "image"}
    objects = {one.pop("name"): one for one in told["objects"]["struct"]}
    assert objects["category"] == {"sequence": {"class_label": {"names": {"0": "ma\"ß: 'x' 😀", "1": "mug", "2": "box"}}}}
    assert objects["bbox"] == {"sequence": {"sequence": "float64"}}
    assert "| pictures | 7 |" in text
    assert "| `mug` | 7 |" in text
    assert "| `box` | 4 |" in text  # without a box, where nobody gave one
    assert "Keypoints of `mug`: handle, rim." in text
    assert '"store": "s ü"' in text


@pytest.mark.parametrize(
    ("licences", "told"), [([], None), (["MIT"], "mit"), (["MIT", "CC-BY-4.0"], ["cc-by-4.0", "mit"]), (["Shop's own"], "other")]
)
def test_licences(tmp_path: Path, licences: list[str], told: Any) -> None:
    export(tmp_path / "out", record(1), licences=licences)
    header, text = card(tmp_path / "out")
    assert header.get("license") == told
    assert (", ".join(licences) or "not stated") in text


def test_hidden_instances_are_left_out_and_counted(tmp_path: Path) -> None:
    report = export(tmp_path / "out", record(0))  # seen to 0.0
    assert (report.left_out_hidden, report.annotations) == (1, 0)


def test_maps_are_a_loss(tmp_path: Path) -> None:
    mapped = encode(sample(2), Output(maps=("depth", "normals")), "a")
    assert export(tmp_path / "out", mapped).lost == {"depth": 1, "normals": 1, **LAYOUT}
    with pytest.raises(FormatError, match="huggingface cannot hold depth, normals"):
        export(tmp_path / "strict", mapped, strict=True)


@pytest.mark.parametrize("count", [1, 250])
def test_a_failed_export_leaves_nothing(tmp_path: Path, count: int) -> None:
    with pytest.raises(KeyError, match="broken"):
        export(tmp_path / "out", *(record(1, key=str(i)) for i in range(count)), KeyError("broken"))
    assert list(tmp_path.iterdir()) == []


def test_the_same_samples_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(tmp_path / name, *(record(i) for i in range(3)))
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_options(tmp_path: Path) -> None:
    assert isinstance(writer("huggingface", out=tmp_path / "out"), huggingface.Writer)
    with pytest.raises(ConfigError, match="shard_bytes must be a whole number above 0, got 0"):
        huggingface.Writer(tmp_path, shard_bytes=0)
    with pytest.raises(FormatError, match="the split 'a-b' must be letters, digits and _"):
        export(tmp_path / "out", record(1, info=SampleInfo(split="a-b")))
