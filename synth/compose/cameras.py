"""A random camera around a target: the `camera:` of a scene's config."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.errors import ConfigError
from synth.geometry import look_at
from synth.rand import Normal, Random, Stream, Uniform, check_range, draw
from synth.types import F64, Camera, Xyz


@dataclass(frozen=True)
class CameraRig:
    """Where the camera stands and what its lens is. Every field but width, height and image_from_camera may be random.

    The camera looks at a target from distance_m away, azimuth_rad around it (0: from +x, counter-clockwise from above) and elevation_rad
    above its horizon; roll_rad turns it about its axis, clockwise; aim_error_m moves the point it looks at, each axis on its own.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "distortion", tuple(self.distortion))
        for name, low, high in (
            ("fov_rad", 0.01, 3.1),
            ("distance_m", 0.01, 1000.0),
            ("azimuth_rad", -math.inf, math.inf),
            ("elevation_rad", -math.pi / 2, math.pi / 2),
            ("roll_rad", -math.inf, math.inf),
            ("aim_error_m", -math.inf, math.inf),
        ):
            check_range(f"camera.{name}", getattr(self, name), low, high)
        if len(self.distortion) != 5:
            raise ConfigError(f"camera.distortion must be the five numbers k1 k2 p1 p2 k3, got {list(self.distortion)}")
        for name, value in zip(("k1", "k2", "p1", "p2", "k3"), self.distortion, strict=True):
            check_range(f"camera.distortion {name}", value)
        for name in ("width", "height"):
            check_range(f"camera.{name}", getattr(self, name), 1, 16384, whole=True)
        self._camera(np.eye(4), 0.8, (0.0,) * 5)  # a wrong K is found now, not in a worker

    def draw(self, rng: Stream, target_world_m: Xyz | F64) -> Camera:
        """A camera that looks at about target_world_m (3,)."""
        azimuth, elevation = draw(self.azimuth_rad, rng, "azimuth_rad"), draw(self.elevation_rad, rng, "elevation_rad")
        outward = np.array([math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)])
        aim = np.asarray(target_world_m) + [draw(self.aim_error_m, rng, f"aim_error_{axis}_m") for axis in "xyz"]
        world_from_camera = look_at((aim + outward * draw(self.distance_m, rng, "distance_m")).tolist(), aim.tolist())
        c, s = math.cos(roll := draw(self.roll_rad, rng, "roll_rad")), math.sin(roll)
        world_from_camera[:3, :3] = world_from_camera[:3, :3] @ [[c, -s, 0], [s, c, 0], [0, 0, 1]]
        lens = draw(self.distortion, rng, "distortion")
        return self._camera(world_from_camera, draw(self.fov_rad, rng, "fov_rad"), lens)

    def _camera(self, world_from_camera: F64, fov_rad: float, distortion: Any) -> Camera:
        if self.image_from_camera is not None:
            return Camera(np.asarray(self.image_from_camera, np.float64), self.width, self.height, world_from_camera, distortion)
        return Camera.from_fov(self.width, self.height, fov_rad, world_from_camera, distortion)
