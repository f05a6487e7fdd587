"""A headless Firefox with the methods of `tests.browser.Browser`, driven over WebDriver BiDi, which it speaks itself: no geckodriver.

Without Firefox the tests are skipped, and the summary says so.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from tests.browser import Browser, BrowserError, pressing
from tests.servers import free_port
from tests.waiting import patient

PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "extensions.update.enabled": False,
    "browser.startup.page": 0,
    "intl.locale.requested": "en-US",
}
_RUN = """async (given) => {
  const rest = JSON.parse(given);
  const found = await (function () { BODY }).apply(null, rest);
  return JSON.stringify(found === undefined ? null : found);
}"""
_PLACE = """
const [css] = arguments, found = document.querySelector(css);
if (!found) return null;
found.scrollIntoView({block: 'nearest', inline: 'nearest'});
const box = found.getBoundingClientRect();
return [Math.round(box.left + box.width / 2), Math.round(box.top + box.height / 2)];
"""
_CLICKABLE = """
const found = document.querySelector(arguments[0]);
return Boolean(found) && found.getClientRects().length > 0 && !found.disabled;
"""
_EMPTY = "const found = document.querySelector(arguments[0]); found.focus(); found.select();"


def program() -> str | None:
    """Firefox; None where there is none."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


needs_firefox = pytest.mark.skipif(program() is None, reason="firefox is not installed")


class Firefox(Browser):
    """One window of a Firefox. Commands of chromedriver and of CDP are not there."""

    def __init__(self, socket: ClientConnection) -> None:
        """A connection on which `session.new` was answered; `begin` opens the window."""
        self._socket, self._context = socket, ""
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._said: list[str] = []

    async def listen(self) -> None:
        """Take answers and lines of the console until the connection ends."""
        async for text in self._socket:
            message = json.loads(text)
            if message.get("method") == "log.entryAdded" and message["params"]["level"] in ("error", "warn"):
                entry = message["params"]
                self._said.append(f"{entry['level'].upper()} {entry.get('text')} {entry.get('stackTrace') or ''}")
            elif (waiting := self._waiting.pop(message.get("id"), None)) is not None:
                waiting.set_result(message)

    async def bidi(self, method: str, **parameters: Any) -> Any:
        """One command. Raises BrowserError."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        found = await asyncio.wait_for(answer, 120)
        if found.get("type") == "error":
            raise BrowserError(f"{method}: {found.get('error')}: {str(found.get('message'))[:500]}")
        return found["result"]

    async def begin(self) -> None:
        """A session with the window that is open."""
        await self.bidi("session.new", capabilities={})
        self._context = (await self.bidi("browsingContext.getTree"))["contexts"][0]["context"]
        await self.bidi("session.subscribe", events=["log.entryAdded"])

    async def open(self, url: str) -> None:
        await self.bidi("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def url(self) -> str:
        found: str = await self.run("return location.href")
        return found

    async def run(self, script: str, *arguments: Any) -> Any:
        made = await self.bidi(
            "script.callFunction",
            functionDeclaration=_RUN.replace("BODY", script),
            awaitPromise=True,
            target={"context": self._context},
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            userActivation=True,
        )
        if made["type"] == "exception":
            raise BrowserError(made["exceptionDetails"]["text"])
        return json.loads(made["result"]["value"])

    async def find(self, css: str) -> str:
        await self.wait(lambda: self.count(css), f"an element {css}")
        return css

    async def count(self, css: str) -> int:
        found: int = await self.run("return document.querySelectorAll(arguments[0]).length", css)
        return found

    async def text(self, css: str) -> str:
        found: str = await self.run("return document.querySelector(arguments[0]).innerText", await self.find(css))
        return found

    async def click(self, css: str) -> None:
        await self.wait(lambda: self.run(_CLICKABLE, css), f"an element {css} that can be clicked")
        x, y = await self.run(_PLACE, css)
        await self._perform(
            {
                "type": "pointer",
                "id": "mouse",
                "actions": [
                    {"type": "pointerMove", "x": x, "y": y},
                    {"type": "pointerDown", "button": 0},
                    {"type": "pointerUp", "button": 0},
                ],
            }
        )

    async def type(self, css: str, text: str) -> None:
        await self.run(_EMPTY, await self.find(css))
        await self.press("Backspace", *text)

    async def press(self, *keys: str) -> None:
        await self._perform(pressing(keys))

    async def _perform(self, source: dict[str, Any]) -> None:
        await self.bidi("input.performActions", context=self._context, actions=[source])

    async def resize(self, width: int, height: int, *, dark: bool = False, scale: float = 1.0) -> None:
        assert not dark, "BiDi of Firefox can't change what the system prefers"
        await self.bidi(
            "browsingContext.setViewport",
            context=self._context,
            viewport={"width": width, "height": height},
            devicePixelRatio=scale,
        )

    async def screenshot(self, path: Path) -> None:
        data = (await self.bidi("browsingContext.captureScreenshot", context=self._context))["data"]
        path.write_bytes(base64.b64decode(data))

    async def console(self) -> list[str]:
        await self.run("return new Promise((done) => setTimeout(done, 50))")  # lines come as events
        said, self._said = self._said, []
        return said


@contextlib.asynccontextmanager
async def firefox(folder: Path) -> AsyncIterator[Firefox]:
    """A Firefox with a profile of its own in `folder`; it ends with the block."""
    found = program()
    assert found is not None, "needs_firefox skips where there is none"
    port, profile = free_port(), folder / "firefox"
    profile.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines))
    with (folder / "firefox.log").open("wb") as log:
        process = subprocess.Popen(
            [found, "--headless", "--no-remote", "--profile", str(profile), f"--remote-debugging-port={port}"],
            env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdout=log,
            stderr=log,
        )
    try:
        async with await _connected(port, process) as socket:
            page = Firefox(socket)
            listening = asyncio.create_task(page.listen())
            try:
                await page.begin()
                yield page
            finally:
                listening.cancel()
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def _connected(port: int, process: subprocess.Popen[bytes]) -> ClientConnection:
    loop = asyncio.get_running_loop()
    end_s = loop.time() + patient(0)
    while True:
        assert process.poll() is None, "firefox ended at once"
        with contextlib.suppress(OSError, InvalidHandshake, TimeoutError):
            return await connect(f"ws://127.0.0.1:{port}/session", max_size=2**26, proxy=None)
        assert loop.time() < end_s, "firefox does not answer"
        await asyncio.sleep(0.1)
