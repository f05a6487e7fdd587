"""What `nexus explain` says of a tag from its gateway's newest sign of life."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nexus_cli.explain.present import Health, what_happens
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project import explain_now
from nexus_cli.project.explain import Chain
from nexus_cli.project.explain_now import step_now
from nexus_cli.settings import Settings

PATH, LINK = "hall/line-1/plc", "opc.tcp://10.0.0.9:4840"
DEVICE = DeviceConfig(
    path=PATH,
    protocol="opcua",
    link=LINK,
    gateway="gw-1",
    tags={
        "told": TagConfig(type="float64", address="ns=2;s=a", mode="subscribe"),
        "read": TagConfig(type="float64", address="ns=2;s=b"),
        "sum": TagConfig(type="float64", expr="x", inputs={"x": f"{PATH}/told"}),
    },
)
SERVER = "BadTooManyMonitoredItems"


def facts(**more: Any) -> dict[str, Any]:
    return {"state": "running", "links": {LINK: {"state": "connected", "detail": ""}}, **more}


LIMITED = {PATH: {"polled": ["told"], "count": 1, "why": SERVER}}


@pytest.mark.parametrize(
    ("known", "tag", "said"),
    [
        (facts(), "told", "as declared (reported)"),
        (facts(), "read", "as declared (polled)"),
        (
            facts(limited=LIMITED),
            "told",
            f"polled, not reported, until it is: {SERVER}; it is asked for again, at the longest after a minute",
        ),
        (facts(limited=LIMITED), "read", "as declared (polled)"),
        (facts(limited={PATH: {"polled": [], "count": 0, "why": SERVER}}), "told", f"reported, with limits: {SERVER}"),
        (
            facts(links={LINK: {"state": "backoff", "detail": "no answer"}}),
            "told",
            "its link is not connected (backoff): no answer",
        ),
        (facts(links={}), "told", "gateway gw-1 does not run this device (yet)"),
        (
            facts(silent=[{"path": PATH, "reason": "timeout", "detail": "3 s"}], limited=LIMITED),
            "told",
            "its device gives no value: timeout 3 s",
        ),
        ({"state": "lost"}, "told", "gateway gw-1 is not running (lost)"),
    ],
)
def test_what_happens(known: dict[str, Any], tag: str, said: str) -> None:
    assert what_happens(msgspec.convert(known, Health), DEVICE, tag) == said


@pytest.mark.parametrize(
    ("chain", "broker_url"),
    [
        (Chain(path="start-order", steps=()), "mqtt://127.0.0.1:1"),
        (
            Chain(path=f"{PATH}/sum", steps=(), site="acme/one", device=DEVICE, tag="sum"),
            "mqtt://127.0.0.1:1",
        ),
        (
            Chain(path=f"{PATH}/told", steps=(), site="acme/two", device=DEVICE, tag="told"),
            "mqtt://127.0.0.1:1",
        ),
        (Chain(path=f"{PATH}/told", steps=(), site="acme/one", device=DEVICE, tag="told"), ""),
        (
            Chain(path=f"{PATH}/told", steps=(), site="acme/one", device=DEVICE, tag="told"),
            "mqtt://127.0.0.1:1",
        ),
    ],
    ids=["a message", "a calculated tag", "a runtime of another site", "no runtime", "a broker that is away"],
)
def test_without_a_gateway_that_answers_there_is_no_such_step(
    chain: Chain, broker_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(
        explain_now, "load_settings", lambda: Settings(home=tmp_path, site="acme/one", broker_url=broker_url)
    )
    assert step_now(chain) is None
