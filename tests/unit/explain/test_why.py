"""Which part between the device and the row is the cause."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nexus_cli.explain.why import CAUSES, Facts, checks, verdict
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.clock_health import ClockHealth
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.gateway_health import GatewayHealth, LimitedDevice, LinkHealth, OutboxHealth, SilentDevice
from nexus_cli.wire.health import HistorianHealth

PATH, LINK = "a/l/one", "tcp:10.0.0.9:502"
DEVICE = DeviceConfig(
    path=PATH,
    protocol="modbus",
    link=LINK,
    gateway="gw-1",
    tags={
        "read": TagConfig(type="float64", address="holding:0"),
        "told": TagConfig(type="float64", address="holding:2", mode="subscribe"),
        "off": TagConfig(type="float64", address="holding:4", enabled=False),
        "kept": TagConfig(type="float64", address="holding:6", live_publish=False),
        "sum": TagConfig(type="float64", expr="x", inputs={"x": f"{PATH}/read"}),
    },
)
WELL = GatewayHealth(
    state="running",
    time=5,
    links={LINK: LinkHealth(state="connected", since=3)},
    reads={PATH: DeviceReads(polls=1200, missed=1, errors=2, answered_s=7)},
)
STORES = HistorianHealth(state="running", broker="connected", database="connected", name="h-1")


def facts(tag: str = "read", **more: Any) -> Facts:
    usual: dict[str, Any] = {"quality": "GOOD", "received": 9, "gateway": WELL, "historians": [STORES]}
    return Facts(**{"device": DEVICE, "tag": tag, **usual, **more})


@pytest.mark.parametrize(
    ("known", "part", "said"),
    [
        (facts("off"), "declared", "it is out of service by the site file"),
        (facts("kept"), "declared", "it is not published on its topic, only stored"),
        (facts(device=replace(DEVICE, enabled=False)), "declared", "its device is out of service by the site file"),
        (facts(broker="no answer"), "broker", "the broker is away: no answer"),
        (facts(gateway=None), "gateway", "gateway gw-1 has not reported"),
        (facts(gateway=replace(WELL, state="lost")), "gateway", "gateway gw-1 is not running (lost)"),
        (
            facts(gateway=replace(WELL, clock=ClockHealth(doubt="not synchronised"))),
            "gateway",
            "gateway gw-1: not synchronised",
        ),
        (facts(gateway=replace(WELL, stalled=["the link stalls"])), "gateway", "gateway gw-1: the link stalls"),
        (facts(gateway=replace(WELL, links={})), "link", "gateway gw-1 does not run this device (yet)"),
        (
            facts(gateway=replace(WELL, links={LINK: LinkHealth(state="backoff", detail="refused")})),
            "link",
            "its link is not connected (backoff): refused",
        ),
        (
            facts(gateway=replace(WELL, silent=[SilentDevice(path=PATH, reason="device_timeout", detail="1 s")])),
            "device",
            "its device gives no value: device_timeout 1 s",
        ),
        (facts(received=0), "value", "nothing was published on its topic"),
        (facts(quality="BAD", reason="nan"), "value", "its newest value is BAD: nan"),
        (
            facts(gateway=replace(WELL, outbox=OutboxHealth(failing="disk full"))),
            "outbox",
            "the gateway's disk takes no samples: disk full",
        ),
        (facts(historians=[]), "", "as declared (polled)"),
        (
            facts(historians=[replace(STORES, state="lost")]),
            "historian",
            "no historian is running: samples wait in the gateways",
        ),
        (facts(database="the database does not answer"), "database", "the database does not answer"),
        (
            facts(dead_letters=[("bad_time", "'x' is not a time", 4)]),
            "dead_letter",
            "a message of it could not be stored: bad_time 'x' is not a time",
        ),
        (facts(open_gaps=[("gateway_lost", 4)]), "gap", "samples are missing: gateway_lost"),
        (facts("told"), "", "as declared (reported)"),
        (
            facts("told", gateway=replace(WELL, limited={PATH: LimitedDevice(polled=["told"], why="too many items")})),
            "",
            "polled, not reported, until it is: too many items; it is asked for again, at the longest after a minute",
        ),
        (facts("sum"), "", "nothing is wrong here: it is computed when an input changes"),
        (
            facts(device=replace(DEVICE, gateway="", protocol="external")),
            "",
            "nothing is wrong here: it is published by others",
        ),
    ],
)
def test_the_first_part_that_is_the_cause_is_the_verdict(known: Facts, part: str, said: str) -> None:
    found = checks(known)
    assert verdict(known, found) == said
    assert {check.part for check in found} <= set(CAUSES)
    if part:
        assert next(check for check in found if check.text == said).part == part
    else:
        assert all(check.state != "bad" for check in found)


def test_every_part_says_since_when() -> None:
    found = {check.part: check for check in checks(facts(stored=11))}
    assert (found["link"].since, found["value"].since, found["gateway"].since) == (3, 9, 5)
    assert (found["device"].since, found["device"].text) == (
        7_000_000,
        "its device answers: 1,200 polls, 1 missed, 2 errors",
    )
    assert found["database"].since == 11
