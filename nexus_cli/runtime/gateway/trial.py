"""Trial reads for a plan: addresses of a device that is declared and not applied yet, each read once.

On a link that is open they go over its session, one step each, only in the time between two polls, and no longer than
that time: a device that does not answer costs the polls nothing. For a link that does not run, a connection of its own is
opened and closed. Nothing is configured, written or
subscribed.

See docs/decisions/0101.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

import msgspec

from nexus_cli.drivers.base import Driver, DriverError, Fault, Opinion, Point, Scope, Session, points_of
from nexus_cli.drivers.door import GuardedSession
from nexus_cli.drivers.registry import plugin
from nexus_cli.drivers.timeouts import connect_timeout_s, timeout_s
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.address_read import as_published
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.browse import TrialRead
from nexus_cli.wire.sample import Reason

MOST_TAGS = 200
"""Addresses of one request."""
NEEDS_S = 0.05
"""Free time before the next poll without which no read is begun, in seconds."""
MARGIN_S = 0.02
"""A read ends so long before the next poll, in seconds."""
SILENT_MOST = 2
"""A device is asked no more after so many addresses in a row without an answer."""
OPEN_S = 5.0
"""A connection of its own may take so long beyond twice the driver's own limit, in seconds."""
GIVE_UP_S = 20.0
"""A link without free time for so long is not waited for."""


def device_of(document: dict[str, Any]) -> tuple[DeviceConfig, tuple[Point, ...]]:
    """The device of a request and its points. Raises DriverError when it is none."""
    try:
        device = device_from_json(document)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise DriverError(f"the device can't be read: {error}", scope=Scope.ITEM, retriable=False) from None
    try:
        points = tuple(points_of(device))
    except (ValueError, KeyError) as error:
        raise DriverError(f"an address can't be read: {error}", scope=Scope.ITEM, retriable=False) from None
    if not device.link or not points:
        raise DriverError(f"{device.path} has no address to read", scope=Scope.ITEM, retriable=False)
    if len(points) > MOST_TAGS:
        raise DriverError(
            f"{len(points)} addresses in one request; {MOST_TAGS} at most", scope=Scope.ITEM, retriable=False
        )
    return device, points


class Trial:
    """The trial reads of one device over an open link, one step each.

    Attributes:
        ended: True when there is nothing left to read.
        forced: Always False: a poll goes first, however long that takes.
        needs_s, give_up_s: See `NEEDS_S`, `GIVE_UP_S`.
        found: Always empty: nothing is browsed.
        reads: Those that are done and not sent yet.
    """

    def __init__(self, supervisor: Supervisor, device: DeviceConfig, points: Sequence[Point], *, clock: Clock) -> None:
        """Nothing is read yet."""
        self.supervisor = supervisor
        self.ended = self.forced = False
        self.needs_s, self.give_up_s = NEEDS_S, GIVE_UP_S
        self.found: list[list[Any]] = []
        self.reads: list[TrialRead] = []
        self._asking = Asking(as_known(supervisor, device), clock=clock)
        self._left = list(points)

    def page(self) -> list[list[Any]]:
        """A sign of life has nothing on it."""
        return []

    def taken(self) -> list[TrialRead]:
        """What was read since the last time."""
        reads, self.reads = self.reads, []
        return reads

    async def take(self, session: Session) -> None:
        """Read the next address. Raises DriverError when the link is lost."""
        limit_s = max(MARGIN_S, self.supervisor.free_s() - MARGIN_S)
        point = self._left.pop(0)
        self.ended = not self._left
        self.reads.append(await self._asking.ask(session, self.supervisor.driver, point, limit_s=limit_s))


class Asking:
    """Asks one device address by address, and no more once it is silent."""

    def __init__(self, device: DeviceConfig, *, clock: Clock) -> None:
        """Nothing is asked yet."""
        self._device, self._clock = device, clock
        self._silent = 0

    async def ask(self, session: Session, driver: Driver, point: Point, *, limit_s: float) -> TrialRead:
        """One address. Raises DriverError with scope SESSION.

        Args:
            session: An open session.
            driver: Of the protocol, for devices whose session has no way to ask with bytes.
            point: Address and type.
            limit_s: Longest wait, in seconds.
        """
        if self._silent >= SILENT_MOST:
            return self.unanswered(point, "the device is silent")
        try:
            driver.group(self._device, [point])
        except (ValueError, KeyError, TypeError) as error:  # a request may say anything: no session meets it
            fault = Fault(Reason.ILLEGAL_ADDRESS)
            return self.answered(point, Opinion(asked=point.address, problem=str(error), fault=fault))
        try:
            async with asyncio.timeout(limit_s):
                opinion = await _opinion(session, driver, self._device, point)
        except TimeoutError:
            self._silent += 1
            return self.unanswered(point, f"no answer within {limit_s:.2f} s")
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            self._silent = self._silent + 1 if error.scope is Scope.DEVICE else 0
            opinion = Opinion(asked=point.address, problem=error.message, fault=Fault(error.reason, error.code))
        else:
            self._silent = 0
        return self.answered(point, opinion)

    def answered(self, point: Point, opinion: Opinion) -> TrialRead:
        """What was read, through the chain of the gateway: scale, unit, range."""
        value, quality, reason = as_published(self._device, point.name, opinion)
        return TrialRead(
            tag=point.name,
            code=0 if opinion.fault is None else opinion.fault.code,
            asked=opinion.asked,
            bytes=opinion.data.hex(" "),
            raw=opinion.value,
            value=value,
            quality=quality,
            reason=reason,
            problem=opinion.problem,
            time=self._clock.wall_us(),
        )

    def unanswered(self, point: Point, why: str) -> TrialRead:
        """An address without an answer."""
        fault = Fault(Reason.DEVICE_TIMEOUT)
        return self.answered(point, Opinion(asked=point.address, problem=why, fault=fault))


async def _opinion(session: Session, driver: Driver, device: DeviceConfig, point: Point) -> Opinion:
    how = plugin(device.protocol).ask
    if how is not None and isinstance(session, GuardedSession):
        return await session.ask(how(), device, point)
    (request,) = driver.group(device, [point])
    found = await session.read(request)
    return Opinion(asked=request.text, value=found.values[0], fault=found.faults.get(0))


class Opens(Protocol):
    """The part of a gateway's links that opens a session beside them."""

    async def open_apart(self, device: DeviceConfig) -> tuple[GuardedSession, Driver]:
        """See `Links.open_apart`."""
        ...


async def read_apart(
    links: Opens, device: DeviceConfig, points: Sequence[Point], *, clock: Clock
) -> AsyncGenerator[TrialRead, None]:
    """Every address over a connection of its own, which is closed at the end. Once it is lost the rest has no answer.

    Raises:
        DriverError: It could not be opened.
    """
    try:
        async with asyncio.timeout(connect_timeout_s(device.connection) * 2 + OPEN_S):
            session, driver = await links.open_apart(device)
    except TimeoutError:
        raise DriverError("no connection in time", scope=Scope.SESSION) from None
    asking, lost = Asking(device, clock=clock), ""
    try:
        for point in points:
            if lost:
                yield asking.unanswered(point, lost)
                continue
            try:
                yield await asking.ask(session, driver, point, limit_s=timeout_s(device.connection) + 1.0)
            except DriverError as error:
                lost = error.message
                yield asking.unanswered(point, lost)
    finally:
        await session.close()


def runs_link(supervisor: Supervisor | None) -> bool:
    """Whether a link has, or is to have, a session: then no second connection is opened; many devices accept one only."""
    return supervisor is not None and supervisor.state.state != "idle"


def as_known(supervisor: Supervisor, device: DeviceConfig) -> DeviceConfig:
    """The device under a path that the session knows: one that runs, with the same connection, where there is one."""
    if device.path in supervisor.devices:
        return device
    same = (path for path, one in supervisor.devices.items() if one.config.connection == device.connection)
    path = next(same, None)
    return device if path is None else msgspec.structs.replace(device, path=path)
