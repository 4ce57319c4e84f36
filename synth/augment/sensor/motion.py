"""What moves while light is collected: blur along the way, and rows that see it at different times.

The camera's velocity is given in its own frame (x right, y down, z forward), at the middle of the exposure; labels belong to that moment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synth.augment.sensor.fields import directions, smooth_field, zoom_that_fills
from synth.augment.sensor.light import ANY, FILL, Shot, Step, around, camera_of, check, check_vector
from synth.augment.warp import grid
from synth.errors import ConfigError
from synth.geometry import project, rays
from synth.rand import Random, Stream, draw
from synth.types import F32, F64, Camera, Draft

_SAMPLES = 48


@dataclass(frozen=True)
class LinearBlur(Step):
    """Everything moves by length_px during the exposure, evenly, in direction angle_rad (clockwise on the screen): the light is the mean
    over that line. For pictures of which no geometry is known; otherwise see MotionBlur."""

    length_px: Random[float] = 5.0
    angle_rad: Random[float] = 0.0

    def __post_init__(self) -> None:
        check(self, length_px=(0, 256), angle_rad=ANY)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        import cv2

        length, angle = (float(draw(getattr(self, name), rng, name)) for name in ("length_px", "angle_rad"))
        kernel = line_kernel(length, angle)
        if kernel.size == 1:
            return shot
        shot = shot.linear()
        return replace(shot, pixels=cv2.filter2D(shot.pixels, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def line_kernel(length_px: float, angle_rad: float) -> F32:
    """(n, n) the mean of a picture, bilinear between pixel centres, over a line through the middle; n odd, sum 1."""
    reach = math.ceil(length_px / 2)
    count = 8 * reach + 1
    along = (np.arange(count) + 0.5) / count * length_px - length_px / 2
    x, y = reach + along * math.cos(angle_rad), reach + along * math.sin(angle_rad)
    column, row = np.floor(x + 1e-9).astype(np.intp), np.floor(y + 1e-9).astype(np.intp)
    u, v = np.maximum(x - column, 0), np.maximum(y - row, 0)
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2))
    for dy, dx, weight in ((0, 0, (1 - u) * (1 - v)), (0, 1, u * (1 - v)), (1, 0, (1 - u) * v), (1, 1, u * v)):
        np.add.at(kernel, (row + dy, column + dx), weight / count)
    return kernel[:-1, :-1].astype(np.float32)


@dataclass(frozen=True)
class MotionBlur(Step):
    """Camera and objects move during exposure_s: the light is its mean over the ways that the pixels' points go.

    A point X (m, camera frame) moves by dX/dt = -v - w x X + o with v = translation_m_s and w = rotation_rad_s of the camera and
    o = object_m_s of a labelled object, each object with a draw of its own; its pixel by the derivative of the projection (the motion
    field of Longuet-Higgins and Prazdny 1980), taken as constant over the exposure. Near things cover the ways of far ones.
    Hands shake by about 0.02 to 0.1 rad/s. Translation and objects need depth; without a depth map everything is at distance_m.
    fov_rad: angle of view across the width to assume where there is no camera. Labels stay where they are: at mid-exposure.
    """

    exposure_s: Random[float] = 1 / 60
    rotation_rad_s: Sequence[Random[float]] = (0.0, 0.0, 0.0)
    translation_m_s: Sequence[Random[float]] = (0.0, 0.0, 0.0)
    object_m_s: Sequence[Random[float]] = (0.0, 0.0, 0.0)
    distance_m: Random[float] | None = None
    fov_rad: float | None = None

    def __post_init__(self) -> None:
        check(self, exposure_s=(0, 60), distance_m=(1e-3, 1e6), fov_rad=(0.01, 3.1))
        for name in ("rotation_rad_s", "translation_m_s", "object_m_s"):
            check_vector(self, name, *ANY)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        exposure = float(draw(self.exposure_s, rng, "exposure_s"))
        step, layered = self._motion(shot.draft, rng)
        step *= np.float32(exposure)
        longest = float(np.sqrt(np.square(step).sum(axis=-1).max()))
        if longest < 0.1:
            return shot
        shot = shot.linear()
        return replace(shot, pixels=_smeared(shot.pixels, step, shot.draft.depth_m if layered else None))

    def _motion(self, draft: Draft, rng: Stream) -> tuple[F32, bool]:
        """(h, w, 2) px/s of every pixel, and whether neighbours may differ in it."""
        camera = camera_of(draft, self.fov_rad, "MotionBlur")
        w = np.asarray(draw(self.rotation_rad_s, rng, "rotation_rad_s"), dtype=np.float32)
        v = np.asarray(draw(self.translation_m_s, rng, "translation_m_s"), dtype=np.float32)
        velocity = np.tile(-v, (len(draft.instances) + 1, 1))
        for i in range(len(draft.instances)):
            velocity[i + 1] += np.asarray(draw(self.object_m_s, rng.child("object", i), "object_m_s"), dtype=np.float32)
        xy = directions(camera)
        x, y = xy[..., 0], xy[..., 1]
        # (dX/dt) / z of the point (x, y, 1) z
        moves = [w[2] * y - w[1], w[0] - w[2] * x, w[1] * x - w[0] * y]
        translates = bool(velocity.any())
        if translates:
            moves = [m + part for m, part in zip(moves, self._per_depth(draft, velocity, rng), strict=True)]
        rate = np.stack([moves[0] - x * moves[2], moves[1] - y * moves[2]], axis=-1)
        return _to_px(camera, xy, rate), translates

    def _per_depth(self, draft: Draft, velocity: F32, rng: Stream) -> list[F32]:
        """Velocity over depth (3 of (h, w)), 1/s."""
        if draft.depth_m is not None:
            inverse = np.float32(1) / np.maximum(draft.depth_m, np.float32(1e-3))
        elif self.distance_m is not None:
            inverse = np.full(draft.instance.shape, 1 / float(draw(self.distance_m, rng, "distance_m")), dtype=np.float32)
        else:
            raise ConfigError("MotionBlur: translation_m_s and object_m_s need depth, and this picture has none; give distance_m")
        return [velocity[draft.instance, i] * inverse for i in range(3)]


def _to_px(camera: Camera, xy: F32, rate: F32) -> F32:
    """Rates (h, w, 2) of x/z, y/z in px, at rays xy (h, w, 2)."""
    if not any(camera.distortion) or min(xy.shape[:2]) < 2:
        return np.asarray(rate @ camera.image_from_camera[:2, :2].T, dtype=np.float32)
    # How rays change from pixel to pixel, turned round
    (a, c), (b, d) = (np.moveaxis(np.asarray(np.gradient(xy, axis=axis)), -1, 0) for axis in (1, 0))
    determinant = a * d - b * c
    u, v = d * rate[..., 0] - b * rate[..., 1], a * rate[..., 1] - c * rate[..., 0]
    return np.asarray(np.stack([u, v], axis=-1) / determinant[..., None], dtype=np.float32)


def _smeared(pixels: F32, step: F32, depth_m: F32 | None) -> F32:
    """The mean of pixels (h, w, 3) while they move by `step` (h, w, 2) px, half of it before and half after. depth_m: where they may cover
    one another."""
    import cv2

    length = np.sqrt(np.square(step).sum(axis=-1))
    rows, columns = around(length >= 0.05, math.ceil(float(length.max()) / 2) + 1)
    part, step = pixels[rows, columns], step[rows, columns]
    height, width = part.shape[:2]
    ways = None if depth_m is None else _Ways(step, depth_m[rows, columns])
    here = grid(0, 0, width, height) - np.float32(0.5)  # cv2 counts from pixel centres
    count = int(np.clip(math.ceil(float(length.max())) + 1, 3, _SAMPLES))
    total = np.zeros_like(part)
    for k in range(count):
        share = np.float32((k + 0.5) / count - 0.5)
        moved = share * step if ways is None else ways.arrived(share)
        total += cv2.remap(part, here - moved, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out = pixels.copy()
    out[rows, columns] = total / np.float32(count)
    return out


class _Ways:
    """Where pixels go, far ones first, so that near ones cover them."""

    def __init__(self, step: F32, depth_m: F32) -> None:
        step, depth_m = _edges_taken(step, depth_m)
        width = depth_m.shape[1]
        order = np.argsort(-depth_m.ravel(), kind="stable")
        self.own = step
        self.step = step.reshape(-1, 2)[order]
        self.column, self.row = (order % width).astype(np.float32), (order // width).astype(np.float32)

    def arrived(self, share: np.float32) -> F32:
        """For each pixel, the move (h, w, 2) of the nearest that comes to lie there after a share of the way; its own if nothing does."""
        height, width = self.own.shape[:2]
        moved = share * self.step
        column, row = np.rint(self.column + moved[:, 0]), np.rint(self.row + moved[:, 1])
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        arrived = (share * self.own).reshape(-1, 2)
        arrived[(row[inside] * width + column[inside]).astype(np.intp)] = moved[inside]
        return arrived.reshape(height, width, 2)


def _edges_taken(step: F32, depth_m: F32) -> tuple[F32, F32]:
    """Steps and depth, each pixel with those of the nearest of it and its neighbours: the pixels along an edge are mixed, and go with what
    is in front."""
    height, width = depth_m.shape
    padded, steps = np.pad(depth_m, 1, constant_values=np.inf), np.pad(step, ((1, 1), (1, 1), (0, 0)))
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1)):
        other = padded[dy : dy + height, dx : dx + width]
        nearer = other < depth_m * np.float32(0.98)
        step = np.where(nearer[..., None], steps[dy : dy + height, dx : dx + width], step)
        depth_m = np.where(nearer, other, depth_m)
    return step, depth_m


@dataclass(frozen=True)
class RollingShutter(Step):
    """Rows are read one after another, so each sees the camera at another moment (Meingast et al. 2005): the row at height y of H at

        t = readout_s (y / H - 1/2),

    with the camera turned by rotation_rad_s t and moved by translation_m_s t since the middle row. readout_s is 10 to 30 ms for a phone.
    For translation, everything is at distance_m; None: the median of the depth map. fill: enlarged until no edge shows, as stabilised
    cameras crop. Picture, maps, silhouettes and points move; the camera becomes None, since no K describes such a picture, and 3D labels
    stay in the frame of the camera at the middle row. fov_rad: angle of view across the width to assume where there is no camera.
    """

    readout_s: Random[float] = 0.02
    rotation_rad_s: Sequence[Random[float]] = (0.0, 0.0, 0.0)
    translation_m_s: Sequence[Random[float]] = (0.0, 0.0, 0.0)
    distance_m: Random[float] | None = None
    fill: bool = True
    fov_rad: float | None = None

    def __post_init__(self) -> None:
        check(self, readout_s=(0, 1), distance_m=(1e-3, 1e6), fov_rad=(0.01, 3.1))
        for name in ("rotation_rad_s", "translation_m_s"):
            check_vector(self, name, *ANY)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        draft = shot.draft
        width, height = draft.size
        camera = camera_of(draft, self.fov_rad, "RollingShutter")
        readout = float(draw(self.readout_s, rng, "readout_s"))
        w = np.asarray(draw(self.rotation_rad_s, rng, "rotation_rad_s"), dtype=np.float64)
        v = np.asarray(draw(self.translation_m_s, rng, "translation_m_s"), dtype=np.float64)
        if not readout or not (w.any() or v.any()):
            return shot
        distance = self._distance(draft, rng) if v.any() else 1.0
        zoom, middle = 1.0, np.array([width, height]) / 2

        def seconds(y: F64) -> F64:
            return readout * (y / height - 0.5)

        def backward(xy: F64) -> F64:
            read = middle + (xy - middle) / zoom
            t = seconds(read[:, 1])
            turned = _turned(rays(camera, read), w, t)
            scale = (distance - v[2] * t) / np.maximum(turned[:, 2], 1e-6)
            return project(camera, _in_front(scale[:, None] * turned + v * t[:, None]))

        def forward(xy: F64) -> F64:
            there = distance * rays(camera, xy)
            read = xy
            for _ in range(50):  # the row that sees a point depends on where it is seen
                t = seconds(read[:, 1])
                found = project(camera, _in_front(_turned(there - v * t[:, None], -w, t)))
                done = not len(xy) or float(np.abs(found - read).max()) < 1e-10
                read = found
                if done:
                    break
            return middle + (read - middle) * zoom

        if self.fill:
            zoom = zoom_that_fills(backward, width, height)
        field = smooth_field(draft, backward, forward)
        if height > 1 and not float(np.diff(field.centres(0, 0, field.width, field.height)[..., 1], axis=0).min()) > 0:
            raise ConfigError("RollingShutter: the picture moves faster than the rows are read, so it shows things twice; move it slower")
        return shot.linear().moved(field, FILL)

    def _distance(self, draft: Draft, rng: Stream) -> float:
        if self.distance_m is not None:
            return float(draw(self.distance_m, rng, "distance_m"))
        known = draft.depth_m[np.isfinite(draft.depth_m)] if draft.depth_m is not None else np.zeros(0)
        if not known.size:
            raise ConfigError("RollingShutter: translation_m_s needs depth, and this picture has none; give distance_m")
        return float(np.median(known))


def _turned(xyz: F64, axis_rad_s: F64, seconds: F64) -> F64:
    """Points (n, 3) turned by axis_rad_s (3,) times seconds (n,) (Rodrigues)."""
    speed = float(np.linalg.norm(axis_rad_s))
    if not speed:
        return xyz
    axis, angle = axis_rad_s / speed, (speed * seconds)[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(xyz * cos + np.cross(axis, xyz) * sin + axis * (xyz @ axis)[:, None] * (1 - cos))


def _in_front(xyz: F64) -> F64:
    """Points (n, 3), none behind the camera."""
    return np.concatenate([xyz[:, :2], np.maximum(xyz[:, 2:], 1e-6)], axis=1)
