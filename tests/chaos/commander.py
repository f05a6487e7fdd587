"""Commands during a run: one value after the other, each with an id of its own, some sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import orjson

from nexus_cli.wire.topic import Topics
from tests.chaos.parts import PANEL
from tests.chaos.site import ENTERPRISE, NAME, Device

TOPICS = Topics(ENTERPRISE, NAME)
EVERY_S = 1.5
AGAIN_S = 6.0
"""A command without an answer is sent a second time with its id after so long."""
EXPIRES_S = 20.0


@dataclass(slots=True, kw_only=True)
class Sent:
    """A command that was sent.

    Attributes:
        value: Unlike any other's.
        answers: States heard, in order.
    """

    id: str
    device: Device
    value: int
    at_s: float
    body: bytes
    again: bool = False
    answers: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Commander:
    """Sends as the panel and hears its answers.

    Attributes:
        sent: Every command by id.
        lost: How often its own session ended.
    """

    port: int
    password: str
    devices: list[Device]
    sent: dict[str, Sent] = field(default_factory=dict)
    lost: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Send until stopped; connects again whenever the broker went away."""
        numbers = itertools.count(1_000_000)
        while not stop.is_set():
            try:
                await self._session(stop, numbers)
            except* (aiomqtt.MqttError, TimeoutError):
                self.lost += 1
            await asyncio.sleep(1)

    async def _session(self, stop: asyncio.Event, numbers: Iterator[int]) -> None:
        async with aiomqtt.Client("127.0.0.1", self.port, username=PANEL, password=self.password, timeout=10) as client:
            await client.subscribe(TOPICS.response("+", PANEL, "+"), qos=1)
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self._hear(client))
                await self._send(client, stop, numbers)
                await asyncio.sleep(3)  # the last answers
                hearing.cancel()

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            body: Any = orjson.loads(message.payload)
            if body.get("id") in self.sent:
                self.sent[body["id"]].answers.append(str(body.get("state")))

    async def _send(self, client: aiomqtt.Client, stop: asyncio.Event, numbers: Iterator[int]) -> None:
        while not stop.is_set():
            number = next(numbers)
            device = self.devices[number % len(self.devices)]
            expires_us = time.time_ns() // 1000 + int(EXPIRES_S * 1e6)
            one = f"q{number}"
            body = orjson.dumps({"id": one, "value": number, "expires_at": expires_us})
            self.sent[one] = Sent(id=one, device=device, value=number, at_s=time.monotonic(), body=body)
            await self._publish(client, self.sent[one])
            for waiting in self._unanswered():
                waiting.again = True
                await self._publish(client, waiting)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()

    def _unanswered(self) -> list[Sent]:
        now_s = time.monotonic()
        return [one for one in self.sent.values() if not one.answers and not one.again and now_s - one.at_s > AGAIN_S]

    @staticmethod
    async def _publish(client: aiomqtt.Client, one: Sent) -> None:
        await client.publish(TOPICS.command(f"{one.device.path}/command", PANEL), one.body, qos=2, timeout=15)
