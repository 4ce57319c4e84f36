"""Drafts and transforms for the tests of the stages, and the map of a picture as structured light measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.augment.albumentations import Albumentations
from synth.augment.chain import Chain
from synth.rand import Stream
from synth.types import F64, U8, Bool, Category, Draft, DraftInstance, Window

WIDTH, HEIGHT = 200, 150

GEOMETRIC: dict[str, dict[str, Any]] = {
    "HorizontalFlip": {},
    "VerticalFlip": {},
    "Transpose": {},
    "RandomRotate90": {},
    "D4": {},
    "SquareSymmetry": {},
    "Resize": {"height": 400, "width": 331},
    "LongestMaxSize": {"max_size": [120, 333]},
    "SmallestMaxSize": {"max_size": [90, 211]},
    "RandomScale": {"scale_limit": [-0.45, 0.9]},
    "Crop": {"x_min": 17, "y_min": 9, "x_max": 171, "y_max": 140},
    "CenterCrop": {"height": 170, "width": 131, "pad_if_needed": True},
    "RandomCrop": {"height": 101, "width": 140},
    "RandomCropFromBorders": {"crop_left": 0.3, "crop_right": 0.3, "crop_top": 0.3, "crop_bottom": 0.3},
    "AtLeastOneBBoxRandomCrop": {"height": 101, "width": 120},
    "BBoxSafeRandomCrop": {},
    "CropNonEmptyMaskIfExists": {"height": 101, "width": 120},
    "RandomResizedCrop": {"size": [160, 190], "scale": [0.3, 1.0]},
    "RandomSizedCrop": {"min_max_height": [80, 140], "size": [190, 170]},
    "RandomSizedBBoxSafeCrop": {"height": 160, "width": 210},
    "CropAndPad": {"percent": [-0.2, 0.2]},
    "Pad": {"padding": [11, 3, 0, 23]},
    "PadIfNeeded": {"min_height": 177, "min_width": 223},
    "Affine": {"scale": [0.8, 1.4], "translate_percent": [-0.1, 0.1], "rotate": [-180, 180], "shear": [-15, 15]},
    "ShiftScaleRotate": {},
    "SafeRotate": {"limit": [-180, 180]},
    "Rotate": {"limit": [-180, 180]},
    "Perspective": {"scale": [0.02, 0.12]},
    "ElasticTransform": {"alpha": 120, "sigma": 12},
    "OpticalDistortion": {"distort_limit": [-0.3, 0.3]},
    "ThinPlateSpline": {"scale_range": [0.05, 0.1]},
    "GridDistortion": {"num_steps": 6},
    "GridElasticDeform": {"num_grid_xy": [4, 3], "magnitude": 9},
}
"""Each geometric transform, with parameters that move a picture of WIDTH x HEIGHT well, sides that are no multiples among them."""

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *GEOMETRIC.items(),
    ("Rotate", {"limit": [-60, 60], "crop_border": True}),
    ("Affine", {"rotate": [-40, 40], "fit_output": True, "scale": [0.7, 1.0]}),
    ("Affine", {"scale": {"x": [1.2, 1.5], "y": [0.7, 0.8]}, "rotate": 20, "border_mode": "replicate"}),
    ("Perspective", {"keep_size": False}),
    ("Perspective", {"fit_output": True}),
    ("CropAndPad", {"px": [-9, 13, 21, -17], "keep_size": False}),
    ("OpticalDistortion", {"mode": "fisheye", "distort_limit": [-0.3, 0.3]}),
    ("ThinPlateSpline", {"scale_range": [0.3, 0.4]}),  # folds, and is weakened
    ("Resize", {"height": 40, "width": 333}),
    ("Resize", {"height": 330, "width": 440}),
]

HAND = Category("hand", ("left", "right", "tip"), (("left", "right"),))


def stage(name: str, params: dict[str, Any] | None = None, p: float = 1.0) -> Albumentations:
    """A transform with the parameters of GEOMETRIC unless others are given."""
    return Albumentations(name, GEOMETRIC.get(name, {}) if params is None else params, p)


def ellipse(cx: float, cy: float, a: float, b: float, turn: float) -> Callable[[F64], Bool]:
    """Whether points (..., 2) lie in an ellipse."""
    c, s = np.cos(turn), np.sin(turn)

    def inside(xy: F64) -> Bool:
        x, y = xy[..., 0] - cx, xy[..., 1] - cy
        return np.asarray(((x * c + y * s) / a) ** 2 + ((y * c - x * s) / b) ** 2 <= 1)

    return inside


def centres(x0: int, y0: int, width: int, height: int) -> F64:
    return np.stack(np.meshgrid(np.arange(x0, x0 + width) + 0.5, np.arange(y0, y0 + height) + 0.5), axis=-1)


def draft(seed: int, image: U8 | None = None, count: int = 4, frame_margin: int = 25) -> Draft:
    """Ellipses of 400 px and more, in front of one another and partly outside the frame, with three keypoints each."""
    rng = np.random.default_rng(seed)
    instance = np.zeros((HEIGHT, WIDTH), dtype=np.int32)
    items = []
    for number in range(1, count + 1):
        a, b, turn = rng.uniform(14, 30), rng.uniform(11, 20), rng.uniform(0, np.pi)
        cx, cy = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        inside = ellipse(cx, cy, a, b, turn)
        x0, y0 = int(cx) - frame_margin - 10, int(cy) - frame_margin - 10
        bits = inside(centres(x0, y0, 70, 70))
        silhouette = Window(bits, x0, y0)
        instance[silhouette.cut(WIDTH, HEIGHT)] = number
        around = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        edge = np.stack([a * np.cos(around), b * np.sin(around)], axis=1)
        axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        points = np.array([[-0.6 * a, 0], [0.6 * a, 0.1], [0.1, 0.5 * b]]) @ axes + (cx, cy)
        everywhere = np.ones(3, dtype=np.bool_)
        items.append(DraftInstance(HAND, "ellipse", silhouette, edge @ axes + (cx, cy), points, everywhere, everywhere))
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8) if image is None else image
    return Draft(picture, instance, tuple(items))


@dataclass
class Measured:
    """Where each pixel of a new picture comes from: source (h, w, 2) px, and known (h, w) where the picture tells."""

    source: F64
    known: Bool

    def forward(self, xy: F64) -> F64 | None:
        """Where a source point is in the new picture, from the pixels around it; None if it is not (well) inside."""
        distance = np.where(self.known, np.abs(self.source - xy).sum(axis=-1), np.inf)
        row, column = np.unravel_index(int(distance.argmin()), distance.shape)
        rows, columns = slice(row - 1, row + 2), slice(column - 1, column + 2)
        if min(row, column) < 1 or self.known[rows, columns].shape != (3, 3) or not self.known[rows, columns].all():
            return None
        near = self.source[rows, columns]
        bend = max(np.abs(np.diff(near, 2, axis=0)).max(), np.abs(np.diff(near, 2, axis=1)).max())
        if bend > 0.3:  # a kink of a piecewise map: one pixel's picture cannot tell where in it the kink lies
            return None
        for dy, dx in ((-1, -1), (-1, 1), (1, -1), (1, 1)):  # the triangles around that pixel's centre: linear in each
            for first in ((dy, 0), (0, dx)):
                ends = [first, (dy, dx)]
                here = self.source[row, column]
                sides = np.array([self.source[row + y, column + x] - here for y, x in ends]).T
                least, most = sorted(np.linalg.svd(sides, compute_uv=False))
                if least < 0.3 * most:  # squeezed so much that the measure's own error decides
                    continue
                share = np.linalg.solve(sides, xy - here)
                if (share > -0.02).all() and share.sum() < 1.02:
                    step = share @ np.array([[x, y] for y, x in ends])
                    return np.array([column + 0.5, row + 0.5]) + step
        return None


def measure(stage: Any, base: Draft, rng: Stream) -> tuple[Measured, Draft]:
    """The map of a stage, read from pictures that it moves: two waves in quadrature and a ramp, along x and along y."""
    period = 20.0
    axes, known = [], None
    out = base
    for axis, size in ((0, WIDTH), (1, HEIGHT)):
        at = centres(0, 0, WIDTH, HEIGHT)[..., axis]
        wave = 2 * np.pi * at / period
        image = np.stack([128 + 120 * np.cos(wave), 128 + 120 * np.sin(wave), 40 + 200 * at / size], axis=-1).round().astype(np.uint8)
        out = stage.apply(Draft(image, base.instance, base.instances, base.depth_m, base.normals, base.camera), rng.child())
        shown = out.image.astype(np.float64)
        coarse = (shown[..., 2] - 40) / 200 * size
        phase = np.arctan2(shown[..., 1] - 128, shown[..., 0] - 128) / (2 * np.pi) * period
        axes.append(phase + period * np.round((coarse - phase) / period))
        strong = np.hypot(shown[..., 0] - 128, shown[..., 1] - 128) > 60
        fits = strong & (np.abs(axes[-1] - coarse) < 5) & (shown[..., 2] >= 38)
        known = fits if known is None else known & fits
    source = np.stack(axes, axis=-1)
    assert known is not None
    eroded = np.pad(known, 1)  # where the picture ends it mixes with what is around it, and tells nothing
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            known = known & eroded[dy : dy + known.shape[0], dx : dx + known.shape[1]]
    known &= (source > 1.5).all(axis=-1) & (source < (WIDTH - 1.5, HEIGHT - 1.5)).all(axis=-1)
    return Measured(source, known), out


def random_list(seed: int, length: int) -> Chain:
    """A list of transforms, geometric ones and others mixed, all applied."""
    rng = np.random.default_rng(seed)
    names = [*GEOMETRIC, "GaussianBlur", "CoarseDropout"]
    steps = []
    for _ in range(length):
        name = names[rng.integers(len(names))]
        if "Crop" in name and name != "CropAndPad":  # a list of crops of fixed sides ends with nothing
            name = "RandomCropFromBorders"
        elif "Size" in name or name == "Resize":
            name = "RandomScale"
        params = {"scale_limit": [-0.2, 0.3]} if name == "RandomScale" else GEOMETRIC.get(name, {})
        # A wide blur bends the waves at the border, where it has nothing to average.
        steps.append(Albumentations(name, {"blur_limit": [3, 3]} if name == "GaussianBlur" else params))
    return Chain(steps)
