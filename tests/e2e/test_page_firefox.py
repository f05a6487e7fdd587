"""The page in a real Firefox: the walk that `test_page.py` makes in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.e2e.page_history import fill_history, know_series
from tests.e2e.page_plant import moving, small_plant
from tests.e2e.page_world import page_world
from tests.e2e.test_page import SEARCH, SETPOINT, go, log_in
from tests.firefox import firefox, needs_firefox

pytestmark = [pytest.mark.needs_database, pytest.mark.slow, needs_firefox]
VIEWS = (
    "catalogue",
    "messages",
    "sequences",
    "devices",
    "alarms",
    "deployments",
    "rollouts",
    "drift",
    "health",
    "jobs",
    "dead-letters",
    "audit",
)
FILLER = "packaging/line-1/filler/temperature"


async def test_the_main_walk(database: Settings, tmp_path: Path) -> None:
    plant = small_plant()
    async with page_world(database, tmp_path, **plant) as world, firefox(tmp_path) as page, moving(world, every_s=0.2):
        await know_series(world, plant)
        await fill_history(world)
        password = await world.people.password("vera")
        await page.resize(1280, 800)
        await page.open(world.url)
        await log_in(page, "vera", password)
        await page.type(SEARCH, "line-1/filler temperature")
        assert await page.wait_text(".hit .hit-path", "temperature") == FILLER
        await page.press("Down", "Enter")
        first = await page.wait_text(".now-value", "°C")
        assert (await page.url()).endswith(f"#/namespace/{FILLER}")

        async def moved() -> bool:
            return await page.text(".now-value") != first

        await page.wait(moved, "another value")
        await page.wait_text(".plot-said", "1 gap: overflow")
        await page.wait_text(".numbers", "Time-weighted mean")
        await go(page, f"namespace/{SETPOINT}")
        await page.wait_text(".now-value", "72.5")
        await page.click(".tag-card .primary")
        await page.type("dialog input[name=value]", "80")
        await page.press("Enter")
        refused = await page.wait_text("dialog [role=alert]", "NX6403")
        assert f"vera may not write {SETPOINT}." in refused
        await page.press("Escape")
        await page.wait_script("return !document.querySelector('dialog')", "the dialog has closed")
        for view in VIEWS:
            await page.click(f'nav a[href="#/{view}"]')
            await page.find(f"main.view-{view}")
            await page.wait_script(
                "return !!document.querySelector('main#content h1, main#content h2, main#content p')", view
            )
            assert await page.text(".twin-text") != "", f"{view} shows its command line"
            assert await page.run("return document.documentElement.scrollWidth") == 1280
        await page.resize(360, 740)
        for view in (f"namespace/{FILLER}", *VIEWS):
            await go(page, view)
            await page.find(f"main.view-{view.partition('/')[0]}")
            wide = await page.run("return document.documentElement.scrollWidth")
            assert wide == 360, f"{view} is {wide} px wide on a phone"
        assert await page.console() == []
