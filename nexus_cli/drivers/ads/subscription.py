"""What PLCs report without being polled: notifications on change or in cycles, and the watch over version and state.

A notification is bound to an address. So when the program changes, everything that was reported is BAD at once and
dropped, a check is called for, and that (or a read or write before it) registers all of it again under new addresses.

Source: Beckhoff, ADS AddDeviceNotification: transmission modes 3 (cyclic) and 4 (on change), times in 100 ns;
at most 550 notifications a connection.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nexus_cli.drivers.ads import frame, read_plan
from nexus_cli.drivers.ads.channel import Channel, Item, many
from nexus_cli.drivers.ads.errors import NO_MORE_HANDLES, NO_NOTIFICATIONS, SERVICE_NOT_SUPPORTED, fault_of, meaning_of
from nexus_cli.drivers.ads.plc import STATE, Plc
from nexus_cli.drivers.base import DriverError, Fault, Notification, Point, Promise, Scope, Sink
from nexus_cli.wire.sample import Reason, Value

CYCLIC, ON_CHANGE = 3, 4
MAX_NOTIFICATIONS = 550
TICKS_A_MS = 10_000
WATCH_CYCLE_MS = 100
MAX_ORPHANS = 2_048
"""First values that came before the answer that names them (policy: drop the oldest)."""
_CHANGED = Fault(Reason.SYMBOL_CHANGED, 1809)
_DECODE_ERROR = Fault(Reason.DECODE_ERROR)
_ADD = struct.Struct("<IIIIII16x")


@dataclass(slots=True)
class Entry:
    """One notification: what it reports, and to whom; the watch over version and state has no point."""

    item: Item
    mode: int
    delay_ms: int
    cycle_ms: int
    point: Point | None = None
    target: read_plan.Target | None = None
    owner: AdsSubscription | None = None
    value: Value = None
    known: bool = False


class Reports:
    """All notifications of a link.

    Attributes:
        due: Something has to be registered again.
        orphans: Samples of unknown handles.
        changes: How often a program changed under a subscription.
    """

    def __init__(self, channel: Channel, *, limit: int, changed: Callable[[], None]) -> None:
        """Take over the notifications of a channel; `changed` is called when they have to be registered again."""
        self.channel = channel
        self._changed = changed
        self.due = False
        self.orphans = 0
        self.changes = 0
        self._limit = min(limit or MAX_NOTIFICATIONS, MAX_NOTIFICATIONS)
        self._plcs: dict[bytes, Plc] = {}
        self._entries: dict[bytes, dict[int, Entry]] = {}
        self._subscriptions: dict[bytes, list[AdsSubscription]] = {}
        self._early: dict[tuple[bytes, int], frame.Sample] = {}
        self._adding = 0
        channel.listener = self.on_samples

    def add(self, plc: Plc) -> None:
        """Watch over a PLC from now on."""
        self._plcs[plc.address] = plc
        self._entries[plc.address] = {}
        self._subscriptions[plc.address] = []
        plc.renewed.append(lambda: self._was_renewed(plc))
        plc.state_changed.append(lambda before, now: self._state_changed(plc))

    def drop(self, address: bytes) -> None:
        """A PLC that is no longer wanted."""
        self._release(address, list(self._entries.pop(address, {})))
        self._plcs.pop(address, None)
        self._subscriptions.pop(address, None)

    def room(self) -> int:
        """How many more notifications may be registered."""
        return self._limit - sum(len(entries) for entries in self._entries.values())

    def joined(self, subscription: AdsSubscription) -> None:
        """A subscription that is kept up from now on."""
        self._subscriptions[subscription.plc.address].append(subscription)

    def left(self, subscription: AdsSubscription) -> None:
        """A subscription that has ended: its notifications end too, and the watch with the last one."""
        address = subscription.plc.address
        remaining = self._subscriptions.get(address, [])
        if subscription in remaining:
            remaining.remove(subscription)
        entries = self._entries.get(address, {})
        gone = [handle for handle, entry in entries.items() if entry.owner is subscription or not remaining]
        for handle in gone:
            del entries[handle]
        self._release(address, gone)

    def distrust(self, subscription: AdsSubscription, names: set[str]) -> None:
        """End the notifications of these points, and the watch: both are registered again with the next registration."""
        address = subscription.plc.address
        entries = self._entries.get(address, {})
        gone = [
            handle
            for handle, entry in entries.items()
            if entry.point is None or (entry.owner is subscription and entry.point.name in names)
        ]
        for handle in gone:
            del entries[handle]
        self._release(address, gone)

    async def register(self, plc: Plc, entries: Sequence[Entry]) -> list[Fault | None]:
        """Register notifications, the watch first when there is none; a fault for each that was refused.

        Raises:
            DriverError: With scope SESSION or DEVICE.
        """
        known = self._entries[plc.address]
        watch = []
        if not any(entry.point is None for entry in known.values()):
            watch = [Entry(item, ON_CHANGE, 0, WATCH_CYCLE_MS) for item in plc.watch]
        faults: list[Fault | None] = []
        room = max(0, self.room() - len(watch))
        wanted = [*watch, *entries[:room]]
        bodies = [
            _ADD.pack(*entry.item, entry.mode, entry.delay_ms * TICKS_A_MS, entry.cycle_ms * TICKS_A_MS)
            for entry in wanted
        ]
        self._adding += 1
        try:
            answers = await many(
                self.channel,
                plc.address,
                frame.ADD_NOTIFICATION,
                bodies,
                f"{plc.name}: register a notification",
                own=NO_NOTIFICATIONS,
            )
        finally:
            self._adding -= 1
        for entry, answer in zip(wanted, answers, strict=True):
            fault = None
            if isinstance(answer, DriverError):
                fault = fault_of(answer.code)
            elif len(answer) < 4:
                fault = _DECODE_ERROR
            else:
                handle = int.from_bytes(answer[:4], "little")
                known[handle] = entry
                early = self._early.pop((plc.address, handle), None)
                if early is not None:
                    self.on_samples(plc.address, [early])
            if entry.point is not None:
                faults.append(fault)
        return faults + [Fault(Reason.DEVICE_ERROR, NO_MORE_HANDLES)] * (len(entries) - len(faults))

    def on_samples(self, address: bytes, samples: Sequence[frame.Sample]) -> None:
        """Handle what a PLC reported; samples of an old program or of an unknown handle are dropped."""
        plc = self._plcs.get(address)
        if plc is None:
            return
        entries = self._entries[address]
        batches: dict[AdsSubscription, list[Notification]] = {}
        stopped = read_plan.stopped(plc)
        for sample in samples:
            entry = entries.get(sample.handle)
            if entry is None:
                self._orphan(address, sample)
            elif entry.owner is None:
                self._watched(plc, entry, sample)
                stopped = read_plan.stopped(plc)
            elif not plc.stale:
                batches.setdefault(entry.owner, []).append(_notification(entry, sample, stopped))
        for owner, notifications in batches.items():
            owner.sink(owner.device, notifications)

    async def renew(self, plc: Plc) -> None:
        """Register again what a change of this PLC's program removed; other PLCs are not touched.

        Raises:
            DriverError: With scope SESSION.
        """
        for one in list(self._subscriptions.get(plc.address, ())):
            if one.current:
                continue
            try:
                await one.again()
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
                self.fail(plc, Fault(error.reason, error.code))
        self.due = any(not one.current for many in self._subscriptions.values() for one in many)

    def fail(self, plc: Plc, fault: Fault) -> None:
        """Everything that this PLC reports is BAD; it is registered again once the PLC answers."""
        self.due = True
        self._release(plc.address, list(self._entries[plc.address]))
        self._entries[plc.address] = {}
        for subscription in self._subscriptions[plc.address]:
            subscription.fail(fault)

    def close(self) -> None:
        """Give every notification back."""
        for address, entries in self._entries.items():
            self._release(address, list(entries))
        self._entries = {address: {} for address in self._entries}
        self._early.clear()
        self.channel.listener = None

    def _watched(self, plc: Plc, entry: Entry, sample: frame.Sample) -> None:
        if entry.item == STATE and len(sample.data) == STATE.size:
            plc.see_state(int.from_bytes(sample.data, "little"))
        elif (known := plc.known(entry.item)) is not None and sample.data != known:
            plc.stale = True
        if plc.stale:
            self._outdated(plc)

    def _outdated(self, plc: Plc) -> None:
        if any(one.current for one in self._subscriptions[plc.address]):
            self.changes += 1
            self.fail(plc, _CHANGED)
            self._changed()

    def _was_renewed(self, plc: Plc) -> None:
        self._outdated(plc)

    def _state_changed(self, plc: Plc) -> None:
        """Say it of every value that is known: its quality is another one now."""
        if plc.stale:
            self._outdated(plc)
            return
        stopped = read_plan.stopped(plc)
        batches: dict[AdsSubscription, list[Notification]] = {}
        for entry in self._entries[plc.address].values():
            if entry.owner is not None and entry.point is not None and entry.known:
                batches.setdefault(entry.owner, []).append(Notification(entry.point, entry.value, stopped))
        for owner, notifications in batches.items():
            owner.sink(owner.device, notifications)

    def _orphan(self, address: bytes, sample: frame.Sample) -> None:
        if self._adding:  # it may belong to a registration whose answer is being waited for
            if len(self._early) >= MAX_ORPHANS:
                self._early.pop(next(iter(self._early)))
            self._early[address, sample.handle] = sample
            return
        self.orphans += 1
        self._release(address, [sample.handle])

    def _release(self, address: bytes, handles: Sequence[int]) -> None:
        for handle in handles:
            self._early.pop((address, handle), None)
            self.channel.post(address, frame.DELETE_NOTIFICATION, handle.to_bytes(4, "little"))


class AdsSubscription:
    """See `drivers.base.Subscription`: the reported points of one device.

    Attributes:
        current: Its notifications are registered under the PLC's current program.
    """

    def __init__(self, reports: Reports, plc: Plc, *, device: str, sink: Sink) -> None:
        self.plc = plc
        self.device = device
        self.sink = sink
        self.faults: dict[str, Fault] = {}
        self.current = False
        self._reports = reports
        self._wanted: list[tuple[Point, int, bool]] = []
        self._promises: dict[str, Promise] = {}

    async def start(self, points: Sequence[Point], *, interval_ms: Sequence[int], cyclic: Sequence[bool]) -> None:
        """Register every point. Raises DriverError with scope SESSION or DEVICE."""
        self._wanted = list(zip(points, (max(1, int(one)) for one in interval_ms), cyclic, strict=True))
        for point, interval, _ in self._wanted:
            self._promises[point.name] = Promise((interval + int(point.options.get("max_delay") or 0)) / 1000)
        self._reports.joined(self)
        await self._register(self._wanted)

    def notes(self) -> Sequence[str]:
        """See `Subscription.notes`."""
        counts = Counter(fault.code for fault in self.faults.values())
        words = {NO_MORE_HANDLES: "the PLC has no notifications left"}
        for code in (SERVICE_NOT_SUPPORTED, *sorted(NO_NOTIFICATIONS)):
            words[code] = f"the PLC gives no notifications: {meaning_of(code).text}"
        return [f"{counts[code]} tags: {text} (0x{code:x})" for code, text in words.items() if counts[code]]

    async def retry(self) -> None:
        """See `Subscription.retry`. While the program is out of date, `again` asks for all of it."""
        if self.current:
            await self._register([one for one in self._wanted if one[0].name in self.faults])

    async def again(self) -> None:
        """Register again after a change of the program; symbols that are gone are BAD. Raises DriverError."""
        await self._register(self._wanted)
        points = {point.name: point for point, _, _ in self._wanted}
        lost = [Notification(points[name], None, fault) for name, fault in self.faults.items()]
        if lost:
            self.sink(self.device, lost)

    def fail(self, fault: Fault) -> None:
        """Every point that was reported is BAD from now on."""
        if self.current:
            self.current = False
            self.sink(self.device, [Notification(point, None, fault) for point, _, _ in self._wanted])

    def promise(self, name: str) -> Promise:
        """See `Subscription.promise`."""
        return self._promises[name]

    async def distrust(self, names: Sequence[str]) -> None:
        """See `Subscription.distrust`: a PLC that restarted behind a router whose connection stayed open has lost them, and
        the watch over its program as well."""
        self._reports.distrust(self, set(names))
        self.faults.update(dict.fromkeys(names, _CHANGED))

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._reports.left(self)

    async def _register(self, wanted: Sequence[tuple[Point, int, bool]]) -> None:
        targets = await read_plan.targets_of(self.plc, [point for point, _, _ in wanted])
        entries: list[Entry] = []
        for (point, interval, cyclic), target in zip(wanted, targets, strict=True):
            self.faults.pop(point.name, None)
            if isinstance(target, Fault):
                self.faults[point.name] = target
                continue
            delay_ms = int(point.options.get("max_delay") or 0)
            mode = CYCLIC if cyclic else ON_CHANGE
            entries.append(Entry(target.item, mode, delay_ms, interval, point, target, self))
        self.current = True
        for entry, fault in zip(entries, await self._reports.register(self.plc, entries), strict=True):
            if fault is not None and entry.point is not None:
                self.faults[entry.point.name] = fault


def _notification(entry: Entry, sample: frame.Sample, stopped: Fault | None) -> Notification:
    point, target = entry.point, entry.target
    assert point is not None
    assert target is not None
    if not sample.data:  # how a PLC reports that the address is gone
        return Notification(point, None, _CHANGED, frame.time_us(sample.ticks))
    try:
        value = target.codec.decode(sample.data)
    except (ValueError, struct.error, OverflowError):
        return Notification(point, None, _DECODE_ERROR, frame.time_us(sample.ticks))
    entry.value, entry.known = value, True
    return Notification(point, value, stopped, frame.time_us(sample.ticks))
