"""Draw the pictures of scenes product and board in docs/images/scenes again: .venv/bin/python scripts/docs_product_board.py [FOLDER]

With FOLDER also board_on_photo.jpg. FOLDER holds OpenCV's chessboard photos left01.jpg ... (samples/data of OpenCV, Apache-2.0) and
corners_gt.json: K, distortion, and for each photo its corners and pose. Left the photo, in the middle the board that scene `board` puts at
that pose, right the corners of both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from synth_scenes.board import Board
from synth_scenes.patterns import Pattern
from synth_scenes.product import Product

from synth import Generator, PyrenderSpec, Recipe, contact_sheet
from synth.geometry import project, transform
from synth.protocols import Scene
from synth.rand import rng_for
from synth.types import Body, Camera, DirectionalLight, Environment, World

IMAGES = Path("docs/images/scenes")
CHARUCO = Pattern("charuco", 7, 5, 0.036, 0.027)
ARUCO = Pattern("aruco", 5, 4, 0.045, 0.036, "DICT_6X6_250")
NAMES = ("left03.jpg", "left09.jpg", "left13.jpg")
FLAT: dict[str, Any] = {
    "curvature_per_m": 0.0,
    "wave_per_m": 0.0,
    "wrinkle_m": 0.0,
    "plate": 1.0,
    "plate_margin_m": 0.012,
    "margin_m": 0.003,
}
CUT: dict[str, Any] = {"outer": 0.55, "paper": 0.75, "paper_tint": 0.0, "ink": 0.02, "roughness": 0.8}


def grids() -> None:
    """Twelve labelled pictures of each scene."""
    products = [Product(mesh=name) for name in ("cracker_box", "mustard_bottle", "mug")]
    boards = [Board(), Board(pattern=CHARUCO, outer=1.0), Board(pattern=ARUCO, outer=1.0)]
    shown: tuple[tuple[str, Sequence[Scene]], ...] = (("product", products), ("board", boards))
    for name, scenes in shown:
        samples = []
        for start, scene in enumerate(scenes):
            with Generator(Recipe(scene, PyrenderSpec(), seed=5, name=name)) as generator:
                samples += [generator[4 * start + index] for index in range(4)]
        sheet = contact_sheet(samples, columns=4, cell_px=300)
        Image.fromarray(sheet).save(IMAGES / f"{name}.jpg", quality=82)


def on_photos(folder: Path) -> None:
    """The board laid over real photos."""
    truth = json.loads((folder / "corners_gt.json").read_text())
    scene = Board(**FLAT, **CUT)
    renderer = PyrenderSpec().open()
    rows = []
    for name in NAMES:
        photo = cv2.imread(str(folder / name))
        assert photo is not None
        k = np.array(truth["left_calibration"]["K"]) + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        pose = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(np.array(truth["images"][name]["rvec"]))[0]
        pose[:3, 3] = (np.array(truth["images"][name]["tvec_squares"]) - pose[:3, :3] @ [1, 1, 0]) * scene.pattern.square_m
        camera = Camera(k, photo.shape[1], photo.shape[0], np.eye(4), tuple(truth["left_calibration"]["dist"]))
        body = Body(scene.asset(rng_for(0, 0)), pose, scene.categories[0])
        light = DirectionalLight((0.3, 0.4, 1.0), 1.6, shadow=False)
        world = World(camera, (body,), (light,), Environment(photo=photo[..., ::-1].copy(), color=(0.35, 0.35, 0.35)))
        frame = renderer.render(world)
        grey = np.repeat(frame.rgb.mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
        laid = np.where(frame.instance[..., None] > 0, grey, photo)
        both = (photo * 0.55 + 90).astype(np.uint8)
        labels = project(camera, transform(pose, np.array([point.xyz_object_m for point in body.asset.keypoints])))
        corners = np.array(truth["images"][name]["corners"]) + 0.5
        for xy, mark, color in ((corners, cv2.MARKER_SQUARE, (0, 160, 0)), (labels, cv2.MARKER_CROSS, (0, 0, 255))):
            for x, y in np.round(xy - 0.5).astype(int).tolist():
                cv2.drawMarker(both, (x, y), color, mark, 9, 1)
        print(name, "rms", round(float(np.sqrt(((labels - corners) ** 2).sum(axis=1).mean())), 3), "px")
        rows.append(np.hstack([photo, laid, both]))
    renderer.close()
    sheet = np.vstack(rows)
    cv2.imwrite(
        str(IMAGES / "board_on_photo.jpg"),
        cv2.resize(sheet, None, fx=0.62, fy=0.62, interpolation=cv2.INTER_AREA),
        [cv2.IMWRITE_JPEG_QUALITY, 80],
    )


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    grids()
    if len(sys.argv) > 1:
        on_photos(Path(sys.argv[1]))
