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


LAYOUT = ("category.mirror", "category.skeleton", "category.sigmas")


def writer(
    out: Path, holds: str = "box_xyxy", can_ignore: bool = True, keeps_empty: bool = False, layout: bool = True, **options: Any
) -> writing.Writer:
    """A writer into `out` that holds the named labels, and categories with their `layout` or without."""
    given_holds, given_can, given_keeps = frozenset([*holds.split(), *(LAYOUT if layout else ())]), can_ignore, keeps_empty

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
    given_record = replace(given_record, source="real", origin=None)  # somebody may have turned it as he liked
    assert lost(tmp_path / "3", "mask", given_record) == {"obb": 1}


def test_what_says_other_than_the_mask_is_lost_with_it(tmp_path: Path) -> None:
    """A box that a human drew with some air, a visible part of an area that was cut by a polygon."""
    for name, value in (("box_xyxy", (4.0, 2.0, 9.5, 5.0)), ("area_px", 14)):
        labels: dict[str, Any] = {name: value}
        assert lost(tmp_path / name, "mask", bare(Instance("mug", RECT, **labels))) == {name: 1}
        assert lost(tmp_path / f"{name}-held", f"mask {name}", bare(Instance("mug", RECT, **labels))) == {}


def test_an_area_that_is_not_the_box(tmp_path: Path) -> None:
    def area(area_px: int, **labels: Any) -> Record:
        return bare(Instance("mug", area_px=area_px, **labels))

    assert lost(tmp_path / "1", "box_xyxy", area(15, box_xyxy=BOX_OF_RECT)) == {}
    assert lost(tmp_path / "2", "box_xyxy", area(9, box_xyxy=BOX_OF_RECT)) == {"area_px": 1}
    assert lost(tmp_path / "3", "obb", area(4, obb=Obb(5, 5, 2, 2, 0.5))) == {}
    assert lost(tmp_path / "4", "obb", area(3, obb=Obb(5, 5, 2, 2, 0.5))) == {"area_px": 1}


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
    names = {"depth", "normals", "camera", *(f"info.{name}" for name in info.__slots__ if name != "dataset")}  # which is but a filing
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
    assert report == Report(1, 5, ignored=1, left_out_empty=1, lost={"instances without a box or mask": 1})
    ways: tuple[dict[str, Any], ...] = ({"can_ignore": False}, {"below": "leave_out"})
    for number, options in enumerate(ways):
        report = writer(tmp_path / f"out{number}", "mask box_xyxy area_px visible_fraction", **options).write(Listed([given_record]))
        assert report == Report(1, 4, left_out_hidden=1, left_out_empty=1, lost={"instances without a box or mask": 1})
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
            writer(tmp_path / name).write(Listed([bare()]))
    writer(tmp_path / "empty").write(Listed([bare()]))
    assert (tmp_path / "full" / "mine").exists()


def test_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lines: there is no sample to export; nothing was written"):
        writer(tmp_path / "out").write(Listed([]))
    assert list(tmp_path.iterdir()) == []


# --- categories -------------------------------------------------------------------------------------------------------

PLAIN = replace(MUG, mirror=(), skeleton=(), sigmas=())
PAIRS = Category("mug", ("a", "b", "c", "d"), (("a", "b"), ("c", "d")), (("a", "c"),), (0.1, 0.2, 0.3, 0.4))


def unified(tmp_path: Path, *told: Category, **options: Any) -> tuple[Category, Mapping[str, int]]:
    """The category that the writer ends with, and what was lost."""
    made = writer(tmp_path / "out", **options)
    seen: dict[str, Category] = {}

    class Kept(Lines):
        def close(self) -> None:
            seen.update(self.categories)

    object.__setattr__(made, "session", Kept)
    report = made.write(Listed([bare(categories=(one,), key=str(i)) for i, one in enumerate(told)]))
    return seen["mug"], report.lost


@pytest.mark.parametrize(
    "told",
    [
        (Category("mug"), MUG),
        (MUG, Category("mug")),
        (PLAIN, MUG),
        (MUG, PLAIN),
        (Category("mug"), PLAIN, MUG),
        (replace(MUG, sigmas=()), MUG),
    ],
    ids=range(6),
)
def test_what_is_given_beats_what_is_not(tmp_path: Path, told: tuple[Category, ...]) -> None:
    assert unified(tmp_path, *told, strict=True) == (MUG, {})


def test_a_pair_is_the_same_either_way(tmp_path: Path) -> None:
    other = replace(PAIRS, mirror=(("d", "c"), ("a", "b")), skeleton=(("c", "a"),))
    assert unified(tmp_path, PAIRS, other) == (PAIRS, {})


@pytest.mark.parametrize(
    ("part", "value"),
    [("mirror", (("a", "c"),)), ("skeleton", (("a", "b"),)), ("sigmas", (0.1, 0.2, 0.3, 0.5))],
    ids=["mirror", "skeleton", "sigmas"],
)
def test_the_first_layout_stands_and_the_other_is_told(tmp_path: Path, part: str, value: Any) -> None:
    other = replace(PAIRS, **{part: value})
    assert unified(tmp_path / "1", PAIRS, other, other, PAIRS) == (PAIRS, {f"category.{part}": 1})
    with pytest.raises(FormatError, match=rf"lines cannot hold category\.{part}; nothing was written"):
        unified(tmp_path / "2", PAIRS, other, strict=True)


def test_keypoints_that_differ(tmp_path: Path) -> None:
    other = Category("mug", ("a", "b", "x", "d"))
    assert unified(tmp_path / "1", PAIRS, other) == (PAIRS, {})
    with pytest.raises(LabelError, match=r"^sample 1: keypoint 2 of 'mug' is 'x', 'c' in samples before; export them apart$"):
        unified(tmp_path / "2", PAIRS, other, holds="keypoints")
    with pytest.raises(LabelError, match=r"^sample 1: keypoint 3 of 'mug' is missing, 'd' in samples before"):
        unified(tmp_path / "3", PAIRS, Category("mug", ("a", "b", "c")), holds="keypoints")


def test_a_layout_that_is_not_held_is_counted_once_a_category(tmp_path: Path) -> None:
    records = Listed([bare(Instance("mug", box_xyxy=BOX_OF_RECT), key=key) for key in "ab"])
    assert writer(tmp_path / "1", layout=False).write(records).lost == dict.fromkeys(LAYOUT, 1)
    with pytest.raises(FormatError, match=r"lines cannot hold category.mirror, category.sigmas, category.skeleton; nothing"):
        writer(tmp_path / "2", layout=False, strict=True).write(records)
    assert not (tmp_path / "2").exists()


def test_categories_without_an_instance(tmp_path: Path) -> None:
    records = Listed([bare(Instance("mug", box_xyxy=BOX_OF_RECT), key=key) for key in "ab"])  # there are boxes too
    made = writer(tmp_path / "1")
    type(made).keeps_unused = False
    assert made.write(records).lost == {"categories without an instance": 1}


# --- nothing is left out in silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        (Instance("mug", EMPTY), "empty"),
        (Instance("mug", area_px=0), "empty"),
        (Instance("mug", visible_fraction=0.0), "empty"),
        (Instance("mug"), "lost"),
        (Instance("mug", keypoints=POINTS), "lost"),
        (Instance("mug", camera_from_object=np.eye(4)), "lost"),
        (Instance("mug", area_px=4), "lost"),
    ],
    ids=range(7),
)
def test_what_has_no_extent_is_not_what_does_not_show(tmp_path: Path, instance: Instance, told: str) -> None:
    report = writer(tmp_path / "1").write(Listed([bare(instance)]))
    assert report == Report(
        1, 0, left_out_empty=int(told == "empty"), lost={} if told == "empty" else {"instances without a box or mask": 1}
    )
    if told == "lost":
        with pytest.raises(FormatError, match=r"lines cannot hold instances without a box or mask \(sample run-00000002\)"):
            writer(tmp_path / "2", strict=True).write(Listed([bare(instance)]))


def test_strict_leaves_out_nothing_that_shows(tmp_path: Path) -> None:
    records = Listed([bare(Instance("mug", box_xyxy=BOX_OF_RECT, visible_fraction=0.05))])
    message = r"lines has no mark for instances seen too little.* \(sample run-00000002\).*--min-visible 0"
    held = "box_xyxy visible_fraction"
    with pytest.raises(FormatError, match=message):
        writer(tmp_path / "1", held, can_ignore=False, strict=True).write(records)
    assert writer(tmp_path / "2", held, can_ignore=False, strict=True, min_visible_fraction=0).write(records) == Report(1, 1)
    assert writer(tmp_path / "3", held, strict=True).write(records) == Report(1, 1, ignored=1)
    assert writer(tmp_path / "4", held, strict=True, below="leave_out").write(records) == Report(1, 0, left_out_hidden=1)  # as was asked


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), 10, True, "0.5", None], ids=str)
def test_options(tmp_path: Path, value: float) -> None:
    with pytest.raises(ConfigError, match=r"lines: min_visible_fraction must be in \[0, 1\], got"):
        writer(tmp_path, min_visible_fraction=value)
    with pytest.raises(ConfigError, match="lines: below must be 'ignore' or 'leave_out', got 'drop'"):
        writer(tmp_path, below="drop")
    with pytest.raises(ConfigError, match="lines: strict must be true or false, got 'maybe'"):
        writer(tmp_path, strict="maybe")


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
