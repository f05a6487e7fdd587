"""Our driver through pyads's router, in a process of its own: reads, writes, notifications, changes, many losses.

Run: python -m tests.integration.ads_routed_client HOST LOSSES. The simulator runs in this process too, on HOST:48898.
Prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.simulator import serve
from nexus_cli.drivers.base import DriverError, points_of
from tests.heard import Heard
from tests.integration.ads_plant import PATH, device
from tests.waiting import until


async def main(host: str, losses: int) -> dict[str, Any]:
    net_id = f"{host}.1.1"
    config = device(0, host=host, ams_net_id=net_id, router="local", source_net_id="127.0.0.1.1.1", timeout=1000)
    server = await serve([config], host=host, port=48898)
    found: dict[str, Any] = {}
    at_first = threading.active_count()
    session = await DRIVER.connect([config], home=".")
    points = points_of(config)
    (request,) = DRIVER.group(config, points)
    result = await session.read(request)
    found["values"] = [list(result.values), dict(result.faults)]
    await session.write(PATH, points[3], 4711)
    found["written"] = server.values(PATH)["n3"]
    heard = Heard()
    subscription = await session.subscribe(PATH, points, interval_ms=[20] * len(points), sink=heard)
    found["faults"] = dict(subscription.faults)
    await until(lambda: len(heard.values) == len(points), "first values")
    server.online_change(PATH)
    await until(lambda: heard.values["n3"] is None, "the change was not seen")
    await session.check()
    await until(lambda: heard.values["n3"] == 4711, "it is not reported again")
    found["after"] = list((await session.read(request)).values)
    server.stall(60)
    try:
        await session.read(request)
    except DriverError as error:
        found["stalled"] = [error.scope.value, error.reason.value]
    server.stall(None)
    await subscription.close()
    await session.close()
    threads: list[int] = []
    for number in range(losses):
        session = await DRIVER.connect([config], home=".")
        subscription = await session.subscribe(PATH, points, interval_ms=[20] * len(points), sink=heard)
        await session.read(request)
        server.drop_connections()
        try:
            await session.read(request)
        except DriverError:
            pass
        await subscription.close()
        await session.close()
        if number in (2, losses - 1):
            await until(lambda: threading.active_count() <= at_first, "a thread was left")
            threads.append(threading.active_count())
    found["threads"] = threads
    found["losses"] = losses
    await server.close()
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
