"""A labelled sample as arrays to train on, in torchvision's detection convention: plain dicts, nothing of torchvision needed.

boxes (n, 4) float32 x0 y0 x1 y1; labels (n,) int64, 1 for the first category; area (n,) float32, px; iscrowd (n,) int64; image_id (1,)
int64; masks (n, h, w) uint8; keypoints (n, k, 3) float32 x y v. Image coordinates are this project's: (0, 0) is the outer corner of the
top-left pixel, as for torchvision's boxes.

Absent labels: an object without box, mask and rotated box, or of which nothing shows, is left out, as is one of which less than
`min_visible` is known to show. A box that was not given is that of the mask, else of the rotated box. Keypoints that were not given have
v = 0 at (0, 0), which a loss leaves out. An object without a mask has an empty one and stands in `masks_given` (n,) bool as False. A
picture without a class has `label` -100, which cross-entropy leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from synth.formats.writing import box_and_area
from synth.types import Category, Instance, Sample

Task = Literal["detection", "keypoints", "masks", "classification"]
Array: TypeAlias = npt.NDArray[Any]
NO_CLASS = -100


def target_of(sample: Sample, categories: Sequence[Category], task: Task, min_visible: float = 0.1) -> dict[str, Array]:
    """The labels of a sample (of the mixture's categories) for a task, without image_id."""
    if task == "classification":
        return {"label": np.array(_class(sample, categories), np.int64)}
    numbers = {category.name: i for i, category in enumerate(categories, 1)}
    shown: list[tuple[Instance, Any, float]] = []
    for instance in sample.instances:
        if instance.category not in numbers or (instance.visible_fraction is not None and instance.visible_fraction < min_visible):
            continue
        box, area = box_and_area(instance, sample.size)
        if box is not None and box[0] < box[2] and box[1] < box[3]:
            shown.append((instance, box, area))
    instances = [instance for instance, _, _ in shown]
    target: dict[str, Array] = {
        "boxes": np.array([box for _, box, _ in shown], np.float32).reshape(-1, 4),
        "labels": np.array([numbers[one.category] for one in instances], np.int64),
        "area": np.array([area for _, _, area in shown], np.float32),
        "iscrowd": np.array([bool(one.crowd) for one in instances], np.int64),
    }
    if task == "masks":
        width, height = sample.size
        target["masks"] = np.zeros((len(shown), height, width), np.uint8)
        target["masks_given"] = np.array([one.mask is not None for one in instances], np.bool_)
        for mask, one in zip(target["masks"], instances, strict=True):
            if one.mask is not None:
                mask[:] = one.mask.decode()
    if task == "keypoints":
        target["keypoints"] = _keypoints(instances, max((len(category.keypoints) for category in categories), default=0))
    return target


def _keypoints(instances: Sequence[Instance], count: int) -> Array:
    """Of categories with fewer than `count` the last ones have v = 0."""
    found = np.zeros((len(instances), count, 3), np.float32)
    for place, one in zip(found, instances, strict=True):
        if one.keypoints is not None:
            place[: len(one.keypoints.v), :2] = np.where(one.keypoints.v[:, None] > 0, one.keypoints.xy, 0)
            place[: len(one.keypoints.v), 2] = one.keypoints.v
    return found


def _class(sample: Sample, categories: Sequence[Category]) -> int:
    """The picture's first class, else the category that all its objects have; from 0."""
    names = [category.name for category in categories]
    given = [name for name in sample.info.classes or () if name in names] or list({one.category for one in sample.instances})
    return names.index(given[0]) if given and (sample.info.classes or len(given) == 1) and given[0] in names else NO_CLASS


def tensors(image: Array, target: Mapping[str, Array]) -> tuple[Any, dict[str, Any]]:
    """Image (h, w, 3) as a uint8 tensor (3, h, w), channels last in memory, and the target as tensors."""
    import torch

    writeable = image if image.flags.writeable else image.copy()  # torch has no other
    return torch.from_numpy(writeable).permute(2, 0, 1), {name: torch.from_numpy(a) for name, a in target.items()}


def stacked(images: Sequence[Any]) -> Any:
    """Images of one size as one tensor (b, 3, h, w), channels last in memory: that is how they are decoded and what convolutions like, and
    to turn them costs a third of decoding them. In a worker it is made in shared memory, as torch's own collate does."""
    from torch.utils.data import default_collate

    return default_collate([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
