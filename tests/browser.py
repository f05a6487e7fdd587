"""A headless Chromium, driven over W3C WebDriver and CDP by Debian's chromedriver: no library of its own is needed for that.

Without chromium and chromedriver the tests are skipped, and the summary says so.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_port
from tests.waiting import patient

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""Key of an element's reference. Source: W3C WebDriver §11."""
KEYS = {
    "Enter": "\ue007",
    "Tab": "\ue004",
    "Escape": "\ue00c",
    "Space": " ",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
    "Home": "\ue011",
    "End": "\ue010",
    "Shift": "\ue008",
    "Control": "\ue009",
    "Backspace": "\ue003",
    "Delete": "\ue017",
}
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--lang=en-US",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
)


def pressing(keys: Iterable[str]) -> dict[str, Any]:
    """Keys as an input source of WebDriver's actions; names as of `Browser.press`."""
    actions: list[dict[str, str]] = []
    for key in keys:
        *held, last = key.split("+") if "+" in key and len(key) > 1 else [key]
        signs = [KEYS[last]] if last in KEYS else list(last)
        actions += [{"type": "keyDown", "value": KEYS[each]} for each in held]
        for sign in signs:
            actions += [{"type": "keyDown", "value": sign}, {"type": "keyUp", "value": sign}]
        actions += [{"type": "keyUp", "value": KEYS[each]} for each in held]
    return {"type": "key", "id": "keyboard", "actions": actions}


class BrowserError(AssertionError):
    """The driver's refusal: an element that is not there, a script that failed."""


def programs() -> tuple[str, str] | None:
    """Chromium and its driver; None where one is missing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


needs_browser = pytest.mark.skipif(programs() is None, reason="chromium and chromedriver are not installed")


class Browser:
    """One session of a browser: one window."""

    def __init__(self, http: httpx.AsyncClient, session: str) -> None:
        """A session that chromedriver has opened."""
        self._http, self._session = http, session

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One command. Raises BrowserError."""
        url = f"/session/{self._session}{path}"
        answer = await self._http.request(method, url, json=None if method != "POST" else dict(body or {}))
        value = answer.json()["value"]
        if answer.status_code != httpx.codes.OK:
            raise BrowserError(f"{path}: {value.get('error')}: {str(value.get('message'))[:500]}")
        return value

    async def open(self, url: str) -> None:
        """Load a page."""
        await self.call("POST", "/url", {"url": url})

    async def url(self) -> str:
        """The address that is shown."""
        found: str = await self.call("GET", "/url")
        return found

    async def run(self, script: str, *arguments: Any) -> Any:
        """Run a script's body; it may `return` JSON or a promise of it."""
        return await self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    async def cdp(self, command: str, **parameters: Any) -> Any:
        """One command of the Chrome DevTools Protocol."""
        return await self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    async def find(self, css: str) -> str:
        """The reference of the first element that a selector finds, once there is one."""
        return (await self.wait(lambda: self._elements(css), f"an element {css}"))[0]

    async def _elements(self, css: str) -> list[str]:
        found = await self.call("POST", "/elements", {"using": "css selector", "value": css})
        return [each[ELEMENT] for each in found]

    async def count(self, css: str) -> int:
        """How many elements a selector finds now."""
        return len(await self._elements(css))

    async def text(self, css: str) -> str:
        """The text of an element as it is shown."""
        found: str = await self.call("GET", f"/element/{await self.find(css)}/text")
        return found

    async def click(self, css: str) -> None:
        """Click an element."""
        await self.call("POST", f"/element/{await self.find(css)}/click")

    async def choose_tab(self, name: str) -> None:
        """Open the tab `#tab-NAME`, and again where what is above it moved it away from under the pointer."""
        tab = f"#tab-{name}"

        async def chosen() -> bool:
            await self.click(tab)
            return await self.count(f"{tab}[aria-selected=true]") == 1

        await self.wait(chosen, f"the tab {name!r}, chosen,")

    async def type(self, css: str, text: str) -> None:
        """Type into a field, in place of what is there."""
        element = await self.find(css)
        await self.call("POST", f"/element/{element}/clear")
        await self.call("POST", f"/element/{element}/value", {"text": text})

    async def press(self, *keys: str) -> None:
        """Press keys one after another, where the focus is: names of `KEYS`, `Shift+Tab`, or signs to type."""
        await self.call("POST", "/actions", {"actions": [pressing(keys)]})

    async def wait(self, look: Callable[[], Any], what: str, *, deadline_s: float = 0.0) -> Any:
        """Look until there is something, and give it."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patient(deadline_s)
        while True:
            with contextlib.suppress(BrowserError):
                if found := await look():
                    return found
            assert loop.time() < end_s, f"{what} did not come; the page says: {await self._page_text()}"
            await asyncio.sleep(0.05)

    async def wait_text(self, css: str, wanted: str) -> str:
        """Wait until an element shows a text, and give all of it."""

        async def look() -> str:
            found = await self.text(css) if await self.count(css) else ""
            return found if wanted in found else ""

        shown: str = await self.wait(look, f"{wanted!r} in {css}")
        return shown

    async def wait_script(self, script: str, what: str) -> Any:
        """Wait until a script's body returns something true."""
        return await self.wait(lambda: self.run(script), what)

    async def _page_text(self) -> str:
        with contextlib.suppress(BrowserError):
            return str(await self.run("return document.body.innerText"))[:3000]
        return "nothing"

    async def resize(self, width: int, height: int, *, dark: bool = False, scale: float = 1.0) -> None:
        """The size of the view in CSS pixels, and the colours that the system prefers."""
        await self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        await self.cdp(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    async def screenshot(self, path: Path) -> None:
        """A PNG of the view."""
        data = (await self.cdp("Page.captureScreenshot", format="png"))["data"]
        path.write_bytes(base64.b64decode(data))

    async def console(self) -> list[str]:
        """What the console said since the last look: errors, warnings, and what a policy refused."""
        entries = await self.call("POST", "/se/log", {"type": "browser"})
        return [f"{each['level']} {each['message']}" for each in entries if each["level"] in ("SEVERE", "WARNING")]


@contextlib.asynccontextmanager
async def browser(folder: Path, *, arguments: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """A browser with a profile of its own in `folder`; it and its driver end with the block."""
    found = programs()
    assert found is not None, "needs_browser skips where there is none"
    program, driver = found
    port = free_port()
    with (folder / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
    options = {
        "binary": program,
        "args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}", *arguments],
    }
    wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as http:
            await _answers(http, process)
            made = await http.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
            value = made.json()["value"]
            assert made.status_code == httpx.codes.OK, value
            found_browser = Browser(http, value["sessionId"])
            try:
                yield found_browser
            finally:
                await http.delete(f"/session/{value['sessionId']}")
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def _answers(http: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    loop = asyncio.get_running_loop()
    end_s = loop.time() + patient(0)
    while True:
        assert process.poll() is None, "chromedriver ended at once"
        with contextlib.suppress(httpx.TransportError):
            if (await http.get("/status")).json()["value"]["ready"]:
                return
        assert loop.time() < end_s, "chromedriver does not answer"
        await asyncio.sleep(0.05)
