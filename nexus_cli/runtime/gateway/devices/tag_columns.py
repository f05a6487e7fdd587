"""The newest samples of a device's tags by column.

A device's answer is compared, converted and recorded by column, and its frame is cut from the columns; what looks at
one tag (commands, calculated tags, heartbeats, health) takes its `TagState` (`tag_table.py`).

See docs/decisions/0061.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.runtime.gateway.devices.tag_chain import FLOAT, NONE, OTHER, TRUTH, WHOLE, TagChain, chain_of
from nexus_cli.wire.frame_batch import EXACT, MOST_TAGS, NO_TIME, FrameColumns, Mark, Shape
from nexus_cli.wire.sample import REASON_NUMBER, REASONS, Quality, Reason, Value

Positions = npt.NDArray[np.intp]
"""Tags of a table by their place in declared order, each once."""
NEVER_US = 1 << 62
_GOOD = int(Quality.GOOD)
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


class TagColumns:
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
        free: Tags of the type json. What they hold is stored as it is, so `true` and 3 must not become the doubles that they
            equal: nothing but their value says what it was.
        on: Whether a tag is switched on; its device may be off.
        read: Whether a tag has values of the device: it has an address, and is switched on.
        prefix: Topic of the device in the live view, with a slash at its end; "" until the pipeline has the device.
    """

    __slots__ = (
        "chains",
        "code",
        "configs",
        "device",
        "due_us",
        "dues",
        "forgotten",
        "free",
        "kind",
        "kinds",
        "names",
        "number",
        "numbers",
        "on",
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
        self.on = np.array([one.enabled for one in self.configs], np.bool_)
        self.read = np.array([bool(one.address and one.enabled) for one in self.configs], np.bool_)
        self.free = frozenset(at for at, one in enumerate(configs.values()) if parse_type(one.type).base == "json")
        self.sourced = False
        self.forgotten = 0
        self.prefix = ""

    def __len__(self) -> int:
        return len(self.names)

    def is_read(self, positions: Positions) -> bool:
        """Whether some of these tags have values of the device, and are not calculated or switched off."""
        return bool(self.read[positions].any())

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Of which tags something was recorded."""
        found: npt.NDArray[np.bool_] = self.time_us > 0
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
        elif kind is bool and at not in self.free:
            self.kinds[at], self.numbers[at] = TRUTH, value  # type: ignore[assignment]
        elif kind is int and -EXACT <= value <= EXACT and at not in self.free:  # type: ignore[operator]
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
