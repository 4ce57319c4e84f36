"""Cut-outs pasted over a finished picture, rendered or real: what they cover is hidden, and masks, fractions and v follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.collage import lay
from synth.cutouts import cutout_files, cutout_sources, load_cutout, read_cutout_info
from synth.layout import Blending, Layout
from synth.rand import Integers, Random, Stream, check_range, draw
from synth.types import F64, Blend, Bool, Cutout, Draft, DraftInstance, Layer, Window
from synth.warp import place, through


@dataclass(frozen=True)
class Paste:
    """A stage that pastes cut-outs of a folder (synth.cutouts): how many, where (`layout`) and how (`blending`).

    labelled: each becomes an instance of its category, which the scene must declare; otherwise they are distractors that only hide.
    layout.hidden: share of what an instance of the picture shows that they may hide.
    """

    cutouts: str
    count: Random[int] = Integers(1, 3)
    labelled: bool = False
    layout: Layout = field(default_factory=Layout)
    blending: Blending = field(default_factory=Blending)

    def __post_init__(self) -> None:
        check_range("count", self.count, 0, 500, whole=True)
        _ = self._files

    @cached_property
    def _files(self) -> tuple[Path, ...]:
        return cutout_files(self.cutouts)

    @property
    def sources(self) -> Mapping[Path, str]:
        """The files it may paste, and their licences."""
        return cutout_sources(self._files)

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        """The draft with cut-outs over it."""
        width, height = draft.size
        count = int(draw(self.count, rng, "count"))
        files = [self._files[int(rng.child("file", i).integers(len(self._files)))] for i in range(count)]
        cutouts = [load_cutout(file) for file in files]
        places = self.layout.draw(cutouts, [self.labelled] * count, width, height, rng.child("layout"), draft.instance)
        layers = [
            Layer(
                cutout,
                place_,
                read_cutout_info(file).category if self.labelled else None,
                self.blending.draw(width, height, rng.child("blending"), i),
            )
            for i, (file, cutout, place_) in enumerate(zip(files, cutouts, places, strict=True))
        ]
        return lay(draft, layers)


def copy_paste(
    target: Draft,
    source: Draft,
    rng: Stream,
    *,
    share: Random[float] = 0.5,
    scale: Random[float] = 1.0,
    mirror: Random[float] = 0.5,
    blend: Blend | None = None,
) -> Draft:
    """Simple Copy-Paste (Ghiasi et al. 2021): each object of `source` that shows is pasted over `target` with probability `share`, all
    through one random similarity: the source's frame fitted to the target's, times `scale`, somewhere in it, mirrored or not.

    Only what shows of an object is pasted, while its whole silhouette counts for its fractions. It loses pose and keypoint_xyz, since no
    one camera sees both pictures.
    """
    width, height = target.size
    source_width, source_height = source.size
    factor = float(draw(scale, rng, "scale")) * min(width / source_width, height / source_height)
    room = np.array([width - factor * source_width, height - factor * source_height])
    x, y = rng.child("at").uniform(size=2) * room
    target_from_source = np.array([[factor, 0, x], [0, factor, y], [0, 0, 1]])
    if rng.child("mirror").uniform() < draw(mirror, rng, "mirror"):
        target_from_source = target_from_source @ np.array([[-1.0, 0, source_width], [0, 1, 0], [0, 0, 1]])
    chance = float(draw(share, rng, "share"))
    layers, moved = [], []
    for number, item in enumerate(source.instances, start=1):
        mask = source.instance == number
        if rng.child(number).uniform() >= chance or not mask.any():
            continue
        cutout, corner = _cut(item.asset, source, mask)
        layer = Layer(cutout, target_from_source @ corner, item.category, blend or Blend())
        layers.append(layer)
        moved.append(_moved(item, target_from_source, width, height))
    pasted = lay(target, layers)
    return replace(pasted, instances=(*target.instances, *moved))


def _cut(name: str, draft: Draft, mask: Bool) -> tuple[Cutout, F64]:
    """The part of a draft under a mask, and draft_from_cutout (3, 3)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    rgba = np.dstack([draft.image[part], mask[part].astype(np.uint8) * 255])
    return Cutout(name, rgba), np.array([[1, 0, columns[0]], [0, 1, rows[0]], [0, 0, 1.0]])


def _moved(item: DraftInstance, target_from_source: F64, width: int, height: int) -> DraftInstance:
    """An instance through a similarity, into a frame of that size."""
    window = item.silhouette
    factor = abs(float(np.linalg.det(target_from_source)))
    silhouette = Window(np.zeros((0, 0), dtype=np.bool_), 0, 0)
    if window.bits.any():
        alpha = window.bits.astype(np.uint8) * 255
        corner = np.array([[1, 0, window.x0], [0, 1, window.y0], [0, 0, 1.0]])
        whole = Cutout(item.asset, np.dstack([alpha, alpha, alpha, alpha]))
        silhouette = place(whole, target_from_source @ corner, width, height).silhouette
    swap = {a: b for pair in item.category.mirror for a, b in (pair, pair[::-1])} if target_from_source[0, 0] < 0 else {}
    names = item.category.keypoints
    order = [names.index(swap.get(name, name)) for name in names]
    return replace(
        item,
        silhouette=replace(silhouette, beyond_px=silhouette.beyond_px + window.beyond_px * factor),
        outline_xy=through(target_from_source, item.outline_xy)[0],
        keypoint_xy=through(target_from_source, item.keypoint_xy)[0][order],
        keypoint_front=item.keypoint_front[order],
        keypoint_surface=item.keypoint_surface[order],
        keypoint_xyz_m=None,
        camera_from_object=None,
        box3d_object_m=None,
    )
