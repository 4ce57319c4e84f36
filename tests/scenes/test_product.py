"""The product: any mesh, all poses, real photos' keypoints at real poses; nothing touches that lies; wrong calls are one message."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import synth_scenes
import yaml
from PIL import Image
from scipy.spatial import ConvexHull
from synth_scenes.product import Product, product_asset
from synth_scenes.showcase import Showcase

import synth
from synth import Generator, Recipe
from synth.assets import BOX_CORNERS
from synth.compose.cameras import CameraRig
from synth.config.build import build
from synth.errors import AssetError, ConfigError, SceneError
from synth.geometry import project, transform
from synth.protocols import Scene
from synth.rand import Uniform, rng_for
from synth.render.flat import FlatSpec
from synth.types import Camera, World

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/product.yaml"
DATA = Path(synth.__file__).parent.parent.parent / "shared/data"


def option(**values: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    found["camera"] |= {"width": 640, "height": 480}
    return found | values


def crate(folder: Path, size: tuple[float, float, float] = (0.1, 0.06, 0.08)) -> Path:
    """A plain box as a mesh without any description."""
    corners = [(x, y, z) for z in (0, size[2]) for y in (0, size[1]) for x in (0, size[0])]
    quads = [[1, 3, 4, 2], [5, 6, 8, 7], [1, 2, 6, 5], [2, 4, 8, 6], [4, 3, 7, 8], [3, 1, 5, 7]]
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + "".join("f " + " ".join(map(str, q)) + "\n" for q in quads)
    (folder / "crate.obj").write_text(text)
    return folder / "crate.obj"


@cache
def held() -> Product:
    """In the air, alone."""
    return Product(contact=0.0, room=0.0, hands=0, occluders=0, in_view=0.0, visible=0.0, background="color")


def facts(world: World) -> list[Any]:
    return [
        world.camera.world_from_camera.tobytes(),
        [(b.asset.name, b.world_from_object.tobytes()) for b in world.bodies],
        [(m.base_color, m.roughness) for b in world.bodies for _, m in b.parts],
        world.lights,
        (world.environment.intensity, world.environment.yaw_rad, world.exposure),
    ]


def test_the_defaults_in_code_are_those_of_the_option_and_equal_streams_give_equal_worlds() -> None:
    scene = build(option())
    assert scene == replace(Product(), camera=replace(Product().camera, width=640, height=480))
    assert isinstance(scene, Scene)
    for index in range(4):
        fresh = pickle.loads(pickle.dumps(scene))
        assert facts(fresh.compose(rng_for(0, index))) == facts(scene.compose(rng_for(0, index)))


def test_any_mesh_and_any_folder_by_one_override_each(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / "photos/green.png")
    scene = build(option(mesh=str(crate(tmp_path)), backgrounds=str(tmp_path / "photos"), background="photo"))
    assert isinstance(scene, Product)
    assert [c.name for c in scene.categories] == ["crate"]
    assert scene.categories[0].keypoints == BOX_CORNERS
    assert {p.name for p in scene.sources if p.is_relative_to(tmp_path)} == {"crate.obj", "green.png"}
    with Generator(Recipe(scene, FlatSpec())) as generator:
        for index in range(2):
            (instance,) = generator[index].instances
            assert instance.keypoints is not None
            assert instance.camera_from_object is not None
            assert instance.box3d_object_m is not None
            assert instance.box3d_object_m[1] == pytest.approx((0.1, 0.06, 0.08), abs=1e-6)
    world = scene.compose(rng_for(0, 0))
    assert world.environment.photo is not None
    assert (world.environment.photo == (10, 200, 30)).all()
    assert world.environment.hdri is not None, "the light"
    (tmp_path / "crate.asset.yaml").write_text("{category: chest, keypoints: {lid: [0.05, 0.03, 0.08]}}")
    named = Product(mesh=str(tmp_path / "crate.obj"))
    assert [(c.name, c.keypoints) for c in named.categories] == [("chest", ("lid",))]


def test_the_same_mesh_gives_one_asset(tmp_path: Path) -> None:
    path = crate(tmp_path)
    assert product_asset(path) is product_asset(path)


def test_held_poses_cover_all_rotations_evenly() -> None:
    """For a rotation drawn evenly, each axis is even on the sphere and the trace follows 1 + 2 cos(a), with density (1 - cos a) / pi."""
    turns = []
    for index in range(200):
        world = held().compose(rng_for(0, index))
        turns.append((world.camera.camera_from_world @ world.bodies[0].world_from_object)[:3, :3])
    for axis in range(3):
        mean = np.mean([turn[:, axis] for turn in turns], axis=0)
        assert np.linalg.norm(mean) < 4 / math.sqrt(3 * 200) * math.sqrt(3)
        assert np.allclose(np.cov(np.array([turn[:, axis] for turn in turns]).T), np.eye(3) / 3, atol=0.09)
    angles = np.sort([math.acos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) for turn in turns])
    expected = (angles - np.sin(angles)) / math.pi
    assert np.abs(expected - (np.arange(200) + 0.5) / 200).max() < 1.63 / math.sqrt(200), "Kolmogorov and Smirnov at 1 %"


def test_limits_of_the_pose_hold() -> None:
    scene = replace(held(), azimuth_rad=Uniform(-0.2, 0.2), elevation_rad=Uniform(0.3, 0.5), in_plane_rad=0.4)
    for index in range(10):
        world = scene.compose(rng_for(0, index))
        thing_from_camera = np.linalg.inv(world.camera.camera_from_world @ world.bodies[0].world_from_object)[:3, :3]
        outward = -thing_from_camera[:, 2]
        assert abs(math.atan2(outward[1], outward[0])) <= 0.2 + 1e-9
        assert 0.3 - 1e-9 <= math.asin(outward[2]) <= 0.5 + 1e-9
        up = thing_from_camera.T @ [0, 0, 1]
        assert math.atan2(up[0], -up[1]) == pytest.approx(0.4)  # clockwise in the picture


def test_sizes_on_screen_are_as_asked() -> None:
    rig = CameraRig(640, 480, size_share=0.5, offset=0.0, aim_error_m=0.0, roll_rad=0.0)
    for index in range(5):
        world = replace(held(), camera=rig).compose(rng_for(1, index))
        body, camera = world.bodies[0], world.camera
        xy = project(camera, transform(camera.camera_from_world @ body.world_from_object, body.asset.vertices_m))
        assert (np.ptp(xy, axis=0) / (640, 480)).max() == pytest.approx(0.5, abs=0.01)


def test_what_lies_stands_on_its_table_and_touches_nothing() -> None:
    scene = Product(contact=1.0, distractors=5)
    for index in range(5):
        *bodies, table = scene.compose(rng_for(0, index)).bodies
        top = transform(table.world_from_object, table.asset.vertices_m)
        assert top[:, 2].max() == 0
        rims = []
        for body in bodies:
            vertices = transform(body.world_from_object, body.asset.vertices_m)
            assert abs(vertices[:, 2].min()) < 1e-9
            rims.append(ConvexHull(vertices[:, :2]))
        for i, a in enumerate(rims):
            for b in rims[:i]:
                inside = a.equations @ np.vstack([b.points[b.vertices].T, np.ones(len(b.vertices))])
                assert not (inside < 0).all(axis=0).any()


def test_most_of_it_shows_and_hands_and_rooms_come() -> None:
    kinds: set[str] = set()
    with Generator(Recipe(Product(camera=CameraRig(320, 240, size_share=Uniform(0.3, 0.8)), visible=0.5), FlatSpec())) as generator:
        for index in range(8):
            (instance,) = generator[index].instances
            assert instance.visible_fraction is not None
            assert instance.visible_fraction > 0.45, "found on a coarse picture"
            kinds |= {body.asset.name for body in generator.recipe.scene.compose(rng_for(0, index, "scene")).bodies}  # type: ignore[union-attr]
    assert kinds >= {"cracker_box", "hand", "table", "prop"}


# --- real photos ------------------------------------------------------------------------------------------------------


def real() -> list[tuple[str, Any, Any, Any, Any, Any]]:
    """Of each photo: name, K, rotation and translation vectors, corners and where they are seen."""
    folder = DATA / "real/cookie_box"
    if not folder.is_dir():
        return []
    frames, photo = (json.loads((folder / name).read_text()) for name in ("frames_gt.json", "pose_gt.json"))
    found = [
        (name, frames["K_estimated"], f["rvec"], f["tvec_cm"], frames["vertices_cm"], f["keypoints_8_px"])
        for name, f in frames["frames"].items()
    ]
    seen = (photo["K_estimated"], photo["rvec"], photo["tvec_cm"], photo["vertices_cm"], photo["keypoints_px_projected"])
    return [*found, (photo["image"], *seen)]


def test_corners_of_the_cookie_box_lie_on_those_of_real_photos() -> None:
    photos = real()
    if not photos:
        pytest.skip(f"the photos are not there: {DATA}")
    scene = Product(mesh=str(DATA / "meshes/cookie_box/cookie_box.obj"))
    asset = product_asset(DATA / "meshes/cookie_box/cookie_box.obj")
    assert scene.categories[0].keypoints == BOX_CORNERS
    points = {k.name: np.array(k.xyz_object_m) for k in asset.keypoints}
    worst = []
    for _, k, turn, at_cm, vertices_cm, seen in photos:
        camera = Camera(np.array(k) + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], 718, 480, np.eye(4))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(np.array(turn))[0], np.array(at_cm) / 100
        for vertex, xy in zip(np.array(vertices_cm) / 100, np.array(seen) + 0.5, strict=True):
            nearest = min(points.values(), key=lambda point, vertex=vertex: float(np.linalg.norm(point - vertex)))  # type: ignore[misc]
            worst.append(np.linalg.norm(project(camera, transform(pose, nearest)) - xy))
    assert len(worst) == 8 * 17
    assert max(worst) < 2


# --- wrong calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Product(mesh="./gone.glb"), r"object './gone.glb': there is no such file"),
        (lambda: Product(mesh="craker_box"), "no object 'craker_box'; did you mean 'cracker_box'"),
        (lambda: Product(backgrounds="/nowhere"), "photos '/nowhere': there is no such folder"),
        (lambda: Product(backgrounds="fotos"), "no folder of photos 'fotos'; did you mean 'photos'"),
        (lambda: Product(elevation_rad=Uniform(-2, 2)), r"elevation_rad must be in \[-1.5708, 1.5708\]"),
        (lambda: Product(contact=1.5), r"contact must be in \[0, 1\], got 1.5"),
        (lambda: Product(distractor_kinds=["mugg"]), "distractor_kinds: no object 'mugg'; did you mean 'mug'"),
        (lambda: Product(hdris=[]), "surroundings.hdris must name at least one"),
        (lambda: Product(hands=3), r"hands must be in \[0, 2\], got 3"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_broken_mesh_and_what_cannot_be_seen_say_so(tmp_path: Path) -> None:
    (tmp_path / "broken.obj").write_text("v 0 0\n")
    with pytest.raises(AssetError, match=r"broken\.obj"):
        Product(mesh=str(tmp_path / "broken.obj"), contact=0.0).compose(rng_for(0, 0))
    with pytest.raises(SceneError, match=r"in 30 tries the thing was never seen well enough: visible 1\.0"):
        replace(held(), visible=1.0, camera=CameraRig(size_share=3.0)).compose(rng_for(0, 0))
    assert issubclass(Product, Showcase)
