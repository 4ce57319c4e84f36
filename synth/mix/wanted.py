"""What a user asks of a mixture: a `Mix`, checked when made. `plan_of` makes a plan of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, get_args

from synth.errors import ConfigError
from synth.mix.quotas import Kind

Quota = Literal["batch", "epoch"]
Amount = int | float


@dataclass(frozen=True)
class Source:
    """Samples of a store. ref: a branch, tag or version; or pin: the file of one. where: an SQL condition, with a ref. store: where they
    are, if not where all are.

    categories: what its categories are called in the mixture, by their own name; null leaves the instances of one out.
    keypoints: by category (as the mixture calls it), the same for its keypoints. optional: left out where no sample is there.
    """

    ref: str | int | None = None
    pin: str | None = None
    where: str | None = None
    store: str | None = None
    categories: Mapping[str, str | None] = field(default_factory=dict)
    keypoints: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    optional: bool = False

    def __post_init__(self) -> None:
        if (self.ref is None) == (self.pin is None):
            raise ConfigError("name either ref (a branch, tag or version) or pin (the file of one)")
        if self.pin is not None and self.where is not None:
            raise ConfigError("a pin says which samples it names; where goes with ref")
        for name in ("ref", "pin", "where", "store"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, (str, int) if name == "ref" else str) or isinstance(value, bool)):
                raise ConfigError(f"{name} must be text, got {value!r}")
        names = _names(self.categories, "categories")
        inner = {} if self.keypoints is None else self.keypoints
        if not isinstance(inner, Mapping):
            raise ConfigError(f"keypoints must name keypoints by category, got {inner!r}")
        points = {str(name): _names(value, f"keypoints.{name}") for name, value in inner.items()}
        object.__setattr__(self, "categories", names)
        object.__setattr__(self, "keypoints", points)
        _check_flag(self.optional, "optional")


@dataclass(frozen=True)
class Part(Source):
    """A part to train on, and how much of it.

    Of weight, count and repeat one says how much: weight, a share beside the other weights (0: the part is left out); count, samples of it
    in an epoch; repeat, how many times each of its samples stands in an epoch. With none of them each stands there once.
    max_repeats: no sample of it stands more often in an epoch; the other weights take what it cannot. balance="category": samples of
    rare categories are drawn as often as those of frequent ones, within max_repeats. stages: augmentations of this part, by name, as in a
    recipe.
    """

    weight: Amount | None = None
    count: int | None = None
    repeat: Amount | None = None
    max_repeats: Amount | None = None
    balance: Literal["category"] | None = None
    stages: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("weight", "count", "repeat") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} are given; one of weight, count and repeat says how much")
        for name in ("weight", "count", "repeat", "max_repeats"):
            _check_number(getattr(self, name), name, above=name == "max_repeats", whole=name == "count")
        if self.balance not in (None, "category"):
            raise ConfigError(f"balance must be 'category' or null, got {self.balance!r}")
        object.__setattr__(self, "stages", _stages(self.stages))


@dataclass(frozen=True)
class Schedule:
    """How weights change over the training. kind: `linear`, `cosine` (slow at both ends) or `steps`, between the entries of `points`.

    points: each has `at`, the share of the training that is over (the first 0), and weights by part; a part that an entry does not name has
    the weight it has in the part itself.
    """

    kind: Kind
    points: Sequence[Mapping[str, Amount]]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if not isinstance(self.points, (list, tuple)) or not all(isinstance(point, Mapping) and "at" in point for point in self.points):
            raise ConfigError(f"points must be a list of entries with `at` and weights by part, got {self.points!r}")
        points = tuple(dict(point) for point in self.points)
        for i, point in enumerate(points):
            for name, value in point.items():
                _check_number(value, f"points[{i}].{name}", required=True)
        at = [point["at"] for point in points]
        if len(at) < 2 or at[0] != 0 or at[-1] > 1 or any(a >= b for a, b in pairwise(at)):
            raise ConfigError(f"points must begin with at: 0 and go up to at most 1, two or more of them; got at = {at}")
        object.__setattr__(self, "points", points)


@dataclass(frozen=True)
class Mix:
    """A mixture. parts, val, test: by name. batch_size: places of a batch, over all ranks. epoch: places of an epoch (null: until each
    sample of each part stands there once). epochs: length of the training, for schedules.

    quota: what is exact, the share in every `batch` or only in every `epoch` (then batches are random). categories: all that are meant, in
    the order of their labels; without them, all parts must have the same. stages: augmentations of all parts, after their own.
    synthetic_heldout: let synthetic samples into val and test.
    """

    parts: Mapping[str, Part]
    val: Mapping[str, Source] = field(default_factory=dict)
    test: Mapping[str, Source] = field(default_factory=dict)
    batch_size: int = 32
    epoch: int | None = None
    epochs: int = 1
    quota: Quota = "batch"
    schedule: Schedule | None = None
    categories: Sequence[str] | None = None
    stages: Mapping[str, Any] = field(default_factory=dict)
    synthetic_heldout: bool = False

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("parts: a mixture has at least one part")
        for name in ("batch_size", "epoch", "epochs"):
            _check_number(getattr(self, name), name, above=True, whole=True, required=name != "epoch")
        if self.quota not in get_args(Quota):
            raise ConfigError(f"quota must be one of {', '.join(get_args(Quota))}, got {self.quota!r}")
        if self.categories is not None:
            if isinstance(self.categories, str) or len(set(self.categories)) != len(self.categories):
                raise ConfigError(f"categories must be a list of different names, got {self.categories!r}")
            object.__setattr__(self, "categories", tuple(str(name) for name in self.categories))
        object.__setattr__(self, "stages", _stages(self.stages))
        _check_flag(self.synthetic_heldout, "synthetic_heldout")
        if self.schedule is not None:
            for name, part in self.parts.items():
                if part.count is not None or part.repeat is not None:
                    raise ConfigError(f"parts.{name}: a schedule changes weights; give weight instead of count or repeat")
            for i, point in enumerate(self.schedule.points):
                if unknown := sorted(set(point) - {"at", *self.parts}):
                    raise ConfigError(f"schedule.points[{i}] names {', '.join(unknown)}; parts: {', '.join(self.parts)}")

    @classmethod
    def from_config(cls, node: Mapping[str, Any], where: str = "mix") -> Mix:
        """From plain data, as YAML gives it. Raises ConfigError naming the key."""
        values = dict(_node(node, where))
        for name, kind in (("parts", Part), ("val", Source), ("test", Source)):
            inner = _node(values.get(name) or {}, f"{where}.{name}")
            values[name] = {str(k): from_node(kind, v, f"{where}.{name}.{k}") for k, v in inner.items() if v is not None}
        if values.get("schedule") is not None:
            values["schedule"] = from_node(Schedule, values["schedule"], f"{where}.schedule")
        made: Mix = from_node(cls, values, where)
        return made


def exact(value: Amount) -> Fraction:
    """A number as it was written: 0.1 is a tenth."""
    return Fraction(str(value))


def from_node(kind: Any, node: Any, where: str) -> Any:
    """A dataclass of this module, or of experiments, from plain data. Raises ConfigError naming the key."""
    values = _node(node, where)
    known = [one.name for one in fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise ConfigError(f"{where}: no key '{key}'{f'; did you mean {near[0]!r}?' if near else ';'} known: {', '.join(known)}")
    given = {key: value for key, value in values.items() if value is not None}
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except TypeError as error:
        raise ConfigError(f"{where}: {str(error).partition(') ')[2] or error}") from error


def _node(node: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where} must be keys with values, got {node!r}")
    return node


def _names(value: Any, what: str) -> dict[str, str | None]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(new is None or isinstance(new, str) for new in value.values()):
        raise ConfigError(f"{what} must give new names by old name (null: left out), got {value!r}")
    return {str(old): new for old, new in value.items()}


def _stages(value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"stages must be stages by name, got {value!r}")
    return {str(name): stage for name, stage in (value or {}).items() if stage is not None}


def _check_flag(value: Any, what: str) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{what} must be true or false, got {value!r}")


def _check_number(value: Any, what: str, above: bool = False, whole: bool = False, required: bool = False) -> None:
    if value is None and not required:
        return
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not (value > 0 if above else value >= 0) or not value < 1e15:
        raise ConfigError(f"{what} must be a {'whole ' if whole else ''}number {'above' if above else 'from'} 0, got {value!r}")
