"""People: COCO's keypoints where rays say they are, soles on the ground, joints within their limits, no arm in the body."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import yaml
from scipy.spatial.transform import Rotation
from synth_scenes.figure import PERSON, Build, planted, pose, sunk_m
from synth_scenes.figure_poses import GROUNDED, KINDS, draw_pose
from synth_scenes.figure_shapes import BOTTOMS, HAIR, TOPS
from synth_scenes.person import People, Person
from synth_scenes.skeleton import STATURE_M, Proportions, skeleton

from synth.annotate import KEYPOINT_TOLERANCE, annotate, finish
from synth.compose.cameras import CameraRig
from synth.config.build import build
from synth.errors import ConfigError, SceneError
from synth.geometry import transform
from synth.protocols import Renderer
from synth.rand import Choice, Uniform, rng_for
from synth.render.pyrender import PyrenderSpec
from synth.types import F64, Body, Sample, World
from tests.oracle.caster import Caster, Truth, centers, directions, image_points, moved
from tests.oracle.checks import check_frame, check_labels

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/person.yaml"
SAMPLES = 4


@cache
def scene() -> Person:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 480, "height": 360}
    built = build(values)
    assert isinstance(built, Person)
    return built


@cache
def world(index: int) -> World:
    return scene().compose(rng_for(3, index, "scene"))


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    opened = PyrenderSpec().open()
    yield opened
    opened.close()


def labelled(made: World, renderer: Renderer) -> Sample:
    return finish(annotate(made, renderer.render(made)), scene().categories)


# --- labels -----------------------------------------------------------------------------------------------------------


def test_the_category_is_cocos() -> None:
    """From the annotations of COCO 2017 (person_keypoints_val2017.json, categories) and its evaluation (cocoeval.py, kpt_oks_sigmas)."""
    assert PERSON.name == "person"
    assert PERSON.keypoints == (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    )
    # fmt: off
    edges = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2],
             [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]
    # fmt: on
    ours = {frozenset(PERSON.keypoints.index(name) + 1 for name in edge) for edge in PERSON.skeleton}
    assert ours == {frozenset(edge) for edge in edges}
    assert len(PERSON.skeleton) == 19
    sigmas = np.array([0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]) / 10
    assert pytest.approx(sigmas) == PERSON.sigmas
    swap = dict(PERSON.mirror) | {b: a for a, b in PERSON.mirror}
    assert all(swap[name].split("_")[1] == name.split("_")[1] for name in swap)
    assert len(swap) == 16


@pytest.mark.parametrize("index", range(SAMPLES))
def test_labels_against_rays(index: int, renderer: Renderer) -> None:
    made = world(index)
    frame, truth = renderer.render(made), Truth.of(made)
    sample = finish(annotate(made, frame), scene().categories)
    maps = check_frame(truth, frame)
    # Where cloth lies a fraction of a millimetre over skin, a renderer's depth of 24 bits may show either.
    assert [finding for finding in maps.findings if not finding.startswith("depth:")] == []
    body = ~truth.edge & (truth.instance > 0)
    assert (np.abs(frame.depth_m[body] / truth.depth_m[body] - 1) > 1e-3).sum() <= 5
    check_labels(truth, sample).assert_exact()


def visibility(truth: Truth, alone: Caster, number: int, body: Body, k: int, xyz: F64, xy: F64) -> int | None:
    """v of a keypoint in the frame by rays; None where they leave doubt (within 5 mm of the limit, at an edge of the mask)."""
    point = {p.name: p for p in body.asset.keypoints}[PERSON.keypoints[k]]
    column, row = np.floor(xy).astype(int).tolist()
    shows = truth.caster.cast(directions(truth.world.camera, centers(column - 1, row - 1, 3, 3))).number == number
    if not shows.any():
        return 1
    hit = alone.cast(xyz[None] / xyz[2])
    limit = KEYPOINT_TOLERANCE * body.asset.diameter_m + point.below_m
    front = xyz[2] - (1 / float(hit.inverse[0]) if hit.number[0] else math.inf)
    if front > limit + 0.005:
        return 1
    if front < limit - 0.005 and shows.all():
        return 2
    return None


def test_visibility_against_rays_with_limbs_that_hide_limbs(renderer: Renderer) -> None:
    seen = hidden = self_hidden = doubt = 0
    for index in range(8):
        made = world(index)
        truth, sample = Truth.of(made), labelled(made, renderer)
        for number, (body, instance) in enumerate(zip(made.bodies, sample.instances, strict=False), start=1):
            pose_of = np.linalg.inv(made.camera.world_from_camera) @ body.world_from_object
            by_name, alone = {p.name: p for p in body.asset.keypoints}, Caster(made, number)
            xyz = moved(pose_of, [by_name[name].xyz_object_m for name in PERSON.keypoints])
            xy = image_points(made.camera, xyz)
            assert instance.keypoints is not None
            assert instance.keypoints.xyz_m is not None
            assert np.allclose(instance.keypoints.xyz_m, xyz, atol=1e-9)
            inside = ((xy >= 0) & (xy < (480, 360))).all(axis=1)
            assert np.array_equal(instance.keypoints.v > 0, inside)
            for k in np.flatnonzero(inside).tolist():
                want = visibility(truth, alone, number, body, k, xyz[k], xy[k])
                assert want in (instance.keypoints.v[k], None), f"{index} {PERSON.keypoints[k]} is {instance.keypoints.v[k]}, rays: {want}"
                seen, hidden, doubt = seen + (want == 2), hidden + (want == 1), doubt + (want is None)
                column, row = np.floor(xy[k]).astype(int)
                self_hidden += want == 1 and bool(truth.instance[row, column] == number)
    print(f"seen {seen}, hidden {hidden}, of these by the person itself {self_hidden}, in doubt {doubt}")  # pytest -rP
    assert seen > 80
    assert self_hidden > 20
    assert doubt < 0.12 * (seen + hidden)


def test_a_far_arm_is_hidden_and_a_near_one_is_not(renderer: Renderer) -> None:
    """From the left: what is right of the trunk is hidden by it."""
    one = Person(persons=1, boxes=0, pose="stand", camera=CameraRig(480, 360, distance_m=4.0), people=People(hair="bald", girth=1.0))
    made = one.compose(rng_for(0, 4))
    body = made.bodies[0]
    toward = body.world_from_object[:3, :3] @ np.array([0.0, 1.0, 0.0])
    azimuth = math.atan2(toward[1], toward[0])
    rig = CameraRig(480, 360, distance_m=4.0, azimuth_rad=azimuth, elevation_rad=0.0, roll_rad=0.0, aim_error_m=0.0)
    made = replace(made, camera=rig.draw(rng_for(0, 0), body.world_from_object[:3, 3] + [0, 0, 0.9]))
    points = labelled(made, renderer).instances[0].keypoints
    assert points is not None
    v = dict(zip(PERSON.keypoints, points.v.tolist(), strict=True))
    assert {v[f"left_{name}"] for name in ("shoulder", "elbow", "wrist", "hip", "ear", "knee", "ankle")} == {2}
    assert {v[f"right_{name}"] for name in ("shoulder", "hip", "ear", "eye")} == {1}


# --- the figure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_poses_are_within_the_limits_stand_on_the_ground_and_sink_nowhere(kind: str) -> None:
    apart = 0
    for i in range(4):
        made = Build(float(i % 2), "short", ("tee", "jumper")[i % 2], ("jeans", "shorts")[i % 2], Proportions(girth=0.9 + 0.1 * i))
        angles = draw_pose(kind, rng_for(0, i))
        angles = planted(made, angles) if kind in GROUNDED else angles
        skeleton(made.proportions).checked(angles)
        posed = pose(made, angles)
        soles = posed.vertices_m["soles"]
        assert min(points[:, 2].min() for points in posed.vertices_m.values()) == pytest.approx(0, abs=1e-9)
        assert soles[:, 2].min() == pytest.approx(0, abs=1e-3)
        sides = [soles[: len(soles) // 2], soles[len(soles) // 2 :]]
        if kind in GROUNDED and kind != "squat":
            assert max(side[:, 2].min() for side in sides) < 0.004, "both feet stand"
        apart += sunk_m(posed) <= 0.012
    assert apart >= 1, "the scene draws again until arms are free"


def test_proportions_are_what_was_asked() -> None:
    tall = Proportions(1.1, girth=1.0)
    for proportions, height in ((Proportions(), STATURE_M), (tall, 1.1 * STATURE_M)):
        posed = pose(Build(0.0, "bald", proportions=proportions), {})
        top = max(points[:, 2].max() for points in posed.vertices_m.values())
        assert top == pytest.approx(height, rel=0.025)
    # Segments as shares of stature: Drillis and Contini (1966).
    joints = {name: frame[:3, 3] for name, frame in pose(Build(0.0, "bald"), {}).joints.items()}
    shares = {("left_thigh", "left_shin"): 0.245, ("left_shin", "left_foot"): 0.246, ("left_upper_arm", "left_forearm"): 0.186}
    for (a, b), share in shares.items():
        assert np.linalg.norm(joints[a] - joints[b]) / STATURE_M == pytest.approx(share, abs=0.015)
    assert joints["left_upper_arm"][2] / STATURE_M == pytest.approx(0.818, abs=0.015)
    broad = pose(Build(0.0, "bald", proportions=Proportions(shoulders=1.08)), {})
    assert broad.joints["left_upper_arm"][1, 3] > 1.05 * joints["left_upper_arm"][1]


def test_left_and_right_are_mirror_images() -> None:
    angles = {"left_upper_arm": (0.4, 0.7, 0.2), "left_forearm": 0.9, "left_wrist": 0.3, "left_thigh": (0.5, 0.2, -0.1), "left_shin": 0.6}
    mirrored = {name.replace("left", "right"): value for name, value in angles.items()}
    a, b = skeleton().poses(angles), skeleton().poses(mirrored)
    for name, frame in a.items():
        other = b[name.replace("left", "?").replace("right", "left").replace("?", "right")]
        assert np.allclose(frame[:3, 3] * (1, -1, 1), other[:3, 3])
        flip = np.diag([1.0, -1.0, 1.0])
        assert np.allclose(flip @ frame[:3, :3] @ flip, other[:3, :3])


def test_movements_go_the_way_their_names_say() -> None:
    def tip(link: str, angles: dict[str, Any], at: tuple[float, float, float] = (0, 0, -0.2)) -> F64:
        rest, moved_to = (skeleton().poses(given)[link] for given in ({}, angles))
        return transform(moved_to, np.array(at)) - transform(rest, np.array(at))

    assert tip("left_upper_arm", {"left_upper_arm": (0.5, 0, 0)})[0] > 0.05, "flexion is forward"
    assert tip("left_upper_arm", {"left_upper_arm": (0, 0.5, 0)})[1] > 0.05, "abduction is outward"
    assert tip("left_forearm", {"left_forearm": 0.5})[0] > 0.05
    assert tip("left_shin", {"left_shin": 0.5})[0] < -0.05, "a knee bends backward"
    assert tip("left_foot", {"left_foot": (0.3, 0, 0)}, (0.2, 0, 0))[2] > 0.03, "toes up"
    assert tip("head", {"neck": (0.3, 0, 0)}, (0, 0, 0.1))[0] > 0.02, "a nod is forward"
    assert tip("chest", {"spine": (0, 0, 0.3)}, (0.2, 0, 0))[1] > 0.03, "turns to the left"


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("bottom", BOTTOMS)
def test_keypoints_of_the_head_lie_on_its_surface(top: str, bottom: str) -> None:
    people = People(top=top, bottom=bottom, hair=Choice(HAIR), feminine=0.0)
    rng = rng_for(0, 1)
    asset = people.dressed(people.posed(people.build(rng), "stand", rng), rng)
    assert [k.name for k in asset.keypoints] == list(PERSON.keypoints)
    for point in asset.keypoints[:5]:
        away = np.linalg.norm(asset.vertices_m - point.xyz_object_m, axis=1).min()
        assert away < 0.006
        assert point.below_m == 0
    joints = {k.name: k for k in asset.keypoints[5:]}
    assert all(0.03 < k.below_m < 0.2 for k in joints.values())


# --- the scene --------------------------------------------------------------------------------------------------------


def facts(made: World) -> list[Any]:
    return [
        made.camera.world_from_camera.tobytes(),
        [(b.asset.vertices_m.tobytes(), b.world_from_object.tobytes(), b.attributes) for b in made.bodies],
        [
            (m.base_color, m.roughness, None if m.base_color_texture is None else m.base_color_texture.tobytes())
            for b in made.bodies
            for _, m in b.parts
        ],
        made.lights,
        made.exposure,
    ]


def test_equal_streams_give_equal_worlds() -> None:
    fresh = pickle.loads(pickle.dumps(scene()))
    for index in range(2):
        assert facts(fresh.compose(rng_for(3, index, "scene"))) == facts(world(index))
    assert facts(world(0))[1] != facts(world(1))[1]


def test_the_defaults_in_code_are_those_of_the_option() -> None:
    assert scene() == replace(Person(), camera=replace(Person().camera, width=480, height=360))


def test_all_stand_apart_on_the_ground_in_view() -> None:
    for index in range(8):
        made = world(index)
        assert [body.category is not None for body in made.bodies] == sorted((b.category is not None for b in made.bodies), reverse=True)
        for body in made.bodies[:-1]:
            assert transform(body.world_from_object, body.asset.vertices_m)[:, 2].min() == pytest.approx(0, abs=1e-6)
            if body.category:
                assert body.attributes is not None
                assert body.attributes["pose"] in KINDS
        places = [b.world_from_object[:2, 3] for b in made.bodies if b.category]
        assert all(np.linalg.norm(a - b) > 0.3 for i, a in enumerate(places) for b in places[:i])
    yaws = [Rotation.from_matrix(b.world_from_object[:3, :3]).as_euler("zyx")[0] for i in range(8) for b in world(i).bodies if b.category]
    assert np.std(yaws) > 1, "they face all ways"


def test_who_sits_has_a_seat_and_soles_on_the_ground() -> None:
    one = Person(persons=1, boxes=0, pose="sit")
    for index in range(3):
        person, seat, _ = one.compose(rng_for(0, index)).bodies
        assert seat.asset.name == "seat"
        low, high = seat.asset.vertices_m[:, 2].min(), seat.asset.vertices_m[:, 2].max()
        assert low == pytest.approx(0, abs=1e-6)
        assert 0.3 < high < 0.65
        cloth = next(mesh for mesh in person.asset.meshes[-3:-2]).vertices_m
        over = cloth[(np.abs(cloth[:, 0] - 0.0) < 0.12) & (np.abs(cloth[:, 1]) < 0.12)]
        assert over[:, 2].min() == pytest.approx(high, abs=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Person(pose="swim"), "pose: no kind 'swim'"),
        (lambda: Person(pose=Choice(["sit", "sleep"])), "pose: no kind 'sleep'"),
        (lambda: Person(persons=1.5), "persons must be whole"),
        (lambda: Person(ground=["lawn"]), "no photo 'lawn'"),
        (lambda: Person(ground_m=4.0), "ground_m can be 4, but the area is 4.24 across"),
        (lambda: Person(ground=[]), "ground must name at least one texture"),
        (lambda: Person(in_view=1.5), r"in_view must be in \[0, 1\], got 1.5"),
        (lambda: People(stature_m=175), r"people.stature_m must be in \[1.2, 2.2\], got 175"),
        (lambda: People(skin_tone=Uniform(0, 10)), r"people.skin_tone must be in \[1, 10\]"),
        (lambda: People(hair="mohawk"), "people.hair: no kind 'mohawk'"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_cannot_be_composed_says_so() -> None:
    with pytest.raises(SceneError, match="no camera in 100 tries has 100% of the joints"):
        Person(persons=2, boxes=0, pose="stand", in_view=1.0, camera=CameraRig(fov_rad=0.05, distance_m=3.0)).compose(rng_for(0, 0))
