"""Drawing for prints: rectangles, letters, rays, bar codes on a Pillow picture that is twice as fine as what comes out of it."""

from __future__ import annotations

import colorsys
import math
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from synth.rand import Stream
from synth.types import U8

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

Color: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[float, float, float, float]
_FINE = 2


def bar_code(picture: Image, box: Box, rng: Stream) -> None:
    """Black bars of random width on white."""
    x0, y0, x1, y1 = box
    rectangle(picture, box, (250, 250, 250))
    unit = (x1 - x0) / 60
    at = x0 + 3 * unit
    while at < x1 - 4 * unit:
        wide, gap = (float(v) for v in rng.integers(1, 4, 2))
        rectangle(picture, (at, y0 + unit, at + wide * unit, y1 - unit), (15, 15, 15))
        at += (wide + gap) * unit


def ink_on(ground: Color) -> Color:
    """Ink that reads on a ground."""
    light = 0.3 * ground[0] + 0.59 * ground[1] + 0.11 * ground[2]
    return (25, 25, 30) if light > 140 else (252, 250, 244)


def mixed(a: Color, b: Color, share: float) -> Color:
    """Between two colours: `share` of the second."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def from_hsv(hue: float, saturation: float, value: float) -> Color:
    """A colour by hue (1 is once around), saturation and value [0, 1]."""
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return red, green, blue


def blank(width: int, height: int, color: Color) -> tuple[Image, int, int]:
    """An empty picture of width x height, drawn twice as fine, and its size."""
    from PIL import Image

    size = width * _FINE, height * _FINE
    return Image.new("RGB", size, color), *size


def done(picture: Image) -> U8:
    """What was drawn, at the size that was asked for."""
    return np.asarray(picture.reduce(_FINE), dtype=np.uint8)


def rectangle(picture: Image, box: Box, color: Color, radius: float = 0.0) -> None:
    """A filled box, its corners round where radius is not 0."""
    from PIL import ImageDraw

    x0, y0, x1, y1 = box
    ImageDraw.Draw(picture).rounded_rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), radius, fill=color)


def frame(picture: Image, color: Color, thick: int) -> None:
    """A line along the rim, `thick` px of what comes out."""
    from PIL import ImageDraw

    ImageDraw.Draw(picture).rectangle((0, 0, picture.width - 1, picture.height - 1), outline=color, width=thick * _FINE)


@lru_cache(maxsize=128)
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)  # type: ignore[return-value]  # with a size it is the TrueType face that Pillow brings


def write(
    picture: Image, text: str, box: Box, color: Color, *, outline: Color | None = None, bold: float = 0.03, left: bool = False
) -> None:
    """Text as large as fits into a box, in its middle."""
    from PIL import ImageDraw

    x0, y0, x1, y1 = box
    draw = ImageDraw.Draw(picture)
    size = max(6, int(y1 - y0))
    across = float(_font(size).getlength(text)) * 1.06
    size = max(6, int(min(size, size * (x1 - x0) / max(across, 1))))
    stroke = max(0, round(size * bold))
    at = (x0, (y0 + y1) / 2) if left else ((x0 + x1) / 2, (y0 + y1) / 2)
    anchor = "lm" if left else "mm"
    if outline is not None:
        draw.text(at, text, fill=outline, font=_font(size), anchor=anchor, stroke_width=stroke + max(1, size // 14), stroke_fill=outline)
    draw.text(at, text, fill=color, font=_font(size), anchor=anchor, stroke_width=stroke, stroke_fill=color)


def small_print(picture: Image, box: Box, count: int, color: Color, rng: Stream) -> None:
    """Small print."""
    x0, y0, x1, y1 = box
    step = (y1 - y0) / count
    for i in range(count):
        end = x0 + (x1 - x0) * rng.uniform(0.6, 1.0)
        at = x0
        while at < end:
            word = min(end - at, (x1 - x0) * rng.uniform(0.06, 0.2))
            rectangle(picture, (at, y0 + i * step, at + word, y0 + (i + 0.55) * step), color)
            at += word + step * 0.4


def rays(picture: Image, middle: tuple[float, float], color: Color) -> None:
    """Twelve rays from a point to beyond the rim."""
    from PIL import ImageDraw

    draw, far = ImageDraw.Draw(picture), float(sum(picture.size))
    for i in range(0, 24, 2):
        a, b = i * math.pi / 12, (i + 1) * math.pi / 12
        corners = [middle, *((middle[0] + far * math.cos(t), middle[1] + far * math.sin(t)) for t in (a, b))]
        draw.polygon(corners, fill=color)


def burst(picture: Image, middle: tuple[float, float], radius: float, text: str) -> None:
    """A red star with a word on it."""
    from PIL import ImageDraw

    points = []
    for i in range(32):
        r = radius * (1.0 if i % 2 else 0.82)
        points.append((middle[0] + r * math.cos(i * math.pi / 16), middle[1] + r * math.sin(i * math.pi / 16)))
    ImageDraw.Draw(picture).polygon(points, fill=(235, 40, 40))
    reach = 0.68 * radius
    x, y = middle
    write(picture, text, (x - reach, y - reach / 2, x + reach, y + reach / 2), (255, 255, 255), bold=0.05)
