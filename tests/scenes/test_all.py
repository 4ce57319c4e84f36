"""Every scene that ships passes the check that ships for scenes of others."""

from __future__ import annotations

import pytest
import yaml

from synth.config.composed import compose
from synth.config.searchpath import config_folders, listed
from synth.testing import check_scene, wrong

FOLDER = dict(config_folders())["synth_scenes"] / "scene"
SCENES = [option.name for option in listed("scene") if option.provider == "synth_scenes"]
# Parameters that act only under other values than those of the YAML, and which.
IDLE = {
    "field": ("surroundings.color",),  # where kind is color
    "logos": ("others", "blending.feather_px"),  # where brands leaves brands out; where mode may be feather
}


@pytest.mark.parametrize("name", SCENES)
def test_a_shipped_scene_passes_its_check(name: str) -> None:
    made = compose(f"scene={name}", "renderer=flat", "camera.width=96", "camera.height=72")
    # A preset, whose YAML begins with another one's values, has its parameters from there.
    preset = "defaults" in yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    must_act = [] if preset else [path for path in made.parameters if path not in IDLE.get(name, ())]
    findings = check_scene(made.recipe.scene, name=name, samples=3, worlds=8, must_act=must_act)
    assert wrong(findings) == []
