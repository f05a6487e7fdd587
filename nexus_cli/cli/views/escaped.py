"""Documents whose texts are shown to people: with every control character as a visible escape.

See docs/decisions/0033.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from nexus_cli.diagnostics.printable import one_line

T = TypeVar("T")


def escaped(data: T) -> T:
    """The same document with `one_line` over every text in it, keys included; for views that render it as text."""
    found: object = data
    if isinstance(data, str):
        found = one_line(data)
    elif isinstance(data, msgspec.Struct):
        found = type(data)(**{name: escaped(getattr(data, name)) for name in data.__struct_fields__})
    elif isinstance(data, Mapping):
        found = {escaped(key): escaped(value) for key, value in data.items()}
    elif isinstance(data, (list, tuple)):
        found = [escaped(value) for value in data]
    return found  # type: ignore[return-value]
