"""pymodbus's client, held to the rules of this house: no retries, no reconnects, no late answers, prompt loss.

What is changed and why (pymodbus 3.16):
- a lost connection fails the request that waits, instead of letting it run into its time-out;
- connecting says why it failed, and has its own time-out;
- the answer's registers stay bytes, because the decoder of a block takes bytes (saves a `struct` call per register);
- an answer of another unit to our transaction is an error at once, not a skipped frame;
- bytes that are no answer fail the request, instead of raising in asyncio's reader and logging a traceback;
- a time-out never closes the connection behind our back: who owns the session decides.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
)

# it logs every time-out as an error; ours is one line per change of state, in the supervisor
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_NEVER = 1 << 30


class _Raw:
    """Keeps the data of a read response as it came."""

    raw: bytes = b""

    def decode(self, data: bytes) -> None:
        """Check the byte count; a wrong one leaves `raw` empty."""
        self.raw = data[1:] if data and data[0] == len(data) - 1 else b""


class RawCoils(_Raw, ReadCoilsResponse):
    """FC1 response."""


class RawDiscreteInputs(_Raw, ReadDiscreteInputsResponse):
    """FC2 response."""


class RawHoldingRegisters(_Raw, ReadHoldingRegistersResponse):
    """FC3 response."""


class RawInputRegisters(_Raw, ReadInputRegistersResponse):
    """FC4 response."""


READ_REQUESTS: dict[int, Any] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}


class Timeout(Exception):
    """No answer within the time-out."""


class Lost(Exception):
    """The connection is gone, or what came over it makes no sense; the message says what."""


class Channel:
    """One TCP connection to a Modbus server or gateway.

    Args:
        host: Name or address.
        port: TCP port.
        rtu: RTU frames instead of MBAP.
        timeout_s: Longest wait for an answer.
        connect_timeout_s: Longest wait for a connection.
    """

    def __init__(self, host: str, port: int, *, rtu: bool, timeout_s: float, connect_timeout_s: float) -> None:
        self.host, self.port, self.rtu = host, port, rtu
        self._timeout_s, self._connect_timeout_s = timeout_s, connect_timeout_s
        self._client: ModbusBaseClient | None = None
        self._waiting = False
        self._expected_unit = 0
        self.traceable = not rtu
        """False when only a new connection leaves a late answer behind: it carries no transaction id."""

    async def open(self) -> None:
        """Connect, dropping what was there.

        Raises:
            OSError: Refused, unreachable or unknown host (TimeoutError is one).
        """
        self.close()
        client = self._make()
        client.set_max_no_responses(_NEVER)
        client.ctx.callback_data = self._guard(client.ctx.callback_data)
        for response in (RawCoils, RawDiscreteInputs, RawHoldingRegisters, RawInputRegisters):
            client.register(response)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._create(client)
        except TimeoutError:
            client.close()
            raise TimeoutError(f"no connection within {self._connect_timeout_s:g} s") from None
        except BaseException:
            client.close()
            raise
        self._client = client

    def _make(self) -> ModbusBaseClient:
        """A client that is not connected yet."""
        self.traceable = not self.rtu
        return AsyncModbusTcpClient(
            self.host,
            port=self.port,
            framer=FramerType.RTU if self.rtu else FramerType.SOCKET,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_connection,
            trace_packet=None if self.rtu else self._on_packet,
        )

    async def _create(self, client: ModbusBaseClient) -> None:
        """Connect the client. Raises OSError."""
        await client.ctx.call_create()

    def close(self) -> None:
        """Drop the connection. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            transport = client.ctx.transport
            client.close()
            if transport is not None:
                transport.abort()

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as the system knows."""
        return self._client is not None and self._client.connected

    async def ask(self, request: ModbusPDU, *, broadcast: bool = False) -> ModbusPDU | None:
        """Send a request and wait for its answer; an exception response is an answer.

        Raises:
            Timeout: Nothing came in time. The connection stands.
            Lost: The connection is gone, or the answer is not one.
        """
        client = self._client
        if client is None or not client.connected:
            raise Lost("the connection is closed")
        self._expected_unit = request.dev_id
        self._waiting = True
        try:
            answer: ModbusPDU = await client.execute(broadcast, request)
        except ConnectionException as error:
            raise Lost(error.string.split("] ", 1)[-1]) from None
        except ModbusException as error:
            if not client.connected:
                raise Lost("the connection was lost") from None
            if error.string.startswith("[Input/Output] No response"):
                raise Timeout from None
            raise Lost(error.string.split("] ", 1)[-1]) from None
        finally:
            self._waiting = False
        if answer is not None and not self.rtu and answer.transaction_id == 0:
            self.traceable = False
        return answer

    def _fail(self, message: str) -> None:
        """End the waiting request now."""
        future = self._client.ctx.response_future if self._client is not None else None
        if self._waiting and future is not None and not future.done():
            future.set_exception(ConnectionException(message))

    def _guard(self, take: Callable[..., int]) -> Callable[..., int]:
        """pymodbus's reader, with its errors turned into a failed request."""

        def guarded(data: bytes, addr: tuple[Any, ...] | None = None) -> int:
            try:
                return take(data, addr)
            except (ModbusException, ValueError, IndexError, struct.error) as error:
                self._fail(f"what came is no answer ({error})")
                return len(data)

        return guarded

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self._fail("the connection was lost")

    def _on_packet(self, sending: bool, data: bytes) -> bytes:
        """Notice an answer to our transaction that another unit signed."""
        if not sending and self._expected_unit and len(data) > 7 and data[6] != self._expected_unit:
            client = self._client
            if client is not None and int.from_bytes(data[:2], "big") == client.ctx.request_transaction_id:
                self._fail(f"unit {data[6]} answered a request to unit {self._expected_unit}")
        return data
