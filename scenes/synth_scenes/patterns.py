"""Calibration boards as OpenCV knows them: chessboards, ChArUco boards, ArUco grids. What is printed where, and how it looks as a texture.

The frame of a board is that of OpenCV's board classes: the origin at the outer corner of its first square or marker, x to the right, y
down, z away from the one who looks at it, so that a pose by cv2.solvePnP from the board's object points is this frame's pose.
OpenCV says where corners and markers are and which modules of a marker are black; the picture is drawn here, each texel by the area of ink
in it, so that edges lie where they belong whatever the resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from synth.errors import ConfigError, known_names
from synth.rand import check_range
from synth.types import F32, F64, U8, Category, Keypoint

KINDS = ("chessboard", "charuco", "aruco")
MARKER_CORNERS = ("tl", "tr", "br", "bl")
"""As OpenCV orders them: clockwise from the marker's top left."""
_MOST_TEXELS = 2048
_HALVES = 64


@dataclass(frozen=True)
class Pattern:
    """What is printed. kind: one of KINDS. squares_x, squares_y: squares of a chessboard or ChArUco board, markers of an ArUco board.
    square_m: side of a square, or from one marker to the next. marker_m: side of a marker; dictionary: cv2.aruco's name of a predefined
    one, whose first markers are used."""

    kind: str = "chessboard"
    squares_x: int = 10
    squares_y: int = 7
    square_m: float = 0.025
    marker_m: float = 0.018
    dictionary: str = "DICT_5X5_100"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(known_names("kind of board", str(self.kind), KINDS))
        least = 1 if self.kind == "aruco" else 3
        for name in ("squares_x", "squares_y"):
            check_range(name, getattr(self, name), least, 64, whole=True)
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in ("square_m", "marker_m"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e-3 <= value <= 2:
                raise ConfigError(f"{name} must be a length in [0.001, 2] m, got {value!r}")
        if self.kind != "chessboard":
            if not self.marker_m < self.square_m:
                raise ConfigError(f"marker_m must be less than square_m, got {self.marker_m:g} and {self.square_m:g}")
            available = len(self._dictionary.bytesList)
            if self.markers > available:
                raise ConfigError(f"dictionary '{self.dictionary}' has {available} markers, the board needs {self.markers}")

    @property
    def markers(self) -> int:
        """How many there are."""
        return {"chessboard": 0, "charuco": self.squares_x * self.squares_y // 2, "aruco": self.squares_x * self.squares_y}[self.kind]

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of what is printed."""
        gap = self.square_m - self.marker_m if self.kind == "aruco" else 0.0
        return self.squares_x * self.square_m - gap, self.squares_y * self.square_m - gap

    @cached_property
    def _dictionary(self) -> Any:
        from cv2 import aruco

        known = [name for name in dir(aruco) if name.startswith("DICT_")]
        if self.dictionary not in known:
            raise ConfigError(known_names("dictionary", str(self.dictionary), known))
        return aruco.getPredefinedDictionary(getattr(aruco, self.dictionary))

    @cached_property
    def board(self) -> Any:
        """OpenCV's board, whose detectors find the markers; None of a chessboard."""
        from cv2 import aruco

        squares = (self.squares_x, self.squares_y)
        if self.kind == "charuco":
            return aruco.CharucoBoard(squares, self.square_m, self.marker_m, self._dictionary)
        if self.kind == "aruco":
            return aruco.GridBoard(squares, self.marker_m, self.square_m - self.marker_m, self._dictionary)
        return None

    def __getstate__(self) -> dict[str, Any]:  # OpenCV's objects cannot be pickled
        return {name: value for name, value in self.__dict__.items() if name not in ("board", "_dictionary")}

    @cached_property
    def keypoints(self) -> tuple[Keypoint, ...]:
        """Inner corners corner_ROW_COLUMN, then marker_ID_tl, _tr, _br, _bl; all in the plane z = 0."""
        found = []
        if self.kind != "aruco":
            for row in range(self.squares_y - 1):
                for column in range(self.squares_x - 1):
                    at = ((column + 1) * self.square_m, (row + 1) * self.square_m, 0.0)
                    found.append(Keypoint(f"corner_{row}_{column}", at))
        if self.board is not None:
            for number, corners in zip(self.board.getIds().ravel().tolist(), self.board.getObjPoints(), strict=True):
                for name, (x, y, _) in zip(MARKER_CORNERS, np.asarray(corners, np.float64).tolist(), strict=True):
                    found.append(Keypoint(f"marker_{number}_{name}", (x, y, 0.0)))
        return tuple(found)

    @cached_property
    def category(self) -> Category:
        """Named after the kind. Its mirror pairs are those under which a mirrored chessboard is one of the same colours: left and right
        where the columns are odd in number, else up and down where the rows are. A mirrored marker is none, so others have no pairs."""
        names = [keypoint.name for keypoint in self.keypoints]
        columns, rows = self.squares_x - 1, self.squares_y - 1
        pairs: list[tuple[str, str]] = []
        if self.kind == "chessboard" and self.squares_x % 2:
            pairs = [(f"corner_{r}_{c}", f"corner_{r}_{columns - 1 - c}") for r in range(rows) for c in range(columns // 2)]
        elif self.kind == "chessboard" and self.squares_y % 2:
            pairs = [(f"corner_{r}_{c}", f"corner_{rows - 1 - r}_{c}") for r in range(rows // 2) for c in range(columns)]
        return Category(self.kind, tuple(names), tuple(pairs))

    # --- the print ----------------------------------------------------------------------------------------------------

    def ink(self, outer: tuple[float, float, float, float], margin_m: float) -> tuple[F32, tuple[float, float], float]:
        """The share of ink in each texel (h, w), the board's x and y at the texture's upper left corner, and texels a metre.

        outer: how much of a chessboard's outermost squares is printed, left, top, right, bottom [0, 1]. margin_m: white around all."""
        texels_m = min(128.0, _MOST_TEXELS // max(self.squares_x, self.squares_y)) / self.square_m
        texels_m = min(texels_m, 2 * _MOST_TEXELS / (max(self.size_m) + 2 * margin_m))  # where much of it is white
        pad = int(np.ceil(margin_m * texels_m)) + 1
        (width, height), start = self.size_m, -pad / texels_m
        # A side that halves without rest: where mipmaps round, each level is shifted, by 0.02 px of the picture and more.
        shape = [-(-(math.ceil(size * texels_m) + 2 * pad) // _HALVES) * _HALVES for size in (height, width)]
        ink = np.zeros(shape, np.float32)
        for x0, y0, x1, y1 in self._black(outer).tolist():
            (c0, across), (r0, down) = (_cover((a - start) * texels_m, (b - start) * texels_m) for a, b in ((x0, x1), (y0, y1)))
            ink[r0 : r0 + len(down), c0 : c0 + len(across)] += down[:, None] * across
        return np.minimum(ink, 1), (start, start), texels_m

    def _black(self, outer: tuple[float, float, float, float]) -> F64:
        """(n, 4) x0 y0 x1 y1 of what is black, metres."""
        found: list[tuple[float, float, float, float]] = []
        s, (width, height) = self.square_m, self.size_m
        if self.kind != "aruco":
            left, top, right, bottom = outer if self.kind == "chessboard" else (1.0, 1.0, 1.0, 1.0)
            low, high = ((1 - left) * s, (1 - top) * s), (width - (1 - right) * s, height - (1 - bottom) * s)
            # OpenCV's ChArUco boards have a black square first, whatever their size (since 4.6)
            for row in range(self.squares_y):
                for column in range(row % 2, self.squares_x, 2):
                    x, y = column * s, row * s
                    found.append((max(x, low[0]), max(y, low[1]), min(x + s, high[0]), min(y + s, high[1])))
        if self.board is not None:
            found += self._modules()
        return np.array(found)

    def _modules(self) -> list[tuple[float, float, float, float]]:
        from cv2 import aruco

        side = int(self._dictionary.markerSize) + 2
        module = self.marker_m / side
        found = []
        for number, corners in zip(self.board.getIds().ravel().tolist(), self.board.getObjPoints(), strict=True):
            x0, y0, _ = np.asarray(corners[0], np.float64).tolist()
            for row, line in enumerate(aruco.generateImageMarker(self._dictionary, number, side) == 0):
                edges = np.flatnonzero(np.diff(np.concatenate([[0], line, [0]]).astype(int)))
                for start, stop in edges.reshape(-1, 2).tolist():  # a run of black modules
                    found.append((x0 + start * module, y0 + row * module, x0 + stop * module, y0 + (row + 1) * module))
        return found


def printed(ink: F32, paper: tuple[float, float, float], black: tuple[float, float, float]) -> U8:
    """Ink shares (h, w) as an sRGB texture of these linear colours."""
    share = np.linspace(0, 1, 256)[:, None]
    mixed = np.array(paper) * (1 - share) + np.array(black) * share
    table = np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * np.maximum(mixed, 1e-9) ** (1 / 2.4) - 0.055)
    picked = np.round(ink * 255).astype(np.uint8)
    return np.ascontiguousarray(np.round(np.clip(table, 0, 1) * 255).astype(np.uint8)[picked])


def _cover(start: float, stop: float) -> tuple[int, F32]:
    """The first texel that [start, stop) touches, and how much of it and each next one it covers."""
    first = int(np.floor(start))
    edges = np.arange(first, int(np.ceil(stop)) + 1)
    return first, np.maximum(0, np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)).astype(np.float32)
