"""Grants of users and of the platform: what is cut out, commands, messages, alerts, time."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access.compile import Moment, compile_grants
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.globs import shortened, widens
from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, Grant, gateway_principal
from nexus_cli.access.request import Request
from nexus_cli.model.snapshot import Snapshot

LIVE, PLATFORM = "acme/chicago", "_nexus/acme/chicago"
DEVICES = {
    f"device.{path}": {"path": path, "protocol": protocol, "gateway": gateway, "tags": tags, **more}
    for path, protocol, gateway, tags, more in [
        ("hall/one/meter", "modbus", "gw", {"a": {}, "b": {"classification": "restricted"}}, {}),
        ("hall/two/meter", "modbus", "gw", {"a": {}, "c": {}}, {}),
        (
            "hall/two/robot",
            "external",
            "",
            {"t": {}},
            {"connection": {"globs": [f"hall/two/robot/{glob}" for glob in ("state/**", "axes/*/*")]}},
        ),
    ]
}
ALERTS = {"alert.hot": {"tag": "hall/two/meter/a"}, "alert.secret": {"tag": "hall/one/meter/b"}}
MESSAGES = {
    "message.start": {"topic": "erp/start/{line}"},
    "message.stop": {"topic": "erp/stop/{line}/{order}"},
    "message.any": {"topic": "erp/{what}/one"},
}


def grants(when: Moment | None = None, **roles: dict[str, Any]) -> tuple[Grant, ...]:
    """Of the user `u`, who has all these roles."""
    named = {f"role.{name}": role for name, role in roles.items()}
    user = {"user.u": {"roles": list(roles), **({"valid_until": "2030-01-01"} if when else {})}}
    snapshot = Snapshot.of("acme", "chicago", {"site": {}, **DEVICES, **ALERTS, **MESSAGES, **named, **user})
    found = compile_grants(snapshot, when=when or Moment())
    return tuple(one for one in found if one.principal == "u")


def filters(action: str, *of: Grant) -> list[str]:
    return [
        grant.filter.removeprefix(f"{LIVE}/").removeprefix(f"{PLATFORM}/") for grant in of if grant.action == action
    ]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("**", ["#"]),
        ("hall/*/**", ["hall/#"]),
        ("*/*/*/**", ["#"]),
        ("*/*/*/a", ["+/+/+/a"]),
        ("hall/two/*/*", ["hall/two/meter/#", "hall/two/robot/state", "hall/two/robot/t"]),
        ("hall/two/meter/*", ["hall/two/meter/+"]),
        ("hall/*/meter/**", ["hall/+/meter/#"]),
        ("hall/t*/**", ["hall/two/#"]),
        ("hall/two/robot/state/x/y", ["hall/two/robot/state/x/y"]),
        ("hall/*/robot/axes/**", ["hall/+/robot/axes"]),
        ("hall/*/robot/axes/x/*", ["hall/two/robot/axes/x/+"]),
    ],
)
def test_filters_of_a_right_to_read(glob: str, expected: list[str]) -> None:
    assert filters("subscribe", *grants(r={"read": [glob], "clearance": "restricted"})) == expected


def test_a_class_and_a_denial_are_cut_out_with_their_lines_named() -> None:
    role = {"read": ["hall/**"], "deny": {"read": ["hall/two/meter/c"]}}
    found = grants(r=role)
    assert filters("subscribe", *found) == ["hall/one/meter/a", "hall/two/meter/a", "hall/two/robot/#"]
    assert {grant.why for grant in found} == {"role r, read hall/**"}
    scope = {"path": "hall/**", "protocol": "modbus", "labels": {}, "classification": "internal"}
    (first, *_) = grants(r={"read": [scope]})
    assert first.why == "role r, read hall/**, protocol modbus, classification internal"


def test_a_denial_of_one_role_binds_the_other_one() -> None:
    found = grants(one={"read": ["hall/two/**"]}, two={"deny": {"read": ["hall/two/robot/**"]}})
    assert filters("subscribe", *found) == ["hall/two/meter/#"]


def test_commands_are_not_retained_and_answers_are_asked_for_in_one_filter() -> None:
    found = grants(r={"write": ["hall/**"], "clearance": "restricted"})
    commands = [grant for grant in found if "/cmd/" in grant.filter]
    assert filters("publish", *commands) == ["cmd/hall/+/+/+/u"] and commands[0].retain is False
    assert filters("subscribe", *found) == ["response/+/u/#"]
    assert filters("publish", *found)[1:] == [
        "hall/two/robot/axes/+/+",
        "hall/two/robot/state/#",
        "hall/two/robot/t",
    ]


def test_commands_to_what_is_open_alone() -> None:
    found = grants(r={"write": ["**"], "deny": {"write": [{"path": "hall/two/robot/**"}]}})
    assert filters("publish", *found) == ["cmd/hall/one/meter/a/u", "cmd/hall/two/meter/+/u"]


def test_paths_among_messages_are_topics_of_external_devices() -> None:
    found = grants(r={"publish": ["hall/**"], "subscribe": ["hall/two/*/state/**"]})
    assert filters("subscribe", *found) == ["hall/two/robot/state/#"]
    assert filters("publish", *found) == ["hall/two/robot/axes/+/+", "hall/two/robot/state/#", "hall/two/robot/t"]
    closed = grants(
        r={"publish": ["hall/**"], "read": ["hall/two/**"]},
        no={"deny": {"publish": ["hall/two/robot/axes/**"], "subscribe": ["hall/two/robot/state/**"]}},
    )
    assert filters("publish", *closed) == ["hall/two/robot/state/#", "hall/two/robot/t"]
    assert filters("subscribe", *closed) == ["hall/two/meter/#", "hall/two/robot/t"]


def test_messages_by_name() -> None:
    assert filters("publish", *grants(r={"publish": ["*"]})) == ["erp/+/one", "erp/start/+", "erp/stop/+/+"]
    assert filters("subscribe", *grants(r={"subscribe": ["*"]})) == ["erp/+/one", "erp/start/+"]
    denied = {"publish": ["*"], "deny": {"publish": ["start"]}}
    assert filters("publish", *grants(r=denied)) == ["erp/stop/+/+"], "erp/start/one is a topic of both"


def test_an_alert_has_the_class_of_its_tag() -> None:
    assert filters("subscribe", *grants(r={"alerts": ["*"]})) == ["alert/hot"]
    assert filters("subscribe", *grants(r={"alerts": ["*"], "clearance": "restricted"})) == ["alert/+"]
    denied = {"acknowledge": ["*"], "clearance": "restricted", "deny": {"alerts": ["hot"]}}
    assert filters("subscribe", *grants(r=denied)) == ["alert/secret"]


def test_rights_of_a_moment() -> None:
    role = {"read": ["hall/two/**"]}
    before, after = 1_893_000_000_000_000, 1_894_000_000_000_000  # 2029-12-26 and 2030-01-07
    assert grants(Moment(at_us=before), r=role)
    assert grants(Moment(at_us=after), r=role) == ()
    elevated = grants(Moment(at_us=before, elevated={"u": before + 1}), r=role)
    assert any(grant.why == "role admin (elevated), read **" for grant in elevated)


PLATFORM_ASKS = [
    (CONTROL, "subscribe", f"{PLATFORM}/response/+/{CONTROL}/+", True),
    (CONTROL, "subscribe", f"{PLATFORM}/response/+/u/+", False),
    (CONTROL, "subscribe", f"{PLATFORM}/data/#", False),
    (CONTROL, "subscribe", f"{PLATFORM}/cmd/#", False),
    (CONTROL, "subscribe", f"{PLATFORM}/health/gateway/+", True),
    (CONTROL, "publish", f"{PLATFORM}/cmd/a/b/c/d/{CONTROL}", True),
    (CONTROL, "publish", f"{PLATFORM}/cmd/a/b/c/d/{CLI}", False),
    (CONTROL, "publish", f"{PLATFORM}/data/gw", False),
    (HISTORIAN, "publish", f"{LIVE}/hall/one/meter/a", False),
    (HISTORIAN, "subscribe", f"{PLATFORM}/data/#", True),
    (WEB, "subscribe", f"{LIVE}/#", True),
    (WEB, "subscribe", f"{PLATFORM}/alert/+", True),
    (WEB, "subscribe", f"{PLATFORM}/health/#", True),
    (WEB, "subscribe", f"{PLATFORM}/data/#", False),
    (WEB, "publish", f"{PLATFORM}/canary/{WEB}", True),
    (WEB, "publish", f"{LIVE}/hall/one/meter/a", False),
    (WEB, "publish", f"{PLATFORM}/cmd/hall/one/meter/a/{WEB}", True),
    (WEB, "publish", f"{PLATFORM}/cmd/hall/one/meter/a/{CLI}", False),
    (WEB, "publish", f"{PLATFORM}/alert/hot", False),
    (gateway_principal("gw"), "publish", f"{PLATFORM}/cmd/hall/one/meter/a/u", True),
    (gateway_principal("gw"), "publish", f"{PLATFORM}/cmd/hall/two/robot/t/u", False),
]


@pytest.mark.parametrize(("principal", "wish", "topic", "allowed"), PLATFORM_ASKS)
def test_the_platform_has_what_it_uses(principal: str, wish: Any, topic: str, allowed: bool) -> None:
    rules = GrantRules(compile_grants(Snapshot.of("acme", "chicago", {"site": {}, **DEVICES})))
    assert rules.decide(Request(user=principal, wish=wish, topic=topic)).allowed is allowed


def test_no_one_may_publish_a_retained_command_but_the_gateway_that_clears_it() -> None:
    found = compile_grants(Snapshot.of("acme", "chicago", {"site": {}, **DEVICES}))
    commands = [grant for grant in found if grant.action == "publish" and "/cmd/" in grant.filter]
    assert {grant.principal for grant in commands} == {CONTROL, CLI, WEB, gateway_principal("gw")}
    assert {grant.retain for grant in commands if not grant.principal.startswith("nexus.gateway.")} == {False}


@pytest.mark.parametrize(
    ("filter_", "wide"),
    [
        ("a/+", False),
        ("+", False),
        ("+/+", True),
        ("a/+/b/+", True),
        ("+/#", False),
        ("+/+/#", True),
        ("a/+/b/#", False),
        ("+/b", False),
    ],
)
def test_filters_that_a_broker_widens(filter_: str, wide: bool) -> None:
    assert widens(filter_) is wide


def test_stars_before_the_rest_say_nothing() -> None:
    assert [shortened(glob) for glob in ("a/*/*/**", "*/**", "a/*/b/**", "a/*", "**")] == [
        "a/**",
        "**",
        "a/*/b/**",
        "a/*",
        "**",
    ]


def test_an_alert_shows_no_tag_that_is_denied() -> None:
    alerts = {"alerts": ["*"], "clearance": "restricted"}
    assert filters("subscribe", *grants(watch=alerts)) == ["alert/+"]
    for deny in (
        {"read": ["hall/one/**"]},
        {"read": [{"classification": "restricted"}]},
        {"subscribe": ["hall/*/meter/b"]},
    ):
        assert filters("subscribe", *grants(watch=alerts, less={"deny": deny})) == ["alert/hot"]


def test_the_worker_may_browse_and_hear_its_answers_and_nothing_else() -> None:
    """Discovery as a job (docs/decisions/0099)."""
    found = compile_grants(Snapshot.of("acme", "chicago", {"site": {}, **DEVICES}))
    worker = [one for one in found if one.principal == "nexus.worker"]
    assert sorted(filters("publish", *worker)) == ["browse/+/nexus.worker", "health/worker/+"]
    assert filters("subscribe", *worker) == ["response/+/nexus.worker/#"]
