"""The `synth` command. It parses and prints; the library does the work. One module a kind of command, loaded when it is called."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module

from synth.cli.shared import STORE, Arguments
from synth.errors import ConfigError, SynthError, known_names

# Command -> where it is, how it is called, what it does.
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "generate": (
        "generate:generate",
        f"generate scene=tabletop n=1000 seed=7 store={STORE}   (Hydra: overrides, -m sweeps, --cfg job)",
        "Compose, render, label and commit samples.",
    ),
    "scenes": (
        "scenes:scenes",
        "scenes list | check NAME | preview NAME --out grid.png | new NAME [DIR]",
        "List scenes, check one, draw what its parameters do, begin one of your own.",
    ),
    "experiment": (
        "experiment:experiment",
        "experiment experiment=board_ratio [key=value ...]",
        "Train over a ladder of real and synthetic amounts and draw the curve.",
    ),
    "mix": (
        "mix:mix",
        "mix mix=half_real   (Hydra: overrides, -m sweeps)",
        "Plan a mixture of real and synthetic samples and save the plan, a small file for git.",
    ),
    "import": (
        "exchange:import_",
        "import coco ann.json --images DIR --name shop --split train",
        "Read labelled pictures of another tool, as one commit; all are checked first.",
    ),
    "export": (
        "exchange:export",
        "export yolo-pose REF OUT [--where SQL] [--strict]",
        "Write a version as files of another tool's format.",
    ),
    "log": ("look:log", "log [REF]", "Show the commits as a graph, newest first."),
    "show": (
        "look:show",
        "show REF [KEY] [--where SQL] [--sheet OUT.png]",
        "List samples, or print every label of one; --sheet draws them.",
    ),
    "diff": ("look:diff", "diff A B [--sheet OUT.png]", "Show what changed between two versions."),
    "compare": (
        "compare:compare",
        "compare A B [--where-b SQL] [--out DIR]",
        "Set synthetic samples beside real ones, and say what to change.",
    ),
    "sql": ("look:sql", 'sql "select source, category, count(*) from instances group by all"', "Ask a version in SQL."),
    "branch": ("change:branch", "branch NAME [REF]", "Begin a branch; without a name, list them."),
    "tag": ("change:tag", "tag NAME [REF]", "Name a version for good; without a name, list the tags."),
    "delete": ("change:delete", 'delete --where "visible_fraction_max < 0.1" [--branch B]', "Make a version without some samples."),
    "restore": ("change:restore", "restore REF [--branch B]", "Make a version with the content of an older one."),
    "merge": ("change:merge", "merge SOURCE [--into main] [--prefer source|target]", "Bring a branch's changes into another."),
    "gc": ("change:gc", "gc --keep 30d", "Join small fragments; free old versions that no branch, tag or pin names."),
    "pin": ("exchange:pin", "pin REF [--where SQL] > train.pin.json", "Print a small JSON file that names exactly these samples."),
    "pull": ("exchange:pull", "pull PIN DIR", "Make a local copy of a pin's samples, every byte compared."),
    "reproduce": (
        "check:reproduce",
        "reproduce REF KEY",
        "Make a stored sample again from the config kept with its commit and compare.",
    ),
    "doctor": ("check:doctor", "doctor", "Show versions, cores and GL, and what is missing with the command that installs it."),
}


def main(argv: Arguments | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 the call was wrong, 3 done with reported skips."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(_help())
            return 0 if arguments else 2
        if arguments[0] == "--version":
            from synth import __version__

            print(__version__)
            return 0
        if arguments[0] in ("-sc", "--shell-completion"):
            from synth.cli.generate import complete

            return complete(arguments, list(_COMMANDS))
        if arguments[0] not in _COMMANDS:
            raise ConfigError(f"{known_names('command', arguments[0], _COMMANDS)}; see synth --help")
        module, name = _COMMANDS[arguments[0]][0].split(":")
        code: int = getattr(import_module(f"synth.cli.{module}"), name)(arguments[1:])
        return code
    except SynthError as error:
        if debug:
            traceback.print_exc()
        print(f"synth: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:  # a run says where it stopped
        print(f"synth: {str(error) or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # such as a full disk behind our output
        if debug:
            traceback.print_exc()
        print(f"synth: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        return 1


def _help() -> str:
    lines = ["synth: labelled synthetic pictures, exact and reproducible, in a versioned store.", ""]
    for _, usage, what in _COMMANDS.values():
        lines += [f"  synth {usage}", f"      {what}"]
    lines += [
        "",
        f"Every command takes --store PLACE or store=PLACE (a folder or s3://bucket/prefix; default {STORE}) and --debug (tracebacks).",
        "Exit codes: 0 done, 1 failed, 2 the call was wrong, 3 done with reported skips.",
    ]
    return "\n".join(lines)
