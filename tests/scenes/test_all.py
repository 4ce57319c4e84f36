"""Every scene that ships passes the check that ships for scenes of others."""

from __future__ import annotations

import pytest

from synth.config.composed import compose
from synth.config.searchpath import listed
from synth.testing import check_scene, wrong

SCENES = [option.name for option in listed("scene") if option.provider == "synth_scenes"]
# Parameters that act only under other values than those of the YAML, and which.
WITHOUT_EFFECT = {
    "logos": ("others", "blending.feather_px"),  # where brands leaves brands out; where mode may be feather
    "tabletop_structured": ("surroundings.photos", "surroundings.color"),  # where kind is photo or color
}


@pytest.mark.parametrize("name", SCENES)
def test_a_shipped_scene_passes_its_check(name: str) -> None:
    made = compose(f"scene={name}", "renderer=flat", "camera.width=96", "camera.height=72")
    must_act = [path for path in made.parameters if path not in WITHOUT_EFFECT.get(name, ())]
    findings = check_scene(made.recipe.scene, name=name, samples=3, worlds=8, must_act=must_act)
    assert wrong(findings) == []
