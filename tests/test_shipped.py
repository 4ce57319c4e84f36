"""The built wheel, in an environment that has never seen the checkout: it generates in an empty folder, and takes plugins of others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


# Without a registry: what a package is built with is borrowed like all else (pip reads a "no" option of its environment upside down).
PIP = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def done(*command: str | Path, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | PIP
    if path:
        env["PATH"] = f"{path}{os.pathsep}{env['PATH']}"
    return subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def run(*command: str | Path, cwd: Path) -> str:
    made = done(*command, cwd=cwd)
    assert made.returncode == 0, f"{command}\n{made.stdout}\n{made.stderr}"
    return made.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=ROOT)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it. Its dependencies are borrowed from this one by path, which runs none of this one's .pth
    files and so leaves the editable checkout behind."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=True)
    executable = home / "bin" / "python"
    run(executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel, cwd=home)
    site = run(executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executable


def test_wheel_holds_what_a_user_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "synth/configs/generate.yaml",
        "synth_scenes/conf/scene/tabletop.yaml",
        "synth_scenes/tabletop.py",
        "synth/cli/__init__.py",
        "synth/scaffold/files/pyproject.toml.tmpl",
        "synth/scaffold/files/conf/scene.yaml.tmpl",
    ):
        assert needed in names
    assert any(name.startswith("synth_scenes/assets/") and name.endswith(".glb") for name in names)
    assert any("LICEN" in name.upper() and name.startswith("synth_scenes/assets/") for name in names)
    assert any(name.startswith("synth/render/shaders/") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "scripts")) or name.endswith(".pyc")]
    assert wheel.stat().st_size < 20 << 20


def test_wheel_generates_in_an_empty_folder(python: Path, tmp_path: Path) -> None:
    assert str(ROOT) not in run(python, "-c", "import synth, synth_scenes; print(synth.__file__, synth_scenes.__file__)", cwd=tmp_path)
    synth = python.parent / "synth"
    small = ["camera.width=96", "camera.height=72", "workers=1"]
    assert "2 samples added" in run(synth, "generate", "n=2", *small, cwd=tmp_path)
    assert "2 of 2 samples" in run(synth, "show", "main", cwd=tmp_path)
    run(synth, "export", "coco", "main", "coco", cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco", "data"]


# --- plugins of others ------------------------------------------------------------------------------------------------


def steps(page: str) -> list[tuple[str, str, str]]:
    """(language, text, path of the file that the words before it name last) of each block."""
    found, place = [], ""
    for words, language, text in re.findall(r"(.*?)```(\w+)\n(.*?)```", page, re.DOTALL):
        named = re.findall(r"`(bottle_scene/[\w./]+\.\w+)`", words)
        place = named[-1] if named else place
        found.append((language, text, place))
    return found


def patched(text: str, diff: str) -> str:
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"the page changes what is not there:\n{old}"
    return text.replace(old, new)


@pytest.mark.slow
def test_the_tutorial_word_for_word(python: Path, tmp_path: Path) -> None:
    """docs/plugins.md: a plugin of one's own, loose and installed beside the wheel, generates, is listed and checked."""
    page = (ROOT / "docs" / "plugins.md").read_text().split("# What a scene is")[0]
    cwd, out = tmp_path, ""
    for language, text, place in steps(page):
        if language == "sh":
            out = ""
            for line in text.splitlines():
                if line.startswith("cd "):
                    cwd = (cwd / line[3:]).resolve()
                    continue
                made = done("sh", "-c", line, cwd=cwd, path=python.parent)
                assert made.returncode == 0 or (made.returncode == 1 and "to mend" in made.stdout), f"{line}\n{made.stdout}\n{made.stderr}"
                out += made.stdout
        elif language == "text":
            assert [line for line in text.splitlines() if line not in out] == [], out
        elif language == "diff":
            file = tmp_path / place
            file.write_text(patched(file.read_text(), text))
        else:
            assert language == "yaml"
            (tmp_path / place).write_text(text)
    assert cwd == tmp_path
    assert (tmp_path / "grid.png").stat().st_size > 10_000


BROKEN = {
    "raising": ('"""It cannot be imported."""\n\nraise RuntimeError("no licence server")\n', "raising_scene/scene.py, line 3"),
    "lacking": ("import nowhere_to_be_found\n", "raising_scene/scene.py, line 1"),
}


@pytest.mark.slow
def test_a_plugin_that_cannot_be_imported_breaks_only_itself(python: Path, tmp_path: Path) -> None:
    synth = python.parent / "synth"
    run(synth, "scenes", "new", "raising", cwd=tmp_path)
    package = tmp_path / "raising_scene" / "raising_scene"
    (package / "__init__.py").write_text('raise RuntimeError("never import a package to list it")\n')
    (package / "conf" / "scene" / "torn.yaml").write_text("# Torn\nx: [\n")
    run(python, "-m", "pip", "install", "--quiet", tmp_path / "raising_scene", cwd=tmp_path)
    site = next(python.parent.parent.glob("lib/*/site-packages/raising_scene"))
    try:
        listed = run(synth, "scenes", "list", cwd=tmp_path)
        assert "raising   " in listed
        assert "Torn" in listed
        assert "tabletop" in listed
        small = ["n=1", "camera.width=96", "camera.height=72", "workers=1", "renderer=flat"]
        run(synth, "generate", *small, cwd=tmp_path)
        run(synth, "scenes", "check", "cutpaste", "--samples=1", "--worlds=1", "--idle=blending.match", *small[1:3], cwd=tmp_path)
        for command in (["show", "main"], ["log"], ["--help"], ["export", "coco", "main", "coco"]):
            run(synth, *command, cwd=tmp_path)
        for text, told in ((None, "__init__.py, line 1"), *BROKEN.values()):
            if text:
                (site / "__init__.py").write_text("")
                (site / "scene.py").write_text(text)
            made = done(synth, "generate", "scene=raising", *small, cwd=tmp_path)
            assert made.returncode == 2
            assert "plugin 'raising_scene'" in made.stderr
            assert told in made.stderr
            assert len(made.stderr.strip().splitlines()) == 1
        made = done(synth, "generate", "scene=torn", *small, cwd=tmp_path)
        assert made.returncode == 2
        assert "plugin 'raising_scene'" in made.stderr
        assert 'torn.yaml", line 3' in made.stderr
    finally:
        run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "raising_scene", cwd=tmp_path)
