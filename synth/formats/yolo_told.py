"""What a YOLO dataset says of itself: classes, keypoints and where its pictures lie, by data.yaml, Darknet's obj.data, or a plain folder.

All that is read lies below one root: the folder of data.yaml (or `images`, if that is given). `path` in data.yaml is followed if it leads
to a folder below the root; else it is taken for the place where the dataset lay before it was moved here, and the root stands in for it.
A split's leading `../` is dropped, as Ultralytics does where it leads nowhere. What leaves the root, by `..` or by a link, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synth.errors import FormatError
from synth.formats.reading import inside, read_file, unique
from synth.types import Category

# Keys of data.yaml that are no splits.
WORDS = frozenset(
    {"path", "names", "nc", "kpt_shape", "flip_idx", "kpt_names", "download", "channels", "provenance", "license", "licences"}
)
_MAX_YAML_BYTES = 1 << 20  # 10,000 class names are a fifth of it
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Description:
    """What the file that describes the dataset says. splits: by name, the folders and lists of pictures."""

    root: Path
    base: Path
    categories: tuple[Category, ...]
    kpt_shape: tuple[int, int] | None
    splits: Mapping[str | None, Sequence[str]]


def describe(source: Path, images: Path | None) -> Description:
    """What the dataset at `source` (data.yaml, obj.data, or a folder with one of them or with classes.txt) says. Raises FormatError."""
    if source.is_dir():
        found = [source / "data.yaml"] if (source / "data.yaml").is_file() else sorted([*source.glob("*.yaml"), *source.glob("*.yml")])
        if len(found) > 1:
            raise FormatError(
                f"{source} has several YAML files ({', '.join(p.name for p in found)}); name the one that describes the dataset"
            )
        if not found:
            return _darknet(source / "obj.data", images) if (source / "obj.data").is_file() else _plain(source, images)
        source = found[0]
    if source.suffix.lower() in (".yaml", ".yml"):
        return _from_yaml(source, images or source.parent)
    if source.suffix.lower() == ".data":
        return _darknet(source, images)
    raise FormatError(f"{source} is no YOLO dataset; name its data.yaml or its folder")


def _plain(folder: Path, images: Path | None) -> Description:
    for name in ("classes.txt", "labels/classes.txt", "obj.names"):
        if (folder / name).is_file():
            root = images or folder
            pictures = "images" if images is None and (folder / "images").is_dir() else "."
            return Description(root, root, _classes(folder / name), None, {None: [pictures]})
    raise FormatError(f"{folder} has neither data.yaml nor obj.data nor classes.txt (one class name a line), so its classes have no names")


def _darknet(path: Path, images: Path | None) -> Description:
    lines = [line.partition("=") for line in decoded(path, _MAX_YAML_BYTES).split("\n") if line.strip()]
    values = {key.strip(): value.strip() for key, _, value in lines}
    root = images or path.parent
    keys = {"train": "train", "valid": "val", "test": "test"}
    splits: dict[str | None, list[str]] = {split: [values[key].removeprefix("data/")] for key, split in keys.items() if values.get(key)}
    if not splits:
        raise FormatError(f"{path} names no list of pictures (train, valid or test)")
    names = inside(path.parent, values.get("names", "obj.names").removeprefix("data/"))
    return Description(root, root, _classes(names), None, splits)


def _classes(path: Path) -> tuple[Category, ...]:
    names = [line.strip() for line in decoded(path, _MAX_YAML_BYTES).rstrip().split("\n")]
    return _categories(names, {}, path)


def _from_yaml(path: Path, root: Path) -> Description:
    values = read_yaml(path)
    names = _numbered(values.get("names"), f"{path}: names")
    if not names:
        raise FormatError(f"{path}: names must list the classes")
    if "nc" in values and _whole(values["nc"], f"{path}: nc") != len(names):
        raise FormatError(f"{path}: nc is {values['nc']}, names has {len(names)} classes")
    shape = _kpt_shape(values.get("kpt_shape"), path)
    layouts = _keypoints(values, shape, len(names), path) if shape else {}
    base = _base(root, values.get("path"))
    splits: dict[str | None, list[str]] = {}
    for name in (*_SPLITS, *(key for key in values if key not in _SPLITS and key not in WORDS)):
        value = values.get(name)
        if value in (None, "", "~", "null", []):
            continue
        places = [place for place in (value if isinstance(value, list) else [value]) if isinstance(place, str)]
        if name in _SPLITS and (isinstance(value, dict) or (isinstance(value, list) and len(places) != len(value))):
            raise FormatError(f"{path}: {name} must be a folder, a list file, or a list of them")
        if name in _SPLITS or (places and all(_is_folder(root, base, place) for place in places)):
            splits[name] = places
    if not splits:
        raise FormatError(f"{path} names no pictures; it needs train, val or test")
    return Description(root, base, _categories(names, layouts, path), shape, splits)


def _is_folder(root: Path, base: Path, place: str) -> bool:
    try:
        return bool(place) and below(root, base, place).is_dir()
    except FormatError:
        return False


def _base(root: Path, path: Any) -> Path:
    """The folder that `path` of data.yaml means, if it is below the root."""
    if isinstance(path, str) and path and _is_folder(root, root, path):
        return below(root, root, path)
    return root


def _kpt_shape(value: Any, path: Path) -> tuple[int, int] | None:
    if value in (None, "", "~", "null"):
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise FormatError(f"{path}: kpt_shape must be [keypoints, 2 or 3], got {str(value)[:80]}")
    count, numbers = (_whole(v, f"{path}: kpt_shape") for v in value)
    if not 1 <= count <= 10_000 or numbers not in (2, 3):
        raise FormatError(f"{path}: kpt_shape must be [keypoints, 2 or 3], got [{count}, {numbers}]")
    return count, numbers


def _keypoints(values: Mapping[str, Any], shape: tuple[int, int], classes: int, path: Path) -> dict[int, tuple[list[str], list[int]]]:
    """Keypoint names and flip_idx of each class. Names default to numbers; `kpt_names` with an empty list is a class without keypoints."""
    count = shape[0]
    flip = list(range(count))
    if values.get("flip_idx") not in (None, "", "~", "null"):
        flip = [_whole(v, f"{path}: flip_idx") for v in values["flip_idx"]] if isinstance(values["flip_idx"], list) else []
        if len(flip) != count or any(not i < count or flip[i] != at for at, i in enumerate(flip)):
            raise FormatError(f"{path}: flip_idx must swap pairs of the {count} keypoints: number i at place j and j at i")
    told = values.get("kpt_names")
    numbers = [str(i) for i in range(count)]
    if isinstance(told, list) and all(isinstance(name, str) for name in told):
        told = {str(i): told for i in range(classes)}  # one list for all classes
    if isinstance(told, list):
        told = {str(i): names for i, names in enumerate(told)}
    layouts = {}
    for i in range(classes):
        names = told.get(str(i), numbers) if isinstance(told, dict) else numbers
        if not isinstance(names, list) or len(names) not in (0, count) or not all(isinstance(name, str) and name for name in names):
            raise FormatError(f"{path}: kpt_names of class {i} must be {count} names, as kpt_shape says")
        unique(names, f"{path}: the keypoint")
        layouts[i] = (names, flip)
    return layouts


def _categories(names: Sequence[str], layouts: Mapping[int, tuple[list[str], list[int]]], path: Path) -> tuple[Category, ...]:
    unique(names, f"{path}: the class")
    made = []
    for i, name in enumerate(names):
        if not name:
            raise FormatError(f"{path}: class {i} has no name")
        points, flip = layouts.get(i, ([], []))
        mirror = tuple((points[a], points[b]) for a, b in enumerate(flip) if a < b) if points else ()
        made.append(Category(name, tuple(points), mirror))
    return tuple(made)


def _numbered(value: Any, what: str) -> list[str]:
    """A list of names, or a mapping from 0, 1, ... to names."""
    if isinstance(value, dict):
        by_number = {_whole(key, what): name for key, name in value.items()}
        if sorted(by_number) != list(range(len(by_number))):
            raise FormatError(f"{what} must be numbered 0, 1, 2, ... without a gap")
        value = [by_number[i] for i in range(len(by_number))]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise FormatError(f"{what} must be a list of names, or names by their numbers")
    return value


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 9:
        raise FormatError(f"{what} must be a whole number, got {str(value)[:80]!r}")
    return int(value)


def decoded(path: Path, limit: int) -> str:
    """The UTF-8 text of a file. Raises FormatError."""
    try:
        return read_file(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, each value as text, list or dict: nothing is made of a tag, a date or a `no`.

    Aliases are refused, since a few of them can stand for billions of values. Raises FormatError.
    """
    text = decoded(path, _MAX_YAML_BYTES)
    try:
        value = _plain_value(_Composer(text).get_single_node())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} cannot be read as YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(value, dict):
        raise FormatError(f"{path} must be a mapping with names and train, val or test")
    return value


class _Composer(yaml.BaseLoader):  # type: ignore[misc]
    """Makes a tree of nodes of the text, and no objects."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"line {self.peek_event().start_mark.line + 1}: it holds an alias (*name), which no dataset needs")
        return super().compose_node(parent, index)


def _plain_value(node: Any) -> Any:
    if node is None:
        return None
    line = node.start_mark.line + 1
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        raise yaml.YAMLError(f"line {line}: it holds the tag {node.tag[:80]}, which no dataset needs")
    if isinstance(node, yaml.SequenceNode):
        return [_plain_value(child) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        made: dict[str, Any] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"line {line}: a key must be plain text")
            if key.value in made:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key '{key.value[:80]}' stands twice")
            made[key.value] = _plain_value(child)
        return made
    return node.value


def below(root: Path, folder: Path, text: str) -> Path:
    """`text` from `folder`, which is `root` or below it. An absolute path is good if it leads below the root. Raises FormatError."""
    path = Path(text)
    if path.is_absolute():
        starts = [start for start in (root.absolute(), root.resolve()) if path.is_relative_to(start)]
        if not starts:
            raise FormatError(f"the path '{text}' leads out of {root}; write it relative to there")
        path = path.relative_to(starts[0])
    else:
        path = folder.relative_to(root) / text.replace("\\", "/")
    whole = inside(root, str(path))
    try:
        whole.exists()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise FormatError(f"the file name '{text[:80]}' cannot be used: {error.strerror}") from error
    return whole
