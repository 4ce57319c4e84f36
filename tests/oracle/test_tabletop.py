"""Exact labels: the built-in tabletop, drawn by pyrender, against rays. test_crowded.py has as many more, close and low."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oracle.cases import PLAIN, Cases

SAMPLES = 24


@pytest.fixture(scope="module")
def cases() -> Iterator[Cases]:
    with Cases(PLAIN, seed=1) as found:
        yield found


@pytest.mark.parametrize("index", range(SAMPLES))
def test_maps_and_labels(cases: Cases, index: int) -> None:
    cases[index].labels.assert_exact()


def test_keypoint_visibility(cases: Cases) -> None:
    cases.total(SAMPLES).assert_exact()


def test_enough_was_compared(cases: Cases) -> None:
    total = cases.total(SAMPLES)
    print(total)  # the figures: pytest -rP
    assert total.edge_pixels < 0.06 * (total.pixels + total.edge_pixels)
    assert total.instances > 4 * SAMPLES
    assert total.large > 0.8 * total.instances
    assert total.seen + total.unseen > 0.75 * total.keypoints
    assert min(total.seen, total.unseen) > 250
