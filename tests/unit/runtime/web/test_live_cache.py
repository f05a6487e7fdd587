"""The cache: one slot a topic, parsed when read, and changes found by turn."""

from __future__ import annotations

import numpy as np

from nexus_cli.runtime.web.live_cache import LARGEST_KEPT, NOTHING, LiveCache
from nexus_cli.wire.message import Message
from nexus_cli.wire.sample import Quality


def message(topic: str, payload: bytes) -> Message:
    return Message(topic, payload, 0, False)


def test_a_topic_keeps_its_slot_and_its_newest_value() -> None:
    cache = LiveCache(now_us=lambda: 42)
    slot = cache.slot("e/s/a")
    assert cache.read(slot) == NOTHING
    cache.take(message("e/s/a", b'{"value": 1, "timestamp": 1767225600000}'))
    cache.take(message("e/s/b", b"x"))
    cache.take(message("e/s/a", b'{"value": 2, "timestamp": 1767225601000, "unit": "bar"}'))
    assert cache.slot("e/s/a") == slot
    found = cache.read(slot)
    assert (found.value, found.quality, found.time_us, found.received_us, found.unit) == (
        2,
        Quality.GOOD,
        1_767_225_601_000_000,
        42,
        "bar",
    )
    cache.take(message("e/s/a", b""))
    assert (cache.read(slot).quality, cache.read(slot).reason, cache.payload(slot)) == (Quality.BAD, "no_value", None)


def test_what_can_not_be_read_is_bad_and_says_why() -> None:
    cache = LiveCache(now_us=lambda: 42)
    cache.take(message("e/s/a", b'{"no": 1}'))
    assert cache.read(0)[:3] == (None, Quality.BAD, "no_value")
    cache.take(message("e/s/a", b"1" * (LARGEST_KEPT + 1)))
    assert cache.read(0).reason == "too_large"


def test_changes_since_a_turn_are_found_in_order() -> None:
    cache = LiveCache(now_us=lambda: 42)
    slots = np.array([cache.slot(f"e/s/{number}") for number in range(3000)])
    assert list(cache.changed_since(slots, 0)) == []
    cache.take(message("e/s/2999", b"1"))
    before = cache.turn
    cache.take(message("e/s/7", b"1"))
    cache.take(message("e/s/2", b"1"))
    assert list(cache.changed_since(slots, 0)) == [2, 7, 2999]
    assert list(cache.changed_since(slots, before)) == [2, 7]
    assert list(cache.changed_since(slots, cache.turn)) == []


def test_watchers_hear_every_message_until_they_leave() -> None:
    cache = LiveCache(now_us=lambda: 42)
    slot, heard = cache.slot("e/s/a"), []
    cache.watch([slot], heard.append)
    cache.take(message("e/s/a", b"1"))
    cache.take(message("e/s/b", b"1"))
    cache.take(message("e/s/a", b"2"))
    cache.unwatch([slot], heard.append)
    cache.take(message("e/s/a", b"3"))
    assert heard == [slot, slot]
