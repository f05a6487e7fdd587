"""The words of TIA Portal and STEP 7 sources. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\f\v\u00a0]+)
    |(?P<newline>\n)
    |(?P<line_comment>//[^\n]*)
    |(?P<comment>\(\*.*?(?:\*\)|\Z)|/\*.*?(?:\*/|\Z))
    |(?P<pragma>\{[^{}]*\})
    |(?P<quoted>"[^"\n]*")
    |(?P<text>'(?:\$.|[^'$\n])*')
    |(?P<word>[^\W\d]\w*|\d[\w#.+]*?(?=\.\.|[^\w#.+]|\Z))
    |(?P<sign>\.\.|:=|.)""",
    re.X | re.S,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token; quoted names come without their quotes as kind `quoted`."""

    kind: str
    text: str
    line: int

    @property
    def word(self) -> str:
        """Lower-case text of a bare word or sign, "" for quoted ones."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


def tokens(text: str) -> tuple[list[Token], dict[int, str]]:
    """The tokens without comments, and the line comments by line."""
    found: list[Token] = []
    comments: dict[int, str] = {}
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        value = match.group()
        if kind == "line_comment":
            comments[line] = value.lstrip("/ ").strip()
        elif kind in ("pragma", "text", "word", "sign"):
            found.append(Token(kind, value, line))
        elif kind == "quoted":
            found.append(Token(kind, value[1:-1], line))
        line += value.count("\n")
    return found, comments
