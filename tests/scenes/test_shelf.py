"""The shelf: what stands rests and touches nothing, gaps are where nothing stands and as they are seen, tags and attributes are right."""

from __future__ import annotations

import math
import pickle
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import synth_scenes
import trimesh
import yaml
from synth_scenes import library, prints
from synth_scenes.aisle import Tubes
from synth_scenes.gondola import Gondola, slab
from synth_scenes.packages import KINDS, package
from synth_scenes.shelf import Shelf
from synth_scenes.skus import mesh_sku
from synth_scenes.stock import Block, Stock

from synth.annotate import annotate, finish
from synth.compose.cameras import CameraRig
from synth.config.build import build
from synth.content import Contents
from synth.errors import ConfigError, SceneError
from synth.geometry import transform
from synth.protocols import Scene
from synth.rand import Normal, Uniform, rng_for
from synth.render.flat import FlatSpec
from synth.render.pyrender import PyrenderSpec
from synth.types import F64, Body, Category, Keypoint, Sample, World
from tests.oracle.caster import Truth, image_points
from tests.oracle.checks import Report, check_frame, check_labels

OPTION = Path(synth_scenes.__file__).parent / "conf/scene/shelf.yaml"
SMALL = replace(Shelf(), camera=replace(Shelf().camera, width=320, height=240))
BUSY = replace(SMALL, stock=Stock(misplaced=0.3, fallen=0.25, turned=0.25, empty=0.2, yaw_rad=Normal(0, 0.08), mesh_share=0.1))
SAMPLES = 5


@cache
def world(index: int, scene: Shelf = BUSY) -> World:
    return scene.compose(rng_for(0, index, "scene"))


def stood(body: Body) -> F64:
    return transform(body.world_from_object, body.asset.vertices_m)


def of(made: World, category: str) -> list[Body]:
    return [body for body in made.bodies if body.category and body.category.name == category]


def said(body: Body, name: str) -> Any:
    assert body.attributes is not None
    return body.attributes[name]


def test_the_option_is_the_default_and_a_scene() -> None:
    values: dict[str, Any] = yaml.safe_load(OPTION.read_text())
    values["camera"] |= {"width": 640, "height": 480}
    assert build(values) == Shelf()
    assert isinstance(Shelf(), Scene)


def test_equal_streams_give_equal_worlds() -> None:
    contents = Contents()
    fresh = pickle.loads(pickle.dumps(BUSY))
    assert contents.digest(fresh.compose(rng_for(0, 1, "scene"))) == contents.digest(world(1))
    assert contents.digest(BUSY.compose(rng_for(0, 1, "scene"))) == contents.digest(world(1)) != contents.digest(world(2))


# --- what stands ------------------------------------------------------------------------------------------------------


def boards_under(made: World, bodies: list[Body]) -> F64:
    """Height of the gondola straight below the middle of each body, by rays."""
    gondola = next(body for body in made.bodies if body.asset.name == "gondola").asset.meshes[0]
    mesh = trimesh.Trimesh(gondola.vertices_m, gondola.faces, process=False)
    points = np.array([(stood(body).min(axis=0) + stood(body).max(axis=0)) / 2 for body in bodies])
    hits, ray, _ = mesh.ray.intersects_location(points, np.tile([0, 0, -1.0], (len(points), 1)), multiple_hits=False)
    assert len(hits) == len(points)
    return np.asarray(hits[np.argsort(ray), 2])


def test_products_rest_on_boards_or_on_one_another_and_none_touch() -> None:
    stacked = 0
    for index in range(SAMPLES):
        products = of(world(index), "product")
        low, high = (np.array([f(stood(body), axis=0) for body in products]) for f in (np.min, np.max))
        under = boards_under(world(index), products)
        for i, body in enumerate(products):
            if said(body, "level") == 0:
                assert low[i, 2] == pytest.approx(under[i], abs=1e-6)
            else:
                stacked += 1
                middle = (low[i] + high[i])[:2] / 2
                same = [
                    j
                    for j, other in enumerate(products)
                    if other.asset is body.asset and (low[j, :2] < middle).all() and (high[j, :2] > middle).all()
                ]
                below = [high[j, 2] for j in same if low[j, 2] < low[i, 2] - 1e-3]
                # the one below may be out of the frame, and so left out
                assert not below or low[i, 2] == pytest.approx(max(below), abs=1e-6)
        apart = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).max(axis=2)
        assert apart[~np.eye(len(products), dtype=bool)].min() > -1e-6
    assert stacked > 20


def test_products_stand_on_their_board_and_below_the_next() -> None:
    for index in range(SAMPLES):
        made = world(index)
        gondola = next(body for body in made.bodies if body.asset.name == "gondola")
        solid = trimesh.Trimesh(gondola.asset.vertices_m, np.concatenate([
            mesh.faces + sum(len(m.vertices_m) for m in gondola.asset.meshes[:i]) for i, mesh in enumerate(gondola.asset.meshes)
        ]), process=False)  # fmt: skip
        for body in of(made, "product"):
            points = stood(body)
            low, high = points.min(axis=0) + 1e-4, points.max(axis=0) - 1e-4
            corners = np.array([(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
            assert low[1] > 0
            ends = [(i, j) for i in range(8) for j in range(i + 1, 8) if (corners[i] != corners[j]).sum() == 1]
            way = np.array([corners[j] - corners[i] for i, j in ends])
            hits, ray, _ = solid.ray.intersects_location(corners[[i for i, _ in ends]], way / np.linalg.norm(way, axis=1)[:, None])
            along = np.linalg.norm(hits - corners[[ends[k][0] for k in ray]], axis=1)
            assert not (along < np.linalg.norm(way, axis=1)[ray]).any(), "an edge of its box goes through the shelf"


# --- facings ----------------------------------------------------------------------------------------------------------


def rows(stock: Stock, count: int = 30) -> list[tuple[Block, ...]]:
    return [stock.row(rng_for(3, i), -0.5, 0.6, 0.4, 0.3) for i in range(count)]


def test_as_many_facings_and_as_deep_as_asked() -> None:
    made = rows(Stock(facings=3, deep=2, stacked=0.0, empty=0.0, sold_out=0.0, misplaced=0.0, fallen=0.0, turned=0.0))
    for block in (block for row in made for block in row):
        ends_row = block.x_m[0] + 3 * (block.sku.size_m[0] + 0.03) > 0.6
        assert len(block.facings) == 3 or (ends_row and len(block.facings) < 3)
    deep = [[item.behind for item in f.items] for row in made for block in row if block.sku.size_m[1] < 0.15 for f in block.facings]
    assert deep == [[0, 1]] * len(deep)
    for row in made:
        ends = [facing.x_m for block in row for facing in block.facings]
        assert ends[0][0] == -0.5
        assert ends[-1][1] == pytest.approx(0.6)
        assert all(a[1] == b[0] for a, b in pairwise(ends))
        more = [facing.x_m[1] - facing.x_m[0] - block.sku.size_m[0] for block in row for facing in block.facings]
        assert max(more) < 0.045, "what is left of the board looks like no gap"


def test_an_item_says_whether_it_is_among_its_own() -> None:
    foreign = total = 0
    for row in rows(Stock(misplaced=0.4, empty=0.0, sold_out=0.0)):
        for block in row:
            for facing in block.facings:
                for item in facing.items:
                    assert item.misplaced == (item.sku.name != block.sku.name)
                    assert not item.misplaced or item.behind == 0
                    foreign += item.misplaced
                total += 1
    assert foreign / total == pytest.approx(0.4, abs=0.08)
    assert not any(
        item.misplaced for row in rows(Stock(misplaced=0.0)) for block in row for facing in block.facings for item in facing.items
    )
    for index in range(SAMPLES):
        for body in of(world(index), "product"):
            assert said(body, "sku") == body.asset.name


def test_poses_are_what_they_say() -> None:
    found = dict.fromkeys(("upright", "turned", "fallen"), 0)
    for index in range(SAMPLES):
        for body in of(world(index), "product"):
            pose = said(body, "pose")
            found[pose] += 1
            up = body.world_from_object[2, 2]
            assert (up < 0.5) == (pose == "fallen")
            if pose != "fallen" and body.asset.name.split("_")[0] in KINDS and body.asset.name[-1].isdigit():
                face = -body.world_from_object[:2, 1]  # of a package; the shopper is at -y
                assert pose != "turned" or face @ (0, -1) < 0.985
    assert min(found.values()) > 3


def test_a_scan_shows_its_face() -> None:
    """Front keypoints are nearer to the shopper; the bottle's cap_left is on the left."""
    for name in ("cracker_box", "sugar_box", "potted_meat_can", "mustard_bottle"):
        made = mesh_sku(name)
        points = {k.name: made.front_from_object @ k.xyz_object_m for k in made.asset.keypoints}
        if name == "mustard_bottle":
            assert points["cap_left"][0] < points["cap_right"][0]
        else:
            assert points["front_left_bottom"][1] < points["back_left_bottom"][1]
            assert points["front_left_bottom"][0] < points["front_right_bottom"][0]


# --- empty places -----------------------------------------------------------------------------------------------------


def opening(body: Body) -> F64:
    """(4, 3) corners over the board's edge, world."""
    width, _, height = said(body, "size_m")
    corners = np.array([(-width / 2, 0, 0), (width / 2, 0, 0), (width / 2, 0, height), (-width / 2, 0, height)])
    return transform(body.world_from_object, corners)


def test_gaps_are_where_no_product_stands_and_every_such_place_is_one() -> None:
    gaps = 0
    for index in range(SAMPLES):
        made = world(index)
        products = trimesh.util.concatenate(
            [trimesh.Trimesh(stood(body), body.asset.meshes[0].faces, process=False) for body in of(made, "product")]
        )
        for body in of(made, "gap"):
            low, high = opening(body)[0], opening(body)[2]
            x, z = (a.ravel() for a in np.meshgrid(np.linspace(low[0], high[0], 14), np.linspace(low[2] + 1e-4, high[2], 10)))
            hit = products.ray.intersects_any(np.stack([x, 0 * x - 0.001, z], 1), np.tile([0, 1.0, 0], (len(x), 1)))
            assert not hit.any()
            gaps += 1
    assert gaps > 20


def test_a_row_is_full_but_for_its_gaps() -> None:
    """Straight into the shelf one sees products within 4 cm of every place that no gap covers."""
    for row in rows(Stock(empty=0.25)):
        items = [item for block in row for facing in block.facings for item in facing.items]
        spans = [(lambda x: (x.min(), x.max()))(transform(i.board_from_object, i.sku.asset.vertices_m)[:, 0]) for i in items]
        gaps = [x for block in row for x, _ in block.gaps]
        assert sum(count for block in row for _, count in block.gaps) == sum(not f.items for block in row for f in block.facings)
        for x in np.linspace(-0.5, 0.6, 200):
            away = min((max(a - x, x - b, 0.0) for a, b in spans), default=9.0)
            in_gap = any(a - 1e-9 <= x <= b + 1e-9 for a, b in gaps)
            assert in_gap != (away < 0.05) or (in_gap and away > 0) or away == 0
            assert in_gap or away < 0.05


def straight(**stock: Any) -> Shelf:
    camera = CameraRig(640, 480, fov_rad=0.9, distance_m=1.3, azimuth_rad=-math.pi / 2, elevation_rad=0.0, roll_rad=0.0, aim_error_m=0.0)
    return Shelf(camera=camera, promotions=0.0, gondola=Gondola(finish="steel"), stock=Stock(sold_out=0.0, deep=1, meshes=[], **stock))


def test_the_box_of_a_gap_in_a_full_row_is_its_opening_in_the_picture() -> None:
    """From straight ahead, of gaps on boards below the camera and clear of the next rail: within 1 px of the corners projected by OpenCV,
    but for the side away from the camera, where the next product's flank may hide some."""
    scene, found = straight(empty=0.12, fallen=0.0, turned=0.0, misplaced=0.0), 0
    with closing(FlatSpec().open()) as renderer:
        for index in range(5):
            made = world(index, scene)
            sample = finish(annotate(made, renderer.render(made)), scene.categories)
            eye = made.camera.world_from_camera[:3, 3]
            rails = next(body for body in made.bodies if body.asset.name == "gondola").asset.meshes[3].vertices_m[:, 2]
            labelled = [body for body in made.bodies if body.category]
            for body, instance in zip(labelled, sample.instances, strict=True):
                if body.asset.name != "gap":
                    continue
                corners = opening(body)
                xy = image_points(made.camera, transform(made.camera.camera_from_world, corners))
                want = np.array([*xy.min(axis=0), *xy.max(axis=0)])
                next_rail = rails[rails > corners[0, 2] + 1e-3].min(initial=9)
                if (want < 0).any() or (want > (640, 480, 640, 480)).any() or eye[2] < corners[0, 2] or next_rail < corners[2, 2] + 0.02:
                    continue
                assert instance.box_xyxy is not None
                off = np.array(instance.box_xyxy) - want
                near = [i for i, fine in enumerate((corners[0, 0] >= eye[0] - 0.02, True, corners[1, 0] <= eye[0] + 0.02, True)) if fine]
                straight_into = corners[0, 0] < eye[0] < corners[1, 0]
                assert np.abs(off[(range(4) if straight_into else near)]).max() <= 1.0
                assert off[0] >= -1
                assert off[2] <= 1
                found += 1
    assert found >= 8


def seen_report(truth: Truth, labelled: Sample) -> Report:
    """Each pixel whose ray goes through an opening and meets shelf, not product, is of that gap; and only those."""
    report, camera = Report(), truth.world.camera
    bodies = [(number, body) for number, body in enumerate(truth.world.bodies, start=1) if body.category]
    is_shelf = np.zeros(len(truth.world.bodies) + 1, bool)
    for number, body in enumerate(truth.world.bodies, start=1):
        is_shelf[number] = body.asset.name == "gap"
    for (number, body), instance in zip(bodies, labelled.instances, strict=True):
        if body.asset.name != "gap" or instance.mask is None:
            continue
        xy = image_points(camera, transform(camera.camera_from_world, opening(body)))
        region = np.zeros((camera.height, camera.width), np.uint8)
        cv2.fillPoly(region, [np.round((xy - 0.5) * 16).astype(np.int32)], 1, shift=4)
        rim = cv2.dilate(region, np.ones((5, 5), np.uint8)) - cv2.erode(region, np.ones((5, 5), np.uint8))
        mask = instance.mask.decode().astype(bool)
        report.unless(not (mask & (region == 0) & (rim == 0)).any(), f"gap {number} is seen outside of its opening")
        inside = (region == 1) & (rim == 0) & ~truth.edge
        report.unless(bool((mask[inside] == is_shelf[truth.instance[inside]]).all()), f"gap {number} misses a part of its opening")
        report.seen += int(mask.sum() > 0)
    return report


def pointed(made: World) -> World:
    """The world with a keypoint at the origin of what has none, as the oracle asks for one."""
    point = (Keypoint("origin", (0.0, 0.0, 0.0), inside=True),)

    def one(body: Body) -> Body:
        if body.category is None or body.category.keypoints:
            return body
        return replace(body, asset=replace(body.asset, keypoints=point), category=Category(body.category.name, ("origin",)))

    return replace(made, bodies=tuple(map(one, made.bodies)))


def test_masks_boxes_fractions_and_corners_agree_with_rays_and_gaps_with_their_openings() -> None:
    total = Report()
    with closing(PyrenderSpec().open()) as renderer:
        for index in range(2):
            made = pointed(world(index))
            frame, truth = renderer.render(made), Truth.of(made)
            labelled = finish(annotate(made, frame), [c for b in made.bodies if (c := b.category)])
            total += check_frame(truth, frame) + check_labels(truth, labelled) + seen_report(truth, labelled)
    total.assert_exact()
    assert total.instances > 60
    assert total.seen >= 4


def test_a_gap_looks_as_the_shelf_does() -> None:
    """Without the bodies of the gaps the picture is the same."""
    with closing(PyrenderSpec().open()) as renderer:
        for index in range(3):
            made = world(index)
            bare = replace(made, bodies=tuple(body for body in made.bodies if body.asset.name != "gap"))
            a, b = (renderer.render(one) for one in (made, bare))
            patch = np.isin(a.instance, [i for i, body in enumerate(made.bodies, start=1) if body.asset.name == "gap"])
            assert patch.any()
            differ = np.abs(a.rgb.astype(int) - b.rgb).max(axis=2)
            assert np.quantile(differ[patch], 0.98) <= 6


# --- tags -------------------------------------------------------------------------------------------------------------


def test_tags_hang_on_the_rail_below_their_product_with_their_corners_in_order() -> None:
    scene = straight(empty=0.0, misplaced=0.0)
    named = 0
    for index in range(3):
        made = world(index, scene)
        rail = next(body for body in made.bodies if body.asset.name == "gondola").asset.meshes[3].vertices_m
        products = of(made, "product")
        for body in of(made, "price_tag"):
            corners = transform(body.world_from_object, np.array([k.xyz_object_m for k in body.asset.keypoints]))
            assert [k.name for k in body.asset.keypoints] == ["top_left", "top_right", "bottom_right", "bottom_left"]
            assert np.allclose(np.sort(corners, axis=0), np.sort(stood(body), axis=0), atol=1e-6)
            assert (rail[:, 1].min() - 0.002 < corners[:, 1]).all()
            assert (corners[:, 1] < rail[:, 1].min()).all()
            xy = image_points(made.camera, transform(made.camera.camera_from_world, corners))
            assert (xy[[0, 3], 0] < xy[[1, 2], 0]).all()
            assert (xy[[0, 1], 1] < xy[[3, 2], 1]).all()
            middle = corners.mean(axis=0)
            above = [p for p in products if 0 < stood(p)[:, 2].min() - middle[2] < 0.05]
            at = [p for p in above if stood(p)[:, 0].min() <= middle[0] <= stood(p)[:, 0].max()]
            for product in at:
                assert said(product, "sku") == said(body, "sku")
                named += 1
    assert named > 10


def test_prints_are_of_their_arguments_alone_and_differ() -> None:
    assert np.array_equal(prints.price_tag("Alba", "Tea", 1), prints.price_tag.__wrapped__("Alba", "Tea", 1))
    assert not np.array_equal(prints.price_tag("Alba", "Tea", 1), prints.price_tag("Alba", "Tea", 2))
    assert not np.array_equal(prints.promotion(0), prints.promotion(1))
    brand = prints.brand("jar", rng_for(0, 0))
    assert np.array_equal(prints.front(brand, 60, 90, rng_for(0, 1)), prints.front(brand, 60, 90, rng_for(0, 1)))
    assert prints.front(brand, 60, 90, rng_for(0, 1)).shape == (90, 60, 3)


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_packages_are_closed_stand_at_zero_and_face_the_shopper(kind: str) -> None:
    for variant in range(4):
        made = package(kind, variant).asset
        assert package(kind, variant).asset is made
        mesh = trimesh.Trimesh(made.meshes[0].vertices_m, made.meshes[0].faces)
        mesh.merge_vertices(merge_tex=True, merge_norm=True)
        assert mesh.volume > 5e-5
        assert made.vertices_m[:, 2].min() == pytest.approx(0, abs=1e-7)
        assert np.abs(made.vertices_m[:, :2].min(axis=0) + made.vertices_m[:, :2].max(axis=0)).max() < 0.003
        width, _, height = made.box_object_m[1]
        assert 0.02 < width < 0.22
        assert 0.03 < height < 0.32
        corners = made.meshes[0].vertices_m[made.meshes[0].faces].astype(np.float64)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.einsum("ij,ikj->ik", normals, made.meshes[0].normals[made.meshes[0].faces]) > -1e-9).all()
        uv = made.meshes[0].uv
        assert uv is not None
        assert (uv >= 0).all()
        assert (uv <= 1).all()


def test_a_slab_is_closed_and_outward() -> None:
    made = slab((0.1, 1.1), (0, 0.4), (0.5, 0.52), 0.6)
    mesh = trimesh.Trimesh(made.vertices_m, made.faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(1.0 * 0.4 * 0.02, rel=1e-5)
    corners = made.vertices_m[made.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ikj->ik", normals, made.normals[made.faces]) > 0).all()


# --- parameters -------------------------------------------------------------------------------------------------------


def test_kinds_as_categories() -> None:
    scene = replace(SMALL, labels="kind", stock=Stock(packages=["box", "can"], meshes=["mustard_bottle", "cracker_box"]))
    assert [c.name for c in scene.categories] == ["box", "can", "bottle", "price_tag", "gap"]
    for body in world(0, scene).bodies:
        if body.category and body.category.name not in ("price_tag", "gap"):
            assert said(body, "kind") == body.category.name
    assert [c.name for c in SMALL.categories] == ["product", "price_tag", "gap"]


def test_what_is_asked_for_is_there() -> None:
    none = straight(empty=0.0)
    assert not of(world(0, none), "gap")
    assert not of(world(0, replace(none, tags=0.0)), "price_tag")
    all_out = replace(none, stock=replace(none.stock, sold_out=1.0))
    assert not of(world(0, all_out), "product")
    assert of(world(0, all_out), "gap")
    cards = [body for body in world(0, replace(none, promotions=1.0)).bodies if body.asset.name == "promotion"]
    assert cards
    assert all(body.category is None for body in cards)
    assert library.find("object", "cracker_box") in Shelf().sources


def test_the_camera_stands_in_the_aisle_or_the_message_says_what_hinders() -> None:
    with pytest.raises(
        SceneError, match=r"no camera in 100 tries is in the aisle, 0\.3 m before the shelf and 9 m above the floor; lower eye_m"
    ):
        replace(SMALL, eye_m=9.0).compose(rng_for(0, 0))
    for index in range(SAMPLES):
        eye = world(index).camera.world_from_camera[:3, 3]
        assert eye[1] < -0.3
        assert eye[2] >= 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shelf(labels="sku"), "no way to label 'sku'"),
        (lambda: Shelf(tags=2), r"tags must be in \[0, 1\], got 2"),
        (lambda: Stock(packages=["bx"]), "stock.packages: no kind of package 'bx'; did you mean 'box'"),
        (lambda: Stock(packages=[], meshes=[]), "both empty"),
        (lambda: Stock(meshes=["mugg"]), "no object 'mugg'; did you mean 'mug'"),
        (lambda: Stock(facings=0), r"stock.facings must be in \[1, 50\], got 0"),
        (lambda: Stock(empty=Uniform(0, 2)), r"stock.empty must be in \[0, 1\]"),
        (lambda: Gondola(finish="gold"), "no finish of a gondola 'gold'"),
        (lambda: Gondola(depth_m=0.1), r"gondola.depth_m must be in \[0.2, 1.2\], got 0.1"),
        (lambda: Tubes(elevation_rad=2), r"lights.elevation_rad must be in \[0.05, 1.5708\], got 2"),
    ],
)
def test_a_wrong_parameter_is_one_message_that_names_it(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_small_shelf_of_one_mesh_alone() -> None:
    small = replace(SMALL, gondola=Gondola(bays=1, bay_m=0.5, boards=2), stock=Stock(packages=[], meshes=["soda_can"]))
    assert {said(body, "kind") for index in range(3) for body in of(world(index, small), "product")} == {"can"}
