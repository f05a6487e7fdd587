"""Files of other gateways: Telegraf, HiveMQ Edge, modbus_local_gateway, ThingsBoard."""

from __future__ import annotations

import json
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from nexus_cli.discover.importers.telegraf.s7 import address_of
from nexus_cli.discover.propose import propose
from nexus_cli.drivers.opcua.address import parse_node
from nexus_cli.drivers.opcua.kind import KIND, OpcuaTag
from nexus_cli.model.driver_kind import Address
from tests.importing import by_name, imported, reasons, refused


def test_telegraf_register_style(tmp_path: Path) -> None:
    text = """
[[inputs.modbus]]
  controller = "tcp://10.0.0.9:1502"
  slave_id = 7
  timeout = "1m30s"
  configuration_type = "register"
  surprise = 4
  coils = [ { name = "run", address = [3]} ]
  holding_registers = [
    { name = "fixed", byte_order = "CDAB", data_type = "UFIXED", scale=0.1, address = [3,4]},
    { name = "old", byte_order = "AB", data_type = "FLOAT32", scale=0.01, address = [9]},
    { name = "text", byte_order = "AB", data_type = "STRING", address = [10, 11]},
    { name = "half", byte_order = "AB", data_type = "INT8H", address = [12]},
    { name = "bit", byte_order = "AB", data_type = "BIT", bit = 3, address = [13]},
    { name = "gap", byte_order = "ABCD", data_type = "INT32", address = [20, 22]},
  ]
"""
    (found,) = imported(tmp_path, "telegraf.conf", text)

    assert found.connection == {"host": "10.0.0.9", "port": 1502, "timeout": "90s", "unit_id": 7}
    assert by_name(found) == {
        "run": {"address": "coil:3", "type": "bool"},
        "fixed": {"address": "holding:3", "type": "uint32", "order": "CDAB", "scale": 0.1},
        "old": {"address": "holding:9", "type": "uint16", "scale": 0.01},
        "text": {"address": "holding:10", "type": "string[4]"},
        "half": {"address": "holding:12", "type": "int8", "byte": "high"},
        "bit": {"address": "holding:13", "type": "bool", "bit": 3},
    }
    assert reasons(found)["inputs.modbus: surprise"] == "not understood: 4"
    assert "follow each other" in reasons(found)["gap"]


def test_telegraf_orders_of_strings_and_bytes(tmp_path: Path) -> None:
    text = """
[[inputs.modbus]]
  controller = "file:///dev/ttyUSB0"
  configuration_type = "metric"
  [inputs.modbus.workarounds]
    one_request_per_field = true
    max_word_registers_per_request = 20
  [[inputs.modbus.metric]]
    slave_id = 2
    byte_order = "DCBA"
    measurement = "m"
    fields = [
      {address=1, name="s", type="STRING", length=3},
      {address=8, name="l", type="UINT8L"},
      {address=9, name="d", type="FLOAT64"},
      {register="input", address=1, name="i", type="INT16", omit=true},
    ]
    [inputs.modbus.metric.tags]
      machine = "press"
[[outputs.file]]
  files = ["stdout"]
"""
    (found,) = imported(tmp_path, "telegraf.conf", text)

    assert found.connection == {"unit_id": 2, "single_field": True, "max_read": 20}
    labels = {"machine": "press"}
    assert by_name(found) == {
        "m/s": {"address": "holding:1", "type": "string[6]", "layout": "low-first", "labels": labels},
        "m/l": {"address": "holding:8", "type": "uint8", "byte": "high", "labels": labels},
        "m/d": {"address": "holding:9", "type": "float64", "order": "DCBA", "labels": labels},
    }
    said = reasons(found)
    assert "omit" in said["i"]
    assert "write the connection by hand" in said["inputs.modbus: controller"]
    assert said["outputs"] == "not an input that NEXUS has a driver for"


def test_telegraf_opcua_groups_and_secrets(tmp_path: Path) -> None:
    text = """
[[inputs.opcua_listener]]
  endpoint = "opc.tcp://plc:4840"
  security_policy = "Basic256Sha256"
  security_mode = "SignAndEncrypt"
  auth_method = "UserName"
  username = "u"
  password = "hunter2"
  subscription_interval = "250ms"
  [[inputs.opcua_listener.group]]
    name = "filler"
    namespace_uri = "http://acme/plc"
    identifier_type = "s"
    nodes = [ {name="temp", identifier="Filler.Temp"}, {name="other", id="ns=2;i=9"} ]
"""
    (found,) = imported(tmp_path, "telegraf.conf", text)

    assert found.connection == {
        "endpoint": "opc.tcp://plc:4840",
        "security": "Basic256Sha256/SignAndEncrypt",
        "user": "u",
    }
    tags = by_name(found)
    assert tags["filler/temp"]["node"] == "nsu=http://acme/plc;s=Filler.Temp"
    assert tags["filler/temp"]["mode"] == "subscribe" and tags["filler/temp"]["poll"] == "250ms"
    assert tags["filler/other"]["node"] == "ns=2;i=9"
    assert not any("hunter2" in f"{skipped}" for skipped in found.skipped)


@pytest.mark.parametrize(
    ("written", "address", "kind"),
    [
        ("DB1.X5.2", "%DB1:5.2:BOOL", "bool"),
        ("DB3.LR12", "%DB3:12:LREAL", "float64"),
        ("DB2.S1.32", "%DB2:1:STRING(32)", "string[32]"),
        ("PE0.W4", "%I4:WORD", "uint16"),
        ("MK0.X10.3", "%M10.3:BOOL", "bool"),
        ("T0.W5", "%T5:TIMER", "duration"),
    ],
)
def test_telegraf_s7_addresses(written: str, address: str, kind: str) -> None:
    assert address_of(written) == (address, kind)


@pytest.mark.parametrize("written", ["", "DB1.X5", "DB1.R4.2", "DB1.Q4", "DB1R4"])
def test_telegraf_s7_addresses_that_are_none(written: str) -> None:
    with pytest.raises(ValueError, match=r"address|needs its|takes no|is not a type"):
        address_of(written)


def test_hivemq_layouts_and_several_adapters(tmp_path: Path) -> None:
    text = """<hivemq><protocol-adapters>
<protocol-adapter><adapterId>Line 1 Meter</adapterId><protocolId>modbus</protocolId>
 <config><host>10.0.0.9</host><port>502</port><odd>1</odd>
  <modbusToMqtt><pollingIntervalMillis>500</pollingIntervalMillis></modbusToMqtt></config>
 <northboundMappings><northboundMapping><tagName>energy</tagName><topic>a/b</topic></northboundMapping></northboundMappings>
 <tags><tag><name>energy</name><definition><startIdx>10</startIdx><readType>INPUT_REGISTERS</readType><unitId>3</unitId>
  <dataType>FLOAT_32</dataType><flipRegisters>true</flipRegisters></definition></tag></tags></protocol-adapter>
<s7><id>plc</id><host>10.0.0.5</host><controllerType>S7_300</controllerType><subscriptions><subscription>
 <tagName>speed</tagName><tagAddress>%DB1:4</tagAddress><dataType>REAL</dataType><destination>x</destination>
</subscription></subscriptions></s7></protocol-adapters></hivemq>"""
    modbus, s7 = imported(tmp_path, "config.xml", text)

    assert modbus.found[0].device == "line-1-meter"
    assert by_name(modbus) == {
        "energy": {
            "poll": "500ms",
            "address": "input:10",
            "type": "float32",
            "unit_id": 3,
            "order": "CDAB",
            "labels": {"topic": "a/b"},
        }
    }
    assert reasons(modbus) == {"Line 1 Meter/config/odd": "not understood: 1"}
    assert s7.connection == {"host": "10.0.0.5", "slot": 2}
    assert by_name(s7)["speed"]["address"] == "%DB1:4:REAL"


def test_local_gateway_words_bits_and_signs(tmp_path: Path) -> None:
    text = """
device: {manufacturer: M, model: N, max_register_read: 160}
read_write_word:
  t: {name: Temp, address: 5, signed: true, multiplier: 0.1, offset: -100, unit_of_measurement: Celsius, control: number, number: {min: -20, max: 50}}
  s: {name: State, address: 6, map: {0: off, 1: on}, oddity: 3}
  b: {name: Bit, address: 7, bits: 1, shift_bits: 4}
  n: {name: Nibble, address: 7, bits: 4}
read_only_boolean:
  d: {name: Door, address: 2}
"""
    (found,) = imported(tmp_path, "n.yaml", text)

    assert found.connection == {"max_read": 125}
    tags = by_name(found)
    assert tags["Temp"] == {
        "address": "holding:5",
        "type": "int16",
        "scale": 0.1,
        "offset": -100,
        "unit": "degC",
        "range": [-20, 50],
        "description": "t",
    }
    assert tags["State"]["values"] == {0: "off", 1: "on"}
    assert (tags["Bit"]["type"], tags["Bit"]["bit"]) == ("bool", 4)
    assert tags["Door"]["address"] == "discrete:2"
    assert reasons(found)["s: oddity"] == "not understood: 3"
    assert "4 bits" in reasons(found)["Nibble"]


def test_thingsboard_orders_dividers_and_writers(tmp_path: Path) -> None:
    text = """{"master": {"slaves": [{"host": "h", "port": 5021, "unitId": 2, "byteOrder": "LITTLE", "wordOrder": "LITTLE",
 "pollPeriod": 5000, "timeseries": [
  {"tag": "a", "type": "32float", "functionCode": 4, "objectsCount": 2, "address": 7, "divider": 10},
  {"tag": "t", "type": "string", "functionCode": 3, "objectsCount": 2, "address": 0},
  {"tag": "c", "type": "bits", "functionCode": 1, "objectsCount": 4, "address": 0},
  {"tag": "w", "type": "16int", "functionCode": 6, "objectsCount": 1, "address": 0}],
 "rpc": [{"tag": "set", "functionCode": 5}]}]}}"""
    (found,) = imported(tmp_path, "modbus.json", text)

    tags = by_name(found)
    assert tags["a"]["order"] == "DCBA" and tags["a"]["scale"] == 0.1 and tags["a"]["poll"] == "5s"
    assert tags["t"]["layout"] == "low-first" and tags["t"]["type"] == "string[4]"
    assert tags["c"]["type"] == "bool[4]"
    assert reasons(found)["timeseries: w"] == "function code 6 writes"
    assert "never makes a tag writable" in reasons(found)["rpc: set"]


def test_numbers_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    digits = "f" * 6000
    assert refused(tmp_path, "t.toml", f"[[inputs.modbus]]\nslave_id = 0x{digits}").code == "NX6702"
    assert refused(tmp_path, "t.json", '{"slaves": [{"port": 1' + "0" * 60 + "}]}").code == "NX6702"


IDENTIFIERS = ("|var|App.GVL.arr[1]", "arr[]", "a[1][0:2]", '"DB"."x"[3]', "50%;x", "{tank}", "a=b;s=c", "it's [m³]")


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_a_node_id_of_another_tool_is_read_as_it_stands(identifier: str, tmp_path: Path) -> None:
    node = f"ns=4;s={identifier}"
    toml = identifier.replace("\\", "\\\\").replace('"', '\\"')
    telegraf = f"""[[inputs.opcua]]
  nodes = [ {{name="n", namespace="4", identifier_type="s", identifier="{toml}"}}, {{name="i", id="ns=5;s={toml}"}} ]"""
    board = {"server": {"url": "opc.tcp://p:4840"}, "mapping": [{"deviceNodePattern": "x"}]}
    board["mapping"][0]["timeseries"] = [{"key": "n", "type": "identifier", "value": f"${{{node}}}"}]  # type: ignore[index]
    hive = f"""<hivemq><protocol-adapters><protocol-adapter><adapterId>a</adapterId><protocolId>opcua</protocolId>
<config><uri>opc.tcp://p:4840</uri></config><tags><tag><name>n</name><definition><node>{escape(node)}</node></definition>
</tag></tags></protocol-adapter></protocol-adapters></hivemq>"""

    for name, text in (("t.conf", telegraf), ("b.json", json.dumps(board)), ("h.xml", hive)):
        (found,) = imported(tmp_path, name, text)
        read = {tag.name: tag.keys for device in propose(found).devices for tag in device.tags}
        assert read["n"]["node"] == node, name
        bound = OpcuaTag.model_validate(read["n"])
        assert KIND.address_of(None, bound) == Address(node), name
        assert (
            "i" not in read or KIND.address_of(None, OpcuaTag.model_validate(read["i"])).text == f"ns=5;s={identifier}"
        )


def test_a_namespace_uri_of_another_tool_is_read_as_it_stands(tmp_path: Path) -> None:
    text = """[[inputs.opcua]]
  nodes = [ {name="n", namespace_uri="urn:a;b%3Bc", identifier_type="s", identifier="x"} ]"""
    (found,) = imported(tmp_path, "t.conf", text)

    assert parse_node(by_name(found)["n"]["node"]).uri == "urn:a;b%3Bc"
