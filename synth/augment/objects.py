"""What transforms that look at the objects are shown of a draft. They only draw from it; no label passes through here."""

from __future__ import annotations

import numpy as np

from synth.types import F32, U8, Category, Draft

PICTURE = Category("the whole picture")
"""Of instance 1 in the draft of a real sample (synth.augment.samples): it shows wherever the picture does. The others, whose masks may
overlap, have silhouettes only."""


def objects_shown(draft: Draft) -> U8:
    """(h, w) 1 where an object shows, else 0."""
    if not draft.instances or draft.instances[0].category is not PICTURE:
        return (draft.instance > 0).view(np.uint8)
    width, height = draft.size
    shown = draft.instance > 1
    for item in draft.instances[1:]:
        shown |= item.silhouette.cut(width, height) & (draft.instance == 1)
    return shown.view(np.uint8)


def boxes_normalised(draft: Draft) -> F32:
    """(n, 5) x0 y0 x1 y1 of the objects' outlines within the frame, as shares of width and height, and their number."""
    width, height = draft.size
    boxes = []
    for number, item in enumerate(draft.instances, start=1):
        if item.category is PICTURE or not len(item.outline_xy):
            continue
        low, high = (np.clip(edge / (width, height), 0, 1) for edge in (item.outline_xy.min(axis=0), item.outline_xy.max(axis=0)))
        if (high > low).all():
            boxes.append([*low, *high, number])
    return np.array(boxes, dtype=np.float32).reshape(-1, 5)
