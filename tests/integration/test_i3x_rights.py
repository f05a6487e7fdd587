"""i3X: what a caller may not read is not there, whichever way it asks; and what a new deployment changes holds at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nexus_cli.settings import Settings
from tests.integration.i3x_world import DRIVE, ENERGY, NOBODY, SPEED, VOLTAGE, I3xWorld, i3x_world

pytestmark = [pytest.mark.needs_database]
SPAN = {"startTime": "2026-09-01T12:00:00Z", "endTime": "2026-09-01T13:00:00Z"}
HALF = {"role__half": {"read": [ENERGY]}, "user__hal": {"roles": ["half"]}}


@pytest_asyncio.fixture
async def hal(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    """Somebody who reads one tag."""
    async with i3x_world(database, tmp_path, user="hal", **HALF) as world:
        yield world


async def test_only_what_may_be_read_is_there(hal: I3xWorld) -> None:
    objects = {record["elementId"]: record for record in await hal.get("/objects", includeMetadata="true")}
    assert objects.keys() == {"site:acme/chicago", "a", "a/l", "a/l/one", ENERGY}
    assert objects["a/l"]["metadata"]["relationships"] == {"HasParent": ["a"], "HasChildren": ["a/l/one"]}
    assert objects["a/l/one"]["metadata"]["relationships"]["HasComponent"] == [ENERGY]
    kind = objects["a/l/one"]["typeElementId"]
    types = {record["elementId"]: record for record in await hal.get("/objecttypes")}
    assert types.keys() == {"type:site", "type:area", "type:line", "type:tag:float64:kWh", kind}
    assert types[kind]["schema"]["properties"].keys() == {"energy"}
    assert (await hal.value("a/l/one"))["value"] == {"energy": 1200.5}
    assert (await hal.value("a/l/one", maxDepth=0))["components"].keys() == {ENERGY}


async def test_what_may_not_be_read_is_as_what_never_was(hal: I3xWorld) -> None:
    hidden = [VOLTAGE, SPEED, DRIVE, "a/m"]
    for path, body in (
        ("/objects/list", {}),
        ("/objects/related", {}),
        ("/objects/value", {}),
        ("/objects/history", SPAN),
    ):
        *items, never = await hal.results(path, [*hidden, NOBODY], **body)
        for item in items:
            told = item["responseDetail"]["detail"].replace(item["elementId"], NOBODY)
            assert item["responseDetail"] | {"detail": told} == never["responseDetail"], (path, item)
    made = await hal.subscribed(ENERGY)
    items = await hal.results("/subscriptions/register", hidden, clientId=hal.client, subscriptionId=made)
    assert not any(item["success"] for item in items)
    body = {"updates": [{"elementId": each, "value": {"value": 1.0}} for each in hidden]}
    answer = await hal.ask("PUT", "/objects/value", body)
    assert {item["responseDetail"]["status"] for item in answer.json()["results"]} == {404}
    assert hal.sent == []


async def test_who_reads_nothing_sees_the_site_alone(database: Settings, tmp_path: Path) -> None:
    async with i3x_world(database, tmp_path, user="nina") as world:
        assert [record["elementId"] for record in await world.get("/objects")] == ["site:acme/chicago"]
        assert len(await world.get("/namespaces")) == 5


async def test_two_callers_never_get_each_others_list(database: Settings, tmp_path: Path) -> None:
    async with i3x_world(database, tmp_path, **HALF) as world:
        hal = await world.web.people.token("hal")
        for _ in range(2):
            whole = await world.get("/objects")
            half = (await world.ask("GET", "/objects", token=hal)).json()["result"]
            assert (len(whole), len(half)) == (23, 5)


async def test_a_token_without_the_scope_reads_nothing(database: Settings, tmp_path: Path) -> None:
    async with i3x_world(database, tmp_path) as world:
        token = await world.web.people.token("isa", scopes=["alerts:read"])
        for method, path, body in (
            ("GET", "/objects", None),
            ("POST", "/subscriptions", {"clientId": "me"}),
            ("PUT", "/objects/value", {"updates": []}),
        ):
            answer = await world.ask(method, path, body, token=token)
            assert answer.status_code == 403
            assert answer.json()["responseDetail"]["title"] == "Forbidden"
        reader = await world.web.people.token("isa", scopes=["values:read"])
        assert (await world.ask("GET", "/objects", token=reader)).status_code == 200
        assert (await world.ask("PUT", "/objects/value", {"updates": []}, token=reader)).status_code == 403


async def test_a_right_that_is_taken_away_ends_at_the_next_deployment(database: Settings, tmp_path: Path) -> None:
    async with i3x_world(
        database, tmp_path, role__half={"read": [ENERGY, SPEED]}, user__hal={"roles": ["half"]}
    ) as isa:
        isa.token = await isa.web.people.token("hal")
        made = await isa.subscribed(ENERGY, SPEED)
        await isa.sync(made)
        await isa.sync(made, 1)
        isa.say(SPEED, 1.0)
        await isa.web.record({"role.half": {"read": [ENERGY]}})
        isa.say(SPEED, 2.0)
        isa.say(ENERGY, 3.0)

        def seen(result: Any) -> list[Any]:
            return [update["value"] for batch in result for update in batch["updates"]]

        assert seen(await isa.sync(made)) == [3.0]
        (item,) = await isa.results("/objects/value", [SPEED])
        assert item["responseDetail"]["status"] == 404
