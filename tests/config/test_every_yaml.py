"""Every YAML that ships composes, builds and generates a sample."""

from __future__ import annotations

import pytest
import yaml

from synth.config.composed import compose
from synth.config.launch import launch
from synth.config.searchpath import options, own_configs
from synth.recipe import Generator

GROUPS = [
    group
    for default in yaml.safe_load((own_configs() / "generate.yaml").read_text())["defaults"]
    if isinstance(default, dict)
    for group in default
    if not group.startswith("override")
]


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in options(group)])
def test_a_shipped_yaml_generates(group: str, option: str) -> None:
    small = ["camera.width=96", "camera.height=72", *(["renderer=flat"] if group != "renderer" else [])]
    with Generator(compose(f"{group}={option}", *small).recipe) as generator:
        sample = generator[0]
    assert sample.size == (96, 72)
    assert sample.instances


@pytest.mark.parametrize(("command", "option"), [(command, option) for command in ("mix", "experiment") for option in options(command)])
def test_a_shipped_yaml_of_the_other_commands_composes(command: str, option: str) -> None:
    seen: list[object] = []
    assert launch(command, [f"{command}={option}"], lambda config, _: lambda: seen.append(config[command]) or 0) == 0
    assert seen
