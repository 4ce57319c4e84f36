"""Each row of the label table against shapes whose labels are known on paper (docs/labels.md)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synth.annotate import annotate, finish, mask_corners
from synth.errors import ConfigError
from synth.geometry import least_area_rectangle, look_at, pixel_centers, project, rays, transform
from synth.render.flat import FlatSpec
from synth.types import (
    F64,
    Asset,
    Body,
    Camera,
    Category,
    Draft,
    DraftInstance,
    Instance,
    Keypoint,
    Material,
    Mesh,
    Sample,
    Window,
    World,
)
from tests.shapes import BOX, LENS, NO_LENS, SPHERE, at, box, camera, random_world, sphere

CATEGORIES = (SPHERE, BOX)


def sample_of(world: World) -> Sample:
    frame = FlatSpec().open().render(world, normals=True)
    return finish(annotate(world, frame), CATEGORIES)


def only(world: World) -> Instance:
    return sample_of(world).instances[0]


def sphere_mask(seen: Camera, center_camera_m: F64, radius_m: float, margin_px: int = 0) -> Any:
    """Pixels (of the frame grown by margin_px) whose ray meets the sphere: the angle to its centre is below asin(r / d)."""
    grown = replace(
        seen,
        width=seen.width + 2 * margin_px,
        height=seen.height + 2 * margin_px,
        image_from_camera=seen.image_from_camera + [[0, 0, margin_px], [0, 0, margin_px], [0, 0, 0]],
    )
    ray = rays(grown, pixel_centers(grown.width, grown.height))
    cosine = ray @ center_camera_m / np.linalg.norm(ray, axis=-1) / np.linalg.norm(center_camera_m)
    return cosine > math.cos(math.asin(radius_m / np.linalg.norm(center_camera_m)))


@pytest.mark.parametrize("distortion", [NO_LENS, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize("place", [(0, 0, 0), (0.15, 0.2, 0.05), (-0.1, -0.3, 0.2)], ids=str)
def test_sphere(place: tuple[float, float, float], distortion: Any) -> None:
    """Area, boxes and fractions of a sphere, in the frame and across its edge."""
    seen = camera(fov_rad=0.35, distortion=distortion)
    instance = only(World(seen, (Body(sphere(0.1), at(*place), SPHERE),)))
    center = transform(seen.camera_from_world, place)
    margin = 400
    whole = sphere_mask(seen, center, 0.1, margin)
    inside = whole[margin : margin + seen.height, margin : margin + seen.width]
    assert instance.mask is not None
    assert instance.mask_full is not None
    mask = instance.mask.decode()
    assert (mask ^ inside).sum() <= 0.002 * max(inside.sum(), 1) + 4  # a facetted sphere is a little smaller than a round one
    assert np.array_equal(mask, instance.mask_full.decode())
    assert instance.area_px == mask.sum()
    rows, columns = np.nonzero(mask)
    assert instance.box_xyxy == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    rows, columns = np.nonzero(whole)
    assert instance.box_full_xyxy is not None
    # The outline is not bound to pixel centres: each side lies within a pixel of the outermost centres.
    assert (
        np.abs(np.subtract(instance.box_full_xyxy, np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) - margin)).max()
        < 1
    )
    assert instance.truncated_fraction == pytest.approx(1 - inside.sum() / whole.sum(), abs=0.005)
    assert instance.visible_fraction == pytest.approx(inside.sum() / whole.sum(), abs=0.005)


def test_box_corners_and_amodal_box() -> None:
    seen = camera()
    pose = at(0.05, -0.02, 0.1, 0.7)
    instance = only(World(seen, (Body(box(0.3, 0.2, 0.2), pose, BOX),)))
    corners = np.array([k.xyz_object_m for k in box(0.3, 0.2, 0.2).keypoints])
    xyz = transform(seen.camera_from_world @ pose, corners)
    xy = project(seen, xyz)
    assert instance.keypoints is not None
    assert np.allclose(instance.keypoints.xyz_m, xyz)
    assert np.allclose(instance.keypoints.xy[instance.keypoints.v > 0], xy[instance.keypoints.v > 0])
    assert instance.box_full_xyxy == pytest.approx((*xy.min(axis=0), *xy.max(axis=0)), abs=1e-4)
    hidden = int(np.argmax(xyz[:, 2]))  # of a box seen from outside, the farthest corner is the hidden one
    assert instance.keypoints.v.tolist() == [1 if i == hidden else 2 for i in range(8)]
    assert instance.camera_from_object == pytest.approx(seen.camera_from_world @ pose)
    assert instance.box3d_object_m is not None
    assert np.allclose(instance.box3d_object_m, [[0, 0, 0], [0.3, 0.2, 0.2]])


def test_obb_of_a_turned_plate() -> None:
    """A plate seen from straight above: its oriented box is the plate's own rectangle, to the pixels of its mask."""
    seen = camera((0, 0, 1), (0, 0, 0), fov_rad=0.5)
    scale = seen.image_from_camera[0, 0] / 0.99
    instance = only(World(seen, (Body(box(0.3, 0.1, 0.02), at(0, 0, 0, 0.6), BOX),)))
    assert instance.obb is not None
    assert instance.obb.width == pytest.approx(0.3 * scale, abs=1.5)
    assert instance.obb.height == pytest.approx(0.1 * scale, abs=1.5)
    assert (instance.obb.center_x, instance.obb.center_y) == pytest.approx((160, 120), abs=0.8)
    assert instance.obb.angle_rad == pytest.approx(math.pi - 0.6, abs=0.03)  # counter-clockwise in the world, y down in the picture


def test_occluded_box() -> None:
    """A wall hides exactly the left half of a box: fractions, masks and keypoints follow."""
    seen = camera((0, 0, 2), (0, 0, 0), fov_rad=0.4)
    middle = seen.width / 2
    hidden = Body(box(0.4, 0.2, 0.1), at(0, 0, 0), BOX)
    wall = Body(box(0.5, 0.9, 0.02), at(-0.25, 0, 0.6), None)
    alone = only(World(seen, (hidden,)))
    instance = only(World(seen, (hidden, wall)))
    assert instance.mask is not None
    assert alone.mask is not None
    assert instance.mask_full == alone.mask == alone.mask_full
    want = alone.mask.decode().copy()
    want[:, : int(middle)] = False
    assert np.array_equal(instance.mask.decode(), want)
    assert instance.visible_fraction == pytest.approx(0.5, abs=1e-9)
    assert instance.truncated_fraction == 0
    assert instance.box_full_xyxy == alone.box_full_xyxy
    assert instance.keypoints is not None
    left = instance.keypoints.xy[:, 0] < middle
    assert (instance.keypoints.v[left] == 1).all()
    top = np.array([k.xyz_object_m[2] > 0 for k in hidden.asset.keypoints])
    assert (instance.keypoints.v[~left & top] == 2).all()


def test_wholly_hidden_and_behind_the_camera_stay() -> None:
    seen = camera((0, 0, 2), (0, 0, 0))
    small = box(0.1, 0.1, 0.1)
    wall = Body(box(1, 1, 0.02), at(0, 0, 0.5), None)
    hidden, behind = sample_of(World(seen, (Body(small, at(0, 0, 0), BOX), Body(small, at(0, 0, 3), BOX), wall))).instances
    assert (hidden.area_px, hidden.box_xyxy, hidden.obb, hidden.visible_fraction, hidden.truncated_fraction) == (0, None, None, 0, 0)
    assert hidden.box_full_xyxy is not None
    assert hidden.keypoints is not None
    assert set(hidden.keypoints.v) == {1}
    assert (behind.box_full_xyxy, behind.visible_fraction, behind.truncated_fraction) == (None, 0, 1)
    assert behind.keypoints is not None
    assert set(behind.keypoints.v) == {0}
    assert not behind.keypoints.xy.any()
    assert behind.keypoints.xyz_m is not None  # always present for synthetic data
    assert (behind.keypoints.xyz_m[:, 2] < 0).all()


def test_inside_keypoint_needs_no_depth() -> None:
    seen = camera()
    instance = only(World(seen, (Body(sphere(0.1), at(0, 0, 0), SPHERE),)))
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist() == [2]
    outside = Asset("sphere", sphere(0.1).meshes, (Keypoint("middle", (0, 0, 0)),))
    instance = only(World(seen, (Body(outside, at(0, 0, 0), SPHERE),)))
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist() == [1]


@pytest.mark.parametrize(("below_m", "v"), [(0.0, 1), (0.08, 1), (0.1, 2)])
def test_a_joint_is_hidden_by_what_is_farther_in_front_than_its_limb_is_thick(below_m: float, v: int) -> None:
    """The middle of a ball of radius 0.1 m lies 0.1 m below its surface; the tolerance is 3 mm here."""
    joint = Asset("sphere", sphere(0.1).meshes, (Keypoint("middle", (0, 0, 0), below_m=below_m),))
    instance = only(World(camera(), (Body(joint, at(0, 0, 0), SPHERE),)))
    assert instance.keypoints is not None
    assert instance.keypoints.v.tolist() == [v]
    with pytest.raises(ConfigError, match="keypoint 'knee': below_m must be a length from 0, got -1"):
        Keypoint("knee", (0, 0, 0), below_m=-1)


def test_what_a_scene_says_of_bodies_and_picture_comes_out_as_it_is() -> None:
    told = {"zone": "left_thigh", "track": 3}
    bodies = (Body(sphere(), at(0, 0, 0), SPHERE, attributes=told), Body(box(), at(0, 0.3, 0)), Body(box(), at(0, -0.3, 0), BOX))
    made = sample_of(World(camera(), bodies, attributes={"view": "front"}))
    assert [instance.attributes for instance in made.instances] == [told, None]
    assert made.info.attributes == {"view": "front"}
    assert sample_of(World(camera(), bodies)).info.attributes is None
    told["zone"] = "changed later"
    assert bodies[0].attributes == {"zone": "left_thigh", "track": 3}
    for wrong in ({"mask": np.zeros(3)}, {"share": math.nan}, {3: "three"}):
        with pytest.raises(ConfigError, match="body 'sphere': attributes must be JSON values by name"):
            Body(sphere(), at(0, 0, 0), SPHERE, attributes=wrong)  # type: ignore[arg-type]


def test_near_plane_cuts_the_silhouette() -> None:
    """A long beam runs past the camera: what is behind it does not wrap around into the picture."""
    seen = camera((0, -1, 0.3), (0, 0, 0.3), fov_rad=1.0)
    instance = only(World(seen, (Body(box(0.05, 6, 0.05), at(0.2, 0, 0.1), BOX),)))
    assert instance.box_full_xyxy is not None
    assert instance.box_full_xyxy[0] > seen.width / 2  # it stays on its side
    assert instance.box_full_xyxy[3] > seen.height
    assert instance.truncated_fraction is not None
    assert 0.5 < instance.truncated_fraction < 1


def test_alpha_is_cut_from_every_label() -> None:
    """A plate whose texture is clear but for its right half."""
    texture = np.full((4, 4, 4), 255, dtype=np.uint8)
    texture[:, :2, 3] = 0
    corners = np.array([[-0.2, -0.1, 0], [0.2, -0.1, 0], [0.2, 0.1, 0], [-0.2, 0.1, 0]])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    leaf = Mesh(corners, [[0, 1, 2], [0, 2, 3]], [[0, 0, 1]] * 4, uv, material=Material(base_color_texture=texture, alpha_mode="mask"))
    seen = camera((0, 0, 1), (0, 0, 0), fov_rad=0.5)
    category = Category("leaf")
    world = World(seen, (Body(Asset("leaf", (leaf,)), np.eye(4), category),))
    instance = finish(annotate(world, FlatSpec().open().render(world)), [category]).instances[0]
    scale = seen.image_from_camera[0, 0]
    assert instance.box_xyxy == pytest.approx((160, 120 - 0.1 * scale, 160 + 0.2 * scale, 120 + 0.1 * scale), abs=1)
    assert instance.box_full_xyxy == instance.box_xyxy
    assert instance.visible_fraction == 1
    solid = World(seen, (Body(Asset("leaf", (replace(leaf, material=Material()),)), np.eye(4), category),))
    whole = finish(annotate(solid, FlatSpec().open().render(solid)), [category]).instances[0]
    assert instance.area_px == pytest.approx((whole.area_px or 0) / 2, rel=0.01)


@pytest.mark.parametrize("distortion", [NO_LENS, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize("seed", range(6))
def test_labels_agree_with_each_other(seed: int, distortion: Any) -> None:
    world = random_world(seed, distortion)
    sample = sample_of(world)
    assert len(sample.instances) == sum(body.category is not None for body in world.bodies)
    for instance in sample.instances:
        assert instance.mask is not None
        assert instance.mask_full is not None
        mask, full = instance.mask.decode(), instance.mask_full.decode()
        assert not (mask & ~full).any()
        assert 0 <= (instance.visible_fraction or 0) <= 1
        assert 0 <= (instance.truncated_fraction or 0) <= 1
        if instance.box_xyxy and instance.box_full_xyxy:
            x0, y0, x1, y1 = instance.box_xyxy
            fx0, fy0, fx1, fy1 = instance.box_full_xyxy
            assert fx0 - 1 <= x0 < x1 <= fx1 + 1
            assert fy0 - 1 <= y0 < y1 <= fy1 + 1
            assert mask[int(y0) : int(y1), int(x0) : int(x1)].sum() == mask.sum() == instance.area_px


def test_a_giant_is_counted_beyond_the_kept_canvas() -> None:
    """A plate a hundred frames wide: its share outside the frame comes from a count that is not kept pixel by pixel."""
    seen = camera((0, 0, 1), (0, 0, 0), fov_rad=0.5, width=64, height=48)
    scale = seen.image_from_camera[0, 0] / 0.99
    instance = only(World(seen, (Body(box(20, 20, 0.02), at(0, 0, 0), BOX),)))
    want = 1 - 64 * 48 / (20 * scale) ** 2
    assert instance.truncated_fraction == pytest.approx(want, rel=1e-3)
    assert instance.area_px == 64 * 48


def test_a_speck_has_fractions() -> None:
    seen = camera((0, 0, 5), (0, 0, 0), width=64, height=48)
    instance = only(World(seen, (Body(box(1e-3, 1e-3, 1e-3), at(0.01, 0.004, 0), BOX),)))
    assert (instance.area_px, instance.visible_fraction, instance.truncated_fraction) == (0, 0, 0)


def moved(draft: Draft, dx_px: float) -> Draft:
    """A wrong stage: it moves points but not pixels."""
    return replace(draft, instances=tuple(replace(i, keypoint_xy=i.keypoint_xy + dx_px) for i in draft.instances))


def test_stages_move_keypoints_and_finish_decides() -> None:
    world = World(camera(), (Body(box(), at(0, 0, 0), BOX),))
    draft = annotate(world, FlatSpec().open().render(world))
    shifted = finish(moved(draft, 500), CATEGORIES).instances[0]
    assert shifted.keypoints is not None
    assert not shifted.keypoints.v.any()
    assert not shifted.keypoints.xy.any()
    hidden = finish(replace(draft, instance=np.zeros_like(draft.instance)), CATEGORIES).instances[0]
    assert hidden.keypoints is not None
    assert set(hidden.keypoints.v) == {1}  # a stage that paints over the object hides its keypoints
    assert hidden.visible_fraction == 0


@pytest.mark.parametrize(("x_px", "v"), [(4.5, 2), (6.99, 2), (7.01, 1), (3.01, 1), (4.01, 2), (2.9, 1)])
def test_a_keypoint_is_seen_by_the_3_x_3_pixels_around_it(x_px: float, v: int) -> None:
    """Of the body one pixel is left, column 5 and row 5."""
    draft = annotate(world := World(camera(), (Body(box(), at(0, 0, 0), BOX),)), FlatSpec().open().render(world))
    instance = np.zeros_like(draft.instance)
    instance[5, 5] = 1
    item = replace(draft.instances[0], keypoint_xy=np.tile([x_px, 5.5], (8, 1)), keypoint_surface=np.ones(8, dtype=np.bool_))
    points = finish(replace(draft, instance=instance, instances=(item,)), CATEGORIES).instances[0].keypoints
    assert points is not None
    assert set(points.v.tolist()) == {v}


@pytest.mark.parametrize("size_m", [0.02, 0.2, 2.0])
@pytest.mark.parametrize(("depth", "v"), [(0.012, 2), (0.018, 1), (-0.5, 2)])
def test_tolerance_is_a_share_of_the_diameter(size_m: float, depth: float, v: int) -> None:
    """A point under the upper side of a cube, seen from straight above; depth in diameters."""
    cube, spot = box(size_m, size_m, size_m), Category("spot", ("spot",))
    depth_m = depth * math.sqrt(3) * size_m
    marked = Asset("cube", cube.meshes, (Keypoint("spot", (0.1 * size_m, 0, size_m / 2 - depth_m)),))
    world = World(camera((0, 0, 5 * size_m), (0, 0, 0)), (Body(marked, at(0, 0, 0), spot),))
    points = finish(annotate(world, FlatSpec().open().render(world)), [spot]).instances[0].keypoints
    assert points is not None
    assert points.v.tolist() == [v]


def test_a_mask_is_within_its_full_mask() -> None:
    """Though a renderer that snaps vertices shows a pixel that the exact silhouette misses."""
    draft = annotate(world := World(camera(), (Body(box(), at(0, 0, 0), BOX),)), FlatSpec().open().render(world))
    instance = draft.instance.copy()
    instance[5, 5] = 1
    alone, more = (finish(replace(draft, instance=i), CATEGORIES).instances[0] for i in (draft.instance, instance))
    assert more.mask is not None
    assert more.mask_full is not None
    assert more.area_px == (alone.area_px or 0) + 1
    assert more.mask.decode()[5, 5]
    assert more.mask_full.decode()[5, 5]
    assert (more.visible_fraction, more.truncated_fraction) == (1, 0)


def test_a_picture_straight_down_is_not_mirrored() -> None:
    """+x of the world runs right and +y up when the camera looks straight down: a mirrored frame law would swap them."""
    seen = Camera.from_fov(100, 100, 0.5, look_at((0, 0, 1), (0, 0, 0)))
    spot = Category("spot")
    world = World(seen, (Body(box(0.05, 0.05, 0.05), at(0.1, 0.15, 0), spot),))
    instance = finish(annotate(world, FlatSpec().open().render(world)), [spot]).instances[0]
    assert instance.box_xyxy is not None
    assert instance.box_xyxy[0] > 55
    assert instance.box_xyxy[3] < 45


def test_labels_of_any_mask_and_any_silhouette() -> None:
    """Torn, one-pixel and empty masks, silhouettes in and out of the frame, elsewhere than the mask: as from whole frames."""
    rng = np.random.default_rng(0)
    for turn in range(300):
        width, height = (int(v) for v in rng.integers(1, 50, 2))
        mask = rng.random((height, width)) < rng.choice([0.0, 0.004, 0.05, 0.9])
        if turn % 2:
            mask[:, : width // 2] = mask[height // 2 :] = False
        bits = rng.random(rng.integers(0, 40, 2)) < 0.5
        x0, y0 = (int(v) for v in rng.integers(-45, 50, 2))
        nothing, none = np.zeros((0, 2)), np.zeros(0, dtype=np.bool_)
        item = DraftInstance(Category("thing"), "thing", Window(bits, x0, y0, 7.0), np.ones((1, 2)), nothing, none, none)
        draft = Draft(np.zeros((height, width, 3), np.uint8), mask.astype(np.int32), (item,))
        instance = finish(draft, (item.category,)).instances[0]
        whole = np.zeros((height + 150, width + 150), dtype=np.bool_)
        whole[50 + y0 : 50 + y0 + bits.shape[0], 50 + x0 : 50 + x0 + bits.shape[1]] = bits
        whole[50 : 50 + height, 50 : 50 + width] |= mask
        inside = whole[50 : 50 + height, 50 : 50 + width]
        assert instance.mask is not None
        assert instance.mask_full is not None
        assert (instance.mask.decode() == mask).all()
        assert (instance.mask_full.decode() == inside).all()
        assert instance.area_px == mask.sum()
        assert instance.visible_fraction == pytest.approx(mask.sum() / (whole.sum() + 7))
        assert instance.truncated_fraction == pytest.approx(1 - inside.sum() / (whole.sum() + 7))
        assert (instance.box_xyxy is None) == (not mask.any())
        if mask.any():
            row, column = np.nonzero(mask)
            assert instance.box_xyxy == (column.min(), row.min(), column.max() + 1, row.max() + 1)
            assert instance.obb == least_area_rectangle(mask_corners(mask))
