"""Where a value comes from that the text writes as `${var:NAME}` or `${param:NAME}`: a finding about it belongs there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nexus_cli.diagnostics import Place
from nexus_cli.source.draft import place_of
from nexus_cli.source.nodes import Map, SourceFile, unpack

_WHOLE = re.compile(r"""(["']?)\$\{(var|param):([A-Za-z0-9_.-]+)\}\1(?=[\s,\]}]|\Z)""")
_INSIDE = re.compile(r"\$\{(var|param):([A-Za-z0-9_.-]+)\}")
_QUOTED_OR_PLAIN = re.compile(r"""\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'|[^\n,\]}]*(?:\}[^\n,\]}]*)*""")
_FURTHEST = 4
"""References on the way: a parameter that is given by a variable is two."""


class Origin(NamedTuple):
    """Where a value was written.

    Attributes:
        own: True when the device itself gives it (`with:`), False for a variable or a parameter's default.
    """

    place: Place
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """The values that references may mean.

    Attributes:
        files: Every file that was read.
        root: The site; its `vars` and `templates` as they were written.
        template_of: Template name by device path.
        given_of: The device's `with:` by device path.
        overridden: Variables that the command line gave: nothing in the text is their value.
    """

    files: list[SourceFile]
    root: Mapping[Any, Any]
    template_of: Mapping[str, str] = field(default_factory=dict)
    given_of: Mapping[str, Map] = field(default_factory=dict)
    overridden: frozenset[str] = frozenset()

    def of(self, mark: int, device: str) -> Origin | None:
        """Where the value at a mark was written, when the text there is one reference and nothing else.

        Args:
            mark: Of the value.
            device: `area/line/device` whose value it is, "" for none.
        """
        found: Origin | None = None
        for _ in range(_FURTHEST):
            text, start = self._text(mark)
            match = _WHOLE.match(text, start)
            step = self._step(match[2], match[3], device) if match else None
            if step is None:
                break
            mark, value, own = step
            place = place_of(self.files, mark, value=value)
            if place is None:
                break
            found = Origin(place, own)
        return found

    def inside(self, mark: int, device: str) -> Iterator[tuple[str, Place]]:
        """Name and place of every value that is referenced inside a longer text at a mark."""
        text, start = self._text(mark)
        written = _QUOTED_OR_PLAIN.match(text, start)
        for match in _INSIDE.finditer(written[0]) if written else ():
            step = self._step(match[1], match[2], device)
            place = place_of(self.files, step[0], value=step[1]) if step else None
            if place is not None:
                yield match[2], place

    def _text(self, mark: int) -> tuple[str, int]:
        number, _, start = unpack(mark)
        return (self.files[number].text, start) if number < len(self.files) else ("", 0)

    def _step(self, kind: str, name: str, device: str) -> tuple[int, Any, bool] | None:
        """Mark and value of what a reference means, and whether the device gives it."""
        if kind == "var":
            return None if name in self.overridden else _entry(self.root.get("vars"), name, own=False)
        given = _entry(self.given_of.get(device), name, own=True)
        if given is not None and given[1] is not None:
            return given
        templates = self.root.get("templates")
        template = templates.get(self.template_of.get(device)) if isinstance(templates, Map) else None
        declared = template.get("parameters") if isinstance(template, Map) else None
        spec = declared.get(name) if isinstance(declared, Map) else None
        return _entry(spec, "default", own=False) if isinstance(spec, Map) else _entry(declared, name, own=False)


def _entry(holder: object, name: str, *, own: bool) -> tuple[int, Any, bool] | None:
    if not isinstance(holder, Map) or name not in holder:
        return None
    mark = holder.marks.get(name)
    return (mark, holder[name], own) if mark is not None else None
