"""Matrices of the passes, in numpy: camera to clip space, samples to rays, and the light's view that shadows are cast in.

Framebuffer rows are image rows, top first, so nothing is flipped when read; depth is near / z (reversed, no far plane), which float32
holds to 1e-7 of z at any distance.
"""

from __future__ import annotations

import numpy as np

from synth.types import F64, Bool, Camera, World


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


def placed_boxes(world: World, camera: Camera) -> tuple[F64, F64]:
    """For each body camera_from_object (n, 4, 4) and the corners of its box (n, 8, 3) in the camera's frame."""
    if not world.bodies:
        return np.zeros((0, 4, 4)), np.zeros((0, 8, 3))
    camera_from_object = camera.camera_from_world @ np.stack([body.world_from_object for body in world.bodies])
    boxes = np.array([body.asset.box_object_m for body in world.bodies])
    signs = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3), -1).reshape(-1, 3)
    corners = boxes[:, :1] + boxes[:, 1:] * signs
    return camera_from_object, corners @ camera_from_object[:, :3, :3].transpose(0, 2, 1) + camera_from_object[:, None, :3, 3]


def in_clip_space(corners: F64, clip_from_camera: F64) -> Bool:
    """(n,) whether boxes (n, 8, 3) may reach into clip space, by x, y and near plane; depth runs from 0 to w."""
    x, y, z, w = np.moveaxis(corners @ clip_from_camera[:, :3].T + clip_from_camera[:, 3], -1, 0)
    outside = [side.all(axis=1) for side in (x < -w, x > w, y < -w, y > w, z > w)]
    return np.asarray(~np.any(outside, axis=0))
