"""One set of categories for all parts: which names mean the same, in which order keypoints stand, and what would mend a mismatch."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from synth.errors import ConfigError
from synth.mix.wanted import Source
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Sample

Labelled = TypeVar("Labelled", Sample, Record)


@dataclass(frozen=True)
class Relabel:
    """From a part's own names to the mixture's. categories: of the mixture; names: its name for each of the part's categories, None: left
    out; order: by the mixture's name and the part's own keypoints, the number of each of the mixture's keypoints among them."""

    categories: tuple[Category, ...]
    names: Mapping[str, str | None]
    order: Mapping[tuple[str, tuple[str, ...]], tuple[int, ...]]

    def apply(self, sample: Labelled) -> Labelled:
        """The sample with the mixture's categories."""
        own = {category.name: category for category in sample.categories}
        found = (self._instance(instance, own) for instance in sample.instances)
        return replace(sample, instances=tuple(one for one in found if one is not None), categories=self.categories)

    def _instance(self, instance: Instance, own: Mapping[str, Category]) -> Instance | None:
        name = self.names.get(instance.category, instance.category)
        if name is None:
            return None
        points = instance.keypoints
        if points is not None:
            layout = own[instance.category].keypoints if instance.category in own else ()
            points = self._reordered(points, name, layout)
        if name == instance.category and points is instance.keypoints:
            return instance
        return replace(instance, category=name, keypoints=points)

    def _reordered(self, points: Keypoints, name: str, layout: tuple[str, ...]) -> Keypoints | None:
        order = self.order.get((name, layout))
        if order is None or order == tuple(range(len(points.v))):
            return points
        pick = list(order)
        return Keypoints(points.xy[pick], points.v[pick], None if points.xyz_m is None else points.xyz_m[pick]) if pick else None


def relabel(categories: Sequence[Category], declared: Iterable[Category], source: Source | Any) -> Relabel:
    """How the samples that declare `declared` get the mixture's `categories`. source: has their mappings."""
    target = {category.name: category for category in categories}
    order = {}
    for category in declared:
        name = source.categories.get(category.name, category.name)
        if name is not None and name in target:
            own = renamed(category, source).keypoints
            order[name, category.keypoints] = tuple(own.index(point) for point in target[name].keypoints) if own else ()
    return Relabel(tuple(categories), dict(source.categories), order)


def renamed(category: Category, source: Source | Any) -> Category:
    """A category as the mixture calls it, its keypoints too; one that is left out keeps its place, with a name that no other has."""
    name = source.categories.get(category.name) or category.name
    names = source.keypoints.get(name, {})
    new = {old: f"\0{i}" if (to := names.get(old, old)) is None else to for i, old in enumerate(category.keypoints)}
    if len(set(new.values())) != len(new):
        raise ConfigError(f"keypoints.{name} gives two keypoints one name: {json.dumps(names)}")
    kept = {old for old, to in new.items() if not to.startswith("\0")}
    return Category(
        name,
        tuple(new.values()),
        tuple((new[a], new[b]) for a, b in category.mirror if {a, b} <= kept),
        tuple((new[a], new[b]) for a, b in category.skeleton if {a, b} <= kept),
        category.sigmas,
    )


def kept(category: Category) -> Category:
    """A renamed category without the keypoints that are left out."""
    there = [i for i, name in enumerate(category.keypoints) if not name.startswith("\0")]
    if len(there) == len(category.keypoints):
        return category
    sigmas = tuple(category.sigmas[i] for i in there) if category.sigmas else ()
    return replace(category, keypoints=tuple(category.keypoints[i] for i in there), sigmas=sigmas)


# --- one set for all --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declares:
    """What a part's samples declare. where: its key in the config; own: their categories."""

    where: str
    source: Source
    own: tuple[Category, ...]

    @property
    def mapped(self) -> list[Category]:
        """As the mixture calls them, those that are left out left out."""
        left_out = {name for name, new in self.source.categories.items() if new is None}
        return [kept(renamed(category, self.source)) for category in self.own if category.name not in left_out]


def common(parts: Sequence[Declares], wanted: Sequence[str] | None) -> tuple[tuple[Category, ...], list[str]]:
    """The categories of all parts, in the order of `wanted` or of the first part, and what does not fit, one message each."""
    faults = [message for part in parts for message in _unknown_names(part)]
    names = tuple(wanted) if wanted is not None else tuple(dict.fromkeys(c.name for c in parts[0].mapped))
    for part in parts if wanted is not None else parts[1:]:
        faults += _names_fault(part, names, parts[0].where if wanted is None else None)
    found: dict[str, Category] = {}
    first: dict[str, str] = {}
    for part in parts:
        for category in part.mapped:
            known = found.get(category.name)
            if known is None or not known.keypoints:
                found[category.name], first[category.name] = category, part.where
            elif category.keypoints and set(category.keypoints) != set(known.keypoints):
                faults.append(_keypoints_fault(part, category, known, first[category.name]))
            else:
                found[category.name] = _fuller(known, category)
    if wanted is not None:
        faults += [f"mix.categories names '{name}', which no part has" for name in names if name not in found]
    return tuple(found[name] for name in names if name in found), faults


def _unknown_names(part: Declares) -> list[str]:
    own = [category.name for category in part.own]
    faults = [
        f"{part.where}.categories names '{name}', which it has not; it has: {', '.join(own)}"
        for name in part.source.categories
        if name not in own
    ]
    layouts: dict[str, set[str]] = {}
    for category in part.own:
        layouts.setdefault(part.source.categories.get(category.name) or category.name, set()).update(category.keypoints)
    for name, points in part.source.keypoints.items():
        unknown = sorted(set(points) - layouts.get(name, set()))
        if unknown:
            has = ", ".join(sorted(layouts.get(name, ()))) or "none"
            faults.append(f"{part.where}.keypoints.{name} names {', '.join(unknown)}, which '{name}' has not; it has: {has}")
    return faults


def _names_fault(part: Declares, names: Sequence[str], other: str | None) -> list[str]:
    mine = list(dict.fromkeys(category.name for category in part.mapped))
    strange = [name for name in mine if name not in names]
    missing = [name for name in names if name not in mine]
    if not strange and (other is None or not missing):
        return []
    told = f"{part.where}: its categories are not those of {other or 'mix.categories'}"
    told += f"; only here: {', '.join(strange)}" if strange else ""
    told += f"; only there: {', '.join(missing)}" if missing and other else ""
    back = {new: old for old, new in part.source.categories.items() if new is not None}
    mapping = {back.get(name, name): new for name, new in _pairs(strange, missing).items()}
    if mapping:
        told += f"; this mapping would mend it: {part.where}.categories: {_yaml(mapping)}"
    if other is not None:
        all_names = ", ".join([*names, *strange])
        told += f"; or, if all are meant and each part labels what it has of them: mix.categories: [{all_names}]"
    return [told]


def _keypoints_fault(part: Declares, category: Category, known: Category, other: str) -> str:
    strange = [name for name in category.keypoints if name not in known.keypoints]
    missing = [name for name in known.keypoints if name not in category.keypoints]
    told = f"{part.where}: the keypoints of '{category.name}' are not those of {other}"
    told += f"; only here: {', '.join(strange)}" if strange else ""
    told += f"; only there: {', '.join(missing)}" if missing else ""
    if strange:
        fix = f"{part.where}.keypoints: {{{category.name}: {_yaml(_pairs(strange, missing))}}}"
    else:
        fix = f"{other}.keypoints: {{{category.name}: {_yaml(dict.fromkeys(missing))}}}"
    return f"{told}; this mapping would mend it: {fix}"


def _pairs(strange: Sequence[str], missing: Sequence[str]) -> dict[str, str | None]:
    """Each strange name and the missing one that is most like it; if one of each is left they are a pair, else what is left is dropped."""
    found: dict[str, str | None] = {}
    left = list(missing)
    plain = {name: "".join(c for c in name.casefold() if c.isalnum()) for name in (*strange, *missing)}
    for cutoff in (1.0, 0.75):
        for name in strange:
            near = difflib.get_close_matches(plain[name], [plain[other] for other in left], n=1, cutoff=cutoff) if name not in found else []
            if near:
                found[name] = next(other for other in left if plain[other] == near[0])
                left.remove(str(found[name]))
    rest = [name for name in strange if name not in found]
    if len(rest) == len(left) == 1:
        found[rest[0]] = left[0]
    return {name: found.get(name) for name in strange}


def _fuller(known: Category, other: Category) -> Category:
    """`known` with what it does not say of its keypoints and `other` does; keypoints by name, whatever their order in `other`."""
    if not other.keypoints:
        return known
    sigmas = known.sigmas or (tuple(other.sigmas[other.keypoints.index(name)] for name in known.keypoints) if other.sigmas else ())
    return replace(known, mirror=known.mirror or other.mirror, skeleton=known.skeleton or other.skeleton, sigmas=sigmas)


def _yaml(mapping: Mapping[str, str | None]) -> str:
    return "{" + ", ".join(f"{old}: {'null' if new is None else new}" for old, new in mapping.items()) + "}"
