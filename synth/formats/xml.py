"""XML from outside, and XML to write. Read as a stream by defusedxml: no DOCTYPE, no entities, nothing fetched; depth and size have limits.

The values of free attributes are text in XML. Here a value that is JSON is that value (`true`, `2.5`), other text is itself (`left`,
`0003`), and a text that would be taken for JSON is written as a JSON string.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.saxutils import escape as _escape
from xml.sax.xmlreader import AttributesImpl, Locator

from synth.errors import FormatError, LabelError
from synth.formats import reading

_CHUNK = 1 << 20
_MAX_DEPTH = 32
_MAX_SIZE = 1 << 26  # of one streamed element: its characters, and _PER_ELEMENT for each element in it
_PER_ELEMENT = 100
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Element:
    """An element with all that is in it. line: where it begins. parts: its own text, in pieces."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text without the space around it."""
        return "".join(self.parts).strip()

    def find(self, *path: str) -> Element | None:
        """The first child of that name, and so on down the path."""
        found: Element | None = self
        for tag in path:
            found = next((child for child in found.children if child.tag == tag), None) if found is not None else None
        return found

    def all(self, tag: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.tag == tag]

    @property
    def content(self) -> tuple[Any, ...]:
        """All that is in it, wherever it stands: equal for equal elements."""
        return self.tag, frozenset(self.attributes.items()), self.text, tuple(child.content for child in self.children)

    def said(self, *path: str) -> str:
        """The text at the end of the path, '' if there is none."""
        found = self.find(*path)
        return "" if found is None else found.text

    def attribute(self, name: str) -> str:
        """An attribute that must be there. Raises FormatError."""
        if name not in self.attributes:
            raise FormatError(f"line {self.line}: <{self.tag}> has no {name}")
        return self.attributes[name]

    def number(self, name: str) -> float:
        """An attribute that must be a finite number. Raises FormatError."""
        return number(self.attribute(name), f"line {self.line}: {name} of <{self.tag}>")


def read(path: Path, root: str) -> Element:
    """The whole file, whose outer element must be `root`. Raises FormatError with the line."""
    (whole,) = _elements(path, root, 0)
    return whole


def stream(path: Path, root: str) -> Iterator[Element]:
    """Each element right below `root`, whole, one at a time and kept no longer than the caller does. Raises FormatError with the line."""
    return _elements(path, root, 1)


def parse(text: str, root: str, what: str) -> Element:
    """The element `root` that `text` is. Raises FormatError naming `what`."""
    (whole,) = _parsed(io.BytesIO(text.encode(errors="replace")), what, root, 0)
    return whole


def _elements(path: Path, root: str, depth: int) -> Iterator[Element]:
    try:
        if path.stat().st_size > reading.MAX_FILE_BYTES or not path.is_file():
            raise FormatError(f"{path} is no file of at most {reading.MAX_FILE_BYTES} bytes")
        with path.open("rb") as file:
            yield from _parsed(file, path, root, depth)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error


def _parsed(file: IO[bytes], path: Path | str, root: str, depth: int) -> Iterator[Element]:
    from defusedxml import DefusedXmlException
    from defusedxml.expatreader import create_parser

    parser = create_parser(forbid_dtd=True)
    handler = _Handler(root, depth, parser)
    parser.setContentHandler(handler)
    try:
        while chunk := file.read(_CHUNK):
            handler.grow(len(chunk))  # of one name or value that does not end
            parser.feed(chunk)
            yield from handler.taken()
        if not file.tell():
            raise FormatError("it is empty")
        parser.close()
        yield from handler.taken()
    except FormatError as error:
        raise FormatError(f"{path}, line {parser.getLineNumber()}: {error}") from error
    except DefusedXmlException as error:
        raise FormatError(f"{path}, line {parser.getLineNumber()}: a DOCTYPE or an entity is not read; remove it") from error
    except SAXParseException as error:
        raise FormatError(f"{path}, line {error.getLineNumber()}: it is no XML: {error.getMessage()}") from error
    except (ValueError, LookupError) as error:
        raise FormatError(f"{path} is in no encoding that can be read: {error}") from error


class _Handler(ContentHandler):
    """Builds the elements at one depth; what lies above is not kept."""

    def __init__(self, root: str, depth: int, place: Locator) -> None:
        super().__init__()
        self.root, self.depth, self.place = root, depth, place
        self.open: list[Element] = []
        self.done: list[Element] = []
        self.size = self.pending = 0

    def grow(self, size: int) -> None:
        """Count bytes that may belong to something not ended yet."""
        self.pending += size
        if self.pending > _MAX_SIZE:
            raise FormatError(f"a name or value is longer than the {_MAX_SIZE} bytes that are read")

    def taken(self) -> Iterator[Element]:
        done, self.done = self.done, []
        yield from done

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        if not self.open and name != self.root:
            raise FormatError(f"the outer element is <{name}>, expected <{self.root}>")
        if len(self.open) >= _MAX_DEPTH:
            raise FormatError(f"elements lie more than {_MAX_DEPTH} deep in each other")
        if len(self.open) == self.depth:
            self.size = 0
        attributes = dict(attrs.items())
        self._count(_PER_ELEMENT + sum(map(len, attributes.values())))
        self.open.append(Element(name, attributes, self.place.getLineNumber() or 0))

    def characters(self, content: str) -> None:
        self._count(len(content))
        if len(self.open) > self.depth:
            self.open[-1].parts.append(content)

    def endElement(self, name: str) -> None:
        element = self.open.pop()
        if len(self.open) == self.depth:
            self.done.append(element)
        elif len(self.open) > self.depth:
            self.open[-1].children.append(element)

    def _count(self, size: int) -> None:
        self.pending = 0
        if len(self.open) >= self.depth:
            self.size += size
        if self.size > _MAX_SIZE:
            raise FormatError(f"one element is larger than the {_MAX_SIZE} characters that are read")


def number(text: str, what: str) -> float:
    """The finite number that a text says. Raises FormatError."""
    try:
        return reading.number(float("nan" if "_" in text else text), what)
    except (ValueError, FormatError) as error:
        raise FormatError(f"{what} must be a finite number, got '{text[:40]}'") from error


def flag(text: str, what: str) -> bool:
    """Whether a text says yes: 1, true or yes; no: 0, false, no, unspecified or nothing. Raises FormatError."""
    word = text.strip().lower()
    if word in ("1", "true", "yes"):
        return True
    if word in ("0", "false", "no", "unspecified", ""):
        return False
    raise FormatError(f"{what} must be 0 or 1, got '{text[:40]}'")


def value_of(text: str) -> Any:
    """The JSON value that a text is, or the text itself."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()  # neither an infinite number nor half a character
    except (ValueError, RecursionError):
        return text
    return value


def text_of(value: Any) -> str:
    """The text from which `value_of` makes the same value. Raises LabelError if it is no JSON value."""
    if isinstance(value, str) and value == value.strip() and value_of(value) == value:
        return value
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LabelError(f"an attribute must be a JSON value: {error}") from error


def escape(text: str) -> str:
    """A text for an element or between double quotes. Raises LabelError if it has a character that XML cannot say."""
    if _NOT_XML.search(text):
        raise LabelError(f"XML cannot hold the text {text[:80]!r}: a control character or half of a pair is in it; rename it")
    return _escape(text, {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def element(tag: str, content: str | Sequence[str] = "", **attributes: Any) -> str:
    """An element as text: with `content` escaped if it is a text, as it is if it is a list of elements. Attributes of None are left out."""
    begin = tag + "".join(f' {name}="{escape(str(value))}"' for name, value in attributes.items() if value is not None)
    inner = escape(content) if isinstance(content, str) else "\n" + "".join(f"{line}\n" for line in content) if content else ""
    return f"<{begin}>{inner}</{tag}>" if inner else f"<{begin}/>"
