"""The tags of one device that were recorded at one moment, while they are collected."""

from __future__ import annotations

import numpy as np

from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagState, TagTable


class Cycle:
    """The samples of one device and one moment: which tags have one. What they are is in the device's table, until the
    next cycle of this device begins.

    Attributes:
        time_us: Gateway time of all of them.
        table: The device's tags; None before the first sample.
        single: Positions that were recorded one by one, in order.
        many: Positions that were recorded by column, each array once per tag.
    """

    __slots__ = ("many", "single", "table", "time_us")

    def __init__(self, time_us: int) -> None:
        """Start an empty one at a gateway time, µs since 1970 UTC."""
        self.time_us = time_us
        self.table: TagTable | None = None
        self.single: dict[int, None] = {}
        self.many: list[Positions] = []

    def __bool__(self) -> bool:
        return bool(self.single or self.many)

    def positions(self) -> Positions:
        """The recorded tags, each once: a tag that was recorded twice (read, then calculated or BAD) has its last
        sample."""
        many, single = self.many, self.single
        if not many:
            return np.fromiter(single, np.intp, len(single))
        if len(many) == 1 and not single:
            return many[0]
        assert self.table is not None
        found = np.zeros(len(self.table), np.bool_)
        for one in many:
            found[one] = True
        if single:
            found[list(single)] = True
        return found.nonzero()[0]

    def states(self) -> list[TagState]:
        """The recorded tags."""
        table = self.table
        return [] if table is None else [table.state(at) for at in self.positions().tolist()]
