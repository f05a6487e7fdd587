"""A thousand devices on the page: elements for the visible ones alone, filtered and sorted by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.settings import Settings
from tests.browser import browser, needs_browser
from tests.e2e.page_world import page_world
from tests.integration.control_world import device

pytestmark = [pytest.mark.needs_database, needs_browser]
COUNT = 1000


def plant() -> dict[str, Any]:
    """Devices of two protocols."""
    found = {}
    for number in range(COUNT):
        path = f"area-{number % 4}/line-{number % 10}/unit-{number:04}"
        found[f"device__{path}"] = device(path, description=f"Unit {number}", enabled=number % 100 != 7)
    return found


async def test_a_thousand_devices_are_filtered_and_sorted(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path, **plant()) as world, browser(tmp_path) as page:
        password = await world.people.password("vera")
        await page.resize(1280, 800)
        await page.open(f"{world.url}/#/devices")
        await page.type("input[name=user]", "vera")
        await page.type("input[name=password]", password)
        await page.press("Enter")
        assert "1\u202f002 of 1\u202f002 devices" in await page.wait_text(".said", "devices")
        rows = await page.count(".rows .row")
        assert 10 < rows < 60, "only what is seen has elements"
        await page.run("document.querySelector('.rows').scrollTop = 20000")
        await page.wait_script("return document.querySelector('.rows .row')?.ariaPosInSet > 500", "the middle is drawn")
        assert await page.count(".rows .row") < 60
        await page.click("[data-sort=device]")
        await page.click("[data-sort=device]")
        await page.run("document.querySelector('.rows').scrollTop = 0")
        await page.wait_script(
            "return document.querySelector('.rows .cell-path')?.textContent.startsWith('area-3')", "the last is first"
        )
        await page.type(".toolbar input", "unit-0107 modbus")
        assert "1 of 1\u202f002" in await page.wait_text(".said", "1 of")
        await page.run("document.querySelector('.rows').focus()")
        await page.press("Down")
        shown = await page.wait_text(".detail", "area-3/line-7/unit-0107")
        assert "disabled" in shown and "Unit 107" in shown
        assert (await page.url()).endswith("#/devices/area-3/line-7/unit-0107")
        await page.press("Escape")
        await page.wait_script("return document.querySelector('.detail').hidden", "the panel is closed")
        await page.type(".toolbar input", "nothing like it")
        await page.wait_text(".said", "0 of 1\u202f002")
        assert await page.console() == []
