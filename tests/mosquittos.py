"""Mosquitto with files of a test: an `acl_file` and a `password_file`, or the dynamic security plug-in's JSON."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_cli.local import broker_mosquitto
from nexus_cli.local.identity import hand_over, private_folder, unprivileged
from nexus_cli.local.ports import listens
from nexus_cli.local.processes import identify, spawn, stop
from tests.waiting import wait_until

PLUGIN = "mosquitto_dynamic_security.so"


def plugin() -> str:
    """Path of the dynamic security plug-in; "" when it is not here."""
    found = [*Path("/usr/lib").glob(f"*/{PLUGIN}"), *Path("/usr/lib").glob(PLUGIN)]
    return str(found[0]) if found else ""


class Mosquitto:
    """A running one.

    Attributes:
        log: Its log file.
    """

    def __init__(self, folder: Path, child: subprocess.Popen[bytes], log: Path) -> None:
        self._folder, self._child, self.log = folder, child, log

    def write(self, name: str, text: str | bytes) -> None:
        """Replace one of its files."""
        _write(self._folder, name, text)

    def reload(self) -> None:
        """Send it HUP. Its log is of no help to wait for it: Mosquitto does not flush what it writes to a file."""
        self._child.send_signal(signal.SIGHUP)


@contextmanager
def running_mosquitto(
    folder: Path, port: int, *, acl: str | bytes = "", passwords: str = "", dynsec: str = ""
) -> Iterator[Mosquitto]:
    """Mosquitto on loopback; without `passwords` and `dynsec` it lets everybody in."""
    child, log = start_mosquitto(folder, port, acl=acl, passwords=passwords, dynsec=dynsec)
    try:
        wait_until(lambda: child.poll() is not None or listens(port), "mosquitto")
        assert child.poll() is None, log.read_text()
        yield Mosquitto(folder / "mosquitto", child, log)
    finally:
        running = identify(child.pid)
        if running:
            stop(running, signals=[(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
        child.wait(10)


def start_mosquitto(
    folder: Path, port: int, *, acl: str | bytes = "", passwords: str = "", dynsec: str = ""
) -> tuple[subprocess.Popen[bytes], Path]:
    """Start it and wait for nothing: the process, and its log."""
    place = folder / "mosquitto"
    identity = unprivileged("mosquitto", "nobody")
    private_folder(place, identity)
    lines = [f"listener {port} 127.0.0.1", f"allow_anonymous {str(not passwords and not dynsec).lower()}"]
    lines += ["log_dest stdout", "log_type all", "max_queued_messages 10000", "persistence false"]
    if acl:
        _write(place, "acl", acl)
        lines.append("acl_file acl")
    if passwords:
        _write(place, "passwords", passwords)
        lines.append("password_file passwords")
    if dynsec:
        _write(place, "dynsec.json", dynsec)
        lines += [f"plugin {plugin()}", "plugin_opt_config_file dynsec.json"]
    _write(place, "mosquitto.conf", "\n".join(lines) + "\n")
    log = folder / "mosquitto.log"
    command = (broker_mosquitto.program() or "mosquitto", "-c", "mosquitto.conf")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "HOME": str(place)}
    return spawn(command, log=log, environment=environment, folder=place, identity=identity), log


def _write(folder: Path, name: str, text: str | bytes) -> None:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    hand_over(path, unprivileged("mosquitto", "nobody"))
