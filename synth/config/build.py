"""A resolved config (plain dicts, lists, numbers, strings) becomes objects.

A dict with `_target_` becomes an object of that dataclass; a string such as "Uniform(0.2, 0.4)" becomes the distribution. A config from a
store or a colleague is code from outside, so a target is taken only from synth or an installed plugin, what it resolves to must be
defined there too, and it must be a dataclass: a value, where a function or another class could do anything.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import math
import operator
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from synth.config.searchpath import plugins, written_in
from synth.errors import ConfigError, SynthError, known_names, raised_at
from synth.rand import DISTRIBUTIONS
from synth.recipe import Recipe
from synth.record import Output

_CALL = re.compile(r"^\s*[A-Z]\w*\s*\(.*\)\s*$", re.DOTALL)
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def build(node: Any, where: str = "config") -> Any:
    """The object a config node describes. Raises ConfigError naming the key."""
    if isinstance(node, str) and _CALL.match(node):
        return parse_distribution(node, where)
    if isinstance(node, (list, tuple)):
        return [build(item, f"{where}[{i}]") for i, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    values = {str(key): build(value, f"{where}.{key}") for key, value in node.items() if key != "_target_"}
    return _call(locate(node["_target_"], where), values, where) if "_target_" in node else values


def locate(target: Any, where: str) -> Any:
    """The dataclass that `target` ("package.module.Name") names. Raises ConfigError if it is not to be trusted or not there."""
    allowed = {"synth", *plugins()}
    if not isinstance(target, str) or not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", target):
        raise ConfigError(f"{where}._target_ must be 'package.module.Name', got {target!r}")
    if target.split(".")[0] not in allowed:
        raise ConfigError(
            f"{where}._target_: '{target}' is neither in synth nor in an installed plugin ({', '.join(sorted(allowed))}); "
            "a package that ships scenes names its configs in the entry point group 'synth.configs'"
        )
    module_name, _, name = target.rpartition(".")
    package = target.partition(".")[0]
    plugin = "" if package == "synth" else f"plugin '{package}': "
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's module may raise anything, or end the process
        place = raised_at(error, package) or written_in(target)
        what = f"{plugin}cannot import '{module_name}': {type(error).__name__}: {error}" + (f" ({place})" if place else "")
        raise ConfigError(f"{where}._target_: {what}") from error
    found = getattr(module, name, None)
    if found is None:
        place = written_in(target)
        what = known_names(f"name in {module_name}", name, _public(module)) + (f" ({place})" if place else "")
        raise ConfigError(f"{where}._target_: {plugin}{what}")
    if not (isinstance(found, type) and is_dataclass(found)) or found.__module__.split(".")[0] not in allowed:
        raise ConfigError(f"{where}._target_: '{target}' is no dataclass of synth or an installed plugin")
    return found


def _public(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__]


def _call(target: Any, values: dict[str, Any], where: str) -> Any:
    known = [f.name for f in fields(target) if f.init]
    required = [f.name for f in fields(target) if f.init and f.default is MISSING and f.default_factory is MISSING]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ";"
            raise ConfigError(f"{where}: no key '{name}'{hint} known: {', '.join(known)}")
    missing = [name for name in required if name not in values]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} missing; {target.__name__} needs {', '.join(required)}")
    try:
        return target(**values)
    except SynthError as error:
        raise type(error)(f"{where}: {error}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:  # a part of another type than the class expects
        raise ConfigError(f"{where}: {target.__name__} cannot take {values}: {error}") from error
    except RecursionError:
        raise
    except Exception as error:  # a plugin's class may raise anything
        place = raised_at(error, target.__module__.partition(".")[0])
        what = f"{type(error).__name__}: {error}" + (f" ({place})" if place else "")
        raise ConfigError(f"{where}: {target.__name__}: {what}") from error


# --- distributions ----------------------------------------------------------------------------------------------------


def parse_distribution(text: str, where: str = "config") -> Any:
    """The distribution that `text` writes, such as "Choice([0.1, Uniform(0.2, 0.4)], [1, 3])". Numbers may be sums and products, and
    use `pi`. Nothing else is evaluated. Raises ConfigError naming the key."""
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, text, where)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:  # the latter: nested too deep for the parser
        raise ConfigError(f"{where}: cannot read '{_short(text)}' as a distribution: {_short(str(error))}") from error


def _value(node: ast.expr, text: str, where: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool)):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item, text, where) for item in node.elts]
    if isinstance(node, ast.Name) and node.id == "pi":
        return math.pi
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand, text, where)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _number(node.left, text, where), _number(node.right, text, where)
        if isinstance(node.op, ast.Div) and right == 0:
            raise ConfigError(f"{where}: '{text}' divides by zero")
        return _ARITHMETIC[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        if name not in DISTRIBUTIONS:
            raise ConfigError(f"{where}: {known_names('distribution', name, DISTRIBUTIONS)}")
        known = [f.name for f in fields(DISTRIBUTIONS[name])]  # type: ignore[arg-type]
        if len(node.args) > len(known) or any(keyword.arg is None for keyword in node.keywords):
            raise ConfigError(f"{where}: {name} takes ({', '.join(known)}), got '{text}'")
        values = {known[i]: _value(argument, text, where) for i, argument in enumerate(node.args)}
        values |= {str(keyword.arg): _value(keyword.value, text, where) for keyword in node.keywords}
        return _call(DISTRIBUTIONS[name], values, where)
    raise ConfigError(f"{where}: cannot read '{ast.unparse(node)}' in '{text}'; a distribution holds numbers, lists and distributions")


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _number(node: ast.expr, text: str, where: str) -> float:
    value = _value(node, text, where)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{where}: '{ast.unparse(node)}' in '{text}' must be a number")
    return value


# --- recipes ----------------------------------------------------------------------------------------------------------


GENERATE_KEYS = (
    "n", "seed", "store", "message", "workers", "outputs", "image", "keypoint_tolerance", "camera", "scene", "renderer", "stages",
)  # fmt: skip
"""Top level of `synth generate`; Hydra lets `+key=value` add others, which nobody would read."""


def build_recipe(config: Mapping[str, Any], scene_name: str) -> Recipe:
    """The recipe of a resolved `generate` config (configs/generate.yaml). Raises ConfigError naming the key."""
    for key in config:
        if key not in GENERATE_KEYS:
            raise ConfigError(known_names("key", key, GENERATE_KEYS))
    for key in ("n", "seed", "store", "message", "workers", "outputs", "image", "keypoint_tolerance", "scene", "renderer"):
        if key not in config:
            raise ConfigError(f"'{key}' is not in the config; it has no other default")
    image, outputs, stages = config["image"], config["outputs"], config.get("stages") or {}
    for key, value, kind in (("image", image, Mapping), ("stages", stages, Mapping), ("outputs", outputs, list)):
        if not isinstance(value, kind):
            raise ConfigError(f"{key} must be {'a list' if kind is list else 'keys with values'}, got {value!r}")
    encoding = {"image" if key == "format" else key: value for key, value in image.items()}
    try:
        recipe: Recipe = _call(
            Recipe,
            {
                "scene": build(config["scene"], "scene"),
                "renderer": build(config["renderer"], "renderer"),
                "stages": {name: build(stage, f"stages.{name}") for name, stage in stages.items() if stage is not None},
                "seed": config["seed"],
                "output": _call(Output, {**encoding, "maps": tuple(outputs)}, "image, outputs"),
                "keypoint_tolerance": config["keypoint_tolerance"],
                "name": scene_name,
            },
            "config",
        )
    except RecursionError as error:
        raise ConfigError("the config is nested too deep") from error
    return recipe
