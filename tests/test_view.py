"""Drawings put labels where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from synth.types import Category, Instance, Keypoints, Rle, Sample
from synth.view import contact_sheet, draw, save


def sample() -> Sample:
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 30:50] = True
    category = Category("lid", ("rim", "knob"), skeleton=(("rim", "knob"),))
    points = Keypoints(np.array([[34.5, 24.5], [45.5, 35.5]]), np.array([2, 1]))
    instance = Instance("lid", mask=Rle.encode(mask), box_xyxy=(30, 20, 50, 40), visible_fraction=1.0, keypoints=points)
    hidden = Instance("lid", mask=Rle.encode(np.zeros_like(mask)))
    return Sample(np.full((60, 80, 3), 90, dtype=np.uint8), (instance, hidden), (category,))


def test_what_is_drawn_is_on_the_object() -> None:
    plain = sample()
    drawn = draw(plain)
    changed = (drawn != plain.image).any(axis=2)
    assert changed[22:38, 32:48].all()  # the tint
    assert changed[30, 29:32].any()  # the box's left side
    assert not changed[45:, :].any()
    assert (plain.image == 90).all()  # the sample itself is left alone
    seen, hidden = drawn[24, 34].astype(int), drawn[35, 45].astype(int)
    assert seen.max() - seen.min() > 100  # a dot in the object's colour
    assert hidden.max() < 60  # the middle of a ring


def test_scaled_drawing_keeps_to_the_pixel_law() -> None:
    changed = (draw(sample(), 4) != 90).any(axis=2)
    columns = np.nonzero(changed[120])[0]
    assert abs(columns.min() - 30 * 4) <= 2
    assert abs(columns.max() + 1 - 50 * 4) <= 2  # an anti-aliased line is wider than its pixel


def test_contact_sheet_and_save(tmp_path: Path) -> None:
    sheet = contact_sheet([sample()] * 5, columns=3, cell_px=160, gap_px=4)
    assert sheet.shape == (2 * 124 + 4, 3 * 164 + 4, 3)
    save(tmp_path / "new" / "sheet.png", sheet)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "sheet.png")), sheet)
    assert contact_sheet([]).size
