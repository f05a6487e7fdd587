"""A device's tags: their newest samples by column, and each tag as a view on its row.

See docs/decisions/0061.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.tag_chain import TagChain
from nexus_cli.runtime.gateway.devices.tag_columns import NEVER_US, NUMBER_OF, REASON_OF, Positions, TagColumns
from nexus_cli.wire.frame_batch import NO_TIME
from nexus_cli.wire.sample import Quality, Reason, Value

_QUALITY: dict[int, Quality] = {int(one): one for one in Quality}


class TagTable(TagColumns):
    """The columns of a device's tags, and a view of each tag."""

    __slots__ = ("_states",)

    def __init__(self, device: str, configs: Mapping[str, TagConfig]) -> None:
        """Compile the tags of a device; nothing is known of them."""
        super().__init__(device, configs)
        self._states: dict[int, TagState] = {}

    @property
    def states(self) -> Sequence[TagState]:
        """A view of each tag, in declared order."""
        return _States(self)

    def state(self, at: int) -> TagState:
        """The view of one tag; always the same object."""
        found = self._states.get(at)
        if found is None:
            found = self._states[at] = TagState(self, at)
        return found


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


__all__ = ["NEVER_US", "Positions", "TagState", "TagStates", "TagTable"]
