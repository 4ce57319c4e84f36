"""The pyrender renderer against paper: projection, rays, Lambert, furnaces; and against itself: order, caches, threads."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synth.errors import ConfigError, RenderError
from synth.geometry import look_at, pixel_centers, project, rays
from synth.render.flat import FlatSpec, from_srgb
from synth.render.pyrender import PyrenderRenderer, PyrenderSpec
from synth.types import (
    F64,
    U8,
    Asset,
    Body,
    Camera,
    Category,
    DirectionalLight,
    Environment,
    Frame,
    Light,
    Material,
    Mesh,
    PointLight,
    SpotLight,
    World,
)
from tests.shapes import at, box, sphere

DARK = Environment(color=(0, 0, 0))
DOWN = look_at((0, 0, 2), (0, 0, 0), (0, 1, 0))  # from 2 m above: world x to the right, world y upwards in the picture
MATT = {"roughness": 1.0}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "antialias"])
def renderer(request: pytest.FixtureRequest) -> Iterator[PyrenderRenderer]:
    opened = PyrenderSpec(antialias=request.param).open()
    yield opened
    opened.close()


def quad(half_m: float = 1.0, uv_repeats: float = 1.0, **material: Any) -> Asset:
    """A square in z = 0 that faces up, its texture upright for a viewer above with y upwards."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    mesh = Mesh(
        corners * half_m,
        np.array([[0, 1, 2], [0, 2, 3]]),
        np.tile([0, 0, 1], (4, 1)),
        (corners[:, :2] + 1) / 2 * uv_repeats,
        material=Material(**material),
    )
    return Asset("quad", (mesh,))


def view(width: int = 64, height: int = 48, pose: F64 = DOWN, fov_rad: float = 0.6) -> Camera:
    return Camera.from_fov(width, height, fov_rad, pose)


def lit(*lights: Light, environment: Environment = DARK, exposure: float = 1.0, camera: Camera | None = None, **material: Any) -> World:
    """A quad seen from above."""
    material = MATT | material
    return World(camera or view(), (Body(quad(**material), at(0, 0, 0)),), lights, environment, exposure)


def middle(frame: Frame) -> F64:
    """Linear colour (3,) of the middle of a frame."""
    height, width = frame.instance.shape
    return from_srgb(frame.rgb[height // 2, width // 2].astype(np.float64))


def levels_apart(frame: Frame, linear: Any) -> float:
    """Largest difference between the middle pixel and a linear colour, in sRGB levels."""
    value = np.clip(np.broadcast_to(np.asarray(linear, dtype=np.float64), 3), 0, 1)
    encoded = 255 * np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    height, width = frame.instance.shape
    return float(np.abs(frame.rgb[height // 2, width // 2] - encoded).max())


# --- geometry ---------------------------------------------------------------------------------------------------------

SKEWED = Camera(np.array([[310.0, 4.0, 77.3], [0, 290.0, 52.9], [0, 0, 1]]), 160, 120, look_at((0.9, -1.3, 1.1), (0.1, 0, 0)))
CAMERAS = [SKEWED, Camera.from_fov(161, 97, 0.9, look_at((-0.4, -0.2, 1.9), (0, 0.1, 0)))]


@pytest.mark.parametrize("camera", CAMERAS)
def test_masks_are_the_pixels_whose_centres_lie_in_the_projected_outline(renderer: PyrenderRenderer, camera: Camera) -> None:
    body = Body(quad(0.2), at(0.1, -0.05, 0, 0.3))
    corners_world = body.asset.vertices_m @ body.world_from_object[:3, :3].T + body.world_from_object[:3, 3]
    outline = project(camera, corners_world @ camera.camera_from_world[:3, :3].T + camera.camera_from_world[:3, 3])
    edges = np.roll(outline, -1, axis=0) - outline
    inward = np.stack([edges[:, 1], -edges[:, 0]], -1) / np.linalg.norm(edges, axis=1, keepdims=True)

    def inside_px(shift_px: float) -> F64:
        from_corners = pixel_centers(camera.width, camera.height)[..., None, :] + shift_px - outline
        return np.asarray(np.einsum("hwec,ec->hwe", from_corners, inward).min(axis=-1))

    instance = renderer.render(World(camera, (body,))).instance
    clear = np.abs(inside_px(0)) > 0.01  # nearer to an outline, the driver's 1/256 px of vertex positions decides
    assert (instance[clear] == (inside_px(0) > 0)[clear]).all()
    assert 1000 < (instance == 1).sum() < camera.width * camera.height / 2
    assert (instance != (inside_px(0.5) > 0)).sum() > 20, "half a pixel would be noticed"


@pytest.mark.parametrize("distance_m", [0.05, 2.0, 300.0])
def test_depth_and_normals_are_those_of_the_ray_through_the_pixel_centre(renderer: PyrenderRenderer, distance_m: float) -> None:
    camera = replace(SKEWED, world_from_camera=look_at((0.9 * distance_m, -1.3 * distance_m, 1.1 * distance_m), (0, 0, 0)))
    frame = renderer.render(World(camera, (Body(quad(distance_m), at(0, 0, 0, 0.2)),)), normals=True)
    up = camera.camera_from_world[:3, :3] @ [0, 0, 1]
    expected = (up @ camera.camera_from_world[:3, 3]) / (rays(camera, pixel_centers(160, 120)) @ up)
    seen = frame.instance == 1
    assert seen.sum() > 10_000
    assert np.abs(frame.depth_m[seen] / expected[seen] - 1).max() < 1e-5
    assert frame.normals is not None
    assert np.abs(frame.normals[seen] - up).max() < 1e-3
    assert np.isinf(frame.depth_m[~seen]).all()
    assert not frame.normals[~seen].any()


def test_labels_agree_with_the_flat_renderer(renderer: PyrenderRenderer) -> None:
    bodies = [
        Body(sphere(0.15), at(0.2, 0.1, 0.15)),
        Body(box(0.3, 0.2, 0.25), at(-0.2, 0, 0.125, 0.5), Category("box")),
        Body(quad(0.8), at(0, 0, 0)),
    ]
    world = World(SKEWED, tuple(bodies))
    frame, twin = renderer.render(world, normals=True), FlatSpec().open().render(world, normals=True)
    same = frame.instance == twin.instance
    assert (~same).mean() < 5e-4, "only on edges"
    assert np.allclose(frame.depth_m[same], twin.depth_m[same], rtol=1e-4)
    assert frame.normals is not None
    assert twin.normals is not None
    apart = np.abs(frame.normals - twin.normals)[same].max(axis=-1)
    assert apart.max() < 0.05, "on edges between facets"
    assert (apart > 1e-3).mean() < 0.01


def test_what_is_nearer_than_the_near_plane_is_not_drawn(renderer: PyrenderRenderer) -> None:
    camera = replace(view(), near_m=1.0)
    body = Body(quad(0.5), look_at((0, 0, 1.0), (1, 0, 1.0)))  # a wall across the near plane, seen edge on from above
    tilted = Body(quad(0.5, double_sided=True), at(0, 0, 1.0) @ look_at((0, 0, 0), (0, 0.9, 0.3)))
    frame = renderer.render(World(camera, (body, tilted)))
    assert frame.depth_m.min() >= 1.0
    assert (frame.depth_m < 1.1).any()


def test_instances_beyond_sixteen_bits_are_exact(renderer: PyrenderRenderer) -> None:
    behind = Body(quad(0.1), at(0, 0, 50))
    bodies = (behind,) * 70_000 + (Body(quad(), at(0, 0, 0)),)
    assert set(np.unique(renderer.render(World(view(), bodies)).instance)) == {70_001}


def test_faces_show_from_their_own_side_unless_double_sided(renderer: PyrenderRenderer) -> None:
    below = view(pose=look_at((0, 0, -2), (0, 0, 0), (0, 1, 0)))
    light = DirectionalLight((0, 0, 1), irradiance=math.pi / 2, shadow=False)
    single = renderer.render(lit(light, camera=below), normals=True)
    assert not single.instance.any()
    double = renderer.render(lit(light, camera=below, double_sided=True), normals=True)
    assert (double.instance == 1).all()
    assert double.normals is not None
    assert np.abs(double.normals - [0, 0, -1]).max() < 1e-3, "towards the viewer"
    assert levels_apart(double, 0.49) <= 2


def test_alpha_cuts_colour_labels_and_shadows_alike(renderer: PyrenderRenderer) -> None:
    texture = np.full((4, 4, 4), 255, dtype=np.uint8)
    texture[:2, :2, 3] = 100  # the upper left quarter
    holed = Body(quad(0.4, base_color_texture=texture, alpha_mode="mask", **MATT), at(0, 0, 0.5))
    world = World(view(128, 96), (Body(quad(2.0, **MATT), at(0, 0, 0)), holed), (DirectionalLight((0, 0, -1), irradiance=2.0),), DARK)
    frame = renderer.render(world)
    x_m, y_m = np.moveaxis(rays(world.camera, pixel_centers(128, 96))[..., :2] * 1.5, -1, 0)
    hole = (x_m > -0.395) & (x_m < -0.005) & (y_m > -0.395) & (y_m < -0.005)  # image y is down: up is negative
    solid = (np.abs(x_m) < 0.395) & (np.abs(y_m) < 0.395) & ((x_m > 0.005) | (y_m > 0.005))
    assert (frame.instance[hole] == 1).all()
    assert (frame.instance[solid] == 2).all()
    assert frame.rgb[48 - 5, 64 - 5].min() > 150, "light falls through the hole"
    faint = replace(holed, materials=(replace(holed.asset.meshes[0].material, base_color=(1, 1, 1, 0.4)),))
    assert (renderer.render(replace(world, bodies=(faint,))).instance == 0).all()


# --- light ------------------------------------------------------------------------------------------------------------


def gltf_brdf(base: F64, metallic: float, roughness: float, to_light: F64, to_eye: F64) -> F64:
    """Appendix B.3 of the glTF 2.0 specification for a normal of +z, times n.l."""
    half = (to_light + to_eye) / np.linalg.norm(to_light + to_eye)
    alpha2 = roughness**4
    n_l, n_v, n_h, v_h = to_light[2], to_eye[2], half[2], float(to_eye @ half)
    distribution = alpha2 / (math.pi * (n_h**2 * (alpha2 - 1) + 1) ** 2)
    masking = [2 * n / (n + math.sqrt(alpha2 + (1 - alpha2) * n**2)) for n in (n_l, n_v)]
    specular = distribution * masking[0] * masking[1] / (4 * n_l * n_v)
    f0 = 0.04 * (1 - metallic) + base * metallic
    fresnel = f0 + (1 - f0) * (1 - v_h) ** 5
    return np.asarray(((1 - fresnel) * base * (1 - metallic) / math.pi + fresnel * specular) * n_l)


@pytest.mark.parametrize("tilt_rad", [0.0, 0.7, 1.2])
@pytest.mark.parametrize(("albedo", "metallic", "roughness"), [(0.2, 0.0, 1.0), (0.5, 0.0, 0.6), (0.6, 0.0, 0.3), (0.6, 1.0, 0.5)])
def test_a_distant_light_is_reflected_as_gltf_says(
    renderer: PyrenderRenderer, tilt_rad: float, albedo: float, metallic: float, roughness: float
) -> None:
    light = DirectionalLight((math.sin(tilt_rad), 0, -math.cos(tilt_rad)), irradiance=0.8)
    base = np.array([albedo, albedo, albedo / 2])
    frame = renderer.render(lit(light, base_color=(*base, 1), metallic=metallic, roughness=roughness))
    # Smith's masking is the height-correlated one, as the specification's implementation note has it: equal head on, close elsewhere.
    expected = 0.8 * gltf_brdf(base, metallic, roughness, -np.array(light.direction_world), np.array([0.0, 0.0, 1.0]))
    assert levels_apart(frame, expected) <= 2


def test_a_matt_surface_under_a_distant_light_follows_lambert(renderer: PyrenderRenderer) -> None:
    for tilt_rad in (0.0, 0.7, 1.2):
        light = DirectionalLight((math.sin(tilt_rad), 0, -math.cos(tilt_rad)), irradiance=4.0)
        assert levels_apart(renderer.render(lit(light, base_color=(0.5, 0.5, 0.5, 1))), 0.5 * 4.0 / math.pi * math.cos(tilt_rad)) <= 2


def test_lights_add_up_in_linear_light(renderer: PyrenderRenderer) -> None:
    lights = [DirectionalLight((x, 0, -1), irradiance=0.4, color=(1, 0.5, 0.2), shadow=x > 0) for x in (-0.5, 0.5, 1.0)]
    alone = [middle(renderer.render(lit(light))) for light in lights]
    together = renderer.render(lit(*lights, PointLight((0, 0, 1), 0.3), SpotLight((0.4, 0, 1), (-0.4, 0, -1), 0.3)))
    others = [middle(renderer.render(lit(light))) for light in (PointLight((0, 0, 1), 0.3), SpotLight((0.4, 0, 1), (-0.4, 0, -1), 0.3))]
    assert levels_apart(together, np.sum(alone + others, axis=0)) <= 2


def test_a_point_light_falls_with_the_square_of_its_distance(renderer: PyrenderRenderer) -> None:
    for distance_m in (0.5, 1.0, 1.9):
        frame = renderer.render(lit(PointLight((0, 0, distance_m), 0.5), base_color=(0.6, 0.6, 0.6, 1)))
        assert levels_apart(frame, 0.6 / math.pi * 0.5 / distance_m**2) <= 2


def test_a_spot_is_full_within_its_inner_and_dark_beyond_its_outer_cone(renderer: PyrenderRenderer) -> None:
    camera = view(129, 97)
    spot, point = SpotLight((0, 0, 1), (0, 0, -1), 2.0, inner_rad=0.2, outer_rad=0.3), PointLight((0, 0, 1), 2.0)
    cone, bulb = (renderer.render(lit(light, camera=camera)).rgb.astype(int) for light in (spot, point))
    angle_rad = np.arctan(np.linalg.norm(rays(camera, pixel_centers(129, 97))[..., :2] * 2, axis=-1))
    assert (np.abs(cone - bulb)[angle_rad < 0.18] <= 1).all()
    assert (cone[angle_rad > 0.32] == 0).all()
    assert (np.abs(cone - bulb)[(angle_rad > 0.22) & (angle_rad < 0.28)] > 5).all()


@pytest.mark.parametrize("angle_rad", [0.0, 0.02, 0.1])
def test_a_sphere_casts_the_shadow_that_rays_say(renderer: PyrenderRenderer, angle_rad: float) -> None:
    direction = np.array([0.5, 0.3, -1.0]) / np.linalg.norm([0.5, 0.3, -1.0])
    light = DirectionalLight(tuple(direction), irradiance=2.0, angle_rad=angle_rad)
    camera = Camera.from_fov(160, 120, 0.8, look_at((0.5, -1.5, 1.6), (0, 0, 0)))
    ball = sphere(0.2)
    frame = renderer.render(World(camera, (Body(quad(1.0, **MATT), at(0, 0, 0)), Body(ball, at(0, 0, 0.3))), (light,), DARK))
    to_camera = rays(camera, pixel_centers(160, 120)) * np.where(np.isinf(frame.depth_m), 0, frame.depth_m)[..., None]
    points = to_camera @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3] - [0, 0, 0.3]
    off_axis = np.linalg.norm(points - (points @ direction)[..., None] * direction, axis=-1)
    penumbra_m = 0.02 + angle_rad / 2 * 0.6
    table, green = frame.instance == 1, frame.rgb[..., 1].astype(int)
    inner = np.zeros_like(table)  # a pixel of the table beside another surface may hold some of its colour
    inner[1:-1, 1:-1] = np.all([table[1 + r : 119 + r, 1 + c : 159 + c] for r in (-1, 0, 1) for c in (-1, 0, 1)], axis=0)
    umbra, clear = inner & (off_axis < 0.2 - penumbra_m), inner & (off_axis > 0.2 + penumbra_m)
    assert umbra.sum() > 200
    assert (green[umbra] == 0).all()
    expected = 255 * (1.055 * (2.0 / math.pi * -direction[2]) ** (1 / 2.4) - 0.055)
    assert (np.abs(green[clear] - expected) < 4).all(), "no acne"
    facing = (frame.instance == 2) & ((points @ direction) < -0.1)
    assert green[facing].min() > 60, "a sphere does not shade its own lit side"


def test_softer_lights_have_wider_half_shadows(renderer: PyrenderRenderer) -> None:
    def half_lit(angle_rad: float) -> int:
        world = World(view(160, 120), (Body(quad(**MATT), at(0, 0, 0)), Body(box(0.2, 0.2, 0.02), at(0, 0, 0.5))), (), DARK)
        frame = renderer.render(replace(world, lights=(DirectionalLight((0.6, 0, -1), irradiance=2.0, angle_rad=angle_rad),)))
        return int(((frame.rgb[..., 1] > 40) & (frame.rgb[..., 1] < 170) & (frame.instance == 1)).sum())

    assert half_lit(0.2) > 2 * half_lit(0.05) > 2 * half_lit(0.0)


def test_a_light_without_shadow_casts_none(renderer: PyrenderRenderer) -> None:
    world = lit(DirectionalLight((0, 0, -1), irradiance=2.0, shadow=False))
    shaded = replace(world, bodies=(*world.bodies, Body(quad(0.1, double_sided=True), at(0, 0, 2.5))))
    assert np.array_equal(renderer.render(world).rgb, renderer.render(shaded).rgb)
    with_shadow = replace(shaded, lights=(DirectionalLight((0, 0, -1), irradiance=2.0, angle_rad=0.01),))
    assert middle(renderer.render(with_shadow)).max() == 0


@pytest.mark.parametrize("roughness", [0.3, 0.9])
def test_in_a_white_furnace_nothing_is_lost(renderer: PyrenderRenderer, roughness: float) -> None:
    panorama = Environment(hdri=np.full((32, 64, 3), 0.7, dtype=np.float32))
    for environment in (Environment(color=(0.7, 0.7, 0.7)), panorama):
        white = renderer.render(lit(environment=environment, metallic=1.0, roughness=roughness))
        assert np.abs(middle(white) / 0.7 - 1).max() < 0.03
        matt = renderer.render(lit(environment=environment, base_color=(0.6, 0.4, 0.3, 1), roughness=roughness))
        assert np.abs(middle(matt) / [0.42, 0.28, 0.21] - 1).max() < 0.12, "albedo, and the sheen of a dielectric"


def test_exposure_scales_and_bright_light_rolls_off(renderer: PyrenderRenderer) -> None:
    for exposure in (0.5, 1.0, 2.0):
        frame = renderer.render(lit(base_color=(0, 0, 0, 1), emissive=(0.3, 0.2, 0.1), exposure=exposure))
        assert levels_apart(frame, np.array([0.3, 0.2, 0.1]) * exposure) <= 2
    bright = [middle(renderer.render(lit(base_color=(0, 0, 0, 1), emissive=(e, e, e))))[0] for e in (0.79, 1.0, 1.5, 8.0)]
    assert bright[0] == pytest.approx(0.79, abs=0.01)
    assert 0.79 < bright[1] < bright[2] < bright[3]
    assert bright[3] == pytest.approx(1.0, abs=0.01)


# --- materials --------------------------------------------------------------------------------------------------------


def quarters(colors: list[tuple[int, ...]], size: int = 32) -> U8:
    """A texture of four quarters: upper left, upper right, lower left, lower right."""
    tiles = np.array(colors, dtype=np.uint8).reshape(2, 2, -1)
    return np.repeat(np.repeat(tiles, size, axis=0), size, axis=1)


def corner_colors(frame: Frame) -> list[list[int]]:
    """Colours of the middles of the four quarters, in the order of `quarters`."""
    height, width = frame.instance.shape
    return [frame.rgb[height * r // 4, width * c // 4].astype(int).tolist() for r in (1, 3) for c in (1, 3)]


SQUARE = Camera.from_fov(96, 96, 2 * math.atan(0.5), DOWN)  # sees the quad of 1 m half width exactly


def test_textures_stand_upright_and_are_read_as_srgb(renderer: PyrenderRenderer) -> None:
    colors = [(200, 40, 90), (30, 220, 120), (128, 128, 128), (60, 70, 230)]
    world = lit(
        DirectionalLight((0, 0, -1), irradiance=math.pi / 2, shadow=False), exposure=1.4, camera=SQUARE, base_color_texture=quarters(colors)
    )
    shown = from_srgb(np.array(corner_colors(renderer.render(world)), dtype=np.float64))
    sheen = middle(renderer.render(replace(world, bodies=lit(base_color=(0, 0, 0, 1)).bodies)))
    expected = from_srgb(np.array(colors, dtype=np.float64)) * 0.7 * 0.96
    assert np.abs(shown - sheen - expected).max() < 0.012


def test_emissive_textures_and_factors_multiply(renderer: PyrenderRenderer) -> None:
    texture = quarters([(255, 0, 0), (0, 255, 0), (0, 0, 255), (188, 188, 188)])
    frame = renderer.render(lit(camera=SQUARE, base_color=(0, 0, 0, 1), emissive=(0.5, 0.5, 0.25), emissive_texture=texture))
    half, quarter = 188, 137  # sRGB of 0.5 and 0.25
    expected = [[half, 0, 0], [0, half, 0], [0, 0, quarter], [137, 137, 99]]
    assert np.abs(np.array(corner_colors(frame)) - expected).max() <= 2


def test_vertex_colours_multiply_into_the_base_colour(renderer: PyrenderRenderer) -> None:
    asset = quad(**MATT, base_color=(1, 0.5, 1, 1))
    asset = replace(asset, meshes=(replace(asset.meshes[0], uv=None, colors=np.tile([0.5, 0.5, 0.25, 1.0], (4, 1))),))
    world = lit(DirectionalLight((0, 0, -1), irradiance=math.pi))
    frame = renderer.render(replace(world, bodies=(Body(asset, at(0, 0, 0)),)))
    assert levels_apart(frame, [0.5, 0.25, 0.25]) <= 2


@pytest.mark.parametrize(("tilt", "towards"), [((1, 0), (1, 0)), ((-1, 0), (-1, 0)), ((0, 1), (0, 1)), ((0, -1), (0, -1))])
def test_a_normal_texture_tilts_along_its_texture(renderer: PyrenderRenderer, tilt: tuple[int, int], towards: tuple[int, int]) -> None:
    """Red is along u, green along v, which on the quad are world x and y (glTF, OpenGL's convention)."""
    texture = np.full((4, 4, 3), (128, 128, 218), dtype=np.uint8)
    texture[..., 0] += np.uint8(90 * tilt[0] % 256)
    texture[..., 1] += np.uint8(90 * tilt[1] % 256)
    slope = math.asin(90 / 127)
    light = DirectionalLight((-towards[0] * math.sin(slope), -towards[1] * math.sin(slope), -math.cos(slope)), irradiance=2.0)
    facing = renderer.render(lit(light, normal_texture=texture), normals=True)
    assert levels_apart(facing, 2.0 / math.pi) <= 3
    assert facing.normals is not None
    assert np.abs(facing.normals - [0, 0, -1]).max() < 1e-3, "labels are of the surface, not of its texture"


def test_metallic_and_roughness_come_from_blue_and_green(renderer: PyrenderRenderer) -> None:
    light = DirectionalLight((0, 0, -1), irradiance=1.0, shadow=False)
    textured = lit(light, metallic=1.0, roughness=1.0, metallic_roughness_texture=np.full((4, 4, 3), (7, 153, 51), dtype=np.uint8))
    plain = lit(light, metallic=0.2, roughness=0.6)
    a, b = renderer.render(textured).rgb.astype(int), renderer.render(plain).rgb.astype(int)
    assert np.abs(a - b).max() <= 1


# --- surroundings -----------------------------------------------------------------------------------------------------


def test_a_photo_covers_the_frame_centred_whatever_the_exposure(renderer: PyrenderRenderer) -> None:
    photo = np.zeros((96, 192, 3), dtype=np.uint8)
    photo[:, 32:160] = (90, 160, 30)  # what a 4:3 frame of this height shows
    photo[:48, 32:96] = (200, 10, 60)
    photo[::, 96:160, 2] = np.linspace(0, 255, 64, dtype=np.uint8)
    for size in ((128, 96), (256, 192)):
        world = World(view(*size), (), (), Environment(photo=photo), exposure=0.3)
        frame = renderer.render(world)
        if size == (128, 96):
            assert np.array_equal(frame.rgb, photo[:, 32:160])
        assert frame.rgb[5, 5].tolist() == [200, 10, 60]
        assert frame.rgb[-5, 5].tolist() == [90, 160, 30]


@pytest.mark.parametrize("yaw_rad", [0.0, 0.8, -2.0])
def test_a_patch_of_the_panorama_shows_where_its_direction_says(renderer: PyrenderRenderer, yaw_rad: float) -> None:
    hdri = np.full((64, 128, 3), 0.1, dtype=np.float32)
    row, column = 22, 40
    hdri[row, column] = (0.7, 0.1, 0.1)
    azimuth = (0.5 - (column + 0.5) / 128) * 2 * math.pi + yaw_rad
    polar = (row + 0.5) / 64 * math.pi
    direction = np.array([math.sin(polar) * math.cos(azimuth), math.sin(polar) * math.sin(azimuth), math.cos(polar)])
    camera = Camera.from_fov(161, 121, 0.5, look_at((1, 2, 3), tuple(np.array([1, 2, 3]) + direction)))
    red = renderer.render(World(camera, (), (), Environment(hdri=hdri, yaw_rad=yaw_rad))).rgb[..., 0].astype(float) - 89
    rows, columns = np.nonzero(red > 30)
    assert abs(rows.mean() - 60) < 1.5
    assert abs(columns.mean() - 80) < 1.5
    twin = FlatSpec().open().render(World(camera, (), (), Environment(hdri=hdri, yaw_rad=yaw_rad)))
    assert twin.rgb[60, 80, 0] > 200

    # A mirror that faces the patch at 45 degrees shows it to a viewer on the other side.
    normal = look_at((0, 0, 0), (0.1, 0.4, 1.0))[:3, 2]
    viewer = look_at(tuple(2 * (2 * (normal @ direction) * normal - direction)), (0, 0, 0)) if normal @ direction > 0.2 else None
    if viewer is not None:
        pose = look_at((0, 0, 0), tuple(normal))
        mirror = Body(quad(2.0, metallic=1.0, roughness=0.0), pose)
        shown = renderer.render(World(Camera.from_fov(81, 81, 0.3, viewer), (mirror,), (), Environment(hdri=hdri, yaw_rad=yaw_rad)))
        assert shown.rgb[40, 40, 0] > shown.rgb[40, 40, 1] + 40
        assert shown.rgb[5, 5, 0] < shown.rgb[5, 5, 1] + 10


@pytest.mark.parametrize("azimuth_rad", [0.0, 1.1, 2.6, -0.8])
@pytest.mark.parametrize("yaw_rad", [0.0, 1.3])
def test_a_panorama_lights_what_faces_its_bright_side(renderer: PyrenderRenderer, azimuth_rad: float, yaw_rad: float) -> None:
    hdri = np.zeros((32, 64, 3), dtype=np.float32)
    hdri[:, (np.arange(-8, 8) + round((0.5 - azimuth_rad / 2 / math.pi) * 64)) % 64] = 2.0
    ball = Body(sphere(0.3, roughness=1.0), at(0, 0, 0))
    frame = renderer.render(World(view(96, 96), (ball,), (), Environment(hdri=hdri, yaw_rad=yaw_rad)))
    rows, columns = np.nonzero(frame.instance)
    light = frame.rgb[rows, columns, 1].astype(np.float64)
    pull = np.array([((light - light.mean()) * (columns - 47.5)).mean(), -((light - light.mean()) * (rows - 47.5)).mean()])
    assert math.atan2(pull[1], pull[0]) == pytest.approx(math.remainder(azimuth_rad + yaw_rad, 2 * math.pi), abs=0.1)


def test_rough_metal_shows_the_panorama_through_its_lobe(renderer: PyrenderRenderer) -> None:
    """Seen along its normal, a metal shows GGX's distribution of a bright cap straight above."""
    hdri = np.full((128, 256, 3), 0.05, dtype=np.float32)
    hdri[:14] = 0.75  # 20 degrees around the zenith
    polar = (np.arange(2000) + 0.5) / 2000 * math.pi / 2
    for roughness in (0.2, 0.4, 0.6, 0.8):
        lobe = np.cos(polar) * np.sin(polar) / ((1 + np.cos(polar)) / 2 * (roughness**4 - 1) + 1) ** 2
        share = lobe[polar < 14 / 128 * math.pi].sum() / lobe.sum()
        metal = {"metallic": 1.0, "roughness": roughness}
        # What bounces twice comes from everywhere: a grey metal has little of it.
        shown = middle(renderer.render(lit(environment=Environment(hdri=hdri), base_color=(0.5, 0.5, 0.5, 1), **metal)))[0]
        white = (
            middle(renderer.render(lit(environment=Environment(color=(0.7, 0.7, 0.7)), base_color=(0.5, 0.5, 0.5, 1), **metal)))[0] / 0.7
        )
        assert shown == pytest.approx(white * (0.05 + 0.7 * share), rel=0.25)


def test_a_cosine_panorama_gives_its_known_irradiance(renderer: PyrenderRenderer) -> None:
    """Radiance max(0, cos(polar)) from above gives 2/3 pi of irradiance on a floor: albedo 2/3 of what radiance 1 all round gives."""
    polar = (np.arange(64) + 0.5) / 64 * math.pi
    hdri = np.repeat(np.repeat(np.maximum(np.cos(polar), 0)[:, None, None], 128, 1), 3, 2).astype(np.float32)
    frame = renderer.render(lit(environment=Environment(hdri=hdri, intensity=0.9), base_color=(0.5, 0.5, 0.5, 1)))
    assert middle(frame)[0] == pytest.approx(0.5 * 2 / 3 * 0.9, rel=0.06)


# --- antialiasing, state, life ----------------------------------------------------------------------------------------


def test_antialiasing_is_coverage_in_linear_light_and_leaves_labels_alone() -> None:
    corners = at(0, 0, 0, 0.3)
    world = World(view(160, 120), (Body(quad(0.3, base_color=(0, 0, 0, 1), emissive=(0.6, 0.6, 0.6)), corners),), (), DARK)
    frames = {}
    for antialias in (False, True):
        renderer = PyrenderSpec(antialias=antialias).open()
        frames[antialias] = renderer.render(world, normals=True)
        renderer.close()
    smooth, plain = frames[True], frames[False]
    assert (smooth.instance != plain.instance).mean() < 1e-3
    assert set(np.unique(plain.rgb)) == {0, plain.rgb.max()}
    area_px = (0.6 / 2 * world.camera.image_from_camera[0, 0]) ** 2
    linear = from_srgb(smooth.rgb[..., 0].astype(np.float64))
    assert linear.sum() / linear.max() == pytest.approx(area_px, rel=0.002)
    edge = (smooth.rgb[..., 0] > 0) & (smooth.rgb[..., 0] < smooth.rgb.max())
    assert 4 * 0.6 / 2 * world.camera.image_from_camera[0, 0] * 0.7 < edge.sum() < 1000


def test_frames_do_not_depend_on_what_was_drawn_before(renderer: PyrenderRenderer) -> None:
    texture = quarters([(200, 40, 90, 255), (30, 220, 120, 0), (128, 128, 128, 255), (60, 70, 230, 255)])
    sun = DirectionalLight((0.3, 0.2, -1))
    a = World(SKEWED, (Body(box(), at(0, 0, 0.1)), Body(quad(), at(0, 0, 0))), (sun, PointLight((1, 1, 1))))
    hdri = np.random.default_rng(0).uniform(0, 1, (32, 64, 3)).astype(np.float32)
    material = {"base_color_texture": texture, "alpha_mode": "mask", "double_sided": True, "emissive": (0.1, 0.2, 0.3)}
    b = World(view(90, 70), (Body(quad(0.3, **material), at(0, 0, 0.3)), Body(sphere(), at(0, 0, 0))), (sun, sun), Environment(hdri=hdri))
    c = World(view(90, 70), (), (), Environment(photo=texture[..., :3]))

    def same(x: Frame, y: Frame) -> bool:
        return all(np.array_equal(getattr(x, name), getattr(y, name)) for name in ("rgb", "depth_m", "instance", "normals"))

    worlds = [a, b, c]
    first = [renderer.render(world, normals=True) for world in worlds]
    for order in ((2, 1, 0), (0, 0, 2, 2, 1)):
        for index in order:
            assert same(renderer.render(worlds[index], normals=True), first[index])
    other = PyrenderSpec(antialias="antialias=True" in renderer.name).open()
    for index in (1, 0, 2):
        assert same(other.render(worlds[index], normals=True), first[index])
    other.close()
    assert same(renderer.render(a, normals=True), first[0]), "closing one renderer leaves the other alone"
    assert renderer.render(a).normals is None


def test_the_first_frame_of_a_material_with_all_textures_is_the_second() -> None:
    rng = np.random.default_rng(3)
    names = ("base_color_texture", "metallic_roughness_texture", "normal_texture", "emissive_texture")
    textures = {name: rng.integers(40, 216, (8, 8, 3), dtype=np.uint8) for name in names}
    world = lit(DirectionalLight((0.3, 0.2, -1)), metallic=1.0, emissive=(0.2, 0.2, 0.2), **textures)
    renderer = PyrenderSpec().open()
    first, second = renderer.render(world).rgb, renderer.render(world).rgb
    renderer.close()
    assert np.array_equal(first, second)


def test_uploads_go_when_their_meshes_go() -> None:
    renderer = PyrenderSpec(antialias=False, cache_mib=16).open()
    uploads = renderer._passes._uploads  # type: ignore[union-attr]
    kept = lit()
    renderer.render(kept)
    resident = uploads.nbytes
    for _ in range(5):
        renderer.render(World(view(), (Body(sphere(), at(0, 0, 0)),)))
    gc.collect()
    renderer.render(kept)
    assert uploads.nbytes == resident, "five spheres came and went"
    renderer.render(
        replace(kept, bodies=tuple(replace(b, materials=(replace(b.asset.meshes[0].material, roughness=0.3),)) for b in kept.bodies))
    )
    assert uploads.nbytes == resident, "another roughness is no new upload"
    spheres = [Body(sphere(), at(0, 0, 0)) for _ in range(20)]
    for body in spheres:
        renderer.render(World(view(), (body,)))
    renderer.render(kept)
    assert uploads.nbytes <= 16 << 20
    renderer.close()


def test_a_closed_renderer_and_another_thread_are_refused() -> None:
    renderer = PyrenderSpec(antialias=False).open()
    caught: list[BaseException] = []

    def use() -> None:
        for call in (lambda: renderer.render(lit()), PyrenderSpec().open):
            try:
                call()
            except RenderError as error:
                caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(caught) == 2
    assert "thread" in str(caught[0])
    renderer.close()
    renderer.close()
    with pytest.raises(RenderError, match="closed"):
        renderer.render(lit())


def test_without_gl_one_message_names_the_remedies() -> None:
    code = "import sys; sys.modules['OpenGL.EGL'] = None; from synth.render.pyrender import PyrenderSpec; PyrenderSpec().open()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=False)
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("synth.errors.MissingPartError")
    assert "apt-get install --no-install-recommends libegl1 libgl1" in message
    assert "renderer=flat" in message


def test_what_cannot_be_drawn_is_one_message() -> None:
    renderer = PyrenderSpec().open()
    with pytest.raises(RenderError, match=r"16385 x 41.*antialias=false"):
        renderer.render(World(Camera.from_fov(8192, 20, 0.6, DOWN), (), ()))
    dark = np.zeros((16, 32, 3), dtype=np.float32)
    dark[3, 4] = np.nan
    with pytest.raises(RenderError, match=r"hdri.*NaN"):
        renderer.render(World(view(), (), (), Environment(hdri=dark)))
    with pytest.raises(RenderError, match="at most 32 lights"):
        renderer.render(lit(*[PointLight((0, 0, 1))] * 33))
    assert renderer.render(lit()).instance.all(), "and the next world is drawn"
    renderer.close()


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="antialias"):
        PyrenderSpec(antialias="yes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="shadow_map_px"):
        PyrenderSpec(shadow_map_px=0)
