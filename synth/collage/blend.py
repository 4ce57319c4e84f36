"""How a cut-out meets what is behind it: edges, light and shadow. All in linear light; nothing here moves a label.

`none`, `feather`, `gaussian`, `motion` and `poisson` after Dwibedi, Misra and Hebert, "Cut, Paste and Learn" (2017), who show that a
detector trained on several of them learns not to look at the seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from synth.channels import alpha_of, colour_of, joined, repeated
from synth.types import F32, Blend
from synth.warp import Placed, to_linear, to_srgb

_CLONE_PX = 8  # around a cut-out, for the gradients of `poisson`
_AROUND_PX = 16  # a cut-out's colours are matched to what is around it by so much
_POINTS = 4096  # at which they are measured
_ERODED_PX = 3  # seamlessClone draws its mask in by so much before it solves
_FAINT = np.float32(1 / 512)  # below this coverage a colour is noise


def margin_px(how: Blend) -> int:
    """How far beyond the frame a layer must be drawn, since it is blurred into it."""
    edge = {"none": 0.0, "feather": how.width_px, "gaussian": 3 * how.width_px, "motion": how.width_px / 2, "poisson": float(_CLONE_PX)}
    shadow = 3 * how.shadow_blur_px + max(map(abs, how.shadow_offset_px)) if how.shadow else 0.0
    return math.ceil(max(edge[how.mode], shadow)) + 1


def blend(canvas: F32, placed: Placed, how: Blend) -> None:
    """Draw a cut-out onto canvas (h, w, 3), linear, in place. It must have been placed with `margin_px(how)`."""
    if not placed.rgba.size or not alpha_of(placed.rgba).any():
        return
    if how.match:
        placed = replace(placed, rgba=_matched(canvas, placed, how.match))
    if how.shadow:
        wide = _padded(placed, math.ceil(3 * how.shadow_blur_px + max(map(abs, how.shadow_offset_px))), alpha_only=True)
        behind, inner = _behind(canvas, wide)
        if behind.size:
            behind *= repeated(1 - _shadow(wide.rgba, how)[inner])
    if how.mode == "poisson":
        wide = _padded(placed, _CLONE_PX)
        _clone(*_behind(canvas, wide), wide.rgba)
        return
    if how.mode != "none" and how.width_px > 0:
        placed = _padded(placed, margin_px(replace(how, shadow=0.0)))
        placed = replace(placed, rgba=_EDGES[how.mode](placed.rgba, how))
    behind, inner = _behind(canvas, placed)
    if behind.size:
        _over(behind, placed.rgba[inner])


def _over(behind: F32, rgba: F32) -> None:
    behind *= repeated(1 - alpha_of(rgba))
    behind += colour_of(rgba)


def _padded(placed: Placed, rim: int, alpha_only: bool = False) -> Placed:
    """With `rim` transparent pixels around it."""
    import cv2

    pixels = alpha_of(placed.rgba) if alpha_only else placed.rgba
    wide = cv2.copyMakeBorder(pixels, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    return replace(placed, rgba=wide, x0=placed.x0 - rim, y0=placed.y0 - rim)


def _behind(canvas: F32, placed: Placed) -> tuple[F32, tuple[slice, slice]]:
    """The part of the canvas under a cut-out, and the part of the cut-out over the canvas."""
    height, width = canvas.shape[:2]
    rows, columns = placed.rgba.shape[:2]
    top, left = min(max(placed.y0, 0), height), min(max(placed.x0, 0), width)
    bottom, right = max(min(placed.y0 + rows, height), top), max(min(placed.x0 + columns, width), left)
    return canvas[top:bottom, left:right], (slice(top - placed.y0, bottom - placed.y0), slice(left - placed.x0, right - placed.x0))


# --- edges ------------------------------------------------------------------------------------------------------------


def _feather(rgba: F32, how: Blend) -> F32:
    """Coverage rises from the edge inwards over width_px."""
    import cv2

    solid = np.pad((alpha_of(rgba) > 0.5).astype(np.uint8), 1)
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    factor = np.clip((depth - np.float32(0.5)) / np.float32(how.width_px), 0, 1)
    return np.asarray(rgba * repeated(factor, 4), dtype=np.float32)


def _gaussian(rgba: F32, how: Blend) -> F32:
    """Coverage is blurred, colours are not: beyond the edge they go on as they were near it."""
    import cv2

    alpha = cv2.GaussianBlur(alpha_of(rgba), (0, 0), how.width_px, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(joined(_extended(rgba, how.width_px) * repeated(alpha), alpha), dtype=np.float32)


def _motion(rgba: F32, how: Blend) -> F32:
    """The mean over a straight move, centred on where the labels are."""
    import cv2

    reach = math.ceil(how.width_px / 2) + 1
    fine = 8  # the line is drawn on a finer grid, so that its length and angle are not rounded to pixels
    kernel = np.zeros(((2 * reach + 1) * fine,) * 2, np.float32)
    at = np.linspace(-0.5, 0.5, 4 * fine * (2 * reach + 1)) * how.width_px
    centre = reach + 0.5
    column = ((centre + at * math.cos(how.angle_rad)) * fine).astype(np.intp)
    row = ((centre + at * math.sin(how.angle_rad)) * fine).astype(np.intp)
    np.add.at(kernel, (row, column), 1)
    kernel = cv2.resize(kernel, (2 * reach + 1,) * 2, interpolation=cv2.INTER_AREA)
    # What is empty of it, alike on all sides, is cut off: OpenCV filters with small kernels faster.
    rim = [int(kernel.any(axis=axis)[: reach + 1].argmax()) for axis in (1, 0)]
    kernel = kernel[rim[0] : len(kernel) - rim[0], rim[1] : len(kernel) - rim[1]]
    moved: F32 = cv2.filter2D(rgba, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    return moved


_EDGES: dict[str, Callable[[F32, Blend], F32]] = {"feather": _feather, "gaussian": _gaussian, "motion": _motion}


def _extended(rgba: F32, sigma_px: float) -> F32:
    """(h, w, 3) straight colours; where there are none, the mean of those near by."""
    import cv2

    near = cv2.GaussianBlur(rgba, (0, 0), max(sigma_px, 1.0), borderType=cv2.BORDER_CONSTANT)
    alpha = alpha_of(rgba)
    # One division does for both: of what is there, and of what is near.
    mixed = np.where(repeated(alpha, 4) > _FAINT, rgba, near)
    colour: F32 = colour_of(mixed) / repeated(np.maximum(alpha_of(mixed), np.float32(1e-12)))
    return colour


def _clone(behind: F32, inner: tuple[slice, slice], rgba: F32) -> None:
    """OpenCV's seamlessClone, made to work at the frame's edge, for thin things and for small ones.

    It erodes its mask and reads one pixel beyond it, so the mask is grown first, over colours that go on beyond the edge; and both
    pictures have a rim, where that of the background repeats the frame's last pixels.
    """
    import cv2

    if not behind.size:
        return
    rows, columns = rgba.shape[:2]
    rim = 2
    sides = (inner[0].start + rim, rows - inner[0].stop + rim, inner[1].start + rim, columns - inner[1].stop + rim)
    target = cv2.copyMakeBorder(to_srgb(behind), *sides, cv2.BORDER_REPLICATE)
    source = cv2.copyMakeBorder(to_srgb(_extended(rgba, _CLONE_PX / 2)), rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    solid = cv2.copyMakeBorder((alpha_of(rgba) > 0.5).astype(np.uint8) * 255, rim, rim, rim, rim, cv2.BORDER_CONSTANT)
    mask = cv2.dilate(solid, np.ones((2 * _ERODED_PX + 3,) * 2, np.uint8))
    mask[:rim], mask[-rim:], mask[:, :rim], mask[:, -rim:] = 0, 0, 0, 0
    x, y, width, height = cv2.boundingRect(mask)
    cloned = target
    if width and height:
        cloned = cv2.seamlessClone(source, target, mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)
    alpha = alpha_of(rgba[inner])
    _over(behind, joined(to_linear(cloned[rim:-rim, rim:-rim][inner]) * repeated(alpha), alpha))


# --- light ------------------------------------------------------------------------------------------------------------


def _matched(canvas: F32, placed: Placed, strength: float) -> F32:
    """Mean and spread of its colours moved towards those around it, in CIE Lab (Reinhard et al. 2001): `strength` of the way.

    Taken over what is in the frame, at some thousand points. The spread changes by a factor of 2 at most: a plain wall does not make a
    plain logo.
    """
    import cv2

    wide = _padded(placed, _AROUND_PX, alpha_only=True)
    behind, inner = _behind(canvas, wide)
    step = max(1, math.isqrt(behind.shape[0] * behind.shape[1] // _POINTS))
    around = cv2.cvtColor(np.ascontiguousarray(behind[::step, ::step]), cv2.COLOR_LRGB2Lab).reshape(-1, 3)
    weight = (1 - wide.rgba[inner][::step, ::step]).reshape(-1)
    alpha = alpha_of(placed.rgba)
    if weight.sum() < 16 or not wide.rgba[inner].any():
        return placed.rgba
    lab = cv2.cvtColor(colour_of(placed.rgba) / repeated(np.maximum(alpha, _FAINT)), cv2.COLOR_LRGB2Lab)
    own_mean, own_spread = _moments(lab[::step, ::step].reshape(-1, 3), alpha[::step, ::step].reshape(-1))
    mean, spread = _moments(around, weight)
    # of (own - own_mean) * scale + mean, and of its own, each a share
    factor = 1 - strength + strength * np.clip(spread / np.maximum(own_spread, 1e-3), 0.5, 2)
    offset = strength * (mean - own_mean) + (1 - factor) * own_mean
    rgb = np.clip(cv2.cvtColor(cv2.transform(lab, np.column_stack([np.diag(factor), offset])), cv2.COLOR_Lab2LRGB), 0, 1)
    return np.asarray(joined(rgb * repeated(alpha), alpha), dtype=np.float32)


def _moments(values: F32, weight: F32) -> tuple[F32, F32]:
    total = max(float(weight.sum()), 1e-6)
    mean = weight @ values / total
    return mean, np.sqrt(np.maximum(weight @ (values - mean) ** 2 / total, 0))


def _shadow(alpha: F32, how: Blend) -> F32:
    """(h, w) the share of light that the cut-out's shadow takes."""
    import cv2

    x, y = how.shadow_offset_px
    rows, columns = alpha.shape
    moved = cv2.warpAffine(alpha, np.array([[1, 0, x], [0, 1, y]], dtype=np.float64), (columns, rows), flags=cv2.INTER_LINEAR)
    if how.shadow_blur_px > 0:
        moved = cv2.GaussianBlur(moved, (0, 0), how.shadow_blur_px, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(moved * np.float32(how.shadow), dtype=np.float32)
