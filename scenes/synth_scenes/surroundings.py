"""What is around a scene, and what lights it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from synth.assets import load_hdri, load_photo
from synth.errors import ConfigError, known_names
from synth.rand import Choice, Integers, LogUniform, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import DirectionalLight, Environment, Light, PointLight, Rgb
from synth_scenes.library import find

KINDS = ("hdri", "photo", "color")


@dataclass(frozen=True)
class Surroundings:
    """An HDRI seen behind everything, or a photo behind everything with an HDRI for the light, or an even colour.

    brightness: radiance of a white matt surface that faces up and is lit by the surroundings alone (1 is white at exposure 1), whatever
    the file's own scale.
    """

    kind: Random[str] = field(default_factory=lambda: Choice(KINDS, [7, 2, 1]))
    hdris: Sequence[str] = ("city", "courtyard", "forest", "interior", "lobby", "studio", "sunrise", "sunset")
    photos: Sequence[str] = ("brick", "gravel", "rocket", "white_bricks")
    brightness: Random[float] = Uniform(0.3, 0.6)
    yaw_rad: Random[float] = Uniform(-math.pi, math.pi)
    color: Sequence[Random[float]] = (Uniform(0.3, 0.45), Uniform(0.3, 0.45), Uniform(0.3, 0.45))

    def __post_init__(self) -> None:
        kinds = self.kind.options if isinstance(self.kind, Choice) else [self.kind]
        for kind in kinds:
            if kind not in KINDS:
                raise ConfigError(known_names("kind of surroundings", str(kind), KINDS))
        for name, what in (("hdris", "HDRI"), ("photos", "photo")):
            files = tuple(getattr(self, name))
            object.__setattr__(self, name, files)
            if not files:
                raise ConfigError(f"surroundings.{name} must name at least one")
            for file in files:
                find(what, file)
        object.__setattr__(self, "color", tuple(self.color))
        check_range("surroundings.brightness", self.brightness, 0, 1e3)
        check_range("surroundings.yaw_rad", self.yaw_rad)
        if len(self.color) != 3:
            raise ConfigError(f"surroundings.color must be linear red, green, blue, got {list(self.color)}")
        for value in self.color:
            check_range("surroundings.color", value, 0, 1e3)

    def draw(self, rng: Stream) -> tuple[Environment, float]:
        """The environment, and the azimuth (rad, world) of its brightest part."""
        kind, brightness = draw(self.kind, rng, "kind"), float(draw(self.brightness, rng, "brightness"))
        yaw = float(draw(self.yaw_rad, rng, "yaw_rad"))
        if kind == "color":
            red, green, blue = (float(draw(c, rng, name)) for c, name in zip(self.color, ("red", "green", "blue"), strict=True))
            scale = brightness / max(1e-6, 0.2126 * red + 0.7152 * green + 0.0722 * blue)
            return Environment(color=(red * scale, green * scale, blue * scale)), yaw
        path = find("HDRI", draw(Choice(self.hdris), rng, "hdri"))
        radiance_up, azimuth = _light_of(path)
        photo = load_photo(find("photo", draw(Choice(self.photos), rng, "photo"))) if kind == "photo" else None
        return Environment(load_hdri(path), photo, intensity=brightness / max(1e-6, radiance_up), yaw_rad=yaw), azimuth + yaw


@lru_cache(maxsize=256)
def _light_of(path: Path) -> tuple[float, float]:
    """Of an HDRI: radiance of a white surface facing up, and azimuth of its light's centre of weight."""
    luminance = load_hdri(path) @ np.array([0.2126, 0.7152, 0.0722])
    rows, columns = luminance.shape
    zenith, azimuth = (np.arange(rows) + 0.5) / rows * math.pi, math.pi - (np.arange(columns) + 0.5) / columns * 2 * math.pi
    solid_angle = np.sin(zenith)[:, None] * (math.pi / rows) * (2 * math.pi / columns)
    up = (luminance * solid_angle * np.maximum(0, np.cos(zenith))[:, None]).sum() / math.pi
    weight = (luminance**2 * solid_angle * (zenith < math.pi / 2)[:, None] * np.sin(zenith)[:, None]).sum(0)
    return float(up), math.atan2(float(weight @ np.sin(azimuth)), float(weight @ np.cos(azimuth)))


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
            ("temperature_k", 1700, 25000),
            ("lamp_intensity", 0, 1e4),
            ("lamp_distance_m", 0.1, 100),
            ("lamp_elevation_rad", 0.05, math.pi / 2),
            ("lamp_temperature_k", 1700, 25000),
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
                blackbody(float(draw(self.temperature_k, rng, "temperature_k"))),
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
                    blackbody(float(draw(self.lamp_temperature_k, lamp, "temperature_k"))),
                )
            )
        return tuple(lights)


def _toward(azimuth_rad: float, elevation_rad: float) -> tuple[float, float, float]:
    across = math.cos(elevation_rad)
    return across * math.cos(azimuth_rad), across * math.sin(azimuth_rad), math.sin(elevation_rad)


def blackbody(kelvin: float) -> Rgb:
    """Linear sRGB of a blackbody with luminance 1, about white at 6500 K (locus: Kim et al. 2002, US patent 7024034)."""
    t = kelvin / 1000
    if t < 4:
        x = -0.2661239 / t**3 - 0.2343589 / t**2 + 0.8776956 / t + 0.179910
    else:
        x = -3.0258469 / t**3 + 2.1070379 / t**2 + 0.2226347 / t + 0.240390
    a, b, c, d = (
        (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
        if t < 2.222
        else (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        if t < 4
        else (3.0817580, -5.87338670, 3.75112997, -0.37001483)
    )
    y = ((a * x + b) * x + c) * x + d
    xyz = np.array([x / y, 1, (1 - x - y) / y])
    rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ xyz
    red, green, blue = (float(v) for v in np.maximum(rgb, 0))
    return red, green, blue
