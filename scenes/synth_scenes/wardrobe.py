"""Colours of people and cloth: skin, hair, eyes, and what they wear."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from functools import cache

import numpy as np

from synth.compose.materials import linear
from synth.compose.textures import fabric
from synth.rand import Stream
from synth.types import F64, U8, Material

# The ten tones of the Monk Skin Tone Scale (Ellis Monk with Google, skintone.google), sRGB.
_SKIN = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
_HAIR = ("0c0a09", "1d130e", "2e1d13", "472b19", "6b4423", "96703f", "c9a367", "7a3517", "8a8580", "cfcac3")  # black to blond, red, grey
_EYES = ("2c1a10", "4a2e18", "6b4a25", "55613c", "47657c", "6f8ea3")
PATTERNS = ("plain", "stripes", "pinstripes", "check", "weave")
TILE_M = 0.24
_TEXTURE_PX = 192


def _rgb(hexes: str) -> F64:
    return np.array(linear([int(hexes[i : i + 2], 16) / 255 for i in (0, 2, 4)]))


def skin(tone: float) -> F64:
    """Linear rgb (3,) at a place [1, 10] of the Monk scale, mixed between tones."""
    tones = np.array([_rgb(tone) for tone in _SKIN])
    # The scale shows flat patches of lit skin: albedo under our lights is redder and less far apart.
    mixed = np.array([np.interp(tone - 1, np.arange(len(tones)), column) for column in tones.T])
    return np.asarray(mixed * np.array([0.80, 0.69, 0.62]) + np.array([0.030, 0.014, 0.008]))


def hair_color(rng: Stream, tone: float) -> F64:
    """Linear rgb (3,). Dark skin goes with dark hair, or grey."""
    shares = np.array([3, 3, 3, 2.5, 2, 1.5, 1.2, 0.7, 1.2, 0.8]) if tone < 5 else np.array([6, 4, 1, 0.3, 0, 0, 0, 0, 1, 0.5])
    return _rgb(_HAIR[int(rng.choice(len(_HAIR), p=shares / shares.sum()))]) * rng.uniform(0.8, 1.2)


def iris_color(rng: Stream, tone: float) -> F64:
    """Linear rgb (3,)."""
    return _rgb(_EYES[int(rng.integers(len(_EYES) if tone < 4.5 else 2))])


def cloth_color(rng: Stream) -> F64:
    """sRGB (3,) of dyed cloth: greys and muted tones more often than bright ones."""
    hue, value = rng.uniform(), rng.uniform(0.10, 0.92)
    saturation = float(rng.choice((rng.uniform(0.0, 0.12), rng.uniform(0.2, 0.5), rng.uniform(0.5, 0.8)), p=(0.4, 0.38, 0.22)))
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


@cache
def _weave(thread_m: float, variant: int) -> U8:
    """Of grey cloth, shared by all colours."""
    grey = ((0.86, 0.86, 0.86), (0.80, 0.80, 0.80))
    return fabric((_TEXTURE_PX, _TEXTURE_PX), Stream(variant, 0, ("weave",)), tile_m=TILE_M, thread_m=thread_m, colors=grey)


def cloth(pattern: str, rng: Stream, color: F64 | None = None, roughness: float = 0.9) -> Material:
    """A material with a texture of TILE_M: two colours in a pattern, woven."""
    first = cloth_color(rng.child("first")) if color is None else color
    second = np.clip(first + rng.child("second").choice((-1, 1)) * rng.child("contrast").uniform(0.15, 0.5), 0.04, 0.95)
    if rng.child("other").uniform() < 0.35:
        second = cloth_color(rng.child("other_color"))
    at = (np.arange(_TEXTURE_PX) + 0.5) / _TEXTURE_PX
    bands = int(rng.child("bands").choice((2, 3, 4, 6)))
    share = float(rng.child("share").uniform(0.25, 0.5))
    level = ((at * bands) % 1 < share).astype(np.float64)
    fine = ((at * 12) % 1 < 0.14).astype(np.float64)
    mix = {
        "plain": np.zeros((_TEXTURE_PX, _TEXTURE_PX)),
        "weave": np.zeros((_TEXTURE_PX, _TEXTURE_PX)),
        "stripes": np.repeat(level[:, None], _TEXTURE_PX, 1),
        "pinstripes": np.repeat(fine[None], _TEXTURE_PX, 0),
        "check": (level[:, None] + level[None]) / 2,
    }[pattern][..., None]
    grey = _weave(0.004 if pattern == "weave" else 0.0026, int(rng.child("variant").integers(4)))[..., :1] / 255 * 1.15
    texture = (first * (1 - mix) + second * mix) * grey
    return Material((1, 1, 1, 1), (np.clip(texture, 0, 1) * 255).astype(np.uint8), roughness=roughness)


def outfit(rng: Stream, patterns: Mapping[str, str], jeans: bool) -> dict[str, Material]:
    """Materials of a figure's parts. patterns: of `top` and `bottom`."""
    denim = np.array([0.16, 0.22, 0.36]) * rng.child("denim").uniform(0.45, 1.7)
    shoe = cloth_color(rng.child("shoes"))
    sole = np.array([0.78, 0.77, 0.74]) if rng.child("sole").uniform() < 0.6 else shoe * 0.5
    return {
        "top": cloth(patterns["top"], rng.child("top")),
        "bottom": cloth("weave" if jeans else patterns["bottom"], rng.child("bottom"), denim if jeans else None),
        "shoes": Material((*linear(shoe.tolist()), 1.0), roughness=float(rng.child("leather").uniform(0.35, 0.8))),
        "soles": Material((*linear(sole.tolist()), 1.0), roughness=0.8),
        "skin": Material(roughness=0.55),
        "eyes": Material(roughness=0.15),
        "hair": Material(roughness=0.6),
    }


def strands(rng: Stream, color: F64) -> Material:
    """Of hair: fine lines of lighter and darker tones from top to bottom."""
    tones = rng.child("tones").normal(0, 1, (1, 64)) + 0.6 * rng.child("fine").normal(0, 1, (64, 64))
    srgb = np.where(color < 0.0031308, 12.92 * color, 1.055 * np.maximum(color, 1e-9) ** (1 / 2.4) - 0.055)
    texture = srgb * (1 + 0.11 * tones[..., None])
    return Material((1, 1, 1, 1), (np.clip(texture, 0, 1) * 255).astype(np.uint8), roughness=0.5)
