"""What each command may load: SQL, MQTT, HTTP and the devices' libraries only where it needs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nexus_cli.cli.main import COMMANDS

WATCHED = frozenset(
    {
        "alembic",
        "amqtt",
        "asyncpg",
        "asyncua",
        "fastapi",
        "httpx",
        "jsonschema",
        "nexus_cli.wire.mqtt",
        "pint",
        "psutil",
        "pyads",
        "pyarrow",
        "pymodbus",
        "rich",
        "serial",
        "snap7",
        "sqlalchemy",
        "uvicorn",
    }
)
"""Libraries that cost time or memory to load."""

HTTP = {"httpx", "rich"}
"""The client of control's API; httpx loads rich where it is installed."""

MAY_LOAD: dict[str, set[str]] = {
    "init": set(),
    "validate": set(),
    "test": {"nexus_cli.wire.mqtt"},
    "fmt": set(),
    "schema": set(),
    "explain": set(),
    "discover": set(),
    "adopt": HTTP,
    "discoveries": HTTP,
    "drift": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "probe": set(),
    "find": set(),
    "plan": HTTP,
    "approve": set(),
    "apply": HTTP | {"nexus_cli.wire.mqtt"},
    "confirm": HTTP,
    "rollback": HTTP | {"nexus_cli.wire.mqtt"},
    "deployments": HTTP,
    "rollout": HTTP,
    "diff": HTTP,
    "lock": HTTP,
    "comment": HTTP,
    "purge": HTTP,
    "show": HTTP,
    "up": {"asyncpg", "nexus_cli.wire.mqtt", "psutil"},
    "down": {"nexus_cli.wire.mqtt", "psutil"},
    "status": {"nexus_cli.wire.mqtt", "psutil"},
    "latency": {"nexus_cli.wire.mqtt", "psutil"},
    "logs": set(),
    "run": set(),
    "tail": {"nexus_cli.wire.mqtt", "psutil"},
    "replay": HTTP | {"asyncpg", "nexus_cli.wire.mqtt", "psutil"},
    "read": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "write": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "sequence": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "publish": HTTP,
    "device": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "keep": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "retained": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "alarms": HTTP | {"psutil"},
    "audit": HTTP | {"nexus_cli.wire.mqtt", "psutil"},
    "history": {"asyncpg"},
    "export": {"asyncpg"},
    "exports": HTTP | {"psutil"},
    "archive": {"asyncpg"},
    "dead-letters": HTTP | {"asyncpg"},
    "jobs": HTTP,
    "access": HTTP | {"nexus_cli.wire.mqtt"},
    "certs": set(),
    "db": {"asyncpg"},
    "demo": HTTP | {"asyncpg", "nexus_cli.wire.mqtt", "psutil"},
    "mcp": HTTP,
    "sim": set(),
}
"""Command → what of `WATCHED` its module and everything below may load. Imports inside functions come on top of it."""


def loaded(arguments: list[str], *, cwd: Path) -> set[str]:
    """What of `WATCHED` a run of `nexus` has loaded when it ends, however it ends."""
    code = (
        "import sys\nfrom nexus_cli.cli.main import main\n"
        f"sys.argv = ['nexus', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd, env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return WATCHED & set(done.stderr.rsplit("\n", 1)[1].split())


def test_every_command_is_listed() -> None:
    assert set(MAY_LOAD) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_loads_only_what_it_needs(name: str, tmp_path: Path) -> None:
    assert loaded([name, "--help"], cwd=tmp_path) <= MAY_LOAD[name]


@pytest.mark.parametrize(
    ("arguments", "may_load"),
    [
        ("status", {"nexus_cli.wire.mqtt", "psutil"}),
        ("down", {"nexus_cli.wire.mqtt", "psutil"}),
        ("logs", {"psutil"}),
        ("validate nowhere", set()),
        ("explain NX2001", set()),
        ("explain packaging/line-1/filler/temperature", set()),
        ("db current", {"asyncpg", "psutil"}),
        ("show", HTTP | {"psutil"}),
        ("run gateway", {"psutil"}),
    ],
)
def test_a_run_without_a_runtime_loads_no_more(arguments: str, may_load: set[str], tmp_path: Path) -> None:
    assert loaded(arguments.split(), cwd=tmp_path) <= may_load
