"""The scanner's view: things lie on the skin, in the zone they name, and masks are where rays see them."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import trimesh
import yaml
from scipy.spatial import cKDTree
from synth_scenes.contraband import SHAPES, contraband, laid
from synth_scenes.scanner import VIEWS, ZONES, Scanner

from synth.annotate import annotate, finish
from synth.config.build import build
from synth.errors import ConfigError, SceneError
from synth.geometry import project, transform
from synth.rand import Choice, rng_for
from synth.render.pyrender import PyrenderSpec
from synth.types import F64, World
from tests.oracle.caster import Truth
from tests.oracle.checks import check_frame

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/scanner.yaml"


@cache
def scene() -> Scanner:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    built = build(values | {"width": 360, "height": 480})
    assert isinstance(built, Scanner)
    return built


@cache
def world(index: int) -> World:
    return scene().compose(rng_for(2, index, "scene"))


def test_masks_are_where_rays_see_things_and_what_faces_away_is_told() -> None:
    many = replace(scene(), objects=3)
    renderer = PyrenderSpec().open()
    seen = hidden = 0
    try:
        for index in range(8):
            made = many.compose(rng_for(0, index))
            frame, truth = renderer.render(made), Truth.of(made)
            assert [f for f in check_frame(truth, frame).findings if not f.startswith("depth:")] == []
            sample = finish(annotate(made, frame), many.categories)
            assert sample.info.attributes == made.attributes
            assert made.attributes is not None
            assert made.attributes["view"] in VIEWS
            for number, (body, instance) in enumerate(zip(made.bodies, sample.instances, strict=False), start=1):
                assert instance.mask is not None
                want = truth.instance == number
                assert (instance.mask.decode() ^ want).sum() <= 2 + 0.2 * want.sum()
                assert instance.attributes == body.attributes
                assert body.attributes is not None
                assert body.attributes["zone"] in ZONES
                assert (instance.box_xyxy is None) == (not want.any())
                seen, hidden = seen + bool(want.any()), hidden + (not want.any())
    finally:
        renderer.close()
    assert seen > 16
    assert seen + hidden == 24


def bones(made: World) -> dict[str, tuple[F64, F64]]:
    """The limbs' joints, from the keypoints of the figure: its skeleton in the picture, not our table of zones."""
    points = {k.name: np.array(k.xyz_object_m) for k in made.bodies[-1].asset.keypoints}
    found = {}
    for which in ("left", "right"):
        for name, a, b in (
            ("bicep", "shoulder", "elbow"),
            ("forearm", "elbow", "wrist"),
            ("thigh", "hip", "knee"),
            ("calf", "knee", "ankle"),
        ):
            found[f"{which}_{name}"] = (points[f"{which}_{a}"], points[f"{which}_{b}"])
    neck, hips = ((points[f"left_{name}"] + points[f"right_{name}"]) / 2 for name in ("shoulder", "hip"))
    found["trunk"] = (neck, hips)
    return found


def share(at: F64, bone: tuple[F64, F64]) -> tuple[float, float]:
    """How far along a bone, and how far from it, a point is."""
    a, b = bone
    t = float((at - a) @ (b - a) / ((b - a) @ (b - a)))
    return t, float(np.linalg.norm(at - (a + np.clip(t, 0, 1) * (b - a))))


def test_zones_are_those_of_the_skeleton() -> None:
    found: Counter[str] = Counter()
    many = replace(scene(), objects=3, kinds=("coin",), facing=0.5)
    for index in range(60):
        made = many.compose(rng_for(1, index))
        limbs = bones(made)
        for body in made.bodies[:-1]:
            assert body.attributes is not None
            zone, at = body.attributes["zone"], body.world_from_object[:3, 3]
            found[zone] += 1
            which, _, part = zone.partition("_")
            if zone.startswith(("left", "right")):
                assert (at[1] > 0) == (which == "left"), zone
            along, _ = share(at, limbs["trunk"])
            if part in ("bicep", "forearm", "thigh", "calf"):
                t, away = share(at, limbs[zone])
                assert -0.15 < t < 1.15, zone
                assert away < 0.13, zone
                assert away == min(share(at, limb)[1] for name, limb in limbs.items() if name != "trunk") or away < 0.09
            elif part == "ankle":
                assert share(at, limbs[f"{which}_calf"])[0] > 0.68
            elif zone in ("upper_chest", "upper_back"):
                assert -0.1 < along < 0.55, zone
                normal = body.world_from_object[0, 2]
                assert (normal > 0) == (zone == "upper_chest")
            elif part == "abdomen":
                assert 0.25 < along < 0.95
            elif part == "hip":
                assert along > 0.6 or share(at, limbs[f"{which}_thigh"])[0] < 0.6
            elif zone == "groin":
                assert abs(at[1]) < 0.09
                assert along > 0.75
    assert set(found) == set(ZONES)


def test_things_lie_on_the_skin_apart_from_each_other() -> None:
    for index in range(8):
        made = world(index)
        *things, person = made.bodies
        skin = person.asset.meshes[0]
        tree = cKDTree(skin.vertices_m)
        for body in things:
            away, nearest = tree.query(body.world_from_object[:3, 3])
            assert away < 0.006
            low = transform(body.world_from_object, np.array([0, 0, 1.0])) - body.world_from_object[:3, 3]
            assert low @ skin.normals[nearest] > 0.9, "its upper side looks away from the body"
        places = [(b.world_from_object[:3, 3], b.asset.diameter_m / 2) for b in things]
        for i, (a, r) in enumerate(places):
            for b, q in places[:i]:
                assert np.linalg.norm(a - b) > r + q


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_are_closed_lie_on_their_plane_and_have_plausible_sizes(kind: str) -> None:
    longest = {"pistol": 0.25, "knife": 0.31, "bottle": 0.20, "phone": 0.19, "coin": 0.032, "block": 0.15}[kind]
    for i in range(5):
        asset = contraband(kind, rng_for(0, i))
        assert asset.vertices_m[:, 2].min() == pytest.approx(0, abs=1e-6)
        assert longest / 4 < asset.diameter_m < longest
        mesh = trimesh.Trimesh(asset.vertices_m, np.concatenate([m.faces for m in asset.meshes]))
        mesh.merge_vertices(merge_norm=True, merge_tex=True)
        assert mesh.volume > 0
    sizes = {contraband(kind, rng_for(0, i)).diameter_m for i in range(5)}
    assert len(sizes) == 5


def test_a_thing_lies_flat_on_what_it_is_laid_on() -> None:
    for normal in np.random.default_rng(0).normal(size=(20, 3)):
        unit = normal / np.linalg.norm(normal)
        pose_of = laid(np.array([1.0, 2, 3]), unit, 0.7)
        assert np.allclose(pose_of[:3, :3] @ pose_of[:3, :3].T, np.eye(3))
        assert np.linalg.det(pose_of[:3, :3]) == pytest.approx(1)
        assert np.allclose(pose_of[:3, 2], unit)


def test_the_whole_person_is_in_the_frame_from_front_and_back() -> None:
    for view, sign in (("front", 1), ("back", -1)):
        for index in range(6):
            made = replace(scene(), view=view).compose(rng_for(0, index))
            person = made.bodies[-1]
            assert person.category is None
            camera = made.camera
            xy = project(camera, transform(camera.camera_from_world, person.asset.vertices_m))
            assert (xy > 0).all()
            assert (xy < (camera.width, camera.height)).all()
            assert np.ptp(xy[:, 1]) > 0.6 * camera.height
            assert np.sign(camera.world_from_camera[0, 3]) == sign
            by_name = {k.name: k.xyz_object_m for k in person.asset.keypoints}
            assert by_name["left_wrist"][2] > by_name["left_shoulder"][2], "arms are raised"


def test_equal_streams_give_equal_worlds_and_the_defaults_are_those_of_the_option() -> None:
    fresh = pickle.loads(pickle.dumps(scene()))
    for index in range(3):
        a, b = fresh.compose(rng_for(2, index, "scene")), world(index)
        assert a.attributes == b.attributes
        assert [(x.world_from_object.tobytes(), x.asset.vertices_m.tobytes(), x.attributes) for x in a.bodies] == [
            (x.world_from_object.tobytes(), x.asset.vertices_m.tobytes(), x.attributes) for x in b.bodies
        ]
        assert a.environment.photo is not None
        assert np.array_equal(a.environment.photo, b.environment.photo)
    assert scene() == Scanner(360, 480)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scanner(view="side"), "view: no kind 'side'"),
        (lambda: Scanner(kinds=["gun"]), "kinds: no kind 'gun'"),
        (lambda: Scanner(kinds=[]), "kinds must name at least one; known: pistol, knife"),
        (lambda: Scanner(zones=["left_calves"]), "zones: no zone 'left_calves'; did you mean 'left_calf'"),
        (lambda: Scanner(facing=2), r"facing must be in \[0, 1\], got 2"),
        (lambda: Scanner(turn_rad=math.pi), r"turn_rad must be in \[-0.45, 0.45\]"),  # its view would be the other one
        (lambda: Scanner(width=0), r"width must be in \[1, 16384\], got 0"),
        (lambda: Scanner(view=Choice(["front", "top"])), "view: no kind 'top'"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_cannot_be_composed_says_so() -> None:
    with pytest.raises(SceneError, match="no place for a pistol on the body in 40 tries"):
        Scanner(objects=9, kinds=("pistol",), zones=("left_ankle",)).compose(rng_for(0, 0))
