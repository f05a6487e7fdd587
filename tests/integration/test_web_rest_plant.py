"""Lineage, why there is no data, devices and health: from what is recorded and from health messages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.runtime.web.rest.shown_tags import HIDDEN
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.gateway_health import mark_of
from nexus_cli.wire.message import Message
from tests.integration.control_world import device
from tests.integration.web_world import TOPICS, WebWorld, web_world

pytestmark = [pytest.mark.needs_database]
ENERGY, LINK = "a/l/one/energy", "tcp:10.0.0.9:502"
SUM = device(
    "b/l/sum",
    tags={
        "both": {
            "type": "float64",
            "published_type": "float64",
            "expr": "one + two",
            "inputs": {"one": ENERGY, "two": "a/m/two/energy"},
        }
    },
)
OTHERS = {
    "path": "b/l/scada",
    "protocol": "external",
    "connection": {"globs": ["b/l/scada/**"], "max_series": 100},
    "tags": {"level": {"type": "float64", "published_type": "float64", "unit": "m"}},
}
HALF = {"role__half": {"read": ["a/l/one/voltage"]}, "user__hal": {"roles": ["half"]}}
MORE: dict[str, Any] = {"device__b/l/sum": SUM, "device__b/l/scada": OTHERS, **HALF}


def report(web: WebWorld, role: str, name: str, **facts: Any) -> None:
    """A health message, put into the cache as if the broker had sent it."""
    body = {"state": "running", "time": time.time_ns() // 1000, "version": "1", "role": role, "name": name, **facts}
    web.web.parts.cache.take(Message(TOPICS.health(role, name), orjson.dumps(body), 0, True))


def gateway(web: WebWorld, **facts: Any) -> None:
    links = {LINK: {"state": "connected", "detail": "", "since": 5_000_000}}
    outbox = {"epoch": "01J", "bytes": 4096, "uncommitted": 3, "free_bytes": 1 << 40}
    report(web, "gateway", "gw-1", **{"links": links, "outbox": outbox, "host": "box", **facts})


async def get(web: WebWorld, route: str, *, user: str = "vera", **params: Any) -> Any:
    answer = await web.ask("GET", route, user=user, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_lineage_of_a_tag_of_a_device(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        found = await get(web, f"/lineage/{ENERGY}")
        steps = {one["step"]: one["text"] for one in found["steps"]}
        assert [one["step"] for one in found["steps"]] == [
            "link", "device", "address", "request", "poll", "decoded", "topic", "frame", "row",
        ]  # fmt: skip
        assert steps["topic"] == f"acme/chicago/{ENERGY}"
        assert steps["row"] == f"nexus.sample, series of '{ENERGY}', value (float64), class default"
        assert steps["frame"] == "_nexus/acme/chicago/data/gw-1 (a column of a/l/one)"
        assert (found["kind"], found["used_by"], found["alerts"]) == ("device", ["b/l/sum/both"], ["cold", "hot"])
        refused = await web.ask("GET", f"/lineage/{ENERGY}", user="hal")
        assert (refused.status_code, refused.json()["code"]) == (404, "NX6802")


async def test_lineage_of_calculated_and_external_tags(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        found = await get(web, "/lineage/b/l/sum/both")
        assert (found["kind"], found["inputs"]) == ("calculated", {"one": ENERGY, "two": "a/m/two/energy"})
        assert found["steps"][0] == {"step": "computed", "text": "one + two"}
        found = await get(web, "/lineage/b/l/scada/level")
        assert (found["kind"], found["steps"][0]["step"]) == ("external", "source")
        found = await get(web, "/lineage/b/l/scada/deep/level")
        steps = {one["step"]: one["text"] for one in found["steps"]}
        assert (found["kind"], steps["declared"]) == ("external", "by the glob b/l/scada/** of b/l/scada")
        assert (await web.ask("GET", "/lineage/b/l/other/x", user="vera")).status_code == 404


async def test_inputs_that_may_not_be_read_are_named_nowhere(database: Settings, tmp_path: Path) -> None:
    only = {"role.only": {"read": ["b/l/sum/both", ENERGY]}, "user.only": {"roles": ["only"]}}
    async with web_world(database, tmp_path, **MORE, **only) as web:
        lineage = await get(web, "/lineage/b/l/sum/both", user="only")
        card = await get(web, "/tags/b/l/sum/both", user="only")
        for found in (lineage, card):
            assert found["inputs"] == {"one": ENERGY}
            assert "two" not in str(found)
        assert card["expr"] == lineage["steps"][0]["text"] == HIDDEN
        assert (await get(web, "/tags/b/l/sum/both"))["expr"] == "one + two"


async def test_why_there_is_no_data(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_world(database, tmp_path, **MORE) as web:

        async def why(path: str = ENERGY) -> dict[str, Any]:
            answer: dict[str, Any] = await get(web, f"/why/{path}")
            return answer

        monkeypatch.setattr(BrokerClient, "connected", property(lambda _: True))
        assert (await why())["verdict"] == "gateway gw-1 has not reported"
        gateway(web, state="lost")
        assert (await why())["verdict"] == "gateway gw-1 is not running (lost)"
        gateway(web, links={LINK: {"state": "backoff", "detail": "no route to host", "since": 7}})
        found = await why()
        assert found["verdict"] == "its link is not connected (backoff): no route to host"
        link = next(one for one in found["checks"] if one["part"] == "link")
        assert (link["state"], link["name"], link["since"]) == ("bad", LINK, 7)
        gateway(web, silent=[{"path": "a/l/one", "reason": "device_timeout", "detail": "3 s", "since": 9}])
        assert (await why())["verdict"] == "its device gives no value: device_timeout 3 s"
        gateway(web)
        assert (await why())["verdict"] == "nothing was published on its topic"
        web.say(ENERGY, 1, quality="UNCERTAIN", reason="out_of_range")
        assert (await why())["verdict"] == "its newest value is UNCERTAIN: out_of_range"
        web.say(ENERGY, 1)
        report(web, "historian", "h-1", database="away", broker="connected")
        assert (await why())["verdict"] == "the historian does not store: database: away"
        report(web, "historian", "h-1", database="connected", broker="connected")
        assert (await why())["verdict"] == "as declared (polled)"
        await web.people.pool.execute(
            "INSERT INTO nexus.gap (site, gateway, device, start, reason) VALUES ($1, $2, $3, now(), $4)",
            *("acme/chicago", "gw-1", "a/l/one", "gateway_lost"),
        )
        assert (await why())["verdict"] == "samples are missing: gateway_lost"


async def test_devices_are_as_their_gateway_says(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        found = await get(web, "/devices")
        assert [(one["path"], one["state"]) for one in found["devices"]] == [
            ("a/l/one", "gateway"),
            ("a/m/two", "gateway"),
            ("b/l/scada", "external"),
            ("b/l/sum", "gateway"),
        ]
        reads = {"a/l/one": [100, 2, 1, 4, 1_767_225_600, 12.5, {"device_timeout": 3, "link_lost": 1}]}
        gateway(web, reads=reads, silent=[{"path": "a/m/two", "reason": "device_timeout", "code": 7, "since": 9}])
        web.say(ENERGY, 1)
        one = await get(web, "/devices/a/l/one")
        assert (one["state"], one["link_state"], one["link_since"]) == ("answers", "connected", 5_000_000)
        assert (one["polls"], one["missed"], one["skipped"], one["errors"]) == (100, 2, 1, 4)
        assert one["errors_by_kind"] == {"device_timeout": 3, "link_lost": 1}
        assert (one["last_answer"], one["read_ms"]) == (1_767_225_600_000_000, 12.5)
        assert one["counts"] == {"GOOD": 1, "UNCERTAIN": 0, "BAD": 1}
        found = await get(web, "/devices", state="silent", path="a")
        assert ([one["path"] for one in found["devices"]], found["total"]) == (["a/m/two"], 1)
        assert found["states"] == {"answers": 1, "silent": 1}
        assert (found["devices"][0]["reason"], found["devices"][0]["code"]) == ("device_timeout", 7)
        found = await get(web, "/devices", limit=1, offset=1)
        assert ([one["path"] for one in found["devices"]], found["total"]) == (["a/m/two"], 4)
        assert [one["path"] for one in (await get(web, "/devices", user="hal"))["devices"]] == ["a/l/one"]
        refused = await web.ask("GET", "/devices/a/m/two", user="hal")
        assert (refused.status_code, refused.json()["code"]) == (404, "NX6921")


async def test_devices_that_do_not_run_as_recorded_are_found(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        recorded = await web.people.pool.fetch("SELECT address, digest FROM nexus.resource WHERE gateway = 'gw-1'")
        marks = {row["address"].removeprefix("device."): mark_of(row["digest"]) for row in recorded}
        number = web.web.parts.keeper.view.number

        async def documents() -> dict[str, str]:
            return {one["path"]: one["document"] for one in (await get(web, "/devices"))["devices"]}

        async def differing() -> list[str]:
            return [one for one in (await get(web, "/health"))["problems"] if "recorded" in one]

        assert set(marks) == {"a/l/one", "a/m/two", "b/l/sum"}
        gateway(web)
        assert set((await documents()).values()) == {"unknown"}
        gateway(web, runs=marks, deployment=number)
        assert await documents() == {**dict.fromkeys(marks, "recorded"), "b/l/scada": "unknown"}
        assert await differing() == []
        gateway(web, runs={"a/l/one": "00000000", "b/l/sum": marks["b/l/sum"]}, deployment=number)
        assert await documents() == {
            "a/l/one": "another", "a/m/two": "absent", "b/l/scada": "unknown", "b/l/sum": "recorded",
        }  # fmt: skip
        assert await differing() == ["gateway gw-1: 2 devices do not run as recorded"]
        for document, path in (("another", "a/l/one"), ("absent", "a/m/two"), ("recorded", "b/l/sum")):
            found = await get(web, "/devices", document=document)
            assert ([one["path"] for one in found["devices"]], found["total"]) == ([path], 1)
        assert (await web.ask("GET", "/devices", user="vera", params={"document": "x"})).status_code == 422


async def test_health_says_what_is_wrong(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        found = await get(web, "/health")
        assert (found["state"], found["site"]) == ("degraded", "acme/chicago")
        assert "no historian is running" in found["problems"]
        assert "gateway gw-1 is not running" in found["problems"]
        assert found["broker"]["state"] == "down"
        assert (found["database"]["state"], found["database"]["size_bytes"] > 0) == ("up", True)
        monkeypatch.setattr(BrokerClient, "connected", property(lambda _: True))
        gateway(web, silent_reasons={"device_timeout": 2})
        report(web, "control", "control", leads=True, stalled=[])
        report(web, "historian", "h-1", database="connected", broker="connected")
        found = await get(web, "/health")
        assert (found["state"], found["problems"]) == ("up", [])
        assert [(one["role"], one["state"]) for one in found["roles"]] == [
            ("control", "running"),
            ("gateway", "running"),
            ("historian", "running"),
        ]
        assert found["outboxes"] == [
            {
                "gateway": "gw-1",
                "size_bytes": 4096,
                "free_bytes": 1 << 40,
                "uncommitted": 3,
                "failing": "",
                "lost": {},
                "waiting_topics": 0,
            }
        ]
        assert (found["links"], found["silent_devices"]) == ({"connected": 1}, {"device_timeout": 2})
        assert found["disks"][0]["free_bytes"] > 0
        report(web, "historian", "h-1", time=1)
        found = await get(web, "/health")
        assert "no historian is running" in found["problems"]
        assert {one["name"]: one["state"] for one in found["roles"]}["h-1"] == "silent"


async def test_a_health_message_of_another_version_or_none_at_all_breaks_nothing(
    database: Settings, tmp_path: Path
) -> None:
    async with web_world(database, tmp_path) as web:
        for payload in (b"", b"not json", b"[1]", b'{"state": 7, "links": 3, "reads": {"a/l/one": "x"}}', b"\xff"):
            web.web.parts.cache.take(Message(TOPICS.health("gateway", "gw-1"), payload, 0, True))
            assert (await get(web, "/devices"))["devices"][0]["state"] == "gateway"
            assert (await get(web, "/health"))["state"] == "degraded"
            assert (await get(web, f"/why/{ENERGY}"))["verdict"]


async def test_only_tags_of_the_caller_are_counted_in_health(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        web.say(ENERGY, 1)
        assert (await get(web, "/health", user="hal"))["counts"] == {"GOOD": 0, "UNCERTAIN": 0, "BAD": 1}
        assert (await get(web, "/health"))["counts"]["GOOD"] == 1
