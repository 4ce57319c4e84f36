"""Checks for those who write scenes and renderers, each finding with where it lies and how to mend it; part of the product.

`check_scene` is what `synth scenes check NAME` runs; in a test of a plugin's own:

    made = compose("scene=bottle", "renderer=flat")  # synth.config.composed
    assert not wrong(check_scene(made.recipe.scene, must_act=made.parameters))
"""

from synth.testing.findings import Finding, wrong
from synth.testing.renderers import check_renderer
from synth.testing.scenes import check_scene

__all__ = ["Finding", "check_renderer", "check_scene", "wrong"]
