"""Polygons against exact arithmetic and against pycocotools; masks that come back from their outlines to the pixel."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from synth.errors import LabelError
from synth.polygons import one_ring, rasterise, trace
from synth.types import Rle

WIDTH, HEIGHT = 13, 9
GRID = st.integers(-8, 34).map(lambda v: v / 2)  # half pixels, so that corners and edges meet pixel centres; some leave the frame
RINGS = st.lists(arrays(np.float64, st.tuples(st.integers(0, 7), st.just(2)), elements=GRID), max_size=3)
MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def brute(rings: list[Any]) -> Any:
    """Even-odd by a ray upwards from each pixel centre, in fractions: a centre on an edge counts as below it."""
    found = np.zeros((HEIGHT, WIDTH), bool)
    for row, column in np.ndindex(HEIGHT, WIDTH):
        x, y = Fraction(2 * column + 1, 2), Fraction(2 * row + 1, 2)
        for ring in rings:
            points = [(Fraction(a), Fraction(b)) for a, b in ring.tolist()]
            for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
                if (ax <= x) != (bx <= x):
                    found[row, column] ^= ay + (by - ay) * (x - ax) / (bx - ax) <= y
    return found


@settings(max_examples=150, deadline=None)
@given(RINGS)
def test_rasterise_is_exact(rings: Any) -> None:
    mask = rasterise(rings, WIDTH, HEIGHT)
    assert (mask.width, mask.height) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(mask.decode(), brute(rings))
    assert mask == Rle.encode(mask.decode())  # same runs, same bytes


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.integers(1, 60))
def test_a_box_is_half_open(x0: int, y0: int, width: int, height: int) -> None:
    """Quarter pixels against the definition by comparison of centres."""
    box = np.array([x0, y0, x0 + width, y0 + height]) / 4
    ring = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
    x, y = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
    inside = ((y >= box[1]) & (y < box[3]))[:, None] & ((x >= box[0]) & (x < box[2]))
    np.testing.assert_array_equal(rasterise([ring], WIDTH, HEIGHT).decode(), inside)


@settings(deadline=None)
@given(arrays(np.float64, (2, 2), elements=st.floats(-5, 18)), st.permutations(range(3)))
def test_adjoining_polygons_share_no_pixel_and_lose_none(inner: Any, order: list[int]) -> None:
    """The frame, divided by a line with a bend, each side begun at another corner."""
    cut = np.array([[inner[0, 0], -1], inner[1], [inner[0, 1], HEIGHT + 1]])
    left = np.concatenate([[[-100, -1]], cut, [[-100, HEIGHT + 1]]])
    right = np.concatenate([[[100, -1]], cut[[0, 1, 2]], [[100, HEIGHT + 1]]])[::-1]
    parts = [rasterise([np.roll(ring, order[0], axis=0)], WIDTH, HEIGHT).decode() for ring in (left, right)]
    both = rasterise([left, right], WIDTH, HEIGHT).decode()
    np.testing.assert_array_equal(parts[0] ^ parts[1], both)
    if -1 <= inner[1, 1] <= HEIGHT + 1:  # the line runs down only
        assert both.all()
        assert not (parts[0] & parts[1]).any()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_large_polygons_agree_with_pycocotools(seed: int) -> None:
    """pycocotools rounds an outline to fifths of a pixel: the two may differ beside the outline only."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 12))
    ring = np.array([80, 60]) + rng.uniform(20, 50, 12)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    ours = rasterise([ring], 160, 120)
    theirs = coco.decode(coco.merge(coco.frPyObjects([ring.ravel().tolist()], 120, 160))).astype(bool)
    stop = np.roll(ring, -1, axis=0)
    for row, column in np.argwhere(ours.decode() ^ theirs):
        point = np.array([column + 0.5, row + 0.5])
        along = np.clip(((point - ring) * (stop - ring)).sum(1) / ((stop - ring) ** 2).sum(1), 0, 1)
        assert np.linalg.norm(point - ring - along[:, None] * (stop - ring), axis=1).min() < 0.8


def test_far_and_long_polygons() -> None:
    far = np.array([[-1e300, -1e300], [1e300, -1e300], [1e300, 1e300], [-1e300, 1e300]])
    assert rasterise([far], WIDTH, HEIGHT).decode().all()
    comb = np.column_stack([np.tile([0.0, 3000.0], 2000), np.arange(4000) / 2])  # 12 million crossings, more than are held at once
    mask = rasterise([comb], 3000, 2000)
    assert 0.4 < mask.decode().mean() < 0.6
    with pytest.raises(LabelError, match=r"finite, got \[nan, 1.0\]"):
        rasterise([np.array([[0, 0], [4, 0], [np.nan, 1]])], WIDTH, HEIGHT)


@settings(max_examples=300, deadline=None)
@given(MASKS)
@example(np.array([[1, 0], [0, 1]], bool))  # touching by a corner: two parts
@example(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool))  # a hole that touches the outside by a corner is no hole of its own
def test_outlines_make_the_same_mask(pixels: Any) -> None:
    mask = Rle.encode(pixels)
    height, width = pixels.shape
    parts = trace(mask)
    assert rasterise([ring for part in parts for ring in part], width, height) == mask
    assert rasterise([one_ring(mask)], width, height) == mask
    covered = np.zeros(pixels.shape, int)
    for part in parts:
        alone = rasterise(part, width, height).decode()
        covered += alone
        np.testing.assert_array_equal(rasterise(part[:1], width, height).decode() | alone, rasterise(part[:1], width, height).decode())
        for number, ring in enumerate(part):
            x, y = ring.T
            assert (np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0) == (number == 0)  # clockwise on the screen, holes the other way
            step, back = np.roll(ring, -1, axis=0) - ring, ring - np.roll(ring, 1, axis=0)
            assert ((step != 0).sum(axis=1) == 1).all()  # along the pixels' edges
            assert ((step != 0) != (back != 0)).any(axis=1).all()  # and no point on the way
    np.testing.assert_array_equal(covered, pixels)
    assert len(parts) == parts_of(pixels)


def parts_of(pixels: Any) -> int:
    """The number of sets of pixels that touch by their sides."""
    left, count = set(map(tuple, np.argwhere(pixels))), 0
    while left:
        count += 1
        front = [left.pop()]
        while front:
            y, x = front.pop()
            for place in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if place in left:
                    left.remove(place)
                    front.append(place)
    return count


def test_a_ring_with_a_hole() -> None:
    pixels = np.zeros((6, 8), bool)
    pixels[1:5, 2:7] = True
    pixels[2:4, 3:5] = False
    ((outline, hole),) = trace(Rle.encode(pixels))
    assert outline.tolist() == [[2, 1], [7, 1], [7, 5], [2, 5]]
    assert sorted(map(tuple, hole)) == [(3, 2), (3, 4), (5, 2), (5, 4)]


def test_many_parts_become_one_ring() -> None:
    mask = Rle.encode(np.random.default_rng(0).random((200, 300)) < 0.5)
    assert rasterise([one_ring(mask)], 300, 200) == mask


def test_nothing_has_no_outline() -> None:
    empty = Rle.encode(np.zeros((4, 5), bool))
    assert trace(empty) == []
    assert one_ring(empty).shape == (0, 2)
    assert rasterise([], 5, 4) == rasterise([np.empty((0, 2))], 5, 4) == empty
