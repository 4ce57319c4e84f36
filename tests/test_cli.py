"""The command line as a user types it: what it prints, what it leaves behind, and what a wrong call says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from synth.cli import main
from synth.store import Store

SMALL = ["renderer=flat", "camera.width=96", "camera.height=72", "workers=1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three small samples, their maps among them."""
    store = tmp_path_factory.mktemp("cli") / "store"
    assert main(["generate", "n=3", "seed=7", f"store={store}", "outputs=[depth,normals]", "scene.objects=2", *SMALL]) == 0
    return store


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_generate_commits_what_was_asked(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = Store.open(made).read()
    assert len(samples) == 3
    assert [sample.size for sample in samples] == [(96, 72)] * 3
    assert all(len(sample.instances) == 2 for sample in samples)
    assert samples[0].depth_m is not None
    assert samples[0].normals is not None
    commit = Store.open(made).log()[0]
    assert commit.meta["config"]["resolved"]["scene"]["objects"] == 2
    assert "scene.objects=2" in commit.meta["config"]["overrides"]
    assert commit.meta["licences"]
    code, out, _ = said(capsys, "generate", "n=3", "seed=7", f"store={made}", "outputs=[depth,normals]", "scene.objects=2", *SMALL)
    assert code == 0
    assert "nothing to add: all 3 samples" in out


def test_a_config_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from synth.config import launch, searchpath

    odd = tmp_path / "my bücher 20%"
    (odd / "scene").mkdir(parents=True)
    shipped = next(folder for name, folder in searchpath.config_folders() if name == "synth_scenes")
    (odd / "scene" / "mine.yaml").write_text((shipped / "scene" / "tabletop.yaml").read_text())
    monkeypatch.setattr(launch, "config_folders", lambda: [*searchpath.config_folders(), ("odd", odd)])
    code, out, err = said(capsys, "generate", "scene=mine", "--cfg", "job")
    assert (code, err) == (0, "")
    assert "synth_scenes.tabletop.Tabletop" in out


def test_log_show_tag(made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert said(capsys, "tag", "first", "main", f"store={made}") == (0, "first -> v2\n", "")
    code, out, _ = said(capsys, "log", "--store", str(made))
    assert code == 0
    assert "+3 = 3 samples  [main, tag first]" in out
    assert "generate scene=tabletop n=3 seed=7" in out
    sheet = tmp_path / "sheet.png"
    code, out, _ = said(capsys, "show", "first", f"store={made}", "--sheet", str(sheet), "--limit", "2")
    assert code == 0
    assert "2 of 3 samples" in out
    assert sheet.stat().st_size > 1000
    key = Store.open(made).read().keys()[1]
    code, out, _ = said(capsys, "show", "main", key, f"store={made}")
    assert code == 0
    assert "visible_fraction" in out
    assert "scene tabletop  seed 7  index 1" in out


def test_reproduce(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = Store.open(made).read().keys()[2]
    code, out, _ = said(capsys, "reproduce", "main", key, f"store={made}")
    assert code == 0
    assert "labels   equal" in out
    assert "pixels   equal" in out


def test_export_coco(made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out_folder = tmp_path / "coco"
    code, out, _ = said(capsys, "export", "coco", "main", str(out_folder), f"store={made}")
    assert code == 0
    assert "3 images" in out
    content = json.loads((out_folder / "annotations.json").read_text())
    assert len(content["images"]) == 3
    assert content["info"]["version"] == 2
    assert content["licenses"]
    code, _, err = said(capsys, "export", "coco", "main", str(out_folder), f"store={made}")
    assert code == 2
    assert "coco" in err


def test_sweep_and_cfg(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, _ = said(capsys, "generate", "-m", "seed=1,2", "n=1", "store=swept", *SMALL)
    assert code == 0
    samples = Store.open(tmp_path / "swept").read()
    assert sorted(sample.origin.seed for sample in samples if sample.origin) == [1, 2]
    code, out, _ = said(capsys, "generate", "--cfg", "job", "scene.objects=Integers(1,2)")
    assert code == 0
    assert "objects: Integers(1,2)" in out
    assert [path.name for path in tmp_path.iterdir()] == ["swept"]  # Hydra leaves nothing of its own


WRONG: list[tuple[list[str], str]] = [
    (["generate", "n=-1"], "n must be a whole number from 0, at most 100,000,000, got -1"),
    (["generate", "n=1000000000000"], "n must be a whole number from 0, at most 100,000,000, got 1000000000000"),
    (["generate", "seed=9223372036854775808"], "seed must be a whole number from 0, below 2^63"),
    (["generate", "n=many"], "n: Value 'many' of type 'str' could not be converted to Integer"),
    (["generate", "seed=-4"], "seed must be a whole number from 0"),
    (["generate", "scene=tabeltop"], "no scene 'tabeltop'; did you mean 'tabletop'?"),
    (["generate", "renderer=blender"], "no renderer 'blender'; did you mean 'pyrender'? known: flat, pyrender"),
    (["generate", "sede=4"], "no key 'sede'; did you mean 'seed'?"),
    (["generate", "scene.objcets=4"], "no key 'scene.objcets'; did you mean 'scene.objects'?"),
    (["generate", "scene.objects=four"], "objects must be a number or a distribution, got 'four'"),
    (["generate", "scene.objects=Unifrom(1,2)"], "no distribution 'Unifrom'; did you mean 'Uniform'?"),
    (["generate", "camera.width=0"], "width must be in [1, 16384], got 0"),
    (["generate", "outputs=[deepth]"], "maps may hold depth and normals"),
    (["generate", "image.format=bmp"], "one of jpeg, png, webp, got 'bmp'"),
    (["generate", "image.quality=200"], "quality must be a whole number in [1, 100], got 200"),
    (["generate", "+scene.x=1"], "no key 'x'"),
    (["generate", "+sede=1"], "no key 'sede'; did you mean 'seed'?"),
    (["generate", "scene._target_=os.system"], "neither in synth nor in an installed plugin"),
    (["generate", "n"], "Error parsing override 'n' missing EQUAL"),
    (["generate", "n=1", "-m", "seed=1,x"], "seed: Value 'x' of type 'str' could not be converted"),
    (["generate", "-m", "n=-1,2"], "n must be a whole number from 0, at most 100,000,000, got -1"),
    (["generate", "--config-dir=/nowhere"], "Additional config directory '/nowhere' not found"),
    (["generate", "workers=-1"], "workers must be a whole number"),
    (["generate", "scene.kinds=[teapot]"], "no object 'teapot'; known: banana"),
    (["generate", "--experimental-rerun=x.pickle"], "reads a pickle"),
    (["genrate"], "no command 'genrate'; did you mean 'generate'?"),
    (["generate", "--exp=x.pickle"], "reads a pickle"),
    (["generate", "store="], "a store needs the name of a folder"),
    (["generate", "--store="], "a store needs the name of a folder"),
    (["generate", "~image"], "'image' is not in the config"),
    (["generate", "-m", "scene.objects=1,abc"], "objects must be a number or a distribution, got 'abc'"),
    (["generate", "+hydra.callbacks.x._target_=os.getcwd"], "hydra.callbacks may run anything"),
    (["generate", "+hydra.job.env_set.LD_PRELOAD=x"], "hydra.job.env_set may run anything"),
    (["generate", "-m", "hydra.sweeper.params._target_=x", "seed=1,2"], "Hydra cannot compose this"),
    (["show", "main", "--sheet", "x.tiff"], "must end with .png"),
    (["show", "main", "--limit", "-1"], "--limit must be a whole number from 0, got -1"),
    (["show", "main", "k", "--where", "true"], "--where chooses among samples"),
    (["log"], "no store"),
    (["reproduce", "main", "k"], "no store"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_a_wrong_call_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []  # nothing written


def test_a_store_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    code, _, err = said(capsys, "generate", "n=1", f"store={tmp_path}", *SMALL)
    assert code == 2
    assert str(tmp_path) in err
    code, _, err = said(capsys, "generate", "n=1", f"store={tmp_path / 'photo.jpg'}", *SMALL)
    assert code == 2
    code, _, err = said(capsys, "log", f"store={tmp_path}")
    assert code == 2
    assert "makes one" not in err  # generate would refuse this folder too
    assert [p.name for p in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize(
    "hydra",
    [
        "callbacks: {x: {_target_: pathlib.Path.write_text, _args_: [{_target_: pathlib.Path, _args_: [PWNED]}, x]}}",
        "callbacks: '${scene}'",
        "job_logging: {handlers: {x: {'()': os.mkdir, path: PWNED}}, root: {handlers: [x]}}",
        "hydra_logging: {handlers: {x: {'()': os.mkdir, path: PWNED}}, root: {handlers: [x]}}",
        "job: {env_set: {LD_PRELOAD: PWNED}}",
    ],
)
@pytest.mark.parametrize("flags", [[], ["-m"], ["--cfg", "job"]], ids=str)
def test_a_yaml_of_a_stranger_runs_nothing(
    hydra: str, flags: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loose" / "scene").mkdir(parents=True)
    yaml = "# @package _global_\nscene: {_target_: synth_scenes.tabletop.Tabletop}\nhydra: {" + hydra + "}\n"
    (tmp_path / "loose" / "scene" / "evil.yaml").write_text(yaml)
    code, _, err = said(capsys, "generate", "--config-dir", "loose", "scene=evil", "n=1", *SMALL, *flags)
    assert code == 2
    assert "may run anything" in err
    assert [p.name for p in tmp_path.iterdir()] == ["loose"]


def test_a_broken_yaml_is_named_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "mine.yaml").write_text("a: 1\nb: {c: [\n")
    code, _, err = said(capsys, "generate", "--config-dir", str(tmp_path), "scene=mine")
    assert code == 2
    assert "mine.yaml" in err
    assert "line 3" in err
    assert len(err.splitlines()) == 1


def test_what_is_not_in_a_store_is_a_wrong_call(made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for call in (["show", "nosuch"], ["show", "99"], ["show", "main", "k"], ["show", "main", "--where", "x = 1"], ["log", "nosuch"]):
        code, out, err = said(capsys, *call, f"store={made}")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
    code, _, err = said(capsys, "show", "main", f"store={made}", "--sheet", str(made / "synth.json" / "x.png"))
    assert code == 1
    assert "cannot write" in err


def test_store_is_an_option_of_generate_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = tmp_path / "my (store) = Größe, 1"
    assert said(capsys, "generate", "--store", str(store), "n=1", *SMALL)[0] == 0
    assert said(capsys, "generate", f"--store={store}", "n=1", *SMALL)[1].startswith("nothing to add")
    assert said(capsys, "generate", f"store={store}", "n=1", "message=Was (Uniform(0, 1)) kostet? 3 €", *SMALL)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == [store.name]


def test_a_sweep_over_distributions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    color = "scene.surroundings.color=[Uniform(0, 1),0.2,Uniform(0.1, 0.3)]"
    kinds = "scene.objects=Integers(1, 2),3,Choice([1, 2])"
    assert said(capsys, "generate", "-m", "n=1", f"store={tmp_path / 's'}", color, kinds, *SMALL)[0] == 0
    resolved = [commit.meta["config"]["resolved"]["scene"] for commit in Store.open(tmp_path / "s").log()[:-1]]
    assert [scene["objects"] for scene in resolved] == ["Choice([1, 2])", 3, "Integers(1, 2)"]
    assert resolved[0]["surroundings"]["color"] == ["Uniform(0, 1)", 0.2, "Uniform(0.1, 0.3)"]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("synth gen", "generate"), ("synth generate sce", "scene="), ("synth generate n=3 renderer=", "renderer=flat"), ("synth show ", "")],
)
def test_the_shell_completes(line: str, wanted: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    code, out, err = said(capsys, "-sc", "query=bash")
    assert (code, err) == (0, "")
    assert wanted in out.split() or not wanted


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" in said(capsys, "generate", "n=-1", "--debug")[2]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from synth.cli import _COMMANDS

    code, out, _ = said(capsys, "--help")
    assert code == 0
    assert all(f"synth {name}" in out for name in _COMMANDS)
    assert said(capsys)[0] == 2


def test_doctor_finds_this_machine_fit(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "doctor")
    assert "pyrender" in out
    assert "tabletop" in out
    assert code == (1 if "missing" in out else 0)


def without_gl(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run synth in a process in which EGL cannot be loaded."""
    block = "import ctypes.util, os; os.environ['PYOPENGL_PLATFORM'] = 'egl'; ctypes.util.find_library = lambda name: None\n"
    block += "import ctypes; real = ctypes.CDLL.__init__\n"
    block += "def refuse(self, name, *a, **k):\n"
    block += "    if 'EGL' in str(name): raise OSError('no EGL here')\n"
    block += "    real(self, name, *a, **k)\n"
    block += "ctypes.CDLL.__init__ = refuse\n"
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)


def test_no_gl_is_one_message_and_nothing_written(tmp_path: Path) -> None:
    done = without_gl("import sys; from synth.cli import main; sys.exit(main(['generate', 'n=1', 'store=new']))", tmp_path)
    assert done.returncode == 2, done.stderr
    assert "apt-get install --no-install-recommends libegl1 libgl1" in done.stderr
    assert "renderer=flat" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
