"""What a person sees who signs a deployment, why a rollout stopped, and what drifted: values, long lists, markup, deep links."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.database import approvals, confirmations, drift, rollouts
from nexus_cli.database import deployments as db
from nexus_cli.model.config import digest
from nexus_cli.settings import Settings
from nexus_cli.wire.control_drift import DriftFinding, DriftReport, DriftUnknown
from nexus_cli.wire.control_rollouts import Verdict
from nexus_cli.wire.rollout import Gates, RolloutRequest, WaveRequest
from tests.browser import Browser, browser, needs_browser
from tests.e2e.page_world import page_world
from tests.e2e.paged import press_button, quiet
from tests.e2e.test_page import go, log_in
from tests.e2e.test_pages_ops import MARKUP, opened
from tests.integration.control_world import device, tag
from tests.integration.web_world import WebWorld

pytestmark = [pytest.mark.needs_database, needs_browser]
SITE = "acme/chicago"
PICTURES = os.environ.get("NEXUS_PICTURES", "")
LONG = "a-very-long-name-of-a-device-" * 6
CARD = ".chosen .card"
UNITS = {"subject": "tag", "require": "unit != ''", "severity": "warning", "owner": MARKUP, "message": MARKUP}
DAY_US = 86_400_000_000
NOW_US = 1_900_000_000_000_000


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as made:
        await made.resize(1280, 800)
        yield made


async def deployed(
    world: WebWorld,
    changed: Mapping[str, Any],
    before: Mapping[str, Any],
    *,
    allow: tuple[str, ...] = (),
    reason: str = "",
    waits: bool = False,
) -> int:
    """A deployment on record as control writes one; gives its number."""
    digests = {address: digest(value) for address, value in changed.items() if value is not None}
    plan = {
        "changed": dict(changed),
        "before": dict(before),
        "digests": digests,
        "moved": [],
        "allow": list(allow),
        "summary": {},
    }
    async with world.people.pool.acquire() as conn, conn.transaction():
        row, number = await db.begin_deployment(conn, SITE, who="erik", reason=reason, base="b", desired="d", plan=plan)
        await db.write_resources(conn, SITE, row, changed, digests=digests)
        await conn.execute(
            "INSERT INTO nexus.journal (deployment_id, step, state) VALUES ($1, $2, 'done')", row, db.RECORD_STEP
        )
        if waits:
            await confirmations.arm(conn, row, within_s=3600)
        await db.end_deployment(conn, row, outcome="applied", summary=db.Summary(counts={"applied": len(changed)}))
        if waits:
            await confirmations.begin(conn, row)
    await world.web.parts.keeper.look()
    return number


async def seen(page: Browser, name: str) -> None:
    """Nothing is wider than the page at the width of a phone; and pictures where a folder for them is named."""
    for width, dark in ((390, True), (1280, False)):
        await page.resize(width, 800, dark=dark)
        wide = await page.run("return document.documentElement.scrollWidth")
        assert wide == width, f"{name} is {wide} px wide of {width}"
        if PICTURES:
            await page.run("document.querySelector('main').scrollTop = 0; document.scrollingElement.scrollTop = 0")
            await page.screenshot(Path(PICTURES, f"{name}-{width}.png"))
            await page.run("document.querySelector('.review, .drift-table, .chosen .card').scrollIntoView()")
            await page.screenshot(Path(PICTURES, f"{name}-{width}-below.png"))


async def harmless(page: Browser) -> None:
    """Foreign text made no element and ran nothing."""
    assert await page.count("main img") == 0 and await page.run("return document.title") != "1"


def many(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """So many devices before and after a change of their description; one is also made writable."""
    paths = [f"a/l/unit-{number:04}" for number in range(count - 1)] + [f"a/l/{LONG}"]
    before = {f"device.{path}": device(path, description="old") for path in paths}
    after = {f"device.{path}": device(path, description=MARKUP) for path in paths}
    after["device.a/l/unit-0003"] = device(
        "a/l/unit-0003", tags={"energy": tag(), "voltage": tag(address="holding:2", writable=True)}
    )
    return before, after


async def test_a_signer_sees_what_a_deployment_does(database: Settings, tmp_path: Path, page: Browser) -> None:
    before, after = many(120)
    async with page_world(database, tmp_path, policy__units=UNITS) as world:
        first = await deployed(world, before, {})
        number = await deployed(world, after, before, allow=("write-enable=**",), reason=MARKUP)
        async with world.people.pool.acquire() as conn:
            about = {"key": "ann", "signer": MARKUP, "effect": "sha256:" + "0" * 64}
            await approvals.note_use(conn, SITE, "sha256:1", **about, deployment=number, who="erik")
        await opened(page, world, "erik", f"deployments/{number}")
        card = await page.wait_text(CARD, "120 changes since deployment")
        assert f"120 changes since deployment {first}" in card and f" · {MARKUP}" in card
        found = (await world.ask("GET", f"/deployments/{number}/review", user="erik")).json()
        assert found["effect"] in await page.text(".effect") and "none needed" in card
        assert f"{MARKUP} with key ann" in card and "for another effect" in card
        assert "consented write-enable a/l/unit-0003/voltage" in card
        assert f"warning units ({MARKUP}): {MARKUP}" in card and "on record before" in card
        assert "Devices 120" in card and "Not known 1" in card
        items = ".review-changes .folded > li"
        assert await page.count(items) == 50
        await press_button(page, "Show 50 more of 70")
        await page.wait_script(f"return document.querySelectorAll('{items}').length === 100", "a second page")
        focused = await page.run("return document.activeElement.textContent")
        assert focused.startswith("~ device.a/l/unit-00"), "the keyboard goes on where the new ones begin"
        await press_button(page, "Show 20 more of 20")
        await page.wait_script(f"return document.querySelectorAll('{items}').length === 120", "the last page")
        assert await page.count(".review-changes button") == 0
        await page.run(f"document.querySelector('{items}:nth-child(2) summary').click()")
        assert MARKUP in await page.wait_text(f"{items}:nth-child(2) .plan-text", "description: old -> ")
        await harmless(page)
        await seen(page, "signing")
        await page.run(f"document.querySelector(\".review-changes a[href='#/deployments/{first}']\").click()")
        await page.wait_text(f"{CARD} h2", f"Deployment {first}")
        await quiet(page)


async def test_a_deployment_that_is_not_there_is_said_once(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        number = await deployed(world, {"user.zoe": {"roles": []}}, {})
        await opened(page, world, "erik", "deployments/4711")
        await page.wait_text(f"{CARD} .failure", "There is no deployment 4711.")
        assert (await page.text(CARD)).count("There is no deployment 4711.") == 1
        assert await page.text(".twin-text") == "nexus show --deployment 4711"
        await go(page, f"deployments/{number}")
        await page.wait_text(CARD, "user.zoe")
        await page.call("POST", "/back")
        await page.wait_text(f"{CARD} .failure", "There is no deployment 4711.")
        await page.call("POST", "/forward")
        await page.wait_text(CARD, "user.zoe")
        await go(page, "deployments/-1")
        await page.wait_text(CARD, f"Deployment {number}")
        await go(page, f"deployments/{10**12}")
        await page.wait_text(".chosen > .note", f"There is no deployment {10**12}.")


async def test_a_deployment_that_is_resumed_is_followed_again(
    database: Settings, tmp_path: Path, page: Browser
) -> None:
    async with page_world(database, tmp_path) as world:
        number = await deployed(world, {"user.zoe": {"roles": []}}, {})
        end = "UPDATE nexus.deployment SET outcome = $2, ended = CASE WHEN $2 = 'running' THEN NULL ELSE now() END WHERE number = $1"
        await world.people.pool.execute(end, number, "partly")
        await opened(page, world, "erik", f"deployments/{number}")
        await page.wait_text(f"{CARD} .run-said", "Partly applied")
        await world.people.pool.execute(end, number, "running")
        await page.wait_text(f"{CARD} .head .badge", "running")
        await world.people.pool.execute(end, number, "applied")
        await page.wait_text(f"{CARD} .run-said", f"Applied as deployment {number}")
        await quiet(page)


async def test_two_windows_that_confirm_at_once(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        number = await deployed(world, {"user.zoe": {"roles": []}}, {}, waits=True)
        await opened(page, world, "erik", f"deployments/{number}")
        await page.wait_text(f"{CARD} .confirmation", "60 min left")
        answer = await world.ask("POST", f"/deployments/{number}/confirm", user="ada", json={})
        assert answer.status_code == 200, answer.text
        await page.run(
            f"for (const each of document.querySelectorAll('{CARD} .confirmation button.primary')) each.click()"
        )
        await page.wait_text(f"{CARD} .confirmation", "Confirmed by ada.")
        assert await page.count(f"{CARD} .confirmation button") == 0


async def test_who_may_apply_a_part_is_told_why_not(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        number = await deployed(world, {"user.zoe": {"roles": []}}, {}, waits=True)
        await opened(page, world, "lars", f"deployments/{number}")
        await press_button(page, "Confirm")
        assert "lars" in await page.wait_text(f"{CARD} > .note, {CARD} > .failure", "NX64")
        rows = await world.people.pool.fetch("SELECT state FROM nexus.confirmation")
        assert [row["state"] for row in rows] == ["waiting"]


async def rolled(world: WebWorld) -> int:
    """A rollout that a gate stopped, whose next wave would wait for a window."""
    waves = [
        WaveRequest(name="canary", addresses=["device.a/l/one"], soak_ms=600_000),
        WaveRequest(name=LONG[:100], addresses=["device.a/m/two"], soak_ms=0),
    ]
    request = RolloutRequest(waves=waves, gates=Gates(good=0.99, alarms=0))
    async with world.people.pool.acquire() as conn:
        number = await rollouts.create(
            conn,
            SITE,
            who="erik",
            reason=MARKUP,
            request=request,
            waves=waves,
            plan={"changed": {}, "before": {}, "digests": {}, "moved": [], "allow": []},
            digests_before={},
            base=1,
            expects="x",
        )
        row = await conn.fetchval("SELECT id FROM nexus.rollout WHERE number = $1", number)
        verdicts = [
            Verdict(gate="good", state="failed", text="97.5% GOOD, at least 99%", before=1.0, after=0.975, limit=0.99),
            Verdict(gate="alarms", state="passed", text=f"none active {MARKUP}"),
        ]
        made = [{name: getattr(one, name) for name in one.__struct_fields__} for one in verdicts]
        await rollouts.set_wave(conn, row, 0, state="failed", verdicts=made, deployment=1, left_ms=0)
        await rollouts.set_rollout(conn, row, state="stopped", why=f"wave canary: 97.5% GOOD {MARKUP}")
    return number


async def test_a_rollout_that_is_not_there_leaves_the_list(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        number = await rolled(world)
        await opened(page, world, "erik", "rollouts/4711")
        for asked in (4711, 10**12):
            await go(page, f"rollouts/{asked}")
            await page.wait_text(".page > .failure", f"There is no rollout {asked}.")
            await page.wait_script("return document.querySelectorAll('.choose li a').length === 1", "the list")
            assert await page.count(CARD) == 0
        await go(page, f"rollouts/{number}")
        await page.wait_text(f"{CARD} h2", f"Rollout {number}")
        await page.wait_script("return document.querySelector('.page > p').hidden", "nothing is missing any more")


async def test_an_ended_session_confirms_nothing(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        number = await deployed(world, {"user.zoe": {"roles": []}}, {}, waits=True)
        await opened(page, world, "erik", f"deployments/{number}")
        await page.wait_text(f"{CARD} .confirmation", "min left")
        held = (await world.ask("GET", "/access/tokens", user="ada")).json()["tokens"]
        (session,) = [each["id"] for each in held if each["principal"] == "erik" and each["kind"] == "session"]
        assert (await world.ask("DELETE", f"/access/tokens/{session}", user="ada")).status_code == 200
        await page.run(f"document.querySelector('{CARD} .confirmation button.primary')?.click()")
        await page.wait_text("main.login", "Your session has ended.")
        rows = await world.people.pool.fetch("SELECT state FROM nexus.confirmation")
        assert [row["state"] for row in rows] == ["waiting"]
        await log_in(page, "erik", await world.people.password("erik"))
        await page.wait_text(f"{CARD} h2", f"Deployment {number}")  # where one was


async def test_a_rollout_says_why_it_stopped(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        number = await rolled(world)
        await page.cdp("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
        await opened(page, world, "erik", f"rollouts/{number}")
        assert MARKUP in await page.wait_text(f"{CARD} .run-said", "stopped: wave canary: 97.5% GOOD")
        assert "Gates: at least 99% GOOD, no alarm. When one fails: it stops." in await page.text(CARD)
        failed = await page.text(f"{CARD} .stopped-by")
        assert failed == "failed good: 97.5% GOOD, at least 99%\nwave canary"
        rows = await page.text(f"{CARD} tbody")
        assert "failed good: 97.5% GOOD, at least 99%" in rows and f"passed alarms: none active {MARKUP}" in rows
        await world.people.pool.execute(
            "UPDATE nexus.rollout_wave SET state = 'waiting', opens = '2031-07-01T20:00:00Z' WHERE position = 1"
        )
        opens = await page.wait_text(f"{CARD} tbody tr:nth-child(2)", "window opens")
        assert "window opens 2031-07-01 22:00:00 (UTC+02:00 Europe/Berlin)" in opens
        await harmless(page)
        await seen(page, "rollout")
        await quiet(page)


def looks(count: int) -> DriftReport:
    """A look that found much."""
    findings = [
        DriftFinding(
            path="a/l/one/energy",
            plane="device",
            kind="address-gone",
            severity="critical",
            recorded="holding:0",
            found="nothing",
            text=f"holding:0 is not on the device any more {MARKUP}",
            hint="put it back on the device",
            adoptable=True,
        ),
        DriftFinding(
            path="role.desk",
            plane="observed",
            kind="rights-behind",
            severity="critical",
            recorded=None,
            found=None,
            text="rights",
        ),
        *(
            DriftFinding(
                path=f"a/l/{LONG}/t{number}",
                plane="observed",
                kind="gateway-behind",
                severity="high",
                recorded=1,
                found=2,
                text=f"gateway {number} runs something else",
            )
            for number in range(count - 2)
        ),
    ]
    return DriftReport(
        site=SITE,
        time=NOW_US,
        deployment=1,
        planes=["observed", "device"],
        devices=2,
        findings=findings,
        unknown=[DriftUnknown(path="a/m/two", plane="device", why=f"no link {MARKUP}")],
        ignored=3,
        counts={"critical": 2, "high": count - 2, "medium": 0, "low": 0},
        notes=[f"note {MARKUP}"],
    )


async def test_drift_is_shown_with_its_devices(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        async with world.people.pool.acquire() as conn:
            for days in range(24):
                old = DriftReport(site=SITE, time=NOW_US - (days + 1) * DAY_US, counts={}, deployment=1)
                await drift.store(conn, SITE, old)
            await drift.store(conn, SITE, looks(1000))
        await opened(page, world, "erik", "drift")
        card = await page.wait_text(CARD, "2 critical")
        assert "998 high" in card and "1 not known" in card and "3 by the schedule's own rules" in card
        assert (
            f"holding:0 is not on the device any more {MARKUP}" in card and "recorded holding:0, found nothing" in card
        )
        assert "what gateways run, on the device" in card and f"no link {MARKUP}" in card and f"note {MARKUP}" in card
        assert "nexus drift --adopt takes what the device has" in card
        assert "No schedule" in await page.text(".page > [role=status]:not([hidden])")
        rows = ".drift-table tbody tr"
        assert await page.count(rows) == 50
        await press_button(page, "Show 50 more of 950")
        assert await page.count(rows) == 100
        await page.run(
            "const one = document.querySelector('.chosen select'); one.value = 'critical'; one.dispatchEvent(new Event('change'))"
        )
        assert await page.count(rows) == 2
        links = await page.run(f"return [...document.querySelectorAll('{rows} a')].map((one) => one.hash)")
        assert links == ["#/devices/a/l/one", "#/namespace/a/l/one/energy"], "a role has no device"
        await harmless(page)
        await seen(page, "drift")
        assert await page.count(".choose li") == 20
        await press_button(page, "Show older ones")
        await page.wait_script("return document.querySelectorAll('.choose li').length === 25", "all looks")
        await go(page, f"drift/{NOW_US - 24 * DAY_US}")
        await page.wait_text(CARD, "Nothing differs.")
        await go(page, "drift/17")
        await page.wait_text(".chosen .note", "There is no look of that time")
        await page.call("POST", "/back")
        await page.wait_text(CARD, "Nothing differs.")
        await go(page, "drift")
        await page.wait_text(CARD, "2 critical")
        await page.click(f"{rows} a")
        await page.wait_text(".detail", "a/l/one")
        await quiet(page)


async def test_who_may_not_read_the_state_sees_no_drift(database: Settings, tmp_path: Path, page: Browser) -> None:
    async with page_world(database, tmp_path) as world:
        await opened(page, world, "vera", "drift")
        await page.wait_text(".page .note", "Drift is not shown: no role of yours has 'apply' or 'admin'.")
        assert await page.count(".card") == 0
        await quiet(page)
