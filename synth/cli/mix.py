"""`synth mix`: plan a mixture, print it, and save it as a small file for git."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.cli.shared import Arguments

if TYPE_CHECKING:
    from synth.config.launch import Choices

_ELSEWHERE = ("mix", "store", "out")  # keys that are not told in the name of the file


def mix(arguments: Arguments) -> int:
    """Plan a mixture of pinned samples and save the plan: synth mix mix=half_real."""
    from synth.cli.generate import _store_as_key
    from synth.config.launch import launch

    return launch("mix", _store_as_key(arguments), _prepare)


def _prepare(config: dict[str, Any], choices: Choices) -> Callable[[], int]:
    from synth.mix.plan import plan_of
    from synth.mix.wanted import Mix

    wanted = Mix.from_config(config["mix"])
    out = Path(config["out"] or f"{_name(choices)}.plan.json")

    def run() -> int:
        plan = plan_of(wanted, config["store"], config["seed"])
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(plan.to_json(), encoding="utf-8")
        print(plan.table())
        print(f"saved: {out}")
        return 0

    return run


def _name(choices: Choices) -> str:
    """Of the plan: the option of `mix`, and what else was set, so that no job of a sweep takes another's place.

    half_real-synth.weight=3-seed=2
    """
    told = [choices.groups.get("mix", "mix")]
    for override in choices.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key not in _ELSEWHERE:
            key = key.removeprefix("mix.").removeprefix("parts.")
            told.append(re.sub(r"[^\w.=-]+", "_", f"{key}={value}" if value else key)[:60])
    return "-".join(told)
