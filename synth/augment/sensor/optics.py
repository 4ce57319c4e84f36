"""What a lens does to the picture plane: it bends it, darkens its corners and lays colours beside each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synth.augment.sensor.fields import directions, smooth_field, zoom_that_fills
from synth.augment.sensor.light import ANY, BLACK, Shot, Step, camera_of, check
from synth.augment.warp import scaling, shift
from synth.errors import ConfigError
from synth.geometry import checked_rays, project, rays
from synth.rand import Random, Stream, draw
from synth.types import F32, F64


@dataclass(frozen=True)
class LensDistortion(Step):
    """The lens bends the picture (Brown 1966, Conrady 1919; OpenCV's k1 k2 p1 p2 k3): with x, y = X/Z, Y/Z and r^2 = x^2 + y^2,

        x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2),   y' alike with p1 and p2 exchanged.

    k1 < 0 is a barrel, k1 > 0 a pincushion; of a phone's wide lens k1 is about -0.1 to 0.1 after correction, of an action camera -0.3.
    fill: the picture is enlarged until no black edge shows, as cameras crop. Picture, maps, silhouettes and points move; the camera gets
    the coefficients, and the enlargement in its K, so it stays exact.
    fov_rad: angle of view across the width to assume where there is no camera; such a picture is refused without it.
    Raises ConfigError for a camera that has distortion already, and where the coefficients fold the picture.
    """

    k1: Random[float] = 0.0
    k2: Random[float] = 0.0
    p1: Random[float] = 0.0
    p2: Random[float] = 0.0
    k3: Random[float] = 0.0
    fill: bool = True
    fov_rad: float | None = None

    def __post_init__(self) -> None:
        check(self, k1=ANY, k2=ANY, p1=ANY, p2=ANY, k3=ANY, fov_rad=(0.01, 3.1))

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        k1, k2, p1, p2, k3 = (float(draw(getattr(self, name), rng, name)) for name in ("k1", "k2", "p1", "p2", "k3"))
        pinhole = camera_of(shot.draft, self.fov_rad, "LensDistortion")
        if any(pinhole.distortion):
            raise ConfigError(
                f"LensDistortion: the camera has distortion {list(pinhole.distortion)} (k1 k2 p1 p2 k3) already; leave this stage out, or "
                "set the camera's to zeros"
            )
        if not any((k1, k2, p1, p2, k3)):
            return shot
        width, height = shot.draft.size
        lens = replace(pinhole, distortion=(k1, k2, p1, p2, k3))

        def backward(xy: F64) -> F64:
            return project(pinhole, rays(lens, xy))

        if self.fill:
            zoom, middle = zoom_that_fills(backward, width, height), (width / 2, height / 2)
            zoomed = shift(*middle) @ scaling(zoom, zoom) @ shift(-middle[0], -middle[1]) @ pinhole.image_from_camera
            lens = replace(lens, image_from_camera=zoomed)
        corners = np.array([[x, y] for x in (0, width / 2, width) for y in (0, height / 2, height)], dtype=np.float64)
        checked_rays(lens, corners)
        field = smooth_field(shot.draft, backward, lambda xy: project(lens, rays(pinhole, xy)))
        moved = shot.linear().moved(field, BLACK)
        known = shot.draft.camera is not None
        return replace(moved, draft=replace(moved.draft, camera=lens if known else None))


@dataclass(frozen=True)
class Vignetting(Step):
    """Light falls off towards the corners: L' = L cos(t)^(4 natural) (1 + a2 r^2 + a4 r^4 + a6 r^6).

    t: angle of the pixel's ray to the axis, and the fourth power the natural law of a thin lens with a flat sensor (Born and Wolf,
    section 4.8.1). natural: share of it that is left, 0 to 1; lenses and cameras correct it. a2, a4, a6: what the barrel of the lens
    takes, r from the principal point in half diagonals of the picture (the polynomial of Goldman 2010). fov_rad: as in LensDistortion.
    """

    natural: Random[float] = 1.0
    a2: Random[float] = 0.0
    a4: Random[float] = 0.0
    a6: Random[float] = 0.0
    fov_rad: float | None = None

    def __post_init__(self) -> None:
        check(self, natural=(0, 1), a2=ANY, a4=ANY, a6=ANY, fov_rad=(0.01, 3.1))

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        natural, a2, a4, a6 = (float(draw(getattr(self, name), rng, name)) for name in ("natural", "a2", "a4", "a6"))
        gain: F32 = np.ones(shot.pixels.shape[:2], dtype=np.float32)
        if natural:
            xy = directions(camera_of(shot.draft, self.fov_rad, "Vignetting"))
            gain = (1 + xy[..., 0] ** 2 + xy[..., 1] ** 2) ** np.float32(-2 * natural)
        if a2 or a4 or a6:
            u = _radius_squared(shot)
            gain = gain * (1 + u * (a2 + u * (a4 + u * a6))).astype(np.float32)
        shot = shot.linear()
        return replace(shot, pixels=shot.pixels * np.maximum(gain, 0)[..., None])


def _principal_point(shot: Shot) -> tuple[float, float]:
    width, height = shot.draft.size
    camera = shot.draft.camera
    return (width / 2, height / 2) if camera is None else (float(camera.image_from_camera[0, 2]), float(camera.image_from_camera[1, 2]))


def _radius_squared(shot: Shot) -> F64:
    """(h, w) squared distance of the pixel centres from the principal point, in half diagonals."""
    (width, height), (cx, cy) = shot.draft.size, _principal_point(shot)
    x, y = np.arange(width) + 0.5 - cx, (np.arange(height) + 0.5 - cy)[:, None]
    return np.asarray((x**2 + y**2) / ((width / 2) ** 2 + (height / 2) ** 2))


@dataclass(frozen=True)
class ChromaticAberration(Step):
    """Lateral: red and blue are magnified otherwise than green, about the principal point, by s = 1 + shift / R with R the half diagonal.

    red_px, blue_px: shift at the corner, px, positive outwards; a good lens stays below 0.5 px, a webcam's reaches 2 (Mallon and Whelan
    2007 measure and model it so). Labels belong to green, which does not move.
    """

    red_px: Random[float] = 0.0
    blue_px: Random[float] = 0.0

    def __post_init__(self) -> None:
        check(self, red_px=ANY, blue_px=ANY)

    def expose(self, shot: Shot, rng: Stream) -> Shot:
        import cv2

        width, height = shot.draft.size
        radius = np.hypot(width, height) / 2
        cx, cy = _principal_point(shot)
        pixels = shot.linear().pixels.copy()
        for channel, name in ((0, "red_px"), (2, "blue_px")):
            s = 1 + float(draw(getattr(self, name), rng, name)) / radius
            if s != 1 and s > 0:
                # cv2 counts from pixel centres
                inverse = np.array([[1 / s, 0, (cx - 0.5) * (1 - 1 / s)], [0, 1 / s, (cy - 0.5) * (1 - 1 / s)]])
                plane = np.ascontiguousarray(pixels[..., channel])
                flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                pixels[..., channel] = cv2.warpAffine(plane, inverse, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return replace(shot.linear(), pixels=pixels)
