"""Foreign text for people: what a device, a topic or a stranger's message says can't move the cursor or forge a line.

See docs/decisions/0033.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

Data = TypeVar("Data")

_CONTROLS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 but tab and newline: escape sequences begin with ESC or CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks: they show text in another order than it has
    "\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # other line ends, byte order mark, annotations, tags
    "\ud800-\udfff"  # lone surrogates: no terminal can be sent them
)
_UNSAFE = re.compile(f"[{_CONTROLS}]")
_UNSAFE_IN_LINE = re.compile(f"[{_CONTROLS}\n\t]")
_NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    code = ord(sign)
    return _NAMES.get(sign) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def lines(text: str) -> str:
    """The text with everything but printable characters, tabs and newlines as visible escapes (`\\x1b`)."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """The same for a part of a line: newlines and tabs become `\\n` and `\\t`."""
    return _UNSAFE_IN_LINE.sub(_escape, text)


def plain(data: Data) -> Data:
    """JSON-like data or a Struct with `one_line` over every text in it, keys included; for views that show it as text."""
    shown: Data = _plain(data)
    return shown


def _plain(data: Any) -> Any:
    if isinstance(data, str):
        return one_line(data)
    if isinstance(data, Mapping):
        return {_plain(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if (names := getattr(data, "__struct_fields__", None)) is not None:  # of msgspec, which a start without it skips
        return type(data)(**{name: _plain(getattr(data, name)) for name in names})
    return data


def json_text(text: str) -> str:
    """JSON with the same characters as `\\uXXXX`: they can only be inside its texts, so it stays the same data."""
    return _UNSAFE.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
