"""The finished tree, and the way from a place in the model to the place in the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nexus_cli.diagnostics import Diagnostic, ModelPath, Place, Severity
from nexus_cli.diagnostics.diagnostic import Related
from nexus_cli.source.draft import place_of
from nexus_cli.source.nodes import Map, Seq, SourceFile
from nexus_cli.source.origins import Origins
from nexus_cli.source.remembered import Remembered
from nexus_cli.source.sections import Section
from nexus_cli.source.suppress import suppressions

_ABOUT_ARGUMENTS = frozenset({"NX0053"})
"""Codes about the command line: they have no place in a file."""
_USED = "used here"


@dataclass(slots=True)
class SourceTree:
    """A site as dicts, lists and scalars, every device complete.

    Attributes:
        root: Read it, never change it: equal parts of several devices are one object.
        files: Every file that was read; the first is the site file.
        template_of: Template name by device path `area/line/device`.
        broken: Devices that could not be completed; findings below them are dropped by `report`.
        given_of: What a device gives its template (`with:`) by device path.
        overridden: Variables that the command line gave.
        kept: Model path and section of devices that stayed closed, by path; `complete` reads one.
        completed: Reads a closed section in place.
        sound: What to remember of devices in whose text nothing was found, by path.
    """

    root: dict[Any, Any]
    files: list[SourceFile]
    template_of: Mapping[str, str] = field(default_factory=dict)
    broken: frozenset[ModelPath] = frozenset()
    given_of: Mapping[str, Map] = field(default_factory=dict)
    overridden: frozenset[str] = frozenset()
    kept: dict[str, tuple[ModelPath, Section]] = field(default_factory=dict)
    completed: Callable[[ModelPath, Section], None] | None = None
    sound: Mapping[str, Remembered] = field(default_factory=dict)

    def complete(self, path: str) -> None:
        """Read the device `area/line/device`, where it stayed closed."""
        closed = self.kept.pop(path, None)
        if closed is not None and self.completed is not None:
            self.completed(*closed)

    def device(self, where: ModelPath) -> Any:
        """The complete device at a model path."""
        return self._walk(where)[1]

    def _walk(self, where: ModelPath) -> tuple[int | None, Any, bool]:
        if self.kept and (path := device_of(where)):
            self.complete(path)
        return _walk(self.root, where)

    def place(self, where: ModelPath, on_key: bool = False) -> Place | None:
        """The place of a value, or of its key; what is missing is shown at the nearest level that is there."""
        mark, value, complete = self._walk(where)
        if mark is None:
            return _top(self.files[0]) if self.files else None
        return place_of(self.files, mark, on_key=on_key or not complete, value=value)

    def text(self, name: str) -> SourceFile | None:
        """The file of a place, by its name."""
        return next((file for file in self.files if file.name == name), None)

    def report(self, findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Place findings, join equal ones, apply `nexus:ignore` comments, and sort by place.

        A finding in a template's text is reported once, with a note of a device that uses it.
        """
        joined: dict[tuple[Any, ...], tuple[Diagnostic, str, int]] = {}
        origins = self._origins()
        for item in findings:
            device = device_of(item.where)
            if device and item.where[:6] in self.broken and item.code[2] != "0":
                continue
            known = item.place is not None or item.code in _ABOUT_ARGUMENTS
            placed, own = (item, False) if known else self._located(item, origins)
            if any(note.place is None and note.where for note in placed.related):
                placed = replace(placed, related=tuple(self._related(note) for note in placed.related))
            key = (placed.code, placed.place, placed.message.replace(device, "") if device else placed.message)
            first, user, count = joined.get(key, (placed, device if not own and self._from_template(placed) else "", 0))
            joined[key] = (first, user, count + 1)
        listed = _causes([self._noted(*entry) for entry in joined.values()])
        rules = suppressions(self.files)
        listed = [item for item in listed if rules.allows(item)]
        return in_order([*listed, *rules.leftovers()])

    def report_later(self, findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Place the findings of a later stage (the plan) and drop what a `nexus:ignore` comment suppresses.

        Errors stay: what can't be carried out is not carried out because of a comment.
        """
        rules = suppressions(self.files)
        origins = self._origins()
        placed = [self._located(item, origins)[0] for item in findings]
        return in_order(item for item in placed if item.severity is Severity.ERROR or rules.allows(item))

    def _origins(self) -> Origins:
        return Origins(
            files=self.files,
            root=self.root,
            template_of=self.template_of,
            given_of=self.given_of,
            overridden=self.overridden,
        )

    def _located(self, item: Diagnostic, origins: Origins) -> tuple[Diagnostic, bool]:
        """The finding at its place, and whether that is what the device itself gives its template.

        The value of a reference is shown where it is written, with a note of where it is used.
        """
        place = self.place(item.where, item.on_key)
        mark, value, complete = self._walk(item.where)
        if mark is None or place is None or item.on_key or not complete or isinstance(value, (Map, Seq)):
            return item.at(place), False
        device = device_of(item.where)
        origin = origins.of(mark, device)
        if origin is not None:
            note = Related(message=_USED, place=place)
            return replace(item.at(origin.place), related=(*item.related, note)), origin.own
        notes = [Related(message=f"'{name}' is given here", place=at) for name, at in origins.inside(mark, device)]
        return replace(item.at(place), related=(*item.related, *notes)), False

    def _related(self, note: Related) -> Related:
        if note.place is not None or not note.where:
            return note
        return replace(note, place=self.place(note.where))

    def _from_template(self, item: Diagnostic) -> bool:
        name = self.template_of.get(device_of(item.where))
        if name is None or len(item.where) < 7:
            return False
        template = self.root.get("templates", {}).get(name)
        mark, _, _ = self._walk(item.where)
        in_template, _, _ = _walk(template, item.where[6:])
        return mark is not None and mark == in_template

    def _noted(self, item: Diagnostic, user: str, count: int) -> Diagnostic:
        if not user:
            return item
        others = f" and {count - 1} more" if count > 1 else ""
        note = Related(message=f"used by '{user}'{others}", place=self.place(item.where[:6], True))
        return replace(item, related=(*item.related, note))


def _causes(findings: list[Diagnostic]) -> list[Diagnostic]:
    """Without what only follows from an error of the text at the same place, such as an unresolved reference."""
    roots = {
        begin
        for item in findings
        if item.code[2] == "0" and item.severity is Severity.ERROR
        for begin in _begins(item.place)
    }
    if not roots:
        return findings
    return [item for item in findings if item.code[2] == "0" or roots.isdisjoint(_places_of(item))]


def _places_of(item: Diagnostic) -> Iterator[tuple[str, int, int]]:
    """Where a finding is, and where what it is about is used."""
    yield from _begins(item.place)
    for note in item.related:
        if note.message == _USED:
            yield from _begins(note.place)


def _begins(place: Place | None) -> Iterator[tuple[str, int, int]]:
    if place is not None:
        yield place.file, place.line, place.column


def in_order(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Findings by file, line, column and code; those without a place first; exact doubles once."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=_order))


def _order(item: Diagnostic) -> tuple[Any, ...]:
    place = item.place
    if place is None:
        return ("", 0, 0, item.code, item.message)
    return (place.file, place.line, place.column, item.code, item.message)


def device_of(where: ModelPath) -> str:
    """`area/line/device` of a model path below a device, or nothing."""
    if len(where) < 6 or where[0] != "areas" or where[2] != "lines" or where[4] != "devices":
        return ""
    return f"{where[1]}/{where[3]}/{where[5]}"


def _walk(node: Any, where: ModelPath) -> tuple[int | None, Any, bool]:
    """The mark and value that a path leads to, as far as it goes, and whether it went all the way."""
    mark: int | None = None
    for part in where:
        if isinstance(node, Map):
            key = _key(node, part)
            if key is _ABSENT:
                return mark, node, False
            mark, node = node.marks.get(key, mark), node[key]
        elif isinstance(node, Seq) and isinstance(part, int) and 0 <= part < len(node):
            mark, node = node.marks[part], node[part]
        else:
            return mark, node, False
    return mark, node, True


_ABSENT = object()


def _key(node: Map, part: str | int) -> Any:
    if part in node:
        return part
    if isinstance(part, str) and part.removeprefix("-").isdecimal() and len(part) < 20 and int(part) in node:
        return int(part)
    return str(part) if str(part) in node else _ABSENT


def _top(file: SourceFile) -> Place:
    """The first line with content that is not a comment."""
    for number, start in enumerate(file.starts, 1):
        text = file.line(number)
        if text.strip() and not text.lstrip().startswith(("#", "---", "%")):
            indent = len(text) - len(text.lstrip())
            return file.place(start + indent, start + len(text.rstrip()))
    return file.place(0)
