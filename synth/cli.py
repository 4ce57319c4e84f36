"""The `synth` command. It parses and prints; the library does the work."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.errors import ConfigError, SynthError, known_names

if TYPE_CHECKING:
    from synth.config.launch import Choices
    from synth.store import Store
    from synth.types import Sample

Arguments = Sequence[str]
_STORE = "./data/store"


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
            return _complete(arguments)
        if arguments[0] not in _COMMANDS:
            raise ConfigError(f"{known_names('command', arguments[0], _COMMANDS)}; see synth --help")
        return _COMMANDS[arguments[0]][0](arguments[1:])
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


# --- Hydra commands ---------------------------------------------------------------------------------------------------


def _generate(arguments: Arguments) -> int:
    """Compose, render, label and commit samples: synth generate scene=tabletop n=1000 seed=7."""
    from synth.config.launch import launch

    return launch("generate", _store_as_key(arguments), _prepare_generate)


def _store_as_key(arguments: Arguments) -> list[str]:
    """`--store PATH` is taken as well as `store=PATH`, as in the other commands."""
    text = [argument.removeprefix("--") if argument.startswith("--store=") else argument for argument in arguments]
    while "--store" in text[:-1]:
        at = text.index("--store")
        text[at : at + 2] = [f"store={text[at + 1]}"]
    return text


def _complete(arguments: Arguments) -> int:
    """What a shell asks while someone types: Hydra completes its commands by a script that calls `synth -sc` with the line so far."""
    program, *words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) < 2:
        print(" ".join(_COMMANDS))
    elif words[0] == "generate":
        os.environ["COMP_LINE"] = " ".join((program, *words[1:]))
        return _generate(arguments)
    return 0


def _prepare_generate(config: dict[str, Any], choices: Choices) -> Callable[[], int]:
    from synth.config.build import build_recipe
    from synth.run import LocalExecutor, check_n, progress_for_terminal
    from synth.store import Store

    scene = choices.groups.get("scene", "scene")
    recipe = build_recipe(config, scene)
    check_n(config["n"])
    executor = LocalExecutor(workers=config["workers"])

    def run() -> int:
        if not Path(config["store"]).exists():
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


# --- the store --------------------------------------------------------------------------------------------------------


def _log(arguments: Arguments) -> int:
    """List the commits of a store, newest first."""
    parser = _parser("log", _log)
    parser.add_argument("ref", nargs="?", default="main", help="branch, tag or version number; default main")
    options = _parse(parser, arguments)
    for commit in _open(options).log(options.ref):
        tags = f"  [{', '.join(commit.tags)}]" if commit.tags else ""
        print(f"v{commit.version}  {commit.time:%Y-%m-%d %H:%M:%S} UTC  +{commit.samples_added} = {commit.samples_total} samples{tags}")
        if commit.message:
            print(f"    {commit.message}")
        if commit.run:
            print(f"    run {commit.run}")
    return 0


def _show(arguments: Arguments) -> int:
    """List samples, or print every label of one; --sheet draws them."""
    parser = _parser("show", _show)
    parser.add_argument("ref", help="branch, tag or version number")
    parser.add_argument("key", nargs="?", help="one sample's key; without it, a line for each sample")
    parser.add_argument("--where", help="SQL condition over the columns, such as \"source = 'synthetic'\"")
    parser.add_argument("--limit", type=int, default=20, help="at most so many samples (default 20)")
    parser.add_argument("--sheet", type=Path, metavar="OUT.png", help="draw the samples with their labels into one picture")
    options = _parse(parser, arguments)
    if options.limit < 0:
        raise ConfigError(f"--limit must be a whole number from 0, got {options.limit}")
    if options.key and options.where is not None:
        raise ConfigError("--where chooses among samples; with a KEY there is nothing to choose")
    if options.sheet:
        from synth import view as pictures

        pictures.check_ending(options.sheet)
    store = _open(options)
    if options.key:
        samples: Sequence[Sample] = [store.get(options.key, options.ref)]
        print("\n".join(_describe(samples[0])))
    else:
        view = store.read(options.ref, options.where)
        samples = view[: options.limit]
        for sample in samples:
            found = Counter(instance.category for instance in sample.instances)
            print(f"{sample.key}  {sample.size[0]}x{sample.size[1]}  {', '.join(f'{n} {name}' for name, n in sorted(found.items()))}")
        print(f"{len(samples)} of {len(view)} samples")
    if options.sheet:
        if not samples:
            raise ConfigError("there is no sample to draw")
        pictures.save(options.sheet, pictures.draw(samples[0], 1.5) if options.key else pictures.contact_sheet(samples))
        print(f"drawn: {options.sheet}")
    return 0


def _describe(sample: Sample) -> list[str]:
    names = {category.name: category.keypoints for category in sample.categories}
    lines = [f"{sample.key}  {sample.size[0]}x{sample.size[1]}"]
    if sample.origin:
        origin = sample.origin
        lines.append(f"  scene {origin.scene}  seed {origin.seed}  index {origin.index}  recipe {origin.recipe[:12]}  {origin.renderer}")
    if sample.camera:
        lines.append(f"  camera  K {_numbers(sample.camera.image_from_camera)}  distortion {_numbers(sample.camera.distortion)}")
        lines.append(f"      world_from_camera: {_numbers(sample.camera.world_from_camera)}")
    for i, instance in enumerate(sample.instances):
        lines.append(f"  [{i}] {instance.category}" + (f" ({instance.asset})" if instance.asset else ""))
        labels = {name: getattr(instance, name) for name in _LABELS}
        labels["obb_cxcywha"] = instance.obb and [getattr(instance.obb, name) for name in instance.obb.__slots__]
        masks = {name: mask for name in ("mask", "mask_full") if (mask := getattr(instance, name)) is not None}
        lines += [f"      {name}: {mask.decode().sum()} px" for name, mask in masks.items()]
        lines += [f"      {name}: {_numbers(value)}" for name, value in labels.items() if value is not None]
        if (points := instance.keypoints) is not None:
            for j, name in enumerate(names[instance.category]):
                xyz = "" if points.xyz_m is None else f"  xyz_m {_numbers(points.xyz_m[j])}"
                lines.append(f"      {name}: ({_numbers(points.xy[j])}) v={points.v[j]}{xyz}")
    return lines


_LABELS = ("area_px", "box_xyxy", "box_full_xyxy", "visible_fraction", "truncated_fraction", "camera_from_object", "box3d_object_m")


def _numbers(value: Any) -> str:
    """A number, or all of an array, with four digits after the point where it is not whole."""
    import numpy as np

    return ", ".join(f"{v:.4f}".rstrip("0").rstrip(".") for v in np.ravel(value).tolist())


def _tag(arguments: Arguments) -> int:
    """Name a version for good: synth tag NAME REF."""
    parser = _parser("tag", _tag)
    parser.add_argument("name")
    parser.add_argument("ref", nargs="?", default="main")
    options = _parse(parser, arguments)
    store = _open(options)
    store.tag(options.name, options.ref)
    print(f"{options.name} -> v{store.resolve(options.name)}")
    return 0


def _reproduce(arguments: Arguments) -> int:
    """Make a stored sample again from the config kept with its commit and compare: synth reproduce REF KEY."""
    parser = _parser("reproduce", _reproduce)
    parser.add_argument("ref")
    parser.add_argument("key")
    options = _parse(parser, arguments)
    from synth.config.build import build_recipe
    from synth.reproduce import reproduce

    def recipe_of(meta: Mapping[str, Any]) -> Any:
        return build_recipe(meta["config"]["resolved"], meta["scene"])

    outcome = reproduce(_open(options), options.key, options.ref, recipe_of)
    print("\n".join(outcome.lines))
    return 0 if outcome.same else 1


def _export(arguments: Arguments) -> int:
    """Write a version as files of another tool's format: synth export coco REF OUT."""
    parser = _parser("export", _export)
    from synth import formats

    parser.add_argument("format", help=f"one of {', '.join(formats.writer_names())}")
    parser.add_argument("ref", help="branch, tag or version number")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--strict", action="store_true", help="refuse, rather than lose a label that the format cannot hold")
    parser.add_argument("--where", help="SQL condition over the columns")
    parser.add_argument("--min-visible", type=float, default=0.1, help="instances less visible than this are marked `ignore` (default 0.1)")
    options = _parse(parser, arguments)
    store = _open(options)
    provenance = store.provenance(options.ref)
    writer = formats.writer(
        options.format,
        out=options.out,
        min_visible_fraction=options.min_visible,
        strict=options.strict,
        licences=provenance.pop("licences"),
        provenance={**provenance, "where": options.where},
    )
    report = writer.write(store.read(provenance["version"], options.where, maps=()))
    print(f"{options.out}: {report}")
    return 0


def _doctor(arguments: Arguments) -> int:
    """Show versions, cores and GL, and what is missing with the command that installs it."""
    argparse.ArgumentParser(prog="synth doctor", description=_doctor.__doc__).parse_args(arguments)
    from synth.doctor import examine

    missing = 0
    for finding in examine():
        print(f"{'missing' if finding.remedy else 'ok':8}{finding.what:24}{finding.found}")
        if finding.remedy:
            missing += 1
            print(f"{'':32}-> {finding.remedy}")
    return 1 if missing else 0


# --- shared -----------------------------------------------------------------------------------------------------------


def _parser(name: str, command: Callable[[Arguments], int]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"synth {name}", description=command.__doc__)
    parser.add_argument("--store", default=_STORE, help=f"folder of the store (default {_STORE}); store=PATH works too")
    return parser


def _parse(parser: argparse.ArgumentParser, arguments: Arguments) -> argparse.Namespace:
    """The options; `store=PATH` is taken as well as `--store PATH`, as in Hydra commands."""
    return parser.parse_args([f"--{argument}" if argument.startswith("store=") else argument for argument in arguments])


def _open(options: argparse.Namespace) -> Store:
    from synth.store import Store

    return Store.open(options.store)


_COMMANDS: dict[str, tuple[Callable[[Arguments], int], str]] = {
    "generate": (_generate, "generate scene=tabletop n=1000 seed=7 store=./data/store   (Hydra: overrides, -m sweeps, --cfg job)"),
    "log": (_log, "log [REF]"),
    "show": (_show, "show REF [KEY] [--where SQL] [--sheet OUT.png]"),
    "tag": (_tag, "tag NAME [REF]"),
    "reproduce": (_reproduce, "reproduce REF KEY"),
    "export": (_export, "export coco REF OUT"),
    "doctor": (_doctor, "doctor"),
}


def _help() -> str:
    lines = ["synth: labelled synthetic pictures, exact and reproducible, in a versioned store.", ""]
    for command, usage in _COMMANDS.values():
        lines += [f"  synth {usage}", f"      {(command.__doc__ or '').strip()}"]
    lines += [
        "",
        f"Every command takes --store PATH or store=PATH (default {_STORE}) and --debug (tracebacks).",
        "Exit codes: 0 done, 1 failed, 2 the call was wrong, 3 done with reported skips.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
