"""Channels of pictures, bytes or floats, taken apart and put together, contiguous: numpy is slow where the last axis is short."""

from __future__ import annotations

from typing import Any


def alpha_of(rgba: Any) -> Any:
    """(h, w) of (h, w, 4)."""
    import cv2

    return cv2.extractChannel(rgba, 3)


def colour_of(rgba: Any) -> Any:
    """(h, w, 3) of (h, w, 4)."""
    import cv2

    return cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)


def repeated(values: Any, channels: int = 3) -> Any:
    """(h, w) as (h, w, channels)."""
    import cv2

    return cv2.merge([values] * channels)


def joined(colour: Any, alpha: Any) -> Any:
    """(h, w, 4) of (h, w, 3) and (h, w)."""
    import cv2

    return cv2.merge([colour, alpha])
