"""A status in which all is well, for tests of what is said of one that is not."""

from __future__ import annotations

from typing import Any

import msgspec

from nexus_cli.local.status_report import StatusReport

PART = {"kind": "mosquitto", "url": "mqtt://x", "state": "up", "detail": ""}


def report(**parts: Any) -> StatusReport:
    """The status with other parts: JSON values, or the reports themselves."""
    whole = {
        "state": "up",
        "site": "acme/chicago",
        "supervisor": {"state": "up", "pids": [7], "detail": ""},
        "processes": [],
        "home": ".nexus",
        "control_url": "",
        "broker": PART,
        "database": PART,
        "roles": [],
        "links": [],
        "devices": [],
        "devices_left_out": 0,
        "device_reasons": {},
        "tags": {},
        "access": {"managed": False, "rules": 0, "in_force": True},
    }
    return msgspec.convert({**whole, **parts}, StatusReport, from_attributes=True)
