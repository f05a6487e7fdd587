"""Keeps the broker's rights in line with what is not in the site file: periods, elevation, passwords.

A deployment brings its own rights in line. Between deployments they change when a user's period begins or ends, and when
a user is elevated, loses that, or gets a new password. See docs/decisions/0074.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from nexus_cli.access.passwords import Hashes
from nexus_cli.access.people import Moment
from nexus_cli.apply.rights import Resources, Rights, RightsGiven
from nexus_cli.database import credentials, elevations
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.site_passwords import SitePasswords
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

LONGEST_WAIT_S = 30.0
"""The wall clock may be set: it is looked at least this often, in seconds."""
AGAIN_S = 0.5
"""After an end at which nothing changed yet: the database's clock may be behind ours."""
RETRY_S = 2.0
PATIENCE_S = 10.0
"""How long a request waits for the rights that it changes, in seconds; they follow even so."""

_log = logging.getLogger("nexus.control")


class RightsKeeper:
    """Writes rights again whenever they change without a deployment.

    Attributes:
        rights: Where deployments write theirs.
    """

    def __init__(self, *, settings: Settings, pool: Pool, clock: Clock, may_act: Callable[[], None]) -> None:
        """Keep the rights of one site.

        Args:
            settings: The `.nexus` folder, and the site.
            pool: Where credentials and elevations are; a leader's.
            clock: For the moments at which periods begin and end.
            may_act: Raises NexusError once this control leads no more.
        """
        enterprise, _, name = settings.site.partition("/")
        self._settings, self._pool, self._clock, self._may_act = settings, pool, clock, may_act
        self._due = asyncio.Event()
        self._in_line = asyncio.Event()
        self._problem = ""
        self._site_passwords = SitePasswords(settings.site)
        self.rights = Rights(settings.home, enterprise=enterprise, site=name, given=self._given)

    @property
    def problem(self) -> str:
        """Why the rights could not be written at the last try, or what the broker has in their place; "" when they are in force."""
        return self._problem or self.rights.difference()

    async def changed(self) -> None:
        """A password or an elevation changed: the rights follow at once. Waits until they are in force, `PATIENCE_S` at most."""
        self._in_line.clear()
        self._due.set()
        await wait_for(self._in_line, timeout_s=PATIENCE_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Write the rights at the start and at each change, until stopped."""
        self._due.set()
        while not stop.is_set():
            if self._due.is_set() or self._out_of_date():
                self._due.clear()
                await self._follow(stop)
            self.rights.written.clear()
            await first_of(stop, self._due, self.rights.written, timeout_s=self._wait_s())
            if self._site_passwords.changed():
                self._due.set()

    def _out_of_date(self) -> bool:
        """Whether a period has begun or ended since the rights were written, or the wall clock was set back to before."""
        now_us, until_us = self._clock.wall_us(), self.rights.next_change_us
        return now_us < self.rights.of_us or (until_us is not None and now_us >= until_us)

    def _wait_s(self) -> float:
        if (until_us := self.rights.next_change_us) is None:
            return LONGEST_WAIT_S
        left_s = (until_us - self._clock.wall_us()) / 1e6
        return min(left_s, LONGEST_WAIT_S) if left_s > 0 else AGAIN_S

    async def _follow(self, stop: asyncio.Event) -> None:
        """Bring the rights in line; after a failure once more, soon."""
        try:
            with plain_errors(self._settings):
                self._may_act()
                await self.rights.again(self._recorded)
        except NexusError as error:
            if error.message != self._problem:
                event(_log, error.message, level=logging.WARNING, cause=error.cause)
            self._problem = error.message
            self._due.set()
            await wait_for(stop, timeout_s=RETRY_S)
            return
        self._problem = ""
        if not self._due.is_set():
            self._in_line.set()

    async def _recorded(self) -> Mapping[str, Attributes] | None:
        """The recorded state; None before the first deployment."""
        async with self._pool.acquire() as conn:
            if not await db.recorded_number(conn, self._settings.site):
                return None
            return await db.full_state(conn, self._settings.site)

    async def _given(self, states: Sequence[Resources]) -> RightsGiven:
        """Passwords and elevations that are on record now, with those that the site file refers to."""
        async with self._pool.acquire() as conn:
            if self._site_passwords.concern(states):
                async with conn.transaction():
                    await self._site_passwords.follow(conn, states)
            return await self._read_given(conn)

    async def _read_given(self, conn: Connection) -> RightsGiven:
        known = await credentials.every(conn, self._settings.site)
        when = Moment(at_us=self._clock.wall_us(), elevated=await elevations.elevated(conn, self._settings.site))
        slots = [slot for each in known.values() for slot in each]
        return RightsGiven(
            when=when,
            people={(slot.principal, slot.slot): _at_broker(slot.hashes) for slot in slots},
            ends_us=min((slot.expires for slot in slots if slot.expires is not None), default=None),
        )


def _at_broker(hashes: Mapping[str, str]) -> Hashes:
    """Without the form of the API's login, which no broker has any use for."""
    return Hashes(argon2id="", sha512=hashes["sha512"], sha256=hashes["sha256"])
