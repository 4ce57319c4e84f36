"""Where configs lie: synth's own folder and those of installed plugins, found without importing any plugin."""

from __future__ import annotations

from collections.abc import Mapping
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
        package, *inner = entry.value.partition(":")[0].split(".")
        spec = find_spec(package)
        roots = list(spec.submodule_search_locations or ()) if spec else []
        folders = [Path(root, *inner) for root in roots if Path(root, *inner).is_dir()]
        found[package] = folders[0] if folders else None
    return found


def config_folders() -> list[tuple[str, Path]]:
    """(provider, folder) of synth and every plugin that has one."""
    return [("synth", own_configs()), *((name, folder) for name, folder in sorted(plugins().items()) if folder)]


def options(group: str, extra: Path | None = None) -> list[str]:
    """Names of the YAML files of a config group, over all folders: `scene`, `renderer`, ..."""
    folders = [folder for _, folder in config_folders()] + ([extra] if extra else [])
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})
