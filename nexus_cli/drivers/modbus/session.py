"""An open Modbus link, whatever it goes over: reads, writes, browsing, and every failure sorted by how far it reaches.

See docs/decisions/0036.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NoReturn

from nexus_cli.diagnostics.system import system_words
from nexus_cli.drivers.base import (
    EVERYTHING,
    Browsed,
    BrowseOptions,
    DriverError,
    Effect,
    Fault,
    Point,
    ReadResult,
    Request,
    Scope,
    Sink,
    Subscription,
    Taken,
)
from nexus_cli.drivers.failure import kind_of
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.modbus.browse import browse
from nexus_cli.drivers.modbus.channel import Channel, Misaddressed
from nexus_cli.drivers.modbus.exceptions import EFFECTS, ILLEGAL_FUNCTION, refusal
from nexus_cli.drivers.modbus.field import field_of
from nexus_cli.drivers.modbus.groups import Block, unit_of
from nexus_cli.drivers.modbus.pdu import (
    ANSWERED_ALIKE,
    EXCEPTION,
    Identification,
    acknowledges,
    identification_of,
    identification_request,
    read_head,
    read_request,
    write_request,
)
from nexus_cli.drivers.modbus.scaling import apply
from nexus_cli.drivers.modbus.writing import WritePlan, plan_write
from nexus_cli.drivers.transport import ConnectionLost, Reply, RequestTimeout
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason, Value

SILENT_REQUESTS = 5
"""So many unanswered requests in a row, over every unit of the link, are taken for a half-open connection."""


class ModbusSession:
    """An open link. See `nexus_cli.drivers.base.Session`."""

    def __init__(
        self,
        channel: Channel,
        devices: Sequence[DeviceConfig],
        *,
        reopen: Callable[[], Channel],
        pause_s: float,
    ) -> None:
        """Take an open channel over.

        Args:
            channel: The connection.
            devices: Behind it.
            reopen: Makes an equal channel that is not open yet.
            pause_s: Rest between an answer and the next request.
        """
        self._channel, self._make = channel, reopen
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._free_at_s = self._loop.time() + pause_s
        self._devices: dict[str, DeviceConfig] = {}
        self._units: frozenset[int] = frozenset()
        self._silent_units: set[int] = set()
        self._silent_requests = 0
        self._no_mask_write: set[int] = set()
        self._unsure = False
        self._unanswered = b""
        self._take(devices)

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as the system knows; one that closed while idle loses nothing."""
        return self._channel.connected

    def _take(self, devices: Sequence[DeviceConfig]) -> None:
        self._devices = {device.path: device for device in devices}
        self._units = frozenset(unit_of(device.connection) for device in devices)

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """Take note of the devices behind this link."""
        self._take(devices)

    async def read(self, request: Request) -> ReadResult:
        """Carry out one read. Raises DriverError."""
        block: Block = request.detail
        result = self._decoded(block, await self._ask(block.asked, request.text), request.text)
        if not block.scales:
            return result
        values, faults = list(result.values), dict(result.faults)
        return ReadResult(values, await self._scale(block, values, faults))

    def send(self, request: Request, taken: Taken) -> Reply | None:
        """See `drivers.base.Prompt`."""
        block: Block = request.detail
        asked = block.asked
        if self._unsure or self._pause_s or block.scales or asked == self._unanswered:
            return None

        def done(answer: bytes | None, error: Exception | None) -> None:
            try:
                if answer is None:
                    self._unheard(error, asked, request.text)
                self._heard(asked, answer, request.text)
                result = self._decoded(block, answer, request.text)
            except Exception as refused:  # noqa: BLE001 - as `read` would raise it: who asked is the boundary
                taken(refused)
            else:
                taken(result)

        try:
            return self._channel.post(asked, done)
        except ConnectionLost:
            return None

    def _decoded(self, block: Block, answer: bytes, text: str) -> ReadResult:
        """The values in an answer, before scale factors that lie outside of the block. Raises DriverError."""
        raw = answer[2:]
        if not answer.startswith(block.head) or len(raw) != block.head[1]:
            self._misfit(answer, block.head, text)
        return block.decode(raw)

    async def _scale(self, block: Block, values: Sequence[Value], faults: dict[int, Fault]) -> dict[int, Fault]:
        """Apply scale factors that lie outside of the block, each read once. Raises DriverError."""
        known: dict[int, int] = {}
        for place, register in block.scales:
            if register not in known:
                text = f"FC{block.function} scale factor {register} unit {block.unit_id}"
                raw = await self._read_raw(block.function, register, 1, block.unit_id, text)
                known[register] = int.from_bytes(raw, "big", signed=True)
            apply(values, faults, place, known[register])
        return faults

    async def _read_raw(self, function: int, start: int, count: int, unit: int, text: str) -> bytes:
        answer = await self._ask(read_request(unit, function, start, count), text)
        head, raw = read_head(function, count), answer[2:]
        if not answer.startswith(head) or len(raw) != head[1]:
            self._misfit(answer, head, text)
        return raw

    def _misfit(self, answer: bytes, head: bytes, text: str) -> NoReturn:
        found, announced = max(0, len(answer) - 2), answer[1] if len(answer) > 1 else 0
        what = f"{found} bytes of data" if found == announced else f"{found} bytes of data and says {announced},"
        self._lost(f"{text}: the answer has {what} instead of {head[1]}")

    async def write(self, device: str, point: Point, value: Value) -> None:
        """Write one raw value. Raises DriverError; scope ITEM when the value does not fit or the device refuses it."""
        connection = self._devices[device].connection if device in self._devices else {}
        field = field_of(point)
        unit = unit_of(connection) if field.unit_id is None else field.unit_id
        try:
            plan = plan_write(field, value, connection)
        except EncodeError as error:
            raise error.refusal(point.name) from None
        text = f"FC{plan.function} {field.area} {plan.start} unit {unit}"
        if self._channel.rtu and self._channel.echoes is None and unit and plan.function in ANSWERED_ALIKE:
            await self._find_echo(plan.start, unit)
        try:
            if plan.function == 22:
                await self._write_part(plan, unit, text)
            else:
                await self._tell(write_request(unit, plan), text)
        except DriverError as error:
            error.effect = error.effect or EFFECTS.get(error.code)
            if error.scope is not Scope.REQUEST:
                raise
            raise DriverError(
                error.message,
                scope=Scope.ITEM,
                retriable=error.retriable,
                reason=error.reason,
                code=error.code,
                effect=error.effect,
                kind=error.kind,
            ) from None

    async def _find_echo(self, start: int, unit: int) -> None:
        """Read something before the first write whose echo could be taken for its answer. Raises DriverError, SESSION."""
        try:
            await self._read_raw(3, start, 1, unit, f"FC3 holding {start} unit {unit}")
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise

    async def _write_part(self, plan: WritePlan, unit: int, text: str) -> None:
        """A bit or half of a register: by mask write, or by reading and writing back."""
        if plan.mask_allowed and not (plan.fallback and unit in self._no_mask_write):
            try:
                await self._tell(write_request(unit, plan), text)
                return
            except DriverError as error:
                if error.code != ILLEGAL_FUNCTION or not plan.fallback:
                    raise
                self._no_mask_write.add(unit)
        read = f"FC3 holding {plan.start} unit {unit}"
        try:
            current = int.from_bytes(await self._read_raw(3, plan.start, 1, unit, read), "big")
        except DriverError as error:
            error.effect = Effect.NONE
            raise
        changed = current & plan.and_mask | plan.or_mask & ~plan.and_mask & 0xFFFF
        function = 6 if plan.single else 16
        whole = WritePlan(function=function, start=plan.start, registers=(changed,))
        await self._tell(write_request(unit, whole), text)

    async def _tell(self, request: bytes, text: str) -> None:
        """One write. Its answer repeats what was asked; another's, or an echo of FC15 and FC16, proves nothing.

        Source: Modbus Application Protocol V1.1b3 §6.5, §6.6, §6.11, §6.12, §6.16. Raises DriverError.
        """
        answer = await self._ask(request, text, write=True)
        wanted = request[1:6] if request[1] in (15, 16) else request[1:]
        if not answer or answer == wanted:
            return
        if answer[:3] == wanted[:3] and len(answer) == len(wanted):
            raise DriverError(
                f"{text}: the device answers with {answer[3:].hex(' ')} instead of {wanted[3:].hex(' ')}",
                scope=Scope.ITEM,
                effect=Effect.MAYBE,
            )
        self._lost(f"{text}: the answer is not to this write ({answer[:12].hex(' ')})")

    async def _ask(self, request: bytes, text: str, *, write: bool = False) -> bytes:
        """One request and the PDU of its answer, b"" to a broadcast. Raises DriverError."""
        if self._unsure or request == self._unanswered:
            await self._leave(request, text)
        if self._pause_s and (wait_s := self._free_at_s - self._loop.time()) > 0:
            await asyncio.sleep(wait_s)
        channel = self._channel
        try:
            answer = await channel.ask(request, broadcast=write and channel.rtu and not request[0])
        except (RequestTimeout, Misaddressed, ConnectionLost) as error:
            self._unheard(error, request, text)
        except asyncio.CancelledError:
            # its answer may still come; without transaction ids it would be taken for the next one's
            self._unsure = not channel.traceable
            raise
        finally:
            if self._pause_s:
                self._free_at_s = self._loop.time() + self._pause_s
        self._heard(request, answer, text)
        if write and answer and not acknowledges(answer, request):
            self._lost(f"{text}: the response acknowledges another write")
        return answer

    def _unheard(self, error: Exception | None, request: bytes, text: str) -> NoReturn:
        """What a request without an answer means. Raises DriverError."""
        if isinstance(error, RequestTimeout):
            self._timed_out(request, text)
        if isinstance(error, Misaddressed):
            # one that comes after its time-out says no more than silence; the next request may be answered right
            self._unsure = self._channel.leaves and not self._channel.traceable
            raise DriverError(f"{text}: {error}", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT) from None
        self._lost(f"{text}: {error}")

    def _heard(self, request: bytes, answer: bytes, text: str) -> None:
        """Take note of an answer. Raises DriverError when it refuses."""
        if self._silent_requests:
            self._silent_requests = 0
            self._silent_units.clear()
            self._unanswered = b""
            self._unsure = self._unsure and not self._channel.traceable
        if answer and answer[0] != request[1]:
            self._refused(answer, text)

    def _refused(self, answer: bytes, text: str) -> NoReturn:
        """An exception response as an error; what is neither that nor to our function ends the session."""
        if not answer[0] & EXCEPTION:
            self._lost(f"{text}: the answer is to function {answer[0]}")
        if len(answer) < 2:
            self._lost(f"{text}: the answer is an exception without a code")
        raise refusal(answer[1], text)

    def _timed_out(self, request: bytes, text: str) -> NoReturn:
        self._silent_requests += 1
        self._silent_units.add(request[0])
        message = f"{text}: no answer in time"
        if self._silent_requests >= SILENT_REQUESTS and self._silent_units >= self._units:
            self._lost(f"{message}, nor to {self._silent_requests - 1} requests before", kind=FailureKind.NO_ANSWER)
        self._unsure = self._channel.leaves and not self._channel.traceable
        self._unanswered = request
        raise DriverError(message, scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT, kind=FailureKind.NO_ANSWER)

    async def _leave(self, request: bytes, text: str) -> None:
        """After a time-out: what is asked again goes over a connection without late answers.

        One that has never carried an answer stays: some devices drop the first request on each connection.
        """
        again = request == self._unanswered
        if self._channel.leaves and (self._channel.answered if again else self._unsure):
            await self._reopen(text)

    async def _reopen(self, text: str) -> None:
        """Drop a late answer with its connection, where no transaction id distinguishes it from the next one."""
        self._unsure = True
        self._channel.close()
        channel = self._make()
        try:
            await channel.open()
        except OSError as error:
            self._lost(f"{text}: no answer, and no new connection ({cause_of(error)})", kind=kind_of(error))
        channel.echoes = self._channel.echoes
        self._channel, self._unsure = channel, False
        self._free_at_s = self._loop.time() + self._pause_s

    def _lost(self, message: str, *, kind: FailureKind = FailureKind.OTHER) -> NoReturn:
        self._channel.close()
        raise DriverError(message, scope=Scope.SESSION, reason=Reason.LINK_LOST, kind=kind)

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> Subscription:
        """Modbus devices don't report. Raises DriverError."""
        raise DriverError(f"{device}: Modbus has no subscriptions; poll", scope=Scope.REQUEST, retriable=False)

    async def check(self) -> None:
        """Whether the connection is still open; polls prove the rest. Raises DriverError."""
        if not self._channel.connected:
            self._lost("the connection was lost")

    async def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        """What a device says of itself: identification (FC43) and SunSpec models. Raises DriverError.

        Args:
            options: `start` is the register of the SunSpec marker, when it is not one of the usual ones.
        """
        device = self._devices.get(options.device) or next(iter(self._devices.values()), None)
        unit = unit_of(device.connection) if device is not None else 1
        async for found in browse(self, unit=unit, start=options.start):
            yield found

    async def registers(self, start: int, count: int, *, unit: int, function: int = 3) -> bytes:
        """Registers as they are, two bytes each; for looking around. Raises DriverError."""
        return await self._read_raw(function, start, count, unit, f"FC{function} {start}..{start + count - 1}")

    async def identify(self, first: int, *, unit: int) -> Identification:
        """One page of the device identification (FC43/14), regular objects. Raises DriverError."""
        text = "FC43 device identification"
        answer = await self._ask(identification_request(unit, first), text)
        try:
            return identification_of(answer)
        except ValueError as error:
            self._lost(f"{text}: {error}")

    async def close(self) -> None:
        """Drop the connection."""
        self._channel.close()


def cause_of(error: OSError) -> str:
    """The system's own words."""
    return system_words(error)
