"""Exact labels where objects hide one another and leave the frame, and through a lens: pyrender against rays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oracle.cases import BENT, CROWDED, Cases

SAMPLES = 18
BENT_SAMPLES = 3


@pytest.fixture(scope="module")
def cases() -> Iterator[Cases]:
    with Cases(CROWDED, seed=2) as found:
        yield found


@pytest.fixture(scope="module")
def bent() -> Iterator[Cases]:
    with Cases(BENT, seed=3) as found:
        yield found


@pytest.mark.parametrize("index", range(SAMPLES))
def test_maps_and_labels(cases: Cases, index: int) -> None:
    cases[index].labels.assert_exact()


@pytest.mark.parametrize("index", range(BENT_SAMPLES))
def test_maps_and_labels_through_a_lens(bent: Cases, index: int) -> None:
    bent[index].labels.assert_exact()


def test_keypoint_visibility(cases: Cases, bent: Cases) -> None:
    (cases.total(SAMPLES) + bent.total(BENT_SAMPLES)).assert_exact()


def test_enough_was_compared(cases: Cases, bent: Cases) -> None:
    total = cases.total(SAMPLES)
    print(total, bent.total(BENT_SAMPLES), sep="\n")
    assert total.edge_pixels < 0.1 * (total.pixels + total.edge_pixels)
    assert total.instances > 6 * SAMPLES
    assert min(total.hidden, total.truncated) > 0.2 * total.instances
    assert min(total.seen, total.unseen) > 250
    assert bent.total(BENT_SAMPLES).seen > 40
