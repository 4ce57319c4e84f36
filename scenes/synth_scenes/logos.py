"""Logos printed on flat, curved and folded things in photos, among near misses: the brand-spotting use.

A near miss is a logo that was mirrored or whose colours were changed. It carries no label, so a model learns that it is none. A logo that
is its own mirror image, or has one colour and may be printed in any, gives no such near miss.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from synth.channels import alpha_of, repeated
from synth.cutouts import cutout_sources, load_cutout, read_cutout_info
from synth.errors import ConfigError, known_names
from synth.layout import Blending, Layout
from synth.rand import Choice, Integers, LogUniform, Random, Stream, Uniform, check_range, draw
from synth.surfaces import curve, fold
from synth.types import U8, Category, Collage, Cutout, Layer
from synth_scenes.backdrops import Backdrop, cutouts_in

CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")
SURFACES = ("flat", "curved", "folded")
_GREY = 24  # channels of one colour differ by no more
_MIRRORED = 0.33  # of a logo must change when it is mirrored, for that to be another one


@dataclass(frozen=True)
class Print:
    """What a logo is printed on. plate: how likely on a card of one colour; else straight on what is in the photo. margin: of the card, as
    a share of the logo's longer side. surface: `flat`, `curved` or `folded`; curve_rad: how far a curved one turns from its middle to its
    end, fold_rad: between the sides of a folded one, positive: towards the viewer in the middle; fold_at [-1, 1]: where. ink: how likely
    a logo of one colour has another one. shade [0, 1]: how much light falls off with the slope."""

    plate: Random[float] = 0.5
    margin: Random[float] = Uniform(0.05, 0.3)
    surface: Random[str] = field(default_factory=lambda: Choice(SURFACES, [2, 1, 1]))
    curve_rad: Random[float] = field(default_factory=lambda: Choice[float]([Uniform(0.3, 1.1), Uniform(-0.8, -0.3)], [3, 1]))
    fold_rad: Random[float] = field(default_factory=lambda: Choice[float]([Uniform(0.3, 1.4), Uniform(-1.2, -0.3)]))
    fold_at: Random[float] = Uniform(-0.4, 0.4)
    ink: Random[float] = 0.7
    shade: Random[float] = Uniform(0.0, 0.5)

    def __post_init__(self) -> None:
        for surface in self.surface.options if isinstance(self.surface, Choice) else [self.surface]:
            if surface not in SURFACES:
                raise ConfigError(known_names("surface", str(surface), SURFACES))
        for name, low, high in (
            ("plate", 0, 1),
            ("margin", 0, 2),
            ("curve_rad", -1.2, 1.2),
            ("fold_rad", -1.8, 1.8),
            ("fold_at", -1, 1),
            ("ink", 0, 1),
            ("shade", 0, 1),
        ):
            check_range(f"print.{name}", getattr(self, name), low, high)

    def draw(self, logo: Cutout, name: str, rng: Stream) -> Cutout:
        """The logo as it is printed, its corners as keypoints."""
        rgba, traits = logo.rgba, _traits(logo)
        dark = bool(rng.child("dark").uniform() < 0.5)
        if traits.one_colour and rng.child("inked").uniform() < draw(self.ink, rng, "ink"):
            rgba = np.dstack([np.broadcast_to(_colour(rng.child("ink_colour"), dark), rgba.shape[:2] + (3,)), rgba[..., 3]])
        if rng.child("plated").uniform() < draw(self.plate, rng, "plate"):
            inked_dark = dark if rgba is not logo.rgba else traits.luma < 128
            rgba = _on_plate(rgba, _colour(rng.child("plate_colour"), not inked_dark), float(draw(self.margin, rng, "margin")))
        height, width = rgba.shape[:2]
        corners = dict(zip(CORNERS, [(0, 0), (width, 0), (width, height), (0, height)], strict=True))
        printed = Cutout(name, rgba, corners, licence=logo.licence)
        surface, shade = draw(self.surface, rng, "surface"), float(draw(self.shade, rng, "shade"))
        axis = float(rng.child("axis").choice([0.0, math.pi / 2]) + rng.child("axis_error").normal(0, 0.15))
        if surface == "curved":
            return curve(printed, float(draw(self.curve_rad, rng, "curve_rad")) or 0.3, axis, shade)
        if surface == "folded":
            at = float(draw(self.fold_at, rng, "fold_at"))
            return fold(printed, float(draw(self.fold_rad, rng, "fold_rad")) or 0.3, at, axis, shade)
        return printed


@dataclass(frozen=True)
class Logos:
    """logos: a folder with a subfolder for each brand. brands: those that are labelled, or all where it is empty; the others are shown
    without label. objects: how many labelled logos; near_misses: how many mirrored or recoloured ones; others: how many of other brands."""

    composes: ClassVar = Collage

    width: int = 640
    height: int = 480
    logos: str = "logos"
    brands: Sequence[str] = ()
    backgrounds: str = "photos"
    objects: Random[int] = Integers(2, 5)
    near_misses: Random[int] = Integers(0, 2)
    others: Random[int] = Integers(0, 2)
    zoom: Random[float] = Backdrop.zoom
    printed: Print = field(default_factory=Print)
    layout: Layout = field(
        default_factory=lambda: Layout(scale=LogUniform(0.1, 0.45), tilt_rad=Uniform(-0.8, 0.8), truncated=0.2, hidden=0.15)
    )
    blending: Blending = field(default_factory=lambda: Blending(mode=Choice(["none", "gaussian", "motion"], [4, 2, 1]), shadow=0.0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "brands", tuple(self.brands))
        for name in ("width", "height"):
            check_range(name, getattr(self, name), 1, 16384, whole=True)
        for name in ("objects", "near_misses", "others"):
            check_range(name, getattr(self, name), 0, 500, whole=True)
        for brand in self.brands:
            if brand not in self._files:
                raise ConfigError(f"brands: {known_names('logo', brand, self._files)}")
        _ = self._files, self._backdrop

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """All logos, by brand."""
        found: dict[str, list[Path]] = {}
        for file in cutouts_in(self.logos):
            found.setdefault(read_cutout_info(file).category.name, []).append(file)
        return dict(sorted(found.items()))

    @cached_property
    def _backdrop(self) -> Backdrop:
        return Backdrop(self.backgrounds, self.zoom, 0.5)

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """Of the labelled brands, by name; keypoints are the corners of the print."""
        edges = tuple(zip(CORNERS, CORNERS[1:] + CORNERS[:1], strict=True))
        return tuple(Category(brand, CORNERS, skeleton=edges) for brand in sorted(self.brands or self._files))

    @property
    def sources(self) -> dict[Path, str]:
        """The logos and their descriptions, and the photos, each with its licence."""
        return {**cutout_sources(file for files in self._files.values() for file in files), **self._backdrop.sources}

    def compose(self, rng: Stream) -> Collage:
        """Prints in random depth order over a photo."""
        labelled = {category.name: category for category in self.categories}
        strangers = [brand for brand in self._files if brand not in labelled]
        picks: list[tuple[Cutout, str, Category | None, Stream]] = []
        for i in range(int(draw(self.objects, rng, "objects"))):
            stream = rng.child("object", i)
            brand = str(stream.child("brand").choice(list(labelled)))
            picks.append((self._logo(brand, stream), brand, labelled[brand], stream))
        for i in range(int(draw(self.near_misses, rng, "near_misses"))):
            stream = rng.child("near_miss", i)
            brand = str(stream.child("brand").choice(list(labelled)))
            change = _change(self._logo(brand, stream), stream)
            if change is not None:
                picks.append((change[1], f"{brand} {change[0]}", None, stream))
        for i in range(int(draw(self.others, rng, "others")) if strangers else 0):
            stream = rng.child("other", i)
            brand = str(stream.child("brand").choice(strangers))
            picks.append((self._logo(brand, stream), brand, None, stream))
        picks = [picks[i] for i in rng.child("order").permutation(len(picks))]
        prints = [self.printed.draw(logo, name, stream.child("print")) for logo, name, _, stream in picks]
        kinds = [category for _, _, category, _ in picks]
        places = self.layout.draw(prints, [kind is not None for kind in kinds], self.width, self.height, rng.child("layout"))
        layers = [
            Layer(print_, place, kind, self.blending.draw(self.width, self.height, rng.child("blending"), i))
            for i, (print_, place, kind) in enumerate(zip(prints, places, kinds, strict=True))
        ]
        return Collage(self._backdrop.draw(self.width, self.height, rng.child("background")), tuple(layers))

    def _logo(self, brand: str, rng: Stream) -> Cutout:
        files = self._files[brand]
        return load_cutout(files[int(rng.child("file").integers(len(files)))])


# --- colours and near misses ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Traits:
    """one_colour: all ink is alike. luma [0, 255]: how light the ink is. mirrors: it looks like another logo when mirrored."""

    one_colour: bool
    luma: float
    mirrors: bool


_known_traits: WeakKeyDictionary[Cutout, _Traits] = WeakKeyDictionary()


def _traits(logo: Cutout) -> _Traits:
    if logo not in _known_traits:
        ink = logo.rgba[logo.rgba[..., 3] >= 128][:, :3]
        _known_traits[logo] = _Traits(bool(np.ptp(ink, axis=0).max() <= _GREY), float(ink.mean()), _mirrors(logo.rgba))
    return _known_traits[logo]


def _mirrors(rgba: U8) -> bool:
    """Whether it looks like another one when mirrored, seen from afar: as 12 x 12 fields."""
    alpha = rgba[..., 3:] / 255
    fields = np.dstack([rgba[..., :3] / 255 * alpha + (1 - alpha), alpha])
    for axis in (0, 1):
        fields = np.stack([part.mean(axis=axis) for part in np.array_split(fields, 12, axis=axis)], axis=axis)
    change, ink = np.abs(fields - fields[:, ::-1]).max(axis=2), fields[..., 3]
    return bool(change.sum() > _MIRRORED * np.maximum(ink, ink[:, ::-1]).sum())


def _change(logo: Cutout, rng: Stream) -> tuple[str, Cutout] | None:
    """What was done to it, and the near miss; None if neither mirroring nor other colours make another logo of it."""
    traits = _traits(logo)
    changes = ["mirrored"] * traits.mirrors + ["recoloured"] * (not traits.one_colour)
    if not changes:
        return None
    change = str(rng.child("change").choice(changes))
    if change == "mirrored":
        rgba = np.ascontiguousarray(logo.rgba[:, ::-1])
    else:
        rgba = np.dstack([_hue_turned(logo.rgba[..., :3], float(rng.child("hue").uniform(0.25, 0.75))), logo.rgba[..., 3]])
    return change, Cutout(logo.name, rgba, licence=logo.licence)


def _hue_turned(rgb: U8, share: float) -> U8:
    """Its colours turned about the grey axis by a share of a full turn."""
    angle = 2 * math.pi * share
    one, three = (1 - math.cos(angle)) / 3, math.sin(angle) / math.sqrt(3)
    turn = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * three + one + np.eye(3) * math.cos(angle)
    return np.asarray(np.clip(np.round(rgb @ turn.T), 0, 255), dtype=np.uint8)


def _colour(rng: Stream, dark: bool) -> U8:
    hue, saturation, value = rng.uniform((0, 0, 0.0), (1, 1, 1.0))
    saturation, value = (saturation, 0.05 + 0.4 * value) if dark else (saturation * 0.35, 0.8 + 0.2 * value)
    return np.round(np.multiply(colorsys.hsv_to_rgb(hue, saturation, value), 255)).astype(np.uint8)


def _on_plate(rgba: U8, colour: U8, margin: float) -> U8:
    rows, columns = rgba.shape[:2]
    rim = round(margin * max(rows, columns))
    plate = np.empty((rows + 2 * rim, columns + 2 * rim, 4), np.uint8)
    plate[:] = (*colour, 255)
    inner = plate[rim : rim + rows, rim : rim + columns]
    ink = repeated(alpha_of(rgba) / np.float32(255), 4)
    inner[:] = np.rint(rgba * ink + inner * (1 - ink))
    inner[..., 3] = 255
    return plate
