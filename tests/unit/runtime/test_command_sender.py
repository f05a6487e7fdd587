"""Only the gateway of a device answers a command to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.command_sender import CommandSender
from nexus_cli.runtime.latency import Latency
from nexus_cli.wire.command import Response, State, encode
from nexus_cli.wire.signature import HMAC, KeyRules, checker, hmac_signature, open_envelope, signed_bytes
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

TOPICS = Topics("acme", "chicago")


class _Posted:
    """A client that notes what is posted."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def post(self, topic: str, payload: bytes, **_: Any) -> asyncio.Future[None]:
        self.topics.append(topic)
        return asyncio.get_running_loop().create_future()


async def test_an_answer_of_another_gateway_is_no_answer() -> None:
    client = _Posted()
    hands = CommandSender(client, TOPICS, principal="nexus.control", clock=FakeClock(), latency=Latency(FakeClock()))  # type: ignore[arg-type]
    hands.gateways = {"a/l/drive": "gw-1"}
    forged = encode(Response(id="one", state=State.DONE, path="a/l/drive/speed"))
    true = encode(Response(id="one", state=State.REFUSED, path="a/l/drive/speed", code="NX6806"))
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(
            hands.write(
                "a/l/drive/speed", command_id="one", value=1, expect=None, expects=False, timeout_s=30.0, reason=""
            )
        )
        while not client.topics:
            await asyncio.sleep(0)
        assert hands.receive(TOPICS.response("gw-2", "nexus.control", "one"), forged)
        assert hands.receive(TOPICS.response("gw-1", "nexus.control", "one"), true)
    assert writing.result().state is State.REFUSED


@pytest.mark.parametrize(
    "topic",
    [
        TOPICS.response("gw-1", "desk", "one"),
        f"{TOPICS.platform}/response/nexus.control/one",
        f"{TOPICS.platform}/response/gw-1/nexus.control/one/more",
        f"{TOPICS.platform}/response//nexus.control/one",
    ],
)
def test_what_is_no_answer_to_us_is_left_to_others(topic: str) -> None:
    hands = CommandSender(_Posted(), TOPICS, principal="nexus.control", clock=FakeClock(), latency=Latency(FakeClock()))  # type: ignore[arg-type]
    assert not hands.receive(topic, b"{}")


class _Published:
    """A client that notes what is published."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes, int, bool]] = []

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        self.heard.append((topic, payload, qos, retain))


async def test_declared_messages_are_signed_where_the_site_wants_that_and_else_left_as_they_are() -> None:
    client, clock = _Published(), FakeClock()
    hands = CommandSender(client, TOPICS, principal="nexus.control", clock=clock, latency=Latency(clock))  # type: ignore[arg-type]
    secret = "a-secret-of-at-least-thirty-two-bytes"
    hands.signer = "own", hmac_signature(secret)
    await hands.publish("erp/orders", b"{}", qos=1, retain=False)
    hands.sign_messages = True
    await hands.publish("erp/orders", b"{}", qos=1, retain=True)
    (bare, sealed) = client.heard
    assert bare == ("erp/orders", b"{}", 1, False) and (sealed[0], *sealed[2:]) == ("erp/orders", 1, True)
    found = open_envelope(sealed[1])
    assert (found.key, found.time_us, found.payload) == ("own", clock.wall_us(), b"{}")
    signed = signed_bytes(key="own", topic="erp/orders", time_us=found.time_us, nonce=found.nonce, payload=b"{}")
    rules = KeyRules(algorithm=HMAC, principals=["nexus.control"])
    assert checker(rules, secret=secret)(signed, found.signature)
    hands.signer = None
    with pytest.raises(NexusError) as caught:
        await hands.publish("erp/orders", b"{}", qos=1, retain=False)
    assert caught.value.code == "NX6469" and len(client.heard) == 2
