"""Checks of links that no case can show."""

from __future__ import annotations

import dataclasses

from nexus_cli.checks import check
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.bind import bind

SITE = {
    "nexus": 1,
    "enterprise": "acme",
    "site": "chicago",
    "areas": {
        "a": {
            "lines": {
                "l": {
                    "devices": {
                        "press": {
                            "protocol": "ads",
                            "connection": {"host": "10.0.0.6", "ams_net_id": "5.12.82.20.1.1"},
                            "tags": {"force": {"address": "MAIN.f", "type": "float32"}},
                        }
                    }
                }
            }
        }
    },
}


def test_a_protocol_without_a_driver_is_said_once() -> None:
    without = {**kinds(), "ads": dataclasses.replace(kinds()["ads"], built=False)}
    found = [item for item in check(bind(SITE, without).unwrap()) if item.code == "NX3007"]
    assert [item.message for item in found] == ["there is no driver for Beckhoff ADS yet (1 device)"]
    assert not [item for item in check(bind(SITE, kinds()).unwrap()) if item.code == "NX3007"]
