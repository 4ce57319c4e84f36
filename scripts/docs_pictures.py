"""Draw the pictures of README.md and docs/ again: .venv/bin/python scripts/docs_pictures.py"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from synth_scenes.tabletop import Tabletop

from synth import Generator, PyrenderSpec, Recipe, contact_sheet
from synth.types import U8, Instance, Sample
from synth.view import draw, save

IMAGES = Path("docs/images")
PAD = 90  # px of canvas around the frame, so that what is out of it can be drawn
INK = {"mask": (80, 200, 255), "mask_full": (255, 170, 60), "box": (80, 200, 255), "box_full": (255, 170, 60), "obb": (120, 255, 120)}


def on_canvas(picture: U8) -> Any:
    return cv2.copyMakeBorder(picture, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=(40, 40, 40))


def polygon(canvas: Any, xy: Any, color: tuple[int, int, int]) -> None:
    corners = np.round((np.asarray(xy, dtype=float) + PAD - 0.5) * 16).astype(np.int32)
    cv2.polylines(canvas, [corners], True, color, 2, cv2.LINE_AA, 4)


def rectangle(box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = box
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def tint(canvas: Any, mask: Any, color: tuple[int, int, int]) -> None:
    area = canvas[PAD:-PAD, PAD:-PAD]
    area[mask] = (area[mask] * 0.5 + np.array(color) * 0.5).astype(np.uint8)


def title(canvas: Any, text: str) -> Any:
    cv2.putText(canvas, text, (12, 34), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (240, 240, 240), 1, cv2.LINE_AA)
    return canvas


def obb_corners(instance: Instance) -> Any:
    assert instance.obb is not None
    o = instance.obb
    along = np.array([np.cos(o.angle_rad), np.sin(o.angle_rad)]) * o.width / 2
    across = np.array([-np.sin(o.angle_rad), np.cos(o.angle_rad)]) * o.height / 2
    center = np.array([o.center_x, o.center_y])
    return [center - along - across, center + along - across, center + along + across, center - along + across]


def label_panels(sample: Sample) -> U8:
    """Four panels: what is seen, what is whole, the rotated boxes, the keypoints."""
    panels = [on_canvas(sample.image) for _ in range(4)]
    for instance in sample.instances:
        if instance.mask is None or instance.mask_full is None or instance.box_xyxy is None or instance.box_full_xyxy is None:
            continue
        tint(panels[0], instance.mask.decode(), INK["mask"])
        polygon(panels[0], rectangle(instance.box_xyxy), INK["box"])
        tint(panels[1], instance.mask_full.decode(), INK["mask_full"])
        polygon(panels[1], rectangle(instance.box_full_xyxy), INK["box_full"])
        polygon(panels[2], obb_corners(instance), INK["obb"])
        x, y = int(instance.box_xyxy[0]) + PAD, int(instance.box_xyxy[1]) + PAD - 6
        text = f"visible {instance.visible_fraction:.0%}, outside {instance.truncated_fraction:.0%}"
        cv2.putText(panels[2], text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    panels[3] = on_canvas(draw(replace(sample, instances=tuple(replace(i, mask=None) for i in sample.instances))))
    names = ("mask and box", "mask_full and box_full", "obb, visible_fraction, truncated_fraction", "keypoints: dot v = 2, ring v = 1")
    rows = [title(panel, name) for panel, name in zip(panels, names, strict=True)]
    return np.asarray(np.vstack([np.hstack(rows[:2]), np.hstack(rows[2:])]), dtype=np.uint8)


def telling(generator: Generator) -> Sample:
    """A sample with an object half hidden, one cut by the frame, and not too many."""
    for index in range(400):
        sample = generator[index]
        visible = [i.visible_fraction or 0 for i in sample.instances]
        outside = [i.truncated_fraction or 0 for i in sample.instances]
        hidden = any(0.3 < v < 0.75 and o < 0.01 for v, o in zip(visible, outside, strict=True))
        if hidden and any(0.15 < o < 0.6 for o in outside) and len(visible) <= 5 and min(visible) > 0.2:
            return sample
    raise SystemExit("no telling sample among 400")


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Generator(Recipe(Tabletop(), PyrenderSpec(), seed=3, name="tabletop")) as generator:
        sheet = contact_sheet([generator[i] for i in range(12)], columns=4, cell_px=300)
        save(IMAGES / "tabletop.jpg", sheet)
        save(
            IMAGES / "labels.jpg",
            np.asarray(cv2.resize(label_panels(telling(generator)), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)),
        )


if __name__ == "__main__":
    main()
