"""A grid that shows what the parameters of a scene do: in each row one of them goes from its low end to its high end, the rest stays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synth.errors import ConfigError, SceneError, SynthError, known_names
from synth.parameters import Parameter, parameters, replaced, sweep
from synth.protocols import Scene
from synth.recipe import Generator, Recipe
from synth.types import U8, Sample
from synth.view import draw

_CAPTION_PX = 20
_GAP_PX = 4
_DARK, _LIGHT = (24, 24, 24), (235, 235, 235)
_TRIES = 50  # samples looked through for one that can be made at both ends of a parameter


def preview(
    recipe: Recipe, *, only: Sequence[str] = (), rows: int = 7, columns: int = 5, cell_px: int = 240, tell: Callable[[str], None] = print
) -> U8:
    """(h, w, 3) sRGB. The first row shows samples as they come; each other one the first of them, one parameter swept.

    only: the parameters to sweep, by name below `scene.`; without, the `rows` that change the picture most from end to end. tell: hears
    what is at work. Raises ConfigError for a parameter that is not there or does not vary, SceneError if no sample can be made.
    """
    swept = _swept(recipe.scene, only, columns)
    with Generator(recipe) as generator:
        first = _first(generator)
        lines: list[list[tuple[Sample | None, str]]] = [
            [(sample, f"sample {sample.origin.index}") for sample in _some(generator, columns) if sample.origin]
        ]
        if not only:
            tell(f"looking for the {min(rows, len(swept))} parameters that change the picture most, of {len(swept)}")
            change = {p.path: _change(recipe, generator, p, values, first) for p, values in swept}
            chosen = sorted(sorted(change, key=lambda path: -change[path])[:rows], key=list(change).index)
            swept = [(p, values) for p, values in swept if p.path in chosen and change[p.path] > 0]
        for parameter, values in swept:
            tell(f"drawing {parameter.path}")
            made = [(_with(recipe, generator, parameter.path, value, first), value) for value in values]
            lines.append([(sample, f"{parameter.path} = {_short(value)}") for sample, value in made])
    return _grid(lines, cell_px)


def _swept(scene: Scene, only: Sequence[str], columns: int) -> list[tuple[Parameter, list[Any]]]:
    found = {p.path: (p, sweep(p.value, columns)) for p in parameters(scene)}
    for path in only:
        if path not in found:
            raise ConfigError(known_names("parameter", path, found))
        if not found[path][1]:
            raise ConfigError(f"parameter '{path}' is {found[path][0].value!r}: nothing to sweep; give it a distribution")
    return [found[path] for path in only] or [(p, values) for p, values in found.values() if len(values) > 1]


def _first(generator: Generator) -> int:
    """The first sample that can be made. Raises SceneError if none of some can."""
    for index in range(_TRIES):
        try:
            _ = generator[index]
        except SceneError as error:
            failed = error
        else:
            return index
    raise SceneError(f"none of {_TRIES} samples can be made; the last: {failed}")


def _some(generator: Generator, count: int) -> list[Sample]:
    made: list[Sample] = []
    step = max(1, (generator.recipe.frames or 1) // count)  # of a scene over time: one clip from begin to end
    for index in range(0, _TRIES * step, step):
        if len(made) < count:
            try:
                made.append(generator[index])
            except SceneError:
                continue
    return made


def _with(recipe: Recipe, generator: Generator, path: str, value: Any, index: int) -> Sample | None:
    """Sample `index` with one parameter set; None where it cannot be made so. Takes the open renderer: a process has one."""
    try:
        other = replace(recipe, scene=replaced(recipe.scene, path, value))
        return generator.of(other)[index]
    except (SynthError, TypeError, ValueError):
        return None


def _change(recipe: Recipe, generator: Generator, parameter: Parameter, values: Sequence[Any], index: int) -> float:
    """How much the picture changes from the low end of a parameter to its middle (an angle may end where it began) or its high end: mean
    difference of its pixels, 0 to 255."""
    made = [_with(recipe, generator, parameter.path, value, index) for value in (values[0], values[len(values) // 2], values[-1])]
    low, *others = [None if sample is None else sample.image.astype(np.float32) for sample in made]
    pairs = [(low, other) for other in others if low is not None and other is not None and other.shape == low.shape]
    return max((float(np.abs(a - b).mean()) for a, b in pairs), default=0.0)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_short, value))}]"
    return str(value)


def _grid(lines: Sequence[Sequence[tuple[Sample | None, str]]], cell_px: int) -> U8:
    import cv2

    shapes = [sample.size for line in lines for sample, _ in line if sample is not None]
    height_px = max(math.ceil(cell_px * height / width) for width, height in shapes)
    columns = max(map(len, lines))
    grid = np.full((len(lines) * (height_px + _CAPTION_PX + _GAP_PX), columns * (cell_px + _GAP_PX), 3), _DARK, dtype=np.uint8)
    for row, line in enumerate(lines):
        for column, (sample, caption) in enumerate(line):
            top, left = row * (height_px + _CAPTION_PX + _GAP_PX), column * (cell_px + _GAP_PX)
            cell: Any = grid[top : top + height_px + _CAPTION_PX, left : left + cell_px]
            text = caption if sample is not None else f"{caption}: no sample"
            size = min(0.42, 0.42 * cell_px / max(1, cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] + 6))
            cv2.putText(cell, text, (3, _CAPTION_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, size, _LIGHT, 1, cv2.LINE_AA)
            if sample is not None:
                picture = draw(sample, cell_px / sample.size[0])[:height_px, :cell_px]
                cell[_CAPTION_PX : _CAPTION_PX + picture.shape[0], : picture.shape[1]] = picture
    return grid
