"""Recipes of shipped YAML, composed as `synth generate` composes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synth.config.build import build_recipe
from synth.config.launch import launch
from synth.recipe import Recipe


def recipe_of(*overrides: str) -> Recipe:
    """The recipe of a call of `synth generate`."""
    made: list[Recipe] = []

    def prepare(config: dict[str, Any], choices: Any) -> Callable[[], int]:
        made.append(build_recipe(config, choices.groups["scene"]))
        return lambda: 0

    assert launch("generate", overrides, prepare) == 0
    return made[0]
