"""Cut-outs: from files of every kind, from labelled samples and from meshes; and one message for what is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synth.annotate import finish
from synth.collage import CollageRenderer
from synth.cutouts import MAX_SIDE_PX, categories_of, cutout_files, cutout_sources, load_cutout, photo_files, read_cutout_info
from synth.cutting import cutouts_of, render_cutout, save_cutout
from synth.errors import AssetError, ConfigError, SynthError
from synth.render.flat import FlatSpec
from synth.types import U8, Category, Cutout, Layer, Rle, SampleInfo
from tests import shapes
from tests.flat_shapes import THING, collage, rectangle, similarity

ORIENTATION = 0x0112


def picture(width: int = 30, height: int = 20) -> U8:
    """Colours that tell each pixel's place; opaque in columns 5..24, rows 4..15."""
    y, x = np.mgrid[:height, :width]
    rgba = np.dstack([x * 8, y * 12, np.full_like(x, 90), np.zeros_like(x)]).astype(np.uint8)
    rgba[4:16, 5:25, 3] = 255
    return rgba


def save(path: Path, array: U8, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


# --- files ------------------------------------------------------------------------------------------------------------


def test_rgba_is_cropped_and_its_keypoints_with_it(tmp_path: Path) -> None:
    path = save(tmp_path / "mugs/blue.png", picture())
    path.with_suffix(".cutout.yaml").write_text(
        "keypoints: {rim: [6, 5], foot: {at: [24, 15], hidden: true}, handle: null}\nlicence: CC0-1.0"
    )
    found, info = load_cutout(path), read_cutout_info(path)
    assert found.rgba.shape == (12, 20, 4)
    assert np.array_equal(found.rgba[..., :3], picture()[4:16, 5:25, :3])
    assert found.keypoints_xy == {"rim": (1, 1), "foot": (19, 11)}
    assert (found.name, found.hidden, found.licence) == ("blue", {"foot"}, "CC0-1.0")
    assert info.category == Category("mugs", ("rim", "foot", "handle"))
    assert load_cutout(path) is found


def test_photo_and_mask(tmp_path: Path) -> None:
    rgba = picture()
    path = save(tmp_path / "a.jpg", rgba[..., :3], quality=95)
    save(tmp_path / "a.mask.png", rgba[..., 3])
    found = load_cutout(path)
    assert found.rgba.shape == (12, 20, 4)
    assert np.abs(found.rgba[..., :3].astype(int) - rgba[4:16, 5:25, :3]).max() < 20
    save(tmp_path / "masks/b.png", rgba[..., 3] // 255 * 128)
    (tmp_path / "b.cutout.yaml").write_text("mask: masks/b.png")
    assert load_cutout(save(tmp_path / "b.jpg", rgba[..., :3])).rgba.shape == (12, 20, 4)
    other = save(tmp_path / "other.png", np.flipud(rgba[..., 3]).copy())
    assert load_cutout(path, other).rgba.shape == (12, 20, 4)
    assert cutout_files(tmp_path) == tuple(tmp_path / name for name in ("a.jpg", "b.jpg", "other.png"))
    assert {p.name for p in cutout_sources([path])} == {"a.jpg", "a.mask.png"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photos_stand_upright(tmp_path: Path, orientation: int) -> None:
    rgba = picture()
    back: dict[int, Callable[[U8], U8]] = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1), 6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2), 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(back[orientation](rgba))
    path = save(tmp_path / "turned.jpg", stored[..., :3], quality=100, subsampling=0, exif=exif)
    save(tmp_path / "turned.mask.png", rgba[..., 3])
    (tmp_path / "turned.cutout.yaml").write_text("keypoints: {corner: [5, 4]}")
    found = load_cutout(path)
    assert found.keypoints_xy == {"corner": (0, 0)}
    assert np.abs(found.rgba[..., :3].astype(int) - rgba[4:16, 5:25, :3]).max() < 20


def test_other_kinds_of_pictures(tmp_path: Path) -> None:
    rgba = picture()
    mask = tmp_path / "m.png"
    save(mask, rgba[..., 3])
    kinds = {
        "grey.png": Image.fromarray(rgba[..., 0]),
        "grey16.png": Image.fromarray(rgba[..., 0].astype(np.uint16) * 257),
        "palette.png": Image.fromarray(rgba[..., :3]).quantize(64),
        "cmyk.jpg": Image.fromarray(rgba[..., :3]).convert("CMYK"),
    }
    for name, image in kinds.items():
        image.save(tmp_path / name)
        found = load_cutout(tmp_path / name, mask)
        assert found.rgba.shape == (12, 20, 4), name
        wanted = rgba[4:16, 5:25, :3] if name in ("palette.png", "cmyk.jpg") else rgba[4:16, 5:25, :1]
        assert np.abs(found.rgba[..., :3].astype(int) - wanted).mean() < 12, name
    Image.merge("LA", [Image.fromarray(rgba[..., 0]), Image.fromarray(rgba[..., 3])]).save(tmp_path / "la.png")
    assert load_cutout(tmp_path / "la.png").rgba.shape == (12, 20, 4)


def test_a_large_cutout_is_shrunk_without_taking_the_colour_of_what_is_transparent(tmp_path: Path) -> None:
    rgba = np.zeros((100, 2 * MAX_SIDE_PX, 4), np.uint8)
    rgba[..., :3] = (0, 255, 0)
    rgba[:, ::7] = (200, 0, 0, 255)
    path = save(tmp_path / "long.png", rgba)
    (tmp_path / "long.cutout.yaml").write_text("keypoints: {end: [4089, 100]}")
    found = load_cutout(path)
    assert max(found.rgba.shape[:2]) == MAX_SIDE_PX
    opaque = found.rgba[..., 3] > 20
    assert (np.abs(found.rgba[opaque][:, :3].astype(int) - (200, 0, 0)) <= 1).all()
    assert found.keypoints_xy["end"] == pytest.approx((MAX_SIDE_PX, 50), rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "gone.png", "gone.png: cannot be read: No such file"),
        (lambda d: save(d / "plain.jpg", picture()[..., :3]), r"plain.jpg: has no alpha, and no mask lies beside it; .* plain.mask.png"),
        (lambda d: save(d / "grey.png", picture()[..., 0]), "grey.png: has no alpha, and no mask"),
        (lambda d: save(d / "clear.png", picture() * np.uint8([1, 1, 1, 0])), "clear.png: nothing of it is opaque"),
        (lambda d: save(d / "dot.png", np.full((1, 1, 4), 255, np.uint8)), "what is opaque of it is 1 x 1 px; a cut-out needs 4 x 4"),
        (lambda d: _masked(d, np.zeros((20, 30), np.uint8)), "a.mask.png: the mask is empty: no pixel is 128 or more, the largest is 0"),
        (lambda d: _masked(d, np.ones((20, 30), np.uint8)), "the largest is 1; the object is 255"),
        (lambda d: _masked(d, np.full((30, 20), 255, np.uint8)), "the mask is 20 x 30 px, its picture 30 x 20"),
        (lambda d: _described(d, "mask: gone.png"), "gone.png: cannot be read: No such file"),
        (lambda d: _described(d, "keypoint: {}"), "a.cutout.yaml: no key 'keypoint'; did you mean 'keypoints'"),
        (lambda d: _described(d, "keypoints: {a: 3}"), "a.cutout.yaml: keypoints, mirror, skeleton or sigmas cannot be read"),
        (lambda d: _described(d, "keypoints: {a: [1, 2, 3]}"), "a.cutout.yaml: keypoints, mirror"),
        (lambda d: _described(d, "mirror: [[a, b]]"), "a.cutout.yaml: category '.*': mirror names 'a', which is none of its keypoints"),
        (lambda d: _described(d, "[1, 2"), "a.cutout.yaml: is no valid YAML"),
        (lambda d: _described(d, "- 1"), "a.cutout.yaml: must hold keys and values, got list"),
    ],
)  # fmt: skip
def test_what_is_no_cutout_is_one_message(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(AssetError, match=message):
        load_cutout(make(tmp_path))


def _masked(folder: Path, mask: U8) -> Path:
    save(folder / "a.mask.png", mask)
    return save(folder / "a.jpg", picture()[..., :3])


def _described(folder: Path, text: str) -> Path:
    (folder / "a.cutout.yaml").write_text(text)
    return save(folder / "a.png", picture())


def test_a_damaged_file_is_one_message(tmp_path: Path) -> None:
    path = save(tmp_path / "half.png", np.random.default_rng(0).integers(0, 255, (60, 60, 4), np.uint8))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(AssetError, match=r"half\.png: cannot be read as a picture"):
        load_cutout(path)


def test_folders(tmp_path: Path) -> None:
    for name in ("mug/2.png", "mug/1.PNG", "can/a.png"):
        save(tmp_path / name, picture())
    (tmp_path / "cutouts.yaml").write_text("licence: MIT")
    (tmp_path / "mug/1.cutout.yaml").write_text("{licence: CC0-1.0, category: mug}")
    (tmp_path / "mug/notes.txt").write_text("no picture")
    files = cutout_files(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in files] == ["can/a.png", "mug/1.PNG", "mug/2.png"]
    assert [c.name for c in categories_of(files)] == ["can", "mug"]
    licences = {file.name: licence for file, licence in cutout_sources(files).items()}
    assert licences["1.PNG"] == "CC0-1.0"
    assert licences["2.png"] == "MIT"
    assert "cutouts.yaml" in licences
    assert photo_files(tmp_path) == files
    (tmp_path / "mug/1.cutout.yaml").write_text("{keypoints: {rim: [1, 2]}}")
    with pytest.raises(ConfigError, match=r"category 'mug' has keypoints \[\] .* name the same, in one order"):
        categories_of(files)
    for read in (cutout_files, photo_files):
        with pytest.raises(ConfigError, match="there is no such folder"):
            read(tmp_path / "gone")
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match="no picture lies in"):
            read(tmp_path / "empty")


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    import os

    path = save(tmp_path / "a.png", picture())
    first = load_cutout(path)
    (tmp_path / "a.cutout.yaml").write_text("name: renamed")
    assert load_cutout(path).name == "renamed"
    save(path, np.rot90(picture()).copy())
    os.utime(path, (1, 1))
    assert load_cutout(path).rgba.shape == (20, 12, 4) != first.rgba.shape


# --- from samples and meshes ------------------------------------------------------------------------------------------


def test_objects_of_a_sample_become_cutouts_and_files_again(tmp_path: Path) -> None:
    shape = rectangle(40, 30)
    shape = Cutout("card", shape.rgba, {"a": (5.0, 6.0), "b": (10.0, 10.0)}, frozenset({"b"}))
    places = [(50, 50), (120, 50), (140, 60), (195, 100)]
    draft = CollageRenderer().draw(collage(*(Layer(shape, similarity(shape, 1, *xy), THING) for xy in places), size=(200, 120)))
    sample = replace(finish(draft, (THING,), key="s1"), info=SampleInfo(licence="CC0-1.0"))
    found = cutouts_of(sample)
    assert [cutout.name for cutout, _ in found] == ["s1-0", "s1-2"], "the second is half hidden, the last cut by the frame"
    cutout, category = found[0]
    assert category == THING
    assert np.array_equal(cutout.rgba, shape.rgba)
    assert cutout.keypoints_xy == {"a": (5, 6), "b": (10, 10)}
    assert (cutout.hidden, cutout.licence) == ({"b"}, "CC0-1.0")
    assert len(cutouts_of(sample, min_visible=0.1, whole=False)) == 4
    assert cutouts_of(sample, min_side_px=31) == []
    with pytest.raises(ConfigError, match="no category of the sample 'mug'"):
        cutouts_of(sample, categories=["mug"])
    bare = replace(sample.instances[0], visible_fraction=None, keypoints=None)
    crowd, unmasked = replace(bare, crowd=True), replace(bare, mask=None)
    hole = replace(bare, mask=Rle.encode(np.zeros((120, 200), bool)))
    assert [c.keypoints_xy for c, _ in cutouts_of(replace(sample, instances=(bare, crowd, unmasked, hole)))] == [{}]

    path = save_cutout(tmp_path, cutout, category)
    assert path == tmp_path / "thing" / "s1-0.png"
    again, info = load_cutout(path), read_cutout_info(path)
    assert np.array_equal(again.rgba, cutout.rgba)
    assert (again.name, again.keypoints_xy, again.hidden, again.licence) == (
        cutout.name,
        cutout.keypoints_xy,
        cutout.hidden,
        cutout.licence,
    )
    assert info.category == THING
    with pytest.raises(SynthError, match="cannot be written"):
        save_cutout(path, cutout, category)


def test_a_mesh_becomes_a_cutout() -> None:
    made = render_cutout(FlatSpec().open(), shapes.box(), shapes.BOX, azimuth_rad=0.4, elevation_rad=0.5, size_px=200)
    rows, columns = made.rgba.shape[:2]
    assert 100 < max(rows, columns) <= 200
    assert set(made.keypoints_xy) == set(shapes.BOX.keypoints)
    assert len(made.hidden) == 1, "one corner of a box is behind it"
    xy = np.array([made.keypoints_xy[name] for name in shapes.BOX.keypoints])
    assert xy.min(axis=0) == pytest.approx(0, abs=1)
    assert xy.max(axis=0) == pytest.approx((columns, rows), abs=1)
    upright = render_cutout(FlatSpec().open(), shapes.box(0.1, 0.1, 0.3), shapes.BOX, elevation_rad=0.0)
    assert upright.rgba.shape[0] > 2 * upright.rgba.shape[1]
