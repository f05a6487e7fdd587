"""`# nexus:ignore NX2203 -- reason`: at the end of a line for that line, on a line of its own for the next one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from yaml import ScalarEvent, YAMLError
from yaml._yaml import CParser

from nexus_cli.diagnostics import Diagnostic, Place, Severity
from nexus_cli.diagnostics.codes import catalogue, finding
from nexus_cli.source.encoding import for_libyaml
from nexus_cli.source.nodes import SourceFile

_COMMENT = re.compile(r"(?<![^\s])#\s*nexus:ignore\b(?P<rest>[^\n\r]*)")
_REST = re.compile(r"[\s:]*(?P<codes>NX\w*(?:[\s,]+NX\w*)*)?\s*(?:--\s*(?P<reason>.*\S))?\s*\Z")
_HINT = "# nexus:ignore NX2203 -- why it is right here"
_LATER = frozenset("4567")
"""Bands of findings that only a running plant can give: a comment about one is not useless because none came yet."""


@dataclass(slots=True)
class Suppression:
    """One code of one comment.

    Attributes:
        line: The line whose findings it suppresses.
        used: True once it suppressed something.
        refused: True once it met a finding that can't be suppressed.
    """

    code: str
    line: int
    place: Place
    used: bool = False
    refused: bool = False


@dataclass(slots=True)
class Suppressions:
    """All of a site's suppressions."""

    by_target: dict[tuple[str, int, str], Suppression] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)

    def allows(self, found: Diagnostic) -> bool:
        """True when nothing suppresses this finding."""
        if found.place is None:
            return True
        suppression = self.by_target.get((found.place.file, found.place.line, found.code))
        if suppression is None:
            return True
        if found.severity is Severity.ERROR and found.code[2] in "01":
            suppression.refused = True
            return True
        suppression.used = True
        return False

    def leftovers(self) -> list[Diagnostic]:
        """Findings about the suppressions themselves, once every finding went through `allows`."""
        result = list(self.findings)
        for item in self.by_target.values():
            if item.refused:
                message = f"{item.code} can't be suppressed here: errors of text and shape leave a part unread"
                result.append(finding("NX0073", message, place=item.place, hint="correct what it found"))
            elif not item.used and item.code[2] not in _LATER:
                hint = "remove the comment"
                result.append(finding("NX0070", f"nothing to ignore: no {item.code} here", place=item.place, hint=hint))
        return result


def suppressions(files: list[SourceFile]) -> Suppressions:
    """Read the suppressions of every file."""
    result = Suppressions()
    for file in files:
        if "nexus:ignore" in file.text:
            _collect(file, result)
    return result


def _collect(file: SourceFile, result: Suppressions) -> None:
    inside = _scalars(file.text)
    known = catalogue()
    for match in _COMMENT.finditer(file.text):
        if any(start <= match.start() < end for start, end in inside):
            continue
        place = file.place(match.start(), match.end())
        parts = _REST.match(match["rest"])
        codes = re.split(r"[\s,]+", parts["codes"]) if parts and parts["codes"] else []
        if not codes or parts is None or not parts["reason"]:
            what = "names no code" if not codes else "gives no reason"
            result.findings.append(finding("NX0071", f"this 'nexus:ignore' {what}", place=place, hint=_HINT))
            continue
        line = _target(file, place.line)
        for code in codes:
            if code not in known:
                hint = "the codes are in docs/codes; `nexus explain NXnnnn` prints a page"
                result.findings.append(finding("NX0072", f"there is no code '{code}'", place=place, hint=hint))
                continue
            result.by_target.setdefault((file.name, line, code), Suppression(code, line, place))


def _target(file: SourceFile, line: int) -> int:
    """The comment's own line when it has content before the comment, else the next line with content."""
    if not file.line(line).lstrip().startswith("#"):
        return line
    for number in range(line + 1, len(file.starts) + 1):
        text = file.line(number).strip()
        if text and not text.startswith("#"):
            return number
    return line


def _scalars(text: str) -> list[tuple[int, int]]:
    """Ranges of quoted and block scalars: a `#` in there begins no comment."""
    found: list[tuple[int, int]] = []
    get: Callable[[], Any] = CParser(for_libyaml(text)[0]).get_event
    try:
        while (event := get()) is not None:
            kind = type(event)
            if kind is ScalarEvent and event.style:
                start, end = event.start_mark.index, event.end_mark.index
                if "nexus:ignore" in text[start:end]:
                    found.append((start, end))
    except YAMLError:
        pass
    return found
