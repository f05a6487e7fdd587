"""Counts of qualities: one reading for all who count, the same as of the value itself."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LARGEST_KEPT, LiveCache
from nexus_cli.runtime.web.qualities import Qualities, counted
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.counting import Counting
from nexus_cli.wire.message import Message
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.topic import Topics

TIME = 1767225600000


def view(cache: LiveCache, *devices: str) -> SiteView:
    tags = {name: {"type": "float32"} for name in ("t", "u")}
    resources = {f"device.{path}": {"protocol": "modbus", "tags": tags} for path in devices}
    return SiteView.of(Topics("acme", "chicago"), 1, resources, cache)


def say(cache: LiveCache, path: str, payload: bytes) -> None:
    cache.take(Message(Topics("acme", "chicago").tag(path), payload, 0, False))


@pytest.mark.parametrize(
    ("payload", "quality"),
    [
        (b'{"value":1,"timestamp":%d,"quality":"GOOD"}' % TIME, Quality.GOOD),
        (b'{"value":1,"timestamp":%d,"quality":"UNCERTAIN"}' % TIME, Quality.UNCERTAIN),
        (b'{"value":null,"timestamp":%d,"quality":"BAD"}' % TIME, Quality.BAD),
        (b'{"value":null,"timestamp":%d,"quality":"GOOD"}' % TIME, Quality.BAD),
        (b'{"value":1,"timestamp":"yesterday","quality":"GOOD"}', Quality.GOOD),
        (b'{"value":1' + b"0" * 400 + b',"timestamp":%d,"quality":"GOOD"}' % TIME, Quality.BAD),
        (b'{"value":"%s","timestamp":%d,"quality":"GOOD"}' % (b"x" * LARGEST_KEPT, TIME), Quality.BAD),
        (b"{", Quality.BAD),
        (b"17", Quality.GOOD),
        (b"", Quality.BAD),
    ],
)
def test_a_count_and_a_value_have_one_quality(payload: bytes, quality: Quality) -> None:
    cache = LiveCache(now_us=lambda: 42)
    one = view(cache, "a/l/d")
    say(cache, "a/l/d/t", payload)
    slot = one.by_path["a/l/d/t"].slot
    assert cache.quality(slot) is quality
    assert cache.read(slot).quality is quality
    assert cache.quality(slot) is quality
    assert asyncio.run(Qualities(cache).of(one)).tolist() == [quality, Quality.BAD]


def test_the_version_rises_with_a_quality_and_not_with_a_value() -> None:
    cache = LiveCache(now_us=lambda: 42)
    one, qualities = view(cache, "a/l/d"), Qualities(cache)
    say(cache, "a/l/d/t", b"1")
    assert counted(asyncio.run(qualities.of(one))) == (1, 0, 1)
    before = qualities.version
    say(cache, "a/l/d/t", b"2")
    assert counted(asyncio.run(qualities.of(one))) == (1, 0, 1)
    assert qualities.version == before
    say(cache, "a/l/d/t", b"")
    assert counted(asyncio.run(qualities.of(one))) == (0, 0, 2)
    assert qualities.version == before + 1


def test_watched_counts_follow_a_deployment_that_changed_no_quality() -> None:
    cache = LiveCache(now_us=lambda: 42)
    first, second = view(cache, "a/l/d"), view(cache, "a/l/d", "b/l/d")
    keeper, qualities = SimpleNamespace(view=first), Qualities(cache)
    counting = Counting(qualities, cast(Any, keeper))
    assert not counting.ready(first)
    asyncio.run(counting.look())
    whole = CallerRights(readable=np.ones(2, np.bool_), writable=np.zeros(2, np.bool_))
    assert counting.ready(first) and counting.count(first, whole, "") == (0, 0, 2)
    keeper.view, before = second, counting.version
    asyncio.run(qualities.of(second))  # somebody else asked first
    asyncio.run(counting.look())
    more = CallerRights(readable=np.ones(4, np.bool_), writable=np.zeros(4, np.bool_))
    assert counting.version > before and counting.ready(second) and not counting.ready(first)
    assert counting.count(second, more, "") == (0, 0, 4)
    assert counting.count(second, more, "b") == (0, 0, 2)
    assert counting.count(second, more, "b/l/d/t") == (0, 0, 1)
