"""Draw the pictures of scenes bin and shelf again: .venv/bin/python scripts/docs_crowded.py [bin] [shelf]"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import synth_scenes
import yaml

from synth import Generator, PyrenderSpec, Recipe, contact_sheet
from synth.config.build import build
from synth.types import Sample


def main() -> None:
    """Masks only: where so much is seen at once, boxes and names would hide what the scene looks like."""
    wanted = sys.argv[1:] or ["bin", "shelf"]
    if "bin" in wanted:
        write("bin", [masked(sample) for sample in made("bin", (0, 1, 2, 5, 7, 20, 23, 29, 33, 35, 38, 39))])
    if "shelf" in wanted:
        pairs = [each for sample in made("shelf", range(6)) for each in (replace(sample, instances=()), masked(sample, "gap"))]
        write("shelf", pairs)


def made(scene: str, indices: range | tuple[int, ...]) -> list[Sample]:
    """Samples of a scene as it ships."""
    values = yaml.safe_load((Path(synth_scenes.__file__).parent / f"conf/scene/{scene}.yaml").read_text())
    values["camera"] |= {"width": 480, "height": 360}
    with Generator(Recipe(build(values), PyrenderSpec(), seed=3, name=scene)) as generator:
        return [generator[i] for i in indices]


def masked(sample: Sample, boxed: str = "") -> Sample:
    """With masks only, and boxes of one category."""
    plain = {"keypoints": None, "box_xyxy": None, "obb": None}
    return replace(sample, instances=tuple(i if i.category == boxed else replace(i, **plain) for i in sample.instances))


def write(scene: str, samples: list[Sample]) -> None:
    """The sheet of twelve."""
    sheet = contact_sheet(samples, columns=4, cell_px=300)
    cv2.imwrite(f"docs/images/scenes/{scene}.jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 72])


if __name__ == "__main__":
    main()
