"""What status says of a role that is up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from nexus_cli.cli.main import cli
from nexus_cli.cli.views.status import render_status
from nexus_cli.exit_codes import Exit
from nexus_cli.local import status
from nexus_cli.local.layout import Home, Runtime
from nexus_cli.local.probe import Door, Problem
from nexus_cli.local.service_state import ServiceState
from nexus_cli.local.status_report import ProcessReport, StatusReport
from nexus_cli.settings import Settings
from tests.unit.local.reports import report


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"clock": {"doubt": "the clock of this machine says 2106-02-07, which can't be"}}, "2106-02-07"),
        ({"clock": {"doubt": ""}}, ""),
        ({"clock": None}, ""),
        ({}, ""),
    ],
)
async def test_a_doubtful_clock_is_told_of_a_gateway_that_is_up(
    said: dict[str, Any], detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def role_status(port: int, door: Door) -> bytes:
        return orjson.dumps(said)

    async def role_ready(port: int, door: Door) -> tuple[bool, str]:
        return True, ""

    monkeypatch.setattr(status, "role_status", role_status)
    monkeypatch.setattr(status, "role_ready", role_ready)
    found = await status._role("gateway-a", 5, ServiceState(state="running"))
    assert found.state == "up"
    assert (detail in found.detail and "UNCERTAIN" in found.detail) if detail else found.detail == ""
    assert found.detail in render_status(report(roles=[found]), colour=False, now_s=0.0)


async def _collected(
    home: Home, monkeypatch: pytest.MonkeyPatch, said: dict[str, dict[str, Any]], **problems: Any
) -> StatusReport:
    """What status says when roles say this on their ports, and the servers have these problems."""
    _answering(home, monkeypatch, said, **problems)
    settings = Settings(home=home.path, broker_url="mqtt://x", database_url="postgresql://x")
    return await status.collect(home, settings)


def _answering(home: Home, monkeypatch: pytest.MonkeyPatch, said: dict[str, dict[str, Any]], **problems: Any) -> None:
    ports = {f"nexus.{name.replace('-', '.', 1)}": at for at, name in enumerate(said, 1)}
    gateways = [name.partition("-")[2] for name in said if name.startswith("gateway-")]
    home.make()
    home.write_runtime(Runtime(site="acme/chicago", http_ports=ports, gateways=gateways, database_kind="external"))

    async def role_status(port: int, door: Door) -> bytes | None:
        answer = list(said.values())[port - 1]
        return orjson.dumps(answer) if answer else None

    async def role_ready(port: int, door: Door) -> tuple[bool, str]:
        return True, ""

    async def broker_problem(_: Settings) -> Problem:
        return problems.get("broker", Problem())

    async def database_problem(_: Settings) -> Problem:
        return problems.get("database", Problem())

    for function in (role_status, role_ready, broker_problem, database_problem):
        monkeypatch.setattr(status, function.__name__, function)


WELL = {"links": {"tcp:x:502": {"state": "connected"}}, "tags": {"GOOD": 2, "BAD": 0}, "silent": []}
SILENT = {
    "path": "a/l/one",
    "reason": "device_timeout",
    "detail": "unit 7 does not answer within 1 s",
    "since": 40_000_000,
}


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_processes", lambda _: [ProcessReport(name="supervisor", pid=7)])


@pytest.mark.usefixtures("supervised")
async def test_a_device_that_does_not_answer_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {"control": {"site": "x"}, "historian": {"database": "connected"}, "gateway-a": WELL}
    found = await _collected(Home(tmp_path), monkeypatch, roles)
    assert found.state == "up", found
    ill = {**WELL, "tags": {"GOOD": 0, "BAD": 2}, "silent": [SILENT], "silent_left_out": 30}
    found = await _collected(Home(tmp_path), monkeypatch, {**roles, "gateway-a": ill})
    assert found.state == "degraded", "a link that is connected says nothing of what is behind it"
    text = render_status(found, colour=False, now_s=100.0)
    assert "links: 1 of 1 connected" in text and "tags: 2 BAD" in text and "devices without a value: 31" in text
    assert "a/l/one for 60 s  unit 7 does not answer within 1 s" in text
    assert "and 30 more" in text and text.endswith("why: nexus logs gateway-a")


@pytest.mark.usefixtures("supervised")
@pytest.mark.parametrize(
    ("gateway", "code"),
    [
        ({}, Exit.OK),
        ({"silent": [SILENT]}, Exit.OUTSIDE),
        ({"links": {"tcp:x:502": {"state": "backoff"}}}, Exit.OUTSIDE),
        ({"links": {"tcp:x:502": {"state": "idle"}}}, Exit.OK),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_silent_device_ends_the_command_with_six(
    gateway: dict[str, Any], code: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {"control": {"site": "x"}, "historian": {"database": "connected"}, "gateway-a": {**WELL, **gateway}}
    _answering(Home(tmp_path), monkeypatch, roles)
    environment = {
        "NEXUS_HOME": str(tmp_path), "NEXUS_BROKER_URL": "mqtt://x", "NEXUS_DATABASE_URL": "postgresql://x",
    }  # fmt: skip
    result = CliRunner().invoke(cli, ["status", "--format", form], env=environment, standalone_mode=False)
    assert (result.return_value, int(Exit.OUTSIDE)) == (code, 6), result.output
    assert ("a/l/one" in result.stdout) == ("silent" in gateway)


@pytest.mark.usefixtures("supervised")
async def test_no_connected_link_is_not_well_and_a_mute_gateway_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {"control": {"site": "x"}, "historian": {"database": "connected"}, "gateway-a": WELL, "gateway-b": {}}
    found = await _collected(Home(tmp_path), monkeypatch, roles)
    text = render_status(found, colour=False, now_s=1.0)
    assert "links: 1 of 1 connected; those of gateway-b are not known" in text
    lost = {**WELL, "links": {"tcp:x:502": {"state": "backoff", "detail": "refused"}}}
    found = await _collected(Home(tmp_path), monkeypatch, {**roles, "gateway-a": lost, "gateway-b": WELL})
    assert found.state == "degraded"
    assert "links: 1 of 2 connected\n" in render_status(found, colour=False, now_s=1.0)


@pytest.mark.usefixtures("supervised")
async def test_a_shell_without_the_password_asks_who_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = {"control": {"site": "x"}, "historian": {"database": "connected"}, "gateway-a": WELL}
    refused = Problem("password authentication failed", refused=True)
    found = await _collected(Home(tmp_path), monkeypatch, roles, database=refused)
    assert (found.state, found.database.state) == ("up", "up")
    assert found.database.detail == ("historian works with it; it refuses this shell: password authentication failed")
    away = {**roles, "historian": {"database": "the server closed the connection"}}
    found = await _collected(Home(tmp_path), monkeypatch, away, database=refused)
    assert found.database.state == "down"
    found = await _collected(Home(tmp_path), monkeypatch, roles, database=Problem("no answer in time"))
    assert found.database.state == "down", "who does not answer us is not excused"


async def test_what_is_slow_or_starting_is_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = {"control": {"site": "x"}, "historian": {"broker": "connected"}, "gateway-a": WELL}
    late = Problem("slow: no answer within 5 s", slow=True)
    monkeypatch.setattr(
        status, "_processes", lambda _: [ProcessReport(name="supervisor", pid=7), ProcessReport(name="broker", pid=8)]
    )
    alone = {**roles, "historian": {"database": "connected"}}
    found = await _collected(Home(tmp_path), monkeypatch, alone, broker=late)
    assert (found.state, found.broker.state) == ("degraded", "degraded"), "its process runs"
    monkeypatch.setattr(status, "_processes", lambda _: [ProcessReport(name="supervisor", pid=7)])
    found = await _collected(Home(tmp_path), monkeypatch, roles, broker=late)
    assert found.broker.state == "degraded", "the historian works with it"
    found = await _collected(Home(tmp_path), monkeypatch, alone, broker=late)
    assert found.broker.state == "down", "a host that is away does not answer either"

    async def too_late(port: int, door: Door) -> bytes:
        raise TimeoutError

    async def nobody(port: int, door: Door) -> None:
        return None

    monkeypatch.setattr(status, "role_status", too_late)
    found = await status._role("control", 5, ServiceState(state="running"))
    assert (found.state, found.detail) == ("degraded", "slow: no answer within 5 s")
    monkeypatch.setattr(status, "role_status", nobody)
    found = await status._role("control", 5, ServiceState(state="starting", detail="nothing listens on port 5 yet"))
    assert (found.state, found.detail) == ("degraded", "starting: nothing listens on port 5 yet")
    often = ServiceState(state="starting", detail="ended (exit code 1): No space left on device", failed=3)
    found = await status._role("control", 5, often)
    assert (found.state, found.detail) == ("down", "starting: ended (exit code 1): No space left on device")
    found = await status._role("control", 5, ServiceState(state="waiting", detail="waits for database"))
    assert (found.state, found.detail) == ("degraded", "waits for database")
    found = await status._role("control", 5, ServiceState(state="backoff", detail="ended (exit code 1)"))
    assert (found.state, found.detail) == ("down", "backoff: ended (exit code 1)")


async def test_a_dead_supervisor_is_not_a_dead_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = {"control": {"site": "x"}, "historian": {"database": "connected"}, "gateway-a": WELL}
    monkeypatch.setattr(status, "_processes", lambda _: [ProcessReport(name="control", pid=7)])
    found = await _collected(Home(tmp_path), monkeypatch, roles)
    assert found.state == "degraded" and found.supervisor.state == "degraded"
    assert "no supervisor runs" in render_status(found, colour=False, now_s=1.0)
    monkeypatch.setattr(status, "_processes", lambda _: [])
    found = await _collected(Home(tmp_path), monkeypatch, {name: {} for name in roles})
    assert found.state == "down"
    monkeypatch.setattr(status, "_processes", lambda _: [ProcessReport(name="supervisor", pid=at) for at in (7, 8)])
    found = await _collected(Home(tmp_path), monkeypatch, roles)
    assert "2 supervisors run (processes 7, 8)" in render_status(found, colour=False, now_s=1.0)


async def test_what_runs_for_a_removed_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_processes", lambda _: [ProcessReport(name="gateway-a", pid=7)])
    found = await _collected(Home(tmp_path / "gone"), monkeypatch, {})
    Home(tmp_path / "gone").runtime_file.unlink()
    found = await status.collect(Home(tmp_path / "gone"), Settings(home=tmp_path / "gone"))
    assert found.state == "degraded"
    text = render_status(found, colour=False)
    assert "gateway-a  process 7" in text and "nexus down ends them" in text
