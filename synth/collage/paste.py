"""Cut-outs pasted over a finished picture, rendered or real: what they cover is hidden, and masks, fractions and v follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.annotate import APPROXIMATE, mask_corners
from synth.collage import lay
from synth.cutouts import cutout_files, cutout_sources, load_cutout, read_cutout_info
from synth.errors import ConfigError, SceneError
from synth.layout import Blending, Layout
from synth.rand import Integers, LogUniform, Random, Stream, Uniform, check_range, draw
from synth.types import F64, U8, Blend, Bool, Category, Cutout, Draft, DraftInstance, Instance, Layer, Sample, Window
from synth.warp import place, through

_TRIES = 100  # samples that are drawn until one has something to paste
_LABELS = ("mask_full", "area_px", "box_xyxy", "box_full_xyxy", "obb", "visible_fraction", "truncated_fraction", "keypoints", "asset")


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


@dataclass(frozen=True)
class CopyPaste:
    """A stage: Simple Copy-Paste (Ghiasi et al. 2021) from labelled samples, real or not. For each picture one of `samples` is drawn, and
    its objects are pasted by their masks, as `copy_paste` does. What has no mask, and crowds, are left.

    samples: any sequence of them; in a config synth.store.Stored. categories: names of those to paste; None: all. labelled: each becomes
    an instance of its category, with those labels only that it had; otherwise they are distractors that only hide.
    """

    samples: Sequence[Sample]
    share: Random[float] = 0.5
    scale: Random[float] = LogUniform(0.5, 1.5)
    mirror: Random[float] = 0.5
    categories: Sequence[str] | None = None
    labelled: bool = True
    blending: Blending = field(default_factory=lambda: Blending("gaussian", gaussian_px=Uniform(0.3, 1.0), match=0.0, shadow=0.0))

    def __post_init__(self) -> None:
        if not isinstance(self.samples, Sequence) or isinstance(self.samples, str) or not len(self.samples):
            raise ConfigError(f"CopyPaste: samples must be a sequence of samples (in a config synth.store.Stored), got {self.samples!r}")
        if isinstance(self.categories, str):
            raise ConfigError(f"CopyPaste: categories must be a list of names, got '{self.categories}'")
        check_range("share", self.share, 0, 1)
        check_range("scale", self.scale, 0.01, 100)
        check_range("mirror", self.mirror, 0, 1)

    @property
    def sources(self) -> Mapping[Path, str]:
        """The files that name the samples, and their licences."""
        found: Mapping[Path, str] = getattr(self.samples, "sources", {})
        return found

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        """The draft with objects of one of the samples over it. Raises SceneError if none of many has any."""
        for attempt in range(_TRIES):
            number = int(rng.child("sample", attempt).integers(len(self.samples)))
            source = self.samples[number]
            objects = _objects(source, self.categories)
            if objects:
                target_from_source = _similarity(draft, source, rng, self.scale, self.mirror)
                return _over(draft, source, objects, target_from_source, rng, self.share, self.blending, self.labelled)
        wanted = f" of {', '.join(self.categories)}" if self.categories is not None else ""
        raise SceneError(f"CopyPaste: none of {_TRIES} samples out of {len(self.samples)} has an object with a mask{wanted}; name others")


def copy_paste(
    target: Draft,
    source: Draft | Sample,
    rng: Stream,
    *,
    share: Random[float] = 0.5,
    scale: Random[float] = 1.0,
    mirror: Random[float] = 0.5,
    blend: Blend | None = None,
) -> Draft:
    """Simple Copy-Paste (Ghiasi et al. 2021): each object of `source` that shows is pasted over `target` with probability `share`, all
    through one random similarity: the source's frame fitted to the target's, times `scale`, somewhere in it, mirrored or not.

    Only what shows of an object is pasted, while its whole silhouette counts for its fractions; where that is not known, neither are
    they. It loses pose and keypoint_xyz, since no one camera sees both pictures.
    """
    target_from_source = _similarity(target, source, rng, scale, mirror)
    return _over(target, source, _objects(source, None), target_from_source, rng, share, blend or Blend(), True)


def _similarity(target: Draft, source: Draft | Sample, rng: Stream, scale: Random[float], mirror: Random[float]) -> F64:
    """target_from_source (3, 3): the source's frame fitted to the target's, times `scale`, somewhere in it, mirrored or not."""
    width, height = target.size
    source_width, source_height = source.size
    factor = float(draw(scale, rng, "scale")) * min(width / source_width, height / source_height)
    room = np.array([width - factor * source_width, height - factor * source_height])
    x, y = rng.child("at").uniform(size=2) * room
    target_from_source = np.array([[factor, 0, x], [0, factor, y], [0, 0, 1]])
    if rng.child("mirror").uniform() < draw(mirror, rng, "mirror"):
        target_from_source = target_from_source @ np.array([[-1.0, 0, source_width], [0, 1, 0], [0, 0, 1]])
    return target_from_source


def _over(
    target: Draft,
    source: Draft | Sample,
    objects: Sequence[tuple[Bool, DraftInstance]],
    target_from_source: F64,
    rng: Stream,
    share: Random[float],
    blend: Blend | Blending,
    labelled: bool,
) -> Draft:
    """The target with each of the source's objects over it with probability `share`."""
    width, height = target.size
    chance = float(draw(share, rng, "share"))
    layers, moved = [], []
    for number, (mask, item) in enumerate(objects, start=1):
        if rng.child(number).uniform() >= chance:
            continue
        cutout, source_from_cutout = _cut(item.asset, source.image, mask)
        look = blend if isinstance(blend, Blend) else blend.draw(width, height, rng.child("blending"), number)
        layers.append(Layer(cutout, target_from_source @ source_from_cutout, item.category if labelled else None, look))
        moved += [_moved(item, target_from_source, width, height)] if labelled else []
    pasted = lay(target, layers)
    return replace(pasted, instances=(*target.instances, *moved))


# --- what a source has to paste ---------------------------------------------------------------------------------------


def _objects(source: Draft | Sample, categories: Sequence[str] | None) -> list[tuple[Bool, DraftInstance]]:
    """The objects of a source that show, each with its mask."""
    if isinstance(source, Draft):
        found = [(source.instance == number, item) for number, item in enumerate(source.instances, start=1)]
    else:
        known = {category.name: category for category in source.categories}
        given = [(i.mask.decode(), i) for i in source.instances if i.mask is not None and not i.crowd]
        found = [(mask, _item(i, known.get(i.category, Category(i.category)), mask)) for mask, i in given]
    return [(mask, item) for mask, item in found if mask.any() and (categories is None or item.category.name in categories)]


def _item(instance: Instance, category: Category, mask: Bool) -> DraftInstance:
    """A sample's instance as a draft has it. What it lacks stays absent, and so does what follows from the whole object where that is
    not known: beyond the frame, or behind others."""
    absent = {name for name in _LABELS if getattr(instance, name) is None}
    whole, beyond_px = mask, 0.0
    if instance.mask_full is None:
        absent |= {"box_full_xyxy", "visible_fraction", "truncated_fraction"}
    else:
        whole = mask | instance.mask_full.decode()
        outside, shows = instance.truncated_fraction, instance.visible_fraction
        if outside is not None and outside < 1:
            beyond_px = float(whole.sum()) * outside / (1 - outside)
        elif shows:
            beyond_px = max(0.0, float(mask.sum()) / shows - float(whole.sum()))
        if outside != 0:  # its edges outside are known as a box only, which no longer is tight once it is turned
            absent.add("box_full_xyxy")
    points, count = instance.keypoints, len(category.keypoints)
    attributes = {name: value for name, value in (instance.attributes or {}).items() if name != APPROXIMATE}
    return DraftInstance(
        category=category,
        asset=instance.asset or "",
        silhouette=replace(_window(whole), beyond_px=beyond_px),
        outline_xy=mask_corners(whole),
        keypoint_xy=points.xy if points is not None else np.zeros((count, 2)),
        keypoint_front=points.v > 0 if points is not None else np.zeros(count, dtype=np.bool_),
        keypoint_surface=points.v == 2 if points is not None else np.zeros(count, dtype=np.bool_),
        attributes=attributes or None,
        absent=frozenset(absent),
    )


def _cut(name: str, image: U8, mask: Bool) -> tuple[Cutout, F64]:
    """The part of a picture under a mask, and picture_from_cutout (3, 3)."""
    part = _window(mask)
    rows, columns = part.bits.shape
    rgb = image[part.y0 : part.y0 + rows, part.x0 : part.x0 + columns]
    return Cutout(name, np.dstack([rgb, part.bits.astype(np.uint8) * 255])), np.array([[1, 0, part.x0], [0, 1, part.y0], [0, 0, 1.0]])


def _window(mask: Bool) -> Window:
    """A mask that is not empty, cut to its box."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Window(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(columns[0]), int(rows[0]))


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
