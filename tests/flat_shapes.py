"""Cut-outs whose truth is known on paper, shared by the tests of what is 2D."""

from __future__ import annotations

import math

import numpy as np

from synth.annotate import finish
from synth.collage import CollageRenderer
from synth.types import F64, Category, Collage, Cutout, Instance, Layer

THING = Category("thing", ("a", "b", "c"))
GREY = 60
_FINE = 8


def disc(pixels: int) -> tuple[Cutout, float]:
    """A disc in the middle of a square picture, anti-aliased, and its radius in px."""
    radius = pixels / 2 - 2
    at = (np.arange(pixels * _FINE) + 0.5) / _FINE - pixels / 2
    inside = (at**2 + at[:, None] ** 2 < radius**2).reshape(pixels, _FINE, pixels, _FINE).mean(axis=(1, 3))
    rgba = np.zeros((pixels, pixels, 4), np.uint8)
    rgba[..., :3] = (230, 140, 60)
    rgba[..., 3] = np.round(255 * inside)
    middle = pixels / 2
    return Cutout("disc", rgba, {"a": (middle, middle)}), radius


def rectangle(width: int, height: int) -> Cutout:
    """Opaque to its borders; keypoints a and b at the left corners, c in the lower right one."""
    rgba = np.empty((height, width, 4), np.uint8)
    rgba[:] = (200, 60, 40, 255)
    return Cutout("rectangle", rgba, {"a": (0.5, 0.5), "b": (width - 0.5, 0.5), "c": (width - 0.5, height - 0.5)})


def triangle(pixels: int) -> Cutout:
    """The lower left half of a square, anti-aliased; keypoints are its corners."""
    rgba = np.zeros((pixels, pixels, 4), np.uint8)
    rgba[..., 1] = 180
    rgba[..., 3] = np.tril(np.full((pixels, pixels), 255))
    np.fill_diagonal(rgba[..., 3], 128)
    return Cutout("triangle", rgba, {"a": (0, 0), "b": (0, pixels), "c": (pixels, pixels)})


def similarity(cutout: Cutout, factor: float, x: float, y: float, turn_rad: float = 0.0) -> F64:
    """image_from_layer that scales and turns a cut-out about its middle and puts that at (x, y)."""
    rows, columns = cutout.rgba.shape[:2]
    c, s = factor * math.cos(turn_rad), factor * math.sin(turn_rad)
    turn = np.array([[c, -s], [s, c]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = np.array([x, y]) - turn @ [columns / 2, rows / 2]
    return matrix


def collage(*layers: Layer, size: tuple[int, int]) -> Collage:
    """Layers over plain grey, width x height px."""
    return Collage(np.full((size[1], size[0], 3), GREY, np.uint8), layers)


def only(made: Collage) -> Instance:
    """The labels of its first labelled layer."""
    return finish(CollageRenderer().draw(made), (THING,)).instances[0]
