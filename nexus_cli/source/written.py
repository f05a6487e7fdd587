"""How values are written into a site file: on one line, or one entry a line; they read back as themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nexus_cli.json_value import JsonObject

STEP = 2
"""Spaces a level."""
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+°µ²³-]*(?: [A-Za-z0-9_./+°µ²³-]+)*\Z")
_HALF = re.compile("[\ud800-\udfff]")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_ODD = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff"\\\\\t\n\x85]')


def lines(rest: Sequence[str], entries: Mapping[str, Any], column: int) -> list[str]:
    """Entries below the levels of `rest`, the first of them at a column."""
    made: list[str] = []
    for name in rest:
        made.append(f"{' ' * column}{scalar(name)}:")
        column += STEP
    for name, value in entries.items():
        made.extend(_entry(name, value, column))
    return made


def _entry(name: str, value: Any, column: int) -> Iterator[str]:
    if isinstance(value, Block):
        yield f"{' ' * column}{scalar(name)}:" + ("" if value else " {}")
        for inner, item in value.items():
            yield from _entry(inner, item, column + STEP)
        return
    yield f"{' ' * column}{scalar(name)}: {flow(value)}"


class Block(JsonObject):
    """A map that is written over several lines, one entry each."""


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar that reads back as itself in YAML 1.1 and 1.2."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} can't be written in a site file")
        mantissa, e, exponent = repr(value).partition("e")
        if not e:
            return mantissa
        mantissa += "" if "." in mantissa else ".0"  # YAML 1.1 takes 5e-324 for a text
        return f"{mantissa}e{exponent}" if exponent[0] in "+-" else f"{mantissa}e+{exponent}"
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return '"' + _ODD.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    known = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    if sign in known:
        return known[sign]
    code = ord(sign)
    if 0xD800 <= code <= 0xDFFF:
        return "\\uFFFD"
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"


def read_back(value: Any) -> Any:
    """A value as it reads back from the text that `flow` makes of it."""
    if isinstance(value, Mapping):
        return {key_text(name): read_back(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [read_back(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _HALF.sub("\ufffd", str(value))


def key_text(name: Any) -> str:
    """A key as it reads back."""
    return _HALF.sub("\ufffd", name) if isinstance(name, str) else scalar(name)
