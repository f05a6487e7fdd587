"""The gateway's session at the broker, and the election of the active instance over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.instance import InstanceElection
from nexus_cli.runtime.health import HealthReporter
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.wire.acknowledging import OnAcknowledged
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message, OnMessage

_log = logging.getLogger("nexus.gateway")
GREET_S = 10.0
"""How long the first messages of a session may take, in seconds; then the gateway reconnects."""
TICK_S = 0.1
"""How often the election is evaluated, in seconds."""


class BrokerSession:
    """Runs the session, and feeds the election with what it receives."""

    def __init__(
        self,
        election: InstanceElection,
        *,
        client: BrokerClient,
        topic: str,
        health: HealthReporter,
        clock: Clock,
        changed: Callable[[], None],
        acknowledged: OnAcknowledged,
    ) -> None:
        """Join the parts.

        Args:
            election: The election.
            client: The session.
            topic: The gateway's own health topic, on which instances detect each other.
            health: Publishes this instance's health.
            clock: Time.
            changed: Called when this instance becomes active or stops being it.
            acknowledged: Gets the tokens of what the broker has acknowledged.
        """
        self._duty, self._client, self._topic = election, client, topic
        self._health, self._clock, self._changed = health, clock, changed
        self._acknowledged = acknowledged
        self._leave = asyncio.Event()

    async def session(
        self,
        stop: asyncio.Event,
        *,
        subscriptions: Sequence[tuple[str, int]],
        on_message: OnMessage,
        on_connected: Callable[[], Awaitable[None]],
    ) -> None:
        """Stay connected until stopped; pause between connects while the broker admits only one of two instances."""

        def take(message: Message) -> None:
            if message.topic != self._topic:
                on_message(message)
            elif self._duty.message(message.payload, retained=message.retain):
                self._answer()

        async def greet() -> None:
            self._duty.connected()
            try:
                async with asyncio.timeout(GREET_S):
                    # A subscription of its own: broker rules that lack it must not make the rest fail.
                    with contextlib.suppress(NexusError):
                        await self._client.subscribe([(self._topic, 1)])
                    await self._health.say()
                    await on_connected()
            except TimeoutError:
                raise NexusError(
                    "The broker does not acknowledge what a new session begins with.",
                    code="NX6010",
                    hint="the connection is made again; `nexus logs broker` may say why",
                    retriable=True,
                ) from None

        while not stop.is_set():
            self._leave.clear()
            async with Group() as group:

                async def relay() -> None:
                    await stop.wait()
                    self._leave.set()

                relaying = group.create_task(relay(), name="stop session")
                await self._client.run(
                    self._leave,
                    subscriptions=subscriptions,
                    on_message=take,
                    on_connected=greet,
                    on_lost=self._lost,
                    on_acknowledged=self._acknowledged,
                )
                relaying.cancel()
            await wait_for(stop, timeout_s=self._duty.pause_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Run the election until stopped."""
        active, said = self._duty.active, ""
        while not stop.is_set():
            if self._duty.tick():
                self._health.changed()
            why = self._duty.why if self._duty.other is not None else ""
            if why and why != said:
                event(_log, why, level=logging.WARNING)
            elif said and self._duty.active:
                event(_log, "the other instance is gone: this one takes over")
            if why or self._duty.active:
                said = why
            if self._duty.active != active:
                active = self._duty.active
                self._changed()
                self._health.changed()
            await self._clock.sleep(TICK_S)

    def _answer(self) -> None:
        """Answer at once: an instance that has just started waits only `SETTLE_S` for it."""
        state = "running" if self._duty.active else "waiting"
        with contextlib.suppress(NexusError):
            self._client.post(self._topic, self._health.payload(state), qos=1, retain=self._duty.active)

    def _lost(self) -> None:
        self._duty.lost()
        if self._duty.pause_s:
            event(_log, self._duty.why, level=logging.WARNING, pause_s=self._duty.pause_s)
            self._leave.set()
        self._health.changed()
