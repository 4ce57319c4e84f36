"""What the built-in scenes ship with, by name; a path to a file of one's own works wherever a name does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from synth.assets import asset_files, read_info
from synth.errors import ConfigError, known_names

_ASSETS = Path(__file__).parent / "assets"
_KINDS = {
    "object": (("ycb", "robosuite"), (".glb",), "mesh"),
    "texture": (("textures",), (".jpg",), "picture"),
    "HDRI": (("hdri",), (".hdr",), ".hdr file"),
    "photo": (("photos", "textures"), (".jpg",), "picture"),
}
_LICENCES = {"textures": "MIT", "hdri": "CC0-1.0", "photos": "CC0-1.0"}  # of the folders; each mesh names its own


@cache
def names(kind: str) -> dict[str, Path]:
    """All that ships of a kind: `object`, `texture`, `HDRI` or `photo`."""
    folders, endings, _ = _KINDS[kind]
    return {file.stem: file for folder in folders for file in sorted((_ASSETS / folder).iterdir()) if file.suffix in endings}


def find(kind: str, name: str) -> Path:
    """The file of a name, or of a path. Raises ConfigError."""
    known = names(kind)
    if name in known:
        return known[name]
    if "." in Path(name).name or "/" in name:
        path = Path(name).expanduser()
        if path.is_file():
            return path.resolve()
        raise ConfigError(f"{kind} '{name}': there is no such file ({path.absolute()})")
    raise ConfigError(f"{known_names(kind, name, known)}, or the path of a {_KINDS[kind][2]}")


def sources(kind: str, chosen: Iterable[str]) -> dict[Path, str]:
    """The files behind names or paths, with all that a mesh reads beside it; each with its licence, "" where it is not known."""
    found: dict[Path, str] = {}
    for path in (find(kind, name) for name in chosen):
        if kind == "object":
            found |= dict.fromkeys(asset_files(path), "")
            found[path] = read_info(path).licence
        else:
            found[path] = _LICENCES.get(path.parent.name, "") if path.parent.parent == _ASSETS else ""
    return found
