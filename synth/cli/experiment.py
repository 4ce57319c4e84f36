"""`synth experiment`: train a ladder of mixtures, and draw what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.cli.shared import Arguments

if TYPE_CHECKING:
    from synth.config.launch import Choices


def experiment(arguments: Arguments) -> int:
    """Train over a ladder of real and synthetic amounts and draw the curve: synth experiment experiment=cookie_ratio."""
    from synth.cli.generate import _store_as_key
    from synth.config.launch import launch

    return launch("experiment", _store_as_key(arguments), _prepare)


def _prepare(config: dict[str, Any], choices: Choices) -> Callable[[], int]:
    from synth.experiment.ladder import Experiment, Ladder
    from synth.experiment.report import table, write
    from synth.experiment.tracking import following

    name = choices.groups.get("experiment", "experiment")
    asked = Experiment.from_config(name, config["experiment"])
    folder = Path(config["out"] or f"runs/{name}")
    follow = following(config["trackers"], name, config["experiment"], folder)

    def run() -> int:
        ladder = Ladder(asked, config["store"], folder)
        print(f"{len(ladder.cells)} trainings in {folder}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "experiment.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        outcomes = ladder.run(lambda line: print(line, flush=True), follow)
        print(table(asked, outcomes))
        files = write(ladder, outcomes)
        print((folder / "curve.txt").read_text(encoding="utf-8"), end="")
        print(f"written: {', '.join(file.name for file in files)} in {folder}")
        return 0

    return run
