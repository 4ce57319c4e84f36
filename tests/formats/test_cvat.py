"""CVAT for images: its sample exports, each shape by hand, labels and skeletons of <meta>, damage, and round trips."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, FormatError
from synth.formats import reader, writer
from synth.formats.cvat import Reader, Writer
from synth.formats.writing import FileNames
from synth.record import Record
from synth.types import Category, Instance, Keypoints, Obb, Rle, SampleInfo
from tests.formats.exported import HEIGHT, SHARED, WIDTH, Listed, assert_same, png, read, rectangle_mask

SAMPLES = SHARED / "datumaro" / "cvat_dataset_for_images"
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
BOX = '<box label="cup" occluded="0" xtl="3.00" ytl="2.50" xbr="10.25" ybr="12.00" z_order="0"></box>'
SVG = (
    '<line x1="1" y1="1" x2="2" y2="2" data-type="edge" data-node-from="7" data-node-to="9"></line>'
    '<circle r="1.5" cx="1" cy="1" data-type="element node" data-element-id="1" data-node-id="7" data-label-name="rim"></circle>'
    '<circle r="1.5" cx="2" cy="2" data-type="element node" data-element-id="2" data-node-id="9" data-label-id="31"></circle>'
)
MUG = f"""<label><name>mug</name><type>skeleton</type><attributes/><svg>{escape(SVG)}</svg></label>
<label><name>rim</name><type>points</type><parent>mug</parent></label>
<label><name>handle</name><type>points</type><parent>mug</parent></label>"""
SKELETON = """<skeleton label="mug" source="manual" z_order="0">
<points label="handle" outside="0" occluded="1" points="20.50,11.00"></points>
<points label="rim" outside="0" occluded="0" points="4.25,5.00"></points>
</skeleton>"""


def image(*shapes: str, name: str = "a.png", more: str = "", width: int = WIDTH, id: str = "") -> str:
    return f'<image id="{id or name}" name="{name}" {more} width="{width}" height="{HEIGHT}">\n' + "\n".join(shapes) + "\n</image>"


def export(root: Path, *images: str, labels: str = "", people: str = "", pictures: tuple[str, ...] = ("a.png",)) -> Path:
    """A folder as CVAT's ZIP holds it."""
    text = f"<meta><task>{people}<labels>{labels}</labels></task></meta>\n" + "\n".join(images)
    (root / "annotations.xml").write_text(f'<?xml version="1.0"?>\n<annotations><version>1.1</version>\n{text}\n</annotations>')
    for picture in pictures:
        (root / "images" / picture).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / picture).write_bytes(png())
    return root


def instances(root: Path) -> tuple[Instance, ...]:
    (record,), faults = read(Reader(root))
    assert not faults.total, faults
    return record.instances


def fault(root: Path) -> str:
    records, faults = read(Reader(root))
    assert not records
    assert faults.total == 1
    return faults.first[0]


# --- exports of CVAT --------------------------------------------------------------------------------------------------


def test_a_project() -> None:
    """Boxes and points as a plain parse finds them; subsets are splits and keep equal names apart."""
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is not there")
    records, faults = read(reader("cvat", source=SAMPLES / "export_project"))
    assert not faults.total, faults
    assert [(record.key, record.info.split) for record in records] == [
        (f"{subset}/img{number}.jpg", split)
        for subset, split in (("Test", "Test"), ("Train", "Train"), ("Validation", "Validation"))
        for number in (0, 1)
    ]
    assert {record.info.annotator for record in records} == {"tester"}
    assert records[0].categories == (Category("label1"), Category("label2", ("1", "2", "3")))
    tree = ElementTree.parse(SAMPLES / "export_project" / "annotations.xml").getroot()
    for record, plain in zip(records, tree.iter("image"), strict=True):
        assert record.size == (int(plain.get("width", "")), int(plain.get("height", "")))
        shapes = [child for child in plain if child.tag in ("box", "polyline", "polygon", "points")]
        for instance, shape in zip(record.instances, shapes, strict=True):
            assert instance.category == shape.get("label")
            xy = [[float(v) for v in pair.split(",")] for pair in shape.get("points", "").split(";") if pair]
            if shape.tag == "box":
                assert instance.box_xyxy == tuple(float(shape.get(name, "")) for name in ("xtl", "ytl", "xbr", "ybr"))
                assert instance.attributes == {"occluded": True, "z_order": 1, "a1": True, "a2": "v3", "a3": "0003", "a4": 2.4}
            if shape.tag == "polyline":
                assert instance.attributes == {"polyline_xy": xy}
            if shape.tag == "points":
                assert instance.keypoints is not None
                np.testing.assert_array_equal(instance.keypoints.xy, xy)
                np.testing.assert_array_equal(instance.keypoints.v, 2)
            if shape.tag == "polygon":
                assert instance.mask is not None


def test_a_task_whose_shapes_lack_labels() -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is not there")
    records, faults = read(reader("cvat", source=SAMPLES / "export_task"))
    assert not records
    assert faults.first == [
        "train.xml, line 43: image 'img0.jpg': line 50: polyline '': it has no label",
        "train.xml, line 52: image 'img1.jpg': line 53: polygon '': it has no label",
    ]


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_box(tmp_path: Path) -> None:
    """CVAT's numbers are ours; what is at its default was said by nobody."""
    (one,) = instances(export(tmp_path, image(BOX)))
    assert (one.category, one.box_xyxy, one.attributes, one.obb, one.mask) == ("cup", (3.0, 2.5, 10.25, 12.0), None, None, None)


def test_rotated_box(tmp_path: Path) -> None:
    """A box of 10 x 4 around (20, 12), 90 degrees clockwise, as our angles are, then 390; a box turned by 180 is itself."""
    box = '<box label="cup" occluded="0" xtl="15" ytl="10" xbr="25" ybr="14" rotation="{}"/>'
    upright, tilted = instances(export(tmp_path, image(box.format(90), box.format(390))))
    assert upright.obb == Obb(20, 12, 10, 4, math.pi / 2)
    assert upright.box_xyxy is None
    assert tilted.obb is not None
    assert tilted.obb.angle_rad == pytest.approx(math.pi / 6)


def test_polygon_ellipse_and_mask(tmp_path: Path) -> None:
    """The same region three times, of pixels whose centres lie inside."""
    polygon = '<polygon label="cup" points="3.4,2.4;9.6,2.4;9.6,8.6;3.4,8.6"/>'
    mask = '<mask label="cup" rle="3, 2, 5, 2" left="1" top="4" width="4" height="3"/>'
    ellipse = '<ellipse label="cup" cx="20" cy="10" rx="6" ry="2" rotation="30"/>'
    one, two, three = instances(export(tmp_path, image(polygon, mask, ellipse)))
    assert one.mask == rectangle_mask(3, 2, 10, 9)
    assert (one.area_px, one.box_xyxy) == (49, (3, 2, 10, 9))
    assert two.mask is not None
    assert np.argwhere(two.mask.decode()).tolist() == [[4, 4], [5, 1], [6, 3], [6, 4]]  # rows of 4: 3 off, 2 on, 5 off, 2 on
    assert three.mask is not None
    column, row = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)  # its long side goes to the right and down
    along, across = (column - 20) * cos + (row - 10) * sin, (row - 10) * cos - (column - 20) * sin
    np.testing.assert_array_equal(three.mask.decode(), (along / 6) ** 2 + (across / 2) ** 2 < 1)


def test_skeleton(tmp_path: Path) -> None:
    """Points are in <meta>'s order, whatever theirs; names and edges come from the drawing."""
    hidden = SKELETON.replace('outside="0" occluded="1"', 'outside="1" occluded="0"')
    export(tmp_path, image(SKELETON, hidden), labels=MUG)
    (record,), faults = read(Reader(tmp_path))
    assert not faults.total, faults
    assert record.categories == (Category("mug", ("rim", "handle"), skeleton=(("rim", "handle"),)),)
    one, two = (instance.keypoints for instance in record.instances)
    assert one is not None
    assert two is not None
    assert (one.xy.tolist(), one.v.tolist()) == ([[4.25, 5], [20.5, 11]], [2, 1])
    assert (two.xy.tolist(), two.v.tolist()) == ([[4.25, 5], [0, 0]], [2, 0])
    assert record.instances[0].box_xyxy is None


def test_skeleton_without_meta(tmp_path: Path) -> None:
    (record,), _ = read(Reader(export(tmp_path, image(SKELETON))))
    assert record.categories == (Category("mug", ("handle", "rim")),)


def test_points(tmp_path: Path) -> None:
    """One is called like its label; a label's points are as many everywhere."""
    one = '<points label="eye" occluded="1" points="5.5,6"/>'
    two = '<points label="pair" points="5.5,6;7,8"/>'
    export(tmp_path, image(one, two))
    (record,), _ = read(Reader(tmp_path))
    assert record.categories == (Category("eye", ("eye",)), Category("pair", ("1", "2")))
    assert [instance.keypoints.v.tolist() for instance in record.instances if instance.keypoints] == [[1], [2, 2]]
    export(tmp_path, image(two, two.replace(";7,8", "")))
    assert "line 6: points 'pair': 1 points, but the label has 2" in fault(tmp_path)


def test_tags_people_and_attributes(tmp_path: Path) -> None:
    labels = """<label><name>cup</name><attributes>
    <attribute><name>id</name><input_type>text</input_type></attribute>
    <attribute><name>full</name><input_type>checkbox</input_type></attribute>
    <attribute><name>size</name><input_type>number</input_type></attribute></attributes></label><label><name>indoor</name></label>"""
    values = "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in (("id", 12), ("full", "True"), ("size", 2.5)))
    box = BOX.replace("></box>", f' group_id="4" source="auto">{values}</box>')
    people = "<owner><username>boss</username></owner><assignee><username>ann</username></assignee>"
    export(tmp_path, image('<tag label="indoor"/>', box, more='subset="default"'), labels=labels, people=people)
    (record,), faults = read(Reader(tmp_path))
    assert not faults.total, faults
    assert record.info == SampleInfo(annotator="ann", classes=("indoor",))
    assert record.instances[0].attributes == {"id": "12", "full": True, "size": 2.5, "source": "auto", "group_id": 4}


def test_groups(tmp_path: Path) -> None:
    """A box and a skeleton of one label are one instance; two boxes are not, nor are different labels."""
    box = BOX.replace("cup", "mug").replace("/>", "").replace('z_order="0"', 'z_order="0" group_id="1"')
    skeleton = SKELETON.replace('z_order="0"', 'z_order="0" group_id="1"')
    (one,) = instances(export(tmp_path, image(box, skeleton), labels=MUG))
    assert one.box_xyxy == (3.0, 2.5, 10.25, 12.0)
    assert one.keypoints is not None
    assert one.attributes is None
    other = box.replace('xbr="10.25"', 'xbr="11"')
    three = instances(export(tmp_path, image(box, skeleton, other), labels=MUG))
    assert [instance.attributes for instance in three] == [{"group_id": 1}] * 3
    cup = box.replace("mug", "cup")
    two = instances(export(tmp_path, image(box, skeleton, cup), labels=MUG + "<label><name>cup</name></label>"))
    assert [(instance.category, instance.attributes) for instance in two] == [("mug", {"group_id": 1}), ("cup", {"group_id": 1})]
    apart = instances(
        export(tmp_path, image(box.replace('z_order="0"', 'z_order="2"'), skeleton.replace('z_order="0"', 'z_order="1"')), labels=MUG)
    )
    assert len(apart) == 2  # they contradict each other


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (BOX.replace('xbr="10.25"', 'xbr="3"'), "line 5: box 'cup': box has no area: x 3 to 3, y 2.5 to 12"),
        (BOX.replace('xbr="10.25"', 'xbr="42"'), "leaves the 40x24 picture"),
        (BOX.replace('xbr="10.25"', ""), "line 5: <box> has no xbr"),
        (BOX.replace("10.25", "inf"), "xbr of <box> must be a finite number, got 'inf'"),
        (BOX.replace('label="cup"', 'label="cub"'), "its label is none of <meta>'s: cup, mug"),
        (BOX.replace('label="cup"', ""), "it has no label"),
        (BOX.replace('occluded="0"', 'occluded="2"'), "occluded must be 0 or 1, got '2'"),
        (BOX.replace('z_order="0"', 'z_order="1.5"'), "z_order must be a whole number, got 1.5"),
        (BOX.replace('z_order="0"', 'rotation="x"'), "rotation of <box> must be a finite number, got 'x'"),
        (
            '<box label="cup" xtl="50" ytl="1" xbr="60" ybr="4" rotation="3"/>',
            "the centre of the rotated box, 55, 2.5, is outside the 40x24 picture",
        ),
        ('<box label="cup" xtl="-500" ytl="1" xbr="520" ybr="4" rotation="3"/>', "of 1020 by 3 is far larger than the 40x24 picture"),
        ('<box label="cup" xtl="5" ytl="1" xbr="2" ybr="4" rotation="3"/>', "the rotated box has no area: -3 by 3"),
        ('<ellipse label="cup" cx="20" cy="10" rx="-6" ry="2"/>', "the radii of an ellipse must be above 0, got -6 and 2"),
        (f"{BOX}{BOX}", "it is that of line"),
        ('<polygon label="cup" points="1,2;3,4"/>', "a polygon needs at least 3 points, got 2"),
        ('<polygon label="cup" points="1,2;3,4;5"/>', "points must be x,y;x,y;..."),
        ('<polygon label="cup" points="1,2;3,4;50,6"/>', "a point (50, 6) leaves the 40x24 picture"),
        ('<polygon label="cup" points="1.1,1.1;1.2,1.1;1.1,1.2"/>', "it covers no pixel's centre"),
        ('<mask label="cup" rle="1, 2" left="0" top="0" width="2" height="2"/>', "sum up to 2 x 2 = 4, got 3"),
        ('<mask label="cup" rle="5, -1" left="0" top="0" width="2" height="2"/>', "run lengths must be whole numbers"),
        ('<mask label="cup" rle="0, 4" left="39" top="0" width="2" height="2"/>', "leave the 40x24 picture"),
        ('<mask label="cup" rle="0, 9e17" left="0" top="0" width="900000000" height="1000000000"/>', "leave the 40x24 picture"),
        ('<cuboid label="cup" xtl1="1"/>', "such a shape cannot be read; known: box"),
        (SKELETON.replace('"rim"', '"rum"'), "its point 'rum' is none of rim, handle"),
        (SKELETON.replace('"rim"', '"handle"'), "point 'handle' stands twice"),
        (SKELETON.replace("4.25,5.00", "4,5;6,7"), "point 'rim' must be one point, got 2"),
        (SKELETON.replace("4.25,5.00", "4,55"), "a point (4, 55) leaves"),
        ('<points label="mug" points="1,2"/>', "1 points, but the label has 2: rim, handle"),
    ],
)
def test_wrong_shapes(shape: str, message: str, tmp_path: Path) -> None:
    """The sample is left out whole, and the shape is named."""
    export(tmp_path, image(BOX, name="b.png"), image(shape), labels=f"<label><name>cup</name></label>\n{MUG}", pictures=("a.png", "b.png"))
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["b.png"]
    assert (faults.total, faults.samples) == (1, 1)
    assert re.match(r"annotations\.xml, line \d+: image 'a\.png': line \d+: ", faults.first[0])
    assert message.replace("line 5: ", "") in faults.first[0]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../a.png", "/etc/hostname", "none.png", "", "images/../../a.png"])
def test_pictures_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (tmp_path / "a.png").write_bytes(png())
    assert re.search("leaves the folder|is missing|must be text", fault(export(root, image(BOX, name=name), pictures=())))


def test_pictures_elsewhere(tmp_path: Path) -> None:
    root = export(tmp_path, image(name="x\\a.png", more='subset="Train"'), pictures=("Train/x/a.png",))
    (record,), _ = read(Reader(root))
    assert (record.key, record.info.split) == ("Train/x/a.png", "Train")
    (root / "images").rename(root / "elsewhere")
    (record,), _ = read(Reader(root / "annotations.xml", root / "elsewhere"))
    (root / "elsewhere" / "Train" / "x").rename(root / "x")
    (record,), _ = read(Reader(root))
    assert record.key == "Train/x/a.png"


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no XML; name the one XML file"):
        read(Reader(tmp_path))
    export(tmp_path, image(BOX), image(BOX))
    records, faults = read(Reader(tmp_path))
    assert (records, faults.samples) == ([], 2)
    assert "it stands twice" in faults.first[0]
    export(tmp_path, image(BOX, width=WIDTH - 1))
    assert "the picture is 40x24, its annotation says 39x24" in fault(tmp_path)
    export(tmp_path, '<track id="0" label="cup"><box frame="0"/></track>')
    with pytest.raises(FormatError, match=r"line 4: a <track>: this is 'CVAT for video'; export the task as 'CVAT for images 1\.1'"):
        read(Reader(tmp_path))
    (tmp_path / "annotations.xml").write_text("<annotation/>")
    with pytest.raises(FormatError, match="the outer element is <annotation>, expected <annotations>"):
        read(Reader(tmp_path))
    export(tmp_path, image(BOX), labels=MUG.replace("&lt;line", "&lt;lime"))
    with pytest.raises(FormatError, match=r"svg of 'mug', line 1: it is no XML: mismatched tag"):
        read(Reader(tmp_path))
    export(tmp_path, image(BOX), labels=MUG.replace("<name>rim</name>", "<name>handle</name>"))
    with pytest.raises(FormatError, match="keypoint names must differ"):
        read(Reader(tmp_path))
    (tmp_path / "other.xml").write_text("<a/>")
    (tmp_path / "annotations.xml").rename(tmp_path / "task.xml")
    with pytest.raises(ConfigError, match=r"holds other\.xml, task\.xml; name the one"):
        read(Reader(tmp_path))


def test_of_two_images_of_one_picture_none_is_read(tmp_path: Path) -> None:
    """Neither subsets, nor another way to write the path, nor a link make two pictures of one."""
    subsets = [image(name="a.png", more=f'subset="{name}"', id=name) for name in ("train", "test")]
    paths = [image(name="b.png"), image(name="./b.png", id="3")]
    links = [image(name="c.png"), image(name="d.png")]
    export(tmp_path, *subsets, *paths, *links, image(name="e.png"), pictures=("a.png", "b.png", "c.png", "e.png"))
    (tmp_path / "images" / "d.png").symlink_to("c.png")
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["e.png"]
    assert faults.samples == 6
    assert [fault.rpartition(": ")[2] for fault in faults.first] == [
        *["its picture a.png is that of another <image> too; keep one of them"] * 2,
        *["it stands twice; keep one of them"] * 2,
        *["its picture c.png is that of another <image> too; keep one of them"] * 2,
    ]


def test_equal_ids(tmp_path: Path) -> None:
    export(tmp_path, image(id="7"), image(name="b.png", id="7"), pictures=("a.png", "b.png"))
    records, faults = read(Reader(tmp_path))
    assert not records
    assert "its id 7 is that of another <image> too" in faults.first[0]


def test_a_picture_that_no_image_names(tmp_path: Path) -> None:
    export(tmp_path, image(), pictures=("a.png", "b.png"))
    records, faults = read(Reader(tmp_path))
    assert len(records) == 1
    assert faults.first == ["images/b.png: no <image> says what is in it"]
    assert not read(Reader(tmp_path, images=tmp_path / "images"))[1].total  # others may lie where someone else keeps them


def test_a_link_that_leaves(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    export(root, image()).joinpath("annotations.xml").rename(tmp_path / "moved")
    (root / "annotations.xml").symlink_to(tmp_path / "moved")
    with pytest.raises(FormatError, match="a link that leaves the folder"):
        read(Reader(root))


# --- writing ----------------------------------------------------------------------------------------------------------

PERSON = Category("person", ("nose", "eye l", "a & b"), skeleton=(("nose", "eye l"), ("a & b", "nose")))
CELL = Category("cell", ("cell",))
CUP = Category('cup "<x>"')
_names = st.text("ab é\"<&/%.'", min_size=1, max_size=5).map(str.strip).filter(bool)
_typed = {
    "occluded": st.booleans(),
    "z_order": st.integers(-5, 5).filter(bool),
    "source": st.sampled_from(["auto", "semi-auto", "someone"]),
    "group_id": st.just(3),
    "zone": st.text('ab 01."<\n\té', max_size=5),
    "size": st.integers() | st.floats(-1e9, 1e9),
    "polyline_xy": st.lists(st.lists(st.floats(0, HEIGHT), min_size=2, max_size=2), min_size=1, max_size=3),
}
_attributes = st.none() | st.fixed_dictionaries({}, optional=_typed).map(lambda values: values or None)


def _side(length: int) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(st.floats(0, length - 1.0), st.floats(0.5, length)).map(lambda v: (v[0], min(float(length), v[0] + v[1])))


@st.composite
def labelled(draw: st.DrawFn) -> Instance:
    """One with a mask, a rotated box, a box, points or a line, or several of them."""
    category = draw(st.sampled_from([PERSON, CELL, CUP]))
    labels: dict[str, Any] = {"attributes": draw(_attributes)}
    (x0, x1), (y0, y1) = draw(_side(WIDTH)), draw(_side(HEIGHT))
    if draw(st.booleans()):
        pixels = np.array(draw(st.lists(st.integers(0, 255), min_size=HEIGHT, max_size=HEIGHT)), np.uint8)
        mask = np.repeat(np.unpackbits(pixels[:, None], axis=1), WIDTH // 8, axis=1).astype(bool)
        mask[3, 5] = True
        rows, columns = np.nonzero(mask)
        tight = tuple(map(float, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
        labels |= {"mask": Rle.encode(mask), "area_px": int(mask.sum()), "box_xyxy": draw(st.sampled_from([tight, (x0, y0, x1, y1)]))}
    else:
        labels["box_xyxy"] = draw(st.sampled_from([None, (x0, y0, x1, y1)]))
        if draw(st.booleans()):
            size = st.floats(0.5, 30)
            labels["obb"] = Obb((x0 + x1) / 2, (y0 + y1) / 2, draw(size), draw(size), draw(st.just(0.0) | st.floats(0.001, 3.14)))
    nothing = labels["box_xyxy"] is None and "obb" not in labels and "polyline_xy" not in (labels["attributes"] or {})
    if category.keypoints and draw(st.booleans()):
        v = draw(st.lists(st.integers(0, 2), min_size=len(category.keypoints), max_size=len(category.keypoints)))
        xy = [(draw(st.floats(0, WIDTH)), draw(st.floats(0, HEIGHT))) if one else (0.0, 0.0) for one in v]
        labels["keypoints"] = Keypoints(np.array(xy), np.array(v))
    elif nothing:
        labels["box_xyxy"] = (x0, y0, x1, y1)
    return Instance(category.name, **labels)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    made = []
    for key in draw(st.lists(_names, min_size=1, max_size=3, unique_by=str.lower)):
        classes = draw(st.none() | st.lists(_names, min_size=1, max_size=2).map(tuple))
        split = draw(st.sampled_from([None, "train", "val", "test", "a/../b", "..", "Fold 1"]))
        info = SampleInfo(split=split, annotator=draw(st.none() | st.sampled_from(["ann", "b & c"])), classes=classes)
        found = draw(st.lists(labelled(), max_size=3))
        if sum((one.attributes or {}).get("group_id") is not None for one in found) > 1:  # then they could be one
            found = [replace(one, attributes={k: v for k, v in (one.attributes or {}).items() if k != "group_id"} or None) for one in found]
        made.append(Record(key, "real", WIDTH, HEIGHT, png(), "png", tuple(found), (PERSON, CELL, CUP), info=info))
    return made


@QUICK
@given(records())
def test_comes_back(tmp_path_factory: pytest.TempPathFactory, made: list[Record]) -> None:
    out = tmp_path_factory.mktemp("cvat") / "out"
    assume(all(len(set(map(_said, record.instances))) == len(record.instances) for record in made))  # equal ones are written once
    report = writer("cvat", out=out, strict=True).write(Listed(made))
    assert report.annotations == sum(len(record.instances) for record in made)
    found, faults = read(reader("cvat", source=out))
    assert not faults.total, faults
    names = FileNames()
    keys = [f"{record.info.split}/" * bool(record.info.split) + names.picture(record) for record in made]
    assert_same(found, [replace(record, key=key) for record, key in zip(made, keys, strict=True)])


def _said(one: Instance) -> str:
    points = None if one.keypoints is None else (one.keypoints.xy.tolist(), one.keypoints.v.tolist())
    return repr((one.category, one.mask, one.box_xyxy, one.obb, points, one.attributes))


def test_the_split_comes_back_to_the_letter(tmp_path: Path) -> None:
    """Only `default` is none, and counted."""
    splits = [None, "Train", "validation", "default"]
    pictures = [Record(str(i), "real", WIDTH, HEIGHT, png(), "png", (), (), info=SampleInfo(split=one)) for i, one in enumerate(splits)]
    report = Writer(tmp_path / "out").write(Listed(pictures))
    assert dict(report.lost) == {"info.split": 1}
    found, faults = read(Reader(tmp_path / "out"))
    assert not faults.total, faults
    assert [record.info.split for record in found] == [None, "Train", "validation", None]


def test_a_rotated_box_beside_a_mask(tmp_path: Path) -> None:
    """One that somebody gave is kept; one that was measured follows from the mask."""
    one = Instance("cup", mask=rectangle_mask(2, 3, 6, 5), obb=Obb(5, 5, 8, 4, 0.5))
    for source, kept in (("real", True), ("synthetic", False)):
        made = Record("a", source, WIDTH, HEIGHT, png(), "png", (one,), (Category("cup"),))  # type: ignore[arg-type]
        Writer(tmp_path / source).write(Listed([made]))
        (found,) = instances(tmp_path / source)
        assert found.mask == one.mask
        assert (found.obb is not None) == kept


def test_what_is_written(tmp_path: Path) -> None:
    """What CVAT's importer and others look for."""
    mask = Instance(
        "person", mask=rectangle_mask(2, 3, 6, 5), keypoints=Keypoints(np.array([[1, 2], [0, 0], [3.5, 4]]), np.array([2, 0, 1]))
    )
    boxed = Instance("cup", box_xyxy=(1, 2, 3, 4), attributes={"occluded": True, "zone": "left", "full": True}, crowd=True)
    nothing = Instance("cup")
    empty = Instance("cup", mask=rectangle_mask(0, 0, 0, 0), box_xyxy=(0, 0, 3, 3))
    info = SampleInfo(split="train", annotator="ann", classes=("cup",), licence="MIT")
    made = Record("a", "real", WIDTH, HEIGHT, png(), "png", (mask, boxed, nothing, empty), (PERSON, Category("cup")), info=info)
    report = Writer(tmp_path / "out").write(Listed([made]))
    assert dict(report.lost) == {"crowd": 1, "instances without a box or mask": 1, "mask": 1, "info.licence": 1}
    assert report.annotations == 3
    assert (tmp_path / "out" / "images" / "train" / "a.png").read_bytes() == png()
    tree = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert [child.tag for child in tree] == ["version", "meta", "image"]
    (one,) = tree.iter("image")
    assert one.attrib == {"id": "0", "name": "a.png", "subset": "train", "task_id": "1", "width": "40", "height": "24"}
    assert [child.tag for child in one] == ["tag", "mask", "skeleton", "box", "box"]
    assert one[1].attrib == {
        "label": "person", "source": "manual", "occluded": "0", "z_order": "0", "group_id": "1",
        "rle": "0, 8", "left": "2", "top": "3", "width": "4", "height": "2",
    }  # fmt: skip
    assert [(p.get("label"), p.get("outside"), p.get("occluded"), p.get("points")) for p in one[2].iter("points")] == [
        ("nose", "0", "0", "1.0,2.0"), ("eye l", "1", "0", "0.0,0.0"), ("a & b", "0", "1", "3.5,4.0"),
    ]  # fmt: skip
    assert one[3].get("occluded") == "1"
    assert [(a.get("name"), a.text) for a in one[3].iter("attribute")] == [("zone", "left"), ("full", "true")]
    labels = {label.findtext("name"): label for label in tree.iter("label")}
    assert [(name, label.findtext("type"), label.findtext("parent")) for name, label in labels.items()] == [
        ("person", "skeleton", None), ("nose", "points", "person"), ("eye l", "points", "person"), ("a & b", "points", "person"),
        ("cup", "any", None),
    ]  # fmt: skip
    assert [(a.findtext("name"), a.findtext("input_type")) for a in labels["cup"].iter("attribute")] == [
        ("zone", "text"),
        ("full", "checkbox"),
    ]
    svg = ElementTree.fromstring(f"<svg>{labels['person'].findtext('svg')}</svg>")
    assert [circle.get("data-label-name") for circle in svg.iter("circle")] == ["nose", "eye l", "a & b"]
    assert [(line.get("data-node-from"), line.get("data-node-to")) for line in svg.iter("line")] == [("1", "2"), ("3", "1")]


def test_mixed_attributes_come_back_as_text(tmp_path: Path) -> None:
    made = [Instance("cup", box_xyxy=(1, 2, 3, 4), attributes={"a": value}) for value in (1, "x", True, [1, {"b": None}])]
    record = Record("a", "real", WIDTH, HEIGHT, png(), "png", tuple(made), (Category("cup"),))
    Writer(tmp_path / "out").write(Listed([record]))
    assert [one.attributes for one in instances(tmp_path / "out")] == [{"a": "1"}, {"a": "x"}, {"a": "true"}, {"a": '[1, {"b": null}]'}]


# --- damage -----------------------------------------------------------------------------------------------------------

VALID = image(
    BOX, SKELETON, '<polygon label="cup" points="3.4,2.4;9.6,2.4;9.6,8.6"/>', '<tag label="cup"/>',
    '<mask label="cup" rle="0, 4" left="0" top="0" width="2" height="2" group_id="1"/>',
    '<ellipse label="cup" cx="20" cy="10" rx="6" ry="2" rotation="90"/>', '<polyline label="cup" points="1,2;3,4"/>',
    '<box label="cup" xtl="3" ytl="2" xbr="9" ybr="7" rotation="30" group_id="1"><attribute name="a">2</attribute></box>',
)  # fmt: skip
LABELS = (
    f"<label><name>cup</name><attributes><attribute><name>a</name><input_type>number</input_type></attribute></attributes></label>{MUG}"
)
BROKEN = ["", "-1", "0", "nan", "1e999", "1e17", "9" * 400, "x", "&x;", "\x00", ";", ",", "1,2", "../a", "mug", "rim", "é" * 9]


def survives(root: Path, text: bytes) -> None:
    """Reading ends with a message, or with samples and faults, and the samples are right."""
    (root / "annotations.xml").write_bytes(text)
    try:
        found, _ = read(Reader(root))
    except FormatError:
        return
    for record in found:
        names = {category.name: category for category in record.categories}
        for one in record.instances:
            box = one.box_xyxy or (0, 0, 1, 1)
            assert -1 <= box[0] < box[2] <= WIDTH + 1
            assert one.keypoints is None or len(one.keypoints.v) == len(names[one.category].keypoints)
            assert one.mask is None or one.mask.decode().any()
            assert one.obb is None or (one.obb.width > 0 and 0 <= one.obb.angle_rad < math.pi)


def test_broken_values(tmp_path: Path) -> None:
    valid = export(tmp_path, VALID, labels=LABELS).joinpath("annotations.xml").read_text()
    assert len(instances(tmp_path)) == 6
    for number, place in enumerate(re.finditer(r'="([^"]*)"|>([^<>\n]+)<', valid)):
        begin, end = place.span(1) if place.group(1) is not None else place.span(2)
        for value in BROKEN[number % 2 :: 2]:  # names and numbers alternate enough
            survives(tmp_path, (valid[:begin] + value + valid[end:]).encode())
    for name in sorted(set(re.findall(r' (\w+)="', valid))):
        survives(tmp_path, re.sub(f' {name}="[^"]*"', "", valid).encode())
    for tag in sorted(set(re.findall(r"<(\w+)", valid))):
        survives(tmp_path, re.sub(f"<{tag}\\b", "<other", valid).replace(f"</{tag}>", "</other>").encode())


@QUICK
@given(st.data())
def test_broken_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = export(tmp_path_factory.mktemp("cvat"), VALID, labels=LABELS)
    text = bytearray((root / "annotations.xml").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    survives(root, bytes(text))
