"""The publish requests of a link: kept in flight by their own answers, decoded straight from the bytes.

Each answer sends the next request, so that no task is left behind and no queue can overflow.
Whatever breaks is remembered by the channel and comes out at the next `check`, read or write of the session.

Source: OPC 10000-4 §5.14 (subscriptions, keep-alive, acknowledgement), OPC 10000-6 §5.2 (encoding).
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Fault, Notification, Point, Scope, Sink
from nexus_cli.drivers.opcua import monitor
from nexus_cli.drivers.opcua.channel import Channel, response_header
from nexus_cli.drivers.opcua.codec import (
    DataValue,
    DecodeError,
    Structure,
    read_array,
    read_data_value,
    read_node_id,
)
from nexus_cli.drivers.opcua.status import fault_of, name_of, overflowed, service_error
from nexus_cli.drivers.opcua.stream import Stream, now_s
from nexus_cli.drivers.opcua.structures import StructureCodec
from nexus_cli.drivers.opcua.values import Convert
from nexus_cli.wire.sample import Reason, Value

REPUBLISH_REQUEST = ua.ObjectIds.RepublishRequest_Encoding_DefaultBinary
PUBLISH_REQUEST = ua.ObjectIds.PublishRequest_Encoding_DefaultBinary
DATA_CHANGE = "i=811"
STATUS_CHANGE = "i=820"
TOO_MANY_PUBLISH_REQUESTS = 0x80780000
NO_SUBSCRIPTION = 0x80790000
TIMEOUT = 0x800A0000
KEEP_ALIVE_MS = 5_000
MISSED_KEEP_ALIVES = 3
MAX_IN_FLIGHT = 10
MAX_UNKNOWN_TYPES = 100
DECODE_FAULT = Fault(Reason.DECODE_ERROR)

_ITEM = struct.Struct("<I")


class Receiver(Protocol):
    """Who gets the reports of an item: one device's subscription.

    Attributes:
        device: Path of the device.
        sink: Gets the reports.
        faults: Points that are not reported, by name; the publisher adds those whose subscription the server ended.
    """

    device: str
    sink: Sink
    faults: dict[str, Fault]


class Item(NamedTuple):
    """The point of a client handle."""

    owner: Receiver
    point: Point
    convert: Convert


Reports = dict[Receiver, list[Notification]]
"""What one message brings, by device."""


class Publisher:
    """The link's publish requests, and who gets what they bring.

    Attributes:
        streams: By the interval that was asked for; one that is shared is listed more than once.
        items: By our handle.
    """

    def __init__(self, channel: Channel, *, session_timeout_ms: int, ended: Callable[[], None] = lambda: None) -> None:
        """Report on a channel; `ended` is called when the server ended a subscription."""
        self.channel = channel
        self._ended = ended
        self.streams: dict[int, Stream[Reports]] = {}
        self.items: dict[int, Item] = {}
        self._session_timeout_ms = session_timeout_ms
        self._next_handle = 1
        self._in_flight = 0
        self._most = MAX_IN_FLIGHT
        self._acknowledge: list[tuple[int, int]] = []
        self._unknown: set[str] = set()
        self._overflows = 0
        self._undecodable = 0
        self._missed = 0
        self._closed = False

    def counters(self) -> Mapping[str, int]:
        """Lost values and unreadable reports since the session began."""
        return {
            "queue_overflows": self._overflows,
            "undecodable_reports": self._undecodable,
            "missed_reports": self._missed,
        }

    def new_handle(self, item: Item) -> int:
        """A client handle that no item of this session had before."""
        handle = self._next_handle
        self._next_handle += 1
        self.items[handle] = item
        return handle

    async def stream(self, interval_ms: int) -> Stream[Reports]:
        """The server's subscription with this publishing interval; made when there is none.

        A server that allows no more of them has the nearest one shared: how often a value is sampled is a matter of each
        item, and the subscription publishes as often as the quickest needs.

        Raises:
            DriverError: The server refuses it, and there is none to share.
        """
        existing = self.streams.get(interval_ms)
        if existing is not None:
            return existing
        try:
            stream = await self._create(interval_ms)
        except DriverError as error:
            if error.scope is not Scope.REQUEST or not self.streams:
                raise
            stream = min(self.streams.values(), key=lambda one: abs(one.interval_ms - interval_ms))
            await self._quicken(stream, interval_ms)
            stream.shared = name_of(error.code)
        self.streams[interval_ms] = stream
        self.fill()
        return stream

    async def _create(self, interval_ms: int) -> Stream[Reports]:
        result = await monitor.create_subscription(self.channel, self._parameters(interval_ms))
        return Stream(result.SubscriptionId, interval_ms=interval_ms, silence_s=self._silence_s(result))

    def _parameters(self, interval_ms: int) -> ua.CreateSubscriptionParameters:
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = float(interval_ms)
        keep_alive = max(1, math.ceil(min(KEEP_ALIVE_MS, self._session_timeout_ms / 3) / interval_ms))
        parameters.RequestedMaxKeepAliveCount = keep_alive
        parameters.RequestedLifetimeCount = max(keep_alive * 10, math.ceil(60_000 / interval_ms))
        parameters.MaxNotificationsPerPublish = 0
        parameters.PublishingEnabled = True
        parameters.Priority = 0
        return parameters

    def _silence_s(self, revised: ua.CreateSubscriptionResult | ua.ModifySubscriptionResult) -> float:
        alive_s = revised.RevisedMaxKeepAliveCount * revised.RevisedPublishingInterval / 1000
        return float(alive_s * MISSED_KEEP_ALIVES + self.channel.timeout_s)

    async def _quicken(self, stream: Stream[Reports], interval_ms: int) -> None:
        """Have a subscription publish at least this often; where the server refuses, its items queue more."""
        if interval_ms >= stream.interval_ms:
            return
        try:
            revised = await monitor.modify_subscription(self.channel, self._parameters(interval_ms), stream.id)
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            return
        stream.interval_ms, stream.silence_s = interval_ms, self._silence_s(revised)

    async def drop(self, stream: Stream[Reports]) -> None:
        """Delete a subscription of the server. Raises DriverError."""
        self._forget(stream)
        await monitor.delete_subscription(self.channel, stream.id)

    async def check(self) -> None:
        """Call when the session has just answered: retry the refused registrations, and end streams that are silent for longer than
        its keep-alives allow. Raises DriverError."""
        self.fill()
        moment_s = now_s()
        for stream in set(self.streams.values()):
            if stream.since_s and moment_s - stream.since_s > self.channel.timeout_s:
                self._deliver(stream.release())  # what is missing is not coming any more
            if moment_s - stream.heard_s > stream.silence_s:
                self._end([stream], TIMEOUT)
                try:
                    await monitor.delete_subscription(self.channel, stream.id)
                except DriverError as error:
                    if error.scope is Scope.SESSION:
                        raise

    def _forget(self, stream: Stream[Reports]) -> None:
        self.streams = {interval: one for interval, one in self.streams.items() if one is not stream}

    def _end(self, streams: Iterable[Stream[Reports]], code: int) -> None:
        """The server has ended subscriptions: what they reported is not reported any more."""
        fault = fault_of(code) or Fault(Reason.DEVICE_ERROR, code)
        for stream in streams:
            self._forget(stream)
            for handle in stream.items:
                item = self.items.pop(handle, None)
                if item is not None:
                    item.owner.faults[item.point.name] = fault
        self._ended()

    async def prepare_structures(self, structures: StructureCodec) -> None:
        """Load the definitions that a report lacked. Raises DriverError when the session is lost."""
        while self._unknown:
            await structures.prepare(self._unknown.pop())

    def fill(self) -> None:
        """Have one publish request more in flight than there are subscriptions, within the server's bounds."""
        wanted = min(len(set(self.streams.values())) + 1, self._most) if self.streams else 0
        while not self._closed and self.channel.lost is None and self._in_flight < wanted:
            acknowledged, self._acknowledge = self._acknowledge, []
            body = struct.pack("<i", len(acknowledged)) + b"".join(struct.pack("<II", *pair) for pair in acknowledged)
            try:
                answer = self.channel.send(PUBLISH_REQUEST, body, timeout_ms=0)
            except (ConnectionError, ua.UaError) as error:
                self._break(f"the connection broke ({error})")
                return
            self._in_flight += 1
            answer.add_done_callback(self._answered)

    def close(self) -> None:
        """Report nothing more."""
        self._closed = True
        self.items.clear()
        self.streams.clear()

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        self._in_flight -= 1
        if answer.cancelled() or self._closed:
            answer.cancelled() or answer.exception()
            return
        broken = answer.exception()
        if broken is not None:
            self._break(f"the connection broke ({str(broken) or type(broken).__name__})")
            return
        data = bytes(answer.result())
        try:
            code, at = response_header(data)
            if code >> 30:
                self._refused(code & 0xFFFF0000)
                return
            number, sequence, reports = self._read(data, at)
        except (DecodeError, IndexError, struct.error, RecursionError):
            self._undecodable += 1
            self.fill()
            return
        self.fill()  # first the next request, then the sinks: their time must not hold the server up
        stream = next((one for one in self.streams.values() if one.id == number), None)
        if stream is None:
            self._deliver([reports or {}])
            return
        stream.heard_s = now_s()
        self._ask_again(stream, stream.missing(sequence, full=reports is not None))
        if reports:
            self._deliver(stream.take(reports))

    def _deliver(self, messages: Iterable[Reports]) -> None:
        for reports in messages:
            for owner, values in reports.items():
                owner.sink(owner.device, values)

    def _ask_again(self, stream: Stream[Reports], numbers: Sequence[int]) -> None:
        """Request the republishing of messages that did not arrive or could not be read; later messages wait."""
        if not numbers:
            return
        stream.wait_for(numbers)
        for sequence in numbers:
            try:
                answer = self.channel.send(REPUBLISH_REQUEST, struct.pack("<II", stream.id, sequence), timeout_ms=0)
            except (ConnectionError, ua.UaError) as error:
                self._break(f"the connection broke ({error})")
                return
            answer.add_done_callback(lambda done, sequence=sequence: self._republished(stream, sequence, done))  # type: ignore[misc]

    def _republished(self, stream: Stream[Reports], sequence: int, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled() or self._closed:
            return
        message: Reports | None = None
        if answer.exception() is None:
            data = bytes(answer.result())
            try:
                code, at = response_header(data)
                if not code >> 30:
                    _, message = self._message(data, at, stream.id)
            except (DecodeError, IndexError, struct.error, RecursionError):
                message = None  # it was not readable the first time either
        self._missed += message is None
        self._deliver(stream.found(sequence, message))

    def _read(self, data: bytes, at: int) -> tuple[int, int, Reports | None]:
        """Subscription, sequence number and reports of one PublishResponse; no reports are a keep-alive."""
        (number,) = _ITEM.unpack_from(data, at)
        _, at = read_array(7, data, at + 4)
        at += 1  # MoreNotifications: the next request is on its way in any case
        return number, *self._message(data, at, number)

    def _message(self, data: bytes, at: int, number: int) -> tuple[int, Reports | None]:
        """Sequence number and reports of a NotificationMessage; it is acknowledged."""
        (sequence,) = _ITEM.unpack_from(data, at)
        at += 12
        (count,) = struct.unpack_from("<i", data, at)
        at += 4
        if count <= 0:
            return sequence, None
        reports: Reports = {}
        for _ in range(max(count, 0)):
            type_id, at = read_node_id(data, at)
            length = struct.unpack_from("<i", data, at + 1)[0] if data[at] else 0
            at += 5 if data[at] else 1
            end = at + max(length, 0)
            if type_id == DATA_CHANGE:
                self._data_change(data, at, reports)
            elif type_id == STATUS_CHANGE:
                (status,) = _ITEM.unpack_from(data, at)
                if status >> 30:
                    self._end([one for one in set(self.streams.values()) if one.id == number], status)
            at = end
        self._acknowledge.append((number, sequence))
        return sequence, reports

    def _data_change(self, data: bytes, at: int, reports: Reports) -> None:
        (count,) = struct.unpack_from("<i", data, at)
        at += 4
        items = self.items
        for _ in range(count):
            (handle,) = _ITEM.unpack_from(data, at)
            found, at = read_data_value(data, at + 4)
            item = items.get(handle)
            if item is None:  # deleted a moment ago
                continue
            owner, point, convert = item
            fault: Fault | None = None
            if found.status:
                fault = fault_of(found.status)
                if overflowed(found.status):
                    self._overflows += 1
            value: Value = None
            if fault is None or fault.uncertain:
                converted = self._convert(convert, found)
                if isinstance(converted, Fault):
                    fault = converted
                else:
                    value = converted
            notification = Notification(point, value, fault, found.source_us)
            queue = reports.get(owner)
            if queue is None:
                reports[owner] = [notification]
            else:
                queue.append(notification)

    def _convert(self, convert: Convert, found: DataValue) -> Value | Fault:
        try:
            return convert(found)
        except (DecodeError, IndexError, TypeError, ValueError, struct.error):
            self._note_structure(found.value)
            return DECODE_FAULT

    def _note_structure(self, value: Any) -> None:
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, Structure) and len(self._unknown) < MAX_UNKNOWN_TYPES:
                self._unknown.add(one.type_id)

    def _refused(self, code: int) -> None:
        if code == TOO_MANY_PUBLISH_REQUESTS:
            self._most = max(1, self._in_flight)
        elif code == NO_SUBSCRIPTION:
            if self.streams:
                self._end(list(set(self.streams.values())), code)
        elif code == TIMEOUT:
            self.fill()
        elif service_error(code, "").scope is Scope.SESSION:
            self._break(f"the server refuses to publish ({name_of(code)})")
        # Anything else may pass: the next check asks again, and ends what stays silent.

    def _break(self, why: str) -> None:
        self.channel.lose(DriverError(f"{self.channel.endpoint}: {why}", scope=Scope.SESSION, reason=Reason.LINK_LOST))
