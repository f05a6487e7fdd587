"""A discovery through a gateway is on record: what was found, and how it ended."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.discoveries import StoredDiscovery, load_discoveries, load_discovery
from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.ask import Ask
from nexus_cli.discover.found import Discovery, Found, Skipped
from nexus_cli.project import discover_online
from nexus_cli.project.discover_record import MOST_VALUES, recorded
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database]
TARGET = "opcua://10.0.0.9:4840"


def found(count: int) -> Discovery:
    tags = [
        Found(device="", name=("Filler", f"v{number}"), tag={"address": f"ns=2;i={number}", "type": "float64"})
        for number in range(count)
    ]
    return Discovery(protocol="opcua", found=tags, skipped=[Skipped("Start", "a method"), Skipped("Stop", "a method")])


async def looking(result: Discovery | NexusError) -> Discovery:
    if isinstance(result, NexusError):
        raise result
    return result


async def record(database: Settings, result: Discovery | NexusError, *, stopped: bool = False) -> Discovery:
    stop = asyncio.Event()
    if stopped:
        stop.set()
    settings = dataclasses.replace(database, site=SITE, principal="nexus.cli")
    return await recorded(looking(result), gateway="gw-1", target=TARGET, settings=settings, stop=stop)


async def runs(database: Settings) -> list[StoredDiscovery]:
    async with connection(database) as conn:
        every = [
            await load_discovery(conn, site=SITE, run=one.id)
            for one in await load_discoveries(conn, site=SITE, limit=9)
        ]
    return [one for one in every if one is not None]


async def test_a_run_is_recorded_with_what_it_found(database: Settings) -> None:
    assert len((await record(database, found(2))).found) == 2
    (one,) = await runs(database)
    assert (one.who, one.gateway, one.target, one.outcome) == ("nexus.cli", "gw-1", TARGET, "done")
    assert (one.found, one.skipped, one.skipped_reasons) == (2, 2, {"a method": 2})
    assert one.values[1] == {
        "path": "Filler/v1",
        "address": "ns=2;i=1",
        "type": "float64",
        "unit": "",
        "description": "",
    }
    assert one.started_us <= one.ended_us
    await record(database, found(MOST_VALUES + 1), stopped=True)
    newest = (await runs(database))[0]
    assert (newest.outcome, newest.found, len(newest.values)) == ("stopped", MOST_VALUES + 1, MOST_VALUES)


async def test_a_run_that_failed_is_recorded_and_fails(database: Settings) -> None:
    with pytest.raises(NexusError, match="refuses"):
        await record(database, NexusError("The gateway refuses.", code="NX6610"))
    (one,) = await runs(database)
    assert (one.outcome, one.detail, one.found, one.values) == ("failed", "The gateway refuses.", 0, [])


async def test_without_a_database_what_was_found_is_shown_all_the_same(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = dataclasses.replace(database, database_url="postgresql://127.0.0.1:1/nexus")
    assert len((await record(away, found(3))).found) == 3
    asked: list[str] = []

    async def look(*_: object) -> Discovery:
        asked.append("looked")
        return found(1)

    monkeypatch.setattr(discover_online, "_look", look)
    none = dataclasses.replace(database, database_url="")
    arguments = (None, Ask(via="gw-1"), None, none, asyncio.Event(), lambda _: None)
    assert len((await discover_online.online(*arguments)).found) == 1  # type: ignore[arg-type]
    assert asked == ["looked"]
