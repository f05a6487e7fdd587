"""Conditions over what gateways and others publish: one reading of values and qualities, and how old a value may be."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.project.live import parse_live
from nexus_cli.runtime.control.sequences.live_values import OTHERS_AGE_S, READ_AGE_S, Condition, LiveValues, ValuePolicy
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import parse_payload
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

TOPICS = Topics("acme", "chicago")
PATH = "a/l/d/t"
TOPIC = TOPICS.tag(PATH)
ANY = ValuePolicy(float("inf"))


class Heard:
    """One tag, and what a condition on it says."""

    def __init__(self, *, kind: str = "float64", gateway: str = "", unit: str = "") -> None:
        self.clock = FakeClock()
        self.values = LiveValues(TOPICS, clock=self.clock)
        self.values.want([PATH])
        self.values.gateways = {"a/l/d": gateway} if gateway else {}
        self.tags = {PATH: TagConfig(type=kind, publish_unit=unit)}

    def receive(self, payload: bytes | dict[str, Any], **keys: Any) -> None:
        self.values.receive(TOPIC, payload if isinstance(payload, bytes) else orjson.dumps(payload), **keys)

    def holds(self, text: str, terms: ValuePolicy = ANY) -> bool | None:
        return Condition(text, self.tags).holds(self.values, terms)


def holds(value: Any, *, kind: str, text: str) -> bool | None:
    heard = Heard(kind=kind)
    heard.receive({"value": value, "quality": "GOOD"})
    return heard.holds(text)


@pytest.mark.parametrize("value", ["9" * 5_000, "\u0663" * 3, "--1", [1], {"a": 1}, [[1]] * 3])
def test_what_is_no_integer_decides_nothing(value: Any) -> None:
    assert holds(value, kind="int64", text="{a/l/d/t} > 5") is None


def test_a_64_bit_integer_comes_as_text() -> None:
    assert holds(str(-(2**63)), kind="int64", text="{a/l/d/t} == 0 - 9223372036854775807 - 1") is True
    assert holds(str(2**64 - 1), kind="uint64", text="{a/l/d/t} > 5") is True


def test_a_truth_value_of_others_may_be_a_number() -> None:
    assert holds(1, kind="bool", text="{a/l/d/t}") is True
    assert holds(2, kind="bool", text="{a/l/d/t}") is None


SPELLINGS: list[tuple[bytes, float | None, Quality]] = [
    (b'{"value": 153, "quality": "bad"}', None, Quality.BAD),
    (b'{"value": 153, "quality": 0}', None, Quality.BAD),
    (b'{"value": 153, "quality": "Bad_CommFault"}', None, Quality.BAD),
    (b'{"value": null}', None, Quality.BAD),
    (b'{"value": 153, "quality": 192}', 153, Quality.GOOD),
    (b'{"value": 153, "quality": "good"}', 153, Quality.GOOD),
    (b'{"value": 153}', 153, Quality.GOOD),
    (b'{"timestamp_ms": 1700000000000, "value": 153}', 153, Quality.GOOD),
    (b"153", 153, Quality.GOOD),
    (b'{"value": 153, "quality": 64}', 153, Quality.UNCERTAIN),
    (b'{"value": 153, "quality": "uncertain"}', 153, Quality.UNCERTAIN),
]


@pytest.mark.parametrize(("payload", "value", "quality"), SPELLINGS)
def test_condition_person_and_record_read_one_value(payload: bytes, value: float | None, quality: Quality) -> None:
    stored = parse_payload(payload, now_us=1_800_000_000_000_000)
    assert (stored.value, stored.state) == (value, quality)
    live = parse_live(TOPICS, Message(topic=TOPIC, payload=payload, qos=1, retain=False))
    assert (live.value, live.quality) == (value, quality.name)
    heard = Heard()
    heard.receive(payload)
    assert heard.holds("{a/l/d/t} > 100") is (True if quality is Quality.GOOD else None)
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy(float("inf"), uncertain=True)) is (
        None if value is None else True
    )


@pytest.mark.parametrize("payload", [b'{"value": 1, "timestamp": "yesterday"}', b"", b"{", b'{"temperature": 1}'])
def test_what_the_record_refuses_is_no_value(payload: bytes) -> None:
    heard = Heard()
    heard.receive(b"150")
    heard.receive(payload)
    assert heard.holds("{a/l/d/t} > 100") is None


def test_a_value_of_a_gateway_is_as_fresh_as_its_last_sign_of_life() -> None:
    heard = Heard(gateway="gw")
    heard.receive({"value": 150, "timestamp": 1}, retained=True)
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is None
    assert "unknown age" in heard.values.objection(PATH, ValuePolicy())
    heard.values.alive("gw")
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is True, "it stands still, and its gateway lives"
    heard.clock.step(10**12)
    heard.clock._monotonic_s += READ_AGE_S + 1
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is None
    assert f"{READ_AGE_S + 1:.0f} s old" in heard.values.objection(PATH, ValuePolicy())
    heard.values.alive("another")
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is None
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy(60.0)) is True


def test_a_value_of_others_is_as_old_as_it_says() -> None:
    heard = Heard()
    now_ms = heard.clock.now_us() // 1000
    heard.receive({"value": 150, "timestamp": now_ms - 30_000}, retained=True)
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is True
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy(10.0)) is None
    heard.receive({"value": 150, "timestamp": now_ms - 1000 * (int(OTHERS_AGE_S) + 1)})
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is None
    heard.receive(b"150", retained=True)
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is None, "of unknown age"
    heard.receive(b"150")
    assert heard.holds("{a/l/d/t} > 100", ValuePolicy()) is True


def test_a_value_in_the_unit_of_before_a_deployment_does_not_count() -> None:
    heard = Heard(gateway="gw", unit="degF")
    heard.receive({"value": 20, "unit": "degC"})
    assert heard.holds("{a/l/d/t} < 38") is None
    assert "degF" in Condition("{a/l/d/t} < 38", heard.tags).objection(heard.values, ANY)
    heard.receive({"value": 68, "unit": "degF"})
    assert heard.holds("{a/l/d/t} > 38") is True


@pytest.mark.parametrize(("payload", "value"), [(b'{"value": {"a": 1}, "quality": 7}', None), (b"[1]", [1])])
def test_people_see_what_there_is(payload: bytes, value: object) -> None:
    live = parse_live(TOPICS, Message(topic=TOPIC, payload=payload, qos=1, retain=False))
    assert live.value == value
    assert json.dumps(live.to_json())
