"""Sheets of stages for docs/augment.md and docs/sensors.md: one picture after each stage, with the labels that `synth.view` draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import synth_scenes
import yaml

from synth import Generator
from synth.annotate import annotate, finish
from synth.augment.albumentations import Albumentations
from synth.augment.harmonize import ColourStatistics, Harmonize
from synth.augment.registry import REGISTRY
from synth.augment.sensor import (
    Bayer,
    ChromaticAberration,
    Defocus,
    Exposure,
    Gamma,
    Jpeg,
    LensDistortion,
    LinearBlur,
    MotionBlur,
    Noise,
    Quantisation,
    RollingShutter,
    Sharpening,
    StereoDepth,
    Vignetting,
    WhiteBalance,
)
from synth.collage.paste import Paste
from synth.config.build import build
from synth.layout import Blending, Layout
from synth.protocols import Stage
from synth.rand import Uniform, rng_for
from synth.types import U8, Draft, Sample, World
from synth.view import draw

CELL = (320, 240)  # px of a panel, without its caption
CLOSE = (408, 64)  # px of the picture; upper left corner of what is shown enlarged
DARK = (24, 24, 24)
FILL = {"fill": 114}
PRESETS = Path("configs/augment")
SIZE = {"${camera.width}": 640, "${camera.height}": 480}

GEOMETRIC: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("Crop", {"x_min": 120, "y_min": 90, "x_max": 470, "y_max": 400}),
    ("Resize", {"width": 420, "height": 480}),
    ("Pad", {"padding": [40, 20, 120, 90], **FILL}),
    ("Rotate", {"limit": [25, 25], **FILL}),
    ("Affine", {"scale": [0.8, 0.8], "rotate": [-15, -15], "shear": [12, 12], **FILL}),
    ("Perspective", {"scale": [0.1, 0.1], **FILL}),
    ("ElasticTransform", {"alpha": 500, "sigma": 18, **FILL}),
    ("GridDistortion", {"num_steps": 5, "distort_limit": [-0.5, 0.5], **FILL}),
    ("OpticalDistortion", {"distort_limit": [-0.6, -0.6], **FILL}),
    ("ThinPlateSpline", {"scale_range": [0.15, 0.15], **FILL}),
    ("HorizontalFlip", {}),
    ("VerticalFlip", {}),
    ("Transpose", {}),
    ("RandomRotate90", {}),
    ("RandomResizedCrop", {"size": [480, 640], "scale": [0.4, 0.4], "ratio": [1.3, 1.3]}),
)
COVERING: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("CoarseDropout", {"num_holes_range": [8, 8], "hole_height_range": [0.1, 0.2], "hole_width_range": [0.1, 0.2]}),
    ("Erasing", {"scale": [0.1, 0.1], "fill": "random_uniform"}),
    ("GridDropout", {"ratio": 0.4, "unit_size_range": [80, 81]}),
    ("XYMasking", {"num_masks_x": 2, "num_masks_y": 1, "mask_x_length": 60, "mask_y_length": 50}),
    ("MaskDropout", {"max_objects": [2, 2]}),
    (
        "ConstrainedCoarseDropout",
        {"num_holes_range": [2, 2], "hole_height_range": [0.4, 0.5], "hole_width_range": [0.4, 0.5], "mask_indices": [1]},
    ),
    ("PixelDropout", {"dropout_prob": 0.3}),
)
SENSOR: Sequence[tuple[str, Stage]] = (
    ("LensDistortion\nk1 -0.3, k2 0.1", LensDistortion(-0.3, 0.1)),
    ("Vignetting\nnatural 1, a2 -0.3, a4 -0.1", Vignetting(1, -0.3, -0.1)),
    ("ChromaticAberration\nred_px 2, blue_px -2", ChromaticAberration(2, -2)),
    ("Defocus\nf 25 mm, f/1.4, focused at 1.0 m", Defocus(25, 1.4, 1.0)),
    ("MotionBlur\n1/30 s, camera turning by 0.3, 0.2, 1 rad/s", MotionBlur(1 / 30, (0.3, 0.2, 1))),
    ("LinearBlur\nlength_px 12, angle_rad 0.5", LinearBlur(12, 0.5)),
    ("RollingShutter\nreadout 0.03 s, turning by 0, 3, 0 rad/s", RollingShutter(0.03, (0, 3, 0))),
    ("Exposure\nev 1", Exposure(1)),
    ("Noise\nfull well 5000 e-, read noise 3 e-, gain 16", Noise(5000, 3, 16)),
    ("Quantisation\nbits 4, encoded", Quantisation(4, encoded=True)),
    ("WhiteBalance\ntemperature_k 4000", WhiteBalance(4000)),
    ("Bayer\nRGGB, bilinear", Bayer()),
    ("Gamma\ngamma 1.6", Gamma(1.6)),
    ("Sharpening\namount 2, sigma_px 1", Sharpening(2, 1)),
    ("Jpeg\nquality 30", Jpeg(30)),
)
STEREO = StereoDepth(0.05, 0.1, 5, 0.125, 1.35, 0.03)


Look = Callable[[Sample, str], Any]


# --- panels -----------------------------------------------------------------------------------------------------------


def grid(panels: Sequence[Any], columns: int, gap_px: int = 4) -> U8:
    """Panels of one size, in rows."""
    framed = [cv2.copyMakeBorder(panel, 0, gap_px, 0, gap_px, cv2.BORDER_CONSTANT, value=DARK) for panel in panels]
    framed += [np.full_like(framed[0], DARK[0])] * (-len(framed) % columns)
    rows = [np.hstack(framed[i : i + columns]) for i in range(0, len(framed), columns)]
    return np.asarray(np.vstack(rows), dtype=np.uint8)


def named(panel: Any, text: str) -> Any:
    """A panel with its caption on a dark strip above it; a second line is smaller."""
    first, *more = text.split("\n")
    lines = [(first, 0.48, 18), *((line, 0.4, 37) for line in more)]
    out = cv2.copyMakeBorder(panel, 45 if more else 26, 0, 0, 0, cv2.BORDER_CONSTANT, value=DARK)
    for line, size, y in lines:
        (wide, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        fitted = size * min(1.0, (panel.shape[1] - 10) / max(wide, 1))
        cv2.putText(out, line, (6, y), cv2.FONT_HERSHEY_SIMPLEX, fitted, (240, 240, 240), 1, cv2.LINE_AA)
    return out


def labelled(sample: Sample, text: str) -> Any:
    """The sample with its labels in a cell, as large as fits; all pictures of 640 x 480 at one scale."""
    picture = draw(sample, min(CELL[0] / sample.size[0], CELL[1] / sample.size[1], 0.5))
    down, across = CELL[1] - picture.shape[0], CELL[0] - picture.shape[1]
    cell = cv2.copyMakeBorder(picture, down // 2, down - down // 2, across // 2, across - across // 2, cv2.BORDER_CONSTANT, value=DARK)
    return named(cell, text)


def close(sample: Sample, text: str) -> Any:
    """The same, with a part of the bare picture in the lower right corner, pixel by pixel."""
    return magnified(labelled(sample, text), sample.image, CLOSE)


def magnified(panel: Any, picture: U8, at: tuple[int, int], side_px: int = 24, times: int = 3) -> Any:
    """The panel with a part of the picture in its lower right corner, pixel by pixel."""
    x, y = at
    part = picture[y : y + side_px, x : x + side_px]
    large = cv2.resize(part, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    out, side = panel.copy(), side_px * times
    out[-side - 4 : -4, -side - 4 : -4] = large
    cv2.rectangle(out, (out.shape[1] - side - 5, out.shape[0] - side - 5), (out.shape[1] - 4, out.shape[0] - 4), (255, 255, 255), 1)
    return out


def short(name: str, params: Mapping[str, Any]) -> str:
    """A transform and its settings, in two lines."""

    def value(v: Any) -> str:
        if isinstance(v, list) and len(v) == 2:
            low, high = v
            return value(low) if low == high else f"+-{value(high)}" if low == -high else f"{value(low)}..{value(high)}"
        return f"{v:g}" if isinstance(v, (int, float)) else ", ".join(map(str, v)) if isinstance(v, list) else str(v)

    shown = [f"{key.removesuffix('_range').removesuffix('_limit')} {value(v)}" for key, v in params.items() if key not in ("fill", "size")]
    return f"{name}\n{', '.join(shown)}"


# --- sheets -----------------------------------------------------------------------------------------------------------


class Shown:
    """A rendered picture, and what stages make of it."""

    def __init__(self, generator: Generator, index: int) -> None:
        scene, seed = generator.recipe.scene, generator.recipe.seed
        world = scene.compose(rng_for(seed, index, "scene"))
        assert isinstance(world, World)
        self.draft = annotate(world, generator.renderer.render(world, normals=True))
        self.categories = scene.categories

    def after(self, stage: Stage, index: int = 0) -> Sample:
        return self.sample(stage.apply(self.draft, rng_for(7, index, "docs")))

    def sample(self, draft: Draft) -> Sample:
        return finish(draft, self.categories)

    def sheet(
        self, stages: Sequence[tuple[str, Stage]], columns: int = 4, look: Callable[[Sample, str], Any] = labelled, seed: int = 0
    ) -> U8:
        """The picture before, and after each of the stages."""
        panels = [look(self.sample(self.draft), "before\n")]
        panels += [look(self.after(stage, seed + number), text) for number, (text, stage) in enumerate(stages)]
        return grid(panels, columns)


def transforms(listed: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Stage]]:
    return [(short(name, params), Albumentations(name, params)) for name, params in listed]


def shipped_colours() -> list[tuple[str, Stage]]:
    """Every transform of colours in the presets, as they have it, always applied."""
    found: dict[str, tuple[str, Stage]] = {}
    for preset in ("light", "outdoor", "heavy"):
        for node in _nodes(stages_of(preset)):
            name = node.get("name", "")
            if name in REGISTRY and REGISTRY[name].kind == "pixel":
                found.setdefault(name, (f"{preset}: {short(name, node.get('params', {}))}", build(node | {"p": 1.0})))
    return list(found.values())


def stages_of(preset: str) -> dict[str, Any]:
    """What a preset's file says, for pictures of 640 x 480."""

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(item) for item in node] if isinstance(node, list) else SIZE.get(node, node) if isinstance(node, str) else node

    found: dict[str, Any] = resolved(yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())["stages"])
    return found


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(inner)


class Listed:
    """All stages of a preset, as a run applies them."""

    def __init__(self, preset: str) -> None:
        self.stages: Mapping[str, Stage] = {name: build(node) for name, node in stages_of(preset).items()}

    def apply(self, draft: Draft, rng: Any) -> Draft:
        for name, stage in self.stages.items():
            draft = stage.apply(draft, rng.child(name))
        return draft


HARMONIZE = Harmonize(
    ColourStatistics(
        mean=(-0.58, -0.004, 0.007),
        within=((0.028, 0.005, -0.001), (0.005, 0.006, 0.0), (-0.001, 0.0, 0.0001)),
        between=((0.001, 0.0, 0.0), (0.0, 0.0001, 0.0), (0.0, 0.0, 0.00001)),
    ),
    strength=0.6,
)


def in_colours(sample: Sample, text: str, share: Any) -> Any:
    """Boxes over a map of numbers in [0, 1] in colours, from blue to red; what is not finite is black."""
    colour = cv2.applyColorMap((np.nan_to_num(share).clip(0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1].copy()
    colour[~np.isfinite(share)] = 0
    bare = tuple(replace(instance, mask=None, keypoints=None) for instance in sample.instances)
    return labelled(replace(sample, image=colour, instances=bare), text)


def depth_sheet(shown: Shown) -> U8:
    """Depth maps, and how far they are from the truth."""
    true = shown.sample(shown.draft)
    assert true.depth_m is not None

    def depth(sample: Sample, text: str) -> Any:
        assert sample.depth_m is not None
        seen = np.where(np.isfinite(sample.depth_m), sample.depth_m, np.nan)
        return in_colours(sample, text, (1 / seen - 1 / 3.0) / (1 / 0.6 - 1 / 3.0))

    def error(sample: Sample, text: str) -> Any:
        assert sample.depth_m is not None
        with np.errstate(invalid="ignore"):
            return in_colours(sample, text, (sample.depth_m - true.depth_m) / 0.04 + 0.5)

    noisy, stepped = (
        replace(STEREO, max_tilt_rad=np.pi / 2, min_return=0.0, subpixel=0.0),
        replace(STEREO, max_tilt_rad=np.pi / 2, min_return=0.0),
    )
    preset = shown.after(Listed("depth_camera"))
    panels = [
        depth(true, "before: true depth\nblue 3 m and more, red 0.6 m, black: nothing"),
        depth(shown.after(StereoDepth(0.05)), "StereoDepth\nholes of baseline_m 0.05"),
        depth(shown.after(STEREO), "StereoDepth\nholes, noise, steps, max_tilt 1.35, min_return 0.03"),
        error(shown.after(noisy), "error of noise_px 0.1, window_px 5\nblue -2 cm, green 0, red +2 cm"),
        error(shown.after(stepped), "error with subpixel 0.125, too\nblue -2 cm, green 0, red +2 cm"),
        depth(preset, "augment=depth_camera\ndepth"),
    ]
    return grid(panels, 3)


def sheets(generator: Generator) -> Iterator[tuple[str, U8]]:
    """Name and picture of each sheet."""
    shown = Shown(generator, 6)
    plants = Paste(
        str(Path(synth_scenes.__file__).parent / "assets" / "cutouts" / "plants"),
        count=3,
        layout=Layout(scale=Uniform(0.3, 0.45), hidden=0.7),
        blending=Blending(mode="gaussian", gaussian_px=0.8, match=0.2, shadow=0.3),
    )
    yield "augment_geometric", shown.sheet(transforms(GEOMETRIC))
    colours = [*shipped_colours(), ("synth.augment.harmonize.Harmonize\nstrength 0.6", HARMONIZE)]
    yield "augment_photometric", shown.sheet(colours, look=close)
    yield "augment_covering", shown.sheet([*transforms(COVERING), ("synth.collage.paste.Paste\ncount 3, hidden 0.7", plants)], 3, seed=41)
    for name, presets in (("augment", ("light", "outdoor", "heavy")), ("sensor", ("phone", "webcam", "industrial", "depth_camera"))):
        draws = [(f"augment={preset}\nsample {i}", Listed(preset)) for preset in presets for i in range(3 if name == "augment" else 2)]
        yield f"{name}_presets", shown.sheet(draws, 5 if name == "augment" else 3, look=labelled if name == "augment" else close)
    yield "sensor_parts", shown.sheet(SENSOR, look=close)
    yield "sensor_depth", depth_sheet(shown)
