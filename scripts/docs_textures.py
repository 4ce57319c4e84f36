"""Draw docs/images/textures.jpg again: .venv/bin/python scripts/docs_textures.py"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from synth.compose import textures
from synth.rand import Stream, rng_for
from synth.types import U8

PX = 260
SHOWN: dict[str, Callable[[int, Stream], U8]] = {
    "noise": textures.noise,
    "wood": textures.wood,
    "wood, plank_m 0.14": lambda size, rng: textures.wood(size, rng, tile_m=1.0, plank_m=0.14),
    "fabric": lambda size, rng: textures.fabric(size, rng, tile_m=0.05),
    "fabric, stripe_m 0.03": lambda size, rng: textures.fabric(size, rng, tile_m=0.12, stripe_m=0.03),
    "marble": textures.marble,
    "speckle": textures.speckle,
    "gravel": textures.gravel,
    "soil, moisture 0.3": textures.soil,
    "soil, moisture 0.8": lambda size, rng: textures.soil(size, rng, moisture=0.8),
    "brushed_metal": textures.brushed_metal,
    "cardboard": textures.cardboard,
    "label": textures.label,
    "label ": textures.label,
    "label  ": textures.label,
}


def panel(name: str) -> U8:
    picture = cv2.resize(SHOWN[name](2 * PX, rng_for(0, 4, name)), (PX, PX), interpolation=cv2.INTER_AREA)
    framed = cv2.copyMakeBorder(picture, 24, 4, 2, 2, cv2.BORDER_CONSTANT, value=(24, 24, 24))
    cv2.putText(framed, name, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.46, (240, 240, 240), 1, cv2.LINE_AA)
    return np.asarray(framed)


if __name__ == "__main__":
    panels = [panel(name) for name in SHOWN]
    sheet = np.vstack([np.hstack(panels[i : i + 5]) for i in range(0, len(panels), 5)])
    Image.fromarray(sheet).save(Path("docs/images/textures.jpg"), quality=84)
