"""One device's tags in the live view: what is constant of their messages, and which of them wait.

Topic, unit and what surrounds the value never change under one configuration, so they are bytes that were made once;
the values of a device are formatted together. Whatever is unusual is encoded for itself, see `wire.payload`.

See docs/decisions/0064.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexus_cli.runtime.gateway.devices.tag_table import FLOAT, NONE, OTHER, TRUTH, WHOLE, Positions, TagState, TagTable
from nexus_cli.wire.frame_batch import NO_TIME
from nexus_cli.wire.mqtt.packets import topic_head
from nexus_cli.wire.payload import encode_live, join_live, live_end, live_moment
from nexus_cli.wire.sample import Quality, Value

NUMBER_BYTES = 25
"""The longest number of a payload."""
SMALL_BYTES = 512
"""Messages up to this size pass any broker, see `outbox.splitting`."""
_GOOD = int(Quality.GOOD)
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Way:
    """How some tags of a device are published.

    Attributes:
        qos, retain: As in MQTT.
        tags: Which ones; None for all.
    """

    qos: int
    retain: bool
    tags: Mask | None


class LiveTable:
    """A device's tags in the live view.

    Attributes:
        table: Their newest samples.
        first: Number of the first tag among those of the whole live view.
        ways: How they are published; tags that are not published are in none.
        reported: Tags that the device reports; None when all are polled.
        shown: Tags that are published; None for all.
        every_us: Least time between two messages of a tag; None when there is none.
        longest: Bytes of the longest topic.
        held: Tags that wait for their time, with `every_us`.
        sent_us, sent_quality: When they were published last, monotonic, and with which quality; with `every_us`.
        repeats: Tags that wait only because they are published again; None for none.
        cursor: Where the next part begins when not all that wait can be sent.
    """

    __slots__ = (
        "_ends",
        "_heads",
        "_odd",
        "cursor",
        "every_us",
        "first",
        "held",
        "longest",
        "repeats",
        "reported",
        "sent_quality",
        "sent_us",
        "shown",
        "table",
        "ways",
    )

    def __init__(self, table: TagTable, *, first: int) -> None:
        """Compile the messages of a device's tags; its topics are known."""
        configs = table.configs
        self.table, self.first, self.cursor = table, first, 0
        self._heads = [topic_head(table.prefix + name) for name in table.names]
        self._ends = [live_end(config.publish_unit or config.unit or None) for config in configs]
        rest = len(live_moment(0)) + NUMBER_BYTES + 32
        self.longest = max(map(len, self._heads), default=2) - 2
        sizes = [len(head) + len(end) + rest for head, end in zip(self._heads, self._ends, strict=True)]
        odd = [bool(config.values) or size > SMALL_BYTES for config, size in zip(configs, sizes, strict=True)]
        self._odd = _mask(odd)
        shown = [config.live_publish for config in configs]
        self.shown = None if all(shown) else np.array(shown, np.bool_)
        self.reported = _mask([config.mode != "poll" for config in configs])
        kinds = dict.fromkeys((config.live_qos, config.live_retain) for config in configs if config.live_publish)
        self.ways = [
            Way(
                *kind,
                None
                if len(kinds) == 1
                else np.array([(config.live_qos, config.live_retain) == kind for config in configs], np.bool_),
            )
            for kind in kinds
        ]
        every_us = [config.live_every_ms * 1000 for config in configs]
        self.every_us = np.array(every_us, np.int64) if any(every_us) else None
        self.repeats: Mask | None = None
        self.held = np.zeros(len(configs) if self.every_us is not None else 0, np.bool_)
        self.sent_us = np.full(len(self.held), -(1 << 62), np.int64)
        self.sent_quality = np.full(len(self.held), 255, np.uint8)

    def positions(self, positions: Positions | None) -> Positions:
        """Those of them that are published; None means all."""
        if self.shown is None:
            return np.arange(len(self.table)) if positions is None else positions
        return self.shown.nonzero()[0] if positions is None else positions[self.shown[positions]]

    def hide(self, name: str) -> bool:
        """Publish a removed tag no more; False when no tag is left."""
        at = self.table.places[name]
        if self.shown is None:
            self.shown = np.ones(len(self.table), np.bool_)
        self.shown[at] = self.table.waiting[at] = False
        if len(self.held):
            self.held[at] = False
        return bool(self.shown.any())

    def waiting(self, *, reported: bool) -> Positions:
        """The tags that wait, of one class, the one that is next first."""
        mask = self.table.waiting
        if self.reported is not None:
            mask = mask & (self.reported if reported else ~self.reported)
        found = mask.nonzero()[0]
        if not self.cursor or not len(found):
            return found
        return np.roll(found, -int(np.searchsorted(found, self.cursor)))

    def by_class(self, positions: Positions) -> list[tuple[bool, Positions]]:
        """The tags that are reported, and those that are polled."""
        if self.reported is None:
            return [(False, positions)]
        is_reported = self.reported[positions]
        parts = ((True, positions[is_reported]), (False, positions[~is_reported]))
        return [(reported, part) for reported, part in parts if len(part)]

    # --- the least time between two messages ----------------------------------------------------------------------

    def due(self, positions: Positions, now_us: int) -> tuple[Positions, Positions]:
        """Which of them may be published now, and which must wait; a change of quality waits for nothing."""
        if self.every_us is None:
            return positions, positions[:0]
        early = now_us - self.sent_us[positions] < self.every_us[positions]
        early &= self.table.quality[positions] == self.sent_quality[positions]
        now = positions[~early]
        self.held[now] = False
        return now, positions[early]

    def until_us(self) -> int | None:
        """When the first held tag may be published; None when none is held."""
        held = self.held.nonzero()[0]
        if self.every_us is None or not len(held):
            return None
        return int((self.sent_us[held] + self.every_us[held]).min())

    def sent(self, positions: Positions, now_us: int) -> None:
        """These were published."""
        if self.repeats is not None:
            self.repeats[positions] = False
            if not self.repeats.any():
                self.repeats = None
        if self.every_us is not None:
            self.sent_us[positions] = now_us
            self.sent_quality[positions] = self.table.quality[positions]

    # --- messages -------------------------------------------------------------------------------------------------

    def heads(self, places: list[int]) -> list[bytes]:
        """The topics of some tags, as a PUBLISH has them."""
        heads = self._heads
        return [heads[at] for at in places]

    def payloads(self, positions: Positions, places: list[int]) -> list[bytes]:
        """The newest samples of tags; `places` are the same positions."""
        table, count = self.table, len(places)
        kinds = table.kind[positions].tobytes()
        usual = table.quality[positions].tobytes().count(_GOOD) == count
        usual = usual and self._odd is None and not kinds.count(NONE) and not kinds.count(OTHER)
        if usual and not (table.sourced and (table.source_us[positions] != NO_TIME).any()):
            return self._joined(positions, places, kinds)
        kind = table.kind[positions]
        odd = (table.quality[positions] != _GOOD) | (kind == NONE) | (kind == OTHER)
        odd |= table.source_us[positions] != NO_TIME
        if self._odd is not None:
            odd |= self._odd[positions]
        joined = iter(self._usual(positions[~odd]))
        return [self.payload(at) if is_odd else next(joined) for at, is_odd in zip(places, odd.tolist(), strict=True)]

    def _usual(self, positions: Positions) -> list[bytes]:
        if not len(positions):
            return []
        return self._joined(positions, positions.tolist(), self.table.kind[positions].tobytes())

    def _joined(self, positions: Positions, places: list[int], kinds: bytes) -> list[bytes]:
        values: list[bool | int | float] = self.table.number[positions].tolist()
        if kinds.count(FLOAT) != len(kinds):
            for index, kind in enumerate(kinds):
                if kind == WHOLE:
                    values[index] = int(values[index])
                elif kind == TRUTH:
                    values[index] = bool(values[index])
        times = self.table.time_us[positions]
        first_us = int(times[0])
        if times.tobytes() == times[:1].tobytes() * len(places):
            moments = [live_moment(first_us)] * len(places)
        else:
            moments = [live_moment(time_us) for time_us in times.tolist()]
        ends = self._ends
        return join_live(values, moments, [ends[at] for at in places])

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
