"""One line of a file for a message: without secrets, and as wide as a terminal. Columns stay where they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nexus_cli.model.secrets import NAMES, is_reference, without_passwords

if TYPE_CHECKING:
    from nexus_cli.source.nodes import SourceFile

LONGEST_BLOCK = 200
"""Lines that a multi-line secret may have; a PEM key of 4,096 bits has 51."""
_KEY = re.compile(rf"""(?<![\w-])[\w-]*{NAMES}['"]?\s*:[ \t]*""", re.IGNORECASE)
_QUOTED = re.compile(r"""'(?:[^']|'')*'?|"(?:[^"\\]|\\.)*"?""")
_PLAIN = re.compile(r"(?:[^,{}\[\]#$]|\$\{[^{}]*\}|\$|(?<!\s)#)*")
"""Up to what ends a plain scalar in a flow map or begins a comment (YAML 1.2 §7.3.3)."""
_REST = re.compile(r"(?:[^#]|(?<!\s)#)*")
"""Up to a comment: a plain scalar in a block map, where commas and brackets are part of it, or a list."""
_EXPLICIT_KEY = re.compile(rf"""\s*\?\s+['"]?[\w-]*{NAMES}['"]?\s*\Z""", re.IGNORECASE)
_BLOCK = re.compile(r"[|>][+\-0-9]*\s*(?:#.*)?\Z")
_FILE_KEY = re.compile(r"private[-_]?key\b", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(?:var|param):[^{}]+\}")


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
    shown, position = "", 0
    for key in _KEY.finditer(line):
        if key.end() < position or _FILE_KEY.search(key[0]):
            continue
        value = _QUOTED.match(line, key.end()) or _plain(line, key).match(line, key.end())
        text = value[0].rstrip() if value else ""
        start = key.end()
        shown += line[position:start] + _masked_value(text)
        position = start + len(text)
    return shown + line[position:]


def _plain(line: str, key: re.Match[str]) -> re.Pattern[str]:
    """What a value that is not quoted may hold: less inside the braces of a flow map."""
    before = _QUOTED.sub("", line[: key.start()])
    within = before.count("{") + before.count("[") > before.count("}") + before.count("]")
    after = line[key.end() :]
    if after.startswith("[") or not (within or after.startswith("{")):
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
    """True when the line goes on with a value that began on a line above, under the key of a secret."""
    line = file.line(number)
    indent = len(line) - len(line.lstrip())
    if line.lstrip().startswith(":"):
        return number > 1 and _EXPLICIT_KEY.match(file.line(number - 1)) is not None
    for above in range(number - 1, max(0, number - 1 - LONGEST_BLOCK), -1):
        text = file.line(above)
        if not text.strip():
            continue
        if len(text) - len(text.lstrip()) < indent:
            key = _KEY.search(text)
            return key is not None and (not text[key.end() :].strip() or _goes_on(text[key.end() :].strip()))
    return False


def _goes_on(value: str) -> bool:
    """True for the head of a block scalar, and for a quoted or plain value that need not end on its line."""
    if _BLOCK.match(value):
        return True
    quoted = _QUOTED.match(value)
    if quoted is not None:
        return len(quoted[0]) < 2 or quoted[0][-1] != quoted[0][0]
    return not value.startswith(("#", "{"))
