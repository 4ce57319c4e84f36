"""Surfaces of things made here: a store of procedural textures, made once a process and shared, so that a picture costs no new one."""

from __future__ import annotations

import math
from functools import lru_cache

from synth.compose import textures
from synth.compose.materials import tinted
from synth.rand import Stream
from synth.types import U8, Material, Rgb

KINDS = ("wood", "fabric", "checked", "marble", "noise", "speckle", "cardboard", "metal")
_VARIANTS = 6
_SIZE_PX = 512


def finish(rng: Stream, kinds: tuple[str, ...] = KINDS) -> Material:
    """A material with a texture of one of KINDS, at random."""
    kind = kinds[int(rng.child("kind").integers(len(kinds)))]
    picture = _texture(kind, int(rng.child("variant").integers(_VARIANTS)))
    roughness = float(rng.child("roughness").uniform(0.35, 0.95))
    metallic = 0.8 if kind == "metal" else 0.0
    return tinted(Material(base_color_texture=picture, roughness=roughness, metallic=metallic), 0.35, rng)


@lru_cache(maxsize=len(KINDS) * _VARIANTS)
def _texture(kind: str, variant: int) -> U8:
    rng = Stream(0, variant, ("finish", kind))
    colors = tuple(_color(rng) for _ in range(3))
    match kind:
        case "wood":
            return textures.wood(_SIZE_PX, rng, plank_m=(0.0, 0.12)[variant % 2])
        case "fabric":
            return textures.fabric(_SIZE_PX, rng, tile_m=0.3, thread_m=0.0016, colors=colors[:2])
        case "checked":
            return textures.fabric(_SIZE_PX, rng, tile_m=0.3, thread_m=0.0016, colors=colors[:1], stripe_m=0.05, stripe_color=colors[1])
        case "marble":
            return textures.marble(_SIZE_PX, rng)
        case "speckle":
            return textures.speckle(_SIZE_PX, rng, tile_m=0.5)
        case "cardboard":
            return textures.cardboard(_SIZE_PX, rng)
        case "metal":
            return textures.brushed_metal(_SIZE_PX, rng)
        case _:
            return textures.noise(_SIZE_PX, rng, colors=colors, feature_m=math.exp(rng.child("feature").uniform(-3.5, -1.5)))


def _color(rng: Stream) -> Rgb:
    red, green, blue = rng.uniform(0.05, 0.95, 3).tolist()
    return red, green, blue
