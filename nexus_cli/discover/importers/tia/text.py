"""Reads TIA Portal and STEP 7 sources (`.db`, `.scl`, `.udt`, `.awl`): types, data blocks, the interfaces of function
blocks, and their variables.

Only declarations are read; the part from BEGIN to the end of a block (initial values, program) is skipped.
Classic sources name types and blocks by number, `UDT 1`, `FB 41`: that is one name here, `UDT1`.
Source: Siemens, "STEP 7 Professional: external source files"; IEC 61131-3 §6.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nexus_cli.discover.importers.reading import MalformedError
from nexus_cli.discover.importers.tia.tokens import Token, tokens

MAX_NESTING = 40
_PRAGMA_PAIR = re.compile(r"(\w+)\s*:=\s*'([^']*)'")
_NUMBERED = re.compile(r"\bDB\s?(?P<number>\d{1,5})\s+\"(?P<name>[^\"\n]+)\"", re.I)
_HEADER_KEYS = {"title", "version", "author", "family", "name", "known_how_protect", "know_how_protect"}
_SECTIONS = {"var_input": "in", "var_output": "out", "var_in_out": "in_out", "var": "static"}
_PROGRAM = {"function_block": "FB", "function": "FC", "organization_block": "OB"}
_NUMBERED_KINDS = {"db", "udt", "fb", "sfb", "fc", "ob"}
_BODIES = {
    "struct",
    "var",
    "var_input",
    "var_output",
    "var_in_out",
    "var_temp",
    "begin",
    "version",
    "author",
    "family",
    "end_type",
    "end_data_block",
}
_OWN_TYPE = re.compile(r"(?:udt|fb|sfb)\d+\Z")
_MODIFIERS = {"retain", "non_retain", "constant", "read_only", "unlinked", "standard", "db_specific"}


@dataclass(slots=True, kw_only=True)
class Declared:
    """The type of a variable as written.

    Attributes:
        name: Lower-case name of a plain type, the name itself of a quoted one, "struct" for an inline structure.
        quoted: True for a type of the project (UDT, FB).
        length: Of STRING and WSTRING; 0 when not given.
        bounds: First and last index per dimension; None when a bound is not a number.
        members: Of an inline structure.
    """

    name: str
    quoted: bool = False
    length: int = 0
    bounds: list[tuple[int, int]] | None = field(default_factory=list)
    members: list[Variable] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Variable:
    """One declared variable.

    Attributes:
        overlay: It is a view (AT) of another one.
        section: Of a function block's interface, in the order of its instance data: in, out, in_out or static.
    """

    name: str
    type: Declared
    line: int
    comment: str = ""
    overlay: bool = False
    section: str = ""


@dataclass(slots=True, kw_only=True)
class Block:
    """A data block, a type or a function block.

    Attributes:
        kind: "data_block", "type" or "function_block".
        name: As written.
        optimized: By its attribute; False when it has none.
        body: Its variables, or None when it takes them from `layout_of`.
        layout_of: The type or function block that an instance or typed block has.
        trouble: Why the interface of a function block can't be read.
    """

    kind: str
    name: str
    line: int
    optimized: bool = False
    body: list[Variable] | None = None
    layout_of: str = ""
    trouble: str = ""


@dataclass(slots=True, kw_only=True)
class Sources:
    """The declarations of one file.

    Attributes:
        blocks: Data blocks.
        types: Types and function blocks by name in lower case.
        numbers: Numbers of data blocks out of comments.
        programs: Kind (FB, FC, OB) and name of the blocks of program.
    """

    blocks: list[Block]
    types: dict[str, Block]
    numbers: dict[str, int]
    programs: list[tuple[str, str]]


def parse(text: str) -> Sources:
    """Every type and data block of a source.

    Raises:
        MalformedError: A declaration that can't be read, with its line.
    """
    stream, comments = tokens(text.lstrip("\ufeff"))
    parser = _Parser(stream, comments)
    sources = Sources(blocks=[], types={}, numbers={}, programs=[])
    for match in _NUMBERED.finditer(text):
        sources.numbers.setdefault(match["name"], int(match["number"]))
    while not parser.ended:
        word = parser.next().word  # of a name in quotes it is ""
        if word in ("data_block", "type"):
            block = parser.block(word)
            if word == "type":
                sources.types.setdefault(block.name.lower(), block)
            else:
                sources.blocks.append(block)
        elif word in _PROGRAM:
            block = parser.program(word)
            sources.programs.append((_PROGRAM[word], block.name))
            if word == "function_block":
                sources.types.setdefault(block.name.lower(), block)
    return sources


class _Parser:
    def __init__(self, stream: list[Token], comments: dict[int, str]) -> None:
        self._stream = stream
        self._comments = comments
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._stream)

    def peek(self, ahead: int = 0) -> Token:
        position = self._at + ahead
        if position < len(self._stream):
            return self._stream[position]
        return Token("end", "", self._stream[-1].line if self._stream else 1)

    def next(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    def expect(self, *words: str) -> Token:
        token = self.next()
        if token.word not in words:
            shown = token.text or "the end of the file"
            raise MalformedError(f"'{' or '.join(words)}' expected, not '{shown[:40]}'", line=token.line)
        return token

    def skip_to(self, *words: str) -> Token:
        while not self.ended:
            token = self.next()
            if token.word in words:
                return token
        raise MalformedError(f"'{words[0].upper()}' is missing at the end", line=self.peek().line)

    def name(self) -> Token:
        token = self.next()
        if token.kind not in ("quoted", "word") or not token.text:
            raise MalformedError(f"a name expected, not '{token.text[:40]}'", line=token.line)
        return token

    def block(self, kind: str) -> Block:
        """From behind DATA_BLOCK or TYPE to the end of the block."""
        named = self.named()
        block = Block(kind=kind, name=named.text, line=named.line)
        self._header(block)
        token = self.peek()
        if token.word == "struct" or token.word in _SECTIONS:
            block.body = self._bodies()
        elif token.kind == "quoted" or (token.kind == "word" and token.word not in ("begin", f"end_{kind}")):
            block.layout_of = self.named().text
        elif kind == "type" and token.word == ":":
            self.next()
            block.body = self._bodies() if self.peek().word == "struct" else None
        self.skip_to(f"end_{kind}")
        return block

    def program(self, kind: str) -> Block:
        """From behind FUNCTION_BLOCK, FUNCTION or ORGANIZATION_BLOCK to its end.

        What is odd in the interface of a function block costs that block alone.
        """
        named = self.named()
        block = Block(kind=kind, name=named.text, line=named.line)
        if kind == "function_block":
            try:
                self._header(block)
                block.body = self._bodies()
            except MalformedError as error:
                block.body, block.trouble = None, f"line {error.line}: {error}"
        self.skip_to(f"end_{kind}")
        return block

    def named(self) -> Token:
        """A name; that of a numbered block or type is written in two words, or in one."""
        token = self.name()
        number = self.peek()
        if token.word in _NUMBERED_KINDS and number.kind == "word" and number.text.isdecimal():
            return Token(token.kind, token.text + self.next().text, token.line)
        return token

    def _header(self, block: Block) -> None:
        while True:
            token = self.peek()
            if token.kind == "pragma":
                attributes = dict(_PRAGMA_PAIR.findall(self.next().text))
                block.optimized = attributes.get("S7_Optimized_Access", "FALSE").upper() == "TRUE" or block.optimized
            elif token.word in _MODIFIERS:
                self.next()
            elif token.word in _HEADER_KEYS and self.peek(1).word in (":", "="):
                line = token.line
                self.next()
                self.next()
                while not self.ended and self.peek().line == line and self.peek().word not in _BODIES:
                    self.next()
            elif token.word in _HEADER_KEYS and "protect" in token.word:
                self.next()
            else:
                return

    def _bodies(self) -> list[Variable]:
        """STRUCT … END_STRUCT, or one or more VAR … END_VAR; what is temporary or constant has no place in a block."""
        members: list[Variable] = []
        while (token := self.peek()).word in ("struct", "var_temp") or token.word in _SECTIONS:
            self.next()
            modifiers = set()
            while token.word != "struct" and self.peek().word in _MODIFIERS:
                modifiers.add(self.next().word)
            found = self._members("end_struct" if token.word == "struct" else "end_var", 0)
            if token.word != "var_temp" and "constant" not in modifiers:
                for member in found:
                    member.section = _SECTIONS.get(token.word, "")
                members += found
            if self.peek().word == ";":
                self.next()
        return members

    def _members(self, end: str, depth: int) -> list[Variable]:
        if depth > MAX_NESTING:
            raise MalformedError(f"structures nested more than {MAX_NESTING} levels", line=self.peek().line)
        members: list[Variable] = []
        while True:
            token = self.peek()
            if token.word == end:
                self.next()
                return members
            if token.kind == "end":
                raise MalformedError(f"'{end.upper()}' is missing", line=token.line)
            members += self._variable(depth)

    def _variable(self, depth: int) -> list[Variable]:
        names = [self.name()]
        overlay = False
        while (token := self.peek()).word != ":":
            if token.kind == "pragma":
                self.next()
            elif token.word == ",":
                self.next()
                names.append(self.name())
            elif token.word == "at":
                self.next()
                self.name()
                overlay = True
            else:
                raise MalformedError(f"':' expected after '{names[-1].text}', not '{token.text[:40]}'", line=token.line)
        self.next()
        declared = self._type(depth)
        if self.peek().word == ":=":
            self._initial()
        end = self.peek()
        if end.word == ";":
            self.next()
        elif declared.name != "struct":
            raise MalformedError(f"';' expected, not '{end.text[:40]}'", line=end.line)
        line = names[0].line
        comment = self._comments.get(line, "")
        return [Variable(name=name.text, type=declared, line=line, comment=comment, overlay=overlay) for name in names]

    def _initial(self) -> None:
        depth = 0
        while not self.ended:
            word = self.peek().word
            if word == ";" and depth <= 0:
                return
            depth += (word in ("(", "[")) - (word in (")", "]"))
            if word.startswith("end_"):
                return
            self.next()

    def _type(self, depth: int) -> Declared:
        while self.peek().kind == "pragma":
            self.next()
        token = self.named()
        if token.word == "array":
            bounds = self._bounds()
            self.expect("of")
            element = self._type(depth + 1)
            if element.bounds is None or bounds is None:
                element.bounds = None
            else:
                element.bounds = [*bounds, *element.bounds]
            return element
        if token.word == "struct":
            return Declared(name="struct", members=self._members("end_struct", depth + 1))
        quoted = token.kind == "quoted" or _OWN_TYPE.match(token.word) is not None
        declared = Declared(name=token.text if token.kind == "quoted" else token.word, quoted=quoted)
        if self.peek().word in ("[", "("):
            self.next()
            length = self.next()
            declared.length = int(length.text) if length.text.isdecimal() and len(length.text) < 7 else -1
            self.expect("]", ")")
        while self.peek().kind == "pragma":
            self.next()
        return declared

    def _bounds(self) -> list[tuple[int, int]] | None:
        self.expect("[")
        bounds: list[tuple[int, int]] | None = []
        while True:
            first = self._index()
            self.expect("..")
            last = self._index()
            if first is None or last is None or bounds is None:
                bounds = None
            else:
                bounds.append((first, last))
            if self.expect(",", "]").word == "]":
                return bounds

    def _index(self) -> int | None:
        negative = self.peek().word == "-"
        if negative:
            self.next()
        token = self.next()
        if not (token.text.isdecimal() and len(token.text) < 10):
            return None
        return -int(token.text) if negative else int(token.text)
