"""One ISO-on-TCP connection to a CPU: one job in flight, no retries, no late answers, prompt loss.

The wire is driven here instead of by python-snap7's AsyncClient: that one has one time-out of five seconds until it is
connected, waits through two tasks a reply (`wait_for` around `readexactly`), turns the refusal of one item into the
refusal of all, and executes no BIT write. `docs/decisions/0020-s7-on-the-wire.md` has the measurements.
Source: RFC 1006 §6 (TPKT), ISO 8073 §13 (COTP class 0).
"""

from __future__ import annotations

import asyncio

from nexus_cli.drivers.s7.pdu import (
    CC,
    DATA_HEADER,
    DR,
    DT,
    FRAME_HEADER,
    PROTOCOL,
    TPKT_VERSION,
    Malformed,
    connect_frame,
    error_of,
    setup_job,
    setup_reply,
    with_reference,
)
from nexus_cli.drivers.transport import ConnectionLost, Done, Reply, RequestTransport

MAX_FRAME = 8192 + FRAME_HEADER
"""Longest TPDU of class 0 (ISO 8073 §13.3.4)."""


class Channel(RequestTransport):
    """A connection. `open` first; after `RequestTimeout` or `ConnectionLost` only `close` may be called.

    Attributes:
        pdu: Bytes of a PDU as negotiated.
        tsap: The CPU's.
    """

    def __init__(self, host: str, port: int, *, local_tsap: int, remote_tsap: int, timeout_s: float) -> None:
        super().__init__(timeout_s=timeout_s)
        self.host, self.port, self.pdu = host, port, 0
        self.tsap = remote_tsap
        self._local_tsap = local_tsap
        self._reference = 0
        self._connecting = True
        self._buffer = b""
        self._parts = b""

    async def open(self, *, pdu: int, connect_timeout_s: float) -> None:
        """Connect, by TCP, COTP and the setup of communication.

        Args:
            pdu: Bytes of a PDU to ask for.
            connect_timeout_s: Longest wait for all of it.

        Raises:
            OSError: Refused, unreachable or unknown host (TimeoutError is one).
            ConnectionLost: There is a server, but it does not take this connection.
        """
        try:
            async with asyncio.timeout(connect_timeout_s):
                await self._loop.create_connection(lambda: self, self.host, self.port)
                confirmed = await self._exchange(connect_frame(self._local_tsap, self.tsap), bounded=False)
                if confirmed[5] != CC:
                    raise ConnectionLost("the CPU refuses the connection: rack, slot or TSAP is wrong, or none is free")
                self._connecting = False
                reply = await self._exchange(with_reference(setup_job(pdu), self._next()), bounded=False)
                if error := error_of(reply):
                    raise ConnectionLost(f"the CPU refuses the setup of communication with error {error:#06x}")
                self.pdu = min(pdu, setup_reply(reply))
        except TimeoutError:
            self.close()
            raise TimeoutError(f"no connection within {connect_timeout_s:g} s") from None
        except Malformed as error:
            self.close()
            raise ConnectionLost(str(error)) from None
        except BaseException:
            self.close()
            raise

    async def ask(self, template: bytes) -> bytes:
        """Send a job and wait for its answer, a frame whose S7 header is in order and carries the job's reference.

        Raises:
            RequestTimeout: Nothing came in time.
            ConnectionLost: The connection is gone, or the bytes received are not S7.
        """
        return await self._exchange(with_reference(template, self._next()))

    def post(self, template: bytes, done: Done) -> Reply:
        """As `ask`, without a task that waits. Raises ConnectionLost; then nothing was sent."""
        return self._post(with_reference(template, self._next()), done)

    def _next(self) -> int:
        # 0 is what a stray answer carries
        self._reference = self._reference % 0xFFFF + 1
        return self._reference

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while len(data) >= FRAME_HEADER:
            size = data[2] << 8 | data[3]
            if data[0] != TPKT_VERSION or not FRAME_HEADER <= size <= MAX_FRAME:
                self._fail("the received bytes are not ISO-on-TCP")
                return
            if len(data) < size:
                break
            if len(data) == size:
                self._take(data)
                return
            self._take(data[:size])
            data = data[size:]
        self._buffer = data

    def _take(self, frame: bytes) -> None:
        kind = frame[5]
        if self._connecting:
            self._answer(frame)
        elif kind == DT and frame[4] == 2:
            self._take_data(frame)
        elif kind == DR:
            self._fail("the CPU ended the connection")
        else:
            self._fail(f"the received packet is not data (COTP {kind:#04x})")

    def _take_data(self, frame: bytes) -> None:
        last = frame[6] & 0x80
        if self._parts or not last:
            self._parts += frame[FRAME_HEADER:]
            if not last:
                if len(self._parts) > MAX_FRAME:
                    self._fail("the response exceeds the maximum length")
                return
            frame, self._parts = frame[:4] + DATA_HEADER + self._parts, b""
        if len(frame) < FRAME_HEADER + 10 or frame[FRAME_HEADER] != PROTOCOL:
            self._fail("the received bytes are not an S7 response")
        elif int.from_bytes(frame[11:13], "big") == self._reference:
            self._answer(frame)
        # any other reference answers a job that was given up
