"""Numbers of samples that say what they are like: of their labels, and of their pictures. One list of values a sample each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from synth.types import F64, U8, Instance, Sample

Values = tuple[float, ...]  # of one sample; empty where it says nothing of this


@dataclass(frozen=True, slots=True)
class Statistic:
    """name: as in tables. more, less: what to change when the values are too large, or too small, against those that are wanted."""

    name: str
    more: str
    less: str


def labels_of(sample: Sample) -> dict[str, Values]:
    """The values of LABELS of one sample."""
    width, height = sample.size
    shown = [instance for instance in sample.instances if instance.visible_fraction is None or instance.visible_fraction > 0]
    boxes = np.array([box for instance in shown if (box := _box(instance)) is not None], np.float64).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes, sides = boxes[(sides > 0).all(axis=1)], sides[(sides > 0).all(axis=1)]
    areas = np.prod(sides, axis=1) / (width * height)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2 / (width, height)
    at_edge = ((boxes[:, :2] <= 1) | (boxes[:, 2:] >= np.array([width, height]) - 1)).any(axis=1)
    v = [instance.keypoints.v for instance in shown if instance.keypoints is not None and len(instance.keypoints.v)]
    return {
        "objects a picture": (float(len(shown)),),
        "object size": _values(areas**0.5),
        "width over height": _values(np.log2(sides[:, 0] / sides[:, 1])),
        "place, x": _values(middles[:, 0]),
        "place, y": _values(middles[:, 1]),
        "cut by the frame": (float(at_edge.mean()),) if len(boxes) else (),
        "visible share": tuple(instance.visible_fraction for instance in shown if instance.visible_fraction is not None),
        "keypoints seen": tuple(float((each == 2).mean()) for each in v),
        "keypoints hidden": tuple(float((each == 1).mean()) for each in v),
    }


LABELS = (
    Statistic("objects a picture", "place fewer objects", "place more objects"),
    Statistic("object size", "move the camera away or draw objects smaller", "bring the camera nearer or draw objects larger"),
    Statistic("width over height", "show objects turned or seen so that they look narrower", "show objects turned so that they look wider"),
    Statistic("place, x", "aim the camera further right, so that objects lie further left", "aim the camera further left"),
    Statistic("place, y", "aim the camera lower, so that objects lie higher in the picture", "aim the camera higher"),
    Statistic("cut by the frame", "keep more objects whole in the frame", "let the frame cut more objects"),
    Statistic("visible share", "let objects hide one another more, or add occluders", "spread objects out, or take occluders away"),
    Statistic("keypoints seen", "add occluders, or views from behind", "take occluders away, or look from the front"),
    Statistic("keypoints hidden", "take occluders away (or the two sets count hidden keypoints by different rules)", "add occluders"),
)


def picture_of(image: U8) -> dict[str, Values]:
    """The values of PICTURES of one picture (h, w, 3) sRGB."""
    import cv2

    height, width = image.shape[:2]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    small: Any = cv2.resize(image, (128, max(8, round(128 * height / width))), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    lightness = lab[..., 0] / 100
    return {
        "brightness": (float(lightness.mean()),),
        "contrast": (float(lightness.std()),),
        "colourfulness": (float(chroma.mean()),),
        "warmth": (float(lab[..., 2].mean()),),
        "greenness": (float(-lab[..., 1].mean()),),
        "white pixels": (float((image.min(axis=2) >= 250).mean()),),
        "black pixels": (float((image.max(axis=2) <= 5).mean()),),
        "sharpness": (sharpness(gray),),
        "noise": (noise(gray),),
        "fine texture": (_fine(small),),
    }


PICTURES = (
    Statistic("brightness", "lower exposure or the lights", "raise exposure or the lights"),
    Statistic("contrast", "soften the lights, raise the surroundings' share", "harden the lights, lower the surroundings' share"),
    Statistic("colourfulness", "use duller materials and backgrounds", "use more colourful materials and backgrounds"),
    Statistic("warmth", "shift the white balance to blue", "shift the white balance to yellow"),
    Statistic("greenness", "shift the white balance to magenta", "shift the white balance to green"),
    Statistic("white pixels", "lower exposure: too much is blown out", "raise exposure: the others blow out more"),
    Statistic("black pixels", "raise exposure or the surroundings: too much is black", "lower exposure or the surroundings"),
    Statistic("sharpness", "add defocus, motion blur or a sensor preset (augment=phone, webcam, ...)", "lower blur"),
    Statistic("noise", "lower the sensor's noise", "add sensor noise (a stage of augment=phone, webcam, industrial)"),
    Statistic("fine texture", "use plainer textures and backgrounds", "use richer textures, backgrounds and distractors"),
)
STATISTICS = {statistic.name: statistic for statistic in (*LABELS, *PICTURES)}


def sharpness(gray: Any) -> float:
    """log2 of the mean gradient where it is strongest (the upper 2 %) over the grey values' deviation: of edges, whatever the contrast."""
    dy, dx = np.diff(gray, axis=0)[:, :-1], np.diff(gray, axis=1)[:-1]
    gradient = np.hypot(dx, dy).ravel()
    if gradient.size == 0:
        return 0.0
    top = max(1, gradient.size // 50)
    return math.log2(float(np.partition(gradient, -top)[-top:].mean()) / max(float(gray.std()), 1e-3) + 1e-3)


def noise(gray: Any) -> float:
    """Standard deviation of noise in steps of 1/255: Immerkaer (1996) on the plainer half of the picture's blocks, where texture counts
    least."""
    import cv2

    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel))[1:-1, 1:-1]
    rows, columns = response.shape[0] // 16, response.shape[1] // 16
    if not rows * columns:
        return 0.0
    blocks = response[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16).mean(axis=(1, 3))
    return float(np.sqrt(np.pi / 2) / 6 * np.sort(blocks.ravel())[: max(1, blocks.size // 2)].mean() * 255)


def _fine(small: U8) -> float:
    """log10 of the mean power of wavelengths of 2 to 8 px in a picture that is 128 px wide."""
    gray = small.astype(np.float64).mean(axis=2) / 255
    window = np.hanning(gray.shape[0])[:, None] * np.hanning(gray.shape[1])
    power = np.abs(np.fft.fft2((gray - gray.mean()) * window)) ** 2 / gray.size
    frequency = np.hypot(np.fft.fftfreq(gray.shape[0])[:, None], np.fft.fftfreq(gray.shape[1]))
    return float(np.log10(power[(frequency >= 1 / 8) & (frequency <= 1 / 2)].mean() + 1e-9))


def _values(array: Any) -> Values:
    return tuple(array.tolist())


def _box(instance: Instance) -> tuple[float, float, float, float] | None:
    if instance.box_xyxy is not None:
        return instance.box_xyxy
    if instance.obb is None:
        return None
    corners = instance.obb.corners_xy
    return (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())


FeatureExtractor = Callable[[Sequence[U8]], F64]
"""Pictures (h, w, 3) sRGB of any sizes -> (n, d) finite features, the same for equal pictures."""


def plain_features(pictures: Sequence[U8]) -> F64:
    """(n, 204): colours on a 4 x 4 grid (Lab, mean and deviation), orientations of edges on a 4 x 4 grid (6 each, as HOG), and the power of
    12 bands of frequency of the middle at full resolution, where blur, noise and resampling show. Not learnt, so nothing is downloaded."""
    return np.array([_plain(picture) for picture in pictures]).reshape(len(pictures), -1)


def _plain(picture: U8) -> F64:
    import cv2

    small: Any = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / 100
    cells = lab.reshape(4, 24, 4, 24, 3)
    colours = np.concatenate([cells.mean(axis=(1, 3)).ravel(), cells.std(axis=(1, 3)).ravel()])
    dy, dx = np.gradient(lab[..., 0])
    strength, bins = np.hypot(dx, dy), ((np.arctan2(dy, dx) % np.pi) / np.pi * 6).astype(int) % 6
    histograms = np.zeros((4, 4, 6))
    rows, columns = np.mgrid[0:96, 0:96] // 24
    np.add.at(histograms, (rows, columns, bins), strength)
    edges = np.log1p(histograms).ravel()
    side = min(256, *picture.shape[:2])
    top, left = ((extent - side) // 2 for extent in picture.shape[:2])
    gray = picture[top : top + side, left : left + side].astype(np.float64).mean(axis=2) / 255
    window = np.hanning(side + 2)[1:-1]
    power = np.abs(np.fft.fft2((gray - gray.mean()) * window[:, None] * window)) ** 2 / gray.size
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    edges_of_bands = np.geomspace(1 / 64, 0.5, 13)
    bands = [power[(frequency >= low) & (frequency < high)] for low, high in pairwise(edges_of_bands)]
    spectrum = np.array([np.log10(band.mean() + 1e-8) if band.size else 0.0 for band in bands])
    return np.concatenate([colours, edges, spectrum])
