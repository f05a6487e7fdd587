"""Grants: each gateway its own devices, each user what its roles say, and nothing else."""

from __future__ import annotations

import pytest

from nexus_cli.access.compile import compile_grants, owned_prefixes
from nexus_cli.access.evaluate import covers, evaluate
from nexus_cli.access.globs import filters_of, matches_glob
from nexus_cli.access.grants import from_json, gateway_principal, principals, to_json
from nexus_cli.model.snapshot import Snapshot


def _device(path: str, gateway: str, protocol: str = "modbus", **tags: object) -> dict[str, object]:
    return {"path": path, "protocol": protocol, "gateway": gateway, "tags": tags or {"a": {"type": "bool"}}}


SNAPSHOT = Snapshot.of(
    "acme",
    "chicago",
    {
        "site": {},
        "gateway.one": {},
        "gateway.two": {},
        "device.packaging/line-1/meter": _device("packaging/line-1/meter", "one"),
        "device.packaging/line-1/filler": _device("packaging/line-1/filler", "two", setpoint={"type": "float64"}),
        "device.packaging/line-2/press": _device("packaging/line-2/press", "one"),
        "device.utilities/air/dryer": _device("utilities/air/dryer", "two"),
        "device.packaging/line-1/scale": _device("packaging/line-1/scale", "", "external", weight={"type": "float64"}),
        "device.packaging/line-3/robot": {
            **_device("packaging/line-3/robot", "", "external"),
            "tags": {},
            "connection": {
                "globs": [
                    "packaging/line-3/robot/state",
                    "packaging/line-3/robot/axes/*/speed",
                    "packaging/line-3/robot/Achse 1/x",
                ]
            },
        },
        "role.robot": {"write": ["packaging/line-*/robot/**"], "read": ["packaging/line-*/**"]},
        "user.robot-pc": {"role": "robot"},
        "role.axes": {"write": ["*/*/robot/axes/**"]},
        "user.axes-pc": {"role": "axes"},
        "role.operator": {"read": ["packaging/**"], "write": ["packaging/line-1/*/setpoint"]},
        "role.clerk": {"publish": ["start-*", "stop-order", "nothing"]},
        "role.erp-reader": {"subscribe": ["start-order"]},
        "user.mes": {"roles": ["erp-reader"]},
        "role.guard": {"alerts": ["hot-*"], "acknowledge": ["level"]},
        "user.guard": {"roles": ["guard"]},
        "role.watch": {"alerts": ["*"]},
        "user.watch": {"roles": ["watch"]},
        "alert.hot-1": {"tag": "packaging/line-1/meter/a"},
        "alert.cold": {"tag": "packaging/line-1/meter/a"},
        "alert.level": {"tag": "packaging/line-1/meter/a"},
        "message.start-order": {"topic": "erp/orders/{line}/start"},
        "message.stop-order": {"topic": "erp/orders/stop"},
        "message.other": {"topic": "erp/other"},
        "user.erp": {"roles": ["clerk"]},
        "role.weigher": {"write": ["packaging/line-1/scale/weight"]},
        "user.desk": {"role": "operator"},
        "user.scale-pc": {"roles": ["weigher"]},
    },
)
GRANTS = compile_grants(SNAPSHOT)


@pytest.mark.parametrize(
    ("principal", "action", "topic", "allowed"),
    [
        ("desk", "subscribe", "acme/chicago/packaging/line-1/meter/a", True),
        ("desk", "subscribe", "acme/chicago/packaging/#", True),
        ("desk", "subscribe", "$share/g/acme/chicago/packaging/#", True),
        ("desk", "subscribe", "acme/chicago/#", False),
        ("desk", "subscribe", "acme/chicago/utilities/air/dryer/a", False),
        ("desk", "subscribe", "_nexus/acme/chicago/data/one/packaging/line-1/meter", False),
        ("desk", "publish", "acme/chicago/packaging/line-1/filler/setpoint", False),
        ("desk", "publish", "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/desk", True),
        ("desk", "publish", "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/scale-pc", False),
        ("desk", "publish", "_nexus/acme/chicago/cmd/packaging/line-2/press/setpoint/desk", False),
        ("desk", "subscribe", "_nexus/acme/chicago/response/gw-1/desk/42", True),
        ("desk", "subscribe", "_nexus/acme/chicago/response/gw-1/scale-pc/42", False),
        ("scale-pc", "publish", "acme/chicago/packaging/line-1/scale/weight", True),
        ("scale-pc", "publish", "acme/chicago/packaging/line-1/meter/a", False),
        ("robot-pc", "publish", "acme/chicago/packaging/line-3/robot/state", True),
        ("robot-pc", "publish", "acme/chicago/packaging/line-3/robot/axes/one/speed", True),
        ("robot-pc", "publish", "acme/chicago/packaging/line-3/robot/axes/one/torque", False),
        ("robot-pc", "publish", "acme/chicago/packaging/line-3/robot/other", False),
        ("robot-pc", "publish", "acme/chicago/packaging/line-3/robot/Achse 1/x", False),
        ("robot-pc", "publish", "acme/chicago/packaging/line-2/press/a", False),
        ("robot-pc", "subscribe", "acme/chicago/packaging/line-3/robot/state", True),
        ("robot-pc", "subscribe", "acme/chicago/packaging/line-1/meter/a", True),
        ("robot-pc", "subscribe", "acme/chicago/utilities/air/dryer/a", False),
        ("axes-pc", "publish", "acme/chicago/packaging/line-3/robot/axes/one/speed", True),
        ("axes-pc", "publish", "acme/chicago/packaging/line-3/robot/state", False),
        ("nexus.gateway.one", "publish", "acme/chicago/packaging/line-1/meter/a", True),
        ("nexus.gateway.one", "publish", "acme/chicago/packaging/line-2/new/a", True),
        ("nexus.gateway.one", "publish", "acme/chicago/packaging/line-1/filler/setpoint", False),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/data/one", True),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/data/two", False),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/data/one/packaging/line-1/meter", True),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/data/two/packaging/line-1/meter", False),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/config/one", False),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/response/one/desk/42", True),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/response/two/desk/42", False),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/desk", False),
        ("nexus.gateway.one", "publish", "_nexus/acme/chicago/committed/one", False),
        ("nexus.gateway.two", "publish", "acme/chicago/utilities/x/y/z", True),
        ("nexus.gateway.two", "subscribe", "_nexus/acme/chicago/cmd/utilities/air/dryer/a/desk", True),
        ("nexus.gateway.one", "subscribe", "_nexus/acme/chicago/cmd/utilities/air/dryer/a/desk", False),
        ("nexus.historian", "publish", "_nexus/acme/chicago/committed/one", True),
        ("nexus.historian", "publish", "acme/chicago/packaging/line-1/meter/a", False),
        ("nexus.control", "publish", "_nexus/acme/chicago/config/one", True),
        ("nexus.cli", "subscribe", "acme/chicago/#", True),
        ("nexus.cli", "publish", "acme/chicago/packaging/line-1/meter/a", False),
        ("stranger", "subscribe", "acme/chicago/packaging/line-1/meter/a", False),
        ("nexus.control", "publish", "acme/chicago/+/x", False),
        ("erp", "publish", "erp/orders/line-1/start", True),
        ("erp", "publish", "erp/orders/line-1/stop", False),
        ("erp", "publish", "erp/orders/a/b/start", False),
        ("erp", "publish", "erp/orders/stop", True),
        ("erp", "publish", "erp/other", False),
        ("erp", "subscribe", "erp/orders/stop", False),
        ("desk", "publish", "erp/orders/stop", False),
        ("mes", "subscribe", "erp/orders/+/start", True),
        ("mes", "subscribe", "erp/orders/line-1/start", True),
        ("mes", "subscribe", "erp/orders/#", False),
        ("mes", "subscribe", "erp/orders/stop", False),
        ("mes", "publish", "erp/orders/line-1/start", False),
        ("nexus.control", "publish", "erp/other", True),
        ("nexus.cli", "publish", "erp/other", False),
        ("guard", "subscribe", "_nexus/acme/chicago/alert/hot-1", True),
        ("guard", "subscribe", "_nexus/acme/chicago/alert/level", True),
        ("guard", "subscribe", "_nexus/acme/chicago/alert/cold", False),
        ("guard", "subscribe", "_nexus/acme/chicago/alert/+", False),
        ("guard", "publish", "_nexus/acme/chicago/alert/hot-1", False),
        ("watch", "subscribe", "_nexus/acme/chicago/alert/+", True),
        ("desk", "subscribe", "_nexus/acme/chicago/alert/hot-1", False),
    ],
)
def test_who_may_do_what(principal: str, action: str, topic: str, allowed: bool) -> None:
    decision = evaluate(GRANTS, principal=principal, action=action, topic=topic)  # type: ignore[arg-type]
    assert decision.allowed is allowed, decision
    assert decision.why


def test_the_deciding_line_is_named() -> None:
    decision = evaluate(GRANTS, principal="desk", action="subscribe", topic="acme/chicago/packaging/a/b/c")
    assert decision.why == "role operator, read packaging/**"


def test_before_the_first_apply_no_user_has_a_right() -> None:
    assert not {"desk", "scale-pc"} & set(principals(compile_grants(SNAPSHOT, users=False)))


def test_whole_lines_and_areas_stay_short() -> None:
    owners = {f"area-{number % 3}/line-{number % 7}/device-{number}": "one" for number in range(500)}
    assert owned_prefixes(owners, "one") == ("area-0", "area-1", "area-2")
    owners["area-1/line-0/other"] = ""
    prefixes = owned_prefixes(owners, "one")
    assert "area-1" not in prefixes and "area-1/line-0" not in prefixes
    assert "area-1/line-1" in prefixes


def test_json_form_inverts() -> None:
    assert from_json(to_json(GRANTS)) == GRANTS
    with pytest.raises(ValueError, match="not a grant"):
        from_json([{"principal": "x", "action": "own", "filter": "a"}])


@pytest.mark.parametrize(
    ("glob", "exact", "expected"),
    [
        ("**", False, ("#",)),
        ("packaging/**", False, ("packaging/#",)),
        ("packaging/**", True, ("packaging/+/+/+",)),
        ("packaging/*/*/setpoint", False, ("packaging/+/+/setpoint",)),
        ("**/setpoint", False, ("+/+/+/setpoint",)),
        ("packaging/line-*/meter/a", False, ("packaging/line-1/meter/a",)),
        ("packaging", False, ()),
    ],
)
def test_globs_become_filters(glob: str, exact: bool, expected: tuple[str, ...]) -> None:
    assert filters_of(glob, ["packaging/line-1/meter/a", "packaging/other/meter/a"], exact=exact) == expected


def test_glob_matches_like_its_filters() -> None:
    assert matches_glob("**/a", "x/y/z/a")
    assert not matches_glob("x/*", "x/y/z/a")


def test_filters_cover_filters() -> None:
    assert covers("a/#", "a/+/b")
    assert covers("a/#", "a")
    assert covers("a/+", "a/+")
    assert not covers("a/+", "a/#")
    assert not covers("a/b", "a/+")
    assert not covers("#", "$SYS/#")
    assert gateway_principal("x") == "nexus.gateway.x"


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ({"alerts": ["*"], "clearance": "confidential"}, True),
        ({"alerts": ["*"], "clearance": "internal"}, False),
        ({"alerts": ["*"], "clearance": "confidential", "deny": {"read": ["a/l/two/**"]}}, False),
    ],
)
def test_an_alert_on_several_tags_needs_the_right_to_each_of_them(role: dict[str, object], seen: bool) -> None:
    secret = {"x": {"type": "float64", "classification": "confidential"}}
    snapshot = Snapshot.of(
        "acme",
        "chicago",
        {
            "site": {},
            "gateway.one": {},
            "device.a/l/one": _device("a/l/one", "one", x={"type": "float64"}),
            "device.a/l/two": {**_device("a/l/two", "one"), "tags": secret},
            "alert.both": {"tag": "a/l/one/x", "expr": "{a/l/one/x} > 1 and {a/l/two/x} > 1"},
            "alert.open": {"tag": "a/l/one/x", "above": 1.0},
            "role.r": role,
            "user.u": {"roles": ["r"]},
        },
    )
    grants = compile_grants(snapshot)
    topic = "_nexus/acme/chicago/alert/"
    assert evaluate(grants, principal="u", action="subscribe", topic=topic + "both").allowed is seen
    assert evaluate(grants, principal="u", action="subscribe", topic=topic + "open").allowed
