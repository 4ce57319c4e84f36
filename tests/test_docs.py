"""What the docs say is so: code runs, names exist, every key has its comment."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from synth.rand import DISTRIBUTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [text for kind, text in fenced if kind == language]


def test_readme_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block as it stands, with fewer and smaller samples."""
    code = blocks(ROOT / "README.md", "python")[0]
    code = (
        code.replace("1000", "3")
        .replace("PyrenderSpec()", "FlatSpec()")
        .replace("PyrenderSpec", "FlatSpec")
        .replace("workers=2", "workers=1")
    )
    assert "FlatSpec()" in code
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "README.md", "exec"), space)
    assert space["sample"].instances[0].category
    assert len(space["store"].read()) == 3


def test_readme_scene_is_a_scene() -> None:
    from synth.compose.cameras import CameraRig
    from synth.protocols import Scene
    from synth.rand import Distribution, Uniform, draw, rng_for
    from synth.types import Body, Category, World
    from tests.shapes import box

    lid = box()
    category_keypoints = [type(k)(name, k.xyz_object_m) for k, name in zip(lid.keypoints, ("rim", "knob"), strict=False)]
    space: dict[str, Any] = {
        **{"dataclass": dataclass, "CameraRig": CameraRig, "Distribution": Distribution, "Uniform": Uniform, "draw": draw},
        **{"Body": Body, "Category": Category, "World": World, "np": np, "__name__": __name__},
        "asset_files": lambda path: (Path(path),),
        "load_asset": lambda path: type(lid)("lid", lid.meshes, tuple(category_keypoints)),
    }
    exec(next(block for block in blocks(ROOT / "README.md", "python") if "class Lid" in block), space)
    scene = space["Lid"]()
    assert isinstance(scene, Scene)
    assert scene.sources == {Path("lid.glb"): "CC0-1.0"}
    world = scene.compose(rng_for(0, 0, "scene"))
    assert world.bodies[0].category == scene.categories[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_every_distribution_and_key_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert [name for name in DISTRIBUTIONS if f"`{name}(" not in text] == []
    keys = yaml.safe_load((ROOT / "configs" / "generate.yaml").read_text())
    known = [key for key in keys if key not in ("defaults", "hydra", "camera", "image")]
    assert [key for key in known if f"`{key}`" not in text] == []


@pytest.mark.parametrize("path", [*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "scenes").rglob("conf/**/*.yaml")], ids=lambda p: p.stem)
def test_every_yaml_key_has_a_comment(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        key = re.match(r"\s*([a-z_]+):", line)
        if key and key[1] not in ("hydra", "run", "dir", "job", "name", "defaults") and "_target_" not in line:
            assert "#" in line or not line.split(":", 1)[1].strip(), f"{path.name}:{number}: '{key[1]}' has no comment"


def test_no_path_of_one_machine() -> None:
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    needles = [f"/{folder}/" for folder in ("work", "farm", "root")]
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".sh", "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not [needle for needle in needles if needle in text], name


def test_formats_hold_what_their_table_says() -> None:
    """docs/formats.md against what the writers declare."""
    from synth import formats

    needs = {
        "boxes": {"box_xyxy"},
        "rotated boxes": {"obb"},
        "masks": {"mask"},
        "keypoints": {"keypoints"},
        "v": {"keypoints.v"},
        "crowd": {"crowd"},
        "fractions": {"visible_fraction", "truncated_fraction"},
        "whole box": {"box_full_xyxy"},
        "whole mask": {"mask_full"},
        "pose": {"camera_from_object"},
        "3D box": {"box3d_object_m"},
        "camera": {"camera"},
        "depth": {"depth"},
        "classes": {"info.classes"},
        "split": {"info.split"},
        "group": {"info.group"},
        "licence": {"info.licence"},
    }
    rows = [line.strip("|").split("|") for line in (ROOT / "docs" / "formats.md").read_text().splitlines() if line.startswith("| ")]
    head, *rest = [[cell.strip() for cell in row] for row in rows]
    assert head[1:] == list(needs)
    for name, *cells in rest:
        holds = formats.writer(name, out=Path("nowhere")).holds
        told = ["yes" if need <= holds else "part" if need & holds else "" for need in needs.values()]
        assert cells == told, name
    assert [row[0] for row in rest] == formats.writer_names()


# --- two dimensions: every snippet of docs/augment.md, sensors.md and collage.md ---------------------------------------


AUGMENT, SENSORS, COLLAGE = (ROOT / "docs" / f"{name}.md" for name in ("augment", "sensors", "collage"))
SMALL = ("camera.width=96", "camera.height=72", "renderer=flat")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with what the pages take for granted: cut-outs, photos, and a store with a real sample that has a mug."""
    import shutil

    from PIL import Image

    from synth.store import Store
    from synth.types import Category, Instance, Rle, Sample, SampleInfo

    monkeypatch.chdir(tmp_path)
    assets = ROOT / "scenes" / "synth_scenes" / "assets"
    for name in ("my_cutouts", "leaves"):
        shutil.copytree(assets / "cutouts" / "plants", name)
    shutil.copytree(assets / "photos", "my_photos")
    mug = np.zeros((48, 64, 4), np.uint8)
    mug[10:40, 20:50] = (200, 60, 40, 255)
    Image.fromarray(mug).save("mug.png")
    photo = Sample(
        mug[..., :3].copy(), (Instance("mug", mask=Rle.encode(mug[..., 3] > 0)),), (Category("mug"),), key="mug",
        info=SampleInfo(split="train"),
    )  # fmt: skip
    Store.open("data/store", create=True).put([photo], message="photos")
    return tmp_path


def commands(page: Path) -> list[list[str]]:
    """What follows `synth generate` in the page's shell blocks, as a shell reads it."""
    lines = [line for block in blocks(page, "") for line in block.splitlines() if line.startswith("synth generate ")]
    return [shlex.split(re.sub(r" {2,}\S.*", "", line).removeprefix("synth generate "), comments=True) for line in lines]


STAGES = [block for page in (AUGMENT, SENSORS, COLLAGE) for block in blocks(page, "yaml") if block.startswith("stages:")]


def test_no_snippet_is_left_out() -> None:
    """What no test below runs would be one of another kind."""
    for page in (AUGMENT, SENSORS, COLLAGE):
        assert {*re.findall(r"^```(\w+)$", page.read_text(), re.M)} <= {"yaml", "python"}
        assert all(line.startswith("synth generate ") for block in blocks(page, "") for line in block.splitlines())
    others = [block.split("\n")[0] for block in blocks(COLLAGE, "yaml") if block not in STAGES]
    assert others == ["# mug.cutout.yaml", "# @package _global_"]
    assert [len(blocks(page, "yaml")) for page in (AUGMENT, SENSORS)] == [1, 1]


def draft_of_a_box() -> Any:
    from synth.annotate import annotate
    from synth.render.flat import FlatSpec
    from synth.types import Body, World
    from tests import shapes

    world = World(shapes.camera(width=640, height=480), (Body(shapes.box(0.3, 0.3, 0.3), shapes.at(0, 0, 0), shapes.BOX),))
    return annotate(world, FlatSpec().open().render(world))


def stages_in(block: str) -> dict[str, Any]:
    from synth.config.build import build

    return {name: build(node) for name, node in yaml.safe_load(block)["stages"].items()}


@pytest.mark.parametrize(
    ("page", "command"),
    [(page, command) for page in (AUGMENT, SENSORS, COLLAGE) for command in commands(page)],
    ids=lambda value: value.stem if isinstance(value, Path) else " ".join(value)[:60],
)
def test_commands_of_the_pages_generate(here: Path, page: Path, command: list[str]) -> None:
    from synth.config.composed import compose
    from synth.recipe import Generator

    with Generator(compose(*command, *SMALL).recipe) as generator:
        assert generator[0].instances


@pytest.mark.parametrize(
    "block",
    [b for page in (AUGMENT, SENSORS, COLLAGE) for b in blocks(page, "yaml") if b.startswith("stages:")],
    ids=lambda b: b.split()[1],
)
def test_stages_of_the_pages_run(here: Path, block: str) -> None:
    from synth.annotate import finish
    from synth.rand import rng_for

    draft = draft_of_a_box()
    for name, stage in stages_in(block).items():
        draft = stage.apply(draft, rng_for(0, 0, name))
    assert finish(draft, ()).instances


def test_code_of_augment_runs() -> None:
    from synth.annotate import finish
    from synth.rand import rng_for
    from tests.shapes import BOX

    (code,), (block,) = blocks(AUGMENT, "python"), blocks(AUGMENT, "yaml")
    space = {"sample": finish(draft_of_a_box(), (BOX,)), "stages": stages_in(block), "rng_for": rng_for, "seed": 0, "position": 1}
    exec(code, space)
    assert space["moved"].size == (400, 400) or space["moved"].size == space["sample"].size


def test_code_of_sensors_prints_statistics_that_a_config_takes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from synth.augment.harmonize import ColourStatistics

    (code,), (block,) = blocks(SENSORS, "python"), blocks(SENSORS, "yaml")
    exec(code, {})
    printed = yaml.safe_load(capsys.readouterr().out)
    node = yaml.safe_load(block)["stages"]["harmonize"]["statistics"]
    printed = printed.get("statistics", printed)
    assert printed.keys() - {"_target_"} == node.keys() - {"_target_"}
    assert ColourStatistics(**{key: printed[key] for key in ("mean", "within", "between")})


def test_the_description_in_the_module_of_cutouts_is_one(here: Path) -> None:
    import synth.cutouts

    (described,) = re.findall(r"\n\n((?:    .*\n)+)", str(synth.cutouts.__doc__))
    (here / "mug.cutout.yaml").write_text(textwrap.dedent(described).replace("masks/mug.png", "mug.png"))
    category = synth.cutouts.read_cutout_info("mug.png").category
    assert len(category.sigmas) == len(category.keypoints) == 4


def test_code_of_collage_runs(here: Path) -> None:
    """Each block as it stands, after what its paragraph presupposes."""
    from synth.annotate import finish
    from synth.cutouts import cutout_files, load_cutout, read_cutout_info
    from synth.images import load_photo
    from synth.render.flat import FlatSpec
    from synth.store import Store
    from synth.types import SampleInfo
    from tests import shapes

    made, one, pasted = blocks(COLLAGE, "python")
    described = next(block for block in blocks(COLLAGE, "yaml") if "mug.cutout.yaml" in block)
    (here / "mug.cutout.yaml").write_text(described)
    info = read_cutout_info("mug.png")
    assert (info.category.keypoints, info.hidden, info.licence) == (("handle", "bottom", "rim_left", "rim_right"), {"bottom"}, "CC0-1.0")

    sample = finish(draft_of_a_box(), (shapes.BOX,), key="box")
    with_category = {"category": shapes.BOX, "renderer": FlatSpec().open(), "asset": shapes.box(), "sample": sample}
    before = len(cutout_files("my_cutouts"))
    exec(made, with_category)
    assert len(cutout_files("my_cutouts")) == before + 2
    space: dict[str, Any] = {"np": np, "photo": load_photo("my_photos/coffee.jpg"), "finish": finish}
    exec(one, space)
    (mug,) = space["sample"].instances
    cutout = load_cutout("mug.png").rgba
    assert mug.area_px == pytest.approx(cutout.shape[0] * cutout.shape[1] / 4, rel=0.02)
    assert Store.open("data/store").read()[0].info == SampleInfo(split="train")
    exec(pasted, space)
    assert [instance.category for instance in space["mixed"].instances] in (["mug"], ["mug", "mug"])


def test_the_copy_paste_option_of_collage_is_one(here: Path) -> None:
    from synth.config.composed import compose
    from synth.recipe import Generator

    option = next(block for block in blocks(COLLAGE, "yaml") if "CopyPaste" in block)
    (here / "conf" / "augment").mkdir(parents=True)
    (here / "conf" / "augment" / "mugs.yaml").write_text(option)
    assert "`synth generate --config-dir conf augment=mugs`" in COLLAGE.read_text()
    recipe = compose("--config-dir=conf", "augment=mugs", "scene=tabletop", *SMALL).recipe
    with Generator(recipe) as generator:
        added = [instance for index in range(6) for instance in generator[index].instances if instance.visible_fraction is None]
    assert len(added) >= 2
    assert {instance.category for instance in added} == {"mug"}
    assert all(instance.mask is not None and instance.keypoints is None for instance in added)
