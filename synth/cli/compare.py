"""The command that sets two sets of samples side by side."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synth.cli.shared import REF, WHERE, Arguments, counting, parse, parser, printable, selected
from synth.errors import ConfigError

if TYPE_CHECKING:
    from synth.store import Samples


def compare(arguments: Arguments) -> int:
    """Set the synthetic samples of A beside the real ones of B: labels, pictures, how well they are told apart, what to change."""
    made = parser("compare", compare)
    made.add_argument("a", help=f"what is judged: {REF}, or the file of a pin")
    made.add_argument("b", help="what it should be like")
    made.add_argument("--where-a", metavar="SQL", help=WHERE)
    made.add_argument("--where-b", metavar="SQL", help="as --where-a, of B")
    made.add_argument("--limit", type=int, default=500, help="of each side at most so many samples, evenly spaced (default 500)")
    made.add_argument("--out", type=Path, metavar="DIR", help="write compare.json, compare.png (distributions) and sheet.png (samples)")
    made.add_argument("--features", metavar="MODULE:NAME", help="function from pictures to vectors (default: colours, edges, frequencies)")
    options = parse(made, arguments)
    if options.limit < 1:
        raise ConfigError(f"--limit must be at least 1, got {options.limit}")
    from synth import view
    from synth.compare import compare as compare_samples
    from synth.compare import plain_features
    from synth.compare.pictures import plot, sheet

    def read(ref: str, where: str | None) -> Samples:
        _, found = selected(argparse.Namespace(store=options.store, ref=ref, where=where), ())
        if not len(found):
            raise ConfigError(f"{ref}{f' where {where}' if where else ''} has no samples")
        return found.at(np.unique(np.linspace(0, len(found) - 1, min(options.limit, len(found))).round().astype(np.int64)))

    a, b = read(options.a, options.where_a), read(options.b, options.where_b)
    with counting("samples measured", len(a) + len(b)) as tell:
        found = compare_samples(a, b, extract=_extractor(options.features) if options.features else plain_features, tell=tell)
    print(printable(str(found)))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "compare.json").write_text(found.to_json() + "\n")
        plot(found, options.out / "compare.png")
        view.save(options.out / "sheet.png", sheet(found, a, b))
        print(f"written: {options.out}/compare.json, compare.png, sheet.png")
    return 0


def _extractor(name: str) -> Any:
    """The function `module:name`, looked for here too. Raises ConfigError."""
    import sys

    module, _, function = name.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), function, None)
    except ImportError as error:
        raise ConfigError(f"--features {name}: cannot import '{module}': {error}") from error
    finally:
        sys.path.remove("")
    if not callable(found):
        raise ConfigError(f"--features {name}: there is no function '{function}' in {module}")
    return found
