"""The normal form: units, percentages and defaults resolved once, and digests that stay the same."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.apply.shapes import problem_of
from nexus_cli.model.bind import bind
from nexus_cli.model.config import DeviceConfig, TagConfig, device_from_json, digest, to_json
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.snapshot import Snapshot
from tests.unit.model.kinds import KINDS, device, site


def snapshot(root: object) -> Snapshot:
    outcome = bind(root, KINDS)
    assert outcome.ok, outcome.findings
    return snapshot_of(outcome.unwrap())


def config(tag: dict[str, object], **keys: object) -> TagConfig:
    root = site({"a": device({"x": {"type": "float32", "address": 1, **tag}}, **keys)})
    return device_from_json(snapshot(root).resources["device.hall/one/a"]).tags["x"]


def test_units_become_one_factor_and_one_shift() -> None:
    tag = config({"unit": "degF", "publish_unit": "degC"})
    assert 212 * tag.unit_factor + tag.unit_shift == pytest.approx(100)
    assert (tag.unit, tag.publish_unit, tag.published_type) == ("degF", "degC", "float64")


def test_a_percentage_is_taken_of_the_range() -> None:
    assert config({"range": [-50, 150], "deadband": "2%"}).deadband == 4


def test_scaling_makes_the_published_value_a_float() -> None:
    assert config({"type": "int16", "scale": 0.1}).published_type == "float64"
    assert config({"type": "int16", "scale": 1, "offset": 0}).published_type == "int16"
    assert config({"type": "string[5]"}).published_type == "string[5]"


def test_defaults_are_left_out_and_explicit_defaults_change_nothing() -> None:
    plain = to_json(DeviceConfig(path="a", protocol="p", tags={"x": config({})}))["tags"]["x"]
    written = config(
        {"poll": "1s", "scale": 1.0, "offset": 0, "writable": False, "enabled": True, "retention": "default"}
    )
    assert plain == {"type": "float32", "published_type": "float32", "address": "r1"}
    assert digest(written) == digest(config({}))


def test_a_snapshot_survives_json() -> None:
    resources = snapshot(site({"a": device({"x": {"type": "int16", "address": 1, "poll": "2s"}})})).resources
    attributes = resources["device.hall/one/a"]
    assert digest(to_json(device_from_json(attributes))) == digest(attributes)


def test_durations_of_a_connection_are_milliseconds() -> None:
    root = site({"a": {"protocol": "fake", "connection": {"host": "h", "timeout": "1.5s", "lease": "1m"}, "tags": {}}})
    connection = snapshot(root).resources["device.hall/one/a"]["connection"]
    assert connection == {"host": "h", "port": 502, "timeout": 1500, "lease": 60_000}


def test_an_unsupported_default_mode_falls_back() -> None:
    assert config({"mode": "subscribe"}).mode == "subscribe"
    assert config({"mode": "cyclic"}).mode == "poll"


@pytest.mark.parametrize(
    ("live", "fields"),
    [
        ({}, {}),
        ({"publish": True, "qos": 0, "retain": True}, {}),
        ({"publish": False, "qos": 1}, {"live_publish": False}),
        ({"qos": 1, "every": "2s"}, {"live_qos": 1, "live_every_ms": 2000}),
        ({"retain": False}, {"live_retain": False}),
    ],
)
def test_how_a_tag_is_published_is_plain(live: dict[str, object], fields: dict[str, object]) -> None:
    """The normal form has only what differs from the default, so that digests are stable."""
    found = msgspec.to_builtins(config({"live": live}))
    assert {key: value for key, value in found.items() if key.startswith("live_")} == fields


def test_inputs_of_a_calculated_tag_are_paths() -> None:
    calculated = {"sum": {"expr": "x + {x-2} + {hall/one/b/y}", "type": "float64"}}
    tags = {"x": {"type": "float32", "address": 1}, "x-2": {"type": "float32", "address": 2}}
    root = site({"a": device(tags, calculated=calculated), "b": device({"y": {"type": "int16", "address": 1}})})
    made = device_from_json(snapshot(root).resources["device.hall/one/a"]).tags["sum"]
    assert made.inputs == {"x": "hall/one/a/x", "x-2": "hall/one/a/x-2", "hall/one/b/y": "hall/one/b/y"}


def test_the_other_resources_are_plain() -> None:
    root = site(
        {"a": device({"x": {"type": "int16", "address": 1}})},
        retention={"process": {"keep": "400d", "compress_after": "7d", "rollups": ["1h"]}},
        access={"roles": {"op": {"read": ["**"]}}, "users": {"u": {"role": "op", "roles": ["op"]}}},
        alerts={"hot": {"tag": "hall/one/a/x", "above": 5, "for": "3s"}},
        gateways={"gw": {"select": ["protocol:fake"]}},
    )
    resources = snapshot(root).resources
    assert resources["retention.process"] == {
        "keep_ms": 34_560_000_000,
        "rollups": ["1h"],
        "compress_after_ms": 604_800_000,
    }
    assert resources["retention.default"]["keep_ms"] == 34_560_000_000
    assert resources["role.op"] == {"read": ["**"], "write": []}
    assert resources["user.u"] == {"roles": ["op"]}
    assert resources["alert.hot"] == {
        "tag": "hall/one/a/x",
        "above": 5.0,
        "for_ms": 3000,
        "on_bad": "hold",
        "severity": "warning",
    }
    assert resources["gateway.gw"] == {"select": ["protocol:fake"]}
    assert resources["site"] == {"enterprise": "acme", "site": "chicago"}


@pytest.mark.parametrize(("type_", "instant"), [("datetime", True), ("string[30]", None)])
def test_an_alert_at_a_moment_says_that_it_is_one(type_: str, instant: bool | None) -> None:
    outside = {"protocol": "external", "tags": {"y": {"type": type_.partition("[")[0]}}}
    root = site(
        {"a": device({"x": {"type": type_, "address": 1}}), "b": outside},
        alerts={
            name: {"tag": f"hall/one/{tag}", "equals": "2026-12-01T06:00:00Z"}
            for name, tag in (("one", "a/x"), ("two", "b/y"))
        },
    )
    resources = snapshot(root).resources
    assert [resources[f"alert.{name}"].get("instant") for name in ("one", "two")] == [instant, instant]
    assert [problem_of("alert", dict(resources[f"alert.{name}"])) for name in ("one", "two")] == ["", ""]


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        ({}, ["gateway", "gateway"]),
        ({"x": {"select": ["device:hall/one/a"]}, "rest": {}}, ["x", "rest"]),
        ({"x": {"select": ["link:fake:h2:502"]}, "y": {"select": ["label:zone=wet"]}}, ["y", "x"]),
        ({"x": {"select": ["line:hall/one"]}}, ["x", "x"]),
        ({"x": {"select": ["area:hall"]}, "y": {"select": ["protocol:other"]}}, ["x", "x"]),
        ({"x": {"select": ["protocol:other"]}}, ["", ""]),
    ],
)
def test_a_link_has_the_gateway_that_selects_it(gateways: dict[str, object], expected: list[str]) -> None:
    a = device({"x": {"type": "int16", "address": 1}}, labels={"zone": "wet"})
    b = {"protocol": "fake", "connection": {"host": "h2"}, "tags": {}}
    model = bind(site({"a": a, "b": b}, gateways=gateways), KINDS).unwrap()
    assert [found.gateway for found in model.devices.values()] == expected


def test_an_alert_of_before_alarms_has_the_document_and_digest_of_before() -> None:
    """What a site recorded then must not change when nothing in it changed: pinned from the version without alarms."""
    root = site({"a": device({"x": {"type": "int16", "address": 1}})})
    root["alerts"] = {
        "hot": {"tag": "hall/one/a/x", "above": 95, "clear_below": 90, "for": "5s", "severity": "critical"}
    }
    found = snapshot(root).resources["alert.hot"]
    assert found == {
        "on_bad": "hold", "severity": "critical", "tag": "hall/one/a/x", "above": 95.0, "clear_below": 90.0, "for_ms": 5000
    }  # fmt: skip
    assert digest(found) == "sha256:d825bf5773254500e0f6aad8ca8420c8c005422094317926b0ac676ef3c6fccd"
