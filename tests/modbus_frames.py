"""The frames of Modbus TCP, for servers of the tests that share no code with what they test.

Source: MODBUS Messaging on TCP/IP V1.0b, 3.1.
"""

from __future__ import annotations

import asyncio
import struct

HEADER = struct.Struct(">HHHBB")
"""Transaction, protocol, length, unit and function."""


class ModbusProtocol(asyncio.Protocol):
    """One connection: every whole frame gets the answer of `answer`."""

    buffer = b""
    """What arrived of the next frame."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= HEADER.size:
            transaction, _, length, unit, function = HEADER.unpack_from(self.buffer)
            if len(self.buffer) < 6 + length:
                return
            body, self.buffer = self.buffer[HEADER.size : 6 + length], self.buffer[6 + length :]
            self.transport.write(self.answer(transaction, unit, function, body))

    def answer(self, transaction: int, unit: int, function: int, body: bytes) -> bytes:
        """The whole frame to send, for the body behind the header of a request."""
        raise NotImplementedError


def refusal(transaction: int, unit: int, function: int, exception: int) -> bytes:
    """The frame of an exception: 1 for an unknown function, 3 for an illegal count."""
    return HEADER.pack(transaction, 0, 3, unit, function | 0x80) + bytes((exception,))


def read_answer(transaction: int, unit: int, function: int, data: bytes) -> bytes:
    """The frame of a read's data, at most 250 bytes."""
    return HEADER.pack(transaction, 0, 3 + len(data), unit, function) + bytes((len(data),)) + data
