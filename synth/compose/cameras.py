"""A random camera around a target, the `camera:` of a scene's config; and what a camera sees of bodies.

A camera that must see something is found by trying: `CameraRig.draw_seeing` draws until enough of the targets is in the frame, from
outside all bodies. `share_in_frame` and `visible_fraction` say how much that is, without a renderer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synth.errors import ConfigError, SceneError
from synth.geometry import look_at, project, rays, transform
from synth.rand import Normal, Random, Stream, Uniform, check_range, draw
from synth.raster import fragments, shown
from synth.types import F64, Body, Camera, Xyz

_TRIES = 100
_COARSE_PX = 160  # width of the picture in which `visible_fraction` counts


@dataclass(frozen=True)
class CameraRig:
    """Where the camera stands and what its lens is. Every field but width, height and image_from_camera may be random.

    The camera looks at a target from azimuth_rad around it (0: from +x, counter-clockwise from above) and elevation_rad above its horizon;
    roll_rad turns it about its axis, clockwise; aim_error_m moves the point it looks at, each axis on its own.
    How far away: distance_m; or as far as makes the target so large in the picture: size_px, the longer side of its box, or size_share,
    the share of the frame that the box takes of the width or of the height, whichever is more.
    offset: where the target's middle lies in the picture, drawn for x and y: 0 is the middle of the frame, -1 and 1 its edges; the camera
    is moved sideways for it, not turned. None: where the camera's axis meets the picture.
    fov_rad: across the width. image_from_camera: K (3, 3) of a calibrated camera instead, in px of this width and height with pixel
    centres at x.5 (OpenCV's cx and cy plus 0.5). distortion: OpenCV's k1 k2 p1 p2 k3.
    """

    width: int = 640
    height: int = 480
    fov_rad: Random[float] = Uniform(0.65, 1.0)
    image_from_camera: Sequence[Sequence[float]] | None = None
    distortion: Sequence[Random[float]] = (0.0, 0.0, 0.0, 0.0, 0.0)
    distance_m: Random[float] = Uniform(0.7, 1.2)
    azimuth_rad: Random[float] = Uniform(-math.pi, math.pi)
    elevation_rad: Random[float] = Uniform(0.3, 1.1)
    roll_rad: Random[float] = Normal(0, 0.05)
    aim_error_m: Random[float] = Normal(0, 0.03)
    size_px: Random[float] | None = None
    size_share: Random[float] | None = None
    offset: Random[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "distortion", tuple(self.distortion))
        for name, low, high in (
            ("fov_rad", 0.01, 3.1),
            ("distance_m", 0.01, 1000.0),
            ("azimuth_rad", -math.inf, math.inf),
            ("elevation_rad", -math.pi / 2, math.pi / 2),
            ("roll_rad", -math.inf, math.inf),
            ("aim_error_m", -math.inf, math.inf),
            ("size_px", 1, 1e5),
            ("size_share", 0.005, 10),
            ("offset", -10, 10),
        ):
            if getattr(self, name) is not None or name not in ("size_px", "size_share", "offset"):
                check_range(f"camera.{name}", getattr(self, name), low, high)
        if self.size_px is not None and self.size_share is not None:
            raise ConfigError("camera.size_px and camera.size_share both say how large the target is; give one and leave the other null")
        if len(self.distortion) != 5:
            raise ConfigError(f"camera.distortion must be the five numbers k1 k2 p1 p2 k3, got {list(self.distortion)}")
        for name, value in zip(("k1", "k2", "p1", "p2", "k3"), self.distortion, strict=True):
            check_range(f"camera.distortion {name}", value)
        for name in ("width", "height"):
            check_range(f"camera.{name}", getattr(self, name), 1, 16384, whole=True)
        self._camera(np.eye(4), 0.8, (0.0,) * 5)  # a wrong K is found now, not in a worker

    def draw(self, rng: Stream, target_world_m: Xyz | F64) -> Camera:
        """A camera that looks at about target_world_m: a point (3,), or the middle of points (n, 3), which size_px and size_share need.
        How it is turned depends neither on the points nor on the distance."""
        points = np.asarray(target_world_m, np.float64).reshape(-1, 3)
        azimuth, elevation = draw(self.azimuth_rad, rng, "azimuth_rad"), draw(self.elevation_rad, rng, "elevation_rad")
        outward = np.array([math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)])
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        aim = middle + [draw(self.aim_error_m, rng, f"aim_error_{axis}_m") for axis in "xyz"]
        turn = look_at(outward.tolist(), (0.0, 0.0, 0.0))
        c, s = math.cos(roll := draw(self.roll_rad, rng, "roll_rad")), math.sin(roll)
        turn[:3, :3] = turn[:3, :3] @ [[c, -s, 0], [s, c, 0], [0, 0, 1]]
        turn[:3, 3] = 0
        lens = draw(self.distortion, rng, "distortion")
        camera = self._camera(turn, draw(self.fov_rad, rng, "fov_rad"), lens)
        ray = self._ray(camera, rng)
        depth_m = self._depth_m(camera, (points - aim) @ turn[:3, :3], ray, rng)
        turn[:3, 3] = aim - turn[:3, :3] @ (ray * depth_m)
        return replace(camera, world_from_camera=turn)

    def draw_seeing(
        self,
        rng: Stream,
        targets_world_m: Sequence[F64],
        bodies: Sequence[Body] = (),
        *,
        in_view: float = 1.0,
        share: float = 1.0,
        above_m: float = -math.inf,
        accept: Callable[[Camera], bool] = lambda camera: True,
    ) -> Camera:
        """The first of 100 cameras, which look at the middle of all targets, that is good: of at least `in_view` of the targets, each
        some points (n, 3), at least `share` lies in the frame; it stands outside the balls around all bodies, higher than above_m; and
        `accept` takes it, by `visible_fraction` for instance. Raises SceneError if none is."""
        middles = np.array([(target.min(axis=0) + target.max(axis=0)) / 2 for target in targets_world_m]).reshape(-1, 3)
        sized = self.size_px is not None or self.size_share is not None
        target = np.concatenate(targets_world_m) if sized else middles.mean(axis=0) if len(middles) else np.zeros(3)
        for attempt in range(_TRIES):
            camera = self.draw(rng.child(attempt), target)
            if camera.world_from_camera[2, 3] < above_m or not is_outside(camera, bodies):
                continue
            seen = sum(share_in_frame(camera, points) >= share for points in targets_world_m)
            if seen >= in_view * len(middles) and accept(camera):
                return camera
        raise SceneError(
            f"no camera in {_TRIES} tries sees {in_view:.0%} of {len(middles)} objects from outside of all bodies; "
            "widen camera.fov_rad or camera.distance_m, or ask to see less"
        )

    def _camera(self, world_from_camera: F64, fov_rad: float, distortion: Any) -> Camera:
        if self.image_from_camera is not None:
            return Camera(np.asarray(self.image_from_camera, np.float64), self.width, self.height, world_from_camera, distortion)
        return Camera.from_fov(self.width, self.height, fov_rad, world_from_camera, distortion)

    def _ray(self, camera: Camera, rng: Stream) -> F64:
        """Where the target's middle lies, as a direction in the camera frame with z = 1."""
        if self.offset is None:
            return np.array([0.0, 0.0, 1.0])
        at = [(1 + draw(self.offset, rng, f"offset_{axis}")) / 2 for axis in "xy"]
        return rays(camera, np.array(at) * (camera.width, camera.height))

    def _depth_m(self, camera: Camera, points_m: F64, ray: F64, rng: Stream) -> float:
        """How far along z the target is. points_m (n, 3): about its middle, in the camera's axes."""
        if self.size_px is None and self.size_share is None:
            return float(draw(self.distance_m, rng, "distance_m")) / float(np.linalg.norm(ray))
        frame = (1.0, 1.0) if self.size_px is not None else (camera.width, camera.height)
        name = "size_px" if self.size_px is not None else "size_share"
        size = float(draw(getattr(self, name), rng, name))
        near = max(float(camera.near_m - points_m[:, 2].min()) * 1.0001, 1e-6)
        low, high = near, 1e4 * (near + float(np.abs(points_m).max()))
        if not np.ptp(points_m, axis=0).any():
            raise SceneError(f"camera.{name} makes a target so large, but it is one point; use camera.distance_m")
        for _ in range(60):  # the box shrinks as the target goes away
            depth_m = math.sqrt(low * high)
            if float((np.ptp(project(camera, points_m + ray * depth_m), axis=0) / frame).max()) > size:
                low = depth_m
            else:
                high = depth_m
        return high


# --- what a camera sees -----------------------------------------------------------------------------------------------


def share_in_frame(camera: Camera, points_world_m: F64) -> float:
    """Share [0, 1] of the box around points (n, 3) in the picture that lies in the frame; 0 if one is behind the camera. Of a single
    point: 1 in the frame, 0 outside."""
    points = transform(camera.camera_from_world, points_world_m)
    if (points[:, 2] <= camera.near_m).any():
        return 0.0
    xy = project(camera, points)
    low, high = xy.min(axis=0), xy.max(axis=0)
    inside = np.minimum(high, (camera.width, camera.height)) - np.maximum(low, 0)
    if (inside < 0).any() or (low >= (camera.width, camera.height)).any():
        return 0.0
    return float(np.where(high > low, inside / np.where(high > low, high - low, 1), 1).prod())


def is_outside(camera: Camera, bodies: Sequence[Body]) -> bool:
    """Whether the camera is in none of the balls around the bodies' boxes."""
    eye = camera.world_from_camera[:3, 3]
    for body in bodies:
        middle = transform(body.world_from_object, body.asset.box_object_m[0])
        if np.linalg.norm(eye - middle) < body.asset.diameter_m / 2 + camera.near_m:
            return False
    return True


def visible_fraction(camera: Camera, body: Body, others: Sequence[Body]) -> float:
    """About the visible_fraction that `body` will have among the others: pixels that it shows over pixels that it would cover alone, also
    out of the frame, counted in a picture 160 px wide."""
    scale = _COARSE_PX / camera.width
    width, height = _COARSE_PX, max(1, round(camera.height * scale))
    coarse = replace(camera, image_from_camera=np.diag([scale, scale, 1.0]) @ camera.image_from_camera, width=width, height=height)
    window = (-width, -height, 3 * width, 3 * height)
    depth_m = _depths(coarse, body, window)
    alone = int(np.isfinite(depth_m).sum())
    if not alone:
        return 0.0
    inside = np.s_[height : 2 * height, width : 2 * width]
    front = np.min([np.full((height, width), np.inf), *(_depths(coarse, other, (0, 0, width, height)) for other in others)], axis=0)
    return float((np.isfinite(depth_m[inside]) & (depth_m[inside] < front)).sum()) / alone


def _depths(camera: Camera, body: Body, window: tuple[int, int, int, int]) -> F64:
    """(height, width) along z of a window of the canvas, x0 y0 width height; inf where the body is not."""
    x0, y0, width, height = window
    depth = np.full((height, width), np.inf)
    camera_from_object = camera.camera_from_world @ body.world_from_object
    for mesh, material in body.parts:
        part = shown(camera, mesh, material, camera_from_object)
        triangle, row, column = fragments(part.corners_px, *window)
        weights, z_m = part.surface(part.face[triangle], rays(camera, np.stack([column + x0 + 0.5, row + y0 + 0.5], axis=1)))
        kept = part.kept_by_alpha(part.face[triangle], weights)
        np.minimum.at(depth, (row[kept], column[kept]), z_m[kept])
    return depth
