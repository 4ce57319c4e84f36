"""Two dimensions: collages against a loop of cv2.warpPerspective and against rendering, augmentation stages against the bare picture.

640x480, one thread, CPU time; contestants take turns. python -m benchmarks 2d
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from benchmarks.bench_pipeline import WARM_UP, alone, recipe
from benchmarks.measure import Row, timed
from synth.augment.albumentations import Albumentations
from synth.collage import CollageRenderer, CollageSpec
from synth.config.build import build
from synth.layout import Blending, Layout
from synth.rand import LogUniform, Normal, Uniform, rng_for
from synth.recipe import Generator, Recipe
from synth.record import encode
from synth.types import U8, Collage, Draft
from synth.warp import outline

WIDTH, HEIGHT, CUTOUTS = 640, 480, 10
STAGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("geometric", "Affine", {"rotate": [17, 17], "scale": [1.1, 1.1]}),
    ("geometric", "Rotate", {"limit": [-30, 30]}),
    ("geometric", "Perspective", {"scale": [0.08, 0.08]}),
    ("geometric", "ElasticTransform", {"alpha": 40, "sigma": 8}),
    ("geometric", "ThinPlateSpline", {"scale_range": [0.05, 0.1]}),
    ("geometric", "GridElasticDeform", {"num_grid_xy": [4, 3], "magnitude": 9}),
    ("geometric", "OpticalDistortion", {"distort_limit": [-0.3, 0.3]}),
    ("geometric", "GridDistortion", {"num_steps": 6}),
    ("geometric", "RandomResizedCrop", {"size": [480, 640], "scale": [0.5, 1.0]}),
    ("geometric", "Resize", {"height": 384, "width": 512}),
    ("geometric", "RandomRotate90", {}),
    ("geometric", "Transpose", {}),
    ("geometric", "HorizontalFlip", {}),
    ("geometric", "RandomCrop", {"height": 400, "width": 512}),
    ("geometric", "Pad", {"padding": [11, 3, 0, 23]}),
    ("photometric", "RandomBrightnessContrast", {}),
    ("photometric", "GaussianBlur", {"blur_limit": [7, 7]}),
    ("photometric", "GaussNoise", {}),
    ("photometric", "HueSaturationValue", {}),
    ("photometric", "ImageCompression", {}),
)


def scene(name: str, **keys: Any) -> Any:
    """A scene as it ships, but for `keys`."""
    import synth_scenes

    values = yaml.safe_load((Path(synth_scenes.__file__).parent / "conf" / "scene" / f"{name}.yaml").read_text())
    return build({**values, "width": WIDTH, "height": HEIGHT, **keys})


def collages(count: int, **keys: Any) -> list[Collage]:
    """Cut-outs of 40 to 220 px, turned and tilted, on photos."""
    layout = Layout(scale=LogUniform(0.12, 0.45), turn_rad=Normal(0.0, 0.2), tilt_rad=Uniform(-0.5, 0.5), hidden=0.9)
    made = scene("cutpaste", objects=CUTOUTS, distractors=0, layout=layout, **keys)
    return [made.compose(rng_for(0, index, "scene")) for index in range(count)]


# --- contestants ------------------------------------------------------------------------------------------------------


def simple_loop(collage: Collage, window: bool = False) -> U8:
    """What one would write first: each cut-out warped into the frame (window: into its box), in bytes, and mixed in by its alpha."""
    canvas = collage.background.astype(np.float32)
    for layer in collage.layers:
        matrix, (x0, y0, x1, y1) = layer.image_from_layer, (0, 0, WIDTH, HEIGHT)
        if window:
            xy = outline(layer.cutout, matrix)
            (x0, y0), (x1, y1) = np.clip((np.floor(xy.min(axis=0)), np.ceil(xy.max(axis=0))), 0, (WIDTH, HEIGHT)).astype(int).tolist()
            matrix = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]]) @ matrix
        if x0 < x1 and y0 < y1:
            warped = cv2.warpPerspective(layer.cutout.rgba, matrix, (x1 - x0, y1 - y0))
            alpha = warped[..., 3:] / np.float32(255)
            behind = canvas[y0:y1, x0:x1]
            behind[:] = behind * (1 - alpha) + warped[..., :3] * alpha
    return canvas.astype(np.uint8)


def collage_times(rounds: int = 30) -> dict[str, float]:
    """Median CPU seconds of a collage of ten cut-outs: ours with all it needs for labels, and the loops, pictures alone."""
    plain, shipped = collages(rounds, blending=Blending(mode="none", match=0.0, shadow=0.0)), collages(rounds)
    renderer = CollageRenderer()
    for collage in plain[:3]:
        renderer.draw(collage)
    found: dict[str, list[float]] = {}
    for one, blended in zip(plain, shipped, strict=True):
        renderer.draw(blended)  # its cut-outs are ready for all alike
        for name, work in (
            ("ours", partial(renderer.draw, one)),
            ("ours, blended", partial(renderer.draw, blended)),
            ("loop", partial(simple_loop, one)),
            ("loop in boxes", partial(simple_loop, one, window=True)),
        ):
            found.setdefault(name, []).append(timed(work)[1])
    return {name: statistics.median(times) for name, times in found.items()}


def sample_times(rounds: int = 12, size: int = 6) -> dict[str, float]:
    """Mean CPU seconds of a whole sample: composed, drawn, labelled, encoded."""
    recipes = {"tabletop": recipe(), **{name: Recipe(scene(name), CollageSpec(), name=name) for name in ("cutpaste", "logos")}}
    generators = {name: Generator(r) for name, r in recipes.items()}
    found = dict.fromkeys(generators, 0.0)

    def make(generator: Generator, first: int) -> None:
        for index in range(first, first + size):
            encode(generator[index], generator.recipe.output)

    for generator in generators.values():
        for index in range(0, WARM_UP, size):
            make(generator, 10_000 + index)
    for turn in range(rounds):
        for name, generator in generators.items():
            found[name] += timed(partial(make, generator, turn * size))[1] / (rounds * size)
    for generator in generators.values():
        generator.close()
    return found


def stage_times(rounds: int = 40) -> dict[str, tuple[float, float]]:
    """Median CPU seconds of each stage on a draft of ten instances, and of albumentations' transform on its picture."""
    import albumentations

    drafts: list[Draft] = [CollageRenderer().draw(collage) for collage in collages(8)]
    found = {}
    for _, name, params in STAGES:
        stage, bare = Albumentations(name, params), getattr(albumentations, name)(**params, p=1.0)
        times: list[tuple[float, float]] = []
        for turn in range(rounds):
            draft = drafts[turn % len(drafts)]
            works: tuple[Callable[[], object], ...] = (
                partial(stage.apply, draft, rng_for(0, turn, "stage")),
                partial(bare, image=draft.image),
            )
            first = turn % 2
            spent = {which: timed(works[which])[1] for which in (first, 1 - first)}
            times.append((spent[0], spent[1]))
        found[name] = (statistics.median(t[0] for t in times), statistics.median(t[1] for t in times))
    return found


# --- rows -------------------------------------------------------------------------------------------------------------


def bench() -> tuple[str, str, list[Row]]:
    """All of it."""
    t = alone(collage_times)
    ms = {name: f"{seconds * 1e3:.1f}" for name, seconds in t.items()}
    rows = [
        Row(
            f"collage of {CUTOUTS} cut-outs with its silhouettes / simple loop of cv2.warpPerspective with alpha, picture alone",
            f"{ms['ours']} / {ms['loop']} ms CPU",
            t["ours"] / t["loop"],
            at_most=1.0,
        ),
        Row(
            "the same / loop that keeps to each cut-out's box",
            f"{ms['ours']} / {ms['loop in boxes']} ms CPU",
            t["ours"] / t["loop in boxes"],
        ),
        Row("collage as cutpaste blends it", f"{ms['ours, blended']} ms CPU"),
    ]
    s = alone(sample_times)
    for name in ("cutpaste", "logos"):
        measured = f"{1 / s[name]:.1f} / {1 / s['tabletop']:.1f} samples a CPU second ({s[name] * 1e3:.0f} / {s['tabletop'] * 1e3:.0f} ms)"
        target = 5.0 if name == "cutpaste" else None
        rows.append(Row(f"whole samples, scene {name} / tabletop with pyrender", measured, s["tabletop"] / s[name], at_least=target))
    kinds = {name: kind for kind, name, _ in STAGES}
    for name, (ours_s, bare_s) in alone(stage_times).items():
        limit = 2.0 if kinds[name] == "geometric" else 1.05
        what = f"{kinds[name]} stage {name} with all labels of {CUTOUTS} instances / on the bare picture"
        ratio = ours_s / bare_s if bare_s else math.inf
        rows.append(Row(what, f"{ours_s * 1e3:.2f} / {bare_s * 1e3:.2f} ms CPU", ratio, at_most=limit))
    return "Collage", "Two dimensions, 640x480, one thread; bare: albumentations itself.", rows
