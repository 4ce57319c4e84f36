"""2D layers over a background: drawn in linear light from back to front, and handed to `synth.annotate` for their labels.

The collage is its own renderer. A scene that composes collages says `composes = Collage`, and its recipe then draws with `CollageSpec`,
whatever other renderer was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth.annotate import annotate_layers
from synth.collage.blend import blend, margin_px
from synth.errors import RenderError
from synth.types import U8, Collage, Draft, Frame, Layer, Window, World
from synth.warp import place, to_linear, to_srgb


@dataclass(frozen=True)
class CollageSpec:
    """Options of the collage renderer: none."""

    def open(self) -> CollageRenderer:
        """A renderer; it holds nothing."""
        return CollageRenderer()


class CollageRenderer:
    """Draws collages, and no worlds."""

    @property
    def name(self) -> str:
        """What pixels depend on."""
        import cv2

        return f"collage 1 opencv {cv2.__version__} numpy {np.__version__}"

    def close(self) -> None:
        """Nothing to give back."""

    def render(self, world: World, *, normals: bool = False) -> Frame:
        """Raises RenderError: there is no third dimension here."""
        raise RenderError("the scene says that it composes collages, but composed a World; let it say composes = World")

    def draw(self, collage: Collage) -> Draft:
        """The collage with what labels are made of, one instance for each layer with a category, in the order of the layers."""
        blank = Draft(collage.background, np.zeros((collage.height, collage.width), dtype=np.int32), ())
        return lay(blank, collage.layers)


def lay(draft: Draft, layers: Sequence[Layer]) -> Draft:
    """The draft with layers over it, back to front: they hide what they cover, and those with a category become its last instances."""
    image, silhouettes = paint(draft.image, layers)
    return annotate_layers(draft, image, layers, silhouettes)


def paint(image: U8, layers: Sequence[Layer]) -> tuple[U8, list[Window]]:
    """The picture (h, w, 3) with layers over it, and the silhouette of each."""
    height, width = image.shape[:2]
    canvas = to_linear(image)
    silhouettes = []
    for layer in layers:
        placed = place(layer.cutout, layer.image_from_layer, width, height, margin_px(layer.blend))
        blend(canvas, placed, layer.blend)
        silhouettes.append(placed.silhouette)
    return to_srgb(canvas), silhouettes
