"""Randomness as a value, and streams keyed by name.

Every number a scene or stage draws comes from a `Stream`: a numpy generator that is a function of (seed, index, path of names) alone.
A parameter is a number or a `Distribution`; `draw(parameter, rng, "name")` reads either from the child stream of that name, so adding
a parameter, a light or a stage moves no other number.
"""

from __future__ import annotations

import hashlib
import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

import numpy as np

from synth.errors import ConfigError
from synth.types import F64

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Stream(np.random.Generator):
    """A `numpy.random.Generator` (PCG64) that knows its key: seed, sample index and a path of names.

    Equal keys give equal numbers, on every machine. `child(name)` depends on the key only, not on what was drawn before.
    """

    def __init__(self, seed: int, index: int, path: tuple[str, ...] = ()) -> None:
        if seed < 0 or index < 0:
            raise ConfigError(f"seed and index must be whole numbers from 0, got seed={seed}, index={index}")
        words = hashlib.sha256("\0".join(path).encode()).digest()[:16]
        if max(seed, index) < 2**32:  # the very words that SeedSequence makes of the numbers below, in a fifth of the time
            source = np.random.SeedSequence(np.frombuffer(struct.pack("<5I", seed, 0, 0, 0, index) + words, dtype="<u4"))
        else:
            source = np.random.SeedSequence(seed, spawn_key=(index, *struct.unpack("<4I", words)))
        super().__init__(np.random.PCG64(source))
        self.seed, self.index, self.path = seed, index, path

    def child(self, *names: str | int) -> Stream:
        """The stream of this key with `names` appended to its path."""
        return Stream(self.seed, self.index, (*self.path, *map(str, names)))

    def __repr__(self) -> str:
        return f"Stream(seed={self.seed}, index={self.index}, path={'/'.join(self.path)!r})"

    def __reduce__(self) -> Any:
        # A copy has the same key and starts afresh: position in the stream is no part of a recipe.
        return Stream, (self.seed, self.index, self.path)


def rng_for(seed: int, index: int, *path: str) -> Stream:
    """The stream of one stage of one sample."""
    return Stream(seed, index, path)


class Distribution(ABC, Generic[T_co]):
    """A random value. Subclasses are frozen dataclasses whose repr is the recipe to make them again."""

    @abstractmethod
    def draw(self, rng: Stream) -> T_co:
        """One value."""

    def __repr__(self) -> str:
        # Shown as one would write it: positional, defaults at the end left out.
        values = [(f, getattr(self, f.name)) for f in fields(cast(Any, self))]
        while values and values[-1][0].default == values[-1][1]:
            values.pop()
        return f"{type(self).__name__}({', '.join(repr(list(v)) if isinstance(v, tuple) else repr(v) for _, v in values)})"


Random: TypeAlias = T | Distribution[T]


@overload
def draw(value: Distribution[T], rng: Stream, name: str) -> T: ...
@overload
def draw(value: Random[T], rng: Stream, name: str) -> T: ...
def draw(value: Any, rng: Stream, name: str) -> Any:
    """`value` itself, or one draw of it from the child stream `name`. Sequences are drawn item by item."""
    if isinstance(value, Distribution):
        return value.draw(rng.child(name))
    if isinstance(value, (list, tuple)):
        return tuple(draw(item, rng.child(name), str(i)) for i, item in enumerate(value))
    return value


def support(value: Any) -> tuple[float, float] | None:
    """Smallest and largest number that `value` can be, or None where it has no bounds of one number; for checks at build time."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value), float(value)
    bounds = getattr(value, "bounds", None)
    return bounds() if callable(bounds) else None


def check_range(where: str, value: Any, low: float = -math.inf, high: float = math.inf, whole: bool = False) -> None:
    """Raise ConfigError unless `value`, a number or a distribution, can only be in [low, high]; `whole`: only whole numbers."""
    if not isinstance(value, (int, float, Distribution)) or isinstance(value, bool):
        raise ConfigError(f"{where} must be a number or a distribution, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} must be finite, got {value}")
    if whole and not _is_whole(value):
        raise ConfigError(f"{where} must be whole: a whole number or Integers(low, high), got {value!r}")
    if isinstance(value, Distribution):  # what it draws shows here, not in a worker
        drawn = [value.draw(Stream(0, index, ("check",))) for index in range(8)]
        if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in drawn):
            raise ConfigError(f"{where} must be a number or a distribution of numbers, got {value!r}, which draws {drawn[0]!r}")
    found = support(value)
    if found is not None and not (low <= found[0] and found[1] <= high):
        raise ConfigError(f"{where} must be in [{low:g}, {high:g}], got {value!r}")


def _is_whole(value: Any) -> bool:
    if isinstance(value, Distribution):
        parts = getattr(value, "options", getattr(value, "parts", ())) if isinstance(value, (Choice, _Even)) else ()
        return isinstance(value, Integers) or (bool(parts) and all(map(_is_whole, parts)))
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _ordered(name: str, low: float, high: float, above: float = -math.inf) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and above < low <= high):
        extra = f" and low > {above:g}" if above > -math.inf else ""
        raise ConfigError(f"{name}: needs finite low <= high{extra}, got {low} and {high}")


# --- numbers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Uniform(Distribution[float]):
    """Between low and high, all alike."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("Uniform", self.low, self.high)

    def draw(self, rng: Stream) -> float:
        return float(rng.uniform(self.low, self.high))

    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, p: float) -> float:
        return self.low + p * (self.high - self.low)


@dataclass(frozen=True, repr=False)
class LogUniform(Distribution[float]):
    """Its logarithm is uniform: as often in [0.1, 1] as in [1, 10]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("LogUniform", self.low, self.high, above=0)

    def draw(self, rng: Stream) -> float:
        return self.quantile(float(rng.uniform()))

    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, p: float) -> float:
        return min(self.high, max(self.low, math.exp(math.log(self.low) + p * math.log(self.high / self.low))))


@dataclass(frozen=True, repr=False)
class Normal(Distribution[float]):
    """Gaussian. It has no bounds: where a value must stay in a range, take TruncatedNormal."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and self.std >= 0):
            raise ConfigError(f"Normal: needs a finite mean and std >= 0, got {self.mean} and {self.std}")

    def draw(self, rng: Stream) -> float:
        return float(rng.normal(self.mean, self.std))

    def bounds(self) -> tuple[float, float]:
        return (self.mean, self.mean) if self.std == 0 else (-math.inf, math.inf)


@dataclass(frozen=True, repr=False)
class TruncatedNormal(Distribution[float]):
    """A Gaussian of which only [low, high] is kept (by inverting its distribution function, so one draw is one number)."""

    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("TruncatedNormal", self.low, self.high)
        if not (math.isfinite(self.mean) and self.std > 0):
            raise ConfigError(f"TruncatedNormal: needs a finite mean and std > 0, got {self.mean} and {self.std}")

    def draw(self, rng: Stream) -> float:
        return self.quantile(float(rng.uniform()))

    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, p: float) -> float:
        from scipy.stats import truncnorm

        a, b = (self.low - self.mean) / self.std, (self.high - self.mean) / self.std
        return float(truncnorm.ppf(p, a, b, loc=self.mean, scale=self.std))


@dataclass(frozen=True, repr=False)
class Integers(Distribution[int]):
    """Whole numbers from low to high, both included, all alike."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if int(self.low) != self.low or int(self.high) != self.high or self.low > self.high:
            raise ConfigError(f"Integers: needs whole numbers low <= high, got {self.low} and {self.high}")

    def draw(self, rng: Stream) -> int:
        return int(rng.integers(self.low, self.high, endpoint=True))

    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def quantile(self, p: float) -> int:
        return min(self.high, self.low + int(p * (self.high - self.low + 1)))


@dataclass(frozen=True, repr=False)
class Choice(Distribution[T]):
    """One of options, with weights (any positive scale; all alike without). An option may be a distribution itself, so
    Choice([Uniform(0, 1), Uniform(5, 6)], [3, 1]) is a mixture."""

    options: Sequence[Random[T]]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise ConfigError("Choice: needs at least one option")
        if self.weights is not None:
            weights = tuple(float(w) for w in self.weights)
            if len(weights) != len(self.options) or min(weights) < 0 or not 0 < sum(weights) < math.inf:
                raise ConfigError(
                    f"Choice: needs one weight >= 0 an option, not all 0, got {list(weights)} for {len(self.options)} options"
                )
            object.__setattr__(self, "weights", weights)

    def draw(self, rng: Stream) -> T:
        if self.weights is None:
            chosen = int(rng.integers(len(self.options)))
        else:
            chosen = int(rng.choice(len(self.options), p=np.divide(self.weights, sum(self.weights))))
        return draw(self.options[chosen], rng, "option")

    def bounds(self) -> tuple[float, float] | None:
        return _hull([support(option) for option in self.options])


def _hull(bounds: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    known = [b for b in bounds if b is not None]
    if not known or len(known) < len(bounds):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


# --- composition ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Sum(Distribution[float]):
    """Its parts, each drawn on its own, added."""

    parts: Sequence[Random[float]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))

    def draw(self, rng: Stream) -> float:
        return float(sum(draw(part, rng, str(i)) for i, part in enumerate(self.parts)))

    def bounds(self) -> tuple[float, float] | None:
        known = [b for b in map(support, self.parts) if b is not None]
        return (sum(b[0] for b in known), sum(b[1] for b in known)) if len(known) == len(self.parts) else None


@dataclass(frozen=True, repr=False)
class Product(Distribution[float]):
    """Its parts, each drawn on its own, multiplied."""

    parts: Sequence[Random[float]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))

    def draw(self, rng: Stream) -> float:
        return float(math.prod(draw(part, rng, str(i)) for i, part in enumerate(self.parts)))

    def bounds(self) -> tuple[float, float] | None:
        known = [b for b in map(support, self.parts) if b is not None]
        if len(known) < len(self.parts) or not all(math.isfinite(v) for b in known for v in b):
            return None
        low, high = 1.0, 1.0
        for a, b in known:
            corners = (low * a, low * b, high * a, high * b)
            low, high = min(corners), max(corners)
        return low, high


@dataclass(frozen=True, repr=False)
class Clip(Distribution[float]):
    """`value`, held to [low, high]."""

    value: Random[float]
    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("Clip", self.low, self.high)

    def draw(self, rng: Stream) -> float:
        return float(min(self.high, max(self.low, draw(self.value, rng, "value"))))

    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, repr=False)
class Vector(Distribution[tuple[float, ...]]):
    """One number for each part, drawn on its own."""

    parts: Sequence[Random[float]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))

    def draw(self, rng: Stream) -> tuple[float, ...]:
        return tuple(float(draw(part, rng, str(i))) for i, part in enumerate(self.parts))


# --- directions and places --------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class UniformRotation(Distribution[F64]):
    """A (3, 3) rotation, all alike (Shoemake 1992: a uniform unit quaternion)."""

    def draw(self, rng: Stream) -> F64:
        from scipy.spatial.transform import Rotation

        quaternion = rng.standard_normal(4)
        return np.asarray(Rotation.from_quat(quaternion / np.linalg.norm(quaternion)).as_matrix(), dtype=np.float64)


@dataclass(frozen=True, repr=False)
class SphereShell(Distribution[tuple[float, float, float]]):
    """A point with its distance from the origin in [inner, outer] and its elevation above the xy plane in [low_rad, high_rad], even
    in volume. inner = outer: on the sphere, even in area; inner = 0: in the ball."""

    inner: float
    outer: float
    low_rad: float = -math.pi / 2
    high_rad: float = math.pi / 2

    def __post_init__(self) -> None:
        if not 0 <= self.inner <= self.outer < math.inf:
            raise ConfigError(f"SphereShell: needs 0 <= inner <= outer, got {self.inner} and {self.outer}")
        if not -math.pi / 2 - 1e-9 <= self.low_rad <= self.high_rad <= math.pi / 2 + 1e-9:
            raise ConfigError(f"SphereShell: needs -pi/2 <= low_rad <= high_rad <= pi/2, got {self.low_rad} and {self.high_rad}")

    def draw(self, rng: Stream) -> tuple[float, float, float]:
        u = rng.uniform(size=3)
        radius = float(np.cbrt(self.inner**3 + u[0] * (self.outer**3 - self.inner**3)))
        z = math.sin(self.low_rad) + u[1] * (math.sin(self.high_rad) - math.sin(self.low_rad))
        across, azimuth = math.sqrt(max(0.0, 1 - z * z)), 2 * math.pi * u[2]
        return radius * across * math.cos(azimuth), radius * across * math.sin(azimuth), radius * z


@dataclass(frozen=True, repr=False)
class Disk(Distribution[tuple[float, float]]):
    """A point of the disk around the origin, even in area; inner > 0: of the ring."""

    radius: float
    inner: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.inner <= self.radius < math.inf:
            raise ConfigError(f"Disk: needs 0 <= inner <= radius, got {self.inner} and {self.radius}")

    def draw(self, rng: Stream) -> tuple[float, float]:
        u = rng.uniform(size=2)
        r, azimuth = math.sqrt(self.inner**2 + u[0] * (self.radius**2 - self.inner**2)), 2 * math.pi * u[1]
        return r * math.cos(azimuth), r * math.sin(azimuth)


# --- even coverage over the sample index ------------------------------------------------------------------------------

_QMC_BITS = 10
_QMC_BLOCK = 1 << _QMC_BITS


@cache
def _qmc_block(kind: str, dimensions: int, seed: int, path: tuple[str, ...], block: int) -> F64:
    from scipy.stats import qmc

    scramble = np.random.default_rng(Stream(seed, 0, (*path, "scramble")).integers(2**63))
    engine: Any = {"Sobol": qmc.Sobol, "Halton": qmc.Halton}[kind](dimensions, scramble=True, rng=scramble)
    if block:  # scipy 1.17 rejects a step of 0
        engine.fast_forward(block * _QMC_BLOCK)
    # Scrambling leaves the leading digit of each point to the index, up to a flip: two parameters would be high and low together. So each
    # takes the points in an order of its own, in which every run of 2^k that starts at a multiple of 2^k stays together (Burley 2020).
    flips = Stream(seed, 0, (*path, "order", str(block)))
    order = np.zeros(1, dtype=np.intp)
    for _ in range(_QMC_BITS):
        flip = flips.integers(2, size=len(order))
        order = np.stack([2 * order + flip, 2 * order + 1 - flip], axis=1).reshape(-1)
    return np.asarray(engine.random(_QMC_BLOCK)[order], dtype=np.float64)


class _Even(Distribution[Any]):
    """Low-discrepancy draws: each sample index takes one point of a sequence scrambled and shuffled by the seed and the parameter's name,
    so parameters are even each, and independent of one another; what shall be even together goes into one sequence."""

    parts: Sequence[Distribution[float]]

    def __post_init__(self) -> None:
        name, parts = type(self).__name__, self.parts
        parts = tuple(parts) if isinstance(parts, (list, tuple)) else (cast(Distribution[float], parts),)
        for part in parts:
            if not hasattr(part, "quantile"):
                raise ConfigError(f"{name}: a part must be Uniform, LogUniform, TruncatedNormal or Integers, got {part!r}")
        object.__setattr__(self, "parts", parts)

    def draw(self, rng: Stream) -> Any:
        points = _qmc_block(type(self).__name__, len(self.parts), rng.seed, rng.path, rng.index // _QMC_BLOCK)
        values = tuple(cast(Any, part).quantile(float(p)) for part, p in zip(self.parts, points[rng.index % _QMC_BLOCK], strict=True))
        return values[0] if len(values) == 1 else values

    def bounds(self) -> tuple[float, float] | None:
        return _hull([support(part) for part in self.parts])


@dataclass(frozen=True, repr=False)
class Sobol(_Even):
    """Sobol points over the sample index (scrambled, Owen 1998; scipy.stats.qmc), through the quantiles of its parts: one part gives
    a number, several a tuple that fills their product evenly. Best in runs of a power of two."""

    parts: Sequence[Distribution[float]]


@dataclass(frozen=True, repr=False)
class Halton(_Even):
    """Halton points over the sample index (scrambled; scipy.stats.qmc), through the quantiles of its parts; even at any run length."""

    parts: Sequence[Distribution[float]]


DISTRIBUTIONS: dict[str, type[Distribution[Any]]] = {
    cls.__name__: cls
    for cls in (
        Uniform,
        LogUniform,
        Normal,
        TruncatedNormal,
        Integers,
        Choice,
        Sum,
        Product,
        Clip,
        Vector,
        UniformRotation,
        SphereShell,
        Disk,
        Sobol,
        Halton,
    )
}
"""By name: what a YAML string such as "Uniform(0.2, 0.4)" may call (synth.config)."""
