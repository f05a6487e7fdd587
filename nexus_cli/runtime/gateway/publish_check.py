"""A canary: published after every connect and awaited back, because a refused publish can be silent (MQTT 3.1.1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient

_log = logging.getLogger("nexus.broker")
ECHO_S = 5.0
"""How long an echo may take, in seconds."""
AGAIN_S = 30.0
"""When a canary that stayed silent is sent again, in seconds."""


class PublishCheck:
    """Says whether the broker passes on what we publish.

    Attributes:
        state: `waiting`, `echoed` or `silent`; shown in health.
    """

    def __init__(self, client: BrokerClient, *, topic: str, changed: Callable[[], None]) -> None:
        """Prove a topic that only we may publish and hear."""
        self.state = "waiting"
        self._client, self._topic, self._changed = client, topic, changed
        self._token = b""
        self._wanted = asyncio.Event()
        self._echoed = asyncio.Event()

    @property
    def silent(self) -> bool:
        """True when an echo did not come."""
        return self.state == "silent"

    def send(self) -> None:
        """The broker is there (again): prove it."""
        self._wanted.set()

    def receive(self, payload: bytes) -> None:
        """Something came on the canary's topic."""
        if payload == self._token:
            self._echoed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send when asked, until stopped."""
        loop = asyncio.get_running_loop()
        again_s = 0.0
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await (self._wanted if self._client.connected and not self._wanted.is_set() else stop).wait()
            due = self._wanted.is_set() or (self.silent and loop.time() >= again_s)
            if due and self._client.connected and not stop.is_set():
                self._wanted.clear()
                await self._prove()
                again_s = loop.time() + AGAIN_S

    async def _prove(self) -> None:
        self._token = secrets.token_hex(8).encode()
        self._echoed.clear()
        try:
            async with asyncio.timeout(ECHO_S):
                await self._client.publish(self._topic, self._token, qos=1)
                await self._echoed.wait()
        except NexusError:
            return  # the connection went; the next connect asks again
        except TimeoutError:
            if self._client.connected:
                self._to("silent")
            return
        self._to("echoed")

    def _to(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._changed()
            if state == "silent":
                hint = "load this gateway's grants into the broker: nexus access render"
                event(_log, "the broker drops what we publish", level=logging.ERROR, code="NX6012", hint=hint)
