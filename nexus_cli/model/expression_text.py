"""The text of an expression: names in braces and their positions, before Python's parser sees it."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

from nexus_cli.wire.topic import SLUG

MAX_CHARACTERS = 1_000
_TOKEN = re.compile(
    r"(?P<quote>'[^'\\]*'|\"[^\"\\]*\")|\{(?P<braced>[^{}]*)\}|\d[\w.]*|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)", re.ASCII
)
_BRACED = re.compile(rf"{SLUG}(?:/{SLUG}){{0,3}}\Z")
WORDS = frozenset({"and", "or", "not", "if", "else", "true", "false", "True", "False", "in", "is", "lambda", "None"})
FUNCTIONS = frozenset({"abs", "min", "max", "round", "sqrt", "floor", "ceil", "clamp", "log", "exp"})


class ExpressionSyntaxError(ValueError):
    """The text is not an expression.

    Attributes:
        column: Column inside the expression, from 1.
        hint: What to write instead.
    """

    def __init__(self, message: str, *, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint


class Prepared(NamedTuple):
    """A text for the parser.

    Attributes:
        text: With an identifier of the same length in place of each `{name}`, and a blank beside it where a word
            would grow together with it (`{a}if{b}`).
        names: The texts in the braces, by identifier.
        blanks: Where in `text` those blanks are, rising.
    """

    text: str
    names: dict[str, str]
    blanks: tuple[int, ...]

    def column(self, at: int) -> int:
        """The column (from 1) in what was written of a place (from 0) in `text`."""
        return at - bisect_left(self.blanks, at) + 1


def prepare(text: str) -> Prepared:
    """Put identifiers in place of the names in braces, so that Python's parser can read the rest.

    Raises:
        ExpressionSyntaxError: Too long, a backslash, or something in braces that is not a name.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionSyntaxError(
            f"an expression has at most {MAX_CHARACTERS} characters, this one has {len(text)}", column=1
        )
    if "\n" in text or "\r" in text:
        text = text.replace("\r", " ").replace("\n", " ")
    for forbidden in "\\\0`;@#":
        if forbidden in _outside_quotes(text):
            column = text.index(forbidden) + 1
            raise ExpressionSyntaxError(f"'{forbidden}' has no meaning in an expression", column=column)
    foreign = next((one for one in _outside_quotes(text) if not one.isascii()), "")
    if foreign:  # Python would take it for a letter of a name, or for another letter of the same shape
        raise ExpressionSyntaxError(f"'{foreign}' has no meaning in an expression", column=text.index(foreign) + 1)
    names: dict[str, str] = {}
    identifiers: dict[str, str] = {}
    blanks: list[int] = []

    def replace(match: re.Match[str]) -> str:
        name = match["braced"]
        if name is None:
            return match[0]
        before = " " if _wordy(text[match.start() - 1 : match.start()]) else ""
        after = " " if _wordy(text[match.end() : match.end() + 1]) else ""
        if not _BRACED.match(name):
            hint = "write {tag}, {area/line/device/tag}"
            raise ExpressionSyntaxError(f"'{{{name}}}' is not a tag", column=match.start() + 1, hint=hint)
        if name not in identifiers:
            identifiers[name] = _identifier(len(identifiers), len(match[0]))
            names[identifiers[name]] = name
        start = match.start() + len(blanks)
        blanks.extend([start] if before else [])
        blanks.extend([start + len(before) + len(match[0])] if after else [])
        return before + identifiers[name] + after

    return Prepared(_TOKEN.sub(replace, text), names, tuple(blanks))


def _wordy(character: str) -> bool:
    """Whether an identifier beside it would run on into it; a brace becomes an identifier itself."""
    return character.isalnum() or (character != "" and character in "_{")


def names_in(text: str) -> tuple[str, ...]:
    """The tag names that an expression uses, in the order of their first use; () when it can't be read."""
    try:
        prepare(text)
    except ExpressionSyntaxError:
        return ()
    found: dict[str, None] = {}
    for match in _TOKEN.finditer(text):
        if match["braced"]:
            found[match["braced"]] = None
        elif (bare := match["bare"]) and bare not in WORDS and bare not in FUNCTIONS:
            found[bare] = None
    return tuple(found)


def _outside_quotes(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", lambda match: "\\" if "\\" in match[0] else "", text)


def _identifier(number: int, length: int) -> str:
    """An identifier of exactly this length that no slug can equal (slugs don't begin with an underscore)."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            break
    return "_" + digits.rjust(length - 1, "_")
