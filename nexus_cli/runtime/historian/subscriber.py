"""The historian's subscriptions, alone or as one of several, and the retained messages that it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from nexus_cli.access.grants_file import in_force
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.historian.batcher import Batcher
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.retained import QUIET_S, fetch_retained
from nexus_cli.runtime.historian.shared_subscriptions import broker_shares
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import share_group
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.historian.subscriber")
RETRY_S = 2.0


class Subscriber:
    """Subscribes gateways' data at each connect, and external topics whenever external devices are added or changed.

    Attributes:
        shared: True when the broker delivers each message to one historian of the group.
        listening: True once everything was subscribed, or tried.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        client: BrokerClient,
        inbound_queue: InboundQueue,
        external_topics: ExternalTopics,
        batcher: Batcher,
        following: StateWatch,
        on_connected: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Join the parts; `run` and `follow` do the work."""
        self._settings, self._topics, self._client, self._inbound = settings, topics, client, inbound_queue
        self._external, self._batcher, self._following = external_topics, batcher, following
        self._on_connected, self._on_lost = on_connected, on_lost
        self._live = f"{topics.live}/"
        self._changed = batcher.filters_changed
        self._have: set[str] = set()
        self._all_retained = False
        self._share = ""
        self.shared = False
        self.listening = False

    def take_all_retained(self) -> None:
        """Take all retained external messages: after a connect, and when this historian gets the turn."""
        self._all_retained = True
        self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until stopped."""
        self.shared = self._batcher.shared = await broker_shares(self._settings, topics=self._topics, stop=stop)
        if self.shared:
            self._client.move_ahead(lambda: bool(in_force(self._settings.home)))
        self._share = f"$share/{share_group(self._settings)}/"
        own = (f"{self._topics.platform}/data/#", self._topics.gap("+"), self._topics.audit("+"))
        subscriptions = [(self._filter(each), 1) for each in own]
        event(_log, "subscribing", shared=self.shared)
        await self._client.run(
            stop,
            subscriptions=[*subscriptions, (self._topics.config("+"), 1)],
            on_message=self._receive_own,
            on_connected=self._connected,
            on_lost=self._on_lost,
        )

    async def follow(self, stop: asyncio.Event) -> None:
        """Subscribe added and changed external devices at once; a failed subscription is retried."""
        while not stop.is_set():
            if not await wait_for(self._changed, timeout_s=0.25) or not self._client.connected:
                if self._changed.is_set():  # the connect subscribes everything
                    await wait_for(stop, timeout_s=0.25)
                continue
            self._changed.clear()
            try:
                await self._listen(stop)
            except NexusError as error:
                # Frames do not depend on it.
                event(_log, "subscription failed", level=logging.WARNING, cause=error.cause or error.message)
                if await wait_for(stop, timeout_s=RETRY_S):
                    return
                self._changed.set()

    def _filter(self, filter_: str) -> str:
        return f"{self._share}{filter_}" if self.shared else filter_

    async def _connected(self) -> None:
        self._have.clear()
        self._all_retained = True
        try:
            await self._subscribe_external(())
        except NexusError as error:
            # Frames do not depend on it; it is retried.
            event(_log, "subscription failed", level=logging.WARNING, cause=error.cause or error.message)
        self._changed.set()
        self.listening = True
        self._on_connected()

    async def _listen(self, stop: asyncio.Event) -> None:
        """Subscribe new filters, and take their retained messages in one of the historians."""
        filters, fresh = self._external.filters, self._external.fresh_filters
        all_retained, self._all_retained = self._all_retained, False
        try:
            # Without shared subscriptions a broker sends the retained messages at each subscribe, also for an existing
            # filter.
            await self._subscribe_external(() if self.shared else fresh)
            retained = filters if all_retained else [each for each in filters if each in fresh]
            if self.shared and retained and self._following.is_our_turn:
                await fetch_retained(self._settings, filters=retained, put=self._receive, stop=stop)
        except NexusError:
            self._all_retained |= all_retained
            raise
        if fresh and not self.shared:
            await wait_for(stop, timeout_s=QUIET_S)
        self._external.retained_taken(fresh)

    async def _subscribe_external(self, again: Sequence[str]) -> None:
        """Subscribe the new filters, and these once more."""
        wanted = [each for each in self._external.filters if each not in self._have or each in again]
        if wanted:
            await self._client.subscribe([(self._filter(each), 1) for each in wanted])
            self._have.update(wanted)

    def _receive_own(self, message: Message) -> None:
        """A message of the gateways. Some brokers send retained messages to each member of a group as well; those are
        ignored."""
        if not (self.shared and message.retain and message.topic.startswith(self._live)):
            self._receive(message)

    def _receive(self, message: Message) -> None:
        if self._external.signed.values.active and message.topic.startswith(self._live):
            opened = self._external.signed.open(message)
            if opened is None:
                return
            message = opened
        if message.retain and self._external.is_fresh(message.topic):
            message = message._replace(retain=False)
        self._inbound.put(message)
