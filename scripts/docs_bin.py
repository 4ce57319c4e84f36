"""Draw the picture of scene bin again: .venv/bin/python scripts/docs_bin.py"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import synth_scenes
import yaml

from synth import Generator, PyrenderSpec, Recipe, contact_sheet
from synth.config.build import build


def main() -> None:
    """Twelve bins with their masks: in a pile, boxes and keypoints would hide what the scene looks like."""
    values = yaml.safe_load((Path(synth_scenes.__file__).parent / "conf/scene/bin.yaml").read_text())
    values["camera"] |= {"width": 480, "height": 360}
    with Generator(Recipe(build(values), PyrenderSpec(), seed=3, name="bin")) as generator:
        samples = [generator[i] for i in (0, 1, 2, 5, 7, 20, 23, 29, 33, 35, 38, 39)]
    masked = [replace(s, instances=tuple(replace(i, keypoints=None, box_xyxy=None, obb=None) for i in s.instances)) for s in samples]
    sheet = contact_sheet(masked, columns=4, cell_px=300)
    cv2.imwrite("docs/images/scenes/bin.jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 72])


if __name__ == "__main__":
    main()
