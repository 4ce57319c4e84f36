"""Digests: equal things have equal ones, whatever they were made of, and any difference shows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.digest import describe, digest_of, label_digest, pixel_digest
from synth.errors import ConfigError
from synth.rand import Choice, Uniform
from synth.types import Instance, Obb, Rle, Sample
from tests.samples import sample


@dataclass(frozen=True)
class Part:
    size_m: float
    names: tuple[str, ...] = ()
    extra: Any = None


def test_goldens() -> None:
    """Resumed runs and stored recipes of older versions are found by these; a change here orphans them all."""
    fixed = Sample(
        image=np.zeros((2, 3, 3), np.uint8),
        instances=(Instance("box", Rle(2, 3, b"06"), area_px=6, box_xyxy=(0.0, 0.0, 3.0, 2.0), obb=Obb(1.5, 1.0, 3.0, 2.0, 0.0)),),
        categories=(),
    )
    assert label_digest(fixed)[:8] == "7ceba276"
    assert pixel_digest(fixed)[:8] == "77f1cc42"
    assert digest_of({"scene": Uniform(0.2, 0.4), "seed": 0, "mesh": np.arange(3, dtype=np.float32)})[:8] == "f759bf31"


def test_every_label_counts() -> None:
    base = sample(3)
    first = base.instances[0]
    seen = {label_digest(base)}
    for field in dataclasses.fields(Instance):
        value = getattr(first, field.name)
        assert value is not None, f"the test's instance lacks {field.name}"
        changed = replace(first, **{field.name: None if field.name != "category" else "box"})
        seen.add(label_digest(replace(base, instances=(changed, *base.instances[1:]))))
    seen.add(label_digest(replace(base, camera=None)))
    seen.add(label_digest(replace(base, categories=base.categories[:1])))
    seen.add(label_digest(replace(base, instances=base.instances[::-1])))
    seen.add(label_digest(replace(base, info=replace(base.info, classes=("outdoor",)))))
    assert len(seen) == len(dataclasses.fields(Instance)) + 5


def test_one_bit_of_a_number_counts() -> None:
    base = sample(3)
    box = base.instances[0].box_full_xyxy
    assert box is not None
    moved = replace(base.instances[0], box_full_xyxy=(float(np.nextafter(box[0], 0)), *box[1:]))
    assert label_digest(replace(base, instances=(moved, *base.instances[1:]))) != label_digest(base)


def test_labels_do_not_depend_on_pixels_origin_or_number_type() -> None:
    base = sample(3)
    same = replace(
        base, image=base.image + 1, depth_m=None, normals=None, origin=None, key="other", info=replace(base.info, split="test", group=None)
    )
    assert label_digest(same) == label_digest(base)
    box = base.instances[0].box_xyxy
    assert box is not None
    as_ints: Any = tuple(int(v) for v in box)
    whole = replace(base.instances[0], box_xyxy=as_ints)
    assert label_digest(replace(base, instances=(whole, *base.instances[1:]))) == label_digest(base)


def test_pixels_count_and_absent_is_not_empty() -> None:
    base = sample(3)
    other = base.image.copy()
    other[0, 0, 0] ^= 1
    assert base.depth_m is not None
    kinds = [
        base,
        replace(base, image=other),
        replace(base, depth_m=None),
        replace(base, depth_m=-base.depth_m),
        replace(base, normals=None),
    ]
    assert len({pixel_digest(kind) for kind in kinds}) == len(kinds)
    assert pixel_digest(replace(base, image=np.asfortranarray(base.image), instances=())) == pixel_digest(base)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.builds(Part, st.floats(), extra=inner)
    ),
    max_leaves=8,
)


@given(trees)
def test_digest_is_a_function_of_the_value(tree: Any) -> None:
    assert digest_of(tree) == digest_of(tree)
    assert digest_of([tree]) != digest_of(tree)


def test_description() -> None:
    assert describe(Part(0.1, ("a",), Choice([Uniform(0, 1), 2.0]))) == {
        "_target_": f"{__name__}.Part",
        "size_m": 0.1,
        "names": ["a"],
        "extra": {
            "_target_": "synth.rand.Choice",
            "options": [{"_target_": "synth.rand.Uniform", "low": 0, "high": 1}, 2.0],
            "weights": None,
        },
    }
    assert describe({"b": float("inf"), "a": np.float64(0.5)}) == {"b": {"_float_": "inf"}, "a": 0.5}
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) == digest_of((1, 2))


def test_arrays_count_by_content_type_and_shape() -> None:
    base = np.arange(6, dtype=np.int32)
    kinds = [base, base.astype(np.int64), base.reshape(2, 3), base + 1]
    assert len({digest_of(kind) for kind in kinds}) == len(kinds)
    assert digest_of(base.astype(">i4")) == digest_of(base)
    assert digest_of(base.reshape(2, 3).T) != digest_of(base.reshape(3, 2))


def test_files_count_by_content_and_name(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    first, folder = digest_of(file), digest_of(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "a.txt"
    copy.write_text("one")
    assert digest_of(copy) == first
    assert digest_of(tmp_path) != folder
    file.write_text("two")
    assert digest_of(file) != first
    with pytest.raises(ConfigError, match=r"value\.extra: cannot read .*gone.*No such file"):
        digest_of(Part(1.0, extra=tmp_path / "gone"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"scene": {"stages": [len]}}, r"value\.scene\.stages\[0\]: a builtins\.builtin_function_or_method has no digest"),
        ({1: 2}, "keys must be text"),
        (np.array([None]), "an array of objects has no digest"),
        (Part, r"a builtins\.type has no digest"),
    ],
)
def test_what_has_no_description_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        digest_of(value)
