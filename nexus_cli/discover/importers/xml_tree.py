"""XML as a plain tree, safely: expat alone, and no document type, so there is nothing to expand or to fetch.

Source: Python documentation, "XML vulnerabilities": all of entity expansion, external entities and DTD retrieval need
a document type declaration.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from nexus_cli.discover.importers.reading import MalformedError

MAX_DEPTH = 100
"""Levels; engineering files have about fifteen."""
MAX_NODES = 1_000_000


class Node:
    """An element: local name, attributes by local name, text without that of its children.

    Attributes:
        line: Where it begins, from 1.
    """

    __slots__ = ("_text", "attributes", "children", "line", "name")

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.line = line
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """Its own text, blanks around it removed."""
        return "".join(self._text).strip()

    def add(self, text: str) -> None:
        """Append text."""
        self._text.append(text)

    def all(self, name: str) -> list[Node]:
        """Its children of one name."""
        return [child for child in self.children if child.name == name]

    def first(self, *names: str) -> Node | None:
        """Follow names downwards; the first match at each level."""
        node: Node | None = self
        for name in names:
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def value(self, *names: str) -> str:
        """Text at the end of `first(*names)`, "" when there is none."""
        node = self.first(*names)
        return node.text if node else ""

    def walk(self) -> Iterator[Node]:
        """Itself and everything below, in the order of the document."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


class _Builder:
    def __init__(self, parser: expat.XMLParserType) -> None:
        self.parser = parser
        self.root: Node | None = None
        self._open: list[Node] = []
        self._count = 0
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _doctype(self, *_: object) -> None:
        raise MalformedError(
            "the file declares a document type (DTD), which NEXUS does not read",
            code="NX6703",
            line=self.parser.CurrentLineNumber,
            hint="remove the <!DOCTYPE …> line; no engineering tool needs it",
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_NODES:
            raise MalformedError("the file is nested too deeply or too large", line=self.parser.CurrentLineNumber)
        local = {key.rpartition("}")[2]: value for key, value in attributes.items()}
        node = Node(name.rpartition("}")[2], local, self.parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].add(text)


def parse_xml(data: bytes) -> Node:
    """The root element.

    Raises:
        MalformedError: Not XML (with its place), with a document type, or beyond the bounds.
    """
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    builder = _Builder(parser)
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages.get(error.code, "not well-formed")
        raise MalformedError(f"not XML: {reason}", line=error.lineno, column=error.offset + 1) from None
    except MalformedError:
        raise
    except (LookupError, UnicodeError, ValueError) as error:
        raise MalformedError(f"not XML: {error}") from None
    if builder.root is None:
        raise MalformedError("the file holds no XML element")
    return builder.root
