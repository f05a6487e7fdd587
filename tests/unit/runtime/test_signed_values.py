"""Signed messages of others: who may sign which topic, when, and what a repetition changes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.runtime import signed_values as values
from nexus_cli.runtime.signed_values import Refused, SignedValues
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import parse_payload
from nexus_cli.wire.signature import HMAC, KeyRules, SignatureRules, hmac_signature, seal
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

TOPICS = Topics("acme", "chicago")
PATH = "packaging/line-1/scale-7/weight"
TOPIC = TOPICS.tag(PATH)
SECRET = "a-secret-of-at-least-thirty-two-bytes"
WINDOW_US = 30_000_000


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALES", SECRET)


class Reader:
    """A reader with rules and a clock."""

    def __init__(
        self, *, require: bool = True, kept: bool = True, most: int = 10, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock()
        self.values = SignedValues(wall_us=self.clock.wall_us, kept=kept, most=most)
        now_us = self.clock.now_us()
        own = {"secret": "${env:SCALES}", "principals": ["scales"], "topics": ["packaging/line-1/scale-7/**"]}
        self.values.configured(
            SignatureRules(
                require=["external"] if require else [],
                keys={
                    "now": KeyRules(algorithm=HMAC, **own),
                    "ended": KeyRules(algorithm=HMAC, until_us=now_us, **own),
                    "other": KeyRules(algorithm=HMAC, **{**own, "topics": ["packaging/line-1/scale-8/**"]}),
                    "unset": KeyRules(algorithm=HMAC, **{**own, "secret": "${env:NOT_SET_HERE}"}),
                },
            )
        )
        self.clock.advance(1)

    def sealed(self, payload: bytes = b"1", *, key: str = "now", ahead_us: int = 0, topic: str = TOPIC) -> bytes:
        time_us = self.clock.now_us() + ahead_us
        return seal(key=key, sign=hmac_signature(SECRET), topic=topic, payload=payload, time_us=time_us)

    def admit(self, payload: bytes, *, retain: bool = False, path: str = PATH) -> Message | Refused:
        return self.values.admit(Message(TOPICS.tag(path), payload, 1, retain), path)

    def reason(self, payload: bytes, **keys: bool) -> str | None:
        found = self.admit(payload, **keys)  # type: ignore[arg-type]
        return found.reason if isinstance(found, Refused) else None


def test_without_rules_nothing_is_asked() -> None:
    reader = SignedValues(wall_us=FakeClock().wall_us)
    assert not reader.active
    reader.configured(
        SignatureRules(
            require=["command"], keys={"k": KeyRules(algorithm=HMAC, secret="${env:SCALES}", principals=["a"])}
        )
    )
    assert not reader.active, "a key without topics signs no values"


@pytest.mark.parametrize(
    ("payload", "value", "own_ms"),
    [
        (b"1.5", 1.5, None),
        (b"heavy", "heavy", None),
        (b'{"value": 2}', 2, None),
        (b'{"value": 3, "timestamp": 1699999999000}', 3, 1_699_999_999_000),
        (b'{"v": 4, "t": "2023-11-14T22:13:00Z"}', 4, 1_700_000_000_000 - 20_000),
    ],
)
def test_a_value_has_its_own_time_or_that_of_its_signature(payload: bytes, value: object, own_ms: int | None) -> None:
    reader = Reader()
    signed_us = reader.clock.now_us() - 7
    found = reader.admit(reader.sealed(payload, ahead_us=-7))
    assert isinstance(found, Message)
    read = parse_payload(found.payload, now_us=reader.clock.now_us())
    assert (read.value, read.time_us) == (value, signed_us if own_ms is None else own_ms * 1000)


def test_each_wrong_message_has_its_reason() -> None:
    reader = Reader()
    forged = seal(key="now", sign=hmac_signature("x" * 40), topic=TOPIC, payload=b"9", time_us=reader.clock.now_us())
    swapped = orjson.dumps({**orjson.loads(reader.sealed(b"1")), "payload": "OQ=="})
    assert reader.reason(b"9") == values.NOT_SIGNED
    assert reader.reason(forged) == values.WRONG
    assert reader.reason(swapped) == values.WRONG
    assert reader.reason(reader.sealed(topic=TOPICS.tag("packaging/line-1/scale-7/other"))) == values.WRONG
    assert reader.reason(b'{"nexus_signed":1}') == values.WRONG
    assert reader.reason(reader.sealed(ahead_us=-WINDOW_US - 1)) == values.TIME
    assert reader.reason(reader.sealed(ahead_us=WINDOW_US + 1)) == values.TIME
    for key in ("ended", "other", "unset", "nobody"):
        assert reader.reason(reader.sealed(key=key)) == values.KEY, key
    right = reader.sealed()
    assert reader.reason(right) is None
    assert reader.reason(right) == values.REPLAYED
    assert reader.reason(reader.sealed(ahead_us=-1)) == values.REPLAYED, "older than the newest of its topic"
    reader.clock.advance(1)
    assert reader.reason(reader.sealed()) is None
    assert reader.values.refused == {
        values.NOT_SIGNED: 1,
        values.WRONG: 4,
        values.TIME: 2,
        values.KEY: 4,
        values.REPLAYED: 2,
    }


def test_unsigned_ones_pass_where_none_is_required_and_forged_ones_do_not() -> None:
    reader = Reader(require=False)
    assert reader.values.active
    assert reader.reason(b"9") is None
    forged = seal(key="now", sign=hmac_signature("x" * 40), topic=TOPIC, payload=b"9", time_us=reader.clock.now_us())
    assert reader.reason(forged) == values.WRONG


def test_a_restart_and_a_clock_that_is_set_back_open_no_gap() -> None:
    reader = Reader()
    right = reader.sealed()
    assert reader.reason(right) is None
    again = Reader(clock=reader.clock)
    assert again.reason(right) == values.REPLAYED
    reader.clock.step(3_600_000_000)
    assert reader.reason(reader.sealed()) is None
    later = reader.sealed()
    reader.clock.step(-3_600_000_000)
    assert reader.reason(later) == values.TIME
    assert reader.reason(right) == values.REPLAYED
    assert reader.reason(reader.sealed()) == values.REPLAYED, "until its clock is past the newest one again"


def test_a_kept_message_counts_at_any_age_and_never_replaces_a_newer_one() -> None:
    reader, now = Reader(), Reader(kept=False)
    old, older = reader.sealed(ahead_us=-3_600_000_000), reader.sealed(ahead_us=-7_200_000_000)
    assert reader.reason(old, retain=True) is None
    assert reader.reason(old, retain=True) is None, "a broker sends it at each subscription"
    assert reader.reason(older, retain=True) == ""
    assert reader.reason(b"9", retain=True) == values.NOT_SIGNED
    assert reader.reason(b"", retain=True) is None, "it was cleared"
    assert now.reason(old, retain=True) == "", "who acts on values as they are now does not take it"
    assert now.reason(now.sealed(), retain=True) is None


def test_no_more_topics_are_remembered_than_may_be() -> None:
    reader = Reader(most=2)
    paths = [f"packaging/line-1/scale-7/{name}" for name in ("a", "b", "c")]
    first = [reader.sealed(topic=TOPICS.tag(path)) for path in paths]
    found = [reader.admit(payload, path=path) for payload, path in zip(first, paths, strict=True)]
    assert [isinstance(each, Message) for each in found] == [True, True, False]
    assert isinstance(found[2], Refused) and found[2].reason == values.FULL
    reader.clock.advance(31)
    assert isinstance(reader.admit(reader.sealed(topic=TOPICS.tag(paths[2])), path=paths[2]), Message)
    reader.clock.step(-31_000_000)
    repeated = reader.admit(first[0], path=paths[0])
    assert isinstance(repeated, Refused) and repeated.reason == values.REPLAYED, "forgotten, and still refused"


@given(
    st.lists(st.integers(-40_000_000, 40_000_000), max_size=30),
    st.lists(st.integers(-5_000_000, 10_000_000), max_size=30),
)
def test_no_message_is_taken_twice_and_times_of_a_topic_rise(ahead_us: list[int], steps_us: list[int]) -> None:
    """Whatever is sent when, again and again, and however the clock is set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALES", SECRET)
        reader, sent, taken = Reader(most=1), list[bytes](), list[int]()
        for at, ahead in enumerate(ahead_us):
            sent.append(reader.sealed(ahead_us=ahead))
            for payload in sent:
                if isinstance(reader.admit(payload), Message):
                    taken.append(orjson.loads(payload)["time"])
            reader.clock.step(steps_us[at] if at < len(steps_us) else 1)
        assert taken == sorted(set(taken))


def test_what_was_signed_before_the_reader_ran_stays_refused_behind_an_older_kept_message() -> None:
    reader = Reader()
    replayed, kept = reader.sealed(b"2", ahead_us=-3_000_000), reader.sealed(b"1", ahead_us=-5_000_000)
    assert reader.reason(kept, retain=True) is None
    assert reader.reason(replayed) == "signature_replayed"
    assert reader.reason(reader.sealed(b"3")) is None
