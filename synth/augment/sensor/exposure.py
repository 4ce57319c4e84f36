"""From light to numbers: how much of it is collected, in which colours, with what noise and in how many steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synth.augment.sensor.light import ANY, Shot, Step, check, check_vector
from synth.blackbody import RANGE_K, blackbody
from synth.rand import Random, Stream, check_range, draw
from synth.types import F32

_FEW = 64.0  # electrons; above, a Poisson number is drawn as a Gaussian of the same mean and variance (skew below 0.125)


@dataclass(frozen=True)
class Exposure(Step):
    """Light times 2^ev. What comes to more than 1 is clipped at the end, as a full well is; what the picture shows as white already has
    lost its excess."""

    ev: Random[float] = 0.0

    def __post_init__(self) -> None:
        check(self, ev=ANY)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        factor = np.float32(2.0 ** min(float(draw(self.ev, rng, "ev")), 100.0))
        shot = shot.linear()
        return replace(shot, pixels=shot.pixels * factor)


@dataclass(frozen=True)
class Noise(Step):
    """Shot and read noise, in electrons (EMVA 1288, release 4, section 2): light L frees e ~ Poisson(L F s / g) electrons, reading adds
    a Gaussian of standard deviation read_noise_e, and the number is scaled back, so that

        mean = L (below saturation),   variance = L g / (F s) + (read_noise_e g / (F s))^2.

    F = full_well_e: electrons of white at gain 1. g = gain: ISO over base ISO; white is then F / g electrons. s = sensitivity of red, green
    and blue relative to green; red and blue of a real sensor are near 0.5 and amplified later, which makes them noisier.
    Quantum efficiency and transmission are in L. Saturates at 1; negative numbers stay, as above a black level.
    Phone: F 3000 to 8000, read 1.5 to 3; industrial (2/3 inch CMOS): F 10000 to 32000, read 2 to 7.
    """

    full_well_e: Random[float] = 6000.0
    read_noise_e: Random[float] = 2.5
    gain: Random[float] = 1.0
    sensitivity: Sequence[Random[float]] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        check(self, full_well_e=(1, 1e9), read_noise_e=(0, 1e6), gain=(1e-3, 1e5))
        check_vector(self, "sensitivity", 1e-3, 10)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        full, read, gain = (float(draw(getattr(self, name), rng, name)) for name in ("full_well_e", "read_noise_e", "gain"))
        white_e = np.asarray(draw(self.sensitivity, rng, "sensitivity"), dtype=np.float32) * np.float32(full / gain)
        shot = shot.linear()
        mean_e = np.clip(shot.pixels, 0, 1) * white_e
        few = mean_e < _FEW
        spread = np.sqrt(np.where(few, np.float32(0), mean_e) + np.float32(read * read))
        electrons: F32 = np.asarray(mean_e + spread * rng.standard_normal(mean_e.shape, dtype=np.float32), dtype=np.float32)
        if few.any():
            electrons[few] += (rng.poisson(mean_e[few]) - mean_e[few]).astype(np.float32)
        return replace(shot, pixels=np.minimum(electrons / white_e, np.float32(1)))


@dataclass(frozen=True)
class Quantisation(Step):
    """Values are rounded to 2^bits - 1 steps from black to white: an analogue-to-digital converter on linear light, or, `encoded`, on
    the values of the picture. Negative values of linear light stay, as above a black level. Its noise is step^2 / 12."""

    bits: Random[int] = 12
    encoded: bool = False

    def __post_init__(self) -> None:
        check_range("Quantisation: bits", self.bits, 1, 16, whole=True)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        steps = np.float32(2 ** int(draw(self.bits, rng, "bits")) - 1)
        shot = shot.coded() if self.encoded else shot.linear()
        return replace(shot, pixels=np.asarray(np.rint(np.minimum(shot.pixels, 1) * steps) / steps, dtype=np.float32))


@dataclass(frozen=True)
class WhiteBalance(Step):
    """Linear red, green and blue times `gains`, and as a camera does that takes the light to have temperature_k while it has 6504 K:
    below that, the picture turns blue, above orange. Gains are those of white over those of a blackbody (synth.blackbody), green
    unchanged."""

    temperature_k: Random[float] = 6504.0
    gains: Sequence[Random[float]] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        check(self, temperature_k=RANGE_K)
        check_vector(self, "gains", 0, 16)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        gains = np.asarray(draw(self.gains, rng, "gains"), dtype=np.float64)
        ratio = blackbody(6504.0) / np.maximum(blackbody(float(draw(self.temperature_k, rng, "temperature_k"))), 0.02)
        gains = gains * ratio / ratio[1]
        shot = shot.linear()
        return replace(shot, pixels=shot.pixels * gains.astype(np.float32))
