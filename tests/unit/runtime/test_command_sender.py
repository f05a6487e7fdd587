"""Only the gateway of a device answers a command to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nexus_cli.runtime.command_sender import CommandSender
from nexus_cli.runtime.latency import Latency
from nexus_cli.wire.command import Response, State, encode
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
