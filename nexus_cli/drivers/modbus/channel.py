"""One connection to a Modbus server: one request in flight, no retries, no late answers, prompt loss.

The wire is driven here instead of by pymodbus's client, which takes a third of all that a poll costs (`wait_for`, a
transaction manager, an object a PDU) and needs most of its rules changed: `docs/decisions/0025-modbus-on-the-wire.md`.
Session and channel share one small surface: `ask` takes a unit id and a PDU, and gives the PDU of the answer.
Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b §3.1.3 (MBAP header).
"""

from __future__ import annotations

import asyncio
import struct

from nexus_cli.drivers.dialogue import Dialogue, Lost
from nexus_cli.drivers.modbus.pdu import MAX_RTU_FRAME, rtu_answer, rtu_frame

HEADER = 6
"""Transaction, protocol and length of an MBAP header; the unit id is counted by its length."""
MAX_LENGTH = 254
"""Unit id and the longest PDU."""
KEPT = 2 * MAX_RTU_FRAME
"""So many of the last bytes may hold an RTU answer; a line that never rests costs no more."""
_HEADER = struct.Struct(">HHH").pack


class Channel(Dialogue):
    """A connection. `open` first; after `Lost` only `close` is of use.

    Attributes:
        host, port: Where to.
        rtu: Frames without transaction ids; a request to unit 0 is a broadcast.
        traceable: False while only a new connection leaves a late answer behind.
        leaves: A new connection leaves late answers behind.
        answered: An answer came over this connection.
    """

    rtu = False
    leaves = True

    def __init__(self, host: str, port: int, *, timeout_s: float, connect_timeout_s: float) -> None:
        """Prepare a connection.

        Args:
            host: Name or address.
            port: TCP port.
            timeout_s: Longest wait for an answer.
            connect_timeout_s: Longest wait for a connection.
        """
        super().__init__(timeout_s=timeout_s)
        self.host, self.port = host, port
        self.traceable = self.answered = False
        self._connect_timeout_s = connect_timeout_s
        self._request = b""
        self._buffer = b""

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: Refused, unreachable or unknown host (TimeoutError is one).
        """
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._create()
        except TimeoutError:
            self.close()
            raise TimeoutError(f"no connection within {self._connect_timeout_s:g} s") from None
        except BaseException:
            self.close()
            raise

    async def _create(self) -> None:
        await self._loop.create_connection(lambda: self, self.host, self.port)

    async def ask(self, request: bytes, *, broadcast: bool = False) -> bytes:
        """Send a request and wait for its answer; a refusal is an answer.

        Args:
            request: Unit id and PDU.
            broadcast: Nobody answers: give b"" at once.

        Returns:
            The PDU of the answer, at least its function code. Whether it fits the request is for who asked to see.

        Raises:
            Timeout: Nothing came in time. The connection stands.
            Lost: The connection is gone, or what came is no answer.
        """
        if broadcast:
            if self._transport is None:
                raise Lost(self._why)
            self._transport.write(self._frame(request))
            return b""
        self._request = request
        answer = await self._exchange(self._frame(request))
        self.answered = True
        return answer

    def _frame(self, request: bytes) -> bytes:
        """What goes on the wire."""
        raise AssertionError("each framing has its own")


class TcpChannel(Channel):
    """Modbus TCP: answers carry the transaction id of their request, or 0 from servers that don't care.

    `traceable` is True from the first answer on that carries its request's id; then a late one is dropped, and a
    time-out leaves the connection as it is.
    """

    _number = 0

    def _frame(self, request: bytes) -> bytes:
        # 0 is what a server gives that does not care
        self._number = number = self._number % 0xFFFF + 1
        return _HEADER(number, 0, len(request)) + request

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while len(data) >= HEADER:
            length = data[4] << 8 | data[5]
            if data[2] or data[3] or not 2 <= length <= MAX_LENGTH:
                self._fail("what came is no Modbus TCP")
                return
            size = HEADER + length
            if len(data) == size:
                self._take(data)
                return
            if len(data) < size:
                break
            self._take(data[:size])
            data = data[size:]
        self._buffer = data

    def _take(self, frame: bytes) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        number, unit = frame[0] << 8 | frame[1], self._request[0]
        if number != self._number and (number or self.traceable):
            return  # answers a request that was given up: nobody wants it any more
        if frame[6] != unit and unit:
            self._fail(f"unit {frame[6]} answered a request to unit {unit}")
            return
        if number:
            self.traceable = True
        waiting.set_result(frame[7:])


class RtuChannel(Channel):
    """RTU frames: nothing tells to which request an answer belongs, so a late one is left behind with its connection."""

    rtu = True

    def _frame(self, request: bytes) -> bytes:
        self._buffer = b""
        return rtu_frame(request)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        self._buffer = (self._buffer + data)[-KEPT:]
        answer = rtu_answer(self._buffer, unit=self._request[0], function=self._request[1])
        if answer is not None:
            waiting.set_result(answer)
