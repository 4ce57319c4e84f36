"""Pictures of skin with a lesion: its tones, its colours region by region, its structures, and what lies flat on it.

A picture shows the square of extent_m around the origin of the plane, x to the right and y up. Tones of skin follow the individual typology
angle, ITA = atan((L* - 50) / b*) in degrees (Chardon et al. 1991), whose six groups from very light to dark (Del Bino and Bernerd 2013)
stand about for the Fitzpatrick types I to VI. Colours of a lesion are the six that C of the ABCD rule of dermatoscopy counts (Stolz et al.
1994). They are known region by region before anything is drawn, so they are counted there, not in the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.compose.fields import cells, fractal, normal_map
from synth.rand import Stream
from synth.types import F32, F64, U8, Bool, Rgb

COLORS: dict[str, Rgb] = {  # sRGB, on light skin
    "white": (0.93, 0.85, 0.81),
    "red": (0.72, 0.37, 0.34),
    "light_brown": (0.66, 0.44, 0.29),
    "dark_brown": (0.38, 0.22, 0.14),
    "blue_grey": (0.40, 0.43, 0.49),
    "black": (0.13, 0.10, 0.10),
}
COUNTED_SHARE = 0.03
"""A colour counts where it takes at least this share of the lesion's area."""
STRUCTURES = ("none", "network", "globules")
_GROUPS = ((55.0, "very light"), (41.0, "light"), (28.0, "intermediate"), (10.0, "tan"), (-30.0, "brown"), (-math.inf, "dark"))
_COARSE_PX = 256


def skin_group(ita_deg: float) -> str:
    """Del Bino and Bernerd's group of a tone."""
    return next(name for limit, name in _GROUPS if ita_deg > limit)


def skin_color(ita_deg: float) -> Rgb:
    """sRGB of a tone: its b* and a* as they go with its lightness in skin, D65."""
    t = (ita_deg + 60) / 130  # 0 very dark, 1 very light
    a, b = 12.5 - 3.5 * t, 16.5 + 7 * t * (1 - t)
    lightness = 50 + b * math.tan(math.radians(ita_deg))
    fy = (lightness + 16) / 116
    xyz = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(xyz > 6 / 29, xyz**3, 3 * (6 / 29) ** 2 * (xyz - 4 / 29)) * (0.95047, 1.0, 1.08883)
    linear = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ xyz
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 0.0031308, 1) ** (1 / 2.4) - 0.055)
    red, green, blue = np.clip(srgb, 0, 1).tolist()
    return red, green, blue


@dataclass(frozen=True, slots=True, eq=False)
class Square:
    """A square of extent_m around the origin, px by px."""

    px: int
    extent_m: float

    def pixels(self, points_m: Any) -> F64:
        """Points (n, 2) of the plane in px, (0, 0) the outer corner of the top left one."""
        xy = np.asarray(points_m, np.float64)
        return np.stack([xy[:, 0] / self.extent_m + 0.5, 0.5 - xy[:, 1] / self.extent_m], 1) * self.px

    def away(self, outline_m: F64) -> F32:
        """(px, px) distance from an outline in metres, positive inside."""
        import cv2

        inside = np.zeros((self.px, self.px), np.uint8)
        corners = np.round((self.pixels(outline_m) - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(inside, [corners], 1, shift=4)
        within, beyond = (cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (inside, 1 - inside))
        return np.asarray(np.where(inside > 0, within - 0.5, 0.5 - beyond) * (self.extent_m / self.px), np.float32)

    def noise(self, rng: Stream, feature_m: float, octaves: int = 4) -> F32:
        """(px, px) fractal noise of large features, made small and enlarged."""
        import cv2

        small = fractal(_COARSE_PX, rng, tile_m=self.extent_m, feature_m=feature_m, octaves=octaves)
        return np.asarray(cv2.resize(small, (self.px, self.px), interpolation=cv2.INTER_CUBIC))


# --- the lesion's colours ---------------------------------------------------------------------------------------------


def regions(square: Square, inside: Bool, count: int, feature_m: float, rng: Stream) -> tuple[Any, dict[str, float]]:
    """Which colour each pixel of a lesion has (px, px), as its place in COLORS, and the share of the lesion's area that each takes. Brown
    is everywhere; up to count - 1 other colours lie on it in blobs of about feature_m, later ones over earlier ones."""
    names = list(COLORS)
    base = str(rng.child("base").choice(["light_brown", "dark_brown"]))
    others = [name for name in names if name != base]
    weights = np.array([{"light_brown": 4, "dark_brown": 4}.get(name, 1.5) for name in others])
    chosen = rng.child("others").choice(len(others), size=min(count, len(names)) - 1, replace=False, p=weights / weights.sum())
    number = np.full(inside.shape, names.index(base), np.uint8)
    for i in chosen.tolist():
        blobs = square.noise(rng.child(others[i]), feature_m)
        share = rng.child(others[i], "share").uniform(0.1, 0.28)
        number[(blobs > np.quantile(blobs[inside], 1 - share)) & inside] = names.index(others[i])
    counts = np.bincount(number[inside], minlength=len(names)) / max(int(inside.sum()), 1)
    return number, {name: float(share) for name, share in zip(names, counts, strict=True) if share > 0}


def lesion_colors(square: Square, number: Any, ita_deg: float, structure: str, rng: Stream) -> F32:
    """(px, px, 3) sRGB of a lesion whose regions are `number`, with soft seams, mottled, with a structure of STRUCTURES on it."""
    import cv2

    light, own = (np.array(skin_color(ita)) for ita in (50.0, ita_deg))
    dim = np.minimum(1, (own / light)) ** 0.7  # the same pigment on darker skin
    table = np.array(list(COLORS.values())) * dim
    painted = cv2.GaussianBlur(table[number].astype(np.float32), (0, 0), 2.5e-4 / square.extent_m * square.px)
    mottled = 1 + 0.05 * square.noise(rng.child("mottled"), 1.5e-3, 5)
    if structure == "network":
        where = np.clip(0.6 + 0.5 * square.noise(rng.child("where"), 4e-3, 2), 0, 1)
        _, deep = cells(square.px, rng.child("net"), tile_m=square.extent_m, cell_m=4.5e-4, jitter=0.7)
        mottled = mottled * (1 - 0.36 * where * np.clip(1 - deep / 0.22, 0, 1))
    elif structure == "globules":
        where = np.clip(0.2 + 0.6 * square.noise(rng.child("where"), 3e-3, 2), 0, 1)
        grain, deep = cells(square.px, rng.child("globules"), tile_m=square.extent_m, cell_m=5.5e-4, jitter=0.9)
        there = rng.child("there").uniform(size=int(grain.max()) + 1) < 0.5
        drops = cv2.GaussianBlur((there[grain] & (deep > 0.16)).astype(np.float32), (0, 0), 7e-5 / square.extent_m * square.px)
        mottled = mottled * (1 - 0.45 * where * drops)
    return np.asarray(painted * mottled[..., None], np.float32)


# --- the skin ---------------------------------------------------------------------------------------------------------


def skin(square: Square, ita_deg: float, rng: Stream) -> tuple[F32, U8]:
    """(px, px, 3) sRGB of skin with its furrows and blotches, and its relief as a normal map."""
    base = np.array(skin_color(ita_deg), np.float32)
    blotch = square.noise(rng.child("blotch"), 6e-3, 5)
    red = square.noise(rng.child("red"), 9e-3, 3)
    fine = fractal(square.px, rng.child("fine"), tile_m=square.extent_m, feature_m=4e-4, octaves=3, persistence=0.7)
    _, deep = cells(square.px, rng.child("furrows"), tile_m=square.extent_m, cell_m=6e-4, jitter=1.0)
    furrow = np.clip(1 - deep / 0.2, 0, 1) * np.clip(0.6 + 0.5 * blotch, 0.1, 1)
    tone = 1 + 0.02 * blotch + 0.016 * fine - 0.035 * furrow
    flush = np.stack([0.004 * red, -0.008 * red, -0.005 * red], -1)
    relief = normal_map(np.float32(8e-6) * (np.minimum(deep, 0.4) * 3 + 0.6 * fine), square.extent_m)
    return np.asarray(base * tone[..., None] + flush, np.float32), relief


def blend(below: F32, above: F32, share: Any) -> F32:
    """`above` (h, w, 3) over `below`, by its share (h, w)."""
    part = np.asarray(share, np.float32)[..., None]
    return np.asarray(below + (above - below) * part, np.float32)


def bubbles(picture: F32, square: Square, count: int, rng: Stream) -> None:
    """Draw air bubbles of the immersion fluid: clear, with a dark rim, a bright one inside it, and a highlight."""
    px_of = square.px / square.extent_m
    for x, y, size in rng.uniform((-0.45, -0.45, 0), (0.45, 0.45, 1), (count, 3)):
        radius = (2e-4 + 1.1e-3 * size**3) * px_of
        centre = np.array([x + 0.5, 0.5 - y]) * square.px
        low, high = (np.clip(np.round(centre + side * (radius + 2)), 0, square.px).astype(int) for side in (-1, 1))
        rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
        away = np.hypot(columns - centre[0], rows - centre[1]) / radius
        rim = np.exp(-(((away - 0.97) / 0.07) ** 2))
        glow = 0.16 * np.exp(-(((away - 0.8) / 0.14) ** 2)) + 0.05 * (away < 1)
        spot = np.exp(-((np.hypot(columns - centre[0] + 0.35 * radius, rows - centre[1] + 0.4 * radius) / (0.16 * radius)) ** 2))
        window = picture[low[1] : high[1], low[0] : high[0]]
        window *= (1 - 0.28 * rim)[..., None]
        window += (glow + 0.7 * spot)[..., None]


def ink(square: Square, from_m: float, rng: Stream) -> F32:
    """(px, px) how much of a pen's purple is on each pixel: strokes around the middle, from_m and more away, as one marks a lesion."""
    at = ((np.arange(square.px) + 0.5) / square.px - 0.5) * square.extent_m
    radius, angle = np.hypot(at[None], at[:, None]), np.arctan2(-at[:, None], at[None])
    worn = 0.75 + 0.25 * square.noise(rng.child("worn"), 1e-3)
    total = np.zeros((square.px, square.px), np.float32)
    for i in range(int(rng.integers(1, 4))):
        at_m, wide_m, middle, half = rng.child("stroke", i).uniform((from_m, 3e-4, -math.pi, 0.15), (1.35 * from_m, 7e-4, math.pi, 0.6))
        off = np.abs(radius - at_m * (1 + 0.04 * np.sin(3 * angle)))
        turn = np.abs((angle - middle + math.pi) % (2 * math.pi) - math.pi)
        total = np.maximum(total, np.clip((wide_m / 2 - off) / 1e-4 + 0.5, 0, 1) * np.clip((half - turn) / 0.03, 0, 1))
    return np.asarray(np.clip(total * worn, 0, 1) * 0.75, np.float32)
