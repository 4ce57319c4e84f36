"""XML from outside: bombs, depth, size and damage are one message with the line; texts and values come back as they were."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import FormatError, LabelError
from synth.formats import xml

ENTITY = '<!DOCTYPE a [<!ENTITY x "xxxx">]><a>&x;</a>'
BOMB = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;&y;</a>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'
OUTSIDE = '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>'


@pytest.mark.parametrize("text", [ENTITY, BOMB, FILE, OUTSIDE, "<!DOCTYPE a><a/>"], ids=["entity", "bomb", "file", "dtd", "bare"])
def test_entities_and_doctypes_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(FormatError, match=r"a\.xml, line 1: a DOCTYPE or an entity is not read"):
        xml.read(tmp_path / "a.xml", "a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"<a>\n<b></a>", "line 2: it is no XML: mismatched tag"),
        (b"<a>\n<b>", "line 2: it is no XML: no element found"),
        (b"<a/><a/>", "line 1: it is no XML: junk after document element"),
        (b"<b/>", "line 1: the outer element is <b>, expected <a>"),
        (b"<a>" * 40, "line 1: elements lie more than 32 deep"),
        (b"<a>&x;</a>", "it is no XML: undefined entity"),
        (b'<?xml version="1.0" encoding="x-none"?><a/>', "unknown encoding|no encoding that can be read"),
        (b"\xff\xfe\x00", "it is no XML"),
        (b"<a>\x00</a>", "it is no XML"),
    ],
)
def test_damage_is_named_with_its_line(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        xml.read(tmp_path / "a.xml", "a")


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "_MAX_SIZE", 5000)
    monkeypatch.setattr(xml, "_CHUNK", 1000)
    for name, text in {
        "many": "<a>" + "<b><c/></b>" + "<b>" + "<c/>" * 60 + "</b></a>",
        "text": f"<a><b>{'x' * 6000}</b></a>",
        "value": f"<a><b c='{'x' * 6000}'/></a>",
        "name": f"<a><{'x' * 6000}/></a>",
        "comment": f"<a><!--{'x' * 60000}--></a>",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(FormatError, match="5000"):
            list(xml.stream(tmp_path / name, "a"))
    (tmp_path / "rows").write_text("<a>" + "<b><c/></b>\n" * 1000 + "</a>")  # each is small, however many there are
    assert [one.line for one in xml.stream(tmp_path / "rows", "a")] == list(range(1, 1001))


def test_a_stream_keeps_nothing(tmp_path: Path) -> None:
    """20,000 elements of 1 KB pass through the memory of a few."""
    with (tmp_path / "a.xml").open("w") as file:
        file.write("<a>")
        for _ in range(20_000):
            file.write(f"<b c='{'x' * 500}'>{'y' * 500}</b>\n")
        file.write("</a>")
    tracemalloc.start()
    count = sum(1 for _ in xml.stream(tmp_path / "a.xml", "a"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8e6  # the file has 20 MB; a chunk of it 1 MB


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot read"):
        xml.read(tmp_path / "none.xml", "a")
    with pytest.raises(FormatError, match="is no file"):
        xml.read(tmp_path, "a")


def _tree(element: xml.Element) -> Any:
    return element.tag, dict(element.attributes), element.text, [_tree(child) for child in element.children]


def _standard_tree(element: ElementTree.Element) -> Any:
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    return element.tag, dict(element.attrib), text.strip(), [_standard_tree(child) for child in element]


_texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=5) | st.text("\t\n\r &<>'\"]", max_size=5)


@given(st.dictionaries(st.sampled_from(["a", "b-c", "_d"]), _texts), _texts, st.lists(_texts, max_size=3))
def test_what_is_written_reads_back_as_with_the_standard_parser(attributes: dict[str, str], text: str, inner: list[str]) -> None:
    try:
        made = xml.element("r", [xml.element("e", text, **attributes), *(xml.element("f", one) for one in inner)])
    except LabelError:
        assert any(character in "￾￿" for character in text + "".join(inner) + "".join(attributes.values()))
        return
    read = xml.parse(made, "r", "test")
    assert _tree(read) == _standard_tree(ElementTree.fromstring(made))
    assert read.children[0].attributes == attributes
    assert "".join(read.children[0].parts) == text


@pytest.mark.parametrize("text", ["\x00", "a\x0bb", "\ud800", "\ufffe"])
def test_what_xml_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(LabelError, match="XML cannot hold"):
        xml.element("a", text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(_json | st.sampled_from(["true", "1", "0003", '"x"', " a ", "", "NaN", "[1", "null"]))
def test_values_come_back(value: Any) -> None:
    text = xml.text_of(value)
    again = xml.value_of(text.strip())
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("text", ["0003", "NaN", "1e999", "[", "left", "9" * 5000, '"\\ud800"', "[" * 100_000])
def test_what_is_no_json_stays_text(text: str) -> None:
    assert xml.value_of(text) == text


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_is_no_json_value_is_refused(value: Any) -> None:
    with pytest.raises(LabelError, match="must be a JSON value"):
        xml.text_of(value)


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "1_0", "0x1", "1,5"])
def test_numbers_are_finite(text: str) -> None:
    with pytest.raises(FormatError, match=f"width must be a finite number, got '{text}'"):
        xml.number(text, "width")
