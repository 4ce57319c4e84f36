"""Samples of one size: pictures resized, labels moved with them by the pixel law (x times the scale, no half pixels)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from synth.types import U8, Instance, Keypoints, Obb, Rle, Sample

Fit = Literal["letterbox", "stretch"]
FILL = 114  # grey beside a picture of another shape


def scales(size: tuple[int, int], to: tuple[int, int], fit: Fit) -> tuple[float, float]:
    """How much wider and higher a picture of `size` (width, height) gets in one of size `to`, and so do its labels."""
    x, y = to[0] / size[0], to[1] / size[1]
    if fit == "stretch":
        return x, y
    scale = min(x, y)
    return round(size[0] * scale) / size[0], round(size[1] * scale) / size[1]  # whole pixels of the picture


def fit_image(image: U8, to: tuple[int, int], fit: Fit) -> U8:
    """The picture in size `to`; with `letterbox` its shape is kept, at the top left, and the rest is grey."""
    import cv2

    height, width = image.shape[:2]
    if (width, height) == to:
        return image
    x, y = scales((width, height), to, fit)
    inner = round(width * x), round(height * y)
    resized = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if min(x, y) < 1 else cv2.INTER_LINEAR)
    if inner == to:
        return np.asarray(resized, np.uint8)
    framed = np.full((to[1], to[0], 3), FILL, np.uint8)
    framed[: inner[1], : inner[0]] = resized
    return framed


def fit_labels(sample: Sample, image: U8, fit: Fit) -> Sample:
    """The sample with the picture that `fit_image` made of its own, or of one that had the sample's labelled size."""
    to = image.shape[1], image.shape[0]
    x, y = scales(sample.size, to, fit)
    instances = sample.instances if sample.size == to else tuple(_instance(one, to, x, y) for one in sample.instances)
    return replace(sample, image=image, instances=instances, depth_m=None, normals=None, camera=None)


def _instance(one: Instance, to: tuple[int, int], x: float, y: float) -> Instance:
    def box(given: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        return None if given is None else (given[0] * x, given[1] * y, given[2] * x, given[3] * y)

    def mask(given: Rle | None) -> Rle | None:
        return None if given is None else _mask(given, to, x, y)

    made = mask(one.mask)
    points = one.keypoints
    return replace(
        one,
        mask=made,
        mask_full=mask(one.mask_full),
        area_px=None if one.area_px is None else round(one.area_px * x * y),
        box_xyxy=box(one.box_xyxy),
        box_full_xyxy=box(one.box_full_xyxy),
        obb=None if one.obb is None else _obb(one.obb, x, y),
        keypoints=None if points is None else Keypoints(points.xy * (x, y), points.v, points.xyz_m),
    )


def _mask(given: Rle, to: tuple[int, int], x: float, y: float) -> Rle:
    import cv2

    inner = round(given.width * x), round(given.height * y)
    whole = np.zeros((to[1], to[0]), np.bool_)
    whole[: inner[1], : inner[0]] = cv2.resize(given.decode().view(np.uint8), inner, interpolation=cv2.INTER_NEAREST_EXACT)
    return Rle.encode(whole)


def _obb(given: Obb, x: float, y: float) -> Obb:
    """Exact where both scales are equal; else the least rectangle around the corners."""
    from synth.geometry import least_area_rectangle

    if x == y:
        return Obb(given.center_x * x, given.center_y * y, given.width * x, given.height * x, given.angle_rad)
    return least_area_rectangle(given.corners_xy * (x, y))
