"""The bin: all that is dropped lies in it, apart, and how much of each shows is what a render of each alone says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import trimesh
import yaml
from scipy.spatial import ConvexHull
from synth_scenes.bin import Bin
from synth_scenes.crates import KINDS, Crate

from synth.annotate import annotate, finish
from synth.compose.cameras import CameraRig
from synth.config.build import build
from synth.errors import ConfigError, SceneError
from synth.protocols import Scene
from synth.rand import draw, rng_for
from synth.render.flat import FlatSpec
from synth.types import Sample, World
from tests.compose.test_physics import DEEP_M, check_apart, moved, settle
from tests.oracle.caster import camera_from_object, centers, directions

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/bin.yaml"
SAMPLES = 4


@cache
def scene() -> Bin:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 640, "height": 480}
    built = build(values)
    assert isinstance(built, Bin)
    return built


@cache
def world(index: int) -> World:
    return scene().compose(rng_for(0, index))


@cache
def labelled(index: int) -> Sample:
    small = replace(scene(), camera=replace(scene().camera, width=240, height=180)).compose(rng_for(0, index))
    return finish(annotate(small, FlatSpec().open().render(small)), scene().categories)


def objects(made: World) -> list[tuple[Any, np.ndarray]]:
    return [(body.asset, body.world_from_object) for body in made.bodies if body.category]


def poses(made: World) -> bytes:
    return b"".join(body.world_from_object.tobytes() for body in made.bodies)


def test_equal_streams_give_equal_worlds_and_the_defaults_are_those_of_the_option() -> None:
    assert isinstance(scene(), Scene)
    assert poses(scene().compose(rng_for(0, 1))) == poses(world(1))
    assert poses(world(0)) != poses(world(1))
    assert scene() == replace(Bin(), camera=replace(Bin().camera, width=640, height=480))


@pytest.mark.parametrize("index", range(SAMPLES))
def test_all_lie_in_the_bin_and_none_in_another(index: int) -> None:
    things = objects(world(index))
    assert 5 <= len(things) <= 20
    crate, table = world(index).bodies[-2:]
    assert crate.category is None
    assert table.category is None
    seen = crate.asset.vertices_m
    assert seen[:, 2].min() > -DEEP_M
    for asset, pose in things:
        vertices = moved(pose, asset.vertices_m)
        assert vertices[:, 2].min() > 0, "above the table, by the thickness of the floor"
        below = vertices[vertices[:, 2] < seen[:, 2].max() - 0.02]
        walls = np.abs(seen[:, :2]).max(0) if crate.asset.name != "cardboard_crate" else (0.3, 0.22)
        assert (np.abs(below[:, :2]) < walls).all()
        assert (np.abs(vertices.mean(0)[:2]) < walls).all()
    check_apart(things)


@pytest.mark.parametrize("index", range(SAMPLES))
def test_the_pile_stays_where_it_is(index: int) -> None:
    things, rng = objects(world(index)), rng_for(0, index)
    width, depth, height, friction = (
        float(draw(getattr(scene(), name), rng, name)) for name in ("width_m", "depth_m", "height_m", "friction")
    )
    crate = Crate(world(index).bodies[-2].asset.name.removesuffix("_crate"), width, depth, height)
    for (_, before), after in zip(things, settle(things, crate.blocks(guided=False), friction=friction), strict=True):
        assert np.linalg.norm(after[:3, 3] - before[:3, 3]) < 2 * DEEP_M


@pytest.mark.parametrize("index", range(2))
def test_visible_fractions_are_those_of_each_body_rendered_alone(index: int) -> None:
    """By rays through pixel centres, each body on its own: what it covers alone, and where it is the nearest of all."""
    sample, camera = labelled(index), labelled(index).camera
    assert camera is not None
    made = replace(scene(), camera=replace(scene().camera, width=240, height=180)).compose(rng_for(0, index))
    ways = directions(camera, centers(0, 0, camera.width, camera.height))
    depths = []
    for body in made.bodies:
        depth = np.full(len(ways), np.inf)
        for mesh, material in body.parts:
            solid = trimesh.Trimesh(moved(camera_from_object(camera, body), mesh.vertices_m), mesh.faces, process=False)
            if not material.double_sided:
                facing = (solid.face_normals * solid.triangles_center).sum(1) < 0
                solid.update_faces(facing)
            if not len(solid.faces):
                continue
            rays = trimesh.ray.ray_pyembree.RayMeshIntersector(solid)
            places, hit, _ = rays.intersects_location(np.zeros_like(ways), ways, multiple_hits=False)
            np.minimum.at(depth, hit, places[:, 2])
        depths.append(depth)
    nearest = np.argmin(depths, axis=0)
    hidden = 0
    assert len(sample.instances) == sum(body.category is not None for body in made.bodies)
    for i, instance in enumerate(sample.instances):
        alone = np.isfinite(depths[i])
        seen = alone & (nearest == i)
        assert instance.mask_full is not None
        full = instance.mask_full.decode().ravel()
        assert (full ^ alone).sum() <= max(6, 0.02 * alone.sum())
        if instance.truncated_fraction == 0 and alone.sum() > 200:
            assert instance.visible_fraction == pytest.approx(seen.sum() / alone.sum(), abs=0.03)
            hidden += seen.sum() < 0.7 * alone.sum()
        if instance.mask is not None and instance.box_full_xyxy is not None and instance.box_xyxy is not None:
            x0, y0, x1, y1 = instance.box_full_xyxy
            a0, b0, a1, b1 = instance.box_xyxy
            assert x0 <= a0 + 1
            assert y0 <= b0 + 1
            assert x1 >= a1 - 1
            assert y1 >= b1 - 1
    assert hidden, "some hide a good part of others"


def test_a_bin_of_one_kind_holds_one_kind() -> None:
    made = Bin(one_kind=1.0, objects=5, kinds=("gelatin_box", "sugar_box")).compose(rng_for(3, 1))
    assert len({body.asset.name for body in made.bodies if body.category}) == 1
    assert len([body for body in made.bodies if body.category]) == 5
    assert [c.name for c in Bin(kinds=("gelatin_box",)).categories] == ["box"]


def test_no_more_are_dropped_than_fill_the_bin() -> None:
    made = Bin(objects=20, kinds=("cracker_box",), width_m=0.4, depth_m=0.3, height_m=0.2, fill=0.4).compose(rng_for(0, 0))
    volume = ConvexHull(made.bodies[0].asset.vertices_m).volume
    assert len(objects(made)) == int(0.4 * 0.4 * 0.3 * 0.2 / volume)


def test_an_empty_bin_is_a_crate_on_a_table() -> None:
    assert len(Bin(objects=0).compose(rng_for(0, 0)).bodies) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_crates_are_around_their_inside(kind: str) -> None:
    crate = Crate(kind, 0.5, 0.4, 0.2)
    vertices = crate.body(rng_for(0, 0)).asset.vertices_m
    inside = (np.abs(vertices[:, :2]) < (0.249, 0.199)).all(1) & (vertices[:, 2] > crate.wall_m + 0.001) & (vertices[:, 2] < crate.rim_m)
    assert not inside.any(), "nothing of it is where things lie"
    assert abs(vertices[:, 2].min()) < 0.004
    assert vertices[:, 2].max() == pytest.approx(crate.rim_m, abs=0.004)
    floor, *walls = crate.blocks(guided=False)
    assert floor.world_from_block[2, 3] + floor.size_m[2] / 2 == pytest.approx(crate.wall_m)
    assert len(walls) == 4
    for wall in walls:
        reach = np.abs(wall.world_from_block[:2, 3]) - np.array(wall.size_m[:2]) / 2
        assert np.isclose(reach, (0.25, 0.2)).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bin(objects=-1), r"objects must be in \[0, 200\], got -1"),
        (lambda: Bin(crate="woood"), "no kind of crate 'woood'; .*known: cardboard, plastic, wire"),
        (lambda: Bin(kinds=[]), "kinds must name at least one object"),
        (lambda: Bin(kinds=["lemon"]), "kinds: 'lemon' has no category"),
        (lambda: Bin(one_kind=2), r"one_kind must be in \[0, 1\], got 2"),
        (lambda: Bin(tint=2), r"tint must be in \[0, 1\], got 2"),
    ],
)
def test_a_wrong_parameter_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_does_not_fit_says_so() -> None:
    with pytest.raises(SceneError, match=r"'cracker_box' is too large for 0.05 x 0.05 m"):
        Bin(kinds=("cracker_box",), width_m=0.06, depth_m=0.06, fill=9.0, objects=1, camera=CameraRig()).compose(rng_for(0, 0))
    with pytest.raises(SceneError, match=r"14 objects found no rest in a bin of 0.20 x 0.20 x 0.05 m, dropped 6 times; the last time"):
        Bin(objects=14, kinds=("gelatin_box",), width_m=0.2, depth_m=0.2, height_m=0.05, fill=9.0).compose(rng_for(0, 0))
