"""Drafts for the tests of sensors: flat fields, and dots whose centres are found again by centroid."""

from __future__ import annotations

from typing import Any

import numpy as np

from synth.geometry import project
from synth.types import F32, F64, U8, Camera, Category, Draft, DraftInstance, Window

WIDTH, HEIGHT = 320, 240
CAMERA = Camera.from_fov(WIDTH, HEIGHT, 1.0, np.eye(4))
DOT = Category("dot", ("middle",))


def flat(level: Any = 0.5, width: int = 64, height: int = 48, camera: Camera | None = None, depth_m: F32 | None = None) -> Draft:
    """A picture of one colour: sRGB bytes, or linear light below 1."""
    rgb = np.broadcast_to(np.asarray(level), (height, width, 3))
    if rgb.dtype.kind == "f":
        rgb = np.rint(255 * np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * np.maximum(rgb, 0) ** (1 / 2.4) - 0.055))
    return Draft(np.ascontiguousarray(rgb, dtype=np.uint8), np.zeros((height, width), np.int32), (), depth_m, None, camera)


def disc(xy: F64, radius: float) -> DraftInstance:
    """A disc with a keypoint in its middle."""
    x0, y0, side = int(xy[0] - radius) - 2, int(xy[1] - radius) - 2, int(2 * radius) + 5
    grid = np.stack(np.meshgrid(x0 + np.arange(side) + 0.5, y0 + np.arange(side) + 0.5), axis=-1)
    bits = np.linalg.norm(grid - xy, axis=-1) <= radius
    around = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    outline = xy + radius * np.stack([np.cos(around), np.sin(around)], axis=1)
    there = np.ones(1, dtype=np.bool_)
    return DraftInstance(DOT, "dot", Window(bits, x0, y0), outline, xy[None], there, there)


def dots(xyz_m: F64, camera: Camera = CAMERA, radius: float = 7.0, depth_m: float = 2.0) -> Draft:
    """Bright blobs on black, one at each point (n, 3) of the camera's frame, each with a disc that is labelled."""
    points = project(camera, xyz_m)
    width, height = camera.width, camera.height
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    light = np.zeros((height, width))
    items, instance = [], np.zeros((height, width), dtype=np.int32)
    for number, xy in enumerate(points, start=1):
        light += np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * 2.5**2))
        items.append(disc(xy, radius))
        instance[items[-1].silhouette.cut(width, height)] = number
    image = encoded(np.repeat(light[..., None], 3, axis=-1))
    return Draft(image, instance, tuple(items), np.full((height, width), depth_m, np.float32), None, camera)


def encoded(linear: F64) -> U8:
    """sRGB bytes of linear light, by the standard's own formula."""
    held = np.clip(linear, 0, 1)
    return np.rint(255 * np.where(held <= 0.0031308, 12.92 * held, 1.055 * held ** (1 / 2.4) - 0.055)).astype(np.uint8)


def decoded(image: U8) -> F64:
    """Linear light of sRGB bytes, by the standard's own formula."""
    value = image / 255.0
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def centroid(image: U8, near: F64, reach: int = 9) -> F64:
    """The centre of light around a point."""
    height, width = image.shape[:2]
    column, row = np.floor(near).astype(int)
    rows, columns = (
        np.arange(max(0, row - reach), min(height, row + reach + 1)),
        np.arange(max(0, column - reach), min(width, column + reach + 1)),
    )
    light = decoded(image)[np.ix_(rows, columns)].mean(axis=-1)
    return np.array([(light.sum(axis=0) * (columns + 0.5)).sum(), (light.sum(axis=1) * (rows + 0.5)).sum()]) / light.sum()


def inside(xy: F64, margin: float = 12.0) -> bool:
    """Whether a point lies well within the frame."""
    return bool(((xy > margin) & (xy < np.array([WIDTH, HEIGHT]) - margin)).all())


def spread(seed: int = 0, count: int = 12, z_m: float = 2.0) -> F64:
    """Points (count, 3) at z_m, apart from one another, most of them in CAMERA's view."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(20)[:count]
    xy = np.stack([cells % 5, cells // 5], axis=1) + rng.uniform(0.3, 0.7, (count, 2))
    half = np.array([np.tan(0.5), np.tan(0.5) * HEIGHT / WIDTH]) * z_m
    return np.column_stack([(xy / (5, 4) * 2 - 1) * half, np.full(count, z_m)])
