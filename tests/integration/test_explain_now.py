"""`nexus explain` asks the broker for the newest sign of life of a tag's gateway."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project import explain_now
from nexus_cli.project.explain import Chain
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import Topics
from tests.servers import TestBroker

pytestmark = pytest.mark.needs_broker
PATH = "hall/line-1/plc"


async def test_what_a_running_gateway_says_is_the_last_step(
    broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(broker.settings(), site="acme/one")
    tag = TagConfig(type="float64", address="ns=2;s=a", mode="subscribe")
    device = DeviceConfig(path=PATH, protocol="opcua", link="opc.tcp://x:1", gateway="gw-1", tags={"t": tag})
    health = {
        "state": "running",
        "links": {"opc.tcp://x:1": {"state": "connected", "detail": ""}},
        "limited": {PATH: {"polled": ["t"], "count": 1, "why": "BadNodeIdUnknown"}},
    }
    client = BrokerClient(settings=settings, client_id="gateway")
    async with client.session():
        topic = Topics("acme", "one").health("gateway", "gw-1")
        await client.publish(topic, orjson.dumps(health), retain=True)
        monkeypatch.setattr(explain_now, "load_settings", lambda: settings)
        chain = Chain(path=f"{PATH}/t", steps=(), site="acme/one", device=device, tag="t")
        found = await asyncio.to_thread(explain_now.step_now, chain)
    assert found is not None and found[0] == "now"
    assert found[1].startswith("polled, not reported, until it is: BadNodeIdUnknown")
