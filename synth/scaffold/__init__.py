"""A new package with one scene: what `synth scenes new NAME` writes. The files are templates, `$name` filled in."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from string import Template

from synth.errors import ConfigError, SynthError

_FILES = Path(__file__).parent / "files"
# Template -> where it goes.
_PLACES = {
    "pyproject.toml.tmpl": "pyproject.toml",
    "README.md.tmpl": "README.md",
    "init.py.tmpl": "{package}/__init__.py",
    "scene.py.tmpl": "{package}/scene.py",
    "conf/scene.yaml.tmpl": "{package}/conf/scene/{name}.yaml",
    "assets/mesh.obj.tmpl": "{package}/assets/{name}.obj",
    "assets/mesh.asset.yaml.tmpl": "{package}/assets/{name}.asset.yaml",
    "assets/LICENCE.txt.tmpl": "{package}/assets/LICENCE.txt",
    "test_scene.py.tmpl": "tests/test_{name}.py",
}


def package_of(name: str) -> str:
    """The import package that holds a new scene. Raises ConfigError for a name that cannot be one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or keyword.iskeyword(name):
        raise ConfigError(f"a scene's name must be lower-case letters, digits and _, beginning with a letter, got '{name}'")
    return f"{name}_scene"


def write_package(name: str, folder: Path) -> list[Path]:
    """Write the package into `folder`, which must be new or empty. Returns its files. Raises ConfigError, or SynthError if it cannot."""
    package = package_of(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and not empty; name another folder: synth scenes new {name} DIR")
    if find_spec(package) is not None:
        raise ConfigError(f"a package '{package}' is installed already; take another name")
    words = {"name": name, "package": package, "Class": "".join(word.capitalize() for word in name.split("_"))}
    written = []
    try:
        for template, place in _PLACES.items():
            path = folder / place.format(**words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template((_FILES / template).read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise SynthError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error
    return written
