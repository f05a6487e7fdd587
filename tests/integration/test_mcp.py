"""`nexus mcp` over its standard input and output, driven by the library's own client."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.database.class_table import table_name
from nexus_cli.settings import Settings
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import encode
from nexus_cli.wire.message import Message
from tests.integration.control_world import device, tag
from tests.integration.identity_world import SITE
from tests.integration.mcp_world import READING, control_of, names, over_stdio, plant, refusal, structure
from tests.integration.test_web_rest_stored import fill
from tests.integration.web_world import TOPICS, WebWorld

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY = "a/l/one/energy"
SITE_FILE = """\
nexus: 1
enterprise: acme
site: chicago
retention: {default: {keep: 1d}}
areas:
  a:
    lines:
      l:
        devices:
          press:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              force:
                {address: "holding:0", type: float32, unit: kN, range: [0, 80], simulate: {signal: sine, low: 10, high: 30, period: 4s}}
              speed: {address: "holding:2", type: int16, unit: rpm, simulate: {signal: constant, value: 7}}
"""


async def test_an_agent_reads_the_plant(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as web:
        await fill(web)
        token = await web.people.token("vera")
        async with over_stdio(web.url, token, tmp_path / "mcp", control=control_of(web)) as client:
            web.say(ENERGY, 4.5, unit="kWh")
            tools = (await client.list_tools()).tools
            assert [each.name for each in tools] == READING
            for each in tools:
                assert each.annotations is not None and each.annotations.read_only_hint is True
                assert each.annotations.destructive_hint is False
                assert each.output_schema is not None and "cut" in each.output_schema["properties"]
                assert each.input_schema["additionalProperties"] is False
            await _values(client)
            await _stored(client)
            await _reasons(client)
            await _plant(client)
            assert (await refusal(client, "audit")).startswith("NX6403: vera may not")
        async with over_stdio(web.url, "cli-token", tmp_path / "own", control=control_of(web)) as client:
            assert (await structure(client, "read", paths=[ENERGY]))["values"][0]["value"] == 4.5, "of this folder"
            lines = (await structure(client, "audit", kind="access", since="1h"))["lines"]
            assert [(each["what"], each["who"]) for each in lines] == [("refused", "vera")]


async def _values(client: Any) -> None:
    found = await structure(client, "find", text="energy")
    assert [each["path"] for each in found["found"]] == [ENERGY, "a/m/two/energy"]
    below = await structure(client, "find", text="energy", below="a/m")
    assert ([each["path"] for each in below["found"]], below["total"]) == (["a/m/two/energy"], 1)
    children = await structure(client, "find", below="a")
    assert [(each["path"], each["tags"], each["good"]) for each in children["found"]] == [("a/l", 2, 1), ("a/m", 2, 0)]
    read = await structure(client, "read", paths=[ENERGY, "a/l/one/nothing", "a/l/one/voltage"])
    first, second, third = read["values"]
    assert (first["value"], first["unit"], first["quality"], first["reason"]) == (4.5, "kWh", "GOOD", "")
    assert first["time"] == "2026-01-01T00:00:00.000Z"
    assert first["age_s"] > 0 and " d" in first["age"], "in seconds and in words"
    assert second["problem"].startswith("NX6802")
    assert (third["value"], third["quality"], third["reason_text"]) == (None, "BAD", "nothing was published yet")


async def _stored(client: Any) -> None:
    found = await structure(client, "history", path=ENERGY, limit=3)
    assert [each["value"] for each in found["points"]] == [7.0, 8.0, 9.0]
    assert found["cut"].startswith("older points") and found["unit"] == "kWh"
    assert [each["reason"] for each in found["gaps"]] == ["overflow"]
    buckets = await structure(client, "history", path=ENERGY, every="1h", aggregate="max", since="1d")
    assert max(each["value"] or 0 for each in buckets["points"]) == 9.0
    stats = await structure(client, "statistics", path=ENERGY)
    assert (stats["count"], stats["mean"], stats["first"]["value"], stats["good_share"]) == (10, 4.5, 0.0, 1.0)
    gaps = await structure(client, "gaps", path=ENERGY)
    assert [(each["device"], each["frames"], each["reason"]) for each in gaps["gaps"]] == [("a/l/one", 60, "overflow")]
    assert (await refusal(client, "history", path=ENERGY, since="later")).startswith("NX62")


async def _reasons(client: Any) -> None:
    found = await structure(client, "explain", path=ENERGY)
    assert found["kind"] == "device" and found["value"]["value"] == 4.5
    assert "holding:0" in "".join(each["text"] for each in found["steps"])
    assert set(found["alerts"]) == {"hot", "cold"}
    why = await structure(client, "why_no_data", path="a/l/one/voltage")
    assert (why["quality"], why["reason"]) == ("BAD", "no_value")
    assert {"declared", "gateway", "database"} <= {each["part"] for each in why["checks"]}
    assert why["verdict"]


async def _plant(client: Any) -> None:
    found = await structure(client, "devices")
    assert [each["path"] for each in found["devices"]] == ["a/l/one", "a/m/two"]
    assert found["devices"][0]["good"] == 1 and found["total"] == 2
    one = await structure(client, "devices", path="a/m/two")
    assert [each["path"] for each in one["devices"]] == ["a/m/two"]
    assert (await refusal(client, "devices", path="a/m/none")).startswith("NX6921")
    assert (await structure(client, "alarms", state="all"))["alarms"] == [], "control has no broker to watch tags on"


async def test_every_answer_is_within_its_caps(database: Settings, tmp_path: Path) -> None:
    words = "a very long description of what this tag is for, " * 8
    tags = {f"tag-{n:04}": tag(address=f"holding:{n}", description=words) for n in range(1_500)}
    devices = {f"device.a/x/d{n:03}": device(f"a/x/d{n:03}", description=words) for n in range(300)}
    async with plant(database, tmp_path) as web:
        await web.record({"device.a/x/big": device("a/x/big", tags=tags), **devices})
        token = await web.people.token("ada")
        async with over_stdio(web.url, token, tmp_path / "mcp", control=control_of(web)) as client:
            for name in list(tags)[:100]:
                web.say(f"a/x/big/{name}", {"recipe": ["long " * 200]})
            found = await structure(client, "find", text="tag-", limit=200)
            assert found["total"] == 1_500 and len(found["found"]) <= 200
            assert "more words" in found["cut"]
            assert "1," in found["cut"] and "left out" in found["cut"]
            children = await structure(client, "find", below="a/x/big", limit=200)
            assert children["total"] == 1_500 and children["cut"]
            read = await structure(client, "read", paths=[f"a/x/big/{name}" for name in list(tags)[:100]])
            assert 10 < len(read["values"]) < 100 and read["cut"].endswith("read fewer paths at once")
            assert all(len(each["value"]) <= 500 for each in read["values"])
            listed = await structure(client, "devices", limit=100)
            assert listed["total"] == 303 and "offset" in listed["cut"]
            second = await structure(client, "devices", limit=100, offset=300)
            assert len(second["devices"]) == 3 and not second["cut"]
            await _many_samples(web, now=await fill(web))
            points = await structure(client, "history", path=ENERGY, limit=500, since="2h")
            assert len(points["points"]) == 500 and points["cut"].startswith("older points")
            assert points["points"][-1]["value"] == pytest.approx(599 / 7)
            drift = await structure(client, "drift")
            assert len(drift["not_running"]) == 100 and "left out" in drift["cut"]
            assert (await structure(client, "audit", limit=200))["lines"] == []


WARM_UP = {
    "parameters": {"pressure": {"type": "float64", "default": 2.5, "range": [0, 6]}},
    "requires": ["{a/l/one/energy} > 1"],
    "steps": [
        {"do": "write", "subject": "a/l/one/setpoint", "value": 4},
        {"do": "until", "subject": "{a/m/two/energy} > 5", "timeout_ms": 60_000},
        {"do": "write", "subject": "a/l/one/voltage", "value": 1},
    ],
    "timeout_ms": 90_000,
}


async def test_a_rehearsal_shows_every_step_and_sends_nothing(database: Settings, tmp_path: Path) -> None:
    setpoint = tag(writable=True, unit="bar", publish_unit="bar", range=[0, 6])
    async with plant(database, tmp_path) as web:
        tags = {"energy": tag(), "voltage": tag(address="holding:2"), "setpoint": setpoint}
        await web.record({"device.a/l/one": device("a/l/one", tags=tags), "sequence.warm-up": WARM_UP})
        token = await web.people.token("ada")
        async with over_stdio(web.url, token, tmp_path / "mcp", control=control_of(web)) as client:
            web.say("a/l/one/setpoint", 3.5, unit="bar")
            found = await structure(client, "rehearse", sequence="warm-up")
            steps = [(each["step"], each["branch"], each["now"], each["problem"]) for each in found["steps"]]
            assert steps == [
                (1, "requires", "", "a/l/one/energy has no value"),
                (2, "steps", "holds 3.5 bar", ""),
                (3, "steps", "", ""),
                (4, "steps", "", "the tag is not writable"),
            ]
            assert (found["ready"], found["values"]) == (False, {"pressure": 2.5})
            web.say(ENERGY, 4.5)
            web.say("a/m/two/energy", 3)
            found = await structure(client, "rehearse", sequence="warm-up", values={"pressure": 1.5})
            assert [each["now"] for each in found["steps"]] == ["true", "holds 3.5 bar", "false", ""]
            assert found["values"] == {"pressure": 1.5}
            assert "NX6837" in await refusal(client, "rehearse", sequence="warm-up", values={"pressure": 9})
            assert "NX6830" in await refusal(client, "rehearse", sequence="cool-down")
        assert await web.people.pool.fetchval("SELECT count(*) FROM nexus.command") == 0
        assert await web.people.pool.fetchval("SELECT count(*) FROM nexus.sequence_run") == 0


async def _many_samples(web: WebWorld, *, now: datetime) -> None:
    """Six hundred samples of numbers with many digits, the newest now."""
    async with web.people.pool.acquire() as conn:
        ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", ENERGY)
        await conn.executemany(
            f"INSERT INTO nexus.{table_name('default', site=SITE)} (time, series_id, value, quality) VALUES ($1, $2, $3, 192)",
            [(now - timedelta(seconds=599.123457 - number), ident, number / 7) for number in range(600)],
        )


async def test_garbage_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async with over_stdio("http://127.0.0.1:1", "a-token", tmp_path / "mcp") as client:
        for tool, given, said in [
            ("read", {"paths": "all"}, "paths"),
            ("read", {"paths": []}, "paths"),
            ("read", {"paths": ["x"] * 101}, "paths"),
            ("read", {"paths": ["a/../../v1"]}, "is no path"),
            ("read", {"paths": ["a/l/one/\u0000"]}, "is no path"),
            ("read", {"path": ENERGY}, "did you mean 'paths'?"),
            ("read", {}, "paths"),
            ("find", {"text": "x" * 300}, "text"),
            ("find", {"limit": 10_000}, "limit"),
            ("history", {"path": ENERGY, "limit": 501}, "limit"),
            ("history", {"path": ENERGY, "aggregate": "median"}, "aggregate"),
            ("simulate", {"device": "a/l/one", "seconds": 31}, "seconds"),
            ("audit", {"since": "tomorrow"}, "no time ago"),
            ("aply", {}, "There is no tool 'aply'"),
            ("apply", {}, "There is no tool 'apply'"),
            ("write", {"path": ENERGY, "value": 1}, "There is no tool 'write'"),
        ]:
            refused = await refusal(client, tool, **given)
            assert refused.startswith("NX6942") and said in refused, (tool, given, refused)
        assert "apply" not in await names(client)


async def test_web_away_is_said(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    async with over_stdio("http://127.0.0.1:1", "a-token", tmp_path / "mcp", log=log) as client:
        for tool, given in (("find", {"text": "x"}), ("read", {"paths": [ENERGY]}), ("alarms", {}), ("drift", {})):
            said = await refusal(client, tool, **given)
            assert said.startswith("NX6941: Web at http://127.0.0.1:1 does not answer."), said
            assert "Trying again later can help." in said
    async with over_stdio("", "a-token", tmp_path / "mcp") as client:
        assert (await refusal(client, "find")).startswith("NX6941: No role web is known here.")
    async with over_stdio("http://127.0.0.1:1", "", tmp_path / "mcp") as client:
        assert (await refusal(client, "find")).startswith("NX6948")
    assert "Traceback" not in log.read_text()
    assert "a-token" not in log.read_text()


async def test_the_files_of_the_site(database: Settings, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE_FILE)
    async with plant(database, tmp_path) as web:
        token, control = await web.people.token("ada"), control_of(web)
        file = str(tmp_path / "site.yaml")
        async with over_stdio(web.url, token, tmp_path / "mcp", file, control=control) as client:
            valid = await structure(client, "validate")
            assert (valid["valid"], valid["devices"], valid["tags"]) == (True, 1, 2), valid
            planned = await structure(client, "plan")
            assert planned["counts"]["create"] >= 1 and not planned["empty"]
            assert "device.a/l/press" in [each["address"] for each in planned["changes"]]
            assert planned["text"].startswith("Plan for acme/chicago")
            drift = await structure(client, "drift")
            assert (drift["files"], drift["counts"]) == ("differ", planned["counts"])
            assert {each["name"] for each in drift["not_running"]} >= {"a/l/one", "a/m/two"}
            _runs(web, {"a/l/one": "00000000"})
            drift = await structure(client, "drift")
            devices = {each["name"]: each["state"] for each in drift["not_running"] if each["kind"] == "device"}
            assert (devices["a/l/one"], devices["a/m/two"]) == ("another", "absent")
            await _simulated(client)
            (tmp_path / "site.yaml").write_text(SITE_FILE.replace("holding:2", "holding:no"))
            wrong = await structure(client, "validate")
            assert not wrong["valid"] and wrong["errors"] >= 1
            assert "site.yaml:" in wrong["findings"][0]["place"]
            assert "`validate` lists them" in await refusal(client, "plan")
            assert (await structure(client, "drift"))["files"].startswith("unknown")


def _runs(web: WebWorld, marks: dict[str, str]) -> None:
    """A gateway that runs these documents, as if the broker had sent its health."""
    said = GatewayHealth(state="running", role="gateway", name="gw-1", runs=marks)
    web.web.parts.cache.take(Message(TOPICS.health("gateway", "gw-1"), encode(said), 0, True))


async def _simulated(client: Any) -> None:
    found = await structure(client, "simulate", device="a/l/press", seconds=1)
    force, speed = found["tags"]
    assert (force["unit"], force["range"], speed["values"][-1]["value"]) == ("kN", [0, 80], 7)
    assert 10 <= force["least"] <= force["greatest"] <= 30
    assert {each["quality"] for each in force["values"]} == {"GOOD"}
    one = await structure(client, "simulate", device="a/l/press", seconds=0.1, tags=["speed"])
    assert [each["path"] for each in one["tags"]] == ["a/l/press/speed"]
    assert (await refusal(client, "simulate", device="a/l/none")).startswith("NX6947")
    assert "did you mean 'speed'?" in await refusal(client, "simulate", device="a/l/press", tags=["sped"])
