"""Which pictures, XML files and lists of splits a VOC folder has, and which of them belong together; the laws are in `voc`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from synth.errors import FormatError
from synth.formats import reading, xml
from synth.formats.folder import is_split, split_name

_FOLDERS = ("JPEGImages/", "images/")  # where pictures lie, seen from the top
_OF_ONE_CLASS = re.compile(r".*\S\s+(-1|0|1)$")


class Pictures:
    """The pictures of a source by name, each taken by the XML that describes it. xmls: the XML files with their names."""

    def __init__(self, top: Path, images: Path | None, xmls: Mapping[Path, str]) -> None:
        self.top = top if images is None else images
        self.names = [path.relative_to(self.top).as_posix() for path in reading.pictures_in(self.top)]
        below = [folder for folder in _FOLDERS if images is None and any(name.startswith(folder) for name in self.names)]
        self.folders = (*below, "")
        self.by_stem: dict[str, list[str]] = {}
        for name in self.names:
            self.by_stem.setdefault(name.rpartition(".")[0], []).append(name)
        self.taken: set[str] = set()
        self.described = set(xmls.values())
        strays = [(name, _filename(top, file)) for file, name in xmls.items() if self._called(name) is None]
        self.meant = Counter(f"{name.rpartition('/')[0]}/{filename}".lstrip("/") for name, filename in strays)  # by XMLs of other names

    def take(self, name: str, filename: str) -> tuple[str, Path]:
        """Key and path of the picture `name`. filename: what the XML calls it, which counts where there is none or more than one of that
        name. Raises FormatError if there is none, or if it could be another one's."""
        filename = filename.replace("\\", "/").rpartition("/")[2]
        beside = f"{name.rpartition('/')[0]}/{filename}".lstrip("/")
        found, folder = self._called(name) or ([], "")
        if len(found) > 1:
            found = [one for one in found if one.rpartition("/")[2] == filename] or found
        if len(found) > 1:
            raise FormatError(f"several pictures could be meant: {', '.join(found)}; keep one")
        if found and folder + beside != found[0] and folder + beside in self.by_stem.get((folder + beside).rpartition(".")[0], ()):
            raise FormatError(f"its <filename> is that of another picture, {folder + beside}, not of {found[0]}; correct it")
        if not found:
            folder = next((one for one in self.folders if one + beside in self.by_stem.get((one + beside).rpartition(".")[0], ())), "?")
            if folder == "?":
                raise FormatError(f"its picture is missing: there is neither {name}.jpg (or another picture) nor '{filename[:80]}'")
            found = [folder + beside]
            if beside.rpartition(".")[0] in self.described or self.meant[beside] > 1:
                raise FormatError(f"the picture {found[0]} belongs to another XML too; each needs its own")
        self.taken.add(found[0])
        return found[0].removeprefix(folder), reading.inside(self.top, found[0])

    def _called(self, name: str) -> tuple[list[str], str] | None:
        """The pictures called like an XML, and the folder of pictures that they lie in."""
        return next(((self.by_stem[folder + name], folder) for folder in self.folders if folder + name in self.by_stem), None)

    def settle(self, name: str) -> None:
        """Take the pictures of an XML with a fault: they are not without XML."""
        self.taken |= set((self._called(name) or ([], ""))[0])

    def left(self) -> list[str]:
        """Pictures that no XML took, where pictures are looked for."""
        folders = self.folders[:-1] or self.folders
        return [name for name in self.names if name not in self.taken and name.startswith(folders)]


def read_xml(top: Path, file: Path) -> xml.Element:
    """The XML `file` below `top`. Raises FormatError, also if it is a link that leaves."""
    return xml.read(reading.inside(top, file.relative_to(top).as_posix()), "annotation")


def _filename(top: Path, file: Path) -> str:
    """The base name of the picture that an XML names; a file that cannot be read names none."""
    try:
        return read_xml(top, file).said("filename").replace("\\", "/").rpartition("/")[2]
    except FormatError:
        return ""


def read_lists(top: Path) -> dict[str, list[str | None]]:
    """The splits of the lists that name each picture, from the first folder that has any; None is the list of those without a split."""
    for folder in (top / "ImageSets" / "Main", top / "ImageSets" / "Segmentation", top):
        names: dict[str, list[str | None]] = {}
        files = {path.stem: path for path in sorted(folder.glob("*.txt"))}
        for stem, path in files.items():
            if folder == top and not (is_split(stem) or stem == "trainval"):
                continue  # a README
            text = reading.read_file(reading.inside(top, path.relative_to(top).as_posix())).decode("utf-8", errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if "_" in stem and stem.rpartition("_")[2] in files and all(map(_OF_ONE_CLASS.match, lines)):
                continue
            split = None if stem == "default" else split_name(stem) if folder == top else unquote(stem)
            for line in lines:
                named = line.rpartition(".")[0] if line.lower().endswith(reading.SUFFIXES) else line
                names.setdefault(named, []).append(split)
        if names:
            return names
    return {}
