"""The parameters of a scene: the leaves of a tree of frozen dataclasses, each a value or a distribution, named as an override names it
(`camera.fov_rad`). What a preview sweeps and a check varies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from synth.rand import Choice, Distribution, Halton, Normal, Sobol, Vector, support

_NORMAL_REACH = 2.0  # standard deviations that a sweep of a Gaussian goes to either side


@dataclass(frozen=True)
class Parameter:
    """One leaf: its name below `scene.` and what it holds."""

    path: str
    value: Any


def parameters(part: Any, path: str = "") -> list[Parameter]:
    """All leaves of a dataclass, in the order of its fields."""
    if is_dataclass(part) and not isinstance(part, (type, Distribution)):
        inner = [(f.name, getattr(part, f.name)) for f in fields(part) if f.init]
    elif isinstance(part, Mapping) and part:
        inner = [(str(key), value) for key, value in part.items()]
    elif isinstance(part, (list, tuple)) and any(is_dataclass(item) and not isinstance(item, Distribution) for item in part):
        inner = [(str(i), item) for i, item in enumerate(part)]
    else:
        return [Parameter(path, part)]
    return [leaf for name, value in inner for leaf in parameters(value, f"{path}.{name}" if path else name)]


def replaced(part: Any, path: str, value: Any) -> Any:
    """A copy of a dataclass in which the leaf at `path` holds `value`. Raises what the dataclasses raise that do not take it."""
    name, _, rest = path.partition(".")
    if is_dataclass(part) and not isinstance(part, type):
        return replace(part, **{name: replaced(getattr(part, name), rest, value) if rest else value})
    if isinstance(part, Mapping):
        return {**part, name: replaced(part[name], rest, value) if rest else value}
    at = int(name)
    return (*part[:at], replaced(part[at], rest, value) if rest else value, *part[at + 1 :])


def sweep(value: Any, steps: int) -> list[Any]:
    """At most `steps` values from the low end of a distribution to its high end, or the options of a Choice; empty for a constant. Lists
    that hold distributions are swept in all of these at once."""
    if isinstance(value, (Sobol, Halton)) and len(value.parts) == 1:
        return sweep(value.parts[0], steps)
    if isinstance(value, Choice):
        return [value.options[i] for i in _spread(len(value.options), steps)]
    if isinstance(value, (list, tuple, Vector)):
        items = value.parts if isinstance(value, Vector) else value
        rows = [found if len(found := sweep(item, steps)) == steps else [item] * steps for item in items]
        return [tuple(row[i] for row in rows) for i in range(steps)] if any(isinstance(item, Distribution) for item in items) else []
    if not isinstance(value, Distribution):
        return []
    shares = [i / (steps - 1) for i in range(steps)] if steps > 1 else [0.5]
    bounds = support(value)
    if isinstance(value, Normal):
        found = [value.mean + value.std * _NORMAL_REACH * (2 * share - 1) for share in shares]
    elif hasattr(value, "quantile"):
        found = [value.quantile(share) for share in shares]
    elif bounds is not None and all(map(math.isfinite, bounds)):
        found = np.interp(shares, (0, 1), bounds).tolist()
    else:
        return []
    return list(dict.fromkeys(found))


def _spread(count: int, steps: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, steps))})


def variants(value: Any) -> Iterator[Any]:
    """Other values that might take the place of `value`: the ends of a distribution, neighbours of a number, parts of a list. None for
    texts and for what is absent, which only their author can vary."""
    if isinstance(value, Distribution):
        yield from sweep(value, len(value.options) if isinstance(value, Choice) else 2)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (v for v in (value + 1, 1, 0, value - 1, 2 * value) if v != value)
    elif isinstance(value, float):
        yield from (v for v in (1.0, 0.0, 1.5 * value, 0.5 * value, value + 0.1, value - 0.1) if v != value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, item in enumerate(value):
            yield from ((*value[:i], other, *value[i + 1 :]) for other in variants(item))
        if len(value) > 1:
            yield from (value[:1], value[-1:])
