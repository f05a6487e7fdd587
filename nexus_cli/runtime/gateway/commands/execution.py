"""One command on its device: expiry, `expect`, the write, the read-back. Runs between two polls of its link.

See docs/decisions/0041.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nexus_cli.drivers.base import Driver, DriverError, Effect, Point, Scope, Session, points_of
from nexus_cli.model.config import TagConfig
from nexus_cli.model.inversion import INEXACT, TYPE, InversionError, published_of, raw_of
from nexus_cli.model.proof import proof_s, same_raw, shows
from nexus_cli.runtime.gateway.commands.admission import Accepted, same_device, still
from nexus_cli.runtime.gateway.devices.device import Running
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.command import Command, State
from nexus_cli.wire.sample import Quality, Reason, Value

NO_READ_BACK = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it went.

    Attributes:
        value: What was written, in the published unit.
        old: What the tag held before, as far as known.
        read_back: What it holds afterwards, in the published unit.
        again: True when another read may still show the value (the device has not taken it over yet).
        turn: What it was carried out under, for that read.
    """

    state: State
    code: str = ""
    detail: str = ""
    value: Value = None
    old: Value = None
    read_back: Value = None
    again: bool = False
    turn: Any = None


@dataclass(slots=True, kw_only=True)
class Order:
    """A command that was found good, and what it needs at the device.

    Attributes:
        path: `area/line/device/tag`.
        deadline_s: Not begun after this, monotonic seconds; `expires_at` is looked at besides.
        accepted: The configuration that it was judged by; it is carried out under no other one.
        withdrawn: Set when nobody waits for it any more: it is not begun.
        begun: Its turn on the link has come.
    """

    path: str
    principal: str
    command: Command
    received_us: int
    deadline_s: float
    accepted: Accepted
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What an order found when its turn came; it keeps to it, whatever is deployed meanwhile.

    Attributes:
        device: That is written.
        tag: As it was then.
        raw: What is written.
        value: The same as it is published.
        proof: Where the value shows, and the name of the tag there; None when nothing proves it.
    """

    device: Running
    tag: TagConfig
    raw: Value
    value: Value
    proof: tuple[Running, str] | None


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

    def look_again(self, driver: Driver, first: Ended, looked: asyncio.Future[Ended]) -> Callable[[Session], Any]:
        """The work of reading back once more, for a device that takes a value over late."""

        async def work(session: Session) -> None:
            found = first
            try:
                assert first.turn is not None  # only what was written is looked at again
                found = await self._read_back(first.turn, session, driver, old=first.old)
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
        if objection := still(order.accepted, order.tag, device):
            order.settle(Ended(state=State.REFUSED, code=objection.code, detail=objection.detail))
            return
        if self._expired(order):
            order.settle(Ended(state=State.REFUSED, code="NX6808", detail="it expired while it waited for its link"))
            return
        assert device is not None  # `still` objects to one that is gone
        try:
            turn = self._turn(order, device)
        except InversionError as error:
            order.settle(Ended(state=State.REFUSED, code=error.code, detail=str(error)))
            return
        step = "before"
        old = _last_known(device, order.tag)
        try:
            point = _point(device, order.tag)
            if order.command.expect is not msgspec.UNSET:
                held = await self._read(device, order.tag, session, driver)
                old = _published(turn.tag, held)
                refusal = _differs(turn.tag, order, held, old) or self._overtaken(order, old)
                if refusal is not None:
                    order.settle(refusal)
                    return
            step = "writing"
            await session.write(order.device, point, turn.raw)
            step = "written"
        except DriverError as error:
            order.settle(_failed(error, touched=step == "writing", old=old, value=turn.value))
            if error.scope is Scope.SESSION:
                raise
            return
        finally:
            # A driver's bug or the end of the gateway comes out here: whoever waits is told, the supervisor does the rest.
            if step != "written":
                order.settle(_broke_off(touched=step == "writing", old=old, value=turn.value))
        await self._prove(order, turn, session, driver, old=old)

    def _turn(self, order: Order, device: Running) -> _Turn:
        """Raises InversionError."""
        tag = device.config.tags[order.tag]
        raw = raw_of(tag, order.command.value)
        proof: tuple[Running, str] | None = None if tag.read_back == NO_READ_BACK else (device, order.tag)
        if proof is not None and tag.read_back:
            there, _, name = tag.read_back.rpartition("/")
            other = self._find(there)
            proof = (other, name) if other is not None and name in other.config.tags else None
        return _Turn(device=device, tag=tag, raw=raw, value=published_of(tag, raw), proof=proof)

    def _overtaken(self, order: Order, old: Value) -> Ended | None:
        """What has come up while the tag was read for `expect`."""
        objection = still(order.accepted, order.tag, self._find(order.device))
        if objection is None and self._expired(order):
            return Ended(state=State.REFUSED, code="NX6808", detail="it expired during the read", old=old)
        if objection is None:
            return None
        return Ended(state=State.REFUSED, code=objection.code, detail=objection.detail, old=old)

    async def _prove(self, order: Order, turn: _Turn, session: Session, driver: Driver, *, old: Value) -> None:
        try:
            order.settle(await self._read_back(turn, session, driver, old=old))
        except DriverError as error:
            detail = f"the device acknowledged the write, but reading back failed: {error.message}"
            order.settle(Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=turn.value))
            if error.scope is Scope.SESSION:
                raise
        finally:
            if not order.ended.done():
                order.settle(_broke_off(touched=True, old=old, value=turn.value))

    async def _read_back(self, turn: _Turn, session: Session, driver: Driver, *, old: Value) -> Ended:
        """Read from where the value went, also when the configuration names another place by now. Raises DriverError."""
        value, tag = turn.value, turn.tag
        if turn.proof is None:
            told = f"{tag.read_back} is not read here" if tag.read_back not in ("", NO_READ_BACK) else ""
            return Ended(state=State.DONE, old=old, value=value, detail=told)
        device, name = turn.proof
        now = self._find(device.path)
        if now is None or not same_device(device.config, now.config):
            detail = "the device acknowledged the write; its connection was changed before it could be read back"
            return Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
        raw = await self._read(device, name, session, driver)
        held = _published(device.config.tags[name], raw)
        same = shows(device.config.tags[name], held, value) if tag.read_back else same_raw(tag.type, turn.raw, raw)
        if same:
            return Ended(state=State.DONE, old=old, value=value, read_back=held)
        where = f"{device.path}/{name} shows" if tag.read_back else "holds"
        detail = f"the device took the write and {where} {held!r} instead of {value!r} within {proof_s(tag):g} s"
        if tag.read_back:
            detail = detail.replace("took the write and", "took the write, but")
        return Ended(
            state=State.FAILED,
            code="NX6815",
            detail=detail,
            old=old,
            value=value,
            read_back=held,
            again=True,
            turn=turn,
        )

    async def _read(self, device: Running, tag: str, session: Session, driver: Driver) -> Value:
        """A fresh raw value, which the live view shows too. Raises DriverError."""
        point = _point(device, tag)
        (request,) = driver.group(device.config, [point])
        result = await session.read(request)
        if self._find(device.path) is device:  # else it is a place of yesterday, and no value of the tag
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


def _published(tag: TagConfig, raw: Value) -> Value:
    try:
        return published_of(tag, raw)
    except InversionError as error:
        raise DriverError(str(error), scope=Scope.ITEM) from None


def _last_known(device: Running, tag: str) -> Value:
    state = device.normaliser.states.get(tag)
    return state.value if state is not None and state.quality is not Quality.BAD else None


def _differs(tag: TagConfig, order: Order, held: Value, shown: Value) -> Ended | None:
    """What to say when the tag (raw and as published) does not hold what the command expects; None when it does."""
    expect: Any = order.command.expect
    try:
        same = same_raw(tag.type, raw_of(tag, expect, bounded=False), held)
    except InversionError:
        same = expect == shown
    if same:
        return None
    detail = f"the tag holds {shown!r}, not {expect!r} as expected"
    return Ended(state=State.REFUSED, code="NX6813", detail=detail, old=shown)


_UNSENT = {Reason.OVERFLOW: INEXACT, Reason.OUT_OF_RANGE: INEXACT, Reason.TYPE_MISMATCH: TYPE}
"""Codes of what a driver would not send because of the value itself."""


def _failed(error: DriverError, *, touched: bool, old: Value, value: Value) -> Ended:
    if not touched:
        detail = f"the tag could not be read before the write: {error.message}"
        return Ended(state=State.REFUSED, code="NX6812", detail=detail)
    if error.effect is Effect.NONE:
        detail = f"nothing was sent: {error.message}"
        code = "NX6812" if error.scope is Scope.SESSION else _UNSENT.get(error.reason, "NX6814")
        return Ended(state=State.REFUSED, code=code, detail=detail, old=old)
    maybe = error.effect is None and error.scope in (Scope.SESSION, Scope.DEVICE)
    if maybe or error.effect is Effect.MAYBE:
        detail = f"the device may have the write or not: {error.message}"
        return Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
    detail = f"the device refused the write: {error.message}"
    return Ended(state=State.FAILED, code="NX6814", detail=detail, old=old, value=value)


def _broke_off(*, touched: bool, old: Value, value: Value) -> Ended:
    if touched:
        detail = "the write broke off; the device may have it or not"
        return Ended(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
    return Ended(state=State.REFUSED, code="NX6812", detail="it broke off before the write began")
