"""Errors of libyaml as findings: control characters, tabs, and every syntax error of a file.

And what it takes although a person sees something else: separators that are no line breaks, and controls that turn text
around.

libyaml stops at its first error. To find the next one, the broken line and what is indented below it are blanked
and the text is parsed again, a bounded number of times.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from yaml import CollectionEndEvent, CollectionStartEvent, MarkedYAMLError, ScalarEvent, YAMLError
from yaml._yaml import CParser

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.source.encoding import for_libyaml
from nexus_cli.source.nodes import SourceFile

MAX_SYNTAX_ERRORS = 10
MAX_DEPTH = 64
"""Levels; no part of a site needs more than 12, and libyaml's time grows with their square."""
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_SEPARATORS = {"\x85": "next line", "\u2028": "line separator", "\u2029": "paragraph separator"}
_DECEPTIVE = re.compile("[\x85\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Source: Unicode Standard Annex 9, table of explicit directional formatting; Unicode Technical Standard 55, 4.1."""
_UNQUOTED = re.compile(r"(?:[:,\[{]\s*)((?![\"'{\[])[^\s,\"'\[\]{}$]*(?:\$\{[^\s{}]*\}[^\s,\"'\[\]{}$]*)+)")
_BARE_KEY = re.compile(r"\s*[A-Za-z][\w.-]*\s+[^:#]+\s*$")

_CONFLICT = re.compile(r"^<{7} .*$(?=[\s\S]*^={7}$[\s\S]*^>{7} )", re.MULTILINE)
"""Source: git-merge(1), "How conflicts are presented"."""
_RESOLVE = "keep one of the two versions, and remove the lines with <<<<<<<, ======= and >>>>>>>"
_OPENS = {"}": "{", "]": "["}
_COLON = "write 'key: value', with a space after the colon"
_HINTS = (
    ("mapping values are not allowed", "put text with ': ' in it in quotes, and check the indentation"),
    ("could not find expected ':'", "a key needs ': ' and a value; is an indentation or a colon missing?"),
    (
        "did not find expected '-' indicator",
        "a '-' begins an item of a list; devices and tags are maps, 'name: …' without it",
    ),
    ("did not find expected key", "the indentation differs from the line above, or a quote or bracket is not closed"),
    ("did not find expected ',' or", "a list or map in brackets is not closed, or lacks a comma"),
    ("unexpected end of stream", "a quote is not closed"),
    ("cannot start any token", "put text that begins with this character in quotes"),
    ("unknown escape character", "in double quotes a backslash needs a second one; or use single quotes"),
)


def control_findings(file: SourceFile) -> list[Diagnostic]:
    """One finding per character that YAML forbids (NUL and other control characters), at most a few."""
    found = []
    for match in _CONTROL.finditer(file.text):
        message = f"the control character U+{ord(match[0]):04X} is not allowed in YAML"
        hint = 'remove it; in double quotes it may be written as an escape such as "\\0"'
        found.append(finding("NX0003", message, place=file.place(match.start(), match.end()), hint=hint))
        if len(found) == MAX_SYNTAX_ERRORS:
            break
    return found


def deceptive_findings(file: SourceFile) -> list[Diagnostic]:
    """One finding per separator or bidirectional control outside quotes, at most a few.

    Only some programs break the line at such a separator; a bidirectional control changes the order in
    which text is shown. Either way a reviewer sees another file than the one that is read.
    """
    text = file.text
    if text.isascii() or _DECEPTIVE.search(text) is None:
        return []
    quoted = quoted_spans(text)
    found: list[Diagnostic] = []
    for match in _DECEPTIVE.finditer(text):
        at = match.start()
        number = bisect_right(quoted, (at, len(text)))
        if number and quoted[number - 1][0] < at < quoted[number - 1][1]:
            continue
        code, name = f"U+{ord(match[0]):04X}", _SEPARATORS.get(match[0])
        if name:
            message = f"the {name} {code} shows as a new line in some programs and is none in YAML"
            hint = f'remove it, or press Enter there; in double quotes it may be written "\\u{ord(match[0]):04X}"'
        else:
            message = f"the bidirectional control {code} makes the text look other than it is read"
            hint = "remove it, or put the text that needs it in quotes"
        found.append(finding("NX0003", message, place=file.place(at, at + 1), hint=hint))
        if len(found) == MAX_SYNTAX_ERRORS:
            break
    return found


def quoted_spans(text: str) -> list[tuple[int, int]]:
    """Where the quoted scalars of a text begin and end, in order, as far as it can be read."""
    found: list[tuple[int, int]] = []
    get: Callable[[], Any] = CParser(for_libyaml(text)[0]).get_event
    try:
        while (event := get()) is not None:
            if isinstance(event, ScalarEvent) and event.style in ("'", '"'):
                found.append((event.start_mark.index, event.end_mark.index))
    except YAMLError:
        pass
    return found


def without_controls(text: str) -> str:
    """The text with every forbidden character replaced by a space; positions stay."""
    return _CONTROL.sub(" ", text)


def syntax_findings(file: SourceFile) -> list[Diagnostic]:
    """Every syntax error of the text that can be separated, in order. Empty when it parses."""
    conflict = _CONFLICT.search(file.text)
    if conflict is not None and _first_error(file.text) is not None:
        place = file.place(conflict.start(), conflict.end())
        return [finding("NX0010", "a merge conflict is left in the file", place=place, hint=_RESOLVE)]
    controls = control_findings(file)
    text = for_libyaml(without_controls(file.text) if controls else file.text)[0]
    found: list[Diagnostic] = []
    lines = [text[start:end] for start, end in pairwise([*file.starts, len(text)])]
    while len(found) < MAX_SYNTAX_ERRORS:
        error = _first_error("".join(lines))
        if error is None:
            break
        found.append(_tell(file, error))
        if not _blank(lines, file, error):
            break
    unique = {(item.place, item.message): item for item in found}
    return controls + list(unique.values())


def _first_error(text: str) -> YAMLError | None:
    get: Callable[[], Any] = CParser(text).get_event
    depth = 0
    try:
        while (event := get()) is not None and depth <= MAX_DEPTH:
            if isinstance(event, CollectionStartEvent):
                depth += 1
            elif isinstance(event, CollectionEndEvent):
                depth -= 1
    except YAMLError as error:
        return error
    return None


def _position(file: SourceFile, error: YAMLError) -> int:
    if isinstance(error, MarkedYAMLError):
        opened = any(part in (error.context or "") for part in ("quoted scalar", "flow sequence", "flow mapping"))
        # A key without its colon is noticed at the next one, lines below.
        opened = opened or "could not find expected ':'" in (error.problem or "")
        mark = error.problem_mark or error.context_mark
        if mark and opened and error.context_mark and mark.line > error.context_mark.line:
            mark = error.context_mark  # the quote, bracket or key that is not closed, not where its end was missed
        if mark is not None:
            position = max(0, min(int(mark.index), len(file.text)))
            return _line_without_colon(file, position) if _unexpected_value(error) else position
    return len(file.text)


def _unexpected_value(error: YAMLError) -> bool:
    return "mapping values are not allowed" in (getattr(error, "problem", None) or "")


def _line_without_colon(file: SourceFile, position: int) -> int:
    """Where the line above begins, when it may be a key without its colon; else `position`.

    `protocol modbus` is text for libyaml, which only wonders about the key in the next line.
    """
    number = file.line_column(position)[0]
    here, above = file.line(number), file.line(number - 1) if number > 1 else ""
    if _BARE_KEY.match(above) is None or _indent(above) != _indent(here):
        return position
    return file.starts[number - 2] + _indent(above)


def _tell(file: SourceFile, error: YAMLError) -> Diagnostic:
    start = _position(file, error)
    text = file.text
    if start >= len(text):  # the end of the file: point at its last character that shows
        start = max(0, len(text.rstrip()) - 1)
    problem = (getattr(error, "problem", None) or str(error)).strip()
    character = text[start : start + 1]
    if ("cannot start any token" in problem and character == "\t") or "tab character" in problem:
        tab = text.find("\t", text.rfind("\n", 0, start) + 1)
        start = tab if tab >= 0 else start
        hint = "indent with spaces"
        return finding("NX0011", "a tab can't indent YAML", place=file.place(start, start + 1), hint=hint)
    if (reference := _reference_at(file, start)) is not None:
        message = f"not valid YAML: '{reference[2]}' without quotes, inside brackets"
        return finding("NX0010", message, place=file.place(*reference[:2]), hint=f'put it in quotes: "{reference[2]}"')
    context = (getattr(error, "context", None) or "").strip()
    message = f"{problem} {context}".strip()
    hint = next((text for part, text in _HINTS if part in problem), "")
    if "did not find expected" in problem and character in ("}", "]"):
        message = f"not valid YAML: this '{character}' closes nothing"
        hint = f"remove it, or write the '{_OPENS[character]}' that it was to close"
        return finding("NX0010", message, place=file.place(start, start + 1), hint=hint)
    if _unexpected_value(error) and file.text[start] != ":":
        return finding("NX0010", "not valid YAML: this key has no ':'", place=file.place(start, start + 1), hint=_COLON)
    return finding("NX0010", f"not valid YAML: {message}", place=file.place(start, start + 1), hint=hint)


def _reference_at(file: SourceFile, position: int) -> tuple[int, int, str] | None:
    """Begin, end and text of the plain text with a `${…}` in which a position lies: there `{` begins a map in brackets."""
    begin = file.starts[file.line_column(position)[0] - 1]
    for match in _UNQUOTED.finditer(file.text, begin, position + 80):
        if match.start(1) < position <= match.end(1):
            return match.start(1), match.end(1), match[1]
    return None


def _blank(lines: list[str], file: SourceFile, error: YAMLError) -> bool:
    """Blank the broken line and what is indented below it. False when nothing was left to blank."""
    number = file.line_column(_position(file, error))[0] - 1
    number = min(number, len(lines) - 1)
    while number >= 0 and not lines[number].strip():
        number -= 1
    if number < 0:
        return False
    indent = _indent(lines[number])
    last = number + 1
    while last < len(lines) and (not lines[last].strip() or _indent(lines[last]) > indent):
        last += 1
    for index in range(number, last):
        lines[index] = " " * len(lines[index].rstrip("\r\n")) + lines[index][len(lines[index].rstrip("\r\n")) :]
    return True


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
