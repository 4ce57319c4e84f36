"""The tabletop: a pure function of its stream, nothing floats or touches, the camera sees the objects, and wrong keys are one message."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synth_scenes
import yaml
from PIL import Image
from scipy.spatial import ConvexHull, cKDTree
from synth_scenes import furniture, library
from synth_scenes.surroundings import Surroundings
from synth_scenes.tabletop import Table, Tabletop

from synth.assets import Limits
from synth.blackbody import blackbody
from synth.compose.cameras import CameraRig
from synth.compose.lights import Lights
from synth.config.build import build
from synth.errors import ConfigError, SceneError
from synth.geometry import project, transform
from synth.protocols import Scene
from synth.rand import Choice, Integers, Uniform, rng_for
from synth.recipe import Recipe
from synth.render.flat import FlatSpec
from synth.types import Body, DirectionalLight, World

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/tabletop.yaml"
SAMPLES = 20


def option(**camera: int) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 640, "height": 480} | camera
    return values


@cache
def scene() -> Tabletop:
    built = build(option())
    assert isinstance(built, Tabletop)
    return built


@cache
def world(index: int, seed: int = 0) -> World:
    return scene().compose(rng_for(seed, index))


def facts(world: World) -> list[Any]:
    """All numbers of a world."""
    environment = world.environment
    return [
        world.camera.world_from_camera.tobytes(),
        world.camera.image_from_camera.tobytes(),
        [(b.asset.name, b.category and b.category.name, b.world_from_object.tobytes()) for b in world.bodies],
        [(m.base_color, m.roughness) for b in world.bodies for _, m in b.parts],
        world.lights,
        (environment.intensity, environment.yaw_rad, environment.color, world.exposure),
        [None if a is None else a.shape for a in (environment.hdri, environment.photo)],
        world.bodies[-1].asset.vertices_m.tobytes(),
    ]


def stood(body: Body) -> np.ndarray:
    return transform(body.world_from_object, body.asset.vertices_m)


def test_equal_streams_give_equal_worlds_and_other_indices_other_ones() -> None:
    assert isinstance(scene(), Scene)
    for index in range(5):
        assert facts(scene().compose(rng_for(0, index))) == facts(world(index))
    fresh = pickle.loads(pickle.dumps(build(option())))
    assert facts(fresh.compose(rng_for(0, 3))) == facts(world(3))
    poses = {body.world_from_object.tobytes() for index in range(5) for body in world(index).bodies[:-1]}
    assert len(poses) == sum(len(world(index).bodies) - 1 for index in range(5))
    assert facts(world(0)) != facts(world(0, seed=1))


def test_the_defaults_in_code_are_those_of_the_option() -> None:
    assert scene() == replace(Tabletop(), camera=CameraRig(640, 480))


def test_nothing_floats_sinks_or_touches() -> None:
    for index in range(SAMPLES):
        *bodies, table = world(index).bodies
        top = stood(table)
        assert top[:, 2].max() == 0
        assert table.category is None
        edge = ConvexHull(top[top[:, 2] > -0.004][:, :2]).equations
        rims = []
        for body in bodies:
            vertices = stood(body)
            assert abs(vertices[:, 2].min()) < 1e-9
            assert (edge[:, :2] @ vertices[:, :2].T + edge[:, 2:]).max() < 0, "nothing hangs over the edge"
            corners = vertices[ConvexHull(vertices[:, :2]).vertices, :2]
            rims.append(
                np.concatenate(
                    [a + (b - a) * np.linspace(0, 1, 20)[:, None] for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
                )
            )
        for i in range(len(rims)):
            for j in range(i):
                assert cKDTree(rims[i]).query(rims[j])[0].min() >= 0.005 - 1e-9
                assert not (ConvexHull(rims[i]).equations @ np.vstack([rims[j].T, np.ones(len(rims[j]))]) < 0).all(0).any()


def test_most_objects_are_in_view_and_the_camera_is_in_none() -> None:
    shares = []
    for index in range(SAMPLES):
        camera, bodies = world(index).camera, world(index).bodies
        middles = transform(
            camera.camera_from_world, np.array([transform(b.world_from_object, b.asset.box_object_m[0]) for b in bodies if b.category])
        )
        xy = project(camera, middles)
        seen = (middles[:, 2] > 0) & (xy > 0).all(1) & (xy < (camera.width, camera.height)).all(1)
        assert seen.mean() >= 0.75
        shares.append(seen.mean())
        eye = camera.world_from_camera[:3, 3]
        assert eye[2] > 0
        assert min(np.linalg.norm(stood(b) - eye, axis=1).min() for b in bodies[:-1]) > camera.near_m
    assert np.mean(shares) > 0.9


def test_categories_are_those_of_the_kinds_in_order_and_all_occur() -> None:
    assert [c.name for c in scene().categories] == ["box", "cube", "tin", "can", "mug", "bottle", "banana"]
    assert [c.name for c in Tabletop(kinds=("mug", "cracker_box", "sugar_box")).categories] == ["mug", "box"]
    found = {b.category.name for index in range(SAMPLES) for b in world(index).bodies if b.category}
    assert found == {c.name for c in scene().categories}
    labelled = {b.asset.name for index in range(SAMPLES) for b in world(index).bodies if b.category}
    props = {b.asset.name for index in range(SAMPLES) for b in world(index).bodies if not b.category}
    assert props >= {"table", "ball", "lemon"}
    assert not labelled & props


def test_counts_and_sizes_are_as_asked() -> None:
    few = Tabletop(objects=4.0, distractors=2.0, upright=1.0, camera=CameraRig(320, 200))
    for index in range(5):
        made = few.compose(rng_for(0, index))
        assert [b.category is not None for b in made.bodies] == [True] * 4 + [False] * 3
        assert (made.camera.width, made.camera.height) == (320, 200)
        for body in made.bodies[:4]:
            assert body.world_from_object[2, 2] > 0.98, "scans stand as they were scanned"


def test_none_at_all_is_a_table() -> None:
    made = Tabletop(objects=0, distractors=0).compose(rng_for(0, 0))
    assert [b.asset.name for b in made.bodies] == ["table"]


def test_a_parameter_of_light_or_camera_moves_nothing_else() -> None:
    base = facts(world(7))
    lit = facts(replace(scene(), lights=Lights(irradiance=9.0, lamps=3, temperature_k=3000)).compose(rng_for(0, 7)))
    assert [a == b for a, b in zip(base, lit, strict=True)] == [True] * 4 + [False] + [True] * 3
    seen = facts(replace(scene(), camera=replace(scene().camera, roll_rad=0.3)).compose(rng_for(0, 7)))
    assert [a == b for a, b in zip(base, seen, strict=True)] == [False] + [True] * 7
    around = facts(replace(scene(), surroundings=Surroundings(kind="color")).compose(rng_for(0, 7)))
    assert around[:4] == base[:4]
    more = facts(replace(scene(), distractors=6).compose(rng_for(0, 7)))
    objects = sum(1 for b in world(7).bodies if b.category)
    assert [name for name, _, _ in more[2][:objects]] == [name for name, _, _ in base[2][:objects]]


def test_assets_and_textures_are_shared_between_samples() -> None:
    textures = {
        id(m.base_color_texture.base)
        for index in range(SAMPLES)
        for b in world(index).bodies
        for _, m in b.parts
        if m.base_color_texture is not None
    }
    assert len(textures) <= len(library.names("object")) + len(library.names("texture"))


def test_key_light_comes_from_the_brightest_part_of_the_surroundings(tmp_path: Path) -> None:
    import cv2

    hdri = np.full((32, 64, 3), 0.1, np.float32)
    hdri[10, 48] = 30  # column 0 looks along -x, clockwise from above: three quarters on it is -y... seen from above
    cv2.imwrite(str(tmp_path / "sun.hdr"), hdri)
    around = Surroundings(kind="hdri", hdris=[str(tmp_path / "sun.hdr")], yaw_rad=0.5, brightness=0.5)
    environment, azimuth = around.draw(rng_for(0, 0))
    assert math.cos(azimuth - (-math.pi / 2 + 0.5)) == pytest.approx(1, abs=2e-3)
    (key,) = Lights(azimuth_rad=0.0, lamps=0, elevation_rad=0.7).draw(rng_for(0, 0), azimuth)
    assert isinstance(key, DirectionalLight)
    assert math.atan2(-key.direction_world[1], -key.direction_world[0]) == pytest.approx(azimuth)
    assert -key.direction_world[2] == pytest.approx(math.sin(0.7))
    # brightness is the radiance of a white surface facing up
    assert environment.hdri is not None
    zenith = (np.arange(32) + 0.5) / 32 * math.pi
    weight = np.sin(zenith) * np.maximum(0, np.cos(zenith)) * math.pi / 32 * 2 * math.pi / 64
    irradiance = (environment.hdri.mean(2) * weight[:, None]).sum() * environment.intensity
    assert irradiance / math.pi == pytest.approx(0.5, rel=1e-3)


def test_blackbodies() -> None:
    assert blackbody(6504) == pytest.approx((1, 1, 1), abs=0.06)
    assert blackbody(3000) == pytest.approx((1.77, 0.84, 0.24), abs=0.1)
    for kelvin in (1700, 2222, 4000, 25000):
        assert np.dot(blackbody(kelvin), (0.2126, 0.7152, 0.0722)) == pytest.approx(1, abs=0.02)


# --- shapes made here -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_top", [False, True])
def test_the_table_is_closed_outward_and_of_its_size(round_top: bool) -> None:
    import trimesh

    top = furniture.table(1.2, 0.8, 0.03, 0.7, round_top, 0.5)
    slab, legs = top.meshes
    mesh = trimesh.Trimesh(slab.vertices_m, slab.faces)
    assert mesh.is_watertight
    area = math.pi / 4 * 1.2 * 0.8 if round_top else 1.2 * 0.8
    assert mesh.volume == pytest.approx(area * 0.03, rel=0.02)
    assert np.ptp(slab.vertices_m, axis=0) == pytest.approx((1.2, 0.8, 0.03), abs=1e-6)
    assert legs.vertices_m[:, 2].min() == pytest.approx(-0.7)
    assert np.abs(legs.vertices_m[:, :2]).max(0) == pytest.approx(np.abs(legs.vertices_m[:, :2]).max(0).clip(max=(0.6, 0.4)))
    for part in top.meshes:
        corners = part.vertices_m[part.faces].astype(np.float64)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.einsum("ij,ikj->ik", normals, part.normals[part.faces]) > 0).all()
    flat = slab.normals[:, 2] == 1
    assert slab.uv is not None
    assert np.allclose(np.ptp(slab.uv[flat], axis=0), np.array([1.194, 0.794]) / 0.5, atol=1e-6)


@pytest.mark.parametrize("kind", furniture.PROPS)
def test_props_are_closed_and_of_their_size(kind: str) -> None:
    import trimesh

    made = furniture.prop(kind, 50)
    mesh = trimesh.Trimesh(made.meshes[0].vertices_m, made.meshes[0].faces)
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert np.ptp(made.vertices_m, axis=0).max() == pytest.approx(0.05, rel=0.01)


# --- wrong calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tabletop(objects=-1), r"objects must be in \[0, 500\], got -1"),
        (lambda: Tabletop(objects=2.5), "objects must be whole: .* got 2.5"),
        (lambda: Tabletop(objects="many"), "objects must be a number or a distribution, got 'many'"),
        (lambda: Tabletop(objects=Uniform(2, 6)), r"objects must be whole: .* got Uniform\(2, 6\)"),
        (
            lambda: Tabletop(exposure=Choice(["bright"])),
            "exposure must be a number or a distribution of numbers, got .* which draws 'bright'",
        ),
        (lambda: Tabletop(upright=Uniform(0.5, 1.5)), r"upright must be in \[0, 1\], got Uniform\(0.5, 1.5\)"),
        (lambda: Tabletop(kinds=["mugg"]), "no object 'mugg'; did you mean 'mug'"),
        (lambda: Tabletop(kinds=["lemon"]), "kinds: 'lemon' has no category"),
        (lambda: Tabletop(kinds=[]), "kinds must name at least one object"),
        (lambda: Tabletop(kinds=["./gone.glb"]), r"object './gone.glb': there is no such file"),
        (lambda: Tabletop(distractor_kinds=["bal"]), "distractor_kinds: no object 'bal'.*simple props: ball, disc"),
        (lambda: Tabletop(area_width_m=2.0), r"area_width_m reaches 2, but table.width_m can be 0.95"),
        (lambda: Table(textures=["oak"]), "no texture 'oak'"),
        (lambda: Table(round=2), r"table.round must be in \[0, 1\], got 2"),
        (lambda: Surroundings(kind="hdr"), "no kind of surroundings 'hdr'; did you mean 'hdri'"),
        (lambda: Surroundings(kind=Choice(["hdri", "sky"])), "no kind of surroundings 'sky'"),
        (lambda: Surroundings(hdris=[]), "surroundings.hdris must name at least one"),
        (lambda: Surroundings(color=(1, 2)), "surroundings.color must be linear red, green, blue"),
        (lambda: Lights(elevation_rad=-0.1), r"lights.elevation_rad must be in \[0.05, 1.5708\], got -0.1"),
        (lambda: Lights(lamps=Integers(0, 99)), r"lights.lamps must be in \[0, 16\]"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_cannot_be_composed_says_so() -> None:
    with pytest.raises(SceneError, match=r"no free place for .* with 60 bodies on 0.75 x 0.60 m"):
        Tabletop(objects=60, distractors=0).compose(rng_for(0, 0))
    with pytest.raises(SceneError, match=r"no camera in 100 tries sees 100% of 4 objects"):
        Tabletop(objects=4, in_view=1.0, camera=CameraRig(fov_rad=0.05)).compose(rng_for(0, 0))


def test_a_mesh_of_ones_own(tmp_path: Path) -> None:
    corners = [(x, y, z) for z in (0, 8) for y in (0, 6) for x in (0, 10)]
    quads = [[1, 3, 4, 2], [5, 6, 8, 7], [1, 2, 6, 5], [2, 4, 8, 6], [4, 3, 7, 8], [3, 1, 5, 7]]
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + "".join("f " + " ".join(map(str, q)) + "\n" for q in quads)
    (tmp_path / "crate.obj").write_text(text)
    (tmp_path / "crate.asset.yaml").write_text("{unit: cm, category: crate, keypoints: box}")
    own = Tabletop(kinds=["mug", str(tmp_path / "crate.obj")], objects=5)
    assert [c.name for c in own.categories] == ["mug", "crate"]
    crates = [b for i in range(4) for b in own.compose(rng_for(0, i)).bodies if b.category and b.category.name == "crate"]
    assert crates
    assert np.allclose(crates[0].asset.box_object_m[1], (0.1, 0.06, 0.08))
    assert len(crates[0].asset.keypoints) == 8
    assert Limits().max_faces > 12


def test_what_a_mesh_names_belongs_to_the_recipe(tmp_path: Path) -> None:
    """A texture or material file beside a mesh that changed makes another run; the mesh's licence is named once."""
    (tmp_path / "wedge.asset.yaml").write_text("{category: wedge, licence: CC0-1.0}")
    corners = "v 0 0 0\nv 0.1 0 0\nv 0 0.1 0\nv 0 0 0.1\nvt 0 0\n"
    (tmp_path / "wedge.obj").write_text(
        f"mtllib wedge.mtl\n{corners}usemtl a\nf 1/1 3/1 2/1\nf 1/1 2/1 4/1\nf 2/1 3/1 4/1\nf 3/1 1/1 4/1\n"
    )
    (tmp_path / "wedge.mtl").write_text("newmtl a\nKd 1 0 0\nmap_Kd wedge.png\n")
    Image.new("RGB", (2, 2)).save(tmp_path / "wedge.png")
    scene = Tabletop(kinds=[str(tmp_path / "wedge.obj")])
    names = {path.name: licence for path, licence in scene.sources.items() if path.parent == tmp_path}
    assert names == {"wedge.obj": "CC0-1.0", "wedge.asset.yaml": "", "wedge.mtl": "", "wedge.png": ""}
    digests = [Recipe(scene, FlatSpec()).digest]
    Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "wedge.png")
    digests.append(Recipe(scene, FlatSpec()).digest)
    (tmp_path / "wedge.mtl").write_text("newmtl a\nKd 1 1 0\n")
    digests.append(Recipe(scene, FlatSpec()).digest)
    assert len(set(digests)) == 3
