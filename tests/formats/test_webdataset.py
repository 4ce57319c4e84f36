"""WebDataset: shards that the webdataset package and plain tar read alike, with every label in them."""

from __future__ import annotations

import gc
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from synth.errors import ConfigError
from synth.formats import webdataset, writer
from synth.record import Output, Record, decode, encode
from synth.types import Instance, Rle, SampleInfo
from tests.samples import HEIGHT, WIDTH, sample

MAPS = Output("png", maps=("depth", "normals"))


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


def record(index: int, output: Output = MAPS, **changes: Any) -> Record:
    return replace(encode(sample(index), output, f"run-{index:08d}"), **changes)


def export(out: Path, *records: Record | Exception, **options: Any) -> Any:
    return webdataset.Writer(out, **options).write(Listed(records))


def files(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar.getmembers()}  # type: ignore[union-attr]


def labels(out: Path) -> list[dict[str, Any]]:
    return [json.loads(data) for shard in sorted(out.glob("*.tar")) for name, data in files(shard).items() if name.endswith(".json")]


def test_every_label_is_there(tmp_path: Path) -> None:
    """Built again from the JSON alone, each label equals the sample's."""
    given = record(3)
    report = export(tmp_path / "out", given)
    (told,) = labels(tmp_path / "out")
    assert report.lost == {}
    assert (report.annotations, report.left_out_empty) == (2, 0)
    assert (told["key"], told["source"], told["width"], told["height"]) == (given.key, "synthetic", WIDTH, HEIGHT)
    assert given.origin is not None
    assert told["origin"] == {
        **{"recipe": "5eed" * 16, "scene": "shelf", "seed": 7, "index": 3, "renderer": "flat 1"},
        "versions": {"numpy": "2.4", "synth": "0.1"},
    }
    assert SampleInfo(**{name: told[name] for name in SampleInfo.__slots__}) == given.info
    assert given.camera is not None
    np.testing.assert_array_equal(told["camera"]["image_from_camera"], given.camera.image_from_camera)
    np.testing.assert_array_equal(told["camera"]["world_from_camera"], given.camera.world_from_camera)
    assert (told["camera"]["distortion"], told["camera"]["near_m"]) == (list(given.camera.distortion), given.camera.near_m)

    full, bare = told["instances"]
    assert bare == {"category": "box", "ignore": False}
    want = given.instances[0]
    for name in ("category", "area_px", "visible_fraction", "truncated_fraction", "asset", "crowd", "attributes"):
        assert full[name] == getattr(want, name), name
    for name in ("box_xyxy", "box_full_xyxy"):
        assert tuple(full[name]) == getattr(want, name)
    for name in ("mask", "mask_full"):
        np.testing.assert_array_equal(coco.decode(full[name]).astype(bool), getattr(want, name).decode())
    assert want.obb is not None
    assert full["obb_cxcywha"] == [want.obb.center_x, want.obb.center_y, want.obb.width, want.obb.height, want.obb.angle_rad]
    assert want.keypoints is not None
    np.testing.assert_array_equal(np.array(full["keypoints_xyv"])[:, :2], want.keypoints.xy)
    assert [v for *_, v in full["keypoints_xyv"]] == [2, 0]
    np.testing.assert_array_equal(full["keypoints_xyz_m"], want.keypoints.xyz_m)
    np.testing.assert_array_equal(full["camera_from_object"], np.eye(4))
    np.testing.assert_array_equal(full["box3d_object_m"], want.box3d_object_m)
    about = json.loads((tmp_path / "out/dataset.json").read_text())
    assert about["categories"][0] == {
        **{"name": "mug", "keypoints": ["handle", "rim"], "mirror": [["handle", "rim"]], "skeleton": [["handle", "rim"]]},
        "sigmas": [0.05, 0.1],
    }
    assert about["shards"] == {"train-000000.tar": 1}


def test_absent_labels_stay_absent(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:5, 10:20] = True
    given = (Instance("box", box_xyxy=(1.0, 2.0, 4.5, 6.0)), Instance("box", Rle.encode(mask)), Instance("box", Rle.encode(~mask & mask)))
    export(tmp_path / "out", record(2, Output(), instances=given, origin=None, camera=None, info=SampleInfo(), source="real"))
    (told,) = labels(tmp_path / "out")
    assert sorted(told) == ["height", "instances", "key", "source", "width"]
    box, masked, empty = told["instances"]
    assert box == {"category": "box", "ignore": False, "box_xyxy": [1.0, 2.0, 4.5, 6.0]}
    assert (masked["box_xyxy"], masked["area_px"]) == ([10, 3, 20, 5], 20)
    assert ("box_xyxy" in empty, empty["area_px"]) == (False, 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_webdataset_package_reads_it(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    given = [record(i) for i in range(5)]
    export(tmp_path / "out", *given)
    read = list(wds.WebDataset(str(tmp_path / "out/train-000000.tar"), shardshuffle=False, empty_check=False).decode("rgb8"))
    assert [one["__key__"] for one in read] == [one.key for one in given]
    for one, want in zip(read, map(decode, given), strict=True):
        np.testing.assert_array_equal(one["png"], want.image)
        np.testing.assert_array_equal(one["depth.npy"], want.depth_m)
        np.testing.assert_array_equal(one["normals.npy"], want.normals)
        assert one["json"]["instances"][0]["category"] == "mug"
    gc.collect()  # the package leaves its tar open: let it go here, where that is no failure


def test_files_of_a_sample_stand_together_under_names_without_dots(tmp_path: Path) -> None:
    keys = ["shop/a.v2.png", "../../x", "a b", ".hidden", "ü", "A B"]
    export(tmp_path / "out", *(record(2, key=key) for key in keys))
    with tarfile.open(tmp_path / "out/train-000000.tar") as tar:
        names = tar.getnames()
        assert all((m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) == (0, 0, 0, "", "", 0o644) for m in tar.getmembers())
    stems = [name.partition(".")[0] for name in names]
    assert stems == [stem for stem in dict.fromkeys(stems) for _ in range(4)]
    assert [name.partition(".")[2] for name in names[:4]] == ["depth.npy", "json", "normals.npy", "png"]
    assert len(set(stems)) == len(keys)
    assert not any("/" in stem or not stem for stem in stems)
    assert [told["key"] for told in labels(tmp_path / "out")] == keys


def test_splits_have_shards_of_their_own_and_none_grows_too_large(tmp_path: Path) -> None:
    records = [record(i, Output(), info=SampleInfo(split=("train", "va.l", None)[i % 3])) for i in range(12)]
    limit = 12_000
    export(tmp_path / "out", *records, shard_bytes=limit)
    shards = json.loads((tmp_path / "out/dataset.json").read_text())["shards"]
    assert sorted(shards) == sorted(path.name for path in (tmp_path / "out").glob("*.tar"))
    assert {name.rpartition("-")[0] for name in shards} == {"train", "va%2El", "shard"}
    assert len(shards) > 3
    found = []
    for name, count in shards.items():
        content = files(tmp_path / "out" / name)
        assert sum(512 + -(-len(data) // 512) * 512 for data in content.values()) <= limit
        told = [json.loads(data) for name, data in content.items() if name.endswith(".json")]
        assert len(told) == count
        assert len({one.get("split") for one in told}) == 1
        found += [one["key"] for one in told]
    assert sorted(found) == [one.key for one in records]
    assert sorted(shards)[:2] == ["shard-000000.tar", "shard-000001.tar"]


def test_a_sample_larger_than_a_shard_has_one_alone(tmp_path: Path) -> None:
    export(tmp_path / "out", record(0), record(1), shard_bytes=1)
    assert len(list((tmp_path / "out").glob("train-*.tar"))) == 2


def test_the_same_samples_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(tmp_path / name, *(record(i) for i in range(3)))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_hidden_instances_are_marked(tmp_path: Path) -> None:
    report = export(tmp_path / "out", record(0))  # seen to 0.0
    assert labels(tmp_path / "out")[0]["instances"][0]["ignore"] is True
    assert report.ignored == 1


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="broken"):
        export(tmp_path / "out", record(0), KeyError("broken"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1", None], ids=str)
def test_options(tmp_path: Path, value: Any) -> None:
    assert isinstance(writer("webdataset", out=tmp_path / "out", shard_bytes=5), webdataset.Writer)
    with pytest.raises(ConfigError, match=r"shard_bytes must be a whole number above 0, got "):
        webdataset.Writer(tmp_path, shard_bytes=value)


def test_maps_are_arrays(tmp_path: Path) -> None:
    given = record(2, Output("jpeg", maps=("depth",)))
    export(tmp_path / "out", given)
    content = files(tmp_path / "out/train-000000.tar")
    assert content["run-00000002.jpg"] == given.image
    depth = np.load(io.BytesIO(content["run-00000002.depth.npy"]))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, decode(given).depth_m)
    assert "run-00000002.normals.npy" not in content
