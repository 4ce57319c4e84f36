"""BOP: what is written obeys the definitions of BOP's own documentation, worked out here with numpy; what is read obeys ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synth.errors import ConfigError, FormatError
from synth.formats import bop, reader, writer
from synth.formats.reading import Faults
from synth.record import Output, Record, decode, encode
from synth.types import Bool, Camera, Category, Instance, Obb, Rle, Sample, SampleInfo
from tests.samples import HEIGHT, WIDTH, sample

CANVAS = 40  # px around the frame that the pictures below draw on


@dataclass
class Listed:
    """Records without a store."""

    given: Sequence[Record]

    def __len__(self) -> int:
        return len(self.given)

    def records(self) -> Iterator[Record]:
        yield from self.given


def turn(angle: float) -> np.ndarray:
    """A rotation that no axis keeps, by `angle`."""
    matrix: np.ndarray = cv2.Rodrigues(np.array([0.3, -0.5, 0.8]) * angle)[0]
    return matrix


def pose(angle: float, t: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn(angle), t
    return matrix


def drawn(canvas: Bool, occluder: Bool, **labels: Any) -> Instance:
    """An instance from its silhouette on a canvas wider than the frame and what hides it, with labels as docs/labels.md defines them."""
    frame = (slice(CANVAS, CANVAS + HEIGHT), slice(CANVAS, CANVAS + WIDTH))
    whole, visible = canvas[frame], canvas[frame] & ~occluder
    ys, xs = np.nonzero(canvas)
    seen = np.argwhere(visible)
    box = (*seen.min(0)[::-1].tolist(), *(seen.max(0)[::-1] + 1).tolist()) if len(seen) else None
    return Instance(
        mask=Rle.encode(visible),
        mask_full=Rle.encode(whole),
        area_px=int(visible.sum()),
        box_xyxy=None if box is None else tuple(map(float, box)),  # type: ignore[arg-type]
        box_full_xyxy=(xs.min() - CANVAS + 0.2, ys.min() - CANVAS + 0.1, xs.max() - CANVAS + 0.9, ys.max() - CANVAS + 0.7),
        visible_fraction=visible.sum() / canvas.sum(),
        truncated_fraction=1 - whole.sum() / canvas.sum(),
        **{"category": "mug", "asset": "mug_1", "camera_from_object": pose(1.0, (0.1, -0.2, 0.75)), **labels},
    )


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Bool:
    """A silhouette on the canvas; coordinates are the frame's."""
    canvas = np.zeros((HEIGHT + 2 * CANVAS, WIDTH + 2 * CANVAS), bool)
    canvas[y0 + CANVAS : y1 + CANVAS, x0 + CANVAS : x1 + CANVAS] = True
    return canvas


NOTHING = np.zeros((HEIGHT, WIDTH), bool)
K = np.array([[55.0, 0, 23.25], [0, 54.0, 16.5], [0, 0, 1]])


def record(key: str, *instances: Instance, depth_m: np.ndarray | None = None, **changes: Any) -> Record:
    rng = np.random.default_rng(3)
    made = Sample(
        image=rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8),
        instances=instances,
        categories=(Category("mug"), Category("box")),
        depth_m=depth_m,
        camera=Camera(K, WIDTH, HEIGHT, pose(0.4, (1.0, 2.0, 3.0))),
        key=key,
    )
    return replace(encode(made, Output("png", maps=() if depth_m is None else ("depth",))), **changes)


def written(out: Path, *records: Record, **options: Any) -> dict[str, Any]:
    """The three files of the first scene."""
    bop.Writer(out, **options).write(Listed(records))
    return {name: json.loads((out / "train/000001" / f"{name}.json").read_text()) for name in ("scene_gt", "scene_camera", "scene_gt_info")}


def read(source: Path, **options: Any) -> tuple[list[Record], Faults]:
    faults = Faults()
    return list(bop.Reader(source, **options).records(faults)), faults


def right(source: Path, **options: Any) -> list[Record]:
    records, faults = read(source, **options)
    assert str(faults) == ""
    return records


# --- the definitions --------------------------------------------------------------------------------------------------


def bbox_of(silhouette: Bool, offset: int = 0) -> list[int]:
    """BOP's calc_2d_bbox: least x and y, and the differences of the greatest and the least."""
    ys, xs = silhouette.nonzero()
    return [int(v) for v in (xs.min() - offset, ys.min() - offset, xs.max() - xs.min(), ys.max() - ys.min())]


@pytest.mark.parametrize(
    ("box", "hidden_columns"),
    [((5, 6, 20, 16), 0), ((5, 6, 20, 16), 12), ((-9, -3, 12, 10), 4), ((30, 20, 70, 60), 0), ((7, 9, 8, 10), 0)],
    ids=["whole", "occluded", "truncated", "corner", "one pixel"],
)
def test_gt_info_as_bop_counts_it(tmp_path: Path, box: tuple[int, int, int, int], hidden_columns: int) -> None:
    canvas, occluder, depth_m = rectangle(*box), NOTHING.copy(), np.full((HEIGHT, WIDTH), 0.7, np.float32)
    occluder[:, :hidden_columns] = True
    depth_m[::2] = np.inf
    instance = drawn(canvas, occluder)
    (info,) = written(tmp_path / "out", record("a", instance, depth_m=depth_m))["scene_gt_info"]["0"]

    in_frame = canvas[CANVAS:-CANVAS, CANVAS:-CANVAS]
    visible = in_frame & ~occluder
    assert info["px_count_all"] == canvas.sum()
    assert info["px_count_valid"] == (in_frame & (depth_m < np.inf)).sum()
    assert info["px_count_visib"] == visible.sum()
    assert info["visib_fract"] == pytest.approx(visible.sum() / canvas.sum())
    assert info["bbox_obj"] == bbox_of(canvas, CANVAS)
    assert info["bbox_visib"] == bbox_of(visible)
    scene = tmp_path / "out/train/000001"
    for name, mask in (("mask", in_frame), ("mask_visib", visible)):
        stored = cv2.imread(str(scene / name / "000000_000000.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(stored, mask * np.uint8(255))


def test_bbox_obj_is_of_pixels_not_of_geometry(tmp_path: Path) -> None:
    """A tip that covers no pixel's centre widens box_full_xyxy, but not BOP's box of the silhouette's pixels."""
    canvas = rectangle(5, 6, 20, 16)
    instance = replace(drawn(canvas, NOTHING), box_full_xyxy=(3.1, 5.5, 21.9, 16.2))
    (info,) = written(tmp_path / "out", record("a", instance))["scene_gt_info"]["0"]
    assert info["bbox_obj"] == bbox_of(canvas, CANVAS)


def test_a_hidden_instance_is_kept_with_bops_empty_boxes(tmp_path: Path) -> None:
    instance = drawn(rectangle(5, 6, 20, 16), ~NOTHING)
    files = written(tmp_path / "out", record("a", instance))
    (info,) = files["scene_gt_info"]["0"]
    assert (info["bbox_obj"], info["bbox_visib"]) == ([-1] * 4, [-1] * 4)
    assert (info["px_count_all"], info["px_count_visib"], info["visib_fract"]) == (150, 0, 0.0)
    (back,) = right(tmp_path / "out")[0].instances
    assert (back.box_xyxy, back.area_px, back.visible_fraction, back.truncated_fraction) == (None, 0, 0.0, 0.0)
    assert back.mask is not None
    assert not back.mask.decode().any()


def test_pixels_and_millimetres(tmp_path: Path) -> None:
    """A point of the object lands half a pixel before ours in BOP's image, by BOP's own formula s p_i = K [R t] p_m, in mm."""
    instance = drawn(rectangle(5, 6, 20, 16), NOTHING)
    files = written(tmp_path / "out", record("a", instance))
    truth, camera = files["scene_gt"]["0"][0], files["scene_camera"]["0"]
    r, t = np.reshape(truth["cam_R_m2c"], (3, 3)), np.reshape(truth["cam_t_m2c"], (3, 1))
    point_mm = np.array([[12.0], [-30.0], [44.0]])
    u, v, s = (np.reshape(camera["cam_K"], (3, 3)) @ (r @ point_mm + t)).ravel()
    ours_m = pose(1.0, (0.1, -0.2, 0.75)) @ np.array([0.012, -0.030, 0.044, 1])
    x, y, z = K @ ours_m[:3]
    assert (u / s, v / s) == (pytest.approx(x / z - 0.5), pytest.approx(y / z - 0.5))
    r, t = np.reshape(camera["cam_R_w2c"], (3, 3)), np.array(camera["cam_t_w2c"])
    np.testing.assert_allclose(r @ (np.array([1.0, 2.0, 3.0]) * 1000) + t, 0, atol=1e-9)  # where the camera stands
    np.testing.assert_allclose(r, turn(0.4).T)


@pytest.mark.parametrize(("far_m", "step_mm"), [(2.0, 0.1), (6.5535, 0.1), (6.6, 1.0), (70.0, 10.0), (4000.0, 100.0)])
def test_depth_in_steps(tmp_path: Path, far_m: float, step_mm: float) -> None:
    depth_m = np.linspace(0.3, far_m, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    depth_m[3, 5:9] = np.inf
    files = written(tmp_path / "out", record("a", depth_m=depth_m))
    stored = cv2.imread(str(tmp_path / "out/train/000001/depth/000000.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    assert files["scene_camera"]["0"]["depth_scale"] == step_mm
    np.testing.assert_array_equal(stored == 0, np.isinf(depth_m))
    near = np.isfinite(depth_m)
    assert np.abs(stored[near] * step_mm - depth_m[near].astype(float) * 1000).max() <= step_mm / 2 + 1e-9
    back = decode(right(tmp_path / "out")[0]).depth_m
    assert back is not None
    np.testing.assert_array_equal(np.isinf(back), np.isinf(depth_m))
    assert np.abs(back[near] - depth_m[near]).max() <= step_mm / 2000 + far_m * 1e-6


def test_depth_beyond_what_16_bits_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="sample a: its depth reaches 7000 m"):
        written(tmp_path / "out", record("a", depth_m=np.full((HEIGHT, WIDTH), 7000, np.float32)))
    assert not (tmp_path / "out").exists()


# --- round trips ------------------------------------------------------------------------------------------------------


@st.composite
def instances(draw: Any) -> Instance:
    canvas = np.zeros((HEIGHT + 2 * CANVAS, WIDTH + 2 * CANVAS), bool)
    rows, columns = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    y, x = draw(st.integers(30, 50)), draw(st.integers(30, 60))
    canvas[y : y + rows, x : x + columns] = draw(arrays(bool, (rows, columns)))
    canvas[y, x] = True
    occluder = draw(arrays(bool, (HEIGHT, WIDTH), fill=st.booleans()))
    moved = pose(draw(st.floats(-3, 3)), draw(st.tuples(*[st.floats(-9, 9)] * 3)))
    instance = drawn(canvas, occluder, category=draw(st.sampled_from(["mug", "box"])), asset=draw(st.sampled_from(["a", "b", None])))
    absent = draw(st.sets(st.sampled_from(["mask_full", "visible_fraction", "truncated_fraction", "asset"])))
    instance = replace(instance, camera_from_object=draw(st.sampled_from([moved, None])), **dict.fromkeys(absent))
    if draw(st.booleans()):
        return instance
    return replace(instance, mask=None, mask_full=None, area_px=None, box_xyxy=draw(st.sampled_from([(1.5, 2.0, 7.25, 9.0), None])))


@settings(max_examples=25, deadline=None)
@given(st.lists(instances(), max_size=3), st.sampled_from(["train", "val", "shelf"]))
def test_what_bop_holds_comes_back(tmp_path_factory: pytest.TempPathFactory, given_ones: list[Instance], split: str) -> None:
    out = tmp_path_factory.mktemp("bop") / "out"
    one = record("k", *given_ones, info=SampleInfo(split=split, group="g"))
    report = bop.Writer(out).write(Listed([one]))
    (back,) = right(out)
    told = {"box_full_xyxy": sum(one.box_full_xyxy is not None for one in given_ones)}  # it is rounded
    told["categories without an instance"] = 2 - len({one.category for one in given_ones})
    assert report.lost == {name: count for name, count in told.items() if count}
    assert (back.image, back.info) == (one.image, SampleInfo(split=split, group=f"{split}/000001"))
    assert back.camera is not None
    assert one.camera is not None
    np.testing.assert_allclose(back.camera.image_from_camera, K)
    np.testing.assert_allclose(back.camera.world_from_camera, one.camera.world_from_camera, atol=1e-12)
    assert len(back.instances) == len(given_ones)
    for got, want in zip(back.instances, given_ones, strict=True):
        for name in ("category", "asset", "mask", "mask_full", "visible_fraction"):
            assert getattr(got, name) == getattr(want, name), name
        assert got.box_xyxy == pytest.approx(want.box_xyxy)
        if want.truncated_fraction is not None:
            assert got.truncated_fraction == want.truncated_fraction
        if want.camera_from_object is None:
            assert got.camera_from_object is None
        else:
            np.testing.assert_allclose(got.camera_from_object, want.camera_from_object, atol=1e-12)
        if want.mask is not None:
            assert got.area_px == want.area_px


def test_absent_labels_stay_absent(tmp_path: Path) -> None:
    given_one = record("a", Instance("box"), camera=None)
    files = written(tmp_path / "out", given_one)
    assert files == {"scene_gt": {"0": [{"obj_id": 1}]}, "scene_camera": {"0": {"key": "a"}}, "scene_gt_info": {"0": [{}]}}
    (back,) = right(tmp_path / "out")
    assert back.camera is back.depth is None
    (instance,) = back.instances
    assert {name for name in instance.__slots__ if getattr(instance, name) is not None} == {"category"}


def test_losses_are_counted_and_strict_refuses(tmp_path: Path) -> None:
    full = encode(sample(2), Output("png", maps=("depth", "normals")), "a")
    report = bop.Writer(tmp_path / "out").write(Listed([full]))
    assert dict(report.lost) == dict.fromkeys(
        ["normals", "keypoints", "box3d_object_m", "attributes", "info.licence", "info.annotator", "info.classes", "info.attributes"]
        + ["box_full_xyxy", "category.mirror", "category.skeleton", "category.sigmas", "categories without an instance"],
        1,
    )
    with pytest.raises(FormatError, match=r"bop cannot hold .*keypoints"):
        bop.Writer(tmp_path / "strict", strict=True).write(Listed([full]))
    assert not (tmp_path / "strict").exists()


def test_lens_distortion_is_kept_beside(tmp_path: Path) -> None:
    files = written(tmp_path / "out", replace(encode(sample(1), Output("png"), "a"), info=SampleInfo()))
    assert files["scene_camera"]["0"]["cam_distortion"] == [0.1, -0.2, 0.001, 0.0, 1 / 3]
    camera = right(tmp_path / "out")[0].camera
    assert camera is not None
    assert camera.distortion == (0.1, -0.2, 0.001, 0.0, 1 / 3)


def test_obb_without_mask_is_a_loss(tmp_path: Path) -> None:
    turned = Instance("box", box_xyxy=(1.0, 2.0, 5.0, 6.0), obb=Obb(3, 4, 4, 4, 0.2))
    assert bop.Writer(tmp_path / "out").write(Listed([record("a", turned)])).lost == {"obb": 1, "categories without an instance": 1}


# --- scenes and objects -----------------------------------------------------------------------------------------------


def test_a_group_is_a_scene_and_a_split_a_folder(tmp_path: Path) -> None:
    infos = [("train", "v1"), ("val", "v1"), ("train", "v2"), ("train", "v1"), (None, None), (None, None), (None, None)]
    records = [record(str(i), info=SampleInfo(split=split, group=group)) for i, (split, group) in enumerate(infos)]
    written(tmp_path / "out", *records, scene_images=2)
    back = right(tmp_path / "out")
    assert [r.key for r in back] == [
        *("train/000001/000000", "train/000001/000001", "train/000002/000000"),
        *("train/000003/000000", "train/000003/000001", "train/000004/000000", "val/000001/000000"),
    ]
    assert [r.info.group for r in back] == [r.key[:-7] for r in back]
    assert [r.info.split for r in back] == ["train"] * 6 + ["val"]
    kept = json.loads((tmp_path / "out/train/000001/scene_camera.json").read_text())
    assert [kept[i]["key"] for i in "01"] == ["0", "3"]


def test_one_scene_or_split_is_read_alone(tmp_path: Path) -> None:
    written(tmp_path / "out", record("a", Instance("mug"), info=SampleInfo(group="g")), record("b", info=SampleInfo(group="h")))
    assert [r.key for r in right(tmp_path / "out/train")] == ["train/000001/000000", "train/000002/000000"]
    (only,) = right(tmp_path / "out/train/000001")
    assert (only.key, only.instances[0].category) == ("train/000001/000000", "mug")


def test_objects_are_numbered_by_model(tmp_path: Path) -> None:
    kinds = [("mug", "m1"), ("box", None), ("mug", "m2"), ("mug", "m1")]
    files = written(tmp_path / "out", record("a", *(Instance(category, asset=asset) for category, asset in kinds)))
    assert [entry["obj_id"] for entry in files["scene_gt"]["0"]] == [1, 2, 3, 1]
    said = json.loads((tmp_path / "out/objects.json").read_text())
    assert said["3"] == {"category": "mug", "asset": "m2"}
    fixed = written(tmp_path / "fixed", record("a", *(Instance(c, asset=a) for c, a in kinds)), object_ids={"m1": 7, "m2": 3, "box": 9})
    assert [entry["obj_id"] for entry in fixed["scene_gt"]["0"]] == [7, 9, 3, 7]


@pytest.mark.parametrize(
    ("ids", "message"), [({"m2": 1}, "sample a: object_ids: no object 'm1'; known: m2"), ({"m1": 1, "x": 1}, "object_ids gives 1 to 'x'")]
)
def test_wrong_object_ids(tmp_path: Path, ids: dict[str, int], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        written(tmp_path / "out", record("a", Instance("mug", asset="m1"), Instance("mug", asset="x")), object_ids=ids)


def foreign(root: Path) -> Path:
    """A tiny dataset as other tools write it: one scene, two objects, no objects.json, rotations of few digits."""
    scene = root / "test_primesense" / "000048"
    for name in ("rgb", "depth", "mask", "mask_visib"):
        (scene / name).mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 0:30] = 255
    cv2.imwrite(str(scene / "rgb/000003.png"), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    cv2.imwrite(str(scene / "depth/000003.png"), np.full((HEIGHT, WIDTH), 8000, np.uint16))
    for i in range(2):
        for name in ("mask", "mask_visib"):
            cv2.imwrite(str(scene / name / f"000003_{i:06d}.png"), mask)
    truth = [{"obj_id": i, "cam_R_m2c": turn(i).round(5).ravel().tolist(), "cam_t_m2c": [-10.5, 20.25, 800]} for i in (5, 12)]
    info = {"bbox_obj": [-3, 10, 32, 9], "bbox_visib": [0, 10, 29, 9], "px_count_all": 330, "px_count_valid": 300}
    files = {
        "scene_gt": {"3": truth},
        "scene_camera": {"3": {"cam_K": [55, 0, 23.5, 0, 55, 15.5, 0, 0, 1], "depth_scale": 0.1}},
        "scene_gt_info": {"3": [info | {"px_count_visib": 300, "visib_fract": 300 / 330}] * 2},
    }
    for name, content in files.items():
        (scene / f"{name}.json").write_text(json.dumps(content))
    (root / "models").mkdir()
    box = {"diameter": 90.0, "min_x": -10, "min_y": -20, "min_z": -30, "size_x": 20, "size_y": 40, "size_z": 80}
    (root / "models/models_info.json").write_text(json.dumps({"5": box, "12": {"diameter": 3.0}}))
    return scene


def test_a_foreign_dataset(tmp_path: Path) -> None:
    foreign(tmp_path / "tiny")
    (one,) = right(tmp_path / "tiny", names={"5": "drill"})
    assert (one.key, one.source, one.info) == (
        "test_primesense/000048/000003",
        "real",
        SampleInfo(split="test", group="test/000048"),
    )
    assert [c.name for c in one.categories] == ["drill", "obj_000012"]
    first, second = one.instances
    assert (first.category, first.asset, second.category) == ("drill", "obj_000005", "obj_000012")
    assert (first.box_xyxy, first.box_full_xyxy) == ((0, 10, 30, 20), (-3, 10, 30, 20))
    assert (first.area_px, first.visible_fraction) == (300, 300 / 330)
    assert first.truncated_fraction == pytest.approx(30 / 330)
    assert first.box3d_object_m is not None
    np.testing.assert_allclose(first.box3d_object_m, [[0, 0, 0.01], [0.02, 0.04, 0.08]])
    assert second.box3d_object_m is None
    assert first.camera_from_object is not None
    np.testing.assert_allclose(first.camera_from_object[:3, 3], [-0.0105, 0.02025, 0.8])
    rotation = first.camera_from_object[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation, turn(5), atol=2e-5)
    assert one.camera is not None
    assert one.camera.image_from_camera[:2, 2].tolist() == [24.0, 16.0]
    np.testing.assert_array_equal(one.camera.world_from_camera, np.eye(4))
    depth = decode(one).depth_m
    assert depth is not None
    np.testing.assert_allclose(depth, 0.8)


def test_the_mask_says_the_box(tmp_path: Path) -> None:
    scene = foreign(tmp_path / "tiny")
    changed("scene_gt_info.json", put("3", 0, "bbox_visib", value=[1, 10, 27, 8]))(scene)
    changed("scene_gt_info.json", put("3", 0, "px_count_visib", value=280))(scene)
    assert right(tmp_path / "tiny")[0].instances[0].box_xyxy == (0, 10, 30, 20)


def test_without_masks_the_boxes_speak(tmp_path: Path) -> None:
    scene = foreign(tmp_path / "tiny")
    for name in ("mask", "mask_visib"):
        for path in (scene / name).iterdir():
            path.unlink()
        (scene / name).rmdir()
    first = right(tmp_path / "tiny")[0].instances[0]
    assert (first.mask, first.mask_full, first.truncated_fraction) == (None, None, None)
    assert (first.box_xyxy, first.area_px) == ((0, 10, 30, 20), 300)


# --- bad input --------------------------------------------------------------------------------------------------------


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def spoil(scene: Path) -> None:
        content = json.loads((scene / name).read_text())
        change(content)
        (scene / name).write_text(json.dumps(content))

    return spoil


def put(*place: Any, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for step in place[:-1]:
            content = content[step]
        content[place[-1]] = value

    return change


def grey(name: str, shape: tuple[int, ...], dtype: type = np.uint8) -> Callable[[Path], None]:
    def spoil(scene: Path) -> None:
        cv2.imwrite(str(scene / name), np.zeros(shape, dtype))

    return spoil


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "id": (changed("scene_gt.json", put("3", 1, "obj_id", value="5")), "image 3: object 1: obj_id must be a whole number"),
    "rotation": (changed("scene_gt.json", put("3", 0, "cam_R_m2c", value=[1, 0, 0, 0, 1, 0, 0, 0, 2])), "cam_R_m2c is no rotation"),
    "mirror": (changed("scene_gt.json", put("3", 0, "cam_R_m2c", value=[1, 0, 0, 0, 1, 0, 0, 0, -1])), "cam_R_m2c is no rotation"),
    "nan": (changed("scene_gt.json", put("3", 0, "cam_t_m2c", 2, value=float("nan"))), "it holds NaN"),
    "short": (changed("scene_gt.json", put("3", 0, "cam_t_m2c", value=[1, 2])), "cam_t_m2c must be 3 numbers"),
    "no pose": (changed("scene_gt.json", lambda c: c["3"][0].pop("cam_t_m2c")), "cam_t_m2c must be 3 numbers, got None"),
    "unlabelled": (changed("scene_gt.json", lambda c: c.pop("3")), "nobody labelled it"),
    "no camera": (changed("scene_camera.json", lambda c: c.pop("3")), "scene_camera.json does not name it"),
    "camera": (changed("scene_camera.json", put("3", "cam_K", value=[0, 0, 1, 0, 1, 1, 0, 0, 1])), "image_from_camera must be"),
    "scale": (changed("scene_camera.json", lambda c: c["3"].pop("depth_scale")), "depth_scale must be a finite number, got None"),
    "twice": (changed("scene_gt.json", put("03", value=[])), "id 3 stands twice"),
    "name": (changed("scene_gt.json", put("x", value=[])), "an id must be a whole number, got 'x'"),
    "kind": (changed("scene_gt.json", put("3", value={})), "id 3 must hold a list"),
    "count": (changed("scene_gt_info.json", lambda c: c["3"].pop()), "scene_gt_info.json has 1 objects, scene_gt.json 2"),
    "fraction": (changed("scene_gt_info.json", put("3", 0, "visib_fract", value=1.5)), r"visib_fract must be in \[0, 1\], got 1.5"),
    "box": (changed("scene_gt_info.json", put("3", 0, "bbox_obj", value=[1, 2, -3, 4])), "bbox_obj has a negative side"),
    "pixels": (changed("scene_gt_info.json", put("3", 0, "px_count_all", value=-1)), "px_count_all must be a whole number"),
    "mask": (lambda scene: (scene / "mask_visib/000003_000001.png").unlink(), "object 1: mask_visib/000003_000001.png is missing"),
    "whole mask": (lambda scene: (scene / "mask/000003_000001.png").unlink(), "object 1: mask/000003_000001.png is missing"),
    "stray mask": (grey("mask_visib/000003_000002.png", (HEIGHT, WIDTH)), "image 3: mask_visib/000003_000002.png belongs to no object"),
    "other mask": (changed("scene_gt_info.json", put("3", 0, "px_count_visib", value=200)), "px_count_visib is 200, its mask has 300"),
    "other box": (
        changed("scene_gt_info.json", put("3", 0, "bbox_visib", value=[1, 1, 5, 5])),
        "bbox_visib .* lies elsewhere than its mask",
    ),
    "no box": (changed("scene_gt_info.json", put("3", 0, "bbox_visib", value=[-1] * 4)), "bbox_visib is .*, its mask is not"),
    "huge id": (changed("scene_gt.json", put("3", 0, "obj_id", value=10**4000)), "obj_id must be a whole number from 0, got 1000.{,80}$"),
    "long id": (changed("scene_gt.json", put("9" * 5000, value=[])), "an id must be a whole number, got '999.{,90}$"),
    "overflow": (changed("scene_gt.json", put("3", 0, "cam_R_m2c", value=[1e200] * 9)), "cam_R_m2c is beyond anything"),
    "far": (changed("scene_camera.json", put("3", "cam_t_w2c", value=[1e308] * 3)), "cam_R_w2c must be 9 numbers, got None"),
    "steps": (changed("scene_camera.json", put("3", "depth_scale", value=1e300)), "depth_scale must be above 0 and at most 1e"),
    "mask size": (grey("mask/000003_000000.png", (HEIGHT, WIDTH + 1)), "object 0: .*is 49x32, the picture 48x32"),
    "mask colour": (grey("mask/000003_000000.png", (HEIGHT, WIDTH, 3)), "must be grey, it has 3 channels"),
    "depth bits": (grey("depth/000003.png", (HEIGHT, WIDTH)), "depth must be 16-bit grey, got uint8"),
    "cut short": (lambda scene: (scene / "depth/000003.png").write_bytes(b"\x89PNG"), "it is no picture that can be read"),
    "no picture": (lambda scene: (scene / "rgb/000003.png").unlink(), "there is no picture rgb/000003.png"),
    "no truth": (lambda scene: (scene / "scene_gt.json").unlink(), "cannot read .*scene_gt.json"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_reported(tmp_path: Path, name: str) -> None:
    scene = foreign(tmp_path / "tiny")
    spoil, message = FAULTS[name]
    spoil(scene)
    records, faults = read(tmp_path / "tiny")
    assert records == []
    assert (faults.samples, faults.total) == (1, 1)
    assert re.search(f"test_primesense/000048.*{message}", str(faults))


def test_every_fault_of_a_picture_is_named(tmp_path: Path) -> None:
    scene = foreign(tmp_path / "tiny")
    changed("scene_gt.json", put("3", 0, "obj_id", value=-1))(scene)
    changed("scene_gt.json", put("3", 1, "obj_id", value=None))(scene)
    _, faults = read(tmp_path / "tiny")
    assert (faults.samples, faults.total) == (1, 2)


def test_links_do_not_leave_the_scene(tmp_path: Path) -> None:
    scene = foreign(tmp_path / "tiny")
    picture = scene / "rgb/000003.png"
    picture.rename(tmp_path / "secret.png")
    picture.symlink_to(tmp_path / "secret.png")
    records, faults = read(tmp_path / "tiny")
    assert records == []
    assert "is a link that leaves the folder" in str(faults)


def test_a_picture_that_nothing_names(tmp_path: Path) -> None:
    scene = foreign(tmp_path / "tiny")
    grey("rgb/000004.png", (HEIGHT, WIDTH))(scene)
    grey("mask/000005_000000.png", (HEIGHT, WIDTH))(scene)
    records, faults = read(tmp_path / "tiny")
    assert ([r.key for r in records], faults.samples) == (["test_primesense/000048/000003"], 1)
    assert faults.first == [
        f"test_primesense/000048: {name} is named by no file of the scene: add its labels or remove it"
        for name in ("rgb/000004.png", "mask/000005_000000.png")
    ]


def test_an_object_that_is_not_listed(tmp_path: Path) -> None:
    foreign(tmp_path / "tiny")
    (tmp_path / "tiny/objects.json").write_text(json.dumps({"5": {"category": "mug", "asset": None}}))
    records, faults = read(tmp_path / "tiny")
    assert records == []
    assert "object 1: obj_id 12 is not in objects.json; known: [5]" in str(faults)
    assert {i.category for i in right(tmp_path / "tiny", names={12: "box"})[0].instances} == {"mug", "box"}


@pytest.mark.parametrize("name", ["test_primesense", "test_primesense/000048", "test_primesense/000048/rgb", "objects.json", "models"])
def test_no_link_leaves_the_dataset(tmp_path: Path, name: str) -> None:
    foreign(tmp_path / "tiny")
    linked = tmp_path / "tiny" / name
    if name == "objects.json":
        linked.write_text("{}")
    linked.rename(tmp_path / "away")
    linked.symlink_to(tmp_path / "away")
    if name in ("objects.json", "models"):  # of the dataset as a whole
        with pytest.raises(FormatError, match="is a link that leaves the folder"):
            read(tmp_path / "tiny")
        return
    records, faults = read(tmp_path / "tiny")
    assert records == []
    assert "is a link that leaves the folder" in str(faults)


@pytest.mark.parametrize("names", ["foo", 3, [1], {1: 2}, {1: ""}, {-1: "a"}, {True: "a"}, {"9" * 5000: "a"}, {None: "a"}], ids=range(9))
def test_names_that_are_none(tmp_path: Path, names: Any) -> None:
    with pytest.raises(ConfigError, match=r"^bop: (names must be by object id|the name of object 1 must be text), got .{,100}$"):
        bop.Reader(tmp_path, names=names)


@pytest.mark.parametrize(
    "options",
    [
        {name: value}
        for name, values in {
            "scene_images": ("abc", 0, 1.5, True, None),
            "object_ids": (3, {"a": "1"}, {1: 1}, {"a": -1}),
            "default_split": (5, "", "a/b", "..", "7"),
        }.items()
        for value in values
    ],
    ids=range(14),
)
def test_options_of_the_writer(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"^bop: {next(iter(options))} must be "):
        bop.Writer(tmp_path, **options)


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no scene of a BOP dataset"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="name the dataset's folder alone"):
        bop.Reader(tmp_path, images=tmp_path)
    foreign(tmp_path / "tiny")
    with pytest.raises(ConfigError, match="names must be by object id, got 'mug'"):
        read(tmp_path / "tiny", names={"mug": 1})
    with pytest.raises(FormatError, match=r"the split '\.\./x' cannot be a folder"):
        bop.Writer(tmp_path / "out").write(Listed([record("a", info=SampleInfo(split="../x"))]))
    assert isinstance(reader("bop", source=tmp_path), bop.Reader)
    assert isinstance(writer("bop", out=tmp_path), bop.Writer)
