"""The skeleton of the human figure: its joints, how far they turn, and how long its limbs are.

Frames: at rest the figure stands with hanging arms, palms inward, x forward, y to its left, z up; each link's frame has its origin in its
joint. Segments as shares of stature: Drillis and Contini (1966), as tabulated by Winter, "Biomechanics and Motor Control of Human
Movement". Ranges of motion: American Academy of Orthopaedic Surgeons, "Joint Motion: Method of Measuring and Recording" (1965); those
of the trunk are shared by two joints, those of the neck by two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth.compose.articulation import Articulation, Joint, Link
from synth.types import F64, Xyz

STATURE_M = 1.75
"""Of the figure that shapes are modelled on; others are scaled from it, link by link."""

BACK, LEFT, UP = (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)  # axes: flexion of what hangs, abduction on the left, turn


def _degrees(*limits: tuple[float, float]) -> list[tuple[float, float]]:
    return [(math.radians(low), math.radians(high)) for low, high in limits]


def _mirrored(axis: Xyz) -> Xyz:
    """Of a turn, seen in a mirror across y: equal angles are equal movements of left and right."""
    return (-axis[0], axis[1], -axis[2])


_TRUNK = Joint.ball(_degrees((-13, 40), (-18, 18), (-23, 23)), ((0, 1, 0), (1, 0, 0), UP))  # forward, to the right, turn to the left
_NECK = Joint.ball(_degrees((-23, 23), (-23, 23), (-30, 30)), ((0, 1, 0), (1, 0, 0), UP))
# name: parent, origin in the parent's frame, kind, limits in degrees, axes of the left side; all but the first four come in pairs
_SIDES: dict[str, tuple[str, Xyz, str, list[tuple[float, float]], tuple[Xyz, ...]]] = {
    "clavicle": ("chest", (0.0, 0.03, 0.19), "ball", [(-10, 40), (-20, 20), (0, 0)], (LEFT, UP, BACK)),  # up, forward
    "upper_arm": ("clavicle", (-0.012, 0.148, 0.005), "ball", [(-60, 180), (-45, 180), (-90, 90)], (BACK, LEFT, UP)),  # flex, abduct, out
    "forearm": ("upper_arm", (0.0, 0.0, -0.31), "revolute", [(0, 150)], (BACK,)),
    "wrist": ("forearm", (0.0, 0.0, -0.13), "revolute", [(-80, 80)], ((0, 0, -1),)),  # pronation: the forearm's far half turns
    "hand": ("wrist", (0.0, 0.0, -0.125), "ball", [(-70, 80), (-20, 30), (0, 0)], ((-1, 0, 0), BACK, UP)),  # to the palm, to the thumb
    "thigh": ("pelvis", (0.0, 0.09, -0.045), "ball", [(-30, 120), (-30, 45), (-45, 45)], (BACK, LEFT, UP)),
    "shin": ("thigh", (0.0, 0.0, -0.42), "revolute", [(0, 135)], ((0, 1, 0),)),
    "foot": ("shin", (0.0, 0.0, -0.42), "ball", [(-50, 20), (-20, 20), (-10, 10)], (BACK, LEFT, UP)),
}
_CENTRE: dict[str, tuple[str | None, Xyz, Joint]] = {
    "pelvis": (None, (0.0, 0.0, 0.96), Joint()),
    "spine": ("pelvis", (-0.005, 0.0, 0.10), _TRUNK),
    "chest": ("spine", (0.0, 0.0, 0.16), _TRUNK),
    "neck": ("chest", (-0.02, 0.0, 0.265), _NECK),
    "head": ("neck", (0.017, 0.0, 0.075), _NECK),
}
SOLE_M = -0.075
"""Height of the sole in the foot's frame."""


@dataclass(frozen=True)
class Proportions:
    """How a figure differs from the one that shapes are modelled on: scales of lengths along limbs and heights of the trunk, of girths
    across them, and of breadths."""

    stature: float = 1.0
    legs: float = 1.0
    arms: float = 1.0
    trunk: float = 1.0
    girth: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    head: float = 1.0

    def scales(self) -> dict[str, F64]:
        """(3,) of each link, along the axes of its frame. Girth grows with stature to the power of 0.5: tall people are slimmer."""
        tall, girth = self.stature, self.girth * math.sqrt(self.stature)
        limb = math.sqrt(girth * tall)  # hands, feet and head follow stature more than weight
        low, high = girth * self.hips, girth * self.shoulders
        trunk = {
            "pelvis": (girth, low, tall * self.trunk),
            "spine": (girth * girth / math.sqrt(tall), girth * (self.hips + self.shoulders) / 2, tall * self.trunk),
            "chest": (girth, high, tall * self.trunk),
            "neck": (limb, limb, tall),
            "head": (self.head * tall**0.5,) * 3,
        }
        side = {
            "clavicle": (girth, high, tall * self.trunk),
            "upper_arm": (girth, girth, tall * self.arms),
            "forearm": (limb, limb, tall * self.arms),
            "wrist": (limb, limb, tall * self.arms),
            "hand": (tall * self.arms**0.5,) * 3,
            "thigh": (girth, girth, tall * self.legs),
            "shin": (limb, limb, tall * self.legs),
            "foot": (tall, math.sqrt(tall), math.sqrt(tall)),
        }
        both = {f"{which}_{name}": scale for name, scale in side.items() for which in ("left", "right")}
        return {name: np.array(scale) for name, scale in (trunk | both).items()}


def skeleton(proportions: Proportions | None = None) -> Articulation:
    """The links of a figure. The root is the pelvis, its origin above the ground that a standing figure's soles touch."""
    scales = (proportions or Proportions()).scales()
    ones = np.ones(3)
    links = []
    for name, (parent, origin, joint) in _CENTRE.items():
        scale = scales[parent] if parent else ones
        x, y, z = (np.array(origin) * scale).tolist()
        links.append(Link(name, parent, (x, y, z), joint))
    for which in ("left", "right"):
        for name, (parent, origin, kind, limits, axes) in _SIDES.items():
            above = f"{which}_{parent}" if parent in _SIDES else parent
            side = np.array([1, 1 if which == "left" else -1, 1])
            x, y, z = (np.array(origin) * side * scales[above]).tolist()
            turned = axes if which == "left" else tuple(_mirrored(axis) for axis in axes)
            links.append(Link(f"{which}_{name}", above, (x, y, z), Joint(kind, turned, tuple(_degrees(*limits)))))  # type: ignore[arg-type]
    return Articulation("person", tuple(links))


def both(angles: Mapping[str, object]) -> dict[str, object]:
    """The same movement on both sides."""
    return {(f"{which}_{name}" if name in _SIDES else name): value for name, value in angles.items() for which in ("left", "right")}


BIND = both({"upper_arm": (0.0, math.radians(48), 0.0), "thigh": (0.0, math.radians(9), 0.0)})
"""The pose that shapes are modelled in: arms and legs apart, so that they do not melt together."""
