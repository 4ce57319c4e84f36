"""Cameras with physical parameters: what happens to light between the scene and the file. docs/sensors.md has the formulas.

Each part is a stage of its own; `Sensor` is all of them in the order of the light, linear and unrounded in between. `StereoDepth` makes
of the depth map what a stereo camera does.
"""

from synth.augment.sensor.camera import Sensor
from synth.augment.sensor.defocus import Defocus
from synth.augment.sensor.depth import StereoDepth
from synth.augment.sensor.exposure import Exposure, Noise, Quantisation, WhiteBalance
from synth.augment.sensor.light import Shot, Step
from synth.augment.sensor.motion import LinearBlur, MotionBlur, RollingShutter
from synth.augment.sensor.optics import ChromaticAberration, LensDistortion, Vignetting
from synth.augment.sensor.readout import Bayer, Gamma, Jpeg, Sharpening

__all__ = [
    "Bayer",
    "ChromaticAberration",
    "Defocus",
    "Exposure",
    "Gamma",
    "Jpeg",
    "LensDistortion",
    "LinearBlur",
    "MotionBlur",
    "Noise",
    "Quantisation",
    "RollingShutter",
    "Sensor",
    "Sharpening",
    "Shot",
    "Step",
    "StereoDepth",
    "Vignetting",
    "WhiteBalance",
]
