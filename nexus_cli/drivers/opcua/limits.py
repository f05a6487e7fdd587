"""How much one call may hold: by the server's make, by configuration, by the server's own word. Pure.

Source: the vendors' data sheets: S7-1200 100 a call and 1,000 items in all; S7-1500 500 and 10,000; Kepware 1,000; Ignition 64;
an unknown server 50.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Largest numbers per call; `items` is the sum of all monitored items of the server (0: not known).

    Attributes:
        read: Nodes a Read.
        write: Nodes a Write.
        monitor: Items a CreateMonitoredItems.
        browse: Nodes a Browse.
        items: Monitored items in all.
        filter: False when the server takes no deadband filter.
    """

    read: int
    write: int
    monitor: int
    browse: int
    items: int = 0
    filter: bool = True

    def within(self, server: Mapping[str, int]) -> Limits:
        """These limits, lowered to the server's own; 0 means that it has no limit."""

        def lower(ours: int, theirs: int) -> int:
            return min(ours, theirs) if theirs > 0 else ours

        return Limits(
            read=lower(self.read, server.get("read", 0)),
            write=lower(self.write, server.get("write", 0)),
            monitor=lower(self.monitor, server.get("monitor", 0)),
            browse=lower(self.browse, server.get("browse", 0)),
            items=self.items,
            filter=self.filter,
        )


PROFILES: dict[str, Limits] = {
    "s7-1200": Limits(read=100, write=100, monitor=100, browse=100, items=1_000, filter=False),
    "s7-1500": Limits(read=500, write=500, monitor=500, browse=500, items=10_000),
    "kepware": Limits(read=1_000, write=1_000, monitor=1_000, browse=1_000),
    "ignition": Limits(read=64, write=64, monitor=64, browse=64),
    "open": Limits(read=1_000, write=500, monitor=1_000, browse=500),
    "unknown": Limits(read=50, write=50, monitor=50, browse=50),
}
"""By `connection.profile`. `unknown` is the careful default until the server or the file says more."""


def configured(connection: Mapping[str, Any]) -> Limits:
    """The limits that the file gives: its profile, with `max_read`, `max_write` and `max_subscribe` over it."""
    base = PROFILES[connection.get("profile") or "unknown"]
    return Limits(
        read=int(connection.get("max_read") or base.read),
        write=int(connection.get("max_write") or base.write),
        monitor=int(connection.get("max_subscribe") or base.monitor),
        browse=base.browse,
        items=int(connection.get("max_items") or base.items),
        filter=base.filter,
    )
