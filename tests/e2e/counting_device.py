"""A Modbus TCP server that counts: every poll gets the next number, so a missing or doubled row can be seen.

Each unit id has one counter. Reading holding registers raises it by one and fills every register pair with it
(uint32, big-endian words); reading input registers gives it without raising it. It runs as its own process
(`python -m tests.e2e.counting_device PORT [HOSTS]`, on 127.0.0.1 to 127.0.0.HOSTS) and knows nothing of the code
under test. Every host has counters of its own.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import defaultdict

from tests.modbus_frames import ModbusProtocol, read_answer, refusal

MAX_REGISTERS = 125


class CountingDevice(ModbusProtocol):
    """One connection; the counters are shared by all."""

    counters: defaultdict[tuple[str, int], int] = defaultdict(int)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.host = transport.get_extra_info("sockname")[0]

    def answer(self, transaction: int, unit: int, function: int, body: bytes) -> bytes:
        start, count = struct.unpack(">HH", body[:4]) if len(body) >= 4 else (0, 0)
        if function not in (3, 4):
            return refusal(transaction, unit, function, 1)
        if not 0 < count <= MAX_REGISTERS:
            return refusal(transaction, unit, function, 3)
        if function == 3:
            self.counters[self.host, unit] += 1
        words = struct.pack(">I", self.counters[self.host, unit]) * (count // 2 + 2)
        payload = words[(start % 2) * 2 :][: count * 2]
        return read_answer(transaction, unit, function, payload)


async def main(port: int, hosts: int) -> None:
    """Serve until the process is stopped."""
    addresses = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
    server = await asyncio.get_running_loop().create_server(CountingDevice, addresses, port)
    sys.stdout.write(f"listening {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
