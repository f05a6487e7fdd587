"""Executes one command: expiry, `expect`, the write, the read-back. Runs between two polls of its link.

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
from nexus_cli.runtime.gateway.commands.admission import Accepted, same_device, still_admitted
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.command import Command, State
from nexus_cli.wire.sample import Quality, Reason, Value

NO_READ_BACK = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The result of a command.

    Attributes:
        value: What was written, in the published unit.
        old: The tag's value before the write, as far as known.
        read_back: The value that was read afterwards, in the published unit.
        again: True when a later read may still show the value: the device has not applied it yet.
        attempt: The write that the later read verifies.
    """

    state: State
    code: str = ""
    detail: str = ""
    value: Value = None
    old: Value = None
    read_back: Value = None
    again: bool = False
    attempt: Any = None


@dataclass(slots=True, kw_only=True)
class PendingCommand:
    """An accepted command that waits for its device.

    Attributes:
        path: `area/line/device/tag`.
        received_us, received_s: When it arrived, µs since 1970 UTC and monotonic seconds.
        deadline_s: The write does not begin after this, monotonic seconds; `expires_at` is checked as well.
        accepted: The configuration under which it was accepted; under a different meaning it is refused.
        withdrawn: Set when its queue no longer waits for it: it does not begin.
        begun: The link has started to execute it.
    """

    path: str
    principal: str
    command: Command
    received_us: int
    received_s: float = 0.0
    deadline_s: float
    accepted: Accepted
    fingerprint: str
    withdrawn: bool = False
    begun: bool = False
    ended: asyncio.Future[CommandResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

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

    def finish(self, ended: CommandResult) -> None:
        """Set the result; later calls have no effect."""
        if not self.ended.done():
            self.ended.set_result(ended)

    def dropped(self, detail: str) -> None:
        """Refuse it: the link was lost before it began."""
        self.finish(
            CommandResult(
                state=State.REFUSED, code="NX6812", detail=f"the link was lost before the write began: {detail}"
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One write, fixed when it begins; a deployment during the write does not change it.

    Attributes:
        device: The device that is written to.
        tag: The tag's configuration at that time.
        raw: The raw value that is written.
        value: The same value as it is published.
        proof: Device and tag whose read-back verifies the write; None when it is not verified.
    """

    device: DeviceRuntime
    tag: TagConfig
    raw: Value
    value: Value
    proof: tuple[DeviceRuntime, str] | None


class Execution:
    """Executes commands on the sessions of their links."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        find: Callable[[str], DeviceRuntime | None],
        expired: Callable[[PendingCommand], bool],
    ) -> None:
        """Join the parts.

        Args:
            pipeline: Takes the read-back as a sample, so that the live view shows it at once.
            find: Gives the running device by path.
            expired: Whether a command has expired.
        """
        self._pipeline, self._find, self._expired = pipeline, find, expired

    def write(self, pending: PendingCommand, driver: Driver) -> Callable[[Session], Any]:
        """The work of a command, for `Supervisor.submit`."""

        async def work(session: Session) -> None:
            await self._write(pending, session, driver)

        return work

    def look_again(
        self, driver: Driver, first: CommandResult, looked: asyncio.Future[CommandResult]
    ) -> Callable[[Session], Any]:
        """The work of another read-back, for a device that applies a value late."""

        async def work(session: Session) -> None:
            found = first
            try:
                assert first.attempt is not None  # only a write is read back again
                found = await self._read_back(first.attempt, session, driver, old=first.old)
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
            finally:
                if not looked.done():
                    looked.set_result(found)

        return work

    async def _write(self, pending: PendingCommand, session: Session, driver: Driver) -> None:
        if pending.withdrawn or pending.ended.done():
            return
        pending.begun = True
        device = self._find(pending.device)
        if rejection := still_admitted(pending.accepted, pending.tag, device):
            pending.finish(CommandResult(state=State.REFUSED, code=rejection.code, detail=rejection.detail))
            return
        if self._expired(pending):
            pending.finish(
                CommandResult(state=State.REFUSED, code="NX6808", detail="it expired while it waited for its link")
            )
            return
        assert device is not None  # `still_admitted` rejects a device that is gone
        try:
            attempt = self._prepare(pending, device)
        except InversionError as error:
            pending.finish(CommandResult(state=State.REFUSED, code=error.code, detail=str(error)))
            return
        # How far the write got decides the state after a failure: REFUSED before it, UNKNOWN during it.
        step = "before"
        old = _last_known(device, pending.tag)
        try:
            point = _point(device, pending.tag)
            if pending.command.expect is not msgspec.UNSET:
                held = await self._read(device, pending.tag, session, driver)
                old = _published(attempt.tag, held)
                refusal = _differs(attempt.tag, pending, held, old) or self._overtaken(pending, old)
                if refusal is not None:
                    pending.finish(refusal)
                    return
            step = "writing"
            await session.write(pending.device, point, attempt.raw)
            step = "written"
        except DriverError as error:
            pending.finish(_failed(error, touched=step == "writing", old=old, value=attempt.value))
            if error.scope is Scope.SESSION:
                raise
            return
        finally:
            # Also after a driver's bug or a cancellation: the waiting queue gets a result, the supervisor handles the
            # rest.
            if step != "written":
                pending.finish(_broke_off(touched=step == "writing", old=old, value=attempt.value))
        await self._prove(pending, attempt, session, driver, old=old)

    def _prepare(self, pending: PendingCommand, device: DeviceRuntime) -> _Attempt:
        """Fix what is written and how it is verified. Raises InversionError."""
        tag = device.config.tags[pending.tag]
        raw = raw_of(tag, pending.command.value)
        proof: tuple[DeviceRuntime, str] | None = None if tag.read_back == NO_READ_BACK else (device, pending.tag)
        if proof is not None and tag.read_back:
            there, _, name = tag.read_back.rpartition("/")
            other = self._find(there)
            proof = (other, name) if other is not None and name in other.config.tags else None
        return _Attempt(device=device, tag=tag, raw=raw, value=published_of(tag, raw), proof=proof)

    def _overtaken(self, pending: PendingCommand, old: Value) -> CommandResult | None:
        """The refusal that became due while the tag was read for `expect`; None when there is none."""
        rejection = still_admitted(pending.accepted, pending.tag, self._find(pending.device))
        if rejection is None and self._expired(pending):
            return CommandResult(state=State.REFUSED, code="NX6808", detail="it expired during the read", old=old)
        if rejection is None:
            return None
        return CommandResult(state=State.REFUSED, code=rejection.code, detail=rejection.detail, old=old)

    async def _prove(
        self, pending: PendingCommand, attempt: _Attempt, session: Session, driver: Driver, *, old: Value
    ) -> None:
        try:
            pending.finish(await self._read_back(attempt, session, driver, old=old))
        except DriverError as error:
            detail = f"the device acknowledged the write, but reading back failed: {error.message}"
            pending.finish(
                CommandResult(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=attempt.value)
            )
            if error.scope is Scope.SESSION:
                raise
        finally:
            if not pending.ended.done():
                pending.finish(_broke_off(touched=True, old=old, value=attempt.value))

    async def _read_back(self, attempt: _Attempt, session: Session, driver: Driver, *, old: Value) -> CommandResult:
        """Read from where the value was written, even if the configuration names another address by now. Raises
        DriverError."""
        value, tag = attempt.value, attempt.tag
        if attempt.proof is None:
            detail = f"{tag.read_back} is not read here" if tag.read_back not in ("", NO_READ_BACK) else ""
            return CommandResult(state=State.DONE, old=old, value=value, detail=detail)
        device, name = attempt.proof
        now = self._find(device.path)
        if now is None or not same_device(device.config, now.config):
            detail = "the device acknowledged the write; its connection was changed before it could be read back"
            return CommandResult(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
        raw = await self._read(device, name, session, driver)
        held = _published(device.config.tags[name], raw)
        same = shows(device.config.tags[name], held, value) if tag.read_back else same_raw(tag.type, attempt.raw, raw)
        if same:
            return CommandResult(state=State.DONE, old=old, value=value, read_back=held)
        where = f"{device.path}/{name} shows" if tag.read_back else "holds"
        detail = f"the device took the write and {where} {held!r} instead of {value!r} within {proof_s(tag):g} s"
        if tag.read_back:
            detail = detail.replace("took the write and", "took the write, but")
        return CommandResult(
            state=State.FAILED,
            code="NX6815",
            detail=detail,
            old=old,
            value=value,
            read_back=held,
            again=True,
            attempt=attempt,
        )

    async def _read(self, device: DeviceRuntime, tag: str, session: Session, driver: Driver) -> Value:
        """Read a fresh raw value and publish it as a sample. Raises DriverError."""
        point = _point(device, tag)
        (request,) = driver.group(device.config, [point])
        result = await session.read(request)
        if self._find(device.path) is device:  # else it is the former address, and not a value of the tag
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


def _point(device: DeviceRuntime, tag: str) -> Point:
    """The tag as a point. Raises DriverError when it has no address."""
    points = points_of(device.config, [tag])
    if not points:
        raise DriverError(f"{device.path}/{tag} has no address", scope=Scope.ITEM, retriable=False)
    return points[0]


def _published(tag: TagConfig, raw: Value) -> Value:
    try:
        return published_of(tag, raw)
    except InversionError as error:
        raise DriverError(str(error), scope=Scope.ITEM) from None


def _last_known(device: DeviceRuntime, tag: str) -> Value:
    state = device.normaliser.states.get(tag)
    return state.value if state is not None and state.quality is not Quality.BAD else None


def _differs(tag: TagConfig, pending: PendingCommand, held: Value, shown: Value) -> CommandResult | None:
    """The refusal when the tag does not have the value that the command expects; None when it has."""
    expect: Any = pending.command.expect
    try:
        same = same_raw(tag.type, raw_of(tag, expect, bounded=False), held)
    except InversionError:
        same = expect == shown
    if same:
        return None
    detail = f"the tag holds {shown!r}, not {expect!r} as expected"
    return CommandResult(state=State.REFUSED, code="NX6813", detail=detail, old=shown)


_UNSENT = {Reason.OVERFLOW: INEXACT, Reason.OUT_OF_RANGE: INEXACT, Reason.TYPE_MISMATCH: TYPE}
"""Codes for values that the driver refused to encode."""


def _failed(error: DriverError, *, touched: bool, old: Value, value: Value) -> CommandResult:
    if not touched:
        detail = f"the tag could not be read before the write: {error.message}"
        return CommandResult(state=State.REFUSED, code="NX6812", detail=detail)
    if error.effect is Effect.NONE:
        detail = f"nothing was sent: {error.message}"
        code = "NX6812" if error.scope is Scope.SESSION else _UNSENT.get(error.reason, "NX6814")
        return CommandResult(state=State.REFUSED, code=code, detail=detail, old=old)
    maybe = error.effect is None and error.scope in (Scope.SESSION, Scope.DEVICE)
    if maybe or error.effect is Effect.MAYBE:
        detail = f"the device may have the write or not: {error.message}"
        return CommandResult(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
    detail = f"the device refused the write: {error.message}"
    return CommandResult(state=State.FAILED, code="NX6814", detail=detail, old=old, value=value)


def _broke_off(*, touched: bool, old: Value, value: Value) -> CommandResult:
    if touched:
        detail = "the write broke off; the device may have it or not"
        return CommandResult(state=State.UNKNOWN, code="NX6816", detail=detail, old=old, value=value)
    return CommandResult(state=State.REFUSED, code="NX6812", detail="it broke off before the write began")
