"""Control and web take values of external devices only as `SignedValues` lets them; tags of gateways pass as they are."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.runtime.control.live_intake import LiveIntake
from nexus_cli.runtime.control.sequences.live_values import LiveValues, ValuePolicy
from nexus_cli.runtime.signed_values import SignedValues
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.signed_topics import SignedTopics
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.message import Message
from nexus_cli.wire.signature import HMAC, KeyRules, SignatureRules, hmac_signature, seal
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

TOPICS = Topics("acme", "chicago")
SCALE, METER = "a/l/scale", "a/l/meter"
WEIGHT, SPEED = TOPICS.tag(f"{SCALE}/weight"), TOPICS.tag(f"{METER}/speed")
SECRET = "a-secret-of-at-least-thirty-two-bytes"
KEYS = {"k": {"algorithm": HMAC, "secret": "${env:SCALES}", "principals": ["scales"], "topics": [f"{SCALE}/**"]}}
SIGNATURES: dict[str, Any] = {"require": ["external"], "window_ms": 30_000, "keys": KEYS}
ANY = ValuePolicy(float("inf"))


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALES", SECRET)


def sealed(clock: FakeClock, payload: bytes, *, ahead_s: float = 0.0) -> bytes:
    time_us = clock.now_us() + int(ahead_s * 1e6)
    return seal(key="k", sign=hmac_signature(SECRET), topic=WEIGHT, payload=payload, time_us=time_us)


class Alerts:
    """Stands for what evaluates alerts."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def receive(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        self.heard.append((topic, payload))


def test_alerts_and_sequences_never_hear_what_is_refused() -> None:
    clock, alerts = FakeClock(), Alerts()
    values = LiveValues(TOPICS, clock=clock)
    values.want([f"{SCALE}/weight", f"{METER}/speed"])
    values.gateways = {METER: "gw-1"}
    signed = SignedValues(wall_us=clock.wall_us, kept=False)
    live = LiveIntake(TOPICS, alerting=alerts, values=values, signed=signed)  # type: ignore[arg-type]
    rules = {name: KeyRules(**each) for name, each in KEYS.items()}
    live.receive(Message(WEIGHT, b'{"value": 1}', 1, False))
    assert values.of([f"{SCALE}/weight"], ANY) == {f"{SCALE}/weight": 1}, "nothing is required yet"
    signed.configured(SignatureRules(require=["external"], keys=rules))
    clock.advance(1)
    right = sealed(clock, b'{"value": 2}')
    for payload in (right, b'{"value": 3}', sealed(clock, b'{"value": 4}', ahead_s=-31), right):
        live.receive(Message(WEIGHT, payload, 1, False))
    live.receive(Message(WEIGHT, sealed(clock, b'{"value": 5}', ahead_s=-31), 1, True))
    assert values.of([f"{SCALE}/weight"], ANY) == {f"{SCALE}/weight": 2}
    live.receive(Message(SPEED, b'{"value": 6}', 1, False))
    assert values.of([f"{METER}/speed"], ANY) == {f"{METER}/speed": 6}
    assert [topic for topic, _ in alerts.heard] == [WEIGHT, WEIGHT, SPEED]
    assert signed.refused == {"not_signed": 1, "signature_time": 1, "signature_replayed": 1}


class Keeper:
    """Stands for what reads the recorded site."""

    def __init__(self, cache: LiveCache) -> None:
        self._cache = cache
        self.changed: list[Any] = []
        self.view = SiteView.of(TOPICS, 0, {}, cache)

    def record(self, signatures: dict[str, Any], *, without: str = "") -> None:
        scale = {"path": SCALE, "protocol": "external", "tags": {"weight": {"type": "float64"}}}
        meter = {"path": METER, "protocol": "modbus", "gateway": "gw-1", "tags": {"speed": {"type": "float64"}}}
        site = {"enterprise": "acme", "site": "chicago", "signatures": signatures}
        resources = {"site": site, f"device.{SCALE}": scale, f"device.{METER}": meter}
        resources.pop(f"device.{without}", None)
        self.view = SiteView.of(TOPICS, self.view.number + 1, resources, self._cache)
        for each in self.changed:
            each()


def test_the_page_keeps_the_value_of_before_and_shows_nothing_that_came_before_the_rules() -> None:
    clock = FakeClock()
    cache = LiveCache(now_us=clock.wall_us)
    keeper = Keeper(cache)
    signed = SignedTopics(TOPICS, keeper=keeper, cache=cache, wall_us=clock.wall_us)  # type: ignore[arg-type]

    def shown(topic: str) -> Any:
        return cache.read(cache.slot(topic)).value

    clock.advance(1)
    signed.take(Message(WEIGHT, b'{"value": 1}', 0, True))
    signed.take(Message(SPEED, b'{"value": 7}', 0, True))
    keeper.record(SIGNATURES)
    assert shown(WEIGHT) is None and shown(SPEED) == 7
    signed.take(Message(WEIGHT, sealed(clock, b'{"value": 2}'), 0, False))
    signed.take(Message(WEIGHT, b'{"value": 3}', 0, False))
    signed.take(Message(SPEED, b'{"value": 8}', 0, False))
    assert shown(WEIGHT) == 2 and shown(SPEED) == 8
    keeper.record({**SIGNATURES, "window_ms": 60_000})
    assert shown(WEIGHT) == 2, "a new deployment takes nothing back"
    assert signed.values.refused == {"not_signed": 2}


def test_what_was_kept_before_the_rules_is_shown_when_its_signature_is_good() -> None:
    clock = FakeClock()
    cache = LiveCache(now_us=clock.wall_us)
    keeper = Keeper(cache)
    signed = SignedTopics(TOPICS, keeper=keeper, cache=cache, wall_us=clock.wall_us)  # type: ignore[arg-type]
    signed.take(Message(WEIGHT, sealed(clock, b'{"value": 2}', ahead_s=-3600), 0, True))
    keeper.record(SIGNATURES)
    assert cache.read(cache.slot(WEIGHT)).value == 2
    assert cache.read(cache.slot(WEIGHT)).time_us == clock.now_us() - 3_600_000_000


def test_what_came_before_its_device_was_declared_is_checked_when_it_is() -> None:
    clock = FakeClock()
    cache = LiveCache(now_us=clock.wall_us)
    keeper = Keeper(cache)
    signed = SignedTopics(TOPICS, keeper=keeper, cache=cache, wall_us=clock.wall_us)  # type: ignore[arg-type]
    keeper.record(SIGNATURES, without=SCALE)
    signed.take(Message(WEIGHT, b'{"value": 1}', 0, False))
    keeper.record(SIGNATURES)
    assert cache.read(cache.slot(WEIGHT)).value is None and signed.values.refused == {"not_signed": 1}
