"""Random lights over a scene: the `lights:` of its config."""

from __future__ import annotations

import math
from dataclasses import dataclass

from synth.blackbody import RANGE_K, blackbody
from synth.rand import Integers, LogUniform, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import DirectionalLight, Light, PointLight, Rgb


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

    def draw(self, rng: Stream, brightest_rad: float) -> tuple[Light, ...]:
        """The key light, then the lamps."""
        azimuth, elevation = brightest_rad + draw(self.azimuth_rad, rng, "azimuth_rad"), draw(self.elevation_rad, rng, "elevation_rad")
        x, y, z = _toward(azimuth, elevation)
        lights: list[Light] = [
            DirectionalLight(
                (-x, -y, -z),
                float(draw(self.irradiance, rng, "irradiance")),
                _color(draw(self.temperature_k, rng, "temperature_k")),
                float(draw(self.angle_rad, rng, "angle_rad")),
            )
        ]
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


def _toward(azimuth_rad: float, elevation_rad: float) -> tuple[float, float, float]:
    across = math.cos(elevation_rad)
    return across * math.cos(azimuth_rad), across * math.sin(azimuth_rad), math.sin(elevation_rad)


def _color(kelvin: float) -> Rgb:
    red, green, blue = blackbody(float(kelvin)).tolist()
    return red, green, blue
