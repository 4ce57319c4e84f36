"""Every transform that albumentations 2.0.8 exports, and how it is treated. One that does not stand here is refused by name.

pixel      changes colours only; it gets the picture, and labels stay as they are
geometric  it is asked what it draws, and picture, maps, silhouettes and points all move by the map that follows (synth.augment.laws)
occluder   it covers pixels; nothing of an object shows there any more, so masks, boxes, fractions and v follow
refused    it would leave labels wrong, or needs what a stage has not; the reason is the message
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from synth.augment import laws
from synth.augment.laws import Law, Repaint


@dataclass(frozen=True, eq=False)
class Treatment:
    """law: of a geometric one. repaint: of a pixel one whose own picture moves. covers: name of the drawn parameter that holds what an
    occluder covers. objects: it looks at masks or boxes of the objects to draw. defaults: parameters that albumentations sets otherwise.
    refuses: by parameter, whether a value is refused, and why."""

    kind: Literal["pixel", "geometric", "occluder", "refused"]
    reason: str = ""
    law: Law | None = None
    repaint: Repaint | None = None
    covers: str = ""
    objects: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    refuses: Mapping[str, tuple[Callable[[Any], bool], str]] = field(default_factory=dict)


def _geometric(law: Law, objects: bool = False) -> Treatment:
    return Treatment("geometric", law=law, objects=objects)


def _refused(reason: str) -> Treatment:
    return Treatment("refused", reason)


_PIXEL = Treatment("pixel")
_HOLES = Treatment("occluder", covers="holes")
_VOLUME = _refused("it is made for volumes; pictures have two dimensions")
_OTHER_PICTURES = _refused("it needs other pictures, which a stage has not")
_TYPE = _refused("pictures stay 8-bit RGB until training turns them into tensors")
_BASE = _refused("it is a base class, no transform")
_NOT_RGB = "pictures have three channels"
_SHIFTED = "a kernel off its centre moves the picture by up to half its size while labels stay"

REGISTRY: Mapping[str, Treatment] = {
    # --- colours only
    **dict.fromkeys(
        (
            *("AdditiveNoise", "AdvancedBlur", "AutoContrast", "Blur", "CLAHE", "ChannelDropout", "ChannelShuffle", "ColorJitter"),
            *("Defocus", "FancyPCA", "GaussNoise", "GaussianBlur", "HEStain", "HueSaturationValue", "ISONoise", "Illumination"),
            *("ImageCompression", "InvertImg", "MedianBlur", "MultiplicativeNoise", "NoOp", "PlanckianJitter"),
            *("PlasmaBrightnessContrast", "PlasmaShadow", "Posterize", "RGBShift", "RandomBrightnessContrast", "RandomFog", "RandomGamma"),
            *("RandomGravel", "RandomRain", "RandomShadow", "RandomSnow", "RandomSunFlare", "RandomToneCurve", "RingingOvershoot"),
            *("SaltAndPepper", "Sharpen", "ShotNoise", "Solarize", "Spatter", "Superpixels", "ToSepia", "UnsharpMask"),
        ),
        _PIXEL,
    ),
    "ChromaticAberration": _PIXEL,  # red and blue move against green, where the labels stay
    "Equalize": Treatment("pixel", refuses={"mask": (bool, "a mask would be the same for all pictures")}),
    "ToGray": Treatment("pixel", refuses={"num_output_channels": (lambda channels: channels != 3, _NOT_RGB)}),
    "MotionBlur": Treatment(
        "pixel",
        defaults={"allow_shifted": False, "direction_range": (0.0, 0.0)},
        refuses={"allow_shifted": (bool, _SHIFTED), "direction_range": (lambda value: bool(np.any(value)), _SHIFTED)},
    ),
    "Downscale": Treatment(
        "pixel",
        repaint=laws.downscale,
        defaults={"interpolation_pair": {"downscale": 3, "upscale": 1}},
        refuses={"interpolation_pair": (lambda pair: 0 in dict(pair).values(), "nearest pixels move the picture by half a large one")},
    ),
    # --- geometry
    "HorizontalFlip": _geometric(laws.flip_x),
    "VerticalFlip": _geometric(laws.flip_y),
    "Transpose": _geometric(laws.transpose),
    "RandomRotate90": _geometric(laws.quarter_turns),
    "D4": _geometric(laws.square_symmetry),
    "SquareSymmetry": _geometric(laws.square_symmetry),
    "Resize": _geometric(laws.resize),
    "LongestMaxSize": _geometric(laws.max_size),
    "SmallestMaxSize": _geometric(laws.max_size),
    "RandomScale": _geometric(laws.scale),
    "Crop": _geometric(laws.crop),
    "CenterCrop": _geometric(laws.crop),
    "RandomCrop": _geometric(laws.crop),
    "RandomCropFromBorders": _geometric(laws.crop),
    "AtLeastOneBBoxRandomCrop": _geometric(laws.crop, objects=True),
    "BBoxSafeRandomCrop": _geometric(laws.crop, objects=True),
    "CropNonEmptyMaskIfExists": _geometric(laws.crop, objects=True),
    "RandomResizedCrop": _geometric(laws.crop_resize),
    "RandomSizedCrop": _geometric(laws.crop_resize),
    "RandomSizedBBoxSafeCrop": _geometric(laws.crop_resize, objects=True),
    "CropAndPad": _geometric(laws.crop_and_pad),
    "Pad": _geometric(laws.pad),
    "PadIfNeeded": _geometric(laws.pad),
    "Affine": _geometric(laws.affine),
    "ShiftScaleRotate": _geometric(laws.affine),
    "SafeRotate": _geometric(laws.affine),
    "Rotate": _geometric(laws.rotate),
    "Perspective": _geometric(laws.perspective),
    "ElasticTransform": _geometric(laws.displacement),
    "OpticalDistortion": _geometric(laws.displacement),
    "ThinPlateSpline": _geometric(laws.displacement),
    "GridDistortion": _geometric(laws.grid_distortion),
    "GridElasticDeform": _geometric(laws.grid_elastic),
    # --- covering
    "CoarseDropout": _HOLES,
    "Erasing": _HOLES,
    "GridDropout": _HOLES,
    "XYMasking": _HOLES,
    "ConstrainedCoarseDropout": Treatment(
        "occluder", covers="holes", objects=True,
        refuses={"bbox_labels": (bool, "stages have no boxes; mask_indices: [1] means all objects")},

    ),
    "MaskDropout": Treatment("occluder", covers="dropout_mask", objects=True),
    "PixelDropout": Treatment("occluder", covers="drop_mask"),
    # --- not taken
    "Emboss": _refused("it shades edges from one side, which moves what is smooth by 1 to 2 px while labels stay"),
    "GlassBlur": _refused("it throws pixels about more to one side: what is seen moves by half a pixel and more while labels stay"),
    "ZoomBlur": _refused("it smears the picture outwards only, by up to a third of the way from the middle, while labels stay"),
    "Morphological": _refused("it makes objects fatter or thinner, and their keypoints and boxes follow no map"),
    "PiecewiseAffine": _refused("its map (inverse-distance means) folds the picture; use ElasticTransform or GridElasticDeform"),
    "RandomGridShuffle": _refused("it tears objects into pieces that one box and one set of keypoints cannot describe"),
    "RandomCropNearBBox": _refused("it needs a box with every call; use BBoxSafeRandomCrop or AtLeastOneBBoxRandomCrop"),
    "Mosaic": _OTHER_PICTURES,
    "FDA": _OTHER_PICTURES,
    "HistogramMatching": _OTHER_PICTURES,
    "PixelDistributionAdaptation": _OTHER_PICTURES,
    "OverlayElements": _refused("it takes what it pastes with every call, without labels; paste cut-outs by a stage of synth"),
    "TextImage": _refused("it takes its texts with every call, and does not say which pixels they cover"),
    "Lambda": _refused("it runs code that a recipe cannot hold; write a Stage (synth.protocols)"),
    "TimeReverse": _refused("it is made for spectrograms; a mirror is HorizontalFlip"),
    "TimeMasking": _refused("it is made for spectrograms; use XYMasking"),
    "FrequencyMasking": _refused("it is made for spectrograms; use XYMasking"),
    **dict.fromkeys(("ToTensorV2", "ToTensor3D"), _TYPE),  # which it exports where torch is installed
    "Normalize": _TYPE,
    "ToFloat": _TYPE,
    "FromFloat": _TYPE,
    "ToRGB": _refused("it is for grey pictures; synth's are RGB"),
    **dict.fromkeys(("CenterCrop3D", "CoarseDropout3D", "CubicSymmetry", "Pad3D", "PadIfNeeded3D", "RandomCrop3D"), _VOLUME),
    **dict.fromkeys(("BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"), _BASE),
}  # fmt: skip

REFUSED_PARAMETERS: Mapping[str, str] = {
    "fill_mask": "nothing is labelled where the picture is filled",
    "mask_interpolation": "labels are taken from the nearest pixel",
    "mask_drop_value": "nothing is labelled where pixels are dropped",
    "keypoint_remapping_method": "keypoints move by the exact map",
    "p": "it stands beside `name`, not in `params`",
}
"""Parameters that albumentations has for labels, which are not its to move."""
