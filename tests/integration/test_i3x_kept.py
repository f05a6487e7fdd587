"""i3X's subscriptions outlive the web that serves them: restart, change of web, overflow, moved tags, expiry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nexus_cli.database import i3x_subscriptions as db
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import device_from_json
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.i3x.subscriptions import subscription as subscriptions
from nexus_cli.settings import Settings
from tests.integration.i3x_world import DRIVE, ENERGY, SPEED, I3xWorld, another, device, i3x_world, served, tag
from tests.integration.identity_world import SITE
from tests.integration.test_i3x_stream import listening
from tests.waiting import until

pytestmark = [pytest.mark.needs_database]
ACTUAL = "a/l/drive/actual"


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    async with i3x_world(database, tmp_path) as world:
        yield world


def numbers(result: Any) -> list[Any]:
    return [update["value"] for batch in result for update in batch["updates"]]


def now_ms() -> int:
    return int(time.time() * 1000)


async def test_a_restart_keeps_what_waits_under_its_numbers(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED, ENERGY)
    first = await i3x.sync(made)
    i3x.say(SPEED, 1.0)
    both = await i3x.sync(made)
    other = await another(i3x)
    assert await other.sync(made) == both
    assert (await other.sync(made, 1))[0]["sequenceNumber"] == 2
    assert await other.sync(made, 2) == []
    assert first[0]["sequenceNumber"] == 1


async def test_history_closes_what_no_web_listened_to(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED, ENERGY)
    start = now_ms()
    i3x.say(SPEED, 10.0, at_ms=start)
    (batch,) = await i3x.sync(made, None)
    # This web hears two more and dies before anybody asks; a third is published while there is none.
    i3x.say(SPEED, 11.0, at_ms=start + 10)
    i3x.say(SPEED, 12.0, at_ms=start + 20)
    await i3x.store(SPEED, *((start * 1000 + n * 10_000 + 123, 10.0 + n, 192 if n != 3 else 0) for n in range(4)))
    other = await another(i3x)
    assert numbers(await other.sync(made, batch["sequenceNumber"])) == [11.0, 12.0, None]
    other.say(SPEED, 14.0, at_ms=start + 40)
    assert numbers(await other.sync(made, -1)) == []
    other.say(SPEED, 15.0, at_ms=start + 50)
    assert numbers(await other.sync(made)) == [15.0]


async def test_what_the_historian_stores_late_comes_late_and_once(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.closing.AGAIN_US", 0)
    made = await i3x.subscribed(SPEED)
    start = now_ms()
    i3x.say(SPEED, 10.0, at_ms=start)
    await i3x.sync(made)
    other = await another(i3x)
    other.say(SPEED, 12.0, at_ms=start + 20)  # kept by the broker, and so the first that the other one hears
    assert numbers(await other.sync(made, 1)) == [12.0]
    await i3x.store(SPEED, (start * 1000 + 10_123, 11.0, 192), (start * 1000 + 20_123, 12.0, 192))
    assert numbers(await other.sync(made, 2)) == [11.0]
    assert numbers(await other.sync(made, 3)) == []


async def test_what_comes_while_a_subscription_is_stored_is_there_after_a_change_of_web(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a tag that it knows, and the first value of another one."""
    silent = "a/l/drive/total"
    made = await i3x.subscribed(SPEED, silent)
    first = await i3x.sync(made)
    i3x.say(SPEED, 10.0)
    save, start = db.save, now_ms() + 1

    async def slow(*asked: Any, **named: Any) -> bool:
        i3x.say(SPEED, 11.0, at_ms=start)
        i3x.say(silent, 5, at_ms=start)
        return await save(*asked, **named)

    monkeypatch.setattr(db, "save", slow)
    second = await i3x.sync(made, first[-1]["sequenceNumber"])
    assert numbers(second) == [10.0]
    monkeypatch.setattr(db, "save", save)
    await i3x.store(SPEED, (start * 1000 + 7, 11.0, 192))
    await i3x.store(silent, (start * 1000 + 7, 5, 192))
    other = await another(i3x)
    assert sorted(numbers(await other.sync(made, second[-1]["sequenceNumber"]))) == [5, 11.0]
    i3x.say(SPEED, 12.0, at_ms=start + 1)
    assert sorted(numbers(await i3x.sync(made, 0)))[-3:] == [5, 11.0, 12.0]  # taken back, and whole


async def test_what_came_between_taking_a_subscription_and_listening_is_there(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy web needs a while until it knows what a caller may see."""
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.closing.AGAIN_US", 0)
    made = await i3x.subscribed(SPEED)
    last = (await i3x.sync(made))[-1]["sequenceNumber"]
    other, meanwhile = await another(i3x), 0
    current = Spaces.current

    async def slow(*asked: Any) -> Any:
        nonlocal meanwhile
        if not meanwhile:
            await asyncio.sleep(0.01)
            meanwhile = now_ms()
            for n in range(2):
                other.say(SPEED, 11.0 + n, at_ms=meanwhile + n)
        return await current(*asked)

    monkeypatch.setattr(Spaces, "current", slow)
    first = await other.sync(made, last)
    await i3x.store(SPEED, *((meanwhile * 1000 + n * 1000 + 7, 11.0 + n, 192) for n in range(2)))
    second = await other.sync(made, first[-1]["sequenceNumber"])
    assert sorted(numbers(first) + numbers(second)) == [11.0, 12.0]


async def test_two_webs_behind_one_name_lose_nothing(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.closing.AGAIN_US", 0)
    webs = [i3x, await another(i3x)]
    made = await i3x.subscribed(SPEED)
    last, got, start = 0, [], now_ms()
    for n in range(12):
        for web in webs:
            web.say(SPEED, float(n), at_ms=start + n)
        await i3x.store(SPEED, (start * 1000 + n * 1000 + 7, float(n), 192))
        batches = await webs[n % 2].sync(made, last or None)
        got += numbers(batches)
        assert [batch["sequenceNumber"] for batch in batches] == list(range(last + 1, last + 1 + len(batches)))
        last = batches[-1]["sequenceNumber"] if batches else last
    assert got == [45.0, *(float(n) for n in range(12))]


async def test_a_web_that_lost_a_subscription_lets_it_go(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    other = await another(i3x)
    await other.sync(made)
    assert made in i3x.keeper.ours
    await i3x.keeper.look()
    assert made not in i3x.keeper.ours
    assert made in other.keeper.ours


async def test_a_stream_is_taken_over_by_another_web(i3x: I3xWorld) -> None:
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED)
        other = await another(i3x)
        async with served(other) as elsewhere, listening(url, i3x, made) as first:
            await until(lambda: len(first.updates) == 1, "what waited")
            refused = await other.sync(made, status=400)
            assert "open stream" in refused["responseDetail"]["detail"]
            # Registered at the other web, heard over the stream of this one.
            await other.results("/subscriptions/register", [ENERGY], clientId=i3x.client, subscriptionId=made)
            await until(lambda: len(first.updates) == 2, "the object that was registered elsewhere")
            async with listening(elsewhere, other, made) as second:
                await until(first.ended.is_set, "the first stream ends")
                other.say(SPEED, 5.0)
                await until(lambda: 5.0 in [each["value"] for each in second.updates], "the second stream")


async def test_an_overflow_is_206_with_the_exact_gap(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "QUEUED", 5)
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.queue.MOST_IN_BATCH", 2)
    made = await i3x.subscribed(SPEED)
    last = (await i3x.sync(made))[-1]["sequenceNumber"]
    await i3x.sync(made, last)
    start = 1_788_264_000_000
    for n in range(9):
        i3x.say(SPEED, float(n), at_ms=start + n)
        await i3x.store(SPEED, ((start + n) * 1000, float(n), 192))
    found = await i3x.sync(made, last, status=206)
    assert found["success"] is True
    assert numbers(found["result"]) == [4.0, 5.0, 6.0, 7.0, 8.0]
    gap = list(range(last + 1, found["result"][0]["sequenceNumber"]))
    assert gap == [2, 3]
    detail = found["responseDetail"]
    assert detail["status"] == 206
    assert "sequence numbers 2 to 3" in detail["detail"]
    assert "from 2026-09-01T12:00:00Z to 2026-09-01T12:00:00.003000Z" in detail["detail"]
    (item,) = await i3x.results(
        "/objects/history",
        [SPEED],
        startTime="2026-09-01T12:00:00Z",
        endTime="2026-09-01T12:00:00.003000Z",
    )
    assert [vqt["value"] for vqt in item["result"]["values"]] == [0.0, 1.0, 2.0, 3.0]
    # Another web says the same, until it is acknowledged.
    other = await another(i3x)
    assert await other.sync(made, status=206) == found
    assert await other.sync(made, found["result"][-1]["sequenceNumber"]) == []


async def test_more_than_the_queue_holds_was_missed(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await i3x.subscribed(SPEED)
    start = now_ms() + 1
    await i3x.sync(made)
    await i3x.sync(made, 1)
    await i3x.store(SPEED, *((start * 1000 + n, float(n), 192) for n in range(0, 20_000, 1000)))
    monkeypatch.setattr(subscriptions, "QUEUED", 6)
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.queue.MOST_IN_BATCH", 1)
    other = await another(i3x)
    time.sleep(0.05)  # the span that is asked for ends now, and the samples lie some milliseconds ahead
    found = await other.sync(made, status=206)
    assert numbers(found["result"]) == [float(n) for n in range(14_000, 20_000, 1000)]
    assert found["result"][0]["sequenceNumber"] == 3
    assert "sequence numbers 2 to 2" in found["responseDetail"]["detail"]


async def test_all_queues_of_a_web_together_are_bounded(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.keeper.MOST_QUEUED", 3)
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.queue.MOST_IN_BATCH", 1)
    greedy, modest = await i3x.subscribed(SPEED), await i3x.subscribed(ENERGY)
    for n in range(6):
        i3x.say(SPEED, float(n))
    await i3x.keeper.look()
    assert sum(len(each.queue) for each in i3x.keeper.ours.values()) == 3
    assert numbers(await i3x.sync(modest)) == [1200.5]
    assert numbers((await i3x.sync(greedy, status=206))["result"]) == [4.0, 5.0]


async def test_a_moved_object_keeps_its_ids_and_its_subscription(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED, DRIVE)
    await i3x.sync(made)
    moved = "a/m/mover"
    tags = {"speed": tag(unit="Hz", writable=True), "actual": tag(unit="Hz")}
    new = device(moved, tags)
    async with i3x.web.people.pool.acquire() as conn:
        await sync_series(
            conn,
            site=SITE,
            devices={DRIVE: None, moved: device_from_json(new)},
            moved=[(SPEED, f"{moved}/speed"), (ACTUAL, f"{moved}/actual")],
        )
    await i3x.web.record({f"device.{DRIVE}": None, f"device.{moved}": new})
    i3x.say(f"{moved}/speed", 3.5)
    former, whole, line = await i3x.results("/objects/list", [SPEED, DRIVE, "a/m"])
    assert former["result"]["elementId"] == f"{moved}/speed"
    assert (whole["result"]["elementId"], whole["result"]["parentId"]) == (moved, "a/m")
    assert (await i3x.value(SPEED))["value"] == 3.5
    await i3x.keeper.look()
    i3x.say(f"{moved}/speed", 4.5)
    changes = [
        (update["elementId"], update["value"]) for batch in await i3x.sync(made, 1) for update in batch["updates"]
    ]
    assert (SPEED, 4.5) in changes
    assert changes[-1] == (DRIVE, {"actual": None, "speed": 4.5})
    assert line["success"]


async def test_nobody_asks_and_it_is_gone(i3x: I3xWorld) -> None:
    made, kept = await i3x.subscribed(SPEED), await i3x.subscribed(SPEED)
    pool = i3x.web.people.pool
    await pool.execute("UPDATE nexus.i3x_subscription SET touched = now() - interval '14 minutes' WHERE id = $1", kept)
    await pool.execute("UPDATE nexus.i3x_subscription SET touched = now() - interval '16 minutes' WHERE id = $1", made)
    assert (await i3x.sync(made, status=404))["responseDetail"]["status"] == 404
    assert numbers(await i3x.sync(kept)) == [45.0]
    for _ in range(30):
        await i3x.keeper.look()
    assert [row["id"] for row in await pool.fetch("SELECT id FROM nexus.i3x_subscription")] == [kept]
    assert made not in i3x.keeper.ours


async def test_without_the_database_live_values_go_on(i3x: I3xWorld) -> None:
    made = await i3x.subscribed(SPEED)
    await i3x.get("/objects")  # who asks is known now
    i3x.web.people.pool.terminate()
    found = await i3x.post("/objects/value", elementIds=[SPEED])
    assert found["results"][0]["result"]["value"] == 45.0
    assert "broker is away" in found["responseDetail"]["detail"]  # no broker in this test
    for path, body in (
        ("/subscriptions/sync", {"clientId": i3x.client, "subscriptionId": made}),
        (
            "/objects/history",
            {"elementIds": [SPEED], "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"},
        ),
    ):
        found = await i3x.post(path, 503, **body)
        assert found["responseDetail"]["title"] == "Service Unavailable"
        assert found["responseDetail"]["detail"]


async def test_what_the_web_that_has_it_did_not_hear_is_taken_from_the_history(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker was away: of what was published meanwhile only the newest value comes."""
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.closing.AGAIN_US", 0)
    made, start = await i3x.subscribed(SPEED), now_ms()
    i3x.say(SPEED, 10.0, at_ms=start)
    last = (await i3x.sync(made))[-1]["sequenceNumber"]
    i3x.web.web.parts.interruptions.happened()
    # The history is faster here than the broker: the live value of 12 comes after its row.
    await i3x.store(SPEED, *((start * 1000 + n * 1000 + 123, 10.0 + n, 192) for n in range(3)))
    time.sleep(0.01)
    batches = await i3x.sync(made, last)
    assert numbers(batches) == [11.0, 12.0]
    i3x.say(SPEED, 12.0, at_ms=start + 2)
    i3x.say(SPEED, 14.0, at_ms=start + 4)
    await i3x.store(SPEED, (start * 1000 + 3123, 13.0, 192), (start * 1000 + 4123, 14.0, 192))
    time.sleep(0.01)
    assert numbers(await i3x.sync(made, batches[-1]["sequenceNumber"])) == [14.0, 13.0]
    assert numbers(await i3x.sync(made, -1)) == []


async def test_more_rows_than_the_queue_holds_are_no_loss_while_they_were_heard(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_cli.runtime.web.i3x.subscriptions.closing.AGAIN_US", 0)
    monkeypatch.setattr(subscriptions, "QUEUED", 5)
    made, start = await i3x.subscribed(SPEED), now_ms()
    last = (await i3x.sync(made))[-1]["sequenceNumber"]
    await i3x.sync(made, last)
    i3x.web.web.parts.interruptions.happened()
    got: list[Any] = []
    for n in range(1, 24):
        if n not in (3, 4):
            i3x.say(SPEED, float(n), at_ms=start + n)
        batches = await i3x.sync(made, last)
        got, last = got + numbers(batches), batches[-1]["sequenceNumber"] if batches else last
    await i3x.store(SPEED, *((start * 1000 + n * 1000, float(n), 192) for n in range(1, 24)))
    time.sleep(0.03)
    got += numbers(await i3x.sync(made, last))
    assert got == [*(float(n) for n in range(1, 24) if n not in (3, 4)), 3.0, 4.0]
