"""A mole on skin, close up, as under a dermatoscope. It is made by formulas: it is no medical data, and says nothing about any disease.

Its use is to try and test what measures lesions: segmentation against an exact mask, and asymmetry, border, colours and diameter against
values that are read from the geometry, not from a picture (definitions and sources: synth_scenes.outlines and synth_scenes.skin). What a
doctor would make of such a lesion nobody has asked; no diagnosis follows from its values, and a model trained on it knows no medicine.

A sample has one lesion, a patch of the skin's surface, raised at most a little, whose outline is the mask's. Its colours run over the
outline softly, as in life; the outline is where half of the pigment is gone. The values are attributes of the lesion and of the sample
alike: `asymmetry`, `border_irregularity`, `diameter_mm`, `area_mm2`, `colors` and `color_count`; of the sample also the skin's `ita_deg`
and `skin_group`, and `hairs`. Hairs, a ruler (its ticks are true millimetres) and the dermatoscope's rim hide what they cover: `mask`
leaves out a hair, `mask_full` does not. Air bubbles are clear and pen marks lie beside it: they hide nothing. Lamps around the lens light
the middle more than the rim of the picture.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from synth.compose.cameras import CameraRig
from synth.compose.shapes import join, revolve, sheet, sweep
from synth.errors import ConfigError, known_names
from synth.rand import Choice, Integers, LogUniform, Normal, Random, Stream, Uniform, check_range, draw
from synth.types import F64, U8, Asset, Body, Camera, Category, Environment, Light, Material, Mesh, SpotLight, World
from synth_scenes.foliage import grid_normals
from synth_scenes.outlines import Measures, measured, outline
from synth_scenes.overhead import seen_ground
from synth_scenes.skin import (
    COLORS,
    COUNTED_SHARE,
    STRUCTURES,
    Square,
    blend,
    bubbles,
    ink,
    lesion_colors,
    regions,
    skin,
    skin_color,
    skin_group,
)

_RINGS = 12  # of the lesion's surface
_SMOOTH = 3  # waves around that are left in its middle
_INK = (0.36, 0.26, 0.6)
_HAIRS = ((0.09, 0.07, 0.06), (0.2, 0.13, 0.09), (0.42, 0.3, 0.17), (0.55, 0.53, 0.5))


@dataclass(frozen=True)
class Lesion:
    """diameter_m: the largest across. elongation: the shorter axis over the longer one. asymmetry and irregularity: how strong slow and
    fast waves of the outline are. colors: how many of six, where each takes enough of the area. structure: none, network or globules.
    fade_m: half of the way over which it fades into the skin. raised_m: height of its middle. ita_deg: tone of the skin, from 70 (very
    light) to -60 (dark). hairs, bubbles: how many. ruler, pen, tube: how likely there is a ruler, a pen's mark, the rim of the
    dermatoscope around the picture. vignette [0, 1]: share of the light that comes from lamps around the lens, which the rim of the
    picture gets less of. texture_px: side of the picture on the skin, which is twice as wide as what the camera sees, or less.
    """

    categories: ClassVar[tuple[Category, ...]] = (Category("lesion"),)

    camera: CameraRig = field(
        default_factory=lambda: CameraRig(
            fov_rad=Uniform(0.36, 0.46),
            distance_m=Uniform(0.05, 0.075),
            azimuth_rad=Uniform(-math.pi, math.pi),
            elevation_rad=Uniform(1.4, 1.57),
            roll_rad=0.0,
            aim_error_m=Normal(0, 0.001),
        )
    )
    diameter_m: Random[float] = LogUniform(0.003, 0.013)
    elongation: Random[float] = Uniform(0.6, 1.0)
    asymmetry: Random[float] = Uniform(0.0, 0.22)
    irregularity: Random[float] = Uniform(0.0, 0.07)
    colors: Random[int] = Integers(1, 5)
    structure: Random[str] = field(default_factory=lambda: Choice(STRUCTURES))
    fade_m: Random[float] = LogUniform(0.0001, 0.001)
    raised_m: Random[float] = Choice([0.0, Uniform(0.0001, 0.0012)])
    ita_deg: Random[float] = Uniform(-45, 65)
    hairs: Random[int] = Choice([0, Integers(1, 8), Integers(8, 30)], [3, 4, 2])
    bubbles: Random[int] = Choice([0, Integers(1, 14)], [2, 1])
    ruler: Random[float] = 0.2
    pen: Random[float] = 0.12
    tube: Random[float] = 0.3
    vignette: Random[float] = Uniform(0.15, 0.7)
    exposure: Random[float] = Uniform(0.85, 1.1)
    texture_px: int = 1024

    def __post_init__(self) -> None:
        for name, low, high in (
            ("diameter_m", 0.0005, 0.05),
            ("elongation", 0.2, 1.0),
            ("asymmetry", 0.0, 1.0),
            ("irregularity", 0.0, 1.0),
            ("fade_m", 1e-6, 0.005),
            ("raised_m", 0.0, 0.005),
            ("ita_deg", -60.0, 70.0),
            ("ruler", 0.0, 1.0),
            ("pen", 0.0, 1.0),
            ("tube", 0.0, 1.0),
            ("vignette", 0.0, 1.0),
            ("exposure", 1e-3, 1e3),
        ):
            check_range(name, getattr(self, name), low, high)
        for name, least, most in (("colors", 1, len(COLORS)), ("hairs", 0, 500), ("bubbles", 0, 500)):
            check_range(name, getattr(self, name), least, most, whole=True)
        check_range("texture_px", self.texture_px, 128, 8192, whole=True)
        if not isinstance(self.texture_px, int):
            raise ConfigError(f"texture_px must be one whole number, got {self.texture_px!r}")
        for structure in self.structure.options if isinstance(self.structure, Choice) else [self.structure]:
            if structure not in STRUCTURES:
                raise ConfigError(known_names("structure", str(structure), STRUCTURES))

    def compose(self, rng: Stream) -> World:
        """The lesion, the skin around it, and what is before both."""
        camera = self.camera.draw(rng.child("camera"), (0.0, 0.0, 0.0))
        reach = max(abs(side) for side in seen_ground(camera, 0.002, 1.0))
        shape = [float(draw(getattr(self, name), rng, name)) for name in ("diameter_m", "elongation", "asymmetry", "irregularity")]
        rim = outline(rng.child("outline"), diameter_m=shape[0], elongation=shape[1], asymmetry=shape[2], irregularity=shape[3])
        raised = float(draw(self.raised_m, rng, "raised_m"))
        far = max(math.sqrt(2) * reach, 1.2 * float(np.linalg.norm(rim, axis=1).max()))
        square = Square(self.texture_px, 2 * far)
        said, paint = self._painted(square, rim, rng)
        inner, outer = _surfaces(rim, raised, far)
        hairs = int(draw(self.hairs, rng, "hairs"))
        props = [_hairs(hairs, reach, rim, raised, rng.child("hair"))] if hairs else []
        if rng.child("ruler").uniform() < draw(self.ruler, rng, "ruler_share"):
            props.append(_ruler(camera, rng.child("ruler", "where")))
        if rng.child("tube").uniform() < draw(self.tube, rng, "tube_share"):
            props.append(_tube(camera, rng.child("tube", "where")))
        bodies = (
            Body(Asset("lesion", (inner,)), np.eye(4), self.categories[0], (paint,), attributes=said),
            Body(Asset("skin", (outer,)), np.eye(4), materials=(paint,)),
            *props,
        )
        ita = float(draw(self.ita_deg, rng, "ita_deg"))
        of_sample = {**said, "ita_deg": round(ita, 1), "skin_group": skin_group(ita), "hairs": hairs}
        lights, around = self._light(camera, rng)
        return World(camera, bodies, lights, around, float(draw(self.exposure, rng, "exposure")), of_sample)

    def _painted(self, square: Square, rim: F64, rng: Stream) -> tuple[dict[str, Any], Material]:
        """The lesion's values, and the picture of it and the skin."""
        away = square.away(rim)
        measures = measured(rim)
        count, ita = int(draw(self.colors, rng, "colors")), float(draw(self.ita_deg, rng, "ita_deg"))
        number, shares = regions(square, away > 0, count, 0.45 * measures.diameter_mm / 1000, rng.child("regions"))
        found, relief = skin(square, ita, rng.child("skin"))
        pigment = lesion_colors(square, number, ita, draw(self.structure, rng, "structure"), rng.child("pigment"))
        fade = float(draw(self.fade_m, rng, "fade_m"))
        t = np.clip(away / (2 * fade) + 0.5, 0, 1)
        grained = pigment * (0.5 + 0.5 * found[..., 1:2] / np.float32(skin_color(ita)[1]))  # furrows run on through it
        picture = blend(found, np.asarray(grained, np.float32), 0.94 * t * t * (3 - 2 * t))
        if rng.child("pen").uniform() < draw(self.pen, rng, "pen_share"):
            marks = ink(square, float(np.linalg.norm(rim, axis=1).max()) + 0.0015, rng.child("ink"))
            picture = blend(picture, np.broadcast_to(np.array(_INK, np.float32), picture.shape), marks)
        bubbles(picture, square, int(draw(self.bubbles, rng, "bubbles")), rng.child("bubble"))
        texture: U8 = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
        return _said(measures, shares), Material(base_color_texture=texture, normal_texture=relief, roughness=0.62)

    def _light(self, camera: Camera, rng: Stream) -> tuple[tuple[Light, ...], Environment]:
        """Lamps around the lens as one spot that narrows towards the rim of the picture, and even light from all around: a white surface in
        the middle is about 0.95."""
        share = float(draw(self.vignette, rng, "vignette"))
        pose = camera.world_from_camera
        eye, forward = pose[:3, 3], pose[:3, 2]
        corner = math.atan(math.hypot(camera.width, camera.height) / 2 / float(camera.image_from_camera[0, 0]))
        distance = float(eye[2] / -forward[2])
        spot = SpotLight(
            tuple(eye.tolist()),
            tuple(forward.tolist()),
            intensity=math.pi * 0.95 * share * distance**2,
            inner_rad=0.35 * corner,
            outer_rad=min(1.35 * corner, math.pi / 2),
        )
        even = 0.95 * (1 - share)
        return (spot,), Environment(color=(even, even, even))


def _said(measures: Measures, shares: dict[str, float]) -> dict[str, Any]:
    values: dict[str, Any] = {name: round(value, 4) for name, value in asdict(measures).items()}
    counted = [name for name, share in shares.items() if share >= COUNTED_SHARE]
    return {**values, "colors": counted, "color_count": len(counted)}


# --- surfaces ---------------------------------------------------------------------------------------------------------


def _surfaces(rim: F64, raised_m: float, far_m: float) -> tuple[Mesh, Mesh]:
    """The lesion within its outline, and the skin around it as far as far_m; they meet at the outline, point for point. Farther in, the
    rings are smoother than the outline, else a raised lesion would have spokes."""
    closed = np.vstack([rim, rim[:1]])
    waves = np.fft.fft(rim[:, 0] + 1j * rim[:, 1])
    waves[_SMOOTH + 1 : -_SMOOTH] = 0
    smooth = np.fft.ifft(waves)
    core = np.stack([smooth.real, smooth.imag], 1)[np.arange(len(closed)) % len(rim)]
    inward = np.linspace(0, 1, _RINGS + 1)[:, None, None]
    inner = inward * (core + (closed - core) * inward**6)
    lifted = np.concatenate([inner, _height(inward, raised_m) + 0 * inner[..., :1]], axis=-1)
    angle = np.arctan2(closed[:, 1], closed[:, 0])
    circle = far_m * np.stack([np.cos(angle), np.sin(angle)], 1)
    outward = np.linspace(0, 1, 9)[:, None, None] ** 2
    flat = closed[None] * (1 - outward) + circle[None] * outward
    around = np.concatenate([flat, 0 * flat[..., :1]], axis=-1)
    return _rings(lifted, far_m), _rings(around, far_m)


def _height(share: Any, raised_m: float) -> Any:
    """Of the lesion's surface at a share [0, 1] of the way from its middle to its outline."""
    return raised_m * (1 - np.clip(share, 0, 1) ** 2) ** 1.5


def _rings(grid: F64, far_m: float) -> Mesh:
    """Rings (k, POINTS + 1, 3) from the inside out, the last column the first one, as a mesh seen from above."""
    rings, columns = grid.shape[:2]
    normals = grid_normals(grid[None])[0]
    normals[:, [0, -1]] = normals[:, 1:2]  # where the ring closes
    normals[0 if np.allclose(grid[0], grid[0, 0]) else slice(0)] = (0, 0, 1)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(rings - 1), np.arange(columns - 1), indexing="ij"))
    a = i * columns + j
    faces = np.concatenate([np.stack([a, a + columns + 1, a + 1], 1), np.stack([a, a + columns, a + columns + 1], 1)])
    points = grid.reshape(-1, 3)
    corners = points[faces]
    solid = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) > 1e-16
    uv = points[:, :2] / (2 * far_m) + 0.5
    vertices, unit, coordinates = (array.astype(np.float32) for array in (points, normals.reshape(-1, 3), uv))
    return Mesh(vertices, faces[solid].astype(np.int32), unit, coordinates)


# --- what is before them ----------------------------------------------------------------------------------------------


def _hairs(count: int, reach_m: float, rim: F64, raised_m: float, rng: Stream) -> Body:
    """Hairs that grow about one way, lie on the surface and bend, as one body."""
    way = rng.child("way").uniform(0, 2 * math.pi)
    s = np.linspace(0, 1, 14)
    largest = float(np.linalg.norm(rim, axis=1).max())
    made = []
    for i in range(count):
        one = rng.child(i)
        low, high = (-reach_m, -reach_m, 0.005, -0.6, -1.2, 2.5e-5, 1e-4), (reach_m, reach_m, 0.02, 0.6, 1.2, 5e-5, 4e-4)
        x, y, length, turn, bend, thick, lift = one.uniform(low, high)
        angle = way + turn + bend * s
        step = length / (len(s) - 1)
        xy = np.stack([x + np.cumsum(np.cos(angle)) * step, y + np.cumsum(np.sin(angle)) * step], 1)
        below = _height(np.linalg.norm(xy, axis=1) / largest, raised_m)
        z = below + thick + lift * np.sin(math.pi * np.minimum(1.6 * s, 1)) - 2e-4 * (s == 0)
        made.append(sweep(np.column_stack([xy, z]), thick * np.clip((1.02 - s) * 4, 0, 1), 6))
    color = _HAIRS[int(rng.child("color").choice(len(_HAIRS), p=(0.45, 0.3, 0.15, 0.1)))]
    red, green, blue = (c**2.2 for c in color)
    return Body(Asset("hairs", (join(made),)), np.eye(4), materials=(Material((red, green, blue, 1.0), roughness=0.45),))


def _turned(x: float, y: float, z: float, angle_rad: float) -> F64:
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1.0]])


def _ruler(camera: Camera, rng: Stream) -> Body:
    """A paper strip along one side of the picture, a tick each millimetre, a longer one each five."""
    import cv2

    length, width, px = 0.05, 0.006, 20  # metres, metres, px a millimetre
    picture = np.full((round(width * 1000 * px), round(length * 1000 * px), 3), 238, np.uint8)
    for millimetre in range(1, 50):
        tall = 3.2 if millimetre % 10 == 0 else 2.4 if millimetre % 5 == 0 else 1.5
        cv2.line(picture, (millimetre * px, 0), (millimetre * px, round(tall * px)), (25, 25, 25), 3, cv2.LINE_AA)
        if millimetre % 10 == 0:
            at = (millimetre * px + 6, 90)
            cv2.putText(picture, str(millimetre // 10), at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (25, 25, 25), 3, cv2.LINE_AA)
    strip = sheet(length, width)
    pose = camera.world_from_camera
    down = math.atan2(float(pose[1, 1]), float(pose[0, 1]))  # the way to the bottom of the picture
    seen_m = float(pose[2, 3]) * camera.height / 2 / float(camera.image_from_camera[1, 1])
    side, off, slide = rng.uniform((0, 0.0, -0.012), (1, 0.25, 0.012))
    away = (seen_m + (0.5 - 0.7 * (1 - off)) * width) * (1 if side < 0.5 else -1)
    x, y = away * math.cos(down) - slide * math.sin(down), away * math.sin(down) + slide * math.cos(down)
    turn = down + math.pi / 2 + (0 if side < 0.5 else math.pi)
    return Body(Asset("ruler", (strip,)), _turned(x, y, 2e-4, turn), materials=(Material(base_color_texture=picture, roughness=0.8),))


def _tube(camera: Camera, rng: Stream) -> Body:
    """The dark rim of the dermatoscope: a ring around the picture's middle that covers its corners."""
    pose = camera.world_from_camera
    seen_m = float(pose[2, 3]) / float(camera.image_from_camera[0, 0])  # a pixel, about
    inner = rng.uniform(0.88, 1.12) * seen_m * camera.width / 2
    outer, z = 3 * inner, 0.002
    ring = revolve(np.array([(inner, z), (outer, z), (outer, z + 1e-3), (inner, z + 1e-3), (inner, z)]), 128)
    middle = pose[:3, 3] + pose[:3, 2] * (pose[2, 3] - z) / -pose[2, 2]
    black = Material((0.004, 0.004, 0.004, 1.0), roughness=0.9)
    return Body(Asset("tube", (ring,)), _turned(float(middle[0]), float(middle[1]), 0.0, 0.0), materials=(black,))
