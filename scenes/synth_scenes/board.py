"""A calibration board, printed on paper, on a plate or alone: chessboard, ChArUco board or ArUco grid, with every corner as a keypoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synth.compose.cameras import CameraRig
from synth.compose.materials import Paint
from synth.compose.placement import Rest
from synth.geometry import convex_hull
from synth.rand import Choice, LogUniform, Random, Stream, Uniform, check_range, draw
from synth.types import F64, Asset, Body, Camera, Category, Light, Material, SpotLight
from synth_scenes.patterns import Pattern, printed
from synth_scenes.sheets import Bend, board, wrinkles
from synth_scenes.showcase import Showcase, Thing, rig


@dataclass(frozen=True)
class Board(Showcase):
    """pattern: what is printed. margin_m: white around it, each side on its own. outer: how much of a chessboard's outermost squares is on
    the paper, each side on its own, as where a print is cut; of other boards, only the margin is cut so. plate: how likely it is glued on a
    stiff plate, which stands out by plate_margin_m and is plate_thickness_m thick.
    curvature_per_m: 1 over the radius of the cylinder that it bends to, and of a wave upon it (wave_per_m); wrinkle_m: mean height of
    wrinkles. ink, paper: how much light black and white reflect [0, 1]; paper_tint: red, green and blue of the paper are each darkened by
    up to this share. roughness: of both [0, 1]. glare: how likely a lamp mirrors in it, of glare_intensity (irradiance at 1 m).
    Held in the air it is tilted by tilt_rad from facing the camera, and turned by in_plane_rad in the picture, clockwise.
    """

    camera: CameraRig = field(default_factory=lambda: rig(Uniform(0.4, 1.05), Uniform(-0.4, 0.4)))
    contact: Random[float] = 0.25
    hands: Random[int] = field(default_factory=lambda: Choice([0, 1, 2], [3, 5, 2]))
    occluders: Random[int] = field(default_factory=lambda: Choice([0, 1, 2], [8, 3, 1]))
    visible: Random[float] = 0.5
    in_view: Random[float] = 0.75
    exposure: Random[float] = Uniform(0.7, 1.5)
    pattern: Pattern = field(default_factory=Pattern)
    margin_m: Random[float] = Uniform(0.004, 0.03)
    outer: Random[float] = field(default_factory=lambda: Choice[float]([1.0, Uniform(0.3, 1.0)], [2, 1]))
    plate: Random[float] = 0.7
    plate_margin_m: Random[float] = Uniform(0.0, 0.03)
    plate_thickness_m: Random[float] = Uniform(0.002, 0.01)
    plate_paint: Paint = field(default_factory=lambda: Paint(saturation=Uniform(0.0, 0.35), value=Uniform(0.08, 0.9)))
    curvature_per_m: Random[float] = field(default_factory=lambda: Choice[float]([0.0, Uniform(-1.5, 1.5)], [2, 1]))
    wave_per_m: Random[float] = field(default_factory=lambda: Choice[float]([0.0, Uniform(0.0, 1.5)], [3, 1]))
    wrinkle_m: Random[float] = field(default_factory=lambda: Choice[float]([0.0, LogUniform(0.0001, 0.0008)], [3, 1]))
    ink: Random[float] = LogUniform(0.012, 0.12)
    paper: Random[float] = Uniform(0.5, 0.9)
    paper_tint: Random[float] = Uniform(0.0, 0.15)
    roughness: Random[float] = Uniform(0.3, 1.0)
    glare: Random[float] = 0.25
    glare_intensity: Random[float] = LogUniform(0.3, 4.0)
    tilt_rad: Random[float] = Uniform(0.0, 1.1)
    in_plane_rad: Random[float] = Uniform(-math.pi, math.pi)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in (
            ("margin_m", 0, 1),
            ("outer", 0.1, 1),  # of less the outermost corners are none
            ("plate", 0, 1),
            ("plate_margin_m", 0, 1),
            ("plate_thickness_m", 1e-4, 0.1),
            ("wave_per_m", -50, 50),
            ("wrinkle_m", 0, 0.01),
            ("ink", 0, 1),
            ("paper", 0, 1),
            ("paper_tint", 0, 1),
            ("roughness", 0, 1),
            ("glare", 0, 1),
            ("glare_intensity", 0, 1e4),
            ("tilt_rad", 0, 1.4),
        ):
            check_range(name, getattr(self, name), low, high)
        check_range("in_plane_rad", self.in_plane_rad)
        size = max(self.pattern.size_m)
        check_range(f"curvature_per_m of a pattern of {size:g} m", self.curvature_per_m, -1.2 / size, 1.2 / size)

    @property
    def categories(self) -> Sequence[Category]:
        """The board's, named after its kind."""
        return (self.pattern.category,)

    @property
    def sources(self) -> dict[Path, str]:
        """What is around it, and pictures on its plate."""
        return {**dict.fromkeys(self.plate_paint.files, ""), **super().sources}

    def _thing(self, rng: Stream) -> Thing:
        return Thing(self.asset(rng), self.pattern.category)

    def asset(self, rng: Stream) -> Asset:
        """A board: its print, its shape and what it is made of."""
        margins, outer = ([float(draw(value, rng, f"{name}_{i}")) for i in range(4)] for name, value in _sides(self))
        cut = [(1 - share) * self.pattern.square_m for share in outer]
        if self.pattern.kind != "chessboard":  # a cut marker is none: only white is cut
            cut = [min(lost, margin) for lost, margin in zip(cut, margins, strict=True)]
        ink, at_m, texels_m = self.pattern.ink((outer[0], outer[1], outer[2], outer[3]), max(margins))
        white = float(draw(self.paper, rng, "paper")) * (
            1 - draw(self.paper_tint, rng, "paper_tint") * rng.child("tint_rgb").uniform(size=3)
        )
        black = np.minimum(float(draw(self.ink, rng, "ink")), white)
        texture = printed(ink, tuple(white.tolist()), tuple(black.tolist()))
        paper = Material(base_color_texture=texture, roughness=float(draw(self.roughness, rng, "roughness")))
        plate = None
        if rng.child("has_plate").uniform() < draw(self.plate, rng, "plate"):
            sizes = [float(draw(getattr(self, name), rng, name)) for name in ("plate_margin_m", "plate_thickness_m")]
            plate = (self.plate_paint.draw(rng.child("plate_paint")), sizes[0], sizes[1])
        left, top, right, bottom = (margin - lost for margin, lost in zip(margins, cut, strict=True))
        return board(self.pattern, texture, at_m, texels_m, (left, top, right, bottom), paper, plate, self._bend(rng.child("bend")))

    def _bend(self, rng: Stream) -> Bend:
        size = max(self.pattern.size_m)
        return Bend(
            float(draw(self.curvature_per_m, rng, "curvature_per_m")),
            float(draw(self.wave_per_m, rng, "wave_per_m")),
            float(rng.child("phase").uniform(-math.pi, math.pi)),
            size * float(rng.child("length").uniform(0.7, 2.0)),
            float(rng.child("angle").uniform(-math.pi, math.pi)),
            wrinkles(rng.child("wrinkles"), float(draw(self.wrinkle_m, rng, "wrinkle_m")), size),
        )

    def _camera_from_thing(self, rng: Stream) -> F64:
        c, s = math.cos(turn := float(draw(self.in_plane_rad, rng, "in_plane_rad"))), math.sin(turn)
        tilt, way = float(draw(self.tilt_rad, rng, "tilt_rad")), float(rng.child("tilt_way").uniform(-math.pi, math.pi))
        x, y = math.cos(way), math.sin(way)
        across = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])  # cross product with the axis (x, y, 0)
        tilted = np.eye(3) + math.sin(tilt) * across + (1 - math.cos(tilt)) * across @ across  # Rodrigues
        return np.asarray(tilted @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))

    def _rest(self, asset: Asset, rng: Stream) -> Rest:
        """Face up: z of a board's frame points down."""
        plane_from_board = np.diag([1.0, -1.0, -1.0, 1.0])
        points = asset.vertices_m * (1, -1, -1)
        plane_from_board[:3, 3] = (*-(points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2, -points[:, 2].min())
        return Rest(plane_from_board, convex_hull(points[:, :2] + plane_from_board[:2, 3]), float(np.ptp(points[:, 2])), 1.0)

    def _grip(self, body: Body, camera: Camera, rng: Stream) -> tuple[F64, F64, F64]:
        """A place on its rim, in its plane."""
        middle, size = body.asset.box_object_m
        way = float(rng.child("way").uniform(-math.pi, math.pi))
        outward = np.array([math.cos(way), math.sin(way), 0.0])
        side = int(np.argmax(np.abs(outward[:2]) / size[:2]))
        reach = size[side] / 2 / abs(outward[side]) - 0.006
        way_out = 0.5 * outward
        way_out[side] += np.sign(outward[side])
        at, normal, front = middle + outward * reach, np.array([0.0, 0.0, -1.0]), body.asset.meshes[0]
        if len(front.vertices_m) > 4:  # bent: where the sheet is, and as it lies there
            nearest = int(np.argmin(np.linalg.norm(front.vertices_m - at, axis=1)))
            at, normal = front.vertices_m[nearest].astype(np.float64), front.normals[nearest].astype(np.float64)
            way_out -= (way_out @ normal) * normal
        rotation = body.world_from_object[:3, :3]
        grip = body.world_from_object[:3, 3] + rotation @ at
        return grip, rotation @ way_out / np.linalg.norm(way_out), rotation @ normal

    def _more_lights(self, body: Body, camera: Camera, rng: Stream) -> tuple[Light, ...]:
        """A lamp where a point of the board mirrors it into the camera."""
        if rng.child("has_glare").uniform() >= draw(self.glare, rng, "glare"):
            return ()
        middle, size = body.asset.box_object_m
        at = (
            body.world_from_object[:3, :3] @ (middle + size * (*rng.child("glare_at").uniform(-0.5, 0.5, 2), 0))
            + body.world_from_object[:3, 3]
        )
        normal, view = -body.world_from_object[:3, 2], camera.world_from_camera[:3, 3] - at
        view /= np.linalg.norm(view)
        mirrored = 2 * (view @ normal) * normal - view
        away = float(rng.child("glare_away").uniform(0.6, 2.0))
        intensity = float(draw(self.glare_intensity, rng, "glare_intensity"))
        x, y, z = (at + mirrored * away).tolist()
        dx, dy, dz = (-mirrored).tolist()
        return (SpotLight((x, y, z), (dx, dy, dz), intensity * away**0.5, inner_rad=0.3, outer_rad=0.9),)


def _sides(scene: Board) -> tuple[tuple[str, Random[float]], tuple[str, Random[float]]]:
    return ("margin_m", scene.margin_m), ("outer", scene.outer)
