"""Elements of another tool's XML configuration, read one by one; elements that are not read are listed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nexus_cli.discover.importers.collect import Collector, short
from nexus_cli.discover.importers.settings import SECRET, milliseconds
from nexus_cli.discover.importers.xml_tree import Node


class Elements:
    """The children of one element.

    Attributes:
        node: The element.
        where: In front of names in notes, such as `modbus-1/config`.
    """

    def __init__(self, node: Node, *, where: str, collector: Collector) -> None:
        self.node = node
        self.where = where
        self.collector = collector
        self._asked: set[str] = set()
        self._children: dict[str, Elements] = {}

    def text(self, *names: str) -> str:
        """Text of the first child that has one of the names, "" without."""
        self._asked.update(names)
        for name in names:
            child = self.node.first(name)
            if child is not None:
                return child.text
        return ""

    def number(self, name: str) -> int | None:
        """A whole number, None without one (with a note when it is something else)."""
        text = self.text(name)
        if not text:
            return None
        if not re.fullmatch(r"-?\d{1,18}", text):
            self.note(name, f"'{short(text, 40)}' is not a whole number")
            return None
        return int(text)

    def milliseconds(self, name: str) -> str | None:
        """A duration in the spelling of the site language."""
        number = self.number(name)
        return milliseconds(number) if number is not None else None

    def flag(self, name: str) -> bool:
        """True when it says true."""
        return self.text(name).lower() == "true"

    def child(self, name: str) -> Elements | None:
        """The first child of a name; the same one each time, so that it knows what was asked for."""
        self._asked.add(name)
        node = self.node.first(name)
        if node is None:
            return None
        if name not in self._children:
            self._children[name] = Elements(node, where=f"{self.where}/{name}", collector=self.collector)
        return self._children[name]

    def children(self, holder: str, name: str) -> list[Elements]:
        """Children of one name below a holder; its other children are listed."""
        self._asked.add(holder)
        found: list[Elements] = []
        for node in self.node.all(holder):
            for item in node.children:
                if item.name == name:
                    found.append(Elements(item, where=f"{self.where}/{name}", collector=self.collector))
                else:
                    self.collector.note(f"{self.where}/{holder}/{item.name}", "not understood")
        return found

    def note(self, name: str, reason: str) -> None:
        """Say why an element is not taken over."""
        self._asked.add(name)
        self.collector.note(f"{self.where}/{name}", reason)

    def without_use(self, reasons: Mapping[str, str]) -> None:
        """Elements that are understood and have no place in the site language."""
        for name, reason in reasons.items():
            if name not in self._asked and self.node.first(name) is not None:
                self.note(name, reason)

    def rest(self) -> None:
        """List every element that was not read."""
        for child in self.node.children:
            if child.name not in self._asked:
                self._asked.add(child.name)
                shown = "a secret" if SECRET.search(child.name) else short(child.text, 60) or "a structure"
                self.collector.note(f"{self.where}/{child.name}", f"not understood: {shown}")
