"""Light on its way through a camera, and the one place where it is decoded from a picture and encoded again.

A picture is 8 bits of sRGB; a camera works on linear light. A `Shot` carries linear light in float32 from step to step, so a list of
steps rounds once, at its end. 1 is the light that a picture shows as white; what a scene holds above that was cut off when it was drawn.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from synth.augment.moving import Moving
from synth.augment.warp import CONSTANT, LINEAR, REPLICATE, Warp, sample_image
from synth.errors import ConfigError
from synth.rand import Stream, check_range
from synth.types import F32, F64, U8, Bool, Camera, Draft
from synth.warp import to_linear, to_srgb


def encode_srgb(linear: F32) -> F32:
    """Linear light to sRGB values in [0, 1], not rounded (IEC 61966-2-1); clipped."""
    held = np.clip(linear, 0, 1)
    return np.where(held <= 0.0031308, np.float32(12.92) * held, np.float32(1.055) * held ** np.float32(1 / 2.4) - np.float32(0.055))


def decode_srgb(encoded: F32) -> F32:
    """sRGB values in [0, 1] to linear light."""
    held = np.clip(encoded, 0, 1)
    return np.where(held <= 0.04045, held / np.float32(12.92), ((held + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4))


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture being taken. draft: labels, maps and camera; its own picture is what came in and is no longer looked at.
    pixels (h, w, 3): linear light, or, once `encoded`, the values in [0, 1] that the file will hold."""

    draft: Draft
    pixels: F32
    encoded: bool = False

    @classmethod
    def of(cls, draft: Draft) -> Shot:
        """The light that makes a draft's picture."""
        return cls(draft, to_linear(draft.image))

    def linear(self) -> Shot:
        """With linear light."""
        return replace(self, pixels=decode_srgb(self.pixels), encoded=False) if self.encoded else self

    def coded(self) -> Shot:
        """With the values of a file: sRGB, unless a step has chosen another curve."""
        return self if self.encoded else replace(self, pixels=encode_srgb(self.pixels), encoded=True)

    def picture(self) -> U8:
        """The picture (h, w, 3) of it, rounded to 8 bits."""
        if not self.encoded:
            return to_srgb(self.pixels)
        return cast(U8, np.rint(np.clip(self.pixels, 0, 1) * np.float32(255)).astype(np.uint8))

    def developed(self) -> Draft:
        """The draft with that picture."""
        return replace(self.draft, image=self.picture())

    def moved(self, warp: Warp, border: int) -> Shot:
        """Light, maps, silhouettes and points through a map. No K is known to describe the result, so its camera is None."""
        moving = Moving(self.draft)
        moving.move(warp, LINEAR, border)
        pixels = cast(F32, sample_image(cast(Any, self.pixels), warp, LINEAR, border))  # cv2 takes floats as well
        return replace(self, draft=moving.settle(), pixels=pixels)


class Step(ABC):
    """What happens to light at one place of a camera. Alone it is a stage; several are a `Sensor`."""

    @abstractmethod
    def expose(self, shot: Shot, rng: Stream) -> Shot:
        """The shot after it."""

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        """Of a stage."""
        return self.expose(Shot.of(draft), rng).developed()


def check(step: Any, **limits: tuple[float, float]) -> None:
    """Raise ConfigError unless each named field, if it is not None, can only be a number within its limits."""
    for name, (low, high) in limits.items():
        if getattr(step, name) is not None:
            check_range(f"{type(step).__name__}: {name}", getattr(step, name), low, high)


def check_vector(step: Any, name: str, low: float, high: float, length: int = 3) -> None:
    """Make a field a tuple, and raise ConfigError unless it has `length` numbers or distributions within limits."""
    where, value = f"{type(step).__name__}: {name}", getattr(step, name)
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise ConfigError(f"{where} must be a list of {length} numbers or distributions, got {value!r}")
    object.__setattr__(step, name, tuple(value))
    for i, item in enumerate(value):
        check_range(f"{where}[{i}]", item, low, high)


def camera_of(draft: Draft, fov_rad: float | None, what: str) -> Camera:
    """The draft's camera, or where it has none, one of `fov_rad` across the width. Raises ConfigError where that is not given either."""
    if draft.camera is not None:
        return draft.camera
    if fov_rad is None:
        raise ConfigError(
            f"{what}: this picture has no camera (a collage, a photo, or a warp before this stage); give fov_rad, the angle of view across "
            "its width to assume"
        )
    width, height = draft.size
    return Camera.from_fov(width, height, fov_rad, np.eye(4))


def around(wanted: Bool, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the window that holds all of a mask (h, w) and a margin, within the frame; one pixel if there is none."""
    found = []
    for axis, length in ((1, wanted.shape[0]), (0, wanted.shape[1])):
        some = np.flatnonzero(wanted.any(axis=axis))
        found.append(slice(max(0, int(some[0]) - margin), min(length, int(some[-1]) + 1 + margin)) if len(some) else slice(0, 1))
    return found[0], found[1]


Points = Callable[[F64], F64]
"""Points (n, 2) to points (n, 2), px."""

ANY = (-math.inf, math.inf)
"""Limits of a parameter that has none."""

FILL, BLACK = REPLICATE, CONSTANT
"""What shows where a moved picture has no source: its edge, or nothing."""
