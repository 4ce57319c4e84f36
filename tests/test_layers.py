"""The layout's laws: imports point down, `import synth` is light, public names are there on purpose."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synth

ROOT = Path(synth.__file__).parent.parent
# From the ground up; modules on one line may not import each other.
LAYERS = [
    {"errors"},
    {"types"},
    {"rand"},
    {"protocols"},
    {"blackbody", "channels", "content", "digest", "geometry", "images", "parameters"},
    {"meshes", "polygons", "raster", "record", "warp"},
    {"annotate", "assets", "cutouts"},
    {"compose", "cutting", "layout", "surfaces"},
    {"augment", "collage", "formats", "render", "store"},
    {"recipe"},
    {"ingest", "reproduce", "run", "scaffold", "testing", "view"},
    {"compare", "config", "preview"},
    {"doctor", "mix"},  # a plan keeps stages as config, and builds them
    {"experiment"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
GROUND = {"numpy"}
HOMES = {  # who may import what of the outside at all
    "OpenGL": {"render"},
    "pyrender": {"render"},
    "pyglet": {"render"},
    "hydra": {"config", "cli"},
    "omegaconf": {"config", "cli"},
    "albumentations": {"augment"},
    "lance": {"store"},
    "duckdb": {"store"},
    "obstore": {"store"},
    "defusedxml": {"formats"},
    "mujoco": {"compose"},
    "trimesh": {"assets", "compose", "meshes"},
}


def modules() -> list[Path]:
    return sorted(p for p in (ROOT / "synth").rglob("*.py") if p != ROOT / "synth" / "__init__.py")


def imports(path: Path, top_only: bool = False) -> set[str]:
    """Full dotted names a file imports, those only for type checkers left out."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()

    def walk(nodes: list[ast.stmt] | list[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "synth" else [node.module]
                found.update(names)
            if not (top_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
                walk(list(ast.iter_child_nodes(node)))

    walk(tree.body)
    return found


def room(dotted: str) -> str:
    return dotted.split(".")[1]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = path.relative_to(ROOT / "synth").parts[0].removesuffix(".py")
    assert here in LEVEL, f"{here} has no layer: say where it belongs"
    for name in imports(path):
        assert not name.startswith("synth_scenes"), f"{path.name} imports {name}: synth never imports a scene"
        if name.startswith("synth.") and room(name) in LEVEL:
            there = room(name)
            assert there == here or LEVEL[there] < LEVEL[here], f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_foreign_libraries_stay_in_their_room(path: Path) -> None:
    here = path.relative_to(ROOT / "synth").parts[0].removesuffix(".py")
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or here in homes, f"{path.name} imports {name}, which belongs to {sorted(homes or ())}"


@pytest.mark.parametrize("name", ["errors", "types", "rand", "protocols"])
def test_ground_floor_needs_numpy_only(name: str) -> None:
    for imported in imports(ROOT / "synth" / f"{name}.py", top_only=True):
        top = imported.split(".")[0]
        assert top in sys.stdlib_module_names or top in GROUND or top == "synth", f"{name} imports {imported}"


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(' '.join(sys.modules))"], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {
    "OpenGL",
    "pyrender",
    "pyglet",
    "torch",
    "ray",
    "albumentations",
    "hydra",
    "omegaconf",
    "lance",
    "pyarrow",
    "cv2",
    "scipy",
    "trimesh",
    "duckdb",
    "obstore",
    "defusedxml",
    "mujoco",
    "matplotlib",
}


def test_import_synth_is_light() -> None:
    assert not loaded_after("import synth") & (HEAVY | {"numpy"})


def test_help_is_light() -> None:
    loaded = loaded_after("from synth.cli import main; main(['--help'])")
    assert not loaded & (HEAVY | {"numpy", "rich"})


def test_ground_floor_is_light() -> None:
    assert not loaded_after("import synth.types, synth.rand, synth.protocols, synth.geometry, synth.annotate") & HEAVY


def test_exported_names_are_there_and_no_others() -> None:
    assert sorted(synth.__all__) == dir(synth) == sorted({*synth._HOME, "__version__"})
    for name in synth.__all__:
        assert getattr(synth, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Stoer'"):
        _ = synth.Stoer  # type: ignore[attr-defined]


def test_configs_hold_no_code() -> None:
    assert [p for p in (ROOT / "configs").rglob("*") if p.is_file() and p.suffix != ".yaml"] == []
