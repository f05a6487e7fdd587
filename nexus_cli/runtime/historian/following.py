"""Watches the recorded state of the site: the database notifies at each commit, and every two seconds it is checked.

Control's notices go to gateways; a change of external devices affects no gateway, and a retained notice can be lost.
The same connection holds the turn of storing external messages and reads the database's clock.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from nexus_cli.database.committed import newest_commit_us
from nexus_cli.database.deployments import recorded_number
from nexus_cli.database.letter_retries import letters_notice, letters_wait
from nexus_cli.database.series import RECORDED_CHANNEL
from nexus_cli.database.session import server_time_us
from nexus_cli.database.turn import end_turn, take_turn
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.time_bounds import TimeBounds
from nexus_cli.runtime.lifecycle import wait_for

PERIOD_S = 2.0
TURN_S = 6.0
"""A historian that does not renew its turn for this long loses it to another one, in seconds."""
OTHERS = "others"
"""The work of the turn: storing the external messages that only one historian must store."""


class StateWatch:
    """Watches the recorded state over its own connection."""

    def __init__(
        self,
        *,
        link: DatabaseLink,
        site: str,
        name: str,
        clock: Clock,
        bounds: TimeBounds,
        on_recorded: Callable[[], None],
        on_turn: Callable[[], None],
        on_letters: Callable[[], None] = lambda: None,
        period_s: float = PERIOD_S,
        turn_s: float = TURN_S,
    ) -> None:
        """Join the parts.

        Args:
            link: Its own connection, since it waits on it.
            site: `enterprise/site`.
            name: Of this historian; with the machine's name it identifies the holder of the turn, also after a restart.
            clock: The historian's clock, for the comparison.
            bounds: Gets the database's clock.
            on_recorded: Called when the recorded state may have changed.
            on_turn: Called when this historian gets the turn.
            on_letters: Called when dead letters were given back.
            period_s: How often it checks without a notice, in seconds.
            turn_s: How long a turn lasts without a renewal, in seconds.
        """
        self._link, self._site, self._clock, self._bounds = link, site, clock, bounds
        self._owner = f"{name}@{socket.gethostname()}"
        self._on_recorded, self._on_turn, self._on_letters = on_recorded, on_turn, on_letters
        self._period_s, self._turn_s = period_s, turn_s
        self._ours_until_s = float("-inf")
        self._wake = asyncio.Event()
        self._was_notified = False
        self._listening: Any = None
        self._number: int | None = None

    @property
    def is_our_turn(self) -> bool:
        """True while this historian has the turn."""
        return self._clock.monotonic_s() < self._ours_until_s

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped, then release the turn."""
        try:
            while not stop.is_set():
                await self._link.use(self._round, stop=stop)
                await self._pause(stop)
            self._ours_until_s = float("-inf")
            await self._link.use(
                lambda conn: end_turn(conn, site=self._site, work=OTHERS, owner=self._owner), stop=stop
            )
        except StoppedError:
            return

    def look(self) -> None:
        """Check now, after a notice."""
        self._wake.set()

    async def begin(self, conn: Any) -> None:
        """Note the number of the recorded state; call it before the state is loaded for the first time, so that the first
        check of `run` finds every deployment since."""
        self._number = await recorded_number(conn, self._site)
        self._bounds.compare(await server_time_us(conn), newest_commit_us=await newest_commit_us(conn, site=self._site))
        await self._take_turn(conn)

    async def _pause(self, stop: asyncio.Event) -> None:
        """Wait for a notice, the end of the period or the stop."""
        until_s = self._clock.monotonic_s() + self._period_s
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            if await wait_for(self._wake, timeout_s=min(self._period_s, 0.25)):
                return

    async def _round(self, conn: Any) -> None:
        if conn is not self._listening:
            await conn.add_listener(RECORDED_CHANNEL, self._on_notice)
            self._listening = conn
        notified, self._was_notified = self._was_notified, False
        self._wake.clear()
        number = await recorded_number(conn, self._site)
        if notified or number != self._number:
            self._number = number
            self._on_recorded()
        if await letters_wait(conn, self._site):
            self._on_letters()
        self._bounds.compare(await server_time_us(conn))
        await self._take_turn(conn)

    async def _take_turn(self, conn: Any) -> None:
        asked_s, was_ours = self._clock.monotonic_s(), self.is_our_turn
        ours = await take_turn(conn, site=self._site, work=OTHERS, owner=self._owner, ttl_s=self._turn_s)
        self._ours_until_s = asked_s + self._turn_s if ours else float("-inf")
        if ours and not was_ours:
            self._on_turn()

    def _on_notice(self, _connection: Any, _process: int, _channel: str, payload: object) -> None:
        if payload == self._site:
            self._was_notified = True
            self._wake.set()
        elif payload == letters_notice(self._site):
            self._wake.set()
