"""Records without a store, with any of the labels that there are, and what of them must come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from synth.formats.reading import Faults, Reader
from synth.formats.writing import box_and_area
from synth.record import Output, Record, encode
from synth.types import Instance, Rle, SampleInfo
from tests.samples import BOX, HEIGHT, MUG, WIDTH, full_instance, sample


@dataclass
class Listed:
    """Records, and errors that come up between them."""

    given: Sequence[Record | BaseException]

    def __len__(self) -> int:
        return len(self.given)

    def records(self) -> Iterator[Record]:
        for record in self.given:
            if isinstance(record, BaseException):
                raise record
            yield record


def record(index: int = 2, **changes: Any) -> Record:
    """Sample `index` with some of its fields changed."""
    return replace(encode(sample(index), Output("png"), f"run-{index:08d}"), **changes)


def read(reader: Reader) -> tuple[list[Record], Faults]:
    """All that a reader yields, and the faults."""
    faults = Faults()
    return list(reader.records(faults)), faults


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["occluded", "asset", "attributes", "zone", "crowd", ""]) | st.text(max_size=5), _JSON, min_size=1, max_size=3
)
_LABELS = [field.name for field in fields(Instance) if field.name not in ("category", "area_px", "attributes", "crowd")]


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    """A mug with some of all labels that agree with each other, or a box, which has no keypoints."""
    seed, crowd = draw(st.integers(0, 999)), draw(st.sampled_from([None, False, True]))
    rng = np.random.default_rng(seed)
    whole = full_instance(rng, visible_fraction=draw(st.floats(0, 1)))
    scattered = Rle.encode(rng.random((HEIGHT, WIDTH)) < 0.3)
    whole = replace(whole, mask=draw(st.sampled_from([whole.mask, scattered])), area_px=None)
    kept = draw(st.sets(st.sampled_from(_LABELS)))
    category = draw(st.sampled_from(["mug", "box"]))
    if category == "box":
        kept -= {"keypoints"}
    given = {name: getattr(whole, name) for name in kept}
    return Instance(category, crowd=crowd, attributes=draw(st.none() | _ATTRIBUTES), **given)


@st.composite
def records(draw: st.DrawFn, key: str) -> Record:
    """A sample with up to three instances."""
    info = draw(
        st.builds(
            SampleInfo,
            dataset=st.none() | st.text(max_size=5),
            split=st.none() | st.sampled_from(["train", "val"]),
            group=st.none() | st.text(max_size=5),
            licence=st.none() | st.sampled_from(["MIT", "CC0-1.0"]),
            annotator=st.none() | st.text(max_size=5),
            classes=st.none() | st.lists(st.text(max_size=3), max_size=2).map(tuple),
            attributes=st.none() | _ATTRIBUTES,
        )
    )
    return record(2, key=key, categories=(MUG, BOX), instances=tuple(draw(st.lists(instances(), max_size=3))), info=info, camera=None)


def with_measures(instance: Instance) -> Instance:
    """The instance with the box and area that its mask has, or the box around a rotated one that is all there is."""
    box, area = box_and_area(instance, (WIDTH, HEIGHT))
    return replace(instance, box_xyxy=box) if instance.mask is None else replace(instance, box_xyxy=box, area_px=int(area))


def assert_same(got: Any, expected: Any, where: str = "") -> None:
    """Equal in all parts; floats to a billionth, since adding and taking away half a pixel rounds."""
    if is_dataclass(expected) and not isinstance(expected, type):
        assert type(got) is type(expected), where
        for field in fields(expected):
            assert_same(getattr(got, field.name), getattr(expected, field.name), f"{where}.{field.name}")
    elif isinstance(expected, (np.ndarray, tuple)) and not (isinstance(expected, tuple) and any(isinstance(e, str) for e in expected)):
        assert len(got) == len(expected), where
        if isinstance(expected, np.ndarray):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=where)
            return
        for i, (one, other) in enumerate(zip(got, expected, strict=True)):
            assert_same(one, other, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert abs(got - expected) < 1e-9, where
    else:
        assert got == expected, where
