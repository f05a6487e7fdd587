"""The newest live values that conditions of sequences read, and the conditions compiled against their tags."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import orjson

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.expression import Expression, ExpressionError, compile_expression
from nexus_cli.model.expression_text import ExpressionSyntaxError, names_in
from nexus_cli.model.parameters import REFERENCE
from nexus_cli.wire.sample import Value
from nexus_cli.wire.topic import Topics

LONGEST_INTEGER = 20
"""Characters of a 64-bit integer, with its sign."""


class LiveValues:
    """By path, of the tags that somebody waits for."""

    def __init__(self, topics: Topics) -> None:
        """Know nothing yet."""
        self._topics = topics
        self._wanted: set[str] = set()
        self._values: dict[str, Value] = {}
        self._changed = asyncio.Event()

    def want(self, paths: Iterable[str]) -> None:
        """Keep the values of these tags from now on."""
        self._wanted = set(paths)
        self._values = {path: value for path, value in self._values.items() if path in self._wanted}

    def filters(self) -> list[str]:
        """Topics to subscribe, sorted."""
        return sorted(self._topics.tag(path) for path in self._wanted)

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a live message; a value that is not usable is forgotten."""
        path = self._topics.path(topic)
        if path is None or path not in self._wanted:
            return
        try:
            message = orjson.loads(payload)
            usable = message["quality"] != "BAD" and message["value"] is not None
        except (ValueError, KeyError, TypeError):
            usable = False
        if usable:
            self._values[path] = message["value"]
        else:
            self._values.pop(path, None)
        self._changed.set()

    def of(self, names: Iterable[str]) -> dict[str, Value] | None:
        """The values of some tags; None when one has none that is usable."""
        found = {name: self._values[name] for name in names if name in self._values}
        return found if len(found) == len(set(names)) else None

    async def change(self, *, timeout_s: float) -> None:
        """Wait until something changes, at most so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return


class Condition:
    """A condition and what it reads."""

    def __init__(self, text: str, tags: Mapping[str, TagConfig]) -> None:
        """Compile it.

        Args:
            text: The expression.
            tags: By path; every one it names must be there.

        Raises:
            ExpressionError: It does not compile.
        """
        self.text = text
        types = {path: parse_type(tag.published_type or tag.type) for path, tag in tags.items()}
        labels = {
            path: {int(code): name for code, name in tag.values.items()} for path, tag in tags.items() if tag.values
        }
        self._types = types
        made = compile_expression(text, types=types, labels=labels, result=DataType("bool"))
        if made.value is None:
            raise ExpressionError(made.findings[0].message if made.findings else "it does not compile")
        self._expression: Expression = made.value
        self.names = made.value.names

    def holds(self, values: LiveValues) -> bool | None:
        """True or false; None when a value is missing or BAD, or the arithmetic has no result."""
        found = values.of(self.names)
        if found is None:
            return None
        usable = {name: _exact(value, self._types[name]) for name, value in found.items()}
        try:
            return bool(self._expression.evaluate(usable))
        except ExpressionError:
            return None


def paths_in(conditions: Iterable[str]) -> set[str]:
    """Every tag that these expressions name by its full path; what parameters stand for names none."""
    found: set[str] = set()
    for text in conditions:
        try:
            found.update(name for name in names_in(REFERENCE.sub("0", text)) if name.count("/") == 3)
        except ExpressionSyntaxError:
            continue
    return found


def _exact(value: Value, kind: DataType) -> Value:
    """64-bit integers beyond 2^53 travel as text. Others' text may be of any length, which `int` does not take."""
    short = isinstance(value, str) and len(value) <= LONGEST_INTEGER and value.isascii()
    if kind.exact64 and isinstance(value, str) and short and value.removeprefix("-").isdecimal():
        return int(value)
    return value
