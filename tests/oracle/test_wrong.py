"""The checks notice what is half a pixel off: a camera, a mask or a keypoint. Each is made wrong on purpose and must be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synth.annotate import annotate, finish
from synth.types import Camera, Frame, Instance, World
from tests.oracle.cases import CROWDED, PLAIN, Cases, labelled_sample
from tests.oracle.caster import Truth
from tests.oracle.checks import LARGE_PX, Report, check_frame, check_labels, check_visibility, labelled

HALF_PX = ((0.5, 0.0), (0.0, 0.5), (-0.5, 0.0), (0.0, -0.5))


@pytest.fixture(scope="module", params=[(PLAIN, 1), (CROWDED, 2)], ids=["plain", "crowded"])
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Cases, World, Truth, Frame]]:
    scene, seed = request.param
    with Cases(scene, seed) as cases:
        world = cases.world(0)
        frame, truth = cases.renderer.render(world), Truth.of(world)
        check_frame(truth, frame).assert_exact()
        check_labels(truth, labelled_sample(scene, world, frame)).assert_exact()
        yield cases, world, truth, frame


def shifted(camera: Camera, x_px: float, y_px: float) -> Camera:
    return replace(camera, image_from_camera=camera.image_from_camera + [[0, 0, x_px], [0, 0, y_px], [0, 0, 0]])


def wrong_bodies(report: Report, label: str) -> set[int]:
    """The bodies of which findings name the label."""
    return {int(re.findall(r"body (\d+)", finding)[0]) for finding in report.findings if re.match(rf"{label}\b", finding)}


def finds_depth(report: Report) -> bool:
    return any(finding.startswith("depth: ") for finding in report.findings)


def large_bodies(truth: Truth, only_labelled: bool = False) -> set[int]:
    area = np.bincount(truth.instance.ravel(), minlength=len(truth.world.bodies) + 1)
    chosen = [n for n, _ in labelled(truth.world)] if only_labelled else range(1, len(area))
    large = {n for n in chosen if area[n] > LARGE_PX}
    assert len(large) > 3
    return large


@pytest.mark.parametrize("shift_px", HALF_PX, ids=str)
def test_camera(case: Any, shift_px: tuple[float, float]) -> None:
    """Frame and labels of a camera half a pixel off: depth, masks, whole boxes and keypoints are all found wrong."""
    cases, world, truth, _ = case
    wrong = replace(world, camera=shifted(world.camera, *shift_px))
    frame = cases.renderer.render(wrong)
    report = check_frame(truth, frame)
    assert finds_depth(report)
    assert large_bodies(truth) <= wrong_bodies(report, "mask of body")
    report = check_labels(truth, labelled_sample(cases.scene, wrong, frame))
    large = large_bodies(truth, only_labelled=True)
    for label in ("mask", "mask_full", "box_full", "keypoint xy"):
        assert large <= wrong_bodies(report, label)


@pytest.mark.parametrize("shift_px", HALF_PX, ids=str)
def test_mask(case: Any, shift_px: tuple[float, float]) -> None:
    """Masks sampled half a pixel off the centres, all else right."""
    cases, world, truth, frame = case
    beside = cases.renderer.render(replace(world, camera=shifted(world.camera, *shift_px))).instance
    _masks_are_found(cases, truth, replace(frame, instance=beside))


@pytest.mark.parametrize("axis", [0, 1])
def test_mask_by_one_pixel(case: Any, axis: int) -> None:
    cases, _, truth, frame = case
    _masks_are_found(cases, truth, replace(frame, instance=np.roll(frame.instance, 1, axis=axis)))


def _masks_are_found(cases: Cases, truth: Truth, wrong: Frame) -> None:
    assert large_bodies(truth) <= wrong_bodies(check_frame(truth, wrong), "mask of body")
    report = check_labels(truth, labelled_sample(cases.scene, truth.world, wrong))
    assert large_bodies(truth, only_labelled=True) <= wrong_bodies(report, "mask")


@pytest.mark.parametrize("shift_px", HALF_PX, ids=str)
def test_keypoint(case: Any, shift_px: tuple[float, float]) -> None:
    """One keypoint of one object, all else right."""
    cases, world, truth, frame = case
    draft = annotate(world, frame)
    first, *others = draft.instances
    k = int(np.flatnonzero(((first.keypoint_xy > 1) & (first.keypoint_xy < np.array(draft.size) - 1)).all(axis=1))[0])
    xy = first.keypoint_xy.copy()
    xy[k] += shift_px
    sample = finish(replace(draft, instances=(replace(first, keypoint_xy=xy), *others)), cases.scene.categories)
    report = check_labels(truth, sample)
    assert [finding.partition(" (")[0] for finding in report.findings] == ["keypoint xy: 0.5 px off"]


@pytest.mark.parametrize("scale", [1 + 2e-4, 1 - 2e-4])
def test_depth(case: Any, scale: float) -> None:
    """Twice the limit off, either way."""
    _, _, truth, frame = case
    assert finds_depth(check_frame(truth, replace(frame, depth_m=frame.depth_m * np.float32(scale))))


def test_visibility(case: Any) -> None:
    """v of every keypoint in the frame the other way round: what was right is found wrong."""
    cases, world, truth, frame = case
    sample = labelled_sample(cases.scene, world, frame)

    def flipped(instance: Instance) -> Instance:
        points = instance.keypoints
        assert points is not None
        return replace(instance, keypoints=replace(points, v=np.choose(points.v, [0, 2, 1])))

    right = check_visibility(truth, sample)
    wrong = check_visibility(truth, replace(sample, instances=tuple(map(flipped, sample.instances))))
    assert len(wrong.findings) + len(right.findings) == right.seen + right.unseen > 20
