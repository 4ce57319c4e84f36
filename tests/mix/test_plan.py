"""Plans: what they say, what they refuse, and that they come back from their file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synth.cli import main
from synth.errors import ConfigError, StoreCallError
from synth.mix import Mix, Plan, mixture, plan_of
from synth.mix.plan import HELD_OUT
from synth.store import Store
from synth.types import Category
from tests.mix.stores import half, made, real, relabelled, synthetic, usual


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return usual(tmp_path_factory.mktemp("mix") / "store")


def counts(plan: Plan) -> dict[str, int]:
    return dict(zip(plan.parts, plan.knots[0].counts, strict=True))


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, {"real": 24, "synth": 24}),  # until all 24 synthetic ones were drawn
        ({"epoch": 100}, {"real": 50, "synth": 50}),
        ({"parts": {"synth": {"weight": 3}}}, {"real": 10, "synth": 30}),  # 36 would do, in whole batches of 8: 40
        ({"parts": {"real": {"max_repeats": 2}}}, {"real": 18, "synth": 30}),
        ({"parts": {"synth": {"weight": 0}}}, {"real": 16}),
        ({"parts": {"real": {"weight": None, "count": 5}}}, {"real": 5, "synth": 27}),
        ({"parts": {"real": {"weight": None}, "synth": {"weight": None}}}, {"real": 9, "synth": 24}),
        ({"parts": {"real": {"weight": None, "repeat": 2.5}, "synth": {"weight": None, "count": 7}}}, {"real": 22, "synth": 7}),
        ({"parts": {"real": {"weight": 0.1}, "synth": {"weight": 0.2}}, "epoch": 30}, {"real": 10, "synth": 20}),
        ({"parts": {"real": {"max_repeats": 1}, "synth": {"max_repeats": 1}}}, {"real": 9, "synth": 24}),
    ],
)
def test_amounts(store: Store, more: dict[str, Any], wanted: dict[str, int]) -> None:
    plan = plan_of(half(**more), store)
    assert counts(plan) == wanted
    assert plan.epoch == sum(wanted.values())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"epoch": 64, "parts": {"real": {"max_repeats": 1}, "synth": {"max_repeats": 2}}}, "64 places, but max_repeats lets only 57 be"),
        ({"epoch": 9, "parts": {"real": {"weight": None}}}, "its share of an epoch of 9 is less than one place"),
        ({"epoch": 8, "parts": {"real": {"weight": None}}}, "mix.epoch is 8, counts and repeats alone take 9"),
        ({"epoch": 8, "parts": {"real": {"weight": None}, "synth": {"weight": None}}}, "counts and repeats add up to 33; leave epoch out"),
        ({"parts": {"real": {"weight": None, "count": 30, "max_repeats": 3}}}, "mix.parts.real: 30 places in an epoch, but max_repeats le"),
        ({"parts": {"real": {"weight": 0}, "synth": {"weight": 0}}}, "every part has weight 0; nothing is left to train on"),
        ({"parts": {"real": {"weight": 1e-9}}, "epoch": 10}, "mix.parts.real: its share of an epoch of 10 is less than one place"),
    ],
)
def test_amounts_that_cannot_be(store: Store, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(half(**more), store)


def test_a_schedule_over_epochs(store: Store) -> None:
    points = [{"at": 0, "real": 0, "synth": 1}, {"at": 0.5, "real": 1, "synth": 0}]
    plan = plan_of(half(epochs=4, epoch=80, schedule={"kind": "linear", "points": points}), store)
    quotas = plan.quotas()
    assert [quotas.before(80 * e) for e in range(5)] == [(0, 0), (20, 60), (80, 80), (160, 80), (240, 80)]
    assert "0 to 1" in plan.table()
    assert Plan.from_json(plan.to_json()) == plan


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_says_all_and_is_small(store: Store, tmp_path: Path) -> None:
    stage = {"light": {"_target_": "synth.augment.albumentations.Albumentations", "name": "RandomBrightnessContrast"}}
    plan = plan_of(half(parts={"real": {"stages": stage}}, stages=stage), store, seed=5)
    path = tmp_path / "half.plan.json"
    path.write_text(plan.to_json())
    assert Plan.load(path) == plan
    assert len(path.read_bytes()) < 4000
    assert plan.parts["real"].pin.version == store.resolve("main")
    assert plan.parts["real"].stages == stage
    assert [c.name for c in plan.categories] == ["mug", "box"]
    assert plan_of(half(parts={"real": {"stages": stage}}, stages=stage), store, seed=5).to_json() == plan.to_json()
    assert replace(plan, seed=6).digest != plan.digest
    moved = replace(plan, parts={n: replace(c, pin=replace(c.pin, store="elsewhere")) for n, c in plan.parts.items()})
    assert moved.digest == plan.digest  # a store may move


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"synth_plan": 1}', '{"synth_pin": 1}'])
def test_no_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.plan.json").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.plan\.json is no plan of a mixture; `synth mix` writes one"):
        Plan.load(tmp_path / "x.plan.json")
    with pytest.raises(ConfigError, match="cannot read plan"):
        Plan.load(tmp_path / "absent.plan.json")


def test_a_plan_that_was_edited_or_is_newer(store: Store) -> None:
    value = json.loads(plan_of(half(), store).to_json())
    with pytest.raises(ConfigError, match="has version 2, this synth reads 1"):
        Plan.from_json(json.dumps({**value, "synth_plan": 2}))
    with pytest.raises(ConfigError, match="is no plan"):
        Plan.from_json(json.dumps({**value, "epoch": 47}))


def test_what_was_added_later_is_not_in_it(tmp_path: Path) -> None:
    store = usual(tmp_path / "store")
    plan = plan_of(half(), store)
    store.put([real(99)], message="m")
    store.delete("source = 'synthetic'")
    assert {sample.key for sample in mixture(plan).samples(range(48))} == {f"shop/{i}" for i in range(9)} | {
        f"run-{i:08d}" for i in range(24)
    }
    assert plan_of(half(parts={"synth": {"weight": 0}}), store).parts["real"].pin.samples == 10


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(message: str, mix: Mix, store: Store) -> None:
    with pytest.raises(ConfigError) as error:
        plan_of(mix, store)
    assert message in str(error.value)


@pytest.mark.parametrize("role", HELD_OUT)
def test_synthetic_samples_that_are_held_out(store: Store, role: str) -> None:
    where = {"where": "key = 'shop/12' or key < 'run-00000007'"}
    mix = {role: {"real": where}, "parts": {"synth": {"where": "key > 'run-0000001' and source = 'synthetic'"}}}
    others = {other: None for other in HELD_OUT if other != role}
    refused(
        f"mix.{role}.real: 7 of 8 samples are synthetic (run-00000000, run-00000001, run-00000002, run-00000003, run-00000004 and 2 more), "
        "and a score on them says nothing of real photos; filter them with where: \"source = 'real'\", or set mix.synthetic_heldout=true",
        half(**mix, **others),
        store,
    )
    assert getattr(plan_of(half(**mix, **others, synthetic_heldout=True), store), role)["real"].pin.samples == 8


def test_a_group_in_train_and_test(tmp_path: Path) -> None:
    photos = [real(i, "test" if i > 4 else "train", f"video{i // 2}") for i in range(8)]
    store = made(tmp_path / "s", map(synthetic, range(4)), photos)
    refused(
        "mix.parts.real and mix.test.real share 1 group: video2 of shop (such as shop/4 and shop/5); what belongs together must be in one "
        "of them, so filter by the column `group` or by split",
        half(val=None),
        store,
    )
    mended = half(val=None, test={"real": {"where": "split = 'test' and `group` <> 'video2'"}})
    assert plan_of(mended, store).test["real"].pin.samples == 2
    other = replace(real(20), key="barn/0", info=replace(real(20).info, dataset="barn", group="video3"))
    store.put([other], message="m")
    plan_of(mended, store)  # a video3 of another dataset is another video


@pytest.mark.parametrize("pair", [("train", "test"), ("train", "val"), ("val", "test")])
def test_the_same_image_in_two(tmp_path: Path, pair: tuple[str, str]) -> None:
    a, b = pair
    twin = replace(real(0, b), key="again/0")
    rest = [real(i + 1, split) for i, split in enumerate(("train", "val", "test"))]
    store = made(tmp_path / "s", map(synthetic, range(4)), [real(0, a), twin, *rest])
    first = "mix.parts.real" if a == "train" else f"mix.{a}.real"
    refused(f"{first} and mix.{b}.real have 1 image in common, byte for byte: shop/0 = again/0", half(), store)


def test_an_empty_part(store: Store) -> None:
    refused(
        f"mix.parts.real: empty; main of {store.place} has no sample where split = 'nope'",
        half(parts={"real": {"where": "split = 'nope'"}}),
        store,
    )
    assert plan_of(half(val={"real": {"where": "split = 'nope'", "optional": True}}), store).val == {}


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    store = made(tmp_path / "s", [synthetic(0)], [real(0, "train", "a"), real(1, "test", "a")])
    mix = half(val={"real": {"where": "source = 'synthetic'"}})
    with pytest.raises(ConfigError) as error:
        plan_of(mix, store)
    assert [line.split(" ")[0] for line in str(error.value).splitlines()] == ["mix.val.real:", "mix.parts.real", "mix.parts.synth"]


def mixed_labels(tmp_path: Path, change: Any) -> Store:
    photos = relabelled([real(i, split) for i, split in enumerate(["train", "train", "val", "test"])], change)
    return made(tmp_path / "s", map(synthetic, range(4)), photos)


def test_categories_that_do_not_match(tmp_path: Path) -> None:
    store = mixed_labels(tmp_path, lambda c: replace(c, name="Coffee_Mug" if c.name == "mug" else "crate"))
    mix = {"parts": {"synth": {"where": "source = 'synthetic'"}}}
    refused(
        "mix.parts.synth: its categories are not those of mix.parts.real; only here: mug, box; only there: Coffee_Mug, crate; this mapping "
        "would mend it: mix.parts.synth.categories: {mug: null, box: null}; or, if all are meant and each part labels what it has of them: "
        "mix.categories: [Coffee_Mug, crate, mug, box]",
        half(**mix),
        store,
    )
    mapping = {"mug": "Coffee_Mug", "box": None}
    partly = half(parts={"synth": {"categories": mapping}})
    refused("only there: crate; or, if all are meant", partly, store)
    mended = half(parts={"synth": {"categories": {"mug": "Coffee_Mug", "box": "crate"}}})
    assert [c.name for c in plan_of(mended, store).categories] == ["Coffee_Mug", "crate"]
    listed = half(parts={"synth": {"categories": mapping}}, categories=["crate", "Coffee_Mug"])
    plan = plan_of(listed, store)
    assert [c.name for c in plan.categories] == ["crate", "Coffee_Mug"]
    assert plan.categories[1].keypoints == ("handle", "rim")
    refused("mix.parts.real: its categories are not those of mix.categories; only here: crate", half(categories=["Coffee_Mug"]), store)
    refused("mix.categories names 'spoon', which no part has", half(categories=["Coffee_Mug", "crate", "mug", "box", "spoon"]), store)
    refused(
        "mix.parts.synth.categories names 'Mug', which it has not; it has: mug, box",
        half(parts={"synth": {"categories": {"Mug": "x"}}}),
        store,
    )


@pytest.mark.parametrize(("name", "told"), [("Mug", "mug: Mug"), ("mugs", "mug: mugs"), ("teapot", "mug: teapot")])
def test_the_mapping_that_would_mend_it(tmp_path: Path, name: str, told: str) -> None:
    """By spelling, or because one of each is left; and it does mend it."""
    store = mixed_labels(tmp_path, lambda c: replace(c, name=name) if c.name == "mug" else c)
    refused(f"mix.parts.synth.categories: {{{told}}}", half(), store)
    plan_of(half(parts={"synth": {"categories": {"mug": name}}}), store)


def test_keypoints_that_do_not_match(tmp_path: Path) -> None:
    other = Category("mug", ("top_rim", "Handle", "base"), (("Handle", "top_rim"),))
    store = made(
        tmp_path / "s",
        map(synthetic, range(4)),
        [replace(real(i), categories=(other, *real(i).categories[1:]), instances=()) for i in range(3)],
    )
    mix = {"val": None, "test": None}
    refused(
        "mix.parts.synth: the keypoints of 'mug' are not those of mix.parts.real; only here: handle, rim; only there: top_rim, Handle, "
        "base; this mapping would mend it: mix.parts.synth.keypoints: {mug: {handle: Handle, rim: null}}",
        half(**mix),
        store,
    )
    names = {"handle": "Handle", "rim": "top_rim"}
    refused(
        "only there: base; this mapping would mend it: mix.parts.real.keypoints: {mug: {base: null}}",
        half(**mix, parts={"synth": {"keypoints": {"mug": names}}}),
        store,
    )
    both = half(**mix, parts={"synth": {"keypoints": {"mug": names}}, "real": {"keypoints": {"mug": {"base": None}}}})
    plan = plan_of(both, store)
    assert plan.categories[0] == Category(
        "mug", ("top_rim", "Handle"), (("Handle", "top_rim"),), plan.categories[0].skeleton, plan.categories[0].sigmas
    )
    by_name = dict(zip(plan.categories[0].keypoints, plan.categories[0].sigmas, strict=True))
    assert by_name == {"top_rim": 0.1, "Handle": 0.05}  # of rim and handle
    refused(
        "mix.parts.synth.keypoints.mug names hinge, which 'mug' has not; it has: handle, rim",
        half(**mix, parts={"synth": {"keypoints": {"mug": {"hinge": "x"}}}}),
        store,
    )


def test_keypoints_in_another_order_match_by_name(tmp_path: Path) -> None:
    def turned(c: Category) -> Category:
        return replace(c, keypoints=c.keypoints[::-1], sigmas=c.sigmas[::-1])

    samples = relabelled(map(synthetic, range(4)), turned)
    store = made(tmp_path / "s", samples, [real(i) for i in range(3)])
    plan = plan_of(half(val=None, test=None, epoch=16), store)
    data = mixture(plan, task="keypoints")
    for place in range(16):
        sample = data.samples([place])[0]
        stored = store.get(sample.key).instances[0].keypoints
        points = sample.instances[0].keypoints
        assert points is not None
        assert stored is not None
        turn = -1 if sample.origin else 1
        assert (points.xy == stored.xy[::turn]).all()
        assert (points.v == stored.v[::turn]).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"batch_size": 0}, "mix: batch_size must be a whole number above 0, got 0"),
        ({"quota": "sometimes"}, "mix: quota must be one of batch, epoch, got 'sometimes'"),
        ({"part": 1}, "mix: no key 'part'; did you mean 'parts'?"),
        ({"parts": {"real": {"weigth": 1}}}, "mix.parts.real: no key 'weigth'; did you mean 'weight'?"),
        ({"parts": {"real": {"count": 3}}}, "mix.parts.real: weight and count are given"),
        ({"parts": {"real": {"weight": -1}}}, "mix.parts.real: weight must be a number from 0, got -1"),
        ({"parts": {"real": {"weight": "much"}}}, "mix.parts.real: weight must be a number from 0, got 'much'"),
        ({"parts": {"real": {"pin": "x.json"}}}, "mix.parts.real: name either ref"),
        ({"parts": {"real": {"ref": None, "pin": "x.json"}}}, "mix.parts.real: a pin says which samples it names; where goes with ref"),
        ({"parts": {"real": {"categories": ["mug"]}}}, "mix.parts.real: categories must give new names by old name"),
        ({"parts": {"real": {"balance": "colour"}}}, "mix.parts.real: balance must be 'category' or null, got 'colour'"),
        ({"parts": {"real": {"where": 3}}}, "mix.parts.real: where must be text, got 3"),
        ({"schedule": {"kind": "linear"}}, "mix.schedule: missing 1 required positional argument: 'points'"),
        ({"schedule": {"kind": "wavy", "points": []}}, "mix.schedule: kind must be one of linear, cosine, steps, got 'wavy'"),
        ({"schedule": {"kind": "linear", "points": [{"at": 0.5}, {"at": 1}]}}, "points must begin with at: 0"),
        ({"schedule": {"kind": "steps", "points": [{"at": 0, "fake": 1}, {"at": 1}]}}, "schedule.points[0] names fake; parts: real, synth"),
        ({"parts": {"real": {"weight": None, "count": 3}}, "schedule": {"kind": "steps", "points": [{"at": 0}, {"at": 1}]}}, "a schedule "),
    ],
)  # fmt: skip
def test_a_mix_that_is_none(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        half(**more)
    assert message in str(error.value)


def test_a_wrong_ref_or_filter_is_told_with_its_part(store: Store) -> None:
    with pytest.raises(StoreCallError, match=r"mix\.parts\.real: store .*no ref 'nope'"):
        plan_of(half(parts={"real": {"ref": "nope"}}), store)
    with pytest.raises(StoreCallError, match=r"mix\.parts\.real: the filter"):
        plan_of(half(parts={"real": {"where": "nope = 1"}}), store)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_and_saves(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["mix", "mix=half_real", f"store={store.place}"]) == 0
    text = capsys.readouterr().out
    assert "real        9" in text
    assert "saved: half_real.plan.json" in text
    plan = Plan.load("half_real.plan.json")
    assert counts(plan) == {"real": 32, "synth": 32}
    assert plan.val["real"].pin.samples == 3
    assert main(["mix", f"store={store.place}", "-m", "mix.parts.synth.weight=0,1,3", "seed=1,2"]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"half_real.plan.json"} | {f"half_real-synth.weight={w}-seed={s}.plan.json" for w in (0, 1, 3) for s in (1, 2)}
    assert list(Plan.load("half_real-synth.weight=0-seed=2.plan.json").parts) == ["real"]
    assert main(["mix", "--store", store.place, "out=plans/x.plan.json", "mix.parts.real.where=source = 'real' and split = 'val'"]) == 2
    assert "mix.parts.real and mix.val.real" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["all", "balanced", "synthetic_first"])
def test_every_option_makes_a_plan(store: Store, tmp_path: Path, option: str) -> None:
    out = tmp_path / "x.plan.json"
    assert main(["mix", f"mix={option}", f"store={store.place}", f"out={out}"]) == 0
    assert len(mixture(out)) > 0


def test_the_plan_is_exported_with_what_is_held_out(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "x.plan.json"
    assert main(["mix", f"store={store.place}", f"out={out}"]) == 0
    assert main(["export", "coco", str(out), str(tmp_path / "coco")]) == 0
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    plan = Plan.load(out)
    assert len(coco["images"]) == plan.epoch + 3 + 4
    keys = [image["key"] for image in coco["images"]]
    assert len(set(keys)) == len(keys)
    assert {"shop/0", "shop/0~2", "shop/12", "run-00000003"} <= set(keys)
    assert coco["info"]["plan"] == plan.digest
    assert main(["export", "yolo", str(out), str(tmp_path / "yolo")]) == 0
    assert len(list((tmp_path / "yolo" / "images" / "test").iterdir())) == 4
    assert len(list((tmp_path / "yolo" / "images" / "train").iterdir())) == plan.epoch
    assert main(["export", "coco", str(out), str(tmp_path / "c2"), "--where", "true"]) == 2
