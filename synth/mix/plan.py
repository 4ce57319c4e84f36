"""A plan: which pinned samples, how many of each, in which order. A small JSON file for git that copies no picture.

The order that a plan gives is arithmetic on its numbers and its seed (synth.mix.order), so the file says all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from synth.errors import ConfigError, StoreCallError
from synth.mix.amounts import knots_of
from synth.mix.checks import COLUMNS, Found, faults
from synth.mix.labels import common
from synth.mix.quotas import Kind, Knot, Quotas, shares_at
from synth.mix.wanted import Mix, Part, Quota, Source
from synth.store import Pin, Store, open_pin
from synth.types import Category

_VERSION = 1
HELD_OUT = ("val", "test")


@dataclass(frozen=True)
class Chosen:
    """A part of a plan, to train on or held out. The names as in synth.mix.wanted."""

    pin: Pin
    categories: Mapping[str, str | None] = field(default_factory=dict)
    keypoints: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    max_repeats: int | float | None = None
    balance: str | None = None
    stages: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """parts: to train on; val, test: held out. categories: label i + 1 is categories[i]. epoch: places of one; epochs: of the schedule.
    knots: places of each part in an epoch, at moments of the training (one where nothing changes)."""

    parts: Mapping[str, Chosen]
    val: Mapping[str, Chosen]
    test: Mapping[str, Chosen]
    categories: tuple[Category, ...]
    seed: int
    batch_size: int
    epoch: int
    epochs: int
    quota: Quota
    kind: Kind
    knots: tuple[Knot, ...]
    stages: Mapping[str, Any] = field(default_factory=dict)

    def quotas(self) -> Quotas:
        """Which part each place belongs to."""
        return Quotas(self.knots, self.kind, self.epoch, self.batch_size, self.epochs)

    @property
    def digest(self) -> str:
        """Of all that the order and the samples depend on; not of where the stores are."""
        value = json.loads(self.to_json())
        for role in ("parts", *HELD_OUT):
            for chosen in value[role].values():
                for name in ("store", "ref"):
                    del chosen["pin"][name]
        return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """The file's text."""
        value = asdict(self)
        names = list(self.parts)
        value["knots"] = [{"at": float(knot.at), **dict(zip(names, knot.counts, strict=True))} for knot in self.knots]
        for role in ("parts", *HELD_OUT):
            value[role] = {name: _brief(chosen, ("pin",)) for name, chosen in value[role].items()}
        value["categories"] = [_brief(category, ("name",)) for category in value["categories"]]
        text = json.dumps({"synth_plan": _VERSION, **value}, indent=1)
        return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text) + "\n"  # a list of names on one line

    @classmethod
    def from_json(cls, text: str | bytes, what: str = "the plan") -> Plan:
        """The plan of a file's text. Raises ConfigError if it is none."""
        try:
            value = json.loads(text)
            version = value.pop("synth_plan")
            if version != _VERSION:
                raise ConfigError(f"{what} has version {version}, this synth reads {_VERSION}; install a newer synth")
            for role in ("parts", *HELD_OUT):
                value[role] = {name: Chosen(**{**chosen, "pin": Pin(**chosen["pin"])}) for name, chosen in value[role].items()}
            value["categories"] = tuple(Category(**category) for category in value["categories"])
            value["knots"] = tuple(
                Knot(Fraction(str(knot["at"])), tuple(int(knot[name]) for name in value["parts"])) for knot in value["knots"]
            )
            plan = cls(**value)
            if any(sum(knot.counts) != plan.epoch for knot in plan.knots) or plan.epoch < 1 or not plan.knots or plan.seed < 0:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(f"{what} is no plan of a mixture; `synth mix` writes one") from error
        return plan

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """The plan in a file. Raises ConfigError if it is none."""
        try:
            return cls.from_json(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise ConfigError(f"cannot read plan {path}: {error.strerror}") from error

    def table(self) -> str:
        """What is in it, for people."""
        head = ("part", "samples", "version", "share", "in a batch", "in an epoch", "each sample")
        rows = [head, *(self._row(i, name, chosen) for i, (name, chosen) in enumerate(self.parts.items()))]
        for role in HELD_OUT:
            for name, chosen in getattr(self, role).items():
                rows.append((f"{role}: {name}", str(chosen.pin.samples), str(chosen.pin.version), "", "", "", "once"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        batches = -(-self.epoch // self.batch_size)
        said = f"{self.epoch} samples an epoch, {batches} batches of {self.batch_size}, quota in every {self.quota}, seed {self.seed}"
        if len(self.knots) > 1:
            said += f"; {self.kind} over {self.epochs} epoch{'s' * (self.epochs > 1)}"
        names = ", ".join(c.name + (f" ({len(c.keypoints)} keypoints)" if c.keypoints else "") for c in self.categories)
        return "\n".join([*lines, said, f"categories: {names}"])

    def _row(self, part: int, name: str, chosen: Chosen) -> tuple[str, ...]:
        ends = [shares_at(self.knots, self.kind, at)[part] for at in dict.fromkeys((self.knots[0].at, self.knots[-1].at))]
        rows = chosen.pin.samples

        def told(scale: Fraction | int, digits: int) -> str:
            return " to ".join(f"{float(share * scale):.{digits}f}".rstrip("0").rstrip(".") or "0" for share in ends)

        return (
            *(name, str(rows), str(chosen.pin.version), told(1, 4), told(self.batch_size, 2)),
            *(told(self.epoch, 0) if self.epoch < 10 else " to ".join(str(round(share * self.epoch)) for share in ends),),
            f"x {told(Fraction(self.epoch, rows), 2)}",
        )


def _brief(value: dict[str, Any], always: Sequence[str]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name in always or each not in (None, {}, (), [])}


# --- making one -------------------------------------------------------------------------------------------------------


def plan_of(mix: Mix, store: str | Path | Store = "./data/store", seed: int = 0) -> Plan:
    """The plan of a mixture: opens each part, pins it and checks all of them. store: where parts are that name none.

    Raises ConfigError with every fault that the samples have (what training and test share, categories that do not match, ...), and
    StoreError where a ref or filter cannot be read.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed must be a whole number from 0, got {seed!r}")
    stores: dict[str, Store] = {} if not isinstance(store, Store) else {store.place: store}
    default = store.place if isinstance(store, Store) else str(store)
    used = {name: part for name, part in mix.parts.items() if _used(name, part, mix)}
    if not used:
        raise ConfigError("mix.parts: every part has weight 0; nothing is left to train on")
    roles: dict[str, Mapping[str, Source]] = {"parts": used, "val": mix.val, "test": mix.test}
    found, told = [], []
    for role, sources in roles.items():
        for name, source in sources.items():
            one = _find(role, name, source, default, stores)
            if isinstance(one, Found):
                found.append(one)
            elif one:
                told.append(one)
    told += faults(found, mix.synthetic_heldout)
    categories, more = common([one.declares() for one in found], mix.categories) if found else ((), [])
    if told or more:
        raise ConfigError("\n".join([*told, *more]))
    trained = {one.name: one for one in found if one.role == "parts"}
    epoch, kind, knots = knots_of(replace(mix, parts={name: used[name] for name in trained}), [one.pin.samples for one in trained.values()])
    chosen = {role: {one.name: _chosen(one) for one in found if one.role == role} for role in roles}
    return Plan(
        chosen["parts"],
        chosen["val"],
        chosen["test"],
        categories=categories,
        seed=seed,
        batch_size=mix.batch_size,
        epoch=epoch,
        epochs=mix.epochs,
        quota=mix.quota,
        kind=kind,
        knots=tuple(knots),
        stages=mix.stages,
    )


def _used(name: str, part: Part, mix: Mix) -> bool:
    """Whether any of it is drawn: a sweep takes a part out by weight 0."""
    if mix.schedule is not None:
        return any(point.get(name, part.weight) != 0 for point in mix.schedule.points)
    return 0 not in (part.weight, part.count, part.repeat)


def _chosen(one: Found) -> Chosen:
    source = one.source
    more = {"max_repeats": source.max_repeats, "balance": source.balance, "stages": source.stages} if isinstance(source, Part) else {}
    return Chosen(one.pin, source.categories, source.keypoints, **more)  # type: ignore[arg-type]


def _find(role: str, name: str, source: Source, default: str, stores: dict[str, Store]) -> Found | str:
    """The source, opened and pinned; or what is wrong with it, "" for one that is left out because it may be."""
    where = f"mix.{role}.{name}"
    try:
        if source.pin is not None:
            samples = open_pin(source.pin, source.store)
            pin = replace(Pin.load(source.pin), store=samples.place)
        else:
            place = source.store or default
            store = stores.setdefault(place, Store.open(place)) if place not in stores else stores[place]
            assert source.ref is not None
            samples = store.read(source.ref, source.where, maps=())
            if not len(samples):
                filtered = f" where {source.where}" if source.where else ""
                return "" if source.optional else f"{where}: empty; {source.ref} of {place} has no sample{filtered}"
            pin = replace(store.pin(source.ref, source.where), store=place)
    except (ConfigError, StoreCallError) as error:
        raise type(error)(f"{where}: {error}") from error
    return Found(role, name, source, pin, samples, samples.columns(*COLUMNS))
