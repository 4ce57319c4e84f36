"""The dataset: an order that is a function of plan, seed and epoch alone; labels in the convention; a cache that changes nothing."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, StoreError
from synth.mix import Mixture, Plan, mixture, plan_of
from synth.mix.fit import fit_image, fit_labels
from synth.mix.targets import NO_CLASS, target_of
from synth.store import Store, pull
from synth.store.pins import open_pin
from synth.types import Category, Instance, Keypoints, Obb, Rle, Sample, SampleInfo
from tests.mix.stores import half, made, real, relabelled, synthetic, usual
from tests.samples import HEIGHT, WIDTH, sample


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return usual(tmp_path_factory.mktemp("mix") / "store")


@pytest.fixture(scope="module")
def plan(store: Store) -> Plan:
    return plan_of(half(epoch=52), store)  # seven batches of 8, the last of 4


def keys(data: Mixture, places: Any) -> list[str]:
    return [sample.key for sample in data.samples(list(places))]


# --- order ------------------------------------------------------------------------------------------------------------


def test_every_batch_has_its_quota_and_every_sample_its_turn(plan: Plan) -> None:
    data = mixture(plan)
    drawn: Counter[str] = Counter()
    for epoch in range(3):
        for places in data.batches(epoch):
            batch = keys(data, places)
            assert sum(key.startswith("shop") for key in batch) == len(batch) / 2
            drawn.update(batch)
    for prefix, samples in (("shop", 9), ("run", 24)):
        times = [n for key, n in drawn.items() if key.startswith(prefix)]
        assert len(times) == samples
        assert max(times) - min(times) <= 1  # through all before any comes again, epochs or not
    assert not set(drawn) & {f"shop/{i}" for i in range(9, 16)}


def test_the_order_is_a_function_of_plan_seed_and_epoch(plan: Plan) -> None:
    data = mixture(plan)
    first, second = keys(data, range(52)), keys(data, range(52, 104))
    assert first != second
    assert keys(mixture(plan), range(52)) == first  # another object, the same order
    assert keys(mixture(plan, seed=plan.seed), [51, 0, 17]) == [first[51], first[0], first[17]]  # any place at once
    assert keys(mixture(plan, seed=1), range(52)) != first
    assert keys(pickle.loads(pickle.dumps(data)), range(52)) == first
    assert len(pickle.dumps(data)) < 10_000


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.sampled_from([4, 8, 12]), st.sampled_from([1, 2, 4]), st.integers(0, 5))
def test_ranks_share_each_batch(length: int, size: int, ranks: int, epoch: int) -> None:
    """Together they have each place once, batch by batch the same whatever their number; and each goes on from any batch."""
    from synth.mix.batches import Batches

    whole = list(Batches(length, size, epoch))
    assert [place for batch in whole for place in batch] == list(range(epoch * length, (epoch + 1) * length))
    mine = [list(Batches(length, size, epoch, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert [list(chain.from_iterable(parts)) for parts in zip(*mine, strict=True)] == whole
    for start in range(len(whole) + 1):
        assert list(Batches(length, size, epoch, start)) == whole[start:]


def test_ranks_have_the_quota_too(plan: Plan) -> None:
    data = mixture(plan)
    for ranks in (2, 4):
        for rank in range(ranks):
            for places in list(data.batches(0, rank=rank, ranks=ranks))[:6]:
                assert sum(key.startswith("shop") for key in keys(data, places)) == 4 // ranks
    with pytest.raises(ConfigError, match="a batch of 8 cannot be divided among 3 ranks"):
        data.batches(ranks=3)
    with pytest.raises(ConfigError, match=r"rank must be in \[0, 2\), got 2"):
        data.batches(rank=2, ranks=2)


def test_each_pass_has_another_order(plan: Plan) -> None:
    photos = [key for key in keys(mixture(plan), range(104)) if key.startswith("shop")]
    passes = [tuple(photos[9 * i : 9 * i + 9]) for i in range(5)]
    assert all(len(set(each)) == 9 for each in passes)
    assert len(set(passes)) == 5


def test_quota_of_epochs_leaves_batches_to_chance(store: Store) -> None:
    data = mixture(plan_of(half(epoch=48, quota="epoch"), store))
    for epoch in range(2):
        of_batches = [sum(k.startswith("shop") for k in keys(data, places)) for places in data.batches(epoch)]
        assert sum(of_batches) == 24
        assert len(set(of_batches)) > 1


def test_rare_categories_are_drawn_as_often(tmp_path: Path) -> None:
    """20 photos of mugs and 2 of mugs with a spoon; half of the draws are of the latter, within max_repeats."""
    spoon = (*sample(0).categories, Category("spoon"))
    photos = [replace(real(2 * i), categories=spoon, instances=real(2 * i).instances[:1]) for i in range(22)]
    photos[3:5] = [replace(p, instances=(*p.instances, Instance("spoon", box_xyxy=(0.0, 0.0, 4.0, 4.0)))) for p in photos[3:5]]
    store = made(tmp_path / "s", photos)
    base: dict[str, Any] = {"synth": {"weight": 0}, "real": {"balance": "category"}}
    rare = {photos[3].key, photos[4].key}
    drawn = Counter(keys(mixture(plan_of(half(epoch=40, parts=base, val=None, test=None), store)), range(40)))
    assert sum(drawn[key] for key in rare) == 20
    assert all(drawn[photo.key] == 1 for photo in photos if photo.key not in rare)
    base["real"]["max_repeats"] = 3
    drawn = Counter(keys(mixture(plan_of(half(epoch=40, parts=base, val=None, test=None), store)), range(400)))
    assert sum(drawn[key] for key in rare) == pytest.approx(60, abs=1)  # 3 a sample in each of 10 epochs


def test_what_is_held_out_comes_once_in_order(plan: Plan) -> None:
    data = mixture(plan, "test")
    assert len(data) == 4
    assert [place for batch in data.batches(3) for place in batch] == [0, 1, 2, 3]
    assert keys(data, range(4)) == [f"shop/{i}" for i in range(12, 16)]
    with pytest.raises(IndexError):
        data.samples([4])


# --- items ------------------------------------------------------------------------------------------------------------


def test_items_are_in_torchvisions_convention(plan: Plan, store: Store) -> None:
    torch = pytest.importorskip("torch")
    data = mixture(plan, "test", task="keypoints")
    image, target = data[1]
    stored = store.get("shop/13")
    mug = stored.instances[0]
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, HEIGHT, WIDTH))
    assert (image.permute(1, 2, 0).numpy() == stored.image).all()
    assert {name: (str(value.dtype), tuple(value.shape)) for name, value in target.items()} == {
        "boxes": ("torch.float32", (1, 4)),  # the box without any extent is left out
        "labels": ("torch.int64", (1,)),
        "area": ("torch.float32", (1,)),
        "iscrowd": ("torch.int64", (1,)),
        "keypoints": ("torch.float32", (1, 2, 3)),
        "image_id": ("torch.int64", (1,)),
    }
    assert target["boxes"].tolist() == [list(mug.box_xyxy or ())]
    assert target["labels"].tolist() == [1]
    assert target["keypoints"][0, 0].tolist() == pytest.approx([*(mug.keypoints.xy[0] if mug.keypoints else ()), 2], abs=1e-5)
    masks = mixture(plan, "test", task="masks")[1][1]["masks"]
    assert masks.dtype == torch.uint8
    assert mug.mask is not None
    assert (masks[0].numpy().astype(bool) == mug.mask.decode()).all()


def labelled(*instances: Instance, **info: Any) -> Sample:
    return Sample(np.zeros((20, 30, 3), np.uint8), instances, (Category("a", ("p", "q")), Category("b")), info=SampleInfo(**info))


def test_absent_labels() -> None:
    bits = np.zeros((20, 30), bool)
    bits[2:5, 3:9] = True
    points = Keypoints(np.array([[4.5, 3.5], [0.0, 0.0]]), np.array([1, 0]))
    only = labelled(
        Instance("a"),  # nobody said where it is
        Instance("b", mask=Rle.encode(bits)),
        Instance("a", box_xyxy=(1.0, 2.0, 3.0, 4.0), keypoints=points),
        Instance("a", box_xyxy=(1.0, 2.0, 3.0, 4.0), visible_fraction=0.05),  # nearly hidden
        Instance("a", obb=Obb(10, 10, 4, 2, 0.0), crowd=True),
        Instance("unheard", box_xyxy=(1.0, 2.0, 3.0, 4.0)),
    )
    target = target_of(only, only.categories, "keypoints")
    assert target["labels"].tolist() == [2, 1, 1]
    assert target["boxes"].tolist() == [[3, 2, 9, 5], [1, 2, 3, 4], [8, 9, 12, 11]]
    assert target["area"].tolist() == [18, 4, 8]
    assert target["iscrowd"].tolist() == [0, 0, 1]
    assert target["keypoints"][:, :, 2].tolist() == [[0, 0], [1, 0], [0, 0]]
    masks = target_of(only, only.categories, "masks")
    assert masks["masks"].sum(axis=(1, 2)).tolist() == [18, 0, 0]
    assert masks["masks_given"].tolist() == [True, False, False]
    assert len(target_of(only, only.categories, "detection", min_visible=0)["boxes"]) == 4
    empty = target_of(labelled(), only.categories, "masks")
    assert {name: value.shape for name, value in empty.items()} == {
        **{"boxes": (0, 4), "labels": (0,), "area": (0,), "iscrowd": (0,), "masks": (0, 20, 30), "masks_given": (0,)},
    }


@pytest.mark.parametrize(
    ("one", "label"),
    [
        (labelled(classes=("b",)), 1),
        (labelled(Instance("b"), classes=("a",)), 0),  # what was said of the picture counts first
        (labelled(Instance("b"), Instance("b")), 1),
        (labelled(Instance("b"), Instance("a")), NO_CLASS),
        (labelled(), NO_CLASS),
        (labelled(classes=("indoor",)), NO_CLASS),
    ],
    ids=["classes", "classes first", "one category", "two categories", "nothing", "other class"],
)
def test_classes(one: Sample, label: int) -> None:
    assert target_of(one, one.categories, "classification")["label"] == label


def test_parts_are_relabelled(tmp_path: Path) -> None:
    cups = relabelled([real(i) for i in range(4)], lambda c: replace(c, name="cup") if c.name == "mug" else c)
    store = made(tmp_path / "s", map(synthetic, range(4)), cups)
    mix = half(val=None, test=None, parts={"real": {"categories": {"cup": "mug", "box": None}}, "synth": {"categories": {"box": None}}})
    data = mixture(plan_of(mix, store))
    for one in data.samples(range(8)):
        assert {instance.category for instance in one.instances} == {"mug"}
        assert [c.name for c in one.categories] == ["mug"]
        assert one.instances[0].keypoints is not None


# --- size and cache ---------------------------------------------------------------------------------------------------


def test_one_size_moves_labels_with_pixels() -> None:
    """A white square on black stays where its labels say, in either fit."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:50] = 255
    bits = image[..., 0] > 0
    box = Instance(
        "a",
        mask=Rle.encode(bits),
        area_px=600,
        box_xyxy=(20.0, 10.0, 50.0, 30.0),
        obb=Obb(35, 20, 30, 20, 0.0),
        keypoints=Keypoints(np.array([[20.0, 10.0], [35.0, 20.0]]), np.array([2, 1])),
    )
    one = replace(labelled(box), image=image)
    for fit, size, scale in (("letterbox", (120, 90), (2, 2)), ("stretch", (120, 120), (2, 3)), ("letterbox", (30, 40), (0.5, 0.5))):
        made = fit_labels(one, fit_image(image, size, fit), fit)  # type: ignore[arg-type]
        assert made.size == size
        found = made.instances[0]
        rows, columns = np.nonzero((made.image >= 128).all(axis=2))
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == found.box_xyxy
        assert found.box_xyxy == tuple(np.multiply((20, 10, 50, 30), scale * 2))
        assert found.mask is not None
        assert (found.mask.decode() != (made.image >= 128).all(axis=2)).sum() <= 4  # its corners are rounded in the picture
        assert found.area_px == found.mask.decode().sum()
        assert found.keypoints is not None
        assert (found.keypoints.xy == np.multiply([[20, 10], [35, 20]], scale)).all()
        assert found.obb is not None
        assert np.ptp(found.obb.corners_xy, axis=0) == pytest.approx(np.multiply((30, 20), scale))
    assert (fit_image(image, (120, 90), "letterbox")[80:] == 114).all()
    assert fit_image(image, (60, 40), "letterbox") is image


def arrays(data: Mixture, places: Any) -> Any:
    return data.arrays(list(places))


def equal(a: Any, b: Any) -> None:
    for (image, target), (other, others) in zip(a, b, strict=True):
        assert (image == other).all()
        assert target.keys() == others.keys()
        assert all((target[name] == others[name]).all() for name in target)


@pytest.mark.parametrize("size", [(64, 64), (WIDTH, HEIGHT), (20, 30)])
def test_a_cache_changes_nothing(plan: Plan, tmp_path: Path, size: tuple[int, int]) -> None:
    bare = arrays(mixture(plan, task="keypoints", size=size), range(52))
    for _ in range(2):
        equal(arrays(mixture(plan, task="keypoints", size=size, cache=tmp_path / "cache"), range(52)), bare)
    (file,) = (tmp_path / "cache").iterdir()
    assert file.stat().st_blocks * 512 < 2 * 33 * (size[0] * size[1] * 3 + 4096 + 36)


def test_a_cache_is_read_and_damage_is_noticed(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without decoding; what is torn, or of another picture, is made again."""
    from synth.mix import cache
    from synth.store import samples as reading

    data = mixture(plan, size=(64, 48), cache=tmp_path)
    bare = arrays(data, range(8))
    with monkeypatch.context() as patch:
        patch.setattr(reading, "decode", None)
        equal(arrays(data, range(8)), bare)
    (file,) = tmp_path.iterdir()
    slot = 64 * 48 * 3 + 36
    content = bytearray(file.read_bytes())
    rows = [data.locate(place)[1] for place in range(8)]
    content[rows[0] * slot : rows[0] * slot + 4096] = bytes(4096)  # a page that a crash lost
    content[rows[1] * slot : (rows[1] + 1) * slot] = content[rows[2] * slot : (rows[2] + 1) * slot]
    file.write_bytes(content)
    made: list[int] = []
    put = cache._Slots.put

    def told(self: Any, row: int, *rest: Any) -> None:
        made.append(row)
        put(self, row, *rest)

    monkeypatch.setattr(cache._Slots, "put", told)
    equal(arrays(data, range(8)), bare)
    assert sorted(made) == sorted(rows[:2])


def test_a_cache_needs_a_size(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a cache holds pictures of one size; give size too"):
        mixture(plan, cache=tmp_path)


# --- augmentation -----------------------------------------------------------------------------------------------------


def noise(store: Store, **more: Any) -> Plan:
    flip = {"_target_": "synth.augment.albumentations.Albumentations", "name": "HorizontalFlip", "p": 0.5}
    light = {"_target_": "synth.augment.albumentations.Albumentations", "name": "RandomBrightnessContrast", "p": 1.0}
    return plan_of(half(epoch=48, parts={"real": {"stages": {"flip": flip}}}, stages={"light": light}, **more), store)


def test_augmentations_are_a_function_of_the_place(store: Store) -> None:
    data = mixture(noise(store))
    bare = mixture(noise(store), augmented=False)
    together = arrays(data, range(48))
    equal([arrays(data, [place])[0] for place in (47, 3, 11)], [together[place] for place in (47, 3, 11)])
    equal(arrays(mixture(noise(store)), range(48)), together)
    changed = [(a[0] != b[0]).any() for a, b in zip(together, arrays(bare, range(48)), strict=True)]
    assert all(changed)
    other = arrays(mixture(noise(store), seed=3), range(48))
    assert any((a[0].mean() != b[0].mean()) for a, b in zip(together, other, strict=True))


def test_a_parts_own_augmentation_is_its_own(store: Store) -> None:
    data, bare = mixture(noise(store)), mixture(noise(store), augmented=False)
    turned = {"shop": 0, "run-": 0}
    for place in range(48):
        a, b = data.samples([place])[0], bare.samples([place])[0]
        if a.instances[0].box_xyxy != b.instances[0].box_xyxy:
            turned[a.key[:4]] += 1
    assert turned["run-"] == 0
    assert 4 <= turned["shop"] <= 20  # of 24, one in two
    held = mixture(noise(store), "test")
    equal(arrays(held, range(4)), arrays(mixture(noise(store), "test", augmented=False), range(4)))


def test_augmented_pictures_keep_the_size(store: Store) -> None:
    crop = {
        "_target_": "synth.augment.albumentations.Albumentations",
        "name": "RandomCrop",
        "params": {"height": 16, "width": 16},
        "p": 0.5,
    }
    data = mixture(plan_of(half(stages={"crop": crop}), store), size=(32, 32))
    assert {sample.size for sample in data.samples(range(16))} == {(32, 32)}


def test_a_stage_that_is_none(store: Store) -> None:
    plan = plan_of(half(stages={"x": {"_target_": "synth.types.Category", "name": "a"}}), store)
    with pytest.raises(ConfigError, match=r"stages\.x must be a stage"):
        mixture(plan)
    harm = {"_target_": "pathlib.Path", "name": "a"}
    with pytest.raises(ConfigError, match=r"train real: stages\.x\._target_: 'pathlib\.Path' is neither"):
        mixture(plan_of(half(parts={"real": {"stages": {"x": harm}}}), store))


# --- opening ----------------------------------------------------------------------------------------------------------


def test_it_opens_beside_the_plan_and_in_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = usual(tmp_path / "data" / "s")
    monkeypatch.chdir(tmp_path)
    plan = plan_of(half(), "data/s")
    (tmp_path / "x.plan.json").write_text(plan.to_json())
    wanted = keys(mixture(plan), range(8))
    monkeypatch.chdir("/")
    assert keys(mixture(tmp_path / "x.plan.json"), range(8)) == wanted
    pin = store.pin("main")
    copy = pull(open_pin(pin), tmp_path / "copy", pin)
    for chosen in (*plan.parts.values(), *plan.val.values(), *plan.test.values()):
        pull(open_pin(chosen.pin, store), tmp_path / f"copy{chosen.pin.digest[:4]}", chosen.pin)
    assert len(copy.read()) == 40
    only = replace(plan, parts={"synth": plan.parts["synth"]}, knots=(replace(plan.knots[0], counts=(48,)),))
    part = tmp_path / f"copy{plan.parts['synth'].pin.digest[:4]}"
    assert keys(mixture(only, store=part), range(24)) == keys(mixture(only, store=store.place), range(24))


def test_a_store_that_is_another(plan: Plan, tmp_path: Path) -> None:
    other = made(tmp_path / "s", [real(0)])
    with pytest.raises(StoreError):
        mixture(plan, store=other.place)
    swapped = made(tmp_path / "t", map(synthetic, range(24)), [real(i + 50, "train") for i in range(9)])
    with pytest.raises(StoreError, match="is not what was pinned"):
        mixture(plan, store=swapped.place)
    assert len(mixture(plan, store=swapped.place, verify=False)) == 52


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "vall"}, "no split 'vall'; did you mean 'val'?"),
        ({"task": "boxes"}, "no task 'boxes'; known: classification, detection, keypoints, masks"),
        ({"fit": "crop"}, "no fit 'crop'"),
        ({"size": (0, 3)}, "size must be width and height in px"),
    ],
)
def test_a_wrong_call(plan: Plan, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        mixture(plan, **options)


def test_a_plan_without_held_out_samples(store: Store) -> None:
    plan = plan_of(half(test=None), store)
    with pytest.raises(ConfigError, match=r"the plan has no test samples; add mix\.test and plan it again"):
        mixture(plan, "test")


def test_numpy_needs_no_torch(plan: Plan) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom synth import mixture\nimport synth.mix.plan as p\n"
        "data = mixture(p.Plan.from_json(sys.stdin.read()), size=(32, 24), task='classification')\n"
        "batches = list(data.numpy_batches(epoch=1, start=2))\n"
        "assert [b[0].shape for b in batches] == [(8, 24, 32, 3)] * 4 + [(4, 24, 32, 3)], [b[0].shape for b in batches]\n"
        "assert 'torch' not in sys.modules\nprint('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], input=plan.to_json(), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "done\n", done.stderr
