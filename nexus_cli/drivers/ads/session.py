"""An open link to the PLCs behind one host: read, write, report, browse, always under the current symbol version."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from weakref import WeakKeyDictionary

from nexus_cli.drivers.ads import browse, frame, read_plan
from nexus_cli.drivers.ads.channel import Channel, raise_lost, write
from nexus_cli.drivers.ads.errors import CLIENT_TIMEOUT, SYMBOL_NOT_FOUND, SYMBOL_VERSION_INVALID, meaning_of
from nexus_cli.drivers.ads.groups import MAX_SUM, ReadPlan
from nexus_cli.drivers.ads.plc import VALUE_BY_HANDLE, Plc
from nexus_cli.drivers.ads.subscription import AdsSubscription, Reports
from nexus_cli.drivers.ads.symbol_table import SYMBOL_READ_ONLY
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
)
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.read_result import LazyValues
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value

DEFAULT_AMS_PORT = 851
MOST_RENEWALS = 3
"""So often a request is asked again because the program changed under it."""

UNHEARD = frozenset({0, 1, 21, 0x719, CLIENT_TIMEOUT})
"""An answer that can't be read, an internal error, GLOBALERR_TARGETTIMEOUT, ADSERR_DEVICE_TIMEOUT and
ADSERR_CLIENT_SYNCTIMEOUT: the PLC may have the bytes all the same. Any other code of an answer says no."""


class AdsSession:
    """See `drivers.base.Session`.

    Attributes:
        channel: The way to the PLCs.
        reports: Everything that is reported on this link.
        want_check: See `drivers.base.Calling`: called when notifications have to be registered again.
    """

    def __init__(self, channel: Channel, devices: Sequence[DeviceConfig]) -> None:
        self.channel = channel
        connection = devices[0].connection
        self.want_check: Callable[[], None] = lambda: None
        self.reports = Reports(
            channel, limit=int(connection.get("max_subscribe") or 0), changed=lambda: self.want_check()
        )
        self._devices: dict[str, DeviceConfig] = {}
        self._plcs: dict[bytes, Plc] = {}
        self._of_device: dict[str, Plc] = {}
        self._prepared: WeakKeyDictionary[ReadPlan, read_plan.Prepared] = WeakKeyDictionary()
        self._pause_s = (connection.get("pause") or 0) / 1000
        self._free_at_s = 0.0
        self._pacing = asyncio.Lock()
        self._take(devices)

    def _take(self, devices: Sequence[DeviceConfig]) -> None:
        self._devices = {device.path: device for device in devices}
        self._of_device = {device.path: self._plc(address_of(device)) for device in devices}
        used = {plc.address for plc in self._of_device.values()}
        for address in [address for address in self._plcs if address not in used]:
            self._plcs.pop(address).forget()
            self.reports.drop(address)

    def _plc(self, address: bytes) -> Plc:
        plc = self._plcs.get(address)
        if plc is None:
            plc = self._plcs[address] = Plc(self.channel, address)
            self.reports.add(plc)
        return plc

    def plc_of(self, device: str) -> Plc:
        """The PLC runtime of a device. Raises DriverError."""
        plc = self._of_device.get(device)
        if plc is None:
            raise DriverError(f"{device} is not behind this link", scope=Scope.DEVICE, reason=Reason.DEVICE_ERROR)
        return plc

    async def start(self) -> None:
        """Prove that the link works: any answer of any PLC does, also one that says no. Raises DriverError, SESSION.

        One PLC alone is asked twice: some devices let the first question of a connection drop.
        """
        errors: list[DriverError] = []
        plcs = list(self._plcs.values())
        for plc in plcs if len(plcs) > 1 else plcs * 2:
            try:
                await plc.ask_state()
                return
            except DriverError as error:
                if error.scope is Scope.SESSION or not error.code:
                    raise
                errors.append(error)
                if error.code != CLIENT_TIMEOUT and len(plcs) == 1:
                    break
        if all(error.reason is Reason.DEVICE_TIMEOUT for error in errors):
            first = errors[0]
            raise DriverError(first.message, scope=Scope.SESSION, reason=first.reason, code=first.code, kind=first.kind)

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """See `Session.configure`."""
        self._take(devices)

    async def read(self, request: Request) -> ReadResult:
        """See `Session.read`. An answer of another symbol version is never given: it is asked again."""
        plc = self.plc_of(request.device)
        if self._pause_s:
            await self._pace()
        for _ in range(MOST_RENEWALS):
            if plc.stale or self.reports.due:
                await self._renewed(plc)
            prepared = await self._prepare(plc, request)
            result = await self._read(plc, request, prepared)
            if result is not None:
                return result
        raise self._restless(plc)

    async def _prepare(self, plc: Plc, request: Request) -> read_plan.Prepared:
        plan: ReadPlan = request.detail
        prepared = self._prepared.get(plan)
        outdated = prepared is None or prepared.generation != plc.generation
        if prepared is None or outdated or asyncio.get_running_loop().time() >= prepared.again_s:
            prepared = await read_plan.prepare(plc, plan.points, limit=self._limit(request.device))
            self._prepared[plan] = prepared
        return prepared

    def _limit(self, device: str) -> int:
        return min(int(self._devices[device].connection.get("max_read") or MAX_SUM), MAX_SUM)

    async def _read(self, plc: Plc, request: Request, prepared: read_plan.Prepared) -> ReadResult | None:
        if prepared.generation != plc.generation:
            return None
        values: list[Value] = [None] * len(request.points)
        faults = dict(prepared.faults)
        column: ReadResult | None = None
        for piece in prepared.pieces:
            data = await plc.read(piece.items, piece.body, "read")
            if prepared.generation != plc.generation:  # resolved again meanwhile: the answer is of the old program
                return None
            if prepared.whole and (numbers := read_plan.numbers_of(plc, piece, data)) is not None:
                lazy = LazyValues(len(values), partial(read_plan.values_of, piece), data)
                column = ReadResult(lazy, numbers=numbers)
                continue
            try:
                current = read_plan.take(plc, piece, data, values, faults)
            except struct.error:
                raise DriverError(
                    f"{plc.name}: an answer can't be read", scope=Scope.REQUEST, reason=Reason.DECODE_ERROR
                ) from None
            if not current or plc.stale:
                plc.stale = True
                return None
        if plc.apart and not await plc.look_apart():
            return None
        if plc.state != 5 and (fault := read_plan.stopped(plc)) is not None:
            for position in range(len(values)):
                faults.setdefault(position, fault)
        return ReadResult(values, faults) if column is None else column._replace(faults=faults)

    async def write(self, device: str, point: Point, value: Value) -> None:
        """See `Session.write`. Through a handle that is made for this write and under the version it was checked
        under, so that a value never lands where a symbol used to be."""
        try:
            await self._write_checked(self.plc_of(device), point, value)
        except DriverError as error:
            error.effect = error.effect or Effect.NONE  # `_send` says what became of bytes that went out
            raise

    async def _write_checked(self, plc: Plc, point: Point, value: Value) -> None:
        for _ in range(MOST_RENEWALS):
            if plc.stale:
                await self._renewed(plc)
            generation = plc.generation
            (target,) = await read_plan.targets_of(plc, [point])
            try:
                raw = _encoded(point, target, value)
            except DriverError:
                await plc.check()  # it may be refused only by what the program was before its last change
                if plc.stale:
                    continue
                raise
            assert not isinstance(target, Fault)
            if generation == plc.generation and await self._write(plc, point, target, raw):
                return
        raise self._restless(plc)

    async def _write(self, plc: Plc, point: Point, target: read_plan.Target, raw: bytes) -> bool:
        """Write checked bytes; False when the program changed in between and nothing was written."""
        what = f"{plc.name}: write {point.address}"
        if target.located is None:
            await self._send(plc, target.item.group, target.item.offset, raw, what)
            return True
        handle = 0
        try:
            handle = await plc.handle(point.address)
            await plc.check()
            if plc.stale:
                return False
            await self._send(plc, VALUE_BY_HANDLE, handle, raw, what)
        except DriverError as error:
            if error.code in (SYMBOL_VERSION_INVALID, SYMBOL_NOT_FOUND):
                plc.stale = True
                return False
            raise
        finally:
            if handle:
                plc.release(handle)
        return True

    async def _send(self, plc: Plc, group: int, offset: int, raw: bytes, what: str) -> None:
        try:
            await write(self.channel, plc.address, group, offset, raw, what)
        except DriverError as error:
            unheard = error.scope is Scope.SESSION or error.code in UNHEARD
            error.effect = Effect.MAYBE if unheard else Effect.REFUSED
            raise

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> AdsSubscription:
        """See `Session.subscribe`: on change or in cycles, as each tag's mode says."""
        plc = self.plc_of(device)
        await self._renewed(plc)
        tags = self._devices[device].tags
        cyclic = [point.name in tags and tags[point.name].mode == "cyclic" for point in points]
        subscription = AdsSubscription(self.reports, plc, device=device, sink=sink)
        try:
            await subscription.start(points, interval_ms=interval_ms, cyclic=cyclic)
        except DriverError:
            await subscription.close()
            raise
        return subscription

    async def check(self) -> None:
        """See `Session.check`. A PLC that does not answer makes its reported values BAD; those of other PLCs stay."""
        if self.channel.lost is not None:
            raise_lost(self.channel.lost, self.channel.endpoint)
        for plc in list(self._plcs.values()):
            try:
                await plc.check()
                await self._renewed(plc)
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
                plc.stale = True
                self.reports.fail(plc, Fault(error.reason, error.code))

    def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        """See `Session.browse`: everything below `start` (a symbol or program)."""
        plc = self._of_device.get(options.device) or next(iter(self._of_device.values()))
        return browse.browse(plc, start=options.start)

    async def close(self) -> None:
        """See `Session.close`."""
        self.reports.close()
        for plc in self._plcs.values():
            plc.forget()
        await self.channel.close()

    def counters(self) -> Mapping[str, int]:
        """What was unusual on this link."""
        return {"orphan_notifications": self.reports.orphans, "symbol_changes": self.reports.changes}

    async def _pace(self) -> None:
        """Rest between two reads, as the connection's `pause` says."""
        async with self._pacing:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._free_at_s - loop.time()))
            self._free_at_s = loop.time() + self._pause_s

    async def _renewed(self, plc: Plc) -> None:
        await plc.ready()
        if self.reports.due:
            await self.reports.renew(plc)

    def _restless(self, plc: Plc) -> DriverError:
        return DriverError(
            f"{plc.name}: the program changes faster than its symbols can be resolved",
            scope=Scope.DEVICE,
            reason=Reason.SYMBOL_CHANGED,
            code=SYMBOL_VERSION_INVALID,
        )


def address_of(device: DeviceConfig) -> bytes:
    """The AMS address of a device's runtime. Raises DriverError."""
    connection = device.connection
    try:
        return frame.address_of(str(connection.get("ams_net_id", "")), int(connection.get("port") or DEFAULT_AMS_PORT))
    except (ValueError, OverflowError):
        raise DriverError(
            f"{device.path}: '{connection.get('ams_net_id')}' is not an AMS NetId",
            scope=Scope.SESSION,
            retriable=False,
            reason=Reason.LINK_LOST,
        ) from None


def _encoded(point: Point, target: read_plan.Target | Fault, value: Value) -> bytes:
    """The bytes to write. Raises DriverError with scope ITEM."""
    if isinstance(target, Fault):
        raise _refused(point, target)
    if target.located is not None and target.located.entry.flags & SYMBOL_READ_ONLY:
        raise _refused(point, Fault(Reason.ACCESS_DENIED))
    try:
        return target.codec.encode(value)
    except EncodeError as error:
        raise DriverError(f"{point.name}: {error}", scope=Scope.ITEM, retriable=False, reason=error.reason) from None


def _refused(point: Point, fault: Fault) -> DriverError:
    reason = meaning_of(fault.code).text if fault.code else fault.reason.value.replace("_", " ")
    return DriverError(
        f"{point.address}: {reason}", scope=Scope.ITEM, retriable=False, reason=fault.reason, code=fault.code
    )
