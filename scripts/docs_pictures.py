"""Draw the pictures of README.md and docs/ again: .venv/bin/python scripts/docs_pictures.py"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import synth_scenes
import yaml
from docs_stages import grid, named, sheets
from PIL import Image
from synth_scenes.backdrops import cutouts_in
from synth_scenes.tabletop import Tabletop

from synth import Generator, PyrenderSpec, Recipe, contact_sheet
from synth.annotate import annotate, finish
from synth.collage import CollageRenderer, CollageSpec
from synth.collage.paste import Paste, copy_paste
from synth.config.build import build
from synth.cutouts import load_cutout
from synth.images import load_photo
from synth.layout import Blending, Layout
from synth.rand import LogUniform, rng_for
from synth.types import U8, Blend, Collage, Draft, Instance, Layer, Sample
from synth.view import draw, save
from synth.warp import cover, extent

IMAGES = Path("docs/images")
ASSETS = Path(synth_scenes.__file__).parent / "assets"
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


# --- collages ---------------------------------------------------------------------------------------------------------


def shipped(name: str) -> Any:
    """A scene of the package as its YAML has it."""
    values = yaml.safe_load((Path(synth_scenes.__file__).parent / "conf" / "scene" / f"{name}.yaml").read_text())
    return build(values | {"width": 640, "height": 480})


BLENDS = {
    "none": Blend(),
    "feather, width_px 6": Blend("feather", 6),
    "gaussian, width_px 2": Blend("gaussian", 2),
    "motion, width_px 16, angle_rad 0.5": Blend("motion", 16, 0.5),
    "poisson": Blend("poisson"),
    "none, match 0.8": Blend(match=0.8),
    "none, shadow 0.6": Blend(shadow=0.6, shadow_blur_px=7, shadow_offset_px=(10, 12)),
    "gaussian 1, match 0.4, shadow 0.4": Blend("gaussian", 1, match=0.4, shadow=0.4, shadow_blur_px=7, shadow_offset_px=(8, 10)),
}


def blending_panels() -> U8:
    """One cut-out on one photo in all modes, with a corner of it enlarged."""
    cutout = load_cutout(next(path for path in cutouts_in("groceries") if "milk" in str(path)))
    background = cover(load_photo(ASSETS / "photos" / "coffee.jpg"), 320, 320, 1.6, (0.2, 0.5))
    low, high = extent(cutout)
    factor, turn = 210 / float((high - low).max()), 0.25
    c, s = factor * np.cos(turn), factor * np.sin(turn)
    middle = np.array([160.0, 150.0]) - np.array([[c, -s], [s, c]]) @ ((low + high) / 2)
    matrix = np.array([[c, -s, middle[0]], [s, c, middle[1]], [0, 0, 1]])
    panels = []
    for name, how in BLENDS.items():
        image = CollageRenderer().draw(Collage(background, (Layer(cutout, matrix, None, how),))).image
        panel = np.array(image)
        panel[-116:-4, -116:-4] = cv2.resize(image[222:250, 162:190], None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
        cv2.rectangle(panel, (161, 221), (190, 250), (255, 255, 255), 1)
        cv2.rectangle(panel, (203, 203), (316, 316), (255, 255, 255), 1)
        panels.append(named(panel, name))
    return grid(panels, 4)


def pasted_panels(generator: Generator) -> U8:
    """Labels of a rendered picture before and after a paste, and of one picture's objects over another."""
    scene, renderer = generator.recipe.scene, generator.renderer
    worlds = [scene.compose(rng_for(3, index, "scene")) for index in (5, 9)]
    first, second = (annotate(world, renderer.render(world)) for world in worlds)  # type: ignore[arg-type]
    layout = Layout(scale=LogUniform(0.25, 0.45), hidden=0.6)
    paste = Paste(str(ASSETS / "cutouts" / "plants"), count=4, layout=layout, blending=Blending(mode="gaussian", gaussian_px=0.8))
    mixed = copy_paste(first, second, rng_for(3, 5, "copy"), share=0.5, blend=Blend("gaussian", 0.8))

    def panel(draft: Draft, text: str) -> Any:
        return named(draw(finish(draft, scene.categories), 0.75), text)

    return grid(
        [
            panel(first, "a rendered picture"),
            panel(paste.apply(first, rng_for(3, 2, "paste")), "Paste: distractors hide what they cover"),
            panel(second, "another one"),
            panel(mixed, "copy_paste: objects of it over the first"),
        ],
        2,
    )


def collages() -> None:
    """Pictures of docs/collage.md."""
    # With colours at full resolution: JPEG's usual half would draw fringes of its own along the edges shown here.
    Image.fromarray(blending_panels()).save(IMAGES / "collage_blending.jpg", quality=88, subsampling=0)
    for name, seed in (("cutpaste", 4), ("logos", 8)):
        with Generator(Recipe(shipped(name), CollageSpec(), seed=seed, name=name)) as generator:
            save(IMAGES / f"collage_{name}.jpg", contact_sheet([generator[i] for i in range(9)], columns=3, cell_px=360))


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    collages()
    with Generator(Recipe(Tabletop(), PyrenderSpec(), seed=3, name="tabletop")) as generator:
        sheet = contact_sheet([generator[i] for i in range(12)], columns=4, cell_px=300)
        save(IMAGES / "tabletop.jpg", sheet)
        save(IMAGES / "collage_paste.jpg", pasted_panels(generator))
        for name, stages in sheets(generator):
            Image.fromarray(stages).save(IMAGES / f"{name}.jpg", quality=72)
        save(
            IMAGES / "labels.jpg",
            np.asarray(cv2.resize(label_panels(telling(generator)), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)),
        )


if __name__ == "__main__":
    main()
