"""Topics of a real broker become external devices: as many entries as topics, and twice changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nexus_cli.discover.adopt.entries import counts
from nexus_cli.project import adopt
from nexus_cli.project.text import load
from nexus_cli.settings import load_settings
from nexus_cli.wire.client import BrokerClient
from tests.servers import TestBroker

SITE = """nexus: 1
enterprise: acme
site: chicago  # by hand
areas:
  pack:
    lines:
      l1:
        devices:
          filler: {protocol: modbus, connection: {host: 10.0.0.9}, tags: {t: {address: "holding:0", type: float32}}}
"""
TOPICS = {
    "acme/chicago/pack/l1/scale/weight": b'{"value": 12.5, "unit": "kg"}',
    "acme/chicago/pack/l1/scale/motor/speed": b"3",
    "acme/chicago/pack/l1/scale/odd": b"{",
    "acme/chicago/pack/l1/filler/t": b"1",
    "elsewhere/x": b"1",
}


@pytest.mark.needs_broker
async def test_each_topic_is_adopted_or_listed(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_BROKER_URL", broker.url)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "home"))
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    client = BrokerClient(settings=replace(load_settings(), broker_url=broker.url), client_id="publisher")
    async with client.session():
        for topic, payload in TOPICS.items():
            await client.publish(topic, payload, retain=True)
    wanted = adopt.TopicsWanted(listen_s=1.0)
    found = await adopt.topics(wanted, into=site)
    states = {entry.what: entry.state for entry in found.entries}
    assert counts(found.entries) == {"found": 5, "adopted": 2, "present": 0, "left": 3}, states
    assert all(entry.reason for entry in found.entries if entry.state == "left")
    adopt.write(found)
    assert load(site).ok and "# by hand" in site.read_text()
    again = await adopt.topics(wanted, into=site)
    assert again.edit is None
    assert counts(again.entries) == {"found": 5, "adopted": 0, "present": 2, "left": 3}
