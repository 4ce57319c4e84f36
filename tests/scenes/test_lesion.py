"""The lesion: its values are those of shapes known on paper, its mask is its outline, and its skin has the tone that was asked for."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import synth_scenes
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.special import ellipe
from synth_scenes.lesion import Lesion
from synth_scenes.outlines import measured, outline, radii_at
from synth_scenes.skin import COLORS, COUNTED_SHARE, Square, lesion_colors, regions, skin, skin_color, skin_group

from synth.annotate import annotate, finish
from synth.config.build import build
from synth.content import Contents
from synth.errors import ConfigError, SceneError
from synth.protocols import Scene
from synth.rand import Choice, Integers, rng_for
from synth.render.pyrender import PyrenderSpec
from synth.types import F64, Sample, World
from tests.oracle.caster import Truth, directions, image_points
from tests.oracle.checks import Report, check_frame
from tests.oracle.checks import _check_instance as check_instance  # it has no keypoints to check

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/lesion.yaml"
SMALL = replace(Lesion(), camera=replace(Lesion().camera, width=400, height=300), texture_px=384)
BARE = replace(SMALL, hairs=0, bubbles=0, ruler=0.0, tube=0.0, pen=0.0)
SAMPLES = 4
TURN = np.linspace(0, 2 * math.pi, 720, endpoint=False)


def made(scene: Lesion, index: int) -> World:
    return scene.compose(rng_for(0, index, "scene"))


@cache
def seen(scene: Lesion, index: int) -> tuple[World, Any, Sample]:
    world = made(scene, index)
    with closing(PyrenderSpec().open()) as renderer:
        frame = renderer.render(world)
    return world, frame, finish(annotate(world, frame), scene.categories)


def rim_of(world: World) -> F64:
    """The outline that a world's lesion was made with: the last ring of its mesh."""
    (mesh,) = world.bodies[0].asset.meshes
    return mesh.vertices_m[-361:-1, :2].astype(np.float64)


def test_the_option_is_the_default_and_a_scene() -> None:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 640, "height": 480}
    assert build(values) == Lesion()
    assert isinstance(Lesion(), Scene)


def test_equal_streams_give_equal_worlds() -> None:
    contents = Contents()
    assert contents.digest(made(SMALL, 1)) == contents.digest(made(SMALL, 1)) != contents.digest(made(SMALL, 2))


# --- values of shapes known on paper ----------------------------------------------------------------------------------


def circle(radius_m: float = 0.004) -> F64:
    return radius_m * np.stack([np.cos(TURN), np.sin(TURN)], 1)


def test_a_circle() -> None:
    found = measured(circle())
    assert found.asymmetry == pytest.approx(0, abs=1e-9)
    assert found.border_irregularity == pytest.approx(1, abs=1e-4)
    assert found.diameter_mm == pytest.approx(8, rel=1e-6)
    assert found.area_mm2 == pytest.approx(math.pi * 16, rel=1e-4)


@pytest.mark.parametrize("ratio", [0.9, 0.5, 0.25])
def test_an_ellipse(ratio: float) -> None:
    found = measured(circle() * (1, ratio) + (0.01, -0.02))
    assert found.asymmetry == pytest.approx(0, abs=1e-9)
    around = 4 * ellipe(1 - ratio**2)
    assert found.border_irregularity == pytest.approx(around**2 / (4 * math.pi**2 * ratio), rel=1e-3)
    assert (found.diameter_mm, found.area_mm2) == (pytest.approx(8, rel=1e-6), pytest.approx(math.pi * 16 * ratio, rel=1e-4))


def test_a_triangle_mirrors_itself_in_one_axis_only() -> None:
    """Base 4 mm, height 6 mm, centroid 2 mm above the base. Over its upright axis it folds onto itself; over the level one it does not: its
    half width at t above the axis is (4 - t) / 3 mm, for t from -2 to 4."""
    found = measured(np.array([(-2, 0), (2, 0), (0, 6)]) * 1e-3)
    # area above and below the axis within t in [0, 2]: widths 2 (4 - t) / 3 and 2 (4 + t) / 3, they differ by 4 t / 3: 8/3; and the tip
    # above t = 2: 2 (4 - 2) / 3 * 2 / 2 = 4/3. Each part lies once above and, mirrored, once below.
    unshared = 2 * (8 / 3 + 4 / 3)
    assert found.asymmetry == pytest.approx((0 + unshared / (2 * 12)) / 2, rel=1e-3)
    assert found.diameter_mm == pytest.approx(math.hypot(2, 6))
    around = 4 + 2 * math.hypot(2, 6)
    assert found.border_irregularity == pytest.approx(around**2 / (4 * math.pi * 12), rel=1e-9)


def by_pixels(points: F64, px: int = 600) -> tuple[float, float]:
    """Asymmetry and area (m2) by painting the outline, turned to the principal axes of its pixels, and its mirror images."""
    scale = px / 2.2 / np.linalg.norm(points, axis=1).max()
    a = points * scale + px / 2
    b, y = np.roll(a, -1, axis=0), np.arange(px)[:, None] + 0.5
    row, edge = np.nonzero((a[:, 1] <= y) != (b[:, 1] <= y))  # a centre is inside after an odd number of edges
    x = a[edge, 0] + (row + 0.5 - a[edge, 1]) / (b[edge, 1] - a[edge, 1]) * (b[edge, 0] - a[edge, 0])
    crossed = np.zeros((px, px + 1), int)
    np.add.at(crossed, (row, np.ceil(x - 0.5).astype(int)), 1)
    mask = np.cumsum(crossed, axis=1)[:, :px] % 2
    rows, columns = np.nonzero(mask)
    xy = np.stack([columns, rows], 1) + 0.5
    middle = xy.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((xy - middle).T))
    shares = []
    for axis in axes.T:
        mirror = 2 * np.outer(axis, axis) - np.eye(2)
        there = np.floor((xy - middle) @ mirror.T + middle).astype(int).clip(0, px - 1)
        shares.append((mask[there[:, 1], there[:, 0]] == 0).mean())  # of its area, on each side: half of what is not shared
    return float(np.mean(shares)), float(len(xy)) / scale**2


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.4, 1), st.floats(0, 0.4), st.floats(0, 0.12))
def test_any_outline_measures_as_its_pixels_do(seed: int, elongation: float, asymmetry: float, irregularity: float) -> None:
    points = outline(rng_for(0, seed), diameter_m=0.007, elongation=elongation, asymmetry=asymmetry, irregularity=irregularity)
    found = measured(points)
    want, area = by_pixels(points)
    moments = np.linalg.eigvalsh(np.cov(points.T))
    if moments[0] < 0.85 * moments[1]:  # of a round one, the axes are anywhere
        assert found.asymmetry == pytest.approx(want, abs=0.015)
    assert found.area_mm2 == pytest.approx(area * 1e6, rel=4e-3)
    assert found.diameter_mm == pytest.approx(7, rel=1e-9) == pytest.approx(pdist(points).max() * 1000, rel=1e-9)
    assert found.border_irregularity >= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0.2, 5))
def test_values_stay_when_an_outline_is_turned_moved_or_run_backwards(seed: int, turn: float, scale: float) -> None:
    points = outline(rng_for(0, seed), diameter_m=0.006, elongation=0.7, asymmetry=0.2, irregularity=0.05)
    c, s = math.cos(turn), math.sin(turn)
    found = measured((points @ np.array([[c, s], [-s, c]]) * scale + (1.0, -2.0))[::-1])
    first = measured(points)
    assert found.asymmetry == pytest.approx(first.asymmetry, abs=2e-4)
    assert found.border_irregularity == pytest.approx(first.border_irregularity, rel=1e-6)
    assert found.diameter_mm == pytest.approx(first.diameter_mm * scale, rel=1e-6)


def test_stronger_waves_make_more_of_what_they_are_named_for() -> None:
    def mean(**changed: float) -> Any:
        values = {"diameter_m": 0.006, "elongation": 0.7, "asymmetry": 0.0, "irregularity": 0.0} | changed
        found = [measured(outline(rng_for(0, i), **values)) for i in range(20)]
        return np.array([(m.asymmetry, m.border_irregularity) for m in found]).mean(axis=0)

    still, slow, fast = mean(), mean(asymmetry=0.2), mean(irregularity=0.07)
    assert still[0] < 1e-3
    assert slow[0] > 0.05
    assert fast[1] > still[1] + 0.2
    assert fast[0] < slow[0]


def test_how_far_an_outline_is() -> None:
    square = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], np.float64)
    assert radii_at(square, np.array([0.0, math.pi / 4, math.pi, -0.1, 7.0])) == pytest.approx(
        [1, math.sqrt(2), 1, 1 / math.cos(0.1), 1 / math.cos(7 - 2 * math.pi)]
    )


# --- pictures and labels ----------------------------------------------------------------------------------------------


def test_masks_boxes_and_fractions_agree_with_rays() -> None:
    total = Report()
    for index in range(SAMPLES):
        world, frame, sample = seen(SMALL, index)
        truth = Truth.of(world)
        total += check_frame(truth, frame) + check_instance(truth, 1, world.bodies[0], sample.instances[0])
    total.assert_exact()
    assert total.instances == SAMPLES


def test_the_masks_diameter_is_that_of_the_geometry() -> None:
    """Within a pixel, in the picture and on the skin."""
    for index in range(SAMPLES):
        world, _, sample = seen(BARE, index)
        (instance,) = sample.instances
        assert instance.mask is not None
        assert instance.attributes is not None
        camera, rim = world.camera, rim_of(world)
        camera_from_world = np.linalg.inv(camera.world_from_camera)
        want_px = pdist(image_points(camera, (np.c_[rim, np.zeros(len(rim)), np.ones(len(rim))] @ camera_from_world.T)[:, :3])).max()
        mask = instance.mask.decode()
        (contour,) = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        xy = contour[:, 0].astype(np.float64) + 0.5
        assert pdist(xy).max() + 0.7 == pytest.approx(want_px, abs=1.0), "from centre to centre it is up to a pixel short"
        # on the plane of the skin, by rays through the pixels
        ways = directions(camera, xy) @ camera.world_from_camera[:3, :3].T
        eye = camera.world_from_camera[:3, 3]
        on_skin = (eye - eye[2] / ways[:, 2:] * ways)[:, :2]
        pixel_mm = 1000 * eye[2] / camera.image_from_camera[0, 0]
        if world.bodies[0].asset.vertices_m[:, 2].max() == 0:
            assert pdist(on_skin).max() * 1000 == pytest.approx(instance.attributes["diameter_mm"], abs=1.2 * pixel_mm)
        assert instance.attributes["diameter_mm"] == pytest.approx(pdist(rim).max() * 1000, rel=1e-4)
        assert instance.attributes["area_mm2"] == pytest.approx(measured(rim).area_mm2, rel=1e-3)


def test_values_are_of_the_instance_and_of_the_sample() -> None:
    for index in range(SAMPLES):
        world, _, sample = seen(SMALL, index)
        (instance,) = sample.instances
        said, of_sample = instance.attributes, sample.info.attributes
        assert said is not None
        assert of_sample is not None
        json.dumps(dict(of_sample))
        assert set(said) == {"asymmetry", "border_irregularity", "diameter_mm", "area_mm2", "colors", "color_count"}
        assert {name: of_sample[name] for name in said} == said
        assert set(of_sample) - set(said) == {"ita_deg", "skin_group", "hairs"}
        assert said["color_count"] == len(said["colors"]) >= 1
        assert (of_sample["hairs"] > 0) == any(body.asset.name == "hairs" for body in world.bodies)


def test_the_lesion_meets_the_skin_without_gap_or_overlap() -> None:
    for index in range(SAMPLES):
        lesion, skin_body = made(SMALL, index).bodies[:2]
        (inner,), (outer,) = lesion.asset.meshes, skin_body.asset.meshes
        assert np.array_equal(inner.vertices_m[-361:], outer.vertices_m[:361])
        for mesh in (inner, outer):
            corners = mesh.vertices_m[mesh.faces].astype(np.float64)
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            assert (normals[:, 2] > 0).all()
            assert (np.einsum("ij,ikj->ik", normals, mesh.normals[mesh.faces]) > 0).all()
        flat = inner.vertices_m[inner.faces].astype(np.float64)[..., :2]
        area = np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]).sum() / 2
        assert area * 1e6 == pytest.approx(measured(rim_of(made(SMALL, index))).area_mm2, rel=1e-3)


# --- colours ----------------------------------------------------------------------------------------------------------


def test_counted_colours_are_those_that_show() -> None:
    """Each region, away from its seams, is nearest to its own colour; what is counted takes its share of pixels."""
    square = Square(512, 0.02)
    for index in range(6):
        inside = square.away(circle()) > 0
        number, shares = regions(square, inside, 4, 0.003, rng_for(0, index))
        assert sum(shares.values()) == pytest.approx(1)
        assert len(shares) <= 4
        assert set(shares) & {"light_brown", "dark_brown"}
        picture = lesion_colors(square, number, 50.0, "none", rng_for(0, index, "paint"))
        for i, name in enumerate(COLORS):
            core = cv2.erode(((number == i) & inside).astype(np.uint8), np.ones((31, 31))) > 0
            if core.sum() > 50:
                away = np.linalg.norm(np.array(list(COLORS.values())) - picture[core].mean(axis=0), axis=1)
                assert list(COLORS)[int(away.argmin())] == name
            assert shares.get(name, 0) == pytest.approx(((number == i) & inside).sum() / inside.sum(), abs=1e-9)


def test_as_many_colours_as_asked_where_they_take_enough_of_the_area() -> None:
    counts: dict[int, list[int]] = {}
    for want in (1, 3, 5):
        for index in range(3):
            (lesion, *_) = made(replace(BARE, colors=want), index).bodies
            assert lesion.attributes is not None
            counts.setdefault(want, []).append(lesion.attributes["color_count"])
    assert counts[1] == [1] * 3
    assert max(counts[3]) <= 3
    assert np.mean(counts[5]) > np.mean(counts[3]) > 1
    assert 0 < COUNTED_SHARE < 0.1


def test_skin_has_the_tone_asked_for() -> None:
    for ita, group in ((62.0, "very light"), (45.0, "light"), (30.0, "intermediate"), (15.0, "tan"), (-10.0, "brown"), (-45.0, "dark")):
        assert skin_group(ita) == group
        lab = cv2.cvtColor(np.float32([[skin_color(ita)]]), cv2.COLOR_RGB2LAB)[0, 0]
        assert math.degrees(math.atan2(lab[0] - 50, lab[2])) == pytest.approx(ita, abs=2)
        picture, _ = skin(Square(256, 0.03), ita, rng_for(0, 0))
        assert np.abs(picture.mean(axis=(0, 1)) - skin_color(ita)).max() < 0.03
    lights = [np.mean(skin_color(ita)) for ita in (-50, -20, 0, 20, 40, 60)]
    assert lights == sorted(lights)


def test_distances_from_an_outline() -> None:
    square = Square(800, 0.02)
    at = ((np.arange(800) + 0.5) / 800 - 0.5) * 0.02
    want = 0.004 - np.hypot(at[None], at[:, None])
    assert np.abs(square.away(circle()) - want).max() < 1.5 * 0.02 / 800 + 0.03 * 0.01
    moved = square.away(circle(0.002) + (0.005, 0.003))
    row, column = np.unravel_index(int(moved.argmax()), moved.shape)
    assert (at[column], -at[row]) == (pytest.approx(0.005, abs=1e-4), pytest.approx(0.003, abs=1e-4))


def test_hairs_hide_and_bubbles_do_not() -> None:
    bare, clear, hairy = (seen(scene, 3)[2].instances[0] for scene in (BARE, replace(BARE, bubbles=30), replace(BARE, hairs=200)))
    assert bare.visible_fraction == pytest.approx(1, abs=1e-3)
    assert bare.mask == clear.mask
    assert hairy.visible_fraction is not None
    assert 0.2 < hairy.visible_fraction < 0.99
    assert hairy.mask_full == bare.mask_full
    assert (seen(BARE, 3)[1].rgb != seen(replace(BARE, bubbles=30), 3)[1].rgb).any()


def test_a_vignette_and_the_rim_darken_the_corners() -> None:
    def corners(scene: Lesion) -> float:
        rgb = seen(replace(scene, fade_m=0.0001), 2)[1].rgb.astype(float).mean(axis=2)
        return float(np.mean([rgb[:20, :20], rgb[-20:, -20:]]) / rgb[:, 180:220].mean())

    even, lamps = corners(replace(BARE, vignette=0.0)), corners(replace(BARE, vignette=1.0))
    assert lamps < 0.75 * even
    assert corners(replace(BARE, vignette=0.0, tube=1.0)) < 0.6 * even


def test_the_rulers_ticks_are_true_millimetres() -> None:
    world = made(replace(BARE, ruler=1.0), 0)
    ruler = next(body for body in world.bodies if body.asset.name == "ruler")
    (mesh, paint) = ruler.parts[0]
    assert paint.base_color_texture is not None
    line = paint.base_color_texture[10].astype(float).mean(axis=1)
    dark = np.flatnonzero(np.diff((line < 128).astype(int)) == 1)
    long_m = np.ptp(mesh.vertices_m[:, 0])
    assert np.diff(dark) / len(line) * long_m == pytest.approx(0.001, rel=0.06)
    assert np.ptp(ruler.asset.vertices_m[:, 2]) == 0


# --- wrong calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lesion(colors=0), r"colors must be in \[1, 6\], got 0"),
        (lambda: Lesion(ita_deg=100), r"ita_deg must be in \[-60, 70\], got 100"),
        (lambda: Lesion(texture_px=Integers(256, 512)), r"texture_px must be one whole number, got Integers\(256, 512\)"),  # type: ignore[arg-type]
        (lambda: Lesion(structure="nett"), "no structure 'nett'; known: globules, network, none"),
        (lambda: Lesion(structure=Choice(["none", "dots"])), "no structure 'dots'"),
        (lambda: measured(np.array([(0, 0), (4, 0), (4, 1), (1, 1), (1, 4), (0, 4)], float)), "must be in sight of its centroid"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_camera_that_looks_along_the_skin_is_refused() -> None:
    with pytest.raises(SceneError, match="the camera sees the horizon"):
        made(replace(SMALL, camera=replace(SMALL.camera, elevation_rad=0.05)), 0)


def test_its_docs_say_that_it_is_no_medical_data() -> None:
    import synth_scenes.lesion as module

    assert "no medical data" in (module.__doc__ or "")
    assert "no medical data" in OPTION.read_text()
