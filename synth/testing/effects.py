"""Whether each parameter of a scene does something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from synth.content import Contents
from synth.errors import SynthError, known_names
from synth.parameters import parameters, replaced, variants
from synth.protocols import Scene
from synth.rand import rng_for
from synth.testing.findings import Finding

_NEIGHBOUR_WORLDS = 2
_OPTIONS = 5  # values of a neighbour that are tried


def composed(scene: Scene, seed: int, index: int) -> Any:
    """What a scene composes for sample `index`, or for clip `index` if it is one over time."""
    return scene.compose(rng_for(seed, index, "scene"))


def effects(scene: Scene, worlds: int, seed: int, contents: Contents, must_act: Sequence[str] | None) -> Iterator[Finding]:
    """Whether some world is another one when a parameter has another value, as the scene is or with one of its neighbours varied."""
    found = {parameter.path: parameter for parameter in parameters(scene)}
    worlds_of = _Worlds(scene, seed, contents)
    untried: list[str] = []
    for path in found if must_act is None else must_act:
        if path not in found:
            yield Finding(known_names("parameter", path, found), "must_act", "take it out")
            continue
        others = list(_others(scene, path, found[path].value, 2))
        if not others:
            untried.append(path)
        elif not worlds_of.differ(others, worlds) and not any(
            _Worlds(varied, seed, contents).differ(list(_others(varied, path, found[path].value, 2)), _NEIGHBOUR_WORLDS)
            for neighbour in _neighbours(path, found)
            for varied in _others(scene, neighbour, found[neighbour].value, _OPTIONS)
        ):
            mend = f"use draw(self.{path}, rng, ...), or take it out, if only other values would let it act"
            yield Finding(f"has no effect in {worlds} worlds", f"parameter {path}", mend)
    if untried:
        yield Finding("not tried, only their author can vary them", f"parameters {', '.join(untried)}", wrong=False)


def _neighbours(path: str, names: Iterable[str]) -> list[str]:
    """The other parameters of the same part, those with the likest names first: what switches `shadow_blur` on may well be `shadow`."""
    part = path.rpartition(".")[0]
    beside = [name for name in names if name != path and name.rpartition(".")[0] == part]
    return sorted(beside, key=lambda name: -sum(name.startswith(path[:end]) for end in range(len(path))))


def _others(scene: Scene, path: str, value: Any, limit: int) -> Iterator[Scene]:
    """The scene with at most `limit` other values there."""
    made = 0
    for other in variants(value):
        try:
            one = replaced(scene, path, other)
        except (SynthError, TypeError, ValueError):  # a value that it does not take says nothing
            continue
        yield one
        made += 1
        if made == limit:
            break


class _Worlds:
    """Worlds of a scene by index, made when they are needed."""

    def __init__(self, scene: Scene, seed: int, contents: Contents) -> None:
        self._scene, self._seed, self._contents = scene, seed, contents
        self._known: dict[int, str] = {}

    def differ(self, others: Sequence[Scene], worlds: int) -> bool:
        """Whether one of the first `worlds` worlds is another one in one of the other scenes."""
        for index in range(worlds):
            if index not in self._known:
                self._known[index] = self._digest(self._scene, index)
            if any(self._digest(other, index) != self._known[index] for other in others):
                return True
        return False

    def _digest(self, scene: Scene, index: int) -> str:
        try:
            return self._contents.digest(composed(scene, self._seed, index))
        except SynthError as error:  # a value for which there is no world has an effect too
            return str(error)
