"""Any cut-outs on any photos: cut, paste and learn (Dwibedi, Misra and Hebert 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from synth.cutouts import categories_of, cutout_sources, load_cutout, read_cutout_info
from synth.errors import ConfigError, known_names
from synth.layout import Blending, Layout
from synth.rand import Integers, Random, Stream, check_range, draw
from synth.types import Category, Collage, Layer
from synth_scenes.backdrops import Backdrop, cutouts_in


@dataclass(frozen=True)
class Cutpaste:
    """cutouts: a folder of them (synth.cutouts), labelled by their descriptions or the folders they lie in. objects: how many. shares: how
    often each category is drawn, against the others; without, each cut-out is as likely as any other.
    backgrounds: a folder of photos. distractors: how many cut-outs without label, of the folder distractor_cutouts; they hide and are
    hidden. layout: where all of them go. blending: how they meet what is behind."""

    composes: ClassVar = Collage

    width: int = 640
    height: int = 480
    cutouts: str = "groceries"
    backgrounds: str = "photos"
    objects: Random[int] = Integers(3, 7)
    shares: Mapping[str, float] | None = None
    distractors: Random[int] = Integers(0, 3)
    distractor_cutouts: str = "plants"
    zoom: Random[float] = Backdrop.zoom
    mirror_background: Random[float] = Backdrop.mirror
    layout: Layout = field(default_factory=Layout)
    blending: Blending = field(default_factory=Blending)

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            check_range(name, getattr(self, name), 1, 16384, whole=True)
        check_range("objects", self.objects, 0, 500, whole=True)
        check_range("distractors", self.distractors, 0, 500, whole=True)
        shares = dict(self.shares or {})
        object.__setattr__(self, "shares", shares)
        _ = self._files, self._backdrop
        names = [category.name for category in self.categories]
        for name, share in shares.items():
            if name not in names:
                raise ConfigError(f"shares: {known_names('category', str(name), names)}")
            check_range(f"shares.{name}", share, 0, 1e9)
        if shares and not any(shares.values()):
            raise ConfigError("shares must name at least one category with more than 0")

    @cached_property
    def _files(self) -> tuple[Sequence[Path], Sequence[Path]]:
        return cutouts_in(self.cutouts), cutouts_in(self.distractor_cutouts)

    @cached_property
    def _by_category(self) -> Mapping[str, Sequence[Path]]:
        found: dict[str, list[Path]] = {}
        for file in self._files[0]:
            found.setdefault(read_cutout_info(file).category.name, []).append(file)
        return found

    def _one_of(self, files: Sequence[Path], rng: Stream, has_label: bool) -> Path:
        if has_label and self.shares:
            weights = np.array(list(self.shares.values()), np.float64)
            files = self._by_category[str(rng.child("category").choice(list(self.shares), p=weights / weights.sum()))]
        return files[int(rng.integers(len(files)))]

    @cached_property
    def _backdrop(self) -> Backdrop:
        return Backdrop(self.backgrounds, self.zoom, self.mirror_background)

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """Of the cut-outs, by name."""
        return categories_of(self._files[0])

    @property
    def sources(self) -> dict[Path, str]:
        """The cut-outs, their masks and descriptions, and the photos, each with its licence."""
        labelled, others = self._files
        return {**cutout_sources(others), **cutout_sources(labelled), **self._backdrop.sources}

    def compose(self, rng: Stream) -> Collage:
        """Objects and distractors in random depth order over a photo."""
        labelled, others = self._files
        picks = [(True, rng.child("object", i), labelled) for i in range(int(draw(self.objects, rng, "objects")))]
        picks += [(False, rng.child("distractor", i), others) for i in range(int(draw(self.distractors, rng, "distractors")))]
        picks = [picks[i] for i in rng.child("order").permutation(len(picks))]
        files = [self._one_of(files, stream, has_label) for has_label, stream, files in picks]
        cutouts = [load_cutout(file) for file in files]
        places = self.layout.draw(cutouts, [has_label for has_label, _, _ in picks], self.width, self.height, rng.child("layout"))
        layers = [
            Layer(
                cutout,
                place,
                read_cutout_info(file).category if has_label else None,
                self.blending.draw(self.width, self.height, rng.child("blending"), i),
            )
            for i, ((has_label, _, _), file, cutout, place) in enumerate(zip(picks, files, cutouts, places, strict=True))
        ]
        return Collage(self._backdrop.draw(self.width, self.height, rng.child("background")), tuple(layers))
