"""How the last answer to a read was laid out: the next one mostly is the same, and then it is a column. Pure.

A server answers each node with a mask of what follows, the type and the value. For nodes of fixed size with good values
only the bytes of values and times change from answer to answer. All masks and types are compared at once, and an answer
that differs anywhere is decoded value by value.

Source: OPC 10000-6 (1.05) §5.2.2.16 (Variant), §5.2.2.17 (DataValue).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexus_cli.drivers.columns import Columns, Numbers, Place, compile_columns
from nexus_cli.drivers.opcua.codec import EPOCH_TICKS, SCALARS

CODES = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 10: "f", 11: "d"}
"""`struct` letter of each built-in type whose values a double holds exactly."""
VALUE, TIMED = 0x01, 0x05
"""Masks of a good value without and with its source time."""
_COUNT = 4
_U8 = np.dtype(np.uint8)
_TICKS = np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of an answer lie, from its count of values on.

    Attributes:
        size: Its bytes up to the end of the last value.
        fixed: Where the bytes lie that must be as they were: count, masks, types.
        were: These bytes.
        numbers: Takes the values.
        times: Where the bytes of the source times lie; None without times.
    """

    size: int
    fixed: npt.NDArray[np.intp]
    were: bytes
    numbers: Columns
    times: npt.NDArray[np.intp] | None

    def take(self, answer: memoryview) -> tuple[Numbers, list[int | None] | None] | None:
        """Values and source times (µs since 1970 UTC); None for an answer that is laid out otherwise.

        Args:
            answer: From its count of values on.
        """
        if len(answer) < self.size:
            return None
        octets = np.frombuffer(answer, _U8)
        if octets.take(self.fixed).tobytes() != self.were:
            return None
        if self.times is None:
            return self.numbers(answer), None
        ticks = octets.take(self.times).view(_TICKS)
        if ticks.min() <= 0:
            return None
        return self.numbers(answer), ((ticks - EPOCH_TICKS) // 10).tolist()


def layout_of(answer: bytes | memoryview, kinds: Sequence[frozenset[int]]) -> Layout | None:
    """Learn the layout of an answer that could be decoded; None when it can't be taken as a column.

    Args:
        answer: From its count of values on.
        kinds: For each value the built-in types that are its point's as they are.
    """
    places: list[Place | None] = []
    fixed = list(range(_COUNT))
    times: list[int] = []
    masks: set[int] = set()
    at = _COUNT
    for wanted in kinds:
        if at + 1 >= len(answer):
            return None
        mask, kind = answer[at], answer[at + 1]
        if mask not in (VALUE, TIMED) or kind not in CODES or kind not in wanted:
            return None
        fixed += (at, at + 1)
        end = at + 2 + SCALARS[kind].size
        places.append(Place(CODES[kind], tuple(range(end - 1, at + 1, -1))))
        if mask == TIMED:
            times += range(end, end + 8)
            end += 8
        masks.add(mask)
        at = end
    numbers = compile_columns(places)
    if numbers is None or len(masks) > 1 or at > len(answer):
        return None
    octets = np.frombuffer(answer, _U8)
    index = np.array(fixed, np.intp)
    return Layout(at, index, octets.take(index).tobytes(), numbers, np.array(times, np.intp) if times else None)
