"""Pictures of samples with their labels drawn over them."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import ConfigError, FormatError
from synth.types import F64, U8, Bool, Category, Instance, Sample

_ENDINGS = (".png", ".jpg", ".jpeg")
_BITS = 4  # cv2 takes coordinates in 1/16 px


def draw(sample: Sample, scale: float = 1.0) -> U8:
    """The picture, `scale` times as large, with masks tinted, boxes, keypoints and names: (h, w, 3) sRGB.

    A dot in the object's colour is a keypoint that is seen (v = 2), a white ring one that is hidden (v = 1).
    """
    import cv2

    width, height = (max(1, round(side * scale)) for side in sample.size)
    filtered = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas: Any = cv2.resize(sample.image, (width, height), interpolation=filtered)
    categories = {category.name: category for category in sample.categories}
    shown = list(enumerate(sample.instances))
    for i, instance in shown:
        if instance.mask is not None:
            _tint(canvas, instance.mask.decode(), _color(i))
    for i, instance in shown:
        _box_and_name(canvas, instance, scale, _color(i))
    for i, instance in shown:
        _keypoints(canvas, instance, categories.get(instance.category), scale, _color(i))
    return np.asarray(canvas, dtype=np.uint8)


def contact_sheet(samples: Sequence[Sample], columns: int | None = None, cell_px: int = 320, gap_px: int = 4) -> U8:
    """All samples with labels drawn, in rows of `columns` (about as many as rows without), each `cell_px` wide."""
    columns = columns or max(1, math.ceil(math.sqrt(len(samples))))
    pictures = [draw(sample, cell_px / sample.size[0]) for sample in samples]
    row_px = max((picture.shape[0] for picture in pictures), default=1)
    rows = math.ceil(len(pictures) / columns)
    sheet = np.full((rows * (row_px + gap_px) + gap_px, columns * (cell_px + gap_px) + gap_px, 3), 24, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        top, left = gap_px + i // columns * (row_px + gap_px), gap_px + i % columns * (cell_px + gap_px)
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture[:, :cell_px]
    return sheet


def save(path: Path, picture: U8) -> None:
    """Write a picture as PNG or JPEG, by the ending of `path`; folders are made. Raises ConfigError or FormatError."""
    from PIL import Image

    check_ending(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error


def check_ending(path: Path) -> None:
    """Raise ConfigError unless `save` can tell from `path` what to write."""
    if path.suffix.lower() not in _ENDINGS:
        raise ConfigError(f"the name of a picture must end with {' or '.join(_ENDINGS)}, got '{path}'")


def _color(number: int) -> tuple[int, int, int]:
    """Neighbouring numbers get hues far apart (golden-ratio steps)."""
    r, g, b = colorsys.hsv_to_rgb((0.08 + number * 0.618034) % 1, 0.75, 1.0)
    return int(r * 255), int(g * 255), int(b * 255)


def _cv(xy_px: Sequence[float], scale: float) -> tuple[int, int]:
    """A point of the pixel law, scaled, as cv2 wants it: pixel centres at whole numbers, in units of 1/16 px."""
    x, y = (round((v * scale - 0.5) * (1 << _BITS)) for v in xy_px)
    return x, y


def _tint(canvas: Any, mask: Bool, color: tuple[int, int, int]) -> None:
    import cv2

    height, width = canvas.shape[:2]
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)[..., None]
    canvas[:] = (canvas * (1 - 0.25 * share) + np.array(color) * 0.25 * share).astype(np.uint8)
    contours, _ = cv2.findContours((share[..., 0] > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, color, 1, cv2.LINE_AA)


def _outline(instance: Instance) -> F64 | None:
    """(4, 2) corners of the box, or of the rotated one where a person gave only that."""
    if instance.box_xyxy is not None:
        x0, y0, x1, y1 = instance.box_xyxy
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return None if instance.obb is None else instance.obb.corners_xy


def _box_and_name(canvas: Any, instance: Instance, scale: float, color: tuple[int, int, int]) -> None:
    import cv2

    outline = _outline(instance)
    if outline is None:
        return
    x0, y0 = outline.min(axis=0)
    corners = np.array([_cv(point, scale) for point in outline.tolist()], dtype=np.int32)
    cv2.polylines(canvas, [corners], True, color, 1, cv2.LINE_AA, _BITS)
    text = instance.category if instance.visible_fraction is None else f"{instance.category} {instance.visible_fraction:.0%}"
    size = 0.38 if canvas.shape[1] < 900 else 0.5
    (wide, tall), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    left = int(min(max(x0 * scale, 0), max(canvas.shape[1] - wide - 4, 0)))
    bottom = int(y0 * scale) if y0 * scale > tall + base + 2 else int(y0 * scale) + tall + base + 2
    cv2.rectangle(canvas, (left, bottom - tall - base - 1), (left + wide + 3, bottom), color, -1)
    cv2.putText(canvas, text, (left + 2, bottom - base), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)


def _keypoints(canvas: Any, instance: Instance, category: Category | None, scale: float, color: tuple[int, int, int]) -> None:
    import cv2

    if instance.keypoints is None:
        return
    xy, v = instance.keypoints.xy, instance.keypoints.v
    names = list(category.keypoints) if category else []
    for a, b in category.skeleton if category else ():
        i, j = names.index(a), names.index(b)
        if v[i] and v[j]:
            cv2.line(canvas, _cv(xy[i], scale), _cv(xy[j], scale), color, 1, cv2.LINE_AA, _BITS)
    radius_px = max(2.0, canvas.shape[1] / 240)
    for point, state in zip(xy, v, strict=True):
        if state:
            center = _cv(point, scale)
            cv2.circle(canvas, center, round((radius_px + 1) * (1 << _BITS)), (0, 0, 0), -1, cv2.LINE_AA, _BITS)
            cv2.circle(canvas, center, round(radius_px * (1 << _BITS)), color if state == 2 else (255, 255, 255), -1, cv2.LINE_AA, _BITS)
            if state == 1:
                cv2.circle(canvas, center, round(radius_px * 0.55 * (1 << _BITS)), (0, 0, 0), -1, cv2.LINE_AA, _BITS)
