"""Pages for who runs a plant: thousands of alarms, failed jobs, dead letters, the audit trail and its check, the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.database import jobs, loss
from nexus_cli.database.connect import close, open_connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.database.job_queue import GiveUpError, Line, Queue, Taken
from nexus_cli.settings import Settings
from nexus_cli.wire.message import Message
from tests.browser import Browser, browser, needs_browser
from tests.e2e.page_world import page_world
from tests.e2e.paged import press_button
from tests.e2e.test_page import go, log_in
from tests.integration.control_world import device
from tests.integration.control_world import tag as make_tag
from tests.integration.web_world import TOPICS, WebWorld
from tests.waiting import until_found

pytestmark = [pytest.mark.needs_database, needs_browser]
SITE = "acme/chicago"
TAG = "a/l/one/energy"
FLOOD = 5000
MARKUP = "<img src=x onerror=document.title=1>"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as made:
        await made.resize(1280, 800)
        yield made


async def opened(page: Browser, world: WebWorld, user: str, view: str) -> None:
    """The page at a view, as a user."""
    password = await world.people.password(user)
    await page.open(f"{world.url}/#/{view}")
    await log_in(page, user, password)


# --- alarms ---------------------------------------------------------------------------------------------------


def alarm(number: int) -> dict[str, Any]:
    priority = ("low", "low", "medium", "high", "critical")[number % 5]
    return {
        "tag": TAG,
        "above": 100.0,
        "severity": "warning",
        "priority": priority,
        "group": f"cell-{number % 7}",
        "description": f"Alarm {number}",
    }


def raised(world: WebWorld, value: float) -> None:
    """A value comes to control, and what control would publish to web."""
    assert world.people.control.term is not None
    alerting = world.people.control.term.alerting
    body = orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD"})
    alerting.receive(TOPICS.tag(TAG), body)
    for each in alerting.listing():
        message = Message(TOPICS.alert(each.name), orjson.dumps(each, default=vars_of), 0, False)
        world.web.parts.cache.take(message)


def vars_of(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


SOUNDS = """
globalThis.sounds = 0;
globalThis.AudioContext = class {
  currentTime = 0;
  resume() {}
  createOscillator() { return { frequency: {}, connect: (to) => to, start: () => { sounds += 1; }, stop() {} }; }
  createGain() { return { gain: {}, connect: (to) => to }; }
};
"""


async def test_five_thousand_alarms_are_shown_counted_and_filtered(
    database: Settings, tmp_path: Path, page: Browser
) -> None:
    declared = {f"alarm-{number:04}": alarm(number) for number in range(FLOOD)}
    resources = {f"alert__{name}": value for name, value in declared.items()}
    async with page_world(database, tmp_path, **resources) as world:
        assert world.people.control.term is not None
        world.people.control.term.alerting.load(declared, {})
        raised(world, 20.0)
        await opened(page, world, "otto", "alarms")
        await page.run(SOUNDS)
        await page.wait_text(".said", f"0 shown · 0 unacknowledged · {FLOOD // 1000}\u202f000 declared")
        raised(world, 150.0)
        await page.wait_text(".said", "5\u202f000 shown · 5\u202f000 unacknowledged")
        assert await page.text(".bell .unseen") == (
            "Unacknowledged alarms: 1\u202f000 critical, 1\u202f000 high, 1\u202f000 medium, 2\u202f000 low"
        )
        assert 10 < await page.count(".rows .row") < 60, "only what is seen has elements"
        first = await page.text(".rows .row")
        assert "■ critical" in first and "unacknowledged" in first
        assert await page.run("return sounds") == 0, "nothing sounds before somebody turned it on"
        await page.run("document.querySelector('.rows').scrollTop = 34 * 2500")
        await page.wait_script(
            "return document.querySelector('.rows .row')?.ariaPosInSet > 2000", "the middle is drawn"
        )
        assert await page.count(".rows .row") < 60
        await page.type("[aria-label='Filter alarms']", "alarm-0042")
        await page.wait_text(".said", "1 shown")
        await page.type("[aria-label='Filter alarms']", " ")
        await page.run(
            "const one = document.querySelector('[data-filter=priority]'); one.value = 'high';"
            "one.dispatchEvent(new Event('change'))"
        )
        await page.wait_text(".said", "1\u202f000 shown")
        await page.click(".switch input")
        assert await page.run("return localStorage.getItem('nexus-alarm-sound')") == "on"
        raised(world, 20.0)
        await page.wait_text(".rows", "returned, unacknowledged")
        raised(world, 160.0)
        await page.wait_script("return sounds > 0", "a sound")
        assert await page.console() == []


# --- jobs and dead letters ------------------------------------------------------------------------------------


async def failed_jobs(settings: Settings, count: int) -> None:
    """Jobs of two kinds whose only try failed for good."""

    async def refuse(_: Taken) -> None:
        raise GiveUpError("the mail server says 550")

    conn, looking = await open_connection(settings), await open_connection(settings)
    queue = Queue(conn, site=SITE, lines={kind: Line(do=refuse) for kind in ("deliver", "archive")}, concurrency=10)
    task = asyncio.create_task(queue.run())
    try:
        for number in range(count):
            kind = "archive" if number == 0 else "deliver"
            await jobs.enqueue(looking, SITE, kind, {"number": number, "text": MARKUP})
        await until_found(lambda: jobs.listing(looking, SITE, state="failed"), lambda them: len(them) == count)
    finally:
        queue.stop()
        await task
        await close(conn)
        await close(looking)


async def test_failed_jobs_are_retried_and_discarded(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        await failed_jobs(world.people.settings, 4)
        await opened(page, world, "erik", "jobs")
        await page.wait_text(".said", "4 jobs")
        assert "deliver" in await page.text("[aria-label='Jobs by kind']")
        await page.run("document.querySelector('.rows').focus()")
        await page.press("Down")
        shown = await page.wait_text(".detail", "the mail server says 550")
        assert "failed" in shown and MARKUP in shown, "what a job is about is text"
        assert await page.count(".detail img") == 0
        await page.press("Space")
        await page.wait_text(".marks-bar", "1 marked")
        await press_button(page, "Retry (1)")
        await page.wait_text(".notices", "1 begin again.")
        await page.wait_text(".rows", "queued")
        await page.run(
            "const one = document.querySelector('[aria-label=Kind]'); one.value = 'deliver';"
            "one.dispatchEvent(new Event('change'))"
        )
        await page.wait_text(".said", "3 jobs")
        await page.press("Escape")
        await press_button(page, "Discard all failed of deliver…")
        await press_button(page, "Discard them")
        await page.wait_text(".notices", "2 are gone.")
        await page.wait_text(".said", "1 job")
        trail = await world.people.trail("retry-job", "discard-job")
        assert {(each["who"], each["what"]) for each in trail} == {("erik", "retry-job"), ("erik", "discard-job")}
        assert await page.console() == []


async def test_who_may_not_change_jobs_is_told_why(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        await failed_jobs(world.people.settings, 1)
        await opened(page, world, "lars", "jobs")
        await page.wait_text(".said", "1 job")
        assert "`apply: ['**']`" in await page.wait_text(".lacking", "No buttons")
        assert await page.count(".marks-bar:not([hidden])") == 0
        await go(page, "audit")
        await page.wait_text(".said", "entr")
        assert await page.console() == []


async def test_dead_letters_are_chosen_by_reason_and_discarded(
    database: Settings, tmp_path: Path, page: Browser
) -> None:
    async with page_world(database, tmp_path) as world:
        async with world.people.pool.acquire() as conn:
            for number, reason in enumerate(("bad_time", "bad_time", "unreadable")):
                await loss.add_dead_letter(
                    conn, site=SITE, topic=f"acme/chicago/{TAG}", reason=reason, detail=f"letter {number}",
                    payload=MARKUP, count=1,
                )  # fmt: skip
        await opened(page, world, "ada", "dead-letters")
        await page.wait_text(".said", "3 dead letters")
        await page.click(".rows .row")
        assert MARKUP in await page.wait_text(".detail .payload", "img")
        assert await page.count(".detail img") == 0
        await page.run(
            "const one = document.querySelector('[aria-label=Reason]'); one.value = 'bad_time';"
            "one.dispatchEvent(new Event('change'))"
        )
        await page.wait_text(".said", "2 dead letters")
        await press_button(page, "Discard (all of this filter)…")
        await press_button(page, "Discard")
        await page.wait_text(".notices", "2 are gone.")
        await page.wait_text(".said", "No message")
        await page.run(
            "const one = document.querySelector('[aria-label=Reason]'); one.value = '';"
            "one.dispatchEvent(new Event('change'))"
        )
        await page.wait_text(".said", "1 dead letters")
        await press_button(page, "Retry (all)")
        await page.wait_text(".notices", "1 wait for the historian")
        assert await page.console() == []


# --- the audit trail ------------------------------------------------------------------------------------------


async def test_the_audit_trail_is_filtered_and_its_chain_checked(
    database: Settings, tmp_path: Path, page: Browser
) -> None:
    async with page_world(database, tmp_path) as world:
        async with world.people.pool.acquire() as conn:
            for number in range(6):
                who = "anna" if number % 2 else "ben"
                await write_audit(
                    conn, SITE, who=who, what="apply", subject=f"deployment {number}", detail={"reason": MARKUP}
                )
        await opened(page, world, "ada", "audit")
        await page.wait_text(".rows", "deployment 5")
        await page.type("[aria-label=Who]", "anna")
        await page.wait_text(".said", "3 entries")
        assert await page.text(".twin-text") == "nexus audit --who anna"
        await page.click(".rows .row")
        shown = await page.wait_text(".detail", "deployment 5")
        assert MARKUP in shown and await page.count(".detail img") == 0
        await page.click(".chain-check summary")
        await press_button(page, "Verify")
        await page.wait_text(".chain-result", "Nothing was changed")
        await page.type(".chain-check input", f"4000:{'a' * 64}")
        await press_button(page, "Verify")
        assert "the newest rows were removed" in await page.wait_text(".chain-result", "damaged")
        async with world.people.pool.acquire() as conn, conn.transaction():
            await conn.execute("ALTER TABLE nexus.audit DISABLE TRIGGER USER")
            await conn.execute("UPDATE nexus.audit SET who = 'carl' WHERE subject = 'deployment 3'")
            await conn.execute("ALTER TABLE nexus.audit ENABLE TRIGGER USER")
        await page.run("document.querySelector('.chain-check input').value = ''")
        await press_button(page, "Verify")
        damaged = await page.wait_text(".chain-result", "carl")
        assert "changed" in damaged and "carl apply deployment 3" in damaged
        assert await page.console() == []


# --- the catalogue --------------------------------------------------------------------------------------------


def governed() -> dict[str, Any]:
    total = make_tag(
        address="", expr="one + two", inputs={"one": TAG, "two": "a/m/two/energy"}, description="Both meters",
        owner="energy team", classification="confidential", pii=True, labels={"cost": "4711"},
    )  # fmt: skip
    cleared = {"read": ["**"], "write": [], "clearance": "confidential"}
    return {
        "device__a/l/sum": device("a/l/sum", tags={"total": total}),
        "role__cleared": cleared,
        "user__cleo": {"roles": ["cleared"]},
    }


async def test_the_catalogue_says_whose_data_it_is_and_where_it_comes_from(
    database: Settings, tmp_path: Path, page: Browser
) -> None:
    async with page_world(database, tmp_path, **governed()) as world:
        world.say("a/l/sum/total", 42.5)
        await opened(page, world, "cleo", "catalogue")
        await page.wait_text(".said", "Type what you look for")
        await page.type("[aria-label='Search the catalogue']", "both meters")
        row = await page.wait_text(".rows", "42.5")
        for word in ("a/l/sum/total", "Both meters", "energy team", "confidential", "personal data", "cost=4711"):
            assert word in row
        assert await page.text(".twin-text") == "nexus find 'both meters'"
        await page.press("Down")
        shown = await page.wait_text(".detail .lineage-tree", "holding:0")
        assert "one + two" in shown and TAG in shown and "a/m/two/energy" in shown
        world.say("a/l/sum/total", 43.5)
        await page.wait_text(".detail", "43.5")
        await page.wait_text(".rows", "43.5")
        assert await page.console() == []
        await go(page, "namespace/a/l/sum/total")
        await page.choose_tab("lineage")
        assert "holding:0" in await page.wait_text(".tab-body .lineage-tree", "one + two")
        await page.choose_tab("configuration")
        facts = await page.wait_text(".tab-body", "energy team")
        assert "confidential" in facts and "personal data" in facts and "cost=4711" in facts
