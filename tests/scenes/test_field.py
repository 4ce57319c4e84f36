"""The field: rows are straight, stems stand in the soil apart from one another, labels agree with rays, parameters do what they say."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import trimesh
import yaml
from synth_scenes.field import Earth, Field, Rows
from synth_scenes.foliage import Leaves
from synth_scenes.ground import Soil, soil_under
from synth_scenes.plants import SPECIES, plant

from synth.annotate import KEYPOINT_TOLERANCE, annotate, finish
from synth.compose.cameras import CameraRig
from synth.config.build import build
from synth.content import Contents
from synth.errors import ConfigError, SceneError
from synth.geometry import project, transform
from synth.protocols import Scene
from synth.rand import Uniform, rng_for
from synth.render.flat import FlatSpec
from synth.render.pyrender import PyrenderSpec
from synth.types import Body, Sample, World
from tests.oracle.caster import Truth, image_points
from tests.oracle.checks import Report, check_frame, check_labels, visibility

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/field.yaml"
SMALL = replace(Field(), camera=replace(Field().camera, width=400, height=300))
SAMPLES = 4


@cache
def world(index: int) -> World:
    return SMALL.compose(rng_for(0, index, "scene"))


@cache
def sample(index: int) -> Sample:
    with closing(FlatSpec().open()) as renderer:
        return finish(annotate(world(index), renderer.render(world(index))), SMALL.categories)


def stood(body: Body) -> np.ndarray:
    return transform(body.world_from_object, body.asset.vertices_m)


def plants(made: World) -> list[Body]:
    return [body for body in made.bodies if body.asset.name in SPECIES]


def test_the_option_is_the_default_and_a_scene() -> None:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 640, "height": 480}
    assert build(values) == Field()
    assert isinstance(Field(), Scene)


def test_equal_streams_give_equal_worlds() -> None:
    contents = Contents()
    fresh = pickle.loads(pickle.dumps(SMALL))
    assert contents.digest(fresh.compose(rng_for(0, 1, "scene"))) == contents.digest(world(1))
    assert contents.digest(SMALL.compose(rng_for(0, 1, "scene"))) == contents.digest(world(1)) != contents.digest(world(2))


# --- the truth of rays ------------------------------------------------------------------------------------------------


def stems_seen(truth: Truth, labelled: Sample) -> Report:
    """v of each stem in the frame, where rays leave no doubt. What stands above the soil as far as the crown does counts as the stem."""
    report, made = Report(), truth.world
    bodies = [(number, body) for number, body in enumerate(made.bodies, start=1) if body.category]
    for (number, body), instance in zip(bodies, labelled.instances, strict=True):
        assert instance.keypoints is not None
        xyz = (np.linalg.inv(made.camera.world_from_camera) @ body.world_from_object)[:3, 3]
        xy = image_points(made.camera, xyz[None])[0]
        v = int(instance.keypoints.v[0])
        if not (xy >= 0).all() or not (xy < (made.camera.width, made.camera.height)).all():
            report.unless(v == 0, f"stem {number} is out of the frame, v {v}")
            continue
        (stem,) = body.asset.keypoints
        want = visibility(truth, number, xyz, xy, False, KEYPOINT_TOLERANCE * body.asset.diameter_m + stem.below_m)
        report.unless(want in (v, None), f"stem {number} ({body.asset.name}): v is {v} instead of {want}")
        report.seen += want == 2
        report.unseen += want == 1
    return report


def test_masks_boxes_fractions_and_stems_agree_with_rays() -> None:
    total = Report()
    with closing(PyrenderSpec().open()) as renderer:
        for index in range(3):
            made = world(index)
            frame, truth = renderer.render(made), Truth.of(made)
            labelled = finish(annotate(made, frame), SMALL.categories)
            total += check_frame(truth, frame) + check_labels(truth, labelled) + stems_seen(truth, labelled)
    total.assert_exact()
    assert total.instances > 20
    assert total.seen > 5
    assert total.unseen >= 2


def test_a_stem_is_where_a_ray_from_below_the_plant_leaves_the_soil() -> None:
    """The keypoint is on the ground: rays straight down at its x and y, at the soil alone, meet it there."""
    for index in range(SAMPLES):
        made = world(index)
        soil = next(body for body in made.bodies if body.asset.name == "soil")
        mesh = trimesh.Trimesh(stood(soil), soil.asset.meshes[0].faces, process=False)
        stems = np.array([body.world_from_object[:3, 3] for body in plants(made)])
        hits, ray, _ = mesh.ray.intersects_location(stems + (0, 0, 1), np.tile([0, 0, -1.0], (len(stems), 1)), multiple_hits=False)
        assert len(hits) == len(stems)
        assert np.abs(hits[np.argsort(ray)] - stems).max() < 1e-5
        labelled = [body for body in made.bodies if body.category]
        for body, instance in zip(labelled, sample(index).instances, strict=True):
            assert instance.keypoints is not None
            found = transform(made.camera.world_from_camera, instance.keypoints.xyz_m)[0]
            assert np.allclose(found, body.world_from_object[:3, 3], atol=1e-9)


# --- plants and soil --------------------------------------------------------------------------------------------------


def test_leaves_neither_sink_nor_do_stems_float() -> None:
    for index in range(SAMPLES):
        made = world(index)
        soil = next(body for body in made.bodies if body.asset.name == "soil")
        mesh = trimesh.Trimesh(stood(soil), soil.asset.meshes[0].faces, process=False)
        for body in plants(made):
            points = stood(body)
            origin = body.world_from_object[:3, 3]
            far = points[np.linalg.norm(points[:, :2] - origin[:2], axis=1) > 0.02]
            above = far + (0, 0, 1)
            hits, ray, _ = mesh.ray.intersects_location(above, np.tile([0, 0, -1.0], (len(far), 1)), multiple_hits=False)
            assert (far[ray, 2] - hits[:, 2]).min(initial=1) > 0.002, "no leaf under the soil"
            assert points[:, 2].min() <= origin[2] - 0.009, "the stem goes into the soil"
            assert np.linalg.norm(points - origin, axis=1).min() < 0.012


def test_no_stone_or_straw_goes_through_a_leaf() -> None:
    """No edge of a stone or a blade of straw meets a triangle of a leaf."""
    shares: list[float] = []
    littered = replace(SMALL, earth=replace(SMALL.earth, stones=300.0, stone_m=0.03, straws=300.0))
    for index in range(2):
        made = littered.compose(rng_for(0, index, "scene"))
        lying = [body for body in made.bodies if body.asset.name in ("stones", "straw")]
        assert len(lying) == 2
        faces, points, start = [], [], 0
        for body in plants(made):
            faces.append(body.asset.meshes[0].faces + start)
            points.append(stood(body))
            start += len(points[-1])
        mesh = trimesh.Trimesh(np.concatenate(points), np.concatenate(faces), process=False)
        for body in lying:
            corners = stood(body)[body.asset.meshes[0].faces]
            begin, end = corners.reshape(-1, 3), np.roll(corners, -1, axis=1).reshape(-1, 3)
            hits, ray, _ = mesh.ray.intersects_location(begin, end - begin, multiple_hits=False)
            reached = np.linalg.norm(hits - begin[ray], axis=1) < np.linalg.norm(end - begin, axis=1)[ray]
            shares.append(reached.sum() / len(begin))
    assert max(shares) == 0


def test_stems_are_apart() -> None:
    apart = replace(SMALL, clearance_m=0.03, weeds=60.0)
    for index in range(3):
        made = apart.compose(rng_for(1, index, "scene"))
        xy = np.array([body.world_from_object[:2, 3] for body in plants(made)])
        gaps = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + np.eye(len(xy))
        weeds = np.array([body.asset.name in apart.weed_kinds for body in plants(made)])
        assert gaps[weeds].min() >= 0.03


def test_rows_are_straight_and_as_far_apart_as_asked() -> None:
    rows = Rows(spacing_m=0.3, step_m=0.1, across_m=Uniform(-0.004, 0.004), along_m=0.0, missing=0.2)
    made = replace(SMALL, rows=rows, weeds=0, crops=("beet",), camera=CameraRig(400, 300, 1.2, distance_m=1.2, elevation_rad=1.57)).compose(
        rng_for(0, 0)
    )
    xy = np.array([body.world_from_object[:2, 3] for body in plants(made)])
    row = np.round(xy[:, 0] / 0.3)
    assert len(np.unique(row)) >= 3
    assert np.abs(xy[:, 0] - row * 0.3).max() <= 0.004
    for r in np.unique(row):
        steps = np.diff(np.sort(xy[row == r, 1])) / 0.1
        assert np.allclose(steps, np.round(steps), atol=1e-6)
        assert steps.min() > 0.5
    wanted = (np.ptp(xy[:, 1]) / 0.1 + 1) * len(np.unique(row))
    assert 0.65 < len(xy) / wanted < 0.95, "a fifth is missing"


def test_gaps_and_counts_follow_their_parameters() -> None:
    none = replace(SMALL, rows=replace(SMALL.rows, missing=1.0), weeds=0, robot_shadow=0)
    assert {body.asset.name for body in none.compose(rng_for(0, 0)).bodies} <= {"soil", "stones", "straw"}
    kinds = Counter(body.asset.name for i in range(6) for body in plants(replace(SMALL, weeds=40.0).compose(rng_for(3, i))))
    assert set(kinds) == set(SPECIES)
    near = replace(SMALL, weeds=20.0, near_crop=1.0).compose(rng_for(0, 0))
    crop = np.array([b.world_from_object[:2, 3] for b in plants(near) if b.asset.name in SMALL.crops])
    weeds = np.array([b.world_from_object[:2, 3] for b in plants(near) if b.asset.name in SMALL.weed_kinds])
    assert np.linalg.norm(weeds[:, None] - crop[None], axis=-1).min(axis=1).max() <= 0.08


def test_one_crop_in_a_picture_and_categories_by_group_or_species() -> None:
    for index in range(SAMPLES):
        assert len({body.asset.name for body in plants(world(index)) if body.asset.name in SMALL.crops}) <= 1
    assert [c.name for c in SMALL.categories] == ["crop", "weed"]
    single = replace(SMALL, labels="species")
    assert [c.name for c in single.categories] == [*SMALL.crops, *SMALL.weed_kinds]
    for body in single.compose(rng_for(0, 0)).bodies:
        if body.category:
            assert body.category.name == body.asset.name
            assert body.attributes is not None
            assert body.attributes["species"] == body.asset.name
    volunteers = replace(SMALL, crops=("maize",), weed_kinds=("maize", "grass"))
    groups = {body.category.name for i in range(3) for body in volunteers.compose(rng_for(0, i)).bodies if body.category}
    assert groups == {"crop", "weed"}


def test_only_what_reaches_into_the_frame_is_labelled() -> None:
    for index in range(SAMPLES):
        made = world(index)
        for body in plants(made):
            points = transform(made.camera.camera_from_world, stood(body))
            xy = project(made.camera, points)
            assert (body.category is not None) == bool(((xy >= 0) & (xy < (400, 300))).all(axis=1).any())


@pytest.mark.parametrize("kind", SPECIES)
def test_plants_grow(kind: str) -> None:
    sizes, leaves = [], []
    for growth in (0.0, 0.5, 1.0):
        grown = [plant(kind, growth, rng_for(0, i), lambda points: np.zeros(len(points))) for i in range(8)]
        sizes.append(np.mean([asset.diameter_m for asset, _ in grown]))
        leaves.append(np.mean([count for _, count in grown]))
        for asset, _ in grown:
            (mesh,) = asset.meshes
            assert mesh.material.double_sided
            assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
            assert mesh.uv is not None
            assert 0 <= mesh.uv.min() <= mesh.uv.max() <= 1
    assert sizes == sorted(sizes)
    assert leaves == sorted(leaves)
    assert 1.5 < sizes[2] / sizes[0] < 9
    assert 0.02 < sizes[0] < sizes[2] < 0.8


def test_a_straight_leaf_is_as_long_and_wide_as_asked() -> None:
    one = np.ones(1)
    leaf = Leaves("lance", np.zeros((1, 3)), 0 * one, 0.2 * one, 0.05 * one, 0.3 * one, 0 * one, 0 * one, 0 * one, 0 * one, 0.0, 0.001)
    (grid,) = leaf.grid()
    assert np.linalg.norm(grid[-1, 3] - grid[0, 3]) == pytest.approx(0.2, rel=1e-6)
    assert math.atan2(grid[-1, 3, 2], grid[-1, 3, 0]) == pytest.approx(0.3)
    assert np.linalg.norm(grid[:, 0] - grid[:, -1], axis=1).max() == pytest.approx(0.05, rel=0.03)


def test_heights_between_are_those_of_the_triangles() -> None:
    on = soil_under((-0.3, -0.2, 0.3, 0.2), np.array([0.0]), rng_for(0, 0), 0.03, 0.005)
    body = on.body(rng_for(0, 1), 0.3)
    mesh = trimesh.Trimesh(body.asset.vertices_m, body.asset.meshes[0].faces, process=False)
    points = np.random.default_rng(0).uniform((-0.29, -0.19), (0.29, 0.19), (300, 2))
    hits, ray, _ = mesh.ray.intersects_location(np.c_[points, np.ones(300)], np.tile([0, 0, -1.0], (300, 1)), multiple_hits=False)
    assert np.abs(hits[:, 2] - on.at(points[ray])).max() < 1e-5
    assert on.at(np.array([[9.0, 9.0]]))[0] == on.heights_m[-1, -1]
    middle, beside = (on.at(np.column_stack([np.full(60, x), np.linspace(-0.19, 0.19, 60)])).mean() for x in (0.0, 0.15))
    assert middle < beside, "the row lies in a furrow"


def test_wet_soil_is_darker_and_the_robots_shadow_falls_into_the_picture() -> None:
    def picture(scene: Field) -> float:
        with closing(PyrenderSpec().open()) as renderer:
            return float(renderer.render(scene.compose(rng_for(0, 5, "scene"))).rgb.mean())

    bare = replace(SMALL, weeds=0, rows=replace(SMALL.rows, missing=1.0), robot_shadow=0.0, lights=replace(SMALL.lights, irradiance=3.0))
    dry, wet = (picture(replace(bare, earth=Earth(moisture=moisture))) for moisture in (0.0, 1.0))
    assert wet < 0.8 * dry
    assert picture(replace(bare, robot_shadow=1.0)) < 0.97 * picture(bare)


# --- wrong calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Field(crops=["beat"]), "crops: no kind of plant 'beat'; did you mean 'beet'"),
        (lambda: Field(weed_kinds=[]), "weed_kinds must name at least one kind of plant, as grass"),
        (lambda: Field(labels="kind"), "labels: no way to label 'kind'; known: group, species"),
        (lambda: Field(labels="species", weed_kinds=["maize"]), "crops and weed_kinds both name maize"),
        (lambda: Field(weeds=-1), r"weeds must be in \[0, 500\], got -1"),
        (lambda: Rows(spacing_m=0), r"rows.spacing_m must be in \[0.05, 5\], got 0"),
        (lambda: Earth(moisture=2), r"earth.moisture must be in \[0, 1\], got 2"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_cannot_be_composed_says_so() -> None:
    with pytest.raises(SceneError, match="the camera sees the horizon"):
        replace(SMALL, camera=CameraRig(elevation_rad=0.1)).compose(rng_for(0, 0))
    with pytest.raises(SceneError, match=r"sees ground .* m away, more than 10 m: lower camera.distance_m"):
        replace(SMALL, camera=CameraRig(elevation_rad=1.57, distance_m=20.0)).compose(rng_for(0, 0))
    with pytest.raises(SceneError, match=r"no free place for weed .* lower weeds, or clearance_m"):
        replace(SMALL, weeds=80.0, clearance_m=0.5).compose(rng_for(0, 0))


def test_soil_outside_its_rectangle_is_flat_as_its_edge() -> None:
    flat = Soil((0, 0, 1, 1), np.array([[0.0, 1.0], [2.0, 3.0]]))
    assert flat.at(np.array([[0.5, 0.5], [1.0, 0.0], [-5.0, 5.0]])).tolist() == [1.5, 1.0, 2.0]
