"""What all writers share, tried on a format that keeps only what a test says it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats import writing
from synth.formats.writing import FileNames, Report, Session, Shown, box_and_area, new_folder
from synth.record import Record
from synth.types import Camera, Category, Instance, Keypoints, Obb, Rle, SampleInfo
from tests.formats.listed import Listed, record
from tests.samples import HEIGHT, MUG, WIDTH


class Lines(Session):
    """A line an instance: its key, category, box and whether it is to be ignored."""

    def __init__(self, folder: Path, categories: Mapping[str, Category]) -> None:
        super().__init__(folder, categories)
        self.file = self.open("lines.txt")

    def add(self, record: Record, shown: Sequence[Shown]) -> None:
        for one in shown:
            self.file.write(f"{record.key} {one.instance.category} {one.box_xyxy} {one.area_px:g} {one.ignored}\n")

    def close(self) -> None:
        self.file.write(" ".join(self.categories))


def writer(out: Path, holds: str = "box_xyxy", can_ignore: bool = True, keeps_empty: bool = False, **options: Any) -> writing.Writer:
    """A writer into `out` that holds the named labels."""
    given_holds, given_can, given_keeps = frozenset(holds.split()), can_ignore, keeps_empty

    class Writer(writing.Writer):
        name = "lines"
        holds: ClassVar[frozenset[str]] = given_holds
        can_ignore = given_can
        keeps_empty = given_keeps

        def session(self, folder: Path, categories: Mapping[str, Category]) -> Session:
            return Lines(folder, categories)

    return Writer(out, **options)


def bare(*instances: Instance, **changes: Any) -> Record:
    """A sample that has nothing but these instances."""
    return record(2, **{"instances": instances, "info": SampleInfo(), "camera": None, **changes})


RECT = Rle.encode(np.pad(np.ones((3, 5), bool), ((2, HEIGHT - 5), (4, WIDTH - 9))))
EMPTY = Rle.encode(np.zeros((HEIGHT, WIDTH), bool))
BOX_OF_RECT = (4.0, 2.0, 9.0, 5.0)


def lost(tmp_path: Path, holds: str, *records: Record) -> Mapping[str, int]:
    return writer(tmp_path / "out", holds).write(Listed(records)).lost


# --- what is lost -----------------------------------------------------------------------------------------------------

POINTS = Keypoints(np.ones((2, 2)), np.array([2, 2]))
CAMERA = Camera.from_fov(WIDTH, HEIGHT, 1.0, np.eye(4))
ONE_LABEL: list[tuple[str, Any]] = [
    ("mask", RECT),
    ("mask_full", RECT),
    ("box_full_xyxy", BOX_OF_RECT),
    ("obb", Obb(5, 5, 2, 2, 0.5)),
    ("visible_fraction", 0.5),
    ("truncated_fraction", 0.0),
    ("keypoints", POINTS),
    ("camera_from_object", np.eye(4)),
    ("box3d_object_m", (np.zeros(3), np.ones(3))),
    ("asset", "mug_1"),
    ("crowd", True),
    ("attributes", {"a": 1}),
]


@pytest.mark.parametrize(("name", "value"), ONE_LABEL, ids=[name for name, _ in ONE_LABEL])
def test_a_label_that_is_not_held_is_counted(tmp_path: Path, name: str, value: Any) -> None:
    with_it = Instance("mug", box_xyxy=BOX_OF_RECT, **{name: value})
    records = (bare(with_it, with_it), bare(Instance("mug", box_xyxy=BOX_OF_RECT), key="b"))
    assert lost(tmp_path / "1", "box_xyxy", *records) == {name: 2}
    assert lost(tmp_path / "2", f"box_xyxy {name}", *records) == {}


def test_absent_labels_are_not_lost(tmp_path: Path) -> None:
    assert lost(tmp_path, "box_xyxy", bare(Instance("mug", box_xyxy=BOX_OF_RECT, area_px=15, crowd=False))) == {}


def test_what_follows_from_a_mask_is_not_lost_with_it(tmp_path: Path) -> None:
    given_record = bare(Instance("mug", RECT, area_px=15, box_xyxy=BOX_OF_RECT, obb=Obb(6.5, 3.5, 5, 3, 0)))
    assert lost(tmp_path / "1", "mask", given_record) == {}
    assert lost(tmp_path / "2", "box_xyxy", given_record) == {"mask": 1, "area_px": 1, "obb": 1}


def test_parts_of_keypoints(tmp_path: Path) -> None:
    def points(v: list[int], xyz: bool) -> Instance:
        return Instance("mug", box_xyxy=BOX_OF_RECT, keypoints=Keypoints(np.ones((2, 2)), np.array(v), np.ones((2, 3)) if xyz else None))

    records = [bare(points([2, 1], True), points([0, 2], False), points([1, 1], False))]
    assert lost(tmp_path / "1", "box_xyxy", *records) == {"keypoints": 3}
    assert lost(tmp_path / "2", "box_xyxy keypoints", *records) == {"keypoints.v": 2, "keypoints.xyz_m": 1}
    assert lost(tmp_path / "3", "box_xyxy keypoints keypoints.v keypoints.xyz_m", *records) == {}


def test_labels_of_the_sample(tmp_path: Path) -> None:
    info = SampleInfo("d", "train", "g", "MIT", "me", ("indoor",), {"a": 1})
    full = bare(info=info, depth=b"1", normals=b"2", camera=CAMERA)
    names = {"depth", "normals", "camera", *(f"info.{name}" for name in info.__slots__)}
    assert lost(tmp_path / "1", "", full, replace(full, key="b", normals=None)) == {name: 2 - (name == "normals") for name in names}
    assert lost(tmp_path / "2", " ".join(names), full) == {}


def test_strict_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    fine, more = bare(Instance("mug", box_xyxy=BOX_OF_RECT)), bare(Instance("mug", RECT, asset="m"), key="second")
    writer(tmp_path / "fine", strict=True).write(Listed([fine]))
    message = r"lines cannot hold asset, mask \(sample second\); nothing was written: export without --strict, or to another format"
    with pytest.raises(FormatError, match=message):
        writer(tmp_path / "out", strict=True).write(Listed([fine, more]))
    assert [path.name for path in tmp_path.iterdir()] == ["fine"]


# --- what is written --------------------------------------------------------------------------------------------------


def test_what_shows_and_what_does_not(tmp_path: Path) -> None:
    given_record = bare(
        Instance("mug", RECT),  # measured
        Instance("mug", box_xyxy=(1.0, 2.0, 3.5, 4.0)),
        Instance("mug", RECT, box_xyxy=(0.0, 0.0, 9.5, 5.0), area_px=12),  # said
        Instance("mug", RECT, visible_fraction=0.1),  # just enough
        Instance("mug", RECT, visible_fraction=0.09),
        Instance("mug", EMPTY, visible_fraction=0.0),
        Instance("mug"),
    )
    report = writer(tmp_path / "1", "mask box_xyxy area_px visible_fraction").write(Listed([given_record]))
    assert (tmp_path / "1" / "lines.txt").read_text().splitlines() == [
        "run-00000002 mug (4.0, 2.0, 9.0, 5.0) 15 False",
        "run-00000002 mug (1.0, 2.0, 3.5, 4.0) 5 False",
        "run-00000002 mug (0.0, 0.0, 9.5, 5.0) 12 False",
        "run-00000002 mug (4.0, 2.0, 9.0, 5.0) 15 False",
        "run-00000002 mug (4.0, 2.0, 9.0, 5.0) 15 True",
        "mug box",
    ]
    assert report == Report(1, 5, ignored=1, left_out_empty=2)
    for number, options in enumerate(({"can_ignore": False}, {"below": "leave_out"})):
        report = writer(tmp_path / f"out{number}", "mask box_xyxy area_px visible_fraction", **options).write(Listed([given_record]))
        assert report == Report(1, 4, left_out_hidden=1, left_out_empty=2)
    report = writer(tmp_path / "2", "mask box_xyxy area_px visible_fraction", keeps_empty=True).write(Listed([given_record]))
    assert report == Report(1, 7, ignored=2)


def test_a_report_says_all(tmp_path: Path) -> None:
    report = Report(3, 9, 1, 2, 4, {"mask": 2, "asset": 7})
    assert str(report) == (
        "3 images, 9 annotations; 1 of them marked ignore: seen too little; 2 labels left out: seen too little; 4 labels left out: nothing "
        "of them shows; the format cannot hold: asset (7), mask (2)"
    )
    assert str(Report(1, 0)) == "1 images, 0 annotations"


@pytest.mark.parametrize(
    ("failing", "error"),
    [(KeyError("x"), KeyError), (OSError(28, "No space left on device", "f"), FormatError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_whole_or_absent(tmp_path: Path, failing: Any, error: type[BaseException]) -> None:
    with pytest.raises(error):
        writer(tmp_path / "deep" / "out", "info.split").write(Listed([bare(), failing]))
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    with (
        pytest.raises(FormatError, match=r"cannot write .*/out: No space left on device \(f\); nothing is left there"),
        new_folder(tmp_path / "out"),
    ):
        raise OSError(28, "No space left on device", "f")


def test_only_a_new_or_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("file", "full"):
        with pytest.raises(ConfigError, match=f"{name} is there and not an empty folder; name a new one"):
            writer(tmp_path / name).write(Listed([]))
    writer(tmp_path / "empty").write(Listed([]))
    assert (tmp_path / "full" / "mine").exists()


def test_one_category_has_one_meaning(tmp_path: Path) -> None:
    other = replace(MUG, skeleton=())
    with pytest.raises(LabelError, match=r"sample b: category 'mug' was .* before and is .* here"):
        writer(tmp_path / "out").write(Listed([bare(), bare(key="b", categories=(other,))]))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), 10])
def test_options(tmp_path: Path, value: float) -> None:
    with pytest.raises(ConfigError, match=r"lines: min_visible_fraction must be in \[0, 1\], got"):
        writer(tmp_path, min_visible_fraction=value)
    with pytest.raises(ConfigError, match="lines: below must be 'ignore' or 'leave_out', got 'drop'"):
        writer(tmp_path, below="drop")


# --- names and measures -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from(["a", "A", "a/b", "a__b", "x.png", "x", "é" * 99])
    )
)
def test_file_names(keys: list[str]) -> None:
    """One path component each, none hidden, none twice even where cases are one, and the same again for the same keys."""
    made, again = FileNames(), FileNames()
    names = [made.picture(bare(key=key)) for key in keys]
    assert names == [again.picture(bare(key=key)) for key in keys]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert name.isascii()
        assert len(name) < 240
        assert not name.startswith(".")
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name.endswith(".png")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b c.png", "a__b c"),
        ("a.PNG", "a"),
        ("a.jpg", "a.jpg"),
        ("a.b", "a.b"),
        (".png", "%2Epng"),
        ("..", "%2E."),
        ("a%/ü", "a%25__%C3%BC"),
    ],
)
def test_a_file_name_says_its_key(key: str, name: str) -> None:
    assert FileNames().stem(bare(key=key)) == name


def test_box_and_area() -> None:
    assert box_and_area(Instance("a", RECT)) == (BOX_OF_RECT, 15)
    assert box_and_area(Instance("a", RECT, area_px=9, box_xyxy=(0, 0, 1, 1))) == ((0, 0, 1, 1), 9)
    assert box_and_area(Instance("a", box_xyxy=(0, 0, 2, 1.5))) == ((0, 0, 2, 1.5), 3.0)
    tilted = Instance("a", obb=Obb(1, 2, 6, 2, 0))  # x -2 to 4
    assert box_and_area(tilted) == (None, 0)
    assert box_and_area(tilted, (30, 20)) == ((0, 1, 4, 3), 12)
    assert box_and_area(Instance("a", EMPTY)) == box_and_area(Instance("a")) == (None, 0)


def test_corners_of_a_rotated_box() -> None:
    straight = Obb(10, 20, 6, 2, 0).corners_xy
    np.testing.assert_allclose(straight, [[7, 19], [13, 19], [13, 21], [7, 21]])
    quarter = Obb(10, 20, 6, 2, np.pi / 2).corners_xy  # its long side points down
    np.testing.assert_allclose(quarter, [[11, 17], [11, 23], [9, 23], [9, 17]], atol=1e-12)
