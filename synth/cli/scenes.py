"""`synth scenes`: list, check, preview and begin scenes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.cli.shared import Arguments, printable
from synth.errors import ConfigError, known_names

if TYPE_CHECKING:
    from synth.config.launch import Choices
    from synth.recipe import Recipe

_SMALL = {"camera.width": 320, "camera.height": 240}
_OVERRIDES = "overrides as of synth generate: scene.objects=4 renderer=flat --config-dir DIR ..."


def scenes(arguments: Arguments) -> int:
    """synth scenes list | check NAME | preview NAME --out grid.png | new NAME [DIR]."""
    words = {"list": list_, "check": check, "preview": preview, "new": new}
    if not arguments or arguments[0] in ("-h", "--help"):
        for word, command in words.items():
            print(f"  synth scenes {word:8} {(command.__doc__ or '').splitlines()[0]}")
        return 0 if arguments else 2
    if arguments[0] not in words:
        raise ConfigError(f"{known_names('command', f'scenes {arguments[0]}', [f'scenes {word}' for word in words])}")
    return words[arguments[0]](arguments[1:])


def list_(arguments: Arguments) -> int:
    """Show all scenes: name, the package it comes from, the first line of its YAML. No package is imported."""
    made = argparse.ArgumentParser(prog="synth scenes list", description=list_.__doc__)
    made.add_argument("--config-dir", type=Path, help="a folder of options of your own, as for synth generate")
    options = made.parse_args(arguments)
    from synth.config.searchpath import listed, plugins

    rows = [(option.name, option.provider, option.summary) for option in listed("scene", options.config_dir)]
    widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
    for name, provider, summary in rows:
        print(printable(f"{name:{widths[0]}}  {provider:{widths[1]}}  {summary}").rstrip())
    for package, folder in plugins().items():
        if folder is None:
            print(f"synth: plugin '{package}' has no config folder; reinstall the package that ships it", file=sys.stderr)
    return 0


def check(arguments: Arguments) -> int:
    """Look for what is wrong with a scene, and say how to mend it: synth scenes check NAME [overrides]."""
    made = _parser("check", check)
    made.add_argument("--samples", type=int, default=8, help="pictures whose labels are looked at (default 8)")
    made.add_argument("--worlds", type=int, default=32, help="worlds in which each parameter must show an effect (default 32)")
    made.add_argument("--idle", default="", metavar="A,B", help="parameters that may have none, as they act only under other values")
    options, overrides = made.parse_known_args(arguments)

    idle = [name.removeprefix("scene.") for name in options.idle.split(",") if name]

    def run(recipe: Recipe, config: dict[str, Any]) -> int:
        from synth.config.composed import scene_parameters
        from synth.testing import check_scene

        named = scene_parameters(config)
        for name in idle:
            if name not in named:
                raise ConfigError(f"--idle {known_names('parameter', name, named)}")
        findings = check_scene(
            recipe.scene,
            renderer=recipe.renderer,
            samples=options.samples,
            worlds=options.worlds,
            seed=recipe.seed,
            name=options.name,
            must_act=[name for name in named if name not in idle],
        )
        for finding in findings:
            print(printable(f"{'wrong' if finding.wrong else 'note':7}{finding}"))
        faults = sum(finding.wrong for finding in findings)
        print(f"{options.name}: {faults} to mend" if faults else f"{options.name}: all well")
        return 1 if faults else 0

    return _with_recipe(options, overrides, run, renderer="flat", **_SMALL)


def preview(arguments: Arguments) -> int:
    """Draw what a scene's parameters do, labels and all: synth scenes preview NAME --out grid.png [overrides]."""
    made = _parser("preview", preview)
    made.add_argument("--out", type=Path, required=True, metavar="GRID.png")
    made.add_argument("--sweep", default="", metavar="A,B", help="parameters to sweep (default: those that change the picture most)")
    made.add_argument("--rows", type=int, default=7, help="at most so many parameters (default 7)")
    made.add_argument("--columns", type=int, default=5, help="pictures in a row (default 5)")
    made.add_argument("--cell", type=int, default=240, metavar="PX", help="width of a picture (default 240)")
    options, overrides = made.parse_known_args(arguments)
    for name, least in (("rows", 0), ("columns", 2), ("cell", 32)):
        if getattr(options, name) < least:
            raise ConfigError(f"--{name} must be a whole number from {least}, got {getattr(options, name)}")
    from synth import view

    view.check_ending(options.out)

    def run(recipe: Recipe, config: dict[str, Any]) -> int:
        from synth.preview import preview as draw

        only = [name.removeprefix("scene.") for name in options.sweep.split(",") if name]

        def tell(text: str) -> None:
            print(text, file=sys.stderr)

        grid = draw(recipe, only=only, rows=options.rows, columns=options.columns, cell_px=options.cell, tell=tell)
        view.save(options.out, grid)
        print(f"drawn: {options.out}")
        return 0

    return _with_recipe(options, overrides, run, **_SMALL)


def new(arguments: Arguments) -> int:
    """Write a small package with a scene that generates at once: synth scenes new NAME [DIR]."""
    made = argparse.ArgumentParser(prog="synth scenes new", description=new.__doc__)
    made.add_argument("name", help="of the scene: lower-case letters, digits and _")
    made.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="where to (default ./NAME_scene)")
    options = made.parse_args(arguments)
    from synth.config.searchpath import options as known
    from synth.scaffold import package_of, write_package

    package = package_of(options.name)
    if options.name in known("scene"):
        raise ConfigError(f"there is a scene '{options.name}' already; take another name")
    folder = options.folder or Path(package)
    for path in write_package(options.name, folder):
        print(f"written: {path}")
    print(f"try it:  synth generate --config-dir {folder / package / 'conf'} scene={options.name} n=8")
    print(f"install: pip install -e {folder}")
    return 0


def _with_recipe(
    options: argparse.Namespace, overrides: Sequence[str], run: Callable[[Recipe, dict[str, Any]], int], **defaults: Any
) -> int:
    """Run something with the recipe of a scene, as `synth generate` would make it, but for other defaults."""
    from synth.config.build import build_recipe
    from synth.config.launch import launch

    def prepare(config: dict[str, Any], choices: Choices) -> Callable[[], int]:
        recipe = build_recipe(config, choices.groups["scene"])
        return lambda: run(recipe, config)

    given = {override.partition("=")[0] for override in overrides}
    first = [f"{key}={value}" for key, value in defaults.items() if key not in given]
    folder = [f"--config-dir={options.config_dir}"] if options.config_dir else []
    return launch("generate", [f"scene={options.name}", *first, *overrides, *folder], prepare)


def _parser(word: str, command: Callable[..., int]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"synth scenes {word}", description=command.__doc__, epilog=_OVERRIDES)
    made.add_argument("name", help="of the scene")
    made.add_argument("--config-dir", help="a folder of options of your own, as for synth generate")
    return made
