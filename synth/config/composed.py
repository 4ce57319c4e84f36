"""Recipes from YAML for Python: in a test, a notebook, a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synth.config.build import build_recipe
from synth.config.launch import Choices, launch
from synth.errors import ConfigError
from synth.recipe import Recipe


@dataclass(frozen=True)
class Composed:
    """A recipe and the resolved config that it was built from."""

    recipe: Recipe
    config: Mapping[str, Any]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that the scene's YAML names, as `camera.fov_rad`."""
        return scene_parameters(self.config)


def compose(*overrides: str) -> Composed:
    """What `synth generate` would run with these overrides: compose("scene=tabletop", "camera.width=320", "--config-dir=my/conf").

    Raises ConfigError as the command does.
    """
    made: list[Composed] = []

    def prepare(config: dict[str, Any], choices: Choices) -> Callable[[], int]:
        made.append(Composed(build_recipe(config, choices.groups["scene"]), config))
        return lambda: 0

    launch("generate", overrides, prepare)
    if len(made) != 1:
        raise ConfigError(f"compose makes one recipe, {list(overrides)} ask for {len(made)}")
    return made[0]


def scene_parameters(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that the scene of a resolved config names."""
    return tuple(_leaves(config["scene"], ""))


def _leaves(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, Mapping):
        inner = [(str(key), value) for key, value in node.items() if key != "_target_"]
    elif isinstance(node, list) and any(isinstance(item, Mapping) for item in node):
        inner = [(str(i), item) for i, item in enumerate(node)]
    else:
        yield path
        return
    for name, value in inner:
        yield from _leaves(value, f"{path}.{name}" if path else name)
