"""The aisle of a shop around a shelf: floor, wall, tubes on the ceiling."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from synth.blackbody import RANGE_K, blackbody
from synth.compose import shapes
from synth.compose.materials import Paint
from synth.rand import Normal, Random, Stream, Uniform, check_range, draw
from synth.types import Asset, Body, Camera, DirectionalLight, Light
from synth_scenes.finishes import finish
from synth_scenes.gondola import Rack, upright_sheet

_REACH_M = 9.0


@dataclass(frozen=True)
class Tubes:
    """Light from rows of long tubes above the aisle, which comes from before the shelf and above and casts soft shadows under the boards.

    irradiance: at normal incidence (pi lights a white surface to 1). elevation_rad: how high they hang, seen from the shelf; azimuth_rad:
    how far to the side. angle_rad: how wide they look. fill: light that other shelves and the floor send back, as a share. All come
    from before the shelf, whatever the surroundings.
    """

    irradiance: Random[float] = Uniform(0.9, 1.9)
    elevation_rad: Random[float] = Uniform(0.6, 1.1)
    azimuth_rad: Random[float] = Normal(0.0, 0.3)
    angle_rad: Random[float] = Uniform(0.15, 0.6)
    fill: Random[float] = Uniform(0.05, 0.25)
    temperature_k: Random[float] = Uniform(3800, 6800)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("irradiance", 0, 1e4),
            ("elevation_rad", 0.05, math.pi / 2),
            ("azimuth_rad", -math.inf, math.inf),
            ("angle_rad", 0, 1.0),
            ("fill", 0, 10),
            ("temperature_k", *RANGE_K),
        ):
            check_range(f"lights.{name}", getattr(self, name), low, high)

    def draw(self, rng: Stream, brightest_rad: float, camera: Camera) -> tuple[Light, ...]:
        """The tubes, and what comes back from the floor and the shelf behind the camera."""
        strength, aside = float(draw(self.irradiance, rng, "irradiance")), float(draw(self.azimuth_rad, rng, "azimuth_rad"))
        red, green, blue = blackbody(float(draw(self.temperature_k, rng, "temperature_k"))).tolist()
        up, angle = float(draw(self.elevation_rad, rng, "elevation_rad")), float(draw(self.angle_rad, rng, "angle_rad"))
        across = math.cos(up)
        way = (-across * math.sin(aside), across * math.cos(aside), -math.sin(up))
        back = DirectionalLight((0.3 * math.sin(aside), 1.0, 0.05), strength * float(draw(self.fill, rng, "fill")), shadow=False)
        return DirectionalLight(way, strength, (red, green, blue), angle), back


def around(rack: Rack, rng: Stream) -> list[Body]:
    """The floor and a wall behind."""
    floor = shapes.extrude(
        [(-_REACH_M, -_REACH_M), (_REACH_M, -_REACH_M), (_REACH_M, rack.depth_m + 1.5), (-_REACH_M, rack.depth_m + 1.5)],
        0.02,
        tile_m=float(rng.child("tile").uniform(0.5, 1.2)),
    )
    ground = replace(finish(rng.child("floor"), ("speckle", "marble", "wood")), roughness=float(rng.child("gloss").uniform(0.2, 0.8)))
    under = np.eye(4)
    under[2, 3] = -0.02
    wall = upright_sheet((-_REACH_M, _REACH_M), rack.depth_m + float(rng.child("behind").uniform(0.05, 1.2)), (0, 4.0), 1.0)
    paint = Paint(saturation=Uniform(0, 0.12), value=Uniform(0.45, 0.95), roughness=0.95).draw(rng.child("paint"))
    return [Body(Asset("floor", (floor,)), under, materials=(ground,)), Body(Asset("wall", (wall,)), np.eye(4), materials=(paint,))]
