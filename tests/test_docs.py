"""What the docs say is so: code runs, names exist, every key has its comment."""

from __future__ import annotations

import re
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
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


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
    exec(blocks(ROOT / "README.md", "python")[1], space)
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
