"""`synth generate`, and completion of Hydra's overrides."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.cli.shared import Arguments

if TYPE_CHECKING:
    from synth.config.launch import Choices


def generate(arguments: Arguments) -> int:
    """Compose, render, label and commit samples: synth generate scene=tabletop n=1000 seed=7."""
    from synth.config.launch import launch

    return launch("generate", _store_as_key(arguments), _prepare)


def _store_as_key(arguments: Arguments) -> list[str]:
    """`--store PATH` is taken as well as `store=PATH`, as in the other commands."""
    text = [argument.removeprefix("--") if argument.startswith("--store=") else argument for argument in arguments]
    while "--store" in text[:-1]:
        at = text.index("--store")
        text[at : at + 2] = [f"store={text[at + 1]}"]
    return text


def _prepare(config: dict[str, Any], choices: Choices) -> Callable[[], int]:
    from synth.config.build import build_recipe
    from synth.run import LocalExecutor, check_n, progress_for_terminal
    from synth.store import Store

    scene = choices.groups.get("scene", "scene")
    recipe = build_recipe(config, scene)
    check_n(config["n"])
    executor = LocalExecutor(workers=config["workers"])

    def run() -> int:
        if "://" not in config["store"] and not Path(config["store"]).exists():
            recipe.renderer.open().close()  # without GL nothing must be left behind, not even an empty store
        report = executor.generate(
            recipe,
            config["n"],
            Store.open(config["store"], create=True),
            message=config["message"] or f"generate scene={scene} n={config['n']} seed={config['seed']}",
            config={"resolved": config, "overrides": choices.overrides},
            progress=progress_for_terminal(),
        )
        print(report.summary())
        return report.exit_code

    return run


def complete(arguments: Arguments, commands: Sequence[str]) -> int:
    """What a shell asks while someone types: Hydra completes its commands by a script that calls `synth -sc` with the line so far."""
    program, *words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) < 2:
        print(" ".join(commands))
    elif words[0] == "generate":
        os.environ["COMP_LINE"] = " ".join((program, *words[1:]))
        return generate(arguments)
    return 0
