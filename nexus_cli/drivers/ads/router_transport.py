"""The way through a local TwinCAT router, by pyads: the same requests, sent by its native library.

The library is contained: one worker thread per link and nothing of it anywhere else; every notification deleted
before the port is closed (closing a lost link with notifications kills the process); no time-out of its own choice;
nothing of its caches, names or decoding is used.

Source: Beckhoff, TcAdsDll / AdsLib (AdsSync…ReqEx2); measured with pyads 3.6.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.channel import Listener, raise_lost, result_of, silence
from nexus_cli.drivers.ads.errors import CLIENT_TIMEOUT, meaning_of
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason

HEADER_BYTES = 16
"""Handle, time and size before the data of a reported sample."""
CLOSE_TIMEOUT_S = 2.0
LOST_TIMEOUT_MS = 5
"""Longest wait for each notification to be deleted once the link is lost."""
MAX_WAITING = 20_000
"""Samples on their way from the library's threads to the loop (policy: drop the oldest)."""
_routes: Counter[tuple[str, str]] = Counter()
_routes_lock = threading.Lock()
_channels: dict[int, RoutedChannel] = {}
_numbers = itertools.count(1)
_callback: Any = None

Reply = asyncio.Future[bytes | int | None]


class RoutedChannel:
    """See `channel.Channel`."""

    def __init__(self, library: Any, *, endpoint: str, timeout_s: float, many_targets: bool) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self.lost: DriverError | None = None
        self.listener: Listener | None = None
        self.number = next(_numbers)
        self._library = library
        self._many_targets = many_targets
        self._loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="ads")
        self._port = 0
        self._routed: list[tuple[str, str]] = []
        self._notifications: set[tuple[bytes, int]] = set()
        self._closed = False
        self._waiting: deque[tuple[bytes, frame.Sample]] = deque(maxlen=MAX_WAITING)
        self._draining = False

    async def open(self, host: str, *, net_ids: Sequence[str], source_net_id: str) -> None:
        """Open a local AMS port, with routes where this machine has no TwinCAT router of its own. Raises DriverError."""
        await self._loop.run_in_executor(self._worker, self._open, host, tuple(net_ids), source_net_id)

    def send(self, target: bytes, command: int, body: bytes) -> Reply:
        """See `Channel.send`."""
        if self.lost is not None or self._closed:
            raise_lost(self.lost, self.endpoint)
        return self._loop.run_in_executor(self._worker, self._carry, target, command, body)

    async def answer(self, future: Reply, what: str) -> bytes:
        """See `Channel.answer`. The library bounds the time; the wait here only covers a library that hangs."""
        try:
            async with asyncio.timeout(self.timeout_s * 2 + 1.0):
                data = await future
        except TimeoutError:
            error = silence(self.endpoint, self.timeout_s, what, alive=False)
            self.lost = self.lost or error
            raise error from None
        if data is None:
            raise_lost(self.lost, self.endpoint)
        if data == CLIENT_TIMEOUT:
            error = silence(self.endpoint, self.timeout_s, what, alive=self._many_targets)
        elif isinstance(data, int) and meaning_of(data).scope is Scope.SESSION:
            error = DriverError(
                f"{self.endpoint}: {meaning_of(data).text} (ADS error {data})",
                scope=Scope.SESSION,
                reason=Reason.LINK_LOST,
                code=data,
            )
        else:
            return result_of(data, what)
        if error.scope is Scope.SESSION:
            self.lost = self.lost or error
        raise error

    def post(self, target: bytes, command: int, body: bytes) -> None:
        """See `Channel.post`."""
        if self.lost is None and not self._closed:
            self._worker.submit(self._carry, target, command, body)

    async def close(self) -> None:
        """See `Channel.close`."""
        if self._closed:
            return
        self._closed = True
        _channels.pop(self.number, None)
        closing = self._loop.run_in_executor(self._worker, self._close)
        self._worker.shutdown(wait=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await closing
        self.lost = self.lost or DriverError(
            f"{self.endpoint}: the link is closed", scope=Scope.SESSION, reason=Reason.LINK_LOST
        )

    def drain(self) -> None:
        """Called on the loop: pass on what has come, one batch per PLC."""
        self._draining = False
        batches: dict[bytes, list[frame.Sample]] = {}
        while self._waiting:
            address, sample = self._waiting.popleft()
            batches.setdefault(address, []).append(sample)
        if self.listener is None or self._closed:
            return
        for address, samples in batches.items():
            self.listener(address, samples)

    def hand_over(self, address: bytes, sample: frame.Sample) -> None:
        """Called on a thread of the library; the loop is woken once for all that comes meanwhile."""
        self._waiting.append((address, sample))
        if not self._draining:
            self._draining = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.drain)

    # --- on the worker thread ---------------------------------------------------------------------------------

    def _open(self, host: str, net_ids: Sequence[str], source_net_id: str) -> None:
        library = self._library
        if hasattr(library, "AdsAddRoute"):  # AdsLib: it is the router itself, and has no route yet
            if source_net_id:
                library.AdsSetLocalAddress(_structure(frame.net_id_bytes(source_net_id)))
            for net_id in net_ids:
                self._add_route(net_id, host)
        self._port = int(library.AdsPortOpenEx())
        if not self._port:
            raise DriverError(
                f"{self.endpoint}: the AMS router gives no port", scope=Scope.SESSION, reason=Reason.LINK_LOST
            )
        library.AdsSyncSetTimeoutEx(ctypes.c_int32(self._port), ctypes.c_int32(max(1, int(self.timeout_s * 1000))))
        _channels[self.number] = self

    def _add_route(self, net_id: str, host: str) -> None:
        with _routes_lock:
            if not _routes[net_id, host]:
                code = self._library.AdsAddRoute(_structure(frame.net_id_bytes(net_id)), ctypes.c_char_p(host.encode()))
                if code:
                    raise DriverError(
                        f"{self.endpoint}: no route to {net_id} (ADS error {code & 0xFFFFFFFF})",
                        scope=Scope.SESSION,
                        reason=Reason.LINK_LOST,
                        code=code & 0xFFFFFFFF,
                    )
            _routes[net_id, host] += 1
            self._routed.append((net_id, host))

    def _close(self) -> None:
        if self.lost is not None and self._port:
            # There are no answers any more, and there may be 550 of them.
            self._library.AdsSyncSetTimeoutEx(ctypes.c_int32(self._port), ctypes.c_int32(LOST_TIMEOUT_MS))
        for target, handle in list(self._notifications):
            self._delete(target, handle)
        if self._port:
            self._library.AdsPortCloseEx(ctypes.c_int32(self._port))
        with _routes_lock:
            for route in self._routed:
                _routes[route] -= 1
                if not _routes[route]:
                    del _routes[route]
                    self._library.AdsDelRoute(_structure(frame.net_id_bytes(route[0])))
            self._routed.clear()

    def _carry(self, target: bytes, command: int, body: bytes) -> bytes | int | None:
        if self.lost is not None or (self._closed and command != frame.DELETE_NOTIFICATION):
            return None
        work: dict[int, Callable[[Any, bytes], bytes | int]] = {
            frame.READ: self._read,
            frame.WRITE: self._write,
            frame.READ_STATE: self._read_state,
            frame.ADD_NOTIFICATION: self._add,
            frame.READ_WRITE: self._read_write,
        }
        if command == frame.DELETE_NOTIFICATION:
            return self._delete(target, int.from_bytes(body[:4], "little"))
        return work[command](_structure(target), body)

    def _read(self, target: Any, body: bytes) -> bytes | int:
        group, offset, size = struct.unpack("<III", body)
        return self._exchange(target, group, offset, size, None)

    def _read_write(self, target: Any, body: bytes) -> bytes | int:
        group, offset, size, _ = struct.unpack_from("<IIII", body)
        return self._exchange(target, group, offset, size, body[16:])

    def _exchange(self, target: Any, group: int, offset: int, size: int, data: bytes | None) -> bytes | int:
        buffer, read = ctypes.create_string_buffer(size), ctypes.c_ulong()
        where = (ctypes.c_int32(self._port), ctypes.byref(target), ctypes.c_uint32(group), ctypes.c_uint32(offset))
        into = (ctypes.c_uint32(size), buffer)
        if data is None:
            code = self._library.AdsSyncReadReqEx2(*where, *into, ctypes.byref(read))
        else:
            code = self._library.AdsSyncReadWriteReqEx2(
                *where, *into, ctypes.c_uint32(len(data)), ctypes.c_char_p(data), ctypes.byref(read)
            )
        if code:
            return int(code) & 0xFFFFFFFF
        found = min(read.value & 0xFFFFFFFF, size)
        return struct.pack("<II", 0, found) + buffer.raw[:found]

    def _write(self, target: Any, body: bytes) -> bytes | int:
        group, offset, size = struct.unpack_from("<III", body)
        where = (ctypes.c_int32(self._port), ctypes.byref(target), ctypes.c_uint32(group), ctypes.c_uint32(offset))
        code = self._library.AdsSyncWriteReqEx(*where, ctypes.c_uint32(size), ctypes.c_char_p(body[12:]))
        return int(code) & 0xFFFFFFFF if code else bytes(4)

    def _read_state(self, target: Any, _: bytes) -> bytes | int:
        state, device = ctypes.c_uint16(), ctypes.c_uint16()
        code = self._library.AdsSyncReadStateReqEx(
            ctypes.c_int32(self._port), ctypes.byref(target), ctypes.byref(state), ctypes.byref(device)
        )
        return int(code) & 0xFFFFFFFF if code else struct.pack("<IHH", 0, state.value, device.value)

    def _add(self, target: Any, body: bytes) -> bytes | int:
        group, offset, size, mode, delay, cycle = struct.unpack_from("<6I", body)
        attributes = _Attributes(size, mode, delay, cycle)
        handle = ctypes.c_ulong()
        code = self._library.AdsSyncAddDeviceNotificationReqEx(
            ctypes.c_int32(self._port),
            ctypes.byref(target),
            ctypes.c_uint32(group),
            ctypes.c_uint32(offset),
            ctypes.byref(attributes),
            _callback,
            ctypes.c_uint32(self.number),
            ctypes.byref(handle),
        )
        if code:
            return int(code) & 0xFFFFFFFF
        number = handle.value & 0xFFFFFFFF
        self._notifications.add((bytes(target), number))
        return struct.pack("<II", 0, number)

    def _delete(self, target: bytes, handle: int) -> bytes | int:
        if (target, handle) not in self._notifications:
            return bytes(4)
        self._notifications.discard((target, handle))
        code = self._library.AdsSyncDelDeviceNotificationReqEx(
            ctypes.c_int32(self._port), ctypes.byref(_structure(target)), ctypes.c_uint32(handle)
        )
        return int(code) & 0xFFFFFFFF if code else bytes(4)


class _Attributes(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("delay", ctypes.c_uint32),
        ("cycle", ctypes.c_uint32),
    ]


class _NetId(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 6)]


class _Address(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 8)]


def _structure(raw: bytes) -> Any:
    kind = _NetId if len(raw) == 6 else _Address
    return kind.from_buffer_copy(raw)


def _reported(address: Any, header: Any, number: int) -> None:
    """Called by the library on a thread of its own: copy, and leave."""
    channel = _channels.get(number & 0xFFFFFFFF)
    if channel is None:
        return
    place = ctypes.cast(header, ctypes.c_void_p).value or 0
    handle, ticks, size = struct.unpack("<IQI", ctypes.string_at(place, HEADER_BYTES))
    sender = ctypes.string_at(ctypes.cast(address, ctypes.c_void_p).value or 0, 8)
    channel.hand_over(sender, frame.Sample(ticks, handle, ctypes.string_at(place + HEADER_BYTES, size)))


def _load() -> Any:
    """The native library that pyads brings or finds. Raises DriverError when there is none."""
    global _callback
    try:
        from pyads import pyads_ex  # noqa: PLC0415 - optional library
    except ImportError:
        raise _missing(
            "pyads is not installed: pip install 'nexus-cli[ads]'", kind=FailureKind.MISSING_PACKAGE
        ) from None
    except (OSError, RuntimeError) as error:
        raise _missing(f"no TwinCAT router can be used here ({error})") from None
    library = pyads_ex._adsDLL
    if _callback is None:
        function = getattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE)
        _callback = function(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)(_reported)
    for name in ("AdsSyncAddDeviceNotificationReqEx",):
        getattr(library, name).argtypes = None
    return library


def _missing(message: str, *, kind: FailureKind = FailureKind.OTHER) -> DriverError:
    return DriverError(message, scope=Scope.SESSION, retriable=False, reason=Reason.LINK_LOST, kind=kind)


async def open_routed(host: str, *, net_ids: Sequence[str], source_net_id: str, timeout_s: float) -> RoutedChannel:
    """Open a link through the local router.

    Raises:
        DriverError: With scope SESSION.
    """
    library = _load()
    channel = RoutedChannel(
        library, endpoint=f"ads-router://{host}", timeout_s=timeout_s, many_targets=len(net_ids) > 1
    )
    try:
        await channel.open(host, net_ids=net_ids, source_net_id=source_net_id)
    except DriverError:
        await channel.close()
        raise
    return channel
