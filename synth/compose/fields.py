"""Fields over a piece of material that is tile_m wide: noise, cells, and what turns them into colours and relief.

All wrap around. The noise is value noise: random numbers on a lattice, between them cubic B-splines, summed over octaves of half the
spacing each (Perlin, "An Image Synthesizer", 1985; Ebert et al., "Texturing and Modeling", 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synth.errors import ConfigError
from synth.rand import Stream
from synth.types import F32, I32, U8, Rgb

Size = int | tuple[int, int]
"""Of a picture in px: of a square, or width and height."""


def fractal(
    size_px: Size, rng: Stream, *, tile_m: float, feature_m: float | tuple[float, float], octaves: int = 5, persistence: float = 0.5
) -> F32:
    """Fractal noise (h, w) with mean 0 and standard deviation 1, which wraps around. feature_m: distance of its largest lumps, one or
    along x and y; each octave halves it, down to 2 px, and is `persistence` times as strong."""
    width, height = size_of(size_px, tile_m)
    across_m, down_m = (feature_m, feature_m) if isinstance(feature_m, (int, float)) else feature_m
    if min(across_m, down_m) <= 0 or octaves < 1:
        raise ConfigError(f"textures: feature_m must be above 0 and octaves 1 or more, got {feature_m} and {octaves}")
    columns, rows = max(1.0, tile_m / across_m), max(1.0, tile_m * height / width / down_m)
    total, strength = np.zeros((height, width), np.float32), 1.0
    for octave in range(octaves):
        k, n = (min(round(cells * 2**octave), max(1, size // 2)) for cells, size in ((columns, width), (rows, height)))
        lattice = rng.child("octave", octave).standard_normal((n, k), dtype=np.float32)
        total += np.float32(strength) * (_spline(n, height) @ lattice @ _spline(k, width).T)
        strength *= persistence
        if k >= width // 2 and n >= height // 2:
            break
    total -= total.mean()
    total /= np.float32(max(float(total.std()), 1e-6))
    return np.asarray(total)


def _spline(cells: int, size_px: int) -> F32:
    """(size_px, cells): the weight of each lattice point at each pixel's centre, periodic cubic B-splines of unit energy."""
    at = (np.arange(size_px) + 0.5) / size_px * cells
    t = (at % 1)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    out = np.zeros((size_px, cells), np.float32)
    np.add.at(out, (np.arange(size_px)[:, None], (np.floor(at).astype(int)[:, None] + np.arange(-1, 3)) % cells), weights)
    out /= np.float32(np.sqrt((weights**2).sum(axis=1).mean()))
    return out


def cells(size_px: Size, rng: Stream, *, tile_m: float, cell_m: float, jitter: float = 0.9) -> tuple[I32, F32]:
    """Cells around scattered points (Worley 1996), which wrap around: the number of each pixel's cell (h, w), and its distance to the
    border of that cell as a share of cell_m. jitter [0, 1]: how far the points lie off a grid of cell_m."""
    import cv2

    width, height = size_of(size_px, tile_m)
    positive("cells", cell_m=cell_m)
    k, n = (max(2, round(tile_m * size / width / cell_m)) for size in (width, height))
    offset = rng.child("points").uniform(-jitter / 2, jitter / 2, (n, k, 2)) + 0.5
    x = (np.arange(k) + offset[..., 0]) * width / k
    y = (np.arange(n)[:, None] + offset[..., 1]) * height / n
    pad_x, pad_y = 2 * width // k + 2, 2 * height // n + 2  # two cells around, of the other side
    seeds = np.zeros((height, width), np.int32)
    seeds[y.astype(int) % height, x.astype(int) % width] = np.arange(1, n * k + 1).reshape(n, k)
    around = cv2.copyMakeBorder(seeds, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_WRAP)
    _, nearest = cv2.distanceTransformWithLabels((around == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    names = np.zeros(int(nearest.max()) + 1, np.int32)
    names[nearest[around > 0]] = around[around > 0]
    number = names[nearest]
    inner = np.ones(number.shape, np.uint8)
    inner[:, 1:][number[:, 1:] != number[:, :-1]] = 0
    inner[1:][number[1:] != number[:-1]] = 0
    away = cv2.distanceTransform(inner, cv2.DIST_L2, 5)
    here = slice(pad_y, pad_y + height), slice(pad_x, pad_x + width)
    return number[here] - 1, away[here] * np.float32(tile_m / width / cell_m)


def ramp(values: Any, colors: Sequence[Rgb]) -> U8:
    """Values (h, w) in [0, 1] as colours: from the first to the last, evenly between."""
    table = np.array([np.interp(np.linspace(0, 1, 1024), np.linspace(0, 1, len(colors)), channel) for channel in np.array(colors).T])
    picked = (np.clip(values, 0, 1) * np.float32(1023)).astype(np.int32)
    return np.ascontiguousarray((table.T * 255 + 0.5).astype(np.uint8)[picked])


def normal_map(height_m: Any, tile_m: float) -> U8:
    """A linear normal map (h, w, 3), as Material.normal_texture takes it, of a relief (h, w) in metres that wraps around."""
    step = 2 * tile_m / height_m.shape[1]
    dx = (np.roll(height_m, -1, 1) - np.roll(height_m, 1, 1)) / step
    dy = (np.roll(height_m, 1, 0) - np.roll(height_m, -1, 0)) / step  # rows run down, v up
    normal = np.stack([-dx, -dy, np.ones_like(dx)], 2) / np.sqrt(dx * dx + dy * dy + 1)[..., None]
    return np.asarray(normal * 127.5 + 128, dtype=np.uint8)


def positive(what: str, **lengths: float) -> None:
    """Raise ConfigError, for texture `what`, unless each length is above 0."""
    for name, value in lengths.items():
        if not value > 0:
            raise ConfigError(f"{what}: {name} must be above 0, got {value}")


def size_of(size_px: Size, tile_m: float) -> tuple[int, int]:
    """Width and height in px, checked."""
    width, height = (size_px, size_px) if isinstance(size_px, int) else size_px
    if not (0 < width <= 8192 and 0 < height <= 8192 and tile_m > 0):
        raise ConfigError(f"textures: size_px must be in [1, 8192] and tile_m above 0, got {size_px} and {tile_m}")
    return width, height


def spread(field: F32) -> F32:
    """Noise of unit deviation to [0, 1], evenly: its distribution function, taken as normal (to 1 %, by the logistic)."""
    return np.asarray(1 / (1 + np.exp(field * np.float32(-1.702))))


def shaded(picture: U8, light: Any) -> U8:
    """Darkened or lightened by `light` (h, w), 1 is as it is."""
    lit = picture * np.asarray(light, np.float32)[..., None]
    return np.asarray(np.clip(lit, 0, 255, out=lit), dtype=np.uint8)
