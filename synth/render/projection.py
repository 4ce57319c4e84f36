"""Matrices of the passes, in numpy: camera to clip space, samples to rays, and the light's view that shadows are cast in.

Framebuffer rows are image rows, top first, so nothing is flipped when read; depth is near / z (reversed, no far plane), which float32
holds to 1e-7 of z at any distance.
"""

from __future__ import annotations

import numpy as np

from synth.types import F64, Camera


def image_from_camera(camera: Camera, samples: int) -> F64:
    """K (3, 3) of a camera's sample grid. One sample: its pixels. Two: half a pixel apart, (2c+1, 2r+1) the centre of pixel (c, r)."""
    k = camera.image_from_camera.copy()
    if samples == 2:
        k[:2] *= 2
        k[:2, 2] += 0.5
    return k


def grid_size(camera: Camera, samples: int) -> tuple[int, int]:
    """Width and height of the sample grid."""
    return (camera.width, camera.height) if samples == 1 else (2 * camera.width + 1, 2 * camera.height + 1)


def clip_from_camera(k: F64, width: int, height: int, near_m: float) -> F64:
    """(4, 4): camera frame (OpenCV axes) to clip space with depth near / z, by K (3, 3) of a grid of width x height."""
    clip = np.zeros((4, 4))
    clip[0, :3] = 2 * k[0] / width
    clip[1, :3] = 2 * k[1] / height
    clip[0, 2] -= 1
    clip[1, 2] -= 1
    clip[2, 3] = near_m
    clip[3, 2] = 1
    return clip
