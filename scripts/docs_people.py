"""Draw the pictures of the scenes person and scanner in docs/images/scenes/ again: .venv/bin/python scripts/docs_people.py"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import synth_scenes
import yaml

from synth import Generator, PyrenderSpec, Recipe, contact_sheet
from synth.config.build import build
from synth.types import Sample
from synth.view import save

IMAGES = Path("docs/images/scenes")


def samples(name: str, seed: int, width: int, height: int) -> list[Sample]:
    """Twelve of a scene as its option has it."""
    values: dict[str, Any] = yaml.safe_load((Path(synth_scenes.__file__).parent / f"conf/scene/{name}.yaml").read_text())
    size = {"width": width, "height": height}
    values |= {"camera": values["camera"] | size} if "camera" in values else size
    with Generator(Recipe(build(values), PyrenderSpec(), seed=seed, name=name)) as generator:
        return [generator[i] for i in range(12)]


def main() -> None:
    """Write both. Of people, masks are left out: they would hide what the scene looks like."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    people = [replace(s, instances=tuple(replace(i, mask=None) for i in s.instances)) for s in samples("person", 11, 480, 360)]
    save(IMAGES / "person.jpg", contact_sheet(people, columns=4, cell_px=320))
    save(IMAGES / "scanner.jpg", contact_sheet(samples("scanner", 4, 320, 440), columns=6, cell_px=200))


if __name__ == "__main__":
    main()
