"""Listen to a broker for a while and sort what it says into external devices."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.discover.filters import Wanted, left_out
from nexus_cli.discover.found import Discovery, Skipped
from nexus_cli.discover.online import OnProgress, Progress
from nexus_cli.discover.target import Target
from nexus_cli.discover.topics import from_topics
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id

MOST_TOPICS = 200_000
_REFERENCE = re.compile(r"\$\{(env|file):[^}]+\}")


async def listen(
    target: Target,
    *,
    settings: Settings,
    filters: tuple[str, ...],
    listen_s: float,
    stop: asyncio.Event,
    on_progress: OnProgress,
) -> Mapping[str, bytes]:
    """The newest payload by topic: what the broker kept, and what is published meanwhile.

    Raises:
        NexusError: NX6010, NX6011, NX6012 of the broker; NX6601 for a password that is written out.
    """
    client = BrokerClient(settings=settings_for(target, settings), client_id=client_id(settings, "discover"))
    messages: dict[str, bytes] = {}
    until_s = time.monotonic() + listen_s

    async def read(incoming: Any) -> None:
        async for message in incoming:
            if len(messages) < MOST_TOPICS or message.topic in messages:
                messages[message.topic] = message.payload
            on_progress(Progress(len(messages), 0, 0, message.topic))

    async with client.session() as incoming:
        await client.subscribe([(one, 0) for one in filters])
        async with Group() as group:
            reading = group.create_task(read(incoming), name="listen")
            while time.monotonic() < until_s and not stop.is_set() and not reading.done():
                try:
                    async with asyncio.timeout(min(0.2, max(0.01, until_s - time.monotonic()))):
                        await stop.wait()
                except TimeoutError:
                    continue
            reading.cancel()
    return messages


async def discover_topics(
    target: Target,
    *,
    wanted: Wanted,
    settings: Settings,
    prefix: tuple[str, str],
    own: frozenset[str],
    stop: asyncio.Event,
    on_progress: OnProgress,
) -> Discovery:
    """Everything on a broker as external devices.

    Args:
        target: The broker.
        wanted: `start` is a topic filter; include and exclude are globs over whole topics.
        settings: For our own broker's credentials.
        prefix: Enterprise and site.
        own: Devices of the site that a gateway publishes.
        stop: Ends the listening.
        on_progress: Progress.
    """
    filters = (wanted.start,) if wanted.start else ("#",)
    try:
        messages = await listen(
            target, settings=settings, filters=filters, listen_s=wanted.listen_s, stop=stop, on_progress=on_progress
        )
    except NexusError as error:
        if error.code == "NX6010" and target.text.rstrip("/") != settings.broker_url.rstrip("/"):
            error.hint = "is the name right, and the port (1883; 8883 with TLS: mqtts://)?"  # it is not our own broker
        raise
    taken = {topic: payload for topic, payload in messages.items() if not left_out(tuple(topic.split("/")), wanted)}
    discovery = from_topics(taken, enterprise=prefix[0], site=prefix[1], own=own, source=target.text)
    discovery.skipped += [
        Skipped(topic, left_out(tuple(topic.split("/")), wanted)) for topic in messages if topic not in taken
    ]
    discovery.facts["seconds"] = wanted.listen_s
    return discovery


def settings_for(target: Target, settings: Settings) -> Settings:
    """Ours for our own broker, else what the target says; a password only by reference."""
    connection = target.connection
    user, password = str(connection.get("user", "")), str(connection.get("password", ""))
    if password and not _REFERENCE.search(password):
        raise NexusError(
            "A password is not written on the command line.",
            code="NX6601",
            hint="--password '${env:BROKER_PASSWORD}'",
        )
    same = settings.broker_url.rstrip("/") == target.text.rstrip("/")
    if same and not user:
        return settings
    try:
        return replace(settings, broker_url=target.text, broker_user=resolve(user), broker_password=resolve(password))
    except DriverError as error:
        raise NexusError(f"{error.message}.", code="NX6601") from None
