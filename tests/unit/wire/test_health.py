"""The document of each role: the head first, nothing of the other use in it, and older or strange ones can be read."""

from __future__ import annotations

import json

import msgspec
import orjson
import pytest
from msgspec.structs import replace

from nexus_cli.wire import health
from nexus_cli.wire.gateway_health import GatewayHealth, SilentDevice, decode_gateway
from nexus_cli.wire.health import ControlHealth, HistorianHealth, LastWill, decode_status

HEAD = ["state", "time", "version", "role", "name"]


@pytest.mark.parametrize(
    "document", [GatewayHealth(), HistorianHealth(), ControlHealth()], ids=lambda one: type(one).__name__
)
def test_a_message_has_its_head_first_and_a_status_has_none(document: health.Health) -> None:
    said = replace(document, state="running", time=1, version="1", role="gateway", name="gw")
    assert list(json.loads(health.encode(said)))[:5] == HEAD
    assert not {"state", "time", "version"} & json.loads(health.encode(document)).keys()


def test_what_belongs_to_status_alone_is_not_in_the_message() -> None:
    assert not {"ready", "detail", "tags"} & json.loads(health.encode(GatewayHealth())).keys()
    assert not {"site", "outboxes", "undeclared_topics"} & json.loads(health.encode(HistorianHealth())).keys()
    assert list(json.loads(health.encode(ControlHealth()))) == [
        "site", "ready", "detail", "leads", "term", "instance", "leader", "latencies",
    ], "a standby says nothing of a term"  # fmt: skip


def test_a_last_will_names_its_process_where_it_has_a_name() -> None:
    will = LastWill(state="lost", version="1", role="gateway", name="gw")
    assert list(json.loads(health.encode(will))) == ["state", "version", "role", "name"]
    assert json.loads(health.encode(replace(will, instance="i")))["instance"] == "i"


def test_an_older_gateway_can_be_read() -> None:
    found = health.decode_status(b'{"silent": [{"path": "a/l/d"}], "links": {"x": {"state": "idle"}}}', GatewayHealth)
    assert found.silent == [SilentDevice(path="a/l/d")] and found.links["x"].state == "idle"
    assert not found.silent_reasons and not found.tags


@pytest.mark.parametrize("answer", [b"", b"5", b"\xff", b"[" * 100_000, b'{"links": 5}', b'{"clock": null}'])
def test_an_answer_of_another_shape_says_nothing(answer: bytes) -> None:
    assert health.decode_status(answer, GatewayHealth) == GatewayHealth()


LINK = {"state": "connected", "since": 1}


@pytest.mark.parametrize(
    "field",
    [
        {"links": {"tcp:a:1": LINK, "tcp:b:1": {"state": "connected", "since": 1.5}}},
        {"silent": [{"path": "a/l/d", "detail": None}]},
        {"clock": None},
        {"gaps": None},
        {"counters": {"accepted": 1.5}},
        {"stalled": "x"},
        {"canary": None},
        {"version": 1},
        {"deployment": None},
        {"term": None},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_field_of_another_type_costs_itself_alone(field: dict[str, object]) -> None:
    document = {"state": "running", "links": {"tcp:a:1": LINK}, "instance": "I", **field}
    for found in (decode_gateway(orjson.dumps(document)), decode_status(orjson.dumps(document), GatewayHealth)):
        assert (found.state, found.instance) == ("running", "I")
        assert {name: (link.state, link.since) for name, link in found.links.items()} == {"tcp:a:1": ("connected", 1)}


@pytest.mark.parametrize("payload", [b"", b"[]", b"5", b"null", b"{", b"\xff"])
def test_what_is_no_object_is_no_health(payload: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode_gateway(payload)
    assert decode_status(payload, GatewayHealth) == GatewayHealth()
