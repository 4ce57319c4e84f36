"""Labels against the picture: where every pixel came from is measured by structured light, without any of synth's maps."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.annotate import finish
from synth.augment.chain import Chain
from synth.rand import rng_for
from synth.types import Draft, Sample
from tests.augment.cases import GEOMETRIC, HAND, HEIGHT, VARIANTS, WIDTH, Measured, draft, measure, random_list, stage

LISTS = int(os.environ.get("SYNTH_AUGMENT_LISTS", "25"))  # 500 for a soak


def ids(variants: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [f"{name}-{i}" for i, (name, _) in enumerate(variants)]


def check(measured: Measured, base: Draft, moved: Draft) -> int:
    """Masks, boxes, keypoints and v of a moved draft against the measured map; how many objects were compared."""
    sample: Sample = finish(moved, (HAND,))
    column, row = (np.clip(np.floor(measured.source[..., i]).astype(int), 0, s - 1) for i, s in ((0, WIDTH), (1, HEIGHT)))
    expected = np.where(measured.known, base.instance[row, column], -1)
    clear = measured.known.copy()  # where the measure's own error cannot decide between two pixels of the source
    for dx, dy in ((-0.05, -0.05), (-0.05, 0.05), (0.05, -0.05), (0.05, 0.05)):
        x, y = np.floor(measured.source[..., 0] + dx).astype(int), np.floor(measured.source[..., 1] + dy).astype(int)
        clear &= base.instance[np.clip(y, 0, HEIGHT - 1), np.clip(x, 0, WIDTH - 1)] == base.instance[row, column]
    compared = 0
    for number, (old, new, label) in enumerate(zip(base.instances, moved.instances, sample.instances, strict=True), start=1):
        truth = expected == number
        assert label.mask is not None
        assert label.keypoints is not None
        mask = label.mask.decode()
        if truth.sum() >= 400:
            compared += 1
            union = ((truth | mask) & clear).sum()
            assert (truth & mask & clear).sum() / union >= 0.98
            if (mask <= measured.known).all() and truth.any():
                rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
                box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
                assert np.abs(np.subtract(box, label.box_xyxy)).max() <= 1
                if label.truncated_fraction == 0 and label.visible_fraction > 0.995:  # type: ignore[operator]
                    larger = max(np.ptp(new.outline_xy, axis=0) / np.ptp(old.outline_xy, axis=0))
                    # The outline is exact, the mask is made of whole pixels of the source.
                    assert np.abs(np.subtract(label.box_full_xyxy, box)).max() <= 1 + 0.7 * larger
        order = [1, 0, 2] if mirrored(base, moved, measured) else [0, 1, 2]
        assert len(new.keypoint_xy) == len(label.keypoints.v) == 3
        for i, point in enumerate(old.keypoint_xy[order]):
            found = measured.forward(point) if (point > 2).all() and (point < (WIDTH - 2, HEIGHT - 2)).all() else None
            if found is None:
                continue
            assert np.linalg.norm(found - new.keypoint_xy[i]) <= 0.1, (number, i)
            x, y = int(found[0]), int(found[1])
            around = expected[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            if (around == number).all():
                assert label.keypoints.v[i] == 2
            elif (around != number).all():
                assert label.keypoints.v[i] == 1
    return compared


def mirrored(base: Draft, moved: Draft, measured: Measured) -> bool:
    """By the measured map: whether x cross y has turned over."""
    row, column = np.argwhere(measured.known[:-1, :-1] & measured.known[1:, :-1] & measured.known[:-1, 1:]).mean(axis=0).astype(int)
    best = np.argwhere(measured.known[:-1, :-1] & measured.known[1:, :-1] & measured.known[:-1, 1:])
    row, column = best[np.abs(best - (row, column)).sum(axis=1).argmin()]
    x = measured.source[row, column + 1] - measured.source[row, column]
    y = measured.source[row + 1, column] - measured.source[row, column]
    return bool(x[0] * y[1] - x[1] * y[0] < 0)


@pytest.mark.parametrize(("name", "params"), VARIANTS, ids=ids(VARIANTS))
def test_labels_follow_the_picture(name: str, params: dict[str, Any]) -> None:
    compared = 0
    for seed in range(3):
        base = draft(seed)
        measured, moved = measure(stage(name, params), base, rng_for(seed, 0, "stage"))
        compared += check(measured, base, moved)
    assert compared >= 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(GEOMETRIC)), st.integers(0, 2**32), st.integers(0, 2**32))
def test_labels_follow_the_picture_anywhere(name: str, seed: int, scene: int) -> None:
    base = draft(scene)
    measured, moved = measure(stage(name), base, rng_for(seed, 0, "stage"))
    check(measured, base, moved)


@pytest.mark.parametrize("seed", range(LISTS))
def test_labels_follow_the_picture_through_lists(seed: int) -> None:
    base = draft(seed)
    chain = random_list(seed, 2 + seed % 4)
    measured, moved = measure(chain, base, rng_for(seed, 0, "stage"))
    if measured.known.sum() > 2000:
        check(measured, base, moved)


def test_the_measure_would_notice_half_a_pixel() -> None:
    base = draft(1)
    measured, moved = measure(stage("Affine"), base, rng_for(1, 0, "stage"))
    check(measured, base, moved)
    measured.source += 0.5
    with pytest.raises(AssertionError):
        check(measured, base, moved)


def test_what_a_list_covered_or_cut_off_on_the_way_stays_hidden() -> None:
    """A hole, and what a crop cut away before a pad brought the frame back, are black in the picture; no object may show there."""
    hidden = 0
    for seed in range(8):
        base = draft(seed, np.full((HEIGHT, WIDTH, 3), 200, dtype=np.uint8))
        for bend in ("Rotate", "OpticalDistortion"):
            steps = [
                stage("Affine", {"rotate": [-20, 20]}),
                stage("CoarseDropout", {"num_holes_range": [4, 4]}),
                stage("Crop", {"x_min": 50, "y_min": 30, "x_max": 150, "y_max": 110}),
                stage("Pad", {"padding": [50, 30, 50, 40]}),
                stage(bend, {"limit": [-20, 20]} if bend == "Rotate" else {}),
            ]
            moved = Chain(steps).apply(base, rng_for(seed, 0, "s"))
            free = Chain([steps[0], stage("NoOp"), steps[4]]).apply(base, rng_for(seed, 0, "s"))
            black = (moved.image == 0).all(axis=-1)
            assert not moved.instance[black].any()
            bright = (moved.image == 200).all(axis=-1)
            assert (moved.instance == free.instance)[bright].mean() > 0.999
            hidden += int((free.instance[black] > 0).sum())
    assert hidden > 10000
