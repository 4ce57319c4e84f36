"""The built wheel, in an environment that has never seen the checkout, generates in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


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
