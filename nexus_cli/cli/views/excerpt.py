"""One line of a file for a message: without secrets, and as wide as a terminal. Columns stay where they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nexus_cli.diagnostics import Place
from nexus_cli.model.secrets import NAMES, is_reference, without_passwords

if TYPE_CHECKING:
    from nexus_cli.source.nodes import SourceFile

WHOLE = 400
"""Characters of a line that is quoted whole; of a longer one as many around the finding."""
LONGEST_BLOCK = 200
"""Lines that a multi-line secret may have; a PEM key of 4,096 bits has 51."""
_KEY = re.compile(rf"""(?<![\w-])[\w-]*{NAMES}['"]?\s*:[ \t]*""", re.IGNORECASE)
_QUOTED = re.compile(r"""'(?:[^']|'')*'?|"(?:[^"\\]|\\.)*"?""")
_INDENT = re.compile(r"[^\S\r\n]*")
_PLAIN = re.compile(r"(?:[^,{}\[\]#$]|\$\{[^{}]*\}|\$|(?<!\s)#)*")
"""Up to the end of a plain scalar in a flow map, or the start of a comment (YAML 1.2 §7.3.3)."""
_REST = re.compile(r"(?:[^#]|(?<!\s)#)*")
"""Up to a comment: a plain scalar in a block map, where commas and brackets are part of it, or a list."""
_EXPLICIT_KEY = re.compile(rf"""\s*\?\s+['"]?[\w-]*{NAMES}['"]?\s*\Z""", re.IGNORECASE)
_BLOCK = re.compile(r"[|>][+\-0-9]*\s*(?:#.*)?\Z")
_FILE_KEY = re.compile(r"private[-_]?key\b", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(?:var|param):[^{}]+\}")


class Excerpts:
    """Excerpts of one file; what was made of a line is kept for the findings that follow in it.

    A generated file may be one line of many megabytes with a finding in every tag: it is masked once, and of the result
    only the part around a finding is taken.
    """

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._number = 0
        self._line = ""
        self._hidden: dict[int, list[tuple[int, int | None]]] = {}

    def hide(self, place: Place) -> None:
        """Mask a value that a finding reports as a secret, whatever its key is: a variable or a parameter can have any name."""
        last = max(place.line, place.end_line)
        for number in range(place.line, min(last, place.line + LONGEST_BLOCK) + 1):
            start = place.column - 1 if number == place.line else 0
            end = place.end_column - 1 if number == place.end_line else None
            self._hidden.setdefault(number, []).append((start, end))

    def around(self, number: int, start: int, end: int) -> tuple[str, int, int]:
        """A line of the file without secrets, cut when it is long, and a range of it (columns from 0) in what is left."""
        if number != self._number:
            self._number, self._line = number, self._masked(number)
        line = self._line
        if len(line) <= WHOLE:
            return line, start, end
        first = max(0, min(start - WHOLE // 4, len(line) - WHOLE))
        last = first + WHOLE
        shown = f"{'…' if first else ''}{line[first + bool(first) : last - (last < len(line))]}{'…' if last < len(line) else ''}"
        return shown, start - first, min(end - first, len(shown))

    def _masked(self, number: int) -> str:
        line, shown, position = masked_line(self._file, number), list[str](), 0
        for first, last in sorted(set(self._hidden.get(number, ())), key=lambda each: each[0]):
            if first >= position:
                shown += (line[position:first], _masked_value(line[first:last]))
                position = len(line) if last is None else last
        return "".join((*shown, line[position:]))


def masked_line(file: SourceFile, number: int) -> str:
    """A line of a file (from 1) with every secret that is written in it starred out, each character by one star.

    Excerpts end up in logs of CI jobs, so the doubtful is starred too: all of a value that is not one whole reference.
    """
    line = file.line(number)
    if _inside_secret_block(file, number):
        indent = len(line) - len(line.lstrip())
        return line[:indent] + "*" * (len(line) - indent)
    return without_passwords(_values_masked(line))


def _values_masked(line: str) -> str:
    shown: list[str] = []
    position = depth = counted = 0
    for key in _KEY.finditer(line):
        if key.end() < position or _FILE_KEY.search(key[0]):
            continue
        start = key.end()
        depth += _opened(line, counted, key.start())
        counted = start
        pattern = _plain(line, start, within=depth > 0)
        value = _QUOTED.match(line, start) or pattern.match(line, start)
        text = value[0].rstrip() if value else ""
        shown += (line[position:start], _masked_value(text))
        position = start + len(text)
        if text and text[0] in "'\"":
            counted = position
    return "".join((*shown, line[position:]))


def _opened(line: str, start: int, end: int) -> int:
    """Brackets opened and not closed between two places of a line, quoted text apart."""
    if end <= start:
        return 0
    part = _QUOTED.sub("", line[start:end])
    return part.count("{") + part.count("[") - part.count("}") - part.count("]")


def _plain(line: str, start: int, *, within: bool) -> re.Pattern[str]:
    """Characters of an unquoted value: fewer inside the braces of a flow map."""
    if line.startswith("[", start) or not (within or line.startswith("{", start)):
        return _REST
    return _PLAIN


def _masked_value(text: str) -> str:
    inner = text.strip("'\"")
    if not inner or is_reference(inner) or _VARIABLE.fullmatch(inner) or _BLOCK.match(text):
        return text
    if text[0] not in "'\"":
        return "*" * len(text)
    closed = len(text) > 1 and text[-1] == text[0]
    return text[0] + "*" * (len(text) - 1 - closed) + (text[-1] if closed else "")


def _inside_secret_block(file: SourceFile, number: int) -> bool:
    """True when the line continues a value that began on a line above, under the key of a secret.

    Nothing is copied but the one line that may hold the key: a line may be as long as the file.
    """
    indent, first = _indent(file, number)
    if first == ":":
        return number > 1 and _EXPLICIT_KEY.match(file.line(number - 1)) is not None
    for above in range(number - 1, max(0, number - 1 - LONGEST_BLOCK), -1):
        here, begins = _indent(file, above)
        if begins and here < indent:
            text = file.line(above)
            key = _KEY.search(text)
            return key is not None and (not text[key.end() :].strip() or _goes_on(text[key.end() :].strip()))
    return False


def _indent(file: SourceFile, number: int) -> tuple[int, str]:
    """How far a line is indented, and its first character; "" for an empty line."""
    start = file.starts[number - 1]
    match = _INDENT.match(file.text, start)
    end = match.end() if match else start
    return end - start, file.text[end : end + 1].strip()


def _goes_on(value: str) -> bool:
    """True for the head of a block scalar, and for a quoted or plain value that need not end on its line."""
    if _BLOCK.match(value):
        return True
    quoted = _QUOTED.match(value)
    if quoted is not None:
        return len(quoted[0]) < 2 or quoted[0][-1] != quoted[0][0]
    return not value.startswith(("#", "{"))
