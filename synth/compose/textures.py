"""Procedural textures: pictures of a piece of material that is tile_m wide, made from a random stream.

Each function takes the size in px (one number for a square, or width and height), a stream and lengths in metres, and returns sRGB u8
(h, w, 3). A pixel is square, so the piece is tile_m * height / width high. All but `label` repeat without a seam. Colours are sRGB in
[0, 1]. Equal streams and parameters give equal pictures, and the stream itself is not moved. The noise is that of synth.compose.fields.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from synth.compose.fields import Size, cells, fractal, normal_map, positive, ramp, shaded, size_of, spread
from synth.errors import ConfigError
from synth.rand import Stream
from synth.types import U8, Rgb

__all__ = [
    "brushed_metal",
    "cardboard",
    "cells",
    "fabric",
    "fractal",
    "gravel",
    "label",
    "marble",
    "noise",
    "normal_map",
    "ramp",
    "soil",
    "speckle",
    "wood",
]

# --- materials --------------------------------------------------------------------------------------------------------


def noise(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.5,
    feature_m: float = 0.1,
    colors: Sequence[Rgb] = ((0.2, 0.2, 0.2), (0.8, 0.8, 0.8)),
    octaves: int = 6,
    persistence: float = 0.5,
) -> U8:
    """Clouds: fractal noise between colours, each value as often as any other."""
    return ramp(spread(fractal(size_px, rng, tile_m=tile_m, feature_m=feature_m, octaves=octaves, persistence=persistence)), colors)


def wood(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.5,
    ring_m: float = 0.012,
    plank_m: float = 0.0,
    colors: Sequence[Rgb] = ((0.76, 0.58, 0.38), (0.66, 0.46, 0.27), (0.47, 0.3, 0.16)),
) -> U8:
    """Grain along x: growth rings ring_m apart, light early and dark late wood, pores. plank_m: width of boards laid side by side, each
    with its own rings and tone and a dark joint; 0: one piece."""
    positive("wood", ring_m=ring_m)
    width, height = size_of(size_px, tile_m)
    tall_m = tile_m * height / width
    planks = max(1, round(tall_m / plank_m)) if plank_m > 0 else 1
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    board = np.minimum((rows * planks).astype(int), planks - 1)
    of_board = rng.child("boards").uniform(-1, 1, (planks, 2)).astype(np.float32)
    slide = (of_board[board, 0] * width / 2).astype(int) if planks > 1 else np.zeros(height, int)
    warp = fractal((width, height), rng.child("warp"), tile_m=tile_m, feature_m=(tile_m, max(ring_m * 5, tall_m / 6)), octaves=3)
    pores = fractal((width, height), rng.child("pores"), tile_m=tile_m, feature_m=(0.03, 0.0012), octaves=2)
    columns = (np.arange(width)[None] + slide[:, None]) % width
    warp, pores = (np.take_along_axis(field, columns, axis=1) for field in (warp, pores))
    rings = rows[:, None] * round(tall_m / ring_m) + warp * np.float32(1.6)
    phase = rings % 1
    late = phase**3 * (1 - np.clip((phase - 0.93) / 0.07, 0, 1))  # darkens slowly, ends at once
    value = 0.15 + 0.6 * late + 0.09 * warp + 0.07 * pores + 0.13 * of_board[board, 1][:, None] * (planks > 1)
    picture = ramp(value, colors)
    if planks == 1:
        return picture
    edge = np.abs((rows * planks + 0.5) % 1 - 0.5) * (tall_m / planks)
    return shaded(picture, np.broadcast_to(np.clip(edge / max(0.0015, 2 * tile_m / width), 0.35, 1)[:, None], (height, width)))


def fabric(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.1,
    thread_m: float = 0.0008,
    colors: Sequence[Rgb] = ((0.25, 0.33, 0.5), (0.32, 0.4, 0.56)),
    stripe_m: float = 0.0,
    stripe_color: Rgb = (0.75, 0.2, 0.2),
) -> U8:
    """Plain weave of threads along x in the first colour and along y in the last, each thread with its own tone. stripe_m: distance of
    stripes both ways, as of a check; 0: none. Threads thinner than 2 px are drawn 2 px thick."""
    positive("fabric", thread_m=thread_m)
    width, height = size_of(size_px, tile_m)
    counts = [2 * max(1, round(min(tile_m * size / width / thread_m, size / 2) / 2)) for size in (width, height)]
    across, down = ((np.arange(size, dtype=np.float32) + 0.5) / size * count for size, count in zip((width, height), counts, strict=True))
    i, j = across.astype(int), down.astype(int)
    round_x, round_y = np.sin(math.pi * (across % 1)), np.sin(math.pi * (down % 1))
    over = (i[None] + j[:, None]) % 2 == 0  # where the thread along x is on top
    light = np.where(over, round_y[:, None] * (0.6 + 0.4 * round_x[None]), round_x[None] * (0.6 + 0.4 * round_y[:, None]))
    tones = [rng.child("thread", name).normal(0, 0.05, count).astype(np.float32) for name, count in zip("xy", counts, strict=True)]
    wear = fractal((width, height), rng.child("wear"), tile_m=tile_m, feature_m=tile_m / 3, octaves=5)
    value = 0.72 + 0.33 * light + np.where(over, tones[1][j][:, None], tones[0][i][None]) + np.float32(0.02) * wear

    def dyed(color: Rgb, index: Any, count: int, size_m: float) -> Any:
        if not stripe_m:
            return np.broadcast_to(np.array(color, np.float32), (len(index), 3))
        stripes = max(1, round(size_m / stripe_m))
        inside = (index * stripes / count) % 1 < 0.3
        return np.where(inside[:, None], np.array(stripe_color, np.float32), np.array(color, np.float32))

    along_x, along_y = dyed(colors[0], j, counts[1], tile_m * height / width), dyed(colors[-1], i, counts[0], tile_m)
    base = np.where(over[..., None], along_x[:, None], along_y[None])
    return shaded((base * 255).astype(np.uint8), value)


def marble(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.6,
    vein_m: float = 0.2,
    colors: Sequence[Rgb] = ((0.38, 0.38, 0.42), (0.8, 0.8, 0.8), (0.93, 0.92, 0.9)),
) -> U8:
    """Veins in the first colour, vein_m apart, where warped noise crosses zero, over clouds of the others."""
    positive("marble", vein_m=vein_m)
    width, height = size_of(size_px, tile_m)
    cloud = fractal((width, height), rng.child("cloud"), tile_m=tile_m, feature_m=vein_m * 1.5, octaves=6, persistence=0.6)
    wide = fractal((width, height), rng.child("wide"), tile_m=tile_m, feature_m=(vein_m * 1.6, vein_m), octaves=6, persistence=0.45)
    fine = fractal((width, height), rng.child("fine"), tile_m=tile_m, feature_m=vein_m / 2, octaves=5, persistence=0.5)
    strong = np.clip(0.75 + 0.5 * cloud, 0.05, 1)
    vein = strong * np.exp(-np.abs(wide) * 14) + 0.3 * (1 - strong) * np.exp(-np.abs(fine) * 16)
    return ramp(0.84 + 0.1 * cloud - 0.85 * vein, colors)


def speckle(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.3,
    grain_m: float = 0.004,
    colors: Sequence[Rgb] = ((0.62, 0.59, 0.57), (0.78, 0.75, 0.73), (0.4, 0.38, 0.38), (0.15, 0.15, 0.16)),
    shares: Sequence[float] = (0.45, 0.25, 0.2, 0.1),
) -> U8:
    """Grains of several colours, as in granite or terrazzo. shares: how much of the surface each colour takes."""
    if len(shares) != len(colors) or min(shares) < 0 or sum(shares) <= 0:
        raise ConfigError(f"speckle: needs one share >= 0 a color, not all 0, got {list(shares)} for {len(colors)} colors")
    number, _ = cells(size_px, rng.child("grains"), tile_m=tile_m, cell_m=grain_m, jitter=1.0)
    pick = rng.child("colors").choice(len(colors), size=int(number.max()) + 1, p=np.divide(shares, sum(shares)))
    tone = rng.child("tones").normal(0, 0.04, (len(pick), 1))
    table = (np.clip(np.array(colors)[pick] + tone, 0, 1) * 255).astype(np.uint8)
    dust = fractal(size_px, rng.child("dust"), tile_m=tile_m, feature_m=grain_m * 2, octaves=4, persistence=0.8)
    return shaded(table[number], 1 + np.float32(0.035) * dust)


def gravel(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.4,
    stone_m: float = 0.018,
    colors: Sequence[Rgb] = ((0.42, 0.4, 0.38), (0.6, 0.57, 0.53), (0.5, 0.42, 0.35), (0.7, 0.69, 0.67)),
) -> U8:
    """Stones side by side, stone_m apart, dark in the gaps."""
    number, away = cells(size_px, rng.child("stones"), tile_m=tile_m, cell_m=stone_m, jitter=0.85)
    count = int(number.max()) + 1
    pick, tone = rng.child("colors").integers(len(colors), size=count), rng.child("tones").normal(0, 0.06, (count, 1))
    table = (np.clip(np.array(colors)[pick] + tone, 0, 1) * 255).astype(np.uint8)
    rough = fractal(size_px, rng.child("rough"), tile_m=tile_m, feature_m=stone_m / 2, octaves=4, persistence=0.7)
    edge = away + np.float32(0.025) * rough
    return shaded(table[number], np.clip(0.2 + edge * 5, 0.18, 1) * (0.92 + 0.3 * np.minimum(away, 0.4)) + np.float32(0.05) * rough)


def soil(
    size_px: Size,
    rng: Stream,
    *,
    tile_m: float = 0.5,
    clod_m: float = 0.03,
    moisture: float = 0.3,
    colors: Sequence[Rgb] = ((0.2, 0.14, 0.1), (0.36, 0.27, 0.19), (0.52, 0.42, 0.32)),
) -> U8:
    """Crumbly earth: lumps of about clod_m down to grains. moisture [0, 1]: wet earth is darker, its hollows first."""
    if not 0 <= moisture <= 1:
        raise ConfigError(f"soil: moisture must be in [0, 1], got {moisture}")
    lumps = fractal(size_px, rng.child("lumps"), tile_m=tile_m, feature_m=clod_m, octaves=7, persistence=0.72)
    patches = fractal(size_px, rng.child("patches"), tile_m=tile_m, feature_m=tile_m / 2, octaves=3)
    wet = np.clip(moisture * 1.5 - 0.25 + 0.12 * patches - 0.06 * lumps, 0, 1)
    value = 0.5 + 0.2 * lumps + 0.04 * patches
    return shaded(ramp(value, colors), 1.05 - 0.5 * wet)


def brushed_metal(
    size_px: Size, rng: Stream, *, tile_m: float = 0.2, scratch_m: float = 0.05, color: Rgb = (0.72, 0.73, 0.75), contrast: float = 0.08
) -> U8:
    """Fine scratches along x, about scratch_m long."""
    positive("brushed_metal", scratch_m=scratch_m)
    width, height = size_of(size_px, tile_m)
    thin = tile_m / width * 2
    fine = fractal((width, height), rng.child("fine"), tile_m=tile_m, feature_m=(scratch_m, thin), octaves=3, persistence=0.7)
    wide = fractal((width, height), rng.child("wide"), tile_m=tile_m, feature_m=(tile_m, tile_m / 12), octaves=3)
    base = np.broadcast_to((np.array(color) * 255).astype(np.uint8), (height, width, 3))
    return shaded(base, 1 + np.float32(contrast) * (fine + np.float32(0.5) * wide))


def cardboard(size_px: Size, rng: Stream, *, tile_m: float = 0.3, flute_m: float = 0.007, color: Rgb = (0.7, 0.55, 0.38)) -> U8:
    """Brown paper over flutes that run along y, flute_m apart (of corrugated board: 7 mm is a C flute), with fibres."""
    positive("cardboard", flute_m=flute_m)
    width, height = size_of(size_px, tile_m)
    flutes = max(1, round(tile_m / flute_m))
    wave = np.cos((np.arange(width, dtype=np.float32) + 0.5) / width * 2 * math.pi * flutes)
    cloud = fractal((width, height), rng.child("cloud"), tile_m=tile_m, feature_m=tile_m / 4, octaves=4)
    fibres = fractal((width, height), rng.child("fibres"), tile_m=tile_m, feature_m=(0.006, 0.0012), octaves=3, persistence=0.8)
    flecks = fractal((width, height), rng.child("flecks"), tile_m=tile_m, feature_m=0.002, octaves=2, persistence=0.8)
    base = np.broadcast_to((np.array(color) * 255).astype(np.uint8), (height, width, 3))
    dark = 0.12 * np.clip(flecks - 2.3, 0, 1)
    return shaded(base, 1 + 0.025 * wave[None] + np.float32(0.02) * cloud + np.float32(0.03) * fibres - dark)


def label(size_px: Size, rng: Stream, *, colors: Sequence[Rgb] = ()) -> U8:
    """A printed label or the front of a package: a ground, a picture's block, a brand in bars that stand for letters, lines of small print
    and a bar code. colors: ground, block, letters and more; without, a random scheme. It does not repeat."""
    import cv2

    width, height = size_of(size_px, 1.0)
    palette = [tuple(int(c * 255) for c in color) for color in (colors or _scheme(rng.child("scheme")))]
    ground, block, letters, accent = (palette[i % len(palette)] for i in range(4))
    picture: Any = np.full((height, width, 3), ground, np.uint8)

    def rectangle(x0: float, y0: float, x1: float, y1: float, color: Any) -> None:
        cv2.rectangle(picture, (round(x0 * width), round(y0 * height)), (round(x1 * width) - 1, round(y1 * height) - 1), color, -1)

    layout = rng.child("layout")
    top, split = layout.uniform(0.06, 0.16), layout.uniform(0.3, 0.42)
    kind = int(layout.integers(3))
    if kind == 0:
        rectangle(0, split, 1, layout.uniform(0.65, 0.8), block)
    elif kind == 1:
        rectangle(0, 0, 1, split + 0.02, block)
    else:
        slope = layout.uniform(-0.2, 0.2)
        corners = np.array([(0, split + slope), (1, split - slope), (1, 0.75 - slope), (0, 0.75 + slope)])
        cv2.fillPoly(picture, [np.round(corners * (width, height)).astype(np.int32)], block, cv2.LINE_AA)
    for _ in range(int(layout.integers(1, 4))):  # what the package shows
        centre = np.array([layout.uniform(0.25, 0.75), layout.uniform(split + 0.1, 0.68)])
        axes = layout.uniform(0.06, 0.18, 2) * min(width, height)
        ellipse = ([round(v) for v in centre * (width, height)], [max(1, round(v)) for v in axes], layout.uniform(0, 180))
        cv2.ellipse(picture, *ellipse, 0, 360, accent, -1, cv2.LINE_AA)
        accent = tuple(int(c) for c in np.clip(np.array(accent) * layout.uniform(0.6, 1.3), 0, 255))
    _words(rectangle, rng.child("brand"), (0.08, top, 0.92, top + layout.uniform(0.1, 0.18)), letters, most=9)
    for i in range(int(layout.integers(2, 6))):
        y = 0.8 + 0.032 * i
        _words(rectangle, rng.child("print", i), (0.08, y, layout.uniform(0.4, 0.6), y + 0.016), letters, most=24)
    bars = rng.child("bars")
    rectangle(0.64, 0.81, 0.94, 0.95, (245, 245, 245))
    at = 0.665
    while at < 0.9:
        wide, gap = bars.choice((0.004, 0.008, 0.012), 2)
        rectangle(at, 0.825, at + max(wide, 1 / width), 0.935, (20, 20, 20))
        at += wide + max(gap, 1 / width)
    return np.asarray(picture)


def _scheme(rng: Stream) -> list[Rgb]:
    """Ground, block, letters and accent that a designer might put together: two hues apart, letters light on dark or dark on light."""
    hue, light = rng.uniform(), rng.uniform() < 0.5
    second = hue + rng.choice((0.08, 0.33, 0.5))
    ground = colorsys.hsv_to_rgb(hue, *((rng.uniform(0.02, 0.25), 0.95) if light else (rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.8))))
    letters = colorsys.hsv_to_rgb(hue, 0.8, 0.25) if light else (0.96, 0.95, 0.9)
    block = colorsys.hsv_to_rgb(second % 1, rng.uniform(0.6, 0.9), rng.uniform(0.55, 0.9))
    return [ground, block, letters, colorsys.hsv_to_rgb((second + 0.12) % 1, rng.uniform(0.4, 0.8), 0.9)]


def _words(rectangle: Any, rng: Stream, box: tuple[float, float, float, float], color: Any, most: int) -> None:
    """Bars that stand for letters, in words, from the left end of box on."""
    x0, y0, x1, y1 = box
    step, at = (x1 - x0) / most, x0
    while at + step * 0.75 < x1:
        if rng.uniform() < 0.16 and at > x0:
            at += step * 0.6
            continue
        rectangle(at, y0 + (y1 - y0) * rng.choice((0, 0, 0.3)), at + step * rng.uniform(0.45, 0.8), y1, color)
        at += step
