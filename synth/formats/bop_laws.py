"""BOP's laws of units, pixels and boxes, to ours and back; said in words in synth.formats.bop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from synth.errors import FormatError
from synth.formats.reading import brief, number
from synth.formats.writing import Box
from synth.types import F32, F64, Bool, Camera

MM = 1000.0
NO_BOX = [-1, -1, -1, -1]
_HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # our principal point is BOP's plus this
_ROTATION_SLACK = 1e-3  # of a rotation in a file, which has few digits; it is made exact
_LARGEST = 1e12  # of any number; larger ones overflow where they are multiplied
_LARGEST_ID = 10**9
_DEPTH_STEPS_MM = (0.1, 1.0, 10.0, 100.0)


def camera_of(entry: Mapping[str, Any], width: int, height: int) -> Camera:
    """The camera of an image's entry in scene_camera.json. Raises FormatError or ConfigError."""
    camera_from_world = rigid_of(entry, "cam_R_w2c", "cam_t_w2c")
    world_from_camera = np.eye(4)
    if camera_from_world is not None:
        world_from_camera[:3, :3] = camera_from_world[:3, :3].T
        world_from_camera[:3, 3] = -camera_from_world[:3, :3].T @ camera_from_world[:3, 3]
    k = np.reshape(numbers(entry["cam_K"], 9, "cam_K"), (3, 3)) + _HALF_PIXEL
    distortion = numbers(entry.get("cam_distortion", [0.0] * 5), 5, "cam_distortion")
    return Camera(k, width, height, world_from_camera, (distortion[0], distortion[1], distortion[2], distortion[3], distortion[4]))


def camera_entry(camera: Camera) -> dict[str, Any]:
    """What scene_camera.json says of a camera."""
    entry = {
        "cam_K": (camera.image_from_camera - _HALF_PIXEL).ravel().tolist(),
        **rigid_entry(camera.camera_from_world, "cam_R_w2c", "cam_t_w2c"),
    }
    return entry | ({"cam_distortion": list(camera.distortion)} if any(camera.distortion) else {})


def rigid_of(entry: Mapping[str, Any], rotation: str, translation: str) -> F64 | None:
    """(4, 4) in metres; None if neither part is there. A rotation of few digits is made exact. Raises FormatError."""
    if rotation not in entry and translation not in entry:
        return None
    given = np.reshape(numbers(entry.get(rotation), 9, rotation), (3, 3))
    error = np.abs(given @ given.T - np.eye(3)).max()
    if error > _ROTATION_SLACK or np.linalg.det(given) < 0:
        raise FormatError(f"{rotation} is no rotation: {given.tolist()}")
    if error > 1e-9:
        left, _, right = np.linalg.svd(given)
        given = left @ right
    matrix = np.eye(4)
    matrix[:3, :3] = given
    matrix[:3, 3] = np.array(numbers(entry.get(translation), 3, translation)) / MM
    return matrix


def rigid_entry(matrix: F64, rotation: str, translation: str) -> dict[str, Any]:
    """The two parts of a (4, 4) in metres, by these names."""
    return {rotation: matrix[:3, :3].ravel().tolist(), translation: (matrix[:3, 3] * MM).tolist()}


def is_id(value: Any) -> TypeGuard[int]:
    """Whether it can be the id of an object or image."""
    return type(value) is int and 0 <= value <= _LARGEST_ID


def numbers(value: Any, count: int, what: str) -> list[float]:
    """`value` as a list of `count` finite numbers. Raises FormatError."""
    if not isinstance(value, list) or len(value) != count:
        raise FormatError(f"{what} must be {count} numbers, got {brief(value)}")
    found = [number(v, what) for v in value]
    if any(abs(v) > _LARGEST for v in found):
        raise FormatError(f"{what} is beyond anything that has a place: {brief(value)}")
    return found


def depth_steps(depth_m: F32, key: str) -> tuple[float, npt.NDArray[np.uint16]]:
    """The step in mm and the depth in steps, 0 where nothing is."""
    there = np.isfinite(depth_m)
    depth_mm = np.where(there, depth_m, 0).astype(np.float64) * MM
    for step in _DEPTH_STEPS_MM:
        if np.rint(depth_mm.max(initial=0) / step) <= np.iinfo(np.uint16).max:
            steps = np.rint(depth_mm / step).clip(1, None)  # what is there is not nothing
            return step, np.where(there, steps, 0).astype(np.uint16)
    raise FormatError(f"sample {key}: its depth reaches {depth_mm.max() / MM:g} m, more than a BOP depth picture can say")


def depth_of(steps: npt.NDArray[Any], scale: float) -> F32:
    """Metres from a depth picture; scale: millimetres a step."""
    depth: F32 = np.where(steps > 0, (steps * (scale / MM)).astype(np.float32), np.float32(np.inf))
    return depth


def box_of(info: Mapping[str, Any], name: str) -> Box | None:
    """BOP's [x, y, w, h], from first to last pixel, as our box."""
    if name not in info or info[name] == NO_BOX:
        return None
    x, y, width, height = numbers(info[name], 4, name)
    if width < 0 or height < 0:
        raise FormatError(f"{name} has a negative side: {brief(info[name])}")
    return x, y, x + width + 1, y + height + 1


def box_entry(box: Box) -> list[float]:
    """Our box as BOP's [x, y, w, h]; whole numbers as such."""
    x0, y0, x1, y1 = box
    return [int(v) if float(v).is_integer() else v for v in (x0, y0, x1 - x0 - 1, y1 - y0 - 1)]


def mask_box(mask: Bool) -> Box | None:
    """The tight box of a mask's pixels; None if it has none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
