"""The cache: one slot a topic, parsed when read, and changes found by turn."""

from __future__ import annotations

import numpy as np
import pytest

from nexus_cli.runtime.web.live_cache import LARGEST_KEPT, NOTHING, LiveCache
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, parse_payload
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


@pytest.mark.parametrize(
    "payload",
    [
        b'{"value":20.5,"timestamp":1767225600000,"quality":"GOOD","unit":"bar"}',
        b'{"value":null,"timestamp":1767225600000,"quality":"BAD","reason":"link_lost"}',
        b'{"value":null,"timestamp":1767225600000,"quality":"BAD"}',
        b'{"value":1,"timestamp":1767225600000,"quality":"BAD"}',
        b'{"value":null,"timestamp":1767225600000,"quality":"GOOD"}',
        b'{"value":3,"timestamp":1767225600000,"quality":"UNCERTAIN"}',
        b'{"value":3,"timestamp":1767225600000,"quality":"UNCERTAIN","reason":"own words","label":"on"}',
        b'{"value":3,"timestamp":1767225600,"quality":"GOOD"}',
        b'{"value":3,"timestamp":1767225600000000,"quality":"GOOD"}',
        b'{"value":3,"timestamp":-1,"quality":"GOOD"}',
        b'{"value":3,"timestamp":0,"quality":"GOOD"}',
        b'{"value":3,"timestamp":100000000000,"quality":"GOOD"}',
        b'{"value":3,"timestamp":99999999999999,"quality":"GOOD"}',
        b'{"value":3,"timestamp":100000000000000,"quality":"GOOD"}',
        b'{"value":3,"timestamp":1767225600000.5,"quality":"GOOD"}',
        b'{"value":3,"timestamp":"2026-01-01T00:00:00Z","quality":"GOOD"}',
        b'{"value":3,"timestamp":1767225600000,"quality":192}',
        b'{"value":3,"timestamp":1767225600000,"quality":"good"}',
        b'{"value":3,"timestamp":1767225600000}',
        b'{"value":3,"time":1767225600000,"quality":"GOOD"}',
        b'{"value":123456789012345678901234567890,"timestamp":1767225600000,"quality":"GOOD"}',
        b'{"value":{"a":[1,true,null]},"timestamp":1767225600000,"quality":"GOOD","more":1}',
        b'{"value":"9007199254740993","timestamp":1767225600000,"quality":"GOOD","source_timestamp":1}',
        b'{"value":1e400,"timestamp":1767225600000,"quality":"GOOD"}',
        b'{"value":1,"timestamp":1767225600000,"quality":"GOOD","unit":7}',
        b"7",
        b"text",
        b"[1",
        b"\xff",
    ],
)
def test_the_quick_way_reads_what_the_slow_one_reads(payload: bytes) -> None:
    cache = LiveCache(now_us=lambda: 42)
    cache.take(message("e/s/a", payload))
    found = cache.read(0)
    try:
        wanted = parse_payload(payload, now_us=None)
    except PayloadError as error:
        assert (found.value, found.quality, found.reason) == (None, Quality.BAD, error.reason)
        return
    assert found == (wanted.value, wanted.state, wanted.reason, wanted.time_us, 42, wanted.label, wanted.unit)
    assert type(found.value) is type(wanted.value)


def test_own_topics_are_kept_whole_and_a_new_one_is_told_before_its_message() -> None:
    cache, new = LiveCache(now_us=lambda: 42), []
    cache.take(message("e/s/a", b"1"))
    cache.when_new(lambda slot: new.append((cache.topic(slot), cache.payload(slot))))
    large = b"1" * (LARGEST_KEPT + 1)
    cache.take(message("_nexus/e/s/health/gateway/gw-1", large))
    cache.take(message("e/s/b", large))
    assert new == [("e/s/a", b"1"), ("_nexus/e/s/health/gateway/gw-1", None), ("e/s/b", None)]
    assert cache.payload(1) == large and cache.payload(2) == large[:LARGEST_KEPT]


def test_a_tap_hears_every_slot_until_it_ends() -> None:
    cache, heard = LiveCache(now_us=lambda: 42), []
    cache.tap(heard.append)
    cache.take(message("e/s/a", b"1"))
    cache.take(message("e/s/b", b"1"))
    cache.untap(heard.append)
    cache.take(message("e/s/a", b"1"))
    assert heard == [0, 1]


def test_what_a_broker_sends_again_is_no_news() -> None:
    """It sends what it has kept after each subscription; nobody who watches gets it twice."""
    cache, heard = LiveCache(now_us=lambda: 5), []
    slot = cache.slot("a/b")
    cache.watch((slot,), heard.append)
    cache.take(Message("a/b", b'{"value":1}', 0, True))
    turn = cache.turn
    cache.take(Message("a/b", b'{"value":1}', 0, True))
    assert cache.turn == turn and heard == [slot]
    cache.take(Message("a/b", b'{"value":2}', 0, True))
    cache.take(Message("a/b", b'{"value":2}', 0, False))
    assert cache.turn == turn + 2 and heard == [slot] * 3


OWN = b'{"value":3,"timestamp":1796281381062,"quality":"GOOD"}'


@pytest.mark.parametrize(
    ("first", "second", "news"),
    [
        pytest.param(OWN, OWN, 1, id="with its own time"),
        pytest.param(OWN, OWN.replace(b"381062", b"381063"), 2, id="a millisecond later"),
        pytest.param(OWN, OWN.replace(b":3,", b":4,"), 2, id="another value of that time"),
        pytest.param(b"3", b"3", 2, id="without a time: the value was read again"),
        pytest.param(b"", b"", 2, id="cleared twice"),
    ],
)
def test_what_a_publisher_sends_again_is_no_news(first: bytes, second: bytes, news: int) -> None:
    """After each connect a gateway publishes what it has once more. Who watches messages sees it; who watches values does not."""
    cache, values, messages = LiveCache(now_us=lambda: 5), [], []
    slot = cache.slot("a/b")
    cache.watch((slot,), values.append)
    cache.tap(messages.append)
    cache.take(Message("a/b", first, 0, False))
    cache.take(Message("a/b", second, 0, False))
    assert (cache.turn, values, messages) == (news, [slot] * news, [slot] * 2)
    assert cache.changed_since(np.array([slot]), 1).tolist() == [slot] * (news - 1)


def test_whether_the_broker_kept_a_message_is_known_once_it_sends_it_again() -> None:
    cache = LiveCache(now_us=lambda: 5)
    slot = cache.slot("a/b")
    cache.take(Message("a/b", b'{"value":9}', 0, False))
    assert (cache.retained(slot), cache.kept) == (False, 0), "what comes live does not say it"
    cache.take(Message("a/b", b'{"value":9}', 0, True))
    assert (cache.retained(slot), cache.kept) == (True, 1)
