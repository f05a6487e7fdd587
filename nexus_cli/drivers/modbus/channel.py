"""One connection to a Modbus server: one request in flight, no retries, no late answers, prompt loss.

The wire is driven here instead of by pymodbus's client, which takes a third of all that a poll costs (`wait_for`, a
transaction manager, an object a PDU) and needs most of its rules changed: `docs/decisions/0025-modbus-on-the-wire.md`.
Session and channel share one small surface: `ask` takes a unit id and a PDU, and gives the PDU of the answer.
Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b §3.1.3 (MBAP header).
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from nexus_cli.drivers.modbus.pdu import ANSWERED_ALIKE, MAX_RTU_FRAME, rtu_answer, rtu_frame
from nexus_cli.drivers.transport import ConnectionLost, Done, Reply, RequestTimeout, RequestTransport

HEADER = 6
"""Transaction, protocol and length of an MBAP header; the unit id is counted by its length."""
MOST_LATE = 64
"""An answer to one of so many earlier requests is a late one; other foreign ids are reported."""
MAX_LENGTH = 254
"""Unit id and the longest PDU."""
KEPT = 2 * MAX_RTU_FRAME
"""So many of the last bytes may hold an RTU answer; a line that never rests costs no more."""
_HEADER = struct.Struct(">HHH").pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Lenience:
    """Which answers count that are not under the ids of their request.

    Attributes:
        any_unit: Under whichever unit id.
        any_transaction: Under whichever transaction id. A late answer can't be recognised then: it is dropped with its
            connection.
        echo: What is sent comes back before the answer, as from a two-wire adapter that receives its own frames; None to
            find out (RTU).
    """

    any_unit: bool = False
    any_transaction: bool = False
    echo: bool | None = None


STRICT = Lenience()


class Misaddressed(Exception):
    """An answer came, under ids that are not those of its request; the message says which and what to set."""


class Channel(RequestTransport):
    """A connection. `open` first; after `ConnectionLost` only `close` may be called.

    Attributes:
        host, port: Where to.
        rtu: Frames without transaction ids; a request to unit 0 is a broadcast.
        traceable: False while only a new connection leaves a late answer behind.
        leaves: A new connection leaves late answers behind.
        answered: An answer came over this connection.
        echoes: What is sent comes back before its answer; None while that is not known (RTU).
    """

    rtu = False
    leaves = True

    def __init__(
        self, host: str, port: int, *, timeout_s: float, connect_timeout_s: float, lenience: Lenience = STRICT
    ) -> None:
        """Prepare a connection.

        Args:
            host: Name or address.
            port: TCP port.
            timeout_s: Longest wait for an answer.
            connect_timeout_s: Longest wait for a connection.
            lenience: Which answers count that are under other ids.
        """
        super().__init__(timeout_s=timeout_s)
        self.host, self.port = host, port
        self.traceable = self.answered = False
        self._connect_timeout_s = connect_timeout_s
        self._request = b""
        self._buffer = b""
        self._lenience = lenience
        self.echoes = lenience.echo
        self._strange = ""

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
            broadcast: Without an answer: give b"" at once.

        Returns:
            The PDU of the answer, at least its function code. The caller checks whether it fits the request.

        Raises:
            RequestTimeout: Nothing came in time. The connection stays open.
            Misaddressed: The answer has other ids. The connection stays open.
            ConnectionLost: The connection is gone, or the bytes received are not an answer.
        """
        if broadcast:
            if self._transport is None:
                raise ConnectionLost(self._why)
            self._transport.write(self._frame(request))
            return b""
        self._request = request
        self._strange = ""
        try:
            answer = await self._exchange(self._frame(request))
        except RequestTimeout:
            if self._strange:
                raise Misaddressed(self._strange) from None
            raise
        self.answered = True
        return answer

    def post(self, request: bytes, done: Done) -> Reply | None:
        """As `ask`, without a task that waits; None where this framing has to wait before it sends.

        Args:
            request: Unit id and PDU.
            done: Takes the PDU of the answer, or one of the errors of `ask`.

        Raises:
            ConnectionLost: The connection is gone; nothing was sent.
        """
        return None

    def _frame(self, request: bytes) -> bytes:
        """The bytes to send."""
        raise AssertionError("each framing has its own")


class TcpChannel(Channel):
    """Modbus TCP: answers carry the transaction id of their request, or 0 from servers that don't care.

    `traceable` is True from the first answer on that carries its request's id; then a late one is dropped, and a
    time-out leaves the connection as it is.
    """

    _number = 0

    def post(self, request: bytes, done: Done) -> Reply | None:
        """See `Channel.post`."""
        self._request = request
        self._strange = ""

        def take(answer: bytes | None, error: Exception | None) -> None:
            if answer is not None:
                self.answered = True
            elif self._strange and isinstance(error, RequestTimeout):
                error = Misaddressed(self._strange)
            done(answer, error)

        return self._post(self._frame(request), take)

    def _frame(self, request: bytes) -> bytes:
        # 0 is what a server gives that does not care
        self._number = number = self._number % 0xFFFF + 1
        return _HEADER(number, 0, len(request)) + request

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        waiting = self._waiting  # an answer may send the next request; bytes received before that do not answer it
        while len(data) >= HEADER:
            length = data[4] << 8 | data[5]
            if data[2] or data[3] or not 2 <= length <= MAX_LENGTH:
                self._fail("the received bytes are not a Modbus TCP frame")
                return
            size = HEADER + length
            if len(data) == size:
                self._take(data, waiting)
                return
            if len(data) < size:
                break
            self._take(data[:size], waiting)
            data = data[size:]
        self._buffer = data

    def _take(self, frame: bytes, waiting: asyncio.Future[bytes] | Reply | None) -> None:
        if waiting is None or waiting.done():
            return
        number, unit = frame[0] << 8 | frame[1], self._request[0]
        same = number == self._number
        if not same and (number or self.traceable) and not self._lenience.any_transaction:
            if self.traceable and (self._number - number) % 0xFFFF <= MOST_LATE:
                return  # answers a request that was given up
            self._strange = (
                f"an answer with transaction id {number} came to a request with {self._number}; "
                "any_transaction: true in the connection takes such answers"
            )
            return
        if frame[6] != unit and unit and not self._lenience.any_unit:
            strange = f"unit {frame[6]} answered a request to unit {unit}; any_unit: true in the connection takes that"
            waiting.set_exception(Misaddressed(strange))
            return
        if number and same and not self._lenience.any_transaction:
            self.traceable = True
        waiting.set_result(frame[7:])


class RtuChannel(Channel):
    """RTU frames: an answer does not name its request, so a late one is dropped with its connection.

    Adapters of two-wire lines may receive what they send. Such an echo of a read is no answer to it, so it is known by
    the first one; the echo of a write is equal to its answer, so it must be known before (`echoes`).
    """

    rtu = True
    _sent = b""

    def _frame(self, request: bytes) -> bytes:
        self._buffer = b""
        frame = rtu_frame(request)
        untold = self.echoes is None and request[1] in ANSWERED_ALIKE
        self._sent = b"" if self.echoes is False or untold else frame
        return frame

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        self._buffer = (self._buffer + data)[-KEPT:]
        if self._sent and not self._echo_is_over():
            return
        unit = 0 if self._lenience.any_unit else self._request[0]
        answer = rtu_answer(self._buffer, unit=unit, function=self._request[1])
        if answer is not None:
            if self.echoes is None and self._request[1] not in ANSWERED_ALIKE:
                self.echoes = False
            waiting.set_result(answer)

    def _echo_is_over(self) -> bool:
        """Remove the echo from the bytes received; False while more of it may arrive."""
        sent, came = self._sent, self._buffer
        at = came.find(sent)
        if at == 0 or (at > 0 and self.echoes):
            self._buffer, self._sent, self.echoes = came[at + len(sent) :], b"", True
            return True
        if len(came) < len(sent):
            return not sent.startswith(came) and not self.echoes
        if not self.echoes:
            self._sent = b""
        return True
