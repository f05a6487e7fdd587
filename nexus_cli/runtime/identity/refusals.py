"""What control's API refused: in the audit trail and as a counter, without letting an attacker fill either.

The first refusal of a kind, caller and address is written at once, further ones at most once a minute with their
number. No token and no password is in them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass

from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.throttle import network_of
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

REASONS = ("token", "expired", "revoked", "forbidden", "apply", "login", "throttled", "oidc")
"""Label `reason` of `nexus_control_refused_total`."""
REASON_OF = {
    "NX6401": "token",
    "NX6412": "expired",
    "NX6413": "revoked",
    "NX6403": "forbidden",
    "NX6421": "forbidden",
    "NX6422": "forbidden",
    "NX6411": "apply",
    "NX6415": "login",
    "NX6416": "throttled",
    "NX6419": "oidc",
}
PERIOD_S = 60.0
"""Shortest time between two rows about the same, in seconds."""
MOST = 500
"""Kinds of refusals that are counted each by itself; further ones are counted together."""
ROWS_A_MINUTE = 120
"""Rows of the trail in a minute, whatever comes: an attacker with many names or addresses fills no table."""
LOOK_S = 1.0
OTHERS = "(others)"

_log = logging.getLogger("nexus.control")


@dataclass(slots=True)
class _Waiting:
    count: int = 0
    written_s: float | None = None
    code: str = ""
    route: str = ""


Key = tuple[str, str, str]
"""Reason, who, address."""


class Refusals:
    """Counts and writes refusals.

    Attributes:
        counts: Since the start, by reason.
    """

    def __init__(self, *, settings: Settings, pool: Pool, clock: Clock) -> None:
        """Nothing was refused yet."""
        self._settings, self._pool, self._clock = settings, pool, clock
        self._waiting: OrderedDict[Key, _Waiting] = OrderedDict()
        self._minute_s, self._rows = clock.monotonic_s(), 0
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many are counted each by itself at the moment."""
        return len(self._waiting)

    def note(self, code: str, *, who: str = "", address: str = "", route: str = "") -> None:
        """Count a refusal; one whose code is none of access is left out.

        Args:
            code: Of the refusal.
            who: As far as it is known; "" otherwise.
            address: Of the client.
            route: `METHOD /path`, without its query.
        """
        reason = REASON_OF.get(code)
        if reason is None:
            return
        self.counts[reason] += 1
        key = (reason, _short(who), network_of(address))
        if key not in self._waiting and len(self._waiting) >= MOST:
            key = (reason, OTHERS, "")
        found = self._waiting.setdefault(key, _Waiting())
        found.count, found.code, found.route = found.count + 1, code, _short(route)

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is due until stopped."""
        while not await wait_for(stop, timeout_s=LOOK_S):
            await self.write()
        await self.write()

    async def write(self) -> None:
        """Write what is due; without a database it waits."""
        now_s = self._clock.monotonic_s()
        if now_s - self._minute_s >= PERIOD_S:
            self._minute_s, self._rows = now_s, 0
        due = [(key, found) for key, found in self._waiting.items() if found.count and _is_due(found, now_s)]
        due = due[: max(0, ROWS_A_MINUTE - self._rows)]
        try:
            if due:
                await self._insert(due)
        except NexusError as error:
            event(_log, error.message, level=logging.DEBUG, cause=error.cause)
            return
        for _, found in due:
            found.count, found.written_s = 0, now_s
        self._rows += len(due)
        idle = [key for key, found in self._waiting.items() if not found.count and _is_due(found, now_s)]
        for key in idle:
            del self._waiting[key]

    async def _insert(self, due: list[tuple[Key, _Waiting]]) -> None:
        counted = [(key, found.count, found.code, found.route) for key, found in due]
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn, conn.transaction():
                for (reason, who, address), count, code, route in counted:
                    detail = {"reason": reason, "code": code, "count": count, "address": address, "detail": route}
                    site = self._settings.site
                    await db.write_audit(conn, site, who=who, what="refused", subject=address, detail=detail)


def _is_due(found: _Waiting, now_s: float) -> bool:
    return found.written_s is None or now_s - found.written_s >= PERIOD_S


def _short(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text[:200])
