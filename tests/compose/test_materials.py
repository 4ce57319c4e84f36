"""Paint has the colours asked for, textures come from where they lie, and variations change what they say."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synth.compose.materials import Paint, Variation, linear, tinted
from synth.errors import ConfigError
from synth.rand import Uniform, rng_for
from synth.types import Material


def srgb(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def test_linear_is_srgb_undone() -> None:
    for value in (0.0, 0.02, 0.04045, 0.1, 0.5, 1.0):
        assert [srgb(c) for c in linear((value, value, value))] == pytest.approx([value] * 3, abs=1e-4)


def test_paint_has_the_colour_asked_for() -> None:
    paint = Paint(hue=Uniform(0.3, 0.36), saturation=0.5, value=0.8, roughness=0.7, metallic=0.2)
    for index in range(20):
        material = paint.draw(rng_for(0, index))
        hue, saturation, value = colorsys.rgb_to_hsv(*(srgb(c) for c in material.base_color[:3]))
        assert 0.3 <= hue <= 0.36
        assert (saturation, value) == pytest.approx((0.5, 0.8))
        assert (material.roughness, material.metallic) == (0.7, 0.2)
    around = Paint(hue=Uniform(0.9, 1.1), saturation=1.0, value=1.0)
    assert all(around.draw(rng_for(0, i)).base_color[0] == pytest.approx(1) for i in range(5)), "red on both sides of 1"


def test_textures_come_from_a_folder_or_a_list(tmp_path: Path) -> None:
    for name, shade in (("a", 10), ("b", 200)):
        Image.new("RGB", (4, 4), (shade,) * 3).save(tmp_path / f"{name}.png")
    for given in (str(tmp_path), [str(tmp_path / "a.png"), tmp_path / "b.png"]):
        paint = Paint(textures=given, textured=0.7, tint=0.0)
        drawn = [paint.draw(rng_for(0, i)) for i in range(60)]
        shades = [int(m.base_color_texture[0, 0, 0]) for m in drawn if m.base_color_texture is not None]
        assert set(shades) == {10, 200}
        assert 30 <= len(shades) <= 52
        assert all(m.base_color == (1, 1, 1, 1) for m in drawn if m.base_color_texture is not None)


def test_a_variation_changes_all_meshes_alike_and_stays_in_range() -> None:
    given = [Material((0.5, 0.5, 0.5, 0.4), roughness=0.9), Material((1.0, 0.0, 0.2, 1.0), roughness=0.1)]
    made = Variation(tint=0.4, brightness=0.5, roughness_change=0.3).draw(given, rng_for(0, 0))
    factors = np.array(made[0].base_color[:3]) / 0.5
    assert ((factors >= 0.3 - 1e-9) & (factors <= 0.5)).all()
    assert made[1].base_color[:3] == pytest.approx(np.array([1.0, 0.0, 0.2]) * factors)
    assert (made[0].base_color[3], made[0].roughness, made[1].roughness) == (0.4, 1.0, 0.4)
    same = Variation(tint=0.0, brightness=1.0, roughness_change=0.0).draw(given, rng_for(0, 0))
    assert [(m.base_color, m.roughness) for m in same] == [(m.base_color, m.roughness) for m in given]
    assert max(tinted(given[1], 0.0, rng_for(0, 0), brightness=5.0).base_color) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Paint(saturation=1.2), r"paint.saturation must be in \[0, 1\], got 1.2"),
        (lambda: Paint(hue="red"), "paint.hue must be a number or a distribution, got 'red'"),
        (lambda: Paint(textures="/nowhere"), "photos '/nowhere': there is no such folder"),
        (lambda: Paint(textures=["/nowhere.png"]), "paint.textures: there is no file /nowhere.png"),
        (lambda: Variation(tint=Uniform(0, 2)), r"tint must be in \[0, 1\]"),
    ],
)
def test_a_wrong_one_is_one_message(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
