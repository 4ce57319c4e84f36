"""KITTI's object detection labels (2D and 3D): `image_2/`, `label_2/` and, for samples with a camera, `calib/`; written, not read.

The format is that of the benchmark's devkit: https://www.cvlibs.net/datasets/kitti/eval_object.php (Geiger et al., CVPR 2012). One row an
object: type, truncated, occluded, alpha, left top right bottom, height width length, x y z, rotation_y. What it means here:

- Pixels: KITTI counts from 0 at the centre of the top-left pixel, so its coordinates are ours - 0.5: those of boxes (not clipped: one at
  the frame's edge begins at -0.5) and the principal point in P0 to P3. As KITTI's pictures have no distortion, a lens is counted as lost.
- truncated: truncated_fraction; -1 if unknown. occluded: of what is in the frame, the share that shows, visible_fraction / (1 -
  truncated_fraction): 0 from 95 %, 1 from 50 %, 2 below, 3 if unknown. The devkit gives no numbers; these are ours.
- A KITTI box stands upright: its height lies along the camera's y. So a pose is written if the object's z axis points along the camera's
  -y within 0.06 degrees (1e-3 rad); others are counted as lost, their row has 2D only. Such a camera looks level: one that is tilted has
  no upright objects. height is the size along the object's z, length along its x, width along its y; x y z is the middle of the bottom
  in the camera frame; rotation_y turns the camera's x to the object's x about the camera's y; alpha = rotation_y - atan2(x, z).
- Unknown is -1 for sizes, -1000 for x y z, -10 for angles. Ignored objects and crowds are DontCare rows.
- Files are numbered as KITTI's are; `keys.txt` says which sample each is. White space in a category's name becomes `_`. Pictures are kept
  byte for byte, so a JPEG stays `.jpg`; KITTI's own are PNG (`output.image=png`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth.errors import FormatError
from synth.formats import writing
from synth.formats.writing import EXTENSION, Session, Shown
from synth.geometry import transform
from synth.record import Record
from synth.types import Camera, Category, Instance

_UPRIGHT = 1e-3  # sine of the largest tilt
_SHOWS_WHOLE, _SHOWS_HALF = 0.95, 0.5
_DONT_CARE = "DontCare -1 -1 -10"
_UNKNOWN_3D = (-10.0, (-1.0, -1.0, -1.0, -1000.0, -1000.0, -1000.0, -10.0))


@dataclass(frozen=True)
class Writer(writing.Writer):
    """An export to the new folder `out`: image_2, label_2, calib and keys.txt."""

    name = "kitti"
    holds = frozenset({"box_xyxy", "truncated_fraction", "camera_from_object", "box3d_object_m", "crowd", "camera"})
    can_ignore = True
    keeps_unused = False

    def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
        return _Session(folder, categories)


class _Session(writing.Session):
    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        for name in ("image_2", "label_2", "calib"):
            (folder / name).mkdir()
        self._keys = self.open("keys.txt")
        self._count = 0

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        types = _types(self.categories)
        number = f"{self._count:06d}"
        self._count += 1
        self._keys.write(f"{number} {record.key}\n")
        rows = "".join(f"{self._row(one, types[one.instance.category])}\n" for one in shown)
        (self.folder / "image_2" / f"{number}.{EXTENSION[record.image_format]}").write_bytes(record.image)
        (self.folder / "label_2" / f"{number}.txt").write_text(rows, encoding="utf-8")
        if record.camera is not None:
            self.lost["camera.distortion"] += any(record.camera.distortion)
            self.lost["camera.world_from_camera"] += not np.array_equal(record.camera.world_from_camera, np.eye(4))
            (self.folder / "calib" / f"{number}.txt").write_text(_calibration(record.camera), encoding="utf-8")

    def _row(self, one: Shown, kind: str) -> str:
        assert one.box_xyxy is not None  # this writer keeps no empty ones
        instance = one.instance
        box = _text([value - 0.5 for value in one.box_xyxy])
        if one.ignored or instance.crowd:
            return f"{_DONT_CARE} {box} {_text(_UNKNOWN_3D[1])}"
        solid = _solid(instance)
        if solid is None:
            for name in ("camera_from_object", "box3d_object_m"):
                self.lost[name] += getattr(instance, name) is not None
        alpha, rest = solid or _UNKNOWN_3D
        truncated = -1.0 if instance.truncated_fraction is None else instance.truncated_fraction
        return f"{kind} {_text([truncated])} {_occluded(instance)} {_text([alpha])} {box} {_text(rest)}"


def _types(categories: Mapping[str, Category]) -> dict[str, str]:
    """The `type` of each category: its name without white space. Raises FormatError if two would be one, or one `DontCare`."""
    types = {name: "_".join(name.split()) for name in categories}
    for name, kind in types.items():
        if kind in ("", "DontCare"):
            raise FormatError(f"kitti: a category cannot be named '{name}'")
        other = next(n for n, k in types.items() if k == kind)
        if other != name:
            raise FormatError(f"kitti: the categories '{other}' and '{name}' would both be '{kind}', since names have no white space")
    return types


def _occluded(instance: Instance) -> int:
    if instance.visible_fraction is None:
        return 3
    within = 1 - (instance.truncated_fraction or 0.0)
    shows = instance.visible_fraction / within if within > 0 else 0.0
    return 0 if shows >= _SHOWS_WHOLE else 1 if shows >= _SHOWS_HALF else 2


def _solid(instance: Instance) -> tuple[float, tuple[float, ...]] | None:
    """alpha, and height width length x y z rotation_y, of an object that stands upright in the camera frame; None for others."""
    pose, box = instance.camera_from_object, instance.box3d_object_m
    if pose is None or box is None:
        return None
    (side_x, _, forward_z), up = pose[:3, 0].tolist(), pose[:3, 2]
    if up[1] > 0 or math.hypot(up[0], up[2]) > _UPRIGHT:
        return None
    centre, (length, width, height) = box[0], np.asarray(box[1]).tolist()
    x, y, z = transform(pose, centre - np.array([0, 0, height / 2])).tolist()
    rotation_y = math.atan2(-forward_z, side_x)
    alpha = math.remainder(rotation_y - math.atan2(x, z), 2 * math.pi)
    return alpha, (height, width, length, x, y, z, rotation_y)


def _calibration(camera: Camera) -> str:
    """P0 to P3 are the one camera; the laser's frame (x forward, y left, z up) is put at the camera, since parsers want one."""
    projection = np.zeros((3, 4))
    projection[:, :3] = camera.image_from_camera
    projection[:2, 2] -= 0.5
    camera_from_laser = [0.0, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0]
    lines = {f"P{i}": projection.ravel().tolist() for i in range(4)}
    lines |= {"R0_rect": np.eye(3).ravel().tolist(), "Tr_velo_to_cam": camera_from_laser, "Tr_imu_to_velo": np.eye(3, 4).ravel().tolist()}
    return "".join(f"{name}: {' '.join(f'{value:.12e}' for value in values)}\n" for name, values in lines.items())


def _text(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
