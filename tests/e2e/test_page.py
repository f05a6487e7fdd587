"""The page in a real browser: login and logout, the tree, the search, a tag's card, a write, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.settings import Settings
from nexus_cli.wire.message import Message
from tests.browser import Browser, browser, needs_browser
from tests.e2e.page_history import STORED, fill_history, know_series
from tests.e2e.page_plant import moving, say, small_plant
from tests.e2e.page_world import page_world
from tests.integration.web_world import TOPICS, WebWorld
from tests.servers import new_broker

pytestmark = [pytest.mark.needs_database, pytest.mark.slow, needs_browser]
BASE = "/v1/sites/acme/chicago"
SNAPSHOT = os.environ.get("NEXUS_SNAPSHOT") == "1"
PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"
SETPOINT = "packaging/line-1/filler/setpoint"
MARKUP = """
try { document.createElement('p').innerHTML = '<b>x</b>'; return 'parsed'; } catch (error) { return error.name; }
"""
SEARCH = "input[type=search]"


@contextlib.asynccontextmanager
async def shown(
    database: Settings, folder: Path, user: str, *, broker_url: str = "mqtt://127.0.0.1:1", **more: Any
) -> AsyncIterator[tuple[WebWorld, Browser]]:
    """The page of somebody who is logged in."""
    plant = small_plant() | more
    async with page_world(database, folder, broker_url=broker_url, **plant) as world, browser(folder) as page:
        await know_series(world, plant)
        password = await world.people.password(user)
        await page.resize(1280, 800)
        await page.open(world.url)
        await log_in(page, user, password)
        yield world, page


async def log_in(page: Browser, user: str, password: str) -> None:
    await page.type("input[name=user]", user)
    await page.type("input[name=password]", password)
    await page.press("Enter")
    await page.wait_text(".who", user)


async def go(page: Browser, place: str) -> None:
    await page.run("location.hash = '#/' + arguments[0]", place)


async def test_a_person_logs_in_and_out(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path) as world, browser(tmp_path) as page:
        password = await world.people.password("vera")
        await page.open(world.url)
        await page.wait_text("h1", "NEXUS")
        assert await page.console() == [], "who is not logged in is no error"
        await page.type("input[name=user]", "vera")
        await page.type("input[name=password]", "wrong")
        await page.press("Enter")
        assert "The login was refused" in await page.wait_text("[role=alert]", "NX6415")
        await page.console()  # the browser itself notes an answer with 401
        await page.type("input[name=password]", password)
        await page.press("Enter")
        assert await page.wait_text(".who", "vera") == "vera"
        assert await page.run("return document.cookie") == "", "no script sees the session"
        (cookie,) = (await page.cdp("Network.getCookies", urls=[world.url + BASE + "/session"]))["cookies"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", BASE)
        assert await page.run("return localStorage.length + sessionStorage.length") == 0
        assert "eyJ" not in await page.run("return document.documentElement.outerHTML")
        await page.call("POST", "/refresh")
        await page.wait_text(".who", "vera")
        assert await page.console() == []
        assert await page.run(MARKUP) == "TypeError", "no text becomes markup, whoever tries"
        assert "TrustedHTML" in str(await page.console())
        await page.click(".top button:last-child")
        assert "You are logged out." in await page.wait_text(".note", "logged out")
        ended = await world.http.get(BASE + "/session", headers={"cookie": f"nexus-session={cookie['value']}"})
        assert (ended.status_code, ended.json()["code"]) == (401, "NX6413")


async def test_a_session_that_was_revoked_ends_on_the_page(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "vera") as (world, page):
        await world.people.pool.execute("UPDATE nexus.api_token SET revoked = now() WHERE principal = 'vera'")
        assert "Your session has ended." in await page.wait_text(".note", "ended")


async def test_a_viewer_finds_a_tag_watches_it_and_may_not_write(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "vera") as (world, page), moving(world, every_s=0.2):
        await fill_history(world)
        await page.type(SEARCH, "line-1/filler temperature")
        assert await page.wait_text(".hit .hit-path", "temperature") == "packaging/line-1/filler/temperature"
        await page.wait_text(".hit .hit-value", "°C")
        await page.press("Down", "Enter")
        assert (await page.url()).endswith("#/namespace/packaging/line-1/filler/temperature")
        first = await page.wait_text(".now-value", "°C")
        assert "GOOD" in await page.text(".now-quality")

        async def moved() -> bool:
            return await page.text(".now-value") != first

        await page.wait(moved, "another value")
        await page.wait_text(".plot-said", "1 gap: overflow")
        assert await page.text(".twin-text") == "nexus history packaging/line-1/filler/temperature --since 1h"
        await page.wait_text(".numbers", "Time-weighted mean")

        await go(page, f"namespace/{SETPOINT}")
        await page.wait_text(".now-value", "72.5")
        assert "You may not write this tag" in await page.wait_text(".may-write", "You may not")
        await page.console()
        await page.click(".tag-card .primary")
        await page.type("dialog input[name=value]", "80")
        await page.press("Enter")
        refused = await page.wait_text("dialog [role=alert]", "NX6403")
        assert f"vera may not write {SETPOINT}." in refused and "a role with `write:" in refused
        assert [line for line in await page.console() if "403" not in line] == []


async def test_a_wrong_value_is_refused_as_on_the_command_line(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "otto") as (world, page), moving(world):
        await go(page, f"namespace/{SETPOINT}")
        await page.wait_text(".now-value", "72.5")
        await page.click(".tag-card .primary")
        for typed, said in (("500", "NX6806"), ("warm", "That is not a number."), ("7,5", "behind a point: 72.5")):
            await page.type("dialog input[name=value]", typed)
            await page.press("Enter")
            await page.wait_text("dialog [role=alert]", said)
        await page.type("dialog input[name=value]", "80.25")
        assert await page.text("dialog .twin-note code") == f"nexus write {SETPOINT} 80.25"
        await page.press("Enter")
        assert "72.5 °C → 80.25 °C" in await page.wait_text("dialog .change", "80.25")
        assert await page.text("dialog [name=go]") == "Write now"
        await page.type("dialog input[name=value]", "80.5")
        assert await page.text("dialog [name=go]") == "Check", "another value is checked again"


async def test_only_rows_in_view_are_in_the_document(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "vera") as (world, page), moving(world):
        await go(page, "namespace/utilities/energy/meters/sensor-1000")
        await page.wait_text(".now-value", "kW")
        rows = await page.count(".tree .place")
        assert 10 < rows < 60
        await page.run("document.querySelector('.tree').scrollTop = 1e9")
        await page.wait_text('.tree .place[data-path$="sensor-1996"]', "kW")
        assert await page.count(".tree .place") < 60
        assert await page.count('.tree .place[data-path$="sensor-1000"]') == 0
        await page.run("document.querySelector('.tree').scrollTop = 0")
        await page.wait_script("return !!document.querySelector('.place[data-path=packaging]')", "the first row")
        assert await page.console() == []


async def test_by_keyboard_alone(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path, **small_plant()) as world, browser(tmp_path) as page, moving(world):
        await know_series(world, small_plant())
        password = await world.people.password("otto")
        await page.resize(1280, 800)
        await page.open(world.url)
        await page.find("input[name=user]")
        await page.press("otto", "Tab", password, "Enter")
        await page.find(".tree .place")
        await page.wait_script("return document.activeElement.tagName !== 'INPUT'", "the form is gone")
        await page.press("Tab")
        assert await page.run("return document.activeElement.className") == "skip"
        await page.press("/")
        assert await page.run("return document.activeElement.type") == "search"
        await page.press("Tab", "Tab")
        assert await page.run("return document.activeElement.getAttribute('role')") == "tree"
        await page.press("p", "Right")
        await page.wait_script("return !!document.querySelector('.place[data-path=\"packaging/line-1\"]')", "line-1")
        await page.press("Down", "Right")
        await page.wait_script(
            "return !!document.querySelector('.place[data-path=\"packaging/line-1/filler\"]')", "filler"
        )
        await page.press("f", "Right")
        await page.wait_script(f"return !!document.querySelector('.place[data-path=\"{SETPOINT}\"]')", "the setpoint")
        await page.press("s", "Enter")
        assert await page.wait_text(".now-value", "72.5") == "72.5 °C"
        active = await page.run(
            "const tree = document.activeElement;"
            "return document.getElementById(tree.getAttribute('aria-activedescendant')).dataset.path"
        )
        assert active == SETPOINT, "the focus stays in the tree"
        for _ in range(30):
            await page.press("Tab")
            if await page.run("return document.activeElement.textContent") == "Write…":
                break
        await page.press("Enter")
        assert await page.run("return document.activeElement.name") == "value"
        await page.press("Control+a", "81", "Enter")
        await page.wait_text("dialog .change", "81 °C")
        await page.press("Escape")
        await page.wait_script("return !document.querySelector('dialog')", "the dialog has closed")
        assert await page.run("return document.activeElement.textContent") == "Write…", "the focus is back"
        assert await page.console() == []


HOSTILE = "<img src=x onerror=alert(1)>"
TURNED = "gpj.\u202eexe\u0007"


async def test_foreign_text_is_only_text(database: Settings, tmp_path: Path) -> None:
    plant = small_plant()
    tags = plant["device__packaging/line-1/filler"]["tags"]
    tags["batch"] |= {"description": HOSTILE + TURNED, "unit": HOSTILE}
    async with shown(database, tmp_path, "vera", **plant) as (world, page):
        say(world, "packaging/line-1/filler/batch", HOSTILE + TURNED, quality="BAD", reason=HOSTILE)
        say(world, "packaging/line-1/filler/batch", HOSTILE + TURNED)
        await go(page, "namespace/packaging/line-1/filler/batch")
        value = await page.wait_text(".now-value", "onerror")
        assert HOSTILE in value and "gpj.\\u202eexe\\u0007" in value
        assert "gpj.\\u202eexe" in await page.text(".card-words")
        await page.type(SEARCH, "onerror")
        await page.wait_text(".hit-more", "onerror")
        assert await page.count("img, script:not([src]), [onerror]") == 0
        assert await page.console() == []


@pytest.mark.needs_broker
async def test_everything_that_takes_the_focus_has_a_name(database: Settings, tmp_path: Path) -> None:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        async with shown(database, tmp_path, "otto", broker_url=broker.url) as (world, page), moving(world):
            await fill_history(world)
            await go(page, f"namespace/{STORED}")
            await page.wait_text(".plot-said", "gap")
            await page.wait_text(".numbers", "Covered")
            await _named(page)
            runs = {
                "role": "control",
                "name": "control",
                "state": "running",
                "time": time.time_ns() // 1000,
                "version": "1",
            }
            topic = TOPICS.health("control", "control")
            world.web.parts.cache.take(Message(topic, orjson.dumps(runs), 0, True))
            await page.wait_script("return document.querySelector('.banner').hidden", "nothing is missing")
            await _pictures(page, PICTURES if SNAPSHOT else tmp_path)
    finally:
        broker.stop()


async def _pictures(page: Browser, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    await page.screenshot(folder / "namespace.png")
    await page.resize(1280, 800, dark=True)
    await page.run("return new Promise((done) => setTimeout(done, 500))")
    await page.screenshot(folder / "namespace-dark.png")
    await page.resize(360, 740)
    await page.run("return new Promise((done) => setTimeout(done, 500))")
    assert await page.run("return document.documentElement.scrollWidth") == 360
    await page.screenshot(folder / "namespace-phone.png")
    await go(page, "namespace")
    await page.wait_script(
        "return getComputedStyle(document.querySelector('.place-card')).display === 'none'", "the tree"
    )
    await page.screenshot(folder / "tree-phone.png")


async def _named(page: Browser) -> None:
    await page.cdp("Accessibility.enable")
    nodes = (await page.cdp("Accessibility.getFullAXTree"))["nodes"]
    nameless = [
        node
        for node in nodes
        if any(each["name"] == "focusable" and each["value"].get("value") for each in node.get("properties", ()))
        and not (node.get("name") or {}).get("value")
        and node["role"]["value"] not in ("RootWebArea", "main")
    ]
    assert nameless == []
    assert {"tree", "treeitem", "tablist", "tab", "tabpanel", "searchbox", "combobox", "navigation"} & {
        node["role"]["value"] for node in nodes
    } >= {"tree", "treeitem", "tablist", "tab", "tabpanel", "navigation"}


async def test_it_says_what_is_missing_and_heals(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "vera") as (world, page):
        await page.wait_text(".banner", "The broker is away: values are the last ones")
        client = world.web.parts.client
        assert not client.connected
        for each in list(await _sockets(world)):
            await each.close(1001)
        await page.wait_text(".connection", "connected")
        await asyncio.sleep(0)
        say(world, SETPOINT, 11.5)
        await go(page, f"namespace/{SETPOINT}")
        await page.wait_text(".now-value", "11.5")


async def _sockets(world: WebWorld) -> list[Any]:
    sockets = world.web.sockets
    return [client._websocket for client in sockets.clients]
