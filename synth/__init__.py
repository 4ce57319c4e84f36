"""synth: labelled synthetic pictures, exact and reproducible. `import synth` loads nothing; each name is fetched when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from synth.assets import load_asset as load_asset
    from synth.digest import label_digest as label_digest
    from synth.digest import pixel_digest as pixel_digest
    from synth.errors import SynthError as SynthError
    from synth.mix import mixture as mixture
    from synth.recipe import Generator as Generator
    from synth.recipe import Recipe as Recipe
    from synth.record import Output as Output
    from synth.render.flat import FlatSpec as FlatSpec
    from synth.render.pyrender import PyrenderSpec as PyrenderSpec
    from synth.run import LocalExecutor as LocalExecutor
    from synth.store import Store as Store
    from synth.view import contact_sheet as contact_sheet
    from synth.view import draw as draw

_HOME = {
    "FlatSpec": "synth.render.flat",
    "Generator": "synth.recipe",
    "LocalExecutor": "synth.run",
    "Output": "synth.record",
    "PyrenderSpec": "synth.render.pyrender",
    "Recipe": "synth.recipe",
    "Store": "synth.store",
    "SynthError": "synth.errors",
    "contact_sheet": "synth.view",
    "draw": "synth.view",
    "label_digest": "synth.digest",
    "load_asset": "synth.assets",
    "mixture": "synth.mix",
    "pixel_digest": "synth.digest",
}

__all__ = [
    "FlatSpec",
    "Generator",
    "LocalExecutor",
    "Output",
    "PyrenderSpec",
    "Recipe",
    "Store",
    "SynthError",
    "__version__",
    "contact_sheet",
    "draw",
    "label_digest",
    "load_asset",
    "mixture",
    "pixel_digest",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'synth' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
