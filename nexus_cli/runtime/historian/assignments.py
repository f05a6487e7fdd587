"""The gateways that may send data of a device: the one that reads it, and earlier ones for their earlier reads.

MQTT does not show the sender of a message. The gateway's level in its topics is bound to its user by the broker's access
rules; here that gateway is compared with the recorded assignments.
"""

from __future__ import annotations

from nexus_cli.database.assignment import load_assignments
from nexus_cli.database.connect import Connection

SLACK_US = 300_000_000
"""Tolerance in µs: a gateway gets a deployment some seconds later, and clocks differ by up to 5 minutes."""
FOREVER_US = 1 << 62
NEVER_US = -1


class Assignments:
    """The assignments of one site in memory."""

    def __init__(self, *, site: str) -> None:
        """Start empty; `load` fills it."""
        self._site = site
        self._until_us: dict[tuple[str, str], int] = {}
        self._since_us: dict[str, int] = {}

    async def load(self, conn: Connection) -> None:
        """Read the assignments of the site."""
        found = await load_assignments(conn, site=self._site)
        self._until_us = {
            (each.gateway, each.device): FOREVER_US if each.until_us is None else each.until_us + SLACK_US
            for each in found
        }
        self._since_us = {each.device: each.since_us + SLACK_US for each in found if each.until_us is None}

    def until_us(self, gateway: str, device: str) -> int:
        """The end of a gateway's assignment to a device (µs since 1970 UTC, tolerance included); `NEVER_US` when it has
        none."""
        return self._until_us.get((gateway, device), NEVER_US)

    def may_feed(self, gateway: str, device: str, *, time_us: int) -> bool:
        """Whether data that a gateway read under a tag's former device may be stored under this one, to which the tag
        was moved: the gateway reads this device, did so at that time, or the present gateway did not read it yet."""
        return time_us <= max(self.until_us(gateway, device), self._since_us.get(device, NEVER_US))
