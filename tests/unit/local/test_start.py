"""`nexus up --broker URL`: what the broker can't do is said in one sentence, before anything is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import Home
from nexus_cli.project import up
from tests.unit.wire.test_abilities import _broker, _connack

SITE = """\
nexus: 1
enterprise: acme
site: chicago
areas: {hall: {lines: {one: {devices: {oven: {protocol: modbus, connection: {host: 10.0.0.1}, tags: {
  temperature: {address: "holding:0", type: float32}}}}}}}}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def begun(*_: Any, **__: Any) -> None:
        pytest.fail("something was started")

    for name in [one for one in os.environ if one.startswith("NEXUS_") and one != "NEXUS_LOCKS"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / ".nexus"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(up, "start_supervisor", begun)
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    return file


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (b"\x25\x00", "it keeps no retained messages"),
        (b"\x24\x00", "it takes QoS 0 at most, and commands go with QoS 2"),
        (b"\x27\x00\x00\x04\x00", "it takes packets of 1024 bytes at most, and 16384 are needed"),
        (b"\x25\x00\x24\x01", "it keeps no retained messages, and it takes QoS 1 at most"),
    ],
)
def test_a_broker_that_can_not_do_what_is_needed_is_refused_at_once(
    properties: bytes, words: str, site: Path, tmp_path: Path
) -> None:
    answers = {5: _connack(0, properties), 4: b"\x20\x02\x00\x00"}
    with _broker(answers) as settings, pytest.raises(NexusError) as refused:
        up.up(str(site), broker=settings.broker_url, progress=lambda *_: None)
    assert refused.value.code == "NX6015"
    assert refused.value.message.startswith(f"The broker at {settings.broker_url} can't do what nexus needs: {words}")
    assert "\n" not in refused.value.message and "configuration" in refused.value.hint
    assert Home(tmp_path / ".nexus").read_runtime().broker_url != settings.broker_url, "the next `up` does not take it"
