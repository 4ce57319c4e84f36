"""Where cut-outs go in a frame, and how they meet what is behind them: distributions for scenes and stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from synth.errors import ConfigError, SceneError, known_names
from synth.rand import Choice, LogUniform, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import F64, I32, Blend, BlendMode, Bool, Cutout, Window
from synth.warp import extent, silhouette

_MAP_PX = 192  # overlaps are measured on a frame whose longer side is this
_FOCAL = 1.5  # of the camera that sees a tilted cut-out, in longer sides of the frame: about 37 degrees across


@dataclass(frozen=True)
class Layout:
    """Random homographies for cut-outs, each drawn from a stream of its own.

    scale: longer side of what is opaque, as a share of the frame's shorter side. own_size: instead of that, a factor on the cut-out's own
    size in px, where cut-outs of one camera keep their proportions. turn_rad: clockwise on the screen. stretch: width over
    height, times the cut-out's own. shear_rad: between its sides. tilt_rad: of its plane out of the image, about an axis in the image
    that may lie anywhere; the camera then sees it in perspective. mirror: how likely left and right change places.
    truncated: share of it that may lie outside the frame. hidden: share of what a labelled cut-out shows within the frame that later ones
    may hide, all together. tries: places that are tried for each.
    """

    scale: Random[float] = LogUniform(0.12, 0.45)
    own_size: Random[float] | None = None
    turn_rad: Random[float] = Normal(0.0, 0.2)
    stretch: Random[float] = 1.0
    shear_rad: Random[float] = 0.0
    tilt_rad: Random[float] = 0.0
    mirror: Random[float] = 0.0
    truncated: Random[float] = 0.2
    hidden: Random[float] = 0.5
    tries: int = 100

    def __post_init__(self) -> None:
        for name, low, high in (
            ("scale", 0.005, 4.0),
            ("turn_rad", -math.inf, math.inf),
            ("stretch", 0.1, 10.0),
            ("shear_rad", -1.2, 1.2),
            ("tilt_rad", -1.3, 1.3),
            ("mirror", 0.0, 1.0),
            ("truncated", 0.0, 1.0),
            ("hidden", 0.0, 1.0),
        ):
            check_range(f"layout.{name}", getattr(self, name), low, high)
        if self.own_size is not None:
            check_range("layout.own_size", self.own_size, 0.01, 100.0)
        check_range("layout.tries", self.tries, 1, 10_000, whole=True)

    def shape(self, cutout: Cutout, width: int, height: int, rng: Stream) -> F64:
        """A homography (3, 3) that puts the middle of the cut-out at (0, 0) of the image."""
        low, high = extent(cutout)
        size = high - low
        to_middle = np.array([[1, 0, -(low[0] + high[0]) / 2], [0, 1, -(low[1] + high[1]) / 2], [0, 0, 1.0]])
        scale = (
            float(draw(self.scale, rng, "scale")) * min(width, height) / float(size.max())
            if self.own_size is None
            else float(draw(self.own_size, rng, "own_size"))
        )
        stretch = math.sqrt(float(draw(self.stretch, rng, "stretch")))
        mirror = draw(self.mirror, rng, "mirror")
        flip = -1.0 if mirror > 0 and rng.child("flip").uniform() < mirror else 1.0
        shear = math.tan(float(draw(self.shear_rad, rng, "shear_rad")))
        affine = np.array([[flip * scale * stretch, shear * scale / stretch, 0], [0, scale / stretch, 0], [0, 0, 1.0]])
        matrix: F64 = _turn(float(draw(self.turn_rad, rng, "turn_rad"))) @ affine @ to_middle
        tilt = float(draw(self.tilt_rad, rng, "tilt_rad"))
        if tilt:
            axis = _turn(float(rng.child("tilt_axis").uniform(-math.pi, math.pi)))
            matrix = axis @ _tilt(tilt, _FOCAL * max(width, height)) @ axis.T @ matrix
        return matrix

    def draw(
        self, cutouts: Sequence[Cutout], labelled: Sequence[bool], width: int, height: int, rng: Stream, below: I32 | None = None
    ) -> tuple[F64, ...]:
        """image_from_layer (3, 3) of each cut-out, back to front. below (height, width): the instance map that they go over, whose
        instances count as labelled. Raises SceneError when one finds no place."""
        coarse = min(1.0, _MAP_PX / max(width, height))
        map_size = max(1, round(width * coarse)), max(1, round(height * coarse))
        map_from_image = np.diag([map_size[0] / width, map_size[1] / height, 1.0])
        owner = _thinned(below, map_size)  # which labelled thing is seen, by number from 1
        seen = np.bincount(owner.ravel())
        whole = {number: int(seen[number]) for number in range(1, len(seen))}
        first = len(seen)
        placed = []
        for number, (cutout, has_label) in enumerate(zip(cutouts, labelled, strict=True)):
            stream = rng.child(number)
            hidden, truncated = float(draw(self.hidden, stream, "hidden")), float(draw(self.truncated, stream, "truncated"))
            for attempt in range(self.tries):
                matrix = self._at_random(cutout, width, height, stream.child(attempt))
                found = _fits(silhouette(cutout, map_from_image @ matrix, *map_size), owner, whole, hidden, truncated)
                if found is not None:
                    break
            else:
                raise SceneError(
                    f"no place for cut-out '{cutout.name}' ({number + 1} of {len(cutouts)}) in {self.tries} tries on {width} x {height} px "
                    f"with at most {truncated:.0%} of it outside and {hidden:.0%} of another hidden; place fewer, make them smaller, or "
                    "raise layout.hidden or layout.truncated"
                )
            owner[found] = first + number if has_label else 0
            if has_label:
                whole[first + number] = int(found.sum())
            placed.append(matrix)
        return tuple(placed)

    def _at_random(self, cutout: Cutout, width: int, height: int, rng: Stream) -> F64:
        x, y = rng.child("at").uniform((0, 0), (width, height))
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ self.shape(cutout, width, height, rng)


def _thinned(below: I32 | None, size: tuple[int, int]) -> I32:
    """An instance map at every few pixels."""
    if below is None:
        return np.zeros(size[::-1], dtype=np.int32)
    rows, columns = ((np.arange(n) + 0.5) / n * full for n, full in zip(size[::-1], below.shape, strict=True))
    return np.array(below[rows.astype(np.intp)[:, None], columns.astype(np.intp)], dtype=np.int32)


def _fits(window: Window, owner: I32, whole: dict[int, int], hidden: float, truncated: float) -> Bool | None:
    """(h, w) what it would cover of the map, if that is allowed."""
    covered = window.cut(owner.shape[1], owner.shape[0])
    inside, total = int(covered.sum()), float(window.bits.sum()) + window.beyond_px
    if total and 1 - inside / total > truncated + 1e-9:  # one too small for the map is in the frame, where its middle is
        return None
    seen, taken = (np.bincount(part, minlength=max(whole, default=0) + 1) for part in (owner.ravel(), owner[covered]))
    for number, pixels in whole.items():
        if seen[number] - taken[number] < (1 - hidden) * pixels - 1e-9:
            return None
    return covered


def _turn(angle_rad: float) -> F64:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _tilt(angle_rad: float, focal_px: float) -> F64:
    """The image of the plane z = f, turned about its x axis through (0, 0, f), by a camera at the origin of that focal length."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[1, 0, 0], [0, c, 0], [0, s / focal_px, 1]])


@dataclass(frozen=True)
class Blending:
    """How cut-outs meet what is behind them; each value may be a distribution.

    mode: `none`, `feather`, `gaussian`, `motion` or `poisson` (synth.types.Blend). feather_px, gaussian_px, motion_px: the width of each.
    motion_rad: direction. match [0, 1]: how far colours take on those around. shadow [0, 1]: how dark the contact shadow is; its blur
    and its offset from the cut-out are shares of the frame's shorter side, the offset in direction shadow_rad (pi/2 is down).
    """

    mode: Random[str] = field(default_factory=lambda: Choice(list(get_args(BlendMode)), [3, 2, 2, 1, 1]))
    feather_px: Random[float] = Uniform(1.0, 4.0)
    gaussian_px: Random[float] = Uniform(0.5, 2.0)
    motion_px: Random[float] = Uniform(2.0, 10.0)
    motion_rad: Random[float] = Uniform(-math.pi, math.pi)
    match: Random[float] = Uniform(0.0, 0.4)
    shadow: Random[float] = Uniform(0.0, 0.5)
    shadow_blur: Random[float] = Uniform(0.004, 0.02)
    shadow_offset: Random[float] = Uniform(0.0, 0.02)
    shadow_rad: Random[float] = Uniform(0.3, 2.8)

    def __post_init__(self) -> None:
        for mode in self.mode.options if isinstance(self.mode, Choice) else [self.mode]:
            if mode not in get_args(BlendMode):
                raise ConfigError(known_names("blending mode", str(mode), get_args(BlendMode)))
        for name, low, high in (
            ("feather_px", 0.0, 256.0),
            ("gaussian_px", 0.0, 256.0),
            ("motion_px", 0.0, 256.0),
            ("motion_rad", -math.inf, math.inf),
            ("match", 0.0, 1.0),
            ("shadow", 0.0, 1.0),
            ("shadow_blur", 0.0, 0.1),
            ("shadow_offset", 0.0, 0.2),
            ("shadow_rad", -math.inf, math.inf),
        ):
            check_range(f"blending.{name}", getattr(self, name), low, high)

    def draw(self, width: int, height: int, rng: Stream, number: int) -> Blend:
        """The look of cut-out `number` of a picture of that size. All shadows of a picture fall in one direction."""
        one = rng.child(number)
        mode = draw(self.mode, one, "mode")
        widths = {"feather": self.feather_px, "gaussian": self.gaussian_px, "motion": self.motion_px}
        shadow, side = float(draw(self.shadow, one, "shadow")), min(width, height)
        # What does not show is not drawn: streams take time.
        angle, offset, blur = (
            float(draw(self.shadow_rad, rng, "shadow_rad")) if shadow else 0.0,
            float(draw(self.shadow_offset, one, "shadow_offset")) * side if shadow else 0.0,
            float(draw(self.shadow_blur, one, "shadow_blur")) * side if shadow else 0.0,
        )
        return Blend(
            mode,  # type: ignore[arg-type]
            float(draw(widths[mode], one, f"{mode}_px")) if mode in widths else 0.0,
            float(draw(self.motion_rad, one, "motion_rad")) if mode == "motion" else 0.0,
            float(draw(self.match, one, "match")),
            shadow,
            blur,
            (offset * math.cos(angle), offset * math.sin(angle)),
        )
