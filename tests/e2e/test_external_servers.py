"""`nexus up` against a broker with users and a PostgreSQL that somebody else runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.children import bare_environment
from tests.e2e.field import Field
from tests.e2e.sites import devices_of
from tests.postgres import PASSWORD, EmbeddedPostgres
from tests.servers import TestBroker, free_port, mosquitto_program, new_broker
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
]
USERS = {
    name: f"secret-of-{name}" for name in ("nexus.control", "nexus.historian", "nexus.gateway.default", "nexus.cli")
}
SITE = """
nexus: 1
enterprise: acme
site: elsewhere
gateways: {{default: {{select: []}}}}
areas:
  hall:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}}}
            tags:
              power: {{address: "holding:0", type: uint32, poll: 200ms, simulate: {{signal: ramp, low: 0, high: 9999, period: 1h}}}}
"""


class Elsewhere:
    """The servers, and a folder to run `nexus` in."""

    def __init__(self, folder: Path, broker: TestBroker, database: EmbeddedPostgres) -> None:
        self.folder, self.broker, self.database = folder, broker, database
        self.urls = ("--broker", broker.url, "--database", database.url)

    def nexus(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit code."""
        kept = bare_environment(self.folder / "locks")
        done = subprocess.run(
            [sys.executable, "-m", "nexus_cli", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    """Both servers run; nothing of ours does."""
    (tmp_path / "broker").mkdir()
    home = tmp_path / "site"
    (home / ".nexus").mkdir(parents=True, mode=0o700)
    (home / "site.yaml").write_text(SITE.format(port=free_port()))
    credentials = home / ".nexus" / "credentials.json"
    credentials.write_text(json.dumps({"broker": USERS, "api": {}, "database": {"nexus": PASSWORD}}))
    credentials.chmod(0o600)
    accounts = {f"{principal}@acme.elsewhere": password for principal, password in USERS.items()}  # others' broker
    broker, database = new_broker(tmp_path / "broker", kind="mosquitto", users=accounts), EmbeddedPostgres()
    broker.start()
    database.start()
    one = Elsewhere(home, broker, database)
    field = Field(devices_of(home / "site.yaml")).start()
    try:
        yield one
    finally:
        one.nexus("down", code=0)
        field.stop()
        broker.kill()
        database.close()


def test_up_asks_for_the_schema_and_works_then(elsewhere: Elsewhere) -> None:
    said = elsewhere.nexus("up", *elsewhere.urls, code=6).stderr
    assert "NX6201" in said
    assert "nexus db upgrade" in said
    assert "elsewhere: down" in elsewhere.nexus("status", code=6).stdout
    elsewhere.nexus("db", "upgrade")
    elsewhere.nexus("up", *elsewhere.urls)
    elsewhere.nexus("up")  # what was said once needs not be said again
    runtime = json.loads((elsewhere.folder / ".nexus" / "runtime.json").read_text())
    assert (runtime["broker_url"], runtime["database_url"]) == (elsewhere.broker.url, elsewhere.database.url)
    assert not (elsewhere.folder / ".nexus" / "postgres").exists()
    elsewhere.nexus("apply", "--yes")
    path = "hall/line-1/meter/power"
    history = ("history", path, "--format", "json")
    wait_until(lambda: len(json.loads(elsewhere.nexus(*history).stdout)["samples"]) >= 10, "rows")
    assert json.loads(elsewhere.nexus("read", path, "--format", "json").stdout)["quality"] == "GOOD"
    elsewhere.nexus("down")
    assert elsewhere.broker.process is not None
    assert elsewhere.broker.process.poll() is None, "what is not ours goes on"
