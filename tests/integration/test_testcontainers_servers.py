"""The broker of a production plant, where Docker answers: EMQX 5.8. TimescaleDB has the mark `every_database`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.slow]


async def test_emqx_keeps_and_delivers(emqx_container: Settings) -> None:
    writer = BrokerClient(settings=emqx_container, client_id="writer")
    async with writer.session():
        await writer.publish("acme/chicago/a/b/c/d", b"kept", retain=True)
    reader = BrokerClient(settings=emqx_container, client_id="reader")
    async with reader.session() as messages:
        await reader.subscribe([("acme/chicago/#", 1)])
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(messages)
    assert (message.topic, message.payload, message.retain) == ("acme/chicago/a/b/c/d", b"kept", True)


async def test_emqx_refuses_a_wrong_password(emqx_container: Settings) -> None:
    client = BrokerClient(settings=replace(emqx_container, broker_password="wrong"), client_id="stranger")
    with pytest.raises(NexusError) as caught:
        async with client.session():
            pass
    assert caught.value.code == "NX6011"
