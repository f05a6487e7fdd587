"""From the bytes of a file to its text; what is no text at all is named in one finding."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.source.nodes import SourceFile

LOOKED_AT_BYTES = 8192
"""The first bytes of a file show its encoding."""
MARK = "\ufeff"
"""The byte order mark, as a character."""
_NOWHERE = Path()
_BOMS = (
    ("UTF-32", b"\xff\xfe\x00\x00"),
    ("UTF-32", b"\x00\x00\xfe\xff"),
    ("UTF-16", b"\xff\xfe"),
    ("UTF-16", b"\xfe\xff"),
)
_KINDS = (
    (b"\x1f\x8b", "a gzip file", "unpack it first (gunzip)"),
    (b"PK\x03\x04", "a ZIP archive, or an Excel or Word document", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a Windows program", ""),
    (b"%PDF", "a PDF document", ""),
    (b"\x89PNG", "a picture (PNG)", ""),
    (b"\xff\xd8\xff", "a picture (JPEG)", ""),
    (b"SQLite format 3\x00", "an SQLite database", ""),
)
_BREAKS_11 = re.compile("[\x85\u2028\u2029]")
_STRANGE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")


def decode(data: bytes, name: str) -> tuple[str | None, list[Diagnostic]]:
    """The text of a file's bytes, and what is wrong with its encoding; None when reading on would only make noise.

    A UTF-8 byte order mark is accepted and dropped. Single bytes that are not UTF-8 become U+FFFD in the text.
    """
    foreign = _not_text(data)
    if foreign is not None:
        what, hint = foreign
        return None, [finding("NX0002", f"'{name}' is {what}, not UTF-8 text", hint=hint)]
    body = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
    try:
        return body.decode("utf-8"), []
    except UnicodeDecodeError as error:
        text = body.decode("utf-8", errors="replace")
        position = len(body[: error.start].decode("utf-8"))
        shell = SourceFile(number=0, name=name, path=_NOWHERE, text=text)
        message = f"the byte 0x{body[error.start]:02x} is not UTF-8"
        place = shell.place(position, position + 1)
        return text, [finding("NX0002", message, place=place, hint="save the file as UTF-8")]


def for_libyaml(text: str) -> tuple[str, Callable[[str], str]]:
    """The text with placeholders for characters that end a line in YAML 1.1 only, and the way back; positions stay.

    U+0085, U+2028 and U+2029 are ordinary characters in YAML 1.2, while libyaml ends a line, and so a comment, there.
    Source: YAML 1.2.2, section 5.4 "Line Break Characters", and appendix of changes from 1.1.
    """
    if text.isascii() or _BREAKS_11.search(text) is None:
        return text, _same
    free = (sign for sign in map(chr, range(0xF000, 0xF8FF)) if sign not in text)
    there = dict(zip("\x85\u2028\u2029", free, strict=False))
    forth, back = str.maketrans(there), str.maketrans({new: old for old, new in there.items()})
    return text.translate(forth), lambda piece: piece.translate(back)


def _same(text: str) -> str:
    return text


def _not_text(data: bytes) -> tuple[str, str] | None:
    """The kind of a file that is not UTF-8 text, with a hint; None for text, with or without odd bytes."""
    encoding = next((name for name, mark in _BOMS if data.startswith(mark)), "") or _unmarked(data)
    if encoding:
        return f"{encoding} text", f"save it as UTF-8 in the editor, or: iconv -f {encoding} -t UTF-8 OLD > NEW"
    yaml = "name the YAML file of the site"
    for magic, what, hint in _KINDS:
        if data.startswith(magic) and not (magic == b"MZ" and data[:LOOKED_AT_BYTES].isascii()):
            return what, hint or yaml
    head = data[:LOOKED_AT_BYTES].decode("utf-8", errors="replace")
    # Text in Latin-1 has a few odd letters in a hundred; a YAML file with a stray NUL has one.
    if len(_STRANGE.findall(head)) * 10 > max(len(head), 20):
        return "binary data, or text in another encoding", f"{yaml}, or save it as UTF-8"
    return None


def _unmarked(data: bytes) -> str:
    """UTF-16 without its mark: in text of mostly ASCII every second byte is 0."""
    head = data[:LOOKED_AT_BYTES]
    half = len(head) // 2
    if half < 4:
        return ""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd * 2 > half and even * 20 < half:
        return "UTF-16LE"
    return "UTF-16BE" if even * 2 > half and odd * 20 < half else ""
