"""Binding: what is right becomes typed, what is wrong becomes findings with places, and nothing stops at the first."""

from __future__ import annotations

import pytest

from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.bind import bind
from nexus_cli.model.config import device_from_json
from nexus_cli.model.resolve import snapshot_of
from tests.unit.model.kinds import HALL, KINDS, device, site


def found(root: object) -> list[Diagnostic]:
    return list(bind(root, KINDS).findings)


def test_a_good_device_is_bound_with_its_addresses() -> None:
    outcome = bind(
        site({"a": device({"x": {"type": "int16", "address": 7}, "y": {"type": "float64", "address": 9}})}), KINDS
    )
    assert outcome.ok
    bound = outcome.unwrap().devices["hall/one/a"]
    assert (bound.link, bound.gateway, bound.area, bound.line) == ("fake:h:502", "gateway", "hall", "hall/one")
    assert [tag.address.text for tag in bound.tags.values() if tag.address] == ["r7", "r9"]
    assert bound.tags["y"].where == (*HALL, "a", "tags", "y")
    assert outcome.unwrap().declared == {"hall/one/a/x", "hall/one/a/y"}


def test_every_mistake_is_told_in_one_run_and_the_rest_is_bound() -> None:
    tags = {
        "good": {"type": "int16", "address": 1},
        "typo": {"type": "int16", "adress": 2},
        "kind": {"type": "integer", "address": 3},
        "range": {"type": "int16", "address": -4},
        "poll": {"type": "int16", "address": 5, "poll": 500},
    }
    outcome = bind(site({"a": device(tags), "b": {"protocol": "fakes"}, "c": device({}, conection={})}), KINDS)
    assert [(item.code, item.where[6:]) for item in outcome.findings] == [
        ("NX1001", ("tags", "typo", "adress")),
        ("NX1006", ("tags", "kind", "type")),
        ("NX1005", ("tags", "poll", "poll")),
        ("NX1014", ("tags", "range", "address")),
        ("NX1009", ("protocol",)),
        ("NX1001", ("conection",)),
    ]
    model = outcome.unwrap()
    assert set(model.devices["hall/one/a"].tags) == {"good", "range", "poll"}
    assert "hall/one/a/typo" in model.declared


@pytest.mark.parametrize(
    ("tag", "code", "hint"),
    [
        ({"type": "int16", "address": "7"}, "NX1003", "without quotes"),
        ({"type": "int16", "address": 7, "unit": 5}, "NX1003", "in quotes"),
        ({"type": "int16", "address": 7, "mode": "sub"}, "NX1004", "subscribe"),
        ({"type": "int16", "address": 7, "poll": "1 sec"}, "NX1005", "1s"),
        ({"type": "int16", "address": 7, "deadband": "2 percent"}, "NX1007", "2%"),
        ({"type": "int16", "address": 7, "deadband": -1}, "NX1007", "2%"),
        ({"type": "int16", "address": 7, "deadband": True}, "NX1007", "2%"),
        ({"type": "int16", "address": 7, "scale": float("nan")}, "NX1015", ""),
        ({"type": "int16", "address": 7, "range": [1]}, "NX1013", "[low, high]"),
        ({"type": "int16", "address": 7, "range": [1, 2, 3]}, "NX1013", ""),
        ({"type": "int16", "address": 7, "values": {"on": "x"}}, "NX1012", "number"),
        (
            {"type": "int16", "address": 7, "values": {10**30: "x"}},
            "NX1008",
            "write a number that is at most 18446744073709551615",
        ),
        ({"type": "int16", "address": 7, "simulate": {"signal": "saw"}}, "NX1004", "sine"),
        ({"type": "int16", "address": 7, "poll": "9" * 400 + "d"}, "NX1005", ""),
        (None, "NX1011", "{}"),
        ([], "NX1011", "{}"),
    ],
)
def test_a_wrong_value_gets_its_code_and_a_hint(tag: object, code: str, hint: str) -> None:
    findings = found(site({"a": device({"x": tag})}))
    assert [item.code for item in findings] == [code]
    assert hint in findings[0].hint


def test_a_key_in_place_of_the_one_that_is_missing_is_named_with_it() -> None:
    def answers(**keys: object) -> list[tuple[str, str]]:
        return [(item.code, item.hint) for item in found(site({"a": device({"x": {"type": "int16", **keys}})}))]

    assert answers(adress=7) == [("NX1001", "did you mean 'address'?")], "one cause, one finding"
    assert answers(adress=7, colour=1)[0] == ("NX1001", "did you mean 'address'?")
    lacking = ("NX1002", "add 'address: …'")
    assert answers(symbol=7) == [lacking, ("NX1001", "'address' is missing here: is that the one?")]
    assert answers(symbol=7, colour=1)[0] == lacking and "is that the one" not in str(answers(symbol=7, colour=1))


def test_values_take_codes_as_numbers_or_text() -> None:
    tags = {"x": {"type": "int16", "address": 1, "values": {"0": "off", 1: "on", "-1": "lost"}}}
    tag = bind(site({"a": device(tags)}), KINDS).unwrap().devices["hall/one/a"].tags["x"].tag
    assert tag.values == {0: "off", 1: "on", -1: "lost"}


def test_a_secret_is_never_quoted() -> None:
    findings = found(site({"a": {"protocol": "fake", "connection": {"host": "h", "password": 12345}, "tags": {}}}))
    assert [item.code for item in findings] == ["NX1003"]
    assert "12345" not in findings[0].message + findings[0].hint


def test_a_host_that_is_refused_is_placed_at_its_key() -> None:
    findings = found(site({"a": {"protocol": "fake", "connection": {"host": "nowhere"}, "tags": {}}}))
    assert [(item.code, item.where[6:], item.hint) for item in findings] == [
        ("NX1014", ("connection", "host"), "name a host")
    ]


@pytest.mark.parametrize("root", [None, 3, [], "x"])
def test_a_text_that_is_no_map_is_one_finding(root: object) -> None:
    outcome = bind(root, KINDS)
    assert outcome.value is None
    assert [item.code for item in outcome.findings] == ["NX1011"]


def test_mistakes_at_the_top_leave_the_devices_checked() -> None:
    root = site({"a": device({"x": {"type": "int16"}})}, alerts={"hot": {"for": 3}}, extra=1)
    del root["enterprise"]
    codes = {(item.code, item.where) for item in found(root)}
    assert ("NX1002", ()) in codes
    assert ("NX1001", ("extra",)) in codes
    assert ("NX1005", ("alerts", "hot", "for")) in codes
    assert ("NX1002", (*HALL, "a", "tags", "x")) in codes


def test_an_external_device_has_topics_instead_of_a_connection() -> None:
    press = {
        "protocol": "external",
        "topics": ["state", "axis/**"],
        "tags": {"force": {"type": "float64", "unit": "N"}},
    }
    model = bind(site({"press": press}), KINDS).unwrap()
    config = device_from_json(snapshot_of(model).resources["device.hall/one/press"])
    assert config.connection == {"globs": ["hall/one/press/state", "hall/one/press/axis/**"], "max_series": 100}
    assert (config.link, config.gateway, config.tags["force"].publish_unit) == ("", "", "N")
    refused = found(site({"press": {**press, "connection": {"host": "h"}}}))
    assert [item.code for item in refused] == ["NX1016"]
