"""Rules of quality through a whole runtime: what is rejected is a dead letter and no row, what alarms is an alert."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.commanded import Commanded
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
DRIVE = "hall/line-1/drive"
SITE = """
nexus: 1
enterprise: acme
site: commanded
defaults: {{poll: 200ms}}
areas:
  hall:
    owner: packaging team
    lines:
      line-1:
        devices:
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}, unit_id: 1, timeout: 1s}}
            tags:
              setpoint: {{address: "holding:0", type: int16, range: [0, 300], quality: {{range: reject}}}}
              mode: {{address: "holding:1", type: uint16, range: [0, 10], quality: {{range: alarm}}, owner: {owner}, pii: true}}
              fixed: {{address: "holding:3", type: uint16, quality: {{rate: {{above: 5, per: 1s, do: flag}}}}}}
"""


class Governed(Commanded):
    """A drive with rules of quality."""

    def start(self) -> None:
        """Start every part and apply the site."""
        self.drive.start()
        super(Commanded, self).start()
        self.write_site("maintenance")
        self.apply()
        for role in ("gateway", "historian"):
            self.wait_ready(role)

    def write_site(self, owner: str) -> None:
        """The site with this owner of one tag."""
        (self.folder / "site.yaml").write_text(SITE.format(port=self.drive.port, owner=owner))

    def stored(self, tag: str) -> list[tuple[float, int]]:
        """Values and qualities of a tag, oldest first, BAD ones aside."""
        rows = self.query(
            "SELECT x.value, x.quality FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id "
            "WHERE s.path = $1 AND x.value IS NOT NULL ORDER BY x.time",
            f"{DRIVE}/{tag}",
        )
        return [(row["value"], row["quality"]) for row in rows]

    def metric(self, name: str) -> float:
        """A figure of the gateway."""
        text = httpx.get(f"http://127.0.0.1:{self.ports['gateway']}/metrics", timeout=10).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    one = Governed(tmp_path_factory.mktemp("governed"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


def test_a_rejected_value_is_a_dead_letter_a_figure_and_no_row(plant: Governed) -> None:
    plant.drive.hold("setpoint", 200)
    wait_until(lambda: (200.0, 192) in plant.stored("setpoint"), "the row")
    rows = plant.stored("setpoint")
    plant.drive.hold("setpoint", 301)
    letters = "SELECT topic, reason, detail, payload, count FROM nexus.dead_letter WHERE reason = 'quality_range'"
    wait_until(lambda: bool(plant.query(letters)), "the dead letter")
    (letter,) = plant.query(letters)
    assert letter["topic"] == f"acme/commanded/{DRIVE}/setpoint" and letter["count"] >= 1 and "301" in letter["payload"]
    assert plant.metric("nexus_gateway_rejected_values_total") >= letter["count"]
    assert "quality_range" in plant.nexus("dead-letters", "list")
    plant.drive.hold("setpoint", 201)
    wait_until(lambda: plant.stored("setpoint")[-1] == (201.0, 192), "the next row")
    assert plant.stored("setpoint") == [*rows, (201.0, 192)]
    assert json.loads(plant.nexus("read", f"{DRIVE}/setpoint", "--format", "json", "--wait", "10s"))["value"] == 201


def test_a_value_that_alarms_is_stored_and_an_alert_is_active(plant: Governed) -> None:
    name = f"quality.range.{DRIVE.replace('/', '.')}.mode"
    state = "SELECT state FROM nexus.alert WHERE name = $1"
    plant.drive.hold("mode", 11)
    wait_until(lambda: [row["state"] for row in plant.query(state, name)] == ["active"], "the alert")
    wait_until(lambda: plant.stored("mode")[-1][0] == 11.0, "the row")
    assert name in plant.nexus("alarms", "list")
    plant.drive.hold("mode", 3)
    wait_until(lambda: [row["state"] for row in plant.query(state, name)] != ["active"], "its end")


def test_a_value_that_is_flagged_is_uncertain(plant: Governed) -> None:
    plant.drive.hold("fixed", 1000)
    wait_until(lambda: (1000.0, 64) in plant.stored("fixed"), "the doubtful row")


def test_a_changed_owner_is_a_line_of_the_plan(plant: Governed) -> None:
    plant.write_site("energy team")
    try:
        plan = plant.nexus("plan", "site.yaml")
        assert "owner" in plan and "maintenance" in plan and "energy team" in plan
    finally:
        plant.write_site("maintenance")
