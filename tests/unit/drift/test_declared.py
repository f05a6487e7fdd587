"""Files against the record, and gateways against it."""

from __future__ import annotations

from typing import Any

from nexus_cli.drift.declared import declared_drift
from nexus_cli.drift.observed import GatewaySeen, observed_drift
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.diff import diff
from nexus_cli.wire.configuration import DeviceSeen, Observed


def site(tags: dict[str, Any], **more: Any) -> Snapshot:
    device = {"path": "a/l/d", "protocol": "modbus", "gateway": "gw-1", "tags": tags}
    return Snapshot.of(
        "e", "s", {"device.a/l/d": device, **{name.replace("__", "."): one for name, one in more.items()}}
    )


def drift(before: Snapshot, after: Snapshot, **more: Any) -> dict[str, tuple[str, str, str]]:
    return {one.path: (one.plane, one.kind, one.severity) for one in declared_drift(diff(before, after), **more)}


TAGS = {
    "t": {"type": "float64", "address": "holding:0"},
    "u": {"type": "float64", "address": "holding:2"},
    "v": {"type": "float64", "address": "holding:4"},
    "w": {"type": "float64", "address": "holding:6"},
}


def test_equal_states_do_not_differ() -> None:
    assert drift(site(TAGS), site(TAGS)) == {}


def test_each_tag_has_the_kind_of_what_differs() -> None:
    after = {
        "t": {**TAGS["t"], "writable": True},
        "u": {**TAGS["u"], "type": "float32"},
        "v": {**TAGS["v"], "address": "holding:9"},
        "w": {**TAGS["w"], "description": "words"},
        "x": {"type": "bool", "address": "coil:1", "writable": True},
    }
    assert drift(site(TAGS), site(after)) == {
        "a/l/d/t": ("declared", "writable-changed", "critical"),
        "a/l/d/u": ("declared", "type-changed", "high"),
        "a/l/d/v": ("declared", "address-changed", "medium"),
        "a/l/d/w": ("declared", "description-changed", "low"),
        "a/l/d/x": ("declared", "not-recorded", "critical"),
    }
    assert drift(site(after), site(TAGS))["a/l/d/x"] == ("recorded", "not-declared", "critical")


def test_rights_are_critical_and_their_words_are_not() -> None:
    role = {"read": ["**"], "write": []}
    before = site(TAGS, role__operator=role)
    assert drift(before, site(TAGS, role__operator={**role, "write": ["a/**"]})) == {
        "role.operator": ("declared", "rights-changed", "critical")
    }
    assert drift(before, site(TAGS, role__operator={**role, "description": "x"})) == {
        "role.operator": ("declared", "description-changed", "low")
    }


def test_a_role_or_user_that_only_one_side_has_is_critical() -> None:
    alone = site(TAGS, user__eve={"roles": ["admin"]})
    assert drift(site(TAGS), alone) == {"user.eve": ("declared", "not-recorded", "critical")}
    assert drift(alone, site(TAGS)) == {"user.eve": ("recorded", "not-declared", "critical")}


def test_another_address_of_a_tag_that_may_be_written_is_critical() -> None:
    tag = {"type": "float64", "address": "holding:0", "writable": True}
    assert drift(site({"t": tag}), site({"t": {**tag, "address": "holding:1"}})) == {
        "a/l/d/t": ("declared", "address-changed", "critical")
    }
    assert drift(site({"t": tag}), site({"t": {**tag, "deadband": 1.0}})) == {
        "a/l/d/t": ("declared", "sampling-changed", "low")
    }


def test_what_a_deployment_in_flight_changes_is_no_drift() -> None:
    assert drift(site(TAGS), site({}), changing={"device.a/l/d"}) == {}


def test_a_gateway_that_follows_has_no_drift() -> None:
    answer = Observed(deployment=3, digest="sha256:1", devices={"a/l/d": DeviceSeen(digest="", state="running")})
    one = GatewaySeen(name="gw-1", digest="sha256:1", devices={"a/l/d"}, answer=answer, state="running")
    assert observed_drift([one]) == ([], [])


def test_a_gateway_behind_a_failed_device_and_one_that_is_lost() -> None:
    answer = Observed(
        deployment=2, digest="sha256:0", devices={"a/l/d": DeviceSeen(digest="", state="failed", detail="no driver")}
    )
    findings, unknown = observed_drift(
        [
            GatewaySeen(name="gw-1", digest="sha256:1", devices={"a/l/d"}, answer=answer, state="running"),
            GatewaySeen(name="gw-2", digest="sha256:1", devices={"a/l/e"}, answer=answer, state="lost"),
            GatewaySeen(name="gw-3", digest="sha256:1", devices={"a/l/f"}),
            GatewaySeen(name="gw-4", digest="sha256:1"),
        ]
    )
    assert [(one.path, one.kind) for one in findings] == [
        ("gateway.gw-1", "gateway-behind"),
        ("a/l/d", "device-failed"),
    ]
    assert [(one.path, one.why) for one in unknown] == [
        ("gateway.gw-2", "it is lost"),
        ("gateway.gw-3", "it has not said what it runs"),
    ]
