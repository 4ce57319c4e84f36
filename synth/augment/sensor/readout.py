"""From numbers to a file: the colour filter, the curve, sharpening and JPEG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

import numpy as np

from synth.augment.sensor.light import Shot, Step, check
from synth.errors import ConfigError
from synth.rand import Random, Stream, check_range, draw
from synth.record import Output, decode_image, encode_image
from synth.types import F32

Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
_CV2 = {"RGGB": "BG", "BGGR": "RG", "GRBG": "GB", "GBRG": "GR"}  # OpenCV names the second row's second and third pixel
_RANGE = (-0.25, 1.25)  # of linear light, in cv2's 16 bits: a step is a 44,000th of white


@dataclass(frozen=True)
class Bayer(Step):
    """Each pixel keeps the colour of its filter (Bayer 1976; `pattern` names the first two rows from the top left), and the two others
    are interpolated: `bilinear`, or `edge_aware` along edges (OpenCV's COLOR_Bayer..2RGB_EA). It comes after noise, which it smears into
    blotches. A colour that does not change stays as it is."""

    pattern: Pattern = "RGGB"
    demosaic: Literal["bilinear", "edge_aware"] = "bilinear"

    def __post_init__(self) -> None:
        if self.pattern not in get_args(Pattern):
            raise ConfigError(f"Bayer: pattern must be one of {', '.join(get_args(Pattern))}, got {self.pattern!r}")
        if self.demosaic not in ("bilinear", "edge_aware"):
            raise ConfigError(f"Bayer: demosaic must be bilinear or edge_aware, got {self.demosaic!r}")

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        shot = shot.linear()
        if min(shot.pixels.shape[:2]) < 4:  # no neighbours to interpolate from
            return shot
        mosaic = np.empty(shot.pixels.shape[:2], dtype=np.float32)
        for i, color in enumerate(self.pattern):
            rows, columns = slice(i // 2, None, 2), slice(i % 2, None, 2)
            mosaic[rows, columns] = shot.pixels[rows, columns, "RGB".index(color)]
        return replace(shot, pixels=self._bilinear(mosaic) if self.demosaic == "bilinear" else self._edge_aware(mosaic))

    def _bilinear(self, mosaic: F32) -> F32:
        import cv2

        planes = []
        for color in "RGB":
            plane = np.zeros_like(mosaic)
            for i in (i for i, filtered in enumerate(self.pattern) if filtered == color):
                plane[i // 2 :: 2, i % 2 :: 2] = mosaic[i // 2 :: 2, i % 2 :: 2]
            weights = [[0, 1, 0], [1, 4, 1], [0, 1, 0]] if color == "G" else [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
            kernel = np.array(weights, dtype=np.float32) / 4
            planes.append(cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101))  # it keeps the pattern's parity
        return np.stack(planes, axis=-1)

    def _edge_aware(self, mosaic: F32) -> F32:
        import cv2

        low, high = _RANGE
        codes = np.rint(np.clip((mosaic - low) / (high - low), 0, 1) * 65535).astype(np.uint16)
        padded = cv2.copyMakeBorder(codes, 2, 2, 2, 2, cv2.BORDER_REFLECT_101)
        rgb = cv2.cvtColor(padded, getattr(cv2, f"COLOR_Bayer{_CV2[self.pattern]}2RGB_EA"))[2:-2, 2:-2]
        return cast(F32, rgb.astype(np.float32) * np.float32((high - low) / 65535) + np.float32(low))


@dataclass(frozen=True)
class Gamma(Step):
    """The picture is encoded as V = L^(1 / gamma) instead of by sRGB's curve; 2.2 is close to it, a smaller one is darker and harder.
    1 shows a linear sensor's numbers as they are."""

    gamma: Random[float] = 2.2

    def __post_init__(self) -> None:
        check(self, gamma=(0.1, 10))

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        gamma = float(draw(self.gamma, rng, "gamma"))
        return replace(shot, pixels=np.clip(shot.linear().pixels, 0, 1) ** np.float32(1 / gamma), encoded=True)


@dataclass(frozen=True)
class Sharpening(Step):
    """Unsharp masking of the encoded picture, V + amount (V - G * V), G a Gaussian of standard deviation sigma_px: the bright and dark
    seams along edges that cameras add."""

    amount: Random[float] = 0.5
    sigma_px: Random[float] = 1.0

    def __post_init__(self) -> None:
        check(self, amount=(0, 20), sigma_px=(0.1, 50))

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        import cv2

        amount, sigma = (float(draw(getattr(self, name), rng, name)) for name in ("amount", "sigma_px"))
        if not amount:
            return shot
        shot = shot.coded()
        soft = cv2.GaussianBlur(shot.pixels, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return replace(shot, pixels=np.clip(shot.pixels + np.float32(amount) * (shot.pixels - soft), 0, 1))


@dataclass(frozen=True)
class Jpeg(Step):
    """The picture is written as JPEG and read again: quality 1 to 100 by libjpeg's scale; chroma `4:2:0` halves the colour's resolution.
    The store encodes the picture once more (image.format; png keeps it as it is)."""

    quality: Random[int] = 90
    chroma: Literal["4:2:0", "4:4:4"] = "4:2:0"

    def __post_init__(self) -> None:
        check_range("Jpeg: quality", self.quality, 1, 100, whole=True)
        Output(chroma=self.chroma)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        picture = shot.coded().picture()
        written = encode_image(picture, Output("jpeg", int(draw(self.quality, rng, "quality")), self.chroma))
        pixels = decode_image(written, picture.shape[:2]).astype(np.float32) / np.float32(255)
        return replace(shot, pixels=pixels, encoded=True)
