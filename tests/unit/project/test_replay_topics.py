"""Topics under another name, and times that are moved while every other byte stays."""

from __future__ import annotations

import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.replay_site import refuse_the_plant, replayed_site
from nexus_cli.project.replay_sources import bytes_of
from nexus_cli.project.replay_topics import Retarget, shifted
from nexus_cli.runtime.historian.dead_letters import readable
from nexus_cli.wire.topic import Topics

PLANT, REPLAY = Topics("acme", "x"), Topics("test", "x-replay")


def test_only_the_name_of_the_site_is_exchanged() -> None:
    plain, whole = Retarget(PLANT, REPLAY), Retarget(PLANT, REPLAY, platform=True)
    assert plain.topic("acme/x/a/l/d/t") == "test/x-replay/a/l/d/t"
    assert plain.topic("acme/x/acme/x/d/t") == "test/x-replay/acme/x/d/t"
    assert plain.topic("acme/xy/a/l/d/t") is None
    assert plain.topic("_nexus/acme/x/data/gw") is None
    assert whole.topic("_nexus/acme/x/data/gw") == "_nexus/test/x-replay/data/gw"
    assert whole.topic("partner/press/state") is None
    assert plain.is_value("test/x-replay/a/l/d/t")
    assert not plain.is_value("_nexus/test/x-replay/alert/hot")


def test_times_move_and_nothing_else() -> None:
    before = b'{"value":1.50,"timestamp":1767225600000,"quality":"GOOD","odd":[1, 2 ],"source_timestamp":1767225599000}'
    after = shifted(before, 5_000_000)
    assert after == (
        b'{"value":1.50,"timestamp":1767225605000,"quality":"GOOD","odd":[1, 2 ],"source_timestamp":1767225604000}'
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b'{"value":1,"ts":1767225600}', b'{"value":1,"ts":1767225660}'),
        (b'{"value":1,"t":1767225600.5}', b'{"value":1,"t":1767225660.5}'),
        (b'{"value":1,"time":1767225600000000}', b'{"value":1,"time":1767225660000000}'),
        (b'{"value":1,"time":1767225600000000000}', b'{"value":1,"time":1767225660000000000}'),
        (b'{"value":1,"time":"2026-01-01T00:00:00Z"}', b'{"value":1,"time":"2026-01-01T00:01:00.000+00:00"}'),
        (b'{"value":1,"time":"soon"}', b'{"value":1,"time":"soon"}'),
        (b'{"value":1,"timestamp":null}', b'{"value":1,"timestamp":null}'),
        (b'{"value":1}', b'{"value":1}'),
        (b"17", b"17"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b'{"timestamp":', b'{"timestamp":'),
        (b"", b""),
    ],
)
def test_times_in_every_spelling(text: bytes, wanted: bytes) -> None:
    assert shifted(text, 60_000_000) == wanted


@pytest.mark.parametrize("payload", [b"plain", b"\x00\xff\x80abc", "grün €".encode(), b'{"value": 1}'])
def test_a_dead_letter_has_its_bytes_again(payload: bytes) -> None:
    assert bytes_of(readable(payload)) == payload


def test_the_plants_own_name_is_refused() -> None:
    assert refuse_the_plant("acme/x-replay", "acme/x", "").live == "acme/x-replay"
    for into in ("acme/x", "x", "", "acme/", "acme/X Y", "acme/x/y"):
        with pytest.raises(NexusError) as caught:
            refuse_the_plant(into, "acme/x", "acme/other")
        assert caught.value.code == "NX6962"


def test_no_device_of_a_replay_can_be_reached() -> None:
    tag = {"type": "int16", "published_type": "float64", "unit": "degF", "publish_unit": "degC", "scale": 0.1}
    resources = {
        "site": {
            "enterprise": "acme",
            "site": "x",
            "time_zone": "Europe/Berlin",
            "signatures": {"require": ["external"]},
        },
        "gateway.gw": {},
        "sequence.go": {"steps": []},
        "message.m": {"topic": "partner/order"},
        "role.r": {"read": ["a/**"]},
        "view.v": {"priority": 1, "filters": ["a/**", "acme/x/a/#", "_nexus/acme/x/health/#", "acme/xy/#"]},
        "device.a/l/d": {
            "path": "a/l/d",
            "protocol": "modbus",
            "link": "tcp:10.0.0.1:502",
            "gateway": "gw",
            "connection": {"host": "10.0.0.1"},
            "tags": {"t": {**tag, "address": "holding:1", "writable": True}},
        },
    }
    found = replayed_site(resources, source=PLANT, into=REPLAY)
    assert sorted(found.resources) == ["device.a/l/d", "role.r", "site", "view.v"]
    device = found.resources["device.a/l/d"]
    assert device == {
        "path": "a/l/d",
        "protocol": "external",
        "tags": {"t": {"type": "float64", "published_type": "float64", "unit": "degC", "publish_unit": "degC"}},
    }
    assert b"10.0.0.1" not in orjson.dumps(dict(found.resources))
    assert found.resources["site"]["replay_of"] == "acme/x"
    assert "signatures" not in found.resources["site"], "a replay has no keys"
    assert (found.enterprise, found.site) == ("test", "x-replay")
    assert found.resources["view.v"]["filters"] == [
        "a/**",
        "test/x-replay/a/#",
        "_nexus/test/x-replay/health/#",
        "acme/xy/#",
    ]
