"""What is not at the lens's distance is blurred: the thin lens, by depth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from synth.augment.sensor.light import Shot, Step, around, check
from synth.errors import ConfigError
from synth.rand import Random, Stream, draw
from synth.types import F32, Draft

_SHARP_PX = 0.5  # a disc this small changes nothing that is seen
_EDGE_PX = 1.5  # depth has steps of whole pixels at edges; so much of a disc takes them out of the picture
_LAYERS = 16
_MIDDLE = 0.1  # autofocus looks at this share of width and height


@dataclass(frozen=True)
class Defocus(Step):
    """A point at depth z becomes a disc, the circle of confusion of a thin lens (Potmesil and Chakravarty 1981), of diameter

        c = f^2 / (N (s - f)) * |z - s| / z   on the sensor, c / pitch px in the picture,

    with f = focal_length_mm, N = f_number, s = focus_distance_m, all in one unit. focus_distance_m None: it focuses on what is in the
    middle of the picture. pixel_pitch_um: width on the sensor of one pixel of this picture; None: f over the camera's focal length in px.
    Where there is no depth map, all is blurred by a disc of diameter blur_px.

    The picture is cut into layers of like blur, which cover one another from far to near; what a layer hides of the one behind is filled
    from around it. So a sharp object takes no colour from a blurred background, nor gives it any, and no edge goes dark.
    """

    focal_length_mm: Random[float] = 4.0
    f_number: Random[float] = 1.8
    focus_distance_m: Random[float] | None = None
    pixel_pitch_um: Random[float] | None = None
    blur_px: Random[float] = 0.0

    def __post_init__(self) -> None:
        check(self, focal_length_mm=(0.1, 2000), f_number=(0.5, 128), focus_distance_m=(0.01, 1e6), pixel_pitch_um=(0.1, 1000))
        check(self, blur_px=(0, 128))

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        shot = shot.linear()
        if shot.draft.depth_m is None:
            return replace(shot, pixels=blurred(shot.pixels, float(draw(self.blur_px, rng, "blur_px"))))
        disc_px, sign = self.discs(shot.draft, rng)
        if float(disc_px.max()) < _SHARP_PX:
            return shot
        return replace(shot, pixels=_layered(shot.pixels, disc_px * sign))

    def discs(self, draft: Draft, rng: Stream) -> tuple[F32, F32]:
        """(h, w) diameter of each pixel's disc, px, and 1 where it lies before the focus, else -1. The draft has depth."""
        depth = draft.depth_m
        assert depth is not None
        f_m = float(draw(self.focal_length_mm, rng, "focal_length_mm")) / 1e3
        if self.pixel_pitch_um is not None:
            pitch_m = float(draw(self.pixel_pitch_um, rng, "pixel_pitch_um")) / 1e6
        elif draft.camera is not None:
            pitch_m = f_m / float(draft.camera.image_from_camera[0, 0])
        else:
            raise ConfigError("Defocus: this picture has depth but no camera, so pixel_pitch_um must be given")
        if self.focus_distance_m is not None:
            focus_m = float(draw(self.focus_distance_m, rng, "focus_distance_m"))
        else:
            focus_m = max(_in_the_middle(depth), 1.01 * f_m)
        if focus_m <= f_m:
            raise ConfigError(f"Defocus: a lens of {1e3 * f_m:g} mm cannot focus at {focus_m:g} m; focus_distance_m must be above that")
        largest_px = f_m * f_m / (float(draw(self.f_number, rng, "f_number")) * (focus_m - f_m)) / pitch_m  # of what is at infinity
        nearness = 1 - focus_m / np.maximum(depth, np.float32(1e-6))  # (z - s) / z; 1 where nothing is
        disc = np.minimum(np.abs(nearness) * np.float32(largest_px), 128)
        return disc.astype(np.float32), np.where(nearness < 0, np.float32(1), np.float32(-1))


def _in_the_middle(depth_m: F32) -> float:
    """Median depth of what is in the middle of the picture; 10 m where nothing is."""
    height, width = depth_m.shape
    rows, columns = (slice(int(n * (1 - _MIDDLE) / 2), max(1, math.ceil(n * (1 + _MIDDLE) / 2))) for n in (height, width))
    found = depth_m[rows, columns]
    found = found[np.isfinite(found)]
    return float(np.median(found)) if found.size else 10.0


def blurred(pixels: F32, diameter_px: float) -> F32:
    """Pixels (h, w, ...) under a disc; the edge goes on outside."""
    import cv2

    if diameter_px < _SHARP_PX or not pixels.size:
        return pixels
    spread: F32 = cv2.filter2D(pixels, -1, disc_kernel(round(diameter_px * 8) / 8), borderType=cv2.BORDER_REPLICATE)
    return spread


@lru_cache(maxsize=64)
def disc_kernel(diameter_px: float) -> F32:
    """(n, n) a disc's share of each pixel, n odd, with sum 1."""
    reach = max(0, math.ceil(diameter_px / 2 - 0.5))
    fine = 16
    at = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = (at[:, None] ** 2 + at**2 <= (diameter_px / 2) ** 2).astype(np.float32)
    share = inside.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).sum(axis=(1, 3))
    return np.asarray(share / share.sum(), dtype=np.float32)


def _layered(pixels: F32, near_px: F32) -> F32:
    """Pixels (h, w, 3) blurred by discs of |near_px| (h, w), which grows towards the viewer: negative behind the focus."""
    low, high = float(near_px.min()), float(near_px.max())
    count = int(np.clip(math.ceil(high - low), 1, _LAYERS))
    step = max((high - low) / count, 1e-6)
    level = np.minimum(((near_px - low) / step).astype(np.int32), count - 1)
    margin = math.ceil(max(-low, high) / 2) + 1
    out = pixels.copy()
    for k in range(count):
        own = level == k
        if not own.any():
            continue
        window = around(own, 2 * margin)
        levels, diameter = level[window], abs(low + (k + 0.5) * step)
        # A surface that slopes through several layers is one surface: colour comes from the next layers too.
        color = _fill(pixels[window], ((levels >= k - 1) & (levels <= k + 1)).astype(np.float32), diameter)
        alpha = blurred((levels >= k).astype(np.float32), max(diameter, _EDGE_PX))[..., None]
        out[window] += alpha * (color - out[window])
    return out


def _fill(pixels: F32, weight: F32, diameter_px: float) -> F32:
    """Pixels under a disc, of those with weight only; where it reaches none of them, from wider and wider around."""
    import cv2

    if weight.all():
        return blurred(pixels, diameter_px)
    premultiplied = np.dstack([pixels * weight[..., None], weight])
    total = blurred(premultiplied, diameter_px)
    height, width = weight.shape
    small, share = premultiplied, np.float32(1e-3)
    while min(small.shape[:2]) > 1:
        small = cv2.resize(small, (math.ceil(small.shape[1] / 4), math.ceil(small.shape[0] / 4)), interpolation=cv2.INTER_AREA)
        total = total + share * cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        share = share * np.float32(1e-2)
        if small[..., 3].all():
            break
    return np.asarray(total[..., :3] / np.maximum(total[..., 3:], np.float32(1e-20)), dtype=np.float32)
