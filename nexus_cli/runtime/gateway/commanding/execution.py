"""One command on its device: expiry, `expect`, the write, the read-back. Runs between two polls of its link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nexus_cli.drivers.base import Driver, DriverError, Point, Scope, Session, points_of
from nexus_cli.model.inversion import InversionError, published_of, raw_of
from nexus_cli.model.proof import same_raw, shows
from nexus_cli.runtime.gateway.device import Running
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.command import Command, State
from nexus_cli.wire.sample import Quality, Value

NO_READ_BACK = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it went.

    Attributes:
        value: What was written, in the published unit.
        old: What the tag held before, as far as known.
        read_back: What it holds afterwards, in the published unit.
        again: True when another read may still show the value (the device has not taken it over yet).
    """

    state: State
    code: str = ""
    detail: str = ""
    value: Value = None
    old: Value = None
    read_back: Value = None
    again: bool = False


@dataclass(slots=True, kw_only=True)
class Order:
    """A command that was found good, and what it needs at the device.

    Attributes:
        path: `area/line/device/tag`.
        deadline_s: Not begun after this, monotonic seconds; `expires_at` is looked at besides.
        raw: What is written.
        withdrawn: Set when nobody waits for it any more: it is not begun.
        begun: Its turn on the link has come.
    """

    path: str
    principal: str
    command: Command
    received_us: int
    deadline_s: float
    raw: Value
    fingerprint: str
    withdrawn: bool = False
    begun: bool = False
    ended: asyncio.Future[Ended] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def device(self) -> str:
        """`area/line/device`."""
        return self.path.rpartition("/")[0]

    @property
    def tag(self) -> str:
        """Name of the tag."""
        return self.path.rpartition("/")[2]

    @property
    def key(self) -> tuple[str, str]:
        """Principal and id."""
        return self.principal, self.command.id

    def settle(self, ended: Ended) -> None:
        """Say how it went; the first word stands."""
        if not self.ended.done():
            self.ended.set_result(ended)

    def dropped(self, detail: str) -> None:
        """The link was lost before its turn."""
        self.settle(
            Ended(state=State.REFUSED, code="NX6812", detail=f"the link was lost before the write began: {detail}")
        )


class Execution:
    """Carries out orders on the sessions of their links."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        find: Callable[[str], Running | None],
        expired: Callable[[Order], bool],
    ) -> None:
        """Join the parts.

        Args:
            pipeline: Where a read-back goes as a sample, so that the live view shows it at once.
            find: The device that runs now, by path.
            expired: Whether an order's time is over.
        """
        self._pipeline, self._find, self._expired = pipeline, find, expired

    def write(self, order: Order, driver: Driver) -> Callable[[Session], Any]:
        """The work of an order, for its link's supervisor."""

        async def work(session: Session) -> None:
            await self._write(order, session, driver)

        return work

    def look_again(
        self, order: Order, driver: Driver, first: Ended, looked: asyncio.Future[Ended]
    ) -> Callable[[Session], Any]:
        """The work of reading back once more, for a device that takes a value over late."""

        async def work(session: Session) -> None:
            found = first
            try:
                found = await self._read_back(order, session, driver, old=first.old, value=first.value)
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
            finally:
                if not looked.done():
                    looked.set_result(found)

        return work

    async def _write(self, order: Order, session: Session, driver: Driver) -> None:
        if order.withdrawn or order.ended.done():
            return
        order.begun = True
        device = self._find(order.device)
        tag = device.config.tags.get(order.tag) if device is not None else None
        if device is None or tag is None or not tag.writable:
            order.settle(Ended(state=State.REFUSED, code="NX6803", detail="the configuration changed meanwhile"))
            return
        if self._expired(order):
            order.settle(Ended(state=State.REFUSED, code="NX6808", detail="it expired while it waited for its link"))
            return
        step = "before"
        old = _last_known(device, order.tag)
        value = published_of(tag, order.raw)
        try:
            point = _point(device, order.tag)
            if order.command.expect is not msgspec.UNSET:
                old = _published(device, order.tag, await self._read(device, order.tag, session, driver))
                refusal = _differs(device, order, old)
                if refusal is None and self._expired(order):
                    refusal = Ended(state=State.REFUSED, code="NX6808", detail="it expired during the read", old=old)
                if refusal is not None:
                    order.settle(refusal)
                    return
            step = "writing"
            await session.write(order.device, point, order.raw)
            step = "written"
        except DriverError as error:
            order.settle(_failed(error, touched=step == "writing", old=old, value=value))
            if error.scope is Scope.SESSION:
                raise
            return
        finally:
            # A driver's bug or the end of the gateway comes out here: whoever waits is told, the supervisor does the rest.
            if step != "written":
                order.settle(_broke_off(touched=step == "writing", old=old, value=value))
        await self._prove(order, session, driver, old=old, value=value)

    async def _prove(self, order: Order, session: Session, driver: Driver, *, old: Value, value: Value) -> None:
        try:
            order.settle(await self._read_back(order, session, driver, old=old, value=value))
        except DriverError as error:
            detail = f"the device acknowledged the write, but reading back failed: {error.message}"
            order.settle(Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value))
            if error.scope is Scope.SESSION:
                raise
        finally:
            if not order.ended.done():
                order.settle(_broke_off(touched=True, old=old, value=value))

    async def _read_back(self, order: Order, session: Session, driver: Driver, *, old: Value, value: Value) -> Ended:
        """Raises DriverError."""
        device = self._find(order.device)
        tag = device.config.tags.get(order.tag) if device is not None else None
        if device is None or tag is None or tag.read_back == NO_READ_BACK:
            return Ended(state=State.DONE, old=old, value=value)
        if not tag.read_back:
            raw = await self._read(device, order.tag, session, driver)
            held = _published(device, order.tag, raw)
            same = same_raw(tag.type, order.raw, raw)
        else:
            there, _, name = tag.read_back.rpartition("/")
            other = self._find(there)
            if other is None or name not in other.config.tags:
                return Ended(state=State.DONE, old=old, value=value, detail=f"{tag.read_back} is not read here")
            held = _published(other, name, await self._read(other, name, session, driver))
            same = shows(other.config.tags[name], held, value)
        if same:
            return Ended(state=State.DONE, old=old, value=value, read_back=held)
        detail = f"the device took the write and holds {held!r} instead of {value!r}"
        return Ended(state=State.FAILED, code="NX6815", detail=detail, old=old, value=value, read_back=held, again=True)

    async def _read(self, device: Running, tag: str, session: Session, driver: Driver) -> Value:
        """A fresh raw value, which the live view shows too. Raises DriverError."""
        point = _point(device, tag)
        (request,) = driver.group(device.config, [point])
        result = await session.read(request)
        cycle = self._pipeline.cycle(device.path)
        device.normaliser.take(
            device.normaliser.of([tag]),
            result.values,
            cycle,
            faults=result.faults,
            source_time_us=result.source_time_us,
        )
        self._pipeline.emit(device, cycle)
        fault = result.faults.get(0)
        if fault is not None and not fault.uncertain:
            raise DriverError(f"the device answers {fault.reason.value}", scope=Scope.ITEM, code=fault.code)
        return result.values[0]


def _point(device: Running, tag: str) -> Point:
    """Raises DriverError where there is nothing to ask the device for."""
    points = points_of(device.config, [tag])
    if not points:
        raise DriverError(f"{device.path}/{tag} has no address", scope=Scope.ITEM, retriable=False)
    return points[0]


def _published(device: Running, tag: str, raw: Value) -> Value:
    try:
        return published_of(device.config.tags[tag], raw)
    except InversionError as error:
        raise DriverError(str(error), scope=Scope.ITEM) from None


def _last_known(device: Running, tag: str) -> Value:
    state = device.normaliser.states.get(tag)
    return state.value if state is not None and state.quality is not Quality.BAD else None


def _differs(device: Running, order: Order, held: Value) -> Ended | None:
    """What to say when the tag does not hold what the command expects; None when it does."""
    tag = device.config.tags[order.tag]
    expect: Any = order.command.expect
    try:
        same = same_raw(tag.type, raw_of(tag, expect, bounded=False), raw_of(tag, held, bounded=False))
    except InversionError:
        same = expect == held
    if same:
        return None
    detail = f"the tag holds {held!r}, not {expect!r} as expected"
    return Ended(state=State.REFUSED, code="NX6813", detail=detail, old=held)


def _failed(error: DriverError, *, touched: bool, old: Value, value: Value) -> Ended:
    if not touched:
        detail = f"the tag could not be read before the write: {error.message}"
        return Ended(state=State.REFUSED, code="NX6812", detail=detail)
    if error.scope in (Scope.SESSION, Scope.DEVICE):
        detail = f"the device may have the write or not: {error.message}"
        return Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
    detail = f"the device refused the write: {error.message}"
    return Ended(state=State.FAILED, code="NX6814", detail=detail, old=old, value=value)


def _broke_off(*, touched: bool, old: Value, value: Value) -> Ended:
    if touched:
        detail = "the write broke off; the device may have it or not"
        return Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
    return Ended(state=State.REFUSED, code="NX6812", detail="it broke off before the write began")
