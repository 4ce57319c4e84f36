"""Flat cut-outs bent as paper is: rolled about a cylinder, or folded along a line, and seen in perspective.

A bent sheet is described by its profile across the bend: where a point at arc length s lies sideways, x(s), and how far it has moved
away from the viewer, d(s). It is seen at (x / (1 + d / f), t / (1 + d / f)), with t along the bend and f the viewer's distance, so
keypoints move exactly and pixels by the inverse of the same map.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth.channels import alpha_of, colour_of, joined, repeated
from synth.errors import ConfigError
from synth.types import F32, F64, Cutout
from synth.warp import premultiplied, to_srgb

_SMALL_PX = 200  # larger cut-outs are shrunk when they are placed, which smooths them anyway
_FAR = 2.0  # the viewer's distance, in longer sides of the cut-out
_LIGHT_RAD = 0.6  # the light comes from this far to the left of the viewer
_TABLE = 4096  # places at which the profile is tabulated; a cut-out of 2048 px then errs by less than 0.01 px


@dataclass(frozen=True, slots=True, eq=False)
class _Profile:
    """x (n,) and d (n,) in px, slope (n,) in rad (positive: turned away to the right), at arc lengths s (n,)."""

    s: F64
    x: F64
    d: F64
    slope: F64


def curve(cutout: Cutout, angle_rad: float, axis_rad: float = math.pi / 2, shade: float = 0.3) -> Cutout:
    """The cut-out on a cylinder, which turns by angle_rad from its middle to its far end. Positive: it bulges towards the viewer.
    axis_rad: direction of the cylinder's axis, clockwise on the screen. shade [0, 1]: how much light falls off with the slope."""
    if not 0 < abs(angle_rad) <= 1.4:
        raise ConfigError(f"curve: angle_rad must be in [-1.4, 1.4] and not 0, got {angle_rad}")

    def profile(s: F64) -> tuple[F64, F64, F64]:
        radius = float(np.abs(s).max()) / abs(angle_rad)
        theta = s / radius
        sign = math.copysign(1.0, angle_rad)
        return radius * np.sin(theta), sign * radius * (1 - np.cos(theta)), sign * theta

    return _bent(cutout, profile, axis_rad, shade)


def fold(cutout: Cutout, angle_rad: float, at: float = 0.0, axis_rad: float = math.pi / 2, shade: float = 0.3) -> Cutout:
    """The cut-out folded by angle_rad along a line in direction axis_rad; both sides turn by half of it, away from the viewer where it is
    positive. at [-1, 1]: where the line lies, from one end to the other."""
    if not 0 < abs(angle_rad) <= 2.4 or not -1 <= at <= 1:
        raise ConfigError(f"fold: angle_rad must be in [-2.4, 2.4] and not 0, and at in [-1, 1], got {angle_rad} and {at}")

    def profile(s: F64) -> tuple[F64, F64, F64]:
        from_line = s - at * float(np.abs(s).max())
        half = angle_rad / 2
        return from_line * math.cos(half), np.abs(from_line) * math.sin(half), np.sign(from_line) * half

    return _bent(cutout, profile, axis_rad, shade)


def _bent(cutout: Cutout, profile: Callable[[F64], tuple[F64, F64, F64]], axis_rad: float, shade: float) -> Cutout:
    import cv2

    height, width = cutout.rgba.shape[:2]
    far = _FAR * max(width, height)
    across, along = np.array([math.sin(axis_rad), -math.cos(axis_rad)]), np.array([math.cos(axis_rad), math.sin(axis_rad)])
    middle = np.array([width, height]) / 2
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - middle
    reach = float(np.abs(corners @ across).max())
    s = np.linspace(-reach, reach, _TABLE)
    table = _Profile(s, *profile(s))

    def forward(xy: F64) -> F64:
        at, t = (xy - middle) @ across, (xy - middle) @ along
        depth = 1 + np.interp(at, table.s, table.d) / far
        return np.asarray((np.interp(at, table.s, table.x) / depth)[:, None] * across + (t / depth)[:, None] * along + middle)

    names = list(cutout.keypoints_xy)
    points = forward(np.array([cutout.keypoints_xy[name] for name in names], dtype=np.float64).reshape(-1, 2))
    sides = [np.linspace(corners[i], corners[(i + 1) % 4], 65) + middle for i in range(4)]
    rim = forward(np.concatenate(sides))
    low, high = np.floor(rim.min(axis=0)) - 1, np.ceil(rim.max(axis=0)) + 1
    columns, rows = (int(v) for v in high - low)
    seen_x = table.x / (1 + table.d / far)
    if (np.diff(seen_x) <= 0).any():
        raise ConfigError(f"cut-out '{cutout.name}': bent so far that it hides itself; bend it less")
    # By where a point is seen across the bend: its arc length, its depth and its light, at even steps, as a picture one row high.
    even = np.linspace(seen_x[0], seen_x[-1], _TABLE)
    back = np.interp(even, seen_x, table.s)
    light = 1 - shade * (1 - np.cos(np.interp(back, table.s, table.slope) + _LIGHT_RAD) / math.cos(_LIGHT_RAD))
    known = np.stack([back, 1 + np.interp(back, table.s, table.d) / far, np.clip(light, 0, 1.3)], axis=-1)[None].astype(np.float32)
    fine = 2 if max(width, height) <= _SMALL_PX else 1
    x, y = (
        np.arange(n * fine, dtype=np.float32) / fine + np.float32(0.5 / fine + start - mid)
        for n, start, mid in zip((columns, rows), low, middle, strict=True)
    )
    seen, along_px = (np.float32(v[0]) * x + np.float32(v[1]) * y[:, None] for v in (across, along))
    entry = (seen - np.float32(even[0])) / np.float32(even[1] - even[0])
    found = cv2.remap(known, entry, np.zeros_like(entry), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    s, t = cv2.extractChannel(found, 0), along_px * cv2.extractChannel(found, 1)
    # OpenCV counts from pixel centres.
    source_x = s * np.float32(across[0]) + t * np.float32(along[0]) + np.float32(middle[0] - 0.5)
    source_y = s * np.float32(across[1]) + t * np.float32(along[1]) + np.float32(middle[1] - 0.5)
    source_x[(entry < 0) | (entry > _TABLE - 1)] = -10
    drawn = cv2.remap(premultiplied(cutout.rgba), source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    drawn *= joined(repeated(cv2.extractChannel(found, 2)), np.ones(found.shape[:2], np.float32))
    rgba: F32 = cv2.resize(drawn, (columns, rows), interpolation=cv2.INTER_AREA)
    opacity = alpha_of(rgba)
    colour = to_srgb(colour_of(rgba) / repeated(np.maximum(opacity, np.float32(1e-6))))
    bent = joined(colour, np.round(opacity * 255).astype(np.uint8))
    moved = {name: (float(x), float(y)) for name, (x, y) in zip(names, points - low, strict=True)}
    return Cutout(cutout.name, bent, moved, cutout.hidden, cutout.licence)
