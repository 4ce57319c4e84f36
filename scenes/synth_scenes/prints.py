"""What is printed on packages, price tags and cards of a shop: brands that do not exist, pictures, prices, bar codes.

All pictures are sRGB u8 (h, w, 3), drawn at twice their size and averaged. Equal arguments give equal pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from synth.rand import Stream
from synth.types import U8
from synth_scenes.artwork import (
    Box,
    Color,
    bar_code,
    blank,
    burst,
    done,
    frame,
    from_hsv,
    ink_on,
    mixed,
    rays,
    rectangle,
    small_print,
    write,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_FIRST = ("Al", "Bo", "Ca", "Del", "Fi", "Gran", "Ha", "Ka", "Lu", "Mi", "Nor", "Or", "Pe", "Ru", "Sol", "Ta", "Val", "Zu")
_LAST = ("ba", "della", "dor", "fina", "go", "ka", "lino", "mo", "na", "nello", "ra", "ro", "sa", "ta", "via", "x")
_KINDS = ("Classic", "Original", "Light", "Extra", "Organic", "Family", "Gold", "Natural", "Fresh", "Mild", "Strong", "Royal")
_HUES = (0.0, 0.01, 0.05, 0.09, 0.13, 0.15, 0.25, 0.36, 0.5, 0.56, 0.6, 0.64, 0.78, 0.95)  # more warm ones and blues, as in a shop
_GOODS = {
    "box": ("Muesli", "Cookies", "Tea", "Pasta", "Crackers", "Cereal", "Cocoa", "Rice"),
    "carton": ("Milk", "Juice", "Oat drink", "Soy drink", "Cream", "Iced tea"),
    "can": ("Beans", "Corn", "Tomatoes", "Tuna", "Peaches", "Soup", "Peas", "Chickpeas"),
    "bottle": ("Shampoo", "Ketchup", "Syrup", "Cleaner", "Oil", "Lemonade", "Vinegar", "Softener"),
    "jar": ("Jam", "Honey", "Pickles", "Sauce", "Mustard", "Olives", "Pesto", "Curry"),
    "bag": ("Coffee", "Chips", "Nuts", "Sugar", "Lentils", "Sweets", "Popcorn", "Oats"),
    "tube": ("Toothpaste", "Mayo", "Hand cream", "Lotion", "Wasabi", "Balm", "Gel"),
}


@dataclass(frozen=True, slots=True)
class Brand:
    """What all prints of one product share: its names and colours (ground, second, letters, accent)."""

    name: str
    goods: str
    variety: str
    size: str
    colors: tuple[Color, Color, Color, Color]


def brand(kind: str, rng: Stream) -> Brand:
    """A brand of a kind of package."""

    def pick(name: str, options: tuple[str, ...]) -> str:
        return options[int(rng.child(name).integers(len(options)))]

    amount = pick("amount", ("250", "330", "400", "500", "750", "900"))
    unit = "ml" if kind in ("bottle", "carton", "tube") else "g"
    name = pick("first", _FIRST) + pick("last", _LAST)
    return Brand(name, pick("goods", _GOODS[kind]), pick("variety", _KINDS), f"{amount} {unit}", _scheme(rng.child("scheme")))


def front(of: Brand, width: int, height: int, rng: Stream) -> U8:
    """The face of a package: a pattern, the brand on its shield, what is in it, how much."""
    picture, w, h = blank(width, height, of.colors[0])
    _pattern(picture, of, rng.child("pattern"))
    _motif(picture, of, rng.child("motif"))
    layout = rng.child("layout")
    top = layout.uniform(0.06, 0.14) * h
    tall = layout.uniform(0.17, 0.24) * h
    _shield(picture, (0.06 * w, top, 0.94 * w, top + tall), of, int(layout.integers(4)))
    plain = int(layout.integers(4)) == 0
    text = f"{of.goods}" if plain else f"{of.variety} {of.goods}"
    low = top + tall + 0.02 * h
    write(picture, text, (0.08 * w, low, 0.92 * w, low + 0.09 * h), of.colors[2], outline=of.colors[0])
    write(picture, of.size, (0.62 * w, 0.915 * h, 0.94 * w, 0.965 * h), of.colors[2], outline=of.colors[0])
    if layout.uniform() < 0.3:
        burst(picture, (0.22 * w, 0.86 * h), 0.13 * min(w, h), ("NEW", "BIO", "+20%", "2 for 1")[int(layout.integers(4))])
    return done(picture)


def side(of: Brand, width: int, height: int, rng: Stream) -> U8:
    """The side of a package: the brand, small print, a table, a bar code."""
    picture, w, h = blank(width, height, of.colors[1])
    write(picture, of.name, (0.1 * w, 0.05 * h, 0.9 * w, 0.16 * h), ink_on(of.colors[1]))
    small_print(picture, (0.1 * w, 0.2 * h, 0.9 * w, 0.42 * h), 8, ink_on(of.colors[1]), rng.child("lines"))
    rectangle(picture, (0.1 * w, 0.46 * h, 0.9 * w, 0.72 * h), (240, 240, 236))
    small_print(picture, (0.15 * w, 0.48 * h, 0.85 * w, 0.71 * h), 7, (40, 40, 40), rng.child("table"))
    bar_code(picture, (0.12 * w, 0.78 * h, 0.88 * w, 0.93 * h), rng.child("bars"))
    return done(picture)


@lru_cache(maxsize=1024)
def price_tag(name: str, goods: str, variant: int) -> U8:
    """The tag of a product at the edge of a shelf: its name, its price, a bar code; at times yellow or red."""
    rng = Stream(0, variant, ("price_tag", name, goods))
    style = int(rng.choice(6, p=(0.45, 0.2, 0.15, 0.1, 0.05, 0.05)))
    ground: Color = ((250, 250, 247), (255, 222, 60), (250, 250, 247), (225, 40, 40), (255, 255, 255), (60, 160, 70))[style]
    picture, w, h = blank(168, 84, ground)
    ink = ink_on(ground)
    if style in (2, 4):
        rectangle(picture, (0, 0, w, 0.26 * h), (200, 30, 40) if style == 2 else (30, 60, 130))
    write(picture, f"{name} {goods}", (0.04 * w, 0.05 * h, 0.62 * w, 0.24 * h), (255, 255, 255) if style in (2, 4) else ink, left=True)
    price = rng.child("price")
    whole, cents = int(price.integers(0, 13)), int(price.choice((9, 19, 29, 49, 59, 79, 89, 95, 99)))
    write(picture, f"{whole}.{cents:02d}", (0.4 * w, 0.3 * h, 0.96 * w, 0.94 * h), ink, bold=0.035)
    small_print(picture, (0.05 * w, 0.34 * h, 0.34 * w, 0.52 * h), 3, ink, rng.child("lines"))
    bar_code(picture, (0.05 * w, 0.6 * h, 0.36 * w, 0.92 * h), rng.child("bars"))
    frame(picture, tuple(int(0.75 * c) for c in ground), 2)  # type: ignore[arg-type]
    return done(picture)


@lru_cache(maxsize=64)
def promotion(variant: int) -> U8:
    """A card that shouts: a word in a frame, a number, a pattern of rays."""
    rng = Stream(0, variant, ("promotion",))
    ground = ((225, 35, 40), (255, 214, 20), (20, 110, 200), (35, 150, 70), (240, 110, 20), (250, 250, 250))[int(rng.integers(6))]
    second = ((255, 255, 255), (255, 214, 20), (200, 20, 40), (20, 40, 90))[int(rng.integers(4))]
    picture, w, h = blank(256, 192, ground)
    if rng.child("rays").uniform() < 0.5:
        rays(picture, (0.5 * w, 0.6 * h), mixed(ground, (255, 255, 255), 0.15))
    word = ("SALE", "OFFER", "NEW", "BEST PRICE", "TODAY", "2 FOR 1")[int(rng.child("word").integers(6))]
    if max(abs(a - b) for a, b in zip(ground, second, strict=True)) > 90:
        rectangle(picture, (0.07 * w, 0.1 * h, 0.93 * w, 0.42 * h), second)
    else:
        second = ground
    write(picture, word, (0.1 * w, 0.12 * h, 0.9 * w, 0.4 * h), ink_on(second), bold=0.05)
    number = ("-20%", "-30%", "-50%", "1+1", "0.99", "1.49", "TOP")[int(rng.child("number").integers(7))]
    write(picture, number, (0.1 * w, 0.47 * h, 0.9 * w, 0.93 * h), ink_on(ground), bold=0.06)
    frame(picture, ink_on(ground), 3)
    return done(picture)


# --- parts ------------------------------------------------------------------------------------------------------------


def _scheme(rng: Stream) -> tuple[Color, Color, Color, Color]:
    hue, style = float(rng.choice(_HUES) + rng.normal(0, 0.015)), int(rng.integers(3))
    second = hue + float(rng.choice((0.05, 0.45, 0.5, 0.55)))
    if style == 0:  # light ground
        ground, other = (hue, rng.uniform(0.0, 0.2), rng.uniform(0.88, 0.98)), (second, rng.uniform(0.6, 0.95), rng.uniform(0.45, 0.85))
    elif style == 1:  # strong ground
        ground, other = (hue, rng.uniform(0.75, 1.0), rng.uniform(0.55, 0.95)), (second, rng.uniform(0.5, 0.95), rng.uniform(0.7, 1.0))
    else:  # dark ground
        ground, other = (hue, rng.uniform(0.4, 0.9), rng.uniform(0.12, 0.35)), (second, rng.uniform(0.3, 0.8), rng.uniform(0.75, 0.95))
    accent = (hue + float(rng.choice((0.15, 0.5, 0.85))), rng.uniform(0.6, 0.95), rng.uniform(0.7, 1.0))
    colors = [from_hsv(*values) for values in (ground, other, accent)]
    return colors[0], colors[1], ink_on(colors[0]), colors[2]


def _shield(picture: Image, box: Box, of: Brand, style: int) -> None:
    """The brand's name on an ellipse, a band, a plate, or on nothing."""
    from PIL import ImageDraw

    x0, y0, x1, y1 = box
    draw, ground = ImageDraw.Draw(picture), of.colors[1]
    rim = ink_on(ground)
    if style == 0:
        draw.ellipse(box, fill=ground, outline=rim, width=max(1, picture.width // 90))
    elif style == 1:
        rectangle(picture, (0, y0, picture.width, y1), ground)
    elif style == 2:
        rectangle(picture, box, ground, radius=(y1 - y0) * 0.25)
    inset = 0.14 if style == 0 else 0.06
    inner = (x0 + (x1 - x0) * inset, y0 + (y1 - y0) * 0.15, x1 - (x1 - x0) * inset, y1 - (y1 - y0) * 0.15)
    if style == 3:
        write(picture, of.name, inner, ground, outline=rim, bold=0.06)
    else:
        write(picture, of.name, inner, rim, bold=0.05)


def _pattern(picture: Image, of: Brand, rng: Stream) -> None:
    """What covers the ground: a fade, a wave, stripes, rays, a slope, or nothing."""
    from PIL import Image, ImageDraw

    w, h = picture.size
    draw, color = ImageDraw.Draw(picture), of.colors[1]
    kind = int(rng.integers(6))
    soft = mixed(of.colors[0], color, 0.35)
    if kind == 0:
        fade = np.linspace(0, 1, h)[:, None, None] ** 1.5
        colors = np.array(of.colors[0]) * (1 - fade) + np.array(mixed(of.colors[0], color, 0.8)) * fade
        picture.paste(Image.fromarray(np.broadcast_to(colors, (h, w, 3)).astype(np.uint8)))
    elif kind == 1:
        level, swing, phase = rng.uniform(0.5, 0.7), rng.uniform(0.03, 0.08), rng.uniform(0, 6)
        for shift, fill in ((0.0, soft), (0.06, color)):
            wave = [(x, h * (level + shift + swing * math.sin(phase + x / w * 5))) for x in range(0, w + 1, max(1, w // 40))]
            draw.polygon([*wave, (w, wave[-1][1]), (w, h), (0, h)], fill=fill)
    elif kind == 2:
        count = int(rng.integers(5, 12))
        for i in range(0, count, 2):
            rectangle(picture, (i * w / count, 0, (i + 1) * w / count, h), soft)
    elif kind == 3:
        rays(picture, (w / 2, h * rng.uniform(0.5, 0.7)), soft)
    elif kind == 4:
        a, b = h * rng.uniform(0.35, 0.75, 2)
        draw.polygon([(0, a), (w, b), (w, h), (0, h)], fill=color)


def _motif(picture: Image, of: Brand, rng: Stream) -> None:
    """What is in the package: fruit, leaves, drops or a bowl, shaded a little."""
    from PIL import ImageDraw

    w, h = picture.size
    draw, unit, accent = ImageDraw.Draw(picture), min(w, h), of.colors[3]
    middle = np.array([0.5 * w, 0.68 * h])
    kind = int(rng.integers(4))

    def ball(x: float, y: float, r: float, color: Color) -> None:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=mixed(color, (0, 0, 0), 0.35))
        draw.ellipse((x - r, y - r, x + 0.86 * r, y + 0.86 * r), fill=color)
        draw.ellipse((x - 0.6 * r, y - 0.65 * r, x - 0.1 * r, y - 0.2 * r), fill=mixed(color, (255, 255, 255), 0.55))

    if kind == 0:
        for _ in range(int(rng.integers(2, 7))):
            x, y = middle + rng.normal(0, 0.16, 2) * (unit, 0.7 * unit)
            ball(x, y, unit * rng.uniform(0.08, 0.16), mixed(accent, from_hsv(*rng.uniform((0, 0.5, 0.5), 1)), 0.2))
    elif kind == 1:
        for _ in range(int(rng.integers(3, 8))):
            turn, long, wide = rng.uniform(0, 2 * math.pi), unit * rng.uniform(0.15, 0.32), unit * rng.uniform(0.04, 0.08)
            way = np.array([math.cos(turn), math.sin(turn)])
            s = np.linspace(0, math.pi, 13)
            rim = [middle + way * long * t + np.array([-way[1], way[0]]) * wide * math.sin(v) for t, v in zip(s / math.pi, s, strict=True)]
            back = [middle + way * long * t - np.array([-way[1], way[0]]) * wide * math.sin(v) for t, v in zip(s / math.pi, s, strict=True)]
            draw.polygon([tuple(p) for p in [*rim, *back[::-1]]], fill=mixed(accent, from_hsv(0.3, 0.8, 0.5), rng.uniform(0.2, 0.8)))
    elif kind == 2:
        for _ in range(int(rng.integers(8, 22))):
            x, y = middle + rng.normal(0, 0.2, 2) * (w, 0.6 * h) * 0.9
            if y > 0.45 * h:
                ball(x, y, unit * rng.uniform(0.015, 0.06), mixed(accent, (255, 255, 255), rng.uniform(0, 0.4)))
    else:
        r = 0.3 * unit
        x, y = middle
        for _ in range(14):
            dx = rng.uniform(-0.8, 0.8) * r
            ball(x + dx, y - 0.12 * r * rng.uniform(0, 3) * (1 - abs(dx) / r), 0.2 * r, mixed(accent, (255, 255, 255), rng.uniform(0, 0.3)))
        draw.pieslice((x - r, y - r, x + r, y + r), 0, 180, fill=mixed(of.colors[1], (255, 255, 255), 0.5))
        draw.pieslice((x - 0.9 * r, y - r, x + 0.6 * r, y + 0.86 * r), 20, 180, fill=mixed(of.colors[1], (255, 255, 255), 0.7))
