"""Regular expressions as EMQX's rules use them: PCRE on bytes, searched for anywhere in the text.

Python's `re` on bytes reads most of PCRE alike. What it writes in another way is translated; what it can't say (recursion,
branch reset, `\\K`, callouts …) is refused here, though EMQX takes it.
"""

from __future__ import annotations

import re
import warnings

_POSIX = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": " \\t\\n\\r\\f\\v",
    "blank": " \\t",
    "xdigit": "0-9A-Fa-f",
    "word": "\\w",
    "punct": "!-/:-@\\[-`{-~",
    "cntrl": "\\x00-\\x1f\\x7f",
    "print": " -~",
    "graph": "!-~",
}
_OTHERWISE = {
    "z": r"\Z",
    "Z": r"(?=\n?\Z)",
    "h": r"[ \t\xa0]",
    "R": r"(?:\r\n|[\n\v\f\r\x85])",
    "N": r"[^\n]",
    "e": r"\x1b",
}
_UNSAID = re.compile(rb"\\[KGXCpPkg]|\(\?(?:R|\||\d|&|C|\+|P>|\()|\(\*")
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")


class PatternError(ValueError):
    """A regular expression that PCRE refuses, or that is not read here (`unread`)."""

    def __init__(self, problem: str, *, unread: bool = False) -> None:
        super().__init__(problem)
        self.unread = unread


def compile_pattern(source: bytes) -> re.Pattern[bytes]:
    """A pattern to `search` with.

    Raises:
        PatternError: It is none, or one that can't be read here.
    """
    if _UNSAID.search(source):
        raise PatternError("uses what only PCRE has", unread=True)
    translated = _translate(source.decode("latin-1")).encode("latin-1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(translated)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(str(error)) from None


def _translate(source: str) -> str:
    out: list[str] = []
    at, in_class = 0, False
    while at < len(source):
        char = source[at]
        if char == "\\" and at + 1 < len(source):
            taken, text = _escape(source, at, in_class=in_class)
            out.append(text)
            at += taken
            continue
        if in_class:
            if char == "[" and (found := _POSIX_CLASS.match(source, at)):
                if found[1] or found[2] not in _POSIX:
                    raise PatternError(f"the class {found[0]}", unread=bool(found[1]))
                out.append(_POSIX[found[2]])
                at = found.end()
                continue
            in_class = char != "]"
            out.append("\\[" if char == "[" else char)
            at += 1
            continue
        if char == "[":
            in_class = True
            opening = re.compile(r"\[\^?\]?").match(source, at)
            assert opening is not None
            out.append(opening[0].replace("]", "\\]"))
            at = opening.end()
            continue
        if char == "{" and not re.compile(r"\{\d+(?:,\d*)?\}").match(source, at):
            char = "\\{"
        if re.compile(r"\(\?<[A-Za-z_]").match(source, at):
            out.append("(?P")
            at += 2
            continue
        out.append(char)
        at += 1
    return "".join(out)


def _escape(source: str, at: int, *, in_class: bool) -> tuple[int, str]:
    """How many signs an escape takes, and what it is in Python."""
    char = source[at + 1]
    if char == "Q":
        end = source.find("\\E", at)
        quoted = source[at + 2 : len(source) if end < 0 else end]
        return len(quoted) + 2 + (2 if end >= 0 else 0), re.escape(quoted)
    if char == "E":
        return 2, ""
    if found := re.compile(r"\\x\{([0-9a-fA-F]{1,2})\}").match(source, at):
        return len(found[0]), f"\\x{int(found[1], 16):02x}"
    if char in _OTHERWISE and not in_class:
        return 2, _OTHERWISE[char]
    if char.isalpha() and char not in "AbBdDsSwWaftnrvxz":
        # PCRE takes an unknown escape as the letter; Python refuses it.
        return 2, char
    return 2, "\\" + char
