"""Erlang terms, as `file:consult/1` reads them from `acl.conf`: read and written.

Strings are lists of code points and binaries are bytes, as in Erlang, so that what means the same to EMQX is equal here.
Source: Erlang/OTP 25 reference manual, "Data Types", and `file:consult/1` itself on random texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Union

_RESERVED = frozenset(
    [
        "after",
        "and",
        "andalso",
        "band",
        "begin",
        "bnot",
        "bor",
        "bsl",
        "bsr",
        "bxor",
        "case",
        "catch",
        "cond",
        "div",
        "else",
        "end",
        "fun",
        "if",
        "let",
        "maybe",
        "not",
        "of",
        "or",
        "orelse",
        "receive",
        "rem",
        "try",
        "when",
        "xor",
    ]
)
"""Words that are no atoms without quotes; `else` and `maybe` from OTP 27."""
_PLAIN_ATOM = re.compile(r"[a-z\u00df-\u00f6\u00f8-\u00ff][\w@\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:_[0-9]+)*")
_FLOAT = re.compile(r"[0-9]+(?:_[0-9]+)*\.[0-9]+(?:_[0-9]+)*(?:[eE][+-]?[0-9]+)?")
_BASED = re.compile(r"([0-9]{1,2})#([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)")
_ESCAPES = {"b": 8, "d": 127, "e": 27, "f": 12, "n": 10, "r": 13, "s": 32, "t": 9, "v": 11}
_MAX_ATOM = 255
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Atom:
    """An atom: `all`, `'and'`."""

    name: str


Term = Union[Atom, int, float, bytes, "list[Term]", "tuple[Term, ...]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A term of a file.

    Attributes:
        term: What it says.
        line: Its first line, from 1.
        start: Where it begins in the text, from 0.
    """

    term: Term
    line: int
    start: int


class TermError(ValueError):
    """A text that `file:consult/1` refuses.

    Attributes:
        line, column: Where it stops, from 1.
        problem: What is wrong.
    """

    def __init__(self, problem: str, *, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.problem, self.line, self.column = problem, line, column


def read(text: str) -> list[Placed]:
    """The terms of a file, in order, each ended by a dot.

    Raises:
        TermError: What Erlang refuses; and maps, functions and sized binaries, which no rule of EMQX holds.
    """
    reader = _Reader(text)
    terms = []
    while not reader.at_end():
        line, start = reader.place()
        term = reader.term(0)
        reader.dot()
        terms.append(Placed(term=term, line=line, start=start))
    return terms


def string(text: str) -> Term:
    """A string: the list of its code points."""
    return [ord(char) for char in text]


def write(term: Term) -> str:
    """A term as text: a list of printable code points as a string, bytes as a binary; read back it is equal."""
    match term:
        case Atom(name):
            return name if _is_plain(name) else "'" + _escaped(name, "'") + "'"
        case bytes():
            return _binary(term)
        case tuple():
            return "{" + ", ".join(write(each) for each in term) + "}"
        case list():
            if term and all(isinstance(each, int) and _is_printable(each) for each in term):
                return '"' + _escaped("".join(chr(each) for each in term if isinstance(each, int)), '"') + '"'
            return "[" + ", ".join(write(each) for each in term) + "]"
        case _:
            return repr(term)


def _is_plain(name: str) -> bool:
    return _PLAIN_ATOM.fullmatch(name) is not None and name not in _RESERVED


def _is_printable(code: int) -> bool:
    return 32 <= code <= 0x10FFFF and not 0x7F <= code < 0xA0 and not 0xD800 <= code <= 0xDFFF


def _binary(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "<<" + ",".join(map(str, value)) + ">>"
    if not all(_is_printable(ord(char)) for char in text):
        return "<<" + ",".join(map(str, value)) + ">>"
    return f'<<"{_escaped(text, chr(34))}"{"" if text.isascii() else "/utf8"}>>' if text else "<<>>"


def _escaped(text: str, quote: str) -> str:
    out = []
    for char in text:
        if char in (quote, "\\"):
            out.append("\\" + char)
        elif _is_printable(ord(char)):
            out.append(char)
        else:
            out.append(f"\\x{{{ord(char):x}}}")
    return "".join(out)


class _Reader:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._line, self._counted = 1, 0

    def place(self) -> tuple[int, int]:
        """The line of the reader, and the place in the text; it never goes back."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line, self._at

    def fail(self, problem: str) -> NoReturn:
        at = self._at
        line = self._text.count("\n", 0, at) + 1
        raise TermError(problem, line=line, column=at - self._text.rfind("\n", 0, at))

    def at_end(self) -> bool:
        self._skip()
        return self._at >= len(self._text)

    def _skip(self) -> None:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            if char == "%":
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif _is_space(char):
                self._at += 1
            else:
                return

    def _peek(self) -> str:
        self._skip()
        return self._text[self._at : self._at + 1]

    def _take(self, sign: str) -> bool:
        self._skip()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _expect(self, sign: str, where: str) -> None:
        if not self._take(sign):
            found = self._peek()
            self.fail(f"'{sign}' expected {where}, not {repr(found) if found else 'the end of the file'}")

    def dot(self) -> None:
        """The dot that ends a term."""
        self._skip()
        text, at = self._text, self._at
        if text[at : at + 1] != ".":
            found = self._peek()
            self.fail(f"a term ends with '.', not with {repr(found) if found else 'the end of the file'}")
        after = text[at + 1 : at + 2]
        if after and after != "%" and not _is_space(after):
            self.fail("white space or a comment follows a '.'")
        self._at += 1

    def term(self, depth: int) -> Term:
        if depth > _MAX_DEPTH:
            self.fail(f"more than {_MAX_DEPTH} levels")
        char = self._peek()
        if char == "{":
            self._at += 1
            return tuple(self._terms("}", "in a tuple", depth))
        if char == "[":
            self._at += 1
            return self._terms("]", "in a list", depth)
        if char == "(":
            self._at += 1
            inner = self.term(depth + 1)
            self._expect(")", "after '('")
            return inner
        if char == '"':
            return [ord(each) for each in self._strings()]
        if self._text.startswith("<<", self._at):
            self._at += 2
            return self._bytes()
        if char and char in "-+":
            return self._signed()
        if char == "'":
            return self._quoted_atom()
        if char.isdecimal() or char == "$":
            return self._number()
        return self._atom()

    def _terms(self, closing: str, where: str, depth: int) -> list[Term]:
        found: list[Term] = []
        if self._take(closing):
            return found
        while True:
            found.append(self.term(depth + 1))
            if self._take(closing):
                return found
            self._expect(",", where)

    def _strings(self) -> str:
        """A string, or several in a row, which are one."""
        parts = []
        while self._peek() == '"':
            self._at += 1
            parts.append(self._until('"'))
        return "".join(parts)

    def _until(self, quote: str) -> str:
        """The text up to a quote, escapes replaced."""
        out: list[str] = []
        start, text = self._at, self._text
        while True:
            char = text[self._at : self._at + 1]
            if not char:
                self._at = start - 1
                self.fail(f"no {quote} ends what begins here")
            self._at += 1
            if char == quote:
                return "".join(out)
            out.append(self._escape() if char == "\\" else char)

    def _escape(self) -> str:
        text, at = self._text, self._at
        char = text[at : at + 1]
        if not char:
            self.fail("the file ends in an escape")
        if found := re.compile(r"[0-7]{1,3}").match(text, at):
            self._at = found.end()
            return chr(int(found[0], 8))
        if char == "x":
            hexadecimal = re.compile(r"x(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))").match(text, at)
            code = int(hexadecimal[1] or hexadecimal[2], 16) if hexadecimal else 0x110000
            if hexadecimal is None or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                self.fail("an escape that is no character")
            self._at = hexadecimal.end()
            return chr(code)
        if char == "^":
            control = text[at + 1 : at + 2]
            if not "@" <= control <= "_" and not "a" <= control <= "z":
                self.fail("an escape that is no control character")
            self._at += 2
            return chr(ord(control) & 31)
        self._at += 1
        return chr(_ESCAPES[char]) if char in _ESCAPES else char

    def _quoted_atom(self) -> Atom:
        self._at += 1
        name = self._until("'")
        if len(name) > _MAX_ATOM:
            self.fail(f"an atom has at most {_MAX_ATOM} characters")
        return Atom(name)

    def _atom(self) -> Atom:
        found = _PLAIN_ATOM.match(self._text, self._at)
        if found is None:
            rest = self._text[self._at : self._at + 20]
            self.fail(f"not a term: {rest!r}" if rest else "a term expected, not the end of the file")
        if found[0] in _RESERVED:
            self.fail(f"'{found[0]}' is a word of Erlang; as an atom it needs quotes")
        if len(found[0]) > _MAX_ATOM:
            self.fail(f"an atom has at most {_MAX_ATOM} characters")
        self._at = found.end()
        return Atom(found[0])

    def _signed(self) -> int | float:
        negative = self._peek() == "-"
        self._at += 1 if self._peek() in ("-", "+") else 0
        value = self._number()
        return -value if negative else value

    def _number(self) -> int | float:
        self._skip()
        text, at = self._text, self._at
        if text.startswith("$", at):
            self._at += 1
            char = text[self._at : self._at + 1]
            if not char:
                self.fail("a character expected after '$'")
            self._at += 1
            return ord(self._escape() if char == "\\" else char)
        if based := _BASED.match(text, at):
            base = int(based[1])
            try:
                value = int(based[2].replace("_", ""), base) if 2 <= base <= 36 else None
            except ValueError:
                value = None
            if value is None:
                self.fail("not a number of that base")
            self._at = based.end()
            return value
        if found := _FLOAT.match(text, at):
            self._at = found.end()
            return float(found[0].replace("_", ""))
        whole = _NUMBER.match(text, at)
        if whole is None:
            self.fail("a number expected")
        self._at = whole.end()
        return int(whole[0].replace("_", ""))

    def _bytes(self) -> bytes:
        out = bytearray()
        if self._take(">>"):
            return bytes(out)
        while True:
            out += self._segment()
            if self._take(">>"):
                return bytes(out)
            self._expect(",", "in a binary")

    def _segment(self) -> bytes:
        codes: Sequence[int | float]
        codes = [ord(char) for char in self._strings()] if self._peek() == '"' else [self._signed()]
        utf8 = False
        if self._take("/"):
            kind = self._atom().name
            if kind not in ("utf8", "integer"):
                self.fail(f"a binary of kind '{kind}' is not read here")
            utf8 = kind == "utf8"
        if self._peek() == ":":
            self.fail("a binary with sizes is not read here")
        if not all(isinstance(code, int) for code in codes):
            self.fail("a binary holds whole numbers and strings")
        if utf8:
            return "".join(chr(int(code)) for code in codes).encode()
        return bytes(int(code) & 0xFF for code in codes)


def _is_space(char: str) -> bool:
    return char <= " " or "\x80" <= char <= "\xa0"
