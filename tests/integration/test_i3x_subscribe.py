"""i3X: subscriptions, asked and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nexus_cli.settings import Settings
from tests.integration.i3x_world import DRIVE, ENERGY, NOBODY, SPEED, VOLTAGE, I3xWorld, i3x_world

pytestmark = [pytest.mark.needs_database]


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    async with i3x_world(database, tmp_path) as world:
        yield world


def values(result: Any) -> list[tuple[str, Any]]:
    return [(update["elementId"], update["value"]) for batch in result for update in batch["updates"]]


async def test_sub_01_a_subscription_has_an_id_that_nobody_guesses(i3x: I3xWorld) -> None:
    made = [(await i3x.post("/subscriptions", clientId="me", displayName="Panel"))["result"] for _ in range(2)]
    assert made[0]["clientId"] == "me"
    assert made[0]["displayName"] == "Panel"
    assert made[0]["subscriptionId"] != made[1]["subscriptionId"]
    assert all(len(each["subscriptionId"]) >= 40 for each in made)
    unnamed = (await i3x.post("/subscriptions", clientId="me", displayName=None))["result"]
    assert unnamed["displayName"] == ""


async def test_sub_02_a_subscription_is_listed_with_what_it_monitors(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED, DRIVE, depth=2)
    good, bad = await i3x.results("/subscriptions/list", [made, "another"], key="subscriptionId", clientId=i3x.client)
    assert good["result"] == {
        "subscriptionId": made,
        "displayName": "",
        "monitoredObjects": [{"elementId": SPEED, "maxDepth": 2}, {"elementId": DRIVE, "maxDepth": 2}],
    }
    assert bad["responseDetail"]["status"] == 404


async def test_sub_03_registered_objects_are_listened_to(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED, ENERGY)
    assert values(await i3x.sync(made)) == [(SPEED, 45.0), (ENERGY, 1200.5)]
    i3x.say(SPEED, 46.0, at_ms=1_788_264_000_000)
    i3x.say(SPEED, 47.0, at_ms=1_788_264_000_001)
    i3x.say(VOLTAGE, 1.0)
    (batch,) = await i3x.sync(made, 1)
    assert batch == {
        "sequenceNumber": 2,
        "updates": [
            {"elementId": SPEED, "value": 46.0, "quality": "Good", "timestamp": "2026-09-01T12:00:00Z"},
            {"elementId": SPEED, "value": 47.0, "quality": "Good", "timestamp": "2026-09-01T12:00:00.001000Z"},
        ],
    }


async def test_sub_04_an_object_is_registered_once(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    (item,) = await i3x.results(
        "/subscriptions/register", [SPEED], clientId=i3x.client, subscriptionId=made, maxDepth=5
    )
    assert item["success"]
    (listed,) = await i3x.results("/subscriptions/list", [made], key="subscriptionId", clientId=i3x.client)
    assert listed["result"]["monitoredObjects"] == [{"elementId": SPEED, "maxDepth": 1}]
    assert values(await i3x.sync(made)) == [(SPEED, 45.0)]


async def test_sub_05_an_unknown_object_fails_alone(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    items = await i3x.results("/subscriptions/register", [NOBODY, ENERGY], clientId=i3x.client, subscriptionId=made)
    assert [item["success"] for item in items] == [False, True]
    assert items[0]["responseDetail"]["status"] == 404
    assert values(await i3x.sync(made)) == [(SPEED, 45.0), (ENERGY, 1200.5)]


async def test_sub_06_a_sync_gives_batches_of_values(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(DRIVE, depth=0)
    (batch,) = await i3x.sync(made)
    elements = [update["elementId"] for update in batch["updates"]]
    assert elements.count(DRIVE) == 1
    assert len(elements) == 9
    for update in batch["updates"]:
        assert set(update) == {"elementId", "value", "quality", "timestamp"}
    assert await i3x.sync(made, 1) == []  # nothing new: no batch, no number


async def test_a_device_is_given_whole_once_for_many_changes(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(DRIVE)
    await i3x.sync(made, None)
    for value in (1.0, 2.0, 3.0):
        i3x.say(SPEED, value)
    (_, batch) = await i3x.sync(made)
    (update,) = batch["updates"]
    assert (update["elementId"], update["value"]["speed"]) == (DRIVE, 3.0)


async def test_sub_07_what_is_acknowledged_is_gone_and_numbers_rise(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    first = await i3x.sync(made)
    i3x.say(SPEED, 1.0)
    both = await i3x.sync(made)
    assert [batch["sequenceNumber"] for batch in both] == [1, 2]
    assert both[0] == first[0]
    i3x.say(SPEED, 2.0)
    assert [batch["sequenceNumber"] for batch in await i3x.sync(made, 1)] == [2, 3]
    assert await i3x.sync(made, 3) == []


@pytest.mark.parametrize("last", [99, -2, 2**64 - 1])
async def test_a_number_that_was_never_given_clears_nothing(i3x: I3xWorld, last: int) -> None:
    made = await i3x.subscribed(SPEED)
    await i3x.sync(made)
    answer = await i3x.ask(
        "POST",
        "/subscriptions/sync",
        {"clientId": i3x.client, "subscriptionId": made, "lastSequenceNumber": last},
    )
    assert answer.status_code == 200
    assert values(answer.json()["result"]) == [(SPEED, 45.0)]


async def test_sub_13_minus_one_acknowledges_everything(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    await i3x.sync(made)
    i3x.say(SPEED, 1.0)
    assert await i3x.sync(made, -1) == []
    assert await i3x.sync(made) == []
    i3x.say(SPEED, 2.0)
    (batch,) = await i3x.sync(made)
    assert batch["sequenceNumber"] == 3


async def test_sub_08_an_object_that_is_left_out_is_listened_to_no_more(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED, ENERGY)
    items = await i3x.results("/subscriptions/unregister", [SPEED, NOBODY], clientId=i3x.client, subscriptionId=made)
    assert [item["success"] for item in items] == [True, False]
    i3x.say(SPEED, 1.0)
    i3x.say(ENERGY, 2.0)
    # What waited before stays.
    assert values(await i3x.sync(made)) == [(SPEED, 45.0), (ENERGY, 1200.5), (ENERGY, 2.0)]


async def test_sub_10_a_deleted_subscription_is_gone(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    good, bad = await i3x.results("/subscriptions/delete", [made, "another"], key="subscriptionId", clientId=i3x.client)
    assert (good["success"], good["result"]) == (True, None)
    assert bad["responseDetail"]["status"] == 404
    assert await i3x.web.people.pool.fetchval("SELECT count(*) FROM nexus.i3x_subscription") == 0
    assert i3x.keeper.ours == {}


async def test_sub_11_an_unknown_subscription_is_404(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    await i3x.results("/subscriptions/delete", [made], key="subscriptionId", clientId=i3x.client)
    for path, body in (
        ("sync", {}),
        ("stream", {}),
        ("register", {"elementIds": [SPEED]}),
        ("unregister", {"elementIds": [SPEED]}),
    ):
        for id_ in (made, "never", ""):
            found = await i3x.post(f"/subscriptions/{path}", 404, clientId=i3x.client, subscriptionId=id_, **body)
            assert (found["success"], found["responseDetail"]["status"]) == (False, 404)


async def test_sub_12_streaming_is_declared_and_there(i3x: I3xWorld) -> None:
    assert (await i3x.get("/info"))["capabilities"]["subscribe"] == {"stream": True}


async def test_sub_15_without_a_client_id_there_is_nothing(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    for path, body in (
        ("", {}),
        ("/list", {"subscriptionIds": [made]}),
        ("/delete", {"subscriptionIds": [made]}),
        ("/register", {"subscriptionId": made, "elementIds": [SPEED]}),
        ("/unregister", {"subscriptionId": made, "elementIds": [SPEED]}),
        ("/sync", {"subscriptionId": made}),
        ("/stream", {"subscriptionId": made}),
    ):
        for client in ({}, {"clientId": ""}, {"clientId": None}):
            found = await i3x.post(f"/subscriptions{path}", 400, **body, **client)
            assert found["responseDetail"]["status"] == 400, path


async def test_sub_16_another_client_or_user_does_not_find_it(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    other_user = await i3x.web.people.token("vera")
    for client, token in (("someone-else", i3x.token), (i3x.client, other_user)):
        for path, body in (("sync", {}), ("stream", {}), ("register", {"elementIds": [SPEED]})):
            answer = await i3x.ask(
                "POST", f"/subscriptions/{path}", {"clientId": client, "subscriptionId": made, **body}, token=token
            )
            assert answer.status_code == 404
        for path in ("list", "delete"):
            answer = await i3x.ask(
                "POST", f"/subscriptions/{path}", {"clientId": client, "subscriptionIds": [made]}, token=token
            )
            assert answer.json()["results"][0]["responseDetail"]["status"] == 404
    assert values(await i3x.sync(made)) == [(SPEED, 45.0)]


async def test_a_caller_has_a_bounded_number(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.keeper.MOST_OF_CALLER", 2)
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.keeper.MOST_OBJECTS", 2)
    for _ in range(2):
        await i3x.post("/subscriptions", clientId="me")
    found = await i3x.post("/subscriptions", 400, clientId="another")
    assert "2 subscriptions" in found["responseDetail"]["detail"]
    await i3x.web.people.pool.execute("DELETE FROM nexus.i3x_subscription")
    made = await i3x.subscribed(SPEED, ENERGY)
    found = await i3x.post(
        "/subscriptions/register", 400, clientId=i3x.client, subscriptionId=made, elementIds=[VOLTAGE]
    )
    assert "at most 2 objects" in found["responseDetail"]["detail"]
