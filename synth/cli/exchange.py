"""Commands that bring data in and out: import, export, pin, pull."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synth.cli.shared import REF, STORE, WHERE, Arguments, counting, open_store, parse, parser, printable, selected
from synth.errors import ConfigError, known_names
from synth.record import Records


def import_(arguments: Arguments) -> int:
    """Read labelled pictures of another tool into a store, as one commit: synth import coco ann.json --images DIR --name shop."""
    from synth import formats

    made = parser("import", import_)
    made.add_argument("format", help=f"one of {', '.join(formats.reader_names())}")
    made.add_argument("source", type=Path, help="the annotation file or the folder")
    made.add_argument("--images", type=Path, help="folder of the pictures, where the source does not say")
    made.add_argument("--name", required=True, help="of the dataset; begins every key")
    made.add_argument("--split", help="train, val, test or a name of your own (default: what the source says)")
    made.add_argument(
        "--group", metavar="REGEX", help="its first group, matched in a key, names what must stay in one split (a video, ...)"
    )
    made.add_argument("--licence", help="of the pictures, an SPDX name where there is one")
    made.add_argument("--annotator", help="who gave the labels")
    made.add_argument("--branch", default="main", help="branch to add to (default main)")
    made.add_argument("--message", default="")
    made.add_argument("--skip-bad", action="store_true", help="import the samples without a fault, report the others (exit code 3)")
    made.add_argument("--set", dest="options", action="append", default=[], metavar="NAME=VALUE", help="an option of the format's reader")
    options = parse(made, arguments)
    from synth.ingest import Naming, ingest

    chosen = _chosen(options.options, formats.reader_options(options.format), f"reading {options.format}")
    reader = formats.reader(options.format, source=options.source, images=options.images, **chosen)
    naming = Naming(options.name, options.split, options.licence, options.annotator, options.group)
    store = open_store(options, create=True)
    with counting("samples read") as tell:
        done = ingest(
            reader,
            store,
            naming,
            branch=options.branch,
            skip_bad=options.skip_bad,
            message=options.message,
            meta={"format": options.format, "options": {name: str(value) for name, value in chosen.items()}},
            tell=tell,
        )
    print(done)
    if done.faults.total:
        print(f"{done.faults.total} faults:\n{printable(str(done.faults))}", file=sys.stderr)
    return 3 if done.faults.total else 0


def _chosen(texts: Sequence[str], known: Sequence[str], what: str) -> dict[str, Any]:
    """The options of --set. Raises ConfigError if one is not among `known` or stands twice."""
    chosen: dict[str, Any] = {}
    for text in texts:
        name, value = _option(text)
        if name not in known:
            raise ConfigError(f"--set {name}: {known_names(f'option of {what}', name, known)}")
        if name in chosen:
            raise ConfigError(f"--set {name} is given twice")
        chosen[name] = value
    return chosen


def _option(text: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ConfigError(f"--set takes NAME=VALUE, got '{text}'")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {name}: the value is no YAML: {value}") from error


def export(arguments: Arguments) -> int:
    """Write a version, or a pin, as files of another tool's format: synth export yolo-pose REF OUT."""
    from synth import formats

    made = parser("export", export)
    made.add_argument("format", help=f"one of {', '.join(formats.writer_names())}")
    made.add_argument("ref", help=f"{REF}, or the file of a pin or of a mixture's plan")
    made.add_argument("out", type=Path, help="folder to make")
    made.add_argument("--where", help=WHERE)
    made.add_argument("--min-visible", type=float, default=0.1, help="instances less visible than this are marked `ignore` (default 0.1)")
    made.add_argument("--strict", action="store_true", help="refuse, rather than lose a label that the format cannot hold")
    made.add_argument("--set", dest="options", action="append", default=[], metavar="NAME=VALUE", help="an option of the format's writer")
    options = parse(made, arguments)
    given = {
        "out": options.out,
        "min_visible_fraction": options.min_visible,
        "strict": options.strict,
        **_chosen(options.options, formats.writer_options(options.format), f"writing {options.format}"),
    }
    formats.writer(options.format, **given)  # a wrong option is told before a store is opened
    samples, provenance = _chosen_samples(options)
    licences = provenance.pop("licences")
    told = {**provenance, "ref": options.ref, "where": options.where}
    report = formats.writer(options.format, **given, licences=licences, provenance=told).write(samples)
    print(f"{options.out}: {report}")
    return 0


def _chosen_samples(options: argparse.Namespace) -> tuple[Records, dict[str, Any]]:
    """What to export, of a store or of the plan of a mixture, and where it comes from."""
    if not options.ref.endswith(".plan.json"):
        store, samples = selected(options)
        return samples, store.provenance(samples.version)
    from synth.mix.export import Mixed

    if options.where is not None:
        raise ConfigError("a plan says which samples it mixes; --where goes with a branch, tag or version")
    mixed = Mixed(options.ref, None if options.store == STORE else options.store)
    return mixed, mixed.provenance()


def pin(arguments: Arguments) -> int:
    """Print a pin: a small JSON file for git that names exactly these samples: synth pin REF > train.pin.json."""
    made = parser("pin", pin)
    made.add_argument("ref", nargs="?", default="main", help=f"{REF} (default main)")
    made.add_argument("--where", help=WHERE)
    options = parse(made, arguments)
    print(replace(open_store(options).pin(options.ref, options.where), store=options.store).to_json(), end="")
    return 0


def pull(arguments: Arguments) -> int:
    """Make a local copy of a pin's samples, or of a version: synth pull PIN DIR. It resumes, and compares every byte."""
    made = parser("pull", pull)
    made.add_argument("ref", metavar="PIN", help=f"the file of a pin, or a {REF}")
    made.add_argument("folder", type=Path, help="folder of the copy, a store of its own")
    made.add_argument("--where", help=WHERE)
    options = parse(made, arguments)
    from synth.store import Pin
    from synth.store import pull as copy

    _, samples = selected(options)
    named = Pin.load(options.ref) if options.ref.endswith(".json") else None
    with counting("samples there", len(samples)) as tell:
        copy(samples, options.folder, named, tell)
    print(f"{options.folder}: {len(samples)} samples, every byte compared")
    return 0
