"""One link: connects with back-off, polls its devices, keeps their subscriptions, and contains every failure.

`except Exception` is allowed here, around one link: a driver's bug costs its own link a reconnect and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.foreign import Door, name_of
from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers.base import Doubtful, Driver, DriverError, Quickened
from nexus_cli.drivers.door import GuardedSession, guarded
from nexus_cli.drivers.timeouts import slowest_s
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.field.link_devices import LinkDevices
from nexus_cli.runtime.gateway.field.link_state import LinkState
from nexus_cli.runtime.gateway.field.link_times import LinkTimes
from nexus_cli.runtime.gateway.field.polling import Poller, Work, WorkQueue
from nexus_cli.runtime.gateway.field.prompt import PromptPolls
from nexus_cli.runtime.gateway.field.schedule import CHECK_S, CheckTimer
from nexus_cli.runtime.gateway.field.subscriptions import Subscriptions
from nexus_cli.runtime.gateway.field.wakeup import Wakeup
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.progress import Activity
from nexus_cli.wire.sample import Reason

_log = logging.getLogger("nexus.link")
LINK_FIRST_S, LINK_LONGEST_S = 1.0, 60.0
STUCK_S = 30.0
"""A call to a driver that takes longer than this plus twice the link's longest time-out hangs, in seconds."""
OVERDUE_S = 5.0
COSTLY_TRIES = 2
"""Costly attempts (`DriverError.rest_s`) before the link rests."""
WORK_QUEUE = 64
"""Work that waits for a link (policy: refuse the newest)."""


class Supervisor:
    """Owns one link. `apply` sets its devices; `run` does the work.

    Attributes:
        link: The link's id.
        driver: The driver of its protocol, behind the door.
        state, times: For health.
        devices: The running devices, by path.
        reconnects: Sessions opened after the first.
    """

    def __init__(
        self,
        link: str,
        *,
        driver: Driver,
        link_keys: frozenset[str],
        home: str,
        clock: Clock,
        pipeline: Pipeline,
        latencies: Latencies,
        changed: Callable[[], None],
    ) -> None:
        """Prepare a link without devices.

        Args:
            link: Link id.
            driver: The driver of its protocol.
            link_keys: Connection keys whose change needs a new session.
            home: The `.nexus` folder, for certificates.
            clock: Time.
            pipeline: Takes the cycles.
            latencies: Of `read` and `poll`.
            changed: Called when the state of the link changes.
        """
        self.link = link
        self.state, self.times = LinkState(clock), LinkTimes(clock)
        self.reconnects = 0
        self.driver, self._home = guarded(driver), home
        self._devices = LinkDevices(self.driver, link_keys=link_keys, clock=clock, pipeline=pipeline)
        self.devices = self._devices.by_path
        self._clock, self._pipeline, self._latencies, self._changed = clock, pipeline, latencies, changed
        self._schedule = self._devices.schedule
        self._backoff = Backoff(first_s=LINK_FIRST_S, cap_s=LINK_LONGEST_S)
        self._wake = Wakeup()
        self._work = WorkQueue()
        self._reconfigured = False
        self._reconnect = False
        self._ever_connected = False
        self._costly = 0
        self._lost_published = False
        self._reopening_logged = False
        self._polling = False
        self._session: GuardedSession | None = None
        self._busy = False
        self._turns = 0

    def apply(self, wanted: Sequence[tuple[DeviceConfig, str]]) -> dict[str, str]:
        """Run these devices (config and digest) from now on, and return the details of those that failed, by path.

        A device whose digest is unchanged is not touched: it keeps its session, phase and deadband memory.
        """
        failed, needs_session = self._devices.apply(wanted)
        self._reconnect |= needs_session
        self._reconfigured = True
        self._wake.set()
        return failed

    def announce(self) -> None:
        """Publish what is known of changed devices without a read; see `LinkDevices.announce`."""
        self._devices.announce(link_lost=self._lost_published)

    @property
    def connected(self) -> bool:
        """True while a session is open."""
        return self.state.state == "connected"

    @property
    def settled(self) -> bool:
        """True once the session is as `apply` said last: closed, or without the devices that are switched off."""
        return not self._reconfigured and (bool(self._devices.enabled()) or self.state.state == "idle")

    def free_s(self) -> float:
        """Seconds until a poll is due, 0 while one runs or the link is down; for work that is not urgent."""
        if self._polling or not self.connected:
            return 0.0
        following_s = self._schedule.next_s()
        return CHECK_S if following_s is None else max(0.0, following_s - self._clock.monotonic_s())

    def activity(self) -> Activity:
        """The progress of this link: it stalls when a call to the driver does not end, or due polls do not begin."""
        overdue_s = self._clock.monotonic_s() - (self._schedule.next_s() or float("inf"))
        calls = 0 if self._session is None else self._session.calls
        timeout_s = max((slowest_s(device.config.connection) for device in self.devices.values()), default=0.0)
        return Activity(
            waits=self._busy or (self.connected and overdue_s > OVERDUE_S),
            moved=(self._turns, calls),
            limit_s=STUCK_S + 2 * timeout_s,
            problem=f"link {self.link} says {self.state.state} and does nothing",
        )

    def failed(self, detail: str) -> None:
        """Its task ended without a stop and will be restarted: its tags are BAD until then."""
        self._busy, self._session = False, None
        if self.state.to("backoff", detail):
            self._changed()
        self._devices.publish_all_bad(Reason.LINK_LOST)
        self._lost_published = True

    def submit(self, work: Work, *, dropped: Callable[[str], None] | None = None) -> bool:
        """Queue work for the session, before the next poll; False when the queue is full or the link is down.

        Args:
            work: Runs alone, in the order of submission.
            dropped: Called with the reason instead of `work` when the link is lost before `work` begins.
        """
        if len(self._work) >= WORK_QUEUE or not self.connected:
            return False
        self._work.append(work, dropped)
        self._wake.set()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the link until stopped."""
        try:
            await self._run(stop)
        finally:
            self._work.drop("the link was closed")

    async def _run(self, stop: asyncio.Event) -> None:
        async with Group() as group:

            async def relay() -> None:
                await stop.wait()
                self._wake.set()

            relaying = group.create_task(relay(), name=f"stop {self.link}")
            while not stop.is_set():
                if not self._devices.enabled():
                    if self.state.to("idle"):
                        self._changed()
                    self._wake.clear()
                    if not (stop.is_set() or self._reconfigured):
                        await self._wake.wait(None)
                    self._reconfigured = False
                    continue
                await self._run_session(stop)
            relaying.cancel()

    async def _run_session(self, stop: asyncio.Event) -> None:
        """One session from connect to its end, and the wait before the next."""
        self._reconnect = False
        self._reconfigured = False  # changes during the connect are configured on the new session
        if self.state.state != "backoff":
            self.state.to("connecting")
            self._changed()
        enabled = self._devices.enabled()
        self._busy = True
        self._turns += 1
        try:
            with Door(_broke_off):
                opening = self.driver.connect(enabled, home=self._home)
                session = self._session = await self.times.connecting(opening)
                try:
                    self._connected()
                    await self._serve(session, stop)
                finally:
                    await session.close()
        except DriverError as error:
            await self._lost(error.message, error.reason, error.code, stop, rest_s=self._rest_s(error))
        except Exception as error:  # noqa: BLE001 - the one boundary of the runtime
            # A bug in a driver costs its own link a reconnect, and the log has the traceback.
            _log.exception("the driver of link %s failed", self.link)
            await self._lost(name_of(error), Reason.LINK_LOST, 0, stop)
        finally:
            self._busy, self._session = False, None

    def _connected(self) -> None:
        if self._ever_connected:
            self.reconnects += 1
        self._ever_connected = True
        self._costly = 0
        self._lost_published = False
        if self.state.to("connected"):
            event(_log, "link connected", link=self.link)
        for device in self.devices.values():
            device.blocked_s, device.subscribed = 0.0, False
        self._reopening_logged = False
        self._changed()

    async def _serve(self, session: GuardedSession, stop: asyncio.Event) -> None:
        """Poll and keep subscriptions until the session ends, the stop is set or the link's own keys change."""
        subscriptions = Subscriptions(
            session,
            driver=self.driver,
            clock=self._clock,
            pipeline=self._pipeline,
            meanwhile=self._devices.poll_meanwhile,
        )
        check_s = session.inner.check_s if isinstance(session.inner, Quickened) else None
        timer = CheckTimer(self._clock.monotonic_s(), check_s=check_s)
        doubts = list(session.inner.doubts) if isinstance(session.inner, Doubtful) else []

        def want_check() -> None:
            timer.request()
            self._wake.set()

        def reopens() -> bool:
            # Reports are lost with their session, so with subscriptions the loss of the session must be visible.
            return not (subscriptions.open or stop.is_set() or self._reconnect)

        async def reopen(error: DriverError) -> bool:
            return await self._reopen(session, error, want_check)

        poller = Poller(
            session,
            self.driver,
            clock=self._clock,
            pipeline=self._pipeline,
            work=self._work,
            latencies=self._latencies,
            reopen=reopen,
            reopens=reopens,
        )
        polls = PromptPolls(
            session,
            poller=poller,
            devices=self.devices,
            schedule=self._schedule,
            check=timer,
            clock=self._clock,
            pipeline=self._pipeline,
            work=self._work,
            wake=self._wake,
            turn=lambda begins: self._poll_turn(timer, begins=begins),
        )
        session.call_me(want_check)
        try:
            while not stop.is_set() and not self._reconnect:
                self._wake.clear()
                self._busy = True
                self._turns += 1
                if self._reconfigured:
                    self._reconfigured = False
                    if not self._devices.enabled():
                        return
                    await session.configure(self._devices.enabled())
                    self._changed()
                delay_s = await self._serve_once(poller, subscriptions, timer, doubts)
                unfinished = await polls.wait(delay_s, reports=subscriptions.wanted)
                if unfinished is not None and await poller.resume(unfinished):
                    self._answered(timer)
        finally:
            self._polling = False
            await subscriptions.close()

    def _poll_turn(self, timer: CheckTimer, *, begins: bool) -> None:
        """A poll without the task begins, or ends well."""
        self._polling = self._busy = begins
        self._turns += 1
        self._time_turn(begins=True) if begins else self._answered(timer)

    def _time_turn(self, *, begins: bool) -> None:
        self.times.turn(begins=begins, calls=0 if self._session is None else self._session.calls)

    def _answered(self, timer: CheckTimer) -> None:
        """A poll turn ended well, wherever it began."""
        self._time_turn(begins=False)
        self._backoff.reset()
        timer.answered(self._clock.monotonic_s())

    async def _serve_once(
        self, poller: Poller, subscriptions: Subscriptions, timer: CheckTimer, doubts: Sequence[str]
    ) -> float:
        """Do everything that is due on the session, work first; returns the seconds until the next time.

        Raises:
            DriverError: With scope SESSION.
        """
        await subscriptions.renew(self.devices)
        detail = "; ".join([*doubts, *([subscriptions.limits] if subscriptions.limits else [])])
        if detail != self.state.detail:
            self.state.to("connected", detail)
            self._changed()
        await poller.work()
        due = self._schedule.pop_due(self._clock.monotonic_s())
        self._polling = bool(due)
        self._time_turn(begins=True)
        answered = bool(due) and await poller.poll(self.devices, [(key, one.missed) for key, one in due])
        if answered:
            self._answered(timer)
        now_s = self._clock.monotonic_s()
        # In this order: a repeated heartbeat claims that the device still has the value, so the session is checked
        # first, and a value that a read of silent tags contradicts is not repeated.
        still = subscriptions.due(now_s)
        if timer.begin(now_s) or still:
            await poller.check()
            self._backoff.reset()
        await subscriptions.read_silent()
        subscriptions.repeat(still)
        now_s = self._clock.monotonic_s()
        self._polling = self._busy = False
        following_s = self._schedule.next_s()
        until_s = min(timer.next_s, subscriptions.next_s)
        return (until_s if following_s is None else min(following_s, until_s)) - now_s

    def _rest_s(self, error: DriverError) -> float:
        """How long to rest, in seconds: from the second costly attempt in a row that fails, else 0."""
        self._costly = self._costly + 1 if error.rest_s else 0
        return error.rest_s if self._costly >= COSTLY_TRIES else 0.0

    async def _reopen(self, session: GuardedSession, error: DriverError, want_check: Callable[[], None]) -> bool:
        """Replace a session that the device ended during a poll: idle, worn out, or for a request. False when that fails."""
        if not (enabled := self._devices.enabled()):
            return False
        await session.close()
        try:
            with Door(_broke_off):
                fresh = await self.driver.connect(enabled, home=self._home)
        except DriverError:
            return False
        session.become(fresh)
        session.call_me(want_check)
        self.reconnects += 1
        if not self._reopening_logged:
            self._reopening_logged = True
            event(_log, "link opened again within a poll", link=self.link, detail=error.message)
        return True

    async def _lost(self, detail: str, reason: Reason, code: int, stop: asyncio.Event, *, rest_s: float = 0.0) -> None:
        self._busy = False
        wait_s = max(rest_s, self._backoff.next_s())
        if rest_s:
            detail = f"{detail}; tried {COSTLY_TRIES} times, again in {rest_s / 60:.0f} min, or when its configuration changes"
        if self.state.to("backoff", detail):
            event(_log, "link lost", level=logging.WARNING, link=self.link, detail=detail)
        self._changed()
        self._work.drop(detail)
        # A refused login and a changed symbol table keep their reason; any other end of a session is `link_lost`.
        published = reason if reason in (Reason.ACCESS_DENIED, Reason.SYMBOL_CHANGED) else Reason.LINK_LOST
        self._devices.publish_all_bad(published, code, detail=detail)
        self._lost_published = True
        until_s = self._clock.monotonic_s() + wait_s
        while (left_s := until_s - self._clock.monotonic_s()) > 0 and not (self._reconnect or stop.is_set()):
            self._wake.clear()
            if stop.is_set():
                return
            await self._wake.wait(left_s)


def _broke_off(error: BaseException) -> RuntimeError:
    return RuntimeError(f"a foreign {name_of(error)} came out of it")


__all__ = ["Supervisor", "Work"]
