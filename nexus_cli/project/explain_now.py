"""The state of a tag in its gateway now: the one step of `nexus explain` that is in no file."""

from __future__ import annotations

import asyncio

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.explain.present import Health, what_happens
from nexus_cli.model.config import DeviceConfig
from nexus_cli.project.explain import Chain
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

LONGEST_S = 2.0
"""Wait for the broker, in seconds; `explain` works without it."""


def step_now(chain: Chain) -> tuple[str, str] | None:
    """The step `now` of a tag that a gateway reads; None where no runtime of the same site is known here, or none answers."""
    if chain.device is None or not chain.device.gateway or not chain.device.tags[chain.tag].address:
        return None
    try:
        settings = load_settings()
    except NexusError:
        return None  # what is wrong in the settings is no part of the chain
    if not settings.broker_url or settings.site != chain.site:
        return None
    said = asyncio.run(ask_now(chain.device, chain.tag, settings))
    return ("now", said) if said else None


async def ask_now(device: DeviceConfig, tag: str, settings: Settings) -> str:
    """One sentence from the gateway's newest health message; "" when there is none, or no broker within `LONGEST_S`."""
    # Here, so that an explanation without a runtime loads no MQTT.
    from nexus_cli.wire.client import BrokerClient  # noqa: PLC0415 - MQTT: only beside a runtime

    enterprise, _, site = settings.site.partition("/")
    topic = Topics(enterprise, site).health("gateway", device.gateway)
    try:
        async with asyncio.timeout(LONGEST_S):
            client = BrokerClient(settings=settings, client_id=client_id(settings, "explain"))
            async with client.session() as messages:
                await client.subscribe([(topic, 0)])
                async for message in messages:
                    if message.topic == topic:
                        return what_happens(msgspec.json.decode(message.payload, type=Health), device, tag)
    except (NexusError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return ""
