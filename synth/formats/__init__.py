"""Readers and writers of other people's formats, one a file. They know records (synth.record), not the store.

A format's module has a `Reader` (reading.Reader) and a `Writer` (writing.Writer), or one of them; a variant is a keyword of both, such as
the task of a YOLO folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from synth.errors import ConfigError, known_names

if TYPE_CHECKING:
    from synth.formats.reading import Reader
    from synth.formats.writing import Writer

# Name on the command line -> module and the keywords of its Reader and Writer.
_YOLO: dict[str, tuple[str, dict[str, Any]]] = {
    "yolo": ("yolo", {}),  # a reader finds the task out, a writer writes detection
    "yolo-segment": ("yolo", {"task": "segment"}),
    "yolo-pose": ("yolo", {"task": "pose"}),
    "yolo-obb": ("yolo", {"task": "obb"}),
}
_BOTH: dict[str, tuple[str, dict[str, Any]]] = {
    **_YOLO,
    "coco": ("coco", {}),
    "voc": ("voc", {}),
    "cvat": ("cvat", {}),
    "label-studio": ("label_studio", {}),
    "labelbox": ("labelbox", {}),
    "bop": ("bop", {}),
    "folder": ("folder", {}),
}
_READERS: Mapping[str, tuple[str, Mapping[str, Any]]] = _BOTH
_WRITERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **_BOTH,
    "kitti": ("kitti", {}),
    "webdataset": ("webdataset", {}),
    "huggingface": ("huggingface", {}),
}


def reader(name: str, **options: Any) -> Reader:
    """The reader of format `name` with its options (see each module's Reader). Raises ConfigError with the known names."""
    made: Reader = _made("Reader", name, _READERS, options)
    return made


def writer(name: str, **options: Any) -> Writer:
    """The writer of format `name` with its options (see each module's Writer). Raises ConfigError with the known names."""
    made: Writer = _made("Writer", name, _WRITERS, options)
    return made


def reader_names() -> list[str]:
    """What `synth import` takes."""
    return sorted(_READERS)


def writer_names() -> list[str]:
    """What `synth export` takes."""
    return sorted(_WRITERS)


def reader_options(name: str) -> list[str]:
    """The options of format `name`'s own reader, beside what all readers have. Raises ConfigError with the known names."""
    return _own_options("Reader", name, _READERS)


def writer_options(name: str) -> list[str]:
    """The options of format `name`'s own writer, and `below`, which has no other way in on the command line. Raises ConfigError."""
    return ["below", *_own_options("Writer", name, _WRITERS)]


_Table = Mapping[str, tuple[str, Mapping[str, Any]]]


def _found(kind: str, name: str, table: _Table) -> tuple[Any, Mapping[str, Any]]:
    """The class and the keywords that its name sets."""
    if name not in table:
        raise ConfigError(known_names(f"format to {'read' if kind == 'Reader' else 'write'}", name, table))
    module, preset = table[name]
    return getattr(import_module(f"synth.formats.{module}"), kind), preset


def _own_options(kind: str, name: str, table: _Table) -> list[str]:
    made, preset = _found(kind, name, table)
    shared = {one.name for base in made.__mro__[1:-1] for one in fields(base)}
    return [one.name for one in fields(made) if one.name not in {*shared, *preset}]


def _made(kind: str, name: str, table: _Table, options: Mapping[str, Any]) -> Any:
    made, preset = _found(kind, name, table)
    known = [one.name for one in fields(made) if one.init]
    for option in options:
        if option not in known:
            raise ConfigError(f"format {name}: {known_names('option', option, known)}")
    return made(**{**preset, **options})
