"""What a shell completes from the site of the folder."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from nexus_cli.cli.main import cli

SITE = """\
nexus: 1
enterprise: acme
site: p
gateways: {gw-1: {}}
areas:
  hall: {lines: {l1: {devices: {d1: {protocol: modbus, connection: {host: 10.0.0.1}, tags: {
    level: {address: "holding:0", type: uint16, writable: true, range: [0, 9]}, load: {address: "input:1", type: uint16}}}}}}}
  yard: {lines: {l2: {devices: {d2: {protocol: modbus, connection: {host: 10.0.0.2}, tags: {
    level: {address: "holding:0", type: uint16}}}}}}}
sequences: {fill: {steps: [{write: hall/l1/d1/level, value: 3}]}}
"""


def completed(*words: str) -> list[str]:
    *given, incomplete = words
    shell = ShellComplete(cli, {}, "nexus", "_NEXUS_COMPLETE")
    return [item.value for item in shell.get_completions(list(given), incomplete)]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    (tmp_path / "env").mkdir()
    (tmp_path / "env/prod.yaml").write_text("description: x\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.parametrize("command", ["read", "write", "history", "tail", "audit", "explain"])
def test_paths_come_level_by_level(command: str) -> None:
    assert completed(command, "") == ["hall/", "yard/"]
    assert completed(command, "ha") == ["hall/"]
    assert completed(command, "hall/l1/d1/l") == ["hall/l1/d1/level", "hall/l1/d1/load"]
    assert completed(command, "elsewhere/") == []


def test_names_of_the_site() -> None:
    assert completed("logs", "gate") == ["gateway-gw-1"]
    assert "historian" in completed("logs", "")
    assert completed("run", "gateway", "--name", "") == ["gw-1"]
    assert completed("discover", "--via", "g") == ["gw-1"]
    assert completed("discover", "--at", "hall/l1/") == ["hall/l1/d1"]
    assert completed("validate", "--env", "") == ["prod"]
    assert completed("plan", "--env", "p") == ["prod"]
    assert completed("sequence", "run", "f") == ["fill"]


def test_a_site_that_can_not_be_read_offers_nothing(site: Path) -> None:
    site.write_text("areas: [\n", encoding="utf-8")
    assert completed("read", "") == [] and completed("logs", "x") == []
    site.unlink()
    assert completed("read", "") == [] and completed("validate", "--env", "") == []


def test_every_argument_that_names_something_of_the_site_completes() -> None:
    context = click.Context(cli)
    for name in ("read", "write", "history", "tail", "audit"):
        command = cli.get_command(context, name)
        assert command is not None
        path = next(one for one in command.params if one.name in ("path", "filters"))
        assert path._custom_shell_complete is not None
