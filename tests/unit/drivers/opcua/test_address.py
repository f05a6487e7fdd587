"""OPC UA node ids: dialects in, one normal form out, and plain refusals."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.drivers.opcua.address import parse_address, parse_node
from nexus_cli.drivers.opcua.kind import KIND, OpcuaConnection, OpcuaTag, normal_endpoint
from nexus_cli.model.driver_kind import Address, AddressError

CONNECTION = OpcuaConnection.model_validate({"endpoint": "opc.tcp://plc:4840"})


def address(type_: str = "float64", **keys: Any) -> Address:
    return KIND.address_of(CONNECTION, OpcuaTag.model_validate({"type": type_, **keys}))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("nsu=http://acme/plc;s=Filler.Temp", "nsu=http://acme/plc;s=Filler.Temp"),
        ("ns=2;s=Boiler #1 / Level", "ns=2;s=Boiler #1 / Level"),
        ("ns=02;i=0007", "ns=2;i=7"),
        ("ns=0;i=2258", "i=2258"),
        ("i=2258", "i=2258"),
        ("nsu=http://opcfoundation.org/UA/;i=2258", "i=2258"),
        ("s=Name", "s=Name"),
        ("ns=1;g=09087E75-8E5E-499B-954F-F2A9603DB28A", "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a"),
        ("ns=1;b=M/RbKBsRVkePCePcx24oRA==", "ns=1;b=M/RbKBsRVkePCePcx24oRA=="),
        ("nsu=urn:a%3Bb;s=x", "nsu=urn:a%3Bb;s=x"),
        ("  ns=2;s=a;b=c  ", "ns=2;s=a;b=c"),
        ('ns=3;s="DB 1"."values"[3]', 'ns=3;s="DB 1"."values"[3]'),
    ],
)
def test_dialects_have_one_normal_form(text: str, normal: str) -> None:
    found = address(node=text)
    assert found == Address(normal, {})
    assert parse_node(found.text).text == normal
    assert address(address=text) == found


@pytest.mark.parametrize(
    ("text", "index"), [("ns=2;i=7[2,3]", "2,3"), ("ns=2;s=Zones [ 4 ]", "4"), ("ns=2;s=a[b][5]", "5")]
)
def test_an_element_stands_apart_from_its_node(text: str, index: str) -> None:
    assert address(node=text).options == {"index": index}


def test_an_index_key_says_the_same_or_takes_brackets_for_the_name() -> None:
    assert address(node="ns=2;i=7", index=3) == address(node="ns=2;i=7[3]")
    assert address("float64[4]", node="ns=2;i=7", index="0:3") == address("float64[4]", node="ns=2;i=7[0:3]")
    assert address(node="ns=2;s=Tag[3]", index="") == Address("ns=2;s=Tag[3]", {})


@pytest.mark.parametrize(
    ("keys", "code", "key"),
    [
        ({"node": "Filler.Temp"}, "NX3201", "node"),
        ({"node": "ns=2"}, "NX3201", "node"),
        ({"node": "ns=70000;i=1"}, "NX3201", "node"),
        ({"node": "ns=2;i=-1"}, "NX3201", "node"),
        ({"node": "ns=2;i=4294967296"}, "NX3201", "node"),
        ({"node": "ns=2;g=nope"}, "NX3201", "node"),
        ({"node": "ns=2;b=???"}, "NX3201", "node"),
        ({"node": "svr=1;ns=2;i=3"}, "NX3201", "node"),
        ({"node": "ns=2;s=" + "x" * 5000}, "NX3201", "node"),
        ({"node": "ns=2;i=7[3:1]", "type_": "float64[3]"}, "NX3202", "node"),
        ({"node": "ns=2;i=7[,]"}, "NX3202", "node"),
        ({"node": "ns=2;i=7", "index": "x"}, "NX3202", "index"),
        ({"node": "ns=2;i=7[1]", "type_": "float64[3]"}, "NX3203", "type"),
        ({"node": "ns=2;i=7[1:2]"}, "NX3203", "type"),
        ({"node": "ns=2;i=7", "type_": "string", "device_deadband": 1}, "NX3204", "device_deadband"),
    ],
)
def test_refusals_quote_the_text_and_say_what_to_write(keys: dict[str, Any], code: str, key: str) -> None:
    with pytest.raises(AddressError) as caught:
        address(**keys)
    assert caught.value.code == code
    assert caught.value.key == key
    assert caught.value.hint
    assert code in catalogue()


def test_options_hold_only_what_differs_from_the_default() -> None:
    plain = address(node="i=1", queue=1, discard_oldest=True, trigger="StatusValue")
    assert plain.options == {}
    full = address(node="i=1", sampling="250ms", queue=10, discard_oldest=False, trigger="Status", device_deadband="2%")
    assert full.options == {
        "sampling": 250,
        "queue": 10,
        "discard_oldest": False,
        "trigger": "Status",
        "device_deadband_percent": 2.0,
    }
    assert address(node="i=1", device_deadband=0.5).options == {"device_deadband": 0.5}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("opc.tcp://PLC", "opc.tcp://plc:4840"),
        ("opc.tcp://10.0.0.5:4841/Server/", "opc.tcp://10.0.0.5:4841/Server"),
        ("opc.tcp://[fe80::1]:4840", "opc.tcp://[fe80::1]:4840"),
        ("opc.tcp://${env:PLC}:4840", "opc.tcp://${env:PLC}:4840"),
    ],
)
def test_an_endpoint_is_the_link(text: str, normal: str) -> None:
    assert KIND.link_of(OpcuaConnection.model_validate({"endpoint": text})) == normal
    assert normal_endpoint(normal) == normal


@pytest.mark.parametrize(
    "keys",
    [
        {"endpoint": "http://plc"},
        {"endpoint": "plc:4840"},
        {"endpoint": "opc.tcp://plc:99999"},
        {"endpoint": "opc.tcp://user:hidden@plc"},
        {"endpoint": "opc.tcp://plc", "password": "${env:X}"},
        {"endpoint": "opc.tcp://plc", "user": "u", "password": "hidden"},
        {"endpoint": "opc.tcp://plc", "security": "Basic128"},
        {"endpoint": "opc.tcp://plc", "certificate": "a.der"},
        {"endpoint": "opc.tcp://plc", "trust": "ab" * 20},
    ],
)
def test_connections_that_can_not_be_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        OpcuaConnection.model_validate(keys)
    assert all("hidden" not in error["msg"] for error in caught.value.errors())


def test_fingerprints_are_taken_as_people_copy_them() -> None:
    shown = ":".join(["AB"] * 20)
    made = OpcuaConnection.model_validate(
        {"endpoint": "opc.tcp://plc", "security": "Basic256Sha256/Sign", "trust": shown}
    )
    assert made.trust == "ab" * 20


def test_ranges_are_compact() -> None:
    assert parse_address("ns=1;i=1[ 02 , 3 : 5 ]").range == "2,3:5"
