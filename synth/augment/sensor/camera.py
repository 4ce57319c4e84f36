"""A whole camera: one stage whose parts stand in the order of the light."""

from __future__ import annotations

from dataclasses import dataclass, fields

from synth.augment.sensor.defocus import Defocus
from synth.augment.sensor.exposure import Exposure, Noise, Quantisation, WhiteBalance
from synth.augment.sensor.light import Shot
from synth.augment.sensor.motion import LinearBlur, MotionBlur, RollingShutter
from synth.augment.sensor.optics import ChromaticAberration, LensDistortion, Vignetting
from synth.augment.sensor.readout import Bayer, Gamma, Jpeg, Sharpening
from synth.errors import ConfigError
from synth.rand import Stream
from synth.types import Draft


@dataclass(frozen=True)
class Sensor:
    """What a camera does to light, in its order; a part that is None is not there. Each draws from the stream of its name.

    Light is linear and in float32 all the way to `gamma`, and the picture is rounded to 8 bits once, at the end (JPEG rounds for itself).
    """

    lens: LensDistortion | None = None
    vignetting: Vignetting | None = None
    chromatic: ChromaticAberration | None = None
    defocus: Defocus | None = None
    motion: MotionBlur | LinearBlur | None = None
    shutter: RollingShutter | None = None
    exposure: Exposure | None = None
    noise: Noise | None = None
    adc: Quantisation | None = None
    white_balance: WhiteBalance | None = None
    bayer: Bayer | None = None
    gamma: Gamma | None = None
    sharpening: Sharpening | None = None
    jpeg: Jpeg | None = None

    def __post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            part = getattr(self, name)
            if part is not None and not isinstance(part, kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise ConfigError(f"Sensor: {name} must be a {wanted}, or null to leave it out, got {part!r}")
        if self.adc is not None and self.adc.encoded:
            raise ConfigError("Sensor: adc works on linear light; a Quantisation of the encoded picture is a stage of its own")

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        shot = Shot.of(draft)
        for field in fields(self):
            part = getattr(self, field.name)
            if part is not None:
                shot = part.expose(shot, rng.child(field.name))
        return shot.developed()


_KINDS = {
    "lens": (LensDistortion,),
    "vignetting": (Vignetting,),
    "chromatic": (ChromaticAberration,),
    "defocus": (Defocus,),
    "motion": (MotionBlur, LinearBlur),
    "shutter": (RollingShutter,),
    "exposure": (Exposure,),
    "noise": (Noise,),
    "adc": (Quantisation,),
    "white_balance": (WhiteBalance,),
    "bayer": (Bayer,),
    "gamma": (Gamma,),
    "sharpening": (Sharpening,),
    "jpeg": (Jpeg,),
}
