"""The board: OpenCV's own detectors find what the labels say, real photos too; keypoints on the bent sheet; wrong keys are one message."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import synth_scenes
import trimesh
import yaml
from cv2 import aruco
from scipy.spatial import cKDTree
from synth_scenes import sheets
from synth_scenes.board import Board
from synth_scenes.patterns import Pattern, printed

import synth
from synth import Generator, PyrenderSpec, Recipe
from synth.annotate import annotate, finish
from synth.compose.cameras import CameraRig
from synth.compose.materials import Paint
from synth.config.build import build
from synth.errors import ConfigError
from synth.geometry import project, transform
from synth.protocols import Scene
from synth.rand import Uniform, rng_for
from synth.render.flat import FlatSpec
from synth.types import Body, Camera, Material, Sample, World

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/board.yaml"
PHOTOS = Path(synth.__file__).parent.parent.parent / "shared/data/real/chessboard_left"
FLAT = {"curvature_per_m": 0.0, "wave_per_m": 0.0, "wrinkle_m": 0.0}
BENT = {"curvature_per_m": Uniform(-3, 3), "wave_per_m": Uniform(0, 2), "wrinkle_m": 0.0003}
CHARUCO = Pattern("charuco", 7, 5, 0.036, 0.027)
ARUCO = Pattern("aruco", 5, 4, 0.045, 0.036, "DICT_6X6_250")


def option() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 640, "height": 480}
    return values


def alone(pattern: Pattern, **parameters: Any) -> Board:
    """A board that nothing hides, in even surroundings."""
    camera = CameraRig(640, 480, size_share=Uniform(0.6, 0.9), offset=Uniform(-0.1, 0.1), aim_error_m=0.0)
    plain: dict[str, Any] = {"contact": 0.0, "room": 0.0, "hands": 0, "occluders": 0, "glare": 0.0, "background": "color", "in_view": 1.0}
    light: dict[str, Any] = {"tilt_rad": Uniform(0, 0.8), "margin_m": Uniform(0.015, 0.03), "paper": 0.8}
    return Board(camera=camera, pattern=pattern, **plain | light | parameters)


def linear_grey(sample: Sample) -> Any:
    """Proportional to light: where half a pixel is black, it is half as bright. In sRGB it would be brighter than that, and every black
    square would seem smaller."""
    value = sample.image / 255.0
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).mean(axis=2)
    return np.round(light / light.max() * 255).astype(np.uint8)


def labels(sample: Sample) -> dict[str, Any]:
    (instance,) = sample.instances
    assert instance.keypoints is not None
    return dict(zip(sample.categories[0].keypoints, instance.keypoints.xy, strict=True))


def rms(errors: Any) -> float:
    return float(np.sqrt((np.asarray(errors) ** 2).sum(axis=1).mean()))


# --- what OpenCV finds ------------------------------------------------------------------------------------------------
# OpenCV names pixel centres by whole numbers (+0.5 here). Its AprilTag refinement does not, nor did its CharucoDetector before OpenCV 4.14:
# which it is, a picture tells that its own board class draws.


@cache
def charuco_law() -> float:
    """What is to be added to the corners of this OpenCV's CharucoDetector: 0 or half a pixel."""
    corners, edges, _ = drawn_charuco()
    offset = float((edges - corners).mean())
    assert min(abs(offset), abs(offset - 0.5)) < 0.02
    return round(2 * offset) / 2


def drawn_charuco() -> tuple[Any, Any, Any]:
    """Corners found in OpenCV's own drawing, where their edges are, and the drawing."""
    board = CHARUCO.board
    picture = cv2.copyMakeBorder(board.generateImage((700, 500), marginSize=0), 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=255)
    corners, ids, _, _ = aruco.CharucoDetector(board).detectBoard(picture)
    return corners.reshape(-1, 2), np.array([((k % 6 + 1) * 100 + 60, (k // 6 + 1) * 100 + 60) for k in ids.ravel()]), picture


def test_opencv_has_these_laws() -> None:
    corners, edges, picture = drawn_charuco()
    assert len(corners) == 24
    assert np.abs(corners + charuco_law() - edges).max() < 0.2
    refined = cv2.cornerSubPix(picture, corners.reshape(-1, 1, 2).copy(), (5, 5), (-1, -1), (3, 50, 1e-4))
    assert np.abs(refined.reshape(-1, 2) + 0.5 - edges).max() < 0.05


@pytest.mark.parametrize("shape", [FLAT, BENT], ids=["flat", "bent"])
def test_chessboard_corners_are_found_where_the_labels_are(shape: dict[str, Any]) -> None:
    errors, refined = [], []
    with Generator(Recipe(alone(Pattern(), **shape), PyrenderSpec(), seed=1)) as generator:
        for index in range(5):
            sample = generator[index]
            truth, grey = np.array(list(labels(sample).values())), linear_grey(sample)
            found, corners = cv2.findChessboardCornersSB(grey, (9, 6), flags=cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_EXHAUSTIVE)
            if found:
                at = corners.reshape(-1, 2) + 0.5
                nearest = np.linalg.norm(at[:, None] - truth, axis=2).argmin(axis=1)
                assert len(set(nearest)) == 54
                errors.append(at - truth[nearest])
            start = (truth - 0.5).astype(np.float32).reshape(-1, 1, 2)
            refined.append(cv2.cornerSubPix(grey, start, (4, 4), (-1, -1), (3, 100, 1e-4)).reshape(-1, 2) + 0.5 - truth)
    assert len(errors) >= 3
    assert rms(np.concatenate(errors)) < 0.3
    assert rms(np.concatenate(refined)) < 0.1
    assert np.abs(np.concatenate(refined).mean(axis=0)).max() < 0.015, "no common shift: mipmaps must halve without rest"


@pytest.mark.parametrize("shape", [FLAT, BENT], ids=["flat", "bent"])
def test_charuco_corners_and_ids_are_found_where_the_labels_are(shape: dict[str, Any]) -> None:
    errors = []
    detector = aruco.CharucoDetector(CHARUCO.board)
    with Generator(Recipe(alone(CHARUCO, **shape), PyrenderSpec(), seed=1)) as generator:
        for index in range(4):
            sample = generator[index]
            truth = labels(sample)
            corners, ids, _, _ = detector.detectBoard(linear_grey(sample))
            names = [f"corner_{k // 6}_{k % 6}" for k in ids.ravel().tolist()]
            errors.append(corners.reshape(-1, 2) + charuco_law() - np.array([truth[name] for name in names]))
    assert sum(map(len, errors)) > 0.9 * 4 * 24
    assert rms(np.concatenate(errors)) < 0.3


@pytest.mark.parametrize("shape", [FLAT, BENT], ids=["flat", "bent"])
def test_aruco_corners_and_ids_are_found_where_the_labels_are(shape: dict[str, Any]) -> None:
    errors = []
    parameters = aruco.DetectorParameters()
    parameters.cornerRefinementMethod = aruco.CORNER_REFINE_APRILTAG
    detector = aruco.ArucoDetector(aruco.getPredefinedDictionary(aruco.DICT_6X6_250), parameters)
    with Generator(Recipe(alone(ARUCO, **shape), PyrenderSpec(), seed=1)) as generator:
        for index in range(4):
            sample = generator[index]
            truth = labels(sample)
            corners, ids, _ = detector.detectMarkers(linear_grey(sample))
            for quad, number in zip(corners, ids.ravel().tolist(), strict=True):
                errors.append(quad.reshape(4, 2) - np.array([truth[f"marker_{number}_{name}"] for name in ("tl", "tr", "br", "bl")]))
    assert len(errors) > 0.9 * 4 * 20
    assert rms(np.concatenate(errors)) < 0.3


def test_the_pose_is_opencvs() -> None:
    """solvePnP of OpenCV's own object points and the labels gives the pose label."""
    with Generator(Recipe(alone(CHARUCO, **FLAT), FlatSpec(), seed=3)) as generator:
        sample = generator[0]
    truth, camera = labels(sample), sample.camera
    assert camera is not None
    image = np.array([truth[f"corner_{k // 6}_{k % 6}"] for k in range(24)])
    k = camera.image_from_camera
    _, turn, at = cv2.solvePnP(np.asarray(CHARUCO.board.getChessboardCorners()), image, k, None)
    pose = sample.instances[0].camera_from_object
    assert pose is not None
    assert np.allclose(cv2.Rodrigues(turn)[0], pose[:3, :3], atol=1e-4)
    assert np.allclose(at.ravel(), pose[:3, 3], atol=1e-4)


# --- real photos ------------------------------------------------------------------------------------------------------


@cache
def calibration() -> dict[str, Any]:
    if not PHOTOS.is_dir():
        pytest.skip(f"the photos are not there: {PHOTOS}")
    truth: dict[str, Any] = json.loads((PHOTOS / "corners_gt.json").read_text())
    return truth


def at_photo(name: str) -> World:
    """The board where the photo's calibration says it is: OpenCV's frame begins at the first inner corner, and its pixel law is its own."""
    truth, photo, square = calibration(), calibration()["images"][name], 0.025
    k = np.array(truth["left_calibration"]["K"]) + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    camera = Camera(k, *photo["size"], np.eye(4), tuple(truth["left_calibration"]["dist"]))
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array(photo["rvec"]))[0]
    pose[:3, 3] = (np.array(photo["tvec_squares"]) - pose[:3, :3] @ [1, 1, 0]) * square
    scene = alone(Pattern(square_m=square), **FLAT)
    return World(camera, (Body(scene.asset(rng_for(0, 0)), pose, scene.categories[0]),))


NAMES = [f"left{i:02}.jpg" for i in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14)]


@pytest.mark.parametrize("name", NAMES)
def test_labels_lie_on_the_corners_of_real_photos(name: str) -> None:
    corners = np.array(calibration()["images"][name]["corners"]) + 0.5
    world = at_photo(name)
    body, camera = world.bodies[0], world.camera
    points = transform(body.world_from_object, np.array([k.xyz_object_m for k in body.asset.keypoints]))
    errors = project(camera, points) - corners
    assert rms(errors) < 0.4
    assert np.linalg.norm(errors, axis=1).max() < 1


def test_a_picture_of_the_renderer_has_its_corners_where_the_photo_has_them() -> None:
    name = "left03.jpg"
    corners = np.array(calibration()["images"][name]["corners"]) + 0.5
    world = at_photo(name)
    renderer = PyrenderSpec().open()
    try:
        frame = renderer.render(world)
    finally:
        renderer.close()
    sample = finish(annotate(world, frame), (world.bodies[0].category,))  # type: ignore[arg-type]
    start = (corners - 0.5).astype(np.float32).reshape(-1, 1, 2)
    drawn = cv2.cornerSubPix(linear_grey(sample), start.copy(), (5, 5), (-1, -1), (3, 100, 1e-4)).reshape(-1, 2) + 0.5
    assert rms(drawn - corners) < 0.5
    photo = cv2.imread(str(PHOTOS / name), cv2.IMREAD_GRAYSCALE)
    within = cv2.fillConvexPoly(np.zeros(photo.shape, np.uint8), cv2.convexHull(start).round().astype(np.int32), 1) > 0
    assert np.corrcoef(photo[within], sample.image.mean(axis=2)[within])[0, 1] > 0.9


# --- the print and the sheet ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [CHARUCO, Pattern("charuco", 6, 6, 0.03, 0.02, "DICT_4X4_50"), Pattern("charuco", 5, 8, 0.03, 0.021), ARUCO],
    ids=["7x5", "6x6", "5x8", "grid"],
)
def test_the_print_is_opencvs(pattern: Pattern) -> None:
    ink, (x, y), texels_m = pattern.ink((1, 1, 1, 1), 0.01)
    assert x == y
    wide, tall = (round(size * texels_m) for size in pattern.size_m)
    scale = 4  # OpenCV rounds modules to whole pixels
    drawn = cv2.resize(pattern.board.generateImage((wide * scale, tall * scale)), (wide, tall), interpolation=cv2.INTER_AREA)
    start = round(-x * texels_m)
    mine = 255 - ink[start : start + tall, start : start + wide] * 255
    assert np.abs(mine - drawn).mean() < 3
    assert ((mine > 128) != (drawn > 128)).mean() < 0.01
    assert all(side % 64 == 0 for side in ink.shape)
    if pattern.kind == "charuco":
        inner = [k.xyz_object_m for k in pattern.keypoints if k.name.startswith("corner")]
        assert np.allclose(inner, pattern.board.getChessboardCorners())
    texture = printed(ink, (0.8, 0.7, 0.6), (0.05, 0.05, 0.05))
    assert texture[0, 0].tolist() == [231, 218, 203]  # sRGB of the paper


@pytest.mark.parametrize(("x", "y"), [(7, 6), (7, 7), (10, 7), (8, 6)])
def test_a_mirrored_chessboard_is_one_with_its_pairs_swapped(x: int, y: int) -> None:
    pattern = Pattern(squares_x=x, squares_y=y)
    colors = np.indices((y, x)).sum(axis=0) % 2
    pairs = dict(pattern.category.mirror) | {b: a for a, b in pattern.category.mirror}
    for row in range(y - 1):
        for column in range(x - 1):
            around = colors[row : row + 2, column : column + 2]
            name = pairs.get(f"corner_{row}_{column}", f"corner_{row}_{column}")
            there = [int(part) for part in name.split("_")[1:]]
            other = colors[there[0] : there[0] + 2, there[1] : there[1] + 2]
            # after the mirror, the corner at this place has mirrored colours; the name it gets must have them
            if pairs:
                flipped = around[:, ::-1] if x % 2 else around[::-1]
                assert (flipped == other).all()
    assert bool(pairs) == bool(x % 2 or y % 2)


def test_keypoints_lie_on_the_bent_sheet_and_lengths_along_it_stay() -> None:
    bend = sheets.Bend(3.0, 1.5, 0.4, 0.3, 0.7)
    pattern = Pattern()
    ink, at, texels = pattern.ink((1, 1, 1, 1), 0.02)
    asset = sheets.board(pattern, printed(ink, (1, 1, 1), (0, 0, 0)), at, texels, (0.02,) * 4, Material(), (Material(), 0.01, 0.005), bend)
    points = np.array([k.xyz_object_m for k in asset.keypoints])
    assert cKDTree(asset.meshes[0].vertices_m).query(points)[0].max() < 1e-7, "they are corners of the mesh"
    assert np.ptp(points[:, 2]) > 0.01
    middle = np.array(pattern.size_m) / 2
    line = np.linspace(0, pattern.size_m[0], 2001)[:, None] * [1, 0] + [0, 0.05]
    steps = np.linalg.norm(np.diff(bend.points(line, middle), axis=0), axis=1)
    assert steps.sum() == pytest.approx(pattern.size_m[0], rel=1e-5)
    front, plate = asset.meshes
    facing = np.einsum("ij,ij->i", front.normals, np.tile([0, 0, -1.0], (len(front.normals), 1)))
    assert facing.min() > 0.5
    slab = trimesh.Trimesh(plate.vertices_m, plate.faces)
    slab.merge_vertices(digits_vertex=9)
    assert slab.is_watertight
    assert slab.volume == pytest.approx((pattern.size_m[0] + 0.06) * (pattern.size_m[1] + 0.06) * 0.005, rel=0.03)


# --- the scene --------------------------------------------------------------------------------------------------------


def facts(world: World) -> list[Any]:
    return [
        world.camera.world_from_camera.tobytes(),
        [(b.asset.name, b.world_from_object.tobytes(), b.asset.vertices_m.tobytes()) for b in world.bodies],
        [(m.base_color, m.roughness) for b in world.bodies for _, m in b.parts],
        world.lights,
        world.exposure,
    ]


def test_the_defaults_in_code_are_those_of_the_option_and_equal_streams_give_equal_worlds() -> None:
    scene = build(option())
    assert scene == replace(Board(), camera=replace(Board().camera, width=640, height=480))
    assert isinstance(scene, Scene)
    for index in range(3):
        fresh = pickle.loads(pickle.dumps(scene))
        assert facts(fresh.compose(rng_for(0, index))) == facts(scene.compose(rng_for(0, index)))


def test_boards_are_seen_and_lie_on_their_table() -> None:
    scene = Board(room=0.0, hands=0, occluders=0)
    tilts = []
    for index in range(12):
        world = replace(scene, contact=float(index % 2)).compose(rng_for(5, index))
        board, camera = world.bodies[0], world.camera
        xyz = transform(camera.camera_from_world @ board.world_from_object, np.array([k.xyz_object_m for k in board.asset.keypoints]))
        xy = project(camera, xyz)
        assert ((xy > 0) & (xy < (camera.width, camera.height))).all(axis=1).mean() > 0.5
        if index % 2:
            assert abs(transform(board.world_from_object, board.asset.vertices_m)[:, 2].min()) < 1e-9
            assert board.world_from_object[2, 2] == pytest.approx(-1)
        else:
            tilts.append(math.acos((camera.world_from_camera[:3, :3].T @ board.world_from_object[:3, 2])[2]))
    assert 0 < min(tilts) < max(tilts) < 1.1 + 1e-9


def test_a_wide_margin_makes_no_huge_texture() -> None:
    ink, at_m, texels_m = Pattern(square_m=0.001).ink((1.0, 1.0, 1.0, 1.0), 1.0)
    assert max(ink.shape) <= 4224
    assert np.array(at_m) * texels_m == pytest.approx(np.round(np.array(at_m) * texels_m))


def test_pictures_on_the_plate_are_sources() -> None:
    assets = Path(synth_scenes.__file__).parent / "assets"
    picture = assets / "textures/dark_wood.jpg"
    one, other = (Board(plate_paint=Paint(textures=paths), backgrounds=str(assets / "photos")) for paths in ((), (picture,)))
    assert {*other.sources} - {*one.sources} == {picture}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pattern("chesboard"), "no kind of board 'chesboard'; did you mean 'chessboard'"),
        (lambda: Pattern("charuco", dictionary="DICT_5X5"), "no dictionary 'DICT_5X5'; did you mean 'DICT_5X5_50'"),
        (lambda: Pattern("aruco", 20, 20, dictionary="DICT_4X4_50"), "dictionary 'DICT_4X4_50' has 50 markers, the board needs 400"),
        (lambda: Pattern("charuco", marker_m=0.03), r"marker_m must be less than square_m, got 0.03 and 0.025"),
        (lambda: Pattern(squares_x=2), r"squares_x must be in \[3, 64\], got 2"),
        (lambda: Pattern(square_m="25 mm"), r"square_m must be a length in \[0.001, 2\] m, got '25 mm'"),  # type: ignore[arg-type]
        (lambda: Board(curvature_per_m=20), r"curvature_per_m of a pattern of 0.25 m must be in \[-4.8, 4.8\], got 20"),
        (lambda: Board(tilt_rad=2.0), r"tilt_rad must be in \[0, 1.4\], got 2"),
        (lambda: Board(backgrounds="/nowhere"), "photos '/nowhere': there is no such folder"),
        (lambda: Board(background="sky"), "no kind of surroundings 'sky'"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
