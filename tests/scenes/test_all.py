"""Every scene that ships passes the check that ships for scenes of others."""

from __future__ import annotations

import pytest

from synth.config.searchpath import listed
from synth.testing import check_scene, wrong
from tests.composed import recipe_of

SCENES = [option.name for option in listed("scene") if option.provider == "synth_scenes"]
# Parameters that act only under other values than those of the YAML, and which.
WITHOUT_EFFECT = {
    "logos": ("others", "blending.feather_px"),  # where brands leaves brands out; where mode may be feather
    "tabletop_structured": ("surroundings.photos", "surroundings.color"),  # where kind is photo or color
}


@pytest.mark.parametrize("name", SCENES)
def test_a_shipped_scene_passes_its_check(name: str) -> None:
    recipe = recipe_of(f"scene={name}", "renderer=flat", "camera.width=96", "camera.height=72")
    findings = check_scene(recipe.scene, name=name, samples=3, worlds=8, without_effect=WITHOUT_EFFECT.get(name, ()))
    assert wrong(findings) == []
