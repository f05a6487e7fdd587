"""Published values as the inputs of a condition."""

from __future__ import annotations

from nexus_cli.model.datatype import DataType
from nexus_cli.wire.reading import is_integer
from nexus_cli.wire.sample import Value


def typed(value: Value, kind: DataType) -> Value:
    """A JSON value converted to its tag's type; one that does not fit is unchanged, and the expression fails on it.

    64-bit integers beyond 2^53 are text (external text may be too long for `int`), and external devices may send 0 and
    1 for a boolean, which the historian stores too.
    """
    if kind.exact64 and isinstance(value, str) and is_integer(value):
        return int(value)
    if kind.base == "bool" and not kind.count and isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    return value
