"""The numbers of an answer as one column of doubles: a plan compiled once per request, a few numpy operations an answer.

What Modbus, S7 and ADS share. A plan says for each point where its bytes lie; points of one type come out of one view
of the answer's buffer, after a permutation where they do not lie in a row. See docs/decisions/0065.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEAST = 16
"""Points from which a column is not slower than the same values as Python objects."""
_TYPES = {"b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "e": "f2", "f": "f4", "d": "f8"}
"""numpy's name of each `struct` letter whose values a double holds exactly."""
_U8 = np.dtype(np.uint8)
_F8 = np.dtype(np.float64)

# A signalling NaN is a NaN like others, and says so by a warning when it becomes a double.
warnings.filterwarnings("ignore", message="invalid value encountered in cast", module=__name__.replace(".", r"\."))

Numbers = npt.NDArray[np.float64]
Columns = Callable[[bytes | memoryview], Numbers]
"""From an answer to one double per point, same order; a fresh array. The answer has the bytes that the plan names."""
_Part = Callable[[bytes | memoryview], npt.NDArray[np.generic]]


class Place(NamedTuple):
    """Where a point's bytes lie in an answer.

    Attributes:
        code: `struct` letter of its type; "?" for a bit.
        source: Its bytes, the most significant first; one for a bit.
        mask: Of a bit: 1 where any of these is set.
    """

    code: str
    source: tuple[int, ...]
    mask: int = 0xFF


def compile_columns(places: Sequence[Place | None]) -> Columns | None:
    """Plan the column of a request.

    Args:
        places: One per point, in order; None for a point that is no single number.

    Returns:
        None where a double can't hold a point exactly, or there are so few that a column is no gain.
    """
    if len(places) < LEAST or any(one is None or (one.code != "?" and one.code not in _TYPES) for one in places):
        return None
    by_code: dict[str, list[int]] = {}
    for at, one in enumerate(places):
        assert one is not None
        by_code.setdefault(one.code, []).append(at)
    parts = [(_where(ats), _part(code, [places[at] for at in ats])) for code, ats in by_code.items()]  # type: ignore[misc]
    if len(parts) == 1:
        only = parts[0][1]
        return lambda data: only(data).astype(_F8)
    size = len(places)

    def columns(data: bytes | memoryview) -> Numbers:
        found = np.empty(size, _F8)
        for where, part in parts:
            found[where] = part(data)
        return found

    return columns


def _where(ats: Sequence[int]) -> slice | npt.NDArray[np.intp]:
    """Some places of a column, as cheap as they can be named."""
    if ats[-1] - ats[0] == len(ats) - 1:
        return slice(ats[0], ats[-1] + 1)
    return np.array(ats, np.intp)


def _part(code: str, places: Sequence[Place]) -> _Part:
    """The values of the points of one type, in order."""
    source = np.array([one.source for one in places], np.intp)
    if code == "?":
        at, mask = source[:, 0], np.array([one.mask for one in places], _U8)
        return lambda data: np.frombuffer(data, _U8).take(at) & mask != 0
    count, size = source.shape
    row = source[0, 0] + np.arange(count * size).reshape(count, size)
    first = int(source.min())
    for order, natural in ((">", row), ("<", row[:, ::-1] - size + 1)):
        if np.array_equal(source, natural):
            kind = np.dtype(order + _TYPES[code])
            shape = (count,)
            return lambda data: np.ndarray(shape, kind, data, first)  # `frombuffer` does the same in more time
    kind, picked = np.dtype(">" + _TYPES[code]), source.ravel()
    return lambda data: np.frombuffer(data, _U8).take(picked).view(kind)
