"""Broker addresses: read once, never with credentials."""

from __future__ import annotations

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.url import parse_broker_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mqtt://10.0.0.2", "mqtt://10.0.0.2:1883"),
        ("broker:1884", "mqtt://broker:1884"),
        ("mqtts://b", "mqtts://b:8883"),
        ("tls://b:1", "mqtts://b:1"),
        ("ws://b", "ws://b:8083/mqtt"),
        ("wss://b:443/x", "wss://b:443/x"),
        ("mqtt://[::1]:1883", "mqtt://[::1]:1883"),
    ],
)
def test_addresses(text: str, shown: str) -> None:
    assert str(parse_broker_url(text)) == shown


@pytest.mark.parametrize("text", ["", "http://b", "mqtt://", "mqtt://b:port", "mqtt://me:hunter2@b", "mqtt://b:99999"])
def test_what_is_no_address_is_told_without_secrets(text: str) -> None:
    with pytest.raises(NexusError) as refused:
        parse_broker_url(text)
    assert refused.value.code == "NX6002"
    assert refused.value.hint
    assert "hunter2" not in f"{refused.value.message} {refused.value.cause} {refused.value.hint}"


@pytest.mark.parametrize(
    "text",
    ["mqtt://user:SEC/RET@host", "mqtt://user:SECRET@host", "mqtt://SECRET@host", "mqtt://[SECRET:1", "x://a:SECRET@h"],
)
def test_a_password_in_an_address_is_not_repeated(text: str) -> None:
    with pytest.raises(NexusError) as failed:
        parse_broker_url(text)
    shown = f"{failed.value.message} {failed.value.cause} {failed.value.hint}"
    assert "SEC" not in shown and "RET" not in shown
