"""The page in a headless Chromium over 41,000 tags: first paint, search, long tasks, heap and processor time at 2,000 changes a second."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import psutil

from nexus_cli.database import migrate
from nexus_cli.settings import Settings
from nexus_cli.wire.message import Message
from tests.benchmarks.figures import Figure, machine
from tests.browser import Browser, browser, programs
from tests.e2e.page_plant import big_plant
from tests.e2e.page_world import page_world
from tests.integration.web_world import TOPICS, WebWorld
from tests.postgres import EmbeddedPostgres, settings_for

TAGS = 41_000
CHANGES_PER_S = 2_000
WATCH_S, QUICK_S, LONG_S = 120, 20, 900
"""`--quick` and `--long` choose the others: a slope of the heap needs the long one."""
HOUR_S, SHIFT_S = 3_600, 8 * 3_600
STEP_S = 0.05
OBSERVE = """
window.bench = {long: [], shown: 0};
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.bench.long.push(each.duration);
}).observe({type: 'longtask', buffered: true});
new MutationObserver((_, observer) => {
  if (document.querySelector('.tree .place')) {
    window.bench.shown = performance.now();
    observer.disconnect();
  }
}).observe(document, {childList: true, subtree: true});
"""
SEARCHES = ("machine-017", "value-42", "area-3 line-7", "measurement 12 of 300", "bar", "holding:396")
SEARCH = """
const [text] = arguments, input = document.querySelector('input[type=search]'), said = document.querySelector('.hits-said');
const nextShow = new Promise((done) => {
  const observer = new MutationObserver(() => {
    if (document.querySelector('.hit')) { observer.disconnect(); requestAnimationFrame(() => done(performance.now())); }
  });
  observer.observe(document.querySelector('.hits'), {childList: true});
});
performance.clearResourceTimings();
const began = performance.now();
input.value = text;
input.dispatchEvent(new Event('input'));
return nextShow.then((shown) => {
  const [asked] = performance.getEntriesByType('resource').filter((each) => each.name.includes('/search?'));
  return {whole: shown - began, answer: asked.duration};
});
"""


def _changes(world: WebWorld) -> Any:
    """Messages of the tags in turn; those of the devices in view come as often as all others."""
    paths = [tag.path for tag in world.web.parts.keeper.view.tags]
    topics = [TOPICS.tag(path) for path in paths]
    for number in itertools.count():
        topic = topics[number * 7919 % len(topics)]
        body = orjson.dumps({"value": number % 1000 / 8, "timestamp": time.time_ns() // 1_000_000, "quality": "GOOD"})
        yield Message(topic, body, 0, False)


async def _feed(world: WebWorld, shown: list[str]) -> None:
    """2,000 changes a second; a tenth of them on the tags that the page shows."""
    take, changes = world.web.parts.cache.take, _changes(world)
    turn = itertools.count()
    while True:
        began = time.perf_counter()
        for each in itertools.islice(changes, int(CHANGES_PER_S * STEP_S * 0.9)):
            take(each)
        for path in itertools.islice(itertools.cycle(shown), next(turn) % 10, int(CHANGES_PER_S * STEP_S * 0.1) + 10):
            body = {"value": round(time.time() % 100, 2), "timestamp": time.time_ns() // 1_000_000, "quality": "GOOD"}
            take(Message(TOPICS.tag(path), orjson.dumps(body), 0, False))
        await asyncio.sleep(max(0.0, STEP_S - (time.perf_counter() - began)))


async def _metrics(page: Browser) -> dict[str, float]:
    await page.cdp("Performance.enable")
    await page.cdp("HeapProfiler.collectGarbage")
    found = (await page.cdp("Performance.getMetrics"))["metrics"]
    return {each["name"]: each["value"] for each in found}


def _renderers(profile: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(str(profile) in part for part in line):
            found += [process, *process.children(recursive=True)]
    return list({each.pid: each for each in found}.values())


def _cpu_s(processes: list[psutil.Process], *, kind: str = "") -> float:
    total = 0.0
    for each in processes:
        try:
            if not kind or any(kind in part for part in each.cmdline()):
                times = each.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


async def _open(world: WebWorld, page: Browser, password: str) -> None:
    await page.cdp("Page.addScriptToEvaluateOnNewDocument", source=OBSERVE)
    await page.resize(1280, 800)
    await page.open(world.url)
    await page.type("input[name=user]", "vera")
    await page.type("input[name=password]", password)
    await page.press("Enter")
    await page.find(".tree .place")


async def _first_paint(world: WebWorld, page: Browser) -> tuple[float, float]:
    """Seconds until the first contentful paint and until the tree is there, of a browser that has nothing of the page."""
    await page.cdp("Network.enable")
    await page.cdp("Network.clearBrowserCache")
    await page.open(world.url)
    await page.find(".tree .place")
    found = await page.run(
        "return [performance.getEntriesByName('first-contentful-paint')[0].startTime, window.bench.shown]"
    )
    return found[0] / 1000, found[1] / 1000


async def _measure(settings: Settings, folder: Path, *, watch_s: float) -> list[Figure]:
    async with page_world(settings, folder, **big_plant(TAGS)) as world, browser(folder) as page:
        tags = len(world.web.parts.keeper.view.tags)
        password = await world.people.password("vera")
        device = "area-0/line-0/machine-003"
        shown = [f"{device}/value-{number:02}" for number in range(20)]
        feeding = asyncio.create_task(_feed(world, shown))
        try:
            await _open(world, page, password)
            paint_s, tree_s = await _first_paint(world, page)
            searches = [await page.run(SEARCH, text) for text in SEARCHES * 3]
            await page.press("Escape")
            await page.run(f"location.hash = '#/namespace/{shown[4]}'")
            await page.find(".now-value")
            await page.run("window.bench.long.length = 0")
            await asyncio.sleep(3)
            processes = _renderers(folder / "profile")
            before, heap_before = _cpu_s(processes), await _metrics(page)
            renderer_before = _cpu_s(processes, kind="--type=renderer")
            await page.run("window.bench.long.length = 0")
            began = time.monotonic()
            await asyncio.sleep(watch_s)
            took_s = time.monotonic() - began
            whole, renderer = _cpu_s(processes) - before, _cpu_s(processes, kind="--type=renderer") - renderer_before
            long = await page.run("return window.bench.long")
            heap = await _metrics(page)
            await page.run("window.bench.long.length = 0")
            await page.run(
                "const box = document.querySelector('.tree'); let at = 0;"
                "return new Promise((done) => { const step = () => { box.scrollTop = (at += 90) % 3000;"
                "at < 30000 ? requestAnimationFrame(step) : done(true); }; step(); })"
            )
            scrolling = await page.run("return window.bench.long")
        finally:
            feeding.cancel()
    mib = 2**20
    growth = (heap["JSHeapUsedSize"] - heap_before["JSHeapUsedSize"]) / took_s * HOUR_S
    answers, wholes = sorted(each["answer"] for each in searches), sorted(each["whole"] for each in searches)
    return [
        Figure(name=f"page, {tags:,} tags: first paint, nothing cached", value=paint_s, unit="s", at_most=1.0),
        Figure(name="  tree with its first rows", value=tree_s, unit="s"),
        Figure(
            name="  search, answer (slowest)",
            value=answers[-1],
            unit="ms",
            at_most=50,
            note=f"median {answers[len(answers) // 2]:.0f} ms",
        ),
        Figure(
            name="  search, key to results",
            value=wholes[len(wholes) // 2],
            unit="ms",
            note=f"70 ms of it wait for more keys; slowest {wholes[-1]:.0f} ms",
        ),
        Figure(
            name=f"  longest task at {CHANGES_PER_S:,} changes/s",
            value=max(long, default=0.0),
            unit="ms",
            at_most=100,
            note=f"{len(long)} of 50 ms or more in {took_s:.0f} s",
        ),
        Figure(name="  longest task while scrolling", value=max(scrolling, default=0.0), unit="ms", at_most=100),
        Figure(
            name="  heap after an hour",
            value=(heap["JSHeapUsedSize"] + max(0.0, growth)) / mib,
            unit="MiB",
            at_most=80,
            note=f"{heap['JSHeapUsedSize'] / mib:.1f} MiB now, growing {growth / mib:.1f} MiB/h",
        ),
        Figure(
            name="  heap after a shift of 8 h",
            value=(heap["JSHeapUsedSize"] + max(0.0, growth) * SHIFT_S / HOUR_S) / mib,
            unit="MiB",
            at_most=80,
            note=f"extrapolated from {took_s / 60:.0f} min",
        ),
        Figure(
            name="  processor of the page (renderer)",
            value=renderer / took_s * 100,
            unit="% of a core",
            at_most=5,
            note=f"the whole browser {whole / took_s * 100:.1f} %, without a GPU",
        ),
    ]


def run(*, watch_s: float = WATCH_S) -> list[Figure]:
    """Measure on a PostgreSQL and a browser of our own."""
    if programs() is None:
        raise RuntimeError("chromium and chromedriver are not installed")
    server = EmbeddedPostgres()
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            settings = dataclasses.replace(settings_for(server.url, Path(folder)), site="acme/chicago")
            asyncio.run(migrate.upgrade(settings))
            return asyncio.run(_measure(settings, Path(folder), watch_s=watch_s))
    finally:
        server.close()


if __name__ == "__main__":
    print(machine())
    for figure in run(watch_s=QUICK_S if "--quick" in sys.argv else LONG_S if "--long" in sys.argv else WATCH_S):
        print(figure.line())
