"""Checks that the broker passes on what this gateway publishes: a message on a topic of its own is published after each
connect and must come back. MQTT 3.1.1 has no negative PUBACK, so a broker may drop a refused publish without notice."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient

_log = logging.getLogger("nexus.broker")
ECHO_S = 5.0
"""How long an echo may take, in seconds."""
AGAIN_S = 30.0
"""When the message is sent again if it did not come back, in seconds."""


class PublishCheck:
    """Publishes to itself, to find out whether the broker drops its messages.

    Attributes:
        state: `waiting`, `echoed` or `silent`; shown in health.
    """

    def __init__(self, client: BrokerClient, *, topic: str, changed: Callable[[], None]) -> None:
        """Check with a topic to which only this process may publish and subscribe."""
        self.state = "waiting"
        self._client, self._topic, self._changed = client, topic, changed
        self._token = b""
        self._wanted = asyncio.Event()
        self._echoed = asyncio.Event()

    @property
    def silent(self) -> bool:
        """True when the message did not come back."""
        return self.state == "silent"

    def send(self) -> None:
        """Check again, after each connect."""
        self._wanted.set()

    def receive(self, payload: bytes) -> None:
        """Take a message of the topic."""
        if payload == self._token:
            self._echoed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Check on request, until stopped."""
        loop = asyncio.get_running_loop()
        again_s = 0.0
        while not stop.is_set():
            await wait_for(
                self._wanted if self._client.connected and not self._wanted.is_set() else stop, timeout_s=0.5
            )
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
            return  # the connection ended; the next connect checks again
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
