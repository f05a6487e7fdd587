"""Search, tree, devices and health of web at 41,000 tags: processor time of one answer; and the bytes of a gateway's health."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import orjson

from nexus_cli.project.text import load
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.qualities import Qualities
from nexus_cli.runtime.web.rest.branches import Places
from nexus_cli.runtime.web.rest.declared import search_index
from nexus_cli.runtime.web.rest.devices import Reported, state_of
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.gateway_health import GatewayHealth, LinkHealth
from nexus_cli.wire.health import encode
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.benchmarks.figures import Figure

SITE = Path(__file__).parents[2] / "sites" / "plant-1000"
WORDS = ("temperature", "a", "line-3 speed", "holding:10", "nothing like it")
ROUNDS = 15
CHANGES = 2_000
"""Tags that changed since somebody asked: one second of the plant."""


def _ms(what: Callable[[], object]) -> float:
    """Median processor time of one call, ms."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        what()
        found.append((time.process_time() - began) * 1000)
    return statistics.median(found)


def _say(cache: LiveCache, view: SiteView, count: int) -> None:
    body = orjson.dumps({"value": 21.5, "timestamp": 1_767_225_600_000, "quality": "GOOD", "unit": "degC"})
    for tag in view.tags[:count]:
        cache.take(Message(view.topics.tag(tag.path), body, 0, False))


def _health(view: SiteView) -> GatewayHealth:
    """Of one gateway that reads every device."""
    reads = DeviceReads(polls=123_456, missed=1, errors=3, answered_s=1_767_225_600, read_ms=12.3)
    return GatewayHealth(
        state="running",
        reads={path: reads for path, one in list(view.devices.items())[:1000] if one.gateway},
        runs={path: "0123abcd" for path, one in list(view.devices.items())[:1000] if one.gateway},
        links={one.link: LinkHealth(state="connected", since=1) for one in view.devices.values() if one.link},
    )


def run() -> list[Figure]:
    """As an administrator, who reads everything."""
    loaded = load(SITE).value
    if loaded is None:
        raise RuntimeError("the site of the benchmark has errors")
    snapshot = loaded.snapshot
    cache = LiveCache(now_us=lambda: time.time_ns() // 1000)
    view = SiteView.of(Topics(snapshot.enterprise, snapshot.site), 1, snapshot.resources, cache)
    readable, places, qualities = np.ones(len(view.tags), np.bool_), Places(view), Qualities(cache)
    began = time.process_time()
    index = search_index(view, places)
    made_ms = (time.process_time() - began) * 1000
    _say(cache, view, len(view.tags))
    began = time.process_time()
    known = asyncio.run(qualities.of(view))
    first_ms = (time.process_time() - began) * 1000

    def tree() -> None:
        _say(cache, view, CHANGES)
        began = time.process_time()
        places.children("", readable, asyncio.run(qualities.of(view)))
        spent.append((time.process_time() - began) * 1000)

    spent: list[float] = []
    for _ in range(ROUNDS):
        tree()
    health = _health(view)
    reported = {name: Reported(health) for name in {one.gateway for one in view.devices.values()}}
    marked = len(encode(health)) - len(encode(msgspec.structs.replace(health, runs={})))
    whole, bare = len(encode(health)), len(encode(GatewayHealth(state="running", links=health.links)))
    found = [
        Figure(
            name=f"search '{words}', {len(view.tags):,} tags",
            value=_ms(lambda words=words: index.find(words, readable, limit=50)),  # type: ignore[misc]
            unit="ms",
            at_most=50.0,
            note=f"{index.find(words, readable, limit=50)[1]:,} found",
        )
        for words in WORDS
    ]
    return [
        *found,
        Figure(name="  its index", value=made_ms, unit="ms", note="once a deployment, in a thread"),
        Figure(
            name="top of the tree with counts",
            value=statistics.median(spent),
            unit="ms",
            at_most=20.0,
            note=f"{CHANGES:,} values changed since",
        ),
        Figure(name="  the first time", value=first_ms, unit="ms", note="every quality is read once, in slices"),
        Figure(
            name=f"all {len(view.devices):,} devices",
            value=_ms(
                lambda: [state_of(one, reported.get(one.gateway), readable, known) for one in view.devices.values()]
            ),
            unit="ms",
            note="in a thread",
        ),
        Figure(
            name="health of a gateway with 1,000 devices",
            value=whole / 1000,
            unit="kB",
            limit=bare / 1000,
            limit_name="without how each device is read",
            note="every 10 s, and when a link changes",
        ),
        Figure(
            name="  of it what each device runs", value=marked / 1000, unit="kB", note="8 digits of a digest by path"
        ),
    ]
