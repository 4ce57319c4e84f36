"""What is around a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from synth.assets import load_hdri, load_photo
from synth.errors import ConfigError, known_names
from synth.rand import Choice, Random, Stream, Uniform, check_range, draw
from synth.types import Environment
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
