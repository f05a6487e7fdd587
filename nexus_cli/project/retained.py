"""`nexus retained`: what a broker keeps on topics without an owner; looked at over MQTT, cleared through control."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.access.globs import matches_glob
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.procedure_config import filter_of
from nexus_cli.model.resources import decode
from nexus_cli.model.unowned import unowned
from nexus_cli.project.write import site_topics
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control_steering import Cleared
from nexus_cli.wire.http_steering import SteeringClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

QUIET_S = 1.0
"""MQTT has no end of the retained messages: a broker sends them at once, and this pause ends the wait."""
LONGEST_LOOK_S = 20.0
BATCH = 2_000
"""Resources in one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A retained message without an owner.

    Attributes:
        topic: Where.
        size: Of the payload, in bytes.
    """

    topic: str
    size: int


async def listing(*, settings: Settings | None = None) -> list[Kept]:
    """The retained messages below the site without an owner, by topic.

    Raises:
        NexusError: NX6010 to NX6012 the broker, NX6400, NX6401 control is away or refuses.
    """
    settings = settings or load_settings()
    topics = site_topics(settings)
    kept = await _kept(topics, settings)
    async with SteeringClient(settings) as control:
        resources = await _resources(control, kept, topics)
    tags, globs, messages = _owners(resources)
    found = unowned(
        kept,
        topics,
        declared=tags.__contains__,
        external=lambda path: any(matches_glob(glob, path) for glob in globs),
        messages=messages,
    )
    return [Kept(topic=topic, size=kept[topic]) for topic in found]


async def clear(topics: Sequence[str], *, preview: bool, settings: Settings | None = None) -> Cleared:
    """Clear topics through control, or say what would be cleared.

    Raises:
        NexusError: NX6935 one has an owner, NX6411 one is outside of the caller's `apply`; NX6400, NX6401.
    """
    async with SteeringClient(settings or load_settings()) as control:
        return await control.clear_retained(topics, preview=preview)


async def _kept(topics: Topics, settings: Settings) -> dict[str, int]:
    """Size by topic of everything that the broker keeps below the site."""
    client = BrokerClient(settings=settings, client_id=client_id(settings, "retained"))
    found: dict[str, int] = {}
    async with client.session() as messages:
        await client.subscribe([(f"{topics.live}/#", 0)])
        end_s = asyncio.get_running_loop().time() + LONGEST_LOOK_S
        while (left_s := end_s - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(min(QUIET_S, left_s)):
                    message = await anext(messages)
            except TimeoutError:
                break
            if message.retain and message.payload:
                found[message.topic] = len(message.payload)
    return found


async def _resources(control: SteeringClient, kept: Mapping[str, int], topics: Topics) -> dict[str, JsonObject]:
    """The recorded messages and external devices, and the devices that the kept topics name."""
    addresses = set((await control.state()).digests)
    named = {"/".join((topics.path(topic) or "").split("/")[:3]) for topic in kept}
    # Which devices are external only their attributes say; what others publish under their globs is theirs.
    wanted = sorted(each for each in addresses if each.startswith(("message.", "device.")))
    found: dict[str, JsonObject] = {}
    for start in range(0, len(wanted), BATCH):
        for address, value in (await control.resources(wanted[start : start + BATCH])).items():
            external = value.get("protocol") == EXTERNAL
            if address.startswith("message.") or external or address.removeprefix("device.") in named:
                found[address] = value
    return found


def _owners(resources: Mapping[str, JsonObject]) -> tuple[set[str], list[str], list[str]]:
    """Paths of tags, globs of other systems, filters of messages."""
    tags: set[str] = set()
    globs: list[str] = []
    messages: list[str] = []
    for address, value in resources.items():
        kind, _, name = address.partition(".")
        if kind == "message":
            messages.append(filter_of(str(value.get("topic", ""))))
            continue
        device = decode(value, DeviceOutline)
        tags.update(f"{name}/{tag}" for tag in device.tags)
        globs += device.globs
    return tags, globs, messages
