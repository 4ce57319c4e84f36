"""Light from a panorama, in numpy: what a matt surface gathers (spherical harmonics) and what rough mirrors show (filtered panoramas).

All panoramas are equirectangular as types.Environment says, before yaw and intensity, so both may change without new work.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.types import F32, F64

MIRROR_LEVELS = 6  # roughness 0, 0.2 ... 1; each level has half the width of the one before
_MIRROR_WIDTH = 512


def directions(width: int, height: int) -> F64:
    """(height, width, 3) unit directions at the centres of a panorama's pixels."""
    azimuth = (0.5 - (np.arange(width) + 0.5) / width) * 2 * math.pi
    polar = (np.arange(height) + 0.5) / height * math.pi
    ring = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(width)], -1)[None]
    return np.asarray(np.sin(polar)[:, None, None] * ring + np.cos(polar)[:, None, None] * [0, 0, 1])


def resized(panorama: F32, width: int) -> F32:
    """The panorama at width x width / 2, by area where it shrinks."""
    import cv2

    interpolation = cv2.INTER_AREA if panorama.shape[1] > width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(panorama), (width, width // 2), interpolation=interpolation), dtype=np.float32)


def harmonics(directions_xyz: F64) -> F64:
    """(..., 9) real spherical harmonics up to the second degree."""
    x, y, z = np.moveaxis(directions_xyz, -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        -1,
    )


def irradiance_harmonics(panorama: F32) -> F64:
    """(9, 3): dotted with harmonics(n), the irradiance on a surface with normal n, over pi (Ramamoorthi and Hanrahan 2001)."""
    small = resized(panorama, 128).astype(np.float64)
    toward = directions(128, 64)
    solid_angle = np.sqrt(1 - toward[..., 2] ** 2)
    solid_angle *= 4 * math.pi / solid_angle.sum()
    light = np.einsum("hwk,hwc,hw->kc", harmonics(toward), small, solid_angle)
    cosine_lobe = np.repeat([1.0, 2 / 3, 1 / 4], [1, 3, 5])
    return np.asarray(light * cosine_lobe[:, None])


def mirror_levels(panorama: F32) -> list[F32]:
    """What a mirror of roughness 0, 0.2 ... 1 shows in each direction: panoramas of widths 512, 256 ... 16, float32.

    The lobe is GGX seen along the normal (Karis 2013, "Real shading in Unreal Engine 4"). It depends on the angle between two
    directions only, so along a row of the panorama it is a convolution: a product per frequency.
    """
    levels = [resized(panorama, _MIRROR_WIDTH)]
    for level in range(1, MIRROR_LEVELS):
        width = _MIRROR_WIDTH >> level
        source = resized(panorama, max(width, 32))
        kernel = _lobe(source.shape[1], level / (MIRROR_LEVELS - 1))
        filtered = np.fft.irfft(np.einsum("fij,jfc->ifc", kernel, np.fft.rfft(source, axis=1), optimize=True), source.shape[1], axis=1)
        levels.append(np.maximum(resized(filtered.astype(np.float32), width), 0))
    return levels


@lru_cache(maxsize=MIRROR_LEVELS)
def _lobe(width: int, roughness: float) -> npt.NDArray[Any]:
    """(frequencies, rows out, rows in): the lobe's transform along the row, normalised to keep a constant panorama."""
    toward = directions(width, width // 2).astype(np.float32)
    cosine = np.einsum("ik,jwk->ijw", toward[:, 0], toward)
    half_cosine2 = (1 + cosine) / 2
    a2 = roughness**4
    lobe = np.maximum(cosine, 0) / (half_cosine2 * (a2 - 1) + 1) ** 2
    lobe *= np.sqrt(1 - toward[None, :, :1, 2] ** 2)
    lobe /= lobe.sum(axis=(1, 2), keepdims=True)
    # Azimuth runs backwards along a row and the lobe is even in it, so shifting by the first column's centre is all there is.
    return np.ascontiguousarray(np.moveaxis(np.fft.rfft(lobe, axis=2), 2, 0).astype(np.complex64))
