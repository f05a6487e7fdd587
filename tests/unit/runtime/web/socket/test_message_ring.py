"""The ring of a filter: what it covers, keeps, drops and counts."""

from __future__ import annotations

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.socket.message_ring import LARGEST_SHOWN, MessageRing, pattern_of
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import matches

TOPICS = ("a", "a/b", "a/b/c", "a/", "/a", "b/b/c", "$SYS/a", "a.b/c", "a\n/b")
FILTERS = ("#", "+", "a/#", "a/+", "+/b/#", "+/+", "a/b/c", "/#", "$SYS/#", "a.b/+", "+/#")


class Everything:
    def may(self, slot: int) -> bool:
        return True


class Nothing:
    def may(self, slot: int) -> bool:
        return False


def ring(cache: LiveCache, filter_: str = "#", *, keep: int = 10, search: str = "") -> MessageRing:
    return MessageRing(cache, pattern_of(filter_), keep=keep, search=search, hearing=Everything())  # type: ignore[arg-type]


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_filter_covers_what_it_covers_at_a_broker(filter_: str) -> None:
    found = [topic for topic in TOPICS if pattern_of(filter_).fullmatch(topic)]
    assert found == [topic for topic in TOPICS if matches(filter_, topic)]


@pytest.mark.parametrize("filter_", ["a/#/b", "a#", "a/b+", "++"])
def test_what_is_no_filter_is_refused(filter_: str) -> None:
    with pytest.raises(NexusError) as error:
        pattern_of(filter_)
    assert error.value.code == "NX6913"


def test_the_newest_are_kept_and_the_rest_is_counted() -> None:
    cache = LiveCache(now_us=lambda: 5)
    kept = ring(cache, "a/+", keep=2)
    cache.tap(kept.heard)
    for number in range(5):
        cache.take(Message("a/x", b"%d" % number, 0, False))
    cache.take(Message("b/x", b"no", 0, False))
    cache.take(Message("a/y", b"yes", 0, True))
    rows = kept.rows(10_000)
    assert [row[:5] for row in rows] == [(5, "a/x", 5, False, 1), (6, "a/y", 5, True, 3)]
    assert kept.dropped == 4
    assert kept.rates(2.0) == {"a/x": 2.5, "a/y": 0.5}
    assert not kept.waits


def test_what_has_no_room_is_dropped_from_the_old_end() -> None:
    cache = LiveCache(now_us=lambda: 5)
    kept = ring(cache)
    cache.tap(kept.heard)
    for number in range(3):
        cache.take(Message("a", b"%d" % number * 500, 0, False))
    assert [row[6][0] for row in kept.rows(600)] == ["1", "2"]
    assert kept.dropped == 1


def test_it_begins_with_what_is_known_and_searches_without_regard_to_capitals() -> None:
    cache = LiveCache(now_us=lambda: 5)
    for topic, payload in (("a/1", b"x"), ("a/2", b"Needle"), ("a/NEEDLE", b"y"), ("b", b"needle"), ("a/gone", b"")):
        cache.take(Message(topic, payload, 0, True))
    kept = ring(cache, "a/#", search="neeDLE")
    known = kept.known()
    assert [cache.topic(slot) for slot in known] == ["a/1", "a/2", "a/NEEDLE"]
    kept.begin(known)
    assert [row[1] for row in kept.rows(10_000)] == ["a/2", "a/NEEDLE"]


def test_text_is_text_even_where_a_character_is_cut() -> None:
    cache = LiveCache(now_us=lambda: 5)
    kept = ring(cache)
    cache.tap(kept.heard)
    cache.take(Message("a", "ä".encode() * LARGEST_SHOWN, 0, False))
    cache.take(Message("a", b"x" + "ä".encode() * LARGEST_SHOWN, 0, False))
    cache.take(Message("a", b"\xff", 0, False))
    whole, cut, bytes_ = kept.rows(100_000)
    assert (whole[5], len(whole[6])) == ("utf8", LARGEST_SHOWN // 2)
    assert (cut[5], len(cut[6])) == ("utf8", LARGEST_SHOWN // 2)
    assert bytes_[5:] == ("base64", "/w==")


def test_rights_that_end_take_back_what_was_kept() -> None:
    cache = LiveCache(now_us=lambda: 5)
    kept = ring(cache)
    cache.tap(kept.heard)
    cache.take(Message("a", b"1", 0, False))
    kept.renew(Nothing())  # type: ignore[arg-type]
    cache.take(Message("a", b"2", 0, False))
    assert kept.rows(10_000) == []
