"""A site while it is being read: its files, the tree that grows from them, and what was wrong on the way.

The ground floor of this package: files, merge, variables, templates and expand each take a `Draft` and change it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.diagnostics.codes import finding
from nexus_cli.source.nodes import Map, SourceFile, key_end, span_end, unpack
from nexus_cli.source.pool import Pool


@dataclass(slots=True)
class Part:
    """One file of the site, read."""

    file: SourceFile
    root: Map
    references: list[tuple[Any, Any]]
    shared: bool


@dataclass(slots=True)
class Draft:
    """Everything read, and what was wrong on the way.

    Attributes:
        files: Every file that was opened, by number.
        parts: The site file first, then its includes in order of their names.
        overlay: The environment's overlay, or None.
        broken: True when a file could not be parsed, so that the tree would lack a part.
        references: `(container, key)` of every string with `${` in it.
        known: Digests of sections that need not be opened; None reads every file as a whole.
        pool: Strings and numbers of all files that are read in sections.
    """

    files: list[SourceFile] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    overlay: Part | None = None
    findings: list[Diagnostic] = field(default_factory=list)
    broken: bool = False
    references: list[tuple[Any, Any]] = field(default_factory=list)
    known: frozenset[bytes] | None = None
    pool: Pool = field(default_factory=Pool)

    def put(self, base: Map, key: Any, value: Any, mark: int) -> None:
        """Set a key together with its mark, and note a reference in it."""
        base[key] = value
        base.marks[key] = mark
        if has_reference(value):
            self.references.append((base, key))

    def place(self, mark: int | None, *, on_key: bool = False, value: object = None) -> Place | None:
        """The place of a mark: of the key, or of the scalar value."""
        return place_of(self.files, mark, on_key=on_key, value=value)

    def add(self, code: str, message: str, *, place: Place | None = None, hint: str = "", related: Any = ()) -> None:
        """Note a finding."""
        self.findings.append(finding(code, message, place=place, hint=hint, related=related))


def has_reference(value: object) -> bool:
    """True for a string that holds `${`."""
    return isinstance(value, str) and "${" in value


def place_of(files: list[SourceFile], mark: int | None, *, on_key: bool = False, value: object = None) -> Place | None:
    """The place of a mark in these files; containers and empty values are shown by their key."""
    if mark is None:
        return None
    number, key_start, value_start = unpack(mark)
    if number >= len(files):
        return None
    file = files[number]
    empty = value is None and not file.text.startswith(("null", "Null", "NULL", "~"), value_start)
    start = key_start if on_key or empty or isinstance(value, (dict, list)) else value_start
    if start == key_start:
        return file.place(start, key_end(file.text, start))
    return file.place(start, span_end(file.text, start, value))
