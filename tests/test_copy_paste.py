"""Simple Copy-Paste between labelled samples: each mask against the one that was drawn by hand, and what nobody knew stays absent."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.augment.samples import augment
from synth.collage.paste import CopyPaste, copy_paste
from synth.digest import label_digest, pixel_digest
from synth.errors import ConfigError, LabelError, SceneError, SynthError
from synth.layout import Blending
from synth.rand import rng_for
from synth.recipe import Generator, Recipe
from synth.render.flat import FlatSpec
from synth.store import Store, Stored
from synth.types import Bool, Category, Instance, Keypoints, Rle, Sample, SampleInfo
from tests.test_paste import Box, box_draft

WIDTH, HEIGHT = 80, 60
CUP = Category("cup", ("left", "right"), (("left", "right"),))
CARD = Category("card")
PLAIN = Blending(mode="none", match=0.0, shadow=0.0)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Bool:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def photo(colour: int, *instances: Instance, key: str = "photo") -> Sample:
    """A picture of one grey, 10 brighter where something is labelled."""
    image = np.full((HEIGHT, WIDTH, 3), colour, dtype=np.uint8)
    for instance in instances:
        if instance.mask is not None:
            image[instance.mask.decode()] = colour + 10
    return Sample(image, instances, (CUP, CARD), key=key, info=SampleInfo(licence="CC-BY-4.0"))


def stage(*sources: Sample, **more: Any) -> CopyPaste:
    """All objects, where they are: the frames are of one size, so the similarity is the identity."""
    return CopyPaste(sources, **({"share": 1.0, "scale": 1.0, "mirror": 0.0, "blending": PLAIN} | more))


def pasted(target: Sample, stage_: CopyPaste, index: int = 0) -> Sample:
    return augment(target, {"paste": stage_}, rng_for(0, index))


RING = rectangle(10, 10, 50, 40) & ~rectangle(20, 18, 40, 30)
BELOW = photo(50, Instance("card", mask=Rle.encode(rectangle(30, 5, 70, 35)), area_px=1200, box_xyxy=(30.0, 5.0, 70.0, 35.0)))
ABOVE = photo(150, Instance("card", mask=Rle.encode(RING)))


def test_masks_follow_and_what_was_absent_stays_absent() -> None:
    sample = pasted(BELOW, stage(ABOVE))
    under, added = sample.instances
    assert added.mask is not None
    assert under.mask is not None
    assert np.array_equal(added.mask.decode(), RING)
    left = rectangle(30, 5, 70, 35) & ~RING
    assert np.array_equal(under.mask.decode(), left)
    assert (under.area_px, under.box_xyxy) == (int(left.sum()), (30, 5, 70, 35))
    assert {field.name for field in fields(added) if getattr(added, field.name) is not None} == {"category", "mask"}
    assert (sample.image[RING] == 160).all()
    assert (sample.image[~RING] == BELOW.image[~RING]).all()
    assert (under.visible_fraction, under.mask_full) == (None, None)


def test_the_mirror_and_the_scale() -> None:
    mirrored = pasted(BELOW, stage(ABOVE, mirror=1.0)).instances[1]
    assert mirrored.mask is not None
    assert np.array_equal(mirrored.mask.decode(), np.fliplr(RING))
    for index in range(4):
        half = pasted(BELOW, stage(ABOVE, scale=0.5), index).instances[1]
        assert half.mask is not None
        mask = half.mask.decode()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (len(rows), len(columns)) in {(h, w) for h in (14, 15, 16) for w in (19, 20, 21)}
        assert mask.sum() == pytest.approx(RING.sum() / 4, rel=0.1)


def test_labels_that_were_given_are_kept_and_hidden_ones_counted() -> None:
    """A cup of 20 x 10 px, half of it behind something, another 10 x 10 px of it outside the frame."""
    seen, whole = rectangle(60, 20, 70, 30), rectangle(60, 20, 80, 30)
    cup = Instance(
        "cup",
        mask=Rle.encode(seen),
        mask_full=Rle.encode(whole),
        area_px=100,
        box_xyxy=(60.0, 20.0, 70.0, 30.0),
        box_full_xyxy=(60.0, 20.0, 90.0, 30.0),
        visible_fraction=1 / 3,
        truncated_fraction=1 / 3,
        keypoints=Keypoints(np.array([[62.0, 25.0], [66.0, 25.0]]), np.array([2, 1]), np.ones((2, 3))),
        camera_from_object=np.eye(4),
        attributes={"chipped": True, "approximate": ["box_full_xyxy"]},
    )
    source = photo(150, cup)
    added = pasted(BELOW, stage(source)).instances[1]
    assert (added.area_px, added.box_xyxy) == (100, (60, 20, 70, 30))
    assert (added.visible_fraction, added.truncated_fraction) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert added.box_full_xyxy is None, "outside the frame it is known as a box only"
    assert (added.obb, added.camera_from_object, added.asset) == (None, None, None)
    assert added.attributes == {"chipped": True}
    assert added.keypoints is not None
    assert added.keypoints.xy.tolist() == [[62, 25], [66, 25]]
    assert added.keypoints.v.tolist() == [2, 1]
    assert added.keypoints.xyz_m is None
    flipped = pasted(BELOW, stage(source, mirror=1.0)).instances[1].keypoints
    assert flipped is not None
    assert flipped.xy.tolist() == [[14, 25], [18, 25]], "left and right change places"
    assert flipped.v.tolist() == [1, 2]

    # A card over the left half of what shows of the cup: a sixth of it is left.
    covered = augment(pasted(BELOW, stage(source)), {"more": stage(photo(150, Instance("card", mask=Rle.encode(rectangle(0, 0, 65, 60)))))},
                      rng_for(0, 0)).instances[1]  # fmt: skip
    assert covered.area_px == 50
    assert covered.visible_fraction == pytest.approx(1 / 6)
    assert covered.keypoints is not None
    assert covered.keypoints.v.tolist() == [1, 1]


def test_fractions_without_the_whole_mask_are_not_passed_on() -> None:
    """What is behind the frame or another thing may show where it is pasted, or not: nobody can tell."""
    cut = replace(ABOVE.instances[0], visible_fraction=0.5, truncated_fraction=0.0, box_full_xyxy=(10.0, 10.0, 90.0, 40.0))
    added = pasted(BELOW, stage(photo(150, cut))).instances[1]
    assert (added.visible_fraction, added.truncated_fraction, added.box_full_xyxy) == (None, None, None)


def test_what_is_not_pasted() -> None:
    boxed, crowd = Instance("card", box_xyxy=(0.0, 0.0, 9.0, 9.0)), Instance("card", mask=Rle.encode(RING), crowd=True)
    cup = Instance("cup", mask=Rle.encode(rectangle(0, 0, 9, 9)))
    source = photo(150, boxed, crowd, cup, *ABOVE.instances)
    assert [i.category for i in pasted(BELOW, stage(source)).instances] == ["card", "cup", "card"]
    assert [i.category for i in pasted(BELOW, stage(source, categories=["cup"])).instances] == ["card", "cup"]
    assert pasted(BELOW, stage(source, share=0.0)).instances == BELOW.instances
    hidden = pasted(BELOW, stage(ABOVE, labelled=False))
    assert len(hidden.instances) == 1
    assert hidden.instances[0].area_px == int((rectangle(30, 5, 70, 35) & ~RING).sum())
    for nothing in (photo(150, boxed, crowd), photo(150)):
        with pytest.raises(SceneError, match="none of 100 samples out of 1 has an object with a mask; name others"):
            pasted(BELOW, stage(nothing))
    assert [i.category for i in pasted(BELOW, stage(photo(150), ABOVE)).instances] == ["card", "card"], "another sample is drawn"


def test_a_box_without_a_mask_says_that_it_is_partly_covered() -> None:
    target = photo(50, Instance("card", box_xyxy=(30.0, 5.0, 70.0, 35.0)), Instance("card", box_xyxy=(60.0, 45.0, 70.0, 55.0)))
    first, second, _ = pasted(target, stage(ABOVE)).instances
    assert first.attributes == {"approximate": ["box_xyxy"]}
    assert (second.box_xyxy, second.attributes) == ((60, 45, 70, 55), None)


def test_keypoints_of_one_name_must_be_the_same() -> None:
    other = replace(ABOVE, instances=(Instance("cup", mask=Rle.encode(RING)),), categories=(Category("cup", ("top",)),))
    with pytest.raises(LabelError, match=r"added a 'cup' with keypoints \['top'\], where this sample's have \['left', 'right'\]"):
        pasted(BELOW, stage(other))
    without = replace(other, categories=(Category("cup"),))
    sample = pasted(BELOW, stage(without))
    assert sample.instances[1].keypoints is None
    assert sample.categories == (CUP, CARD)


def test_samples_go_over_drafts_in_one_call() -> None:
    draft = copy_paste(box_draft(), ABOVE, rng_for(0, 0), share=1.0)
    assert [item.category for item in draft.instances] == [box_draft().instances[0].category, CARD]
    assert draft.instances[1].absent >= {"mask_full", "visible_fraction", "keypoints"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samples": ()}, "samples must be a sequence of samples"),
        ({"samples": "main"}, "samples must be a sequence of samples"),
        ({"categories": "cup"}, "categories must be a list of names, got 'cup'"),
        ({"share": 1.5}, "share must be"),
        ({"scale": 0.0}, "scale must be"),
    ],
)
def test_wrong_stages_are_one_message(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CopyPaste(**({"samples": [ABOVE]} | wrong))


# --- from a store -----------------------------------------------------------------------------------------------------


class Boxes(Box):
    """A scene of a box that knows cards, too."""

    @property
    def categories(self) -> Sequence[Category]:
        return (*super().categories, CARD)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store", create=True)
    store.put([replace(ABOVE, key=f"card-{i}") for i in range(3)], message="photos")
    return store


def test_a_run_pastes_from_a_store_and_its_digest_names_the_samples(store: Store) -> None:
    def recipe(where: str | None = "licence = 'CC-BY-4.0'", ref: str | int = "main") -> Recipe:
        return Recipe(Boxes(), FlatSpec(), {"paste": CopyPaste(Stored(store.place, ref, where), share=1.0)})

    first, version = recipe(), store.resolve("main")
    sample = Generator(first)[0]
    card = sample.instances[1]
    assert (card.category, card.visible_fraction, card.mask_full, card.area_px) == ("card", None, None, None)
    assert card.mask is not None
    again = Generator(pickle.loads(pickle.dumps(first)))[0]
    assert (label_digest(again), pixel_digest(again)) == (label_digest(sample), pixel_digest(sample))
    assert list(first.sources.values()) == ["CC-BY-4.0"]
    assert first.digest == recipe().digest

    store.put([replace(ABOVE, key="mine", info=SampleInfo(licence="CC0-1.0"))], message="others")
    assert recipe().digest == first.digest, "the filter leaves the new one out"
    moved = recipe(None)
    store.put([replace(BELOW, key="card-1")], message="relabelled")
    assert recipe().digest != first.digest
    assert recipe(None).digest != moved.digest
    assert recipe(ref=version).digest == recipe(ref=version).digest
    kept = Generator(pickle.loads(pickle.dumps(first)))[0]
    assert pixel_digest(kept) == pixel_digest(sample), "a recipe stays with the version that it was made with"


def test_a_run_pastes_from_a_pin(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "cards.pin.json"
    file.write_text(store.pin("main").to_json())
    first = Recipe(Boxes(), FlatSpec(), {"paste": CopyPaste(Stored(pin=str(file)), share=1.0)})
    assert dict(first.sources) == {file: "CC-BY-4.0"}
    sample = Generator(first)[4]
    store.put([replace(BELOW, key=f"card-{i}") for i in range(3)], message="relabelled")
    again = Recipe(Boxes(), FlatSpec(), {"paste": CopyPaste(Stored(pin=str(file)), share=1.0)})
    assert again.digest == first.digest
    assert pixel_digest(Generator(again)[4]) == pixel_digest(sample)


def test_training_pastes_from_the_same_store(store: Store) -> None:
    real = store.read("main", "source = 'real'")
    mixed = augment(real[0], {"copy_paste": CopyPaste(real, share=1.0)}, rng_for(0, 0))
    assert len(mixed.instances) == 2


def test_wrong_stores_are_one_message(store: Store, tmp_path: Path) -> None:
    for wrong, message in (
        ({}, "name a store, with ref and where, or else a pin"),
        ({"store": store.place, "pin": "x.json"}, "got both or neither"),
        ({"pin": "x.json", "where": "true"}, "got both or neither"),
        ({"store": store.place, "where": "source = 'synthetic'"}, "main has no sample where source = 'synthetic'"),
        ({"store": store.place, "digest": "0" * 64}, "has 3 samples with digest .*, the config names 000000000000; a branch moves"),
        ({"store": str(tmp_path / "gone")}, "no store at"),
        ({"pin": str(tmp_path / "gone.json")}, "cannot read pin"),
    ):
        with pytest.raises(SynthError, match=message):
            Stored(**wrong)  # type: ignore[arg-type]
    found = Stored(store.place)
    assert Stored(store.place, digest=found.digest) == found
    assert [sample.key for sample in found] == ["card-0", "card-1", "card-2"]
    assert [sample.key for sample in found[1:]] == ["card-1", "card-2"]
