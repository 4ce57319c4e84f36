"""What a homography does to a camera, and to all that is measured in its frame.

A picture taken by K and moved by a homography H is the picture of another camera at the same place: H K = K' R, with K' upper
triangular and R a rotation (the RQ decomposition; Hartley and Zisserman 2004, section 8.4). Crops, resizes and pads leave R = 1; turning
the picture turns the camera about its axis; a perspective turns it to the side, and depth is then measured along another axis.

A mirrored picture is the picture of a mirrored world: the camera's frame and the world's are mirrored in x. Points, normals and depth are
those of that world; the pose of an object is dropped, since a mirrored object is no turned one.

With a lens (radial and tangential distortion, before K), only affine maps have such a camera: turning and mirroring turn and mirror the
tangential coefficients (p2, p1), which are a vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synth.augment.warp import Homography
from synth.errors import ConfigError
from synth.types import F32, F64, Camera

_MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class View:
    """How the frame of the camera has turned: new_from_old (3, 3), a rotation, with a mirror in x before it if the picture is mirrored.
    camera: the one of the new picture, None where no K describes it. rigid: poses of objects can follow."""

    camera: Camera | None
    new_from_old: F64
    rigid: bool

    @cached_property
    def turns(self) -> bool:
        """The frame is another one."""
        return bool((self.new_from_old != np.eye(3)).any())


def look_through(camera: Camera | None, warp: Homography) -> View:
    """The view of the picture that `warp` makes of the one that `camera` took. Without a camera, 3D labels stay in the frame of the one
    that took the picture, which nobody knows; they then survive all but a mirror."""
    if camera is None:
        return View(None, np.eye(3), not warp.mirrors)
    m = warp.dst_from_src @ camera.image_from_camera
    if warp.mirrors:
        m = m @ _MIRROR
    k, rotation = _rq(m)
    turned = rotation @ _MIRROR if warp.mirrors else rotation
    lens = camera.distortion
    if any(lens):
        if not warp.affine:
            return View(None, np.eye(3), not warp.mirrors)
        k1, k2, p1, p2, k3 = lens
        p2, p1 = turned[:2, :2] @ (p2, p1)
        lens = (k1, k2, float(p1), float(p2), k3)
    pose = np.eye(4)
    pose[:3, :3] = camera.world_from_camera[:3, :3] @ turned.T
    pose[:3, 3] = camera.world_from_camera[:3, 3]
    if warp.mirrors:
        pose[0] *= -1
    try:
        moved = replace(camera, image_from_camera=k, width=warp.width, height=warp.height, world_from_camera=pose, distortion=lens)
    except ConfigError:  # a side of no or too many pixels
        return View(None, np.eye(3), not warp.mirrors)
    return View(moved, turned, not warp.mirrors)


def turn_measured(xyz_m: F64 | None, pose: F64 | None, view: View) -> tuple[F64 | None, F64 | None]:
    """Keypoints in metres (k, 3) and the pose (4, 4) of an instance in the new frame."""
    if view.camera is None and not view.rigid:
        return None, None
    if not view.turns:
        return xyz_m, pose
    turned = None
    if pose is not None and view.rigid:
        turned = np.eye(4)
        turned[:3] = view.new_from_old @ pose[:3]
    return None if xyz_m is None else xyz_m @ view.new_from_old.T, turned


def turn_normals(normals: F32 | None, view: View) -> F32 | None:
    """Normals (h, w, 3) in the new frame."""
    if normals is None or (view.camera is None and not view.rigid):
        return None
    if not view.turns:
        return normals
    return np.asarray(normals @ view.new_from_old.T.astype(np.float32), dtype=np.float32)


def turn_depth(depth_m: F32, view: View) -> F32:
    """Depth (h, w) of the new picture along the new axis; it holds metres along the old one."""
    axis = view.new_from_old.T[2]  # the old axis in the new frame
    if view.camera is None or np.abs(axis - [0, 0, 1]).max() < 1e-12:
        return depth_m
    camera = view.camera
    a = axis @ np.linalg.inv(camera.image_from_camera)  # old depth per new depth is linear over the new picture
    x, y = np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5
    share = np.add((a[1] * y + a[2])[:, None], a[0] * x, dtype=np.float32)
    if min(share[0, 0], share[0, -1], share[-1, 0], share[-1, -1]) > 0:  # its least value lies in a corner
        return np.asarray(depth_m / share, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share > 0, depth_m / np.where(share > 0, share, 1), np.inf).astype(np.float32)


def _rq(m: F64) -> tuple[F64, F64]:
    """m = s K R with s > 0, K upper triangular with a positive diagonal and K[2, 2] = 1, R a rotation. det(m) must be positive."""
    if m[1, 0] == m[2, 0] == m[2, 1] == 0 and (np.diag(m) > 0).all():
        return m / m[2, 2], np.eye(3)
    flip = np.eye(3)[::-1]
    q, r = np.linalg.qr((flip @ m).T)
    k, rotation = flip @ r.T @ flip, flip @ q.T
    signs = np.sign(np.diag(k))
    k, rotation = k * signs, rotation * signs[:, None]
    k[np.tril_indices(3, -1)] = 0.0
    if abs(m[2, 0]) + abs(m[2, 1]) == 0:  # an affine map turns about the axis: exactly
        rotation[2], rotation[:, 2] = (0, 0, 1), (0, 0, 1)
        k[2] = 0, 0, k[2, 2]
    k = k / k[2, 2]
    k[2] = 0.0, 0.0, 1.0
    return k, rotation
