"""Where configs lie: synth's own folder and those of installed plugins, found without importing any plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import synth

ENTRY_POINT_GROUP = "synth.configs"


def own_configs() -> Path:
    """The folder of synth's own YAML: inside the package in a wheel, beside it in a checkout."""
    package = Path(synth.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


@cache
def plugins() -> Mapping[str, Path | None]:
    """Installed plugins: import package -> its config folder, or None where the folder is not there (a broken plugin)."""
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
    found = [Option(path.stem, provider, _summary(path)) for provider, folder in folders for path in (folder / group).glob("*.yaml")]
    return sorted(found, key=lambda option: option.name)


def _summary(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return next((line[1:].strip() for line in file if line.startswith("#") and not line.startswith("# @")), "")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
