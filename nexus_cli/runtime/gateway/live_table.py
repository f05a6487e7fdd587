"""One device's tags in the live view: what is constant of their messages, and which of them wait.

Topic, unit and what surrounds the value never change under one configuration, so they are bytes that were made once;
the values of a device are formatted together. Whatever is unusual is encoded for itself, see `wire.payload`.

See docs/decisions/0064.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from nexus_cli.runtime.gateway.devices.tag_chain import FLOAT, NONE, OTHER, TRUTH, WHOLE
from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagState, TagTable
from nexus_cli.wire.frame_batch import NO_TIME
from nexus_cli.wire.mqtt.packets import topic_head
from nexus_cli.wire.payload import encode_live, live_end, live_moment
from nexus_cli.wire.sample import Quality, Value

NUMBER_BYTES = 25
"""The longest number of a payload."""
SMALL_BYTES = 512
"""Messages up to this size pass any broker, see `outbox.splitting`."""
_GOOD = int(Quality.GOOD)
Mask = npt.NDArray[np.bool_]


class LiveTable:
    """A device's tags in the live view.

    Attributes:
        table: Their newest samples.
        first: Number of the first tag among those of the whole live view.
        way: QoS and retain flag of all that are published; None when they differ.
        reported: Tags that the device reports; None when all are polled.
        shown: Tags that are published; None for all.
        every_us: Least time between two messages of a tag; None when there is none.
        held: Tags that wait for their time, with `every_us`.
        sent_us, sent_quality: When they were published last, monotonic, and with which quality; with `every_us`.
        repeats: Tags that wait only because they are published again; None for none.
        cursor: Where the next part begins when not all that wait can be sent.
    """

    __slots__ = (
        "_ends",
        "_every",
        "_heads",
        "_is_reported",
        "_odd",
        "_ways",
        "cursor",
        "every_us",
        "first",
        "held",
        "repeats",
        "reported",
        "sent_quality",
        "sent_us",
        "shown",
        "table",
        "way",
    )

    def __init__(self, table: TagTable, *, first: int) -> None:
        """Compile the messages of a device's tags; its topics are known."""
        configs = table.configs
        self.table, self.first, self.cursor = table, first, 0
        self._heads = [topic_head(table.prefix + name) for name in table.names]
        self._ends = [live_end(config.publish_unit or config.unit or None) for config in configs]
        rest = len(live_moment(0)) + NUMBER_BYTES + 32
        sizes = [len(head) + len(end) + rest for head, end in zip(self._heads, self._ends, strict=True)]
        odd = [bool(config.values) or size > SMALL_BYTES for config, size in zip(configs, sizes, strict=True)]
        self._odd = bytes(odd) if any(odd) else None
        shown = [config.live_publish for config in configs]
        self.shown = None if all(shown) else bytearray(shown)
        self.reported = _mask([config.mode != "poll" for config in configs])
        self._is_reported = None if self.reported is None else self.reported.tobytes()
        self._every = list(range(len(configs)))
        ways = [(config.live_qos, config.live_retain) for config in configs]
        same = len({way for way, config in zip(ways, configs, strict=True) if config.live_publish}) <= 1
        self._ways = () if same else tuple(ways)
        self.way = (
            next((way for way, is_shown in zip(ways, shown, strict=True) if is_shown), (1, True)) if same else None
        )
        every_us = [config.live_every_ms * 1000 for config in configs]
        self.every_us = np.array(every_us, np.int64) if any(every_us) else None
        self.repeats: Mask | None = None
        self.held = np.zeros(len(configs) if self.every_us is not None else 0, np.bool_)
        self.sent_us = np.full(len(self.held), -(1 << 62), np.int64)
        self.sent_quality = np.full(len(self.held), 255, np.uint8)

    def places(self, positions: Positions | None) -> list[int]:
        """Those of them that are published; None means all."""
        if self.shown is None:
            return self._every if positions is None else positions.tolist()
        shown = self.shown
        return [at for at in (self._every if positions is None else positions.tolist()) if shown[at]]

    def hide(self, name: str) -> bool:
        """Publish a removed tag no more; False when no tag is left."""
        at = self.table.places[name]
        if self.shown is None:
            self.shown = bytearray(b"\1" * len(self.table))
        self.shown[at], self.table.waiting[at] = 0, False
        if len(self.held):
            self.held[at] = False
        return any(self.shown)

    def waiting(self, *, reported: bool) -> list[int]:
        """The tags that wait, of one class, the one that is next first."""
        mask = self.table.waiting
        if self.reported is None:
            if reported:
                return []
        else:
            mask = mask & (self.reported if reported else ~self.reported)
        found: list[int] = mask.nonzero()[0].tolist()
        start = bisect_left(found, self.cursor) if self.cursor else 0
        return found[start:] + found[:start] if start else found

    def by_class(self, places: list[int]) -> list[tuple[bool, list[int]]]:
        """The tags that are reported, and those that are polled."""
        flags = self._is_reported
        if flags is None or len(places) == 1:
            return [(bool(flags and places and flags[places[0]]), places)]
        parts = ((True, [at for at in places if flags[at]]), (False, [at for at in places if not flags[at]]))
        return [(reported, part) for reported, part in parts if part]

    # --- the least time between two messages ----------------------------------------------------------------------

    def due(self, places: list[int], now_us: int) -> tuple[list[int], list[int]]:
        """Which of them may be published now, and which must wait; a change of quality waits for nothing."""
        if self.every_us is None:
            return places, []
        early = now_us - self.sent_us[places] < self.every_us[places]
        early &= self.table.quality[places] == self.sent_quality[places]
        self.held[places] &= early
        flags = early.tolist()
        return [at for at, wait in zip(places, flags, strict=True) if not wait], [
            at for at, wait in zip(places, flags, strict=True) if wait
        ]

    def until_us(self) -> int | None:
        """When the first held tag may be published; None when none is held."""
        held = self.held.nonzero()[0]
        if self.every_us is None or not len(held):
            return None
        return int((self.sent_us[held] + self.every_us[held]).min())

    def sent(self, places: list[int], now_us: int) -> None:
        """These were published."""
        if self.repeats is not None:
            self.repeats[places] = False
            if not self.repeats.any():
                self.repeats = None
        if self.every_us is not None:
            self.sent_us[places] = now_us
            self.sent_quality[places] = self.table.quality[places]

    # --- messages -------------------------------------------------------------------------------------------------

    def by_way(self, places: list[int]) -> list[tuple[tuple[int, bool], list[int]]]:
        """The tags by QoS and retain flag."""
        if self.way is not None:
            return [(self.way, places)]
        found: dict[tuple[int, bool], list[int]] = {}
        for at in places:
            found.setdefault(self._ways[at], []).append(at)
        return list(found.items())

    def head(self, at: int) -> bytes:
        """The topic of a tag, as a PUBLISH has it."""
        return self._heads[at]

    def heads(self, places: list[int]) -> list[bytes]:
        """The topics of some tags, as a PUBLISH has them."""
        heads = self._heads
        return [heads[at] for at in places]

    def ends(self, places: list[int]) -> list[bytes]:
        """The ends of their payloads, for `join_live`."""
        ends = self._ends
        return [ends[at] for at in places]

    def is_usual(self, places: list[int]) -> bool:
        """Whether the newest samples of all these tags can be joined: GOOD numbers and booleans without anything else."""
        table = self.table
        if self._odd is not None or table.sourced:
            return not any(map(self._is_odd, places))
        if len(places) == len(table):
            return table.qualities.count(_GOOD) == len(table) and not (
                table.kinds.count(NONE) or table.kinds.count(OTHER)
            )
        qualities, kinds = table.qualities, table.kinds
        return all(qualities[at] == _GOOD and 0 < kinds[at] < OTHER for at in places)

    def split(self, places: list[int]) -> tuple[list[int], list[int]]:
        """Those that can be joined, and the others."""
        odd = [self._is_odd(at) for at in places]
        return (
            [at for at, is_odd in zip(places, odd, strict=True) if not is_odd],
            [at for at, is_odd in zip(places, odd, strict=True) if is_odd],
        )

    def _is_odd(self, at: int) -> bool:
        table = self.table
        if table.qualities[at] != _GOOD or table.kinds[at] in (NONE, OTHER):
            return True
        if self._odd is not None and self._odd[at]:
            return True
        return table.sourced and bool(table.source_us[at] != NO_TIME)

    def values(self, places: list[int]) -> list[bool | int | float]:
        """The values of usual samples."""
        numbers, kinds = self.table.numbers, self.table.kinds
        found: list[bool | int | float] = [numbers[at] for at in places]
        if kinds.count(FLOAT) != len(kinds):
            for index, at in enumerate(places):
                if kinds[at] == WHOLE:
                    found[index] = int(found[index])
                elif kinds[at] == TRUTH:
                    found[index] = bool(found[index])
        return found

    def payload(self, at: int) -> bytes:
        """The newest sample of a tag, whatever it is."""
        return payload(self.table.state(at))


def payload(state: TagState) -> bytes:
    """The live payload of a tag's newest sample."""
    config, value = state.config, state.value
    return encode_live(
        value,
        time_us=state.time_us,
        quality=state.quality,
        source_time_us=state.source_us,
        unit=config.publish_unit or config.unit or None,
        label=config.values.get(_code(value)) if config.values and value is not None else None,
        reason=state.reason,
    )


def _code(value: Value) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _mask(flags: list[bool]) -> Mask | None:
    return np.array(flags, np.bool_) if any(flags) else None
