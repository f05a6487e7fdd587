"""Deployments that wait to be confirmed, and rollouts, on the page of a running plant: who may, what the buttons do, what is shown."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, browser, needs_browser
from tests.e2e.paged import Paged, go, logged_in, press_button, press_link, quiet
from tests.waiting import until_found

pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database, needs_browser]
CARD = ".chosen .card"
PICTURES = os.environ.get("NEXUS_PICTURES", "")
ROLLOUT = """
rollout:
  waves:
    - {name: canary, devices: [hall/line-1/drive], soak: 10m}
  gates: {good: 99%, alarms: none}
"""
DEVICES = "        devices:\n"
SECOND = """          second:
            protocol: modbus
            connection: {host: 127.0.0.1, port: PORT, unit_id: 1, timeout: 1s}
            tags:
              fixed: {address: "holding:3", type: uint16}
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    one = Paged(tmp_path_factory.mktemp("rolled"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as made:
        await made.resize(1280, 800)
        yield made


def changed(plant: Paged, text: str) -> None:
    """Another description of one tag in the site."""
    file = plant.folder / "site.yaml"
    lines = file.read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.lstrip().startswith("fixed:"))
    lines[at] = f'              fixed: {{address: "holding:3", type: uint16, description: {text}}}\n'
    file.write_text("".join(lines))


async def asked(plant: Paged, sql: str) -> list[Any]:
    """What the database has."""
    return await asyncio.to_thread(plant.query, sql)


async def newest(plant: Paged) -> int:
    return int((await asked(plant, "SELECT max(number) AS number FROM nexus.deployment"))[0]["number"])


async def described(plant: Paged) -> str | None:
    found = await asked(
        plant, "SELECT attributes::text AS text FROM nexus.resource WHERE address = 'device.hall/line-1/drive'"
    )
    text: str | None = json.loads(found[0]["text"])["tags"]["fixed"].get("description")
    return text


async def labels(page: Browser) -> list[str]:
    """Of the buttons in the card."""
    found: list[str] = await page.run(
        f"return [...document.querySelectorAll('{CARD} .actions button')].map((one) => one.textContent)"
    )
    return found


async def labelled(page: Browser, wanted: list[str]) -> None:
    """Wait until the card has these buttons: they are drawn by an answer of their own, after the text."""

    async def look() -> bool:
        return await labels(page) == wanted

    await page.wait(look, f"buttons {wanted}")


async def picture(page: Browser, name: str) -> None:
    """For the eye, where a folder is asked for: wide, and at the width of a phone in the dark."""
    if not PICTURES:
        return
    for width, kind in ((1280, "wide"), (390, "phone")):
        await page.resize(width, 800, dark=kind == "phone")
        await page.screenshot(Path(PICTURES, f"{name}-{kind}.png"))
    await page.resize(1280, 800)


async def test_what_waits_is_confirmed_with_the_keyboard(plant: Paged, page: Browser) -> None:
    changed(plant, "first")
    await asyncio.to_thread(plant.apply, "--confirm-within", "10m")
    number = await newest(plant)
    await logged_in(page, plant, "erik", f"deployments/{number}")
    first = await page.wait_text(f"{CARD} .confirmation", "min left")
    assert "then it is rolled back" in first
    await labelled(page, ["Confirm", "Roll back…"])
    await picture(page, "confirmation")
    await page.run(f"document.querySelector('{CARD} .confirmation button').focus()")
    await page.press("Enter")
    await page.wait_text(f"{CARD} .confirmation", "Confirmed by erik.")
    await labelled(page, [])
    rows = await asked(plant, "SELECT state, who FROM nexus.confirmation ORDER BY deployment_id DESC LIMIT 1")
    assert [(row["state"], row["who"]) for row in rows] == [("confirmed", "erik")]
    assert (await newest(plant), await described(plant)) == (number, "first")
    await quiet(page)


async def test_what_waits_is_confirmed_once_control_is_back(plant: Paged, page: Browser) -> None:
    changed(plant, "away")
    await asyncio.to_thread(plant.apply, "--confirm-within", "1h")
    number = await newest(plant)
    await logged_in(page, plant, "erik", f"deployments/{number}")
    await page.wait_text(f"{CARD} .plan-text", "description")
    await asyncio.to_thread(plant.kill_part, "control")
    await page.wait_text(".page > .failure", "The list is from before")
    await press_button(page, "Confirm")
    await page.wait_text(f"{CARD} > .failure", "Control does not answer.")
    await labelled(page, ["Confirm", "Roll back…"])
    await go(page, f"deployments/{number - 1}")
    await page.wait_text(f"{CARD} > .failure", "Control does not answer.")
    await page.wait_text(f"{CARD} .review", "Not read yet.")
    assert await page.count(f"{CARD} .failure:not([hidden])") == 1, "it is said once"
    await picture(page, "control-away")
    await asyncio.to_thread(plant.start_part, "control")
    await page.wait_text(f"{CARD} .plan-text", "Plan for acme/commanded")  # by itself
    await page.wait_script("return document.querySelector('.page > .failure').hidden", "the list is new")
    await go(page, f"deployments/{number}")
    await press_button(page, "Confirm")
    await page.wait_text(f"{CARD} .confirmation", "Confirmed by erik.")


async def test_what_waits_is_rolled_back(plant: Paged, page: Browser) -> None:
    before = await described(plant)
    changed(plant, "second")
    await asyncio.to_thread(plant.apply, "--confirm-within", "10m")
    number = await newest(plant)
    await until_found(lambda: described(plant), lambda found: found == "second")
    await logged_in(page, plant, "erik", f"deployments/{number}")
    await press_button(page, "Roll back…")
    await press_button(page, "Roll back")
    await page.wait_text(f"{CARD} .confirmation", f"Rolled back by deployment {number + 1}")
    await until_found(lambda: described(plant), lambda found: found == before)
    await go(page, f"deployments/{number + 1}")
    await page.wait_text(CARD, f"Takes back from deployment {number} on.")
    await press_link(page, f"{CARD} a[href='#/deployments/{number}']")
    await page.wait_text(f"{CARD} h2", f"Deployment {number}")
    await quiet(page)


async def test_a_rollout_is_stopped_resumed_and_taken_back(plant: Paged, page: Browser) -> None:
    before = await described(plant)
    file = plant.folder / "site.yaml"
    second = SECOND.replace("PORT", str(plant.drive.port))
    text = file.read_text().replace(DEVICES, DEVICES + second, 1).replace("description: second", "description: third")
    file.write_text(text + ROLLOUT)
    applying = asyncio.create_task(asyncio.to_thread(plant.cli, "apply", "site.yaml", "--yes"))
    await logged_in(page, plant, "erik", "rollouts")
    shown = await page.wait_text(f"{CARD} .run-said", "wave canary (1 of 2) soaks")
    assert "min left" in shown
    await labelled(page, ["Stop", "Take back…"])
    await page.wait_text(".twin-text", "nexus rollout show 1")
    await until_found(lambda: described(plant), lambda found: found == "third")
    await press_button(page, "Stop")
    await page.wait_text(f"{CARD} .run-said", "stopped: erik stopped it")
    assert (await applying).returncode == 4
    await labelled(page, ["Resume", "Take back…"])
    await picture(page, "rollout-stopped")
    await press_button(page, "Resume")
    await page.wait_text(f"{CARD} .run-said", "soaks")
    await labelled(page, ["Stop", "Take back…"])
    await picture(page, "rollout-soaking")
    await press_button(page, "Take back…")
    await press_button(page, "Take back")
    await page.wait_text(f"{CARD} .run-said", "taken back: erik took it back")
    await page.wait_text(CARD, "Taken back by deployment")
    await labelled(page, [])
    await until_found(lambda: described(plant), lambda found: found == before)
    wave = await page.wait_text(f"{CARD} tbody tr", "rolled-back")
    assert "canary" in wave
    await press_link(page, f"{CARD} tbody a[href^='#/deployments/']")
    await page.wait_text(CARD, "Wave canary (1 of 2) of rollout 1.")
    await quiet(page)


async def test_a_reason_is_text_and_a_number_that_is_not_there_is_said(plant: Paged, page: Browser) -> None:
    await asked(
        plant, "UPDATE nexus.rollout SET undone_by = NULL, state = 'stopped', why = '<b>hot</b>' WHERE number = 1"
    )
    await logged_in(page, plant, "erik", "rollouts/1")
    await page.wait_text(f"{CARD} .run-said", "stopped: <b>hot</b>")
    assert await page.count(f"{CARD} .run-said b") == 0
    await labelled(page, ["Resume", "Take back…"])
    await quiet(page)
    await go(page, "rollouts/77")
    await page.wait_text(".page > .failure", "There is no rollout 77.")


async def test_who_has_no_apply_is_shown_no_rollouts(plant: Paged, page: Browser) -> None:
    await logged_in(page, plant, "vera", "rollouts")
    await page.wait_text(".page .note", "Rollouts are not shown: no role of yours has 'apply' or 'admin'.")
    assert await page.count(".card") == 0
    await quiet(page)
