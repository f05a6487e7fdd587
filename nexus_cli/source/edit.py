"""`nexus fmt`: a file in the house style, with the same values and comments; else unchanged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from yaml import YAMLError

from nexus_cli.diagnostics import Diagnostic, Outcome
from nexus_cli.source.encoding import MARK, decode, for_libyaml
from nexus_cli.source.layout import Layout
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.reader import Reader
from nexus_cli.source.second_reader import agrees

_BREAK = re.compile(r"\r\n|\r")
_ROUNDS = 3
"""A text that still changes when it is laid out for the third time is left alone."""
_WORD = r"""(?>"(?>[^"\\\n]|\\.)*"|'[^'\n]*'|[\w./+-](?>\ ?[\w./+%°-]|:(?=\w))*)"""
_LIST = rf"\[(?>{_WORD}(?>,\ {_WORD})*)?\]"
_INNER = rf"\{{(?>{_WORD}:\ {_WORD}(?>,\ {_WORD}:\ {_WORD})*)?\}}"
_PAIR = rf"{_WORD}:\ (?>{_WORD}|{_LIST}|{_INNER})"
_TIDY = re.compile(rf"(?<=:\ )\{{{_PAIR}(?>,\ {_PAIR})*\}}(?=\ *$|\ +\#)", re.MULTILINE | re.VERBOSE)
"""A map in braces on one line that is in the house style already; nearly all of a large site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Styled:
    """A file's text in the house style.

    Attributes:
        text: With the byte order mark and the line breaks that it had.
        kept: True when the file stays as it is because the style would cost it a value or a comment.
    """

    text: str
    kept: bool = False


def formatted(data: bytes, *, name: str) -> Outcome[str]:
    """The text of a file in the house style; see `styled`."""
    outcome = styled(data, name=name)
    return Outcome(None if outcome.value is None else outcome.value.text, outcome.findings)


def styled(data: bytes, *, name: str) -> Outcome[Styled]:
    """The text of a file in the house style. Only white space between tokens changes.

    Values, their order and their spelling, comments, a byte order mark and the kind of line breaks stay (where both
    kinds occur, the more frequent one is taken).

    Args:
        data: The file's bytes.
        name: As shown in findings.

    Returns:
        No value when the file can't be parsed, with the findings. What would lose a value or a comment, or would not
        come out the same a second time, is given back as it is.
    """
    text, problems = decode(data, name)
    if text is None:
        return Outcome(None, tuple(problems))
    before, findings = _values(text, name)
    if problems or any(item.severity == "error" for item in findings):
        return Outcome(None, (*problems, *findings))
    mark = MARK if data.startswith(MARK.encode()) else ""
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    body = _BREAK.sub("\n", text)
    tidy = _settled(body)
    if tidy is not None and tidy != body and not (_values(tidy, name)[0] == before and agrees(body, tidy)):
        tidy = None
    if tidy is None:
        return Outcome(Styled(text=mark + text, kept=True))
    return Outcome(Styled(text=mark + (tidy.replace("\n", newline) if newline != "\n" else tidy)))


def _settled(body: str) -> str | None:
    """The text laid out until it stays the same; None when a comment or another character would be lost."""
    tidy, comments = _laid_out(body)
    if tidy == body:
        return body
    if "".join(tidy.split()) != "".join(body.split()):
        return None
    for _ in range(_ROUNDS):
        again, left = _laid_out(tidy)
        if left != comments:
            return None
        if again == tidy:
            return tidy
        tidy = again
    return None


def _laid_out(body: str) -> tuple[str, list[str]]:
    """One round: the text in the house style, and the comments of the text that was given."""
    if not body.strip():
        return body, []
    readable, back = for_libyaml(body)
    opened, closed = _free_signs(readable)
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(match[0])
        return f"{opened}{len(held) - 1}{closed}"

    # What is tidy already is one word meanwhile: that is ten times faster, and wherever the word is copied to,
    # into a comment or a text even, the same characters come back.
    layout = Layout(_TIDY.sub(hold, readable))
    try:
        text = layout.text()
    except (YAMLError, IndexError):
        return body, []  # what can't be laid out stays
    pattern = re.compile(f"{opened}([0-9]+){closed}")

    def restored(piece: str) -> str:
        whole = pattern.sub(lambda match: held[int(match[1])], piece) if opened in piece else piece
        return back(whole)

    return restored(text), [restored(comment) for comment in layout.comments]


def _free_signs(text: str) -> tuple[str, str]:
    """Two characters of the private use area that the text does not hold."""
    free = (chr(code) for code in range(0xE000, 0xF8FF))
    opened, closed = (sign for _, sign in zip(range(2), (sign for sign in free if sign not in text), strict=False))
    return opened, closed


def _values(text: str, name: str) -> tuple[str, list[Diagnostic]]:
    reader = Reader(SourceFile(number=0, name=name, path=Path(name), text=text))
    root = reader.read()
    return repr(root), reader.findings
