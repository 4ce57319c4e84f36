"""Coverage against brute force: a pixel belongs to a triangle if its centre does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synth.geometry import pixel_centers
from synth.raster import coverage, fragments, shown
from synth.types import Material
from tests.shapes import LENS, NO_LENS, at, box, camera


def brute(triangles: Any, x0: int, y0: int, width: int, height: int, slack_px: float = 0.0) -> Any:
    """Pixels whose centre is inside a triangle by more than -slack_px."""
    points = pixel_centers(width, height) + [x0, y0]
    found = np.zeros((height, width), dtype=bool)
    for a, b, c in triangles:
        lengths = [np.linalg.norm(q - p) for p, q in ((a, b), (b, c), (c, a))]
        if min(lengths) == 0:
            continue
        sides = [(q[0] - p[0]) * (points[..., 1] - p[1]) - (q[1] - p[1]) * (points[..., 0] - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        signed = np.array([s / length for s, length in zip(sides, lengths, strict=True)])
        found |= (signed > -slack_px).all(axis=0) | (signed < slack_px).all(axis=0)
    return found


@settings(max_examples=200)
@given(arrays(np.float64, (4, 3, 2), elements=st.floats(-10, 40, width=32)), st.integers(-5, 5), st.integers(-5, 5))
def test_coverage_is_brute_force(triangles: Any, x0: int, y0: int) -> None:
    found = coverage(triangles, x0, y0, 23, 17)
    assert found[brute(triangles, x0, y0, 23, 17, -1e-9)].all()
    assert brute(triangles, x0, y0, 23, 17, 1e-9)[found].all()


@given(arrays(np.float64, (7, 2), elements=st.integers(0, 20).map(lambda v: v / 2)))
def test_shared_edges_are_covered_once(fan: Any) -> None:
    """A fan over points on a half-pixel grid, so that edges run through centres: no pixel twice, none between two triangles lost."""
    center = np.array([10.0, 10.0])
    order = np.argsort(np.arctan2(*(fan - center).T))
    ring = fan[order]
    angle = np.unwrap(np.arctan2(*(ring - center).T))
    if len(np.unique(angle)) < len(ring) or (np.diff(np.append(angle, angle[0] + 2 * np.pi)) > np.pi - 1e-6).any():
        return  # not star-shaped around the centre
    triangles = np.stack([np.broadcast_to(center, ring.shape), ring, np.roll(ring, -1, axis=0)], axis=1)
    _, row, column = fragments(triangles, 0, 0, 24, 24)
    assert len(np.unique(row * 24 + column)) == len(row)
    whole = coverage(triangles, 0, 0, 24, 24)
    assert whole[brute(triangles, 0, 0, 24, 24, -1e-9)].all()
    # Centres on a spoke belong to one of its two triangles: only those on the outline may be left out.
    points = pixel_centers(24, 24)[..., None, :]
    edge = np.roll(ring, -1, axis=0) - ring
    along = np.clip(((points - ring) * edge).sum(-1) / (edge**2).sum(-1), 0, 1)
    to_outline = np.linalg.norm(points - (ring + along[..., None] * edge), axis=-1).min(axis=-1)
    assert whole[brute(triangles, 0, 0, 24, 24, 1e-9) & (to_outline > 1e-6)].all()


def test_a_square_of_whole_pixels() -> None:
    square = np.array([[[2, 3], [6, 3], [6, 8]], [[2, 3], [6, 8], [2, 8]]], dtype=float)
    mask = coverage(square, 0, 0, 10, 10)
    assert mask.sum() == 20
    assert mask[3:8, 2:6].all()


@pytest.mark.parametrize("distortion", [NO_LENS, LENS], ids=["pinhole", "lens"])
def test_shown_faces_look_at_the_camera(distortion: Any) -> None:
    seen = camera(distortion=distortion)
    single, double = (shown(seen, box().meshes[0], Material(double_sided=d), seen.camera_from_world @ at(0, 0, 0)) for d in (False, True))
    assert len(np.unique(single.face)) == 6  # three sides of a box, two triangles each
    assert len(np.unique(double.face)) == 12


def test_surface_depth_is_on_the_plane() -> None:
    seen = camera((0, 0, 1), (0, 0, 0))
    part = shown(seen, box(0.4, 0.4, 0.2).meshes[0], Material(), seen.camera_from_world)
    triangle, row, column = fragments(part.corners_px, 0, 0, seen.width, seen.height)
    k = seen.image_from_camera
    ray = np.stack([(column + 0.5 - k[0, 2]) / k[0, 0], (row + 0.5 - k[1, 2]) / k[1, 1], np.ones(len(row))], axis=1)
    weights, z_m = part.surface(part.face[triangle], ray)
    assert np.allclose(z_m, 0.9, rtol=1e-6)
    assert weights.min() > -1e-9
