"""Who may speak for a device: the gateway that reads it, and the ones before it for what they read then.

MQTT does not show the sender of a message. The gateway's level in its topics is bound to its user by the broker's access
rules; here that gateway is held against the recorded assignments.
"""

from __future__ import annotations

from nexus_cli.database.assignment import load_assignments
from nexus_cli.database.connect import Connection

SLACK_US = 300_000_000
"""A gateway hears of a deployment some seconds later, and clocks differ by up to 5 minutes."""
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
        """Up to which time (µs since 1970 UTC, slack included) a gateway speaks for a device; `NEVER_US` when never."""
        return self._until_us.get((gateway, device), NEVER_US)

    def may_feed(self, gateway: str, device: str, *, time_us: int) -> bool:
        """Whether what a gateway read as a tag of another device belongs to this one, where the tag was moved to: it
        reads this device too, or did then, or nobody who reads it now did yet."""
        return time_us <= max(self.until_us(gateway, device), self._since_us.get(device, NEVER_US))
