"""Which gateway takes which link: a network link is one, a serial port is one of each machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.project.text import load

SITE = """nexus: 1
enterprise: acme
site: chicago
gateways:
  gw-1: {{select: [{one}]}}
  gw-2: {{select: [{two}]}}
areas:
  packaging:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {{{place}, unit_id: 1}}
            tags: {{energy: {{address: "holding:0", type: uint16}}, power: {{address: "holding:1", type: uint16}}}}
      line-2:
        devices:
          meter:
            protocol: modbus
            connection: {{{other}, unit_id: 1}}
            tags: {{energy: {{address: "holding:0", type: uint16}}, power: {{address: "holding:1", type: uint16}}}}
"""
LINES = {"one": '"line:packaging/line-1"', "two": '"line:packaging/line-2"'}
SERIAL, FASTER = "serial: /dev/ttyUSB0, baudrate: 9600", "serial: /dev/ttyUSB0, baudrate: 19200"


def found(folder: Path, **parts: str) -> tuple[list[str], dict[str, str]]:
    """Codes of a site, and the gateway of each device."""
    (folder / "site.yaml").write_text(SITE.format(**{**LINES, "other": parts["place"], **parts}))
    loaded = load(folder / "site.yaml")
    devices = loaded.value.model.devices if loaded.value is not None else {}
    return [each.code for each in loaded.findings], {path: device.gateway for path, device in devices.items()}


def test_two_machines_have_a_serial_port_of_the_same_name(tmp_path: Path) -> None:
    """Other settings, the same unit and addresses: neither NX2503, NX3003 nor NX3008."""
    codes, gateways = found(tmp_path, place=SERIAL, other=FASTER)
    assert codes == []
    assert gateways == {"packaging/line-1/meter": "gw-1", "packaging/line-2/meter": "gw-2"}
    assert found(tmp_path, place=SERIAL)[0] == [], "the same unit behind both is two meters"


def test_on_one_machine_they_are_one_line(tmp_path: Path) -> None:
    both = {"one": '"area:packaging"', "two": ""}
    codes, gateways = found(tmp_path, place=SERIAL, other=FASTER, **both)
    assert codes == ["NX3003"]
    codes, gateways = found(tmp_path, place=SERIAL, **both)
    assert codes == ["NX3008"] and set(gateways.values()) == {"gw-1"}


@pytest.mark.parametrize("place", [SERIAL, "host: 10.0.0.9"])
def test_a_device_that_two_select_overlaps(tmp_path: Path, place: str) -> None:
    assert "NX2503" in found(tmp_path, place=place, two='"area:packaging"')[0]


def test_a_device_on_the_network_belongs_to_one_gateway(tmp_path: Path) -> None:
    codes, _ = found(tmp_path, place="host: 10.0.0.9")
    assert "NX2503" in codes


def test_a_port_of_which_one_gateway_selects_a_part_is_whole(tmp_path: Path) -> None:
    codes, gateways = found(tmp_path, place=SERIAL, two="")
    assert set(gateways.values()) == {"gw-1"} and codes == ["NX3008"]
