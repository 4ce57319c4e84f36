"""Metrics and heat maps, against what can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.experiment.heatmaps import gaussians, peaks
from synth.experiment.metrics import AveragePrecision, KeypointError, PointRecall
from synth.experiment.prediction import Prediction, drawn
from synth.types import F64, Category, Instance, Keypoints, Sample

BOARD = Category("board", ("a", "b", "c", "d"))
CORNER = Category("corner", ("corner",))
PICTURE = np.zeros((100, 200, 3), np.uint8)


def truth(xy: list[tuple[float, float]], v: list[int]) -> Sample:
    keypoints = Keypoints(np.array(xy, float), np.array(v, np.int32))
    return Sample(PICTURE, (Instance("board", keypoints=keypoints, box_xyxy=(0.0, 0.0, 100.0, 50.0)),), (BOARD,))


def points(*found: tuple[float, float, float]) -> Prediction:
    instances = tuple(Instance("corner", keypoints=Keypoints(np.array([[x, y]]), np.array([2], np.int32))) for x, y, _ in found)
    return Prediction(instances, np.array([score for _, _, score in found]), (CORNER,))


@given(st.lists(st.tuples(st.floats(8, 190), st.floats(8, 90)), min_size=1, max_size=1), st.sampled_from([0.8, 1.0, 1.5, 2.0]))
def test_a_point_goes_into_a_heat_map_and_comes_back(xy: list[tuple[float, float]], sigma: float) -> None:
    found, height = peaks(gaussians(np.array(xy), 2, (200, 100), sigma), 2, 0.3)
    assert found[0] == pytest.approx(xy[0], abs=0.02)
    assert np.exp(-0.25 / sigma**2) - 1e-6 <= height[0] <= 1  # at worst the point is a cell's corner


def test_two_points_are_two_peaks_and_what_is_outside_is_none() -> None:
    found, _ = peaks(gaussians(np.array([[20.0, 20], [60, 70], [-50, 10]]), 2, (200, 100), 1.0), 2, 0.3)
    assert sorted(map(tuple, found.round(1).tolist())) == [(20.0, 20.0), (60.0, 70.0)]


def test_the_highest_cell_of_any_map_is_a_peak() -> None:
    rng = np.random.default_rng(0)
    for bend in (1e-9, 1e-6, 1e-3, 1.0):  # an untrained network's maps are almost even
        heat = (2e-4 + bend * rng.uniform(0, 1e-4, (60, 80))).astype(np.float32)
        xy, height = peaks(heat, 2, float(heat.max()))
        assert len(xy) >= 1
        assert height[0] == heat.max()
        rows, columns = np.nonzero(heat == heat.max())
        assert np.abs(np.column_stack([columns, rows]) * 2 + 1 - xy[0]).max(axis=1).min() <= 1
    assert len(peaks(np.full((20, 20), 0.5, np.float32), 2, 0.5)[0]) >= 1


def test_recall_at_a_precision_by_hand() -> None:
    true = truth([(10, 10), (50, 10), (10, 40), (50, 40)], [2, 2, 2, 2])
    found = points((10.5, 10, 0.9), (50, 11, 0.8), (10, 41.5, 0.7), (150, 80, 0.6), (50, 40, 0.5))
    strict = PointRecall(2.0, 0.95).measure([found], [true])
    assert strict["recall"] == 0.75  # the fourth claim is wrong; after it precision is 3/4 and 4/5
    assert strict["median_error_px"] == 1.0
    assert strict["threshold"] == 0.7
    assert PointRecall(2.0, 0.8).measure([found], [true])["recall"] == 1.0
    assert PointRecall(1.2, 0.6).measure([found], [true])["recall"] == 0.75


def test_a_point_is_matched_once_and_a_hidden_one_may_be_found_or_not() -> None:
    twice = points((10, 10, 0.9), (10.2, 10, 0.8))
    assert PointRecall(2.0, 1.0).measure([twice], [truth([(10, 10), (50, 10), (0, 0), (0, 0)], [2, 2, 0, 0])])["recall"] == 0.5
    true = truth([(10, 10), (50, 10), (0, 0), (0, 0)], [2, 1, 0, 0])
    for found in (points((50, 10, 0.9), (10, 10, 0.5)), points((10, 10, 0.5))):
        assert PointRecall(2.0, 1.0).measure([found], [true])["recall"] == 1.0


def test_no_predictions_find_nothing() -> None:
    true = truth([(10, 10), (50, 10), (10, 40), (50, 40)], [2, 2, 2, 2])
    measured = PointRecall().measure([points()], [true])
    assert measured["recall"] == 0
    assert math.isnan(measured["median_error_px"])


def of_board(xy: F64, score: float = 1.0) -> Prediction:
    return Prediction((Instance("board", keypoints=Keypoints(xy, np.full(len(xy), 2, np.int32))),), np.array([score]), (BOARD,))


def test_pck_and_errors_by_hand() -> None:
    xy = np.array([(10.0, 10), (50, 10), (10, 40), (0, 0)])
    true = truth([tuple(p) for p in xy.tolist()], [2, 1, 2, 0])
    moved = of_board(xy + [[3, 4], [0, 9.9], [11, 0], [77, 0]])
    measured = KeypointError(alpha=0.1).measure([moved], [true])  # the box is 100 px long
    assert measured["pck"] == pytest.approx(2 / 3)
    assert measured["mean_error_px"] == pytest.approx((5 + 9.9 + 11) / 3)
    assert measured["median_error_px"] == pytest.approx(9.9)
    missed = KeypointError().measure([Prediction((), np.zeros(0), (BOARD,))], [true])
    assert (missed["pck"], missed["mean_error_px"]) == (0.0, 100.0)
    assert KeypointError().rank(of_board(xy), true) > KeypointError().rank(moved, true)


def test_average_precision_by_hand() -> None:
    cat = Category("cell")
    boxes = [(10.0, 10.0, 30.0, 30.0), (50.0, 10.0, 90.0, 40.0)]
    true = Sample(PICTURE, tuple(Instance("cell", box_xyxy=box) for box in boxes), (cat,))

    def found(*each: tuple[tuple[float, float, float, float], float]) -> Prediction:
        return Prediction(tuple(Instance("cell", box_xyxy=box) for box, _ in each), np.array([score for _, score in each]), (cat,))

    metric = AveragePrecision()
    assert metric.measure([found((boxes[0], 0.9), (boxes[1], 0.8))], [true])["ap"] == pytest.approx(1.0)
    half = metric.measure([found((boxes[0], 0.9))], [true])
    assert half["ap50"] == pytest.approx(51 / 101)  # COCO's 101 recalls, 0 to 0.5 reached
    loose = metric.measure([found(((10.0, 10.0, 30.0, 42.0), 0.9), (boxes[1], 0.8))], [true])  # IoU 0.625
    assert loose["ap50"] == pytest.approx(1.0)
    assert loose["ap75"] < 0.6
    assert metric.measure([found()], [true])["ap50"] == 0


def test_what_is_drawn_is_what_was_sure() -> None:
    true = truth([(10, 10)] * 4, [2] * 4)
    assert len(drawn(true, points((1, 1, 0.9), (2, 2, 0.2)), 0.5).instances) == 1
