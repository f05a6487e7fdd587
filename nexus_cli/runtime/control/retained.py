"""Clears retained messages of removed tags, alerts and gateways that a broker has restored.

A killed broker restarts with its last saved state, including values, alerts and gateways that were cleared since. So
after each connect, and every hour, control requests the retained messages of exactly those topics that NEXUS once
published and that are no longer declared, and clears them. It never reads the whole live view, and never touches an
unknown topic, which belongs to another system.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from nexus_cli.access.globs import matches_glob
from nexus_cli.database.aliases import aliases
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.database.retired import Retired, retired
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group, first_of_group
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.drift_alarm import PREFIX
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.lifecycle import tasks, wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Awaitable[None]]
PERIOD_S = 3600.0
SILENT_S = 35.0
"""A gateway publishes its health every 10 s. An undeclared one that is silent for this long after a connect has ended,
in seconds."""
RETRY_S = 5.0
ECHO_S = 20.0
"""Limit for receiving the retained messages after a subscribe, in seconds."""
OLD_PATH_S = 2.0
"""How long after its end the topics of an old path (`keep_old_for`) are looked at, in seconds."""
SETTLE_S = 0.5
"""Extra wait, in seconds: amqtt sends retained messages out of order with other messages."""
BATCH = 200
"""Topics cleared at once."""

_log = logging.getLogger("nexus.control")


@dataclass(slots=True)
class Found:
    """Topics with a retained message, and topics with a live one."""

    retained: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)

    def receive(self, message: Message) -> None:
        """Take a message of the session."""
        if message.payload:
            (self.retained if message.retain else self.live).add(message.topic)


class Retained:
    """Finds retained messages of removed resources, and clears them.

    Attributes:
        cleared: Messages cleared so far.
        quiet: Held while a deployment runs, and by who clears.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        publish: Publish,
        quiet: asyncio.Lock,
        gateway_heard: Callable[[str], float | None],
        client_id: Callable[[], str],
        clock: Clock,
    ) -> None:
        """Join the parts.

        Args:
            settings: Broker and site.
            pool: The database with the declared state.
            publish: Publishes a retained message; an empty one clears the topic.
            quiet: Held while a deployment runs: what it declares meanwhile must not be cleared.
            gateway_heard: Monotonic time of a gateway's last live message; None for never.
            client_id: Makes a new client id for each session.
            clock: Monotonic time.
        """
        self._settings, self._pool, self._publish, self.quiet = settings, pool, publish, quiet
        self._gateway_heard, self._client_id, self._clock = gateway_heard, client_id, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self._wanted = asyncio.Event()
        self._connected_s = 0.0
        self.cleared = 0

    def connected(self) -> None:
        """Call after each connect: the broker may have restored an older state."""
        self._connected_s = self._clock.monotonic_s()
        self._wanted.set()

    def look(self) -> None:
        """Check soon, after something was removed or has returned."""
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Check after each connect, again after `SILENT_S`, and hourly."""
        wait_s = PERIOD_S
        while not stop.is_set():
            await first_of(stop, self._wanted, timeout_s=wait_s)
            if stop.is_set():
                return
            self._wanted.clear()
            try:
                await self.reconcile()
                early = self._clock.monotonic_s() - self._connected_s < SILENT_S
                wait_s = min(SILENT_S if early else PERIOD_S, await self._until_an_old_path_ends())
            except NexusError as error:
                event(_log, "retained messages are not looked at", level=logging.DEBUG, cause=error.message)
                wait_s = RETRY_S

    async def reconcile(self) -> int:
        """Check once; returns the number of cleared messages.

        Raises:
            NexusError: The broker or the database is unreachable, or this control does not lead.
        """
        known = await self._retired()
        found = await self._read([self._topics.tag(path) for path in known.paths], platform=self._filters())
        mine = {self._topics.tag(path): path for path in known.paths}
        paths = [mine[topic] for topic in sorted(found.retained - found.live) if topic in mine]
        gone = self._gone(found, known)
        count = 0
        for start in range(0, len(paths), BATCH):
            count += await self._clear_paths(paths[start : start + BATCH])
        async with self.quiet:
            again = self._gone(found, await self._retired(among=()))
            count += await self.clear([topic for topic in gone if topic in again])
        if count:
            event(_log, "cleared what the broker kept of removed things", topics=count)
        self.cleared += count
        return count

    async def _until_an_old_path_ends(self) -> float:
        """Seconds until the next one is published no more, and a little longer: its gateway ends it by its own clock."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                left = [each.left_us for each in await aliases(conn, site=self._settings.site) if each.left_us]
        return min(left, default=PERIOD_S * 1e6) / 1e6 + OLD_PATH_S

    async def _clear_paths(self, paths: Sequence[str]) -> int:
        async with self.quiet:  # what was declared again meanwhile is not cleared
            still = await self._retired(among=paths)
            return await self.clear([self._topics.tag(path) for path in still.paths])

    async def kept(self, topics: Sequence[str]) -> set[str]:
        """Those of the topics on which the broker keeps a message. Raises NexusError NX6010."""
        return (await self._read(topics, platform=())).retained if topics else set()

    async def clear(self, topics: Sequence[str]) -> int:
        """Clear topics; gives their number. Hold `quiet` meanwhile. Raises NexusError NX6010."""
        for start in range(0, len(topics), BATCH):
            try:
                async with Group() as group:
                    for topic in topics[start : start + BATCH]:
                        group.create_task(self._clear_one(topic), name=f"clear {topic}")
            except* NexusError as failed:
                raise first_of_group(failed) from None
        return len(topics)

    async def _clear_one(self, topic: str) -> None:
        await self._publish(topic, b"")

    async def _retired(self, among: Sequence[str] | None = None) -> Retired:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                known = await retired(conn, self._settings.site, among=among)
        paths = tuple(path for path in known.paths if not any(matches_glob(glob, path) for glob in known.globs))
        return replace(known, paths=paths)

    def _filters(self) -> list[str]:
        topics = self._topics
        return [topics.alert("+"), *(make("+") for make in self._of_gateway())]

    def _of_gateway(self) -> list[Callable[[str], str]]:
        topics = self._topics
        return [topics.config, topics.observed, topics.committed, lambda name: topics.health("gateway", name)]

    def _gone(self, found: Found, known: Retired) -> list[str]:
        """Platform topics of alerts and gateways that are not declared; of gateways only when they are silent."""
        gone: list[str] = []
        waited = self._clock.monotonic_s() - self._connected_s >= SILENT_S
        prefixes = [(make(""), make) for make in self._of_gateway()]
        for topic in sorted(found.retained):
            name = topic.removeprefix(self._topics.alert(""))
            if name != topic:
                if name not in known.alerts and not name.startswith(PREFIX):
                    gone.append(topic)
                continue
            name = next((topic[len(prefix) :] for prefix, _ in prefixes if topic.startswith(prefix)), "")
            if name and name not in known.gateways and waited and self._silent(name) and topic not in found.live:
                gone.append(topic)
        return gone

    def _silent(self, gateway: str) -> bool:
        heard_s = self._gateway_heard(gateway)
        return heard_s is None or self._clock.monotonic_s() - heard_s >= SILENT_S

    async def _read(self, topics: Iterable[str], *, platform: Sequence[str]) -> Found:
        """Read the retained messages of these topics, in a separate session, so that control's main one does not
        wait."""
        found = Found()
        client = BrokerClient(settings=self._settings, client_id=self._client_id())
        canary, token = self._topics.canary(self._settings.principal), secrets.token_hex(8).encode()
        echoed = asyncio.Event()
        async with client.session() as messages, tasks("retained messages") as group:

            async def read() -> None:
                async for message in messages:
                    if message.topic != canary:
                        found.receive(message)
                    elif message.payload == token:
                        echoed.set()

            reader = group.create_task(read(), name="retained messages")
            await client.subscribe([(canary, 1), *((filter_, 1) for filter_ in platform)])
            await client.subscribe([(topic, 1) for topic in topics])
            await client.publish(canary, token)
            await wait_for(echoed, timeout_s=ECHO_S)
            await self._clock.sleep(SETTLE_S)
            reader.cancel()
        return found
