"""A plant for the page: real-looking devices, and values that move without a broker, straight into web's cache."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson

from nexus_cli.wire.message import Message
from tests.integration.web_world import TOPICS, WebWorld

MODES = {"0": "stopped", "1": "running", "2": "fault"}


def _tag(address: str, **keys: Any) -> dict[str, Any]:
    return {"type": "float64", "address": address, "poll_ms": 500, **keys}


def _filler() -> dict[str, Any]:
    return {
        "temperature": _tag(
            "holding:0", unit="degC", range=[0.0, 150.0], description="Product temperature at the valve", deadband=0.1
        ),
        "pressure": _tag("holding:4", unit="bar", range=[0.0, 10.0], description="Ring bowl pressure"),
        "setpoint": _tag(
            "holding:8", unit="degC", range=[0.0, 120.0], writable=True, description="Temperature setpoint"
        ),
        "speed": _tag("holding:12", unit="1/min", description="Bottles a minute"),
        "running": _tag("coil:0", type="bool", description="Filler runs"),
        "mode": _tag("holding:16", type="uint16", values=MODES, writable=True, description="Operating mode"),
        "batch": _tag("holding:20", type="string", description="Batch number"),
        "total": _tag("holding:40", type="uint64", description="Bottles since commissioning"),
    }


def _device(path: str, tags: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": "tcp:10.0.0.9:502",
        "gateway": "gw-1",
        "connection": {"host": "10.0.0.9", "port": 502},
        "tags": tags,
        **keys,
    }


def small_plant() -> dict[str, Any]:
    """Two areas, four lines, eleven devices; resources in the form of `page_world`."""
    found: dict[str, Any] = {}
    for line in (1, 2, 3):
        for machine in ("filler", "capper", "labeller"):
            path = f"packaging/line-{line}/{machine}"
            found[f"device__{path}"] = _device(path, _filler(), description=f"{machine.title()} of line {line}")
    many = {f"sensor-{number:04}": _tag(f"holding:{number * 4}", unit="kW") for number in range(2000)}
    found["device__utilities/energy/meters"] = _device("utilities/energy/meters", many)
    found["device__utilities/energy/boiler"] = _device("utilities/energy/boiler", _filler(), enabled=False)
    return found


def big_plant(tags: int = 41_000) -> dict[str, Any]:
    """So many tags in devices of 100."""
    found: dict[str, Any] = {}
    for number in range(tags // 100):
        path = f"area-{number // 100}/line-{number // 10 % 10}/machine-{number:03}"
        named = {
            f"value-{each:02}": _tag(f"holding:{each * 4}", unit="bar", description=f"Measurement {each} of {number}")
            for each in range(100)
        }
        found[f"device__{path}"] = _device(path, named)
    return found


def say(world: WebWorld, path: str, value: Any, **more: Any) -> None:
    """A live message of a tag with the time of now."""
    body = orjson.dumps({"value": value, "timestamp": time.time_ns() // 1_000_000, "quality": "GOOD", **more})
    world.web.parts.cache.take(Message(TOPICS.tag(path), body, 0, False))


def moving_values(world: WebWorld, turn: int) -> None:
    """One value of every tag of the small plant that has one."""
    for line in (1, 2, 3):
        for place, machine in enumerate(("filler", "capper", "labeller")):
            path, at = f"packaging/line-{line}/{machine}", turn / 20 + line + place
            say(world, f"{path}/temperature", round(71.4 + 3 * math.sin(at), 2), unit="degC")
            say(world, f"{path}/pressure", round(3.2 + 0.4 * math.cos(at), 3), unit="bar")
            say(world, f"{path}/setpoint", 72.5, unit="degC")
            say(world, f"{path}/running", line != 3)
            say(world, f"{path}/mode", 1 if line != 3 else 2, label="running" if line != 3 else "fault")
            say(world, f"{path}/batch", f"LOT-2026-{line:03}")
            say(world, f"{path}/total", 9_007_199_254_740_993 + turn)
            if line == 2:
                say(world, f"{path}/speed", None, quality="BAD", reason="comm_lost")
            else:
                state = {"quality": "UNCERTAIN", "reason": "out_of_range"} if machine == "capper" else {}
                say(world, f"{path}/speed", 380 + turn % 7, unit="1/min", **state)
    for number in range(0, 2000, 4):
        say(world, f"utilities/energy/meters/sensor-{number:04}", round(12 + number / 100 + math.sin(turn / 9), 3))


@contextlib.asynccontextmanager
async def moving(world: WebWorld, *, every_s: float = 0.5) -> AsyncIterator[None]:
    """Values move while the block runs."""

    async def run() -> None:
        for turn in range(10**9):
            moving_values(world, turn)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
