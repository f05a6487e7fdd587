"""What the gate measures: from a message to the broker's acknowledgement, at no cost per live value."""

from __future__ import annotations

import asyncio

import pytest

from nexus_cli.runtime.gateway.outbox.gate import FENCE, FENCE_S, Gate
from nexus_cli.runtime.latency import Latency
from tests.clock import FakeClock
from tests.unit.runtime.gateway.outbox.test_gate import Client


class Sending(Client):
    """A client that takes live values, too."""

    def send_many(self, heads: object, payloads: object, tokens: list[int], *, qos: int, retain: bool) -> None:
        """Those of QoS 0 are never acknowledged."""
        if qos:
            self.open += tokens

    def fence(self, token: int) -> None:
        """The answer is the test's."""
        self.open.append(token)


class Measured:
    """A gate, what it measures, and time."""

    def __init__(self) -> None:
        self.client, self.clock = Sending(), FakeClock()
        self.latency = Latency(self.clock)
        self.gate = self.client.gate = Gate(self.client, clock=self.clock, latency=self.latency)  # type: ignore[arg-type]

    def many(self, *tokens: int, qos: int) -> None:
        self.gate.post_many([b"t"] * len(tokens), [b"1"] * len(tokens), list(tokens), qos=qos, retain=True)

    def found(self) -> tuple[int, float]:
        """How many were measured, and the longest in ms."""
        minute = self.latency.read().minute
        return minute.count, minute.max_ms


def test_each_record_is_measured_until_its_acknowledgement() -> None:
    one = Measured()
    one.gate.post(1, "a", b"1")
    one.clock.advance(0.25)
    one.gate.post(2, "a", b"2")
    one.clock.advance(0.5)
    assert one.found() == (0, 0.0)
    one.client.acknowledge(2)
    assert one.found() == (2, pytest.approx(750.0))
    one.gate.acknowledged([1])
    assert one.found()[0] == 2, "the same once more is none"


def test_one_live_value_of_qos_1_at_a_time() -> None:
    one = Measured()
    one.many(-1, -2, -3, qos=1)
    one.clock.advance(0.1)
    one.many(-4, qos=1)
    one.client.acknowledge(2)
    assert one.found() == (0, 0.0)
    one.clock.advance(0.1)
    one.client.acknowledge(2)
    assert one.found() == (1, pytest.approx(200.0)), "the last one of the first call"
    one.many(-5, qos=1)
    one.clock.advance(0.3)
    one.gate.acknowledged([-5])
    assert one.found() == (2, pytest.approx(300.0))


def test_of_qos_0_each_fence() -> None:
    one = Measured()
    one.many(-1, -2, qos=0)
    assert one.client.open == [FENCE]
    one.clock.advance(0.04)
    one.client.acknowledge(1)
    assert one.found() == (1, pytest.approx(40.0))
    one.clock.advance(FENCE_S)
    one.many(-3, qos=0)
    one.gate.acknowledged([FENCE])
    one.gate.acknowledged([FENCE])
    assert one.found()[0] == 2, "an answer that nobody asked for is none"


def test_what_a_connection_took_with_it_is_not_measured() -> None:
    one = Measured()
    one.gate.post(1, "a", b"1")
    one.many(-1, qos=1)
    one.many(-2, qos=0)
    one.client.lose()
    one.gate.reconnected()
    one.clock.advance(5.0)
    one.gate.acknowledged([1, -1, FENCE])
    assert one.found() == (0, 0.0)
    one.many(-1, qos=1)
    one.clock.advance(0.2)
    one.gate.acknowledged([-1])
    assert one.found() == (1, pytest.approx(200.0))


async def test_a_suspect_that_goes_alone() -> None:
    one = Measured()
    posted = asyncio.ensure_future(one.gate.post_alone(1, "a", b"1"))
    await asyncio.sleep(0)
    one.clock.advance(0.125)
    one.client.acknowledge(1)
    assert await posted
    assert one.found() == (1, 125.0)
