"""The plot of a tag in a real browser: single samples and rolled-up history, what a gap and a bad span look like, and zoom."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.history.moment import parse_moment
from nexus_cli.settings import Settings
from tests.browser import Browser, needs_browser
from tests.e2e.page_history import STORED, fill_history
from tests.e2e.page_plant import say
from tests.e2e.test_page import SETPOINT, go, shown
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.needs_database, pytest.mark.slow, needs_browser]
COLOUR_AT = """
const [secondsAgo, span, up] = arguments, canvas = document.querySelector('.plot-canvas');
const left = 62, right = canvas.clientWidth - 10, bottom = canvas.clientHeight - 24;
const x = left + (1 - secondsAgo / span) * (right - left);
const ours = [...canvas.getContext('2d').getImageData(Math.round(x), bottom - up, 1, 1).data].slice(0, 3).join();
const pen = document.createElement('canvas').getContext('2d');
const colours = {};
for (const name of ['--bad', '--warn', '--strong-line']) {
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue(name).trim();
  pen.fillRect(0, 0, 1, 1);
  colours[[...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).join()] = name;
}
return colours[ours] || ours;
"""
BOX = """
const box = document.querySelector('.plot-canvas').getBoundingClientRect();
return [box.left + 62, box.right - 10, box.top + 100];
"""
HOUR_S = 3600
FOOT = 2
"""Pixels above the foot of the plot, where the mark of a span without quality is."""


async def _colour(page: Browser, *, seconds_ago: float, span: float = HOUR_S) -> Any:
    return await page.run(COLOUR_AT, seconds_ago, span, FOOT)


async def _drag(page: Browser, *, from_ago: float, to_ago: float, span: float = HOUR_S) -> None:
    """Drag across a part of the plot, given in seconds before its end."""
    left, right, y = await page.run(BOX)
    first, last = (round(left + (1 - ago / span) * (right - left)) for ago in (from_ago, to_ago))
    steps = [{"type": "pointerMove", "x": first, "y": round(y), "duration": 0}, {"type": "pointerDown", "button": 0}]
    steps += [{"type": "pointerMove", "x": last, "y": round(y), "duration": 50}, {"type": "pointerUp", "button": 0}]
    mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
    await page.call("POST", "/actions", {"actions": [mouse]})


async def _window(page: Browser, low: float, high: float) -> None:
    """Wait until the command line at the foot names a span between so many seconds."""
    end_s, seconds = time.monotonic() + PATIENCE_S, 0.0
    while not low < seconds < high:
        assert time.monotonic() < end_s, f"{seconds} s are shown, not {low} to {high}"
        words = (await page.wait_text(".twin-text", "--until")).split()
        begin, end = (datetime.fromisoformat(words[words.index(each) + 1]) for each in ("--since", "--until"))
        seconds = (end - begin).total_seconds()


async def test_zoom_over_samples_and_rolled_up_history(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "vera") as (world, page):
        await fill_history(world)
        await page.run("document.querySelector('main').scrollTop = 0")
        await go(page, f"namespace/{STORED}")
        said = await page.wait_text(".plot-said", "1 gap: overflow")
        assert " samples" in said and "spans of" not in said, "an hour is drawn sample by sample"
        # BAD is 1500 to 1800 s ago, UNCERTAIN 600 to 780, the gap 2400 to 2640 (tests/e2e/page_history.py).
        assert await _colour(page, seconds_ago=1650) == "--bad"
        assert await _colour(page, seconds_ago=690) == "--warn"
        assert await _colour(page, seconds_ago=2520) == "--strong-line"
        assert await _colour(page, seconds_ago=1200) not in ("--bad", "--warn", "--strong-line")

        await page.click('.windows [data-seconds="28800"]')
        rolled = await page.wait_text(".plot-said", "spans of")
        assert "mean, lowest to highest" in rolled and "1 gap: overflow" in rolled
        marked = await _colour(page, seconds_ago=1650, span=28_800)
        # A span with good and BAD samples has a value, and is UNCERTAIN; one with BAD alone is BAD.
        assert marked in ("--bad", "--warn")
        legend = await page.text(".legend")
        assert {"--bad": "BAD", "--warn": "UNCERTAIN"}[marked] in legend and "gap" in legend
        await page.click(".samples summary")
        assert "overflow" in await page.wait_text(".samples table", "From")

        await page.click('.windows [data-seconds="3600"]')
        await page.wait_text(".plot-said", " samples")
        await _drag(page, from_ago=2700, to_ago=2300)
        inside = await page.wait_text(".plot-said", "1 gap: overflow")
        await _window(page, 380, 420)  # what was dragged across is what is shown
        assert "spans of" not in inside
        await page.run("document.querySelector('.plot-canvas').focus()")
        await page.press("-", "-")
        await _window(page, 1500, 1700)  # - doubles the span
        await page.press("+")
        await _window(page, 760, 840)
        before = await page.text(".twin-text")
        await page.press("Shift+Left")
        await _window(page, 760, 840)
        await page.wait_script(
            f"return document.querySelector('.twin-text').textContent !== {before!r}", "it goes earlier"
        )
        await page.press("Left")
        assert "°C" in await page.wait_text(".plot-tip", "202"), "← names a point"
        await page.run(
            "document.querySelector('.plot-canvas').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))"
        )
        await _window(page, 1500, 1700)  # a double click goes out
        for seconds in (900, 3600, 28_800, 86_400, 604_800, 2_592_000, 31_536_000):
            await page.click(f'.windows [data-seconds="{seconds}"]')
            since = (await page.text(".twin-text")).split()[-1]
            now = datetime.now(UTC)
            assert now - parse_moment(since, now=now) == timedelta(seconds=seconds), (
                "the command line says the same span"
            )
        said = await page.console()
        assert [each for each in said if "willReadFrequently" not in each] == [], (
            "that is the test, which looks at colours"
        )


async def test_a_clock_that_is_ahead_breaks_no_line(database: Settings, tmp_path: Path) -> None:
    async with shown(database, tmp_path, "vera") as (world, page):
        await go(page, f"namespace/{SETPOINT}")
        await page.wait_text(".plot-said", "0 samples")
        for number in range(3):
            ahead = time.time_ns() // 1_000_000 + 3_600_000 + number * 1000
            say(world, SETPOINT, 70.5 + number, timestamp=ahead)
            await page.wait_text(".now-value", f"{70.5 + number}")
        path = await page.wait_script("return document.querySelector('.sparkline path')?.getAttribute('d')", "a line")
        assert "NaN" not in path
        assert max(float(each) for each in re.findall(r"[MH]([0-9.]+)", path)) <= 160, "it stays in its box"
        assert await page.console() == []
