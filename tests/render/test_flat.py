"""The flat renderer against paper: depth, normals, order of surfaces, plain colours, backgrounds, lenses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synth.errors import ConfigError
from synth.geometry import look_at, pixel_centers, project, rays
from synth.render.flat import FlatSpec, from_srgb, to_srgb
from synth.render.pyrender import PyrenderSpec
from synth.types import Asset, Body, Camera, DirectionalLight, Environment, Frame, Material, PointLight, SpotLight, World
from tests.shapes import LENS, NO_LENS, at, box, camera, random_world, sphere

DOWN = camera((0, 0, 1), (0, 0, 0), fov_rad=0.5)


def render(world: World, normals: bool = True) -> Frame:
    return FlatSpec().open().render(world, normals=normals)


def linear(frame: Frame, row: int, column: int) -> Any:
    return from_srgb(frame.rgb[row, column].astype(float))


@pytest.mark.parametrize("distortion", [NO_LENS, LENS], ids=["pinhole", "lens"])
def test_depth_of_a_tilted_plane(distortion: Any) -> None:
    """n . (z ray) = d for every pixel, whatever the lens."""
    seen = camera((0.6, -0.5, 0.8), (0, 0, 0), distortion=distortion)
    frame = render(World(seen, (Body(box(4, 4, 0.02), at(0, 0, -0.01)),)))
    normal = seen.camera_from_world[:3, 2]
    distance = seen.camera_from_world[:3, 3] @ normal
    want = distance / (rays(seen, pixel_centers(seen.width, seen.height)) @ normal)
    there = np.isfinite(frame.depth_m)
    assert there.mean() > 0.9
    assert np.abs(frame.depth_m[there] / want[there] - 1).max() < 1e-6
    assert frame.normals is not None
    assert np.abs(frame.normals[there] - normal).max() < 1e-6


def test_nothing_is_inf_and_zero() -> None:
    frame = render(World(DOWN, ()))
    assert np.isinf(frame.depth_m).all()
    assert not frame.instance.any()
    assert frame.normals is not None
    assert not frame.normals.any()
    assert render(World(DOWN, ()), normals=False).normals is None


def test_nearer_body_wins_whatever_the_order() -> None:
    low, high = Body(box(0.2, 0.2, 0.02), at(0, 0, 0)), Body(box(0.1, 0.1, 0.02), at(0, 0, 0.1))
    one, two = render(World(DOWN, (low, high))), render(World(DOWN, (high, low)))
    assert one.instance[120, 160] == 2
    assert two.instance[120, 160] == 1
    assert np.array_equal(one.depth_m, two.depth_m)
    assert np.array_equal(one.rgb, two.rgb)


def test_sphere_normals_point_outwards() -> None:
    frame = render(World(DOWN, (Body(sphere(0.1), at(0, 0, 0)),)))
    assert frame.normals is not None
    rows, columns = np.nonzero(frame.instance)
    points = rays(DOWN, np.stack([columns + 0.5, rows + 0.5], axis=1)) * frame.depth_m[rows, columns][:, None]
    want = (points - [0, 0, 1]) / 0.1
    assert ((frame.normals[rows, columns] * want).sum(axis=1) > 0.99).all()


def test_lamberts_law_and_exposure() -> None:
    plate = Body(box(1, 1, 0.02, base_color=(0.5, 0.25, 0.1, 1)), at(0, 0, -0.01))
    dark = Environment(color=(0, 0, 0))
    sun = DirectionalLight((1, 0, -1), irradiance=2.0)
    frame = render(World(DOWN, (plate,), (sun,), dark))
    want = np.array([0.5, 0.25, 0.1]) * 2.0 * math.cos(math.pi / 4) / math.pi
    assert np.abs(linear(frame, 120, 160) - want).max() < 0.004
    assert np.abs(linear(render(World(DOWN, (plate,), (sun,), dark, exposure=2.0)), 120, 160) - 2 * want).max() < 0.006
    lamp = render(World(DOWN, (plate,), (PointLight((0, 0, 0.5), intensity=0.5),), dark))
    assert np.abs(linear(lamp, 120, 160) - np.array([0.5, 0.25, 0.1]) * 0.5 / 0.25 / math.pi).max() < 0.004
    spot = render(World(DOWN, (plate,), (SpotLight((0, 0, 0.5), (0, 0, -1), 0.5, inner_rad=0.05, outer_rad=0.1),), dark))
    assert np.array_equal(spot.rgb[120, 160], lamp.rgb[120, 160])
    assert not spot.rgb[120, 300].any()


def test_even_surroundings_give_albedo_back() -> None:
    plate = Body(box(1, 1, 0.02, base_color=(0.6, 0.6, 0.6, 1)), at(0, 0, -0.01))
    frame = render(World(DOWN, (plate,), (), Environment(color=(1, 1, 1), intensity=0.5)))
    assert np.abs(linear(frame, 120, 160) - 0.3).max() < 0.004
    hdri = render(World(DOWN, (plate,), (), Environment(hdri=np.full((8, 16, 3), 0.5, dtype=np.float32))))
    assert np.array_equal(hdri.rgb, frame.rgb)


def test_back_faces_show_only_if_double_sided() -> None:
    plate = box(0.4, 0.4, 0.02)
    top = plate.meshes[0]
    upper = top.faces[top.vertices_m[top.faces][:, :, 2].min(axis=1) > 0]
    sheet = Asset("sheet", (replace(top, faces=upper),))
    for double in (False, True):
        body = Body(sheet, at(0, 0, 0), materials=(Material(double_sided=double),))
        above = render(World(DOWN, (body,)))
        below = render(World(Camera.from_fov(320, 240, 0.5, look_at((0, 0, -1), (0, 0, 0))), (body,)))
        assert above.instance.any()
        assert below.instance.any() == double
        assert below.normals is not None
        if double:
            assert below.normals[120, 160] == pytest.approx([0, 0, -1])  # turned to the camera


@pytest.mark.parametrize(
    ("direction", "u", "v"), [((1, 0, 0), 0.5, 0.5), ((0, 1, 0), 0.25, 0.5), ((0, -1, 0), 0.75, 0.5), ((0, 0, 1), 0.5, 0)]
)
@pytest.mark.parametrize("yaw_rad", [0.0, 1.0])
def test_panorama_lies_where_its_law_says(direction: Any, u: float, v: float, yaw_rad: float) -> None:
    hdri = np.zeros((64, 128, 3), dtype=np.float32)
    row, column = min(int(v * 64), 63), int(u * 128)
    hdri[max(row - 2, 0) : row + 2, column - 2 : column + 2] = 1
    if v == 0:
        hdri[:2] = 1
    turned = np.array([[math.cos(yaw_rad), -math.sin(yaw_rad), 0], [math.sin(yaw_rad), math.cos(yaw_rad), 0], [0, 0, 1]]) @ direction
    seen = Camera.from_fov(65, 65, 0.8, look_at((0, 0, 0), turned))
    frame = render(World(seen, (), (), Environment(hdri=hdri, yaw_rad=yaw_rad)))
    bright = np.nonzero(frame.rgb[..., 0] > 128)
    assert np.abs(np.mean(bright, axis=1) - 32).max() < 3


def test_photo_covers_the_frame() -> None:
    photo = np.zeros((100, 400, 3), dtype=np.uint8)
    photo[:, 200:] = 255
    photo[:, :100] = (255, 0, 0)  # cropped away: the frame is 4:3
    frame = render(World(DOWN, (), (), Environment(photo=photo), exposure=3.0))
    assert not frame.rgb[:, :155].any()
    assert (frame.rgb[:, 165:] == 255).all()


def test_textures_have_channels_that_all_read_alike() -> None:
    grey = box(base_color_texture=np.full((4, 4, 1), 188, np.uint8))
    assert render(World(DOWN, (Body(grey, at(0, 0, 0)),), (), Environment(color=(1, 1, 1)))).rgb[120, 160].tolist() == [188] * 3
    with pytest.raises(ConfigError, match=r"base_color_texture must have 1 .* got 2"):
        Material(base_color_texture=np.full((4, 4, 2), 255, np.uint8))


def test_lens_bends_points_and_pixels_alike() -> None:
    seen = camera((0, 0, 1), (0, 0, 0), fov_rad=0.9, distortion=LENS)
    spots = [(-0.3, 0.2), (0.25, -0.2), (0.1, 0.15), (-0.2, -0.25)]
    frame = render(World(seen, tuple(Body(sphere(0.02), at(x, y, 0)) for x, y in spots)))
    for number, (x, y) in enumerate(spots, 1):
        rows, columns = np.nonzero(frame.instance == number)
        want = project(seen, (seen.camera_from_world @ [x, y, 0, 1])[:3])
        assert np.abs([columns.mean() + 0.5 - want[0], rows.mean() + 0.5 - want[1]]).max() < 0.3
    straight = replace(seen, distortion=NO_LENS)
    assert np.abs(project(straight, [0.3, 0.2, 1]) - project(seen, [0.3, 0.2, 1])).max() > 2


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.3, 0.3, 0.0), (-0.9, 0.0, 0.0, 0.0, 0.0)], ids=str)
@pytest.mark.parametrize("spec", [FlatSpec(), PyrenderSpec()], ids=["flat", "pyrender"])
def test_a_lens_that_folds_the_picture_is_refused(spec: Any, distortion: Any) -> None:
    seen = camera(width=64, height=48, fov_rad=2.0, distortion=distortion)
    with pytest.raises(ConfigError, match="folds the picture"):
        spec.open().render(World(seen, ()))


def test_srgb_law() -> None:
    values = np.arange(256, dtype=float)
    assert np.array_equal(to_srgb(from_srgb(values)), values.astype(np.uint8))
    assert to_srgb(np.array([0.2140, 0.0031308]))[:2].tolist() == [127, 10]  # IEC 61966-2-1
    assert to_srgb(np.array([-1.0, 2.0])).tolist() == [0, 255]


def test_equal_worlds_equal_bytes() -> None:
    one, two = render(random_world(4)), render(random_world(4))
    for a, b in ((one.rgb, two.rgb), (one.depth_m, two.depth_m), (one.instance, two.instance), (one.normals, two.normals)):
        assert np.array_equal(a, b)  # type: ignore[arg-type]
