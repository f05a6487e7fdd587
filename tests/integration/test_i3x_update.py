"""i3X: values are written as commands, stored ones corrected; each within the caller's rights, and each in the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from nexus_cli.settings import I3xWrites, Settings
from nexus_cli.wire.command import State
from tests.integration.i3x_world import DRIVE, ENERGY, NOBODY, SPEED, I3xWorld, checked, i3x_world

pytestmark = [pytest.mark.needs_database]
NOON_US = 1_788_264_000_000_000
NOON = "2026-09-01T12:00:00Z"
SPAN = {"startTime": "2026-09-01T11:00:00Z", "endTime": "2026-09-01T13:00:00Z"}


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    keep = {"keep_ms": 10 * 365 * 86_400_000, "rollups": []}
    async with i3x_world(database, tmp_path, retention__default=keep) as world:
        await world.web.people.pool.execute("UPDATE nexus.retention_class SET keep_ms = $1", keep["keep_ms"])
        yield world


async def put(i3x: I3xWorld, path: str, *updates: tuple[str, Any], token: str = "") -> list[Any]:
    body = {"updates": [{"elementId": element, "value": value} for element, value in updates]}
    answer = await i3x.ask("PUT", path, body, **({"token": token} if token else {}))
    assert answer.status_code == 200, answer.text
    return checked(answer.json(), [element for element, _ in updates])


async def test_upd_01_a_value_is_written_as_a_command(i3x: I3xWorld) -> None:
    (item,) = await put(i3x, "/objects/value", (SPEED, {"value": 12.5, "quality": "Good"}))
    assert item == {"success": True, "elementId": SPEED, "result": None}
    assert i3x.sent == [("isa", SPEED, 12.5)]


async def test_upd_02_what_was_written_is_read(i3x: I3xWorld) -> None:
    await put(i3x, "/objects/value", (SPEED, {"value": 17.0}))
    assert (await i3x.value(SPEED))["value"] == 17.0


async def test_upd_03_each_update_succeeds_or_fails_for_itself(i3x: I3xWorld) -> None:
    items = await put(
        i3x,
        "/objects/value",
        (SPEED, {"value": 1.0}),
        (NOBODY, {"value": 1.0}),
        (ENERGY, {"value": 1.0}),
        (DRIVE, {"value": {"speed": 1.0}}),
        (SPEED, {"value": None}),
        (SPEED, {"value": 2.0, "quality": "Bad"}),
        (SPEED, {"value": 3.0}),
    )
    statuses = [item.get("responseDetail", {}).get("status", 200) for item in items]
    assert statuses == [200, 404, 403, 400, 400, 400, 200]
    assert [value for _, _, value in i3x.sent] == [1.0, 3.0]  # one tag: in the order of the request


@pytest.mark.parametrize(("state", "status"), [(State.REFUSED, 400), (State.FAILED, 500), (State.UNKNOWN, 500)])
async def test_a_command_that_was_not_done_is_a_failure(i3x: I3xWorld, state: State, status: int) -> None:
    i3x.state = state
    (item,) = await put(i3x, "/objects/value", (SPEED, {"value": 99.0}))
    assert item["responseDetail"]["status"] == status
    assert item["responseDetail"]["detail"] == "As it was told. NX6805"


async def stored(i3x: I3xWorld) -> list[tuple[Any, str, str]]:
    (item,) = await i3x.results("/objects/history", [SPEED], **SPAN)
    return [(vqt["value"], vqt["quality"], vqt["timestamp"]) for vqt in item["result"]["values"]]


async def test_upd_04_a_stored_value_is_added_and_replaced_and_both_are_on_record(i3x: I3xWorld) -> None:
    for value in (5.0, 6.5, 6.5):
        (item,) = await put(i3x, "/objects/history", (SPEED, {"value": value, "quality": "Good", "timestamp": NOON}))
        assert item["success"], item
    assert await stored(i3x) == [(6.5, "Good", NOON)]
    trail = await i3x.web.people.trail("correct-history")
    assert [(line["who"], line["subject"]) for line in trail] == [("isa", SPEED)] * 2  # the third changed nothing
    details = [orjson.loads(line["detail"]) for line in trail]
    assert [(each["old"], each["value"]) for each in details] == [(None, 5.0), (5.0, 6.5)]
    hours = await i3x.web.people.pool.fetch("SELECT DISTINCT unnest(hours) AS hour FROM nexus.rollup_change")
    assert [row["hour"] for row in hours] == [NOON_US // 3_600_000_000]


async def test_a_live_time_names_the_stored_sample_of_its_millisecond(i3x: I3xWorld) -> None:
    await i3x.store(SPEED, (NOON_US + 456, 5.0, 192))
    (item,) = await put(i3x, "/objects/history", (SPEED, {"value": None, "quality": "Bad", "timestamp": NOON}))
    assert item["success"]
    assert await stored(i3x) == [(None, "Bad", "2026-09-01T12:00:00.000456Z")]


async def test_what_can_not_be_a_stored_value_is_refused(i3x: I3xWorld) -> None:
    good = {"value": 1.0, "quality": "Good", "timestamp": NOON}
    wrong = [
        {**good, "quality": None},
        {**good, "quality": "GoodNoData"},
        {**good, "timestamp": None},
        {**good, "timestamp": "noon"},
        {**good, "timestamp": "2050-01-01T00:00:00Z"},
        {**good, "timestamp": "1980-01-01T00:00:00Z"},
        {**good, "value": "fast"},
        {**good, "value": None},
        {**good, "quality": "Bad"},
    ]
    items = await put(i3x, "/objects/history", *((SPEED, each) for each in wrong))
    assert [item["responseDetail"]["status"] for item in items] == [400] * len(wrong)
    (item,) = await put(i3x, "/objects/history", (ENERGY, good))
    assert item["responseDetail"]["status"] == 403
    assert await i3x.web.people.trail("correct-history") == []


async def test_upd_05_what_is_off_says_so(database: Settings, tmp_path: Path) -> None:
    for writes, off in (
        (I3xWrites.OFF, ("/objects/value", "/objects/history")),
        (I3xWrites.ON, ("/objects/history",)),
    ):
        async with i3x_world(database, tmp_path, writes=writes) as world:
            update = (await world.get("/info"))["capabilities"]["update"]
            assert update == {"current": len(off) == 1, "history": False}
            for path in off:
                value = {"value": 1.0, "quality": "Good", "timestamp": NOON}
                answer = await world.ask("PUT", path, {"updates": [{"elementId": SPEED, "value": value}]})
                assert answer.status_code == 501
                assert answer.json()["responseDetail"]["title"] == "Not Implemented"
            assert world.sent == []


async def test_who_may_not_write_writes_nothing(i3x: I3xWorld) -> None:
    token = await i3x.web.people.token("vera")
    good = {"value": 1.0, "quality": "Good", "timestamp": NOON}
    for path in ("/objects/value", "/objects/history"):
        (item,) = await put(i3x, path, (SPEED, good), token=token)
        assert item["responseDetail"]["status"] == 403
    assert i3x.sent == []
