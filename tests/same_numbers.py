"""Whether a column of doubles says the same as Python's values, bit by bit."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nexus_cli.drivers.columns import Numbers
from nexus_cli.wire.sample import Value


def same_numbers(numbers: Numbers, values: Sequence[Value]) -> None:
    """Each double is the value's own; a NaN is one, whichever."""
    assert numbers.dtype == float and numbers.shape == (len(values),)
    for number, value in zip(numbers.tolist(), values, strict=True):
        assert (isinstance(value, (bool, int, float)) and abs(value) <= 2**53) or isinstance(value, float)
        same = struct.pack("<d", number) == struct.pack("<d", value)
        assert same or (number != number and value != value), (number, value)
