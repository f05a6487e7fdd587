"""A Modbus TCP server that counts: every poll gets the next number, so a missing or doubled row can be seen.

Each unit id has one counter. Reading holding registers raises it by one and fills every register pair with it
(uint32, big-endian words); reading input registers tells it without raising it. It runs as its own process
(`python -m tests.e2e.counting_device PORT [HOSTS]`, on 127.0.0.1 to 127.0.0.HOSTS) and knows nothing of the code
under test. Every host has counters of its own.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import defaultdict

HEADER = struct.Struct(">HHHBB")
MAX_REGISTERS = 125


class CountingDevice(asyncio.Protocol):
    """One connection; the counters are shared by all."""

    counters: defaultdict[tuple[str, int], int] = defaultdict(int)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.host = transport.get_extra_info("sockname")[0]
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= HEADER.size:
            transaction, _, length, unit, function = HEADER.unpack_from(self.buffer)
            if len(self.buffer) < 6 + length:
                return
            body, self.buffer = self.buffer[HEADER.size : 6 + length], self.buffer[6 + length :]
            self.transport.write(self.answer(transaction, unit, function, body))

    def answer(self, transaction: int, unit: int, function: int, body: bytes) -> bytes:
        start, count = struct.unpack(">HH", body[:4]) if len(body) >= 4 else (0, 0)
        if function not in (3, 4):
            return HEADER.pack(transaction, 0, 3, unit, function | 0x80) + b"\x01"
        if not 0 < count <= MAX_REGISTERS:
            return HEADER.pack(transaction, 0, 3, unit, function | 0x80) + b"\x03"
        if function == 3:
            self.counters[self.host, unit] += 1
        words = struct.pack(">I", self.counters[self.host, unit]) * (count // 2 + 2)
        payload = words[(start % 2) * 2 :][: count * 2]
        return HEADER.pack(transaction, 0, 3 + len(payload), unit, function) + bytes([len(payload)]) + payload


async def main(port: int, hosts: int) -> None:
    """Serve until the process is told to stop."""
    addresses = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
    server = await asyncio.get_running_loop().create_server(CountingDevice, addresses, port)
    sys.stdout.write(f"listening {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
