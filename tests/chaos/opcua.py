"""An OPC UA server whose nodes count seconds and keep a log of it, as a process of its own.

`python -m tests.chaos.opcua PORT FOLDER DEVICE:NODES ...` changes every node once a second; the log `ticks.log` in
FOLDER has a line for each change: time in µs, value. The value is the number of the second, so it goes on rising over
a restart. While a file `hold` is in FOLDER nothing changes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua

from tests.chaos.devices import HOLD
from tests.chaos.site import URI

TICKS = "ticks.log"
EPOCH_S = 1_790_000_000
"""Where the seconds are counted from, so that they fit 32 bits for long."""


async def second() -> int:
    """Wait for the next second, and give its number."""
    await asyncio.sleep(1.0 - time.time() % 1.0)
    return int(time.time()) - EPOCH_S


async def tick(server: Server, nodes: list[Any], folder: Path, last: int) -> None:
    """Change every node once a second, as long as the process runs; `last` is what they have."""
    with (folder / TICKS).open("a", buffering=1) as log:
        log.write(f"{time.time_ns() // 1000} {last}\n")
        while True:
            number = await second()
            if number <= last or (folder / HOLD).exists():
                continue
            last = number
            log.write(f"{time.time_ns() // 1000} {number}\n")
            for node in nodes:
                value = ua.Variant(number, ua.VariantType.UInt32)
                moment = datetime.now(UTC).replace(tzinfo=None)
                await server.write_attribute_value(node.nodeid, ua.DataValue(value, SourceTimestamp=moment))


async def main(port: int, folder: Path, devices: list[tuple[str, int]]) -> None:
    """Serve until the process is stopped."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace(URI)
    first = await second()  # nodes never have a value that the log does not: a client may read them at once
    nodes = []
    for name, count in devices:
        parent = await server.nodes.objects.add_object(ua.NodeId(name, space), name)
        for number in range(count):
            identity = ua.NodeId(f"{name}.{number}", space)
            nodes.append(await parent.add_variable(identity, f"{number}", first, ua.VariantType.UInt32))
    async with server:
        await tick(server, nodes, folder, first)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    named = [(part.partition(":")[0], int(part.partition(":")[2])) for part in sys.argv[3:]]
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), named))
