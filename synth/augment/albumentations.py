"""Any transform of albumentations as a stage, by name. The registry says how each is treated.

albumentations draws and changes colours; it never sees a label. It gets a copy of its transform with a seed from the stage's stream at
every call, so that equal transforms draw different numbers, nothing depends on what ran before, and no global generator is touched.
"""

from __future__ import annotations

import copy
import os
import random
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from inspect import signature
from typing import Any

import numpy as np

from synth.augment.moving import Moving
from synth.augment.objects import boxes_normalised, objects_shown
from synth.augment.registry import REFUSED_PARAMETERS, REGISTRY, Treatment
from synth.augment.warp import CONSTANT, LINEAR, REPLICATE
from synth.errors import ConfigError, MissingPartError, SceneError, SynthError, known_names
from synth.rand import Distribution, Stream, draw
from synth.types import U8, Bool, Draft

_INTERPOLATION = {"nearest": 0, "linear": 1, "cubic": 2, "area": 3, "lanczos4": 4}  # cv2's numbers
_BORDER = {"constant": CONSTANT, "replicate": REPLICATE}


@dataclass(frozen=True)
class Albumentations:
    """One transform of albumentations 2.0.8: its `name`, its own `params`, and `p`, the probability that it is applied.

    params: what albumentations documents for it, ranges as [low, high]; a value may also be a distribution of synth, drawn for each
    sample. interpolation (nearest, linear, cubic, area, lanczos4) and border_mode (constant, replicate) are written by name; mirrored
    borders are refused, since they show objects a second time without a label.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    p: float = 1.0
    _made: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        treatment = _treatment(self.name)
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float)) or not 0 <= self.p <= 1:
            raise ConfigError(f"{self.name}: p must be a probability in [0, 1], got {self.p!r}")
        if not isinstance(self.params, Mapping):
            raise ConfigError(f"{self.name}: params must be keys with values, got {self.params!r}")
        _check(self.name, self.params, treatment)
        made = self._make(Stream(0, 0, ("check",)))
        object.__setattr__(self, "_made", None if _is_random(self.params) else made)

    def __reduce__(self) -> Any:
        return type(self), (self.name, self.params, self.p)

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        moving = Moving(draft)
        self.apply_to(moving, rng)
        return moving.settle()

    def apply_to(self, moving: Moving, rng: Stream) -> None:
        """Change what is on its way through a list of stages."""
        if self.p < 1 and not rng.random() < self.p:
            return
        transform = copy.copy(self._made) if self._made is not None else self._make(rng)
        seed = int(rng.integers(2**32))
        transform.set_random_state(_Late(np.random.default_rng, seed), _Late(random.Random, seed))
        try:
            _apply(transform, REGISTRY[self.name], moving)
        except SynthError as error:
            raise type(error)(f"{self.name}: {error}") from error
        except Exception as error:  # it may raise anything, such as a crop larger than the picture
            raise SceneError(f"{self.name}: {error}; its picture has {moving.size[0]} x {moving.size[1]} px") from error

    def _make(self, rng: Stream) -> Any:
        """The transform, its random parameters drawn from `rng`."""
        module = _library()
        values = {key: _drawn(value, rng.child(key)) for key, value in {**REGISTRY[self.name].defaults, **self.params}.items()}
        for key, numbers in (("interpolation", _INTERPOLATION), ("border_mode", _BORDER)):
            if isinstance(values.get(key), str):
                values[key] = numbers[values[key]]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice to prefer another of its transforms; names and values are checked here
                return getattr(module, self.name)(**values, p=1.0)
        except Exception as error:
            raise ConfigError(f"{self.name}: albumentations does not take {values}: {_reasons(error)}") from error


@cache
def _library() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for a newer version when imported
    try:
        import albumentations
    except ImportError as error:
        raise MissingPartError(f"this stage needs albumentations: pip install 'albumentations>=2.0.8,<2.1' ({error})") from error
    return albumentations


def _treatment(name: Any) -> Treatment:
    treatment = REGISTRY.get(name) if isinstance(name, str) else None
    if treatment is None:
        taken = [known for known, how in REGISTRY.items() if how.kind != "refused"]
        if isinstance(name, str) and hasattr(_library(), name):
            raise ConfigError(f"albumentations {_library().__version__} has '{name}', but synth does not know what it does to labels")
        raise ConfigError(known_names("transform of albumentations", str(name), taken))
    if treatment.kind == "refused":
        raise ConfigError(f"{name} is refused: {treatment.reason}")
    return treatment


def _check(name: str, params: Mapping[str, Any], treatment: Treatment) -> None:
    """Raise ConfigError for parameters that the transform has not, or that would leave labels wrong."""
    known = [key for key in signature(getattr(_library(), name).__init__).parameters if key not in ("self", *REFUSED_PARAMETERS)]
    for key, value in params.items():
        if key in REFUSED_PARAMETERS:
            raise ConfigError(f"{name}: leave '{key}' out: {REFUSED_PARAMETERS[key]}")
        if key not in known:
            raise ConfigError(f"{name}: {known_names('parameter', str(key), known)}")
        refused = treatment.refuses.get(key)
        if refused is not None and refused[0](value):
            raise ConfigError(f"{name}: {key}={value!r} is refused: {refused[1]}")
    border, interpolation = params.get("border_mode", "constant"), params.get("interpolation", "linear")
    if border not in (*_BORDER, *_BORDER.values()):
        raise ConfigError(
            f"{name}: border_mode must be constant or replicate, got {border!r}; mirrored or repeated borders show objects a second time "
            "without a label"
        )
    if interpolation not in (*_INTERPOLATION, *_INTERPOLATION.values()):
        raise ConfigError(f"{name}: {known_names('interpolation', str(interpolation), _INTERPOLATION)}")


def _is_random(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_random, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_random, value))
    return isinstance(value, Distribution)


def _drawn(value: Any, rng: Stream) -> Any:
    """`value` with every distribution in it drawn."""
    if isinstance(value, Mapping):
        return {key: _drawn(item, rng.child(str(key))) for key, item in value.items()}
    return draw(value, rng, "value")


def _reasons(error: Exception) -> str:
    """One line of what pydantic says in many."""
    errors = getattr(error.__cause__, "errors", None)
    if not callable(errors):
        return str(error)
    return "; ".join(f"{'.'.join(str(part) for part in found['loc'][:1]) or 'all'}: {found['msg']}" for found in errors())


# --- one call ---------------------------------------------------------------------------------------------------------


class _Late:
    """A generator of random numbers that is made when it is first asked for something: a transform has two of them, mostly uses one, and
    making one takes as long as changing the colours of a small picture."""

    def __init__(self, make: Callable[[int], Any], seed: int) -> None:
        self._make, self._seed = make, seed

    @cached_property
    def _generator(self) -> Any:
        return self._make(self._seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)


def _apply(transform: Any, treatment: Treatment, moving: Moving) -> None:
    if treatment.repaint is not None:
        moving.paint(treatment.repaint(transform, transform.get_params(), moving.image))
        return
    data: dict[str, Any] = {"image": moving.image}
    if treatment.objects:
        draft = moving.settle()
        data |= {"mask": objects_shown(draft), "bboxes": boxes_normalised(draft)}
    drawn = transform.update_transform_params(transform.get_params(), data)
    drawn |= transform.get_params_dependent_on_data(drawn, data)
    if treatment.law is None:
        image = _checked(transform.apply(moving.image, **drawn), moving)
        moving.paint(image, _covered(drawn[treatment.covers], moving.size) if treatment.covers else None)
        return
    width, height = moving.size
    warp = treatment.law(transform, drawn, width, height)
    fill = tuple(np.broadcast_to(drawn.get("fill", getattr(transform, "fill", 0)) or 0, 3).tolist())
    moving.move(warp, getattr(transform, "interpolation", LINEAR), getattr(transform, "border_mode", CONSTANT), fill)


def _checked(image: Any, moving: Moving) -> U8:
    if image.dtype != np.uint8 or image.shape != moving.image.shape:
        raise SceneError(f"it left a picture of {image.dtype} {image.shape}, not uint8 {moving.image.shape}")
    return np.ascontiguousarray(image)


def _covered(covers: Any, size: tuple[int, int]) -> Bool | None:
    """(h, w) the pixels that are covered; albumentations says it by boxes (n, 4) x0 y0 x1 y1 or by a mask."""
    if covers is None:
        return None
    width, height = size
    array = np.asarray(covers)
    if array.dtype == np.bool_:
        flat: Bool = np.broadcast_to(array.all(axis=2) if array.ndim == 3 else array, (height, width))
        return flat
    mask = np.zeros((height, width), dtype=np.bool_)
    for x0, y0, x1, y1 in array.reshape(-1, 4).astype(int):
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask
