"""What the processes of `nexus up` find in their environment, as the operating system shows it."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.integration.test_local_runtime import SITE, Plant
from tests.integration.test_local_runtime import pytestmark as pytestmark

GATEWAYS = "gateways:\n  gw-modbus: {select: ['protocol:modbus']}\n  gw-opcua: {select: ['protocol:opcua']}\n"
SECURED = SITE.replace(
    '{endpoint: "opc.tcp://127.0.0.1:2"}',
    '{endpoint: "opc.tcp://127.0.0.1:2", user: "${env:UA_USER}", password: "${env:UA_PASSWORD}"}',
)
SECRETS = {"UA_USER": "panel", "UA_PASSWORD": "device-secret-1", "CLOUD_KEY": "not-ours-2"}


def test_a_device_password_reaches_its_gateway_alone(tmp_path: Path) -> None:
    assert SECURED != SITE
    plant = Plant(tmp_path)
    plant.write(SECURED + GATEWAYS)
    try:
        plant.nexus("up", **SECRETS)
        found = {name: psutil.Process(pid).environ() for name, pid in plant.pids().items()}
    finally:
        plant.nexus("down", code=None)
    assert {"supervisor", "broker", "database", "control", "historian", "gateway-gw-modbus", "gateway-gw-opcua"} <= set(
        found
    )
    holders = {name for name, environ in found.items() if "device-secret-1" in environ.values()}
    assert holders == {"supervisor", "gateway-gw-opcua"}, "the supervisor hands it on"
    assert [name for name, environ in found.items() if "not-ours-2" in environ.values()] == []
    assert {found[name].get("NEXUS_SITE") for name in ("control", "historian", "gateway-gw-modbus")} == {"acme/chicago"}
