"""KITTI labels by values worked out on paper, and by a parser of their own that projects each 3D box with P2 as the devkit does."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.errors import FormatError
from synth.formats import writer
from synth.formats.kitti import Writer
from synth.formats.writing import Report
from synth.geometry import project
from synth.record import Record
from synth.types import Camera, Category, Instance, Obb, Rle, SampleInfo
from tests.formats.exported import Listed, png

WIDTH, HEIGHT = 64, 48
CAMERA = Camera(np.array([[50.0, 0, 32], [0, 60, 24], [0, 0, 1]]), WIDTH, HEIGHT, np.eye(4))
CAR = Category("car")
PLAIN = Instance("car", box_xyxy=(0.0, 4.0, 10.5, 48.0))


def upright(heading_rad: float, x: float, y: float, z: float) -> np.ndarray[Any, Any]:
    """camera_from_object of an object whose z is up and whose x is turned clockwise, seen from above, from the camera's right."""
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[cos, sin, 0], [0, 0, -1], [-sin, cos, 0]])
    pose[:3, 3] = x, y, z
    return pose


def record(*instances: Instance, camera: Camera | None = CAMERA, categories: tuple[Category, ...] = (CAR,), key: str = "a/b") -> Record:
    return Record(key, "synthetic", WIDTH, HEIGHT, png(WIDTH, HEIGHT), "png", instances, categories, camera=camera)


def written(folder: Path, *records: Record, **options: Any) -> tuple[list[list[str]], Report]:
    """The columns of the first label file."""
    report = Writer(folder / "out", **options).write(Listed(records))
    return [line.split(" ") for line in (folder / "out/label_2/000000.txt").read_text().splitlines()], report


def numbers(row: list[str]) -> list[float]:
    return [float(value) for value in row[1:]]


def test_a_box_without_more(tmp_path: Path) -> None:
    (row,), report = written(tmp_path, record(PLAIN))
    assert (row[0], len(row)) == ("car", 15)
    assert numbers(row) == [-1, 3, -10, -0.5, 3.5, 10, 47.5, -1, -1, -1, -1000, -1000, -1000, -10]
    assert not report.lost
    out = tmp_path / "out"
    files = ["calib/000000.txt", "image_2/000000.png", "keys.txt", "label_2/000000.txt"]
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == files
    assert (out / "keys.txt").read_text() == "000000 a/b\n"
    assert (out / "image_2/000000.png").read_bytes() == png(WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("heading", "wanted"),
    [  # x 3, z 4 is seen at atan2(3, 4) to the right
        (0.0, (-math.atan2(3, 4), 0.0)),
        (math.pi / 2, (math.pi / 2 - math.atan2(3, 4), math.pi / 2)),
        (-math.pi / 2 - 1, (math.pi * 3 / 2 - 1 - math.atan2(3, 4), -math.pi / 2 - 1)),
    ],
)
def test_a_body_that_stands(tmp_path: Path, heading: float, wanted: tuple[float, float]) -> None:
    # Length 2 along its x, width 1, height 0.5; its box's centre is 0.25 above its origin, so the bottom is at the origin.
    box = (np.array([0, 0, 0.25]), np.array([2.0, 1.0, 0.5]))
    (row,), report = written(tmp_path, record(replace(PLAIN, camera_from_object=upright(heading, 3, 1, 4), box3d_object_m=box)))
    _, _, alpha, *_, height, width, length, x, y, z, rotation_y = numbers(row)
    np.testing.assert_allclose((height, width, length, x, y, z), (0.5, 1, 2, 3, 1, 4), atol=1e-6)
    np.testing.assert_allclose((alpha, rotation_y), wanted, atol=1e-6)
    assert -math.pi <= alpha <= math.pi
    assert not report.lost


def devkit_corners(row: list[str], p2: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(8, 2) the corners in px from the label alone: length along x, height up from the bottom, width along z; turned about y."""
    height, width, length, x, y, z, angle = (float(value) for value in row[8:15])
    turn = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    local = [(a * length / 2, b * height, c * width / 2) for a in (-1, 1) for b in (-1, 0) for c in (-1, 1)]
    homogeneous = np.column_stack([np.array(local) @ turn.T + (x, y, z), np.ones(8)]) @ p2.T
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])


_metres = st.floats(-3, 3)


@given(
    st.floats(-math.pi, math.pi), st.tuples(_metres, _metres, st.floats(8, 20)), st.tuples(_metres, _metres, _metres),
    st.tuples(*[st.floats(0.1, 3)] * 3), st.floats(-5, 5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_box_projected_with_p2_is_the_body(
    tmp_path_factory: pytest.TempPathFactory,
    heading: float,
    place: tuple[float, float, float],
    centre: tuple[float, float, float],
    size: tuple[float, float, float],
    skew: float,
) -> None:
    k = CAMERA.image_from_camera + np.array([[0, skew, 0], [0, 0, 0], [0, 0, 0]])
    camera = replace(CAMERA, image_from_camera=k)
    pose = upright(heading, *place)
    labelled = replace(PLAIN, camera_from_object=pose, box3d_object_m=(np.array(centre), np.array(size)))
    folder = tmp_path_factory.mktemp("kitti")
    (row,), _ = written(folder, record(labelled, camera=camera))
    calibration = dict(line.split(": ") for line in (folder / "out/calib/000000.txt").read_text().splitlines())
    assert list(calibration) == ["P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo"]
    p2 = np.array(calibration["P2"].split(" "), float).reshape(3, 4)
    local = np.array([(a, b, c) for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)]) * size + centre
    wanted = project(camera, local @ pose[:3, :3].T + pose[:3, 3]) - 0.5  # KITTI's centre of the first pixel is 0, 0
    got = devkit_corners(row, p2)
    assert max(np.abs(wanted - corner).max(axis=1).min() for corner in got) < 1e-3
    assert max(np.abs(got - corner).max(axis=1).min() for corner in wanted) < 1e-3
    assert float(row[3]) == pytest.approx(
        math.remainder(float(row[14]) - math.atan2(float(row[11]), float(row[13])), 2 * math.pi), abs=1e-5
    )


def tilted(angle_rad: float) -> np.ndarray[Any, Any]:
    turn = np.eye(4)
    turn[1:3, 1:3] = [[math.cos(angle_rad), -math.sin(angle_rad)], [math.sin(angle_rad), math.cos(angle_rad)]]
    return np.asarray(turn @ upright(0.3, 0, 1, 4))


@pytest.mark.parametrize(
    ("pose", "box", "lost"),
    [
        (tilted(0.0009), True, []),
        (tilted(0.0011), True, ["box3d_object_m", "camera_from_object"]),
        (tilted(math.pi), True, ["box3d_object_m", "camera_from_object"]),  # on its head
        (tilted(math.pi / 2), True, ["box3d_object_m", "camera_from_object"]),
        (tilted(0), False, ["camera_from_object"]),
        (None, True, ["box3d_object_m"]),
    ],
)
def test_a_body_that_does_not_stand_is_counted(tmp_path: Path, pose: Any, box: bool, lost: list[str]) -> None:
    labelled = replace(PLAIN, camera_from_object=pose, box3d_object_m=(np.zeros(3), np.ones(3)) if box else None)
    (row,), report = written(tmp_path, record(labelled))
    assert sorted(report.lost) == lost
    assert (numbers(row)[2:3] + numbers(row)[7:] == [-10, -1, -1, -1, -1000, -1000, -1000, -10]) == bool(lost)
    if lost:
        with pytest.raises(FormatError, match="cannot hold"):
            Writer(tmp_path / "strict", strict=True).write(Listed([record(labelled)]))


@pytest.mark.parametrize(
    ("visible", "truncated", "wanted"),
    [
        (None, None, (-1, 3)),
        (None, 0.25, (0.25, 3)),
        (1.0, None, (-1, 0)),
        (0.95, 0.0, (0, 0)),
        (0.94, 0.0, (0, 1)),
        (0.5, 0.0, (0, 1)),
        (0.49, 0.0, (0, 2)),
        (0.5, 0.5, (0.5, 0)),  # all that is in the frame shows
        (0.2, 0.5, (0.5, 2)),
        (0.2, 1.0, (1, 2)),
    ],
)
def test_truncated_and_occluded(tmp_path: Path, visible: float | None, truncated: float | None, wanted: tuple[float, int]) -> None:
    (row,), report = written(tmp_path, record(replace(PLAIN, visible_fraction=visible, truncated_fraction=truncated)))
    assert (float(row[1]), row[2]) == (wanted[0], str(wanted[1]))
    assert report.lost == ({} if visible is None else {"visible_fraction": 1})  # four steps do not hold it


def test_regions_that_nobody_scores_are_dont_care(tmp_path: Path) -> None:
    hidden, crowd = replace(PLAIN, visible_fraction=0.05), replace(PLAIN, crowd=True)
    rows, report = written(tmp_path, record(hidden, crowd))
    assert rows[0] == rows[1]
    assert rows[0][0] == "DontCare"
    assert numbers(rows[0]) == [-1, -1, -10, -0.5, 3.5, 10, 47.5, -1, -1, -1, -1000, -1000, -1000, -10]
    assert (report.ignored, report.annotations) == (1, 2)
    assert "crowd" not in report.lost
    (only,), report = written(tmp_path / "2", record(hidden, PLAIN), below="leave_out")
    assert (only[0], report.left_out_hidden) == ("car", 1)


def test_what_it_cannot_hold_is_counted(tmp_path: Path) -> None:
    mask = Rle.encode(np.ones((HEIGHT, WIDTH), bool))
    full = replace(PLAIN, mask=mask, obb=Obb(1, 1, 1, 1, 0), asset="x")
    lens = replace(CAMERA, distortion=(0.1, 0, 0, 0, 0), world_from_camera=upright(0.1, 1, 2, 3))
    made = replace(record(full, camera=lens), info=SampleInfo(split="train"))
    _, report = written(tmp_path, made)
    assert report.lost == {"mask": 1, "obb": 1, "asset": 1, "info.split": 1, "camera.distortion": 1, "camera.world_from_camera": 1}


def test_names_and_numbers(tmp_path: Path) -> None:
    names = (Category("red  car"), Category("van"))
    given = [record(replace(PLAIN, category="red  car"), camera=None, categories=names), record(categories=names, key="c")]
    (row,), _ = written(tmp_path, *given)
    assert row[0] == "red_car"
    assert (tmp_path / "out/keys.txt").read_text() == "000000 a/b\n000001 c\n"
    assert (tmp_path / "out/label_2/000001.txt").read_text() == ""
    assert [path.name for path in (tmp_path / "out/calib").iterdir()] == ["000001.txt"]
    assert isinstance(writer("kitti", out=tmp_path / "x"), Writer)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a b", "a_b"), "'a b' and 'a_b' would both be 'a_b'"),
        (("DontCare",), "cannot be named 'DontCare'"),
        ((" ",), "cannot be named ' '"),
    ],
)
def test_names_that_cannot_be_told(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(FormatError, match=said):
        written(tmp_path, record(categories=tuple(map(Category, names))))
    assert not (tmp_path / "out").exists()
