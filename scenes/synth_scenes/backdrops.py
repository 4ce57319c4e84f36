"""What 2D scenes are made of: folders of cut-outs and of photos, by the name of one that ships or by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synth.assets import load_photo
from synth.cutouts import cutout_files, photo_files
from synth.errors import ConfigError, known_names
from synth.rand import Random, Stream, Uniform, check_range, draw
from synth.types import U8
from synth.warp import cover
from synth_scenes import library

_ASSETS = Path(__file__).parent / "assets"
_CUTOUTS = {"groceries": _ASSETS / "cutouts" / "groceries", "plants": _ASSETS / "cutouts" / "plants", "logos": _ASSETS / "logos"}
_PHOTOS = "photos"


def cutouts_in(name: str) -> tuple[Path, ...]:
    """The cut-outs of a folder that ships, or of a path. Raises ConfigError."""
    if name not in _CUTOUTS and "/" not in name and not Path(name).is_dir():
        raise ConfigError(f"{known_names('folder of cut-outs', name, _CUTOUTS)}, or the path of a folder")
    return cutout_files(_CUTOUTS.get(name, Path(name)))


@dataclass(frozen=True)
class Backdrop:
    """A part of a random photo behind everything. photos: a folder, or `photos`, which ships. zoom: 1 shows as much of it as the frame's
    proportions allow. mirror: how likely left and right change places."""

    photos: str = _PHOTOS
    zoom: Random[float] = Uniform(1.0, 1.5)
    mirror: Random[float] = 0.5

    def __post_init__(self) -> None:
        check_range("backdrop.zoom", self.zoom, 1, 20)
        check_range("backdrop.mirror", self.mirror, 0, 1)
        _ = self.files

    @cached_property
    def files(self) -> Sequence[Path]:
        """Of all its photos."""
        if self.photos == _PHOTOS:
            return tuple(library.names("photo").values())
        if "/" not in self.photos and not Path(self.photos).is_dir():
            raise ConfigError(f"{known_names('folder of photos', self.photos, [_PHOTOS])}, or the path of a folder")
        return photo_files(self.photos)

    @property
    def sources(self) -> dict[Path, str]:
        """All photos, each with its licence, "" where it is not known."""
        return library.sources("photo", map(str, self.files))

    def draw(self, width: int, height: int, rng: Stream) -> U8:
        """(height, width, 3) sRGB."""
        photo = load_photo(self.files[int(rng.child("photo").integers(len(self.files)))])
        x, y = rng.child("at").uniform(size=2)
        mirrored = bool(rng.child("flip").uniform() < draw(self.mirror, rng, "mirror"))
        return cover(photo, width, height, float(draw(self.zoom, rng, "zoom")), (float(x), float(y)), mirrored)
