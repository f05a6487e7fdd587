"""Which variables reach which process of `nexus up`."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access.grants import CONTROL, HISTORIAN, WEB, gateway_principal
from nexus_cli.local.environment import environment_of, password_references_of, references_of, signing_references_of
from nexus_cli.model.snapshot import Snapshot

ENVIRON = {
    "PATH": "/usr/bin",
    "LC_ALL": "C",
    "PYTHONPATH": "/src",
    "UA_USER": "panel",
    "UA_PASSWORD": "device secret",
    "S7_PASSWORD": "other device's",
    "AWS_SECRET_ACCESS_KEY": "not ours",
    "NEXUS_SOMETHING": "not a setting",
    "NEXUS_LOG_LEVEL": "debug",
    "NEXUS_BROKER_PASSWORD_FILE": "/run/secrets/broker",
    "NEXUS_DATABASE_PASSWORD": "database secret",
    "NEXUS_DATABASE_PASSWORD_FILE": "/run/secrets/db",
    "PGSSLROOTCERT": "/etc/ca.pem",
    "https_proxy": "http://proxy",
}
ONE, TWO = gateway_principal("one"), gateway_principal("two")
REFERENCES = {ONE: ["UA_PASSWORD", "UA_USER"], TWO: ["S7_PASSWORD"]}
EVERYONE = {"PATH", "LC_ALL", "PYTHONPATH", "NEXUS_LOG_LEVEL", "NEXUS_BROKER_PASSWORD_FILE"}
STORES = {"NEXUS_DATABASE_PASSWORD", "NEXUS_DATABASE_PASSWORD_FILE", "PGSSLROOTCERT"}


@pytest.mark.parametrize(
    ("principal", "more"),
    [
        (CONTROL, STORES),
        (HISTORIAN, STORES),
        (ONE, {"UA_USER", "UA_PASSWORD"}),
        (TWO, {"S7_PASSWORD"}),
        (gateway_principal("three"), set()),
        ("broker", set()),
        ("", STORES | {"UA_USER", "UA_PASSWORD", "S7_PASSWORD"}),
    ],
)
def test_each_role_gets_what_it_needs_and_nothing_else(principal: str, more: set[str]) -> None:
    found = environment_of(principal, ENVIRON, references=REFERENCES)
    assert set(found) == EVERYONE | more
    assert all(ENVIRON[name] == value for name, value in found.items())


def test_named_variables_are_passed_besides() -> None:
    environ = {**ENVIRON, "NEXUS_PASS_ENVIRONMENT": "https_proxy, MISSING ,LD_*", "LD_PRELOAD": "x.so"}
    found = environment_of(ONE, environ, references={})
    assert set(found) == EVERYONE | {"NEXUS_PASS_ENVIRONMENT", "https_proxy", "LD_PRELOAD"}


def test_references_are_found_wherever_a_connection_holds_them() -> None:
    def device(gateway: str, connection: dict[str, Any]) -> dict[str, Any]:
        return {"gateway": gateway, "connection": connection, "description": "${env:NOT_A_CONNECTION}"}

    snapshot = Snapshot(
        enterprise="acme",
        site="chicago",
        resources={
            "device.a/l/one": device("one", {"password": "${env:UA_PASSWORD}", "user": "${env: UA_USER }"}),
            "device.a/l/two": device("two", {"nested": [{"key": "${file:/x} ${env:B}${env:A}"}], "host": "10.0.0.9"}),
            "device.a/l/three": device("three", {"host": "10.0.0.9"}),
        },
    )
    assert references_of(snapshot) == {"one": ["UA_PASSWORD", "UA_USER"], "two": ["A", "B"]}


def test_references_of_users_passwords_are_controls_alone() -> None:
    users = {
        "user.anna": {"roles": ["viewer"], "password": "${env:ANNA}"},
        "user.mes": {"kind": "application", "password": "${env:MES}"},
        "user.file": {"password": "${file:/run/secrets/file}"},
        "user.made": {"roles": []},
    }
    snapshot = Snapshot(enterprise="acme", site="chicago", resources=users)
    assert password_references_of(snapshot) == ["ANNA", "MES"]
    assert references_of(snapshot) == {}


def test_variables_of_signing_keys_reach_who_checks_and_who_signs_with_them() -> None:
    keys = {
        "people": {"secret": "${env:OWN}", "principals": ["nexus.cli", CONTROL], "topics": []},
        "scales": {"secret": "${env:SCALES}", "principals": ["scales"], "topics": ["a/l/scale/**"]},
        "public": {"secret": "", "principals": ["mes"], "topics": []},
    }
    snapshot = Snapshot(enterprise="acme", site="plant", resources={"site": {"signatures": {"keys": keys}}})
    assert signing_references_of(snapshot, gateways=["one"]) == {
        CONTROL: ["NEXUS_SIGNING_KEY", "NEXUS_SIGNING_KEY_FILE", "SCALES"],
        ONE: ["OWN", "SCALES"],
        HISTORIAN: ["SCALES"],
        WEB: ["SCALES"],
    }
    unsigned = Snapshot(enterprise="acme", site="plant", resources={"site": {"signatures": None}})
    assert signing_references_of(unsigned, gateways=["one"]) == {}
