"""Frames and samples against the truth of rays. Each check reports how far off it found things and what is over its limit; a finding
starts with the name of the label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np

from synth.annotate import KEYPOINT_TOLERANCE
from synth.types import F64, Body, Bool, Frame, Instance, Sample, World
from tests.oracle.caster import Caster, Truth, camera_from_object, centers, directions, edges, image_points, moved

DEPTH = 1e-4  # relative, where no edge is within a pixel
IOU = 0.99  # of masks over LARGE_PX
LARGE_PX = 1000
BOX_PX = 1.0
FRACTION = 0.01
EXACT_PX = 1e-6  # of what is computed from geometry alone: keypoints and, where no lens bends edges, box_full
EDGE_SHARE = 0.02
"""How many of a mask's edge pixels may differ. IoU forgives a large mask a shift by half a pixel; this does not: such a shift changes
up to half of them, and a third on average over all directions."""


T = TypeVar("T")


@dataclass
class Report:
    """What was compared, the worst of each error, and what is over its limit."""

    samples: int = 0
    pixels: int = 0  # more than one from an edge
    edge_pixels: int = 0
    instances: int = 0
    large: int = 0  # over LARGE_PX
    hidden: int = 0  # by more than 5 %
    truncated: int = 0  # by more than 5 %
    keypoints: int = 0
    seen: int = 0  # keypoints that rays see without doubt
    unseen: int = 0
    worst_depth: float = 0.0
    worst_iou_loss: float = 0.0
    worst_edge_share: float = 0.0
    worst_box_px: float = 0.0
    worst_fraction: float = 0.0
    worst_keypoint_px: float = 0.0
    findings: list[str] = field(default_factory=list)

    def __add__(self, other: Report) -> Report:
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Report(**{name: max(a, b) if name.startswith("worst") else a + b for name, (a, b) in pairs.items()})

    def unless(self, fine: bool, finding: str) -> None:
        if not fine:
            self.findings.append(finding)

    def assert_exact(self) -> None:
        assert not self.findings, "\n".join(self.findings)


def given(value: T | None) -> T:
    """A label that must be there."""
    assert value is not None
    return value


def check_frame(truth: Truth, frame: Frame, twin: Frame | None = None) -> Report:
    """The instance and depth maps of a renderer, compared with those of rays, or of another renderer, its twin."""
    instance, depth_m, edge = truth.instance, truth.depth_m, truth.edge
    if twin is not None:
        instance, depth_m, edge = twin.instance, twin.depth_m.astype(np.float64), truth.step | edges(twin.instance)
    report = Report(samples=1, pixels=int((~edge).sum()), edge_pixels=int(edge.sum()))
    wrong = (frame.instance != instance) & ~edge
    report.unless(not wrong.any(), f"instance: {wrong.sum()} pixels off every edge differ")
    shown = ~edge & (instance > 0)
    error = np.abs(frame.depth_m[shown] - depth_m[shown]) / depth_m[shown]
    report.worst_depth = float(error.max(initial=0))
    report.unless(report.worst_depth <= DEPTH, f"depth: {(error > DEPTH).sum()} pixels differ, by up to {report.worst_depth:.1e}")
    report.unless(bool(np.isinf(frame.depth_m[~edge & (instance == 0)]).all()), "depth: finite where nothing is")
    for number in np.unique(instance[instance > 0]).tolist():
        _check_mask(report, f"mask of body {number}", instance == number, frame.instance == number)
    return report


def labelled(world: World) -> list[tuple[int, Body]]:
    """The bodies that a sample's instances are of, in their order, with their numbers in a Frame."""
    return [(number, body) for number, body in enumerate(world.bodies, start=1) if body.category is not None]


def check_labels(truth: Truth, sample: Sample) -> Report:
    """Every label of a sample but v, each instance by rays at its body alone and among the others."""
    total = Report()
    for (number, body), instance in zip(labelled(truth.world), sample.instances, strict=True):
        report = _check_instance(truth, number, body, instance) + _check_points(truth, body, instance)
        report.findings = [f"{finding} ({body.asset.name}, body {number})" for finding in report.findings]
        total += report
    return total


def check_twins(world: World, sample: Sample, twin: Sample) -> Report:
    """The labels of two renderers: what comes from the picture within the limits, what comes from geometry alone equal."""
    report = Report()
    for (number, _), a, b in zip(labelled(world), sample.instances, twin.instances, strict=True):
        _check_mask(report, f"mask {number}", given(b.mask).decode(), given(a.mask).decode())
        _check_mask(report, f"mask_full {number}", given(b.mask_full).decode(), given(a.mask_full).decode())
        _check_box(report, f"box {number}", b.box_xyxy, a.box_xyxy, BOX_PX)
        report.unless(a.box_full_xyxy == b.box_full_xyxy, f"box_full {number}: {a.box_full_xyxy} and {b.box_full_xyxy}")
        for name in ("visible_fraction", "truncated_fraction"):
            report.unless(abs(getattr(a, name) - getattr(b, name)) <= FRACTION, f"{name} {number}")
        ours, others = given(a.keypoints), given(b.keypoints)
        report.unless(np.array_equal(ours.v, others.v), f"keypoint v {number}: {ours.v} and {others.v}")
        report.unless(np.array_equal(ours.xy, others.xy), f"keypoint xy {number}")
        report.instances += 1
    return report


# --- masks and boxes --------------------------------------------------------------------------------------------------


def _check_mask(report: Report, what: str, want: Bool, got: Bool) -> None:
    """Two pixels may differ whatever the size."""
    differ = int((want ^ got).sum())
    share = max(0, differ - 2) / max(int((edges(want) & want).sum()), 1)
    report.worst_edge_share = max(report.worst_edge_share, share)
    report.unless(share <= EDGE_SHARE, f"{what}: {differ} pixels differ, {share:.1%} of its edge")
    if want.sum() > LARGE_PX:
        loss = 1 - int((want & got).sum()) / int((want | got).sum())
        report.worst_iou_loss = max(report.worst_iou_loss, loss)
        report.unless(loss <= 1 - IOU, f"{what}: IoU {1 - loss:.4f}")


def _check_box(report: Report, what: str, want: Iterable[float] | None, got: Iterable[float] | None, limit_px: float) -> None:
    if want is None or got is None:
        report.unless(want is None and got is None, f"{what}: {got} instead of {want}")
        return
    error = float(np.abs(np.subtract(tuple(want), tuple(got))).max())
    report.worst_box_px = max(report.worst_box_px, error)
    report.unless(error <= limit_px, f"{what}: {error:.3g} px off")


def _pixel_box(mask: Bool) -> tuple[float, float, float, float] | None:
    rows, columns = np.nonzero(mask)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


def _check_instance(truth: Truth, number: int, body: Body, instance: Instance) -> Report:
    camera, report = truth.world.camera, Report(instances=1)
    mask, want, category = given(instance.mask).decode(), truth.instance == number, given(body.category).name
    report.unless(instance.category == category, f"category: {instance.category} instead of {category}")
    report.unless(instance.area_px == mask.sum(), f"area_px: {instance.area_px}, the mask has {mask.sum()}")
    _check_mask(report, "mask", want, mask)
    _check_box(report, "box", _pixel_box(want), instance.box_xyxy, BOX_PX)
    alone = Caster(truth.world, number)
    corners = alone.triangles.reshape(-1, 3)
    assert (corners[:, 2] > camera.near_m).all(), "this oracle clips no labelled body at the near plane: choose another sample"
    outline = image_points(camera, corners)
    low, high = outline.min(axis=0), outline.max(axis=0)
    bent = any(camera.distortion)
    _check_box(report, "box_full", (*low, *high), instance.box_full_xyxy, BOX_PX if bent else EXACT_PX)
    # Rays at the body alone, over all it covers, in the frame and beyond; a lens may bend an edge past its ends.
    (x0, y0), (x1, y1) = (np.floor(low) - 2 * bent).astype(int).tolist(), (np.ceil(high) + 2 * bent).astype(int).tolist()
    number_alone = alone.cast(directions(camera, centers(x0, y0, x1 - x0, y1 - y0))).number
    canvas = np.asarray(number_alone.reshape(y1 - y0, x1 - x0) > 0)
    full = np.zeros_like(want)
    top, left, bottom, right = max(y0, 0), max(x0, 0), min(y1, camera.height), min(x1, camera.width)
    if top < bottom and left < right:
        full[top:bottom, left:right] = canvas[top - y0 : bottom - y0, left - x0 : right - x0]
    _check_mask(report, "mask_full", full, given(instance.mask_full).decode())
    whole = max(int(canvas.sum()), 1)
    for name, fraction in {"visible_fraction": want.sum() / whole, "truncated_fraction": 1 - full.sum() / whole}.items():
        error = float(abs(getattr(instance, name) - fraction))
        report.worst_fraction = max(report.worst_fraction, error)
        report.unless(error <= FRACTION, f"{name}: {getattr(instance, name):.4f} instead of {fraction:.4f}")
    report.large, report.hidden = int(want.sum() > LARGE_PX), int(want.sum() < 0.95 * full.sum())
    report.truncated = int(full.sum() < 0.95 * whole)
    return report


# --- keypoints --------------------------------------------------------------------------------------------------------


def _points(truth: Truth, body: Body) -> tuple[F64, F64, Bool]:
    """Of a body's keypoints in its category's order: (k, 3) camera frame, (k, 2) px, and which are inside."""
    by_name = {keypoint.name: keypoint for keypoint in body.asset.keypoints}
    chosen = [by_name[name] for name in given(body.category).keypoints]
    xyz = moved(camera_from_object(truth.world.camera, body), [k.xyz_object_m for k in chosen])
    assert (xyz[:, 2] > 0).all(), "this oracle has no keypoint behind the camera: choose another sample"
    return xyz, image_points(truth.world.camera, xyz), np.array([k.inside for k in chosen])


def _check_points(truth: Truth, body: Body, instance: Instance) -> Report:
    camera, report, got = truth.world.camera, Report(), given(instance.keypoints)
    xyz, xy, _ = _points(truth, body)
    pose = camera_from_object(camera, body)
    report.unless(np.allclose(given(got.xyz_m), xyz, rtol=0, atol=1e-9), "keypoint xyz_m")
    report.unless(np.allclose(given(instance.camera_from_object), pose, rtol=0, atol=1e-9), "camera_from_object")
    in_frame = ((xy >= 0) & (xy < (camera.width, camera.height))).all(axis=1)
    report.unless(np.array_equal(got.v > 0, in_frame), f"keypoint v: {got.v} where {in_frame} are in the frame")
    report.worst_keypoint_px = float(np.abs(got.xy - xy * in_frame[:, None]).max())
    report.unless(report.worst_keypoint_px <= EXACT_PX, f"keypoint xy: {report.worst_keypoint_px:.3g} px off")
    report.keypoints = len(xy)
    return report


def check_visibility(truth: Truth, sample: Sample) -> Report:
    """v of the keypoints in the frame, where rays leave no doubt."""
    report, camera = Report(), truth.world.camera
    for (number, body), instance in zip(labelled(truth.world), sample.instances, strict=True):
        xyz, xy, inside = _points(truth, body)
        names, v = given(body.category).keypoints, given(instance.keypoints).v.tolist()
        for k in np.flatnonzero(((xy >= 0) & (xy < (camera.width, camera.height))).all(axis=1)).tolist():
            want = visibility(truth, number, xyz[k], xy[k], bool(inside[k]), KEYPOINT_TOLERANCE * body.asset.diameter_m)
            report.unless(want in (v[k], None), f"keypoint v: '{names[k]}' of body {number} is {v[k]} instead of {want}")
            report.seen += want == 2
            report.unseen += want == 1
    return report


def visibility(truth: Truth, number: int, xyz_m: F64, xy: F64, inside: bool, tolerance_m: float) -> int | None:
    """v of a point (3,), camera frame, that lies in the frame at xy (2,): 1, 2, or None where rays leave doubt.

    Cast are the ray through the point and those of the 3 x 3 pixel centres around it. 1: no centre shows the body; or the ray meets the
    body itself more than two tolerances in front of the point. (Another body in front is doubt as long as a centre beside it shows this
    one.) 2: a centre shows the body, and the ray meets the body within half a tolerance of the point; or it passes the point freely, as
    half of all rays at a silhouette do, and a centre shows the body within half a tolerance.
    """
    column, row = np.floor(xy).astype(int).tolist()
    around = truth.caster.cast(directions(truth.world.camera, centers(column - 1, row - 1, 3, 3)))
    through = truth.caster.cast(xyz_m[None] / xyz_m[2])
    shows = around.number == number
    if not shows.any():
        return 1
    if inside:
        return 2 if shows.all() else None
    with np.errstate(divide="ignore"):
        beside_m, behind_m = 1 / around.inverse - xyz_m[2], float(1 / through.inverse[0]) - xyz_m[2]
    if through.number[0] == number:
        if behind_m < -2 * tolerance_m:
            return 1
        if abs(behind_m) < tolerance_m / 2:
            return 2
    if behind_m > tolerance_m / 2 and (np.abs(beside_m[shows]) < tolerance_m / 2).any():
        return 2
    return None
