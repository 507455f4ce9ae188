"""A reader of small XML files of untrusted origin: no DTD, no entities, bounded in every way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from generation.assets.importing.asset import AssetError

MAX_BYTES = 4 << 20
_MAX_DEPTH = 64
_MAX_ELEMENTS = 50_000
_MAX_ATTRIBUTES = 64


@dataclass
class Element:
    """An XML element: its tag, attributes, children in order, and the text before the first."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Element]:
        """Children with a tag."""
        return (child for child in self.children if child.tag == tag)

    def find(self, path: str) -> Element | None:
        """The first element at a path such as "geometry/mesh"."""
        here: Element | None = self
        for tag in path.split("/"):
            here = next(here.all(tag), None) if here else None
        return here

    def get(self, attribute: str, default: str = "") -> str:
        """An attribute's value."""
        return self.attributes.get(attribute, default)


def parse_xml(data: bytes) -> Element:
    """The root element.

    Raises:
        AssetError: no well-formed XML, a document type or entity declaration, or larger, deeper or
            fuller than any honest file.
    """
    if len(data) > MAX_BYTES:
        raise AssetError(f"XML of {len(data):,} bytes: the limit is {MAX_BYTES:,}")
    root: list[Element] = []
    open_ones: list[Element] = []
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(open_ones) >= _MAX_DEPTH:
            raise AssetError(f"XML nested deeper than {_MAX_DEPTH} elements")
        if count > _MAX_ELEMENTS or len(attributes) > _MAX_ATTRIBUTES:
            raise AssetError(
                f"XML with more than {_MAX_ELEMENTS:,} elements or too many attributes"
            )
        element = Element(tag, attributes)
        (open_ones[-1].children if open_ones else root).append(element)
        open_ones.append(element)

    def end(tag: str) -> None:
        open_ones.pop()

    def text(data: str) -> None:
        if open_ones and not open_ones[-1].children:
            open_ones[-1].text += data

    def refuse(*_: object) -> NoReturn:
        raise AssetError("XML with a document type or entities, which are refused: remove them")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise AssetError(f"not well-formed XML: {error}") from None
    except (ValueError, LookupError) as error:  # an encoding that does not exist or does not fit
        if isinstance(error, AssetError):
            raise
        raise AssetError(f"unreadable XML: {error}") from None
    return root[0]
