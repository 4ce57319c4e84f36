"""Where configs lie: synth's own folder and those of installed plugins, found without importing any plugin."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import invalidate_caches
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import synth
from synth.errors import ConfigError

ENTRY_POINT_GROUP = "synth.configs"
_loose: dict[str, Path] = {}  # packages that count as plugins while `loose` holds: package -> config folder


def own_configs() -> Path:
    """The folder of synth's own YAML: inside the package in a wheel, beside it in a checkout."""
    package = Path(synth.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def plugins() -> Mapping[str, Path | None]:
    """Installed plugins: import package -> its config folder, or None where the folder is not there (a broken plugin)."""
    return {**_installed(), **_loose}


@cache
def _installed() -> Mapping[str, Path | None]:
    found: dict[str, Path | None] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        package, *inner = entry.value.partition(":")[0].strip().split(".")
        folders = [folder for root in _roots(package) if (folder := Path(root, *inner)).is_dir()]
        found[package] = folders[0] if folders else None
    return found


def _roots(package: str) -> list[str]:
    """Where a package lies; nowhere if the finders that its installation left behind cannot say."""
    try:
        spec = find_spec(package)
        return list(spec.submodule_search_locations or ()) if spec else []
    except Exception:  # whatever a stranger's finder raises
        return []


@contextmanager
def loose(folder: Path | None) -> Iterator[None]:
    """Within, the package that a config folder lies in counts as an installed plugin: `--config-dir bottle/bottle_scene/conf`, where
    bottle_scene has an `__init__.py`. A folder that lies in no package brings YAML and no code.

    Only a folder that was named on the command line is taken so, and its package comes last on the path, so that it stands in for no other
    one. Raises ConfigError if another package of its name is installed.
    """
    package = folder.resolve().parent if folder else None
    if folder is None or package is None or not (package / "__init__.py").is_file() or not package.name.isidentifier():
        yield
        return
    if (package.parent / "__init__.py").is_file():
        raise ConfigError(f"--config-dir {folder}: it may lie in a package ({package.name}), not in a package within another one")
    invalidate_caches()  # the package may have been written a moment ago
    home, roots = str(package.parent), _roots(package.name)
    if roots and package not in [Path(root).resolve() for root in roots]:
        raise ConfigError(f"--config-dir {folder}: another package '{package.name}' is installed, in {roots[0]}; rename one of the two")
    _loose[package.name] = folder.resolve()
    if not roots:
        sys.path.append(home)
    try:
        yield
    finally:
        del _loose[package.name]
        if not roots:
            sys.path.remove(home)
            for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
                del sys.modules[name]


def config_folders() -> list[tuple[str, Path]]:
    """(provider, folder) of synth and every plugin that has one."""
    return [("synth", own_configs()), *((name, folder) for name, folder in sorted(plugins().items()) if folder)]


def options(group: str, extra: Path | None = None) -> list[str]:
    """Names of the YAML files of a config group, over all folders: `scene`, `renderer`, ..."""
    return sorted({option.name for option in listed(group, extra)})


@dataclass(frozen=True)
class Option:
    """One YAML file of a config group. provider: the package that ships it, or the folder. summary: its first line of comment."""

    name: str
    provider: str
    summary: str


def listed(group: str, extra: Path | None = None) -> list[Option]:
    """All options of a group by name, with those of a folder of one's own (`--config-dir`); files are read, nothing is imported."""
    folders = [*config_folders(), *([(str(extra), extra)] if extra else [])]
    found = {
        path.resolve(): Option(path.stem, provider, _summary(path))
        for provider, folder in folders
        for path in (folder / group).glob("*.yaml")
    }
    return sorted(found.values(), key=lambda option: option.name)


def written_in(text: str) -> str:
    """Where in the YAML of all plugins a text stands first: "file, line 3"; "" if nowhere."""
    for _, folder in config_folders():
        for path in sorted(folder.rglob("*.yaml")):
            with suppress(OSError):
                for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                    if text in line:
                        return f"{path}, line {number}"
    return ""


def _summary(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return next((line[1:].strip() for line in file if line.startswith("#") and not line.startswith("# @")), "")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
