"""Readers and writers of other people's formats, one a file. They know records (synth.record), not the store.

A format's module has a `Reader` (reading.Reader) and a `Writer` (writing.Writer), or one of them; a variant is a keyword of both, such as
the task of a YOLO folder.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def _made(kind: str, name: str, table: Mapping[str, tuple[str, Mapping[str, Any]]], options: Mapping[str, Any]) -> Any:
    if name not in table:
        raise ConfigError(known_names(f"format to {'read' if kind == 'Reader' else 'write'}", name, table))
    module, preset = table[name]
    try:
        return getattr(import_module(f"synth.formats.{module}"), kind)(**{**preset, **options})
    except TypeError as error:
        raise ConfigError(f"format {name}: {error}") from error
