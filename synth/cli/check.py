"""Commands that check: reproduce, doctor."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.cli.shared import Arguments, open_store, parse, parser


def reproduce(arguments: Arguments) -> int:
    """Make a stored sample again from the config kept with its commit and compare: synth reproduce REF KEY."""
    made = parser("reproduce", reproduce)
    made.add_argument("ref")
    made.add_argument("key")
    made.add_argument("--config-dir", type=Path, help="where its scene lies, if it came from a folder that is not installed")
    options = parse(made, arguments)
    from synth.config.build import build_recipe
    from synth.config.searchpath import loose
    from synth.reproduce import reproduce as make_again

    def recipe_of(meta: Mapping[str, Any]) -> Any:
        return build_recipe(meta["config"]["resolved"], meta["scene"])

    with loose(options.config_dir):
        outcome = make_again(open_store(options), options.key, options.ref, recipe_of)
    print("\n".join(outcome.lines))
    return 0 if outcome.same else 1


def doctor(arguments: Arguments) -> int:
    """Show versions, cores and GL, and what is missing with the command that installs it."""
    argparse.ArgumentParser(prog="synth doctor", description=doctor.__doc__).parse_args(arguments)
    from synth.doctor import examine

    missing = 0
    for finding in examine():
        print(f"{'missing' if finding.remedy else 'ok':8}{finding.what:24}{finding.found}")
        if finding.remedy:
            missing += 1
            print(f"{'':32}-> {finding.remedy}")
    return 1 if missing else 0
