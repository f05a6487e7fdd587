"""The page in a real browser: login, logout, and the frame."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.browser import browser, needs_browser
from tests.e2e.page_world import page_world

pytestmark = [pytest.mark.needs_database, needs_browser]
BASE = "/v1/sites/acme/chicago"


async def test_a_person_logs_in_and_out(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path) as world, browser(tmp_path) as page:
        password = await world.people.password("vera")
        await page.open(world.url)
        await page.wait_text("h1", "NEXUS")
        await page.type("input[name=user]", "vera")
        await page.type("input[name=password]", "wrong")
        await page.press("Enter")
        assert "The login was refused" in await page.wait_text("[role=alert]", "NX6415")
        await page.type("input[name=password]", password)
        await page.press("Enter")
        assert await page.wait_text(".who", "vera") == "vera"
        assert await page.run("return document.cookie") == "", "no script sees the session"
        (cookie,) = (await page.cdp("Network.getCookies", urls=[world.url + BASE + "/session"]))["cookies"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", BASE)
        assert await page.run("return localStorage.length + sessionStorage.length") == 0
        await page.click(".top button:last-child")
        assert "You are logged out." in await page.wait_text(".note", "logged out")
        assert (await world.http.get(BASE + "/session", headers={"cookie": f"nexus-session={cookie['value']}"})).json()[
            "code"
        ] == "NX6413"
