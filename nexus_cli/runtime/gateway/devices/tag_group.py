"""The tags of one request, in the order of its points: what is done to their values by column is compiled once."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from nexus_cli.model.chain import TOLERANCE
from nexus_cli.model.chain_columns import Column, ColumnConvert
from nexus_cli.runtime.gateway.devices.tag_table import NEVER_US, Positions, TagState, TagTable

Times = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]
Where = Positions | slice
"""Which rows of a column: all, or some by their index."""
ALL = slice(None)
MANY = 12
"""From so many values on, an answer is taken by column; shorter ones are faster one by one."""
NOTHING = struct.pack("<d", math.nan)
"""Where no raw value is known; what a device sends may be the same, and is a change all the same."""


class TagGroup(Sequence[TagState]):
    """Some tags of a table, in an order of their own. As a sequence it gives their views.

    Attributes:
        table: Where they are kept.
        places: Their positions there.
    """

    __slots__ = ("_columns", "_used", "places", "table")

    def __init__(self, table: TagTable, places: Iterable[int]) -> None:
        """Name tags by their positions."""
        self.table = table
        self.places = tuple(places)
        self._columns: GroupColumns | None = None
        self._used: bool | None = False if len(self.places) >= MANY else None  # None: all is compiled

    @property
    def columns(self) -> GroupColumns | None:
        """The tags by column; None for the first answer, and where they are few or not plain numbers."""
        if self._used:  # not before: a group of reports is used once
            self._used = None
            chains = self.table.chains
            if all(chains[at].kind for at in self.places):
                self._columns = GroupColumns(self.table, self.places)
        return self._columns

    def use(self) -> None:
        """Its values were taken one by one: the next answer is taken by column."""
        if self._used is False:
            self._used = True

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> TagState: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TagState]: ...
    def __getitem__(self, index: int | slice) -> TagState | Sequence[TagState]:
        if isinstance(index, slice):
            return [self.table.state(at) for at in self.places[index]]
        return self.table.state(self.places[index])

    def __iter__(self) -> Iterator[TagState]:
        return map(self.table.state, self.places)


class GroupColumns:
    """The columns of some tags, and their chains by column.

    Where the tags are neighbours in the table, `raw` and the others are views on its columns; else they are the whole
    columns, and `rows` says where the tags are.

    Attributes:
        positions: Of the tags in the table.
        rows: None for views; else as `positions`.
        raw, number, time_us, due_us, source_us, quality, kind: The table's columns, or views on them.
        floats: Every raw value is a float.
        kinds: Kind of each tag's published value.
        kind_bytes: The same as bytes.
        low, high: Least and greatest value inside the range, infinite where it is open; None where no tag has one.
        deadband, tolerance: A number has moved when it differs by more than `deadband + tolerance * its size`; None
            where every change counts.
        beat_us: Time from one sample to the next heartbeat, `NEVER_US` without one; None where no tag has one.
    """

    __slots__ = (
        "_converts",
        "_forgotten",
        "_soonest_us",
        "_which",
        "beat_us",
        "deadband",
        "due_us",
        "floats",
        "high",
        "kind",
        "kind_bytes",
        "kinds",
        "low",
        "number",
        "positions",
        "quality",
        "raw",
        "rows",
        "source_us",
        "table",
        "time_us",
        "tolerance",
    )

    def __init__(self, table: TagTable, places: Sequence[int]) -> None:
        """Compile some tags of a table."""
        self.table = table
        self.positions: Positions = np.array(places, np.intp)
        chains = [table.chains[at] for at in places]
        row = slice(places[0], places[-1] + 1) if places else ALL
        joined = list(places) == list(range(row.start or 0, row.stop or 0))
        self.rows: Positions | None = None if joined else self.positions
        view = row if joined else ALL
        self.raw, self.number = table.raw[view], table.number[view]
        self.time_us, self.due_us, self.source_us = table.time_us[view], table.due_us[view], table.source_us[view]
        self.quality, self.kind = table.quality[view], table.kind[view]
        self.kinds: Marks = np.array([one.kind for one in chains], np.uint8)
        self.kind_bytes = self.kinds.tobytes()
        self.floats = all(one.reads_floats for one in chains)
        self._compile_limits()
        self._converts: list[ColumnConvert | None] = list(dict.fromkeys(one.by_column for one in chains))
        self._which: npt.NDArray[np.intp] | None = None
        if len(self._converts) > 1:
            self._which = np.array([self._converts.index(one.by_column) for one in chains])
        self._soonest_us, self._forgotten = 0, -1

    def _compile_limits(self) -> None:
        chains = [self.table.chains[at] for at in self.positions.tolist()]
        self.low = _numbers([one.low for one in chains], -np.inf)
        self.high = _numbers([one.high for one in chains], np.inf)
        self.deadband = _numbers([one.deadband or None for one in chains], 0.0)
        self.tolerance = None if self.deadband is None else np.where(self.deadband > 0.0, TOLERANCE, 0.0)
        beats = [one.heartbeat_us or NEVER_US for one in chains]
        self.beat_us: Times | None = np.array(beats, np.int64) if min(beats, default=NEVER_US) < NEVER_US else None

    def is_same(self, numbers: Column, now_us: int) -> bool:
        """Whether nothing changed and nothing is due; False where that takes a closer look."""
        if now_us >= self._soonest_us or self._forgotten != self.table.forgotten:
            return False
        found, last = numbers.tobytes(), self.raw if self.rows is None else self.raw[self.rows]
        return found == last.tobytes() and NOTHING not in found

    def any_due(self, now_us: int) -> bool:
        """Whether a sample is due: a heartbeat, or a tag that was forgotten."""
        if self._forgotten == self.table.forgotten and now_us < self._soonest_us:
            return False
        due_us = self.due_us if self.rows is None else self.due_us[self.rows]
        # A sample that is recorded raises this, so the least one is a bound until a tag is forgotten.
        self._soonest_us, self._forgotten = int(due_us.min()), self.table.forgotten
        return now_us >= self._soonest_us

    def converted(self, raw: Column, some: Positions | None) -> Column:
        """The published values of raw ones.

        Args:
            raw: Of all tags of the group, or of `some`.
            some: Indices in the group; None for all.
        """
        which = self._which
        if which is None:
            convert = self._converts[0]
            return raw if convert is None else convert(raw)
        if some is not None:
            which = which[some]
        result = raw.copy()
        for number, convert in enumerate(self._converts):
            if convert is not None:
                found = (which == number).nonzero()[0]
                if len(found):
                    result[found] = convert(raw[found])
        return result

    @property
    def identical(self) -> bool:
        """Whether every published value is the raw one."""
        return self._which is None and self._converts[0] is None


def _numbers(found: Sequence[float | None], instead: float) -> Column | None:
    """Limits as a column; None where no tag has one."""
    if all(one is None for one in found):
        return None
    return np.array([instead if one is None else one for one in found], np.float64)
