"""The newest samples of a device's tags by column, and each tag as a view on its row.

A device's answer is compared, converted and recorded by column, and its frame is cut from the columns; what looks at
one tag (commands, calculated tags, heartbeats, health) takes its `TagState`.

See docs/decisions/0061.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.tag_chain import FLOAT, NONE, OTHER, TRUTH, WHOLE, TagChain, chain_of
from nexus_cli.wire.frame_batch import EXACT, MOST_TAGS, NO_TIME, FrameColumns, Mark, Shape
from nexus_cli.wire.sample import REASON_NUMBER, REASONS, Quality, Reason, Value

Positions = npt.NDArray[np.intp]
"""Tags of a table by their place in declared order, each once."""
NEVER_US = 1 << 62
_GOOD = int(Quality.GOOD)
_QUALITY: dict[int, Quality] = {int(one): one for one in Quality}
REASON_OF: tuple[Reason | None, ...] = (None, *REASONS)
"""A reason by its number."""
_NAMES = {int(one): one.name for one in Quality}
NUMBER_OF: dict[Reason | None, int] = {None: 0, **{one: REASON_NUMBER[one.value] for one in REASONS}}
"""The number of a reason; 0 for none."""
_CACHED_NAMES = 512


@lru_cache(maxsize=_CACHED_NAMES)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Position by name. Devices of one template share it."""
    return {name: at for at, name in enumerate(names)}


class TagTable:
    """One device's tags: what each is, and its newest sample. All columns have one entry per tag, in declared order.

    The columns that every sample touches exist twice over the same memory: as arrays of numpy for many tags at once, and
    as `array` or `bytearray` for a single one, which is three times as fast there.

    Attributes:
        device: Device path.
        names: Tag names.
        shape: The same for frames; of devices with at most `MOST_TAGS` tags.
        places: Position by name.
        configs, chains: What each tag is, and its compiled chain.
        number, numbers: Published values; NaN where there is none, or `other` has it.
        kind, kinds: `NONE`, `FLOAT`, `WHOLE`, `TRUTH` or `OTHER`: together with the number the exact value.
        other: Values that are neither numbers that a double holds nor booleans, by position.
        quality, qualities: 192, 64 or 0, see `Quality`.
        reason, reasons: Number of the reason (`REASON_NUMBER`), 0 for none.
        code: The protocol's own code.
        time_us, times: Gateway time of the sample, µs since 1970 UTC; 0 before the first.
        since_us: Gateway time of the first sample of this quality in a row.
        due_us, dues: When the heartbeat requires the next sample.
        source_us: The device's own time, µs since 1970 UTC; `NO_TIME` where it gave none.
        sourced: The device has given a time.
        raw, raws: The last raw value that was recorded without a fault; NaN where there is none, or `raw_other` has it.
        raw_other: Raw values that a double does not hold, by position.
        waiting: Belongs to the live view: changed, and not published yet.
        forgotten: Grows whenever a tag becomes due early (`forget`).
        read: Whether a tag has values of the device: it has an address, and is switched on.
        prefix: Topic of the device in the live view, with a slash at its end; "" until the pipeline has the device.
    """

    __slots__ = (
        "_states",
        "chains",
        "code",
        "configs",
        "device",
        "due_us",
        "dues",
        "forgotten",
        "kind",
        "kinds",
        "names",
        "number",
        "numbers",
        "other",
        "places",
        "prefix",
        "qualities",
        "quality",
        "raw",
        "raw_other",
        "raws",
        "read",
        "reason",
        "reasons",
        "shape",
        "since_us",
        "source_us",
        "sourced",
        "time_us",
        "times",
        "waiting",
    )

    def __init__(self, device: str, configs: Mapping[str, TagConfig]) -> None:
        """Compile the tags of a device; nothing is known of them."""
        size = len(configs)
        self.device = device
        self.places = _places(tuple(configs))
        self.names = tuple(self.places)
        self.shape = Shape(device, self.names)
        self.configs = tuple(configs.values())
        self.chains: tuple[TagChain, ...] = tuple([chain_of(config) for config in self.configs])
        self.numbers, self.number = _doubles(size)
        self.raws, self.raw = _doubles(size)
        self.times, self.time_us = _moments(size)
        self.dues, self.due_us = _moments(size)
        self.kinds, self.kind = _bytes(size)
        self.qualities, self.quality = _bytes(size)
        self.reasons, self.reason = _bytes(size)
        self.code = np.zeros(size, np.int64)
        self.since_us = np.zeros(size, np.int64)
        self.source_us = np.full(size, NO_TIME, np.int64)
        self.waiting = np.zeros(size, np.bool_)
        self.other: dict[int, Value] = {}
        self.raw_other: dict[int, Any] = {}
        self.read = np.array([bool(one.address and one.enabled) for one in self.configs], np.bool_)
        self.sourced = False
        self.forgotten = 0
        self.prefix = ""
        self._states: dict[int, TagState] = {}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def states(self) -> Sequence[TagState]:
        """A view of each tag, in declared order."""
        return _States(self)

    def is_read(self, positions: Positions) -> bool:
        """Whether some of these tags have values of the device, and are not calculated or switched off."""
        return bool(self.read[positions].any())

    def state(self, at: int) -> TagState:
        """The view of one tag; always the same object."""
        found = self._states.get(at)
        if found is None:
            found = self._states[at] = TagState(self, at)
        return found

    def value(self, at: int) -> Value:
        """The published value of a tag, exactly as it was recorded."""
        kind = self.kinds[at]
        if kind == FLOAT:
            return self.numbers[at]
        if kind == WHOLE:
            return int(self.numbers[at])
        if kind == TRUTH:
            return self.numbers[at] != 0.0
        return self.other[at] if kind == OTHER else None

    def put(self, at: int, value: Value) -> None:
        """Set the published value of a tag."""
        if self.kinds[at] == OTHER:
            del self.other[at]
        kind = type(value)
        if kind is float:
            self.kinds[at], self.numbers[at] = FLOAT, value  # type: ignore[assignment]
        elif kind is bool:
            self.kinds[at], self.numbers[at] = TRUTH, value  # type: ignore[assignment]
        elif kind is int and -EXACT <= value <= EXACT:  # type: ignore[operator]
            self.kinds[at], self.numbers[at] = WHOLE, value  # type: ignore[assignment]
        else:
            self.kinds[at], self.numbers[at] = NONE, math.nan
            if value is not None:
                self.kinds[at], self.other[at] = OTHER, value

    def remember(self, at: int, raw: Any) -> None:
        """Set the raw value that the next one is compared with."""
        kind = type(raw)
        if kind is float or kind is bool or (kind is int and -EXACT <= raw <= EXACT):
            self.raws[at] = raw
            if self.raw_other:
                self.raw_other.pop(at, None)
        else:
            self.raws[at], self.raw_other[at] = math.nan, raw

    def lose(self, at: int) -> None:
        """No raw value is known: the next one is taken, whatever it is."""
        self.raws[at] = math.nan
        if self.raw_other:
            self.raw_other.pop(at, None)

    def forget(self, at: int) -> None:
        """Record the next value in any case, e.g. after a reconnect."""
        self.lose(at)
        self.dues[at] = 0
        self.forgotten += 1

    def columns(self, positions: Positions | None, time_us: int, *, exact: bool = False) -> FrameColumns:
        """The newest samples of some tags as a frame.

        Args:
            positions: Of the tags; None for all of them.
            time_us: Gateway time of the frame.
            exact: Integers and booleans as themselves, for a frame in JSON, and not as the doubles that they equal.
        """
        shape = self.shape
        if positions is None:
            number, kinds, quality, source = self.number, bytes(self.kinds), bytes(self.qualities), self.source_us
            named = b""
        else:
            number, source = self.number[positions], self.source_us[positions]
            kinds, quality = self.kind[positions].tobytes(), self.quality[positions].tobytes()
            named = positions.astype("<u2").tobytes()
        count = len(kinds)
        if len(self.names) > MOST_TAGS:
            if positions is None:
                positions = np.arange(count)
            shape, named = Shape(self.device, [self.names[at] for at in positions.tolist()]), b""
        others: dict[int, Value] = {}
        if self.other or exact:
            least = WHOLE if exact else OTHER
            others = {index: self.value(_at(positions, index)) for index, kind in enumerate(kinds) if kind >= least}
            if exact and others:
                number = number.copy()
                number[list(others)] = math.nan
        marks: dict[int, Mark] = {}
        if quality.count(_GOOD) != count:
            marks = {index: self._mark(_at(positions, index)) for index, one in enumerate(quality) if one != _GOOD}
        return FrameColumns(
            shape=shape,
            time_us=time_us,
            positions=named,
            values=number.tobytes(),
            others=others,
            quality=marks,
            source_time=source.tobytes() if self.sourced and (source != NO_TIME).any() else b"",
        )

    def _mark(self, at: int) -> Mark:
        reason = REASON_OF[self.reasons[at]]
        return _NAMES[self.qualities[at]], None if reason is None else reason.value, int(self.code[at])


def _at(positions: Positions | None, index: int) -> int:
    return index if positions is None else int(positions[index])


def _doubles(size: int) -> tuple[array[float], npt.NDArray[np.float64]]:
    found = array("d", [math.nan]) * size
    return found, np.frombuffer(found, np.float64) if size else np.zeros(0)


def _moments(size: int) -> tuple[array[int], npt.NDArray[np.int64]]:
    found = array("q", [0]) * size
    return found, np.frombuffer(found, np.int64) if size else np.zeros(0, np.int64)


def _bytes(size: int) -> tuple[bytearray, npt.NDArray[np.uint8]]:
    found = bytearray(size)
    return found, np.frombuffer(found, np.uint8) if size else np.zeros(0, np.uint8)


class TagState:
    """One tag of a table: what it is, and its newest sample.

    Attributes:
        table: Where it is kept.
        at: Its position there.
    """

    __slots__ = ("at", "table")

    def __init__(self, table: TagTable, at: int) -> None:
        """Look at one tag; take it from `TagTable.state`."""
        self.table, self.at = table, at

    @property
    def name(self) -> str:
        """Tag name."""
        return self.table.names[self.at]

    @property
    def path(self) -> str:
        """`area/line/device/tag`."""
        return f"{self.table.device}/{self.table.names[self.at]}"

    @property
    def topic(self) -> str:
        """Its topic in the live view; "" until the pipeline has the device."""
        return self.table.prefix and self.table.prefix + self.table.names[self.at]

    @property
    def config(self) -> TagConfig:
        """Its configuration."""
        return self.table.configs[self.at]

    @property
    def chain(self) -> TagChain:
        """Its compiled chain."""
        return self.table.chains[self.at]

    @property
    def heartbeat_us(self) -> int:
        """Longest time without a sample, in µs; 0 for none."""
        return self.chain.heartbeat_us

    @property
    def known(self) -> bool:
        """True once something was recorded."""
        return self.table.times[self.at] > 0

    @property
    def value(self) -> Value:
        """The published value; None where it is BAD."""
        return self.table.value(self.at)

    @value.setter
    def value(self, value: Value) -> None:
        self.table.put(self.at, value)

    @property
    def quality(self) -> Quality:
        """The sample's quality."""
        return _QUALITY[self.table.qualities[self.at]]

    @quality.setter
    def quality(self, quality: Quality) -> None:
        self.table.qualities[self.at] = quality

    @property
    def reason(self) -> Reason | None:
        """Why it is not GOOD."""
        return REASON_OF[self.table.reasons[self.at]]

    @reason.setter
    def reason(self, reason: Reason | None) -> None:
        self.table.reasons[self.at] = NUMBER_OF[reason]

    @property
    def code(self) -> int:
        """The protocol's own code; 0 for none."""
        return int(self.table.code[self.at])

    @code.setter
    def code(self, code: int) -> None:
        self.table.code[self.at] = code

    @property
    def time_us(self) -> int:
        """Gateway time of the sample, µs since 1970 UTC; 0 before the first."""
        return self.table.times[self.at]

    @time_us.setter
    def time_us(self, time_us: int) -> None:
        self.table.times[self.at] = time_us

    @property
    def since_us(self) -> int:
        """Gateway time of the first sample of this quality in a row."""
        return int(self.table.since_us[self.at])

    @property
    def due_us(self) -> int:
        """When the heartbeat requires the next sample."""
        return self.table.dues[self.at]

    @property
    def source_us(self) -> int | None:
        """The device's own time, µs since 1970 UTC; None where it gave none."""
        found = int(self.table.source_us[self.at])
        return None if found == NO_TIME else found

    @source_us.setter
    def source_us(self, source_us: int | None) -> None:
        self.table.source_us[self.at] = NO_TIME if source_us is None else source_us
        self.table.sourced = True

    def forget(self) -> None:
        """Record the next value in any case, e.g. after a reconnect."""
        self.table.forget(self.at)


class _States(Sequence[TagState]):
    """The views of all tags of a table; each is made when it is asked for."""

    __slots__ = ("_table",)

    def __init__(self, table: TagTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table.names)

    @overload
    def __getitem__(self, at: int) -> TagState: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[TagState]: ...
    def __getitem__(self, at: int | slice) -> TagState | Sequence[TagState]:
        found = range(len(self._table.names))[at]
        return self._table.state(found) if isinstance(found, int) else [self._table.state(one) for one in found]

    def __iter__(self) -> Iterator[TagState]:
        return map(self._table.state, range(len(self._table.names)))


class TagStates(Mapping[str, TagState]):
    """The views of all tags of a table, by name in declared order."""

    __slots__ = ("_table",)

    def __init__(self, table: TagTable) -> None:
        """Look at a table."""
        self._table = table

    def __getitem__(self, name: str) -> TagState:
        return self._table.state(self._table.places[name])

    def __len__(self) -> int:
        return len(self._table.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names)
