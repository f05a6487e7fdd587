"""A counting Modbus device that writes down the function code of every request, one per line.

`python -m tests.e2e.recording_device PORT FILE`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TextIO

from tests.e2e import counting_device


class RecordingDevice(counting_device.CountingDevice):
    """One connection; all write into one file."""

    file: TextIO

    def answer(self, transaction: int, unit: int, function: int, body: bytes) -> bytes:
        self.file.write(f"{function}\n")
        self.file.flush()
        return super().answer(transaction, unit, function, body)


async def main(port: int, target: Path) -> None:
    """Serve until the process is stopped."""
    with target.open("a", encoding="ascii") as file:
        RecordingDevice.file = file
        server = await asyncio.get_running_loop().create_server(RecordingDevice, "127.0.0.1", port)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
