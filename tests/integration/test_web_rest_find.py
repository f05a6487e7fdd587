"""The tree, the search and the card of a tag: what is declared, and only what the caller may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.settings import Settings
from tests.integration.control_world import device, tag
from tests.integration.web_world import WebWorld, web_world

pytestmark = [pytest.mark.needs_database]
ENERGY, VOLTAGE, MODE = "a/l/one/energy", "a/l/one/voltage", "b/l/valve/mode"
VALVE = device(
    "b/l/valve",
    description="Valve of the cooler",
    labels={"zone": "cold"},
    tags={
        "mode": tag(address="holding:40", type="uint16", published_type="uint16", values={"0": "Closed", "1": "Open"}),
        "set": tag(
            address="holding:44", unit="bar", range=[0.0, 10.0], writable=True, description="Setpoint", poll_ms=500
        ),
    },
)
HALF = {"role__half": {"read": [VOLTAGE]}, "user__hal": {"roles": ["half"]}}
MORE: dict[str, Any] = {"device__b/l/valve": VALVE, **HALF}


async def tree(web: WebWorld, path: str = "", *, user: str = "vera") -> list[dict[str, Any]]:
    found = await web.ask("GET", "/tree", user=user, params={"path": path} if path else {})
    assert found.status_code == 200, found.text
    children: list[dict[str, Any]] = found.json()["children"]
    return children


async def test_the_tree_opens_level_by_level_with_counts(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        web.say(ENERGY, 4.5)
        web.say(VOLTAGE, 1, quality="UNCERTAIN", reason="out_of_range")
        web.say("b/l/valve/mode", None, quality="BAD", reason="comm_lost")
        top = await tree(web)
        assert [(one["path"], one["kind"], one["tags"], one["counts"]) for one in top] == [
            ("a", "area", 4, {"GOOD": 1, "UNCERTAIN": 1, "BAD": 2}),
            ("b", "area", 2, {"GOOD": 0, "UNCERTAIN": 0, "BAD": 2}),
        ]
        assert [(one["name"], one["kind"]) for one in await tree(web, "a")] == [("l", "line"), ("m", "line")]
        (valve,) = await tree(web, "b/l")
        assert (valve["kind"], valve["description"], valve["protocol"]) == ("device", "Valve of the cooler", "modbus")
        mode, setpoint = await tree(web, "b/l/valve")
        assert (mode["name"], mode["kind"], mode["type"], mode["writable"]) == ("mode", "tag", "uint16", False)
        assert (setpoint["unit"], setpoint["writable"], setpoint["classification"]) == ("bar", True, "internal")
        web.say("b/l/valve/mode", 1)
        assert (await tree(web))[1]["counts"] == {"GOOD": 1, "UNCERTAIN": 0, "BAD": 1}
        await web.record({"device.b/l/valve": None})
        assert [one["path"] for one in await tree(web)] == ["a"]


async def test_the_tree_shows_what_the_caller_may_read(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        assert [(one["path"], one["tags"]) for one in await tree(web, user="hal")] == [("a", 1)]
        assert [one["path"] for one in await tree(web, "a/l/one", user="hal")] == [VOLTAGE]
        assert await tree(web, user="nina") == []
        for path in ("b", "b/l/valve", "a/m", "nothing", "a/l/one/voltage"):
            refused = await web.ask("GET", "/tree", user="hal", params={"path": path})
            assert (refused.status_code, refused.json()["code"]) == (404, "NX6802"), path


async def found(web: WebWorld, words: str, *, user: str = "vera", **more: Any) -> tuple[list[str], int]:
    answer = await web.ask("GET", "/search", user=user, params={"q": words, **more})
    assert answer.status_code == 200, answer.text
    return [one["path"] for one in answer.json()["hits"]], answer.json()["total"]


async def test_the_search_looks_through_everything(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        assert await found(web, "setpoint") == (["b/l/valve/set"], 1)
        assert await found(web, "OPEN") == ([MODE], 1)
        assert await found(web, "holding:44") == (["b/l/valve/set"], 1)
        assert await found(web, "bar valve") == (["b/l/valve/set"], 1)
        assert await found(web, "zone=cold mode") == ([MODE], 1)
        assert await found(web, "cooler") == (["b/l/valve"], 1)
        assert (await found(web, "energy", limit=1)) == ([ENERGY], 2)
        assert await found(web, "valve") == (["b/l/valve", MODE, "b/l/valve/set"], 3)
        assert await found(web, "") == ([], 0)
        assert await found(web, "setpoint nothing") == ([], 0)
        assert await found(web, "vol", user="hal") == ([VOLTAGE], 1)
        assert await found(web, "energy", user="hal") == ([], 0)
        hit = (await web.ask("GET", "/search", user="vera", params={"q": "bar"})).json()["hits"][0]
        assert hit == {
            "path": "b/l/valve/set",
            "kind": "tag",
            "unit": "bar",
            "type": "float64",
            "description": "Setpoint",
            "address": "holding:44",
            "labels": {"zone": "cold"},
            "owner": "",
            "classification": "",
            "pii": False,
            "lineage": "",
            "where": ["unit"],
            "used_by": [],
            "readers": [],
        }


async def test_the_card_says_everything_that_is_declared(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **MORE) as web:
        card = (await web.ask("GET", "/tags/b/l/valve/set", user="otto")).json()
        assert (card["address"], card["unit"], card["range"], card["poll_ms"]) == (
            "holding:44",
            "bar",
            [0.0, 10.0],
            500,
        )
        assert (card["gateway"], card["link"], card["retention"], card["keep_ms"]) == (
            "gw-1",
            "tcp:10.0.0.9:502",
            "default",
            86_400_000,
        )
        assert (card["writable"], card["may_write"], card["labels"]) == (True, True, {"zone": "cold"})
        assert card["words"]["range"] == "0 to 10 bar; outside it UNCERTAIN out_of_range"
        assert card["words"]["retention"] == "default: kept 1d"
        assert {(one["name"], one["role"], one["via"], one["line"]) for one in card["writers"]} == {
            ("otto", "operator", "role", "write **"),
            ("dora", "operator", "role", "write **"),
            ("gina", "operator", "group shift", "write **"),
            ("mes", "operator", "role", "write **"),
        }
        card = (await web.ask("GET", "/tags/b/l/valve/mode", user="vera")).json()
        assert (card["names"], card["may_write"], card["writers"]) == ({"0": "Closed", "1": "Open"}, False, [])
        refused = await web.ask("GET", f"/tags/{ENERGY}", user="hal")
        assert (refused.status_code, refused.json()["code"]) == (404, "NX6802")
