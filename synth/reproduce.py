"""Make a stored sample again and say whether it is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synth.digest import label_digest, pixel_digest
from synth.errors import StoreError
from synth.recipe import Generator, Recipe, versions
from synth.record import decode, encode
from synth.store import Store


@dataclass(frozen=True)
class Outcome:
    """same: labels and stored pixels are equal, bit for bit. lines: what to tell the user."""

    same: bool
    lines: list[str]


def reproduce(store: Store, key: str, ref: str | int, recipe_of: Callable[[Mapping[str, Any]], Recipe]) -> Outcome:
    """Make sample `key` again from what its commit kept; `recipe_of` turns the commit's meta into the recipe.

    Raises StoreError if the sample is not synthetic or its commit kept no config.
    """
    stored = store.get(key, ref)
    origin = stored.origin
    if origin is None:
        raise StoreError(f"sample '{key}' is not synthetic: there is nothing to make it from")
    meta = store.meta_of(origin.recipe[:12], ref)
    if meta is None or not meta.get("config", {}).get("resolved"):
        raise StoreError(
            f"sample '{key}': run {origin.recipe[:12]} kept no config (it was made from Python); make its Recipe again there and "
            f"compare label_digest(Generator(recipe)[{origin.index}]) with this sample's"
        )
    recipe = recipe_of(meta)
    lines = [f"{key}: scene {origin.scene}, seed {origin.seed}, index {origin.index}"]
    if recipe.digest != origin.recipe:
        lines.append(f"  recipe   differs: {recipe.digest[:12]} now, {origin.recipe[:12]} then; an asset or a default has changed")
    with Generator(recipe) as generator:
        fresh = decode(encode(generator[origin.index], recipe.output))
        renderer = generator.renderer.name
    labels, pixels = label_digest(fresh) == label_digest(stored), pixel_digest(fresh) == pixel_digest(stored)
    lines.append(f"  labels   {'equal' if labels else 'DIFFER'}  {label_digest(stored)[:16]}")
    lines.append(f"  pixels   {'equal' if pixels else 'DIFFER'}  {pixel_digest(stored)[:16]}")
    if renderer != origin.renderer:
        lines.append(f"  renderer differs: {renderer} now, {origin.renderer} then")
    now = versions()
    lines += [
        f"  {name} {now.get(name, 'absent')} now, {then} then" for name, then in origin.versions.items() if now.get(name, "absent") != then
    ]
    return Outcome(labels and pixels, lines)
