"""Pascal VOC: real sets against a plain parse of their XML, the laws of boxes, masks and lists, damage, and round trips."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from synth.errors import ConfigError, FormatError, LabelError
from synth.formats import reader, writer
from synth.formats.voc import Reader, Writer
from synth.formats.voc_masks import palette
from synth.record import Record
from synth.types import Category, Instance, Rle, SampleInfo
from tests.formats.exported import HEIGHT, SHARED, WIDTH, Listed, assert_same, png, read, rectangle_mask

REAL = SHARED.parent / "real"
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def obj(box: tuple[Any, ...] = (2, 3, 10, 12), name: str = "cat", more: str = "") -> str:
    edges = "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object>\n<name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def annotation(*objects: str, width: int = WIDTH, height: int = HEIGHT, filename: str = "a.png") -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{filename}</filename>{size}\n" + "\n".join(objects) + "\n</annotation>"


def devkit(root: Path, **texts: str) -> Path:
    """A VOC folder with a picture for each XML."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (root / "Annotations" / f"{name}.xml").write_text(text.replace("<filename>a.png<", f"<filename>{name}.png<"))
        (root / "JPEGImages" / f"{name}.png").write_bytes(png())
    return root


def lists(root: Path, kind: str = "Main", **names: str) -> None:
    (root / "ImageSets" / kind).mkdir(parents=True, exist_ok=True)
    for name, text in names.items():
        (root / "ImageSets" / kind / f"{name}.txt").write_text(text)


def boxes(root: Path, **options: Any) -> list[Any]:
    records, faults = read(Reader(root, **options))
    assert not faults.total, faults
    return [instance.box_xyxy for record in records for instance in record.instances]


# --- real sets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "samples", "labels"), [("bccd", 290, 3917), ("raccoon", 120, 124)])
def test_real_sets(name: str, samples: int, labels: int) -> None:
    """Every box is xmin - 1, ymin - 1, xmax, ymax of a plain parse; of BCCD's 292 photos two are left out for a degenerate box each."""
    root = REAL / name
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    records, faults = read(reader("voc", source=root))
    assert len(records) == samples
    assert sum(len(record.instances) for record in records) == labels
    assert len({record.key for record in records}) == samples
    plain: dict[str, list[Any]] = {}
    for file in sorted(root.rglob("*.xml")):
        tree = ElementTree.parse(file)
        values = [[one.findtext(f"bndbox/{edge}", "") for edge in ("xmin", "ymin", "xmax", "ymax")] for one in tree.iter("object")]
        names = [one.findtext("name") for one in tree.iter("object")]
        plain[file.stem] = [(name, int(a) - 1, int(b) - 1, int(c), int(d)) for name, (a, b, c, d) in zip(names, values, strict=True)]
    degenerate = {"BloodImage_00338": 13, "BloodImage_00343": 4} if name == "bccd" else {}
    for record in records:
        stem = record.key.rpartition(".")[0]
        assert [(one.category, *(one.box_xyxy or ())) for one in record.instances] == plain.pop(stem)
        assert (root / ("JPEGImages" if name == "bccd" else "images") / record.key).read_bytes() == record.image
    assert set(plain) == set(degenerate)
    assert (faults.total, faults.samples) == (len(degenerate), len(degenerate))
    for (stem, number), fault in zip(sorted(degenerate.items()), sorted(faults.first), strict=True):
        line = (root / "Annotations" / f"{stem}.xml").read_text().split("<object>")[:number]
        line_number = sum(part.count("\n") for part in line) + 1
        assert re.match(rf"Annotations/{stem}\.xml: line {line_number}: object {number} \(RBC\): the box has no area: xmin", fault)


def test_splits_of_a_real_set() -> None:
    root = REAL / "bccd"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    records, _ = read(reader("voc", source=root))
    bad = {"BloodImage_00338", "BloodImage_00343"}
    listed = {split: set((root / f"{split}.txt").read_text().split()) for split in ("train", "val")}
    assert sum(map(len, listed.values())) == 292
    for split, names in listed.items():
        assert {record.key.rpartition(".")[0] for record in records if record.info.split == split} == names - bad


def test_an_export_of_another_tool(tmp_path: Path) -> None:
    """datumaro's sample: its masks contradict its boxes and a listed picture has no XML, so both are named; the boxes alone are right."""
    root = SHARED / "datumaro" / "voc_dataset_voc_dataset1"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    records, faults = read(Reader(root))
    assert not records
    assert [fault.split(":")[0] for fault in faults.first] == ["Annotations/2007_000001.xml", "JPEGImages/2007_000002.jpg", "list test"]
    assert "most of its mask lies outside of its box" in faults.first[0]
    for name in ("Annotations/2007_000001.xml", "JPEGImages/2007_000001.jpg", "ImageSets/Main/train.txt", "ImageSets/Main/cat_train.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (record,), faults = read(Reader(tmp_path))
    assert not faults.total, faults
    assert record.info.split == "train"
    assert [(one.category, one.box_xyxy) for one in record.instances] == [("cat", (0, 1, 3, 4)), ("person", (3, 4, 6, 7))]
    assert record.instances[0].attributes == {"truncated": True}
    attributes = record.instances[1].attributes or {}
    assert attributes["parts"] == [{"name": "head", "box_xyxy": [4.5, 5, 7.5, 8]}]
    assert [name for name, done in attributes["actions"].items() if done] == [
        "other", "phoning", "reading", "ridinghorse", "takingphoto", "walking",
    ]  # fmt: skip


# --- boxes ------------------------------------------------------------------------------------------------------------


def test_boxes_count_from_one_and_include_the_last_pixel(tmp_path: Path) -> None:
    """The whole picture is 1, 1, width, height."""
    devkit(tmp_path, a=annotation(obj((1, 1, WIDTH, HEIGHT)), obj((2.5, 3, 10, 12.25))))
    assert boxes(tmp_path) == [(0, 0, WIDTH, HEIGHT), (1.5, 2, 10, 12.25)]


@pytest.mark.parametrize("zero", ["0", "0.0", " +0", "5e-1", "&#48;", "<!-- -->0", "<![CDATA[0]]>", "-0", ".5", "\u0660"])
def test_any_way_to_write_zero(zero: str, tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj((zero, 3, 10, 12)).replace("<xmin>", '<xmin a=">">')), b=annotation(obj()))
    assert boxes(tmp_path)[1] == (2, 3, 10, 12)


def test_a_zero_anywhere_says_that_boxes_are_edges(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj((2, 3, 10, 12))), b=annotation(obj((5, 0, 7, 8))))
    assert boxes(tmp_path) == boxes(tmp_path, zero_based=True) == [(2, 3, 10, 12), (5, 0, 7, 8)]
    assert boxes(tmp_path, zero_based=False) == [(1, 2, 10, 12), (4, -1, 7, 8)]
    devkit(tmp_path, b=annotation(obj((5, 1, 7, 8))))
    assert boxes(tmp_path) == [(1, 2, 10, 12), (4, 0, 7, 8)]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((5, 3, 5, 9), "the box has no area: xmin 5 = xmax 5; where one pixel is meant, read with zero_based=False"),
        ((5, 9, 5, 9), "xmin 5 = xmax 5, ymin 9 = ymax 9"),
        ((9, 3, 5, 9), "box has no area: x 8 to 5"),
        ((2, 3, WIDTH + 2, 9), "leaves the 40x24 picture"),
        ((-3, 3, 8, 9), "leaves the 40x24 picture"),
        (("nan", 3, 8, 9), "xmin must be a finite number, got 'nan'"),
        (("", 3, 8, 9), "xmin must be a finite number, got ''"),
        (("1e999", 3, 8, 9), "xmin must be a finite number"),
        ((2, 3, 8, "9px"), "ymax must be a finite number, got '9px'"),
    ],
)
def test_wrong_boxes(box: tuple[Any, ...], message: str, tmp_path: Path) -> None:
    """A sample with one wrong box is left out whole, and the box is named."""
    devkit(tmp_path, a=annotation(obj(), obj(box, "dog")), b=annotation(obj()))
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["b.png"]
    assert (faults.total, faults.samples) == (1, 1)
    assert faults.first[0].startswith("Annotations/a.xml: line 5: object 2 (dog): ")
    assert message in faults.first[0]


def test_one_pixel_is_a_box_if_someone_says_so(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj((5, 9, 5, 9))))
    assert boxes(tmp_path, zero_based=False) == [(4, 8, 5, 9)]
    segment(tmp_path, (8, 9, 4, 5, 1))
    assert boxes(tmp_path) == [(4, 8, 5, 9)]


def test_every_fault_of_a_sample_is_listed(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj((5, 3, 5, 9)), obj((1, 2, 3, 4), ""), obj((3, 2, 9, 4), more="<truncated>maybe</truncated>")))
    lists(tmp_path, train="a", test="a")
    _, faults = read(Reader(tmp_path))
    assert (faults.total, faults.samples) == (4, 1)
    assert [fault.split(": ", 2)[-1][:24] for fault in faults.first[1:3]] == ["object 2 (): it has no n", "object 3 (cat): truncate"]
    assert faults.first[3] == "Annotations/a.xml: it stands in the lists of test and train; a picture belongs to one split"


def test_flags_and_pose(tmp_path: Path) -> None:
    more = "<pose>Left</pose><truncated>1</truncated><difficult>0</difficult><occluded>true</occluded>"
    free = "".join(f"<attribute><name>{name}</name><value>{value}</value></attribute>" for name, value in (("age", 3), ("id", "007")))
    plain = "<pose>Unspecified</pose><truncated>Unspecified</truncated>"
    devkit(tmp_path, a=annotation(obj(more=more), obj(more=plain), obj(more=f"<attributes>{free}</attributes>")))
    (record,), _ = read(Reader(tmp_path))
    assert [one.attributes for one in record.instances] == [
        {"truncated": True, "occluded": True, "pose": "Left"}, None, {"age": 3, "id": "007"},
    ]  # fmt: skip


# --- pictures and lists -----------------------------------------------------------------------------------------------


def test_pictures_beside_the_xml(tmp_path: Path) -> None:
    for name in ("a", "train/b", "train/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.xml").write_text(annotation(obj(), filename="elsewhere.png"))
        (tmp_path / f"{name}.png").write_bytes(png())
    records, faults = read(Reader(tmp_path))
    assert not faults.total, faults
    assert [(record.key, record.info.split) for record in records] == [("a.png", None), ("train/b.png", "train"), ("train/c.png", "train")]


def test_the_file_name_counts_where_no_picture_is_called_like_the_xml(tmp_path: Path) -> None:
    devkit(tmp_path, x1=annotation(filename="C:\\data\\photo 1.png"))
    (tmp_path / "JPEGImages" / "x1.png").rename(tmp_path / "JPEGImages" / "photo 1.png")
    (record,), faults = read(Reader(tmp_path))
    assert (record.key, record.instances, faults.total) == ("photo 1.png", (), 0)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "JPEGImages" / "photo 1.png").rename(tmp_path / "pictures" / "photo 1.png")
    (record,), faults = read(Reader(tmp_path / "Annotations", tmp_path / "pictures"))
    assert (record.key, faults.total) == ("photo 1.png", 0)


@pytest.mark.parametrize("filename", ["../secret.png", "/etc/hostname", "", "..", "a.png/.."])
def test_file_names_stay_in_the_folder(filename: str, tmp_path: Path) -> None:
    devkit(tmp_path / "set", a=annotation(obj(), filename=filename))
    (tmp_path / "secret.png").write_bytes(png())
    (tmp_path / "set" / "JPEGImages" / "a.png").unlink()
    records, faults = read(Reader(tmp_path / "set"))
    assert not records
    assert "its picture is missing" in faults.first[0]
    (tmp_path / "set" / "JPEGImages" / "a.png").symlink_to(tmp_path / "secret.png")
    _, faults = read(Reader(tmp_path / "set"))
    assert "a link that leaves the folder" in faults.first[0]


def test_pictures_without_xml_and_twice(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj()), b=annotation(obj()), c=annotation(filename="b.png"), d=annotation(filename="d.png"))
    (tmp_path / "JPEGImages" / "c.png").unlink()
    (tmp_path / "Annotations" / "a.xml").unlink()
    (tmp_path / "JPEGImages" / "d.jpg").write_bytes(png())  # the XML says which is meant, so the other one has none
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["b.png", "d.png"]
    assert faults.first[0] == "Annotations/c.xml: the picture JPEGImages/b.png belongs to another XML too; each needs its own"
    assert [fault.split(":")[0] for fault in faults.first[1:]] == ["JPEGImages/a.png", "JPEGImages/d.jpg"]
    assert "no XML says what is in it" in faults.first[1]


def test_sizes_are_checked(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(width=WIDTH + 1), b=annotation(width=0, height=0), c="<annotation/>")
    records, faults = read(Reader(tmp_path))
    assert [record.size for record in records] == [(WIDTH, HEIGHT)] * 2
    assert "the picture is 40x24, its annotation says 41x24" in faults.first[0]
    devkit(tmp_path, a=annotation().replace(f"<width>{WIDTH}<", "<width>40.5<"))
    assert "its size must be whole numbers, got 40.5x24" in read(Reader(tmp_path))[1].first[0]


def test_lists(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(), b=annotation(), c=annotation(), d=annotation())
    lists(
        tmp_path,
        train="a\n",
        val="b.png\n\n",
        trainval="a\nb\nc\n",
        test="",
        cat_train="a  1\n",
        cat_val="b -1\n",
        default="d\n",
        my_list="d\n",
    )
    records, faults = read(Reader(tmp_path))
    assert not faults.total, faults
    assert [record.info.split for record in records] == ["train", "val", "trainval", "my_list"]
    lists(tmp_path, test="c\nzebra\n")
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["a.png", "b.png", "d.png"]
    assert faults.first[0].endswith("it stands in the lists of test and trainval; a picture belongs to one split")
    assert faults.first[1] == "list test: it names 'zebra', of which there is no XML"


def test_the_split_comes_back_to_the_letter(tmp_path: Path) -> None:
    splits = [None, "default", "Train", "validation", "valid", "VAL"]
    Writer(tmp_path / "out", strict=True).write(Listed([make(key=str(place), split=split) for place, split in enumerate(splits)]))
    assert (tmp_path / "out" / "ImageSets" / "Main" / "default.txt").read_text() == "0\n"
    records, faults = read(Reader(tmp_path / "out"))
    assert not faults.total, faults
    assert [record.info.split for record in records] == splits


def test_lists_at_the_top_are_split_words(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation())
    (tmp_path / "valid.txt").write_text("a\n")
    assert [record.info.split for record in read(Reader(tmp_path))[0]] == ["val"]


@pytest.mark.parametrize("zero_based", ["maybe", 3, 0])
def test_wrong_options(tmp_path: Path, zero_based: Any) -> None:
    with pytest.raises(ConfigError, match="voc: zero_based must be true or false, got"):
        Reader(tmp_path, zero_based=zero_based)


@pytest.mark.parametrize("name", ["Annotations/a.xml", "SegmentationObject/a.png", "ImageSets/Main/train.txt"])
def test_links_that_leave_are_not_followed(name: str, tmp_path: Path) -> None:
    root = devkit(tmp_path / "set", a=annotation(obj((3, 4, 10, 12))))
    segment(root, (3, 12, 2, 10, 1))
    lists(root, train="a")
    (root / name).rename(tmp_path / "moved")
    (root / name).symlink_to(tmp_path / "moved")
    if name.endswith("txt"):
        with pytest.raises(FormatError, match="a link that leaves the folder"):
            read(Reader(root))
        return
    records, faults = read(Reader(root))
    assert not records
    assert "a link that leaves the folder" in faults.first[0]


def test_an_object_stands_once(tmp_path: Path) -> None:
    """All fields must be equal for a fault: two cells may well have one box."""
    again = obj(more="<pose>Left</pose>")
    devkit(tmp_path, a=annotation(obj(), again, obj(name="dog"), again), b=annotation(obj(), again))
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["b.png"]
    assert faults.first == ["Annotations/a.xml: line 9: object 4 (cat): it is object 2 once more; keep one of them"]
    twice = obj().replace("</object>", "<bndbox><xmin>1</xmin></bndbox></object>")
    devkit(tmp_path, a=annotation(twice))
    assert "object 1 (cat): it has 2 <bndbox>; an object has one box" in read(Reader(tmp_path))[1].first[0]


def test_equal_objects_are_written_once(tmp_path: Path) -> None:
    cat = Instance("cat", box_xyxy=(0, 0, 3, 3))
    masked = replace(cat, mask=rectangle_mask(0, 0, 3, 3))
    report = Writer(tmp_path / "out").write(Listed([make(cat, cat, masked)]))
    assert dict(report.lost) == {"equal objects": 1}
    (record,), faults = read(Reader(tmp_path / "out", zero_based=False))
    assert not faults.total, faults
    assert len(record.instances) == 2


def test_a_box_that_is_cut_is_counted(tmp_path: Path) -> None:
    report = Writer(tmp_path / "out").write(Listed([make(Instance("cat", box_xyxy=(-0.7, 0, 3, 3)))]))
    assert dict(report.lost) == {"box_xyxy": 1}
    slight = Instance("cat", box_xyxy=(-1e-9, 0, 3, 3))
    assert not Writer(tmp_path / "slight").write(Listed([make(slight)])).lost


def test_the_file_name_of_another_picture(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(filename="b.png"), b=annotation(), c=annotation(filename="gone.png"))
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["b.png", "c.png"]
    said = "Annotations/a.xml: its <filename> is that of another picture, JPEGImages/b.png, not of JPEGImages/a.png; correct it"
    assert faults.first == [said]


def test_two_xmls_of_one_picture_are_both_left_out(tmp_path: Path) -> None:
    devkit(tmp_path, x=annotation(filename="p.png"), y=annotation(filename="p.png"))
    for name in "xy":
        (tmp_path / "JPEGImages" / f"{name}.png").rename(tmp_path / "JPEGImages" / "p.png")
    records, faults = read(Reader(tmp_path))
    assert not records
    assert [fault.split(": ")[1] for fault in faults.first[:2]] == [
        "the picture JPEGImages/p.png belongs to another XML too; each needs its own"
    ] * 2


def test_an_xml_with_a_fault_is_one_sample(tmp_path: Path) -> None:
    devkit(tmp_path, a="<annotation>", b=annotation())
    _, faults = read(Reader(tmp_path))
    assert (faults.total, faults.samples) == (1, 1)
    assert "it is no XML" in faults.first[0]


@pytest.mark.parametrize(("width", "height"), [(0, 999), (WIDTH, 0)])
def test_half_a_size(width: int, height: int, tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(width=width, height=height))
    assert f"its size is {width}x{height}; say both, or 0x0" in read(Reader(tmp_path))[1].first[0]


def test_no_source(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no XML lies in it; name the folder that holds Annotations/"):
        read(Reader(tmp_path))


# --- masks ------------------------------------------------------------------------------------------------------------


def segment(root: Path, *areas: tuple[int, int, int, int, int], kind: str = "Object", name: str = "a", mode: str = "P") -> None:
    """Write an index picture with (y0, y1, x0, x1, index) filled."""
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    for y0, y1, x0, x1, index in areas:
        indices[y0:y1, x0:x1] = index
    (root / f"Segmentation{kind}").mkdir(exist_ok=True)
    image = Image.fromarray(indices)
    image.putpalette(palette().tobytes())
    image.convert(mode).save(root / f"Segmentation{kind}" / f"{name}.png")


def test_palette_is_vocs() -> None:
    """As the development kit lists the first colours: background, aeroplane, bicycle, ..., tv/monitor, and void."""
    assert palette()[[0, 1, 2, 3, 8, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [64, 0, 0], [0, 64, 128], [224, 224, 192],
    ]  # fmt: skip
    assert len(np.unique(palette(), axis=0)) == 256


@pytest.mark.parametrize("mode", ["P", "RGB"])
def test_masks(mode: str, tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj((3, 4, 10, 12)), obj((20, 5, 30, 9), "dog"), obj((35, 1, 40, 4))))
    segment(tmp_path, (2, 13, 1, 11, 255), (3, 12, 2, 10, 1), (4, 9, 19, 30, 2), mode=mode)
    segment(tmp_path, (2, 13, 1, 11, 255), (3, 12, 2, 10, 8), (4, 9, 19, 30, 12), kind="Class", mode=mode)
    (record,), faults = read(Reader(tmp_path))
    assert not faults.total, faults
    assert [one.mask for one in record.instances] == [rectangle_mask(2, 3, 10, 12), rectangle_mask(19, 4, 30, 9), None]
    assert [one.area_px for one in record.instances] == [72, 55, None]


@pytest.mark.parametrize(
    ("objects", "classes", "message"),
    [
        ([(3, 12, 2, 10, 3)], [], "SegmentationObject shows object 3, the XML has 2"),
        ([(3, 12, 2, 10, 2)], [], r"line 5: object 2 \(dog\): most of its mask lies outside of its box"),
        ([(3, 12, 2, 10, 1)], [(3, 12, 2, 6, 8)], r"SegmentationClass has index \[0, 8\] where SegmentationObject shows object 1"),
        ([(3, 12, 2, 10, 1), (4, 9, 19, 30, 2)], [(0, 24, 0, 40, 8)], "SegmentationClass has one index for two classes"),
    ],
    ids=["index", "order", "classes", "two names"],
)
def test_masks_that_contradict(objects: Any, classes: Any, message: str, tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj((3, 4, 10, 12)), obj((20, 5, 30, 9), "dog")))
    segment(tmp_path, *objects)
    if classes:
        segment(tmp_path, *classes, kind="Class")
    records, faults = read(Reader(tmp_path))
    assert not records
    assert re.search(message, faults.first[0])


def test_masks_that_are_missing_or_too_many(tmp_path: Path) -> None:
    told = annotation(obj((3, 4, 10, 12))).replace("<object>", "<segmented>1</segmented><object>", 1)
    devkit(tmp_path, a=told, b=told)
    assert len(read(Reader(tmp_path))[0]) == 2  # the boxes alone are there
    segment(tmp_path, (3, 12, 2, 10, 1))
    segment(tmp_path, (3, 12, 2, 10, 1), name="c")
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["a.png"]
    assert faults.first == [
        "Annotations/b.xml: it is <segmented>, but its masks SegmentationObject/b.png are missing",
        "SegmentationObject/c.png: no XML says whose mask it is",
    ]


def test_masks_that_cannot_be_read(tmp_path: Path) -> None:
    devkit(tmp_path, a=annotation(obj()), b=annotation(obj()), c=annotation(obj()))
    (tmp_path / "SegmentationObject").mkdir()
    (tmp_path / "SegmentationObject" / "a.png").write_bytes(png()[:50])
    (tmp_path / "SegmentationObject" / "b.png").write_bytes(png(width=WIDTH + 1))
    Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(tmp_path / "SegmentationObject" / "c.png")
    _, faults = read(Reader(tmp_path))
    assert "no picture that can be read" in faults.first[0]
    assert "the masks are 41x24, the picture 40x24" in faults.first[1]
    assert "the colour [1, 2, 3] at column 0, row 0 is none of VOC's palette" in faults.first[2]


# --- writing ----------------------------------------------------------------------------------------------------------


_names = st.text("ab é\"<&/%.'", min_size=1, max_size=5).map(str.strip).filter(bool)
_values = st.booleans() | st.integers() | st.floats(-1e9, 1e9) | _names | st.lists(st.integers(), max_size=2) | st.just("true")
_attributes = st.none() | st.dictionaries(
    st.sampled_from(["truncated", "difficult", "occluded", "pose", "zone"]) | _names, st.just(True) | _values, min_size=1, max_size=4
)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Samples with boxes or masks that do not overlap."""
    made = []
    for key in draw(st.lists(_names, min_size=1, max_size=3, unique_by=str.lower)):
        coarse = np.array(draw(st.lists(st.integers(0, 2), min_size=15, max_size=15)), np.uint8).reshape(3, 5)
        owner = np.kron(coarse, np.ones((8, 8), np.uint8))
        found = []
        for index in (1, 2):
            rows, columns = np.nonzero(owner == index)
            if draw(st.booleans()) and len(rows):
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                area = len(rows)
                mask = Rle.encode(owner == index)
                found.append(Instance(draw(_names), mask=mask, area_px=area, box_xyxy=tuple(map(float, box)), attributes=draw(_attributes)))
            else:
                (x0, x1), (y0, y1) = (sorted(draw(st.lists(st.floats(0, side), min_size=2, max_size=2))) for side in (WIDTH, HEIGHT))
                whole = draw(st.booleans())
                x0, y0 = (int(v) if whole else v for v in (x0, y0))
                x1, y1 = min(max(x1, x0 + 0.5), WIDTH), min(max(y1, y0 + 0.5), HEIGHT)
                if x0 < x1 and y0 < y1:
                    found.append(Instance(draw(_names), box_xyxy=(x0, y0, x1, y1), attributes=draw(_attributes)))
        categories = tuple(map(Category, dict.fromkeys(one.category for one in found)))
        info = SampleInfo(split=draw(st.sampled_from([None, "train", "val", "test", "my/fold 1"])))
        made.append(Record(key, "real", WIDTH, HEIGHT, png(), "png", tuple(found), categories, info=info))
    return made


@QUICK
@given(records())
def test_comes_back(tmp_path_factory: pytest.TempPathFactory, made: list[Record]) -> None:
    out = tmp_path_factory.mktemp("voc") / "out"
    assume(all(len(set(map(_said, record.instances))) == len(record.instances) for record in made))  # equal ones are written once
    report = writer("voc", out=out, strict=True).write(Listed(made))
    assert report.annotations == sum(len(record.instances) for record in made)
    found, faults = read(reader("voc", source=out, zero_based=False))
    assert not faults.total, faults
    by_file = {record.key: record for record in found}
    names = sorted(path.name for path in (out / "JPEGImages").iterdir())
    assert sorted(by_file) == names
    order = sorted(made, key=lambda record: _file_of(record, names))
    assert_same(sorted(found, key=lambda record: record.key), [replace(record, key=_file_of(record, names)) for record in order])


def _said(one: Instance) -> str:
    assert one.box_xyxy is not None
    return repr((one.category, one.mask, [round(v + 1.0, 6) for v in one.box_xyxy], one.attributes))


def _file_of(record: Record, names: list[str]) -> str:
    from synth.formats.writing import FileNames

    name = FileNames().picture(record)
    assert name in names
    return name


def make(*instances: Instance, key: str = "a", **info: Any) -> Record:
    categories = tuple(map(Category, dict.fromkeys(one.category for one in instances)))
    return Record(key, "real", WIDTH, HEIGHT, png(), "png", instances, categories, info=SampleInfo(**info))


def test_what_is_written(tmp_path: Path) -> None:
    """What parsers of VOC look for, in its order and counting."""
    cat = Instance("cat", box_xyxy=(0, 0, WIDTH, 3.5), attributes={"pose": "Left"}, visible_fraction=0.05, truncated_fraction=0.25)
    report = Writer(tmp_path / "out").write(Listed([make(cat, split="train"), make(key="b/c", split="train")]))
    assert (report.images, report.annotations, report.ignored) == (2, 1, 1)
    tree = ElementTree.parse(tmp_path / "out" / "Annotations" / "a.xml").getroot()
    assert [child.tag for child in tree] == ["folder", "filename", "size", "segmented", "object"]
    assert [tree.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["40", "24", "3"]
    (found,) = tree.iter("object")
    assert [(child.tag, child.text) for child in found][:5] == [
        ("name", "cat"), ("pose", "Left"), ("truncated", "1"), ("difficult", "1"), ("occluded", "0"),
    ]  # fmt: skip
    assert [child.text for child in found[5]] == ["1", "1", "40", "3.5"]
    assert (tmp_path / "out" / "ImageSets" / "Main" / "train.txt").read_text() == "a\nb__c\n"
    assert not (tmp_path / "out" / "SegmentationObject").exists()


def test_overlaps_and_losses_are_counted(tmp_path: Path) -> None:
    one = Instance("a", mask=rectangle_mask(0, 0, 10, 10))
    two = Instance("b", mask=rectangle_mask(5, 5, 20, 10))
    gone = Instance("b", box_xyxy=(WIDTH, 0, WIDTH + 1, 4))
    report = Writer(tmp_path / "out").write(Listed([make(one, gone, two, Instance("c"), licence="MIT")]))
    assert dict(report.lost) == {
        "mask": 1, "box_xyxy": 1, "info.licence": 1, "instances without a box or mask": 1, "categories without an instance": 1,
    }  # fmt: skip
    indices = np.asarray(Image.open(tmp_path / "out" / "SegmentationObject" / "a.png"))
    classes = np.asarray(Image.open(tmp_path / "out" / "SegmentationClass" / "a.png"))
    assert Counter(indices.ravel().tolist()) == {0: HEIGHT * WIDTH - 150, 1: 100, 2: 50}  # the first has what both cover
    assert Counter(classes.ravel().tolist()) == {0: HEIGHT * WIDTH - 150, 1: 100, 2: 50}
    assert (tmp_path / "out" / "labelmap.txt").read_text().splitlines()[1:4] == ["background:0,0,0::", "a:128,0,0::", "b:0,128,0::"]
    (record,), faults = read(Reader(tmp_path / "out"))
    assert not faults.total, faults
    assert [instance.area_px for instance in record.instances] == [100, 50]
    with pytest.raises(FormatError, match="voc cannot hold mask"):
        Writer(tmp_path / "strict", strict=True).write(Listed([make(one, two)]))


def test_more_objects_than_indices(tmp_path: Path) -> None:
    many = [Instance("a", mask=rectangle_mask(i % WIDTH, i // WIDTH, i % WIDTH + 1, i // WIDTH + 1)) for i in range(260)]
    report = Writer(tmp_path / "out").write(Listed([make(*many)]))
    assert dict(report.lost) == {"mask": 6}
    (record,), faults = read(Reader(tmp_path / "out", zero_based=False))
    assert not faults.total, faults
    assert sum(instance.mask is not None for instance in record.instances) == 254
    assert len(record.instances) == 260


def test_a_name_that_xml_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="XML cannot hold the text"):
        Writer(tmp_path / "out").write(Listed([make(Instance("a\x01", box_xyxy=(0, 0, 3, 3)))]))
    assert not (tmp_path / "out").exists()


# --- damage -----------------------------------------------------------------------------------------------------------

VALID = annotation(obj((3, 4, 10, 12), more="<pose>Left</pose><truncated>1</truncated>"), obj((20, 5, 30, 9), "dog"))
BROKEN = ["", "-1", "0", "nan", "1e999", "9" * 400, "x", "<b/>", "&x;", "<!--", "\x00", "]]>", "../a", "é" * 9]


def survives(root: Path, text: bytes) -> None:
    """Reading ends with samples and faults, and the samples are right."""
    (root / "Annotations" / "a.xml").write_bytes(text)
    records, faults = read(Reader(root))
    assert len(records) + faults.samples >= 1
    for record in records:
        for instance in record.instances:
            assert instance.category
            x0, y0, x1, y1 = instance.box_xyxy or (0, 0, 0, 0)
            assert -1 <= x0 < x1 <= WIDTH + 1
            assert -1 <= y0 < y1 <= HEIGHT + 1


def test_broken_values(tmp_path: Path) -> None:
    devkit(tmp_path, a=VALID)
    segment(tmp_path, (3, 12, 2, 10, 1))
    for place in re.finditer(r">([^<>\n]+)<", VALID):
        for value in BROKEN:
            survives(tmp_path, (VALID[: place.start(1)] + value + VALID[place.end(1) :]).encode())
    for tag in sorted(set(re.findall(r"<(\w+)", VALID))):
        survives(tmp_path, re.sub(rf"</?{tag}>", "", VALID).encode())
        survives(tmp_path, VALID.replace(f"<{tag}>", f"<{tag}></{tag}><{tag}>").encode())


@QUICK
@given(st.data())
def test_broken_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = devkit(tmp_path_factory.mktemp("voc"), a=VALID)
    text = bytearray(VALID.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    survives(root, bytes(text))


def test_faults_are_counted_beyond_those_shown(tmp_path: Path) -> None:
    devkit(tmp_path, **{f"p{number}": annotation(obj((9, 3, 5, 9))) for number in range(25)})
    _, faults = read(Reader(tmp_path))
    assert (faults.total, faults.samples, len(faults.first)) == (25, 25, 20)
    assert str(faults).endswith("... and 5 more")
