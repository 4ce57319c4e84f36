"""Random lights over a scene: the `lights:` of its config. A rig is drawn for a place at the origin, or around the camera.

`Lights` is the sun or a window with lamps; `Studio` has soft boxes, `Window` one side in light, `Ring` a ring of lamps around the lens, and
`Mixed` takes one of several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from synth.blackbody import RANGE_K, blackbody
from synth.errors import ConfigError
from synth.rand import Choice, Integers, LogUniform, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import Camera, DirectionalLight, Light, PointLight, Rgb


@runtime_checkable
class LightRig(Protocol):
    """What `lights:` may be."""

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera) -> tuple[Light, ...]:
        """Lights for a place whose surroundings are brightest at azimuth brightest_rad (world), seen by a camera."""


@dataclass(frozen=True)
class Lights:
    """A key light that casts shadows, as the sun or a window, and lamps without shadow.

    The key light comes from azimuth_rad off the brightest part of the surroundings, elevation_rad above the table; irradiance: at normal
    incidence (pi lights a white surface to 1). angle_rad: how large it looks, which makes shadows soft. Lamps stand at lamp_distance_m
    from the middle of the table, lamp_elevation_rad above it; lamp_intensity: irradiance at 1 m. temperature_k: of their colour, seen
    by a camera balanced for 6500 K.
    """

    irradiance: Random[float] = Uniform(0.8, 2.4)
    azimuth_rad: Random[float] = Normal(0.0, 0.35)
    elevation_rad: Random[float] = Uniform(0.6, 1.3)
    angle_rad: Random[float] = LogUniform(0.01, 0.15)
    temperature_k: Random[float] = Uniform(4500, 7000)
    lamps: Random[int] = Integers(0, 2)
    lamp_intensity: Random[float] = Uniform(0.1, 0.6)
    lamp_distance_m: Random[float] = Uniform(0.8, 2.0)
    lamp_elevation_rad: Random[float] = Uniform(0.5, 1.4)
    lamp_temperature_k: Random[float] = Uniform(3000, 6500)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("irradiance", 0, 1e4),
            ("azimuth_rad", -math.inf, math.inf),
            ("elevation_rad", 0.05, math.pi / 2),
            ("angle_rad", 0, 1.0),
            ("temperature_k", *RANGE_K),
            ("lamp_intensity", 0, 1e4),
            ("lamp_distance_m", 0.1, 100),
            ("lamp_elevation_rad", 0.05, math.pi / 2),
            ("lamp_temperature_k", *RANGE_K),
        ):
            check_range(f"lights.{name}", getattr(self, name), low, high)
        check_range("lights.lamps", self.lamps, 0, 16, whole=True)

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera | None = None) -> tuple[Light, ...]:
        """The key light, then the lamps."""
        azimuth, elevation = brightest_rad + draw(self.azimuth_rad, rng, "azimuth_rad"), draw(self.elevation_rad, rng, "elevation_rad")
        strength, color = float(draw(self.irradiance, rng, "irradiance")), _color(draw(self.temperature_k, rng, "temperature_k"))
        lights: list[Light] = [_far(azimuth, elevation, strength, color, float(draw(self.angle_rad, rng, "angle_rad")))]
        for i in range(int(draw(self.lamps, rng, "lamps"))):
            lamp = rng.child("lamp", i)
            direction = _toward(lamp.child("azimuth").uniform(-math.pi, math.pi), draw(self.lamp_elevation_rad, lamp, "elevation_rad"))
            distance = float(draw(self.lamp_distance_m, lamp, "distance_m"))
            lights.append(
                PointLight(
                    (direction[0] * distance, direction[1] * distance, direction[2] * distance),
                    float(draw(self.lamp_intensity, lamp, "intensity")),
                    _color(draw(self.lamp_temperature_k, lamp, "temperature_k")),
                )
            )
        return tuple(lights)


@dataclass(frozen=True)
class Studio:
    """Soft boxes as a photographer sets them: a key light, a fill from the other side and a rim from behind, all relative to the camera.

    irradiance: of the key light; fill, rim: theirs as a share of it. key_rad: how far to the side of the camera the key light stands, on a
    random side. elevation_rad: of key and fill. angle_rad: how large a box looks. temperature_k: of all.
    """

    irradiance: Random[float] = Uniform(1.0, 2.2)
    fill: Random[float] = Uniform(0.25, 0.6)
    rim: Random[float] = Uniform(0.0, 0.6)
    key_rad: Random[float] = Uniform(0.4, 1.1)
    elevation_rad: Random[float] = Uniform(0.5, 1.1)
    angle_rad: Random[float] = Uniform(0.25, 0.7)
    temperature_k: Random[float] = Uniform(5000, 6500)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("irradiance", 0, 1e4),
            ("fill", 0, 10),
            ("rim", 0, 10),
            ("key_rad", 0, math.pi),
            ("elevation_rad", 0.05, math.pi / 2),
            ("angle_rad", 0, 1.0),
            ("temperature_k", *RANGE_K),
        ):
            check_range(f"lights.{name}", getattr(self, name), low, high)

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera) -> tuple[Light, ...]:
        """Key, fill, rim."""
        behind = -camera.world_from_camera[:3, 2]
        azimuth = math.atan2(behind[1], behind[0])
        aside = float(draw(self.key_rad, rng, "key_rad")) * (1 if rng.child("side").uniform() < 0.5 else -1)
        elevation, angle = float(draw(self.elevation_rad, rng, "elevation_rad")), float(draw(self.angle_rad, rng, "angle_rad"))
        strength, color = float(draw(self.irradiance, rng, "irradiance")), _color(draw(self.temperature_k, rng, "temperature_k"))
        return (
            _far(azimuth + aside, elevation, strength, color, angle),
            _far(azimuth - aside, elevation, strength * float(draw(self.fill, rng, "fill")), color, angle),
            _far(azimuth + math.pi - 0.3 * aside, elevation, strength * float(draw(self.rim, rng, "rim")), color, angle),
        )


@dataclass(frozen=True)
class Window:
    """A room with one window: light from one side only, low and soft. azimuth_rad: from the brightest part of the surroundings."""

    irradiance: Random[float] = Uniform(1.0, 3.0)
    azimuth_rad: Random[float] = Uniform(-0.6, 0.6)
    elevation_rad: Random[float] = Uniform(0.15, 0.6)
    angle_rad: Random[float] = Uniform(0.2, 0.6)
    temperature_k: Random[float] = Uniform(5500, 8000)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("irradiance", 0, 1e4),
            ("azimuth_rad", -math.inf, math.inf),
            ("elevation_rad", 0.05, math.pi / 2),
            ("angle_rad", 0, 1.0),
            ("temperature_k", *RANGE_K),
        ):
            check_range(f"lights.{name}", getattr(self, name), low, high)

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera | None = None) -> tuple[Light, ...]:
        """The window."""
        azimuth = brightest_rad + float(draw(self.azimuth_rad, rng, "azimuth_rad"))
        elevation, angle = float(draw(self.elevation_rad, rng, "elevation_rad")), float(draw(self.angle_rad, rng, "angle_rad"))
        color = _color(draw(self.temperature_k, rng, "temperature_k"))
        return (_far(azimuth, elevation, float(draw(self.irradiance, rng, "irradiance")), color, angle),)


@dataclass(frozen=True)
class Ring:
    """Lamps in a ring around the lens, as on an inspection camera, or a phone's flash where radius_m is small. lamps: how many; intensity:
    irradiance of all together at 1 m. No shadow."""

    intensity: Random[float] = LogUniform(0.3, 2.0)
    radius_m: Random[float] = Uniform(0.02, 0.12)
    lamps: Random[int] = 8
    temperature_k: Random[float] = Uniform(4500, 7000)

    def __post_init__(self) -> None:
        for name, low, high in (("intensity", 0, 1e4), ("radius_m", 0, 10), ("temperature_k", *RANGE_K)):
            check_range(f"lights.{name}", getattr(self, name), low, high)
        check_range("lights.lamps", self.lamps, 1, 16, whole=True)

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera) -> tuple[Light, ...]:
        """The lamps of the ring."""
        radius, color = float(draw(self.radius_m, rng, "radius_m")), _color(draw(self.temperature_k, rng, "temperature_k"))
        lamps = int(draw(self.lamps, rng, "lamps"))
        each = float(draw(self.intensity, rng, "intensity")) / lamps
        around = (np.arange(lamps) + float(rng.child("turn").uniform())) * (2 * math.pi / lamps)
        at = np.stack([np.cos(around), np.sin(around)], 1) * radius @ camera.world_from_camera[:3, :2].T + camera.world_from_camera[:3, 3]
        return tuple(PointLight((x, y, z), each, color) for x, y, z in at.tolist())


@dataclass(frozen=True)
class Mixed:
    """One of several rigs, with weights (all alike without)."""

    rigs: Sequence[LightRig] = (Lights(), Studio(), Window())
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rigs", tuple(self.rigs))
        object.__setattr__(self, "weights", None if self.weights is None else tuple(self.weights))
        for i, rig in enumerate(self.rigs):
            if not isinstance(rig, LightRig):
                raise ConfigError(f"lights.rigs[{i}] must be a light rig such as Lights, Studio, Window or Ring, got {rig!r}")
        Choice(range(len(self.rigs)), self.weights)

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera) -> tuple[Light, ...]:
        """The lights of one of the rigs."""
        chosen = draw(Choice(range(len(self.rigs)), self.weights), rng, "rig")
        return self.rigs[chosen].draw(rng.child("rig", chosen), brightest_rad, camera)


def _far(azimuth_rad: float, elevation_rad: float, irradiance: float, color: Rgb, angle_rad: float) -> DirectionalLight:
    x, y, z = _toward(azimuth_rad, elevation_rad)
    return DirectionalLight((-x, -y, -z), irradiance, color, angle_rad)


def _toward(azimuth_rad: float, elevation_rad: float) -> tuple[float, float, float]:
    across = math.cos(elevation_rad)
    return across * math.cos(azimuth_rad), across * math.sin(azimuth_rad), math.sin(elevation_rad)


def _color(kelvin: float) -> Rgb:
    red, green, blue = blackbody(float(kelvin)).tolist()
    return red, green, blue
