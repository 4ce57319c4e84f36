"""The store against a folder of JPEGs with one JSON of labels: the same samples, in one run, wall and CPU time.

python -m benchmarks store
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, timed
from synth.digest import label_digest
from synth.formats import coco
from synth.record import Output, decode_image, encode_image
from synth.store import Store
from synth.types import Camera, Category, Instance, Keypoints, Obb, Origin, Rle, Sample

WIDTH, HEIGHT, INSTANCES, KEYPOINTS = 640, 480, 10, 8
OUTPUT = Output("jpeg", 95)
CATEGORY = Category("thing", tuple(f"corner_{i}" for i in range(KEYPOINTS)))


def make_samples(count: int) -> list[Sample]:
    """Samples about as heavy as rendered ones: a JPEG of about 100 KB, ten objects with every label."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 255, (30, 40, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return [_sample(index, coarse, np.random.default_rng([1, index])) for index in range(count)]


def _sample(index: int, coarse: Any, rng: np.random.Generator) -> Sample:
    image = np.clip(np.roll(coarse, (7 * index, 13 * index), (0, 1)) + rng.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)
    camera = Camera.from_fov(WIDTH, HEIGHT, 1.0, np.eye(4))
    origin = Origin("0" * 64, "bench", 7, index, "none", {"numpy": np.__version__})
    return Sample(image, tuple(_instance(rng) for _ in range(INSTANCES)), (CATEGORY,), camera=camera, origin=origin, key=f"{index:08d}")


def _instance(rng: np.random.Generator) -> Instance:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    y, x, r = rng.uniform(50, 430), rng.uniform(50, 590), rng.uniform(20, 50)
    mask = Rle.encode((rows - y) ** 2 + (columns - x) ** 2 < r**2)
    box = (float(x - r), float(y - r), float(x + r), float(y + r))
    return Instance(
        "thing",
        mask,
        mask,
        int(3.14 * r * r),
        box,
        box,
        Obb(x, y, 2 * r, 2 * r, 0.3),
        0.9,
        0.0,
        Keypoints(rng.uniform(0, 480, (KEYPOINTS, 2)), rng.integers(0, 3, KEYPOINTS), rng.normal(size=(KEYPOINTS, 3))),
        np.eye(4),
        (rng.normal(size=3), rng.uniform(size=3)),
        "mesh_1",
    )


# --- the folder ---------------------------------------------------------------------------------------------------------


def write_folder(folder: Path, samples: Sequence[Sample]) -> None:
    folder.mkdir()
    labels = []
    for sample in samples:
        (folder / f"{sample.key}.jpg").write_bytes(encode_image(sample.image, OUTPUT))
        labels.append(_label_json(sample))
    (folder / "labels.json").write_text(json.dumps(labels))


def _label_json(sample: Sample) -> dict[str, Any]:
    camera, origin = sample.camera, sample.origin
    assert camera is not None
    assert origin is not None
    return {
        "key": sample.key,
        "size": sample.size,
        "camera": [camera.image_from_camera.tolist(), camera.world_from_camera.tolist(), camera.distortion, camera.near_m],
        "origin": [origin.recipe, origin.scene, origin.seed, origin.index, origin.renderer, dict(origin.versions)],
        "instances": [_instance_json(instance) for instance in sample.instances],
    }


def _instance_json(it: Instance) -> dict[str, Any]:
    assert it.mask is not None
    assert it.mask_full is not None
    assert it.obb is not None
    assert it.keypoints is not None
    assert it.keypoints.xyz_m is not None
    assert it.camera_from_object is not None
    assert it.box3d_object_m is not None
    return {
        "category": it.category,
        "mask": it.mask.counts.decode(),
        "mask_full": it.mask_full.counts.decode(),
        "area_px": it.area_px,
        "box_xyxy": it.box_xyxy,
        "box_full_xyxy": it.box_full_xyxy,
        "obb": [it.obb.center_x, it.obb.center_y, it.obb.width, it.obb.height, it.obb.angle_rad],
        "visible_fraction": it.visible_fraction,
        "truncated_fraction": it.truncated_fraction,
        "keypoints": [it.keypoints.xy.tolist(), it.keypoints.v.tolist(), it.keypoints.xyz_m.tolist()],
        "camera_from_object": it.camera_from_object.tolist(),
        "box3d_object_m": [part.tolist() for part in it.box3d_object_m],
        "asset": it.asset,
    }


def read_folder(folder: Path, labels: Sequence[dict[str, Any]], indices: Sequence[int]) -> list[Sample]:
    return [_read_one(folder, labels[index]) for index in indices]


def _read_one(folder: Path, label: dict[str, Any]) -> Sample:
    width, height = label["size"]
    k, world_from_camera, distortion, near_m = label["camera"]
    return Sample(
        decode_image((folder / f"{label['key']}.jpg").read_bytes(), (height, width)),
        tuple(_instance_from(it, width, height) for it in label["instances"]),
        (CATEGORY,),
        camera=Camera(k, width, height, world_from_camera, tuple(distortion), near_m),
        origin=Origin(*label["origin"]),
        key=label["key"],
    )


def _instance_from(it: dict[str, Any], width: int, height: int) -> Instance:
    return Instance(
        it["category"],
        Rle(height, width, it["mask"].encode()),
        Rle(height, width, it["mask_full"].encode()),
        it["area_px"],
        tuple(it["box_xyxy"]),
        tuple(it["box_full_xyxy"]),
        Obb(*it["obb"]),
        it["visible_fraction"],
        it["truncated_fraction"],
        Keypoints(*it["keypoints"]),
        np.array(it["camera_from_object"]),
        (np.array(it["box3d_object_m"][0]), np.array(it["box3d_object_m"][1])),
        it["asset"],
    )


# --- side by side -------------------------------------------------------------------------------------------------------


def write_store(folder: Path, samples: Sequence[Sample]) -> Store:
    store = Store.open(folder, create=True)
    store.commit([store.write_fragment(samples, OUTPUT, "bench")], message="bench", run="bench", meta={})
    return store


def _side_by_side(what: str, ours: Callable[[], object], theirs: Callable[[], object], repeats: int, at_most: float) -> list[Row]:
    """Both in turn, `repeats` times; medians of the times and of the ratios of neighbours, so that a busy machine hits both."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(repeats)]
    rows = []
    for i, clock in enumerate(("wall", "CPU")):
        store_s, folder_s = (statistics.median(pair[who][i] for pair in pairs) for who in (0, 1))
        ratio = statistics.median(ours[i] / theirs[i] for ours, theirs in pairs)
        rows.append(Row(f"{what}, {clock}", f"store {store_s * 1e3:.0f} ms, folder {folder_s * 1e3:.0f} ms", ratio, at_most=at_most))
    return rows


def bench(count: int = 512, batch: int = 64, repeats: int = 7) -> tuple[str, str, list[Row]]:
    """Writing `count` samples, and reading random batches of `batch` with pixels and labels."""
    samples = make_samples(count)
    with tempfile.TemporaryDirectory() as name:
        root, turns = Path(name), iter(range(10**6))
        write_store(root / "warm", samples[:64])
        write_folder(root / "warm_folder", samples[:64])
        rows = _side_by_side(
            f"write {count} samples",
            lambda: write_store(root / f"store{next(turns)}", samples),
            lambda: write_folder(root / f"folder{next(turns)}", samples),
            min(repeats, 5),
            1.3,
        )
        store = write_store(root / "store", samples)
        write_folder(root / "folder", samples)
        labels = json.loads((root / "folder" / "labels.json").read_text())
        read = store.read(maps=())
        rng = np.random.default_rng(2)
        first = rng.permutation(count)[:batch].tolist()
        for ours, theirs in zip(read[first], read_folder(root / "folder", labels, first), strict=True):
            assert label_digest(ours) == label_digest(theirs)
            assert (ours.image == theirs.image).all()
        picks = [rng.permutation(count)[:batch].tolist() for _ in range(2 * repeats)]
        ours_turn, theirs_turn = iter(picks), iter(picks)
        rows += _side_by_side(
            f"read a random batch of {batch}",
            lambda: read[next(ours_turn)],
            lambda: read_folder(root / "folder", labels, next(theirs_turn)),
            2 * repeats,
            1.0,
        )
        wall_s, cpu_s = timed(lambda: coco.Writer(root / "coco").write(read))
        rows.append(Row(f"export {count} samples to COCO", f"{wall_s:.2f} s wall, {cpu_s:.2f} s CPU"))
    return (
        "Store",
        "640x480 JPEGs with ten fully labelled objects each; the folder holds the same JPEGs and one JSON.",
        rows,
    )
