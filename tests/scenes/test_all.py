"""Every scene that ships passes the check that ships for scenes of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from synth.config.composed import Composed, compose
from synth.config.searchpath import config_folders, listed
from synth.testing import check_scene, wrong

FOLDER = dict(config_folders())["synth_scenes"] / "scene"
SCENES = [option.name for option in listed("scene") if option.provider == "synth_scenes"]
# Parameters that act only under other values than those of the YAML, and which.
IDLE = {
    "logos": ("others", "blending.feather_px"),  # where brands leaves brands out; where mode may be feather
    "person": ("in_view",),  # where several stand apart
}
# What makes a scene's worlds quick to compose.
QUICK = {
    "bin": ["scene.objects=Integers(2, 4)"],
    "field": ["scene.camera.distance_m=Uniform(0.3, 0.4)"],
    "lesion": ["scene.texture_px=128"],
    "person": ["scene.persons=1"],
}
# Where each parameter of the parts that many scenes share is tried; elsewhere one of each part is, since a scene may forget a part.
WHOLE = ("tabletop", "cutpaste", "logos")


def must_act(name: str, made: Composed) -> Iterator[str]:
    """A preset, whose YAML begins with another one's values, has its parameters from there."""
    if "defaults" in yaml.safe_load((FOLDER / f"{name}.yaml").read_text()):
        return
    scene, tried = made.config["scene"], set()
    own = scene["_target_"].rpartition(".")[0]
    for path in made.parameters:
        part, _, key = path.partition(".")
        if key and name not in WHOLE and not scene[part]["_target_"].startswith(own):
            if part in tried or "(" not in str(scene[part].get(key)):
                continue
            tried.add(part)
        if path not in IDLE.get(name, ()):
            yield path


@pytest.mark.parametrize("name", SCENES)
def test_a_shipped_scene_passes_its_check(name: str) -> None:
    made = compose(f"scene={name}", "renderer=flat", "camera.width=96", "camera.height=72", *QUICK.get(name, ()))
    findings = check_scene(made.recipe.scene, name=name, samples=3, worlds=8, must_act=list(must_act(name, made)))
    assert wrong(findings) == []
