"""Gaps, commands, dead letters, discoveries and retained topics: only what the caller may see of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.database.commands import add_command
from nexus_cli.database.discoveries import KEPT, StoredDiscovery, add_discovery
from nexus_cli.database.loss import add_dead_letter
from nexus_cli.runtime.web.rest import records
from nexus_cli.settings import Settings
from nexus_cli.wire.message import Message
from tests.integration.identity_world import SITE
from tests.integration.test_web_rest_plant import ENERGY, MORE, get
from tests.integration.web_world import TOPICS, WebWorld, web_world

pytestmark = [pytest.mark.needs_database]
VOLTAGE = "a/l/one/voltage"


async def gap(web: WebWorld, device: str, minutes_ago: int, *, minutes: int | None, reason: str) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago)
    await web.people.pool.execute(
        'INSERT INTO nexus.gap (site, gateway, device, start, "end", frames, reason) VALUES ($1,$2,$3,$4,$5,$6,$7)',
        *(SITE, "gw-1", device, start, None if minutes is None else start + timedelta(minutes=minutes), 60, reason),
    )


async def test_gaps_of_a_tag_and_of_a_device(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        await gap(web, "a/l/one", 300, minutes=10, reason="overflow")
        await gap(web, "", 60, minutes=5, reason="gateway_killed")
        await gap(web, "a/m/two", 50, minutes=5, reason="disk_refused")
        await gap(web, "a/l/one", 20, minutes=None, reason="gateway_lost")
        for path in (ENERGY, "a/l/one"):
            found = await get(web, f"/gaps/{path}")
            assert [(one["reason"], one["device"]) for one in found["gaps"]] == [
                ("overflow", "a/l/one"),
                ("gateway_killed", ""),
                ("gateway_lost", "a/l/one"),
            ]
            assert (found["gaps"][-1]["end"], found["truncated"]) == (None, False)
        found = await get(web, f"/gaps/{ENERGY}", since="2h", until="30m")
        assert [one["reason"] for one in found["gaps"]] == ["gateway_killed"]
        for user, path, code in (("hal", ENERGY, "NX6802"), ("hal", "a/m/two", "NX6921"), ("vera", "x/y/z", "")):
            refused = await web.ask("GET", f"/gaps/{path}", user=user)
            assert (refused.status_code, refused.json().get("code", "")) == ((404, code) if code else (200, ""))


async def command(web: WebWorld, number: int, path: str, *, at: int | None = None) -> None:
    facts: dict[str, Any] = {"value": number, "state": "done", "detail": {"old": 1, "read_back": number}}
    sent = {"principal": "nexus.web", "asked_by": "otto"} if number == 6 else {"principal": "otto", "asked_by": ""}
    async with web.people.pool.acquire() as conn, conn.transaction():
        at_us = 1_767_225_600_000_000 + (number if at is None else at)
        await add_command(conn, SITE, command_id=f"c{number}", path=path, at_us=at_us, **sent, **facts)


async def test_the_last_commands_to_what_the_caller_may_read(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        for number in range(1, 7):
            await command(web, number, ENERGY if number % 2 else VOLTAGE)
        found = await get(web, "/commands", limit=2)
        assert [one["id"] for one in found["commands"]] == ["c6", "c5"]
        assert found["commands"][0] == {
            "id": "c6",
            "path": VOLTAGE,
            "principal": "otto",
            "value": 6,
            "state": "done",
            "time": 1_767_225_600_000_006,
            "via": "nexus.web",
            "detail": {"old": 1, "read_back": 6},
        }
        assert (found["commands"][1]["principal"], found["commands"][1]["via"]) == ("otto", "")
        found = await get(web, "/commands", limit=10, before=found["before"])
        assert ([one["id"] for one in found["commands"]], found["before"]) == (["c4", "c3", "c2", "c1"], None)
        assert [one["id"] for one in (await get(web, "/commands", path=ENERGY))["commands"]] == ["c5", "c3", "c1"]
        assert len((await get(web, "/commands", path="a/l"))["commands"]) == 6
        assert (await get(web, "/commands", path="a/l/on"))["commands"] == []
        found = await get(web, "/commands", user="hal", limit=2)
        assert [one["id"] for one in found["commands"]] == ["c6", "c4"]
        assert (await get(web, "/commands", user="nina"))["commands"] == []


async def test_what_lies_behind_rows_of_others_is_found_by_going_on(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE", 2)
    monkeypatch.setattr(records, "PAGES", 2)
    async with web_world(database, tmp_path, **MORE) as web:
        await command(web, 1, VOLTAGE)
        for number in range(2, 9):
            await command(web, number, ENERGY)
        seen: list[list[str]] = []
        before: dict[str, int] = {}
        while len(seen) < 5:
            found = await get(web, "/commands", user="hal", limit=1, **before)
            seen.append([one["id"] for one in found["commands"]])
            if found["before"] is None:
                break
            before = {"before": found["before"]}
        assert seen == [[], ["c1"]]
        async with web.people.pool.acquire() as conn:
            for number in range(8):
                topic = TOPICS.tag(ENERGY if number else VOLTAGE)
                await add_dead_letter(conn, site=SITE, topic=topic, reason="no_value", detail="", payload="", count=1)
        found = await get(web, "/dead-letters", user="hal", limit=1)
        assert found["dead_letters"] == [] and found["before"] is not None
        found = await get(web, "/dead-letters", user="hal", limit=1, before=found["before"])
        assert (len(found["dead_letters"]), found["before"]) == (1, None)


async def test_commands_of_one_moment_are_on_one_page(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        for number in (1, 2, 3, 4):
            await command(web, number, ENERGY, at=5 if number in (2, 3) else number * 2)
        found = await get(web, "/commands", limit=2)
        assert [one["id"] for one in found["commands"]] == ["c4", "c2", "c3"]
        found = await get(web, "/commands", limit=2, before=found["before"])
        assert ([one["id"] for one in found["commands"]], found["before"]) == (["c1"], None)


async def test_dead_letters_are_shown_to_who_may_hear_their_topic(database: Settings, tmp_path: Path) -> None:
    topics = [
        TOPICS.tag(ENERGY),
        TOPICS.tag(VOLTAGE),
        TOPICS.tag("x/y/z/new"),
        TOPICS.data("gw-1", "a/l/one"),
        "other/topic",
    ]
    async with web_world(database, tmp_path, **MORE) as web:
        async with web.people.pool.acquire() as conn:
            for number, topic in enumerate(topics):
                reason = "bad_time" if number % 2 else "no_value"
                await add_dead_letter(
                    conn, site=SITE, topic=topic, reason=reason, detail="why", payload=f"<{number}>", count=number + 1
                )
        assert [one["topic"] for one in (await get(web, "/dead-letters", user="ada"))["dead_letters"]] == topics[::-1]
        assert [one["topic"] for one in (await get(web, "/dead-letters"))["dead_letters"]] == topics[2::-1]
        (mine,) = (await get(web, "/dead-letters", user="hal"))["dead_letters"]
        assert (mine["topic"], mine["reason"], mine["payload"], mine["count"]) == (topics[1], "bad_time", "<1>", 2)
        found = await get(web, "/dead-letters", user="ada", reason="no_value", limit=1)
        assert [one["topic"] for one in found["dead_letters"]] == [topics[4]]
        found = await get(web, "/dead-letters", user="ada", reason="no_value", limit=5, before=found["before"])
        assert ([one["topic"] for one in found["dead_letters"]], found["before"]) == ([topics[2], topics[0]], None)
        found = await get(web, "/dead-letters", user="ada", topic="acme/chicago/a/l")
        assert [one["topic"] for one in found["dead_letters"]] == [topics[1], topics[0]]


async def test_discoveries_and_what_they_found(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        value = {"path": "Filler/Temp\0", "address": "ns=2;s=a", "type": "float64", "unit": "degC", "description": ""}
        for number in range(KEPT + 2):
            run = StoredDiscovery(
                id=f"01J{number:04}",
                who="nexus.cli",
                gateway="gw-1",
                target="opcua://10.0.0.9:4840",
                started_us=1_767_225_600_000_000,
                ended_us=1_767_225_601_000_000,
                outcome="done",
                found=1,
                skipped=3,
                values=[value],
                skipped_reasons={"a method": 3},
            )
            async with web.people.pool.acquire() as conn:
                await add_discovery(conn, SITE, run)
        found = (await get(web, "/discoveries", user="erik", limit=200))["discoveries"]
        assert (len(found), found[0]["id"], found[-1]["id"]) == (KEPT, "01J0201", "01J0002")
        assert (found[0]["target"], found[0]["outcome"], found[0]["found"]) == ("opcua://10.0.0.9:4840", "done", 1)
        one = await get(web, "/discoveries/01J0005", user="erik")
        assert one["values"] == [value | {"path": "Filler/Temp\ufffd"}]
        assert one["skipped_reasons"] == {"a method": 3}
        missing = await web.ask("GET", "/discoveries/01J0000", user="erik")
        assert (missing.status_code, missing.json()["code"]) == (404, "NX6921")
        assert (await web.ask("GET", "/discoveries", user="vera")).status_code == 403


async def test_retained_topics_that_nobody_owns(database: Settings, tmp_path: Path) -> None:
    message = {"topic": "acme/chicago/orders/{line}", "fields": {}, "schema": {}}
    async with web_world(database, tmp_path, **MORE, message__order=message) as web:
        for path, retain in (
            (ENERGY, True),
            ("a/l/one/gone", True),
            ("a/l/one/fresh", False),
            ("b/l/scada/deep/level", True),
            ("orders/one", True),
            ("x/y/z/cleared", True),
        ):
            payload = b"" if path.endswith("cleared") else b'{"value": 1}'
            web.web.parts.cache.take(Message(TOPICS.tag(path), payload, 0, retain))
        web.web.parts.cache.take(Message("acme/berlin/x/y/z", b"1", 0, True))
        found = await get(web, "/retained")
        assert [one["topic"] for one in found["topics"]] == ["acme/chicago/a/l/one/gone"]
        assert (found["topics"][0]["payload"], found["topics"][0]["size"], found["total"]) == ('{"value": 1}', 12, 1)
        assert (await get(web, "/retained", user="hal"))["total"] == 0
        await web.record({"message.order": None})
        assert (await get(web, "/retained", limit=1))["total"] == 2
