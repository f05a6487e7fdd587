"""What `nexus status` says of links that are up although a device limits them."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import orjson
import pytest

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.status import render_status
from nexus_cli.local.status_report import StatusReport
from nexus_cli.local.status_schema import status_schema
from tests.unit.local.reports import report


def found(*links: dict[str, Any], **parts: Any) -> StatusReport:
    return report(links=list(links), **parts)


def test_a_connected_link_that_is_limited_says_how() -> None:
    why = "a/l/plc: 2 tags are polled, not reported (2 tags: Bad_TooManyMonitoredItems)"
    links = [{"link": f"opc.tcp://p{at}", "gateway": "gw", "state": "connected", "detail": ""} for at in range(3)]
    text = render_status(found(*links, {**links[0], "link": "opc.tcp://p9", "detail": why}), colour=False)
    assert "links: 4 of 4 connected" in text
    assert f"limited     opc.tcp://p9 {why}" in text
    assert "opc.tcp://p1" not in text


def test_many_devices_are_counted_by_reason_the_most_frequent_first() -> None:
    def device(at: int, reason: str, since_s: int) -> dict[str, Any]:
        return {"path": f"a/l/d{at:04}", "gateway": "gw", "reason": reason, "since": since_s * 1_000_000, "detail": ""}

    named = [device(at, "link_lost", 1_000) for at in range(6)]
    named += [device(at, "device_timeout", 1_000 - at) for at in range(10, 34)]
    counts = {"device_timeout": 1_500, "link_lost": 6, "access_denied": 2}
    text = render_status(
        found(devices=named, devices_left_out=1_478, device_reasons=counts), colour=False, now_s=1_060.0
    )
    at = text.splitlines().index("  devices without a value: 1,508")
    assert text.splitlines()[at + 1 : at + 4] == [
        "    device_timeout  1,500  a/l/d0033 for 93 s, a/l/d0032 for 92 s, a/l/d0031 for 91 s and 1,497 more",
        "    link_lost   6  a/l/d0000 for 60 s, a/l/d0001 for 60 s, a/l/d0002 for 60 s and 3 more",
        "    access_denied  2",
    ]
    few = render_status(found(devices=named[:20], device_reasons=counts), colour=False, now_s=1_060.0)
    assert few.count("device_timeout") == 14, "as long as they are few, one by one"


def test_many_limited_links_are_counted() -> None:
    links = [{"link": f"l{at:02}", "gateway": "gw", "state": "connected", "detail": "few"} for at in range(25)]
    assert "and 5 more" in render_status(found(*links), colour=False)


def test_old_paths_are_listed_with_their_end_the_first_to_end_in_front() -> None:
    hour_us = 3_600_000_000
    paths = [{"old": f"a/l/d{at}", "to": f"a/m/d{at}", "until": (30 - at) * hour_us} for at in range(3)]
    text = render_status(found(old_paths=paths), colour=False)
    ends = [clock_text((30 - at) * hour_us, zone=None) for at in range(3)]
    assert [line for line in text.splitlines() if "also under" in line] == [
        f"  a/m/d2 also under a/l/d2 until {ends[2]}",
        f"  a/m/d1 also under a/l/d1 until {ends[1]}",
        f"  a/m/d0 also under a/l/d0 until {ends[0]}",
    ]
    many = [{"old": f"a/l/d{at:02}", "to": "a/m/x", "until": hour_us} for at in range(23)]
    text = render_status(found(old_paths=many), colour=False)
    assert text.count("also under") == 20 and "  … and 3 old paths more; nexus show lists them" in text
    assert "also under" not in render_status(found(), colour=False)


def test_a_status_is_what_its_schema_says() -> None:
    schema = status_schema()
    whole = found(
        {"link": "tcp:x", "gateway": "gw", "state": "connected"},
        old_paths=[{"old": "a/l/d", "to": "a/m/d", "until": 1}],
        roles=[{"name": "control", "state": "up", "detail": "", "port": 1, "status": msgspec.Raw(b'{"leads":true}')}],
    )
    jsonschema.validate(orjson.loads(msgspec.json.encode(whole)), schema)
    assert "old_paths" in schema["properties"] and "old_paths" not in schema["required"]
    assert "old_paths" not in orjson.loads(msgspec.json.encode(found())), "left out where control does not say"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**orjson.loads(msgspec.json.encode(whole)), "old_paths": [{"old": "a/l/d"}]}, schema)
