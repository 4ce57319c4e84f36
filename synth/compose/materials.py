"""Random materials: paint and textures for things made here, and changes to the materials that a mesh came with."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from synth.cutouts import photo_files
from synth.errors import ConfigError
from synth.images import load_photo
from synth.rand import Random, Stream, Uniform, check_range, draw
from synth.types import Material, Rgb


def linear(rgb: Sequence[float]) -> Rgb:
    """sRGB values [0, 1] as linear ones (IEC 61966-2-1)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in map(float, rgb))
    return red, green, blue


@dataclass(frozen=True)
class Paint:
    """A material of an even colour, or with a picture on it.

    hue: 0 and 1 are red, 1/3 green; saturation, value: of the colour as one sees it (HSV of sRGB). roughness, metallic: glTF's.
    textures: pictures, or one folder of them; textured: how likely a random one of them is shown, tint: whose red, green and blue are
    then each darkened by up to this share.
    """

    hue: Random[float] = Uniform(0.0, 1.0)
    saturation: Random[float] = Uniform(0.1, 0.8)
    value: Random[float] = Uniform(0.15, 0.85)
    roughness: Random[float] = Uniform(0.25, 0.9)
    metallic: Random[float] = 0.0
    textures: Sequence[str | Path] | str = ()
    textured: Random[float] = 1.0
    tint: Random[float] = Uniform(0.0, 0.3)

    def __post_init__(self) -> None:
        if not isinstance(self.textures, str):
            object.__setattr__(self, "textures", tuple(self.textures))
        check_range("paint.hue", self.hue)
        for name in ("saturation", "value", "roughness", "metallic", "textured", "tint"):
            check_range(f"paint.{name}", getattr(self, name), 0, 1)
        _ = self.files

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Of all textures. Raises ConfigError naming the one that is not there."""
        if isinstance(self.textures, str):
            return photo_files(self.textures)
        files = tuple(Path(path).expanduser().resolve() for path in self.textures)
        for file in files:
            if not file.is_file():
                raise ConfigError(f"paint.textures: there is no file {file}")
        return files

    def draw(self, rng: Stream) -> Material:
        """One material."""
        roughness, metallic = float(draw(self.roughness, rng, "roughness")), float(draw(self.metallic, rng, "metallic"))
        if self.files and rng.child("is_textured").uniform() < draw(self.textured, rng, "textured"):
            texture = load_photo(self.files[int(rng.child("texture").integers(len(self.files)))])
            return tinted(Material(base_color_texture=texture, roughness=roughness, metallic=metallic), draw(self.tint, rng, "tint"), rng)
        hue, saturation, value = (float(draw(getattr(self, name), rng, name)) for name in ("hue", "saturation", "value"))
        red, green, blue = linear(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
        return Material((red, green, blue, 1.0), roughness=roughness, metallic=metallic)


@dataclass(frozen=True)
class Variation:
    """How a thing may differ from its own materials. tint: red, green and blue are each darkened by up to this share; brightness: factor
    on the colour; roughness_change is added to the roughness. All meshes of a thing change alike."""

    tint: Random[float] = Uniform(0.0, 0.1)
    brightness: Random[float] = 1.0
    roughness_change: Random[float] = Uniform(-0.15, 0.15)

    def __post_init__(self) -> None:
        check_range("tint", self.tint, 0, 1)
        check_range("brightness", self.brightness, 0, 10)
        check_range("roughness_change", self.roughness_change, -1, 1)

    def draw(self, materials: Sequence[Material], rng: Stream) -> tuple[Material, ...]:
        """The materials, changed."""
        change, tint = float(draw(self.roughness_change, rng, "roughness_change")), float(draw(self.tint, rng, "tint"))
        brightness = float(draw(self.brightness, rng, "brightness"))
        return tuple(
            replace(
                tinted(material, tint, rng, brightness),
                roughness=min(1.0, max(0.05, material.roughness + change)),
            )
            for material in materials
        )


def tinted(material: Material, tint: float, rng: Stream, brightness: float = 1.0) -> Material:
    """The material with red, green and blue each darkened by a random share up to `tint`, and all times brightness."""
    shares = rng.child("tint_rgb").uniform(size=3)
    red, green, blue = (
        min(1.0, float(c) * brightness * float(1 - tint * share)) for c, share in zip(material.base_color[:3], shares, strict=True)
    )
    return replace(material, base_color=(red, green, blue, material.base_color[3]))
