"""Stages on labelled samples: what has a mask stays tight, what has only a box says so where it no longer is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from synth.annotate import annotate, box_of, finish, mask_corners
from synth.augment.samples import APPROXIMATE, augment
from synth.digest import label_digest
from synth.geometry import least_area_rectangle
from synth.rand import Stream, rng_for
from synth.render.flat import FlatSpec
from synth.types import Category, Draft, DraftInstance, Instance, Keypoints, Obb, Rle, Sample, Window
from tests import samples as made
from tests.augment.cases import HAND, HEIGHT, WIDTH, centres, ellipse, stage
from tests.shapes import random_world

FRAME = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
THING = Category("thing")


def run(sample: Sample, name: str, params: dict[str, Any] | None = None, index: int = 0) -> Sample:
    return augment(sample, {"s": stage(name, params)}, rng_for(0, index))


def of(*instances: Instance) -> Sample:
    return Sample(FRAME, instances, (THING, HAND), key="photo")


BOXED = of(Instance("thing", box_xyxy=(40.0, 30.0, 90.0, 75.0)))


def loose(instance: Instance) -> list[str]:
    return list((instance.attributes or {}).get(APPROXIMATE, []))


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("HorizontalFlip", {}, (110, 30, 160, 75)),
        ("Transpose", {}, (30, 40, 75, 90)),
        ("Resize", {"height": 300, "width": 100}, (20, 60, 45, 150)),
        ("Crop", {"x_min": 10, "y_min": 5, "x_max": 120, "y_max": 100}, (30, 25, 80, 70)),
        ("Pad", {"padding": 7}, (47, 37, 97, 82)),
    ],
)
def test_boxes_stay_exact_where_they_stay_upright(name: str, params: dict[str, Any], expected: tuple[float, ...]) -> None:
    box = run(BOXED, name, params).instances[0]
    assert np.allclose(box.box_xyxy, expected)
    assert loose(box) == []
    assert box.attributes is None


def test_a_turned_box_is_the_box_of_its_corners_and_says_so() -> None:
    sample = run(BOXED, "Affine", {"rotate": 30.0})
    box = sample.instances[0]
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    corners = np.array([[40, 30], [90, 30], [90, 75], [40, 75]]) - (100, 75)
    expected = corners @ np.array([[c, s], [-s, c]]) + (100, 75)
    other = corners @ np.array([[c, -s], [s, c]]) + (100, 75)
    assert min(np.abs(np.subtract(box_of(e), box.box_xyxy)).max() for e in (expected, other)) < 1e-6
    assert loose(box) == ["box_xyxy"]
    assert loose(run(sample, "HorizontalFlip").instances[0]) == ["box_xyxy"]  # once loose, always


def test_a_cut_or_covered_box_says_so() -> None:
    cut = run(BOXED, "Crop", {"x_min": 60, "y_min": 0, "x_max": 200, "y_max": 150}).instances[0]
    assert cut.box_xyxy == (0, 30, 30, 75)
    assert loose(cut) == ["box_xyxy"]
    gone = run(BOXED, "Crop", {"x_min": 95, "y_min": 0, "x_max": 200, "y_max": 150}).instances[0]
    assert gone.box_xyxy is None
    assert loose(gone) == []
    covered = run(BOXED, "CoarseDropout", {"num_holes_range": [30, 30]}).instances[0]
    assert covered.box_xyxy == BOXED.instances[0].box_xyxy
    assert loose(covered) == ["box_xyxy"]


def test_bent_boxes_hold_their_bent_edges() -> None:
    for index in range(4):
        box = run(BOXED, "ElasticTransform", {"alpha": 200, "sigma": 10}, index).instances[0]
        assert loose(box) == ["box_xyxy"]
        assert np.abs(np.subtract(box.box_xyxy, BOXED.instances[0].box_xyxy)).max() < 12


def test_rotated_boxes_stay_exact_under_similarities_only() -> None:
    sample = of(Instance("thing", obb=Obb(90.0, 70.0, 50.0, 20.0, 0.4)))
    turned = run(sample, "Affine", {"rotate": 25.0}).instances[0]
    assert turned.obb is not None
    assert (turned.obb.width, turned.obb.height) == pytest.approx((50, 20))
    assert min(abs((turned.obb.angle_rad - 0.4 - turn + 1) % np.pi - 1) for turn in (np.radians(25), -np.radians(25))) < 1e-9
    assert loose(turned) == []
    assert turned.box_xyxy is None  # nobody gave one
    sheared = run(sample, "Affine", {"shear": {"x": 20.0, "y": 0.0}}).instances[0]
    assert loose(sheared) == ["obb"]


def test_overlapping_masks_stay_whole_and_tight() -> None:
    at = centres(0, 0, WIDTH, HEIGHT)
    masks = [ellipse(80, 70, 40, 25, 0.3)(at), ellipse(100, 80, 30, 35, 1.0)(at)]
    sample = of(*(Instance("thing", mask=Rle.encode(m), area_px=int(m.sum()), box_xyxy=box_of(mask_corners(m))) for m in masks))
    for name, params in (("HorizontalFlip", {}), ("Rotate", None), ("Perspective", None), ("ElasticTransform", None)):
        moved = run(sample, name, params)
        for old, new in zip(masks, moved.instances, strict=True):
            assert new.mask is not None
            mask = new.mask.decode()
            assert mask.sum() == new.area_px
            assert new.box_xyxy == box_of(mask_corners(mask))
            assert loose(new) == []
            assert new.obb is None
            if name == "HorizontalFlip":
                assert (mask == old[:, ::-1]).all()
            else:
                assert mask.sum() == pytest.approx(old.sum(), rel=0.35)


def test_keypoints_of_people_who_labelled_some() -> None:
    xy = np.array([[20.0, 30.0], [180.0, 30.0], [0.0, 0.0]])
    sample = of(Instance("hand", keypoints=Keypoints(xy, np.array([2, 1, 0]))))
    mirrored = run(sample, "HorizontalFlip").instances[0].keypoints
    assert mirrored is not None
    assert mirrored.v.tolist() == [1, 2, 0]  # left and right exchanged, what was not labelled stays so
    assert mirrored.xy.tolist() == [[20, 30], [180, 30], [0, 0]]
    cropped = run(sample, "Crop", {"x_min": 0, "y_min": 0, "x_max": 100, "y_max": 150}).instances[0].keypoints
    assert cropped is not None
    assert cropped.v.tolist() == [2, 0, 0]
    assert cropped.xy.tolist() == [[20, 30], [0, 0], [0, 0]]
    hidden = run(sample, "XYMasking", {"num_masks_x": [1, 1], "mask_x_length": [200, 200]})
    keypoints = hidden.instances[0].keypoints
    assert keypoints is not None
    assert keypoints.v.tolist() == [1, 1, 0]


def test_colours_leave_every_label_as_it_is() -> None:
    for index in range(4):
        sample = made.sample(index)
        brighter = run(sample, "RandomBrightnessContrast")
        assert label_digest(brighter) == label_digest(sample)
        assert (brighter.image != sample.image).any()
        assert brighter.key == sample.key
        assert brighter.info == sample.info
        assert brighter.origin is None


def test_labels_that_nobody_gave_stay_absent() -> None:
    moved = run(of(Instance("thing")), "Rotate").instances[0]
    assert all(getattr(moved, field.name) is None for field in fields(Instance) if field.name != "category")


@pytest.mark.parametrize("name", ["HorizontalFlip", "RandomCropFromBorders", "Affine", "Perspective", "CoarseDropout"])
def test_a_stored_sample_ends_as_its_draft_would(name: str) -> None:
    """From the generator: first labelled, then moved, against first moved, then labelled."""
    world = random_world(4, bodies=4)
    draft = annotate(world, FlatSpec().open().render(world))
    categories = tuple({b.category.name: b.category for b in world.bodies if b.category}.values())
    stored = finish(draft, categories)
    late = augment(stored, {"s": stage(name)}, rng_for(0, 1))
    early = finish(stage(name).apply(draft, rng_for(0, 1, "s")), categories)
    assert (late.image == early.image).all()
    assert late.camera is not None
    assert early.camera is not None
    assert np.allclose(late.camera.image_from_camera, early.camera.image_from_camera)
    for one, two in zip(late.instances, early.instances, strict=True):
        assert one.mask is not None
        assert two.mask is not None
        mask, other = one.mask.decode(), two.mask.decode()
        assert (mask & other).sum() >= 0.99 * (mask | other).sum()
        if one.box_xyxy is not None and two.box_xyxy is not None:
            assert np.abs(np.subtract(one.box_xyxy, two.box_xyxy)).max() <= 1
        assert one.visible_fraction == pytest.approx(two.visible_fraction, abs=0.02)
        assert one.truncated_fraction == pytest.approx(two.truncated_fraction, abs=0.02)
        if one.camera_from_object is not None:
            assert np.allclose(one.camera_from_object, two.camera_from_object)
        assert one.keypoints is not None
        assert two.keypoints is not None
        seen = one.keypoints.v > 0
        assert np.allclose(one.keypoints.xy[seen], two.keypoints.xy[seen], atol=1e-6)
        assert (one.keypoints.v == two.keypoints.v).mean() > 0.7  # of what was outside its place is not stored


class Sticker:
    """A stage that pastes a square with a label of its own."""

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        instance, image = draft.instance.copy(), draft.image.copy()
        instance[30:50, 30:50] = len(draft.instances) + 1
        image[30:50, 30:50] = 255
        outline = np.array([[30.0, 30], [50, 30], [50, 50], [30, 50]])
        nothing = np.zeros(0, dtype=np.bool_)
        window = Window(np.ones((20, 20), dtype=np.bool_), 30, 30)
        item = DraftInstance(Category("sticker"), "sticker", window, outline, np.zeros((0, 2)), nothing, nothing)
        return replace(draft, image=image, instance=instance, instances=(*draft.instances, item))


def test_what_a_stage_adds_hides_what_was_there() -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[20:60, 20:60] = True
    sample = of(Instance("thing", mask=Rle.encode(mask), area_px=1600, box_xyxy=(20.0, 20.0, 60.0, 60.0)))
    stuck = augment(sample, {"paste": Sticker(), "flip": stage("HorizontalFlip")}, rng_for(0, 0))
    thing, sticker = stuck.instances
    assert thing.area_px == 1200
    assert sticker.box_xyxy == (WIDTH - 50, 30, WIDTH - 30, 50)
    assert sticker.visible_fraction == 1
    assert [category.name for category in stuck.categories] == ["thing", "hand", "sticker"]


def test_obb_of_a_mask_is_derived_from_it() -> None:
    at = centres(0, 0, WIDTH, HEIGHT)
    mask = ellipse(90, 70, 40, 15, 0.5)(at)
    sample = of(Instance("thing", mask=Rle.encode(mask), obb=least_area_rectangle(mask_corners(mask))))
    turned = run(sample, "Rotate").instances[0]
    assert turned.mask is not None
    assert turned.obb == least_area_rectangle(mask_corners(turned.mask.decode()))
