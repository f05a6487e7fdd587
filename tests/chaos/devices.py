"""Modbus devices that count and keep a log of what they answered, as a process of their own.

`python -m tests.chaos.devices PORT HOSTS FOLDER` serves 127.0.0.1 to 127.0.0.HOSTS. Each read of holding registers
below 1000 raises the counter of its unit and hands it out (see `tests.e2e.counting_device`); registers from 1000 on
are plain storage. Two logs in FOLDER, a line written whole before the answer goes out, so that a kill loses none:

- `reads.log`: time in µs, host, unit, count, first register, registers
- `writes.log`: time in µs, host, unit, register, value

While a file `hold` is in FOLDER the counters do not change, so that a run can end with values that no longer move. A
process that is started again counts on well above what its log says.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time
from collections import defaultdict
from pathlib import Path

from tests.chaos.site import COMMAND_REGISTER
from tests.e2e.counting_device import CountingDevice
from tests.modbus_frames import HEADER, read_answer

AFTER_RESTART = 1000
READS, WRITES, HOLD = "reads.log", "writes.log", "hold"


class Logs:
    """The two logs; each line is one write of the system, so it is whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._files = {name: os.open(folder / name, flags, 0o644) for name in (READS, WRITES)}

    def write(self, name: str, *fields: object) -> None:
        """Add a line, with the time in front."""
        text = " ".join(map(str, (time.time_ns() // 1000, *fields)))
        os.write(self._files[name], text.encode() + b"\n")

    @property
    def held(self) -> bool:
        """Whether the counters are held."""
        return (self.folder / HOLD).exists()


class LoggedDevice(CountingDevice):
    """One connection to a device; logs and storage are shared by all."""

    logs: Logs
    stored: defaultdict[tuple[str, int], dict[int, int]] = defaultdict(dict)

    def answer(self, transaction: int, unit: int, function: int, body: bytes) -> bytes:
        start, count = struct.unpack(">HH", body[:4]) if len(body) >= 4 else (0, 0)
        host = self.host.rpartition(".")[2]
        stored = self.stored[self.host, unit]
        if function == 3 and start >= COMMAND_REGISTER:
            words = b"".join(struct.pack(">H", stored.get(register, 0)) for register in range(start, start + count))
            return read_answer(transaction, unit, function, words)
        if function == 16:
            words_in = struct.unpack(f">{count}H", body[5 : 5 + 2 * count])
            stored.update(enumerate(words_in, start))
            self.logs.write(WRITES, host, unit, start, int.from_bytes(body[5 : 5 + 2 * count], "big"))
            return HEADER.pack(transaction, 0, 6, unit, function) + body[:4]
        if function == 3 and self.logs.held:
            self.counters[self.host, unit] -= 1  # the read raises it again
            return super().answer(transaction, unit, function, body)
        if function == 3:
            self.logs.write(READS, host, unit, self.counters[self.host, unit] + 1, start, count)
        return super().answer(transaction, unit, function, body)


def go_on(folder: Path) -> None:
    """Take the counters up above what was handed out before."""
    path = folder / READS
    for line in path.read_text().splitlines() if path.exists() else ():
        _, host, unit, count, _, _ = line.split()
        key = f"127.0.0.{host}", int(unit)
        LoggedDevice.counters[key] = max(LoggedDevice.counters[key], int(count) + AFTER_RESTART)


async def main(port: int, hosts: int, folder: Path) -> None:
    """Serve until the process is stopped."""
    go_on(folder)
    LoggedDevice.logs = Logs(folder)
    addresses = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
    server = await asyncio.get_running_loop().create_server(LoggedDevice, addresses, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
