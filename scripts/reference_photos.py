"""The real photos of the reference experiments, into a store: python scripts/reference_photos.py DATA [--store PLACE]

DATA holds `real/chessboard_left`, `real/cookie_box` and `real/bccd` with their truth. Nothing of it is part of synth. Splits are made here:
the chessboard by photo; the video of the cookie box by time, its middle left out, so that no test frame has a neighbour in training; the
blood cells by their own lists. For the cells it also cuts out those of the training photos, for scene=cutpaste (--cells FOLDER).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from synth_scenes.patterns import Pattern

from synth import Store
from synth.assets import BOX_CORNERS, box_category
from synth.cutouts import cropped
from synth.cutting import save_cutout
from synth.formats import reader
from synth.ingest import Naming, ingest
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Sample, SampleInfo


def main() -> int:
    """Import all three; cut the cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--store", default="./data/store")
    parser.add_argument("--cells", type=Path, default=Path("./data/cells"), help="folder for cut-outs and backgrounds of blood cells")
    options = parser.parse_args()
    if not (options.data / "real").is_dir():
        print(f"there is no {options.data / 'real'}", file=sys.stderr)
        return 2
    store = Store.open(options.store, create=True)
    real = options.data / "real"
    print(
        store.put(chessboard(real / "chessboard_left"), message="chessboard: photos of one camera").samples_added, "photos of a chessboard"
    )
    print(store.put(cookie_box(real / "cookie_box"), message="cookie box: a photo, frames of a video").samples_added, "of a cookie box")
    print("blood cells:", cells(real / "bccd", store))
    trained = store.read("main", "dataset = 'bccd' and split = 'train'", maps=())
    print(f"{cut_cells(list(trained), options.cells)} cells cut out into {options.cells}")
    return 0


def picture(path: Path) -> Any:
    """(h, w, 3) sRGB."""
    found = cv2.imread(str(path))
    assert found is not None, path
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def chessboard(folder: Path) -> Iterator[Sample]:
    """Every second photo is for training. Corners are OpenCV's: half a pixel is added."""
    category = Pattern().category
    truth = json.loads((folder / "corners_gt.json").read_text())["images"]
    for number, (name, told) in enumerate(sorted(truth.items())):
        if not (folder / name).is_file():
            continue
        xy = np.array(told["corners"], float).reshape(-1, 2) + 0.5
        instance = Instance(category.name, keypoints=Keypoints(xy, np.full(len(xy), 2, np.int32)))
        info = SampleInfo("chessboard", "test" if number % 2 else "train", licence="Apache-2.0")
        yield Sample(picture(folder / name), (instance,), (category,), key=f"chessboard/{Path(name).stem}", info=info)


def cookie_box(folder: Path) -> Iterator[Sample]:
    """All eight corners, those on the far side too; who sees them is not told, so v is 2 for those in the frame."""
    category = box_category("cookie_box")
    frames = json.loads((folder / "frames_gt.json").read_text())
    photo = json.loads((folder / "pose_gt.json").read_text())
    names = [_corner(vertex) for vertex in frames["vertices_cm"]]
    order = [names.index(name) for name in BOX_CORNERS]
    told = {f"frames/{name}": each["keypoints_8_px"] for name, each in frames["frames"].items()}
    told[photo["image"]] = photo["keypoints_px_projected"]
    there = sorted(name for name in told if name.startswith("frames/") and (folder / name).is_file())
    third = len(there) // 3 + 1
    for name in [*there, photo["image"]]:
        image = picture(folder / name)
        xy = np.array(told[name], float)[order] + 0.5
        inside = ((xy >= 0) & (xy < image.shape[1::-1])).all(axis=1)
        x0, y0, x1, y1 = (float(v) for v in (*xy.min(0), *xy.max(0)))
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(image.shape[1])), min(y1, float(image.shape[0])))
        keypoints = Keypoints(xy * inside[:, None], np.where(inside, 2, 0).astype(np.int32))
        split, group = "photo", "photo"
        if name in there:
            at = there.index(name)
            split, group = ("train", "start") if at < third else ("gap", "middle") if at < len(there) - third else ("test", "end")
        info = SampleInfo("cookie_box", split, group, licence="Apache-2.0")
        instance = Instance(category.name, box_xyxy=box, keypoints=keypoints)
        yield Sample(image, (instance,), (category,), key=f"cookie_box/{Path(name).stem}", info=info)


def _corner(vertex: list[float]) -> str:
    x, y, z = (value > 0 for value in vertex)
    return f"{'back' if y else 'front'}_{'right' if x else 'left'}_{'top' if z else 'bottom'}"


def cells(folder: Path, store: Store) -> str:
    """The photos without degenerate boxes, imported as anyone would; then split by the lists beside them."""
    done = ingest(reader("voc", source=folder), store, Naming("bccd", licence="MIT"), skip_bad=True, message="bccd: photos of blood cells")
    test = set((folder / "val.txt").read_text().split())

    def split(record: Record) -> Record:
        return replace(record, info=replace(record.info, split="test" if Path(record.key).stem in test else "train"))

    store.put([split(record) for record in store.read("main", "dataset = 'bccd'").records()], message="bccd: split by its lists")
    return str(done)


# --- cut-outs of cells -------------------------------------------------------------------------------------------------


def cut_cells(samples: list[Sample], folder: Path) -> int:
    """Cells that touch no other and no edge, by what in their box is not background; and backgrounds with all cells taken out."""
    count = 0
    for sample in samples:
        stem = Path(sample.key).name
        field, free = _background(sample)
        if free > 0.25 and len(list((folder / "backgrounds").glob("*.png"))) < 60:
            (folder / "backgrounds").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "backgrounds" / f"{stem}.png"), cv2.cvtColor(field, cv2.COLOR_RGB2BGR))
        for number, instance in enumerate(sample.instances):
            found = _cell(sample, instance, field)
            if found is not None:
                cutout = cropped(f"{stem}_{number}", found, {}, licence="MIT")
                save_cutout(folder / "cutouts", cutout, Category(instance.category))
                count += 1
    return count


def _background(sample: Sample) -> tuple[Any, float]:
    """The picture without its cells: a smooth field through what lies outside all boxes, with the noise that lies there."""
    free = np.ones(sample.image.shape[:2], bool)
    for instance in sample.instances:
        x0, y0, x1, y1 = (round(v) for v in instance.box_xyxy or (0, 0, 0, 0))
        free[max(0, y0 - 6) : y1 + 6, max(0, x0 - 6) : x1 + 6] = False
    pale = sample.image.astype(np.float32)
    light = pale.sum(axis=2)
    if free.any():
        free &= light > np.percentile(light[free], 60)  # cells that nobody labelled
    weight = cv2.GaussianBlur(free.astype(np.float32), (0, 0), 40) + 1e-4
    field = cv2.GaussianBlur(pale * free[..., None], (0, 0), 40) / weight[..., None]
    rest = (pale - cv2.GaussianBlur(pale, (0, 0), 3))[free]
    rng = np.random.default_rng(0)
    if len(rest):
        grain = cv2.GaussianBlur(rng.standard_normal(pale.shape).astype(np.float32), (0, 0), 1.0)
        field = field + grain / grain.std() * rest.std(axis=0)
    return np.clip(field, 0, 255).astype(np.uint8), float(free.mean())


def _cell(sample: Sample, instance: Instance, field: Any) -> Any:
    """(h, w, 4) the cell of a box, or None if it is not whole, not alone, or not about an ellipse once told from what is around.

    Red cells are what differs from the background; white cells and platelets are stained, so the saturation tells them from red ones too.
    """
    x0, y0, x1, y1 = (round(v) for v in instance.box_xyxy or (0, 0, 0, 0))
    height, width = sample.image.shape[:2]
    if min(x1 - x0, y1 - y0) < 16 or x0 < 2 or y0 < 2 or x1 > width - 2 or y1 > height - 2:
        return None
    red = instance.category == "RBC"
    for other in sample.instances:
        if other is not instance and other.box_xyxy is not None and (red or other.category == instance.category):
            a0, b0, a1, b1 = other.box_xyxy
            if min(x1, a1) - max(x0, a0) > 0.1 * (x1 - x0) and min(y1, b1) - max(y0, b0) > 0.1 * (y1 - y0):
                return None
    window = (slice(y0 - 2, y1 + 2), slice(x0 - 2, x1 + 2))
    patch = sample.image[window]
    off = np.abs(patch.astype(np.float32) - field[window]).sum(axis=2) if red else cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)[..., 1]
    _, mask = cv2.threshold(np.clip(off, 0, 255).astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    for how in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(3, min(mask.shape) // 9),) * 2)
        mask = cv2.morphologyEx(mask, how, kernel)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)  # the pale middle of a red cell is filled
    best = max(contours, key=cv2.contourArea, default=None)
    if best is None:
        return None
    whole = cv2.drawContours(np.zeros_like(mask), [best], -1, 1, -1)
    solidity = cv2.contourArea(best) / max(1.0, cv2.contourArea(cv2.convexHull(best)))
    _, (long, short), _ = cv2.minAreaRect(best)
    filled = cv2.contourArea(best) / max(1.0, long * short)  # of an ellipse: pi / 4
    at_edge = (best.min() <= 0) or (best.max(axis=(0, 1)) >= np.array(mask.shape[::-1]) - 1).any()
    if solidity < (0.92 if red else 0.88) or not 0.64 < filled < 0.88 or (at_edge and red) or whole.mean() < 0.3:
        return None
    soft = cv2.GaussianBlur(whole * 255, (0, 0), 1.0)
    return np.dstack([patch, soft])


if __name__ == "__main__":
    sys.exit(main())
