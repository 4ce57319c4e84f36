"""Any sample comes back bit for bit, and a label that was absent is absent."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.digest import label_digest
from synth.record import Output
from synth.store import Store
from synth.types import Camera, Category, Instance, Keypoints, Obb, Origin, Rle, Sample

number = st.floats(allow_nan=False, allow_infinity=False)
word = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=5)
HEIGHT, WIDTH = 4, 6


def numbers(n: int) -> Any:
    return st.tuples(*[number] * n)


@st.composite
def categories(draw: Any) -> tuple[Category, ...]:
    names = draw(st.lists(word, min_size=1, max_size=3, unique=True))
    return tuple(Category(name, tuple(draw(st.lists(word, max_size=3, unique=True)))) for name in names)


@st.composite
def instances(draw: Any, known: tuple[Category, ...]) -> Instance:
    category = draw(st.sampled_from(known))
    k = len(category.keypoints)
    mask = st.integers(0, 2 ** (HEIGHT * WIDTH) - 1).map(
        lambda bits: Rle.encode(np.array([bits >> i & 1 for i in range(HEIGHT * WIDTH)], bool).reshape(HEIGHT, WIDTH))
    )
    maybe = lambda values: draw(st.none() | values)  # noqa: E731
    points = st.builds(
        Keypoints,
        st.lists(numbers(2), min_size=k, max_size=k).map(lambda v: np.array(v, np.float64).reshape(k, 2)),
        st.lists(st.integers(0, 2), min_size=k, max_size=k),
        st.none() | st.lists(numbers(3), min_size=k, max_size=k).map(lambda v: np.array(v, np.float64).reshape(k, 3)),
    )
    return Instance(
        category.name,
        maybe(mask),
        maybe(mask),
        maybe(st.integers(0, 2**40)),
        maybe(numbers(4)),
        maybe(numbers(4)),
        maybe(st.builds(Obb, number, number, number, number, number)),
        maybe(number),
        maybe(number),
        maybe(points),
        maybe(numbers(16).map(lambda v: np.array(v).reshape(4, 4))),
        maybe(numbers(6).map(lambda v: (np.array(v[:3]), np.array(v[3:])))),
        maybe(word | st.just("")),
    )


@st.composite
def samples(draw: Any) -> Sample:
    known = draw(categories())
    camera = st.builds(
        lambda f, c, d, near: Camera(np.array([[f, 0, c], [0, f, c], [0, 0, 1]]), WIDTH, HEIGHT, np.eye(4), d, near),
        st.floats(1e-3, 1e6),
        number,
        numbers(5),
        st.floats(1e-6, 1e3),
    )
    origin = st.builds(Origin, word, word, st.integers(0, 2**63 - 1), st.integers(0, 2**40), word, st.dictionaries(word, word, max_size=2))
    return Sample(
        image=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        instances=tuple(draw(st.lists(instances(known), max_size=3))),
        categories=known,
        camera=draw(st.none() | camera),
        origin=draw(st.none() | origin),
        key="k",
    )


@pytest.fixture(scope="module")
def store(module_place: str) -> Store:
    return Store.open(module_place, create=True)


@given(st.lists(samples(), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_labels_come_back_to_the_bit(store: Store, given_samples: list[Sample]) -> None:
    run = f"r{store.resolve('main')}"
    kept = [Sample(**{**{f.name: getattr(s, f.name) for f in fields(Sample)}, "key": f"{run}/{i}"}) for i, s in enumerate(given_samples)]
    store.commit([store.write_fragment(kept, Output("png"), run)], message="", run=run, meta={})
    back = store.read("main")[-len(kept) :][list(range(len(kept)))]
    for sent, got in zip(kept, back, strict=True):
        assert label_digest(got) == label_digest(sent)
        assert (got.key, got.origin, got.categories, got.depth_m, got.normals) == (sent.key, sent.origin, sent.categories, None, None)
        for one, other in zip(sent.instances, got.instances, strict=True):
            for field in fields(Instance):
                assert (getattr(one, field.name) is None) == (getattr(other, field.name) is None), field.name
            if one.keypoints is not None and other.keypoints is not None:
                assert (one.keypoints.xyz_m is None) == (other.keypoints.xyz_m is None)
