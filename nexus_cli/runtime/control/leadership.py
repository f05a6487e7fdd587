"""Leader election among the controls of a site: campaigning, renewing, and whether this control may still act.

One control of a site acts (alerts, marks, sequences, deployments, clearing); the rest answer reads and wait. Two checks
enforce that: the database refuses each write of an earlier term (`database/leader.py`), and `LeaderClient` publishes
only if the lead was confirmed recently. The second check needs a monotonic clock that also runs while the process or
the machine is suspended.

See docs/decisions/0032.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil
from ulid import ULID

from nexus_cli.database import leader as rows
from nexus_cli.database.connect import Connection, open_connection, plain_errors
from nexus_cli.database.errors import BUSY
from nexus_cli.database.leader import Leader, LeaderFacts, LeadLost
from nexus_cli.database.stopped import end_silent
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient

RENEWALS_PER_TTL = 3
MARGIN = 1.2
"""Factor by which a standby waits longer than the leader's own limit."""

Found = TypeVar("Found")
_log = logging.getLogger("nexus.control")


def suspended_clock_s() -> float:
    """Seconds on a monotonic clock that includes suspension, where there is one (Linux, clock_gettime(2))."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


class Leadership:
    """The state of one process in the election of one site.

    Attributes:
        instance: This process, a ULID.
        term: Its term while it leads; 0 while it does not.
        seen: The leader at the last check.
        problem: Why the database can't be queried; "" while it can.
        lost: Set when the term is over.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        ttl_s: float,
        now_s: Callable[[], float] = suspended_clock_s,
        alive: Callable[[LeaderFacts], bool | None] | None = None,
    ) -> None:
        """Campaign for a site.

        Args:
            settings: Site and database.
            clock: For waiting.
            ttl_s: A leader that was not confirmed for this long no longer acts, in seconds; a standby takes over a
                little later.
            now_s: See `suspended_clock_s`.
            alive: Whether the process of a leader's `facts` runs; None when unknown. Default: by host and process id.
        """
        self.instance = str(ULID())
        self.term = 0
        self.seen: Leader | None = None
        self.problem = ""
        self.lost = asyncio.Event()
        self._settings, self._clock, self._ttl_s, self._now_s = settings, clock, ttl_s, now_s
        self._alive = alive or process_lives
        self._confirmed_s = float("-inf")
        self._kick = asyncio.Event()
        self._answered = asyncio.Event()
        self._conn: Connection | None = None

    @property
    def pause_s(self) -> float:
        """Seconds between two checks of the database."""
        return self._ttl_s / RENEWALS_PER_TTL

    @property
    def acting(self) -> bool:
        """True while this control may act: it leads, and that was confirmed within the last `ttl_s`."""
        if not self.term or self.lost.is_set():
            return False
        if self._now_s() - self._confirmed_s < self._ttl_s:
            return True
        self._kick.set()  # check at once: after a pause of the process another control may lead
        return False

    def assert_acting(self) -> None:
        """Raise LeadLost unless this control may act now."""
        if not self.acting:
            raise LeadLost(self.why_not())

    async def confirmed(self) -> None:
        """Wait until the lead is confirmed again; short, after a pause of the process.

        Raises:
            LeadLost: The term is over.
        """
        while not self.acting:
            if not self.term or self.lost.is_set():
                raise LeadLost(self.why_not())
            await first_of(self.lost, self._answered, timeout_s=self.pause_s)

    def why_not(self) -> str:
        """Why this control does not act, for people."""
        if self.problem and not self.term:
            return self.problem
        if self.term and not self.lost.is_set():
            return "This control was paused and asks first whether it still leads."
        if self.seen is not None and self.seen.holder != self.instance and not self.seen.resigned:
            return f"This control is a standby: the one on {self.seen.place} leads."
        return "This control does not lead yet."

    def receive(self, term: int) -> None:
        """Another control announced its term on the broker: a later term ends this one, whatever the database has."""
        if self.term and term > self.term:
            self._lose("another control announced a later term")

    async def campaign(self, stop: asyncio.Event) -> bool:
        """Wait until this control leads; False when stopped before."""
        self.term, self.lost = 0, asyncio.Event()
        # A standby measures the leader by its own elapsed time, never by times in the row: clocks differ.
        still_since_s = self._now_s()
        while not stop.is_set():
            begun_s = self._now_s()
            try:
                found = await self._ask(lambda conn: rows.observe(conn, self._settings.site))
                if _moved(self.seen, found):
                    still_since_s = self._now_s()
                self.seen, self.problem = found, ""
                if self._free(found, still_s=self._now_s() - still_since_s) and await self._take(found, begun_s):
                    return True
            except NexusError as error:
                if not self.problem:
                    event(_log, error.message, level=logging.WARNING, cause=error.cause)
                self.problem = error.message
                still_since_s = self._now_s()  # without a check there is no proof that the leader stopped renewing
            await wait_for(stop, timeout_s=self.pause_s)
        return False

    async def hold(self, over: asyncio.Event) -> None:
        """Renew until the term is over or `over` is set.

        While the database does not answer this control keeps the lead, since no standby can take it over. If only this
        control is cut off, the new leader announces itself on the broker (`receive`).
        """
        while not over.is_set() and not self.lost.is_set():
            self._kick.clear()
            begun_s = self._now_s()
            try:
                ours = await self._ask(
                    lambda conn: rows.renew(conn, self._settings.site, term=self.term, lock_ttl_s=self._ttl_s)
                )
            except NexusError:
                ours = True
            if not ours:
                self._lose("another control took it over")
                return
            # From the start of the query: the answer may be late, and a standby counts from the renewal.
            self._confirmed_s = begun_s
            self._answered.set()
            self._answered = asyncio.Event()
            await first_of(over, self.lost, self._kick, timeout_s=self.pause_s)

    async def resign(self) -> None:
        """Release the lead, and close the connection."""
        try:
            if self.term and not self.lost.is_set():
                await self._ask(lambda conn: rows.resign(conn, self._settings.site, term=self.term))
        except NexusError:
            pass
        finally:
            self.term = 0
            self._drop()

    def _free(self, found: Leader | None, *, still_s: float) -> bool:
        if found is None or found.resigned or self._alive(found.facts) is False:
            return True
        return still_s > self._ttl_s * MARGIN

    async def _take(self, found: Leader | None, begun_s: float) -> bool:
        facts = process_facts(url=self._settings.control_url)

        async def take(conn: Connection) -> int | None:
            return await rows.take(conn, self._settings.site, holder=self.instance, facts=facts, seen=found)

        limit_s = rows.TAKE_LOCK_MS / 1000 + self._ttl_s
        try:
            term = await self._ask(take, timeout_s=limit_s)
        except NexusError as error:
            # The row of the previous term is locked, perhaps by the session of a suspended process.
            if error.code != BUSY or not await self._ask(end_silent):
                raise
            term = await self._ask(take, timeout_s=limit_s)
        if term is None:
            return False
        self.term, self._confirmed_s = term, begun_s
        event(_log, "control leads", term=term, before="" if found is None else found.place)
        return True

    def _lose(self, why: str) -> None:
        if not self.lost.is_set():
            event(_log, "control leads no more", level=logging.WARNING, term=self.term, why=why)
            self.lost.set()

    async def _ask(
        self, question: Callable[[Connection], Awaitable[Found]], *, timeout_s: float | None = None
    ) -> Found:
        """Query on a connection of its own: one of the pool could be delayed by slow readers."""
        limit_s = self._ttl_s / 2 if timeout_s is None else timeout_s
        try:
            with plain_errors(self._settings):
                async with asyncio.timeout(limit_s):
                    if self._conn is None or self._conn.is_closed():
                        self._conn = await open_connection(
                            self._settings, application="nexus-control-lead", timeout_s=limit_s
                        )
                    return await question(self._conn)
        except NexusError:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.terminate()
        self._conn = None


class LeaderClient(BrokerClient):
    """The leader's MQTT client: it publishes only while this control may act."""

    def __init__(
        self, *, leadership: Leadership, settings: Settings, client_id: str, will: tuple[str, bytes] | None = None
    ) -> None:
        """As `BrokerClient`, for a leader."""
        super().__init__(settings=settings, client_id=client_id, will=will)
        self._leadership = leadership

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """As `BrokerClient.publish`. Raises LeadLost when this control may not act."""
        self._leadership.assert_acting()
        await super().publish(topic, payload, qos=qos, retain=retain)

    def post(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> asyncio.Future[None]:
        """As `BrokerClient.post`. Raises LeadLost when this control may not act."""
        self._leadership.assert_acting()
        return super().post(topic, payload, qos=qos, retain=retain)


def process_facts(*, url: str = "") -> LeaderFacts:
    """Where this process runs, so that another one on the same machine can find out that it has ended."""
    host, boot, space = _place()
    started = psutil.Process().create_time()
    return LeaderFacts(host=host, boot=boot, space=space, pid=os.getpid(), started=started, url=url)


def process_lives(facts: LeaderFacts) -> bool | None:
    """Whether a process of this machine lives; None when it ran elsewhere, or when that is not known."""
    place = _place()
    if not place.boot or not facts.pid or place != (facts.host, facts.boot, facts.space):
        return None
    try:
        process = psutil.Process(facts.pid)
        return bool(abs(process.create_time() - facts.started) < 1.0) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError):
        return None


class _Place(NamedTuple):
    """Host, boot and process namespace: a process id is only valid where all three are equal."""

    host: str
    boot: str
    space: str


def _place() -> _Place:
    return _Place(socket.gethostname(), boot_id(), _namespace())


def boot_id() -> str:
    """The id of this machine's boot (random(4)); "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _moved(before: Leader | None, now: Leader | None) -> bool:
    if before is None or now is None:
        return before is not now
    return (before.term, before.renewals) != (now.term, now.renewals)


__all__ = [
    "LeadLost",
    "LeaderClient",
    "Leadership",
    "boot_id",
    "process_facts",
    "process_lives",
    "suspended_clock_s",
]
