"""What a gateway publishes under old paths: until when, over a restart, and only the newest value."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.aliases import Aliases
from nexus_cli.runtime.gateway.devices.tag_table import TagTable
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.waiting import until

TOPICS = Topics("acme", "chicago")
HOUR_US = 3_600_000_000


class Client:
    """Takes what is published at once."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, Any, bool]] = []

    def post(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        self.sent.append((topic, json.loads(payload)["value"], retain))
        return done


def said(old: str = "a/old/one", to: str = "a/new/one", *, until: int = 9, left_us: int = HOUR_US) -> Alias:
    return Alias(old=old, to=to, since=0, until=until, left_us=left_us, gateways=["gw"])


def made(home: Path, clock: FakeClock, client: Client | None = None) -> Aliases:
    return Aliases(home, "gw", client=client or Client(), topics=TOPICS, clock=clock)  # type: ignore[arg-type]


def table(device: str = "a/new/one", **values: float) -> TagTable:
    """A device with one sample of each tag; one more is not published, and one has no sample."""
    configs = {name: TagConfig(type="float64", published_type="float64") for name in (*values, "unknown")}
    configs["hidden"] = TagConfig(type="float64", published_type="float64", live_publish=False)
    found = TagTable(device, configs)
    for name, value in {**values, "hidden": 1.0}.items():
        state = found.state(found.places[name])
        state.value, state.quality, state.time_us = value, Quality.GOOD, 1_700_000_000_123_456
    return found


async def drained(aliases: Aliases, client: Client, count: int) -> list[tuple[str, Any, bool]]:
    """Let it publish until so many are out."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(aliases.run(stop))
        await until(lambda: len(client.sent) >= count, "messages under old paths")
        stop.set()
    return client.sent


async def test_the_newest_value_of_each_tag_is_published_once_with_its_retain_flag(tmp_path: Path) -> None:
    client = Client()
    aliases = made(tmp_path, FakeClock(), client)
    one = table(speed=1.0, level=2.0)
    aliases.take([said()])
    for value in (3.0, 4.0):
        one.state(one.places["speed"]).value = value
        aliases.note(one, np.array([one.places["speed"]]))
    assert await drained(aliases, client, 1) == [("acme/chicago/a/old/one/speed", 4.0, True)]
    client.sent.clear()
    aliases.note(one, None)
    assert sorted(await drained(aliases, client, 2)) == [
        ("acme/chicago/a/old/one/level", 2.0, True),
        ("acme/chicago/a/old/one/speed", 4.0, True),
    ]


async def test_a_device_outside_of_the_path_and_one_of_an_old_path_that_is_over_publish_nothing(tmp_path: Path) -> None:
    client, clock = Client(), FakeClock()
    aliases = made(tmp_path, clock, client)
    aliases.take([said(), said("a/old/two", "a/new/two/speed", left_us=1_000_000)])
    aliases.note(table("a/new/one-more", speed=1.0), None)
    aliases.note(table("a/new/two", speed=7.0, level=8.0), None)
    assert await drained(aliases, client, 1) == [("acme/chicago/a/old/two", 7.0, True)]
    client.sent.clear()
    clock.advance(2.0)
    aliases.note(table("a/new/two", speed=9.0), None)
    aliases.note(table(speed=1.0), None)
    assert await drained(aliases, client, 1) == [("acme/chicago/a/old/one/speed", 1.0, True)]


def test_they_end_by_the_gateways_own_clock_and_do_not_begin_again(tmp_path: Path) -> None:
    clock = FakeClock()
    aliases = made(tmp_path, clock)
    aliases.take([said()])
    assert len(aliases) == 1
    clock.advance(3601.0)
    aliases.take([said(left_us=1_000)])
    assert len(aliases) == 0, "control's clock is a little behind"
    aliases.take([said(until=10)])
    assert len(aliases) == 1, "another end"
    aliases.take([])
    assert len(aliases) == 0, "ended early"
    aliases.take([said(left_us=0)])
    assert len(aliases) == 0


def test_a_restart_keeps_them_until_their_end_and_a_garbled_file_is_none(tmp_path: Path) -> None:
    clock = FakeClock()
    made(tmp_path, clock).take([said(), said("b", "a", left_us=2 * HOUR_US)])
    after = made(tmp_path, clock)
    after.load()
    assert len(after) == 2
    clock.advance(3601.0)
    later = made(tmp_path, clock)
    later.load()
    assert len(later) == 1
    (tmp_path / "gateway" / "gw.old-paths.json").write_text('{"b": {"to"', encoding="utf-8")
    broken = made(tmp_path, clock)
    broken.load()
    assert len(broken) == 0
