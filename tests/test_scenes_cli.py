"""`synth scenes` as a user types it, and folders that are not installed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.cli import main
from synth.config import searchpath
from synth.errors import ConfigError
from synth.scaffold import package_of, write_package
from synth.store import Store

SMALL = ["renderer=flat", "camera.width=96", "camera.height=72"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def bottle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new package that is not installed; its folder of YAML."""
    monkeypatch.chdir(tmp_path)
    write_package("bottle", tmp_path / "bottle_scene")
    return tmp_path / "bottle_scene" / "bottle_scene" / "conf"


# --- list -------------------------------------------------------------------------------------------------------------


def test_list_shows_name_package_and_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "scenes", "list")
    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("tabletop "))
    assert line.split(maxsplit=2)[1:] == [
        "synth_scenes",
        "Scanned objects that stand and lie on a table, apart from one another, among props without label.",
    ]
    assert [line.split()[0] for line in out.splitlines()] == searchpath.options("scene")


def test_listing_imports_no_scene() -> None:
    code = "import sys; from synth.cli import main; main(['scenes', 'list']); print([m for m in sys.modules if 'synth_scenes' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_plugin_without_its_folder_is_named_and_the_rest_is_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searchpath, "_installed", lambda: {"gone_scene": None, "synth_scenes": _shipped()})
    code, out, err = said(capsys, "scenes", "list")
    assert code == 0
    assert "tabletop" in out
    assert "plugin 'gone_scene' has no config folder" in err


def _shipped() -> Path:
    import synth_scenes

    return Path(synth_scenes.__file__).parent / "conf"


def test_a_finder_that_raises_breaks_only_its_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cursed_scene":
                raise RuntimeError("an editable install that went away")

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert searchpath._roots("cursed_scene") == []
    assert searchpath._roots("") == []
    assert searchpath._roots("synth_scenes") != []


# --- new, and a folder that is not installed --------------------------------------------------------------------------


def test_new_writes_a_package_that_generates_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = said(capsys, "scenes", "new", "milk_crate", "here")
    assert code == 0
    assert "written: here/milk_crate_scene/scene.py" in out
    conf = "here/milk_crate_scene/conf"
    assert f"synth generate --config-dir {conf} scene=milk_crate n=8" in out
    assert said(capsys, "generate", "--config-dir", conf, "scene=milk_crate", "n=2", "workers=1", "store=s", *SMALL)[0] == 0
    samples = Store.open("s").read()
    assert len(samples) == 2
    assert {instance.category for sample in samples for instance in sample.instances} == {"milk_crate"}
    assert Store.open("s").log()[0].meta["licences"]["assets/milk_crate.obj"] == "CC0-1.0"
    key = samples.keys()[1]
    code, out, _ = said(capsys, "reproduce", "main", key, "store=s", "--config-dir", conf)
    assert (code, "pixels   equal" in out) == (0, True)
    code, _, err = said(capsys, "reproduce", "main", key, "store=s")
    assert code == 2
    assert "neither in synth nor in an installed plugin" in err
    assert "milk_crate_scene" not in searchpath.plugins()
    assert not [name for name in sys.modules if name.startswith("milk_crate_scene")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "tabletop"], "there is a scene 'tabletop' already"),
        (["new", "My-Scene"], "lower-case letters, digits and _"),
        (["new", "class"], "lower-case letters, digits and _"),
        (["new", "bottle", "full"], "full is there already and not empty"),
        (["new", "synth"], "a package 'synth_scene' is installed already"),
        (["chek", "tabletop"], "no command 'scenes chek'; did you mean 'scenes check'?"),
        (["check", "tabeltop"], "no scene 'tabeltop'; did you mean 'tabletop'?"),
        (["check", "tabletop", "--idle", "objcets"], "--idle no parameter 'objcets'; did you mean 'objects'?"),
        (["preview", "tabletop", "--out", "grid.tiff"], "must end with .png"),
        (["preview", "tabletop", "--out", "g.png", "--columns", "1"], "--columns must be a whole number from 2, got 1"),
        (["preview", "tabletop", "--out", "g.png", "--sweep", "objcets", *SMALL], "no parameter 'objcets'; did you mean 'objects'?"),
        (["preview", "tabletop", "--out", "g.png", "--sweep", "in_view", *SMALL], "parameter 'in_view' is 0.75: nothing to sweep"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    (tmp_path / "synth_scene.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, err = said(capsys, "scenes", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "synth_scene.py"]


def test_a_folder_in_no_package_brings_no_code(capsys: pytest.CaptureFixture[str], bottle: Path) -> None:
    (bottle.parent / "__init__.py").unlink()
    code, _, err = said(capsys, "generate", f"--config-dir={bottle}", "scene=bottle", "n=1", "store=s", *SMALL)
    assert code == 2
    assert "neither in synth nor in an installed plugin" in err


def test_a_loose_package_stands_in_for_no_other(tmp_path: Path) -> None:
    impostor = tmp_path / "numpy" / "conf"
    impostor.mkdir(parents=True)
    (impostor.parent / "__init__.py").write_text("raise SystemExit('never imported')")
    with pytest.raises(ConfigError, match=r"another package 'numpy' is installed, in .*numpy; rename one"), searchpath.loose(impostor):
        pass
    inner = tmp_path / "numpy" / "inner" / "conf"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("")
    with pytest.raises(ConfigError, match="not in a package within another one"), searchpath.loose(inner):
        pass


def test_the_path_is_as_it_was_after_a_loose_package(bottle: Path) -> None:
    before = list(sys.path)
    with suppress(ZeroDivisionError), searchpath.loose(bottle):
        assert searchpath.plugins()["bottle_scene"] == bottle
        assert sys.path[: len(before)] == before  # last, so that it hides nothing
        raise ZeroDivisionError
    assert sys.path == before
    assert "bottle_scene" not in searchpath.plugins()


def edited(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


YAML, TARGET = "conf/scene/bottle.yaml", "_target_: bottle_scene.scene.Bottle"
# What is changed in which file, and what is said; the line is the one that ends with "# here".
BREAK = {
    "raises on import": ("scene.py", "@cache", "raise RuntimeError('boom')  # here\n@cache", "RuntimeError: boom ("),
    "no Python": ("scene.py", "@cache", "def f(:  # here", "SyntaxError"),
    "missing module": ("scene.py", "import numpy as np", "import nowhere_to_be  # here", "No module named 'nowhere_to_be'"),
    "ends the process": ("scene.py", "@cache", "raise SystemExit(0)  # here", "SystemExit: 0"),
    "no such module": (YAML, TARGET, "_target_: bottle_scene.sceen.Bottle  # here", "No module named 'bottle_scene.sceen'"),
    "no such class": (YAML, TARGET, "_target_: bottle_scene.scene.Botle  # here", "no name in bottle_scene.scene 'Botle'"),
    "broken YAML": (YAML, TARGET, f"{TARGET}\nx: [", "Hydra cannot compose this"),
    "raises in its class": ("scene.py", 'check_range("area_m",', '1 / 0  # here\n        check_range("area_m",', "ZeroDivisionError"),
    "raises in categories": ("scene.py", "return (INFO", "raise IndexError('cat')  # here\n        return (INFO", "IndexError: cat"),
    "no such key": (YAML, "camera.width}", "camera.widht}  # here", "'camera.widht' not found"),
}


def here(file: Path) -> str:
    return next((f"{file}, line {number}" for number, line in enumerate(file.read_text().splitlines(), 1) if "# here" in line), f"{file}")


@pytest.mark.parametrize("how", BREAK)
def test_a_broken_plugin_is_one_message_with_its_file_and_line(how: str, bottle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, old, new, what = BREAK[how]
    edited(bottle.parent / name, old, new)
    code, _, err = said(capsys, "generate", f"--config-dir={bottle}", "scene=bottle", "n=1", "store=s", *SMALL)
    assert code == 2, err
    assert what in err
    assert here(bottle.parent / name) in err
    assert len(err.strip().splitlines()) == 1
    assert said(capsys, "scenes", "list", f"--config-dir={bottle}")[0] == 0
    assert said(capsys, "generate", f"--config-dir={bottle}", "n=1", "--cfg", "job")[0] == 0  # the other scenes


def test_what_compose_raises_names_sample_file_and_line(bottle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(bottle.parent / "scene.py", "asset = load_asset(MESH)", 'asset = {}["mesh"]  # here')
    code, out, _ = said(capsys, "generate", f"--config-dir={bottle}", "scene=bottle", "n=1", "workers=1", "store=s", *SMALL)
    assert code == 3
    assert f"sample 0 (scene bottle, seed 0): KeyError: 'mesh' ({here(bottle.parent / 'scene.py')})" in out


def test_names_of_packages() -> None:
    assert package_of("milk_crate") == "milk_crate_scene"
    for name in ("", "2d", "a-b", "A", "lambda", "x" * 60):
        with pytest.raises(ConfigError, match="a scene's name must be"):
            package_of(name)


# --- check and preview ------------------------------------------------------------------------------------------------


def test_check_of_a_new_scene(bottle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["scenes", "check", "--config-dir", str(bottle), "bottle", "--samples=2", "--worlds=4", *SMALL]
    code, out, err = said(capsys, *call)
    assert (code, err) == (0, "")
    assert out.endswith("bottle: all well\n")
    edited(bottle.parent / "scene.py", 'self.brightness, rng, "brightness"', 'self.area_m, rng, "brightness"')
    code, out, _ = said(capsys, *call)
    assert code == 1
    assert "wrong  parameter brightness: has no effect in 4 worlds" in out
    assert out.endswith("bottle: 1 to mend\n")
    assert said(capsys, *call, "--idle=scene.brightness")[0] == 0


def test_preview_draws_a_row_for_each_parameter(bottle: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call = ["scenes", "preview", "bottle", "--config-dir", str(bottle), "--out", "out/grid.png", "--cell=96", "--columns=3", *SMALL]
    code, out, err = said(capsys, *call, "--sweep", "camera.elevation_rad,scene.count")
    assert (code, out) == (0, "drawn: out/grid.png\n")
    assert "drawing camera.elevation_rad" in err
    grid = np.asarray(Image.open(tmp_path / "out" / "grid.png"))
    assert grid.shape == (3 * (72 + 20 + 4), 3 * (96 + 4), 3)
    cells = grid.reshape(3, 96, 3, 100, 3).transpose(0, 2, 1, 3, 4)
    captions, pictures = cells[:, :, :20], cells[:, :, 20:92, :96]
    assert (captions.reshape(9, -1).max(axis=1) > 200).all()
    assert (pictures.reshape(9, -1).std(axis=1) > 5).all()
    assert np.abs(pictures[1, 0].astype(float) - pictures[1, 2]).mean() > 5  # from end to end another picture
    code, _, err = said(capsys, *call, "--rows", "1")
    assert code == 0
    assert "looking for the 1 parameters that change the picture most" in err
    assert np.asarray(Image.open(tmp_path / "out" / "grid.png")).shape[0] == 2 * 96
