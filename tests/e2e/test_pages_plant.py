"""The pages of a running plant in a real browser: messages, sequences, devices, alarms, deployments, health, dead letters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.wire.client import BrokerClient
from tests.browser import Browser, browser, needs_browser
from tests.e2e.paged import DRIVE, Paged, go, logged_in, press_button, quiet
from tests.sparkplug_bytes import float64, metric, payload
from tests.waiting import wait_until

pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database, needs_browser]
ORDER = "[data-field=order]"
AMOUNT = "[data-field=amount]"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    one = Paged(tmp_path_factory.mktemp("paged"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
def plant(runtime: Paged) -> Paged:
    """A drive at rest that is reached."""
    for tag, value in (("setpoint", 200), ("mode", 0), ("start", 0), ("fixed", 0)):
        runtime.drive.field.server.set(DRIVE, tag, value)
    runtime.drive.field.writes.clear()
    wait_until(
        lambda: {one["state"] for one in runtime.status("gateway")["links"].values()} == {"connected"}, "the link"
    )
    wait_until(lambda: runtime.status("gateway")["commands"]["connected"], "the command session")
    return runtime


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as made:
        yield made


async def said(plant: Paged, topic: str, body: bytes, *, retain: bool = False) -> None:
    """Publish as a client of the test's own."""

    async def send(client: BrokerClient) -> bool:
        async with client.session():
            await client.publish(topic, body, qos=1, retain=retain)
            return True

    assert await asyncio.to_thread(plant.run, send)


async def heard(plant: Paged, topic: str, act: Any) -> dict[str, Any]:
    """The next message on a topic after something was done."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    async def listen(client: BrokerClient) -> dict[str, Any] | None:
        async with client.session() as messages:
            await client.subscribe([(topic, 1)])
            loop.call_soon_threadsafe(done.set)
            async for message in messages:
                found: dict[str, Any] = json.loads(message.payload)
                return found
        return None

    listening = asyncio.create_task(asyncio.to_thread(lambda: plant.run(listen, wait_s=60)))
    await done.wait()
    await act()
    found = await listening
    assert found is not None, f"nothing came on {topic}"
    return found


async def test_a_message_with_a_wrong_field_is_refused_and_mended(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "messages/publish/start-order")
    await page.type(f"{ORDER} input", "17")
    await page.type(f"{AMOUNT} input", "many")
    await page.type("[data-field=line] input", "one")
    await press_button(page, "Preview")
    refusal = await page.wait_text(f"{AMOUNT} .problem", "amount")
    assert "is to be integer" in refusal
    assert await page.run("return document.activeElement.name") == "amount", "the keyboard is where the fault is"
    assert await page.run("return document.activeElement.getAttribute('aria-invalid')") == "true"
    assert await page.count(".panel button.primary:disabled") == 1, "nothing can be published"
    await page.type(f"{AMOUNT} input", "3")
    await press_button(page, "Preview")
    shown = await page.wait_text(".preview", "it fits its schema")
    assert "erp/orders/one" in shown and '"source": "nexus"' in shown and '"amount": 3' in shown
    assert "nexus publish start-order --set order=17 --set amount=3 --set line=one" in await page.text(".twin-text")
    found = await heard(plant, "erp/orders/one", lambda: press_button(page, "Publish"))
    assert found == {"source": "nexus", "order": "17", "amount": 3}
    await page.wait_text(".done", "Published on erp/orders/one")
    trail = json.loads(plant.nexus("audit", "--kind", "message", "--format", "json"))["entries"]
    assert [(each["who"], each["subject"]) for each in trail] == [("otto", "start-order")]
    await quiet(page)


async def test_the_fields_of_a_message_are_edited_as_json(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "messages/publish/start-order")
    await page.type(f"{ORDER} input", "18")
    await press_button(page, "Edit as JSON")
    await page.wait_text(".toolbar, .actions", "Edit as form")
    assert json.loads(await page.run("return document.querySelector('.json-edit').value")) == {"order": "18"}
    await page.type(".json-edit", '{"order": "18", "amount": 2.5, "line": "two"}')
    await press_button(page, "Preview")
    assert "amount: 2.5 is not of type 'integer'" in await page.wait_text(".panel .note, .panel .failure", "amount")
    await page.type(".json-edit", '{"order": "18", "amount": 2, "line": "t+o"}')
    await press_button(page, "Preview")
    assert "can't be used in a topic" in await page.wait_text(".panel .note, .panel .failure", "topic")
    await page.type(".json-edit", '{"order": "18", "amount": 2, "line": "two"}')
    await press_button(page, "Preview")
    await page.wait_text(".preview", "erp/orders/two")
    await quiet(page)


async def test_a_filter_is_watched_and_sparkplug_decoded(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "messages")
    await page.wait_text(".filters", "acme/commanded/hall/line-1/#")
    await page.wait_text(".rows", "acme/commanded/hall/line-1/drive/setpoint")
    assert [await page.count(f"[data-view={each}]") for each in ("line", "edge", "orders")] == [1, 1, 1]
    assert "1\nline" in await page.text(".views") and "6\norders" in await page.text(".views")
    await page.click("[data-view=edge]")
    await page.wait_text(".said", "0 messages")
    birth = payload(metric(float64(13, 20.0), name="Press/Force", alias=7, kind="Double"))
    await said(plant, "spBv1.0/plant/NBIRTH/edge", birth, retain=True)
    await page.wait_text(".rows", "Press/Force=20")
    await said(plant, "spBv1.0/plant/NDATA/edge", payload(metric(float64(13, 21.5), alias=7), sequence=1))
    await page.wait_text(".rows", "Press/Force=21.5")
    await page.click(".rows .row")
    detail = await page.wait_text(".detail", "alias 7 (from its birth)")
    assert "spBv1.0/plant/NDATA/edge" in detail and "Double" in detail and "sequence 1" in detail
    await page.click("[data-kind=hex]")
    assert (await page.wait_text(".detail .payload", "000000  ")).startswith("000000  08 ")
    await page.type(".adder input", "erp/orders/+")
    await page.press("Enter")
    await said(plant, "erp/orders/nine", b'{"order": {"number": 9007199254740993, "lines": [1, 2]}}', retain=True)
    await page.wait_text(".rows", "erp/orders/nine")
    await page.click(".rows .row")
    await page.click("[data-kind=json]")
    assert "9007199254740993" in await page.wait_text(".detail .json", "number")
    await page.click(".detail .json summary")
    assert "…" in await page.text(".detail .json"), "it folds"
    await quiet(page)


async def test_a_held_list_stays_and_a_search_finds(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "messages")
    await page.type(".adder input", "notes/+")
    await page.press("Enter")
    await page.wait_text(".filters", "notes/+")
    for name in ("alpha", "beta"):
        await said(plant, f"notes/{name}", json.dumps({"word": name * 2}).encode(), retain=True)
    await page.wait_text(".rows", "notes/beta")
    await press_button(page, "Pause")
    await said(plant, "notes/gamma", b"late")
    await page.wait_text(".filters", "3 ·")
    assert "gamma" not in await page.text(".rows"), "the list is held, and the buffer fills on"
    await press_button(page, "Go on")
    await page.wait_text(".rows", "gamma")
    await page.type(".toolbar input", "ALPHAalpha")
    await page.wait_text(".said", "1 messages")
    assert "notes/alpha" in await page.text(".rows")
    await page.run("document.querySelector('.rows').focus()")
    await page.press("Down")
    assert "notes/alpha" in await page.wait_text(".detail", "alpha")
    await page.press("Escape")
    await page.wait_script("return document.querySelector('.detail').hidden", "Escape closes the message")
    await page.click("[data-mode=Topics]")
    assert "/s" in await page.wait_text(".rows", "notes/alpha")
    await page.type(".adder input", "notes/#/x")
    await page.press("Enter")
    assert "NX6913" in await page.wait_text(".centre-main .failure", "is not a filter")
    await quiet(page)


async def test_a_sequence_runs_step_by_step(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "sequences/of/fill")
    brief = await page.wait_text(".brief", f"write {DRIVE}/setpoint = 40")
    assert "now 20 degC" in brief and "before the first step" in brief
    await page.type(f"{AMOUNT} input", "200")
    await page.type(f"{ORDER} input", "21")
    await press_button(page, "Start")
    assert "200" in await page.wait_text(f"{AMOUNT} .problem", "amount"), "control refuses what is beyond the range"
    await page.type(f"{AMOUNT} input", "45")
    await page.wait_text(".brief", f"write {DRIVE}/setpoint = 45")
    await page.type("input[name=reason]", "order 21")
    await press_button(page, "Start")
    await page.wait_text(".run-said", "all 3 steps are done")
    steps = await page.text(".run-steps")
    assert "20 → 45" in steps and "on erp/orders/one" in steps
    states = await page.run("return [...document.querySelectorAll('.run-steps li')].map((each) => each.dataset.state)")
    assert states == ["done", "done", "done", "done"]
    assert "order 21" in await page.text(".run") and "by otto" in await page.text(".run")
    assert plant.drive.writes == [(0, 450)]
    await quiet(page, refused=["/sequences/fill/runs"])


async def test_a_sequence_is_aborted(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "sequences/of/patient")
    await page.wait_text(".brief", "wait 600 s")
    await press_button(page, "Start")
    await page.wait_text(".run-said", "step 2 of 3")
    run = (await page.url()).rpartition("/")[2]
    assert f"nexus sequence status {run}" in await page.text(".twin-text")
    await press_button(page, "Abort")
    ended = await page.wait_text(".run-said", "aborted by otto")
    assert "abort branch: done" in ended and "aborted after 1 of 3 steps" in ended
    assert await page.wait_text("[data-run]", "aborted") == "aborted"
    assert plant.drive.writes == [(2, 1), (2, 9)], "the abort branch was done, and no step after it"
    await page.wait_text(".runs", "aborted")
    await quiet(page)


async def test_a_device_out_of_service_and_back(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", f"devices/{DRIVE}")
    await page.wait_text(".detail [data-state]", "answers")
    facts = await page.text(".detail")
    assert "modbus" in facts and "Polls" in facts
    await press_button(page, "Take out of service")
    await page.wait_text(".detail .note", "A reason is needed")
    await page.type(".service input", "new bearing")
    await press_button(page, "Take out of service")
    out = await page.wait_text(".service", "new bearing")
    assert "otto" in out and "Until" in out
    assert await page.wait_text(".detail [data-state]", "out of service") == "out of service"
    await page.wait_text(".service", "the gateway has closed the session")
    await press_button(page, "Back in service")
    await page.wait_text(".detail [data-state]", "answers")
    trail = json.loads(plant.nexus("audit", "--kind", "device", "--format", "json"))["entries"]
    assert [(each["who"], each["subject"]) for each in trail] == [("otto", DRIVE)] * 2
    await quiet(page)


async def test_an_alarm_is_acknowledged(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "otto", "alarms")
    await page.wait_text(".said", "0 shown · 0 unacknowledged")
    assert await page.wait_text(".bell .unseen", "No unacknowledged") == "No unacknowledged alarms"
    plant.drive.hold("setpoint", 850)
    await page.wait_text(".rows", "drive-hot")
    assert await page.wait_text(".bell .unseen", "1 high") == "Unacknowledged alarms: 1 high, 1 low"
    await page.run("document.querySelector('.rows').focus()")
    await page.press("Down")
    shown = await page.wait_text(".detail", "drive-hot")
    assert "Open the damper." in shown and "The motor is lost." in shown and "▲ high" in shown and "1st out" in shown
    assert "above 70" in await page.wait_text(".detail .verdict", "holds")
    assert await page.text(".twin-text") == "nexus alarms why drive-hot"
    await press_button(page, "Acknowledge…")
    await page.wait_script("return document.activeElement.name === 'reason'", "the comment has the focus")
    await page.press(*"the fitter is on the way", "Enter")
    assert "by otto" in await page.wait_text(".detail", "by otto")
    await page.wait_text(".bell .unseen", "1 low")
    changes = await page.wait_text(".journal", "the fitter is on the way")
    assert "became active" in changes and "value 85" in changes
    trail = json.loads(plant.nexus("audit", "--kind", "alert", "--format", "json"))["entries"]
    assert [(each["who"], each["subject"], each["reason"]) for each in trail] == [
        ("otto", "drive-hot", "the fitter is on the way")
    ]
    plant.drive.hold("setpoint", 200)
    await page.wait_text(".detail .badge", "normal")
    await quiet(page)


async def test_alarms_are_shelved_taken_out_of_service_and_answered_together(plant: Paged, page: Browser) -> None:
    plant.drive.hold("setpoint", 850)
    await logged_in(page, plant, "otto", "alarms/drive-warm")
    await page.wait_text(".detail [data-state=active]", "unacknowledged")
    await press_button(page, "Shelve…")
    await press_button(page, "Shelve")
    await page.wait_text("dialog .note", "A reason is needed")
    await page.type("dialog input[name=reason]", "probe is being replaced")
    await press_button(page, "Shelve")
    shelved = await page.wait_text(".detail", "Shelved until")
    assert "by otto" in shelved and "probe is being replaced" in shelved
    assert "drive-warm" not in await page.wait_text(".rows", "drive-hot"), (
        "what is shelved is not among those that are open"
    )
    await press_button(page, "Unshelve")
    await page.wait_text(".detail [data-state=active]", "unacknowledged")
    await press_button(page, "Take out of service…")
    await page.type("dialog input[name=reason]", "no probe this month")
    await page.press("Enter")
    await page.wait_text(".detail", "Out of service since")
    await press_button(page, "Back in service")
    await page.wait_text(".detail [data-state=active]", "unacknowledged")
    await page.press("Escape")
    await page.run("document.querySelector('.rows').focus()")
    await page.press("Escape")
    await page.wait_script("return document.querySelector('.detail').hidden", "the alarm is closed")
    await page.wait_text(".said", "2 unacknowledged")
    await page.press("Down", "Space", "Down", "Space")
    await page.wait_text(".marks-bar", "2 marked")
    await press_button(page, "Acknowledge… (2)")
    await page.press(*"seen both", "Enter")
    await page.wait_text(".notices", "2 alarms are acknowledged.")
    await page.wait_text(".said", "0 unacknowledged")
    await go(page, "alarms?view=journal")
    lines = await page.wait_text(".rows", "seen both")
    for word in ("unshelved", "probe is being replaced", "taken out of service", "in service again"):
        assert word in lines
    await page.type("[aria-label='Name of an alarm']", "drive-warm")
    await page.wait_script("return !document.querySelector('.rows').textContent.includes('too-warm')", "only its lines")
    await page.click("[data-view=figures]")
    figures = await page.wait_text("[aria-label=Load]", "Alarms a day of one operator")
    assert "✗ outside" in figures and "✓ within" in figures
    assert "drive-warm" in await page.text("[aria-label='Came most often']")
    plant.drive.hold("setpoint", 200)
    await quiet(page)


async def test_a_viewer_sees_why_buttons_are_not_there(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "vera", f"devices/{DRIVE}")
    assert "no role of yours" in await page.wait_text(".service", "No button")
    plant.drive.hold("setpoint", 850)
    await go(page, "alarms")
    await page.wait_text(".rows", "too-warm")
    assert await page.count(".marks-bar:not([hidden])") == 0, "who may answer none marks none"
    await go(page, "alarms/too-warm")
    assert "acknowledge: [too-warm]" in await page.wait_text(".detail", "No buttons")
    assert await page.count(".detail [data-act]") == 0
    plant.drive.hold("setpoint", 200)
    await go(page, "messages/publish")
    await page.wait_text("main", "no messages that you may see")
    await go(page, "sequences")
    await page.wait_text("main", "None that you may see")
    await go(page, "deployments")
    await page.wait_text("main .note", "no role of yours has 'apply' or 'admin'")
    await quiet(page)


async def test_an_engineer_sees_sequences_and_messages_and_may_start_none(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "erik", "sequences/of/patient")
    assert "'run: [patient]'" in await page.wait_text(".chosen", "There is no button to start it")
    await go(page, "messages/publish/start-order")
    assert "'publish: [start-order]'" in await page.wait_text(".panel", "There is no button to publish")
    await quiet(page)


async def test_a_deployment_is_followed_and_shown_as_the_command_line_shows_it(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "erik", "deployments")
    first = await page.wait_text(".chosen .card", "Applied as deployment")
    assert "device.hall/line-1/drive" in first or "user.otto" in first
    site = plant.folder / "site.yaml"
    site.write_text(site.read_text().replace("description: The drive is too warm.", "description: Cool the drive."))
    text = await asyncio.to_thread(plant.apply, "--reason", "clearer words")
    number = int(text.rpartition("as deployment ")[2].split(":")[0])
    await page.wait_text(".choose", f"{number}")
    await go(page, f"deployments/{number}")
    shown = await page.wait_text(".chosen .card", f"as deployment {number}")
    assert "Applied as deployment" in shown and "alert.too-warm" in shown and "clearer words" in shown
    assert text.strip().splitlines()[-1].startswith(await page.text(".run-said"))
    assert "recording …" in await page.text(".journal")
    await quiet(page)


async def test_health_names_what_is_away_and_heals(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "erik", "health")
    roles = await page.wait_text("[aria-label=Roles]", "historian")
    assert "gateway" in roles and "control" in roles and "web" in roles
    assert "api" in await page.wait_text("[aria-label=Latencies]", "p95")
    assert "MiB" in await page.text('section[aria-label="Broker and database"]')
    assert await page.wait_text("[data-environment]", "LIVE") == "LIVE"
    await go(page, "sequences")
    await page.wait_text(".choose", "warm-up")
    await asyncio.to_thread(plant.kill_part, "control")
    await page.wait_text("main .failure", "The list is from before")
    assert "warm-up" in await page.text(".choose"), "what was there stays readable"
    await asyncio.to_thread(plant.start_part, "control")
    await page.wait_script("return document.querySelector('main .failure[role=status]').hidden", "it heals by itself")
    assert [each for each in await page.console() if "Failed to load resource" not in each] == []


async def test_dead_letters_have_their_reason(plant: Paged, page: Browser) -> None:
    topic = f"_nexus/acme/commanded/data/gateway/{DRIVE}"
    await said(plant, topic, b'{"not": "a frame", "big": 9007199254740993}')
    await logged_in(page, plant, "ada", "dead-letters")
    await page.wait_text(".said", "dead letter")
    await page.click(".rows .row")
    shown = await page.wait_text(".detail", topic)
    assert "9007199254740993" in shown
    await quiet(page)
