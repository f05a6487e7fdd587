"""What `nexus status` says of links that stand although a device limits them."""

from __future__ import annotations

from typing import Any

from nexus_cli.cli.views.status import render_status


def found(*links: dict[str, Any]) -> dict[str, Any]:
    part = {"state": "up", "kind": "mosquitto", "url": "mqtt://x"}
    return {
        "site": "acme/chicago",
        "state": "up",
        "home": ".nexus",
        "broker": part,
        "database": part,
        "roles": [],
        "links": list(links),
        "access": {"managed": False, "rules": 0, "in_force": True},
    }


def test_a_connected_link_that_is_limited_says_how() -> None:
    why = "a/l/plc: 2 tags are polled, not reported (2 tags: Bad_TooManyMonitoredItems)"
    links = [{"link": f"opc.tcp://p{at}", "gateway": "gw", "state": "connected", "detail": ""} for at in range(3)]
    text = render_status(found(*links, {**links[0], "link": "opc.tcp://p9", "detail": why}), colour=False)
    assert "links: 4 of 4 connected" in text
    assert f"limited     opc.tcp://p9 {why}" in text
    assert "opc.tcp://p1" not in text


def test_many_limited_links_are_counted() -> None:
    links = [{"link": f"l{at:02}", "gateway": "gw", "state": "connected", "detail": "few"} for at in range(25)]
    assert "and 5 more" in render_status(found(*links), colour=False)
