"""Points as heat maps, and heat maps as points.

Cell (column c, row r) of a map of stride s is over the pixels [s c, s (c + 1)) x [s r, s (r + 1)); where cell centres are whole numbers, a
point of the picture lies at xy / s - 0.5.
"""

from __future__ import annotations

import numpy as np

from synth.types import F32, F64


def gaussians(xy_px: F64, stride: int, size_px: tuple[int, int], sigma_cells: float) -> F32:
    """(h, w) the greatest of Gaussians at points (n, 2), 1 at a point; for a picture of `size_px` (w, h)."""
    width, height = size_px[0] // stride, size_px[1] // stride
    heat = np.zeros((height, width), np.float32)
    reach = int(np.ceil(3 * sigma_cells))
    for x, y in xy_px / stride - 0.5:
        column, row = round(float(x)), round(float(y))
        c0, c1, r0, r1 = max(0, column - reach), min(width, column + reach + 1), max(0, row - reach), min(height, row + reach + 1)
        if c0 >= c1 or r0 >= r1:
            continue
        across = np.exp(-((np.arange(c0, c1) - x) ** 2) / (2 * sigma_cells**2))
        down = np.exp(-((np.arange(r0, r1) - y) ** 2) / (2 * sigma_cells**2))
        heat[r0:r1, c0:c1] = np.maximum(heat[r0:r1, c0:c1], np.outer(down, across))
    return heat


def peaks(heat: F32, stride: int, least: float, radius_cells: int = 1) -> tuple[F64, F64]:
    """xy (n, 2) px and height (n,) of the local maxima of at least `least`, the highest first, each refined by the parabola through the
    logarithms of its neighbours, which is exact for a Gaussian."""
    import cv2

    around = np.ones((2 * radius_cells + 1,) * 2, np.uint8)
    number = np.arange(1, heat.size + 1, dtype=np.float64).reshape(heat.shape)
    number[heat < np.maximum(cv2.dilate(heat, around), least)] = 0
    top = (number > 0) & (number == cv2.dilate(number, around))  # of equal neighbours, as at a point between cells, the last is the top
    rows, columns = np.nonzero(top)
    order = np.argsort(-heat[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    logs = np.log(np.maximum(np.pad(heat, 1, mode="edge"), 1e-6)).astype(np.float64)
    middle = logs[rows + 1, columns + 1]
    xy = []
    for before, after, place in (
        (logs[rows + 1, columns], logs[rows + 1, columns + 2], columns),
        (logs[rows, columns + 1], logs[rows + 2, columns + 1], rows),
    ):
        bend = before - 2 * middle + after
        offset = np.where(bend < -1e-6, 0.5 * (before - after) / np.where(bend < -1e-6, bend, -1), 0)
        xy.append((place + np.clip(offset, -0.5, 0.5) + 0.5) * stride)
    return np.stack(xy, 1).reshape(-1, 2), heat[rows, columns].astype(np.float64)
