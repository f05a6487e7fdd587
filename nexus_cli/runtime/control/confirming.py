"""The countdown of a deployment that has to be confirmed; when it was not in time, control takes it back by itself.

See docs/decisions/0103.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from nexus_cli.backoff import Backoff
from nexus_cli.database import confirmations
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.wording import duration
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.confirmation import Confirmation

EVERY_S = 1.0
WHO = "nexus.control"

DATABASE = "NX62"
"""Codes of a database that is away: `database_watch` says that, once."""
_log = logging.getLogger("nexus.apply")
RollBack = Callable[[int, str], Awaitable[int]]
"""Takes a deployment back, with the reason; gives the number of the rollback."""


class Confirming:
    """Counts down, for a control that leads.

    Attributes:
        waiting: What waits, as it was counted last; None when nothing does.
        problem: Why what was not confirmed is not taken back yet; "" when nothing keeps it.
    """

    def __init__(self, *, settings: Settings, pool: Pool, roll_back: RollBack, clock: Clock) -> None:
        """Join the parts. The clock's monotonic time is used alone."""
        self._settings, self._pool, self._roll_back, self._clock = settings, pool, roll_back, clock
        self.waiting: Confirmation | None = None
        self.problem = ""
        self._counted_s: float | None = None
        self._pause = Backoff(first_s=1.0, cap_s=60.0)
        self._again_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Count until stopped; what fails is tried again."""
        while not stop.is_set():
            try:
                with plain_errors(self._settings):
                    await self.tick()
            except NexusError as error:
                if error.message != self.problem and not error.code.startswith(DATABASE):
                    event(_log, error.message, level=logging.WARNING, cause=error.cause)
                self.problem = error.message
            await wait_for(stop, timeout_s=EVERY_S)

    def said(self) -> Confirmation | None:
        """What waits, with what keeps it from being taken back."""
        return None if self.waiting is None else self.with_problem(self.waiting)

    def with_problem(self, found: Confirmation) -> Confirmation:
        """A confirmation with what keeps it from being taken back; as it is, when it does not wait or nothing does."""
        if self.waiting is None or self.waiting.left_s > 0 or found.state != "waiting":
            return found
        return msgspec.structs.replace(found, problem=self.problem) if found.number == self.waiting.number else found

    def left(self) -> dict[tuple[str, ...], float]:
        """Seconds left by the number of the deployment, for the metric; empty when none waits."""
        return {} if self.waiting is None else {(str(self.waiting.number),): self.waiting.left_s}

    async def tick(self) -> None:
        """Count once, and take back what has nothing left."""
        now_s = self._clock.monotonic_s()
        async with self._pool.acquire() as conn:
            if self._counted_s is None:
                await confirmations.catch_up(conn, self._settings.site)
                elapsed_us = 0
            else:
                elapsed_us = round((now_s - self._counted_s) * 1e6)
            self.waiting = await confirmations.count_down(conn, self._settings.site, elapsed_us=elapsed_us)
        self._counted_s = now_s
        if self.waiting is None or self.waiting.left_s > 0:
            self._pause.reset()
            self._again_s, self.problem = 0.0, ""
        elif now_s >= self._again_s:
            await self._take_back(self.waiting, now_s)

    async def _take_back(self, found: Confirmation, now_s: float) -> None:
        self._again_s = now_s + self._pause.next_s()
        reason = f"deployment {found.number} was not confirmed within {duration(found.within_s * 1000)}"
        number = await self._roll_back(found.number, reason)
        event(_log, "deployment rolled back", level=logging.WARNING, number=found.number, by=number, reason=reason)
