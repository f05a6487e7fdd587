"""One test file while it is read: its places, its findings, and the words that it may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.spelling import SpellingError, parse_duration
from nexus_cli.project.testing.declared import Case
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.source.draft import place_of
from nexus_cli.source.nodes import Map, SourceFile

LONGEST_MS = 24 * 3600 * 1000
"""How long a test may run in its own time, ms."""


class Wrong(Exception):
    """This part of a test can't be used; its finding is noted."""


@dataclass(slots=True)
class TestFile:
    """One file while it is read.

    Attributes:
        source: Its text.
        names: What it may name.
        findings: So far.
        cases: Tests without findings.
        named: Every test in it, also those with findings.
        of_test: The findings of a test, by its name.
    """

    __test__ = False

    source: SourceFile
    names: SiteNames
    findings: list[Diagnostic] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    of_test: dict[str, list[Diagnostic]] = field(default_factory=dict)

    def place(self, holder: Any, key: Any, *, on_key: bool = False) -> Place | None:
        """The place of an entry of a map or a list, of its key with `on_key`."""
        marks = getattr(holder, "marks", None)
        if marks is None:
            return None
        try:
            return place_of([self.source], marks[key], on_key=on_key, value=holder[key])
        except (KeyError, IndexError):
            return None

    def add(self, code: str, message: str, *, place: Place | None = None, hint: str = "") -> None:
        """Note a finding."""
        self.findings.append(finding(code, message, place=place, hint=hint))

    def wrong(self, code: str, message: str, *, place: Place | None = None, hint: str = "") -> Wrong:
        """Note a finding, and give what to raise."""
        self.add(code, message, place=place, hint=hint)
        return Wrong(message)

    def map_of(self, holder: Any, key: Any, what: str) -> Map:
        """The map at a key. Raises Wrong."""
        value = holder[key]
        if not isinstance(value, Map):
            message = f"`{key}` is {what}, and this is {kind_of(value)}"
            raise self.wrong("NX1100", message, place=self.place(holder, key), hint="write keys below it")
        return value

    def only(self, holder: Map, allowed: tuple[str, ...], what: str) -> bool:
        """Whether a map has known keys alone; the others are findings."""
        unknown = [key for key in holder if key not in allowed]
        for key in unknown:
            place = self.place(holder, key, on_key=True)
            self.add("NX1100", f"{what} has no key '{key}'", place=place, hint=did_you_mean(key, allowed))
        return not unknown

    def path_of(self, holder: Any, key: Any, *, on_key: bool = True) -> str:
        """A declared tag path. Raises Wrong."""
        text = key if on_key else holder[key]
        path = str(text).strip("/").removeprefix(self.names.prefix)
        if path in self.names.tags:
            return path
        place = self.place(holder, key, on_key=on_key)
        new = self.names.moved_to(path)
        if new:
            raise self.wrong("NX1102", f"'{path}' was renamed", place=place, hint=f"write {new}")
        raise self.wrong("NX1101", f"the site has no tag '{path}'", place=place, hint=self.names.hint(path))

    def time_of(self, holder: Any, key: str) -> int:
        """A duration, ms. Raises Wrong."""
        place = self.place(holder, key)
        try:
            found = parse_duration(holder[key])
        except SpellingError as error:
            raise self.wrong("NX1105", str(error), place=place, hint=error.hint) from None
        if found > LONGEST_MS:
            hint = "time passes at once, but every poll of it is made"
            raise self.wrong("NX1105", f"'{holder[key]}' is longer than 24h", place=place, hint=hint)
        return found


def kind_of(value: object) -> str:
    """What was written, for a message."""
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"the value '{str(value)[:40]}'"
