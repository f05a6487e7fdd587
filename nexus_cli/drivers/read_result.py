"""The answer to a read: values by point, by column where all are plain numbers, and what is not good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from nexus_cli.wire.sample import Reason, Value

if TYPE_CHECKING:  # `validate` reads the kinds of drivers, and needs no arrays
    import numpy as np
    import numpy.typing as npt


class Fault(NamedTuple):
    """Why one point of a read has no good value."""

    reason: Reason
    code: int = 0
    uncertain: bool = False
    """True keeps the value and makes the sample UNCERTAIN."""
    transient: bool = False
    """The device was busy; the same point may be read soon."""


NO_FAULTS: Mapping[int, Fault] = {}


class ReadResult(NamedTuple):
    """Answer to one `Request`: one raw value per point, same order.

    Attributes:
        values: Raw values in the point's type (None where a fault has none).
        faults: By position, only what is not good.
        source_time_us: The device's timestamps by position, µs since 1970 UTC, or None when the protocol has none.
        numbers: The raw values exactly as doubles, one per point, same order: a fresh float64 array. Only where every
            point is a boolean, an integer of at most 32 bits or a float. Booleans are 1 and 0; NaN and the infinities
            are what the device sent, and a fault without a value has NaN too. With it, `values` may be a
            `LazyValues`.
    """

    values: Sequence[Value]
    faults: Mapping[int, Fault] = NO_FAULTS
    source_time_us: Sequence[int | None] | None = None
    numbers: npt.NDArray[np.float64] | None = None


class LazyValues(Sequence[Value]):
    """The values of a read that are made when one is looked at, which a caller that takes `numbers` never does."""

    __slots__ = ("_data", "_decode", "_made", "_size")

    def __init__(self, size: int, decode: Callable[[bytes], list[Value]], data: bytes) -> None:
        """Keep an answer for later.

        Args:
            size: How many values.
            decode: Makes all of them from the answer, one per point, same order; does not fail.
            data: The answer's bytes.
        """
        self._size, self._decode, self._data = size, decode, data
        self._made: list[Value] | None = None

    def _values(self) -> list[Value]:
        if self._made is None:
            self._made = self._decode(self._data)
        return self._made

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Value]: ...
    def __getitem__(self, index: int | slice) -> Value | Sequence[Value]:
        return self._values()[index]

    def __iter__(self) -> Iterator[Value]:
        return iter(self._values())

    def __eq__(self, other: object) -> bool:
        return self._values() == (other._values() if isinstance(other, LazyValues) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._values())
