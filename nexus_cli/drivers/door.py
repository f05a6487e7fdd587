"""The door to every driver: what its library raises past `DriverError` becomes one, and what it does is counted.

`registry.driver` and the gateway's supervisors give out guarded drivers only, so no caller meets a bare session.
An exception of the driver's own (a bug) passes: the supervisor contains it, with the whole of it in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from nexus_cli.diagnostics.foreign import Door, is_foreign, name_of
from nexus_cli.drivers.base import (
    EVERYTHING,
    Browsed,
    BrowseOptions,
    Calling,
    Driver,
    DriverError,
    Fault,
    Opinion,
    Point,
    Promise,
    Prompt,
    ReadResult,
    Request,
    Scope,
    Sent,
    Session,
    Sink,
    Subscription,
    Taken,
)
from nexus_cli.drivers.plugin import Ask
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value

T = TypeVar("T")
_log = logging.getLogger("nexus.link")
CLOSE_S = 5.0


class GuardedSubscription:
    """See `drivers.base.Subscription`."""

    def __init__(self, inner: Subscription) -> None:
        self.inner = inner
        self.faults: Mapping[str, Fault] = inner.faults

    def notes(self) -> Sequence[str]:
        """See `Subscription.notes`."""
        return self.inner.notes()

    async def retry(self) -> None:
        """See `Subscription.retry`."""
        with Door(_broken):
            await self.inner.retry()

    def promise(self, name: str) -> Promise:
        """See `Subscription.promise`."""
        return self.inner.promise(name)

    async def distrust(self, names: Sequence[str]) -> None:
        """See `Subscription.distrust`."""
        with Door(_broken):
            await self.inner.distrust(names)

    async def close(self) -> None:
        """See `Subscription.close`."""
        try:
            with Door(_broken):
                await self.inner.close()
        except DriverError as error:
            _log.warning("a subscription could not be closed: %s", error.message)


class GuardedSession:
    """See `drivers.base.Session`. What else an inner session offers is reached through it.

    Attributes:
        calls: Calls that ended, well or not; it does not change while one hangs.
        prompt: Whether it can `send`.
    """

    def __init__(self, inner: Session) -> None:
        self.inner = inner
        self.prompt = isinstance(inner, Prompt)
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def call_me(self, want_check: Callable[[], None]) -> None:
        """Have a session that is `Calling` ask for its checks."""
        if isinstance(self.inner, Calling):
            self.inner.want_check = want_check

    def become(self, other: GuardedSession) -> None:
        """Continue with another session, opened in the place of this one, which was closed."""
        self.inner, self.prompt = other.inner, other.prompt

    async def read(self, request: Request) -> ReadResult:
        """See `Session.read`. Polls come through here: the same as a `Door`, without its object and calls."""
        task = asyncio.current_task()
        try:
            return await self.inner.read(request)
        except BaseException as error:
            if is_foreign(error, task=task):
                raise _broken(error) from error
            raise
        finally:
            self.calls += 1

    def send(self, request: Request, taken: Taken) -> Sent | None:
        """See `Prompt.send`; only where `prompt` is True. It is counted when it is sent."""
        sent: Sent | None = self.inner.send(request, taken)  # type: ignore[attr-defined]
        self.calls += sent is not None
        return sent

    async def ask(self, how: Ask, device: DeviceConfig, point: Point) -> Opinion:
        """One address with its bytes, as `how` reads it. Raises DriverError."""
        try:
            with Door(_broken):
                return await how(self.inner, device, point)
        finally:
            self.calls += 1

    async def through(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Let a part of the driver's plug-in work with the bare session. Raises DriverError."""
        try:
            with Door(_broken):
                return await work(self.inner)
        finally:
            self.calls += 1

    async def write(self, device: str, point: Point, value: Value) -> None:
        """See `Session.write`."""
        try:
            with Door(_broken):
                await self.inner.write(device, point, value)
        finally:
            self.calls += 1

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> Subscription:
        """See `Session.subscribe`."""
        try:
            with Door(_broken):
                return GuardedSubscription(
                    await self.inner.subscribe(device, points, interval_ms=interval_ms, sink=sink)
                )
        finally:
            self.calls += 1

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """See `Session.configure`."""
        try:
            with Door(_broken):
                await self.inner.configure(devices)
        finally:
            self.calls += 1

    async def check(self) -> None:
        """See `Session.check`."""
        try:
            with Door(_broken):
                await self.inner.check()
        finally:
            self.calls += 1

    async def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncGenerator[Browsed, None]:
        """See `Session.browse`."""
        walk = self.inner.browse(options)
        try:
            while True:
                try:
                    with Door(_broken):
                        found = await anext(walk)
                except StopAsyncIteration:
                    return
                finally:
                    self.calls += 1
                yield found
        finally:
            if isinstance(walk, AsyncGenerator):
                with Door(_broken):
                    await walk.aclose()

    async def close(self) -> None:
        """See `Session.close`: it never raises and ends within `CLOSE_S`, whatever the driver does."""
        try:
            async with asyncio.timeout(CLOSE_S):
                with Door(_broken):
                    await self.inner.close()
        except Exception as error:  # noqa: BLE001 - the session is over, and with it what it could report
            _log.warning("a session could not be closed: %s", name_of(error))


class GuardedDriver:
    """See `drivers.base.Driver`."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.name = inner.name
        self.concurrency = inner.concurrency

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """See `Driver.group`."""
        return self.inner.group(device, points, fill_gaps=fill_gaps)

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> GuardedSession:
        """See `Driver.connect`."""
        session: Session | None = None
        try:
            with Door(_broken):
                session = await self.inner.connect(devices, home=home)
        except BaseException:
            if session is not None:  # it was open when we were asked to end
                await GuardedSession(session).close()
            raise
        return GuardedSession(session)


def guarded(driver: Driver) -> GuardedDriver:
    """A driver behind the door; one that is behind it already is given back as it is."""
    return driver if isinstance(driver, GuardedDriver) else GuardedDriver(driver)


def _broken(error: BaseException) -> DriverError:
    return DriverError(
        f"the driver's library broke off ({name_of(error)})", scope=Scope.SESSION, reason=Reason.LINK_LOST
    )
